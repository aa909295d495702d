// The rows of the table as the machinery sees them.

#include <mlflowha/api/operations.hpp>

#include "support/catch.hpp"

#include <set>
#include <string>

using namespace mlflowha;
namespace ops = mlflowha::api::ops;

TEST_CASE("every row is sound", "[api]") {
  std::set<std::string> names;
  for (const api::Operation* row : api::operations) {
    INFO(row->name);
    CHECK(names.insert(std::string(row->name)).second);
    CHECK(row->path.substr(0, 1) == "/");
    CHECK((row->method == Method::get) <= (row->idempotency == Idempotency::read));
    const bool create =
        row->idempotency == Idempotency::create_named || row->idempotency == Idempotency::create_anonymous;
    CHECK(create == (row->recipe != api::Recipe::none));
    CHECK((row->idempotency == Idempotency::once) <= !row->already_done[0].empty());
    CHECK_FALSE(row->is_already_done(""));
  }
  // 187 bindings, of which four operations have two, and routes that are in no descriptor: of the server itself, of the
  // registry of MCP servers, of the authentication application
  CHECK(api::operations.size() == 187 - 4 + 14 + 23 + 33);
}

TEST_CASE("the classes that reviews have settled", "[api]") {
  struct Row {
    const api::Operation& operation;
    Idempotency idempotency;
  };
  const Row rows[] = {
      {ops::create_experiment, Idempotency::create_named},
      {ops::create_run, Idempotency::create_anonymous},
      {ops::delete_experiment, Idempotency::once},
      {ops::restore_experiment, Idempotency::create_named},
      {ops::delete_tag, Idempotency::once},
      {ops::delete_experiment_tag, Idempotency::once},
      {ops::delete_run, Idempotency::same_again},
      {ops::restore_run, Idempotency::same_again},
      {ops::log_metric, Idempotency::same_again},
      {ops::log_batch, Idempotency::same_again},
      {ops::log_param, Idempotency::same_again},
      {ops::update_run, Idempotency::same_again},
      {ops::log_model, Idempotency::never},
      {ops::log_inputs, Idempotency::create_anonymous},
      {ops::log_outputs, Idempotency::create_anonymous},
      {ops::create_registered_model, Idempotency::create_named},
      {ops::rename_registered_model, Idempotency::create_named},
      {ops::delete_registered_model, Idempotency::once},
      {ops::delete_registered_model_tag, Idempotency::same_again},
      {ops::set_registered_model_alias, Idempotency::same_again},
      {ops::delete_registered_model_alias, Idempotency::same_again},
      {ops::create_model_version, Idempotency::create_anonymous},
      {ops::transition_model_version_stage, Idempotency::same_again},
      {ops::delete_model_version, Idempotency::once},
      {ops::delete_model_version_tag, Idempotency::same_again},
      {ops::create_logged_model, Idempotency::create_anonymous},
      {ops::delete_logged_model, Idempotency::same_again},
      {ops::delete_logged_model_tag, Idempotency::once},
      {ops::log_logged_model_params, Idempotency::create_anonymous},
      {ops::create_webhook, Idempotency::never},
      {ops::test_webhook, Idempotency::never},
      {ops::delete_webhook, Idempotency::once},
      {ops::upload_artifact, Idempotency::same_again},
      {ops::delete_artifact, Idempotency::same_again},
      {ops::get_latest_versions, Idempotency::read},
      {ops::start_trace, Idempotency::same_again},
      {ops::start_trace_v2, Idempotency::create_anonymous},
      {ops::delete_traces, Idempotency::never},  // same_again without max_traces
      {ops::create_assessment, Idempotency::create_anonymous},
      {ops::create_issue, Idempotency::never},
      {ops::create_dataset, Idempotency::create_anonymous},
      {ops::upsert_dataset_records, Idempotency::same_again},
      {ops::register_scorer, Idempotency::create_anonymous},
      {ops::create_prompt_optimization_job, Idempotency::never},
      {ops::cancel_prompt_optimization_job, Idempotency::create_named},
      {ops::create_label_schema, Idempotency::create_named},
      {ops::create_review_queue, Idempotency::create_named},
      {ops::delete_review_queue, Idempotency::same_again},
      {ops::create_gateway_secret, Idempotency::create_named},
      {ops::create_budget_policy, Idempotency::never},
      {ops::create_gateway_guardrail, Idempotency::never},
      {ops::create_workspace, Idempotency::create_named},
      {ops::create_mcp_server, Idempotency::create_named},
      {ops::create_mcp_server_version, Idempotency::create_named},
      {ops::update_mcp_server_version, Idempotency::create_named},  // same_again without a status
      {ops::delete_mcp_server_version, Idempotency::create_named},
      {ops::create_mcp_access_endpoint, Idempotency::never},
      {ops::create_user, Idempotency::never},
      {ops::update_user_password, Idempotency::never},  // same_again for an administrator
      {ops::delete_user, Idempotency::once},
      {ops::grant_user_permission, Idempotency::create_named},
      {ops::assign_role, Idempotency::once},
      {ops::search_runs, Idempotency::read},
      {ops::search_datasets, Idempotency::read},
      {ops::get_server_info, Idempotency::read},
  };
  for (const Row& row : rows) {
    INFO(row.operation.name);
    CHECK(row.operation.idempotency == row.idempotency);
  }
  CHECK(ops::create_experiment.is_already_done("RESOURCE_ALREADY_EXISTS"));
  CHECK(ops::delete_tag.is_already_done("RESOURCE_DOES_NOT_EXIST"));
  CHECK_FALSE(ops::delete_tag.is_already_done("RESOURCE_ALREADY_EXISTS"));
}

TEST_CASE("versions of servers are read and compared", "[api]") {
  CHECK(parse_server_version("3.17.2").value() == ServerVersion{3, 17, 2});
  CHECK(parse_server_version("2.22").value() == ServerVersion{2, 22, 0});
  CHECK(parse_server_version("3.18.0rc1").value() == ServerVersion{3, 18, 0});
  CHECK(parse_server_version("3.11.2.dev0").value() == ServerVersion{3, 11, 2});
  CHECK(ServerVersion{2, 22, 5} < ServerVersion{3, 0, 0});
  CHECK(ServerVersion{3, 9, 9} < ops::get_server_info.since);
  CHECK(to_string(ServerVersion{3, 17, 2}) == "3.17.2");
  for (const char* bad : {"", "3", "three", "<html>", "99999999999.1", "-1.2", ".1.2", "3..2", "v3.1"}) {
    INFO(bad);
    const auto version = parse_server_version(bad);
    REQUIRE_FALSE(version);
    CHECK(version.error().code == Errc::bad_response);
  }
}
