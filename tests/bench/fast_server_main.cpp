// The fast server as a process of its own: prints one line of JSON with its ports and serves until its parent ends.

#include "fast_server.hpp"

#include <sys/prctl.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

int main(int count, char** arguments) {
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    bench::FastServer server(count > 1 ? static_cast<std::uint32_t>(std::strtoul(arguments[1], nullptr, 10)) : 100U);
    const unsigned answer = server.listen(bench::Behaviour::answer);
    const unsigned mute = server.listen(bench::Behaviour::mute);
    const unsigned faulty = server.listen(bench::Behaviour::faulty);
    const unsigned faulty2 = server.listen(bench::Behaviour::faulty);
    std::printf("{\"answer\": %u, \"mute\": %u, \"faulty\": %u, \"faulty2\": %u}\n", answer, mute, faulty, faulty2);
    (void)std::fflush(stdout);
    server.run();
  } catch (const std::exception& e) {
    (void)std::fprintf(stderr, "fast server: %s\n", e.what());
    return 1;
  }
  return 0;
}
