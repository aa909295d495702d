// Filters: what is written for each comparison, what can't be written, and where that is said.

#include <mlflowha/api/all.hpp>
#include <mlflowha/api/filter.hpp>
#include <mlflowha/api/runs_codec.hpp>

#include "support/catch.hpp"
#include "unit/api/support.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace mlflowha;
using mlflowha_tests::CannedCalls;
using mlflowha_tests::contains;

namespace {

std::string text(const Filter& filter) {
  REQUIRE(filter.fault().empty());
  return filter.text();
}

/// The faults of filters are told by the call, before anything is sent.
std::string fault(const Filter& filter) {
  CannedCalls calls;
  const auto refused = calls.search_runs({.filter = filter});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::invalid_argument);
  CHECK(calls.sent.empty());
  CHECK(refused.error().message.find("search_runs: filter can't be written: ") == 0);
  return refused.error().message;
}

}  // namespace

TEST_CASE("text is taken as it is", "[filter]") {
  CannedCalls calls;
  (void)calls.search_runs({.filter = "metrics.loss < 0.1"});
  (void)calls.search_runs({.filter = std::string("tags.a = 'b'")});
  (void)calls.search_runs({.filter = std::string_view("nonsense '\"")});
  (void)calls.search_runs({.filter = {}});
  REQUIRE(calls.sent.size() == 4);
  const auto sent = [&](std::size_t i) { return nlohmann::json::parse(calls.sent[i].http.body); };
  CHECK(sent(0)["filter"] == "metrics.loss < 0.1");
  CHECK(sent(1)["filter"] == "tags.a = 'b'");
  CHECK(sent(2)["filter"] == "nonsense '\"");
  CHECK_FALSE(sent(3).contains("filter"));
  SearchRuns search;
  search.filter = "a = 'b'";
  CHECK(search.filter == Filter("a = 'b'"));
  search.filter = {};
  CHECK(search.filter.empty());
  // There and back, for drivers that keep requests.
  search.filter = filter::tag("a") == "b";
  CHECK(api::from_json<SearchRuns>(api::to_json(search).value()).value() == search);
}

TEST_CASE("comparisons", "[filter]") {
  CHECK(text(filter::metric("loss") < 0.1) == "metrics.`loss` < 0.1");
  CHECK(text(filter::metric("a b/c.d-e:f") <= -5) == "metrics.`a b/c.d-e:f` <= -5");
  CHECK(text(filter::metric("m") > 0) == "metrics.`m` > 0");
  CHECK(text(filter::metric("m") >= 1e300) == "metrics.`m` >= 1e300");
  CHECK(text(filter::metric("m") == -1.7976931348623157e308) == "metrics.`m` = -1.7976931348623157e308");
  CHECK(text(filter::metric("m") != 5e-324) == "metrics.`m` != 5e-324");
  CHECK(text(filter::metric("m") < 1.5F) == "metrics.`m` < 1.5");
  CHECK(text(filter::metric("m") < std::uint64_t{1} << 63U) == "metrics.`m` < 9223372036854775808");
  CHECK(text(filter::param("and") == "x") == "params.`and` = 'x'");
  CHECK(text(filter::param("p") != "") == "params.`p` != ''");
  CHECK(text(filter::tag("mlflow.user") == std::string("me")) == "tags.`mlflow.user` = 'me'");
  CHECK(text(filter::tag("t").like("a%")) == "tags.`t` LIKE 'a%'");
  CHECK(text(filter::tag("t").ilike("_B%")) == "tags.`t` ILIKE '_B%'");
  CHECK(text(filter::tag("t").rlike("^a.*")) == "tags.`t` RLIKE '^a.*'");
  CHECK(text(filter::tag("t").is_null()) == "tags.`t` IS NULL");
  CHECK(text(filter::param("t").is_not_null()) == "params.`t` IS NOT NULL");
  CHECK(text(filter::attribute("start_time") > 1'700'000'000'000) == "start_time > 1700000000000");
  CHECK(text(filter::attribute("run_name") == "first") == "run_name = 'first'");
  CHECK(text(filter::attribute("run_name") != "first") == "run_name != 'first'");
  CHECK(text(filter::attribute("run_id").in({"a", "b"})) == "run_id IN ('a', 'b')");
  CHECK(text(filter::attribute("run_id").not_in({"a"})) == "run_id NOT IN ('a')");
  CHECK(text(filter::attribute("trace.text") == "x") == "trace.text = 'x'");
  CHECK(text(filter::dataset("name") == "d") == "datasets.name = 'd'");
  CHECK(text(filter::metadata("k") == "v") == "metadata.`k` = 'v'");
  CHECK(text(filter::feedback("quality") > 0.5) == "feedback.`quality` > 0.5");
  CHECK(text(filter::expectation("e") == "yes") == "expectation.`e` = 'yes'");
  CHECK(text(filter::span("attributes.model").like("%x%")) == "span.`attributes.model` LIKE '%x%'");
}

