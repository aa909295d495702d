#include <mlflowha/api/operations.hpp>
#include <mlflowha/client/classify.hpp>

#include <string>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace std::chrono_literals;
using mlflowha_tests::contains;

namespace {

const WallTime wall{1'790'000'000'000ms};

Response answer(int status, std::string body, std::vector<Header> headers = {}) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers = std::move(headers);
  return response;
}

std::string json_error(const std::string& code, const std::string& message) {
  return R"({"error_code": ")" + code + R"(", "message": ")" + message + R"("})";
}

Classification judge(const TransportResult& result, const api::Operation& operation = api::ops::create_run) {
  return classify(result, {operation, true}, wall);
}

}  // namespace

TEST_CASE("an answer is sorted by whose fault it is", "[client][classify]") {
  struct Row {
    const char* what;
    Response response;
    Verdict verdict;
    bool maybe_applied;
    Errc code;
  };
  // Statuses, codes and texts as MLflow 3.17.2 and 2.22.5, HAProxy 2.6 and nginx 1.22 sent them.
  const Row row = GENERATE(
      Row{"PostgreSQL is away",
          answer(503, json_error("TEMPORARILY_UNAVAILABLE", "(psycopg2.OperationalError) connection refused")),
          Verdict::shared_backend, true, Errc::unavailable},
      Row{"SQLite is locked",
          answer(503, json_error("TEMPORARILY_UNAVAILABLE", "(sqlite3.OperationalError) database is locked")),
          Verdict::shared_backend, true, Errc::unavailable},
      Row{"a read-only standby",
          answer(400, json_error("BAD_REQUEST", "(psycopg2.errors.ReadOnlySqlTransaction) cannot execute INSERT")),
          Verdict::endpoint_fault, true, Errc::unavailable},
      Row{"an exhausted connection pool",
          answer(400, json_error("BAD_REQUEST", "QueuePool limit of size 5 overflow 10 reached, connection timed out")),
          Verdict::endpoint_fault, true, Errc::unavailable},
      Row{"a clash of keys is the caller's",
          answer(400, json_error("BAD_REQUEST", "(sqlite3.IntegrityError) UNIQUE constraint failed: metrics.key")),
          Verdict::rejected, false, Errc::rejected},
      Row{"a bad argument", answer(400, json_error("INVALID_PARAMETER_VALUE", "Invalid value")), Verdict::rejected,
          false, Errc::rejected},
      Row{"a name that is taken is 400, not 409", answer(400, json_error("RESOURCE_ALREADY_EXISTS", "exists")),
          Verdict::rejected, false, Errc::already_exists},
      Row{"an unknown run", answer(404, json_error("RESOURCE_DOES_NOT_EXIST", "no run")), Verdict::rejected, false,
          Errc::not_found},
      Row{"an empty 404: an unknown route or a proxy's", answer(404, ""), Verdict::server_error, false,
          Errc::not_implemented},
      Row{"a proxy's 404 page", answer(404, "<html>default backend</html>"), Verdict::server_error, false,
          Errc::not_implemented},
      Row{"half of an error", answer(400, R"({"error_code": "RESOURCE_ALREADY_EXISTS", "mess)"), Verdict::server_error,
          true, Errc::bad_response},
      Row{"a wrong password is plain text", answer(401, "You are not authenticated."), Verdict::rejected, false,
          Errc::unauthenticated},
      Row{"a missing permission is plain text", answer(403, "Permission denied"), Verdict::rejected, false,
          Errc::permission_denied},
      Row{"a host that isn't on this server's list",
          answer(403, "Invalid Host header - possible DNS rebinding attack detected"), Verdict::server_error, false,
          Errc::permission_denied},
      Row{"too many requests", answer(429, ""), Verdict::overload, false, Errc::rate_limited},
      Row{"too many requests, said by code", answer(429, json_error("REQUEST_LIMIT_EXCEEDED", "slow down")),
          Verdict::overload, false, Errc::rate_limited},
      Row{"an unforeseen error", answer(500, json_error("INTERNAL_ERROR", "KeyError")), Verdict::server_error, true,
          Errc::server_error},
      Row{"a crash page", answer(500, "<html>Internal Server Error</html>"), Verdict::server_error, true,
          Errc::server_error},
      Row{"a feature that is off answers 500", answer(500, json_error("FEATURE_DISABLED", "Workspaces")),
          Verdict::rejected, false, Errc::not_implemented},
      Row{"not implemented", answer(501, json_error("NOT_IMPLEMENTED", "multipart")), Verdict::rejected, false,
          Errc::not_implemented},
      Row{"HAProxy without a server", answer(503, "<html><body><h1>503 Service Unavailable</h1>"),
          Verdict::endpoint_fault, true, Errc::unavailable},
      Row{"artifacts only, a setting",
          answer(503, "Endpoint: /x disabled due to the mlflow server running in `--artifacts-only` mode."),
          Verdict::rejected, false, Errc::unavailable},
      Row{"no workspaces, a setting",
          answer(503,
                 "Endpoint: /x disabled because the server is running without workspaces support. To enable "
                 "workspace, run `mlflow server` with `--enable-workspaces`"),
          Verdict::rejected, false, Errc::unavailable},
      Row{"nginx lost its server", answer(502, "<html>502 Bad Gateway</html>"), Verdict::endpoint_fault, true,
          Errc::unavailable},
      Row{"nginx waited in vain", answer(504, "<html>504</html>"), Verdict::endpoint_fault, true, Errc::unavailable},
      Row{"a login page", answer(200, "<html>Sign in</html>"), Verdict::server_error, true, Errc::bad_response});
  INFO(row.what);
  const Classification c = judge(row.response);
  CHECK(c.outcome.verdict == row.verdict);
  CHECK(c.outcome.maybe_applied == row.maybe_applied);
  CHECK(c.outcome.sent);
  REQUIRE(c.error.has_value());
  CHECK(c.error->code == row.code);
  // A read changes nothing, whatever happened to it.
  CHECK_FALSE(judge(row.response, api::ops::get_run).outcome.maybe_applied);
}

