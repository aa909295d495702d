#include <mlflowha/mlflowha.hpp>
#include <mlflowha/testing/fake_server.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <set>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;

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
