#ifndef MLFLOWHA_API_IMPL_JSON_READER_IPP
#define MLFLOWHA_API_IMPL_JSON_READER_IPP

// Pull reader for JSON from servers. The generated decoders walk the text once and fill their structs on the way: no
// tree in between, so a large search costs a tenth of a tree's time and memory, and a hostile body costs no more than
// its own size. After the first fault every read does nothing and every loop ends; fault() then names the path.

#include <mlflowha/api/filter.hpp>
#include <mlflowha/api/impl/bare_numbers.ipp>
#include <mlflowha/api/impl/kept_members.ipp>
#include <mlflowha/api/open_enum.hpp>
#include <mlflowha/api/types.hpp>
#include <mlflowha/core/error.hpp>
#include <mlflowha/core/impl/utf8.ipp>
#include <mlflowha/core/secret.hpp>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

class JsonReader {
 public:
  static constexpr std::size_t max_depth = 128;
  static constexpr std::size_t max_bytes = std::size_t{1} << 30U;

  explicit JsonReader(std::string_view text) noexcept
      : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()) {
    if (text.size() > max_bytes) fail("at most 1 GiB");
  }
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  [[nodiscard]] bool failed() const noexcept { return failed_; }
  /// Path, expectation and what was there instead.
  [[nodiscard]] const std::string& fault() const noexcept { return fault_; }
  /// Faults don't show what was there instead: it may be a password.
  void hide_values() noexcept { hidden_ = true; }
  /// True when a bare NaN or infinity was skipped over.
  [[nodiscard]] bool saw_bare_number() const noexcept { return bare_; }
  /// True when half of a surrogate pair was read or skipped over.
  [[nodiscard]] bool saw_half_pair() const noexcept { return half_pair_; }

  /// Enters an object; false when there is none.
  bool begin_object() { return enter('{', "an object"); }
  /// Moves to the next member and gives its name, valid until the next call; false at the end of the object.
  bool next_member(std::string_view& name) {
    if (!next_entry('}')) return false;
    if (at_ == end_ || *at_ != '"') return fail("a member's name in quotes");
    ++at_;
    String text;
    if (!scan_string(text)) return false;
    frames_[depth_].name = text.raw;
    if (text.escaped) {
      name_.clear();
      if (!unescape(text.raw, name_)) return false;
      name = name_;
    } else {
      name = text.raw;
    }
    skip_blanks();
    if (at_ == end_ || *at_ != ':') return fail("':'");
    ++at_;
    return true;
  }
  bool begin_array() { return enter('[', "a list"); }
  /// Moves to the next entry; false at the end of the list.
  bool next_entry() {
    if (!next_entry(']')) return false;
    ++frames_[depth_].index;
    return true;
  }

  // Values. A null leaves the target as it is, as absence does.

  void read(std::string& value) {
    if (null()) return;
    String text;
    if (!open_string("a string") || !scan_string(text)) return;
    assign(text, value);
  }
  void read(Secret& value) {
    if (null()) return;
    std::string text;
    read(text);
    value = std::move(text);
  }
  void read(bool& value) {
    if (null()) return;
    if (take("true")) {
      value = true;
    } else if (take("false")) {
      value = false;
    } else {
      fail("true or false");
    }
  }
  void read(std::int64_t& value) {
    if (null()) return;
    Number number;
    if (!number_or_string(number, "a whole number")) return;
    if (!to_integer(number, value)) fail_at(number.text.data(), "a whole number of 64 bits");
  }
  void read(std::int32_t& value) {
    if (null()) return;
    Number number;
    std::int64_t wide = 0;
    if (!number_or_string(number, "a whole number")) return;
    if (!to_integer(number, wide) || wide < std::numeric_limits<std::int32_t>::min() ||
        wide > std::numeric_limits<std::int32_t>::max()) {
      fail_at(number.text.data(), "a whole number of 32 bits");
      return;
    }
    value = static_cast<std::int32_t>(wide);
  }
  void read(double& value) {
    if (null()) return;
    Number number;
    if (number_or_string(number, "a number")) value = to_double(number.text);
  }
  void read(float& value) {
    double wide = 0;
    if (null()) return;
    read(wide);
    value = static_cast<float>(wide);
  }
  void read(Json& value) {
    if (!null()) value.text = raw();
  }
  void read(Filter& value) {
    if (null()) return;
    std::string text;
    read(text);
    value = std::move(text);
  }
  template <class Names>
  void read(OpenEnum<Names>& value) {
    if (null()) return;
    if (at_ != end_ && *at_ == '"') {
      std::string name;
      read(name);
      value = OpenEnum<Names>::from_name(name);
    } else {
      std::int64_t number = 0;
      read(number);
      value = OpenEnum<Names>::from_number(number);
    }
  }
  template <class T>
  void read(std::optional<T>& value) {
    if (null()) return;
    read(value.emplace());
  }
  template <class T>
  void read(std::vector<T>& values) {
    if (null()) return;
    values.clear();
    if (!begin_array()) return;
    while (next_entry()) read_into(values.emplace_back());
  }
  template <class K, class T>
  void read(std::map<K, T>& values) {
    if (null()) return;
    values.clear();
    if (!begin_object()) return;
    for (std::string_view name; next_member(name);) {
      K key{};
      if constexpr (std::is_same_v<K, std::string>) {
        key = name;
      } else {
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), key);
        if (error != std::errc() || end != name.data() + name.size()) {
          fail("a whole number in quotes as the member's name");
          return;
        }
      }
      T value{};
      read(value);
      values.insert_or_assign(std::move(key), std::move(value));
    }
  }
  /// An entity: its decode() is found beside it.
  template <class T>
    requires std::is_class_v<T>
  void read(T& value) {
    if (null()) return;
    value = T{};
    decode(*this, value);
  }

  /// Keeps a member that the table doesn't know.
  void keep(std::string_view name, UnknownFields& fields) {
    std::string kept(name);
    std::string json = raw();
    if (failed_) return;
    if (UnknownField* field = kept_.find(depth_, kept, fields)) {
      field->json = std::move(json);
    } else {
      fields.push_back({std::move(kept), std::move(json)});
    }
  }

  /// Passes over one value of any kind. Recursion is bounded by max_depth.
  void skip() {
    skip_blanks();
    if (at_ == end_) {
      fail("a value");
      return;
    }
    switch (*at_) {
      case '{':
        if (begin_object()) {
          for (std::string_view name; next_member(name);) skip();
        }
        return;
      case '[':
        if (begin_array()) {
          while (next_entry()) skip();
        }
        return;
      case '"': {
        ++at_;
        String text;
        if (scan_string(text) && text.escaped) {
          scratch_.clear();
          unescape(text.raw, scratch_);
        }
        return;
      }
      case 't':
      case 'f':
      case 'n':
        if (!take("true") && !take("false") && !take("null")) fail("a value");
        return;
      default: {
        Number number;
        if (scan_number(number, "a value") && number.bare) bare_ = true;
      }
    }
  }
  /// Nothing but blanks may follow.
  void end() {
    skip_blanks();
    if (!failed_ && at_ != end_) fail("nothing after the value");
  }
  /// True (and taken) when the next value is null.
  bool null() {
    skip_blanks();
    return at_ != end_ && *at_ == 'n' && take("null");
  }

 private:
  struct Frame {
    std::string_view name;  // of the current member; empty in a list
    std::size_t index = 0;  // of the current entry, counted from 1
    bool first = true;
    bool list = false;
  };
  struct String {
    std::string_view raw;  // between the quotes
    bool escaped = false;
  };
  struct Number {
    std::string_view text;
    bool bare = false;  // NaN or an infinity
    bool whole = true;  // neither a fraction nor an exponent
  };

  template <class T>
  void read_into(T& value) {
    if constexpr (requires { decode(*this, value); }) {
      if (!null()) decode(*this, value);  // a fresh entry needs no reset
    } else {
      read(value);
    }
  }

  void skip_blanks() noexcept {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  bool take(std::string_view word) noexcept {
    if (static_cast<std::size_t>(end_ - at_) < word.size() || std::memcmp(at_, word.data(), word.size()) != 0) {
      return false;
    }
    at_ += word.size();
    return true;
  }

  bool enter(char bracket, const char* expected) {
    if (failed_) return false;
    skip_blanks();
    if (at_ == end_ || *at_ != bracket) return fail(expected);
    if (depth_ == max_depth) return fail("at most 128 levels of nesting");
    ++at_;
    frames_[++depth_] = Frame{{}, 0, true, bracket == '['};
    kept_.forget(depth_);
    return true;
  }
  bool next_entry(char bracket) {
    if (failed_) return false;
    Frame& frame = frames_[depth_];
    skip_blanks();
    if (at_ != end_ && *at_ == bracket) {
      ++at_;
      --depth_;
      return false;
    }
    if (!frame.first) {
      if (at_ == end_ || *at_ != ',') return fail(bracket == '}' ? "',' or '}'" : "',' or ']'");
      ++at_;
      skip_blanks();
    }
    frame.first = false;
    return true;
  }

  bool open_string(const char* expected) {
    if (failed_) return false;
    skip_blanks();
    if (at_ == end_ || *at_ != '"') return fail(expected);
    ++at_;
    return true;
  }
  /// From after the opening quote to after the closing one. Checks control characters and UTF-8, not escapes.
  bool scan_string(String& text) {
    const char* start = at_;
    while (at_ != end_) {
      const auto c = static_cast<unsigned char>(*at_);
      if (c == '"') {
        text.raw = {start, static_cast<std::size_t>(at_ - start)};
        ++at_;
        return true;
      }
      if (c < 0x20) return fail("no control character in a string");
      if (c == '\\') {
        text.escaped = true;
        if (++at_ == end_) break;
        ++at_;
      } else if (c >= 0x80) {
        const std::size_t length =
            utf8_sequence(reinterpret_cast<const unsigned char*>(at_), static_cast<std::size_t>(end_ - at_));
        if (length == 0) return fail("UTF-8");
        at_ += length;
      } else {
        ++at_;
      }
    }
    return fail("the end of a string");
  }
  void assign(const String& text, std::string& value) {
    if (!text.escaped) {
      value.assign(text.raw);
      return;
    }
    value.clear();
    unescape(text.raw, value);
  }
  bool unescape(std::string_view raw, std::string& out) {
    for (std::size_t i = 0; i < raw.size();) {
      if (raw[i] != '\\') {
        out += raw[i++];
        continue;
      }
      const char c = raw[i + 1];  // scan_string saw to it that there is one
      i += 2;
      switch (c) {
        case '"':
        case '\\':
        case '/':
          out += c;
          break;
        case 'b':
          out += '\b';
          break;
        case 'f':
          out += '\f';
          break;
        case 'n':
          out += '\n';
          break;
        case 'r':
          out += '\r';
          break;
        case 't':
          out += '\t';
          break;
        case 'u': {
          std::uint32_t point = 0;
          if (!hex4(raw, i, point)) return fail_at(raw.data() + i, "four hexadecimal digits");
          i += 4;
          std::uint32_t low = 0;
          if (point >= 0xD800 && point < 0xDC00 && raw.substr(i, 2) == "\\u" && hex4(raw, i + 2, low) &&
              low >= 0xDC00 && low < 0xE000) {
            point = 0x10000 + ((point - 0xD800) << 10U) + (low - 0xDC00);
            i += 6;
          }
          if (point >= 0xD800 && point < 0xE000) {  // half a pair stands for no character
            half_pair_ = true;
            point = 0xFFFD;
          }
          append_utf8(point, out);
          break;
        }
        default:
          return fail_at(raw.data() + i - 1, "an escape that JSON knows");
      }
    }
    return true;
  }
  static bool hex4(std::string_view raw, std::size_t at, std::uint32_t& point) noexcept {
    if (raw.size() < at + 4) return false;
    const auto [end, error] = std::from_chars(raw.data() + at, raw.data() + at + 4, point, 16);
    return error == std::errc() && end == raw.data() + at + 4;
  }
  static void append_utf8(std::uint32_t point, std::string& out) {
    const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (point < 0x80) {
      put(point);
    } else if (point < 0x800) {
      put(0xC0U | (point >> 6U));
      put(0x80U | (point & 0x3FU));
    } else if (point < 0x10000) {
      put(0xE0U | (point >> 12U));
      put(0x80U | ((point >> 6U) & 0x3FU));
      put(0x80U | (point & 0x3FU));
    } else {
      put(0xF0U | (point >> 18U));
      put(0x80U | ((point >> 12U) & 0x3FU));
      put(0x80U | ((point >> 6U) & 0x3FU));
      put(0x80U | (point & 0x3FU));
    }
  }

  bool digits() noexcept {
    const char* start = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    return at_ != start;
  }
  bool scan_number(Number& number, const char* expected) { return scan_number(number, expected, at_); }
  bool scan_number(Number& number, const char* expected, const char* value) {
    if (failed_) return false;
    const char* start = at_;
    if (take("NaN") || take("Infinity") || take("-Infinity")) {
      number = {{start, static_cast<std::size_t>(at_ - start)}, true, false};
      return true;
    }
    if (at_ != end_ && *at_ == '-') ++at_;
    const bool zero = at_ != end_ && *at_ == '0';
    const char* whole = at_;
    bool good = digits() && !(zero && at_ - whole > 1);
    if (good && at_ != end_ && *at_ == '.') {
      number.whole = false;
      ++at_;
      good = digits();
    }
    if (good && at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      number.whole = false;
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      good = digits();
    }
    if (!good) return fail_at(value, expected);
    number.text = {start, static_cast<std::size_t>(at_ - start)};
    return true;
  }
  /// A number, or a string that holds exactly one.
  bool number_or_string(Number& number, const char* expected) {
    if (failed_) return false;
    if (at_ == end_ || *at_ != '"') return scan_number(number, expected);
    const char* quote = at_++;
    if (!scan_number(number, expected, quote)) return false;
    if (at_ == end_ || *at_ != '"') return fail_at(quote, expected);
    ++at_;
    return true;
  }
  static bool to_integer(const Number& number, std::int64_t& value) noexcept {
    if (number.bare) return false;
    const char* begin = number.text.data();
    const char* end = begin + number.text.size();
    if (number.whole) {
      const auto result = std::from_chars(begin, end, value);
      return result.ec == std::errc() && result.ptr == end;
    }
    const double exact = to_double(number.text);  // "1e3", "2.0"
    constexpr double limit = 9007199254740992.0;  // from there on a double has no ones
    if (!(exact > -limit && exact < limit)) return false;
    value = static_cast<std::int64_t>(exact);
    return static_cast<double>(value) == exact;
  }
  static double to_double(std::string_view text) noexcept {
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
    double value = 0;
#if defined(__cpp_lib_to_chars)
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc()) value = out_of_range(text);
#else
    const std::string copy(text);  // a standard library without from_chars for doubles
    value = std::strtod(copy.c_str(), nullptr);
#endif
    return value;
  }
  /// Too large is an infinity, too small is zero, as strtod has it; decided by the place of the first digit.
  static double out_of_range(std::string_view text) noexcept {
    const bool negative = text.front() == '-';
    std::int64_t exponent = 0;
    const std::size_t e = text.find_first_of("eE");
    if (e != std::string_view::npos) {
      const char* first = text.data() + e + 1 + (text[e + 1] == '+' ? 1 : 0);
      const auto result = std::from_chars(first, text.data() + text.size(), exponent);
      if (result.ec != std::errc()) {
        exponent = *first == '-' ? std::numeric_limits<std::int32_t>::min() : std::numeric_limits<std::int32_t>::max();
      }
    }
    const std::string_view mantissa =
        text.substr(negative ? 1 : 0, e == std::string_view::npos ? e : e - (negative ? 1 : 0));
    const auto point = static_cast<std::int64_t>(std::min(mantissa.find('.'), mantissa.size()));
    const auto first = static_cast<std::int64_t>(std::min(mantissa.find_first_of("123456789"), mantissa.size()));
    const bool large = exponent > first - point;
    const double size = large ? std::numeric_limits<double>::infinity() : 0.0;
    return negative ? -size : size;
  }

  std::string raw() {
    skip_blanks();
    const char* start = at_;
    const bool before = std::exchange(bare_, false);
    skip();
    const bool bare = std::exchange(bare_, before);
    if (failed_) return {};
    const std::string_view text(start, static_cast<std::size_t>(at_ - start));
    return bare ? quote_bare_numbers(text) : std::string(text);
  }

  bool fail(const char* expected) { return fail_at(at_, expected); }
  bool fail_at(const char* where, const char* expected) {
    if (failed_) return false;
    failed_ = true;
    const auto offset = static_cast<std::size_t>(where - begin_);
    std::string path;
    for (std::size_t i = 1; i <= depth_; ++i) {
      const Frame& frame = frames_[i];
      if (frame.list) {
        path += '[' + std::to_string(frame.index == 0 ? 0 : frame.index - 1) + ']';
      } else if (!frame.first) {
        if (!path.empty()) path += '.';
        path += sanitize(frame.name, 64);
      }
      if (path.size() > 256) break;
    }
    const std::string_view rest(where, static_cast<std::size_t>(end_ - where));
    fault_ = path.empty() ? "" : path + ": ";
    fault_ += std::string("expected ") + expected + " at byte " + std::to_string(offset);
    if (!hidden_) fault_ += ", found " + (rest.empty() ? "the end" : '"' + sanitize(rest.substr(0, 32), 48) + '"');
    at_ = end_;
    return false;
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  std::size_t depth_ = 0;
  bool failed_ = false;
  bool bare_ = false;
  bool half_pair_ = false;
  bool hidden_ = false;
  std::array<Frame, max_depth + 1> frames_{};
  std::string name_;     // the current member's name, where it has escapes
  std::string scratch_;  // for checking what is skipped
  KeptMembers kept_;
  std::string fault_;
};

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
