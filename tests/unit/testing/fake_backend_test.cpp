#include <mlflowha/core/uri.hpp>
#include <mlflowha/testing/fake_backend.hpp>

#include <nlohmann/json.hpp>

#include <limits>
#include <string>

#include "support/catch.hpp"

// What is expected here was seen on MLflow 3.17.2 and 2.22.5; the contract suite asks the real servers again.

using namespace mlflowha::testing;
using mlflowha::Method;
using mlflowha::Request;
using mlflowha::Response;
using mlflowha::WallTime;
using mlflowha_tests::contains;
using nlohmann::json;

namespace {

class Server {
 public:
  explicit Server(ServerVersion version = ServerVersion::v3) : backend(options(version)) {}

  Response send(Method method, const std::string& target, const std::string& body = "") {
    Request request;
    request.method = method;
    request.target = target;
    request.body = body;
    return backend.handle(request, now);
  }
  Response post(const std::string& path, const json& body) { return raw(path, body.dump()); }
  Response raw(const std::string& path, const std::string& body) {
    return send(Method::post, "/api/2.0/mlflow/" + path, body);
  }
  Response get(const std::string& path) { return send(Method::get, "/api/2.0/mlflow/" + path); }

  /// The body of an answer that has to be 200.
  json ok(const Response& response) {
    INFO(response.body);
    REQUIRE(response.status == 200);
    return json::parse(response.body);
  }
  std::string new_run(const json& more = json::object()) {
    json body{{"experiment_id", "0"}};
    body.update(more);
    return ok(post("runs/create", body))["run"]["info"]["run_id"];
  }
  std::string names(const json& query) {
    std::string text;
    for (const json& run : ok(post("runs/search", query)).value("runs", json::array())) {
      text += run["info"]["run_name"].get<std::string>() + " ";
    }
    return text;
  }

  FakeBackend backend;
  WallTime now{std::chrono::milliseconds(1'700'000'000'000)};

 private:
  static BackendOptions options(ServerVersion version) {
    BackendOptions options;
    options.version = version;
    options.created = WallTime(std::chrono::milliseconds(1'600'000'000'000));
    return options;
  }
};

std::string code(const Response& response) { return json::parse(response.body).value("error_code", ""); }
std::string message(const Response& response) { return json::parse(response.body).value("message", ""); }

}  // namespace

TEST_CASE("FakeBackend: health, version and server-info", "[testing][backend]") {
  Server server;
  CHECK(server.send(Method::get, "/health").body == "OK");
  CHECK(server.send(Method::get, "/version").body == "3.17.2");
  CHECK(server.ok(server.send(Method::get, "/api/3.0/mlflow/server-info"))["store_type"] == "SqlStore");
  CHECK(server.send(Method::post, "/health").status == 405);
  Server old(ServerVersion::v2);
  CHECK(old.send(Method::get, "/version").body == "2.22.5");
  CHECK(old.send(Method::get, "/api/3.0/mlflow/server-info").status == 404);
}

TEST_CASE("FakeBackend: answers look as MLflow writes them", "[testing][backend]") {
  Server server;
  const Response response = server.get("experiments/get?experiment_id=0");
  CHECK(response.header("content-type") == "application/json");
  CHECK(response.body ==
        "{\n  \"experiment\": {\n    \"experiment_id\": \"0\",\n    \"name\": \"Default\",\n"
        "    \"artifact_location\": \"mlflow-artifacts:/0\",\n    \"lifecycle_stage\": \"active\",\n"
        "    \"last_update_time\": 1600000000000,\n    \"creation_time\": 1600000000000,\n"
        "    \"workspace\": \"default\"\n  }\n}");
  CHECK(server.get("experiments/get?experiment_id=77").body ==
        "{\"error_code\": \"RESOURCE_DOES_NOT_EXIST\", \"message\": \"No Experiment with id=77 exists\", "
        "\"sqlstate\": \"KAM00\", \"error_class\": \"RESOURCE_NOT_FOUND\"}");
  Server old(ServerVersion::v2);
  CHECK(old.get("experiments/get?experiment_id=77").body ==
        "{\"error_code\": \"RESOURCE_DOES_NOT_EXIST\", \"message\": \"No Experiment with id=77 exists\"}");
  CHECK_THAT(server.get("nonsense").body, contains("404 Not Found"));
  CHECK(server.get("runs/create").status == 405);
  // Text is ASCII on the wire.
  const std::string run = server.new_run({{"user_id", "\xC3\xA9"}});
  CHECK_THAT(server.get("runs/get?run_id=" + run).body, contains("\"user_id\": \"\\u00e9\""));
}

