#ifndef MLFLOWHA_TESTING_FAKE_CLOCK_HPP
#define MLFLOWHA_TESTING_FAKE_CLOCK_HPP

// FakeClock: a Clock whose time is the test's. In automatic mode whoever sleeps makes the time pass, so a simulation of
// hours runs in microseconds on one thread. In manual mode sleepers wait until the test calls advance(), for tests with
// several threads. Whatever is scheduled on it happens at its due time, on the thread that moves the time.

#include <mlflowha/core/clock.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

/// Thread-safe. Time never goes backwards. Must outlive whoever sleeps on it.
class MLFLOWHA_EXPORT FakeClock final : public Clock {
 public:
  enum class Mode : std::uint8_t {
    automatic,  ///< sleep_until moves the time to its end and returns
    manual,     ///< sleep_until blocks until advance() reaches its end, or until it is cancelled
  };

  /// Starts at one hour after the epoch of the monotonic axis (so that subtracting a little is safe) and, on the
  /// calendar, at 2026-01-01T00:00:00Z.
  explicit FakeClock(Mode mode = Mode::automatic);

  [[nodiscard]] TimePoint now() const noexcept override { return TimePoint(Duration(now_.load())); }
  [[nodiscard]] WallTime wall_now() const noexcept override;
  /// Records the sleep, then lets the time pass as the mode says. Returns early, at the time reached so far, when
  /// `cancel` is triggered (before the call, by another thread, or by something scheduled on this clock).
  void sleep_until(TimePoint until, const CancellationToken& cancel) override;

  /// As sleep_until, without a record: how FakeTransport spends the time of an attempt.
  void pass_until(TimePoint until, const CancellationToken& cancel);

  /// Moves the time on. What is scheduled in between happens in order, each at its own due time.
  void advance(Duration by);
  /// As advance, to a point in time; nothing happens when that has passed.
  void advance_to(TimePoint to);

  /// Sets the calendar; it moves on together with now().
  void set_wall(WallTime wall) noexcept;

  /// Lets `action` happen when the time reaches `at` (at the next move when that has passed). Actions of one moment
  /// happen in the order in which they were scheduled. An action may schedule, but must not move the time.
  void schedule(TimePoint at, std::function<void()> action);
  /// Number of scheduled actions that have not happened.
  [[nodiscard]] std::size_t scheduled() const;

  /// How long each sleep was asked to last, in order; a sleep until the past counts as zero.
  [[nodiscard]] std::vector<Duration> sleeps() const;
  void clear_sleeps();

  /// Manual mode: threads that are blocked in a sleep right now.
  [[nodiscard]] std::size_t sleepers() const;
  /// Manual mode: waits until at least `count` threads are blocked, for at most `patience` of real time. A test calls
  /// it before advance(), so that it does not race with the thread that is about to sleep.
  [[nodiscard]] bool wait_for_sleepers(std::size_t count, std::chrono::milliseconds patience) const;

 private:
  void move_to(TimePoint to, const CancellationToken* cancel);
  void block_until(TimePoint until, const CancellationToken& cancel);

  const Mode mode_;
  std::atomic<std::int64_t> now_;          // nanoseconds; read without the lock
  std::atomic<std::int64_t> wall_offset_;  // milliseconds to add to now_ for the calendar
  mutable std::mutex mutex_;               // guards what follows
  mutable std::condition_variable_any moved_;
  std::multimap<TimePoint, std::function<void()>> actions_;
  std::vector<Duration> sleeps_;
  std::size_t sleepers_ = 0;
};

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/testing/impl/fake_clock.ipp>
#endif

#endif
