// fork() at the worst moment for a circuit breaker: while another thread, which the child doesn't have, changes its
// state.

#include <mlflowha/resilience/circuit_breaker.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace std::chrono_literals;

namespace {

/// Drawn from in the middle of a change of state: stops there until it is let go.
class BlockingRng final : public Rng {
 public:
  [[nodiscard]] std::uint64_t next() noexcept override {
    if (armed.load()) {
      inside.store(true);
      while (armed.load()) std::this_thread::yield();
    }
    return 0;
  }
  std::atomic<bool> armed{false};
  std::atomic<bool> inside{false};
};

/// Exit status of a child that runs `body`; 99 when it hangs.
template <class Body>
int in_child(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);  // a child that hangs is killed by it
    _exit(body());
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 99;
  return WEXITSTATUS(status);
}

void fail(CircuitBreaker& breaker, TimePoint now, int times) {
  for (int i = 0; i < times; ++i) breaker.try_acquire(now).report(now, CallResult::hard_failure);
}

}  // namespace

TEST_CASE("a child forked in the middle of another thread's trip has a working breaker", "[fork][breaker]") {
  const auto rng = std::make_shared<BlockingRng>();
  CircuitBreaker breaker({}, rng);
  const TimePoint now{1h};
  fail(breaker, now, 4);
  rng->armed.store(true);
  std::thread thread([&] { fail(breaker, now, 1); });
  while (!rng->inside.load()) std::this_thread::yield();

  const int status = in_child([&] {
    rng->armed.store(false);
    if (breaker.state(now) != BreakerState::closed) return 1;
    auto permit = breaker.try_acquire(now);
    if (!permit) return 2;
    permit.report(now, CallResult::hard_failure);
    if (breaker.state(now) != BreakerState::open) return 3;  // the result counted and tripped
    breaker.set_override(now, CircuitBreaker::Override::forced_open);
    if (breaker.state(now) != BreakerState::forced_open) return 4;
    return 0;
  });
  // In the parent everything goes its way.
  CHECK(breaker.try_acquire(now));
  rng->armed.store(false);
  thread.join();
  CHECK(status == 0);
  CHECK(breaker.state(now) == BreakerState::open);
}

TEST_CASE("a child forked in the middle of another thread's probe isn't locked out", "[fork][breaker]") {
  const auto rng = std::make_shared<BlockingRng>();
  CircuitBreaker breaker({}, rng);
  TimePoint now{1h};
  fail(breaker, now, 5);
  now += 1s;
  rng->armed.store(true);
  std::thread thread([&] { breaker.try_acquire(now).report(now, CallResult::success); });
  while (!rng->inside.load()) std::this_thread::yield();

  // The parent's other threads see a change under way: refused, without waiting.
  CHECK_FALSE(breaker.would_admit(now));
  CHECK_FALSE(breaker.try_acquire(now));
  const int status = in_child([&] {
    rng->armed.store(false);
    for (int i = 0; i < 2; ++i) {
      if (!breaker.would_admit(now)) return 1;
      auto probe = breaker.try_acquire(now);
      if (!probe || !probe.is_probe()) return 2;
      probe.report(now, CallResult::success);
    }
    return breaker.state(now) == BreakerState::closed ? 0 : 3;
  });
  rng->armed.store(false);
  thread.join();
  CHECK(status == 0);
  CHECK(breaker.state(now) == BreakerState::half_open);
}
