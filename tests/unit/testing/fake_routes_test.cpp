// The fake server's routes are those of the table of operations. What it doesn't have is listed, with reasons, in
// src/codegen/not_in_fake.txt, of which docs/fake-server.md is made.

#include <mlflowha/api/operations.hpp>
#include <mlflowha/core/uri.hpp>
#include <mlflowha/mlflowha.hpp>
#include <mlflowha/testing/fake_clock.hpp>
#include <mlflowha/testing/fake_transport.hpp>

#include <nlohmann/json.hpp>

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "support/catch.hpp"
#include "support/source_dir.hpp"

using namespace mlflowha::testing;
using mlflowha::Errc;
using mlflowha::Method;
using mlflowha::Request;
using mlflowha::Response;
using mlflowha_tests::contains;
namespace api = mlflowha::api;

namespace {

constexpr mlflowha::ServerVersion old_release{2, 22, 5};

/// The operation's path with "x" for each place.
std::string filled(std::string_view path) {
  std::string target(path);
  for (std::size_t open = target.find('{'); open != std::string::npos; open = target.find('{', open)) {
    target.replace(open, target.find('}', open) - open + 1, "x");
  }
  return target;
}

Response ask(FakeBackend& backend, Method method, const std::string& target, ServerVersion version) {
  Request request;
  request.method = method;
  request.target = target;
  return backend.handle(request, mlflowha::WallTime{}, version);
}

/// True for the answer to an operation that the fake doesn't have. (A server says NOT_IMPLEMENTED of multipart
/// uploads.)
bool is_left_out(const Response& response) {
  return response.status == 501 && response.body.find("mlflowha::testing") != std::string::npos;
}

std::set<std::string> listed() {
  std::ifstream file(mlflowha_tests::source_dir().parent_path() / "src/codegen/not_in_fake.txt");
  REQUIRE(file);
  std::set<std::string> names;
  for (std::string line; std::getline(file, line);) {
    if (line.substr(0, 1) != " ") continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) names.insert(word);
  }
  return names;
}

}  // namespace

TEST_CASE("FakeBackend: every operation has a handler or is listed as left out", "[testing][routes]") {
  FakeBackend backend;
  const std::set<std::string> left_out = listed();
  std::size_t seen = 0;  // of the list
  for (const api::Operation* row : api::operations) {
    const Response response = ask(backend, row->method, filled(row->path), ServerVersion::v3);
    INFO(row->name << ": " << response.status << ' ' << response.body);
    if (row->until != mlflowha::ServerVersion{}) {  // gone in the release that is imitated
      CHECK(response.status == 404);
      CHECK(left_out.count(std::string(row->name)) == 1);
      ++seen;
      continue;
    }
    CHECK(is_left_out(response) == (left_out.count(std::string(row->name)) == 1));
    CHECK(response.status != 405);
    if (!is_left_out(response)) continue;
    ++seen;
    CHECK_THAT(response.body, contains("\"error_code\": \"NOT_IMPLEMENTED\"") &&
                                  contains(std::string(row->name) + " (") && contains(std::string(row->path)));
  }
  CHECK(seen == left_out.size());
}

TEST_CASE("FakeBackend: as 2.22 it has the operations of 2.22", "[testing][routes]") {
  FakeBackend backend;
  int newer = 0;
  for (const api::Operation* row : api::operations) {
    if (row->since <= old_release) continue;
    const std::string target = filled(row->path);
    INFO(target);
    const int status = ask(backend, row->method, target, ServerVersion::v2).status;
    CHECK((status == 404 || status == 405));
    ++newer;
  }
  CHECK(newer > 130);
  CHECK(is_left_out(ask(backend, Method::post, "/api/2.0/mlflow/experiments/permissions/create", ServerVersion::v2)));
}

TEST_CASE("FakeBackend: paths are the table's, and what has none is not found", "[testing][routes]") {
  FakeBackend backend;
  const auto status = [&](Method method, const std::string& target) {
    return ask(backend, method, target, ServerVersion::v3).status;
  };
  const std::string search = "/api/2.0/mlflow/experiments/search?max_results=5";
  CHECK(status(Method::get, search) == 200);  // as MLflow's old clients ask
  CHECK(status(Method::get, "/ajax-api" + search.substr(4)) == 200);
  CHECK(status(Method::get, "/ajax-api/2.0/mlflow-artifacts/artifacts") == 200);
  // The more specific route wins, where its method fits.
  CHECK_THAT(ask(backend, Method::post, "/api/2.0/mlflow/logged-models/search", ServerVersion::v3).body,
             contains("'experiment_ids'"));
  CHECK_THAT(ask(backend, Method::get, "/api/2.0/mlflow/logged-models/search", ServerVersion::v3).body,
             contains("Logged model with ID 'search' not found."));
  // A path is decoded before its route is looked for: an encoded slash is one.
  CHECK_THAT(
      ask(backend, Method::get, "/api/2.0/mlflow/logged%2Dmodels/m%2F%61rtifacts/directories", ServerVersion::v3).body,
      contains("Logged model with ID 'm' not found."));
  CHECK(status(Method::get, "/api/2.0/mlflow/logged-models/a%2Fb") == 404);
  CHECK_THAT(ask(backend, Method::get, "/api/3.0/mlflow/mcp-servers/a%2Fb/versions/1", ServerVersion::v3).body,
             contains("get_mcp_server_version ("));
  // What only the web interface has is nowhere else; an API's version counts.
  CHECK(status(Method::post, "/api/2.0/mlflow/experiments/search-datasets") == 404);
  CHECK(status(Method::get, "/api/2.0/mlflow/logged-models/m/artifacts/files") == 404);
  CHECK(status(Method::get, "/api/3.0/mlflow/experiments/search") == 404);
  CHECK(status(Method::post, "/health") == 405);
  CHECK(status(Method::post, "/api/2.0/mlflow-artifacts/artifacts/a/b") == 405);
  for (const char* target : {"/", "/nonsense", "/api/2.0/mlflow/runs", "/api/2.0/mlflow/runs/get/more",
                             "/api/2.0/mlflow/logged-models/", "/api/2.0/mlflow-artifacts/artifacts/"}) {
    INFO(target);
    const Response response = ask(backend, Method::get, target, ServerVersion::v3);
    CHECK(response.status == 404);
    CHECK_THAT(response.body, contains("<p>The requested URL was not found on the server."));
  }
}

TEST_CASE("FakeBackend: a client says what the fake doesn't have, and asks once", "[testing][routes]") {
  auto clock = std::make_shared<FakeClock>();
  auto transport = std::make_shared<FakeTransport>(clock);
  auto backend = std::make_shared<FakeBackend>();
  transport->add("http://a:5000", backend);
  transport->add("http://b:5000", backend);
  mlflowha::ClientOptions options;
  options.endpoints = {"http://a:5000", "http://b:5000"};
  options.transport = transport;
  options.clock = clock;
  const auto client = mlflowha::Client::create(std::move(options)).value();
  const auto answer = client.call("list_gateway_secret_infos", "{}");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::not_implemented);
  CHECK(answer.error().error_code == "NOT_IMPLEMENTED");
  CHECK(answer.error().http_status == 501);
  CHECK_THAT(answer.error().message, contains("mlflowha::testing doesn't have list_gateway_secret_infos"));
  CHECK(answer.error().message.find("needs MLflow") == std::string::npos);  // it isn't the release
  CHECK(answer.error().attempts.size() == 1);
  CHECK(clock->sleeps().empty());
}
