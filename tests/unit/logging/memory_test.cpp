// Memory that runs out while others have room, as under a limit on the address space. Under sanitizers, which bring
// allocators of their own, none runs out: there the same is only done.

#include <mlflowha/logging/impl/log_hub.hpp>

#include <atomic>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

TEST_CASE("what was logged stays where memory runs out over it", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.background = GENERATE(false, true);
  CAPTURE(f.options.background);
  f.options.linger = 0s;
  f.take_down();
  RunLogger logger = f.start();
  for (int i = 0; i < 20'000; ++i) REQUIRE(logger.log_metric("m" + std::to_string(i % 90), i, i));
  REQUIRE(logger.set_tag("after", std::string(4000, 'x')));
  const std::size_t limits[] = {64, 200, 500, 1000, 3000, 10'000, 30'000, 100'000, 300'000};
  for (const std::size_t most : limits) {
    limit_allocations(most);
    try {
      static_cast<void>(logger.commit());
    } catch (const std::bad_alloc&) {
    }
    limit_allocations();
  }
  f.bring_up();
  f.cluster.clock->advance(1min);
  const CloseReport report = logger.close(10min).value();
  CHECK(report.drained);
  CHECK(report.quarantined == 0);
  CHECK(f.cluster.backend->counts().points == 20'000);
  CHECK(f.only_run().tags.at("after").size() == 4000);
}

TEST_CASE("who was in a group that ran out of memory isn't told that all is written", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.durability = Durability::each;
  f.take_down();
  const auto hub = mlflowha::detail::LogHub::open(f.client, f.options).value();
  RunStart start;
  start.experiment_id = "0";
  start.request_tag = "1";
  const auto buffer = hub->add("local-1", start, "").value();
  const std::vector<SpoolRow> rows{{buffer->run(), RecordKind::values, 1, std::string(20'000, 'x')}};
  std::atomic<std::uint64_t> written{0};
  limit_allocations(10'000);  // groups are copied together
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 100; ++j) {
        try {
          if (hub->write_now(*buffer, rows)) ++written;
        } catch (const std::bad_alloc&) {
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  limit_allocations();
  CHECK(hub->spool().stats().rows == written);
  hub->remove(buffer);
}
