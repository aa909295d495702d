// Calls about traces, what judges them, and webhooks, for killed_server_test.cpp and dropped_reply_test.cpp.

#include <mlflowha/api/trace_location.hpp>

#include "contract/repeated_calls.hpp"

using namespace mlflowha;

namespace mlflowha_tests {

void add_evaluation_calls(Repeated& repeated) {
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  const StartTrace start = new_trace(experiment);
  repeated.add(
      "POST /api/3.0/mlflow/traces", [=](const Client& c) { return c.start_trace(start); },
      [=, &client](const auto& made) {
        CHECK(made);
        CHECK(client.search_traces({.locations = {experiment_location(experiment)}}).value().items.size() == 1);
      });
  const std::string judged = fresh_trace(fresh_experiment());
  CreateAssessment assess;
  assess.assessment.assessment_name = "quality";
  assess.assessment.trace_id = judged;
  assess.assessment.source = {.source_type = AssessmentSourceType::code, .source_id = "c"};
  assess.assessment.feedback = Feedback{.value = {"1"}};
  repeated.add(
      "POST /" + judged + "/assessments", [=](const Client& c) { return c.create_assessment(assess); },
      [=, &client](const Result<Assessment>& made) {
        CHECK(client.get_trace_info({.trace_id = judged}).value().trace_info.assessments ==
              std::vector<Assessment>{made.value()});
      });
  const std::string tagged = fresh_trace(fresh_experiment());
  REQUIRE(client.set_trace_tag({.trace_id = tagged, .key = "k", .value = "v"}));
  repeated.add("DELETE /" + tagged + "/tags",
               [=](const Client& c) { return c.delete_trace_tag({.trace_id = tagged, .key = "k"}); });

  const std::string with_dataset = fresh_experiment();
  repeated.add(
      "POST /datasets/create",
      [=](const Client& c) { return c.create_dataset({.name = "d", .experiment_ids = {with_dataset}}); },
      [=, &client](const Result<EvaluationDataset>& made) {
        SearchEvaluationDatasets search;
        search.experiment_ids = {with_dataset};
        const auto all = client.search_evaluation_datasets(search).value().items;
        REQUIRE(all.size() == 1);
        CHECK(all[0].dataset_id == made.value().dataset_id);
      });
  const RegisterScorer scorer{.experiment_id = fresh_experiment(), .name = "s", .serialized_scorer = R"({"a":1})"};
  REQUIRE(client.register_scorer(scorer));
  RegisterScorer second = scorer;
  second.serialized_scorer = R"({"a":2})";
  repeated.add(
      "POST /scorers/register", [=](const Client& c) { return c.register_scorer(second); },
      [=, &client](const Result<RegisteredScorer>& made) {
        CHECK(made.value().version == 2);
        const ListScorerVersions list{.experiment_id = scorer.experiment_id, .name = "s"};
        CHECK(client.list_scorer_versions(list).value().size() == 2);
      });
  const RegisterScorer dropped{.experiment_id = fresh_experiment(), .name = "s", .serialized_scorer = "{}"};
  REQUIRE(client.register_scorer(dropped));
  repeated.add("DELETE /scorers/delete",
               [=](const Client& c) { return c.delete_scorer({.experiment_id = dropped.experiment_id, .name = "s"}); });
  CreateLabelSchema schema;
  schema.experiment_id = fresh_experiment();
  schema.name = "helpful";
  schema.type = LabelSchemaType::feedback;
  schema.input.pass_fail = InputPassFail{.positive_label = "yes", .negative_label = "no"};
  repeated.add(
      "POST /label-schemas/create", [=](const Client& c) { return c.create_label_schema(schema); },
      [=, &client](const Result<LabelSchema>& made) {
        const GetLabelSchemaByName get{.experiment_id = schema.experiment_id, .name = "helpful"};
        CHECK(client.get_label_schema_by_name(get).value() == made.value());
      });
  CreateReviewQueue queue;
  queue.experiment_id = fresh_experiment();
  queue.name = "monday";
  queue.users = {"bob", "al"};
  repeated.add(
      "POST /review-queues/create", [=](const Client& c) { return c.create_review_queue(queue); },
      [=, &client](const Result<ReviewQueue>& made) {
        const GetReviewQueueByName get{.experiment_id = queue.experiment_id, .name = "monday"};
        CHECK(client.get_review_queue_by_name(get).value() == made.value());
      });
  const std::string emptied = fresh_experiment();
  const std::string deleted = fresh_trace(emptied);
  const std::string kept = fresh_trace(emptied);
  repeated.add(
      "POST /api/3.0/mlflow/traces/delete-traces",
      [=](const Client& c) { return c.delete_traces({.experiment_id = emptied, .request_ids = {deleted}}); },
      [=, &client](const auto& done) {
        CHECK(done);
        const auto left = client.search_traces({.locations = {experiment_location(emptied)}}).value().items;
        REQUIRE(left.size() == 1);
        CHECK(left[0].trace_id == kept);
      });
  const Webhook hook = client.create_webhook(new_webhook("https://127.0.0.1:9/hook")).value();
  repeated.add(
      "DELETE /mlflow/webhooks/" + hook.webhook_id,
      [=](const Client& c) { return c.delete_webhook({.webhook_id = hook.webhook_id}); },
      [=, &client](const Result<void>& done) {
        CHECK(done);
        CHECK(is_not_found(client.get_webhook({.webhook_id = hook.webhook_id}).error()));
      });
}

}  // namespace mlflowha_tests
