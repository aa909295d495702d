// Releases in the machines: their order, what a set remembers of them, and a plan whose call needs one.

#include <mlflowha/resilience/release.hpp>

#include "support.hpp"
#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

using namespace resilience_tests;

namespace {

using Lines = std::vector<std::string>;

constexpr Release old = Release::of(2, 22, 5);
constexpr Release fresh = Release::of(3, 17, 2);
constexpr Release needed = Release::of(3, 2, 0);

std::shared_ptr<Rng> seeded() { return std::make_shared<SplitMixRng>(1); }

Outcome told(Release release) {
  Outcome out = success();
  out.release = release;
  return out;
}

/// As if a plan had asked.
void tell(EndpointSet& set, EndpointIndex index, TimePoint now, const Outcome& result) {
  EndpointSet::Lease lease = set.acquire(index, now);
  REQUIRE(lease);
  set.report(std::move(lease), now, result, "told");
}

Call call_needing(EndpointSet& set, Release needs, Duration timeout = seconds(60)) {
  return {set, Idempotency::same_again, timeout, {}, nullptr, largest, needs};
}

}  // namespace

TEST_CASE("releases are ordered, and what isn't known comes before them", "[resilience][releases]") {
  CHECK(Release() < Release::untold());
  CHECK(Release::untold() < Release::of(0, 0, 0));
  CHECK(Release::of(2, 22, 5) < Release::of(3, 0, 0));
  CHECK(Release::of(3, 2, 0) < Release::of(3, 10, 0));
  CHECK(Release::of(3, 2, 1) < Release::of(3, 2, 2));
  CHECK(Release::of(3, 70'000, 0) < Release::of(4, 0, 0));
  CHECK(Release::of(-1, -1, -1) == Release::of(0, 0, 0));
  CHECK_FALSE(Release().is_asked());
  CHECK(Release::untold().is_asked());
  CHECK_FALSE(Release::untold().is_known());
  CHECK(fresh.is_known());
  CHECK(fresh.major_number() == 3);
  CHECK(fresh.minor_number() == 17);
  CHECK(fresh.patch_number() == 2);
}

TEST_CASE("who fits a call", "[resilience][releases]") {
  EndpointSet set(specs(1), plain(), seeded());
  const auto fit = [&](Duration after, Release needs) { return set.fit(0, at(after), needs); };
  CHECK(fit(seconds(0), {}) == Fit::fits);
  CHECK(fit(seconds(0), needed) == Fit::ask);
  tell(set, 0, at(seconds(0)), told(Release::untold()));
  CHECK(fit(seconds(1), needed) == Fit::fits);
  CHECK(fit(seconds(61), needed) == Fit::ask);
  tell(set, 0, at(seconds(0)), told(old));
  CHECK(set.release(0) == old);
  CHECK(fit(seconds(1), {}) == Fit::fits);
  CHECK(fit(seconds(1), needed) == Fit::too_old);
  CHECK(fit(seconds(1), old) == Fit::fits);
  CHECK(fit(seconds(61), needed) == Fit::ask);
  tell(set, 0, at(seconds(0)), told(fresh));
  CHECK(fit(seconds(100'000), needed) == Fit::fits);
}

TEST_CASE("what is known of a release is forgotten with the endpoint's health", "[resilience][releases]") {
  EndpointSet set(specs(2), plain(), seeded());
  tell(set, 0, at(seconds(0)), told(fresh));
  tell(set, 0, at(seconds(0)), shared_backend());
  tell(set, 0, at(seconds(0)), overload());
  tell(set, 0, at(seconds(0)), outcome(Verdict::server_error));
  CHECK(set.release(0) == fresh);

  SECTION("a hard failure") { tell(set, 0, at(seconds(1)), reset()); }
  SECTION("an order") { set.set_override(at(seconds(1)), CircuitBreaker::Override::forced_open, 0); }
  SECTION("a reset") { set.reset(at(seconds(1)), 0); }
  CHECK_FALSE(set.release(0).is_asked());
}

TEST_CASE("an answer from before the failure tells nothing about what came after", "[resilience][releases]") {
  EndpointSet set(specs(2), plain(), seeded());
  EndpointSet::Lease early = set.acquire(0, at(seconds(0)));
  tell(set, 0, at(seconds(1)), reset());
  set.report(std::move(early), at(seconds(2)), told(old));
  CHECK_FALSE(set.release(0).is_asked());
}

TEST_CASE("a plan asks, leaves out who is too old, and says so when nobody is left", "[resilience][releases][plan]") {
  struct Row {
    const char* name;
    std::vector<Release> known;
    std::vector<Outcome> outcomes;
    Lines actions;
  };
  const std::vector<Row> rows{
      {"asked first", {{}, {}}, {told(fresh), success()}, {"version e0", "call e0", "done"}},
      {"known", {fresh, {}}, {success()}, {"call e0", "done"}},
      {"the first is too old",
       {{}, {}},
       {told(old), told(fresh), success()},
       {"version e0", "version e1", "call e1", "done"}},
      {"known to be too old", {old, fresh}, {success()}, {"call e1", "done"}},
      {"all too old", {{}, {}}, {told(old), told(old)}, {"version e0", "version e1", "failed unsupported none"}},
      {"all known to be too old", {old, old}, {}, {"failed unsupported none"}},
      {"not told: tried", {{}, {}}, {told(Release::untold()), success()}, {"version e0", "call e0", "done"}},
      {"the newer one fails: it is waited for, and asked again",
       {old, fresh},
       {refused_connect(), told(fresh), success()},
       {"call e1", "sleep 50 ms", "version e1", "call e1", "done"}},
      {"the newer one comes back as an old one",
       {old, fresh},
       {refused_connect(), told(old)},
       {"call e1", "sleep 50 ms", "version e1", "failed unsupported none"}},
      {"a question that fails costs nothing", {{}, fresh}, {reset(), success()}, {"version e0", "call e1", "done"}},
      {"a database that is away",
       {{}, old},
       {shared_backend(), told(fresh), success()},
       {"version e0", "sleep 50 ms", "version e0", "call e0", "done"}},
      {"a refused question ends the call", {{}, fresh}, {rejected()}, {"version e0", "failed permanent none"}},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    EndpointSet set(specs(row.known.size()), plain(), seeded());
    for (EndpointIndex i = 0; i < row.known.size(); ++i) {
      if (row.known[i].is_asked()) tell(set, i, at(Duration::zero()), told(row.known[i]));
    }
    Call call = call_needing(set, needed);
    CHECK(run(call, row.outcomes) == row.actions);
  }
}

TEST_CASE("an endpoint that lacks the operation is asked who it is", "[resilience][releases][plan]") {
  Outcome missing = outcome(Verdict::server_error);
  missing.missing_operation = true;
  Outcome refusing = rejected();  // 405
  refusing.missing_operation = true;
  struct Row {
    const char* name;
    Release needs;
    std::vector<Release> known;
    std::vector<Outcome> outcomes;
    Lines actions;
  };
  const std::vector<Row> rows{
      {"an MLflow: its answer stands",
       {},
       {{}},
       {missing, told(fresh)},
       {"call e0", "version e0", "failed permanent none"}},
      {"the same for a 405", {}, {{}}, {refusing, told(fresh)}, {"call e0", "version e0", "failed permanent none"}},
      {"another one may have it",
       {},
       {{}, {}},
       {missing, told(old), success()},
       {"call e0", "version e0", "call e1", "done"}},
      {"all are asked once",
       {},
       {{}, {}},
       {missing, told(old), missing, told(old)},
       {"call e0", "version e0", "call e1", "version e1", "failed permanent none"}},
      {"a proxy without an MLflow: it may come back",
       {},
       {{}},
       {missing, told(Release::untold()), missing, success()},
       {"call e0", "version e0", "sleep 50 ms", "call e0", "sleep 100 ms", "call e0", "done"}},
      {"rolled back", needed, {fresh}, {missing, told(old)}, {"call e0", "version e0", "failed unsupported none"}},
      {"rolled back, and another one is left",
       needed,
       {fresh, {}},
       {missing, told(old), told(fresh), success()},
       {"call e0", "version e0", "version e1", "call e1", "done"}},
      {"just asked: not again",
       needed,
       {{}},
       {told(fresh), missing},
       {"version e0", "call e0", "failed permanent none"}},
      {"the question fails: as any failure",
       {},
       {{}, {}},
       {missing, refused_connect(), success()},
       {"call e0", "version e0", "call e1", "done"}},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    EndpointSet set(specs(row.known.size()), plain(), seeded());
    for (EndpointIndex i = 0; i < row.known.size(); ++i) {
      if (row.known[i].is_asked()) tell(set, i, at(Duration::zero()), told(row.known[i]));
    }
    Call call = call_needing(set, row.needs);
    CHECK(run(call, row.outcomes) == row.actions);
  }
}

TEST_CASE("one attempt is one attempt, whatever is asked in between", "[resilience][releases][plan]") {
  CallPlanOptions once;
  once.max_attempts = 1;
  Outcome missing = outcome(Verdict::server_error);
  missing.missing_operation = true;
  for (const Outcome& answer : {told(old), told(fresh), told(Release::untold()), refused_connect(), reset()}) {
    EndpointSet set(specs(2), plain(), seeded());
    tell(set, 0, at(Duration::zero()), told(fresh));
    Call call(set, Idempotency::same_again, seconds(60), once, nullptr, largest, needed);
    CHECK(run(call, {missing, answer}) == Lines{"call e0", "version e0", "failed attempts_exhausted none"});
  }
}

TEST_CASE("an MLflow without the operation is no reason to open its breaker; a proxy without an MLflow is",
          "[resilience][releases][breaker]") {
  Outcome missing = outcome(Verdict::server_error);
  missing.missing_operation = true;
  for (const bool known : {true, false}) {
    EndpointSet set(specs(1), plain(), seeded());
    tell(set, 0, at(seconds(0)), told(known ? fresh : Release::untold()));
    for (int i = 0; i < 40 && set.health(0, at(seconds(1))) != EndpointHealth::ejected; ++i) {
      tell(set, 0, at(seconds(1)), missing);
    }
    CHECK((set.health(0, at(seconds(1))) == EndpointHealth::healthy) == known);
  }
}

TEST_CASE("an ambiguous attempt stays ambiguous when nobody is left", "[resilience][releases][plan]") {
  EndpointSet set(specs(1), plain(), seeded());
  tell(set, 0, at(Duration::zero()), told(fresh));
  Call call = call_needing(set, needed);
  CHECK(run(call, {reset(), told(old)}) == Lines{"call e0", "sleep 50 ms", "version e0", "failed unsupported unknown"});
}

TEST_CASE("refused and too old make nobody; refused alone is another matter", "[resilience][releases][plan]") {
  EndpointSet set(specs(2), plain(), seeded());
  tell(set, 0, at(Duration::zero()), told(old));
  set.refuse(1, at(Duration::zero()), "another database");
  Call call = call_needing(set, needed);
  CHECK(run(call, {}) == Lines{"failed unsupported none"});
  set.refuse(0, at(Duration::zero()), "another database");
  Call other = call_needing(set, needed);
  CHECK(run(other, {}) == Lines{"failed no_endpoint none"});
}

TEST_CASE("identity is asked before the release, each once", "[resilience][releases][plan]") {
  EndpointSet set(specs(2), {}, seeded());
  Call call = call_needing(set, needed);
  CHECK(run(call, {success(), told(fresh), success()}) == Lines{"identify e0", "version e0", "call e0", "done"});
  // A driver that neither marks the endpoint nor tells anything: no endless questions.
  Call silent = call_needing(set, Release::of(4, 0, 0));
  CHECK(run(silent, {success(), success(), success()}) == Lines{"identify e1", "version e1", "call e1", "done"});
}

TEST_CASE("cancelled while asking: nothing was sent", "[resilience][releases][plan]") {
  EndpointSet set(specs(1), plain(), seeded());
  Call call = call_needing(set, needed);
  CHECK(show(call.start()) == "version e0");
  const CallPlan::Done done = call.plan().cancel();
  CHECK(done.effect == Effect::none);
}

TEST_CASE("every way of choosing passes over who is too old", "[resilience][releases]") {
  for (const Selection selection : {Selection::primary_first, Selection::p2c_ewma}) {
    EndpointSetOptions options = plain();
    options.selection = selection;
    const EndpointSet::Tried wants(needed);
    EndpointSet set(specs(4), options, seeded());
    for (const EndpointIndex i : {0U, 1U, 3U}) tell(set, i, at(seconds(0)), told(old));
    tell(set, 2, at(seconds(0)), told(fresh));
    for (int i = 0; i < 50; ++i) {
      CHECK(set.pick(at(seconds(1)), wants).lease.index() == 2);
      CHECK(set.pick_fresh(at(seconds(1)), wants).index() == 2);
    }
    // Suspect, ejected: still nobody else; and a time to come back at.
    while (set.health(2, at(seconds(1))) != EndpointHealth::ejected) tell(set, 2, at(seconds(1)), reset());
    CHECK_FALSE(set.pick_fresh(at(seconds(1)), wants));
    bool tried = false;
    for (int ms = 0; ms < 5000; ms += 100) {
      const EndpointSet::Pick pick = set.pick(at(seconds(1) + milliseconds(ms)), wants);
      CHECK_FALSE(pick.all_too_old);
      CHECK_FALSE(pick.all_refused);
      if (pick.lease) CHECK(pick.lease.index() == 2);
      if (!pick.lease) CHECK(pick.retry_at.has_value());
      tried = tried || pick.lease;
    }
    CHECK(tried);
  }
}

TEST_CASE("a call that needs a release allocates nothing either", "[resilience][releases][allocation]") {
  EndpointSet set(specs(3), plain(), seeded());
  tell(set, 0, at(seconds(0)), told(old));
  tell(set, 1, at(seconds(0)), told(fresh));
  const CallPlanOptions options;
  RetryBudget budget;
  SplitMixRng rng(1);
  const Outcome fine = success();
  const std::uint64_t before = mlflowha_tests::allocations();
  for (int i = 0; i < 100; ++i) {
    CallPlan plan(options, Idempotency::same_again, Deadline::after(at(seconds(1)), seconds(30)), set, budget, rng,
                  needed);
    static_cast<void>(plan.start(at(seconds(1))));
    static_cast<void>(plan.resume(at(seconds(1)), fine));
  }
  CHECK(mlflowha_tests::allocations() == before);
}
