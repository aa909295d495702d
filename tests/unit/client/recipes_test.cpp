// The recipes of the registry, of logged models and of links, on a whole client with virtual time.

#include <mlflowha/api/all.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/client/impl/recipes.hpp>

#include "unit/client/engine_fixture.hpp"

#include <set>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

std::vector<FaultRule> drop(const char* path) {
  return {when().path(path).times(1).apply_then_drop(), when().path(path).times(1).apply_then_status(502)};
}

LoggedModel new_logged_model(const Client& client) {
  CreateLoggedModel create;
  create.experiment_id = "0";
  return client.create_logged_model(create).value();
}

std::string tag_of(const ModelVersion& version) {
  for (const ModelVersionTag& tag : version.tags) {
    if (tag.key == api::request_tag_key) return tag.value;
  }
  return {};
}

/// A create of version 1 of "m" on a stopped server that carries it out 5 s later, as version 2.
struct LateVersion {
  LateVersion() : client(start()) {
    REQUIRE(client.create_registered_model("m"));
    kept = client.create_model_version("m", "s3://b/x").value().version;
    cluster.clock->advance(10s);
    CHECK(cluster.backend->counts().model_versions == 2);
    twin = kept == "1" ? "2" : "1";
  }
  Client start() {
    cluster.options.timeouts.attempt = 2s;
    return cluster.client();
  }
  Cluster cluster{2, {{when().path("model-versions/create").times(1).apply_late(5s, true)}}};
  Client client;
  std::string kept;
  std::string twin;
};

}  // namespace

TEST_CASE("each recipe of the table has its row, and each row is whole", "[client][once]") {
  CHECK(mlflowha::detail::recipe_row(api::Recipe::none) == nullptr);
  for (const api::Operation* operation : api::operations) {
    INFO(operation->name);
    const mlflowha::detail::RecipeRow* row = mlflowha::detail::recipe_row(operation->recipe);
    CHECK((row != nullptr) == (operation->recipe != api::Recipe::none));
    if (row == nullptr) continue;
    REQUIRE(row->look != nullptr);
    CHECK(row->look->idempotency == Idempotency::read);
    CHECK(row->look_request != nullptr);
    CHECK(row->read != nullptr);
    CHECK((row->remove != nullptr) == (row->remove_request != nullptr));
    CHECK((row->remove != nullptr) == (row->created_id != nullptr));
  }
}

TEST_CASE("a registered model whose reply was lost is ours by its request tag", "[client][once]") {
  for (const FaultRule& rule : drop("registered-models/create")) {
    INFO(to_string(rule));
    Cluster cluster(2, {{rule}});
    const Client client = cluster.client();
    const RegisteredModel model = client.create_registered_model("m").value();
    CHECK(model == client.get_registered_model("m").value());
    CHECK(client.create_registered_model("m").error().code == Errc::already_exists);
  }
}

TEST_CASE("a model version whose reply was lost is found by its tag, whatever the model's name", "[client][once]") {
  for (const char* name : {"plain", "o'brien", "say \"hi\"", "'\"", "back\\slash"}) {
    for (const FaultRule& rule : drop("model-versions/create")) {
      INFO(name << " " << to_string(rule));
      Cluster cluster(2, {{rule}});
      const Client client = cluster.client();
      REQUIRE(client.create_registered_model(name));
      CHECK(client.create_model_version(name, "s3://b/x").value().version == "1");
      CHECK(cluster.backend->counts().model_versions == 1);
      CHECK(client.health().twins_watched == 0);
    }
  }
}

TEST_CASE("a model version whose request was lost is made by the second sending", "[client][once]") {
  Cluster cluster(2, {{when().path("model-versions/create").times(1).drop_before()}});
  const Client client = cluster.client();
  REQUIRE(client.create_registered_model("m"));
  CHECK(client.create_model_version("m", "s3://b/x").value().version == "1");
  CHECK(client.health().twins_watched == 1);
}

