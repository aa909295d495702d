#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_TRACES_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_TRACES_IPP

// Handlers for traces, of both versions of the tracing API. Spans are not kept: on real servers they come by
// OpenTelemetry's protocol, and a trace without them is one that a server has no spans of.

#include <mlflowha/testing/impl/backend_assessments.ipp>
#include <mlflowha/testing/impl/backend_trace_search.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

inline constexpr std::string_view trace_name_tag = "mlflow.traceName";

MLFLOWHA_INLINE const MessageType& trace_location_message() {
  static const MessageType experiment{{{"experiment_id", "experimentId", FieldType::text}}};
  static const MessageType type{{{"mlflow_experiment", "mlflowExperiment", FieldType::message, false, &experiment}}};
  return type;
}

MLFLOWHA_INLINE const MessageType& start_trace_request() {
  static const std::vector<std::string_view> states = {"STATE_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS"};
  static const MessageType info{
      {{"trace_id", "traceId", FieldType::text},
       {"client_request_id", "clientRequestId", FieldType::text},
       {"trace_location", "traceLocation", FieldType::message, false, &trace_location_message()},
       {"request_preview", "requestPreview", FieldType::text},
       {"response_preview", "responsePreview", FieldType::text},
       {"request_time", "requestTime", FieldType::timestamp},
       {"execution_duration", "executionDuration", FieldType::duration},
       {"state", "state", FieldType::word, false, nullptr, &states},
       {"trace_metadata", "traceMetadata", FieldType::texts},
       {"assessments", "assessments", FieldType::message, true, &assessment_message()},
       {"tags", "tags", FieldType::texts}}};
  static const MessageType trace{{{"trace_info", "traceInfo", FieldType::message, false, &info}}};
  static const MessageType type{{{"trace", "trace", FieldType::message, false, &trace}}};
  return type;
}

/// Operations on traces: the union of their fields.
MLFLOWHA_INLINE const MessageType& trace_request() {
  static const std::vector<std::string_view> statuses = {"TRACE_STATUS_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS"};
  static const MessageType prompt{{{"name", "name", FieldType::text}, {"version", "version", FieldType::text}}};
  static const MessageType type{
      {{"trace_id", "traceId", FieldType::text},
       {"trace_ids", "traceIds", FieldType::text, true},
       {"request_ids", "requestIds", FieldType::text, true},
       {"run_id", "runId", FieldType::text},
       {"experiment_id", "experimentId", FieldType::text},
       {"experiment_ids", "experimentIds", FieldType::text, true},
       {"locations", "locations", FieldType::message, true, &trace_location_message()},
       {"filter", "filter", FieldType::text},
       {"max_results", "maxResults", FieldType::integer},
       {"order_by", "orderBy", FieldType::text, true},
       {"page_token", "pageToken", FieldType::text},
       {"max_timestamp_millis", "maxTimestampMillis", FieldType::integer},
       {"max_traces", "maxTraces", FieldType::integer},
       {"key", "key", FieldType::text},
       {"value", "value", FieldType::text},
       {"timestamp_ms", "timestampMs", FieldType::integer},
       {"status", "status", FieldType::word, false, nullptr, &statuses},
       {"request_metadata", "requestMetadata", FieldType::message, true, &key_value_message()},
       {"tags", "tags", FieldType::message, true, &key_value_message()},
       {"prompt_versions", "promptVersions", FieldType::message, true, &prompt},
       {"filter_string1", "filterString1", FieldType::text},
       {"filter_string2", "filterString2", FieldType::text},
       {"base_filter", "baseFilter", FieldType::text}}};
  return type;
}

MLFLOWHA_INLINE std::string time_text(std::int64_t milliseconds) {
  return format_timestamp(WallTime(std::chrono::milliseconds(milliseconds)));
}

