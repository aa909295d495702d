#ifndef MLFLOWHA_TESTING_FAKE_BACKEND_HPP
#define MLFLOWHA_TESTING_FAKE_BACKEND_HPP

// FakeBackend: an MLflow tracking server in memory, without a socket. It answers requests as the real servers do:
// experiments, runs, metrics, params and tags, the model registry, logged models, traces with assessments, issues,
// evaluation datasets, scorers, webhooks and artifacts with MLflow's limits, error codes and messages, its primary key
// for metrics, its order of applying a batch. docs/fake-server.md lists the operations that it has; the others are 501
// NOT_IMPLEMENTED. FakeTransport calls it directly, FakeServer puts it on a port; several of them on one backend are a
// cluster. Tests look into its store to count what really arrived.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/http/message.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

namespace detail {
class BackendState;
}

/// The server whose answers are imitated. They differ in details that a client meets: 2.22 has no server-info, doesn't
/// page metric histories, leaves out `outputs` and `workspace`, and reports errors with fewer fields.
enum class ServerVersion : std::uint8_t {
  v2,  ///< 2.22.5
  v3,  ///< 3.17.2
};

/// What the database behind the servers does. Health and version answer as usual in each state, as in MLflow.
enum class DatabaseState : std::uint8_t {
  up,
  down,       ///< every API call is answered with 503 TEMPORARILY_UNAVAILABLE
  read_only,  ///< a standby after a wrong failover: writes are answered with 400 BAD_REQUEST and a driver's message
};

struct BackendOptions {
  ServerVersion version = ServerVersion::v3;
  std::uint64_t seed = 1;  ///< of run ids and run names
  /// When the database was set up: the creation time of experiment 0. Without it, a time that differs from seed to
  /// seed: backends with different seeds are different databases.
  std::optional<WallTime> created;
};

struct StoredPoint {
  std::int64_t timestamp = 0;
  std::int64_t step = 0;
  double value = 0;  ///< 0 where is_nan; infinities are stored as the largest double, as MLflow does
  bool is_nan = false;
  friend bool operator==(const StoredPoint&, const StoredPoint&) = default;
};

struct StoredRun {
  std::string run_id;
  std::string experiment_id;
  std::string name;
  std::string user_id;
  std::string status;           ///< RUNNING, SCHEDULED, FINISHED, FAILED or KILLED
  std::string lifecycle_stage;  ///< active or deleted
  std::string artifact_uri;
  std::int64_t start_time = 0;
  std::optional<std::int64_t> end_time;
  std::map<std::string, std::string> tags;
  std::map<std::string, std::string> params;
  std::map<std::string, std::vector<StoredPoint>> metrics;  ///< all points, ordered by timestamp, step, value
};

struct StoredExperiment {
  std::string experiment_id;
  std::string name;
  std::string artifact_location;
  std::string lifecycle_stage;
  std::int64_t creation_time = 0;
  std::int64_t last_update_time = 0;
  std::map<std::string, std::string> tags;
};

struct BackendCounts {
  std::uint64_t requests = 0;                    ///< handled, refused ones included
  std::uint64_t experiments = 0;                 ///< deleted ones included
  std::uint64_t runs = 0;                        ///< deleted ones included
  std::uint64_t model_versions = 0;              ///< made, deleted ones included
  std::uint64_t logged_models = 0;               ///< made, deleted ones included
  std::uint64_t points = 0;                      ///< stored metric points
  std::uint64_t repeated_points = 0;             ///< points that arrived although an identical one was stored already
  std::map<std::string, std::uint64_t> by_path;  ///< requests by path without the query
};

/// Thread-safe.
class MLFLOWHA_EXPORT FakeBackend {
 public:
  explicit FakeBackend(BackendOptions options = {});
  ~FakeBackend();
  FakeBackend(const FakeBackend&) = delete;
  FakeBackend& operator=(const FakeBackend&) = delete;

  /// Answers one request as it arrives at a server; `now` is what the server's clock shows.
  [[nodiscard]] Response handle(const Request& request, WallTime now);
  /// As a server of that release on the same database: a cluster in the middle of an upgrade.
  [[nodiscard]] Response handle(const Request& request, WallTime now, ServerVersion version);

  void set_database(DatabaseState state);
  [[nodiscard]] ServerVersion version() const noexcept { return options_.version; }

  [[nodiscard]] BackendCounts counts() const;
  /// In the order in which they were created.
  [[nodiscard]] std::vector<StoredRun> runs() const;
  [[nodiscard]] std::optional<StoredRun> run(std::string_view run_id) const;
  [[nodiscard]] std::vector<StoredExperiment> experiments() const;
  /// Points of one metric, ordered by timestamp, step, value; empty when there are none.
  [[nodiscard]] std::vector<StoredPoint> points(std::string_view run_id, std::string_view key) const;
  /// Groups of active runs that share a value of this tag, two or more each: with a client's idempotency key, what was
  /// created twice.
  [[nodiscard]] std::vector<std::vector<std::string>> runs_sharing_tag(std::string_view key) const;

 private:
  const BackendOptions options_;
  std::unique_ptr<detail::BackendState> state_;
};

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/testing/impl/fake_backend.ipp>
#endif

#endif
