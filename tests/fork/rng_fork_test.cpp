#include <mlflowha/core/rng.hpp>

#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <set>
#include <string>

#include "support/catch.hpp"

using namespace mlflowha;

namespace {

/// What a child draws; "" when there was no child. With `own_ids` its process ids are counted in a namespace of its
/// own.
std::string drawn_in_child(bool own_ids) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  pid_t child = -1;
  if (own_ids) {
    // As a container runtime does it; without privileges it takes a namespace of users, too.
    for (const long names : {long{CLONE_NEWPID}, long{CLONE_NEWPID} | CLONE_NEWUSER}) {
      if (child < 0) child = static_cast<pid_t>(::syscall(SYS_clone, names | SIGCHLD, 0, 0, 0, 0));
    }
  } else {
    child = ::fork();
  }
  if (child == 0) {
    const std::string id = make_uuid(*process_rng());
    ::_exit(::write(ends[1], id.data(), id.size()) == static_cast<ssize_t>(id.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string id(36, '\0');
  if (child < 0 || ::read(ends[0], id.data(), id.size()) != 36) id.clear();
  ::close(ends[0]);
  int status = -1;
  if (child > 0) REQUIRE(::waitpid(child, &status, 0) == child);
  return id;
}

}  // namespace

TEST_CASE("children of a parent that draws nothing draw different numbers", "[fork][rng]") {
  (void)process_rng()->next();
  std::set<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.insert(drawn_in_child(false));
  ids.insert(make_uuid(*process_rng()));
  CHECK(ids.size() == 6);
  CHECK(ids.count("") == 0);
}

TEST_CASE("children that are both process 1 of their container draw different numbers", "[fork][rng]") {
  (void)process_rng()->next();
  const std::string one = drawn_in_child(true);
  if (one.empty()) return;  // this machine allows no namespaces
  CHECK(one != drawn_in_child(true));
}
