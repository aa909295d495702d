#ifndef MLFLOWHA_LOGGING_IMPL_LOG_HUB_IPP
#define MLFLOWHA_LOGGING_IMPL_LOG_HUB_IPP

#include <mlflowha/logging/impl/fault_point.hpp>
#include <mlflowha/logging/impl/fork.hpp>
#include <mlflowha/logging/impl/log_hub.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <new>
#include <system_error>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

MLFLOWHA_INLINE Error closed_error() {
  Error error;
  error.code = Errc::cancelled;
  error.message = "the logger is closed";
  return error;
}

/// The running hubs, guarded by fork_mutex(): a child finds it in order, with its parent's hubs under other keys.
MLFLOWHA_INLINE std::map<std::string, std::weak_ptr<LogHub>>& hubs() {
  static auto* map = new std::map<std::string, std::weak_ptr<LogHub>>();
  return *map;
}

MLFLOWHA_INLINE Result<std::shared_ptr<LogHub>> LogHub::open(const Client& client, const RunLoggerOptions& options) {
  // The address of its configuration is what copies of one client share and others don't. All that the hub does by its
  // options is in it: what the second logger of a directory asks for must not be ignored.
  const std::string key = fmt::format(
      "{} {} {} {} {} {} {} {} {} {} {}", fork_generation(), static_cast<int>(options.durability), options.verifies(),
      options.sync_interval.count(), options.max_spool_bytes, options.max_spool_age.count(), options.linger.count(),
      options.gather.count(), static_cast<const void*>(options.observer.get()),
      static_cast<const void*>(&client.config()), options.directory);
  const bool shared = options.background && options.durability != Durability::none;
  if (shared) {
    std::shared_ptr<LogHub> running;  // outlives the lock: the last to let go of a hub takes it down
    {
      const std::lock_guard<std::mutex> lock(fork_mutex());
      const auto found = hubs().find(key);
      if (found != hubs().end()) running = found->second.lock();
    }
    if (running && !running->stopped()) return running;
  }
  std::shared_ptr<LogHub> hub(new LogHub(client, options));
  SpoolOptions spool;
  spool.directory = options.directory;
  spool.durability = options.durability;
  spool.sync_interval = options.sync_interval;
  spool.max_bytes = options.max_spool_bytes;
  spool.max_age = options.max_spool_age;
  Result<std::unique_ptr<Spool>> made = Spool::create(spool, hub->clock, *hub->rng);
  if (!made) return std::move(made).error();
  hub->spool_ = std::move(*made);
  if (shared) {
    const std::lock_guard<std::mutex> lock(fork_mutex());
    std::erase_if(hubs(), [](const auto& one) { return one.second.expired(); });
    hubs()[key] = hub;
  }
  return hub;
}

MLFLOWHA_INLINE LogHub::LogHub(const Client& client, const RunLoggerOptions& options)
    : clock(client.config().options().clock ? client.config().options().clock : system_clock()),
      rng(client.config().options().rng ? client.config().options().rng : process_rng()),
      generation(fork_generation()),
      options_(options),
      client_(client),
      deliverer_(client, false, options.verifies()),
      synced_at_(clock->now()),
      turns_(clock, rng) {}

MLFLOWHA_INLINE LogHub::~LogHub() { stop(); }

MLFLOWHA_INLINE void LogHub::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(down_, true)) return;
    stopping_ = true;
  }
  cancel();
  dirtied_.notify_all();
  changed_.notify_all();
  if (writer_.joinable()) writer_.join();
  if (sender_.joinable()) sender_.join();
  if (!spool_) return;
  static_cast<void>(commit());
  {
    const std::lock_guard<std::mutex> lock(write_mutex_);
    static_cast<void>(sync_if_due(true));
  }
  static_cast<void>(spool_->remove_if_drained());
  spool_->close();
}

MLFLOWHA_INLINE bool LogHub::stopped() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return stopping_;
}
MLFLOWHA_INLINE bool LogHub::is_sender() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return sender_.get_id() == std::this_thread::get_id();
}

