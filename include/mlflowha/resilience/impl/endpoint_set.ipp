#ifndef MLFLOWHA_RESILIENCE_IMPL_ENDPOINT_SET_IPP
#define MLFLOWHA_RESILIENCE_IMPL_ENDPOINT_SET_IPP

#include <mlflowha/resilience/endpoint_set.hpp>
#include <mlflowha/resilience/impl/endpoint_set_impl.hpp>
#include <mlflowha/resilience/impl/load.hpp>

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

// -------------------------------------------------------------------------------------------------- Tried and Lease

MLFLOWHA_INLINE void EndpointSet::Tried::add(EndpointIndex index) {
  if (index >= counts_.size()) counts_.resize(index + std::size_t{1});
  ++counts_[index];
}

MLFLOWHA_INLINE EndpointSet::Lease::Lease(Lease&& other) noexcept
    : set_(std::exchange(other.set_, nullptr)),
      index_(other.index_),
      needs_identity_(other.needs_identity_),
      side_probe_(other.side_probe_),
      epoch_(other.epoch_),
      permit_(std::move(other.permit_)) {}

MLFLOWHA_INLINE EndpointSet::Lease& EndpointSet::Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    if (set_ != nullptr) set_->impl_->release(*this);
    set_ = std::exchange(other.set_, nullptr);
    index_ = other.index_;
    needs_identity_ = other.needs_identity_;
    side_probe_ = other.side_probe_;
    epoch_ = other.epoch_;
    permit_ = std::move(other.permit_);
  }
  return *this;
}

MLFLOWHA_INLINE EndpointSet::Lease::~Lease() {
  if (set_ != nullptr) set_->impl_->release(*this);
}

/// Gives the place back. The permit says nothing if it hasn't reported.
MLFLOWHA_INLINE void EndpointSet::Impl::release(Lease& lease) noexcept {
  Node& node = at(lease.index_);
  node.in_flight.fetch_sub(1, std::memory_order_relaxed);
  lease.permit_ = CircuitBreaker::Permit();
  lease.set_ = nullptr;
  if (lease.side_probe_) {
    node.probing.store(0, std::memory_order_release);
    lower_earliest_due(node.probe_due.load(std::memory_order_relaxed));
  }
}

MLFLOWHA_INLINE EndpointSet::Lease EndpointSet::Impl::lease(Node& node, CircuitBreaker::Permit permit) noexcept {
  Lease out;
  const std::uint64_t word = node.word.load(std::memory_order_relaxed);
  out.set_ = owner;
  out.index_ = node.index;
  out.needs_identity_ = identify && (word & identified_flag) == 0;
  out.epoch_ = word >> epoch_shift;
  out.permit_ = std::move(permit);
  node.in_flight.fetch_add(1, std::memory_order_relaxed);
  return out;
}

MLFLOWHA_INLINE EndpointSet::Lease EndpointSet::Impl::try_lease(Node& node, TimePoint now) noexcept {
  CircuitBreaker::Permit permit = node.breaker.try_acquire(now);
  return permit ? lease(node, std::move(permit)) : Lease();
}

// ------------------------------------------------------------------------------------------------------ construction

MLFLOWHA_INLINE EndpointSet::EndpointSet(std::vector<EndpointSpec> endpoints, const EndpointSetOptions& options,
                                         std::shared_ptr<Rng> rng, std::shared_ptr<Observer> observer)
    : impl_(std::make_unique<Impl>(rng != nullptr ? rng->next() : process_rng()->next())) {
  Impl& impl = *impl_;
  impl.owner = this;
  impl.options = options;
  impl.rng = rng != nullptr ? std::move(rng) : process_rng();
  impl.observer = std::move(observer);
  impl.tau = static_cast<double>(std::max(options.ewma_tau, Duration(1)).count());
  impl.identify = options.check_identity && endpoints.size() > 1;
  EndpointIndex index = 0;
  for (EndpointSpec& spec : endpoints) {
    impl.nodes.push_back(std::make_unique<Impl::Node>(std::move(spec), index++, options.breaker, impl.rng));
    impl.nodes.back()->probe_gap = options.probe_interval;
  }
  std::sort(impl.nodes.begin(), impl.nodes.end(), [](const auto& a, const auto& b) {
    return a->spec.group != b->spec.group ? a->spec.group < b->spec.group : a->index < b->index;
  });
  impl.position.resize(impl.nodes.size());
  for (std::uint32_t i = 0; i < impl.nodes.size(); ++i) {
    impl.position[impl.nodes[i]->index] = i;
    if (impl.nodes[i]->spec.group == impl.nodes.front()->spec.group) ++impl.first_group_size;
  }
  // Nobody has been identified yet: the first call's ride-along may ask everybody else.
  if (impl.identify) impl.earliest_due.store(Impl::long_ago, std::memory_order_relaxed);
}

