#ifndef MLFLOWHA_CORE_IMPL_FORK_MUTEX_HPP
#define MLFLOWHA_CORE_IMPL_FORK_MUTEX_HPP

// ForkMutex: a mutex that a forked child finds free, and what it guards in order. A plain one that another thread holds
// at the fork stays locked in the child for ever, since that thread doesn't exist there. For what a client's calls
// share. Private.

#include <mlflowha/config.hpp>

#include <mutex>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// As std::mutex. fork() waits until nobody holds one, so: hold it for memory work only, take no lock of any other kind
/// under it (not a second ForkMutex either: fork() locks them all, in no particular order), and don't fork under it.
class MLFLOWHA_EXPORT ForkMutex {
 public:
  ForkMutex() noexcept;
  ForkMutex(const ForkMutex&) = delete;
  ForkMutex& operator=(const ForkMutex&) = delete;
  ~ForkMutex();

  void lock() { mutex_.lock(); }
  [[nodiscard]] bool try_lock() noexcept { return mutex_.try_lock(); }
  void unlock() noexcept { mutex_.unlock(); }

 private:
  friend struct ForkMutexes;
  std::mutex mutex_;
  ForkMutex* next_ = nullptr;  // of all that there are; under a lock of their own
  ForkMutex* previous_ = nullptr;
};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/core/impl/fork_mutex.ipp>
#endif

#endif
