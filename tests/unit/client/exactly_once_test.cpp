#include "unit/client/engine_fixture.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

std::size_t active_runs(const FakeBackend& backend) {
  const auto runs = backend.runs();
  return static_cast<std::size_t>(
      std::count_if(runs.begin(), runs.end(), [](const StoredRun& run) { return run.lifecycle_stage == "active"; }));
}

std::size_t requests_to(const Cluster& cluster, std::string_view path) {
  const std::vector<Exchange> exchanges = cluster.transport->exchanges();
  return static_cast<std::size_t>(std::count_if(exchanges.begin(), exchanges.end(), [&](const Exchange& exchange) {
    return exchange.request.target.find(path) != std::string::npos;
  }));
}

}  // namespace

TEST_CASE("a run whose reply was lost is found by its tag and not made again", "[client][once]") {
  const std::vector<FaultRule> rules{when().path("runs/create").times(1).apply_then_drop(),
                                     when().path("runs/create").times(1).apply_then_status(502),
                                     when().path("runs/create").times(1).apply_then_status(200, "<html>proxy</html>")};
  for (const FaultRule& rule : rules) {
    INFO(to_string(rule));
    Cluster cluster(3, {{rule}});
    const Client client = cluster.client();
    const Run run = client.create_run({.experiment_id = "0", .run_name = "lost", .tags = {{"k", "v"}}}).value();
    CHECK(active_runs(*cluster.backend) == 1);
    const auto stored = cluster.backend->run(run.info.run_id);
    REQUIRE(stored.has_value());
    CHECK(run.info.run_name == "lost");
    CHECK(run.info.start_time == stored->start_time);
    CHECK(stored->tags.at("k") == "v");
    CHECK(client.health().twins_watched == 0);  // its fate is known
  }
}

TEST_CASE("a create whose answer there was no memory for is looked for", "[client][once]") {
  // Whatever was carried out: what the transport says is that the request went out and the answer couldn't be taken.
  const TransportFailure no_memory{TransportFault::bad_request, Progress::sent, "out of memory", 0};
  Cluster cluster(2);
  cluster.transport->reply(Cluster::name(0), Method::post, "/api/2.0/mlflow/runs/create", no_memory);
  const Client client = cluster.client();
  const Run run = client.create_run({.experiment_id = "0"}).value();
  CHECK(cluster.backend->run(run.info.run_id).has_value());
  CHECK(client.health().twins_watched == 1);
  const std::vector<Exchange> exchanges = cluster.transport->exchanges();
  CHECK(std::any_of(exchanges.begin(), exchanges.end(), [](const Exchange& exchange) {
    return exchange.request.target.find("runs/search") != std::string::npos;
  }));

  Cluster deaf(1);
  deaf.transport->reply(Cluster::name(0), Method::post, "/api/2.0/mlflow/", no_memory, 0);
  CHECK(deaf.client().create_run({.experiment_id = "0"}).error().effect == Effect::unknown);
}

TEST_CASE("a run whose request was lost is made by the second sending", "[client][once]") {
  Cluster cluster(3, {{when().path("runs/create").times(1).drop_before()}});
  const Client client = cluster.client();
  const Run run = client.create_run({.experiment_id = "0"}).value();
  CHECK(active_runs(*cluster.backend) == 1);
  CHECK(cluster.backend->run(run.info.run_id).has_value());
  CHECK(client.health().twins_watched == 1);  // the first sending might still be carried out
}

TEST_CASE("a create is not sent again before a look has succeeded", "[client][once]") {
  // Every search fails: nothing proves that the run isn't there.
  Cluster cluster(2);
  for (int i = 0; i < 2; ++i) {
    cluster.transport->set_faults(Cluster::name(i), {when().path("runs/create").times(1).apply_then_drop(),
                                                     when().path("runs/search").status(503, "")});
  }
  const Client client = cluster.client();
  const Error error = client.create_run({.experiment_id = "0"}).error();
  CHECK(error.effect == Effect::unknown);
  CHECK_THAT(error.message, contains("mlflowha.request_id = "));
  CHECK(cluster.backend->counts().runs == 1);
}

