#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_SCORERS_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_SCORERS_IPP

// Handlers for scorers. They are kept and given back; nothing is ever scored.

#include <mlflowha/testing/impl/backend_datasets.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

MLFLOWHA_INLINE const MessageType& scorer_request() {
  static const MessageType type{{{"experiment_id", "experimentId", FieldType::text},
                                 {"experiment_ids", "experimentIds", FieldType::text, true},
                                 {"name", "name", FieldType::text},
                                 {"serialized_scorer", "serializedScorer", FieldType::text},
                                 {"version", "version", FieldType::integer},
                                 {"scorer_ids", "scorerIds", FieldType::text, true},
                                 {"sample_rate", "sampleRate", FieldType::real},
                                 {"filter_string", "filterString", FieldType::text}}};
  return type;
}

MLFLOWHA_INLINE Json scorer_json(const ScorerRow& row, const ScorerVersionRow& version, std::string serialized) {
  Json json;
  json["experiment_id"] = row.experiment_id;
  json["scorer_name"] = row.name;
  json["scorer_version"] = version.number;
  json["serialized_scorer"] = std::move(serialized);
  json["creation_time"] = version.creation_time;
  json["scorer_id"] = row.id;
  return json;
}

/// As lists show it: formatted anew.
MLFLOWHA_INLINE Json listed_scorer_json(const ScorerRow& row, const ScorerVersionRow& version) {
  return scorer_json(row, version, python_json(Json::parse(version.serialized, nullptr, false)));
}

MLFLOWHA_INLINE Json scoring_config_json(const ScorerRow& row) {
  Json json;
  json["online_scoring_config_id"] = row.config->id;
  json["scorer_id"] = row.id;
  json["sample_rate"] = row.config->sample_rate;
  json["experiment_id"] = fmt::format("{}", row.experiment_id);
  if (row.config->filter) json["filter_string"] = *row.config->filter;
  return json;
}

/// The scorer that a request names. With `versions`, one of which all versions are deleted isn't there.
MLFLOWHA_INLINE ScorerRow& BackendState::scorer(const ParsedRequest& request, bool versions) {
  const std::string id = request.text_value("experiment_id");
  const std::string name = request.text_value("name");
  const auto found = store.scorers.find({active_experiment(id).id, name});
  if (found == store.scorers.end() || (versions && found->second.versions.empty())) {
    refuse(fmt::format("Scorer with name '{}' not found for experiment {}.", name, id), "RESOURCE_DOES_NOT_EXIST");
  }
  return found->second;
}

[[noreturn]] MLFLOWHA_INLINE void refuse_scorer_version(const ParsedRequest& request) {
  refuse(fmt::format("Scorer with name '{}' and version {} not found for experiment {}.", request.text_value("name"),
                     request.integer_value("version"), request.text_value("experiment_id")),
         "RESOURCE_DOES_NOT_EXIST");
}

/// The model that a scorer asks; "" for none.
MLFLOWHA_INLINE std::string model_of_scorer(const Json& scorer) {
  if (!scorer.is_object()) refuse_attribute(scorer, "get");
  for (const char* part :
       {"instructions_judge_pydantic_data", "builtin_scorer_pydantic_data", "third_party_scorer_data"}) {
    const Json* model = member(ParsedRequest::object_of(scorer, part), "model");
    if (model != nullptr && model->is_string()) return model->get<std::string>();
  }
  return {};
}

MLFLOWHA_INLINE Json BackendState::register_scorer(ParsedRequest& request) {
  request.required("experiment_id").text("experiment_id").required("name").text("name");
  request.required("serialized_scorer").text("serialized_scorer");
  const std::string serialized = request.text_value("serialized_scorer");
  const std::optional<Json> parsed = json_from(serialized);
  if (!parsed) refuse("serialized_scorer must be valid JSON");
  const std::string model = model_of_scorer(*parsed);
  if (const Json* source = member(*parsed, "call_source");
      source != nullptr && !source->is_null() && !source->empty()) {
    refuse(
        "Custom scorer registration (using @scorer decorator) is disabled by default outside of Databricks tracking "
        "environments due to security concerns. Custom scorers require arbitrary code execution during "
        "deserialization.");
  }
  const std::string name = request.text_value("name");
  if (name.find_first_not_of(" \t\r\n") == std::string::npos) {
    refuse("Scorer name cannot be empty or contain only whitespace.");
  }
  use_database(true);
  const std::int64_t owner = active_experiment(request.text_value("experiment_id")).id;
  if (constexpr std::string_view gateway = "gateway:/"; model.compare(0, gateway.size(), gateway) == 0) {
    refuse(fmt::format("GatewayEndpoint not found (name='{}')", model.substr(gateway.size())),
           "RESOURCE_DOES_NOT_EXIST");
  }
  ScorerRow& row = store.scorers[{owner, name}];
  if (row.id.empty()) row.id = store.make_id();
  row.experiment_id = owner;
  row.name = name;
  ScorerVersionRow version;
  version.number = row.versions.empty() ? 1 : row.versions.back().number + 1;
  version.serialized = serialized;
  version.creation_time = now_ms_;
  row.versions.push_back(version);
  Json answer;
  answer["version"] = version.number;
  answer["scorer_id"] = row.id;
  answer["experiment_id"] = fmt::format("{}", owner);
  answer["name"] = name;
  answer["serialized_scorer"] = serialized;
  answer["creation_time"] = version.creation_time;
  return answer;
}

