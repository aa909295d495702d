// Which endpoint is next: order, groups, tried endpoints, breakers, panic, two choices.

#include "support.hpp"

#include <mlflowha/resilience/impl/load.hpp>

#include <array>
#include <cmath>

#include "support/catch.hpp"

using namespace resilience_tests;

namespace {

using Health = EndpointHealth;

std::shared_ptr<Rng> seeded(std::uint64_t seed = 1) { return std::make_shared<SplitMixRng>(seed); }

/// Reports one outcome for whatever endpoint `index` is, without going through pick.
void tell(EndpointSet& set, EndpointIndex index, TimePoint now, const Outcome& result) {
  EndpointSet::Lease lease = set.acquire(index, now);
  REQUIRE(lease);
  set.report(std::move(lease), now, result, "told");
}

/// The breaker of `index` opens (5 failures in a row by default).
void eject(EndpointSet& set, EndpointIndex index, TimePoint now) {
  while (set.health(index, now) != Health::ejected) tell(set, index, now, reset());
}

int picked(EndpointSet& set, TimePoint now, const EndpointSet::Tried& tried = {}) {
  const EndpointSet::Pick pick = set.pick(now, tried);
  return pick.lease ? static_cast<int>(pick.lease.index()) : -1;
}

EndpointSet::Tried tried(std::initializer_list<EndpointIndex> indexes) {
  EndpointSet::Tried out;
  for (const EndpointIndex index : indexes) out.add(index);
  return out;
}

}  // namespace

TEST_CASE("the first healthy endpoint of the list is picked", "[resilience][pick]") {
  EndpointSet set(specs(3), plain(), seeded());
  const EndpointSet::Pick pick = set.pick(at(seconds(0)), {});
  CHECK(pick.lease.index() == 0);
  CHECK(pick.fresh);
  CHECK_FALSE(pick.lease.needs_identity());
}

TEST_CASE("a hard failure makes an endpoint suspect and calls avoid it", "[resilience][pick]") {
  EndpointSet set(specs(3), plain(), seeded());
  tell(set, 0, at(seconds(0)), reset());
  CHECK(set.health(0, at(seconds(0))) == Health::suspect);
  CHECK(picked(set, at(seconds(0))) == 1);
  CHECK(picked(set, at(seconds(3600))) == 1);  // for as long as nobody has seen it answer
}

TEST_CASE("health comes before the group, the group before list order", "[resilience][pick]") {
  EndpointSet set(specs({1, 0, 0, 1}), plain(), seeded());
  const TimePoint now = at(seconds(0));
  CHECK(picked(set, now) == 1);
  tell(set, 1, now, reset());
  CHECK(picked(set, now) == 2);
  tell(set, 2, now, reset());
  CHECK(picked(set, now) == 0);  // healthy in the second group beats suspect in the first
  tell(set, 0, now, reset());
  CHECK(picked(set, now) == 3);
  tell(set, 3, now, reset());
  CHECK(picked(set, now) == 1);  // all suspect: the lower group again
  tell(set, 2, now, success());
  CHECK(set.health(2, now) == Health::recovering);
  CHECK(picked(set, now) == 2);  // nobody is healthy: recovering is used at once
  tell(set, 3, now, success());
  CHECK(picked(set, now) == 2);
}

TEST_CASE("an ejected endpoint of the first group comes after a suspect one of the second", "[resilience][pick]") {
  EndpointSet set(specs({0, 1}), plain(), seeded());
  const TimePoint now = at(seconds(0));
  eject(set, 0, now);
  tell(set, 1, now, reset());
  CHECK(picked(set, at(seconds(2))) == 1);  // the breaker of e0 would admit a probe by now
  eject(set, 1, at(seconds(2)));
  CHECK(picked(set, at(milliseconds(2100))) == 0);  // now that probe is the best there is
}

