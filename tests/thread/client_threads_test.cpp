#include <mlflowha/mlflowha.hpp>
#include <mlflowha/testing/fake_server.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace std::chrono_literals;

TEST_CASE("many threads share one client while servers die and come back", "[thread][client]") {
  const auto backend = std::make_shared<FakeBackend>();
  std::vector<std::unique_ptr<FakeServer>> servers;
  ClientOptions options;
  for (int i = 0; i < 3; ++i) {
    servers.push_back(std::make_unique<FakeServer>(backend));
    options.endpoints.push_back(servers.back()->url());
  }
  options.timeouts.attempt = 2s;
  options.timeouts.connect = 1s;
  const Client client = Client::create(options).value();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;

  constexpr int threads = 8;
  constexpr int calls = 150;
  std::atomic<int> done{0};
  std::atomic<int> failed{0};
  std::vector<std::thread> loggers;
  for (int t = 0; t < threads; ++t) {
    loggers.emplace_back([&, copy = client, t] {
      const std::string key = "m" + std::to_string(t);
      for (int i = 0; i < calls; ++i) {
        if (!copy.log_metric(run, key, i, {.step = i})) ++failed;
        if (i % 50 == 0 && !copy.create_run({.experiment_id = "0"})) ++failed;
        ++done;
      }
    });
  }
  // One server after the other goes down and comes back, driven by progress and not by time.
  const int all = threads * calls;
  for (std::size_t victim = 0; victim < servers.size(); ++victim) {
    const int begin = static_cast<int>(victim + 1) * all / 5;
    while (done < begin) std::this_thread::yield();
    servers[victim]->kill();
    while (done < begin + all / 10) std::this_thread::yield();
    servers[victim]->start();
    static_cast<void>(client.health());
    REQUIRE(client.reset_circuit_breaker());
  }
  for (std::thread& logger : loggers) logger.join();
  CHECK(failed == 0);
  for (int t = 0; t < threads; ++t) CHECK(backend->points(run, "m" + std::to_string(t)).size() == calls);
  CHECK(backend->runs_sharing_tag(api::request_tag_key).empty());
  for (const EndpointStatus& endpoint : client.health().endpoints) CHECK(endpoint.in_flight <= 1);  // a side probe
}
