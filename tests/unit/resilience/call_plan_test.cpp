// One call's way, stepped by hand: tables of outcomes in, actions out.

#include "support.hpp"

#include <array>

#include "support/catch.hpp"

using namespace resilience_tests;

namespace {

using Lines = std::vector<std::string>;

std::shared_ptr<Rng> seeded(std::uint64_t seed = 1) { return std::make_shared<SplitMixRng>(seed); }

void tell(EndpointSet& set, EndpointIndex index, TimePoint now, const Outcome& result) {
  EndpointSet::Lease lease = set.acquire(index, now);
  REQUIRE(lease);
  set.report(std::move(lease), now, result, "told");
}
void eject(EndpointSet& set, EndpointIndex index, TimePoint now) {
  while (set.health(index, now) != EndpointHealth::ejected) tell(set, index, now, reset());
}

RetryBudgetOptions tokens(std::int32_t capacity, std::int32_t cost = 14) {
  RetryBudgetOptions out;
  out.capacity = capacity;
  out.retry_cost = cost;
  return out;
}

}  // namespace

// --------------------------------------------------------------------------------------------- published sequences

TEST_CASE("AWS retry behaviour 2.1: waits and quota", "[resilience][plan][sep]") {
  struct Row {
    const char* name;
    std::int32_t quota;
    std::int32_t max_attempts;
    Duration cap;
    std::vector<Outcome> outcomes;
    Lines actions;
    std::int32_t quota_after;
  };
  const Duration cap = seconds(20);
  const Outcome e = bad_gateway();
  const std::vector<Row> rows{
      {"500, 500, 200",
       500,
       3,
       cap,
       {e, e, success()},
       {"call e0", "sleep 50 ms", "call e0", "sleep 100 ms", "call e0", "done"},
       486},
      {"502 x 3",
       500,
       3,
       cap,
       {e, e, e},
       {"call e0", "sleep 50 ms", "call e0", "sleep 100 ms", "call e0", "failed attempts_exhausted none"},
       472},
      {"quota for one retry", 14, 3, cap, {e, e}, {"call e0", "sleep 50 ms", "call e0", "failed budget none"}, 0},
      {"five attempts",
       500,
       5,
       cap,
       {e, e, e, e, success()},
       {"call e0", "sleep 50 ms", "call e0", "sleep 100 ms", "call e0", "sleep 200 ms", "call e0", "sleep 400 ms",
        "call e0", "done"},
       458},
      {"capped at 0.2 s",
       500,
       5,
       milliseconds(200),
       {e, e, e, e, e},
       {"call e0", "sleep 50 ms", "call e0", "sleep 100 ms", "call e0", "sleep 200 ms", "call e0", "sleep 200 ms",
        "call e0", "failed attempts_exhausted none"},
       444},
      {"quota runs out", 20, 5, cap, {e, e}, {"call e0", "sleep 50 ms", "call e0", "failed budget none"}, 6},
      {"throttling", 500, 3, cap, {overload(), success()}, {"call e0", "sleep 1000 ms", "call e0", "done"}, 500},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    EndpointSetOptions set_options = plain();
    set_options.breaker.consecutive_failures = 100;
    EndpointSet set(specs(1), set_options, seeded());
    RetryBudget budget(tokens(row.quota));
    CallPlanOptions options;
    options.when_all_open = AllOpen::fail_fast;
    options.max_attempts = row.max_attempts;
    options.backoff.cap = row.cap;
    Call call(set, Idempotency::read, seconds(60), options, &budget);
    CHECK(run(call, row.outcomes) == row.actions);
    CHECK(budget.available() == row.quota_after);
  }
}

TEST_CASE("AWS retry behaviour 2.1: Retry-After", "[resilience][plan][sep]") {
  const std::vector<std::pair<std::optional<Duration>, std::string>> rows{{milliseconds(1500), "sleep 1500 ms"},
                                                                          {milliseconds(0), "sleep 50 ms"},
                                                                          {seconds(10), "sleep 5050 ms"},
                                                                          {std::nullopt, "sleep 50 ms"}};
  for (const auto& row : rows) {
    EndpointSet set(specs(1), plain(), seeded());
    Call call(set, Idempotency::read);
    Outcome asked = bad_gateway();
    asked.retry_after = row.first;
    CHECK(run(call, {asked, success()}) == Lines{"call e0", row.second, "call e0", "done"});
  }
}

