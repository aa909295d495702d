#include <chrono>
#include <set>

#include "contract/harmed.hpp"
#include "support/catch.hpp"
#include "support/in_time.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

std::vector<Run> active_runs(const std::string& experiment) {
  SearchRuns search;
  search.experiment_ids = {experiment};
  return contract_client().search_runs_all(search).all().value();
}

}  // namespace

TEST_CASE("replies are dropped after the server applied the request: every create happens once", "[contract][once]") {
  // With 5 % of the replies dropped the official client made 211 runs of 200; here a fifth is dropped.
  const Harmed harmed({when().method(Method::post).path("/create").share(0.2).apply_then_drop()});
  const std::string experiment = fresh_experiment();
  std::set<std::string> ids;
  for (int i = 0; i < 60; ++i) {
    CreateRun create;
    create.experiment_id = experiment;
    create.run_name = "run-" + std::to_string(i);
    ids.insert(harmed.client->create_run(create).value().info.run_id);
  }
  std::set<std::string> stored;
  for (const Run& run : active_runs(experiment)) stored.insert(run.info.run_id);
  CHECK(ids.size() == 60);
  CHECK(stored == ids);

  CHECK(harmed.fired() >= 3);  // otherwise nothing was shown

  for (int i = 0; i < 20; ++i) {
    CreateExperiment create;
    create.name = fresh_name("harmed");
    const std::string id = harmed.client->create_experiment(create).value();
    CHECK(contract_client().get_experiment_by_name({.experiment_name = create.name}).value().experiment_id == id);
  }
}

TEST_CASE("logging through dropped, cut and delayed replies stores every point once", "[contract][once]") {
  const Harmed harmed({when().method(Method::post).share(0.1).apply_then_drop(),
                       when().method(Method::post).share(0.1).truncate(1), when().share(0.1).status(502)});
  const std::string id = fresh_run().info.run_id;
  for (int i = 0; i < 100; ++i) REQUIRE(harmed.client->log_metric(id, "m", i, {.step = i}));
  GetMetricHistory request;
  request.run_id = id;
  request.metric_key = "m";
  const auto points = contract_client().get_metric_history_all(request).all().value();
  REQUIRE(points.size() == 100);
  for (std::size_t i = 0; i < points.size(); ++i) CHECK(points[i].step == static_cast<std::int64_t>(i));
}

TEST_CASE("the twin of a request that is carried out late is found and removed", "[contract][once][twins]") {
  in_time(1500ms, [](std::chrono::milliseconds lateness) {
    const Harmed harmed({when().path("runs/create").times(1).apply_late(lateness)}, true);
    const std::string experiment = fresh_experiment();
    CreateRun create;
    create.experiment_id = experiment;
    const Stopwatch sent;
    const Run run = harmed.client->create_run(create).value();
    const std::size_t active = active_runs(experiment).size();
    if (sent.elapsed() >= lateness) return false;
    CHECK(active == 1);
    REQUIRE(harmed.client->health().twins_watched == 1);
    const std::vector<Twin> twins = harmed.twins();
    REQUIRE(twins.size() == 1);
    CHECK(twins[0].kept_id == run.info.run_id);
    const auto left = active_runs(experiment);
    REQUIRE(left.size() == 1);
    CHECK(left[0].info.run_id == run.info.run_id);
    return true;
  });
}
