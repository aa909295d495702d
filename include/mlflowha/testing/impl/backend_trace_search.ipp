#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_TRACE_SEARCH_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_TRACE_SEARCH_IPP

// The search for traces, and how often two filters find the same ones. Left out: an assessment that speaks for a whole
// session is found with its own trace alone.

#include <mlflowha/testing/impl/backend_search.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

MLFLOWHA_INLINE SearchSchema trace_schema(bool v3) {
  SearchSchema schema;
  schema.attributes = {"request_id", "timestamp",   "timestamp_ms", "execution_time",    "execution_time_ms",
                       "end_time",   "end_time_ms", "status",       "client_request_id", "name",
                       "run_id",     "prompt",      "text"};
  schema.numbers = {"timestamp", "timestamp_ms", "execution_time", "execution_time_ms", "end_time", "end_time_ms"};
  schema.listable = {"name", "status", "request_id", "run_id", "client_request_id"};
  schema.v3 = v3;
  schema.traces = true;
  return schema;
}

MLFLOWHA_INLINE Cell trace_cell(const TraceRow& row, Entity entity, const std::string& key) {
  if (entity == Entity::tag) return cell_of_tag(row.tags, key);
  if (entity == Entity::metadata) {
    const auto found = row.metadata.find(key);
    return found == row.metadata.end() ? Cell() : Cell(found->second);
  }
  if (entity != Entity::attribute) return {};
  if (key == "request_id") return row.id;
  if (key == "status") return row.state;
  if (key == "client_request_id") return row.client_request_id ? Cell(*row.client_request_id) : Cell();
  if (key == "experiment_id") return static_cast<double>(row.experiment_id);
  if (key == "timestamp_ms") return static_cast<double>(row.request_time);
  if (key == "end_time_ms") return static_cast<double>(row.request_time + row.duration.value_or(0));
  return row.duration ? Cell(static_cast<double>(*row.duration)) : Cell();
}

MLFLOWHA_INLINE bool holds_for_assessment(const Comparison& comparison, const AssessmentRow& row) {
  if (comparison.is_number) return row.value.is_number() && holds(comparison, Cell(row.value.get<double>()));
  // Compared is the JSON text; for equality a text without its quotes, too.
  const std::string text = python_json(row.value);
  if (comparison.comparator == "=" || comparison.comparator == "!=") {
    const bool same = text == comparison.text || text == json_string(comparison.text);
    return same == (comparison.comparator == "=");
  }
  return holds(comparison, Cell(text));
}

MLFLOWHA_INLINE bool holds_for_trace(const Comparison& comparison, const TraceRow& row) {
  const Entity entity = comparison.entity;
  if (entity == Entity::span) return false;  // there are none
  if (entity == Entity::issue) {
    return std::any_of(row.assessments.begin(), row.assessments.end(),
                       [&](const AssessmentRow& one) { return one.kind == "issue" && one.name == comparison.text; });
  }
  if (entity == Entity::feedback || entity == Entity::expectation) {
    const std::string_view kind = entity == Entity::feedback ? "feedback" : "expectation";
    const bool presence = comparison.comparator == "IS NULL" || comparison.comparator == "IS NOT NULL";
    const bool found = std::any_of(row.assessments.begin(), row.assessments.end(), [&](const AssessmentRow& one) {
      return one.kind == kind && one.name == comparison.key && one.valid &&
             (presence || holds_for_assessment(comparison, one));
    });
    return found != (comparison.comparator == "IS NULL");
  }
  if (entity == Entity::tag && comparison.key == "mlflow.linkedPrompts") return row.prompts.count(comparison.text) == 1;
  if (entity == Entity::metadata && comparison.key == "mlflow.sourceRun" && comparison.comparator == "=" &&
      row.runs.count(comparison.text) == 1) {
    return true;
  }
  return holds(comparison, trace_cell(row, entity, comparison.key));
}

MLFLOWHA_INLINE std::vector<Comparison> BackendState::trace_filter(const std::string& text) const {
  const SearchSchema schema = trace_schema(v3());
  std::vector<Comparison> comparisons = SearchParser(text, schema).filter();
  for (const Comparison& comparison : comparisons) {
    if (comparison.entity != Entity::tag || comparison.key != "mlflow.linkedPrompts") continue;
    if (comparison.comparator != "=") {
      refuse(
          fmt::format("Invalid comparator '{}' for prompts filter. Only '=' is supported with format: prompt = "
                      "\"name/version\"",
                      comparison.comparator));
    }
    if (std::count(comparison.text.begin(), comparison.text.end(), '/') != 1) {
      refuse(fmt::format("Invalid prompts filter value '{}'. Expected format: prompt = \"name/version\"",
                         comparison.text));
    }
  }
  return comparisons;
}

