#include <mlflowha/api/runs_codec.hpp>
#include <mlflowha/logging/impl/deliver.hpp>

#include <cmath>
#include <filesystem>
#include <limits>
#include <string>

#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

bool is_empty(const std::string& directory) {
  return !std::filesystem::exists(directory) || std::filesystem::is_empty(directory);
}
DatasetInput dataset() {
  DatasetInput input;
  input.dataset.name = "d";
  input.dataset.digest = "abc";
  input.dataset.source_type = "local";
  input.dataset.source = "x";
  return input;
}

}  // namespace

TEST_CASE("what is logged arrives, and nothing is left behind", "[logging][run_logger]") {
  LoggerFixture f;
  for (const Durability durability : {Durability::none, Durability::interval, Durability::each}) {
    LoggerFixture g;
    g.options.durability = durability;
    g.options.experiment = "lm";
    g.options.run_name = "try-7";
    g.options.tags = {{.key = "first", .value = "yes"}};
    RunLogger logger = g.start();
    CHECK(g.cluster.transport->exchanges().empty());  // starting asks nobody
    for (int i = 0; i < 2500; ++i) REQUIRE(logger.log_metric("loss", 1.0 / (i + 1), i));
    REQUIRE(logger.log_params({{.key = "lr", .value = "3e-4"}, {.key = "seed", .value = "1"}}));
    REQUIRE(logger.set_tag("t", "1"));
    REQUIRE(logger.set_tag("t", "2"));
    const CloseReport report = logger.close(30s).value();
    CHECK(report.drained);
    CHECK(report.waiting == 0);
    CHECK(report.replay.empty());
    CHECK(is_empty(g.options.directory));
    const StoredRun run = g.only_run();
    CHECK(run.run_id == report.run_id);
    CHECK(run.name == "try-7");
    CHECK(run.status == "FINISHED");
    CHECK(run.params == std::map<std::string, std::string>{{"lr", "3e-4"}, {"seed", "1"}});
    CHECK(run.tags.at("t") == "2");
    std::size_t sets = 0;
    const std::vector<Exchange> exchanges = g.cluster.transport->exchanges();
    for (const Exchange& exchange : exchanges) {
      if (exchange.request.target.find("log-batch") == std::string::npos) continue;
      const auto batch = api::from_json<LogBatch>(exchange.request.body).value();
      CHECK(batch.tags.size() <= 1);  // one key twice in a request has no order
      sets += batch.tags.size();
    }
    CHECK(sets == 1);  // the newest value
    CHECK(run.tags.at("first") == "yes");
    CHECK(run.metrics.at("loss").size() == 2500);
    CHECK(g.cluster.backend->experiments().back().name == "lm");
    CHECK(g.cluster.backend->counts().repeated_points == 0);
    CHECK(g.cluster.backend->counts().by_path.at("/api/2.0/mlflow/runs/log-batch") <= 5);
  }
}

TEST_CASE("with every server down a run starts, logs and closes, and loses nothing", "[logging][run_logger]") {
  LoggerFixture f;
  f.take_down();
  f.options.experiment = "offline";
  RunLogger logger = f.start();
  for (int i = 0; i < 10; ++i) REQUIRE(logger.log_metric("m", i, i));
  const FlushReport flushed = logger.flush(1s).value();
  CHECK_FALSE(flushed.drained);
  CHECK(flushed.waiting == 10);
  CHECK(flushed.run_id.empty());
  CHECK(logger.status().state == LoggerState::degraded);
  CHECK(logger.status().last_error.has_value());
  const CloseReport report = logger.close(5s).value();
  CHECK_FALSE(report.drained);
  CHECK(report.waiting == 11);  // the end, too
  CHECK(report.spool.find(f.options.directory) == 0);
  CHECK(report.replay == "mlflowha replay '" + f.options.directory + "'");
  CHECK(std::filesystem::exists(report.spool));
  CHECK(f.cluster.backend->runs().empty());
  CHECK(f.diary->events.at(0).find("degraded") == 0);
}

