#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_ASSESSMENTS_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_ASSESSMENTS_IPP

// Handlers for assessments of traces.

#include <mlflowha/testing/impl/backend_search.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

MLFLOWHA_INLINE const MessageType& assessment_message() {
  static const std::vector<std::string_view> kinds = {"SOURCE_TYPE_UNSPECIFIED", "HUMAN", "LLM_JUDGE", "CODE"};
  static const MessageType source{{{"source_type", "sourceType", FieldType::word, false, nullptr, &kinds},
                                   {"source_id", "sourceId", FieldType::text}}};
  static const MessageType error{{{"error_code", "errorCode", FieldType::text},
                                  {"error_message", "errorMessage", FieldType::text},
                                  {"stack_trace", "stackTrace", FieldType::text}}};
  static const MessageType feedback{
      {{"value", "value", FieldType::value}, {"error", "error", FieldType::message, false, &error}}};
  static const MessageType serialized{
      {{"serialization_format", "serializationFormat", FieldType::text}, {"value", "value", FieldType::text}}};
  static const MessageType expectation{
      {{"value", "value", FieldType::value},
       {"serialized_value", "serializedValue", FieldType::message, false, &serialized}}};
  static const MessageType issue{{{"issue_name", "issueName", FieldType::text}}};
  static const MessageType type{{{"assessment_id", "assessmentId", FieldType::text},
                                 {"assessment_name", "assessmentName", FieldType::text},
                                 {"trace_id", "traceId", FieldType::text},
                                 {"span_id", "spanId", FieldType::text},
                                 {"source", "source", FieldType::message, false, &source},
                                 {"create_time", "createTime", FieldType::timestamp},
                                 {"last_update_time", "lastUpdateTime", FieldType::timestamp},
                                 {"feedback", "feedback", FieldType::message, false, &feedback},
                                 {"expectation", "expectation", FieldType::message, false, &expectation},
                                 {"issue", "issue", FieldType::message, false, &issue},
                                 {"rationale", "rationale", FieldType::text},
                                 {"metadata", "metadata", FieldType::texts},
                                 {"overrides", "overrides", FieldType::text},
                                 {"valid", "valid", FieldType::boolean}}};
  return type;
}

MLFLOWHA_INLINE const MessageType& assessment_request() {
  static const MessageType type{{{"assessment", "assessment", FieldType::message, false, &assessment_message()},
                                 {"update_mask", "updateMask", FieldType::mask}}};
  return type;
}

/// The value of a feedback or an expectation.
MLFLOWHA_INLINE Json assessed_value(const Json& holder) {
  const Json& serialized = ParsedRequest::object_of(holder, "serialized_value");
  if (serialized.empty()) {
    const Json* value = member(holder, "value");
    return value == nullptr ? Json() : *value;
  }
  const std::string format = ParsedRequest::text_of(serialized, "serialization_format");
  if (format != "JSON_FORMAT") {
    refuse(fmt::format("Unknown serialization format: {}. Only JSON_FORMAT is supported.", format));
  }
  std::optional<Json> value = json_from(ParsedRequest::text_of(serialized, "value"));
  if (!value) refuse("Expecting value: line 1 column 1 (char 0)", "INTERNAL_ERROR");
  return std::move(*value);
}

