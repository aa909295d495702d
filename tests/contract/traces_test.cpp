#include <mlflowha/api/all.hpp>
#include <mlflowha/api/trace_location.hpp>

#include <algorithm>

#include "contract/server.hpp"
#include "support/catch.hpp"
#include "support/http.hpp"

using namespace mlflowha;
using namespace mlflowha_tests;

namespace {

StartTrace new_trace(const std::string& experiment, const std::string& id) {
  StartTrace start;
  TraceInfo& info = start.trace.trace_info;
  info.trace_id = id;
  info.trace_location = experiment_location(experiment);
  info.request_time = "2026-01-02T03:04:05.678Z";
  info.execution_duration = "1.5s";
  info.state = TraceState::ok;
  info.request_preview = "why \"so\"?";
  info.tags["team"] = "a";
  info.trace_metadata["mlflow.trace_schema.version"] = "3";
  return start;
}

std::string fresh_trace_id() { return "tr-" + fresh_name("x").substr(2).substr(0, 36); }

std::string stored_trace(const std::string& experiment) {
  return contract_client().start_trace(new_trace(experiment, fresh_trace_id())).value().trace_info.trace_id;
}

/// A trace with one span, as OpenTelemetry brings it; the REST API itself keeps no spans.
std::string stored_by_otlp(const std::string& experiment) {
  std::string hex = fresh_name("").substr(1);
  hex.erase(std::remove(hex.begin(), hex.end(), '-'), hex.end());
  Request request = post("/v1/traces", R"({"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "s"},
    "spans": [{"traceId": ")" + hex + R"(", "spanId": "00f067aa0ba902b7", "name": "root", "kind": 1,
    "startTimeUnixNano": "1767323045678000001", "endTimeUnixNano": "1767323047178000000",
    "attributes": [{"key": "d", "value": {"doubleValue": 0.5}}], "status": {"code": 1}}]}]}]})");
  request.headers = {{"x-mlflow-experiment-id", experiment}};
  const auto transport = make_transport();
  REQUIRE(answer_of(call(*transport, parse_uri(contract_server().urls[0]).value(), request)).status == 200);
  return "tr-" + hex;
}

}  // namespace

TEST_CASE("a trace lives: store, read, search, tag, delete", "[contract][traces]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  const StartTrace start = new_trace(experiment, fresh_trace_id());
  const std::string& id = start.trace.trace_info.trace_id;
  const Trace stored = client.start_trace(start).value();
  CHECK(stored.trace_info.trace_id == id);
  CHECK(client.start_trace(start).value() == stored);  // the same again changes nothing

  const TraceInfo read = client.get_trace_info({.trace_id = id}).value().trace_info;
  CHECK(read.trace_location == experiment_location(experiment));
  CHECK(read.request_time == "2026-01-02T03:04:05.678Z");
  CHECK(parse_duration(read.execution_duration).value() == std::chrono::milliseconds(1500));
  CHECK(read.state == TraceState::ok);
  CHECK(read.request_preview == "why \"so\"?");
  CHECK(read.tags.at("team") == "a");
  CHECK(read.unknown_fields.empty());
  CHECK(client.batch_get_trace_infos({.trace_ids = {id, "none"}}).value().size() == 1);

  REQUIRE(client.set_trace_tag({.trace_id = id, .key = "k", .value = "v"}));
  REQUIRE(client.set_trace_tag_v2({.request_id = id, .key = "k2", .value = "v"}));
  SearchTraces search;
  search.locations = {experiment_location(experiment)};
  search.filter = "tags.k = 'v' AND tags.k2 = 'v'";
  CHECK(client.search_traces(search).value().items.at(0).trace_id == id);
  REQUIRE(client.delete_trace_tag({.trace_id = id, .key = "k"}));
  REQUIRE(client.delete_trace_tag_v2({.request_id = id, .key = "k2"}));
  CHECK(client.search_traces(search).value().items.empty());

  const TraceInfoV2 old = client.get_trace_info_v2({.request_id = id}).value();
  CHECK(old.timestamp_ms == 1767323045678);
  CHECK(old.execution_time_ms == 1500);
  CHECK(client.delete_traces({.experiment_id = experiment, .request_ids = {id}}).value() == 1);
  CHECK(client.delete_traces({.experiment_id = experiment, .request_ids = {id}}).value() == 0);
}

