// No room in the spool: what is refused was not taken, what was taken arrives once, and nothing waits for ever.

#include <chrono>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

TEST_CASE("with each, what was refused is never delivered", "[logging][run_logger][full]") {
  LoggerFixture f;
  f.options.durability = Durability::each;
  f.options.max_spool_bytes = 10'000;
  f.take_down();
  RunLogger logger = f.start();
  std::size_t taken = 0;
  std::size_t refused = 0;
  for (int i = 0; i < 400; ++i) {
    const Result<void> result = logger.log_metric("m", i, i);
    taken += result ? 1U : 0U;
    refused += result ? 0U : 1U;
    if (!result) CHECK(result.error().code == Errc::storage_full);
  }
  REQUIRE(taken > 10);
  REQUIRE(refused > 10);
  CHECK(logger.status().waiting == taken);

  // Who tries again until it works must not have logged as often as he tried.
  for (int i = 0; i < 5; ++i) CHECK_FALSE(logger.set_tag("t", "v"));
  CHECK_FALSE(logger.end(RunStatus::failed));
  f.bring_up();
  REQUIRE(logger.flush(10min).value().drained);
  CHECK(f.only_run().tags.count("t") == 0);
  CHECK(f.only_run().status == "RUNNING");
  REQUIRE(logger.log_metric("late", 1));
  REQUIRE(logger.end(RunStatus::failed));  // the refused one wasn't it
  const CloseReport report = logger.close(10min).value();
  CHECK(report.drained);
  CHECK(f.only_run().status == "FAILED");
  CHECK(f.only_run().metrics.at("m").size() == taken);
  CHECK(f.only_run().metrics.at("late").size() == 1);
}

TEST_CASE("with each, an artifact that is refused leaves no copy behind", "[logging][run_logger][full]") {
  LoggerFixture f;
  f.options.durability = Durability::each;
  f.options.max_spool_bytes = 20'000;
  f.take_down();
  RunLogger logger = f.start();
  while (logger.log_metric("m", 1)) {
  }
  const std::string file = f.directory / "weights.bin";
  REQUIRE(std::ofstream(file) << "w");
  CHECK_FALSE(logger.log_artifact(file));
  CHECK(logger.status().last_error);
  f.bring_up();
  REQUIRE(logger.close(10min).value().drained);
  CHECK(f.only_run().status == "FINISHED");
}

TEST_CASE("who would wait for room that nobody can make is told so", "[logging][run_logger][full]") {
  LoggerFixture f;  // no threads: nothing is delivered while the call waits
  f.options.when_full = WhenFull::block;
  f.options.durability = GENERATE(Durability::interval, Durability::each);
  f.options.max_buffer_bytes = 65'536;
  f.options.max_spool_bytes = 20'000;
  f.take_down();
  RunLogger logger = f.start();
  Result<void> result;
  for (int i = 0; i < 50'000 && result; ++i) result = logger.log_metric("m", i, i);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::storage_full);
}

TEST_CASE("who is told of a failure never waits for room that its thread would make", "[logging][run_logger][full]") {
  struct Logging final : LoggerObserver {
    RunLogger* logger = nullptr;
    std::promise<Errc> told;
    bool first = true;
    void on_degraded(const Error&) noexcept override {
      if (!std::exchange(first, false)) return;
      Result<void> result;
      for (int i = 0; i < 100'000 && result; ++i) result = logger->log_metric("m", i, i);
      told.set_value(result ? Errc::internal : result.error().code);
    }
  };
  LoggerFixture f;
  const auto observer = std::make_shared<Logging>();
  f.options.observer = observer;
  f.options.background = true;
  f.options.when_full = WhenFull::block;
  f.options.durability = GENERATE(Durability::interval, Durability::each);
  f.options.max_buffer_bytes = 65'536;
  f.options.max_spool_bytes = 20'000;
  f.options.linger = 0s;
  RunLogger logger = f.start();
  REQUIRE(logger.flush(1min).value().drained);
  observer->logger = &logger;
  f.take_down();
  REQUIRE(logger.log_metric("first", 1));
  auto told = observer->told.get_future();
  const bool ended = told.wait_for(20s) == std::future_status::ready;
  if (!ended) f.bring_up();
  REQUIRE(ended);
  CHECK(told.get() == Errc::storage_full);
}
