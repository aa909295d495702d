#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_RUNS_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_RUNS_IPP

#include <mlflowha/testing/impl/backend_experiments.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

MLFLOWHA_INLINE RunRow& BackendState::run(const std::string& id) {
  const auto found = store.run_index.find(id);
  if (found == store.run_index.end()) refuse(fmt::format("Run with id={} not found", id), "RESOURCE_DOES_NOT_EXIST");
  return *found->second;
}

MLFLOWHA_INLINE RunRow& BackendState::active_run(const std::string& id) {
  RunRow& row = run(id);
  if (row.deleted) {
    refuse(fmt::format("The run {} must be in the 'active' state. Current state is deleted.", row.id));
  }
  return row;
}

MLFLOWHA_INLINE Json BackendState::metric_json(const std::string& key, const StoredPoint& point) {
  Json json;
  json["key"] = key;
  if (point.is_nan) {
    json["value"] = "NaN";
  } else {
    json["value"] = point.value;
  }
  json["timestamp"] = point.timestamp;
  json["step"] = point.step;
  return json;
}

MLFLOWHA_INLINE Json BackendState::run_info_json(const RunRow& row) {
  Json json;
  json["run_uuid"] = row.id;
  json["experiment_id"] = fmt::format("{}", row.experiment_id);
  json["run_name"] = row.name;
  json["user_id"] = row.user_id;
  json["status"] = status_name(row.status);
  json["start_time"] = row.start_time;
  if (row.end_time) json["end_time"] = *row.end_time;
  json["artifact_uri"] = row.artifact_uri;
  json["lifecycle_stage"] = stage_name(row.deleted);
  json["run_id"] = row.id;
  return json;
}

MLFLOWHA_INLINE Json BackendState::run_json(const RunRow& row, bool fresh) const {
  Json data = Json::object();
  for (const MetricSeries& series : row.metrics) data["metrics"].push_back(metric_json(series.key, series.latest));
  if (!row.params.items().empty()) data["params"] = tags_json(row.params);
  if (!row.tags.items().empty()) data["tags"] = tags_json(row.tags);
  Json json;
  json["info"] = run_info_json(row);
  json["data"] = std::move(data);
  Json& inputs = json["inputs"] = Json::object();
  if (!row.dataset_inputs.empty()) inputs["dataset_inputs"] = row.dataset_inputs;
  for (const std::string& id : row.model_inputs) inputs["model_inputs"].push_back(Json{{"model_id", id}});
  if (v3() && !fresh) {
    Json& outputs = json["outputs"] = Json::object();
    for (const auto& [id, step] : row.model_outputs) {
      outputs["model_outputs"].push_back(Json{{"model_id", id}, {"step", step}});
    }
  }
  return json;
}

MLFLOWHA_INLINE Json BackendState::create_run(ParsedRequest& request) {
  request.text("experiment_id").integer("start_time").text("run_name");
  use_database(true);
  const std::string experiment_id = request.text_value("experiment_id");
  const ExperimentRow& owner = active_experiment(experiment_id);
  RunRow row;
  bool doubled = false;
  for (const Json& tag : request.list_value("tags")) {
    const std::string key = ParsedRequest::text_of(tag, "key");
    doubled = doubled || row.tags.find(key) != nullptr;
    row.tags.set(key, ParsedRequest::text_of(tag, "value"));
  }
  row.name = request.text_value("run_name");
  const std::string* name_tag = row.tags.find(std::string(run_name_tag));
  if (name_tag != nullptr && !name_tag->empty()) {
    if (!row.name.empty() && row.name != *name_tag) {
      refuse(
          fmt::format("Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
                      "(run_name='{}', mlflow.runName='{}').",
                      row.name, *name_tag));
    }
    row.name = *name_tag;
  }
  if (row.name.empty()) row.name = store.make_run_name();
  const auto integrity_error = [&](std::string_view constraint) {
    refuse(fmt::format("{}(sqlite3.IntegrityError) {} constraint failed\n(Background on this error at: "
                       "https://sqlalche.me/e/{}/gkpj)",
                       autoflush_prefix, constraint, v3() ? 21 : 20),
           "BAD_REQUEST");
  };
  if (experiment_id.empty()) integrity_error("FOREIGN KEY");
  if (doubled) integrity_error("UNIQUE");
  row.tags.set(std::string(run_name_tag), row.name);
  row.id = store.make_run_id();
  row.experiment_id = owner.id;
  row.user_id = request.text_value("user_id");
  row.start_time = request.integer_value("start_time");
  row.artifact_uri = fmt::format("{}/{}/artifacts", owner.artifact_location, row.id);
  RunRow& stored = store.runs.emplace_back(std::move(row));
  store.run_index.emplace(stored.id, &stored);
  Json answer;
  answer["run"] = run_json(stored, true);
  return answer;
}

MLFLOWHA_INLINE Json BackendState::update_run(ParsedRequest& request) {
  request.required("run_id").text("run_id").integer("end_time").text("status").text("run_name");
  use_database(true);
  RunRow& row = active_run(request.run_id());
  if (request.has("status")) row.status = request.integer_value("status");
  if (request.has("end_time")) row.end_time = request.integer_value("end_time");
  if (const std::string name = request.text_value("run_name"); !name.empty()) {
    row.name = name;
    row.tags.set(std::string(run_name_tag), name);
  }
  Json answer;
  answer["run_info"] = run_info_json(row);
  return answer;
}

