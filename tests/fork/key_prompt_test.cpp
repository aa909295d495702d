// A child process with a terminal of its own: where libcurl or OpenSSL would ask a person something.

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "support/http.hpp"
#include "support/tls_server.hpp"

using namespace mlflowha_tests;
using mlflowha::TransportFault;

namespace {

/// Runs `work` in a child whose controlling terminal is one that nobody types at. Its result is the child's exit
/// status; -1 when it hung.
template <class Work>
int in_child_with_terminal(Work work) {
  const int keeper = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(keeper >= 0);
  REQUIRE(::grantpt(keeper) == 0);
  REQUIRE(::unlockpt(keeper) == 0);
  const std::string name = ::ptsname(keeper);
  const pid_t child = ::fork();
  if (child == 0) {
    (void)::setsid();
    // The first terminal that the leader of a session opens is the session's.
    if (::open(name.c_str(), O_RDWR) < 0 || ::open("/dev/tty", O_RDWR) < 0) ::_exit(98);
    ::_exit(work());
  }
  int status = -1;
  // Whoever asks for a password catches the signals that could end it, alarms among them.
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > limit) ::kill(child, SIGKILL);
    std::this_thread::sleep_for(10ms);
  }
  ::close(keeper);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("nobody is asked for the password of a key", "[fork][tls]") {
  const TestAuthority authority;
  const Identity client = authority.issue("client");
  const TestFolder folder;
  RawServer server(
      [](RawConnection& peer) {
        while (peer.read_request()) peer.send(ok_answer());
      },
      tls_wrap({authority.issue("127.0.0.1"), authority.file()}), "https");
  mlflowha::CurlTransportOptions options;
  options.tls.ca_file = authority.file();
  options.tls.client_cert = folder.write("client.pem", client.certificate_pem());
  options.tls.client_key = folder.write("client.key", client.key_pem());
  const auto transport = make_transport(options);
  // Encrypted since: of one that is so from the start, faults() tells.
  (void)folder.write("client.key", client.key_pem("open sesame"));
  const int status = in_child_with_terminal([&] {
    const auto result = call(*transport, server.uri(), get("/x"), {5s, 5s});
    const auto* failure = std::get_if<mlflowha::TransportFailure>(&result);
    if (failure == nullptr) return 1;
    return failure->fault == TransportFault::tls && failure->progress == mlflowha::Progress::not_sent ? 0 : 2;
  });
  CHECK(status == 0);
  CHECK(server.requests().empty());
}
