#ifndef MLFLOWHA_LOGGING_IMPL_SQLITE_HPP
#define MLFLOWHA_LOGGING_IMPL_SQLITE_HPP

// The little of SQLite that a spool needs, with Result instead of codes. One connection, used under the spool's lock.

#include <mlflowha/core/result.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// A prepared statement. Bind, step until false, reset. Must not outlive its database.
class MLFLOWHA_EXPORT Statement {
 public:
  Statement() noexcept = default;
  explicit Statement(sqlite3_stmt* statement) noexcept : statement_(statement) {}
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;

  /// Positions count from 1. Texts and blobs must live until the statement has been stepped.
  Statement& bind(int position, std::int64_t value) noexcept;
  Statement& bind(int position, std::string_view text) noexcept;
  Statement& bind_blob(int position, std::string_view bytes) noexcept;
  /// True when there is a row. A failed binding shows here.
  [[nodiscard]] Result<bool> step();
  /// Steps a statement that returns no rows and makes it ready for the next time.
  Result<void> run();
  void reset() noexcept;

  // Columns of the row, from 0; the views live until the next step or reset.
  [[nodiscard]] std::int64_t number(int column) const noexcept;
  [[nodiscard]] std::string_view bytes(int column) const noexcept;

 private:
  sqlite3_stmt* statement_ = nullptr;
  int bind_fault_ = 0;
};

class MLFLOWHA_EXPORT Database {
 public:
  /// Opens an existing file for reading and writing, ":memory:" for one in memory.
  [[nodiscard]] static Result<std::unique_ptr<Database>> open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Result<void> execute(const char* sql);
  [[nodiscard]] Result<Statement> prepare(std::string_view sql);
  /// First column of the first row of a query.
  [[nodiscard]] Result<std::string> query(const char* sql);
  [[nodiscard]] std::int64_t last_insert_id() const noexcept;
  /// Rows that the last INSERT, UPDATE or DELETE has touched.
  [[nodiscard]] std::uint64_t changes() const noexcept;
  /// Closing it leaves its log as it is, instead of writing it into the file.
  void keep_log() noexcept;
  /// Closes all, as the destructor does, and says whether it worked.
  [[nodiscard]] bool close() noexcept;

 private:
  Database(sqlite3* database, std::string path) noexcept : database_(database), path_(std::move(path)) {}

  sqlite3* database_;
  std::string path_;
};

/// BEGIN IMMEDIATE; rolled back unless commit() was called and succeeded.
class Transaction {
 public:
  [[nodiscard]] static Result<Transaction> begin(Database& database);
  ~Transaction();
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  Result<void> commit();

 private:
  explicit Transaction(Database& database) noexcept : database_(&database) {}
  Database* database_;
};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/logging/impl/sqlite.ipp>
#endif

#endif
