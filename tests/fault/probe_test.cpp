// Side probes: carried along with other calls, never waited for, bounded, and fair to the endpoint however seldom those
// calls are.

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>
#include <vector>

#include "support/black_hole.hpp"
#include "support/http.hpp"
#include "support/raw_server.hpp"
#include "support/tls_server.hpp"

using namespace mlflowha_tests;
using mlflowha::ProbeResult;
using mlflowha::Progress;
using mlflowha::Transport;
using mlflowha::TransportFault;
using Clock = std::chrono::steady_clock;

namespace {

void polite(RawConnection& peer) {
  while (peer.read_request()) peer.send(ok_answer("probed"));
}

/// Polls until `count` probes have ended.
std::map<std::uint64_t, mlflowha::TransportResult> collect(Transport& transport, std::size_t count) {
  std::map<std::uint64_t, mlflowha::TransportResult> ended;
  const auto limit = Clock::now() + 15s;
  while (ended.size() < count && Clock::now() < limit) {
    for (ProbeResult& probe : transport.poll_probes(probe_owner)) ended.emplace(probe.id, std::move(probe.result));
    std::this_thread::yield();
  }
  CHECK(ended.size() == count);
  return ended;
}

/// Polls once in `pause`, as a program that makes few calls does; the probe's result.
ProbeResult collect_seldom(Transport& transport, std::chrono::milliseconds pause) {
  for (int calls = 0; calls < 40; ++calls) {
    std::this_thread::sleep_for(pause);
    if (std::vector<ProbeResult> ended = transport.poll_probes(probe_owner); !ended.empty())
      return std::move(ended.front());
  }
  FAIL("the probe never ended");
  return {};
}

/// Far less than the pauses that the tests make.
constexpr mlflowha::AttemptTimeouts hasty{60ms, 60ms};

}  // namespace

TEST_CASE("a transport without probes has none to give", "[fault][probe]") {
  const auto transport = make_transport();
  CHECK(transport->poll_probes(probe_owner).empty());
}

TEST_CASE("probes end each in its own way and are handed over once", "[fault][probe]") {
  RawServer server(polite);
  const BlackHole hole;
  const auto transport = make_transport();
  const auto begin = Clock::now();
  REQUIRE(transport->start_probe(probe_owner, 1, server.uri(), get("/probe"), patient));
  REQUIRE(transport->start_probe(probe_owner, 2, hole.uri(), get("/probe"), {200ms, 200ms}));
  REQUIRE(transport->start_probe(probe_owner, 3, refused_uri(), get("/probe"), patient));
  CHECK(Clock::now() - begin < 5s);
  auto ended = collect(*transport, 3);
  CHECK(answer_of(std::move(ended.at(1))).body == "probed");
  CHECK(failure_of(std::move(ended.at(2))).fault == TransportFault::connect_timeout);
  CHECK(failure_of(std::move(ended.at(3))).fault == TransportFault::connect_refused);
  CHECK(transport->poll_probes(probe_owner).empty());
  CHECK(server.requests().size() == 1);
}

TEST_CASE("polling does not wait", "[fault][probe]") {
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.wait_closed();
  });
  const auto transport = make_transport();
  REQUIRE(transport->start_probe(probe_owner, 1, server.uri(), get("/probe"), patient));
  const auto begin = Clock::now();
  for (int i = 0; i < 100; ++i) CHECK(transport->poll_probes(probe_owner).empty());
  CHECK(Clock::now() - begin < 5s);
}

TEST_CASE("a call that waits pushes the probes further", "[fault][probe]") {
  RawServer probed(polite);
  bool arrived = false;
  RawServer slow([&](RawConnection& peer) {
    if (!peer.read_request()) return;
    arrived = probed.wait_for_requests(1);  // only the waiting call can have brought it there
    peer.send(ok_answer());
  });
  const auto transport = make_transport();
  // More than libcurl hands to a socket in one go (64 KiB), so that start_probe() alone cannot have sent it.
  REQUIRE(transport->start_probe(probe_owner, 7, probed.uri(), post("/probe", std::string(512U << 10U, 'p')), patient));
  (void)answer_of(call(*transport, slow.uri(), get("/slow")));
  CHECK(arrived);
  auto ended = collect(*transport, 1);
  CHECK(answer_of(std::move(ended.at(7))).body == "probed");
}

