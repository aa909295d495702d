#ifndef MLFLOWHA_LOGGING_IMPL_SPOOL_IPP
#define MLFLOWHA_LOGGING_IMPL_SPOOL_IPP

#include <mlflowha/logging/impl/fault_point.hpp>
#include <mlflowha/logging/impl/spool_statements.hpp>
#include <mlflowha/logging/impl/sqlite.hpp>
#include <mlflowha/logging/spool.hpp>

#include <fmt/format.h>

#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

MLFLOWHA_INLINE WallTime wall_of(std::int64_t milliseconds) {
  return WallTime(std::chrono::milliseconds(milliseconds));
}

/// The artifact that a row stands for; its bytes count against the cap. Without a name in any other row.
MLFLOWHA_INLINE RunArtifact artifact_of(RecordKind kind, std::string_view data) {
  if (kind != RecordKind::artifact) return {};
  Result<Record> record = decode_record(data);
  auto* artifact = record ? std::get_if<RunArtifact>(&*record) : nullptr;
  return artifact != nullptr ? std::move(*artifact) : RunArtifact{};
}

MLFLOWHA_INLINE Error closed_spool(const std::string& path) {
  Error error;
  error.code = Errc::cancelled;
  error.message = fmt::format("{}: is closed", path);
  return error;
}

MLFLOWHA_INLINE Error lost_run(std::int64_t id) {
  Error error;
  error.code = Errc::internal;
  error.message = fmt::format("the spool has no run {}", id);
  return error;
}

}  // namespace detail

MLFLOWHA_INLINE Result<void> Spool::check_room(std::uint64_t bytes, std::uint64_t besides) const {
  Error error;
  error.code = Errc::storage_full;
  const std::uint64_t there = stats_.bytes + held_ + besides;
  if (bytes > options_.max_bytes || there > options_.max_bytes - bytes) {
    error.message = fmt::format("{}: holds {} of at most {} bytes, no room for {} more (SpoolOptions::max_bytes)",
                                path_, there, options_.max_bytes, bytes);
    return error;
  }
  if (age() > options_.max_age) {
    error.message = fmt::format(
        "{}: its oldest record has waited for more than {} s (SpoolOptions::max_age); nothing was delivered for that "
        "long",
        path_, std::chrono::duration_cast<std::chrono::seconds>(options_.max_age).count());
    return error;
  }
  return {};
}

/// A calendar that was put back makes rows look young, which is the harmless way to be wrong. One that jumps ahead, as
/// that of a machine which boots without the time, makes no row older than this process has seen.
MLFLOWHA_INLINE Duration Spool::age() const {
  if (!stats_.oldest) return Duration::zero();
  const Duration by_calendar = std::max<Duration>(Duration::zero(), clock_->wall_now() - *stats_.oldest);
  return waiting_since_ ? std::min(by_calendar, clock_->now() - *waiting_since_) : by_calendar;
}

MLFLOWHA_INLINE Result<std::int64_t> Spool::add_run(std::string_view local_id, const RunStart& start,
                                                    std::string_view server_id, bool attempted) {
  Result<std::string> bytes = encode(start);
  if (!bytes) return std::move(bytes).error();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  if (Result<void> room = check_room(bytes->size()); !room) return std::move(room).error();
  auto transaction = detail::Transaction::begin(*database_);
  if (!transaction) return std::move(transaction).error();
  auto insert =
      database_->prepare("INSERT INTO runs(local_id, server_id, start, created_ms, attempted) VALUES(?, ?, ?, ?, ?)");
  if (!insert) return std::move(insert).error();
  insert->bind(1, local_id).bind(2, server_id).bind_blob(3, *bytes);
  insert->bind(4, std::int64_t{clock_->wall_now().time_since_epoch().count()});
  insert->bind(5, std::int64_t{attempted ? 1 : 0});
  if (Result<void> done = insert->run(); !done) return std::move(done).error();
  const std::int64_t id = database_->last_insert_id();
  if (Result<void> done = database_->execute("UPDATE meta SET value = 1 WHERE key = 'begun'"); !done) {
    return std::move(done).error();
  }
  if (Result<void> done = transaction->commit(); !done) return std::move(done).error();
  if (server_id.empty()) unborn_.insert(id);
  return id;
}

