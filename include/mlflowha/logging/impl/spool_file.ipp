#ifndef MLFLOWHA_LOGGING_IMPL_SPOOL_FILE_IPP
#define MLFLOWHA_LOGGING_IMPL_SPOOL_FILE_IPP

// The spool as files: making, locking, adopting, checking, setting aside and removing them.

#include <mlflowha/logging/impl/fork.hpp>
#include <mlflowha/logging/impl/spool.ipp>  // artifact_of
#include <mlflowha/logging/impl/spool_statements.hpp>
#include <mlflowha/logging/impl/sqlite.hpp>
#include <mlflowha/logging/spool.hpp>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

inline constexpr std::string_view spool_suffix = ".spool";
inline constexpr std::int64_t spool_application = 0x4D4C4841;  // "MLHA": PRAGMA application_id

/// PRAGMA user_version n is what the first n steps make. A spool of an older version is brought up when it is adopted.
inline constexpr const char* spool_schema[] = {
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "INSERT INTO meta VALUES('syncs', 0);"
    "CREATE TABLE experiments(name TEXT PRIMARY KEY, server_id TEXT NOT NULL DEFAULT '', request_tag TEXT NOT NULL,"
    " attempted INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
    "CREATE TABLE runs(id INTEGER PRIMARY KEY, local_id TEXT NOT NULL UNIQUE, server_id TEXT NOT NULL,"
    " attempted INTEGER NOT NULL DEFAULT 0, refused TEXT NOT NULL DEFAULT '', start BLOB NOT NULL,"
    " created_ms INTEGER NOT NULL);"
    "CREATE TABLE records(seq INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " entries INTEGER NOT NULL, created_ms INTEGER NOT NULL, data BLOB NOT NULL);"
    "CREATE INDEX records_of_run ON records(run, seq);"
    "CREATE TABLE quarantine(id INTEGER PRIMARY KEY, run INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " entries INTEGER NOT NULL, data BLOB NOT NULL, reason TEXT NOT NULL, at_ms INTEGER NOT NULL);",
    "INSERT INTO meta VALUES('begun', 1);",  // 0 in the file itself as long as all that was logged is in its log
};
inline constexpr std::int64_t spool_version = std::int64_t{sizeof spool_schema / sizeof spool_schema[0]};

MLFLOWHA_INLINE Error file_error(const std::string& path, const char* what, int system) {
  Error error;
  error.code = system == ENOSPC || system == EDQUOT || system == EFBIG ? Errc::storage_full : Errc::storage_failed;
  if (system == EMFILE || system == ENFILE) error.code = Errc::out_of_resources;
  error.message = fmt::format("{}: {}: {}", path, what, std::system_category().message(system));
  return error;
}

/// Where a directory is, whatever becomes the working directory of the program.
MLFLOWHA_INLINE Result<std::string> absolute_path(const std::string& path) {
  std::error_code failed;
  std::string absolute = std::filesystem::absolute(path, failed).string();
  if (failed) return file_error(path, "can't be found from the working directory", failed.value());
  return absolute;
}

/// What was created or renamed in a directory survives a crash of the machine.
MLFLOWHA_INLINE Result<void> sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return file_error(path, "can't be opened", errno);
  const int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  if (failed != 0 && failed != EINVAL) return file_error(path, "can't be synced", failed);
  return {};
}

MLFLOWHA_INLINE std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

/// Makes the directory with all that leads to it; 0700 for what it makes.
MLFLOWHA_INLINE Result<void> make_directories(const std::string& path) {
  for (std::size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0700) == 0) {
      static_cast<void>(sync_directory(directory_of(part)));  // which its owner may have hidden from us
      continue;
    }
    if (errno != EEXIST) {
      struct ::stat there{};
      if (::stat(part.c_str(), &there) != 0) return file_error(part, "can't be made", errno);
    }
  }
  struct ::stat there{};
  if (::stat(path.c_str(), &there) != 0) return file_error(path, "can't be made", errno);
  if (!S_ISDIR(there.st_mode)) return file_error(path, "can't be used", ENOTDIR);
  return {};
}

