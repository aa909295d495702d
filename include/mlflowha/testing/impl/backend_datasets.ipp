#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_DATASETS_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_DATASETS_IPP

// Handlers for evaluation datasets and their records.

#include <mlflowha/testing/impl/backend_search.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

inline constexpr const char* user_tag = "mlflow.user";

MLFLOWHA_INLINE const MessageType& evaluation_dataset_request() {
  static const MessageType type{{{"dataset_id", "datasetId", FieldType::text},
                                 {"name", "name", FieldType::text},
                                 {"experiment_ids", "experimentIds", FieldType::text, true},
                                 {"tags", "tags", FieldType::text},
                                 {"records", "records", FieldType::text},
                                 {"dataset_record_ids", "datasetRecordIds", FieldType::text, true},
                                 {"filter_string", "filterString", FieldType::text},
                                 {"order_by", "orderBy", FieldType::text, true},
                                 {"max_results", "maxResults", FieldType::integer},
                                 {"page_token", "pageToken", FieldType::text}}};
  return type;
}

/// A text field that holds JSON. Servers don't expect anything else.
MLFLOWHA_INLINE Json json_in_text(const ParsedRequest& request, std::string_view name) {
  std::optional<Json> value = json_from(request.text_value(name));
  if (!value) throw Crash{};
  return std::move(*value);
}

/// What Python makes of a value that isn't the object that it should be.
[[noreturn]] MLFLOWHA_INLINE void refuse_attribute(const Json& value, std::string_view name) {
  refuse(fmt::format("'{}' object has no attribute '{}'", ParsedRequest::python_type(value), name), "INTERNAL_ERROR");
}

/// Sets tags; null leaves out.
MLFLOWHA_INLINE void put_tags(Json& stored, const Json& tags) {
  if (!tags.is_object()) refuse_attribute(tags, "items");
  for (const auto& [key, value] : tags.items()) {
    if (value.is_null()) continue;
    stored[key] = value.is_string()    ? value.get<std::string>()
                  : value.is_boolean() ? std::string(value.get<bool>() ? "True" : "False")
                                       : python_json(value);
  }
}

MLFLOWHA_INLINE std::string user_of(const Json& tags) {
  const Json* user = tags.is_object() ? member(tags, user_tag) : nullptr;
  return user != nullptr && user->is_string() ? user->get<std::string>() : std::string();
}

/// Changes with each change of the dataset. (Servers take a part of a SHA-256.)
MLFLOWHA_INLINE std::string dataset_digest(const std::string& name, std::int64_t time) {
  std::uint32_t hash = 2166136261U;
  for (const char c : fmt::format("{}:{}", name, time)) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return fmt::format("{:08x}", hash);
}

MLFLOWHA_INLINE Json evaluation_dataset_json(const EvaluationDatasetRow& row) {
  Json json;
  json["dataset_id"] = row.id;
  json["name"] = row.name;
  json["tags"] = python_json(row.tags);
  if (!row.schema.is_null()) json["schema"] = python_json(row.schema);
  if (!row.profile.empty()) json["profile"] = row.profile;
  json["digest"] = row.digest;
  json["created_time"] = row.creation_time;
  json["last_update_time"] = row.last_update_time;
  if (!row.created_by.empty()) json["created_by"] = row.created_by;
  if (!row.last_updated_by.empty()) json["last_updated_by"] = row.last_updated_by;
  return json;
}

MLFLOWHA_INLINE Json dataset_record_json(const EvaluationDatasetRow& dataset, const DatasetRecordRow& row) {
  Json json;
  json["dataset_record_id"] = row.id;
  json["dataset_id"] = dataset.id;
  json["inputs"] = row.inputs;
  if (!row.expectations.is_null()) json["expectations"] = row.expectations;
  json["tags"] = row.tags;
  if (!row.source.is_null()) {
    json["source"] = row.source;
    const Json* origin =
        member(row.source["source_data"], row.source["source_type"] == "TRACE" ? "trace_id" : "source_id");
    if (origin != nullptr) json["source_id"] = *origin;
    json["source_type"] = row.source["source_type"];
  }
  json["created_time"] = row.creation_time;
  json["last_update_time"] = row.last_update_time;
  if (!row.created_by.empty()) json["created_by"] = row.created_by;
  if (!row.last_updated_by.empty()) json["last_updated_by"] = row.last_updated_by;
  if (!row.outputs.is_null()) json["outputs"] = row.outputs;
  return json;
}

