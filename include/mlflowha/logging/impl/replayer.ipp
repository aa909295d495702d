#ifndef MLFLOWHA_LOGGING_IMPL_REPLAYER_IPP
#define MLFLOWHA_LOGGING_IMPL_REPLAYER_IPP

#include <mlflowha/logging/impl/deliver.hpp>
#include <mlflowha/logging/impl/spool_file.ipp>  // absolute_path
#include <mlflowha/logging/impl/turns.hpp>
#include <mlflowha/logging/replayer.hpp>

#include <fmt/format.h>
#include <sys/resource.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE ReplayObserver::~ReplayObserver() = default;
MLFLOWHA_INLINE void ReplayObserver::on_progress(const ReplayProgress&) noexcept {}
MLFLOWHA_INLINE void ReplayObserver::on_waiting(const Error&, Duration) noexcept {}

MLFLOWHA_INLINE std::string_view to_string(ReplayedSpool::State state) noexcept {
  switch (state) {
    case ReplayedSpool::State::delivered:
      return "delivered";
    case ReplayedSpool::State::partial:
      return "partial";
    case ReplayedSpool::State::in_use:
      return "in_use";
    case ReplayedSpool::State::damaged:
      return "damaged";
    case ReplayedSpool::State::untouched:
      return "untouched";
  }
  return "unknown";
}

namespace detail {

/// What a record is, for people.
MLFLOWHA_INLINE std::string words_of(const QuarantinedRow& row) {
  const Result<Record> record = decode_record(row.data);
  if (!record) return fmt::format("{} that can't be read", to_string(row.kind));
  const auto of_metric = [](const Metric& m) {
    return fmt::format("metric \"{}\", step {}", sanitize(m.key, 100), m.step);
  };
  std::string words(to_string(row.kind));
  if (const auto* values = std::get_if<RunValues>(&*record)) {
    if (!values->metrics.empty()) words = of_metric(values->metrics.front());
    if (!values->params.empty()) words = fmt::format("param \"{}\"", sanitize(values->params.front().key, 100));
    if (!values->tags.empty()) words = fmt::format("tag \"{}\"", sanitize(values->tags.front().key, 100));
    if (values->size() > 1) words += fmt::format(" and {} more", values->size() - 1);
  } else if (const auto* metric = std::get_if<Metric>(&*record)) {
    words = of_metric(*metric);
  } else if (const auto* artifact = std::get_if<RunArtifact>(&*record)) {
    words = fmt::format("artifact \"{}\"", sanitize(artifact->path, 200));
  } else if (const auto* input = std::get_if<DatasetInput>(&*record)) {
    words = fmt::format("dataset \"{}\"", sanitize(input->dataset.name, 100));
  }
  return words;
}

/// One replay at work.
class Replay {
 public:
  Replay(const Client& client, const ReplayOptions& options)
      : options_(options),
        deliverer_(client, true),
        clock_(client.config().options().clock ? client.config().options().clock : system_clock()),
        turns_(clock_, client.config().options().rng ? client.config().options().rng : process_rng()),
        call_timeout_(client.config().options().timeouts.call) {}

  Result<ReplayReport> run() {
    Result<std::string> directory = absolute_path(options_.directory);
    if (!directory) return std::move(directory).error();
    Result<std::vector<SpoolFile>> files = Spool::list(*directory);
    if (!files) return std::move(files).error();
    files_ = std::move(*files);
    if (!options_.dry_run) Spool::remove_bare_locks(*directory);
    most_open_ = descriptors() / 8;
    if (!options_.dry_run) deliver();
    for (std::size_t item = 0; item < items_.size(); ++item) close(item);
    while (next_file_ < files_.size()) {  // what wasn't come to
      open(files_[next_file_++]);
      if (!items_.empty()) close(items_.size() - 1);
    }
    for (const ReplayedSpool& spool : report_.spools) {
      report_.delivered += spool.delivered;
      report_.waiting += spool.waiting;
    }
    return std::move(report_);
  }

 private:
  struct Item {
    std::unique_ptr<Spool> spool;
    std::size_t entry;  // in the report
  };
  struct Job {
    bool may_have_twins;  // another process may have sent its create
  };
  enum class Outcome : std::uint8_t { done, moved, held, failed };

  ReplayedSpool& entry(std::size_t item) { return report_.spools[items_[item].entry]; }

  /// How many files this process may have open, as far as that is of interest.
  static std::size_t descriptors() noexcept {
    struct ::rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
    return std::clamp<std::size_t>(limit.rlim_cur, 8, 1024);
  }

