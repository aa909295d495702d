#ifndef MLFLOWHA_HTTP_SIGPIPE_GUARD_HPP
#define MLFLOWHA_HTTP_SIGPIPE_GUARD_HPP

// SigpipeGuard: keeps a signal from the host's threads that libcurl may raise while we are inside it. Used by
// CurlTransport around everything that may write to a TLS connection. Not part of the public API.

#include <mlflowha/config.hpp>

#include <csignal>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// Keeps SIGPIPE away from this thread while it lives. Up to 7.86 libcurl lets OpenSSL write to the socket itself, so a
/// peer that hangs up raises the signal, and its default is to end the process. The disposition of the signal belongs
/// to the program; so it is blocked for this thread only, and one that we caused is taken back before unblocking. Does
/// nothing when one is pending already. Guards may be nested.
class MLFLOWHA_EXPORT SigpipeGuard {
 public:
  explicit SigpipeGuard(bool wanted = true) noexcept;
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;
  ~SigpipeGuard();

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool active_ = false;
};

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/http/impl/sigpipe_guard.ipp>
#endif

#endif
