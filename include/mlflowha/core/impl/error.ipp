#ifndef MLFLOWHA_CORE_IMPL_ERROR_IPP
#define MLFLOWHA_CORE_IMPL_ERROR_IPP

#include <mlflowha/core/error.hpp>
#include <mlflowha/core/impl/utf8.ipp>

#include <fmt/format.h>

#include <cstdlib>
#include <iterator>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE ErrorKind Error::kind() const noexcept {
  switch (code) {
    case Errc::invalid_argument:
    case Errc::invalid_config:
    case Errc::invalid_endpoint:
    case Errc::rejected:
      return ErrorKind::invalid_argument;
    case Errc::no_endpoint:
    case Errc::wrong_database:
      return ErrorKind::no_endpoint;
    case Errc::circuit_open:
      return ErrorKind::circuit_open;
    case Errc::connect_failed:
    case Errc::connection_lost:
    case Errc::budget_exhausted:
    case Errc::server_error:
    case Errc::unavailable:
      return ErrorKind::unavailable;
    case Errc::deadline_exceeded:
    case Errc::attempt_timeout:
      return ErrorKind::timeout;
    case Errc::cancelled:
      return ErrorKind::cancelled;
    case Errc::not_found:
      return ErrorKind::not_found;
    case Errc::already_exists:
      return ErrorKind::already_exists;
    case Errc::permission_denied:
      return ErrorKind::permission_denied;
    case Errc::unauthenticated:
      return ErrorKind::unauthenticated;
    case Errc::rate_limited:
      return ErrorKind::rate_limited;
    case Errc::conflict:
      return ErrorKind::conflict;
    case Errc::not_implemented:
    case Errc::unsupported_by_server:
      return ErrorKind::not_implemented;
    case Errc::bad_response:
    case Errc::redirect_refused:
      return ErrorKind::protocol;
    case Errc::storage_failed:
    case Errc::storage_full:
    case Errc::storage_corrupt:
      return ErrorKind::storage;
    case Errc::internal:
    case Errc::out_of_resources:
      return ErrorKind::internal;
  }
  return ErrorKind::internal;
}

MLFLOWHA_INLINE std::string_view to_string(Errc code) noexcept {
  switch (code) {
    case Errc::invalid_argument:
      return "invalid_argument";
    case Errc::invalid_config:
      return "invalid_config";
    case Errc::invalid_endpoint:
      return "invalid_endpoint";
    case Errc::no_endpoint:
      return "no_endpoint";
    case Errc::circuit_open:
      return "circuit_open";
    case Errc::connect_failed:
      return "connect_failed";
    case Errc::connection_lost:
      return "connection_lost";
    case Errc::deadline_exceeded:
      return "deadline_exceeded";
    case Errc::cancelled:
      return "cancelled";
    case Errc::budget_exhausted:
      return "budget_exhausted";
    case Errc::attempt_timeout:
      return "attempt_timeout";
    case Errc::not_found:
      return "not_found";
    case Errc::already_exists:
      return "already_exists";
    case Errc::permission_denied:
      return "permission_denied";
    case Errc::unauthenticated:
      return "unauthenticated";
    case Errc::rate_limited:
      return "rate_limited";
    case Errc::rejected:
      return "rejected";
    case Errc::conflict:
      return "conflict";
    case Errc::server_error:
      return "server_error";
    case Errc::unavailable:
      return "unavailable";
    case Errc::not_implemented:
      return "not_implemented";
    case Errc::unsupported_by_server:
      return "unsupported_by_server";
    case Errc::bad_response:
      return "bad_response";
    case Errc::redirect_refused:
      return "redirect_refused";
    case Errc::wrong_database:
      return "wrong_database";
    case Errc::storage_failed:
      return "storage_failed";
    case Errc::storage_full:
      return "storage_full";
    case Errc::storage_corrupt:
      return "storage_corrupt";
    case Errc::internal:
      return "internal";
    case Errc::out_of_resources:
      return "out_of_resources";
  }
  return "unknown";
}

MLFLOWHA_INLINE std::string_view to_string(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return "invalid_argument";
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::already_exists:
      return "already_exists";
    case ErrorKind::unauthenticated:
      return "unauthenticated";
    case ErrorKind::permission_denied:
      return "permission_denied";
    case ErrorKind::rate_limited:
      return "rate_limited";
    case ErrorKind::conflict:
      return "conflict";
    case ErrorKind::unavailable:
      return "unavailable";
    case ErrorKind::timeout:
      return "timeout";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::circuit_open:
      return "circuit_open";
    case ErrorKind::no_endpoint:
      return "no_endpoint";
    case ErrorKind::not_implemented:
      return "not_implemented";
    case ErrorKind::protocol:
      return "protocol";
    case ErrorKind::internal:
      return "internal";
    case ErrorKind::storage:
      return "storage";
  }
  return "unknown";
}

