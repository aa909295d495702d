// Calls about experiments, runs and logged models, for killed_server_test.cpp and dropped_reply_test.cpp.

#include <algorithm>

#include "contract/repeated_calls.hpp"

using namespace mlflowha;

namespace mlflowha_tests {

void add_tracking_calls(Repeated& repeated) {
  const Client& client = contract_client();
  const std::string name = fresh_name("repeated");
  repeated.add(
      "POST /experiments/create", [=](const Client& c) { return c.create_experiment({.name = name}); },
      [=, &client](const Result<std::string>& made) {
        CHECK(client.get_experiment_by_name({.experiment_name = name}).value().experiment_id == made.value());
      });
  const std::string experiment = fresh_experiment();
  repeated.add(
      "POST /runs/create", [=](const Client& c) { return c.create_run({.experiment_id = experiment}); },
      [=, &client](const Result<Run>& made) {
        const auto runs = client.search_runs({.experiment_ids = {experiment}}).value().items;
        REQUIRE(runs.size() == 1);
        CHECK(runs[0].info.run_id == made.value().info.run_id);
      });
  const std::string traced = fresh_experiment();
  repeated.add(
      "POST /api/2.0/mlflow/traces",
      [=](const Client& c) { return c.start_trace_v2({.experiment_id = traced, .timestamp_ms = 1'700'000'000'000}); },
      [=, &client](const Result<TraceInfoV2>& made) {
        const auto traces = client.search_traces_v2({.experiment_ids = {traced}}).value().items;
        REQUIRE(traces.size() == 1);
        CHECK(traces[0].request_id == made.value().request_id);
      });

  // Points, params and tags are stored over themselves.
  const std::string run = fresh_run().info.run_id;
  repeated.add(
      "POST /runs/log-metric", [=](const Client& c) { return c.log_metric(run, "m", 1.5, {.step = 1}); },
      [=, &client](const Result<void>& logged) {
        CHECK(logged);
        CHECK(client.get_metric_history(run, "m").value().size() == 1);
      });
  LogBatch batch{.run_id = run};
  batch.metrics = {{.key = "b", .value = 1, .step = 1}, {.key = "b", .value = 2, .step = 2}};
  batch.params = {{.key = "p", .value = "v"}};
  repeated.add(
      "POST /runs/log-batch", [=](const Client& c) { return c.log_batch(batch); },
      [=, &client](const Result<void>& logged) {
        CHECK(logged);
        CHECK(client.get_metric_history(run, "b").value().size() == 2);
        CHECK(client.get_run(run).value().data.params.size() == 1);
      });
  repeated.add("POST /runs/set-tag", [=](const Client& c) { return c.set_tag(run, "k", "v"); });
  const DatasetInput dataset{.dataset = {.name = "d", .digest = "1", .source_type = "local", .source = "{}"}};
  repeated.add(
      "POST /runs/log-inputs", [=](const Client& c) { return c.log_inputs(run, {dataset}); },
      [=, &client](const Result<void>& logged) {
        CHECK(logged);
        CHECK(client.get_run(run).value().inputs.dataset_inputs.size() == 1);
      });

  // What is gone is gone, whoever says that it isn't there.
  const std::string tagged = fresh_run().info.run_id;
  REQUIRE(client.set_tag(tagged, "k", "v"));
  repeated.add("POST /runs/delete-tag", [=](const Client& c) { return c.delete_tag(tagged, "k"); });
  const std::string deleted = fresh_experiment();
  repeated.add(
      "POST /experiments/delete", [=](const Client& c) { return c.delete_experiment(deleted); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.get_experiment(deleted).value().lifecycle_stage == "deleted");
      });
  const std::string restored = fresh_experiment();
  REQUIRE(client.delete_experiment(restored));
  repeated.add(
      "POST /experiments/restore", [=](const Client& c) { return c.restore_experiment(restored); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.get_experiment(restored).value().lifecycle_stage == "active");
      });
  const std::string trace = fresh_trace_v2(fresh_experiment());
  REQUIRE(client.set_trace_tag_v2({.request_id = trace, .key = "k", .value = "v"}));
  repeated.add(
      "DELETE /api/2.0/mlflow/traces/" + trace + "/tags",
      [=](const Client& c) { return c.delete_trace_tag_v2({.request_id = trace, .key = "k"}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        const auto tags = client.get_trace_info_v2({.request_id = trace}).value().tags;
        CHECK(std::none_of(tags.begin(), tags.end(), [](const auto& tag) { return tag.key == "k"; }));
      });
  // Named by their ids: a second sending finds nothing left.
  const std::string emptied = fresh_experiment();
  const std::string deleted_trace = fresh_trace_v2(emptied);
  const std::string kept_trace = fresh_trace_v2(emptied);
  repeated.add(
      "POST /api/2.0/mlflow/traces/delete-traces",
      [=](const Client& c) { return c.delete_traces_v2({.experiment_id = emptied, .request_ids = {deleted_trace}}); },
      [=, &client](const auto& done) {
        CHECK(done);
        const auto left = client.search_traces_v2({.experiment_ids = {emptied}}).value().items;
        REQUIRE(left.size() == 1);
        CHECK(left[0].request_id == kept_trace);
      });
}

