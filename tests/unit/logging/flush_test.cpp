// What flush() and close() promise beside others that log.

#include <mlflowha/logging/impl/log_hub.hpp>

#include <filesystem>
#include <string>

#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

TEST_CASE("what close() leaves is fsynced, whoever else has the spool", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.sync_interval = 1h;
  const auto hub = mlflowha::detail::LogHub::open(f.client, f.options).value();
  const auto syncs = [&] {  // of a copy, as a crash would leave it
    const std::string copy = f.directory / "copy.spool";
    for (const char* suffix : {"", "-wal"}) {
      std::filesystem::copy_file(hub->spool().path() + suffix, copy + suffix,
                                 std::filesystem::copy_options::overwrite_existing);
    }
    return ask_file(copy, "SELECT value FROM meta WHERE key = 'syncs'");
  };
  RunStart start;
  start.experiment_id = "0";
  start.request_tag = "1";
  const auto stays = hub->add("local-1", start, "").value();
  start.request_tag = "2";
  const auto drained = hub->add("local-2", start, "").value();
  start.request_tag = "3";
  const auto left = hub->add("local-3", start, "").value();
  REQUIRE(drained->put_metric("m", 1, 1, 1) == mlflowha::detail::RunBuffer::Put::taken_first);
  REQUIRE(hub->flush(drained->run(), Deadline::after(f.cluster.clock->now(), 1min)).value().drained);
  hub->remove(drained);
  CHECK(syncs() == "0");  // the servers have it
  REQUIRE(left->put_metric("m", 1, 1, 1) == mlflowha::detail::RunBuffer::Put::taken_first);
  hub->remove(left);
  CHECK(syncs() == "1");
  hub->remove(stays);
}

TEST_CASE("a flush waits for what was logged before it, not for what comes after", "[logging][run_logger]") {
  LoggerFixture f(1);
  f.set_faults({when().path("/runs/log-batch").delay(100ms)});
  RunLogger logger = f.start();
  for (int i = 0; i < 5000; ++i) REQUIRE(logger.log_metric("m", i, i));
  int step = 5000;
  for (int i = 1; i <= 200; ++i) {  // every 50 ms, while requests are under way
    f.cluster.clock->schedule(f.cluster.clock->now() + i * 50ms, [&] {
      static_cast<void>(logger.log_metric("m", step, step));
      static_cast<void>(logger.commit());
      ++step;
    });
  }
  const FlushReport report = logger.flush(5s).value();
  CHECK(report.drained);
  CHECK(report.waiting > 0);
  CHECK(f.cluster.backend->points(report.run_id, "m").size() >= 5000);
  CHECK(step < 5100);
  const CloseReport closed = logger.close(1min).value();
  CHECK(closed.drained);
  CHECK(closed.waiting == 0);
}
