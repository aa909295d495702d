// Every recorded request and answer of real servers, row by row (tests/golden/session.py): the bytes that we send are
// those that the server took, and what it answered is read without anything lost or changed.

#include "unit/api/golden.hpp"

#include <mlflowha/api/error_body.hpp>
#include <mlflowha/api/operations.hpp>

#include "support/catch.hpp"
#include "support/source_dir.hpp"
#include "unit/api/support.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>

using namespace mlflowha;
using namespace mlflowha_tests;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

const GoldenRow& row_of(const std::string& operation) {
  for (const GoldenRow& row : golden_rows()) {
    if (row.name == operation) return row;
  }
  throw std::runtime_error("no row " + operation);
}

ServerVersion released(std::string_view operation) {
  for (const api::Operation* row : api::operations) {
    if (row->name == operation) return row->since;
  }
  return {};
}

std::string verb_of(Method method) {
  static const std::map<Method, std::string> names{{Method::get, "GET"},
                                                   {Method::post, "POST"},
                                                   {Method::put, "PUT"},
                                                   {Method::patch, "PATCH"},
                                                   {Method::del, "DELETE"}};
  return names.at(method);
}

bool says_nothing(const json& value) {
  return value.is_null() || value == json::object() || value == json::array() || value == "" || value == false ||
         (value.is_number() && value == 0);
}

/// Where two answers say something different; "" where they say the same. A member that isn't there is an empty one,
/// and a number may come as text.
std::string difference(const json& theirs, const json& ours, const std::string& path) {
  if (theirs.is_object() && ours.is_object()) {
    std::set<std::string> names;
    for (const auto& member : theirs.items()) names.insert(member.key());
    for (const auto& member : ours.items()) names.insert(member.key());
    for (const std::string& name : names) {
      const auto& old = golden_aliases();
      if (std::find(old.begin(), old.end(), name) != old.end()) continue;
      const std::string found = difference(theirs.value(name, json()), ours.value(name, json()), path + '.' + name);
      if (!found.empty()) return found;
    }
    return "";
  }
  if (theirs.is_array() && ours.is_array() && theirs.size() == ours.size()) {
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      const std::string found = difference(theirs[i], ours[i], path + '[' + std::to_string(i) + ']');
      if (!found.empty()) return found;
    }
    return "";
  }
  if (theirs == ours || (says_nothing(theirs) && says_nothing(ours))) return "";
  // An object of ours whose members say nothing stands for one that isn't there.
  if (theirs.is_null() && ours.is_object()) return difference(json::object(), ours, path);
  if (ours.is_null() && theirs.is_object()) return difference(theirs, json::object(), path);
  if (theirs.is_string() && ours.is_number() && theirs.get<std::string>() == ours.dump()) return "";
  return path + ": " + theirs.dump() + " became " + ours.dump();
}

/// The part of the answer's body that the row is about.
json told(const GoldenRow& row, const std::string& body) {
  if (row.returns == "nothing") return json::object();
  const json answer = json::parse(body);
  if (row.returns == "message") return answer;
  const std::string field(row.field);
  if (row.returns == "member") return answer.value(field, json());
  if (row.returns == "list") return answer.value(field, json::array());
  const auto token = answer.find("next_page_token");  // some routes say null on the last page, others nothing
  json items = answer.value(field, json::array());
  if (row.returns == "page_in_text") items = json::parse(items.get<std::string>());
  return {{"items", std::move(items)},
          {"next_page_token", token == answer.end() || token->is_null() ? json("") : *token}};
}

/// Members of an answer that its row doesn't know; their names with blanks between.
std::string unknown_members(const GoldenRow& row, const std::string& body) {
  std::string unknown;
  if (row.returns == "message" || row.returns == "text" || row.returns == "bytes") return unknown;
  const json answer = json::parse(body, nullptr, false);
  if (!answer.is_object()) return unknown;  // of a row without an answer; anything else is an error of decode's
  const std::string known = ' ' + std::string(row.field) + ' ' + std::string(row.unread) +
                            (row.returns.substr(0, 4) == "page" ? " next_page_token " : " ");
  for (const auto& member : answer.items()) {
    if (known.find(' ' + member.key() + ' ') == std::string::npos) unknown += member.key() + ' ';
  }
  return unknown;
}

/// "operation success" and "operation error" of a file of excuses, whose lines are those words and a reason.
std::set<std::string> excuses(const char* file) {
  std::set<std::string> found;
  std::istringstream in(read_file(source_dir() / file));
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string operation;
    std::string what;
    std::string reason;
    words >> operation >> what >> reason;
    INFO(file << ": " << line);
    REQUIRE((what == "success" || what == "error"));
    REQUIRE_FALSE(reason.empty());
    found.insert(operation + ' ' + what);
  }
  return found;
}

}  // namespace