TEST_CASE("traces that don't exist and bad questions are typed errors", "[contract][traces]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  const std::string none = "tr-none";
  CHECK(is_not_found(client.start_trace(new_trace("99999999", fresh_trace_id())).error()));
  CHECK(is_not_found(client.get_trace_info({.trace_id = none}).error()));
  CHECK(is_not_found(client.get_trace({.trace_id = none}).error()));
  CHECK(is_not_found(client.delete_trace_tag({.trace_id = none, .key = "k"}).error()));
  CHECK(client.set_trace_tag({.trace_id = none, .key = "k", .value = "v"}).error().code == Errc::rejected);
  CHECK(client.search_traces({.locations = {experiment_location(experiment)}, .filter = "bad"}).error().code ==
        Errc::rejected);
  CHECK(client.delete_traces({.experiment_id = experiment}).error().code == Errc::rejected);
  CHECK(is_not_found(
      client.link_prompts_to_trace({.trace_id = none, .prompt_versions = {{.name = "p", .version = "1"}}}).error()));
  CHECK(client
            .calculate_trace_filter_correlation(
                {.experiment_ids = {experiment}, .filter_string1 = "bad", .filter_string2 = "status = 'OK'"})
            .error()
            .code == Errc::rejected);
  // A trace without spans in the database: the server calls it an error of its own.
  CHECK(client.batch_get_traces({.trace_ids = {stored_trace(experiment)}}).error().code == Errc::server_error);

  CHECK(client.start_trace({}).error().code == Errc::invalid_argument);
  CHECK(client.link_traces_to_run({.trace_ids = std::vector<std::string>(101, "a"), .run_id = "r"}).error().code ==
        Errc::invalid_argument);
  StartTrace bad_time = new_trace(experiment, fresh_trace_id());
  bad_time.trace.trace_info.request_time = "yesterday";
  CHECK_THAT(client.start_trace(bad_time).error().message, contains("trace.trace_info.request_time is \"yesterday\""));
}

TEST_CASE("spans survive the way from the server and back into text", "[contract][traces]") {
  if (!is_real_3(contract_server())) return;
  const Client& client = contract_client();
  const std::string id = stored_by_otlp(fresh_experiment());
  const Trace trace = client.get_trace({.trace_id = id}).value();
  REQUIRE(trace.spans.size() == 1);
  CHECK_THAT(trace.spans[0].text, contains("1767323045678000001"));  // more digits than a double has
  CHECK_THAT(trace.spans[0].text, contains("\"double_value\":") || contains("\"double_value\": "));
  CHECK(client.batch_get_traces({.trace_ids = {id, "none"}}).value() == std::vector<Trace>{trace});
}

TEST_CASE("traces are linked and compared", "[contract][traces]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  const Run run = fresh_run();
  const std::string experiment = run.info.experiment_id;
  const std::string id = stored_trace(experiment);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(client.link_traces_to_run({.trace_ids = {id}, .run_id = run.info.run_id}));
    REQUIRE(client.link_prompts_to_trace({.trace_id = id, .prompt_versions = {{.name = "p", .version = "1"}}}));
  }
  const auto correlation = client.calculate_trace_filter_correlation(
      {.experiment_ids = {experiment}, .filter_string1 = "tags.team = 'a'", .filter_string2 = "status = 'OK'"});
  CHECK(correlation.value().joint_count == 1);
}

