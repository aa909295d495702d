// Pagers: walking all pages of a search over canned servers, kind and unkind.

#include <mlflowha/api/calls.hpp>
#include <mlflowha/api/evaluation_datasets.hpp>

#include "support/catch.hpp"
#include "unit/api/support.hpp"
#include "unit/api/zoo/calls.hpp"

#include <nlohmann/json.hpp>

#include <functional>
#include <iterator>
#include <string>
#include <vector>

using namespace mlflowha;
using mlflowha_tests::contains;
using nlohmann::json;

using RunPager = Pager<api::Calls, SearchRuns, Run>;
using RunIterator = RunPager::iterator;
static_assert(std::input_iterator<RunIterator>);
static_assert(std::sentinel_for<std::default_sentinel_t, RunIterator>);
// Movable, so that it can be returned; no copy, which would fetch the pages twice.
static_assert(std::is_nothrow_move_constructible_v<RunPager> || std::is_move_constructible_v<RunPager>);
static_assert(!std::is_copy_constructible_v<RunPager>);

namespace {

/// Answers each request with what `serve` makes of its JSON.
class Server : public mlflowha_tests::CannedCalls {
 public:
  using Serve = std::function<json(const json& request)>;
  explicit Server(Serve serve) : serve_(std::move(serve)) {}

  mutable std::vector<json> asked;

 protected:
  Result<Response> execute(const api::Operation&, api::PreparedRequest&& request, const CallOptions&) const override {
    asked.push_back(json::parse(request.http.body));
    const json given = serve_(asked.back());
    if (given.contains("error")) {
      Error error;
      error.code = Errc::unavailable;
      return error;
    }
    Response response;
    response.status = 200;
    response.body = given.dump();
    return response;
  }

 private:
  Serve serve_;
};

json run(const std::string& id) { return {{"info", {{"run_id", id}}}}; }

/// A list that MLflow would page through by offset; `before_page` may change it.
Server::Serve offsets(std::vector<std::string>& rows, std::function<void(int page)> before_page = {}) {
  return [&rows, before_page, page = 0](const json& request) mutable {
    if (before_page) before_page(page);
    ++page;
    const std::size_t start = std::stoul(request.value("page_token", "0"));
    const std::size_t end = std::min(rows.size(), start + request.value("max_results", std::size_t{1000}));
    json answer{{"runs", json::array()}};
    for (std::size_t i = start; i < end; ++i) answer["runs"].push_back(run(rows[i]));
    if (end < rows.size()) answer["next_page_token"] = std::to_string(end);
    return answer;
  };
}

std::vector<std::string> rows_to(int count) {
  std::vector<std::string> rows;
  for (int i = 0; i < count; ++i) rows.push_back("r" + std::to_string(i));
  return rows;
}

std::vector<std::string> ids(RunPager pager) {
  std::vector<std::string> found;
  for (Result<Run>& one : pager) found.push_back(one ? one->info.run_id : "error: " + one.error().message);
  return found;
}

}  // namespace

TEST_CASE("a pager is a range over all pages", "[pager]") {
  auto rows = rows_to(7);
  Server server(offsets(rows));
  CHECK(ids(server.search_runs_all({.experiment_ids = {"0"}, .max_results = 3})) == rows);
  REQUIRE(server.asked.size() == 3);
  CHECK_FALSE(server.asked[0].contains("page_token"));
  CHECK(server.asked[1]["page_token"] == "3");
  CHECK(server.asked[2]["experiment_ids"] == json{"0"});
  CHECK(server.search_runs_all({.max_results = 3}).all().value().size() == 7);
  // A walk can start in the middle.
  CHECK(ids(server.search_runs_all({.page_token = "5"})) == std::vector<std::string>{"r5", "r6"});

  rows.clear();
  CHECK(ids(server.search_runs_all({})).empty());
  CHECK(server.search_runs_all({}).all().value().empty());
}

TEST_CASE("nothing is asked before the walk, and no page before it is needed", "[pager]") {
  const auto rows = rows_to(6);
  auto list = rows;
  Server server(offsets(list));
  auto pager = server.search_runs_all({.max_results = 3});
  CHECK(server.asked.empty());
  int seen = 0;
  for (Result<Run>& one : pager) {
    REQUIRE(one);
    if (++seen == 3) break;
  }
  CHECK(server.asked.size() == 1);
}

