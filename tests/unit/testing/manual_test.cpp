// docs/testing.md: its C++ is here and runs, and every fault script in it is parsed.

#include <mlflowha/testing/testing.hpp>

#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <variant>

#include "support/catch.hpp"
#include "support/source_dir.hpp"

using namespace mlflowha::testing;
using mlflowha::Method;

TEST_CASE("the manual: a server that loses an answer", "[testing][manual]") {
  auto clock = std::make_shared<FakeClock>();
  auto mlflow = std::make_shared<FakeBackend>();
  auto transport = std::make_shared<FakeTransport>(clock);
  transport->add("http://a:5000", mlflow, {when().method(Method::post).path("/runs/create").nth(1).apply_then_drop()});
  transport->add("http://b:5000", mlflow);

  mlflowha::Request request;
  request.method = Method::post;
  request.target = "/api/2.0/mlflow/runs/create";
  request.body = R"({"experiment_id": "0"})";
  const mlflowha::AttemptTimeouts timeouts{std::chrono::seconds(1), std::chrono::seconds(1)};
  const auto lost = transport->perform(mlflowha::parse_uri("http://a:5000").value(), request, timeouts, {});
  CHECK(std::holds_alternative<mlflowha::TransportFailure>(lost));
  CHECK(mlflow->runs().size() == 1);
}

TEST_CASE("the manual: its fault scripts are good", "[testing][manual]") {
  std::ifstream file(mlflowha_tests::source_dir().parent_path() / "docs/testing.md");
  REQUIRE(file);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::string fence = "```faults\n";
  int found = 0;
  for (std::size_t at = text.find(fence); at != std::string::npos; at = text.find(fence, at)) {
    at += fence.size();
    const std::string script = text.substr(at, text.find("```", at) - at);
    INFO(script);
    const auto parsed = FaultScript::parse(script);
    if (!parsed) FAIL(parsed.error().message);
    CHECK_FALSE(parsed->rules().empty());
    ++found;
  }
  CHECK(found == 7);

  // The tables show single conditions and actions in backticks, in the first column.
  int samples = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.substr(0, 3) != "| `") continue;
    const std::string cell = line.substr(2, line.find(" |", 2) - 2);
    if (cell == "`FaultProxy`" || cell.substr(0, 5) == "`Fake") continue;
    for (std::size_t open = cell.find('`'); open != std::string::npos;) {
      const std::size_t close = cell.find('`', open + 1);
      const std::string sample = cell.substr(open + 1, close - open - 1);
      INFO(sample);
      CHECK((FaultScript::parse(sample).has_value() ||
             FaultScript::parse("when " + sample + " -> black_hole").has_value()));
      ++samples;
      open = cell.find('`', close + 1);
    }
  }
  CHECK(samples >= 35);
}
