#include <mlflowha/api/all.hpp>

#include <algorithm>

#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {

GatewaySecretInfo fresh_secret() {
  CreateGatewaySecret create;
  create.secret_name = fresh_name("secret");
  create.secret_value = {{"api_key", "sk-abcdefgh12345678"}};
  create.provider = "openai";
  return contract_client().create_gateway_secret(create).value();
}

GatewayModelDefinition fresh_model(const std::string& secret_id) {
  return contract_client()
      .create_gateway_model_definition(
          {.name = fresh_name("model"), .secret_id = secret_id, .provider = "openai", .model_name = "gpt-4o"})
      .value();
}

CreateGatewayEndpoint new_endpoint(const std::string& model_definition_id) {
  CreateGatewayEndpoint create;
  create.name = fresh_name("endpoint");
  create.model_configs = {{.model_definition_id = model_definition_id}};
  create.usage_tracking = false;
  return create;
}

std::string fresh_endpoint() {
  return contract_client()
      .create_gateway_endpoint(new_endpoint(fresh_model(fresh_secret().secret_id).model_definition_id))
      .value()
      .endpoint_id;
}

bool gateway_here() { return is_real_3(contract_server()); }

}  // namespace

TEST_CASE("a secret lives: create, read, change, delete", "[contract][gateway]") {
  if (!gateway_here()) return;
  const Client& client = contract_client();
  CreateGatewaySecret create;
  create.secret_name = fresh_name("secret");
  create.secret_value = {{"api_key", "sk-abcdefgh12345678"}};
  create.provider = "openai";
  const GatewaySecretInfo secret = client.create_gateway_secret(create).value();
  CHECK(secret.masked_values.at("api_key") == "sk-...5678");
  CHECK(client.create_gateway_secret(create).error().code == Errc::already_exists);
  CHECK(client.get_gateway_secret_info({.secret_id = secret.secret_id}).value() == secret);
  const auto all = client.list_gateway_secret_infos({.provider = "openai"}).value();
  CHECK(std::find(all.begin(), all.end(), secret) != all.end());
  UpdateGatewaySecret update;
  update.secret_id = secret.secret_id;
  update.secret_value = {{"api_key", "sk-new1234567890"}};
  for (int i = 0; i < 2; ++i) {
    CHECK(client.update_gateway_secret(update).value().masked_values.at("api_key") == "sk-...7890");
  }
  REQUIRE(client.delete_gateway_secret({.secret_id = secret.secret_id}));
  CHECK(is_not_found(client.delete_gateway_secret({.secret_id = secret.secret_id}).error()));
  CHECK(is_not_found(client.get_gateway_secret_info({.secret_id = secret.secret_id}).error()));
  CHECK(is_not_found(client.update_gateway_secret(update).error()));
}

TEST_CASE("a model definition lives: create, read, change, delete", "[contract][gateway]") {
  if (!gateway_here()) return;
  const Client& client = contract_client();
  const std::string secret = fresh_secret().secret_id;
  const GatewayModelDefinition model = fresh_model(secret);
  const std::string& id = model.model_definition_id;
  const CreateGatewayModelDefinition again{
      .name = model.name, .secret_id = secret, .provider = "openai", .model_name = "gpt-4o"};
  CHECK(client.create_gateway_model_definition(again).error().code == Errc::already_exists);
  CHECK(client.get_gateway_model_definition({.model_definition_id = id}).value() == model);
  CHECK(client.list_gateway_model_definitions({.secret_id = secret}).value() ==
        std::vector<GatewayModelDefinition>{model});
  const UpdateGatewayModelDefinition update{.model_definition_id = id, .model_name = "gpt-4o-mini"};
  for (int i = 0; i < 2; ++i) {
    CHECK(client.update_gateway_model_definition(update).value().model_name == "gpt-4o-mini");
  }
  REQUIRE(client.delete_gateway_model_definition({.model_definition_id = id}));
  CHECK(is_not_found(client.delete_gateway_model_definition({.model_definition_id = id}).error()));
  CHECK(is_not_found(client.get_gateway_model_definition({.model_definition_id = id}).error()));
  CHECK(is_not_found(client.update_gateway_model_definition(update).error()));
  CHECK(is_not_found(
      client.create_gateway_model_definition({.name = "n", .secret_id = "none", .provider = "p", .model_name = "m"})
          .error()));
}

