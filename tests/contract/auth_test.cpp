// Users, roles and permissions. Against the servers of the suite, which have no authentication application and say so,
// and against servers of both releases that have it (contract.mlflow-3-auth, contract.mlflow-2-auth).

#include <mlflowha/api/auth.hpp>

#include <algorithm>

#include "contract/lossy.hpp"
#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {

const std::string first_password = "correct-horse-battery";
const std::string second_password = "staple-correct-horse";

bool is_auth_3() { return contract_server().has_logins() && contract_server().major >= 3; }
bool is_auth_2() { return contract_server().has_logins() && contract_server().major < 3; }

std::string fresh_user() {
  const std::string name = fresh_name("u");
  contract_client().create_user({.username = name, .password = first_password}).value();
  return name;
}

/// Calls to the suite's servers as somebody else.
Client logged_in_as(const std::string& username, const std::string& password) {
  ClientOptions options;
  options.endpoints = contract_server().urls;
  options.auth.username = username;
  options.auth.password = password;
  return Client::create(std::move(options)).value();
}

/// Everything that an error would show.
std::string all_of(const Error& error) { return describe(error) + error.message; }

void check_hidden(const Error& error) {
  for (const std::string& text : {first_password, second_password, std::string("scrypt:"), std::string("$2b$")}) {
    CHECK(all_of(error).find(text) == std::string::npos);
  }
}

}  // namespace

TEST_CASE("a server without logins has no users", "[contract][auth]") {
  if (contract_server().has_logins() || contract_server().fake) return;
  const Error error = contract_client().get_user({.username = "admin"}).error();
  CHECK(error.http_status == 404);
  CHECK(error.code == Errc::not_implemented);
  CHECK(error.effect == Effect::none);
}

TEST_CASE("a user lives: create, read, change, delete", "[contract][auth]") {
  if (!contract_server().has_logins()) return;
  const Client& client = contract_client();
  const std::string name = fresh_name("u");
  const CreateUser create{.username = name, .password = first_password};
  const User user = client.create_user(create).value();
  CHECK(user.username == name);
  CHECK_FALSE(user.is_admin);
  const Error taken = client.create_user(create).error();  // the server's message has the SQL with the password's hash
  CHECK(taken.code == Errc::already_exists);
  check_hidden(taken);
  const Error weak = client.create_user({.username = name, .password = "short"}).error();
  CHECK(weak.code == Errc::rejected);
  CHECK(client.create_user({.username = name}).error().code == Errc::invalid_argument);
  CHECK(client.get_user({.username = name}).value().id == user.id);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(client.update_user_password({.username = name, .password = second_password}));
    REQUIRE(client.update_user_admin({.username = name, .is_admin = true}));
  }
  CHECK(client.get_user({.username = name}).value().is_admin);
  CHECK(logged_in_as(name, second_password).get_user({.username = name}).value().username == name);
  const Error refused = logged_in_as(name, first_password).get_user({.username = name}).error();
  CHECK(refused.code == Errc::unauthenticated);
  CHECK(refused.http_status == 401);
  check_hidden(refused);
  REQUIRE(client.update_user_admin({.username = name, .is_admin = false}));
  const Error forbidden =
      logged_in_as(name, second_password).create_user({.username = "x", .password = first_password}).error();
  CHECK(forbidden.code == Errc::permission_denied);
  CHECK(forbidden.http_status == 403);
  check_hidden(forbidden);
  REQUIRE(client.delete_user({.username = name}));

  CHECK(is_not_found(client.delete_user({.username = name}).error()));
  CHECK(is_not_found(client.get_user({.username = name}).error()));
  const Error nobody = client.update_user_password({.username = name, .password = first_password}).error();
  CHECK(is_not_found(nobody));
  check_hidden(nobody);
  CHECK(is_not_found(client.update_user_admin({.username = name, .is_admin = true}).error()));
}

TEST_CASE("lost answers: a new user's password stays hidden", "[contract][once][auth]") {
  if (!contract_server().has_logins()) return;
  const auto made = Lossy("/users/create")->create_user({.username = fresh_name("u"), .password = first_password});
  CHECK(made.error().effect == Effect::unknown);
  check_hidden(made.error());
}