TEST_CASE("success is success, with any body that MLflow sends", "[client][classify]") {
  for (const char* body : {"{}", "", " \n{\"run\": {}}\n"}) {
    const Classification c = judge(answer(200, body));
    CHECK(c.outcome.verdict == Verdict::success);
    CHECK_FALSE(c.error.has_value());
    CHECK(c.summary == "ok");
  }
  CHECK(judge(answer(201, "{}")).outcome.verdict == Verdict::success);
  CHECK(judge(answer(204, "")).outcome.verdict == Verdict::success);
  CHECK(judge(answer(200, "3.17.2"), api::ops::get_server_version).outcome.verdict == Verdict::success);
}

TEST_CASE("a request that never left this machine was not applied", "[client][classify]") {
  using F = TransportFault;
  const F fault = GENERATE(F::resolve, F::connect_refused, F::connect_timeout, F::tls);
  const Classification c = judge(TransportFailure{fault, Progress::not_sent, "detail", 7});
  CHECK(c.outcome.verdict == Verdict::endpoint_fault);
  CHECK_FALSE(c.outcome.sent);
  CHECK_FALSE(c.outcome.maybe_applied);
  CHECK(c.error->code == Errc::connect_failed);
}

TEST_CASE("a request that left and was not answered may have been applied", "[client][classify]") {
  using F = TransportFault;
  const F fault = GENERATE(F::timeout, F::connection_lost, F::bad_http, F::bad_encoding, F::too_large);
  const Classification c = judge(TransportFailure{fault, Progress::sent, "", 0});
  CHECK(c.outcome.sent);
  CHECK(c.outcome.maybe_applied);
  CHECK_FALSE(judge(TransportFailure{fault, Progress::sent, "", 0}, api::ops::get_run).outcome.maybe_applied);
}

