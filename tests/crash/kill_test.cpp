// Processes that log are killed with SIGKILL at every step between the log call and the acknowledgement, in every
// step's first, second, ... turn; then whoever replays is killed, too; then a replay is let through. After that a count
// in the style of Jepsen's total queue: acknowledged entries are all stored, nothing was invented, nothing is there
// twice, and the order within the run was kept.

#include <mlflowha/logging.hpp>
#include <mlflowha/testing/fake_server.hpp>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using mlflowha_tests::TemporaryDirectory;
using namespace std::chrono_literals;

namespace {

/// What a killed process leaves for the judge: shared memory survives it.
struct Ledger {
  std::atomic<int> points_tried{0};
  std::atomic<int> points_acknowledged{0};
  std::atomic<int> tag_tried{-1};
  std::atomic<int> tag_acknowledged{-1};
  std::atomic<bool> end_acknowledged{false};
};

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

constexpr int points = 60;

/// The workload. Never returns.
[[noreturn]] void log_and_exit(const std::vector<std::string>& urls, const std::string& directory, Durability mode,
                               Ledger& ledger) {
  ClientOptions options;
  options.endpoints = urls;
  const Client client = Client::create(options).value();
  RunLoggerOptions logging;
  logging.directory = directory;
  logging.experiment = "crash";
  logging.durability = mode;
  logging.linger = 2ms;
  logging.gather = 1ms;
  auto logger = RunLogger::start(client, logging).value();
  const auto acknowledged = [&](const Result<void>& taken) {
    // With `each` a log call's success is the promise; with `interval` commit()'s is.
    return taken && (mode == Durability::each || logger.commit());
  };
  for (int i = 0; i < points; ++i) {
    ledger.points_tried = i + 1;
    if (acknowledged(logger.log_metric("m", i, i, 1'000 + i))) ledger.points_acknowledged = i + 1;
    if (i % 6 == 5) {
      ledger.tag_tried = i;
      if (acknowledged(logger.set_tag("seq", std::to_string(i)))) ledger.tag_acknowledged = i;
    }
    if (i % 10 == 9) static_cast<void>(logger.flush(5s));
  }
  if (acknowledged(logger.end())) ledger.end_acknowledged = true;
  static_cast<void>(logger.close(5s));
  ::_exit(0);
}

[[noreturn]] void replay_and_exit(const std::vector<std::string>& urls, const std::string& directory) {
  ClientOptions options;
  options.endpoints = urls;
  ReplayOptions replaying;
  replaying.directory = directory;
  replaying.patience = 5s;
  static_cast<void>(replay(Client::create(options).value(), replaying));
  ::_exit(0);
}

/// Runs `work` in a child; true when it was killed.
template <class Work>
bool dies(const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  REQUIRE(child > 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
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
  const std::vector<std::string> urls = {one.url(), two.url()};
  void* memory = ::mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto& ledger = *new (memory) Ledger();

  ++tally.rounds;
  aim(point, turn);
  tally.kills += dies([&] { log_and_exit(urls, directory.path(), mode, ledger); }) ? 1 : 0;
  aim(point, 1 + turn % 3);
  tally.kills += dies([&] { replay_and_exit(urls, directory.path()); }) ? 1 : 0;
  aim("", 0);
  one.set_faults({});
  ClientOptions options;
  options.endpoints = urls;
  ReplayOptions replaying;
  replaying.directory = directory.path();
  const ReplayReport report = replay(Client::create(options).value(), replaying).value();
  INFO(to_json(report));
  CHECK(report.complete());
  CHECK(std::filesystem::is_empty(directory.path()));

  const std::vector<StoredRun> runs = backend->runs();
  std::vector<StoredRun> active;
  for (const StoredRun& run : runs) {
    if (run.lifecycle_stage == "active") active.push_back(run);
  }
  CHECK(backend->runs_sharing_tag(api::request_tag_key).empty());
  CHECK(active.size() <= 1);
  CHECK(runs.size() <= 1);  // nor was a twin made and removed again
  std::size_t experiments = 0;
  const std::vector<StoredExperiment> all = backend->experiments();
  for (const StoredExperiment& experiment : all) experiments += experiment.name == "crash" ? 1U : 0U;
  CHECK(experiments <= 1);
  if (active.empty()) {
    CHECK(ledger.points_acknowledged == 0);
  } else {
    const StoredRun& run = active.front();
    std::set<std::int64_t> steps;
    const auto found = run.metrics.find("m");
    if (found != run.metrics.end()) {
      for (const StoredPoint& stored : found->second) {
        CHECK(steps.insert(stored.step).second);   // nothing twice
        CHECK(stored.step < ledger.points_tried);  // nothing invented
        CHECK(stored.timestamp == 1'000 + stored.step);
        CHECK(stored.value == static_cast<double>(stored.step));
      }
    }
    for (int i = 0; i < ledger.points_acknowledged; ++i) CHECK(steps.count(i) == 1);  // nothing lost
    if (ledger.tag_acknowledged >= 0) {
      REQUIRE(run.tags.count("seq") == 1);
      const int last = std::stoi(run.tags.at("seq"));
      CHECK(last >= ledger.tag_acknowledged);  // the order was kept: no older value came last
      CHECK(last <= ledger.tag_tried);
    }
    if (ledger.end_acknowledged) CHECK(run.status == "FINISHED");
  }
  ::munmap(memory, sizeof(Ledger));
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

void mlflowha_tests::fault_point(const char* name) noexcept {
  Target& aimed = target();
  if (aimed.name[0] == '\0' || std::strcmp(aimed.name, name) != 0) return;
  if (aimed.seen.fetch_add(1) + 1 == aimed.turn) ::kill(::getpid(), SIGKILL);
}

void mlflowha_tests::aim_fault(const std::string& name, int turn) { aim(name, turn); }

TEST_CASE("nothing acknowledged is lost and nothing happens twice, wherever a process is killed", "[crash]") {
  Tally tally;
  for (const std::string& point : fault_points()) {
    const bool once = point.find("create") == 0 || point.find("experiment") == 0 || point.find("other") == 0;
    const std::vector<int> turns =
        once ? std::vector<int>{1, 2} : std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27};
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
