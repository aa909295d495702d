// What leaves the machine: method, headers, credentials and body, byte by byte; and what is refused before it leaves.

#include <cstdlib>
#include <string>

#include "support/http.hpp"
#include "support/raw_server.hpp"

using namespace mlflowha_tests;
using mlflowha::CurlTransportOptions;
using mlflowha::Method;
using mlflowha::Progress;
using mlflowha::Request;
using mlflowha::Resend;
using mlflowha::TransportFault;

namespace {

void polite(RawConnection& peer) {
  while (peer.read_request()) peer.send(ok_answer());
}

std::string lines(const RawRequest& request) { return request.head + "\r\n"; }

}  // namespace

TEST_CASE("each method is sent as it should be, on one handle in any order", "[fault][request]") {
  RawServer server(polite);
  const auto transport = make_transport();
  struct Row {
    Method method;
    std::string body;
    Resend resend;
    std::string line;
    std::string length;  ///< "" = no Content-Length
  };
  std::vector<Row> rows;
  for (const Resend resend : {Resend::allowed, Resend::forbidden}) {
    rows.push_back({Method::get, "ignored", resend, "GET /p HTTP/1.1\r\n", ""});
    rows.push_back({Method::post, "abc", resend, "POST /p HTTP/1.1\r\n", "3"});
    rows.push_back({Method::post, "", resend, "POST /p HTTP/1.1\r\n", "0"});
    rows.push_back({Method::put, "abcd", resend, "PUT /p HTTP/1.1\r\n", "4"});
    rows.push_back({Method::put, "", resend, "PUT /p HTTP/1.1\r\n", "0"});
    rows.push_back({Method::patch, "a", resend, "PATCH /p HTTP/1.1\r\n", "1"});
    rows.push_back({Method::del, "ab", resend, "DELETE /p HTTP/1.1\r\n", "2"});
    rows.push_back({Method::del, "", resend, "DELETE /p HTTP/1.1\r\n", ""});
  }
  // Every method after every other one: nothing of the last request may stay on the handle.
  for (const Row& before : rows) {
    for (const Row& row : rows) {
      for (const Row* each : {&before, &row}) {
        Request request = post("/p", each->body, each->resend);
        request.method = each->method;
        (void)answer_of(call(*transport, server.uri(), request));
      }
      const RawRequest seen = server.requests().back();
      INFO(lines(seen));
      CHECK_THAT(seen.head, starts_with(row.line));
      CHECK(seen.body == (row.length.empty() ? "" : row.body));
      if (row.length.empty()) {
        CHECK_THAT(lines(seen), !contains("Content-"));
      } else {
        CHECK_THAT(lines(seen), contains("\r\nContent-Length: " + row.length + "\r\n"));
        CHECK_THAT(lines(seen), contains("\r\nContent-Type: application/json\r\n"));
      }
    }
  }
}

TEST_CASE("headers are sent as given", "[fault][request]") {
  RawServer server(polite);
  CurlTransportOptions options;
  options.user_agent = "agent/1";
  const auto transport = make_transport(options);
  Request request = post("/x?a=%20/../b", std::string(3U << 20U, 'x'));
  request.headers = {{"X-Request-Id", "id-1"}, {"X-Empty", ""}, {"X-Text", "a: b; c\t\xC3\xA4"}};
  request.content_type = "";
  (void)answer_of(call(*transport, server.uri("/ml/../flow"), request));
  const std::string head = lines(server.requests().back());
  CHECK_THAT(head, starts_with("POST /ml/../flow/x?a=%20/../b HTTP/1.1\r\n"));
  CHECK_THAT(head, contains("\r\nX-Request-Id: id-1\r\n"));
  CHECK_THAT(head, contains("\r\nX-Empty:\r\n"));
  CHECK_THAT(head, contains("\r\nX-Text: a: b; c\t\xC3\xA4\r\n"));
  CHECK_THAT(head, contains("\r\nUser-Agent: agent/1\r\n"));
  CHECK_THAT(head, !contains("Content-Type"));
  CHECK_THAT(head, !contains("Expect"));
  CHECK_THAT(head, !contains("Authorization"));

  (void)answer_of(call(*transport, server.uri(), get("/y")));
  CHECK_THAT(lines(server.requests().back()), !contains("X-Request-Id"));
}

TEST_CASE("no request waits for a 100 Continue", "[fault][request]") {
  RawServer server(polite);
  const auto transport = make_transport();
  for (const Method method : {Method::post, Method::put, Method::patch}) {
    for (const mlflowha::Resend resend : {mlflowha::Resend::allowed, mlflowha::Resend::forbidden}) {
      for (const std::size_t size : {1U, 64U << 10U, (64U << 10U) + 1, (1U << 20U) + 1}) {
        Request request = post("/x", std::string(size, 'x'), resend);
        request.method = method;
        CHECK(answer_of(call(*transport, server.uri(), request)).status == 200);
        CHECK_THAT(lines(server.requests().back()), !contains("Expect"));
      }
    }
  }
}

TEST_CASE("credentials go into the Authorization header", "[fault][request]") {
  RawServer server(polite);
  CurlTransportOptions options;
  options.auth.bearer_token = "token";
  std::string expected = "Bearer token";
  SECTION("bearer") {}
  SECTION("basic wins over bearer") {
    options.auth.username = "Aladdin";
    options.auth.password = "open sesame";
    expected = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";  // RFC 7617 section 2
  }
  const auto transport = make_transport(options);
  (void)answer_of(call(*transport, server.uri(), get("/x")));
  CHECK_THAT(lines(server.requests().back()), contains("\r\nAuthorization: " + expected + "\r\n"));

  Request request = get("/x");
  request.headers = {{"authorization", "Own abc"}};
  (void)answer_of(call(*transport, server.uri(), request));
  CHECK_THAT(lines(server.requests().back()), contains("\r\nauthorization: Own abc\r\n"));
  CHECK_THAT(lines(server.requests().back()), !contains(expected));
}

