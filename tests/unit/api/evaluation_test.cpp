// Requests of traces, assessments, evaluation datasets and the gateway: what is stamped, what is refused, which class.

#include <mlflowha/api/all.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/api/trace_location.hpp>

#include "support/catch.hpp"
#include "unit/api/support.hpp"

#include <nlohmann/json.hpp>

using namespace mlflowha;
using mlflowha_tests::CannedCalls;
using mlflowha_tests::contains;
using nlohmann::json;

namespace {

/// The one request that a call made.
template <class Call>
api::PreparedRequest sent_by(const Call& call) {
  CannedCalls calls(R"({"assessment": {"assessment_name": "n", "trace_id": "t"}, "dataset": {}, "trace": {}})");
  (void)call(calls);
  REQUIRE(calls.sent.size() == 1);
  return calls.sent.front();
}
/// Why a call was refused before anything was sent.
template <class Call>
std::string refusal(const Call& call) {
  CannedCalls calls;
  const auto result = call(calls);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::invalid_argument);
  CHECK(calls.sent.empty());
  return result.error().message;
}

CreateAssessment new_assessment() {
  CreateAssessment create;
  create.assessment.assessment_name = "quality";
  create.assessment.trace_id = "tr-1";
  create.assessment.source = {.source_type = AssessmentSourceType::human, .source_id = "bob"};
  create.assessment.feedback = Feedback{.value = {"0.5"}};
  return create;
}

StartTrace new_trace() {
  StartTrace start;
  start.trace.trace_info.trace_id = "tr-1";
  start.trace.trace_info.trace_location = experiment_location("7");
  start.trace.trace_info.request_time = "2026-01-02T03:04:05.678Z";
  return start;
}

json tags_of(const api::PreparedRequest& request) {
  return json::parse(json::parse(request.http.body).at("tags").get<std::string>());
}

}  // namespace

TEST_CASE("an assessment gets an id and a request tag from us unless the caller chose them", "[api]") {
  const api::PreparedRequest first = sent_by([](auto& c) { return c.create_assessment(new_assessment()); });
  CHECK(first.http.target == "/api/3.0/mlflow/traces/tr-1/assessments");
  CHECK(first.request_tag == "tag-1");
  CHECK(first.scope == "tr-1");
  json body = json::parse(first.http.body).at("assessment");
  CHECK(body.at("assessment_id") == "a-tag1");
  CHECK(body.at("metadata").at("mlflowha.request_id") == "tag-1");
  CHECK(body.at("feedback") == json::parse(R"({"value": 0.5})"));

  const api::PreparedRequest second = sent_by([](auto& c) {
    CreateAssessment create = new_assessment();
    create.assessment.assessment_id = "mine";
    create.assessment.metadata = {{"mlflowha.request_id", "of another"}, {"k", "v"}};
    CallOptions options;
    options.request_tag = "once";
    return c.create_assessment(create, options);
  });
  body = json::parse(second.http.body).at("assessment");
  CHECK(second.request_tag == "once");
  CHECK(body.at("assessment_id") == "mine");
  CHECK(body.at("metadata") == json::parse(R"({"k": "v", "mlflowha.request_id": "once"})"));
}

TEST_CASE("a changed assessment is addressed by what is in it", "[api]") {
  const api::PreparedRequest request = sent_by([](auto& c) {
    Assessment changed = new_assessment().assessment;
    changed.assessment_id = "a 1";
    return c.update_assessment({.assessment = changed, .update_mask = "feedback,rationale"});
  });
  CHECK(request.http.method == Method::patch);
  CHECK(request.http.target == "/api/3.0/mlflow/traces/tr-1/assessments/a%201");
  CHECK(json::parse(request.http.body).at("update_mask") == "feedback,rationale");
  CHECK_THAT(refusal([](auto& c) {
               return c.update_assessment({.assessment = new_assessment().assessment, .update_mask = "feedback"});
             }),
             contains("assessment.assessment_id"));
}