TEST_CASE("flush() waits for servers to come back", "[logging][run_logger]") {
  LoggerFixture f;
  RunLogger logger = f.start();
  const bool created = GENERATE(false, true);  // an outage before the run is there, and one after
  REQUIRE(logger.log_metric("m", 1));
  if (created) REQUIRE(logger.flush(1min).value().drained);
  f.take_down();
  f.cluster.clock->schedule(f.cluster.clock->now() + 2min, [&] { f.bring_up(); });
  REQUIRE(logger.log_metric("m", 2, 1));
  const FlushReport report = logger.flush(10min).value();
  CHECK(report.drained);
  CHECK(f.only_run().metrics.at("m").size() == 2);
  REQUIRE(f.diary->events.size() == 2);
  CHECK(f.diary->events[0].find("degraded") == 0);
  CHECK(f.diary->events[1] == "recovered");
  CHECK(logger.status().state == LoggerState::online);
  CHECK(logger.status().delivered == 2);
}

TEST_CASE("timestamps are those of the log calls", "[logging][run_logger]") {
  LoggerFixture f;
  RunLogger logger = f.start();
  const auto first = f.cluster.clock->wall_now().time_since_epoch().count();
  REQUIRE(logger.log_metric("m", 1));
  f.cluster.clock->advance(5s);
  REQUIRE(logger.log_metric("m", 2));
  f.cluster.clock->advance(1h);
  REQUIRE(logger.flush(1min).value().drained);
  const auto points = f.cluster.backend->points(f.only_run().run_id, "m");
  REQUIRE(points.size() == 2);
  CHECK(points[0].timestamp == first);
  CHECK(points[1].timestamp == first + 5000);
}

TEST_CASE("lost answers double nothing", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.experiment = "lm";
  f.set_faults({when().share(0.3).apply_then_drop()});
  RunLogger logger = f.start();
  for (int i = 0; i < 3000; ++i) {
    REQUIRE(logger.log_metric("m" + std::to_string(i % 7), i, i));
    if (i % 100 == 0) REQUIRE(logger.flush(10min).value().drained);
  }
  REQUIRE(logger.close(10min).value().drained);
  CHECK(f.cluster.backend->runs_sharing_tag(api::request_tag_key).empty());
  const auto runs = f.cluster.backend->runs();
  std::size_t points = 0;
  for (const auto& [key, stored] : runs.at(0).metrics) points += stored.size();
  CHECK(points == 3000);
  CHECK(f.cluster.backend->counts().repeated_points > 0);  // the faults did happen
}

TEST_CASE("a database that is away or read-only is no reason to put anything aside", "[logging][run_logger]") {
  LoggerFixture f;
  RunLogger logger = f.start();
  REQUIRE(logger.log_metric("m", 1));
  REQUIRE(logger.flush(1min).value().drained);
  for (const DatabaseState state : {DatabaseState::down, DatabaseState::read_only}) {
    f.cluster.backend->set_database(state);
    REQUIRE(logger.log_metric("m", 2));
    CHECK_FALSE(logger.flush(30min).value().drained);
    CHECK(logger.status().refused == 0);
  }
  f.cluster.backend->set_database(DatabaseState::up);
  REQUIRE(logger.flush(10min).value().drained);
  CHECK(f.only_run().metrics.at("m").size() >= 2);
}

TEST_CASE("a refusal that a failing database may have made is believed only when it lasts", "[logging][run_logger]") {
  LoggerFixture f(1);
  RunLogger logger = f.start();
  REQUIRE(logger.flush(1min).value().drained);
  const auto refuse = [&](std::uint64_t times, const std::string& message) {
    f.cluster.transport->reply(Cluster::name(0), Method::post, "/api/2.0/mlflow/runs/log-batch",
                               Response{400, {}, R"({"error_code": "BAD_REQUEST", "message": ")" + message + "\"}"},
                               times);
  };
  REQUIRE(logger.log_metric("m", 1));
  SECTION("it passes") {
    refuse(5, "something that no list of ours knows");
    const CloseReport report = logger.close(30min).value();
    CHECK(report.drained);
    CHECK(report.quarantined == 0);
    CHECK(f.only_run().metrics.count("m") == 1);
  }
  SECTION("it stays") {
    refuse(9, "something that no list of ours knows");
    const CloseReport report = logger.close(30min).value();
    CHECK(report.drained);
    CHECK(report.quarantined == 1);
    CHECK(f.only_run().metrics.empty());
    CHECK(f.only_run().status == "FINISHED");
  }
  CHECK(f.cluster.transport->unused_replies().empty());
}

