// The breaker's states, one thread, time moved by hand. Orders and snapshot: circuit_breaker_orders_test.cpp; window:
// circuit_breaker_window_test.cpp; threads: circuit_breaker_race_test.cpp.

#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "unit/resilience/breaker_fixture.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

using Override = CircuitBreaker::Override;
using Permit = CircuitBreaker::Permit;

TEST_CASE("five hard failures in a row open the breaker", "[resilience][breaker]") {
  BreakerFixture f;
  CHECK(f.calls("EEEE"));
  CHECK(f.state() == BreakerState::closed);
  CHECK(f.breaker.would_admit(f.now));
  CHECK_FALSE(f.breaker.retry_at().has_value());
  CHECK(f.call(hard));
  CHECK(f.state() == BreakerState::open);
  CHECK_FALSE(f.breaker.would_admit(f.now));
  CHECK_FALSE(f.call(ok));
  CHECK(f.breaker.retry_at() == f.now + 1s);
}

TEST_CASE("a success ends a row of failures, load neither ends nor lengthens it", "[resilience][breaker]") {
  BreakerFixture f;
  CHECK(f.calls("EEEESEEEE"));
  CHECK(f.snapshot().failure_count == 4);
  CHECK(f.state() == BreakerState::closed);

  auto options = plain_options();
  options.failure_rate = 0.0;  // consecutive failures only
  BreakerFixture load(options);
  for (int i = 0; i < 1000; ++i) REQUIRE(load.call(soft));
  CHECK(load.state() == BreakerState::closed);
  CHECK(load.snapshot().failure_count == 0);
  CHECK(load.calls("EELEELE"));
  CHECK(load.state() == BreakerState::open);
}

TEST_CASE("an open breaker admits one probe when its time is up", "[resilience][breaker]") {
  BreakerFixture f;
  REQUIRE(f.calls("EEEEE"));
  f.now += 1s - 1ns;
  CHECK_FALSE(f.breaker.try_acquire(f.now));
  f.now += 1ns;
  CHECK(f.breaker.would_admit(f.now));
  CHECK(f.state() == BreakerState::open);  // until somebody acquires
  Permit probe = f.breaker.try_acquire(f.now);
  REQUIRE(probe);
  CHECK(probe.is_probe());
  CHECK(f.state() == BreakerState::half_open);
  CHECK_FALSE(f.breaker.retry_at().has_value());
  CHECK_FALSE(f.breaker.would_admit(f.now));
  CHECK_FALSE(f.breaker.try_acquire(f.now));
  CHECK_FALSE(f.breaker.try_acquire_early(f.now));
}

TEST_CASE("two probe successes in a row close the breaker", "[resilience][breaker]") {
  BreakerFixture f;
  REQUIRE(f.calls("EEEEE"));
  f.now += 1s;
  CHECK(f.call(ok));
  CHECK(f.state() == BreakerState::half_open);
  CHECK(f.breaker.would_admit(f.now));
  CHECK(f.call(ok));
  CHECK(f.state() == BreakerState::closed);
  // with nothing held against it
  const auto snapshot = f.snapshot();
  CHECK(snapshot.failure_count == 0);
  CHECK(snapshot.window_calls == 0);
  CHECK(snapshot.window_failures == 0);
  CHECK(f.calls("EEEE"));
  CHECK(f.state() == BreakerState::closed);
}

TEST_CASE("a failed probe opens the breaker for longer", "[resilience][breaker]") {
  for (const CallResult failure : {hard, soft}) {
    BreakerFixture f;
    REQUIRE(f.calls("EEEEE"));
    f.now += 1s;
    REQUIRE(f.call(failure));
    CHECK(f.state() == BreakerState::open);
    CHECK(f.breaker.retry_at() == f.now + 2s);
    // and a success before it buys nothing
    f.now += 2s;
    REQUIRE(f.call(ok));
    REQUIRE(f.call(failure));
    CHECK(f.breaker.retry_at() == f.now + 4s);
    f.now += 4s;
    REQUIRE(f.call(ok));
    CHECK(f.state() == BreakerState::half_open);
  }
}

TEST_CASE("open times double up to their maximum", "[resilience][breaker]") {
  struct Row {
    const char* source;
    Duration first;
    Duration longest;
    double growth;
    std::vector<Duration> expected;
  };
  const std::vector<Row> rows = {
      {"default", 1s, 60s, 2.0, {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}},
      {"brpc isolation",
       100ms,
       30s,
       2.0,
       {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 12800ms, 25600ms, 30s, 30s}},
      {"Finagle", 5s, 300s, 2.0, {5s, 10s, 20s, 40s, 80s, 160s, 300s}},
      {"constant (Polly)", 5s, 60s, 1.0, {5s, 5s, 5s}},
  };
  for (const Row& row : rows) {
    INFO(row.source);
    auto options = plain_options();
    options.open_for = row.first;
    options.open_for_max = row.longest;
    options.open_growth = row.growth;
    BreakerFixture f(options);
    REQUIRE(f.calls("EEEEE"));
    for (const Duration expected : row.expected) {
      REQUIRE(f.breaker.retry_at() == f.now + expected);
      f.now += expected;
      REQUIRE(f.call(hard));
    }
  }
}

