#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_NAMES_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_NAMES_IPP

// MLflow's rules for names, lengths and page tokens, with its messages (mlflow/utils/validation.py and search_utils.py,
// 3.17.2).

#include <mlflowha/testing/impl/proto_json.ipp>

#include <algorithm>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

inline constexpr std::size_t max_key_length = 250;
inline constexpr std::size_t max_param_length = 6000;
inline constexpr std::size_t max_tag_length = 8000;
inline constexpr std::size_t max_experiment_name_length = 500;
inline constexpr std::size_t max_experiment_tag_length_v3 = 20000;
inline constexpr std::size_t max_experiment_tag_length_v2 = 5000;
inline constexpr std::size_t max_registry_tag_length_v3 = 100'000;
inline constexpr std::size_t max_registry_tag_length_v2 = 5'000;
inline constexpr std::size_t max_alias_length = 255;
inline constexpr std::size_t max_webhook_name_length = 63;
inline constexpr std::size_t max_metrics_per_batch = 1000;
inline constexpr std::size_t max_params_or_tags_per_batch = 100;
inline constexpr std::size_t max_entities_per_batch = 1000;
inline constexpr std::int64_t max_search_results = 50000;

/// Calls f(code point, length in bytes) for each character; broken bytes count one each.
template <class F>
void each_character(std::string_view text, F f) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    std::size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    length = std::min(length, text.size() - i);
    std::uint32_t code = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (std::size_t k = 1; k < length; ++k) code = (code << 6U) | (static_cast<unsigned char>(text[i + k]) & 0x3FU);
    f(code, length);
    i += length;
  }
}

MLFLOWHA_INLINE std::size_t character_count(std::string_view text) {
  std::size_t count = 0;
  each_character(text, [&](std::uint32_t, std::size_t) { ++count; });
  return count;
}

MLFLOWHA_INLINE std::string first_characters(std::string_view text, std::size_t limit) {
  std::size_t bytes = 0;
  std::size_t count = 0;
  each_character(text, [&](std::uint32_t, std::size_t length) {
    if (count++ < limit) bytes += length;
  });
  return std::string(text.substr(0, bytes));
}

/// Python's \w. Outside ASCII it is told from symbols and punctuation by block, which is right for what people use.
MLFLOWHA_INLINE bool is_word_character(std::uint32_t code) noexcept {
  if (code < 0x80) {
    return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z') || code == '_';
  }
  if (code < 0xC0) return code == 0xAA || code == 0xB5 || code == 0xBA;
  if (code == 0xD7 || code == 0xF7) return false;
  if (code >= 0x2000 && code <= 0x2BFF) return false;  // punctuation, arrows, mathematics, symbols
  if (code >= 0x3000 && code <= 0x3004) return false;
  return code < 0xE000 || (code >= 0xF900 && code < 0x1F000) || code >= 0x20000;
}

MLFLOWHA_INLINE bool has_name_characters_only(std::string_view name) {
  bool good = true;
  each_character(name, [&](std::uint32_t code, std::size_t) {
    const bool mark = code == '/' || code == '.' || code == '-' || code == ' ' || code == ':';
    good = good && (mark || is_word_character(code));
  });
  return good;
}

/// As Python's posixpath.normpath.
MLFLOWHA_INLINE std::string normalized_path(std::string_view path) {
  if (path.empty()) return ".";
  std::size_t slashes = path[0] != '/' ? 0 : 1;
  if (path.substr(0, 2) == "//" && path.substr(0, 3) != "///") slashes = 2;
  std::vector<std::string_view> parts;
  for (std::string_view rest = path; !rest.empty();) {
    const std::string_view part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    if (part.empty() || part == ".") continue;
    if (part != ".." || (slashes == 0 && parts.empty()) || (!parts.empty() && parts.back() == "..")) {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  std::string result(slashes, '/');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i != 0) result += '/';
    result += parts[i];
  }
  return result.empty() ? "." : result;
}

/// Refuses what is no name for a metric, param or tag; `path` is how the message calls it.
MLFLOWHA_INLINE void check_name(std::string_view name, std::string_view path) {
  const auto invalid = [&](const std::string& why) {
    refuse(fmt::format("Invalid value {} for parameter '{}' supplied: {}", json_string(name), path, why));
  };
  if (!has_name_characters_only(name)) {
    invalid(
        "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and "
        "slashes (/).");
  }
  const std::string normal = normalized_path(name);
  if (normal != name || normal == "." || normal.substr(0, 2) == ".." || normal[0] == '/') {
    invalid(fmt::format(
        "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "
        "This name would resolve to '{}'",
        normal));
  }
}

