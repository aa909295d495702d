// Directories with more spools than a process may have open.

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// At most so many files for as long as this lives.
class FewFiles {
 public:
  explicit FewFiles(rlim_t most) {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    struct ::rlimit few = before_;
    few.rlim_cur = most;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  }
  ~FewFiles() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  FewFiles(const FewFiles&) = delete;
  FewFiles& operator=(const FewFiles&) = delete;

 private:
  struct ::rlimit before_{};
};

/// The number that the next file gets.
rlim_t next_file() {
  const int fd = ::dup(0);
  REQUIRE(fd >= 0);
  ::close(fd);
  return static_cast<rlim_t>(fd);
}

struct ManySpools : LoggerFixture {
  void leave(int spools) {
    take_down();
    for (int i = 0; i < spools; ++i) {
      RunLogger logger = start();
      REQUIRE(logger.log_metric("m", i));
      REQUIRE_FALSE(logger.close(1ms).value().drained);
    }
    bring_up();
    cluster.clock->advance(1min);
    replaying.directory = options.directory;
  }
  /// Names and bytes of all that is there.
  std::map<std::string, std::string> listing() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(options.directory)) {
      std::ifstream file(entry.path(), std::ios::binary);
      all[entry.path().string()] = std::string(std::istreambuf_iterator<char>(file), {});
    }
    return all;
  }
  ReplayOptions replaying;
};

}  // namespace

TEST_CASE("more spools than a process may open files are replayed, and looked at", "[logging][replay]") {
  ManySpools f;
  f.leave(60);
  const FewFiles few(next_file() + 40);
  f.replaying.dry_run = true;
  const ReplayReport look = replay(f.client, f.replaying).value();
  CHECK(look.spools.size() == 60);
  CHECK(look.waiting == 120);
  for (const ReplayedSpool& spool : look.spools) CHECK(spool.state == ReplayedSpool::State::untouched);
  f.replaying.dry_run = false;
  const ReplayReport report = replay(f.cluster.client(), f.replaying).value();
  CHECK(report.complete());
  CHECK(report.spools.size() == 60);
  CHECK(f.cluster.backend->counts().points == 60);
}

TEST_CASE("a spool that can't be opened for want of files is left for later", "[logging][replay]") {
  ManySpools f;
  f.leave(3);
  {
    const FewFiles few(next_file() + 2);
    const ReplayReport report = replay(f.client, f.replaying).value();
    CHECK(report.spools.size() == 3);
    for (const ReplayedSpool& spool : report.spools) {
      CHECK(spool.state == ReplayedSpool::State::partial);
      REQUIRE(spool.error);
      CHECK(spool.error->code == Errc::out_of_resources);
    }
  }
  CHECK(replay(f.cluster.client(), f.replaying).value().complete());
}
