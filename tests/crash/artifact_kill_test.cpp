// Processes that log files are killed at every step between taking one and removing its copy, then whoever replays is,
// too. Afterwards every file that was acknowledged is on the server as it was when it was logged, whatever its owner
// did with it later, nothing half is there, and nothing is left on the disk.

#include <mlflowha/api/artifacts.hpp>
#include <mlflowha/logging.hpp>
#include <mlflowha/testing/fake_server.hpp>

#include <sys/mman.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "crash/total_queue.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using mlflowha_tests::dies;
using mlflowha_tests::TemporaryDirectory;
using namespace std::chrono_literals;

namespace {

constexpr int files = 6;

struct Ledger {
  std::atomic<int> tried{0};
  std::atomic<int> acknowledged{0};
};

std::string name_of(int i) { return "f" + std::to_string(i) + ".bin"; }
/// More than a pipe or a socket takes at once.
std::string bytes_of(int i) { return std::string(300'000 + static_cast<std::size_t>(i), static_cast<char>('a' + i)); }

void log_files(const std::vector<std::string>& urls, const std::string& directory, Durability mode, Ledger& ledger) {
  ClientOptions options;
  options.endpoints = urls;
  RunLoggerOptions logging;
  logging.directory = directory + "/spool";
  logging.durability = mode;
  logging.linger = 2ms;
  logging.gather = 1ms;
  auto logger = RunLogger::start(Client::create(options).value(), logging).value();
  for (int i = 0; i < files; ++i) {
    const std::string path = directory + "/" + name_of(i);
    std::ofstream(path, std::ios::binary) << bytes_of(i);
    ledger.tried = i + 1;
    const bool taken = logger.log_artifact(path, "d").has_value();
    if (taken && (mode == Durability::each || logger.commit())) ledger.acknowledged = i + 1;
    std::ofstream(path, std::ios::binary) << "something else";
    static_cast<void>(logger.log_metric("m", i, i));
    if (i % 2 == 1) static_cast<void>(logger.flush(5s));
  }
  static_cast<void>(logger.close(5s));
}

ReplayReport replay_files(const std::vector<std::string>& urls, const std::string& directory) {
  ClientOptions options;
  options.endpoints = urls;
  ReplayOptions replaying;
  replaying.directory = directory + "/spool";
  replaying.patience = 5s;
  return replay(Client::create(options).value(), replaying).value();
}

int round_of(const std::string& point, int turn, Durability mode) {
  CAPTURE(point, turn, static_cast<int>(mode));
  TemporaryDirectory directory;
  const auto backend = std::make_shared<FakeBackend>();
  FakeServer one(backend);
  FakeServer two(backend);
  one.set_faults({when().method(Method::put).share(0.2).drop_before()});
  const std::vector<std::string> urls = {one.url(), two.url()};
  void* memory = ::mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto& ledger = *new (memory) Ledger();
  int kills = 0;
  mlflowha_tests::aim_fault(point, turn);
  kills += dies([&] { log_files(urls, directory.path(), mode, ledger); }) ? 1 : 0;
  mlflowha_tests::aim_fault(point, 1);
  kills += dies([&] { static_cast<void>(replay_files(urls, directory.path())); }) ? 1 : 0;
  mlflowha_tests::aim_fault("", 0);
  const ReplayReport report = replay_files(urls, directory.path());
  INFO(to_json(report));
  CHECK(report.complete());
  CHECK(std::filesystem::is_empty(directory / "spool"));

  ClientOptions options;
  options.endpoints = urls;
  const Client client = Client::create(options).value();
  const std::vector<StoredRun> runs = backend->runs();
  CHECK(runs.size() <= 1);
  std::set<std::string> stored;
  if (!runs.empty()) {
    ListArtifacts list;
    list.run_id = runs[0].run_id;
    list.path = "d";
    const ArtifactList found = client.list_artifacts(list).value();
    for (const FileInfo& file : found.files) stored.insert(file.path);
    CHECK(stored.size() <= static_cast<std::size_t>(ledger.tried.load()));  // nothing invented
    for (int i = 0; i < ledger.tried; ++i) {
      if (stored.count("d/" + name_of(i)) == 0) continue;
      GetArtifact get;
      get.run_id = runs[0].run_id;
      get.path = "d/" + name_of(i);
      CHECK(client.get_artifact(get).value() == bytes_of(i));
    }
  }
  for (int i = 0; i < ledger.acknowledged; ++i) CHECK(stored.count("d/" + name_of(i)) == 1);  // nothing lost
  ::munmap(memory, sizeof(Ledger));
  return kills;
}

}  // namespace

TEST_CASE("no acknowledged file is lost, wherever a process is killed", "[crash][artifacts]") {
  int kills = 0;
  for (const char* point : {"artifact: taken", "append: before commit", "append: committed", "artifact: before sending",
                            "artifact: answered", "settle: before commit", "settle: committed", "artifact: removed"}) {
    for (const int turn : {1, 2, 4}) {
      for (const Durability mode : {Durability::each, Durability::interval}) kills += round_of(point, turn, mode);
    }
  }
  INFO(kills << " kills");
  CHECK(kills >= 60);
}
