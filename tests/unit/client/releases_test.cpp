// Servers of different releases behind one list: who is asked for its release, who is left out of a call, and what
// people are told.

#include <mlflowha/api/auth.hpp>
#include <mlflowha/api/server.hpp>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "unit/client/engine_fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;
using Server = mlflowha::testing::ServerVersion;

namespace {

/// A cluster on one database whose servers are of these releases.
struct Mixed : Cluster {
  explicit Mixed(const std::vector<Server>& versions) : Cluster(static_cast<int>(versions.size())) {
    for (std::size_t i = 0; i < versions.size(); ++i) become(i, versions[i]);
    options.pool.check_identity = false;  // most tests count requests
  }
  void become(std::size_t i, Server version) { transport->add(name(static_cast<int>(i)), backend, version); }
  /// Requests of the path that reached server `i`, side probes included.
  [[nodiscard]] int asked(int i, const std::string& path) const {
    int count = 0;
    for (const Exchange& exchange : transport->exchanges(name(i))) {
      count += exchange.request.target.compare(0, path.size(), path) == 0 ? 1 : 0;
    }
    return count;
  }
  [[nodiscard]] std::string version(const Client& client, std::size_t i) const {
    return client.health().endpoints.at(i).version;
  }
};

Result<void> remove_tag(const Client& client, const CallOptions& options = {}) {
  return client.delete_experiment_tag({.experiment_id = "0", .key = "k"}, options);
}

Response page(int status, std::string body) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

const std::string remove_path = "/api/2.0/mlflow/experiments/delete-experiment-tag";

}  // namespace

TEST_CASE("what every release has costs no question", "[client][releases]") {
  Mixed cluster({Server::v2, Server::v3});
  cluster.options.pool.check_identity = true;
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  for (int i = 0; i < 20; ++i) REQUIRE(client.log_metric(run, "m", i, {.step = i}));
  CHECK(cluster.asked(0, "/version") + cluster.asked(1, "/version") == 0);
  CHECK(cluster.version(client, 0).empty());
}

TEST_CASE("an endpoint is asked for its release once, when a call needs to know it", "[client][releases]") {
  Mixed cluster({Server::v3});
  const Client client = cluster.client();
  for (int i = 0; i < 5; ++i) {
    REQUIRE(client.set_experiment_tag({.experiment_id = "0", .key = "k", .value = "v"}));
    REQUIRE(remove_tag(client));
    cluster.clock->advance(10min);  // new enough stays new enough
  }
  CHECK(cluster.asked(0, "/version") == 1);
  CHECK(cluster.version(client, 0) == "3.17.2");
  const auto health = nlohmann::json::parse(to_json(client.health()));
  CHECK(health.at("endpoints")[0].at("version") == "3.17.2");
}

TEST_CASE("the health page knows no release before it is asked for", "[client][releases][health]") {
  Mixed cluster({Server::v3});
  const Client client = cluster.client();
  REQUIRE(client.search_experiments({}));
  CHECK(nlohmann::json::parse(to_json(client.health())).at("endpoints")[0].at("version").is_null());
}

TEST_CASE("nobody is new enough: the answer is at once, and says who runs what", "[client][releases]") {
  Mixed cluster({Server::v2, Server::v2});
  const Client client = cluster.client();
  const Error error = remove_tag(client).error();
  CHECK(error.code == Errc::unsupported_by_server);
  CHECK(error.kind() == ErrorKind::not_implemented);
  CHECK(error.stop_reason == StopReason::unsupported);
  CHECK(error.effect == Effect::none);
  CHECK(error.message ==
        "delete_experiment_tag needs MLflow >= 3.2, but http://s0:5000 runs 2.22.5 (http://s1:5000: 2.22.5)");
  CHECK(cluster.asked(0, remove_path) + cluster.asked(1, remove_path) == 0);
  for (const EndpointStatus& endpoint : client.health().endpoints) {
    CHECK(endpoint.failure_count == 0);
    CHECK(endpoint.health == EndpointHealth::healthy);
  }
  // The second time nobody needs to be asked.
  cluster.transport->clear_exchanges();
  CHECK(cluster.time([&] { CHECK_FALSE(remove_tag(client)); }) == Duration::zero());
  CHECK(cluster.transport->exchanges().empty());
  CHECK(is_transient(error) == false);
}

TEST_CASE("one server: the text names it alone", "[client][releases]") {
  Mixed cluster({Server::v2});
  CHECK(cluster.client().get_server_info().error().message ==
        "get_server_info needs MLflow >= 3.10, but http://s0:5000 runs 2.22.5");
}

