// Every create of the evaluation and gateway groups whose answer is lost after the server carried it out: the caller
// gets the object, and the server has it once.

#include <mlflowha/api/all.hpp>
#include <mlflowha/api/trace_location.hpp>

#include <algorithm>

#include "contract/lossy.hpp"
#include "contract/made.hpp"
#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

TEST_CASE("lost answers: traces of version 2", "[contract][once]") {
  const std::string experiment = fresh_experiment();
  Lossy lossy("/mlflow/traces");
  const TraceInfoV2 trace = lossy->start_trace_v2({.experiment_id = experiment}).value();
  const auto all = contract_client().search_traces_v2({.experiment_ids = {experiment}}).value().items;
  REQUIRE(all.size() == 1);
  CHECK(all[0].request_id == trace.request_id);
}

TEST_CASE("lost answers: traces, which are stored over themselves", "[contract][once]") {
  if (contract_server().major < 3) return;
  const std::string experiment = fresh_experiment();
  StartTrace start;
  start.trace.trace_info.trace_id = fresh_name("t").substr(0, 38);
  start.trace.trace_info.trace_location = experiment_location(experiment);
  start.trace.trace_info.request_time = "2026-01-02T03:04:05Z";
  Lossy lossy("/mlflow/traces");
  REQUIRE(lossy->start_trace(start));
  CHECK(contract_client().search_traces({.locations = {experiment_location(experiment)}}).value().items.size() == 1);
}

TEST_CASE("lost answers: assessments", "[contract][once]") {
  if (contract_server().major < 3) return;
  const std::string trace = fresh_trace(fresh_experiment());
  CreateAssessment create;
  create.assessment.assessment_name = "quality";
  create.assessment.trace_id = trace;
  create.assessment.source = {.source_type = AssessmentSourceType::code, .source_id = "c"};
  create.assessment.feedback = Feedback{.value = {"1"}};
  Lossy lossy("/assessments");
  const Assessment made = lossy->create_assessment(create).value();
  CHECK(contract_client().get_trace_info({.trace_id = trace}).value().trace_info.assessments ==
        std::vector<Assessment>{made});
}

TEST_CASE("lost answers: evaluation datasets", "[contract][once]") {
  if (contract_server().major < 3) return;
  const std::string experiment = fresh_experiment();
  Lossy lossy("/datasets/create");
  const auto made = lossy->create_dataset({.name = "d", .experiment_ids = {experiment}, .tags = R"({"a": "b"})"});
  SearchEvaluationDatasets search;
  search.experiment_ids = {experiment};
  const auto all = contract_client().search_evaluation_datasets(search).value().items;
  REQUIRE(all.size() == 1);
  CHECK(all[0].dataset_id == made.value().dataset_id);
  CHECK(made.value().experiment_ids == std::vector<std::string>{experiment});
}

TEST_CASE("lost answers: scorers", "[contract][once]") {
  if (contract_server().major < 3) return;
  const std::string experiment = fresh_experiment();
  RegisterScorer scorer{.experiment_id = experiment, .name = "s", .serialized_scorer = R"({"b": [1.0, 2],"a":null})"};
  REQUIRE(contract_client().register_scorer(scorer));
  scorer.serialized_scorer = R"({"b": [1.0, 3],"a":null})";
  Lossy lossy("/scorers/register");
  const RegisteredScorer made = lossy->register_scorer(scorer).value();
  CHECK(made.version == 2);
  CHECK(made.experiment_id == experiment);
  CHECK(made.serialized_scorer == scorer.serialized_scorer);
  CHECK(contract_client().list_scorer_versions({.experiment_id = experiment, .name = "s"}).value().size() == 2);
}

