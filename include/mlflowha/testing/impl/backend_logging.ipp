#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_LOGGING_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_LOGGING_IPP

#include <mlflowha/testing/impl/backend_runs.ipp>

#include <map>
#include <tuple>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

/// As Python prints a float.
MLFLOWHA_INLINE std::string python_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return Json(value).dump();
}

/// `prefix` is "" or "metrics[3]." and the like.
MLFLOWHA_INLINE void check_metric(const Json& metric, const std::string& prefix) {
  const std::string key = ParsedRequest::text_of(metric, "key");
  check_name(key, prefix + "name");
  const std::int64_t timestamp = ParsedRequest::integer_of(metric, "timestamp");
  if (timestamp < 0) {
    refuse(
        fmt::format("Invalid value {} for parameter '{}timestamp' supplied: metric '{}' (value={}). Timestamp must be "
                    "a nonnegative long (64-bit integer) ",
                    timestamp, prefix, key, python_float(ParsedRequest::real_of(metric, "value"))));
  }
  check_length("Metric name", key, max_key_length);
}

/// As the database keeps it.
MLFLOWHA_INLINE StoredPoint stored_point(const Json& metric) {
  const double value = ParsedRequest::real_of(metric, "value");
  StoredPoint point;
  point.timestamp = ParsedRequest::integer_of(metric, "timestamp");
  point.step = ParsedRequest::integer_of(metric, "step");
  point.is_nan = std::isnan(value);
  if (std::isinf(value)) {
    point.value = std::copysign(std::numeric_limits<double>::max(), value);
  } else if (!point.is_nan) {
    point.value = value + 0.0;  // SQL knows one zero only
  }
  return point;
}

/// All or none. 2.22 passes over what is stored already by comparing values, and no NaN equals another: its second try
/// then meets the primary key as the first did. So does an infinity beside the largest double.
MLFLOWHA_INLINE void BackendState::store_metrics(RunRow& row, const Json& metrics) {
  if (!v3()) {
    std::map<std::pair<std::string, std::tuple<std::int64_t, std::int64_t, double, bool>>, double> seen;
    for (const Json& metric : metrics) {
      const std::string key = ParsedRequest::text_of(metric, "key");
      const double value = ParsedRequest::real_of(metric, "value");
      const StoredPoint point = stored_point(metric);
      const MetricSeries* series = row.metric(key);
      const bool there = series != nullptr && series->points.contains(point);
      const auto [at, fresh] = seen.insert({{key, {point.timestamp, point.step, point.value, point.is_nan}}, value});
      if ((point.is_nan && (there || !fresh)) || (!there && !fresh && at->second != value)) {
        refuse(fmt::format("{}(sqlite3.IntegrityError) UNIQUE constraint failed: metrics.key, metrics.timestamp, "
                           "metrics.step, metrics.run_uuid, metrics.value, metrics.is_nan\n(Background on this error "
                           "at: https://sqlalche.me/e/20/gkpj)",
                           autoflush_prefix),
               "BAD_REQUEST");
      }
    }
  }
  for (const Json& metric : metrics) {
    const bool fresh = row.add_point(ParsedRequest::text_of(metric, "key"), stored_point(metric));
    ++(fresh ? store.counts.points : store.counts.repeated_points);
  }
}

MLFLOWHA_INLINE void BackendState::store_tag(RunRow& row, const std::string& key, const std::string& value) {
  if (key == run_name_tag && value.empty()) return;  // MLflow passes it to update_run, which ignores an empty name
  if (key == run_name_tag) row.name = value;
  row.tags.set(key, first_characters(value, max_tag_length));
}

