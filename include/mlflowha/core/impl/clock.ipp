#ifndef MLFLOWHA_CORE_IMPL_CLOCK_IPP
#define MLFLOWHA_CORE_IMPL_CLOCK_IPP

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/stop_token.hpp>

#include <condition_variable>
#include <mutex>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE Clock::~Clock() = default;

namespace detail {

class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const noexcept override {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
  }

  [[nodiscard]] WallTime wall_now() const noexcept override {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  }

  void sleep_until(TimePoint until, const CancellationToken& cancel) override {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock<std::mutex> lock(mutex);
    wake.wait_until(lock, to_stop_token(cancel), until, [] { return false; });
  }
};

}  // namespace detail

MLFLOWHA_INLINE std::shared_ptr<Clock> system_clock() {
  static const std::shared_ptr<Clock> clock = std::make_shared<detail::SystemClock>();
  return clock;
}

MLFLOWHA_END_NAMESPACE

#endif
