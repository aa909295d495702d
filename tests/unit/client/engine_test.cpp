#include "unit/client/engine_fixture.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

TEST_CASE("the first call that meets a dead endpoint fails over; later calls don't meet it", "[client][engine]") {
  Cluster cluster(3, {{when().refuse()}});
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  cluster.transport->clear_exchanges();
  for (int i = 0; i < 20; ++i) {
    // Nothing but one exchange with a healthy server: at most 2 ms of latency, no sleep, no probe waited for.
    CHECK(cluster.time([&] { REQUIRE(client.log_metric(run, "m", i, {.step = i})); }) <= Duration(2ms));
  }
  for (const Exchange& exchange : cluster.transport->exchanges(Cluster::name(0))) CHECK(exchange.probe);
  CHECK(cluster.backend->points(run, "m").size() == 20);
  CHECK(cluster.health(client, 0) == EndpointHealth::suspect);
}

TEST_CASE("an endpoint that is back serves at once and leads again after its time of trial", "[client][engine]") {
  Cluster cluster(2, {{when().until(5s).refuse()}});
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  const auto leader = [&] {
    cluster.transport->clear_exchanges();
    REQUIRE(client.set_tag(run, "t", "v"));
    for (const Exchange& exchange : cluster.transport->exchanges()) {
      if (!exchange.probe) return exchange.endpoint;
    }
    return std::string("nobody");
  };
  CHECK(leader() == Cluster::name(1));
  bool recovering = false;
  for (int second = 0; second < 25; ++second) {
    cluster.clock->advance(1s);
    CHECK(leader() == Cluster::name(1));
    recovering = recovering || cluster.health(client, 0) == EndpointHealth::recovering;
  }
  CHECK(recovering);
  for (int second = 0; second < 30; ++second) {
    cluster.clock->advance(1s);
    static_cast<void>(leader());
  }
  CHECK(leader() == Cluster::name(0));
  CHECK(cluster.health(client, 0) == EndpointHealth::healthy);
}

TEST_CASE("a client that calls once a minute learns of a server's return as well", "[client][engine][pause]") {
  Cluster cluster(2, {{when().until(10min).refuse(), when().delay(100ms)}});  // slower than the calls
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  const auto call = [&] {
    cluster.clock->advance(1min);
    REQUIRE(client.set_tag(run, "t", "v"));
  };
  for (int minute = 0; minute < 10; ++minute) call();
  CHECK(cluster.health(client, 0) == EndpointHealth::ejected);
  for (int minute = 0; minute < 20 && cluster.health(client, 0) != EndpointHealth::healthy; ++minute) call();
  CHECK(cluster.health(client, 0) == EndpointHealth::healthy);
  CHECK(client.health().endpoints.at(0).latency_ms < 1000);  // the minute was ours
}

TEST_CASE("a silent server costs one attempt timeout and no more", "[client][engine]") {
  Cluster cluster(2, {{when().black_hole()}});
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  const Duration first = cluster.time([&] { REQUIRE(client.search_experiments({})); });
  CHECK(first >= Duration(2s));
  CHECK(first <= Duration(2s + 50ms));
  CHECK(cluster.time([&] { REQUIRE(client.search_experiments({})); }) <= Duration(2ms));
}

TEST_CASE("the deadline bounds everything", "[client][engine][deadline]") {
  Cluster cluster(3, {{when().black_hole()}, {when().black_hole()}, {when().black_hole()}});
  cluster.options.timeouts.attempt = 4s;
  const Client client = cluster.client();
  Error error;
  const Duration took =
      cluster.time([&] { error = client.create_run({.experiment_id = "0"}, {.timeout = 10s}).error(); });
  CHECK(took <= Duration(10s));
  CHECK(error.kind() == ErrorKind::timeout);
  CHECK(error.stop_reason == StopReason::deadline);
  REQUIRE_FALSE(error.attempts.empty());
  CHECK(error.attempts[0].endpoint == Cluster::name(0));
  CHECK_FALSE(error.request_id.empty());
}

