// The spool on a disk that fails: every single read, write, sync, truncation, opening and removal that SQLite asks for
// fails once, or from then on until the disk is whole again. What was acknowledged stays, in order and once; what was
// refused isn't there.

#include <mlflowha/logging/spool.hpp>
#include <mlflowha/testing/fake_clock.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace mlflowha;
using mlflowha_tests::TemporaryDirectory;

namespace {

/// SQLite's default file system with faults, while it lives. One at a time, for one thread.
class FaultyDisk {
 public:
  FaultyDisk() : real_(sqlite3_vfs_find(nullptr)), shim_(*real_) {
    shim_.zName = "mlflowha-faulty";
    shim_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    shim_.xOpen = [](sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
      file->pMethods = nullptr;
      if (const int code = disk->next(); code != SQLITE_OK) return SQLITE_CANTOPEN;
      const int code = disk->real_->xOpen(disk->real_, name, real(file), flags, out);
      if (real(file)->pMethods != nullptr) file->pMethods = &methods();
      return code;
    };
    shim_.xDelete = [](sqlite3_vfs*, const char* name, int sync) {
      if (const int code = disk->next(); code != SQLITE_OK) return SQLITE_IOERR_DELETE;
      return disk->real_->xDelete(disk->real_, name, sync);
    };
    disk = this;
    if (sqlite3_vfs_register(&shim_, 1) != SQLITE_OK) throw std::runtime_error("sqlite3_vfs_register");
  }
  ~FaultyDisk() {
    sqlite3_vfs_unregister(&shim_);
    disk = nullptr;
  }
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  /// Operation `at`, counted from 1 and from now, fails with `code`; `lasting`: and all after it.
  void fail(int at, int code, bool lasting) {
    done_ = 0;
    at_ = at;
    code_ = code;
    lasting_ = lasting;
  }
  void heal() { at_ = 0; }
  [[nodiscard]] bool has_failed() const { return has_failed_; }

 private:
  struct File {
    sqlite3_file base;
    // the real file follows
  };
  static inline FaultyDisk* disk = nullptr;

  static sqlite3_file* real(sqlite3_file* file) {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<std::byte*>(file) + sizeof(File));
  }
  int next() {
    if (at_ == 0) return SQLITE_OK;
    ++done_;
    if (done_ != at_ && !(lasting_ && done_ > at_)) return SQLITE_OK;
    has_failed_ = true;
    return code_;
  }
  /// Only versions before shared memory: the spool is opened for one process alone.
  static const sqlite3_io_methods& methods() {
    static const sqlite3_io_methods all = [] {
      sqlite3_io_methods m{};
      m.iVersion = 1;
      m.xClose = [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); };
      m.xRead = [](sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
        if (disk->next() != SQLITE_OK) return SQLITE_IOERR_READ;
        return real(f)->pMethods->xRead(real(f), to, size, at);
      };
      m.xWrite = [](sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
        if (const int code = disk->next(); code != SQLITE_OK) {
          // What a disk does that breaks in the middle: some of it is there.
          (void)real(f)->pMethods->xWrite(real(f), from, size / 2, at);
          return code == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        }
        return real(f)->pMethods->xWrite(real(f), from, size, at);
      };
      m.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
        if (disk->next() != SQLITE_OK) return SQLITE_IOERR_TRUNCATE;
        return real(f)->pMethods->xTruncate(real(f), size);
      };
      m.xSync = [](sqlite3_file*, int) {
        if (disk->next() != SQLITE_OK) return SQLITE_IOERR_FSYNC;
        return SQLITE_OK;  // without waiting for the disk: this machine goes on
      };
      m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) { return real(f)->pMethods->xFileSize(real(f), size); };
      m.xLock = [](sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); };
      m.xUnlock = [](sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); };
      m.xCheckReservedLock = [](sqlite3_file* f, int* out) {
        return real(f)->pMethods->xCheckReservedLock(real(f), out);
      };
      m.xFileControl = [](sqlite3_file* f, int what, void* with) {
        return real(f)->pMethods->xFileControl(real(f), what, with);
      };
      m.xSectorSize = [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); };
      m.xDeviceCharacteristics = [](sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); };
      return m;
    }();
    return all;
  }

  sqlite3_vfs* real_;
  sqlite3_vfs shim_;
  int at_ = 0;
  int done_ = 0;
  int code_ = SQLITE_OK;
  bool lasting_ = false;
  bool has_failed_ = false;
};

using Texts = std::vector<std::string>;

SpoolRow row(std::int64_t run, const std::string& text) {
  RunValues values;
  values.params = {{.key = "p", .value = text + std::string(6000, '.')}};
  return {run, RecordKind::values, 1, encode(values).value()};
}

