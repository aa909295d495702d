#ifndef MLFLOWHA_TESTS_CONTRACT_MADE_HPP
#define MLFLOWHA_TESTS_CONTRACT_MADE_HPP

// What several files of the contract suite need to have before they start: traces, objects of the gateway, webhooks,
// users.

#include <mlflowha/api/all.hpp>

#include <cstdint>
#include <string>

#include "contract/server.hpp"

namespace mlflowha_tests {

/// A trace with an id of its own.
mlflowha::StartTrace new_trace(const std::string& experiment);
/// Ids.
std::string fresh_trace(const std::string& experiment);
std::string fresh_trace_v2(const std::string& experiment, std::int64_t timestamp_ms = 1'700'000'000'000);

mlflowha::CreateGatewaySecret new_secret();
mlflowha::CreateGatewayModelDefinition new_model_definition();
mlflowha::CreateGatewayEndpoint new_endpoint();
/// Of a scorer of its own, in an experiment of its own.
mlflowha::CreateGatewayGuardrail new_guardrail();
mlflowha::CreateBudgetPolicy new_budget();
/// Ids.
std::string fresh_secret();
std::string fresh_model_definition();
std::string fresh_endpoint();
std::string fresh_guardrail();

/// Disabled, so that nothing is sent while other tests register models.
mlflowha::CreateWebhook new_webhook(const std::string& url);

inline const std::string user_password = "correct-horse-battery";
/// The name of a user with that password.
std::string fresh_user();

}  // namespace mlflowha_tests

#endif
