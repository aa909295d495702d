#ifndef MLFLOWHA_LOGGING_SPOOL_HPP
#define MLFLOWHA_LOGGING_SPOOL_HPP

// Spool: the durable queue between a RunLogger and the servers, a SQLite file (WAL) of one process in a directory. Rows
// are encoded records (record.hpp), in order; a row goes only after a server has confirmed it. A process that dies
// leaves its file behind, and whoever gets the file's lock may deliver it. Users meet it through RunLogger and
// Replayer.
//
// In DIR: <id>.spool (SQLite, 0600), <id>.spool-wal (its log: what was written last is only there as long as the owner
// lives, and after it was killed), <id>.lock (flock, held as long as the owner lives), <id>.files/ (artifacts).

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/result.hpp>
#include <mlflowha/core/rng.hpp>
#include <mlflowha/logging/record.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {
class Database;
class Statement;
struct SpoolStatements;
}  // namespace detail

/// When what was logged is on the disk.
enum class Durability : std::uint8_t {
  none,      ///< never: the spool is in memory and ends with the process
  interval,  ///< written at once, fsynced once a SpoolOptions::sync_interval: a crash of the process loses nothing that
             ///< was written, a crash of the machine at most that time
  each,      ///< every commit is fsynced before it is acknowledged
};

/// How an artifact gets into the spool.
enum class ArtifactKeep : std::uint8_t {
  copy,  ///< its bytes as they are at the call: whatever happens to the file afterwards is no matter
  link,  ///< a hard link where that can be made, else a copy: no second room on the disk, but a file that is
         ///< overwritten in place afterwards doesn't match its checksum any more and is put into the quarantine
};

struct SpoolOptions {
  std::string directory;  ///< made (0700) if it isn't there; not used with Durability::none
  Durability durability = Durability::interval;
  Duration sync_interval = std::chrono::seconds(1);
  std::uint64_t max_bytes = std::uint64_t{1} << 30;  ///< of records and artifacts; more is refused
  Duration max_age = std::chrono::hours(24 * 30);  ///< of the oldest undelivered record; beyond it new ones are refused
};

/// A row to append.
struct SpoolRow {
  std::int64_t run = 0;
  RecordKind kind = RecordKind::values;
  std::uint32_t entries = 1;  ///< metrics, params and tags in it; 1 for others
  std::string data;           ///< as encode() writes it
};

/// A row as it lies there.
struct StoredRow {
  std::int64_t seq = 0;  ///< ascending in the order of appending
  RecordKind kind = RecordKind::values;
  std::uint32_t entries = 0;
  WallTime created{};
  std::string data;
};

/// A run that the spool knows. Rows refer to it by `id`; `local_id` is what the program calls it until the server has
/// given it an id of its own.
struct SpoolRun {
  std::int64_t id = 0;
  std::string local_id;
  std::string server_id;   ///< "" until the create was confirmed
  bool attempted = false;  ///< the create may have reached a server: look for the request tag before sending it again
  std::string refused;     ///< why the server won't have this run; its rows stay until somebody decides
  RunStart start;
};

/// An experiment that runs of the spool name.
struct SpoolExperiment {
  std::string server_id;  ///< "" until it was found or created
  std::string request_tag;
  bool attempted = false;
};

/// A record that a server refused for good, or that can't be read.
struct QuarantinedRow {
  std::int64_t run = 0;
  RecordKind kind = RecordKind::values;
  std::uint32_t entries = 0;
  std::string data;
  std::string reason;
};

struct SpoolStats {
  std::uint64_t rows = 0;
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;      ///< of rows and artifacts, without SQLite's own
  std::uint64_t artifacts = 0;  ///< among the rows
  std::uint64_t artifact_bytes = 0;
  std::uint64_t quarantined = 0;
  std::uint64_t refused_runs = 0;
  std::optional<WallTime> oldest;
  Duration age{0};  ///< of the oldest; no more than this process has seen it wait, whatever the calendar says
};

/// What waits for one run.
struct PendingRows {
  std::uint64_t rows = 0;
  std::uint64_t entries = 0;
};

/// A spool file found in a directory.
struct SpoolFile {
  std::string path;
  bool in_use = false;  ///< its owner lives
};

/// Thread-safe. After fork() the child must not use the parent's (RunLogger takes care of that).
class MLFLOWHA_EXPORT Spool {
 public:
  /// A new one, locked until it is destroyed.
  [[nodiscard]] static Result<std::unique_ptr<Spool>> create(const SpoolOptions& options, std::shared_ptr<Clock> clock,
                                                             Rng& rng);
  /// Takes over the file at `path`. Errc::conflict when its owner lives or another has taken it, Errc::not_found when
  /// it is gone, Errc::storage_corrupt when it is damaged: then it has been renamed to `path`.corrupt, which is said.
  /// Waits for others' looks, for 10 s at most: Errc::out_of_resources.
  [[nodiscard]] static Result<std::unique_ptr<Spool>> adopt(const std::string& path, const SpoolOptions& options,
                                                            std::shared_ptr<Clock> clock);
  /// For a look: the file stays as it is, with all that is beside it. Errors as of adopt(), without the renaming;
  /// Errc::not_found also for a file that its process died over before anything was in it.
  [[nodiscard]] static Result<std::unique_ptr<Spool>> look(const std::string& path, const SpoolOptions& options,
                                                           std::shared_ptr<Clock> clock);
  /// Removes lock files with no spool beside them: a process that was killed while it removed its spool leaves one.
  static void remove_bare_locks(const std::string& directory);
  /// The spool files in a directory, by name. An empty list when there is no such directory.
  [[nodiscard]] static Result<std::vector<SpoolFile>> list(const std::string& directory);

