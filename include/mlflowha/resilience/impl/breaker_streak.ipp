#ifndef MLFLOWHA_RESILIENCE_IMPL_BREAKER_STREAK_IPP
#define MLFLOWHA_RESILIENCE_IMPL_BREAKER_STREAK_IPP

// BreakerStreak: hard failures in a row, lock-free. Part of CircuitBreaker. The count shares its word with the
// generation that it belongs to, so news of another generation leaves it alone, however late they come.

#include <mlflowha/config.hpp>

#include <atomic>
#include <cstdint>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

class BreakerStreak {
 public:
  static constexpr unsigned count_bits = 26;
  static constexpr std::uint64_t longest = (std::uint64_t{1} << count_bits) - 1;  ///< it stops there

  [[nodiscard]] std::uint64_t length() const noexcept { return word_.load(std::memory_order_acquire) & longest; }

  /// One more failure. Returns the length with it; 0 when `generation` is over.
  std::uint64_t extend(std::uint64_t generation) noexcept {
    std::uint64_t word = word_.load(std::memory_order_acquire);
    do {
      if (word >> count_bits != generation) return 0;
      if ((word & longest) == longest) return longest;
    } while (!word_.compare_exchange_weak(word, word + 1, std::memory_order_acq_rel, std::memory_order_acquire));
    return (word & longest) + 1;
  }

  /// A success. Writes only when there is something to end, so healthy threads don't fight for the line.
  void end(std::uint64_t generation) noexcept {
    std::uint64_t word = word_.load(std::memory_order_acquire);
    while (word >> count_bits == generation && (word & longest) != 0 &&
           !word_.compare_exchange_weak(word, generation << count_bits, std::memory_order_acq_rel,
                                        std::memory_order_acquire)) {
    }
  }

  /// The next generation begins, with `length` to start from. By whoever changes the breaker's state.
  void begin(std::uint64_t generation, std::uint64_t length) noexcept {
    word_.store(generation << count_bits | (length < longest ? length : longest), std::memory_order_release);
  }

 private:
  std::atomic<std::uint64_t> word_{0};
};

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