MLFLOWHA_INLINE Json assessment_json(const TraceRow& trace, const AssessmentRow& row) {
  Json json;
  json["assessment_id"] = row.id;
  json["assessment_name"] = row.name;
  json["trace_id"] = trace.id;
  if (!row.span_id.empty()) json["span_id"] = row.span_id;
  json["source"] = row.source;
  json["create_time"] = format_timestamp(WallTime(std::chrono::milliseconds(row.create_time)));
  json["last_update_time"] = format_timestamp(WallTime(std::chrono::milliseconds(row.last_update_time)));
  if (row.kind == "feedback") {
    json["feedback"]["value"] = row.value;
    if (!row.error.empty()) json["feedback"]["error"] = row.error;
  } else if (row.kind == "expectation") {
    if (row.value.is_structured() || row.value.is_null()) {
      json["expectation"]["serialized_value"]["serialization_format"] = "JSON_FORMAT";
      json["expectation"]["serialized_value"]["value"] = python_json(row.value);
    } else {
      json["expectation"]["value"] = row.value;
    }
  }
  if (!row.rationale.empty()) json["rationale"] = row.rationale;
  if (!row.metadata.empty()) json["metadata"] = row.metadata;
  if (!row.overrides.empty()) json["overrides"] = row.overrides;
  json["valid"] = row.valid;
  if (row.kind == "issue") json["issue"]["issue_name"] = row.value;
  return json;
}

MLFLOWHA_INLINE Json assessment_answer(const TraceRow& trace, const AssessmentRow& row) {
  Json answer;
  answer["assessment"] = assessment_json(trace, row);
  return answer;
}

/// The oldest first.
MLFLOWHA_INLINE Json assessments_json(const TraceRow& trace) {
  std::multimap<std::int64_t, const AssessmentRow*> by_time;
  for (const AssessmentRow& row : trace.assessments) by_time.emplace(row.create_time, &row);
  Json list = Json::array();
  for (const auto& [time, row] : by_time) list.push_back(assessment_json(trace, *row));
  return list;
}

/// As a request describes it.
MLFLOWHA_INLINE AssessmentRow BackendState::new_assessment(const Json& assessment) {
  AssessmentRow row;
  for (const auto& [key, value] : assessment.items()) {
    if (key != "feedback" && key != "expectation" && key != "issue") continue;
    if (!row.kind.empty()) break;
    row.kind = key;
    row.value = key == "issue" ? Json(ParsedRequest::text_of(value, "issue_name")) : assessed_value(value);
    row.error = ParsedRequest::object_of(value, "error");
  }
  if (row.kind.empty()) refuse("Unknown assessment type: None");
  row.id = ParsedRequest::text_of(assessment, "assessment_id");
  if (row.id.empty()) row.id = "a-" + store.make_run_id();
  row.name = ParsedRequest::text_of(assessment, "assessment_name");
  row.span_id = ParsedRequest::text_of(assessment, "span_id");
  row.source["source_type"] = "SOURCE_TYPE_UNSPECIFIED";
  for (const auto& [key, value] : ParsedRequest::object_of(assessment, "source").items()) row.source[key] = value;
  row.create_time = ParsedRequest::integer_of(assessment, "create_time");
  if (row.create_time == 0) row.create_time = now_ms_;
  row.last_update_time = ParsedRequest::integer_of(assessment, "last_update_time");
  if (row.last_update_time == 0) row.last_update_time = now_ms_;
  for (const auto& [key, value] : ParsedRequest::object_of(assessment, "metadata").items()) row.metadata[key] = value;
  // MLflow's classes have no place for the rest of these.
  if (row.kind != "expectation") row.rationale = ParsedRequest::text_of(assessment, "rationale");
  if (row.kind == "feedback") row.overrides = ParsedRequest::text_of(assessment, "overrides");
  return row;
}

/// Adds it, or replaces the one with its id.
MLFLOWHA_INLINE void put_assessment(TraceRow& trace, AssessmentRow row) {
  for (AssessmentRow& other : trace.assessments) {
    if (other.id != row.id) continue;
    other = std::move(row);
    return;
  }
  trace.assessments.push_back(std::move(row));
}

MLFLOWHA_INLINE AssessmentRow& BackendState::assessment(TraceRow& owner, const std::string& id) {
  const auto found = std::find_if(owner.assessments.begin(), owner.assessments.end(),
                                  [&](const AssessmentRow& row) { return row.id == id; });
  if (found == owner.assessments.end()) {
    refuse(fmt::format("Assessment with ID '{}' not found for trace '{}'", id, owner.id), "RESOURCE_DOES_NOT_EXIST");
  }
  return *found;
}