TEST_CASE("FakeBackend: databases differ by seed", "[testing][backend]") {
  BackendOptions one;
  BackendOptions two;
  two.seed = 2;
  const FakeBackend a(one);
  const FakeBackend b(one);
  const FakeBackend c(two);
  CHECK(a.experiments()[0].creation_time == b.experiments()[0].creation_time);
  CHECK(a.experiments()[0].creation_time != c.experiments()[0].creation_time);
}

TEST_CASE("FakeBackend: the life of an experiment", "[testing][backend]") {
  Server server;
  CHECK(server.ok(server.post("experiments/create",
                              {{"name", "e"}, {"tags", {{{"key", "k"}, {"value", "v"}}}}}))["experiment_id"] == "1");
  Response again = server.post("experiments/create", {{"name", "e"}});
  CHECK(again.status == 400);
  CHECK(code(again) == "RESOURCE_ALREADY_EXISTS");
  // A driver's name in the message of an error that is the caller's: classifiers have to cope.
  CHECK_THAT(message(again), contains("(sqlite3.IntegrityError)"));
  const std::string run = server.new_run({{"experiment_id", "1"}});

  CHECK(server.post("experiments/delete", {{"experiment_id", "1"}}).status == 200);
  CHECK(server.post("experiments/delete", {{"experiment_id", "1"}}).status == 404);
  CHECK(code(server.post("experiments/create", {{"name", "e"}})) == "RESOURCE_ALREADY_EXISTS");
  CHECK(server.ok(server.get("experiments/get-by-name?experiment_name=e"))["experiment"]["lifecycle_stage"] ==
        "deleted");
  CHECK(server.ok(server.get("runs/get?run_id=" + run))["run"]["info"]["lifecycle_stage"] == "deleted");
  CHECK_THAT(message(server.post("runs/create", {{"experiment_id", "1"}})), contains("must be in the 'active' state"));
  CHECK(code(server.post("experiments/update", {{"experiment_id", "1"}, {"new_name", "f"}})) == "INVALID_STATE");
  CHECK(server.post("experiments/restore", {{"experiment_id", "1"}}).status == 200);
  CHECK(server.post("experiments/restore", {{"experiment_id", "1"}}).status == 404);
  CHECK(server.backend.run(run)->lifecycle_stage == "active");

  CHECK(server.post("experiments/update", {{"experiment_id", "1"}, {"new_name", "f"}}).status == 200);
  CHECK(code(server.post("experiments/update", {{"experiment_id", "1"}, {"new_name", "Default"}})) == "BAD_REQUEST");
  CHECK(server.get("experiments/get-by-name?experiment_name=e").status == 404);
  CHECK(server.post("experiments/set-experiment-tag", {{"experiment_id", "1"}, {"key", "x"}, {"value", "y"}}).status ==
        200);
  CHECK(server.backend.experiments()[1].tags.at("x") == "y");
  CHECK(server.post("experiments/delete-experiment-tag", {{"experiment_id", "1"}, {"key", "x"}}).status == 200);
  CHECK(server.post("experiments/delete-experiment-tag", {{"experiment_id", "1"}, {"key", "x"}}).status == 404);
}

