// fork() while other threads, which the child doesn't have, work on what a client's calls share.

#include <mlflowha/resilience/endpoint_set.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace mlflowha;
using namespace std::chrono_literals;

namespace {

/// Exit status of a child that runs `body`; 99 when it hangs.
template <class Body>
int in_child(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(5);  // a child that hangs is killed by it
    _exit(body());
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return 99;
  return WEXITSTATUS(status);
}

std::vector<EndpointSpec> two_endpoints() { return {{{"http", "a", 5000, ""}, 0}, {{"http", "b", 5000, ""}, 0}}; }

}  // namespace

TEST_CASE("a place that a thread of the parent holds is not taken in the child", "[fork][endpoints]") {
  EndpointSetOptions options;
  options.check_identity = false;
  EndpointSet set(two_endpoints(), options, nullptr, nullptr);
  const TimePoint start = TimePoint(1h);
  Outcome lost;
  lost.verdict = Verdict::endpoint_fault;
  set.report(set.acquire(0, start), start, lost);
  const EndpointSet::Lease held = set.next_probe(start + 1s);  // as by a thread in the middle of a probe
  REQUIRE(held);
  CHECK_FALSE(set.next_probe(start + 1min));
  const int status = in_child([&] {
    EndpointSet::Lease lease = set.next_probe(start + 2min);
    if (!lease) return 1;
    if (set.next_probe(start + 1h)) return 2;
    set.report(std::move(lease), start + 2min, Outcome{});
    return set.health(0, start + 2min) == EndpointHealth::recovering ? 0 : 3;
  });
  CHECK(status == 0);
}