MLFLOWHA_INLINE Result<void> Spool::append(const std::vector<SpoolRow>& rows) {
  return append(rows.data(), rows.size());
}
MLFLOWHA_INLINE Result<void> Spool::append(const SpoolRow* first, std::size_t size) {
  if (size == 0) return {};
  const SpoolRow* const end = first + size;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
  std::uint64_t artifacts = 0;
  std::uint64_t beside = 0;
  for (const SpoolRow* at = first; at != end; ++at) {
    const SpoolRow& row = *at;
    bytes += row.data.size();
    beside += detail::artifact_of(row.kind, row.data).size;
    artifacts += row.kind == RecordKind::artifact ? 1U : 0U;
    entries += row.entries;
  }
  const std::uint64_t held = beside < held_ ? beside : held_;  // room for these was made when they were taken
  if (Result<void> room = check_room(bytes + beside - held); !room) return room;
  const WallTime now = clock_->wall_now();
  auto transaction = detail::Transaction::begin(*database_);
  if (!transaction) return std::move(transaction).error();
  detail::Statement& insert = statements_->append;
  for (const SpoolRow* at = first; at != end; ++at) {
    const SpoolRow& row = *at;
    insert.bind(1, row.run).bind(2, static_cast<std::int64_t>(row.kind)).bind(3, std::int64_t{row.entries});
    insert.bind(4, std::int64_t{now.time_since_epoch().count()}).bind_blob(5, row.data);
    if (Result<void> done = insert.run(); !done) return done;
  }
  MLFLOWHA_FAULT_POINT("append: before commit");
  if (Result<void> done = transaction->commit(); !done) return done;
  MLFLOWHA_FAULT_POINT("append: committed");
  stats_.rows += size;
  stats_.entries += entries;
  stats_.bytes += bytes + beside;
  stats_.artifacts += artifacts;
  stats_.artifact_bytes += beside;
  held_ -= held;
  if (!stats_.oldest) {
    stats_.oldest = now;
    waiting_since_ = clock_->now();
  }
  return {};
}

MLFLOWHA_INLINE Result<void> Spool::sync() {
  if (options_.durability != Durability::interval) return {};  // each: done; none: nothing to do
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  return sync_log();
}

/// Under the lock.
MLFLOWHA_INLINE Result<void> Spool::sync_log() {
  // In WAL mode a commit with synchronous=FULL fsyncs the log, and with it all commits before.
  if (Result<void> full = database_->execute("PRAGMA synchronous=FULL"); !full) return full;
  Result<void> done = database_->execute("UPDATE meta SET value = value + 1 WHERE key = 'syncs'");
  Result<void> back = database_->execute("PRAGMA synchronous=NORMAL");
  return done ? back : done;
}

/// The next row of a query for a run's columns; false when there is none.
MLFLOWHA_INLINE Result<bool> Spool::read_run(detail::Statement& select, SpoolRun& run) {
  Result<bool> row = select.step();
  if (!row || !*row) return row;
  run.id = select.number(0);
  run.local_id = select.bytes(1);
  run.server_id = select.bytes(2);
  run.attempted = select.number(3) != 0;
  run.refused = select.bytes(4);
  Result<Record> start = decode_record(select.bytes(5));
  if (start && std::holds_alternative<RunStart>(*start)) {
    run.start = std::get<RunStart>(std::move(*start));
  } else if (run.refused.empty() && run.server_id.empty()) {  // it is needed for nothing else
    run.refused = start ? "its start is a record of another kind" : start.error().message;
  }
  return true;
}

MLFLOWHA_INLINE Result<std::vector<SpoolRun>> Spool::runs() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto select = database_->prepare("SELECT id, local_id, server_id, attempted, refused, start FROM runs ORDER BY id");
  if (!select) return std::move(select).error();
  std::vector<SpoolRun> runs;
  for (;;) {
    SpoolRun run;
    Result<bool> there = read_run(*select, run);
    if (!there) return std::move(there).error();
    if (!*there) return runs;
    runs.push_back(std::move(run));
  }
}

MLFLOWHA_INLINE Result<SpoolRun> Spool::run(std::int64_t id) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  SpoolRun run;
  statements_->run.bind(1, id);
  Result<bool> there = read_run(statements_->run, run);
  statements_->run.reset();
  if (!there) return std::move(there).error();
  if (!*there) return detail::lost_run(id);
  return run;
}

MLFLOWHA_INLINE Result<std::optional<SpoolRun>> Spool::find_run(std::string_view local_id) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto select =
      database_->prepare("SELECT id, local_id, server_id, attempted, refused, start FROM runs WHERE local_id = ?");
  if (!select) return std::move(select).error();
  SpoolRun run;
  select->bind(1, local_id);
  Result<bool> there = read_run(*select, run);
  if (!there) return std::move(there).error();
  if (!*there) return std::optional<SpoolRun>();
  return std::optional<SpoolRun>(std::move(run));
}