TEST_CASE("AWS retry behaviour: several calls on one quota", "[resilience][plan][sep]") {
  EndpointSetOptions set_options = plain();
  set_options.breaker.consecutive_failures = 100;
  EndpointSet set(specs(1), set_options, seeded());
  const Outcome e = bad_gateway();
  SECTION("one after the other, from 30") {
    RetryBudget budget(tokens(30));
    Call first(set, Idempotency::read, seconds(60), {}, &budget);
    run(first, {e, e});
    CHECK(budget.available() == 2);
    first.resume(success());
    CHECK(budget.available() == 16);
    Call second(set, Idempotency::read, seconds(60), {}, &budget);
    run(second, {e});
    CHECK(budget.available() == 2);
    second.resume(success());
    CHECK(budget.available() == 16);
  }
  SECTION("two at a time: 486, 472, 458, and 486 in the end") {
    RetryBudget budget(tokens(500));
    Call first(set, Idempotency::read, seconds(60), {}, &budget);
    Call second(set, Idempotency::read, seconds(60), {}, &budget);
    run(first, {e});
    CHECK(budget.available() == 486);
    run(second, {e});
    CHECK(budget.available() == 472);
    const CallPlan::Action sleep = first.resume(e);
    CHECK(budget.available() == 458);
    first.wake(sleep);
    first.resume(success());
    second.resume(success());
    CHECK(budget.available() == 486);
  }
  SECTION("dynamodb's base of 25 ms, 4 attempts") {
    CallPlanOptions options;
    options.backoff.base = milliseconds(25);
    options.max_attempts = 4;
    Call call(set, Idempotency::read, seconds(60), options);
    CHECK(run(call, {e, e, e, e}) == Lines{"call e0", "sleep 25 ms", "call e0", "sleep 50 ms", "call e0",
                                           "sleep 100 ms", "call e0", "failed attempts_exhausted none"});
  }
  SECTION("the 2.0 figures: base 1 s, 5 a retry") {
    RetryBudget budget(tokens(500, 5));
    CallPlanOptions options;
    options.when_all_open = AllOpen::fail_fast;
    options.backoff.base = seconds(1);
    options.backoff.cap = seconds(20);
    options.max_attempts = 5;
    Call call(set, Idempotency::read, seconds(60), options, &budget);
    CHECK(run(call, {e, e, e, e, e}) == Lines{"call e0", "sleep 1000 ms", "call e0", "sleep 2000 ms", "call e0",
                                              "sleep 4000 ms", "call e0", "sleep 8000 ms", "call e0",
                                              "failed attempts_exhausted none"});
    CHECK(budget.available() == 480);
    RetryBudget small(tokens(5, 5));
    Call poor(set, Idempotency::read, seconds(60), options, &small);
    CHECK(run(poor, {e, e}).back() == "failed budget none");
  }
}

TEST_CASE("Google's conformance scenarios by idempotency class", "[resilience][plan][trap15]") {
  Outcome unavailable = shared_backend();  // 503: nothing says that it wasn't applied
  unavailable.maybe_applied = true;
  const Outcome r = reset();
  for (const Idempotency idempotent : {Idempotency::read, Idempotency::same_again, Idempotency::once}) {
    for (const auto& pair : {std::pair(unavailable, unavailable), std::pair(r, r), std::pair(r, unavailable)}) {
      EndpointSet set(specs(1), plain(), seeded());
      Call call(set, idempotent);
      CHECK(run(call, {pair.first, pair.second, success()}, false) == Lines{"call e0", "call e0", "call e0", "done"});
    }
    EndpointSet set(specs(1), plain(), seeded());
    Call call(set, idempotent);
    CHECK(run(call, {r, rejected()}).back() ==
          (idempotent == Idempotency::read ? "failed permanent none" : "failed permanent unknown"));
  }
  for (const Outcome& failure : {unavailable, r}) {
    EndpointSet set(specs(2), plain(), seeded());
    Call call(set, Idempotency::never);
    CHECK(run(call, {failure}) == Lines{"call e0", "failed non_idempotent unknown"});
  }
  for (int i = 0; i <= static_cast<int>(Idempotency::never); ++i) {
    EndpointSet set(specs(2), plain(), seeded());
    Call call(set, static_cast<Idempotency>(i));
    CHECK(run(call, {rejected()}) == Lines{"call e0", "failed permanent none"});
  }
}

// ------------------------------------------------------------------------------------------------------------ failover

TEST_CASE("a call without faults is one attempt", "[resilience][plan]") {
  EndpointSet set(specs(3), plain(), seeded());
  Call call(set, Idempotency::create_anonymous);
  const CallPlan::Action first = call.start();
  const auto& attempt = std::get<CallPlan::Attempt>(first);
  CHECK(attempt.number == 1);
  CHECK(attempt.timeout == seconds(10));
  CHECK(attempt.connect_timeout == seconds(2));
  CHECK(show(call.resume(success())) == "done");
  CHECK(call.budget().available() == 500);
}

