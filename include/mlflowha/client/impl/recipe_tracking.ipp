#ifndef MLFLOWHA_CLIENT_IMPL_RECIPE_TRACKING_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPE_TRACKING_IPP

// Recipes of experiments and runs.

#include <mlflowha/api/experiments_codec.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/api/runs_codec.hpp>
#include <mlflowha/client/impl/recipe_support.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

// --- find_run_by_tag: search the runs of the experiment
// -----------------------------------------------------------------

MLFLOWHA_INLINE Result<Request> look_for_run(const RecipeKey& key) {
  SearchRuns search;
  search.experiment_ids = {std::string(key.scope)};
  search.filter = tag_filter(key.request_tag);
  search.run_view_type = ViewType::active_only;
  search.max_results = 100;
  return request_of(api::prepare_search_runs(search));
}

MLFLOWHA_INLINE Result<Finding> read_runs(const RecipeKey& key, const Response& response) {
  auto page = api::decode_search_runs(response.body);
  if (!page) return std::move(page).error();
  Finding finding;
  std::erase_if(page->items, [&](const Run& run) { return !has_request_tag(run.data.tags, key.request_tag); });
  if (page->items.empty()) return finding;
  std::sort(page->items.begin(), page->items.end(), [](const Run& a, const Run& b) {
    return std::pair(a.info.start_time, std::string_view(a.info.run_id)) <
           std::pair(b.info.start_time, std::string_view(b.info.run_id));
  });
  const std::int64_t started = page->items.front().info.start_time;
  for (const Run& run : page->items) {
    // What the same bytes have made has the same start; the others got the tags of this run from somebody who copies.
    if (run.info.start_time == started) finding.objects.push_back({run.info.run_id});
  }
  Result<Response> answer = answer_with_member("run", api::to_json(page->items.front()));
  if (!answer) return std::move(answer).error();
  finding.answer = std::move(*answer);
  return finding;
}

MLFLOWHA_INLINE Result<Request> remove_run(const RecipeKey&, const std::string& id) {
  DeleteRun remove;
  remove.run_id = id;
  return request_of(api::prepare_delete_run(remove));
}

MLFLOWHA_INLINE std::string created_run(const Response& response) {
  const auto run = api::decode_create_run(response.body);
  return run ? run->info.run_id : std::string();
}

inline constexpr RecipeRow run_recipe{&api::ops::search_runs, look_for_run, read_runs,
                                      &api::ops::delete_run,  remove_run,   created_run};

// --- find_experiment_by_name: the server's unique names leave no room for a twin
// -----------------------------------------

MLFLOWHA_INLINE Result<Request> look_for_experiment(const RecipeKey& key) {
  GetExperimentByName get;
  get.experiment_name = key.scope;
  return request_of(api::prepare_get_experiment_by_name(get));
}

MLFLOWHA_INLINE Result<Finding> read_experiment(const RecipeKey& key, const Response& response) {
  auto experiment = api::decode_get_experiment_by_name(response.body);
  if (!experiment) return std::move(experiment).error();
  Finding finding;
  if (!has_request_tag(experiment->tags, key.request_tag)) return finding;  // somebody else's experiment of that name
  // Ids are letters, digits, '-' and '_' where we send them; an answer's could be anything.
  if (experiment->experiment_id.find_first_of("\"\\") != std::string::npos) {
    Error error;
    error.code = Errc::bad_response;
    error.message = fmt::format("experiment id is \"{}\"", sanitize(experiment->experiment_id, 100));
    return error;
  }
  finding.answer = answer_with(fmt::format("{{\"experiment_id\": \"{}\"}}", experiment->experiment_id));
  finding.objects.push_back({std::move(experiment->experiment_id)});
  return finding;
}

inline constexpr RecipeRow experiment_recipe{&api::ops::get_experiment_by_name, look_for_experiment, read_experiment};

// --- find_restored_experiment: only a deleted one can be restored; is it active?

MLFLOWHA_INLINE Result<Request> look_for_restored_experiment(const RecipeKey& key) {
  GetExperiment get;
  get.experiment_id = key.scope;
  return request_of(api::prepare_get_experiment(get));
}

MLFLOWHA_INLINE Result<Finding> read_restored_experiment(const RecipeKey&, const Response& response) {
  auto experiment = api::decode_get_experiment(response.body);
  if (!experiment) return std::move(experiment).error();
  Finding finding;
  if (experiment->lifecycle_stage != "active") return finding;
  finding.objects.push_back({std::move(experiment->experiment_id)});
  finding.answer = answer_with("{}");
  return finding;
}

inline constexpr RecipeRow restored_experiment_recipe{&api::ops::get_experiment, look_for_restored_experiment,
                                                      read_restored_experiment};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