MLFLOWHA_INLINE Json trace_info_json(const TraceRow& row) {
  Json json;
  json["trace_id"] = row.id;
  if (row.client_request_id) json["client_request_id"] = *row.client_request_id;
  json["trace_location"]["type"] = "MLFLOW_EXPERIMENT";
  json["trace_location"]["mlflow_experiment"]["experiment_id"] = fmt::format("{}", row.experiment_id);
  json["request_time"] = time_text(row.request_time);
  if (row.duration) json["execution_duration"] = format_duration(std::chrono::milliseconds(*row.duration));
  json["state"] = row.state;
  if (!row.metadata.empty()) json["trace_metadata"] = row.metadata;
  Json assessments = assessments_json(row);
  if (!assessments.empty()) json["assessments"] = std::move(assessments);
  for (const auto& [key, value] : row.tags.items()) json["tags"][key] = value;
  if (row.request_preview) json["request_preview"] = *row.request_preview;
  if (row.response_preview) json["response_preview"] = *row.response_preview;
  return json;
}

MLFLOWHA_INLINE Json trace_answer(const TraceRow& row) {
  Json answer;
  answer["trace"]["trace_info"] = trace_info_json(row);
  return answer;
}

/// As version 2 shows it.
MLFLOWHA_INLINE Json trace_info_v2_json(const TraceRow& row) {
  Json json;
  json["request_id"] = row.id;
  json["experiment_id"] = fmt::format("{}", row.experiment_id);
  json["timestamp_ms"] = row.request_time;
  json["execution_time_ms"] = row.duration.value_or(0);
  json["status"] = row.state == "STATE_UNSPECIFIED" ? "TRACE_STATUS_UNSPECIFIED" : row.state;
  KeyValues metadata;
  for (const auto& [key, value] : row.metadata) metadata.set(key, value);
  if (!metadata.items().empty()) json["request_metadata"] = tags_json(metadata);
  if (!row.tags.items().empty()) json["tags"] = tags_json(row.tags);
  return json;
}

MLFLOWHA_INLINE Json trace_v2_answer(const TraceRow& row) {
  Json answer;
  answer["trace_info"] = trace_info_v2_json(row);
  return answer;
}

MLFLOWHA_INLINE TraceRow& BackendState::trace(const std::string& id) {
  const auto found = store.traces.find(id);
  if (found == store.traces.end()) {
    refuse(fmt::format("Trace with {} '{}' not found.", v3() ? "ID" : "request_id", id), "RESOURCE_DOES_NOT_EXIST");
  }
  return found->second;
}

MLFLOWHA_INLINE void add_trace_location(TraceRow& row, const ExperimentRow& owner) {
  row.experiment_id = owner.id;
  row.tags.set("mlflow.artifactLocation", fmt::format("{}/traces/{}/artifacts", owner.artifact_location, row.id));
}

MLFLOWHA_INLINE Json BackendState::start_trace(ParsedRequest& request) {
  request.required("trace");
  const Json& info = ParsedRequest::object_of(request.object_value("trace"), "trace_info");
  const Json& place = ParsedRequest::object_of(ParsedRequest::object_of(info, "trace_location"), "mlflow_experiment");
  use_database(true);
  if (place.empty()) {
    refuse("int() argument must be a string, a bytes-like object or a real number, not 'NoneType'", "INTERNAL_ERROR");
  }
  const ExperimentRow& owner = active_experiment(ParsedRequest::text_of(place, "experiment_id"));
  const std::string id = ParsedRequest::text_of(info, "trace_id");
  std::vector<AssessmentRow> assessments;
  for (const Json& assessment : ParsedRequest::elements_of(info, "assessments")) {
    assessments.push_back(new_assessment(assessment));
  }
  // One that is there is overwritten; its tags, metadata and assessments are added to.
  TraceRow& row = store.traces[id];
  row.id = id;
  const auto optional_text = [&](const char* name, std::optional<std::string>& text) {
    if (member(info, name) != nullptr) text = ParsedRequest::text_of(info, name);
  };
  row.client_request_id.reset();
  optional_text("client_request_id", row.client_request_id);
  optional_text("request_preview", row.request_preview);
  optional_text("response_preview", row.response_preview);
  row.request_time = ParsedRequest::integer_of(info, "request_time");
  row.duration.reset();
  if (member(info, "execution_duration") != nullptr) {
    row.duration = ParsedRequest::integer_of(info, "execution_duration");
  }
  row.state = member(info, "state") == nullptr ? "STATE_UNSPECIFIED" : ParsedRequest::text_of(info, "state");
  for (const auto& [key, value] : ParsedRequest::object_of(info, "tags").items()) row.tags.set(key, value);
  add_trace_location(row, owner);
  for (const auto& [key, value] : ParsedRequest::object_of(info, "trace_metadata").items()) row.metadata[key] = value;
  row.metadata["mlflow.trace.infoFinalized"] = "true";
  for (AssessmentRow& assessment : assessments) put_assessment(row, std::move(assessment));
  compact_ = true;
  return trace_answer(row);
}

