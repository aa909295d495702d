// Answers that no decent server gives. Each must end in time, in bounded memory, with a failure that says what came.

#include <zlib.h>

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "support/http.hpp"
#include "support/raw_server.hpp"

using namespace mlflowha_tests;
using mlflowha::CurlTransportOptions;
using mlflowha::Progress;
using mlflowha::Resend;
using mlflowha::TransportFault;

namespace {

std::string compress(const std::string& text, int window_bits) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, static_cast<uLong>(text.size())) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}
std::string gzip(const std::string& text) { return compress(text, 15 + 16); }
std::string zlib(const std::string& text) { return compress(text, 15); }

/// Small caps, so that hitting them is quick.
CurlTransportOptions small_caps() {
  CurlTransportOptions options;
  options.max_response_bytes = 1U << 20U;
  options.max_header_bytes = 64U << 10U;
  return options;
}

/// Sends `start`, then `again` until the peer hangs up. Counts what the peer took.
struct Flood {
  std::string start;
  std::string again;
  std::shared_ptr<std::atomic<std::size_t>> taken = std::make_shared<std::atomic<std::size_t>>(0);
  void operator()(RawConnection& peer) const {
    if (!peer.read_request() || !peer.send(start)) return;
    while (peer.send(again)) *taken += again.size();
  }
};

}  // namespace

