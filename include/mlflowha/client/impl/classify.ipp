#ifndef MLFLOWHA_CLIENT_IMPL_CLASSIFY_IPP
#define MLFLOWHA_CLIENT_IMPL_CLASSIFY_IPP

#include <mlflowha/api/impl/error_body.ipp>  // closes_at_its_end
#include <mlflowha/api/operations.hpp>
#include <mlflowha/client/classify.hpp>
#include <mlflowha/resilience/backoff.hpp>

#include <fmt/format.h>

#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

MLFLOWHA_INLINE bool contains(std::string_view text, std::string_view part) noexcept {
  return text.find(part) != std::string_view::npos;
}

MLFLOWHA_INLINE bool is_write(const api::Operation& operation) noexcept {
  return operation.idempotency != Idempotency::read;
}

MLFLOWHA_INLINE Classification classify_failure(const TransportFailure& failure, const ClassifyContext& context) {
  Classification c;
  c.outcome.sent = failure.progress != Progress::not_sent;
  c.outcome.maybe_applied = c.outcome.sent && is_write(context.operation);
  c.outcome.verdict = Verdict::endpoint_fault;
  Errc code = Errc::connection_lost;
  switch (failure.fault) {
    case TransportFault::resolve:
    case TransportFault::connect_refused:
    case TransportFault::connect_timeout:
    case TransportFault::tls:
      code = Errc::connect_failed;
      break;
    case TransportFault::timeout:
      code = Errc::attempt_timeout;
      break;
    case TransportFault::connection_lost:
      code = c.outcome.sent ? Errc::connection_lost : Errc::connect_failed;
      break;
    case TransportFault::too_large:
      // The same answer would come again, at the same cost: nobody else is asked.
      c.outcome.verdict = Verdict::rejected;
      code = Errc::bad_response;
      break;
    case TransportFault::bad_encoding:
    case TransportFault::bad_http:
      code = Errc::bad_response;
      break;
    case TransportFault::redirect_refused:
      c.outcome.verdict = Verdict::server_error;
      c.outcome.maybe_applied = false;  // whoever redirects has not carried it out
      code = Errc::redirect_refused;
      break;
    case TransportFault::cancelled:
      c.outcome.verdict = Verdict::cancelled;
      code = Errc::cancelled;
      break;
    case TransportFault::bad_request:
      if (c.outcome.sent) {
        // It went out, and what became of it can't be told, for want of memory: to be looked for like any lost answer.
        c.outcome.verdict = Verdict::server_error;
        break;
      }
      c.outcome.verdict = Verdict::rejected;
      code = Errc::invalid_argument;
      break;
    case TransportFault::bad_file:  // of this machine: no endpoint's fault, and nothing that another could help
      c.outcome.verdict = Verdict::rejected;
      code = Errc::storage_failed;
      break;
  }
  c.summary = failure.detail.empty() ? std::string(to_string(failure.fault))
                                     : fmt::format("{}: {}", to_string(failure.fault), failure.detail);
  Error error;
  error.code = code;
  error.message = c.summary;
  c.error = std::move(error);
  return c;
}

MLFLOWHA_INLINE std::optional<Duration> asked_wait(const Response& response, WallTime wall_now) noexcept {
  if (auto ms = parse_retry_after_ms(response.header("retry-after-ms"))) return ms;
  return parse_retry_after(response.header("retry-after"), response.header("date"), wall_now);
}

/// A 503 that states a fact about the server's configuration and not an outage.
MLFLOWHA_INLINE bool is_switched_off(std::string_view message) noexcept {
  return contains(message, "--artifacts-only") || contains(message, "--serve-artifacts") ||
         contains(message, "--enable-workspaces") || contains(message, "orkspaces are not enabled") ||
         contains(message, "orkspaces are disabled");
}

MLFLOWHA_INLINE bool is_cut_short(std::string_view body) noexcept {
  return !body.empty() && body.front() == '{' && !closes_at_its_end(object_of(body));
}

struct Judgement {
  Verdict verdict = Verdict::rejected;
  bool maybe_applied = false;
};

