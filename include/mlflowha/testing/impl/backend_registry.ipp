#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_REGISTRY_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_REGISTRY_IPP

// Handlers for registered models and their aliases.

#include <mlflowha/testing/impl/backend_search.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

/// Operations on registered models and model versions: the union of their fields.
MLFLOWHA_INLINE const MessageType& registry_request() {
  static const MessageType type{{{"name", "name", FieldType::text},
                                 {"new_name", "newName", FieldType::text},
                                 {"description", "description", FieldType::text},
                                 {"tags", "tags", FieldType::message, true, &key_value_message()},
                                 {"key", "key", FieldType::text},
                                 {"value", "value", FieldType::text},
                                 {"alias", "alias", FieldType::text},
                                 {"version", "version", FieldType::text},
                                 {"stage", "stage", FieldType::text},
                                 {"stages", "stages", FieldType::text, true},
                                 {"archive_existing_versions", "archiveExistingVersions", FieldType::boolean},
                                 {"source", "source", FieldType::text},
                                 {"run_id", "runId", FieldType::text},
                                 {"run_link", "runLink", FieldType::text},
                                 {"model_id", "modelId", FieldType::text},
                                 {"filter", "filter", FieldType::text},
                                 {"max_results", "maxResults", FieldType::integer},
                                 {"order_by", "orderBy", FieldType::text, true},
                                 {"page_token", "pageToken", FieldType::text}}};
  return type;
}

MLFLOWHA_INLINE void check_model_name_v3(const std::string& name) {
  if (name.find_first_not_of(' ') == std::string::npos) refuse("Missing value for required parameter 'name'.");
  if (name.find_first_of("/:") != std::string::npos) {
    refuse(fmt::format("Invalid model name '{}'. Names cannot contain '/' or ':'.", name));
  }
  if (name == "." || name == "..") check_name(name, "name");
}

MLFLOWHA_INLINE void BackendState::check_model_name(const std::string& name) const {
  if (v3()) check_model_name_v3(name);
}

MLFLOWHA_INLINE void BackendState::check_registry_tag(const std::string& key, const std::string& value) const {
  check_name(key, "key");
  check_length("key", key, max_key_length);
  check_length("value", value, v3() ? max_registry_tag_length_v3 : max_registry_tag_length_v2);
}

MLFLOWHA_INLINE RegisteredModelRow& BackendState::model(const std::string& name) {
  const auto found = store.models.find(name);
  if (found == store.models.end()) {
    refuse(fmt::format("Registered Model with name={} not found", name), "RESOURCE_DOES_NOT_EXIST");
  }
  return found->second;
}

MLFLOWHA_INLINE Json model_version_json(const RegisteredModelRow& model, const ModelVersionRow& row,
                                        bool with_aliases) {
  Json json;
  json["name"] = model.name;
  json["version"] = fmt::format("{}", row.number);
  json["creation_timestamp"] = row.creation_time;
  json["last_updated_timestamp"] = row.last_update_time;
  json["current_stage"] = row.stage;
  json["description"] = row.description;
  json["source"] = row.source;
  json["run_id"] = row.run_id;
  json["status"] = "READY";
  if (!row.tags.items().empty()) json["tags"] = tags_json(row.tags);
  json["run_link"] = row.run_link;
  for (const auto& [alias, number] : model.aliases) {
    if (with_aliases && number == row.number) json["aliases"].push_back(alias);
  }
  return json;
}

/// The newest version of each stage.
MLFLOWHA_INLINE std::vector<const ModelVersionRow*> latest_versions(const RegisteredModelRow& row) {
  std::vector<const ModelVersionRow*> latest;
  for (const ModelVersionRow& version : row.versions) {
    if (version.deleted) continue;
    const auto same = std::find_if(latest.begin(), latest.end(),
                                   [&](const ModelVersionRow* other) { return other->stage == version.stage; });
    if (same == latest.end()) {
      latest.push_back(&version);
    } else {
      *same = &version;
    }
  }
  return latest;
}