TEST_CASE("connect failures: to fresh endpoints at once, then wait; they cost no server anything and no token",
          "[resilience][plan]") {
  // Also for a class that may never be repeated: nothing was sent.
  for (const Idempotency idempotency : {Idempotency::read, Idempotency::create_anonymous, Idempotency::never}) {
    EndpointSet set(specs(3), plain(), seeded());
    RetryBudget budget;
    Call call(set, idempotency, seconds(60), {}, &budget);
    CHECK(run(call, {refused_connect(), refused_connect(), refused_connect()}) ==
          Lines{"call e0", "call e1", "call e2", "sleep 50 ms", "call e0"});
    CHECK(budget.available() == 500);
    CHECK(show(call.resume(success())) == "done");
  }
}

TEST_CASE("a dead endpoint is paid for once", "[resilience][plan]") {
  EndpointSet set(specs(3), plain(), seeded());
  Call first(set, Idempotency::read);
  CHECK(run(first, {refused_connect(), success()}) == Lines{"call e0", "call e1", "done"});
  for (int i = 0; i < 20; ++i) {
    Call later(set, Idempotency::read);
    CHECK(run(later, {success()}) == Lines{"call e1", "done"});
  }
}

TEST_CASE("after sent bytes: to a fresh endpoint at once, for a token", "[resilience][plan]") {
  EndpointSet set(specs(2), plain(), seeded());
  RetryBudget budget(tokens(28));
  CallPlanOptions options;
  options.when_all_open = AllOpen::fail_fast;
  Call call(set, Idempotency::same_again, seconds(60), options, &budget);
  CHECK(run(call, {reset(), reset()}) == Lines{"call e0", "call e1", "sleep 50 ms", "call e0"});
  CHECK(budget.available() == 0);
  CHECK(show(call.resume(reset())) == "failed budget unknown");

  EndpointSet other(specs(2), plain(), seeded());
  RetryBudget empty(tokens(13));
  Call poor(other, Idempotency::same_again, seconds(60), options, &empty);
  CHECK(run(poor, {reset()}) == Lines{"call e0", "failed budget unknown"});
}

TEST_CASE("a spent budget slows a call down to its longest backoff, but doesn't end it", "[resilience][plan]") {
  EndpointSet set(specs(2), plain(), seeded());
  RetryBudget empty(tokens(13));
  Call call(set, Idempotency::same_again, seconds(12), {}, &empty);
  CHECK(run(call, {reset(), reset(), reset()}) ==
        Lines{"call e0", "sleep 5000 ms", "call e1", "sleep 5000 ms", "call e0", "failed budget unknown"});
  CHECK(empty.available() == 13);
}

TEST_CASE("overload waits, then goes elsewhere, and Retry-After is for its own endpoint", "[resilience][plan]") {
  EndpointSet set(specs(2), plain(), seeded());
  RetryBudget budget;
  Call call(set, Idempotency::never, seconds(60), {}, &budget);
  CHECK(run(call, {overload(seconds(4)), overload(seconds(4))}) ==
        Lines{"call e0", "sleep 1000 ms", "call e1", "sleep 4000 ms", "call e0"});
  CHECK(budget.available() == 490);
  CHECK(set.health(0, call.now) == EndpointHealth::healthy);
}

TEST_CASE("an outage of the database is waited out, and nobody is locked out afterwards", "[resilience][plan]") {
  EndpointSet set(specs(3), plain(), seeded());
  RetryBudget budget(tokens(0));
  Call call(set, Idempotency::same_again, seconds(600), {}, &budget);
  std::vector<Outcome> outage(40, shared_backend());
  outage.push_back(success());
  const Lines actions = run(call, outage);
  CHECK(actions[1] == "sleep 50 ms");
  CHECK(actions.back() == "done");
  for (EndpointIndex i = 0; i < 3; ++i) CHECK(set.health(i, call.now) == EndpointHealth::healthy);
}