TEST_CASE("probes are bounded, and one that can't be sent is not started", "[fault][probe]") {
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.wait_closed();
  });
  mlflowha::CurlTransportOptions options;
  options.max_probes = 2;
  const auto transport = make_transport(options);
  CHECK_FALSE(transport->start_probe(probe_owner, 0, server.uri(), get("no slash"), patient));
  CHECK_FALSE(transport->start_probe(probe_owner, 0, server.uri(), get("/x"), {0s, 1s}));
  CHECK(transport->start_probe(probe_owner, 1, server.uri(), get("/x"), {200ms, 200ms}));
  CHECK(transport->start_probe(probe_owner, 2, server.uri(), get("/x"), {200ms, 200ms}));
  CHECK_FALSE(transport->start_probe(probe_owner, 3, server.uri(), get("/x"), patient));
  (void)collect(*transport, 2);
  CHECK(transport->start_probe(probe_owner, 4, server.uri(), get("/x"), patient));
}

TEST_CASE("a transport may go while probes are under way", "[fault][probe]") {
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.wait_closed();
  });
  {
    const auto transport = make_transport();
    REQUIRE(transport->start_probe(probe_owner, 1, server.uri(), get("/x"), patient));
    (void)transport->poll_probes(probe_owner);
  }
  if (server.connections() > 0) CHECK(server.wait_for_ended(server.connections()));
}

