#include <mlflowha/testing/fault_injector.hpp>
#include <mlflowha/testing/fault_script.hpp>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha::testing;
using namespace std::chrono_literals;
using mlflowha::Duration;
using mlflowha::Method;
using mlflowha::TimePoint;
using mlflowha_tests::contains;

namespace {

FaultRule one(std::string_view text) {
  auto script = FaultScript::parse(text);
  INFO(text);
  if (!script) FAIL(script.error().message);
  REQUIRE(script->rules().size() == 1);
  return script->rules()[0];
}

std::string refusal(std::string_view text) {
  auto script = FaultScript::parse(text);
  if (script) return "accepted: " + to_string(*script);
  CHECK(script.error().code == mlflowha::Errc::invalid_argument);
  return script.error().message;
}

/// Which of the first `count` requests are hit, as text of '.' and '#'.
std::string hits(FaultInjector& injector, int count, std::string_view method = "POST", std::string_view target = "/x") {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += injector.on_request(method, target, 1, TimePoint{}).action.kind == FaultKind::none ? '.' : '#';
  }
  return text;
}

std::string hits(std::string_view script, int count) {
  FaultInjector injector(FaultScript::parse(script).value());
  return hits(injector, count);
}

}  // namespace

TEST_CASE("fault script: text and builder say the same", "[testing][faults]") {
  CHECK(one("refuse") == when().refuse());
  CHECK(one("when method POST path /runs/create share 5% -> apply_then_drop") ==
        when().method(Method::post).path("/runs/create").share(0.05).apply_then_drop());
  CHECK(one("when from 2s for 1s -> refuse") == when().from(2s).until(3s).refuse());
  CHECK(one("when for 1s from 2s -> refuse") == when().from(2s).until(3s).refuse());
  CHECK(one("when until 1.5s -> connect_hang") == when().until(1500ms).connect_hang());
  CHECK(one("when nth 3 -> reset") == when().nth(3).reset());
  CHECK(one("when nth 1,3,5..7 -> drop_before") == when().nth(1).nth(3).nth(5, 7).drop_before());
  CHECK(one("when connection 2 request 10..20 -> black_hole") == when().connection(2).request(10, 20).black_hole());
  CHECK(one("when after 10 every 3 times 2 -> garbage") == when().after(10).every(3).times(2).garbage());
  CHECK(one("apply_late 2s") == when().apply_late(2s));
  CHECK(one("apply_late 250us silent") == when().apply_late(250us, true));
  CHECK(one("truncate 10") == when().truncate(10));
  CHECK(one("wrong_length") == when().wrong_length(-10));
  CHECK(one("wrong_length +3") == when().wrong_length(3));
  CHECK(one("delay 200ms and drip 1B/s and status 503") == when().delay(200ms).drip(1).status(503));
  CHECK(one("drip 2.5kB/s") == when().drip(2500));
  CHECK(one("status 429 retry_after 2 header 'X-A: b:c' content_type text/plain body 'slow down'") ==
        when().status(429, "slow down", {{"Retry-After", "2"}, {"X-A", "b:c"}, {"Content-Type", "text/plain"}}));
  CHECK(one("status 500 body \"a \\\"b\\\"\\n\\\\\"") == when().status(500, "a \"b\"\n\\"));
  CHECK(one("apply_then_status 504") == when().apply_then_status(504));
  CHECK(one("redirect http://elsewhere:1/") == when().redirect("http://elsewhere:1/"));
  CHECK(one("redirect 302 /login") == when().redirect("/login", 302));
  CHECK(one("when method GET,DELETE prefix /api -> reset").match.methods == std::vector<std::string>{"GET", "DELETE"});
  CHECK(one("error TEMPORARILY_UNAVAILABLE 'database is locked'") ==
        when().error("TEMPORARILY_UNAVAILABLE", "database is locked"));
}

TEST_CASE("fault script: an error is what MLflow would send", "[testing][faults]") {
  const FaultAction action = when().error("TEMPORARILY_UNAVAILABLE", "a \"b\"").actions[0];
  CHECK(action.status == 503);
  CHECK(action.body.value() == R"({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "a \"b\""})");
  CHECK(when().error("BAD_REQUEST", "").actions[0].status == 400);
  CHECK(when().error("SOMETHING_NEW", "").actions[0].status == 500);
}

TEST_CASE("fault script: statements, comments and blank lines", "[testing][faults]") {
  const auto script =
      FaultScript::parse("# a comment; reset\n\n seed 7 ; delay 1ms # more\n\twhen nth 2 -> reset\r\n").value();
  CHECK(script.seed() == 7);
  REQUIRE(script.rules().size() == 2);
  CHECK(script.rules()[0].line == 3);
  CHECK(script.rules()[1].line == 4);
  CHECK(script.rules()[1] == when().nth(2).reset());
  CHECK(FaultScript::parse("").value().rules().empty());
  CHECK(one("status 200 body '# not; a comment'").actions[0].body == "# not; a comment");
}

