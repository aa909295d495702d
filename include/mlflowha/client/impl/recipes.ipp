#ifndef MLFLOWHA_CLIENT_IMPL_RECIPES_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPES_IPP

#include <mlflowha/client/impl/recipe_logged_models.ipp>
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
  }
  return nullptr;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