TEST_CASE("FakeBackend: searching experiments", "[testing][backend]") {
  Server server;
  for (const char* name : {"alpha", "beta", "gamma"}) {
    server.now += std::chrono::seconds(1);
    server.post("experiments/create", {{"name", name}, {"tags", {{{"key", "k.x"}, {"value", name}}}}});
  }
  const auto search = [&](json query) {
    if (!query.contains("max_results")) query["max_results"] = 100;
    std::string text;
    const json answer = server.ok(server.post("experiments/search", query));
    for (const json& experiment : answer.value("experiments", json::array())) {
      text += experiment["name"].get<std::string>() + " ";
    }
    return text + answer.value("next_page_token", "");
  };
  CHECK(search({}) == "gamma beta alpha Default ");
  CHECK(search({{"order_by", {"name DESC"}}}) == "gamma beta alpha Default ");
  CHECK(search({{"order_by", {"name"}}}) == "Default alpha beta gamma ");
  CHECK(search({{"max_results", 2}}) == "gamma beta eyJvZmZzZXQiOiAyfQ==");
  CHECK(search({{"max_results", 2}, {"page_token", "eyJvZmZzZXQiOiAyfQ=="}}) == "alpha Default ");
  CHECK(search({{"filter", "name LIKE '%a' AND tags.`k.x` != 'beta'"}}) == "gamma alpha ");
  CHECK(search({{"filter", "attribute.name = 'beta'"}}) == "beta ");
  CHECK(search({{"filter", "creation_time > 1700000001000"}}) == "gamma beta ");
  CHECK(search({{"filter", "tags.`k.x` IS NULL"}}) == "Default ");
  server.post("experiments/delete", {{"experiment_id", "2"}});
  CHECK(search({}) == "gamma alpha Default ");
  CHECK(search({{"view_type", "DELETED_ONLY"}}) == "beta ");
  CHECK(search({{"view_type", "ALL"}}) == "gamma beta alpha Default ");
  CHECK_THAT(message(server.post("experiments/search", json::object())),
             contains("Invalid value 0 for parameter 'max_results'"));
  CHECK(server.post("experiments/search", {{"max_results", 50001}}).status == 400);
  CHECK(server.post("experiments/search", {{"max_results", 1}, {"page_token", "xxx"}}).status == 400);
  CHECK(server.post("experiments/search", {{"max_results", 1}, {"filter", "bogus = 'x'"}}).status == 400);
  CHECK(server.ok(server.get("experiments/search?max_results=1&view_type=DELETED_ONLY"))["experiments"].size() == 1);
}

TEST_CASE("FakeBackend: the life of a run", "[testing][backend]") {
  Server server;
  const json made = server.ok(server.post("runs/create", {{"experiment_id", "0"},
                                                          {"start_time", 5},
                                                          {"run_name", "first"},
                                                          {"tags", {{{"key", "t"}, {"value", "1"}}}}}))["run"];
  const std::string run = made["info"]["run_id"];
  CHECK(run.size() == 32);
  CHECK(made["info"]["status"] == "RUNNING");
  CHECK(made["info"]["artifact_uri"] == "mlflow-artifacts:/0/" + run + "/artifacts");
  CHECK(made["data"]["tags"].size() == 2);
  CHECK_FALSE(made.contains("outputs"));
  CHECK(server.ok(server.get("runs/get?run_id=" + run))["run"].contains("outputs"));
  CHECK(server.ok(server.get("runs/get?run_uuid=" + run))["run"]["info"]["run_name"] == "first");

  CHECK(server.ok(server.post(
            "runs/update",
            {{"run_id", run}, {"status", "FINISHED"}, {"end_time", 9}, {"run_name", "b"}}))["run_info"]["end_time"] ==
        9);
  CHECK(server.backend.run(run)->tags.at("mlflow.runName") == "b");
  CHECK(server.ok(server.post("runs/update", {{"run_id", run}, {"status", "NONSENSE"}}))["run_info"]["status"] ==
        "FINISHED");
  CHECK(server.post("runs/delete", {{"run_id", run}}).status == 200);
  CHECK(server.post("runs/delete", {{"run_id", run}}).status == 200);
  for (const char* path : {"runs/update", "runs/log-batch"}) {
    CHECK_THAT(message(server.post(path, {{"run_id", run}})), contains("must be in the 'active' state"));
  }
  CHECK(server.post("runs/restore", {{"run_id", run}}).status == 200);
  CHECK(server.post("runs/restore", {{"run_id", "nope"}}).status == 404);
  CHECK(server.get("runs/get?run_id=nope").status == 404);
  CHECK(
      message(server.get("runs/get")) ==
      "Missing value for required parameter 'run_id'. See the API docs for more information about request parameters.");
  CHECK(server.post("runs/create", {{"experiment_id", "99"}}).status == 404);
  CHECK(code(server.post("runs/create", json::object())) == "BAD_REQUEST");
  CHECK(code(server.post("runs/create", {{"experiment_id", 0}})) == "INVALID_PARAMETER_VALUE");
  CHECK(Server(ServerVersion::v2).post("runs/create", {{"experiment_id", 0}}).status == 200);
  CHECK_THAT(message(server.post(
                 "runs/create",
                 {{"experiment_id", "0"}, {"run_name", "a"}, {"tags", {{{"key", "mlflow.runName"}, {"value", "b"}}}}})),
             contains("different values"));
}

