#ifndef MLFLOWHA_TESTS_UNIT_RESILIENCE_SUPPORT_HPP
#define MLFLOWHA_TESTS_UNIT_RESILIENCE_SUPPORT_HPP

// What the tests of EndpointSet and CallPlan share: a clock that is a variable, outcomes with a name, a plan that is
// stepped by hand.

#include <mlflowha/resilience/call_plan.hpp>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace resilience_tests {

using namespace mlflowha;  // NOLINT(google-build-using-namespace)
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Always the same draw: 0 is the smallest, ~0 the largest.
class FixedRng final : public Rng {
 public:
  explicit FixedRng(std::uint64_t bits) noexcept : bits_(bits) {}
  std::uint64_t next() noexcept override { return bits_; }

 private:
  std::uint64_t bits_;
};
inline constexpr std::uint64_t largest = ~std::uint64_t{0};

inline TimePoint at(Duration since_start) { return TimePoint(seconds(1000)) + since_start; }

inline Outcome outcome(Verdict verdict) {
  Outcome out;
  out.verdict = verdict;
  out.latency = milliseconds(5);
  return out;
}
inline Outcome success() { return outcome(Verdict::success); }
inline Outcome rejected() { return outcome(Verdict::rejected); }
inline Outcome already_done() {
  Outcome out = rejected();
  out.already_done = true;
  return out;
}
/// The connection was refused: nothing left this machine.
inline Outcome refused_connect() {
  Outcome out = outcome(Verdict::endpoint_fault);
  out.sent = false;
  return out;
}
/// The connection died after the request was sent.
inline Outcome reset() {
  Outcome out = outcome(Verdict::endpoint_fault);
  out.maybe_applied = true;
  return out;
}
/// An answer that shows the endpoint broken, and that nothing was done.
inline Outcome bad_gateway() { return outcome(Verdict::endpoint_fault); }
inline Outcome overload(std::optional<Duration> retry_after = std::nullopt) {
  Outcome out = outcome(Verdict::overload);
  out.retry_after = retry_after;
  return out;
}
inline Outcome shared_backend() { return outcome(Verdict::shared_backend); }
inline Outcome looked(Found found) {
  Outcome out = success();
  out.found = found;
  return out;
}

/// `groups.size()` endpoints, e0:5000, e1:5000, ...
inline std::vector<EndpointSpec> specs(const std::vector<std::int32_t>& groups) {
  std::vector<EndpointSpec> out;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    EndpointSpec spec;
    spec.uri.scheme = "http";
    spec.uri.host = "e" + std::to_string(i);
    spec.uri.port = 5000;
    spec.group = groups[i];
    out.push_back(spec);
  }
  return out;
}
inline std::vector<EndpointSpec> specs(std::size_t count) { return specs(std::vector<std::int32_t>(count, 0)); }

/// Without the identity check: most tests are about something else.
inline EndpointSetOptions plain() {
  EndpointSetOptions out;
  out.check_identity = false;
  return out;
}

/// An observer that keeps what it was told.
class Recorder final : public Observer {
 public:
  struct Entry {
    std::string endpoint;
    EndpointHealth before;
    EndpointHealth after;
    BreakerState breaker_before;
    BreakerState breaker_after;
    std::string reason;
  };
  void on_endpoint(const EndpointEvent& event) noexcept override {
    entries.push_back({std::string(event.endpoint), event.health_before, event.health_after, event.breaker_before,
                       event.breaker_after, std::string(event.reason)});
    if (while_told) while_told(while_told_context);
  }
  std::vector<Entry> entries;
  void (*while_told)(void*) = nullptr;
  void* while_told_context = nullptr;
};

/// A set, a budget and one plan on them, stepped at `now`.
class Call {
 public:
  Call(EndpointSet& set, Idempotency idempotency, Duration timeout = seconds(60), CallPlanOptions options = {},
       RetryBudget* budget = nullptr, std::uint64_t draw = largest, Release needs = {})
      : options_(options),
        rng_(draw),
        budget_(budget != nullptr ? *budget : own_budget_),
        plan_(options_, idempotency, Deadline::after(at(Duration::zero()), timeout), set, budget_, rng_, needs) {}

  CallPlan::Action start() { return plan_.start(now); }
  CallPlan::Action resume(const Outcome& result) { return plan_.resume(now, result, "what happened"); }
  /// Passes the time that the plan asked for.
  CallPlan::Action wake(const CallPlan::Action& sleep) {
    now = std::get<CallPlan::Sleep>(sleep).until;
    return plan_.wake(now);
  }
  CallPlan& plan() { return plan_; }
  RetryBudget& budget() { return budget_; }

  TimePoint now = at(Duration::zero());

 private:
  CallPlanOptions options_;
  FixedRng rng_;
  RetryBudget own_budget_;
  RetryBudget& budget_;
  CallPlan plan_;
};

/// "call e1", "verify e0", "identify e0", "sleep 50 ms", "done", "failed deadline unknown": an action as a line of a
/// table.
inline std::string show(const CallPlan::Action& action, TimePoint now = TimePoint::max()) {
  if (const auto* attempt = std::get_if<CallPlan::Attempt>(&action)) {
    const char* purpose = attempt->purpose == Purpose::call       ? "call"
                          : attempt->purpose == Purpose::verify   ? "verify"
                          : attempt->purpose == Purpose::identify ? "identify"
                                                                  : "version";
    return std::string(purpose) + " e" + std::to_string(attempt->endpoint);
  }
  if (const auto* sleep = std::get_if<CallPlan::Sleep>(&action)) {
    if (now == TimePoint::max()) return "sleep";
    const Duration rounded = sleep->until - now + std::chrono::microseconds(1);  // the largest draw is just below 1
    return "sleep " + std::to_string(std::chrono::duration_cast<milliseconds>(rounded).count()) + " ms";
  }
  const auto& done = std::get<CallPlan::Done>(action);
  if (done.success) return done.verified ? "done verified" : "done";
  return "failed " + std::string(to_string(done.reason)) + " " + std::string(to_string(done.effect));
}

/// Feeds a plan one outcome after the other (sleeping as told) and returns the actions as text.
inline std::vector<std::string> run(Call& call, const std::vector<Outcome>& outcomes, bool with_sleeps = true) {
  std::vector<std::string> out;
  CallPlan::Action action = call.start();
  std::size_t next = 0;
  for (;;) {
    if (with_sleeps || !std::holds_alternative<CallPlan::Sleep>(action)) out.push_back(show(action, call.now));
    if (std::holds_alternative<CallPlan::Done>(action)) return out;
    if (std::holds_alternative<CallPlan::Sleep>(action)) {
      action = call.wake(action);
    } else if (next == outcomes.size()) {
      return out;
    } else {
      action = call.resume(outcomes[next++]);
    }
    if (out.size() > 1000) return out;
  }
}

}  // namespace resilience_tests

#endif
