// Calls about workspaces, jobs, users and permissions, for killed_server_test.cpp and dropped_reply_test.cpp.

#include <algorithm>

#include "contract/repeated_calls.hpp"

using namespace mlflowha;

namespace mlflowha_tests {

namespace {

const std::string new_password = "staple-correct-horse";

AuthOptions logged_in(const std::string& username, const std::string& password) {
  AuthOptions login;
  login.username = username;
  login.password = password;
  return login;
}

bool can_log_in(const std::string& username, const std::string& password) {
  ClientOptions options;
  options.endpoints = contract_server().urls;
  options.auth = logged_in(username, password);
  return Client::create(std::move(options)).value().get_user({.username = username}).has_value();
}

CreatePromptOptimizationJob new_job() {
  CreatePromptOptimizationJob create;
  create.experiment_id = fresh_experiment();
  create.source_prompt_uri = "prompts:/none/1";
  create.config.optimizer_type = OptimizerType::gepa;
  return create;
}

}  // namespace

void add_workspace_calls(Repeated& repeated) {
  const Client& client = contract_client();
  const CreateWorkspace create{.name = fresh_name("w").substr(0, 30), .description = "ours"};
  repeated.add(
      "POST /mlflow/workspaces", [=](const Client& c) { return c.create_workspace(create); },
      [=, &client](const Result<Workspace>& made) {
        CHECK(client.get_workspace({.workspace_name = create.name}).value() == made.value());
      });
  const std::string gone = fresh_name("w").substr(0, 30);
  REQUIRE(client.create_workspace({.name = gone}));
  repeated.add(
      "DELETE /mlflow/workspaces/" + gone,
      [=](const Client& c) { return c.delete_workspace({.workspace_name = gone}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_workspace({.workspace_name = gone}).error()));
      });
}

void add_job_calls(Repeated& repeated) {
  const Client& client = contract_client();
  const CreatePromptOptimizationJob create = new_job();
  repeated.add_never(
      "POST /prompt-optimization/jobs", [=](const Client& c) { return c.create_prompt_optimization_job(create); },
      [=, &client] {
        CHECK(client.search_prompt_optimization_jobs({.experiment_id = create.experiment_id}).value().size() == 1);
      });
  const std::string gone = client.create_prompt_optimization_job(new_job()).value().job_id;
  (void)client.cancel_prompt_optimization_job({.job_id = gone});  // only what has ended is deleted
  repeated.add(
      "DELETE /prompt-optimization/jobs/" + gone,
      [=](const Client& c) { return c.delete_prompt_optimization_job({.job_id = gone}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_prompt_optimization_job({.job_id = gone}).error()));
      });
  const std::string canceled = client.create_prompt_optimization_job(new_job()).value().job_id;
  repeated.add(
      "POST /" + canceled + "/cancel",
      [=](const Client& c) { return c.cancel_prompt_optimization_job({.job_id = canceled}); },
      [=, &client](const Result<PromptOptimizationJob>& done) {
        CHECK(done.value().state.status == JobStatus::canceled);
        CHECK(client.get_prompt_optimization_job({.job_id = canceled}).value().state.status == JobStatus::canceled);
      });
}

namespace {

/// Of both releases.
void add_user_calls(Repeated& repeated) {
  const Client& client = contract_client();
  const std::string gone = fresh_user();
  repeated.add("DELETE /users/delete", [=](const Client& c) { return c.delete_user({.username = gone}); });
  const std::string unseen = fresh_name("u");
  repeated.add_never(  // has he our password? Nobody can see it
      "POST /users/create",
      [=](const Client& c) { return c.create_user({.username = unseen, .password = user_password}); },
      [=, &client] { CHECK(client.get_user({.username = unseen})); });
  const std::string reset = fresh_user();
  repeated.add(  // by an administrator, who needn't know the old one
      "PATCH /users/update-password",
      [=](const Client& c) { return c.update_user_password({.username = reset, .password = new_password}); },
      [=](const Result<void>& done) {
        CHECK(done);
        CHECK(can_log_in(reset, new_password));
      });
}

}  // namespace

