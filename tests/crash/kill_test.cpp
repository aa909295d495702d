// Processes that log are killed with SIGKILL at every step between the log call and the acknowledgement, in every
// step's first, second, ... turn; then whoever replays is killed, too; then a replay is let through. After that a count
// in the style of Jepsen's total queue: acknowledged entries are all stored, nothing was invented, nothing is there
// twice, and the order within the run was kept.

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "crash/total_queue.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;

namespace {

struct Target {
  char name[64] = "";
  int turn = 0;
  std::atomic<int> seen{0};
};
Target& target() {
  static Target one;
  return one;
}
void aim(const std::string& name, int turn) {
  std::strncpy(target().name, name.c_str(), sizeof target().name - 1);
  target().turn = turn;
  target().seen = 0;
}

/// A process without trouble passes it once.
bool once_only(const std::string& point) {
  return point.starts_with("create") || point.starts_with("experiment") || point.starts_with("other");
}

struct Tally {
  int kills = 0;
  int rounds = 0;
};

void round_of(const std::string& point, int turn, Durability mode, const FaultScript& faults, Tally& tally) {
  CAPTURE(point, turn, static_cast<int>(mode));
  TemporaryDirectory directory;
  const auto backend = std::make_shared<FakeBackend>();
  FakeServer one(backend);
  FakeServer two(backend);
  one.set_faults(faults);
  Workload work;
  work.urls = {one.url(), two.url()};
  work.directory = directory.path();
  work.durability = mode;
  work.points = 180;
  work.flush_every = 6;  // 30 flushes, with a send and a settle in each: as many turns are sure to come
  const SharedLedger ledger;

  ++tally.rounds;
  aim(point, turn);
  const bool killed = dies([&] { log_all(work, *ledger); });
  if (turn == 1 || !once_only(point)) CHECK(killed);
  tally.kills += killed ? 1 : 0;
  aim(point, 1 + turn % 3);
  tally.kills += dies([&] { replay_all(work.urls, work.directory, std::chrono::seconds(5)); }) ? 1 : 0;
  aim("", 0);
  one.set_faults({});
  const ReplayReport report = replay_all(work.urls, work.directory);
  INFO(to_json(report));
  CHECK(report.complete());
  CHECK(std::filesystem::is_empty(directory.path()));
  judge_creates(*backend);
  judge(*ledger, *backend);
}

const std::vector<std::string>& fault_points() {
  static const std::vector<std::string> all = {"enqueued",
                                               "append: before commit",
                                               "append: committed",
                                               "experiment: before sending",
                                               "experiment: answered",
                                               "create: before sending",
                                               "create: answered",
                                               "create: stored",
                                               "values: before sending",
                                               "values: answered",
                                               "other: before sending",
                                               "other: answered",
                                               "settle: before commit",
                                               "settle: committed"};
  return all;
}

}  // namespace

namespace {

/// To be called once. Processes that are to be killed don't come near the lock.
struct Call {
  std::atomic<bool> armed{false};
  std::mutex mutex;
  std::string name;
  std::function<void()> what;
};
Call& call() {
  static Call one;
  return one;
}

}  // namespace

void mlflowha_tests::call_at_fault(const std::string& name, std::function<void()> what) {
  const std::lock_guard<std::mutex> lock(call().mutex);
  call().name = name;
  call().what = std::move(what);
  call().armed = true;
}

void mlflowha_tests::fault_point(const char* name) noexcept {
  if (call().armed) {
    std::function<void()> what;
    {
      const std::lock_guard<std::mutex> lock(call().mutex);
      if (call().armed && call().name == name) std::swap(what, call().what);
      if (what) call().armed = false;
    }
    if (what) what();
  }
  Target& aimed = target();
  if (aimed.name[0] == '\0' || std::strcmp(aimed.name, name) != 0) return;
  if (aimed.seen.fetch_add(1) + 1 == aimed.turn) ::kill(::getpid(), SIGKILL);
}

void mlflowha_tests::aim_fault(const std::string& name, int turn) { aim(name, turn); }

TEST_CASE("nothing acknowledged is lost and nothing happens twice, wherever a process is killed", "[crash]") {
  Tally tally;
  for (const std::string& point : fault_points()) {
    const std::vector<int> turns =
        once_only(point) ? std::vector<int>{1, 2} : std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27};
    for (const int turn : turns) {
      for (const Durability mode : {Durability::each, Durability::interval}) round_of(point, turn, mode, {}, tally);
    }
  }
  INFO(tally.rounds << " rounds, " << tally.kills << " kills");
  CHECK(tally.kills >= 200);
}

TEST_CASE("the same with answers lost on the way", "[crash]") {
  Tally tally;
  const FaultScript faults = {when().share(0.3).apply_then_drop()};
  for (const std::string& point : fault_points()) {
    for (const int turn : {1, 4}) round_of(point, turn, Durability::each, faults, tally);
  }
  INFO(tally.rounds << " rounds, " << tally.kills << " kills");
  CHECK(tally.kills >= 20);
}