TEST_CASE("the late twin of a stopped server is found along with later calls and removed", "[client][once][twins]") {
  Cluster cluster(2, {{when().path("runs/create").times(1).apply_late(30s, true)}});
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  const Run run = client.create_run({.experiment_id = "0"}).value();
  CHECK(active_runs(*cluster.backend) == 1);
  for (int second = 0; second < 120; ++second) {
    cluster.clock->advance(1s);
    // Never waited for: looks and removals travel along.
    CHECK(cluster.time([&] { REQUIRE(client.log_metric(run.info.run_id, "m", second, {.step = second})); }) <=
          Duration(2s + 10ms));
  }
  CHECK(cluster.backend->counts().runs == 2);
  CHECK(active_runs(*cluster.backend) == 1);
  CHECK(cluster.backend->run(run.info.run_id)->lifecycle_stage == "active");
  REQUIRE(cluster.diary->twins.size() == 1);
  CHECK_THAT(cluster.diary->twins[0], ends_with(" removed"));
}

TEST_CASE("reconcile finds and removes late twins on demand", "[client][once][twins]") {
  Cluster cluster(2, {{when().path("runs/create").times(1).apply_late(5s, true)}});
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  const Run run = client.create_run({.experiment_id = "0"}).value();
  CHECK(client.reconcile().value().twins.empty());
  cluster.clock->advance(10s);
  CHECK(active_runs(*cluster.backend) == 2);
  const ReconcileReport report = client.reconcile().value();
  CHECK(report.looked_after == 1);
  REQUIRE(report.twins.size() == 1);
  CHECK(report.twins[0].kept_id == run.info.run_id);
  CHECK(report.twins[0].removed);
  CHECK(active_runs(*cluster.backend) == 1);
}

TEST_CASE("reconcile goes on behind a twin that it can't remove, and says so", "[client][once][twins]") {
  Cluster cluster(2);
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  for (int i = 0; i < 2; ++i) {
    REQUIRE(client.reset_circuit_breaker());
    cluster.transport->set_faults(Cluster::name(0), {when().path("runs/create").times(1).apply_late(40s, true)});
    REQUIRE(client.create_run({.experiment_id = "0"}));
  }
  // Between two looks that travel along with calls.
  for (int second = 0; second < 45; ++second) {
    cluster.clock->advance(1s);
    if (second < 34) static_cast<void>(client.get_health());
  }
  REQUIRE(active_runs(*cluster.backend) == 4);
  const FaultRule forbids = when().path("runs/delete").times(1).error("PERMISSION_DENIED", "Permission denied");
  for (int i = 0; i < 2; ++i) cluster.transport->set_faults(Cluster::name(i), {forbids});
  const auto report = client.reconcile();
  REQUIRE_FALSE(report);
  CHECK(report.error().code == Errc::permission_denied);
  CHECK(active_runs(*cluster.backend) == 3);
  REQUIRE(cluster.diary->twins.size() == 2);
  CHECK_THAT(cluster.diary->twins[0], ends_with(" found"));
  CHECK_THAT(cluster.diary->twins[1], ends_with(" removed"));
}

TEST_CASE("a stranger's run is never adopted or removed, whatever a search answers", "[client][once][twins][hostile]") {
  Cluster cluster(2, {{when().path("runs/create").times(1).apply_late(5s, true)}});
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  const std::string stranger = client.create_run({.experiment_id = "0"}).value().info.run_id;
  // A server that ignores filters: every search is answered with the stranger's run.
  const std::string answer = R"({"runs": [{"info": {"run_id": ")" + stranger + R"("}, "data": {}}]})";
  for (int i = 0; i < 2; ++i) {
    cluster.transport->set_faults(Cluster::name(i), {when().path("runs/create").times(1).drop_before(),
                                                     when().path("runs/search").status(200, answer)});
  }
  const std::string mine = client.create_run({.experiment_id = "0"}).value().info.run_id;
  CHECK(mine != stranger);
  CHECK(client.reconcile().value().twins.empty());
  CHECK(cluster.backend->run(stranger)->lifecycle_stage == "active");
}

