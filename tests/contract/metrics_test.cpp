#include "contract/server.hpp"
#include "support/catch.hpp"

#include <cmath>
#include <limits>

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {

std::vector<Metric> history(const std::string& run_id, const std::string& key) {
  GetMetricHistory request;
  request.run_id = run_id;
  request.metric_key = key;
  return contract_client().get_metric_history_all(request).all().value();
}

}  // namespace

TEST_CASE("the identical point is stored once", "[contract][metrics]") {
  const Client& client = contract_client();
  const std::string id = fresh_run().info.run_id;
  for (int i = 0; i < 3; ++i) REQUIRE(client.log_metric(id, "m", 1.5, {.step = 7, .timestamp = 1'700'000'000'000}));
  CHECK(history(id, "m").size() == 1);
  REQUIRE(client.log_metric(id, "m", 1.5, {.step = 8, .timestamp = 1'700'000'000'000}));
  CHECK(history(id, "m").size() == 2);
}

TEST_CASE("doubles and steps come back as they went", "[contract][metrics]") {
  const Client& client = contract_client();
  const std::string id = fresh_run().info.run_id;
  struct Row {
    double value;
    std::int64_t step;
  };
  const std::vector<Row> rows = {{0.1, 0},
                                 {-0.0, 1},
                                 {1e-300, 2},
                                 {1.7976931348623157e308, 3},
                                 {3.141592653589793, -4},
                                 {1e22, std::numeric_limits<std::int64_t>::max()}};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string key = "m" + std::to_string(i);
    REQUIRE(client.log_metric(id, key, rows[i].value, {.step = rows[i].step, .timestamp = 1'700'000'000'000}));
    const auto points = history(id, key);
    REQUIRE(points.size() == 1);
    CHECK(points[0].value == rows[i].value);
    CHECK(points[0].step == rows[i].step);
    CHECK(points[0].timestamp == 1'700'000'000'000);
  }
}

TEST_CASE("NaN and infinities are kept as the server keeps them", "[contract][metrics]") {
  const Client& client = contract_client();
  const std::string id = fresh_run().info.run_id;
  REQUIRE(client.log_metric(id, "nan", std::numeric_limits<double>::quiet_NaN(), {.timestamp = 1}));
  REQUIRE(client.log_metric(id, "inf", std::numeric_limits<double>::infinity(), {.timestamp = 1}));
  REQUIRE(client.log_metric(id, "minus", -std::numeric_limits<double>::infinity(), {.timestamp = 1}));
  REQUIRE(history(id, "nan").size() == 1);
  CHECK(std::isnan(history(id, "nan")[0].value));
  CHECK(history(id, "inf")[0].value >= 1.79e308);
  CHECK(history(id, "minus")[0].value <= -1.79e308);
}

TEST_CASE("NaN points may be repeated, as any other", "[contract][metrics]") {
  const Client& client = contract_client();
  const std::string id = fresh_run().info.run_id;
  constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
  const auto point = [](const std::string& key, double value) {
    return Metric{.key = key, .value = value, .timestamp = 1};
  };
  for (int i = 0; i < 3; ++i) REQUIRE(client.log_metric(id, "single", nan_value, {.timestamp = 1}));
  CHECK(history(id, "single").size() == 1);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(client.log_batch(id,
                             {point("n", nan_value), point("n", nan_value), point("f", 1), point("f", 1),
                              point("i", std::numeric_limits<double>::infinity()),
                              point("i", std::numeric_limits<double>::max()), point("new" + std::to_string(i), 1)},
                             {}, {{"t" + std::to_string(i), "v", {}}}));
    CHECK(history(id, "new" + std::to_string(i)).size() == 1);
  }
  CHECK(history(id, "n").size() == 1);
  CHECK(history(id, "f").size() == 1);
  CHECK(history(id, "i").size() == 1);
  CHECK(client.get_run(id).value().data.tags.size() >= 3);
}

TEST_CASE("a run shows the latest point of each metric", "[contract][metrics]") {
  const Client& client = contract_client();
  const std::string id = fresh_run().info.run_id;
  REQUIRE(client.log_metric(id, "m", 1, {.step = 5, .timestamp = 100}));
  REQUIRE(client.log_metric(id, "m", 2, {.step = 4, .timestamp = 200}));
  const Run run = client.get_run(id).value();
  REQUIRE(run.data.metrics.size() == 1);
  CHECK(run.data.metrics[0].value == 1);
}

TEST_CASE("an unknown metric has no points", "[contract][metrics]") {
  CHECK(history(fresh_run().info.run_id, "never").empty());
}

TEST_CASE("points of many runs are thinned out", "[contract][metrics]") {
  const Client& client = contract_client();
  const std::string id = fresh_run().info.run_id;
  std::vector<Metric> points;
  for (int i = 0; i < 50; ++i) points.push_back({.key = "m", .value = 1.0 * i, .timestamp = 1'000 + i, .step = i});
  REQUIRE(client.log_batch(id, points));
  GetMetricHistoryBulkInterval request;
  request.run_ids = {id};
  request.metric_key = "m";
  request.max_results = 10;
  const auto answer = client.get_metric_history_bulk_interval(request);
  if (contract_server().fake) {  // the fake doesn't thin out, and says so
    CHECK(answer.error().code == Errc::not_implemented);
    return;
  }
  const auto& thinned = answer.value();
  CHECK(thinned.size() >= 10);
  CHECK(thinned.size() < 50);
  for (const MetricWithRunId& point : thinned) CHECK(point.run_id == id);
}

TEST_CASE("bad input is refused before anything is sent", "[contract][metrics]") {
  const Client& client = contract_client();
  const std::string id = fresh_run().info.run_id;
  CHECK(client.log_metric("", "m", 1).error().code == Errc::invalid_argument);
  CHECK(client.log_metric(id, "", 1).error().code == Errc::invalid_argument);
  CHECK(client.log_metric(id, "../m", 1).error().code == Errc::invalid_argument);
  CHECK(client.log_metric(id, std::string(251, 'k'), 1).error().code == Errc::invalid_argument);
  CHECK(client.log_param(id, "p", std::string(6001, 'v')).error().code == Errc::invalid_argument);
  CHECK(client.log_param(id, "p", "\xFF").error().code == Errc::invalid_argument);
  CHECK(client.get_run(id).value().data.params.empty());
}
