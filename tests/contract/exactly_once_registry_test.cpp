// Creates of the registry and of logged models whose replies are dropped after the server has carried them out.

#include <mlflowha/api/all.hpp>

#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "contract/harmed.hpp"
#include "support/catch.hpp"
#include "support/in_time.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

FaultScript drops_first(const char* path) { return {when().path(path).times(1).apply_then_drop()}; }

std::vector<ModelVersion> versions_of(const std::string& model) {
  SearchModelVersions search;
  search.filter = "name = '" + model + "'";
  return contract_client().search_model_versions_all(search).all().value();
}

std::vector<LoggedModel> logged_models_of(const std::string& experiment) {
  SearchLoggedModels search;
  search.experiment_ids = {experiment};
  return contract_client().search_logged_models_all(search).all().value();
}

}  // namespace

TEST_CASE("a registered model whose reply was dropped is ours", "[contract][once][registry]") {
  const Harmed harmed(drops_first("registered-models/create"));
  const std::string name = fresh_name("once");
  const RegisteredModel model = harmed.client->create_registered_model(name).value();
  CHECK(harmed.fired() >= 1);
  CHECK(model.name == name);
  CHECK(contract_client().get_registered_model(name).value() == model);
  CHECK(contract_client().create_registered_model(name).error().code == Errc::already_exists);
}

TEST_CASE("a registered model of somebody else's is not ours, dropped reply or not", "[contract][once][registry]") {
  const std::string name = fresh_name("theirs");
  REQUIRE(contract_client().create_registered_model(name));
  const Harmed harmed(drops_first("registered-models/create"));
  CHECK(harmed.client->create_registered_model(name).error().code == Errc::already_exists);
}

TEST_CASE("each model version is made once although replies are dropped", "[contract][once][registry]") {
  // Names with quotes: the filter that looks for the tag must bear them.
  for (const std::string& name : {fresh_name("once"), fresh_name("o'nce"), fresh_name("on\"ce")}) {
    INFO(name);
    const Harmed harmed({when().path("model-versions/create").share(0.3).apply_then_drop()});
    REQUIRE(harmed.client->create_registered_model(name));
    for (int i = 1; i <= 12; ++i) {
      CHECK(harmed.client->create_model_version(name, "s3://bucket/x").value().version == std::to_string(i));
    }
    CHECK(harmed.fired() >= 1);
    CHECK(contract_client().get_latest_versions(name).value().at(0).version == "12");
  }
}

TEST_CASE("the late twin of a model version is found and removed", "[contract][once][twins][registry]") {
  in_time(1500ms, [](std::chrono::milliseconds lateness) {
    const Harmed harmed({when().path("model-versions/create").times(1).apply_late(lateness)}, true);
    const std::string name = fresh_name("late");
    REQUIRE(harmed.client->create_registered_model(name));
    const Stopwatch sent;
    const ModelVersion kept = harmed.client->create_model_version(name, "s3://bucket/x").value();
    const std::size_t versions = versions_of(name).size();
    if (sent.elapsed() >= lateness) return false;
    CHECK(versions == 1);
    REQUIRE(harmed.client->health().twins_watched == 1);
    const auto twins = harmed.twins();
    REQUIRE(twins.size() == 1);
    CHECK(twins[0].operation == "create_model_version");
    CHECK(twins[0].kept_id == kept.version);
    CHECK(twins[0].removed);
    const auto left = versions_of(name);
    REQUIRE(left.size() == 1);
    CHECK(left[0].version == kept.version);
    return true;
  });
}

TEST_CASE("the late twin of a model version that got an alias stays", "[contract][once][twins][registry]") {
  // A search, by which twins are found, tells of no aliases.
  in_time(1500ms, [](std::chrono::milliseconds lateness) {
    const Harmed harmed({when().path("model-versions/create").times(1).apply_late(lateness)}, true);
    const std::string name = fresh_name("chosen");
    REQUIRE(harmed.client->create_registered_model(name));
    const Stopwatch sent;
    const ModelVersion kept = harmed.client->create_model_version(name, "s3://bucket/x").value();
    if (sent.elapsed() >= lateness) return false;  // the look may have found what came late: then there is no twin
    std::vector<ModelVersion> both;
    while (both.size() < 2 && sent.elapsed() < lateness + 30s) {
      std::this_thread::sleep_for(20ms);
      both = versions_of(name);
    }
    REQUIRE(both.size() == 2);
    const std::string twin = both[0].version == kept.version ? both[1].version : both[0].version;
    REQUIRE(contract_client().set_registered_model_alias(name, "champion", twin));
    const auto twins = harmed.twins();
    REQUIRE(twins.size() == 1);
    CHECK(twins[0].twin_id == twin);
    CHECK_FALSE(twins[0].removed);
    CHECK(versions_of(name).size() == 2);
    return true;
  });
}