TEST_CASE("a request that is an error everywhere ends", "[resilience][plan][trap15]") {
  const Outcome error = outcome(Verdict::server_error);
  EndpointSet set(specs(3), plain(), seeded());
  RetryBudget unlimited(tokens(0));
  Call call(set, Idempotency::read, seconds(600), {}, &unlimited);
  CHECK(run(call, std::vector<Outcome>(100, error)) == Lines{"call e0", "call e1", "call e2", "sleep 50 ms", "call e0",
                                                             "sleep 100 ms", "call e1", "failed permanent none"});
  for (EndpointIndex i = 0; i < 3; ++i) CHECK(set.health(i, call.now) == EndpointHealth::healthy);

  Outcome ambiguous = error;
  ambiguous.maybe_applied = true;
  SECTION("a create looks first, even after the last one") {
    CallPlanOptions options;
    options.max_server_errors = 1;
    Call create(set, Idempotency::create_anonymous, seconds(600), options, &unlimited);
    CHECK(run(create, {ambiguous, looked(Found::present)}) == Lines{"call e0", "verify e1", "done verified"});
    Call again(set, Idempotency::create_anonymous, seconds(600), options, &unlimited);
    CHECK(run(again, {ambiguous, looked(Found::absent)}) == Lines{"call e0", "verify e1", "failed permanent unknown"});
    Call blind(set, Idempotency::create_anonymous, seconds(600), options, &unlimited);
    CHECK(run(blind, {ambiguous, error}) == Lines{"call e0", "verify e1", "failed permanent unknown"});
  }
}

TEST_CASE("a wrong endpoint is left at once and for free", "[resilience][plan][trap23]") {
  EndpointSet set(specs(2), plain(), seeded());
  RetryBudget empty(tokens(1));
  Call call(set, Idempotency::read, seconds(60), {}, &empty);
  const Outcome wrong = outcome(Verdict::wrong_endpoint);
  CHECK(run(call, {wrong, wrong}) == Lines{"call e0", "call e1", "failed no_endpoint none"});
  Call later(set, Idempotency::read);
  CHECK(run(later, {}) == Lines{"failed no_endpoint none"});
}

// ------------------------------------------------------------------------------------------------------------- time

TEST_CASE("the deadline bounds attempts and waits", "[resilience][plan][trap10]") {
  EndpointSet set(specs(1), plain(), seeded());
  SECTION("passed before the start") {
    for (const Duration left : {Duration(-5), Duration(0), Duration(milliseconds(9))}) {
      Call call(set, Idempotency::same_again, left);
      CHECK(run(call, {}) == Lines{"failed deadline none"});
    }
  }
  SECTION("attempts get what is left") {
    Call call(set, Idempotency::read, seconds(3));
    const CallPlan::Action first = call.start();
    CHECK(std::get<CallPlan::Attempt>(first).timeout == seconds(3));
    CHECK(std::get<CallPlan::Attempt>(first).connect_timeout == seconds(2));
    call.now += milliseconds(2500);
    const CallPlan::Action sleep = call.resume(bad_gateway());
    const CallPlan::Action second = call.wake(sleep);
    const auto& attempt = std::get<CallPlan::Attempt>(second);
    CHECK(call.now + attempt.timeout == at(seconds(3)));
    CHECK(attempt.number == 2);
  }
  SECTION("a wait that would leave too little isn't begun, and isn't paid for") {
    RetryBudget budget;
    Call call(set, Idempotency::read, milliseconds(5000), {}, &budget);
    call.start();
    Outcome asked = shared_backend();
    asked.retry_after = seconds(999'999'999);  // clamped to 5.05 s
    CHECK(show(call.resume(asked)) == "failed deadline none");
    CHECK(budget.available() == 500);
  }
  SECTION("a success after the deadline is one") {
    Call call(set, Idempotency::read, seconds(3));
    call.start();
    call.now += seconds(4);
    CHECK(show(call.resume(success())) == "done");
  }
  SECTION("a failure after the deadline is the last") {
    Call call(set, Idempotency::never, seconds(3));
    call.start();
    call.now += seconds(4);
    CHECK(show(call.resume(refused_connect())) == "failed deadline none");
  }
  SECTION("there may be none") {
    CallPlanOptions options;
    RetryBudget budget;
    FixedRng rng(largest);
    CallPlan plan(options, Idempotency::read, Deadline::never(), set, budget, rng);
    const CallPlan::Action first = plan.start(at(seconds(0)));
    CHECK(std::get<CallPlan::Attempt>(first).timeout == seconds(10));
    CHECK(show(plan.resume(at(seconds(1)), bad_gateway()), at(seconds(1))) == "sleep 50 ms");
  }
}

