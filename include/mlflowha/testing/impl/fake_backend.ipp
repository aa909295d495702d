#ifndef MLFLOWHA_TESTING_IMPL_FAKE_BACKEND_IPP
#define MLFLOWHA_TESTING_IMPL_FAKE_BACKEND_IPP

#include <mlflowha/api/logged_models.hpp>
#include <mlflowha/testing/fake_backend.hpp>
#include <mlflowha/testing/impl/backend_artifacts.ipp>
#include <mlflowha/testing/impl/backend_logging.ipp>
#include <mlflowha/testing/impl/backend_webhooks.ipp>

#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

namespace detail {

MLFLOWHA_INLINE const std::vector<BackendState::Operation>& BackendState::operations() {
  using S = BackendState;
  constexpr Method get = Method::get;
  constexpr Method post = Method::post;
  constexpr Method patch = Method::patch;
  constexpr Method del = Method::del;
  static const std::vector<Operation> table = {
      {post, "experiments/create", &S::create_experiment, experiment_request(), true},
      {get, "experiments/get", &S::get_experiment, experiment_request(), false},
      {get, "experiments/get-by-name", &S::get_experiment_by_name, experiment_request(), false},
      {post, "experiments/search", &S::search_experiments, experiment_request(), false},
      {get, "experiments/search", &S::search_experiments, experiment_request(), false},
      {post, "experiments/delete", &S::delete_experiment, experiment_request(), true},
      {post, "experiments/restore", &S::restore_experiment, experiment_request(), true},
      {post, "experiments/update", &S::update_experiment, experiment_request(), true},
      {post, "experiments/set-experiment-tag", &S::set_experiment_tag, experiment_request(), true},
      {post, "experiments/delete-experiment-tag", &S::delete_experiment_tag, experiment_request(), true, true},
      {post, "runs/create", &S::create_run, run_request(), true},
      {post, "runs/update", &S::update_run, run_request(), true},
      {post, "runs/delete", &S::delete_run, run_request(), true},
      {post, "runs/restore", &S::restore_run, run_request(), true},
      {get, "runs/get", &S::get_run, run_request(), false},
      {post, "runs/search", &S::search_runs, search_runs_request(), false},
      {post, "runs/log-metric", &S::log_metric, log_metric_request(), true},
      {post, "runs/log-parameter", &S::log_param, log_text_request(), true},
      {post, "runs/set-tag", &S::set_tag, log_text_request(), true},
      {post, "runs/delete-tag", &S::delete_tag, log_text_request(), true},
      {post, "runs/log-batch", &S::log_batch, log_batch_request(), true},
      {get, "metrics/get-history", &S::get_metric_history, history_request(), false},
      {post, "registered-models/create", &S::create_registered_model, registry_request(), true},
      {post, "registered-models/rename", &S::rename_registered_model, registry_request(), true},
      {patch, "registered-models/update", &S::update_registered_model, registry_request(), true},
      {del, "registered-models/delete", &S::delete_registered_model, registry_request(), true},
      {get, "registered-models/get", &S::get_registered_model, registry_request(), false},
      {get, "registered-models/search", &S::search_registered_models, registry_request(), false},
      {post, "registered-models/get-latest-versions", &S::get_latest_versions, registry_request(), false},
      {get, "registered-models/get-latest-versions", &S::get_latest_versions, registry_request(), false},
      {post, "registered-models/set-tag", &S::set_registered_model_tag, registry_request(), true},
      {del, "registered-models/delete-tag", &S::delete_registered_model_tag, registry_request(), true},
      {post, "registered-models/alias", &S::set_registered_model_alias, registry_request(), true},
      {del, "registered-models/alias", &S::delete_registered_model_alias, registry_request(), true},
      {get, "registered-models/alias", &S::get_model_version_by_alias, registry_request(), false},
      {post, "model-versions/create", &S::create_model_version, registry_request(), true},
      {patch, "model-versions/update", &S::update_model_version, registry_request(), true},
      {post, "model-versions/transition-stage", &S::transition_model_version_stage, registry_request(), true},
      {del, "model-versions/delete", &S::delete_model_version, registry_request(), true},
      {get, "model-versions/get", &S::get_model_version, registry_request(), false},
      {get, "model-versions/search", &S::search_model_versions, registry_request(), false},
      {get, "model-versions/get-download-uri", &S::get_model_version_download_uri, registry_request(), false},
      {post, "model-versions/set-tag", &S::set_model_version_tag, registry_request(), true},
      {del, "model-versions/delete-tag", &S::delete_model_version_tag, registry_request(), true},
      {post, "logged-models", &S::create_logged_model, logged_model_request(), true, true},
      {post, "logged-models/search", &S::search_logged_models, logged_model_request(), false, true},
      {patch, "logged-models/{}", &S::finalize_logged_model, logged_model_request(), true, true},
      {get, "logged-models/{}", &S::get_logged_model, logged_model_request(), false, true},
      {del, "logged-models/{}", &S::delete_logged_model, logged_model_request(), true, true},
      {patch, "logged-models/{}/tags", &S::set_logged_model_tags, logged_model_request(), true, true},
      {del, "logged-models/{}/tags/{}", &S::delete_logged_model_tag, logged_model_request(), true, true},
      {get, "logged-models/{}/artifacts/directories", &S::list_logged_model_artifacts, logged_model_request(), false,
       true},
      {post, "logged-models/{}/params", &S::log_logged_model_params, logged_model_request(), true, true},
      {post, "runs/log-model", &S::log_model, run_links_request(), true},
      {post, "runs/log-inputs", &S::log_inputs, run_links_request(), true},
      {post, "runs/outputs", &S::log_outputs, run_links_request(), true, true},
      {post, "experiments/search-datasets", &S::search_datasets, logged_model_request(), false},
      {post, "webhooks", &S::create_webhook, webhook_request(), true, true},
      {get, "webhooks", &S::list_webhooks, webhook_request(), false, true},
      {get, "webhooks/{}", &S::get_webhook, webhook_request(), false, true},
      {patch, "webhooks/{}", &S::update_webhook, webhook_request(), true, true},
      {del, "webhooks/{}", &S::delete_webhook, webhook_request(), true, true},
      {post, "webhooks/{}/test", &S::test_webhook, webhook_request(), false, true},
      {get, "artifacts/list", &S::list_artifacts, artifact_request(), false},
      {post, "artifacts/presigned-upload-url", &S::create_presigned_upload_url, artifact_request(), false, true},
      {post, "artifacts/presigned-download-url", &S::create_presigned_download_url, artifact_request(), false, true},
  };
  return table;
}

MLFLOWHA_INLINE Response BackendState::html_page(int status, std::string_view title) {
  Response response;
  response.status = status;
  response.headers.push_back({"content-type", "text/html; charset=utf-8"});
  response.body = fmt::format("<!doctype html>\n<html lang=en>\n<title>{0} {1}</title>\n<h1>{1}</h1>\n", status, title);
  return response;
}

/// 2.22 takes experiment ids as numbers, too, and a text for the list of its characters.
MLFLOWHA_INLINE void accept_numeric_ids(Json& raw) {
  const auto as_text = [](Json& id) {
    if (id.is_number_integer()) id = id.dump();
  };
  if (const auto found = raw.find("experiment_id"); found != raw.end()) as_text(*found);
  if (const auto found = raw.find("experiment_ids"); found != raw.end()) {
    if (found->is_array()) {
      for (Json& id : *found) as_text(id);
    } else if (found->is_string()) {
      const auto text = found->get<std::string>();
      *found = Json::array();
      for (const char c : text) found->push_back(std::string(1, c));
    }
  }
}

MLFLOWHA_INLINE Response BackendState::error_response(const Refusal& refusal) const {
  // What 3.x adds; its classes are fewer than its codes.
  std::string extra;
  const int status = http_status_of(refusal.error_code);
  if (v3()) {
    std::string_view error_class = "INVALID_PARAMETER_VALUE";
    if (status == 404)
      error_class = "RESOURCE_NOT_FOUND";
    else if (refusal.error_code == "RESOURCE_ALREADY_EXISTS")
      error_class = refusal.error_code;
    else if (status >= 500)
      error_class = "CLIENT_INTERNAL_ERROR";
    extra =
        fmt::format(", \"sqlstate\": \"{}\", \"error_class\": \"{}\"", status >= 500 ? "XXM00" : "KAM00", error_class);
  }
  Response response;
  response.status = status;
  response.headers.push_back({"content-type", "application/json"});
  response.body = error_body(refusal.error_code, refusal.message, extra);
  return response;
}

MLFLOWHA_INLINE void BackendState::use_database(bool write) const {
  if (store.database == DatabaseState::down) {
    refuse(
        "(psycopg2.OperationalError) connection to server failed: Connection refused\n\tIs the server running and "
        "accepting TCP/IP connections?\n(Background on this error at: https://sqlalche.me/e/20/e3q8)",
        "TEMPORARILY_UNAVAILABLE");
  }
  if (write && store.database == DatabaseState::read_only) {
    refuse(
        "(psycopg2.errors.ReadOnlySqlTransaction) cannot execute INSERT in a read-only transaction\n(Background on "
        "this error at: https://sqlalche.me/e/20/2j85)",
        "BAD_REQUEST");
  }
}

/// Compares part by part; what stands at the pattern's "{}" goes to `places`, decoded.
MLFLOWHA_INLINE bool BackendState::matches(std::string_view pattern, std::string_view path,
                                           std::vector<std::string>& places) {
  for (;;) {
    const std::string_view wanted = pattern.substr(0, pattern.find('/'));
    const std::string_view part = path.substr(0, path.find('/'));
    if (wanted == "{}" ? part.empty() : wanted != part) return false;
    if (wanted == "{}") places.push_back(percent_decode(part, false));
    if (wanted.size() == pattern.size() || part.size() == path.size()) {
      return wanted.size() == pattern.size() && part.size() == path.size();
    }
    pattern.remove_prefix(wanted.size() + 1);
    path.remove_prefix(part.size() + 1);
  }
}

MLFLOWHA_INLINE Response BackendState::dispatch(const Request& request, std::string_view path, std::string_view query) {
  const auto plain = [&](std::string type, std::string body) {
    if (request.method != Method::get) return html_page(405, "Method Not Allowed");
    Response response;
    response.status = 200;
    response.headers.push_back({"content-type", std::move(type)});
    response.body = std::move(body);
    return response;
  };
  if (path == "/health") return plain(v3() ? "text/plain; charset=utf-8" : "text/html; charset=utf-8", "OK");
  if (path == "/version") return plain("text/html; charset=utf-8", v3() ? "3.17.2" : "2.22.5");
  if (v3() && (path == "/api/3.0/mlflow/server-info" || path == "/ajax-api/3.0/mlflow/server-info")) {
    return plain("application/json",
                 "{\"store_type\":\"SqlStore\",\"workspaces_enabled\":false,\"trace_archival_enabled\":false,"
                 "\"multipart_uploads_enabled\":false,\"multipart_downloads_enabled\":false,"
                 "\"presigned_upload_run_id_supported\":true,\"presigned_upload_model_id_supported\":true,"
                 "\"features_enabled\":{\"gateway\":true}}");
  }
  if (std::optional<Response> bytes = artifact_route(request, path, query)) return std::move(*bytes);
  if (request.method == Method::get && path == "/ajax-api/2.0/mlflow/metrics/get-history-bulk") {
    return metric_history_bulk(query);
  }
  std::string_view name;
  for (const std::string_view prefix : {"/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/"}) {
    if (path.substr(0, prefix.size()) == prefix) name = path.substr(prefix.size());
  }
  const Operation* operation = nullptr;
  bool known = false;
  for (const Operation& candidate : operations()) {
    std::vector<std::string> places;
    if (!matches(candidate.path, name, places) || (candidate.since_v3 && !v3())) continue;
    known = true;
    if (candidate.method != request.method || operation != nullptr) continue;
    operation = &candidate;
    places_ = std::move(places);
  }
  if (!known) return html_page(404, "Not Found");
  if (operation == nullptr) return html_page(405, "Method Not Allowed");

  Json raw = Json::object();
  if (request.method == Method::get) {
    raw = query_json(query, operation->message);
  } else {
    const std::string_view type = std::string_view(request.content_type).substr(0, request.content_type.find(';'));
    const bool looked_at = request.method == Method::post || request.method == Method::put;
    if (looked_at && type.empty()) refuse("Bad Request. Content-Type header is missing.");
    if (looked_at && type != "application/json")
      refuse("Bad Request. Content-Type must be one of ['application/json'].");
    auto parsed = parse_python_json(request.body);
    if (!parsed && name == "runs/log-batch") throw Crash{};  // this handler looks at the body before it checks it
    if (parsed && parsed->is_string()) parsed = parse_python_json(parsed->get_ref<const std::string&>());
    if (parsed && !parsed->is_null()) raw = std::move(*parsed);
    if (!v3() && raw.is_object()) accept_numeric_ids(raw);
  }
  ParsedRequest message(std::move(raw), operation->message);
  Response response;
  response.headers.push_back({"content-type", "application/json"});
  response.body = (this->*operation->handler)(message).dump(2, ' ', true, Json::error_handler_t::replace);
  response.status = 200;
  return response;
}

MLFLOWHA_INLINE Response BackendState::answer(const Request& request, WallTime now, ServerVersion version) {
  const std::string_view target = request.target;
  const std::string_view path = target.substr(0, target.find('?'));
  const std::string_view query = path.size() == target.size() ? std::string_view{} : target.substr(path.size() + 1);
  ++store.counts.requests;
  ++store.counts.by_path[std::string(path)];
  now_ms_ = now.time_since_epoch().count();
  version_ = version;
  try {
    return dispatch(request, path, query);
  } catch (const Refusal& refusal) {
    return error_response(refusal);
  } catch (const Crash&) {
    return html_page(500, "Internal Server Error");
  }
}

MLFLOWHA_INLINE std::map<std::string, std::string> as_map(const KeyValues& values) {
  return {values.items().begin(), values.items().end()};
}

MLFLOWHA_INLINE StoredRun as_stored(const RunRow& row) {
  StoredRun run;
  run.run_id = row.id;
  run.experiment_id = fmt::format("{}", row.experiment_id);
  run.name = row.name;
  run.user_id = row.user_id;
  run.status = status_name(row.status);
  run.lifecycle_stage = stage_name(row.deleted);
  run.artifact_uri = row.artifact_uri;
  run.start_time = row.start_time;
  run.end_time = row.end_time;
  run.tags = as_map(row.tags);
  run.params = as_map(row.params);
  for (const MetricSeries& series : row.metrics) {
    run.metrics.emplace(series.key, std::vector<StoredPoint>(series.points.begin(), series.points.end()));
  }
  return run;
}

}  // namespace detail