TEST_CASE("FakeBackend: tags and params", "[testing][backend]") {
  Server server;
  const std::string run = server.new_run();
  const auto tag = [&](const char* key, const std::string& value) {
    return server.post("runs/set-tag", {{"run_id", run}, {"key", key}, {"value", value}});
  };
  const auto param = [&](const std::string& key, const std::string& value) {
    return server.post("runs/log-parameter", {{"run_id", run}, {"key", key}, {"value", value}});
  };
  CHECK(tag("t", "1").status == 200);
  CHECK(tag("t", "2").status == 200);
  CHECK(tag("mlflow.runName", "renamed").status == 200);
  CHECK(tag("long", std::string(8001, 'x')).status == 200);
  CHECK(server.backend.run(run)->tags.at("t") == "2");
  CHECK(server.backend.run(run)->name == "renamed");
  CHECK(server.backend.run(run)->tags.at("long").size() == 8000);
  CHECK(server.post("runs/delete-tag", {{"run_id", run}, {"key", "t"}}).status == 200);
  const Response second = server.post("runs/delete-tag", {{"run_id", run}, {"key", "t"}});
  CHECK(second.status == 404);
  CHECK(message(second) == "No tag with name: t in run with id " + run);

  CHECK(param("p", "1").status == 200);
  CHECK(param("p", "1").status == 200);
  const Response conflict = param("p", "2");
  CHECK(conflict.status == 400);
  CHECK(message(conflict) ==
        "Changing param values is not allowed. Param with key='p' was already logged with value='1' "
        "for run ID='" +
            run + "'. Attempted logging new value '2'.");
  CHECK(server.backend.run(run)->params.at("p") == "1");
  CHECK(param("long", std::string(6001, 'x')).status == 200);
  CHECK(server.backend.run(run)->params.at("long").size() == 6000);
  CHECK(param("\xC3\xA9", "1").status == 200);
  CHECK_THAT(message(param("\xE2\x98\x83", "1")), contains("Names may only contain alphanumerics"));
  CHECK_THAT(message(param("../x", "1")), contains("This name would resolve to '../x'"));
  CHECK_THAT(message(param("a//b", "1")), contains("Invalid value \"a//b\" for parameter 'key' supplied"));
  CHECK_THAT(message(param("/a", "1")), contains("must not resolve to other names"));
  CHECK(message(param(std::string(251, 'k'), "1")) == "'Param key' exceeds the maximum length of 250 characters");
}

TEST_CASE("FakeBackend: metrics have a primary key and a latest value", "[testing][backend]") {
  Server server;
  const std::string run = server.new_run();
  const auto log = [&](json value, std::int64_t timestamp, std::int64_t step) {
    return server.post(
        "runs/log-metric",
        {{"run_id", run}, {"key", "m"}, {"value", std::move(value)}, {"timestamp", timestamp}, {"step", step}});
  };
  const auto latest = [&] { return server.ok(server.get("runs/get?run_id=" + run))["run"]["data"]["metrics"][0]; };
  CHECK(log(1.5, 10, 1).status == 200);
  CHECK(log(1.5, 10, 1).status == 200);
  CHECK(server.backend.counts().points == 1);
  CHECK(server.backend.counts().repeated_points == 1);
  CHECK(log(2, 5, 0).status == 200);
  CHECK(latest()["value"] == 1.5);  // by step, then timestamp, then value
  CHECK(log(3, 4, 2).status == 200);
  CHECK(latest()["value"] == 3);
  CHECK(log("NaN", 4, 3).status == 200);
  CHECK(latest()["value"] == "NaN");
  CHECK(log("NaN", 4, 3).status == 200);
  CHECK(log("-Infinity", 4, 4).status == 200);
  CHECK(latest()["value"] == -std::numeric_limits<double>::max());
  CHECK(server.backend.points(run, "m").size() == 5);
  CHECK(server.backend.points(run, "m").front().timestamp == 4);
  CHECK_THAT(message(log(1, -1, 0)), contains("Timestamp must be a nonnegative long"));
  CHECK_THAT(message(log("abc", 1, 0)), contains("Invalid value \"abc\" for parameter 'value' supplied"));
  CHECK(server.post("runs/log-metric", {{"run_id", run}, {"key", "m"}, {"value", 1}}).status == 400);
  // Python's parser takes a bare NaN, protobuf doesn't, and nobody tells the client.
  CHECK(server.raw("runs/log-metric", R"({"run_id":")" + run + R"(","key":"bare","value":NaN,"timestamp":11,"step":2})")
            .status == 200);
  CHECK(server.backend.points(run, "bare") == std::vector<StoredPoint>{{0, 0, 0, false}});
}

