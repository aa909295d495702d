// Fuzz: any text is parsed or refused as a fault script; what was parsed is printed and parsed back to the same.

#include <mlflowha/testing/fault_script.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using mlflowha::testing::FaultScript;
  const auto script = FaultScript::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!script) {
    if (script.error().message.empty()) std::abort();
    return 0;
  }
  const auto again = FaultScript::parse(to_string(*script));
  if (!again || !(*again == *script)) std::abort();
  return 0;
}