MLFLOWHA_INLINE void check_length(std::string_view what, std::string_view text, std::size_t limit) {
  if (character_count(text) > limit)
    refuse(fmt::format("'{}' exceeds the maximum length of {} characters", what, limit));
}

MLFLOWHA_INLINE void check_batch_limit(std::string_view what, std::size_t limit, std::size_t count) {
  if (count <= limit) return;
  refuse(
      fmt::format("A batch logging request can contain at most {} {}. Got {} {}. Please split up {} across multiple "
                  "requests and try again.",
                  limit, what, count, what, what));
}

/// ^[a-zA-Z0-9][\w\-]{0,255}$
MLFLOWHA_INLINE bool is_run_id(std::string_view id) {
  std::size_t index = 0;
  bool good = !id.empty();
  each_character(id, [&](std::uint32_t code, std::size_t) {
    const bool first = index++ == 0;
    good = good &&
           (first ? code < 0x80 && code != '_' && is_word_character(code) : code == '-' || is_word_character(code));
  });
  return good && index <= 256;
}

// --- page tokens: base64 of {"offset": N}
// -----------------------------------------------------------------------------

MLFLOWHA_INLINE std::string base64_of(std::string_view text) {
  static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string encoded;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      bits = (bits << 8U) | (i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      encoded += i + k > text.size() ? '=' : alphabet[(bits >> (18U - 6U * static_cast<unsigned>(k))) & 0x3FU];
    }
  }
  return encoded;
}

/// As Python's base64.b64decode.
MLFLOWHA_INLINE std::optional<std::string> base64_decoded(std::string_view token) {
  std::string text;
  std::uint32_t bits = 0;
  unsigned held = 0;
  std::size_t digits = 0;
  std::size_t padding = 0;
  for (const char c : token) {
    std::uint32_t value = 0;
    if (c >= 'A' && c <= 'Z')
      value = static_cast<std::uint32_t>(c - 'A');
    else if (c >= 'a' && c <= 'z')
      value = static_cast<std::uint32_t>(c - 'a' + 26);
    else if (c >= '0' && c <= '9')
      value = static_cast<std::uint32_t>(c - '0' + 52);
    else if (c == '+')
      value = 62;
    else if (c == '/')
      value = 63;
    else {
      padding += c == '=' ? 1 : 0;
      continue;  // Python skips what is not in the alphabet
    }
    ++digits;
    bits = (bits << 6U) | value;
    held += 6;
    if (held >= 8) {
      held -= 8;
      text += static_cast<char>((bits >> held) & 0xFFU);
    }
  }
  if (digits % 4 == 1 || (digits + padding) % 4 != 0) return std::nullopt;
  return text;
}

MLFLOWHA_INLINE std::string page_token(std::size_t offset) {
  return base64_of(fmt::format("{{\"offset\": {}}}", offset));
}

MLFLOWHA_INLINE std::size_t page_offset(std::string_view token) {
  if (token.empty()) return 0;
  const std::optional<std::string> text = base64_decoded(token);
  if (!text) refuse("Invalid page token, could not base64-decode");
  const Json value = Json::parse(*text, nullptr, false);
  if (value.is_discarded()) refuse(fmt::format("Invalid page token, decoded value=b'{}'", *text));
  const Json* offset = value.is_object() ? member(value, "offset") : nullptr;
  if (offset == nullptr) refuse(fmt::format("Invalid page token, parsed value={}", value.dump()));
  if (!offset->is_number_integer() || *offset < 0) {
    refuse(fmt::format("Invalid page token, parsed value={}", value.dump()));
  }
  return offset->get<std::size_t>();
}

MLFLOWHA_INLINE void check_max_results(std::int64_t count) {
  if (count < 1) {
    refuse(fmt::format("Invalid value {} for parameter 'max_results' supplied. It must be a positive integer", count));
  }
  if (count > max_search_results) {
    refuse(fmt::format("Invalid value {} for parameter 'max_results' supplied. It must be at most {}", count,
                       max_search_results));
  }
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