TEST_CASE("FakeBackend: the history of a metric", "[testing][backend]") {
  Server server;
  const std::string run = server.new_run();
  for (int i = 0; i < 5; ++i) {
    server.post("runs/log-metric", {{"run_id", run}, {"key", "m"}, {"value", i}, {"timestamp", 100 - i}, {"step", i}});
  }
  const std::string base = "metrics/get-history?run_id=" + run + "&metric_key=m";
  json page = server.ok(server.get(base + "&max_results=2"));
  CHECK(page["metrics"][0]["timestamp"] == 96);
  std::size_t seen = page["metrics"].size();
  while (page.contains("next_page_token")) {
    page = server.ok(server.get(base + "&max_results=2&page_token=" + page["next_page_token"].get<std::string>()));
    seen += page["metrics"].size();
  }
  CHECK(seen == 5);
  CHECK(server.ok(server.get(base))["metrics"].size() == 5);
  CHECK(server.ok(server.get(base + "&max_results=5")).contains("next_page_token") == false);
  CHECK(server.get(base + "&max_results=0").status == 400);
  CHECK(server.get(base + "&page_token=abc").status == 400);
  CHECK(server.get("metrics/get-history?run_id=nope&metric_key=m").body == "{}");
  Server old(ServerVersion::v2);
  const std::string old_run = old.new_run();
  for (int i = 0; i < 3; ++i) {
    old.post("runs/log-metric", {{"run_id", old_run}, {"key", "m"}, {"value", i}, {"timestamp", i}});
  }
  CHECK(old.ok(old.get("metrics/get-history?run_id=" + old_run + "&metric_key=m&max_results=1"))["metrics"].size() ==
        3);
}

TEST_CASE("FakeBackend: a batch is applied in parts", "[testing][backend]") {
  Server server;
  const std::string run = server.new_run();
  const json metric{{"key", "m"}, {"value", 1}, {"timestamp", 1}};
  const auto batch = [&](json body) {
    body["run_id"] = run;
    return server.post("runs/log-batch", body);
  };
  CHECK(batch({{"metrics", {metric, metric}},
               {"params", {{{"key", "p"}, {"value", "1"}}}},
               {"tags", {{{"key", "t"}, {"value", "1"}}}}})
            .status == 200);
  CHECK(server.backend.counts().points == 1);
  json other = metric;
  other["value"] = 2;
  const Response conflict = batch({{"metrics", {other}},
                                   {"params", {{{"key", "p"}, {"value", "2"}}, {{"key", "q"}, {"value", "2"}}}},
                                   {"tags", {{{"key", "u"}, {"value", "1"}}}}});
  CHECK(conflict.status == 400);
  CHECK_THAT(message(conflict),
             contains("Params were already logged='[{'key': 'p', 'old_value': '1', 'new_value': '2'}]'"));
  CHECK(server.backend.counts().points == 1);
  CHECK(server.backend.run(run)->params.count("q") == 0);
  CHECK(server.backend.run(run)->tags.count("u") == 0);

  json many;
  for (int i = 0; i < 1001; ++i) many.push_back(metric);
  CHECK_THAT(message(batch({{"metrics", many}})), contains("at most 1000 metrics. Got 1001 metrics."));
  json texts;
  for (int i = 0; i < 101; ++i) texts.push_back({{"key", "k" + std::to_string(i)}, {"value", "1"}});
  CHECK_THAT(message(batch({{"params", texts}})), contains("at most 100 params. Got 101 params."));
  CHECK_THAT(message(batch({{"tags", texts}})), contains("at most 100 tags. Got 101 tags."));
  many.erase(many.begin(), many.begin() + 51);
  texts.erase(texts.begin(), texts.begin() + 41);
  CHECK_THAT(message(batch({{"metrics", many}, {"tags", texts}})),
             contains("at most 1000 metrics, params, and tags. Got 1010 metrics, params, and tags."));
  CHECK_THAT(message(batch({{"params", {{{"key", "d"}, {"value", "1"}}, {{"key", "d"}, {"value", "1"}}}}})),
             contains("Duplicate parameter keys have been submitted: ['d']"));
  CHECK_THAT(message(batch({{"metrics", {{{"key", "m"}, {"value", 1}}}}})), contains("'metrics[0].timestamp'"));
  CHECK_THAT(message(batch({{"metrics", {metric, {{"key", "x//y"}, {"value", 1}, {"timestamp", 1}}}}})),
             contains("'metrics[1].name'"));
  CHECK(server.raw("runs/log-batch", "garbage").status == 500);
  CHECK(server.post("runs/log-batch", {{"run_id", "no pe"}}).status == 400);
  CHECK(server.post("runs/log-batch", {{"run_id", "nope"}}).status == 404);
}