TEST_CASE("connecting ends before its attempt does", "[resilience][plan][trap9]") {
  EndpointSet set(specs(1), plain(), seeded());
  const std::array<Duration, 5> lefts{seconds(60), seconds(2), milliseconds(1900), milliseconds(100), milliseconds(10)};
  for (const Duration left : lefts) {
    Call call(set, Idempotency::read, left);
    const CallPlan::Action first = call.start();
    const auto& attempt = std::get<CallPlan::Attempt>(first);
    CHECK(attempt.timeout == std::min<Duration>(left, seconds(10)));
    CHECK(attempt.connect_timeout < attempt.timeout);
    CHECK(attempt.connect_timeout > Duration::zero());
  }
  CallPlanOptions careless;
  careless.connect_timeout = seconds(30);
  Call call(set, Idempotency::read, seconds(60), careless);
  const CallPlan::Action first = call.start();
  CHECK(std::get<CallPlan::Attempt>(first).connect_timeout == milliseconds(7500));
  CHECK_THAT(careless.faults(),
             mlflowha_tests::contains("connect_timeout is 30 s, expected less than attempt_timeout"));
}

TEST_CASE("no option makes the plan spin", "[resilience][plan]") {
  for (const Duration odd : {Duration(0), Duration(-1), Duration::min(), Duration::max()}) {
    EndpointSet set(specs(2), plain(), seeded());
    CallPlanOptions options;
    options.attempt_timeout = odd;
    options.connect_timeout = odd;
    options.minimum_attempt = odd;
    options.backoff.base = odd;
    options.backoff.cap = odd;
    RetryBudget unlimited(tokens(0));
    Call call(set, Idempotency::read, seconds(1), options, &unlimited, 0);  // the smallest draws
    const Lines actions = run(call, std::vector<Outcome>(10'000, shared_backend()), false);
    CHECK(actions.size() <= 1001);
    CHECK_THAT(actions.back(), mlflowha_tests::starts_with("failed "));
    CHECK(call.now <= at(seconds(1)));
  }
  CHECK(CallPlanOptions().faults().empty());
  CallPlanOptions bad;
  bad.max_attempts = -1;
  bad.max_server_errors = 0;
  bad.attempt_timeout = Duration::zero();
  bad.connect_timeout = Duration::zero();
  bad.minimum_attempt = Duration::zero();
  bad.backoff.factor = 0;
  for (const char* name : {"max_attempts is -1", "max_server_errors is 0", "attempt_timeout is 0",
                           "connect_timeout is 0", "minimum_attempt is 0", "factor is 0"}) {
    CHECK_THAT(bad.faults(), mlflowha_tests::contains(name));
  }
}

// -------------------------------------------------------------------------------------------------------- all open

TEST_CASE("with every breaker open a call waits for the next probe", "[resilience][plan][trap5]") {
  EndpointSetOptions set_options = plain();
  set_options.breaker.open_for = milliseconds(400);
  set_options.breaker.open_jitter = 0;
  EndpointSet set(specs(2), set_options, seeded());
  eject(set, 0, at(seconds(0)));
  eject(set, 1, at(seconds(0)));
  SECTION("and is served") {
    RetryBudget empty(tokens(1));
    Call call(set, Idempotency::never, seconds(60), {}, &empty);
    CHECK(run(call, {success()}) == Lines{"sleep 400 ms", "call e0", "done"});
  }
  SECTION("unless it comes too late: then it fails at once") {
    Call call(set, Idempotency::never, milliseconds(405));
    CHECK(run(call, {}) == Lines{"failed circuit_open none"});
  }
  SECTION("or the caller won't wait") {
    CallPlanOptions options;
    options.when_all_open = AllOpen::fail_fast;
    Call call(set, Idempotency::never, seconds(60), options);
    CHECK(run(call, {}) == Lines{"failed circuit_open none"});
  }
  SECTION("a wait that took too long ends with the reason it began for") {
    Call call(set, Idempotency::never, milliseconds(500));
    const CallPlan::Action sleep = call.start();
    REQUIRE(show(sleep) == "sleep");
    call.now = at(milliseconds(495));
    CHECK(show(call.plan().wake(call.now)) == "failed circuit_open none");
  }
  SECTION("forced open is nobody") {
    set.set_override(at(seconds(0)), CircuitBreaker::Override::forced_open);
    Call call(set, Idempotency::never);
    CHECK(run(call, {}) == Lines{"failed no_endpoint none"});
  }
}

TEST_CASE("a breaker that opens during a call moves it elsewhere", "[resilience][plan]") {
  EndpointSetOptions set_options = plain();
  set_options.breaker.consecutive_failures = 1;
  set_options.breaker.open_for = seconds(10);
  set_options.breaker.open_jitter = 0;
  EndpointSet set(specs(2), set_options, seeded());
  Call call(set, Idempotency::read);
  CHECK(run(call, {bad_gateway(), bad_gateway(), success()}) ==
        Lines{"call e0", "call e1", "sleep 50 ms", "sleep 950 ms", "call e0", "done"});  // the last one is panic
}