TEST_CASE("users see themselves and change their own password", "[contract][auth]") {
  if (!is_auth_3()) return;
  const Client& client = contract_client();
  const std::string name = fresh_user();
  const Client own = logged_in_as(name, first_password);
  CHECK(own.get_current_user().value().user.username == name);
  CHECK(own.get_current_user().value().is_basic_auth);
  CHECK(client.get_current_user().value().user.is_admin);
  CHECK_FALSE(own.list_current_user_permissions().value().is_admin);
  CHECK(client.list_current_user_permissions().value().is_admin);
  const auto users = client.list_users().value();
  CHECK(std::any_of(users.begin(), users.end(), [&](const User& user) { return user.username == name; }));
  CHECK(own.update_user_admin({.username = name, .is_admin = true}).error().code == Errc::permission_denied);

  UpdateUserPassword update{.username = name, .password = second_password};
  CHECK(own.update_user_password(update).error().code == Errc::rejected);  // says that it needs the old one
  update.current_password = first_password;
  REQUIRE(own.update_user_password(update));
  const Error again = own.update_user_password(update).error();  // why this one is not sent twice
  CHECK(again.code == Errc::unauthenticated);
  check_hidden(again);
  REQUIRE(client.delete_user({.username = name}));
}

TEST_CASE("what a user was granted lives: grant, read, revoke", "[contract][auth]") {
  if (!is_auth_3()) return;
  const Client& client = contract_client();
  const std::string name = fresh_user();
  const std::string experiment = fresh_experiment();
  const GrantUserPermission grant{
      .username = name, .resource_type = "experiment", .resource_id = experiment, .permission = "EDIT"};
  REQUIRE(client.grant_user_permission(grant));
  CHECK(client.grant_user_permission(grant).error().code == Errc::already_exists);
  const auto effective =
      client.get_user_permission({.username = name, .resource_type = "experiment", .resource_id = experiment});
  CHECK(effective.value().allowed);
  CHECK(effective.value().permission == "EDIT");
  const auto listed = client.list_user_permissions({.username = name}).value();
  REQUIRE(listed.permissions.size() == 1);
  CHECK(listed.permissions[0].resource_pattern == experiment);
  const RevokeUserPermission revoke{.username = name, .resource_type = "experiment", .resource_id = experiment};
  REQUIRE(client.revoke_user_permission(revoke));
  CHECK(is_not_found(client.revoke_user_permission(revoke).error()));

  REQUIRE(client.delete_user({.username = name}));
  CHECK(is_not_found(client.list_user_permissions({.username = name}).error()));
  CHECK(is_not_found(client.grant_user_permission(grant).error()));
  CHECK(is_not_found(client.get_user_permission({name, "experiment", experiment, {}}).error()));
}

TEST_CASE("a role lives: create, fill, assign, delete", "[contract][auth]") {
  if (!is_auth_3()) return;
  const Client& client = contract_client();
  const std::string name = fresh_user();
  const CreateRole create{.name = fresh_name("r"), .workspace = "default", .description = "ours"};
  const Role role = client.create_role(create).value();
  CHECK(role.description == "ours");
  const Error taken = client.create_role(create).error();
  CHECK(taken.code == Errc::already_exists);
  CHECK_THAT(taken.message, contains("[parameters: not shown]"));
  CHECK(client.get_role({.role_id = role.id}).value() == role);
  for (const auto& workspaces : {std::vector<std::string>{}, {"default"}}) {
    const auto roles = client.list_roles({.workspaces = workspaces}).value();
    CHECK(std::find(roles.begin(), roles.end(), role) != roles.end());
  }
  for (int i = 0; i < 2; ++i) {
    CHECK(client.update_role({.role_id = role.id, .description = ""}).value().description.empty());
  }
  const AddRolePermission add{
      .role_id = role.id, .resource_type = "experiment", .resource_pattern = "*", .permission = "READ"};
  const RolePermission permission = client.add_role_permission(add).value();
  CHECK(client.add_role_permission(add).error().code == Errc::already_exists);
  CHECK(client.list_role_permissions({.role_id = role.id}).value() == std::vector<RolePermission>{permission});
  const UpdateRolePermission update{.role_permission_id = permission.id, .permission = "EDIT"};
  for (int i = 0; i < 2; ++i) CHECK(client.update_role_permission(update).value().permission == "EDIT");
  const AssignRole assign{.username = name, .role_id = role.id};
  REQUIRE(client.assign_role(assign));
  CHECK(client.assign_role(assign).error().code == Errc::already_exists);
  CHECK(client.list_user_roles({.username = name}).value().at(0).id == role.id);
  CHECK(client.list_role_users({.role_id = role.id}).value().at(0).role_id == role.id);
  const UnassignRole unassign{.username = name, .role_id = role.id};
  REQUIRE(client.unassign_role(unassign));
  REQUIRE(client.remove_role_permission({.role_permission_id = permission.id}));
  REQUIRE(client.delete_role({.role_id = role.id}));

  CHECK(is_not_found(client.unassign_role(unassign).error()));
  CHECK(is_not_found(client.remove_role_permission({.role_permission_id = permission.id}).error()));
  CHECK(is_not_found(client.delete_role({.role_id = role.id}).error()));
  CHECK(is_not_found(client.get_role({.role_id = role.id}).error()));
  CHECK(is_not_found(client.update_role({.role_id = role.id, .name = "n"}).error()));
  CHECK(is_not_found(client.add_role_permission(add).error()));
  CHECK(is_not_found(client.update_role_permission(update).error()));
  CHECK(is_not_found(client.list_role_permissions({.role_id = role.id}).error()));
  CHECK(is_not_found(client.list_role_users({.role_id = role.id}).error()));
  CHECK(is_not_found(client.assign_role(assign).error()));
  CHECK(client.list_roles({.workspaces = {""}}).error().code == Errc::rejected);
  REQUIRE(client.delete_user({.username = name}));
  CHECK(is_not_found(client.list_user_roles({.username = name}).error()));
}

