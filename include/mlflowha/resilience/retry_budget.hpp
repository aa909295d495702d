#ifndef MLFLOWHA_RESILIENCE_RETRY_BUDGET_HPP
#define MLFLOWHA_RESILIENCE_RETRY_BUDGET_HPP

// RetryBudget: a token bucket shared by all calls of a client, so that a total outage does not multiply its load.
// Figures of AWS SDK retry behaviour 2.1: 500 tokens, 14 a retry, 5 a throttled retry; a success gives back what its
// last retry cost, or 1. Never below zero, never above capacity, lock-free.

#include <mlflowha/config.hpp>
#include <mlflowha/resilience/options.hpp>

#include <atomic>
#include <cstdint>
#include <string>

MLFLOWHA_BEGIN_NAMESPACE

/// Thread-safe.
class MLFLOWHA_EXPORT RetryBudget {
 public:
  explicit RetryBudget(const RetryBudgetOptions& options = {}) noexcept;

  /// What was taken for a retry; 0 when the budget is disabled.
  struct Grant {
    bool granted = false;
    std::int32_t cost = 0;
  };
  /// Takes the price of one retry, all or nothing.
  [[nodiscard]] Grant try_acquire(bool throttled) noexcept;
  /// A call succeeded. `last_cost` is what its last retry took (0: it needed none).
  void succeeded(std::int32_t last_cost) noexcept;
  [[nodiscard]] std::int32_t available() const noexcept { return tokens_.load(std::memory_order_relaxed); }

 private:
  RetryBudgetOptions options_;
  std::atomic<std::int32_t> tokens_;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/resilience/impl/retry_budget.ipp>
#endif

#endif
