#ifndef MLFLOWHA_LOGGING_IMPL_RUN_LOGGER_IPP
#define MLFLOWHA_LOGGING_IMPL_RUN_LOGGER_IPP

#include <mlflowha/api/experiments_codec.hpp>
#include <mlflowha/api/runs_codec.hpp>
#include <mlflowha/client/impl/artifact_files.hpp>
#include <mlflowha/logging/impl/fault_point.hpp>
#include <mlflowha/logging/impl/fork.hpp>
#include <mlflowha/logging/impl/log_hub.hpp>
#include <mlflowha/logging/impl/spool_file.ipp>  // absolute_path
#include <mlflowha/logging/run_logger.hpp>

#include <fmt/format.h>

#include <atomic>
#include <limits>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE LoggerObserver::~LoggerObserver() = default;
MLFLOWHA_INLINE void LoggerObserver::on_degraded(const Error&) noexcept {}
MLFLOWHA_INLINE void LoggerObserver::on_recovered(Duration) noexcept {}
MLFLOWHA_INLINE void LoggerObserver::on_refused(std::uint64_t, const Error&) noexcept {}

MLFLOWHA_INLINE std::string_view to_string(LoggerState state) noexcept {
  switch (state) {
    case LoggerState::online:
      return "online";
    case LoggerState::degraded:
      return "degraded";
    case LoggerState::closed:
      return "closed";
  }
  return "unknown";
}

namespace detail {

/// One word for any shell.
MLFLOWHA_INLINE std::string shell_quoted(std::string_view word) {
  std::string quoted = "'";
  for (const char c : word) c == '\'' ? quoted += "'\\''" : quoted += c;
  return quoted + '\'';
}

/// One logger in one process. A child of a fork makes another one and never touches its parent's.
struct LoggerCore {
  std::shared_ptr<LogHub> hub;
  std::shared_ptr<RunBuffer> buffer;
  Clock* clock = nullptr;
  std::uint64_t generation = 0;
  std::atomic<bool> ended{false};
  std::atomic<bool> closed{false};
};

class LoggerHandle {
 public:
  LoggerHandle(Client client, RunLoggerOptions options) : client_(std::move(client)), options_(std::move(options)) {}
  ~LoggerHandle() {
    delete server_id_.load();
    LoggerCore* core = core_.load();
    // A parent's core can't be taken down here: its threads aren't here, its locks may be held by them.
    if (core == nullptr || core->generation != fork_generation()) return;
    if (!core->closed.load()) core->hub->remove(core->buffer);
    delete core;
  }
  LoggerHandle(const LoggerHandle&) = delete;
  LoggerHandle& operator=(const LoggerHandle&) = delete;

  Result<void> open(std::string_view name, const RunStart& start, std::string_view server_id, bool ended) {
    Result<std::shared_ptr<LogHub>> hub = LogHub::open(client_, options_);
    if (!hub) return std::move(hub).error();
    Result<std::shared_ptr<RunBuffer>> buffer = add(**hub, name, start, server_id);
    for (int i = 0; i < 3 && !buffer && buffer.error().code == Errc::cancelled; ++i) {
      hub = LogHub::open(client_, options_);  // the one found before was just taken down
      if (!hub) return std::move(hub).error();
      buffer = add(**hub, name, start, server_id);
    }
    if (!buffer) return std::move(buffer).error();
    auto core = std::make_unique<LoggerCore>();
    core->hub = std::move(*hub);
    core->buffer = std::move(*buffer);
    core->clock = core->hub->clock.get();
    core->generation = fork_generation();
    core->ended = ended;
    core_.store(core.release());
    return {};
  }

  Result<std::shared_ptr<RunBuffer>> add(LogHub& hub, std::string_view name, const RunStart& start,
                                         std::string_view server_id) const {
    return hub.add(name, start, server_id, !options_.request_tag.empty(), options_.max_buffer_bytes);
  }