MLFLOWHA_INLINE Json BackendState::delete_run(ParsedRequest& request) {
  request.required("run_id").text("run_id");
  use_database(true);
  run(request.text_value("run_id")).deleted = true;
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::restore_run(ParsedRequest& request) {
  request.required("run_id").text("run_id");
  use_database(true);
  run(request.text_value("run_id")).deleted = false;
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::get_run(ParsedRequest& request) {
  request.required("run_id").text("run_id");
  use_database(false);
  Json answer;
  answer["run"] = run_json(run(request.run_id()), false);
  return answer;
}

MLFLOWHA_INLINE Cell BackendState::run_cell(const RunRow& row, Entity entity, const std::string& key) const {
  const auto text = [](const std::string* value) { return value == nullptr ? Cell() : Cell(*value); };
  if (entity == Entity::tag) return text(row.tags.find(key));
  if (entity == Entity::param) return text(row.params.find(key));
  if (entity == Entity::metric) {
    const MetricSeries* series = row.metric(key);
    if (series == nullptr) return {};
    return series->latest.is_nan ? std::numeric_limits<double>::quiet_NaN() : series->latest.value;
  }
  if (key == "run_id") return row.id;
  if (key == "status") return std::string(status_name(row.status));
  if (key == "artifact_uri") return row.artifact_uri;
  if (key == "user_id") return row.user_id;
  if (key == "start_time") return static_cast<double>(row.start_time);
  if (key == "end_time") return row.end_time ? Cell(static_cast<double>(*row.end_time)) : Cell();
  return text(row.tags.find(std::string(run_name_tag)));  // run_name, also as "Run name"
}

MLFLOWHA_INLINE Json BackendState::search_runs(ParsedRequest& request) {
  request.list("experiment_ids").text("filter").integer("max_results").text_list("order_by");
  constexpr std::int64_t default_max_results = 1000;
  const std::int64_t max_results =
      request.has("max_results") ? request.integer_value("max_results") : default_max_results;
  if (max_results > max_search_results) request.invalid("max_results");
  check_max_results(max_results);
  use_database(false);
  SearchSchema schema;
  schema.attributes = {"run_name",     "created",  "end_time", "run_id",   "start_time", "Run Name",
                       "artifact_uri", "run name", "user_id",  "Run name", "Created",    "status"};
  schema.numbers = {"start_time", "end_time"};
  schema.listable = {"run_id"};
  schema.v3 = v3();
  const std::string filter = request.text_value("filter");
  const auto comparisons = SearchParser(filter, schema).filter();
  std::vector<Ordering> orderings;
  std::string clauses;
  bool doubled = false;
  for (const Json& clause : request.list_value("order_by")) {
    const auto text = clause.get<std::string>();
    const Ordering ordering = SearchParser(text, schema).order();
    doubled = doubled || std::any_of(orderings.begin(), orderings.end(), [&](const Ordering& earlier) {
                return earlier.entity == ordering.entity && earlier.key == ordering.key;
              });
    orderings.push_back(ordering);
    clauses += fmt::format("{}'{}'", clauses.empty() ? "" : ", ", text);
  }
  if (doubled) refuse(fmt::format("`order_by` contains duplicate fields: [{}]", clauses), "INTERNAL_ERROR");
  const std::size_t offset = page_offset(request.text_value("page_token"));
  const std::int64_t view = request.has("run_view_type") ? request.integer_value("run_view_type") : view_active;
  std::vector<std::int64_t> experiments;
  for (const Json& id : request.list_value("experiment_ids")) {
    const auto number = number_from<std::int64_t>(id.get_ref<const std::string&>());
    if (!number && v3()) {
      refuse(fmt::format("Invalid experiment ID '{}'. Experiment ID must be a valid integer.", id.get<std::string>()));
    }
    if (number) experiments.push_back(*number);
  }

  std::vector<const RunRow*> found;
  for (const RunRow& row : store.runs) {
    if (!in_view(view, row.deleted)) continue;
    if (std::find(experiments.begin(), experiments.end(), row.experiment_id) == experiments.end()) continue;
    const bool fits = std::all_of(comparisons.begin(), comparisons.end(), [&](const Comparison& comparison) {
      Cell cell = run_cell(row, comparison.entity, comparison.key);
      const auto* number = std::get_if<double>(&cell);
      if (!v3() && number != nullptr && std::isnan(*number)) cell = 0.0;  // 2.22 compares what a NaN is stored as
      return holds(comparison, cell);
    });
    if (fits) found.push_back(&row);
  }
  const auto cell_of = [this](const RunRow& row, Entity entity, const std::string& key) {
    return run_cell(row, entity, key);
  };
  std::sort(found.begin(), found.end(), [&](const RunRow* a, const RunRow* b) {
    for (const Ordering& ordering : orderings) {
      if (const int order = compare_cells(*a, *b, ordering, cell_of); order != 0) return order < 0;
    }
    return a->start_time != b->start_time ? a->start_time > b->start_time : a->id < b->id;
  });
  Json answer = Json::object();
  const std::size_t next = offset + static_cast<std::size_t>(max_results);
  for (std::size_t i = offset; i < found.size() && i < next; ++i) answer["runs"].push_back(run_json(*found[i], false));
  if (found.size() > next) answer["next_page_token"] = page_token(next);
  return answer;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
