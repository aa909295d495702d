// One transport, many threads: nobody gets another one's answer, connections are kept, cancelling and probes go on in
// between. Meant to be run under ThreadSanitizer too.

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "support/http.hpp"
#include "support/raw_server.hpp"

using namespace mlflowha_tests;
using mlflowha::CancellationSource;
using mlflowha::TransportFault;

namespace {

void echo(RawConnection& peer) {
  while (auto request = peer.read_request()) peer.send(ok_answer(request->body));
}

}  // namespace

TEST_CASE("threads share a transport and get their own answers", "[thread][transport]") {
  RawServer a(echo);
  RawServer b(echo);
  mlflowha::CurlTransportOptions options;
  options.max_idle_slots = GENERATE(std::size_t{16}, std::size_t{2}, std::size_t{0});
  const auto transport = make_transport(options);
  constexpr int threads = 8;
  constexpr int calls = 100;
  std::atomic<int> right{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < threads; ++t) {
    callers.emplace_back([&, t] {
      for (int i = 0; i < calls; ++i) {
        const std::string body = std::to_string(t) + ":" + std::to_string(i) + std::string(1000, 'x');
        const auto resend = i % 3 == 0 ? mlflowha::Resend::forbidden : mlflowha::Resend::allowed;
        const auto result = call(*transport, (i % 2 == 0 ? a : b).uri(), post("/x", body, resend));
        const auto* response = std::get_if<mlflowha::Response>(&result);
        if (response != nullptr && response->body == body) ++right;
        if (i % 10 == 0) (void)transport->start_probe(probe_owner, 1, a.uri(), get("/probe"), patient);
        (void)transport->poll_probes(probe_owner);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(right == threads * calls);
  if (options.max_idle_slots == 16) {
    // One connection for each thread and endpoint at the most, and one for each probe in flight.
    CHECK(b.connections() <= threads);
  }
}

TEST_CASE("tokens are triggered at every moment of a call", "[thread][transport]") {
  RawServer server(echo);
  const auto transport = make_transport();
  std::atomic<bool> wrong{false};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        CancellationSource source;
        std::thread canceller([&] { source.request_stop(); });
        const auto result = transport->perform(server.uri(), post("/x", "body"), patient, source.get_token());
        canceller.join();
        if (const auto* failure = std::get_if<mlflowha::TransportFailure>(&result)) {
          if (failure->fault != TransportFault::cancelled) wrong = true;
        } else if (std::get<mlflowha::Response>(result).body != "body") {
          wrong = true;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK_FALSE(wrong);
}