TEST_CASE("a prompt's version whose reply was lost is found among the prompts", "[client][once]") {
  // A search leaves prompts out that doesn't ask for them.
  CreateModelVersion create;
  create.name = "p";
  create.source = "prompt-template";
  create.tags = {{"mlflow.prompt.is_prompt", "true"}, {"mlflow.prompt.text", "Say {{x}}"}};
  const auto make_prompt = [](const Client& client) {
    return client.create_registered_model({.name = "p", .tags = {{"mlflow.prompt.is_prompt", "true"}}});
  };
  for (const FaultRule& rule : drop("model-versions/create")) {
    INFO(to_string(rule));
    Cluster cluster(2, {{rule}});
    const Client client = cluster.client();
    REQUIRE(make_prompt(client));
    CHECK(client.create_model_version(create).value().version == "1");
    CHECK(cluster.backend->counts().model_versions == 1);
    CHECK(client.health().twins_watched == 0);
  }

  Cluster cluster(2, {{when().path("model-versions/create").times(1).apply_late(5s, true)}});
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  REQUIRE(make_prompt(client));
  const ModelVersion kept = client.create_model_version(create).value();
  cluster.clock->advance(10s);
  CHECK(cluster.backend->counts().model_versions == 2);
  // Somebody else's, made with the tags of ours: all versions of prompts have the same source.
  CreateModelVersion theirs = create;
  theirs.tags = kept.tags;
  std::erase_if(theirs.tags, [](const ModelVersionTag& tag) { return tag.key == "mlflow.prompt.text"; });
  theirs.tags.push_back({"mlflow.prompt.text", "Say something else"});
  const std::string stranger = client.create_model_version(theirs).value().version;
  REQUIRE(client.set_model_version_tag("p", stranger, std::string(api::request_tag_key), tag_of(kept)));
  const ReconcileReport report = client.reconcile().value();
  REQUIRE(report.twins.size() == 1);
  CHECK(report.twins[0].kept_id == kept.version);
  CHECK(report.twins[0].removed);
  CHECK(report.twins[0].twin_id != stranger);
  CHECK(client.get_model_version("p", stranger));
}

TEST_CASE("a copy of a model version with its tags is a version of its own", "[client][once]") {
  Cluster cluster(2, {{when().path("model-versions/create").nth(2).drop_before()}});
  const Client client = cluster.client();
  REQUIRE(client.create_registered_model("m"));
  const ModelVersion old = client.create_model_version("m", "s3://b/x").value();
  CreateModelVersion create;
  create.name = "m";
  create.source = "models:/m/1";
  create.tags = old.tags;
  CHECK(client.create_model_version(create).value().version == "2");
  CHECK(client.health().twins_watched == 1);
}

TEST_CASE("a copy of a watched model version is no twin", "[client][once][twins]") {
  Cluster cluster(2, {{when().path("model-versions/create").times(1).drop_before()}});
  const Client client = cluster.client();
  REQUIRE(client.create_registered_model("m"));
  const ModelVersion old = client.create_model_version("m", "s3://b/x").value();
  REQUIRE(client.health().twins_watched == 1);
  // As a client does it that knows nothing of request tags.
  const std::string copy = client.create_model_version("m", "models:/m/1").value().version;
  for (const ModelVersionTag& tag : old.tags) {
    REQUIRE(client.set_model_version_tag({.name = "m", .version = copy, .key = tag.key, .value = tag.value}));
  }
  CHECK(client.reconcile().value().twins.empty());
  CHECK(cluster.backend->counts().model_versions == 2);
}

TEST_CASE("the late twin of a model version is deleted", "[client][once][twins]") {
  LateVersion late;
  const ReconcileReport report = late.client.reconcile().value();
  REQUIRE(report.twins.size() == 1);
  CHECK(report.twins[0].operation == "create_model_version");
  CHECK(report.twins[0].twin_id == late.twin);
  CHECK(report.twins[0].removed);
  CHECK(is_not_found(late.client.get_model_version("m", late.twin).error()));
  CHECK(late.client.get_model_version("m", late.kept));
}

