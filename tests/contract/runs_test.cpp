#include "contract/server.hpp"
#include "support/catch.hpp"

#include <algorithm>

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {
const std::string nobody(32, 'f');

std::string tag_of(const Run& run, std::string_view key) {
  for (const RunTag& tag : run.data.tags) {
    if (tag.key == key) return tag.value;
  }
  return "(none)";
}
}  // namespace

TEST_CASE("a run lives: create, log, end, delete, restore", "[contract][runs]") {
  const Client& client = contract_client();
  CreateRun create;
  create.experiment_id = fresh_experiment();
  create.run_name = "first \"quoted\" \xE2\x82\xAC";
  create.tags.push_back({.key = "a/b c.d-e_f", .value = ""});
  const Run run = client.create_run(create).value();
  const std::string& id = run.info.run_id;
  CHECK(run.info.status == RunStatus::running);
  CHECK(run.info.run_name == create.run_name);
  CHECK(run.info.start_time > 1'600'000'000'000);
  CHECK_FALSE(tag_of(run, api::request_tag_key).empty());

  REQUIRE(client.log_metric(id, "loss", 0.5, {.step = 3}));
  REQUIRE(client.log_param(id, "lr", "3e-4"));
  REQUIRE(client.set_tag(id, "phase", "one"));
  REQUIRE(client.set_tag(id, "phase", "two"));
  REQUIRE(client.set_terminated(id));
  const Run ended = client.get_run(id).value();
  CHECK(ended.info.status == RunStatus::finished);
  CHECK(ended.info.end_time >= ended.info.start_time);
  REQUIRE(ended.data.metrics.size() == 1);
  CHECK(ended.data.metrics[0].value == 0.5);
  CHECK(ended.data.metrics[0].step == 3);
  REQUIRE(ended.data.params.size() == 1);
  CHECK(ended.data.params[0].value == "3e-4");
  CHECK(tag_of(ended, "phase") == "two");
  CHECK(tag_of(ended, "a/b c.d-e_f").empty());

  REQUIRE(client.delete_tag({.run_id = id, .key = "phase"}));
  CHECK(is_not_found(client.delete_tag({.run_id = id, .key = "phase"}).error()));
  REQUIRE(client.delete_run({.run_id = id}));
  REQUIRE(client.delete_run({.run_id = id}));
  CHECK(client.get_run(id).value().info.lifecycle_stage == "deleted");
  CHECK(client.log_metric(id, "loss", 1.0).error().kind() == ErrorKind::invalid_argument);
  REQUIRE(client.restore_run({.run_id = id}));
  CHECK(client.get_run(id).value().info.lifecycle_stage == "active");
}

TEST_CASE("runs that don't exist are not found", "[contract][runs]") {
  const Client& client = contract_client();
  CHECK(is_not_found(client.get_run(nobody).error()));
  CHECK(is_not_found(client.log_metric(nobody, "k", 1).error()));
  CHECK(is_not_found(client.log_param(nobody, "k", "v").error()));
  CHECK(is_not_found(client.set_tag(nobody, "k", "v").error()));
  CHECK(is_not_found(client.delete_tag({.run_id = nobody, .key = "k"}).error()));
  CHECK(is_not_found(client.delete_run({.run_id = nobody}).error()));
  CHECK(is_not_found(client.restore_run({.run_id = nobody}).error()));
  CHECK(is_not_found(client.set_terminated(nobody).error()));
  CHECK(is_not_found(client.log_batch(nobody, {{.key = "k", .value = 1}}).error()));
  CHECK(is_not_found(client.create_run({.experiment_id = "999999999"}).error()));
}

TEST_CASE("a param keeps its first value", "[contract][runs]") {
  const Client& client = contract_client();
  const std::string id = fresh_run().info.run_id;
  REQUIRE(client.log_param(id, "lr", "1"));
  REQUIRE(client.log_param(id, "lr", "1"));
  const auto changed = client.log_param(id, "lr", "2");
  REQUIRE_FALSE(changed);
  CHECK(changed.error().error_code == "INVALID_PARAMETER_VALUE");
  CHECK(changed.error().effect == Effect::none);
}

