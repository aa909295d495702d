#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {
const std::string nobody = "999999999";
}

TEST_CASE("an experiment lives: create, read, rename, tag, delete, restore", "[contract][experiments]") {
  const Client& client = contract_client();
  CreateExperiment create;
  create.name = fresh_name("life");
  create.tags.push_back({.key = "team", .value = "vision \xC3\xA4"});
  const std::string id = client.create_experiment(create).value();

  const Experiment experiment = client.get_experiment({.experiment_id = id}).value();
  CHECK(experiment.experiment_id == id);
  CHECK(experiment.name == create.name);
  CHECK(experiment.lifecycle_stage == "active");
  CHECK(experiment.creation_time > 1'600'000'000'000);
  bool has_team = false;
  bool has_request_tag = false;
  for (const ExperimentTag& tag : experiment.tags) {
    has_team = has_team || (tag.key == "team" && tag.value == "vision \xC3\xA4");
    has_request_tag = has_request_tag || tag.key == api::request_tag_key;
  }
  CHECK(has_team);
  CHECK(has_request_tag);
  CHECK(client.get_experiment_by_name({.experiment_name = create.name}).value().experiment_id == id);

  const std::string renamed = fresh_name("renamed");
  REQUIRE(client.update_experiment({.experiment_id = id, .new_name = renamed}));
  CHECK(client.get_experiment({.experiment_id = id}).value().name == renamed);
  REQUIRE(client.set_experiment_tag({.experiment_id = id, .key = "state", .value = "tried"}));

  REQUIRE(client.delete_experiment({.experiment_id = id}));
  CHECK(client.get_experiment({.experiment_id = id}).value().lifecycle_stage == "deleted");
  CHECK(client.delete_experiment({.experiment_id = id}).error().code == Errc::not_found);
  REQUIRE(client.restore_experiment({.experiment_id = id}));
  CHECK(client.restore_experiment({.experiment_id = id}).error().code == Errc::not_found);
  CHECK(client.get_experiment({.experiment_id = id}).value().lifecycle_stage == "active");
}

TEST_CASE("a name that is taken is a typed error", "[contract][experiments]") {
  const Client& client = contract_client();
  CreateExperiment create;
  create.name = fresh_name("taken");
  const std::string id = client.create_experiment(create).value();
  const auto second = client.create_experiment(create);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::already_exists);
  CHECK(second.error().error_code == "RESOURCE_ALREADY_EXISTS");
  CHECK(second.error().effect == Effect::none);
  CHECK(is_already_exists(second.error()));
  REQUIRE(client.delete_experiment({.experiment_id = id}));
  CHECK(client.create_experiment(create).error().code == Errc::already_exists);  // deleted ones keep their name
}

TEST_CASE("experiments that don't exist are not found", "[contract][experiments]") {
  const Client& client = contract_client();
  CHECK(is_not_found(client.get_experiment({.experiment_id = nobody}).error()));
  CHECK(is_not_found(client.get_experiment_by_name({.experiment_name = fresh_name("no")}).error()));
  CHECK(client.find_experiment_by_name(fresh_name("no")).value() == std::nullopt);
  CHECK(is_not_found(client.delete_experiment({.experiment_id = nobody}).error()));
  CHECK(is_not_found(client.restore_experiment({.experiment_id = nobody}).error()));
  CHECK(is_not_found(client.update_experiment({.experiment_id = nobody, .new_name = fresh_name("x")}).error()));
  CHECK(is_not_found(client.set_experiment_tag({.experiment_id = nobody, .key = "k", .value = "v"}).error()));
}

TEST_CASE("experiments are searched by pages", "[contract][experiments]") {
  const Client& client = contract_client();
  const std::string mark = fresh_name("mark");
  for (int i = 0; i < 5; ++i) {
    CreateExperiment create;
    create.name = mark + "-" + std::to_string(i);
    REQUIRE(client.create_experiment(create));
  }
  SearchExperiments search;
  search.filter = "name LIKE '" + mark + "%'";
  search.order_by = {"name DESC"};
  search.max_results = 2;
  const Page<Experiment> first = client.search_experiments(search).value();
  REQUIRE(first.items.size() == 2);
  CHECK(first.items[0].name == mark + "-4");
  CHECK_FALSE(first.next_page_token.empty());
  const std::vector<Experiment> all = client.search_experiments_all(search).all().value();
  CHECK(all.size() == 5);
  search.filter = "name BETWEEN 1";
  CHECK(client.search_experiments(search).error().code == Errc::rejected);
}

TEST_CASE("a tag of an experiment can be removed since MLflow 3", "[contract][experiments]") {
  const Client& client = contract_client();
  const std::string id = fresh_experiment();
  REQUIRE(client.set_experiment_tag({.experiment_id = id, .key = "k", .value = "v"}));
  const auto removed = client.delete_experiment_tag({.experiment_id = id, .key = "k"});
  if (contract_server().major < 3) {
    CHECK_FALSE(removed);
    return;
  }
  REQUIRE(removed);
  CHECK(is_not_found(client.delete_experiment_tag({.experiment_id = id, .key = "k"}).error()));
}

TEST_CASE("datasets of experiments are listed", "[contract][experiments]") {
  const Client& client = contract_client();
  const Run run = fresh_run();
  LogInputs inputs;
  inputs.run_id = run.info.run_id;
  DatasetInput input;
  // 2.22 lists a dataset with the experiment that used it first.
  const std::string name = fresh_name("iris");
  input.dataset = {.name = name, .digest = "d1", .source_type = "local", .source = "{}"};
  input.tags.push_back({.key = "mlflow.data.context", .value = "training"});
  inputs.datasets.push_back(input);
  REQUIRE(client.log_inputs(inputs));
  const auto datasets = client.search_datasets({.experiment_ids = {run.info.experiment_id}}).value();
  REQUIRE(datasets.size() == 1);
  CHECK(datasets[0].name == name);
  CHECK(datasets[0].context == "training");
  const Run read = client.get_run(run.info.run_id).value();
  REQUIRE(read.inputs.dataset_inputs.size() == 1);
  CHECK(read.inputs.dataset_inputs[0].dataset.digest == "d1");
}
