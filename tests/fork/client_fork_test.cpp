#include <mlflowha/core/rng.hpp>
#include <mlflowha/mlflowha.hpp>
#include <mlflowha/testing/fake_server.hpp>
#include <mlflowha/testing/fake_transport.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace std::chrono_literals;

TEST_CASE("parent and child both go on with a client that was used before the fork", "[fork][client]") {
  const auto backend = std::make_shared<FakeBackend>();
  FakeServer one(backend);
  FakeServer two(backend);
  ClientOptions options;
  options.endpoints = {one.url(), two.url()};
  const Client client = Client::create(options).value();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;

  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // No Catch2 in here: only the exit code speaks.
    bool good = true;
    for (int i = 0; i < 50; ++i) good = client.log_metric(run, "child", i, {.step = i}).has_value() && good;
    good = client.create_run({.experiment_id = "0"}).has_value() && good;
    _exit(good ? 0 : 1);
  }
  for (int i = 0; i < 50; ++i) REQUIRE(client.log_metric(run, "parent", i, {.step = i}));
  REQUIRE(client.create_run({.experiment_id = "0"}));
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(backend->points(run, "child").size() == 50);
  CHECK(backend->points(run, "parent").size() == 50);
  // Different random sequences on both sides: no two creates share a request tag.
  CHECK(backend->runs_sharing_tag(api::request_tag_key).empty());
  CHECK(backend->counts().runs == 3);
}

TEST_CASE("a child probes what its parent was probing at the fork", "[fork][client]") {
  const auto backend = std::make_shared<FakeBackend>();
  FakeServerOptions faulty;  // fails once; the probe that follows is not answered
  faulty.faults = {when().path("log-metric").times(1).status(502),
                   when().path("experiments/search").nth(2).delay(std::chrono::minutes(1))};
  FakeServer one(backend, faulty);
  FakeServer two(backend);
  ClientOptions options;
  options.endpoints = {one.url(), two.url()};
  const Client client = Client::create(options).value();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  const auto suspect = [&] { return client.health().endpoints.at(0).health == EndpointHealth::suspect; };
  const auto calls_until = [&](const auto& reached) {
    for (int i = 0; i < 500 && !reached(); ++i) {
      if (!client.log_metric(run, "loss", i, {.step = i})) return false;
      std::this_thread::sleep_for(10ms);
    }
    return reached();
  };
  REQUIRE(calls_until(suspect));
  const std::uint64_t before = one.requests();
  REQUIRE(calls_until([&] { return one.requests() > before; }));
  REQUIRE(suspect());

  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(30);  // a child that hangs is ended by it
    _exit(calls_until([&] { return !suspect(); }) ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("no two processes give the same identifier to their requests", "[fork][client]") {
  const auto transport = std::make_shared<FakeTransport>(std::make_shared<FakeClock>());
  transport->add("http://a:5000", std::make_shared<FakeBackend>());
  ClientOptions options;
  options.endpoints = {"http://a:5000"};
  options.transport = transport;
  if (GENERATE(false, true)) options.rng = std::make_shared<SplitMixRng>(7);  // the same numbers in each child
  const Client client = Client::create(options).value();
  const auto request_id = [&] { return client.get_experiment("999999").error().request_id; };
  std::set<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    std::array<int, 2> ends{};
    REQUIRE(pipe(ends.data()) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const std::string id = request_id();
      _exit(write(ends[1], id.data(), id.size()) == static_cast<ssize_t>(id.size()) ? 0 : 1);
    }
    close(ends[1]);
    std::string id(100, '\0');
    const ssize_t size = read(ends[0], id.data(), id.size());
    close(ends[0]);
    REQUIRE(size > 0);
    ids.insert(id.substr(0, static_cast<std::size_t>(size)));
    REQUIRE(waitpid(child, nullptr, 0) == child);
  }
  ids.insert(request_id());
  CHECK(ids.size() == 4);
}