  ~Spool();
  /// Closes the file and gives up its lock; deletes nothing. Whatever is asked afterwards fails with Errc::cancelled.
  void close() noexcept;
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  /// ":memory:" with Durability::none.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Where artifacts are kept (0700); made on first use.
  [[nodiscard]] std::string files_directory() const;

  // --- what goes in

  /// A new run; `server_id` when it exists already, `attempted` when its create may have reached a server.
  [[nodiscard]] Result<std::int64_t> add_run(std::string_view local_id, const RunStart& start,
                                             std::string_view server_id = {}, bool attempted = false);
  /// Takes the file `local_path` in; it is on the disk, with a checksum, when this returns. What it gives goes into a
  /// row; room is held for it until then. Errc::storage_full for a file over `max_bytes` and where the disk or the
  /// spool's cap is full. Takes as long as reading the file (and writing it, for a copy).
  [[nodiscard]] Result<RunArtifact> take_artifact(const std::string& local_path, std::string_view path,
                                                  ArtifactKeep keep, std::uint64_t max_bytes);
  /// Removes what take_artifact() gave and no row will ever have.
  void drop_artifact(const RunArtifact& artifact);
  /// Where the bytes of an artifact lie; Errc::storage_corrupt when its record names no file of this spool.
  [[nodiscard]] Result<std::string> artifact_file(const RunArtifact& artifact) const;
  /// Appends all rows or none, in one commit. Errc::storage_full when the disk or a cap is full.
  Result<void> append(const std::vector<SpoolRow>& rows);
  Result<void> append(const SpoolRow* first, std::size_t size);
  /// Makes sure that all that was appended survives a crash of the machine.
  Result<void> sync();

  // --- what goes out

  [[nodiscard]] Result<std::vector<SpoolRun>> runs() const;
  [[nodiscard]] Result<SpoolRun> run(std::int64_t id) const;
  [[nodiscard]] Result<std::optional<SpoolRun>> find_run(std::string_view local_id) const;
  /// Those with something to deliver: no server's id yet, or rows; without the refused ones. Costs as much as there are
  /// of them, not of runs.
  [[nodiscard]] Result<std::vector<std::int64_t>> active_runs() const;
  /// The oldest `most` rows of a run, in order.
  [[nodiscard]] Result<std::vector<StoredRow>> head(std::int64_t run, std::size_t most) const;
  [[nodiscard]] Result<bool> has_rows(std::int64_t run) const;
  [[nodiscard]] Result<PendingRows> pending(std::int64_t run) const;
  /// The newest row of a run that waits; 0 when none does.
  [[nodiscard]] Result<std::int64_t> last_row(std::int64_t run) const;
  /// A server has confirmed the rows of `run` up to `through`, except for what is in `refused`, which is kept apart.
  Result<void> settle(std::int64_t run, std::int64_t through, const std::vector<QuarantinedRow>& refused = {});
  Result<void> mark_run_attempted(std::int64_t id);
  Result<void> set_run_server_id(std::int64_t id, std::string_view server_id);
  Result<void> refuse_run(std::int64_t id, std::string_view reason);
  /// The experiment of that name as this spool knows it; the first call fixes its request tag.
  [[nodiscard]] Result<SpoolExperiment> experiment(std::string_view name, std::string_view request_tag);
  Result<void> mark_experiment_attempted(std::string_view name);
  Result<void> set_experiment_server_id(std::string_view name, std::string_view server_id);
  /// The first `most` of them.
  [[nodiscard]] Result<std::vector<QuarantinedRow>> quarantine(std::uint32_t most = UINT32_MAX) const;
  [[nodiscard]] SpoolStats stats() const;

  /// Deletes the file when nothing is left in it that matters: no rows, no quarantine, no run that isn't on a server.
  /// True when it did; the spool is closed then.
  [[nodiscard]] Result<bool> remove_if_drained();

 private:
  Spool(SpoolOptions options, std::shared_ptr<Clock> clock);
  Result<void> make_file();
  Result<void> open_database(bool existing);
  Result<void> load_stats();
  Result<void> check_room(std::uint64_t bytes, std::uint64_t besides = 0) const;
  [[nodiscard]] Duration age() const;
  Result<void> sync_log();
  Result<std::string> make_files_directory();
  Result<void> remove_orphans();
  void remove_artifacts(const std::vector<std::string>& files);
  [[nodiscard]] static Result<bool> read_run(detail::Statement& select, SpoolRun& run);

  const SpoolOptions options_;
  const std::shared_ptr<Clock> clock_;
  std::string path_;
  int lock_ = -1;
  bool looking_ = false;
  bool log_is_ours_ = false;  // of a look: SQLite has made a log where there was none
  mutable std::mutex mutex_;  // guards what follows
  std::unique_ptr<detail::Database> database_;
  std::unique_ptr<detail::SpoolStatements> statements_;
  SpoolStats stats_;
  std::optional<TimePoint> waiting_since_;  // the first record after there was none; unset: it was there before
  std::set<std::int64_t> unborn_;           // runs without a server's id
  std::set<std::int64_t> refused_;          // runs that no server takes
  std::uint64_t held_ = 0;                  // bytes of artifacts that were taken and are in no row yet
  std::uint64_t kept_ = 0;                  // bytes of artifacts in the quarantine
  std::uint64_t next_file_ = 1;             // names of artifacts
  std::string memory_files_{};              // of Durability::none: a temporary directory, once there is an artifact
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/logging/impl/spool.ipp>
#include <mlflowha/logging/impl/spool_artifacts.ipp>
#include <mlflowha/logging/impl/spool_file.ipp>
#endif

#endif
