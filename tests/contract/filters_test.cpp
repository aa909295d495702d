// Filters as namespace filter writes them: each finds what it says on every server, whatever keys and values hold.

#include "contract/server.hpp"
#include "support/catch.hpp"

#include <string>
#include <vector>

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {

/// Names of the runs of an experiment that a filter finds, in the order of their start.
class Runs {
 public:
  std::string experiment = fresh_experiment();

  std::string add(const std::string& name, std::vector<RunTag> tags, std::vector<Metric> metrics = {},
                  std::vector<Param> params = {}) {
    CreateRun create;
    create.experiment_id = experiment;
    create.run_name = name;
    create.start_time = next_start_++;
    create.tags = std::move(tags);
    std::string id = contract_client().create_run(create).value().info.run_id;
    if (!metrics.empty() || !params.empty()) {
      contract_client().log_batch(id, std::move(metrics), std::move(params)).value();
    }
    return id;
  }
  [[nodiscard]] std::string found(const Filter& filter) const {
    std::string names;
    for (const Result<Run>& run : contract_client().search_runs_all(
             {.experiment_ids = {experiment}, .filter = filter, .order_by = {"start_time ASC"}})) {
      if (!run) return run.error().message;
      names += run->info.run_name + ' ';
    }
    return names;
  }

 private:
  std::int64_t next_start_ = 1'700'000'000'000;
};

}  // namespace

TEST_CASE("each comparison of runs finds what it says", "[contract][filter]") {
  Runs runs;
  const std::string a =
      runs.add("a", {{.key = "t", .value = "alpha"}}, {{.key = "m", .value = -1.5}}, {{.key = "p", .value = "x"}});
  runs.add("b", {{.key = "t", .value = "Beta"}}, {{.key = "m", .value = 0}}, {{.key = "p", .value = "y"}});
  const std::string c = runs.add("c", {}, {{.key = "m", .value = 1e300}});

  CHECK(runs.found({}) == "a b c ");
  CHECK(runs.found(filter::metric("m") < 0) == "a ");
  CHECK(runs.found(filter::metric("m") <= 0) == "a b ");
  CHECK(runs.found(filter::metric("m") > -1.5) == "b c ");
  CHECK(runs.found(filter::metric("m") >= -1.5) == "a b c ");
  CHECK(runs.found(filter::metric("m") == -1.5) == "a ");
  CHECK(runs.found(filter::metric("m") == 1e300) == "c ");
  CHECK(runs.found(filter::metric("m") != 0) == "a c ");
  CHECK(runs.found(filter::metric("m") < -1e-300) == "a ");
  CHECK(runs.found(filter::param("p") == "x") == "a ");
  CHECK(runs.found(filter::param("p") != "x") == "b ");
  CHECK(runs.found(filter::param("p").like("_")) == "a b ");
  CHECK(runs.found(filter::tag("t") == "alpha") == "a ");
  CHECK(runs.found(filter::tag("t").like("%eta")) == "b ");
  CHECK(runs.found(filter::tag("t").ilike("B%")) == "b ");
  CHECK(runs.found(filter::tag("t").ilike("%A")) == "a b ");
  CHECK(runs.found(filter::attribute("run_name") == "c") == "c ");
  CHECK(runs.found(filter::attribute("run_name") != "c") == "a b ");
  CHECK(runs.found(filter::attribute("run_id").in({a, c})) == "a c ");
  CHECK(runs.found(filter::attribute("run_id").in({a})) == "a ");
  CHECK(runs.found(filter::attribute("run_id").not_in({a, c})) == "b ");
  CHECK(runs.found(filter::attribute("run_id").in({a, c}) && filter::tag("t") == "alpha") == "a ");
  CHECK(runs.found(filter::attribute("start_time") > 1'700'000'000'000) == "b c ");
  CHECK(runs.found(filter::attribute("status") == "RUNNING") == "a b c ");
  CHECK(runs.found(filter::metric("m") > -2 && filter::param("p") == "y" && filter::tag("t").like("B%")) == "b ");
  CHECK(runs.found("metrics.m < 1" && filter::tag("t") == "alpha") == "a ");
  if (contract_server().major >= 3) {
    CHECK(runs.found(filter::tag("t").is_null()) == "c ");
    CHECK(runs.found(filter::param("p").is_not_null() && filter::metric("m") < 0) == "a ");
  } else {
    CHECK(contract_client().search_runs({.filter = filter::tag("t").is_null()}).error().code == Errc::rejected);
  }
}

