#ifndef MLFLOWHA_LOGGING_IMPL_LOG_HUB_HPP
#define MLFLOWHA_LOGGING_IMPL_LOG_HUB_HPP

// LogHub: what all RunLoggers of a process that share a directory and a client have in common: the spool, the thread
// that writes it and the thread that sends. Two threads, because a call to a server may last as long as its deadline,
// and what is logged meanwhile must not stay in memory that long.

#include <mlflowha/logging/impl/deliver.hpp>
#include <mlflowha/logging/impl/run_buffer.hpp>
#include <mlflowha/logging/impl/turns.hpp>
#include <mlflowha/logging/run_logger.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

[[nodiscard]] MLFLOWHA_EXPORT Error closed_error();

/// Thread-safe. Belongs to the process that made it: see fork.hpp.
class MLFLOWHA_EXPORT LogHub {
 public:
  /// The hub for these options: a running one, or a new one.
  [[nodiscard]] static Result<std::shared_ptr<LogHub>> open(const Client& client, const RunLoggerOptions& options);
  /// Writes what is queued, stops the threads, removes the spool when nothing is left in it.
  ~LogHub();
  LogHub(const LogHub&) = delete;
  LogHub& operator=(const LogHub&) = delete;

  [[nodiscard]] Result<std::shared_ptr<RunBuffer>> add(std::string_view local_id, const RunStart& start,
                                                       std::string_view server_id, bool attempted = false,
                                                       std::size_t max_buffer_bytes = std::size_t{64} << 20);
  /// The last one to go takes the hub down.
  void remove(const std::shared_ptr<RunBuffer>& buffer);
  [[nodiscard]] bool stopped() const;
  /// Is this the thread that delivers?
  [[nodiscard]] bool is_sender() const;

  /// Somebody has put the first entry into an empty buffer.
  void wake();
  /// All that was put before the call is in the spool when it returns. Callers that come at once share one commit.
  Result<void> commit();
  /// Durability::each: `rows` are in the spool and fsynced when it returns, or were not taken at all. Callers that come
  /// at once share a commit.
  Result<void> write_now(const RunBuffer& of, const std::vector<SpoolRow>& rows);
  /// Delivers until `run` has nothing left or the deadline has passed.
  [[nodiscard]] Result<FlushReport> flush(std::int64_t run, Deadline deadline);
  /// Reads the run back, compares it with what was confirmed, and sends again what it lacks. For a run that is drained
  /// and takes nothing more.
  [[nodiscard]] VerifyReport verify(std::int64_t run, const std::string& run_id, Deadline deadline,
                                    const CancellationToken& cancel = {});
  /// Ends a call that is under way, and all to come.
  void cancel() noexcept { stop_source_.request_stop(); }
  void fill(LoggerStatus& status) const;

  [[nodiscard]] Spool& spool() noexcept { return *spool_; }
  const std::shared_ptr<Clock> clock;
  const std::shared_ptr<Rng> rng;
  const std::uint64_t generation;  ///< of forks

 private:
  LogHub(const Client& client, const RunLoggerOptions& options);
  Result<void> start_threads();
  void stop();
  void write_loop();
  void send_loop();
  struct Delivered {
    bool moved = false;             ///< something was delivered
    bool again = false;             ///< there is more, for at once
    bool more = false;              ///< there is more, which may wait for its linger
    std::optional<TimePoint> next;  ///< there is something that failed: when to try again
    bool outage = false;            ///< until then nothing is tried
  };
  /// Delivers what is there now, a step a run in turn.
  [[nodiscard]] Delivered deliver(Deadline deadline);
  void note(const DeliveryStep& step);
  /// Nothing waits for a failure to pass any more. How long something had, if it is just over.
  [[nodiscard]] std::optional<Duration> heal();
  /// Drained: no row up to `mark` is left.
  [[nodiscard]] Result<FlushReport> report(std::int64_t run, std::int64_t mark);
  Result<void> check_artifacts(const SentBook& book, const Run& run, Deadline deadline, const CancellationToken& cancel,
                               VerifyReport& report);
  [[nodiscard]] CallOptions call_within(Deadline deadline, const CancellationToken& cancel) const;
  struct Writing {
    const RunBuffer& of;
    const std::vector<SpoolRow>& rows;
    bool done = false;
    std::optional<Error> error{};
  };
  void write_group(Writing** group, std::size_t size);
  Result<void> write_unwritten();
  Result<void> append(const std::vector<SpoolRow>& rows);
  Result<void> sync_if_due(bool now);

  const RunLoggerOptions options_;
  Client client_;
  Deliverer deliverer_;
  std::unique_ptr<Spool> spool_;
  CancellationSource stop_source_;

  std::atomic<std::uint64_t> requested_{0};  // tickets of commit()
  std::mutex write_mutex_;                   // guards what follows: who has it writes
  std::uint64_t committed_ = 0;
  std::vector<SpoolRow> unwritten_;  // collected, but the spool couldn't take them
  bool unsynced_ = false;
  TimePoint synced_at_;

  std::mutex waiting_mutex_;
  std::vector<Writing*> waiting_;  // in write_now(), nobody's turn yet

  std::mutex deliver_mutex_;  // who has it sends; guards what follows
  Turns turns_;

  mutable std::mutex mutex_;         // guards what follows
  std::condition_variable dirtied_;  // for the writer
  std::condition_variable changed_;  // for the sender and those who flush
  std::vector<std::shared_ptr<RunBuffer>> buffers_;
  bool dirty_ = false;                 // something to write
  bool sendable_ = false;              // something to send
  bool urgent_ = false;                // and at once
  std::vector<std::int64_t> hurried_;  // runs that somebody has begun to wait for
  bool stopping_ = false;              // nobody may join any more
  bool down_ = false;                  // stop() has begun
  std::uint64_t fresh_ = 0;            // entries written since the last delivery began
  std::uint64_t rounds_ = 0;           // of delivery, finished
  std::optional<TimePoint> degraded_since_;
  std::uint64_t delivered_ = 0;
  std::uint64_t refused_ = 0;
  std::optional<Error> last_error_;
  std::thread writer_;
  std::thread sender_;
};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/logging/impl/log_hub.ipp>
#include <mlflowha/logging/impl/verify.ipp>
#endif

#endif