/// "<dir>/<id>" of "<dir>/<id>.spool".
MLFLOWHA_INLINE std::string stem_of(const std::string& path) {
  return path.substr(0, path.size() - std::min(path.size(), spool_suffix.size()));
}

/// The locked file, or Errc::conflict. LOCK_EX is its owner's and whoever's takes it over, LOCK_SH is for a look. A
/// lock file is removed only under its lock: a file that has lost its name meanwhile is no lock, and the next one is
/// tried.
MLFLOWHA_INLINE Result<int> lock_file(const std::string& path, int how, int flags = 0) {
  constexpr int patience = 100;  // some file systems count no names
  for (int tries = 1;; ++tries) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | flags, 0600);
    if (fd < 0) return file_error(path, "can't be opened", errno);
    if (::flock(fd, how | LOCK_NB) != 0) {
      const int failed = errno;
      ::close(fd);
      if (failed != EWOULDBLOCK) return file_error(path, "can't be locked", failed);
      Error error;
      error.code = Errc::conflict;
      error.message = fmt::format("{}: is in use by a process that lives", path);
      return error;
    }
    struct ::stat locked{};
    if (tries < patience && ::fstat(fd, &locked) == 0 && locked.st_nlink == 0) {
      ::close(fd);
      continue;
    }
    close_in_children(fd);
    return fd;
  }
}
MLFLOWHA_INLINE void unlock_file(int fd) noexcept {
  if (fd < 0) return;
  ::flock(fd, LOCK_UN);  // closing alone leaves it to a child that was forked before it was known as a lock
  forget_in_children(fd);
  ::close(fd);
}
/// The lock of a spool whose owner is dead. Who only looks at it has it for a moment, which is waited for:
/// Errc::conflict would mean that somebody else delivers it.
MLFLOWHA_INLINE Result<int> take_over(const std::string& path, Clock& clock) {
  Result<int> lock = lock_file(path, LOCK_EX, O_CREAT);
  for (int tries = 0; !lock && lock.error().code == Errc::conflict; ++tries) {
    const Result<int> look = lock_file(path, LOCK_SH, O_CREAT);
    if (!look) return std::move(lock).error();
    unlock_file(*look);
    if (tries == 100) {
      Error error = std::move(lock).error();
      error.code = Errc::out_of_resources;
      error.message = fmt::format("{}: others look at it, for 10 s already", path);
      return error;
    }
    clock.sleep_until(clock.now() + std::chrono::milliseconds(100), CancellationToken());
    lock = lock_file(path, LOCK_EX, O_CREAT);
  }
  return lock;
}

/// Opens a directory, but not what a link of that name points to: files are deleted in it.
MLFLOWHA_INLINE DIR* open_own_directory(const std::string& path) noexcept {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return nullptr;
  DIR* listing = ::fdopendir(fd);
  if (listing == nullptr) ::close(fd);
  return listing;
}

/// Deletes a directory of plain files.
MLFLOWHA_INLINE void remove_files(const std::string& directory) noexcept {
  DIR* listing = open_own_directory(directory);
  if (listing == nullptr) return;
  while (const dirent* entry = ::readdir(listing)) {
    ::unlinkat(::dirfd(listing), entry->d_name, 0);  // fails for "." and "..", as it should
  }
  ::closedir(listing);
  ::rmdir(directory.c_str());
}

}  // namespace detail

MLFLOWHA_INLINE Spool::Spool(SpoolOptions options, std::shared_ptr<Clock> clock)
    : options_(std::move(options)), clock_(std::move(clock)) {}

MLFLOWHA_INLINE Spool::~Spool() { close(); }

MLFLOWHA_INLINE void Spool::close() noexcept {
  int held = -1;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    statements_.reset();
    // Its log goes now, and with it what says that the file without one isn't all.
    if (database_ && !looking_) {
      static_cast<void>(database_->execute("UPDATE meta SET value = 1 WHERE key = 'begun' AND value = 0"));
    }
    database_.reset();
    if (struct ::stat log{}; log_is_ours_ && ::stat((path_ + "-wal").c_str(), &log) == 0 && log.st_size == 0) {
      ::unlink((path_ + "-wal").c_str());
    }
    held = std::exchange(lock_, -1);
    // What was in memory is gone, and with it all that knew of these.
    if (!memory_files_.empty()) detail::remove_files(memory_files_);
    memory_files_.clear();
  }
  detail::unlock_file(held);
}

