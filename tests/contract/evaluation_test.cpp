#include <mlflowha/api/all.hpp>
#include <mlflowha/api/trace_location.hpp>

#include "contract/server.hpp"
#include "support/catch.hpp"

#include <map>
#include <set>
#include <string>

using namespace mlflowha;
using namespace mlflowha_tests;

TEST_CASE("an evaluation dataset lives: create, fill, tag, share, delete", "[contract][evaluation]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  const std::string other = fresh_experiment();
  CreateDataset create;
  create.name = fresh_name("questions");
  create.experiment_ids = {experiment};
  create.source_type = DatasetRecordSourceType::human;
  create.tags = R"({"team": "a\"b"})";
  const EvaluationDataset dataset = client.create_dataset(create).value();
  const std::string& id = dataset.dataset_id;
  CHECK(dataset.name == create.name);
  CHECK(dataset.experiment_ids == create.experiment_ids);
  CHECK_THAT(dataset.tags, contains(std::string(api::request_tag_key)) && contains(R"("team": "a\"b")"));
  CHECK(client.get_dataset({.dataset_id = id}).value().name == create.name);
  CHECK(client.get_dataset_experiment_ids({.dataset_id = id}).value() == create.experiment_ids);

  const UpsertDatasetRecords records{.dataset_id = id,
                                     .records = R"([{"inputs": {"q": "1"}}, {"inputs": {"q": "2"}}])"};
  CHECK(client.upsert_dataset_records(records).value().inserted_count == 2);
  const DatasetRecordCounts again = client.upsert_dataset_records(records).value();
  CHECK(again.inserted_count == 0);
  CHECK(again.updated_count == 2);
  const Page<DatasetRecord> page = client.get_dataset_records({.dataset_id = id, .max_results = 1}).value();
  REQUIRE(page.items.size() == 1);
  CHECK(page.items[0].dataset_id == id);
  CHECK_FALSE(page.items[0].dataset_record_id.empty());
  CHECK_FALSE(page.next_page_token.empty());

  for (int i = 0; i < 2; ++i) {
    REQUIRE(client.set_dataset_tags({.dataset_id = id, .tags = R"({"k": "v"})"}));
    REQUIRE(client.add_dataset_to_experiments({.dataset_id = id, .experiment_ids = {other}}));
  }
  SearchEvaluationDatasets search;
  search.experiment_ids = {other};
  search.filter_string = "tags.k = 'v'";
  CHECK(client.search_evaluation_datasets(search).value().items.at(0).dataset_id == id);
  // The server would take it for the tag's address.
  CHECK(client.delete_dataset({.dataset_id = id + "/tags/k"}).error().code == Errc::invalid_argument);
  CHECK(client.search_evaluation_datasets(search).value().items.size() == 1);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(client.delete_dataset_tag({.dataset_id = id, .key = "k"}));
    REQUIRE(client.remove_dataset_from_experiments({.dataset_id = id, .experiment_ids = {other}}));
  }
  CHECK(client.search_evaluation_datasets(search).value().items.empty());
  CHECK(client.delete_dataset_records({.dataset_id = id, .dataset_record_ids = {"dr-none"}}).value() == 0);
  for (int i = 0; i < 2; ++i) REQUIRE(client.delete_dataset({.dataset_id = id}));
  CHECK(is_not_found(client.get_dataset({.dataset_id = id}).error()));
}

TEST_CASE("evaluation datasets that don't exist and bad questions are typed errors", "[contract][evaluation]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  CHECK(client.create_dataset({.name = "n", .tags = "[1]"}).error().code == Errc::invalid_argument);
  CHECK(client.create_dataset({.name = "n", .tags = "{"}).error().code == Errc::invalid_argument);
  CHECK(client.upsert_dataset_records({.dataset_id = "d-none", .records = "{}"}).error().code ==
        Errc::invalid_argument);
  CHECK(client.upsert_dataset_records({.dataset_id = "d-none", .records = R"([{"inputs": {"q": 1}}])"}).error().code ==
        Errc::rejected);
  CHECK(is_not_found(client.set_dataset_tags({.dataset_id = "d-none", .tags = R"({"k": "v"})"}).error()));
  CHECK(is_not_found(
      client.add_dataset_to_experiments({.dataset_id = "d-none", .experiment_ids = {experiment}}).error()));
  CHECK(is_not_found(
      client.remove_dataset_from_experiments({.dataset_id = "d-none", .experiment_ids = {experiment}}).error()));
  SearchEvaluationDatasets search;
  search.filter_string = "bad";
  CHECK(client.search_evaluation_datasets(search).error().code == Errc::rejected);
  // Servers say the same of what isn't there as of what is empty.
  CHECK(client.get_dataset_records({.dataset_id = "d-none"}).value().items.empty());
  CHECK(client.get_dataset_records_all({.dataset_id = "d-none"}).all().value().empty());
  CHECK(client.get_dataset_experiment_ids({.dataset_id = "d-none"}).value().empty());
}