TEST_CASE("each version of a prompt is made once although replies are dropped", "[contract][once][registry]") {
  // Servers leave prompts out of a search that doesn't ask for them.
  const Harmed harmed({when().path("model-versions/create").every(2).apply_then_drop()});
  const std::string name = fresh_name("prompt");
  const std::string is_prompt = "mlflow.prompt.is_prompt";
  REQUIRE(harmed.client->create_registered_model({.name = name, .tags = {{is_prompt, "true"}}}));
  CreateModelVersion create;
  create.name = name;
  create.source = "prompt-template";
  for (int i = 1; i <= 6; ++i) {
    create.tags = {{is_prompt, "true"}, {"mlflow.prompt.text", "Say " + std::to_string(i)}};
    CHECK(harmed.client->create_model_version(create).value().version == std::to_string(i));
  }
  CHECK(harmed.fired() >= 3);
  SearchModelVersions search;
  search.filter = filter::attribute("name") == name && filter::tag(is_prompt) == "true";
  CHECK(contract_client().search_model_versions_all(search).all().value().size() == 6);
  CHECK(versions_of(name).empty());
  SearchRegisteredModels models;
  models.filter = filter::attribute("name") == name;
  CHECK(contract_client().search_registered_models_all(models).all().value().empty());
}

TEST_CASE("the late twin of a prompt's version is removed", "[contract][once][twins][registry]") {
  in_time(1500ms, [](std::chrono::milliseconds lateness) {
    const Harmed harmed({when().path("model-versions/create").times(1).apply_late(lateness)}, true);
    const std::string name = fresh_name("prompt");
    const std::string is_prompt = "mlflow.prompt.is_prompt";
    REQUIRE(harmed.client->create_registered_model({.name = name, .tags = {{is_prompt, "true"}}}));
    CreateModelVersion create;
    create.name = name;
    create.source = "prompt-template";
    create.tags = {{is_prompt, "true"}, {"mlflow.prompt.text", "Say it"}};
    const Stopwatch sent;
    const std::string kept = harmed.client->create_model_version(create).value().version;
    if (sent.elapsed() >= lateness) return false;  // the look may have found what came late: then there is no twin
    const auto twins = harmed.twins();
    REQUIRE(twins.size() == 1);
    CHECK(twins[0].kept_id == kept);
    CHECK(twins[0].removed);
    return true;
  });
}

TEST_CASE("a lost answer makes no success of a rename or restoration of what never was", "[contract][once][registry]") {
  const Harmed harmed({when().path("registered-models/rename").times(1).drop_before(),
                       when().path("experiments/restore").times(1).drop_before()});
  const auto renamed = harmed.client->rename_registered_model(fresh_name("nobody"), fresh_name("new"));
  const auto restored = harmed.client->restore_experiment("987654321");
  CHECK_FALSE(renamed);
  CHECK_FALSE(restored);
  if (!renamed) CHECK(is_not_found(renamed.error()));
  if (!restored) CHECK(is_not_found(restored.error()));
  CHECK(harmed.fired() >= 2);
}

TEST_CASE("each removal from the registry succeeds although its reply is dropped", "[contract][once][registry]") {
  const std::string name = fresh_name("gone");
  REQUIRE(contract_client().create_registered_model(name));
  REQUIRE(contract_client().create_model_version(name, "s3://bucket/x"));
  const Harmed harmed({when().path("model-versions/delete").times(1).apply_then_drop(),
                       when().path("registered-models/delete").times(1).apply_then_drop(),
                       when().path("registered-models/rename").times(1).apply_then_drop()});
  CHECK(harmed.client->delete_model_version(name, "1"));
  CHECK(harmed.client->rename_registered_model(name, name + "-new"));
  CHECK(harmed.client->delete_registered_model(name + "-new"));
  CHECK(is_not_found(contract_client().get_registered_model(name + "-new").error()));
}

