// The short ways to say the common calls do what the calls do.

#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

TEST_CASE("runs in short", "[contract][conveniences]") {
  const Client& client = contract_client();
  const Run parent = fresh_run();
  const std::string& id = parent.info.run_id;
  CreateRun create;
  create.experiment_id = parent.info.experiment_id;
  create.tags = {{.key = "mlflow.parentRunId", .value = id}};
  const std::string child = client.create_run(create).value().info.run_id;
  CHECK(client.get_parent_run(child).value().value().info.run_id == id);
  CHECK(client.get_parent_run(id).value() == std::nullopt);
  CHECK(is_not_found(client.get_parent_run(std::string(32, 'f')).error()));

  for (int i = 0; i < 3; ++i) REQUIRE(client.log_metric(id, "m", i, {.step = i}));
  CHECK(client.get_metric_history(id, "m").value().size() == 3);
  CHECK(client.get_metric_history(id, "none").value().empty());

  REQUIRE(client.set_tag(id, "k", "v"));
  REQUIRE(client.delete_tag(id, "k"));
  CHECK(is_not_found(client.delete_tag(id, "k").error()));
  if (!contract_server().fake) {  // it has no inputs
    DatasetInput input;
    input.dataset = {.name = "d", .digest = "1", .source_type = "local", .source = "s"};
    REQUIRE(client.log_inputs(id, {input}));
    CHECK(client.get_run(id).value().inputs.dataset_inputs.size() == 1);
  }

  REQUIRE(client.delete_run(id));
  CHECK(client.get_run(id).value().info.lifecycle_stage == "deleted");
  REQUIRE(client.restore_run(id));
  CHECK(client.get_run(id).value().info.lifecycle_stage == "active");
}

TEST_CASE("experiments in short", "[contract][conveniences]") {
  const Client& client = contract_client();
  const std::string id = fresh_experiment();
  const std::string name = fresh_name("renamed");
  REQUIRE(client.rename_experiment(id, name));
  CHECK(client.get_experiment(id).value().name == name);
  CHECK(client.find_experiment_by_name(name).value().value().experiment_id == id);
  REQUIRE(client.set_experiment_tag(id, "k", "v"));
  CHECK(client.get_experiment(id).value().tags.size() == 2);  // ours is beside it
  if (contract_server().major >= 3) REQUIRE(client.delete_experiment_tag(id, "k"));
  REQUIRE(client.delete_experiment(id));
  CHECK(is_not_found(client.delete_experiment(id).error()));
  REQUIRE(client.restore_experiment(id));
  CHECK(client.get_experiment(id).value().lifecycle_stage == "active");
}