  /// A spool has three descriptors, and servers need some, too: not all are open at once. More than the usual number
  /// only when those can't be delivered just now.
  void open_more(bool beyond) {
    const std::size_t most = beyond ? most_open_ : std::min<std::size_t>(most_open_, 32);
    std::size_t opened = 0;
    while (next_file_ < files_.size() && (open_ < most) && opened < 32) {
      const std::size_t before = report_.spools.size();
      open(files_[next_file_]);
      if (report_.spools.size() > before && open_ > 0 && report_.spools.back().error &&
          report_.spools.back().error->code == Errc::out_of_resources) {
        report_.spools.pop_back();  // in its turn
        most_open_ = open_;
        return;
      }
      ++next_file_;
      ++opened;
    }
  }

  void open(const SpoolFile& file) {
    ReplayedSpool& entry = report_.spools.emplace_back();
    entry.path = file.path;
    SpoolOptions options;
    options.directory = options_.directory;
    Result<std::unique_ptr<Spool>> spool =
        options_.dry_run ? Spool::look(file.path, options, clock_) : Spool::adopt(file.path, options, clock_);
    if (!spool) {
      const Errc code = spool.error().code;
      if (code == Errc::not_found) {  // drained by its owner since the directory was read
        report_.spools.pop_back();
        return;
      }
      entry.state = code == Errc::conflict ? ReplayedSpool::State::in_use : ReplayedSpool::State::damaged;
      if (code == Errc::out_of_resources) entry.state = ReplayedSpool::State::partial;
      if (code != Errc::conflict) entry.error = std::move(spool).error();
      return;
    }
    const std::size_t item = items_.size();
    items_.push_back({std::move(*spool), report_.spools.size() - 1});
    ++open_;
    Result<std::vector<SpoolRun>> runs = items_.back().spool->runs();
    if (!runs) {
      entry.error = std::move(runs).error();
      return;
    }
    entry.runs = runs->size();
    total_ += items_.back().spool->stats().entries;
    for (const SpoolRun& run : *runs) {
      if (run.refused.empty()) jobs_[{item, run.id}] = {run.attempted && run.server_id.empty()};
    }
  }

  void deliver() {
    began_ = moved_ = clock_->now();
    const Deadline deadline = Deadline::after(began_, options_.timeout);
    const auto is_over = [&] { return deadline.passed(clock_->now()) || options_.cancel.stop_requested(); };
    for (bool beyond = false;;) {
      open_more(std::exchange(beyond, false));
      for (std::size_t item = 0; item < items_.size(); ++item) {
        const auto job = jobs_.lower_bound({item, 0});
        if (job == jobs_.end() || job->first.spool != item) close(item);
      }
      if (jobs_.empty() && next_file_ == files_.size()) break;
      if (is_over()) return;
      std::vector<Turn> all;
      all.reserve(jobs_.size());
      for (const auto& [turn, job] : jobs_) all.push_back(turn);
      bool moved = false;
      for (const Turn& turn : turns_.begin(all)) {
        if (is_over()) return;
        const TimePoint now = clock_->now();
        CallOptions call;
        call.cancel = options_.cancel;
        const Duration left = deadline.remaining(now);
        if (left < call_timeout_) call.timeout = left;
        std::optional<Error> why;
        const Outcome outcome = step(turn, call, left, why);
        if (why) report_.unreachable = std::move(why);
        if (outcome == Outcome::failed && turns_.failed(turn, *report_.unreachable, now)) break;
        if (outcome == Outcome::moved) turns_.moved(turn);
        if (outcome == Outcome::done) turns_.done(turn);
        if (outcome == Outcome::done) jobs_.erase(turn);
        moved = moved || outcome == Outcome::moved || outcome == Outcome::done;
      }
      const std::optional<TimePoint> next = turns_.next();
      if (moved || jobs_.empty()) continue;
      beyond = !turns_.in_outage() && open_ < most_open_ && next_file_ < files_.size();
      if (beyond) continue;
      const TimePoint now = clock_->now();
      if (options_.cancel.stop_requested() || now - moved_ >= options_.patience) return;
      const TimePoint until = next.value_or(now + std::chrono::milliseconds(250));
      if (options_.observer && report_.unreachable) {
        options_.observer->on_waiting(*report_.unreachable, std::max(Duration::zero(), until - now));
      }
      clock_->sleep_until(std::min(deadline.at(), until), options_.cancel);
    }
    report_.unreachable.reset();
  }

  /// `why`: it failed, or is held.
  Outcome step(const Turn& turn, const CallOptions& call, Duration left, std::optional<Error>& why) {
    Spool& spool = *items_[turn.spool].spool;
    ReplayedSpool& spool_entry = entry(turn.spool);
    DeliveryStep step = deliverer_.step(spool, turn.run, call, left);
    if (step.what == DeliveryStep::What::later && step.error->code == Errc::storage_corrupt) {
      spool_entry.error = std::move(step.error);  // no server's doing: waiting doesn't help
      return Outcome::done;
    }
    if (step.what == DeliveryStep::What::later || step.what == DeliveryStep::What::held) {
      why = std::move(step.error);
      return step.what == DeliveryStep::What::held ? Outcome::held : Outcome::failed;
    }
    if (step.what == DeliveryStep::What::progress) {
      moved_ = clock_->now();
      spool_entry.delivered += step.delivered;
      delivered_ += step.delivered;
      show();
      return Outcome::moved;
    }
    if (!jobs_[turn].may_have_twins) return Outcome::done;
    Result<SpoolRun> run = spool.run(turn.run);
    if (!run) {
      why = std::move(run).error();
      return Outcome::failed;
    }
    Result<std::uint64_t> removed = deliverer_.remove_twins(*run, call);
    if (!removed) {
      why = std::move(removed).error();
      return Outcome::failed;
    }
    spool_entry.twins += *removed;
    return Outcome::done;
  }

