#ifndef MLFLOWHA_CLIENT_IMPL_RECIPE_AUTH_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPE_AUTH_IPP

// Recipes of roles and permissions: a user or role has one permission for a resource, and a repetition of granting it
// gets "already exists" whatever it is. So what the request said is compared with what is there; the engine asks only
// after a sending of ours whose fate is unknown.

#include <mlflowha/api/auth_codec.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/client/impl/recipe_support.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

// --- find_user_permission

MLFLOWHA_INLINE Result<Request> look_for_user_permission(const RecipeKey& key) {
  ListUserPermissions list;
  list.username = key.scope;
  return request_of(api::prepare_list_user_permissions(list));
}

MLFLOWHA_INLINE Result<Finding> read_user_permission(const RecipeKey& key, const Response& response) {
  const auto said = request_said<GrantUserPermission>(key);
  if (!said) return said.error();
  const auto there = api::decode_list_user_permissions(response.body);
  if (!there) return there.error();
  Finding finding;
  for (const UserPermission& permission : there->permissions) {
    // What the user alone was granted is kept in a role of that name, in the workspace of our calls: the default one.
    if (permission.role_name.rfind("__user_", 0) == 0 && permission.workspace == "default" &&
        permission.resource_type == said->resource_type && permission.resource_pattern == said->resource_id &&
        permission.permission == said->permission) {
      finding.objects.push_back({permission.resource_pattern});
      finding.answer = answer_with("{}");
    }
  }
  return finding;
}

inline constexpr RecipeRow user_permission_recipe{&api::ops::list_user_permissions, look_for_user_permission,
                                                  read_user_permission};

// --- find_role

MLFLOWHA_INLINE Result<Request> look_for_role(const RecipeKey& key) {
  ListRoles list;
  list.workspaces.emplace_back(key.scope);
  return request_of(api::prepare_list_roles(list));
}

MLFLOWHA_INLINE Result<Finding> read_role(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateRole>(key);
  if (!said) return said.error();
  const auto there = api::decode_list_roles(response.body);
  if (!there) return there.error();
  for (const Role& role : *there) {
    if (role.name == said->name && role.workspace == said->workspace && role.description == said->description &&
        role.permissions.empty()) {
      return found_as("role", api::to_json(role), std::to_string(role.id));
    }
  }
  return Finding();
}

inline constexpr RecipeRow role_recipe{&api::ops::list_roles, look_for_role, read_role};

// --- find_role_permission

MLFLOWHA_INLINE Result<Request> look_for_role_permission(const RecipeKey& key) {
  const auto said = request_said<AddRolePermission>(key);
  if (!said) return said.error();
  ListRolePermissions list;
  list.role_id = said->role_id;
  return request_of(api::prepare_list_role_permissions(list));
}

MLFLOWHA_INLINE Result<Finding> read_role_permission(const RecipeKey& key, const Response& response) {
  const auto said = request_said<AddRolePermission>(key);
  if (!said) return said.error();
  const auto there = api::decode_list_role_permissions(response.body);
  if (!there) return there.error();
  for (const RolePermission& permission : *there) {
    if (permission.resource_type == said->resource_type && permission.resource_pattern == said->resource_pattern &&
        permission.permission == said->permission) {
      return found_as("role_permission", api::to_json(permission), std::to_string(permission.id));
    }
  }
  return Finding();
}

inline constexpr RecipeRow role_permission_recipe{&api::ops::list_role_permissions, look_for_role_permission,
                                                  read_role_permission};

// --- find_experiment_permission

MLFLOWHA_INLINE Result<Request> look_for_experiment_permission(const RecipeKey& key) {
  const auto said = request_said<CreateExperimentPermission>(key);
  if (!said) return said.error();
  GetExperimentPermission get;
  get.experiment_id = said->experiment_id;
  get.username = said->username;
  return request_of(api::prepare_get_experiment_permission(get));
}

MLFLOWHA_INLINE Result<Finding> read_experiment_permission(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateExperimentPermission>(key);
  if (!said) return said.error();
  const auto there = api::decode_get_experiment_permission(response.body);
  if (!there) return there.error();
  if (there->permission != said->permission) return Finding();
  return found_as("experiment_permission", api::to_json(*there), there->experiment_id);
}

inline constexpr RecipeRow experiment_permission_recipe{&api::ops::get_experiment_permission,
                                                        look_for_experiment_permission, read_experiment_permission};

// --- find_registered_model_permission

MLFLOWHA_INLINE Result<Request> look_for_registered_model_permission(const RecipeKey& key) {
  const auto said = request_said<CreateRegisteredModelPermission>(key);
  if (!said) return said.error();
  GetRegisteredModelPermission get;
  get.name = said->name;
  get.username = said->username;
  return request_of(api::prepare_get_registered_model_permission(get));
}

MLFLOWHA_INLINE Result<Finding> read_registered_model_permission(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateRegisteredModelPermission>(key);
  if (!said) return said.error();
  const auto there = api::decode_get_registered_model_permission(response.body);
  if (!there) return there.error();
  if (there->permission != said->permission) return Finding();
  return found_as("registered_model_permission", api::to_json(*there), there->name);
}

inline constexpr RecipeRow registered_model_permission_recipe{
    &api::ops::get_registered_model_permission, look_for_registered_model_permission, read_registered_model_permission};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
