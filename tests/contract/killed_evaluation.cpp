// Calls about traces, what judges them, the gateway, workspaces and users, for killed_server_test.cpp.

#include <mlflowha/api/all.hpp>
#include <mlflowha/api/trace_location.hpp>

#include "contract/killed_calls.hpp"

using namespace mlflowha;

namespace mlflowha_tests {

namespace {

StartTrace new_trace(const std::string& experiment) {
  StartTrace start;
  start.trace.trace_info.trace_id = fresh_name("t").substr(0, 38);
  start.trace.trace_info.trace_location = experiment_location(experiment);
  start.trace.trace_info.request_time = "2026-01-02T03:04:05Z";
  return start;
}
std::string fresh_trace(const std::string& experiment) {
  return contract_client().start_trace(new_trace(experiment)).value().trace_info.trace_id;
}

CreateGatewaySecret new_secret() {
  return {.secret_name = fresh_name("s"), .secret_value = {{"api_key", "sk-abcdefgh12345678"}}};
}
std::string fresh_secret() { return contract_client().create_gateway_secret(new_secret()).value().secret_id; }
CreateGatewayModelDefinition new_model() {
  return {.name = fresh_name("m"), .secret_id = fresh_secret(), .provider = "openai", .model_name = "gpt-4o"};
}
std::string fresh_model() {
  return contract_client().create_gateway_model_definition(new_model()).value().model_definition_id;
}
CreateGatewayEndpoint new_endpoint() {
  CreateGatewayEndpoint create;
  create.name = fresh_name("e");
  create.model_configs = {{.model_definition_id = fresh_model()}};
  return create;
}
std::string fresh_endpoint() { return contract_client().create_gateway_endpoint(new_endpoint()).value().endpoint_id; }

}  // namespace

void add_evaluation_calls(Killed& killed) {
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  const StartTrace start = new_trace(experiment);
  killed.add(
      "POST /api/3.0/mlflow/traces", [=](const Client& c) { return c.start_trace(start); },
      [=, &client](const auto& made) {
        CHECK(made);
        CHECK(client.search_traces({.locations = {experiment_location(experiment)}}).value().items.size() == 1);
      });
  const std::string judged = fresh_trace(fresh_experiment());
  CreateAssessment assess;
  assess.assessment.assessment_name = "quality";
  assess.assessment.trace_id = judged;
  assess.assessment.source = {.source_type = AssessmentSourceType::code, .source_id = "c"};
  assess.assessment.feedback = Feedback{.value = {"1"}};
  killed.add(
      "POST /" + judged + "/assessments", [=](const Client& c) { return c.create_assessment(assess); },
      [=, &client](const Result<Assessment>& made) {
        CHECK(client.get_trace_info({.trace_id = judged}).value().trace_info.assessments ==
              std::vector<Assessment>{made.value()});
      });
  const std::string tagged = fresh_trace(fresh_experiment());
  REQUIRE(client.set_trace_tag({.trace_id = tagged, .key = "k", .value = "v"}));
  killed.add("DELETE /" + tagged + "/tags",
             [=](const Client& c) { return c.delete_trace_tag({.trace_id = tagged, .key = "k"}); });

  const std::string with_dataset = fresh_experiment();
  killed.add(
      "POST /datasets/create",
      [=](const Client& c) { return c.create_dataset({.name = "d", .experiment_ids = {with_dataset}}); },
      [=, &client](const Result<EvaluationDataset>& made) {
        SearchEvaluationDatasets search;
        search.experiment_ids = {with_dataset};
        const auto all = client.search_evaluation_datasets(search).value().items;
        REQUIRE(all.size() == 1);
        CHECK(all[0].dataset_id == made.value().dataset_id);
      });
  const RegisterScorer scorer{.experiment_id = fresh_experiment(), .name = "s", .serialized_scorer = R"({"a":1})"};
  REQUIRE(client.register_scorer(scorer));
  RegisterScorer second = scorer;
  second.serialized_scorer = R"({"a":2})";
  killed.add(
      "POST /scorers/register", [=](const Client& c) { return c.register_scorer(second); },
      [=, &client](const Result<RegisteredScorer>& made) {
        CHECK(made.value().version == 2);
        const ListScorerVersions list{.experiment_id = scorer.experiment_id, .name = "s"};
        CHECK(client.list_scorer_versions(list).value().size() == 2);
      });
  const RegisterScorer dropped{.experiment_id = fresh_experiment(), .name = "s", .serialized_scorer = "{}"};
  REQUIRE(client.register_scorer(dropped));
  killed.add("DELETE /scorers/delete",
             [=](const Client& c) { return c.delete_scorer({.experiment_id = dropped.experiment_id, .name = "s"}); });
  CreateLabelSchema schema;
  schema.experiment_id = fresh_experiment();
  schema.name = "helpful";
  schema.type = LabelSchemaType::feedback;
  schema.input.pass_fail = InputPassFail{.positive_label = "yes", .negative_label = "no"};
  killed.add(
      "POST /label-schemas/create", [=](const Client& c) { return c.create_label_schema(schema); },
      [=, &client](const Result<LabelSchema>& made) {
        const GetLabelSchemaByName get{.experiment_id = schema.experiment_id, .name = "helpful"};
        CHECK(client.get_label_schema_by_name(get).value() == made.value());
      });
  CreateReviewQueue queue;
  queue.experiment_id = fresh_experiment();
  queue.name = "monday";
  queue.users = {"bob", "al"};
  killed.add(
      "POST /review-queues/create", [=](const Client& c) { return c.create_review_queue(queue); },
      [=, &client](const Result<ReviewQueue>& made) {
        const GetReviewQueueByName get{.experiment_id = queue.experiment_id, .name = "monday"};
        CHECK(client.get_review_queue_by_name(get).value() == made.value());
      });
  // What can't be told from a stranger's is sent once, and whoever asked for it is told that nobody knows.
  const CreateIssue issue{.experiment_id = fresh_experiment(), .name = "n", .description = "d"};
  killed.add(
      "POST /mlflow/issues", [=](const Client& c) { return c.create_issue(issue); },
      [=, &client](const Result<Issue>& made) {
        CHECK(made.error().effect == Effect::unknown);
        CHECK(made.error().stop_reason == StopReason::non_idempotent);
        SearchIssues search;
        search.experiment_id = issue.experiment_id;
        CHECK(client.search_issues(search).value().items.size() == 1);
      });
}

void add_gateway_calls(Killed& killed) {
  const Client& client = contract_client();
  const CreateGatewaySecret secret = new_secret();
  killed.add(
      "POST /secrets/create", [=](const Client& c) { return c.create_gateway_secret(secret); },
      [&client](const Result<GatewaySecretInfo>& made) {
        CHECK(client.get_gateway_secret_info({.secret_id = made.value().secret_id}).value() == made.value());
      });
  const std::string unused = fresh_secret();
  killed.add(
      "DELETE /secrets/delete", [=](const Client& c) { return c.delete_gateway_secret({.secret_id = unused}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_gateway_secret_info({.secret_id = unused}).error()));
      });
  const CreateGatewayModelDefinition model = new_model();
  killed.add(
      "POST /model-definitions/create", [=](const Client& c) { return c.create_gateway_model_definition(model); },
      [=, &client](const Result<GatewayModelDefinition>& made) {
        CHECK(client.list_gateway_model_definitions({.secret_id = model.secret_id}).value() ==
              std::vector{made.value()});
      });
  const CreateGatewayEndpoint endpoint = new_endpoint();
  killed.add(
      "POST /endpoints/create", [=](const Client& c) { return c.create_gateway_endpoint(endpoint); },
      [=, &client](const Result<GatewayEndpoint>& made) {
        CHECK(client.get_gateway_endpoint({.name = endpoint.name}).value() == made.value());
      });
  AttachModelToEndpoint attach;
  attach.endpoint_id = fresh_endpoint();
  attach.model_config.model_definition_id = fresh_model();
  killed.add(
      "POST /models/attach", [=](const Client& c) { return c.attach_model_to_endpoint(attach); },
      [=, &client](const Result<GatewayEndpointModelMapping>& made) {
        CHECK(made);
        CHECK(client.get_gateway_endpoint({.endpoint_id = attach.endpoint_id}).value().model_mappings.size() == 2);
      });
  const CreateEndpointBinding bind{
      .endpoint_id = fresh_endpoint(), .resource_type = "scorer", .resource_id = fresh_name("r")};
  killed.add(
      "POST /bindings/create", [=](const Client& c) { return c.create_endpoint_binding(bind); },
      [=, &client](const Result<GatewayEndpointBinding>& made) {
        CHECK(client.list_endpoint_bindings({.endpoint_id = bind.endpoint_id}).value() == std::vector{made.value()});
      });
  const auto scorer =
      client.register_scorer({.experiment_id = fresh_experiment(), .name = "s", .serialized_scorer = "{}"}).value();
  CreateGatewayGuardrail create;
  create.name = "polite";
  create.scorer_id = scorer.scorer_id;
  create.scorer_version = scorer.version;
  create.stage = GuardrailStage::before;
  create.action = GuardrailAction::validation;
  const AddGuardrailToEndpoint add{.endpoint_id = fresh_endpoint(),
                                   .guardrail_id = client.create_gateway_guardrail(create).value().guardrail_id,
                                   .execution_order = 1};
  killed.add(
      "POST /guardrails/add-to-endpoint", [=](const Client& c) { return c.add_guardrail_to_endpoint(add); },
      [=, &client](const Result<GatewayGuardrailConfig>& made) {
        CHECK(client.list_endpoint_guardrail_configs({.endpoint_id = add.endpoint_id}).value() ==
              std::vector{made.value()});
      });
}

