// Answers of real servers, and of broken ones, through the typed calls.

#include <mlflowha/api/all.hpp>
#include <mlflowha/api/experiments_codec.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/api/runs_codec.hpp>
#include <mlflowha/api/server_codec.hpp>

#include "support/catch.hpp"
#include "unit/api/support.hpp"

#include <cmath>
#include <limits>
#include <map>
#include <string>

using namespace mlflowha;
using mlflowha_tests::CannedCalls;
using mlflowha_tests::golden;

namespace {

const std::string run_id(32, 'a');

const Metric* metric(const Run& run, const std::string& key) {
  for (const Metric& one : run.data.metrics) {
    if (one.key == key) return &one;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("recorded answers of real servers", "[api]") {
  for (const std::string& version : mlflowha_tests::golden_versions) {
    INFO(version);
    const bool v3 = version[0] == '3';
    const auto body = [&](const std::string& name) {
      const Response answer = golden(version, name);
      REQUIRE(answer.status == 200);
      return answer.body;
    };

    CHECK(api::decode_get_health(body("get_health")).value() == "OK");
    CHECK(api::decode_get_server_version(body("get_server_version")).value() == version);
    if (v3) {
      const ServerInfo info = api::decode_get_server_info(body("get_server_info")).value();
      CHECK(info.store_type == "SqlStore");
      CHECK_FALSE(info.workspaces_enabled);
      CHECK(info.presigned_upload_run_id_supported);
      CHECK(info.features_enabled.at("gateway"));
      CHECK(info.unknown_fields.empty());
    }

    const std::string e = api::decode_create_experiment(body("create_experiment")).value();
    const Experiment experiment = api::decode_get_experiment(body("get_experiment")).value();
    CHECK(experiment.experiment_id == e);
    CHECK(experiment.name == "golden \xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80");
    CHECK(experiment.lifecycle_stage == "active");
    CHECK(experiment.creation_time > 1700000000000);
    CHECK(experiment.tags == std::vector<ExperimentTag>{{.key = "team", .value = "a\nb"},
                                                        {.key = "mlflowha.request_id", .value = "golden-1"}});
    CHECK(experiment.unknown_fields.empty());
    CHECK(experiment == api::decode_get_experiment_by_name(body("get_experiment_by_name")).value());
    const auto experiments = api::decode_search_experiments(body("search_experiments")).value();
    CHECK(experiments.items.size() == 1);
    CHECK_FALSE(experiments.next_page_token.empty());

    const Run created = api::decode_create_run(body("create_run")).value();
    CHECK(created.info.status == RunStatus::running);
    CHECK(created.info.start_time == 1700000000000);
    CHECK(created.info.end_time == 0);
    CHECK(created.info.run_name == "first");

    const Run run = api::decode_get_run(body("get_run")).value();
    CHECK(run.info.run_id == created.info.run_id);
    CHECK(run.unknown_fields.empty());
    CHECK(run.info.unknown_fields.empty());
    REQUIRE(metric(run, "loss"));
    CHECK(metric(run, "loss")->value == 0.05);
    CHECK(metric(run, "loss")->step == 1);
    CHECK(std::isnan(metric(run, "nan")->value));
    CHECK(metric(run, "nan")->step == 9007199254740993);
    CHECK(metric(run, "plus")->value == std::numeric_limits<double>::max());
    CHECK(metric(run, "minus")->value == std::numeric_limits<double>::lowest());
    CHECK(metric(run, "tiny")->value == 5e-324);
    CHECK(run.inputs.dataset_inputs.at(0).dataset.name == "d");
    CHECK(run.inputs.dataset_inputs.at(0).tags.at(0).value == "training");
    // A NaN is no equal of itself, so the comparison is of the text.
    const std::string again = api::to_json(run).value();
    CHECK(api::to_json(api::from_json<Run>(again).value()).value() == again);

    const auto page = api::decode_search_runs(body("search_runs_page")).value();
    CHECK(page.items.size() == 1);
    CHECK_FALSE(page.next_page_token.empty());
    CHECK(api::decode_search_runs(body("search_runs_empty")).value() == Page<Run>());

    const auto history = api::decode_get_metric_history(body("get_metric_history")).value();
    CHECK(history.items.size() == 2);  // the repeated point is there once
    CHECK(history.next_page_token.empty());
    // 2.x ignores max_results and answers with all points
    CHECK(api::decode_get_metric_history(body("get_metric_history_page")).value().next_page_token.empty() != v3);
    const auto thinned = api::decode_get_metric_history_bulk_interval(body("get_metric_history_bulk_interval")).value();
    CHECK(thinned.at(0).run_id == run.info.run_id);
    CHECK(api::decode_search_datasets(body("search_datasets")).value().at(0).context == "training");

    const RunInfo updated = api::decode_update_run(body("update_run")).value();
    CHECK(updated.status == RunStatus::finished);
    CHECK(updated.end_time == 1700000000009);

    for (const auto& decode :
         {api::decode_log_metric, api::decode_log_batch, api::decode_set_tag, api::decode_delete_run}) {
      CHECK(decode(body("log_metric")).has_value());
    }
  }
}

TEST_CASE("typed calls give the natural thing", "[api]") {
  CannedCalls calls(R"({"experiment_id": "12"})");
  CHECK(calls.create_experiment({.name = "n"}).value() == "12");
  calls.answer.body = R"({"runs": [{"info": {"run_id": "r"}}], "next_page_token": "t", "fresh": 1})";
  const Page<Run> page = calls.search_runs({.experiment_ids = {"0"}}).value();
  CHECK(page.items.at(0).info.run_id == "r");
  CHECK(page.next_page_token == "t");
  CHECK(page.unknown_fields == UnknownFields{{"fresh", "1"}});
  CHECK(calls.operation == &api::ops::search_runs);
  for (const char* empty : {"{}", "", "OK", "{ }\n"}) {
    calls.answer.body = empty;
    CHECK(calls.delete_run({.run_id = run_id}).has_value());
    CHECK(calls.search_runs({}).value().items.empty());
  }
  calls.answer.status = 500;
  CHECK(calls.get_run({.run_id = run_id}).error().http_status == 500);
}

TEST_CASE("an answer that can't be read says what a write has done", "[api]") {
  CannedCalls calls("<html>");
  const auto write = calls.log_param({.run_id = run_id, .key = "k"});
  REQUIRE_FALSE(write);
  CHECK(write.error().code == Errc::bad_response);
  CHECK(write.error().effect == Effect::applied);
  CHECK(write.error().http_status == 200);
  const auto read = calls.get_run({.run_id = run_id});
  REQUIRE_FALSE(read);
  CHECK(read.error().effect == Effect::none);
  CHECK_THAT(read.error().message,
             mlflowha_tests::starts_with("get_run: expected an object at byte 0, found \"<html>\""));
}

TEST_CASE("an answer without its object is a broken answer", "[api]") {
  CannedCalls calls("{}");
  CHECK_THAT(calls.create_run({.experiment_id = "0"}).error().message,
             mlflowha_tests::contains("expected a member \"run\""));
  calls.answer.body = R"({"run": null})";
  CHECK_FALSE(calls.get_run({.run_id = run_id}));
  calls.answer.body = "";
  CHECK_FALSE(calls.create_experiment({.name = "n"}));
  calls.answer.body = R"({"run": {}})";
  CHECK(calls.get_run({.run_id = run_id}).has_value());
}

TEST_CASE("plain text answers", "[api]") {
  CHECK(api::decode_get_server_version("3.17.2\n").value() == "3.17.2");
  for (const std::string& bad :
       {std::string(), std::string("<html>"), std::string("a\x01"), std::string(257, 'a'), std::string("\xC3\xA4")}) {
    CHECK_FALSE(api::decode_get_server_version(bad));
  }
}

TEST_CASE("what a newer server says survives a round trip", "[api]") {
  const std::string text =
      R"({"info":{"run_id":"r","status":"PAUSED","mood":{"a":[1,"NaN",null]}},"data":{"tags":[{"key":"k","value":"v","by":"me"}]},"fresh":18446744073709551616})";
  const Run run = api::from_json<Run>(text).value();
  CHECK(run.info.status == RunStatus::unrecognized);
  CHECK(run.info.status.name() == "PAUSED");
  CHECK_FALSE(run.info.status == RunStatus::from_name("HALTED"));
  CHECK(run.info.status == RunStatus::from_name("PAUSED"));
  CHECK(run.info.unknown_fields.at(0) == UnknownField{"mood", R"({"a":[1,"NaN",null]})"});
  CHECK(api::to_json(run).value() == text);
  CHECK(api::from_json<Run>(api::to_json(run).value()).value() == run);
  Run other = run;
  other.data.tags[0].unknown_fields[0].json = "\"you\"";
  CHECK_FALSE(other == run);
  // Bare NaN in what we don't know must not be passed on as it is.
  const Run bare =
      api::from_json<Run>(R"({"fresh": [NaN, "NaN\" Infinity", -Infinity, {"Infinity": Infinity}]})").value();
  CHECK(bare.unknown_fields.at(0).json == R"(["NaN", "NaN\" Infinity", "-Infinity", {"Infinity": "Infinity"}])");
}

TEST_CASE("enumerations by name, by number and unknown", "[api]") {
  const auto status = [](const std::string& text) {
    return api::from_json<RunInfo>("{\"status\": " + text + "}").value().status;
  };
  CHECK(status("\"FINISHED\"") == RunStatus::finished);
  CHECK(status("3") == RunStatus::finished);
  CHECK(status("null") == RunStatus::unspecified);
  CHECK(status("0") == RunStatus::unspecified);
  CHECK(status("77").name() == "77");
  CHECK(status("77").value() == RunStatus::unrecognized);
  RunInfo info;
  info.status = status("77");
  CHECK(api::to_json(info).value() == R"({"status":77})");
  CHECK(RunStatus(RunStatus::killed).name() == "KILLED");
  CHECK(RunStatus().name().empty());
  CHECK_FALSE(api::from_json<RunInfo>(R"({"status": {}})"));
}