MLFLOWHA_INLINE EndpointSet::~EndpointSet() = default;

MLFLOWHA_INLINE std::size_t EndpointSet::size() const noexcept { return impl_->nodes.size(); }

MLFLOWHA_INLINE const Uri& EndpointSet::uri(EndpointIndex index) const noexcept { return impl_->at(index).spec.uri; }

// ------------------------------------------------------------------------------------------------------------ choice

MLFLOWHA_INLINE EndpointSet::Pick EndpointSet::pick(TimePoint now, const Tried& tried) noexcept {
  Impl& impl = *impl_;
  Pick pick;
  if (tried.empty() && impl.options.selection == Selection::primary_first && !impl.nodes.empty()) {
    Impl::Node& first = *impl.nodes.front();
    if ((first.word.load(std::memory_order_relaxed) & (Impl::health_mask | Impl::forced_open_flag)) == 0 &&
        !first.held(Impl::ticks(now)) && Impl::suits(first, Impl::ticks(now), tried)) {
      pick.lease = impl.try_lease(first, now);
      if (pick.lease) {
        pick.fresh = true;
        return pick;
      }
    }
  }
  pick.lease = impl.pick_working(now, tried, false);
  if (pick.lease) {
    pick.fresh = tried.count(pick.lease.index()) == 0;
    return pick;
  }
  // An endpoint that this call hasn't tried, ejected though it be, before one that has just failed it.
  pick.lease = impl.pick_doubtful(now, tried, true);
  if (!pick.lease) pick.lease = impl.pick_in_panic(now, tried, true);
  if (!pick.lease) pick.lease = impl.pick_doubtful(now, tried, false);
  if (!pick.lease) pick.lease = impl.pick_in_panic(now, tried, false);
  if (!pick.lease) impl.explain_empty_pick(now, tried, pick);
  return pick;
}

MLFLOWHA_INLINE EndpointSet::Lease EndpointSet::pick_fresh(TimePoint now, const Tried& tried) noexcept {
  return impl_->pick_working(now, tried, true);
}

MLFLOWHA_INLINE EndpointSet::Lease EndpointSet::acquire(EndpointIndex index, TimePoint now) noexcept {
  Impl::Node& node = impl_->at(index);
  return Impl::barred(node.word.load(std::memory_order_relaxed)) ? Lease() : impl_->try_lease(node, now);
}

MLFLOWHA_INLINE EndpointSet::Lease EndpointSet::Impl::pick_working(TimePoint now, const Tried& tried,
                                                                   bool fresh_only) noexcept {
  if (options.selection == Selection::p2c_ewma) {
    if (Lease out = pick_of_two(now, tried, fresh_only)) return out;
  }
  return pick_in_order(now, tried, fresh_only);
}