TEST_CASE("datasets are searched", "[contract][filter]") {
  if (contract_server().fake) return;  // it has no datasets in its searches
  Runs runs;
  const std::string id = runs.add("with", {});
  runs.add("without", {});
  DatasetInput input;
  input.tags = {{.key = "mlflow.data.context", .value = "training"}};
  input.dataset = {.name = "it's data", .digest = "d1", .source_type = "local", .source = "s"};
  contract_client().log_inputs(id, {input}).value();
  CHECK(runs.found(filter::dataset("name") == "it's data") == "with ");
  CHECK(runs.found(filter::dataset("digest").in({"d1", "d2"})) == "with ");
  CHECK(runs.found(filter::dataset("context") == "training") == "with ");
  if (contract_server().major >= 3) {  // 2.22.5 makes SQL of it that doesn't exist, wherever a tag is asked for besides
    CHECK(runs.found(filter::dataset("context") == "training" && filter::attribute("run_name") == "with") == "with ");
  }
  CHECK(runs.found(filter::dataset("name") == "other").empty());
}

TEST_CASE("keys of every kind are found", "[contract][filter]") {
  Runs runs;
  const std::vector<std::string> keys{"a b",  "a.b", "mlflow.x", "a-b", "a/b",   "a:b",   "1a",  "1",       "and",
                                      "LIKE", "in",  "is null",  "key", "value", "order", "a--", "select.x"};
  for (const std::string& key : keys) {
    runs.add(key, {{.key = key, .value = "v"}}, {{.key = key, .value = 2}}, {{.key = key, .value = "v"}});
  }
  for (const std::string& key : keys) {
    CHECK(runs.found(filter::tag(key) == "v") == key + ' ');
    CHECK(runs.found(filter::metric(key) > 1 && filter::tag(key).like("v")) == key + ' ');
    CHECK(runs.found(filter::param(key).ilike("V%")) == key + ' ');
  }
}

TEST_CASE("values of every kind are found", "[contract][filter]") {
  Runs runs;
  const std::vector<std::string> values{
      "",   "it's", "say \"x\"", "a\\b", "end\\", "\\",   "\\\\",   "--x", "/*x*/", "a;b",      "$$a$$",
      "`",  "(",    "x AND y",   "'",    "\"\"",  "a''b", "line\n", "\t",  "NULL",  "\xC3\xA4", "\xF0\x9F\x98\x80",
      "1.5"};
  for (std::size_t i = 0; i < values.size(); ++i) {
    runs.add("r" + std::to_string(i), {{.key = "t", .value = values[i]}, {.key = "u", .value = "'"}});
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    INFO(values[i]);
    const std::string wanted = "r" + std::to_string(i) + ' ';
    CHECK(runs.found(filter::tag("t") == values[i]) == wanted);
    // Whatever stands around it, and in whatever quotes.
    CHECK(runs.found(filter::tag("t") == values[i] && filter::tag("u") == "'") == wanted);
    CHECK(runs.found(filter::tag("u") == "'" && filter::tag("t") == values[i] && filter::tag("u") != "x") == wanted);
  }
}

TEST_CASE("experiments are searched", "[contract][filter]") {
  const Client& client = contract_client();
  const std::string name = fresh_name("it's");
  CreateExperiment create;
  create.name = name;
  create.tags = {{.key = "a b", .value = "say \"x\""}};
  const std::string id = client.create_experiment(create).value();
  const auto found = [&](const Filter& filter) {
    std::string ids;
    for (const Result<Experiment>& one : client.search_experiments_all({.filter = filter})) {
      ids += one ? one->experiment_id : one.error().message;
    }
    return ids;
  };
  CHECK(found(filter::attribute("name") == name) == id);
  CHECK(found(filter::attribute("name").like(name.substr(0, name.size() - 1) + "_") &&
              filter::tag("a b") == "say \"x\"") == id);
  CHECK(found(filter::attribute("name") == name && filter::attribute("creation_time") > 1'600'000'000'000) == id);
  CHECK(found(filter::attribute("name") == name && filter::attribute("creation_time") < 5).empty());
}
