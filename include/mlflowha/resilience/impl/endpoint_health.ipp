#ifndef MLFLOWHA_RESILIENCE_IMPL_ENDPOINT_HEALTH_IPP
#define MLFLOWHA_RESILIENCE_IMPL_ENDPOINT_HEALTH_IPP

// The learning half of EndpointSet: what results do to health, side probes, identity and an operator's orders.

#include <mlflowha/resilience/endpoint_set.hpp>
#include <mlflowha/resilience/impl/endpoint_set_impl.hpp>
#include <mlflowha/resilience/impl/load.hpp>

#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <string>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

// ----------------------------------------------------------------------------------------------------------- latency

MLFLOWHA_INLINE std::optional<double> EndpointSet::Impl::Node::latency_now(Ticks now, double decay) const noexcept {
  const Ticks average = latency.load(std::memory_order_relaxed);
  if (average < 0) return std::nullopt;
  const Ticks age = now - latency_at.load(std::memory_order_relaxed);
  if (static_cast<double>(age) < decay * 1e-3) return static_cast<double>(average);  // spares a busy set the exp()
  return detail::decayed(static_cast<double>(average), static_cast<double>(age), decay);
}

/// Two threads may do this at once: one sample is lost, which an average forgives.
MLFLOWHA_INLINE void EndpointSet::Impl::Node::observe(Ticks now, Duration sample, double decay) noexcept {
  const Ticks average = latency.load(std::memory_order_relaxed);
  std::optional<double> before;
  if (average >= 0) before = static_cast<double>(average);
  const auto age = static_cast<double>(now - latency_at.load(std::memory_order_relaxed));
  const auto measured = static_cast<double>(std::max<Ticks>(sample.count(), 0));
  latency.store(static_cast<Ticks>(detail::peak_ewma(before, measured, age, decay)), std::memory_order_relaxed);
  latency_at.store(now, std::memory_order_relaxed);
}

/// A failure that comes back fast must not look like a fast endpoint.
MLFLOWHA_INLINE void EndpointSet::Impl::Node::punish(Ticks now, Duration sample) noexcept {
  const Ticks average = std::max<Ticks>(latency.load(std::memory_order_relaxed), 0);
  latency.store(
      std::min(std::max(sample.count(), std::min(average, punishment_max.count()) * 2), punishment_max.count()),
      std::memory_order_relaxed);
  latency_at.store(now, std::memory_order_relaxed);
}

// ----------------------------------------------------------------------------------------------------------- results

MLFLOWHA_INLINE void EndpointSet::report(Lease lease, TimePoint now, const Outcome& outcome,
                                         std::string_view detail) noexcept {
  if (!lease) return;
  Impl& impl = *impl_;
  Impl::Node& node = impl.at(lease.index_);
  const Impl::Ticks at_now = Impl::ticks(now);
  const bool alive = outcome.verdict == Verdict::success || outcome.verdict == Verdict::rejected;
  if (alive) {
    node.observe(at_now, outcome.latency, impl.tau);
    node.last_success.store(at_now, std::memory_order_relaxed);
    const std::uint64_t word = node.word.load(std::memory_order_relaxed);
    bool settled = Impl::health_in(word) == EndpointHealth::healthy;
    if (Impl::health_in(word) == EndpointHealth::recovering && word >> Impl::epoch_shift == lease.epoch_) {
      // Still on the way: count without the lock, take it only for the step that may complete the fail-back.
      settled = node.successes.fetch_add(1, std::memory_order_relaxed) + 1 < impl.options.failback_successes ||
                at_now - node.last_fault.load(std::memory_order_relaxed) < impl.options.failback_after.count();
    }
    if (settled && !outcome.release.is_asked() && !lease.side_probe_ && !lease.permit_.is_probe()) {
      lease.permit_.report(now, CallResult::success);  // never opens the breaker: nothing to see, nothing to tell
      return;
    }
  }
  impl.report_slowly(lease, now, outcome, detail);
}

