// Servers that die between the commit of a request and its reply: all calls meet the same death, so that one costs
// seconds. Runs in entries of its own (contract.mlflow-3.killed and so on), after the rest of the suite; the servers
// are started again when they have died.

#include "contract/repeated_calls.hpp"

using namespace mlflowha_tests;

TEST_CASE("what a killed server has carried out happens once", "[killed][once]") {
  REQUIRE_FALSE(contract_server().kill_switch.empty());
  Repeated repeated;
  add_calls(repeated);
  repeated.play_killed();
}