MLFLOWHA_INLINE Json registered_model_json(const RegisteredModelRow& row) {
  Json json;
  json["name"] = row.name;
  json["creation_timestamp"] = row.creation_time;
  json["last_updated_timestamp"] = row.last_update_time;
  if (!row.description.empty()) json["description"] = row.description;
  for (const ModelVersionRow* version : latest_versions(row)) {
    json["latest_versions"].push_back(model_version_json(row, *version, false));
  }
  if (!row.tags.items().empty()) json["tags"] = tags_json(row.tags);
  for (const auto& [alias, number] : row.aliases) {
    json["aliases"].push_back(Json{{"alias", alias}, {"version", fmt::format("{}", number)}});
  }
  return json;
}

MLFLOWHA_INLINE Json registered_model_answer(const RegisteredModelRow& row) {
  Json answer;
  answer["registered_model"] = registered_model_json(row);
  return answer;
}

MLFLOWHA_INLINE Json BackendState::create_registered_model(ParsedRequest& request) {
  request.required("name").text("name").list("tags").text("description");
  const std::string name = request.text_value("name");
  check_model_name(name);
  RegisteredModelRow row;
  for (const Json& tag : request.list_value("tags")) {
    const std::string key = ParsedRequest::text_of(tag, "key");
    check_registry_tag(key, ParsedRequest::text_of(tag, "value"));
    row.tags.set(key, ParsedRequest::text_of(tag, "value"));
  }
  use_database(true);
  if (store.models.find(name) != store.models.end()) {
    refuse(fmt::format("Registered Model (name={}) already exists.", name), "RESOURCE_ALREADY_EXISTS");
  }
  row.name = name;
  row.description = request.text_value("description");
  row.creation_time = row.last_update_time = now_ms_;
  return registered_model_answer(store.models.emplace(name, std::move(row)).first->second);
}

MLFLOWHA_INLINE Json BackendState::rename_registered_model(ParsedRequest& request) {
  request.required("name").text("name").required("new_name").text("new_name");
  const std::string name = request.text_value("name");
  const std::string new_name = request.text_value("new_name");
  check_model_name(new_name);
  use_database(true);
  RegisteredModelRow& row = model(name);
  row.last_update_time = now_ms_;
  if (new_name == name) return registered_model_answer(row);
  if (store.models.find(new_name) != store.models.end()) {
    refuse(fmt::format("Registered Model (name={}) already exists. Error: {}(sqlite3.IntegrityError) UNIQUE constraint "
                       "failed: registered_models.name",
                       new_name, autoflush_prefix),
           "RESOURCE_ALREADY_EXISTS");
  }
  RegisteredModelRow moved = std::move(row);
  store.models.erase(name);
  moved.name = new_name;
  for (ModelVersionRow& version : moved.versions) version.last_update_time = now_ms_;
  return registered_model_answer(store.models.emplace(new_name, std::move(moved)).first->second);
}

MLFLOWHA_INLINE Json BackendState::update_registered_model(ParsedRequest& request) {
  request.required("name").text("name").text("description");
  use_database(true);
  RegisteredModelRow& row = model(request.text_value("name"));
  row.description = request.text_value("description");
  row.last_update_time = now_ms_;
  return registered_model_answer(row);
}

