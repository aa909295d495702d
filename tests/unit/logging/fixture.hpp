#ifndef MLFLOWHA_TESTS_UNIT_LOGGING_FIXTURE_HPP
#define MLFLOWHA_TESTS_UNIT_LOGGING_FIXTURE_HPP

// Loggers without threads on virtual time, in front of in-memory servers, with a spool on the real disk.

#include <mlflowha/logging.hpp>

#include <string>
#include <vector>

#include "support/temporary_directory.hpp"
#include "unit/client/engine_fixture.hpp"

namespace mlflowha_tests {

struct LoggerDiary final : mlflowha::LoggerObserver {
  std::vector<std::string> events;
  void on_degraded(const mlflowha::Error& why) noexcept override {
    events.push_back("degraded " + std::string(to_string(why.code)));
  }
  void on_recovered(mlflowha::Duration) noexcept override { events.push_back("recovered"); }
  void on_refused(std::uint64_t entries, const mlflowha::Error&) noexcept override {
    events.push_back("refused " + std::to_string(entries));
  }
};

struct LoggerFixture {
  explicit LoggerFixture(int servers = 2) : cluster(servers) {
    options.directory = directory / "spool";
    options.background = false;
    options.observer = diary;
  }
  mlflowha::RunLogger start() { return mlflowha::RunLogger::start(client, options).value(); }
  void set_faults(const mlflowha::testing::FaultScript& script) {
    for (std::size_t i = 0; i < cluster.options.endpoints.size(); ++i) {
      cluster.transport->set_faults(Cluster::name(static_cast<int>(i)), script);
    }
  }
  void take_down() { set_faults({mlflowha::testing::when().refuse()}); }
  void bring_up() { set_faults({}); }
  mlflowha::testing::StoredRun only_run() const { return cluster.backend->runs().at(0); }

  TemporaryDirectory directory;
  Cluster cluster;
  mlflowha::Client client = cluster.client();
  std::shared_ptr<LoggerDiary> diary = std::make_shared<LoggerDiary>();
  mlflowha::RunLoggerOptions options;
};

}  // namespace mlflowha_tests

#endif
