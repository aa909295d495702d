#ifndef MLFLOWHA_CORE_IMPL_FORK_MUTEX_IPP
#define MLFLOWHA_CORE_IMPL_FORK_MUTEX_IPP

#include <mlflowha/core/impl/fork_mutex.hpp>

#include <pthread.h>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// All ForkMutexes of the process.
struct ForkMutexes {
  std::mutex mutex;
  ForkMutex* first = nullptr;

  void lock_all() noexcept {
    mutex.lock();
    for (ForkMutex* one = first; one != nullptr; one = one->next_) one->mutex_.lock();
  }
  void unlock_all() noexcept {
    for (ForkMutex* one = first; one != nullptr; one = one->next_) one->mutex_.unlock();
    mutex.unlock();
  }
  void add(ForkMutex& one) noexcept {
    const std::lock_guard<std::mutex> lock(mutex);
    one.next_ = first;
    if (first != nullptr) first->previous_ = &one;
    first = &one;
  }
  void remove(ForkMutex& one) noexcept {
    const std::lock_guard<std::mutex> lock(mutex);
    (one.previous_ != nullptr ? one.previous_->next_ : first) = one.next_;
    if (one.next_ != nullptr) one.next_->previous_ = one.previous_;
  }
};

/// Never destroyed: a handler may run while the process ends.
MLFLOWHA_INLINE ForkMutexes& fork_mutexes() noexcept {
  static ForkMutexes& all = []() -> ForkMutexes& {
    auto* made = new ForkMutexes();  // NOLINT(bugprone-unhandled-exception-at-new): nothing works without these bytes
    // Without memory for the handlers children are simply not protected; nothing better can be done here.
    pthread_atfork([] { fork_mutexes().lock_all(); }, [] { fork_mutexes().unlock_all(); },
                   [] { fork_mutexes().unlock_all(); });
    return *made;
  }();
  return all;
}

MLFLOWHA_INLINE ForkMutex::ForkMutex() noexcept { fork_mutexes().add(*this); }
MLFLOWHA_INLINE ForkMutex::~ForkMutex() { fork_mutexes().remove(*this); }

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
