// The JSON reader on what servers send and on what nobody should: compared with nlohmann's parser where both apply.

#include <mlflowha/api/runs_codec.hpp>
#include <mlflowha/api/server_codec.hpp>

#include "support/catch.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace mlflowha;
using nlohmann::json;

namespace {

/// As a member that the table doesn't know: skipped, kept as text.
Result<Metric> any(const std::string& value) { return api::from_json<Metric>("{\"fresh\":" + value + "}"); }

std::string fault(const std::string& text) {
  const auto run = api::from_json<Run>(text);
  REQUIRE_FALSE(run);
  CHECK(run.error().code == Errc::bad_response);
  return run.error().message;
}

}  // namespace

TEST_CASE("valid and invalid JSON is what nlohmann says it is", "[api]") {
  const std::vector<std::string> texts = {
      "0",
      "-0",
      "1.5",
      "1e5",
      "1E+5",
      "1e-5",
      "0.0",
      "-1.25e+10",
      "01",
      "+1",
      "1.",
      ".5",
      "1e",
      "1e+",
      "-",
      "--1",
      "0x1",
      "1 2",
      "true",
      "false",
      "null",
      "tru",
      "True",
      "nul",
      "\"\"",
      "\"a\"",
      "\"",
      "\"\\\"",
      "\"\\n\\t\\u0041\\/\"",
      "\"\\x\"",
      "\"\\u12\"",
      "\"\\u12G4\"",
      "\"\\ud83d\\ude00\"",
      "\"a\nb\"",
      "\"\x01\"",
      "\"\x7f\"",
      "\"\xC3\xA4\"",
      "\"\xFF\"",
      "\"\xC3\"",
      "\"\xED\xA0\x80\"",
      "[]",
      "[1]",
      "[1,2]",
      "[1,]",
      "[,1]",
      "[1 2]",
      "[",
      "]",
      "[[]",
      "[[]]",
      "{}",
      "{\"a\":1}",
      "{\"a\":1,}",
      "{,}",
      "{\"a\"}",
      "{\"a\":}",
      "{a:1}",
      "{'a':1}",
      "{\"a\":1 \"b\":2}",
      "{1:2}",
      "{\"a\":{\"b\":[1,{\"c\":null}]}}",
      "}",
      "{",
      " [ 1 , 2 ] ",
      "\t{\n}\r",
      "[1]x",
      "/* c */ 1",
      "nan",
      "inf",
      "",
  };
  for (const std::string& text : texts) {
    INFO(text);
    const std::string whole = "{\"fresh\":" + text + "}";
    const bool valid = json::accept(whole);
    const auto ours = any(text);
    CHECK(ours.has_value() == valid);
    if (ours && valid) CHECK(json::parse(ours->unknown_fields.at(0).json) == json::parse(text));
    // The same inside a list of the known fields.
    CHECK(api::from_json<Run>("{\"data\":{\"fresh\":[" + text + "]}}").has_value() ==
          json::accept("{\"data\":{\"fresh\":[" + text + "]}}"));
  }
}

TEST_CASE("strings read as nlohmann reads them", "[api]") {
  for (const char* text : {R"("")", R"("plain")", R"("\"\\\/\b\f\n\r\t")", R"("\u0000\u0041\u00e4\u20ac\ud83d\ude00")",
                           "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\""}) {
    INFO(text);
    const auto tag = api::from_json<RunTag>(std::string("{\"value\": ") + text + "}");
    CHECK(tag.value().value == json::parse(text).get<std::string>());
    const auto key = api::from_json<ServerInfo>(std::string("{\"features_enabled\": {") + text + ": true}}");
    CHECK(key.value().features_enabled.begin()->first == json::parse(text).get<std::string>());
  }
  // Half a surrogate pair stands for no character; one bad tag must not hide a thousand runs.
  CHECK(api::from_json<RunTag>(R"({"value": "a\ud83db"})").value().value ==
        "a\xEF\xBF\xBD"
        "b");
  CHECK(api::from_json<RunTag>(R"({"value": "\ude00\ud83d\u0041"})").value().value ==
        "\xEF\xBF\xBD\xEF\xBF\xBD"
        "A");
  // Names of members may be escaped as well.
  CHECK(api::from_json<RunTag>(R"({"\u006bey": "k"})").value().key == "k");
}

