// The breaker's window: rates, buckets, clocks that jump, and the promise that nothing is counted into a cleared
// bucket.

#include <mlflowha/resilience/impl/breaker_window.ipp>

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "unit/resilience/breaker_fixture.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

using Window = detail::BreakerWindow;

namespace {

CircuitBreakerOptions rate_only(double rate, std::int32_t minimum_calls = 10) {
  auto options = plain_options();
  options.consecutive_failures = 0;
  options.failure_rate = rate;
  options.minimum_calls = minimum_calls;
  return options;
}

bool always() { return true; }

std::pair<std::int64_t, std::int64_t> content(const Window& window, TimePoint now) {
  const Window::Sums sums = window.sums(now);
  return {sums.calls, sums.failures};
}
using Pair = std::pair<std::int64_t, std::int64_t>;

}  // namespace

TEST_CASE("half of ten calls failing opens the breaker", "[resilience][breaker][window]") {
  for (const char* calls : {"SSSSSEEEEE", "SESESESESE", "SSSSSLLLLL", "SLSESLSESL"}) {
    INFO(calls);
    BreakerFixture f(rate_only(0.5));
    const std::string text = calls;
    CHECK(f.calls(text.substr(0, 9), 100ms));
    CHECK(f.state() == BreakerState::closed);
    CHECK(f.calls(text.substr(9), 100ms));
    CHECK(f.state() == BreakerState::open);
  }
}

TEST_CASE("below the minimum of calls or below the rate the breaker stays closed", "[resilience][breaker][window]") {
  BreakerFixture few(rate_only(0.5));
  CHECK(few.calls("EEEEEEEEE"));  // nine of nine
  CHECK(few.state() == BreakerState::closed);
  CHECK(few.call(soft));
  CHECK(few.state() == BreakerState::open);

  BreakerFixture good(rate_only(0.5));
  CHECK(good.calls("SSSSSSEEEEE"));  // 5 of 11
  CHECK(good.state() == BreakerState::closed);
}

TEST_CASE("only a failure opens the breaker", "[resilience][breaker][window]") {
  BreakerFixture f(rate_only(0.5));
  CHECK(f.calls("EEEEEEEEES"));  // the tenth call is a success: nine of ten failed
  CHECK(f.state() == BreakerState::closed);
  CHECK(f.call(hard));
  CHECK(f.state() == BreakerState::open);
}

TEST_CASE("the rate is compared exactly", "[resilience][breaker][window]") {
  // rate * calls rounds up for some of these (0.07 * 100 is more than 7), the quotient doesn't.
  for (int percent = 1; percent <= 100; ++percent) {
    INFO(percent);
    BreakerFixture f(rate_only(percent / 100.0, 100));
    for (int i = percent; i < 100; ++i) REQUIRE(f.call(ok));
    for (int i = 1; i < percent; ++i) REQUIRE(f.call(hard));
    REQUIRE(f.state() == BreakerState::closed);
    REQUIRE(f.call(hard));
    REQUIRE(f.state() == BreakerState::open);
  }
}

TEST_CASE("with one call a bucket the window is resilience4j's count window of 10", "[resilience][breaker][window]") {
  auto options = rate_only(1.0, 10);
  BreakerFixture f(options);
  const auto newest = [&] { return f.breaker.snapshot(f.now - 1s); };  // calls() has moved the clock on
  REQUIRE(f.calls("SSEE", 1s));
  CHECK(newest().window_calls == 4);  // below the minimum: no rate
  REQUIRE(f.calls("EEEESSSS", 1s));
  CHECK(newest().window_calls == 10);
  CHECK(newest().window_failures == 6);  // 60 %
  REQUIRE(f.calls("SSS", 1s));
  CHECK(newest().window_calls == 10);
  CHECK(newest().window_failures == 3);  // 30 %
}

TEST_CASE("calls leave the window bucket by bucket", "[resilience][breaker][window]") {
  BreakerFixture f(rate_only(1.0));
  for (int second = 0; second < 10; ++second) REQUIRE(f.calls("SL", 500ms));
  f.now -= 1ns;
  for (std::int64_t left = 20; left >= 0; left -= 2) {
    CHECK(f.snapshot().window_calls == left);
    CHECK(f.snapshot().window_failures == left / 2);
    f.now += 1s;
  }
  CHECK(f.snapshot().window_calls == 0);
}

TEST_CASE("buckets are of one size before and after the clock's epoch", "[resilience][breaker][window]") {
  for (int second = -12; second < 12; ++second) {
    Window window(10s);
    const TimePoint now{second * 1s + 500ms};
    window.add(now, true, always);
    CHECK(content(window, now + 9s) == Pair(1, 1));
    CHECK(content(window, now + 10s) == Pair(0, 0));
  }
}