TEST_CASE("traces are found by what they are, in order and page by page", "[contract][traces]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  const Run run = fresh_run();
  const std::string experiment = run.info.experiment_id;
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    StartTrace start = new_trace(experiment, fresh_trace_id());
    TraceInfo& info = start.trace.trace_info;
    info.request_time = "2026-01-02T03:04:0" + std::to_string(i) + "Z";
    info.execution_duration = std::to_string(3 - i) + "s";
    info.state = i == 1 ? TraceState::error : TraceState::ok;
    info.client_request_id = i == 2 ? "" : "req-" + std::to_string(i);
    info.tags["mlflow.traceName"] = "step " + std::to_string(i);
    info.trace_metadata["n"] = std::to_string(i);
    ids.push_back(client.start_trace(start).value().trace_info.trace_id);
  }
  const auto judge = [&](int i, AssessmentSourceType kind, const std::string& value) {
    CreateAssessment create;
    create.assessment.assessment_name = "score";
    create.assessment.trace_id = ids[static_cast<std::size_t>(i)];
    create.assessment.source = {.source_type = kind, .source_id = "s"};
    create.assessment.feedback = Feedback{.value = {value}};
    return client.create_assessment(create).value();
  };
  judge(0, AssessmentSourceType::human, "0.25");
  judge(1, AssessmentSourceType::llm_judge, "\"yes\"");
  REQUIRE(client.link_traces_to_run({.trace_ids = {ids[2]}, .run_id = run.info.run_id}));
  REQUIRE(client.link_prompts_to_trace({.trace_id = ids[0], .prompt_versions = {{.name = "p", .version = "7"}}}));

  SearchTraces search;
  search.locations = {experiment_location(experiment)};
  // Positions of what is found, as digits.
  const auto found = [&](const std::string& filter, std::vector<std::string> order_by = {}) {
    search.filter = filter;
    search.order_by = std::move(order_by);
    const auto page = client.search_traces(search).value();
    std::string positions;
    for (const TraceInfo& info : page.items) {
      positions += static_cast<char>('0' + (std::find(ids.begin(), ids.end(), info.trace_id) - ids.begin()));
    }
    return positions;
  };
  CHECK(found("") == "210");  // the newest first
  CHECK(found("", {"timestamp_ms ASC"}) == "012");
  CHECK(found("", {"execution_time"}) == "210");
  CHECK(found("", {"execution_time_ms DESC"}) == "012");
  CHECK(found("", {"tags.`mlflow.traceName`"}) == "012");
  CHECK(found("", {"name DESC"}) == "210");
  CHECK(found("", {"metadata.n DESC"}) == "210");
  CHECK(found("status = 'ERROR'") == "1");
  CHECK(found("trace.status != 'ERROR'") == "20");
  CHECK(found("status IN ('OK', 'IN_PROGRESS')") == "20");
  CHECK(found("timestamp_ms > 1767323040000") == "21");
  CHECK(found("execution_time_ms <= 2000 AND attributes.end_time >= 1767323043000") == "21");
  CHECK(found("name = 'step 0'") == "0");
  CHECK(found("name LIKE 'step%'") == "210");
  CHECK(found("tags.`mlflow.traceName` ILIKE 'STEP _'") == "210");
  CHECK(found("client_request_id = 'req-1'") == "1");
  CHECK(found("request_id = '" + ids[1] + "'") == "1");
  CHECK(found("metadata.n = '2'") == "2");
  CHECK(found("request_metadata.n != '2'") == "10");
  CHECK(found("metadata.m IS NULL") == "210");
  CHECK(found("tag.team IS NOT NULL AND tag.nobody IS NULL") == "210");
  CHECK(found("run_id = '" + run.info.run_id + "'") == "2");
  CHECK(found("prompt = 'p/7'") == "0");
  CHECK(found("prompt = 'p/8'").empty());
  CHECK(found("feedback.score = 'yes'") == "1");
  CHECK(found("feedback.score > 0.2") == "0");
  CHECK(found("feedback.score IS NOT NULL") == "10");
  CHECK(found("feedback.score IS NULL") == "2");
  CHECK(found("expectation.score = 'yes'").empty());
  CHECK(found("span.name = 'root'").empty());
  for (const char* bad :
       {"status", "status = OK", "status > 'OK'", "nothing = 'a'", "param.a = '1'", "prompt = 'p'", "prompt LIKE 'p/7'",
        "tags.a > '1'", "tags.a = 1", "feedback.score > 'a'", "feedback.score = 1", "issue.a = 'a'", "span.a = 'a'",
        "text = 'a'", "status IS NULL", "timestamp_ms IN ('1')", "status = 'OK' OR status = 'ERROR'"}) {
    INFO(bad);
    search.filter = bad;
    CHECK(client.search_traces(search).error().code == Errc::rejected);
  }
  search.filter = "";
  for (const char* bad : {"nothing", "text DESC", "timestamp_ms SIDEWAYS"}) {
    INFO(bad);
    search.order_by = {bad};
    CHECK(client.search_traces(search).error().code == Errc::rejected);
  }
  search.order_by = {};
  search.max_results = 2;
  std::string pages;
  for (const Result<TraceInfo>& info : client.search_traces_all(search)) {
    REQUIRE(info);
    pages += static_cast<char>('0' + (std::find(ids.begin(), ids.end(), info->trace_id) - ids.begin()));
  }
  CHECK(pages == "210");

  DeleteTraces oldest{.experiment_id = experiment, .max_timestamp_millis = 1767323049000, .max_traces = 1};
  CHECK(client.delete_traces(oldest).value() == 1);
  CHECK(found("") == "21");
  oldest.max_traces.reset();
  CHECK(client.delete_traces(oldest).value() == 2);
  oldest.request_ids = {ids[0]};
  CHECK(client.delete_traces(oldest).error().code == Errc::rejected);  // both ways at once
}