TEST_CASE("doubles in every form", "[api]") {
  const auto value = [](const std::string& text) {
    return api::from_json<Metric>("{\"value\": " + text + "}").value().value;
  };
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(value("0.1") == 0.1);
  CHECK(value("\"0.1\"") == 0.1);
  CHECK(value("7") == 7.0);
  CHECK(std::isnan(value("NaN")));
  CHECK(std::isnan(value("\"NaN\"")));
  CHECK(value("Infinity") == infinity);
  CHECK(value("-Infinity") == -infinity);
  CHECK(value("\"-Infinity\"") == -infinity);
  CHECK(value("1e400") == infinity);
  CHECK(value("-1e400") == -infinity);
  CHECK(value("1e-400") == 0.0);
  CHECK(value("1" + std::string(400, '0')) == infinity);
  CHECK(value("0." + std::string(400, '0') + "1") == 0.0);
  CHECK(value("1" + std::string(400, '0') + "e-390") == 1e10);
  CHECK(value("1e99999999999999999999") == infinity);
  CHECK(value("1e-99999999999999999999") == 0.0);
  CHECK(value("2.2250738585072011e-308") == 2.2250738585072011e-308);
  for (const char* bad : {"\"x\"", "\"\"", "\"1 \"", "true", "[]", "{}", "-NaN", "nan", "\"1\"2"}) {
    INFO(bad);
    CHECK_FALSE(api::from_json<Metric>(std::string("{\"value\": ") + bad + "}"));
  }
}

TEST_CASE("64-bit numbers, exactly", "[api]") {
  const auto step = [](const std::string& text) { return api::from_json<Metric>("{\"step\": " + text + "}"); };
  CHECK(step("9223372036854775807").value().step == std::numeric_limits<std::int64_t>::max());
  CHECK(step("\"-9223372036854775808\"").value().step == std::numeric_limits<std::int64_t>::min());
  CHECK(step("9007199254740993").value().step == 9007199254740993);
  CHECK(step("1e3").value().step == 1000);
  CHECK(step("-2.0").value().step == -2);
  CHECK(step("null").value().step == 0);
  for (const char* bad : {"9223372036854775808", "\"9223372036854775808\"", "1.5", "1e19", "9007199254740993.0",
                          "\"a\"", "true", "NaN", "Infinity", "1e400", "\"1x\"", "\" 1\""}) {
    INFO(bad);
    CHECK_FALSE(step(bad));
  }
  CHECK(api::from_json<SearchRuns>(R"({"max_results": 2147483647})").value().max_results == 2147483647);
  CHECK_FALSE(api::from_json<SearchRuns>(R"({"max_results": 2147483648})"));
}

TEST_CASE("absence, null and duplicates", "[api]") {
  CHECK(api::from_json<Run>("{}").value() == Run());
  CHECK(api::from_json<Run>(R"({"info": null, "data": {"metrics": null, "tags": [null]}})").value().data.tags.size() ==
        1);
  CHECK(api::from_json<RunTag>(R"({"key": "a", "key": "b"})").value().key == "b");
  CHECK(api::from_json<RunTag>(R"({"key": "a", "key": null})").value().key == "a");
  const Run twice = api::from_json<Run>(
                        R"({"info": {"run_id": "a", "user_id": "u"}, "info": {"run_id": "b"}, "x": 1, "x": 2,
          "data": {"tags": [{}, {}], "tags": [{}]}})")
                        .value();
  CHECK(twice.info.run_id == "b");
  CHECK(twice.info.user_id.empty());
  CHECK(twice.data.tags.size() == 1);
  CHECK(twice.unknown_fields == UnknownFields{{"x", "2"}});
  // The older spelling counts only where the newer one is absent.
  CHECK(api::from_json<RunInfo>(R"({"run_uuid": "old", "run_id": "new"})").value().run_id == "new");
  CHECK(api::from_json<RunInfo>(R"({"run_uuid": "old"})").value().run_id == "old");
}

