#include <mlflowha/resilience/retry_budget.hpp>

#include <atomic>
#include <limits>
#include <thread>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha;

namespace {

RetryBudgetOptions options(std::int32_t capacity, std::int32_t retry = 14, std::int32_t throttled = 5) {
  RetryBudgetOptions made;
  made.capacity = capacity;
  made.retry_cost = retry;
  made.throttled_cost = throttled;
  return made;
}

/// One call as CallPlan makes it: pays for each retry, gives back what the last one cost when it succeeds.
struct Call {
  RetryBudget& budget;
  std::int32_t last_cost = 0;

  bool retry(bool throttled = false) {
    const RetryBudget::Grant grant = budget.try_acquire(throttled);
    if (grant.granted) last_cost = grant.cost;
    return grant.granted;
  }
  void succeed() { budget.succeeded(last_cost); }
};

}  // namespace

TEST_CASE("AWS 2.1: two retries cost 28, success gives back the last 14", "[resilience][budget]") {
  RetryBudget budget;
  CHECK(budget.available() == 500);
  Call call{budget};
  CHECK(call.retry());
  CHECK(budget.available() == 486);
  CHECK(call.retry());
  CHECK(budget.available() == 472);
  call.succeed();
  CHECK(budget.available() == 486);
}

TEST_CASE("AWS 2.1: the published sequences", "[resilience][budget]") {
  struct Row {
    const char* what;
    std::int32_t start;
    bool throttled;
    std::vector<std::int32_t> after;  // -1: refused
  };
  const std::vector<Row> rows = {
      {"maximum attempts 3, then failure", 500, false, {486, 472}},
      {"maximum attempts 5, then failure", 500, false, {486, 472, 458, 444}},
      {"start 14: one retry, then exceeded", 14, false, {0, -1}},
      {"start 20: one retry, then exceeded with 6 left", 20, false, {6, -1}},
      {"throttled", 500, true, {495}},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    RetryBudget budget(options(row.start));
    Call call{budget};
    for (const std::int32_t after : row.after) {
      const std::int32_t before = budget.available();
      CHECK(call.retry(row.throttled) == (after >= 0));
      CHECK(budget.available() == (after >= 0 ? after : before));
    }
  }
}

TEST_CASE("AWS 2.1: a throttled retry that succeeds leaves a full budget", "[resilience][budget]") {
  RetryBudget budget;
  Call call{budget};
  CHECK(call.retry(true));
  CHECK(budget.available() == 495);
  call.succeed();
  CHECK(budget.available() == 500);
}

TEST_CASE("AWS 2.1: an empty budget grants nothing", "[resilience][budget]") {
  RetryBudget budget(options(14));
  REQUIRE(budget.try_acquire(false).granted);
  REQUIRE(budget.available() == 0);
  const RetryBudget::Grant refused = budget.try_acquire(false);
  CHECK_FALSE(refused.granted);
  CHECK(refused.cost == 0);
  CHECK_FALSE(budget.try_acquire(true).granted);
  CHECK(budget.available() == 0);
}

TEST_CASE("AWS 2.1: several calls from 30", "[resilience][budget]") {
  RetryBudget budget(options(30));
  Call first{budget};
  CHECK(first.retry());
  CHECK(budget.available() == 16);
  CHECK(first.retry());
  CHECK(budget.available() == 2);
  first.succeed();
  CHECK(budget.available() == 16);
  Call second{budget};
  CHECK(second.retry());
  CHECK(budget.available() == 2);
  second.succeed();
  CHECK(budget.available() == 16);
}

TEST_CASE("AWS 2.1: two calls that share a budget", "[resilience][budget]") {
  RetryBudget budget;
  Call a{budget};
  Call b{budget};
  CHECK(a.retry());
  CHECK(budget.available() == 486);
  CHECK(b.retry());
  CHECK(budget.available() == 472);
  CHECK(a.retry());
  CHECK(budget.available() == 458);
  a.succeed();
  b.succeed();
  CHECK(budget.available() == 486);
}

TEST_CASE("AWS 2.0: five a retry", "[resilience][budget]") {
  RetryBudget budget(options(500, 5));
  Call call{budget};
  for (const std::int32_t after : {495, 490, 485, 480}) {
    CHECK(call.retry());
    CHECK(budget.available() == after);
  }
  RetryBudget again(options(500, 5));
  Call succeeds{again};
  CHECK(succeeds.retry());
  CHECK(succeeds.retry());
  CHECK(again.available() == 490);
  succeeds.succeed();
  CHECK(again.available() == 495);
  RetryBudget five(options(5, 5));
  Call last{five};
  CHECK(last.retry());
  CHECK_FALSE(last.retry());
}