TEST_CASE("a batch beyond the server's limits is split and complete", "[contract][runs]") {
  const Client& client = contract_client();
  const std::string id = fresh_run().info.run_id;
  std::vector<Metric> metrics;
  for (int i = 0; i < 2'350; ++i) {
    metrics.push_back({.key = "m", .value = i * 0.5, .timestamp = 1'700'000'000'000 + i, .step = i});
  }
  std::vector<Param> params;
  std::vector<RunTag> tags;
  for (int i = 0; i < 130; ++i) {
    params.push_back({.key = "p" + std::to_string(i), .value = std::to_string(i)});
    tags.push_back({.key = "t" + std::to_string(i), .value = std::to_string(i)});
  }
  REQUIRE(client.log_batch(id, metrics, params, tags));
  REQUIRE(client.log_batch(id, metrics, params, tags));  // the same again changes nothing
  const Run run = client.get_run(id).value();
  CHECK(run.data.params.size() == 130);
  CHECK(std::count_if(run.data.tags.begin(), run.data.tags.end(),
                      [](const RunTag& tag) { return tag.key.rfind("t", 0) == 0; }) == 130);
  GetMetricHistory history;
  history.run_id = id;
  history.metric_key = "m";
  const auto points = client.get_metric_history_all(history).all().value();
  REQUIRE(points.size() == 2'350);
  for (std::size_t i = 0; i < points.size(); ++i) {
    REQUIRE(points[i].step == static_cast<std::int64_t>(i));
    REQUIRE(points[i].value == static_cast<double>(i) * 0.5);
  }
}

TEST_CASE("a batch with a refused param leaves the rest to the same batch sent right", "[contract][runs]") {
  const Client& client = contract_client();
  const std::string id = fresh_run().info.run_id;
  REQUIRE(client.log_param(id, "p", "old"));
  const auto refused = client.log_batch(id, {{.key = "m", .value = 1, .timestamp = 5}}, {{.key = "p", .value = "new"}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error_code == "INVALID_PARAMETER_VALUE");
  REQUIRE(client.log_batch(id, {{.key = "m", .value = 1, .timestamp = 5}}, {{.key = "p", .value = "old"}}));
  CHECK(client.get_run(id).value().data.metrics.size() == 1);
}

TEST_CASE("runs are searched by metric, param, tag and attribute", "[contract][runs]") {
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  for (int i = 0; i < 4; ++i) {
    CreateRun create;
    create.experiment_id = experiment;
    create.run_name = "run-" + std::to_string(i);
    create.tags.push_back({.key = "parity", .value = i % 2 == 0 ? "even" : "odd"});
    const std::string id = client.create_run(create).value().info.run_id;
    REQUIRE(client.log_metric(id, "acc", 0.1 * i));
    REQUIRE(client.log_param(id, "depth", std::to_string(i)));
  }
  const auto names = [&](const std::string& filter) {
    SearchRuns search;
    search.experiment_ids = {experiment};
    search.filter = filter;
    search.order_by = {"metrics.acc DESC"};
    std::string list;
    const auto page = client.search_runs(search).value();
    for (const Run& run : page.items) list += run.info.run_name + " ";
    return list;
  };
  CHECK(names("") == "run-3 run-2 run-1 run-0 ");
  CHECK(names("metrics.acc > 0.15") == "run-3 run-2 ");
  CHECK(names("params.depth = '1'") == "run-1 ");
  CHECK(names("tags.parity = 'odd' AND metrics.acc < 0.2") == "run-1 ");
  CHECK(names("attributes.run_name = 'run-0'") == "run-0 ");
  SearchRuns search;
  search.experiment_ids = {experiment};
  search.max_results = 3;
  CHECK(client.search_runs_all(search).all().value().size() == 4);
  search.filter = "nonsense";
  CHECK(client.search_runs(search).error().code == Errc::rejected);
  search.filter = {};
  search.page_token = "not a token";
  CHECK(client.search_runs(search).error().kind() == ErrorKind::invalid_argument);
}