TEST_CASE("an endpoint lives: create, read, change, models, tags, bindings, delete", "[contract][gateway]") {
  if (!gateway_here()) return;
  const Client& client = contract_client();
  const std::string secret = fresh_secret().secret_id;
  const std::string model = fresh_model(secret).model_definition_id;
  const CreateGatewayEndpoint create = new_endpoint(model);
  const GatewayEndpoint endpoint = client.create_gateway_endpoint(create).value();
  const std::string& id = endpoint.endpoint_id;
  CHECK(endpoint.model_mappings.at(0).linkage_type == GatewayModelLinkageType::primary);
  CHECK_FALSE(endpoint.usage_tracking);
  CHECK(client.create_gateway_endpoint(create).error().code == Errc::rejected);  // BAD_REQUEST: the database's key
  CHECK(client.get_gateway_endpoint({.endpoint_id = id}).value() == endpoint);
  CHECK(client.get_gateway_endpoint({.name = create.name}).value() == endpoint);
  const auto all = client.list_gateway_endpoints({}).value();
  CHECK(std::find(all.begin(), all.end(), endpoint) != all.end());
  const UpdateGatewayEndpoint rename{.endpoint_id = id, .name = fresh_name("renamed")};
  for (int i = 0; i < 2; ++i) CHECK(client.update_gateway_endpoint(rename).value().name == rename.name);

  AttachModelToEndpoint attach;
  attach.endpoint_id = id;
  attach.model_config = {.model_definition_id = fresh_model(secret).model_definition_id,
                         .linkage_type = GatewayModelLinkageType::fallback,
                         .fallback_order = 1};
  CHECK(client.attach_model_to_endpoint(attach).value().fallback_order == 1);
  CHECK(client.attach_model_to_endpoint(attach).error().code == Errc::already_exists);
  const DetachModelFromEndpoint detach{.endpoint_id = id,
                                       .model_definition_id = attach.model_config.model_definition_id};
  REQUIRE(client.detach_model_from_endpoint(detach));
  CHECK(is_not_found(client.detach_model_from_endpoint(detach).error()));
  CHECK(client.delete_gateway_model_definition({.model_definition_id = model}).error().error_code == "INVALID_STATE");

  const CreateEndpointBinding bind{.endpoint_id = id, .resource_type = "scorer", .resource_id = fresh_name("s")};
  const GatewayEndpointBinding binding = client.create_endpoint_binding(bind).value();
  CHECK(client.create_endpoint_binding(bind).error().code == Errc::rejected);
  CHECK(client.list_endpoint_bindings({.endpoint_id = id}).value() == std::vector<GatewayEndpointBinding>{binding});
  const DeleteEndpointBinding unbind{.endpoint_id = id, .resource_type = "scorer", .resource_id = binding.resource_id};
  REQUIRE(client.delete_endpoint_binding(unbind));
  CHECK(is_not_found(client.delete_endpoint_binding(unbind).error()));

  REQUIRE(client.set_gateway_endpoint_tag({.endpoint_id = id, .key = "k", .value = "v"}));
  CHECK(client.get_gateway_endpoint({.endpoint_id = id}).value().tags.at(0).value == "v");
  for (int i = 0; i < 2; ++i) REQUIRE(client.delete_gateway_endpoint_tag({.endpoint_id = id, .key = "k"}));
  REQUIRE(client.delete_gateway_endpoint({.endpoint_id = id}));
  CHECK(is_not_found(client.delete_gateway_endpoint({.endpoint_id = id}).error()));

  CHECK(is_not_found(client.get_gateway_endpoint({.endpoint_id = id}).error()));
  CHECK(is_not_found(client.update_gateway_endpoint(rename).error()));
  CHECK(is_not_found(client.attach_model_to_endpoint(attach).error()));
  CHECK(is_not_found(client.create_endpoint_binding(bind).error()));
  CHECK(is_not_found(client.set_gateway_endpoint_tag({.endpoint_id = id, .key = "k"}).error()));
  CHECK(is_not_found(client.delete_gateway_endpoint_tag({.endpoint_id = id, .key = "k"}).error()));
}

TEST_CASE("a budget lives: create, read, change, delete", "[contract][gateway]") {
  if (!gateway_here()) return;
  const Client& client = contract_client();
  CreateBudgetPolicy create;
  create.budget_amount = 10.5;
  create.duration = {.unit = BudgetDurationUnit::days, .value = 1};
  create.budget_action = BudgetAction::alert;
  const GatewayBudgetPolicy budget = client.create_budget_policy(create).value();
  const std::string& id = budget.budget_policy_id;
  CHECK(budget.target_scope == BudgetTargetScope::global);
  CHECK(client.get_budget_policy({.budget_policy_id = id}).value() == budget);
  CHECK(client.list_budget_policies({.max_results = 1}).value().items.size() == 1);
  const auto windows = client.list_budget_windows().value();
  CHECK(std::any_of(windows.begin(), windows.end(), [&](const BudgetWindow& w) { return w.budget_policy_id == id; }));
  const UpdateBudgetPolicy update{.budget_policy_id = id, .budget_amount = 11};
  for (int i = 0; i < 2; ++i) CHECK(client.update_budget_policy(update).value().budget_amount == 11);
  REQUIRE(client.delete_budget_policy({.budget_policy_id = id}));
  CHECK(is_not_found(client.delete_budget_policy({.budget_policy_id = id}).error()));
  CHECK(is_not_found(client.get_budget_policy({.budget_policy_id = id}).error()));
  CHECK(is_not_found(client.update_budget_policy(update).error()));
  CHECK(client.list_budget_policies({.page_token = "bad"}).error().code == Errc::rejected);
  create.target_scope = BudgetTargetScope::endpoint;
  CHECK(client.create_budget_policy(create).error().code == Errc::rejected);  // which one?
}

