#ifndef MLFLOWHA_CLIENT_IMPL_RECIPES_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPES_IPP

#include <mlflowha/api/experiments_codec.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/api/runs_codec.hpp>
#include <mlflowha/client/impl/recipes.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

MLFLOWHA_INLINE const api::Operation& verify_operation(api::Recipe recipe) noexcept {
  return recipe == api::Recipe::find_experiment_by_name ? api::ops::get_experiment_by_name : api::ops::search_runs;
}

MLFLOWHA_INLINE Result<Request> verify_request(api::Recipe recipe, const std::string& scope,
                                               const std::string& request_tag) {
  const auto http = [](Result<api::PreparedRequest> prepared) -> Result<Request> {
    if (!prepared) return std::move(prepared).error();
    return std::move(prepared->http);
  };
  switch (recipe) {
    case api::Recipe::find_run_by_tag: {
      if (request_tag.find_first_of("'\"\\") != std::string::npos) {
        // MLflow's filter language has no escapes.
        return invalid_argument(fmt::format("tag {}: value is \"{}\", expected no quotes or backslashes",
                                            api::request_tag_key, sanitize(request_tag, 100)));
      }
      SearchRuns search;
      search.experiment_ids = {scope};
      search.filter = fmt::format("tags.`{}` = '{}'", api::request_tag_key, request_tag);
      search.run_view_type = ViewType::active_only;
      search.max_results = 100;
      return http(api::prepare_search_runs(search));
    }
    case api::Recipe::find_experiment_by_name: {
      GetExperimentByName get;
      get.experiment_name = scope;
      return http(api::prepare_get_experiment_by_name(get));
    }
    case api::Recipe::none:
      break;
  }
  Error error;
  error.code = Errc::internal;
  error.message = "this operation has no recipe to look its object up";
  return error;
}

MLFLOWHA_INLINE Response answer_with(std::string body) {
  Response response;
  response.status = 200;
  response.body = std::move(body);
  return response;
}

MLFLOWHA_INLINE Result<Finding> read_runs(const std::string& request_tag, const Response& response) {
  auto page = api::decode_search_runs(response.body);
  if (!page) return std::move(page).error();
  Finding finding;
  // Whatever the server understood of the filter: a run without our tag is a stranger's, not to be adopted or removed.
  std::erase_if(page->items, [&](const Run& run) {
    return std::none_of(run.data.tags.begin(), run.data.tags.end(),
                        [&](const RunTag& tag) { return tag.key == api::request_tag_key && tag.value == request_tag; });
  });
  if (page->items.empty()) return finding;
  std::sort(page->items.begin(), page->items.end(), [](const Run& a, const Run& b) {
    return std::pair(a.info.start_time, std::string_view(a.info.run_id)) <
           std::pair(b.info.start_time, std::string_view(b.info.run_id));
  });
  for (const Run& run : page->items) finding.ids.push_back(run.info.run_id);
  auto json = api::to_json(page->items.front());
  if (!json) return std::move(json).error();
  finding.found = Found::present;
  finding.answer = answer_with(fmt::format("{{\"run\": {}}}", *json));
  return finding;
}

MLFLOWHA_INLINE Result<Finding> read_experiment(const std::string& request_tag, const Response& response) {
  auto experiment = api::decode_get_experiment_by_name(response.body);
  if (!experiment) return std::move(experiment).error();
  Finding finding;
  const bool ours = std::any_of(experiment->tags.begin(), experiment->tags.end(), [&](const ExperimentTag& tag) {
    return tag.key == api::request_tag_key && tag.value == request_tag;
  });
  if (!ours) return finding;  // somebody else's experiment of that name
  finding.found = Found::present;
  finding.ids.push_back(experiment->experiment_id);
  // Ids are letters, digits, '-' and '_' where we send them; an answer's could be anything.
  if (experiment->experiment_id.find_first_of("\"\\") != std::string::npos) {
    Error error;
    error.code = Errc::bad_response;
    error.message = fmt::format("experiment id is \"{}\"", sanitize(experiment->experiment_id, 100));
    return error;
  }
  finding.answer = answer_with(fmt::format("{{\"experiment_id\": \"{}\"}}", experiment->experiment_id));
  return finding;
}

MLFLOWHA_INLINE Result<Finding> read_finding(api::Recipe recipe, const std::string& request_tag,
                                             const Response& response) {
  return recipe == api::Recipe::find_experiment_by_name ? read_experiment(request_tag, response)
                                                        : read_runs(request_tag, response);
}

MLFLOWHA_INLINE std::string created_id(api::Recipe recipe, const Response& response) {
  if (recipe != api::Recipe::find_run_by_tag) return {};
  const auto run = api::decode_create_run(response.body);
  return run ? run->info.run_id : std::string();
}

MLFLOWHA_INLINE Result<Request> remove_request(api::Recipe recipe, const std::string& id) {
  if (recipe != api::Recipe::find_run_by_tag) return invalid_argument("only twins of runs are removed");
  DeleteRun remove;
  remove.run_id = id;
  auto prepared = api::prepare_delete_run(remove);
  if (!prepared) return std::move(prepared).error();
  return std::move(prepared->http);
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
