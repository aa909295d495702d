// Creates that can only be recognised by their content: when equal content is taken for ours, and when it isn't.

#include <mlflowha/api/all.hpp>

#include "support/catch.hpp"
#include "unit/client/engine_fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;

namespace {

const char* const taken = R"({"error_code": "RESOURCE_ALREADY_EXISTS", "message": "Label schema with name 'n'"})";
const char* const same = R"({"label_schema": {"schema_id": "l", "type": "FEEDBACK", "input": {"text": {}}}})";
const char* const other = R"({"label_schema": {"schema_id": "l", "type": "EXPECTATION", "input": {"text": {}}}})";

CreateLabelSchema new_schema() {
  CreateLabelSchema create;
  create.experiment_id = "0";
  create.name = "n";
  create.type = LabelSchemaType::feedback;
  create.input.text.emplace();
  return create;
}

const FaultRule name_is_taken = when().path("label-schemas/create").status(400, taken);
FaultRule named(const char* content) { return when().path("label-schemas/get-by-name").status(200, content); }

}  // namespace

TEST_CASE("equal content is a stranger's when nothing of ours can have arrived", "[client][once]") {
  Cluster cluster(1, {{name_is_taken, named(same)}});
  const Client client = cluster.client();
  const Error error = client.create_label_schema(new_schema()).error();
  CHECK(error.code == Errc::already_exists);
  CHECK(error.effect == Effect::none);
  CHECK(error.attempts.size() == 1);

  // Nor when a sending is known not to have arrived.
  Cluster refused(1, {{when().times(1).refuse(), name_is_taken, named(same)}});
  CHECK(refused.client().create_label_schema(new_schema()).error().code == Errc::already_exists);
}

TEST_CASE("equal content is ours when a sending of ours may have arrived", "[client][once]") {
  const FaultRule lost = when().path("label-schemas/create").times(1).status(502);
  Cluster cluster(1, {{lost, name_is_taken, named(same)}});
  CHECK(cluster.client().create_label_schema(new_schema()).value().schema_id == "l");

  Cluster stranger(1, {{lost, name_is_taken, named(other)}});
  CHECK(stranger.client().create_label_schema(new_schema()).error().code == Errc::already_exists);
}

TEST_CASE("a job that has ended was canceled by us only if it is canceled", "[client][once]") {
  const auto jobs = [](const std::string& status) {
    return FaultScript({when().path("/cancel").times(1).status(502),
                        when().path("/cancel").status(400, R"({"error_code": "INVALID_PARAMETER_VALUE"})"),
                        when()
                            .path("prompt-optimization/jobs/j")
                            .status(200, R"({"job": {"job_id": "j", "state": {"status": ")" + status + "\"}}}")});
  };
  Cluster canceled(1, {jobs("JOB_STATUS_CANCELED")});
  CHECK(canceled.client().cancel_prompt_optimization_job({.job_id = "j"}).value().state.status == JobStatus::canceled);
  Cluster completed(1, {jobs("JOB_STATUS_COMPLETED")});
  CHECK(completed.client().cancel_prompt_optimization_job({.job_id = "j"}).error().code == Errc::rejected);
}

TEST_CASE("an assessment is read by its id before it is sent again", "[client][once]") {
  CreateAssessment create;
  create.assessment.assessment_name = "n";
  create.assessment.trace_id = "t";
  create.assessment.source = {.source_type = AssessmentSourceType::code, .source_id = "c"};
  create.assessment.assessment_id = "a-1";
  CallOptions options;
  options.request_tag = "tag";
  const auto script = [](const std::string& tag) {
    return FaultScript(
        {when().method(Method::post).path("/assessments").times(1).status(502),
         when().method(Method::post).path("/assessments").status(500, R"({"error_code": "INTERNAL_ERROR"})"),
         when()
             .method(Method::get)
             .path("/assessments/a-1")
             .status(200, R"({"assessment": {"assessment_id": "a-1", "metadata": {"mlflowha.request_id": ")" + tag +
                              "\"}}}")});
  };
  Cluster ours(1, {script("tag")});
  CHECK(ours.client().create_assessment(create, options).value().assessment_id == "a-1");
  Cluster stranger(1, {script("other")});
  CHECK_FALSE(stranger.client().create_assessment(create, options));
}
