// Fuzz: the JSON reader against nlohmann's parser. Any value is kept as an unknown member: both must agree whether it
// is JSON and what it says. Ours also takes bare NaN and infinities and half surrogate pairs, and refuses over 128
// levels; a NUL ends the input for nlohmann. Inputs with these are only run.

#include <mlflowha/api/runs_codec.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view value(reinterpret_cast<const char*>(data), size);
  const std::string text = "{\"fresh\":" + std::string(value) + '}';
  const auto ours = mlflowha::api::from_json<mlflowha::Param>(text);
  if (ours) {
    const auto again = mlflowha::api::to_json(*ours);
    if (!again || !mlflowha::api::from_json<mlflowha::Param>(*again)) std::abort();
  }
  const bool special = value.find('\0') != value.npos || value.find("NaN") != value.npos ||
                       value.find("Infinity") != value.npos || value.find("\\u") != value.npos ||
                       value.find("\"fresh\"") != value.npos || value.find("\"key\"") != value.npos ||
                       value.find("\"value\"") != value.npos;
  std::size_t brackets = 0;
  for (const char c : value) brackets += c == '[' || c == '{' ? 1 : 0;
  if (special || brackets > 120) return 0;
  const nlohmann::json theirs = nlohmann::json::parse(text, nullptr, false);
  const bool valid = !theirs.is_discarded();
  if (ours.has_value() != valid) {
    // nlohmann refuses numbers that no double holds; JSON has no such limit.
    if (ours && value.find_first_of("eE0123456789") != value.npos) return 0;
    std::abort();
  }
  if (!ours || theirs.size() != 1) return 0;
  if (ours->unknown_fields.size() == 1 && nlohmann::json::parse(ours->unknown_fields[0].json) != theirs["fresh"])
    std::abort();
  return 0;
}
