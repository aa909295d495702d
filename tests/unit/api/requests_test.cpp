// Requests: the bytes of each operation, and that they mean what the official client's mean.

#include <mlflowha/api/all.hpp>
#include <mlflowha/api/experiments_codec.hpp>
#include <mlflowha/api/runs_codec.hpp>
#include <mlflowha/api/server.hpp>
#include <mlflowha/api/server_codec.hpp>

#include "support/catch.hpp"
#include "unit/api/support.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <map>

using namespace mlflowha;
using mlflowha_tests::CannedCalls;
using mlflowha_tests::contains;
using nlohmann::json;

namespace {

const std::string run(32, 'a');

/// The one request that a call made.
template <class Call>
api::PreparedRequest sent_by(const Call& call) {
  CannedCalls calls(R"({"run": {}, "run_info": {}, "experiment": {}, "experiment_id": "7"})");
  call(calls);
  REQUIRE(calls.sent.size() == 1);
  return calls.sent.front();
}

/// "VERB target body"
template <class Call>
std::string line(const Call& call) {
  static const std::map<Method, std::string> names{
      {Method::get, "GET"}, {Method::post, "POST"}, {Method::patch, "PATCH"}, {Method::del, "DELETE"}};
  const api::PreparedRequest request = sent_by(call);
  return names.at(request.http.method) + ' ' + request.http.target + ' ' + request.http.body;
}

}  // namespace

TEST_CASE("golden bytes", "[api]") {
  const std::string api = "/api/2.0/mlflow/";
  CHECK(line([](auto& c) { (void)c.get_health(); }) == "GET /health ");
  CHECK(line([](auto& c) { (void)c.get_server_info(); }) == "GET /api/3.0/mlflow/server-info ");
  CHECK(line([](auto& c) { (void)c.search_experiments({}); }) ==
        "POST " + api + R"(experiments/search {"max_results":1000,"view_type":"ACTIVE_ONLY"})");
  CHECK(line([](auto& c) { (void)c.get_experiment_by_name({.experiment_name = "a b/ä&?"}); }) ==
        "GET " + api + "experiments/get-by-name?experiment_name=a%20b%2F%C3%A4%26%3F ");
  CHECK(line([](auto& c) { (void)c.search_datasets({.experiment_ids = {"1", "2"}}); }) ==
        R"(POST /ajax-api/2.0/mlflow/experiments/search-datasets {"experiment_ids":["1","2"]})");
  CHECK(line([](auto& c) { (void)c.set_experiment_tag({.experiment_id = "1", .key = "k", .value = ""}); }) ==
        "POST " + api + R"(experiments/set-experiment-tag {"experiment_id":"1","key":"k","value":""})");
  CHECK(line([](auto& c) { (void)c.log_metric({.run_id = run, .key = "loss", .value = 0.1, .step = -3}); }) ==
        "POST " + api + R"(runs/log-metric {"run_id":")" + run +
            R"(","key":"loss","value":0.1,"timestamp":1700000000123,"step":-3})");
  CHECK(line([](auto& c) { (void)c.get_metric_history({.run_id = run, .metric_key = "m"}); }) ==
        "GET " + api + "metrics/get-history?run_id=" + run + "&metric_key=m&max_results=25000 ");
  CHECK(line([](auto& c) {
          (void)c.get_metric_history_bulk_interval(
              {.run_ids = {"r1", "r2"}, .metric_key = "m", .start_step = 0, .end_step = 9});
        }) ==
        "GET " + api + "metrics/get-history-bulk-interval?run_ids=r1&run_ids=r2&metric_key=m&start_step=0&end_step=9 ");
  CHECK(line([](auto& c) { (void)c.update_run({.run_id = run, .status = RunStatus::finished, .end_time = 0}); }) ==
        "POST " + api + R"(runs/update {"run_id":")" + run + R"(","status":"FINISHED","end_time":0})");
}

