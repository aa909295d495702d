// What an operator or a server may order a breaker to do, and what it tells about itself.

#include "support/catch.hpp"
#include "unit/resilience/breaker_fixture.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

using Override = CircuitBreaker::Override;
using Permit = CircuitBreaker::Permit;

TEST_CASE("open_until holds the breaker open for as long as a server asks", "[resilience][breaker]") {
  BreakerFixture f;
  SECTION("closed") {
    f.breaker.open_until(f.now, f.now + 7s);
    CHECK(f.state() == BreakerState::open);
    CHECK(f.breaker.retry_at() == f.now + 7s);
    CHECK(f.snapshot().trips_in_a_row == 0);
    f.now += 7s;
    CHECK(f.calls("SS"));
    CHECK(f.state() == BreakerState::closed);
    REQUIRE(f.calls("EEEEE"));
    CHECK(f.breaker.retry_at() == f.now + 1s);  // was no trip
  }
  SECTION("open: only ever longer") {
    REQUIRE(f.calls("EEEEE"));
    f.breaker.open_until(f.now, f.now + 500ms);
    CHECK(f.breaker.retry_at() == f.now + 1s);
    f.breaker.open_until(f.now, f.now + 3s);
    CHECK(f.breaker.retry_at() == f.now + 3s);
  }
  SECTION("half-open") {
    REQUIRE(f.calls("EEEEE"));
    f.now += 1s;
    REQUIRE(f.call(ok));
    f.breaker.open_until(f.now, f.now + 3s);
    CHECK(f.state() == BreakerState::open);
    CHECK(f.breaker.retry_at() == f.now + 3s);
    f.now += 3s;
    CHECK(f.calls("S"));
    CHECK(f.state() == BreakerState::half_open);  // successes are counted anew
  }
  SECTION("a time that has passed") {
    f.breaker.open_until(f.now, f.now);
    f.breaker.open_until(f.now, f.now - 1h);
    CHECK(f.state() == BreakerState::closed);
  }
  SECTION("what the time closed has earned is kept") {
    REQUIRE(f.calls("EEEEE"));
    f.now += 1s;
    REQUIRE(f.calls("SS"));
    f.now += 30s;
    f.breaker.open_until(f.now, f.now + 1s);
    CHECK(f.snapshot().trips_in_a_row == 0);
  }
  SECTION("an operator's order goes over it") {
    for (const Override order : {Override::forced_open, Override::disabled, Override::metrics_only}) {
      f.breaker.set_override(f.now, order);
      Permit call = f.breaker.try_acquire(f.now);
      f.breaker.open_until(f.now, f.now + 3s);
      f.breaker.set_override(f.now, Override::none);
      CHECK(f.state() == BreakerState::closed);
    }
  }
}