TEST_CASE("an outage that answers with pages of proxies and frameworks refuses nothing", "[logging][run_logger]") {
  const int status = GENERATE(500, 505, 520, 521, 599);
  LoggerFixture f;
  const auto outage = [&] { f.set_faults({when().status(status, "<html>Internal Server Error</html>")}); };
  SECTION("of a run that is there") {
    RunLogger logger = f.start();
    REQUIRE(logger.flush(1min).value().drained);
    outage();
    for (int i = 0; i < 3; ++i) REQUIRE(logger.log_metric("m", i, i));
    CHECK_FALSE(logger.flush(5min).value().drained);
    f.bring_up();
    const CloseReport report = logger.close(1min).value();
    CHECK(report.drained);
    CHECK(report.quarantined == 0);
    CHECK(f.only_run().metrics.at("m").size() == 3);
  }
  SECTION("of a run that isn't there yet, nor its experiment") {
    outage();
    f.options.experiment = "lm";
    RunLogger logger = f.start();
    REQUIRE(logger.log_metric("m", 1));
    CHECK_FALSE(logger.flush(5min).value().drained);
    f.bring_up();
    const CloseReport report = logger.close(1min).value();
    CHECK(report.refused.empty());
    CHECK(report.drained);
    CHECK(f.only_run().metrics.count("m") == 1);
  }
}

TEST_CASE("a look for an experiment that fails refuses no run", "[logging][run_logger]") {
  LoggerFixture f(1);
  f.options.experiment = "lm";
  f.set_faults({when().path("get-by-name").error("INTERNAL_ERROR", "KeyError")});
  RunLogger logger = f.start();
  CHECK_FALSE(logger.flush(5min).value().drained);
  f.bring_up();
  CHECK(logger.close(1min).value().drained);
}

TEST_CASE("a NaN that is there already is delivered", "[logging][run_logger]") {
  // What real servers say when a NaN comes again: NaN never equals itself, so they don't see that it is the same.
  LoggerFixture f(1);
  RunLogger logger = f.start();
  REQUIRE(logger.flush(1min).value().drained);
  f.cluster.transport->reply(
      Cluster::name(0), Method::post, "/api/2.0/mlflow/runs/log-batch",
      Response{
          400, {}, R"({"error_code": "BAD_REQUEST", "message": "(sqlite3.IntegrityError) UNIQUE constraint failed"})"},
      2);  // the whole batch, then its first half: the NaN
  REQUIRE(logger.log_metric("m", std::numeric_limits<double>::quiet_NaN(), 1, 5));
  REQUIRE(logger.log_metric("m", 2, 2, 6));
  const CloseReport report = logger.close(10s).value();
  CHECK(report.drained);
  CHECK(report.quarantined == 0);
  CHECK(f.cluster.transport->unused_replies().empty());
  CHECK(f.only_run().metrics.at("m").size() == 1);  // the other half
}

TEST_CASE("what a server refuses is kept apart, alone", "[logging][run_logger]") {
  LoggerFixture f;
  RunLogger logger = f.start();
  REQUIRE(logger.log_param("p", "1"));
  REQUIRE(logger.flush(1min).value().drained);
  for (int i = 0; i < 20; ++i) REQUIRE(logger.log_metric("m", i, i));
  REQUIRE(
      logger.log_params({{.key = "a", .value = "x"}, {.key = "p", .value = "another"}, {.key = "b", .value = "y"}}));
  const CloseReport report = logger.close(1min).value();
  CHECK(report.drained);
  CHECK(report.quarantined == 1);
  CHECK_FALSE(report.spool.empty());  // somebody has to look at it
  const StoredRun run = f.only_run();
  CHECK(run.metrics.at("m").size() == 20);
  CHECK(run.params == std::map<std::string, std::string>{{"a", "x"}, {"b", "y"}, {"p", "1"}});
  CHECK(run.status == "FINISHED");
  SpoolOptions options;
  options.directory = f.options.directory;
  const auto spool = Spool::adopt(report.spool, options, f.cluster.clock).value();
  const auto apart = spool->quarantine().value();
  REQUIRE(apart.size() == 1);
  CHECK(apart[0].reason.find("INVALID_PARAMETER_VALUE") != std::string::npos);
  CHECK(std::get<RunValues>(decode_record(apart[0].data).value()).params.at(0).value == "another");
  CHECK(f.diary->events == std::vector<std::string>{"refused 1"});
}

TEST_CASE("a run that a server won't have keeps its records", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.experiment_id = "4711";  // there is none
  RunLogger logger = f.start();
  REQUIRE(logger.log_metric("m", 1));
  const CloseReport report = logger.close(10min).value();
  CHECK_FALSE(report.drained);
  CHECK(report.refused.find("4711") != std::string::npos);
  CHECK(report.waiting == 2);
  CHECK(std::filesystem::exists(report.spool));
}

