#ifndef MLFLOWHA_API_IMPL_JSON_WRITER_IPP
#define MLFLOWHA_API_IMPL_JSON_WRITER_IPP

// Append-only JSON writer for the generated encoders. Numbers are written so that they read back as the same value; NaN
// and infinities as the strings that MLflow expects (a bare NaN makes MLflow store 0); text that isn't UTF-8 and raw
// JSON that isn't JSON are refused with the path of the member.

#include <mlflowha/api/filter.hpp>
#include <mlflowha/api/impl/json_reader.ipp>
#include <mlflowha/api/open_enum.hpp>
#include <mlflowha/api/types.hpp>
#include <mlflowha/core/result.hpp>
#include <mlflowha/core/secret.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

class JsonWriter {
 public:
  /// Appends to `out`. `now_ms` stands in for timestamps that are now_at_call; without it they are left out.
  explicit JsonWriter(std::string& out, std::optional<std::int64_t> now_ms = std::nullopt)
      : out_(out), now_ms_(now_ms) {}

  void begin_object() {
    out_ += '{';
    first_ = true;
    if (depth_ < path_.size()) path_[depth_] = {};
    ++depth_;
  }
  void end_object() {
    out_ += '}';
    first_ = false;
    --depth_;
  }

  /// A member, whatever its value. `name` needs no escaping.
  template <class T>
  void member(std::string_view name, const T& value) {
    key(name);
    put(value);
  }
  /// A member that is left out when it is empty, 0, false or absent.
  template <class T>
  void member_unless_empty(std::string_view name, const T& value) {
    if (!is_empty(value)) member(name, value);
  }
  /// A timestamp that may be now_at_call.
  void time(std::string_view name, std::int64_t value) {
    if (value != now_at_call) {
      member(name, value);
    } else if (now_ms_) {
      member(name, *now_ms_);
    }
  }
  void unknown(const UnknownFields& fields) {
    for (const UnknownField& field : fields) {
      separate();
      at(field.name);
      put_text(field.name);
      out_ += ':';
      put_json(field.json);
      first_ = false;
    }
  }

  [[nodiscard]] bool failed() const noexcept { return !fault_.empty(); }
  /// What is wrong with the value, beginning with its path; empty when all is well.
  [[nodiscard]] const std::string& fault() const noexcept { return fault_; }