  /// The core of this process; an error in a child that can't have one, and after close().
  Result<LoggerCore*> core() {
    LoggerCore* core = core_.load(std::memory_order_acquire);
    if (core->generation != fork_generation()) [[unlikely]] {
      const std::lock_guard<std::mutex> lock(fork_mutex_of_child_);
      core = core_.load(std::memory_order_acquire);
      if (core->generation != fork_generation()) {
        if (Result<void> adopted = adopt_in_child(*core); !adopted) return std::move(adopted).error();
        core = core_.load(std::memory_order_acquire);
      }
    }
    if (core->closed.load(std::memory_order_relaxed)) [[unlikely]]
      return closed_error();
    return core;
  }

  /// Puts an entry where `options` want it, and says what came of it. `put` takes a RunBuffer.
  template <class Put>
  Result<void> accept(LoggerCore& core, const Put& put) {
    return accept(core, options_.when_full, put);
  }
  template <class Put>
  Result<void> accept(LoggerCore& core, WhenFull when_full, const Put& put) {
    if (options_.durability == Durability::each) return write_now(core, when_full, put);
    RunBuffer::Put result = put(*core.buffer);
    while (result == RunBuffer::Put::full) {
      if (when_full == WhenFull::reject) {
        core.hub->wake();
        return full_error();
      }
      Result<void> written = core.hub->commit();
      if (!written && !wait_for_room(core, when_full, written.error())) return written;
      result = put(*core.buffer);
    }
    if (result == RunBuffer::Put::shut) return closed_error();
    MLFLOWHA_FAULT_POINT("enqueued");
    if (result == RunBuffer::Put::taken_first) core.hub->wake();
    return {};
  }

  /// The server's id of the run, kept where a child can read it without a lock.
  void learn_server_id(const std::string& id) {
    if (id.empty() || server_id_.load() != nullptr) return;
    const auto* mine = new std::string(id);
    const std::string* none = nullptr;
    if (!server_id_.compare_exchange_strong(none, mine)) delete mine;
  }
  [[nodiscard]] std::string server_id() const {
    const std::string* id = server_id_.load();
    return id != nullptr ? *id : std::string();
  }

  std::string local_id;
  const RunLoggerOptions& options() const noexcept { return options_; }
  const Client& client() const noexcept { return client_; }

 private:
  /// Durability::each: past the buffer, since what can't be written must not be delivered later after all.
  template <class Put>
  Result<void> write_now(LoggerCore& core, WhenFull when_full, const Put& put) {
    RunBuffer alone(core.buffer->run(), std::numeric_limits<std::size_t>::max());
    static_cast<void>(put(alone));
    std::vector<SpoolRow> rows;
    alone.collect(rows);
    MLFLOWHA_FAULT_POINT("enqueued");
    for (;;) {
      Result<void> written = core.hub->write_now(*core.buffer, rows);
      if (written || !wait_for_room(core, when_full, written.error())) return written;
    }
  }
  /// After a moment: whether to try again. Only the thread that delivers makes room in a full spool, and whatever else
  /// is wrong with it may last for ever.
  bool wait_for_room(LoggerCore& core, WhenFull when_full, const Error& error) const {
    if (when_full != WhenFull::block || !options_.background || error.code != Errc::storage_full) return false;
    if (core.hub->is_sender()) return false;  // an observer that logs: it is that thread
    core.clock->sleep_until(core.clock->now() + std::chrono::milliseconds(50), CancellationToken());
    return true;
  }
  Error full_error() const {
    Error error;
    error.code = Errc::storage_full;
    error.message = fmt::format("{} bytes wait to be written (RunLoggerOptions::max_buffer_bytes); not taken",
                                options_.max_buffer_bytes);
    return error;
  }
  Result<void> adopt_in_child(LoggerCore& parents) {
    const std::string id = server_id();
    if (id.empty()) {
      Error error;
      error.code = Errc::conflict;
      error.message =
          "this process was forked before the run had an id on the server; flush() before fork(), or start a logger "
          "here";
      return error;
    }
    static_cast<void>(parents);  // left alone for ever
    return open(fmt::format("{}/{}", local_id, make_uuid(*process_rng())), RunStart{}, id, true);
  }

