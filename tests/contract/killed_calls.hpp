#ifndef MLFLOWHA_TESTS_CONTRACT_KILLED_CALLS_HPP
#define MLFLOWHA_TESTS_CONTRACT_KILLED_CALLS_HPP

// The calls of killed_server_test.cpp, by group. Each function makes what its calls need, and adds the calls.

#include <mlflowha/api/logged_models.hpp>

#include "contract/killed.hpp"

namespace mlflowha_tests {

void add_tracking_calls(Killed& killed);
void add_registry_calls(Killed& killed);
void add_logged_model_calls(Killed& killed);
void add_mcp_calls(Killed& killed);
void add_evaluation_calls(Killed& killed);
void add_gateway_calls(Killed& killed);
void add_workspace_calls(Killed& killed);
void add_auth_calls(Killed& killed);

}  // namespace mlflowha_tests

#endif
