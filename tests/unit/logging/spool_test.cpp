#include <mlflowha/logging/spool.hpp>
#include <mlflowha/testing/fake_clock.hpp>

#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"
#include "unit/logging/fixture.hpp"

using namespace mlflowha;
using mlflowha_tests::ask_file;
using mlflowha_tests::TemporaryDirectory;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  TemporaryDirectory directory;
  std::shared_ptr<testing::FakeClock> clock = std::make_shared<testing::FakeClock>();
  SplitMixRng rng{1};
  SpoolOptions options;

  Fixture() { options.directory = directory / "spool"; }
  std::unique_ptr<Spool> create() { return Spool::create(options, clock, rng).value(); }
  Result<std::unique_ptr<Spool>> adopt(const std::string& path) { return Spool::adopt(path, options, clock); }
};

SpoolRow row(std::int64_t run, const std::string& text, std::size_t padding = 0) {
  RunValues values;
  values.params = {{.key = "p", .value = text + std::string(padding, '.')}};
  return {run, RecordKind::values, 1, encode(values).value()};
}
std::string text_of(const StoredRow& stored) {
  return std::get<RunValues>(decode_record(stored.data).value()).params.at(0).value;
}
std::vector<std::string> texts(const Spool& spool, std::int64_t run) {
  std::vector<std::string> all;
  const std::vector<StoredRow> rows = spool.head(run, 1000).value();
  for (const StoredRow& stored : rows) all.push_back(text_of(stored));
  return all;
}
unsigned mode_of(const std::string& path) {
  struct ::stat there{};
  REQUIRE(::stat(path.c_str(), &there) == 0);
  return there.st_mode & 0777U;
}
using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("rows of a run come out in the order in which they went in", "[logging][spool]") {
  Fixture f;
  for (const Durability durability : {Durability::none, Durability::interval, Durability::each}) {
    f.options.durability = durability;
    const auto spool = f.create();
    const std::int64_t one = spool->add_run("local-1", {}).value();
    const std::int64_t two = spool->add_run("local-2", {}).value();
    REQUIRE(spool->append({row(one, "a"), row(two, "x"), row(one, "b")}));
    REQUIRE(spool->append({row(one, "c")}));
    REQUIRE(spool->sync());
    CHECK(texts(*spool, one) == Texts{"a", "b", "c"});
    CHECK(texts(*spool, two) == Texts{"x"});
    CHECK(spool->stats().rows == 4);
    const auto head = spool->head(one, 2).value();
    REQUIRE(head.size() == 2);
    REQUIRE(spool->settle(one, head[1].seq));
    CHECK(texts(*spool, one) == Texts{"c"});
    CHECK(texts(*spool, two) == Texts{"x"});  // settled is settled for one run only
    CHECK(spool->stats().rows == 2);
    CHECK(spool->has_rows(one).value());
  }
}

TEST_CASE("a spool outlives its process", "[logging][spool]") {
  Fixture f;
  std::string path;
  SpoolStats before;
  {
    const auto spool = f.create();
    path = spool->path();
    RunStart start;
    start.experiment_name = "lm";
    start.request_tag = "tag-1";
    const std::int64_t run = spool->add_run("local-1", start).value();
    REQUIRE(spool->append({row(run, "a"), row(run, "b"), row(run, "c")}));
    REQUIRE(spool->settle(run, spool->head(run, 1).value()[0].seq));
    REQUIRE(spool->mark_run_attempted(run));
    CHECK(spool->experiment("lm", "first").value().request_tag == "first");
    REQUIRE(spool->mark_experiment_attempted("lm"));
    REQUIRE(spool->set_experiment_server_id("lm", "7"));
    before = spool->stats();
  }
  auto spool = f.adopt(path).value();
  const auto runs = spool->runs().value();
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].local_id == "local-1");
  CHECK(runs[0].start.request_tag == "tag-1");
  CHECK(runs[0].attempted);
  CHECK(runs[0].server_id.empty());
  CHECK(texts(*spool, runs[0].id) == Texts{"b", "c"});
  CHECK(spool->stats().bytes == before.bytes);
  CHECK(spool->stats().entries == 2);
  CHECK(spool->stats().oldest == before.oldest);
  const SpoolExperiment experiment = spool->experiment("lm", "second").value();
  CHECK(experiment.request_tag == "first");  // fixed before the first sending, for ever
  CHECK(experiment.attempted);
  CHECK(experiment.server_id == "7");
  REQUIRE(spool->set_run_server_id(runs[0].id, "abc"));
  spool.reset();
  CHECK(f.adopt(path).value()->run(runs[0].id).value().server_id == "abc");
}