MLFLOWHA_INLINE EndpointSet::Lease EndpointSet::Impl::pick_in_order(TimePoint now, const Tried& tried,
                                                                    bool fresh_only) noexcept {
  const Ticks at_now = ticks(now);
  // Keys order the candidates strictly (the position is part of them), so that one whose breaker refuses after all is
  // passed over by asking for the next larger key: no list of candidates, no allocation.
  for (std::uint64_t floor = 0;;) {
    Node* best = nullptr;
    std::uint64_t best_key = std::numeric_limits<std::uint64_t>::max();
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      Node& node = *nodes[i];
      const std::uint64_t word = node.word.load(std::memory_order_relaxed);
      if (!works(word) || node.held(at_now)) continue;
      const std::uint64_t count = tried.count(node.index);
      if ((fresh_only && count != 0) || !suits(node, at_now, tried)) continue;
      const std::uint64_t key = (std::min<std::uint64_t>(count, 0xFFFF) << 40) | ((word & health_mask) << 36) | (i + 1);
      if (key > floor && key < best_key) {
        best = &node;
        best_key = key;
        if (key == i + 1) break;  // healthy and untried: no later one can be better
      }
    }
    if (best == nullptr) return {};
    if (Lease out = try_lease(*best, now)) return out;
    floor = best_key;
  }
}

MLFLOWHA_INLINE EndpointSet::Lease EndpointSet::Impl::pick_of_two(TimePoint now, const Tried& tried,
                                                                  bool fresh_only) noexcept {
  const Ticks at_now = ticks(now);
  const auto two = [this](std::size_t size) {  // distinct and uniform, from the halves of one draw
    const std::uint64_t bits = draws.next();
    const std::size_t a = (bits >> 32) * size >> 32;
    const std::size_t b = (bits & 0xFFFFFFFF) * (size - 1) >> 32;
    return std::pair<std::size_t, std::size_t>(a, b >= a ? b + 1 : b);
  };

  constexpr int rounds = 4;
  const auto usable = [&](const Node& node) {
    return works(node.word.load(std::memory_order_relaxed)) && !node.held(at_now) &&
           !(fresh_only && tried.count(node.index) != 0) && suits(node, at_now, tried);
  };
  const auto recovering = [](const Node& node) { return node.opinion() != EndpointHealth::healthy; };

  // Mostly the first group is well: draw from all of it and draw again when the lot falls on somebody unusable, which
  // leaves the usable pairs equally likely and looks at nobody else.
  for (int round = 0; round < rounds && tried.empty() && first_group_size > 1; ++round) {
    const auto drawn = two(first_group_size);
    Node& first = *nodes[drawn.first];
    Node& second = *nodes[drawn.second];
    if (!usable(first) || !usable(second) || (recovering(first) && recovering(second))) continue;
    return elect(first, second, now);
  }

  // The best class: least tried, then groups with somebody healthy before groups that are only recovering, then the
  // lower group.
  const Node* best = nullptr;
  for (const auto& node : nodes) {  // lower groups come first: a later one must be strictly better
    if (!usable(*node)) continue;
    if (best == nullptr || tried.count(node->index) < tried.count(best->index) ||
        (tried.count(node->index) == tried.count(best->index) && recovering(*best) && !recovering(*node))) {
      best = node.get();
    }
  }
  if (best == nullptr) return {};
  const std::uint32_t count = tried.count(best->index);
  const auto candidate = [&](const Node& node) {
    return node.spec.group == best->spec.group && usable(node) && tried.count(node.index) == count;
  };
  std::size_t size = 0;
  for (const auto& node : nodes) size += candidate(*node) ? 1U : 0U;
  if (size < 2) return {};  // the ordered choice finds it

  const auto nth = [&](std::size_t n) -> Node* {
    for (const auto& node : nodes) {
      if (candidate(*node) && n-- == 0) return node.get();
    }
    return nullptr;  // somebody's health changed between the two looks
  };
  for (int round = 0; round < rounds; ++round) {
    const auto drawn = two(size);
    Node* first = nth(drawn.first);
    Node* second = nth(drawn.second);
    if (first == nullptr || second == nullptr) break;
    // With somebody healthy in the group two newcomers leave the place to him: draw again.
    if (!recovering(*best) && recovering(*first) && recovering(*second)) continue;
    return elect(*first, *second, now);
  }
  return {};
}

