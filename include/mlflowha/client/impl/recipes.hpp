#ifndef MLFLOWHA_CLIENT_IMPL_RECIPES_HPP
#define MLFLOWHA_CLIENT_IMPL_RECIPES_HPP

// Recipes: how the fate of a create with a lost answer is found out, and how a late twin of it is taken away again. The
// table of operations names one for each create; here is what each of them does, as a row of functions. A family of
// recipes is one recipe_*.ipp; the engine knows none of them by name.
//
// A new recipe: an enumerator in api::Recipe, its name in RECIPES of src/codegen/table.py, a RecipeRow in a
// recipe_*.ipp, a line in recipe_row(). It must give a definite answer: "absent" allows a second sending.

#include <mlflowha/api/operation.hpp>
#include <mlflowha/core/result.hpp>
#include <mlflowha/http/message.hpp>
#include <mlflowha/resilience/outcome.hpp>

#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// What is known of the create that is looked up.
struct RecipeKey {
  std::string_view scope;        ///< the field that the table calls `scope`
  std::string_view request_tag;  ///< "" where the recipe uses none
  std::string_view body;  ///< of the create; "" when a late twin is looked for, so only recipes without twins read it
  bool apart = false;     ///< as RecipeRow::is_apart says
};

/// One object that carries the request tag of a create.
struct FoundObject {
  std::string id;
  bool in_use = false;  ///< somebody has given it a role since (an alias, a stage): not to be removed
};

/// What a look brought.
struct Finding {
  std::vector<FoundObject> objects;  ///< all that the create has made, oldest first; empty: it was not carried out
  Response answer;                   ///< what the create itself would have answered for the oldest

  [[nodiscard]] Found found() const noexcept { return objects.empty() ? Found::absent : Found::present; }
};

/// One recipe. All functions are there; `remove` is null where no twin can come to be, or none can be taken away: then
/// `created_id` and `remove_request` are not called.
struct RecipeRow {
  /// The operation that looks. A 404 of MLflow's is the answer "absent".
  const api::Operation* look = nullptr;
  Result<Request> (*look_request)(const RecipeKey& key) = nullptr;
  Result<Finding> (*read)(const RecipeKey& key, const Response& response) = nullptr;
  /// The write that removes a twin.
  const api::Operation* remove = nullptr;
  Result<Request> (*remove_request)(const RecipeKey& key, const std::string& id) = nullptr;
  /// The id in a create's answer; "" when it can't be read.
  std::string (*created_id)(const Response& response) = nullptr;
  /// Reads one object before it is removed: what somebody has made of it since and the look doesn't tell. Null where
  /// the look tells all.
  const api::Operation* inspect = nullptr;
  Result<Request> (*inspect_request)(const RecipeKey& key, const std::string& id) = nullptr;
  Result<bool> (*is_in_use)(const Response& response) = nullptr;
  /// Whether the object of this create, whose body is there, is of those that a search leaves out unless asked for
  /// them. Null where there are none.
  bool (*is_apart)(const RecipeKey& key) = nullptr;

  [[nodiscard]] bool may_have_twins() const noexcept { return remove != nullptr; }
};

/// The row of a recipe; null for Recipe::none.
[[nodiscard]] MLFLOWHA_EXPORT const RecipeRow* recipe_row(api::Recipe recipe) noexcept;

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/recipes.ipp>
#endif

#endif