TEST_CASE("permissions of experiments and registered models: in old releases only", "[contract][auth]") {
  if (!contract_server().has_logins()) return;
  const Client& client = contract_client();
  const std::string name = fresh_user();
  const std::string experiment = fresh_experiment();
  const CreateExperimentPermission create{.experiment_id = experiment, .username = name, .permission = "EDIT"};
  const GetExperimentPermission get{.experiment_id = experiment, .username = name};
  const UpdateExperimentPermission update{.experiment_id = experiment, .username = name, .permission = "READ"};
  const DeleteExperimentPermission remove{.experiment_id = experiment, .username = name};
  const CreateRegisteredModelPermission create_m{.name = name, .username = name, .permission = "EDIT"};
  const GetRegisteredModelPermission get_m{.name = name, .username = name};
  const UpdateRegisteredModelPermission update_m{.name = name, .username = name, .permission = "READ"};
  const DeleteRegisteredModelPermission remove_m{.name = name, .username = name};
  if (!is_auth_2()) {
    for (const Error& error :
         {client.create_experiment_permission(create).error(), client.get_experiment_permission(get).error(),
          client.update_experiment_permission(update).error(), client.delete_experiment_permission(remove).error(),
          client.create_registered_model_permission(create_m).error(),
          client.get_registered_model_permission(get_m).error(),
          client.update_registered_model_permission(update_m).error(),
          client.delete_registered_model_permission(remove_m).error()}) {
      CHECK(error.code == Errc::not_implemented);
      CHECK(error.effect == Effect::none);
      CHECK_THAT(error.message, contains("needs MLflow < 3.13, but http"));
    }
    REQUIRE(client.delete_user({.username = name}));
    return;
  }
  REQUIRE(client.create_registered_model({.name = name}));
  CHECK(client.create_experiment_permission(create).value().permission == "EDIT");
  CHECK(client.create_registered_model_permission(create_m).value().permission == "EDIT");
  const Error taken = client.create_experiment_permission(create).error();
  CHECK(taken.code == Errc::already_exists);
  CHECK(client.create_registered_model_permission(create_m).error().code == Errc::already_exists);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(client.update_experiment_permission(update));
    REQUIRE(client.update_registered_model_permission(update_m));
  }
  CHECK(client.get_experiment_permission(get).value().permission == "READ");
  CHECK(client.get_registered_model_permission(get_m).value().permission == "READ");
  const User user = client.get_user({.username = name}).value();
  CHECK(user.experiment_permissions.size() == 1);
  CHECK(user.registered_model_permissions.size() == 1);
  REQUIRE(client.delete_experiment_permission(remove));
  REQUIRE(client.delete_registered_model_permission(remove_m));
  CHECK(is_not_found(client.delete_experiment_permission(remove).error()));
  CHECK(is_not_found(client.delete_registered_model_permission(remove_m).error()));
  CHECK(is_not_found(client.update_experiment_permission(update).error()));
  CHECK(is_not_found(client.update_registered_model_permission(update_m).error()));
  CHECK(is_not_found(client.get_experiment_permission(get).error()));
  CHECK(is_not_found(client.get_registered_model_permission(get_m).error()));
  REQUIRE(client.delete_user({.username = name}));
}