TEST_CASE("FakeBackend: searching runs", "[testing][backend]") {
  for (const ServerVersion version : {ServerVersion::v3, ServerVersion::v2}) {
    Server server(version);
    const bool v3 = version == ServerVersion::v3;
    CAPTURE(v3);
    std::vector<std::string> ids;
    const json values[] = {0.5, 0.7, "NaN", 0.7};
    for (int i = 0; i < 4; ++i) {
      const std::string n = std::to_string(i);
      ids.push_back(server.new_run(
          {{"start_time", 1000 + i},
           {"run_name", "r" + n},
           {"user_id", "u" + std::to_string(i % 2)},
           {"tags", {{{"key", "ha.key"}, {"value", "uuid-" + n}}, {{"key", "a b"}, {"value", "q'" + n}}}}}));
      server.post("runs/log-batch", {{"run_id", ids.back()},
                                     {"metrics", {{{"key", "acc"}, {"value", values[i]}, {"timestamp", 1}}}},
                                     {"params", {{{"key", "lr"}, {"value", n}}}}});
    }
    server.post("runs/update", {{"run_id", ids[1]}, {"status", "FINISHED"}, {"end_time", 5000}});
    server.post("runs/delete", {{"run_id", ids[3]}});
    const auto find = [&](const std::string& filter) {
      return server.names({{"experiment_ids", {"0"}}, {"filter", filter}});
    };
    CHECK(find("") == "r2 r1 r0 ");
    CHECK(find("tags.`ha.key` = 'uuid-1'") == "r1 ");
    CHECK(find("tags.ha.key = \"uuid-1\"") == "r1 ");
    CHECK(find("tag.\"ha.key\" = 'uuid-1'") == "r1 ");
    CHECK(find("tags.`a b` = \"q'1\"") == "r1 ");
    CHECK(find("metrics.acc > 0.6") == "r1 ");
    CHECK(find("metrics.acc != 0.5") == "r2 r1 ");
    CHECK(find("metrics.acc > -1") == (v3 ? "r1 r0 " : "r2 r1 r0 "));
    CHECK(find("metrics.acc >= 0.5 and params.lr = '1'") == "r1 ");
    CHECK(find("params.lr != '1'") == "r2 r0 ");
    CHECK(find("params.lr like '1%'") == "r1 ");
    CHECK(find("attributes.status = 'FINISHED'") == "r1 ");
    CHECK(find("run_name LIKE 'R%'") == "");
    CHECK(find("run_name ILIKE 'R%'") == "r2 r1 r0 ");
    CHECK(find("start_time > 1000 AND start_time < 1002") == "r1 ");
    CHECK(find("end_time > 0") == "r1 ");
    CHECK(find("run_id IN ('" + ids[0] + "', '" + ids[1] + "')") == "r1 r0 ");
    CHECK(find("metrics.none > 1") == "");
    const auto refused = [&](const std::string& filter) {
      return server.post("runs/search", {{"experiment_ids", {"0"}}, {"filter", filter}});
    };
    for (const char* filter :
         {"   ", "tags.x", "tags.x = 5", "tags.x = y", "metrics.acc > 'x'", "tags.x = 'a' OR tags.y = 'b'",
          "attributes.bogus = 'x'", "foo.bar = 'x'", "tags.x = 'open", "tags.a > 'b'", "(tags.x = 'y')",
          "start_time = '1'", "status IN ('RUNNING')", "tags.x = 'a';"}) {
      INFO(filter);
      CHECK(refused(filter).status == 400);
      CHECK(code(refused(filter)) == "INVALID_PARAMETER_VALUE");
    }
    CHECK(refused("tags.x IS NULL").status == (v3 ? 200 : 400));
    CHECK_THAT(message(refused("tags.x = 'a' OR tags.y = 'b'")), contains("Invalid clause(s) in filter string: 'OR'"));

    const auto sorted = [&](const char* order) {
      return server.names({{"experiment_ids", {"0"}}, {"order_by", {order}}});
    };
    CHECK(sorted("metrics.acc DESC") == "r1 r0 r2 ");
    CHECK(sorted("metrics.acc") == "r0 r1 r2 ");
    CHECK(sorted("attributes.start_time ASC") == "r0 r1 r2 ");
    CHECK(sorted("end_time DESC") == "r1 r2 r0 ");
    CHECK(sorted("tags.`a b` desc") == "r2 r1 r0 ");
    CHECK(server.post("runs/search", {{"experiment_ids", {"0"}}, {"order_by", {"metrics.acc SIDEWAYS"}}}).status ==
          400);

    CHECK(server.names({{"experiment_ids", {"0"}}, {"run_view_type", "ALL"}}) == "r3 r2 r1 r0 ");
    CHECK(server.names({{"experiment_ids", {"0"}}, {"run_view_type", "DELETED_ONLY"}}) == "r3 ");
    CHECK(server.names({{"experiment_ids", json::array()}}) == "");
    const json page = server.ok(server.post("runs/search", {{"experiment_ids", {"0"}}, {"max_results", 2}}));
    CHECK(server.names({{"experiment_ids", {"0"}}, {"max_results", 2}, {"page_token", page["next_page_token"]}}) ==
          "r0 ");
    CHECK(server.post("runs/search", {{"max_results", 0}}).status == 400);
    CHECK(server.post("runs/search", {{"max_results", 50001}}).status == 400);
    CHECK(server.post("runs/search", {{"experiment_ids", {"x"}}}).status == (v3 ? 400 : 200));
  }
}