/// What is left in a spool: the head of each row's text.
Texts texts(const Spool& spool, std::int64_t run) {
  Texts all;
  for (const StoredRow& stored : spool.head(run, 1000).value()) {
    const std::string value = std::get<RunValues>(decode_record(stored.data).value()).params.at(0).value;
    all.push_back(value.substr(0, value.find('.')));
  }
  return all;
}

/// A program that logs, and what it was told.
struct Program {
  SpoolOptions options;
  std::shared_ptr<testing::FakeClock> clock = std::make_shared<testing::FakeClock>();
  std::string path;
  std::int64_t run = 0;
  Texts waiting;  // acknowledged, and not settled
  std::size_t refused = 0;
  bool knows_its_server = false;

  void log(Spool& spool, const std::string& text) {
    const Result<void> done = spool.append({row(run, text), row(run, text + "'")});
    if (done) {
      waiting.insert(waiting.end(), {text, text + "'"});
    } else {
      ++refused;
      CHECK((done.error().kind() == ErrorKind::storage && !done.error().message.empty()));
    }
  }
  void settle(Spool& spool, std::size_t count) {
    const Result<std::vector<StoredRow>> head = spool.head(run, count);
    if (!head || head->empty()) return;
    if (spool.settle(run, head->back().seq)) {
      waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(head->size()));
    }
  }
  /// Returns false when it couldn't even begin.
  bool live(FaultyDisk& disk) {
    SplitMixRng rng{1};
    Result<std::unique_ptr<Spool>> made = Spool::create(options, clock, rng);
    if (!made) return false;
    Spool& spool = **made;
    path = spool.path();
    const Result<std::int64_t> added = spool.add_run("local-1", {});
    if (!added) return false;
    run = *added;
    log(spool, "a");
    log(spool, "b");
    settle(spool, 3);
    (void)spool.sync();
    knows_its_server = spool.set_run_server_id(run, "run-1").has_value();
    log(spool, "c");
    disk.heal();
    log(spool, "d");
    CHECK(std::find(waiting.begin(), waiting.end(), "d'") != waiting.end());  // it goes on by itself
    CHECK(texts(spool, run) == waiting);
    return true;
  }
};

}  // namespace

TEST_CASE("a disk that fails anywhere loses nothing acknowledged and doubles nothing", "[logging][spool]") {
  for (const Durability durability : {Durability::interval, Durability::each}) {
    for (const int code : {SQLITE_IOERR, SQLITE_FULL}) {
      for (const bool lasting : {false, true}) {
        int at = 1;
        std::size_t refused = 0;
        for (bool failed = true; failed; ++at) {
          INFO("durability " << static_cast<int>(durability) << ", code " << code << ", lasting " << lasting
                             << ", operation " << at);
          REQUIRE(at < 1000);
          const TemporaryDirectory directory;
          FaultyDisk disk;
          Program program;
          program.options.directory = directory / "spool";
          program.options.durability = durability;
          disk.fail(at, code, lasting);
          const bool lived = program.live(disk);
          failed = disk.has_failed();
          disk.heal();
          if (!lived) continue;
          refused += program.refused;
          Result<std::unique_ptr<Spool>> spool = Spool::adopt(program.path, program.options, program.clock);
          REQUIRE(spool.has_value());
          CHECK(texts(**spool, program.run) == program.waiting);
          CHECK((*spool)->stats().rows == program.waiting.size());
          CHECK((*spool)->run(program.run).value().server_id == (program.knows_its_server ? "run-1" : ""));
        }
        CHECK((at > 20 && refused > 0));
      }
    }
  }
}

TEST_CASE("a spool that can't be read now is whole when the disk is", "[logging][spool]") {
  for (const bool lasting : {false, true}) {
    int at = 1;
    for (bool failed = true; failed; ++at) {
      INFO("lasting " << lasting << ", operation " << at);
      REQUIRE(at < 1000);
      const TemporaryDirectory directory;
      FaultyDisk disk;
      Program program;
      program.options.directory = directory / "spool";
      REQUIRE(program.live(disk));

      disk.fail(at, SQLITE_IOERR, lasting);
      {
        const Result<std::unique_ptr<Spool>> early = Spool::adopt(program.path, program.options, program.clock);
        if (early) {
          const Result<std::vector<StoredRow>> rows = (*early)->head(program.run, 1000);
          if (rows) CHECK(rows->size() == program.waiting.size());
        } else {
          CHECK(early.error().code == Errc::storage_failed);
        }
      }
      failed = disk.has_failed();
      disk.heal();
      Result<std::unique_ptr<Spool>> spool = Spool::adopt(program.path, program.options, program.clock);
      REQUIRE(spool.has_value());
      CHECK(texts(**spool, program.run) == program.waiting);
    }
    CHECK(at > 5);
  }
}