TEST_CASE("a total outage stops retrying after 35 retries", "[resilience][budget]") {
  RetryBudget budget;
  int granted = 0;
  for (int i = 0; i < 10'000; ++i) granted += budget.try_acquire(false).granted ? 1 : 0;
  CHECK(granted == 35);
  CHECK(budget.available() == 10);
}

TEST_CASE("in the long run successes buy the share of retries that the prices say", "[resilience][budget]") {
  struct Row {
    const char* source;
    std::int32_t cost;
    int retries_per_100;
  };
  // Finagle's default is 20 % of the calls, userver's 10 % (one token and a tenth back are ten and one).
  for (const Row& row : {Row{"Finagle, 20 %", 5, 20}, Row{"userver, 10 %", 10, 10}}) {
    INFO(row.source);
    RetryBudget budget(options(100, row.cost));
    while (budget.try_acquire(false).granted) {
    }
    int granted = 0;
    for (int i = 0; i < 100; ++i) {
      budget.succeeded(0);
      granted += budget.try_acquire(false).granted ? 1 : 0;
    }
    CHECK(granted == row.retries_per_100);
  }
}

TEST_CASE("the budget never exceeds its capacity", "[resilience][budget]") {
  RetryBudget budget;
  budget.succeeded(0);
  CHECK(budget.available() == 500);
  REQUIRE(budget.try_acquire(true).granted);
  budget.succeeded(14);  // more than is missing
  CHECK(budget.available() == 500);
  REQUIRE(budget.try_acquire(false).granted);
  budget.succeeded(std::numeric_limits<std::int32_t>::max());
  CHECK(budget.available() == 500);
  REQUIRE(budget.try_acquire(false).granted);
  budget.succeeded(-1000);  // no such price: counts as a plain success
  CHECK(budget.available() == 487);
}

TEST_CASE("a budget of the largest size does not overflow", "[resilience][budget]") {
  constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
  RetryBudget budget(options(most, most));
  CHECK(budget.try_acquire(false).granted);
  CHECK(budget.available() == 0);
  budget.succeeded(most);
  budget.succeeded(most);
  CHECK(budget.available() == most);
}

TEST_CASE("capacity 0 turns the budget off", "[resilience][budget]") {
  RetryBudget budget(options(0));
  for (int i = 0; i < 1000; ++i) {
    const RetryBudget::Grant grant = budget.try_acquire(i % 2 == 0);
    REQUIRE(grant.granted);
    REQUIRE(grant.cost == 0);
  }
  budget.succeeded(0);
  CHECK(budget.available() == 0);
}

TEST_CASE("budget options list all their faults", "[resilience][budget]") {
  CHECK(RetryBudgetOptions{}.faults().empty());
  CHECK(options(0).faults().empty());
  RetryBudgetOptions bad = options(-1, -2, -3);
  bad.success_gain = -4;
  CHECK(bad.faults() ==
        "capacity is -1, expected 0 (no budget) or more\n"
        "retry_cost is -2, expected 0 or more\n"
        "throttled_cost is -3, expected 0 or more\n"
        "success_gain is -4, expected 0 or more");
  CHECK(options(10).faults() == "retry_cost is 14, expected at most capacity (10)");
  // Faulty options that nobody checked must not make tokens out of nothing.
  RetryBudget budget(bad);
  CHECK(budget.available() == 0);
  budget.succeeded(0);
  CHECK(budget.available() == 0);
}

TEST_CASE("threads never push the budget below zero or above its capacity", "[resilience][budget][thread]") {
  constexpr std::int32_t capacity = 40;
  RetryBudget budget(options(capacity));
  std::atomic<bool> out_of_range{false};
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      for (int i = 0; i < 30'000; ++i) {
        Call call{budget};
        if (call.retry((i + number) % 3 == 0)) call.succeed();
        const std::int32_t tokens = budget.available();
        if (tokens < 0 || tokens > capacity) out_of_range.store(true);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(out_of_range.load());
  CHECK(budget.available() == capacity);
}

TEST_CASE("threads lose no token and make none", "[resilience][budget][thread]") {
  // Far from both ends, so that nothing is clamped and the sum must come out even. Goes on until the threads have
  // really met: on a busy machine they may run one after the other for long.
  RetryBudget budget(options(1'000'000));
  for (int i = 0; i < 10'000; ++i) REQUIRE(budget.try_acquire(false).granted);
  const std::int32_t before = budget.available();
  std::atomic<bool> enough{false};
  std::vector<std::thread> threads;
  for (int number = 0; number < 2; ++number) {
    threads.emplace_back([&, number] {
      int met = 0;
      for (int i = 0; i < 20'000'000 && met < 40'000 && !enough.load(std::memory_order_relaxed); ++i) {
        Call call{budget};
        const std::int32_t tokens = budget.available();
        if (call.retry((i + number) % 3 == 0)) call.succeed();
        met += budget.available() != tokens ? 1 : 0;
      }
      enough.store(true);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(budget.available() == before);
}

TEST_CASE("threads together get no more retries than one would", "[resilience][budget][thread]") {
  for (int round = 0; round < 100; ++round) {
    RetryBudget budget;
    std::atomic<int> granted{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 40; ++n) granted.fetch_add(budget.try_acquire(false).granted ? 1 : 0);
      });
    }
    for (std::thread& thread : threads) thread.join();
    REQUIRE(granted.load() == 35);
    REQUIRE(budget.available() == 10);
  }
}
