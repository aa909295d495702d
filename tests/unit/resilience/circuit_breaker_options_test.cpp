#include <limits>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "unit/resilience/breaker_fixture.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

template <class Change>
std::string faults_with(const Change& change) {
  CircuitBreakerOptions options;
  change(options);
  return options.faults();
}

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("default breaker options have no fault", "[resilience][breaker][options]") {
  CHECK(CircuitBreakerOptions{}.faults().empty());
}

TEST_CASE("breaker options list every fault with field, value and expectation", "[resilience][breaker][options]") {
  const std::string faults = faults_with([](CircuitBreakerOptions& o) {
    o.consecutive_failures = -1;
    o.failure_rate = not_a_number;
    o.minimum_calls = 0;
    o.window = 9ms;
    o.open_for = 0s;
    o.open_for_max = -5s;
    o.open_growth = not_a_number;
    o.open_jitter = not_a_number;
    o.growth_decay = 0s;
    o.probe_successes = 0;
    o.probe_lease = -1s;
  });
  CHECK(faults ==
        "consecutive_failures is -1, expected 0 .. 1000000\n"
        "failure_rate is nan, expected 0.0 .. 1.0\n"
        "minimum_calls is 0, expected 1 .. 1000000\n"
        "window is 9 ms, expected 10 ms .. 24 h\n"
        "open_for is 0 s, expected 1 ns .. 24 h\n"
        "open_for_max is -5 s, expected 1 ns .. 24 h\n"
        "open_for is 0 s, expected at most open_for_max (-5 s)\n"
        "open_growth is nan, expected 1.0 .. 120.0\n"
        "open_jitter is nan, expected 0.0 .. 1.0\n"
        "growth_decay is 0 s, expected 1 ms .. 24 h\n"
        "probe_successes is 0, expected 1 .. 1000000\n"
        "probe_lease is -1 s, expected 1 ms .. 24 h");
}

TEST_CASE("each breaker option is checked at both ends", "[resilience][breaker][options]") {
  using Options = CircuitBreakerOptions;
  struct Row {
    const char* field;
    void (*set)(Options&);
    bool good;
  };
  const std::vector<Row> rows = {
      {"consecutive_failures", [](Options& o) { o.consecutive_failures = 0; }, true},
      {"consecutive_failures", [](Options& o) { o.consecutive_failures = 1'000'001; }, false},
      {"failure_rate", [](Options& o) { o.failure_rate = 0.0; }, true},
      {"failure_rate", [](Options& o) { o.failure_rate = 1.0; }, true},
      {"failure_rate", [](Options& o) { o.failure_rate = 1.01; }, false},
      {"failure_rate", [](Options& o) { o.failure_rate = -0.01; }, false},
      {"failure_rate", [](Options& o) { o.failure_rate = infinity; }, false},
      {"failure_rate", [](Options& o) { o.failure_rate = 50.0; }, false},
      {"minimum_calls", [](Options& o) { o.minimum_calls = 1; }, true},
      {"minimum_calls", [](Options& o) { o.minimum_calls = -10; }, false},
      {"minimum_calls", [](Options& o) { o.minimum_calls = 1'000'001; }, false},
      {"window", [](Options& o) { o.window = 10ms; }, true},
      {"window", [](Options& o) { o.window = 24h; }, true},
      {"window", [](Options& o) { o.window = 24h + 1ns; }, false},
      {"window", [](Options& o) { o.window = 10ms - 1ns; }, false},
      {"window", [](Options& o) { o.window = Duration::max(); }, false},
      {"open_for", [](Options& o) { o.open_for = o.open_for_max; }, true},
      {"open_for", [](Options& o) { o.open_for = 61s; }, false},
      {"open_for_max", [](Options& o) { o.open_for_max = 25h; }, false},
      {"open_growth", [](Options& o) { o.open_growth = 1.0; }, true},
      {"open_growth", [](Options& o) { o.open_growth = 0.99; }, false},
      {"open_growth", [](Options& o) { o.open_growth = infinity; }, false},
      {"open_jitter", [](Options& o) { o.open_jitter = 0.0; }, true},
      {"open_jitter", [](Options& o) { o.open_jitter = 1.0; }, true},
      {"open_jitter", [](Options& o) { o.open_jitter = 1.1; }, false},
      {"growth_decay", [](Options& o) { o.growth_decay = 1ms; }, true},
      {"growth_decay", [](Options& o) { o.growth_decay = -30s; }, false},
      {"probe_successes", [](Options& o) { o.probe_successes = -1; }, false},
      {"probe_lease", [](Options& o) { o.probe_lease = 0s; }, false},
      {"probe_lease", [](Options& o) { o.probe_lease = Duration::min(); }, false},
  };
  for (const Row& row : rows) {
    const std::string faults = faults_with(row.set);
    INFO(row.field << ": " << faults);
    if (row.good) {
      CHECK(faults.empty());
    } else {
      CHECK_THAT(faults, starts_with(std::string(row.field) + " is "));
      CHECK(faults.find('\n') == std::string::npos);
    }
  }
}

TEST_CASE("a breaker that could never trip is a fault", "[resilience][breaker][options]") {
  CHECK_THAT(faults_with([](CircuitBreakerOptions& o) {
               o.consecutive_failures = 0;
               o.failure_rate = 0.0;
             }),
             starts_with("consecutive_failures is 0 and failure_rate 0, expected at least one of them above 0"));
}

TEST_CASE("a breaker refuses faulty options when it is made", "[resilience][breaker][options]") {
  CircuitBreakerOptions options;
  options.minimum_calls = 0;
  options.open_jitter = 2.0;
  try {
    const CircuitBreaker breaker(options, nullptr);
    FAIL("no exception");
  } catch (const Exception& exception) {
    CHECK(exception.error().code == Errc::invalid_config);
    CHECK_THAT(exception.error().message, contains("minimum_calls is 0"));
    CHECK_THAT(exception.error().message, contains("open_jitter is 2"));
  }
}