TEST_CASE("what can't be sent as it is never leaves", "[fault][request]") {
  RawServer server(polite);
  const auto transport = make_transport();
  Request request = post("/x", "{}");
  mlflowha::Uri endpoint = server.uri();
  SECTION("a line end in a header value") { request.headers = {{"X-A", "b\r\nX-Forged: c"}}; }
  SECTION("a line end in a header name") { request.headers = {{"X-A\r\nX-Forged", "c"}}; }
  SECTION("a NUL in a header value") { request.headers = {{"X-A", std::string("b\0c", 3)}}; }
  SECTION("a second framing") { request.headers = {{"Transfer-Encoding", "chunked"}}; }
  SECTION("a line end in the content type") { request.content_type = "a\nX-Forged: b"; }
  SECTION("a line end in the target") { request.target = "/x HTTP/1.1\r\nX-Forged: c\r\n\r\n"; }
  SECTION("a fragment in the target") { request.target = "/x#y"; }
  SECTION("a target that continues the host") { request.target = "@elsewhere/"; }
  SECTION("a target that continues the port") { request.target = "1/x"; }
  SECTION("user info in the host") { endpoint.host = "127.0.0.1:1@" + endpoint.host; }
  SECTION("another scheme") { endpoint.scheme = "ftp"; }
  SECTION("a line end in the prefix") { endpoint.prefix = "/a\r\nX-Forged: b"; }
  const auto failure = failure_of(call(*transport, endpoint, request));
  CHECK(failure.fault == TransportFault::bad_request);
  CHECK(failure.progress == Progress::not_sent);
  CHECK_FALSE(failure.detail.empty());
  // A refused request leaves the transport usable, and not even a connect came before.
  CHECK(answer_of(call(*transport, server.uri(), get("/fine"))).status == 200);
  CHECK(server.connections() == 1);
  CHECK_THAT(lines(server.requests().back()), starts_with("GET /fine HTTP/1.1\r\n"));
}

TEST_CASE("redirects are not followed and carry nothing elsewhere", "[fault][redirect]") {
  RawServer elsewhere(polite);
  const int status = GENERATE(300, 301, 302, 303, 307, 308);
  const bool away = GENERATE(true, false);
  RawServer server([&](RawConnection& peer) {
    while (peer.read_request()) {
      const std::string target = away ? elsewhere.uri().base() + "/login?token=hidden" : "/other";
      peer.send(answer(status, "Location: " + target + "\r\n", ""));
    }
  });
  CurlTransportOptions options;
  options.auth.bearer_token = "token";
  const auto transport = make_transport(options);
  const auto failure = failure_of(call(*transport, server.uri(), post("/x", "{}")));
  CHECK(failure.fault == TransportFault::redirect_refused);
  CHECK(failure.progress == Progress::answered);
  CHECK_THAT(failure.detail, contains(away ? elsewhere.uri().base() + "/login" : "/other"));
  CHECK_THAT(failure.detail, !contains("hidden"));
  CHECK_THAT(failure.detail, contains(away ? "configure that address" : "path prefix"));
  CHECK(elsewhere.connections() == 0);
  CHECK(server.requests().size() == 1);
}

TEST_CASE("an answer in the 300s without a Location is an answer", "[fault][redirect]") {
  RawServer server([](RawConnection& peer) {
    while (peer.read_request()) peer.send("HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n");
  });
  const auto transport = make_transport();
  CHECK(answer_of(call(*transport, server.uri(), get("/x"))).status == 304);
}

TEST_CASE("each request goes to its own endpoint and target", "[fault][request]") {
  RawServer one(polite);
  RawServer other(polite);
  const auto transport = make_transport();
  for (const char* target : {"/a", "/a?b=1", "/a?b=2", "/b/../a", "/a"}) {
    for (RawServer* server : {&one, &other}) {
      (void)answer_of(call(*transport, server->uri("/ml"), get(target)));
      CHECK_THAT(server->requests().back().head, starts_with("GET /ml" + std::string(target) + " HTTP/1.1\r\n"));
    }
  }
  CHECK(one.connections() == 1);
  CHECK(other.connections() == 1);
}

TEST_CASE("the environment's proxy is used unless told otherwise", "[fault][proxy]") {
  RawServer proxy(polite);
  RawServer server(polite);
  struct Environment {
    explicit Environment(const std::string& address) {
      ::setenv("http_proxy", address.c_str(), 1);
      ::unsetenv("no_proxy");
      ::unsetenv("NO_PROXY");
    }
    ~Environment() { ::unsetenv("http_proxy"); }
  };
  CurlTransportOptions options;
  auto earlier = mlflowha::make_curl_transport(options).value();
  const Environment environment(proxy.uri().base());
  auto through = mlflowha::make_curl_transport(options).value();
  (void)answer_of(call(*through, server.uri(), get("/x")));
  CHECK_THAT(proxy.requests().back().head, starts_with("GET " + server.uri().base() + "/x HTTP/1.1\r\n"));
  CHECK(server.connections() == 0);

  options.use_environment_proxy = false;
  auto direct = mlflowha::make_curl_transport(options).value();
  (void)answer_of(call(*direct, server.uri(), get("/x")));
  CHECK(server.connections() == 1);

  // A transport that was made when there was no proxy goes on without one.
  (void)answer_of(call(*earlier, server.uri(), get("/x")));
  CHECK(server.connections() == 2);
}
