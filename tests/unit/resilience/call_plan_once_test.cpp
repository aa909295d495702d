// One call's way where the same thing must not happen twice: verification, identity, cancellation.

#include "support.hpp"

#include "support/catch.hpp"

using namespace resilience_tests;

namespace {

using Lines = std::vector<std::string>;

std::shared_ptr<Rng> seeded(std::uint64_t seed = 1) { return std::make_shared<SplitMixRng>(seed); }

RetryBudgetOptions tokens(std::int32_t capacity) {
  RetryBudgetOptions out;
  out.capacity = capacity;
  return out;
}

CallPlan::Done done(const CallPlan::Action& action) { return std::get<CallPlan::Done>(action); }

}  // namespace

// --------------------------------------------------------------------------------------------------- exactly once

TEST_CASE("create_anonymous looks before it sends again", "[resilience][plan][trap16]") {
  EndpointSet set(specs(2), plain(), seeded());
  Call call(set, Idempotency::create_anonymous);
  SECTION("present: done, and no twin can be left of the one that was found") {
    CHECK(run(call, {reset()}) == Lines{"call e0", "verify e1"});
    const CallPlan::Action end = call.resume(looked(Found::present));
    CHECK(show(end) == "done verified");
    CHECK(done(end).ambiguous_attempts == 0);
  }
  SECTION("absent: sent again, and the first may still come late") {
    CHECK(run(call, {reset(), looked(Found::absent)}) == Lines{"call e0", "verify e1", "call e1"});
    CHECK(call.plan().ambiguous());
    const CallPlan::Action end = call.resume(success());
    CHECK(show(end) == "done");
    CHECK(done(end).ambiguous_attempts == 1);
  }
  SECTION("twice ambiguous, then found: one of the two is unaccounted for") {
    CHECK(run(call, {reset(), looked(Found::absent), reset()}) ==
          Lines{"call e0", "verify e1", "call e1", "sleep 50 ms", "verify e0"});
    CHECK(done(call.resume(looked(Found::present))).ambiguous_attempts == 1);
  }
  SECTION("the look itself is retried, with waits and tokens") {
    CHECK(run(call, {reset(), reset(), shared_backend(), refused_connect()}) ==
          Lines{"call e0", "verify e1", "sleep 50 ms", "verify e0", "sleep 100 ms", "verify e1", "sleep 200 ms",
                "verify e0"});
    CHECK(show(call.resume(looked(Found::absent))) == "call e0");
  }
  SECTION("a look that is refused or not understood proves nothing") {
    CHECK(run(call, {reset(), rejected()}) == Lines{"call e0", "verify e1", "failed non_idempotent unknown"});
    Call other(set, Idempotency::create_anonymous);
    CHECK(run(other, {reset(), looked(Found::not_asked)}).back() == "failed non_idempotent unknown");
  }
  SECTION("no time left to look") {
    Call hurried(set, Idempotency::create_anonymous, seconds(1));
    hurried.start();
    hurried.now += seconds(1);
    CHECK(show(hurried.resume(reset())) == "failed deadline unknown");
  }
  SECTION("no token left to look") {
    RetryBudget empty(tokens(1));
    CallPlanOptions options;
    options.when_all_open = AllOpen::fail_fast;
    Call poor(set, Idempotency::create_anonymous, seconds(60), options, &empty);
    CHECK(run(poor, {reset()}).back() == "failed budget unknown");
  }
  SECTION("one attempt only: still looks, but doesn't send again") {
    CallPlanOptions options;
    options.max_attempts = 1;
    Call once(set, Idempotency::create_anonymous, seconds(60), options);
    CHECK(run(once, {reset(), looked(Found::absent)}) ==
          Lines{"call e0", "verify e1", "failed attempts_exhausted unknown"});
    Call found(set, Idempotency::create_anonymous, seconds(60), options);
    CHECK(run(found, {reset(), reset(), looked(Found::present)}, false).back() == "done verified");
  }
  SECTION("a clean no after an ambiguous attempt leaves the first one's fate open") {
    CHECK(run(call, {reset(), looked(Found::absent), rejected()}).back() == "failed permanent unknown");
  }
  SECTION("unsent or surely not applied: nothing to look for") {
    CHECK(run(call, {refused_connect(), shared_backend(), success()}, false) ==
          Lines{"call e0", "call e1", "call e1", "done"});
  }
}

TEST_CASE("create_named sends again and reads back who has the name", "[resilience][plan]") {
  EndpointSet set(specs(2), plain(), seeded());
  Call call(set, Idempotency::create_named);
  SECTION("it was us") {
    CHECK(run(call, {reset(), already_done(), looked(Found::present)}) ==
          Lines{"call e0", "call e1", "verify e1", "done verified"});
  }
  SECTION("it was somebody else") {
    CHECK(run(call, {already_done(), looked(Found::absent)}) == Lines{"call e0", "verify e0", "failed permanent none"});
  }
  SECTION("even a first attempt may have been doubled on the way") {
    CHECK(run(call, {already_done(), looked(Found::present)}) == Lines{"call e0", "verify e0", "done verified"});
  }
  SECTION("as long as that isn't known the effect isn't either") {
    CHECK(run(call, {already_done(), rejected()}).back() == "failed non_idempotent unknown");
    Call hurried(set, Idempotency::create_named, seconds(1));
    hurried.start();
    hurried.now += milliseconds(995);
    CHECK(show(hurried.resume(already_done())) == "failed deadline unknown");
  }
  SECTION("names leave no twins") {
    run(call, {reset()});
    CHECK(done(call.resume(success())).ambiguous_attempts == 0);
  }
}

