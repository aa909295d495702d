#include <mlflowha/api/operations.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

struct ReplayDiary final : ReplayObserver {
  std::vector<ReplayProgress> progress;
  int waits = 0;
  void on_progress(const ReplayProgress& p) noexcept override { progress.push_back(p); }
  void on_waiting(const Error&, Duration) noexcept override { ++waits; }
};

struct ReplayFixture : LoggerFixture {
  ReplayFixture() { options.experiment = "offline"; }
  /// A run that was logged with every server down.
  std::string leave_behind(int points, const std::string& name = "run") {
    options.run_name = name;
    RunLogger logger = start();
    for (int i = 0; i < points; ++i) REQUIRE(logger.log_metric("m", i, i));
    return logger.close(1s).value().spool;
  }
  ReplayReport replay_all(ReplayOptions replaying = {}) {
    replaying.directory = options.directory;
    replaying.observer = watcher;
    // A client of its own, as another process has.
    return replay(cluster.client(), replaying).value();
  }
  std::uint64_t points() const { return cluster.backend->counts().points; }
  std::shared_ptr<ReplayDiary> watcher = std::make_shared<ReplayDiary>();
};

}  // namespace

TEST_CASE("a killed process's spool without its log is told of, not called delivered", "[logging][replay]") {
  ReplayFixture f;
  f.take_down();
  RunLogger logger = f.start();
  for (int i = 0; i < 1000; ++i) REQUIRE(logger.log_metric("m", i, i));
  REQUIRE(logger.commit());
  const std::string from = Spool::list(f.options.directory).value().at(0).path;
  f.bring_up();
  f.options.directory = f.directory / "elsewhere";
  std::filesystem::create_directory(f.options.directory);
  const std::string moved = f.options.directory + "/it.spool";
  std::filesystem::copy_file(from, moved);
  ReplayReport report = f.replay_all();
  CHECK_FALSE(report.complete());
  REQUIRE(report.spools.size() == 1);
  CHECK(report.spools[0].state == ReplayedSpool::State::damaged);
  REQUIRE(std::filesystem::exists(moved));
  CHECK(f.points() == 0);
  std::filesystem::copy_file(from + "-wal", moved + "-wal");
  report = f.replay_all();
  CHECK(report.complete());
  CHECK(f.points() == 1000);
}

TEST_CASE("what was left behind is delivered, once", "[logging][replay]") {
  ReplayFixture f;
  f.take_down();
  f.leave_behind(10, "one");
  f.leave_behind(1500, "two");
  f.bring_up();
  const ReplayReport report = f.replay_all();
  CHECK(report.complete());
  CHECK(report.delivered == 1512);
  CHECK(report.waiting == 0);
  REQUIRE(report.spools.size() == 2);
  CHECK(report.spools[0].state == ReplayedSpool::State::delivered);
  CHECK(f.points() == 1510);
  CHECK(f.cluster.backend->runs().size() == 2);
  CHECK(f.cluster.backend->counts().experiments == 2);  // the default one and the named one, made once
  for (const StoredRun& run : f.cluster.backend->runs()) CHECK(run.status == "FINISHED");
  CHECK(std::filesystem::is_empty(f.options.directory));
  REQUIRE_FALSE(f.watcher->progress.empty());
  CHECK(f.watcher->progress.back().delivered == 1512);
  CHECK(f.watcher->progress.back().total == 1512);
  CHECK(f.watcher->progress.back().per_second > 0);
  CHECK(f.watcher->progress.back().eta == Duration::zero());

  CHECK(f.replay_all().spools.empty());
  CHECK(f.points() == 1510);
}

TEST_CASE("a run that is started with another run's tags is a run of its own", "[logging][replay]") {
  ReplayFixture f;
  const Run old = f.cluster.client().create_run({.experiment_id = "0"}).value();
  const RunTag inherited = {
      .key = std::string(api::request_tag_key),
      .value = f.cluster.backend->run(old.info.run_id)->tags.at(std::string(api::request_tag_key))};
  f.options.tags = {inherited};
  f.take_down();
  f.leave_behind(3);
  f.bring_up();
  CHECK(f.replay_all().complete());
  REQUIRE(f.cluster.backend->runs().size() == 2);
  CHECK(f.cluster.backend->runs_sharing_tag(api::request_tag_key).empty());
}

TEST_CASE("a copy of a spool that was delivered delivers nothing new", "[logging][replay]") {
  ReplayFixture f;
  f.take_down();
  f.leave_behind(1200);
  const std::string copy = f.directory / "copy";
  std::filesystem::copy(f.options.directory, copy);
  f.bring_up();
  CHECK(f.replay_all().complete());
  f.options.directory = copy;
  CHECK(f.replay_all().complete());
  CHECK(f.cluster.backend->runs().size() == 1);
  CHECK(f.points() == 1200);
}

