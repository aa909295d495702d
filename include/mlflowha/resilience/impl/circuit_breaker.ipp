#ifndef MLFLOWHA_RESILIENCE_IMPL_CIRCUIT_BREAKER_IPP
#define MLFLOWHA_RESILIENCE_IMPL_CIRCUIT_BREAKER_IPP

// How the breaker works without a lock. One word, `control`, says everything that calls need to know: the generation,
// the phase, an operator's order and, while somebody changes them, the owner of that change.
//
//   * Whoever wants a change claims the word (one compare-and-swap from the exact word that the decision was based on),
//     writes the other fields and publishes the next generation. Of many threads with the same wish one wins; the
//     others have nothing left to wish, because their generation is over. Nobody waits, but for operators' orders.
//   * Every change starts a generation, each probe included. A result counts only while its generation is current and
//     not being left; counters carry the generation too, so a result that is overtaken half-way is not counted either.
//   * The owner is a process id. A fork() in the middle of another thread's change leaves the child a claim by a
//     process that isn't there; the child ignores it.

#include <mlflowha/resilience/circuit_breaker.hpp>
#include <mlflowha/resilience/impl/breaker_streak.ipp>
#include <mlflowha/resilience/impl/breaker_window.ipp>

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// t + d for d >= 0, saturating at the end of time.
MLFLOWHA_INLINE TimePoint time_after(TimePoint t, Duration d) noexcept {
  return t > TimePoint::max() - d ? TimePoint::max() : t + d;
}

}  // namespace detail

struct CircuitBreaker::State {
  enum class Phase : std::uint8_t {
    closed,
    open,
    idle,     ///< half-open, no probe out
    probing,  ///< half-open, one probe out
  };
  struct Grant {
    bool granted = false;
    bool probe = false;
    std::uint64_t generation = 0;
  };

  /// The control word: generation (38 bits) | order (2) | phase (2) | owner (22; Linux knows no larger process id).
  /// Zero below the generation is the normal case: closed, no order, nobody changing it.
  static constexpr unsigned owner_bits = 22;
  static constexpr unsigned phase_shift = owner_bits;
  static constexpr unsigned order_shift = owner_bits + 2;
  static constexpr unsigned generation_shift = owner_bits + 4;
  static constexpr std::uint64_t owner_mask = (std::uint64_t{1} << owner_bits) - 1;
  static constexpr std::uint64_t low_mask = (std::uint64_t{1} << generation_shift) - 1;
  static constexpr TimePoint never = TimePoint::min();

  static std::uint64_t generation_of(std::uint64_t control) noexcept { return control >> generation_shift; }
  static Phase phase_of(std::uint64_t control) noexcept { return static_cast<Phase>(control >> phase_shift & 3U); }
  static Override order_of(std::uint64_t control) noexcept {
    return static_cast<Override>(control >> order_shift & 3U);
  }

  static std::uint64_t this_process() noexcept { return static_cast<std::uint64_t>(getpid()) & owner_mask; }
  /// True while a thread of this process changes the state.
  static bool is_changing(std::uint64_t control) noexcept {
    return (control & owner_mask) != 0 && (control & owner_mask) == this_process();
  }

  State(const CircuitBreakerOptions& breaker_options, std::shared_ptr<Rng> generator)
      : options(breaker_options), rng(std::move(generator)), window(breaker_options.window) {}

  // --- changes of state ----------------------------------------------------------------------------------------------

  /// Takes the right to leave the state `seen`. False when that state is over or somebody else is leaving it.
  bool claim(std::uint64_t seen) noexcept {
    if (is_changing(seen)) return false;
    return control.compare_exchange_strong(seen, (seen & ~owner_mask) | this_process(), std::memory_order_acq_rel,
                                           std::memory_order_relaxed);
  }
  /// For orders, which must not get lost: waits for a change that is under way (some nanoseconds). Nothing when `moot`
  /// says of the current control word that there is nothing to do.
  template <class Moot>
  std::optional<std::uint64_t> claim_unless(const Moot& moot) noexcept {
    for (;;) {
      const std::uint64_t seen = control.load(std::memory_order_acquire);
      if (moot(seen)) return std::nullopt;
      if (claim(seen)) return seen;
      std::this_thread::yield();
    }
  }
  /// Ends a claim of `seen`: the next generation begins, with `failures` as its streak. Returns it.
  std::uint64_t publish(std::uint64_t seen, Phase phase, Override order, std::uint64_t failures) noexcept {
    const std::uint64_t generation = (generation_of(seen) + 1) & (~std::uint64_t{0} >> generation_shift);
    streak.begin(generation, failures);
    control.store(generation << generation_shift | static_cast<std::uint64_t>(order) << order_shift |
                      static_cast<std::uint64_t>(phase) << phase_shift,
                  std::memory_order_release);
    return generation;
  }

