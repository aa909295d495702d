#ifndef MLFLOWHA_CLIENT_IMPL_CLIENT_IPP
#define MLFLOWHA_CLIENT_IMPL_CLIENT_IPP

#include <mlflowha/api/json_call.hpp>
#include <mlflowha/client/classify.hpp>
#include <mlflowha/client/client.hpp>
#include <mlflowha/client/impl/batch_fault.hpp>
#include <mlflowha/client/impl/engine.hpp>
#include <mlflowha/http/curl_transport.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE Result<Client> Client::create(ClientOptions options) {
  Result<Config> config = make_config(std::move(options));
  if (!config) return std::move(config).error();
  std::shared_ptr<Transport> transport = config->options().transport;
  if (!transport) {
    Result<std::shared_ptr<Transport>> made = make_curl_transport(config->options().http);
    if (!made) return std::move(made).error();
    transport = std::move(*made);
  }
  return Client(std::make_shared<detail::Engine>(std::move(*config), std::move(transport)));
}

MLFLOWHA_INLINE Result<Client> Client::from_env(const Environment& environment) {
  Result<ClientOptions> options = ClientOptions::from_env(environment);
  if (!options) return std::move(options).error();
  return create(std::move(*options));
}

MLFLOWHA_INLINE Client::Client(std::shared_ptr<detail::Engine> engine) noexcept : engine_(std::move(engine)) {}
MLFLOWHA_INLINE Client::~Client() = default;
MLFLOWHA_INLINE Client::Client(const Client&) = default;
MLFLOWHA_INLINE Client& Client::operator=(const Client&) = default;
MLFLOWHA_INLINE Client::Client(Client&&) noexcept = default;
MLFLOWHA_INLINE Client& Client::operator=(Client&&) noexcept = default;

MLFLOWHA_INLINE Result<Response> Client::execute(const api::Operation& operation, api::PreparedRequest&& prepared,
                                                 const CallOptions& options) const {
  return engine_->execute(operation, std::move(prepared), options);
}

MLFLOWHA_INLINE std::string Client::new_request_tag() const { return make_uuid(*engine_->rng); }
MLFLOWHA_INLINE WallTime Client::wall_now() const { return engine_->clock->wall_now(); }
MLFLOWHA_INLINE const Config& Client::config() const noexcept { return engine_->config; }
MLFLOWHA_INLINE HealthSnapshot Client::health() const { return engine_->health(); }
MLFLOWHA_INLINE Result<ReconcileReport> Client::reconcile(const CallOptions& options) const {
  return engine_->reconcile(options);
}

MLFLOWHA_INLINE std::shared_ptr<const api::Calls> Client::share() const { return std::make_shared<Client>(*this); }

namespace detail {

/// Moves up to `most` entries from position `at` on.
template <class T>
std::vector<T> take(std::vector<T>& from, std::size_t& at, std::size_t most) {
  const std::size_t count = std::min(most, from.size() - at);
  const auto begin = from.begin() + static_cast<std::ptrdiff_t>(at);
  std::vector<T> part(std::make_move_iterator(begin),
                      std::make_move_iterator(begin + static_cast<std::ptrdiff_t>(count)));
  at += count;
  return part;
}

/// Leaves one of the points that a database keeps as one although they don't compare equal: NaN, and an infinity, which
/// becomes the largest double. MLflow 2.x refuses a batch with two of them. (Equal ones it recognises itself.)
MLFLOWHA_INLINE void drop_repeated_points(std::vector<Metric>& metrics) {
  constexpr double largest = std::numeric_limits<double>::max();
  std::set<std::tuple<std::string, std::int64_t, std::int64_t, int, std::string, std::string, std::string>> seen;
  std::erase_if(metrics, [&](const Metric& m) {
    const int kind = std::isnan(m.value) ? 0 : m.value >= largest ? 1 : m.value <= -largest ? -1 : 2;
    if (kind == 2 || !m.unknown_fields.empty()) return false;
    return !seen.insert({m.key, m.timestamp, m.step, kind, m.model_id, m.dataset_name, m.dataset_digest}).second;
  });
}

}  // namespace detail

/// After MLflow 2.x has refused a batch for a NaN point that it has already: the rest, then each of these points.
MLFLOWHA_INLINE Result<void> Client::log_batch_in_parts(LogBatch batch, Deadline deadline,
                                                        const CallOptions& options) const {
  const auto is_nan = [](const Metric& metric) { return std::isnan(metric.value); };
  std::vector<Metric> apart;
  std::copy_if(batch.metrics.begin(), batch.metrics.end(), std::back_inserter(apart), is_nan);
  std::erase_if(batch.metrics, is_nan);
  CallOptions call = options;
  call.timeout = deadline.remaining(engine_->clock->now());
  Result<void> result = log_batch(batch, call);
  for (const Metric& metric : apart) {
    if (!result) return result;
    LogMetric one;
    one.run_id = batch.run_id;
    one.key = metric.key;
    one.value = metric.value;
    one.timestamp = metric.timestamp;
    one.step = metric.step;
    one.model_id = metric.model_id;
    one.dataset_name = metric.dataset_name;
    one.dataset_digest = metric.dataset_digest;
    one.unknown_fields = metric.unknown_fields;
    call.timeout = deadline.remaining(engine_->clock->now());
    result = log_metric(one, call);
  }
  return result;
}