MLFLOWHA_INLINE Json BackendState::get_trace_info(ParsedRequest&) {
  use_database(false);
  compact_ = true;
  return trace_answer(trace(places_[0]));
}

[[noreturn]] MLFLOWHA_INLINE void refuse_spans() {
  refuse("Trace data not stored in tracking store", "INTERNAL_ERROR");
}

MLFLOWHA_INLINE Json BackendState::get_trace(ParsedRequest& request) {
  request.text("trace_id").required("trace_id");
  use_database(false);
  const std::string id = request.text_value("trace_id");
  if (!store.traces.contains(id)) {
    refuse(fmt::format("Trace with ID {} is not found.", id), "RESOURCE_DOES_NOT_EXIST");
  }
  refuse_spans();
}

/// The traces of `trace_ids` that are there, in experiments that `experiment_ids` names, if it does.
MLFLOWHA_INLINE std::vector<const TraceRow*> BackendState::traces_of(ParsedRequest& request) {
  request.list("trace_ids").required("trace_ids").text_list("trace_ids").text_list("experiment_ids");
  use_database(false);
  const Json& experiments = request.list_value("experiment_ids");
  std::vector<const TraceRow*> rows;
  for (const Json& id : request.list_value("trace_ids")) {
    const auto found = store.traces.find(id.get<std::string>());
    if (found == store.traces.end()) continue;
    const std::string owner = fmt::format("{}", found->second.experiment_id);
    const bool inside =
        std::any_of(experiments.begin(), experiments.end(), [&](const Json& one) { return one == owner; });
    const bool again = std::find(rows.begin(), rows.end(), &found->second) != rows.end();
    if ((inside || !request.has("experiment_ids")) && !again) rows.push_back(&found->second);
  }
  return rows;
}

