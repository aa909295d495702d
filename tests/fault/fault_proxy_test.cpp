#include <mlflowha/testing/fake_server.hpp>
#include <mlflowha/testing/fault_proxy.hpp>

#include <chrono>
#include <string>
#include <variant>

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

/// Says what it is told, byte by byte, to whoever connects; one connection after the other.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::string answer, bool close_after = true)
      : answer_(std::move(answer)), close_(close_after) {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    ::listen(fd_, 8);
    socklen_t length = sizeof address;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    endpoint.scheme = "http";
    endpoint.host = "127.0.0.1";
    endpoint.port = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedServer() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  mlflowha::Uri endpoint;
  std::string request;  // read it after the answer has arrived

 private:
  void serve() {
    for (;;) {
      const int client = ::accept(fd_, nullptr, nullptr);
      if (client < 0) return;
      char bytes[4096];
      const ssize_t count = ::recv(client, bytes, sizeof bytes, 0);
      if (count > 0) request.assign(bytes, static_cast<std::size_t>(count));
      ::send(client, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      if (!close_) ::recv(client, bytes, sizeof bytes, 0);  // until the proxy closes
      ::close(client);
    }
  }

  const std::string answer_;
  const bool close_;
  int fd_ = -1;
  std::thread thread_;
};

}  // namespace

TEST_CASE("FaultProxy: without faults it passes everything on", "[testing][fault]") {
  FakeServer server;
  FaultProxy proxy(server.endpoint());
  RawClient client(proxy.port());
  for (int i = 0; i < 3; ++i) {
    client.send(raw_create_run());
    CHECK_THAT(client.read_until("\"inputs\": {}\n  }\n}"), contains("HTTP/1.1 200 OK\r\n"));
  }
  client.send("HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK_THAT(client.read_until("\r\n\r\n"), contains("Content-Length: 2\r\n"));
  CHECK(server.backend()->counts().runs == 3);
  CHECK(proxy.connections() == 1);
  CHECK(proxy.requests() == 4);
  CHECK(proxy.forwarded() == 4);
}

TEST_CASE("FaultProxy: understands how answers are framed", "[testing][fault]") {
  const auto ask = [](ScriptedServer& server) {
    FaultProxy proxy(server.endpoint);
    RawClient client(proxy.port());
    client.send("GET /x?y=1 HTTP/1.1\r\nHost: original\r\nX-Mine: 1\r\nConnection: close\r\n\r\n");
    return client.read_all();
  };
  SECTION("chunks") {
    ScriptedServer server(
        "HTTP/1.1 200 Fine\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", false);
    CHECK(ask(server) == "HTTP/1.1 200 Fine\r\nX-A: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde");
    CHECK_THAT(server.request,
               starts_with("GET /x?y=1 HTTP/1.1\r\nHost: original\r\nX-Mine: 1\r\nConnection: close\r\n\r\n"));
  }
  SECTION("a length") {
    ScriptedServer server("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nokay", false);
    CHECK_THAT(ask(server), ends_with("\r\n\r\nok"));
  }
  SECTION("the end of the connection") {
    ScriptedServer server("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    CHECK_THAT(ask(server), ends_with("Content-Length: 13\r\nConnection: close\r\n\r\nuntil the end"));
  }
  SECTION("no body by status") {
    ScriptedServer server("HTTP/1.1 204 No Content\r\n\r\n", false);
    CHECK(ask(server) == "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
  }
  SECTION("an interim answer before the real one") {
    ScriptedServer server("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false);
    CHECK_THAT(ask(server), starts_with("HTTP/1.1 200 OK"));
  }
  SECTION("an answer that is cut short is a dead connection") {
    ScriptedServer server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    CHECK(ask(server).empty());
  }
  SECTION("what is no HTTP is a dead connection") {
    ScriptedServer server("\x15\x03\x01 whatever\r\n\r\n");
    CHECK(ask(server).empty());
  }
}

TEST_CASE("FaultProxy: a server that is down is a reset", "[testing][fault]") {
  FakeServer server;
  FaultProxy proxy(server.endpoint());
  server.stop();
  RawClient client(proxy.port());
  client.send(raw_create_run());
  CHECK(client.read_all().empty());
  CHECK(client.error() == ECONNRESET);
  server.start();
  CHECK(status(attempt(proxy.endpoint(), create_run_request())) == 200);
  server.set_faults({when().black_hole()});
  RawClient waiting(proxy.port());
  waiting.send(raw_create_run());
  REQUIRE(eventually([&] { return server.requests() == 2; }));
  server.kill();
  CHECK(waiting.read_all().empty());
  CHECK(waiting.closed());
}

TEST_CASE("FaultProxy: when the client goes, the server notices", "[testing][fault]") {
  FakeServer server;
  FaultProxy proxy(server.endpoint());
  server.pause();
  {
    RawClient client(proxy.port());
    client.send(raw_create_run());
    REQUIRE(eventually([&] { return proxy.requests() == 1; }));
  }
  std::this_thread::sleep_for(500ms);  // for the proxy to see the client's end and to close its own connection
  server.resume();                     // 3.x drops what nobody waits for
  CHECK(eventually([&] { return server.connections() == 1; }));
  std::this_thread::sleep_for(20ms);
  CHECK(server.backend()->counts().runs == 0);
}

TEST_CASE("FaultProxy: what is applied on purpose is applied even if the client goes", "[testing][fault]") {
  FakeServerOptions options;
  options.latency = 100ms;
  FakeServer server(std::make_shared<FakeBackend>(), options);
  FaultProxy proxy(server.endpoint());
  proxy.set_faults({when().apply_then_drop()});
  {
    RawClient client(proxy.port());
    client.send(raw_create_run());
    REQUIRE(eventually([&] { return proxy.requests() == 1; }));
  }
  CHECK(eventually([&] { return server.backend()->counts().runs == 1; }));
}

TEST_CASE("FaultProxy: the prefix of the server's address is put before targets", "[testing][fault]") {
  ScriptedServer server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false);
  server.endpoint.prefix = "/mlflow";
  FaultProxy proxy(server.endpoint);
  RawClient client(proxy.port());
  client.send("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK_THAT(client.read_all(), ends_with("ok"));
  CHECK_THAT(server.request, starts_with("GET /mlflow/health HTTP/1.1\r\n"));
}

TEST_CASE("FaultProxy: stop, start, pause and resume", "[testing][fault]") {
  FakeServer server;
  FaultProxy proxy(server.endpoint());
  proxy.stop();
  CHECK(RawClient(proxy.port()).error() == ECONNREFUSED);
  proxy.start();
  CHECK(status(attempt(proxy.endpoint(), create_run_request())) == 200);
  proxy.pause();
  const TransportResult lost = attempt(proxy.endpoint(), create_run_request(), 100ms);
  REQUIRE(std::holds_alternative<TransportFailure>(lost));
  CHECK(std::get<TransportFailure>(lost).progress == Progress::sent);
  proxy.resume();
  CHECK(status(attempt(proxy.endpoint(), create_run_request())) == 200);
  proxy.kill();
  CHECK(RawClient(proxy.port()).error() == ECONNREFUSED);
}

TEST_CASE("FaultProxy: addresses that can't be proxied are errors", "[testing][fault]") {
  CHECK_THROWS_AS(FaultProxy(mlflowha::parse_uri("https://127.0.0.1:1").value()), mlflowha::Exception);
  CHECK_THROWS_AS(FaultProxy(mlflowha::parse_uri("http://no-such-host.invalid:1").value()), mlflowha::Exception);
}
