#ifndef MLFLOWHA_TESTS_UNIT_CLIENT_ENGINE_FIXTURE_HPP
#define MLFLOWHA_TESTS_UNIT_CLIENT_ENGINE_FIXTURE_HPP

// A whole client on virtual time: real engine, plan, pool and codecs; in-memory servers behind FakeTransport.

#include <mlflowha/core/rng.hpp>
#include <mlflowha/mlflowha.hpp>
#include <mlflowha/testing/fake_backend.hpp>
#include <mlflowha/testing/fake_clock.hpp>
#include <mlflowha/testing/fake_transport.hpp>

#include <memory>
#include <string>
#include <vector>

namespace mlflowha_tests {

/// Writes down what it is told.
struct Diary final : mlflowha::Observer {
  std::vector<std::string> endpoints;
  std::vector<std::string> twins;
  std::vector<std::string> attempts;
  std::vector<std::string> calls;    ///< "create_run ok" or "create_run timeout", in order
  std::vector<std::size_t> stories;  ///< of each failed call: how many attempts its error tells of

  void on_attempt(const mlflowha::AttemptEvent& event) noexcept override {
    attempts.push_back(event.record.purpose + " " + event.record.endpoint + " " + event.record.outcome);
  }
  void on_endpoint(const mlflowha::EndpointEvent& event) noexcept override {
    endpoints.push_back(std::string(event.endpoint) + " " + std::string(to_string(event.health_after)));
  }
  void on_call(const mlflowha::CallEvent& event) noexcept override {
    calls.push_back(std::string(event.operation) + " " +
                    (event.error == nullptr ? "ok" : std::string(to_string(event.error->code))));
    if (event.error != nullptr) stories.push_back(event.error->attempts.size());
  }
  void on_twin(const mlflowha::TwinEvent& event) noexcept override {
    twins.push_back(std::string(event.twin_id) + (event.removed ? " removed" : " found"));
  }
};

class Cluster {
 public:
  /// `count` endpoints http://s0:5000, http://s1:5000, ... on one backend.
  explicit Cluster(int count, std::vector<mlflowha::testing::FaultScript> faults = {}) {
    for (int i = 0; i < count; ++i) {
      options.endpoints.push_back(name(i));
      transport->add(name(i), backend,
                     static_cast<std::size_t>(i) < faults.size() ? faults[static_cast<std::size_t>(i)]
                                                                 : mlflowha::testing::FaultScript{});
    }
    options.clock = clock;
    options.rng = std::make_shared<mlflowha::SplitMixRng>(7);
    options.transport = transport;
    options.observer = diary;
    options.timeouts.connect = std::chrono::seconds(1);
  }
  static std::string name(int i) { return "http://s" + std::to_string(i) + ":5000"; }

  mlflowha::Client client() const { return mlflowha::Client::create(options).value(); }
  /// Virtual time that `action` takes.
  template <class Action>
  mlflowha::Duration time(const Action& action) const {
    const mlflowha::TimePoint before = clock->now();
    action();
    return clock->now() - before;
  }
  mlflowha::EndpointHealth health(const mlflowha::Client& client, std::size_t i) const {
    return client.health().endpoints.at(i).health;
  }

  std::shared_ptr<mlflowha::testing::FakeClock> clock = std::make_shared<mlflowha::testing::FakeClock>();
  std::shared_ptr<mlflowha::testing::FakeBackend> backend = std::make_shared<mlflowha::testing::FakeBackend>();
  std::shared_ptr<mlflowha::testing::FakeTransport> transport =
      std::make_shared<mlflowha::testing::FakeTransport>(clock);
  std::shared_ptr<Diary> diary = std::make_shared<Diary>();
  mlflowha::ClientOptions options;
};

}  // namespace mlflowha_tests

#endif
