#include <mlflowha/api/artifacts.hpp>
#include <mlflowha/logging/impl/sent_book.hpp>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;
using Tree = nlohmann::json;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double largest = std::numeric_limits<double>::max();

Metric point(const std::string& key, double value, std::int64_t timestamp, std::int64_t step) {
  Metric metric;
  metric.key = key;
  metric.value = value;
  metric.timestamp = timestamp;
  metric.step = step;
  return metric;
}
RunValues values(std::vector<Metric> metrics, std::vector<Param> params = {}, std::vector<RunTag> tags = {}) {
  RunValues all;
  all.metrics = std::move(metrics);
  all.params = std::move(params);
  all.tags = std::move(tags);
  return all;
}
Run server_run(std::vector<Metric> metrics, std::vector<Param> params = {}, std::vector<RunTag> tags = {}) {
  Run run;
  run.info.status = RunStatus::finished;
  run.data.metrics = std::move(metrics);
  run.data.params = std::move(params);
  run.data.tags = std::move(tags);
  return run;
}

struct VerifyFixture : LoggerFixture {
  VerifyFixture() {
    options.durability = Durability::each;
    options.tags = {{.key = "first", .value = "x"}};
  }
  /// Logs something of everything and delivers it.
  RunLogger logged() {
    RunLogger logger = start();
    for (int i = 0; i < 10; ++i) REQUIRE(logger.log_metric("m", i, i));
    REQUIRE(logger.log_metric("nan", nan_value));
    REQUIRE(logger.log_metric("inf", -infinity));
    REQUIRE(logger.log_params({{.key = "p", .value = "1"}, {.key = "q", .value = ""}}));
    REQUIRE(logger.set_tag("t", "1"));
    REQUIRE(logger.flush(1min).value().drained);  // a request of its own for the older value
    REQUIRE(logger.set_tag("t", "2"));
    REQUIRE(logger.end());
    REQUIRE(logger.flush(1min).value().drained);
    return logger;
  }
  /// The next `times` times the run is read it looks as `change` makes it.
  template <class Change>
  void answer(const Change& change, std::uint64_t times = 1) {
    Tree run = Tree::parse(client.call("get_run", "{\"run_id\": \"" + only_run().run_id + "\"}").value());
    change(run["run"]);
    Response response;
    response.status = 200;
    response.headers = {{"content-type", "application/json"}};
    response.body = run.dump();
    cluster.transport->reply(Cluster::name(0), Method::get, "/api/2.0/mlflow/runs/get", response, times);
  }
  std::size_t requests(const std::string& part) const {
    std::size_t count = 0;
    const std::vector<Exchange> exchanges = cluster.transport->exchanges();
    for (const Exchange& exchange : exchanges)
      count += exchange.request.target.find(part) != std::string::npos ? 1U : 0U;
    return count;
  }
};

void drop(Tree& list, const std::string& key) {
  for (std::size_t i = list.size(); i-- > 0;) {
    if (list[i]["key"] == key) list.erase(i);
  }
}

}  // namespace

TEST_CASE("the latest point is MLflow's: by step, timestamp and value", "[logging][verify]") {
  struct Row {
    std::vector<Metric> sent;
    Metric stored;
    bool lost;
  };
  const std::vector<Row> rows = {
      {{point("m", 1, 5, 1), point("m", 2, 4, 2), point("m", 3, 9, 1)}, point("m", 2, 4, 2), false},
      {{point("m", 1, 5, 1), point("m", 2, 4, 2)}, point("m", 1, 5, 1), true},
      {{point("m", 1, 5, 1), point("m", 1, 6, 1)}, point("m", 1, 5, 1), true},
      {{point("m", 2, 5, 1), point("m", 1, 5, 1)}, point("m", 2, 5, 1), false},
      {{point("m", 2, 5, 1)}, point("m", 1, 5, 1), true},
      {{point("m", 1, 5, 1)}, point("m", 9, 5, 2), false},  // somebody else's
      {{point("m", nan_value, 5, 1)}, point("m", nan_value, 5, 1), false},
      {{point("m", nan_value, 5, 1), point("m", 1, 5, 1)}, point("m", 1, 5, 1), false},
      {{point("m", nan_value, 5, 1), point("m", -1, 5, 1)}, point("m", nan_value, 5, 1), false},
      {{point("m", nan_value, 5, 2)}, point("m", 3, 5, 1), true},
      {{point("m", nan_value, 5, 1)}, point("m", -1, 5, 1), true},  // NaN counts as 0
      {{point("m", infinity, 5, 1)}, point("m", largest, 5, 1), false},
      {{point("m", -infinity, 5, 1)}, point("m", -largest, 5, 1), false},
      {{point("m", 0.1 + 0.2, 5, 1)}, point("m", 0.3, 5, 1), false},  // a digit that a database doesn't keep
  };
  for (const Row& row : rows) {
    mlflowha::detail::SentBook book;
    for (const Metric& metric : row.sent) book.add(values({metric}));
    INFO(row.sent.front().value << " " << row.stored.value << " at " << row.stored.step);
    const auto result = book.compare(server_run({row.stored}));
    CHECK(result.resend.metrics.size() == (row.lost ? 1U : 0U));
    CHECK(result.checked == 1);
    CHECK(result.notes.size() == (row.lost ? 1U : 0U));
  }
}