/// Of two drawn endpoints the less loaded. One that is recovering stands for election with a probability that grows
/// over the ramp; two of them share alike.
MLFLOWHA_INLINE EndpointSet::Lease EndpointSet::Impl::elect(Node& first, Node& second, TimePoint now) noexcept {
  const Ticks at_now = ticks(now);
  const bool first_stands = admitted_by_ramp(first, at_now);
  const bool second_stands = admitted_by_ramp(second, at_now);
  bool second_wins = second_stands;
  if (first_stands == second_stands) {
    const double a = detail::load(first.latency_now(at_now, tau), first.in_flight.load(std::memory_order_relaxed));
    const double b = detail::load(second.latency_now(at_now, tau), second.in_flight.load(std::memory_order_relaxed));
    second_wins = detail::second_wins(a, b, a == b && (draws.next() >> 63) != 0);
  }
  if (Lease out = try_lease(second_wins ? second : first, now)) return out;
  return try_lease(second_wins ? first : second, now);
}

MLFLOWHA_INLINE bool EndpointSet::Impl::admitted_by_ramp(const Node& node, Ticks now) noexcept {
  if (node.opinion() == EndpointHealth::healthy) return true;
  const Ticks age = now - node.recovering_since.load(std::memory_order_relaxed);
  return age >= options.ramp.count() ||
         uniform(draws) * static_cast<double>(options.ramp.count()) < static_cast<double>(age);
}

/// Those that may not work: set back by a Retry-After, suspect, or with a breaker that admits a probe.
MLFLOWHA_INLINE EndpointSet::Lease EndpointSet::Impl::pick_doubtful(TimePoint now, const Tried& tried,
                                                                    bool fresh_only) noexcept {
  const Ticks at_now = ticks(now);
  for (std::uint64_t floor = 0;;) {
    Node* best = nullptr;
    std::uint64_t best_key = std::numeric_limits<std::uint64_t>::max();
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      Node& node = *nodes[i];
      const std::uint64_t word = node.word.load(std::memory_order_relaxed);
      if (barred(word) || !suits(node, at_now, tried) || !node.breaker.would_admit(now)) continue;
      if (fresh_only && tried.count(node.index) != 0) continue;
      const BreakerState state = node.breaker.state(now);
      const std::uint64_t rank = state == BreakerState::open || state == BreakerState::half_open ? 2
                                 : works(word)                                                   ? 0
                                                                                                 : 1;
      const std::uint64_t key =
          (std::min<std::uint64_t>(tried.count(node.index), 0xFFFF) << 40) | (rank << 36) | (i + 1);
      if (key > floor && key < best_key) {
        best = &node;
        best_key = key;
      }
    }
    if (best == nullptr) return {};
    if (Lease out = try_lease(*best, now)) return out;
    floor = best_key;
  }
}

MLFLOWHA_INLINE EndpointSet::Lease EndpointSet::Impl::pick_in_panic(TimePoint now, const Tried& tried,
                                                                    bool fresh_only) noexcept {
  const Ticks at_now = ticks(now);
  if (at_now < panic_at.load(std::memory_order_relaxed)) return {};
  Node* rested = nullptr;
  for (const auto& node : nodes) {
    if (barred(node->word.load(std::memory_order_relaxed)) || node->breaker.state(now) != BreakerState::open) continue;
    if ((fresh_only && tried.count(node->index) != 0) || !suits(*node, at_now, tried)) continue;
    const Ticks fault = node->last_fault.load(std::memory_order_relaxed);
    if (at_now - fault < options.panic_interval.count()) continue;
    if (rested == nullptr || fault < rested->last_fault.load(std::memory_order_relaxed)) rested = node.get();
  }
  if (rested == nullptr || !pass_panic_gate(at_now)) return {};
  CircuitBreaker::Permit permit = rested->breaker.try_acquire_early(now);
  return permit ? lease(*rested, std::move(permit)) : Lease();
}

/// One early attempt per panic_interval for the whole set, whoever comes first.
MLFLOWHA_INLINE bool EndpointSet::Impl::pass_panic_gate(Ticks now) noexcept {
  Ticks expected = panic_at.load(std::memory_order_relaxed);
  return now >= expected && panic_at.compare_exchange_strong(expected, now + jittered(options.panic_interval).count(),
                                                             std::memory_order_relaxed);
}

