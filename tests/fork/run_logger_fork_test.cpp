#include <mlflowha/logging.hpp>
#include <mlflowha/testing/fake_server.hpp>

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <memory>
#include <thread>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  mlflowha_tests::TemporaryDirectory directory;
  std::shared_ptr<FakeBackend> backend = std::make_shared<FakeBackend>();
  FakeServer server{backend};
  RunLoggerOptions options;

  Fixture() { options.directory = directory.path(); }
  Client client() const {
    ClientOptions client;
    client.endpoints = {server.url()};
    return Client::create(client).value();
  }
};

int exit_code_of(pid_t child) {
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("parent and child both log into the run", "[fork][logging]") {
  Fixture f;
  auto logger = RunLogger::start(f.client(), f.options).value();
  REQUIRE(logger.log_metric("before", 1));
  REQUIRE(logger.flush(10s).value().drained);
  REQUIRE(logger.log_metric("queued", 1));  // the parent's, also afterwards
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    bool good = true;
    for (int i = 0; i < 100; ++i) good = logger.log_metric("child", i, i).has_value() && good;
    const auto report = logger.close(20s);
    good = report && report->drained && good;
    _exit(good ? 0 : 1);
  }
  for (int i = 0; i < 100; ++i) REQUIRE(logger.log_metric("parent", i, i));
  CHECK(exit_code_of(child) == 0);
  const StoredRun seen = f.backend->runs().at(0);
  CHECK(seen.status == "RUNNING");  // a child doesn't end its parent's run
  REQUIRE(logger.close(20s).value().drained);
  const auto runs = f.backend->runs();
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].metrics.at("child").size() == 100);
  CHECK(runs[0].metrics.at("parent").size() == 100);
  CHECK(runs[0].metrics.at("queued").size() == 1);
  CHECK(runs[0].status == "FINISHED");
  CHECK(f.backend->counts().repeated_points == 0);
  CHECK(std::filesystem::is_empty(f.directory.path()));
}

TEST_CASE("a child opens a spool of its own although another thread was inside SQLite", "[fork][logging]") {
  Fixture f;
  auto logger = RunLogger::start(f.client(), f.options).value();
  REQUIRE(logger.flush(10s).value().drained);
  std::atomic<bool> done{false};
  std::thread busy([&] {  // nearly always holds the lock of SQLite's allocator
    while (!done.load()) sqlite3_free(sqlite3_malloc(64));
  });
  int good = 0;
  for (int i = 0; i < 50; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);  // rather than wait for ever
      _exit(logger.log_metric("child", i, i) ? 0 : 1);
    }
    if (child < 0 || exit_code_of(child) != 0) break;
    ++good;
  }
  done.store(true);
  busy.join();
  CHECK(good == 50);
  REQUIRE(logger.close(20s).value().drained);
}

TEST_CASE("a child of a run without an id is told so", "[fork][logging]") {
  Fixture f;
  f.server.stop();
  auto logger = RunLogger::start(f.client(), f.options).value();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto refused = logger.log_metric("m", 1);
    _exit(!refused && refused.error().code == Errc::conflict ? 0 : 1);
  }
  CHECK(exit_code_of(child) == 0);
  f.server.start();
  REQUIRE(logger.log_metric("m", 1));
  REQUIRE(logger.close(30s).value().drained);
}

TEST_CASE("a child that does nothing doesn't keep its dead parent's spool locked", "[fork][logging]") {
  Fixture f;
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t parent = fork();
  REQUIRE(parent >= 0);
  if (parent == 0) {
    f.options.background = false;
    auto logger = RunLogger::start(f.client(), f.options).value();
    static_cast<void>(logger.log_metric("m", 1));
    static_cast<void>(logger.commit());
    if (fork() == 0) {
      const pid_t self = getpid();  // written after fork() has returned here, too
      if (write(ready[1], &self, sizeof self) != sizeof self) _exit(1);
      pause();
    }
    _exit(0);
  }
  pid_t grandchild = 0;
  REQUIRE(read(ready[0], &grandchild, sizeof grandchild) == sizeof grandchild);
  CHECK(exit_code_of(parent) == 0);
  const auto files = Spool::list(f.directory.path()).value();
  REQUIRE(files.size() == 1);
  CHECK_FALSE(files[0].in_use);
  kill(grandchild, SIGKILL);
  close(ready[0]);
  close(ready[1]);
}
