#ifndef MLFLOWHA_CLIENT_IMPL_RECIPE_GATEWAY_IPP
#define MLFLOWHA_CLIENT_IMPL_RECIPE_GATEWAY_IPP

// Recipes of the AI gateway's administration. Its objects have unique names, or exist once for two ids, and no place
// for a request tag: what the create said is compared with what is there; the engine asks only after a sending of ours
// whose fate is unknown.

#include <mlflowha/api/gateway_codec.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/client/impl/recipe_support.ipp>

#include <map>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

// --- find_gateway_secret: a server reads a secret by its id only, so they are listed

MLFLOWHA_INLINE Result<Request> look_for_gateway_secret(const RecipeKey&) {
  return request_of(api::prepare_list_gateway_secret_infos(ListGatewaySecretInfos()));
}

/// Whether `mask`, e.g. "sk-...5678", can stand for `value`. A short value is all mask.
[[nodiscard]] MLFLOWHA_INLINE bool can_mask(std::string_view mask, std::string_view value) noexcept {
  const std::size_t dots = mask.find("...");
  if (dots == std::string_view::npos) return true;
  const std::string_view front = mask.substr(0, dots);
  const std::string_view back = mask.substr(dots + 3);
  return value.size() >= front.size() + back.size() && value.substr(0, front.size()) == front &&
         value.substr(value.size() - back.size()) == back;
}

/// Servers strip the address, and drop one that is blank.
[[nodiscard]] MLFLOWHA_INLINE std::map<std::string, std::string> config_as_kept(
    std::map<std::string, std::string> config) {
  const auto address = config.find("api_base");
  if (address == config.end()) return config;
  address->second = stripped(address->second);
  if (address->second.empty()) config.erase(address);
  return config;
}

MLFLOWHA_INLINE Result<Finding> read_gateway_secrets(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateGatewaySecret>(key);
  if (!said) return said.error();
  const auto secrets = api::decode_list_gateway_secret_infos(response.body);
  if (!secrets) return secrets.error();
  for (const GatewaySecretInfo& there : *secrets) {
    if (there.secret_name != said->secret_name) continue;
    const bool masks = std::equal(said->secret_value.begin(), said->secret_value.end(), there.masked_values.begin(),
                                  there.masked_values.end(), [](const auto& ours, const auto& theirs) {
                                    return ours.first == theirs.first && can_mask(theirs.second, ours.second.reveal());
                                  });
    const bool same = masks && said->provider == there.provider &&
                      config_as_kept(said->auth_config) == there.auth_config &&
                      as_said(said->created_by, there.created_by);
    return same ? found_as("secret", api::to_json(there), there.secret_id) : Finding();
  }
  return Finding();
}

inline constexpr RecipeRow gateway_secret_recipe{&api::ops::list_gateway_secret_infos, look_for_gateway_secret,
                                                 read_gateway_secrets};

// --- find_gateway_model_definition

MLFLOWHA_INLINE Result<Request> look_for_model_definition(const RecipeKey&) {
  return request_of(api::prepare_list_gateway_model_definitions(ListGatewayModelDefinitions()));
}

MLFLOWHA_INLINE Result<Finding> read_model_definitions(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateGatewayModelDefinition>(key);
  if (!said) return said.error();
  const auto definitions = api::decode_list_gateway_model_definitions(response.body);
  if (!definitions) return definitions.error();
  for (const GatewayModelDefinition& there : *definitions) {
    if (there.name != said->name) continue;
    const bool same = said->secret_id == there.secret_id && said->provider == there.provider &&
                      said->model_name == there.model_name && as_said(said->created_by, there.created_by);
    return same ? found_as("model_definition", api::to_json(there), there.model_definition_id) : Finding();
  }
  return Finding();
}

inline constexpr RecipeRow gateway_model_definition_recipe{&api::ops::list_gateway_model_definitions,
                                                           look_for_model_definition, read_model_definitions};

// --- find_gateway_endpoint

MLFLOWHA_INLINE Result<Request> look_for_gateway_endpoint(const RecipeKey& key) {
  GetGatewayEndpoint get;
  get.name = key.scope;
  return request_of(api::prepare_get_gateway_endpoint(get));
}

/// Whether an endpoint uses a model as `said`.
[[nodiscard]] MLFLOWHA_INLINE bool uses_as_said(const GatewayEndpointModelMapping& there,
                                                const GatewayEndpointModelConfig& said) {
  return there.model_definition_id == said.model_definition_id && there.linkage_type == said.linkage_type &&
         there.weight == said.weight && (!said.fallback_order || there.fallback_order == said.fallback_order);
}