MLFLOWHA_INLINE Json BackendState::log_metric(ParsedRequest& request) {
  request.required("run_id").text("run_id").required("key").text("key").required("value").real("value");
  request.integer("timestamp").required("timestamp").integer("step");
  Json metric;
  metric["key"] = request.text_value("key");
  metric["value"] = request.real_value("value");
  metric["timestamp"] = request.integer_value("timestamp");
  metric["step"] = request.integer_value("step");
  check_metric(metric, "");
  use_database(true);
  store_metrics(active_run(request.run_id()), Json::array({metric}));
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::log_param(ParsedRequest& request) {
  request.required("run_id").text("run_id").required("key").text("key").text("value");
  const std::string key = request.text_value("key");
  check_name(key, "key");
  check_length("Param key", key, max_key_length);
  const std::string value = first_characters(request.text_value("value"), max_param_length);
  use_database(true);
  RunRow& row = active_run(request.run_id());
  const std::string* old = row.params.find(key);
  if (old != nullptr && *old != value) {
    refuse(
        fmt::format("Changing param values is not allowed. Param with key='{}' was already logged with value='{}' for "
                    "run ID='{}'. Attempted logging new value '{}'.",
                    key, *old, row.id, value));
  }
  row.params.set(key, value);
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::set_tag(ParsedRequest& request) {
  request.required("run_id").text("run_id").required("key").text("key").text("value");
  const std::string key = request.text_value("key");
  check_name(key, "key");
  check_length("key", key, max_key_length);
  use_database(true);
  store_tag(active_run(request.run_id()), key, request.text_value("value"));
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::delete_tag(ParsedRequest& request) {
  request.required("run_id").text("run_id").required("key").text("key");
  use_database(true);
  RunRow& row = active_run(request.text_value("run_id"));
  const std::string key = request.text_value("key");
  if (!row.tags.erase(key)) {
    refuse(fmt::format("No tag with name: {} in run with id {}", key, row.id), "RESOURCE_DOES_NOT_EXIST");
  }
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::log_batch(ParsedRequest& request) {
  request.required("run_id").text("run_id");
  request.list("metrics")
      .required_in("metrics", "key")
      .required_in("metrics", "value")
      .required_in("metrics", "timestamp");
  request.list("params").required_in("params", "key");
  request.list("tags").required_in("tags", "key");
  const std::string run_id = request.text_value("run_id");
  if (!is_run_id(run_id)) refuse(fmt::format("Invalid value {} for parameter 'run_id' supplied.", json_string(run_id)));
  const Json& metrics = request.list_value("metrics");
  const Json& params = request.list_value("params");
  const Json& tags = request.list_value("tags");
  for (std::size_t i = 0; i < metrics.size(); ++i) check_metric(metrics[i], fmt::format("metrics[{}].", i));
  for (std::size_t i = 0; i < params.size(); ++i) {
    const std::string key = ParsedRequest::text_of(params[i], "key");
    check_name(key, fmt::format("params[{}].key", i));
    check_length("Param key", key, max_key_length);
  }
  for (std::size_t i = 0; i < tags.size(); ++i) {
    const std::string key = ParsedRequest::text_of(tags[i], "key");
    check_name(key, fmt::format("tags[{}].key", i));
    check_length(fmt::format("tags[{}].key", i), key, max_key_length);
  }
  check_batch_limit("metrics", max_metrics_per_batch, metrics.size());
  check_batch_limit("params", max_params_or_tags_per_batch, params.size());
  check_batch_limit("tags", max_params_or_tags_per_batch, tags.size());
  check_batch_limit("metrics, params, and tags", max_entities_per_batch, metrics.size() + params.size() + tags.size());
  std::set<std::string> keys;
  std::string doubled;
  for (const Json& param : params) {
    const std::string key = ParsedRequest::text_of(param, "key");
    if (!keys.insert(key).second) doubled += fmt::format("{}'{}'", doubled.empty() ? "" : ", ", key);
  }
  if (!doubled.empty()) {
    refuse(
        fmt::format("Duplicate parameter keys have been submitted: [{}]. Please ensure the request contains only one "
                    "param value per param key.",
                    doubled));
  }
  use_database(true);
  RunRow& row = active_run(run_id);
  // Params first: a conflict there keeps everything else of the batch from being stored.
  std::string conflicts;
  for (const Json& param : params) {
    const std::string* old = row.params.find(ParsedRequest::text_of(param, "key"));
    const std::string value = first_characters(ParsedRequest::text_of(param, "value"), max_param_length);
    if (old == nullptr || *old == value) continue;
    conflicts += fmt::format("{}{{'key': '{}', 'old_value': '{}', 'new_value': '{}'}}", conflicts.empty() ? "" : ", ",
                             ParsedRequest::text_of(param, "key"), *old, value);
  }
  if (!conflicts.empty()) {
    refuse(fmt::format("Changing param values is not allowed. Params were already logged='[{}]' for run ID='{}'.",
                       conflicts, run_id));
  }
  for (const Json& param : params) {
    row.params.set(ParsedRequest::text_of(param, "key"),
                   first_characters(ParsedRequest::text_of(param, "value"), max_param_length));
  }
  store_metrics(row, metrics);
  for (const Json& tag : tags) {
    store_tag(row, ParsedRequest::text_of(tag, "key"), ParsedRequest::text_of(tag, "value"));
  }
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::get_metric_history(ParsedRequest& request) {
  request.text("run_id").required("run_id").text("metric_key").required("metric_key").text("page_token");
  // 2.22 ignores both and always sends everything.
  const bool paged = v3() && request.has("max_results");
  const std::int64_t max_results =
      paged ? request.integer_value("max_results") : std::numeric_limits<std::int64_t>::max();
  if (max_results < 1) {
    refuse(fmt::format("Invalid value {} for parameter 'max_results' supplied. It must be a positive integer.",
                       max_results));
  }
  use_database(false);
  const std::size_t offset = v3() ? page_offset(request.text_value("page_token")) : 0;
  Json answer = Json::object();
  const auto found = store.run_index.find(request.run_id());
  if (found == store.run_index.end()) return answer;  // an unknown run has no points, and that is no error
  const std::string key = request.text_value("metric_key");
  const MetricSeries* series = found->second->metric(key);
  if (series == nullptr) return answer;
  std::size_t index = 0;
  std::int64_t taken = 0;
  for (const StoredPoint& point : series->points) {
    if (index++ < offset) continue;
    if (taken == max_results) {
      answer["next_page_token"] = page_token(offset + static_cast<std::size_t>(max_results));
      break;
    }
    answer["metrics"].push_back(metric_json(key, point));
    ++taken;
  }
  return answer;
}

MLFLOWHA_INLINE const MessageType& history_bulk_request() {
  static const MessageType type{{{"run_id", "run_id", FieldType::text, true},
                                 {"metric_key", "metric_key", FieldType::text},
                                 {"max_results", "max_results", FieldType::integer}}};
  return type;
}

/// A route outside the descriptors, whose JSON is written by Python: NaN is a bare word in it.
MLFLOWHA_INLINE Response BackendState::get_metric_history_bulk(ParsedRequest& request) {
  if (request.list_value("run_id").empty()) {
    refuse("GetMetricHistoryBulk request must specify at least one run_id.");
  }
  if (!request.has("metric_key")) refuse("GetMetricHistoryBulk request must specify a metric_key.");
  use_database(false);
  const std::string key = request.text_value("metric_key");
  std::int64_t left = request.has("max_results") ? request.integer_value("max_results") : 25'000;
  std::string points;
  for (const Json& id : request.list_value("run_id")) {
    const auto found = store.run_index.find(id.get<std::string>());
    const MetricSeries* series = found == store.run_index.end() ? nullptr : found->second->metric(key);
    if (series == nullptr) continue;
    for (const StoredPoint& point : series->points) {
      if (left-- <= 0) break;
      points += fmt::format("{}{{\"key\":{},\"run_id\":{},\"step\":{},\"timestamp\":{},\"value\":{}}}",
                            points.empty() ? "" : ",", json_string(key), id.dump(), point.step, point.timestamp,
                            point.is_nan ? "NaN" : Json(point.value).dump());
    }
  }
  return plain_answer("application/json", fmt::format("{{\"metrics\":[{}]}}\n", points));
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