MLFLOWHA_INLINE std::string Spool::files_directory() const {
  return options_.durability == Durability::none ? memory_files_ : detail::stem_of(path_) + ".files";
}

MLFLOWHA_INLINE Result<std::unique_ptr<Spool>> Spool::create(const SpoolOptions& options, std::shared_ptr<Clock> clock,
                                                             Rng& rng) {
  std::unique_ptr<Spool> spool(new Spool(options, std::move(clock)));
  if (options.durability == Durability::none) {
    spool->path_ = ":memory:";
  } else {
    if (options.directory.empty()) return invalid_argument("SpoolOptions::directory is empty; expected a directory");
    if (Result<void> made = detail::make_directories(options.directory); !made) return std::move(made).error();
    std::string stem;
    Result<int> lock = 0;
    for (int tries = 0; tries < 5; ++tries) {  // who looks for locks that nobody needs may have ours for a moment
      stem = options.directory + '/' + make_uuid(rng);
      lock = detail::lock_file(stem + ".lock", LOCK_EX, O_CREAT);
      if (lock || lock.error().code != Errc::conflict) break;
    }
    if (!lock) return std::move(lock).error();
    spool->lock_ = *lock;
    spool->path_ = stem + std::string(detail::spool_suffix);
  }
  Result<void> opened = spool->make_file();
  if (opened && options.durability != Durability::none) opened = detail::sync_directory(options.directory);
  if (!opened) {
    spool->statements_.reset();
    spool->database_.reset();
    if (options.durability != Durability::none) {
      for (const char* suffix : {".spool", ".spool-wal", ".lock"}) {
        ::unlink((detail::stem_of(spool->path_) + suffix).c_str());
      }
    }
    return std::move(opened).error();
  }
  return spool;
}

MLFLOWHA_INLINE Result<void> Spool::make_file() {
  if (options_.durability != Durability::none) {
    // SQLite would make it readable for all, and gives its log the same rights.
    const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return detail::file_error(path_, "can't be made", errno);
    ::close(fd);
  }
  return open_database(false);
}

MLFLOWHA_INLINE Result<std::unique_ptr<Spool>> Spool::adopt(const std::string& path, const SpoolOptions& options,
                                                            std::shared_ptr<Clock> clock) {
  if (path.size() <= detail::spool_suffix.size() || !path.ends_with(detail::spool_suffix)) {
    return invalid_argument(
        fmt::format("{}: is no spool; expected a name that ends in {}", path, detail::spool_suffix));
  }
  std::unique_ptr<Spool> spool(new Spool(options, std::move(clock)));
  Result<int> lock = detail::take_over(detail::stem_of(path) + ".lock", *spool->clock_);
  if (!lock) return std::move(lock).error();
  spool->lock_ = *lock;
  spool->path_ = path;
  if (::access(path.c_str(), F_OK) != 0) {  // its owner has drained and removed it before we had the lock
    ::unlink((detail::stem_of(path) + ".lock").c_str());
    Error error;
    error.code = Errc::not_found;
    error.message = fmt::format("{}: is gone", path);
    return error;
  }
  Result<void> opened = spool->open_database(true);
  if (opened) opened = spool->remove_orphans();
  if (opened) return spool;
  if (opened.error().code != Errc::storage_corrupt) return std::move(opened).error();
  spool->statements_.reset();
  spool->database_.reset();
  Error error = std::move(opened).error();
  std::string aside = path + ".corrupt";
  for (int i = 2; ::access(aside.c_str(), F_OK) == 0; ++i) aside = fmt::format("{}.corrupt-{}", path, i);
  if (std::rename(path.c_str(), aside.c_str()) == 0) {
    // The log belongs to it: whoever tries to rescue something needs both.
    std::rename((path + "-wal").c_str(), (aside + "-wal").c_str());
    error.message += fmt::format("; set aside as {}", aside);
  } else {
    error.message += fmt::format("; it can't be set aside: {}", std::system_category().message(errno));
  }
  return error;
}

