#ifndef MLFLOWHA_TESTS_SUPPORT_ALLOCATION_COUNTER_HPP
#define MLFLOWHA_TESTS_SUPPORT_ALLOCATION_COUNTER_HPP

// Counts what operator new is asked for, so that a test can prove that something allocates nothing. The unit test
// program replaces the global operators (unit/resilience/allocation_test.cpp); nobody else may. Sanitizers bring
// operators of their own: there nothing is counted.

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MLFLOWHA_TESTS_COUNT_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define MLFLOWHA_TESTS_COUNT_ALLOCATIONS 0
#endif
#endif
#ifndef MLFLOWHA_TESTS_COUNT_ALLOCATIONS
#define MLFLOWHA_TESTS_COUNT_ALLOCATIONS 1
#endif

namespace mlflowha_tests {

/// Allocations by this thread so far; always 0 when MLFLOWHA_TESTS_COUNT_ALLOCATIONS is 0.
[[nodiscard]] std::uint64_t allocations() noexcept;
/// What is larger is refused, to any thread, until the next call.
void limit_allocations(std::size_t most = SIZE_MAX) noexcept;

}  // namespace mlflowha_tests

#endif