TEST_CASE("what only the newer know goes to the newer, the rest to whoever is first", "[client][releases]") {
  for (const Selection selection : {Selection::primary_first, Selection::p2c_ewma}) {
    Mixed cluster({Server::v2, Server::v3, Server::v2});
    cluster.options.pool.selection = selection;
    const Client client = cluster.client();
    for (int i = 0; i < 10; ++i) {
      REQUIRE(client.set_experiment_tag({.experiment_id = "0", .key = "k", .value = "v"}));
      REQUIRE(remove_tag(client));
    }
    CHECK(cluster.asked(1, remove_path) == 10);
    CHECK(cluster.asked(0, remove_path) + cluster.asked(2, remove_path) == 0);
    CHECK(cluster.asked(0, "/version") <= 1);
    CHECK(cluster.asked(1, "/version") == 1);
    CHECK(cluster.asked(0, "/api/2.0/mlflow/experiments/set-experiment-tag") > 0);
    CHECK(cluster.version(client, 1) == "3.17.2");
  }
}

TEST_CASE("identity comes first, then the release, then the call", "[client][releases]") {
  Mixed cluster({Server::v2, Server::v3});
  cluster.options.pool.check_identity = true;
  const Client client = cluster.client();
  REQUIRE(client.set_experiment_tag({.experiment_id = "0", .key = "k", .value = "v"}));
  REQUIRE(remove_tag(client));
  std::vector<std::string> purposes;
  for (const std::string& attempt : cluster.diary->attempts) purposes.push_back(attempt.substr(0, attempt.find(' ')));
  CHECK(purposes == std::vector<std::string>{"identify", "call", "version", "version", "call"});
}

TEST_CASE("if only the newer ones are down, the call waits for them", "[client][releases]") {
  Mixed cluster({Server::v2, Server::v3});
  const Client client = cluster.client();
  REQUIRE(client.set_experiment_tag({.experiment_id = "0", .key = "k", .value = "v"}));
  const bool known_before = GENERATE(false, true);
  if (known_before) {
    REQUIRE(remove_tag(client));
    REQUIRE(client.set_experiment_tag({.experiment_id = "0", .key = "k", .value = "v"}));
  }
  cluster.transport->set_faults(Cluster::name(1), {when().until(3s).refuse()});
  const Duration took = cluster.time([&] { REQUIRE(remove_tag(client)); });
  CHECK(took >= Duration(3s));
  CHECK(took <= Duration(10s));

  cluster.transport->set_faults(Cluster::name(1), {when().refuse()});
  const Error error = remove_tag(client, {.timeout = 2s}).error();
  CHECK(error.code != Errc::unsupported_by_server);
  CHECK(is_transient(error));
  CHECK_THAT(error.message, contains("delete_experiment_tag needs MLflow >= 3.2, but http://s0:5000 runs 2.22.5"));
}

TEST_CASE("an upgrade is noticed after the endpoint was away", "[client][releases]") {
  Mixed cluster({Server::v2});
  const Client client = cluster.client();
  REQUIRE(remove_tag(client).error().code == Errc::unsupported_by_server);
  cluster.transport->set_faults(Cluster::name(0), {when().times(1).refuse()});
  cluster.become(0, Server::v3);
  cluster.transport->set_faults(Cluster::name(0), {when().times(1).refuse()});
  REQUIRE(client.set_experiment_tag({.experiment_id = "0", .key = "k", .value = "v"}));
  CHECK(cluster.version(client, 0).empty());
  REQUIRE(remove_tag(client));
  CHECK(cluster.version(client, 0) == "3.17.2");
}

TEST_CASE("an upgrade that nobody saw is noticed within a minute", "[client][releases]") {
  Mixed cluster({Server::v2});
  const Client client = cluster.client();
  REQUIRE(remove_tag(client).error().code == Errc::unsupported_by_server);
  REQUIRE(client.set_experiment_tag({.experiment_id = "0", .key = "k", .value = "v"}));
  cluster.become(0, Server::v3);
  cluster.clock->advance(59s);
  CHECK(remove_tag(client).error().code == Errc::unsupported_by_server);
  cluster.clock->advance(2s);
  CHECK(remove_tag(client));
}

TEST_CASE("a rollback is noticed by the 404", "[client][releases]") {
  Mixed cluster({Server::v3});
  const Client client = cluster.client();
  REQUIRE(client.set_experiment_tag({.experiment_id = "0", .key = "k", .value = "v"}));
  REQUIRE(remove_tag(client));
  cluster.become(0, Server::v2);
  const Error error = remove_tag(client).error();
  CHECK(error.code == Errc::unsupported_by_server);
  CHECK(error.effect == Effect::none);
  CHECK(cluster.asked(0, remove_path) == 2);
  CHECK(cluster.version(client, 0) == "2.22.5");
}

TEST_CASE("an operator's orders and a reset make the client ask anew", "[client][releases]") {
  Mixed cluster({Server::v2});
  const Client client = cluster.client();
  REQUIRE_FALSE(remove_tag(client));
  REQUIRE(client.force_open());
  CHECK(cluster.version(client, 0).empty());
  cluster.become(0, Server::v3);
  REQUIRE(client.reset_circuit_breaker());
  CHECK(is_not_found(remove_tag(client).error()));  // asked of the new server: there is no such tag
}

