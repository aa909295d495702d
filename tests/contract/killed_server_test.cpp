// Servers that die between the commit of a request and its reply, one call for every recipe and every kind of
// repetition: all of them meet the same death, so that one costs seconds. Runs in entries of its own
// (contract.mlflow-3.killed and so on), after the rest of the suite; the servers are started again when they have died.

#include "contract/killed_calls.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

TEST_CASE("what a killed server has carried out happens once", "[killed][once]") {
  const ContractServer& server = contract_server();
  REQUIRE_FALSE(server.kill_switch.empty());
  Killed killed;
  if (server.has_logins()) {
    add_auth_calls(killed);
  } else if (server.urls.size() == 1) {
    add_workspace_calls(killed);
  } else {
    add_tracking_calls(killed);
    add_registry_calls(killed);
    if (server.major >= 3) {
      add_logged_model_calls(killed);
      add_mcp_calls(killed);
      add_evaluation_calls(killed);
      add_gateway_calls(killed);
    }
  }
  killed.play();
}