TEST_CASE("the late twin of a model version is deleted along with later calls", "[client][once][twins]") {
  LateVersion late;
  for (int second = 0; second < 60; ++second) {
    late.cluster.clock->advance(1s);
    REQUIRE(late.client.get_model_version("m", late.kept));
  }
  CHECK(is_not_found(late.client.get_model_version("m", late.twin).error()));
  REQUIRE_FALSE(late.cluster.diary->twins.empty());
  CHECK_THAT(late.cluster.diary->twins.back(), ends_with(" removed"));
}

TEST_CASE("a late twin that somebody has begun to use is told of and left alone", "[client][once][twins]") {
  for (const bool alias : {true, false}) {
    LateVersion late;
    const Client somebody = late.cluster.client();  // who looks after no creates
    if (alias) {
      REQUIRE(somebody.set_registered_model_alias("m", "champion", late.twin));
    } else {
      REQUIRE(somebody.transition_model_version_stage("m", late.twin, "Staging"));
    }
    const ReconcileReport report = late.client.reconcile().value();
    REQUIRE(report.twins.size() == 1);
    CHECK_FALSE(report.twins[0].removed);
    for (int second = 0; second < 60; ++second) {
      late.cluster.clock->advance(1s);
      REQUIRE(late.client.get_health());
    }
    CHECK(late.client.get_model_version("m", late.twin));
  }
}

TEST_CASE("a twin that is gone before it is removed counts as removed", "[client][once][twins]") {
  LateVersion late;
  // The removal is carried out, its answer is lost: the second sending is told that nothing is there.
  late.cluster.transport->set_faults(Cluster::name(0),
                                     {when().path("model-versions/delete").times(1).apply_then_drop()});
  late.cluster.transport->set_faults(Cluster::name(1),
                                     {when().path("model-versions/delete").times(1).apply_then_drop()});
  const ReconcileReport report = late.client.reconcile().value();
  REQUIRE(report.twins.size() == 1);
  CHECK(report.twins[0].removed);
}

TEST_CASE("a twin that is gone before it is looked at more closely counts as removed", "[client][once][twins]") {
  LateVersion late;
  const std::string gone = R"({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "gone"})";
  for (int i = 0; i < 2; ++i) {
    late.cluster.transport->set_faults(Cluster::name(i), {when().path("model-versions/get").status(404, gone)});
  }
  const ReconcileReport report = late.client.reconcile().value();
  REQUIRE(report.twins.size() == 1);
  CHECK(report.twins[0].removed);
}

TEST_CASE("a twin that can't be looked at more closely stays", "[client][once][twins]") {
  LateVersion late;
  for (int i = 0; i < 2; ++i) {
    late.cluster.transport->set_faults(Cluster::name(i), {when().path("model-versions/get").status(200, "{}")});
  }
  CHECK_FALSE(late.client.reconcile());
  for (int second = 0; second < 60; ++second) {
    late.cluster.clock->advance(1s);
    REQUIRE(late.client.get_health());
  }
  for (int i = 0; i < 2; ++i) late.cluster.transport->set_faults(Cluster::name(i), {});
  CHECK(late.client.get_model_version("m", late.twin));
}

TEST_CASE("a removal that travels along and finds nothing has removed", "[client][once][twins]") {
  LateVersion late;
  const std::string gone = R"({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "gone"})";
  for (int i = 0; i < 2; ++i) {
    late.cluster.transport->set_faults(Cluster::name(i), {when().path("model-versions/delete").status(404, gone)});
  }
  for (int second = 0; second < 10; ++second) {
    late.cluster.clock->advance(1s);
    REQUIRE(late.client.get_health());
  }
  REQUIRE_FALSE(late.cluster.diary->twins.empty());
  CHECK_THAT(late.cluster.diary->twins.front(), ends_with(" removed"));
}