TEST_CASE("a server that doesn't tell its release is tried", "[client][releases]") {
  const std::vector<Response> answers{page(401, "You are not authenticated."),
                                      page(403, ""),
                                      page(404, "<html>no</html>"),
                                      page(200, "<html>Sign in</html>"),
                                      page(200, "latest"),
                                      page(200, ""),
                                      page(500, "oops"),
                                      page(302, "")};
  for (const Response& answer : answers) {
    INFO(answer.status << " " << answer.body);
    Mixed cluster({Server::v3});
    cluster.transport->reply(Cluster::name(0), Method::get, "/version", answer, 0);
    const Client client = cluster.client();
    REQUIRE(client.set_experiment_tag({.experiment_id = "0", .key = "k", .value = "v"}));
    REQUIRE(remove_tag(client));
    REQUIRE_FALSE(remove_tag(client));
    CHECK(cluster.asked(0, "/version") == 1);
    CHECK(cluster.version(client, 0).empty());
    CHECK(client.health().endpoints[0].failure_count == 0);
    cluster.clock->advance(61s);
    REQUIRE_FALSE(remove_tag(client));
    CHECK(cluster.asked(0, "/version") == 2);  // once a minute
  }
}

TEST_CASE("the 404 of a server that doesn't tell its release is reported, with what the call needs",
          "[client][releases]") {
  Mixed cluster({Server::v2});
  cluster.transport->reply(Cluster::name(0), Method::get, "/version", page(403, ""), 0);
  const Client client = cluster.client();
  const Error error = remove_tag(client).error();
  CHECK(error.code == Errc::not_implemented);
  CHECK(error.http_status == 404);
  CHECK_THAT(error.message, contains("HTTP 404"));
  CHECK_THAT(error.message, contains("; delete_experiment_tag needs MLflow >= 3.2, but http://s0:5000 runs a release "
                                     "that it doesn't tell"));
  CHECK(cluster.asked(0, "/version") == 1);
}

TEST_CASE("an operation that the server should have, and hasn't: the release is found out for the report",
          "[client][releases]") {
  Mixed cluster({Server::v3});
  cluster.transport->reply(Cluster::name(0), Method::post, "/api/2.0/mlflow/runs/search", page(404, "no such page"), 0);
  cluster.transport->reply(Cluster::name(0), Method::post, "/api/2.0/mlflow/experiments/search",
                           page(404, R"({"error_code": "ENDPOINT_NOT_FOUND", "message": "no route"})"), 0);
  const Client client = cluster.client();
  for (int i = 0; i < 2; ++i) {
    const Error error = client.search_runs({.experiment_ids = {"0"}}).error();
    CHECK(error.code == Errc::not_implemented);
    CHECK(error.message == "HTTP 404: no such page; http://s0:5000 runs 3.17.2");
  }
  CHECK(cluster.asked(0, "/version") == 2);  // each time: it may have been changed since
  const Error error = client.search_experiments({}).error();
  CHECK(error.code == Errc::not_implemented);
  CHECK(error.message == "no route; http://s0:5000 runs 3.17.2");
  CHECK(cluster.asked(0, "/version") == 3);
  CHECK(cluster.health(client, 0) == EndpointHealth::healthy);
}

TEST_CASE("a question that gets no answer is retried elsewhere within the deadline", "[client][releases]") {
  Mixed cluster({Server::v3, Server::v3});
  cluster.transport->set_faults(Cluster::name(0), {when().path("/version").black_hole()});
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  REQUIRE(client.set_experiment_tag({.experiment_id = "0", .key = "k", .value = "v"}));
  const Duration took = cluster.time([&] { REQUIRE(remove_tag(client)); });
  CHECK(took >= Duration(2s));
  CHECK(took <= Duration(2s + 50ms));
  cluster.transport->set_faults(Cluster::name(1), {when().path("/version").black_hole()});
  REQUIRE(client.reset_circuit_breaker());
  const Duration all_silent = cluster.time([&] { CHECK_FALSE(remove_tag(client, {.timeout = 3s})); });
  CHECK(all_silent <= Duration(3s));
}

TEST_CASE("an operation that newer releases have no longer is refused with the releases in the text",
          "[client][releases]") {
  Mixed cluster({Server::v3});
  const Client client = cluster.client();
  const Error error = client.get_experiment_permission({.experiment_id = "0", .username = "bob"}).error();
  CHECK(error.code == Errc::not_implemented);
  CHECK_THAT(error.message, contains("get_experiment_permission needs MLflow < 3.13, but http://"));
  CHECK_THAT(error.message, contains("runs 3."));
}
