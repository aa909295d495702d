// What ends an attempt from outside: its time, and the caller's token. And the truth about how far it had got.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "support/black_hole.hpp"
#include "support/http.hpp"
#include "support/raw_server.hpp"

using namespace mlflowha_tests;
using mlflowha::CancellationSource;
using mlflowha::Progress;
using mlflowha::TransportFault;
using Clock = std::chrono::steady_clock;

TEST_CASE("a refused connect is not sent", "[fault][timeout]") {
  const auto transport = make_transport();
  const auto failure = failure_of(call(*transport, refused_uri(), post("/x", "{}")));
  CHECK(failure.fault == TransportFault::connect_refused);
  CHECK(failure.progress == Progress::not_sent);
  CHECK(failure.transport_code == 7);
}

TEST_CASE("a connect that gets no reply ends at the connect timeout, not sent", "[fault][timeout]") {
  const BlackHole hole;
  const auto transport = make_transport();
  const auto begin = Clock::now();
  const auto failure = failure_of(call(*transport, hole.uri(), post("/x", "{}"), {200ms, 20s}));
  CHECK(failure.fault == TransportFault::connect_timeout);
  CHECK(failure.progress == Progress::not_sent);
  CHECK_THAT(failure.detail, contains("no connection within 200 ms"));
  CHECK(Clock::now() - begin < 10s);

  // `total` bounds connecting too.
  CHECK(failure_of(call(*transport, hole.uri(), post("/x", "{}"), {20s, 200ms})).fault ==
        TransportFault::connect_timeout);
  CHECK(Clock::now() - begin < 15s);
}

TEST_CASE("a server that never answers costs the total timeout, and the request was sent", "[fault][timeout]") {
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.wait_closed();
  });
  const auto transport = make_transport();
  const auto begin = Clock::now();
  const auto failure = failure_of(call(*transport, server.uri(), post("/x", "{}"), {200ms, 300ms}));
  const auto took = Clock::now() - begin;
  CHECK(failure.fault == TransportFault::timeout);
  CHECK(failure.progress == Progress::sent);
  CHECK_THAT(failure.detail, contains("no complete answer within 300 ms"));
  CHECK(took >= 290ms);
  CHECK(took < 10s);
  // The connection was dropped: the late answer can't meet the next request.
  CHECK(server.wait_for_ended(1));
}

TEST_CASE("a server that reads nothing of a large body is left at the timeout", "[fault][timeout]") {
  RawServer server([](RawConnection& peer) {
    while (!peer.closed_within(50ms)) {
    }
  });
  const auto transport = make_transport();
  const auto resend = GENERATE(mlflowha::Resend::allowed, mlflowha::Resend::forbidden);
  const std::string body(32U << 20U, 'x');
  const auto failure = failure_of(call(*transport, server.uri(), post("/x", body, resend), {300ms, 300ms}));
  CHECK(failure.fault == TransportFault::timeout);
  CHECK(failure.progress == Progress::sent);
}

TEST_CASE("an attempt without time is not made", "[fault][timeout]") {
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.send(ok_answer());
  });
  const auto transport = make_transport();
  const auto timeouts = GENERATE(mlflowha::AttemptTimeouts{0s, 1s}, mlflowha::AttemptTimeouts{1s, 0s},
                                 mlflowha::AttemptTimeouts{1s, -1s});
  const auto failure = failure_of(call(*transport, server.uri(), get("/x"), timeouts));
  CHECK(failure.fault == TransportFault::connect_timeout);
  CHECK(failure.progress == Progress::not_sent);
  (void)answer_of(call(*transport, server.uri(), get("/after")));
  CHECK(server.connections() == 1);
}

