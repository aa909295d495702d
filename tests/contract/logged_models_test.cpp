// Logged models, and what links runs to them. MLflow 2.22 has none of it.

#include <mlflowha/api/logged_models.hpp>

#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {

bool has_logged_models() { return contract_server().major >= 3; }
const std::string nobody = "m-ffffffffffffffffffffffffffffffff";

LoggedModel fresh_logged_model(const std::string& experiment, const std::string& name = "lm") {
  CreateLoggedModel create;
  create.experiment_id = experiment;
  create.name = name;
  return contract_client().create_logged_model(create).value();
}

}  // namespace

TEST_CASE("a logged model lives: create, params, tags, finalize, delete", "[contract][logged_models]") {
  if (!has_logged_models()) return;
  const Client& client = contract_client();
  CreateLoggedModel create;
  create.experiment_id = fresh_experiment();
  create.name = "lm";
  create.model_type = "agent";
  create.params.push_back({.key = "depth", .value = "3"});
  create.tags.push_back({.key = "team", .value = "vision"});
  const LoggedModel made = client.create_logged_model(create).value();
  const std::string id = made.info.model_id;
  CHECK(made.info.status == LoggedModelStatus::pending);
  CHECK(made.info.name == "lm");
  CHECK(made.data.params == std::vector<LoggedModelParameter>{{.key = "depth", .value = "3"}});

  REQUIRE(client.log_logged_model_params({.model_id = id, .params = {{.key = "width", .value = "4"}}}));
  // A key that is there is refused, also with its value.
  const Error again =
      client.log_logged_model_params({.model_id = id, .params = {{.key = "width", .value = "4"}}}).error();
  CHECK(again.error_code == "BAD_REQUEST");
  CHECK(again.effect == Effect::none);
  REQUIRE(client.set_logged_model_tags({.model_id = id, .tags = {{.key = "a b", .value = "c"}}}));
  REQUIRE(client.delete_logged_model_tag({.model_id = id, .tag_key = "a b"}));
  CHECK(is_not_found(client.delete_logged_model_tag({.model_id = id, .tag_key = "a b"}).error()));
  CHECK(client.finalize_logged_model({.model_id = id, .status = LoggedModelStatus::ready}).value().info.status ==
        LoggedModelStatus::ready);
  const LoggedModel read = client.get_logged_model({.model_id = id}).value();
  CHECK(read.info.status == LoggedModelStatus::ready);
  CHECK(read.data.params.size() == 2);
  CHECK(read.info.tags.size() == 2);  // team and the request tag

  REQUIRE(client.delete_logged_model({.model_id = id}));
  REQUIRE(client.delete_logged_model({.model_id = id}));
  CHECK(is_not_found(client.get_logged_model({.model_id = id}).error()));
}

TEST_CASE("a logged model that isn't there is a typed error", "[contract][logged_models]") {
  if (!has_logged_models()) return;
  const Client& client = contract_client();
  CreateLoggedModel create;
  create.experiment_id = "999999999";
  CHECK(is_not_found(client.create_logged_model(create).error()));
  create.experiment_id = "0";
  create.name = "a/b";
  CHECK(client.create_logged_model(create).error().code == Errc::rejected);
  CHECK(is_not_found(client.get_logged_model({.model_id = nobody}).error()));
  CHECK(is_not_found(client.finalize_logged_model({.model_id = nobody, .status = LoggedModelStatus::ready}).error()));
  CHECK(is_not_found(client.delete_logged_model({.model_id = nobody}).error()));
  CHECK(is_not_found(client.set_logged_model_tags({.model_id = nobody, .tags = {{.key = "a", .value = "b"}}}).error()));
  CHECK(is_not_found(
      client.log_logged_model_params({.model_id = nobody, .params = {{.key = "a", .value = "b"}}}).error()));
  CHECK(is_not_found(client.list_logged_model_artifacts({.model_id = nobody}).error()));
  CHECK(is_not_found(client.get_logged_model_artifact({.model_id = nobody, .artifact_file_path = "MLmodel"}).error()));
}

TEST_CASE("logged models are searched and paged", "[contract][logged_models]") {
  if (!has_logged_models()) return;
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  for (int i = 0; i < 5; ++i)
    REQUIRE_FALSE(fresh_logged_model(experiment, "lm-" + std::to_string(i)).info.name.empty());
  SearchLoggedModels search;
  search.experiment_ids = {experiment};
  search.max_results = 2;
  search.order_by.push_back({.field_name = "name"});
  const auto all = client.search_logged_models_all(search).all().value();
  REQUIRE(all.size() == 5);
  CHECK(all.front().info.name == "lm-0");
  CHECK(all.back().info.name == "lm-4");
  search.filter = "name = 'lm-3'";
  CHECK(client.search_logged_models(search).value().items.size() == 1);
  search.filter = "nonsense";
  CHECK(client.search_logged_models(search).error().code == Errc::rejected);
}

TEST_CASE("files of a logged model are listed and read", "[contract][logged_models]") {
  if (!has_logged_models()) return;
  const Client& client = contract_client();
  const LoggedModel model = fresh_logged_model(fresh_experiment());
  const std::string root = model.info.artifact_uri.substr(std::string("mlflow-artifacts:/").size());
  REQUIRE(client.upload_artifact({.artifact_path = root + "/sub/a.txt", .content = "hello"}));
  const auto top = client.list_logged_model_artifacts({.model_id = model.info.model_id}).value();
  REQUIRE(top.files.size() == 1);
  CHECK(top.files[0].is_dir);
  const auto sub =
      client.list_logged_model_artifacts({.model_id = model.info.model_id, .artifact_directory_path = "sub"}).value();
  REQUIRE(sub.files.size() == 1);
  CHECK(sub.files[0].path == "sub/a.txt");
  CHECK(
      client.get_logged_model_artifact({.model_id = model.info.model_id, .artifact_file_path = "sub/a.txt"}).value() ==
      "hello");
}

TEST_CASE("a run keeps each link to a logged model once", "[contract][logged_models]") {
  if (!has_logged_models()) return;
  const Client& client = contract_client();
  const Run run = fresh_run();
  const std::string id = fresh_logged_model(run.info.experiment_id).info.model_id;
  LogOutputs outputs;
  outputs.run_id = run.info.run_id;
  outputs.models.push_back({.model_id = id, .step = 3});
  REQUIRE(client.log_outputs(outputs));
  CHECK(client.log_outputs(outputs).error().error_code == "BAD_REQUEST");
  LogInputs inputs;
  inputs.run_id = run.info.run_id;
  inputs.models.push_back({.model_id = id});
  REQUIRE(client.log_inputs(inputs));
  REQUIRE(client.log_inputs(inputs));
  const Run read = client.get_run(run.info.run_id).value();
  CHECK(read.outputs.model_outputs == std::vector<ModelOutput>{{.model_id = id, .step = 3}});
  CHECK(read.inputs.model_inputs == std::vector<ModelInput>{{.model_id = id}});
}