/// Around the id stand MLflow's words for a dataset that isn't there, which differ from operation to operation.
MLFLOWHA_INLINE EvaluationDatasetRow& BackendState::evaluation_dataset(std::string_view before,
                                                                       std::string_view after) {
  const auto found = store.evaluation_datasets.find(places_[0]);
  if (found == store.evaluation_datasets.end()) {
    refuse(fmt::format("{}{}{}", before, places_[0], after), "RESOURCE_DOES_NOT_EXIST");
  }
  return found->second;
}

MLFLOWHA_INLINE Json BackendState::create_dataset(ParsedRequest& request) {
  request.required("name").text("name").list("experiment_ids").text("tags");
  EvaluationDatasetRow row;
  row.name = request.text_value("name");
  if (!request.text_value("tags").empty()) put_tags(row.tags, json_in_text(request, "tags"));
  use_database(true);
  row.id = "d-" + store.make_run_id();
  row.creation_time = row.last_update_time = now_ms_;
  row.digest = dataset_digest(row.name, now_ms_);
  row.created_by = row.last_updated_by = user_of(row.tags);
  for (const Json& id : request.list_value("experiment_ids")) row.experiment_ids.push_back(id.get<std::string>());
  Json answer;
  answer["dataset"] = evaluation_dataset_json(row);
  if (!row.experiment_ids.empty()) answer["dataset"]["experiment_ids"] = row.experiment_ids;
  store.evaluation_datasets.emplace(row.id, row);
  return answer;
}

MLFLOWHA_INLINE Json BackendState::get_dataset(ParsedRequest&) {
  use_database(false);
  Json answer;
  answer["dataset"] = evaluation_dataset_json(evaluation_dataset("Evaluation dataset with id '", "' not found"));
  return answer;
}

