#include "simulation/program.hpp"

#include <mlflowha/api/server.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace std::chrono_literals;

namespace mlflowha_tests {
namespace {

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

/// What was known when a call began.
struct Program::Before {
  TimePoint start;
  Duration timeout{};
  bool cancellable = false;
  Home home = Home::undecided;
  std::int32_t budget = 0;
  std::size_t unidentified = 0;
};

Program::Program(const World& world, Client client, std::shared_ptr<FakeClock> clock, WatchedTransport& transport,
                 Dice& dice, bool tell)
    : world_(world),
      client_(std::move(client)),
      clock_(std::move(clock)),
      transport_(transport),
      dice_(dice),
      tell_(tell),
      began_(clock_->now()) {}

// ---------------------------------------------------------------------------------------------------- what a call owes

CallOptions Program::draw_call_options() {
  CallOptions options;
  if (dice_.chance(0.15)) options.timeout = dice_.between(50ms, 20s);
  if (dice_.chance(0.05)) {
    const auto source = std::make_shared<CancellationSource>();
    options.cancel = source->get_token();
    clock_->schedule(clock_->now() + dice_.between(0ms, 2s), [source] { source->request_stop(); });
  }
  return options;
}

Program::Before Program::prepare(const Manner& manner, const CallOptions& options) {
  Before before;
  before.start = clock_->now();
  before.timeout = options.timeout.value_or(world_.options.timeouts.call);
  before.cancellable = options.cancel.stop_possible();
  before.home = transport_.home();
  const HealthSnapshot health = client_.health();
  before.budget = health.retry_budget;
  for (const EndpointStatus& endpoint : health.endpoints) before.unidentified += endpoint.identified ? 0U : 1U;
  if (world_.options.retry.budget.capacity > 0 && before.budget < world_.options.retry.budget.retry_cost) {
    ++coverage.spent_budgets;
  }
  transport_.begin_call(before.start + before.timeout, manner.needs_new);
  return before;
}

template <class Call>
auto Program::carry_out(const Manner& manner, const CallOptions& options, Call&& call) {
  const Before before = prepare(manner, options);
  auto result = call(options);
  if (tell_) {
    transport_.story.push_back(
        fmt::format("{:10.4f} {} -> {}", seconds(clock_->now() - began_), manner.what,
                    result ? std::string("ok")
                           : fmt::format("{}, effect {}, stopped by {}", result.error().message,
                                         to_string(result.error().effect), to_string(result.error().stop_reason))));
  }
  judge(manner, before, result ? nullptr : &result.error());
  transport_.end_call();
  return result;
}

template <class T>
Fate Program::fate_of(const Result<T>& result) {
  if (result) return Fate::acknowledged;
  return result.error().effect == Effect::none ? Fate::nothing : Fate::unknown;
}

void Program::complain(const Manner& manner, const std::string& text) {
  faults.push_back(fmt::format("{:.4f} s, {}: {}", seconds(clock_->now() - began_), manner.what, text));
}

/// How long a call may take that one server is there for. Each other server that may be silent costs an attempt's time
/// at the most; twice if it is new (who are you?) or if a create must be looked for, too. With one silent server that
/// everybody knows this is the attempt timeout + 200 ms.
Duration Program::time_with(const Place& healthy, const Manner& manner, const Before& before) const {
  const ClientOptions& o = world_.options;
  int turns = 1;
  if (before.unidentified > 0) ++turns;
  if (manner.create) ++turns;
  if (manner.needs_new) ++turns;  // which release are you?
  Duration bound = 200ms;
  Duration wait = o.retry.backoff.throttled_base;
  for (const Place& place : world_.places) {
    if (&place == &healthy) continue;
    if (place.silent) bound += o.timeouts.attempt * turns;
    if (!place.waits) continue;
    bound += std::min(wait, o.retry.backoff.cap) * turns;
    wait *= 2;
  }
  return bound;
}

/// Whether this call had to succeed, and within which time.
bool Program::promised(const Manner& manner, const Before& before, Duration& bound) {
  const ClientOptions& o = world_.options;
  const bool patient = o.retry.enabled && o.retry.max_attempts == 0 && !before.cancellable;
  if (!patient || manner.composite || before.home != Home::ours) return false;

  const Duration start = before.start - began_;
  const bool affordable = o.retry.budget.capacity == 0 || before.budget >= 4 * o.retry.budget.retry_cost;
  for (const Place& place : world_.places) {
    if (!affordable || place.stranger || (manner.needs_new && place.version != testing::ServerVersion::v3)) continue;
    bound = time_with(place, manner, before);
    if (place.sound && bound + 50ms <= before.timeout) {
      ++coverage.promised_by_sound;
      return true;
    }
    // One that was in trouble and is well now, which nobody may have noticed: a probe may be waiting for it for an
    // attempt's time, and if everybody's breaker is open the turn of panic comes once a second, to each in turn.
    bound += (place.silent ? o.timeouts.attempt : Duration::zero()) + 1500ms * world_.places.size();
    const bool well = std::none_of(place.windows.begin(), place.windows.end(), [&](const Window& window) {
      return window.from < start + bound && window.until > start;
    });
    const bool database = std::any_of(world_.database.begin(), world_.database.end(), [&](const DatabaseFault& fault) {
      return fault.window.from < start + bound && fault.window.until > start;
    });
    if (well && !database && o.retry.when_all_open == AllOpen::wait && !world_.server_errors && !world_.asks_to_wait &&
        bound + 50ms <= before.timeout) {
      ++coverage.promised_by_recovered;
      return true;
    }
  }

  if (manner.needs_new && !world_.any_new()) return false;
  if (o.retry.when_all_open != AllOpen::wait || world_.server_errors || world_.asks_to_wait) return false;
  const Duration end = world_.last_trouble(start, start + before.timeout);
  // The longest wait that may have begun just before the trouble ended, an attempt that began then, a stranger that
  // holds everybody up once more, and the turn of panic.
  const Duration slack = 5s + 2 * o.timeouts.attempt + 3s;
  if (end == start || end + slack > start + before.timeout) return false;
  ++coverage.promised_by_time;
  bound = end + slack - start;
  return true;
}

void Program::judge(const Manner& manner, const Before& before, const Error* error) {
  ++coverage.calls;
  const Duration took = clock_->now() - before.start;
  const Duration tick = 1ms;
  if (took > before.timeout + tick) {
    complain(manner, fmt::format("took {:.4f} s of {:.4f} s", seconds(took), seconds(before.timeout)));
  }
  if (transport_.reached() > 1) ++coverage.failovers;
  Duration bound{};
  const bool had_to_succeed = promised(manner, before, bound);
  const bool succeeded = error == nullptr || manner.expect != Expect::success;
  if (had_to_succeed && !succeeded)
    complain(manner, "failed although it had to succeed: " + mlflowha::describe(*error));
  if (had_to_succeed && succeeded && took > bound) {
    complain(manner, fmt::format("took {:.4f} s, expected at most {:.4f} s", seconds(took), seconds(bound)));
  }
  // Some quick ones at the beginning, then two (a look and a create) per longest wait, of which half is random.
  const double longest_wait = std::min(seconds(world_.options.retry.backoff.cap), 1.0);
  const int most =
      25 + static_cast<int>(4 * world_.places.size()) + static_cast<int>(6 * seconds(before.timeout) / longest_wait);
  if (!manner.composite && transport_.attempts() > most)
    complain(manner, fmt::format("made {} attempts", transport_.attempts()));
  const int allowed = world_.options.retry.enabled ? world_.options.retry.max_attempts : 1;
  if (!manner.composite && allowed > 0 && transport_.sendings() > allowed) {
    complain(manner, fmt::format("was sent {} times, {} are allowed", transport_.sendings(), allowed));
  }
  judge_health(manner);
  if (error != nullptr) judge_error(manner, before, *error);
  for (std::string& fault : transport_.faults) complain(manner, fault);
  transport_.faults.clear();
}

void Program::judge_health(const Manner& manner) {
  const HealthSnapshot health = client_.health();
  if (health.retry_budget < 0 || health.retry_budget > world_.options.retry.budget.capacity) {
    complain(manner, fmt::format("the budget is {}", health.retry_budget));
  }
  for (const EndpointStatus& endpoint : health.endpoints) {
    const int probes = transport_.probes_under_way(endpoint.url);
    if (endpoint.in_flight != probes) {
      complain(manner, fmt::format("{} has {} in flight, expected {}", endpoint.url, endpoint.in_flight, probes));
    }
    if (world_.only_database && endpoint.breaker != BreakerState::closed) {
      complain(manner, fmt::format("the breaker of {} is {} because the database is away", endpoint.url,
                                   to_string(endpoint.breaker)));
    }
    if (endpoint.breaker == BreakerState::open) ++coverage.breakers_opened;
    if (endpoint.health == EndpointHealth::refused) ++coverage.strangers_refused;
    if (endpoint.health == EndpointHealth::refused && !world_.stranger) {
      complain(manner, fmt::format("{} is refused", endpoint.url));
    }
  }
}

void Program::judge_error(const Manner& manner, const Before& before, const Error& error) {
  ++coverage.failed_calls;
  if (manner.write)
    ++(error.effect == Effect::none ? coverage.failed_without_effect : coverage.failed_with_unknown_effect);
  if (error.stop_reason == StopReason::circuit_open) ++coverage.failed_fast;
  if (error.stop_reason == StopReason::none || error.request_id.empty()) complain(manner, "the error has no story");
  if (error.code == Errc::internal) complain(manner, "internal error: " + error.message);
  if (!manner.write && error.effect != Effect::none) complain(manner, "a read may have had an effect");
  judge_release(manner, error);
  // (What an endpoint has answered about its release is told by the message.)
  if (transport_.attempts() > 0 && error.attempts.empty() && manner.expect == Expect::success && !manner.needs_new &&
      error.stop_reason != StopReason::cancelled) {
    complain(manner, "the error doesn't tell of its attempts");
  }
  if (error.code == Errc::cancelled) {
    ++coverage.cancelled;
    if (!before.cancellable) complain(manner, "cancelled by nobody");
  }
  // A statement about the call, made by MLflow itself, must be true.
  if (error.error_code.empty() || error.effect == Effect::unknown) return;
  const bool exists = is_already_exists(error);
  const bool missing = is_not_found(error);
  if ((exists && manner.expect != Expect::exists) || (missing && manner.expect != Expect::missing) ||
      error.kind() == ErrorKind::invalid_argument || error.kind() == ErrorKind::conflict) {
    complain(manner, "refused without reason: " + mlflowha::describe(error));
  }
}

void Program::judge_release(const Manner& manner, const Error& error) {
  if (error.code == Errc::unsupported_by_server) {
    ++coverage.unsupported;
    // Where the strangers were there first it is they who count.
    if (!manner.needs_new || (world_.any_new() && transport_.home() != Home::strangers)) {
      complain(manner, "called unsupported: " + error.message);
    }
  }
  // A server that may not have told its release is tried; the rest is known to have it or isn't asked.
  if (error.code == Errc::not_implemented && !world_.server_errors && !manner.needs_new) {
    complain(manner, "not implemented: " + error.message);
  }
}

// --------------------------------------------------------------------------------------------------------------- calls

void Program::step() {
  if (ledger.runs.empty() || dice_.between(0, 99) < world_.create_percent) return create_run();
  const int kind = dice_.between(10, 99);
  if (kind < 14) return create_experiment();
  RunBook& run = ledger.runs[dice_.index(ledger.runs.size())];
  if (kind < 40) return log_metric(run);
  if (kind < 50) return log_param(run);
  if (kind < 62) return set_tag(run);
  if (kind < 68) return delete_tag(run);
  if (kind < 78) return log_batch(run);
  if (kind < 83) return end_run(run);
  if (kind < 86) return get_run(run);
  if (kind < 88) return get_server_info();
  if (kind < 89) return delete_experiment_tag();
  if (kind < 93) return get_history(run);
  if (kind < 97) return search_run(run);
  if (kind < 99) {
    static_cast<void>(reconcile(world_.options.timeouts.call));
    return;
  }
  idle();
}

double Program::draw_value() {
  const int kind = dice_.between(0, 39);
  if (kind == 0) return std::numeric_limits<double>::quiet_NaN();
  if (kind == 1) return std::numeric_limits<double>::infinity();
  if (kind == 2) return -std::numeric_limits<double>::infinity();
  return 0.25 * dice_.between(-1000, 1000) + 0.1;
}

void Program::create_run() {
  const std::int64_t call = ++number_;
  CreateRun request;
  request.experiment_id = "0";
  if (dice_.chance(0.5)) request.run_name = fmt::format("run {}", call);
  request.tags.push_back({Ledger::call_tag, std::to_string(call), {}});
  const CallOptions options = draw_call_options();
  ledger.creates[call] = {};
  const auto result = carry_out({fmt::format("create_run {}", call), true, true}, options,
                                [&](const CallOptions& o) { return client_.create_run(request, o); });
  CreatedRun& created = ledger.creates[call];
  created.fate = fate_of(result);
  if (!result) return;
  created.id = result->info.run_id;
  const auto tag = std::find_if(result->data.tags.begin(), result->data.tags.end(),
                                [](const RunTag& one) { return one.key == Ledger::call_tag; });
  if (tag == result->data.tags.end() || tag->value != std::to_string(call) ||
      (!request.run_name.empty() && result->info.run_name != request.run_name)) {
    faults.push_back(fmt::format("create_run {} returned another run", call));
  }
  RunBook& book = ledger.runs.emplace_back();
  book.id = created.id;
  book.call = call;
}

void Program::create_experiment() {
  CreateExperiment request;
  request.name = fmt::format("experiment {}", ++number_);
  Expect expect = Expect::success;
  std::vector<std::string> taken;
  for (const CreatedExperiment& one : ledger.experiments) {
    if (one.fate == Fate::acknowledged) taken.push_back(one.name);
  }
  if (!taken.empty() && dice_.chance(0.3)) {
    request.name = taken[dice_.index(taken.size())];
    expect = Expect::exists;
  }
  const CallOptions options = draw_call_options();
  const auto result = carry_out({fmt::format("create_experiment \"{}\"", request.name), true, true, expect}, options,
                                [&](const CallOptions& o) { return client_.create_experiment(request, o); });
  ledger.experiments.push_back({request.name, fate_of(result), result ? *result : std::string()});
}

void Program::log_metric(RunBook& run) {
  const std::string key = fmt::format("m{}", dice_.between(0, 2));
  MetricOptions metric;
  metric.step = ++number_;
  AskedPoint point;
  point.value = draw_value();
  if (dice_.chance(0.4)) {
    point.timestamp = dice_.between(0, 1'000'000);
    metric.timestamp = *point.timestamp;
  }
  const CallOptions options = draw_call_options();
  const auto result = carry_out({fmt::format("log_metric {} of {} at {}", key, run.call, metric.step)}, options,
                                [&](const CallOptions& o) {
                                  metric.call = o;
                                  return client_.log_metric(run.id, key, point.value, metric);
                                });
  point.fate = fate_of(result);
  run.points[key][metric.step] = point;
}

void Program::log_param(RunBook& run) {
  std::string key = fmt::format("p{}", ++number_);
  std::string value = fmt::format("value {}", number_);
  if (!run.params.empty() && dice_.chance(0.2)) {  // once more the same, which is fine
    const auto& [old, reg] = *run.params.begin();
    key = old;
    value = reg.writes.front().value.value_or("");
  }
  const CallOptions options = draw_call_options();
  const auto result = carry_out({fmt::format("log_param {} of {}", key, run.call)}, options,
                                [&](const CallOptions& o) { return client_.log_param(run.id, key, value, o); });
  run.params[key].writes.push_back({value, fate_of(result)});
}

void Program::set_tag(RunBook& run) {
  // A few keys are written again and again, the others once.
  const std::string value = fmt::format("value {}", ++number_);
  const std::string key = dice_.chance(0.4) ? fmt::format("r{}", dice_.between(0, 1)) : fmt::format("t{}", number_);
  const CallOptions options = draw_call_options();
  const auto result = carry_out({fmt::format("set_tag {} of {}", key, run.call)}, options,
                                [&](const CallOptions& o) { return client_.set_tag(run.id, key, value, o); });
  run.tags[key].writes.push_back({value, fate_of(result)});
}

void Program::delete_tag(RunBook& run) {
  std::vector<std::string> keys;
  for (const auto& [key, reg] : run.tags) keys.push_back(key);
  std::string key = "never set";
  if (!keys.empty() && !dice_.chance(0.1)) key = keys[dice_.index(keys.size())];
  Register& reg = run.tags[key];
  const bool there = !reg.allows(std::nullopt, world_.late);
  const CallOptions options = draw_call_options();
  const auto result = carry_out(
      {fmt::format("delete_tag {} of {}", key, run.call), true, false, there ? Expect::success : Expect::missing},
      options, [&](const CallOptions& o) { return client_.delete_tag({run.id, key, {}}, o); });
  // "Not there" is the truth about the key at that moment, too.
  const bool missing = !result && is_not_found(result.error()) && !result.error().error_code.empty();
  reg.writes.push_back({std::nullopt, missing ? Fate::acknowledged : fate_of(result)});
}

void Program::log_batch(RunBook& run) {
  const int metrics = dice_.between(0, 8);
  const int params = dice_.chance(0.2) ? dice_.between(101, 130) : dice_.between(0, 3);
  const int tags = dice_.between(metrics + params == 0 ? 1 : 0, 3);
  std::vector<Metric> points;
  for (int i = 0; i < metrics; ++i) {
    Metric& metric = points.emplace_back();
    metric.key = fmt::format("m{}", dice_.between(0, 2));
    metric.value = draw_value();
    metric.step = ++number_;
    if (dice_.chance(0.3)) metric.timestamp = dice_.between(0, 1'000'000);
  }
  std::vector<Param> values;
  for (int i = 0; i < params; ++i) {
    ++number_;
    values.push_back({fmt::format("p{}", number_), fmt::format("value {}", number_), {}});
  }
  std::vector<RunTag> labels;
  for (int i = 0; i < tags; ++i) {
    ++number_;
    labels.push_back({fmt::format("t{}", number_), fmt::format("value {}", number_), {}});
  }
  const CallOptions options = draw_call_options();
  Manner manner{fmt::format("log_batch of {}: {}, {}, {}", run.call, metrics, params, tags)};
  // One that a 2.x has a NaN point of already is sent in parts.
  manner.composite = params > 100 || std::any_of(points.begin(), points.end(),
                                                 [](const Metric& metric) { return std::isnan(metric.value); });
  const auto result = carry_out(
      manner, options, [&](const CallOptions& o) { return client_.log_batch(run.id, points, values, labels, o); });
  const Fate fate = fate_of(result);
  for (const Metric& metric : points) {
    AskedPoint point{metric.value, std::nullopt, fate};
    if (metric.timestamp != now_at_call) point.timestamp = metric.timestamp;
    run.points[metric.key][metric.step] = point;
  }
  for (const Param& param : values) run.params[param.key].writes.push_back({param.value, fate});
  for (const RunTag& tag : labels) run.tags[tag.key].writes.push_back({tag.value, fate});
}

void Program::end_run(RunBook& run) {
  static const std::array<std::pair<RunStatus, std::string>, 3> statuses{
      {{RunStatus::finished, "FINISHED"}, {RunStatus::failed, "FAILED"}, {RunStatus::killed, "KILLED"}}};
  const auto& [status, name] = statuses[dice_.index(statuses.size())];
  TerminateOptions end;
  end.end_time = ++number_;
  const CallOptions options = draw_call_options();
  const auto result =
      carry_out({fmt::format("set_terminated {}", run.call)}, options, [&, code = status](const CallOptions& o) {
        end.call = o;
        return client_.set_terminated(run.id, code, end);
      });
  run.ends.writes.push_back({fmt::format("{} {}", name, end.end_time), fate_of(result)});
}

void Program::get_run(const RunBook& run) {
  const CallOptions options = draw_call_options();
  const auto result = carry_out({fmt::format("get_run {}", run.call), false}, options,
                                [&](const CallOptions& o) { return client_.get_run(run.id, o); });
  if (!result) return;
  if (result->info.run_id != run.id) faults.push_back(fmt::format("get_run {} returned another run", run.call));
  for (const auto& [key, reg] : run.params) {
    const auto found = std::find_if(result->data.params.begin(), result->data.params.end(),
                                    [&name = key](const Param& param) { return param.key == name; });
    const std::optional<std::string> value =
        found == result->data.params.end() ? std::nullopt : std::optional<std::string>(found->value);
    if (!reg.allows(value, world_.late)) faults.push_back(fmt::format("get_run {} misread param {}", run.call, key));
  }
  for (const auto& [key, reg] : run.tags) {
    const auto found = std::find_if(result->data.tags.begin(), result->data.tags.end(),
                                    [&name = key](const RunTag& tag) { return tag.key == name; });
    const std::optional<std::string> value =
        found == result->data.tags.end() ? std::nullopt : std::optional<std::string>(found->value);
    if (!reg.allows(value, world_.late)) faults.push_back(fmt::format("get_run {} misread tag {}", run.call, key));
  }
}

void Program::get_server_info() {
  Manner manner{"get_server_info", false};
  manner.needs_new = true;
  const CallOptions options = draw_call_options();
  const auto result = carry_out(manner, options, [&](const CallOptions& o) { return client_.get_server_info(o); });
  if (!result) return;
  if (world_.all_old() && transport_.home() != Home::strangers)
    faults.push_back("get_server_info was answered, though nobody has it");
  coverage.served_by_newer +=
      std::any_of(world_.places.begin(), world_.places.end(),
                  [](const Place& place) { return place.version == testing::ServerVersion::v2; })
          ? 1U
          : 0U;
}

void Program::delete_experiment_tag() {
  Manner manner{"delete_experiment_tag"};
  manner.needs_new = true;
  manner.expect = Expect::missing;  // nobody sets it
  const CallOptions options = draw_call_options();
  static_cast<void>(carry_out(
      manner, options, [&](const CallOptions& o) { return client_.delete_experiment_tag({"0", "never", {}}, o); }));
}

void Program::get_history(const RunBook& run) {
  const std::string key = fmt::format("m{}", dice_.between(0, 2));
  const CallOptions options = draw_call_options();
  const auto result = carry_out({fmt::format("get_metric_history {} of {}", key, run.call), false}, options,
                                [&](const CallOptions& o) { return client_.get_metric_history({run.id, key}, o); });
  const auto asked = run.points.find(key);
  if (!result || asked == run.points.end()) return;
  for (const auto& [step, point] : asked->second) {
    const auto copies = std::count_if(result->items.begin(), result->items.end(),
                                      [at = step](const Metric& metric) { return metric.step == at; });
    if (copies > 1 || (copies == 0 && point.fate == Fate::acknowledged)) {
      faults.push_back(fmt::format("the history of {} of run {} has {} points at {}", key, run.call, copies, step));
    }
  }
}

void Program::search_run(const RunBook& run) {
  SearchRuns request;
  request.experiment_ids = {"0"};
  request.filter = fmt::format("tags.`{}` = '{}'", Ledger::call_tag, run.call);
  const CallOptions options = draw_call_options();
  const auto result = carry_out({fmt::format("search_runs {}", run.call), false}, options,
                                [&](const CallOptions& o) { return client_.search_runs(request, o); });
  if (!result) return;
  const auto found = std::count_if(result->items.begin(), result->items.end(),
                                   [&](const Run& one) { return one.info.run_id == run.id; });
  if (found != 1) faults.push_back(fmt::format("search_runs found run {} {} times", run.call, found));
}

bool Program::read(Duration timeout) {
  GetExperiment request;
  request.experiment_id = "0";
  return carry_out({"get_experiment", false}, {timeout, {}},
                   [&](const CallOptions& o) { return client_.get_experiment(request, o); })
      .has_value();
}

void Program::idle() { static_cast<void>(read(world_.options.timeouts.call)); }

void Program::must_log() {
  if (ledger.runs.empty()) return;
  RunBook& run = ledger.runs.back();
  const std::string value = fmt::format("value {}", ++number_);
  const auto result = carry_out({fmt::format("last set_tag of {}", run.call)}, {},
                                [&](const CallOptions& o) { return client_.set_tag(run.id, "last", value, o); });
  run.tags["last"].writes.push_back({value, fate_of(result)});
  if (!result) faults.push_back("the last set_tag failed: " + mlflowha::describe(result.error()));
}

bool Program::reconcile(Duration timeout) {
  const auto result = carry_out({"reconcile", true, false, Expect::success, true}, {timeout, {}},
                                [&](const CallOptions& o) { return client_.reconcile(o); });
  if (!result) return false;
  for (const Twin& twin : result->twins) {
    ++(twin.removed ? coverage.twins_removed : coverage.twins_reported);
    ledger.reported.insert(twin.twin_id);
  }
  return true;
}

}  // namespace mlflowha_tests