  /// How long to stay open after trip number `count` in a row.
  Duration draw_open_time(std::int32_t count) noexcept {
    const auto longest = static_cast<double>(options.open_for_max.count());
    const double grown = static_cast<double>(options.open_for.count()) * std::pow(options.open_growth, count - 1);
    const double nominal = grown < longest ? grown : longest;  // infinity ends here
    const double fixed = nominal * (1.0 - options.open_jitter);
    return Duration(static_cast<std::int64_t>(fixed + (nominal - fixed) * uniform(*rng)));
  }
  /// Trips in a row, less what a time of good behaviour has earned back.
  [[nodiscard]] std::int32_t trips_left(TimePoint now) const noexcept {
    const std::int32_t count = trips.load(std::memory_order_acquire);
    const TimePoint since = closed_since.load(std::memory_order_acquire);
    if (count == 0 || now <= since) return count;
    // Unsigned, because the two may be further apart than a Duration can say.
    const std::uint64_t closed_for = static_cast<std::uint64_t>(now.time_since_epoch().count()) -
                                     static_cast<std::uint64_t>(since.time_since_epoch().count());
    const std::uint64_t forgotten = closed_for / static_cast<std::uint64_t>(options.growth_decay.count());
    return forgotten >= static_cast<std::uint64_t>(count) ? 0 : count - static_cast<std::int32_t>(forgotten);
  }
  static std::int32_t one_more(std::int32_t count) noexcept {
    return count == std::numeric_limits<std::int32_t>::max() ? count : count + 1;
  }

  /// closed -> open.
  void trip(std::uint64_t seen, TimePoint now) noexcept {
    if (!claim(seen)) return;
    const std::int32_t count = one_more(trips_left(now));
    trips.store(count, std::memory_order_release);
    open_until.store(detail::time_after(now, draw_open_time(count)), std::memory_order_release);
    publish(seen, Phase::open, Override::none, streak.length());
  }
  /// A claimed open or half-open state -> one probe is out. What a failure of the probe will cost is settled now, so
  /// that the end of its lease can be read off the clock by everybody without another draw.
  Grant begin_probe(std::uint64_t seen, TimePoint now) noexcept {
    if (phase_of(seen) != Phase::idle) probe_successes.store(0, std::memory_order_relaxed);
    lease_until.store(detail::time_after(now, options.probe_lease), std::memory_order_release);
    reopen_for.store(draw_open_time(one_more(trips.load(std::memory_order_relaxed))), std::memory_order_release);
    Grant grant;
    grant.generation = publish(seen, Phase::probing, Override::none, streak.length());
    grant.granted = true;
    grant.probe = true;
    return grant;
  }
  /// A claimed probe has failed at `when`.
  void fail_probe(std::uint64_t seen, TimePoint when, std::uint64_t failures) noexcept {
    trips.store(one_more(trips.load(std::memory_order_relaxed)), std::memory_order_release);
    open_until.store(detail::time_after(when, reopen_for.load(std::memory_order_relaxed)), std::memory_order_release);
    publish(seen, Phase::open, Override::none, failures);
  }
  /// When a breaker whose probe doesn't come back admits the next one.
  [[nodiscard]] TimePoint after_lost_probe() const noexcept {
    return detail::time_after(lease_until.load(std::memory_order_acquire), reopen_for.load(std::memory_order_acquire));
  }

  // --- calls ---------------------------------------------------------------------------------------------------------

  Grant acquire(TimePoint now, bool early) noexcept {
    const std::uint64_t seen = control.load(std::memory_order_acquire);
    Grant grant;
    if ((seen & low_mask) == 0) {
      grant.granted = true;
      grant.generation = generation_of(seen);
      return grant;
    }
    if ((seen & low_mask) == std::uint64_t{static_cast<std::uint8_t>(Phase::open)} << phase_shift && !early &&
        now < open_until.load(std::memory_order_relaxed)) {
      return grant;
    }
    return acquire_slowly(now, early);
  }