TEST_CASE("rows of a spool are numbered on after all were delivered", "[logging][spool]") {
  // A number that came twice would let a late settle remove what was never sent.
  Fixture f;
  const auto spool = f.create();
  const std::int64_t run = spool->add_run("r", {}).value();
  REQUIRE(spool->append({row(run, "a")}));
  const std::int64_t first = spool->head(run, 1).value()[0].seq;
  REQUIRE(spool->settle(run, first));
  REQUIRE(spool->append({row(run, "b")}));
  CHECK(spool->head(run, 1).value()[0].seq > first);
}

TEST_CASE("only the owner may use a spool, and a drained one goes", "[logging][spool]") {
  Fixture f;
  auto spool = f.create();
  const std::string path = spool->path();
  CHECK(f.adopt(path).error().code == Errc::conflict);
  CHECK(Spool::list(f.options.directory).value().at(0).in_use);
  const std::int64_t run = spool->add_run("r", {}).value();
  REQUIRE(spool->append({row(run, "a")}));
  CHECK_FALSE(spool->remove_if_drained().value());
  REQUIRE(spool->settle(run, spool->head(run, 1).value()[0].seq));
  CHECK_FALSE(spool->remove_if_drained().value());  // the run itself isn't on a server
  REQUIRE(spool->set_run_server_id(run, "abc"));
  spool.reset();
  CHECK_FALSE(Spool::list(f.options.directory).value().at(0).in_use);
  spool = f.adopt(path).value();
  CHECK(spool->remove_if_drained().value());
  spool.reset();
  CHECK(std::filesystem::is_empty(f.options.directory));
  CHECK(f.adopt(path).error().code == Errc::not_found);
  CHECK(Spool::list(f.directory / "nowhere").value().empty());
}

TEST_CASE("nobody else can read a spool", "[logging][spool]") {
  Fixture f;
  const auto spool = f.create();
  const std::int64_t run = spool->add_run("r", {}).value();
  REQUIRE(spool->append({row(run, "a")}));
  CHECK(mode_of(f.options.directory) == 0700);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(f.options.directory)) {
    CHECK(mode_of(entry.path().string()) == 0600);
    ++files;
  }
  CHECK(files == 3);  // the spool, its log, its lock
}

TEST_CASE("what a server refused is kept apart with its reason", "[logging][spool]") {
  Fixture f;
  const auto spool = f.create();
  const std::int64_t run = spool->add_run("r", {}).value();
  REQUIRE(spool->append({row(run, "bad"), row(run, "good")}));
  const StoredRow bad = spool->head(run, 1).value()[0];
  REQUIRE(spool->settle(run, bad.seq, {{run, bad.kind, bad.entries, bad.data, "INVALID_PARAMETER_VALUE: no"}}));
  CHECK(texts(*spool, run) == Texts{"good"});
  const auto apart = spool->quarantine().value();
  REQUIRE(apart.size() == 1);
  CHECK(apart[0].data == bad.data);
  CHECK(apart[0].reason == "INVALID_PARAMETER_VALUE: no");
  CHECK(spool->stats().quarantined == 1);
  REQUIRE(spool->set_run_server_id(run, "abc"));
  REQUIRE(spool->settle(run, spool->head(run, 1).value()[0].seq));
  CHECK_FALSE(spool->remove_if_drained().value());  // somebody has to look at it
}

TEST_CASE("a spool at its cap refuses new rows and keeps the old ones", "[logging][spool]") {
  Fixture f;
  f.options.max_bytes = 4000;
  const auto spool = f.create();
  const std::int64_t run = spool->add_run("r", {}).value();
  REQUIRE(spool->append({row(run, "a", 1800)}));
  REQUIRE(spool->append({row(run, "b", 1800)}));
  const auto full = spool->append({row(run, "c", 1800)});
  REQUIRE_FALSE(full);
  CHECK(full.error().code == Errc::storage_full);
  CHECK(full.error().message.find("max_bytes") != std::string::npos);
  CHECK(spool->head(run, 10).value().size() == 2);
  REQUIRE(spool->settle(run, spool->head(run, 1).value()[0].seq));
  CHECK(spool->append({row(run, "c", 1800)}));
}

TEST_CASE("a spool whose oldest row is too old refuses new ones", "[logging][spool]") {
  Fixture f;
  f.options.max_age = 24h;
  const auto spool = f.create();
  const std::int64_t run = spool->add_run("r", {}).value();
  REQUIRE(spool->append({row(run, "a")}));
  f.clock->advance(23h);
  REQUIRE(spool->append({row(run, "b")}));
  f.clock->advance(2h);
  const auto old = spool->append({row(run, "c")});
  REQUIRE_FALSE(old);
  CHECK(old.error().code == Errc::storage_full);
  CHECK(old.error().message.find("max_age") != std::string::npos);
  // A calendar that was put back does no harm.
  f.clock->set_wall(WallTime(1h));
  REQUIRE(spool->append({row(run, "c")}));
  CHECK(texts(*spool, run).size() == 3);
}

