#ifndef MLFLOWHA_RESILIENCE_IMPL_CALL_PLAN_IPP
#define MLFLOWHA_RESILIENCE_IMPL_CALL_PLAN_IPP

#include <mlflowha/resilience/call_plan.hpp>

#include <algorithm>
#include <string>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {
/// No wait is shorter: a jitter draw of (nearly) nothing must not turn retries into a spin.
inline constexpr Duration shortest_wait = std::chrono::milliseconds(1);
}  // namespace detail

MLFLOWHA_INLINE CallPlan::CallPlan(const CallPlanOptions& options, Idempotency idempotency, Deadline deadline,
                                   EndpointSet& endpoints, RetryBudget& budget, Rng& rng, Release needs) noexcept
    : options_(options),
      idempotency_(idempotency),
      deadline_(deadline),
      endpoints_(endpoints),
      budget_(budget),
      rng_(rng),
      tried_(needs) {}

// ------------------------------------------------------------------------------------------------------------- steps

MLFLOWHA_INLINE CallPlan::Action CallPlan::start(TimePoint now) { return next(now); }

MLFLOWHA_INLINE CallPlan::Action CallPlan::wake(TimePoint now) { return next(now); }

MLFLOWHA_INLINE CallPlan::Done CallPlan::cancel() noexcept {
  const bool on_its_way = lease_ && current_ == Purpose::call && idempotency_ != Idempotency::read;
  if (on_its_way) ++ambiguous_attempts_;
  lease_ = EndpointSet::Lease();
  return fail(StopReason::cancelled);
}

MLFLOWHA_INLINE CallPlan::Action CallPlan::resume(TimePoint now, const Outcome& outcome, std::string_view detail) {
  const EndpointIndex endpoint = lease_.index();
  if (outcome.verdict == Verdict::server_error) ++server_errors_;
  endpoints_.report(std::move(lease_), now, outcome, detail);
  switch (current_) {
    case Purpose::identify:
    case Purpose::ask_release:
      return after_question(now, endpoint, outcome, current_);
    case Purpose::verify:
      return after_verify(now, endpoint, outcome);
    case Purpose::call:
      break;
  }
  return after_call(now, endpoint, outcome);
}

/// The best endpoint there is now, or a wait for one.
MLFLOWHA_INLINE CallPlan::Action CallPlan::next(TimePoint now) {
  if (!enough_left(now)) return fail(blocked_ ? StopReason::circuit_open : StopReason::deadline);
  EndpointSet::Pick pick = endpoints_.pick(now, tried_);
  blocked_ = !pick.lease;
  if (pick.lease) return attempt(now, std::move(pick.lease), Purpose::call);
  if (pick.all_too_old) return fail(StopReason::unsupported);
  if (pick.all_refused) return fail(StopReason::no_endpoint);
  if (options_.when_all_open == AllOpen::fail_fast || !pick.retry_at) return fail(StopReason::circuit_open);
  const TimePoint wake = std::max(*pick.retry_at, Deadline::after(now, detail::shortest_wait).at());
  if (!enough_left(wake)) return fail(StopReason::circuit_open);
  return Sleep{wake};
}

/// `settled`: the question that this endpoint has just answered (identify, then ask_release); call when none.
MLFLOWHA_INLINE CallPlan::Action CallPlan::attempt(TimePoint now, EndpointSet::Lease lease, Purpose settled) {
  lease_ = std::move(lease);
  current_ = purpose_;
  if (missing_) {
    current_ = Purpose::ask_release;
  } else if (lease_.needs_identity() && settled == Purpose::call) {
    current_ = Purpose::identify;
  } else if (tried_.needs().is_known() && settled != Purpose::ask_release &&
             endpoints_.fit(lease_.index(), now, tried_.needs()) == Fit::ask) {
    current_ = Purpose::ask_release;
  }
  if (current_ == Purpose::ask_release) asked_ = lease_.index();
  Attempt out;
  out.purpose = current_;
  if (out.purpose == Purpose::call) ++call_attempts_;
  out.number = ++attempts_;
  out.endpoint = lease_.index();
  const Duration floor = std::max(options_.minimum_attempt, detail::shortest_wait);
  const Duration left = deadline_.remaining(now);
  out.timeout = std::min(std::max(options_.attempt_timeout, floor), left);
  // A connect that may last as long as the attempt would fail as "attempt timed out": sent or not sent, nobody knows.
  out.connect_timeout = std::max(options_.connect_timeout, detail::shortest_wait);
  if (out.connect_timeout >= out.timeout) out.connect_timeout = out.timeout - out.timeout / 4;
  return out;
}

/// On with the same endpoint, which has just answered; elsewhere if it doesn't take us any more.
MLFLOWHA_INLINE CallPlan::Action CallPlan::go_on(TimePoint now, EndpointIndex endpoint, Purpose settled) {
  if (!enough_left(now)) return fail(StopReason::deadline);
  EndpointSet::Lease lease = endpoints_.acquire(endpoint, now);
  return lease ? attempt(now, std::move(lease), settled) : next(now);
}

