// What a batch does with points that a database keeps as one, and that MLflow 2.x doesn't recognise.

#include <limits>

#include "support/catch.hpp"
#include "unit/client/engine_fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double largest = std::numeric_limits<double>::max();

Metric point(const std::string& key, double value, std::int64_t step = 0) {
  Metric metric;
  metric.key = key;
  metric.value = value;
  metric.timestamp = 1;
  metric.step = step;
  return metric;
}

struct Old : Cluster {
  explicit Old(std::vector<FaultScript> faults = {}) : Cluster(1) {
    transport->add(name(0), backend, mlflowha::testing::ServerVersion::v2, faults.empty() ? FaultScript{} : faults[0]);
  }
};

}  // namespace

TEST_CASE("points that a server keeps as one are sent once", "[client][logging]") {
  Old cluster;
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  REQUIRE(client.log_batch(
      run, {point("n", nan_value), point("n", nan_value), point("n", nan_value, 1), point("i", infinity),
            point("i", largest), point("i", -infinity), point("f", 1.5), point("f", 1.5)}));
  CHECK(cluster.backend->points(run, "n").size() == 2);
  CHECK(cluster.backend->points(run, "i").size() == 2);
  CHECK(cluster.backend->points(run, "f").size() == 1);
  CHECK(cluster.backend->counts().by_path.at("/api/2.0/mlflow/runs/log-batch") == 1);
}

TEST_CASE("a NaN point that is there already keeps nothing else from being stored", "[client][logging]") {
  Old cluster;
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  for (int i = 0; i < 2; ++i) REQUIRE(client.log_metric(run, "n", nan_value, {.timestamp = 1}));
  CHECK(cluster.backend->points(run, "n").size() == 1);
  REQUIRE(client.log_batch(run, {point("a", 1), point("n", nan_value), point("n", nan_value, 7)}, {{"p", "v", {}}},
                           {{"t", "v", {}}}));
  CHECK(cluster.backend->points(run, "a").size() == 1);
  CHECK(cluster.backend->points(run, "n").size() == 2);
  CHECK(cluster.backend->run(run)->tags.at("t") == "v");
  CHECK(cluster.backend->run(run)->params.at("p") == "v");
}

TEST_CASE("NaN survives a lost answer", "[client][logging][once]") {
  for (const std::string path : {"log-metric", "log-batch"}) {
    Old cluster({{when().path(path).times(1).apply_then_drop()}});
    const Client client = cluster.client();
    const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
    if (path == "log-metric") {
      REQUIRE(client.log_metric(run, "n", nan_value));
    } else {
      REQUIRE(client.log_batch(run, {point("n", nan_value), point("a", 1)}, {}, {{"t", "v", {}}}));
      CHECK(cluster.backend->points(run, "a").size() == 1);
      CHECK(cluster.backend->run(run)->tags.at("t") == "v");
    }
    CHECK(cluster.backend->points(run, "n").size() == 1);
  }
}

TEST_CASE("nothing of a batch is stored when a later part of it is bad", "[client][logging]") {
  Cluster cluster(1);
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  const auto fault = [&](std::vector<Metric> metrics, std::vector<Param> params, std::vector<RunTag> tags) {
    const auto logged = client.log_batch(run, std::move(metrics), std::move(params), std::move(tags));
    REQUIRE_FALSE(logged);
    CHECK(logged.error().code == Errc::invalid_argument);
    CHECK(logged.error().effect == Effect::none);
    CHECK(cluster.backend->counts().by_path.count("/api/2.0/mlflow/runs/log-batch") == 0);
    return logged.error().message;
  };
  std::vector<RunTag> tags(150);
  for (std::size_t i = 0; i < tags.size(); ++i) tags[i] = {"t" + std::to_string(i), "v", {}};
  std::vector<Param> params(150);
  for (std::size_t i = 0; i < params.size(); ++i) params[i] = {"p" + std::to_string(i), "v", {}};
  std::vector<Metric> metrics(1500, point("m", 1));
  for (std::size_t i = 0; i < metrics.size(); ++i) metrics[i].step = static_cast<std::int64_t>(i);
  tags[120].key = "";
  CHECK_THAT(fault({}, {}, tags), contains("log_batch: tags[120].key is empty"));
  tags[120].key = "\xFF";
  CHECK_THAT(fault({}, {}, tags), contains("tags[120].key is ") && contains("UTF-8"));
  metrics[1400].key = "a//b";
  CHECK_THAT(fault(metrics, {}, {}), contains("metrics[1400].key is \"a//b\""));
  params[140].key = "p3";  // a server refuses it within one request, and would have stored the other
  CHECK_THAT(fault({}, params, {}), contains("params[140].key is \"p3\"") && contains("params[3] has it"));
}
