// fork() with a transport in use. Parent and child go on, on connections of their own; what the child does is not seen
// on the parent's.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "support/http.hpp"
#include "support/tls_server.hpp"

using namespace mlflowha_tests;
using mlflowha::Transport;

namespace {

void polite(RawConnection& peer) {
  while (peer.read_request()) peer.send(ok_answer());
}

/// Runs `work` in a forked child; its result is the child's exit status. A child that hangs is ended by the kernel.
template <class Work>
int in_child(Work work) {
  const pid_t child = ::fork();
  if (child == 0) {
    (void)std::signal(SIGALRM, SIG_DFL);
    ::alarm(60);
    ::_exit(work());
  }
  int status = -1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool answers(Transport& transport, const mlflowha::Uri& endpoint, const std::string& target) {
  const auto result = call(transport, endpoint, post(target, "{}"));
  const auto* response = std::get_if<mlflowha::Response>(&result);
  return response != nullptr && response->status == 200;
}

/// The connection that a request came on, -1 when it never came.
int connection_of(const RawServer& server, const std::string& target) {
  for (const RawRequest& request : server.requests()) {
    if (request.head.find(" " + target + " ") != std::string::npos) return request.connection;
  }
  return -1;
}

}  // namespace

TEST_CASE("after a fork parent and child call on connections of their own", "[fork][transport]") {
  RawServer server(polite);
  auto transport = make_transport();
  REQUIRE(answers(*transport, server.uri(), "/before"));
  const int status = in_child([&] {
    if (!answers(*transport, server.uri(), "/child1") || !answers(*transport, server.uri(), "/child2")) return 1;
    transport.reset();
    return 0;
  });
  CHECK(status == 0);
  REQUIRE(answers(*transport, server.uri(), "/after"));
  CHECK(connection_of(server, "/before") == connection_of(server, "/after"));
  CHECK(connection_of(server, "/child1") != connection_of(server, "/before"));
  CHECK(connection_of(server, "/child1") >= 0);
  CHECK(connection_of(server, "/child2") == connection_of(server, "/child1"));
}

TEST_CASE("a child that ends its copy of a transport leaves the parent's TLS sessions open", "[fork][transport]") {
  const TestAuthority authority;
  RawServer server(polite, tls_wrap({authority.issue("127.0.0.1"), ""}), "https");
  mlflowha::CurlTransportOptions options;
  options.tls.ca_file = authority.file();
  auto transport = make_transport(options);
  REQUIRE(answers(*transport, server.uri(), "/before"));
  const bool uses_it = GENERATE(true, false);
  const int status = in_child([&] {
    if (uses_it && !answers(*transport, server.uri(), "/child")) return 1;
    transport.reset();
    return 0;
  });
  CHECK(status == 0);
  REQUIRE(answers(*transport, server.uri(), "/after"));
  CHECK(connection_of(server, "/after") == connection_of(server, "/before"));
}

TEST_CASE("a fork while other threads are in the middle of calls", "[fork][transport]") {
  RawServer server(polite);
  const auto transport = make_transport();
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      for (int n = 0; !stop; ++n) {
        if (!answers(*transport, server.uri(), "/parent")) ++failed;
        // Not each time: a probe has a connection of its own, and the server a thread for each.
        if (n % 50 == 0) (void)transport->start_probe(probe_owner, 1, server.uri(), get("/probe"), patient);
        (void)transport->poll_probes(probe_owner);
      }
    });
  }
  int wrong = 0;
  for (int i = 0; i < 30; ++i) {
    const int status = in_child([&] {
      for (int n = 0; n < 3; ++n) {
        if (!answers(*transport, server.uri(), "/child")) return 1;
        if (!transport->start_probe(probe_owner, 2, server.uri(), get("/probe"), patient)) return 2;
      }
      // A grandchild is a child like any other.
      return in_child([&] { return answers(*transport, server.uri(), "/grandchild") ? 0 : 3; });
    });
    if (status != 0) ++wrong;
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
  CHECK(failed == 0);
}

TEST_CASE("a probe of the parent is not the child's", "[fork][transport]") {
  RawServer server([](RawConnection& peer) {
    if (peer.read_request()) peer.wait_closed();
  });
  const auto transport = make_transport();
  REQUIRE(transport->start_probe(probe_owner, 1, server.uri(), get("/probe"), {200ms, 200ms}));
  const int status = in_child([&] {
    // In the parent's hands it would end within this time.
    const auto limit = std::chrono::steady_clock::now() + 400ms;
    while (std::chrono::steady_clock::now() < limit) {
      if (!transport->poll_probes(probe_owner).empty()) return 1;
    }
    return 0;
  });
  CHECK(status == 0);
  const auto limit = std::chrono::steady_clock::now() + 10s;
  std::size_t ended = 0;
  while (ended == 0 && std::chrono::steady_clock::now() < limit) ended = transport->poll_probes(probe_owner).size();
  CHECK(ended == 1);
}

TEST_CASE("a program that is started doesn't hold our connections open", "[fork][transport]") {
  RawServer server(polite);
  auto transport = make_transport();
  REQUIRE(answers(*transport, server.uri(), "/before"));
  std::array<int, 2> until{};    // the program runs until this one is closed
  std::array<int, 2> started{};  // ends when the program has been started
  REQUIRE(::pipe2(until.data(), O_CLOEXEC) == 0);
  REQUIRE(::pipe2(started.data(), O_CLOEXEC) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    (void)::dup2(until[0], STDIN_FILENO);
    ::execl("/bin/cat", "cat", nullptr);
    ::_exit(99);
  }
  ::close(started[1]);
  char byte = 0;
  CHECK(::read(started[0], &byte, 1) == 0);
  transport.reset();
  CHECK(server.wait_for_ended(1, 5s));
  ::close(until[1]);
  int status = -1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  ::close(until[0]);
  ::close(started[0]);
}
