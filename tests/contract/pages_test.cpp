// Pagers over real pages.

#include "contract/server.hpp"
#include "support/catch.hpp"

#include <set>
#include <string>

using namespace mlflowha;
using namespace mlflowha_tests;

TEST_CASE("a pager outlives the client that made it", "[contract][pages]") {
  const std::string experiment = fresh_experiment();
  for (int i = 0; i < 5; ++i) {
    REQUIRE(contract_client().create_run({.experiment_id = experiment, .run_name = std::to_string(i)}));
  }
  const auto runs = [&] {
    ClientOptions options;
    options.endpoints = contract_server().urls;
    return Client::create(std::move(options))
        .value()
        .search_runs_all({.experiment_ids = {experiment}, .max_results = 2});
  };
  std::set<std::string> names;
  for (const Result<Run>& run : runs()) names.insert(run.value().info.run_name);
  CHECK(names == std::set<std::string>{"0", "1", "2", "3", "4"});
  CHECK(runs().limit(3).all().value().size() == 3);
}

TEST_CASE("runs that appear during a walk make nobody see one twice", "[contract][pages]") {
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  const auto add = [&](std::int64_t start) {
    REQUIRE(client.create_run({.experiment_id = experiment, .start_time = start}));
  };
  for (int i = 0; i < 6; ++i) add(1'700'000'000'000 + i);
  std::set<std::string> ids;
  std::size_t given = 0;
  // The newest comes first, so each new run pushes the others to a later page.
  for (const Result<Run>& run : client.search_runs_all({.experiment_ids = {experiment}, .max_results = 2})) {
    REQUIRE(run);
    if (given < 3) add(1'700'000'001'000 + static_cast<std::int64_t>(given));
    ids.insert(run->info.run_id);
    ++given;
  }
  CHECK(given == ids.size());
  CHECK(ids.size() >= 6);
}

TEST_CASE("all points of a metric, page by page", "[contract][pages]") {
  const Client& client = contract_client();
  const std::string id = fresh_run().info.run_id;
  std::vector<Metric> points;
  for (int i = 0; i < 25; ++i) {
    points.push_back({.key = "m", .value = i * 1.0, .timestamp = 1'700'000'000'000 + i, .step = i});
  }
  REQUIRE(client.log_batch(id, points));
  std::int64_t next = 0;
  for (const Result<Metric>& point :
       client.get_metric_history_all({.run_id = id, .metric_key = "m", .max_results = 10})) {
    REQUIRE(point);
    CHECK(point->step == next++);
  }
  CHECK(next == 25);
  // 2.x answers with all points, whatever it is asked for.
  CHECK(client.get_metric_history_all({.run_id = id, .metric_key = "m", .max_results = 10})
            .limit(7)
            .all()
            .value()
            .size() == 7);
}