MLFLOWHA_INLINE void EndpointSet::Impl::report_slowly(Lease& lease, TimePoint now, const Outcome& outcome,
                                                      std::string_view detail) noexcept {
  Node& node = at(lease.index_);
  const Ticks at_now = ticks(now);
  View before{};
  View after{};
  {
    const std::lock_guard<detail::ForkMutex> lock(mutex);
    before = view(node, now);
    const std::uint64_t epoch = node.word.load(std::memory_order_relaxed) >> epoch_shift;
    // A half-open breaker's lease is for the endpoint, not for a caller that comes back late.
    const TimePoint answered = lease.permit_.is_probe() ? now - outcome.unattended : now;
    switch (outcome.verdict) {
      case Verdict::success:
      case Verdict::rejected:
        lease.permit_.report(answered, CallResult::success);
        break;
      case Verdict::endpoint_fault:
        lease.permit_.report(now, CallResult::hard_failure);
        break;
      case Verdict::server_error:
        if (outcome.missing_operation && node.release.load(std::memory_order_relaxed).is_known()) {
          // An MLflow without this operation, and not a proxy without an MLflow: it is as well as ever.
          lease.permit_.report(answered, CallResult::success);
          break;
        }
        [[fallthrough]];
      case Verdict::overload:
        lease.permit_.report(now, CallResult::soft_failure);
        break;
      case Verdict::shared_backend:
        // The endpoint did answer; without this a database outage would keep half-open breakers from closing.
        if (lease.permit_.is_probe()) lease.permit_.report(answered, CallResult::success);
        break;
      case Verdict::wrong_endpoint:
      case Verdict::cancelled:
        break;
    }
    if (epoch == lease.epoch_ && outcome.release.is_asked()) {
      node.release_at.store(at_now, std::memory_order_relaxed);
      node.release.store(outcome.release, std::memory_order_relaxed);
    }
    learn(node, at_now, outcome, detail, epoch == lease.epoch_);
    if (node.breaker.state(now) == BreakerState::open && before.breaker != BreakerState::open) {
      node.last_fault.store(at_now, std::memory_order_relaxed);
      if (works(node.word.load(std::memory_order_relaxed))) suspect(node, at_now);  // opened by its failure rate
    }
    const bool new_phase = node.word.load(std::memory_order_relaxed) >> epoch_shift != epoch;
    if (lease.side_probe_ && !new_phase) schedule_probe(node, at_now, false, !outcome.sent);
    release(lease);
    after = view(node, now);
  }
  if (before == after) return;
  std::string_view reason = "attempt failed";
  if (outcome.verdict == Verdict::wrong_endpoint) {
    reason = "refused";
  } else if (after.breaker == BreakerState::open && before.breaker != BreakerState::open) {
    reason = before.breaker == BreakerState::half_open ? "probe failed" : "breaker opened";
  } else if (after.breaker == BreakerState::half_open) {
    reason = "probe succeeded";
  } else if (after.breaker == BreakerState::closed && before.breaker != BreakerState::closed) {
    reason = "breaker closed";
  } else if (after.health == EndpointHealth::recovering) {
    reason = "answers again";
  } else if (after.health == EndpointHealth::healthy) {
    reason = "earned its place back";
  }
  publish(node, now, before, after, reason, detail);
}

MLFLOWHA_INLINE void EndpointSet::Impl::learn(Node& node, Ticks now, const Outcome& outcome, std::string_view detail,
                                              bool current) noexcept {
  const EndpointHealth health = node.opinion();
  if (health == EndpointHealth::refused) return;
  switch (outcome.verdict) {
    case Verdict::success:
    case Verdict::rejected:
      if (!current) break;
      if (health == EndpointHealth::suspect) {
        node.successes.store(1, std::memory_order_relaxed);
        node.recovering_since.store(now, std::memory_order_relaxed);
        set_health(node, EndpointHealth::recovering, true);
        schedule_probe(node, now, true);
      } else if (health == EndpointHealth::recovering) {
        const BreakerState breaker = node.breaker.state(time_point(now));
        if (node.successes.load(std::memory_order_relaxed) >= options.failback_successes &&  // report() counts
            now - node.last_fault.load(std::memory_order_relaxed) >= options.failback_after.count() &&
            breaker != BreakerState::open && breaker != BreakerState::half_open) {
          set_health(node, EndpointHealth::healthy, false);
        }
      }
      break;
    case Verdict::endpoint_fault:
      remember_error(node, time_point(now), detail);
      node.punish(now, outcome.latency);
      if (!current) break;
      node.last_fault.store(now, std::memory_order_relaxed);
      if (health != EndpointHealth::suspect) suspect(node, now);
      break;
    case Verdict::overload:
      remember_error(node, time_point(now), detail);
      node.punish(now, outcome.latency);
      if (outcome.retry_after) {
        const Ticks until = now + std::min(*outcome.retry_after, options.hold_max).count();
        node.held_until.store(std::max(until, node.held_until.load(std::memory_order_relaxed)),
                              std::memory_order_relaxed);
      }
      break;
    case Verdict::server_error:  // may be the request's own fault: no suspicion, but no reason to prefer it either
      remember_error(node, time_point(now), detail);
      node.observe(now, std::max(outcome.latency, Duration(node.latency.load(std::memory_order_relaxed))), tau);
      break;
    case Verdict::wrong_endpoint:
      remember_error(node, time_point(now), detail);
      set_health(node, EndpointHealth::refused, true);
      set_flags(node, 0, identified_flag);
      break;
    case Verdict::shared_backend:
    case Verdict::cancelled:
      break;
  }
}

