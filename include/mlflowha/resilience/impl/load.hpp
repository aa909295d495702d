#ifndef MLFLOWHA_RESILIENCE_IMPL_LOAD_HPP
#define MLFLOWHA_RESILIENCE_IMPL_LOAD_HPP

// The arithmetic of latency and load behind EndpointSet's choice between two endpoints: moving averages and power of
// two choices. Pure functions, apart from the set so that published figures can be checked against them directly
// (MongoDB's round-trip average with alpha 0.2 and its in-window frequencies; Finagle's peak EWMA).

#include <mlflowha/config.hpp>

#include <cmath>
#include <cstdint>
#include <optional>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// Exponentially weighted moving average; the first sample stands as it is. Any unit.
[[nodiscard]] inline double ewma(std::optional<double> average, double sample, double alpha) noexcept {
  return average ? *average + alpha * (sample - *average) : sample;
}

/// What is left of an average after `age` without samples; `age` and `tau` in the same unit.
[[nodiscard]] inline double decayed(double average, double age, double tau) noexcept {
  return age <= 0 ? average : average * std::exp(-age / tau);
}

/// Peak EWMA: a sample above the (decayed) average replaces it at once, one below pulls it down with time constant tau.
[[nodiscard]] inline double peak_ewma(std::optional<double> average, double sample, double age, double tau) noexcept {
  if (!average || sample >= *average) return sample;
  return ewma(average, sample, age <= 0 ? 0.0 : 1.0 - std::exp(-age / tau));
}

/// Expected cost of one more request, in nanoseconds. An endpoint without a sample is free while it is idle, so that
/// it gets one, and dear (a second each) while the first answers are pending, so that it isn't flooded meanwhile. The
/// microsecond keeps the number in flight decisive when an average has decayed to nothing.
[[nodiscard]] inline double load(std::optional<double> latency_ns, std::int32_t in_flight) noexcept {
  if (!latency_ns) return in_flight <= 0 ? 0.0 : 1e9 * static_cast<double>(in_flight);
  return (*latency_ns + 1e3) * static_cast<double>(in_flight + 1);
}

/// Of two choices: true when the second carries less load; `coin` decides a tie.
[[nodiscard]] inline bool second_wins(double first, double second, bool coin) noexcept {
  return second < first || (second == first && coin);
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