TEST_CASE("NaN is stored once, whatever was lost", "[logging][run_logger]") {
  LoggerFixture f;
  RunLogger logger = f.start();
  REQUIRE(logger.flush(1min).value().drained);
  f.set_faults({when().path("/runs/log-batch").times(1).apply_then_drop()});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  REQUIRE(logger.log_metric("m", nan, 1, 5));
  REQUIRE(logger.log_metric("m", nan, 1, 5));
  REQUIRE(logger.log_metric("m", 2, 2, 6));
  const CloseReport report = logger.close(10min).value();
  CHECK(report.drained);
  CHECK(report.quarantined == 0);
  const auto points = f.cluster.backend->points(f.only_run().run_id, "m");
  REQUIRE(points.size() == 2);
  CHECK(points[0].is_nan);
  const std::vector<Exchange> exchanges = f.cluster.transport->exchanges();
  for (const Exchange& exchange : exchanges) {  // two of them in one request are more than a real server takes
    const std::string& body = exchange.request.body;
    const std::size_t first = body.find("NaN");
    if (first != std::string::npos) CHECK(body.find("NaN", first + 1) == std::string::npos);
  }
}

TEST_CASE("wide batches go out a hundred keys at a time", "[logging][run_logger]") {
  LoggerFixture f;
  RunLogger logger = f.start();
  for (int i = 0; i < 350; ++i) REQUIRE(logger.log_metric("k" + std::to_string(i), i));
  REQUIRE(logger.close(1min).value().drained);
  CHECK(f.cluster.backend->counts().by_path.at("/api/2.0/mlflow/runs/log-batch") == 4);
  CHECK(f.only_run().metrics.size() == 350);
}

TEST_CASE("bad input is refused before it is taken", "[logging][run_logger]") {
  LoggerFixture f;
  RunLogger logger = f.start();
  CHECK(logger.log_metric("", 1).error().code == Errc::invalid_argument);
  for (const char* key : {"../m", "/m", "m/", "a//b", "a/./b", "a/../b", ".", "..", "m*", "\x01"}) {
    CAPTURE(key);
    CHECK(logger.log_metric(key, 1).error().code == Errc::invalid_argument);
  }
  for (const char* key : {"m", "a/b.c", "a b:c-d_e", ".a", "a.", "a..b"}) {
    CAPTURE(key);
    CHECK(logger.log_metric(key, 1).has_value());
  }
  CHECK(logger.log_metric(std::string(251, 'k'), 1).error().code == Errc::invalid_argument);
  CHECK(logger.log_metric("m", 1, 0, -5).error().code == Errc::invalid_argument);
  CHECK(logger.log_param("p", std::string(6001, 'v')).error().code == Errc::invalid_argument);
  CHECK(logger.log_params({{.key = "good", .value = "1"}, {.key = "p", .value = "\xFF"}}).error().code ==
        Errc::invalid_argument);
  CHECK(logger.end(RunStatus::unspecified).error().code == Errc::invalid_argument);
  REQUIRE(logger.close(1min).value().drained);
  CHECK(f.only_run().params.empty());  // all or none
  f.options.experiment = "a";
  f.options.experiment_id = "1";
  CHECK(RunLogger::start(f.client, f.options).error().code == Errc::invalid_argument);
  f.options = {};
  f.options.linger = -1s;
  CHECK(RunLogger::start(f.client, f.options).error().code == Errc::invalid_argument);
  f.options = {};
  f.options.directory = f.directory / "spool";
  f.options.background = false;
  f.options.tags = {{.key = "mlflow.runName", .value = "a"}};
  f.options.run_name = "b";  // servers refuse it
  CHECK(RunLogger::start(f.client, f.options).error().code == Errc::invalid_argument);
  f.options.run_name = "a";
  CHECK(RunLogger::start(f.client, f.options));
}

TEST_CASE("a closed logger says so", "[logging][run_logger]") {
  LoggerFixture f;
  RunLogger logger = f.start();
  REQUIRE(logger.close(1min).value().drained);
  CHECK(logger.log_metric("m", 1).error().code == Errc::cancelled);
  CHECK(logger.flush(1s).error().code == Errc::cancelled);
  CHECK(logger.close(1s).error().code == Errc::cancelled);
  CHECK(logger.status().state == LoggerState::closed);
  CHECK(logger.status().run_id == f.only_run().run_id);
}