TEST_CASE("a run that is made with another run's tags is a run of its own", "[client][once]") {
  Cluster cluster(2, {{when().path("runs/create").nth(2).drop_before()}});
  const Client client = cluster.client();
  const Run old = client.create_run({.experiment_id = "0", .tags = {{"k", "v"}}}).value();
  const std::vector<RunTag> tags = client.get_run({.run_id = old.info.run_id}).value().data.tags;
  SECTION("by the typed call") {
    const Run copy = client.create_run({.experiment_id = "0", .tags = tags}).value();
    CHECK(copy.info.run_id != old.info.run_id);
  }
  SECTION("by its JSON") {
    nlohmann::json create = {{"experiment_id", "0"}};
    for (const RunTag& tag : tags) create["tags"].push_back({{"key", tag.key}, {"value", tag.value}});
    REQUIRE(client.call("create_run", create.dump()));
  }
  CHECK(active_runs(*cluster.backend) == 2);
  CHECK(cluster.backend->runs_sharing_tag(api::request_tag_key).empty());
}

TEST_CASE("a create in the other spelling of MLflow's JSON is looked for, too", "[client][once]") {
  Cluster cluster(2, {{when().path("runs/create").times(1).apply_then_drop()}});
  const Client client = cluster.client();
  const auto made = client.call("create_run", R"({"experimentId": "0"})");
  REQUIRE(made);
  CHECK(cluster.backend->counts().runs == 1);
  CHECK(client.health().twins_watched == 0);
}

TEST_CASE("a create that can't be looked for keeps nobody from looking after the others", "[client][once][twins]") {
  Cluster cluster(2, {{when().path("runs/create").times(1).apply_late(5s, true)}});
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  const Run run = client.create_run({.experiment_id = "0"}).value();
  for (int i = 0; i < 2; ++i) {
    cluster.transport->set_faults(Cluster::name(i), {when().path("runs/create").times(1).status(502)});
  }
  const auto failed = client.call("create_run", "{}");  // a search needs the experiment's id
  REQUIRE_FALSE(failed);
  CHECK(failed.error().effect == Effect::unknown);
  cluster.clock->advance(10s);
  const auto report = client.reconcile();
  REQUIRE(report);
  REQUIRE(report->twins.size() == 1);
  CHECK(report->twins[0].kept_id == run.info.run_id);
}

TEST_CASE("a run that was given the tags of a watched one is no twin", "[client][once][twins]") {
  Cluster cluster(2, {{when().path("runs/create").times(1).drop_before()}});
  const Client client = cluster.client();
  const Run old = client.create_run({.experiment_id = "0"}).value();
  REQUIRE(client.health().twins_watched == 1);
  cluster.clock->advance(1s);
  const Run copy = client.create_run({.experiment_id = "0"}).value();
  const Run read = client.get_run({.run_id = old.info.run_id}).value();
  for (const RunTag& tag : read.data.tags) {
    REQUIRE(client.set_tag(copy.info.run_id, tag.key, tag.value));
  }
  REQUIRE(cluster.backend->runs_sharing_tag(api::request_tag_key).size() == 1);
  CHECK(client.reconcile().value().twins.empty());
  CHECK(active_runs(*cluster.backend) == 2);

  // Nor is it when the other is gone.
  REQUIRE(client.delete_run({.run_id = old.info.run_id}));
  CHECK(client.reconcile().value().twins.empty());
  for (int second = 0; second < 120; ++second) {
    cluster.clock->advance(1s);
    REQUIRE(client.log_metric(copy.info.run_id, "m", second));
  }
  CHECK(cluster.diary->twins.empty());
  CHECK(active_runs(*cluster.backend) == 1);
}

TEST_CASE("twins can be reported without being removed", "[client][once][twins]") {
  Cluster cluster(2, {{when().path("runs/create").times(1).apply_late(5s, true)}});
  cluster.options.timeouts.attempt = 2s;
  cluster.options.exactly_once.remove_twins = false;
  const Client client = cluster.client();
  REQUIRE(client.create_run({.experiment_id = "0"}));
  cluster.clock->advance(10s);
  const ReconcileReport report = client.reconcile().value();
  REQUIRE(report.twins.size() == 1);
  CHECK_FALSE(report.twins[0].removed);
  CHECK(active_runs(*cluster.backend) == 2);
}