  void put(const std::string& value) { put_text(value); }
  template <class S>
    requires std::is_same_v<S, Secret>  // not a text, which converts to one
  void put(const S& value) {
    hidden_ = true;
    put_text(value.reveal());
    hidden_ = false;
  }
  void put(bool value) { out_ += value ? "true" : "false"; }
  void put(std::int32_t value) { put_number(value); }
  void put(std::int64_t value) { put_number(value); }
  void put(double value) {
    if (std::isnan(value)) {
      out_ += "\"NaN\"";
    } else if (std::isinf(value)) {
      out_ += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    } else {
      put_number(value);
    }
  }
  void put(float value) { std::isfinite(value) ? put_number(value) : put(static_cast<double>(value)); }
  void put(const Json& value) { put_json(value.text); }
  void put(const Filter& value) { put_text(value.text()); }
  template <class Names>
  void put(const OpenEnum<Names>& value) {
    std::int64_t number = 0;
    const std::string_view name = value.name();
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size()) {
      put_number(number);
    } else {
      put_text(name);
    }
  }
  template <class T>
  void put(const std::optional<T>& value) {
    if (value) {
      put(*value);
    } else {
      out_ += "null";
    }
  }
  template <class T>
  void put(const std::vector<T>& values) {
    out_ += '[';
    if (depth_ < path_.size()) path_[depth_] = {};
    ++depth_;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i != 0) out_ += ',';
      if (depth_ <= path_.size()) path_[depth_ - 1].index = i;
      put(values[i]);
    }
    --depth_;
    out_ += ']';
  }
  template <class K, class T>
  void put(const std::map<K, T>& values) {
    begin_object();
    for (const auto& [key_of, value] : values) {
      separate();
      std::string name;
      if constexpr (std::is_same_v<K, std::string>) {
        name = key_of;
      } else {
        name = std::to_string(key_of);
      }
      at(name);
      put_text(name);
      out_ += ':';
      put(value);
      first_ = false;
    }
    end_object();
  }
  /// An entity: its encode() is found beside it.
  template <class T>
    requires(std::is_class_v<T> && !std::is_same_v<T, Secret>)
  void put(const T& value) {
    encode(*this, value);
    first_ = false;
  }

  template <class T>
  [[nodiscard]] static bool is_empty(const T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      return value == T{};
    } else if constexpr (requires { value.has_value(); }) {
      return !value.has_value();
    } else if constexpr (requires { value.empty(); }) {
      return value.empty();
    } else {
      return value == T{};
    }
  }

 private:
  struct Step {
    std::string_view name;
    std::size_t index = 0;
  };

  void key(std::string_view name) {
    separate();
    first_ = false;
    at(name);
    out_ += '"';
    out_ += name;
    out_ += "\":";
  }
  void separate() {
    if (!first_) out_ += ',';
  }
  void at(std::string_view name) noexcept {
    if (depth_ >= 1 && depth_ <= path_.size()) path_[depth_ - 1].name = name;
  }

  template <class T>
  void put_number(T value) {
    std::array<char, 32> buffer;
    const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
    out_.append(buffer.data(), result.ptr);
    first_ = false;
  }

  void put_text(std::string_view text) {
    static constexpr char hex[] = "0123456789abcdef";
    out_ += '"';
    std::size_t done = 0;
    for (std::size_t i = 0; i < text.size();) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (c >= 0x80) {
        const std::size_t length =
            utf8_sequence(reinterpret_cast<const unsigned char*>(text.data()) + i, text.size() - i);
        if (length == 0) return fail(text, "is not UTF-8 at byte " + std::to_string(i));
        i += length;
        continue;
      }
      if (c >= 0x20 && c != '"' && c != '\\') {
        ++i;
        continue;
      }
      out_.append(text, done, i - done);
      done = ++i;
      out_ += '\\';
      switch (c) {
        case '"':
        case '\\':
          out_ += static_cast<char>(c);
          break;
        case '\n':
          out_ += 'n';
          break;
        case '\r':
          out_ += 'r';
          break;
        case '\t':
          out_ += 't';
          break;
        default:
          out_ += "u00";
          out_ += hex[c >> 4U];
          out_ += hex[c & 0xFU];
      }
    }
    out_.append(text, done, text.size() - done);
    out_ += '"';
    first_ = false;
  }

  void put_json(std::string_view json) {
    JsonReader reader(json);
    reader.skip();
    reader.end();
    if (reader.failed()) return fail(json, "is not JSON (" + reader.fault() + ")");
    if (reader.saw_bare_number()) {
      out_ += quote_bare_numbers(json);
    } else {
      out_ += json;
    }
    first_ = false;
  }

  void fail(std::string_view value, const std::string& what) {
    if (failed()) return;
    std::string path;
    for (std::size_t i = 0; i < depth_ && i < path_.size(); ++i) {
      if (path_[i].name.empty()) {
        path += '[' + std::to_string(path_[i].index) + ']';
      } else {
        if (!path.empty()) path += '.';
        path += path_[i].name;
      }
    }
    fault_ = sanitize(path, 256) + " " + what;
    if (!hidden_) fault_ += ": \"" + sanitize(value, 64) + '"';
  }

  std::string& out_;
  std::optional<std::int64_t> now_ms_;
  std::array<Step, 32> path_{};
  std::size_t depth_ = 0;
  bool first_ = true;
  bool hidden_ = false;  // the value is a secret
  std::string fault_;
};

/// The JSON text of an entity.
template <class T>
[[nodiscard]] Result<std::string> write_all(std::string_view what, const T& value) {
  std::string json;
  JsonWriter writer(json);
  encode(writer, value);
  if (writer.failed()) return invalid_argument(std::string(what) + ": " + writer.fault());
  return json;
}

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