TEST_CASE("FakeBackend: names and places that MLflow refuses", "[testing][backend]") {
  Server v3;
  Server v2(ServerVersion::v2);
  for (Server* server : {&v3, &v2}) {
    CHECK(message(server->post("experiments/create", {{"name", "e"}, {"artifact_location", "s3://b/p#f"}})) ==
          "'artifact_location' URL can't include fragments or params.");
    for (const char* place : {"#", "a?b", "s3://b/../p", ""}) {
      const std::string name = std::string("at ") + place;
      CHECK(server->post("experiments/create", {{"name", name}, {"artifact_location", place}}).status == 200);
    }
  }
  const json longer{{"experiment_id", "1"}, {"new_name", std::string(501, 'x')}};
  CHECK(v3.post("experiments/update", longer).status == 400);
  CHECK(v2.post("experiments/update", longer).status == 200);
  for (const char* name : {".", ".."}) {
    CHECK_THAT(message(v3.post("registered-models/create", {{"name", name}})), contains("would resolve to"));
    CHECK(v2.post("registered-models/create", {{"name", name}}).status == 200);
  }
  CHECK(message(v3.post("registered-models/create", {{"name", " "}})) ==
        "Missing value for required parameter 'name'.");
  CHECK(v3.post("registered-models/create", {{"name", "a "}}).status == 200);
}

TEST_CASE("FakeBackend: lists in filters of the registry", "[testing][backend]") {
  const auto search = [](Server& server, const std::string& entities, const std::string& filter) {
    return server.get(entities + "/search?filter=" + mlflowha::percent_encode(filter));
  };
  Server v3;
  Server v2(ServerVersion::v2);
  for (Server* server : {&v3, &v2}) {
    for (const char* name : {"a", "b"}) {
      v3.ok(server->post("registered-models/create", {{"name", name}}));
      v3.ok(server->post("model-versions/create", {{"name", name}, {"source", "s3://bucket/model"}}));
    }
  }
  CHECK(v3.ok(search(v3, "registered-models", "name IN ('a', 'x')"))["registered_models"].size() == 1);
  CHECK(v3.ok(search(v3, "registered-models", "name NOT IN ('a')"))["registered_models"][0]["name"] == "b");
  CHECK(v3.ok(search(v3, "model-versions", "name IN ('a', 'b')"))["model_versions"].size() == 2);
  CHECK(message(search(v3, "model-versions", "source_path IN ('x')")) ==
        "Only ['name', 'run_id'] attributes support comparison with a list of quoted string values.");
  for (const char* entities : {"registered-models", "model-versions"}) {
    CHECK(message(search(v2, entities, "name IN ('a')")) ==
          "Only the 'run_id' attribute supports comparison with a list of quoted string values.");
  }
  CHECK(v2.ok(search(v2, "model-versions", "run_id IN ('x')")).empty());
}

