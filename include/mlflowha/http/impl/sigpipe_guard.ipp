#ifndef MLFLOWHA_HTTP_IMPL_SIGPIPE_GUARD_IPP
#define MLFLOWHA_HTTP_IMPL_SIGPIPE_GUARD_IPP

#include <mlflowha/http/sigpipe_guard.hpp>

#include <pthread.h>

#include <ctime>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

MLFLOWHA_INLINE SigpipeGuard::SigpipeGuard(bool wanted) noexcept {
  if (!wanted) return;
  sigset_t pending;
  if (sigpending(&pending) != 0 || sigismember(&pending, SIGPIPE) != 0) return;  // not ours to take back
  sigemptyset(&pipe_);
  sigaddset(&pipe_, SIGPIPE);
  active_ = pthread_sigmask(SIG_BLOCK, &pipe_, &before_) == 0;
}

MLFLOWHA_INLINE SigpipeGuard::~SigpipeGuard() {
  if (!active_) return;
  sigset_t pending;
  if (sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1) {
    const timespec at_once{};
    (void)sigtimedwait(&pipe_, nullptr, &at_once);
  }
  (void)pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
