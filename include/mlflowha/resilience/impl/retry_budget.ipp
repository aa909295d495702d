#ifndef MLFLOWHA_RESILIENCE_IMPL_RETRY_BUDGET_IPP
#define MLFLOWHA_RESILIENCE_IMPL_RETRY_BUDGET_IPP

#include <mlflowha/resilience/retry_budget.hpp>

#include <fmt/format.h>

#include <algorithm>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE std::string RetryBudgetOptions::faults() const {
  std::string text;
  const auto fault = [&text](std::string_view field, std::int32_t value, std::string_view expected) {
    fmt::format_to(std::back_inserter(text), "{}{} is {}, expected {}", text.empty() ? "" : "\n", field, value,
                   expected);
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

MLFLOWHA_INLINE RetryBudget::RetryBudget(const RetryBudgetOptions& options) noexcept
    : options_(options), tokens_(std::max(options.capacity, 0)) {
  options_.capacity = std::max(options.capacity, 0);
  options_.retry_cost = std::max(options.retry_cost, 0);
  options_.throttled_cost = std::max(options.throttled_cost, 0);
  options_.success_gain = std::max(options.success_gain, 0);
}

MLFLOWHA_INLINE RetryBudget::Grant RetryBudget::try_acquire(bool throttled) noexcept {
  Grant grant;
  if (options_.capacity == 0) {
    grant.granted = true;
    return grant;
  }
  const std::int32_t cost = throttled ? options_.throttled_cost : options_.retry_cost;
  std::int32_t tokens = tokens_.load(std::memory_order_relaxed);
  do {
    if (tokens < cost) return grant;
  } while (!tokens_.compare_exchange_weak(tokens, tokens - cost, std::memory_order_relaxed));
  grant.granted = true;
  grant.cost = cost;
  return grant;
}

MLFLOWHA_INLINE void RetryBudget::succeeded(std::int32_t last_cost) noexcept {
  const std::int32_t gain = last_cost > 0 ? last_cost : options_.success_gain;
  std::int32_t tokens = tokens_.load(std::memory_order_relaxed);
  std::int32_t raised = 0;
  do {
    if (tokens == options_.capacity) return;  // the healthy case writes nothing, so threads don't fight for the line
    raised = gain > options_.capacity - tokens ? options_.capacity : tokens + gain;
  } while (!tokens_.compare_exchange_weak(tokens, raised, std::memory_order_relaxed));
}

MLFLOWHA_END_NAMESPACE

#endif