TEST_CASE("records of an evaluation dataset over many pages", "[contract][evaluation]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  CreateDataset create;
  create.name = fresh_name("many");
  create.experiment_ids = {fresh_experiment()};
  const std::string id = client.create_dataset(create).value().dataset_id;
  std::string records;
  std::set<std::string> inputs;
  for (int i = 0; i < 23; ++i) {
    const std::string input = R"({"q": "question )" + std::to_string(i) + R"("})";
    inputs.insert(input);
    records += (i == 0 ? "[" : ", ") + (R"({"inputs": )" + input) +
               R"(, "expectations": {"a": [1, "\"é"]}, "tags": {"t": "u"}, )" +
               R"("source": {"source_type": "HUMAN", "source_data": {"user": "bob"}}})";
  }
  REQUIRE(client.upsert_dataset_records({.dataset_id = id, .records = records + "]"}).value().inserted_count == 23);

  std::set<std::string> ids;
  std::set<std::string> found;
  for (const Result<DatasetRecord>& record : client.get_dataset_records_all({.dataset_id = id, .max_results = 5})) {
    REQUIRE(record);
    CHECK(record->dataset_id == id);
    CHECK_THAT(record->expectations.text, contains(R"("a": [1, "\")"));
    CHECK(record->tags.text == R"({"t": "u"})");
    CHECK_THAT(record->source.text, contains(R"("user": "bob")"));
    CHECK(record->source_type == "HUMAN");
    CHECK(record->created_time > 0);
    CHECK(ids.insert(record->dataset_record_id).second);
    found.insert(record->inputs.text);
  }
  CHECK(found == inputs);
  CHECK(client.get_dataset_records_all({.dataset_id = id, .max_results = 5}).limit(7).all().value().size() == 7);
  CHECK(client.get_dataset_records_all({.dataset_id = id}).all().value().size() == 23);
}

TEST_CASE("records with the same inputs are merged, and a dataset says what is in it", "[contract][evaluation]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  CreateDataset create;
  create.name = fresh_name("merged");
  create.tags = R"({"mlflow.user": "bob"})";
  const EvaluationDataset made = client.create_dataset(create).value();
  CHECK(made.created_by == "bob");
  CHECK(made.last_updated_by == "bob");
  CHECK(made.schema.empty());
  const auto upsert = [&](const std::string& records) {
    return client.upsert_dataset_records({.dataset_id = made.dataset_id, .records = records}).value();
  };
  CHECK(upsert(R"([{"inputs": {"q": 1, "p": [1]}, "outputs": "so", "expectations": {"a": null}, "tags":
    {"mlflow.user": "eve"}, "source": {"source_type": "trace", "source_data": {"trace_id": "tr-1"}}},
    {"inputs": {"q": 2}, "outputs": null}, {}])")
            .inserted_count == 3);
  const DatasetRecordCounts counts = upsert(R"([{"inputs": {"p": [1], "q": 1}, "expectations": {"b": true}}])");
  CHECK(counts.inserted_count == 0);
  CHECK(counts.updated_count == 1);
  std::map<std::string, DatasetRecord> records;
  for (const Result<DatasetRecord>& record : client.get_dataset_records_all({.dataset_id = made.dataset_id})) {
    REQUIRE(record);
    records[record->inputs.text] = *record;
  }
  REQUIRE(records.size() == 3);
  const DatasetRecord& merged = records.at(R"({"q": 1, "p": [1]})");
  CHECK(merged.outputs.text == "\"so\"");
  CHECK(merged.expectations.text == R"({"a": null, "b": true})");
  CHECK(merged.created_by == "eve");
  CHECK(merged.source_type == "TRACE");
  CHECK(merged.source_id == "tr-1");
  CHECK(records.at(R"({"q": 2})").outputs.text.empty());
  CHECK(records.at("{}").outputs.text == "{}");
  const EvaluationDataset read = client.get_dataset({.dataset_id = made.dataset_id}).value();
  CHECK(read.schema == R"({"inputs": {"q": "integer", "p": "array"}, "outputs": "string", "expectations": )"
                       R"({"a": "null", "b": "boolean"}, "version": "1.0"})");
  CHECK(read.profile == R"({"num_records": 3})");
  CHECK(read.last_updated_by.empty());  // the last call had no user
  const std::vector<std::string> gone = {merged.dataset_record_id, "dr-none"};
  CHECK(client.delete_dataset_records({.dataset_id = made.dataset_id, .dataset_record_ids = gone}).value() == 1);
  CHECK(client.get_dataset({.dataset_id = made.dataset_id}).value().profile == R"({"num_records": 2})");

  const auto refused = [&](const std::string& text) {
    return client.upsert_dataset_records({.dataset_id = made.dataset_id, .records = text}).error().code;
  };
  CHECK(refused(R"([{"inputs": {"q": 3}, "source": {"source_type": "nonsense"}}])") == Errc::rejected);
  CHECK(refused(R"([{"inputs": {"q": 3}}, {"inputs": null}])") == Errc::server_error);
  CHECK(client.get_dataset_records_all({.dataset_id = made.dataset_id}).all().value().size() == 2);  // all or none

  SearchEvaluationDatasets search;
  const auto found = [&](const std::string& filter) {
    search.filter_string = "name = '" + create.name + "' AND " + filter;
    return client.search_evaluation_datasets(search).value().items.size();
  };
  REQUIRE(client.set_dataset_tags({.dataset_id = made.dataset_id, .tags = R"({"a": "5", "b": null})"}));
  CHECK(found("tags.a = '5'") == 1);
  CHECK(found("tags.a != '5'") == 0);
  CHECK(found("tags.`a` = '5'") == 0);
  CHECK(found("created_by = 'bob'") == 1);
  CHECK(found("created_time > 5") == 1);
  CHECK(found("name LIKE 'merged%'") == 1);
  CHECK(found("name IN ('" + create.name + "')") == 1);
  for (const char* bad :
       {"tag.a = '5'", "attribute.name = 'a'", "digest = 'a'", "name NOT IN ('a')", "created_by IN ('a')",
        "tags.a > '1'", "created_time = 'a'", "created_time > 1.5", "name IS NULL"}) {
    INFO(bad);
    search.filter_string = bad;
    CHECK(client.search_evaluation_datasets(search).error().code == Errc::rejected);
  }
  search.filter_string = "";
  for (const char* bad : {"created_by", "tags.a", "name SIDEWAYS"}) {
    INFO(bad);
    search.order_by = {bad};
    CHECK(client.search_evaluation_datasets(search).error().code == Errc::rejected);
  }
  CHECK(is_not_found(
      client.add_dataset_to_experiments({.dataset_id = made.dataset_id, .experiment_ids = {"99999999"}}).error()));
}

