#include "contract/repeated_calls.hpp"

namespace mlflowha_tests {

void add_calls(Repeated& repeated) {
  const ContractServer& server = contract_server();
  if (server.has_logins()) {
    server.major >= 3 ? add_auth_calls(repeated) : add_auth_calls_of_2(repeated);
    return;
  }
  if (server.urls.size() == 1) {
    add_workspace_calls(repeated);
    add_job_calls(repeated);
    return;
  }
  add_tracking_calls(repeated);
  add_registry_calls(repeated);
  add_never_calls(repeated);
  if (server.major < 3) return;
  add_logged_model_calls(repeated);
  add_mcp_calls(repeated);
  add_evaluation_calls(repeated);
  add_gateway_calls(repeated);
  add_gateway_removals(repeated);
  add_never_calls_of_3(repeated);
}

}  // namespace mlflowha_tests