TEST_CASE("a guardrail lives: create, use, order, delete", "[contract][gateway]") {
  if (!gateway_here()) return;
  const Client& client = contract_client();
  const std::string endpoint = fresh_endpoint();
  const RegisteredScorer scorer =
      client.register_scorer({.experiment_id = fresh_experiment(), .name = "s", .serialized_scorer = "{}"}).value();
  CreateGatewayGuardrail create;
  create.name = "polite";
  create.scorer_id = scorer.scorer_id;
  create.scorer_version = 1;
  create.stage = GuardrailStage::before;
  create.action = GuardrailAction::validation;
  const GatewayGuardrail guardrail = client.create_gateway_guardrail(create).value();
  const std::string& id = guardrail.guardrail_id;
  CHECK(guardrail.scorer.scorer_name == "s");
  CHECK(client.get_gateway_guardrail({.guardrail_id = id}).value() == guardrail);
  CHECK(client.list_gateway_guardrails({.max_results = 1}).value().items.size() == 1);

  const AddGuardrailToEndpoint add{.endpoint_id = endpoint, .guardrail_id = id, .execution_order = 1};
  CHECK(client.add_guardrail_to_endpoint(add).value().execution_order == 1);
  CHECK(client.add_guardrail_to_endpoint(add).error().code == Errc::already_exists);
  const UpdateEndpointGuardrailConfig order{.endpoint_id = endpoint, .guardrail_id = id, .execution_order = 2};
  for (int i = 0; i < 2; ++i) CHECK(client.update_endpoint_guardrail_config(order).value().execution_order == 2);
  CHECK(client.list_endpoint_guardrail_configs({.endpoint_id = endpoint}).value().at(0).guardrail_id == id);
  const RemoveGuardrailFromEndpoint remove{.endpoint_id = endpoint, .guardrail_id = id};
  REQUIRE(client.remove_guardrail_from_endpoint(remove));
  CHECK(is_not_found(client.remove_guardrail_from_endpoint(remove).error()));
  CHECK(is_not_found(client.update_endpoint_guardrail_config(order).error()));
  REQUIRE(client.delete_gateway_guardrail({.guardrail_id = id}));
  CHECK(is_not_found(client.delete_gateway_guardrail({.guardrail_id = id}).error()));

  CHECK(is_not_found(client.get_gateway_guardrail({.guardrail_id = id}).error()));
  CHECK(is_not_found(client.add_guardrail_to_endpoint(add).error()));
  CHECK(is_not_found(client.list_endpoint_guardrail_configs({.endpoint_id = "none"}).error()));
  CHECK(client.list_gateway_guardrails({.page_token = "bad"}).error().code == Errc::rejected);
  create.scorer_version = 9;
  CHECK(is_not_found(client.create_gateway_guardrail(create).error()));
}

TEST_CASE("the gateway's catalogue is read", "[contract][gateway]") {
  if (!gateway_here()) return;
  const Client& client = contract_client();
  const auto providers = client.list_gateway_providers().value();
  CHECK(std::find(providers.begin(), providers.end(), "openai") != providers.end());
  const auto models = client.list_gateway_models({.provider = "openai"}).value();
  REQUIRE_FALSE(models.empty());
  CHECK(models[0].provider == "openai");
  CHECK(models[0].unknown_fields.empty());
  CHECK(client.list_gateway_models({}).error().code == Errc::invalid_argument);
  const ProviderConfig config = client.get_gateway_provider_config({.provider = "bedrock"}).value();
  CHECK(config.default_mode == "api_key");
  REQUIRE_FALSE(config.auth_modes.empty());
  CHECK_FALSE(config.auth_modes[0].secret_fields.at(0).name.empty());
  CHECK(config.auth_modes[0].unknown_fields.empty());
  CHECK(client.get_gateway_provider_config({}).error().code == Errc::invalid_argument);
  CHECK(client.get_gateway_secrets_config().value().secrets_available);
}
