#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_LOGGED_MODELS_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_LOGGED_MODELS_IPP

// Handlers for logged models, and for what links runs to them.

#include <mlflowha/api/logged_models.hpp>
#include <mlflowha/testing/impl/backend_runs.ipp>
#include <mlflowha/testing/impl/backend_search.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

MLFLOWHA_INLINE const MessageType& order_by_message() {
  static const MessageType type{
      {{"field_name", "fieldName", FieldType::text}, {"ascending", "ascending", FieldType::boolean}}};
  return type;
}

MLFLOWHA_INLINE const MessageType& logged_model_request() {
  static const MessageType type{{{"experiment_id", "experimentId", FieldType::text},
                                 {"experiment_ids", "experimentIds", FieldType::text, true},
                                 {"model_id", "modelId", FieldType::text},
                                 {"name", "name", FieldType::text},
                                 {"model_type", "modelType", FieldType::text},
                                 {"source_run_id", "sourceRunId", FieldType::text},
                                 {"status", "status", FieldType::text},
                                 {"params", "params", FieldType::message, true, &key_value_message()},
                                 {"tags", "tags", FieldType::message, true, &key_value_message()},
                                 {"artifact_directory_path", "artifactDirectoryPath", FieldType::text},
                                 {"filter", "filter", FieldType::text},
                                 {"max_results", "maxResults", FieldType::integer},
                                 {"order_by", "orderBy", FieldType::message, true, &order_by_message()},
                                 {"page_token", "pageToken", FieldType::text}}};
  return type;
}

MLFLOWHA_INLINE const MessageType& dataset_input_message() {
  static const MessageType dataset{{{"name", "name", FieldType::text},
                                    {"digest", "digest", FieldType::text},
                                    {"source_type", "sourceType", FieldType::text},
                                    {"source", "source", FieldType::text},
                                    {"schema", "schema", FieldType::text},
                                    {"profile", "profile", FieldType::text}}};
  static const MessageType type{{{"tags", "tags", FieldType::message, true, &key_value_message()},
                                 {"dataset", "dataset", FieldType::message, false, &dataset}}};
  return type;
}

MLFLOWHA_INLINE const MessageType& run_links_request() {
  static const MessageType model{{{"model_id", "modelId", FieldType::text}, {"step", "step", FieldType::integer}}};
  static const MessageType type{{{"run_id", "runId", FieldType::text},
                                 {"model_json", "modelJson", FieldType::text},
                                 {"datasets", "datasets", FieldType::message, true, &dataset_input_message()},
                                 {"models", "models", FieldType::message, true, &model}}};
  return type;
}

[[noreturn]] MLFLOWHA_INLINE void refuse_duplicate(std::string_view constraint) {
  refuse(fmt::format("(sqlite3.IntegrityError) UNIQUE constraint failed: {}\n(Background on this error at: "
                     "https://sqlalche.me/e/21/gkpj)",
                     constraint),
         "BAD_REQUEST");
}

MLFLOWHA_INLINE std::string logged_model_root(const LoggedModelRow& row) {
  return fmt::format("{}/models/{}/artifacts", row.experiment_id, row.id);
}

MLFLOWHA_INLINE Json logged_model_json(const LoggedModelRow& row) {
  Json info;
  info["model_id"] = row.id;
  info["experiment_id"] = fmt::format("{}", row.experiment_id);
  info["name"] = row.name;
  info["creation_timestamp_ms"] = row.creation_time;
  info["last_updated_timestamp_ms"] = row.last_update_time;
  info["artifact_uri"] = fmt::format("mlflow-artifacts:/{}", logged_model_root(row));
  info["status"] = row.status;
  info["model_type"] = row.model_type;
  info["source_run_id"] = row.source_run_id;
  if (!row.tags.items().empty()) info["tags"] = tags_json(row.tags);
  Json json;
  json["info"] = std::move(info);
  json["data"] = Json::object();
  if (!row.params.items().empty()) json["data"]["params"] = tags_json(row.params);
  return json;
}