MLFLOWHA_INLINE Result<std::shared_ptr<RunBuffer>> LogHub::add(std::string_view local_id, const RunStart& start,
                                                               std::string_view server_id, bool attempted,
                                                               std::size_t max_buffer_bytes) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (stopping_) {
    Error error;
    error.code = Errc::cancelled;
    error.message = "the last logger of this directory is being closed";
    return error;
  }
  if (options_.background) {  // first: a run that nobody will log into must not be in the spool
    if (Result<void> started = start_threads(); !started) return std::move(started).error();
  }
  Result<std::int64_t> run = spool_->add_run(local_id, start, server_id, attempted);
  if (!run) return std::move(run).error();
  deliverer_.open_book(*run);
  auto buffer = std::make_shared<RunBuffer>(*run, max_buffer_bytes);
  buffers_.push_back(buffer);
  sendable_ = true;  // the run itself
  changed_.notify_all();
  lock.unlock();
  {
    const std::lock_guard<std::mutex> writing(write_mutex_);
    unsynced_ = true;  // its start is a commit of its own, which is due like any other
  }
  wake();
  return buffer;
}

MLFLOWHA_INLINE void LogHub::remove(const std::shared_ptr<RunBuffer>& buffer) {
  buffer->shut();
  static_cast<void>(commit());
  {
    // Where the spool takes nothing just now, this goes in with what the others log: nobody will ask the buffer again.
    const std::lock_guard<std::mutex> writing(write_mutex_);
    buffer->collect(unwritten_);
    // What no server has is its owner's last word, and the others may go on for hours.
    if (spool_->has_rows(buffer->run()).value_or(true)) static_cast<void>(sync_if_due(true));
  }
  deliverer_.close_book(buffer->run());
  bool last = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    buffers_.erase(std::remove(buffers_.begin(), buffers_.end(), buffer), buffers_.end());
    last = buffers_.empty();
    if (last) stopping_ = true;  // here: who joins between this and stop() would log into nothing
  }
  MLFLOWHA_FAULT_POINT("hub: last logger gone");
  if (last) stop();
}

/// Under the lock. Those that run already stay.
MLFLOWHA_INLINE Result<void> LogHub::start_threads() {
#if defined(__cpp_exceptions)
  try {
#endif
    if (!writer_.joinable()) writer_ = std::thread([this] { write_loop(); });
    if (!sender_.joinable()) sender_ = std::thread([this] { send_loop(); });
#if defined(__cpp_exceptions)
  } catch (const std::system_error& refused) {
    Error error;
    error.code = Errc::out_of_resources;
    error.message = fmt::format("the threads that write and send what is logged can't be started: {}", refused.what());
    return error;
  }
#endif
  return {};
}

/// Runs `work` on a thread of ours; false when memory ran out, which must not end a process that may do without us.
template <class Work>
bool survives(const Work& work) noexcept {
#if defined(__cpp_exceptions)
  try {
#endif
    work();
    return true;
#if defined(__cpp_exceptions)
  } catch (const std::bad_alloc&) {
    return false;
  }
#endif
}

// --- writing --------------------------------------------------------------------------------------------------------

MLFLOWHA_INLINE void LogHub::wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (dirty_) return;
    dirty_ = true;
  }
  dirtied_.notify_one();
}

MLFLOWHA_INLINE Result<void> LogHub::commit() {
  const std::uint64_t ticket = requested_.fetch_add(1) + 1;
  const std::lock_guard<std::mutex> lock(write_mutex_);
  if (committed_ >= ticket) return {};  // whoever had the lock before has taken ours along
  const std::uint64_t through = requested_.load();
  std::vector<std::shared_ptr<RunBuffer>> buffers;
  {
    const std::lock_guard<std::mutex> state(mutex_);
    buffers = buffers_;
  }
  // What couldn't be written goes first, and nothing more is taken out of the buffers before it has: they have a limit.
  for (int turn = unwritten_.empty() ? 1 : 0; turn < 2; ++turn) {
    if (turn == 1) {
      for (const auto& buffer : buffers) buffer->collect(unwritten_);
    }
    if (Result<void> written = write_unwritten(); !written) {
      const std::lock_guard<std::mutex> state(mutex_);
      last_error_ = written.error();
      return written;
    }
  }
  committed_ = through;
  return sync_if_due(false);
}

