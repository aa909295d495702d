#include <mlflowha/core/rng.hpp>
#include <mlflowha/resilience/backoff.hpp>

#include <array>
#include <limits>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace std::chrono_literals;

namespace {

/// Jitter drawn at its upper end, as the published vectors assume.
std::vector<Duration> longest(const BackoffOptions& options, int retries, bool throttled = false) {
  std::vector<Duration> delays;
  for (int retry = 0; retry < retries; ++retry) {
    delays.push_back(backoff_delay(options, retry, throttled, 1.0, std::nullopt));
  }
  return delays;
}

BackoffOptions options(Duration base, double factor, Duration cap) {
  BackoffOptions made;
  made.base = base;
  made.factor = factor;
  made.cap = cap;
  return made;
}

}  // namespace

TEST_CASE("backoff follows the published sequences", "[resilience][backoff]") {
  struct Row {
    const char* source;
    BackoffOptions options;
    std::vector<Duration> delays;
  };
  const std::vector<Row> rows = {
      {"AWS SEP 2.1", options(50ms, 2.0, 20s), {50ms, 100ms, 200ms, 400ms}},
      {"AWS SEP 2.1, cap 0.2 s", options(50ms, 2.0, 200ms), {50ms, 100ms, 200ms, 200ms}},
      {"AWS SEP 2.1, dynamodb", options(25ms, 2.0, 20s), {25ms, 50ms, 100ms}},
      {"botocore 2.1, to the cap",
       options(50ms, 2.0, 20s),
       {50ms, 100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 12800ms, 20s, 20s}},
      {"AWS SEP 2.0", options(1s, 2.0, 20s), {1s, 2s, 4s, 8s, 16s, 20s, 20s}},
      {"AWS SEP 2.0, cap 3 s", options(1s, 2.0, 3s), {1s, 2s, 3s, 3s}},
      {"Envoy", options(25ms, 2.0, 250ms), {25ms, 50ms, 100ms, 200ms, 250ms, 250ms}},
      {"MongoDB backpressure", options(200ms, 2.0, 10s), {200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 10s}},
      {"constant", options(1s, 1.0, 20s), {1s, 1s, 1s, 1s}},
      {"elastic-transport", options(1s, 2.0, 30s), {1s, 2s, 4s, 8s, 16s, 30s}},
  };
  for (const Row& row : rows) {
    INFO(row.source);
    CHECK(longest(row.options, static_cast<int>(row.delays.size())) == row.delays);
  }
  CHECK(longest(BackoffOptions{}, 9) ==
        std::vector<Duration>{50ms, 100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 5s, 5s});
}

TEST_CASE("a throttled call starts from its own base", "[resilience][backoff]") {
  CHECK(longest(BackoffOptions{}, 4, true) == std::vector<Duration>{1s, 2s, 4s, 5s});
}

TEST_CASE("backoff does not overflow, whatever the retry number", "[resilience][backoff]") {
  const BackoffOptions defaults;
  for (const int retry : {30, 31, 32, 62, 63, 64, 65, 1023, 1024, 100'000, std::numeric_limits<int>::max()}) {
    CHECK(backoff_bound(defaults, retry, false) == 5s);
    CHECK(backoff_bound(defaults, retry, true) == 5s);
    CHECK(backoff_bound(options(50ms, 120.0, Duration::max()), retry, false) == Duration::max());
  }
  CHECK(backoff_bound(defaults, -1, false) == 50ms);
  CHECK(backoff_bound(defaults, std::numeric_limits<int>::min(), false) == 50ms);
  CHECK(backoff_bound(options(Duration::max(), 2.0, Duration::max()), 3, false) == Duration::max());
  CHECK(backoff_delay(options(Duration::max(), 2.0, Duration::max()), 3, false, 1.0, std::nullopt) == Duration::max());
}

TEST_CASE("nonsense in the options never becomes a wait out of range", "[resilience][backoff]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double factor : {nan, -nan, std::numeric_limits<double>::infinity()}) {
    CHECK(backoff_bound(options(50ms, factor, 5s), 3, false) == 5s);
  }
  CHECK(backoff_bound(options(-1s, 2.0, 5s), 3, false) == 0s);
  CHECK(backoff_bound(options(1s, 2.0, -5s), 3, false) == 0s);
  for (const double unit : {nan, -1.0, -0.0})
    CHECK(backoff_delay(BackoffOptions{}, 0, false, unit, std::nullopt) == 0s);
  CHECK(backoff_delay(BackoffOptions{}, 0, false, 7.0, std::nullopt) == 50ms);
}

