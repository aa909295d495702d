// The part of docs/testing.md that needs sockets.

#include <mlflowha/testing/testing.hpp>

#include <string>

#include "testing_support.hpp"

using namespace mlflowha::testing;

TEST_CASE("the manual: a server with sockets", "[testing][fault][manual]") {
  FakeServer server;
  server.set_faults(FaultScript::parse("when share 5% -> apply_then_drop").value());
  const std::string url = server.url();  // http://127.0.0.1:PORT
  const auto endpoint = mlflowha::parse_uri(url).value();
  for (int i = 0; i < 100; ++i)
    static_cast<void>(mlflowha_tests::attempt(endpoint, mlflowha_tests::create_run_request()));
  CHECK(server.backend()->counts().runs == 100);
  CHECK(server.fault_counts().at(0).fired > 0);
}