TEST_CASE("values are put into the quotes that they don't hold", "[filter]") {
  for (const auto& [value, quoted] : std::vector<std::pair<std::string, std::string>>{
           {"", "''"},
           {"it's", "\"it's\""},
           {"say \"x\"", "'say \"x\"'"},
           {"a\\b", "'a\\b'"},
           {"--x; /* AND tags.a", "'--x; /* AND tags.a'"},
           {"\xE2\x82\xAC\n", "'\xE2\x82\xAC\n'"},
       }) {
    CHECK(text(filter::tag("t") == value) == "tags.`t` = " + quoted);
  }
  CHECK_THAT(fault(filter::tag("t") == "both ' and \""),
             contains("tags.`t`: value is \"both ' and \"\"; expected at most one kind of quotes"));
}

TEST_CASE("what the language can't say is a fault that the call tells", "[filter]") {
  CHECK_THAT(fault(filter::metric("m") < std::nan("")), contains("metrics.`m`: value is \"NaN\""));
  CHECK_THAT(fault(filter::metric("m") > std::numeric_limits<double>::infinity()), contains("a finite number"));
  CHECK_THAT(fault(filter::tag("a`b") == "x"), contains("tags key is \"a`b\"; expected a key without a backtick"));
  CHECK_THAT(fault(filter::tag("") == "x"), contains("tags key is \"\""));
  CHECK_THAT(fault(filter::attribute("start time") > 5), contains("attribute is \"start time\""));
  CHECK_THAT(fault(filter::attribute("") == "x"), contains("attribute is \"\""));
  CHECK_THAT(fault(filter::dataset("na'me") == "x"), contains("attribute is \"na'me\""));
  CHECK_THAT(fault(filter::attribute("run_id").in({})), contains("run_id: the list is empty"));
  for (const char* awkward : {"it's", "a\\b", "a\nb"}) {
    CHECK_THAT(fault(filter::attribute("run_id").in({"ok", awkward})), contains("expected neither ', \\ nor"));
  }
  // A fault survives what is joined to it, from either side; the first one is told.
  const Filter bad = filter::tag("t") == "'\"";
  const Filter good = filter::tag("u") == "x";
  CHECK_THAT(fault(bad && good), contains("tags.`t`"));
  CHECK_THAT(fault(good && bad), contains("tags.`t`"));
  CHECK_FALSE(bad.empty());
}

TEST_CASE("filters are joined by AND", "[filter]") {
  const Filter a = filter::metric("a") < 1;
  const Filter b = filter::tag("b") == "x";
  CHECK(text(a && b) == "metrics.`a` < 1 AND tags.`b` = 'x'");
  CHECK(text(Filter() && a) == "metrics.`a` < 1");
  CHECK(text(a && Filter()) == "metrics.`a` < 1");
  CHECK((Filter() && Filter()).empty());
  CHECK(text("params.p = 'q'" && a && b) == "params.p = 'q' AND metrics.`a` < 1 AND tags.`b` = 'x'");
}

TEST_CASE("a value that ends in a backslash comes last, where no quote follows", "[filter]") {
  const Filter path = filter::tag("dir") == "C:\\";
  const Filter name = filter::tag("b") == "x";
  CHECK(text(path) == "tags.`dir` = 'C:\\'");
  CHECK(text(path && name) == "tags.`b` = 'x' AND tags.`dir` = 'C:\\'");
  CHECK(text(name && path && name) == "tags.`b` = 'x' AND tags.`b` = 'x' AND tags.`dir` = 'C:\\'");
  CHECK(text(filter::tag("dir") == "a\\b") == "tags.`dir` = 'a\\b'");
  CHECK_THAT(fault(path && path), contains("two values end in a backslash"));
}