// ---------------------------------------------------------------------------------------------------------- outcomes

MLFLOWHA_INLINE CallPlan::Action CallPlan::after_question(TimePoint now, EndpointIndex endpoint, const Outcome& outcome,
                                                          Purpose question) {
  const bool missing = std::exchange(missing_, false);
  switch (outcome.verdict) {
    case Verdict::success:
      if (missing) return after_missing(now, endpoint, outcome);
      if (outcome.release.is_known() && outcome.release < tried_.needs()) return next(now);  // left out of this call
      return go_on(now, endpoint, question);
    case Verdict::rejected:
      return fail(StopReason::permanent);
    case Verdict::cancelled:
      return fail(StopReason::cancelled);
    case Verdict::wrong_endpoint:
      return next(now);  // it is refused now: at once, and it can't be picked again
    case Verdict::overload:
    case Verdict::shared_backend:
    case Verdict::server_error:
    case Verdict::endpoint_fault:
      break;
  }
  if (missing && attempts_spent()) return fail(StopReason::attempts_exhausted);  // the call itself has been sent before
  if (server_errors_spent(outcome)) return fail(StopReason::permanent);
  return retry(now, endpoint, outcome, true);
}

MLFLOWHA_INLINE CallPlan::Action CallPlan::after_call(TimePoint now, EndpointIndex endpoint, const Outcome& outcome) {
  if (outcome.verdict == Verdict::success) return succeed(false);
  const bool repeated = ambiguous_attempts_ > 0;
  const bool ambiguous = outcome.maybe_applied && idempotency_ != Idempotency::read;
  if (ambiguous) ++ambiguous_attempts_;

  if (outcome.verdict == Verdict::cancelled) return fail(StopReason::cancelled);
  if (outcome.missing_operation) return after_missing(now, endpoint, outcome);
  if (outcome.verdict == Verdict::rejected) {
    if (outcome.already_done && idempotency_ == Idempotency::once && repeated) return succeed(false);
    if (outcome.already_done && idempotency_ == Idempotency::create_named) {
      // Even without an ambiguous attempt of ours: a proxy on the way may have sent the request twice.
      purpose_ = Purpose::verify;
      return go_on(now, endpoint, Purpose::call);
    }
    return fail(StopReason::permanent);
  }

  if (!enough_left(now)) return fail(StopReason::deadline);
  if (ambiguous) {
    if (idempotency_ == Idempotency::never) return fail(StopReason::non_idempotent);
    if (idempotency_ == Idempotency::create_anonymous) purpose_ = Purpose::verify;
  }
  if (purpose_ == Purpose::call) {  // a verification is owed in any case
    if (attempts_spent()) return fail(StopReason::attempts_exhausted);
    if (server_errors_spent(outcome)) return fail(StopReason::permanent);
  }
  if (outcome.verdict == Verdict::wrong_endpoint) return next(now);
  return retry(now, endpoint, outcome, !outcome.sent && !outcome.maybe_applied);
}

/// The endpoint doesn't have the operation: an older (or much newer) MLflow, or no MLflow at all behind a proxy? Comes
/// here twice where that must be asked first, the second time with the answer to the question.
MLFLOWHA_INLINE CallPlan::Action CallPlan::after_missing(TimePoint now, EndpointIndex endpoint,
                                                         const Outcome& outcome) {
  if (!enough_left(now)) return fail(StopReason::deadline);
  if (asked_ != endpoint) {
    if (EndpointSet::Lease lease = endpoints_.acquire(endpoint, now)) {
      missing_ = true;
      return attempt(now, std::move(lease), Purpose::call);
    }
  }
  const Release release = endpoints_.release(endpoint);
  if (attempts_spent()) return fail(StopReason::attempts_exhausted);
  if (server_errors_ >= options_.max_server_errors) return fail(StopReason::permanent);
  if (release.is_known() && release < tried_.needs()) return next(now);  // left out of this call
  if (!release.is_known()) {
    Outcome failure = outcome;
    failure.verdict = Verdict::server_error;
    return retry(now, endpoint, failure, false);
  }
  tried_.add(endpoint);
  EndpointSet::Lease fresh = endpoints_.pick_fresh(now, tried_);
  if (!fresh) return fail(StopReason::permanent);
  return pay(false) ? attempt(now, std::move(fresh), Purpose::call) : slow_down(now);
}