TEST_CASE("a calendar that jumps ahead makes no row too old", "[logging][spool]") {
  Fixture f;
  f.options.max_age = 24h;
  f.clock->set_wall(WallTime(1h));  // 1970: a machine that doesn't know the time yet
  const auto spool = f.create();
  const std::int64_t run = spool->add_run("r", {}).value();
  REQUIRE(spool->append({row(run, "a")}));
  f.clock->set_wall(WallTime(24h * 365 * 50));
  REQUIRE(spool->append({row(run, "b")}));
  f.clock->advance(1h);
  CHECK(spool->stats().age == 1h);
  f.clock->advance(24h);
  CHECK(spool->append({row(run, "c")}).error().code == Errc::storage_full);

  // The first row after the spool was empty begins anew.
  REQUIRE(spool->settle(run, spool->head(run, 2).value()[1].seq));
  REQUIRE(spool->append({row(run, "c")}));
  f.clock->set_wall(WallTime(24h * 365 * 60));
  CHECK(spool->append({row(run, "d")}));

  // Of what an earlier process left only the calendar knows.
  const std::string path = spool->path();
  spool->close();
  f.clock->set_wall(WallTime(24h * 365 * 60 + 48h));
  CHECK(f.adopt(path).value()->stats().age > 48h);
}

TEST_CASE("a full disk is said, and the spool goes on when there is room", "[logging][spool]") {
  // A limit on the size of files makes write() fail as a full disk does, in this process only.
  Fixture f;
  const auto spool = f.create();
  const std::int64_t run = spool->add_run("r", {}).value();
  REQUIRE(spool->append({row(run, "a")}));
  auto* const before = std::signal(SIGXFSZ, SIG_IGN);
  struct ::rlimit usual{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &usual) == 0);
  struct ::rlimit tight = usual;
  tight.rlim_cur = 200'000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  Result<void> full;
  int stored = 1;
  for (int i = 0; i < 1000 && full; ++i) {
    full = spool->append({row(run, std::to_string(i), 5000)});
    stored += full ? 1 : 0;
  }
  const auto again = spool->append({row(run, "again", 5000)});
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &usual) == 0);
  std::signal(SIGXFSZ, before);
  REQUIRE_FALSE(full);
  INFO(full.error().message);
  CHECK(full.error().code == Errc::storage_full);
  CHECK(full.error().message.find(spool->path()) != std::string::npos);
  CHECK_FALSE(again);
  REQUIRE(spool->append({row(run, "room")}));
  CHECK(static_cast<int>(texts(*spool, run).size()) == stored + 1);
  CHECK(spool->stats().rows == static_cast<std::uint64_t>(stored + 1));
}