/// The trace in the path of a request for one of its assessments.
MLFLOWHA_INLINE TraceRow& BackendState::assessed_trace() {
  const auto found = store.traces.find(places_[0]);
  if (found == store.traces.end()) {
    refuse(fmt::format("Trace with request_id '{}' not found", places_[0]), "RESOURCE_DOES_NOT_EXIST");
  }
  return found->second;
}

MLFLOWHA_INLINE Json BackendState::create_assessment(ParsedRequest& request) {
  request.required("assessment");
  AssessmentRow row = new_assessment(request.object_value("assessment"));
  use_database(true);
  TraceRow& owner = trace(places_[0]);
  AssessmentRow* overridden = row.overrides.empty() ? nullptr : &assessment(owner, row.overrides);
  for (const auto& [id, other] : store.traces) {
    for (const AssessmentRow& one : other.assessments) {
      if (one.id != row.id) continue;
      refuse(fmt::format("Failed to create assessment for trace '{}' due to a constraint violation.", owner.id),
             "INTERNAL_ERROR");
    }
  }
  if (overridden != nullptr) overridden->valid = false;
  owner.assessments.push_back(std::move(row));
  return assessment_answer(owner, owner.assessments.back());
}

MLFLOWHA_INLINE Json BackendState::get_assessment(ParsedRequest&) {
  use_database(false);
  TraceRow& owner = assessed_trace();
  return assessment_answer(owner, assessment(owner, places_[1]));
}

MLFLOWHA_INLINE Json BackendState::update_assessment(ParsedRequest& request) {
  request.required("assessment").required("update_mask");
  use_database(true);
  TraceRow& owner = assessed_trace();
  AssessmentRow& row = assessment(owner, places_[1]);
  const Json& change = request.object_value("assessment");
  AssessmentRow changed = row;
  std::string valued;
  for (const Json& path : request.list_value("update_mask")) {
    if (path == "valid") {
      refuse("SqlAlchemyStore.update_assessment() got an unexpected keyword argument 'valid'", "INTERNAL_ERROR");
    }
    if (path == "assessment_name") changed.name = ParsedRequest::text_of(change, "assessment_name");
    if (path == "rationale") changed.rationale = ParsedRequest::text_of(change, "rationale");
    if (path == "metadata") {
      for (const auto& [key, value] : ParsedRequest::object_of(change, "metadata").items())
        changed.metadata[key] = value;
    }
    if (path != "feedback" && path != "expectation") continue;
    const auto kind = path.get<std::string>();
    if (!valued.empty() && valued != kind) refuse("Cannot specify both `expectation` and `feedback` parameters.");
    valued = kind;
    changed.value = assessed_value(ParsedRequest::object_of(change, kind));
    changed.error = ParsedRequest::object_of(ParsedRequest::object_of(change, kind), "error");
  }
  if (valued == "expectation" && row.kind != valued) {
    refuse("Cannot update expectation value on a Feedback assessment.");
  }
  if (valued == "feedback" && row.kind != valued) refuse("Cannot update feedback value on an Expectation assessment.");
  if (row.kind == "issue") refuse("'IssueReference' object has no attribute 'value'", "INTERNAL_ERROR");
  changed.last_update_time = now_ms_;
  row = std::move(changed);
  return assessment_answer(owner, row);
}

MLFLOWHA_INLINE Json BackendState::delete_assessment(ParsedRequest&) {
  use_database(true);
  const auto owner = store.traces.find(places_[0]);
  if (owner == store.traces.end()) return Json::object();
  std::vector<AssessmentRow>& rows = owner->second.assessments;
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const AssessmentRow& row) { return row.id == places_[1]; });
  if (found == rows.end()) return Json::object();
  const std::string overridden = found->overrides;
  rows.erase(found);
  for (AssessmentRow& row : rows) {
    if (!overridden.empty() && row.id == overridden) row.valid = true;
  }
  return Json::object();
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