TEST_CASE("a fault names the path, the expectation and what was there", "[api]") {
  CHECK(fault(R"({"data": {"metrics": [{}, {"step": "x"}]}})") ==
        "Run: data.metrics[1].step: expected a whole number at byte 35, found \"\"x\"}]}}\"");
  CHECK_THAT(fault(R"({"info": []})"), mlflowha_tests::contains("info: expected an object at byte 9, found \"[]}\""));
  CHECK_THAT(fault(R"({"info": {"run_id": 7}})"), mlflowha_tests::contains("info.run_id: expected a string"));
  CHECK_THAT(fault(R"({"data": {"tags": {}}})"), mlflowha_tests::contains("data.tags: expected a list"));
  CHECK_THAT(fault(R"({"data": {"tags": [)"), mlflowha_tests::contains("found the end"));
  CHECK_THAT(fault("{} x"), mlflowha_tests::contains("expected nothing after the value"));
  CHECK_THAT(fault(""), mlflowha_tests::contains("expected an object at byte 0, found the end"));
  CHECK_THAT(fault("{\"\x1b[31m\": \x1b}"), mlflowha_tests::contains("expected"));
  CHECK(fault("{\"a\": {\"\\u001b[31m\": x").find('\x1b') == std::string::npos);
  CHECK(fault("{\"" + std::string(1 << 20, 'x') + "\": !}").size() < 500);
}

TEST_CASE("depth is limited, whatever the nesting is made of", "[api]") {
  const auto nested = [](std::size_t levels, const std::string& open, const std::string& close) {
    std::string text;
    for (std::size_t i = 0; i < levels; ++i) text += open;
    text += "1";
    for (std::size_t i = 0; i < levels; ++i) text += close;
    return any(text);
  };
  CHECK(nested(127, "[", "]"));
  CHECK_FALSE(nested(128, "[", "]"));
  CHECK(nested(127, "{\"a\":", "}"));
  CHECK_FALSE(nested(128, "{\"a\":", "}"));
  const auto deep = nested(1000000, "[", "]");
  REQUIRE_FALSE(deep);
  CHECK_THAT(deep.error().message, mlflowha_tests::contains("at most 128 levels of nesting"));
  CHECK_FALSE(any(std::string(1000000, '[')));
}

TEST_CASE("every prefix and every flipped byte of a real answer is survived", "[api]") {
  const std::string good =
      R"({"info":{"run_id":"r\u00e4","status":"FINISHED","start_time":1700000000000},"data":{"metrics":[{"key":"a","value":)"
      R"(-1.5e3,"timestamp":"17","step":2}]},"x":[{"y":null}]})";
  for (std::size_t i = 0; i < good.size(); ++i) {
    CHECK_FALSE(api::from_json<Run>(good.substr(0, i)));
    for (const char c : {'\0', '"', '{', ']', '\\', '9', '\xFF'}) {
      std::string flipped = good;
      flipped[i] = c;
      const auto run = api::from_json<Run>(flipped);
      // What is accepted can be sent again and reads the same.
      if (run) {
        const auto text = api::to_json(*run);
        REQUIRE(text.has_value());
        CHECK(api::to_json(api::from_json<Run>(*text).value()).value() == *text);
      }
    }
  }
}

TEST_CASE("time for unknown members grows with their number, not with its square", "[api]") {
  // 300,000 members took a minute when each was compared with all before it, past every deadline.
  std::string text = "{\"info\":{";
  for (int i = 0; i < 300'000; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
  text += ",\"7\":1,\"299999\":2}}";
  const auto run = api::from_json<Run>(text);
  REQUIRE(run);
  const UnknownFields& kept = run->info.unknown_fields;
  REQUIRE(kept.size() == 300'000);
  CHECK(kept[7].json == "1");  // the last of a name counts, where the first was
  CHECK(kept[299'999].json == "2");
  // Objects beside and within each other don't meet.
  std::string members;
  for (int i = 0; i < 100; ++i) members += "\"m" + std::to_string(i) + "\":0,";
  const auto two = api::from_json<Run>("{" + members + "\"info\":{" + members + "\"m5\":1},\"info\":{" + members +
                                       "\"m6\":1},\"m7\":1}");
  REQUIRE(two);
  CHECK(two->unknown_fields.size() == 100);
  CHECK(two->unknown_fields[7].json == "1");
  CHECK(two->info.unknown_fields.size() == 100);
  CHECK(two->info.unknown_fields[5].json == "0");
  CHECK(two->info.unknown_fields[6].json == "1");
}