TEST_CASE("the meaning is that of the official client's requests", "[api]") {
  for (const std::string& version : mlflowha_tests::golden_versions) {
    const json recording = json::parse(mlflowha_tests::read_file(mlflowha_tests::golden_folder(version) / "sent.json"));
    const std::string e = recording["experiment_id"];
    const std::string r = recording["run_id"];
    std::map<std::string, json> official;  // the last request of each call
    for (const json& one : recording["sent"]) official[one["call"]] = one;
    const auto same = [&](const std::string& name, const auto& call) {
      INFO(version << ' ' << name);
      const json& theirs = official.at(name);
      const api::PreparedRequest ours = sent_by(call);
      const std::string target = theirs["target"];
      CHECK(ours.http.target.substr(0, ours.http.target.find('?')) == target.substr(0, target.find('?')));
      if (ours.http.method == Method::get) {
        CHECK(theirs["method"] == "GET");
        return;
      }
      json body = json::parse(ours.http.body);
      json wanted = json::parse(theirs["body"].get<std::string>());
      wanted.erase("run_uuid");  // for servers older than any that we support
      for (const char* name_of_default : {"run_view_type", "view_type", "max_results"}) {
        if (!wanted.contains(name_of_default)) body.erase(name_of_default);
      }
      CHECK(body == wanted);
    };
    same("get_experiment", [&](auto& c) { (void)c.get_experiment({.experiment_id = e}); });
    same("get_experiment_by_name", [&](auto& c) { (void)c.get_experiment_by_name({.experiment_name = "official"}); });
    same("search_experiments",
         [](auto& c) { (void)c.search_experiments({.max_results = 5, .view_type = ViewType::all}); });
    same("set_experiment_tag",
         [&](auto& c) { (void)c.set_experiment_tag({.experiment_id = e, .key = "k", .value = "v"}); });
    same("rename_experiment",
         [&](auto& c) { (void)c.update_experiment({.experiment_id = e, .new_name = "official renamed"}); });
    same("log_metric", [&](auto& c) {
      (void)c.log_metric({.run_id = r, .key = "loss", .value = 0.1, .timestamp = 1700000000001, .step = 3});
    });
    same("log_metric_nan", [&](auto& c) {
      (void)c.log_metric({.run_id = r, .key = "bad", .value = std::nan(""), .timestamp = 1700000000001, .step = 3});
    });
    same("log_param", [&](auto& c) { (void)c.log_param({.run_id = r, .key = "lr", .value = "0.01"}); });
    same("set_tag", [&](auto& c) { (void)c.set_tag({.run_id = r, .key = "t", .value = "\xC3\xA4\"\n"}); });
    same("delete_tag", [&](auto& c) { (void)c.delete_tag({.run_id = r, .key = "t"}); });
    same("log_batch", [&](auto& c) {
      (void)c.log_batch({.run_id = r,
                         .metrics = {{.key = "m", .value = 1.5, .timestamp = 1700000000002, .step = 1}},
                         .params = {{.key = "p", .value = "1"}},
                         .tags = {{.key = "t", .value = "2"}}});
    });
    same("log_inputs", [&](auto& c) {
      DatasetInput input;
      input.tags = {{.key = "k", .value = "v"}};
      input.dataset = {.name = "d", .digest = "1", .source_type = "local", .source = "s"};
      (void)c.log_inputs({.run_id = r, .datasets = {input}});
    });
    same("get_run", [&](auto& c) { (void)c.get_run({.run_id = r}); });
    same("search_runs", [&](auto& c) {
      (void)c.search_runs({.experiment_ids = {e},
                           .filter = "metrics.m > 1",
                           .run_view_type = ViewType::all,
                           .max_results = 7,
                           .order_by = {"metrics.m DESC"}});
    });
    same("get_metric_history", [&](auto& c) { (void)c.get_metric_history({.run_id = r, .metric_key = "m"}); });
    same("update_run",
         [&](auto& c) { (void)c.update_run({.run_id = r, .status = RunStatus::running, .run_name = "second"}); });
    same("set_terminated",
         [&](auto& c) { (void)c.update_run({.run_id = r, .status = RunStatus::finished, .end_time = 1700000000009}); });
    same("delete_run", [&](auto& c) { (void)c.delete_run({.run_id = r}); });
    same("restore_run", [&](auto& c) { (void)c.restore_run({.run_id = r}); });
    same("delete_experiment", [&](auto& c) { (void)c.delete_experiment({.experiment_id = e}); });
    same("restore_experiment", [&](auto& c) { (void)c.restore_experiment({.experiment_id = e}); });
  }
}

