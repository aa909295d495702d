// Name resolution. This program brings its own getaddrinfo(), which libcurl finds before the C library's: names under
// "silent.test" are never answered, as with a name server behind a firewall.

#include <curl/curl.h>
#include <dlfcn.h>
#include <netdb.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>

#include "support/http.hpp"
#include "support/raw_server.hpp"

using namespace mlflowha_tests;
using mlflowha::CancellationSource;
using mlflowha::Progress;
using mlflowha::TransportFault;
using Clock = std::chrono::steady_clock;

namespace {

/// The name server that doesn't answer, until it is told to say no.
struct SilentNameServer {
  std::mutex mutex;
  std::condition_variable changed;
  int waiting = 0;
  bool answers = false;

  void ask() {
    std::unique_lock lock(mutex);
    ++waiting;
    changed.notify_all();
    changed.wait(lock, [&] { return answers; });
    --waiting;
    changed.notify_all();
  }
  void wait_for_question() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return waiting > 0; });
  }
  /// Answers all, waits until the resolver threads have their answer, and falls silent again.
  void answer_all() {
    std::unique_lock lock(mutex);
    answers = true;
    changed.notify_all();
    changed.wait(lock, [&] { return waiting == 0; });
    answers = false;
  }
};
SilentNameServer& name_server() {
  static auto* const server = new SilentNameServer;  // outlives libcurl's detached threads
  return *server;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char* node, const char* service,
                                                                  const struct addrinfo* hints,
                                                                  struct addrinfo** result) {
  if (node != nullptr && std::strcmp(node, "silent.test") == 0) {
    name_server().ask();
    return EAI_NONAME;
  }
  if (node != nullptr && std::strcmp(node, "unknown.test") == 0) return EAI_NONAME;
  using Function = int (*)(const char*, const char*, const struct addrinfo*, struct addrinfo**);
  static const auto next = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return next(node, service, hints, result);
}

TEST_CASE("a name that doesn't exist is not sent", "[fault][resolver]") {
  const auto transport = make_transport();
  const auto failure = failure_of(call(*transport, {"http", "unknown.test", 5000, ""}, post("/x", "{}")));
  CHECK(failure.fault == TransportFault::resolve);
  CHECK(failure.progress == Progress::not_sent);
  CHECK_THAT(failure.detail, contains("unknown.test"));
}

TEST_CASE("a host name is resolved and its connection kept", "[fault][resolver]") {
  RawServer server([](RawConnection& peer) {
    while (peer.read_request()) peer.send(ok_answer());
  });
  const auto transport = make_transport();
  const mlflowha::Uri endpoint{"http", "localhost", server.port(), ""};
  for (int i = 0; i < 3; ++i) CHECK(answer_of(call(*transport, endpoint, get("/x"))).status == 200);
  CHECK(server.connections() == 1);
  CHECK_THAT(server.requests().front().head, contains("\r\nHost: localhost:" + std::to_string(server.port())));
}

// Before 7.87 a libcurl that resolves with threads waits for the name server however long it takes.
#if LIBCURL_VERSION_NUM >= 0x075700

TEST_CASE("a name server that never answers costs the connect timeout", "[fault][resolver]") {
  const auto transport = make_transport();
  const auto begin = Clock::now();
  const auto failure = failure_of(call(*transport, {"http", "silent.test", 5000, ""}, post("/x", "{}"), {200ms, 20s}));
  CHECK(Clock::now() - begin < 10s);  // the name server is still silent
  name_server().answer_all();
  CHECK(failure.fault == TransportFault::resolve);
  CHECK(failure.progress == Progress::not_sent);
  CHECK_THAT(failure.detail, contains("no address within 200 ms"));
}

TEST_CASE("cancelling is prompt while a name server is silent", "[fault][resolver]") {
  const auto transport = make_transport();
  CancellationSource source;
  mlflowha::TransportResult result;
  std::thread caller([&] {
    result = transport->perform({"http", "silent.test", 5000, ""}, post("/x", "{}"), patient, source.get_token());
  });
  name_server().wait_for_question();
  const auto begin = Clock::now();
  source.request_stop();
  caller.join();
  CHECK(Clock::now() - begin < 5s);
  name_server().answer_all();
  const auto failure = failure_of(std::move(result));
  CHECK(failure.fault == TransportFault::cancelled);
  CHECK(failure.progress == Progress::not_sent);
}

TEST_CASE("a probe of a name that is never resolved ends at its timeout", "[fault][resolver]") {
  const auto transport = make_transport();
  REQUIRE(transport->start_probe(probe_owner, 1, {"http", "silent.test", 5000, ""}, get("/x"), {200ms, 200ms}));
  std::vector<mlflowha::ProbeResult> ended;
  const auto limit = Clock::now() + 10s;
  while (ended.empty() && Clock::now() < limit) {
    ended = transport->poll_probes(probe_owner);
    std::this_thread::yield();
  }
  name_server().answer_all();
  REQUIRE(ended.size() == 1);
  CHECK(failure_of(std::move(ended.front().result)).fault == TransportFault::resolve);
}

#endif
