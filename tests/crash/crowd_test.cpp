// Several processes in one spool directory, and servers that come and go: the count must come out right.

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "crash/total_queue.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

/// Waits until that many points are acknowledged; false when they aren't after a minute.
bool acknowledges(const Ledger& ledger, int points) {
  const auto patience = std::chrono::steady_clock::now() + 60s;
  while (ledger.count() < points) {
    if (std::chrono::steady_clock::now() > patience) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

/// For processes that are to be killed: they must not end before, however late that is.
void await_death() {
  for (;;) ::pause();
}

}  // namespace

TEST_CASE("processes that share a directory don't meet", "[crash][crowd]") {
  const TemporaryDirectory directory;
  const auto backend = std::make_shared<FakeBackend>();
  FakeServer one(backend);
  FakeServer two(backend);
  Workload work;
  work.urls = {one.url(), two.url()};
  work.directory = directory.path();
  work.pause = 1ms;
  work.flush_every = 100;
  work.patience = 20s;
  constexpr int processes = 4;
  std::vector<SharedLedger> ledgers(processes);
  std::vector<int> children;
  for (int i = 0; i < processes; ++i) {
    work.run_name = "run-" + std::to_string(i);
    work.durability = i % 2 == 0 ? Durability::each : Durability::interval;
    work.points = i < 2 ? Ledger::most : 400;  // two are killed in the middle
    work.before_end = i < 2 ? await_death : nullptr;
    children.push_back(spawn([&, i] { static_cast<void>(log_all(work, *ledgers[static_cast<std::size_t>(i)])); }));
  }
  // Two replays look in all the time and must leave the living alone, and not both take what is dead.
  const SharedLedger trouble;
  std::vector<int> replays;
  for (int i = 0; i < 2; ++i) {
    replays.push_back(spawn([&] {
      for (;;) {
        const ReplayReport report = replay_all(work.urls, work.directory, 5s);
        for (const ReplayedSpool& spool : report.spools) trouble->refused += spool.error ? 1 : 0;
        std::this_thread::sleep_for(5ms);
      }
    }));
  }
  for (const std::size_t killed : {0U, 1U}) CHECK(acknowledges(*ledgers[killed], 50));
  ::kill(children[0], SIGKILL);
  ::kill(children[1], SIGKILL);
  CHECK(reap(children[0]));
  CHECK(reap(children[1]));
  CHECK_FALSE(reap(children[2]));
  CHECK_FALSE(reap(children[3]));
  for (const int replay : replays) {
    ::kill(replay, SIGKILL);
    CHECK(reap(replay));
  }
  const ReplayReport report = replay_all(work.urls, work.directory);
  INFO(to_json(report));
  CHECK(report.complete());
  CHECK(std::filesystem::is_empty(directory.path()));
  CHECK(trouble->refused == 0);
  judge_creates(*backend, processes);
  for (int i = 0; i < processes; ++i) {
    CAPTURE(i);
    const Ledger& ledger = *ledgers[static_cast<std::size_t>(i)];
    CHECK(ledger.refused == 0);
    CHECK(ledger.count() > 10);
    CHECK(ledger.end_acknowledged == (i >= 2));
    judge(ledger, *backend, "run-" + std::to_string(i));
  }
}

TEST_CASE("servers that come and go lose nothing and double nothing", "[crash][crowd]") {
  const bool killed = GENERATE(false, true);
  CAPTURE(killed);
  const TemporaryDirectory directory;
  const auto backend = std::make_shared<FakeBackend>();
  FakeServer one(backend);
  FakeServer two(backend);
  const FaultScript lossy = {when().share(0.1).apply_then_drop()};
  one.set_faults(lossy);
  two.set_faults(lossy);
  Workload work;
  work.urls = {one.url(), two.url()};
  work.directory = directory.path();
  work.durability = killed ? Durability::each : Durability::interval;
  work.points = killed ? Ledger::most : 1500;
  if (killed) work.before_end = await_death;
  work.pause = 1ms;
  work.flush_every = 0;
  work.patience = 60s;
  const SharedLedger ledger;
  const int child = spawn([&] { ledger->as_hoped = log_all(work, *ledger); });
  for (int turn = 0; turn < 40; ++turn) {
    FakeServer& server = turn % 2 == 0 ? one : two;
    FakeServer& other = turn % 2 == 0 ? two : one;
    const bool both = turn % 5 == 4;
    server.kill();
    if (both) other.pause();
    std::this_thread::sleep_for(20ms);
    server.start();
    if (both) other.resume();
    std::this_thread::sleep_for(15ms);
    if (killed && turn == 30) ::kill(child, SIGKILL);
  }
  CHECK(reap(child) == killed);
  CHECK(ledger->refused == 0);
  CHECK(ledger->as_hoped == !killed);
  const ReplayReport report = replay_all(work.urls, work.directory);
  INFO(to_json(report));
  CHECK(report.complete());
  CHECK(std::filesystem::is_empty(directory.path()));
  judge(*ledger, *backend);
  CHECK(backend->runs_sharing_tag(api::request_tag_key).empty());
}