TEST_CASE("an issue lives: create, change, read, search", "[contract][issues]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  const Run run = fresh_run();
  CreateIssue create;
  create.experiment_id = run.info.experiment_id;
  create.name = "slow";
  create.description = "answers take long";
  create.severity = "high";
  create.root_causes = {"cold cache"};
  create.source_run_id = run.info.run_id;
  const Issue issue = client.create_issue(create).value();
  CHECK(issue.status == "pending");
  CHECK(issue.root_causes == create.root_causes);
  const UpdateIssue update{.issue_id = issue.issue_id, .status = "resolved"};
  for (int i = 0; i < 2; ++i) CHECK(client.update_issue(update).value().status == "resolved");
  CHECK(client.get_issue({.issue_id = issue.issue_id}).value().status == "resolved");
  SearchIssues search;
  search.experiment_id = create.experiment_id;
  search.filter_string = "status = 'resolved'";
  search.include_trace_count = true;
  const auto found = client.search_issues(search).value();
  REQUIRE(found.items.size() == 1);
  CHECK(found.items[0].trace_count == 0);

  create.experiment_id = "99999999";
  CHECK(is_not_found(client.create_issue(create).error()));
  CHECK(is_not_found(client.update_issue({.issue_id = "none", .status = "resolved"}).error()));
  CHECK(is_not_found(client.get_issue({.issue_id = "none"}).error()));

  // A trace shows it; the gravest comes first.
  create.severity = "low";
  create.experiment_id = run.info.experiment_id;
  const std::string mild = client.create_issue(create).value().issue_id;
  create.severity = "";
  const std::string plain = client.create_issue(create).value().issue_id;
  StartTrace start;
  start.trace.trace_info.trace_id = "tr-" + fresh_name("i").substr(0, 40);
  start.trace.trace_info.trace_location = experiment_location(run.info.experiment_id);
  start.trace.trace_info.request_time = "2026-01-02T03:04:05Z";
  CreateAssessment shown;
  shown.assessment.trace_id = client.start_trace(start).value().trace_info.trace_id;
  shown.assessment.assessment_name = plain;
  shown.assessment.source = {.source_type = AssessmentSourceType::human, .source_id = "bob"};
  shown.assessment.issue = IssueReference{.issue_name = "slow"};
  CHECK(client.create_assessment(shown).value().issue->issue_name == "slow");
  search.filter_string = "status != 'rejected' AND source_run_id = '" + run.info.run_id + "'";
  search.max_results = 2;
  std::vector<std::string> order;
  std::vector<std::int32_t> counts;
  for (const Result<Issue>& one : client.search_issues_all(search)) {
    REQUIRE(one);
    order.push_back(one->issue_id);
    counts.push_back(one->trace_count.value());
  }
  CHECK(order == std::vector<std::string>{issue.issue_id, mild, plain});
  CHECK(counts == std::vector<std::int32_t>{0, 0, 1});
  SearchTraces traces;
  traces.locations = {experiment_location(run.info.experiment_id)};
  traces.filter = "issue.id = '" + plain + "'";
  CHECK(client.search_traces(traces).value().items.size() == 1);
  CHECK(client.create_issue({.experiment_id = create.experiment_id, .name = "n", .description = "d", .status = "open"})
            .error()
            .code == Errc::server_error);
  for (const char* bad : {"status LIKE 'p%'", "status IN ('pending')", "severity = 'low'", "status"}) {
    INFO(bad);
    search.filter_string = bad;
    CHECK(client.search_issues(search).error().code == Errc::rejected);
  }
  search.filter_string = "name = 'slow'";
  CHECK(client.search_issues(search).error().code == Errc::rejected);
}