MLFLOWHA_INLINE Json logged_model_answer(const LoggedModelRow& row) {
  Json answer;
  answer["model"] = logged_model_json(row);
  return answer;
}

/// Deleted ones are there for delete_logged_model alone, which looks for itself.
MLFLOWHA_INLINE LoggedModelRow& BackendState::logged_model(const std::string& id) {
  const auto found = std::find_if(store.logged_models.begin(), store.logged_models.end(),
                                  [&](const LoggedModelRow& row) { return row.id == id && !row.deleted; });
  if (found == store.logged_models.end()) {
    refuse(fmt::format("Logged model with ID '{}' not found.", id), "RESOURCE_DOES_NOT_EXIST");
  }
  return *found;
}

MLFLOWHA_INLINE Json BackendState::create_logged_model(ParsedRequest& request) {
  request.required("experiment_id").text("experiment_id").text("name").list("params").list("tags");
  LoggedModelRow row;
  row.name = request.text_value("name");
  if (row.name.find_first_of("/:.%\"'") != std::string::npos) {
    refuse(
        fmt::format("Invalid model name ('{}') provided. Model name must be a non-empty string and cannot contain the "
                    "following characters: ('/', ':', '.', '%', '\"', \"'\")",
                    row.name));
  }
  use_database(true);
  const ExperimentRow& owner = experiment(request.text_value("experiment_id"), true, false);
  row.id = "m-" + store.make_run_id();
  row.experiment_id = owner.id;
  if (row.name.empty()) row.name = store.make_run_name();
  row.model_type = request.text_value("model_type");
  row.source_run_id = request.text_value("source_run_id");
  for (const Json& tag : request.list_value("tags")) {
    row.tags.set(ParsedRequest::text_of(tag, "key"), ParsedRequest::text_of(tag, "value"));
  }
  for (const Json& param : request.list_value("params")) {
    row.params.set(ParsedRequest::text_of(param, "key"), ParsedRequest::text_of(param, "value"));
  }
  row.creation_time = row.last_update_time = now_ms_;
  store.logged_models.push_back(std::move(row));
  ++store.counts.logged_models;
  return logged_model_answer(store.logged_models.back());
}

MLFLOWHA_INLINE Json BackendState::finalize_logged_model(ParsedRequest& request) {
  request.required("model_id").text("model_id").required("status");
  use_database(true);
  LoggedModelRow& row = logged_model(places_[0]);
  const std::string status = request.text_value("status");
  row.status = "LOGGED_MODEL_STATUS_UNSPECIFIED";  // also for what the server doesn't know
  for (const std::string_view known : {"LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"}) {
    if (status == known) row.status = status;
  }
  row.last_update_time = now_ms_;
  return logged_model_answer(row);
}

MLFLOWHA_INLINE Json BackendState::get_logged_model(ParsedRequest&) {
  use_database(false);
  return logged_model_answer(logged_model(places_[0]));
}