MLFLOWHA_INLINE Result<std::unique_ptr<Spool>> Spool::look(const std::string& path, const SpoolOptions& options,
                                                           std::shared_ptr<Clock> clock) {
  std::unique_ptr<Spool> spool(new Spool(options, std::move(clock)));
  spool->looking_ = true;
  const std::string lock = detail::stem_of(path) + ".lock";
  if (::access(lock.c_str(), F_OK) == 0) {
    Result<int> locked = detail::lock_file(lock, LOCK_SH);
    const bool gone = !locked && ::access(lock.c_str(), F_OK) != 0 && errno == ENOENT;
    if (!locked && !gone) return std::move(locked).error();
    if (locked) spool->lock_ = *locked;
  }
  spool->path_ = path;
  struct ::stat there{};
  if (::stat(path.c_str(), &there) != 0 && errno == ENOENT) {
    Error error;
    error.code = Errc::not_found;
    error.message = fmt::format("{}: is gone", path);
    return error;
  }
  spool->log_is_ours_ = ::access((path + "-wal").c_str(), F_OK) != 0;
  if (Result<void> opened = spool->open_database(true); !opened) return std::move(opened).error();
  return spool;
}

MLFLOWHA_INLINE Result<std::vector<SpoolFile>> Spool::list(const std::string& directory) {
  std::vector<SpoolFile> files;
  DIR* listing = ::opendir(directory.c_str());
  if (listing == nullptr) {
    if (errno == ENOENT) return files;
    return detail::file_error(directory, "can't be read", errno);
  }
  while (const dirent* entry = ::readdir(listing)) {
    const std::string_view name = entry->d_name;
    if (name.size() <= detail::spool_suffix.size() || !name.ends_with(detail::spool_suffix)) continue;
    SpoolFile& file = files.emplace_back();
    file.path = directory + '/' + std::string(name);
    const int fd = ::open((detail::stem_of(file.path) + ".lock").c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) continue;
    file.in_use = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ::close(fd);
  }
  ::closedir(listing);
  std::sort(files.begin(), files.end(), [](const SpoolFile& a, const SpoolFile& b) { return a.path < b.path; });
  return files;
}

MLFLOWHA_INLINE void Spool::remove_bare_locks(const std::string& directory) {
  DIR* listing = ::opendir(directory.c_str());
  if (listing == nullptr) return;
  while (const dirent* entry = ::readdir(listing)) {
    const std::string path = directory + '/' + entry->d_name;
    constexpr std::string_view suffix = ".lock";
    if (!path.ends_with(suffix)) continue;
    const std::string spool = path.substr(0, path.size() - suffix.size()) + std::string(detail::spool_suffix);
    const auto has_spool = [&] { return ::access(spool.c_str(), F_OK) == 0 || errno != ENOENT; };
    if (has_spool()) continue;
    const Result<int> lock = detail::lock_file(path, LOCK_EX);
    if (!lock) continue;
    if (!has_spool()) ::unlink(path.c_str());  // and not that of a logger which has just begun
    detail::unlock_file(*lock);
  }
  ::closedir(listing);
}

namespace detail {

/// Whether what integrity_check says is a fault of the file. It tells so, too, of a page that it couldn't read now,
/// with "error code 10" (SQLITE_IOERR) or alike, and setting a good file aside helps nobody.
MLFLOWHA_INLINE bool tells_of_damage(std::string_view said) noexcept {
  constexpr std::string_view words = "error code";
  const std::size_t at = said.find(words);
  if (at == std::string_view::npos) return true;
  int code = 0;
  for (const char c : said.substr(std::min(at + words.size() + 1, said.size()))) {
    if (c < '0' || c > '9' || code > 100000) break;
    code = code * 10 + (c - '0');
  }
  const int primary = code & 0xFF;
  return primary == SQLITE_OK || primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
}

}  // namespace detail

