#ifndef MLFLOWHA_LOGGING_RUN_LOGGER_HPP
#define MLFLOWHA_LOGGING_RUN_LOGGER_HPP

// RunLogger: logs one run without ever waiting for a server. What is logged goes into a spool first and from there to
// the servers, in the background; with every server down it stays in the spool, and a Replayer delivers it later.
//
//   auto logger = mlflowha::RunLogger::start(client, {.experiment = "lm", .run_name = "try-7"}).value();
//   logger.log_metric("loss", loss, step).value();     // a fraction of a microsecond, from any thread
//   auto report = logger.close(30s).value();           // report.drained, or report.replay says what to do

#include <mlflowha/client/client.hpp>
#include <mlflowha/logging/spool.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {
class LoggerHandle;
}

/// What a log call does when the memory for what isn't in the spool yet is full. With Durability::each nothing waits in
/// memory, and only `block` makes a difference.
enum class WhenFull : std::uint8_t {
  spill,   ///< it writes the spool itself, which takes about a millisecond; fails only if the spool can't take it
  block,   ///< it waits until there is room, also in a spool that has reached its cap, for as long as that takes; fails
           ///< where the spool fails otherwise, in an observer, and without threads, which make room there
           ///< (`background`)
  reject,  ///< it fails with Errc::storage_full
};

/// Told what happens in the background. Override what you need. Called on the logger's own thread, or where there is
/// none on the one that flushes; never under a lock. It may log; flush() and close() of a logger whose thread it is on
/// would wait for themselves. Must not throw.
class MLFLOWHA_EXPORT LoggerObserver {
 public:
  virtual ~LoggerObserver();
  /// Nothing can be delivered at the moment; what is logged stays in the spool.
  virtual void on_degraded(const Error& why) noexcept;
  /// Delivery works again, after that long.
  virtual void on_recovered(Duration after) noexcept;
  /// A server refused `entries` for good; they are in the spool's quarantine.
  virtual void on_refused(std::uint64_t entries, const Error& why) noexcept;
};

struct RunLoggerOptions {
  std::string experiment{};     ///< name; made when there is none. Empty: experiment_id
  std::string experiment_id{};  ///< empty: the default experiment
  std::string run_name{};       ///< empty: the server makes one up
  std::string user_id{};
  std::vector<RunTag> tags{};
  std::int64_t start_time = now_at_call;  ///< milliseconds since the epoch
  /// The request tag (`mlflowha.request_id`) of a create of this very run that has been sent already, with an unknown
  /// fate: the run is looked for before it is created. Give its start_time, too: by that a late twin is told from a
  /// copy with the same tags. Letters, digits, '-' and '_'. Empty: it was never sent.
  std::string request_tag{};
  std::string run_id{};  ///< a run that exists already, to log into; then nothing above is used

  Durability durability = Durability::interval;
  /// Where spools are kept; one directory may serve many processes. Empty: $MLFLOWHA_SPOOL_DIR, else ./mlflowha-spool
  std::string directory{};
  Duration sync_interval = std::chrono::seconds(1);
  std::uint64_t max_spool_bytes = std::uint64_t{1} << 30;
  Duration max_spool_age = std::chrono::hours(24 * 30);
  std::size_t max_buffer_bytes = std::size_t{64} << 20;  ///< of what is not in the spool yet
  WhenFull when_full = WhenFull::spill;

  /// Copy: a file may be overwritten or deleted as soon as log_artifact() has returned. Link: no second room on the
  /// disk, for files that are written once (a file that is replaced by rename is, one that is overwritten in place
  /// isn't).
  ArtifactKeep keep_artifacts = ArtifactKeep::copy;
  std::uint64_t max_artifact_bytes = std::uint64_t{1} << 30;  ///< of one file; all of them count for max_spool_bytes

  Duration linger = std::chrono::seconds(1);       ///< how long a lonely point waits for company; 1,000 don't wait
  Duration gather = std::chrono::milliseconds(5);  ///< how long it waits in memory; not with Durability::each
  /// Whether close() reads the run back and sends again what a server has confirmed and lost (a database that was
  /// restored or that failed over to a standby that lagged behind). Nothing: with Durability::each.
  std::optional<bool> verify_on_close{};
  /// False: no threads. Nothing is written before commit(), flush() or close(), which then work on the caller's thread.
  bool background = true;
  std::shared_ptr<LoggerObserver> observer{};

  [[nodiscard]] bool verifies() const noexcept { return verify_on_close.value_or(durability == Durability::each); }
};

