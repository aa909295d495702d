// What results do to an endpoint: suspicion, recovery, side probes, identity, orders, events, threads.

#include "support.hpp"

#include <array>
#include <atomic>
#include <set>
#include <thread>

#include "support/catch.hpp"

using namespace resilience_tests;

namespace {

using Health = EndpointHealth;

std::shared_ptr<Rng> seeded(std::uint64_t seed = 1) { return std::make_shared<SplitMixRng>(seed); }
/// Jitter of exactly 1: uniform gives 0.5.
std::shared_ptr<Rng> level() { return std::make_shared<FixedRng>(std::uint64_t{1} << 63); }

void tell(EndpointSet& set, EndpointIndex index, TimePoint now, const Outcome& result, std::string_view why = "told") {
  EndpointSet::Lease lease = set.acquire(index, now);
  REQUIRE(lease);
  set.report(std::move(lease), now, result, why);
}

void eject(EndpointSet& set, EndpointIndex index, TimePoint now) {
  while (set.health(index, now) != Health::ejected) tell(set, index, now, reset());
}

int picked(EndpointSet& set, TimePoint now) {
  const EndpointSet::Pick pick = set.pick(now, {});
  return pick.lease ? static_cast<int>(pick.lease.index()) : -1;
}

/// Which endpoint's side probe is due; it is settled with `result`. -1: none.
int probe(EndpointSet& set, TimePoint now, const Outcome& result) {
  EndpointSet::Lease lease = set.next_probe(now);
  if (!lease) return -1;
  const int index = static_cast<int>(lease.index());
  set.report(std::move(lease), now, result, "probed");
  return index;
}

}  // namespace

// ---------------------------------------------------------------------------------------------- suspicion, recovery

TEST_CASE("a recovered primary earns its place back by successes and time", "[resilience][health]") {
  EndpointSetOptions options = plain();
  options.failback_successes = 3;
  options.failback_after = seconds(30);
  EndpointSet set(specs(2), options, seeded());
  tell(set, 0, at(seconds(0)), reset());
  tell(set, 0, at(seconds(1)), success());
  CHECK(set.health(0, at(seconds(1))) == Health::recovering);
  CHECK(picked(set, at(seconds(1))) == 1);
  for (int i = 0; i < 50; ++i) tell(set, 0, at(seconds(2)), success());
  CHECK(picked(set, at(seconds(29))) == 1);  // enough successes, too early
  tell(set, 0, at(seconds(29)), success());
  CHECK(picked(set, at(seconds(60))) == 1);  // time alone moves nothing: nobody has seen it answer since
  tell(set, 0, at(seconds(60)), success());
  CHECK(set.health(0, at(seconds(60))) == Health::healthy);
  CHECK(picked(set, at(seconds(60))) == 0);

  SECTION("late, but with too few successes") {
    tell(set, 0, at(seconds(100)), reset());
    tell(set, 0, at(seconds(200)), success());
    tell(set, 0, at(seconds(200)), rejected());
    CHECK(picked(set, at(seconds(200))) == 1);
    tell(set, 0, at(seconds(200)), success());
    CHECK(picked(set, at(seconds(200))) == 0);
  }
  SECTION("a failure on the way starts it over") {
    tell(set, 0, at(seconds(100)), reset());
    tell(set, 0, at(seconds(110)), success());
    tell(set, 0, at(seconds(120)), reset());
    CHECK(set.health(0, at(seconds(120))) == Health::suspect);
    for (int i = 0; i < 5; ++i) tell(set, 0, at(seconds(140)), success());
    CHECK(picked(set, at(seconds(140))) == 1);
    tell(set, 0, at(seconds(150)), success());
    CHECK(picked(set, at(seconds(150))) == 0);
  }
}

TEST_CASE("a flapping primary doesn't drag the calls with it", "[resilience][health]") {
  EndpointSet set(specs(2), plain(), seeded());
  tell(set, 0, at(seconds(0)), reset());
  for (int i = 1; i <= 100; ++i) {  // up for ten seconds, down for ten
    const TimePoint now = at(seconds(10 * i));
    while (probe(set, now, i % 2 == 0 ? success() : reset()) >= 0) {
    }
    CHECK(picked(set, now) == 1);
  }
}

