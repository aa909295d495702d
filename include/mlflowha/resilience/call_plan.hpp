#ifndef MLFLOWHA_RESILIENCE_CALL_PLAN_HPP
#define MLFLOWHA_RESILIENCE_CALL_PLAN_HPP

// CallPlan: one call's way through attempts, waits, verification and failover, under one deadline. A state machine
// without I/O: a driver does what the plan says and tells it what came of it. Every way of calling (sync, async,
// bindings, replay) drives this same plan.
//
//   auto action = plan.start(clock.now());
//   for (;;) {
//     if (auto* a = std::get_if<CallPlan::Attempt>(&action)) action = plan.resume(clock.now(), carry_out(*a));
//     else if (auto* s = std::get_if<CallPlan::Sleep>(&action)) { wait(s->until); action = plan.wake(clock.now()); }
//     else return finish(std::get<CallPlan::Done>(action));
//   }
//
// Order of the decisions after each attempt: deadline, idempotency class, attempts, endpoint, budget, breaker permit,
// attempt timeout. Retry, breaker, budget and failover decide here together because each changes the others' answer.
//
// What follows a failure:
//   * nothing was sent (connect phase): at once to a fresh endpoint (untried, believed to work), free of charge;
//   * the endpoint broke after bytes were sent (or answered with an error that may be its own, at most
//     `max_server_errors` times), and the class allows a resend: at once to a fresh endpoint, for a token
//     of the budget;
//   * otherwise, and after overload or an outage of the shared database: a token, then a full-jitter wait (with the
//     server's Retry-After, unless that came from one endpoint and another is fresh), then the best endpoint;
//   * nobody may be tried: wait for the next breaker that admits a probe, or give up (`when_all_open`);
//   * a wait that would leave less than `minimum_attempt` is not begun: the call is over at once.
// An endpoint not yet identified gets an identify attempt first; and one of unknown release an ask_release attempt, if
// the call needs a release. Their failures are those of an unsent request; a rejected one ends the call (a driver that
// accepts an endpoint it may not identify, or that doesn't tell its release, reports success). An endpoint that is too
// old is left out of this call; when all are, the call is over at once (StopReason::unsupported), and as long as one
// may be new enough it waits for that one as for any other. An endpoint that answers "no such operation" is asked for
// its release, too: if it tells one its answer stands, and only fresh endpoints are tried after it.
//
// Effect of a failed call: unknown as soon as one attempt may have been applied and for as long as a verification is
// owed, whatever the last answer was; none otherwise, and always for reads.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/error.hpp>
#include <mlflowha/core/rng.hpp>
#include <mlflowha/resilience/backoff.hpp>
#include <mlflowha/resilience/endpoint_set.hpp>
#include <mlflowha/resilience/options.hpp>
#include <mlflowha/resilience/outcome.hpp>
#include <mlflowha/resilience/retry_budget.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

MLFLOWHA_BEGIN_NAMESPACE

class MLFLOWHA_EXPORT CallPlan {
 public:
  /// Carry out one request and resume() with what came of it.
  struct Attempt {
    Purpose purpose = Purpose::call;
    EndpointIndex endpoint = 0;
    Duration connect_timeout{};
    Duration timeout{};       ///< whole attempt; never past the deadline
    std::int32_t number = 0;  ///< attempts of this call so far, this one included, of any purpose
  };
  /// Wait, then wake(). Never past the deadline.
  struct Sleep {
    TimePoint until;
  };
  /// The call is over.
  struct Done {
    bool success = false;
    StopReason reason = StopReason::none;  ///< on failure
    Effect effect = Effect::none;          ///< on failure
    /// Success was established by a verification and not by the answer of an attempt: the driver takes the object
    /// from the verification.
    bool verified = false;
    /// On success: anonymous creates of which the fate is unknown, so that a twin may appear later (the object found by
    /// a verification is one of them and not counted). On failure: attempts of any write that may have been applied.
    std::int32_t ambiguous_attempts = 0;
  };
  using Action = std::variant<Attempt, Sleep, Done>;

  /// The set and the budget are shared by all calls; they, options and rng must outlive the plan. `needs`: the oldest
  /// release that has the operation; the default is any. No allocation. A plan may be dropped at any point: what it
  /// holds is released.
  CallPlan(const CallPlanOptions& options, Idempotency idempotency, Deadline deadline, EndpointSet& endpoints,
           RetryBudget& budget, Rng& rng, Release needs = {}) noexcept;

  [[nodiscard]] Action start(TimePoint now);
  /// After an Attempt. `detail` is kept as the endpoint's last error when the outcome blames it.
  [[nodiscard]] Action resume(TimePoint now, const Outcome& outcome, std::string_view detail = {});
  /// After a Sleep.
  [[nodiscard]] Action wake(TimePoint now);
  /// The caller gave up (cancellation while sleeping or between actions). Settles nothing but the plan: an attempt that
  /// was handed out and not resumed counts as possibly applied. After Done only this may be called.
  [[nodiscard]] Done cancel() noexcept;

  [[nodiscard]] bool ambiguous() const noexcept { return ambiguous_attempts_ > 0; }

 private:
  Action next(TimePoint now);
  Action attempt(TimePoint now, EndpointSet::Lease lease, Purpose settled);
  Action go_on(TimePoint now, EndpointIndex endpoint, Purpose settled);
  Action after_question(TimePoint now, EndpointIndex endpoint, const Outcome& outcome, Purpose question);
  Action after_call(TimePoint now, EndpointIndex endpoint, const Outcome& outcome);
  Action after_missing(TimePoint now, EndpointIndex endpoint, const Outcome& outcome);
  Action after_verify(TimePoint now, EndpointIndex endpoint, const Outcome& outcome);
  Action slow_down(TimePoint now);
  Action retry(TimePoint now, EndpointIndex endpoint, const Outcome& outcome, bool unsent);
  Done succeed(bool verified) noexcept;
  Done fail(StopReason reason) noexcept;
  [[nodiscard]] bool pay(bool throttled) noexcept;
  [[nodiscard]] bool enough_left(TimePoint at) const noexcept;
  [[nodiscard]] bool attempts_spent() const noexcept;
  [[nodiscard]] bool server_errors_spent(const Outcome& outcome) const noexcept;
  [[nodiscard]] Effect effect() const noexcept;

  const CallPlanOptions& options_;
  Idempotency idempotency_;
  Deadline deadline_;
  EndpointSet& endpoints_;
  RetryBudget& budget_;
  Rng& rng_;
  EndpointSet::Tried tried_;
  EndpointSet::Lease lease_;
  Purpose purpose_ = Purpose::call;     // what the call needs next; questions to the endpoint come in between
  Purpose current_ = Purpose::call;     // of the attempt that is handed out
  bool missing_ = false;                // the endpoint is asked because it doesn't have the operation
  std::optional<EndpointIndex> asked_;  // whose release was asked for last
  bool blocked_ = false;                // the last pick found nobody
  std::int32_t attempts_ = 0;
  std::int32_t call_attempts_ = 0;
  std::int32_t ambiguous_attempts_ = 0;
  std::int32_t server_errors_ = 0;
  std::int32_t retries_ = 0;  // that waited: the exponent of the backoff
  std::int32_t last_cost_ = 0;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/resilience/impl/call_plan.ipp>
#endif

#endif