TEST_CASE("an operator's orders", "[resilience][breaker]") {
  BreakerFixture f;
  SECTION("forced open refuses everything and has no end") {
    f.breaker.set_override(f.now, Override::forced_open);
    CHECK(f.state() == BreakerState::forced_open);
    f.now += 1000h;
    CHECK_FALSE(f.breaker.try_acquire(f.now));
    CHECK_FALSE(f.breaker.would_admit(f.now));
    CHECK_FALSE(f.breaker.retry_at().has_value());
    CHECK_FALSE(f.snapshot().retry_at.has_value());
    f.breaker.set_override(f.now, Override::none);
    CHECK(f.call(ok));
  }
  SECTION("disabled grants everything and counts nothing") {
    f.breaker.set_override(f.now, Override::disabled);
    CHECK(f.state() == BreakerState::disabled);
    for (int i = 0; i < 100; ++i) REQUIRE(f.call(hard));
    CHECK(f.snapshot().window_calls == 0);
    CHECK(f.snapshot().failure_count == 0);
    CHECK_FALSE(f.snapshot().last_failure.has_value());
  }
  SECTION("metrics only grants everything, counts, never trips") {
    f.breaker.set_override(f.now, Override::metrics_only);
    CHECK(f.state() == BreakerState::metrics_only);
    for (int i = 0; i < 100; ++i) REQUIRE(f.call(hard));
    CHECK(f.snapshot().window_calls == 100);
    CHECK(f.snapshot().window_failures == 100);
    CHECK(f.snapshot().failure_count == 100);
    f.breaker.set_override(f.now, Override::none);
    CHECK(f.state() == BreakerState::closed);
    CHECK(f.calls("EEEE"));  // what was counted under the order doesn't trip after it
    CHECK(f.state() == BreakerState::closed);
    CHECK(f.call(hard));
    CHECK(f.state() == BreakerState::open);
  }
  SECTION("the automatic state goes on where it was") {
    REQUIRE(f.calls("EEEEE"));
    for (const Override order : {Override::forced_open, Override::disabled, Override::metrics_only}) {
      f.breaker.set_override(f.now, order);
      CHECK(f.breaker.would_admit(f.now) == (order != Override::forced_open));
      CHECK_FALSE(f.breaker.retry_at().has_value());
      f.breaker.set_override(f.now, Override::none);
      CHECK(f.state() == BreakerState::open);
      CHECK(f.breaker.retry_at() == f.now + 1s);
    }
  }
  SECTION("a probe that was out is let go") {
    REQUIRE(f.calls("EEEEE"));
    f.now += 1s;
    Permit probe = f.breaker.try_acquire(f.now);
    f.breaker.set_override(f.now, Override::disabled);
    f.breaker.set_override(f.now, Override::none);
    CHECK(f.state() == BreakerState::half_open);
    Permit next = f.breaker.try_acquire(f.now);
    CHECK(next);
    probe.report(f.now, hard);
    CHECK(f.state() == BreakerState::half_open);
  }
  SECTION("results of calls from before an order count nowhere") {
    Permit before = f.breaker.try_acquire(f.now);
    f.breaker.set_override(f.now, Override::metrics_only);
    before.report(f.now, hard);
    CHECK(f.snapshot().window_calls == 0);
  }
  SECTION("the same order again changes nothing") {
    f.breaker.set_override(f.now, Override::metrics_only);
    REQUIRE(f.call(hard));
    const auto generation = f.snapshot().generation;
    f.breaker.set_override(f.now, Override::metrics_only);
    CHECK(f.snapshot().window_calls == 1);
    CHECK(f.snapshot().generation == generation);
  }
}

TEST_CASE("reset forgets everything", "[resilience][breaker]") {
  BreakerFixture f;
  REQUIRE(f.calls("SSSEEEEE"));
  f.now += 1s;
  REQUIRE(f.call(hard));
  f.breaker.set_override(f.now, Override::forced_open);
  f.breaker.reset(f.now);
  const auto snapshot = f.snapshot();
  CHECK(snapshot.state == BreakerState::closed);
  CHECK(snapshot.failure_count == 0);
  CHECK(snapshot.success_count == 0);
  CHECK(snapshot.window_calls == 0);
  CHECK(snapshot.window_failures == 0);
  CHECK(snapshot.trips_in_a_row == 0);
  CHECK_FALSE(snapshot.last_failure.has_value());
  CHECK_FALSE(snapshot.retry_at.has_value());
  REQUIRE(f.calls("EEEEE"));
  CHECK(f.breaker.retry_at() == f.now + 1s);
}

TEST_CASE("a snapshot tells what an operator wants to know", "[resilience][breaker]") {
  BreakerFixture f;
  CHECK(f.snapshot().state == BreakerState::closed);
  CHECK_FALSE(f.snapshot().last_failure.has_value());
  REQUIRE(f.calls("SSSLE"));
  f.now += 1s;
  auto snapshot = f.snapshot();
  CHECK(snapshot.success_count == 3);
  CHECK(snapshot.failure_count == 1);
  CHECK(snapshot.window_calls == 5);
  CHECK(snapshot.window_failures == 2);
  CHECK(snapshot.last_failure == f.now - 1s);
  REQUIRE(f.calls("EEEE"));
  const auto generation = snapshot.generation;
  snapshot = f.snapshot();
  CHECK(snapshot.state == BreakerState::open);
  CHECK(snapshot.failure_count == 5);
  CHECK(snapshot.retry_at == f.now + 1s);
  CHECK(snapshot.trips_in_a_row == 1);
  CHECK(snapshot.generation > generation);
  // during an outage the row goes on with each failed probe
  f.now += 1s;
  REQUIRE(f.call(hard));
  CHECK(f.snapshot().failure_count == 6);
  CHECK(f.snapshot().last_failure == f.now);
  f.now += 2s;
  REQUIRE(f.call(soft));
  CHECK(f.snapshot().failure_count == 6);
  f.now += 4s;
  REQUIRE(f.call(ok));
  CHECK(f.snapshot().failure_count == 0);
  CHECK(f.snapshot().success_count == 4);
}
