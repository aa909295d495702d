#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_VERSIONS_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_VERSIONS_IPP

// Handlers for model versions and their stages.

#include <mlflowha/testing/impl/backend_registry.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

MLFLOWHA_INLINE ModelVersionRow& BackendState::model_version(RegisteredModelRow& row,
                                                             const std::string& version) const {
  const auto number = number_from<std::int64_t>(version);
  if (!number) refuse(fmt::format("Parameter 'version' must be an integer, got '{}'.", version));
  if (*number >= 1 && *number <= std::ssize(row.versions)) {
    ModelVersionRow& found = row.versions[static_cast<std::size_t>(*number - 1)];
    if (!found.deleted) return found;
  }
  refuse(fmt::format("Model Version (name={}, version={}) not found", row.name, *number), "RESOURCE_DOES_NOT_EXIST");
}

MLFLOWHA_INLINE ModelVersionRow& BackendState::model_version(const ParsedRequest& request) {
  const std::string name = request.text_value("name");
  const std::string version = request.text_value("version");
  const auto found = store.models.find(name);
  if (found != store.models.end()) return model_version(found->second, version);
  RegisteredModelRow nobody;
  nobody.name = name;
  return model_version(nobody, version);  // a version of a model that isn't there is a version that isn't there
}

MLFLOWHA_INLINE Json model_version_answer(const RegisteredModelRow& model, const ModelVersionRow& row) {
  Json answer;
  answer["model_version"] = model_version_json(model, row, true);
  return answer;
}

MLFLOWHA_INLINE Json BackendState::create_model_version(ParsedRequest& request) {
  request.required("name").text("name").required("source").text("source").text("run_id").list("tags");
  const std::string source = request.text_value("source");
  if (source[0] == '/' || source.substr(0, 5) == "file:") {
    refuse(
        fmt::format("Invalid model version source: '{}'. To use a local path as a model version source, the run_id "
                    "request parameter has to be specified and the local path has to be contained within the artifact "
                    "directory of the run specified by the run_id.",
                    source));
  }
  ModelVersionRow row;
  for (const Json& tag : request.list_value("tags")) {
    const std::string key = ParsedRequest::text_of(tag, "key");
    check_registry_tag(key, ParsedRequest::text_of(tag, "value"));
    row.tags.set(key, ParsedRequest::text_of(tag, "value"));
  }
  use_database(true);
  RegisteredModelRow& owner = model(request.text_value("name"));
  row.number = std::ssize(owner.versions) + 1;
  row.source = source;
  row.run_id = request.text_value("run_id");
  row.run_link = request.text_value("run_link");
  row.description = request.text_value("description");
  row.creation_time = row.last_update_time = owner.last_update_time = now_ms_;
  owner.versions.push_back(std::move(row));
  ++store.counts.model_versions;
  return model_version_answer(owner, owner.versions.back());
}

MLFLOWHA_INLINE Json BackendState::update_model_version(ParsedRequest& request) {
  request.required("name").text("name").required("version").text("version").text("description");
  use_database(true);
  ModelVersionRow& row = model_version(request);
  row.description = request.text_value("description");
  row.last_update_time = now_ms_;
  return model_version_answer(model(request.text_value("name")), row);
}

MLFLOWHA_INLINE Json BackendState::transition_model_version_stage(ParsedRequest& request) {
  request.required("name").text("name").required("version").text("version").required("stage").text("stage");
  const std::string wanted = request.text_value("stage");
  const bool archive = request.flag_value("archive_existing_versions");
  use_database(true);
  const bool active = like(wanted, "Staging", true) || like(wanted, "Production", true);
  if (archive && !active) {
    refuse(fmt::format("Model version transition cannot archive existing model versions because '{}' is not an Active "
                       "stage. Valid stages are ['Staging', 'Production']",
                       wanted),
           "INTERNAL_ERROR");
  }
  std::string stage;
  check_stage(wanted, stage);
  ModelVersionRow& row = model_version(request);
  RegisteredModelRow& owner = model(request.text_value("name"));
  for (ModelVersionRow& other : owner.versions) {
    if (!archive || other.number == row.number || other.deleted || other.stage != stage) continue;
    other.stage = "Archived";
    other.last_update_time = now_ms_;
  }
  row.stage = stage;
  row.last_update_time = owner.last_update_time = now_ms_;
  return model_version_answer(owner, row);
}

