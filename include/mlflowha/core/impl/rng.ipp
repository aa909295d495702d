#ifndef MLFLOWHA_CORE_IMPL_RNG_IPP
#define MLFLOWHA_CORE_IMPL_RNG_IPP

#include <mlflowha/core/rng.hpp>

#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <random>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE Rng::~Rng() = default;

namespace detail {

MLFLOWHA_INLINE std::uint64_t split_mix(std::uint64_t z) noexcept {
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31U);
}

/// 128 bits of seed, so that two processes don't share a sequence of UUIDs. Seeded again where the process isn't the
/// one that was seeded, so that a forked child leaves its parent's sequence without any hook into fork(). Its pid alone
/// would not tell it from its siblings: each may be process 1 of a container.
class ProcessRng final : public Rng {
 public:
  ProcessRng() noexcept { seed(getpid()); }

  [[nodiscard]] std::uint64_t next() noexcept override {
    constexpr std::uint64_t gamma = 0x9e3779b97f4a7c15ULL;
    if (const pid_t pid = getpid(); seeded_in_.load(std::memory_order_acquire) != pid) seed(pid);
    const std::uint64_t n = state_.fetch_add(gamma, std::memory_order_relaxed) + gamma;
    return split_mix(split_mix(n) ^ key_.load(std::memory_order_relaxed));
  }

 private:
  /// Several threads of a child may do it at once: what any of them leaves is good.
  void seed(pid_t pid) noexcept {
    state_.store(entropy(), std::memory_order_relaxed);
    key_.store(entropy(), std::memory_order_relaxed);
    seeded_in_.store(pid, std::memory_order_release);
  }

  static std::uint64_t entropy() noexcept {
#if defined(__cpp_exceptions)
    try {
#endif
      std::random_device device;
      return (static_cast<std::uint64_t>(device()) << 32U) | device();
#if defined(__cpp_exceptions)
    } catch (...) {
      // No /dev/urandom and no getrandom: time and address space layout are what is left.
      const auto ticks = std::chrono::steady_clock::now().time_since_epoch().count();
      return split_mix(static_cast<std::uint64_t>(ticks) ^ reinterpret_cast<std::uintptr_t>(&ticks)) ^
             split_mix(static_cast<std::uint64_t>(getpid()));
    }
#endif
  }

  std::atomic<std::uint64_t> state_{0};
  std::atomic<std::uint64_t> key_{0};
  std::atomic<pid_t> seeded_in_{0};
};

}  // namespace detail

MLFLOWHA_INLINE std::uint64_t SplitMixRng::next() noexcept {
  constexpr std::uint64_t gamma = 0x9e3779b97f4a7c15ULL;
  return detail::split_mix(state_.fetch_add(gamma, std::memory_order_relaxed) + gamma);
}

MLFLOWHA_INLINE std::shared_ptr<Rng> process_rng() {
  static const std::shared_ptr<Rng> rng = std::make_shared<detail::ProcessRng>();
  return rng;
}

MLFLOWHA_INLINE double uniform(Rng& rng) noexcept { return static_cast<double>(rng.next() >> 11U) * 0x1.0p-53; }

MLFLOWHA_INLINE std::uint64_t below(Rng& rng, std::uint64_t bound) noexcept {
  if (bound == 0) return 0;
  // Rejecting the uneven tail keeps the draw unbiased; a second draw is needed with a chance of bound / 2^64.
  const std::uint64_t tail = (0 - bound) % bound;
  for (;;) {
    const std::uint64_t draw = rng.next();
    if (draw >= tail) return draw % bound;
  }
}

MLFLOWHA_INLINE std::string make_uuid(Rng& rng) {
  static constexpr char digits[] = "0123456789abcdef";
  std::uint64_t high = rng.next();
  std::uint64_t low = rng.next();
  high = (high & ~0xF000ULL) | 0x4000ULL;                        // version 4
  low = (low & ~0xC000000000000000ULL) | 0x8000000000000000ULL;  // variant 1
  std::string text(36, '-');
  std::size_t at = 0;
  for (int nibble = 0; nibble < 32; ++nibble) {
    if (at == 8 || at == 13 || at == 18 || at == 23) ++at;
    const std::uint64_t word = nibble < 16 ? high : low;
    const auto shift = static_cast<unsigned>(60 - 4 * (nibble % 16));
    text[at++] = digits[(word >> shift) & 0xFU];
  }
  return text;
}

MLFLOWHA_END_NAMESPACE

#endif