MLFLOWHA_INLINE FakeBackend::FakeBackend(BackendOptions options)
    : options_(options), state_(std::make_unique<detail::BackendState>(options)) {}

MLFLOWHA_INLINE FakeBackend::~FakeBackend() = default;

MLFLOWHA_INLINE Response FakeBackend::handle(const Request& request, WallTime now) {
  return handle(request, now, options_.version);
}

MLFLOWHA_INLINE Response FakeBackend::handle(const Request& request, WallTime now, ServerVersion version) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->answer(request, now, version);
}

MLFLOWHA_INLINE void FakeBackend::set_database(DatabaseState state) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->store.database = state;
}

MLFLOWHA_INLINE BackendCounts FakeBackend::counts() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  BackendCounts counts = state_->store.counts;
  counts.experiments = state_->store.experiments.size();
  counts.runs = state_->store.runs.size();
  return counts;
}

MLFLOWHA_INLINE std::vector<StoredRun> FakeBackend::runs() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  std::vector<StoredRun> runs;
  for (const detail::RunRow& row : state_->store.runs) runs.push_back(detail::as_stored(row));
  return runs;
}

MLFLOWHA_INLINE std::optional<StoredRun> FakeBackend::run(std::string_view run_id) const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  const auto found = state_->store.run_index.find(std::string(run_id));
  if (found == state_->store.run_index.end()) return std::nullopt;
  return detail::as_stored(*found->second);
}

