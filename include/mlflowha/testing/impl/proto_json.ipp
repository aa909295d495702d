#ifndef MLFLOWHA_TESTING_IMPL_PROTO_JSON_IPP
#define MLFLOWHA_TESTING_IMPL_PROTO_JSON_IPP

// How an MLflow server reads a request: JSON (or a query) becomes a protobuf message field by field, in the order of
// the JSON text, and stops silently at the first field that doesn't fit; only then is the raw JSON checked against a
// few rules per field. This order decides what is stored for odd input (a bare NaN is stored as 0), so it is imitated.

#include <mlflowha/api/proto_time.hpp>
#include <mlflowha/http/message.hpp>
#include <mlflowha/testing/impl/mlflow_errors.ipp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

using Json = nlohmann::ordered_json;

/// A member of an object, null when it isn't there.
MLFLOWHA_INLINE const Json* member(const Json& object, std::string_view name) {
  const auto found = object.find(std::string(name));  // nlohmann 3.10 wants exactly its key type
  return found == object.end() ? nullptr : &*found;
}

/// An error answer on its way out of the handlers.
struct Refusal {
  std::string error_code;
  std::string message;
};
/// A bug or crash inside the server: the web framework's 500 page.
struct Crash {};

[[noreturn]] MLFLOWHA_INLINE void refuse(std::string message, std::string error_code = "INVALID_PARAMETER_VALUE") {
  throw Refusal{std::move(error_code), std::move(message)};
}

enum class FieldType : std::uint8_t {
  text,
  integer,
  real,
  boolean,
  view_type,
  run_status,
  message,
  word,       ///< an enum's name, of `words`; kept as text
  timestamp,  ///< kept as milliseconds, as is
  duration,
  mask,   ///< google.protobuf.FieldMask; kept as a list of names
  texts,  ///< map<string, string>
  value,  ///< google.protobuf.Value: any JSON, whose numbers are doubles
};

struct MessageType;
struct Field {
  std::string_view name;
  std::string_view camel_name;
  FieldType type;
  bool repeated = false;
  const MessageType* message = nullptr;
  const std::vector<std::string_view>* words = nullptr;  ///< by number, from 0 on
};
struct MessageType {
  std::vector<Field> fields;
  [[nodiscard]] const Field* find(std::string_view key) const noexcept {
    for (const Field& field : fields) {
      if (field.name == key || field.camel_name == key) return &field;
    }
    return nullptr;
  }
};

/// Stands for a bare NaN or Infinity, which Python's parser accepts and JSON has no word for. Fits no field.
inline constexpr std::string_view bare_number = "\x01 bare number";

/// Replaces bare NaN, Infinity and -Infinity outside of strings.
MLFLOWHA_INLINE std::string without_bare_numbers(std::string_view text) {
  std::string result;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\' && i + 1 < text.size()) result += text[i++];
      if (c == '"') in_string = false;
      result += text[i];
      continue;
    }
    bool replaced = false;
    for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
      if (text.substr(i, word.size()) != word) continue;
      result += json_string(bare_number);
      i += word.size() - 1;
      replaced = true;
      break;
    }
    if (replaced) continue;
    if (c == '"') in_string = true;
    result += c;
  }
  return result;
}

MLFLOWHA_INLINE std::optional<Json> parse_python_json(std::string_view text) {
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) value = Json::parse(without_bare_numbers(text), nullptr, false);
  if (value.is_discarded()) return std::nullopt;
  return value;
}

/// A number out of text as Python's int() and float() read it, as far as it matters here.
template <class T>
std::optional<T> number_from(std::string_view text) {
  T value{};
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

MLFLOWHA_INLINE std::optional<double> real_from(std::string_view text) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return infinity;
  if (text == "-Infinity") return -infinity;
  const Json value = Json::parse(text, nullptr, false);  // independent of the locale
  if (!value.is_number()) return std::nullopt;
  return value.get<double>();
}

MLFLOWHA_INLINE std::optional<std::int64_t> to_integer(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (number != std::floor(number) || !(std::fabs(number) < 9.2e18)) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_string()) return number_from<std::int64_t>(value.get_ref<const std::string&>());
  return std::nullopt;
}

MLFLOWHA_INLINE std::optional<double> to_real(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (value.is_number()) {
    const double number = value.get<double>();
    if (!std::isfinite(number)) return std::nullopt;
    return number;
  }
  if (value.is_string()) return real_from(value.get_ref<const std::string&>());
  return std::nullopt;
}

