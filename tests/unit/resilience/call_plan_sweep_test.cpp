// Plans under random outcomes, several at a time on one set: what must hold whatever happens.

#include "support.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "support/catch.hpp"

using namespace resilience_tests;

namespace {

/// Drives one plan with random outcomes and judges each of its actions.
class Judge {
 public:
  Judge(EndpointSet& set, RetryBudget& budget, Rng& rng, TimePoint now, std::size_t endpoints)
      : set_(set),
        rng_(rng),
        endpoints_(endpoints),
        options_(random_options(rng)),
        idempotency_(static_cast<Idempotency>(below(rng, 6))),
        deadline_(Deadline::after(now, milliseconds(below(rng, 8) == 0 ? below(rng, 30) : below(rng, 40'000)))),
        plan_(options_, idempotency_, deadline_, set, budget, rng) {}

  [[nodiscard]] bool over() const { return over_; }
  /// When it can go on.
  [[nodiscard]] TimePoint next_at() const { return next_at_; }
  [[nodiscard]] const std::string& verdict() const { return verdict_; }
  [[nodiscard]] int steps() const { return steps_; }

  /// One step: begins, wakes, or answers the outstanding attempt.
  void step(TimePoint now) {
    ++steps_;
    if (steps_ > 3000) return blame("too many steps");
    if (steps_ == 1) return judge(now, plan_.start(now));
    if (!attempt_) return judge(now, plan_.wake(now));
    if (below(rng_, 100) == 0) {  // the caller gives up in between
      if (attempt_->purpose == Purpose::call) note_ambiguous(true);
      attempt_.reset();
      return judge(now, plan_.cancel());
    }
    const Outcome result = random_outcome();
    learn(result);
    if (attempt_->purpose == Purpose::identify && result.verdict == Verdict::success) {
      set_.mark_identified(attempt_->endpoint);
    }
    attempt_.reset();
    judge(now, plan_.resume(now, result, "random"));
  }

 private:
  static CallPlanOptions random_options(Rng& rng) {
    CallPlanOptions out;
    out.max_attempts = static_cast<std::int32_t>(below(rng, 2) == 0 ? 0 : below(rng, 5));
    out.when_all_open = below(rng, 4) == 0 ? AllOpen::fail_fast : AllOpen::wait;
    out.attempt_timeout = milliseconds(100 + below(rng, 10'000));
    out.connect_timeout = milliseconds(10 + below(rng, 12'000));
    return out;
  }

  Outcome random_outcome() {
    Outcome out = outcome(static_cast<Verdict>(below(rng_, 8)));
    // Make success and the endpoint's fault the usual ones.
    if (below(rng_, 3) == 0) out.verdict = below(rng_, 3) == 0 ? Verdict::success : Verdict::endpoint_fault;
    if (out.verdict == Verdict::wrong_endpoint && below(rng_, 10) != 0) out.verdict = Verdict::shared_backend;
    if (out.verdict == Verdict::endpoint_fault || out.verdict == Verdict::cancelled) out.sent = below(rng_, 2) == 0;
    if (attempt_->purpose == Purpose::call && out.sent) out.maybe_applied = below(rng_, 2) == 0;
    if (out.verdict == Verdict::rejected) {
      out.maybe_applied = false;
      out.already_done = below(rng_, 2) == 0;
    }
    if (attempt_->purpose == Purpose::verify) {
      out.found = below(rng_, 10) == 0 ? Found::not_asked : below(rng_, 2) == 0 ? Found::absent : Found::present;
    }
    if (below(rng_, 5) == 0) out.retry_after = milliseconds(below(rng_, 20'000));
    return out;
  }

  void note_ambiguous(bool maybe) {
    if (!maybe || idempotency_ == Idempotency::read) return;
    ever_ambiguous_ = true;
    unresolved_ = true;
  }

  void learn(const Outcome& result) {
    may_succeed_ = false;
    if (attempt_->purpose == Purpose::call) {
      if (result.verdict == Verdict::success) may_succeed_ = true;
      if (result.already_done && idempotency_ == Idempotency::once && ever_ambiguous_) may_succeed_ = true;
      if (result.already_done && idempotency_ == Idempotency::create_named) owes_look_ = true;
      if (result.verdict != Verdict::success) note_ambiguous(result.maybe_applied);
    }
    if (attempt_->purpose == Purpose::verify && result.verdict == Verdict::success) {
      if (result.found == Found::present) may_succeed_ = true;
      if (result.found == Found::absent) unresolved_ = owes_look_ = false;
    }
  }

  void judge(TimePoint now, const CallPlan::Action& action) {
    if (const auto* attempt = std::get_if<CallPlan::Attempt>(&action)) {
      const Duration left = deadline_.remaining(now);
      if (attempt->timeout <= Duration::zero() || attempt->timeout > left) blame("attempt past the deadline");
      if (attempt->timeout > options_.attempt_timeout) blame("attempt longer than asked");
      if (attempt->connect_timeout <= Duration::zero() || attempt->connect_timeout >= attempt->timeout) {
        blame("connect as long as the attempt");
      }
      if (attempt->endpoint >= endpoints_) blame("no such endpoint");
      if (set_.health(attempt->endpoint, now) == EndpointHealth::refused) blame("refused endpoint tried");
      if (attempt->number != ++attempts_) blame("attempts miscounted");
      if (attempt->purpose == Purpose::call) {
        const bool careful = idempotency_ == Idempotency::create_anonymous || idempotency_ == Idempotency::never;
        if (careful && unresolved_) blame("sent again without knowing");
        if (options_.max_attempts > 0 && ++calls_ > options_.max_attempts) blame("too many attempts");
      }
      if (attempt->purpose == Purpose::verify && !unresolved_ && !owes_look_) blame("a look at nothing");
      attempt_ = *attempt;
      // Mostly quick, sometimes all of its time.
      const Duration took = below(rng_, 10) == 0 ? attempt->timeout : Duration(milliseconds(below(rng_, 20)));
      next_at_ = now + took;
      return;
    }
    if (const auto* sleep = std::get_if<CallPlan::Sleep>(&action)) {
      if (sleep->until <= now) blame("a sleep of nothing");
      if (deadline_.remaining(sleep->until) < options_.minimum_attempt) blame("slept past the deadline");
      next_at_ = sleep->until;
      return;
    }
    over_ = true;
    const auto& done = std::get<CallPlan::Done>(action);
    if (done.success != may_succeed_ && !(may_succeed_ && done.reason == StopReason::cancelled)) blame("wrong result");
    if (done.success) return;
    if (done.reason == StopReason::none) blame("no reason");
    const bool doubt = ever_ambiguous_ || owes_look_;
    if (done.effect != (doubt ? Effect::unknown : Effect::none)) blame("wrong effect");
    if (idempotency_ == Idempotency::read && done.effect != Effect::none) blame("a read with an effect");
  }

  void blame(const std::string& what) {
    if (verdict_.empty()) verdict_ = what;
    over_ = true;
  }

  EndpointSet& set_;
  Rng& rng_;
  std::size_t endpoints_;
  CallPlanOptions options_;
  Idempotency idempotency_;
  Deadline deadline_;
  CallPlan plan_;
  std::optional<CallPlan::Attempt> attempt_;
  TimePoint next_at_;
  std::string verdict_;
  std::int32_t attempts_ = 0;
  std::int32_t calls_ = 0;
  int steps_ = 0;
  bool over_ = false;
  bool ever_ambiguous_ = false;
  bool unresolved_ = false;  // an attempt may have been applied and no look has said absent since
  bool owes_look_ = false;
  bool may_succeed_ = false;
};

}  // namespace

TEST_CASE("random outcomes break no promise", "[resilience][plan][sweep]") {
  std::int64_t steps = 0;
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    SplitMixRng rng(seed);
    EndpointSetOptions options;
    options.check_identity = below(rng, 2) == 0;
    options.selection = below(rng, 2) == 0 ? Selection::primary_first : Selection::p2c_ewma;
    options.breaker.consecutive_failures = static_cast<std::int32_t>(1 + below(rng, 5));
    std::vector<std::int32_t> groups(1 + below(rng, 4));
    for (std::int32_t& group : groups) group = static_cast<std::int32_t>(below(rng, 2));
    EndpointSet set(specs(groups), options, std::make_shared<SplitMixRng>(seed));
    RetryBudgetOptions quota;
    quota.capacity = static_cast<std::int32_t>(below(rng, 3) == 0 ? 0 : 100 + below(rng, 900));
    RetryBudget budget(quota);

    TimePoint now = at(seconds(0));
    std::vector<std::unique_ptr<Judge>> calls;
    for (int i = 0; i < 6; ++i) calls.push_back(std::make_unique<Judge>(set, budget, rng, now, groups.size()));
    for (;;) {
      Judge* next = nullptr;
      for (const auto& call : calls) {
        if (!call->over() && (next == nullptr || call->next_at() < next->next_at())) next = call.get();
      }
      if (next == nullptr) break;
      now = std::max(now, next->next_at());
      next->step(now);
      ++steps;
      if (EndpointSet::Lease side = set.next_probe(now)) {
        if (set.health(side.index(), now) == EndpointHealth::refused) FAIL("refused endpoint probed, seed " << seed);
        if (side.needs_identity() && below(rng, 2) == 0) set.mark_identified(side.index());
        if (below(rng, 10) != 0) set.report(std::move(side), now, below(rng, 2) == 0 ? success() : reset());
      }
    }
    for (const auto& call : calls) {
      if (!call->verdict().empty()) FAIL(call->verdict() << ", seed " << seed);
    }
    calls.clear();
    for (const auto& shot : set.snapshot(now)) {
      if (shot.in_flight != 0) FAIL("a place is still taken, seed " << seed);
    }
    if (budget.available() < 0) FAIL("budget below zero, seed " << seed);
  }
  CHECK(steps > 60'000);
}