TEST_CASE("a probe keeps what it needs of its request", "[fault][probe]") {
  RawServer server(polite);
  const auto transport = make_transport();
  {
    auto endpoint = std::make_unique<mlflowha::Uri>(server.uri());
    auto request = std::make_unique<mlflowha::Request>(post("/probe", std::string(100'000, 'p')));
    request->headers = {{"X-Probe", std::string(100, 'h')}};
    REQUIRE(transport->start_probe(probe_owner, 1, *endpoint, *request, patient));
  }
  auto ended = collect(*transport, 1);
  (void)answer_of(std::move(ended.at(1)));
  CHECK(server.requests().front().body == std::string(100'000, 'p'));
}

TEST_CASE("an answer that came in time counts, however late it is read", "[fault][probe][pause]") {
  const auto closes = GENERATE(false, true);
  RawServer server([&](RawConnection& peer) {
    while (peer.read_request() && peer.send(ok_answer("probed")) && !closes) {
    }
  });
  const auto transport = make_transport();
  REQUIRE(transport->start_probe(probe_owner, 1, server.uri(), get("/probe"), hasty));
  ProbeResult ended = collect_seldom(*transport, 200ms);
  CHECK(answer_of(std::move(ended.result)).body == "probed");
  CHECK(ended.unattended >= 200ms);  // so that nobody takes it for the endpoint's latency
}

TEST_CASE("each step of a probe may wait for the next call", "[fault][probe][pause]") {
  const TestAuthority authority;
  RawServer server(polite, tls_wrap({authority.issue("127.0.0.1"), ""}), "https");
  mlflowha::CurlTransportOptions options;
  options.tls.ca_file = authority.file();
  const auto transport = make_transport(options);
  REQUIRE(transport->start_probe(probe_owner, 1, server.uri(), get("/probe"), hasty));
  CHECK(answer_of(collect_seldom(*transport, 200ms).result).body == "probed");
}

TEST_CASE("a pause in which nothing came is the endpoint's", "[fault][probe][pause]") {
  RawServer silent([](RawConnection& peer) {
    if (peer.read_request()) peer.wait_closed();
  });
  const BlackHole hole;
  const auto transport = make_transport();
  REQUIRE(transport->start_probe(probe_owner, 1, hole.uri(), get("/probe"), hasty));
  CHECK(failure_of(collect_seldom(*transport, 200ms).result).fault == TransportFault::connect_timeout);
  REQUIRE(transport->start_probe(probe_owner, 2, silent.uri(), get("/probe"), hasty));
  const ProbeResult ended = collect_seldom(*transport, 200ms);
  CHECK(failure_of(ended.result).fault == TransportFault::timeout);
}

TEST_CASE("who sends a byte now and then is at its limit when somebody looks often", "[fault][probe][pause]") {
  RawServer server([](RawConnection& peer) {
    if (!peer.read_request()) return;
    bool there = peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    while (there && !peer.closed_within(1ms)) there = peer.send("x");
  });
  const auto transport = make_transport();
  REQUIRE(transport->start_probe(probe_owner, 1, server.uri(), get("/probe"), {1s, 1s}));
  CHECK(failure_of(collect_seldom(*transport, 60ms).result).fault == TransportFault::timeout);
}

TEST_CASE("a connection that is lost in a pause says nothing about the endpoint", "[fault][probe][pause]") {
  const auto last_words = GENERATE(as<std::string>(), "", answer(408, "", ""));
  RawServer server([&](RawConnection& peer) {
    if (peer.read_request()) peer.send(last_words);
  });
  constexpr mlflowha::AttemptTimeouts fair{2s, 2s};
  const auto transport = make_transport();
  REQUIRE(transport->start_probe(probe_owner, 1, server.uri(), get("/probe"), fair));
  CHECK(failure_of(collect_seldom(*transport, 300ms).result).fault == TransportFault::cancelled);

  REQUIRE(transport->start_probe(probe_owner, 2, server.uri(), get("/probe"), patient));
  auto ended = collect(*transport, 1);
  if (last_words.empty()) {
    CHECK(failure_of(std::move(ended.at(2))).fault == TransportFault::connection_lost);
  } else {
    CHECK(answer_of(std::move(ended.at(2))).status == 408);
  }
}

TEST_CASE("a handshake that the server gave up in a pause says nothing about it", "[fault][probe][pause]") {
  RawServer server([](RawConnection& peer) { (void)peer.skip(1); }, {}, "https");
  const auto transport = make_transport();
  REQUIRE(transport->start_probe(probe_owner, 1, server.uri(), get("/probe"), {2s, 2s}));
  CHECK(failure_of(collect_seldom(*transport, 300ms).result).fault == TransportFault::cancelled);
  REQUIRE(transport->start_probe(probe_owner, 2, server.uri(), get("/probe"), patient));
  auto ended = collect(*transport, 1);
  CHECK(failure_of(std::move(ended.at(2))).fault == TransportFault::tls);
}

TEST_CASE("a limit without end is never over", "[fault][probe][pause]") {
  RawServer server([](RawConnection& peer) {
    if (!peer.read_request()) return;
    std::this_thread::sleep_for(300ms);
    peer.send(ok_answer("probed"));
  });
  const auto transport = make_transport();
  REQUIRE(transport->start_probe(probe_owner, 1, server.uri(), get("/probe"), {200ms, mlflowha::Duration::max()}));
  for (int i = 0; i < 10; ++i) {
    CHECK(transport->poll_probes(probe_owner).empty());
    std::this_thread::sleep_for(10ms);
  }
  CHECK(answer_of(collect_seldom(*transport, 500ms).result).body == "probed");
}

TEST_CASE("each owner gets the results of its own probes", "[fault][probe]") {
  RawServer server(polite);
  const auto transport = make_transport();
  const mlflowha::ProbeOwner other = std::make_shared<const int>(0);
  REQUIRE(transport->start_probe(probe_owner, 1, server.uri(), get("/mine"), patient));
  REQUIRE(transport->start_probe(other, 1, server.uri(), get("/other"), patient));
  CHECK(collect(*transport, 1).count(1) == 1);
  std::this_thread::sleep_for(50ms);
  CHECK(transport->poll_probes(probe_owner).empty());
  std::vector<ProbeResult> others;
  for (const auto limit = Clock::now() + 15s; others.empty() && Clock::now() < limit;) {
    others = transport->poll_probes(other);
  }
  CHECK(others.size() == 1);
}

TEST_CASE("probes whose owner is gone take nobody's room", "[fault][probe]") {
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.wait_closed();
  });
  mlflowha::CurlTransportOptions options;
  options.max_probes = 1;
  const auto transport = make_transport(options);
  mlflowha::ProbeOwner other = std::make_shared<const int>(0);
  REQUIRE(transport->start_probe(other, 1, server.uri(), get("/other"), patient));
  CHECK_FALSE(transport->start_probe(probe_owner, 1, server.uri(), get("/mine"), patient));
  other.reset();
  CHECK(transport->start_probe(probe_owner, 1, server.uri(), get("/mine"), patient));
}