  const Client client_;
  const RunLoggerOptions options_;
  std::atomic<LoggerCore*> core_{nullptr};
  std::atomic<const std::string*> server_id_{nullptr};
  std::mutex fork_mutex_of_child_;  // taken only where a fork has happened, so never held at a first one
};

}  // namespace detail

MLFLOWHA_INLINE RunLogger::RunLogger(std::unique_ptr<detail::LoggerHandle> handle) noexcept
    : handle_(std::move(handle)) {}
MLFLOWHA_INLINE RunLogger::~RunLogger() = default;
MLFLOWHA_INLINE RunLogger::RunLogger(RunLogger&&) noexcept = default;
MLFLOWHA_INLINE RunLogger& RunLogger::operator=(RunLogger&&) noexcept = default;
MLFLOWHA_INLINE const std::string& RunLogger::local_id() const noexcept { return handle_->local_id; }

MLFLOWHA_INLINE Result<RunLogger> RunLogger::start(Client client, RunLoggerOptions options) {
  if (options.directory.empty()) {
    const std::string variable = process_environment().get("MLFLOWHA_SPOOL_DIR").value_or("");
    const bool blank = variable.find_first_not_of(" \t\r\n") == std::string::npos;  // counts as not set, as elsewhere
    options.directory = blank ? "mlflowha-spool" : variable;
  }
  if (options.durability != Durability::none) {  // programs change their working directory while they log
    Result<std::string> directory = detail::absolute_path(options.directory);
    if (!directory) return std::move(directory).error();
    options.directory = std::move(*directory);
  }
  if (!options.experiment.empty() && !options.experiment_id.empty()) {
    return invalid_argument(fmt::format("experiment \"{}\" and experiment_id \"{}\" are given together; expected one",
                                        sanitize(options.experiment, 64), sanitize(options.experiment_id, 64)));
  }
  if (options.linger < Duration::zero() || options.gather < Duration::zero() ||
      options.sync_interval <= Duration::zero() || options.max_buffer_bytes < std::size_t{64} << 10) {
    return invalid_argument(
        "expected linger >= 0, gather >= 0, sync_interval > 0 and max_buffer_bytes >= 65,536 in RunLoggerOptions");
  }
  const Config& config = client.config();
  const std::shared_ptr<Rng> rng = config.options().rng ? config.options().rng : process_rng();
  const std::shared_ptr<Clock> clock = config.options().clock ? config.options().clock : system_clock();
  RunStart start;
  start.experiment_id = options.experiment_id;
  start.experiment_name = options.experiment;
  start.experiment_request_tag = make_uuid(*rng);
  start.run_name = options.run_name;
  start.user_id = options.user_id;
  start.start_time =
      options.start_time != now_at_call ? options.start_time : clock->wall_now().time_since_epoch().count();
  start.tags = options.tags;
  start.request_tag = options.request_tag.empty() ? make_uuid(*rng) : options.request_tag;
  if (options.run_id.empty()) {  // what the server would refuse later is refused here
    if (!start.experiment_name.empty()) {
      CreateExperiment named;
      named.name = start.experiment_name;
      const auto prepared = api::prepare_create_experiment(std::move(named), start.experiment_request_tag);
      if (!prepared) return prepared.error();
    }
    CreateRun create;
    create.experiment_id = start.experiment_id.empty() ? "0" : start.experiment_id;  // a name's id comes later
    create.run_name = start.run_name;
    create.user_id = start.user_id;
    create.tags = start.tags;
    const auto prepared = api::prepare_create_run(std::move(create), clock->wall_now(), start.request_tag);
    if (!prepared) return prepared.error();
    for (const RunTag& tag : start.tags) {
      if (tag.key != "mlflow.runName" || start.run_name.empty() || tag.value == start.run_name) continue;
      return invalid_argument(fmt::format("run_name is \"{}\" and the tag mlflow.runName \"{}\"; expected one name",
                                          sanitize(start.run_name, 64), sanitize(tag.value, 64)));
    }
  }
  const std::string run_id = options.run_id;
  auto handle = std::make_unique<detail::LoggerHandle>(std::move(client), std::move(options));
  handle->local_id = "local-" + start.request_tag;
  handle->learn_server_id(run_id);
  if (Result<void> opened = handle->open(handle->local_id, start, run_id, false); !opened) {
    return std::move(opened).error();
  }
  return RunLogger(std::move(handle));
}

