#ifndef MLFLOWHA_LOGGING_REPLAYER_HPP
#define MLFLOWHA_LOGGING_REPLAYER_HPP

// Replayer: delivers what dead processes left in a directory of spools. May be interrupted and repeated at will: what a
// server has confirmed is gone from the spool, and what may have been applied is found or repeated harmlessly. The
// command `mlflowha replay DIR` is this class with a screen.

#include <mlflowha/client/client.hpp>
#include <mlflowha/logging/spool.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

struct ReplayProgress {
  std::uint64_t delivered = 0;  ///< entries, so far
  std::uint64_t total = 0;      ///< entries that were there, in the spools that were opened so far
  double per_second = 0;
  std::optional<Duration> eta;  ///< at the rate so far; nothing before there is one
};

/// Override what you need. Called on the thread that runs the replay. Must not throw.
class MLFLOWHA_EXPORT ReplayObserver {
 public:
  virtual ~ReplayObserver();
  /// After every request, so some ten times a second.
  virtual void on_progress(const ReplayProgress& progress) noexcept;
  /// Servers take nothing at the moment; the replay tries again after `pause`.
  virtual void on_waiting(const Error& why, Duration pause) noexcept;
};

struct ReplayOptions {
  std::string directory;
  bool dry_run =
      false;  ///< only say what is there; changes no file, holds each spool's lock for a moment, asks no server
  /// Ends after that long without a single delivery. Nothing that waits is touched by giving up.
  Duration patience = std::chrono::minutes(2);
  Duration timeout = Duration::max();  ///< of all of it
  CancellationToken cancel{};
  std::shared_ptr<ReplayObserver> observer{};
};

/// A record that is kept because a server refused it for good, or because it can't be sent.
struct RefusedRecord {
  std::string run;     ///< its id on the server, or the local one where it has none
  std::string record;  ///< in words, e.g. `metric "loss", step 5`
  std::string reason;
};

/// One spool file after a replay.
struct ReplayedSpool {
  enum class State : std::uint8_t {
    delivered,  ///< all of it; the file is gone
    partial,    ///< something is left: waiting, quarantined or of a refused run
    in_use,     ///< its owner lives and delivers it itself
    damaged,    ///< see `error`
    untouched,  ///< a dry run
  };
  std::string path;
  State state = State::untouched;
  std::uint64_t runs = 0;
  std::uint64_t delivered = 0;            ///< entries, by this replay
  std::uint64_t waiting = 0;              ///< entries that are left
  std::uint64_t artifacts = 0;            ///< files among them
  std::uint64_t artifact_bytes = 0;       ///< of these
  std::uint64_t quarantined = 0;          ///< rows that a server refused, now or before
  std::vector<RefusedRecord> refused;     ///< the first 100 of them
  std::uint64_t twins = 0;                ///< runs that a late server had made a second time, removed
  std::vector<std::string> refused_runs;  ///< local id and reason
  std::optional<Error> error;
};
[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(ReplayedSpool::State state) noexcept;

struct ReplayReport {
  std::vector<ReplayedSpool> spools;
  std::uint64_t delivered = 0;
  std::uint64_t waiting = 0;
  /// Why it stopped before everything was delivered, as far as that was the servers' doing.
  std::optional<Error> unreachable;
  /// Nothing is left that this replay could have had: spools in use are their owners' business.
  [[nodiscard]] bool complete() const noexcept {
    for (const ReplayedSpool& spool : spools) {
      if (spool.state != ReplayedSpool::State::delivered && spool.state != ReplayedSpool::State::in_use) return false;
    }
    return true;
  }
};
/// The report as JSON, for scripts.
[[nodiscard]] MLFLOWHA_EXPORT std::string to_json(const ReplayReport& report);

/// Delivers all spools of the directory that nobody uses, a step a run in turn, one request at a time: recovering
/// servers are not overrun. An error only when the directory can't be read.
[[nodiscard]] MLFLOWHA_EXPORT Result<ReplayReport> replay(const Client& client, const ReplayOptions& options);

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/logging/impl/replayer.ipp>
#endif

#endif