TEST_CASE("a thousand failed probes don't overflow the open time", "[resilience][breaker]") {
  auto options = plain_options();
  options.open_growth = 120.0;
  options.open_for_max = 24h;
  BreakerFixture f(options);
  REQUIRE(f.calls("EEEEE"));
  for (int i = 0; i < 1200; ++i) {
    const auto at = f.breaker.retry_at();
    REQUIRE(at.has_value());
    REQUIRE(*at - f.now >= 1s);
    REQUIRE(*at - f.now <= 24h);
    f.now = *at;
    REQUIRE(f.call(hard));
  }
  CHECK(f.snapshot().trips_in_a_row == 1201);
}

TEST_CASE("a share of the open time is random", "[resilience][breaker]") {
  struct Row {
    double jitter;
    double draw;
    Duration expected;
  };
  for (const Row& row :
       {Row{0.5, 0.0, 500ms}, Row{0.5, 0.5, 750ms}, Row{1.0, 0.0, 0s}, Row{1.0, 0.25, 250ms}, Row{0.0, 0.7, 1s}}) {
    auto options = plain_options();
    options.open_jitter = row.jitter;
    CircuitBreaker breaker(options, std::make_shared<FixedRng>(row.draw));
    const TimePoint now{1h};
    for (int i = 0; i < 5; ++i) breaker.try_acquire(now).report(now, hard);
    CHECK(breaker.retry_at() == now + row.expected);
  }
  // Two breakers that open at the same moment come back at different ones.
  CircuitBreakerOptions options;
  CircuitBreaker a(options, nullptr);
  CircuitBreaker b(options, nullptr);
  const TimePoint now{1h};
  for (CircuitBreaker* breaker : {&a, &b}) {
    for (int i = 0; i < 5; ++i) breaker->try_acquire(now).report(now, hard);
    CHECK(*breaker->retry_at() >= now + 500ms);
    CHECK(*breaker->retry_at() <= now + 1s);
  }
  CHECK(a.retry_at() != b.retry_at());
}

TEST_CASE("growth is forgotten by one step per clean half minute", "[resilience][breaker]") {
  struct Row {
    Duration clean;
    std::int32_t trips_left;
    Duration next_open;
  };
  for (const Row& row :
       {Row{0s, 3, 8s}, Row{30s - 1ns, 3, 8s}, Row{30s, 2, 4s}, Row{89s, 1, 2s}, Row{90s, 0, 1s}, Row{10000h, 0, 1s}}) {
    BreakerFixture f;
    REQUIRE(f.calls("EEEEE"));
    f.now += 1s;
    REQUIRE(f.call(hard));
    f.now += 2s;
    REQUIRE(f.call(hard));
    f.now += 4s;
    REQUIRE(f.calls("SS"));
    REQUIRE(f.state() == BreakerState::closed);
    CHECK(f.snapshot().trips_in_a_row == 3);
    f.now += row.clean;
    CHECK(f.snapshot().trips_in_a_row == row.trips_left);
    REQUIRE(f.calls("EEEEE"));
    CHECK(f.breaker.retry_at() == f.now + row.next_open);
  }
}

TEST_CASE("a probe that doesn't come back has failed when its lease runs out", "[resilience][breaker]") {
  BreakerFixture f;
  REQUIRE(f.calls("EEEEE"));
  f.now += 1s;
  Permit lost = f.breaker.try_acquire(f.now);
  REQUIRE(lost);
  const TimePoint lease = f.now + 11s;

  SECTION("until then nobody else is admitted") {
    f.now = lease - 1ns;
    CHECK(f.state() == BreakerState::half_open);
    CHECK_FALSE(f.breaker.try_acquire(f.now));
    lost.report(f.now, ok);
    CHECK(f.snapshot().success_count == 1);
  }
  SECTION("then it is open for the next longer time, from the end of the lease") {
    f.now = lease;
    CHECK(f.state() == BreakerState::open);
    CHECK(f.snapshot().retry_at == lease + 2s);
    CHECK_FALSE(f.breaker.would_admit(f.now));
    CHECK_FALSE(f.breaker.try_acquire(f.now));
    CHECK(f.breaker.retry_at() == lease + 2s);
    CHECK(f.snapshot().trips_in_a_row == 2);
    // the next probe is independent of what becomes of the lost one
    f.now = lease + 2s;
    Permit next = f.breaker.try_acquire(f.now);
    REQUIRE(next);
    lost.report(f.now, hard);
    CHECK(f.state() == BreakerState::half_open);
    next.report(f.now, ok);
    CHECK(f.snapshot().success_count == 1);
  }
  SECTION("long after, the next acquire is a probe at once") {
    f.now = lease + 2s;
    CHECK(f.breaker.would_admit(f.now));
    Permit next = f.breaker.try_acquire(f.now);
    CHECK(next);
    CHECK(f.snapshot().trips_in_a_row == 2);
  }
  SECTION("a result that is late for the lease is a failure, noticed or not") {
    f.now = lease;
    lost.report(f.now, ok);
    CHECK(f.state() == BreakerState::open);
    CHECK(f.breaker.retry_at() == lease + 2s);
    CHECK(f.snapshot().success_count == 0);
  }
  SECTION("an early acquire takes its place") {
    f.now = lease;
    Permit next = f.breaker.try_acquire_early(f.now);
    CHECK(next);
    CHECK(f.snapshot().trips_in_a_row == 2);
  }
}

