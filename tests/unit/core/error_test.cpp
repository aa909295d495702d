#include <mlflowha/core/error.hpp>
#include <mlflowha/core/result.hpp>
#include <mlflowha/core/secret.hpp>

#include <memory>
#include <string>

#include "support/catch.hpp"

using namespace mlflowha;

TEST_CASE("error numbers are frozen", "[core][error]") {
  // A number that moves breaks stored logs, dashboards and bindings: add new ones, never renumber.
  CHECK(static_cast<int>(Errc::invalid_argument) == 100);
  CHECK(static_cast<int>(Errc::no_endpoint) == 200);
  CHECK(static_cast<int>(Errc::circuit_open) == 201);
  CHECK(static_cast<int>(Errc::connect_failed) == 202);
  CHECK(static_cast<int>(Errc::connection_lost) == 203);
  CHECK(static_cast<int>(Errc::deadline_exceeded) == 204);
  CHECK(static_cast<int>(Errc::cancelled) == 205);
  CHECK(static_cast<int>(Errc::budget_exhausted) == 206);
  CHECK(static_cast<int>(Errc::attempt_timeout) == 207);
  CHECK(static_cast<int>(Errc::not_found) == 300);
  CHECK(static_cast<int>(Errc::unavailable) == 308);
  CHECK(static_cast<int>(Errc::bad_response) == 400);
  CHECK(static_cast<int>(Errc::wrong_database) == 402);
  CHECK(static_cast<int>(Errc::storage_failed) == 500);
  CHECK(static_cast<int>(Errc::storage_full) == 501);
  CHECK(static_cast<int>(Errc::storage_corrupt) == 502);
  CHECK(static_cast<int>(Errc::internal) == 900);
  CHECK(static_cast<int>(Errc::out_of_resources) == 901);
}

TEST_CASE("foreign text is made fit to be shown", "[core][error][hostile]") {
  CHECK(sanitize("plain \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80") == "plain \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80");
  CHECK(sanitize("a\r\nb\x1b[31m") == "a\\x0D\\x0Ab\\x1B[31m");
  CHECK(sanitize(std::string_view("a\0b", 3)) == "a\\x00b");
  CHECK(sanitize("\xC0\x80") == "\\xC0\\x80");           // overlong
  CHECK(sanitize("\xED\xA0\x80") == "\\xED\\xA0\\x80");  // surrogate
  CHECK(sanitize("\xC2\x9B") == "\\xC2\\x9B");           // C1 control (CSI)
  CHECK(sanitize("\xF4\x90\x80\x80") == "\\xF4\\x90\\x80\\x80");
  CHECK(sanitize("\xE2\x82") == "\\xE2\\x82");  // cut in the middle
  CHECK(sanitize(std::string(5000, 'x')).size() == 2048);
  CHECK(sanitize("abcdef", 6) == "abcdef");
  CHECK(sanitize("abcdefg", 6) == "abc...");
  CHECK(sanitize("\xC3\xA4\xC3\xA4\xC3\xA4", 5) == "\xC3\xA4...");  // never half a character
  CHECK(sanitize("abc", 0).empty());
}

TEST_CASE("describe tells the whole story", "[core][error]") {
  Error error;
  error.code = Errc::unavailable;
  error.http_status = 503;
  error.error_code = "TEMPORARILY_UNAVAILABLE";
  error.message = "database is away";
  error.stop_reason = StopReason::deadline;
  error.effect = Effect::unknown;
  error.request_id = "r-1";
  AttemptRecord attempt;
  attempt.endpoint = "http://a:5000";
  attempt.purpose = "call";
  attempt.outcome = "timeout";
  attempt.maybe_applied = true;
  error.attempts.push_back(attempt);
  const std::string text = describe(error);
  INFO(text);
  for (const char* part : {"unavailable (HTTP 503) TEMPORARILY_UNAVAILABLE: database is away", "stopped: deadline",
                           "effect on the server: unknown", "1. call http://a:5000", "may have been applied", "r-1"}) {
    CHECK(text.find(part) != std::string::npos);
  }
  CHECK(is_transient(error));
}

TEST_CASE("a result holds a value or an error", "[core][result]") {
  Result<std::unique_ptr<int>> good(std::make_unique<int>(7));
  REQUIRE(good);
  CHECK(**good == 7);
  const std::unique_ptr<int> moved = std::move(good).value();
  CHECK(*moved == 7);

  Result<int> bad(invalid_argument("key: empty"));
  REQUIRE_FALSE(bad);
  CHECK(bad.value_or(3) == 3);
  CHECK_THROWS_AS(bad.value(), Exception);
  try {
    static_cast<void>(bad.value());
  } catch (const Exception& exception) {
    CHECK(exception.error() == bad.error());
    CHECK(std::string(exception.what()).find("key: empty") != std::string::npos);
  }
  CHECK(Result<int>(2).and_then([](int v) { return Result<std::string>(std::to_string(v)); }).value() == "2");
  CHECK(Result<int>(bad).transform([](int v) { return v + 1; }).error().code == Errc::invalid_argument);
  CHECK(Result<int>(2).transform([](int v) { return v + 1; }).value() == 3);
  CHECK(Result<int>(bad).or_else([](const Error&) { return Result<int>(9); }).value() == 9);

  Result<void> nothing;
  CHECK(nothing);
  nothing = bad.error();
  CHECK_THROWS_AS(nothing.value(), Exception);
}

TEST_CASE("a secret shows only that it is set", "[core][secret]") {
  CHECK(to_string(Secret("hunter2")) == "[secret]");
  CHECK(to_string(Secret()).empty());
  CHECK(Secret("hunter2").reveal() == "hunter2");
}
