// Proxies that drop the reply to what the server has carried out, for the same calls as killed_server_test.cpp.

#include "contract/repeated_calls.hpp"

using namespace mlflowha_tests;

TEST_CASE("what a server has carried out without an answer happens once", "[contract][once]") {
  if (contract_server().fake) return;  // it has not all of the calls
  Repeated repeated;
  add_calls(repeated);
  repeated.play_dropped();
}
