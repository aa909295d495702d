#include <mlflowha/api/operation.hpp>
#include <mlflowha/api/server.hpp>

#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

TEST_CASE("the server says what it is", "[contract][server]") {
  const Client& client = contract_client();
  CHECK(client.get_health().value() == "OK");
  const auto version = parse_server_version(client.get_server_version().value());
  REQUIRE(version);
  CHECK(version->major == contract_server().major);
  const auto info = client.get_server_info();
  if (contract_server().major < 3) {
    REQUIRE_FALSE(info);
    CHECK(info.error().code == Errc::unsupported_by_server);
  } else {
    CHECK(info.value().store_type == "SqlStore");
  }
}

TEST_CASE("all endpoints of a healthy cluster are known to share a database", "[contract][server]") {
  const Client& client = contract_client();
  // Side probes travel with calls: some calls, and every endpoint has been contacted.
  for (int i = 0; i < 50; ++i) REQUIRE(client.get_health());
  const HealthSnapshot health = client.health();
  CHECK(health.state == BreakerState::closed);
  for (const EndpointStatus& endpoint : health.endpoints) {
    INFO(endpoint.url << " " << endpoint.last_error);
    CHECK(endpoint.identified);
    CHECK(endpoint.health != EndpointHealth::refused);
  }
}

TEST_CASE("what a run used and made is recorded", "[contract][server]") {
  const Client& client = contract_client();
  const std::string id = fresh_run().info.run_id;
  LogModel model;
  model.run_id = id;
  model.model_json =
      R"({"run_id": ")" + id + R"(", "artifact_path": "model", "utc_time_created": "2026-01-01", "flavors": {}})";
  REQUIRE(client.log_model(model));
  LogOutputs outputs;
  outputs.run_id = id;
  outputs.models.push_back({.model_id = "m-0123456789abcdef0123456789abcdef", .step = 1});
  const auto logged = client.log_outputs(outputs);
  if (contract_server().major < 3) {
    CHECK_FALSE(logged);
  } else {
    CHECK(logged);
  }
}
