// Fuzz: error answers of any status with any body become an Error, whatever they hold.

#include <mlflowha/api/error_body.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  mlflowha::Response response;
  response.status = data[0] * 4 + data[1] % 4;  // 0 to 1023
  response.body.assign(reinterpret_cast<const char*>(data) + 2, size - 2);
  const mlflowha::Error error = mlflowha::api::decode_error(response);
  if (error.message.size() > 8192 || error.http_status != response.status) std::abort();
  for (const char c : error.message) {
    if (static_cast<unsigned char>(c) < 0x20) std::abort();  // a control character got through
  }
  return 0;
}
