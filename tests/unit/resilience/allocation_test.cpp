// The promise that the hot path of the resilience machines allocates nothing, and the counting operators behind it.

#include "support/allocation_counter.hpp"

#include <mlflowha/resilience/backoff.hpp>
#include <mlflowha/resilience/retry_budget.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "support/catch.hpp"
#include "unit/resilience/breaker_fixture.hpp"

#if MLFLOWHA_TESTS_COUNT_ALLOCATIONS

namespace {

thread_local std::uint64_t allocation_count = 0;
std::atomic<std::size_t> allocation_limit{SIZE_MAX};

void* allocate(std::size_t size) {
  ++allocation_count;
  if (size > allocation_limit.load(std::memory_order_relaxed)) throw std::bad_alloc();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

void* allocate(std::size_t size, std::align_val_t alignment) {
  ++allocation_count;
  const auto align = static_cast<std::size_t>(alignment);
  const std::size_t rounded = (size + align - 1) / align * align;
  if (void* memory = std::aligned_alloc(align, rounded == 0 ? align : rounded)) return memory;
  throw std::bad_alloc();
}

}  // namespace

std::uint64_t mlflowha_tests::allocations() noexcept { return allocation_count; }
void mlflowha_tests::limit_allocations(std::size_t most) noexcept { allocation_limit = most; }

// The array and nothrow forms of the standard library call these.
void* operator new(std::size_t size) { return allocate(size); }
void* operator new(std::size_t size, std::align_val_t alignment) { return allocate(size, alignment); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

#else

std::uint64_t mlflowha_tests::allocations() noexcept { return 0; }
void mlflowha_tests::limit_allocations(std::size_t) noexcept {}

#endif

using namespace mlflowha;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

#if MLFLOWHA_TESTS_COUNT_ALLOCATIONS
TEST_CASE("the allocation counter counts", "[resilience][allocation]") {
  const std::uint64_t before = allocations();
  const auto one = std::make_unique<std::uint64_t>(1);
  struct alignas(256) Wide {
    char bytes[256];
  };
  const auto two = std::make_unique<Wide>();
  const std::unique_ptr<char[]> three(new char[3]);
  const void* volatile seen = one.get();  // or a compiler may do without what nobody looks at
  seen = two.get();
  seen = three.get();
  static_cast<void>(seen);
  CHECK(allocations() - before == 3);
}
#endif

TEST_CASE("a breaker allocates nothing, whatever happens", "[resilience][allocation]") {
  BreakerFixture f;
  const std::uint64_t before = allocations();
  for (int i = 0; i < 1000; ++i) {
    f.now += 100ms;  // through all buckets
    f.call(i % 3 == 0 ? hard : ok);
  }
  f.calls("EEEEEE");  // trips, refuses
  f.now += 1s;
  {
    const auto dropped = f.breaker.try_acquire(f.now);
  }  // probe, released
  f.calls("SS");  // probes, closes
  f.breaker.open_until(f.now, f.now + 1s);
  auto early = f.breaker.try_acquire_early(f.now);
  early.report(f.now, soft);
  f.breaker.set_override(f.now, CircuitBreaker::Override::metrics_only);
  f.call(hard);
  f.breaker.reset(f.now);
  (void)f.breaker.would_admit(f.now);
  (void)f.breaker.retry_at();
  (void)f.snapshot();
  CHECK(allocations() == before);
}

TEST_CASE("backoff and budget allocate nothing", "[resilience][allocation]") {
  const std::uint64_t before = allocations();
  RetryBudget budget;
  const auto grant = budget.try_acquire(true);
  budget.succeeded(grant.cost);
  const auto wish = parse_retry_after("Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:07 1994", WallTime{});
  const auto number = parse_retry_after("120", {}, WallTime{});
  const auto garbage = parse_retry_after("soon, I promise, but not before the end of the week", {}, WallTime{});
  const auto ms = parse_retry_after_ms("1500");
  const Duration delay = backoff_delay({}, 3, true, 0.5, wish);
  const std::uint64_t after = allocations();
  CHECK(after == before);
  CHECK(wish == Duration(30s));
  CHECK(number == Duration(120s));
  CHECK_FALSE(garbage.has_value());
  CHECK(ms == Duration(1500ms));
  CHECK(delay >= 2500ms);
}
