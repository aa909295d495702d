// The generator on every feature of the table's format (zoo/zoo.table), also those that no row of MLflow needs yet.
// Built in header-only mode: the generated .ipp files come in through their headers.

#if !defined(MLFLOWHA_HEADER_ONLY)
#define MLFLOWHA_HEADER_ONLY
#endif

#include "unit/api/zoo/calls.hpp"
#include "unit/api/zoo/zoo_codec.hpp"

#include "support/catch.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <utility>

using namespace mlflowha;
using mlflowha_tests::contains;
using nlohmann::json;
using zoo::Animal;

namespace {

class Zoo : public zoo::ZooCalls {
 public:
  std::string body = "{}";
  mutable api::PreparedRequest sent;

 protected:
  Result<Response> execute(const api::Operation&, api::PreparedRequest&& request, const CallOptions&) const override {
    sent = std::move(request);
    Response response;
    response.status = 200;
    response.body = body;
    return response;
  }
  std::string new_request_tag() const override { return "tag"; }
  WallTime wall_now() const override { return WallTime(std::chrono::milliseconds(42)); }
};

}  // namespace

TEST_CASE("PATCH and DELETE carry a path and a JSON body", "[api]") {
  Zoo calls;
  calls.body = R"({"fed": 3})";
  zoo::FeedAnimal feed{.place = {.cage_id = "c1"}, .animal_id = "a-1"};
  feed.amount = 2;
  feed.hungry = false;
  feed.toys = {{.label = "ball"}};
  feed.mask = {R"("a,b")"};
  feed.served = "2026-01-02T03:04:05Z";
  feed.lasted = "1.5s";
  feed.fields = "a,b.c";
  feed.number = 0.0;
  CHECK(calls.feed_animal(feed).value() == 3);
  CHECK(calls.sent.http.method == Method::patch);
  CHECK(calls.sent.http.target == "/zoo/c1/animals/a-1/food");
  CHECK(calls.sent.http.body ==
        R"({"place":{"cage_id":"c1"},"animal_id":"a-1","diet":"GRASS","amount":2,"hungry":false,)"
        R"("toys":[{"label":"ball","bought_at":42}],"mask":"a,b","served":"2026-01-02T03:04:05Z",)"
        R"("lasted":"1.5s","fields":"a,b.c","number":0})");
  CHECK(zoo::ops::feed_animal.since == ServerVersion{3, 2, 0});
  calls.body = "{}";
  CHECK(calls.feed_animal(feed).value() == 0);  // a number that isn't there is 0

  feed.lasted = "1.5";
  CHECK(calls.feed_animal(feed).error().code == Errc::invalid_argument);

  CHECK(calls.remove_animal({.animal_id = "a1", .reasons = {"old", "\""}}));
  CHECK(calls.sent.http.method == Method::del);
  CHECK(calls.sent.http.target == "/zoo/animals/a1");
  CHECK(calls.sent.http.body == R"({"animal_id":"a1","reasons":["old","\""]})");
  CHECK(calls.sent.http.resend == Resend::forbidden);
}

TEST_CASE("GET puts lists, enumerations and optionals into the query", "[api]") {
  Zoo calls;
  CHECK(calls.find_animals({.cage_id = "c1", .names = {"a b", "c&d"}, .diet = zoo::Diet::set_menu, .tame = false}));
  CHECK(calls.sent.http.target == "/zoo/c1/animals?names=a%20b&names=c%26d&diet=SET&tame=false&limit=5");
  CHECK(calls.sent.http.body.empty());
  CHECK(calls.find_animals({.cage_id = "c1", .limit = 0, .page_token = "t"}));
  CHECK(calls.sent.http.target == "/zoo/c1/animals?limit=0&page_token=t");
}

TEST_CASE("a path takes no empty part and none that leads elsewhere", "[api]") {
  Zoo calls;
  CHECK_FALSE(calls.find_animals({.cage_id = ""}));
  CHECK_FALSE(calls.find_animals({.cage_id = ".."}));
  CHECK_FALSE(calls.find_animals({.cage_id = "a/b"}));
  const auto dots = detail::RequestBuilder(zoo::ops::find_animals).place("cage_id", "..").finish();
  REQUIRE_FALSE(dots);
  CHECK_THAT(dots.error().message, mlflowha_tests::contains("cage_id is \"..\""));
  CHECK(detail::RequestBuilder(zoo::ops::find_animals).place("cage_id", "a ä").finish().value().http.target ==
        "/zoo/a%20%C3%A4/animals");
}

