#ifndef MLFLOWHA_RESILIENCE_IMPL_BREAKER_WINDOW_IPP
#define MLFLOWHA_RESILIENCE_IMPL_BREAKER_WINDOW_IPP

// BreakerWindow: the calls and failures of the last so many seconds, in a ring of 10 buckets. Part of CircuitBreaker.
//
// Each thread counts in one of 8 stripes, so that threads don't fight for a cache line (shared counters cost 110-120 ns
// a call with two threads, striped ones 40). A bucket is two words:
//   epoch  = slot (48 bits: the bucket's place on the time axis) | sequence (16 bits)
//   counts = sequence (16 bits) | failures (24 bits) | calls (24 bits)
// Moving a bucket to another slot is two steps, epoch first: counts with another sequence than the epoch's are from an
// earlier lap, mean nothing, and whoever meets them replaces them. So nobody waits for a thread that stopped half-way,
// and an increment that was prepared before the bucket moved or was cleared can't be applied after it.

#include <mlflowha/core/clock.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

class BreakerWindow {
 public:
  static constexpr std::size_t bucket_count = 10;
  static constexpr std::size_t stripe_count = 8;

  struct Sums {
    std::int64_t calls = 0;
    std::int64_t failures = 0;
  };

  /// `window` is at least 10 ms.
  explicit BreakerWindow(Duration window) noexcept
      : bucket_width_(window.count() / static_cast<std::int64_t>(bucket_count)) {}

  /// Counts one call, unless `valid()` is false; then returns false. `valid` is asked after the bucket was read, so a
  /// bucket that was cleared for another generation is never counted into.
  template <class Valid>
  bool add(TimePoint now, bool failure, const Valid& valid) noexcept {
    const std::uint64_t slot = slot_of(now);
    Stripe& stripe = stripes_[stripe_of_this_thread()];
    Bucket& bucket = stripe.buckets[slot % bucket_count];
    for (;;) {
      std::uint64_t counts = bucket.counts.load(std::memory_order_acquire);  // before the epoch: never newer than it
      std::uint64_t epoch = bucket.epoch.load(std::memory_order_acquire);
      if (!valid()) return false;
      if (epoch >> sequence_bits != slot) {
        // A thread that was held up for more than a window finds its bucket on the next lap: its news is too old to
        // count. Any other difference means that the bucket is old, unused, or from before the clock was put back.
        if ((epoch >> sequence_bits) == slot + bucket_count) break;
        bucket.epoch.compare_exchange_strong(epoch, slot << sequence_bits | sequence(epoch + 1),
                                             std::memory_order_acq_rel, std::memory_order_relaxed);
        continue;
      }
      const std::uint64_t base =
          counts >> 2 * count_bits == sequence(epoch) ? counts : sequence(epoch) << 2 * count_bits;
      if (bucket.counts.compare_exchange_strong(counts, increased(base, failure), std::memory_order_acq_rel,
                                                std::memory_order_relaxed)) {
        break;
      }
    }
    if (!failure) stripe.successes.fetch_add(1, std::memory_order_relaxed);
    return true;
  }

  /// Successes that were not seen by add().
  void add_success() noexcept { stripes_[stripe_of_this_thread()].successes.fetch_add(1, std::memory_order_relaxed); }

  /// What the buckets around `now` hold. A bucket a little ahead of `now` counts too: the caller's reading of the clock
  /// may be older than another thread's.
  [[nodiscard]] Sums sums(TimePoint now) const noexcept {
    Sums sums;
    const std::uint64_t slot = slot_of(now);
    for (const Stripe& stripe : stripes_) {
      for (const Bucket& bucket : stripe.buckets) {
        const std::uint64_t counts = bucket.counts.load(std::memory_order_acquire);
        const std::uint64_t epoch = bucket.epoch.load(std::memory_order_acquire);
        const std::uint64_t distance = (epoch >> sequence_bits) + bucket_count - 1 - slot;  // 0 .. 18 is near
        if (distance > 2 * (bucket_count - 1) || counts >> 2 * count_bits != sequence(epoch)) continue;
        sums.calls += static_cast<std::int64_t>(counts & count_mask);
        sums.failures += static_cast<std::int64_t>(counts >> count_bits & count_mask);
      }
    }
    return sums;
  }

  /// Successes since construction; clear() leaves them.
  [[nodiscard]] std::uint64_t successes() const noexcept {
    std::uint64_t sum = 0;
    for (const Stripe& stripe : stripes_) sum += stripe.successes.load(std::memory_order_relaxed);
    return sum;
  }

  /// Empties all buckets. The caller has made valid() false for everybody before, and makes it true only for those who
  /// come after. The sequence needs no step here: a bucket without a slot takes one when it is next used.
  void clear() noexcept {
    for (Stripe& stripe : stripes_) {
      for (Bucket& bucket : stripe.buckets) {
        std::uint64_t epoch = bucket.epoch.load(std::memory_order_relaxed);
        while (!bucket.epoch.compare_exchange_weak(epoch, no_slot << sequence_bits | sequence(epoch),
                                                   std::memory_order_acq_rel, std::memory_order_relaxed)) {
        }
        bucket.counts.store(sequence(epoch) << 2 * count_bits, std::memory_order_release);
      }
    }
  }

  /// `counts` with one more call. A full counter halves both, which keeps the rate.
  [[nodiscard]] static constexpr std::uint64_t increased(std::uint64_t counts, bool failure) noexcept {
    if ((counts & count_mask) == count_mask) {
      const std::uint64_t failures = (counts >> count_bits & count_mask) / 2;
      counts = counts >> 2 * count_bits << 2 * count_bits | failures << count_bits | count_mask / 2;
    }
    return counts + (failure ? (std::uint64_t{1} << count_bits) + 1 : 1);
  }

  /// Threads that were started one after the other get different stripes.
  [[nodiscard]] static std::size_t stripe_of_this_thread() noexcept {
    static std::atomic<std::size_t> threads{0};
    thread_local std::size_t number = 0;
    if (number == 0) number = threads.fetch_add(1, std::memory_order_relaxed) + 1;
    return number % stripe_count;
  }

 private:
  static constexpr unsigned sequence_bits = 16;
  static constexpr unsigned count_bits = 24;
  static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;
  static constexpr std::uint64_t no_slot = (std::uint64_t{1} << 48U) - 1;

  struct Bucket {
    std::atomic<std::uint64_t> epoch{no_slot << sequence_bits};
    std::atomic<std::uint64_t> counts{0};
  };
  struct alignas(64) Stripe {
    std::array<Bucket, bucket_count> buckets;
    std::atomic<std::uint64_t> successes{0};
  };

  static constexpr std::uint64_t sequence(std::uint64_t epoch) noexcept { return epoch & 0xFFFFU; }

  /// Time in buckets, rounded down, and shifted so that times before the clock's epoch are positive as well: with
  /// buckets of 1 ms or more it takes 47 bits.
  [[nodiscard]] std::uint64_t slot_of(TimePoint now) const noexcept {
    const std::int64_t time = now.time_since_epoch().count();
    const std::int64_t buckets = time / bucket_width_ - (time % bucket_width_ < 0 ? 1 : 0);
    return static_cast<std::uint64_t>(buckets + (std::int64_t{1} << 46U));
  }

  std::array<Stripe, stripe_count> stripes_;
  std::int64_t bucket_width_;  ///< in nanoseconds
};

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
