#ifndef MLFLOWHA_CLIENT_IMPL_RECIPE_NAMED_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPE_NAMED_IPP

// Recipes of objects with unique names and no place for a request tag: label schemas, review queues, workspaces. What
// the create said is compared with what is there; the engine asks only after a sending of ours whose fate is unknown.

#include <mlflowha/api/label_schemas_codec.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/api/review_queues_codec.hpp>
#include <mlflowha/api/workspaces_codec.hpp>
#include <mlflowha/client/impl/recipe_support.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

// --- find_label_schema

MLFLOWHA_INLINE Result<Request> look_for_label_schema(const RecipeKey& key) {
  const auto said = request_said<CreateLabelSchema>(key);
  if (!said) return said.error();
  GetLabelSchemaByName get;
  get.experiment_id = said->experiment_id;
  get.name = said->name;
  return request_of(api::prepare_get_label_schema_by_name(get));
}

MLFLOWHA_INLINE Result<Finding> read_label_schema(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateLabelSchema>(key);
  if (!said) return said.error();
  const auto there = api::decode_get_label_schema_by_name(response.body);
  if (!there) return there.error();
  const bool same = said->type == there->type && said->input == there->input &&
                    said->instruction == there->instruction &&
                    said->enable_comment.value_or(false) == there->enable_comment;
  return same ? found_as("label_schema", *there, there->schema_id) : Finding();
}

inline constexpr RecipeRow label_schema_recipe{&api::ops::get_label_schema_by_name, look_for_label_schema,
                                               read_label_schema};

// --- find_review_queue

MLFLOWHA_INLINE Result<Request> look_for_review_queue(const RecipeKey& key) {
  const auto said = request_said<CreateReviewQueue>(key);
  if (!said) return said.error();
  GetReviewQueueByName get;
  get.experiment_id = said->experiment_id;
  get.name = said->name;
  return request_of(api::prepare_get_review_queue_by_name(get));
}

MLFLOWHA_INLINE Result<Finding> read_review_queue(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateReviewQueue>(key);
  if (!said) return said.error();
  const auto there = api::decode_get_review_queue_by_name(response.body);
  if (!there) return there.error();
  const bool same = said->queue_type == there->queue_type && same_entries(said->users, there->users) &&
                    same_entries(said->schema_ids, there->schema_ids);
  return same ? found_as("review_queue", *there, there->queue_id) : Finding();
}

inline constexpr RecipeRow review_queue_recipe{&api::ops::get_review_queue_by_name, look_for_review_queue,
                                               read_review_queue};

// --- find_workspace

MLFLOWHA_INLINE Result<Request> look_for_workspace(const RecipeKey& key) {
  GetWorkspace get;
  get.workspace_name = key.scope;
  return request_of(api::prepare_get_workspace(get));
}

MLFLOWHA_INLINE Result<Finding> read_workspace(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateWorkspace>(key);
  if (!said) return said.error();
  const auto there = api::decode_get_workspace(response.body);
  if (!there) return there.error();
  const bool same = said->description == there->description &&
                    as_said(said->default_artifact_root, there->default_artifact_root) &&
                    (!said->trace_archival_config || said->trace_archival_config == there->trace_archival_config);
  return same ? found_as("workspace", *there, there->name) : Finding();
}

inline constexpr RecipeRow workspace_recipe{&api::ops::get_workspace, look_for_workspace, read_workspace};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
