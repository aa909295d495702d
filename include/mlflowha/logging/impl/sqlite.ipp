#ifndef MLFLOWHA_LOGGING_IMPL_SQLITE_IPP
#define MLFLOWHA_LOGGING_IMPL_SQLITE_IPP

#include <mlflowha/logging/impl/sqlite.hpp>

#include <errno.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// errno of what last failed below SQLite, 0 when unknown. sqlite3_system_errno() alone knows nothing of a failed
/// COMMIT: the log's file has to be asked.
MLFLOWHA_INLINE int sqlite_errno(sqlite3* database) noexcept {
  if (database == nullptr) return 0;
  if (const int system = sqlite3_system_errno(database); system != 0) return system;
  sqlite3_file* log = nullptr;
  int system = 0;
  sqlite3_file_control(database, "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&log));
  if (log != nullptr && log->pMethods != nullptr) log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &system);
  if (system == 0) sqlite3_file_control(database, "main", SQLITE_FCNTL_LAST_ERRNO, &system);
  return system;
}

/// The Error for what last failed on `database`.
MLFLOWHA_INLINE Error sqlite_error(sqlite3* database, int code) {
  Error error;
  error.code = Errc::storage_failed;
  const int primary = code & 0xFF;
  const int system = primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN ? sqlite_errno(database) : 0;
  if (primary == SQLITE_FULL) error.code = Errc::storage_full;
  if (primary == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT || system == EFBIG)) {
    error.code = Errc::storage_full;
  }
  if (system == EMFILE || system == ENFILE) error.code = Errc::out_of_resources;
  if (primary == SQLITE_BUSY)
    error.code = Errc::out_of_resources;  // somebody has the file open, and knows no lock of ours
  if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB) error.code = Errc::storage_corrupt;
  const char* file = database != nullptr ? sqlite3_db_filename(database, "main") : nullptr;
  error.message = fmt::format("{}: {} (SQLite {}{})", file != nullptr && *file != '\0' ? file : "spool",
                              database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code), code,
                              system != 0 ? fmt::format(", errno {}", system) : std::string());
  return error;
}

MLFLOWHA_INLINE Statement::~Statement() { sqlite3_finalize(statement_); }
MLFLOWHA_INLINE Statement::Statement(Statement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)), bind_fault_(other.bind_fault_) {}
MLFLOWHA_INLINE Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(statement_, other.statement_);
  std::swap(bind_fault_, other.bind_fault_);
  return *this;
}

/// Whoever ran out of memory between two steps has left it as it was.
MLFLOWHA_INLINE void reset_if_busy(sqlite3_stmt* statement) noexcept {
  if (sqlite3_stmt_busy(statement) != 0) sqlite3_reset(statement);
}

MLFLOWHA_INLINE Statement& Statement::bind(int position, std::int64_t value) noexcept {
  reset_if_busy(statement_);
  if (const int code = sqlite3_bind_int64(statement_, position, value); code != SQLITE_OK) bind_fault_ = code;
  return *this;
}
MLFLOWHA_INLINE Statement& Statement::bind(int position, std::string_view text) noexcept {
  reset_if_busy(statement_);
  const int code = sqlite3_bind_text64(statement_, position, text.data() != nullptr ? text.data() : "", text.size(),
                                       SQLITE_STATIC, SQLITE_UTF8);
  if (code != SQLITE_OK) bind_fault_ = code;
  return *this;
}
MLFLOWHA_INLINE Statement& Statement::bind_blob(int position, std::string_view bytes) noexcept {
  reset_if_busy(statement_);
  const int code = sqlite3_bind_blob64(statement_, position, bytes.data() != nullptr ? bytes.data() : "", bytes.size(),
                                       SQLITE_STATIC);
  if (code != SQLITE_OK) bind_fault_ = code;
  return *this;
}

MLFLOWHA_INLINE Result<bool> Statement::step() {
  sqlite3* database = sqlite3_db_handle(statement_);
  if (bind_fault_ != 0) return sqlite_error(database, std::exchange(bind_fault_, 0));
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  Error error = sqlite_error(database, sqlite3_extended_errcode(database));
  sqlite3_reset(statement_);
  return error;
}
MLFLOWHA_INLINE Result<void> Statement::run() {
  Result<bool> row = step();
  reset();
  if (!row) return std::move(row).error();
  return {};
}
MLFLOWHA_INLINE void Statement::reset() noexcept { sqlite3_reset(statement_); }

MLFLOWHA_INLINE std::int64_t Statement::number(int column) const noexcept {
  return sqlite3_column_int64(statement_, column);
}
MLFLOWHA_INLINE std::string_view Statement::bytes(int column) const noexcept {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  return data != nullptr ? std::string_view(data, static_cast<std::size_t>(size)) : std::string_view();
}

MLFLOWHA_INLINE Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  sqlite3* handle = nullptr;
  // NOMUTEX: whoever holds the spool's lock is alone on the connection.
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
  if (path == ":memory:") flags |= SQLITE_OPEN_CREATE;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Database> database(new Database(handle, path));
  if (code != SQLITE_OK) return sqlite_error(handle, code);
  sqlite3_extended_result_codes(handle, 1);
  if (sqlite3_db_readonly(handle, "main") == 1) {  // SQLite falls back to reading without a word
    Error error;
    error.code = Errc::storage_failed;
    error.message = fmt::format("{}: is read-only; expected to be able to write", path);
    return error;
  }
  return database;
}
MLFLOWHA_INLINE void Database::keep_log() noexcept {
  sqlite3_db_config(database_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, static_cast<int*>(nullptr));
}
MLFLOWHA_INLINE Database::~Database() { static_cast<void>(close()); }
MLFLOWHA_INLINE bool Database::close() noexcept {
  return sqlite3_close_v2(std::exchange(database_, nullptr)) == SQLITE_OK;
}
MLFLOWHA_INLINE Result<void> Database::execute(const char* sql) {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return sqlite_error(database_, sqlite3_extended_errcode(database_));
  }
  return {};
}
MLFLOWHA_INLINE Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(database_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                      &statement, nullptr);
  if (code != SQLITE_OK) return sqlite_error(database_, sqlite3_extended_errcode(database_));
  return Statement(statement);
}
MLFLOWHA_INLINE Result<std::string> Database::query(const char* sql) {
  Result<Statement> statement = prepare(sql);
  if (!statement) return std::move(statement).error();
  Result<bool> row = statement->step();
  if (!row) return std::move(row).error();
  return *row ? std::string(statement->bytes(0)) : std::string();
}
MLFLOWHA_INLINE std::int64_t Database::last_insert_id() const noexcept { return sqlite3_last_insert_rowid(database_); }
MLFLOWHA_INLINE std::uint64_t Database::changes() const noexcept {
  return static_cast<std::uint64_t>(sqlite3_changes(database_));
}

MLFLOWHA_INLINE Result<Transaction> Transaction::begin(Database& database) {
  Result<void> begun = database.execute("BEGIN IMMEDIATE");
  if (!begun) return std::move(begun).error();
  return Transaction(database);
}
MLFLOWHA_INLINE Transaction::~Transaction() {
  if (database_ != nullptr) static_cast<void>(database_->execute("ROLLBACK"));
}
MLFLOWHA_INLINE Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}
MLFLOWHA_INLINE Result<void> Transaction::commit() {
  Result<void> done = database_->execute("COMMIT");
  if (done) database_ = nullptr;
  return done;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