MLFLOWHA_INLINE void EndpointSet::Impl::suspect(Node& node, Ticks now) noexcept {
  node.successes.store(0, std::memory_order_relaxed);
  forget_release(node);  // what comes back may be another one
  set_health(node, EndpointHealth::suspect, true);
  schedule_probe(node, now, true);
}

MLFLOWHA_INLINE void EndpointSet::Impl::forget_release(Node& node) noexcept {
  node.release.store(Release(), std::memory_order_relaxed);
}

MLFLOWHA_INLINE void EndpointSet::Impl::set_health(Node& node, EndpointHealth health, bool new_epoch) noexcept {
  const std::uint64_t word = node.word.load(std::memory_order_relaxed);
  node.word.store(
      ((word & ~health_mask) | static_cast<std::uint64_t>(health)) + (new_epoch ? std::uint64_t{1} << epoch_shift : 0),
      std::memory_order_relaxed);
}

MLFLOWHA_INLINE void EndpointSet::Impl::set_flags(Node& node, std::uint64_t set, std::uint64_t clear) noexcept {
  node.word.store((node.word.load(std::memory_order_relaxed) & ~clear) | set, std::memory_order_relaxed);
}

MLFLOWHA_INLINE void EndpointSet::Impl::remember_error(Node& node, TimePoint now, std::string_view text) noexcept {
  constexpr std::size_t longest = 512;
  node.last_error_at = now;
  try {
    node.last_error.assign(text.substr(0, longest));
  } catch (const std::bad_alloc&) {
    node.last_error.clear();  // an error text isn't worth more
  }
}

MLFLOWHA_INLINE EndpointSet::Impl::View EndpointSet::Impl::view(const Node& node, TimePoint now) const noexcept {
  const BreakerState breaker = node.breaker.state(now);
  const EndpointHealth opinion = node.opinion();
  if (opinion == EndpointHealth::refused) return {opinion, breaker};
  const bool closed =
      breaker != BreakerState::open && breaker != BreakerState::half_open && breaker != BreakerState::forced_open;
  return {closed ? opinion : EndpointHealth::ejected, breaker};
}

MLFLOWHA_INLINE void EndpointSet::Impl::publish(const Node& node, TimePoint now, View before, View after,
                                                std::string_view reason, std::string_view detail) const noexcept {
  if (observer == nullptr || before == after) return;
  EndpointEvent event;
  event.endpoint = node.origin;
  event.health_before = before.health;
  event.health_after = after.health;
  event.breaker_before = before.breaker;
  event.breaker_after = after.breaker;
  event.reason = reason;
  event.at = now;
  std::string text;
  if (!detail.empty()) {
    try {
      text.append(reason).append(": ").append(detail);
      event.reason = text;
    } catch (const std::bad_alloc&) {
      event.reason = reason;
    }
  }
  observer->on_endpoint(event);
}

// ------------------------------------------------------------------------------------------------------- side probes