TEST_CASE("traces are counted", "[contract][traces]") {
  if (!is_real_3(contract_server())) return;  // the fake adds nothing up
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  stored_trace(experiment);
  QueryTraceMetrics query;
  query.experiment_ids = {experiment};
  query.view_type = MetricViewType::traces;
  query.metric_name = "trace_count";
  query.aggregations = {{.aggregation_type = AggregationType::count}};
  CHECK(client.query_trace_metrics(query).value().items.at(0).values.at("COUNT") == 1);
  query.metric_name = "no_such_metric";
  CHECK(client.query_trace_metrics(query).error().code == Errc::rejected);
}

TEST_CASE("a trace of version 2 lives: begin, end, read, search, delete", "[contract][traces]") {
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  StartTraceV2 start;
  start.experiment_id = experiment;
  start.request_metadata = {{.key = "m", .value = "1"}};
  start.tags = {{.key = "team", .value = "a"}};
  const TraceInfoV2 begun = client.start_trace_v2(start).value();
  const std::string& id = begun.request_id;
  CHECK(begun.status == TraceStatus::in_progress);
  CHECK(begun.timestamp_ms > 1'600'000'000'000);

  const EndTraceV2 end{.request_id = id, .timestamp_ms = begun.timestamp_ms + 250, .status = TraceStatus::error};
  for (int i = 0; i < 2; ++i) CHECK(client.end_trace_v2(end).value().execution_time_ms == 250);
  CHECK(client.get_trace_info_v2({.request_id = id}).value().status == TraceStatus::error);
  REQUIRE(client.set_trace_tag_v2({.request_id = id, .key = "k", .value = "v"}));
  SearchTracesV2 search;
  search.experiment_ids = {experiment};
  search.filter = "tags.k = 'v'";
  CHECK(client.search_traces_v2(search).value().items.at(0).request_id == id);
  REQUIRE(client.delete_trace_tag_v2({.request_id = id, .key = "k"}));
  CHECK(is_not_found(client.delete_trace_tag_v2({.request_id = id, .key = "k"}).error()));
  CHECK(client.delete_traces_v2({.experiment_id = experiment, .request_ids = {id}}).value() == 1);

  start.experiment_id = "99999999";
  CHECK(is_not_found(client.start_trace_v2(start).error()));
  CHECK(is_not_found(client.end_trace_v2({.request_id = "none"}).error()));
  CHECK(is_not_found(client.get_trace_info_v2({.request_id = "none"}).error()));
  CHECK(client.set_trace_tag_v2({.request_id = "none", .key = "k"}).error().code == Errc::rejected);
  search.filter = "bad";
  CHECK(client.search_traces_v2(search).error().code == Errc::rejected);
  CHECK(client.delete_traces_v2({.experiment_id = experiment}).error().code == Errc::rejected);
}

TEST_CASE("what only Databricks answers is not found", "[contract][traces]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  // A 404 with an empty body.
  CHECK(client.search_unified_traces({.model_id = "m", .sql_warehouse_id = "w"}).error().http_status == 404);
  GetOnlineTraceDetails details{.trace_id = "t", .sql_warehouse_id = "w"};
  details.source_inference_table = "s";
  details.source_databricks_request_id = "r";
  CHECK(client.get_online_trace_details(details).error().http_status == 404);
}

