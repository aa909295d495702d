#ifndef MLFLOWHA_CLIENT_IMPL_ENGINE_IPP
#define MLFLOWHA_CLIENT_IMPL_ENGINE_IPP

#include <mlflowha/api/secrets.hpp>
#include <mlflowha/client/impl/engine.hpp>

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <exception>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// What one call accumulates on its way.
struct Engine::Call {
  const api::Operation& operation;
  api::PreparedRequest& prepared;
  const CallOptions& options;
  TimePoint start;
  Deadline deadline;
  std::string id;
  int attempts = 0;
  bool may_be_done = false;              // an attempt of this call has left its fate open
  std::vector<AttemptRecord> story{};    // failures only, unless an observer listens
  std::optional<Error> last_error{};     // of the last attempt of the call itself
  std::optional<Error> last_obstacle{};  // of the last attempt of any purpose
  Response answer{};
  std::string summary{};
};

MLFLOWHA_INLINE std::string_view to_string(Purpose purpose) noexcept {
  switch (purpose) {
    case Purpose::call:
      return "call";
    case Purpose::verify:
      return "verify";
    case Purpose::identify:
      return "identify";
    case Purpose::ask_release:
      return "version";
  }
  return "call";
}

MLFLOWHA_INLINE std::vector<EndpointSpec> endpoint_specs(const Config& config) {
  std::vector<EndpointSpec> specs;
  for (const Uri& uri : config.endpoints()) specs.push_back({uri, 0});
  return specs;
}

MLFLOWHA_INLINE Engine::Engine(Config configuration, std::shared_ptr<Transport> carrier)
    : config(std::move(configuration)),
      clock(config.options().clock ? config.options().clock : system_clock()),
      rng(config.options().rng ? config.options().rng : process_rng()),
      transport(std::move(carrier)),
      observer(config.options().observer),
      endpoints(endpoint_specs(config), config.pool(), rng, observer),
      budget(config.options().retry.budget),
      twins(config.options().exactly_once.watch_for),
      call_prefix_(rng->next()),
      call_prefix_process_(::getpid()) {}

MLFLOWHA_INLINE std::string Engine::next_call_id() {
  // As "{:016x}-{:x}"; by hand, because it is part of every call.
  static constexpr char digits[] = "0123456789abcdef";
  if (const std::int64_t process = ::getpid(); call_prefix_process_.load(std::memory_order_acquire) != process) {
    // A forked child. Not from `rng`, which may give the same numbers to each child.
    call_prefix_.store(process_rng()->next(), std::memory_order_relaxed);
    call_prefix_process_.store(process, std::memory_order_release);
  }
  const std::uint64_t prefix = call_prefix_.load(std::memory_order_relaxed);
  const std::uint64_t number = next_call_.fetch_add(1, std::memory_order_relaxed);
  std::string id;
  id.reserve(33);
  for (int shift = 60; shift >= 0; shift -= 4) id += digits[prefix >> static_cast<unsigned>(shift) & 15U];
  id += '-';
  int shift = 60;
  while (shift > 0 && number >> static_cast<unsigned>(shift) == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) id += digits[number >> static_cast<unsigned>(shift) & 15U];
  return id;
}

MLFLOWHA_INLINE Result<Response> Engine::execute(const api::Operation& operation, api::PreparedRequest&& prepared,
                                                 const CallOptions& options) {
  const TimePoint start = clock->now();
  const TimeoutOptions& limits = config.options().timeouts;
  const Duration timeout = options.timeout.value_or(limits.call_with(prepared.transfer));
  Call call{operation, prepared, options, start, Deadline::after(start, timeout), next_call_id()};
  prepared.http.headers.push_back({"X-Request-Id", call.id});

  run_side_jobs(start);
  std::optional<CallPlanOptions> patient;
  if (prepared.transfer != 0) {
    patient = config.plan();
    patient->attempt_timeout += limits.for_transfer(prepared.transfer);
  }
  CallPlan plan(patient ? *patient : config.plan(), prepared.idempotency, call.deadline, endpoints, budget, *rng,
                release_needed(operation));
  CallPlan::Action action = options.cancel.stop_requested() ? CallPlan::Action(plan.cancel()) : plan.start(start);
  TimePoint now = start;
  for (;;) {
    if (const auto* attempt = std::get_if<CallPlan::Attempt>(&action)) {
      ++call.attempts;
      Outcome outcome;
      switch (attempt->purpose) {
        case Purpose::call:
          outcome = attempt_call(call, *attempt, now);
          break;
        case Purpose::verify:
          outcome = attempt_verify(call, *attempt, now);
          break;
        case Purpose::identify:
          outcome = attempt_identify(call, *attempt, now);
          break;
        case Purpose::ask_release:
          outcome = attempt_ask_release(call, *attempt, now);
          break;
      }
      now = clock->now();
      action = plan.resume(now, outcome, call.summary);
    } else if (const auto* sleep = std::get_if<CallPlan::Sleep>(&action)) {
      clock->sleep_until(sleep->until, options.cancel);
      now = clock->now();
      run_side_jobs(now);
      action = options.cancel.stop_requested() ? CallPlan::Action(plan.cancel()) : plan.wake(now);
    } else {
      Result<Response> result = finish(call, std::get<CallPlan::Done>(action));
      run_side_jobs(clock->now());
      return result;
    }
  }
}

