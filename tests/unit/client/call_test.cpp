// Client::call: operations by name and by hand, as resilient as the typed calls.

#include <mlflowha/api/json_call.hpp>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "unit/client/engine_fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

TEST_CASE("an operation of the table is called by its name", "[client][call]") {
  Cluster cluster(2);
  const Client client = cluster.client();
  const auto answer = client.call("create_run", R"({"experiment_id": "0", "run_name": "by name"})");
  const auto run = nlohmann::json::parse(answer.value()).at("run");
  CHECK(run.at("info").at("run_name") == "by name");
  const auto id = run.at("info").at("run_id").get<std::string>();
  CHECK(cluster.backend->run(id)->tags.count(std::string(api::request_tag_key)) == 1);
  const auto read = client.call("get_run", nlohmann::json{{"run_id", id}}.dump());
  CHECK(nlohmann::json::parse(read.value()).at("run").at("info").at("run_id") == id);
  CHECK(client.call("get_health", "{}").value() == "OK");
  CHECK(is_not_found(client.call("get_run", R"({"run_id": "0123456789abcdef0123456789abcdef"})").error()));
}

TEST_CASE("a create by name happens once, too", "[client][call][once]") {
  Cluster cluster(2, {{when().path("runs/create").times(1).apply_then_drop()}});
  const Client client = cluster.client();
  const auto answer = client.call("create_run", R"({"experiment_id": "0"})").value();
  REQUIRE(cluster.backend->runs().size() == 1);
  CHECK(nlohmann::json::parse(answer).at("run").at("info").at("run_id") == cluster.backend->runs()[0].run_id);

  Cluster named(2, {{when().path("experiments/create").times(1).apply_then_drop()}});
  CHECK(named.client().call("create_experiment", R"({"name": "n"})"));
}

TEST_CASE("an operation by name that must happen once counts its repetition's error as success",
          "[client][call][once]") {
  Cluster cluster(1, {{when().path("delete-tag").times(1).apply_then_drop()}});
  const Client client = cluster.client();
  const std::string id = client.create_run({.experiment_id = "0"}).value().info.run_id;
  REQUIRE(client.set_tag(id, "k", "v"));
  CHECK(client.call("delete_tag", nlohmann::json{{"run_id", id}, {"key", "k"}}.dump()));
}

TEST_CASE("an operation that nobody has in a table", "[client][call]") {
  Cluster cluster(2);
  const Client client = cluster.client();
  const CustomOperation read{.method = Method::get, .path = "/api/2.0/mlflow/experiments/get"};
  CHECK(nlohmann::json::parse(client.call(read, R"({"experiment_id": "0"})").value()).at("experiment").at("name") ==
        "Default");
  const CustomOperation write{.path = "/api/2.0/mlflow/experiments/set-experiment-tag"};
  CHECK(client.call(write, R"({"experiment_id": "0", "key": "k", "value": "v"})").value() == "{}");
  CHECK(cluster.backend->experiments()[0].tags.at("k") == "v");
  const CustomOperation text{.method = Method::get, .path = "/version", .answer = api::AnswerKind::text};
  CHECK(client.call(text, "{}").value() == "3.17.2");
}

TEST_CASE("a write by hand is not sent twice unless its class says so", "[client][call][once]") {
  const std::string path = "/api/2.0/mlflow/experiments/set-experiment-tag";
  const std::string json = R"({"experiment_id": "0", "key": "k", "value": "v"})";
  for (const bool again : {false, true}) {
    Cluster cluster(2, {{when().path(path).times(1).apply_then_drop()}});
    CustomOperation operation{.path = path};
    if (again) operation.idempotency = Idempotency::same_again;
    const auto answer = cluster.client().call(operation, json);
    CHECK(answer.has_value() == again);
    CHECK(cluster.backend->counts().by_path.at(path) == (again ? 2 : 1));
    if (!again) {
      CHECK(answer.error().effect == Effect::unknown);
      CHECK(answer.error().stop_reason == StopReason::non_idempotent);
    }
  }
  Cluster cluster(1, {{when().path("delete-experiment-tag").times(1).apply_then_drop()}});
  const Client client = cluster.client();
  REQUIRE(client.call("set_experiment_tag", json));
  CHECK(client.call(CustomOperation{.path = "/api/2.0/mlflow/experiments/delete-experiment-tag",
                                    .idempotency = Idempotency::once,
                                    .already_done = {"RESOURCE_DOES_NOT_EXIST", ""}},
                    R"({"experiment_id": "0", "key": "k"})"));
}

TEST_CASE("a release may be asked for by hand", "[client][call][releases]") {
  Cluster cluster(1);
  const Client client = cluster.client();
  const CustomOperation later{.path = "/api/4.0/mlflow/things", .since = {4, 1, 2}};
  const Error error = client.call(later, "{}").error();
  CHECK(error.code == Errc::unsupported_by_server);
  CHECK(error.message == "POST /api/4.0/mlflow/things needs MLflow >= 4.1.2, but http://s0:5000 runs 3.17.2");

  const CustomOperation whenever{.path = "/api/4.0/mlflow/things"};
  const Error missing = client.call(whenever, "{}").error();
  CHECK(missing.code == Errc::not_implemented);
  CHECK(missing.effect == Effect::none);
  CHECK_THAT(missing.message, contains("; http://s0:5000 runs 3.17.2"));
  CHECK(cluster.backend->counts().by_path.at("/api/4.0/mlflow/things") == 1);
}

TEST_CASE("nothing is sent for what can't be right", "[client][call]") {
  Cluster cluster(1);
  const Client client = cluster.client();
  const auto fault = [](const Result<std::string>& result) {
    CHECK(result.error().code == Errc::invalid_argument);
    return result.error().message;
  };
  CHECK(fault(client.call("create_rum", "{}")) ==
        "operation is \"create_rum\", expected a name of the table, perhaps create_run");
  CHECK(fault(client.call("frobnicate\n", "{}")) == "operation is \"frobnicate\\x0A\", expected a name of the table");
  CHECK_THAT(fault(client.call("create_run", "[]")), contains("create_run: the request is no JSON object"));
  CHECK_THAT(fault(client.call("get_run", R"({"run_id": {"a": 1}})")), contains("get_run: run_id is an object"));
  CHECK_THAT(fault(client.call(CustomOperation{.path = "/x/{a}"}, "{}")), contains("POST /x/{a}: a is missing"));
  CHECK_THAT(fault(client.call(CustomOperation{.path = "x"}, "{}")), contains("custom operation: path is \"x\""));
  CHECK(cluster.transport->exchanges().empty());
}
