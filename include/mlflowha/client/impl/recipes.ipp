#ifndef MLFLOWHA_CLIENT_IMPL_RECIPES_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPES_IPP

#include <mlflowha/client/impl/recipe_auth.ipp>
#include <mlflowha/client/impl/recipe_evaluation.ipp>
#include <mlflowha/client/impl/recipe_gateway.ipp>
#include <mlflowha/client/impl/recipe_logged_models.ipp>
#include <mlflowha/client/impl/recipe_mcp.ipp>
#include <mlflowha/client/impl/recipe_named.ipp>
#include <mlflowha/client/impl/recipe_registry.ipp>
#include <mlflowha/client/impl/recipe_tracking.ipp>
#include <mlflowha/client/impl/recipes.hpp>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

MLFLOWHA_INLINE const RecipeRow* recipe_row(api::Recipe recipe) noexcept {
  switch (recipe) {
    case api::Recipe::none:
      break;
    case api::Recipe::find_run_by_tag:
      return &run_recipe;
    case api::Recipe::find_experiment_by_name:
      return &experiment_recipe;
    case api::Recipe::find_run_inputs:
      return &run_inputs_recipe;
    case api::Recipe::find_run_outputs:
      return &run_outputs_recipe;
    case api::Recipe::find_registered_model_by_name:
      return &registered_model_recipe;
    case api::Recipe::find_model_version_by_tag:
      return &model_version_recipe;
    case api::Recipe::find_logged_model_by_tag:
      return &logged_model_recipe;
    case api::Recipe::find_logged_model_params:
      return &logged_model_params_recipe;
    case api::Recipe::find_trace_by_tag:
      return &trace_recipe;
    case api::Recipe::find_assessment_by_id:
      return &assessment_recipe;
    case api::Recipe::find_dataset_by_tag:
      return &dataset_recipe;
    case api::Recipe::find_newest_scorer:
      return &scorer_recipe;
    case api::Recipe::find_canceled_job:
      return &canceled_job_recipe;
    case api::Recipe::find_label_schema:
      return &label_schema_recipe;
    case api::Recipe::find_review_queue:
      return &review_queue_recipe;
    case api::Recipe::find_workspace:
      return &workspace_recipe;
    case api::Recipe::find_gateway_secret:
      return &gateway_secret_recipe;
    case api::Recipe::find_gateway_model_definition:
      return &gateway_model_definition_recipe;
    case api::Recipe::find_gateway_endpoint:
      return &gateway_endpoint_recipe;
    case api::Recipe::find_attached_model:
      return &attached_model_recipe;
    case api::Recipe::find_endpoint_binding:
      return &endpoint_binding_recipe;
    case api::Recipe::find_endpoint_guardrail:
      return &endpoint_guardrail_recipe;
    case api::Recipe::find_mcp_server:
      return &mcp_server_recipe;
    case api::Recipe::find_mcp_version:
      return &mcp_version_recipe;
    case api::Recipe::find_changed_mcp_version:
      return &changed_mcp_version_recipe;
    case api::Recipe::find_deleted_mcp_version:
      return &deleted_mcp_version_recipe;
    case api::Recipe::find_user_permission:
      return &user_permission_recipe;
    case api::Recipe::find_role:
      return &role_recipe;
    case api::Recipe::find_role_permission:
      return &role_permission_recipe;
    case api::Recipe::find_experiment_permission:
      return &experiment_permission_recipe;
    case api::Recipe::find_registered_model_permission:
      return &registered_model_permission_recipe;
    case api::Recipe::find_renamed_model:
      return &renamed_model_recipe;
    case api::Recipe::find_restored_experiment:
      return &restored_experiment_recipe;
  }
  return nullptr;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