TEST_CASE("a logger that is dropped without close() leaves everything in the spool", "[logging][run_logger]") {
  LoggerFixture f;
  {
    RunLogger logger = f.start();
    REQUIRE(logger.log_metric("m", 1));
  }
  const auto files = Spool::list(f.options.directory).value();
  REQUIRE(files.size() == 1);
  CHECK_FALSE(files[0].in_use);
  SpoolOptions options;
  CHECK(Spool::adopt(files[0].path, options, f.cluster.clock).value()->stats().entries == 1);
}

TEST_CASE("a full buffer does what was asked for", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.max_buffer_bytes = 65'536;
  SECTION("spill") {
    RunLogger logger = f.start();
    for (int i = 0; i < 5000; ++i) REQUIRE(logger.log_metric("m", i, i));
    CHECK(logger.status().waiting > 4000);
    REQUIRE(logger.close(1min).value().drained);
    CHECK(f.only_run().metrics.at("m").size() == 5000);
  }
  SECTION("reject") {
    f.options.when_full = WhenFull::reject;
    RunLogger logger = f.start();
    std::size_t taken = 0;
    Result<void> result;
    for (int i = 0; i < 5000; ++i) {
      result = logger.log_metric("m", i, i);
      taken += result ? 1U : 0U;
    }
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Errc::storage_full);
    CHECK(result.error().message.find("max_buffer_bytes") != std::string::npos);
    CHECK(taken > 100);
    REQUIRE(logger.close(1min).value().drained);
    CHECK(f.only_run().metrics.at("m").size() == taken);
  }
  SECTION("spill, and the spool is full, too") {
    f.options.max_spool_bytes = 20'000;
    f.take_down();
    RunLogger logger = f.start();
    Result<void> result;
    std::size_t taken = 0;
    for (int i = 0; i < 50'000 && result; ++i) {
      result = logger.log_metric("m", i, i);
      taken += result ? 1U : 0U;
    }
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Errc::storage_full);
    CHECK(result.error().message.find("max_bytes") != std::string::npos);
    f.bring_up();
    // What was taken is in memory and in the spool; both go out, in turns.
    REQUIRE(logger.close(10min).value().drained);
    CHECK(f.only_run().metrics.at("m").size() == taken);
  }
}

TEST_CASE("dataset inputs and a chosen end arrive", "[logging][run_logger]") {
  LoggerFixture f;
  f.cluster.transport->reply(Cluster::name(0), Method::post, "/api/2.0/mlflow/runs/log-inputs", Response{200, {}, "{}"},
                             1);
  RunLogger logger = f.start();
  REQUIRE(logger.log_input(dataset()));
  REQUIRE(logger.end(RunStatus::failed, 1'800'000'000'000));
  REQUIRE(logger.close(1min).value().drained);
  CHECK(f.cluster.transport->unused_replies().empty());
  CHECK(f.only_run().status == "FAILED");
  CHECK(f.only_run().end_time == 1'800'000'000'000);
}

TEST_CASE("a create that was sent before the logger was made is looked for", "[logging][run_logger]") {
  LoggerFixture f;
  const std::string tag = "00000000-1111-4222-8333-444444444444";
  CallOptions tagged;
  tagged.request_tag = tag;
  const Run earlier = f.client.create_run({.experiment_id = "0"}, tagged).value();
  f.options.request_tag = tag;
  f.options.start_time = 1'700'000'000'000;
  RunLogger logger = f.start();
  REQUIRE(logger.log_metric("m", 1));
  const CloseReport report = logger.close(1min).value();
  REQUIRE(report.drained);
  CHECK(report.run_id == earlier.info.run_id);
  CHECK(f.cluster.backend->runs().size() == 1);

  f.options.request_tag = "another";
  REQUIRE(f.start().close(1min).value().drained);
  REQUIRE(f.cluster.backend->runs().size() == 2);
  CHECK(f.cluster.backend->runs().back().start_time == 1'700'000'000'000);

  f.options.request_tag = "a' or 1";
  CHECK(RunLogger::start(f.client, f.options).error().code == Errc::invalid_argument);
}