TEST_CASE("FakeBackend: bodies that are no JSON object", "[testing][backend]") {
  Server server;
  CHECK_THAT(message(server.raw("experiments/create", "garbage")),
             contains("Missing value for required parameter 'name'"));
  CHECK_THAT(message(server.raw("experiments/create", "")), contains("Missing value"));
  CHECK(server.raw("experiments/create", "[]").status == 500);
  CHECK(server.raw("experiments/create", "5").status == 500);
  CHECK(server.ok(server.raw("experiments/create", R"("{\"name\": \"doubly encoded\"}")"))["experiment_id"] == "1");
  CHECK_THAT(message(server.post("experiments/create", {{"name", 5}})), contains("Value was of type 'int'"));
  CHECK(server.post("experiments/create", {{"name", "x"}, {"unknown", 1}}).status == 200);
  CHECK(server.raw("experiments/create", std::string(100'000, '[')).status == 400);
  Request request;
  request.method = Method::post;
  request.target = "/api/2.0/mlflow/experiments/create";
  request.content_type = "text/plain";
  CHECK_THAT(message(server.backend.handle(request, server.now)), contains("Content-Type must be one of"));
  request.content_type = "";
  CHECK_THAT(message(server.backend.handle(request, server.now)), contains("Content-Type header is missing"));
  request.method = Method::del;  // there nobody looks at the type
  request.target = "/api/2.0/mlflow/registered-models/delete";
  CHECK_THAT(message(server.backend.handle(request, server.now)), contains("Missing value for required parameter"));
  request.method = Method::post;
  request.target = "/api/2.0/mlflow/experiments/create";
  request.content_type = "application/json; charset=utf-8";
  request.body = R"({"name": "y"})";
  CHECK(server.backend.handle(request, server.now).status == 200);
}

TEST_CASE("FakeBackend: a database that is down or read-only", "[testing][backend]") {
  Server server;
  const std::string run = server.new_run();
  server.backend.set_database(DatabaseState::down);
  const Response down = server.get("runs/get?run_id=" + run);
  CHECK(down.status == 503);
  CHECK(code(down) == "TEMPORARILY_UNAVAILABLE");
  CHECK_THAT(message(down), contains("(psycopg2.OperationalError)"));
  CHECK(server.send(Method::get, "/health").status == 200);
  CHECK(server.send(Method::get, "/api/3.0/mlflow/server-info").status == 200);
  server.backend.set_database(DatabaseState::read_only);
  CHECK(server.get("runs/get?run_id=" + run).status == 200);
  CHECK(server.post("runs/search", {{"experiment_ids", {"0"}}}).status == 200);
  const Response refused = server.post("runs/set-tag", {{"run_id", run}, {"key", "a"}, {"value", "b"}});
  CHECK(refused.status == 400);
  CHECK(code(refused) == "BAD_REQUEST");
  CHECK_THAT(message(refused), contains("(psycopg2.errors.ReadOnlySqlTransaction)"));
  server.backend.set_database(DatabaseState::up);
  CHECK(server.post("runs/set-tag", {{"run_id", run}, {"key", "a"}, {"value", "b"}}).status == 200);
}

TEST_CASE("FakeBackend: the store tells what was created twice", "[testing][backend]") {
  Server server;
  const json tags{{"tags", {{{"key", "once"}, {"value", "1"}}}}};
  const std::string first = server.new_run(tags);
  server.new_run({{"tags", {{{"key", "once"}, {"value", "2"}}}}});
  CHECK(server.backend.runs_sharing_tag("once").empty());
  const std::string twin = server.new_run(tags);
  CHECK(server.backend.runs_sharing_tag("once") == std::vector<std::vector<std::string>>{{first, twin}});
  server.post("runs/delete", {{"run_id", twin}});
  CHECK(server.backend.runs_sharing_tag("once").empty());
  const BackendCounts counts = server.backend.counts();
  CHECK(counts.runs == 3);
  CHECK(counts.requests == 4);
  CHECK(counts.by_path.at("/api/2.0/mlflow/runs/create") == 3);
}
