#ifndef MLFLOWHA_CLIENT_IMPL_SIDE_JOBS_IPP
#define MLFLOWHA_CLIENT_IMPL_SIDE_JOBS_IPP

#include <mlflowha/client/impl/engine.hpp>

#include <unistd.h>

#include <algorithm>
#include <mutex>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

// The client has no thread of its own. What must be found out besides the users' calls (is a dead endpoint back? has a
// stopped server applied an old create?) travels with them: requests that the transport moves forward without waiting.

MLFLOWHA_INLINE AttemptTimeouts Engine::side_timeouts() const noexcept {
  return {config.plan().connect_timeout, config.plan().attempt_timeout};
}

/// For work that can wait. Never the place that a call would need: a half-open breaker admits one attempt at a time,
/// and this one ends only when another call moves it forward.
MLFLOWHA_INLINE EndpointSet::Lease Engine::spare_lease(TimePoint now, const api::Operation& operation) noexcept {
  EndpointSet::Lease lease = endpoints.pick_fresh(now, EndpointSet::Tried(release_needed(operation)));
  return lease && !lease.needs_identity() && !lease.is_probe() ? std::move(lease) : EndpointSet::Lease();
}

/// Only creates whose recipe may have twins are watched, so there is one.
MLFLOWHA_INLINE const RecipeRow& recipe_of(const WatchedCreate& create) noexcept {
  return *recipe_row(create.operation->recipe);
}
MLFLOWHA_INLINE RecipeKey key_of(const WatchedCreate& create) noexcept {
  return {create.scope, create.request_tag, {}, create.apart};
}
/// One that has to stay is no reason to look on.
MLFLOWHA_INLINE bool is_settled(const WatchedCreate& create, const std::string& id) {
  return id == create.kept_id || std::find(create.left.begin(), create.left.end(), id) != create.left.end();
}
/// What a failed create left behind is nobody's and left alone, and so is what somebody has begun to use.
MLFLOWHA_INLINE bool Engine::may_remove(const WatchedCreate& create, bool in_use) const noexcept {
  return !create.kept_id.empty() && !in_use && config.options().exactly_once.remove_twins;
}

/// Twins are told by what they have in common with the kept object, so only where that is still among them.
MLFLOWHA_INLINE bool has_kept(const WatchedCreate& create, const Finding& finding) {
  return create.kept_id.empty() || std::any_of(finding.objects.begin(), finding.objects.end(),
                                               [&](const FoundObject& object) { return object.id == create.kept_id; });
}

MLFLOWHA_INLINE void Engine::run_side_jobs(TimePoint now) noexcept {
#if defined(__cpp_exceptions)
  try {
#endif
    let_parents_jobs_go(now);
    for (ProbeResult& ended : transport->poll_probes(probe_owner_)) {
      if (std::optional<SideJob> job = take_job(ended.id)) settle(std::move(*job), ended, now);
    }
    while (EndpointSet::Lease lease = endpoints.next_probe(now)) {
      SideJob job;
      job.lease = std::move(lease);
      job.started = now;
      (void)start_job(std::move(job), identity_request());
    }
    while (std::optional<WatchedCreate> due = twins.next_due(now)) {
      const auto request = recipe_of(*due).look_request(key_of(*due));
      if (!request) {  // nor will there ever be one
        twins.forget(due->request_tag);
        continue;
      }
      EndpointSet::Lease lease = spare_lease(now, *recipe_of(*due).look);
      if (!lease) {
        twins.again(now, due->request_tag);
        break;
      }
      SideJob job;
      job.kind = SideJob::Kind::find_twins;
      job.lease = std::move(lease);
      job.started = now;
      job.create = std::move(*due);
      if (!start_job(std::move(job), *request)) break;  // no room for more: the others stay due
    }
#if defined(__cpp_exceptions)
  } catch (const std::exception&) {
    // No memory: the work stays due and is taken up by a later call. The user's own call goes on.
  }
#endif
}

/// False when the transport doesn't take it; it is due again soon.
MLFLOWHA_INLINE bool Engine::start_job(SideJob job, const Request& request) {
  job.id = next_job_.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t id = job.id;
  const Uri& uri = endpoints.uri(job.lease.index());
  {
    const std::lock_guard<ForkMutex> lock(jobs_mutex_);
    jobs_.push_back(std::move(job));
    jobs_process_.store(::getpid(), std::memory_order_relaxed);
  }
  if (transport->start_probe(probe_owner_, id, uri, request, side_timeouts())) return true;
  const std::optional<SideJob> refused = take_job(id);
  if (refused && refused->kind != SideJob::Kind::probe) twins.again(clock->now(), refused->create.request_tag);
  return false;
}

MLFLOWHA_INLINE std::optional<Engine::SideJob> Engine::take_job(std::uint64_t id) {
  const std::lock_guard<ForkMutex> lock(jobs_mutex_);
  const auto at = std::find_if(jobs_.begin(), jobs_.end(), [&](const SideJob& job) { return job.id == id; });
  if (at == jobs_.end()) return std::nullopt;
  std::optional<SideJob> job = std::move(*at);
  jobs_.erase(at);
  if (jobs_.empty()) jobs_process_.store(0, std::memory_order_relaxed);
  return job;
}