MLFLOWHA_INLINE CallPlan::Action CallPlan::after_verify(TimePoint now, EndpointIndex endpoint, const Outcome& outcome) {
  switch (outcome.verdict) {
    case Verdict::success:
      break;
    case Verdict::cancelled:
      return fail(StopReason::cancelled);
    case Verdict::rejected:
      return fail(StopReason::non_idempotent);  // a refused look proves nothing
    case Verdict::wrong_endpoint:
      return next(now);
    case Verdict::overload:
    case Verdict::shared_backend:
    case Verdict::server_error:
    case Verdict::endpoint_fault:
      if (server_errors_spent(outcome)) return fail(StopReason::permanent);
      return retry(now, endpoint, outcome, !outcome.sent);
  }
  if (outcome.found == Found::present) return succeed(true);
  if (outcome.found == Found::not_asked) return fail(StopReason::non_idempotent);
  purpose_ = Purpose::call;
  if (idempotency_ != Idempotency::create_anonymous) return fail(StopReason::permanent);  // the name is somebody else's
  if (attempts_spent()) return fail(StopReason::attempts_exhausted);
  if (server_errors_ >= options_.max_server_errors) return fail(StopReason::permanent);
  return go_on(now, endpoint, Purpose::call);
}

/// After a failure that another attempt may cure. `unsent`: it cost no server anything, so it costs no budget either.
/// A spent budget doesn't end a call that has time left: it slows it down to one attempt per longest backoff, which a
/// server in trouble can bear and a training job survives.
MLFLOWHA_INLINE CallPlan::Action CallPlan::retry(TimePoint now, EndpointIndex endpoint, const Outcome& outcome,
                                                 bool unsent) {
  if (!enough_left(now)) return fail(StopReason::deadline);
  tried_.add(endpoint);
  EndpointSet::Lease fresh = endpoints_.pick_fresh(now, tried_);
  if (fresh && (outcome.verdict == Verdict::endpoint_fault || outcome.verdict == Verdict::server_error)) {
    return unsent || pay(false) ? attempt(now, std::move(fresh), Purpose::call) : slow_down(now);
  }
  const bool overload = outcome.verdict == Verdict::overload;
  // What one endpoint asked for its own relief is no reason to wait for another; the set keeps us away from it.
  const std::optional<Duration> asked = overload && fresh ? std::nullopt : outcome.retry_after;
  fresh = EndpointSet::Lease();
  const Duration delay =
      std::max(backoff_delay(options_.backoff, retries_, overload, uniform(rng_), asked), detail::shortest_wait);
  const TimePoint wake = Deadline::after(now, delay).at();
  if (!enough_left(wake)) return fail(StopReason::deadline);
  if (!unsent && !pay(overload)) return slow_down(now);
  ++retries_;
  return Sleep{wake};
}

/// The retry budget is spent.
MLFLOWHA_INLINE CallPlan::Action CallPlan::slow_down(TimePoint now) {
  if (options_.when_all_open == AllOpen::fail_fast) return fail(StopReason::budget);
  const Duration half = std::max(options_.backoff.cap / 2, detail::shortest_wait);
  const auto random = Duration(static_cast<std::int64_t>(uniform(rng_) * static_cast<double>(half.count())));
  const TimePoint wake = Deadline::after(now, half + random).at();
  if (!enough_left(wake)) return fail(StopReason::budget);
  ++retries_;
  return Sleep{wake};
}

// --------------------------------------------------------------------------------------------------------------- end

MLFLOWHA_INLINE CallPlan::Done CallPlan::succeed(bool verified) noexcept {
  budget_.succeeded(last_cost_);
  Done out;
  out.success = true;
  out.verified = verified;
  if (idempotency_ == Idempotency::create_anonymous) {
    out.ambiguous_attempts = std::max(ambiguous_attempts_ - (verified ? 1 : 0), 0);
  }
  return out;
}

MLFLOWHA_INLINE CallPlan::Done CallPlan::fail(StopReason reason) noexcept {
  Done out;
  out.reason = reason;
  out.effect = effect();
  out.ambiguous_attempts = ambiguous_attempts_;
  return out;
}

MLFLOWHA_INLINE bool CallPlan::pay(bool throttled) noexcept {
  const RetryBudget::Grant grant = budget_.try_acquire(throttled);
  if (grant.granted) last_cost_ = grant.cost;
  return grant.granted;
}

/// Whether an attempt that starts at `at` would have a chance.
MLFLOWHA_INLINE bool CallPlan::enough_left(TimePoint at) const noexcept {
  return deadline_.remaining(at) >= std::max(options_.minimum_attempt, detail::shortest_wait);
}

MLFLOWHA_INLINE bool CallPlan::attempts_spent() const noexcept {
  return options_.max_attempts > 0 && call_attempts_ >= options_.max_attempts;
}

MLFLOWHA_INLINE bool CallPlan::server_errors_spent(const Outcome& outcome) const noexcept {
  return outcome.verdict == Verdict::server_error && server_errors_ >= options_.max_server_errors;
}

MLFLOWHA_INLINE Effect CallPlan::effect() const noexcept {
  return ambiguous_attempts_ > 0 || purpose_ == Purpose::verify ? Effect::unknown : Effect::none;
}

MLFLOWHA_END_NAMESPACE

#endif
