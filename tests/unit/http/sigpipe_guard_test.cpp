#include <pthread.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <mlflowha/http/sigpipe_guard.hpp>

#include "support/catch.hpp"

using mlflowha::detail::SigpipeGuard;

namespace {

volatile std::sig_atomic_t caught = 0;
void count(int) { caught = caught + 1; }

/// SIGPIPE is counted instead of ending the test program, and left as it was found.
class Counted {
 public:
  Counted() {
    caught = 0;
    struct sigaction action{};
    action.sa_handler = &count;
    (void)::sigaction(SIGPIPE, &action, &before_);
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { (void)::sigaction(SIGPIPE, &before_, nullptr); }

 private:
  struct sigaction before_{};
};

/// What OpenSSL does to a socket whose peer has gone.
void write_to_nobody() {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  ::close(ends[0]);
  CHECK(::write(ends[1], "x", 1) == -1);
  CHECK(errno == EPIPE);
  ::close(ends[1]);
}

bool blocked() {
  sigset_t mask;
  (void)::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return sigismember(&mask, SIGPIPE) == 1;
}
bool pending() {
  sigset_t waiting;
  (void)::sigpending(&waiting);
  return sigismember(&waiting, SIGPIPE) == 1;
}

}  // namespace

TEST_CASE("a broken pipe inside the guard reaches nobody, and the signal works again behind it", "[http][sigpipe]") {
  const Counted counted;
  {
    const SigpipeGuard outer;
    const SigpipeGuard inner;
    write_to_nobody();
    CHECK(blocked());
  }
  CHECK(caught == 0);
  CHECK_FALSE(pending());
  CHECK_FALSE(blocked());
  write_to_nobody();
  CHECK(caught == 1);
}

TEST_CASE("a guard that isn't wanted does nothing", "[http][sigpipe]") {
  const Counted counted;
  const SigpipeGuard guard(false);
  CHECK_FALSE(blocked());
  write_to_nobody();
  CHECK(caught == 1);
}

TEST_CASE("a signal that the host has pending and a mask that it has set stay as they are", "[http][sigpipe]") {
  const Counted counted;
  sigset_t pipe;
  sigset_t before;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  REQUIRE(::pthread_sigmask(SIG_BLOCK, &pipe, &before) == 0);
  {
    const SigpipeGuard guard;
    write_to_nobody();
  }
  CHECK(blocked());
  CHECK_FALSE(pending());  // ours was taken back
  write_to_nobody();
  CHECK(pending());
  {
    const SigpipeGuard guard;
  }
  CHECK(pending());  // the host's was not
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
  CHECK(caught == 1);
}