MLFLOWHA_INLINE Result<void> Spool::open_database(bool existing) {
  const std::string log = path_ + "-wal";
  const bool has_log = ::access(log.c_str(), F_OK) == 0;  // SQLite is about to make one
  auto database = detail::Database::open(path_);
  if (!database) return std::move(database).error();
  database_ = std::move(*database);
  if (looking_) database_->keep_log();
  const auto corrupt = [&](std::string why) {
    Error error;
    error.code = Errc::storage_corrupt;
    error.message = fmt::format("{}: {}", path_, why);
    return error;
  };
  // Exclusive: the lock file lets nobody else in, and the log needs no shared memory, which a full disk could break.
  const bool each = options_.durability == Durability::each;
  for (const char* sql : {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA page_size=8192", "PRAGMA journal_mode=WAL",
                          each ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", "PRAGMA temp_store=MEMORY"}) {
    if (looking_ && std::string_view(sql) == "PRAGMA journal_mode=WAL") continue;  // may write
    if (Result<void> done = database_->execute(sql); !done) return done;
  }
  if (existing) {
    auto application = database_->query("PRAGMA application_id");
    if (!application) return std::move(application).error();
    if (*application != std::to_string(detail::spool_application)) {
      // A process that died while it made its spool leaves an empty file.
      auto tables = database_->query("SELECT count(*) FROM sqlite_master");
      if (!tables) return std::move(tables).error();
      if (*tables != "0" || *application != "0") return corrupt("a SQLite file, but no spool");
    }
    auto check = database_->query("PRAGMA integrity_check(1)");
    if (!check) return std::move(check).error();
    if (*check != "ok") {
      Error error = corrupt(*check);
      if (!detail::tells_of_damage(*check)) error.code = Errc::storage_failed;
      return error;
    }
  }
  auto version = database_->query("PRAGMA user_version");
  if (!version) return std::move(version).error();
  std::int64_t at = 0;
  for (const char c : *version) at = at * 10 + (c - '0');
  if (at < 0 || at > detail::spool_version) {
    Error error;
    error.code = Errc::storage_failed;
    error.message = fmt::format("{}: made by a newer mlflowha (spool version {}; this one knows {})", path_, *version,
                                detail::spool_version);
    return error;
  }
  if (at < detail::spool_version && looking_) {
    Error error;
    error.code = at == 0 ? Errc::not_found : Errc::storage_failed;
    error.message = at == 0
                        ? fmt::format("{}: nothing was put into it", path_)
                        : fmt::format("{}: made by an older mlflowha (spool version {}); a replay brings it up to {}",
                                      path_, at, detail::spool_version);
    return error;
  }
  if (at < detail::spool_version) {
    auto transaction = detail::Transaction::begin(*database_);
    if (!transaction) return std::move(transaction).error();
    for (; at < detail::spool_version; ++at) {
      if (Result<void> done = database_->execute(detail::spool_schema[at]); !done) return done;
    }
    const std::string stamp = fmt::format("PRAGMA application_id={}; PRAGMA user_version={}", detail::spool_application,
                                          detail::spool_version);
    if (Result<void> done = database_->execute(stamp.c_str()); !done) return done;
    if (Result<void> done = transaction->commit(); !done) return done;
  }
  if (!existing && options_.durability != Durability::none) {
    if (Result<void> done = database_->execute("UPDATE meta SET value = 0 WHERE key = 'begun'"); !done) return done;
    auto moved = database_->query("PRAGMA wal_checkpoint(TRUNCATE)");
    if (!moved) return std::move(moved).error();
  }
  if (existing && !has_log) {
    auto begun = database_->query("SELECT value FROM meta WHERE key = 'begun'");
    if (!begun) return std::move(begun).error();
    if (*begun == "0") {
      Error error;
      error.code = Errc::storage_failed;
      error.message = fmt::format(
          "{}: what was logged, if anything was, is in {}, which isn't beside it; expected both", path_, log);
      database_.reset();  // close() has nothing to say of it
      return error;
    }
  }
  statements_ = std::make_unique<detail::SpoolStatements>();
  const std::pair<detail::Statement&, const char*> statements[] = {
      {statements_->append, "INSERT INTO records(run, kind, entries, created_ms, data) VALUES(?, ?, ?, ?, ?)"},
      {statements_->head,
       "SELECT seq, kind, entries, created_ms, data FROM records WHERE run = ? ORDER BY seq LIMIT ?"},
      {statements_->any, "SELECT 1 FROM records WHERE run = ? LIMIT 1"},
      {statements_->run, "SELECT id, local_id, server_id, attempted, refused, start FROM runs WHERE id = ?"},
      {statements_->next_run, "SELECT run FROM records WHERE run > ? ORDER BY run LIMIT 1"},
      {statements_->settle, "DELETE FROM records WHERE run = ? AND seq <= ?"},
      {statements_->settled_sums,
       "SELECT kind, entries, length(data), CASE kind WHEN 3 THEN data END FROM records WHERE run = ? AND seq <= ?"},
      {statements_->park, "INSERT INTO quarantine(run, kind, entries, data, reason, at_ms) VALUES(?, ?, ?, ?, ?, ?)"},
  };
  for (const auto& [statement, sql] : statements) {
    auto prepared = database_->prepare(sql);
    if (!prepared) return std::move(prepared).error();
    statement = std::move(*prepared);
  }
  return load_stats();
}

MLFLOWHA_INLINE Result<void> Spool::load_stats() {
  auto sums = database_->prepare(
      "SELECT (SELECT count(*) FROM records), (SELECT total(entries) FROM records),"
      " (SELECT total(length(data)) FROM records), (SELECT count(*) FROM quarantine),"
      " (SELECT count(*) FROM runs WHERE refused != ''), (SELECT created_ms FROM records ORDER BY seq LIMIT 1)");
  if (!sums) return std::move(sums).error();
  Result<bool> row = sums->step();
  if (!row) return std::move(row).error();
  stats_.rows = static_cast<std::uint64_t>(sums->number(0));
  stats_.entries = static_cast<std::uint64_t>(sums->number(1));
  stats_.bytes = static_cast<std::uint64_t>(sums->number(2));
  stats_.quarantined = static_cast<std::uint64_t>(sums->number(3));
  stats_.refused_runs = static_cast<std::uint64_t>(sums->number(4));
  auto runs = database_->prepare("SELECT id, server_id = '', refused != '' FROM runs");
  if (!runs) return std::move(runs).error();
  for (;;) {
    Result<bool> there = runs->step();
    if (!there) return std::move(there).error();
    if (!*there) break;
    if (runs->number(1) != 0) unborn_.insert(runs->number(0));
    if (runs->number(2) != 0) refused_.insert(runs->number(0));
  }
  if (stats_.rows > 0) stats_.oldest = WallTime(std::chrono::milliseconds(sums->number(5)));
  auto files = database_->prepare(
      "SELECT data, 0 FROM records WHERE kind = 3 UNION ALL SELECT data, 1 FROM quarantine WHERE kind = 3");
  if (!files) return std::move(files).error();
  for (;;) {
    Result<bool> there = files->step();
    if (!there) return std::move(there).error();
    if (!*there) return {};
    if (files->number(1) != 0) {
      kept_ += detail::artifact_of(RecordKind::artifact, files->bytes(0)).size;
      continue;
    }
    const std::uint64_t size = detail::artifact_of(RecordKind::artifact, files->bytes(0)).size;
    stats_.bytes += size;
    stats_.artifacts += 1;
    stats_.artifact_bytes += size;
  }
}

MLFLOWHA_INLINE Result<bool> Spool::remove_if_drained() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto left = database_->query(
      "SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM quarantine) +"
      " (SELECT count(*) FROM runs WHERE server_id = '')");
  if (!left) return std::move(left).error();
  if (*left != "0") return false;
  statements_.reset();
  database_.reset();
  if (const std::string files = files_directory(); !files.empty()) detail::remove_files(files);
  if (options_.durability == Durability::none) return true;
  // The lock last: whoever gets it next finds no spool beside it.
  for (const char* suffix : {".spool", ".spool-wal", ".lock"}) ::unlink((detail::stem_of(path_) + suffix).c_str());
  return true;
}

MLFLOWHA_END_NAMESPACE

#endif
