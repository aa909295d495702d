// Calls that are never sent again, since nobody can tell what they made from a stranger's: whoever asked for it is told
// that nobody knows. For killed_server_test.cpp and dropped_reply_test.cpp.

#include <mlflowha/api/trace_location.hpp>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "contract/repeated_calls.hpp"
#include "support/raw_server.hpp"

using namespace mlflowha;

namespace mlflowha_tests {

void add_never_calls(Repeated& repeated) {
  const Client& client = contract_client();
  const std::string run = fresh_run().info.run_id;
  const LogModel log{.run_id = run,
                     .model_json = R"({"run_id": ")" + run +
                                   R"(", "artifact_path": "model", "utc_time_created": "2026-01-01", "flavors": {}})"};
  repeated.add_never(
      "POST /runs/log-model", [=](const Client& c) { return c.log_model(log); },
      [=, &client] {
        const Run read = client.get_run(run).value();
        const auto& tags = read.data.tags;
        const auto history = std::find_if(tags.begin(), tags.end(),
                                          [](const RunTag& tag) { return tag.key == "mlflow.log-model.history"; });
        REQUIRE(history != tags.end());
        CHECK(nlohmann::json::parse(history->value).size() == 1);
      });
  const std::string experiment = fresh_experiment();
  for (std::int64_t i = 1; i <= 3; ++i) fresh_trace_v2(experiment, 1'700'000'000'000 + i);
  repeated.add_never(
      "POST /api/2.0/mlflow/traces/delete-traces",
      [=](const Client& c) {
        return c.delete_traces_v2(
            {.experiment_id = experiment, .max_timestamp_millis = 4'000'000'000'000, .max_traces = 1});
      },
      [=, &client] { CHECK(client.search_traces_v2({.experiment_ids = {experiment}}).value().items.size() == 2); });
}

void add_never_calls_of_3(Repeated& repeated) {
  const Client& client = contract_client();
  const CreateIssue issue{.experiment_id = fresh_experiment(), .name = "n", .description = "d"};
  repeated.add_never(
      "POST /mlflow/issues", [=](const Client& c) { return c.create_issue(issue); },
      [=, &client] {
        SearchIssues search;
        search.experiment_id = issue.experiment_id;
        CHECK(client.search_issues(search).value().items.size() == 1);
      });
  const std::string experiment = fresh_experiment();
  for (int i = 0; i < 3; ++i) fresh_trace(experiment);
  repeated.add_never(
      "POST /api/3.0/mlflow/traces/delete-traces",
      [=](const Client& c) {
        return c.delete_traces(
            {.experiment_id = experiment, .max_timestamp_millis = 4'000'000'000'000, .max_traces = 1});
      },
      [=, &client] {
        CHECK(client.search_traces({.locations = {experiment_location(experiment)}}).value().items.size() == 2);
      });
  CreateBudgetPolicy budget = new_budget();
  budget.created_by = fresh_name("b");
  repeated.add_never(
      "POST /budgets/create", [=](const Client& c) { return c.create_budget_policy(budget); },
      [=, &client] {
        const auto all = client.list_budget_policies_all({}).all().value();
        const auto is_ours = [&](const auto& one) { return one.created_by == budget.created_by; };
        CHECK(std::count_if(all.begin(), all.end(), is_ours) == 1);
      });
  const CreateGatewayGuardrail guardrail = new_guardrail();
  repeated.add_never(
      "POST /guardrails/create", [=](const Client& c) { return c.create_gateway_guardrail(guardrail); },
      [=, &client] {
        const auto all = client.list_gateway_guardrails_all({}).all().value();
        const auto is_ours = [&](const auto& one) { return one.name == guardrail.name; };
        CHECK(std::count_if(all.begin(), all.end(), is_ours) == 1);
      });
  const std::string server = fresh_name("com.example/s");
  REQUIRE(client.create_mcp_server_version(
      {.name = server, .server_json = {R"({"version": "1.0.0", "name": ")" + server + "\"}"}, .status = "active"}));
  const CreateMcpAccessEndpoint address{.name = server, .url = "https://example.com/mcp", .server_version = "1.0.0"};
  repeated.add_never(
      "POST /" + server + "/endpoints", [=](const Client& c) { return c.create_mcp_access_endpoint(address); },
      [=, &client] { CHECK(client.search_mcp_server_access_endpoints({.name = server}).value().items.size() == 1); });

  const CreateWebhook create = new_webhook("https://127.0.0.1:9/" + fresh_name("hook"));
  repeated.add_never(
      "POST /mlflow/webhooks", [=](const Client& c) { return c.create_webhook(create); },
      [=, &client] {
        const auto all = client.list_webhooks_all({}).all().value();
        const auto is_ours = [&](const Webhook& one) { return one.url == create.url; };
        CHECK(std::count_if(all.begin(), all.end(), is_ours) == 1);
      });
  // Whoever is called there hangs up and counts.
  const auto called = std::make_shared<RawServer>([](RawConnection& peer) { peer.skip(1); });
  const Webhook hook =
      client.create_webhook(new_webhook("https://127.0.0.1:" + std::to_string(called->port()) + "/")).value();
  repeated.add_never(
      "POST /" + hook.webhook_id + "/test",
      [=](const Client& c) { return c.test_webhook({.webhook_id = hook.webhook_id}); },
      [=, &client] {
        CHECK(called->connections() == 1);
        CHECK(client.delete_webhook({.webhook_id = hook.webhook_id}));
      });
}

}  // namespace mlflowha_tests
