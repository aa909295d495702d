// What a server does only when it is told to at its start: workspaces and jobs. The same tests run against the servers
// of the suite, which have neither and say so, and against one that has both (contract.mlflow-3-extras).

#include <mlflowha/api/all.hpp>

#include <algorithm>

#include "contract/lossy.hpp"
#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

TEST_CASE("a workspace lives: create, read, change, delete", "[contract][extras]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  CreateWorkspace create;
  create.name = fresh_name("w").substr(0, 30);
  create.description = "ours";
  const UpdateWorkspace update{.workspace_name = create.name, .description = "theirs"};
  const DeleteWorkspace remove{.workspace_name = create.name};
  if (!client.get_server_info().value().workspaces_enabled) {
    // 503 with a plain text: no outage, and nobody else is asked.
    for (const Error& error : {client.list_workspaces().error(), client.create_workspace(create).error(),
                               client.get_workspace({.workspace_name = "default"}).error(),
                               client.update_workspace(update).error(), client.delete_workspace(remove).error()}) {
      CHECK(error.http_status == 503);
      CHECK(error.effect == Effect::none);
      CHECK(error.attempts.size() == 1);
      CHECK_THAT(error.message, contains("--enable-workspaces"));
    }
    return;
  }
  const Workspace workspace = client.create_workspace(create).value();
  CHECK(workspace.description == "ours");
  CHECK(client.create_workspace(create).error().code == Errc::already_exists);
  CHECK(client.get_workspace({.workspace_name = create.name}).value() == workspace);
  const auto all = client.list_workspaces().value();
  CHECK(std::find(all.begin(), all.end(), workspace) != all.end());
  for (int i = 0; i < 2; ++i) CHECK(client.update_workspace(update).value().description == "theirs");
  REQUIRE(client.delete_workspace(remove));
  CHECK(is_not_found(client.delete_workspace(remove).error()));
  CHECK(is_not_found(client.get_workspace({.workspace_name = create.name}).error()));
  CHECK(is_not_found(client.update_workspace(update).error()));
  create.name = "UPPER";
  CHECK(client.create_workspace(create).error().code == Errc::rejected);
}

TEST_CASE("a prompt-optimisation job lives: create, read, cancel, delete", "[contract][extras]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  CreatePromptOptimizationJob create;
  create.experiment_id = experiment;
  create.source_prompt_uri = "prompts:/none/1";
  create.config.optimizer_type = OptimizerType::gepa;
  CHECK(client.search_prompt_optimization_jobs({.experiment_id = experiment}).value().empty());
  CHECK(is_not_found(client.get_prompt_optimization_job({.job_id = "none"}).error()));
  CHECK(is_not_found(client.cancel_prompt_optimization_job({.job_id = "none"}).error()));
  CHECK(is_not_found(client.delete_prompt_optimization_job({.job_id = "none"}).error()));
  CHECK(client.search_prompt_optimization_jobs({}).error().code == Errc::invalid_argument);
  const auto job = client.create_prompt_optimization_job(create);
  if (!job && job.error().message.find("MLFLOW_SERVER_ENABLE_JOB_EXECUTION") != std::string::npos) return;
  REQUIRE(job);
  CHECK(job->config.optimizer_type == OptimizerType::gepa);
  CHECK(client.get_prompt_optimization_job({.job_id = job->job_id}).value().run_id == job->run_id);
  CHECK(client.search_prompt_optimization_jobs({.experiment_id = experiment}).value().at(0).job_id == job->job_id);
  const auto canceled = client.cancel_prompt_optimization_job({.job_id = job->job_id});
  if (canceled) {  // otherwise it had failed before: there is no such prompt
    CHECK(canceled->state.status == JobStatus::canceled);
  }
  CHECK(client.cancel_prompt_optimization_job({.job_id = job->job_id}).error().code == Errc::rejected);
  REQUIRE(client.delete_prompt_optimization_job({.job_id = job->job_id}));
  CHECK(is_not_found(client.delete_prompt_optimization_job({.job_id = job->job_id}).error()));
  create.experiment_id = "99999999";
  CHECK(is_not_found(client.create_prompt_optimization_job(create).error()));
}

TEST_CASE("lost answers: workspaces and canceled jobs", "[contract][once][extras]") {
  if (!is_real_3(contract_server()) || !contract_client().get_server_info().value().workspaces_enabled) return;
  const Client& client = contract_client();
  const CreateWorkspace create{.name = fresh_name("w").substr(0, 30), .description = "ours"};
  const auto made = Lossy("/mlflow/workspaces")->create_workspace(create);
  CHECK(client.get_workspace({.workspace_name = create.name}).value() == made.value());

  CreatePromptOptimizationJob job;
  job.experiment_id = fresh_experiment();
  job.source_prompt_uri = "prompts:/none/1";
  job.config.optimizer_type = OptimizerType::gepa;
  const std::string id = client.create_prompt_optimization_job(job).value().job_id;
  const auto canceled = Lossy("/cancel")->cancel_prompt_optimization_job({.job_id = id});
  const auto state = client.get_prompt_optimization_job({.job_id = id}).value().state.status;
  // It may have failed before: there is no such prompt. Then nobody has canceled it.
  CHECK(canceled.has_value() == (state == JobStatus::canceled));
}
