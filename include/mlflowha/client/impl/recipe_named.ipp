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
  return same ? found_as("label_schema", api::to_json(*there), there->schema_id) : Finding();
}

inline constexpr RecipeRow label_schema_recipe{&api::ops::get_label_schema_by_name, look_for_label_schema,
                                               read_label_schema};

// --- find_review_queue: servers strip names and ids and keep each once, users in lower case

/// As servers keep a user's name; of letters beyond ASCII they know more, and such a queue isn't taken for ours.
[[nodiscard]] MLFLOWHA_INLINE std::string user_as_kept(std::string_view user) {
  std::string kept = stripped(user);
  for (char& c : kept) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return kept;
}

/// `values`, each as `keep` makes it, in order and once.
template <class Keep>
[[nodiscard]] std::vector<std::string> kept_once(std::vector<std::string> values, const Keep& keep) {
  for (std::string& value : values) value = keep(value);
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

MLFLOWHA_INLINE Result<Request> look_for_review_queue(const RecipeKey& key) {
  const auto said = request_said<CreateReviewQueue>(key);
  if (!said) return said.error();
  GetReviewQueueByName get;
  get.experiment_id = said->experiment_id;
  get.name = stripped(said->name);
  return request_of(api::prepare_get_review_queue_by_name(get));
}

MLFLOWHA_INLINE Result<Finding> read_review_queue(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateReviewQueue>(key);
  if (!said) return said.error();
  const auto there = api::decode_get_review_queue_by_name(response.body);
  if (!there) return there.error();
  std::vector<std::string> users = kept_once(said->users, user_as_kept);
  if (users.empty() && said->queue_type == ReviewQueueType::user) users = {user_as_kept(said->name)};
  const bool same = said->queue_type == there->queue_type && same_entries(std::move(users), there->users) &&
                    same_entries(kept_once(said->schema_ids, stripped), there->schema_ids);
  return same ? found_as("review_queue", api::to_json(*there), there->queue_id) : Finding();
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
  std::optional<TraceArchivalConfig> archival = said->trace_archival_config;
  if (archival) {
    archival->location = stripped(archival->location);
    archival->retention = stripped(archival->retention);
  }
  const bool same = said->description == there->description &&
                    as_said(stripped(said->default_artifact_root), there->default_artifact_root) &&
                    (!archival || archival == there->trace_archival_config);
  return same ? found_as("workspace", api::to_json(*there), there->name) : Finding();
}

inline constexpr RecipeRow workspace_recipe{&api::ops::get_workspace, look_for_workspace, read_workspace};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