TEST_CASE("a child that was started offline finds its parent", "[logging][run_logger]") {
  LoggerFixture f;
  const std::unique_ptr<Spool> spool = f.make_spool();
  RunStart start;
  start.experiment_id = "0";
  start.request_tag = "tag-of-parent";
  const std::int64_t parent = spool->add_run("local-parent", start).value();
  start.request_tag = "tag-of-child";
  start.tags = {{.key = "mlflow.parentRunId", .value = "local-parent"}, {.key = "other", .value = "local-parent"}};
  const std::int64_t child = spool->add_run("local-child", start).value();
  start.request_tag = "tag-of-orphan";
  start.tags = {{.key = "mlflow.parentRunId", .value = "local-of-another-spool"}};
  const std::int64_t orphan = spool->add_run("local-orphan", start).value();

  mlflowha::detail::Deliverer deliverer(f.client);
  using What = mlflowha::detail::DeliveryStep::What;
  const mlflowha::detail::DeliveryStep early = deliverer.step(*spool, child, {});
  CHECK(early.what == What::held);
  CHECK(early.error->message.find("local-parent") != std::string::npos);
  CHECK(f.cluster.backend->runs().empty());
  CHECK(deliverer.step(*spool, parent, {}).what == What::progress);
  CHECK(deliverer.step(*spool, child, {}).what == What::progress);
  CHECK(deliverer.step(*spool, orphan, {}).what == What::progress);
  const std::vector<StoredRun> runs = f.cluster.backend->runs();
  REQUIRE(runs.size() == 3);
  CHECK(runs[1].tags.at("mlflow.parentRunId") == runs[0].run_id);
  CHECK(runs[1].tags.at("other") == "local-parent");
  CHECK(runs[2].tags.at("mlflow.parentRunId") == "local-of-another-spool");
}

TEST_CASE("runs that name each other as parents wait for none", "[logging][run_logger]") {
  LoggerFixture f;
  const std::unique_ptr<Spool> spool = f.make_spool();
  RunStart start;
  start.experiment_id = "0";
  start.request_tag = "tag-of-itself";
  start.tags = {{.key = "mlflow.parentRunId", .value = "local-itself"}};
  const std::int64_t itself = spool->add_run("local-itself", start).value();
  start.request_tag = "tag-of-one";
  start.tags = {{.key = "mlflow.parentRunId", .value = "local-other"}};
  const std::int64_t one = spool->add_run("local-one", start).value();
  start.request_tag = "tag-of-other";
  start.tags = {{.key = "mlflow.parentRunId", .value = "local-one"}};
  const std::int64_t other = spool->add_run("local-other", start).value();

  mlflowha::detail::Deliverer deliverer(f.client);
  using What = mlflowha::detail::DeliveryStep::What;
  for (const std::int64_t run : {itself, one, other}) CHECK(deliverer.step(*spool, run, {}).what == What::progress);
  const std::vector<StoredRun> runs = f.cluster.backend->runs();
  REQUIRE(runs.size() == 3);
  CHECK(runs[1].tags.at("mlflow.parentRunId") == "local-other");  // told as it was logged
  CHECK(runs[2].tags.at("mlflow.parentRunId") == runs[1].run_id);
}

TEST_CASE("a point of a model or dataset keeps what it belongs to", "[logging][run_logger]") {
  LoggerFixture f;
  RunLogger logger = f.start();
  REQUIRE(logger.log_metrics({{.key = "plain", .value = 1},
                              {.key = "linked", .value = 2, .step = 3, .model_id = "m-1"},
                              {.key = "linked", .value = 4, .dataset_name = "d", .dataset_digest = "x"}}));
  REQUIRE(logger.close(1min).value().drained);
  std::vector<LogMetric> sent;
  for (const Exchange& exchange : f.cluster.transport->exchanges()) {
    if (exchange.request.target != "/api/2.0/mlflow/runs/log-metric") continue;
    sent.push_back(api::from_json<LogMetric>(exchange.request.body).value());
  }
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].model_id == "m-1");
  CHECK(sent[0].step == 3);
  CHECK(sent[1].dataset_name == "d");
  CHECK(sent[1].dataset_digest == "x");
  CHECK(f.only_run().metrics.at("linked").size() == 2);
  CHECK(f.only_run().metrics.at("plain").size() == 1);
}

TEST_CASE("an existing run can be logged into", "[logging][run_logger]") {
  LoggerFixture f;
  f.options.run_id = f.client.create_run({.experiment_id = "0"}).value().info.run_id;
  RunLogger logger = f.start();
  REQUIRE(logger.log_metric("m", 1));
  CHECK(logger.status().run_id == f.options.run_id);
  REQUIRE(logger.close(1min).value().drained);
  REQUIRE(f.cluster.backend->runs().size() == 1);
  CHECK(f.only_run().metrics.count("m") == 1);
}