MLFLOWHA_INLINE Json BackendState::delete_registered_model(ParsedRequest& request) {
  request.required("name").text("name");
  use_database(true);
  store.models.erase(model(request.text_value("name")).name);
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::get_registered_model(ParsedRequest& request) {
  request.required("name").text("name");
  use_database(false);
  return registered_model_answer(model(request.text_value("name")));
}

MLFLOWHA_INLINE Json BackendState::search_registered_models(ParsedRequest& request) {
  request.integer("max_results").list("order_by").text("filter").text("page_token");
  const std::int64_t max_results = request.has("max_results") ? request.integer_value("max_results") : 100;
  if (max_results < 1 || max_results > 1000) request.invalid("max_results");
  use_database(false);
  SearchSchema schema;
  schema.attributes = {"name"};
  SearchSchema order_schema;
  order_schema.attributes = {"name", "timestamp", "last_updated_timestamp"};
  schema.runs = order_schema.runs = false;
  schema.v3 = v3();
  if (v3()) schema.listable = {"name"};
  const auto cell_of = [](const RegisteredModelRow& row, Entity entity, const std::string& key) {
    if (entity == Entity::tag) return cell_of_tag(row.tags, key);
    return key == "name" ? Cell(row.name) : Cell(static_cast<double>(row.last_update_time));
  };
  std::vector<const RegisteredModelRow*> rows;
  rows.reserve(store.models.size());
  for (const auto& [name, row] : store.models) rows.push_back(&row);
  search_registry(rows, request, schema, order_schema, cell_of,
                  [](const RegisteredModelRow& row) { return has_prompt_tag(row.tags); });
  return page_of(rows, "registered_models", request, max_results,
                 [](const RegisteredModelRow& row) { return registered_model_json(row); });
}

MLFLOWHA_INLINE void check_stage(const std::string& stage, std::string& canonical) {
  for (const std::string_view known : {"None", "Staging", "Production", "Archived"}) {
    if (like(stage, known, true)) {
      canonical = known;
      return;
    }
  }
  refuse(
      fmt::format("Invalid Model Version stage: {}. Value must be one of None, Staging, Production, Archived.", stage));
}

MLFLOWHA_INLINE Json BackendState::get_latest_versions(ParsedRequest& request) {
  request.required("name").text("name").list("stages");
  use_database(false);
  const RegisteredModelRow& row = model(request.text_value("name"));
  std::vector<std::string> stages;
  for (const Json& stage : request.list_value("stages")) {
    check_stage(stage.get<std::string>(), stages.emplace_back());
  }
  Json answer = Json::object();
  for (const ModelVersionRow* version : latest_versions(row)) {
    if (!stages.empty() && std::find(stages.begin(), stages.end(), version->stage) == stages.end()) continue;
    answer["model_versions"].push_back(model_version_json(row, *version, true));
  }
  return answer;
}

MLFLOWHA_INLINE Json BackendState::set_registered_model_tag(ParsedRequest& request) {
  request.required("name").text("name").required("key").text("key").text("value");
  const std::string key = request.text_value("key");
  const std::string value = request.text_value("value");
  check_registry_tag(key, value);
  use_database(true);
  model(request.text_value("name")).tags.set(key, value);
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::delete_registered_model_tag(ParsedRequest& request) {
  request.required("name").text("name").required("key").text("key");
  use_database(true);
  model(request.text_value("name")).tags.erase(request.text_value("key"));
  return Json::object();
}

MLFLOWHA_INLINE void check_alias(const std::string& alias) {
  bool good = true;
  each_character(alias,
                 [&](std::uint32_t code, std::size_t) { good = good && (code == '-' || is_word_character(code)); });
  if (!good) {
    refuse(fmt::format(
        "Invalid alias name: '{}'. Names may only contain alphanumerics, underscores (_), and dashes (-).", alias));
  }
  check_length("Registered model alias name", alias, max_alias_length);
  if (like(alias, "latest", true)) refuse("'latest' alias name (case insensitive) is reserved.");
  if (alias.size() > 1 && lower(alias[0]) == 'v' && alias.find_first_not_of("0123456789", 1) == std::string::npos) {
    refuse(fmt::format("Version alias name '{}' is reserved.", alias));
  }
}

MLFLOWHA_INLINE Json BackendState::set_registered_model_alias(ParsedRequest& request) {
  request.required("name").text("name").required("alias").text("alias").required("version").text("version");
  const std::string alias = request.text_value("alias");
  check_alias(alias);
  use_database(true);
  const ModelVersionRow& version = model_version(request);
  model(request.text_value("name")).aliases[alias] = version.number;
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::delete_registered_model_alias(ParsedRequest& request) {
  request.required("name").text("name").required("alias").text("alias");
  use_database(true);
  model(request.text_value("name")).aliases.erase(request.text_value("alias"));
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::get_model_version_by_alias(ParsedRequest& request) {
  request.required("name").text("name").required("alias").text("alias");
  use_database(false);
  const std::string alias = request.text_value("alias");
  const auto unknown = [&] { refuse(fmt::format("Registered model alias {} not found.", alias)); };
  if (!v3() && store.models.find(request.text_value("name")) == store.models.end()) unknown();
  RegisteredModelRow& row = model(request.text_value("name"));
  const auto found = row.aliases.find(alias);
  if (found == row.aliases.end()) unknown();
  Json answer;
  answer["model_version"] = model_version_json(row, model_version(row, fmt::format("{}", found->second)), true);
  return answer;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
