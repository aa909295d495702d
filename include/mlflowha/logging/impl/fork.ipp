#ifndef MLFLOWHA_LOGGING_IMPL_FORK_IPP
#define MLFLOWHA_LOGGING_IMPL_FORK_IPP

#include <mlflowha/logging/impl/fork.hpp>

#include <pthread.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// SQLite's own locks. A fork() while another thread holds one leaves it locked in the child for ever; a child that
/// then opens a spool of its own would wait for it. In the order in which SQLite nests them.
inline constexpr std::array<int, 9> sqlite_locks{
    SQLITE_MUTEX_STATIC_MASTER, SQLITE_MUTEX_STATIC_OPEN, SQLITE_MUTEX_STATIC_VFS1,
    SQLITE_MUTEX_STATIC_VFS2,   SQLITE_MUTEX_STATIC_VFS3, SQLITE_MUTEX_STATIC_LRU,
    SQLITE_MUTEX_STATIC_PMEM,   SQLITE_MUTEX_STATIC_PRNG, SQLITE_MUTEX_STATIC_MEM};

struct ForkState {
  std::atomic<std::uint64_t> generation{0};
  std::mutex mutex;
  std::vector<int> fds;
  std::array<sqlite3_mutex*, sqlite_locks.size()>
      locks{};  // static ones: never freed; null where SQLite has no threads

  void before() noexcept {
    mutex.lock();
    for (sqlite3_mutex* lock : locks) sqlite3_mutex_enter(lock);
  }
  void after() noexcept {
    for (std::size_t i = locks.size(); i-- > 0;) sqlite3_mutex_leave(locks[i]);
    mutex.unlock();
  }
};

/// Never destroyed: a handler may run while the process ends.
MLFLOWHA_INLINE ForkState& fork_state() noexcept {
  static ForkState& state = [&]() -> ForkState& {
    auto* made = new ForkState();  // NOLINT(bugprone-unhandled-exception-at-new): nothing works without these bytes
    // Without memory for the handlers children are simply not protected; nothing better can be done here.
    for (std::size_t i = 0; i < sqlite_locks.size(); ++i) made->locks[i] = sqlite3_mutex_alloc(sqlite_locks[i]);
    pthread_atfork([] { fork_state().before(); }, [] { fork_state().after(); },
                   [] {
                     ForkState& child = fork_state();
                     child.generation.fetch_add(1, std::memory_order_relaxed);
                     for (const int fd : child.fds) ::close(fd);
                     child.fds.clear();
                     child.after();
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
