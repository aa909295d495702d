#ifndef MLFLOWHA_CLIENT_IMPL_RECIPE_LOGGED_MODELS_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPE_LOGGED_MODELS_IPP

// Recipes of logged models: their creation, their params, and the links of runs to them. Params and links have unique
// keys in the database, and servers store all of a request or nothing: whatever a late sending finds there keeps it
// out, and there are no twins.

#include <mlflowha/api/logged_models_codec.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/api/runs_codec.hpp>
#include <mlflowha/client/impl/recipe_support.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

// --- find_logged_model_by_tag: search the logged models of the experiment

MLFLOWHA_INLINE Result<Request> look_for_logged_model(const RecipeKey& key) {
  SearchLoggedModels search;
  search.experiment_ids = {std::string(key.scope)};
  search.filter = tag_filter(key.request_tag);
  return request_of(api::prepare_search_logged_models(search));
}

/// Open-source MLflow writes its registrations into a tag and leaves the field to others (seen with 3.17.2).
MLFLOWHA_INLINE bool is_registered(const LoggedModel& model) noexcept {
  return !model.info.registrations.empty() ||
         std::any_of(model.info.tags.begin(), model.info.tags.end(),
                     [](const auto& tag) { return tag.key == "mlflow.modelVersions"; });
}

MLFLOWHA_INLINE Result<Finding> read_logged_models(const RecipeKey& key, const Response& response) {
  auto page = api::decode_search_logged_models(response.body);
  if (!page) return std::move(page).error();
  Finding finding;
  std::erase_if(page->items,
                [&](const LoggedModel& model) { return !has_request_tag(model.info.tags, key.request_tag); });
  if (page->items.empty()) return finding;
  std::sort(page->items.begin(), page->items.end(), [](const LoggedModel& a, const LoggedModel& b) {
    return std::pair(a.info.creation_timestamp_ms, std::string_view(a.info.model_id)) <
           std::pair(b.info.creation_timestamp_ms, std::string_view(b.info.model_id));
  });
  for (const LoggedModel& model : page->items) {
    finding.objects.push_back({model.info.model_id, is_registered(model)});
  }
  Result<Response> answer = answer_with_member("model", api::to_json(page->items.front()));
  if (!answer) return std::move(answer).error();
  finding.answer = std::move(*answer);
  return finding;
}

MLFLOWHA_INLINE Result<Request> remove_logged_model(const RecipeKey&, const std::string& id) {
  DeleteLoggedModel remove;
  remove.model_id = id;
  return request_of(api::prepare_delete_logged_model(remove));
}

MLFLOWHA_INLINE std::string created_logged_model(const Response& response) {
  auto model = api::decode_create_logged_model(response.body);
  return model ? std::move(model->info.model_id) : std::string();
}

inline constexpr RecipeRow logged_model_recipe{
    &api::ops::search_logged_models, look_for_logged_model, read_logged_models,
    &api::ops::delete_logged_model,  remove_logged_model,   created_logged_model};

// --- find_logged_model_params: are all params of the request there?

/// True when `there` has an entry that `same` as each of `wanted`.
template <class Wanted, class There, class Same>
[[nodiscard]] bool has_all(const std::vector<Wanted>& wanted, const std::vector<There>& there, const Same& same) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const Wanted& one) {
    return std::any_of(there.begin(), there.end(), [&](const There& other) { return same(one, other); });
  });
}

MLFLOWHA_INLINE Result<Request> look_for_logged_model_params(const RecipeKey& key) {
  GetLoggedModel get;
  get.model_id = key.scope;
  return request_of(api::prepare_get_logged_model(get));
}

MLFLOWHA_INLINE Result<Finding> read_logged_model_params(const RecipeKey& key, const Response& response) {
  auto sent = api::from_json<LogLoggedModelParams>(key.body);
  if (!sent) return std::move(sent).error();
  auto model = api::decode_get_logged_model(response.body);
  if (!model) return std::move(model).error();
  Finding finding;
  if (has_all(sent->params, model->data.params, [](const LoggedModelParameter& a, const LoggedModelParameter& b) {
        return a.key == b.key && a.value == b.value;
      })) {
    finding.objects.push_back({sent->model_id});
    finding.answer = answer_with("{}");
  }
  return finding;
}

inline constexpr RecipeRow logged_model_params_recipe{&api::ops::get_logged_model, look_for_logged_model_params,
                                                      read_logged_model_params};

// --- find_run_inputs, find_run_outputs: are all datasets and models of the request linked to the run?

MLFLOWHA_INLINE Result<Request> look_for_run_links(const RecipeKey& key) {
  GetRun get;
  get.run_id = key.scope;
  return request_of(api::prepare_get_run(get));
}

MLFLOWHA_INLINE Finding run_links(bool all_there, std::string_view run_id) {
  Finding finding;
  if (all_there) {
    finding.objects.push_back({std::string(run_id)});
    finding.answer = answer_with("{}");
  }
  return finding;
}

MLFLOWHA_INLINE Result<Finding> read_run_inputs(const RecipeKey& key, const Response& response) {
  auto sent = api::from_json<LogInputs>(key.body);
  if (!sent) return std::move(sent).error();
  auto run = api::decode_get_run(response.body);
  if (!run) return std::move(run).error();
  const bool all_there =
      has_all(sent->models, run->inputs.model_inputs,
              [](const ModelInput& a, const ModelInput& b) { return a.model_id == b.model_id; }) &&
      has_all(sent->datasets, run->inputs.dataset_inputs, [](const DatasetInput& a, const DatasetInput& b) {
        return a.dataset.name == b.dataset.name && a.dataset.digest == b.dataset.digest;
      });
  return run_links(all_there, key.scope);
}

MLFLOWHA_INLINE Result<Finding> read_run_outputs(const RecipeKey& key, const Response& response) {
  auto sent = api::from_json<LogOutputs>(key.body);
  if (!sent) return std::move(sent).error();
  auto run = api::decode_get_run(response.body);
  if (!run) return std::move(run).error();
  return run_links(
      has_all(sent->models, run->outputs.model_outputs,
              [](const ModelOutput& a, const ModelOutput& b) { return a.model_id == b.model_id && a.step == b.step; }),
      key.scope);
}

inline constexpr RecipeRow run_inputs_recipe{&api::ops::get_run, look_for_run_links, read_run_inputs};
inline constexpr RecipeRow run_outputs_recipe{&api::ops::get_run, look_for_run_links, read_run_outputs};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