  Grant acquire_slowly(TimePoint now, bool early) noexcept {
    for (;;) {
      const std::uint64_t seen = control.load(std::memory_order_acquire);
      const Override order = order_of(seen);
      const Phase phase = phase_of(seen);
      Grant grant;
      if (order == Override::forced_open) return grant;
      if (order != Override::none || phase == Phase::closed) {
        grant.granted = true;
        grant.generation = generation_of(seen);
        return grant;
      }
      if (is_changing(seen)) return grant;
      if (phase == Phase::open && !early && now < open_until.load(std::memory_order_relaxed)) return grant;
      if (phase == Phase::probing && now < lease_until.load(std::memory_order_relaxed)) return grant;
      if (!claim(seen)) continue;
      if (phase == Phase::probing) {
        const TimePoint lost = lease_until.load(std::memory_order_relaxed);
        if (!early && now < after_lost_probe()) {
          fail_probe(seen, lost, streak.length());
          return grant;
        }
        trips.store(one_more(trips.load(std::memory_order_relaxed)), std::memory_order_release);
      }
      return begin_probe(seen, now);
    }
  }

  void settle(std::uint64_t generation, TimePoint now, CallResult result) noexcept {
    const std::uint64_t seen = control.load(std::memory_order_acquire);
    const Override order = order_of(seen);
    if (generation_of(seen) != generation || is_changing(seen) || order == Override::disabled) return;
    const auto still_current = [&] { return control.load(std::memory_order_acquire) == seen; };
    if (!window.add(now, result != CallResult::success, still_current)) return;
    if (result == CallResult::success) {
      streak.end(generation);
      return;
    }
    note_failure(now);
    const std::uint64_t failures = result == CallResult::hard_failure ? streak.extend(generation) : 0;
    // Only a failure opens the breaker. A success that completes minimum_calls leaves that to the next failure.
    if (order == Override::none && (is_streak_too_long(failures) || is_rate_too_high(now))) trip(seen, now);
  }

  void settle_probe(std::uint64_t generation, TimePoint now, CallResult result) noexcept {
    const std::uint64_t seen = control.load(std::memory_order_acquire);
    if (generation_of(seen) != generation || !claim(seen)) return;
    const TimePoint lease = lease_until.load(std::memory_order_relaxed);
    if (now >= lease) {
      fail_probe(seen, lease, streak.length());
    } else if (result == CallResult::success) {
      window.add_success();
      const std::int32_t successes = one_more(probe_successes.load(std::memory_order_relaxed));
      probe_successes.store(successes, std::memory_order_relaxed);
      if (successes < options.probe_successes) {
        publish(seen, Phase::idle, Override::none, 0);
      } else {
        window.clear();
        closed_since.store(now, std::memory_order_release);
        publish(seen, Phase::closed, Override::none, 0);
      }
    } else {
      note_failure(now);
      const std::uint64_t failures = streak.length();
      fail_probe(seen, now, result == CallResult::hard_failure ? failures + 1 : failures);
    }
  }

  void release_probe(std::uint64_t generation) noexcept {
    const std::uint64_t seen = control.load(std::memory_order_acquire);
    if (generation_of(seen) != generation || !claim(seen)) return;
    publish(seen, Phase::idle, Override::none, streak.length());
  }

  void note_failure(TimePoint now) noexcept {
    TimePoint last = last_failure.load(std::memory_order_relaxed);
    while (last < now && !last_failure.compare_exchange_weak(last, now, std::memory_order_relaxed)) {
    }
  }
  [[nodiscard]] bool is_streak_too_long(std::uint64_t failures) const noexcept {
    return options.consecutive_failures > 0 && failures >= static_cast<std::uint64_t>(options.consecutive_failures);
  }
  [[nodiscard]] bool is_rate_too_high(TimePoint now) const noexcept {
    if (!(options.failure_rate > 0.0)) return false;
    const detail::BreakerWindow::Sums sums = window.sums(now);
    if (sums.calls < options.minimum_calls) return false;
    // As a quotient: 0.07 * 100 is more than 7, but 7 / 100 is exactly the double that 0.07 stands for.
    return static_cast<double>(sums.failures) / static_cast<double>(sums.calls) >= options.failure_rate;
  }

  // --- questions -----------------------------------------------------------------------------------------------------

  [[nodiscard]] BreakerState state_of(std::uint64_t seen, TimePoint now) const noexcept {
    switch (order_of(seen)) {
      case Override::forced_open:
        return BreakerState::forced_open;
      case Override::disabled:
        return BreakerState::disabled;
      case Override::metrics_only:
        return BreakerState::metrics_only;
      case Override::none:
        break;
    }
    switch (phase_of(seen)) {
      case Phase::closed:
        return BreakerState::closed;
      case Phase::open:
        return BreakerState::open;
      case Phase::idle:
        return BreakerState::half_open;
      case Phase::probing:  // a lease that ran out was a failure, whether or not a call has noticed yet
        return now < lease_until.load(std::memory_order_acquire) ? BreakerState::half_open : BreakerState::open;
    }
    return BreakerState::closed;
  }