TEST_CASE("recorded sessions: what is sent, and what is read", "[api][golden]") {
  REQUIRE(golden_rows().size() == api::operations.size());
  for (const std::string& version : golden_versions) {
    // In their order: text of JSON inside a request stays as it was recorded.
    const auto session = ordered_json::parse(read_file(golden_folder(version) / "session.json"));
    REQUIRE(session.size() > 40);
    for (const auto& one : session) {
      const auto name = one["name"].get<std::string>();
      INFO(version << ' ' << one["operation"] << ' ' << name);
      const GoldenRow& row = row_of(one["operation"].get<std::string>());

      const auto prepared = row.prepare(one["request"].dump());
      REQUIRE(prepared);
      CHECK(verb_of(prepared->http.method) == one["method"].get<std::string>());
      CHECK(prepared->http.target == one["target"].get<std::string>());
      CHECK(prepared->http.body == one["body"].get<std::string>());

      if (name.empty()) continue;
      const Response answer = golden(version, name);
      CHECK(answer.status == one["status"].get<int>());
      if (answer.status >= 300) {
        const Error error = api::decode_error(answer);
        CHECK(error.http_status == answer.status);
        const json body = json::parse(answer.body, nullptr, false);
        if (body.is_object()) CHECK(error.error_code == body.value("error_code", ""));
        if (released(row.name) > parse_server_version(version).value()) CHECK(error.code == Errc::not_implemented);
        continue;
      }
      const auto decoded = row.decode(answer.body);
      if (!decoded) FAIL(decoded.error().message);
      if (row.returns == "bytes") {
        CHECK(*decoded == '"' + answer.body + '"');
      } else if (row.returns == "text") {
        CHECK(*decoded == '"' + answer.body.substr(0, answer.body.find('\n')) + '"');
      } else {
        CHECK(difference(told(row, answer.body), json::parse(*decoded), "answer") == "");
        CHECK(unknown_members(row, answer.body) == "");
      }
    }
  }
}

TEST_CASE("every operation has a recorded success and a recorded error, and no success before its release",
          "[api][golden]") {
  const std::set<std::string> ours = excuses("golden/not_recorded.txt");
  const std::set<std::string> theirs = excuses("contract/not_called.txt");  // that suite has found no error to be had
  for (const std::string& version : golden_versions) {
    std::set<std::string> recorded;  // "operation success", "operation error"
    for (const auto& one : json::parse(read_file(golden_folder(version) / "session.json"))) {
      const bool good = one["status"].get<int>() < 300;
      if (one["name"] != "") recorded.insert(one["operation"].get<std::string>() + (good ? " success" : " error"));
    }
    const ServerVersion server = parse_server_version(version).value();
    for (const api::Operation* row : api::operations) {
      const std::string success = std::string(row->name) + " success";
      const std::string error = std::string(row->name) + " error";
      const bool gone = row->until != ServerVersion{} && row->until <= server;
      INFO(version << ' ' << row->name);
      CHECK(recorded.count(success) == (row->since > server || gone || ours.count(success) != 0 ? 0U : 1U));
      if (version != golden_versions.front()) continue;
      if (ours.count(error) != 0) CHECK(recorded.count(error) == 0);
      if (ours.count(error) + theirs.count(error) == 0) CHECK(recorded.count(error) == 1);
    }
  }
  for (const std::string& entry : ours) {
    INFO(entry);
    CHECK_NOTHROW(row_of(entry.substr(0, entry.find(' '))));
  }
}

TEST_CASE("a difference between recorded and read answers is seen", "[api][golden]") {
  const auto differ = [](const char* theirs, const char* ours) {
    return difference(json::parse(theirs), json::parse(ours), "answer");
  };
  CHECK(differ(R"({"a": 1, "b": {"c": [1, "x"]}, "run_uuid": "r"})", R"({"b": {"c": [1, "x"]}, "a": 1})") == "");
  CHECK(differ(R"({"a": "12", "none": 0, "off": false, "no": ""})", R"({"a": 12, "list": [], "o": {"p": 0}})") == "");
  CHECK(differ(R"({"a": 1, "b": 2})", R"({"a": 1})") == "answer.b: 2 became null");
  CHECK(differ(R"({"a": 1})", R"({"a": 1, "b": "x"})") == "answer.b: null became \"x\"");
  CHECK(differ(R"({"a": [1, {"b": 1.5}]})", R"({"a": [1, {"b": 1}]})") == "answer.a[1].b: 1.5 became 1");
  CHECK(differ(R"({"a": [1, 2]})", R"({"a": [1]})") == "answer.a: [1,2] became [1]");
}