MLFLOWHA_INLINE Json BackendState::list_scorers(ParsedRequest& request) {
  request.text("experiment_id").list("experiment_ids").text_list("experiment_ids");
  const std::string one = request.text_value("experiment_id");
  const bool several = request.has("experiment_ids");
  if (!one.empty() && several) {
    refuse(
        "Cannot specify both 'experiment_id' and 'experiment_ids'. Use 'experiment_ids' to scope the query to multiple "
        "experiments, or 'experiment_id' to scope it to a single experiment.");
  }
  const Json& ids = request.list_value("experiment_ids");
  for (const Json& id : ids) {
    if (number_from<std::int64_t>(id.get_ref<const std::string&>())) continue;
    refuse(fmt::format("Invalid experiment ID '{}'. Experiment ID must be a valid integer.", id.get<std::string>()));
  }
  use_database(false);
  if (!one.empty()) active_experiment(one);
  Json answer = Json::object();
  for (const auto& [key, row] : store.scorers) {  // by experiment and name
    const std::string owner = fmt::format("{}", row.experiment_id);
    const bool named = std::any_of(ids.begin(), ids.end(), [&](const Json& id) { return id == owner; });
    const bool wanted = several ? named : one.empty() || one == owner;
    const bool active = !store.experiments[static_cast<std::size_t>(row.experiment_id)].deleted;
    if (wanted && active && !row.versions.empty()) {
      answer["scorers"].push_back(listed_scorer_json(row, row.versions.back()));
    }
  }
  return answer;
}

MLFLOWHA_INLINE Json BackendState::list_scorer_versions(ParsedRequest& request) {
  request.required("experiment_id").text("experiment_id").required("name").text("name");
  use_database(false);
  const ScorerRow& row = scorer(request, true);
  Json answer;
  for (const ScorerVersionRow& version : row.versions) answer["scorers"].push_back(listed_scorer_json(row, version));
  return answer;
}

MLFLOWHA_INLINE Json BackendState::get_scorer(ParsedRequest& request) {
  request.required("experiment_id").text("experiment_id").required("name").text("name").integer("version");
  use_database(false);
  const bool newest = !request.has("version");
  const ScorerRow& row = scorer(request, newest);
  const auto found = std::find_if(row.versions.begin(), row.versions.end(), [&](const ScorerVersionRow& version) {
    return newest ? version.number == row.versions.back().number : version.number == request.integer_value("version");
  });
  if (found == row.versions.end()) refuse_scorer_version(request);
  Json answer;
  answer["scorer"] = scorer_json(row, *found, found->serialized);
  return answer;
}

MLFLOWHA_INLINE Json BackendState::delete_scorer(ParsedRequest& request) {
  request.required("experiment_id").text("experiment_id").required("name").text("name").integer("version");
  use_database(true);
  const bool all = !request.has("version");
  ScorerRow& row = scorer(request, all);
  if (all) {
    store.scorers.erase({row.experiment_id, std::string(row.name)});
    return Json::object();
  }
  const std::int64_t number = request.integer_value("version");
  if (std::erase_if(row.versions, [&](const ScorerVersionRow& version) { return version.number == number; }) == 0) {
    refuse_scorer_version(request);
  }
  return Json::object();
}

MLFLOWHA_INLINE Json BackendState::get_online_scoring_configs(ParsedRequest& request) {
  request.required("scorer_ids").list("scorer_ids").text_list("scorer_ids");
  use_database(false);
  Json answer;
  answer["configs"] = Json::array();
  const Json& ids = request.list_value("scorer_ids");
  for (const auto& [key, row] : store.scorers) {
    const bool named = std::any_of(ids.begin(), ids.end(), [&, &id = row.id](const Json& one) { return one == id; });
    if (named && row.config) answer["configs"].push_back(scoring_config_json(row));
  }
  return answer;
}

MLFLOWHA_INLINE Json BackendState::upsert_online_scoring_config(ParsedRequest& request) {
  request.required("experiment_id").text("experiment_id").required("name").text("name").required("sample_rate");
  const double rate = request.real_value("sample_rate");
  if (!(rate >= 0 && rate <= 1))
    refuse(fmt::format("sample_rate must be between 0.0 and 1.0, got {}", Json(rate).dump()));
  const std::string filter = request.text_value("filter_string");
  if (!filter.empty()) static_cast<void>(trace_filter(filter));
  use_database(true);
  ScorerRow& row = scorer(request, false);
  // There is no gateway here, so that no scorer can have registered with a model of one.
  if (rate > 0 && !row.versions.empty()) {
    refuse(
        fmt::format("Scorer '{}' does not use a gateway model. Automatic evaluation is only supported for scorers that "
                    "use gateway models.",
                    row.name));
  }
  row.config = ScoringConfigRow{store.make_run_id(), rate, std::nullopt};
  if (request.has("filter_string")) row.config->filter = filter;
  Json answer;
  answer["config"] = scoring_config_json(row);
  return answer;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
