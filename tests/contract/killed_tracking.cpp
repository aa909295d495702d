// Calls about experiments, runs, logged models and the registries, for killed_server_test.cpp.

#include <mlflowha/api/all.hpp>

#include "contract/killed_calls.hpp"

using namespace mlflowha;

namespace mlflowha_tests {

void add_tracking_calls(Killed& killed) {
  const Client& client = contract_client();
  const std::string name = fresh_name("killed");
  killed.add(
      "POST /experiments/create", [=](const Client& c) { return c.create_experiment({.name = name}); },
      [=, &client](const Result<std::string>& made) {
        CHECK(client.get_experiment_by_name({.experiment_name = name}).value().experiment_id == made.value());
      });
  const std::string experiment = fresh_experiment();
  killed.add(
      "POST /runs/create", [=](const Client& c) { return c.create_run({.experiment_id = experiment}); },
      [=, &client](const Result<Run>& made) {
        const auto runs = client.search_runs({.experiment_ids = {experiment}}).value().items;
        REQUIRE(runs.size() == 1);
        CHECK(runs[0].info.run_id == made.value().info.run_id);
      });
  const std::string traced = fresh_experiment();
  killed.add(
      "POST /api/2.0/mlflow/traces",
      [=](const Client& c) { return c.start_trace_v2({.experiment_id = traced, .timestamp_ms = 1'700'000'000'000}); },
      [=, &client](const Result<TraceInfoV2>& made) {
        const auto traces = client.search_traces_v2({.experiment_ids = {traced}}).value().items;
        REQUIRE(traces.size() == 1);
        CHECK(traces[0].request_id == made.value().request_id);
      });

  // Points, params and tags are stored over themselves.
  const std::string run = fresh_run().info.run_id;
  killed.add(
      "POST /runs/log-metric", [=](const Client& c) { return c.log_metric(run, "m", 1.5, {.step = 1}); },
      [=, &client](const Result<void>& logged) {
        CHECK(logged);
        CHECK(client.get_metric_history(run, "m").value().size() == 1);
      });
  LogBatch batch{.run_id = run};
  batch.metrics = {{.key = "b", .value = 1, .step = 1}, {.key = "b", .value = 2, .step = 2}};
  batch.params = {{.key = "p", .value = "v"}};
  killed.add(
      "POST /runs/log-batch", [=](const Client& c) { return c.log_batch(batch); },
      [=, &client](const Result<void>& logged) {
        CHECK(logged);
        CHECK(client.get_metric_history(run, "b").value().size() == 2);
        CHECK(client.get_run(run).value().data.params.size() == 1);
      });
  killed.add("POST /runs/set-tag", [=](const Client& c) { return c.set_tag(run, "k", "v"); });
  const DatasetInput dataset{.dataset = {.name = "d", .digest = "1", .source_type = "local", .source = "{}"}};
  killed.add(
      "POST /runs/log-inputs", [=](const Client& c) { return c.log_inputs(run, {dataset}); },
      [=, &client](const Result<void>& logged) {
        CHECK(logged);
        CHECK(client.get_run(run).value().inputs.dataset_inputs.size() == 1);
      });

  // What is gone is gone, whoever says that it isn't there.
  const std::string tagged = fresh_run().info.run_id;
  REQUIRE(client.set_tag(tagged, "k", "v"));
  killed.add("POST /runs/delete-tag", [=](const Client& c) { return c.delete_tag(tagged, "k"); });
  const std::string deleted = fresh_experiment();
  killed.add(
      "POST /experiments/delete", [=](const Client& c) { return c.delete_experiment(deleted); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.get_experiment(deleted).value().lifecycle_stage == "deleted");
      });
  const std::string restored = fresh_experiment();
  REQUIRE(client.delete_experiment(restored));
  killed.add(
      "POST /experiments/restore", [=](const Client& c) { return c.restore_experiment(restored); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.get_experiment(restored).value().lifecycle_stage == "active");
      });
}