TEST_CASE("a dropped probe neither closes, opens nor blocks the breaker", "[resilience][breaker]") {
  BreakerFixture f;
  REQUIRE(f.calls("EEEEE"));
  f.now += 1s;
  REQUIRE(f.call(ok));
  SECTION("destroyed") {
    const Permit probe = f.breaker.try_acquire(f.now);
    REQUIRE(probe);
  }
  SECTION("assigned over") {
    Permit probe = f.breaker.try_acquire(f.now);
    REQUIRE(probe);
    probe = Permit();
  }
  SECTION("moved, then destroyed") {
    Permit probe = f.breaker.try_acquire(f.now);
    REQUIRE(probe);
    const Permit other = std::move(probe);
    REQUIRE(other.is_probe());
  }
  CHECK(f.state() == BreakerState::half_open);
  CHECK(f.breaker.would_admit(f.now));
  CHECK(f.snapshot().trips_in_a_row == 1);
  CHECK(f.call(ok));  // the second success in a row
  CHECK(f.state() == BreakerState::closed);
}

TEST_CASE("a dropped permit of a closed breaker counts nowhere", "[resilience][breaker]") {
  BreakerFixture f;
  REQUIRE(f.calls("EEEE"));
  for (int i = 0; i < 100; ++i) CHECK(f.breaker.try_acquire(f.now));
  const auto snapshot = f.snapshot();
  CHECK(snapshot.window_calls == 4);
  CHECK(snapshot.failure_count == 4);
  CHECK(snapshot.success_count == 0);
}

TEST_CASE("a permit moves with its right to report", "[resilience][breaker]") {
  BreakerFixture f;
  Permit a = f.breaker.try_acquire(f.now);
  Permit b = std::move(a);
  CHECK_FALSE(a);  // NOLINT(bugprone-use-after-move)
  CHECK(b);
  a.report(f.now, hard);
  CHECK(f.snapshot().window_calls == 0);
  Permit& same = b;
  b = std::move(same);
  CHECK(b);
  b.report(f.now, hard);
  b.report(f.now, hard);  // a second report is ignored
  CHECK_FALSE(b);
  CHECK(f.snapshot().window_calls == 1);
  CHECK(f.snapshot().failure_count == 1);
  Permit empty;
  empty.report(f.now, hard);
  CHECK_FALSE(empty.is_probe());
}

TEST_CASE("a result from an older generation counts nowhere", "[resilience][breaker]") {
  // Ten calls are under way when the breaker opens; their results come in at every later state.
  for (const CallResult late : {ok, hard, soft}) {
    BreakerFixture f;
    std::vector<Permit> old;
    for (int i = 0; i < 10; ++i) old.push_back(f.breaker.try_acquire(f.now));
    REQUIRE(f.calls("EEEEE"));

    // open: neither closes it nor makes it stay longer
    old[0].report(f.now + 500ms, late);
    CHECK(f.state() == BreakerState::open);
    CHECK(f.breaker.retry_at() == f.now + 1s);
    CHECK(f.snapshot().window_calls == 5);
    CHECK(f.snapshot().failure_count == 5);
    CHECK(f.snapshot().last_failure == f.now);

    // half-open: not a probe
    f.now += 1s;
    Permit probe = f.breaker.try_acquire(f.now);
    REQUIRE(probe);
    for (std::size_t i = 1; i < 4; ++i) old[i].report(f.now, late);
    CHECK(f.state() == BreakerState::half_open);
    CHECK_FALSE(f.breaker.would_admit(f.now));
    probe.report(f.now, ok);
    old[4].report(f.now, late);
    CHECK(f.state() == BreakerState::half_open);
    REQUIRE(f.call(ok));

    // closed again: neither in the window nor in the row
    REQUIRE(f.state() == BreakerState::closed);
    REQUIRE(f.call(hard));
    for (std::size_t i = 5; i < 10; ++i) old[i].report(f.now, late);
    CHECK(f.state() == BreakerState::closed);
    const auto snapshot = f.snapshot();
    CHECK(snapshot.window_calls == 1);
    CHECK(snapshot.failure_count == 1);
    CHECK(snapshot.success_count == 2);
  }
}

