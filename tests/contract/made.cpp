#include "contract/made.hpp"

#include <mlflowha/api/trace_location.hpp>

using namespace mlflowha;

namespace mlflowha_tests {

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
std::string fresh_trace_v2(const std::string& experiment, std::int64_t timestamp_ms) {
  return contract_client()
      .start_trace_v2({.experiment_id = experiment, .timestamp_ms = timestamp_ms})
      .value()
      .request_id;
}

CreateGatewaySecret new_secret() {
  return {.secret_name = fresh_name("s"), .secret_value = {{"api_key", "sk-abcdefgh12345678"}}};
}
CreateGatewayModelDefinition new_model_definition() {
  return {.name = fresh_name("m"), .secret_id = fresh_secret(), .provider = "openai", .model_name = "gpt-4o"};
}
CreateGatewayEndpoint new_endpoint() {
  CreateGatewayEndpoint create;
  create.name = fresh_name("e");
  create.model_configs = {{.model_definition_id = fresh_model_definition()}};
  return create;
}
CreateGatewayGuardrail new_guardrail() {
  const auto scorer =
      contract_client()
          .register_scorer({.experiment_id = fresh_experiment(), .name = "s", .serialized_scorer = "{}"})
          .value();
  CreateGatewayGuardrail create;
  create.name = fresh_name("polite");
  create.scorer_id = scorer.scorer_id;
  create.scorer_version = scorer.version;
  create.stage = GuardrailStage::before;
  create.action = GuardrailAction::validation;
  return create;
}
CreateBudgetPolicy new_budget() {
  CreateBudgetPolicy create;
  create.budget_amount = 10.5;
  create.duration = {.unit = BudgetDurationUnit::days, .value = 1};
  create.budget_action = BudgetAction::alert;
  return create;
}
std::string fresh_secret() { return contract_client().create_gateway_secret(new_secret()).value().secret_id; }
std::string fresh_model_definition() {
  return contract_client().create_gateway_model_definition(new_model_definition()).value().model_definition_id;
}
std::string fresh_endpoint() { return contract_client().create_gateway_endpoint(new_endpoint()).value().endpoint_id; }
std::string fresh_guardrail() {
  return contract_client().create_gateway_guardrail(new_guardrail()).value().guardrail_id;
}

CreateWebhook new_webhook(const std::string& url) {
  CreateWebhook create;
  create.name = "contract";
  create.url = url;
  create.events.push_back({.entity = WebhookEntity::model_version, .action = WebhookAction::created});
  create.status = WebhookStatus::disabled;
  return create;
}

std::string fresh_user() {
  const std::string name = fresh_name("u");
  contract_client().create_user({.username = name, .password = user_password}).value();
  return name;
}

}  // namespace mlflowha_tests
