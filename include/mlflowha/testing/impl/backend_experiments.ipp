#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_EXPERIMENTS_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_EXPERIMENTS_IPP

#include <mlflowha/testing/impl/backend_state.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

inline constexpr std::int64_t view_active = 1;
inline constexpr std::int64_t view_deleted = 2;
inline constexpr std::int64_t view_all = 3;

MLFLOWHA_INLINE bool in_view(std::int64_t view, bool deleted) noexcept {
  return view == view_all || (view == view_deleted) == deleted;
}

inline constexpr std::string_view autoflush_prefix =
    "(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block if this flush is "
    "occurring prematurely)\n";

/// The message of a violated unique key, in which a driver's name appears although the database is well.
MLFLOWHA_INLINE std::string unique_key_message(bool v3) {
  return v3 ? "(sqlite3.IntegrityError) UNIQUE constraint failed: experiments.workspace, experiments.name\n(Background "
              "on "
              "this error at: https://sqlalche.me/e/21/gkpj)"
            : "(sqlite3.IntegrityError) UNIQUE constraint failed: experiments.name\n(Background on this error at: "
              "https://sqlalche.me/e/20/gkpj)";
}

MLFLOWHA_INLINE ExperimentRow& BackendState::experiment(const std::string& id, bool active, bool deleted) {
  // MLflow takes an empty id for experiment 0.
  const auto number = id.empty() ? std::optional<std::int64_t>(0) : number_from<std::int64_t>(id);
  if (!number && v3()) refuse(fmt::format("Invalid experiment ID '{}'. Experiment ID must be a valid integer.", id));
  if (number && *number >= 0 && *number < std::ssize(store.experiments)) {
    ExperimentRow& row = store.experiments[static_cast<std::size_t>(*number)];
    if (row.deleted ? deleted : active) return row;
  }
  refuse(fmt::format("No Experiment with id={} exists", number ? fmt::format("{}", *number) : id),
         "RESOURCE_DOES_NOT_EXIST");
}

/// The experiment that gets something new.
MLFLOWHA_INLINE const ExperimentRow& BackendState::active_experiment(const std::string& id) {
  const ExperimentRow& owner = experiment(id, true, true);
  if (owner.deleted) {
    refuse(fmt::format("The experiment {} must be in the 'active' state. Current state is deleted.", owner.id));
  }
  return owner;
}

MLFLOWHA_INLINE void BackendState::check_experiment_tag(const std::string& key, const std::string& value) const {
  check_name(key, "key");
  check_length("key", key, max_key_length);
  check_length("value", value, v3() ? max_experiment_tag_length_v3 : max_experiment_tag_length_v2);
}

MLFLOWHA_INLINE Json tags_json(const KeyValues& tags) {
  Json list = Json::array();
  for (const auto& [key, value] : tags.items()) {
    Json tag;
    tag["key"] = key;
    tag["value"] = value;
    list.push_back(std::move(tag));
  }
  return list;
}

MLFLOWHA_INLINE Json BackendState::experiment_json(const ExperimentRow& row) const {
  Json json;
  json["experiment_id"] = fmt::format("{}", row.id);
  json["name"] = row.name;
  json["artifact_location"] = row.artifact_location;
  json["lifecycle_stage"] = stage_name(row.deleted);
  json["last_update_time"] = row.last_update_time;
  json["creation_time"] = row.creation_time;
  if (!row.tags.items().empty()) json["tags"] = tags_json(row.tags);
  if (v3()) json["workspace"] = "default";
  return json;
}