MLFLOWHA_INLINE std::vector<StoredExperiment> FakeBackend::experiments() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  std::vector<StoredExperiment> experiments;
  for (const detail::ExperimentRow& row : state_->store.experiments) {
    experiments.push_back({fmt::format("{}", row.id), row.name, row.artifact_location,
                           std::string(detail::stage_name(row.deleted)), row.creation_time, row.last_update_time,
                           detail::as_map(row.tags)});
  }
  return experiments;
}

MLFLOWHA_INLINE std::vector<StoredPoint> FakeBackend::points(std::string_view run_id, std::string_view key) const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  const auto found = state_->store.run_index.find(std::string(run_id));
  if (found == state_->store.run_index.end()) return {};
  const detail::MetricSeries* series = found->second->metric(std::string(key));
  if (series == nullptr) return {};
  return {series->points.begin(), series->points.end()};
}

MLFLOWHA_INLINE std::vector<std::vector<std::string>> FakeBackend::runs_sharing_tag(std::string_view key) const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  std::map<std::string, std::vector<std::string>> by_value;
  for (const detail::RunRow& row : state_->store.runs) {
    const std::string* value = row.deleted ? nullptr : row.tags.find(std::string(key));
    if (value != nullptr) by_value[*value].push_back(row.id);
  }
  std::vector<std::vector<std::string>> groups;
  for (auto& [value, ids] : by_value) {
    if (ids.size() > 1) groups.push_back(std::move(ids));
  }
  return groups;
}

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