void add_auth_calls_of_2(Repeated& repeated) {
  add_user_calls(repeated);
  const Client& client = contract_client();
  const std::string user = fresh_user();
  const CreateExperimentPermission allow{.experiment_id = fresh_experiment(), .username = user, .permission = "EDIT"};
  repeated.add(
      "POST /experiments/permissions/create", [=](const Client& c) { return c.create_experiment_permission(allow); },
      [](const Result<ExperimentPermission>& made) { CHECK(made.value().permission == "EDIT"); });
  const std::string model = fresh_name("repeated");
  REQUIRE(client.create_registered_model(model));
  const CreateRegisteredModelPermission allow_model{.name = model, .username = user, .permission = "EDIT"};
  repeated.add(
      "POST /registered-models/permissions/create",
      [=](const Client& c) { return c.create_registered_model_permission(allow_model); },
      [](const Result<RegisteredModelPermission>& made) { CHECK(made.value().permission == "EDIT"); });
  const DeleteExperimentPermission forbid{.experiment_id = fresh_experiment(), .username = user};
  REQUIRE(client.create_experiment_permission({forbid.experiment_id, user, "EDIT", {}}));
  repeated.add(
      "DELETE /experiments/permissions/delete", [=](const Client& c) { return c.delete_experiment_permission(forbid); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(
            client.get_experiment_permission({.experiment_id = forbid.experiment_id, .username = user}).error()));
      });
  const DeleteRegisteredModelPermission forbid_model{.name = fresh_name("repeated"), .username = user};
  REQUIRE(client.create_registered_model(forbid_model.name));
  REQUIRE(client.create_registered_model_permission({forbid_model.name, user, "EDIT", {}}));
  repeated.add(
      "DELETE /registered-models/permissions/delete",
      [=](const Client& c) { return c.delete_registered_model_permission(forbid_model); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(
            client.get_registered_model_permission({.name = forbid_model.name, .username = user}).error()));
      });
}

void add_auth_calls(Repeated& repeated) {
  add_user_calls(repeated);
  const Client& client = contract_client();
  const std::string user = fresh_user();
  const std::string experiment = fresh_experiment();
  const GrantUserPermission grant{
      .username = user, .resource_type = "experiment", .resource_id = experiment, .permission = "EDIT"};
  repeated.add(
      "POST /permissions/grant", [=](const Client& c) { return c.grant_user_permission(grant); },
      [=, &client](const auto& done) {
        CHECK(done);
        CHECK(client.list_user_permissions({.username = user}).value().permissions.size() == 1);
      });
  const CreateRole create{.name = fresh_name("r"), .workspace = "default"};
  repeated.add(
      "POST /roles/create", [=](const Client& c) { return c.create_role(create); },
      [=, &client](const Result<Role>& made) {
        CHECK(client.get_role({.role_id = made.value().id}).value() == made.value());
      });
  const Role role = client.create_role({.name = fresh_name("r"), .workspace = "default"}).value();
  const AddRolePermission add{
      .role_id = role.id, .resource_type = "experiment", .resource_pattern = "*", .permission = "READ"};
  repeated.add(
      "POST /permissions/add", [=](const Client& c) { return c.add_role_permission(add); },
      [=, &client](const Result<RolePermission>& made) {
        CHECK(client.list_role_permissions({.role_id = role.id}).value() == std::vector{made.value()});
      });
  const std::string member = fresh_user();
  repeated.add("POST /roles/assign",
               [=](const Client& c) { return c.assign_role({.username = member, .role_id = role.id}); });
  const std::string own = fresh_user();
  repeated.add_never(  // who changes his own can't log in with the old one a second time
      "PATCH /users/update-password",
      [=](const Client& c) {
        return c.update_user_password({.username = own, .password = new_password, .current_password = user_password});
      },
      [=] { CHECK(can_log_in(own, new_password)); }, logged_in(own, user_password));

  const std::string before = fresh_user();
  const RevokeUserPermission revoke{.username = before, .resource_type = "experiment", .resource_id = experiment};
  REQUIRE(client.grant_user_permission({before, "experiment", experiment, "EDIT", {}}));
  repeated.add(
      "POST /permissions/revoke", [=](const Client& c) { return c.revoke_user_permission(revoke); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.list_user_permissions({.username = before}).value().permissions.empty());
      });
  const auto fresh_role = [&] {
    return client.create_role({.name = fresh_name("r"), .workspace = "default"}).value().id;
  };
  const std::int64_t gone = fresh_role();
  repeated.add(
      "DELETE /roles/delete", [=](const Client& c) { return c.delete_role({.role_id = gone}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_role({.role_id = gone}).error()));
      });
  const std::int64_t left = fresh_role();
  REQUIRE(client.assign_role({.username = before, .role_id = left}));
  repeated.add(
      "DELETE /roles/unassign", [=](const Client& c) { return c.unassign_role({.username = before, .role_id = left}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        const auto roles = client.list_user_roles({.username = before}).value();  // what was granted is a role, too
        CHECK(std::none_of(roles.begin(), roles.end(), [&](const Role& one) { return one.id == left; }));
      });
  const std::int64_t emptied = fresh_role();
  const std::int64_t permission = client.add_role_permission({emptied, "experiment", "*", "READ", {}}).value().id;
  repeated.add(
      "DELETE /permissions/remove",
      [=](const Client& c) { return c.remove_role_permission({.role_permission_id = permission}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.list_role_permissions({.role_id = emptied}).value().empty());
      });
}

}  // namespace mlflowha_tests