MLFLOWHA_INLINE Json BackendState::create_experiment(ParsedRequest& request) {
  request.required("name").text("name").text("artifact_location").list("tags");
  const std::string name = request.text_value("name");
  std::string location = request.text_value("artifact_location");
  if (name.empty()) refuse("Invalid experiment name: ''");
  check_length("name", name, max_experiment_name_length);
  if (const std::size_t hash = location.find('#'); hash != std::string::npos && hash + 1 < location.size()) {
    refuse("'artifact_location' URL can't include fragments or params.");
  }
  if (v3() && location.substr(0, 5) == "runs:") {
    refuse(fmt::format("Artifact location cannot be a runs:/ URI. Given: '{}'", location));
  }
  const Json& tags = request.list_value("tags");
  if (v3()) {
    for (const Json& tag : tags) {
      check_experiment_tag(ParsedRequest::text_of(tag, "key"), ParsedRequest::text_of(tag, "value"));
    }
  }
  use_database(true);
  KeyValues stored_tags;
  bool taken = std::any_of(store.experiments.begin(), store.experiments.end(),
                           [&](const ExperimentRow& row) { return row.name == name; });
  for (const Json& tag : tags) {
    const std::string key = ParsedRequest::text_of(tag, "key");
    taken = taken || stored_tags.find(key) != nullptr;  // MLflow reports each violated key like this
    stored_tags.set(key, ParsedRequest::text_of(tag, "value"));
  }
  if (taken) {
    refuse(fmt::format("Experiment(name={}) already exists. Error: {}{}", name, v3() ? "" : autoflush_prefix,
                       unique_key_message(v3())),
           "RESOURCE_ALREADY_EXISTS");
  }
  ExperimentRow row;
  row.id = std::ssize(store.experiments);
  row.name = name;
  row.artifact_location = location.empty() ? fmt::format("mlflow-artifacts:/{}", row.id) : std::move(location);
  row.creation_time = row.last_update_time = now_ms_;
  row.tags = std::move(stored_tags);
  Json answer;
  answer["experiment_id"] = fmt::format("{}", row.id);
  store.experiments.push_back(std::move(row));
  return answer;
}

MLFLOWHA_INLINE Json BackendState::get_experiment(ParsedRequest& request) {
  request.required("experiment_id").text("experiment_id");
  use_database(false);
  Json answer;
  answer["experiment"] = experiment_json(experiment(request.text_value("experiment_id"), true, true));
  return answer;
}

MLFLOWHA_INLINE Json BackendState::get_experiment_by_name(ParsedRequest& request) {
  request.required("experiment_name").text("experiment_name");
  use_database(false);
  const std::string name = request.text_value("experiment_name");
  for (const ExperimentRow& row : store.experiments) {
    if (row.name != name) continue;
    Json answer;
    answer["experiment"] = experiment_json(row);
    return answer;
  }
  refuse(fmt::format("Could not find experiment with name '{}'", name), "RESOURCE_DOES_NOT_EXIST");
}

MLFLOWHA_INLINE Json BackendState::search_experiments(ParsedRequest& request) {
  request.integer("max_results").list("order_by").text("filter").text("page_token");
  const std::int64_t max_results = request.integer_value("max_results");
  check_max_results(max_results);
  use_database(false);
  SearchSchema schema;
  schema.attributes = {"name", "creation_time", "last_update_time"};
  SearchSchema order_schema = schema;
  order_schema.attributes.emplace_back("experiment_id");
  order_schema.runs = false;
  if (v3()) schema.attributes.emplace_back("experiment_id");
  schema.numbers = {"creation_time", "last_update_time"};
  schema.listable = {"experiment_id"};
  schema.runs = false;
  schema.v3 = v3();
  const std::string filter = request.text_value("filter");
  const auto comparisons = SearchParser(filter, schema).filter();
  std::vector<Ordering> orderings;
  for (const Json& clause : request.list_value("order_by")) {
    const auto text = clause.get<std::string>();
    orderings.push_back(SearchParser(text, order_schema).order());
    if (orderings.back().entity != Entity::attribute) refuse("Invalid order_by entity: tag");
  }
  const std::size_t offset = page_offset(request.text_value("page_token"));
  const std::int64_t view = request.has("view_type") ? request.integer_value("view_type") : view_active;

  const auto cell_of = [](const ExperimentRow& row, Entity entity, const std::string& key) -> Cell {
    if (entity == Entity::tag) {
      const std::string* value = row.tags.find(key);
      return value == nullptr ? Cell() : Cell(*value);
    }
    if (key == "name") return row.name;
    if (key == "experiment_id") return fmt::format("{}", row.id);
    return static_cast<double>(key == "creation_time" ? row.creation_time : row.last_update_time);
  };
  std::vector<const ExperimentRow*> found;
  for (const ExperimentRow& row : store.experiments) {
    if (!in_view(view, row.deleted)) continue;
    const bool fits = std::all_of(comparisons.begin(), comparisons.end(), [&](const Comparison& comparison) {
      return holds(comparison, cell_of(row, comparison.entity, comparison.key));
    });
    if (fits) found.push_back(&row);
  }
  std::sort(found.begin(), found.end(), [&](const ExperimentRow* a, const ExperimentRow* b) {
    for (const Ordering& ordering : orderings) {
      if (ordering.key == "experiment_id") {  // a number, although filters take it for a text
        if (a->id != b->id) return (a->id < b->id) == ordering.ascending;
        continue;
      }
      if (const int order = compare_cells(*a, *b, ordering, cell_of); order != 0) return order < 0;
    }
    if (!orderings.empty()) return a->id > b->id;
    return a->creation_time != b->creation_time ? a->creation_time > b->creation_time : a->id < b->id;
  });
  Json answer = Json::object();
  for (std::size_t i = offset; i < found.size() && i < offset + static_cast<std::size_t>(max_results); ++i) {
    answer["experiments"].push_back(experiment_json(*found[i]));
  }
  const std::size_t next = offset + static_cast<std::size_t>(max_results);
  if (found.size() > next) answer["next_page_token"] = page_token(next);
  return answer;
}

