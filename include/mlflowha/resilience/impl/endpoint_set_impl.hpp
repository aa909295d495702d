#ifndef MLFLOWHA_RESILIENCE_IMPL_ENDPOINT_SET_IMPL_HPP
#define MLFLOWHA_RESILIENCE_IMPL_ENDPOINT_SET_IMPL_HPP

// The inside of EndpointSet, shared by its two definition files (endpoint_set.ipp chooses, endpoint_health.ipp learns).
//
// Locking: what a call reads while all is well is atomic. Every change of health, flags or probe schedule happens under
// `mutex`, which no call touches until an attempt fails. Observers are told after it is released.

#include <mlflowha/core/impl/fork_mutex.hpp>
#include <mlflowha/resilience/endpoint_set.hpp>

#include <atomic>
#include <limits>

MLFLOWHA_BEGIN_NAMESPACE

struct EndpointSet::Impl {
  /// Nanoseconds on the clock of TimePoint.
  using Ticks = std::int64_t;
  /// "Long ago" that can be subtracted from any time without overflow.
  static constexpr Ticks long_ago = std::numeric_limits<Ticks>::min() / 2;
  static constexpr Ticks end_of_time = std::numeric_limits<Ticks>::max();
  /// How soon to look again when another call is probing the only candidate.
  static constexpr Duration watch_interval = std::chrono::milliseconds(50);
  /// How long an endpoint is believed to be too old, or unable to tell: a server that nobody called meanwhile may have
  /// been upgraded unnoticed. Costs one small request a minute at the most.
  static constexpr Duration release_lifetime = std::chrono::minutes(1);
  /// The most that a failure can make an endpoint look slow.
  static constexpr Duration punishment_max = std::chrono::seconds(5);

  // Node::word: health (3 bits), two flags, and the epoch that a result must carry to change the health.
  static constexpr std::uint64_t health_mask = 0x7;
  static constexpr std::uint64_t identified_flag = 0x8;
  static constexpr std::uint64_t forced_open_flag = 0x10;
  static constexpr int epoch_shift = 8;

  /// One endpoint. The first cache line is read by every pick, the second written by every attempt.
  struct alignas(64) Node {
    Node(EndpointSpec endpoint, EndpointIndex number, const CircuitBreakerOptions& options, std::shared_ptr<Rng> rng)
        : breaker(options, std::move(rng)), index(number), spec(std::move(endpoint)), origin(spec.uri.origin()) {}

    std::atomic<std::uint64_t> word{0};
    std::atomic<Ticks> held_until{long_ago};
    CircuitBreaker breaker;
    EndpointIndex index;

    alignas(64) std::atomic<std::int32_t> in_flight{0};
    std::atomic<std::int32_t> successes{0};  // since it answers again
    std::atomic<Ticks> latency{-1};          // peak EWMA; -1: no sample yet
    std::atomic<Ticks> latency_at{0};
    std::atomic<Ticks> last_success{long_ago};

    alignas(64) std::atomic<Ticks> last_fault{long_ago};
    std::atomic<Ticks> recovering_since{long_ago};
    std::atomic<Release> release{Release()};  // of the server; read by those calls only that need one
    std::atomic<Ticks> release_at{long_ago};  // when it was learnt
    std::atomic<Ticks> probe_due{long_ago};
    std::atomic<std::int64_t> probing{0};  // the process that probes it; a forked child's parent doesn't count there
    Duration probe_gap{};                  // from here on: under the mutex, or constant
    std::string last_error;
    std::optional<TimePoint> last_error_at;
    EndpointSpec spec;
    std::string origin;

    [[nodiscard]] EndpointHealth opinion() const noexcept { return health_in(word.load(std::memory_order_relaxed)); }
    [[nodiscard]] bool held(Ticks now) const noexcept { return held_until.load(std::memory_order_relaxed) > now; }
    [[nodiscard]] std::optional<double> latency_now(Ticks now, double decay) const noexcept;
    void observe(Ticks now, Duration sample, double decay) noexcept;
    void punish(Ticks now, Duration sample) noexcept;
  };

  /// What the outside sees of an endpoint, for events.
  struct View {
    EndpointHealth health;
    BreakerState breaker;
    friend bool operator==(const View&, const View&) = default;
  };

