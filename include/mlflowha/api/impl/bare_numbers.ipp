#ifndef MLFLOWHA_API_IMPL_BARE_NUMBERS_IPP
#define MLFLOWHA_API_IMPL_BARE_NUMBERS_IPP

// MLflow's hand-made answers hold bare NaN and infinities, which no JSON parser takes: they are kept in quotes.

#include <mlflowha/config.hpp>

#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// Puts quotes around bare NaN, Infinity and -Infinity, so that valid JSON remains. `json` has passed JsonReader.
inline std::string quote_bare_numbers(std::string_view json) {
  std::string quoted;
  for (std::size_t i = 0; i < json.size();) {
    const char c = json[i];
    std::size_t length = 1;
    if (c == '"') {
      while (json[i + length] != '"') length += json[i + length] == '\\' ? 2U : 1U;
      ++length;
    } else if (c == 'N' || c == 'I' || (c == '-' && json[i + 1] == 'I')) {
      length = c == 'N' ? 3 : c == 'I' ? 8 : 9;
      quoted += '"';
      quoted += json.substr(i, length);
      quoted += '"';
      i += length;
      continue;
    }
    quoted += json.substr(i, length);
    i += length;
  }
  return quoted;
}

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
