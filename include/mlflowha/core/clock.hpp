#ifndef MLFLOWHA_CORE_CLOCK_HPP
#define MLFLOWHA_CORE_CLOCK_HPP

// Clock: the seam through which the library learns the time and waits. Production uses system_clock(); tests use
// testing::FakeClock and never sleep. Deadline is a point on that clock.

#include <mlflowha/config.hpp>
#include <mlflowha/core/cancellation.hpp>

#include <chrono>
#include <memory>

MLFLOWHA_BEGIN_NAMESPACE

using Duration = std::chrono::nanoseconds;
/// Monotonic time: all timeouts and state machines.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
/// Calendar time: only for timestamps that go to the server or to people.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;

/// Now and sleep in one object, so that a fake can let time pass by sleeping. Implementations are thread-safe.
class MLFLOWHA_EXPORT Clock {
 public:
  virtual ~Clock();
  [[nodiscard]] virtual TimePoint now() const noexcept = 0;
  [[nodiscard]] virtual WallTime wall_now() const noexcept = 0;
  /// Returns at `until`, or promptly (under 5 ms) after `cancel` is triggered.
  virtual void sleep_until(TimePoint until, const CancellationToken& cancel) = 0;
};

/// The machine's clocks. Shared, stateless, thread-safe.
[[nodiscard]] MLFLOWHA_EXPORT std::shared_ptr<Clock> system_clock();

/// The end of a call's time, on Clock's monotonic axis.
class Deadline {
 public:
  constexpr explicit Deadline(TimePoint at) noexcept : at_(at) {}
  /// `now + timeout`, saturating at the end of time.
  [[nodiscard]] static constexpr Deadline after(TimePoint now, Duration timeout) noexcept {
    return Deadline(timeout > TimePoint::max() - now ? TimePoint::max() : now + timeout);
  }
  [[nodiscard]] static constexpr Deadline never() noexcept { return Deadline(TimePoint::max()); }

  [[nodiscard]] constexpr TimePoint at() const noexcept { return at_; }
  [[nodiscard]] constexpr bool passed(TimePoint now) const noexcept { return now >= at_; }
  /// Time left, never negative.
  [[nodiscard]] constexpr Duration remaining(TimePoint now) const noexcept {
    return passed(now) ? Duration::zero() : at_ - now;
  }

 private:
  TimePoint at_;
};

namespace detail {

/// a + b for b >= 0, saturating: Duration::max() means "for ever".
[[nodiscard]] constexpr Duration saturating_sum(Duration a, Duration b) noexcept {
  return a > Duration::max() - b ? Duration::max() : a + b;
}

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/core/impl/clock.ipp>
#endif

#endif