MLFLOWHA_INLINE Result<void> RunLogger::log_metric(std::string_view key, double value, std::int64_t step,
                                                   std::int64_t timestamp) {
  Result<detail::LoggerCore*> core = handle_->core();
  if (!core) return std::move(core).error();
  if (timestamp == now_at_call) timestamp = (*core)->clock->wall_now().time_since_epoch().count();
  if (Result<void> good = detail::check_metric(key, timestamp); !good) return good;
  return handle_->accept(**core,
                         [&](detail::RunBuffer& buffer) { return buffer.put_metric(key, value, timestamp, step); });
}

namespace detail {

/// Whether a point belongs to a model or dataset, which a batch can't say.
MLFLOWHA_INLINE bool is_linked(const Metric& metric) {
  return !metric.model_id.empty() || !metric.dataset_name.empty() || !metric.dataset_digest.empty();
}

/// All of one call, as one entry of the list, in parts that MLflow's checks accept.
MLFLOWHA_INLINE Result<void> put_values(LoggerHandle& handle, RunValues values) {
  Result<LoggerCore*> core = handle.core();
  if (!core) return std::move(core).error();
  if (values.size() == 0) return {};
  const std::int64_t now = (*core)->clock->wall_now().time_since_epoch().count();
  std::vector<Metric> linked;
  for (Metric& metric : values.metrics) {
    if (metric.timestamp == now_at_call) metric.timestamp = now;
    if (Result<void> good = check_metric(metric.key, metric.timestamp); !good) return good;
    if (is_linked(metric)) linked.push_back(metric);
  }
  if (!linked.empty()) std::erase_if(values.metrics, [](const Metric& metric) { return is_linked(metric); });
  RunValues one;
  for (const Param& param : values.params) {
    one.params.assign(1, param);
    if (Result<void> good = check_values(one); !good) return good;
  }
  one.params.clear();
  for (const RunTag& tag : values.tags) {
    one.tags.assign(1, tag);
    if (Result<void> good = check_values(one); !good) return good;
  }
  const auto take = [&](const Record& record) {
    return handle.accept(**core, [&](RunBuffer& buffer) { return buffer.put(record); });
  };
  if (values.size() != 0) {
    if (Result<void> taken = take(std::move(values)); !taken) return taken;
  }
  for (Metric& metric : linked) {
    if (Result<void> taken = take(std::move(metric)); !taken) return taken;
  }
  return {};
}

}  // namespace detail

MLFLOWHA_INLINE Result<void> RunLogger::log_metrics(std::vector<Metric> metrics) {
  RunValues values;
  values.metrics = std::move(metrics);
  return detail::put_values(*handle_, std::move(values));
}
MLFLOWHA_INLINE Result<void> RunLogger::log_params(std::vector<Param> params) {
  RunValues values;
  values.params = std::move(params);
  return detail::put_values(*handle_, std::move(values));
}
MLFLOWHA_INLINE Result<void> RunLogger::set_tags(std::vector<RunTag> tags) {
  RunValues values;
  values.tags = std::move(tags);
  return detail::put_values(*handle_, std::move(values));
}
MLFLOWHA_INLINE Result<void> RunLogger::log_param(std::string_view key, std::string_view value) {
  Param param;
  param.key = key;
  param.value = value;
  return log_params({std::move(param)});
}
MLFLOWHA_INLINE Result<void> RunLogger::set_tag(std::string_view key, std::string_view value) {
  RunTag tag;
  tag.key = key;
  tag.value = value;
  return set_tags({std::move(tag)});
}