TEST_CASE("a dry run changes nothing and asks nobody", "[logging][replay]") {
  ReplayFixture f;
  f.take_down();
  f.leave_behind(10);
  f.cluster.transport->clear_exchanges();
  ReplayOptions options;
  options.dry_run = true;
  const ReplayReport report = f.replay_all(options);
  CHECK(report.waiting == 11);
  CHECK_FALSE(report.complete());
  CHECK(report.spools.at(0).state == ReplayedSpool::State::untouched);
  CHECK(report.spools[0].runs == 1);
  CHECK(f.cluster.transport->exchanges().empty());
  f.bring_up();
  CHECK(f.replay_all().delivered == 11);
}

TEST_CASE("a replay that gives up leaves all as it was", "[logging][replay]") {
  ReplayFixture f;
  f.take_down();
  f.leave_behind(10);
  ReplayOptions options;
  options.patience = 5min;
  const TimePoint before = f.cluster.clock->now();
  ReplayReport report = f.replay_all(options);
  const Duration took = f.cluster.clock->now() - before;
  CHECK(took >= 5min);
  CHECK(took < 7min);
  CHECK(report.unreachable.has_value());
  CHECK(report.delivered == 0);
  CHECK(report.waiting == 11);
  CHECK(f.watcher->waits > 3);
  CHECK(to_json(report).find("\"unreachable\"") != std::string::npos);
  options.timeout = 1s;
  CHECK(f.replay_all(options).waiting == 11);
  f.bring_up();
  CHECK(f.replay_all().complete());
  CHECK(f.points() == 10);
}