  // What every call reads, and only changes of state write.
  const CircuitBreakerOptions options;
  const std::shared_ptr<Rng> rng;
  std::atomic<std::uint64_t> control{0};
  std::atomic<TimePoint> open_until{never};
  std::atomic<TimePoint> lease_until{never};
  std::atomic<Duration> reopen_for{Duration::zero()};  ///< the next open time, should the probe fail
  std::atomic<TimePoint> closed_since{never};
  std::atomic<std::int32_t> trips{0};
  std::atomic<std::int32_t> probe_successes{0};
  std::atomic<std::uint64_t> successes_before{0};  ///< of the window's count, up to the last reset

  // What failures write, away from the above.
  alignas(64) detail::BreakerStreak streak;
  std::atomic<TimePoint> last_failure{never};

  detail::BreakerWindow window;
};

// --- Permit ----------------------------------------------------------------------------------------------------------

MLFLOWHA_INLINE CircuitBreaker::Permit::Permit(Permit&& other) noexcept
    : breaker_(std::exchange(other.breaker_, nullptr)), generation_(other.generation_), probe_(other.probe_) {}

MLFLOWHA_INLINE CircuitBreaker::Permit& CircuitBreaker::Permit::operator=(Permit&& other) noexcept {
  if (this != &other) {
    if (breaker_ != nullptr && probe_) breaker_->state_->release_probe(generation_);
    breaker_ = std::exchange(other.breaker_, nullptr);
    generation_ = other.generation_;
    probe_ = other.probe_;
  }
  return *this;
}

MLFLOWHA_INLINE CircuitBreaker::Permit::~Permit() {
  if (breaker_ != nullptr && probe_) breaker_->state_->release_probe(generation_);
}

MLFLOWHA_INLINE void CircuitBreaker::Permit::report(TimePoint now, CallResult result) noexcept {
  CircuitBreaker* const breaker = std::exchange(breaker_, nullptr);
  if (breaker == nullptr) return;
  if (probe_) {
    breaker->state_->settle_probe(generation_, now, result);
  } else {
    breaker->state_->settle(generation_, now, result);
  }
}

// --- CircuitBreaker --------------------------------------------------------------------------------------------------

MLFLOWHA_INLINE CircuitBreaker::CircuitBreaker(const CircuitBreakerOptions& options, std::shared_ptr<Rng> rng) {
  if (std::string faults = options.faults(); !faults.empty()) {
    Error error;
    error.code = Errc::invalid_config;
    error.message = "CircuitBreakerOptions: " + faults;
    detail::throw_exception(std::move(error));
  }
  state_ = std::make_unique<State>(options, rng != nullptr ? std::move(rng) : process_rng());
}

MLFLOWHA_INLINE CircuitBreaker::~CircuitBreaker() = default;

MLFLOWHA_INLINE CircuitBreaker::Permit CircuitBreaker::try_acquire(TimePoint now) noexcept {
  Permit permit;
  const State::Grant grant = state_->acquire(now, false);
  if (grant.granted) {
    permit.breaker_ = this;
    permit.generation_ = grant.generation;
    permit.probe_ = grant.probe;
  }
  return permit;
}

MLFLOWHA_INLINE CircuitBreaker::Permit CircuitBreaker::try_acquire_early(TimePoint now) noexcept {
  Permit permit;
  const State::Grant grant = state_->acquire(now, true);
  if (grant.granted) {
    permit.breaker_ = this;
    permit.generation_ = grant.generation;
    permit.probe_ = grant.probe;
  }
  return permit;
}

MLFLOWHA_INLINE bool CircuitBreaker::would_admit(TimePoint now) const noexcept {
  const std::uint64_t seen = state_->control.load(std::memory_order_acquire);
  const Override order = State::order_of(seen);
  if (order != Override::none) return order != Override::forced_open;
  if (State::phase_of(seen) == State::Phase::closed) return true;
  if (State::is_changing(seen)) return false;
  switch (State::phase_of(seen)) {
    case State::Phase::open:
      return now >= state_->open_until.load(std::memory_order_acquire);
    case State::Phase::probing:
      return now >= state_->after_lost_probe();
    default:
      return true;
  }
}