TEST_CASE("a request that can't be sent is the caller's, one that has left is not", "[client][classify]") {
  const Classification refused = judge(TransportFailure{TransportFault::bad_request, Progress::not_sent, "", 0});
  CHECK(refused.outcome.verdict == Verdict::rejected);
  CHECK_FALSE(refused.outcome.sent);
  CHECK_FALSE(refused.outcome.maybe_applied);
  CHECK(refused.error->code == Errc::invalid_argument);

  const TransportFailure no_memory{TransportFault::bad_request, Progress::sent, "out of memory", 0};
  const Classification lost = judge(no_memory);
  CHECK(lost.outcome.verdict == Verdict::server_error);
  CHECK(lost.outcome.sent);
  CHECK(lost.outcome.maybe_applied);
  CHECK(lost.error->code == Errc::connection_lost);
  CHECK_FALSE(judge(no_memory, api::ops::get_run).outcome.maybe_applied);
}

TEST_CASE("cancelling blames nobody", "[client][classify]") {
  CHECK(judge(TransportFailure{TransportFault::cancelled, Progress::sent, "", 0}).outcome.verdict ==
        Verdict::cancelled);
}

TEST_CASE("an oversized answer is not asked for again elsewhere", "[client][classify][hostile]") {
  const Classification c = judge(TransportFailure{TransportFault::too_large, Progress::answered, "", 0});
  CHECK(c.outcome.verdict == Verdict::rejected);
  CHECK(c.error->code == Errc::bad_response);
}

TEST_CASE("Retry-After is read where it counts, and can be ignored", "[client][classify]") {
  const Response busy = answer(503, "", {{"retry-after", "7"}});
  CHECK(judge(busy).outcome.verdict == Verdict::overload);
  CHECK(judge(busy).outcome.retry_after == Duration(7s));
  CHECK(judge(answer(429, "", {{"retry-after-ms", "1500"}})).outcome.retry_after == Duration(1500ms));
  CHECK_FALSE(judge(answer(429, "", {{"retry-after", "soon"}})).outcome.retry_after.has_value());
  CHECK_FALSE(classify(busy, {api::ops::create_run, false}, wall).outcome.retry_after.has_value());
}

TEST_CASE("what a repetition gets is recognised by the table's codes", "[client][classify]") {
  const Response gone = answer(404, json_error("RESOURCE_DOES_NOT_EXIST", "no tag"));
  CHECK(judge(gone, api::ops::delete_tag).outcome.already_done);
  CHECK_FALSE(judge(gone, api::ops::set_tag).outcome.already_done);
  CHECK(
      judge(answer(400, json_error("RESOURCE_ALREADY_EXISTS", "x")), api::ops::create_experiment).outcome.already_done);
}

TEST_CASE("foreign text is made harmless before anybody sees it", "[client][classify][hostile]") {
  const Classification c = judge(answer(400, "\x1b[2Jevil\r\n" + std::string(100'000, 'x')));
  REQUIRE(c.error.has_value());
  CHECK_THAT(c.error->message, !contains("\x1b"));
  CHECK(c.error->message.size() < 4096);
}

TEST_CASE("the refusal of a point that is there is recognised, and nothing like it", "[client][classify]") {
  const auto shows = [](int status, const std::string& code, const std::string& message) {
    Error error;
    error.http_status = status;
    error.error_code = code;
    error.message = message;
    return shows_stored_point(error);
  };
  const std::string sqlite = "(sqlite3.IntegrityError) UNIQUE constraint failed: metrics.key, metrics.timestamp";
  CHECK(shows(400, "BAD_REQUEST", sqlite));
  CHECK(shows(400, "BAD_REQUEST",
              "(psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint \"metric_pk\""));
  CHECK(shows(400, "BAD_REQUEST",
              "(pymysql.err.IntegrityError) (1062, \"Duplicate entry 'x' for key 'metrics.PRIMARY'\")"));
  CHECK_FALSE(shows(500, "BAD_REQUEST", sqlite));
  CHECK_FALSE(shows(400, "INVALID_PARAMETER_VALUE", sqlite));
  CHECK_FALSE(shows(400, "BAD_REQUEST", "UNIQUE constraint failed: latest_metrics.key, latest_metrics.run_uuid"));
  CHECK_FALSE(shows(400, "BAD_REQUEST", "duplicate key value violates unique constraint \"latest_metric_pk\""));
  CHECK_FALSE(shows(400, "BAD_REQUEST", "FOREIGN KEY constraint failed"));
}
