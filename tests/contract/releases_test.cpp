// Servers that don't have an operation, servers of two releases behind one list, and calls past the table.

#include <mlflowha/api/json_call.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/api/server.hpp>
#include <mlflowha/testing/fake_server.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <string>

#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using Server = mlflowha::testing::ServerVersion;

namespace {

FakeServerOptions of(Server version) {
  FakeServerOptions options;
  options.version = version;
  return options;
}

Client client_of(const std::vector<std::string>& urls) {
  ClientOptions options;
  options.endpoints = urls;
  return Client::create(std::move(options)).value();
}

/// A request with nothing in it but what the path needs.
std::string least_request(const api::Operation& row) {
  nlohmann::json request = nlohmann::json::object();
  for (std::size_t open = row.path.find('{'); open != std::string_view::npos; open = row.path.find('{', open + 1)) {
    std::string place(row.path.substr(open + 1, row.path.find('}', open) - open - 1));
    if (place.back() == '*' || place.back() == '+') place.pop_back();
    std::replace(place.begin(), place.end(), '.', '/');
    request[nlohmann::json::json_pointer("/" + place)] = "x";
  }
  return request.dump();
}

}  // namespace

TEST_CASE("every operation that is newer than the server is refused before it is sent", "[contract][releases]") {
  if (contract_server().fake || contract_server().major >= 3) return;
  const Client& client = contract_client();
  int newer = 0;
  for (const api::Operation* row : api::operations) {
    if (row->since <= mlflowha::ServerVersion{2, 22, 5} || row->takes_bytes) continue;
    INFO(row->name);
    const auto answer = client.call(row->name, least_request(*row));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == Errc::unsupported_by_server);
    CHECK(answer.error().effect == Effect::none);
    ++newer;
  }
  CHECK(newer > 130);
}

TEST_CASE("an operation that the server doesn't have is refused with both releases in the text",
          "[contract][releases]") {
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  const auto removed = client.delete_experiment_tag({.experiment_id = experiment, .key = "k"});
  LogOutputs outputs;
  outputs.run_id = fresh_run().info.run_id;
  outputs.models.push_back({.model_id = "m-0123456789abcdef0123456789abcdef", .step = 1});
  const auto logged = client.log_outputs(outputs);
  const auto info = client.get_server_info();
  if (contract_server().major >= 3) {
    CHECK(is_not_found(removed.error()));  // MLflow's own: there is no such tag
    CHECK(info.value().store_type == "SqlStore");
    return;
  }
  for (const Error& error : {removed.error(), logged.error(), info.error()}) {
    CHECK(error.code == Errc::unsupported_by_server);
    CHECK(error.effect == Effect::none);
    CHECK_THAT(error.message, contains("needs MLflow >= 3."));
    for (const std::string& url : contract_server().urls) CHECK_THAT(error.message, contains(url));
    CHECK_THAT(error.message, contains("2."));
  }
  const HealthSnapshot health = client.health();
  for (const EndpointStatus& endpoint : health.endpoints) {
    CHECK(parse_server_version(endpoint.version).value().major == 2);
    CHECK(endpoint.failure_count == 0);
  }
}

TEST_CASE("servers of two releases behind one list", "[contract][releases]") {
  const auto backend = std::make_shared<FakeBackend>();
  FakeServer old(backend, of(Server::v2));
  FakeServer fresh(backend, of(Server::v3));
  const Client client = client_of({old.url(), fresh.url()});
  for (int i = 0; i < 5; ++i) {
    REQUIRE(client.set_experiment_tag({.experiment_id = "0", .key = "k", .value = "v"}));
    REQUIRE(client.delete_experiment_tag({.experiment_id = "0", .key = "k"}));
  }
  CHECK(client.health().endpoints[0].version == "2.22.5");
  CHECK(client.health().endpoints[1].version == "3.17.2");
  CHECK(backend->counts().by_path.at("/version") == 2);

  // The last old one is upgraded: its restart is seen, and so is what it runs now.
  old.stop();
  REQUIRE(client.get_health());
  old.set_version(Server::v3);
  old.start();
  fresh.stop();
  CHECK(client.get_server_info());
  CHECK(client.health().endpoints[0].version == "3.17.2");
}

TEST_CASE("a call by name, and one that the table doesn't have", "[contract][call]") {
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  const auto created = client.call(
      "create_run",
      nlohmann::json{{"experiment_id", experiment}, {"run_name", "by name"}, {"start_time", 1'700'000'000'000}}.dump());
  const auto run = nlohmann::json::parse(created.value()).at("run");
  CHECK(run.at("info").at("run_name") == "by name");
  const auto id = run.at("info").at("run_id").get<std::string>();
  const Run read = client.get_run(id).value();
  CHECK(std::any_of(read.data.tags.begin(), read.data.tags.end(),
                    [](const RunTag& tag) { return tag.key == api::request_tag_key; }));

  const CustomOperation search{.path = "/api/2.0/mlflow/runs/search", .idempotency = Idempotency::read};
  const auto found = client.call(search, nlohmann::json{{"experiment_ids", {experiment}}}.dump());
  CHECK(nlohmann::json::parse(found.value()).at("runs").size() == 1);
  const CustomOperation get{.method = Method::get, .path = "/api/2.0/mlflow/metrics/get-history"};
  REQUIRE(client.log_metric(id, "m", 1));
  const auto history = client.call(get, nlohmann::json{{"run_id", id}, {"metric_key", "m"}}.dump());
  CHECK(nlohmann::json::parse(history.value()).at("metrics").size() == 1);
  CHECK(is_not_found(client.call("get_run", R"({"run_id": "0123456789abcdef0123456789abcdef"})").error()));

  const CustomOperation nothing{.path = "/api/9.0/mlflow/things"};
  const Error missing = client.call(nothing, "{}").error();
  CHECK(missing.code == Errc::not_implemented);
  CHECK_THAT(missing.message, contains(contract_server().urls[0] + " runs " + std::to_string(contract_server().major)));
}

TEST_CASE("a run needs an experiment", "[contract][runs]") {
  CHECK(contract_client().create_run({}).error().code == Errc::invalid_argument);
  for (const std::string json : {"{}", R"({"experiment_id": ""})"}) {
    const Error error = contract_client().call("create_run", json).error();
    CHECK(error.http_status == 400);
    CHECK(error.error_code == "BAD_REQUEST");
  }
}
