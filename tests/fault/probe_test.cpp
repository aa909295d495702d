// Side probes: carried along with other calls, never waited for, bounded.

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>
#include <vector>

#include "support/black_hole.hpp"
#include "support/http.hpp"
#include "support/raw_server.hpp"

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
    for (ProbeResult& probe : transport.poll_probes()) ended.emplace(probe.id, std::move(probe.result));
    std::this_thread::yield();
  }
  CHECK(ended.size() == count);
  return ended;
}

}  // namespace

TEST_CASE("a transport without probes has none to give", "[fault][probe]") {
  const auto transport = make_transport();
  CHECK(transport->poll_probes().empty());
}

TEST_CASE("probes end each in its own way and are handed over once", "[fault][probe]") {
  RawServer server(polite);
  const BlackHole hole;
  const auto transport = make_transport();
  const auto begin = Clock::now();
  REQUIRE(transport->start_probe(1, server.uri(), get("/probe"), patient));
  REQUIRE(transport->start_probe(2, hole.uri(), get("/probe"), {200ms, 200ms}));
  REQUIRE(transport->start_probe(3, refused_uri(), get("/probe"), patient));
  CHECK(Clock::now() - begin < 5s);
  auto ended = collect(*transport, 3);
  CHECK(answer_of(std::move(ended.at(1))).body == "probed");
  CHECK(failure_of(std::move(ended.at(2))).fault == TransportFault::connect_timeout);
  CHECK(failure_of(std::move(ended.at(3))).fault == TransportFault::connect_refused);
  CHECK(transport->poll_probes().empty());
  CHECK(server.requests().size() == 1);
}

TEST_CASE("polling does not wait", "[fault][probe]") {
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.wait_closed();
  });
  const auto transport = make_transport();
  REQUIRE(transport->start_probe(1, server.uri(), get("/probe"), patient));
  const auto begin = Clock::now();
  for (int i = 0; i < 100; ++i) CHECK(transport->poll_probes().empty());
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
  REQUIRE(transport->start_probe(7, probed.uri(), post("/probe", std::string(512U << 10U, 'p')), patient));
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
  CHECK_FALSE(transport->start_probe(0, server.uri(), get("no slash"), patient));
  CHECK_FALSE(transport->start_probe(0, server.uri(), get("/x"), {0s, 1s}));
  CHECK(transport->start_probe(1, server.uri(), get("/x"), {200ms, 200ms}));
  CHECK(transport->start_probe(2, server.uri(), get("/x"), {200ms, 200ms}));
  CHECK_FALSE(transport->start_probe(3, server.uri(), get("/x"), patient));
  (void)collect(*transport, 2);
  CHECK(transport->start_probe(4, server.uri(), get("/x"), patient));
}

TEST_CASE("a transport may go while probes are under way", "[fault][probe]") {
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.wait_closed();
  });
  {
    const auto transport = make_transport();
    REQUIRE(transport->start_probe(1, server.uri(), get("/x"), patient));
    (void)transport->poll_probes();
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
    REQUIRE(transport->start_probe(1, *endpoint, *request, patient));
  }
  auto ended = collect(*transport, 1);
  (void)answer_of(std::move(ended.at(1)));
  CHECK(server.requests().front().body == std::string(100'000, 'p'));
}