  void show() {
    if (!options_.observer) return;
    ReplayProgress progress;
    progress.delivered = delivered_;
    progress.total = std::max(total_, delivered_);
    const double seconds = std::chrono::duration<double>(clock_->now() - began_).count();
    if (seconds > 0) progress.per_second = static_cast<double>(delivered_) / seconds;
    if (progress.per_second > 0) {
      const double left = static_cast<double>(progress.total - delivered_) / progress.per_second;
      progress.eta = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::min(left, 1e9)));
    }
    options_.observer->on_progress(progress);
  }

  void close(std::size_t number) {
    Item& item = items_[number];
    if (!item.spool) return;
    ReplayedSpool& entry = report_.spools[item.entry];
    const SpoolStats stats = item.spool->stats();
    entry.waiting = stats.entries;
    entry.artifacts = stats.artifacts;
    entry.artifact_bytes = stats.artifact_bytes;
    entry.quarantined = stats.quarantined;
    std::map<std::int64_t, std::string> names;
    if (Result<std::vector<SpoolRun>> runs = item.spool->runs(); runs) {
      for (const SpoolRun& run : *runs) {
        if (!run.refused.empty()) entry.refused_runs.push_back(run.local_id + ": " + run.refused);
        names.emplace(run.id, run.server_id.empty() ? run.local_id : run.server_id);
      }
    }
    if (Result<std::vector<QuarantinedRow>> rows = item.spool->quarantine(100); rows) {
      for (QuarantinedRow& row : *rows) {
        entry.refused.push_back({names[row.run], words_of(row), std::move(row.reason)});
      }
    }
    const std::unique_ptr<Spool> spool = std::move(item.spool);
    --open_;
    if (options_.dry_run) return;
    Result<bool> removed = spool->remove_if_drained();
    entry.state = removed && *removed ? ReplayedSpool::State::delivered : ReplayedSpool::State::partial;
    if (entry.error && entry.error->code == Errc::storage_corrupt) entry.state = ReplayedSpool::State::damaged;
    if (!removed) entry.error = std::move(removed).error();
    spool->close();
  }

  const ReplayOptions& options_;
  Deliverer deliverer_;
  const std::shared_ptr<Clock> clock_;
  Turns turns_;
  const Duration call_timeout_;
  ReplayReport report_;
  std::vector<SpoolFile> files_;
  std::size_t next_file_ = 0;  // the first that wasn't opened
  std::size_t most_open_ = 32;
  std::size_t open_ = 0;
  std::vector<Item> items_;  // without a spool: closed
  std::map<Turn, Job> jobs_;
  std::uint64_t total_ = 0;
  std::uint64_t delivered_ = 0;
  TimePoint began_;
  TimePoint moved_;
};

}  // namespace detail

MLFLOWHA_INLINE Result<ReplayReport> replay(const Client& client, const ReplayOptions& options) {
  return detail::Replay(client, options).run();
}

MLFLOWHA_INLINE std::string to_json(const ReplayReport& report) {
  nlohmann::ordered_json page;
  page["complete"] = report.complete();
  page["delivered"] = report.delivered;
  page["waiting"] = report.waiting;
  if (report.unreachable) page["unreachable"] = describe(*report.unreachable);
  page["spools"] = nlohmann::ordered_json::array();
  for (const ReplayedSpool& spool : report.spools) {
    nlohmann::ordered_json one{{"path", spool.path},
                               {"state", to_string(spool.state)},
                               {"runs", spool.runs},
                               {"delivered", spool.delivered},
                               {"waiting", spool.waiting},
                               {"artifacts_waiting", spool.artifacts},
                               {"artifact_bytes_waiting", spool.artifact_bytes},
                               {"quarantined", spool.quarantined},
                               {"twins_removed", spool.twins},
                               {"refused_runs", spool.refused_runs}};
    one["refused"] = nlohmann::ordered_json::array();
    for (const RefusedRecord& record : spool.refused) {
      one["refused"].push_back({{"run", record.run}, {"record", record.record}, {"reason", record.reason}});
    }
    if (spool.error) one["error"] = describe(*spool.error);
    page["spools"].push_back(std::move(one));
  }
  return page.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

MLFLOWHA_END_NAMESPACE

#endif