MLFLOWHA_INLINE TransportResult Engine::carry(Call& call, const CallPlan::Attempt& attempt,
                                              const Request& request) noexcept {
  AttemptTimeouts timeouts{attempt.connect_timeout, attempt.timeout};
  if (call.prepared.transfer != 0) {
    const Duration usual = config.options().timeouts.attempt;
    timeouts.stall = usual;
    // What is asked of the endpoint before and after carries no file.
    if (attempt.purpose != Purpose::call) timeouts.total = std::min(timeouts.total, usual);
  }
  return transport->perform(endpoints.uri(attempt.endpoint), request, timeouts, call.options.cancel);
}

MLFLOWHA_INLINE int status_of(const TransportResult& result) noexcept {
  const auto* response = std::get_if<Response>(&result);
  return response != nullptr ? response->status : 0;
}
MLFLOWHA_INLINE int code_of(const TransportResult& result) noexcept {
  const auto* failure = std::get_if<TransportFailure>(&result);
  return failure != nullptr ? failure->transport_code : 0;
}

MLFLOWHA_INLINE void Engine::note_attempt(Call& call, const CallPlan::Attempt& attempt, TimePoint began,
                                          Classification& result, int http_status, int transport_code) {
  if (result.error && call.operation.has_secrets()) {  // what the server said may repeat what it was told
    const std::string_view body = call.prepared.http.body;
    result.error->message = api::without_secrets(call.operation, body, std::move(result.error->message));
    result.summary = api::without_secrets(call.operation, body, std::move(result.summary));
  }
  call.summary = result.summary;
  const bool good = !result.error.has_value();
  if (good && observer == nullptr) return;
  AttemptRecord record;
  record.endpoint = endpoints.uri(attempt.endpoint).origin();
  record.purpose = to_string(attempt.purpose);
  record.outcome = result.summary;
  record.started = began - call.start;
  record.duration = result.outcome.latency;
  record.http_status = http_status;
  record.transport_code = transport_code;
  record.maybe_applied = result.outcome.maybe_applied;
  if (observer) observer->on_attempt({call.operation.name, call.id, attempt.number, record});
  call.story.push_back(std::move(record));
}

MLFLOWHA_INLINE Outcome Engine::attempt_call(Call& call, const CallPlan::Attempt& attempt, TimePoint began) {
  TransportResult result = carry(call, attempt, call.prepared.http);
  Classification c = classify(result, context_of(call.operation), clock->wall_now());
  c.outcome.latency = clock->now() - began;
  // Without a request tag only content can be compared, and equal content is ours only where we may have sent it.
  if (call.prepared.request_tag.empty() && !call.may_be_done) c.outcome.already_done = false;
  call.may_be_done = call.may_be_done || c.outcome.maybe_applied;
  note_attempt(call, attempt, began, c, status_of(result), code_of(result));
  if (auto* response = std::get_if<Response>(&result)) call.answer = std::move(*response);
  if (!c.error && call.answer.status >= 400) {  // an error that says that all is as it was asked to be
    call.answer.status = 200;
    call.answer.body = "{}";
  }
  if (c.error) {
    call.last_obstacle = c.error;
    call.last_error = std::move(c.error);
  }
  return c.outcome;
}

/// What a recipe is told of the create that a call carries out.
MLFLOWHA_INLINE RecipeKey key_of(const RecipeRow& recipe, const api::PreparedRequest& prepared) {
  RecipeKey key{prepared.scope, prepared.request_tag, prepared.http.body};
  key.apart = recipe.is_apart != nullptr && recipe.is_apart(key);
  return key;
}