TEST_CASE("timestamps are fixed before the first attempt, and only where the caller left them", "[api]") {
  const json batch = json::parse(
      sent_by([](auto& c) {
        (void)c.log_batch(
            {.run_id = run, .metrics = {{.key = "a"}, {.key = "b", .timestamp = 0}, {.key = "c", .timestamp = 5}}});
      }).http.body);
  CHECK(batch["metrics"][0]["timestamp"] == 1700000000123);
  CHECK(batch["metrics"][1]["timestamp"] == 0);
  CHECK(batch["metrics"][2]["timestamp"] == 5);
  CHECK(json::parse(sent_by([](auto& c) { (void)c.create_run({.experiment_id = "0"}); }).http.body)["start_time"] ==
        1700000000123);
  // An entity that was never sent has no time to tell.
  CHECK(api::to_json(Metric{.key = "a"}).value() == R"({"key":"a","value":0})");
}

TEST_CASE("creates carry a request tag", "[api]") {
  const auto fresh =
      sent_by([](auto& c) { (void)c.create_run({.experiment_id = "3", .tags = {{.key = "a", .value = "b"}}}); });
  CHECK(fresh.request_tag == "tag-1");
  CHECK(fresh.scope == "3");
  CHECK(json::parse(fresh.http.body)["tags"] ==
        json::parse(R"([{"key": "a", "value": "b"}, {"key": "mlflowha.request_id", "value": "tag-1"}])"));

  CallOptions mine;
  mine.request_tag = "mine";
  const auto chosen = sent_by([&](auto& c) { (void)c.create_experiment({.name = "n"}, mine); });
  CHECK(chosen.request_tag == "mine");
  CHECK(chosen.scope == "n");
  CHECK(json::parse(chosen.http.body)["tags"] == json::parse(R"([{"key": "mlflowha.request_id", "value": "mine"}])"));
  for (const std::string& bad :
       {std::string("a' or 1"), std::string("a b"), std::string("\"\\"), std::string(101, 'a')}) {
    mine.request_tag = bad;
    CannedCalls calls;
    const Error error = calls.create_run({.experiment_id = "0"}, mine).error();
    CHECK(error.code == Errc::invalid_argument);
    CHECK_THAT(error.message, contains("create_run: request_tag is \"") && contains("expected up to 100 letters"));
    CHECK(calls.sent.empty());
  }

  const auto copied = sent_by([](auto& c) {
    (void)c.create_run({.experiment_id = "0",
                        .tags = {{.key = "mlflowha.request_id", .value = "old"},
                                 {.key = "a", .value = "b"},
                                 {.key = "mlflowha.request_id", .value = "older"}}});
  });
  CHECK(copied.request_tag == "tag-1");  // never that of the run whose tags these were
  CHECK(json::parse(copied.http.body)["tags"] ==
        json::parse(R"([{"key": "a", "value": "b"}, {"key": "mlflowha.request_id", "value": "tag-1"}])"));

  const auto empty = sent_by([](auto& c) {
    (void)c.create_run({.experiment_id = "0", .tags = {{.key = "mlflowha.request_id", .value = ""}}});
  });
  CHECK(empty.request_tag == "tag-1");
  CHECK(json::parse(empty.http.body)["tags"].size() == 1);
}

TEST_CASE("what the connection may resend by itself", "[api]") {
  CHECK(sent_by([](auto& c) { (void)c.get_run({.run_id = run}); }).http.resend == Resend::allowed);
  CHECK(sent_by([](auto& c) { (void)c.log_param({.run_id = run, .key = "k"}); }).http.resend == Resend::allowed);
  // A silent second sending would be answered with "already done" although the call succeeded.
  CHECK(sent_by([](auto& c) { (void)c.delete_tag({.run_id = run, .key = "k"}); }).http.resend == Resend::forbidden);
  CHECK(sent_by([](auto& c) { (void)c.create_run({.experiment_id = "0"}); }).http.resend == Resend::forbidden);
  CHECK(sent_by([](auto& c) { (void)c.log_model({.run_id = run, .model_json = "{}"}); }).http.resend ==
        Resend::forbidden);
}

