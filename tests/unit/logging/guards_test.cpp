// The small promises of a RunLogger that only matter on a bad day.

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

std::int64_t now_of(const LoggerFixture& f) { return f.cluster.clock->wall_now().time_since_epoch().count(); }

/// Bodies of the requests to a path, in order.
std::vector<std::string> bodies(const LoggerFixture& f, const std::string& path) {
  std::vector<std::string> found;
  const std::vector<Exchange> exchanges = f.cluster.transport->exchanges();
  for (const Exchange& exchange : exchanges) {
    if (exchange.request.target.find(path) != std::string::npos) found.push_back(exchange.request.body);
  }
  return found;
}

}  // namespace

TEST_CASE("a clock that steps back loses and reorders nothing", "[logging][clock]") {
  LoggerFixture f;
  const bool down = GENERATE(false, true);
  CAPTURE(down);
  f.cluster.clock->set_wall(WallTime(1'800'000'000s));
  if (down) f.take_down();
  RunLogger logger = f.start();
  for (int i = 0; i < 100; ++i) {
    if (i == 50) f.cluster.clock->set_wall(WallTime(1'700'000'000s));  // three years back
    REQUIRE(logger.log_metric("m", i, i));
    if (i % 10 == 0) REQUIRE(logger.set_tag("seq", std::to_string(i)));
    REQUIRE(logger.commit());
    CHECK(logger.status().lag >= Duration::zero());
  }
  CHECK(logger.status().lag < 1h);  // not three years
  f.bring_up();
  const CloseReport report = logger.close(10min).value();
  REQUIRE(report.drained);
  CHECK(report.quarantined == 0);
  const StoredRun run = f.only_run();
  CHECK(run.tags.at("seq") == "90");
  CHECK(run.status == "FINISHED");
  REQUIRE(run.metrics.at("m").size() == 100);
  for (const StoredPoint& point : run.metrics.at("m")) {
    CHECK(point.value == static_cast<double>(point.step));
    CHECK((point.timestamp > 1'750'000'000'000) == (point.step < 50));  // as the calls saw it
  }
  CHECK(*run.end_time < 1'750'000'000'000);
}

TEST_CASE("metrics of a thread are sent in the order of the calls", "[logging][run_logger]") {
  LoggerFixture f(1);
  RunLogger logger = f.start();
  REQUIRE(logger.flush(1min).value().drained);
  f.set_faults({when().path("/runs/log-batch").share(0.3).drop_before()});
  for (int i = 0; i < 300; ++i) {
    REQUIRE(logger.log_metric("m", i, 100'000 + i));
    if (i % 7 == 0) REQUIRE(logger.commit());
    if (i % 50 == 49) REQUIRE(logger.flush(10min).value().drained);
  }
  REQUIRE(logger.close(10min).value().drained);
  int last = 0;
  const auto sent = bodies(f, "/runs/log-batch");
  for (const std::string& body : sent) {
    int in_body = 0;
    for (std::size_t at = body.find("\"step\":1"); at != body.npos; at = body.find("\"step\":1", at + 1)) {
      const int step = std::stoi(body.substr(at + 7, 6));
      CHECK(step > in_body);
      in_body = step;
    }
    CHECK(in_body >= last);  // the same again, or later ones
    last = in_body;
  }
  CHECK(last == 100'299);
}

TEST_CASE("what many small rows hold goes out within the limits of a request", "[logging][run_logger]") {
  LoggerFixture f;
  RunLogger logger = f.start();
  REQUIRE(logger.flush(1min).value().drained);
  SECTION("a hundred metric keys: an older server fails on more when it has to look which points it has") {
    for (int i = 0; i < 250; ++i) {
      REQUIRE(logger.log_metric("k" + std::to_string(i), i));
      REQUIRE(logger.commit());  // a row each
    }
    REQUIRE(logger.close(1min).value().drained);
    CHECK(bodies(f, "/runs/log-batch").size() == 3);
    CHECK(f.only_run().metrics.size() == 250);
  }
  SECTION("a param once: MLflow refuses a batch that names one twice, even with one value") {
    for (int i = 0; i < 6; ++i) {
      REQUIRE(logger.log_param("p", "same"));
      REQUIRE(logger.commit());
    }
    const CloseReport report = logger.close(1min).value();
    CHECK(report.drained);
    CHECK(report.quarantined == 0);
    const auto sent = bodies(f, "/runs/log-batch");
    for (const std::string& body : sent) CHECK(body.find("\"p\"") == body.rfind("\"p\""));
  }
  SECTION("a hundred params, a hundred tags") {
    const bool params = GENERATE(false, true);
    for (int i = 0; i < 130; ++i) {
      const std::string key = "k" + std::to_string(i);
      REQUIRE((params ? logger.log_param(key, "1") : logger.set_tag(key, "1")));
      REQUIRE(logger.commit());
    }
    const CloseReport report = logger.close(1min).value();
    CHECK(report.drained);
    CHECK(report.quarantined == 0);
    CHECK(bodies(f, "/runs/log-batch").size() == 2);
  }
  SECTION("a tag that is set again and again: its newest value") {
    for (int i = 0; i < 200; ++i) {
      REQUIRE(logger.log_metric("m", i, i));
      REQUIRE(logger.set_tag("progress", std::to_string(i)));
      REQUIRE(logger.set_tag(i % 2 == 0 ? "even" : "odd", std::to_string(i)));
      REQUIRE(logger.commit());
    }
    const CloseReport report = logger.close(1min).value();
    CHECK(report.drained);
    CHECK(report.quarantined == 0);
    CHECK(bodies(f, "/runs/log-batch").size() == 1);
    CHECK(f.only_run().metrics.at("m").size() == 200);
    CHECK(f.only_run().tags.at("progress") == "199");
    CHECK(f.only_run().tags.at("even") == "198");
    CHECK(f.only_run().tags.at("odd") == "199");
  }
  SECTION("a thousand entries") {
    for (int i = 0; i < 1100; ++i) {
      REQUIRE(logger.log_metric("m", i, i));
      if (i % 2 == 0) REQUIRE(logger.commit());
    }
    REQUIRE(logger.close(1min).value().drained);
    CHECK(bodies(f, "/runs/log-batch").size() == 2);
  }
}

TEST_CASE("where a tag's newest value is refused, the one before it holds", "[logging][run_logger]") {
  LoggerFixture f(1);
  RunLogger logger = f.start();
  REQUIRE(logger.flush(1min).value().drained);
  for (const char* value : {"1", "2", "refused"}) {
    REQUIRE(logger.set_tag("t", value));
    REQUIRE(logger.commit());
  }
  f.cluster.transport->reply(Cluster::name(0), Method::post, "/api/2.0/mlflow/runs/log-batch",
                             Response{400, {}, R"({"error_code": "INVALID_PARAMETER_VALUE", "message": "no"})"}, 1);
  const CloseReport report = logger.close(1min).value();
  CHECK(report.drained);
  CHECK(report.quarantined == 1);
  CHECK(f.only_run().tags.at("t") == "2");
}

TEST_CASE("a buffer's limit holds for what isn't a metric, too", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.max_buffer_bytes = 65'536;
  f.options.when_full = WhenFull::reject;
  RunLogger logger = f.start();
  int taken = 0;
  Result<void> result;
  while (result && taken < 1000) {
    result = logger.set_tag("t", std::string(1000, 'x'));
    taken += result ? 1 : 0;
  }
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::storage_full);
  CHECK(taken > 2);
  REQUIRE(logger.commit());
  CHECK(logger.set_tag("t", "room again"));
  // One entry that is larger than the limit alone isn't refused for ever.
  REQUIRE(logger.commit());
  CHECK(logger.log_params(
      {{.key = "p", .value = std::string(6000, 'x')}, {.key = "q", .value = std::string(6000, 'x')}}));
  // Nor does a full buffer keep close() from ending the run.
  REQUIRE(logger.close(1min).value().drained);
  CHECK(f.only_run().status == "FINISHED");
}

TEST_CASE("a blank MLFLOWHA_SPOOL_DIR counts as not set", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.directory.clear();
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(f.directory.path());
  const auto start_with = [&](const std::string& value) {
    ::setenv("MLFLOWHA_SPOOL_DIR", value.c_str(), 1);
    const Result<RunLogger> logger = RunLogger::start(f.client, f.options);
    INFO((logger ? "" : logger.error().message));
    CHECK(logger);
  };
  start_with("");
  start_with("  ");
  CHECK(std::filesystem::exists(f.directory / "mlflowha-spool"));
  start_with(f.directory / "mine");
  CHECK(std::filesystem::exists(f.directory / "mine"));
  ::unsetenv("MLFLOWHA_SPOOL_DIR");
  std::filesystem::current_path(before);
}

TEST_CASE("a logger that is dropped writes what it has, whoever else uses the spool", "[logging][run_logger]") {
  LoggerFixture f;
  f.take_down();
  f.options.background = true;
  f.options.gather = 1h;  // the writer wouldn't come in time
  f.options.linger = 1h;
  RunLogger other = f.start();
  REQUIRE(other.commit());
  const std::uint64_t before = other.status().waiting;
  {
    RunLogger logger = f.start();
    for (int i = 0; i < 7; ++i) REQUIRE(logger.log_metric("m", i, i));
    CHECK(other.status().waiting == before);
  }
  CHECK(other.status().waiting == before + 7);
}

TEST_CASE("what a crash of the machine may take is younger than the sync interval", "[logging][run_logger]") {
  LoggerFixture f;
  f.take_down();
  f.options.sync_interval = 5s;
  std::string path;
  {
    RunLogger logger = f.start();
    path = Spool::list(f.options.directory).value().at(0).path;
    for (int i = 0; i < 12; ++i) {
      REQUIRE(logger.log_metric("m", i, i));
      f.cluster.clock->advance(1s);
      REQUIRE(logger.commit());
    }
  }
  CHECK(ask_file(path, "SELECT value FROM meta WHERE key = 'syncs'") == "3");  // after 5 s, 10 s, and at the end
}

TEST_CASE("the start of a run that logs nothing is fsynced in its time, too", "[logging][run_logger]") {
  LoggerFixture f;
  f.take_down();
  RunLogger logger = f.start();
  const std::string path = Spool::list(f.options.directory).value().at(0).path;
  f.cluster.clock->advance(f.options.sync_interval);
  REQUIRE(logger.commit());
  const std::string copy = f.directory / "copy.spool";  // as a crash would leave it
  for (const char* suffix : {"", "-wal"}) std::filesystem::copy_file(path + suffix, copy + suffix);
  CHECK(ask_file(copy, "SELECT value FROM meta WHERE key = 'syncs'") == "1");
}

TEST_CASE("an experiment that no server would make is refused at the start", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.experiment = "\xff";
  CHECK(RunLogger::start(f.client, f.options).error().code == Errc::invalid_argument);
  CHECK_FALSE(std::filesystem::exists(f.options.directory));
}

TEST_CASE("a spool that has failed for a while is written as soon as it can be", "[logging][run_logger]") {
  LoggerFixture f;
  f.take_down();
  f.options.max_spool_bytes = 20'000;
  RunLogger logger = f.start();
  int taken = 0;
  while (logger.log_metric("m", taken, taken) && logger.commit()) ++taken;
  const std::int64_t stuck = taken;  // was taken, but not written
  REQUIRE(logger.log_metric("m", -1, stuck + 1));
  CHECK(logger.commit().error().code == Errc::storage_full);
  f.bring_up();
  // flush() delivers what is there, which makes room for what is not.
  const FlushReport report = logger.flush(10min).value();
  CHECK(report.drained);
  CHECK(f.only_run().metrics.at("m").size() == static_cast<std::size_t>(taken) + 2);
  REQUIRE(logger.commit());
  REQUIRE(logger.close(1min).value().drained);
  CHECK(f.only_run().status == "FINISHED");
  CHECK(*f.only_run().end_time <= now_of(f));
}

TEST_CASE("close() ends a run whose spool is full when delivering makes room", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.durability = GENERATE(Durability::interval, Durability::each);
  f.options.max_spool_bytes = 20'000;
  f.take_down();
  RunLogger logger = f.start();
  int step = 0;
  while (logger.log_metric("m", step, step) && logger.commit()) ++step;
  f.bring_up();
  const CloseReport report = logger.close(10min).value();
  CHECK(report.drained);
  CHECK(f.only_run().status == "FINISHED");
  CHECK(f.only_run().metrics.at("m").size() >= static_cast<std::size_t>(step));
}

TEST_CASE("who is told of a failure may flush", "[logging]") {
  // Under the lock of the delivery this would wait for itself.
  struct Flushing final : LoggerObserver {
    RunLogger* logger = nullptr;
    int told = 0;
    void on_degraded(const Error&) noexcept override { tell(); }
    void on_recovered(Duration) noexcept override { tell(); }
    void on_refused(std::uint64_t, const Error&) noexcept override { tell(); }
    void tell() noexcept {
      ++told;
      static_cast<void>(logger->flush(1s));
    }
  };
  LoggerFixture f;
  const auto observer = std::make_shared<Flushing>();
  f.options.observer = observer;
  RunLogger logger = f.start();
  observer->logger = &logger;
  f.take_down();
  REQUIRE(logger.log_metric("m", 1));
  CHECK_FALSE(logger.flush(5s).value().drained);
  CHECK(observer->told == 1);
  f.bring_up();
  CHECK(logger.flush(1min).value().drained);
  CHECK(observer->told == 2);
  f.set_faults({when().path("/runs/log-batch").status(400, R"({"error_code": "INVALID_PARAMETER_VALUE"})")});
  REQUIRE(logger.log_metric("m", 2, 1));
  static_cast<void>(logger.flush(10min));
  CHECK(observer->told > 2);
  f.bring_up();
  CHECK(logger.close(1min).value().quarantined == 1);
}

TEST_CASE("the command that replays is one for any directory", "[logging]") {
  LoggerFixture f;
  f.options.directory = f.directory / "it's $HOME";
  f.take_down();
  RunLogger logger = f.start();
  const CloseReport report = logger.close(1s).value();
  CHECK(report.replay == "mlflowha replay '" + f.directory.path() + "/it'\\''s $HOME'");
}

#if MLFLOWHA_TESTS_COUNT_ALLOCATIONS  // sanitizers have threads of their own
TEST_CASE("a logger that gets no threads says so and leaves nothing behind", "[logging]") {
  LoggerFixture f;
  f.options.background = true;
  REQUIRE(::chmod(f.directory.path().c_str(), 0777) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::getuid() == 0 && ::setuid(65534) != 0) ::_exit(10);  // root has no limit
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_NPROC, &none) != 0) ::_exit(11);
    const Result<RunLogger> logger = RunLogger::start(f.client, f.options);
    if (logger) ::_exit(12);
    if (logger.error().code != Errc::out_of_resources) ::_exit(13);
    ::_exit(std::filesystem::is_empty(f.options.directory) ? 0 : 14);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
#endif