TEST_CASE("the path of a file keeps its slashes and nothing else", "[api]") {
  Zoo calls;
  CHECK(calls.put_picture({.file = "a b/\xC3\xA4?/100%.png", .diet = zoo::Diet::grass}));
  CHECK(calls.sent.http.target == "/zoo/pictures/a%20b/%C3%A4%3F/100%25.png?diet=GRASS");
  for (const char* file : {"", "/a", "a/", "a//b", "..", "a/../b", ".", "a/./b", "a#b", "\xFF"}) {
    INFO(file);
    CHECK(calls.put_picture({.file = file, .diet = zoo::Diet::grass}).error().code == Errc::invalid_argument);
    CHECK(calls.get_picture({.file = file}).error().code == Errc::invalid_argument);
  }
}

TEST_CASE("raw bytes go out and come back as they are", "[api]") {
  Zoo calls;
  const std::string bytes("\0\xFF<html>\r\n", 10);
  CHECK(calls.put_picture({.file = "f", .frame = 3, .diet = zoo::Diet::grass, .content = bytes}));
  CHECK(calls.sent.http.target == "/zoo/pictures/f?frame=3&diet=GRASS");
  CHECK(calls.sent.http.body == bytes);
  CHECK(calls.sent.http.content_type == "application/octet-stream");
  calls.body = bytes;
  CHECK(calls.get_picture({.file = "f"}).value() == bytes);
  CHECK(calls.sent.http.target == "/zoo/pictures/f/raw");
  CHECK(zoo::ops::get_picture.answer == api::AnswerKind::bytes);
}

TEST_CASE("an enumeration that is required must be given", "[api]") {
  Zoo calls;
  CHECK_THAT(calls.put_picture({.file = "f"}).error().message,
             mlflowha_tests::contains("diet is missing; expected one of"));
}

TEST_CASE("a recipe may do without a tag, and a tag may live in a map", "[api]") {
  Zoo calls;
  REQUIRE(calls.adopt_animal({.place = {.cage_id = "c1"}, .by = "x/y"}));
  CHECK(calls.sent.http.target == "/zoo/adopted/x/y");
  CHECK(calls.sent.http.body == R"({"place":{"cage_id":"c1"}})");
  CHECK(calls.sent.request_tag.empty());
  CHECK(calls.sent.scope == "c1");
  CHECK(calls.sent.http.resend == Resend::forbidden);
  REQUIRE(calls.rename_animal({.name = "n", .tags = {{"a", "b"}}}));
  CHECK(calls.sent.request_tag == "tag");
  CHECK(calls.sent.http.body == R"({"name":"n","tags":{"a":"b","mlflowha.request_id":"tag"}})");
  CallOptions options;
  options.request_tag = "mine";
  REQUIRE(calls.rename_animal({.name = "n", .tags = {{"mlflowha.request_id", "of another"}}}, options));
  CHECK(calls.sent.request_tag == "mine");
  CHECK(calls.sent.http.body == R"({"name":"n","tags":{"mlflowha.request_id":"mine"}})");
}

TEST_CASE("all kinds of fields make the round trip", "[api]") {
  const std::string text =
      R"({"animal_id":"a","small":-1,"large":9223372036854775807,"ratio":0.5,"tame":false,"diet":"GRASS",)"
      R"("toys":[{"label":"x","weight":1.5,"bought_at":7}],"favourite":{"label":"y","bought_at":0},)"
      R"("names":{"a\"":"b"},"scores":{"n":"NaN"},"by_year":{"-1":{"label":"z","bought_at":1},"2020":{"label":"","bought_at":2}},)"
      R"("extra":{"deep":[1,2.50]},"born":"2020-01-01T00:00:00Z","nickname":"","best_toy":{"label":"","bought_at":3},)"
      R"("class":"cat","counts":[1,-2],"diets":["SET","MEAT"],"text":""})";
  const Animal animal = api::from_json<Animal>(text).value();
  CHECK(animal.large == 9223372036854775807);
  CHECK_FALSE(animal.tame);
  CHECK(animal.names.at("a\"") == "b");
  CHECK(animal.by_year.at(2020).bought_at == 2);
  CHECK(animal.extra.text == R"({"deep":[1,2.50]})");
  CHECK(animal.nickname == "");
  CHECK(animal.best_toy.has_value());
  CHECK(animal.class_name == "cat");
  CHECK(animal.diets.at(0) == zoo::Diet::set_menu);
  CHECK(animal.diets.at(1).name() == "MEAT");
  CHECK(animal.text == "");
  CHECK_FALSE(animal.number);
  CHECK(animal.unknown_fields.empty());
  CHECK(api::to_json(animal).value() == text);

  const Animal empty = api::from_json<Animal>("{}").value();
  CHECK(empty == Animal());
  CHECK(empty.tame);
  CHECK(api::to_json(empty).value() == R"({"tame":true})");
  CHECK(api::from_json<Animal>(R"({"old_id": "x"})").value().animal_id == "x");
  CHECK(api::from_json<Animal>(R"({"by_year": {"x": {}}})").error().message.find("by_year") != std::string::npos);
  CHECK(api::from_json<Animal>(R"({"diet": "DIET_UNSPECIFIED"})").value() == Animal());
}