TEST_CASE("once: the error of a repetition is success only after an ambiguous attempt", "[resilience][plan]") {
  EndpointSet set(specs(2), plain(), seeded());
  Call repeated(set, Idempotency::once);
  CHECK(run(repeated, {reset(), already_done()}) == Lines{"call e0", "call e1", "done"});
  Call wrong(set, Idempotency::once);
  CHECK(run(wrong, {already_done()}).back() == "failed permanent none");
  Call unsent(set, Idempotency::once);
  CHECK(run(unsent, {refused_connect(), already_done()}, false).back() == "failed permanent none");
  Call other(set, Idempotency::same_again);  // only the class that says so
  CHECK(run(other, {reset(), already_done()}, false).back() == "failed permanent unknown");
}

TEST_CASE("never: sent once, unless it surely wasn't applied", "[resilience][plan][trap17]") {
  EndpointSet set(specs(2), plain(), seeded());
  Call call(set, Idempotency::never);
  CHECK(run(call, {refused_connect(), bad_gateway(), reset()}, false) ==
        Lines{"call e0", "call e1", "call e0", "failed non_idempotent unknown"});
}

TEST_CASE("an attempt is over before the next begins", "[resilience][plan][trap17]") {
  EndpointSet set(specs(2), plain(), seeded());
  Call call(set, Idempotency::same_again);
  const auto busy = [&] {
    std::int32_t sum = 0;
    for (const auto& shot : set.snapshot(call.now)) sum += shot.in_flight;
    return sum;
  };
  call.start();
  CHECK(busy() == 1);
  call.resume(reset());
  CHECK(busy() == 1);
  call.resume(reset());
  CHECK(busy() == 0);  // asleep
}

// -------------------------------------------------------------------------------------------------- identity, cancel

TEST_CASE("an endpoint is identified before it gets its first request", "[resilience][plan][trap23]") {
  EndpointSetOptions set_options;
  EndpointSet set(specs(2), set_options, seeded());
  RetryBudget empty(tokens(1));
  Call call(set, Idempotency::create_anonymous, seconds(60), {}, &empty);
  SECTION("and then at once, on the same one") {
    CHECK(show(call.start()) == "identify e0");
    set.mark_identified(0);
    CHECK(show(call.resume(success())) == "call e0");
    CHECK(show(call.resume(success())) == "done");
    Call next(set, Idempotency::read);
    CHECK(run(next, {success()}) == Lines{"call e0", "done"});
  }
  SECTION("a driver that doesn't say so isn't asked for ever") {
    CHECK(run(call, {success(), success()}) == Lines{"identify e0", "call e0", "done"});
  }
  SECTION("another database: elsewhere, at once, for free, and nothing was sent to it") {
    CHECK(run(call, {outcome(Verdict::wrong_endpoint), success(), success()}) ==
          Lines{"identify e0", "identify e1", "call e1", "done"});
    CHECK(set.health(0, call.now) == EndpointHealth::refused);
  }
  SECTION("its failures are those of an unsent request") {
    CHECK(run(call, {reset(), success(), success()}) == Lines{"identify e0", "identify e1", "call e1", "done"});
    Call other(set, Idempotency::never, seconds(60), {}, &empty);
    CHECK(run(other, {success(), success()}) == Lines{"identify e1", "call e1", "done"});
  }
  SECTION("a refused look at identity ends the call, with no effect") {
    CHECK(run(call, {rejected()}) == Lines{"identify e0", "failed permanent none"});
    Call other(set, Idempotency::never);
    CHECK(run(other, {outcome(Verdict::cancelled)}) == Lines{"identify e0", "failed cancelled none"});
  }
  SECTION("attempts of the call are counted without it") {
    CallPlanOptions options;
    options.max_attempts = 1;
    Call once(set, Idempotency::read, seconds(60), options);
    CHECK(run(once, {refused_connect(), success(), bad_gateway()}) ==
          Lines{"identify e0", "identify e1", "call e1", "failed attempts_exhausted none"});
  }
}

TEST_CASE("cancellation says what may have been done, and leaves nothing behind", "[resilience][plan][trap2]") {
  EndpointSet set(specs(2), plain(), seeded());
  Outcome given_up = outcome(Verdict::cancelled);
  Call unsent(set, Idempotency::same_again);
  CHECK(run(unsent, {given_up}).back() == "failed cancelled none");
  given_up.maybe_applied = true;
  Call sent(set, Idempotency::same_again);
  CHECK(run(sent, {given_up}).back() == "failed cancelled unknown");
  Call read(set, Idempotency::read);
  CHECK(run(read, {given_up}).back() == "failed cancelled none");

  Call asleep(set, Idempotency::same_again);
  run(asleep, {shared_backend()});  // in its second attempt
  CHECK(show(asleep.plan().cancel()) == "failed cancelled unknown");
  {
    Call dropped(set, Idempotency::same_again);
    dropped.start();
  }
  for (const auto& shot : set.snapshot(at(seconds(0)))) {
    CHECK(shot.in_flight == 0);
    CHECK(shot.health == EndpointHealth::healthy);
  }
}