TEST_CASE("each logged model is made once although replies are dropped", "[contract][once][logged_models]") {
  if (contract_server().major < 3) return;
  const Harmed harmed({when().path("/logged-models").share(0.3).apply_then_drop()});
  CreateLoggedModel create;
  create.experiment_id = fresh_experiment();
  std::set<std::string> ids;
  for (int i = 0; i < 12; ++i) ids.insert(harmed.client->create_logged_model(create).value().info.model_id);
  CHECK(harmed.fired() >= 1);
  CHECK(ids.size() == 12);
  std::set<std::string> stored;
  for (const LoggedModel& model : logged_models_of(create.experiment_id)) stored.insert(model.info.model_id);
  CHECK(stored == ids);
}

TEST_CASE("the late twin of a logged model is found and removed", "[contract][once][twins][logged_models]") {
  if (contract_server().major < 3) return;
  in_time(1500ms, [](std::chrono::milliseconds lateness) {
    const Harmed harmed({when().method(Method::post).path("/logged-models").times(1).apply_late(lateness)}, true);
    CreateLoggedModel create;
    create.experiment_id = fresh_experiment();
    const Stopwatch sent;
    const std::string kept = harmed.client->create_logged_model(create).value().info.model_id;
    if (sent.elapsed() >= lateness) return false;
    REQUIRE(harmed.client->health().twins_watched == 1);
    const auto twins = harmed.twins();
    REQUIRE(twins.size() == 1);
    CHECK(twins[0].kept_id == kept);
    const auto left = logged_models_of(create.experiment_id);
    REQUIRE(left.size() == 1);
    CHECK(left[0].info.model_id == kept);
    return true;
  });
}

TEST_CASE("params of a logged model and links of a run are stored once", "[contract][once][logged_models]") {
  if (contract_server().major < 3) return;
  const Harmed harmed({when().path("/params").times(1).apply_then_drop(),
                       when().path("runs/outputs").times(1).apply_then_drop(),
                       when().path("runs/log-inputs").times(1).apply_then_drop()});
  CreateLoggedModel create;
  create.experiment_id = fresh_experiment();
  const std::string id = contract_client().create_logged_model(create).value().info.model_id;
  CHECK(harmed.client->log_logged_model_params({.model_id = id, .params = {{.key = "a", .value = "1"}}}));
  CHECK(contract_client().get_logged_model(id).value().data.params.size() == 1);
  const Run run = fresh_run();
  LogOutputs outputs;
  outputs.run_id = run.info.run_id;
  outputs.models.push_back({.model_id = id, .step = 1});
  CHECK(harmed.client->log_outputs(outputs));
  LogInputs inputs;
  inputs.run_id = run.info.run_id;
  inputs.models.push_back({.model_id = id});
  CHECK(harmed.client->log_inputs(inputs));
  const Run read = contract_client().get_run(run.info.run_id).value();
  CHECK(read.outputs.model_outputs == outputs.models);
  CHECK(read.inputs.model_inputs == inputs.models);
  CHECK(harmed.fired() >= 3);
}

TEST_CASE("a webhook whose reply was dropped is not made again, and the call says so", "[contract][once][webhooks]") {
  if (contract_server().major < 3) return;
  const Harmed harmed({when().method(Method::post).path("/webhooks").apply_then_drop()});
  CreateWebhook create;
  create.name = "once";
  create.url = "https://127.0.0.1:9/" + fresh_name("hook");
  create.events.push_back({.entity = WebhookEntity::model_version, .action = WebhookAction::created});
  create.status = WebhookStatus::disabled;
  const Error error = harmed.client->create_webhook(create).error();
  CHECK(error.effect == Effect::unknown);
  std::size_t made = 0;
  const auto hooks = contract_client().list_webhooks_all(ListWebhooks{}).all().value();
  for (const Webhook& hook : hooks) {
    if (hook.url != create.url) continue;
    ++made;
    REQUIRE(contract_client().delete_webhook(hook.webhook_id));
  }
  CHECK(made == 1);
}

TEST_CASE("an upload whose reply was dropped is one file", "[contract][once][artifacts]") {
  const Harmed harmed({when().method(Method::put).times(1).apply_then_drop()});
  const std::string path = "0/" + fresh_name("file");
  CHECK(harmed.client->upload_artifact({.artifact_path = path, .content = "hello"}));
  CHECK(contract_client().download_artifact({.artifact_path = path}).value() == "hello");
  CHECK(harmed.fired() >= 1);
}