/// Under the lock. What isn't taken as a whole is taken in parts, from the beginning: it may be more than the spool's
/// cap, and would else never get in.
MLFLOWHA_INLINE Result<void> LogHub::write_unwritten() {
  for (std::size_t size = unwritten_.size(); size != 0;) {
    Result<void> written = spool_->append(unwritten_.data(), size);
    if (!written && (written.error().code != Errc::storage_full || size == 1)) return written;
    if (!written) {
      size /= 2;
      continue;
    }
    unsynced_ = true;
    std::uint64_t entries = 0;
    const auto end = unwritten_.begin() + static_cast<std::ptrdiff_t>(size);
    for (auto row = unwritten_.begin(); row != end; ++row) entries += row->entries;
    unwritten_.erase(unwritten_.begin(), end);
    size = unwritten_.size();
    const std::lock_guard<std::mutex> state(mutex_);
    sendable_ = true;
    fresh_ += entries;
    changed_.notify_all();
  }
  return {};
}

MLFLOWHA_INLINE Result<void> LogHub::write_now(const RunBuffer& of, const std::vector<SpoolRow>& rows) {
  Writing mine{of, rows};
  {
    const std::lock_guard<std::mutex> lock(waiting_mutex_);
    waiting_.push_back(&mine);
  }
  const std::lock_guard<std::mutex> writing(write_mutex_);
  if (!mine.done) {
    std::vector<Writing*> group;
    {
      const std::lock_guard<std::mutex> lock(waiting_mutex_);
      group.swap(waiting_);
    }
    // Whoever had it in a group ran out of memory over it.
    if (std::find(group.begin(), group.end(), &mine) == group.end()) group.push_back(&mine);
    // Whoever logs into a closed run is told so, and not after close() has looked at what is left: it takes this lock.
    std::erase_if(group, [](Writing* one) {
      if (!one->of.is_shut()) return false;
      one->error = closed_error();
      one->done = true;
      return true;
    });
    if (!group.empty()) write_group(group.data(), group.size());
  }
  if (mine.error) return std::move(*mine.error);
  return {};
}

/// Under the lock. Where all of it is more than there is room for, some of it may still get in.
MLFLOWHA_INLINE void LogHub::write_group(Writing** group, std::size_t size) {
  std::vector<SpoolRow> together;
  for (std::size_t i = 0; size > 1 && i < size; ++i) {
    together.insert(together.end(), group[i]->rows.begin(), group[i]->rows.end());
  }
  const std::vector<SpoolRow>& rows = size > 1 ? together : group[0]->rows;
  const Result<void> written = spool_->append(rows);
  if (!written && written.error().code == Errc::storage_full && size > 1) {
    write_group(group, size / 2);
    write_group(group + size / 2, size - size / 2);
    return;
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (!written) group[i]->error = written.error();
    group[i]->done = true;
  }
  const std::lock_guard<std::mutex> state(mutex_);
  if (!written) {
    last_error_ = written.error();
    return;
  }
  for (const SpoolRow& row : rows) fresh_ += row.entries;
  sendable_ = true;
  changed_.notify_all();
}

/// Past the buffers, for what has left them before.
MLFLOWHA_INLINE Result<void> LogHub::append(const std::vector<SpoolRow>& rows) {
  const std::lock_guard<std::mutex> writing(write_mutex_);
  Result<void> written = spool_->append(rows);
  if (written) unsynced_ = true;
  return written;
}

MLFLOWHA_INLINE Result<void> LogHub::sync_if_due(bool now) {
  if (!unsynced_ || (!now && clock->now() - synced_at_ < options_.sync_interval)) return {};
  Result<void> done = spool_->sync();
  if (done) unsynced_ = false;
  synced_at_ = clock->now();
  return done;
}

MLFLOWHA_INLINE void LogHub::write_loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  bool unsynced = false;
  while (!stopping_) {
    if (unsynced) {
      dirtied_.wait_for(lock, options_.sync_interval, [&] { return stopping_ || dirty_; });
    } else {
      dirtied_.wait(lock, [&] { return stopping_ || dirty_; });
    }
    if (stopping_) return;
    const bool write = std::exchange(dirty_, false);
    if (write) dirtied_.wait_for(lock, options_.gather, [&] { return stopping_; });
    dirty_ = false;  // before collecting: who comes later sets it again
    lock.unlock();
    bool done = true;
    const bool survived = survives([&] {
      if (write) done = commit().has_value();
      const std::lock_guard<std::mutex> writing(write_mutex_);
      static_cast<void>(sync_if_due(!write));
      unsynced = unsynced_;
    });
    done = done && survived;
    lock.lock();
    if (!done) {  // a full disk: nothing is lost yet, so try again in a moment
      dirtied_.wait_for(lock, std::chrono::milliseconds(200), [&] { return stopping_; });
      dirty_ = true;
    }
  }
}