TEST_CASE("a look that finds not even the place is a look", "[client][once][twins]") {
  LateVersion late;
  const std::string gone = R"({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such model"})";
  for (int i = 0; i < 2; ++i) {
    late.cluster.transport->set_faults(Cluster::name(i), {when().path("model-versions/search").status(404, gone)});
  }
  const ReconcileReport report = late.client.reconcile().value();
  CHECK(report.looked_after == 1);
  CHECK(report.twins.empty());
  CHECK(late.client.health().twins_watched == 1);
  late.cluster.clock->advance(late.cluster.options.exactly_once.watch_for);
  for (int second = 0; second < 10; ++second) {
    late.cluster.clock->advance(1s);
    REQUIRE(late.client.get_health());
  }
  CHECK(late.client.health().twins_watched == 0);
}

TEST_CASE("a stranger's model version is never adopted or removed", "[client][once][twins][hostile]") {
  LateVersion late;
  const std::string answer =
      R"({"model_versions": [{"name": "m", "version": "7"}, {"name": "other", "version": "1"}]})";
  for (int i = 0; i < 2; ++i) {
    late.cluster.transport->set_faults(Cluster::name(i), {when().path("model-versions/search").status(200, answer)});
  }
  CHECK(late.client.reconcile().value().twins.empty());
}

TEST_CASE("a logged model whose reply was lost is found by its tag", "[client][once]") {
  for (const FaultRule& rule : drop("/logged-models")) {
    INFO(to_string(rule));
    Cluster cluster(2, {{rule}});
    const Client client = cluster.client();
    const LoggedModel model = new_logged_model(client);
    CHECK(client.get_logged_model(model.info.model_id).value() == model);
    CHECK(cluster.backend->counts().logged_models == 1);
  }
}

TEST_CASE("the late twin of a logged model is deleted", "[client][once][twins]") {
  Cluster cluster(2, {{when().method(Method::post).path("/logged-models").times(1).apply_late(5s, true)}});
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  const std::string kept = new_logged_model(client).info.model_id;
  cluster.clock->advance(10s);
  const ReconcileReport report = client.reconcile().value();
  REQUIRE(report.twins.size() == 1);
  CHECK(report.twins[0].removed);
  SearchLoggedModels search;
  search.experiment_ids = {"0"};
  const auto left = client.search_logged_models(search).value().items;
  REQUIRE(left.size() == 1);
  CHECK(left[0].info.model_id == kept);
}

TEST_CASE("the late twin of a logged model that has been registered is left alone", "[client][once][twins]") {
  Cluster cluster(2, {{when().method(Method::post).path("/logged-models").times(1).apply_late(5s, true)}});
  cluster.options.timeouts.attempt = 2s;
  const Client client = cluster.client();
  const std::string kept = new_logged_model(client).info.model_id;
  cluster.clock->advance(10s);
  const Client somebody = cluster.client();
  SearchLoggedModels search;
  search.experiment_ids = {"0"};
  const auto both = somebody.search_logged_models(search).value();
  for (const LoggedModel& model : both.items) {
    if (model.info.model_id == kept) continue;
    // As MLflow's own client and server mark it.
    const LoggedModelTag mark{.key = "mlflow.modelVersions", .value = R"([{"name": "m", "version": "1"}])"};
    REQUIRE(somebody.set_logged_model_tags({.model_id = model.info.model_id, .tags = {mark}}));
  }
  const ReconcileReport report = client.reconcile().value();
  REQUIRE(report.twins.size() == 1);
  CHECK_FALSE(report.twins[0].removed);
  CHECK(somebody.search_logged_models(search).value().items.size() == 2);
}

TEST_CASE("params of a logged model whose reply was lost are there", "[client][once]") {
  for (const FaultRule& rule : drop("/params")) {
    INFO(to_string(rule));
    Cluster cluster(2, {{rule}});
    const Client client = cluster.client();
    const std::string id = new_logged_model(client).info.model_id;
    CHECK(client.log_logged_model_params(
        {.model_id = id, .params = {{.key = "a", .value = "1"}, {.key = "b", .value = "2"}}}));
    CHECK(client.get_logged_model(id).value().data.params.size() == 2);
    CHECK(client.health().twins_watched == 0);
  }
}