MLFLOWHA_INLINE Json BackendState::delete_dataset(ParsedRequest&) {
  use_database(true);
  store.evaluation_datasets.erase(places_[0]);
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::search_evaluation_datasets(ParsedRequest& request) {
  request.list("experiment_ids").text("filter_string").integer("max_results").list("order_by").text("page_token");
  const std::int64_t max_results = request.has("max_results") ? request.integer_value("max_results") : 1000;
  check_max_results(max_results);
  use_database(false);
  const auto cell_of = [](const EvaluationDatasetRow& row, Entity entity, const std::string& key) -> Cell {
    if (entity == Entity::tag) {
      const Json* value = member(row.tags, key);
      return value == nullptr ? Cell() : Cell(value->get<std::string>());
    }
    const auto text = [](const std::string& value) { return value.empty() ? Cell() : Cell(value); };
    if (key == "name") return row.name;
    if (key == "created_by") return text(row.created_by);
    if (key == "last_updated_by") return text(row.last_updated_by);
    if (key == "dataset_id") return row.id;
    return static_cast<double>(key == "created_time" ? row.creation_time : row.last_update_time);
  };
  SearchSchema schema;
  schema.attributes = {"name", "created_time", "last_update_time", "created_by", "last_updated_by"};
  schema.numbers = {"created_time", "last_update_time"};
  schema.listable = {"name"};
  schema.runs = false;
  schema.datasets = true;
  SearchSchema order_schema = schema;
  order_schema.attributes = {"name", "created_time", "last_update_time"};
  std::vector<Ordering> orderings;
  for (const Json& clause : request.list_value("order_by")) {
    const auto text = clause.get<std::string>();
    orderings.push_back(SearchParser(text, order_schema).order());
    if (orderings.back().entity != Entity::attribute) refuse("Invalid order_by entity: tag");
  }
  if (orderings.empty()) orderings.push_back({Entity::attribute, "created_time", false});
  orderings.push_back({Entity::attribute, "dataset_id", false});
  const std::string filter = request.text_value("filter_string");
  const auto comparisons = SearchParser(filter, schema).filter();
  const Json& experiments = request.list_value("experiment_ids");
  std::vector<const EvaluationDatasetRow*> rows;
  for (const auto& [id, row] : store.evaluation_datasets) {
    const bool inside =
        std::any_of(experiments.begin(), experiments.end(), [&owners = row.experiment_ids](const Json& one) {
          return std::find(owners.begin(), owners.end(), one.get_ref<const std::string&>()) != owners.end();
        });
    if (inside || experiments.empty()) rows.push_back(&row);
  }
  keep_and_sort(rows, comparisons, orderings, cell_of);
  return page_of(rows, "datasets", request, max_results, evaluation_dataset_json);
}

MLFLOWHA_INLINE Json BackendState::set_dataset_tags(ParsedRequest& request) {
  request.required("tags").text("tags");
  const Json tags = json_in_text(request, "tags");
  use_database(true);
  EvaluationDatasetRow& row = evaluation_dataset("Could not find evaluation dataset with ID ", "");
  put_tags(row.tags, tags);
  if (!user_of(tags).empty()) row.last_updated_by = user_of(tags);
  row.last_update_time = now_ms_;
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::delete_dataset_tag(ParsedRequest&) {
  use_database(true);
  const auto found = store.evaluation_datasets.find(places_[0]);
  if (found != store.evaluation_datasets.end()) found->second.tags.erase(places_[1]);
  return Json::object();
}

/// Where a record comes from, as it is stored; null where nothing is said.
MLFLOWHA_INLINE Json record_source(const Json& record) {
  const Json* given = member(record, "source");
  if (given == nullptr || given->is_null() || given->empty()) return {};
  if (!given->is_object()) refuse_attribute(*given, "to_dict");
  const Json* type = member(*given, "source_type");
  if (type == nullptr || !type->is_string()) refuse("'source_type'", "INTERNAL_ERROR");
  auto name = type->get<std::string>();
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  static constexpr std::string_view known[] = {"UNSPECIFIED", "TRACE", "HUMAN", "DOCUMENT", "CODE"};
  if (std::find(std::begin(known), std::end(known), name) == std::end(known)) {
    refuse(
        fmt::format("Invalid dataset record source type: {}. Valid source types: ['UNSPECIFIED', 'TRACE', 'HUMAN', "
                    "'DOCUMENT', 'CODE']",
                    name));
  }
  Json source;
  source["source_type"] = name;
  const Json* data = member(*given, "source_data");
  source["source_data"] = data != nullptr && data->is_object() ? *data : Json::object();
  return source;
}

MLFLOWHA_INLINE void merge_object(Json& stored, const Json& record, const char* name) {
  const Json* given = member(record, name);
  if (given == nullptr || !given->is_object() || given->empty()) return;
  if (stored.is_null()) stored = Json::object();
  for (const auto& [key, value] : given->items()) stored[key] = value;
}

/// True when the record was added, false when one with the same inputs was changed.
MLFLOWHA_INLINE bool BackendState::put_record(EvaluationDatasetRow& dataset, const Json& record) {
  if (!record.is_object()) refuse_attribute(record, "get");
  const Json* given = member(record, "inputs");
  if (given != nullptr && given->is_null()) refuse("inputs must be provided", "INTERNAL_ERROR");
  const Json inputs = given == nullptr ? Json::object() : *given;
  const Json* outputs = member(record, "outputs");
  const std::string user = user_of(ParsedRequest::object_of(record, "tags"));
  for (DatasetRecordRow& row : dataset.records) {
    if (ParsedRequest::compact(row.inputs) != ParsedRequest::compact(inputs)) continue;
    if (outputs != nullptr) row.outputs = *outputs;
    merge_object(row.expectations, record, "expectations");
    merge_object(row.tags, record, "tags");
    if (!user.empty()) row.last_updated_by = user;
    row.last_update_time = now_ms_;
    return false;
  }
  DatasetRecordRow row;
  row.inputs = inputs;
  row.outputs = outputs == nullptr ? Json::object() : *outputs;
  const Json* expectations = member(record, "expectations");
  if (expectations != nullptr) row.expectations = *expectations;
  merge_object(row.tags, record, "tags");
  row.source = record_source(record);
  row.id = "dr-" + store.make_run_id();
  row.creation_time = row.last_update_time = now_ms_;
  row.created_by = row.last_updated_by = user;
  dataset.records.push_back(std::move(row));
  return true;
}

MLFLOWHA_INLINE const char* json_type_name(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "boolean";
  if (value.is_number_integer()) return "integer";
  if (value.is_number()) return "float";
  if (value.is_string()) return "string";
  return value.is_array() ? "array" : "object";
}

/// Adds the fields that a record has to what is known of them.
MLFLOWHA_INLINE void extend_schema(Json& schema, const Json& record) {
  for (const char* part : {"inputs", "outputs", "expectations"}) {
    const Json* given = member(record, part);
    if (given == nullptr || given->is_null()) continue;
    if (given->is_object() && schema[part].is_object()) {
      for (const auto& [key, value] : given->items()) {
        if (!schema[part].contains(key)) schema[part][key] = json_type_name(value);
      }
    } else if (schema[part].empty()) {
      schema[part] = json_type_name(*given);
    }
  }
}

MLFLOWHA_INLINE Json BackendState::upsert_dataset_records(ParsedRequest& request) {
  request.required("records").text("records");
  const Json records = json_in_text(request, "records");
  if (!records.is_structured()) {
    refuse(fmt::format("'{}' object is not iterable", ParsedRequest::python_type(records)), "INTERNAL_ERROR");
  }
  use_database(true);
  const auto found = store.evaluation_datasets.find(places_[0]);
  EvaluationDatasetRow row = found == store.evaluation_datasets.end() ? EvaluationDatasetRow() : found->second;
  std::int64_t inserted = 0;
  std::int64_t updated = 0;
  std::string user;
  if (row.schema.is_null() && !records.empty()) {
    for (const char* part : {"inputs", "outputs", "expectations"}) row.schema[part] = Json::object();
    row.schema["version"] = "1.0";
  }
  for (const Json& record : records) {
    ++(put_record(row, record) ? inserted : updated);
    extend_schema(row.schema, record);
    if (const std::string own = user_of(ParsedRequest::object_of(record, "tags")); !own.empty()) user = own;
  }
  if (found == store.evaluation_datasets.end() && inserted > 0) {
    refuse(
        "(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block if this flush is "
        "occurring prematurely)\n(sqlite3.IntegrityError) FOREIGN KEY constraint failed\n(Background on this error at: "
        "https://sqlalche.me/e/21/gkpj)",
        "BAD_REQUEST");
  }
  if (!row.records.empty()) row.profile = fmt::format("{{\"num_records\": {}}}", row.records.size());
  row.last_update_time = now_ms_;
  row.last_updated_by = user;
  row.digest = dataset_digest(row.name, now_ms_);
  if (found != store.evaluation_datasets.end()) found->second = std::move(row);
  Json answer;
  answer["inserted_count"] = inserted;
  answer["updated_count"] = updated;
  return answer;
}

MLFLOWHA_INLINE Json BackendState::get_dataset_experiment_ids(ParsedRequest&) {
  use_database(false);
  Json answer = Json::object();
  const auto found = store.evaluation_datasets.find(places_[0]);
  if (found != store.evaluation_datasets.end() && !found->second.experiment_ids.empty()) {
    answer["experiment_ids"] = found->second.experiment_ids;
  }
  return answer;
}

MLFLOWHA_INLINE Json BackendState::get_dataset_records(ParsedRequest& request) {
  if (!request.is_complete()) throw Crash{};  // this handler's errors are nobody's
  std::int64_t max_results = request.integer_value("max_results");
  if (max_results == 0) max_results = 1000;
  use_database(false);
  Json records = Json::array();
  Json answer;
  const auto found = store.evaluation_datasets.find(places_[0]);
  if (found != store.evaluation_datasets.end()) {
    // A token names the last record of its page, by time and id.
    using Position = std::pair<std::int64_t, std::string>;
    std::map<Position, const DatasetRecordRow*> in_order;
    for (const DatasetRecordRow& row : found->second.records)
      in_order.emplace(Position(row.creation_time, row.id), &row);
    auto next = in_order.begin();
    if (const std::string token = request.text_value("page_token"); !token.empty()) {
      const std::string text = base64_decoded(token).value_or("");
      const std::size_t colon = text.find(':');
      const auto time = number_from<std::int64_t>(std::string_view(text).substr(0, colon));
      if (colon == std::string::npos || !time) throw Crash{};
      next = in_order.upper_bound({*time, text.substr(colon + 1)});
    }
    if (max_results < 1) throw Crash{};
    Position last;
    for (; next != in_order.end() && std::ssize(records) < max_results; ++next) {
      records.push_back(dataset_record_json(found->second, *next->second));
      last = next->first;
    }
    if (next != in_order.end()) answer["next_page_token"] = base64_of(fmt::format("{}:{}", last.first, last.second));
  }
  answer["records"] = python_json(records);
  return answer;
}

MLFLOWHA_INLINE Json BackendState::delete_dataset_records(ParsedRequest& request) {
  request.list("dataset_record_ids");
  use_database(true);
  std::size_t deleted = 0;
  const auto found = store.evaluation_datasets.find(places_[0]);
  if (found != store.evaluation_datasets.end()) {
    EvaluationDatasetRow& row = found->second;
    const Json& ids = request.list_value("dataset_record_ids");
    deleted = std::erase_if(row.records, [&](const DatasetRecordRow& record) {
      return std::any_of(ids.begin(), ids.end(), [&](const Json& id) { return id == record.id; });
    });
    if (deleted > 0)
      row.profile = row.records.empty() ? "null" : fmt::format("{{\"num_records\": {}}}", row.records.size());
  }
  Json answer;
  answer["deleted_count"] = deleted;
  return answer;
}

MLFLOWHA_INLINE Json BackendState::add_dataset_to_experiments(ParsedRequest& request) {
  request.list("experiment_ids");
  use_database(true);
  EvaluationDatasetRow& row = evaluation_dataset("Dataset '", "' not found");
  const Json& ids = request.list_value("experiment_ids");
  for (const Json& id : ids) {
    const bool there = std::any_of(store.experiments.begin(), store.experiments.end(),
                                   [&](const ExperimentRow& one) { return id == fmt::format("{}", one.id); });
    if (!there) refuse(fmt::format("No Experiment with id={}", id.get<std::string>()), "RESOURCE_DOES_NOT_EXIST");
  }
  for (const Json& id : ids) {
    const auto text = id.get<std::string>();
    std::vector<std::string>& owners = row.experiment_ids;
    if (std::find(owners.begin(), owners.end(), text) == owners.end()) owners.push_back(text);
  }
  row.last_update_time = now_ms_;
  Json answer;
  answer["dataset"] = evaluation_dataset_json(row);
  return answer;
}

MLFLOWHA_INLINE Json BackendState::remove_dataset_from_experiments(ParsedRequest& request) {
  request.list("experiment_ids");
  use_database(true);
  EvaluationDatasetRow& row = evaluation_dataset("Dataset '", "' not found");
  const Json& ids = request.list_value("experiment_ids");
  const std::size_t removed = std::erase_if(row.experiment_ids, [&](const std::string& owner) {
    return std::any_of(ids.begin(), ids.end(), [&](const Json& id) { return id == owner; });
  });
  if (removed > 0) row.last_update_time = now_ms_;
  Json answer;
  answer["dataset"] = evaluation_dataset_json(row);
  return answer;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