MLFLOWHA_INLINE Json BackendState::delete_experiment(ParsedRequest& request) {
  request.required("experiment_id").text("experiment_id");
  use_database(true);
  ExperimentRow& row = experiment(request.text_value("experiment_id"), true, false);
  row.deleted = true;
  row.last_update_time = now_ms_;
  for (RunRow& member_run : store.runs) {
    if (member_run.experiment_id == row.id) member_run.deleted = true;
  }
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::restore_experiment(ParsedRequest& request) {
  request.required("experiment_id").text("experiment_id");
  use_database(true);
  ExperimentRow& row = experiment(request.text_value("experiment_id"), false, true);
  row.deleted = false;
  row.last_update_time = now_ms_;
  for (RunRow& member_run : store.runs) {
    if (member_run.experiment_id == row.id) member_run.deleted = false;
  }
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::update_experiment(ParsedRequest& request) {
  request.required("experiment_id").text("experiment_id").required("new_name").text("new_name");
  const std::string name = request.text_value("new_name");
  if (v3()) check_length("name", name, max_experiment_name_length);
  use_database(true);
  ExperimentRow& row = experiment(request.text_value("experiment_id"), true, true);
  if (row.deleted) refuse("Cannot rename a non-active experiment.", "INVALID_STATE");
  for (const ExperimentRow& other : store.experiments) {
    if (other.name == name && other.id != row.id) refuse(unique_key_message(v3()), "BAD_REQUEST");
  }
  row.name = name;
  row.last_update_time = now_ms_;
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::set_experiment_tag(ParsedRequest& request) {
  request.required("experiment_id").text("experiment_id").required("key").text("key").text("value");
  const std::string key = request.text_value("key");
  const std::string value = request.text_value("value");
  check_experiment_tag(key, value);
  use_database(true);
  ExperimentRow& row = experiment(request.text_value("experiment_id"), true, true);
  if (row.deleted) {
    refuse(fmt::format("The experiment {} must be in the 'active' state. Current state is deleted.", row.id));
  }
  row.tags.set(key, value);
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::delete_experiment_tag(ParsedRequest& request) {
  request.required("experiment_id").text("experiment_id").required("key").text("key");
  use_database(true);
  const std::string key = request.text_value("key");
  ExperimentRow& row = experiment(request.text_value("experiment_id"), true, true);
  if (row.deleted) {
    refuse(fmt::format("The experiment {} must be in the 'active' state. Current state is deleted.", row.id));
  }
  if (!row.tags.erase(key)) {
    refuse(fmt::format("No tag with name: {} in experiment with id {}", key, request.text_value("experiment_id")),
           "RESOURCE_DOES_NOT_EXIST");
  }
  return Json::object();
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
