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

#include <mlflowha/core/uri.hpp>
#include <mlflowha/resilience/circuit_breaker.hpp>
#include <mlflowha/resilience/outcome.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

enum class Selection : std::uint8_t {
  primary_first,  ///< the first healthy one in list order (default)
  p2c_ewma,       ///< two random choices, the one with less latency x load (peak EWMA)
};

struct EndpointSpec {
  Uri uri;
  std::int32_t group = 0;  ///< lower groups first; another group is used only when the lower ones have nothing usable
};

struct EndpointSetOptions {
  Selection selection = Selection::primary_first;
  CircuitBreakerOptions breaker;
  std::int32_t failback_successes = 3;
  Duration failback_after = std::chrono::seconds(30);
  Duration ramp = std::chrono::seconds(10);
  double panic_threshold = 0.5;                             ///< share of a group that may be ejected before p2c ignores ejection
  Duration panic_interval = std::chrono::seconds(1);
  Duration probe_interval = std::chrono::milliseconds(250); ///< first gap between side probes of one endpoint, doubling ...
  Duration probe_interval_max = std::chrono::seconds(10);   ///< ... to this, +-20 %
  Duration ewma_tau = std::chrono::seconds(10);
  bool check_identity = true;                               ///< identify each endpoint at first contact (lists of 2 or more)

  [[nodiscard]] MLFLOWHA_EXPORT std::string faults() const;
};

using EndpointIndex = std::uint32_t;

/// Thread-safe. pick and report take no lock and allocate nothing while all is well.
class MLFLOWHA_EXPORT EndpointSet {
 public:
  /// One call's memory of what it has tried. Allocates only after a failure.
  class MLFLOWHA_EXPORT Tried {
   public:
    void add(EndpointIndex index);
    [[nodiscard]] std::uint32_t count(EndpointIndex index) const noexcept;
    [[nodiscard]] bool empty() const noexcept { return indexes_.empty(); }

   private:
    std::vector<EndpointIndex> indexes_;
  };

  /// A place to send one attempt to, with the breaker's permit and the load accounting. Move-only. Settle with
  /// report(); dropping it says nothing about the endpoint.
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

   private:
    friend class EndpointSet;
    EndpointSet* set_ = nullptr;
    EndpointIndex index_ = 0;
    bool needs_identity_ = false;
    CircuitBreaker::Permit permit_;
  };

  struct Pick {
    Lease lease;                        ///< falsy: nobody may be tried now
    std::optional<TimePoint> retry_at;  ///< without a lease: when the next one may be tried; nothing = never by itself
    bool all_refused = false;           ///< without a lease: every endpoint is refused or forced open
    bool fresh = false;                 ///< the endpoint is untried in this call and believed to work
  };

  struct EndpointSnapshot {
    Uri uri;
    std::int32_t group = 0;
    EndpointHealth health = EndpointHealth::healthy;
    CircuitBreaker::Snapshot breaker;
    bool identified = false;
    std::string last_error;                  ///< "" when none
    std::optional<TimePoint> last_error_at;
    std::optional<TimePoint> last_success_at;
    Duration latency_ewma{};
    std::int32_t in_flight = 0;
  };

  EndpointSet(std::vector<EndpointSpec> endpoints, const EndpointSetOptions& options, std::shared_ptr<Rng> rng,
              std::shared_ptr<Observer> observer = nullptr);
  EndpointSet(const EndpointSet&) = delete;
  EndpointSet& operator=(const EndpointSet&) = delete;
  ~EndpointSet();

  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] const Uri& uri(EndpointIndex index) const noexcept;

  /// The best endpoint for the next attempt. Endpoints in `tried` come last, but are not forbidden.
  [[nodiscard]] Pick pick(TimePoint now, const Tried& tried) noexcept;
  /// Settles an attempt: breaker, health, latency. `detail` becomes last_error on a fault.
  void report(Lease lease, TimePoint now, const Outcome& outcome, std::string_view detail = {}) noexcept;

  /// The endpoint fronts the same database as the others (or is the first to be asked).
  void mark_identified(EndpointIndex index) noexcept;
  /// Takes the endpoint out for good, with the reason as last_error. Only reset() brings it back.
  void refuse(EndpointIndex index, TimePoint now, std::string_view reason) noexcept;

  /// An endpoint whose side probe is due, or a falsy lease. Cheap when none is due. A side probe is due for: suspects,
  /// breakers whose open time is up, endpoints in recovery, and, when identity is checked, endpoints not yet contacted.
  /// Settle with report(). Never hands out the only endpoint a call could use.
  [[nodiscard]] Lease next_probe(TimePoint now) noexcept;

  /// An operator's orders; nothing or `index`.
  void reset(TimePoint now, std::optional<EndpointIndex> index = std::nullopt) noexcept;
  void set_override(TimePoint now, CircuitBreaker::Override order, std::optional<EndpointIndex> index = std::nullopt) noexcept;

  [[nodiscard]] EndpointHealth health(EndpointIndex index, TimePoint now) const noexcept;
  [[nodiscard]] std::vector<EndpointSnapshot> snapshot(TimePoint now) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The cluster as one breaker, for health pages: closed while an endpoint is usable, open when none is, half_open when
/// the only usable ones are being probed.
[[nodiscard]] MLFLOWHA_EXPORT BreakerState cluster_state(const std::vector<EndpointSet::EndpointSnapshot>& endpoints) noexcept;

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/resilience/impl/endpoint_set.ipp>
#endif

#endif
