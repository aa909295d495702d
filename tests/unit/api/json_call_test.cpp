// Requests in JSON: where each member goes, and what is refused before anything is sent.

#include <mlflowha/api/json_call.hpp>
#include <mlflowha/api/operations.hpp>

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha;
using mlflowha_tests::contains;

namespace {

api::Operation custom(Method method, std::string_view path) {
  api::Operation operation;
  operation.name = "custom";
  operation.method = method;
  operation.path = path;
  operation.idempotency = method == Method::get ? Idempotency::read : Idempotency::never;
  return operation;
}

std::string target(const api::Operation& operation, std::string_view json) {
  return api::prepare_json(operation, json, "").value().http.target;
}
std::string fault(const api::Operation& operation, std::string_view json) {
  const auto prepared = api::prepare_json(operation, json, "tag");
  if (prepared) return "";
  CHECK(prepared.error().code == Errc::invalid_argument);
  return prepared.error().message;
}

}  // namespace

TEST_CASE("each row is found by its name, and by no other", "[api][json_call]") {
  for (const api::Operation* operation : api::operations) CHECK(api::find_operation(operation->name) == operation);
  for (const std::string name : {"", "create_Run", "createRun", "create_run ", "x"}) {
    CHECK(api::find_operation(name) == nullptr);
  }
}