TEST_CASE("a dataset's request tag goes into the JSON of its tags", "[api]") {
  const auto create = [](const std::string& tags) {
    return sent_by([&](auto& c) { return c.create_dataset({.name = "d", .tags = tags}); });
  };
  CHECK(tags_of(create("")) == json::parse(R"({"mlflowha.request_id": "tag-1"})"));
  CHECK(tags_of(create("{}")) == json::parse(R"({"mlflowha.request_id": "tag-1"})"));
  CHECK(tags_of(create(R"( {"a\"b": "ä\n", "mlflowha.request_id": ""} )")) ==
        json::parse(R"({"a\"b": "ä\n", "mlflowha.request_id": "tag-1"})"));
  const api::PreparedRequest copied = create(R"({"mlflowha.request_id": "of another", "k": "v"})");
  CHECK(copied.request_tag == "tag-1");
  CHECK(tags_of(copied) == json::parse(R"({"mlflowha.request_id": "tag-1", "k": "v"})"));
  for (const char* bad : {"[1]", "{", "{} {}", "text", R"({"a": {"b": "c"}})", R"({"a": 1})"}) {
    CHECK_THAT(refusal([&](auto& c) { return c.create_dataset({.name = "d", .tags = bad}); }),
               contains("create_dataset: tags is \"") && contains("expected a JSON object of text"));
  }
  CHECK_THAT(refusal([](auto& c) { return c.upsert_dataset_records({.dataset_id = "d", .records = "{}"}); }),
             contains("expected a JSON list"));
  // null takes a tag away
  sent_by([](auto& c) { return c.set_dataset_tags({.dataset_id = "d", .tags = R"({"k": null})"}); });
}

TEST_CASE("times of traces are checked before they are sent", "[api]") {
  const api::PreparedRequest request = sent_by([](auto& c) { return c.start_trace(new_trace()); });
  CHECK(json::parse(request.http.body).at("trace").at("trace_info") == json::parse(R"({"trace_id": "tr-1",
      "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "7"}},
      "request_time": "2026-01-02T03:04:05.678Z"})"));
  StartTrace bad = new_trace();
  bad.trace.trace_info.request_time = "yesterday";
  CHECK_THAT(refusal([&](auto& c) { return c.start_trace(bad); }),
             contains("trace.trace_info.request_time is \"yesterday\"; expected a time such as"));
  bad = new_trace();
  bad.trace.trace_info.execution_duration = "1500";
  CHECK_THAT(refusal([&](auto& c) { return c.start_trace(bad); }), contains("expected a number of seconds such as"));
  bad = new_trace();
  bad.trace.trace_info.request_time.clear();
  CHECK_THAT(refusal([&](auto& c) { return c.start_trace(bad); }), contains("request_time is empty"));
  bad = new_trace();
  bad.trace.trace_info.trace_id.clear();  // a server would store a trace without an id
  CHECK_THAT(refusal([&](auto& c) { return c.start_trace(bad); }), contains("trace_id is empty"));
}

TEST_CASE("an enumeration that must be there says what there is", "[api]") {
  CHECK_THAT(refusal([](auto& c) { return c.create_label_schema({.experiment_id = "7", .name = "n"}); }),
             contains("type is missing; expected one of FEEDBACK, EXPECTATION"));
  // One that a newer server knows is there.
  CreateLabelSchema newer{.experiment_id = "7", .name = "n", .type = LabelSchemaType::from_name("NEWER")};
  CannedCalls calls(R"({"label_schema": {}})");
  CHECK(calls.create_label_schema(newer));
}

TEST_CASE("deleting the oldest traces is not sent twice, deleting named ones is", "[api]") {
  const auto class_of = [](const DeleteTraces& request) {
    return sent_by([&](auto& c) { return c.delete_traces(request); }).idempotency;
  };
  CHECK(class_of({.experiment_id = "7", .request_ids = {"tr-1"}}) == Idempotency::same_again);
  CHECK(class_of({.experiment_id = "7", .max_timestamp_millis = 5}) == Idempotency::same_again);
  CHECK(class_of({.experiment_id = "7", .max_timestamp_millis = 5, .max_traces = 1}) == Idempotency::never);
}

TEST_CASE("spans and values keep the bytes of their numbers", "[api]") {
  const std::string span =
      R"({"trace_id":"eqcO","start_time_unix_nano":1767323045678000001,"attributes":[{"d":0.10}]})";
  CannedCalls calls(R"({"trace": {"trace_info": {"trace_id": "tr-1", "new": [1e400]}, "spans": [)" + span + "]}}");
  const Trace trace = calls.get_trace({.trace_id = "tr-1"}).value();
  REQUIRE(trace.spans.size() == 1);
  CHECK(trace.spans[0].text == span);
  (void)calls.start_trace({.trace = trace});  // refused: no time; so it gets one
  Trace again = trace;
  again.trace_info.request_time = "2026-01-02T03:04:05Z";
  (void)calls.start_trace({.trace = again});
  CHECK_THAT(calls.sent.back().http.body, contains(span) && contains("\"new\":[1e400]"));
}
