#ifndef MLFLOWHA_CLIENT_IMPL_RECIPE_EVALUATION_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPE_EVALUATION_IPP

// Recipes of traces, their assessments, evaluation datasets, scorers and jobs.

#include <mlflowha/api/assessments_codec.hpp>
#include <mlflowha/api/evaluation_datasets_codec.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/api/prompt_optimization_codec.hpp>
#include <mlflowha/api/scorers_codec.hpp>
#include <mlflowha/api/traces_codec.hpp>
#include <mlflowha/client/impl/recipe_support.ipp>

#include <map>
#include <nlohmann/json.hpp>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

// --- find_trace_by_tag: search the experiment's traces, as version 2 shows them

MLFLOWHA_INLINE Result<Request> look_for_trace(const RecipeKey& key) {
  SearchTracesV2 search;
  search.experiment_ids = {std::string(key.scope)};
  search.filter = tag_filter(key.request_tag);
  return request_of(api::prepare_search_traces_v2(search));
}

MLFLOWHA_INLINE Result<Finding> read_traces(const RecipeKey& key, const Response& response) {
  auto page = api::decode_search_traces_v2(response.body);
  if (!page) return std::move(page).error();
  std::erase_if(page->items, [&](const TraceInfoV2& trace) { return !has_request_tag(trace.tags, key.request_tag); });
  if (page->items.empty()) return Finding();
  // All have the timestamp of the one request: any order will do that stays the same.
  std::sort(page->items.begin(), page->items.end(),
            [](const TraceInfoV2& a, const TraceInfoV2& b) { return a.request_id < b.request_id; });
  Result<Finding> finding = found_as("trace_info", api::to_json(page->items.front()), page->items.front().request_id);
  if (!finding) return finding;
  for (std::size_t i = 1; i < page->items.size(); ++i) finding->objects.push_back({page->items[i].request_id});
  return finding;
}

MLFLOWHA_INLINE Result<Request> remove_trace(const RecipeKey& key, const std::string& id) {
  DeleteTracesV2 remove;
  remove.experiment_id = key.scope;
  remove.request_ids = {id};
  return request_of(api::prepare_delete_traces_v2(remove));
}

MLFLOWHA_INLINE std::string created_trace(const Response& response) {
  const auto trace = api::decode_start_trace_v2(response.body);
  return trace ? trace->request_id : std::string();
}

inline constexpr RecipeRow trace_recipe{&api::ops::search_traces_v2, look_for_trace, read_traces,
                                        &api::ops::delete_traces_v2, remove_trace,   created_trace};

// --- find_assessment_by_id: the client chooses the id, and the database keeps it to one

MLFLOWHA_INLINE Result<Request> look_for_assessment(const RecipeKey& key) {
  const auto said = request_said<CreateAssessment>(key);
  if (!said) return said.error();
  GetAssessment get;
  get.trace_id = said->assessment.trace_id;
  get.assessment_id = said->assessment.assessment_id;
  return request_of(api::prepare_get_assessment(get));
}

MLFLOWHA_INLINE Result<Finding> read_assessment(const RecipeKey& key, const Response& response) {
  const auto assessment = api::decode_get_assessment(response.body);
  if (!assessment) return assessment.error();
  const auto tag = assessment->metadata.find(std::string(api::request_tag_key));
  if (tag == assessment->metadata.end() || tag->second != key.request_tag) return Finding();  // a stranger's, same id
  return found_as("assessment", api::to_json(*assessment), assessment->assessment_id);
}

inline constexpr RecipeRow assessment_recipe{&api::ops::get_assessment, look_for_assessment, read_assessment};

// --- find_dataset_by_tag: search all evaluation datasets

MLFLOWHA_INLINE Result<Request> look_for_dataset(const RecipeKey& key) {
  SearchEvaluationDatasets search;
  // Not as tag_filter() has it: this search takes the quotes around a key for a part of it.
  search.filter_string = fmt::format("tags.{} = '{}'", api::request_tag_key, key.request_tag);
  search.max_results = 100;
  return request_of(api::prepare_search_evaluation_datasets(search));
}

MLFLOWHA_INLINE bool dataset_has_tag(const EvaluationDataset& dataset, std::string_view request_tag) {
  const auto tags = nlohmann::json::parse(dataset.tags, nullptr, false);
  if (!tags.is_object()) return false;
  const auto tag = tags.find(std::string(api::request_tag_key));
  return tag != tags.end() && tag->is_string() && tag->get_ref<const std::string&>() == request_tag;
}

