// Answers that aren't the one that was hoped for.

#include <mlflowha/api/error_body.hpp>
#include <mlflowha/api/operations.hpp>

#include "support/catch.hpp"
#include "unit/api/support.hpp"

#include <string>

using namespace mlflowha;

namespace {

Error decoded(int status, std::string body) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return api::decode_error(response);
}

}  // namespace

TEST_CASE("MLflow's error_code decides before the status", "[api]") {
  struct Row {
    int status;
    const char* error_code;
    Errc code;
    ErrorKind kind;
  };
  const Row rows[] = {
      {400, "RESOURCE_ALREADY_EXISTS", Errc::already_exists, ErrorKind::already_exists},
      {400, "INVALID_PARAMETER_VALUE", Errc::rejected, ErrorKind::invalid_argument},
      {400, "BAD_REQUEST", Errc::rejected, ErrorKind::invalid_argument},
      {404, "RESOURCE_DOES_NOT_EXIST", Errc::not_found, ErrorKind::not_found},
      {404, "ENDPOINT_NOT_FOUND", Errc::not_implemented, ErrorKind::not_implemented},
      {500, "FEATURE_DISABLED", Errc::not_implemented, ErrorKind::not_implemented},
      {500, "INVALID_STATE", Errc::conflict, ErrorKind::conflict},
      {500, "RESOURCE_DOES_NOT_EXIST", Errc::not_found, ErrorKind::not_found},
      {401, "CUSTOMER_UNAUTHORIZED", Errc::unauthenticated, ErrorKind::unauthenticated},
      {403, "PERMISSION_DENIED", Errc::permission_denied, ErrorKind::permission_denied},
      {409, "ABORTED", Errc::conflict, ErrorKind::conflict},
      {429, "REQUEST_LIMIT_EXCEEDED", Errc::rate_limited, ErrorKind::rate_limited},
      {500, "INTERNAL_ERROR", Errc::server_error, ErrorKind::unavailable},
      {501, "NOT_IMPLEMENTED", Errc::not_implemented, ErrorKind::not_implemented},
      {503, "TEMPORARILY_UNAVAILABLE", Errc::unavailable, ErrorKind::unavailable},
      {504, "DEADLINE_EXCEEDED", Errc::unavailable, ErrorKind::unavailable},
      {418, "SOMETHING_NEW", Errc::rejected, ErrorKind::invalid_argument},
      {404, "SOMETHING_NEW", Errc::not_found, ErrorKind::not_found},
      {500, "SOMETHING_NEW", Errc::server_error, ErrorKind::unavailable},
  };
  for (const Row& row : rows) {
    INFO(row.status << ' ' << row.error_code);
    const Error error =
        decoded(row.status, std::string(R"({"error_code": ")") + row.error_code + R"(", "message": "m"})");
    CHECK(error.code == row.code);
    CHECK(error.error_code == row.error_code);
    CHECK(error.http_status == row.status);
    CHECK(error.message == "m");
    if (row.code != Errc::server_error && row.code != Errc::rejected) CHECK(error.kind() == row.kind);
  }
}

TEST_CASE("without MLflow's words the status decides", "[api]") {
  CHECK(decoded(503, "<html><h1>503 Service Unavailable</h1></html>").code == Errc::unavailable);
  CHECK(decoded(502, "").code == Errc::unavailable);
  CHECK(decoded(504, "").code == Errc::unavailable);
  CHECK(decoded(408, "").code == Errc::unavailable);
  CHECK(decoded(401, "Unauthorized").code == Errc::unauthenticated);
  CHECK(decoded(403, "Invalid Host header - possible DNS rebinding attack detected").code == Errc::permission_denied);
  CHECK(decoded(404, "").code == Errc::not_implemented);
  CHECK(decoded(404, "<!doctype html>").code == Errc::not_implemented);
  CHECK(decoded(404, R"({"detail": "Not Found"})").code == Errc::not_implemented);
  CHECK(decoded(405, "").code == Errc::not_implemented);
  CHECK(decoded(409, "").code == Errc::conflict);
  CHECK(decoded(413, "").code == Errc::rejected);
  CHECK(decoded(429, "").code == Errc::rate_limited);
  CHECK(decoded(500, "").code == Errc::server_error);
  CHECK(decoded(302, "").code == Errc::redirect_refused);
  CHECK(decoded(999, "").code == Errc::bad_response);
  CHECK(decoded(0, "").code == Errc::bad_response);
}

TEST_CASE("messages of every origin, and their limits", "[api]") {
  CHECK(decoded(500, R"({"error_code": "INTERNAL_ERROR", "message": "a\nb"})").message == R"(a\x0Ab)");
  CHECK(decoded(422, R"({"detail": [{"msg": "x"}]})").message == R"([{"msg": "x"}])");
  CHECK(decoded(400, R"({"error": "bad"})").message == "bad");
  CHECK(decoded(400, R"({"message": null})").message == "HTTP 400");
  CHECK(decoded(503, "down\r\nfor maintenance").message == R"(HTTP 503: down\x0D\x0Afor maintenance)");
  CHECK(decoded(404, "").message == "HTTP 404");
  CHECK(decoded(500, "{\"message\": \"" + std::string(100000, 'x') + "\"}").message.size() < 2100);
  CHECK(decoded(500, std::string(100000, 'x')).message.size() < 400);
  // A code that is no identifier isn't MLflow's, and could forge log lines.
  for (const char* forged : {R"({"error_code": "A\nB"})", R"({"error_code": "a b"})", R"({"error_code": 7})",
                             R"({"error_code": {"a": 1}})", R"({"error_code": ""})"}) {
    INFO(forged);
    CHECK(decoded(500, forged).error_code.empty());
    CHECK(decoded(500, forged).code == Errc::server_error);
  }
}

TEST_CASE("recorded errors of real servers", "[api]") {
  struct Row {
    const char* name;
    Errc code;
    const char* error_code;
  };
  const Row rows[] = {
      {"create_experiment_again", Errc::already_exists, "RESOURCE_ALREADY_EXISTS"},
      {"get_experiment_missing", Errc::not_found, "RESOURCE_DOES_NOT_EXIST"},
      {"get_run_missing", Errc::not_found, "RESOURCE_DOES_NOT_EXIST"},
      {"search_experiments_bad_filter", Errc::rejected, "INVALID_PARAMETER_VALUE"},
      {"log_metric_bad", Errc::rejected, "INVALID_PARAMETER_VALUE"},
      {"log_param_other_value", Errc::rejected, "INVALID_PARAMETER_VALUE"},
      {"not_a_route", Errc::not_implemented, ""},
  };
  for (const std::string& version : mlflowha_tests::golden_versions) {
    for (const Row& row : rows) {
      INFO(version << ' ' << row.name);
      const Error error = api::decode_error(mlflowha_tests::golden(version, row.name));
      CHECK(error.code == row.code);
      CHECK(error.error_code == row.error_code);
      CHECK_FALSE(error.message.empty());
    }
    // What a repetition gets is what the rows say.
    for (const api::Operation* row : api::operations) {
      if (row->already_done[0].empty()) continue;
      if (row->until != ServerVersion{} && row->until <= parse_server_version(version).value()) continue;
      if (version == "2.22.5" && row->since > ServerVersion{2, 22, 5}) continue;
      INFO(version << ' ' << row->name);
      const Response again = mlflowha_tests::golden(version, std::string(row->name) + "_again");
      CHECK(row->is_already_done(api::decode_error(again).error_code));
    }
    for (const char* name :
         {"delete_run", "restore_run", "log_metric", "log_param", "update_run", "update_experiment"}) {
      INFO(version << ' ' << name);
      CHECK(mlflowha_tests::golden(version, std::string(name) + "_again").status == 200);
    }
  }
}

TEST_CASE("a 200 that no MLflow server sent is seen before it is decoded", "[api]") {
  const auto good = [](const api::Operation& operation, std::string body) {
    Response response;
    response.status = 200;
    response.body = std::move(body);
    return api::check_answer(operation, response).has_value();
  };
  CHECK(good(api::ops::get_run, " {\"run\": {}}\n"));
  CHECK(good(api::ops::delete_run, ""));
  CHECK(good(api::ops::delete_run, "OK"));
  CHECK_FALSE(good(api::ops::get_run, "<html>please log in</html>"));
  CHECK_FALSE(good(api::ops::get_run, "{\"run\": {\"info\""));
  CHECK_FALSE(good(api::ops::get_run, R"({"run": {"info": {}})"));  // cut where a bracket happens to close
  CHECK(good(api::ops::get_run, R"({"run": {"tags": [{"key": "}\"\\", "value": "{["}]}})"));
  CHECK_FALSE(good(api::ops::get_run, "[]"));
  CHECK(good(api::ops::get_server_version, "3.17.2"));
  CHECK_FALSE(good(api::ops::get_server_version, "<html>"));
}