void add_logged_model_calls(Repeated& repeated) {
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  const auto fresh_model = [&](const std::string& where) {
    return client.create_logged_model({.experiment_id = where, .name = "lm"}).value().info.model_id;
  };
  repeated.add(
      "POST /mlflow/logged-models",
      [=](const Client& c) { return c.create_logged_model({.experiment_id = experiment, .name = "lm"}); },
      [=, &client](const Result<LoggedModel>& made) {
        const auto models = client.search_logged_models({.experiment_ids = {experiment}}).value().items;
        REQUIRE(models.size() == 1);
        CHECK(models[0].info.model_id == made.value().info.model_id);
      });
  const std::string model = fresh_model(fresh_experiment());
  const LogLoggedModelParams params{.model_id = model, .params = {{.key = "a", .value = "1"}}};
  repeated.add(
      "POST /" + model + "/params", [=](const Client& c) { return c.log_logged_model_params(params); },
      [=, &client](const Result<void>& logged) {
        CHECK(logged);
        CHECK(client.get_logged_model(model).value().data.params == params.params);
      });
  const Run run = fresh_run();
  const std::string output = fresh_model(run.info.experiment_id);
  repeated.add(
      "POST /runs/outputs",
      [=](const Client& c) { return c.log_outputs(run.info.run_id, {{.model_id = output, .step = 1}}); },
      [=, &client](const Result<void>& logged) {
        CHECK(logged);
        CHECK(client.get_run(run.info.run_id).value().outputs.model_outputs.size() == 1);
      });
  const std::string user = fresh_run().info.run_id;
  const LogInputs inputs{.run_id = user, .models = {{.model_id = fresh_model(fresh_experiment())}}};
  repeated.add(
      "POST /runs/log-inputs", [=](const Client& c) { return c.log_inputs(inputs); },
      [=, &client](const Result<void>& logged) {
        CHECK(logged);
        CHECK(client.get_run(user).value().inputs.model_inputs == inputs.models);
      });
  const std::string tagged = fresh_model(fresh_experiment());
  REQUIRE(client.set_logged_model_tags({.model_id = tagged, .tags = {{.key = "k", .value = "v"}}}));
  repeated.add("DELETE /" + tagged + "/tags/k",
               [=](const Client& c) { return c.delete_logged_model_tag({.model_id = tagged, .tag_key = "k"}); });
  const std::string labelled = fresh_experiment();
  REQUIRE(client.set_experiment_tag({.experiment_id = labelled, .key = "k", .value = "v"}));
  repeated.add(
      "POST /experiments/delete-experiment-tag",
      [=](const Client& c) { return c.delete_experiment_tag({.experiment_id = labelled, .key = "k"}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        const auto tags = client.get_experiment(labelled).value().tags;
        CHECK(std::none_of(tags.begin(), tags.end(), [](const auto& tag) { return tag.key == "k"; }));
      });
}

}  // namespace mlflowha_tests