/// After a fork the child has copies of its parent's jobs, and no result will ever come for them: their places are
/// given back, so that it can probe by itself. Looks begin anew: the parent's goes on, but the parent may end first,
/// and a twin that both remove is gone all the same.
MLFLOWHA_INLINE void Engine::let_parents_jobs_go(TimePoint now) {
  const std::int64_t process = jobs_process_.load(std::memory_order_relaxed);
  if (process == 0 || process == ::getpid()) return;
  std::vector<SideJob> inherited;  // ends after the lock
  {
    const std::lock_guard<ForkMutex> lock(jobs_mutex_);
    if (jobs_process_.load(std::memory_order_relaxed) != process) return;  // another thread was faster
    inherited.swap(jobs_);
    jobs_process_.store(0, std::memory_order_relaxed);
  }
  for (const SideJob& job : inherited) {
    if (job.kind != SideJob::Kind::probe) twins.again(now, job.create.request_tag);
  }
}

MLFLOWHA_INLINE const api::Operation& Engine::operation_of(const SideJob& job) noexcept {
  switch (job.kind) {
    case SideJob::Kind::find_twins:
      return *recipe_of(job.create).look;
    case SideJob::Kind::inspect_twin:
      return *recipe_of(job.create).inspect;
    case SideJob::Kind::remove_twin:
      return *recipe_of(job.create).remove;
    case SideJob::Kind::probe:
      break;
  }
  return identity_operation();
}

MLFLOWHA_INLINE void Engine::tell_of_twin(const WatchedCreate& create, const std::string& id,
                                          bool removed) const noexcept {
  if (observer) observer->on_twin({create.operation->name, create.kept_id, id, removed});
}

/// It is still there, which is told once, however often it is found.
MLFLOWHA_INLINE void Engine::tell_of_remaining(const WatchedCreate& create, const std::string& id) {
  if (twins.first_told(create.request_tag, id)) tell_of_twin(create, id, false);
}

/// Inspects or removes it, by a request that travels along.
MLFLOWHA_INLINE void Engine::take_up_twin(SideJob::Kind kind, const WatchedCreate& create, const std::string& id,
                                          TimePoint now) {
  const RecipeRow& recipe = recipe_of(create);
  const bool inspect = kind == SideJob::Kind::inspect_twin;
  const auto request = (inspect ? recipe.inspect_request : recipe.remove_request)(key_of(create), id);
  SideJob job;
  if (request) job.lease = spare_lease(now, inspect ? *recipe.inspect : *recipe.remove);
  if (!job.lease) {
    tell_of_remaining(create, id);
    if (!request) return twins.leave(create.request_tag, id);  // an id that no request can name
    twins.again(now, create.request_tag);
    return;
  }
  job.kind = kind;
  job.started = now;
  job.create = create;
  job.twin_id = id;
  (void)start_job(std::move(job), *request);
}

MLFLOWHA_INLINE void Engine::settle(SideJob job, const ProbeResult& ended, TimePoint now) {
  using Kind = SideJob::Kind;
  const TransportResult& result = ended.result;
  const EndpointIndex index = job.lease.index();
  Classification c = classify(result, context_of(operation_of(job)), clock->wall_now());
  if (job.kind == Kind::probe) c.outcome = judge_identity(index, c, result);
  c.outcome.latency = std::max(now - job.started - ended.unattended, Duration::zero());
  c.outcome.unattended = ended.unattended;
  endpoints.report(std::move(job.lease), now, c.outcome, c.summary);
  if (job.kind == Kind::probe) return;

  const WatchedCreate& create = job.create;
  if (job.kind == Kind::find_twins && c.error && c.error->kind() == ErrorKind::not_found) {
    twins.looked(now, create.request_tag);  // what it would belong to isn't there
    return;
  }
  const bool done = c.outcome.verdict == Verdict::success || c.outcome.already_done;
  if (!done) {
    const bool gone = c.error && is_not_found(*c.error);  // somebody else has removed it
    if (gone) return job.kind == Kind::remove_twin ? tell_of_twin(create, job.twin_id, true) : void();
    // A removal whose answer was lost may have been carried out: the next look would find nothing to tell of.
    if (job.kind == Kind::remove_twin) tell_of_remaining(create, job.twin_id);
    if (job.kind != Kind::find_twins && c.outcome.verdict == Verdict::rejected) {
      // No permission, for instance: each further attempt would get the same answer.
      tell_of_remaining(create, job.twin_id);
      return twins.leave(create.request_tag, job.twin_id);
    }
    return twins.failed(now, create.request_tag);
  }
  if (job.kind == Kind::remove_twin) return tell_of_twin(create, job.twin_id, true);
  const RecipeRow& recipe = recipe_of(create);
  if (job.kind == Kind::inspect_twin) {
    const Result<bool> in_use = recipe.is_in_use(std::get<Response>(result));
    if (!in_use) return twins.failed(now, create.request_tag);
    if (*in_use) return tell_of_remaining(create, job.twin_id);
    return take_up_twin(Kind::remove_twin, create, job.twin_id, now);
  }
  const Result<Finding> finding = recipe.read(key_of(create), std::get<Response>(result));
  if (!finding) return twins.failed(now, create.request_tag);
  // A create that failed has one object at the most: once reported there is nothing more to find.
  if (create.kept_id.empty() && !finding->objects.empty()) twins.forget(create.request_tag);
  const bool alone = std::all_of(finding->objects.begin(), finding->objects.end(),
                                 [&](const FoundObject& object) { return is_settled(create, object.id); });
  if (alone) twins.looked(now, create.request_tag);
  if (!has_kept(create, *finding)) return twins.looked(now, create.request_tag);
  for (const auto& [id, in_use] : finding->objects) {
    if (is_settled(create, id)) continue;
    if (may_remove(create, in_use)) {
      take_up_twin(recipe.inspect != nullptr ? Kind::inspect_twin : Kind::remove_twin, create, id, now);
    } else {
      tell_of_remaining(create, id);
    }
  }
}