TEST_CASE("params and tags are told apart: lost, cut off, somebody else's", "[logging][verify]") {
  mlflowha::detail::SentBook book;
  const std::string big(600, 'x');
  book.add(values({}, {{.key = "p", .value = "1"}, {.key = "big", .value = big}, {.key = "other", .value = "1"}}));
  book.add(
      values({}, {}, {{.key = "t", .value = "old"}, {.key = "gone", .value = "1"}, {.key = "theirs", .value = "1"}}));
  book.add(values({}, {}, {{.key = "t", .value = "new"}, {.key = "t2", .value = "1"}}));
  const auto result =
      book.compare(server_run({}, {{.key = "big", .value = big.substr(0, 500)}, {.key = "other", .value = "2"}},
                              {{.key = "t", .value = "old"},
                               {.key = "theirs", .value = "2"},
                               {.key = "t2", .value = "1"},
                               {.key = "unknown", .value = "1"}}));
  REQUIRE(result.resend.params.size() == 1);
  CHECK(result.resend.params[0].key == "p");
  CHECK(result.conflicts == 1);
  CHECK(result.resend.tags.size() == 2);  // the older value and the one that is gone
  CHECK(result.foreign == 1);
  CHECK(result.checked == 7);
}

TEST_CASE("a book has a limit and says what is beyond it", "[logging][verify]") {
  mlflowha::detail::SentBook book(10'000);
  for (int i = 0; i < 1000; ++i) book.add(values({point("m" + std::to_string(i), i, 0, 0)}));
  for (int i = 0; i < 1000; ++i) book.add(values({point("m0", i, i, i)}));  // a known key costs nothing
  const auto result = book.compare(server_run({}));
  CHECK(result.checked > 10);
  CHECK(result.checked < 100);
  CHECK(result.notes.size() == 20);
  CHECK(result.checked + book.unchecked() == 1000);
}

TEST_CASE("close() reads the run back where that is wanted", "[logging][verify]") {
  VerifyFixture f;
  bool wanted = true;
  SECTION("with each it is") {}
  SECTION("with interval it isn't") {
    f.options.durability = Durability::interval;
    wanted = false;
  }
  SECTION("unless asked for") {
    f.options.durability = Durability::interval;
    f.options.verify_on_close = true;
  }
  SECTION("or asked not to") {
    f.options.verify_on_close = false;
    wanted = false;
  }
  RunLogger logger = f.logged();
  const CloseReport report = logger.close(1min).value();
  CHECK(report.drained);
  CHECK(report.verified.has_value() == wanted);
  CHECK(f.requests("/runs/get") == (wanted ? 1U : 0U));
  if (!wanted) return;
  CHECK(report.verified->done);
  CHECK(report.verified->checked == 7);  // m, nan, inf, p, q, t and the end
  CHECK(report.verified->resent == 0);
  CHECK(report.verified->different == 0);
  CHECK(report.verified->notes.empty());
}

TEST_CASE("what the server has lost is sent again", "[logging][verify]") {
  VerifyFixture f;
  RunLogger logger = f.logged();
  f.answer([](Tree& run) {
    drop(run["data"]["metrics"], "m");
    drop(run["data"]["params"], "p");
    for (Tree& tag : run["data"]["tags"]) {
      if (tag["key"] == "t") tag["value"] = "1";
    }
    run["info"]["status"] = "RUNNING";
  });
  const std::uint64_t points = f.cluster.backend->counts().points;
  f.cluster.transport->clear_exchanges();
  const CloseReport report = logger.close(1min).value();
  CHECK(report.drained);
  REQUIRE(report.verified);
  CHECK(report.verified->done);
  CHECK(report.verified->resent == 4);
  CHECK(report.verified->different == 0);
  CHECK(report.verified->notes.size() == 4);
  CHECK(f.requests("/runs/get") == 2);
  CHECK(f.requests("/runs/log-batch") == 1);
  CHECK(f.requests("/runs/update") == 1);
  CHECK(f.cluster.backend->counts().repeated_points == 1);  // it wasn't really lost
  CHECK(f.cluster.backend->counts().points == points);
  CHECK(f.only_run().tags.at("t") == "2");
  CHECK(std::filesystem::is_empty(f.options.directory));
}

TEST_CASE("what is to be sent again is fsynced as all else", "[logging][verify]") {
  VerifyFixture f;
  f.options.durability = Durability::interval;
  f.options.verify_on_close = true;
  RunLogger logger = f.logged();
  f.cluster.clock->advance(2 * f.options.sync_interval);
  REQUIRE(logger.commit());  // from here on there is nothing to fsync
  f.answer([](Tree& run) { drop(run["data"]["metrics"], "m"); });
  f.set_faults({testing::when().path("/runs/log-batch").status(503)});
  const CloseReport report = logger.close(5s).value();
  REQUIRE(report.waiting == 1);
  CHECK(ask_file(report.spool, "SELECT value FROM meta WHERE key = 'syncs'") == "2");
}

TEST_CASE("what is still different afterwards is said", "[logging][verify]") {
  VerifyFixture f;
  RunLogger logger = f.logged();
  const auto harm = [](Tree& run) {
    drop(run["data"]["metrics"], "m");
    for (Tree& param : run["data"]["params"]) {
      if (param["key"] == "p") param["value"] = "another";
    }
    for (Tree& tag : run["data"]["tags"]) {
      if (tag["key"] == "t") tag["value"] = "somebody's";
    }
    run["info"]["status"] = "KILLED";
  };
  f.answer(harm);
  const CloseReport report = logger.close(1min).value();
  REQUIRE(report.verified);
  CHECK(report.verified->resent == 1);
  CHECK(report.verified->different == 0);  // the second look showed the truth
  f.cluster.transport->clear_exchanges();

  VerifyFixture g;
  RunLogger stubborn = g.logged();
  g.answer(harm, 2);
  const CloseReport second = stubborn.close(1min).value();
  REQUIRE(second.verified);
  CHECK(second.verified->done);
  CHECK(second.verified->resent == 1);
  CHECK(second.verified->different == 2);  // the metric and the param
  CHECK(second.verified->foreign == 2);    // the tag and the end
}

TEST_CASE("a run that can't be read back is closed all the same", "[logging][verify]") {
  VerifyFixture f;
  RunLogger logger = f.logged();
  f.take_down();
  Result<CloseReport> report = invalid_argument("");
  CHECK(f.cluster.time([&] { report = logger.close(5s); }) <= 6s);
  REQUIRE(report);
  CHECK(report->drained);
  REQUIRE(report->verified);
  CHECK_FALSE(report->verified->done);
  CHECK(report->verified->error.has_value());
  CHECK(std::filesystem::is_empty(f.options.directory));
}

TEST_CASE("reading a run back can be cancelled", "[logging][verify]") {
  VerifyFixture f;
  RunLogger logger = f.logged();
  CancellationSource source;
  source.request_stop();
  const CloseReport report = logger.close(1min, source.get_token()).value();
  CHECK(report.drained);
  REQUIRE(report.verified);
  CHECK_FALSE(report.verified->done);
  REQUIRE(report.verified->error);
  CHECK(report.verified->error->code == Errc::cancelled);
}

TEST_CASE("artifacts are looked for, too", "[logging][verify]") {
  VerifyFixture f;
  RunLogger logger = f.start();
  for (const char* name : {"a", "b", "c"}) {
    std::ofstream(f.directory / name) << "0123456789";
    REQUIRE(logger.log_artifact(f.directory / name, "d"));
  }
  std::ofstream(f.directory / "empty").flush();
  REQUIRE(logger.log_artifact(f.directory / "empty"));
  REQUIRE(logger.flush(1min).value().drained);
  const std::string root = "0/" + f.only_run().run_id + "/artifacts/d/";
  bool harmed = false;
  SECTION("all there") {}
  SECTION("one gone, one cut") {
    harmed = true;
    REQUIRE(f.client.delete_artifact({.artifact_path = root + "a"}));
    REQUIRE(f.client.upload_artifact({.artifact_path = root + "b", .content = "01234"}));
  }
  const CloseReport report = logger.close(1min).value();
  REQUIRE(report.verified);
  CHECK(report.verified->done);
  CHECK(report.verified->checked == 5);
  CHECK(report.verified->different == (harmed ? 2U : 0U));
  if (!harmed) return;
  REQUIRE(report.verified->notes.size() == 2);
  CHECK(report.verified->notes[0] == "artifact \"d/a\" isn't there");
  CHECK(report.verified->notes[1] == "artifact \"d/b\" has 5 bytes instead of 10");
}