MLFLOWHA_INLINE EndpointSet::Lease EndpointSet::next_probe(TimePoint now) noexcept {
  if (Impl::ticks(now) < impl_->earliest_due.load(std::memory_order_relaxed)) return {};
  return impl_->probe_slowly(now);
}

MLFLOWHA_INLINE bool EndpointSet::Impl::wants_probe(const Node& node) const noexcept {
  const std::uint64_t word = node.word.load(std::memory_order_relaxed);
  if (barred(word)) return false;
  return health_in(word) != EndpointHealth::healthy || (identify && (word & identified_flag) == 0);
}

/// By this process, that is: a thread of a forked child's parent will never come back with its lease.
MLFLOWHA_INLINE bool EndpointSet::Impl::is_probed(const Node& node) noexcept {
  const std::int64_t prober = node.probing.load(std::memory_order_acquire);
  return prober != 0 && prober == ::getpid();
}

MLFLOWHA_INLINE EndpointSet::Lease EndpointSet::Impl::probe_slowly(TimePoint now) noexcept {
  const std::unique_lock<detail::ForkMutex> lock(mutex, std::try_to_lock);
  if (!lock.owns_lock()) return {};  // somebody else is at it
  const Ticks at_now = ticks(now);

  // The endpoint that a new call would ask is left to the calls: they find out themselves, and a probe beside them
  // would only be load.
  const Node* spared = first_choice(at_now);
  Lease out;
  while (spared != nullptr && !out) {
    Node* due = nullptr;
    for (const auto& node : nodes) {
      if (node.get() == spared || !wants_probe(*node) || is_probed(*node)) continue;
      const Ticks at = node->probe_due.load(std::memory_order_relaxed);
      if (at <= at_now && (due == nullptr || at < due->probe_due.load(std::memory_order_relaxed))) due = node.get();
    }
    if (due == nullptr) break;
    // Early, because a side probe makes nobody wait; its own growing gap keeps it rare. A breaker's open time protects
    // users from an endpoint, and must not outlast the endpoint's recovery.
    if (CircuitBreaker::Permit permit = due->breaker.try_acquire_early(now)) {
      out = lease(*due, std::move(permit));
      out.side_probe_ = true;
      due->probing.store(::getpid(), std::memory_order_relaxed);
      due->probe_due.store(at_now + jittered(due->probe_gap).count(), std::memory_order_relaxed);
    } else {  // a call is probing it
      due->probe_due.store(at_now + jittered(watch_interval).count(), std::memory_order_relaxed);
    }
  }
  recompute_earliest_due(at_now, spared);
  return out;
}

/// Whom a new call would ask first.
MLFLOWHA_INLINE const EndpointSet::Impl::Node* EndpointSet::Impl::first_choice(Ticks now) const noexcept {
  const auto rank = [&](const Node& node) {
    const std::uint64_t word = node.word.load(std::memory_order_relaxed);
    if (works(word) && !node.held(now)) return health_in(word) == EndpointHealth::healthy ? 0 : 1;
    return node.breaker.state(time_point(now)) == BreakerState::closed ? 2 : 3;
  };
  const Node* best = nullptr;
  for (const auto& node : nodes) {
    if (barred(node->word.load(std::memory_order_relaxed))) continue;
    if (best == nullptr || rank(*node) < rank(*best)) best = node.get();
  }
  return best;
}

/// After a result, or from the start of a new phase: the gap doubles until something changes.
MLFLOWHA_INLINE void EndpointSet::Impl::schedule_probe(Node& node, Ticks now, bool from_start, bool refused) noexcept {
  const Duration longest =
      refused ? std::min(options.probe_refused_max, options.probe_interval_max) : options.probe_interval_max;
  node.probe_gap = from_start ? options.probe_interval : std::min(node.probe_gap * 2, longest);
  Ticks due = now + jittered(node.probe_gap).count();
  if (node.opinion() == EndpointHealth::recovering) {
    // Not later than the moment at which a success can complete the fail-back.
    const TimePoint last_fault = time_point(node.last_fault.load(std::memory_order_relaxed));
    const Ticks failback = Deadline::after(last_fault, options.failback_after).at().time_since_epoch().count();
    if (failback > now) due = std::min(due, failback);
  }
  node.probe_due.store(due, std::memory_order_relaxed);
  lower_earliest_due(due);
}