void add_logged_model_calls(Killed& killed) {
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  const auto fresh_model = [&](const std::string& where) {
    return client.create_logged_model({.experiment_id = where, .name = "lm"}).value().info.model_id;
  };
  killed.add(
      "POST /mlflow/logged-models",
      [=](const Client& c) { return c.create_logged_model({.experiment_id = experiment, .name = "lm"}); },
      [=, &client](const Result<LoggedModel>& made) {
        const auto models = client.search_logged_models({.experiment_ids = {experiment}}).value().items;
        REQUIRE(models.size() == 1);
        CHECK(models[0].info.model_id == made.value().info.model_id);
      });
  const std::string model = fresh_model(fresh_experiment());
  const LogLoggedModelParams params{.model_id = model, .params = {{.key = "a", .value = "1"}}};
  killed.add(
      "POST /" + model + "/params", [=](const Client& c) { return c.log_logged_model_params(params); },
      [=, &client](const Result<void>& logged) {
        CHECK(logged);
        CHECK(client.get_logged_model(model).value().data.params == params.params);
      });
  const Run run = fresh_run();
  const std::string output = fresh_model(run.info.experiment_id);
  killed.add(
      "POST /runs/outputs",
      [=](const Client& c) { return c.log_outputs(run.info.run_id, {{.model_id = output, .step = 1}}); },
      [=, &client](const Result<void>& logged) {
        CHECK(logged);
        CHECK(client.get_run(run.info.run_id).value().outputs.model_outputs.size() == 1);
      });
  const std::string tagged = fresh_model(fresh_experiment());
  REQUIRE(client.set_logged_model_tags({.model_id = tagged, .tags = {{.key = "k", .value = "v"}}}));
  killed.add("DELETE /" + tagged + "/tags/k",
             [=](const Client& c) { return c.delete_logged_model_tag({.model_id = tagged, .tag_key = "k"}); });
}

void add_registry_calls(Killed& killed) {
  const Client& client = contract_client();
  const auto fresh_model = [&] {
    const std::string name = fresh_name("killed");
    client.create_registered_model(name).value();
    client.create_model_version(name, "s3://bucket/x").value();
    return name;
  };
  const std::string name = fresh_name("killed");
  killed.add(
      "POST /registered-models/create", [=](const Client& c) { return c.create_registered_model(name); },
      [=, &client](const Result<RegisteredModel>& made) {
        CHECK(client.get_registered_model(name).value() == made.value());
      });
  const std::string model = fresh_model();
  killed.add(
      "POST /model-versions/create", [=](const Client& c) { return c.create_model_version(model, "s3://bucket/x"); },
      [=, &client](const Result<ModelVersion>& made) {
        CHECK(made.value().version == "2");
        CHECK(client.get_latest_versions(model).value().at(0).version == "2");
      });
  const std::string aliased = fresh_model();
  killed.add(
      "POST /registered-models/alias",
      [=](const Client& c) { return c.set_registered_model_alias(aliased, "live", "1"); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(client.get_model_version_by_alias(aliased, "live").value().version == "1");
      });
  const std::string renamed = fresh_model();
  killed.add(
      "POST /registered-models/rename",
      [=](const Client& c) { return c.rename_registered_model(renamed, renamed + "-new"); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_registered_model(renamed).error()));
        CHECK(client.get_registered_model(renamed + "-new"));
      });
  const std::string deleted = fresh_model();
  killed.add(
      "DELETE /registered-models/delete", [=](const Client& c) { return c.delete_registered_model(deleted); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_registered_model(deleted).error()));
      });
  const std::string emptied = fresh_model();
  killed.add("DELETE /model-versions/delete", [=](const Client& c) { return c.delete_model_version(emptied, "1"); });
}

void add_mcp_calls(Killed& killed) {
  const Client& client = contract_client();
  const auto version = [](const std::string& server) {
    return CreateMcpServerVersion{.name = server,
                                  .server_json = {R"({"version": "1.0.0", "name": ")" + server + "\"}"}};
  };
  const auto fresh_version = [&] {
    const std::string name = fresh_name("com.example/s");
    client.create_mcp_server_version(version(name)).value();
    return name;
  };
  const std::string name = fresh_name("com.example/s");
  killed.add(
      "POST /mlflow/mcp-servers",
      [=](const Client& c) { return c.create_mcp_server({.name = name, .description = "ours"}); },
      [=, &client](const Result<McpServer>& made) {
        CHECK(client.get_mcp_server({.name = name}).value() == made.value());
      });
  const std::string first = fresh_name("com.example/s");
  killed.add(
      "POST /" + first + "/versions", [=](const Client& c) { return c.create_mcp_server_version(version(first)); },
      [=, &client](const Result<McpServerVersion>& made) {
        CHECK(client.get_mcp_server_version({.name = first, .version = "1.0.0"}).value() == made.value());
      });
  const std::string changed = fresh_version();
  killed.add(
      "PATCH /" + changed + "/versions/1.0.0",
      [=](const Client& c) {
        return c.update_mcp_server_version({.name = changed, .version = "1.0.0", .status = "active"});
      },
      [](const Result<McpServerVersion>& done) { CHECK(done.value().status == "active"); });
  const std::string emptied = fresh_version();
  killed.add(
      "DELETE /" + emptied + "/versions/1.0.0",
      [=](const Client& c) { return c.delete_mcp_server_version({.name = emptied, .version = "1.0.0"}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_mcp_server_version({.name = emptied, .version = "1.0.0"}).error()));
      });
  const std::string deleted = fresh_version();
  killed.add(
      "DELETE /mcp-servers/" + deleted, [=](const Client& c) { return c.delete_mcp_server({.name = deleted}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_mcp_server({.name = deleted}).error()));
      });
}

}  // namespace mlflowha_tests