TEST_CASE("a login page is no file, and a file may be a web page", "[api]") {
  Response response;
  response.status = 200;
  response.body = "<html>";
  response.headers = {{"content-type", "application/octet-stream"}};
  CHECK(api::check_answer(api::ops::download_artifact, response));
  response.headers = {};
  CHECK(api::check_answer(api::ops::download_artifact, response));
  for (const char* type : {"text/html", "text/html; charset=utf-8", "TEXT/HTML"}) {
    response.headers = {{"content-type", type}};
    const auto page = api::check_answer(api::ops::download_artifact, response);
    REQUIRE_FALSE(page);
    CHECK_THAT(page.error().message, mlflowha_tests::contains("expected a file in the answer, found \"<html>\""));
    // As MLflow sends an artifact of that type.
    response.headers.push_back({"content-disposition", "attachment; filename=x.html"});
    CHECK(api::check_answer(api::ops::download_artifact, response));
  }
}

TEST_CASE("an answer that was cut shows no values of its SQL statement either", "[api]") {
  const Error error = decoded(400, R"({"error_code": "BAD_REQUEST", "message": "(sqlite3.IntegrityError) UNIQUE )"
                                   R"([parameters: ('u', 'scrypt:32768:8:1$salt$hash)");
  CHECK_THAT(error.message, mlflowha_tests::contains("(sqlite3.IntegrityError)"));
  CHECK_THAT(error.message, !mlflowha_tests::contains("scrypt"));
}
