// Spools that a disk has damaged: bytes flipped anywhere, files cut short, logs damaged or gone. A replay may refuse
// such a spool or a part of it, and says so; it never delivers what nobody logged, never the same thing twice, never to
// another run, and what it calls complete is complete.

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr int steps = 120;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// Two runs that were logged with every server down, as files.
struct Left {
  std::string spool;
  std::string log;  // "-wal"; empty when its owner had time to put it away

  /// `killed`: as SIGKILL leaves the files, the log beside the spool.
  explicit Left(bool killed) {
    LoggerFixture f;
    f.take_down();
    f.options.experiment = "damage";
    // One hub for both takes threads; one logger after the other is as good: each has a spool of its own, so one run.
    f.options.run_name = "one";
    RunLogger logger = f.start();
    REQUIRE(logger.log_params({{.key = "name", .value = "one"}}));
    for (int i = 0; i < steps; ++i) {
      REQUIRE(logger.log_metric("m", 1000 + i, i, 5'000 + i));
      if (i % 4 == 0) REQUIRE(logger.commit());  // many rows
    }
    REQUIRE(logger.end());
    REQUIRE(logger.commit());
    const std::string path = Spool::list(f.options.directory).value().at(0).path;
    if (!killed) {
      RunLogger gone = std::move(logger);
      static_cast<void>(gone.close(1ms));
    }
    spool = read_file(path);
    log = fs::exists(path + "-wal") ? read_file(path + "-wal") : std::string();
  }
};

struct Seen {
  bool said = false;  // that something is wrong: damaged, quarantined, refused
  bool complete = false;
  std::size_t points = 0;
  std::size_t runs = 0;
};

/// Replays the files, whatever they are, and holds the servers against what was logged.
Seen replay_damaged(const std::string& spool, const std::string& log, bool has_log) {
  const TemporaryDirectory directory;
  const std::string path = directory / "11111111-1111-4111-8111-111111111111.spool";
  write_file(path, spool);
  if (has_log) write_file(path + "-wal", log);
  Cluster cluster(1);
  const std::size_t before = cluster.backend->experiments().size();
  ReplayOptions options;
  options.directory = directory.path();
  options.patience = 1h;  // of virtual time: doubts are resolved
  const ReplayReport report = replay(cluster.client(), options).value();
  Seen seen;
  seen.complete = report.complete();
  for (const ReplayedSpool& one : report.spools) {
    seen.said = seen.said || one.error || one.quarantined != 0 || !one.refused_runs.empty();
    // What isn't complete is still there for people to look at.
    if (one.state != ReplayedSpool::State::delivered) {
      CHECK((fs::exists(one.path) || fs::exists(one.path + ".corrupt")));
    }
  }
  CHECK((seen.complete || seen.said || report.unreachable));
  CHECK(cluster.backend->experiments().size() <= before + 1);
  const std::vector<StoredRun> runs = cluster.backend->runs();
  CHECK(runs.size() <= 1);
  seen.runs = runs.size();
  for (const StoredRun& run : runs) {
    CHECK((run.status == "RUNNING" || run.status == "FINISHED"));
    for (const auto& [key, value] : run.params) CHECK((key == "name" && value == "one"));
    for (const auto& [key, points] : run.metrics) {
      CHECK(key == "m");
      for (const StoredPoint& point : points) {
        ++seen.points;
        CHECK((point.step >= 0 && point.step < steps));
        CHECK(point.value == static_cast<double>(1000 + point.step));
        CHECK(point.timestamp == 5'000 + point.step);
      }
    }
  }
  CHECK(seen.points <= steps);
  return seen;
}

}  // namespace

TEST_CASE("a spool as it was left is delivered whole", "[logging][damage]") {
  for (const bool killed : {false, true}) {
    const Left left(killed);
    CHECK(left.log.empty() != killed);
    const Seen seen = replay_damaged(left.spool, left.log, killed);
    CHECK(seen.complete);
    CHECK(seen.points == steps);
  }
}

TEST_CASE("a replay ends where delivered rows can't be removed", "[logging][damage][hostile]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "11111111-1111-4111-8111-111111111111.spool";
  write_file(path, Left(false).spool);
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  const char* keep = "CREATE TRIGGER keep BEFORE DELETE ON records BEGIN SELECT RAISE(IGNORE); END";
  REQUIRE(sqlite3_exec(database, keep, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
  Cluster cluster(1);
  ReplayOptions options;
  options.directory = directory.path();
  const ReplayReport report = replay(cluster.client(), options).value();
  CHECK_FALSE(report.complete());
  REQUIRE(report.spools.size() == 1);
  CHECK(report.spools[0].state == ReplayedSpool::State::damaged);
  CHECK_FALSE(report.unreachable);
  REQUIRE(report.spools[0].error);
  CHECK(report.spools[0].error->code == Errc::storage_corrupt);
  CHECK_THAT(report.spools[0].error->message, contains(path + ": 0 of "));
  CHECK(cluster.backend->runs().size() == 1);
  CHECK(fs::exists(path));
}

TEST_CASE("flipped bytes invent nothing and are never passed over in silence", "[logging][damage][hostile]") {
  const Left left(false);
  REQUIRE(left.spool.size() > 8192 * 4);
  int refused = 0;
  const auto flip = [&](std::size_t at, unsigned char mask) {
    CAPTURE(at, static_cast<int>(mask));
    std::string spool = left.spool;
    spool[at] = static_cast<char>(static_cast<unsigned char>(spool[at]) ^ mask);
    const Seen seen = replay_damaged(spool, "", false);
    if (seen.complete) CHECK(seen.points == steps);
    refused += seen.complete ? 0 : 1;
  };
  for (std::size_t page = 0; page < left.spool.size(); page += 8192) {
    flip(page, 0xFF);         // what kind of page it is
    flip(page + 4096, 0x01);  // the middle
    flip(page + 8190, 0xFF);  // the end, where cells begin
  }
  for (const int i : {0, 57, steps - 1}) {  // values, of which a record holds the bytes as they are
    const double value = 1000 + i;
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    const std::size_t at = left.spool.find(std::string_view(bytes, sizeof bytes));
    REQUIRE(at != std::string::npos);
    flip(at + 6, 0x01);
  }
  for (std::size_t at = 17; at < left.spool.size(); at += 1009) flip(at, at % 2 == 0 ? 0x01 : 0x80);
  CHECK(refused > 10);
}

TEST_CASE("a damaged page is noticed before anything is delivered", "[logging][damage][hostile]") {
  const Left left(false);
  for (std::size_t page = 0; page < left.spool.size(); page += 8192) {
    CAPTURE(page);
    std::string spool = left.spool;
    spool[page] = static_cast<char>(~spool[page]);  // what kind of page it is
    const Seen seen = replay_damaged(spool, "", false);
    CHECK(seen.said);
    CHECK(seen.runs == 0);
  }
}

TEST_CASE("a spool cut short invents nothing", "[logging][damage][hostile]") {
  const Left left(false);
  int complete = 0;
  for (std::size_t size = 0; size < left.spool.size(); size += 4096 + 64) {
    CAPTURE(size);
    const Seen seen = replay_damaged(left.spool.substr(0, size), "", false);
    // An empty file is what a process leaves that died while it made its spool: there is nothing in it. Pages that are
    // beyond the end of the database aren't missed.
    if (seen.complete) CHECK(seen.points == (size == 0 ? 0 : steps));
    complete += seen.complete ? 1 : 0;
  }
  CHECK(complete < 5);
}

TEST_CASE("a damaged log takes at most what is behind the damage with it", "[logging][damage][hostile]") {
  const Left left(true);
  REQUIRE(left.log.size() > 30'000);
  std::vector<std::pair<std::string, bool>> logs;
  const auto add = [&](std::string log, bool there) { logs.emplace_back(std::move(log), there); };
  add("", true);
  add("", false);
  for (std::size_t size = 1; size < left.log.size(); size += left.log.size() / 9) add(left.log.substr(0, size), true);
  for (std::size_t at = 3; at < left.log.size(); at += left.log.size() / 23) {
    std::string log = left.log;
    log[at] = static_cast<char>(log[at] ^ 0x40);
    add(std::move(log), true);
  }
  std::size_t most = 0;
  for (const auto& [log, there] : logs) {
    CAPTURE(log.size(), there);
    most = std::max(most, replay_damaged(left.spool, log, there).points);
  }
  CHECK(most > steps / 2);  // damage near the end leaves what is before it
  CHECK(most < steps + 1U);
}

TEST_CASE("a damaged start of a run that has begun on a server costs nothing", "[logging][replay][hostile]") {
  LoggerFixture f;
  std::string path;
  {
    RunLogger logger = f.start();
    REQUIRE(logger.flush(1min).value().drained);
    f.take_down();
    REQUIRE(logger.log_metric("m", 1));
    path = logger.close(1s).value().spool;
  }
  ask_file(path, "UPDATE runs SET start = 'x'");
  f.bring_up();
  f.cluster.clock->advance(1min);
  ReplayOptions replaying;
  replaying.directory = f.options.directory;
  CHECK(replay(f.cluster.client(), replaying).value().complete());
  CHECK(f.only_run().metrics.count("m") == 1);
  CHECK(f.only_run().status == "FINISHED");
}
