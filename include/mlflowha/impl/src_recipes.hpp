#ifndef MLFLOWHA_IMPL_SRC_RECIPES_HPP
#define MLFLOWHA_IMPL_SRC_RECIPES_HPP

// The library's unit of what is rare or built upon the typed calls: recipes and conveniences.

#include <mlflowha/client/impl/artifact_calls.ipp>
#include <mlflowha/client/impl/artifact_files.ipp>
#include <mlflowha/client/impl/recipes.ipp>
#include <mlflowha/client/impl/registry_calls.ipp>
#include <mlflowha/client/impl/run_conveniences.ipp>

#endif