MLFLOWHA_INLINE Result<void> RunLogger::log_input(DatasetInput input) {
  Result<detail::LoggerCore*> core = handle_->core();
  if (!core) return std::move(core).error();
  LogInputs inputs;
  inputs.run_id = "r";
  inputs.datasets.push_back(std::move(input));
  if (const auto prepared = api::prepare_log_inputs(inputs); !prepared) return prepared.error();
  const Record record = std::move(inputs.datasets.front());
  return handle_->accept(**core, [&](detail::RunBuffer& buffer) { return buffer.put(record); });
}

namespace detail {

/// One file, already known by its whole path below the run's root.
MLFLOWHA_INLINE Result<void> put_artifact(LoggerHandle& handle, const std::string& file, const std::string& path) {
  Result<LoggerCore*> core = handle.core();
  if (!core) return std::move(core).error();
  if (std::string fault = artifact_path_fault(path); !fault.empty()) return invalid_argument(std::move(fault));
  Spool& spool = (*core)->hub->spool();
  Result<RunArtifact> taken =
      spool.take_artifact(file, path, handle.options().keep_artifacts, handle.options().max_artifact_bytes);
  if (!taken) return std::move(taken).error();
  const Record record = *taken;
  Result<void> accepted = handle.accept(**core, [&](RunBuffer& buffer) { return buffer.put(record); });
  if (!accepted) spool.drop_artifact(*taken);
  return accepted;
}

}  // namespace detail

MLFLOWHA_INLINE Result<void> RunLogger::log_artifact(const std::string& local_path, std::string_view artifact_path) {
  return detail::put_artifact(*handle_, local_path, detail::join_path(artifact_path, detail::base_name(local_path)));
}

MLFLOWHA_INLINE Result<void> RunLogger::log_artifacts(const std::string& local_dir, std::string_view artifact_path) {
  Result<std::vector<detail::LocalFile>> files = detail::files_below(local_dir);
  if (!files) return std::move(files).error();
  for (const detail::LocalFile& file : *files) {  // all names before the first file
    std::string fault = detail::artifact_path_fault(detail::join_path(artifact_path, file.relative));
    if (!fault.empty()) return invalid_argument(std::move(fault));
  }
  for (std::size_t i = 0; i < files->size(); ++i) {
    const detail::LocalFile& file = (*files)[i];
    Result<void> taken = detail::put_artifact(*handle_, file.path, detail::join_path(artifact_path, file.relative));
    if (taken) continue;
    Error error = std::move(taken).error();
    error.message =
        fmt::format("{} of {} files taken; {}: {}", i, files->size(), sanitize(file.relative, 200), error.message);
    return error;
  }
  return {};
}

namespace detail {

MLFLOWHA_INLINE Result<void> put_end(LoggerHandle& handle, WhenFull when_full, RunStatus status,
                                     std::int64_t end_time) {
  Result<LoggerCore*> core = handle.core();
  if (!core) return std::move(core).error();
  if (status == RunStatus::unspecified || status == RunStatus::unrecognized || end_time < now_at_call) {
    return invalid_argument(fmt::format("status is \"{}\" and end_time {}; expected one of MLflow's and milliseconds",
                                        sanitize(status.name(), 64), end_time));
  }
  RunEnd end;
  end.status = std::move(status);
  end.end_time = end_time != now_at_call ? end_time : (*core)->clock->wall_now().time_since_epoch().count();
  const Record record = std::move(end);
  Result<void> taken = handle.accept(**core, when_full, [&](RunBuffer& buffer) { return buffer.put(record); });
  if (taken) (*core)->ended.store(true);
  return taken;
}

}  // namespace detail