TEST_CASE("the class can depend on the request", "[api]") {
  DatasetInput input;
  input.dataset = {.name = "d", .digest = "1", .source_type = "local", .source = "s"};
  const auto datasets = sent_by([&](auto& c) { (void)c.log_inputs({.run_id = run, .datasets = {input}}); });
  CHECK(datasets.idempotency == Idempotency::same_again);
  CHECK(datasets.http.resend == Resend::allowed);
  const auto models = sent_by([](auto& c) { (void)c.log_inputs({.run_id = run, .models = {{.model_id = "m-1"}}}); });
  CHECK(models.idempotency == Idempotency::create_anonymous);
  CHECK(models.http.resend == Resend::forbidden);
}

TEST_CASE("a request can say what only a newer server understands", "[api]") {
  const auto request = sent_by([](auto& c) {
    (void)c.set_tag({.run_id = run, .key = "k", .value = "v", .unknown_fields = {{"fresh", R"({"a": [1, NaN]})"}}});
  });
  CHECK(json::parse(request.http.body)["fresh"] == json::parse(R"({"a": [1, "NaN"]})"));
  CannedCalls calls;
  auto broken = calls.set_tag({.run_id = run, .key = "k", .value = "v", .unknown_fields = {{"fresh", "{]"}}});
  REQUIRE_FALSE(broken);
  CHECK_THAT(broken.error().message, mlflowha_tests::contains("fresh is not JSON"));
  auto query = calls.get_run({.run_id = run, .unknown_fields = {{"fresh", "1"}}});
  REQUIRE_FALSE(query);
  CHECK(query.error().code == Errc::invalid_argument);
  CHECK(calls.sent.empty());
}

TEST_CASE("numbers are written so that they read back", "[api]") {
  const auto written = [](double value) { return api::to_json(MetricWithRunId{.key = "k", .value = value}).value(); };
  CHECK(written(0.1) == R"({"key":"k","value":0.1})");
  CHECK(written(1e300) == R"({"key":"k","value":1e+300})");
  CHECK(written(std::numeric_limits<double>::infinity()) == R"({"key":"k","value":"Infinity"})");
  CHECK(written(-std::numeric_limits<double>::infinity()) == R"({"key":"k","value":"-Infinity"})");
  CHECK(written(std::nan("")) == R"({"key":"k","value":"NaN"})");
  for (const double value : {5e-324, 1.7976931348623157e308, 0.1 + 0.2, -0.0, 1.0 / 3, 123456789012345680.0}) {
    const auto back = api::from_json<MetricWithRunId>(written(value)).value();
    CHECK(back.value == value);
    CHECK(std::signbit(back.value) == std::signbit(value));
  }
  for (const std::int64_t value : {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(),
                                   std::int64_t{9007199254740993}}) {
    const auto text = api::to_json(MetricWithRunId{.key = "k", .step = value}).value();
    CHECK(api::from_json<MetricWithRunId>(text).value().step == value);
  }
}

TEST_CASE("text is escaped, and refused when it isn't UTF-8", "[api]") {
  std::string all;
  for (int c = 0; c < 0x80; ++c) all += static_cast<char>(c);
  all += "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80";
  const std::string text = api::to_json(RunTag{.key = "k", .value = all}).value();
  CHECK(json::parse(text)["value"] == all);
  CHECK(api::from_json<RunTag>(text).value().value == all);

  CannedCalls calls;
  for (const char* bad : {"\xFF", "a\xC3", "\xED\xA0\x80", "\xC0\xAF", "\xF4\x90\x80\x80"}) {
    const auto refused = calls.log_batch({.run_id = run, .tags = {{.key = "ok"}, {.key = "bad", .value = bad}}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::invalid_argument);
    CHECK_THAT(refused.error().message, mlflowha_tests::contains("log_batch: tags[1].value is not UTF-8 at byte"));
    const auto query = calls.get_experiment_by_name({.experiment_name = bad});
    REQUIRE_FALSE(query);
    CHECK_THAT(query.error().message, mlflowha_tests::contains("experiment_name is not UTF-8"));
  }
  CHECK(calls.sent.empty());
}
