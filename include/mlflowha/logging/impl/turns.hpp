#ifndef MLFLOWHA_LOGGING_IMPL_TURNS_HPP
#define MLFLOWHA_LOGGING_IMPL_TURNS_HPP

// Turns: which runs are taken to the servers next. A run that fails waits for a backoff of its own while the others go
// on; only when runs fail one after the other, or with an error that says that nobody is there, is it an outage: then
// all of them wait, and a round of tries is one or two requests. Used by the sender of the loggers and by the replay.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/error.hpp>
#include <mlflowha/core/rng.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// A run of a spool.
struct Turn {
  std::size_t spool = 0;
  std::int64_t run = 0;
  auto operator<=>(const Turn&) const = default;
};

/// Not thread-safe.
class MLFLOWHA_EXPORT Turns {
 public:
  Turns(std::shared_ptr<Clock> clock, std::shared_ptr<Rng> rng) : clock_(std::move(clock)), rng_(std::move(rng)) {}

  /// A round begins. Of all runs with something to deliver those that are due, the ones that failed lately last.
  [[nodiscard]] std::vector<Turn> begin(const std::vector<Turn>& all);
  /// Its step, which began then, couldn't be done now. True: leave the others alone for this round.
  [[nodiscard]] bool failed(const Turn& turn, const Error& error, TimePoint began);
  /// Something of it was delivered.
  void moved(const Turn& turn);
  /// It has nothing more.
  void done(const Turn& turn) { waiting_.erase(turn); }
  /// Who waits for this run has asked: it is due.
  void hurry(const Turn& turn);
  /// There was no round, for a reason of its own: when to try again.
  [[nodiscard]] TimePoint put_off() { return clock_->now() + backoff(++dry_rounds_); }

  /// After a round: when there is something to do again. Nothing: at once, as far as it depends on failures.
  [[nodiscard]] std::optional<TimePoint> next();
  /// After a round: it was ended, though it had delivered something.
  [[nodiscard]] bool cut_short() const noexcept { return over_ && moved_; }
  /// After a round: nobody could be reached, nothing was delivered. Leave all alone until next().
  [[nodiscard]] bool in_outage() const noexcept { return over_ && !moved_; }
  [[nodiscard]] bool any_waits() const noexcept { return !waiting_.empty(); }

 private:
  struct Waiting {
    int failures = 0;
    TimePoint until{};
  };
  [[nodiscard]] Duration backoff(int failures);

  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<Rng> rng_;
  std::map<Turn, Waiting> waiting_;
  // Tries of runs that fail take at most every other second of a sender that others need.
  TimePoint quiet_until_{};
  bool outage_ = false;
  int dry_rounds_ = 0;  // in a row, without any progress
  // of this round
  std::size_t all_ = 0;
  bool kept_quiet_ = false;
  int in_a_row_ = 0;
  bool moved_ = false;
  bool over_ = false;
};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/logging/impl/turns.ipp>
#endif

#endif
