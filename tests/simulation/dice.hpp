#ifndef MLFLOWHA_TESTS_SIMULATION_DICE_HPP
#define MLFLOWHA_TESTS_SIMULATION_DICE_HPP

// Dice: all chance of a simulation, from one seed. Draw into variables one statement at a time: the order in which
// arguments are evaluated differs between compilers, and a seed must tell the same story everywhere.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/rng.hpp>

#include <cstddef>
#include <cstdint>

namespace mlflowha_tests {

class Dice {
 public:
  /// The stream starts anywhere: those of neighbouring seeds have nothing in common.
  explicit Dice(std::uint64_t seed) : rng_(mlflowha::SplitMixRng(seed).next()) {}

  [[nodiscard]] bool chance(double probability) { return mlflowha::uniform(rng_) < probability; }
  /// Both ends included.
  [[nodiscard]] int between(int low, int high) {
    return low + static_cast<int>(mlflowha::below(rng_, static_cast<std::uint64_t>(high - low) + 1));
  }
  [[nodiscard]] mlflowha::Duration between(mlflowha::Duration low, mlflowha::Duration high) {
    const auto span = static_cast<std::uint64_t>((high - low).count());
    return low + mlflowha::Duration(static_cast<std::int64_t>(mlflowha::below(rng_, span + 1)));
  }
  [[nodiscard]] std::size_t index(std::size_t size) { return static_cast<std::size_t>(mlflowha::below(rng_, size)); }
  [[nodiscard]] std::uint64_t seed() { return rng_.next(); }

 private:
  mlflowha::SplitMixRng rng_;
};

}  // namespace mlflowha_tests

#endif