TEST_CASE("fault script: what is printed parses back to the same", "[testing][faults]") {
  const FaultScript script{
      when().method(Method::post).method(Method::get).path("a b;#'c").prefix("\"->").reset(),
      when()
          .connection(1)
          .request(2, 3)
          .from(1ns)
          .until(2h)
          .nth(1, 9)
          .after(1)
          .every(2)
          .share(0.123456789)
          .times(4)
          .garbage(),
      when().delay(1500us).drip(0.5).status(599, "", {{"A", ""}}),
      when().path("and").apply_then_status(200, "line\nline 'x' \"y\" \\"),
      when().error("INTERNAL_ERROR", "\x01 é"),
      when().wrong_length(12),
      when().apply_late(1h, true),
      when().share(0).refuse(),
      when().share(1e-7).reset(),
      when().share(0.30000000000000004).drip(1e20),
      when().share(2.5e-308).drip(1e-300),
  };
  const std::string text = to_string(script);
  INFO(text);
  const auto parsed = FaultScript::parse(text);
  if (!parsed) FAIL(parsed.error().message);
  CHECK(*parsed == script);
}

TEST_CASE("fault script: bad text is refused with line, word and what was expected", "[testing][faults]") {
  CHECK_THAT(refusal("delay 1ms\nwhen pth /x -> reset"),
             contains("line 2, word 2 \"pth\": expected a condition (method"));
  CHECK_THAT(refusal("explode"), contains("line 1, word 1 \"explode\": expected \"when\", \"seed\" or an action"));
  CHECK_THAT(refusal("when nth 1 -> explode"), contains("word 5 \"explode\": expected an action (refuse"));
  CHECK_THAT(refusal("when nth 1 reset"), contains("word 4 \"reset\": expected a condition"));
  CHECK_THAT(refusal("when nth 1"), contains("at the end of the rule: expected another condition or \"->\""));
  CHECK_THAT(refusal("when -> reset"), contains("word 2 \"->\": expected a condition"));
  CHECK_THAT(refusal("when"), contains("at the end of the rule: expected a condition"));
  CHECK_THAT(refusal("when nth 1 ->"), contains("at the end of the rule: expected an action"));
  CHECK_THAT(refusal("delay"), contains("at the end of the rule: expected a duration"));
  CHECK_THAT(refusal("delay 5"), contains("word 2 \"5\": expected a duration such as 200ms"));
  CHECK_THAT(refusal("delay -5ms"), contains("\"-5ms\": expected a duration"));
  CHECK_THAT(refusal("delay 1e9s"), contains("expected a duration"));
  CHECK_THAT(refusal("delay 99999999999s"), contains("expected a duration"));
  CHECK_THAT(refusal("delay 1.s"), contains("expected a duration"));
  CHECK_THAT(refusal("drip 0B/s"), contains("expected a rate"));
  CHECK_THAT(refusal("drip 5"), contains("expected a rate"));
  CHECK_THAT(refusal("truncate x"), contains("expected a number of bytes"));
  CHECK_THAT(refusal("status 42"), contains("expected a status of 200..599"));
  CHECK_THAT(refusal("status 503 bdy x"), contains("\"bdy\": expected \"and\" and another action"));
  CHECK_THAT(refusal("status 503 header nocolon"), contains("expected a header"));
  CHECK_THAT(refusal("status 503 header ': x'"), contains("is not the name of a header"));
  CHECK_THAT(refusal("status 503 header \"A: x\\r\\nB: y\""), contains("control character"));
  CHECK_THAT(refusal("redirect 200 x"), contains("expected a status of 300..399"));
  // The word that is wrong is named, not the one behind it.
  CHECK_THAT(refusal("status 999"), contains("word 2 \"999\": expected a status"));
  CHECK_THAT(refusal("redirect 404 /x"), contains("word 2 \"404\": expected a status"));
  CHECK_THAT(refusal("when every 0 -> reset"), contains("word 3 \"0\": expected a number of 1"));
  CHECK_THAT(refusal("when times 0 -> reset"), contains("word 3 \"0\": expected a number of 1"));
  CHECK_THAT(refusal("truncate 99999999999999999"), contains("word 2 \"99999999999999999\": expected a number of b"));
  CHECK_THAT(refusal("wrong_length 0"), contains("expected a difference"));
  CHECK_THAT(refusal("when share 101% -> reset"), contains("expected a share"));
  CHECK_THAT(refusal("when share 5 -> reset"), contains("expected a share"));
  CHECK_THAT(refusal("when nth 0 -> reset"), contains("expected numbers counted from 1"));
  CHECK_THAT(refusal("when nth 5..3 -> reset"), contains("expected numbers counted from 1"));
  CHECK_THAT(refusal("when nth 1, -> reset"), contains("expected numbers counted from 1"));
  CHECK_THAT(refusal("when every 0 -> reset"), contains("expected a number of 1 or more"));
  CHECK_THAT(refusal("when method post -> reset"), contains("expected methods such as POST"));
  CHECK_THAT(refusal("seed x"), contains("expected a number after \"seed\""));
  CHECK_THAT(refusal("seed 1\nseed 2"), contains("seed is given twice"));
  CHECK_THAT(refusal("path 'abc"), contains("line 1: a quote (') is not closed"));
  CHECK_THAT(refusal("status 200 body \"\\q\""), contains("expected \\n"));
  CHECK_THAT(refusal("when path /x -> refuse"), contains("can't depend on method, path"));
  CHECK_THAT(refusal("refuse and delay 1s"), contains("can't be combined"));
  CHECK_THAT(refusal("reset and garbage"), contains("one other action"));
  CHECK_THAT(refusal("when from 2s until 1s -> reset"), contains("time window is empty"));
  // All conditions must hold, so none can be overwritten by a later one.
  CHECK_THAT(refusal("when path /a path /b -> reset"), contains("line 1: path is given twice"));
  CHECK_THAT(refusal("when method GET nth 1 method POST -> reset"), contains("method is given twice"));
  CHECK_THAT(refusal("when from 1s until 5s for 2s -> reset"), contains("until and for are given together"));
  // All of it is told at once.
  const std::string both = refusal("explode\ndelay\nreset");
  CHECK_THAT(both, contains("line 1"));
  CHECK_THAT(both, contains("line 2"));
}

