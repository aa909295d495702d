// Directories with more spools than a process may have open.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

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
      if (entry.is_directory()) continue;
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

TEST_CASE("a replay has a few spools open at once, whatever it may have", "[logging][replay]") {
  struct Counter final : ReplayObserver {
    std::string directory;
    std::size_t most = 0;
    void on_progress(const ReplayProgress&) noexcept override {
      std::size_t locks = 0;
      for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        const std::string file = fs::read_symlink(entry.path(), gone).string();
        if (file.starts_with(directory) && file.ends_with(".lock")) ++locks;
      }
      most = std::max(most, locks);
    }
  };
  ManySpools f;
  f.leave(70);
  const auto counter = std::make_shared<Counter>();
  counter->directory = fs::absolute(f.options.directory).string();
  f.replaying.observer = counter;
  CHECK(replay(f.cluster.client(), f.replaying).value().complete());
  CHECK(f.cluster.backend->counts().points == 70);
  CHECK(counter->most == 32);
}

TEST_CASE("a replay goes on with the spools that it could open", "[logging][replay]") {
  ManySpools f;
  f.leave(20);
  // As many as are open already count for the limit, too: 25 spools by that, six by what is left.
  const rlim_t most = 200;
  std::vector<int> others;
  while (others.empty() || static_cast<rlim_t>(others.back()) + 1 + 24 < most) others.push_back(::dup(0));
  {
    const FewFiles few(most);
    const ReplayReport report = replay(f.cluster.client(), f.replaying).value();
    CHECK(report.complete());
    CHECK(report.spools.size() == 20);
  }
  for (const int fd : others) ::close(fd);
  CHECK(f.cluster.backend->counts().points == 20);
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

TEST_CASE("a dry run leaves every file as it is", "[logging][replay]") {
  ManySpools f;
  f.leave(3);
  std::string path;
  {  // as a killed process leaves it: with a log, and with an artifact that no row knows
    RunLogger logger = f.start();
    REQUIRE(logger.log_metric("m", 1));
    REQUIRE(logger.commit());
    const std::vector<SpoolFile> files = Spool::list(f.options.directory).value();
    for (const SpoolFile& file : files) {
      if (file.in_use) path = file.path;
    }
    const std::string copy = f.options.directory + "/killed.spool";
    fs::copy_file(path, copy);
    fs::copy_file(path + "-wal", copy + "-wal");
    fs::create_directory(f.options.directory + "/killed.files");
    std::ofstream(f.options.directory + "/killed.files/7") << "orphan";
  }
  std::ofstream(f.options.directory + "/rubbish.spool") << std::string(5000, 'x');
  std::ofstream(f.options.directory + "/empty.spool");
  const auto before = f.listing();
  f.replaying.dry_run = true;
  const ReplayReport report = replay(f.client, f.replaying).value();
  CHECK((f.listing() == before));
  int damaged = 0;
  for (const ReplayedSpool& spool : report.spools) damaged += spool.state == ReplayedSpool::State::damaged ? 1 : 0;
  CHECK(damaged == 1);
  CHECK(report.spools.size() == 6);  // there is nothing in the empty one
  CHECK(report.waiting == 8);
  f.replaying.dry_run = false;
  CHECK(replay(f.cluster.client(), f.replaying).value().waiting == 0);
}
