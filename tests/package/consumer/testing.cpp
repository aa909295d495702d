// A user's test program: his code against the fakes, on a fake clock and over a socket.

#include <mlflowha/mlflowha.hpp>
#include <mlflowha/testing/fake_clock.hpp>
#include <mlflowha/testing/fake_server.hpp>

#include <chrono>
#include <cstdio>

int main() {
  mlflowha::testing::FakeClock clock;
  const auto before = clock.now();
  clock.advance(std::chrono::seconds(5));
  if (clock.now() - before != std::chrono::seconds(5)) return 1;

  const mlflowha::testing::FakeServer server;
  mlflowha::ClientOptions options;
  options.endpoints = {server.url()};
  const auto client = mlflowha::Client::create(options).value();
  const auto run = client.create_run({.experiment_id = "0", .run_name = "first"}).value();
  client.log_metric(run.info.run_id, "loss", 0.5).value();
  if (client.get_run(run.info.run_id).value().data.metrics.size() != 1) return 2;
  std::printf("mlflowha %s, tested\n", MLFLOWHA_VERSION_STRING);
  return 0;
}