MLFLOWHA_INLINE Result<ReconcileReport> Engine::reconcile(const CallOptions& options) {
  ReconcileReport report;
  const Deadline deadline = Deadline::after(clock->now(), options.timeout.value_or(config.options().timeouts.call));
  const auto call = [&](const api::Operation& operation, Result<Request> request) -> Result<Response> {
    if (!request) return std::move(request).error();
    api::PreparedRequest prepared;
    prepared.http = std::move(*request);
    prepared.idempotency = operation.idempotency;
    return execute(operation, std::move(prepared), {deadline.remaining(clock->now()), options.cancel});
  };
  std::optional<Error> first;  // whatever one of them meets, the others are looked after
  const auto note = [&](Error error) {
    if (!first) first = std::move(error);
  };
  for (const WatchedCreate& create : twins.all()) {
    const RecipeRow& recipe = recipe_of(create);
    auto response = call(*recipe.look, recipe.look_request(key_of(create)));
    ++report.looked_after;
    if (!response && is_not_found(response.error())) continue;
    if (!response) {
      note(std::move(response).error());
      continue;
    }
    auto finding = recipe.read(key_of(create), *response);
    if (!finding) {
      note(std::move(finding).error());
      continue;
    }
    if (!has_kept(create, *finding)) continue;
    for (const auto& [id, in_use] : finding->objects) {
      if (id == create.kept_id) continue;
      Twin twin{std::string(create.operation->name), create.kept_id, id, create.request_tag, false};
      bool used = in_use;
      if (may_remove(create, used) && recipe.inspect != nullptr) {
        auto one = call(*recipe.inspect, recipe.inspect_request(key_of(create), id));
        auto answer = one ? recipe.is_in_use(*one) : Result<bool>(one.error());
        if (!answer && !is_not_found(answer.error())) {
          note(std::move(answer).error());
          continue;
        }
        if (answer) used = *answer;
      }
      if (may_remove(create, used)) {
        auto removed = call(*recipe.remove, recipe.remove_request(key_of(create), id));
        if (!removed && !is_not_found(removed.error())) {  // one that is gone was removed by a look of another call
          tell_of_twin(create, id, false);
          note(std::move(removed).error());
          continue;
        }
        twin.removed = true;
      }
      tell_of_twin(create, id, twin.removed);
      report.twins.push_back(std::move(twin));
    }
  }
  if (first) return std::move(*first);
  return report;
}

MLFLOWHA_INLINE HealthSnapshot Engine::health() const {
  const TimePoint now = clock->now();
  const WallTime wall = clock->wall_now();
  const auto on_calendar = [&](const std::optional<TimePoint>& time) -> std::optional<WallTime> {
    if (!time) return std::nullopt;
    return wall + std::chrono::duration_cast<std::chrono::milliseconds>(*time - now);
  };
  HealthSnapshot health;
  const std::vector<EndpointSet::EndpointSnapshot> all = endpoints.snapshot(now);
  health.state = cluster_state(all);
  for (const EndpointSet::EndpointSnapshot& one : all) {
    EndpointStatus status;
    status.url = one.uri.base();
    status.health = one.health;
    status.breaker = one.breaker.state;
    status.failure_count = one.breaker.failure_count;
    status.success_count = one.breaker.success_count;
    status.last_error = one.last_error;
    status.last_error_time = on_calendar(one.last_error_at);
    status.last_success_time = on_calendar(one.last_success_at);
    status.next_probe_time = on_calendar(one.breaker.retry_at);
    status.latency_ms = std::chrono::duration<double, std::milli>(one.latency_ewma).count();
    status.in_flight = one.in_flight;
    status.identified = one.identified;
    status.version = to_text(one.release);
    health.failure_count += status.failure_count;
    health.success_count += status.success_count;
    if (status.last_error_time && (!health.last_failure_time || *health.last_failure_time < *status.last_error_time)) {
      health.last_failure_time = status.last_error_time;
    }
    health.endpoints.push_back(std::move(status));
  }
  health.retry_budget = budget.available();
  health.twins_watched = twins.size();
  health.taken_at = wall;
  return health;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