enum class LoggerState : std::uint8_t {
  online,    ///< delivering, or nothing to deliver
  degraded,  ///< servers or disk don't take anything at the moment
  closed,
};
[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(LoggerState state) noexcept;

struct LoggerStatus {
  LoggerState state = LoggerState::online;
  std::string run_id;         ///< the server's; "" until the run was created there
  std::uint64_t waiting = 0;  ///< entries in the spool, of all runs of this process and directory
  Duration lag{0};            ///< age of the oldest of them
  std::uint64_t delivered = 0;
  std::uint64_t refused = 0;
  std::optional<Error> last_error;  ///< why the last delivery or writing failed; kept after recovery
};

struct FlushReport {
  bool drained = false;       ///< everything of this run that was logged before the call is on a server
  std::uint64_t waiting = 0;  ///< entries of this run that are not
  std::string run_id;         ///< the server's; "" when the run isn't there yet
  std::string refused;        ///< why the server won't have the run at all; "" usually
};

/// What close() found when it read the run back: the latest point of each metric, params, tags, the end, and whether
/// artifacts behind the servers' proxy are there with their sizes.
struct VerifyReport {
  bool done = false;               ///< false: `error` says why
  std::uint64_t checked = 0;       ///< keys, artifacts and the end
  std::uint64_t resent = 0;        ///< what the server had lost of them, sent again
  std::uint64_t different = 0;     ///< what is still not as it was sent
  std::uint64_t foreign = 0;       ///< tags and the end that somebody else has set since; left as they are
  std::uint64_t unchecked = 0;     ///< beyond 16 MiB of keys and values, or artifacts that the server can't list
  std::vector<std::string> notes;  ///< lines that name them, the first ones
  std::optional<Error> error;
};

struct CloseReport {
  bool drained = false;
  std::uint64_t waiting = 0;
  std::uint64_t quarantined = 0;  ///< refused for good, of all runs in this spool; kept there
  std::string run_id;
  std::string refused;
  std::string spool;   ///< the file that is left; "" when nothing is
  std::string replay;  ///< the command that delivers it; "" when nothing is left
  std::optional<Error> last_error;
  std::optional<VerifyReport> verified;  ///< nothing where it isn't wanted, and when the run isn't drained
};

/// Thread-safe; one object a run. Moving it isn't. With Durability::each a log call returns when its entry is fsynced;
/// with interval what was logged is in the file within `gather`, and commit() makes sure. Loggers of one client and
/// directory share a spool file and two threads, unless their observers or options of the spool or the timing differ.
/// Fork: the parent goes on as if nothing had happened. A child that logs gets a spool, threads and an empty queue of
/// its own, and what the parent had queued stays the parent's; until the run has its server id the child's calls fail
/// with Errc::conflict. A child's close() doesn't end the run.
class MLFLOWHA_EXPORT RunLogger {
 public:
  /// Checks the options, opens the spool and starts the threads. No server is asked: works with all of them down.
  [[nodiscard]] static Result<RunLogger> start(Client client, RunLoggerOptions options);

  /// Writes what is queued into the spool and stops the threads; waits for no server and doesn't end the run.
  ~RunLogger();
  RunLogger(RunLogger&& other) noexcept;
  RunLogger& operator=(RunLogger&& other) noexcept;

  /// `timestamp`: milliseconds since the epoch; fixed here and kept through all repetitions.
  Result<void> log_metric(std::string_view key, double value, std::int64_t step = 0,
                          std::int64_t timestamp = now_at_call);
  /// All or none, except that points of a model or dataset (`model_id`, `dataset_name`) are taken one by one, after the
  /// others. Metrics left at now_at_call get one timestamp.
  Result<void> log_metrics(std::vector<Metric> metrics);
  Result<void> log_param(std::string_view key, std::string_view value);
  Result<void> log_params(std::vector<Param> params);
  Result<void> set_tag(std::string_view key, std::string_view value);
  Result<void> set_tags(std::vector<RunTag> tags);
  Result<void> log_input(DatasetInput input);
  /// Takes a file into the spool, fsynced and with its SHA-256, and returns; it is uploaded in its turn, under its own
  /// name in the directory `artifact_path` of the run's artifacts. Reads the whole file on the calling thread, and
  /// unless it is linked writes it. Errc::storage_failed when it can't be read, storage_full when it is larger than
  /// max_artifact_bytes or there is no room; nothing was taken then.
  Result<void> log_artifact(const std::string& local_path, std::string_view artifact_path = {});
  /// The same for all files below a directory, with their paths below it. Links to files are followed, links to
  /// directories aren't. On failure the error names the file and says how many were taken before it.
  Result<void> log_artifacts(const std::string& local_dir, std::string_view artifact_path = {});
  /// Ends the run once all that was logged before has been delivered. close() does it with `finished` if nobody has.
  Result<void> end(RunStatus status = RunStatus::finished, std::int64_t end_time = now_at_call);

  /// Returns when all that was logged before is in the spool, as safe as its durability promises at once.
  Result<void> commit();
  /// commit(), and waits for the servers to confirm, for at most `timeout`. An error only when the spool fails.
  [[nodiscard]] Result<FlushReport> flush(Duration timeout);
  /// Ends the run, flushes, stops. What a server has not confirmed by then is in the spool, fsynced. Later calls fail
  /// with Errc::cancelled. `cancel` ends the reading back of verify_on_close, from any thread: the report says so.
  [[nodiscard]] Result<CloseReport> close(Duration timeout, const CancellationToken& cancel = {});

  [[nodiscard]] LoggerStatus status() const;
  /// The id this program may call the run by before a server has given it one.
  [[nodiscard]] const std::string& local_id() const noexcept;

 private:
  explicit RunLogger(std::unique_ptr<detail::LoggerHandle> handle) noexcept;
  std::unique_ptr<detail::LoggerHandle> handle_;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/logging/impl/run_logger.ipp>
#endif

#endif