MLFLOWHA_INLINE Result<std::vector<std::int64_t>> Spool::active_runs() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  std::set<std::int64_t> active = unborn_;
  detail::Statement& next = statements_->next_run;
  for (std::int64_t last = 0;;) {
    Result<bool> there = next.bind(1, last).step();
    if (there && *there) last = next.number(0);
    next.reset();
    if (!there) return std::move(there).error();
    if (!*there) break;
    active.insert(last);
  }
  for (const std::int64_t run : refused_) active.erase(run);
  return std::vector<std::int64_t>(active.begin(), active.end());
}

MLFLOWHA_INLINE Result<std::vector<StoredRow>> Spool::head(std::int64_t run, std::size_t most) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  detail::Statement& select = statements_->head;
  select.bind(1, run).bind(2, static_cast<std::int64_t>(most));
  std::vector<StoredRow> rows;
  for (;;) {
    Result<bool> there = select.step();
    if (!there) return std::move(there).error();
    if (!*there) break;
    StoredRow& row = rows.emplace_back();
    row.seq = select.number(0);
    row.kind = static_cast<RecordKind>(select.number(1));
    row.entries = static_cast<std::uint32_t>(select.number(2));
    row.created = detail::wall_of(select.number(3));
    row.data = select.bytes(4);
  }
  select.reset();
  return rows;
}

MLFLOWHA_INLINE Result<bool> Spool::has_rows(std::int64_t run) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  statements_->any.bind(1, run);
  Result<bool> there = statements_->any.step();
  statements_->any.reset();
  return there;
}

MLFLOWHA_INLINE Result<PendingRows> Spool::pending(std::int64_t run) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto select = database_->prepare("SELECT count(*), total(entries) FROM records WHERE run = ?");
  if (!select) return std::move(select).error();
  Result<bool> row = select->bind(1, run).step();
  if (!row) return std::move(row).error();
  return PendingRows{static_cast<std::uint64_t>(select->number(0)), static_cast<std::uint64_t>(select->number(1))};
}

MLFLOWHA_INLINE Result<std::int64_t> Spool::last_row(std::int64_t run) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto select = database_->prepare("SELECT seq FROM records WHERE run = ? ORDER BY seq DESC LIMIT 1");
  if (!select) return std::move(select).error();
  Result<bool> row = select->bind(1, run).step();
  if (!row) return std::move(row).error();
  return *row ? select->number(0) : std::int64_t{0};
}

MLFLOWHA_INLINE Result<void> Spool::settle(std::int64_t run, std::int64_t through,
                                           const std::vector<QuarantinedRow>& refused) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto transaction = detail::Transaction::begin(*database_);
  if (!transaction) return std::move(transaction).error();
  SpoolStats after = stats_;
  std::vector<std::string> files;
  std::uint64_t kept_bytes = 0;
  std::uint64_t taken = 0;
  detail::Statement& sums = statements_->settled_sums;
  sums.bind(1, run).bind(2, through);
  for (;;) {
    Result<bool> there = sums.step();
    if (!there) return std::move(there).error();
    if (!*there) break;
    ++taken;
    const auto kind = static_cast<RecordKind>(sums.number(0));
    const std::string_view data = kind == RecordKind::artifact ? sums.bytes(3) : std::string_view();
    RunArtifact artifact = detail::artifact_of(kind, data);
    const std::uint64_t bytes = static_cast<std::uint64_t>(sums.number(2)) + artifact.size;
    bool kept = false;  // what a server refused stays until somebody decides
    for (const QuarantinedRow& row : refused) kept = kept || row.data == data;
    if (kind == RecordKind::artifact) {
      after.artifacts -= 1;
      after.artifact_bytes -= artifact.size < after.artifact_bytes ? artifact.size : after.artifact_bytes;
      if (!kept) files.push_back(std::move(artifact.file));
      if (kept) kept_bytes += artifact.size;
    }
    after.rows -= 1;
    after.entries -= static_cast<std::uint64_t>(sums.number(1));
    after.bytes -= bytes < after.bytes ? bytes : after.bytes;
  }
  sums.reset();
  for (const QuarantinedRow& row : refused) {
    detail::Statement& park = statements_->park;
    park.bind(1, row.run).bind(2, static_cast<std::int64_t>(row.kind)).bind(3, std::int64_t{row.entries});
    park.bind_blob(4, row.data).bind(5, std::string_view(row.reason));
    park.bind(6, std::int64_t{clock_->wall_now().time_since_epoch().count()});
    if (Result<void> done = park.run(); !done) return done;
    after.quarantined += 1;
  }
  statements_->settle.bind(1, run).bind(2, through);
  if (Result<void> done = statements_->settle.run(); !done) return done;
  if (taken == 0 || database_->changes() != taken) {
    // A damage that the check on opening doesn't see. The rows would be delivered again and again.
    Error error;
    error.code = Errc::storage_corrupt;
    error.message = fmt::format("{}: {} of {} delivered rows of run {} could be removed; expected all", path_,
                                database_->changes(), taken, run);
    return error;
  }
  if (after.rows == 0) {
    after.oldest.reset();
  } else {
    auto oldest = database_->prepare("SELECT created_ms FROM records ORDER BY seq LIMIT 1");
    if (!oldest) return std::move(oldest).error();
    const Result<bool> there = oldest->step();
    if (there && *there) after.oldest = detail::wall_of(oldest->number(0));
  }
  MLFLOWHA_FAULT_POINT("settle: before commit");
  if (Result<void> done = transaction->commit(); !done) return done;
  MLFLOWHA_FAULT_POINT("settle: committed");
  stats_ = after;
  kept_ += kept_bytes;
  // Last, when it is on the disk, too: a file without a row is cleaned up by the next one, a row without a file is
  // lost.
  if (files.empty() || (options_.durability == Durability::interval && !sync_log())) return {};
  remove_artifacts(files);
  return {};
}

