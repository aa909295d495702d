#ifndef MLFLOWHA_TESTING_FAULT_PROXY_HPP
#define MLFLOWHA_TESTING_FAULT_PROXY_HPP

// FaultProxy: stands in front of any HTTP server, a real MLflow above all, and plays a FaultScript. It reads whole
// requests and whole answers, so that it can do what hurts most: let the server apply a request and keep the answer.

#include <mlflowha/core/uri.hpp>
#include <mlflowha/testing/fault_injector.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

namespace detail {
class FaultProxyState;
}

struct FaultProxyOptions {
  std::uint16_t port = 0;  ///< 0 = a free one
  FaultScript faults;
  std::uint64_t seed = 1;  ///< of the faults' shares
};

/// Runs from construction to destruction, on a thread of its own; listens on 127.0.0.1. Thread-safe.
///
/// Without a fault it behaves as if it were not there, as far as a proxy can: when the server refuses or resets, the
/// client's connection is reset; when the client goes away, so does the connection to the server. Each request gets a
/// connection of its own to the server. Bodies are held in memory (up to 4 GiB each).
class MLFLOWHA_EXPORT FaultProxy {
 public:
  /// `upstream`: the server's address, http only; its prefix is put before each target.
  /// \throws Exception when the address can't be used or the port can't be bound.
  explicit FaultProxy(const Uri& upstream, FaultProxyOptions options = {});
  /// Stops and joins.
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] Uri endpoint() const;
  /// "http://127.0.0.1:PORT"
  [[nodiscard]] std::string url() const;

  // As FakeServer's. The server behind is not touched, but what was not forwarded yet will not be.
  void stop();
  void kill();
  void start();
  void pause();
  void resume();

  /// Replaces the faults; their clock starts now.
  void set_faults(FaultScript script);
  [[nodiscard]] std::vector<FaultCount> fault_counts() const;
  [[nodiscard]] std::uint64_t requests() const;
  [[nodiscard]] std::uint64_t connections() const;
  /// Requests that were answered completely by the server behind, whatever the client saw.
  [[nodiscard]] std::uint64_t forwarded() const noexcept;

 private:
  std::unique_ptr<detail::FaultProxyState> state_;
};

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/testing/impl/fault_proxy.ipp>
#endif

#endif
