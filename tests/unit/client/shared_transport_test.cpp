// Clients that share one transport: each gets the results of its own side work, and no other's.

#include <mlflowha/mlflowha.hpp>
#include <mlflowha/testing/fake_backend.hpp>
#include <mlflowha/testing/fake_clock.hpp>
#include <mlflowha/testing/fake_transport.hpp>

#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace std::chrono_literals;

namespace {

/// Two clusters, on a database each, that answer in different times.
struct TwoClusters {
  TwoClusters() {
    transport->add("http://p1:1", production);
    transport->add("http://p2:1", production, {when().delay(200ms)});
    transport->add("http://s1:1", staging);
    transport->add("http://s2:1", staging, {when().delay(20ms)});
  }
  [[nodiscard]] Client client(std::vector<std::string> endpoints) const {
    ClientOptions options;
    options.endpoints = std::move(endpoints);
    options.clock = clock;
    options.transport = transport;
    return Client::create(options).value();
  }
  static BackendOptions other() {
    BackendOptions options;
    options.seed = 2;
    return options;
  }
  std::shared_ptr<FakeClock> clock = std::make_shared<FakeClock>();
  std::shared_ptr<FakeBackend> production = std::make_shared<FakeBackend>();
  std::shared_ptr<FakeBackend> staging = std::make_shared<FakeBackend>(other());
  std::shared_ptr<FakeTransport> transport = std::make_shared<FakeTransport>(clock);
};

void check_sound(const Client& client) {
  for (const EndpointStatus& endpoint : client.health().endpoints) {
    INFO(endpoint.url << ": " << endpoint.last_error);
    CHECK(endpoint.identified);
    CHECK(endpoint.health == EndpointHealth::healthy);
    CHECK(endpoint.last_error.empty());
    CHECK(endpoint.in_flight == 0);
  }
}

}  // namespace

TEST_CASE("clients on one transport learn of their own endpoints only", "[client][probe]") {
  const TwoClusters net;
  const Client production = net.client({"http://p1:1", "http://p2:1"});
  const Client staging = net.client({"http://s1:1", "http://s2:1"});
  for (int i = 0; i < 40; ++i) {
    REQUIRE(production.get_experiment("0"));
    REQUIRE(staging.get_experiment("0"));
    net.clock->advance(60ms);
  }
  check_sound(production);
  check_sound(staging);
}

TEST_CASE("what a client has left behind on a transport is nobody's", "[client][probe]") {
  const TwoClusters net;
  const Client staging = net.client({"http://s1:1", "http://s2:1"});
  for (int i = 0; i < 100; ++i) {  // more than a transport carries at once
    const Client gone = net.client({"http://p1:1", "http://p2:1"});
    REQUIRE(gone.get_experiment("0"));
    REQUIRE(staging.get_experiment("0"));
    net.clock->advance(1ms);
  }
  for (int i = 0; i < 10; ++i) {
    REQUIRE(staging.get_experiment("0"));
    net.clock->advance(60ms);
  }
  check_sound(staging);
}

TEST_CASE("time that a result waits for its client is not the endpoint's latency", "[client][probe]") {
  const TwoClusters net;
  const Client production = net.client({"http://p1:1", "http://p2:1"});
  const Client staging = net.client({"http://s1:1", "http://s2:1"});
  REQUIRE(production.get_experiment("0"));
  for (int i = 0; i < 60; ++i) {
    REQUIRE(staging.get_experiment("0"));
    net.clock->advance(1s);
  }
  REQUIRE(production.get_experiment("0"));
  const EndpointStatus second = production.health().endpoints.at(1);
  CHECK(second.identified);
  CHECK(second.latency_ms < 1500);
}
