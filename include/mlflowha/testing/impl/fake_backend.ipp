#ifndef MLFLOWHA_TESTING_IMPL_FAKE_BACKEND_IPP
#define MLFLOWHA_TESTING_IMPL_FAKE_BACKEND_IPP

#include <mlflowha/testing/fake_backend.hpp>
#include <mlflowha/testing/impl/backend_dispatch.ipp>

#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

namespace detail {

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