MLFLOWHA_INLINE BreakerState CircuitBreaker::state(TimePoint now) const noexcept {
  return state_->state_of(state_->control.load(std::memory_order_acquire), now);
}

MLFLOWHA_INLINE std::optional<TimePoint> CircuitBreaker::retry_at() const noexcept {
  const std::uint64_t seen = state_->control.load(std::memory_order_acquire);
  if (State::order_of(seen) != Override::none || State::phase_of(seen) != State::Phase::open) return std::nullopt;
  return state_->open_until.load(std::memory_order_acquire);
}

MLFLOWHA_INLINE CircuitBreaker::Snapshot CircuitBreaker::snapshot(TimePoint now) const {
  Snapshot snapshot;
  // All of one generation. Whoever changes the state may be held up by the scheduler for many milliseconds: given up
  // only after more tries than fit into them.
  constexpr int tries = 200'000;
  for (int attempt = 0; attempt < tries; ++attempt, std::this_thread::yield()) {
    const std::uint64_t seen = state_->control.load(std::memory_order_acquire);
    if (State::is_changing(seen) && attempt < tries - 1) continue;
    snapshot.state = state_->state_of(seen, now);
    snapshot.generation = State::generation_of(seen);
    snapshot.failure_count = static_cast<std::int64_t>(state_->streak.length());
    snapshot.success_count = static_cast<std::int64_t>(state_->window.successes() -
                                                       state_->successes_before.load(std::memory_order_acquire));
    const detail::BreakerWindow::Sums sums = state_->window.sums(now);
    snapshot.window_calls = sums.calls;
    snapshot.window_failures = sums.failures;
    const TimePoint last_failure = state_->last_failure.load(std::memory_order_acquire);
    snapshot.last_failure = last_failure == State::never ? std::nullopt : std::optional<TimePoint>(last_failure);
    snapshot.retry_at = std::nullopt;
    if (snapshot.state == BreakerState::open) {
      snapshot.retry_at = State::phase_of(seen) == State::Phase::probing
                              ? state_->after_lost_probe()
                              : state_->open_until.load(std::memory_order_acquire);
    }
    snapshot.trips_in_a_row = State::phase_of(seen) == State::Phase::closed
                                  ? state_->trips_left(now)
                                  : state_->trips.load(std::memory_order_acquire);
    if (state_->control.load(std::memory_order_acquire) == seen) break;
  }
  return snapshot;
}

MLFLOWHA_INLINE void CircuitBreaker::open_until(TimePoint now, TimePoint until) noexcept {
  if (until <= now) return;
  // An operator's word goes over a server's.
  const auto ordered = [](std::uint64_t seen) { return State::order_of(seen) != Override::none; };
  const std::optional<std::uint64_t> seen = state_->claim_unless(ordered);
  if (!seen) return;
  const State::Phase phase = State::phase_of(*seen);
  // Not a trip: the open time doesn't grow. What the time closed has earned is kept.
  if (phase == State::Phase::closed) state_->trips.store(state_->trips_left(now), std::memory_order_release);
  const TimePoint before = phase == State::Phase::open ? state_->open_until.load(std::memory_order_relaxed) : until;
  state_->open_until.store(std::max(before, until), std::memory_order_release);
  state_->publish(*seen, State::Phase::open, Override::none, state_->streak.length());
}

MLFLOWHA_INLINE void CircuitBreaker::set_override(TimePoint, Override order) noexcept {
  const auto given = [order](std::uint64_t seen) { return State::order_of(seen) == order; };
  const std::optional<std::uint64_t> seen = state_->claim_unless(given);
  if (!seen) return;
  // Every result of before the order is void. The automatic state rests below it; a probe that was out is let go.
  const State::Phase phase = State::phase_of(*seen);
  state_->window.clear();
  state_->publish(*seen, phase == State::Phase::probing ? State::Phase::idle : phase, order, 0);
}

MLFLOWHA_INLINE void CircuitBreaker::reset(TimePoint now) noexcept {
  const std::optional<std::uint64_t> seen = state_->claim_unless([](std::uint64_t) { return false; });
  if (!seen) return;
  state_->window.clear();
  state_->successes_before.store(state_->window.successes(), std::memory_order_release);
  state_->trips.store(0, std::memory_order_release);
  state_->last_failure.store(State::never, std::memory_order_release);
  state_->closed_since.store(now, std::memory_order_release);
  state_->publish(*seen, State::Phase::closed, Override::none, 0);
}

MLFLOWHA_END_NAMESPACE

#endif