MLFLOWHA_INLINE Json BackendState::delete_logged_model(ParsedRequest&) {
  use_database(true);
  for (LoggedModelRow& row : store.logged_models) {
    if (row.id != places_[0]) continue;
    row.deleted = true;
    row.last_update_time = now_ms_;
    return Json::object();
  }
  logged_model(places_[0]);
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::search_logged_models(ParsedRequest& request) {
  request.required("experiment_ids").list("experiment_ids").integer("max_results").text("filter").text("page_token");
  std::int64_t max_results = request.integer_value("max_results");
  if (max_results <= 0) max_results = 100;
  use_database(false);
  SearchSchema schema;
  schema.attributes = {"name",
                       "model_id",
                       "model_type",
                       "status",
                       "source_run_id",
                       "creation_time",
                       "creation_timestamp",
                       "creation_timestamp_ms",
                       "last_updated_timestamp",
                       "last_updated_timestamp_ms"};
  schema.numbers = {"creation_time", "creation_timestamp", "creation_timestamp_ms", "last_updated_timestamp",
                    "last_updated_timestamp_ms"};
  schema.listable = {"name", "model_id", "model_type", "status", "source_run_id"};
  const auto cell_of = [](const LoggedModelRow& row, Entity entity, const std::string& key) -> Cell {
    if (entity == Entity::tag) return cell_of_tag(row.tags, key);
    if (entity == Entity::param) return cell_of_tag(row.params, key);
    if (entity == Entity::metric) return {};  // points are kept with their run alone
    if (key == "name") return row.name;
    if (key == "model_id") return row.id;
    if (key == "model_type") return row.model_type;
    if (key == "status") return row.status.substr(std::string_view("LOGGED_MODEL_").size());
    if (key == "source_run_id") return row.source_run_id;
    return static_cast<double>(key[0] == 'c' ? row.creation_time : row.last_update_time);
  };
  std::vector<Ordering> orderings;
  for (const Json& clause : request.list_value("order_by")) {
    const std::string field = ParsedRequest::text_of(clause, "field_name");
    const Json* ascending = member(clause, "ascending");
    Ordering ordering;
    if (!contains(schema.attributes, field) && field.substr(0, 8) != "metrics.") {
      refuse(fmt::format("Invalid order by field name: {}", field));
    }
    if (field.substr(0, 8) == "metrics.") ordering.entity = Entity::metric;
    ordering.key = field;
    ordering.ascending = ascending == nullptr || ascending->get<bool>();
    orderings.push_back(std::move(ordering));
  }
  const Json& experiments = request.list_value("experiment_ids");
  std::vector<const LoggedModelRow*> rows;  // the newest first
  for (std::size_t i = store.logged_models.size(); i-- > 0;) {
    const LoggedModelRow& row = store.logged_models[i];
    const std::string owner = fmt::format("{}", row.experiment_id);
    const bool inside =
        std::any_of(experiments.begin(), experiments.end(), [&](const Json& id) { return id == owner; });
    if (inside && !row.deleted) rows.push_back(&row);
  }
  const std::string filter = request.text_value("filter");
  keep_and_sort(rows, SearchParser(filter, schema).filter(), orderings, cell_of);
  return page_of(rows, "models", request, max_results, logged_model_json);
}

MLFLOWHA_INLINE Json BackendState::set_logged_model_tags(ParsedRequest& request) {
  request.list("tags");
  use_database(true);
  LoggedModelRow& row = logged_model(places_[0]);
  for (const Json& tag : request.list_value("tags")) {
    row.tags.set(ParsedRequest::text_of(tag, "key"), ParsedRequest::text_of(tag, "value"));
  }
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::delete_logged_model_tag(ParsedRequest&) {
  use_database(true);
  LoggedModelRow& row = logged_model(places_[0]);
  if (!row.tags.erase(places_[1])) {
    refuse(fmt::format("No tag with key '{}' found for model with ID '{}'.", places_[1], row.id),
           "RESOURCE_DOES_NOT_EXIST");
  }
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::list_logged_model_artifacts(ParsedRequest& request) {
  use_database(false);
  const std::string root = logged_model_root(logged_model(places_[0]));
  Json answer;
  answer["root_uri"] = "mlflow-artifacts:/" + root;
  Json files = files_below(root, request.text_value("artifact_directory_path"), true);
  if (!files.empty()) answer["files"] = std::move(files);
  return answer;
}

MLFLOWHA_INLINE Json BackendState::log_logged_model_params(ParsedRequest& request) {
  request.required("model_id").list("params");
  use_database(true);
  LoggedModelRow& row = logged_model(places_[0]);
  for (const Json& param : request.list_value("params")) {
    if (row.params.find(ParsedRequest::text_of(param, "key")) != nullptr) {
      refuse_duplicate("logged_model_params.model_id, logged_model_params.param_key");
    }
  }
  for (const Json& param : request.list_value("params")) {
    row.params.set(ParsedRequest::text_of(param, "key"), ParsedRequest::text_of(param, "value"));
  }
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::log_model(ParsedRequest& request) {
  request.required("run_id").text("run_id").required("model_json").text("model_json");
  const std::string text = request.text_value("model_json");
  const Json description = Json::parse(text, nullptr, false);
  if (description.is_discarded()) refuse(fmt::format("Malformed model info. \n {} \n is not a valid JSON.", text));
  for (const char* field : {"run_id", "artifact_path", "flavors", "utc_time_created"}) {
    if (!description.is_object() || !description.contains(field)) {
      refuse(fmt::format("Model json is missing mandatory fields: {{'{}'}}", field));
    }
  }
  use_database(true);
  RunRow& row = active_run(request.run_id());
  const std::string key = "mlflow.log-model.history";
  const std::string* before = row.tags.find(key);
  Json history = before == nullptr ? Json::array() : Json::parse(*before, nullptr, false);
  if (!history.is_array()) throw Crash{};  // anybody may set that tag
  history.push_back(description);
  row.tags.set(key, history.dump());
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::log_inputs(ParsedRequest& request) {
  request.required("run_id").text("run_id").list("datasets").list("models");
  if (!v3() && request.list_value("datasets").empty()) request.required("datasets");
  use_database(true);
  RunRow& row = active_run(request.run_id());
  for (const Json& input : request.list_value("datasets")) {
    const Json* dataset = member(input, "dataset");
    if (dataset == nullptr) refuse("Missing value for required parameter 'datasets[0].dataset'.");
    const bool known = std::any_of(row.dataset_inputs.begin(), row.dataset_inputs.end(), [&](const Json& other) {
      return ParsedRequest::text_of(other["dataset"], "name") == ParsedRequest::text_of(*dataset, "name") &&
             ParsedRequest::text_of(other["dataset"], "digest") == ParsedRequest::text_of(*dataset, "digest");
    });
    if (!known) row.dataset_inputs.push_back(input);
  }
  if (!v3()) return Json::object();
  for (const Json& model : request.list_value("models")) {
    const std::string id = ParsedRequest::text_of(model, "model_id");
    if (std::find(row.model_inputs.begin(), row.model_inputs.end(), id) == row.model_inputs.end()) {
      row.model_inputs.push_back(id);
    }
  }
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::search_datasets(ParsedRequest& request) {
  request.required("experiment_ids").list("experiment_ids");
  use_database(false);
  Json summaries = Json::array();
  for (const Json& id : request.list_value("experiment_ids")) {
    for (const RunRow& row : store.runs) {
      if (row.deleted || id != fmt::format("{}", row.experiment_id)) continue;
      for (const Json& input : row.dataset_inputs) {
        Json summary;
        summary["experiment_id"] = id;
        summary["name"] = ParsedRequest::text_of(input["dataset"], "name");
        summary["digest"] = ParsedRequest::text_of(input["dataset"], "digest");
        const Json* tags = member(input, "tags");
        for (std::size_t i = 0; tags != nullptr && i < tags->size(); ++i) {
          if (ParsedRequest::text_of((*tags)[i], "key") == "mlflow.data.context") {
            summary["context"] = ParsedRequest::text_of((*tags)[i], "value");
          }
        }
        if (std::find(summaries.begin(), summaries.end(), summary) == summaries.end()) {
          summaries.push_back(std::move(summary));
        }
      }
    }
  }
  Json answer = Json::object();
  if (!summaries.empty()) answer["dataset_summaries"] = std::move(summaries);
  return answer;
}

MLFLOWHA_INLINE Json BackendState::log_outputs(ParsedRequest& request) {
  request.required("run_id").text("run_id").list("models");
  use_database(true);
  RunRow& row = active_run(request.run_id());
  std::vector<std::pair<std::string, std::int64_t>> links = row.model_outputs;
  for (const Json& model : request.list_value("models")) {
    const std::string id = ParsedRequest::text_of(model, "model_id");
    for (const auto& [other, step] : links) {
      if (other == id) {
        refuse_duplicate("inputs.source_type, inputs.source_id, inputs.destination_type, inputs.destination_id");
      }
    }
    links.emplace_back(id, ParsedRequest::integer_of(model, "step"));
  }
  row.model_outputs = std::move(links);
  return Json::object();
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
