#ifndef MLFLOWHA_LOGGING_IMPL_FORK_IPP
#define MLFLOWHA_LOGGING_IMPL_FORK_IPP

#include <mlflowha/logging/impl/fork.hpp>

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

struct ForkState {
  std::atomic<std::uint64_t> generation{0};
  std::mutex mutex;
  std::vector<int> fds;
};

/// Never destroyed: a handler may run while the process ends.
MLFLOWHA_INLINE ForkState& fork_state() noexcept {
  static ForkState& state = [&]() -> ForkState& {
    auto* made = new ForkState();  // NOLINT(bugprone-unhandled-exception-at-new): nothing works without these bytes
    // Without memory for the handlers children are simply not protected; nothing better can be done here.
    pthread_atfork([] { fork_state().mutex.lock(); }, [] { fork_state().mutex.unlock(); },
                   [] {
                     ForkState& child = fork_state();
                     child.generation.fetch_add(1, std::memory_order_relaxed);
                     for (const int fd : child.fds) ::close(fd);
                     child.fds.clear();
                     child.mutex.unlock();
                   });
    return *made;
  }();
  return state;
}

MLFLOWHA_INLINE std::uint64_t fork_generation() noexcept {
  return fork_state().generation.load(std::memory_order_relaxed);
}
MLFLOWHA_INLINE std::mutex& fork_mutex() noexcept { return fork_state().mutex; }
MLFLOWHA_INLINE void close_in_children(int fd) {
  const std::lock_guard<std::mutex> lock(fork_mutex());
  fork_state().fds.push_back(fd);
}
MLFLOWHA_INLINE void forget_in_children(int fd) noexcept {
  const std::lock_guard<std::mutex> lock(fork_mutex());
  std::vector<int>& fds = fork_state().fds;
  fds.erase(std::remove(fds.begin(), fds.end(), fd), fds.end());
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
