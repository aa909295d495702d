// A logger that starts while the last one of its directory goes.

#include <mlflowha/logging.hpp>

#include <optional>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"
#include "unit/client/engine_fixture.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

TEST_CASE("a logger that starts while the last one goes loses nothing", "[logging][crash]") {
  TemporaryDirectory directory;
  Cluster cluster(1);
  cluster.options.clock = nullptr;
  const Client client = cluster.client();
  RunLoggerOptions options;
  options.directory = directory / "spool";
  RunLogger first = RunLogger::start(client, options).value();
  std::optional<RunLogger> second;
  call_at_fault("hub: last logger gone", [&] {
    second = RunLogger::start(client, options).value();
    REQUIRE(second->log_metric("m", 1));
  });
  REQUIRE(first.close(10s).value().drained);
  REQUIRE(second);
  const Result<CloseReport> report = second->close(10s);
  REQUIRE(report);
  CHECK(report->drained);
  CHECK(cluster.backend->points(report->run_id, "m").size() == 1);
}
