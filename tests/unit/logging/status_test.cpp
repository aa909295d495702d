// What a logger says of itself in an outage: its state, how old the oldest record is, how long the outage was. And what
// its files never say: credentials.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

TEST_CASE("state and lag follow an outage, and its end tells how long it was", "[logging][status]") {
  struct Watch final : LoggerObserver {
    std::vector<std::string> events;
    Duration outage{};
    void on_degraded(const Error&) noexcept override { events.push_back("degraded"); }
    void on_recovered(Duration after) noexcept override {
      events.push_back("recovered");
      outage = after;
    }
  };
  LoggerFixture f;
  const auto watch = std::make_shared<Watch>();
  f.options.observer = watch;
  RunLogger logger = f.start();
  REQUIRE(logger.flush(1min).value().drained);
  CHECK(logger.status().state == LoggerState::online);
  CHECK(logger.status().lag == Duration::zero());
  for (int outage = 1; outage <= 2; ++outage) {
    f.take_down();
    REQUIRE(logger.log_metric("m", outage, outage));
    REQUIRE(logger.commit());
    CHECK(logger.status().state == LoggerState::online);  // nobody has tried yet
    const TimePoint began = f.cluster.clock->now();
    CHECK_FALSE(logger.flush(1min).value().drained);
    LoggerStatus status = logger.status();
    CHECK(status.state == LoggerState::degraded);
    CHECK(status.waiting == 1);
    CHECK(status.last_error);
    CHECK(status.lag >= f.cluster.clock->now() - began);
    f.cluster.clock->advance(10min);
    CHECK(logger.status().lag >= status.lag + 10min);
    CHECK_FALSE(logger.flush(5min).value().drained);
    CHECK(watch->events.size() == static_cast<std::size_t>(2 * outage - 1));  // one outage, told once
    f.bring_up();
    REQUIRE(logger.flush(1min).value().drained);
    status = logger.status();
    CHECK(status.state == LoggerState::online);
    CHECK(status.waiting == 0);
    CHECK(status.lag == Duration::zero());
    CHECK(watch->events.size() == static_cast<std::size_t>(2 * outage));
    const Duration all = f.cluster.clock->now() - began;
    CHECK(watch->outage > 15min);  // from the first failure to the first success
    CHECK(watch->outage <= all);
  }
  REQUIRE(logger.close(1min).value().drained);
  CHECK(logger.status().state == LoggerState::closed);
}

TEST_CASE("no file of a spool has credentials in it", "[logging][status]") {
  LoggerFixture f;
  ClientOptions with = f.cluster.options;
  with.auth.username = "the-user";
  with.auth.password = Secret("Sw0rdf1sh");
  SECTION("nor tokens") {
    with.auth = {};
    with.auth.bearer_token = Secret("Sw0rdf1sh");
  }
  f.options.experiment = "secret";
  f.take_down();
  RunLogger logger = RunLogger::start(Client::create(with).value(), f.options).value();
  std::ofstream(f.directory / "file") << "content";
  REQUIRE(logger.log_metric("m", 1));
  REQUIRE(logger.set_tag("t", "v"));
  REQUIRE(logger.log_artifact(f.directory / "file"));
  CHECK_FALSE(logger.flush(1min).value().drained);  // a failed attempt has nothing to write down, either
  std::size_t looked_at = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(f.options.directory)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    CHECK(all.find("Sw0rdf1sh") == std::string::npos);
    CHECK(all.find("the-user") == std::string::npos);
    looked_at += all.empty() ? 0U : 1U;
  }
  CHECK(looked_at >= 3);  // the spool, its log, the artifact
}