MLFLOWHA_INLINE Json BackendState::delete_model_version(ParsedRequest& request) {
  request.required("name").text("name").required("version").text("version");
  use_database(true);
  ModelVersionRow& row = model_version(request);
  row.deleted = true;
  RegisteredModelRow& owner = model(request.text_value("name"));
  owner.last_update_time = now_ms_;
  // 2.22 leaves the aliases pointing at nothing.
  if (v3()) std::erase_if(owner.aliases, [&](const auto& alias) { return alias.second == row.number; });
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::get_model_version(ParsedRequest& request) {
  request.required("name").text("name").required("version").text("version");
  use_database(false);
  const ModelVersionRow& row = model_version(request);
  return model_version_answer(model(request.text_value("name")), row);
}

MLFLOWHA_INLINE Json BackendState::search_model_versions(ParsedRequest& request) {
  request.integer("max_results").list("order_by").text("filter").text("page_token");
  const std::int64_t max_results = request.has("max_results") ? request.integer_value("max_results") : 200'000;
  if (max_results < 1 || max_results > 200'000) request.invalid("max_results");
  use_database(false);
  struct Entry {
    const RegisteredModelRow* model;
    const ModelVersionRow* version;
  };
  std::vector<Entry> entries;
  for (const auto& [name, row] : store.models) {
    for (const ModelVersionRow& version : row.versions) {
      if (!version.deleted) entries.push_back({&row, &version});
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    if (a.version->last_update_time != b.version->last_update_time) {
      return a.version->last_update_time > b.version->last_update_time;
    }
    return a.model != b.model ? a.model->name < b.model->name : a.version->number > b.version->number;
  });
  SearchSchema schema;
  schema.attributes = {"name", "version_number", "run_id", "source_path"};
  schema.numbers = {"version_number"};
  schema.listable = {"run_id"};
  if (v3()) schema.listable = {"name", "run_id"};
  SearchSchema order_schema;
  order_schema.attributes = {"name", "version_number", "creation_timestamp", "last_updated_timestamp"};
  schema.runs = order_schema.runs = false;
  schema.v3 = v3();
  const auto cell_of = [](const Entry& entry, Entity entity, const std::string& key) -> Cell {
    if (entity == Entity::tag) return cell_of_tag(entry.version->tags, key);
    if (key == "name") return entry.model->name;
    if (key == "run_id") return entry.version->run_id;
    if (key == "source_path") return entry.version->source;
    if (key == "version_number") return static_cast<double>(entry.version->number);
    return static_cast<double>(key == "creation_timestamp" ? entry.version->creation_time
                                                           : entry.version->last_update_time);
  };
  std::vector<const Entry*> rows;
  rows.reserve(entries.size());
  for (const Entry& entry : entries) rows.push_back(&entry);
  search_registry(rows, request, schema, order_schema, cell_of, [](const Entry& entry) {
    const auto& all = entry.model->versions;  // a prompt in all its versions, also where only one says so
    return std::any_of(all.begin(), all.end(), [](const ModelVersionRow& row) { return has_prompt_tag(row.tags); });
  });
  return page_of(rows, "model_versions", request, max_results,
                 [](const Entry& entry) { return model_version_json(*entry.model, *entry.version, false); });
}

MLFLOWHA_INLINE Json BackendState::get_model_version_download_uri(ParsedRequest& request) {
  request.required("name").text("name").required("version").text("version");
  use_database(false);
  Json answer;
  answer["artifact_uri"] = model_version(request).source;
  return answer;
}

MLFLOWHA_INLINE Json BackendState::set_model_version_tag(ParsedRequest& request) {
  request.required("name").text("name").required("version").text("version").required("key").text("key").text("value");
  const std::string key = request.text_value("key");
  const std::string value = request.text_value("value");
  check_registry_tag(key, value);
  use_database(true);
  model_version(request).tags.set(key, value);
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::delete_model_version_tag(ParsedRequest& request) {
  request.required("name").text("name").required("version").text("version").required("key").text("key");
  use_database(true);
  model_version(request).tags.erase(request.text_value("key"));
  return Json::object();
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