  [[nodiscard]] static EndpointHealth health_in(std::uint64_t word) noexcept {
    return static_cast<EndpointHealth>(word & health_mask);
  }
  /// Healthy or recovering, and not forced open.
  [[nodiscard]] static bool works(std::uint64_t word) noexcept {
    return (word & health_mask) <= static_cast<std::uint64_t>(EndpointHealth::recovering) &&
           (word & forced_open_flag) == 0;
  }
  /// Refused or forced open: for nobody.
  [[nodiscard]] static bool barred(std::uint64_t word) noexcept {
    return health_in(word) == EndpointHealth::refused || (word & forced_open_flag) != 0;
  }
  [[nodiscard]] static Fit fit(const Node& node, Ticks now, Release needs) noexcept {
    if (!needs.is_known()) return Fit::fits;
    const Release release = node.release.load(std::memory_order_relaxed);
    if (release >= needs) return Fit::fits;
    if (!release.is_asked() || now - node.release_at.load(std::memory_order_relaxed) > release_lifetime.count()) {
      return Fit::ask;
    }
    return release.is_known() ? Fit::too_old : Fit::fits;
  }
  /// May this call be sent there at all, as far as releases go?
  [[nodiscard]] static bool suits(const Node& node, Ticks now, const Tried& tried) noexcept {
    return fit(node, now, tried.needs()) != Fit::too_old;
  }
  [[nodiscard]] static Ticks ticks(TimePoint at) noexcept { return at.time_since_epoch().count(); }
  [[nodiscard]] static TimePoint time_point(Ticks at) noexcept { return TimePoint(Duration(at)); }

  // endpoint_set.ipp
  [[nodiscard]] Lease lease(Node& node, CircuitBreaker::Permit permit) noexcept;
  [[nodiscard]] Lease try_lease(Node& node, TimePoint now) noexcept;
  [[nodiscard]] Lease pick_working(TimePoint now, const Tried& tried, bool fresh_only) noexcept;
  [[nodiscard]] Lease pick_in_order(TimePoint now, const Tried& tried, bool fresh_only) noexcept;
  [[nodiscard]] Lease pick_of_two(TimePoint now, const Tried& tried, bool fresh_only) noexcept;
  [[nodiscard]] Lease pick_doubtful(TimePoint now, const Tried& tried, bool fresh_only) noexcept;
  [[nodiscard]] Lease pick_in_panic(TimePoint now, const Tried& tried, bool fresh_only) noexcept;
  [[nodiscard]] Lease elect(Node& first, Node& second, TimePoint now) noexcept;
  [[nodiscard]] bool admitted_by_ramp(const Node& node, Ticks now) noexcept;
  [[nodiscard]] bool pass_panic_gate(Ticks now) noexcept;
  void explain_empty_pick(TimePoint now, const Tried& tried, Pick& pick) noexcept;
  [[nodiscard]] Duration jittered(Duration interval) noexcept;
  void release(Lease& lease) noexcept;

  // endpoint_health.ipp; those without a lock of their own are called under the mutex
  void report_slowly(Lease& lease, TimePoint now, const Outcome& outcome, std::string_view detail) noexcept;
  void learn(Node& node, Ticks now, const Outcome& outcome, std::string_view detail, bool current) noexcept;
  void set_health(Node& node, EndpointHealth health, bool new_epoch) noexcept;
  void set_flags(Node& node, std::uint64_t set, std::uint64_t clear) noexcept;
  void suspect(Node& node, Ticks now) noexcept;
  static void forget_release(Node& node) noexcept;
  void schedule_probe(Node& node, Ticks now, bool from_start, bool refused = false) noexcept;
  void lower_earliest_due(Ticks due) noexcept;
  void recompute_earliest_due(Ticks now, const Node* spared) noexcept;
  [[nodiscard]] bool wants_probe(const Node& node) const noexcept;
  [[nodiscard]] static bool is_probed(const Node& node) noexcept;
  [[nodiscard]] const Node* first_choice(Ticks now) const noexcept;
  [[nodiscard]] Lease probe_slowly(TimePoint now) noexcept;
  void remember_error(Node& node, TimePoint now, std::string_view text) noexcept;
  [[nodiscard]] View view(const Node& node, TimePoint now) const noexcept;
  void publish(const Node& node, TimePoint now, View before, View after, std::string_view reason,
               std::string_view detail) const noexcept;

  explicit Impl(std::uint64_t seed) noexcept : draws(seed) {}

  EndpointSet* owner = nullptr;
  EndpointSetOptions options;
  std::shared_ptr<Rng> rng;
  std::shared_ptr<Observer> observer;
  std::vector<std::unique_ptr<Node>> nodes;  // by group, then list order
  std::vector<std::uint32_t> position;       // of each EndpointIndex in `nodes`
  std::size_t first_group_size = 0;
  double tau = 1;  // nanoseconds
  bool identify = false;
  // For the choices of p2c, several per pick: cheap, and no harm if a forked child makes the same ones. Jitter, which
  // must differ between processes, comes from `rng`.
  SplitMixRng draws;

  alignas(64) std::atomic<Ticks> earliest_due{end_of_time};  // no side probe is due before
  std::atomic<Ticks> panic_at{long_ago};                     // no panic attempt before
  mutable detail::ForkMutex mutex;

  [[nodiscard]] Node& at(EndpointIndex index) noexcept { return *nodes[position[index]]; }
  [[nodiscard]] const Node& at(EndpointIndex index) const noexcept { return *nodes[position[index]]; }
};

MLFLOWHA_END_NAMESPACE

#endif
