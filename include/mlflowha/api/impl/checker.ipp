#ifndef MLFLOWHA_API_IMPL_CHECKER_IPP
#define MLFLOWHA_API_IMPL_CHECKER_IPP

// Checker: MLflow's rules for a request's fields, applied before anything is sent. Keeps the first fault, which names
// the field with its path, the value and what was expected. Text is checked for UTF-8 when it is encoded.

#include <mlflowha/api/filter.hpp>
#include <mlflowha/api/impl/json_reader.ipp>
#include <mlflowha/api/open_enum.hpp>
#include <mlflowha/api/proto_time.hpp>
#include <mlflowha/core/error.hpp>
#include <mlflowha/core/secret.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

class Checker {
 public:
  [[nodiscard]] bool failed() const noexcept { return !fault_.empty(); }
  [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

  void required(const char* field, std::string_view value) {
    if (value.empty()) fail(field, "is empty; expected a value");
  }
  template <class S>
    requires std::is_same_v<S, Secret>  // not a text, which converts to one
  void required(const char* field, const S& value) {
    if (value.empty()) fail(field, "is empty; expected a value");
  }
  void required(const char* field, const Json& value) {
    if (value.text.empty()) fail(field, "is empty; expected JSON");
  }
  template <class T>
  void required(const char* field, const std::vector<T>& values) {
    if (values.empty()) fail(field, "is empty; expected at least one entry");
  }
  template <class T>
  void required(const char* field, const std::optional<T>& value) {
    if (!value) fail(field, "is missing; expected a value");
  }

  template <class Names>
  void required(const char* field, const OpenEnum<Names>& value) {
    if (value != OpenEnum<Names>()) return;
    std::string names;
    for (const EnumName& one : Names::names) {
      if (one.number != 0) names += (names.empty() ? "" : ", ") + std::string(one.name);
    }
    fail(field, "is missing; expected one of " + names);
  }

  /// A letter or digit, then letters, digits, '_' and '-'. Empty passes: see required().
  void id(const char* field, std::string_view value, std::size_t max) {
    if (value.empty()) return;
    const auto letter_or_digit = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    };
    bool good = letter_or_digit(value.front());
    for (const char c : value) good = good && (letter_or_digit(c) || c == '_' || c == '-');
    if (!good) return bad(field, value, "letters, digits, '_' and '-', with a letter or digit first");
    text(field, value, max);
  }
  /// The key of a metric, param or tag: MLflow keeps some of them as files, so it must be a clean relative path.
  void name(const char* field, std::string_view value, std::size_t max) {
    if (value.empty()) return;
    for (const char c : value) {
      const bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '/' ||
                        c == '_' || c == '.' || c == '-' || c == ' ' || c == ':' ||
                        static_cast<unsigned char>(c) >= 0x80;  // letters of other scripts: the server knows which
      if (!good) return bad(field, value, "letters, digits and any of \"/_.-: \"");
    }
    if (!clean_path(value)) {
      return bad(field, value, "a name that is no path elsewhere: no '/' at an end, no empty, '.' or '..' part");
    }
    text(field, value, max);
  }
  /// The path of a file below a root. Empty passes: see required(). A '#' is what MLflow's servers refuse, too.
  void path(const char* field, std::string_view value) {
    if (value.empty()) return;
    if (!clean_path(value) || value.find('#') != std::string_view::npos) {
      bad(field, value, "a relative path: no '/' at an end, no empty, '.' or '..' part, no '#'");
    }
  }
  /// At most `max` characters (code points, as Python counts).
  void text(const char* field, std::string_view value, std::size_t max) {
    if (value.size() <= max) return;
    const std::size_t length = characters(value);
    if (length > max) {
      fail(field, "has " + std::to_string(length) + " characters; expected at most " + std::to_string(max) + ": \"" +
                      sanitize(value, 64) + '"');
    }
  }
  template <class T>
  void text(const char* field, const std::optional<T>& value, std::size_t max) {
    if (value) text(field, *value, max);
  }
  void filter(const char* field, const Filter& value) {
    if (!value.fault().empty()) fail(field, "can't be written: " + value.fault());
  }
  /// Milliseconds since the epoch.
  void time(const char* field, std::int64_t value) {
    if (value < 0) bad(field, std::to_string(value), "milliseconds since the epoch, not negative");
  }
  void time(const char* field, const std::optional<std::int64_t>& value) {
    if (value) time(field, *value);
  }
  /// Text of one JSON object whose values are text or null. Empty passes: see required().
  void json_object(const char* field, std::string_view value) {
    JsonReader reader(value);
    if (!value.empty() && reader.begin_object()) {
      std::string text;
      for (std::string_view name; reader.next_member(name);) reader.read(text);
    }
    json(field, value, reader, "a JSON object of text");
  }
  /// Text of one JSON list. Empty passes: see required().
  void json_list(const char* field, std::string_view value) {
    JsonReader reader(value);
    if (!value.empty() && reader.begin_array()) {
      while (reader.next_entry()) reader.skip();
    }
    json(field, value, reader, "a JSON list");
  }
  /// Text of google.protobuf.Timestamp and Duration. Empty passes: see required().
  void timestamp(const char* field, std::string_view value) {
    if (!value.empty() && !parse_timestamp(value)) bad(field, value, "a time such as \"2026-01-02T03:04:05.678Z\"");
  }
  void duration(const char* field, std::string_view value) {
    if (!value.empty() && !parse_duration(value)) bad(field, value, "a number of seconds such as \"1.5s\"");
  }
  void count(const char* field, std::int64_t value, std::int64_t min, std::int64_t max) {
    if (value < min || value > max) {
      bad(field, std::to_string(value), "a number from " + std::to_string(min) + " to " + std::to_string(max));
    }
  }
  template <class T>
  void count(const char* field, const std::optional<T>& value, std::int64_t min, std::int64_t max) {
    if (value) count(field, *value, min, max);
  }
  template <class T>
  void at_most(const char* field, const std::vector<T>& values, std::size_t max) {
    total(field, values.size(), max);
  }
  template <class T>
  void at_most(const char* field, const std::optional<std::vector<T>>& values, std::size_t max) {
    if (values) at_most(field, *values, max);
  }
  void total(const char* fields, std::size_t entries, std::size_t max) {
    if (entries > max) {
      fail(fields, "has " + std::to_string(entries) + " entries; expected at most " + std::to_string(max));
    }
  }
  void some(const char* fields, std::size_t entries) {
    if (entries == 0) fail(fields, "are all empty; expected at least one entry");
  }
  /// Of the members of a oneof at most one may be there.
  void only_one(const char* fields, std::initializer_list<bool> there) {
    int count = 0;
    for (const bool one : there) count += one ? 1 : 0;
    if (count > 1) fail(fields, "are given together; expected at most one of them");
  }