TEST_CASE("at most one member of a oneof", "[api]") {
  Zoo calls;
  zoo::FeedAnimal feed{.place = {.cage_id = "c"}, .animal_id = "a"};
  feed.text = "";
  feed.number = 1;
  CHECK_THAT(calls.feed_animal(feed).error().message,
             mlflowha_tests::contains("text, number are given together; expected at most one"));
  feed.number.reset();
  CHECK(calls.feed_animal(feed));
}

TEST_CASE("rules reach into messages, with the path", "[api]") {
  Zoo calls;
  zoo::FeedAnimal feed{.place = {.cage_id = "c"}, .animal_id = "a"};
  feed.toys = {{.label = "ok"}, {.label = std::string(9, 'x')}};
  CHECK_THAT(calls.feed_animal(feed).error().message,
             mlflowha_tests::contains("feed_animal: toys[1].label has 9 characters"));
  feed.toys = {{.label = "ok", .bought_at = -5}};
  CHECK_THAT(calls.feed_animal(feed).error().message, mlflowha_tests::contains("toys[0].bought_at is \"-5\""));
  feed.toys.assign(3, {.label = "ok"});
  CHECK_THAT(calls.feed_animal(feed).error().message,
             mlflowha_tests::contains("toys has 3 entries; expected at most 2"));
  feed.toys.clear();
  feed.amount = 10;
  CHECK_THAT(calls.feed_animal(feed).error().message,
             mlflowha_tests::contains("amount is \"10\"; expected a number from 1 to 9"));
  feed.amount.reset();
  feed.place.cage_id = "a b";
  CHECK_THAT(calls.feed_animal(feed).error().message, mlflowha_tests::contains("place.cage_id is \"a b\""));
}

TEST_CASE("lists and maps that may be absent, and secrets", "[api]") {
  Zoo calls;
  zoo::LockCage lock{.cage_id = "c1", .code = "1234", .note = {"null"}};
  REQUIRE(calls.lock_cage(lock));
  CHECK(calls.sent.http.body == R"({"cage_id":"c1","code":"1234","note":null})");
  lock.keepers.emplace();
  lock.toys.emplace();
  lock.names.emplace();
  REQUIRE(calls.lock_cage(lock));
  CHECK(calls.sent.http.body == R"({"cage_id":"c1","code":"1234","keepers":[],"toys":[],"names":{},"note":null})");
  const auto read = api::from_json<zoo::LockCage>(calls.sent.http.body).value();
  CHECK((read.code == lock.code && read.keepers == lock.keepers && read.toys == lock.toys && read.names == lock.names));
  lock.toys = {{.label = "far too long"}};
  CHECK_THAT(calls.lock_cage(lock).error().message, contains("toys[0].label has 12 characters"));
  lock.toys.reset();
  lock.keepers = {"a", "b", "c"};
  CHECK_THAT(calls.lock_cage(lock).error().message, contains("keepers has 3 entries"));
  lock.keepers = {"a", "-"};
  CHECK_THAT(calls.lock_cage(lock).error().message, contains("keepers[1] is \"-\""));
  lock.keepers.reset();
  lock.note = {};
  CHECK_THAT(calls.lock_cage(lock).error().message, contains("note is empty; expected JSON"));
  CHECK(zoo::ops::lock_cage.until == ServerVersion{3, 13, 0});
  CHECK(zoo::ops::feed_animal.until == ServerVersion{});
}