MLFLOWHA_INLINE Json BackendState::batch_get_traces(ParsedRequest& request) {
  if (!traces_of(request).empty()) refuse_spans();
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::batch_get_trace_infos(ParsedRequest& request) {
  Json answer = Json::object();
  for (const TraceRow* row : traces_of(request)) answer["trace_infos"].push_back(trace_info_json(*row));
  compact_ = true;
  return answer;
}

MLFLOWHA_INLINE Json BackendState::search_traces(ParsedRequest& request) {
  request.list("locations").required("locations");
  Json experiments = Json::array();
  for (const Json& location : request.list_value("locations")) {
    const Json& place = ParsedRequest::object_of(location, "mlflow_experiment");
    if (!place.empty()) experiments.push_back(ParsedRequest::text_of(place, "experiment_id"));
  }
  compact_ = true;
  return trace_page(request, experiments, trace_info_json);
}

MLFLOWHA_INLINE Json BackendState::search_traces_v2(ParsedRequest& request) {
  request.list("experiment_ids").text_list("experiment_ids").required("experiment_ids");
  return trace_page(request, request.list_value("experiment_ids"), trace_info_v2_json);
}

MLFLOWHA_INLINE Json BackendState::delete_traces(ParsedRequest& request) {
  request.text("experiment_id").required("experiment_id").integer("max_timestamp_millis").integer("max_traces");
  request.text_list("request_ids");
  const char* ids_name = v3() ? "trace_ids" : "request_ids";
  const Json& ids = request.list_value("request_ids");
  const bool by_time = request.has("max_timestamp_millis");
  if (!by_time && ids.empty()) {
    refuse(fmt::format("Either `max_timestamp_millis` or `{}` must be specified.", ids_name));
  }
  if (by_time && !ids.empty()) {
    refuse(fmt::format("Only one of `max_timestamp_millis` and `{}` can be specified.", ids_name));
  }
  if (!ids.empty() && request.has("max_traces")) {
    refuse(fmt::format("`max_traces` can't be specified if `{0}` is specified.", ids_name));
  }
  std::int64_t left = std::numeric_limits<std::int64_t>::max();
  if (request.has("max_traces")) left = request.integer_value("max_traces");
  if (left <= 0) refuse(fmt::format("`max_traces` must be a positive integer, received {}.", left));
  use_database(true);
  const std::string owner = request.text_value("experiment_id");
  if (!number_from<std::int64_t>(owner) && v3()) {
    refuse(fmt::format("Invalid experiment ID '{}'. Experiment ID must be a valid integer.", owner));
  }
  std::vector<std::pair<std::int64_t, std::string>> chosen;  // the oldest first
  for (const auto& entry : store.traces) {
    const TraceRow& row = entry.second;
    if (fmt::format("{}", row.experiment_id) != owner) continue;
    const bool named = std::any_of(ids.begin(), ids.end(), [&](const Json& one) { return one == row.id; });
    if (by_time ? row.request_time <= request.integer_value("max_timestamp_millis") : named) {
      chosen.emplace_back(row.request_time, entry.first);
    }
  }
  std::sort(chosen.begin(), chosen.end());
  std::int64_t deleted = 0;
  for (const auto& [time, id] : chosen) {
    if (deleted == left) break;
    store.traces.erase(id);
    ++deleted;
  }
  Json answer;
  answer["traces_deleted"] = deleted;
  return answer;
}

/// Tags that servers write themselves.
MLFLOWHA_INLINE void check_trace_tag_change(const std::string& key, bool deleted) {
  const bool failure = key == "mlflow.trace.archivalFailure";
  if (key == "mlflow.trace.spansLocation" || key == "mlflow.trace.archiveLocation" || (failure && !deleted)) {
    refuse(fmt::format("Tag '{}' is immutable and cannot be {} on a trace.", key, deleted ? "deleted" : "set"));
  }
}

MLFLOWHA_INLINE Json BackendState::set_trace_tag(ParsedRequest& request) {
  request.text("key").required("key").text("value");
  const std::string key = request.text_value("key");
  const std::string value = request.text_value("value");
  if (v3()) check_trace_tag_change(key, false);
  check_name(key, "key");
  check_length("key", key, max_key_length);
  use_database(true);
  const std::string& id = places_[0];
  if (v3() && key == trace_name_tag) static_cast<void>(trace(id));
  const auto found = store.traces.find(id);
  if (found == store.traces.end()) {
    refuse(fmt::format("(sqlite3.IntegrityError) FOREIGN KEY constraint failed\n[SQL: INSERT INTO trace_tags (\"key\", "
                       "value, request_id) VALUES (?, ?, ?)]\n[parameters: ('{}', '{}', '{}')]\n(Background on this "
                       "error at: https://sqlalche.me/e/{}/gkpj)",
                       key, value, id, v3() ? 21 : 20),
           "BAD_REQUEST");
  }
  found->second.tags.set(key, first_characters(value, max_tag_length));
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::delete_trace_tag(ParsedRequest& request) {
  request.text("key").required("key");
  const std::string key = request.text_value("key");
  if (v3()) check_trace_tag_change(key, true);
  use_database(true);
  const std::string& id = places_[0];
  if (v3() && key == trace_name_tag) static_cast<void>(trace(id));
  const auto found = store.traces.find(id);
  if (found == store.traces.end() || !found->second.tags.erase(key)) {
    refuse(fmt::format("No trace tag with key '{}' for trace with {} '{}'", key, v3() ? "ID" : "request_id", id),
           "RESOURCE_DOES_NOT_EXIST");
  }
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::link_traces_to_run(ParsedRequest& request) {
  request.list("trace_ids").required("trace_ids").text_list("trace_ids").text("run_id").required("run_id");
  constexpr std::size_t most = 100;
  const Json& ids = request.list_value("trace_ids");
  if (ids.size() > most) {
    refuse(fmt::format("Cannot link more than {} traces to a run in a single request. Provided {} traces.", most,
                       ids.size()));
  }
  use_database(true);
  // Neither needs to exist; a link to a trace that comes later is not seen by anybody.
  for (const Json& id : ids) {
    const auto found = store.traces.find(id.get<std::string>());
    if (found != store.traces.end()) found->second.runs.insert(request.text_value("run_id"));
  }
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::link_prompts_to_trace(ParsedRequest& request) {
  request.text("trace_id").required("trace_id").list("prompt_versions").required("prompt_versions");
  std::vector<std::string> prompts;
  for (const Json& prompt : request.list_value("prompt_versions")) {
    const std::string version = ParsedRequest::text_of(prompt, "version");
    const auto number = number_from<std::int64_t>(version);
    if (!number) {
      refuse(fmt::format("invalid literal for int() with base 10: '{}'", version), "INTERNAL_ERROR");
    }
    prompts.push_back(fmt::format("{}/{}", ParsedRequest::text_of(prompt, "name"), *number));
  }
  use_database(true);
  if (prompts.empty()) return Json::object();
  trace(request.text_value("trace_id")).prompts.insert(prompts.begin(), prompts.end());
  return Json::object();
}

// --- version 2
// --------------------------------------------------------------------------------------------------------

MLFLOWHA_INLINE Json BackendState::start_trace_v2(ParsedRequest& request) {
  request.text("experiment_id")
      .integer("timestamp_ms")
      .required_in("request_metadata", "key")
      .required_in("tags", "key");
  use_database(true);
  const ExperimentRow& owner = active_experiment(request.text_value("experiment_id"));
  TraceRow row;
  row.id = store.make_run_id();
  row.request_time = request.integer_value("timestamp_ms");
  row.state = "IN_PROGRESS";
  for (const Json& tag : request.list_value("tags")) {
    row.tags.set(ParsedRequest::text_of(tag, "key"), ParsedRequest::text_of(tag, "value"));
  }
  add_trace_location(row, owner);
  for (const Json& entry : request.list_value("request_metadata")) {
    row.metadata[ParsedRequest::text_of(entry, "key")] = ParsedRequest::text_of(entry, "value");
  }
  const std::string id = row.id;
  return trace_v2_answer(store.traces.emplace(id, std::move(row)).first->second);
}

MLFLOWHA_INLINE Json BackendState::end_trace_v2(ParsedRequest& request) {
  request.integer("timestamp_ms").text("status").required_in("request_metadata", "key").required_in("tags", "key");
  use_database(true);
  TraceRow& row = trace(places_[0]);
  row.duration = request.integer_value("timestamp_ms") - row.request_time;
  const std::string status = request.text_value("status");
  row.state = status.empty() || status == "TRACE_STATUS_UNSPECIFIED" ? "STATE_UNSPECIFIED" : status;
  for (const Json& tag : request.list_value("tags")) {
    row.tags.set(ParsedRequest::text_of(tag, "key"), ParsedRequest::text_of(tag, "value"));
  }
  for (const Json& entry : request.list_value("request_metadata")) {
    row.metadata[ParsedRequest::text_of(entry, "key")] = ParsedRequest::text_of(entry, "value");
  }
  return trace_v2_answer(row);
}

MLFLOWHA_INLINE Json BackendState::get_trace_info_v2(ParsedRequest&) {
  use_database(false);
  return trace_v2_answer(trace(places_[0]));
}

/// Of operations that only Databricks has: the route is there, and answers nothing.
MLFLOWHA_INLINE Response BackendState::not_open_source(ParsedRequest&) {
  Response response = plain_answer("text/html; charset=utf-8", "");
  response.status = 404;
  return response;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