TEST_CASE("a damaged spool is set aside and named", "[logging][spool][hostile]") {
  Fixture f;
  std::string path;
  {
    const auto spool = f.create();
    path = spool->path();
    const std::int64_t run = spool->add_run("r", {}).value();
    for (int i = 0; i < 50; ++i) REQUIRE(spool->append({row(run, "a", 3000)}));
  }
  SECTION("garbage in the middle") {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(8192);
    file << std::string(20'000, '\xA5');
  }
  SECTION("garbage in an index, which reading the rows doesn't meet") {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path));
    bool found = false;
    for (std::streamoff page = size - 8192; page > 0 && !found; page -= 8192) {
      file.seekg(page);
      found = file.get() == 0x0A;  // SQLite's mark of an index leaf
      file.seekp(page + 16);
      if (found) file << std::string(8000, '\xA5');
    }
    REQUIRE(found);
  }
  SECTION("no SQLite file at all") { std::ofstream(path, std::ios::trunc) << std::string(10'000, 'x'); }
  SECTION("cut short") { std::filesystem::resize_file(path, 30'000); }
  SECTION("somebody else's database") {
    std::filesystem::remove(path);
    sqlite3* other = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &other) == SQLITE_OK);
    REQUIRE(sqlite3_exec(other, "CREATE TABLE t(x)", nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(other);
  }
  const auto adopted = f.adopt(path);
  REQUIRE_FALSE(adopted);
  CHECK(adopted.error().code == Errc::storage_corrupt);
  CHECK(adopted.error().message.find(path + ".corrupt") != std::string::npos);
  CHECK(std::filesystem::exists(path + ".corrupt"));
  CHECK(Spool::list(f.options.directory).value().empty());
}

TEST_CASE("a spool of a newer version is left as it is", "[logging][spool]") {
  Fixture f;
  const std::string path = f.create()->path();
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  REQUIRE(sqlite3_exec(database, "PRAGMA user_version=99", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
  const auto adopted = f.adopt(path);
  REQUIRE_FALSE(adopted);
  CHECK(adopted.error().code == Errc::storage_failed);
  CHECK(adopted.error().message.find("99") != std::string::npos);
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("a spool of an older version is brought up", "[logging][spool]") {
  Fixture f;
  const std::string path = [&] {
    const auto spool = f.create();
    REQUIRE(spool->add_run("local", {}));
    return spool->path();
  }();
  ask_file(path, "DELETE FROM meta WHERE key = 'begun'");
  ask_file(path, "PRAGMA user_version=1");
  CHECK(f.adopt(path).value()->runs().value().size() == 1);
  CHECK(ask_file(path, "PRAGMA user_version") == "2");
  CHECK(ask_file(path, "SELECT value FROM meta WHERE key = 'begun'") == "1");
}

TEST_CASE("a spool that was moved without its log is named and kept", "[logging][spool]") {
  Fixture f;
  std::filesystem::create_directory(f.directory / "moved");
  const std::string moved = f.directory / "moved/it.spool";
  const auto spool = f.create();
  SECTION("after something was logged") {
    REQUIRE(spool->add_run("local", {}));
    std::filesystem::copy_file(spool->path(), moved);
    for (int i = 0; i < 2; ++i) {  // looking at it changes nothing
      const auto adopted = f.adopt(moved);
      REQUIRE_FALSE(adopted);
      CHECK(adopted.error().code == Errc::storage_failed);
      CHECK(adopted.error().message.find(moved + "-wal") != std::string::npos);
      CHECK(std::filesystem::exists(moved));
    }
    std::filesystem::copy_file(spool->path() + "-wal", moved + "-wal");
    CHECK(f.adopt(moved).value()->runs().value().size() == 1);
  }
  SECTION("its log has been taken into it") {  // as by the sqlite3 of somebody who looks at it
    REQUIRE(spool->add_run("local", {}));
    std::filesystem::copy_file(spool->path(), moved);
    std::filesystem::copy_file(spool->path() + "-wal", moved + "-wal");
    ask_file(moved, "SELECT count(*) FROM runs");
    REQUIRE_FALSE(std::filesystem::exists(moved + "-wal"));
    CHECK(f.adopt(moved).value()->runs().value().size() == 1);
  }
  SECTION("its owner closed it, with nothing in it") {
    spool->close();
    std::filesystem::copy_file(spool->path(), moved);
    CHECK(f.adopt(moved).value()->runs().value().empty());
  }
}

TEST_CASE("a look at a spool whose process died before it logged changes nothing", "[logging][spool]") {
  Fixture f;
  std::filesystem::create_directory(f.directory / "died");
  const std::string died = f.directory / "died/it.spool";
  const auto owner = f.create();
  std::filesystem::copy_file(owner->path(), died);
  std::filesystem::copy_file(owner->path() + "-wal", died + "-wal");
  const auto sizes = [&] {
    return std::pair(std::filesystem::file_size(died), std::filesystem::file_size(died + "-wal"));
  };
  const auto before = sizes();
  CHECK(Spool::look(died, f.options, f.clock).value()->runs().value().empty());
  CHECK(sizes() == before);
  CHECK(f.adopt(died).value()->runs().value().empty());
}

TEST_CASE("an empty file of a process that died while making it is taken over", "[logging][spool]") {
  Fixture f;
  const std::string path = f.create()->path();
  std::filesystem::resize_file(path, 0);
  const auto spool = f.adopt(path).value();
  CHECK(spool->runs().value().empty());
  CHECK(spool->remove_if_drained().value());
}

TEST_CASE("bad places for a spool are named", "[logging][spool]") {
  Fixture f;
  f.options.directory = "";
  CHECK(Spool::create(f.options, f.clock, f.rng).error().code == Errc::invalid_argument);
  std::ofstream(f.directory / "file") << "x";
  f.options.directory = f.directory / "file";
  CHECK(Spool::create(f.options, f.clock, f.rng).error().message.find("file") != std::string::npos);
  f.options.directory = f.directory / "file/below";
  CHECK(Spool::create(f.options, f.clock, f.rng).error().code == Errc::storage_failed);
  CHECK(f.adopt(f.directory / "file").error().code == Errc::invalid_argument);
}