MLFLOWHA_INLINE Judgement judge(const Response& response, const Error& error, bool asked_to_wait) {
  const int status = response.status;
  const std::string_view code = error.error_code;
  // The beginning of MLflow's own words: what they said is lost, whatever the status.
  if (code.empty() && is_cut_short(response.body)) return {Verdict::server_error, true};
  if (code == "TEMPORARILY_UNAVAILABLE") {
    // OperationalError: the database that all servers share. A connection lost at COMMIT looks the same.
    return {Verdict::shared_backend, true};
  }
  if (status == 429 || code == "REQUEST_LIMIT_EXCEEDED" || code == "RESOURCE_EXHAUSTED") {
    return {Verdict::overload, false};
  }
  if (status == 400 && (code == "BAD_REQUEST" || code.empty()) && shows_backend_fault(error.message)) {
    return {Verdict::endpoint_fault, true};
  }
  if (status == 500) {
    // INTERNAL_ERROR is anything the server didn't foresee; every other code behind a 500 is a statement about the
    // call.
    const bool unforeseen = code.empty() || code == "INTERNAL_ERROR" || code == "INTERNAL_SERVER_ERROR";
    return unforeseen ? Judgement{Verdict::server_error, true} : Judgement{Verdict::rejected, false};
  }
  if (status == 503 && is_switched_off(error.message)) return {Verdict::rejected, false};
  if (status == 503 && asked_to_wait) return {Verdict::overload, true};
  if (status == 502 || status == 503 || status == 504 || status == 408) return {Verdict::endpoint_fault, true};
  if (status == 403 && code.empty() && contains(error.message, "Invalid Host header")) {
    return {Verdict::server_error, false};  // this server's allow-list; another may accept the name
  }
  if (status == 404 && (code.empty() || code == "ENDPOINT_NOT_FOUND")) {
    // Not MLflow's JSON: a proxy without a backend, a wrong prefix, or an operation that this version doesn't have.
    return {Verdict::server_error, false};
  }
  if (status >= 505 || (status >= 500 && status != 501)) return {Verdict::server_error, true};
  return {Verdict::rejected, false};
}

}  // namespace detail

MLFLOWHA_INLINE bool shows_backend_fault(std::string_view message) noexcept {
  // IntegrityError (sqlalche.me/e/../gkpj) is a clash of keys: the caller's data, not the backend's health.
  if (detail::contains(message, "IntegrityError") || detail::contains(message, "/gkpj")) return false;
  for (std::string_view sign : {"(psycopg2.", "(psycopg.", "(sqlite3.", "(pymysql.", "(MySQLdb.", "(mysql.connector.",
                                "(pyodbc.", "(pymssql.", "(cx_Oracle.", "(oracledb.", "QueuePool limit"}) {
    if (detail::contains(message, sign)) return true;
  }
  return false;
}

MLFLOWHA_INLINE bool shows_stored_point(const Error& error) noexcept {
  if (error.http_status != 400 || error.error_code != "BAD_REQUEST") return false;
  // SQLite names the columns, the others the key of table `metrics` (`latest_metrics` has one, too).
  const std::string_view message = error.message;
  return detail::contains(message, "UNIQUE constraint failed: metrics.") ||
         detail::contains(message, "\"metric_pk\"") || detail::contains(message, "'metric_pk'") ||
         detail::contains(message, "'metrics.PRIMARY'");
}

MLFLOWHA_INLINE Classification classify(const TransportResult& result, const ClassifyContext& context,
                                        WallTime wall_now) {
  if (const auto* failure = std::get_if<TransportFailure>(&result)) return detail::classify_failure(*failure, context);
  const auto& response = std::get<Response>(result);
  Classification c;
  c.outcome.sent = true;
  if (response.status >= 200 && response.status < 300) {
    Result<void> usable = api::check_answer(context.operation, response);
    if (usable) {
      c.summary = "ok";
      return c;
    }
    // A login page or a proxy's own page: whether the request went on behind it is unknown.
    c.outcome.verdict = Verdict::server_error;
    c.outcome.maybe_applied = detail::is_write(context.operation);
    c.summary = fmt::format("{} with a body that is no answer of MLflow's", response.status);
    c.error = std::move(usable).error();
    return c;
  }
  Error error = api::decode_error(response);
  const std::optional<Duration> wait = detail::asked_wait(response, wall_now);
  const detail::Judgement judgement = detail::judge(response, error, wait.has_value());
  // A driver's error behind a 400 reads like the caller's fault by its code, and would never be tried again.
  if (judgement.verdict == Verdict::endpoint_fault) error.code = Errc::unavailable;
  if (error.error_code.empty() && detail::is_cut_short(response.body)) error.code = Errc::bad_response;
  if (&context.operation == &api::ops::log_metric && shows_stored_point(error)) {
    // The point is there, which is all that was asked for; a repetition of ours meets this, too.
    c.summary = "ok";
    return c;
  }
  c.outcome.verdict = judgement.verdict;
  c.outcome.maybe_applied = judgement.maybe_applied && detail::is_write(context.operation);
  if (context.respect_retry_after) c.outcome.retry_after = wait;
  c.outcome.missing_operation =
      error.code == Errc::not_implemented && (response.status == 404 || response.status == 405);
  c.outcome.already_done = context.operation.is_already_done(error.error_code);
  c.summary = fmt::format("{}{}{}", response.status, error.error_code.empty() ? "" : " ", error.error_code);
  c.error = std::move(error);
  return c;
}

MLFLOWHA_END_NAMESPACE

#endif