TEST_CASE("lost answers: names that are taken, by us or by a stranger", "[contract][once]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  CreateLabelSchema schema;
  schema.experiment_id = experiment;
  schema.name = "helpful";
  schema.type = LabelSchemaType::feedback;
  schema.input.pass_fail = InputPassFail{.positive_label = "yes", .negative_label = "no"};
  const auto made = Lossy("/label-schemas/create")->create_label_schema(schema);
  CHECK(client.get_label_schema_by_name({.experiment_id = experiment, .name = "helpful"}).value() == made.value());

  CreateReviewQueue queue;
  queue.experiment_id = experiment;
  queue.name = "monday";
  queue.users = {"bob", "al"};
  queue.schema_ids = {made.value().schema_id};
  const auto queued = Lossy("/review-queues/create")->create_review_queue(queue);
  CHECK(client.get_review_queue_by_name({.experiment_id = experiment, .name = "monday"}).value() == queued.value());

  // Servers tidy what they are told: that makes it nobody else's.
  queue.name = " Tuesday ";
  queue.users = {"Bob", " AL", "bob"};
  queue.schema_ids = {made.value().schema_id, " " + made.value().schema_id};
  const auto tidied = Lossy("/review-queues/create")->create_review_queue(queue);
  CHECK(client.get_review_queue_by_name({.experiment_id = experiment, .name = "tuesday"}).value() == tidied.value());
  CreateReviewQueue own;
  own.experiment_id = experiment;
  own.name = "Carol";
  own.queue_type = ReviewQueueType::user;
  CHECK(Lossy("/review-queues/create")->create_review_queue(own).value().users == std::vector<std::string>{"carol"});

  // Somebody else has the name with other content: no lost answer makes that ours.
  schema.instruction = "other";
  CHECK(Lossy("/label-schemas/create")->create_label_schema(schema).error().code == Errc::already_exists);
}

TEST_CASE("lost answers: whatever a label schema asks for, it is known again", "[contract][once]") {
  if (!is_real_3(contract_server())) return;
  CreateLabelSchema schema;
  schema.experiment_id = fresh_experiment();
  schema.type = LabelSchemaType::expectation;
  for (const LabelSchemaInput& input : {
           LabelSchemaInput{.categorical = InputCategorical{.options = {"b", "a"}, .multi_select = true}},
           LabelSchemaInput{.categorical = InputCategorical{.options = {"a"}}},
           LabelSchemaInput{.numeric = InputNumeric{.min_value = 0, .max_value = 1.5}},
           LabelSchemaInput{.numeric = InputNumeric{}},
           LabelSchemaInput{.text = InputText{}},
           LabelSchemaInput{.text = InputText{.max_length = 10}},
       }) {
    schema.name = fresh_name("l");
    schema.input = input;
    schema.enable_comment = schema.enable_comment ? std::nullopt : std::optional(true);
    const auto made = Lossy("/label-schemas/create")->create_label_schema(schema);
    CHECK(made.value().input == input);
  }
}

TEST_CASE("lost answers: the gateway's named objects", "[contract][once][gateway]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  CreateGatewaySecret secret;
  secret.secret_name = fresh_name("s");
  secret.secret_value = {{"api_key", "sk-abcdefgh12345678"}, {"other", "short"}};
  secret.provider = "openai";
  const auto kept = Lossy("/secrets/create")->create_gateway_secret(secret).value();
  CHECK(client.get_gateway_secret_info({.secret_id = kept.secret_id}).value() == kept);
  CreateGatewaySecret blank = secret;
  blank.secret_name = fresh_name("s");
  blank.auth_config = {{"api_base", " "}, {"region", "eu"}};
  CHECK(Lossy("/secrets/create")->create_gateway_secret(blank).value().secret_name == blank.secret_name);
  secret.secret_value["api_key"] = "sk-another-one-0000";
  CHECK(Lossy("/secrets/create")->create_gateway_secret(secret).error().code == Errc::already_exists);

  const CreateGatewayModelDefinition model{
      .name = fresh_name("m"), .secret_id = kept.secret_id, .provider = "openai", .model_name = "gpt-4o"};
  const auto defined = Lossy("/model-definitions/create")->create_gateway_model_definition(model).value();
  CHECK(client.list_gateway_model_definitions({.secret_id = kept.secret_id}).value() ==
        std::vector<GatewayModelDefinition>{defined});

  CreateGatewayEndpoint endpoint = new_endpoint();
  const auto served = Lossy("/endpoints/create")->create_gateway_endpoint(endpoint).value();
  CHECK(client.get_gateway_endpoint({.name = endpoint.name}).value() == served);
  endpoint.model_configs[0].weight = 0.5;
  CHECK(Lossy("/endpoints/create")->create_gateway_endpoint(endpoint).error().error_code == "BAD_REQUEST");
}

