#include "crash/total_queue.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <new>
#include <set>
#include <stdexcept>
#include <thread>

#include "support/catch.hpp"

namespace mlflowha_tests {

using namespace mlflowha;
using namespace mlflowha::testing;

int Ledger::count() const {
  int all = 0;
  for (const auto& one : acknowledged) all += one ? 1 : 0;
  return all;
}

SharedLedger::SharedLedger() {
  void* memory = ::mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no shared memory");
  ledger_ = new (memory) Ledger();
}
SharedLedger::~SharedLedger() { ::munmap(ledger_, sizeof(Ledger)); }

Client client_of(const std::vector<std::string>& urls) {
  ClientOptions options;
  options.endpoints = urls;
  return Client::create(options).value();
}

bool log_all(const Workload& work, Ledger& ledger) {
  RunLoggerOptions options;
  options.directory = work.directory;
  options.experiment = "crash";
  options.run_name = work.run_name;
  options.durability = work.durability;
  options.linger = std::chrono::milliseconds(2);
  options.gather = std::chrono::milliseconds(1);
  auto logger = RunLogger::start(client_of(work.urls), options).value();
  ledger.started = true;
  const auto note = [&](const Error& why) {
    ledger.refused += 1;
    ledger.refusal = static_cast<int>(why.code);
  };
  // With `each` a log call's success is the promise; with `interval` commit()'s is, for all that was taken before it.
  const auto acknowledged = [&](const Result<void>& taken) {
    if (!taken) {
      note(taken.error());
      return false;
    }
    if (work.durability == Durability::each) return true;
    const Result<void> committed = logger.commit();
    if (!committed) note(committed.error());
    return committed.has_value();
  };
  std::vector<int> taken;  // but not acknowledged: the next commit that works acknowledges them, too
  for (int i = 0; i < work.points; ++i) {
    ledger.points_tried = i + 1;
    const Result<void> point = logger.log_metric("m", i, i, 1'000 + i);
    if (point) taken.push_back(i);
    if (acknowledged(point)) {
      for (const int step : taken) ledger.acknowledged[step] = true;
      taken.clear();
    }
    if (i % 6 == 5) {
      ledger.tag_tried = i;
      if (acknowledged(logger.set_tag("seq", std::to_string(i)))) ledger.tag_acknowledged = i;
    }
    if (work.flush_every != 0 && i % work.flush_every == work.flush_every - 1) {
      static_cast<void>(logger.flush(work.patience));
    }
    if (work.pause > Duration::zero()) std::this_thread::sleep_for(work.pause);
  }
  if (!work.end) return false;
  if (work.before_end) work.before_end();
  if (acknowledged(logger.end())) ledger.end_acknowledged = true;
  const Result<CloseReport> closed = logger.close(work.patience);
  return closed && closed->drained;
}

ReplayReport replay_all(const std::vector<std::string>& urls, const std::string& directory, Duration patience) {
  ReplayOptions options;
  options.directory = directory;
  options.patience = patience;
  return replay(client_of(urls), options).value();
}

namespace {

/// The parent's servers: a port that a child holds open stays open when the parent kills its server, and nobody
/// answers.
void close_sockets() {
  std::vector<int> sockets;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the one that the listing itself has open
    const std::string what = std::filesystem::read_symlink(entry.path(), gone).string();
    if (what.starts_with("socket:")) sockets.push_back(std::stoi(entry.path().filename().string()));
  }
  for (const int socket : sockets) ::close(socket);
}

}  // namespace

int spawn(const std::function<void()>& work) {
  const ::pid_t child = ::fork();
  if (child == 0) {
    try {
      close_sockets();
      work();
    } catch (const std::exception& error) {  // the parent's Catch2 is not this process's
      static_cast<void>(std::fprintf(stderr, "child: %s\n", error.what()));
      ::_exit(99);
    }
    ::_exit(0);
  }
  REQUIRE(child > 0);
  return child;
}

bool reap(int child) {
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0));
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

bool dies(const std::function<void()>& work) { return reap(spawn(work)); }

void judge(const Ledger& ledger, const FakeBackend& backend, const std::string& run_name) {
  std::vector<StoredRun> found;
  for (const StoredRun& run : backend.runs()) {
    if (run.name == run_name && run.lifecycle_stage == "active") found.push_back(run);
  }
  REQUIRE(found.size() <= 1);
  if (found.empty()) {
    CHECK_FALSE(ledger.started);
    CHECK(ledger.count() == 0);
    return;
  }
  const StoredRun& run = found.front();
  std::set<std::int64_t> steps;
  for (const auto& [key, points] : run.metrics) {
    CHECK(key == "m");
    for (const StoredPoint& stored : points) {
      CHECK(steps.insert(stored.step).second);                         // nothing twice
      CHECK((stored.step >= 0 && stored.step < ledger.points_tried));  // nothing invented
      CHECK(stored.timestamp == 1'000 + stored.step);
      CHECK(stored.value == static_cast<double>(stored.step));
    }
  }
  int lost = 0;
  for (int i = 0; i < Ledger::most; ++i) lost += ledger.acknowledged[i] && steps.count(i) == 0 ? 1 : 0;
  CHECK(lost == 0);
  if (run.tags.count("seq") == 1) {
    const int last = std::stoi(run.tags.at("seq"));
    CHECK(last >= ledger.tag_acknowledged);  // the order was kept: no older value came last
    CHECK(last <= ledger.tag_tried);
  } else {
    CHECK(ledger.tag_acknowledged < 0);
  }
  if (ledger.end_acknowledged) CHECK(run.status == "FINISHED");
}

void judge_creates(const FakeBackend& backend, std::size_t most_runs) {
  CHECK(backend.runs_sharing_tag(api::request_tag_key).empty());
  CHECK(backend.runs().size() <= most_runs);
  std::size_t experiments = 0;
  for (const StoredExperiment& one : backend.experiments()) experiments += one.name == "crash" ? 1U : 0U;
  CHECK(experiments <= 1);
}

}  // namespace mlflowha_tests