TEST_CASE("a token that is already triggered lets nothing out", "[fault][cancel]") {
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.send(ok_answer());
  });
  const auto transport = make_transport();
  CancellationSource source;
  source.request_stop();
  const auto failure = failure_of(transport->perform(server.uri(), post("/x", "{}"), patient, source.get_token()));
  CHECK(failure.fault == TransportFault::cancelled);
  CHECK(failure.progress == Progress::not_sent);
  // Not even a connect: it would have been accepted before that of the next call.
  (void)answer_of(call(*transport, server.uri(), get("/after")));
  CHECK(server.connections() == 1);
}

TEST_CASE("cancelling a call that waits for an answer takes under 5 ms", "[fault][cancel]") {
  RawServer server([](RawConnection& peer) {
    while (peer.read_request()) {
    }
  });
  const auto transport = make_transport();
  // The machine may be busy, so the limit holds for the best of several. A token that is triggered just before the
  // caller begins to wait is seen without any wake-up; the median is not so lucky.
  std::vector<Clock::duration> took;
  for (std::size_t round = 1; round <= 20; ++round) {
    CancellationSource source;
    mlflowha::TransportResult result;
    Clock::time_point ended;
    std::thread caller([&] {
      result = transport->perform(server.uri(), post("/x", "{}"), patient, source.get_token());
      ended = Clock::now();
    });
    const bool arrived = server.wait_for_requests(round);
    const auto begin = Clock::now();
    source.request_stop();
    caller.join();
    REQUIRE(arrived);
    took.push_back(ended - begin);
    const auto failure = failure_of(std::move(result));
    CHECK(failure.fault == TransportFault::cancelled);
    CHECK(failure.progress == Progress::sent);
    CHECK(failure.transport_code == 0);
  }
  std::sort(took.begin(), took.end());
  CHECK(took.front() < 5ms);
  CHECK(took[took.size() / 2] < 250ms);
  CHECK(server.wait_for_ended(20));  // each cancelled call dropped its connection
}

TEST_CASE("cancelling a call that is connecting is prompt, and nothing was sent", "[fault][cancel]") {
  const BlackHole hole;
  const auto transport = make_transport();
  CancellationSource source;
  mlflowha::TransportResult result;
  std::atomic<bool> begun{false};
  std::thread caller([&] {
    begun = true;
    begun.notify_one();
    result = transport->perform(hole.uri(), post("/x", "{}"), patient, source.get_token());
  });
  begun.wait(false);
  const auto begin = Clock::now();
  source.request_stop();
  caller.join();
  CHECK(Clock::now() - begin < 10s);
  const auto failure = failure_of(std::move(result));
  CHECK(failure.fault == TransportFault::cancelled);
  CHECK(failure.progress == Progress::not_sent);
}

TEST_CASE("an answer that is complete wins over a late cancellation", "[fault][cancel]") {
  CancellationSource source;
  RawServer server([&](RawConnection& peer) {
    while (peer.read_request()) peer.send(ok_answer("done"));
  });
  const auto transport = make_transport();
  CHECK(answer_of(transport->perform(server.uri(), get("/x"), patient, source.get_token())).body == "done");
  source.request_stop();  // nobody is left to be woken
  CHECK(answer_of(call(*transport, server.uri(), get("/x"))).body == "done");
}

TEST_CASE("who waits is asked at least every 40 ms whether to go on", "[fault][cancel]") {
  struct Hook final : mlflowha::WaitHook {
    void waiting() noexcept override {
      if (++calls == 3) source.request_stop();
    }
    std::atomic<int> calls{0};
    CancellationSource source;
  };
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.wait_closed();
  });
  mlflowha::CurlTransportOptions options;
  const auto hook = std::make_shared<Hook>();
  options.wait_hook = hook;
  const auto transport = make_transport(options);
  const auto begin = Clock::now();
  const auto failure =
      failure_of(transport->perform(server.uri(), post("/x", "{}"), {20s, 20s}, hook->source.get_token()));
  CHECK(failure.fault == TransportFault::cancelled);
  CHECK(hook->calls == 3);
  CHECK(Clock::now() - begin < 5s);  // three waits of 40 ms; without a hook each takes a second
}
