// Calls about the gateway, for killed_server_test.cpp and dropped_reply_test.cpp.

#include "contract/repeated_calls.hpp"

using namespace mlflowha;

namespace mlflowha_tests {

void add_gateway_calls(Repeated& repeated) {
  const Client& client = contract_client();
  const CreateGatewaySecret secret = new_secret();
  repeated.add(
      "POST /secrets/create", [=](const Client& c) { return c.create_gateway_secret(secret); },
      [&client](const Result<GatewaySecretInfo>& made) {
        CHECK(client.get_gateway_secret_info({.secret_id = made.value().secret_id}).value() == made.value());
      });
  const std::string unused = fresh_secret();
  repeated.add(
      "DELETE /secrets/delete", [=](const Client& c) { return c.delete_gateway_secret({.secret_id = unused}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_gateway_secret_info({.secret_id = unused}).error()));
      });
  const CreateGatewayModelDefinition model = new_model_definition();
  repeated.add(
      "POST /model-definitions/create", [=](const Client& c) { return c.create_gateway_model_definition(model); },
      [=, &client](const Result<GatewayModelDefinition>& made) {
        CHECK(client.list_gateway_model_definitions({.secret_id = model.secret_id}).value() ==
              std::vector{made.value()});
      });
  const CreateGatewayEndpoint endpoint = new_endpoint();
  repeated.add(
      "POST /endpoints/create", [=](const Client& c) { return c.create_gateway_endpoint(endpoint); },
      [=, &client](const Result<GatewayEndpoint>& made) {
        CHECK(client.get_gateway_endpoint({.name = endpoint.name}).value() == made.value());
      });
  AttachModelToEndpoint attach;
  attach.endpoint_id = fresh_endpoint();
  attach.model_config.model_definition_id = fresh_model_definition();
  repeated.add(
      "POST /models/attach", [=](const Client& c) { return c.attach_model_to_endpoint(attach); },
      [=, &client](const Result<GatewayEndpointModelMapping>& made) {
        CHECK(made);
        CHECK(client.get_gateway_endpoint({.endpoint_id = attach.endpoint_id}).value().model_mappings.size() == 2);
      });
  const CreateEndpointBinding bind{
      .endpoint_id = fresh_endpoint(), .resource_type = "scorer", .resource_id = fresh_name("r")};
  repeated.add(
      "POST /bindings/create", [=](const Client& c) { return c.create_endpoint_binding(bind); },
      [=, &client](const Result<GatewayEndpointBinding>& made) {
        CHECK(client.list_endpoint_bindings({.endpoint_id = bind.endpoint_id}).value() == std::vector{made.value()});
      });
  const AddGuardrailToEndpoint add{
      .endpoint_id = fresh_endpoint(), .guardrail_id = fresh_guardrail(), .execution_order = 1};
  repeated.add(
      "POST /guardrails/add-to-endpoint", [=](const Client& c) { return c.add_guardrail_to_endpoint(add); },
      [=, &client](const Result<GatewayGuardrailConfig>& made) {
        CHECK(client.list_endpoint_guardrail_configs({.endpoint_id = add.endpoint_id}).value() ==
              std::vector{made.value()});
      });
}

void add_gateway_removals(Repeated& repeated) {
  const Client& client = contract_client();
  const std::string definition = fresh_model_definition();
  repeated.add(
      "DELETE /model-definitions/delete",
      [=](const Client& c) { return c.delete_gateway_model_definition({.model_definition_id = definition}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_gateway_model_definition({.model_definition_id = definition}).error()));
      });
  const std::string gone = fresh_endpoint();
  repeated.add(
      "DELETE /gateway/endpoints/delete",
      [=](const Client& c) { return c.delete_gateway_endpoint({.endpoint_id = gone}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_gateway_endpoint({.endpoint_id = gone}).error()));
      });
  AttachModelToEndpoint attach;
  attach.endpoint_id = fresh_endpoint();
  attach.model_config.model_definition_id = fresh_model_definition();
  REQUIRE(client.attach_model_to_endpoint(attach));
  const DetachModelFromEndpoint detach{.endpoint_id = attach.endpoint_id,
                                       .model_definition_id = attach.model_config.model_definition_id};
  repeated.add(
      "POST /models/detach", [=](const Client& c) { return c.detach_model_from_endpoint(detach); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.get_gateway_endpoint({.endpoint_id = detach.endpoint_id}).value().model_mappings.size() == 1);
      });
  const DeleteEndpointBinding unbind{
      .endpoint_id = fresh_endpoint(), .resource_type = "scorer", .resource_id = fresh_name("r")};
  REQUIRE(client.create_endpoint_binding(
      {.endpoint_id = unbind.endpoint_id, .resource_type = "scorer", .resource_id = unbind.resource_id}));
  repeated.add(
      "DELETE /bindings/delete", [=](const Client& c) { return c.delete_endpoint_binding(unbind); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.list_endpoint_bindings({.endpoint_id = unbind.endpoint_id}).value().empty());
      });
  const std::string budget = client.create_budget_policy(new_budget()).value().budget_policy_id;
  repeated.add(
      "DELETE /budgets/delete", [=](const Client& c) { return c.delete_budget_policy({.budget_policy_id = budget}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_budget_policy({.budget_policy_id = budget}).error()));
      });
  const std::string guardrail = fresh_guardrail();
  repeated.add(
      "DELETE /guardrails/delete",
      [=](const Client& c) { return c.delete_gateway_guardrail({.guardrail_id = guardrail}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_gateway_guardrail({.guardrail_id = guardrail}).error()));
      });
  const RemoveGuardrailFromEndpoint remove{.endpoint_id = fresh_endpoint(), .guardrail_id = fresh_guardrail()};
  REQUIRE(client.add_guardrail_to_endpoint(
      {.endpoint_id = remove.endpoint_id, .guardrail_id = remove.guardrail_id, .execution_order = 1}));
  repeated.add(
      "DELETE /guardrails/remove-from-endpoint",
      [=](const Client& c) { return c.remove_guardrail_from_endpoint(remove); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.list_endpoint_guardrail_configs({.endpoint_id = remove.endpoint_id}).value().empty());
      });
}

}  // namespace mlflowha_tests