TEST_CASE("lost answers: what an endpoint has once", "[contract][once][gateway]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  const std::string endpoint = client.create_gateway_endpoint(new_endpoint()).value().endpoint_id;

  AttachModelToEndpoint attach;
  attach.endpoint_id = endpoint;
  attach.model_config.model_definition_id = fresh_model_definition();
  const auto mapping = Lossy("/models/attach")->attach_model_to_endpoint(attach).value();
  const auto mappings = client.get_gateway_endpoint({.endpoint_id = endpoint}).value().model_mappings;
  CHECK(mappings.size() == 2);
  CHECK(std::find(mappings.begin(), mappings.end(), mapping) != mappings.end());

  const CreateEndpointBinding bind{.endpoint_id = endpoint, .resource_type = "scorer", .resource_id = fresh_name("r")};
  const auto bound = Lossy("/bindings/create")->create_endpoint_binding(bind).value();
  CHECK(client.list_endpoint_bindings({.endpoint_id = endpoint}).value() == std::vector<GatewayEndpointBinding>{bound});

  const auto scorer =
      client.register_scorer({.experiment_id = fresh_experiment(), .name = "s", .serialized_scorer = "{}"}).value();
  CreateGatewayGuardrail create;
  create.name = "polite";
  create.scorer_id = scorer.scorer_id;
  create.scorer_version = scorer.version;
  create.stage = GuardrailStage::before;
  create.action = GuardrailAction::validation;
  const std::string guardrail = client.create_gateway_guardrail(create).value().guardrail_id;
  const AddGuardrailToEndpoint add{.endpoint_id = endpoint, .guardrail_id = guardrail, .execution_order = 1};
  const auto added = Lossy("/guardrails/add-to-endpoint")->add_guardrail_to_endpoint(add).value();
  CHECK(client.list_endpoint_guardrail_configs({.endpoint_id = endpoint}).value() ==
        std::vector<GatewayGuardrailConfig>{added});
}

TEST_CASE("lost answers: what can't be told from a stranger's is sent once", "[contract][once]") {
  if (contract_server().major < 3) return;
  const std::string experiment = fresh_experiment();
  const CreateIssue issue{.experiment_id = experiment, .name = "n", .description = "d"};
  const auto lost = Lossy("/mlflow/issues")->create_issue(issue);
  CHECK(lost.error().effect == Effect::unknown);
  CHECK(lost.error().stop_reason == StopReason::non_idempotent);
  SearchIssues search;
  search.experiment_id = experiment;
  CHECK(contract_client().search_issues(search).value().items.size() == 1);
}

TEST_CASE("lost answers: removals count as done", "[contract][once]") {
  if (contract_server().major < 3) return;
  const std::string experiment = fresh_experiment();
  const std::string trace = fresh_trace(experiment);
  REQUIRE(contract_client().set_trace_tag({.trace_id = trace, .key = "k", .value = "v"}));
  CHECK(Lossy("/tags", Method::del)->delete_trace_tag({.trace_id = trace, .key = "k"}));
  if (!contract_server().fake) {
    const std::string secret = fresh_secret();
    CHECK(Lossy("/secrets/delete", Method::del)->delete_gateway_secret({.secret_id = secret}));
  }
  // Without max_traces a second sending finds nothing; with it, it would delete others.
  CHECK(Lossy("/delete-traces")->delete_traces({.experiment_id = experiment, .request_ids = {trace}}).value() == 0);
  fresh_trace(experiment);
  fresh_trace(experiment);
  DeleteTraces oldest{.experiment_id = experiment, .max_timestamp_millis = 4'000'000'000'000, .max_traces = 1};
  CHECK(Lossy("/delete-traces")->delete_traces(oldest).error().effect == Effect::unknown);
  CHECK(contract_client().search_traces({.locations = {experiment_location(experiment)}}).value().items.size() == 1);
}