TEST_CASE("a probe of an earlier half-open time is stale in the next", "[resilience][breaker]") {
  BreakerFixture f;
  REQUIRE(f.calls("EEEEE"));
  f.now += 1s;
  Permit first = f.breaker.try_acquire(f.now);
  f.breaker.open_until(f.now, f.now + 1s);  // the server asks for time while the probe is out
  CHECK(f.state() == BreakerState::open);
  f.now += 1s;
  Permit second = f.breaker.try_acquire(f.now);
  REQUIRE(second);
  SECTION("reported") { first.report(f.now, hard); }
  SECTION("dropped") { first = Permit(); }
  CHECK(f.state() == BreakerState::half_open);
  CHECK_FALSE(f.breaker.would_admit(f.now));  // the second one's place is still taken
  second.report(f.now, ok);
  CHECK(f.snapshot().success_count == 1);
}

TEST_CASE("a result that comes while the state is being changed counts nowhere", "[resilience][breaker]") {
  // The open time is drawn in the middle of the change from closed to open.
  class HookRng final : public Rng {
   public:
    [[nodiscard]] std::uint64_t next() noexcept override {
      late.report(TimePoint{1h}, hard);
      late.report(TimePoint{1h}, ok);
      return 0;
    }
    Permit late;
  };
  const auto rng = std::make_shared<HookRng>();
  CircuitBreaker breaker({}, rng);
  const TimePoint now{1h};
  rng->late = breaker.try_acquire(now);
  for (int i = 0; i < 5; ++i) breaker.try_acquire(now).report(now, hard);
  CHECK_FALSE(rng->late);  // it was reported
  const auto snapshot = breaker.snapshot(now);
  CHECK(snapshot.state == BreakerState::open);
  CHECK(snapshot.window_calls == 5);
  CHECK(snapshot.failure_count == 5);
}

TEST_CASE("failures that were under way together are one trip", "[resilience][breaker]") {
  // 64 calls meet a dead endpoint at once. Counted as 64 trips the breaker would stay open for a minute, not a second.
  BreakerFixture f;
  std::vector<Permit> calls;
  for (int i = 0; i < 64; ++i) calls.push_back(f.breaker.try_acquire(f.now));
  for (Permit& call : calls) call.report(f.now, hard);
  CHECK(f.snapshot().trips_in_a_row == 1);
  CHECK(f.snapshot().failure_count == 5);
  CHECK(f.breaker.retry_at() == f.now + 1s);
}

TEST_CASE("an early acquire probes an open breaker before its time", "[resilience][breaker]") {
  BreakerFixture f;
  CHECK_FALSE(f.breaker.try_acquire_early(f.now).is_probe());  // closed: a call like any other
  REQUIRE(f.calls("EEEEE"));
  Permit probe = f.breaker.try_acquire_early(f.now);
  REQUIRE(probe);
  CHECK(probe.is_probe());
  CHECK_FALSE(f.breaker.try_acquire_early(f.now));
  probe.report(f.now, hard);
  CHECK(f.breaker.retry_at() == f.now + 2s);
  f.breaker.set_override(f.now, Override::forced_open);
  CHECK_FALSE(f.breaker.try_acquire_early(f.now));
}

TEST_CASE("a breaker at the ends of time", "[resilience][breaker]") {
  for (const TimePoint now :
       {TimePoint::min(), TimePoint::min() + 1ns, TimePoint{}, TimePoint{-5s}, TimePoint::max() - 1h}) {
    BreakerFixture f;
    f.now = now;
    REQUIRE(f.calls("SEEEEE"));
    CHECK(f.state() == BreakerState::open);
    CHECK(f.snapshot().window_calls == 6);
    CHECK(f.breaker.retry_at().has_value());
    CHECK(*f.breaker.retry_at() >= now);
    Permit probe = f.breaker.try_acquire(TimePoint::max());
    CHECK(probe);
    probe.report(TimePoint::max() - 1ns, ok);
    CHECK(f.state() == BreakerState::half_open);
    CHECK_FALSE(f.snapshot().retry_at.has_value());
    CHECK(f.calls("S"));
    CHECK(f.state() == BreakerState::closed);
    f.now = TimePoint::max();
    CHECK(f.snapshot().trips_in_a_row <= 1);
    f.now = TimePoint::min();
    CHECK(f.snapshot().trips_in_a_row <= 1);
  }
}
