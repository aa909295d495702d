#include <mlflowha/logging.hpp>

#include <cmath>
#include <filesystem>
#include <limits>
#include <string>

#include "contract/server.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

std::vector<Metric> history(const std::string& run_id, const std::string& key) {
  GetMetricHistory request;
  request.run_id = run_id;
  request.metric_key = key;
  return Pager<Client, GetMetricHistory, Metric>(contract_client(), &Client::get_metric_history, request).all().value();
}

RunLoggerOptions options_for(const TemporaryDirectory& directory) {
  RunLoggerOptions options;
  options.directory = directory.path();
  options.experiment = fresh_name("logger");
  options.linger = 50ms;
  return options;
}

}  // namespace

TEST_CASE("a logged run is on the server as it was logged", "[contract][logging]") {
  const TemporaryDirectory directory;
  auto logger = RunLogger::start(contract_client(), options_for(directory)).value();
  for (int i = 0; i < 2500; ++i) REQUIRE(logger.log_metric("loss", 1.0 / (i + 1), i, 1'700'000'000'000 + i));
  for (int i = 0; i < 150; ++i) REQUIRE(logger.log_metric("wide" + std::to_string(i), i, 0, 1'700'000'000'000));
  REQUIRE(logger.log_params({{.key = "lr", .value = "3e-4"}, {.key = "seed", .value = "1"}}));
  REQUIRE(logger.set_tag("t", "1"));
  REQUIRE(logger.set_tag("t", "2"));
  if (!contract_server().fake) {
    DatasetInput input;
    input.dataset.name = "d";
    input.dataset.digest = "abc";
    input.dataset.source_type = "local";
    input.dataset.source = "x";
    REQUIRE(logger.log_input(input));
  }
  const CloseReport report = logger.close(60s).value();
  REQUIRE(report.drained);
  CHECK(report.quarantined == 0);
  const Run run = contract_client().get_run(report.run_id).value();
  CHECK(run.info.status == RunStatus::finished);
  CHECK(run.data.params.size() == 2);
  CHECK(run.data.metrics.size() == 151);
  const auto points = history(report.run_id, "loss");
  REQUIRE(points.size() == 2500);
  for (const Metric& point : points) CHECK(point.value == 1.0 / (static_cast<double>(point.step) + 1));
  for (const RunTag& tag : run.data.tags) CHECK((tag.key != "t" || tag.value == "2"));
  if (!contract_server().fake) CHECK(run.inputs.dataset_inputs.size() == 1);
  CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("a spool that is delivered a second time changes nothing", "[contract][logging]") {
  // What a process that is killed before it could note the answers does, for every single request, NaN included.
  const TemporaryDirectory directory;
  const TemporaryDirectory other;
  RunLoggerOptions options = options_for(directory);
  options.background = false;
  {
    auto logger = RunLogger::start(contract_client(), options).value();
    for (int i = 0; i < 1500; ++i) REQUIRE(logger.log_metric("m", i, i));
    for (int i = 0; i < 5; ++i) REQUIRE(logger.log_metric("nan", std::numeric_limits<double>::quiet_NaN(), i, 1'000));
    REQUIRE(logger.log_metric("inf", std::numeric_limits<double>::infinity()));
    for (int i = 0; i < 130; ++i) REQUIRE(logger.log_metric("wide" + std::to_string(i), i));
    REQUIRE(logger.log_params({{.key = "p", .value = "1"}, {.key = "q", .value = ""}}));
    REQUIRE(logger.set_tags({{.key = "t", .value = "1"}}));
    REQUIRE(logger.end());
  }
  const std::string copy = other / "copy";
  std::filesystem::copy(directory.path(), copy);
  ReplayOptions replaying;
  replaying.directory = directory.path();
  const ReplayReport first = replay(contract_client(), replaying).value();
  INFO(to_json(first));
  REQUIRE(first.complete());
  replaying.directory = copy;
  const ReplayReport second = replay(contract_client(), replaying).value();
  INFO(to_json(second));
  CHECK(second.complete());
  SearchRuns search;
  search.experiment_ids = {contract_client().find_experiment_by_name(options.experiment).value().value().experiment_id};
  const auto runs = contract_client().search_runs(search).value().items;
  REQUIRE(runs.size() == 1);
  const std::string id = runs[0].info.run_id;
  CHECK(history(id, "m").size() == 1500);
  CHECK(history(id, "nan").size() == 5);
  CHECK(history(id, "inf").size() == 1);
  CHECK(runs[0].data.metrics.size() == 133);
  CHECK(runs[0].info.status == RunStatus::finished);
}

TEST_CASE("only what the server refuses is kept apart", "[contract][logging]") {
  const TemporaryDirectory directory;
  auto logger = RunLogger::start(contract_client(), options_for(directory)).value();
  REQUIRE(logger.log_param("p", "1"));
  REQUIRE(logger.flush(30s).value().drained);
  for (int i = 0; i < 10; ++i) REQUIRE(logger.log_metric("m", i, i));
  REQUIRE(
      logger.log_params({{.key = "a", .value = "x"}, {.key = "p", .value = "another"}, {.key = "b", .value = "y"}}));
  const CloseReport report = logger.close(60s).value();
  CHECK(report.drained);
  CHECK(report.quarantined == 1);
  const Run run = contract_client().get_run(report.run_id).value();
  CHECK(run.data.params.size() == 3);
  CHECK(history(report.run_id, "m").size() == 10);
  CHECK(run.info.status == RunStatus::finished);
}