TEST_CASE("tried endpoints come last but are not forbidden", "[resilience][pick]") {
  // As MongoDB's deprioritised servers: passed over while another fits, used when none does.
  EndpointSet set(specs(3), plain(), seeded());
  const TimePoint now = at(seconds(0));
  CHECK(picked(set, now, tried({0})) == 1);
  CHECK(picked(set, now, tried({0, 1})) == 2);
  CHECK(picked(set, now, tried({0, 1, 2})) == 0);
  CHECK(picked(set, now, tried({0, 1, 2, 0})) == 1);
  CHECK_FALSE(set.pick(now, tried({0, 1, 2})).fresh);

  SECTION("a tried endpoint that works beats an untried suspect") {
    tell(set, 2, now, reset());
    CHECK(picked(set, now, tried({0, 1})) == 0);
    CHECK_FALSE(set.pick_fresh(now, tried({0, 1})));
    CHECK(set.pick_fresh(now, tried({0})));
  }
  SECTION("among suspects the least tried is next") {
    for (EndpointIndex i = 0; i < 3; ++i) tell(set, i, now, reset());
    CHECK(picked(set, now, tried({0})) == 1);
    CHECK(picked(set, now, tried({0, 1, 2})) == 0);
    CHECK_FALSE(set.pick(now, {}).fresh);
  }
  SECTION("a list of one") {
    EndpointSet one(specs(1), plain(), seeded());
    CHECK(picked(one, now, tried({0})) == 0);
    tell(one, 0, now, reset());
    CHECK(picked(one, now, tried({0, 0, 0})) == 0);
  }
}