// --- sending --------------------------------------------------------------------------------------------------------

MLFLOWHA_INLINE void LogHub::note(const DeliveryStep& step) {
  const std::lock_guard<std::mutex> lock(mutex_);
  delivered_ += step.delivered;
  refused_ += step.refused;
  if (step.error && step.what != DeliveryStep::What::held) last_error_ = step.error;
}

MLFLOWHA_INLINE std::optional<Duration> LogHub::heal() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!degraded_since_) return std::nullopt;
  return clock->now() - *std::exchange(degraded_since_, std::nullopt);
}

MLFLOWHA_INLINE LogHub::Delivered LogHub::deliver(Deadline deadline) {
  std::unique_lock<std::mutex> sending(deliver_mutex_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const std::int64_t run : std::exchange(hurried_, {})) turns_.hurry({0, run});
    fresh_ = 0;
  }
  Delivered result;
  std::optional<Error> failure;
  Result<std::vector<std::int64_t>> runs = spool_->active_runs();
  if (!runs) {
    failure = std::move(runs).error();
    result.next = turns_.put_off();
    result.outage = true;
  } else {
    std::vector<Turn> all;
    for (const std::int64_t run : *runs) all.push_back({0, run});
    std::vector<Turn> active = turns_.begin(all);
    // What comes in meanwhile waits for its linger, unless it is much.
    std::uint64_t budget = spool_->stats().entries;
    const auto many = [&] {
      const std::lock_guard<std::mutex> lock(mutex_);
      return fresh_ >= BatchEncoder::most_entries;
    };
    const auto tell = [&](std::optional<Duration> recovered, const DeliveryStep& step) {
      if (!options_.observer || (!recovered && step.refused == 0)) return;
      sending.unlock();  // who is told may flush another logger
      if (recovered) options_.observer->on_recovered(*recovered);
      if (step.refused != 0 && step.error) options_.observer->on_refused(step.refused, *step.error);
      sending.lock();
    };
    for (bool over = false; !active.empty() && !over;) {
      std::vector<Turn> still;
      bool moved = false;
      for (const Turn& turn : active) {
        CallOptions call;
        call.cancel = stop_source_.get_token();
        const TimePoint now = clock->now();
        const Duration left = deadline.remaining(now);
        over = left == Duration::zero() || stop_source_.stop_requested();
        if (over) break;
        if (left < client_.config().options().timeouts.call) call.timeout = left;
        const DeliveryStep step = deliverer_.step(*spool_, turn.run, call, left);
        note(step);
        if (step.what == DeliveryStep::What::later) {
          failure = step.error;
          over = turns_.failed(turn, *step.error, now);
          if (over) break;
        } else if (step.what == DeliveryStep::What::held) {
          still.push_back(turn);  // its parent may be there after this turn
        } else if (step.what == DeliveryStep::What::idle) {
          turns_.done(turn);
        } else {
          turns_.moved(turn);
          moved = result.moved = true;
          tell(turns_.any_waits() ? std::nullopt : heal(), step);
          budget -= std::min(budget, step.delivered + step.refused);
          if (budget > 0 || step.delivered + step.refused == 0 || many()) {
            still.push_back(turn);
          } else {
            result.more = true;
          }
        }
      }
      if (!moved) break;
      active = std::move(still);
    }
    result.next = turns_.next();
    result.outage = turns_.in_outage();
    result.again = turns_.cut_short();
    if (!failure && !turns_.any_waits()) tell(heal(), DeliveryStep());
  }
  bool fresh = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failure && !stop_source_.stop_requested()) {
      last_error_ = failure;
      fresh = !degraded_since_;
      if (fresh) degraded_since_ = clock->now();
    }
    ++rounds_;
  }
  changed_.notify_all();
  sending.unlock();
  if (fresh && options_.observer) options_.observer->on_degraded(*failure);
  return result;
}