MLFLOWHA_INLINE Result<Finding> read_datasets(const RecipeKey& key, const Response& response) {
  auto page = api::decode_search_evaluation_datasets(response.body);
  if (!page) return std::move(page).error();
  std::erase_if(page->items,
                [&](const EvaluationDataset& dataset) { return !dataset_has_tag(dataset, key.request_tag); });
  if (page->items.empty()) return Finding();
  std::sort(page->items.begin(), page->items.end(), [](const EvaluationDataset& a, const EvaluationDataset& b) {
    return std::pair(a.created_time, std::string_view(a.dataset_id)) <
           std::pair(b.created_time, std::string_view(b.dataset_id));
  });
  EvaluationDataset& oldest = page->items.front();
  // The create's answer says it, a search's doesn't.
  if (auto said = request_said<CreateDataset>(key)) oldest.experiment_ids = std::move(said->experiment_ids);
  Result<Finding> finding = found_as("dataset", api::to_json(oldest), oldest.dataset_id);
  if (!finding) return finding;
  for (std::size_t i = 1; i < page->items.size(); ++i) finding->objects.push_back({page->items[i].dataset_id});
  return finding;
}

MLFLOWHA_INLINE Result<Request> remove_dataset(const RecipeKey&, const std::string& id) {
  DeleteDataset remove;
  remove.dataset_id = id;
  return request_of(api::prepare_delete_dataset(remove));
}

MLFLOWHA_INLINE std::string created_dataset(const Response& response) {
  const auto dataset = api::decode_create_dataset(response.body);
  return dataset ? dataset->dataset_id : std::string();
}

inline constexpr RecipeRow dataset_recipe{&api::ops::search_evaluation_datasets,
                                          look_for_dataset,
                                          read_datasets,
                                          &api::ops::delete_dataset,
                                          remove_dataset,
                                          created_dataset};

// --- find_newest_scorer: versions have no tags; a version that says the same is as good as ours

MLFLOWHA_INLINE Result<Request> look_for_scorer(const RecipeKey& key) {
  const auto said = request_said<RegisterScorer>(key);
  if (!said) return said.error();
  GetScorer get;
  get.experiment_id = said->experiment_id;
  get.name = said->name;
  return request_of(api::prepare_get_scorer(get));
}

MLFLOWHA_INLINE Result<Finding> read_scorer(const RecipeKey& key, const Response& response) {
  const auto said = request_said<RegisterScorer>(key);
  if (!said) return said.error();
  const auto scorer = api::decode_get_scorer(response.body);
  if (!scorer) return scorer.error();
  // Servers write scorers of gateway models anew, so the text may differ where the meaning doesn't.
  const auto ours = nlohmann::json::parse(said->serialized_scorer, nullptr, false);
  const auto theirs = nlohmann::json::parse(scorer->serialized_scorer, nullptr, false);
  if (ours.is_discarded() || theirs.is_discarded() || ours != theirs) return Finding();
  RegisteredScorer answer;
  answer.version = scorer->scorer_version;
  answer.scorer_id = scorer->scorer_id;
  answer.experiment_id = said->experiment_id;
  answer.name = scorer->scorer_name;
  answer.serialized_scorer = said->serialized_scorer;
  answer.creation_time = scorer->creation_time;
  auto json = api::to_json(answer);
  if (!json) return std::move(json).error();
  Finding finding;
  finding.objects.push_back({scorer->scorer_id});
  finding.answer = answer_with(std::move(*json));
  return finding;
}

inline constexpr RecipeRow scorer_recipe{&api::ops::get_scorer, look_for_scorer, read_scorer};

// --- find_canceled_job: a job that has ended can't be canceled; ours may be what ended it

MLFLOWHA_INLINE Result<Request> look_for_canceled_job(const RecipeKey& key) {
  GetPromptOptimizationJob get;
  get.job_id = key.scope;
  return request_of(api::prepare_get_prompt_optimization_job(get));
}

MLFLOWHA_INLINE Result<Finding> read_canceled_job(const RecipeKey&, const Response& response) {
  const auto job = api::decode_get_prompt_optimization_job(response.body);
  if (!job) return job.error();
  if (job->state.status != JobStatus::canceled) return Finding();
  return found_as("job", api::to_json(*job), job->job_id);
}

inline constexpr RecipeRow canceled_job_recipe{&api::ops::get_prompt_optimization_job, look_for_canceled_job,
                                               read_canceled_job};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
