// MLflow's limits, applied before anything is sent: each fault names the field, the value and what was expected.

#include <mlflowha/api/all.hpp>

#include "support/catch.hpp"
#include "unit/api/support.hpp"

#include <functional>
#include <string>
#include <vector>

using namespace mlflowha;
using mlflowha_tests::CannedCalls;

namespace {

const std::string run(32, 'a');
using Calls = const CannedCalls&;

template <class T>
Error error_of(const Result<T>& result) {
  return result ? Error{} : result.error();
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

struct Case {
  std::function<Error(Calls)> call;
  std::string said;  // "" when the request must pass
};

void check_all(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    CannedCalls calls(R"({"run": {}, "run_info": {}, "experiment": {}, "experiment_id": "7"})");
    const Error error = one.call(calls);
    INFO(one.said);
    if (one.said.empty()) {
      CHECK(error.message.empty());
      CHECK(calls.sent.size() == 1);
    } else {
      CHECK(error.code == Errc::invalid_argument);
      CHECK(error.effect == Effect::none);
      CHECK_THAT(error.message, mlflowha_tests::contains(one.said));
      CHECK(calls.sent.empty());
    }
  }
}

}  // namespace

TEST_CASE("ids", "[api]") {
  const auto get = [](std::string id) { return [id](Calls c) { return error_of(c.get_run({.run_id = id})); }; };
  check_all({
      {get(run), ""},
      {get("A-b_9"), ""},
      {get(std::string(256, 'a')), ""},
      {get(""), "get_run: run_id is empty; expected a value"},
      {get(std::string(257, 'a')), "run_id has 257 characters; expected at most 256"},
      {get("-a"), "run_id is \"-a\"; expected letters, digits"},
      {get("a/b"), "run_id is \"a/b\""},
      {get("a b"), "run_id is"},
      {get("a\n"), "run_id is \"a\\x0A\""},
      {[](Calls c) { return error_of(c.get_experiment({.experiment_id = std::string(65, '1')})); },
       "experiment_id has 65 characters; expected at most 64"},
      {[](Calls c) { return error_of(c.create_run({})); }, "create_run: experiment_id is empty; expected a value"},
      {[](Calls c) { return error_of(c.create_run({.experiment_id = "no id"})); }, "create_run: experiment_id is"},
      {[](Calls c) { return error_of(c.search_runs({.experiment_ids = {"1", "2 3"}})); },
       "search_runs: experiment_ids[1] is \"2 3\""},
      {[](Calls c) { return error_of(c.search_runs({.experiment_ids = {"1", ""}})); }, "experiment_ids[1] is empty"},
  });
}

TEST_CASE("keys of metrics, params and tags", "[api]") {
  const auto metric = [](std::string key) {
    return [key](Calls c) { return error_of(c.log_metric({.run_id = run, .key = key, .value = 1})); };
  };
  std::vector<Case> cases;
  for (const char* good : {"a", "train/loss", "a.b-c_d e:f", "größe", "...", "a..b", "/not leading"}) {
    if (std::string(good) != "/not leading") cases.push_back({metric(good), ""});
  }
  cases.push_back({metric(std::string(250, 'k')), ""});
  cases.push_back({metric(repeated("ä", 250)), ""});
  for (const char* path : {"/a", "a/", "a//b", ".", "..", "./a", "a/../b", "../a", "a/."}) {
    cases.push_back({metric(path), "key is \"" + std::string(path) + "\"; expected a name that is no path elsewhere"});
  }
  for (const char* bad : {"a@b", "a\nb", "a,b", "a\"b", "a\\b", "a%"}) {
    cases.push_back({metric(bad), "expected letters, digits and any of \"/_.-: \""});
  }
  cases.push_back({metric(""), "log_metric: key is empty; expected a value"});
  cases.push_back({metric(std::string(251, 'k')), "key has 251 characters; expected at most 250: \"kkk"});
  cases.push_back({metric(repeated("ä", 251)), "key has 251 characters"});
  check_all(cases);
}