TEST_CASE("a name that is nearly right has a hint", "[api][json_call]") {
  const auto nearest = [](std::string_view name) {
    const api::Operation* operation = api::nearest_operation(name);
    return operation == nullptr ? std::string_view("") : operation->name;
  };
  CHECK(nearest("create_rum") == "create_run");
  CHECK(nearest("createRun") == "create_run");
  CHECK(nearest("searchruns") == "search_runs");
  CHECK(nearest("get_experiment_byname") == "get_experiment_by_name");
  CHECK(nearest("frobnicate").empty());
  CHECK(nearest("").empty());
  CHECK(nearest(std::string(100'000, 'a')).empty());
}

TEST_CASE("members go into the path, the query or the body", "[api][json_call]") {
  const api::Operation get = custom(Method::get, "/api/3.0/mlflow/things/{thing_id}/parts");
  CHECK(target(get, R"({"thing_id": "a&b c"})") == "/api/3.0/mlflow/things/a%26b%20c/parts");
  CHECK(target(get, R"({"thing_id": 7, "max": 5, "deep": true, "x": null, "s": "\u00e4&", "e": ""})") ==
        "/api/3.0/mlflow/things/7/parts?max=5&deep=true&s=%C3%A4%26&e=");
  CHECK(target(get, R"({"ids": ["a", "b", 3, false], "none": [], "thing_id": "t", "a&b": 12345678901234567890})") ==
        "/api/3.0/mlflow/things/t/parts?ids=a&ids=b&ids=3&ids=false&a%26b=12345678901234567890");

  const std::string json = "{ \"thing\":\t{\"id\": \"t1\", \"n\": 1e400},\n \"list\": [ {} ] }";
  const auto post = api::prepare_json(custom(Method::post, "/x/{thing.id}/y"), json, "").value();
  CHECK(post.http.target == "/x/t1/y");
  CHECK(post.http.body == json);  // byte for byte
  CHECK(post.http.method == Method::post);
  CHECK(post.idempotency == Idempotency::never);
  CHECK(post.http.resend == Resend::forbidden);
  CHECK(api::prepare_json(custom(Method::del, "/x"), "{}", "").value().http.body == "{}");
  CHECK(api::prepare_json(get, R"({"thing_id": "t"})", "").value().http.resend == Resend::allowed);
}

TEST_CASE("what can't be sent is refused, and the member is named", "[api][json_call]") {
  const api::Operation get = custom(Method::get, "/things/{thing_id}");
  const api::Operation post = custom(Method::post, "/things/{thing.id}");
  const api::Operation plain = custom(Method::post, "/things");
  CHECK_THAT(fault(get, "{}"), contains("custom: thing_id is missing"));
  CHECK_THAT(fault(get, R"({"thing_id": null})"), contains("thing_id is missing"));
  CHECK_THAT(fault(get, R"({"thing_id": {"a": 1}})"), contains("thing_id is missing"));
  CHECK_THAT(fault(get, R"({"thing_id": ""})"), contains("thing_id is \"\""));
  CHECK_THAT(fault(get, R"({"thing_id": ".."})"), contains("thing_id is \"..\""));
  CHECK_THAT(fault(get, R"({"thing_id": "t", "filter": {"a": 1}})"), contains("filter is an object"));
  CHECK_THAT(fault(get, R"({"thing_id": "t", "filters": [{"a": 1}]})"), contains("filters is a list with an object"));
  CHECK_THAT(fault(get, R"({"thing_id": "t", "filters": [[1]]})"), contains("filters is a list with"));
  CHECK_THAT(fault(get, R"({"thing_id": "t", "filters": [null]})"), contains("filters is a list with"));
  CHECK_THAT(fault(post, R"({"thing": {"name": "t"}})"), contains("thing.id is missing"));
  CHECK_THAT(fault(post, R"({"thing": "t"})"), contains("thing.id is missing"));
  for (const std::string json :
       {"", " ", "null", "[]", "\"text\"", "7", "{", "{}}", "{\"a\"}", "{} {}", "{\"a\": nil}", "{\"a\": \"\xFF\"}"}) {
    INFO(json);
    CHECK_THAT(fault(plain, json), contains("custom: the request is no JSON object"));
  }
  CHECK_THAT(fault(plain, R"({"value": NaN})"), contains("bare NaN"));
  CHECK_THAT(fault(plain, R"({"a": [{"value": -Infinity}]})"), contains("bare NaN or Infinity"));
  CHECK(fault(plain, R"({"value": "NaN"})").empty());
  // MLflow stores an empty text for it; and in an address it would stand for another name.
  CHECK_THAT(fault(plain, R"({"value": "x\ud800"})"), contains("half of a surrogate pair"));
  CHECK_THAT(fault(plain, R"({"a": [{"\uDCFF": 1}]})"), contains("half of a surrogate pair"));
  CHECK_THAT(fault(custom(Method::get, "/x/{name}"), R"({"name": "\ud800"})"), contains("half of a surrogate pair"));
  CHECK(fault(plain, R"({"value": "\ud83d\ude00 \\ud800"})").empty());
  CHECK_FALSE(fault(plain, std::string(1000, '[') + std::string(1000, ']')).empty());
}

TEST_CASE("a create gets its tag", "[api][json_call]") {
  const api::Operation& row = api::ops::create_run;
  const auto prepare = [&](std::string_view json) { return api::prepare_json(row, json, "fresh").value(); };
  const auto tags = [](const api::PreparedRequest& prepared) {
    std::vector<std::string> out;
    const auto body = nlohmann::json::parse(prepared.http.body);
    for (const auto& tag : body.at("tags")) {
      out.push_back(tag.at("key").get<std::string>() + "=" + tag.at("value").get<std::string>());
    }
    return out;
  };
  const std::string ours = std::string(api::request_tag_key) + "=fresh";

  api::PreparedRequest prepared = prepare(R"({"experiment_id": "3", "new_in_4": {"a": [1, 2]}, "run_name": "\u00e4"})");
  CHECK(prepared.idempotency == Idempotency::create_anonymous);
  CHECK(prepared.http.resend == Resend::forbidden);
  CHECK(prepared.request_tag == "fresh");
  CHECK(prepared.scope == "3");
  CHECK(tags(prepared) == std::vector<std::string>{ours});
  const auto body = nlohmann::json::parse(prepared.http.body);
  CHECK(body.at("new_in_4") == nlohmann::json::parse(R"({"a": [1, 2]})"));
  CHECK(body.at("run_name") == "\u00e4");

  CHECK(tags(prepare(R"({"tags": [{"key": "a", "value": "b"}], "experiment_id": 3})")) ==
        std::vector<std::string>{"a=b", ours});
  CHECK(prepare(R"({"experiment_id": 3})").scope == "3");
  CHECK(tags(prepare(R"({"tags": []})")) == std::vector<std::string>{ours});
  CHECK(tags(prepare(R"({"tags": null})")) == std::vector<std::string>{ours});

  const auto copied = prepare(R"({"tags": [{"key": "mlflowha.request_id", "value": "old"}, {"key": "a", "value": "b"},
                                           {"key": "mlflowha.request_id", "value": "older"}]})");
  CHECK(copied.request_tag == "fresh");
  CHECK(tags(copied) == std::vector<std::string>{"a=b", ours});
  CHECK(tags(prepare(R"({"tags": [{"key": "mlflowha.request_id", "value": "old"}]})")) ==
        std::vector<std::string>{ours});

  CHECK_THAT(fault(row, R"({"tags": "a"})"), contains("create_run: tags is no list of tags"));
  CHECK_THAT(fault(row, R"({"tags": {"a": "b"}})"), contains("tags is no list of tags"));
  CHECK_THAT(fault(row, R"({"tags": ["a"]})"), contains("tags is no list of tags"));

  api::Operation untagged = row;  // a recipe that needs what this request can't get: no second sending then
  untagged.tag_field = "";
  CHECK(api::prepare_json(untagged, "{}", "fresh").value().idempotency == Idempotency::never);
}

TEST_CASE("a custom operation is checked", "[api][json_call]") {
  const auto faults = [](std::string path) {
    CustomOperation operation;
    operation.path = std::move(path);
    return api::faults(operation);
  };
  CHECK(faults("/api/3.0/mlflow/x").empty());
  CHECK(faults("/x/{a}/{b.c}/y").empty());
  CHECK(faults("/x/{a+}/{b*}").empty());
  for (const std::string path : {"", "x", "http://a/x", "/x?y=1", "/x#y", "/x y", "/x\ny", "/x/{", "/x/}", "/x/{}",
                                 "/x/{a", "/x/{a{b}}", "/x/{a/b}", "/x/{+}", "/x%2F", "/\xC3\xA4", "/x\\y"}) {
    INFO(path);
    CHECK_THAT(faults(path), contains("path is \""));
  }
  CustomOperation operation;
  operation.path = "/x";
  for (const Idempotency idempotency : {Idempotency::create_named, Idempotency::create_anonymous}) {
    operation.idempotency = idempotency;
    CHECK_THAT(api::faults(operation), contains("recipe"));
  }
  operation.idempotency = Idempotency::once;
  CHECK_THAT(api::faults(operation), contains("already_done"));
  operation.already_done[0] = "RESOURCE_DOES_NOT_EXIST";
  CHECK(api::faults(operation).empty());
  operation.idempotency = Idempotency::same_again;
  CHECK_THAT(api::faults(operation), contains("already_done"));
}