TEST_CASE("jitter spreads over the whole interval, after the cap", "[resilience][backoff]") {
  // 20 bins, each within 20 % of its fair share (as botocore checks it). Capping after the draw would pile nearly
  // everything up in the last bin.
  const BackoffOptions defaults;
  SplitMixRng rng(42);
  std::array<int, 20> bins{};
  constexpr int draws = 40'000;
  for (int i = 0; i < draws; ++i) {
    const Duration delay = backoff_delay(defaults, 20, false, uniform(rng), std::nullopt);
    REQUIRE(delay >= 0s);
    REQUIRE(delay < 5s);
    ++bins[static_cast<std::size_t>(delay / 250ms)];
  }
  for (const int count : bins) CHECK(std::abs(count - draws / 20) < draws / 100);
}

TEST_CASE("two clients do not wait alike", "[resilience][backoff]") {
  int same = 0;
  for (int i = 0; i < 100; ++i) {
    const double one = uniform(*process_rng());
    const double other = uniform(*process_rng());
    same += backoff_delay({}, 3, false, one, std::nullopt) == backoff_delay({}, 3, false, other, std::nullopt) ? 1 : 0;
  }
  CHECK(same < 3);
}

TEST_CASE("a server's wish is clamped between our own wait and our own wait plus the slack", "[resilience][backoff]") {
  const BackoffOptions defaults;
  const auto delay = [&](std::optional<Duration> wish, double unit = 1.0) {
    return backoff_delay(defaults, 0, false, unit, wish);
  };
  // AWS SEP 2.1
  CHECK(delay(1500ms) == 1500ms);
  CHECK(delay(0ms) == 50ms);
  CHECK(delay(10'000ms) == 5050ms);
  CHECK(delay(parse_retry_after_ms("invalid")) == 50ms);
  // gRPC pushback of 1000 ms: waits at least that
  CHECK(delay(1000ms, 0.0) == 1s);
  // jitter moves the lower end only
  CHECK(delay(0ms, 0.5) == 25ms);
  CHECK(delay(10s, 0.0) == 5s);
  CHECK(delay(-1s, 0.5) == 25ms);
  // 114 hours, as a real server once asked
  CHECK(delay(114h) == 5050ms);
  CHECK(delay(Duration::max()) == 5050ms);

  BackoffOptions endless = defaults;
  endless.retry_after_slack = Duration::max();
  CHECK(backoff_delay(endless, 5, false, 1.0, Duration::max()) == Duration::max());
  BackoffOptions broken = defaults;
  broken.retry_after_slack = -1s;
  CHECK(backoff_delay(broken, 0, false, 1.0, 10s) == 50ms);
}

TEST_CASE("backoff options list all their faults", "[resilience][backoff]") {
  CHECK(BackoffOptions{}.faults().empty());
  BackoffOptions bad;
  bad.base = 0s;
  bad.throttled_base = -1ns;
  bad.factor = std::numeric_limits<double>::quiet_NaN();
  bad.cap = -2ns;
  bad.retry_after_slack = -3ns;
  CHECK(bad.faults() ==
        "base is 0 ns, expected more than 0\n"
        "throttled_base is -1 ns, expected more than 0\n"
        "factor is nan, expected 1.0 .. 120.0\n"
        "cap is -2 ns, expected more than 0\n"
        "retry_after_slack is -3 ns, expected 0 or more");
  CHECK(options(50ms, 0.99, 5s).faults() == "factor is 0.99, expected 1.0 .. 120.0");
  CHECK(options(50ms, 120.5, 5s).faults() == "factor is 120.5, expected 1.0 .. 120.0");
  CHECK(options(50ms, 2.0, 40ms).faults() == "cap is 40000000 ns, expected at least base (50000000 ns)");
}
