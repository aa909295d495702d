#ifndef MLFLOWHA_CLIENT_IMPL_RECIPES_HPP
#define MLFLOWHA_CLIENT_IMPL_RECIPES_HPP

// Recipes: how the fate of a create with a lost answer is found out. The table of operations names one for each create;
// here is what it sends and how the answer is read. Every created object carries the request tag of its create, so
// "is it there?" has a definite answer, provided that the search itself succeeded.

#include <mlflowha/api/operation.hpp>
#include <mlflowha/core/result.hpp>
#include <mlflowha/http/message.hpp>
#include <mlflowha/resilience/outcome.hpp>

#include <string>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// What a look brought.
struct Finding {
  Found found = Found::absent;
  std::vector<std::string> ids;  ///< of all objects with the tag, oldest first
  Response answer;               ///< what the create itself would have answered for the oldest
};

/// The operation that looks for the object of a create.
[[nodiscard]] MLFLOWHA_EXPORT const api::Operation& verify_operation(api::Recipe recipe) noexcept;
/// Its request.
[[nodiscard]] MLFLOWHA_EXPORT Result<Request> verify_request(api::Recipe recipe, const std::string& scope,
                                                             const std::string& request_tag);
[[nodiscard]] MLFLOWHA_EXPORT Result<Finding> read_finding(api::Recipe recipe, const std::string& request_tag,
                                                           const Response& response);
/// The id in a create's answer; "" when it can't be read.
[[nodiscard]] MLFLOWHA_EXPORT std::string created_id(api::Recipe recipe, const Response& response);
/// The write that removes a twin (a soft delete: it can be restored).
[[nodiscard]] MLFLOWHA_EXPORT Result<Request> remove_request(api::Recipe recipe, const std::string& id);
/// False for named objects: the server's unique names leave no room for a twin.
[[nodiscard]] constexpr bool may_have_twins(api::Recipe recipe) noexcept {
  return recipe == api::Recipe::find_run_by_tag;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/recipes.ipp>
#endif

#endif
