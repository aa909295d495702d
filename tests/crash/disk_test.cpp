// Spools on disks that fail: full ones (a tmpfs that the test mounts in a namespace of its own) and read-only ones.
// Whatever happens, the count must come out right afterwards.

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "crash/total_queue.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace mlflowha_tests;
using namespace std::chrono_literals;

namespace {

bool write_text(const char* path, const std::string& text) {
  std::ofstream file(path);
  return static_cast<bool>(file.write(text.data(), static_cast<std::streamsize>(text.size())).flush());
}

/// Mounts a tmpfs of that size, seen by this process and its children only; it goes with them. "" or why it can't.
std::string mount_small_disk(const std::string& where, const std::string& size) {
  const std::string user = std::to_string(::geteuid());
  const std::string group = std::to_string(::getegid());
  const bool root = user == "0";
  if (::unshare(root ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    return std::string("no mount namespace: ") + std::strerror(errno);
  }
  // A user that the namespace has no name for couldn't own a file on its disk.
  if (!root &&
      (!write_text("/proc/self/setgroups", "deny") || !write_text("/proc/self/uid_map", user + " " + user + " 1") ||
       !write_text("/proc/self/gid_map", group + " " + group + " 1"))) {
    return "the user has no name in its namespace";
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 && root) {
    return std::string("can't make mounts private: ") + std::strerror(errno);
  }
  if (::mount("tmpfs", where.c_str(), "tmpfs", 0, ("size=" + size).c_str()) != 0) {
    return std::string("can't mount a tmpfs: ") + std::strerror(errno);
  }
  return "";
}

/// Whether a child can mount one; says why not.
bool can_mount(const std::string& where) {
  const SharedLedger told;
  reap(spawn([&] {
    const std::string why = mount_small_disk(where, "64k");
    told->as_hoped = why.empty();
    if (!why.empty()) static_cast<void>(std::fprintf(stderr, "%s\n", why.c_str()));
  }));
  return told->as_hoped;
}

void wait_for(const std::atomic<int>& phase, int value) {
  while (phase < value) std::this_thread::sleep_for(2ms);
}

/// Two servers and a small disk; `work` runs in a child that sees the disk at `directory`.
struct SmallDisk {
  TemporaryDirectory directory;
  std::shared_ptr<FakeBackend> backend = std::make_shared<FakeBackend>();
  FakeServer one{backend};
  FakeServer two{backend};
  SharedLedger ledger;

  Workload workload() {
    Workload work;
    work.urls = {one.url(), two.url()};
    work.directory = directory / "spool";
    work.points = Ledger::most;
    work.flush_every = 0;
    work.patience = 20s;
    return work;
  }
  void take_down() {
    one.kill();
    two.kill();
  }
  void bring_up() {
    one.start();
    two.start();
  }
};

void fill(const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  const std::string block(4096, 'x');
  while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) continue;
}

}  // namespace

TEST_CASE("a full disk refuses, loses nothing, and is used again when it has grown", "[crash][disk]") {
  SmallDisk f;
  if (!can_mount(f.directory.path())) {
    WARN("skipped: this user can't mount a tmpfs, not even in a user namespace");
    return;
  }
  const Durability mode = GENERATE(Durability::each, Durability::interval);
  CAPTURE(static_cast<int>(mode));
  const bool killed = GENERATE(false, true);
  CAPTURE(killed);
  f.take_down();
  const int child = spawn([&] {
    if (!mount_small_disk(f.directory.path(), "3m").empty()) ::_exit(1);
    Workload work = f.workload();
    work.durability = mode;
    work.pause = 200us;
    const int logging = spawn([&] { f.ledger->as_hoped = log_all(work, *f.ledger); });
    while (f.ledger->refused < 50) std::this_thread::sleep_for(2ms);
    if (killed) ::kill(logging, SIGKILL);
    f.ledger->phase = 1;  // servers, please
    wait_for(f.ledger->phase, 2);
    if (::mount("tmpfs", f.directory.path().c_str(), "tmpfs", MS_REMOUNT, "size=64m") != 0) ::_exit(1);
    int status = 0;
    if (::waitpid(logging, &status, 0) != logging) ::_exit(1);
    const bool complete = replay_all(work.urls, work.directory).complete();
    f.ledger->as_hoped = complete && (killed || f.ledger->as_hoped);
  });
  wait_for(f.ledger->phase, 1);
  f.bring_up();
  f.ledger->phase = 2;
  CHECK_FALSE(reap(child));
  CHECK(f.ledger->refusal == static_cast<int>(Errc::storage_full));
  CHECK(f.ledger->count() > 20);
  CHECK(f.ledger->as_hoped);
  CHECK(f.ledger->end_acknowledged == !killed);
  judge_creates(*f.backend);
  judge(*f.ledger, *f.backend);
}

