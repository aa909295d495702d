// Fuzz: the reader of spooled records, with the bytes as they are and with a right checksum put in, so that the fuzzer
// gets behind it. What can be read must survive being written again.

#include <mlflowha/logging/record.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

void read(std::string_view bytes) {
  const auto record = mlflowha::decode_record(bytes);
  if (!record) {
    if (record.error().code != mlflowha::Errc::storage_corrupt) std::abort();
    return;
  }
  const auto again = mlflowha::encode(*record);
  // Bytes can repeat keys in ways that the writer never does; a dataset may hold what is no UTF-8.
  if (again && !mlflowha::decode_record(*again)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  if (bytes.size() < 16) return 0;
  bytes.replace(0, 5, std::string_view("MLHR\x01", 5));
  bytes[5] = static_cast<char>(bytes[5] & 7);
  bytes[6] = bytes[7] = 0;
  for (unsigned i = 0; i < 4; ++i) bytes[8 + i] = static_cast<char>((bytes.size() - 16) >> (8U * i));
  const std::string_view view = bytes;
  const std::uint32_t crc = mlflowha::crc32c(view.substr(16), mlflowha::crc32c(view.substr(0, 12)));
  for (unsigned i = 0; i < 4; ++i) bytes[12 + i] = static_cast<char>(crc >> (8U * i));
  read(bytes);
  return 0;
}