MLFLOWHA_INLINE void LogHub::send_loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  std::optional<TimePoint> next;  // of what has failed
  const auto left = [&](Duration most) {
    return next ? std::clamp<Duration>(*next - clock->now(), Duration::zero(), most) : most;
  };
  while (!stopping_) {
    const auto ready = [&] { return stopping_ || sendable_; };
    if (next) {
      changed_.wait_for(lock, left(std::chrono::hours(1)), ready);
    } else {
      changed_.wait(lock, ready);
    }
    changed_.wait_for(lock, left(options_.linger),
                      [&] { return stopping_ || urgent_ || fresh_ >= BatchEncoder::most_entries; });
    if (stopping_) return;
    sendable_ = urgent_ = false;
    lock.unlock();
    Delivered done;
    if (!survives([&] { done = deliver(Deadline::never()); })) {
      done.next = clock->now() + std::chrono::seconds(1);
      done.outage = true;
    }
    lock.lock();
    next = done.next;
    if (done.outage) {  // whatever comes in now wouldn't get any further
      changed_.wait_for(lock, left(std::chrono::hours(1)), [&] { return stopping_ || urgent_; });
    }
    if (done.again || done.more) sendable_ = true;
    if (done.again) urgent_ = true;
  }
}

MLFLOWHA_INLINE Result<FlushReport> LogHub::report(std::int64_t run, std::int64_t mark) {
  Result<SpoolRun> known = spool_->run(run);
  if (!known) return std::move(known).error();
  Result<PendingRows> pending = spool_->pending(run);
  if (!pending) return std::move(pending).error();
  FlushReport report;
  report.waiting = pending->entries;
  report.run_id = known->server_id;
  report.refused = known->refused;
  report.drained = !known->server_id.empty();
  if (report.drained && pending->rows != 0) {  // rows go in their order: the oldest says it
    Result<std::vector<StoredRow>> oldest = spool_->head(run, 1);
    if (!oldest) return std::move(oldest).error();
    report.drained = oldest->empty() || oldest->front().seq > mark;
  }
  return report;
}

MLFLOWHA_INLINE Result<FlushReport> LogHub::flush(std::int64_t run, Deadline deadline) {
  Result<void> written = commit();
  std::optional<std::int64_t> mark;  // the last row that was logged before the call: what comes later isn't waited for
  for (bool first = true;; first = false) {
    // A spool that is full gets room by delivering.
    if (!written) written = commit();
    if (!written && written.error().code != Errc::storage_full) return std::move(written).error();
    if (written && !mark) {
      Result<std::int64_t> last = spool_->last_row(run);
      if (!last) return std::move(last).error();
      mark = *last;
    }
    std::uint64_t round = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      round = rounds_;
      sendable_ = true;
      // After a failure the sender knows when to try again; a flush may hurry it once.
      if (first || !degraded_since_) urgent_ = true;
      if (first) hurried_.push_back(run);
    }
    changed_.notify_all();
    Result<FlushReport> state = report(run, mark.value_or(INT64_MAX));
    const TimePoint now = clock->now();
    const bool over = deadline.passed(now) || stop_source_.stop_requested();
    if (!state || over || (written && (state->drained || !state->refused.empty()))) {
      if (state && !written) return std::move(written).error();
      return state;
    }
    if (options_.background) {
      std::unique_lock<std::mutex> lock(mutex_);
      const Duration left = std::min<Duration>(deadline.remaining(now), std::chrono::hours(1));
      changed_.wait_for(lock, left, [&] { return stopping_ || rounds_ != round; });
    } else {
      const Delivered done = deliver(deadline);
      if (done.moved) continue;  // what failed besides has its time
      const TimePoint moment = clock->now() + std::chrono::milliseconds(250);
      const TimePoint next = done.next.value_or(moment);
      clock->sleep_until(std::min(deadline.at(), written ? next : std::max(next, moment)), stop_source_.get_token());
    }
  }
}

MLFLOWHA_INLINE void LogHub::fill(LoggerStatus& status) const {
  const SpoolStats stats = spool_->stats();
  status.waiting = stats.entries;
  status.lag = stats.age;
  const std::lock_guard<std::mutex> lock(mutex_);
  status.state = degraded_since_ ? LoggerState::degraded : LoggerState::online;
  status.delivered = delivered_;
  status.refused = refused_;
  status.last_error = last_error_;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
