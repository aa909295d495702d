#include <mlflowha/testing/fake_server.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "support/in_time.hpp"
#include "testing_support.hpp"

using namespace mlflowha::testing;
using namespace std::chrono_literals;
using mlflowha::Progress;
using mlflowha::Response;
using mlflowha::TransportFailure;
using mlflowha::TransportResult;
using namespace mlflowha_tests;

namespace {

int status(const TransportResult& result) {
  const auto* response = std::get_if<Response>(&result);
  return response == nullptr ? 0 : response->status;
}

std::shared_ptr<FakeBackend> backend_of(ServerVersion version) {
  BackendOptions options;
  options.version = version;
  return std::make_shared<FakeBackend>(options);
}

}  // namespace

TEST_CASE("FakeServer: serves MLflow over HTTP", "[testing][fault]") {
  FakeServer server;
  CHECK(server.url() == "http://127.0.0.1:" + std::to_string(server.port()));
  CHECK(server.running());
  const TransportResult result = attempt(server.endpoint(), create_run_request());
  REQUIRE(status(result) == 200);
  CHECK(std::get<Response>(result).header("content-type") == "application/json");
  CHECK(server.backend()->counts().runs == 1);
  CHECK(server.requests() == 1);
  CHECK(server.connections() == 1);
}

TEST_CASE("FakeServer: connections are kept as the imitated server keeps them", "[testing][fault]") {
  SECTION("3.x keeps them") {
    FakeServer server(backend_of(ServerVersion::v3));
    RawClient client(server.port());
    for (int i = 0; i < 3; ++i) {
      client.send(raw_create_run());
      CHECK_THAT(client.read_until("\"inputs\": {}\n  }\n}"), contains("HTTP/1.1 200 OK\r\n"));
    }
    CHECK(server.connections() == 1);
    CHECK(server.requests() == 3);
  }
  SECTION("2.22 doesn't") {
    FakeServer server(backend_of(ServerVersion::v2));
    RawClient client(server.port());
    client.send(raw_create_run());
    CHECK_THAT(client.read_all(), contains("Connection: close\r\n"));
    CHECK(client.closed());
  }
  SECTION("unless the client asks for the end") {
    FakeServer server;
    RawClient client(server.port());
    client.send("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK_THAT(client.read_all(), ends_with("\r\n\r\nOK"));
    RawClient old(server.port());
    old.send("GET /health HTTP/1.0\r\n\r\n");
    CHECK_THAT(old.read_all(), ends_with("\r\n\r\nOK"));
  }
}

TEST_CASE("FakeServer: framing", "[testing][fault]") {
  FakeServer server;
  RawClient client(server.port());
  SECTION("a chunked body, in pieces") {
    const std::string head =
        "POST /api/2.0/mlflow/experiments/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    for (const std::string& piece :
         {head, std::string("8;x=y\r\n{\"name\":\r\n"), std::string("5\r\n\"abc"), std::string("\"\r\n"),
          std::string("1\r\n}\r\n0\r\nTrailer: x\r\n"), std::string("\r\n")}) {
      client.send(piece);
      std::this_thread::sleep_for(5ms);
    }
    CHECK_THAT(client.read_until("\n}"), contains("\"experiment_id\": \"1\""));
  }
  SECTION("Expect: 100-continue") {
    const std::string body = R"({"name": "continued"})";
    client.send(
        "POST /api/2.0/mlflow/experiments/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: "
        "100-continue\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n");
    CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(body);
    CHECK_THAT(client.read_until("\n}"), contains("\"experiment_id\": \"1\""));
  }
  SECTION("requests that arrive together are answered in order") {
    std::string all;
    for (int i = 0; i < 200; ++i) all += "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    client.send(all + "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const std::string answers = client.read_all();
    CHECK_THAT(answers, ends_with("3.17.2"));
    CHECK(server.requests() == 201);
  }
  SECTION("HEAD gets no body") {
    client.send("HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const std::string answer = client.read_all();
    CHECK_THAT(answer, contains("Content-Length: 2\r\n"));
    CHECK_THAT(answer, ends_with("\r\n\r\n"));
  }
  SECTION("other methods are known to HTTP but not here") {
    client.send("OPTIONS /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK_THAT(client.read_all(), starts_with("HTTP/1.1 405"));
  }
  SECTION("what is no HTTP") {
    for (const char* bad :
         {"nonsense\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
          "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n",
          "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
          "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
      INFO(bad);
      RawClient bad_client(server.port());
      bad_client.send(bad);
      CHECK_THAT(bad_client.read_all(), starts_with("HTTP/1.1 400"));
      CHECK(bad_client.closed());
    }
    CHECK(server.requests() == 0);
  }
}

TEST_CASE("FakeServer: stop and start keep the port", "[testing][fault]") {
  FakeServer server;
  const auto port = server.port();
  RawClient kept(port);
  kept.send(raw_create_run());
  CHECK_THAT(kept.read_until("\"inputs\""), contains("200 OK"));
  for (int i = 0; i < 3; ++i) {
    server.stop();
    CHECK_FALSE(server.running());
    CHECK(RawClient(port).error() == ECONNREFUSED);
    server.start();
    CHECK(server.port() == port);
    CHECK(status(attempt(server.endpoint(), create_run_request())) == 200);
  }
  kept.read_all();
  CHECK(kept.closed());
  CHECK(server.backend()->counts().runs == 4);
  server.start();  // again: nothing
  CHECK(status(attempt(server.endpoint(), create_run_request())) == 200);
}

TEST_CASE("FakeServer: kill resets what is open", "[testing][fault]") {
  FakeServer server;
  server.set_faults({when().delay(10s)});
  RawClient client(server.port());
  client.send(raw_create_run());
  REQUIRE(eventually([&] { return server.backend()->counts().runs == 1; }));
  server.kill();
  CHECK(client.read_all().empty());
  CHECK(client.error() == ECONNRESET);
  CHECK(RawClient(server.port()).error() == ECONNREFUSED);
}

TEST_CASE("FakeServer: a killed server applies nothing late", "[testing][fault]") {
  in_time(50ms, [](std::chrono::milliseconds delay) {
    FakeServer server;
    server.set_faults({when().apply_late(delay)});
    RawClient client(server.port());
    const Stopwatch sent;
    client.send(raw_create_run());
    client.read_all();
    server.kill();
    if (sent.elapsed() >= delay) return false;
    REQUIRE(client.closed());
    server.set_faults({});
    server.start();
    std::this_thread::sleep_for(2 * delay);
    CHECK(server.backend()->counts().runs == 0);
    return true;
  });
}

TEST_CASE("FakeServer: a paused server is silent, and what it missed depends on the version", "[testing][fault]") {
  for (const ServerVersion version : {ServerVersion::v3, ServerVersion::v2}) {
    const bool v3 = version == ServerVersion::v3;
    CAPTURE(v3);
    FakeServer server(backend_of(version));
    server.pause();
    const TransportResult lost = attempt(server.endpoint(), create_run_request(), 200ms);
    REQUIRE(std::holds_alternative<TransportFailure>(lost));
    CHECK(std::get<TransportFailure>(lost).progress == Progress::sent);
    RawClient patient(server.port());
    patient.send(raw_create_run());
    CHECK(patient.read_until("HTTP", 50ms).empty());
    CHECK(server.backend()->counts().runs == 0);
    server.resume();
    CHECK_THAT(patient.read_until("\"inputs\""), contains("HTTP/1.1 200"));
    // gunicorn works off what waits in the socket, uvicorn sees first that nobody waits for it.
    CHECK(eventually([&] { return server.connections() == 2; }));
    CHECK(server.backend()->counts().runs == (v3 ? 1U : 2U));
  }
}

TEST_CASE("FakeServer: half a credential is refused, not passed over", "[testing][fault]") {
  const auto refused = [](const char* username, const char* password, const char* bearer) {
    FakeServerOptions options;
    options.username = username;
    options.password = password;
    options.bearer = bearer;
    CHECK_THROWS_AS(FakeServer(std::make_shared<FakeBackend>(), options), mlflowha::Exception);
  };
  refused("bob", "", "");
  refused("", "secret", "");
  refused("bob", "secret", "token");
}

TEST_CASE("FakeServer: starting a paused server that is open changes nothing", "[testing][fault]") {
  FakeServer server;
  RawClient client(server.port());
  server.pause();
  client.send(raw_create_run());
  server.start();
  CHECK(client.read_until("HTTP", 50ms).empty());
  server.resume();
  CHECK_THAT(client.read_until("\"inputs\""), contains("HTTP/1.1 200"));
}

TEST_CASE("FakeServer: pausing holds back delayed answers", "[testing][fault]") {
  in_time(100ms, [](std::chrono::milliseconds delay) {
    FakeServer server;
    server.set_faults({when().delay(delay)});
    RawClient client(server.port());
    const Stopwatch sent;
    client.send(raw_create_run());
    const bool arrived = eventually([&] { return server.requests() == 1; });
    server.pause();
    if (sent.elapsed() >= delay) return false;
    REQUIRE(arrived);
    CHECK(client.read_until("HTTP", delay + 150ms).empty());
    server.resume();
    CHECK_THAT(client.read_until("\"inputs\""), contains("HTTP/1.1 200"));
    return true;
  });
}

TEST_CASE("FakeServer: a partition holds back what is on its way", "[testing][fault]") {
  in_time(100ms, [](std::chrono::milliseconds delay) {
    FakeServer server;
    server.set_faults({when().delay(delay)});
    RawClient client(server.port());
    const Stopwatch sent;
    client.send(raw_create_run());
    const bool arrived = eventually([&] { return server.requests() == 1; });
    server.set_faults({when().connect_hang()});
    if (sent.elapsed() >= delay) return false;
    REQUIRE(arrived);
    CHECK(client.read_until("HTTP", delay + 150ms).empty());
    CHECK_FALSE(client.closed());
    server.set_faults({});
    CHECK_THAT(client.read_until("\"inputs\""), contains("HTTP/1.1 200"));
    return true;
  });
}

TEST_CASE("FakeServer: once pause has returned nothing is handled, whatever had just arrived", "[testing][fault]") {
  FakeServer server;
  RawClient client(server.port());
  const std::string end = "\"inputs\": {}\n  }\n}";
  int late = 0;
  for (int i = 0; i < 300; ++i) {
    client.send(raw_create_run());
    server.pause();
    const std::uint64_t handled = server.requests();
    std::this_thread::sleep_for(200us);
    late += server.requests() == handled ? 0 : 1;
    server.resume();
    REQUIRE_THAT(client.read_until(end), contains("HTTP/1.1 200"));
  }
  CHECK(late == 0);
}

TEST_CASE("FakeServer: latency, and many clients at once", "[testing][fault]") {
  FakeServerOptions options;
  options.latency = 20ms;
  FakeServer server(std::make_shared<FakeBackend>(), options);
  const auto start = std::chrono::steady_clock::now();
  std::atomic<int> good{0};
  std::vector<std::thread> clients;
  for (int t = 0; t < 8; ++t) {
    clients.emplace_back([&] {
      for (int i = 0; i < 5; ++i) good += status(attempt(server.endpoint(), create_run_request())) == 200 ? 1 : 0;
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(good == 40);
  CHECK(server.backend()->counts().runs == 40);
  CHECK(std::chrono::steady_clock::now() - start >= 100ms);
}

TEST_CASE("FakeServer: several servers are a cluster on one database", "[testing][fault]") {
  const auto backend = std::make_shared<FakeBackend>();
  FakeServer a(backend);
  FakeServer b(backend);
  CHECK(status(attempt(a.endpoint(), create_run_request())) == 200);
  a.kill();
  CHECK(status(attempt(b.endpoint(), create_run_request())) == 200);
  CHECK(backend->counts().runs == 2);
}

TEST_CASE("FakeServer: asks for credentials", "[testing][fault]") {
  FakeServerOptions options;
  SECTION("basic") {
    options.username = "user";
    options.password = "pa:ss";
  }
  SECTION("bearer") { options.bearer = "token"; }
  FakeServer server(std::make_shared<FakeBackend>(), options);
  mlflowha::Request request = create_run_request();
  const TransportResult refused = attempt(server.endpoint(), request);
  CHECK(status(refused) == 401);
  CHECK_FALSE(std::get<Response>(refused).header("www-authenticate").empty());
  mlflowha::Request health;
  health.target = "/health";
  CHECK(status(attempt(server.endpoint(), health)) == 200);
  request.headers.push_back({"Authorization", "Basic d3Jvbmc="});
  CHECK(status(attempt(server.endpoint(), request)) == 401);
  request.headers[0].value = options.bearer.empty() ? "Basic dXNlcjpwYTpzcw==" : "Bearer token";
  CHECK(status(attempt(server.endpoint(), request)) == 200);
}

TEST_CASE("FakeServer: a port that is taken is an error", "[testing][fault]") {
  FakeServer first;
  FakeServerOptions options;
  options.port = first.port();
  CHECK_THROWS_AS(FakeServer(std::make_shared<FakeBackend>(), options), mlflowha::Exception);
}

TEST_CASE("FakeServer: can be destroyed at any time", "[testing][fault]") {
  for (int i = 0; i < 20; ++i) {
    FakeServer server;
    server.set_faults({when().every(2).delay(1h), when().every(3).drip(1)});
    RawClient client(server.port());
    client.send(raw_create_run() + raw_create_run());
    if (i % 4 == 1) server.pause();
    if (i % 4 == 2) server.stop();
  }
  SUCCEED();
}

TEST_CASE("FakeServer: times without end never come round", "[testing][fault]") {
  const auto backend = std::make_shared<FakeBackend>();
  FakeServerOptions options;
  std::uint64_t applied = 1;
  SECTION("a delay") { options.faults = {when().delay(mlflowha::Duration::max() - 1s), when().delay(2s)}; }
  SECTION("a drip") { options.faults = {when().drip(1e-300)}; }
  SECTION("applied late") {
    options.faults = {when().delay(1s), when().apply_late(mlflowha::Duration::max(), true)};
    applied = 0;
  }
  FakeServer server(backend, options);
  const TransportResult result = attempt(server.endpoint(), create_run_request(), 300ms);
  REQUIRE(std::holds_alternative<TransportFailure>(result));
  CHECK(to_string(std::get<TransportFailure>(result).fault) == "timeout");
  CHECK(backend->counts().runs == applied);
}