TEST_CASE("when others fill the disk, a logger goes on as soon as there is room", "[crash][disk]") {
  SmallDisk f;
  if (!can_mount(f.directory.path())) {
    WARN("skipped: this user can't mount a tmpfs, not even in a user namespace");
    return;
  }
  const Durability mode = GENERATE(Durability::each, Durability::interval);
  CAPTURE(static_cast<int>(mode));
  const int child = spawn([&] {
    if (!mount_small_disk(f.directory.path(), "32m").empty()) ::_exit(1);
    Workload work = f.workload();
    work.durability = mode;
    work.points = 2000;
    work.pause = 100us;
    std::thread neighbour([&] {
      while (!f.ledger->started) std::this_thread::sleep_for(1ms);  // a spool that can't even be made is an error
      for (int round = 0; round < 5; ++round) {
        fill(f.directory / "big");
        std::this_thread::sleep_for(30ms);
        std::filesystem::remove(f.directory / "big");
        std::this_thread::sleep_for(20ms);
      }
    });
    work.before_end = [&] { neighbour.join(); };  // an end() for which there is no room is refused, and rightly so
    const bool drained = log_all(work, *f.ledger);
    f.ledger->as_hoped = drained && replay_all(work.urls, work.directory).complete();
  });
  reap(child);
  CHECK(f.ledger->as_hoped);
  CHECK(f.ledger->end_acknowledged);
  judge_creates(*f.backend);
  judge(*f.ledger, *f.backend);
}

namespace {

/// A dead process's spool, and everything as a user without privileges sees it.
struct ReadOnly {
  TemporaryDirectory directory;
  std::shared_ptr<FakeBackend> backend = std::make_shared<FakeBackend>();
  FakeServer server{backend};
  SharedLedger ledger;
  Workload work;

  ReadOnly() {
    work.urls = {server.url()};
    work.directory = directory / "spool";
    work.flush_every = 0;
    work.end = false;
    if (::geteuid() == 0) REQUIRE(::chown(directory.path().c_str(), nobody, nobody) == 0);
  }
  /// Permissions mean nothing to root.
  static void become_nobody() {
    if (::geteuid() == 0 && (::setgid(nobody) != 0 || ::setuid(nobody) != 0)) ::_exit(1);
  }
  void leave_behind() {
    server.kill();
    CHECK(dies([&] {
      become_nobody();
      static_cast<void>(log_all(work, *ledger));
      ::kill(::getpid(), SIGKILL);
    }));
    server.start();
  }
  /// What a replay says of the only spool.
  void replay_sees(const std::string& fragment) {
    reap(spawn([&] {
      become_nobody();
      const ReplayReport report = replay_all(work.urls, work.directory, 1s);
      const auto& error = report.spools.at(0).error;
      ledger->as_hoped = !report.complete() && report.delivered == 0 && error && error->code == Errc::storage_failed &&
                         error->message.find(fragment) != std::string::npos &&
                         error->message.find(work.directory) != std::string::npos;
      if (!ledger->as_hoped) static_cast<void>(std::fprintf(stderr, "%s\n", to_json(report).c_str()));
    }));
    CHECK(ledger->as_hoped);
  }
  std::string spool() const { return Spool::list(work.directory).value().at(0).path; }
  void delivers_after_all() {
    CHECK(replay_all(work.urls, work.directory).complete());
    CHECK(ledger->count() == work.points);
    CHECK(std::filesystem::is_empty(work.directory));
    judge_creates(*backend);
    judge(*ledger, *backend);
  }
  static constexpr unsigned nobody = 65534;
};

}  // namespace

TEST_CASE("a logger says that its directory is read-only", "[crash][disk]") {
  ReadOnly f;
  REQUIRE(::mkdir(f.work.directory.c_str(), 0500) == 0);
  reap(spawn([&] {
    ReadOnly::become_nobody();
    RunLoggerOptions options;
    options.directory = f.work.directory;
    const auto logger = RunLogger::start(client_of(f.work.urls), options);
    f.ledger->as_hoped = !logger && logger.error().code == Errc::storage_failed &&
                         logger.error().message.find(f.work.directory) != std::string::npos;
  }));
  CHECK(f.ledger->as_hoped);
  CHECK(std::filesystem::is_empty(f.work.directory));
}

TEST_CASE("a read-only spool is left as it is until it can be written", "[crash][disk]") {
  ReadOnly f;
  f.leave_behind();
  const std::string spool = f.spool();
  SECTION("the file") {
    REQUIRE(::chmod(spool.c_str(), 0400) == 0);
    f.replay_sees("read-only");
    CHECK(f.backend->runs().empty());
    REQUIRE(::chmod(spool.c_str(), 0600) == 0);
    f.delivers_after_all();
  }
  SECTION("its lock") {
    const std::string lock = spool.substr(0, spool.size() - 6) + ".lock";
    REQUIRE(::chmod(lock.c_str(), 0400) == 0);
    f.replay_sees("lock");
    CHECK(f.backend->runs().empty());
    REQUIRE(::chmod(lock.c_str(), 0600) == 0);
    f.delivers_after_all();
  }
  SECTION("the directory: all is delivered, once, and the files go when they can") {
    REQUIRE(::chmod(f.work.directory.c_str(), 0500) == 0);
    for (int i = 0; i < 2; ++i) {
      reap(spawn([&] {
        ReadOnly::become_nobody();
        static_cast<void>(replay_all(f.work.urls, f.work.directory, 1s));
      }));
    }
    CHECK(std::filesystem::exists(spool));
    CHECK(f.backend->counts().repeated_points == 0);
    REQUIRE(::chmod(f.work.directory.c_str(), 0700) == 0);
    f.delivers_after_all();
  }
}
