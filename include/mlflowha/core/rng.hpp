#ifndef MLFLOWHA_CORE_RNG_HPP
#define MLFLOWHA_CORE_RNG_HPP

// Rng: the seam for randomness (jitter, two-choices picks, idempotency keys). Tests seed SplitMixRng; production uses
// process_rng(), which differs in every process, forked children included.

#include <mlflowha/config.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

MLFLOWHA_BEGIN_NAMESPACE

/// A source of 64 random bits. Implementations are thread-safe.
class MLFLOWHA_EXPORT Rng {
 public:
  virtual ~Rng();
  [[nodiscard]] virtual std::uint64_t next() noexcept = 0;
};

/// SplitMix64 (Steele, Lea, Flood 2014: increment 0x9e3779b97f4a7c15): the same seed gives the same sequence.
/// Lock-free.
class MLFLOWHA_EXPORT SplitMixRng final : public Rng {
 public:
  explicit SplitMixRng(std::uint64_t seed) noexcept : state_(seed) {}
  [[nodiscard]] std::uint64_t next() noexcept override;

 private:
  std::atomic<std::uint64_t> state_;
};

/// Seeded by the operating system at first use and again in a forked child.
[[nodiscard]] MLFLOWHA_EXPORT std::shared_ptr<Rng> process_rng();

/// Uniform in [0, 1).
[[nodiscard]] MLFLOWHA_EXPORT double uniform(Rng& rng) noexcept;
/// Uniform in [0, bound); 0 when bound is 0.
[[nodiscard]] MLFLOWHA_EXPORT std::uint64_t below(Rng& rng, std::uint64_t bound) noexcept;
/// A random (version 4) UUID, 36 characters. From the process generator it is unique for all practical purposes.
[[nodiscard]] MLFLOWHA_EXPORT std::string make_uuid(Rng& rng);

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/core/impl/rng.ipp>
#endif

#endif