/// Number of an enum value; 0 for a name that isn't known, which leaves the field unset.
MLFLOWHA_INLINE std::optional<std::int64_t> to_enum(const Json& value, FieldType type) {
  static constexpr std::string_view views[] = {"ACTIVE_ONLY", "DELETED_ONLY", "ALL"};
  static constexpr std::string_view states[] = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"};
  const std::string_view* names = type == FieldType::view_type ? views : states;
  const std::int64_t count = type == FieldType::view_type ? std::ssize(views) : std::ssize(states);
  if (value.is_string()) {
    for (std::int64_t i = 0; i < count; ++i) {
      if (value.get_ref<const std::string&>() == names[i]) return i + 1;
    }
    if (const auto number = to_integer(value)) return *number >= 1 && *number <= count ? *number : 0;
    return 0;
  }
  const auto number = to_integer(value);
  if (!number) return std::nullopt;
  return *number >= 1 && *number <= count ? *number : 0;
}

/// Name of an enum value; "" for one that isn't known, which leaves the field unset.
MLFLOWHA_INLINE std::optional<std::string> to_word(const Json& value, const std::vector<std::string_view>& words) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (std::find(words.begin(), words.end(), text) != words.end()) return text;
  }
  const auto number = to_integer(value);
  if (number)
    return std::string(*number >= 0 && *number < std::ssize(words) ? words[static_cast<std::size_t>(*number)] : "");
  return value.is_string() ? std::optional<std::string>("") : std::nullopt;
}

/// "feedback,assessmentName" as a list of the fields' names. Names with underscores don't fit.
MLFLOWHA_INLINE std::optional<Json> to_mask(const std::string& text) {
  Json names = Json::array();
  std::string name;
  for (const char c : text + ",") {
    if (c == '_') return std::nullopt;
    if (c == ',') {
      if (!name.empty()) names.push_back(std::exchange(name, {}));
    } else if (c >= 'A' && c <= 'Z') {
      name += '_';
      name += static_cast<char>(c - 'A' + 'a');
    } else {
      name += c;
    }
  }
  return names;
}

/// With doubles for numbers; nothing for what is nested deeper than protobuf reads it.
MLFLOWHA_INLINE std::optional<Json> with_doubles(Json value, int depth = 0) {
  constexpr int deepest = 95;
  if (value.is_number_integer()) return value.get<double>();
  if (!value.is_structured()) return value;
  if (depth == deepest) return std::nullopt;
  for (Json& element : value) {
    std::optional<Json> converted = with_doubles(std::move(element), depth + 1);
    if (!converted) return std::nullopt;
    element = std::move(*converted);
  }
  return value;
}

/// JSON in a text, as json.loads reads it; nothing for what isn't JSON, or nested deeper than Python's stack goes.
MLFLOWHA_INLINE std::optional<Json> json_from(std::string_view text) {
  constexpr int deepest = 900;
  bool too_deep = false;
  Json value = Json::parse(
      text,
      [&](int depth, Json::parse_event_t, Json&) {
        too_deep = too_deep || depth > deepest;
        return !too_deep;
      },
      false);
  if (too_deep || value.is_discarded()) return std::nullopt;
  return value;
}

/// json.dumps(value): blanks after commas and colons, ASCII only.
MLFLOWHA_INLINE std::string python_json(const Json& value) {
  std::string text;
  if (value.is_object()) {
    for (const auto& [key, element] : value.items()) {
      text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", json_string(key), python_json(element));
    }
    return "{" + text + "}";
  }
  if (value.is_array()) {
    for (const Json& element : value) text += (text.empty() ? "" : ", ") + python_json(element);
    return "[" + text + "]";
  }
  return value.dump(-1, ' ', true, Json::error_handler_t::replace);
}

MLFLOWHA_INLINE bool fill_message(const Json& object, const MessageType& type, Json& message);