MLFLOWHA_INLINE Result<void> Client::log_batch(std::string_view run_id, std::vector<Metric> metrics,
                                               std::vector<Param> params, std::vector<RunTag> tags,
                                               const CallOptions& options) const {
  // Limits of POST runs/log-batch (mlflow/utils/validation.py).
  static constexpr std::size_t most_entries = 1000;
  static constexpr std::size_t most_params = 100;
  static constexpr std::size_t most_tags = 100;
  const std::int64_t now = wall_now().time_since_epoch().count();
  for (Metric& metric : metrics) {
    if (metric.timestamp == now_at_call) metric.timestamp = now;  // one moment for the whole batch
  }
  detail::drop_repeated_points(metrics);
  const std::size_t all = metrics.size() + params.size() + tags.size();
  if (all > most_entries || params.size() > most_params || tags.size() > most_tags) {
    std::string fault = detail::batch_fault(metrics, params, tags);
    if (!fault.empty()) return invalid_argument("log_batch: " + std::move(fault));
  }
  const Deadline deadline =
      Deadline::after(engine_->clock->now(), options.timeout.value_or(engine_->config.options().timeouts.call));
  std::size_t metric_at = 0;
  std::size_t param_at = 0;
  std::size_t tag_at = 0;
  do {
    const std::size_t stored = metric_at + param_at + tag_at;
    LogBatch request;
    request.run_id = run_id;
    request.params = detail::take(params, param_at, most_params);
    request.tags = detail::take(tags, tag_at, most_tags);
    request.metrics = detail::take(metrics, metric_at, most_entries - request.params.size() - request.tags.size());
    CallOptions call = options;
    call.timeout = deadline.remaining(engine_->clock->now());
    Result<void> result = log_batch(request, call);
    if (!result && shows_stored_point(result.error())) {
      result = log_batch_in_parts(std::move(request), deadline, options);
    }
    if (!result) {
      Error error = std::move(result).error();
      if (stored > 0) {
        error.message = fmt::format("{} of {} entries stored; {}", stored, all, error.message);
        if (error.effect == Effect::none) error.effect = Effect::unknown;  // of the batch as a whole
      }
      return error;
    }
  } while (metric_at + param_at + tag_at < all);
  return {};
}

// --- past the typed calls
// ----------------------------------------------------------------------------------------------

MLFLOWHA_INLINE Result<std::string> Client::call_row(const api::Operation& operation, std::string_view json,
                                                     const CallOptions& options) const {
  std::string request_tag;
  if (operation.recipe != api::Recipe::none) {
    request_tag = options.request_tag.empty() ? new_request_tag() : options.request_tag;
  }
  Result<api::PreparedRequest> prepared = api::prepare_json(operation, json, std::move(request_tag));
  if (!prepared) return std::move(prepared).error();
  Result<Response> response = execute(operation, std::move(*prepared), options);
  if (!response) return std::move(response).error();
  return std::move(response->body);
}

MLFLOWHA_INLINE Result<std::string> Client::call(std::string_view operation, std::string_view json,
                                                 const CallOptions& options) const {
  if (const api::Operation* row = api::find_operation(operation)) return call_row(*row, json, options);
  const api::Operation* nearest = api::nearest_operation(operation);
  return invalid_argument(fmt::format("operation is \"{}\", expected a name of the table{}", sanitize(operation, 100),
                                      nearest == nullptr ? std::string() : fmt::format(", perhaps {}", nearest->name)));
}

MLFLOWHA_INLINE Result<std::string> Client::call(const CustomOperation& operation, std::string_view json,
                                                 const CallOptions& options) const {
  if (const std::string fault = api::faults(operation); !fault.empty()) {
    return invalid_argument(fmt::format("custom operation: {}", fault));
  }
  const std::string name = fmt::format("{} {}", to_string(operation.method), operation.path);
  api::Operation row;  // lives as long as the call; what outlives it (a watched create) has a recipe, which this hasn't
  row.name = name;
  row.method = operation.method;
  row.path = operation.path;
  row.idempotency =
      operation.idempotency.value_or(operation.method == Method::get ? Idempotency::read : Idempotency::never);
  row.already_done = {operation.already_done[0], operation.already_done[1]};
  row.answer = operation.answer;
  row.since = operation.since;
  return call_row(row, json, options);
}

// --- control
// -----------------------------------------------------------------------------------------------------------

MLFLOWHA_INLINE Result<std::optional<EndpointIndex>> Client::find_endpoint(std::string_view endpoint) const {
  if (endpoint.empty()) return std::optional<EndpointIndex>();
  const Result<Uri> uri = parse_uri(endpoint);
  if (!uri) return uri.error();
  std::string known;
  for (EndpointIndex i = 0; i < engine_->endpoints.size(); ++i) {
    const Uri& candidate = engine_->endpoints.uri(i);
    if (candidate == *uri) return std::optional<EndpointIndex>(i);
    known += (known.empty() ? "" : ", ") + candidate.base();
  }
  Error error;
  error.code = Errc::invalid_endpoint;
  error.message = fmt::format("endpoint {} is not in the list, expected one of {}", uri->base(), known);
  return error;
}

MLFLOWHA_INLINE Result<void> Client::reset_circuit_breaker(std::string_view endpoint) const {
  return find_endpoint(endpoint).transform(
      [&](std::optional<EndpointIndex> index) { engine_->endpoints.reset(engine_->clock->now(), index); });
}

MLFLOWHA_INLINE Result<void> Client::force_open(std::string_view endpoint) const {
  return set_breaker_override(BreakerOverride::forced_open, endpoint);
}

MLFLOWHA_INLINE Result<void> Client::set_breaker_override(BreakerOverride order, std::string_view endpoint) const {
  return find_endpoint(endpoint).transform([&](std::optional<EndpointIndex> index) {
    engine_->endpoints.set_override(engine_->clock->now(), order, index);
  });
}

MLFLOWHA_END_NAMESPACE

#endif
