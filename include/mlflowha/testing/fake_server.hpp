#ifndef MLFLOWHA_TESTING_FAKE_SERVER_HPP
#define MLFLOWHA_TESTING_FAKE_SERVER_HPP

// FakeServer: a FakeBackend on a port of this machine, over real HTTP/1.1. For tests of whatever talks to MLflow
// through a socket. It can be stopped and started on the same port, killed, paused as by SIGSTOP, and it plays a
// FaultScript. Several servers with one backend are a cluster on one database.

#include <mlflowha/core/uri.hpp>
#include <mlflowha/testing/fake_backend.hpp>
#include <mlflowha/testing/fault_injector.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

namespace detail {
class FakeServerState;
}

struct FakeServerOptions {
  std::uint16_t port = 0;  ///< 0 = a free one
  FaultScript faults;
  std::uint64_t seed = 1;  ///< of the faults' shares
  /// The server that is imitated. Without it the backend's; servers of different versions may share a backend.
  std::optional<ServerVersion> version;
  Duration latency{0};  ///< before each answer
  /// Whether connections are kept for further requests. Without it as the imitated server does: 3.x keeps them, 2.22
  /// (gunicorn's sync workers) doesn't.
  std::optional<bool> keep_alive;
  /// Whether a request is applied that is read only after its client has gone (because the server was paused). Without
  /// it as the imitated server does: 2.22 applies it, 3.x drops it.
  std::optional<bool> apply_abandoned;
  // What a request must bring along; /health needs nothing.
  std::string username;  ///< with password: HTTP basic authentication
  std::string password;
  std::string bearer;  ///< a token
};

/// Runs from construction to destruction, on a thread of its own. Thread-safe.
class MLFLOWHA_EXPORT FakeServer {
 public:
  /// \throws Exception when the port can't be bound, or a username stands without a password (or the reverse) or beside
  /// a token.
  explicit FakeServer(std::shared_ptr<FakeBackend> backend = std::make_shared<FakeBackend>(),
                      const FakeServerOptions& options = {});
  /// Stops and joins.
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  /// The same through stop and start.
  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] Uri endpoint() const;
  /// "http://127.0.0.1:PORT"
  [[nodiscard]] std::string url() const;
  [[nodiscard]] const std::shared_ptr<FakeBackend>& backend() const noexcept;

  /// Closes the port (connections are refused) and every connection. Requests that were not answered get no answer.
  void stop();
  /// As stop, but connections are reset, as those of a killed process whose buffers were not empty.
  void kill();
  /// Opens the port again; nothing when it is open.
  void start();
  /// Connections are taken and nothing is ever answered, as by a process that got SIGSTOP.
  void pause();
  /// Goes on with what has arrived in the meantime.
  void resume();
  [[nodiscard]] bool running() const;

  /// Answers as that version from now on, as after an upgrade. (Connections are kept or not as from the beginning.)
  void set_version(ServerVersion version);
  /// Replaces the faults; their clock starts now.
  void set_faults(FaultScript script);
  [[nodiscard]] std::vector<FaultCount> fault_counts() const;
  /// Requests read and connections accepted since construction.
  [[nodiscard]] std::uint64_t requests() const;
  [[nodiscard]] std::uint64_t connections() const;

 private:
  std::unique_ptr<detail::FakeServerState> state_;
};

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/testing/impl/fake_server.ipp>
#endif

#endif