TEST_CASE("an answer that is not what it should be ends in a failure that says so", "[fault][hostile]") {
  struct Row {
    const char* what;
    std::string sent;
    TransportFault fault;
    TransportFault or_fault;  ///< libcurl's versions differ in how they call it
    Row(const char* name, std::string text, TransportFault one) : Row(name, std::move(text), one, one) {}
    Row(const char* name, std::string text, TransportFault one, TransportFault other)
        : what(name), sent(std::move(text)), fault(one), or_fault(other) {}
  };
  const std::string head = "HTTP/1.1 200 OK\r\n";
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  const Row row = GENERATE_COPY(
      Row{"TLS alert", std::string("\x15\x03\x01\x00\x02\x02\x46", 7), TransportFault::bad_http},
      Row{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", TransportFault::bad_http},
      Row{"HTTP/0.9", "<html>hello</html>", TransportFault::bad_http},
      Row{"NUL bytes", std::string(4096, '\0'), TransportFault::bad_http},
      Row{"a negative length", head + "Content-Length: -5\r\n\r\nhello", TransportFault::bad_http},
      Row{"nothing", "", TransportFault::connection_lost},
      Row{"half a status line", "HTTP/1.1 20", TransportFault::connection_lost, TransportFault::bad_http},
      Row{"half a body", head + "Content-Length: 100\r\n\r\nhalf", TransportFault::connection_lost},
      Row{"half a chunk", chunked + "10\r\nhalf", TransportFault::connection_lost},
      Row{"no last chunk", chunked + "4\r\nhalf\r\n", TransportFault::connection_lost},
      Row{"a chunk size of letters", chunked + "zz\r\nhalf\r\n0\r\n\r\n", TransportFault::connection_lost,
          TransportFault::bad_http},
      Row{"informational only", "HTTP/1.1 100 Continue\r\n\r\n", TransportFault::connection_lost},
      Row{"broken gzip", head + "Content-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip",
          TransportFault::bad_encoding},
      Row{"unknown encoding", head + "Content-Encoding: rot13\r\nContent-Length: 5\r\n\r\nuryyb",
          TransportFault::bad_encoding},
      Row{"a length beyond the cap", head + "Content-Length: 10000000000\r\n\r\n{", TransportFault::too_large});
  INFO(row.what);
  RawServer server([&row](RawConnection& peer) {
    if (peer.read_request()) peer.send(row.sent);
  });
  const auto transport = make_transport(small_caps());
  const auto failure = failure_of(call(*transport, server.uri(), post("/x", "{}")));
  CAPTURE(to_string(row.fault), to_string(failure.fault));
  CHECK((failure.fault == row.fault || failure.fault == row.or_fault));
  CHECK(failure.progress == Progress::sent);
  CHECK_FALSE(failure.detail.empty());
  CHECK(failure.detail.find('\0') == std::string::npos);
  CHECK(server.requests().size() == 1);
}

TEST_CASE("an answer to an upgrade that nobody asked for ends", "[fault][hostile]") {
  const bool hangs_up = GENERATE(true, false);
  RawServer server([&](RawConnection& peer) {
    if (!peer.read_request()) return;
    peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\n{}");
    if (!hangs_up) peer.wait_closed();
  });
  const auto transport = make_transport();
  const auto failure = failure_of(call(*transport, server.uri(), get("/x"), {300ms, 300ms}));
  CHECK(failure.progress == Progress::sent);
}

TEST_CASE("endless answers are cut off at the caps", "[fault][hostile]") {
  struct Row {
    const char* what;
    std::string start;
    std::string again;
  };
  const std::string head = "HTTP/1.1 200 OK\r\n";
  const std::string kilobytes(16384, 'x');
  const Row row = GENERATE_COPY(
      Row{"header lines", head, "X-Fill: " + std::string(1000, 'y') + "\r\n"},
      Row{"short header lines", head, "a:b\r\n"}, Row{"one header line", head + "X-Fill: ", kilobytes},
      Row{"folded lines", head + "X-Fill: a\r\n", " more\r\n"},
      Row{"informational answers", "", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"},
      Row{"a body without a length", head + "\r\n", kilobytes},
      Row{"a body in chunks", head + "Transfer-Encoding: chunked\r\n\r\n", "4000\r\n" + kilobytes + "\r\n"},
      Row{"trailers", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", "X-Fill: z\r\n"});
  INFO(row.what);
  const Flood flood{row.start, row.again};
  RawServer server(flood);
  const auto transport = make_transport(small_caps());
  const auto failure = failure_of(call(*transport, server.uri(), get("/x")));
  CHECK(failure.fault == TransportFault::too_large);
  CHECK(failure.progress == Progress::sent);
  REQUIRE(server.wait_for_ended(1));
  CHECK(flood.taken->load() < (16U << 20U));  // a cap and what the sockets hold
}

TEST_CASE("a compressed answer counts with its decoded size", "[fault][hostile]") {
  const std::string zeros(64U << 20U, '\0');  // packs to 64 KiB
  const bool with_gzip = GENERATE(true, false);
  const std::string bomb = with_gzip ? gzip(zeros) : zlib(zeros);
  REQUIRE(bomb.size() < (1U << 20U));
  RawServer server([&](RawConnection& peer) {
    while (peer.read_request()) {
      peer.send(answer(200, with_gzip ? "Content-Encoding: gzip\r\n" : "Content-Encoding: deflate\r\n", bomb));
    }
  });
  const auto transport = make_transport(small_caps());
  const auto failure = failure_of(call(*transport, server.uri(), get("/x")));
  CHECK(failure.fault == TransportFault::too_large);
  CHECK_THAT(failure.detail, contains("1048576 bytes"));

  // A request may allow more.
  auto request = get("/x");
  request.max_response_bytes = zeros.size();
  CHECK(answer_of(call(*transport, server.uri(), request)).body == zeros);
  request.max_response_bytes = zeros.size() - 1;
  CHECK(failure_of(call(*transport, server.uri(), request)).fault == TransportFault::too_large);
}

TEST_CASE("compressed answers are decoded", "[fault][hostile]") {
  const std::string text(100'000, 'a');
  const std::string packed = gzip(text);
  RawServer server([&](RawConnection& peer) {
    while (peer.read_request()) peer.send(answer(200, "Content-Encoding: gzip\r\n", packed));
  });
  const auto transport = make_transport();
  CHECK(answer_of(call(*transport, server.uri(), get("/x"))).body == text);
  CHECK_THAT(server.requests().front().head, contains("Accept-Encoding: gzip, deflate"));
}

TEST_CASE("a body may be as large as the cap", "[fault][hostile]") {
  const std::string body(1U << 20U, 'b');
  RawServer server([&](RawConnection& peer) {
    while (auto request = peer.read_request())
      peer.send(ok_answer(request->head.find("/more") == std::string::npos ? body : body + "b"));
  });
  const auto transport = make_transport(small_caps());
  CHECK(answer_of(call(*transport, server.uri(), get("/x"))).body == body);
  CHECK(failure_of(call(*transport, server.uri(), get("/more"))).fault == TransportFault::too_large);
  CHECK(answer_of(call(*transport, server.uri(), get("/x"))).body == body);
}

TEST_CASE("a byte now and then does not stretch an attempt", "[fault][hostile]") {
  const std::string start = GENERATE(std::string("H"), std::string("HTTP/1.1 200 OK\r\nX: "),
                                     std::string("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{"));
  RawServer server([&](RawConnection& peer) {
    if (!peer.read_request()) return;
    peer.send(start);
    while (!peer.closed_within(20ms) && peer.send("T")) {
    }
  });
  const auto transport = make_transport();
  const auto begin = std::chrono::steady_clock::now();
  const auto failure = failure_of(call(*transport, server.uri(), get("/x"), {200ms, 200ms}));
  const auto took = std::chrono::steady_clock::now() - begin;
  // "HTTTT" is no status line: found out before the time is up.
  if (start != "H") {
    CHECK(failure.fault == TransportFault::timeout);
    CHECK(took >= 190ms);  // libcurl counts in whole milliseconds
  }
  CHECK(failure.progress == Progress::sent);
  CHECK(took < 5s);
}

TEST_CASE("a body that ends where the connection ends is an answer", "[fault][hostile]") {
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.send("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\":1}");
  });
  const auto transport = make_transport();
  for (int i = 0; i < 2; ++i) CHECK(answer_of(call(*transport, server.uri(), post("/x", "{}"))).body == "{\"a\":1}");
  CHECK(server.connections() == 2);
}

TEST_CASE("more body than announced is cut and the connection dropped", "[fault][hostile]") {
  RawServer server([](RawConnection& peer) {
    while (peer.read_request()) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 500 forged\r\n\r\n");
  });
  const auto transport = make_transport();
  for (int i = 0; i < 2; ++i) {
    const auto response = answer_of(call(*transport, server.uri(), get("/x")));
    CHECK(response.status == 200);
    CHECK(response.body == "{}");
  }
  CHECK(server.connections() == 2);
}

TEST_CASE("headers come lower-cased, unfolded and only from the final head", "[fault][hostile]") {
  RawServer server([](RawConnection& peer) {
    if (!peer.read_request()) return;
    peer.send(
        "HTTP/1.1 103 Early Hints\r\nRetry-After: 1\r\n\r\n"
        "HTTP/1.1 503 Busy\r\nRetry-AFTER:  \t Mon, 99 Foo -1 \r\nX-Folded: one\r\n\t two\r\nX-Twice: 1\r\nX-twice: "
        "2\r\n"
        "Set-Cookie: a=b\r\nEmpty:\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2\r\n{}\r\n0\r\nLocation: http://elsewhere/\r\nRetry-After: 7\r\n\r\n");
    if (peer.read_request()) peer.send(ok_answer());
  });
  const auto transport = make_transport();
  const auto response = answer_of(call(*transport, server.uri(), get("/x")));
  CHECK(response.status == 503);
  CHECK(response.body == "{}");
  CHECK(response.header("retry-after") == "Mon, 99 Foo -1");
  CHECK(response.header("x-folded") == "one two");
  CHECK(response.header("x-twice") == "1");
  CHECK(response.header("empty").empty());
  CHECK(response.header("location").empty());
  CHECK(response.headers.size() == 7);

  (void)answer_of(call(*transport, server.uri(), get("/y")));
  CHECK_THAT(server.requests().back().head, !contains("Cookie"));
}
