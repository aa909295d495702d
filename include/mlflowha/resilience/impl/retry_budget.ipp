#ifndef MLFLOWHA_RESILIENCE_IMPL_RETRY_BUDGET_IPP
#define MLFLOWHA_RESILIENCE_IMPL_RETRY_BUDGET_IPP

#include <mlflowha/resilience/retry_budget.hpp>

#include <fmt/format.h>

#include <algorithm>

MLFLOWHA_BEGIN_NAMESPACE

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