TEST_CASE("all servers may be away for less than the deadline", "[client][engine]") {
  for (const bool refused : {true, false}) {
    FaultRule away = refused ? when().from(1s).until(9s).refuse()
                             : when().from(1s).until(9s).error("TEMPORARILY_UNAVAILABLE", "database is away");
    Cluster cluster(3, {{away}, {away}, {away}});
    const Client client = cluster.client();
    const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
    cluster.clock->advance(2s);
    const Duration took = cluster.time([&] { REQUIRE(client.log_metric(run, "m", 1)); });
    CHECK(took <= Duration(14s));  // 7 s of outage and at most one longest backoff
    CHECK(cluster.time([&] { REQUIRE(client.log_metric(run, "m", 2)); }) <= Duration(20ms));
    CHECK(cluster.backend->points(run, "m").size() == 2);
    if (!refused) {
      for (const EndpointStatus& endpoint : client.health().endpoints) CHECK(endpoint.breaker == BreakerState::closed);
    }
  }
}

TEST_CASE("fail_fast returns at once when every breaker is open", "[client][engine]") {
  Cluster cluster(2, {{when().refuse()}, {when().refuse()}});
  cluster.options.retry.when_all_open = AllOpen::fail_fast;
  const Client client = cluster.client();
  Error error;
  for (int i = 0; i < 20; ++i) error = client.search_experiments({}).error();
  CHECK(error.code == Errc::circuit_open);
  CHECK(error.effect == Effect::none);
  CHECK(cluster.time([&] { REQUIRE_FALSE(client.search_experiments({})); }) <= Duration(2ms));
  CHECK(client.health().state == BreakerState::open);
}

TEST_CASE("an endpoint on another database is refused and never gets a write", "[client][engine][identity]") {
  Cluster cluster(2);
  BackendOptions other;
  other.seed = 2;  // experiment 0 was born at another moment
  const auto stranger = std::make_shared<FakeBackend>(other);
  cluster.transport->add("http://odd:5000", stranger);
  cluster.options.endpoints.push_back("http://odd:5000");
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  for (int i = 0; i < 10; ++i) {
    cluster.clock->advance(100ms);
    REQUIRE(client.log_metric(run, "m", i, {.step = i}));
  }
  REQUIRE(cluster.health(client, 2) == EndpointHealth::refused);
  CHECK_THAT(client.health().endpoints[2].last_error, contains("fronts another database than http://s0:5000"));

  // Even with everybody else gone it stays refused, and the error says why.
  cluster.transport->set_faults(Cluster::name(0), {when().refuse()});
  cluster.transport->set_faults(Cluster::name(1), {when().refuse()});
  REQUIRE(client.force_open(Cluster::name(0)));
  REQUIRE(client.force_open(Cluster::name(1)));
  CHECK(client.log_metric(run, "m", 99).error().code == Errc::no_endpoint);
  CHECK(stranger->counts().runs == 0);
  for (const Exchange& exchange : cluster.transport->exchanges("http://odd:5000")) {
    CHECK_THAT(exchange.request.target, contains("experiments/search"));
  }
}

TEST_CASE("a read-only standby is the endpoint's fault: elsewhere", "[client][engine]") {
  Cluster cluster(2, {{when()
                           .method(Method::post)
                           .path("log-metric")
                           .error("BAD_REQUEST", "(psycopg2.errors.ReadOnlySqlTransaction) cannot execute INSERT")}});
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  CHECK(cluster.time([&] { REQUIRE(client.log_metric(run, "m", 1)); }) <= Duration(10ms));
  CHECK(cluster.backend->points(run, "m").size() == 1);
}

TEST_CASE("a request that fails everywhere fails soon and takes nobody down", "[client][engine]") {
  Cluster cluster(3);
  for (int i = 0; i < 3; ++i) {
    cluster.transport->set_faults(Cluster::name(i), {when().path("get-history").error("INTERNAL_ERROR", "KeyError")});
  }
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  const auto history = client.get_metric_history({.run_id = run, .metric_key = "m"});
  REQUIRE_FALSE(history);
  CHECK(history.error().code == Errc::server_error);
  CHECK(history.error().stop_reason == StopReason::permanent);
  CHECK(client.health().state == BreakerState::closed);
  CHECK(cluster.time([&] { REQUIRE(client.log_metric(run, "m", 1)); }) <= Duration(5ms));
}

