#ifndef MLFLOWHA_TESTS_UNIT_RESILIENCE_BREAKER_FIXTURE_HPP
#define MLFLOWHA_TESTS_UNIT_RESILIENCE_BREAKER_FIXTURE_HPP

// What the tests of CircuitBreaker share: a breaker with a hand-moved clock, short names for the three results, and a
// generator that always draws the same number.

#include <mlflowha/resilience/circuit_breaker.hpp>

#include <memory>
#include <string_view>

namespace mlflowha_tests {

/// Draws `unit` in [0, 1), always, and counts the draws.
class FixedRng final : public mlflowha::Rng {
 public:
  explicit FixedRng(double unit) : bits_(static_cast<std::uint64_t>(unit * 0x1.0p53) << 11U) {}
  [[nodiscard]] std::uint64_t next() noexcept override {
    ++draws;
    return bits_;
  }
  int draws = 0;

 private:
  std::uint64_t bits_;
};

inline constexpr auto ok = mlflowha::CallResult::success;
inline constexpr auto hard = mlflowha::CallResult::hard_failure;
inline constexpr auto soft = mlflowha::CallResult::soft_failure;

/// Without jitter, so that times come out round: open 1 s, 2 s, 4 s ...
inline mlflowha::CircuitBreakerOptions plain_options() {
  mlflowha::CircuitBreakerOptions options;
  options.open_jitter = 0.0;
  return options;
}

struct BreakerFixture {
  explicit BreakerFixture(const mlflowha::CircuitBreakerOptions& options = plain_options())
      : breaker(options, std::make_shared<mlflowha::SplitMixRng>(1)) {}

  /// One call now; false when it was refused.
  bool call(mlflowha::CallResult result) {
    auto permit = breaker.try_acquire(now);
    if (!permit) return false;
    permit.report(now, result);
    return true;
  }
  /// "SSEE": a call each; E hard, L soft ("load"). Stops at a refusal.
  bool calls(std::string_view results, mlflowha::Duration gap = mlflowha::Duration::zero()) {
    for (const char c : results) {
      if (!call(c == 'S' ? ok : c == 'E' ? hard : soft)) return false;
      now += gap;
    }
    return true;
  }
  [[nodiscard]] mlflowha::BreakerState state() const { return breaker.state(now); }
  [[nodiscard]] mlflowha::CircuitBreaker::Snapshot snapshot() const { return breaker.snapshot(now); }

  mlflowha::TimePoint now{std::chrono::hours(1)};
  mlflowha::CircuitBreaker breaker;
};

}  // namespace mlflowha_tests

#endif