MLFLOWHA_INLINE Outcome Engine::attempt_verify(Call& call, const CallPlan::Attempt& attempt, TimePoint began) {
  const RecipeRow* recipe = recipe_row(call.operation.recipe);
  const RecipeKey key = recipe != nullptr ? key_of(*recipe, call.prepared) : RecipeKey();
  const Result<Request> request = recipe != nullptr
                                      ? recipe->look_request(key)
                                      : Result<Request>(invalid_argument("no recipe to look this create's object up"));
  if (!request) {  // most of the key was checked when the call was prepared
    call.last_obstacle = request.error();
    call.summary = request.error().message;
    Outcome outcome;
    outcome.verdict = Verdict::rejected;
    outcome.sent = false;
    return outcome;
  }
  TransportResult result = carry(call, attempt, *request);
  Classification c = classify(result, context_of(*recipe->look), clock->wall_now());
  c.outcome.latency = clock->now() - began;
  if (c.outcome.verdict == Verdict::rejected && c.error && c.error->kind() == ErrorKind::not_found) {
    c.outcome.verdict = Verdict::success;  // a name that isn't there: the search itself succeeded
    c.outcome.found = Found::absent;
    c.error.reset();
  } else if (c.outcome.verdict == Verdict::success) {
    Result<Finding> finding = recipe->read(key, std::get<Response>(result));
    if (finding) {
      c.outcome.found = finding->found();
      if (finding->found() == Found::present) call.answer = std::move(finding->answer);
    } else {
      c.outcome.verdict = Verdict::server_error;
      c.summary = finding.error().message;
      c.error = std::move(finding).error();
    }
  }
  note_attempt(call, attempt, began, c, status_of(result), code_of(result));
  if (c.error) call.last_obstacle = std::move(c.error);
  return c.outcome;
}

MLFLOWHA_INLINE Outcome Engine::attempt_identify(Call& call, const CallPlan::Attempt& attempt, TimePoint began) {
  const TransportResult result = carry(call, attempt, identity_request());
  Classification c = classify(result, context_of(identity_operation()), clock->wall_now());
  c.outcome = judge_identity(attempt.endpoint, c, result);
  c.outcome.latency = clock->now() - began;
  note_attempt(call, attempt, began, c, status_of(result), code_of(result));
  if (c.error) call.last_obstacle = std::move(c.error);
  return c.outcome;
}

MLFLOWHA_INLINE Outcome Engine::attempt_ask_release(Call& call, const CallPlan::Attempt& attempt, TimePoint began) {
  const TransportResult result = carry(call, attempt, release_request());
  Classification c = classify(result, context_of(release_operation()), clock->wall_now());
  c.outcome.latency = clock->now() - began;
  note_attempt(call, attempt, began, c, status_of(result), code_of(result));
  switch (c.outcome.verdict) {
    case Verdict::success:
      c.outcome.release = read_release(std::get<Response>(result));
      break;
    case Verdict::rejected:
    case Verdict::server_error:
      // It answers, but doesn't tell: a proxy that keeps /version to itself, a login that may not read it. Whether it
      // has the operation shows when it is tried.
      c.outcome.verdict = Verdict::success;
      c.outcome.release = Release::untold();
      break;
    case Verdict::overload:
    case Verdict::shared_backend:
    case Verdict::endpoint_fault:
    case Verdict::wrong_endpoint:
    case Verdict::cancelled:
      if (c.error) call.last_obstacle = std::move(c.error);
      break;
  }
  return c.outcome;
}

/// Turns the answer to identity_request into an outcome; marks the endpoint where it is one of us.
MLFLOWHA_INLINE Outcome Engine::judge_identity(EndpointIndex index, Classification& c, const TransportResult& answer) {
  if (c.outcome.verdict == Verdict::rejected && c.error) {
    // 401 or 403 here will meet the call itself, which reports it better; it says nothing about the database.
    endpoints.mark_identified(index);
    c.outcome.verdict = Verdict::success;
    return c.outcome;
  }
  if (c.outcome.verdict != Verdict::success) return c.outcome;
  const std::string origin = endpoints.uri(index).origin();
  const Result<Fingerprint> fingerprint = read_fingerprint(std::get<Response>(answer));
  if (!fingerprint) {
    c.outcome.verdict = Verdict::server_error;
    c.summary = fingerprint.error().message;
    c.error = fingerprint.error();
    return c.outcome;
  }
  if (config.pool().check_identity && identity.compare(*fingerprint, origin) == IdentityBook::Verdict::other) {
    Error error;
    error.code = Errc::wrong_database;
    error.message = identity.explain(*fingerprint, origin);
    c.outcome.verdict = Verdict::wrong_endpoint;
    c.summary = error.message;
    c.error = std::move(error);
    return c.outcome;
  }
  endpoints.mark_identified(index);
  return c.outcome;
}