TEST_CASE("page by page", "[pager]") {
  auto rows = rows_to(5);
  Server server(offsets(rows));
  auto pager = server.search_runs_all({.max_results = 2});
  std::vector<std::size_t> sizes;
  while (pager.next()) sizes.push_back(pager.items().size());
  CHECK(sizes == std::vector<std::size_t>{2, 2, 1});
  CHECK_FALSE(pager.error());
  CHECK_FALSE(pager.next());
}

TEST_CASE("a failed page is the last entry", "[pager]") {
  auto rows = rows_to(5);
  const auto good = offsets(rows);
  const auto failing = [good](const json& request) mutable {
    return request.value("page_token", "") == "4" ? json{{"error", true}} : good(request);
  };
  Server server(failing);
  const auto found = ids(server.search_runs_all({.max_results = 2}));
  REQUIRE(found.size() == 5);
  CHECK(found[3] == "r3");
  CHECK(found[4].rfind("error: ", 0) == 0);
  CHECK(server.asked.size() == 3);
  const auto all = server.search_runs_all({.max_results = 2}).all();
  REQUIRE_FALSE(all);
  CHECK(all.error().code == Errc::unavailable);
  // The request's own faults come the same way.
  const auto refused = ids(server.search_runs_all({.max_results = 0}));
  REQUIRE(refused.size() == 1);
  CHECK_THAT(refused[0], contains("max_results is \"0\""));
}

TEST_CASE("an entity that was pushed to a later page is given once", "[pager]") {
  auto rows = rows_to(6);
  const auto grows = [&rows](int page) {
    if (page == 1) rows.insert(rows.begin(), {"new1", "new2"});
  };
  Server server(offsets(rows, grows));
  CHECK(ids(server.search_runs_all({.max_results = 3})) == rows_to(6));

  rows = rows_to(6);  // the window moves by more than a page: a page without anything new is no end
  const auto floods = [&rows](int page) {
    if (page == 1) rows.insert(rows.begin(), 4, "new");
  };
  Server flooded(offsets(rows, floods));
  CHECK(ids(flooded.search_runs_all({.max_results = 3})) ==
        std::vector<std::string>{"r0", "r1", "r2", "new", "r3", "r4", "r5"});
}

TEST_CASE("an entity without an id is never taken for another", "[pager]") {
  Server server([](const json& request) {
    json answer{{"runs", {json::object(), json::object()}}};
    if (!request.contains("page_token")) answer["next_page_token"] = "1";
    return answer;
  });
  CHECK(server.search_runs_all({}).all().value().size() == 4);
  STATIC_REQUIRE(Identity<Run>::known);
  STATIC_REQUIRE(Identity<Experiment>::known);
  STATIC_REQUIRE_FALSE(Identity<Metric>::known);
  // Of two parts, which mustn't run together; half an id is none.
  zoo::Animal one{.animal_id = "a1", .large = 2};
  zoo::Animal other{.animal_id = "a", .large = 12};
  CHECK(Identity<zoo::Animal>::of(one) != Identity<zoo::Animal>::of(other));
  CHECK(Identity<zoo::Animal>::of(zoo::Animal{.large = 3}).empty());
}

TEST_CASE("a bound on how many", "[pager]") {
  auto rows = rows_to(9);
  Server server(offsets(rows));
  CHECK(ids(server.search_runs_all({}).limit(4)) == rows_to(4));
  REQUIRE(server.asked.size() == 1);
  CHECK(server.asked[0]["max_results"] == 4);  // no more is fetched than wanted
  CHECK(ids(server.search_runs_all({.max_results = 2}).limit(5)) == rows_to(5));
  CHECK(server.asked.size() == 4);
  CHECK(ids(server.search_runs_all({.max_results = 2}).limit(100)) == rows);
  CHECK(server.search_runs_all({}).limit(3).all().value().size() == 3);
  server.asked.clear();
  CHECK(ids(server.search_runs_all({}).limit(0)).empty());
  CHECK(server.asked.empty());
  // An entity met twice doesn't count.
  const auto grows = [&rows](int page) {
    if (page == 1) rows.insert(rows.begin(), {"new1", "new2"});
  };
  Server growing(offsets(rows, grows));
  CHECK(ids(growing.search_runs_all({.max_results = 3}).limit(5)) == rows_to(5));
}