MLFLOWHA_INLINE Result<void> RunLogger::end(RunStatus status, std::int64_t end_time) {
  return detail::put_end(*handle_, handle_->options().when_full, std::move(status), end_time);
}

MLFLOWHA_INLINE Result<void> RunLogger::commit() {
  Result<detail::LoggerCore*> core = handle_->core();
  if (!core) return std::move(core).error();
  return (*core)->hub->commit();
}

MLFLOWHA_INLINE Result<FlushReport> RunLogger::flush(Duration timeout) {
  Result<detail::LoggerCore*> core = handle_->core();
  if (!core) return std::move(core).error();
  Result<FlushReport> report =
      (*core)->hub->flush((*core)->buffer->run(), Deadline::after((*core)->clock->now(), timeout));
  if (report) handle_->learn_server_id(report->run_id);
  return report;
}

MLFLOWHA_INLINE Result<CloseReport> RunLogger::close(Duration timeout, const CancellationToken& cancel) {
  Result<detail::LoggerCore*> found = handle_->core();
  if (!found) return std::move(found).error();
  detail::LoggerCore& core = **found;
  const Deadline deadline = Deadline::after(core.clock->now(), timeout);
  if (!core.ended.load()) {
    // Whatever the log calls do: this one has a deadline, so it never waits for room by itself.
    const auto end_now = [&] { return detail::put_end(*handle_, WhenFull::reject, RunStatus::finished, now_at_call); };
    Result<void> ended = end_now();
    if (!ended && ended.error().code == Errc::storage_full) {
      // Writing makes room in memory, delivering makes room in the spool.
      const bool written = core.hub->commit().has_value();
      if (!written || handle_->options().durability == Durability::each) {
        static_cast<void>(core.hub->flush(core.buffer->run(), deadline));
      }
      ended = end_now();
    }
    if (!ended) return std::move(ended).error();
  }
  core.buffer->shut();  // whoever logs now is told; whatever was taken will be written
  Result<FlushReport> flushed = core.hub->flush(core.buffer->run(), deadline);
  if (!flushed) return std::move(flushed).error();  // not closed: what is in memory can still be written
  if (core.closed.exchange(true)) return detail::closed_error();
  handle_->learn_server_id(flushed->run_id);
  CloseReport report;
  if (flushed->drained && handle_->options().verifies()) {
    report.verified = core.hub->verify(core.buffer->run(), flushed->run_id, deadline, cancel);
    if (report.verified->resent != 0) {
      Result<FlushReport> again = core.hub->flush(core.buffer->run(), deadline);
      if (again) flushed = std::move(again);
    }
  }
  LoggerStatus status;
  core.hub->fill(status);
  report.drained = flushed->drained;
  report.waiting = flushed->waiting;
  report.run_id = std::move(flushed->run_id);
  report.refused = std::move(flushed->refused);
  report.quarantined = core.hub->spool().stats().quarantined;
  report.last_error = std::move(status.last_error);
  if ((!report.drained || report.quarantined != 0) && handle_->options().durability != Durability::none) {
    report.spool = core.hub->spool().path();
    report.replay = "mlflowha replay " + detail::shell_quoted(handle_->options().directory);
  }
  core.hub->remove(core.buffer);
  return report;
}

MLFLOWHA_INLINE LoggerStatus RunLogger::status() const {
  LoggerStatus status;
  Result<detail::LoggerCore*> core = handle_->core();
  if (!core) {
    status.state = LoggerState::closed;
    status.run_id = handle_->server_id();
    status.last_error = std::move(core).error();
    return status;
  }
  (*core)->hub->fill(status);
  if (Result<SpoolRun> run = (*core)->hub->spool().run((*core)->buffer->run()); run) {
    handle_->learn_server_id(run->server_id);
  }
  status.run_id = handle_->server_id();
  return status;
}

MLFLOWHA_END_NAMESPACE

#endif
