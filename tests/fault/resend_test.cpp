// libcurl sends a request again by itself when a kept-alive connection dies without an answer. A create must not meet
// that: the server would apply it twice and the call plan would never know.

#include <algorithm>
#include <string>

#include "support/http.hpp"
#include "support/raw_server.hpp"

using namespace mlflowha_tests;
using mlflowha::Method;
using mlflowha::Progress;
using mlflowha::Request;
using mlflowha::Resend;
using mlflowha::TransportFault;

namespace {

/// Answers the first request of the first connection, reads the whole second one and hangs up. Later connections work.
void answer_once_then_hang_up(RawConnection& peer) {
  if (!peer.read_request()) return;
  peer.send(ok_answer());
  if (peer.index() == 0) {
    (void)peer.read_request();
    return;
  }
  while (peer.read_request()) peer.send(ok_answer());
}

long count_of(const RawServer& server, const std::string& target) {
  const auto requests = server.requests();
  return std::count_if(requests.begin(), requests.end(),
                       [&](const RawRequest& request) { return request.head.find(target + " ") != std::string::npos; });
}

}  // namespace

TEST_CASE("a create whose connection dies without an answer is sent exactly once", "[fault][resend]") {
  RawServer server(answer_once_then_hang_up);
  const auto transport = make_transport();
  // Larger than one upload buffer of libcurl (64 KiB), and tiny.
  const std::size_t size = GENERATE(std::size_t{1}, std::size_t{200}, std::size_t{300'000});

  (void)answer_of(call(*transport, server.uri(), get("/first")));
  const auto failure = failure_of(call(*transport, server.uri(), post("/create", std::string(size, 'x'))));
  CHECK(failure.fault == TransportFault::connection_lost);
  CHECK(failure.progress == Progress::sent);
  CHECK(count_of(server, "/create") == 1);
  CHECK_THAT(failure.detail, contains("not sent again"));

  // The transport is as good as new.
  CHECK(answer_of(call(*transport, server.uri(), post("/create2", "y"))).status == 200);
  CHECK(count_of(server, "/create2") == 1);
}

TEST_CASE("a create over a connection that is reset is sent exactly once", "[fault][resend]") {
  RawServer server([](RawConnection& peer) {
    if (!peer.read_request()) return;
    peer.send(ok_answer());
    if (peer.read_request()) peer.reset_on_close();
  });
  const auto transport = make_transport();
  (void)answer_of(call(*transport, server.uri(), get("/first")));
  const auto failure = failure_of(call(*transport, server.uri(), post("/create", "{}")));
  CHECK(failure.fault == TransportFault::connection_lost);
  CHECK(failure.progress == Progress::sent);
  CHECK(count_of(server, "/create") == 1);
}

TEST_CASE("a write without a body that must not be repeated is sent exactly once", "[fault][resend]") {
  RawServer server([](RawConnection& peer) {
    while (auto request = peer.read_request()) {
      if (request->head.find("/remove") != std::string::npos) return;  // read and hang up
      peer.send(ok_answer());
    }
  });
  const auto transport = make_transport();
  Request request;
  request.method = GENERATE(Method::del, Method::post, Method::put, Method::patch, Method::get);
  request.target = "/remove";
  request.resend = Resend::forbidden;
  (void)answer_of(call(*transport, server.uri(), get("/first")));
  const auto failure = failure_of(call(*transport, server.uri(), request));
  CHECK(failure.fault == TransportFault::connection_lost);
  CHECK(failure.progress == Progress::sent);
  CHECK(count_of(server, "/remove") == 1);
  CHECK(server.connections() == 2);  // not on the kept-alive one, which libcurl would have retried

  // The next call may use a kept-alive connection again.
  (void)answer_of(call(*transport, server.uri(), get("/again")));
  CHECK(server.connections() == 2);
}

TEST_CASE("what may be repeated is repeated by libcurl, unseen", "[fault][resend]") {
  // Shows that the tests above test something: the same server, the same request, only the permission differs.
  RawServer server(answer_once_then_hang_up);
  const auto transport = make_transport();
  (void)answer_of(call(*transport, server.uri(), get("/first")));
  CHECK(answer_of(call(*transport, server.uri(), post("/same", "{}", Resend::allowed))).status == 200);
  CHECK(count_of(server, "/same") == 2);
  CHECK(server.connections() == 2);
}

TEST_CASE("a connection that the server closed while it was idle hurts nobody", "[fault][resend]") {
  // libcurl looks at a kept-alive connection before it writes to it; one that was closed by then is replaced.
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.send(ok_answer());
  });
  const auto transport = make_transport();
  (void)answer_of(call(*transport, server.uri(), get("/first")));
  REQUIRE(server.wait_for_ended(1));
  CHECK(answer_of(call(*transport, server.uri(), post("/create", "{}"))).status == 200);
  CHECK(count_of(server, "/create") == 1);
  CHECK(server.connections() == 2);
}

TEST_CASE("bytes that nobody asked for are not taken for the next answer", "[fault][resend]") {
  RawServer server([](RawConnection& peer) {
    if (!peer.read_request()) return;
    if (peer.index() > 0) {
      peer.send(ok_answer("mine"));
    } else {
      peer.send(ok_answer("first") + ok_answer("forged"));
    }
    peer.wait_closed();
  });
  const auto transport = make_transport();
  CHECK(answer_of(call(*transport, server.uri(), get("/first"))).body == "first");
  CHECK(answer_of(call(*transport, server.uri(), post("/create", "{}"))).body == "mine");
}

TEST_CASE("connections are kept alive, but not for longer than max_idle_age", "[fault][resend]") {
  RawServer server([](RawConnection& peer) {
    while (peer.read_request()) peer.send(ok_answer());
  });
  {
    const auto transport = make_transport();
    for (int i = 0; i < 5; ++i) (void)answer_of(call(*transport, server.uri(), post("/create", "{}")));
    CHECK(server.connections() == 1);
  }
  mlflowha::CurlTransportOptions options;
  options.max_idle_age = std::chrono::nanoseconds(1);
  const auto transport = make_transport(options);
  for (int i = 0; i < 3; ++i) (void)answer_of(call(*transport, server.uri(), post("/create", "{}")));
  CHECK(server.connections() == 4);
}

TEST_CASE("a slot keeps one connection for each endpoint of a list", "[fault][resend]") {
  const auto polite = [](RawConnection& peer) {
    while (peer.read_request()) peer.send(ok_answer());
  };
  RawServer a(polite);
  RawServer b(polite);
  RawServer c(polite);
  const auto transport = make_transport();
  for (int i = 0; i < 4; ++i) {
    for (const RawServer* server : {&a, &b, &c}) {
      (void)answer_of(call(*transport, server->uri("/prefix"), get("/x?i=" + std::to_string(i))));
    }
  }
  CHECK(a.connections() == 1);
  CHECK(b.connections() == 1);
  CHECK(c.connections() == 1);
  CHECK_THAT(c.requests().back().head, starts_with("GET /prefix/x?i=3 HTTP/1.1\r\n"));
}