TEST_CASE("fault script: the builder refuses what makes no sense", "[testing][faults]") {
  FaultScript script;
  CHECK_THROWS_AS(script.add(when()), mlflowha::Exception);
  CHECK_THROWS_AS(script.add(when().method(Method::post).refuse()), mlflowha::Exception);
  CHECK_THROWS_AS(script.add(when().reset().garbage()), mlflowha::Exception);
  CHECK_THROWS_AS(script.add(when().status(99)), mlflowha::Exception);
  CHECK_THROWS_AS(script.add(when().share(1.1).reset()), mlflowha::Exception);
  CHECK_THROWS_AS(script.add(when().every(0).reset()), mlflowha::Exception);
  CHECK_THROWS_AS(script.add(when().nth(0).reset()), mlflowha::Exception);
  CHECK_THROWS_AS(script.add(when().delay(-1s)), mlflowha::Exception);
  CHECK_THROWS_AS(script.add(when().drip(0)), mlflowha::Exception);
  CHECK_THROWS_AS(script.add(when().drip(std::numeric_limits<double>::infinity())), mlflowha::Exception);
  CHECK_THROWS_AS(script.add(when().truncate(-1)), mlflowha::Exception);
  CHECK(script.rules().empty());
}

TEST_CASE("fault injector: counting", "[testing][faults]") {
  CHECK(hits("reset", 4) == "####");
  CHECK(hits("when nth 3 -> reset", 6) == "..#...");
  CHECK(hits("when nth 1,4..5 -> reset", 6) == "#..##.");
  CHECK(hits("when every 3 -> reset", 7) == "..#..#.");
  CHECK(hits("when after 2 -> reset", 5) == "..###");
  CHECK(hits("when after 2 every 2 -> reset", 7) == "...#.#.");
  CHECK(hits("when times 2 -> reset", 5) == "##...");
  CHECK(hits("when every 2 times 2 -> reset", 8) == ".#.#....");
  CHECK(hits("when request 2..3 -> reset", 5) == ".##..");
  CHECK(hits("when connection 2 -> reset", 3) == "...");
  // A rule counts only what reaches it.
  CHECK(hits("when every 2 -> reset; when nth 2 -> garbage", 5) == ".###.");
}

TEST_CASE("fault injector: method, path and prefix look at the request", "[testing][faults]") {
  FaultInjector injector(FaultScript::parse("when method POST path /runs/create prefix /api -> reset").value());
  CHECK(hits(injector, 1, "POST", "/api/2.0/mlflow/runs/create") == "#");
  CHECK(hits(injector, 1, "GET", "/api/2.0/mlflow/runs/create") == ".");
  CHECK(hits(injector, 1, "POST", "/api/2.0/mlflow/runs/search") == ".");
  CHECK(hits(injector, 1, "POST", "/ajax-api/2.0/mlflow/runs/create") == ".");
  const auto counts = injector.counts();
  REQUIRE(counts.size() == 1);
  CHECK(counts[0].matched == 1);
  CHECK(counts[0].fired == 1);
  CHECK(counts[0].line == 1);
  CHECK(injector.requests() == 4);
}