TEST_CASE("a scorer lives: register, read, list, set up, delete", "[contract][scorers]") {
  if (contract_server().major < 3) return;
  const Client& client = contract_client();
  const std::string experiment = fresh_experiment();
  const RegisterScorer scorer{.experiment_id = experiment, .name = "good", .serialized_scorer = R"({"a":1})"};
  const RegisteredScorer first = client.register_scorer(scorer).value();
  CHECK(first.version == 1);
  CHECK(first.experiment_id == experiment);
  CHECK(client.register_scorer(scorer).value().version == 2);  // whoever asks twice gets two
  CHECK(client.get_scorer({.experiment_id = experiment, .name = "good"}).value().scorer_version == 2);
  CHECK(client.get_scorer({.experiment_id = experiment, .name = "good", .version = 1}).value().serialized_scorer ==
        R"({"a":1})");
  CHECK(client.list_scorers({.experiment_id = experiment}).value().size() == 1);
  CHECK(client.list_scorer_versions({.experiment_id = experiment, .name = "good"}).value().size() == 2);

  for (int i = 0; i < 2; ++i) {
    const auto config = client.upsert_online_scoring_config({.experiment_id = experiment, .name = "good"}).value();
    CHECK(config.scorer_id == first.scorer_id);
  }
  const auto configs = client.get_online_scoring_configs({.scorer_ids = {first.scorer_id}}).value();
  REQUIRE(configs.size() == 1);
  CHECK(configs[0].sample_rate == 0);
  CHECK(configs[0].experiment_id == experiment);
  CHECK(client.upsert_online_scoring_config({.experiment_id = experiment, .name = "good", .sample_rate = 0.5})
            .error()
            .code == Errc::rejected);  // its model is none of the gateway's

  CHECK(client.register_scorer({.experiment_id = experiment, .name = "good", .serialized_scorer = "no JSON"})
            .error()
            .code == Errc::rejected);
  CHECK(is_not_found(client.get_scorer({.experiment_id = experiment, .name = "good", .version = 3}).error()));
  CHECK(client.list_scorers({.experiment_id = experiment, .experiment_ids = {experiment}}).error().code ==
        Errc::rejected);
  CHECK(client.upsert_online_scoring_config({.experiment_id = experiment, .name = "good", .filter_string = "bad"})
            .error()
            .code == Errc::rejected);

  REQUIRE(client.delete_scorer({.experiment_id = experiment, .name = "good", .version = 1}));
  REQUIRE(client.delete_scorer({.experiment_id = experiment, .name = "good"}));
  CHECK(is_not_found(client.delete_scorer({.experiment_id = experiment, .name = "good"}).error()));
  CHECK(is_not_found(client.get_scorer({.experiment_id = experiment, .name = "good"}).error()));
  CHECK(is_not_found(client.list_scorer_versions({.experiment_id = experiment, .name = "good"}).error()));
  CHECK(is_not_found(client.list_scorers({.experiment_id = "99999999"}).error()));
  CHECK(is_not_found(
      client.register_scorer({.experiment_id = "99999999", .name = "g", .serialized_scorer = "{}"}).error()));
  CHECK(client.get_online_scoring_configs({}).error().code == Errc::invalid_argument);
}