MLFLOWHA_INLINE Result<void> Spool::mark_run_attempted(std::int64_t id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto update = database_->prepare("UPDATE runs SET attempted = 1 WHERE id = ?");
  if (!update) return std::move(update).error();
  return update->bind(1, id).run();
}

MLFLOWHA_INLINE Result<void> Spool::set_run_server_id(std::int64_t id, std::string_view server_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto update = database_->prepare("UPDATE runs SET server_id = ? WHERE id = ?");
  if (!update) return std::move(update).error();
  Result<void> done = update->bind(1, server_id).bind(2, id).run();
  if (done && !server_id.empty()) unborn_.erase(id);
  return done;
}

MLFLOWHA_INLINE Result<void> Spool::refuse_run(std::int64_t id, std::string_view reason) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto update = database_->prepare("UPDATE runs SET refused = ? WHERE id = ?");
  if (!update) return std::move(update).error();
  Result<void> done = update->bind(1, reason.empty() ? std::string_view("refused") : reason).bind(2, id).run();
  if (done) stats_.refused_runs += 1;
  if (done) refused_.insert(id);
  return done;
}

MLFLOWHA_INLINE Result<SpoolExperiment> Spool::experiment(std::string_view name, std::string_view request_tag) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto insert = database_->prepare("INSERT OR IGNORE INTO experiments(name, request_tag) VALUES(?, ?)");
  if (!insert) return std::move(insert).error();
  if (Result<void> done = insert->bind(1, name).bind(2, request_tag).run(); !done) return std::move(done).error();
  auto select = database_->prepare("SELECT server_id, request_tag, attempted FROM experiments WHERE name = ?");
  if (!select) return std::move(select).error();
  Result<bool> row = select->bind(1, name).step();
  if (!row) return std::move(row).error();
  SpoolExperiment found;
  found.server_id = select->bytes(0);
  found.request_tag = select->bytes(1);
  found.attempted = select->number(2) != 0;
  return found;
}

MLFLOWHA_INLINE Result<void> Spool::mark_experiment_attempted(std::string_view name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto update = database_->prepare("UPDATE experiments SET attempted = 1 WHERE name = ?");
  if (!update) return std::move(update).error();
  return update->bind(1, name).run();
}

MLFLOWHA_INLINE Result<void> Spool::set_experiment_server_id(std::string_view name, std::string_view server_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto update = database_->prepare("UPDATE experiments SET server_id = ? WHERE name = ?");
  if (!update) return std::move(update).error();
  return update->bind(1, server_id).bind(2, name).run();
}

MLFLOWHA_INLINE Result<std::vector<QuarantinedRow>> Spool::quarantine(std::uint32_t most) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!database_) return detail::closed_spool(path_);
  auto select = database_->prepare("SELECT run, kind, entries, data, reason FROM quarantine ORDER BY id LIMIT ?");
  if (!select) return std::move(select).error();
  select->bind(1, std::int64_t{most});
  std::vector<QuarantinedRow> rows;
  for (;;) {
    Result<bool> there = select->step();
    if (!there) return std::move(there).error();
    if (!*there) return rows;
    QuarantinedRow& row = rows.emplace_back();
    row.run = select->number(0);
    row.kind = static_cast<RecordKind>(select->number(1));
    row.entries = static_cast<std::uint32_t>(select->number(2));
    row.data = select->bytes(3);
    row.reason = select->bytes(4);
  }
}

MLFLOWHA_INLINE SpoolStats Spool::stats() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  SpoolStats stats = stats_;
  stats.age = age();
  return stats;
}

MLFLOWHA_END_NAMESPACE

#endif
