#ifndef MLFLOWHA_RESILIENCE_ENDPOINT_SET_HPP
#define MLFLOWHA_RESILIENCE_ENDPOINT_SET_HPP

// EndpointSet: the servers of one client, what each is worth now, and which to use next. Holds one CircuitBreaker per
// endpoint and adds what a breaker can't know: order, groups, suspicion, fail-back, panic, side probes and identity.
//
// A call never waits for a dead endpoint that it needn't meet:
//   * one hard failure makes an endpoint `suspect`: calls avoid it as long as a better one exists, at no cost;
//   * suspects and expired breakers are tried by side probes (next_probe), which ride along with calls to other
//     endpoints; a call itself is the probe only where nothing better is left;
//   * after an outage an endpoint is `recovering`: usable, but it gets its place in the order back only after
//     `failback_successes` successes and `failback_after`, so a flapping primary doesn't drag every call with it;
//     with p2c its share of the traffic grows linearly over `ramp`;
//   * when no endpoint is left (all breakers open), panic mode tries the one that has rested longest, at most every
//     `panic_interval` (jittered), so that a long open time never locks out a cluster that is back.
// An outage of the shared database is nobody's breaker: Verdict::shared_backend leaves health alone.
//
// A call may need a release. An endpoint known to be too old for it is passed over by this call's picks, and nothing
// else: it is as healthy as before. What is known of an endpoint's release is forgotten when the endpoint fails hard or
// is taken out of use, since it may come back as another one.
//
// How pick() orders the endpoints, best first:
//   1. those believed to work (healthy, recovering): the least tried in this call, then healthy before recovering, then
//      the lower group, then list order. Health comes before the group: a suspect or recovering primary doesn't cost
//      calls anything while a healthy endpoint of a higher group can serve them;
//   2. the doubtful: held by a Retry-After, suspect, breaker admitting a probe; the least tried first, then in that
//      order of hope. A working endpoint that this call has tried comes before an untried doubtful one: what failed
//      there without making it suspect (load, the database) would fail elsewhere as well;
//   3. panic, as above; for an endpoint that this call hasn't tried it comes before a doubtful one that has just failed
//      the call.
// With p2c_ewma step 1 draws two of the best group instead of taking the first.
//
// One suspicion is enough to have to earn the place back (`failback_*`), even if the very next probe is fine: with
// equal servers behind the list a needless half minute on the second costs nothing, a flapping first costs every call.

#include <mlflowha/core/uri.hpp>
#include <mlflowha/resilience/circuit_breaker.hpp>
#include <mlflowha/resilience/options.hpp>
#include <mlflowha/resilience/outcome.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

struct EndpointSpec {
  Uri uri;
  std::int32_t group = 0;  ///< lower groups first; another group is used only when the lower ones have nothing usable
};

/// Thread-safe. pick and report take no lock and allocate nothing while all is well.
class MLFLOWHA_EXPORT EndpointSet {
 public:
  /// What one call brings to its picks: what it has tried, and the release it needs. Allocates only after a failure,
  /// and no more than the list is long.
  class MLFLOWHA_EXPORT Tried {
   public:
    Tried() noexcept = default;
    explicit Tried(Release needs) noexcept : needs_(needs) {}
    void add(EndpointIndex index);
    [[nodiscard]] std::uint32_t count(EndpointIndex index) const noexcept {
      return index < counts_.size() ? counts_[index] : 0;
    }
    [[nodiscard]] bool empty() const noexcept { return counts_.empty(); }
    /// The default: any release will do.
    [[nodiscard]] Release needs() const noexcept { return needs_; }

   private:
    Release needs_;
    std::vector<std::uint32_t> counts_;
  };

  /// A place to send one attempt to, with the breaker's permit and the load accounting. Move-only. Settle with
  /// report(); dropping it says nothing about the endpoint. Must not outlive its set.
  class MLFLOWHA_EXPORT Lease {
   public:
    Lease() noexcept = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease();
    explicit operator bool() const noexcept { return set_ != nullptr; }
    [[nodiscard]] EndpointIndex index() const noexcept { return index_; }
    /// The endpoint has not shown yet that it fronts the same database: identify it before use.
    [[nodiscard]] bool needs_identity() const noexcept { return needs_identity_; }
    /// The attempt decides whether a half-open breaker closes. As long as the lease lasts nobody else gets one.
    [[nodiscard]] bool is_probe() const noexcept { return permit_.is_probe(); }

   private:
    friend class EndpointSet;
    EndpointSet* set_ = nullptr;
    EndpointIndex index_ = 0;
    bool needs_identity_ = false;
    bool side_probe_ = false;
    std::uint64_t epoch_ = 0;  // of the endpoint's health: a result from before the last change doesn't change it again
    CircuitBreaker::Permit permit_;
  };

