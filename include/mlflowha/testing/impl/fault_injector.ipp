#ifndef MLFLOWHA_TESTING_IMPL_FAULT_INJECTOR_IPP
#define MLFLOWHA_TESTING_IMPL_FAULT_INJECTOR_IPP

#include <mlflowha/core/rng.hpp>
#include <mlflowha/testing/fault_injector.hpp>
#include <mlflowha/testing/impl/fault_rules.ipp>

#include <algorithm>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

MLFLOWHA_INLINE FaultInjector::FaultInjector(FaultScript script, std::uint64_t seed, TimePoint start)
    : script_(std::move(script)), default_seed_(seed), start_(start), counters_(script_.rules().size()) {}

MLFLOWHA_INLINE void FaultInjector::replace(FaultScript script, TimePoint now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  script_ = std::move(script);
  start_ = now;
  counters_.assign(script_.rules().size(), Counter{});
}

MLFLOWHA_INLINE bool FaultInjector::in_time(const FaultMatch& match, TimePoint now) const {
  const Duration since = now - start_;
  return match.from <= since && since < match.until;
}

MLFLOWHA_INLINE bool FaultInjector::draw(std::size_t rule) {
  const FaultMatch& match = script_.rules()[rule].match;
  Counter& counter = counters_[rule];
  const std::uint64_t number = ++counter.matched;
  if (!detail::contains(match.nth, number)) return false;
  if (number <= match.after || (number - match.after) % match.every != 0) return false;
  if (match.times != 0 && counter.fired >= match.times) return false;
  if (match.share < 1) {
    // A generator of its own for each draw: what other rules and threads draw must not matter.
    constexpr std::uint64_t spread = 0x9e3779b97f4a7c15ULL;
    SplitMixRng lot((SplitMixRng(script_.seed().value_or(default_seed_) + rule * spread).next()) ^ (number * spread));
    if (uniform(lot) >= match.share) return false;
  }
  ++counter.fired;
  return true;
}

MLFLOWHA_INLINE FaultPlan FaultInjector::on_connection(TimePoint now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::uint64_t number = ++connections_;
  FaultPlan plan;
  for (std::size_t i = 0; i < script_.rules().size(); ++i) {
    const FaultRule& rule = script_.rules()[i];
    if (!detail::is_connection_rule(rule) || !in_time(rule.match, now)) continue;
    if (!detail::contains(rule.match.connections, number) || !draw(i)) continue;
    plan.action = rule.actions.front();
    plan.rule = static_cast<int>(i);
    break;
  }
  return plan;
}

MLFLOWHA_INLINE FaultPlan FaultInjector::on_request(std::string_view method, std::string_view target,
                                                    std::uint64_t connection, TimePoint now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::uint64_t number = ++requests_;
  FaultPlan plan;
  for (std::size_t i = 0; i < script_.rules().size() && plan.rule < 0; ++i) {
    const FaultRule& rule = script_.rules()[i];
    if (detail::is_connection_rule(rule) || !in_time(rule.match, now)) continue;
    if (!detail::contains(rule.match.connections, connection) || !detail::contains(rule.match.requests, number) ||
        !detail::fits_request(rule.match, method, target) || !draw(i)) {
      continue;
    }
    for (const FaultAction& action : rule.actions) {
      if (action.kind == FaultKind::delay) {
        plan.delay = mlflowha::detail::saturating_sum(plan.delay, action.time);
      } else if (action.kind == FaultKind::drip) {
        // The slowest of several decides.
        if (plan.bytes_per_second <= 0 || action.bytes_per_second < plan.bytes_per_second) {
          plan.bytes_per_second = action.bytes_per_second;
        }
      } else {
        plan.action = action;
        plan.rule = static_cast<int>(i);
      }
    }
  }
  return plan;
}

MLFLOWHA_INLINE FaultInjector::ListenerState FaultInjector::listener(TimePoint now) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  ListenerState state{FaultKind::none, TimePoint::max()};
  for (const FaultRule& rule : script_.rules()) {
    if (!detail::is_connection_rule(rule) || !detail::depends_on_time_only(rule.match)) continue;
    if (state.kind == FaultKind::none && in_time(rule.match, now)) state.kind = rule.actions.front().kind;
    for (const Duration edge : {rule.match.from, rule.match.until}) {
      const TimePoint at = Deadline::after(start_, edge).at();
      if (at > now && at < state.next_change) state.next_change = at;
    }
  }
  return state;
}

MLFLOWHA_INLINE std::uint64_t FaultInjector::connections() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return connections_;
}

MLFLOWHA_INLINE std::uint64_t FaultInjector::requests() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return requests_;
}

MLFLOWHA_INLINE std::vector<FaultCount> FaultInjector::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<FaultCount> counts;
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    const FaultRule& rule = script_.rules()[i];
    counts.push_back({rule.line, to_string(rule), counters_[i].matched, counters_[i].fired});
  }
  return counts;
}

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