/// Why nobody could be picked, and when to come back.
MLFLOWHA_INLINE void EndpointSet::Impl::explain_empty_pick(TimePoint now, const Tried& tried, Pick& pick) noexcept {
  bool too_old = false;
  bool others = false;
  const auto consider = [&pick](TimePoint at) {
    if (!pick.retry_at || at < *pick.retry_at) pick.retry_at = at;
  };
  for (const auto& node : nodes) {
    if (barred(node->word.load(std::memory_order_relaxed))) continue;
    if (!suits(*node, ticks(now), tried)) {
      too_old = true;
      continue;
    }
    others = true;
    if (node->breaker.state(now) != BreakerState::open) {  // half-open: another call is finding out
      consider(now);
      continue;
    }
    if (const std::optional<TimePoint> opens = node->breaker.retry_at()) consider(*opens);
    const Ticks rested = node->last_fault.load(std::memory_order_relaxed) + options.panic_interval.count();
    consider(time_point(std::max(rested, panic_at.load(std::memory_order_relaxed))));
  }
  pick.all_too_old = too_old && !others;
  pick.all_refused = !too_old && !others;
  if (pick.retry_at && *pick.retry_at <= now) pick.retry_at = now + jittered(watch_interval);
}

/// +-20 %, so that clients and endpoints don't move in step.
MLFLOWHA_INLINE Duration EndpointSet::Impl::jittered(Duration interval) noexcept {
  return Duration(static_cast<Ticks>(static_cast<double>(interval.count()) * (0.8 + 0.4 * uniform(*rng))));
}

// ------------------------------------------------------------------------------------------------------ what is seen

MLFLOWHA_INLINE Fit EndpointSet::fit(EndpointIndex index, TimePoint now, Release needs) const noexcept {
  return Impl::fit(impl_->at(index), Impl::ticks(now), needs);
}

MLFLOWHA_INLINE Release EndpointSet::release(EndpointIndex index) const noexcept {
  return impl_->at(index).release.load(std::memory_order_relaxed);
}

MLFLOWHA_INLINE EndpointHealth EndpointSet::health(EndpointIndex index, TimePoint now) const noexcept {
  return impl_->view(impl_->at(index), now).health;
}

MLFLOWHA_INLINE std::vector<EndpointSet::EndpointSnapshot> EndpointSet::snapshot(TimePoint now) const {
  const Impl& impl = *impl_;
  const auto when = [](Impl::Ticks at) -> std::optional<TimePoint> {
    if (at == Impl::long_ago) return std::nullopt;
    return Impl::time_point(at);
  };
  std::vector<EndpointSnapshot> out(impl.nodes.size());
  const std::lock_guard<detail::ForkMutex> lock(impl.mutex);
  for (const auto& node : impl.nodes) {
    EndpointSnapshot& shot = out[node->index];
    shot.uri = node->spec.uri;
    shot.group = node->spec.group;
    shot.health = impl.view(*node, now).health;
    shot.breaker = node->breaker.snapshot(now);
    shot.identified = (node->word.load(std::memory_order_relaxed) & Impl::identified_flag) != 0;
    shot.release = node->release.load(std::memory_order_relaxed);
    shot.last_error = node->last_error;
    shot.last_error_at = node->last_error_at;
    shot.last_success_at = when(node->last_success.load(std::memory_order_relaxed));
    if (node->held(Impl::ticks(now))) shot.held_until = when(node->held_until.load(std::memory_order_relaxed));
    shot.latency_ewma = Duration(std::max<Impl::Ticks>(node->latency.load(std::memory_order_relaxed), 0));
    shot.in_flight = node->in_flight.load(std::memory_order_relaxed);
  }
  return out;
}

MLFLOWHA_INLINE BreakerState cluster_state(const std::vector<EndpointSet::EndpointSnapshot>& endpoints) noexcept {
  BreakerState best = BreakerState::open;
  for (const EndpointSet::EndpointSnapshot& endpoint : endpoints) {
    if (endpoint.health == EndpointHealth::refused) continue;
    if (endpoint.health != EndpointHealth::ejected) return BreakerState::closed;
    if (endpoint.breaker.state == BreakerState::half_open) best = BreakerState::half_open;
  }
  return best;
}

MLFLOWHA_END_NAMESPACE

#endif