MLFLOWHA_INLINE void EndpointSet::Impl::lower_earliest_due(Ticks due) noexcept {
  Ticks seen = earliest_due.load(std::memory_order_relaxed);
  while (due < seen && !earliest_due.compare_exchange_weak(seen, due, std::memory_order_relaxed)) {
  }
}

MLFLOWHA_INLINE void EndpointSet::Impl::recompute_earliest_due(Ticks now, const Node* spared) noexcept {
  // First "never", then downwards, so that what a dropped lease lowers meanwhile isn't lost.
  earliest_due.store(end_of_time, std::memory_order_relaxed);
  for (const auto& node : nodes) {
    if (!wants_probe(*node)) continue;
    Ticks due = node->probe_due.load(std::memory_order_relaxed);
    if (spared == nullptr || node.get() == spared) due = std::max(due, now + options.probe_interval.count());
    // The end of its lease lowers this. A forked child may have to do without.
    if (is_probed(*node)) due = std::max(due, now + options.probe_interval_max.count());
    lower_earliest_due(due);
  }
}

// ----------------------------------------------------------------------------------------------- identity and orders

MLFLOWHA_INLINE void EndpointSet::mark_identified(EndpointIndex index) noexcept {
  const std::lock_guard<detail::ForkMutex> lock(impl_->mutex);
  Impl::Node& node = impl_->at(index);
  if (node.opinion() != EndpointHealth::refused) impl_->set_flags(node, Impl::identified_flag, 0);
}

MLFLOWHA_INLINE void EndpointSet::refuse(EndpointIndex index, TimePoint now, std::string_view reason) noexcept {
  Impl::Node& node = impl_->at(index);
  Impl::View before{};
  Impl::View after{};
  {
    const std::lock_guard<detail::ForkMutex> lock(impl_->mutex);
    before = impl_->view(node, now);
    Outcome outcome;
    outcome.verdict = Verdict::wrong_endpoint;
    impl_->learn(node, Impl::ticks(now), outcome, reason, true);
    after = impl_->view(node, now);
  }
  impl_->publish(node, now, before, after, "refused", reason);
}

MLFLOWHA_INLINE void EndpointSet::reset(TimePoint now, std::optional<EndpointIndex> index) noexcept {
  for (const auto& node : impl_->nodes) {
    if (index && node->index != *index) continue;
    Impl::View before{};
    Impl::View after{};
    {
      const std::lock_guard<detail::ForkMutex> lock(impl_->mutex);
      before = impl_->view(*node, now);
      node->breaker.reset(now);
      impl_->set_flags(*node, 0, Impl::forced_open_flag);
      Impl::forget_release(*node);
      impl_->set_health(*node, EndpointHealth::healthy, true);
      node->held_until.store(Impl::long_ago, std::memory_order_relaxed);
      node->last_fault.store(Impl::long_ago, std::memory_order_relaxed);
      impl_->panic_at.store(Impl::long_ago, std::memory_order_relaxed);
      impl_->schedule_probe(*node, Impl::ticks(now), true);
      after = impl_->view(*node, now);
    }
    impl_->publish(*node, now, before, after, "reset by an operator", {});
  }
}

MLFLOWHA_INLINE void EndpointSet::set_override(TimePoint now, CircuitBreaker::Override order,
                                               std::optional<EndpointIndex> index) noexcept {
  for (const auto& node : impl_->nodes) {
    if (index && node->index != *index) continue;
    Impl::View before{};
    Impl::View after{};
    {
      const std::lock_guard<detail::ForkMutex> lock(impl_->mutex);
      before = impl_->view(*node, now);
      node->breaker.set_override(now, order);
      const bool open = order == CircuitBreaker::Override::forced_open;
      impl_->set_flags(*node, open ? Impl::forced_open_flag : 0, open ? 0 : Impl::forced_open_flag);
      if (open) Impl::forget_release(*node);  // maintenance, perhaps an upgrade
      if (!open) impl_->schedule_probe(*node, Impl::ticks(now), true);
      after = impl_->view(*node, now);
    }
    impl_->publish(*node, now, before, after, "ordered by an operator", {});
  }
}

MLFLOWHA_END_NAMESPACE

#endif