/// Converts one value into `target`; false when it doesn't fit. What was converted before that stays.
MLFLOWHA_INLINE bool fill_value(const Json& value, const Field& field, Json& target) {
  switch (field.type) {
    case FieldType::text:
      if (!value.is_string() || value.get_ref<const std::string&>() == bare_number) return false;
      target = value;
      return true;
    case FieldType::integer:
      if (const auto number = to_integer(value)) {
        target = *number;
        return true;
      }
      return false;
    case FieldType::real:
      if (const auto number = to_real(value)) {
        target = *number;
        return true;
      }
      return false;
    case FieldType::boolean:
      if (value.is_string()) {
        target = value == "true";
        return value == "true" || value == "false";
      }
      target = value;
      return value.is_boolean();
    case FieldType::view_type:
    case FieldType::run_status:
      if (const auto number = to_enum(value, field.type)) {
        if (*number != 0) target = *number;
        return true;
      }
      return false;
    case FieldType::message:
      target = Json::object();
      return value.is_object() && fill_message(value, *field.message, target);
    case FieldType::word:
      if (const auto word = to_word(value, *field.words)) {
        if (!word->empty()) target = *word;
        return true;
      }
      return false;
    case FieldType::timestamp: {
      const auto time = value.is_string() ? parse_timestamp(value.get_ref<const std::string&>()) : parse_timestamp("");
      if (time) target = time->time_since_epoch().count();
      return time.has_value();
    }
    case FieldType::duration: {
      const auto span = value.is_string() ? parse_duration(value.get_ref<const std::string&>()) : parse_duration("");
      if (span) target = std::chrono::duration_cast<std::chrono::milliseconds>(*span).count();
      return span.has_value();
    }
    case FieldType::mask: {
      auto names = value.is_string() ? to_mask(value.get<std::string>()) : std::nullopt;
      if (names) target = std::move(*names);
      return names.has_value();
    }
    case FieldType::texts: {
      target = Json::object();
      if (!value.is_object()) return false;
      for (const auto& [key, element] : value.items()) {
        if (!element.is_string() || element == bare_number) return false;
        target[key] = element;
      }
      return true;
    }
    case FieldType::value: {
      std::optional<Json> converted = with_doubles(value);
      if (converted) target = std::move(*converted);
      return converted.has_value();
    }
  }
  return false;
}

MLFLOWHA_INLINE bool fill_message(const Json& object, const MessageType& type, Json& message) {
  for (const auto& [key, value] : object.items()) {
    const Field* field = type.find(key);
    if (field == nullptr || value.is_null()) continue;
    const std::string name(field->name);
    if (!field->repeated) {
      Json converted;
      const bool fits = fill_value(value, *field, converted);
      if (!converted.is_null()) message[name] = std::move(converted);
      if (!fits) return false;
      continue;
    }
    if (!value.is_array()) return false;
    Json& list = message[name] = Json::array();
    for (const Json& element : value) {
      Json converted;
      const bool fits = !element.is_null() && fill_value(element, *field, converted);
      if (!converted.is_null()) list.push_back(std::move(converted));
      if (!fits) return false;
    }
  }
  return true;
}

/// A request as a handler sees it: the raw JSON for the checks, the message for the values.
class ParsedRequest {
 public:
  ParsedRequest(Json raw, const MessageType& type) : raw_(std::move(raw)), message_(Json::object()) {
    if (!raw_.is_object()) throw Crash{};
    for (const Field& field : type.fields) {
      if (field.name != field.camel_name && member(raw_, field.name) && member(raw_, field.camel_name)) {
        refuse(fmt::format("Request specifies both '{}' and '{}'; provide only one of them.", field.name,
                           field.camel_name));
      }
    }
    complete_ = fill_message(raw_, type, message_);
  }

  // Checks of the raw JSON, in MLflow's words.
  ParsedRequest& required(std::string_view name) {
    const Json* value = raw(name);
    if (value == nullptr && name == "run_id") value = raw("run_uuid");
    if (value == nullptr || (value->is_string() && value->get_ref<const std::string&>().empty())) {
      refuse(fmt::format("Missing value for required parameter '{}'.{}", name, see_docs));
    }
    return *this;
  }
  ParsedRequest& text(std::string_view name) {
    return check(name, [](const Json& value) { return value.is_string(); });
  }
  ParsedRequest& list(std::string_view name) {
    return check(name, [](const Json& value) { return value.is_array(); });
  }
  /// A number that may be `limit` at most, whatever its type.
  ParsedRequest& at_most(std::string_view name, std::int64_t limit) {
    const Json* value = raw(name);
    const auto number = value == nullptr ? std::nullopt : to_integer(*value);
    if (number && *number > limit) invalid(name);
    return *this;
  }
  ParsedRequest& text_list(std::string_view name) {
    list(name);
    return check(name, [](const Json& value) {
      for (const Json& element : value) {
        if (!element.is_string()) return false;
      }
      return true;
    });
  }
  ParsedRequest& integer(std::string_view name) {
    return check(name, [](const Json& value) {
      if (value.is_string()) return number_from<std::int64_t>(value.get_ref<const std::string&>()).has_value();
      if (!value.is_number() && !value.is_boolean()) throw Crash{};
      return true;
    });
  }
  ParsedRequest& real(std::string_view name) {
    return check(name, [](const Json& value) {
      if (!value.is_string()) return value.is_number() || value.is_boolean();
      const auto& text = value.get_ref<const std::string&>();
      return text == bare_number || real_from(text).has_value();
    });
  }
  /// Elements of a list that have to carry a field.
  ParsedRequest& required_in(std::string_view list_name, std::string_view name) {
    const Json* list_value = raw(list_name);
    if (list_value == nullptr || !list_value->is_array()) return *this;
    for (std::size_t i = 0; i < list_value->size(); ++i) {
      const Json& element = (*list_value)[i];
      if (!element.is_object()) throw Crash{};
      const Json* found = member(element, name);
      // empty() of a JSON string asks for null, not for "".
      if (found == nullptr || found->is_null() || *found == "") {  // NOLINT(readability-container-size-empty)
        refuse(fmt::format("Missing value for required parameter '{}[{}].{}'.{}", list_name, i, name, see_docs));
      }
    }
    return *this;
  }
  [[noreturn]] void invalid(std::string_view name) const {
    const Json* value = raw(name);
    refuse(fmt::format("Invalid value {} for parameter '{}' supplied:  Hint: Value was of type '{}'.{}",
                       compact(*value), name, python_type(*value), see_docs));
  }