  struct Pick {
    Lease lease;                        ///< falsy: nobody may be tried now
    std::optional<TimePoint> retry_at;  ///< without a lease: when the next one may be tried; nothing = never by itself
    bool all_refused = false;           ///< without a lease: every endpoint is refused or forced open
    bool all_too_old = false;           ///< without a lease: every other endpoint is too old for this call
    bool fresh = false;                 ///< the endpoint is untried in this call and believed to work
  };

  struct EndpointSnapshot {
    Uri uri;
    std::int32_t group = 0;
    EndpointHealth health = EndpointHealth::healthy;
    CircuitBreaker::Snapshot breaker;
    bool identified = false;
    Release release;
    std::string last_error;  ///< "" when none
    std::optional<TimePoint> last_error_at;
    std::optional<TimePoint> last_success_at;
    std::optional<TimePoint> held_until;  ///< set back by a Retry-After until then
    Duration latency_ewma{};
    std::int32_t in_flight = 0;
  };

  /// `rng` draws the jitter; process_rng() when it is null. `observer` may be null.
  /// \throws Exception (Errc::invalid_config) on faults of options.breaker; check options.faults() first.
  EndpointSet(std::vector<EndpointSpec> endpoints, const EndpointSetOptions& options, std::shared_ptr<Rng> rng,
              std::shared_ptr<Observer> observer = nullptr);
  EndpointSet(const EndpointSet&) = delete;
  EndpointSet& operator=(const EndpointSet&) = delete;
  ~EndpointSet();

  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] const Uri& uri(EndpointIndex index) const noexcept;

  /// The best endpoint for the next attempt. Endpoints in `tried` come last, but are not forbidden.
  [[nodiscard]] Pick pick(TimePoint now, const Tried& tried) noexcept;
  /// The same among fresh endpoints only (untried in this call and believed to work); a falsy lease when there is none.
  /// Probes nobody and panics never, so a lease may be taken only to see whether there is one.
  [[nodiscard]] Lease pick_fresh(TimePoint now, const Tried& tried) noexcept;
  /// A lease on this very endpoint, to go on where the last request has just been answered; falsy when its breaker
  /// refuses or it is refused.
  [[nodiscard]] Lease acquire(EndpointIndex index, TimePoint now) noexcept;
  /// Settles an attempt: breaker, health, latency. `detail` becomes last_error on a fault. What each verdict does:
  ///   success, rejected  the endpoint is alive: breaker success, one more success on the way to healthy
  ///   endpoint_fault     breaker hard failure; suspect
  ///   overload           breaker soft failure; health unchanged; Retry-After sets the endpoint back (capped)
  ///   shared_backend     neutral; a half-open probe's success, because the endpoint did answer
  ///   wrong_endpoint     refuse()
  ///   cancelled          neutral
  /// Outcome::release is kept, unless the endpoint's health has changed since the attempt began.
  /// A result of an attempt that began before the endpoint's health last changed is counted but changes no health.
  void report(Lease lease, TimePoint now, const Outcome& outcome, std::string_view detail = {}) noexcept;

  /// The endpoint fronts the same database as the others (or is the first to be asked).
  void mark_identified(EndpointIndex index) noexcept;
  /// Whether the endpoint may serve a call that needs `needs`. One relaxed load, two for an endpoint that is too old.
  [[nodiscard]] Fit fit(EndpointIndex index, TimePoint now, Release needs) const noexcept;
  [[nodiscard]] Release release(EndpointIndex index) const noexcept;
  /// Takes the endpoint out for good, with the reason as last_error. Only reset() brings it back.
  void refuse(EndpointIndex index, TimePoint now, std::string_view reason) noexcept;

  /// An endpoint whose side probe is due, or a falsy lease. Cheap when none is due. A side probe is due for: suspects,
  /// breakers whose open time is up, endpoints in recovery, and, when identity is checked, endpoints not yet contacted.
  /// Settle with report(). Never hands out the only endpoint a call could use.
  [[nodiscard]] Lease next_probe(TimePoint now) noexcept;

  /// An operator's orders; nothing or `index`.
  void reset(TimePoint now, std::optional<EndpointIndex> index = std::nullopt) noexcept;
  void set_override(TimePoint now, CircuitBreaker::Override order,
                    std::optional<EndpointIndex> index = std::nullopt) noexcept;

  [[nodiscard]] EndpointHealth health(EndpointIndex index, TimePoint now) const noexcept;
  [[nodiscard]] std::vector<EndpointSnapshot> snapshot(TimePoint now) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The cluster as one breaker, for health pages: closed while an endpoint is usable, open when none is, half_open when
/// the only usable ones are being probed.
[[nodiscard]] MLFLOWHA_EXPORT BreakerState
cluster_state(const std::vector<EndpointSet::EndpointSnapshot>& endpoints) noexcept;

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/resilience/impl/endpoint_health.ipp>
#include <mlflowha/resilience/impl/endpoint_set.ipp>
#endif

#endif
