#ifndef MLFLOWHA_CORE_ERROR_HPP
#define MLFLOWHA_CORE_ERROR_HPP

// Error: everything a failed call can say about itself. What happened (code, kind, HTTP status, MLflow's own
// error_code), what it may have left behind (effect), why no further attempt was made (stop_reason) and what was tried
// (attempts). Every operation returns it inside Result<T>; Exception carries the same value for those who throw.

#include <mlflowha/config.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

/// What went wrong, as a number that never changes its meaning. Retired numbers stay here as comments.
enum class Errc : std::int32_t {
  // 1xx: the caller's input, found before anything was sent
  invalid_argument = 100,  ///< a value breaks a rule of MLflow's or ours; the message names field, value and rule
  invalid_config = 101,    ///< options or environment; the message lists every fault
  invalid_endpoint = 102,  ///< an endpoint or endpoint list can't be used

  // 2xx: no server answered
  no_endpoint = 200,        ///< no endpoint may be tried: all refused, forced open or removed
  circuit_open = 201,       ///< every endpoint's circuit breaker is open and the next probe is past the deadline
  connect_failed = 202,     ///< name resolution, connect or TLS failed; nothing was sent
  connection_lost = 203,    ///< the connection died after the request was (partly) sent
  deadline_exceeded = 204,  ///< the call's deadline passed
  cancelled = 205,          ///< the caller's CancellationToken was triggered
  budget_exhausted = 206,   ///< the retry budget of this client is spent
  attempt_timeout = 207,    ///< an attempt got no (complete) answer in time

  // 3xx: a server answered with an error
  not_found = 300,
  already_exists = 301,
  permission_denied = 302,
  unauthenticated = 303,
  rate_limited = 304,
  rejected = 305,  ///< a 4xx without a better name, e.g. INVALID_PARAMETER_VALUE
  conflict = 306,
  server_error = 307,           ///< a 5xx that is not an outage
  unavailable = 308,            ///< 502, 503, 504, or an answer that shows the backend database failing
  not_implemented = 309,        ///< the server doesn't know the operation
  unsupported_by_server = 310,  ///< every endpoint runs a release that is too old for the operation

  // 4xx: an answer that can't be used
  bad_response = 400,      ///< not HTTP, not JSON, wrong shape, too large, too deep, bad encoding
  redirect_refused = 401,  ///< a redirect to another origin
  wrong_database = 402,    ///< an endpoint fronts another database than the rest of the list

  // 5xx: this machine's disk: the spool, and files that are moved
  storage_failed = 500,   ///< it can't be read or written (permissions, I/O, locked by another process, has shrunk)
  storage_full = 501,     ///< no room: the disk or the spool's own cap; nothing of this record was taken
  storage_corrupt = 502,  ///< bytes that are no spool or no record of ours

  // 9xx: this process
  internal = 900,          ///< a broken invariant of this library: please report it
  out_of_resources = 901,  ///< the system gives this process no more threads or files
};

/// The small closed set to branch on.
enum class ErrorKind : std::uint8_t {
  invalid_argument,
  not_found,
  already_exists,
  unauthenticated,
  permission_denied,
  rate_limited,
  conflict,
  unavailable,  ///< nobody could serve the call; trying later may help
  timeout,
  cancelled,
  circuit_open,
  no_endpoint,
  not_implemented,
  protocol,  ///< the answer makes no sense
  internal,
  storage,  ///< this machine's disk, not a server
};

/// Whether the server may have carried out the request although the call failed.
enum class Effect : std::uint8_t {
  none,     ///< certainly not applied
  unknown,  ///< may or may not have been applied, or may still be
  applied,  ///< certainly applied (for instance the reply was lost and the object was found afterwards)
};