TEST_CASE("an assessment lives: create, read, change, delete", "[contract][assessments]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  const std::string trace = stored_trace(fresh_experiment());
  CreateAssessment create;
  create.assessment.assessment_name = "quality";
  create.assessment.trace_id = trace;
  create.assessment.source = {.source_type = AssessmentSourceType::human, .source_id = "bob"};
  create.assessment.feedback = Feedback{.value = {"0.5"}};
  create.assessment.rationale = "because";
  const Assessment made = client.create_assessment(create).value();
  CHECK_FALSE(made.assessment_id.empty());
  CHECK(made.feedback->value.text == "0.5");
  CHECK(parse_timestamp(made.create_time));
  CHECK(made.valid);
  CHECK_FALSE(made.metadata.at(std::string(api::request_tag_key)).empty());

  Assessment read = client.get_assessment({.trace_id = trace, .assessment_id = made.assessment_id}).value();
  CHECK(read == made);
  CHECK(client.get_trace_info({.trace_id = trace}).value().trace_info.assessments == std::vector<Assessment>{made});
  read.feedback->value.text = "true";
  read.rationale = "forgotten";
  for (int i = 0; i < 2; ++i) {
    const Assessment changed = client.update_assessment({.assessment = read, .update_mask = "feedback"}).value();
    CHECK(changed.feedback->value.text == "true");
    CHECK(changed.rationale == "because");
  }

  create.assessment.feedback.reset();
  create.assessment.expectation = Expectation{.value = {R"({"k": [1, 2]})"}};
  const Assessment expected = client.create_assessment(create).value();
  REQUIRE(expected.expectation.has_value());
  REQUIRE(expected.expectation->serialized_value.has_value());
  CHECK_THAT(expected.expectation->serialized_value->value, contains("\"k\""));

  for (int i = 0; i < 2; ++i) {
    REQUIRE(client.delete_assessment({.trace_id = trace, .assessment_id = made.assessment_id}));
  }
  CHECK(is_not_found(client.get_assessment({.trace_id = trace, .assessment_id = made.assessment_id}).error()));
  CHECK(is_not_found(client.update_assessment({.assessment = read, .update_mask = "feedback"}).error()));
  create.assessment.trace_id = "tr-none";
  CHECK(is_not_found(client.create_assessment(create).error()));
  CHECK(client.delete_assessment({.trace_id = trace}).error().code == Errc::invalid_argument);
  create.assessment.feedback = Feedback{.value = {"1"}};  // together with an expectation
  CHECK(client.create_assessment(create).error().code == Errc::invalid_argument);
}

TEST_CASE("an assessment that replaces another one makes it invalid", "[contract][assessments]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  const std::string trace = stored_trace(fresh_experiment());
  CreateAssessment create;
  create.assessment.assessment_name = "quality";
  create.assessment.trace_id = trace;
  create.assessment.source = {.source_type = AssessmentSourceType::code, .source_id = "v1"};
  create.assessment.feedback = Feedback{.value = {}, .error = AssessmentError{.error_code = "E", .error_message = "m"}};
  const Assessment first = client.create_assessment(create).value();
  CHECK(first.feedback->error->error_code == "E");
  create.assessment.feedback = Feedback{.value = {"5"}};
  create.assessment.overrides = first.assessment_id;
  create.assessment.span_id = "s1";
  const Assessment second = client.create_assessment(create).value();
  CHECK(second.overrides == first.assessment_id);
  CHECK(second.span_id == "s1");
  CHECK(second.feedback->value.text == "5.0");  // numbers are doubles
  const auto is_valid = [&] {
    return client.get_assessment({.trace_id = trace, .assessment_id = first.assessment_id}).value().valid;
  };
  CHECK_FALSE(is_valid());

  Assessment change = second;
  change.feedback.reset();
  change.expectation = Expectation{.value = {"1"}};
  change.metadata = {{"b", "c"}};
  CHECK(client.update_assessment({.assessment = change, .update_mask = "expectation"}).error().code == Errc::rejected);
  const Assessment changed = client.update_assessment({.assessment = change, .update_mask = "metadata"}).value();
  CHECK(changed.metadata.at("b") == "c");
  CHECK(changed.metadata.size() == second.metadata.size() + 1);
  CHECK(changed.feedback == second.feedback);
  CHECK(changed.create_time == second.create_time);

  REQUIRE(client.delete_assessment({.trace_id = trace, .assessment_id = second.assessment_id}));
  CHECK(is_valid());
  create.assessment.overrides = "a-none";
  CHECK(is_not_found(client.create_assessment(create).error()));
  REQUIRE(client.delete_assessment({.trace_id = "tr-none", .assessment_id = first.assessment_id}));
  CHECK(is_not_found(client.get_assessment({.trace_id = "tr-none", .assessment_id = first.assessment_id}).error()));
}