  /// Applies `rule(checker, value)` to every entry of a list.
  template <class T, class Rule>
  void each(const char* field, const std::vector<T>& values, const Rule& rule) {
    if (failed() || depth_ == path_.size()) return;
    path_[depth_++] = {field, 0};
    for (std::size_t i = 0; i < values.size() && !failed(); ++i) {
      path_[depth_ - 1].index = i;
      rule(*this, values[i]);
    }
    --depth_;
  }
  template <class T, class Rule>
  void each(const char* field, const std::optional<std::vector<T>>& values, const Rule& rule) {
    if (values) each(field, *values, rule);
  }
  /// Applies `rule(checker, value)` to a message inside a message.
  template <class T, class Rule>
  void inside(const char* field, const T& value, const Rule& rule) {
    if (failed() || depth_ == path_.size()) return;
    path_[depth_++] = {field, no_index};
    rule(*this, value);
    --depth_;
  }
  template <class T, class Rule>
  void inside(const char* field, const std::optional<T>& value, const Rule& rule) {
    if (value) inside(field, *value, rule);
  }

 private:
  static constexpr std::size_t no_index = static_cast<std::size_t>(-1);
  struct Step {
    const char* field = "";
    std::size_t index = no_index;
  };

  void json(const char* field, std::string_view value, JsonReader& reader, const char* expected) {
    if (value.empty()) return;
    reader.end();
    if (reader.failed()) bad(field, value, expected);
  }
  static std::size_t characters(std::string_view value) noexcept {
    std::size_t count = 0;
    for (const char c : value) count += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1 : 0;
    return count;
  }
  static bool clean_path(std::string_view value) noexcept {
    for (std::size_t start = 0; start <= value.size();) {
      std::size_t end = value.find('/', start);
      if (end == std::string_view::npos) end = value.size();
      const std::string_view part = value.substr(start, end - start);
      if (part.empty() || part == "." || part == "..") return false;
      start = end + 1;
    }
    return true;
  }

  void bad(const char* field, std::string_view value, const std::string& expected) {
    fail(field, "is \"" + sanitize(value, 64) + "\"; expected " + expected);
  }
  void fail(const char* field, const std::string& what) {
    if (failed()) return;
    for (std::size_t i = 0; i < depth_; ++i) {
      fault_ += path_[i].field;
      if (path_[i].index != no_index) fault_ += '[' + std::to_string(path_[i].index) + ']';
      if (*field != '\0') fault_ += '.';
    }
    fault_ += field;
    fault_ += ' ';
    fault_ += what;
  }

  std::array<Step, 32> path_{};
  std::size_t depth_ = 0;
  std::string fault_;
};

/// The generated rules of a message, for each() and inside().
struct Rules {
  template <class T>
  void operator()(Checker& checker, const T& value) const {
    check(checker, value);
  }
};

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