TEST_CASE("a Retry-After sets its endpoint back, capped, and blocks nobody", "[resilience][pick][trap11]") {
  EndpointSetOptions options = plain();
  options.hold_max = seconds(10);
  EndpointSet set(specs(2), options, seeded());
  tell(set, 0, at(seconds(0)), overload(seconds(3)));
  CHECK(set.health(0, at(seconds(0))) == Health::healthy);
  CHECK(picked(set, at(seconds(0))) == 1);
  CHECK(set.snapshot(at(seconds(0)))[0].held_until == at(seconds(3)));
  CHECK(picked(set, at(seconds(3))) == 0);
  tell(set, 0, at(seconds(3)), overload(seconds(999'999)));
  CHECK(picked(set, at(milliseconds(12'999))) == 1);
  CHECK(picked(set, at(seconds(13))) == 0);

  SECTION("held beats suspect, and alone it is used") {
    tell(set, 0, at(seconds(13)), overload(seconds(5)));
    tell(set, 1, at(seconds(13)), reset());
    CHECK(picked(set, at(seconds(13))) == 0);
  }
  SECTION("negative and zero hold nothing") {
    tell(set, 0, at(seconds(13)), overload(Duration(-5)));
    tell(set, 0, at(seconds(13)), overload(Duration::zero()));
    CHECK(picked(set, at(seconds(13))) == 0);
  }
}

TEST_CASE("an outage of the shared database blames no endpoint", "[resilience][pick]") {
  EndpointSet set(specs(2), plain(), seeded());
  for (int i = 0; i < 100; ++i) {
    tell(set, 0, at(seconds(i)), shared_backend());
    tell(set, 1, at(seconds(i)), shared_backend());
  }
  for (EndpointIndex i = 0; i < 2; ++i) {
    CHECK(set.health(i, at(seconds(100))) == Health::healthy);
    CHECK(set.snapshot(at(seconds(100)))[i].breaker.window_calls == 0);
  }
}

TEST_CASE("a half-open breaker closes on answers that blame the database", "[resilience][pick]") {
  EndpointSet set(specs(1), plain(), seeded());
  eject(set, 0, at(seconds(0)));
  for (int i = 0; i < 2; ++i) {
    EndpointSet::Pick pick = set.pick(at(seconds(2)), {});
    REQUIRE(pick.lease);
    set.report(std::move(pick.lease), at(seconds(2)), shared_backend());
  }
  CHECK(set.snapshot(at(seconds(2)))[0].breaker.state == BreakerState::closed);
}

TEST_CASE("rejections and server errors make nobody suspect, cancellation nothing at all",
          "[resilience][pick][trap8]") {
  EndpointSet set(specs(2), plain(), seeded());
  const TimePoint now = at(seconds(0));
  for (int i = 0; i < 50; ++i) tell(set, 0, now, rejected());
  CHECK(set.health(0, now) == Health::healthy);
  CHECK(set.snapshot(now)[0].breaker.success_count == 50);
  for (int i = 0; i < 50; ++i) tell(set, 0, now, outcome(Verdict::cancelled));
  CHECK(set.snapshot(now)[0].breaker.window_calls == 50);
  for (int i = 0; i < 9; ++i) tell(set, 0, now, outcome(Verdict::server_error));
  for (int i = 0; i < 9; ++i) tell(set, 0, now, overload());
  CHECK(set.health(0, now) == Health::healthy);
  CHECK(set.snapshot(now)[0].breaker.failure_count == 0);
}

TEST_CASE("a cancelled probe neither closes nor blocks", "[resilience][pick][trap2]") {
  EndpointSet set(specs(1), plain(), seeded());
  eject(set, 0, at(seconds(0)));
  for (int i = 0; i < 10; ++i) {
    EndpointSet::Pick pick = set.pick(at(seconds(2)), {});
    REQUIRE(pick.lease);
    if (i % 2 == 0) set.report(std::move(pick.lease), at(seconds(2)), outcome(Verdict::cancelled));
  }
  CHECK(set.health(0, at(seconds(2))) == Health::ejected);
  CHECK(set.snapshot(at(seconds(2)))[0].in_flight == 0);
}

TEST_CASE("with all breakers open panic tries the longest rested, at a measured pace", "[resilience][pick][trap5]") {
  EndpointSetOptions options = plain();
  options.breaker.open_for = seconds(60);
  options.breaker.open_jitter = 0;
  options.panic_interval = seconds(1);
  EndpointSet set(specs(3), options, std::make_shared<FixedRng>(largest));  // every jitter is +20 %
  eject(set, 1, at(milliseconds(0)));
  eject(set, 0, at(milliseconds(100)));
  eject(set, 2, at(milliseconds(200)));

  EndpointSet::Pick early = set.pick(at(milliseconds(300)), {});
  CHECK_FALSE(early.lease);
  CHECK_FALSE(early.all_refused);
  CHECK(early.retry_at == at(seconds(1)));  // e1 has rested a panic interval then

  EndpointSet::Pick panic = set.pick(at(milliseconds(1500)), {});
  REQUIRE(panic.lease);
  CHECK(panic.lease.index() == 1);
  CHECK_FALSE(panic.fresh);
  CHECK_FALSE(set.pick(at(milliseconds(1500)), {}).lease);  // one at a time
  set.report(std::move(panic.lease), at(milliseconds(1600)), reset());
  CHECK_FALSE(set.pick(at(milliseconds(2600)), {}).lease);
  CHECK(set.pick(at(milliseconds(2600)), {}).retry_at <= at(milliseconds(2701)));
  CHECK(picked(set, at(milliseconds(2701))) == 0);

  SECTION("never one that is forced open or refused") {
    set.set_override(at(seconds(4)), CircuitBreaker::Override::forced_open, 0);
    set.refuse(1, at(seconds(4)), "another database");
    CHECK(picked(set, at(seconds(10))) == 2);
    set.refuse(2, at(seconds(10)), "another database");
    const EndpointSet::Pick none = set.pick(at(seconds(20)), {});
    CHECK_FALSE(none.lease);
    CHECK(none.all_refused);
    CHECK_FALSE(none.retry_at);
  }
}

TEST_CASE("while another call probes the only endpoint, look again soon", "[resilience][pick][trap3]") {
  EndpointSet set(specs(1), plain(), seeded());
  eject(set, 0, at(seconds(0)));
  const EndpointSet::Pick probe = set.pick(at(seconds(2)), {});
  REQUIRE(probe.lease);
  for (int i = 0; i < 20; ++i) {
    const EndpointSet::Pick second = set.pick(at(seconds(2)), {});
    CHECK_FALSE(second.lease);
    CHECK_FALSE(second.all_refused);
    REQUIRE(second.retry_at);
    CHECK(*second.retry_at >= at(milliseconds(2040)));
    CHECK(*second.retry_at <= at(milliseconds(2060)));
  }
}

TEST_CASE("an empty list has nobody", "[resilience][pick]") {
  EndpointSet set({}, plain(), seeded());
  const EndpointSet::Pick pick = set.pick(at(seconds(0)), {});
  CHECK_FALSE(pick.lease);
  CHECK(pick.all_refused);
  CHECK_FALSE(set.next_probe(at(seconds(0))));
  CHECK(cluster_state(set.snapshot(at(seconds(0)))) == BreakerState::open);
}

// ------------------------------------------------------------------------------------------------------- two choices

TEST_CASE("moving average: published round-trip figures, alpha 0.2", "[resilience][p2c]") {
  struct Row {
    std::optional<double> before;
    double sample;
    double after;
  };
  const std::array<Row, 7> rows{{{std::nullopt, 10, 10},
                                 {std::nullopt, 0, 0},
                                 {0.0, 5, 1},
                                 {3.1, 36, 9.68},
                                 {9.12, 9.12, 9.12},
                                 {1.0, 1000, 200.8},
                                 {0.0, .25, .05}}};
  for (const Row& row : rows) CHECK(detail::ewma(row.before, row.sample, 0.2) == mlflowha_tests::approx(row.after));
}

TEST_CASE("peak average: up at once, down with time", "[resilience][p2c]") {
  CHECK(detail::peak_ewma(std::nullopt, 7, 0, 10) == mlflowha_tests::approx(7));
  CHECK(detail::peak_ewma(10.0, 100, 1, 10) == mlflowha_tests::approx(100));
  CHECK(detail::peak_ewma(100.0, 10, 10, 10) == mlflowha_tests::approx(10 + 90 / std::exp(1.0)));
  CHECK(detail::peak_ewma(100.0, 10, 0, 10) == mlflowha_tests::approx(100));
  CHECK(detail::decayed(100, 10, 10) == mlflowha_tests::approx(100 / std::exp(1.0)));
  CHECK(detail::load(std::nullopt, 0) == mlflowha_tests::approx(0));
  CHECK(detail::load(std::nullopt, 1) > detail::load(1e6, 100));
  CHECK(detail::load(1e6, 3) == mlflowha_tests::approx(4 * (1e6 + 1e3)));
}

TEST_CASE("two choices by load: published frequencies", "[resilience][p2c]") {
  // In flight per endpoint -> share of the picks. Exact values for drawing two without replacement, ties halved.
  struct Row {
    std::vector<int> in_flight;
    std::vector<double> share;
    int draws;
    double tolerance;
  };
  const std::vector<Row> rows{
      {{5, 5, 5}, {.33, .33, .33}, 2000, .05},
      {{16, 10, 16}, {.165, .66, .165}, 2000, .05},
      {{3, 6, 20}, {.66, .33, 0}, 2000, .05},
      {{0, 5}, {1, 0}, 2000, .05},
      {{0, 5, 5, 10, 10, 20, 20, 50, 60}, {.22, .18, .18, .125, .125, .074, .074, .0277, 0}, 10000, .03},
  };
  for (const Row& row : rows) {
    for (const bool one_group : {true, false}) {  // the quick way, and the way with a suspect elsewhere
      EndpointSetOptions options = plain();
      options.selection = Selection::p2c_ewma;
      options.breaker.failure_rate = 0;
      std::vector<std::int32_t> groups(row.in_flight.size(), 0);
      if (!one_group) groups.push_back(1);
      EndpointSet set(specs(groups), options, seeded(7));
      const TimePoint now = at(seconds(0));
      if (!one_group) tell(set, static_cast<EndpointIndex>(groups.size() - 1), now, reset());
      std::vector<EndpointSet::Lease> busy;
      for (std::size_t i = 0; i < row.in_flight.size(); ++i) {
        tell(set, static_cast<EndpointIndex>(i), now, success());  // the same latency for all
        for (int n = 0; n < row.in_flight[i]; ++n) busy.push_back(set.acquire(static_cast<EndpointIndex>(i), now));
      }
      std::vector<int> count(groups.size(), 0);
      for (int n = 0; n < row.draws; ++n) ++count[set.pick(now, {}).lease.index()];
      for (std::size_t i = 0; i < row.share.size(); ++i) {
        INFO("endpoint " << i << " of " << row.share.size());
        CHECK(std::abs(static_cast<double>(count[i]) / row.draws - row.share[i]) <= row.tolerance);
      }
    }
  }
}

TEST_CASE("two choices: the lower latency wins, failures make slow", "[resilience][p2c]") {
  EndpointSetOptions options = plain();
  options.selection = Selection::p2c_ewma;
  EndpointSet set(specs(2), options, seeded());
  Outcome fast = success();
  fast.latency = milliseconds(1);
  Outcome slow = success();
  slow.latency = milliseconds(50);
  tell(set, 0, at(seconds(0)), slow);
  tell(set, 1, at(seconds(0)), fast);
  for (int i = 0; i < 50; ++i) CHECK(picked(set, at(seconds(0))) == 1);
  // An overloaded endpoint says so at once: that must not look fast.
  Outcome quick_no = overload();
  quick_no.latency = std::chrono::microseconds(10);
  for (int i = 0; i < 7; ++i) tell(set, 1, at(seconds(0)), quick_no);
  for (int i = 0; i < 50; ++i) CHECK(picked(set, at(seconds(0))) == 0);
  // ... nor for ever: without samples it decays and gets its chance.
  tell(set, 0, at(seconds(200)), slow);
  CHECK(picked(set, at(seconds(200))) == 1);
}

TEST_CASE("two choices: tried and suspect endpoints are left out while others work", "[resilience][p2c]") {
  EndpointSetOptions options = plain();
  options.selection = Selection::p2c_ewma;
  EndpointSet set(specs({0, 0, 0, 1}), options, seeded());
  const TimePoint now = at(seconds(0));
  for (int i = 0; i < 100; ++i) CHECK(picked(set, now) < 3);
  for (int i = 0; i < 100; ++i) CHECK(picked(set, now, tried({0, 1})) == 2);
  CHECK(picked(set, now, tried({0, 1, 2})) == 3);
  tell(set, 0, now, reset());
  for (int i = 0; i < 100; ++i) {
    const int index = picked(set, now);
    CHECK((index == 1 || index == 2));
  }
  tell(set, 1, now, reset());
  tell(set, 2, now, reset());
  CHECK(picked(set, now) == 3);
}

TEST_CASE("two choices: a recovering endpoint's share grows over the ramp", "[resilience][p2c][trap6]") {
  EndpointSetOptions options = plain();
  options.selection = Selection::p2c_ewma;
  options.ramp = seconds(10);
  EndpointSet set(specs(2), options, seeded(3));
  tell(set, 0, at(seconds(0)), reset());
  tell(set, 0, at(seconds(1)), success());
  REQUIRE(set.health(0, at(seconds(1))) == Health::recovering);
  const auto share = [&](Duration since) {
    int hits = 0;
    // What both have measured decays to nothing, so that only the ramp decides.
    const TimePoint now = at(seconds(1)) + since;
    for (int i = 0; i < 2000; ++i) hits += picked(set, now) == 0 ? 1 : 0;
    return hits / 2000.0;
  };
  const Duration start = Duration::zero();
  CHECK(share(start) < 0.01);
  // e1 has no sample and is idle: free. Give it the same one.
  Outcome same = success();
  same.latency = seconds(5);  // what the failure of e0 was counted as, at most
  tell(set, 1, at(seconds(1)), same);
  const double third = share(milliseconds(3300));
  const double two_thirds = share(milliseconds(6600));
  CHECK(third > 0.2);
  CHECK(third < 0.45);
  CHECK(two_thirds > third + 0.2);
  CHECK(share(seconds(11)) > two_thirds);
}