TEST_CASE("a twin whose removal is forbidden is told of once and stays", "[client][once][twins]") {
  const FaultRule forbids = when().path("runs/delete").error("PERMISSION_DENIED", "Permission denied");
  Cluster cluster(2, {{when().path("runs/create").times(1).apply_late(5s, true), forbids}, {forbids}});
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  const Run run = client.create_run({.experiment_id = "0"}).value();
  for (int second = 0; second < 3600; ++second) {
    cluster.clock->advance(1s);
    REQUIRE(client.log_metric(run.info.run_id, "m", second, {.step = second}));
  }
  REQUIRE(cluster.diary->twins.size() == 1);
  CHECK_THAT(cluster.diary->twins[0], ends_with(" found"));
  CHECK(requests_to(cluster, "runs/delete") == 1);
  CHECK(requests_to(cluster, "runs/search") < 40);  // and it is looked for no more often than one that can be removed
  CHECK(client.health().twins_watched == 0);
}

TEST_CASE("a twin whose removal fails is removed later, by attempts that become rare", "[client][once][twins]") {
  const FaultRule fails = when().path("runs/delete").until(10min).error("TEMPORARILY_UNAVAILABLE", "locked");
  Cluster cluster(2, {{when().path("runs/create").times(1).apply_late(5s, true), fails}, {fails}});
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  const Run run = client.create_run({.experiment_id = "0"}).value();
  for (int second = 0; second < 900; ++second) {
    cluster.clock->advance(1s);
    REQUIRE(client.log_metric(run.info.run_id, "m", second, {.step = second}));
  }
  CHECK(active_runs(*cluster.backend) == 1);
  REQUIRE(cluster.diary->twins.size() == 2);
  CHECK_THAT(cluster.diary->twins[0], ends_with(" found"));
  CHECK_THAT(cluster.diary->twins[1], ends_with(" removed"));
  CHECK(requests_to(cluster, "runs/delete") < 30);
}

TEST_CASE("looks that are refused become rare", "[client][once][twins]") {
  const FaultRule forbids = when().path("runs/search").from(10s).error("PERMISSION_DENIED", "Permission denied");
  Cluster cluster(2, {{when().path("runs/create").times(1).drop_before(), forbids}, {forbids}});
  const Client client = cluster.client();
  const Run run = client.create_run({.experiment_id = "0"}).value();
  for (int second = 0; second < 3600; ++second) {
    cluster.clock->advance(1s);
    REQUIRE(client.log_metric(run.info.run_id, "m", second, {.step = second}));
  }
  CHECK(requests_to(cluster, "runs/search") < 50);
  CHECK(client.health().twins_watched == 0);
}

TEST_CASE("looks that find no room among the probes wait for the next call", "[client][once][twins]") {
  // A transport that carries no more probes: asked for each look that is due it would be asked for all of them by each
  // call.
  struct Full final : Transport {
    explicit Full(std::shared_ptr<FakeTransport> carrier) : real(std::move(carrier)) {}
    TransportResult perform(const Uri& endpoint, const Request& request, const AttemptTimeouts& timeouts,
                            const CancellationToken& cancel) noexcept override {
      return real->perform(endpoint, request, timeouts, cancel);
    }
    bool start_probe(const ProbeOwner&, std::uint64_t, const Uri&, const Request&,
                     const AttemptTimeouts&) noexcept override {
      ++asked;
      return false;
    }
    std::vector<ProbeResult> poll_probes(const ProbeOwner&) noexcept override { return {}; }
    std::shared_ptr<FakeTransport> real;
    int asked = 0;
  };
  Cluster cluster(1, {{when().path("runs/create").every(2).error("TEMPORARILY_UNAVAILABLE", "locked")}});
  const auto full = std::make_shared<Full>(cluster.transport);
  cluster.options.transport = full;
  cluster.options.retry.budget.retry_cost = 1;
  const Client client = cluster.client();
  for (int i = 0; i < 60; ++i) REQUIRE(client.create_run({.experiment_id = "0"}));
  REQUIRE(client.health().twins_watched >= 20);
  cluster.clock->advance(1min);
  full->asked = 0;
  REQUIRE(client.get_run(cluster.backend->runs().front().run_id));
  CHECK(full->asked >= 1);
  CHECK(full->asked <= 2);  // at the call's beginning and at its end
}

