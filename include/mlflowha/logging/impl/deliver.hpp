#ifndef MLFLOWHA_LOGGING_IMPL_DELIVER_HPP
#define MLFLOWHA_LOGGING_IMPL_DELIVER_HPP

// Deliverer: takes one run of a spool one step further. The RunLogger's sender and the Replayer both drive it, so live
// logging and replay can't behave differently. A step is one request (or the few that a refusal needs), and what it
// achieved is on the disk when it returns: whoever is killed in between repeats the step, which every server stands.

#include <mlflowha/client/client.hpp>
#include <mlflowha/logging/impl/sent_book.hpp>
#include <mlflowha/logging/spool.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

struct DeliveryStep {
  enum class What : std::uint8_t {
    idle,      ///< nothing to do for this run
    progress,  ///< something was delivered or put aside
    later,     ///< not now: `error` says why; nothing was lost
    held,      ///< not before its parent is on a server; nobody was asked
  };
  What what = What::idle;
  std::uint64_t delivered = 0;  ///< entries that a server has confirmed
  std::uint64_t refused = 0;    ///< entries that were quarantined
  std::optional<Error> error;   ///< of `later` and `held`; with `progress`, what a server said to the refused
};

/// Not thread-safe: one run is delivered by one thread at a time, so that its order is kept and no two attempts of one
/// write overlap.
class MLFLOWHA_EXPORT Deliverer {
 public:
  /// `look_first`: look for a run's request tag before its create even if this spool has never sent it. A copy of a
  /// spool that was delivered elsewhere doesn't know.
  /// `keep_books`: remember what servers confirm, for take_book().
  explicit Deliverer(Client client, bool look_first = false, bool keep_books = false)
      : client_(std::move(client)),
        clock_(client_.config().options().clock ? client_.config().options().clock : system_clock()),
        look_first_(look_first),
        keep_books_(keep_books) {}

  /// `left`: the time that the caller has for it. Without a timeout in `options` a call has the client's default, an
  /// upload as much more as its size asks for, but no more than that.
  [[nodiscard]] DeliveryStep step(Spool& spool, std::int64_t run, const CallOptions& options,
                                  Duration left = Duration::max());
  /// Looks for runs with the request tag of `run` besides it, made by a server that woke up late, and removes them.
  [[nodiscard]] Result<std::uint64_t> remove_twins(const SpoolRun& run, const CallOptions& options);

  /// A book is kept of `run` from now on, if any are. Thread-safe, as the next two.
  void open_book(std::int64_t run);
  /// What was confirmed for `run` since the last time.
  [[nodiscard]] SentBook take_book(std::int64_t run);
  /// Nobody will ask any more; what is confirmed later isn't remembered.
  void close_book(std::int64_t run);

  /// What an answer says about the record that it was for.
  enum class Verdict : std::uint8_t {
    later,     ///< the server's state, not the record
    refused,   ///< would be refused again, anywhere
    doubtful,  ///< reads like a refusal, but a failing database looks the same: believed when it has lasted
    run_gone,  ///< the server has no such run: nothing of it can be delivered
  };
  [[nodiscard]] static Verdict judge(const Error& error);

 private:
  /// A doubtful refusal is believed when it has come so often for the same record, and for so long: the backoff between
  /// two tries makes it longer, but whoever flushes often cuts that short.
  static constexpr int patience = 8;
  static constexpr Duration endurance = std::chrono::seconds(20);
  struct Doubt {
    int times = 0;
    TimePoint since{};
  };

  struct Sent {
    std::vector<QuarantinedRow> refused;
    std::set<std::string> refused_tags;  // keys
    std::optional<Error> refusal;        // what was said to the first of them
    std::optional<Error> stop;           // not now
    bool run_gone = false;
  };

  static Result<void> name_parent(Spool& spool, const SpoolRun& run, std::vector<RunTag>& tags);
  DeliveryStep create_run(Spool& spool, const SpoolRun& run, const CallOptions& options);
  /// `sent_create`: an error is the answer to the create of the experiment.
  Result<std::string> experiment_id(Spool& spool, const SpoolRun& run, const CallOptions& options, bool& sent_create);
  Result<std::vector<Run>> find_by_tag(const std::string& experiment_id, const std::string& tag,
                                       const CallOptions& options);
  DeliveryStep send_row(Spool& spool, const SpoolRun& run, const StoredRow& row, Record& record,
                        const CallOptions& options);
  DeliveryStep send_artifact(Spool& spool, const SpoolRun& run, const StoredRow& row, const RunArtifact& artifact,
                             CallOptions options, Duration left);
  Result<std::string> artifact_root(const SpoolRun& run, const CallOptions& options);
  void send_values(const SpoolRun& run, RunValues values, bool believe, const CallOptions& options, Sent& sent);
  template <class What>
  void note_confirmed(std::int64_t run, const What& what) {
    if (!keep_books_) return;
    const std::lock_guard<std::mutex> lock(books_mutex_);
    const auto book = books_.find(run);
    if (book != books_.end()) book->second.add(what);
  }
  /// One more doubtful refusal of a row: is it believed now?
  [[nodiscard]] bool believe(const Spool& spool, std::int64_t seq);
  [[nodiscard]] bool is_believed(const Doubt& doubt) const;
  /// An answer of another kind: what comes after it isn't "in a row".
  void forget_doubt(const Spool& spool, std::int64_t seq, const Error& error);
  [[nodiscard]] DeliveryStep finish(Spool& spool, const SpoolRun& run, std::int64_t through, std::uint64_t entries,
                                    Sent sent);

  Client client_;
  const std::shared_ptr<Clock> clock_;
  const bool look_first_;
  std::map<std::pair<std::string, std::int64_t>, Doubt> doubts_;  // by spool and row
  std::map<std::string, std::string> roots_;                      // artifact_uri by run
  const bool keep_books_;
  std::mutex books_mutex_;
  std::map<std::int64_t, SentBook> books_;  // the open ones, by run; who keeps books delivers one spool
};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/logging/impl/deliver.ipp>
#include <mlflowha/logging/impl/deliver_artifact.ipp>
#endif

#endif
