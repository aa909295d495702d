// What flush() and close() promise beside others that log.

#include <atomic>
#include <memory>
#include <string>

#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

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