/// Why no further attempt was made.
enum class StopReason : std::uint8_t {
  none,                ///< the call never started an attempt loop (bad input, bad config)
  permanent,           ///< the answer would be the same anywhere and later
  non_idempotent,      ///< sending again could do it twice
  attempts_exhausted,  ///< RetryOptions::max_attempts reached
  deadline,            ///< no time left for another attempt
  budget,              ///< the retry budget is spent
  circuit_open,        ///< no breaker admits a call before the deadline
  no_endpoint,         ///< every endpoint is refused or forced open
  cancelled,
  unsupported,  ///< every endpoint runs a release that is too old
};

/// How one attempt ended, for the story in Error::attempts.
struct AttemptRecord {
  std::string endpoint;                 ///< origin, e.g. "http://a:5000"; never credentials
  std::string purpose;                  ///< "call", "verify", "identify", "version" or "probe"
  std::string outcome;                  ///< e.g. "connect refused", "503 TEMPORARILY_UNAVAILABLE", "timeout"
  std::chrono::nanoseconds started{0};  ///< since the start of the call
  std::chrono::nanoseconds duration{0};
  int http_status = 0;         ///< 0 when nothing was answered
  int transport_code = 0;      ///< libcurl's CURLcode, 0 when not applicable
  bool maybe_applied = false;  ///< this attempt may have had an effect on the server

  friend bool operator==(const AttemptRecord&, const AttemptRecord&) = default;
};

/// A failed call. Plain value: copy, compare, keep. Holds no secrets; text that came from a server is truncated and its
/// control characters are escaped, but it is still foreign text.
struct Error {
  Errc code = Errc::internal;
  int http_status = 0;     ///< status of the answer that decided, 0 when none
  std::string error_code;  ///< MLflow's error_code verbatim, e.g. "RESOURCE_DOES_NOT_EXIST"
  std::string message;     ///< for people; never needed for branching
  Effect effect = Effect::none;
  StopReason stop_reason = StopReason::none;
  std::vector<AttemptRecord> attempts;  ///< in order
  std::string request_id;               ///< the call's id, also sent as X-Request-Id

  /// The kind that the code belongs to.
  [[nodiscard]] MLFLOWHA_EXPORT ErrorKind kind() const noexcept;

  friend bool operator==(const Error&, const Error&) = default;
};

[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(Errc code) noexcept;
[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(ErrorKind kind) noexcept;
[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(Effect effect) noexcept;
[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(StopReason reason) noexcept;

/// The whole story on several lines: summary first, then one line per attempt.
[[nodiscard]] MLFLOWHA_EXPORT std::string describe(const Error& error);

/// Makes text from a server fit to be shown: at most `max_bytes`, control characters and broken UTF-8 as `\xNN`.
[[nodiscard]] MLFLOWHA_EXPORT std::string sanitize(std::string_view foreign, std::size_t max_bytes = 2048);

[[nodiscard]] inline bool is_not_found(const Error& error) noexcept { return error.kind() == ErrorKind::not_found; }
[[nodiscard]] inline bool is_already_exists(const Error& error) noexcept {
  return error.kind() == ErrorKind::already_exists;
}
/// True when the same call may succeed later without being changed.
[[nodiscard]] MLFLOWHA_EXPORT bool is_transient(const Error& error) noexcept;

/// An Error for input that was refused before anything was sent.
[[nodiscard]] MLFLOWHA_EXPORT Error invalid_argument(std::string message);

/// Thrown by Result<T>::value() on an error. what() is describe(error()).
class MLFLOWHA_EXPORT Exception : public std::exception {
 public:
  explicit Exception(Error error);
  [[nodiscard]] const char* what() const noexcept override;
  [[nodiscard]] const Error& error() const noexcept { return error_; }

 private:
  Error error_;
  std::string what_;
};

namespace detail {
/// The one place that throws; terminates where exceptions are disabled.
[[noreturn]] MLFLOWHA_EXPORT void throw_exception(Error error);
}  // namespace detail

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/core/impl/error.ipp>
#endif

#endif
