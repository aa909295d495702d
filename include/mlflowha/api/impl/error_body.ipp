#ifndef MLFLOWHA_API_IMPL_ERROR_BODY_IPP
#define MLFLOWHA_API_IMPL_ERROR_BODY_IPP

#include <mlflowha/api/error_body.hpp>
#include <mlflowha/api/impl/answer.ipp>
#include <mlflowha/api/impl/json_reader.ipp>

#include <array>
#include <string>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

struct ErrorBody {
  std::string error_code;
  std::string message;
};

/// MLflow's {"error_code", "message"}, FastAPI's {"detail"}, other proxies' {"error"} or {"message"}.
MLFLOWHA_INLINE void decode(JsonReader& in, ErrorBody& body) {
  std::string detail;
  std::string other;
  if (!in.begin_object()) return;
  for (std::string_view key; in.next_member(key);) {
    Json value;
    in.read(value);
    std::string text;
    if (!value.text.empty() && value.text.front() == '"') {
      JsonReader inner(value.text);
      inner.read(text);
    } else if (key != "error_code") {
      text = std::move(value.text);
    }
    if (key == "error_code") {
      body.error_code = std::move(text);
    } else if (key == "message") {
      body.message = std::move(text);
    } else if (key == "detail") {
      detail = std::move(text);
    } else if (key == "error") {
      other = std::move(text);
    }
  }
  if (body.message.empty()) body.message = detail.empty() ? std::move(other) : std::move(detail);
}

/// The message without the values of a failed SQL statement, which SQLAlchemy adds: among them are hashes of passwords
/// (users/create of 2.22.5 and 3.17.2).
MLFLOWHA_INLINE std::string without_sql_values(std::string message) {
  const std::size_t values = message.find("[parameters: ");
  if (values != std::string::npos) message.replace(values, std::string::npos, "[parameters: not shown]");
  return message;
}

/// Whether the bracket that opens at the first byte closes at the last one. No beginning of a JSON object passes, which
/// is what a broken connection or a wrong Content-Length leaves of an answer.
MLFLOWHA_INLINE bool closes_at_its_end(std::string_view text) noexcept {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth <= 1) return i + 1 == text.size();
      --depth;
    }
  }
  return false;
}

MLFLOWHA_INLINE bool is_web_page(std::string_view content_type) noexcept {
  constexpr std::string_view html = "text/html";
  if (content_type.size() < html.size()) return false;
  for (std::size_t i = 0; i < html.size(); ++i) {
    const char c = content_type[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != html[i]) return false;
  }
  return true;
}

}  // namespace detail

namespace api {

MLFLOWHA_INLINE Errc errc_of(std::string_view error_code) noexcept {
  struct Row {
    std::string_view name;
    Errc code;
  };
  static constexpr std::array<Row, 25> rows{{
      {"BAD_REQUEST", Errc::rejected},
      {"INVALID_PARAMETER_VALUE", Errc::rejected},
      {"QUOTA_EXCEEDED", Errc::rejected},
      {"RESOURCE_LIMIT_EXCEEDED", Errc::rejected},
      {"RESOURCE_DOES_NOT_EXIST", Errc::not_found},
      {"NOT_FOUND", Errc::not_found},
      {"RESOURCE_ALREADY_EXISTS", Errc::already_exists},
      {"ALREADY_EXISTS", Errc::already_exists},
      {"PERMISSION_DENIED", Errc::permission_denied},
      {"UNAUTHENTICATED", Errc::unauthenticated},
      {"CUSTOMER_UNAUTHORIZED", Errc::unauthenticated},
      {"REQUEST_LIMIT_EXCEEDED", Errc::rate_limited},
      {"RESOURCE_EXHAUSTED", Errc::rate_limited},
      {"ABORTED", Errc::conflict},
      {"RESOURCE_CONFLICT", Errc::conflict},
      {"INVALID_STATE", Errc::conflict},
      {"INVALID_STATE_TRANSITION", Errc::conflict},
      {"INTERNAL_ERROR", Errc::server_error},
      {"DATA_LOSS", Errc::server_error},
      {"CANCELLED", Errc::server_error},
      {"TEMPORARILY_UNAVAILABLE", Errc::unavailable},
      {"DEADLINE_EXCEEDED", Errc::unavailable},
      {"NOT_IMPLEMENTED", Errc::not_implemented},
      {"ENDPOINT_NOT_FOUND", Errc::not_implemented},
      {"FEATURE_DISABLED", Errc::not_implemented},
  }};
  for (const Row& row : rows) {
    if (row.name == error_code) return row.code;
  }
  return Errc::internal;
}

MLFLOWHA_INLINE Errc errc_of(int http_status) noexcept {
  switch (http_status) {
    case 401:
      return Errc::unauthenticated;
    case 403:
      return Errc::permission_denied;
    case 404:  // MLflow's own "not found" has a body: this is a route that nobody serves
    case 405:
    case 501:
      return Errc::not_implemented;
    case 408:
    case 502:
    case 503:
    case 504:
      return Errc::unavailable;
    case 409:
      return Errc::conflict;
    case 429:
      return Errc::rate_limited;
    default:
      break;
  }
  if (http_status >= 300 && http_status < 400) return Errc::redirect_refused;
  if (http_status >= 400 && http_status < 500) return Errc::rejected;
  if (http_status >= 500 && http_status < 600) return Errc::server_error;
  return Errc::bad_response;
}

MLFLOWHA_INLINE Error decode_error(const Response& response) {
  Error error;
  error.http_status = response.status;
  auto body = detail::read_message<detail::ErrorBody>("error", response.body);
  const bool json = body.has_value() && !response.body.empty();
  if (json) {
    // A code is an identifier; anything else is not MLflow's and would only help to forge log lines.
    for (const char c : body->error_code) {
      if (error.error_code.size() < 64 && ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) {
        error.error_code += c;
      } else {
        error.error_code.clear();
        break;
      }
    }
    error.message = sanitize(detail::without_sql_values(std::move(body->message)));
  }
  error.code = errc_of(std::string_view(error.error_code));
  if (error.code == Errc::internal) {
    error.code = errc_of(response.status);
    if (json && response.status == 404) error.code = error.error_code.empty() ? Errc::not_implemented : Errc::not_found;
  }
  if (error.message.empty()) {
    error.message = "HTTP " + std::to_string(response.status);
    if (!json && !response.body.empty()) {
      error.message += ": " + sanitize(detail::without_sql_values(response.body.substr(0, 260)), 256);
    }
  }
  return error;
}

MLFLOWHA_INLINE Result<void> check_answer(const Operation& operation, const Response& response) {
  bool good = false;
  const char* expected = "a JSON object";
  if (operation.answer == AnswerKind::bytes) {
    // Any bytes may be a file, also a web page: but MLflow sends files as attachments, and a proxy its login page not.
    good = !detail::is_web_page(response.header("content-type")) || !response.header("content-disposition").empty();
    expected = "a file";
  } else {
    const std::string_view body = detail::object_of(response.body);
    const std::size_t first = body.find_first_not_of(" \t\r\n");
    good = first != std::string_view::npos &&
           (operation.answer == AnswerKind::text ? body[first] != '<'
                                                 : body[first] == '{' && detail::closes_at_its_end(body.substr(first)));
  }
  if (good) return {};
  Error error = detail::bad_response(operation.name, std::string("expected ") + expected + " in the answer, found \"" +
                                                         sanitize(response.body, 64) + '"');
  error.http_status = response.status;
  return error;
}

}  // namespace api

MLFLOWHA_END_NAMESPACE

#endif