  // Values of the message.
  [[nodiscard]] bool has(std::string_view name) const { return member(message_, name) != nullptr; }
  [[nodiscard]] std::string text_value(std::string_view name) const { return text_of(message_, name); }
  [[nodiscard]] std::int64_t integer_value(std::string_view name) const { return integer_of(message_, name); }
  [[nodiscard]] double real_value(std::string_view name) const { return real_of(message_, name); }
  [[nodiscard]] bool flag_value(std::string_view name) const {
    const Json* found = member(message_, name);
    return found != nullptr && found->get<bool>();
  }
  [[nodiscard]] std::string run_id() const { return has("run_id") ? text_value("run_id") : text_value("run_uuid"); }
  /// Of a field that is a message or a map; empty when it isn't there.
  [[nodiscard]] const Json& object_value(std::string_view name) const { return object_of(message_, name); }
  static const Json& object_of(const Json& object, std::string_view name) {
    static const Json none = Json::object();
    const Json* found = member(object, name);
    return found == nullptr ? none : *found;
  }
  [[nodiscard]] const Json& list_value(std::string_view name) const { return elements_of(message_, name); }
  static const Json& elements_of(const Json& object, std::string_view name) {
    static const Json none = Json::array();
    const Json* found = member(object, name);
    return found == nullptr ? none : *found;
  }
  static std::string text_of(const Json& object, std::string_view name) {
    const Json* found = member(object, name);
    return found == nullptr ? std::string() : found->get<std::string>();
  }
  static std::int64_t integer_of(const Json& object, std::string_view name) {
    const Json* found = member(object, name);
    return found == nullptr ? 0 : found->get<std::int64_t>();
  }
  static double real_of(const Json& object, std::string_view name) {
    const Json* found = member(object, name);
    return found == nullptr ? 0 : found->get<double>();
  }

  /// False when a field didn't fit.
  [[nodiscard]] bool is_complete() const noexcept { return complete_; }

  static std::string_view python_type(const Json& value) {
    if (value.is_string()) return "str";
    if (value.is_boolean()) return "bool";
    if (value.is_number_float()) return "float";
    if (value.is_number()) return "int";
    if (value.is_array()) return "list";
    return value.is_object() ? "dict" : "NoneType";
  }
  /// json.dumps(value, sort_keys=True, separators=(",", ":"))
  static std::string compact(const Json& value) {
    return nlohmann::json(value).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  }

 private:
  static constexpr const char* see_docs = " See the API docs for more information about request parameters.";

  [[nodiscard]] const Json* raw(std::string_view name) const {
    const Json* found = member(raw_, name);
    return found == nullptr || found->is_null() ? nullptr : found;
  }
  /// Types are looked at only when the message could not be read.
  template <class Accepts>
  ParsedRequest& check(std::string_view name, Accepts accepts) {
    const Json* value = complete_ ? nullptr : raw(name);
    if (value != nullptr && !accepts(*value)) invalid(name);
    return *this;
  }

  Json raw_;
  Json message_;
  bool complete_ = false;
};

/// In a query a plus sign stands for a blank, in a path for itself.
MLFLOWHA_INLINE std::string percent_decode(std::string_view text, bool in_query = true) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      decoded += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      decoded += in_query && text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

/// A query as JSON of strings; fields that are lists in the message become lists.
MLFLOWHA_INLINE Json query_json(std::string_view query, const MessageType& type) {
  Json object = Json::object();
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    const std::string name = percent_decode(pair.substr(0, equals));
    const std::string value = equals == std::string_view::npos ? "" : percent_decode(pair.substr(equals + 1));
    const Field* field = type.find(name);
    if (field == nullptr || field->name != name) continue;
    if (field->repeated) {
      object[name].push_back(value);
    } else if (!object.contains(name)) {
      object[name] = value;
    }
  }
  return object;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