TEST_CASE("params with other values are not taken for ours", "[client][once]") {
  Cluster cluster(2, {{when().path("/params").nth(2).drop_before()}});
  const Client client = cluster.client();
  const std::string id = new_logged_model(client).info.model_id;
  REQUIRE(client.log_logged_model_params({.model_id = id, .params = {{.key = "a", .value = "1"}}}));
  const Error error = client.log_logged_model_params({.model_id = id, .params = {{.key = "a", .value = "2"}}}).error();
  CHECK(error.error_code == "BAD_REQUEST");
}

TEST_CASE("links of a run whose reply was lost are there", "[client][once]") {
  for (const FaultRule& rule :
       {when().path("runs/outputs").times(1).apply_then_drop(),
        when().path("runs/log-inputs").times(1).apply_then_drop(), when().path("runs/outputs").times(1).drop_before(),
        when().path("runs/log-inputs").times(1).drop_before()}) {
    INFO(to_string(rule));
    Cluster cluster(2, {{rule}});
    const Client client = cluster.client();
    const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
    LogOutputs outputs;
    outputs.run_id = run;
    outputs.models = {{.model_id = "m-1", .step = 1}, {.model_id = "m-2", .step = 0}};
    CHECK(client.log_outputs(outputs));
    LogInputs inputs;
    inputs.run_id = run;
    inputs.models = {{.model_id = "m-1"}};
    DatasetInput dataset;
    dataset.dataset = {.name = "d", .digest = "1", .source_type = "local", .source = "x"};
    inputs.datasets.push_back(dataset);
    CHECK(client.log_inputs(inputs));
    const Run read = client.get_run(run).value();
    CHECK(read.outputs.model_outputs == outputs.models);
    CHECK(read.inputs.model_inputs == inputs.models);
    CHECK(read.inputs.dataset_inputs.size() == 1);
  }
}

TEST_CASE("links of which a part is missing are not taken for stored", "[client][once]") {
  // The first sending is lost on its way; the run has one of the two datasets from an earlier call.
  Cluster cluster(2, {{when().path("runs/log-inputs").nth(2).drop_before()}});
  const Client client = cluster.client();
  const std::string run = client.create_run({.experiment_id = "0"}).value().info.run_id;
  DatasetInput dataset;
  dataset.dataset = {.name = "d", .digest = "1", .source_type = "local", .source = "x"};
  LogInputs inputs;
  inputs.run_id = run;
  inputs.models = {{.model_id = "m-1"}};
  inputs.datasets.push_back(dataset);
  REQUIRE(client.log_inputs(inputs));
  dataset.dataset.digest = "2";
  inputs.datasets.push_back(dataset);
  REQUIRE(client.log_inputs(inputs));
  CHECK(client.get_run(run).value().inputs.dataset_inputs.size() == 2);
}

TEST_CASE("a webhook whose fate is unknown is not made again", "[client][once]") {
  Cluster cluster(2, {{when().path("/webhooks").apply_then_drop()}, {when().path("/webhooks").apply_then_drop()}});
  const Client client = cluster.client();
  CreateWebhook create;
  create.name = "w";
  create.url = "https://example.com/";
  create.events.push_back({.entity = WebhookEntity::model_version, .action = WebhookAction::created});
  CHECK(client.create_webhook(create).error().effect == Effect::unknown);
  for (int i = 0; i < 2; ++i) cluster.transport->set_faults(Cluster::name(i), {});
  CHECK(client.list_webhooks({}).value().items.size() == 1);
}

TEST_CASE("archiving with a stage that has nothing to archive is refused before it is sent", "[client]") {
  Cluster cluster(1);
  const Client client = cluster.client();
  const Error error = client.transition_model_version_stage("m", "1", "None", true).error();
  CHECK(error.code == Errc::invalid_argument);
  CHECK_THAT(error.message, contains("stage is \"None\"; expected Staging or Production"));
  CHECK(cluster.backend->counts().requests == 0);
}