/// The traces of some experiments for which all comparisons hold.
MLFLOWHA_INLINE std::vector<const TraceRow*> BackendState::traces_where(
    const Json& experiments, const std::vector<Comparison>& comparisons) const {
  std::vector<const TraceRow*> rows;
  for (const auto& entry : store.traces) {
    const TraceRow& row = entry.second;
    const std::string owner = fmt::format("{}", row.experiment_id);
    const bool inside =
        std::any_of(experiments.begin(), experiments.end(), [&](const Json& one) { return one == owner; });
    const bool wanted =
        inside && std::all_of(comparisons.begin(), comparisons.end(),
                              [&](const Comparison& comparison) { return holds_for_trace(comparison, row); });
    if (wanted) rows.push_back(&row);
  }
  return rows;
}

MLFLOWHA_INLINE Json BackendState::trace_page(ParsedRequest& request, const Json& experiments,
                                              Json (*to_json)(const TraceRow&)) {
  constexpr std::int64_t most = 500;
  request.text("filter").integer("max_results").at_most("max_results", most).text_list("order_by").text("page_token");
  const std::int64_t max_results = request.has("max_results") ? request.integer_value("max_results") : 100;
  if (max_results < 1) {
    refuse(fmt::format("Invalid value {} for parameter 'max_results' supplied. It must be a positive integer",
                       max_results));
  }
  use_database(false);
  SearchSchema order_schema = trace_schema(v3());
  order_schema.attributes = {"experiment_id",     "timestamp", "timestamp_ms", "execution_time",
                             "execution_time_ms", "end_time",  "end_time_ms",  "status",
                             "request_id",        "name",      "run_id"};
  std::vector<Ordering> orderings;
  for (const Json& clause : request.list_value("order_by")) {
    const auto text = clause.get<std::string>();
    orderings.push_back(SearchParser(text, order_schema).order());
  }
  orderings.push_back({Entity::attribute, "timestamp_ms", false});
  std::vector<const TraceRow*> rows = traces_where(experiments, trace_filter(request.text_value("filter")));
  keep_and_sort(rows, {}, orderings, trace_cell);
  const std::size_t offset = page_offset(request.text_value("page_token"));
  const std::size_t end = offset + static_cast<std::size_t>(max_results);
  Json answer = Json::object();
  for (std::size_t i = offset; i < rows.size() && i < end; ++i) answer["traces"].push_back(to_json(*rows[i]));
  if (rows.size() >= end) answer["next_page_token"] = page_token(end);  // of a full page, whatever follows
  return answer;
}

/// Normalised pointwise mutual information of two events, from how often both, one and none of them happen.
MLFLOWHA_INLINE double npmi(double both, double first, double second, double neither) {
  const double total = both + first + second + neither;
  if (both + first <= 0 || both + second <= 0 || both <= 0) return std::numeric_limits<double>::quiet_NaN();
  if (first == 0 && second == 0 && neither == 0) return 1;
  const double information = std::log(both) + std::log(total) - std::log(both + first) - std::log(both + second);
  return std::max(-1.0, std::min(1.0, information / (std::log(total) - std::log(both))));
}

MLFLOWHA_INLINE Json BackendState::calculate_trace_filter_correlation(ParsedRequest& request) {
  request.list("experiment_ids").required("experiment_ids").text_list("experiment_ids");
  request.text("filter_string1").required("filter_string1").text("filter_string2").required("filter_string2");
  request.text("base_filter");
  use_database(false);
  const Json& experiments = request.list_value("experiment_ids");
  const std::string base = request.text_value("base_filter");
  const auto found = [&](const std::string& filter) {
    return traces_where(experiments, trace_filter(base.empty() ? filter : base + " and " + filter));
  };
  const auto first = found(request.text_value("filter_string1"));
  const auto second = found(request.text_value("filter_string2"));
  const auto total = std::ssize(traces_where(experiments, trace_filter(base)));
  const auto joint = std::count_if(first.begin(), first.end(), [&](const TraceRow* row) {
    return std::find(second.begin(), second.end(), row) != second.end();
  });
  Json answer;
  if (total > 0 && !first.empty() && !second.empty()) {
    const auto both = static_cast<double>(joint);
    const double only_first = static_cast<double>(first.size()) - both;
    const double only_second = static_cast<double>(second.size()) - both;
    const double neither = static_cast<double>(total) - only_first - only_second - both;
    const double plain = joint == 0 ? -1.0 : npmi(both, only_first, only_second, neither);
    if (!std::isnan(plain)) answer["npmi"] = plain;
    constexpr double prior = 0.5;
    answer["npmi_smoothed"] = npmi(both + prior, only_first + prior, only_second + prior, neither + prior);
  }
  answer["filter1_count"] = first.size();
  answer["filter2_count"] = second.size();
  answer["joint_count"] = joint;
  answer["total_count"] = total;
  return answer;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