TEST_CASE("an observer is told of each call's end, of a give-up with its whole story", "[client][engine][observer]") {
  Cluster cluster(2);
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  CHECK(cluster.diary->calls == std::vector<std::string>{"create_run ok"});
  CHECK(cluster.diary->stories.empty());

  for (int i = 0; i < 2; ++i) cluster.transport->set_faults(Cluster::name(i), {when().refuse()});
  cluster.diary->attempts.clear();
  const auto refused = client.set_tag(run, "t", "v");
  REQUIRE_FALSE(refused);
  REQUIRE(cluster.diary->calls.size() == 2);  // attempts and waits between them are no ends
  CHECK(cluster.diary->calls[1] == "set_tag " + std::string(to_string(refused.error().code)));
  const auto ours = [](const std::string& attempt) { return attempt.rfind("call ", 0) == 0; };
  const auto seen = std::count_if(cluster.diary->attempts.begin(), cluster.diary->attempts.end(), ours);
  CHECK(seen >= 2);
  CHECK(cluster.diary->stories == std::vector<std::size_t>{refused.error().attempts.size()});

  // What is refused before anything is sent was no call.
  CHECK_FALSE(client.set_tag(run, std::string(5000, 'k'), "v"));
  CHECK(cluster.diary->calls.size() == 2);
}

TEST_CASE("Retry-After is honoured, within limits", "[client][engine]") {
  Cluster cluster(1, {{when().times(1).status(429, "", {{"Retry-After", "999999999"}})}});
  const Client client = cluster.client();
  const Duration took = cluster.time([&] { REQUIRE(client.search_experiments({})); });
  CHECK(took <= Duration(7s));  // at most 5 s more than our own wait of up to 1 s
}

TEST_CASE("a caller may cancel before and while waiting", "[client][engine][cancel]") {
  Cluster cluster(1, {{when().refuse()}});
  const Client client = cluster.client();
  CancellationSource source;
  source.request_stop();
  const Error before = client.create_run({.experiment_id = "0"}, {.cancel = source.get_token()}).error();
  CHECK(before.code == Errc::cancelled);
  CHECK(before.effect == Effect::none);
  CHECK(cluster.transport->count(Cluster::name(0)) == 0);

  CancellationSource later;
  cluster.clock->schedule(cluster.clock->now() + 3s, [&] { later.request_stop(); });
  Error during;
  const Duration took =
      cluster.time([&] { during = client.create_run({.experiment_id = "0"}, {.cancel = later.get_token()}).error(); });
  CHECK(during.code == Errc::cancelled);
  CHECK(took <= Duration(3s + 10ms));
}

TEST_CASE("garbage from one server is answered by another", "[client][engine][hostile]") {
  const std::vector<FaultRule> rules{when().garbage(),       when().status(200, "<html>Sign in</html>"),
                                     when().status(404, ""), when().redirect("http://elsewhere/"),
                                     when().truncate(5),     when().wrong_length(10)};
  for (const FaultRule& rule : rules) {
    INFO(to_string(rule));
    Cluster cluster(2, {{rule}});
    const Client client = cluster.client();
    CHECK(client.search_experiments({}).value().items.size() == 1);
  }
}

TEST_CASE("the health page has the runbook's keys", "[client][engine][health]") {
  Cluster cluster(2, {{when().refuse()}});
  const Client client = cluster.client();
  REQUIRE(client.search_experiments({}));
  const auto page = nlohmann::json::parse(to_json(client.health()));
  CHECK(page.at("status") == "degraded");
  CHECK(page.at("circuit_breaker").at("state") == "closed");
  CHECK(page.at("circuit_breaker").at("failure_count").is_number_integer());
  CHECK(page.at("circuit_breaker").at("success_count") >= 1);
  CHECK_THAT(page.at("circuit_breaker").at("last_failure_time").get<std::string>(), starts_with("2026-01-01T00:00:0"));
  REQUIRE(page.at("endpoints").size() == 2);
  CHECK(page.at("endpoints")[0].at("url") == Cluster::name(0));
  CHECK(page.at("endpoints")[0].at("last_error").is_string());
  CHECK(page.at("endpoints")[1].at("last_error").is_null());

  REQUIRE(client.force_open());
  CHECK(nlohmann::json::parse(to_json(client.health())).at("status") == "unavailable");
  CHECK(client.search_experiments({}).error().code == Errc::no_endpoint);
  REQUIRE(client.reset_circuit_breaker());
  CHECK(client.search_experiments({}));
  CHECK(client.force_open("http://nobody:1").error().code == Errc::invalid_endpoint);
}