TEST_CASE("a result from before the last change of health changes it no more", "[resilience][health][trap1]") {
  EndpointSet set(specs(2), plain(), seeded());
  SECTION("a late success doesn't clear a suspicion") {
    EndpointSet::Lease old = set.acquire(0, at(seconds(0)));
    tell(set, 0, at(seconds(1)), reset());
    set.report(std::move(old), at(seconds(2)), success());
    CHECK(set.health(0, at(seconds(2))) == Health::suspect);
  }
  SECTION("a late failure doesn't condemn what has recovered") {
    EndpointSet::Lease old = set.acquire(0, at(seconds(0)));
    tell(set, 0, at(seconds(1)), reset());
    tell(set, 0, at(seconds(2)), success());
    set.report(std::move(old), at(seconds(3)), reset());
    CHECK(set.health(0, at(seconds(3))) == Health::recovering);
  }
  SECTION("the breaker neither") {
    EndpointSet::Lease old = set.acquire(0, at(seconds(0)));
    eject(set, 0, at(seconds(0)));
    EndpointSet::Lease probing = set.acquire(0, at(seconds(2)));
    REQUIRE(probing);
    set.report(std::move(old), at(seconds(2)), success());
    CHECK(set.health(0, at(seconds(2))) == Health::ejected);
    CHECK(set.snapshot(at(seconds(2)))[0].breaker.state == BreakerState::half_open);
  }
}

TEST_CASE("a breaker opened by its failure rate makes its endpoint suspect too", "[resilience][health]") {
  EndpointSet set(specs(2), plain(), seeded());
  for (int i = 0; i < 10; ++i) tell(set, 0, at(seconds(0)), overload());
  CHECK(set.health(0, at(seconds(0))) == Health::ejected);
  CHECK(picked(set, at(seconds(0))) == 1);
  CHECK(probe(set, at(seconds(2)), success()) == 0);
  CHECK(probe(set, at(seconds(10)), success()) == 0);
  CHECK(set.health(0, at(seconds(10))) == Health::recovering);  // not at once back to first place
}

// -------------------------------------------------------------------------------------------------------- side probes

TEST_CASE("a suspect is probed beside the calls, at growing gaps, one at a time", "[resilience][probe]") {
  EndpointSetOptions options = plain();
  options.breaker.consecutive_failures = 1'000;  // the breaker's own times are another test's matter
  options.breaker.failure_rate = 0;
  const auto gaps_after = [&](const Outcome& outcome) {
    EndpointSet set(specs(2), options, level());
    CHECK_FALSE(set.next_probe(at(seconds(0))));  // all is well
    tell(set, 0, at(seconds(0)), reset());
    TimePoint last = at(seconds(0));
    TimePoint now = last;
    std::vector<std::int64_t> gaps;
    while (gaps.size() < 8) {
      now += milliseconds(1);
      EndpointSet::Lease lease = set.next_probe(now);
      if (!lease) continue;
      CHECK(lease.index() == 0);
      CHECK_FALSE(set.next_probe(now + seconds(100)));  // not while one is out
      gaps.push_back(std::chrono::duration_cast<milliseconds>(now - last).count());
      last = now;
      set.report(std::move(lease), now, outcome);
    }
    return gaps;
  };
  CHECK(gaps_after(reset()) == std::vector<std::int64_t>{250, 500, 1000, 2000, 4000, 8000, 10000, 10000});
  // A refused connection costs nobody anything: a server that is booting is noticed soon.
  CHECK(gaps_after(refused_connect()) == std::vector<std::int64_t>{250, 500, 1000, 2000, 2000, 2000, 2000, 2000});
}

TEST_CASE("gaps between side probes are jittered by a fifth", "[resilience][probe][trap7]") {
  EndpointSet set(specs(20), plain(), seeded());
  for (EndpointIndex i = 0; i < 19; ++i) tell(set, i, at(seconds(0)), reset());
  std::vector<int> due(3, 0);  // by 0.2 s (none), by 0.25 s, by 0.3 s
  const std::array<Duration, 3> until{milliseconds(199), milliseconds(250), milliseconds(300)};
  for (std::size_t i = 0; i < due.size(); ++i) {
    while (probe(set, at(until[i]), shared_backend()) >= 0) ++due[i];
  }
  CHECK(due[0] == 0);
  CHECK(due[1] > 3);
  CHECK(due[2] > 3);
  CHECK(due[1] + due[2] == 19);
}