MLFLOWHA_INLINE Error Engine::give_up(Call& call, const CallPlan::Done& done) {
  // What the call itself met says most; where it met nothing (no attempt went out), what stood in its way.
  Error error;
  if (call.last_error) {
    error = std::move(*call.last_error);
  } else if (call.last_obstacle) {
    error = std::move(*call.last_obstacle);
  }
  const bool met_something = call.last_error.has_value() || call.last_obstacle.has_value();
  const std::string last = met_something ? fmt::format("; last: {}", error.message) : std::string();
  const auto rename = [&](Errc code, std::string_view why) {
    error.code = code;
    error.message = fmt::format("{}{}", why, last);
  };
  switch (done.reason) {
    case StopReason::deadline:
      rename(Errc::deadline_exceeded,
             fmt::format("no success in {} s and {} attempts",
                         std::chrono::duration<double>(clock->now() - call.start).count(), call.attempts));
      break;
    case StopReason::budget:
      rename(Errc::budget_exhausted, "the retry budget of this client is spent");
      break;
    case StopReason::circuit_open:
      rename(Errc::circuit_open, "every endpoint's circuit breaker is open");
      break;
    case StopReason::no_endpoint:
      if (error.code != Errc::wrong_database) rename(Errc::no_endpoint, "every endpoint is refused or forced open");
      break;
    case StopReason::cancelled:
      rename(Errc::cancelled, "cancelled by the caller");
      break;
    case StopReason::unsupported:
      error = Error();
      rename(Errc::unsupported_by_server, explain_releases(call.operation, endpoints));
      break;
    case StopReason::none:
    case StopReason::permanent:
    case StopReason::non_idempotent:
    case StopReason::attempts_exhausted:
      break;
  }
  if (done.reason != StopReason::unsupported) explain_missing_operation(call, done.reason, error);
  error.stop_reason = done.reason;
  error.effect = done.effect;
  error.request_id = call.id;
  if (done.effect == Effect::unknown && !call.prepared.request_tag.empty()) {
    error.message += fmt::format("; if it was carried out, the object has the tag {} = {}", api::request_tag_key,
                                 call.prepared.request_tag);
  }
  std::erase_if(call.story, [](const AttemptRecord& record) { return record.outcome == "ok"; });
  error.attempts = std::move(call.story);
  return error;
}

/// Whoever gets "no such operation", or waited in vain for a newer server, wants to know who runs what.
MLFLOWHA_INLINE void Engine::explain_missing_operation(const Call& call, StopReason reason, Error& error) const {
  const Release needs = release_needed(call.operation);
  bool left_out = false;
  const bool in_vain = reason != StopReason::permanent && reason != StopReason::cancelled && reason != StopReason::none;
  for (EndpointIndex index = 0; in_vain && index < endpoints.size(); ++index) {
    left_out = left_out || (endpoints.release(index).is_known() && endpoints.release(index) < needs);
  }
  // A server that says 501 knows the operation, and its words say what is the matter.
  if ((error.code == Errc::not_implemented && error.http_status != 501) || left_out) {
    error.message += fmt::format("; {}", explain_releases(call.operation, endpoints));
  }
}

MLFLOWHA_INLINE void Engine::watch_twins(Call& call, bool kept) {
  const RecipeRow* recipe = recipe_row(call.operation.recipe);
  if (recipe == nullptr || !recipe->may_have_twins()) return;
  const RecipeKey key = key_of(*recipe, call.prepared);
  if (!recipe->look_request(key)) return;  // no search can be told what for
  twins.add(clock->now(), {&call.operation, call.prepared.scope, call.prepared.request_tag,
                           kept ? recipe->created_id(call.answer) : std::string(), key.apart});
}

MLFLOWHA_INLINE Result<Response> Engine::finish(Call& call, const CallPlan::Done& done) {
  const auto publish = [&](const Error* error) {
    if (observer) {
      observer->on_call({call.operation.name, call.id, call.attempts, clock->now() - call.start, error});
    }
  };
  if (done.success) {
    if (done.ambiguous_attempts > 0) watch_twins(call, true);
    publish(nullptr);
    return std::move(call.answer);
  }
  Error error = give_up(call, done);
  if (error.effect == Effect::unknown) watch_twins(call, false);
  publish(&error);
  return error;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