MLFLOWHA_INLINE Result<Finding> read_gateway_endpoint(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateGatewayEndpoint>(key);
  if (!said) return said.error();
  const auto there = api::decode_get_gateway_endpoint(response.body);
  if (!there) return there.error();
  const auto is_there = [&](const GatewayEndpointModelConfig& config) {
    return std::any_of(there->model_mappings.begin(), there->model_mappings.end(),
                       [&](const GatewayEndpointModelMapping& mapping) { return uses_as_said(mapping, config); });
  };
  const bool same =
      said->model_configs.size() == there->model_mappings.size() &&
      std::all_of(said->model_configs.begin(), said->model_configs.end(), is_there) &&
      as_said(said->created_by, there->created_by) && as_said(said->routing_strategy, there->routing_strategy) &&
      (!said->fallback_config || said->fallback_config == there->fallback_config) &&
      as_said(said->experiment_id, there->experiment_id) && as_said(said->usage_tracking, there->usage_tracking);
  return same ? found_as("endpoint", api::to_json(*there), there->endpoint_id) : Finding();
}

inline constexpr RecipeRow gateway_endpoint_recipe{&api::ops::get_gateway_endpoint, look_for_gateway_endpoint,
                                                   read_gateway_endpoint};

// --- find_attached_model

MLFLOWHA_INLINE Result<Request> look_for_attached_model(const RecipeKey& key) {
  GetGatewayEndpoint get;
  get.endpoint_id = key.scope;
  return request_of(api::prepare_get_gateway_endpoint(get));
}

MLFLOWHA_INLINE Result<Finding> read_attached_model(const RecipeKey& key, const Response& response) {
  const auto said = request_said<AttachModelToEndpoint>(key);
  if (!said) return said.error();
  const auto endpoint = api::decode_get_gateway_endpoint(response.body);
  if (!endpoint) return endpoint.error();
  for (const GatewayEndpointModelMapping& there : endpoint->model_mappings) {
    if (!uses_as_said(there, said->model_config) || !as_said(said->created_by, there.created_by)) continue;
    return found_as("mapping", api::to_json(there), there.mapping_id);
  }
  return Finding();
}

inline constexpr RecipeRow attached_model_recipe{&api::ops::get_gateway_endpoint, look_for_attached_model,
                                                 read_attached_model};

// --- find_endpoint_binding

MLFLOWHA_INLINE Result<Request> look_for_endpoint_binding(const RecipeKey& key) {
  const auto said = request_said<CreateEndpointBinding>(key);
  if (!said) return said.error();
  ListEndpointBindings list;
  list.endpoint_id = said->endpoint_id;
  list.resource_type = said->resource_type;
  list.resource_id = said->resource_id;
  return request_of(api::prepare_list_endpoint_bindings(list));
}

MLFLOWHA_INLINE Result<Finding> read_endpoint_binding(const RecipeKey& key, const Response& response) {
  const auto said = request_said<CreateEndpointBinding>(key);
  if (!said) return said.error();
  const auto bindings = api::decode_list_endpoint_bindings(response.body);
  if (!bindings) return bindings.error();
  for (const GatewayEndpointBinding& there : *bindings) {
    if (there.endpoint_id != said->endpoint_id || there.resource_type != said->resource_type ||
        there.resource_id != said->resource_id || !as_said(said->created_by, there.created_by)) {
      continue;
    }
    return found_as("binding", api::to_json(there), there.resource_id);
  }
  return Finding();
}

inline constexpr RecipeRow endpoint_binding_recipe{&api::ops::list_endpoint_bindings, look_for_endpoint_binding,
                                                   read_endpoint_binding};

// --- find_endpoint_guardrail

MLFLOWHA_INLINE Result<Request> look_for_endpoint_guardrail(const RecipeKey& key) {
  ListEndpointGuardrailConfigs list;
  list.endpoint_id = key.scope;
  return request_of(api::prepare_list_endpoint_guardrail_configs(list));
}

MLFLOWHA_INLINE Result<Finding> read_endpoint_guardrail(const RecipeKey& key, const Response& response) {
  const auto said = request_said<AddGuardrailToEndpoint>(key);
  if (!said) return said.error();
  const auto configs = api::decode_list_endpoint_guardrail_configs(response.body);
  if (!configs) return configs.error();
  for (const GatewayGuardrailConfig& there : *configs) {
    if (there.guardrail_id != said->guardrail_id ||
        (said->execution_order && there.execution_order != said->execution_order)) {
      continue;
    }
    return found_as("config", api::to_json(there), there.guardrail_id);
  }
  return Finding();
}

inline constexpr RecipeRow endpoint_guardrail_recipe{&api::ops::list_endpoint_guardrail_configs,
                                                     look_for_endpoint_guardrail, read_endpoint_guardrail};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
