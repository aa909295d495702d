#include "contract/server.hpp"
#include "support/catch.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

TEST_CASE("what a run that doesn't exist used and made is refused", "[contract][runs]") {
  if (contract_server().fake) return;
  const Client& client = contract_client();
  const std::string nobody(32, 'f');
  const DatasetInput dataset{.dataset = {.name = "d", .digest = "1", .source_type = "local", .source = "{}"}};
  CHECK(is_not_found(client.log_inputs(nobody, {dataset}).error()));
  CHECK(client.log_model({.run_id = nobody, .model_json = "{}"}).error().code == Errc::rejected);
  if (!is_real_3(contract_server())) return;
  CHECK(is_not_found(client.log_inputs({.run_id = nobody, .models = {{.model_id = "m-1"}}}).error()));
  CHECK(is_not_found(client.log_outputs({.run_id = nobody, .models = {{.model_id = "m-1"}}}).error()));
}

TEST_CASE("bad questions about metrics are refused", "[contract][metrics]") {
  if (contract_server().fake) return;
  const Client& client = contract_client();
  const std::string run = fresh_run().info.run_id;
  GetMetricHistoryBulkInterval backwards;
  backwards.run_ids = {run};
  backwards.metric_key = "m";
  backwards.start_step = 5;
  backwards.end_step = 1;
  CHECK(client.get_metric_history_bulk_interval(backwards).error().code == Errc::rejected);
  if (!is_real_3(contract_server())) return;
  CHECK(client.get_metric_history({.run_id = run, .metric_key = "m", .page_token = "bad"}).error().code ==
        Errc::rejected);
}
