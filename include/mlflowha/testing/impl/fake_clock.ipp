#ifndef MLFLOWHA_TESTING_IMPL_FAKE_CLOCK_IPP
#define MLFLOWHA_TESTING_IMPL_FAKE_CLOCK_IPP

#include <mlflowha/core/stop_token.hpp>
#include <mlflowha/testing/fake_clock.hpp>

#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

namespace detail {
inline constexpr std::int64_t fake_clock_start = std::int64_t{3600} * 1'000'000'000;
inline constexpr std::int64_t fake_wall_start =
    std::int64_t{1'767'225'600} * 1'000;  // milliseconds: 2026-01-01T00:00:00Z
inline constexpr std::int64_t nanoseconds_in_millisecond = 1'000'000;
}  // namespace detail

MLFLOWHA_INLINE FakeClock::FakeClock(Mode mode)
    : mode_(mode),
      now_(detail::fake_clock_start),
      wall_offset_(detail::fake_wall_start - detail::fake_clock_start / detail::nanoseconds_in_millisecond) {}

MLFLOWHA_INLINE WallTime FakeClock::wall_now() const noexcept {
  return WallTime(std::chrono::milliseconds(now_.load() / detail::nanoseconds_in_millisecond + wall_offset_.load()));
}

MLFLOWHA_INLINE void FakeClock::sleep_until(TimePoint until, const CancellationToken& cancel) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    sleeps_.push_back(until > now() ? until - now() : Duration::zero());
  }
  pass_until(until, cancel);
}

MLFLOWHA_INLINE void FakeClock::pass_until(TimePoint until, const CancellationToken& cancel) {
  if (mode_ == Mode::automatic) {
    move_to(until, &cancel);
  } else {
    block_until(until, cancel);
  }
}

MLFLOWHA_INLINE void FakeClock::block_until(TimePoint until, const CancellationToken& cancel) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (now() >= until) return;
  ++sleepers_;
  moved_.notify_all();
  moved_.wait(lock, to_stop_token(cancel), [&] { return now() >= until; });
  --sleepers_;
}

MLFLOWHA_INLINE void FakeClock::advance(Duration by) { move_to(Deadline::after(now(), by).at(), nullptr); }

MLFLOWHA_INLINE void FakeClock::advance_to(TimePoint to) { move_to(to, nullptr); }

MLFLOWHA_INLINE void FakeClock::move_to(TimePoint to, const CancellationToken* cancel) {
  for (;;) {
    if (cancel != nullptr && cancel->stop_requested()) return;
    std::function<void()> action;
    bool due = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto first = actions_.begin();
      due = first != actions_.end() && first->first <= (to > now() ? to : now());
      const TimePoint next = due ? first->first : to;
      // Another thread may have moved the time beyond `next` already.
      if (next > now()) now_.store(next.time_since_epoch().count());
      if (due) {
        action = std::move(first->second);
        actions_.erase(first);
      }
      if (mode_ == Mode::manual) moved_.notify_all();
    }
    if (!due) return;
    if (action) action();
  }
}

MLFLOWHA_INLINE void FakeClock::set_wall(WallTime wall) noexcept {
  wall_offset_.store(wall.time_since_epoch().count() - now_.load() / detail::nanoseconds_in_millisecond);
}

MLFLOWHA_INLINE void FakeClock::schedule(TimePoint at, std::function<void()> action) {
  const std::lock_guard<std::mutex> lock(mutex_);
  actions_.emplace(at, std::move(action));
}

MLFLOWHA_INLINE std::size_t FakeClock::scheduled() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return actions_.size();
}

MLFLOWHA_INLINE std::vector<Duration> FakeClock::sleeps() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return sleeps_;
}

MLFLOWHA_INLINE void FakeClock::clear_sleeps() {
  const std::lock_guard<std::mutex> lock(mutex_);
  sleeps_.clear();
}

MLFLOWHA_INLINE std::size_t FakeClock::sleepers() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return sleepers_;
}

MLFLOWHA_INLINE bool FakeClock::wait_for_sleepers(std::size_t count, std::chrono::milliseconds patience) const {
  std::unique_lock<std::mutex> lock(mutex_);
  return moved_.wait_for(lock, patience, [&] { return sleepers_ >= count; });
}

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