TEST_CASE("a dropped probe may be had again, later", "[resilience][probe][trap2]") {
  EndpointSet set(specs(2), plain(), seeded());
  tell(set, 0, at(seconds(0)), reset());
  {
    const EndpointSet::Lease lease = set.next_probe(at(seconds(1)));
    REQUIRE(lease);
  }
  CHECK_FALSE(set.next_probe(at(seconds(1))));
  CHECK(set.next_probe(at(seconds(2))));
  CHECK(set.snapshot(at(seconds(2)))[0].in_flight == 0);
}

TEST_CASE("a probe brings an ejected endpoint back, and it fails back on time", "[resilience][probe]") {
  EndpointSet set(specs(2), plain(), seeded());
  eject(set, 0, at(seconds(0)));
  int probes = 0;
  TimePoint now = at(seconds(0));
  TimePoint recovering = TimePoint::max();
  while (set.health(0, now) != Health::healthy && now < at(seconds(60))) {
    now += milliseconds(10);
    if (probe(set, now, success()) == 0) ++probes;
    if (set.health(0, now) == Health::recovering) recovering = std::min(recovering, now);
  }
  CHECK(recovering <= at(seconds(3)));
  CHECK(now >= at(seconds(30)));
  CHECK(now <= at(milliseconds(30'050)));  // the last probe waits for that moment, not for its gap
  CHECK(probes <= 12);                     // and until then nobody is pestered
}

TEST_CASE("side probes need as many successes for the fail-back as calls do", "[resilience][probe]") {
  EndpointSet set(specs(2), plain(), seeded());
  tell(set, 0, at(seconds(0)), reset());
  for (int i = 1; i <= 3; ++i) {
    CHECK(set.health(0, at(seconds(100 * i))) != Health::healthy);
    CHECK(probe(set, at(seconds(100 * i)), success()) == 0);
  }
  CHECK(set.health(0, at(seconds(300))) == Health::healthy);
  CHECK_FALSE(set.next_probe(at(seconds(1000))));
}

TEST_CASE("the endpoint that calls would use anyway isn't probed", "[resilience][probe]") {
  SECTION("a list of one") {
    EndpointSet set(specs(1), plain(), seeded());
    tell(set, 0, at(seconds(0)), reset());
    CHECK_FALSE(set.next_probe(at(seconds(100))));
    tell(set, 0, at(seconds(100)), success());
    CHECK_FALSE(set.next_probe(at(seconds(200))));
  }
  SECTION("nobody works: calls find out about the first choice, side probes about the rest") {
    EndpointSet set(specs(3), plain(), seeded());
    for (EndpointIndex i = 0; i < 3; ++i) tell(set, i, at(seconds(0)), reset());
    CHECK(picked(set, at(seconds(10))) == 0);
    std::set<int> probed;
    for (int i = 0; i < 20; ++i) probed.insert(probe(set, at(seconds(10 + i)), reset()));
    probed.erase(-1);
    CHECK(probed == std::set<int>{1, 2});
  }
  SECTION("only a recovering one works") {
    EndpointSet set(specs(2), plain(), seeded());
    tell(set, 0, at(seconds(0)), reset());
    tell(set, 1, at(seconds(0)), reset());
    tell(set, 1, at(seconds(1)), success());
    for (int i = 0; i < 20; ++i) CHECK(probe(set, at(seconds(10 + i)), reset()) != 1);
  }
  SECTION("never refused or forced open") {
    EndpointSet set(specs(3), plain(), seeded());
    tell(set, 1, at(seconds(0)), reset());
    tell(set, 2, at(seconds(0)), reset());
    set.set_override(at(seconds(0)), CircuitBreaker::Override::forced_open, 1);
    set.refuse(2, at(seconds(0)), "another database");
    CHECK_FALSE(set.next_probe(at(seconds(100))));
    set.set_override(at(seconds(100)), CircuitBreaker::Override::none, 1);
    CHECK(probe(set, at(seconds(101)), success()) == 1);
  }
}

TEST_CASE("side probes don't wait for the breaker's open time", "[resilience][probe][trap5]") {
  EndpointSetOptions options = plain();
  options.breaker.open_for = seconds(60);
  options.breaker.open_jitter = 0;
  EndpointSet set(specs(3), options, level());
  eject(set, 0, at(seconds(0)));
  int early = 0;
  for (int t = 0; t < 590; ++t) {
    if (probe(set, at(milliseconds(100 * t)), refused_connect()) >= 0) ++early;
  }
  CHECK(early >= 25);  // every two seconds
  CHECK(early <= 35);
  CHECK(picked(set, at(seconds(59))) == 1);  // calls don't meet it
  // The first good probes bring it back, long before the grown open time is up.
  int back = 0;
  for (int t = 0; t < 50 && set.health(0, at(milliseconds(59'000 + 100 * t))) != Health::recovering; ++t) {
    static_cast<void>(probe(set, at(milliseconds(59'000 + 100 * t)), success()));
    ++back;
  }
  CHECK(back < 50);
}

TEST_CASE("a probe's good answer that is read after its lease still counts", "[resilience][probe][pause]") {
  EndpointSetOptions options = plain();
  options.breaker.probe_successes = 1;
  const auto waited = GENERATE(false, true);
  EndpointSet set(specs(2), options, level());
  eject(set, 0, at(seconds(0)));
  Outcome late = success();
  if (waited) late.unattended = seconds(59);
  REQUIRE(probe(set, at(seconds(60)), success()) == 0);
  eject(set, 0, at(seconds(61)));
  EndpointSet::Lease lease = set.next_probe(at(seconds(120)));
  REQUIRE(lease);
  set.report(std::move(lease), at(seconds(180)), late, "probed");
  CHECK((set.health(0, at(seconds(180))) == Health::recovering) == waited);
}

TEST_CASE("a call tries an ejected endpoint before one that has just failed it", "[resilience][trap5]") {
  EndpointSetOptions options = plain();
  options.breaker.open_for = seconds(60);
  EndpointSet set(specs(2), options, seeded());
  eject(set, 1, at(seconds(0)));
  tell(set, 0, at(seconds(10)), reset());
  EndpointSet::Tried tried;
  EndpointSet::Pick first = set.pick(at(seconds(12)), tried);
  REQUIRE(first.lease.index() == 0);  // suspect, but its breaker is closed
  set.report(std::move(first.lease), at(seconds(14)), reset());
  tried.add(0);
  const EndpointSet::Pick second = set.pick(at(seconds(14)), tried);
  REQUIRE(second.lease);
  CHECK(second.lease.index() == 1);
}

// ----------------------------------------------------------------------------------------------------------- identity

TEST_CASE("endpoints of a list are identified at first contact", "[resilience][identity][trap23]") {
  EndpointSet set(specs(3), EndpointSetOptions(), seeded());
  const TimePoint now = at(seconds(0));
  CHECK(set.pick(now, {}).lease.needs_identity());
  EndpointSet::Lease second = set.next_probe(now);
  EndpointSet::Lease third = set.next_probe(now);
  REQUIRE(second);
  REQUIRE(third);
  CHECK(second.index() == 1);
  CHECK(third.index() == 2);
  CHECK(third.needs_identity());
  CHECK_FALSE(set.next_probe(now));  // the first is left to the call
  set.mark_identified(0);
  set.mark_identified(1);
  set.report(std::move(second), now, success());
  CHECK_FALSE(set.pick(now, {}).lease.needs_identity());
  CHECK(set.snapshot(now)[0].identified);
  CHECK_FALSE(set.snapshot(now)[2].identified);

  SECTION("the odd one is out for good, and its place is lost") {
    set.report(std::move(third), now, outcome(Verdict::wrong_endpoint), "another database");
    CHECK(set.health(2, now) == Health::refused);
    CHECK(set.snapshot(now)[2].last_error == "another database");
    CHECK_FALSE(set.next_probe(at(seconds(1000))));
    CHECK_FALSE(set.acquire(2, now));
    set.mark_identified(2);
    CHECK(set.health(2, now) == Health::refused);
    tell(set, 0, now, reset());
    tell(set, 1, now, reset());
    CHECK(picked(set, now) == 0);  // suspects before the wrong database
    set.reset(now, 2);
    CHECK(set.health(2, now) == Health::healthy);
    CHECK(set.acquire(2, now).needs_identity());
  }
  SECTION("no late answer changes a refusal or hides its reason") {
    EndpointSet::Lease fourth = set.acquire(2, now);
    set.mark_identified(2);
    set.refuse(2, now, "another database");
    set.report(std::move(third), now, success());
    set.report(std::move(fourth), now, reset(), "connection reset");
    CHECK(set.health(2, now) == Health::refused);
    CHECK(set.snapshot(now)[2].last_error == "another database");
    set.reset(now, 2);
    CHECK(set.acquire(2, now).needs_identity());  // what it was identified as before counts no more
  }
}

TEST_CASE("identity is nobody's business with one endpoint or when not asked for", "[resilience][identity]") {
  EndpointSet one(specs(1), EndpointSetOptions(), seeded());
  CHECK_FALSE(one.pick(at(seconds(0)), {}).lease.needs_identity());
  CHECK_FALSE(one.next_probe(at(seconds(0))));
  EndpointSet two(specs(2), plain(), seeded());
  CHECK_FALSE(two.pick(at(seconds(0)), {}).lease.needs_identity());
  CHECK_FALSE(two.next_probe(at(seconds(0))));
}

// ------------------------------------------------------------------------------------------------- orders and events

TEST_CASE("an operator can force endpoints open and reset them", "[resilience][orders]") {
  EndpointSet set(specs(2), plain(), seeded());
  const TimePoint now = at(seconds(0));
  set.set_override(now, CircuitBreaker::Override::forced_open, 0);
  CHECK(picked(set, now) == 1);
  CHECK(set.health(0, now) == Health::ejected);
  set.set_override(now, CircuitBreaker::Override::forced_open);
  CHECK(picked(set, now) == -1);
  CHECK(set.pick(now, {}).all_refused);
  CHECK(cluster_state(set.snapshot(now)) == BreakerState::open);
  set.set_override(now, CircuitBreaker::Override::none);
  CHECK(picked(set, now) == 0);
  eject(set, 0, now);
  CHECK(cluster_state(set.snapshot(now)) == BreakerState::closed);
  eject(set, 1, now);
  CHECK(cluster_state(set.snapshot(now)) == BreakerState::open);
  const EndpointSet::Pick probing = set.pick(at(seconds(2)), {});
  CHECK(cluster_state(set.snapshot(at(seconds(2)))) == BreakerState::half_open);
  set.reset(at(seconds(2)));
  CHECK(picked(set, at(seconds(2))) == 0);
  CHECK(set.snapshot(at(seconds(2)))[0].breaker.trips_in_a_row == 0);
}

TEST_CASE("each change of an endpoint is told once, with its cause, and under no lock",
          "[resilience][events][trap21]") {
  auto recorder = std::make_shared<Recorder>();
  EndpointSet set(specs(2), plain(), seeded(), recorder);
  // An observer that asks back: with a lock held this would never return.
  recorder->while_told = [](void* context) {
    auto& asked = *static_cast<EndpointSet*>(context);
    static_cast<void>(asked.snapshot(at(seconds(0))));
    asked.mark_identified(1);
  };
  recorder->while_told_context = &set;

  tell(set, 0, at(seconds(0)), success());
  tell(set, 0, at(seconds(0)), rejected());
  CHECK(recorder->entries.empty());
  for (int i = 0; i < 5; ++i) tell(set, 0, at(seconds(0)), reset(), "connection reset");
  REQUIRE(recorder->entries.size() == 2);
  CHECK(recorder->entries[0].endpoint == "http://e0:5000");
  CHECK(recorder->entries[0].before == Health::healthy);
  CHECK(recorder->entries[0].after == Health::suspect);
  CHECK(recorder->entries[0].reason == "attempt failed: connection reset");
  CHECK(recorder->entries[1].after == Health::ejected);
  CHECK(recorder->entries[1].breaker_after == BreakerState::open);
  CHECK(recorder->entries[1].reason == "breaker opened: connection reset");

  CHECK(probe(set, at(seconds(2)), success()) == 0);
  CHECK(probe(set, at(seconds(3)), success()) == 0);
  REQUIRE(recorder->entries.size() == 3);
  CHECK(recorder->entries[2].breaker_before == BreakerState::half_open);
  CHECK(recorder->entries[2].breaker_after == BreakerState::closed);
  CHECK(recorder->entries[2].after == Health::recovering);
  for (int i = 0; i < 3; ++i) tell(set, 0, at(seconds(40)), success(), "");
  REQUIRE(recorder->entries.size() == 4);
  CHECK(recorder->entries[3].after == Health::healthy);
  CHECK(recorder->entries[3].reason == "earned its place back");
  set.refuse(0, at(seconds(50)), "another database");
  REQUIRE(recorder->entries.size() == 5);
  CHECK(recorder->entries[4].reason == "refused: another database");
  set.refuse(0, at(seconds(51)), "another database");
  set.reset(at(seconds(52)), 0);
  REQUIRE(recorder->entries.size() == 6);
  CHECK(recorder->entries[5].after == Health::healthy);
}

TEST_CASE("a snapshot tells what there is to know", "[resilience][snapshot]") {
  EndpointSet set(specs({3, 1}), plain(), seeded());
  tell(set, 0, at(seconds(1)), success());
  tell(set, 0, at(seconds(2)), refused_connect(), std::string(10'000, 'x'));
  const EndpointSet::Lease busy = set.acquire(1, at(seconds(2)));
  const auto shots = set.snapshot(at(seconds(2)));
  REQUIRE(shots.size() == 2);
  CHECK(shots[0].uri == set.uri(0));
  CHECK(shots[0].group == 3);
  CHECK(shots[0].health == Health::suspect);
  CHECK(shots[0].last_error == std::string(512, 'x'));
  CHECK(shots[0].last_error_at == at(seconds(2)));
  CHECK(shots[0].last_success_at == at(seconds(1)));
  CHECK_FALSE(shots[0].held_until);
  CHECK(shots[0].latency_ewma == milliseconds(10));
  CHECK(shots[0].breaker.failure_count == 1);
  CHECK(shots[1].in_flight == 1);
  CHECK_FALSE(shots[1].last_success_at);
  CHECK(shots[1].latency_ewma == Duration::zero());
}

TEST_CASE("options out of range are named", "[resilience][options]") {
  CHECK(EndpointSetOptions().faults().empty());
  EndpointSetOptions bad;
  bad.failback_successes = 0;
  bad.failback_after = seconds(-1);
  bad.ramp = seconds(-1);
  bad.panic_interval = Duration::zero();
  bad.probe_interval = Duration::zero();
  bad.probe_interval_max = seconds(-1);
  bad.probe_refused_max = seconds(0);
  bad.ewma_tau = Duration::zero();
  bad.hold_max = seconds(-1);
  bad.breaker.failure_rate = 7;
  const std::string faults = bad.faults();
  for (const char* name : {"failback_successes is 0,", "failback_after is -1 s,", "ramp is", "probe_refused_max is 0",
                           "panic_interval is 0", "probe_interval is 0", "probe_interval_max is", "ewma_tau is",
                           "hold_max is", "failure_rate is 7"}) {
    CHECK_THAT(faults, mlflowha_tests::contains(name));
  }
}

// ------------------------------------------------------------------------------------------------------------ threads

TEST_CASE("many threads leave nothing behind", "[resilience][threads]") {
  for (const Selection selection : {Selection::primary_first, Selection::p2c_ewma}) {
    EndpointSetOptions options;
    options.selection = selection;
    options.panic_interval = milliseconds(2);
    options.breaker.open_for = milliseconds(2);
    EndpointSet set(specs({0, 0, 1}), options, seeded(), std::make_shared<Observer>());
    std::atomic<std::int64_t> clock{0};
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back([&set, &clock, t] {
        SplitMixRng rng(t);
        for (int i = 0; i < 5000; ++i) {
          const TimePoint now = at(Duration(clock.fetch_add(50'000)));
          EndpointSet::Tried tried;
          if (below(rng, 4) == 0) tried.add(static_cast<EndpointIndex>(below(rng, 3)));
          EndpointSet::Pick pick = set.pick(now, tried);
          if (EndpointSet::Lease side = set.next_probe(now)) {
            set.mark_identified(side.index());
            set.report(std::move(side), now, below(rng, 3) == 0 ? reset() : success());
          }
          if (!pick.lease) continue;
          const std::array<Outcome, 7> results{success(),
                                               success(),
                                               reset(),
                                               overload(milliseconds(1)),
                                               shared_backend(),
                                               rejected(),
                                               outcome(Verdict::cancelled)};
          if (below(rng, 50) != 0) set.report(std::move(pick.lease), now, results[below(rng, results.size())], "x");
          if (below(rng, 500) == 0) set.reset(now);
          if (below(rng, 500) == 0) static_cast<void>(set.snapshot(now));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& shot : set.snapshot(at(seconds(100)))) CHECK(shot.in_flight == 0);
    // Whatever state that ended in, the set finds its way back.
    TimePoint now = at(seconds(100));
    for (int i = 0; i < 400; ++i) {
      now += milliseconds(500);
      EndpointSet::Pick pick = set.pick(now, {});
      if (pick.lease) set.report(std::move(pick.lease), now, success());
      while (EndpointSet::Lease side = set.next_probe(now)) set.report(std::move(side), now, success());
    }
    for (EndpointIndex i = 0; i < 3; ++i) CHECK(set.health(i, now) == Health::healthy);
  }
}
