// Who may have a spool, and what is left beside it.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

struct LocksFixture : LoggerFixture {
  std::string leave_behind() {
    take_down();
    RunLogger logger = start();
    REQUIRE(logger.log_metric("m", 1));
    std::string path = logger.close(1s).value().spool;
    bring_up();
    cluster.clock->advance(1min);
    return path;
  }
  ReplayReport replay_all(bool dry_run = false) {
    ReplayOptions replaying;
    replaying.directory = options.directory;
    replaying.dry_run = dry_run;
    return replay(cluster.client(), replaying).value();
  }
  bool is_empty() const { return fs::is_empty(options.directory); }
};

}  // namespace

TEST_CASE("a spool stays where it was begun, wherever its program goes", "[logging][run_logger]") {
  LocksFixture f;
  const fs::path before = fs::current_path();
  for (const char* name : {"a", "b"}) std::ofstream(f.directory / name) << name;
  fs::create_directory(f.directory / "elsewhere");
  fs::current_path(f.directory.path());
  f.options.directory = "spool";
  {
    RunLogger logger = f.start();
    CHECK(logger.log_artifact(f.directory / "a"));
    fs::current_path(f.directory / "elsewhere");
    CHECK(logger.log_artifact(f.directory / "b"));
    const CloseReport report = logger.close(1min).value();
    CHECK(report.drained);
    CHECK(report.quarantined == 0);
  }
  fs::current_path(before);
  CHECK(fs::is_empty(f.directory / "spool"));
}

TEST_CASE("a look neither hides a spool from a replay nor disturbs another look", "[logging][replay]") {
  LocksFixture f;
  const std::string path = f.leave_behind();
  auto look = Spool::look(path, {}, f.cluster.clock).value();
  CHECK_FALSE(Spool::list(f.options.directory).value().at(0).in_use);
  const ReplayReport second = f.replay_all(true);
  CHECK(second.spools.at(0).state != ReplayedSpool::State::damaged);
  CHECK(second.spools[0].state != ReplayedSpool::State::in_use);
  f.cluster.clock->schedule(f.cluster.clock->now() + 1s, [&] { look.reset(); });
  const ReplayReport report = f.replay_all();
  CHECK(report.complete());
  CHECK(report.spools.at(0).state == ReplayedSpool::State::delivered);
  CHECK(f.is_empty());
}

TEST_CASE("a look that never ends keeps a spool from being called its owner's", "[logging][replay]") {
  LocksFixture f;
  const std::string path = f.leave_behind();
  {
    const auto look = Spool::look(path, {}, f.cluster.clock).value();
    const ReplayReport report = f.replay_all();
    CHECK_FALSE(report.complete());
    CHECK(report.spools.at(0).state == ReplayedSpool::State::partial);
    CHECK(report.spools[0].error->code == Errc::out_of_resources);
  }
  CHECK(f.replay_all().complete());
}

TEST_CASE("a spool that somebody has open in sqlite3 is left for later", "[logging][replay]") {
  LocksFixture f;
  const std::string path = f.leave_behind();
  sqlite3* shell = nullptr;
  REQUIRE(sqlite3_open_v2(path.c_str(), &shell, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_exec(shell, "BEGIN; SELECT * FROM runs", nullptr, nullptr, nullptr) == SQLITE_OK);
  const ReplayReport report = f.replay_all();
  CHECK_FALSE(report.complete());
  CHECK(report.spools.at(0).state == ReplayedSpool::State::partial);
  sqlite3_close(shell);
  CHECK(f.replay_all().complete());
}

TEST_CASE("a lock without a spool goes with the next replay", "[logging][replay]") {
  LocksFixture f;
  fs::create_directory(f.options.directory);
  const std::string lock = f.options.directory + "/gone.lock";
  std::ofstream{lock};
  f.replay_all(true);
  CHECK(fs::exists(lock));  // a dry run changes nothing
  const int fd = ::open(lock.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(::flock(fd, LOCK_EX | LOCK_NB) == 0);
  f.replay_all();
  CHECK(fs::exists(lock));  // of a process that is about to make its spool
  ::close(fd);
  CHECK(f.replay_all().spools.empty());
  CHECK(f.is_empty());
}

TEST_CASE("a lock that is taken while it is removed is none", "[logging][spool]") {
  LocksFixture f;
  SpoolOptions options;
  options.directory = f.options.directory;
  SplitMixRng names(7);
  const std::string path = options.directory + '/' + make_uuid(names) + ".spool";
  std::atomic<bool> over{false};
  std::thread remover([&] {
    while (!over) {
      static_cast<void>(Spool::adopt(path, options, f.cluster.clock));  // there is none: its lock goes again
      Spool::remove_bare_locks(options.directory);
    }
  });
  int made = 0;
  int locked = 0;
  for (int i = 0; i < 300; ++i) {
    SplitMixRng same(7);
    const auto spool = Spool::create(options, f.cluster.clock, same);
    if (!spool) continue;
    ++made;
    const auto files = Spool::list(options.directory).value();
    for (const SpoolFile& file : files) locked += file.in_use ? 1 : 0;
    static_cast<void>((*spool)->remove_if_drained());
  }
  over = true;
  remover.join();
  CHECK(made == 300);
  CHECK(locked == 300);
}

TEST_CASE("a spool that is damaged leaves no lock", "[logging][replay]") {
  LocksFixture f;
  const std::string path = f.leave_behind();
  std::ofstream(path, std::ios::trunc) << std::string(5000, 'x');
  CHECK(f.replay_all().spools.at(0).state == ReplayedSpool::State::damaged);
  CHECK(f.replay_all().complete());
  CHECK(std::distance(fs::directory_iterator(f.options.directory), {}) == 1);
  // What somebody made of it under the old name, and what isn't right yet, takes nothing of it away.
  std::ofstream(path, std::ios::trunc) << std::string(5000, 'y');
  const ReplayReport report = f.replay_all();
  CHECK(report.spools.at(0).state == ReplayedSpool::State::damaged);
  CHECK(report.spools[0].error->message.ends_with(".corrupt-2"));
  CHECK(std::ifstream(path + ".corrupt").get() == 'x');
  CHECK(std::ifstream(path + ".corrupt-2").get() == 'y');
}

TEST_CASE("a spool that can't be made leaves nothing", "[logging][spool]") {
  LocksFixture f;
  SpoolOptions options;
  options.directory = f.options.directory;
  fs::create_directory(options.directory);
  struct ::rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int next = ::dup(0);
  ::close(next);
  bool made = false;
  for (int more = 1; !made && more < 20; ++more) {
    struct ::rlimit few = before;
    few.rlim_cur = static_cast<rlim_t>(next + more);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    made = Spool::create(options, f.cluster.clock, *f.client.config().options().rng).has_value();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK((made || f.is_empty()));
  }
  CHECK(made);
}