TEST_CASE("what a failed create leaves behind late is reported and left alone", "[client][once][twins]") {
  Cluster cluster(
      1, {{when().path("runs/create").apply_late(20s, true), when().path("runs/search").until(10s).status(503, "")}});
  cluster.options.timeouts.call = 5s;
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  REQUIRE_FALSE(client.create_run({.experiment_id = "0"}));
  for (int second = 0; second < 60; ++second) {
    cluster.clock->advance(1s);
    static_cast<void>(client.get_health());
  }
  CHECK(active_runs(*cluster.backend) == 1);
  REQUIRE(cluster.diary->twins.size() == 1);
  CHECK_THAT(cluster.diary->twins[0], ends_with(" found"));
}

TEST_CASE("an experiment whose reply was lost is ours by its request tag", "[client][once]") {
  Cluster cluster(2, {{when().path("experiments/create").times(1).apply_then_drop()}});
  const Client client = cluster.client();
  CreateExperiment create;
  create.name = "iris";
  const std::string id = client.create_experiment(create).value();
  CHECK(client.get_experiment_by_name({.experiment_name = "iris"}).value().experiment_id == id);
  CHECK(cluster.backend->counts().experiments == 2);
}

TEST_CASE("an experiment of somebody else's is not ours, lost reply or not", "[client][once]") {
  Cluster cluster(2, {{when().path("experiments/create").nth(2).drop_before()}});
  const Client client = cluster.client();
  CreateExperiment create;
  create.name = "iris";
  REQUIRE(client.create_experiment(create));
  const Error error = client.create_experiment(create).error();
  CHECK(error.code == Errc::already_exists);
}

TEST_CASE("a removal whose reply was lost is success", "[client][once]") {
  Cluster cluster(2, {{when().path("delete-tag").times(1).apply_then_drop()}});
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  REQUIRE(client.set_tag(run, "k", "v"));
  CHECK(client.delete_tag({.run_id = run, .key = "k"}));
  CHECK(is_not_found(client.delete_tag({.run_id = run, .key = "k"}).error()));
}

TEST_CASE("a rename whose answer was lost has succeeded where the new name is there", "[client][once]") {
  FaultRule lost = when().path("registered-models/rename").times(1);
  SECTION("carried out") {
    Cluster cluster(2, {{lost.apply_then_drop()}});
    const Client client = cluster.client();
    REQUIRE(client.create_registered_model("old"));
    CHECK(client.rename_registered_model("old", "new"));
    CHECK(client.get_registered_model("new"));
    CHECK(is_not_found(client.rename_registered_model("old", "new").error()));
  }
  SECTION("of a model that never was") {
    Cluster cluster(2, {{lost.drop_before()}});
    const auto failed = cluster.client().rename_registered_model("nobody", "new");
    REQUIRE_FALSE(failed);
    CHECK(is_not_found(failed.error()));
    CHECK(failed.error().effect == Effect::unknown);
  }
  SECTION("by its JSON") {
    Cluster cluster(2, {{lost.drop_before()}});
    const auto failed = cluster.client().call("rename_registered_model", R"({"name": "nobody", "new_name": "new"})");
    REQUIRE_FALSE(failed);
    CHECK(is_not_found(failed.error()));
  }
}

TEST_CASE("a restoration whose answer was lost has succeeded where the experiment is active", "[client][once]") {
  FaultRule lost = when().path("experiments/restore").times(1);
  SECTION("carried out") {
    Cluster cluster(2, {{lost.apply_then_drop()}});
    const Client client = cluster.client();
    const std::string id = client.create_experiment({.name = "e"}).value();
    REQUIRE(client.delete_experiment(id));
    CHECK(client.restore_experiment(id));
    CHECK(client.get_experiment(id).value().lifecycle_stage == "active");
  }
  SECTION("of an experiment that never was") {
    Cluster cluster(2, {{lost.drop_before()}});
    const auto failed = cluster.client().restore_experiment("987654");
    REQUIRE_FALSE(failed);
    CHECK(is_not_found(failed.error()));
    CHECK(failed.error().effect == Effect::unknown);
  }
}

TEST_CASE("a metric point keeps its timestamp over all sendings", "[client][once]") {
  Cluster cluster(
      2, {{when().path("log-metric").apply_then_drop()}, {when().path("log-metric").times(2).apply_then_drop()}});
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  REQUIRE(client.log_metric(run, "m", 1.5));
  CHECK(cluster.backend->points(run, "m").size() == 1);
  CHECK(cluster.backend->counts().repeated_points >= 2);
}
