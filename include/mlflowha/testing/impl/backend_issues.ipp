#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_ISSUES_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_ISSUES_IPP

// Handlers for issues.

#include <mlflowha/testing/impl/backend_search.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

MLFLOWHA_INLINE const MessageType& issue_request() {
  static const MessageType type{{{"issue_id", "issueId", FieldType::text},
                                 {"experiment_id", "experimentId", FieldType::text},
                                 {"name", "name", FieldType::text},
                                 {"description", "description", FieldType::text},
                                 {"status", "status", FieldType::text},
                                 {"severity", "severity", FieldType::text},
                                 {"root_causes", "rootCauses", FieldType::text, true},
                                 {"categories", "categories", FieldType::text, true},
                                 {"source_run_id", "sourceRunId", FieldType::text},
                                 {"created_by", "createdBy", FieldType::text},
                                 {"filter_string", "filterString", FieldType::text},
                                 {"max_results", "maxResults", FieldType::integer},
                                 {"page_token", "pageToken", FieldType::text},
                                 {"include_trace_count", "includeTraceCount", FieldType::boolean}}};
  return type;
}

inline constexpr std::string_view issue_severities[] = {"not_an_issue", "low", "medium", "high"};  // the mildest first

MLFLOWHA_INLINE int severity_rank(std::string_view severity) noexcept {
  for (int i = 0; i < static_cast<int>(std::size(issue_severities)); ++i) {
    if (issue_severities[i] == severity) return i;
  }
  return -1;
}

/// Status and severity, where the request has them. Servers don't expect any other word.
MLFLOWHA_INLINE void put_issue_state(IssueRow& row, const ParsedRequest& request) {
  if (request.has("status")) {
    row.status = request.text_value("status");
    if (row.status != "pending" && row.status != "rejected" && row.status != "resolved") throw Crash{};
  }
  if (request.has("severity")) {
    row.severity = request.text_value("severity");
    if (severity_rank(row.severity) < 0) throw Crash{};
  }
}

MLFLOWHA_INLINE Json issue_json(const IssueRow& row) {
  Json json;
  json["issue_id"] = row.id;
  json["experiment_id"] = fmt::format("{}", row.experiment_id);
  json["name"] = row.name;
  json["description"] = row.description;
  json["status"] = row.status;
  if (!row.severity.empty()) json["severity"] = row.severity;
  if (!row.root_causes.empty()) json["root_causes"] = row.root_causes;
  if (!row.source_run_id.empty()) json["source_run_id"] = row.source_run_id;
  json["created_timestamp"] = row.creation_time;
  json["last_updated_timestamp"] = row.last_update_time;
  if (!row.created_by.empty()) json["created_by"] = row.created_by;
  if (!row.categories.empty()) json["categories"] = row.categories;
  return json;
}

MLFLOWHA_INLINE Json issue_answer(const IssueRow& row) {
  Json answer;
  answer["issue"] = issue_json(row);
  return answer;
}

MLFLOWHA_INLINE IssueRow& BackendState::issue(const std::string& id) {
  const auto found = store.issues.find(id);
  if (found == store.issues.end()) {
    refuse(fmt::format("Issue with ID '{}' not found", id), "RESOURCE_DOES_NOT_EXIST");
  }
  return found->second;
}

MLFLOWHA_INLINE Json BackendState::create_issue(ParsedRequest& request) {
  request.required("name").text("name").required("description").text("description");
  request.required("experiment_id").text("experiment_id");
  IssueRow row;
  put_issue_state(row, request);
  use_database(true);
  row.experiment_id = experiment(request.text_value("experiment_id"), true, false).id;
  row.id = "iss-" + store.make_run_id();
  row.name = request.text_value("name");
  row.description = request.text_value("description");
  row.source_run_id = request.text_value("source_run_id");
  row.created_by = request.text_value("created_by");
  row.root_causes = request.list_value("root_causes");
  row.categories = request.list_value("categories");
  row.creation_time = row.last_update_time = now_ms_;
  const std::string id = row.id;
  return issue_answer(store.issues.emplace(id, std::move(row)).first->second);
}

MLFLOWHA_INLINE Json BackendState::update_issue(ParsedRequest& request) {
  request.required("issue_id");
  IssueRow change;
  put_issue_state(change, request);
  use_database(true);
  IssueRow& row = issue(places_[0]);
  if (request.has("status")) row.status = change.status;
  if (request.has("severity")) row.severity = change.severity;
  if (!request.text_value("name").empty()) row.name = request.text_value("name");
  if (!request.text_value("description").empty()) row.description = request.text_value("description");
  row.last_update_time = now_ms_;
  return issue_answer(row);
}

MLFLOWHA_INLINE Json BackendState::get_issue(ParsedRequest&) {
  use_database(false);
  return issue_answer(issue(places_[0]));
}

MLFLOWHA_INLINE std::int64_t BackendState::traces_with_issue(const std::string& id) const {
  return std::count_if(store.traces.begin(), store.traces.end(), [&](const auto& entry) {
    const std::vector<AssessmentRow>& rows = entry.second.assessments;
    return std::any_of(rows.begin(), rows.end(),
                       [&](const AssessmentRow& row) { return row.kind == "issue" && row.name == id; });
  });
}

MLFLOWHA_INLINE Json BackendState::search_issues(ParsedRequest& request) {
  const std::int64_t max_results = request.has("max_results") ? request.integer_value("max_results") : 100;
  check_max_results(max_results);
  use_database(false);
  const bool counted = request.flag_value("include_trace_count");
  const std::string owner = request.text_value("experiment_id");
  const std::optional<std::int64_t> number = number_from<std::int64_t>(owner);
  if (!owner.empty() && !number) {
    refuse(fmt::format("Invalid experiment ID '{}'. Experiment ID must be a valid integer.", owner));
  }
  SearchSchema schema;
  schema.attributes = {"source_run_id", "status"};
  schema.runs = false;
  schema.issues = true;
  const std::string filter = request.text_value("filter_string");
  const auto comparisons = SearchParser(filter, schema).filter();
  std::vector<const IssueRow*> rows;
  for (const auto& [id, row] : store.issues) {
    if (owner.empty() || row.experiment_id == *number) rows.push_back(&row);
  }
  // The gravest first, then those that more traces show, then the newest.
  std::vector<Ordering> orderings;
  for (const char* key : {"severity", "traces", "created", "id"}) orderings.push_back({Entity::attribute, key, false});
  keep_and_sort(rows, comparisons, orderings, [&](const IssueRow& row, Entity, const std::string& key) -> Cell {
    if (key == "status") return row.status;
    if (key == "source_run_id") return row.source_run_id.empty() ? Cell() : Cell(row.source_run_id);
    if (key == "id") return row.id;
    if (key == "severity") return static_cast<double>(severity_rank(row.severity));
    if (key == "traces") return counted ? static_cast<double>(traces_with_issue(row.id)) : 0.0;
    return static_cast<double>(row.creation_time);
  });
  Json answer = page_of(rows, "issues", request, max_results, [&](const IssueRow& row) {
    Json json = issue_json(row);
    if (counted) json["trace_count"] = traces_with_issue(row.id);
    return json;
  });
  if (!answer.contains("next_page_token")) answer["next_page_token"] = "";
  return answer;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
