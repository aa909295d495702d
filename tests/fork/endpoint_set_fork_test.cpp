// fork() while other threads, which the child doesn't have, work on what a client's calls share.

#include <mlflowha/core/impl/fork_mutex.hpp>
#include <mlflowha/resilience/endpoint_set.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace std::chrono_literals;

namespace {

/// Exit status of a child that runs `body`; 99 when it hangs.
template <class Body>
int in_child(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(5);  // a child that hangs is killed by it
    _exit(body());
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 99;
  return WEXITSTATUS(status);
}

std::vector<EndpointSpec> two_endpoints() { return {{{"http", "a", 5000, ""}, 0}, {{"http", "b", 5000, ""}, 0}}; }

}  // namespace

TEST_CASE("a place that a thread of the parent holds is not taken in the child", "[fork][endpoints]") {
  EndpointSetOptions options;
  options.check_identity = false;
  EndpointSet set(two_endpoints(), options, nullptr, nullptr);
  const TimePoint start = TimePoint(1h);
  Outcome lost;
  lost.verdict = Verdict::endpoint_fault;
  set.report(set.acquire(0, start), start, lost);
  const EndpointSet::Lease held = set.next_probe(start + 1s);  // as by a thread in the middle of a probe
  REQUIRE(held);
  CHECK_FALSE(set.next_probe(start + 1min));
  const int status = in_child([&] {
    EndpointSet::Lease lease = set.next_probe(start + 2min);
    if (!lease) return 1;
    if (set.next_probe(start + 1h)) return 2;
    set.report(std::move(lease), start + 2min, Outcome{});
    return set.health(0, start + 2min) == EndpointHealth::recovering ? 0 : 3;
  });
  CHECK(status == 0);
}

TEST_CASE("a lock that a thread of the parent holds is free in the child", "[fork][mutex]") {
  detail::ForkMutex first;
  detail::ForkMutex second;
  std::atomic<bool> inside{false};
  int guarded = 0;
  std::thread other([&] {
    const std::lock_guard<detail::ForkMutex> lock(first);
    guarded = 1;
    inside.store(true);
    std::this_thread::sleep_for(200ms);
    guarded = 2;
  });
  while (!inside.load()) std::this_thread::yield();
  const int status = in_child([&] {
    const std::lock_guard<detail::ForkMutex> lock(first);
    const std::lock_guard<detail::ForkMutex> another(second);
    return guarded;
  });
  other.join();
  CHECK(status == 2);                                    // and what it guards is in order
  const std::lock_guard<detail::ForkMutex> lock(first);  // the parent has it back, too
}

TEST_CASE("locks come and go while a process forks", "[fork][mutex]") {
  detail::ForkMutex staying;
  {
    const detail::ForkMutex gone;
    detail::ForkMutex younger;
    (void)younger.try_lock();
    younger.unlock();
  }
  CHECK(in_child([&] { return staying.try_lock() ? 0 : 1; }) == 0);
}

TEST_CASE("children of a process whose threads work on the endpoints go on", "[fork][endpoints]") {
  EndpointSet set(two_endpoints(), {}, nullptr, nullptr);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop.load()) (void)set.snapshot(TimePoint(1h));
  });
  int good = 0;
  for (int i = 0; i < 30; ++i) {
    good += in_child([&] { return set.snapshot(TimePoint(1h)).size() == 2 ? 0 : 1; }) == 0 ? 1 : 0;
    if (good != i + 1) break;
  }
  stop.store(true);
  busy.join();
  CHECK(good == 30);
}