MLFLOWHA_INLINE std::string_view to_string(Effect effect) noexcept {
  switch (effect) {
    case Effect::none:
      return "none";
    case Effect::unknown:
      return "unknown";
    case Effect::applied:
      return "applied";
  }
  return "unknown";
}

MLFLOWHA_INLINE std::string_view to_string(StopReason reason) noexcept {
  switch (reason) {
    case StopReason::none:
      return "none";
    case StopReason::permanent:
      return "permanent";
    case StopReason::non_idempotent:
      return "non_idempotent";
    case StopReason::attempts_exhausted:
      return "attempts_exhausted";
    case StopReason::deadline:
      return "deadline";
    case StopReason::budget:
      return "budget";
    case StopReason::circuit_open:
      return "circuit_open";
    case StopReason::no_endpoint:
      return "no_endpoint";
    case StopReason::cancelled:
      return "cancelled";
    case StopReason::unsupported:
      return "unsupported";
  }
  return "unknown";
}

MLFLOWHA_INLINE std::string describe(const Error& error) {
  std::string text(to_string(error.code));
  auto out = std::back_inserter(text);
  if (error.http_status != 0) fmt::format_to(out, " (HTTP {})", error.http_status);
  if (!error.error_code.empty()) fmt::format_to(out, " {}", error.error_code);
  if (!error.message.empty()) fmt::format_to(out, ": {}", error.message);
  if (error.stop_reason != StopReason::none) {
    fmt::format_to(out, "\n  stopped: {}; effect on the server: {}", to_string(error.stop_reason),
                   to_string(error.effect));
  }
  for (std::size_t i = 0; i < error.attempts.size(); ++i) {
    const AttemptRecord& a = error.attempts[i];
    const auto ms = [](std::chrono::nanoseconds d) { return std::chrono::duration<double, std::milli>(d).count(); };
    fmt::format_to(out, "\n  {}. {} {} at +{:.1f} ms for {:.1f} ms: {}{}", i + 1, a.purpose, a.endpoint, ms(a.started),
                   ms(a.duration), a.outcome, a.maybe_applied ? " (may have been applied)" : "");
  }
  if (!error.request_id.empty()) fmt::format_to(out, "\n  request id: {}", error.request_id);
  return text;
}

MLFLOWHA_INLINE std::string sanitize(std::string_view foreign, std::size_t max_bytes) {
  static constexpr std::string_view more = "...";
  std::string text;
  text.reserve(foreign.size() < max_bytes ? foreign.size() : max_bytes);
  std::size_t cut = 0;  // the longest prefix of whole characters that leaves room for "..."
  const auto* bytes = reinterpret_cast<const unsigned char*>(foreign.data());
  for (std::size_t i = 0; i < foreign.size();) {
    const std::size_t length = detail::utf8_sequence(bytes + i, foreign.size() - i);
    const bool c0_control = length == 1 && (bytes[i] < 0x20 || bytes[i] == 0x7F);
    const bool c1_control = length == 2 && bytes[i] == 0xC2 && bytes[i + 1] < 0xA0;
    if (length == 0 || c0_control || c1_control) {
      fmt::format_to(std::back_inserter(text), "\\x{:02X}", bytes[i]);
      ++i;
    } else {
      text.append(foreign.substr(i, length));
      i += length;
    }
    if (text.size() > max_bytes) {
      text.resize(cut);
      if (max_bytes >= more.size()) text += more;
      return text;
    }
    if (text.size() + more.size() <= max_bytes) cut = text.size();
  }
  return text;
}

MLFLOWHA_INLINE bool is_transient(const Error& error) noexcept {
  switch (error.kind()) {
    case ErrorKind::unavailable:
    case ErrorKind::timeout:
    case ErrorKind::circuit_open:
    case ErrorKind::rate_limited:
      return true;
    default:
      return false;
  }
}

MLFLOWHA_INLINE Error invalid_argument(std::string message) {
  Error error;
  error.code = Errc::invalid_argument;
  error.message = std::move(message);
  return error;
}

MLFLOWHA_INLINE Exception::Exception(Error error) : error_(std::move(error)), what_(describe(error_)) {}

MLFLOWHA_INLINE const char* Exception::what() const noexcept { return what_.c_str(); }

namespace detail {

MLFLOWHA_INLINE void throw_exception(Error error) {
#if defined(__cpp_exceptions)
  throw Exception(std::move(error));
#else
  static_cast<void>(error);
  std::terminate();
#endif
}

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
