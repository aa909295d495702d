#ifndef MLFLOWHA_RESILIENCE_IMPL_OPTIONS_IPP
#define MLFLOWHA_RESILIENCE_IMPL_OPTIONS_IPP

#include <mlflowha/resilience/options.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

MLFLOWHA_INLINE std::string option_time(Duration d) {
  const auto ns = d.count();
  if (ns % 1'000'000'000 == 0) return fmt::format("{} s", ns / 1'000'000'000);
  if (ns % 1'000'000 == 0) return fmt::format("{} ms", ns / 1'000'000);
  return fmt::format("{} ns", ns);
}

/// One line of faults() unless `good`.
MLFLOWHA_INLINE void add_fault(std::string& faults, bool good, std::string_view name, std::string_view value,
                               std::string_view rule) {
  if (good) return;
  if (!faults.empty()) faults += '\n';
  faults.append(name).append(" is ").append(value).append(", expected ").append(rule);
}

}  // namespace detail

MLFLOWHA_INLINE std::string BackoffOptions::faults() const {
  std::string text;
  const auto fault = [&text](std::string_view field, std::string_view value, std::string_view expected) {
    detail::add_fault(text, false, field, value, expected);
  };
  const auto ns = [](Duration d) { return fmt::format("{} ns", d.count()); };
  if (base <= Duration::zero()) fault("base", ns(base), "more than 0");
  if (throttled_base <= Duration::zero()) fault("throttled_base", ns(throttled_base), "more than 0");
  if (!(factor >= 1.0 && factor <= 120.0)) fault("factor", fmt::format("{}", factor), "1.0 .. 120.0");
  if (cap <= Duration::zero()) {
    fault("cap", ns(cap), "more than 0");
  } else if (cap < base) {
    fault("cap", ns(cap), fmt::format("at least base ({})", ns(base)));
  }
  if (retry_after_slack < Duration::zero()) fault("retry_after_slack", ns(retry_after_slack), "0 or more");
  return text;
}

MLFLOWHA_INLINE std::string RetryBudgetOptions::faults() const {
  std::string text;
  const auto fault = [&text](std::string_view field, std::int32_t value, std::string_view expected) {
    detail::add_fault(text, false, field, std::to_string(value), expected);
  };
  if (capacity < 0) fault("capacity", capacity, "0 (no budget) or more");
  // A price above the capacity would silently refuse every retry.
  const auto check_cost = [&](std::string_view field, std::int32_t cost) {
    if (cost < 0) {
      fault(field, cost, "0 or more");
    } else if (capacity > 0 && cost > capacity) {
      fault(field, cost, fmt::format("at most capacity ({})", capacity));
    }
  };
  check_cost("retry_cost", retry_cost);
  check_cost("throttled_cost", throttled_cost);
  if (success_gain < 0) fault("success_gain", success_gain, "0 or more");
  return text;
}

MLFLOWHA_INLINE std::string CircuitBreakerOptions::faults() const {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  std::string text;
  const auto fault = [&text](std::string_view field, std::string_view value, std::string_view expected) {
    detail::add_fault(text, false, field, value, expected);
  };
  const auto check_count = [&](std::string_view field, std::int32_t value, std::int32_t least) {
    constexpr std::int32_t most = 1'000'000;
    if (value < least || value > most) fault(field, fmt::format("{}", value), fmt::format("{} .. {}", least, most));
  };
  // Written so that a NaN is outside of every range.
  const auto check_number = [&](std::string_view field, double value, double least, double most) {
    if (!(value >= least && value <= most)) {
      fault(field, fmt::format("{}", value), fmt::format("{:.1f} .. {:.1f}", least, most));
    }
  };
  const auto check_time = [&](std::string_view field, Duration value, Duration least) {
    if (value < least || value > hours(24)) {
      fault(field, detail::option_time(value), detail::option_time(least) + " .. 24 h");
    }
  };
  check_count("consecutive_failures", consecutive_failures, 0);
  check_number("failure_rate", failure_rate, 0.0, 1.0);
  if (consecutive_failures == 0 && failure_rate == 0.0) {
    fault("consecutive_failures", "0 and failure_rate 0",
          "at least one of them above 0 (order Override::disabled for a breaker that never trips)");
  }
  check_count("minimum_calls", minimum_calls, 1);
  check_time("window", window, milliseconds(10));
  check_time("open_for", open_for, Duration(1));
  check_time("open_for_max", open_for_max, Duration(1));
  if (open_for > open_for_max) {
    fault("open_for", detail::option_time(open_for),
          fmt::format("at most open_for_max ({})", detail::option_time(open_for_max)));
  }
  check_number("open_growth", open_growth, 1.0, 120.0);
  check_number("open_jitter", open_jitter, 0.0, 1.0);
  check_time("growth_decay", growth_decay, milliseconds(1));
  check_count("probe_successes", probe_successes, 1);
  check_time("probe_lease", probe_lease, milliseconds(1));
  return text;
}

MLFLOWHA_INLINE std::string EndpointSetOptions::faults() const {
  std::string out = breaker.faults();
  const auto time = [&out](bool good, std::string_view name, Duration value, std::string_view rule) {
    detail::add_fault(out, good, name, detail::option_time(value), rule);
  };
  detail::add_fault(out, failback_successes >= 1, "failback_successes", std::to_string(failback_successes),
                    "1 or more");
  time(failback_after >= Duration::zero(), "failback_after", failback_after, "0 or more");
  time(ramp >= Duration::zero(), "ramp", ramp, "0 or more");
  time(panic_interval >= std::chrono::milliseconds(1), "panic_interval", panic_interval, "1 ms or more");
  time(probe_interval >= std::chrono::milliseconds(1), "probe_interval", probe_interval, "1 ms or more");
  time(probe_interval_max >= probe_interval, "probe_interval_max", probe_interval_max, "at least probe_interval");
  time(probe_refused_max >= std::chrono::milliseconds(1), "probe_refused_max", probe_refused_max, "1 ms or more");
  time(ewma_tau >= std::chrono::milliseconds(1), "ewma_tau", ewma_tau, "1 ms or more");
  time(hold_max >= Duration::zero(), "hold_max", hold_max, "0 or more");
  return out;
}

MLFLOWHA_INLINE std::string CallPlanOptions::faults() const {
  std::string out = backoff.faults();
  const auto time = [&out](std::string_view name, Duration value) {
    detail::add_fault(out, value >= std::chrono::milliseconds(1), name, detail::option_time(value), "1 ms or more");
  };
  detail::add_fault(out, max_attempts >= 0, "max_attempts", std::to_string(max_attempts), "0 or more");
  detail::add_fault(out, max_server_errors >= 1, "max_server_errors", std::to_string(max_server_errors), "1 or more");
  time("attempt_timeout", attempt_timeout);
  time("connect_timeout", connect_timeout);
  time("minimum_attempt", minimum_attempt);
  detail::add_fault(out, connect_timeout < attempt_timeout, "connect_timeout", detail::option_time(connect_timeout),
                    "less than attempt_timeout, or a failing connect can't be told from a slow answer");
  detail::add_fault(out, minimum_attempt <= attempt_timeout, "minimum_attempt", detail::option_time(minimum_attempt),
                    "at most attempt_timeout");
  return out;
}

MLFLOWHA_END_NAMESPACE

#endif