TEST_CASE("pages that never end are an error", "[pager]") {
  // Servers with the metrics/get-history bug: nothing, and a token that never moves on.
  Server stuck([](const json&) { return json{{"runs", json::array()}, {"next_page_token", "same"}}; });
  auto found = ids(stuck.search_runs_all({}));
  REQUIRE(found.size() == 1);
  CHECK_THAT(found[0], contains("the same page token again"));
  CHECK(stuck.asked.size() == 2);
  CHECK(stuck.search_runs_all({}).all().error().code == Errc::bad_response);

  // The same with entries: those of the page are given first.
  Server repeats([](const json&) { return json{{"runs", {run("r0")}}, {"next_page_token", "same"}}; });
  found = ids(repeats.search_runs_all({}));
  REQUIRE(found.size() == 2);
  CHECK(found[0] == "r0");

  // In a circle.
  Server circle([](const json& request) {
    return json{{"runs", json::array()}, {"next_page_token", request.value("page_token", "") == "a" ? "b" : "a"}};
  });
  CHECK(ids(circle.search_runs_all({})).size() == 1);
  CHECK(circle.asked.size() == 3);

  // A fresh token each time, but never anything new.
  Server hollow(
      [n = 0](const json&) mutable { return json{{"runs", {run("r0")}}, {"next_page_token", std::to_string(++n)}}; });
  found = ids(hollow.search_runs_all({}));
  REQUIRE(found.size() == 2);
  CHECK_THAT(found[1], contains("101 pages in a row without anything new"));
  CHECK(hollow.asked.size() == 102);
}

TEST_CASE("pages whose list is JSON in a text are walked like others", "[pager]") {
  class Records : public mlflowha_tests::CannedCalls {
   public:
    mutable std::vector<std::string> asked;

   protected:
    Result<Response> execute(const api::Operation&, api::PreparedRequest&& request, const CallOptions&) const override {
      asked.push_back(request.http.target);
      const auto record = [](int i) {
        return json{{"dataset_record_id", "dr-" + std::to_string(i)}, {"inputs", {{"q", i}}}, {"new", true}};
      };
      const bool first = asked.back().find("page_token") == std::string::npos;
      // The second page has the first one's last record once more.
      const json list = first ? json{record(0), record(1)} : json{record(1), record(2)};
      json page{{"records", list.dump()}};
      if (first) page["next_page_token"] = "t=";
      Response response;
      response.status = 200;
      response.body = page.dump();
      return response;
    }
  };
  Records server;
  std::vector<std::string> found;
  for (const Result<DatasetRecord>& one : server.get_dataset_records_all({.dataset_id = "d-1", .max_results = 2})) {
    REQUIRE(one);
    REQUIRE(one->unknown_fields.size() == 1);
    found.push_back(one->dataset_record_id + ' ' + one->inputs.text);
  }
  CHECK(found == std::vector<std::string>{R"(dr-0 {"q":0})", R"(dr-1 {"q":1})", R"(dr-2 {"q":2})"});
  CHECK(server.asked == std::vector<std::string>{"/api/3.0/mlflow/datasets/d-1/records?max_results=2",
                                                 "/api/3.0/mlflow/datasets/d-1/records?max_results=2&page_token=t%3D"});

  for (const char* empty : {"{}", R"({"records": null})", R"({"records": ""})", R"({"records": "[]"})"}) {
    INFO(empty);
    mlflowha_tests::CannedCalls none(empty);
    CHECK(none.get_dataset_records_all({.dataset_id = "d-1"}).all().value().empty());
  }
  for (const char* broken :
       {R"({"records": [1]})", R"({"records": "["})", R"({"records": "{}"})", R"({"records": "[1]"})",
        R"({"records": "[{\"dataset_record_id\": []}]"})", R"({"records": "[] []"})"}) {
    INFO(broken);
    mlflowha_tests::CannedCalls server_gone_mad(broken);
    const auto result = server_gone_mad.get_dataset_records({.dataset_id = "d-1"});
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Errc::bad_response);
    CHECK_THAT(result.error().message, contains("get_dataset_records") && contains("records"));
  }
}

TEST_CASE("an empty page is no end", "[pager]") {
  Server server([](const json& request) {
    const std::string token = request.value("page_token", "");
    if (token.empty()) return json{{"runs", json::array()}, {"next_page_token", "1"}};
    if (token == "1") return json{{"next_page_token", "2"}};
    return json{{"runs", {run("r0")}}};
  });
  CHECK(ids(server.search_runs_all({})) == rows_to(1));
}
