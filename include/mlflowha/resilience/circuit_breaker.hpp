#ifndef MLFLOWHA_RESILIENCE_CIRCUIT_BREAKER_HPP
#define MLFLOWHA_RESILIENCE_CIRCUIT_BREAKER_HPP

// CircuitBreaker: stops calls to an endpoint that keeps failing and lets one probe at a time find out when it is back.
// One per endpoint, owned by EndpointSet. Sans I/O: the time is passed in.
//
//   closed    -- N consecutive hard failures, or a failure rate over a window --> open
//   open      -- after a growing, jittered time, on the next acquire            --> half-open (one leased permit)
//   half-open -- M successes in a row --> closed;  hard or soft failure, lease run out --> open, longer than before
//
// A Permit carries the generation of the state that gave it: a result that arrives after the state has changed is
// counted nowhere. A permit that is dropped without a result releases its place and says nothing (a cancelled probe
// neither closes nor blocks the breaker). Only a failure opens a closed breaker; a success never does.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/result.hpp>
#include <mlflowha/core/rng.hpp>
#include <mlflowha/observe/observer.hpp>
#include <mlflowha/resilience/options.hpp>

#include <cstdint>
#include <memory>
#include <optional>

MLFLOWHA_BEGIN_NAMESPACE

enum class CallResult : std::uint8_t {
  success,
  hard_failure,  ///< counts everywhere
  soft_failure,  ///< load: in the rate only, neither lengthens nor ends a row of hard failures; fails a probe
};

/// Thread-safe. Acquire, report and the questions never wait, in any state, and allocate nothing. Orders (open_until,
/// set_override, reset) and snapshot() wait at most for one change of state by another thread, some nanoseconds unless
/// the scheduler stops it. Usable after fork() in parent and child.
class MLFLOWHA_EXPORT CircuitBreaker {
 public:
  /// Leave to make one call. Move-only; falsy when the breaker refused. Must not outlive its breaker.
  class MLFLOWHA_EXPORT Permit {
   public:
    Permit() noexcept = default;
    Permit(Permit&& other) noexcept;
    Permit& operator=(Permit&& other) noexcept;
    Permit(const Permit&) = delete;
    Permit& operator=(const Permit&) = delete;
    /// Releases the place without a result.
    ~Permit();

    explicit operator bool() const noexcept { return breaker_ != nullptr; }
    /// True for the half-open probe.
    [[nodiscard]] bool is_probe() const noexcept { return probe_; }
    /// Reports the result, once, and leaves the permit empty (falsy); later calls and results of an older generation
    /// are ignored. A probe's result after its lease has run out is a failure at the end of the lease.
    void report(TimePoint now, CallResult result) noexcept;

   private:
    friend class CircuitBreaker;
    CircuitBreaker* breaker_ = nullptr;
    std::uint64_t generation_ = 0;
    bool probe_ = false;
  };

  using Override = BreakerOverride;

  struct Snapshot {
    BreakerState state = BreakerState::closed;
    std::int64_t failure_count = 0;  ///< hard failures in a row, probes included; since the last success
    std::int64_t success_count = 0;  ///< successes since the last reset
    std::int64_t window_calls = 0;
    std::int64_t window_failures = 0;
    std::optional<TimePoint> last_failure;
    std::optional<TimePoint> retry_at;  ///< when an open breaker admits its next probe
    std::uint64_t generation = 0;       ///< grows with every change of state, each probe and each order
    std::int32_t trips_in_a_row = 0;    ///< less the growth steps forgotten while closed
  };

  /// `rng` draws the jitter; process_rng() when it is null.
  /// \throws Exception (Errc::invalid_config) with the text of options.faults(), if there are any.
  CircuitBreaker(const CircuitBreakerOptions& options, std::shared_ptr<Rng> rng);
  CircuitBreaker(const CircuitBreaker&) = delete;
  CircuitBreaker& operator=(const CircuitBreaker&) = delete;
  ~CircuitBreaker();

  /// Leave for one call: always while closed, one at a time while half-open, never while open.
  [[nodiscard]] Permit try_acquire(TimePoint now) noexcept;
  /// As try_acquire, but an open breaker whose time is not yet up becomes half-open as well (panic mode). Still one
  /// probe at a time.
  [[nodiscard]] Permit try_acquire_early(TimePoint now) noexcept;

  /// True when try_acquire would grant a permit now. For choosing; only a permit is a promise.
  [[nodiscard]] bool would_admit(TimePoint now) const noexcept;
  [[nodiscard]] BreakerState state(TimePoint now) const noexcept;
  /// When an open breaker admits its next probe; nothing when it isn't open, or forced open.
  [[nodiscard]] std::optional<TimePoint> retry_at() const noexcept;
  [[nodiscard]] Snapshot snapshot(TimePoint now) const;

  /// Opens until `until` at the earliest, as a server's Retry-After asks (cap it first). Not a trip: the next open time
  /// doesn't grow. Does nothing when `until` has passed or an order is in force.
  void open_until(TimePoint now, TimePoint until) noexcept;
  void set_override(TimePoint now, Override order) noexcept;
  /// Closed, counters and growth forgotten, override cleared.
  void reset(TimePoint now) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/resilience/impl/circuit_breaker.ipp>
#endif

#endif