TEST_CASE("fault injector: a share is random, deterministic and of the right size", "[testing][faults]") {
  const auto play = [](std::uint64_t seed) {
    FaultInjector injector(FaultScript::parse("when share 5% -> reset").value(), seed);
    return hits(injector, 10000);
  };
  const std::string first = play(1);
  CHECK(first == play(1));
  CHECK(first != play(2));
  const auto count = std::count(first.begin(), first.end(), '#');
  CHECK(count > 400);  // 500 +- 4.6 standard deviations
  CHECK(count < 600);
  CHECK(hits("when share 0 -> reset", 1000) == std::string(1000, '.'));
  CHECK(hits("when share 100% -> reset", 1000) == std::string(1000, '#'));
  SECTION("the script's own seed beats the player's") {
    FaultInjector a(FaultScript::parse("seed 9; when share 5% -> reset").value(), 1);
    FaultInjector b(FaultScript::parse("seed 9; when share 5% -> reset").value(), 2);
    CHECK(hits(a, 1000) == hits(b, 1000));
  }
  SECTION("two rules draw different lots") {
    FaultInjector a(FaultScript::parse("when share 50% -> delay 1ms; when share 50% -> reset").value());
    int both = 0;
    for (int i = 0; i < 1000; ++i) {
      const FaultPlan plan = a.on_request("GET", "/", 1, TimePoint{});
      both += plan.delay > 0s && plan.action.kind == FaultKind::reset ? 1 : 0;
    }
    CHECK(both > 180);
    CHECK(both < 320);
  }
}

TEST_CASE("fault injector: time windows count from the start of the script", "[testing][faults]") {
  const TimePoint start{1h};
  FaultInjector injector(FaultScript::parse("when from 2s for 1s -> reset").value(), 1, start);
  const auto hit = [&](Duration at) {
    return injector.on_request("GET", "/", 1, start + at).action.kind == FaultKind::reset;
  };
  CHECK_FALSE(hit(1999ms));
  CHECK(hit(2s));
  CHECK(hit(2999ms));
  CHECK_FALSE(hit(3s));
  injector.replace(FaultScript::parse("when from 2s for 1s -> reset").value(), start + 10s);
  CHECK_FALSE(hit(2500ms));
  CHECK(hit(12500ms));
  CHECK(injector.counts()[0].fired == 1);
}

TEST_CASE("fault injector: delays and drips add up, the first outcome ends the search", "[testing][faults]") {
  FaultInjector injector(
      FaultScript::parse("delay 1ms; delay 2ms and drip 10B/s; drip 5B/s; status 503; reset; delay 1h").value());
  const FaultPlan plan = injector.on_request("GET", "/", 1, TimePoint{});
  CHECK(plan.delay == 3ms);
  CHECK(plan.bytes_per_second == 5);
  CHECK(plan.action.kind == FaultKind::status);
  CHECK(plan.rule == 3);
}

TEST_CASE("fault injector: connections have rules of their own", "[testing][faults]") {
  FaultInjector injector(FaultScript::parse("reset; when connection 2 -> refuse; when nth 2 -> connect_hang").value());
  CHECK(injector.on_connection(TimePoint{}).action.kind == FaultKind::none);
  CHECK(injector.on_connection(TimePoint{}).action.kind == FaultKind::refuse);
  CHECK(injector.on_connection(TimePoint{}).action.kind == FaultKind::connect_hang);
  CHECK(injector.on_connection(TimePoint{}).action.kind == FaultKind::none);
  CHECK(injector.connections() == 4);
  CHECK(injector.on_request("GET", "/", 4, TimePoint{}).action.kind == FaultKind::reset);
}

TEST_CASE("fault injector: the listener follows rules that depend on time only", "[testing][faults]") {
  const TimePoint start{1h};
  FaultInjector injector(
      FaultScript::parse("when from 2s for 1s -> refuse; when from 5s -> connect_hang; when nth 1 -> refuse; reset")
          .value(),
      1, start);
  auto state = injector.listener(start);
  CHECK(state.kind == FaultKind::none);
  CHECK(state.next_change == start + 2s);
  state = injector.listener(start + 2s);
  CHECK(state.kind == FaultKind::refuse);
  CHECK(state.next_change == start + 3s);
  state = injector.listener(start + 3s);
  CHECK(state.kind == FaultKind::none);
  CHECK(state.next_change == start + 5s);
  state = injector.listener(start + 5s);
  CHECK(state.kind == FaultKind::connect_hang);
  CHECK(state.next_change == TimePoint::max());
}