TEST_CASE("values, times and names", "[api]") {
  const auto param = [](std::string value) {
    return [value](Calls c) { return error_of(c.log_param({.run_id = run, .key = "k", .value = value})); };
  };
  check_all({
      {param(""), ""},
      {param(std::string(6000, 'v')), ""},
      {param(repeated("€", 6000)), ""},
      {param(std::string(6001, 'v')), "log_param: value has 6001 characters; expected at most 6000"},
      {[](Calls c) { return error_of(c.set_tag({.run_id = run, .key = "k", .value = std::string(8000, 'v')})); }, ""},
      {[](Calls c) { return error_of(c.set_tag({.run_id = run, .key = "k", .value = std::string(8001, 'v')})); },
       "set_tag: value has 8001 characters"},
      {[](Calls c) { return error_of(c.create_experiment({.name = ""})); }, "create_experiment: name is empty"},
      {[](Calls c) { return error_of(c.create_experiment({.name = std::string(501, 'n')})); },
       "name has 501 characters"},
      {[](Calls c) { return error_of(c.update_experiment({.experiment_id = "1"})); }, "new_name is empty"},
      {[](Calls c) {
         return error_of(c.set_experiment_tag({.experiment_id = "1", .key = "k", .value = std::string(20001, 'v')}));
       },
       "value has 20001 characters; expected at most 20000"},
      {[](Calls c) { return error_of(c.log_metric({.run_id = run, .key = "k", .timestamp = 0})); }, ""},
      {[](Calls c) { return error_of(c.log_metric({.run_id = run, .key = "k", .timestamp = -2})); },
       "timestamp is \"-2\"; expected milliseconds since the epoch, not negative"},
      {[](Calls c) { return error_of(c.update_run({.run_id = run, .end_time = -1})); }, "end_time is \"-1\""},
      {[](Calls c) { return error_of(c.search_runs({.max_results = 50000})); }, ""},
      {[](Calls c) { return error_of(c.search_runs({.max_results = 50001})); },
       "max_results is \"50001\"; expected a number from 1 to 50000"},
      {[](Calls c) { return error_of(c.search_runs({.max_results = 0})); }, "max_results is \"0\""},
      {[](Calls c) { return error_of(c.get_metric_history({.run_id = run, .metric_key = "k", .max_results = -1})); },
       "max_results is \"-1\""},
      {[](Calls c) {
         return error_of(
             c.get_metric_history_bulk_interval({.run_ids = {"r"}, .metric_key = "k", .max_results = 2501}));
       },
       "max_results is \"2501\"; expected a number from 1 to 2500"},
  });
}

TEST_CASE("batches", "[api]") {
  const auto batch = [](std::size_t metrics, std::size_t params, std::size_t tags) {
    return [=](Calls c) {
      LogBatch request{.run_id = run};
      request.metrics.assign(metrics, Metric{.key = "m", .value = 1});
      request.params.assign(params, Param{.key = "p", .value = "1"});
      request.tags.assign(tags, RunTag{.key = "t", .value = "1"});
      return error_of(c.log_batch(request));
    };
  };
  check_all({
      {batch(1000, 0, 0), ""},
      {batch(800, 100, 100), ""},
      {batch(0, 0, 0), "log_batch: metrics, params, tags are all empty; expected at least one entry"},
      {batch(1001, 0, 0), "metrics has 1001 entries; expected at most 1000"},
      {batch(0, 101, 0), "params has 101 entries; expected at most 100"},
      {batch(0, 0, 101), "tags has 101 entries; expected at most 100"},
      {batch(900, 100, 1), "metrics, params, tags has 1001 entries; expected at most 1000"},
      {[](Calls c) {
         LogBatch request{.run_id = run};
         request.metrics = {{.key = "a"}, {.key = "b"}, {.key = "a//b"}};
         return error_of(c.log_batch(request));
       },
       "log_batch: metrics[2].key is \"a//b\""},
      {[](Calls c) { return error_of(c.log_inputs({.run_id = run})); }, "datasets, models are all empty"},
      {[](Calls c) { return error_of(c.log_inputs({.run_id = run, .datasets = {{}}})); },
       "datasets[0].dataset.name is empty"},
      {[](Calls c) {
         DatasetInput input;
         input.dataset = {.name = "d", .digest = std::string(37, 'x'), .source_type = "s", .source = "s"};
         return error_of(c.log_inputs({.run_id = run, .datasets = {input}}));
       },
       "datasets[0].dataset.digest has 37 characters; expected at most 36"},
      {[](Calls c) { return error_of(c.log_outputs({.run_id = run})); },
       "models is empty; expected at least one entry"},
      {[](Calls c) { return error_of(c.search_datasets({})); }, "experiment_ids is empty"},
      {[](Calls c) { return error_of(c.search_datasets({.experiment_ids = std::vector<std::string>(21, "1")})); },
       "experiment_ids has 21 entries; expected at most 20"},
      {[](Calls c) {
         return error_of(
             c.get_metric_history_bulk_interval({.run_ids = std::vector<std::string>(101, "r"), .metric_key = "k"}));
       },
       "run_ids has 101 entries; expected at most 100"},
  });
}

TEST_CASE("a fault shows foreign text harmlessly and briefly", "[api]") {
  CannedCalls calls;
  const auto refused = calls.get_run({.run_id = "\x1b[31m" + std::string(100000, 'x')});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find('\x1b') == std::string::npos);
  CHECK(refused.error().message.size() < 400);
}