TEST_CASE("an interrupted replay goes on where it stopped", "[logging][replay]") {
  ReplayFixture f;
  f.take_down();
  f.leave_behind(30'000);
  f.bring_up();
  // Servers go away for good in the middle of it, with answers lost on the way.
  f.set_faults({when().path("/runs/log-batch").nth(2).apply_then_drop(), when().after(12).refuse()});
  ReplayOptions options;
  options.patience = 10s;
  const ReplayReport first = f.replay_all(options);
  CHECK(first.unreachable.has_value());
  CHECK(first.delivered > 0);
  CHECK(first.waiting > 0);
  f.bring_up();
  const ReplayReport second = f.replay_all();
  CHECK(second.complete());
  CHECK(first.delivered + second.delivered == 30'001);
  CHECK(f.points() == 30'000);
  CHECK(f.cluster.backend->runs().size() == 1);
}

TEST_CASE("a create whose answer was lost with its process is found, not repeated", "[logging][replay]") {
  ReplayFixture f;
  f.set_faults({when().path("/runs/create").apply_then_drop(), when().path("/runs/search").drop_before()});
  {
    // The process dies between the server's work and its answer: here, it never gets an answer.
    RunLogger logger = f.start();
    REQUIRE(logger.log_metric("m", 1));
    CHECK_FALSE(logger.flush(20s).value().drained);
  }
  REQUIRE(f.cluster.backend->runs().size() == 1);
  f.bring_up();
  CHECK(f.replay_all().complete());
  CHECK(f.cluster.backend->runs().size() == 1);
  CHECK(f.only_run().metrics.at("m").size() == 1);
}

TEST_CASE("a twin that woke up after its process had died is removed", "[logging][replay]") {
  ReplayFixture f;
  f.set_faults({when().path("/runs/create").apply_late(30s)});
  {
    RunLogger logger = f.start();
    REQUIRE(logger.log_metric("m", 1));
    CHECK_FALSE(logger.flush(5s).value().drained);
  }
  CHECK(f.cluster.backend->runs().empty());
  f.bring_up();
  // It wakes up between the replay's create and its end.
  f.set_faults({when().path("/runs/log-batch").delay(1min)});
  ReplayOptions options;
  options.patience = 10min;
  f.cluster.clock->schedule(f.cluster.clock->now() + 40s, [&] { f.bring_up(); });
  const ReplayReport report = f.replay_all(options);
  CHECK(report.complete());
  std::size_t active = 0;
  for (const StoredRun& run : f.cluster.backend->runs()) active += run.lifecycle_stage == "active" ? 1U : 0U;
  CHECK(active == 1);
  CHECK(f.cluster.backend->runs_sharing_tag(api::request_tag_key).empty());
}

TEST_CASE("a run that is gone when its twins are looked for has none", "[logging][replay]") {
  ReplayFixture f;
  f.set_faults({when().path("/runs/create").drop_before()});
  {
    RunLogger logger = f.start();
    CHECK_FALSE(logger.flush(20s).value().drained);
  }
  f.set_faults({when().path("/runs/get").error("RESOURCE_DOES_NOT_EXIST", "Run with id=x not found")});
  f.cluster.clock->advance(1min);
  const TimePoint before = f.cluster.clock->now();
  CHECK(f.replay_all().complete());
  CHECK(f.cluster.clock->now() - before < 10s);
}

TEST_CASE("a run that was given the tags of a spooled one is no twin", "[logging][replay]") {
  ReplayFixture f;
  f.options.experiment.clear();
  f.options.request_tag = "sent-before";
  CallOptions tagged;
  tagged.request_tag = f.options.request_tag;
  const Client client = f.cluster.client();
  const std::string sent = client.create_run({.experiment_id = "0", .start_time = 1000}, tagged).value().info.run_id;
  const std::string copy = client.create_run({.experiment_id = "0", .start_time = 2000}).value().info.run_id;
  REQUIRE(client.set_tag(copy, std::string(api::request_tag_key), f.options.request_tag));
  f.take_down();
  f.leave_behind(3);
  f.bring_up();
  const ReplayReport report = f.replay_all();
  CHECK(report.complete());
  CHECK(report.spools.at(0).twins == 0);
  CHECK(f.cluster.backend->points(sent, "m").size() == 3);
  CHECK(f.cluster.backend->run(copy)->lifecycle_stage == "active");
}

TEST_CASE("one bad spool doesn't hold up the others", "[logging][replay]") {
  ReplayFixture f;
  f.take_down();
  const std::string bad = f.leave_behind(100, "bad");
  f.leave_behind(5, "good");
  f.bring_up();
  std::ofstream(bad, std::ios::trunc) << std::string(5000, 'x');
  const ReplayReport report = f.replay_all();
  CHECK_FALSE(report.complete());
  REQUIRE(report.spools.size() == 2);
  int damaged = 0;
  for (const ReplayedSpool& spool : report.spools) damaged += spool.state == ReplayedSpool::State::damaged ? 1 : 0;
  CHECK(damaged == 1);
  CHECK(f.points() == 5);
  CHECK(std::filesystem::exists(bad + ".corrupt"));
}

TEST_CASE("a damaged row is kept apart and the rest delivered", "[logging][replay][hostile]") {
  ReplayFixture f;
  f.take_down();
  const std::string path = f.leave_behind(3);
  {
    SpoolOptions options;
    const auto spool = Spool::adopt(path, options, f.cluster.clock).value();
    const std::int64_t run = spool->runs().value().at(0).id;
    const std::string twice =
        encode(RunValues{.params = {{.key = "lr", .value = "1"}, {.key = "lr", .value = "2"}}}).value();
    REQUIRE(spool->append({{run, RecordKind::values, 1, "rubbish"}, {run, RecordKind::values, 2, twice}}));
  }
  f.bring_up();
  const ReplayReport report = f.replay_all();
  CHECK_FALSE(report.complete());
  CHECK(report.spools.at(0).quarantined == 2);
  CHECK(report.spools[0].state == ReplayedSpool::State::partial);
  REQUIRE(report.spools[0].refused.size() == 2);
  const std::string id = f.cluster.backend->runs().at(0).run_id;
  CHECK(report.spools[0].refused[0].run == id);
  CHECK(report.spools[0].refused[0].record == "values that can't be read");
  CHECK(report.spools[0].refused[1].record == "param \"lr\"");
  CHECK_THAT(report.spools[0].refused[1].reason, starts_with("rejected INVALID_PARAMETER_VALUE: "));
  ReplayOptions look;
  look.dry_run = true;
  CHECK(f.replay_all(look).spools.at(0).refused.size() == 2);
  CHECK(nlohmann::json::parse(to_json(report)).at("spools").at(0).at("refused").at(0).at("run") == id);
  CHECK(f.points() == 3);
}

TEST_CASE("a spool whose owner lives is left to it", "[logging][replay]") {
  ReplayFixture f;
  f.take_down();
  RunLogger logger = f.start();
  REQUIRE(logger.log_metric("m", 1));
  REQUIRE(logger.commit());
  f.bring_up();
  const ReplayReport report = f.replay_all();
  CHECK(report.complete());
  CHECK(report.spools.at(0).state == ReplayedSpool::State::in_use);
  CHECK(f.points() == 0);
  REQUIRE(logger.close(1min).value().drained);
  CHECK(f.points() == 1);
}

TEST_CASE("runs take turns", "[logging][replay]") {
  ReplayFixture f;
  f.take_down();
  f.leave_behind(5000, "long");
  f.leave_behind(5000, "also long");
  f.bring_up();
  CHECK(f.replay_all().complete());
  std::vector<std::string> order;
  for (const Exchange& exchange : f.cluster.transport->exchanges()) {
    if (exchange.request.target.find("log-batch") == std::string::npos || !exchange.applied) continue;
    order.push_back(exchange.request.body.substr(exchange.request.body.find("run_id"), 44));
  }
  REQUIRE(order.size() == 10);
  for (std::size_t i = 2; i < order.size(); ++i) CHECK(order[i] == order[i - 2]);
  CHECK(order[0] != order[1]);
}