TEST_CASE("failures of long ago don't trip", "[resilience][breaker][window]") {
  BreakerFixture f(rate_only(0.5));
  REQUIRE(f.calls("EEEEEEEEE"));
  for (const Duration idle : {Duration(10s), Duration(20s), Duration(1000s), Duration(24h * 400), Duration(65'536s),
                              Duration(655'360s), Duration(1s * (std::int64_t{1} << 32U))}) {
    f.now += idle;  // a whole number of laps, also of shorter counters than ours
    CHECK(f.snapshot().window_calls == 0);
    REQUIRE(f.calls("EEEEEEEEE"));
    CHECK(f.snapshot().window_calls == 9);
    REQUIRE(f.state() == BreakerState::closed);
  }
}

TEST_CASE("a clock that was put back doesn't blind the window", "[resilience][breaker][window]") {
  BreakerFixture f(rate_only(0.5));
  const TimePoint real = f.now;
  f.now += 24h * 365 * 100;
  REQUIRE(f.calls("EEEEEEEEE"));
  f.now = real;
  CHECK(f.snapshot().window_calls == 0);
  REQUIRE(f.calls("EEEEEEEEE"));
  CHECK(f.state() == BreakerState::closed);
  REQUIRE(f.call(hard));
  CHECK(f.state() == BreakerState::open);
}

TEST_CASE("a reading of the clock that is a little old counts with the newer ones", "[resilience][breaker][window]") {
  Window window(10s);
  const TimePoint now{100s};
  window.add(now, true, always);
  window.add(now - 1s, true, always);  // another thread read the clock before, and comes second
  CHECK(content(window, now) == Pair(2, 2));
  CHECK(content(window, now - 1s) == Pair(2, 2));
  // a whole window late: too old, and must not throw out what is current
  CHECK(window.add(now - 10s, true, always));
  CHECK(content(window, now) == Pair(2, 2));
}

TEST_CASE("nothing is counted into a bucket that was cleared meanwhile", "[resilience][breaker][window]") {
  // The state changes between the moment when a thread has read its bucket and the moment when it writes it.
  Window window(10s);
  const TimePoint now{100s};
  const auto changes_after_first_look = [&](bool bucket_in_use) {
    if (bucket_in_use) window.add(now, true, always);
    int looks = 0;
    const bool counted = window.add(now, true, [&] {
      if (++looks > 1) return false;
      window.clear();
      return true;  // what the thread has seen a moment before
    });
    CHECK(looks == 2);
    CHECK_FALSE(counted);
    CHECK(content(window, now) == Pair(0, 0));
  };
  changes_after_first_look(true);
  changes_after_first_look(false);
  changes_after_first_look(true);

  // The same, but the next generation has already counted as much as was there before.
  window.add(now, true, always);
  int looks = 0;
  CHECK_FALSE(window.add(now, true, [&] {
    if (++looks > 1) return false;
    window.clear();
    window.add(now, true, always);
    return true;
  }));
  CHECK(content(window, now) == Pair(1, 1));
}

TEST_CASE("a result that isn't valid any more is counted nowhere", "[resilience][breaker][window]") {
  Window window(10s);
  const TimePoint now{100s};
  CHECK_FALSE(window.add(now, false, [] { return false; }));
  CHECK_FALSE(window.add(now, true, [] { return false; }));
  CHECK(content(window, now) == Pair(0, 0));
  CHECK(window.successes() == 0);
}

TEST_CASE("a thread that is overtaken by the next lap loses nothing but its own count",
          "[resilience][breaker][window]") {
  Window window(10s);
  const TimePoint now{100s};
  window.add(now, true, always);
  int looks = 0;
  CHECK(window.add(now, true, [&] {
    if (++looks == 1) {
      for (int i = 0; i < 3; ++i) window.add(now + 10s, false, always);  // the same bucket, one lap later
    }
    return true;
  }));
  CHECK(content(window, now + 10s) == Pair(3, 0));
}

TEST_CASE("a full counter keeps the rate", "[resilience][breaker][window]") {
  constexpr std::uint64_t full = (1U << 24U) - 1;  // 16.7 million calls in one bucket of one thread
  constexpr std::uint64_t sequence = std::uint64_t{0xABCD} << 48U;
  constexpr auto counts = [](std::uint64_t calls, std::uint64_t failures) {
    return sequence | failures << 24U | calls;
  };
  CHECK(Window::increased(counts(0, 0), false) == counts(1, 0));
  CHECK(Window::increased(counts(7, 3), true) == counts(8, 4));
  CHECK(Window::increased(counts(full - 1, full - 1), true) == counts(full, full));
  CHECK(Window::increased(counts(full, full), true) == counts(full / 2 + 1, full / 2 + 1));
  CHECK(Window::increased(counts(full, 1000), false) == counts(full / 2 + 1, 500));
  CHECK(Window::increased(counts(full, 0), true) == counts(full / 2 + 1, 1));
}

TEST_CASE("the shortest window works in milliseconds", "[resilience][breaker][window]") {
  auto options = rate_only(0.5, 2);
  options.window = 10ms;
  BreakerFixture f(options);
  REQUIRE(f.call(hard));
  f.now += 10ms;
  REQUIRE(f.call(hard));
  CHECK(f.state() == BreakerState::closed);
  f.now += 9ms;
  REQUIRE(f.call(hard));
  CHECK(f.state() == BreakerState::open);
}
