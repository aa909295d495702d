#ifndef MLFLOWHA_CLIENT_IMPL_RECIPES_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPES_IPP

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
  }
  return nullptr;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