void add_workspace_calls(Killed& killed) {
  const Client& client = contract_client();
  const CreateWorkspace create{.name = fresh_name("w").substr(0, 30), .description = "ours"};
  killed.add(
      "POST /mlflow/workspaces", [=](const Client& c) { return c.create_workspace(create); },
      [=, &client](const Result<Workspace>& made) {
        CHECK(client.get_workspace({.workspace_name = create.name}).value() == made.value());
      });
  const std::string gone = fresh_name("w").substr(0, 30);
  REQUIRE(client.create_workspace({.name = gone}));
  killed.add(
      "DELETE /mlflow/workspaces/" + gone,
      [=](const Client& c) { return c.delete_workspace({.workspace_name = gone}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_workspace({.workspace_name = gone}).error()));
      });
}

void add_auth_calls(Killed& killed) {
  const Client& client = contract_client();
  const std::string user = fresh_name("u");
  REQUIRE(client.create_user({.username = user, .password = "correct-horse-battery"}));
  const std::string gone = fresh_name("u");
  REQUIRE(client.create_user({.username = gone, .password = "correct-horse-battery"}));
  killed.add("DELETE /users/delete", [=](const Client& c) { return c.delete_user({.username = gone}); });
  const std::string unseen = fresh_name("u");
  killed.add(
      "POST /users/create",
      [=](const Client& c) { return c.create_user({.username = unseen, .password = "correct-horse-battery"}); },
      [=, &client](const Result<User>& made) {  // has he our password? Nobody can see it
        CHECK(made.error().effect == Effect::unknown);
        CHECK(client.get_user({.username = unseen}));
      });
  const std::string experiment = fresh_experiment();
  if (contract_server().major < 3) {
    const CreateExperimentPermission allow{.experiment_id = experiment, .username = user, .permission = "EDIT"};
    killed.add(
        "POST /experiments/permissions/create", [=](const Client& c) { return c.create_experiment_permission(allow); },
        [](const Result<ExperimentPermission>& made) { CHECK(made.value().permission == "EDIT"); });
    const std::string model = fresh_name("killed");
    REQUIRE(client.create_registered_model(model));
    const CreateRegisteredModelPermission allow_model{.name = model, .username = user, .permission = "EDIT"};
    killed.add(
        "POST /registered-models/permissions/create",
        [=](const Client& c) { return c.create_registered_model_permission(allow_model); },
        [](const Result<RegisteredModelPermission>& made) { CHECK(made.value().permission == "EDIT"); });
    return;
  }
  const GrantUserPermission grant{
      .username = user, .resource_type = "experiment", .resource_id = experiment, .permission = "EDIT"};
  killed.add(
      "POST /permissions/grant", [=](const Client& c) { return c.grant_user_permission(grant); },
      [=, &client](const auto& done) {
        CHECK(done);
        CHECK(client.list_user_permissions({.username = user}).value().permissions.size() == 1);
      });
  const CreateRole create{.name = fresh_name("r"), .workspace = "default"};
  killed.add(
      "POST /roles/create", [=](const Client& c) { return c.create_role(create); },
      [=, &client](const Result<Role>& made) {
        CHECK(client.get_role({.role_id = made.value().id}).value() == made.value());
      });
  const Role role = client.create_role({.name = fresh_name("r"), .workspace = "default"}).value();
  const AddRolePermission add{
      .role_id = role.id, .resource_type = "experiment", .resource_pattern = "*", .permission = "READ"};
  killed.add(
      "POST /permissions/add", [=](const Client& c) { return c.add_role_permission(add); },
      [=, &client](const Result<RolePermission>& made) {
        CHECK(client.list_role_permissions({.role_id = role.id}).value() == std::vector{made.value()});
      });
  const std::string member = fresh_name("u");
  REQUIRE(client.create_user({.username = member, .password = "correct-horse-battery"}));
  killed.add("POST /roles/assign",
             [=](const Client& c) { return c.assign_role({.username = member, .role_id = role.id}); });
}

}  // namespace mlflowha_tests
