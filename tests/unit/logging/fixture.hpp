#ifndef MLFLOWHA_TESTS_UNIT_LOGGING_FIXTURE_HPP
#define MLFLOWHA_TESTS_UNIT_LOGGING_FIXTURE_HPP

// Loggers without threads on virtual time, in front of in-memory servers, with a spool on the real disk.

#include <mlflowha/logging.hpp>

#include <sqlite3.h>

#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
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
  /// A spool without a logger, in the loggers' directory.
  std::unique_ptr<mlflowha::Spool> make_spool() {
    mlflowha::SpoolOptions spool;
    spool.directory = options.directory;
    return mlflowha::Spool::create(spool, cluster.clock, *client.config().options().rng).value();
  }

  TemporaryDirectory directory;
  Cluster cluster;
  mlflowha::Client client = cluster.client();
  std::shared_ptr<LoggerDiary> diary = std::make_shared<LoggerDiary>();
  mlflowha::RunLoggerOptions options;
};

/// The first column of the first row, if there is one, asked of a spool that nobody has open.
inline std::string ask_file(const std::string& path, const char* sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK);
  sqlite3_stmt* statement = nullptr;
  REQUIRE(sqlite3_prepare_v2(database, sql, -1, &statement, nullptr) == SQLITE_OK);
  std::string answer;
  if (sqlite3_step(statement) == SQLITE_ROW) answer = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
  sqlite3_finalize(statement);
  sqlite3_close(database);
  return answer;
}

}  // namespace mlflowha_tests

#endif
