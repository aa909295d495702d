#ifndef MLFLOWHA_LOGGING_IMPL_DELIVER_IPP
#define MLFLOWHA_LOGGING_IMPL_DELIVER_IPP

#include <mlflowha/logging/impl/deliver.hpp>
#include <mlflowha/logging/impl/fault_point.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_set>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

MLFLOWHA_INLINE DeliveryStep not_now(Error error) {
  DeliveryStep step;
  step.what = DeliveryStep::What::later;
  step.error = std::move(error);
  return step;
}
MLFLOWHA_INLINE DeliveryStep moved_on() {
  DeliveryStep step;
  step.what = DeliveryStep::What::progress;
  return step;
}
/// One line for a quarantine: what the server said.
MLFLOWHA_INLINE std::string reason_of(const Error& error) {
  return fmt::format("{}{}{}: {}", to_string(error.code), error.error_code.empty() ? "" : " ", error.error_code,
                     sanitize(error.message, 500));
}
/// MLflow's insert met a row that is there already. NaN never equals itself, so the server doesn't see that it is the
/// same point, and says so for ever.
MLFLOWHA_INLINE bool is_key_clash(const Error& error) {
  const std::string_view text = error.message;
  // Another rule of the database was broken: a run or a model that isn't there any more.
  for (const std::string_view other : {"FOREIGN KEY", "foreign key", "ForeignKey", "NOT NULL", "NotNull", "not-null"}) {
    if (text.find(other) != text.npos) return false;
  }
  return text.find("IntegrityError") != text.npos || text.find("UNIQUE constraint") != text.npos ||
         text.find("UniqueViolation") != text.npos || text.find("Duplicate entry") != text.npos;
}

/// What servers say to any write to a run that was deleted (2.22 and 3.17): it is no entry's fault.
MLFLOWHA_INLINE bool says_run_deleted(const Error& error) {
  const std::string_view text = error.message;
  return error.error_code == "INVALID_PARAMETER_VALUE" && text.substr(0, 8) == "The run " &&
         text.find(" must be in the 'active' state. Current state is deleted") != text.npos;
}

MLFLOWHA_INLINE Deliverer::Verdict Deliverer::judge(const Error& error) {
  // MLflow names a code whenever it has looked at a request: without one it is a proxy or a framework that fails.
  if (error.http_status >= 500 && error.error_code.empty()) return Verdict::later;
  switch (error.code) {
    case Errc::invalid_argument:  // refused here, before anything was sent
      return Verdict::refused;
    case Errc::not_found:
      return Verdict::run_gone;
    case Errc::rejected:
    case Errc::conflict:
    case Errc::already_exists:
      if (says_run_deleted(error)) return Verdict::run_gone;
      // BAD_REQUEST is any database error that isn't "operational" (measured: a read-only standby, pool exhaustion); no
      // code at all is a proxy's.
      return error.error_code.empty() || error.error_code == "BAD_REQUEST" ? Verdict::doubtful : Verdict::refused;
    case Errc::server_error:
      return Verdict::doubtful;  // INTERNAL_ERROR may be this record, or anything
    default:
      return Verdict::later;
  }
}

MLFLOWHA_INLINE SentBook Deliverer::take_book(std::int64_t run) {
  const std::lock_guard<std::mutex> lock(books_mutex_);
  const auto book = books_.find(run);
  return book != books_.end() ? std::exchange(book->second, SentBook()) : SentBook();
}
MLFLOWHA_INLINE void Deliverer::open_book(std::int64_t run) {
  if (!keep_books_) return;
  const std::lock_guard<std::mutex> lock(books_mutex_);
  books_.emplace(run, SentBook());
}
MLFLOWHA_INLINE void Deliverer::close_book(std::int64_t run) {
  const std::lock_guard<std::mutex> lock(books_mutex_);
  books_.erase(run);
}

MLFLOWHA_INLINE bool Deliverer::believe(const Spool& spool, std::int64_t seq) {
  Doubt& doubt = doubts_[{spool.path(), seq}];
  if (doubt.times++ == 0) doubt.since = clock_->now();
  return is_believed(doubt);
}
MLFLOWHA_INLINE bool Deliverer::is_believed(const Doubt& doubt) const {
  return doubt.times >= patience && clock_->now() - doubt.since >= endurance;
}

MLFLOWHA_INLINE void Deliverer::forget_doubt(const Spool& spool, std::int64_t seq, const Error& error) {
  // Where nobody was asked, nobody has said anything else.
  const bool unasked = error.code == Errc::circuit_open || error.code == Errc::no_endpoint ||
                       error.code == Errc::budget_exhausted || error.code == Errc::cancelled;
  if (!unasked) doubts_.erase({spool.path(), seq});
}

// --- runs and experiments -------------------------------------------------------------------------------------------

MLFLOWHA_INLINE Result<std::string> Deliverer::experiment_id(Spool& spool, const SpoolRun& run,
                                                             const CallOptions& options, bool& sent_create) {
  const RunStart& start = run.start;
  sent_create = false;
  if (!start.experiment_id.empty()) return start.experiment_id;
  if (start.experiment_name.empty()) return std::string("0");
  Result<SpoolExperiment> known = spool.experiment(start.experiment_name, start.experiment_request_tag);
  if (!known) return std::move(known).error();
  if (!known->server_id.empty()) return std::move(known->server_id);
  Result<std::optional<Experiment>> found = client_.find_experiment_by_name(start.experiment_name, options);
  if (!found) return std::move(found).error();
  std::string id;
  if (*found) {
    id = (*found)->experiment_id;
  } else {
    if (Result<void> marked = spool.mark_experiment_attempted(start.experiment_name); !marked) {
      return std::move(marked).error();
    }
    CreateExperiment create;
    create.name = start.experiment_name;
    CallOptions tagged = options;
    tagged.request_tag = known->request_tag;
    sent_create = true;
    MLFLOWHA_FAULT_POINT("experiment: before sending");
    Result<std::string> created = client_.create_experiment(std::move(create), tagged);
    MLFLOWHA_FAULT_POINT("experiment: answered");
    if (created) {
      id = std::move(*created);
    } else if (is_already_exists(created.error())) {  // somebody else was faster: theirs is as good
      sent_create = false;
      found = client_.find_experiment_by_name(start.experiment_name, options);
      if (!found) return std::move(found).error();
      sent_create = !*found;
      if (!*found) return std::move(created).error();
      id = (*found)->experiment_id;
    } else {
      return std::move(created).error();
    }
  }
  if (Result<void> stored = spool.set_experiment_server_id(start.experiment_name, id); !stored) {
    return std::move(stored).error();
  }
  return id;
}

MLFLOWHA_INLINE Result<std::vector<Run>> Deliverer::find_by_tag(const std::string& experiment_id,
                                                                const std::string& tag, const CallOptions& options) {
  SearchRuns search;
  search.experiment_ids = {experiment_id};
  search.filter = fmt::format("tags.`{}` = '{}'", api::request_tag_key, tag);
  search.max_results = 100;
  Result<Page<Run>> page = client_.search_runs(search, options);
  if (!page) return std::move(page).error();
  std::erase_if(page->items, [&](const Run& run) {  // whatever the server made of the filter
    return std::none_of(run.data.tags.begin(), run.data.tags.end(),
                        [&](const RunTag& t) { return t.key == api::request_tag_key && t.value == tag; });
  });
  std::sort(page->items.begin(), page->items.end(), [](const Run& a, const Run& b) {
    return std::tie(a.info.start_time, a.info.run_id) < std::tie(b.info.start_time, b.info.run_id);
  });
  return std::move(page->items);
}

/// A run that was started while its parent had no id on a server names it by its local one. Errc::conflict while it
/// still has none.
MLFLOWHA_INLINE Result<void> Deliverer::name_parent(Spool& spool, const SpoolRun& run, std::vector<RunTag>& tags) {
  for (RunTag& tag : tags) {
    if (tag.key != "mlflow.parentRunId" || tag.value.rfind("local-", 0) != 0) continue;
    Result<std::optional<SpoolRun>> found = spool.find_run(tag.value);
    if (!found) return std::move(found).error();
    if (!*found) continue;  // of another spool
    const SpoolRun& parent = **found;
    if (parent.id >= run.id) continue;  // a parent starts before its children: this one would wait for itself
    if (parent.server_id.empty() && parent.refused.empty()) {
      Error error;
      error.code = Errc::conflict;
      error.message = fmt::format("its parent {} isn't on a server yet", parent.local_id);
      return error;
    }
    if (!parent.server_id.empty()) tag.value = parent.server_id;
  }
  return {};
}

MLFLOWHA_INLINE DeliveryStep Deliverer::create_run(Spool& spool, const SpoolRun& run, const CallOptions& options) {
  // A doubtful answer to a look says nothing about the run: only a create is refused in the end.
  const auto fail = [&](Error error, bool sent_create) {
    const Verdict verdict = judge(error);
    if (verdict == Verdict::later) forget_doubt(spool, -run.id, error);
    const bool final = verdict == Verdict::refused || verdict == Verdict::run_gone ||
                       (verdict == Verdict::doubtful && sent_create && believe(spool, -run.id));
    if (!final) return not_now(std::move(error));
    if (Result<void> kept = spool.refuse_run(run.id, reason_of(error)); !kept) return not_now(std::move(kept).error());
    DeliveryStep step = moved_on();
    step.refused = 1;
    step.error = std::move(error);
    return step;
  };
  std::vector<RunTag> tags = run.start.tags;
  if (Result<void> named = name_parent(spool, run, tags); !named) {
    DeliveryStep step = not_now(std::move(named).error());
    if (step.error->code == Errc::conflict) step.what = DeliveryStep::What::held;
    return step;
  }
  bool sent_create = false;
  Result<std::string> experiment = experiment_id(spool, run, options, sent_create);
  if (!experiment) return fail(std::move(experiment).error(), sent_create);
  std::string id;
  if (run.attempted || look_first_) {
    Result<std::vector<Run>> found = find_by_tag(*experiment, run.start.request_tag, options);
    if (!found) return not_now(std::move(found).error());  // only a search that worked proves absence
    // One with another start is a copy that was given the tag, unless the create was handed over without its start.
    const auto same_start = [&](const Run& one) { return one.info.start_time == run.start.start_time; };
    auto ours = std::find_if(found->begin(), found->end(), same_start);
    if (ours == found->end()) ours = found->begin();
    if (ours != found->end()) id = ours->info.run_id;
  }
  if (id.empty()) {
    if (Result<void> marked = spool.mark_run_attempted(run.id); !marked) return not_now(std::move(marked).error());
    CreateRun create;
    create.experiment_id = *experiment;
    create.user_id = run.start.user_id;
    create.run_name = run.start.run_name;
    create.start_time = run.start.start_time;
    create.tags = std::move(tags);
    CallOptions tagged = options;
    tagged.request_tag = run.start.request_tag;
    MLFLOWHA_FAULT_POINT("create: before sending");
    Result<Run> created = client_.create_run(std::move(create), tagged);
    MLFLOWHA_FAULT_POINT("create: answered");
    if (!created) return fail(std::move(created).error(), true);
    id = created->info.run_id;
  }
  if (Result<void> stored = spool.set_run_server_id(run.id, id); !stored) return not_now(std::move(stored).error());
  MLFLOWHA_FAULT_POINT("create: stored");
  return moved_on();
}

MLFLOWHA_INLINE Result<std::uint64_t> Deliverer::remove_twins(const SpoolRun& run, const CallOptions& options) {
  if (!run.attempted || run.server_id.empty()) return std::uint64_t{0};
  GetRun get;
  get.run_id = run.server_id;
  Result<Run> kept = client_.get_run(get, options);
  if (!kept && judge(kept.error()) == Verdict::run_gone) return std::uint64_t{0};  // there is nothing to be a twin of
  if (!kept) return std::move(kept).error();
  Result<std::vector<Run>> found = find_by_tag(kept->info.experiment_id, run.start.request_tag, options);
  if (!found) return std::move(found).error();
  std::uint64_t removed = 0;
  for (const Run& twin : *found) {
    if (twin.info.run_id == run.server_id) continue;
    // What the same bytes have made has the same start; the others got the tags of this run from somebody who copies.
    if (twin.info.start_time != kept->info.start_time) continue;
    DeleteRun remove;
    remove.run_id = twin.info.run_id;
    if (Result<void> done = client_.delete_run(remove, options); !done) return std::move(done).error();
    ++removed;
  }
  return removed;
}

// --- records --------------------------------------------------------------------------------------------------------

MLFLOWHA_INLINE void drop_repeated_nans(std::vector<Metric>& metrics) {
  std::set<std::tuple<std::string, std::int64_t, std::int64_t>> seen;
  std::erase_if(metrics, [&](const Metric& m) {
    return std::isnan(m.value) && !seen.emplace(m.key, m.timestamp, m.step).second;
  });
}

/// Splits after half of the entries, in the order in which a server applies them.
MLFLOWHA_INLINE RunValues split_half(RunValues& values) {
  RunValues second;
  std::size_t keep = values.size() / 2;
  const auto cut = [&](auto& from, auto& to) {
    const std::size_t here = std::min(keep, from.size());
    keep -= here;
    const auto at = from.begin() + static_cast<std::ptrdiff_t>(here);
    to.assign(std::make_move_iterator(at), std::make_move_iterator(from.end()));
    from.erase(at, from.end());
  };
  cut(values.params, second.params);
  cut(values.metrics, second.metrics);
  cut(values.tags, second.tags);
  return second;
}

MLFLOWHA_INLINE void Deliverer::send_values(const SpoolRun& run, RunValues values, bool believe_doubts,
                                            const CallOptions& options, Sent& sent) {
  LogBatch batch;
  batch.run_id = run.server_id;
  batch.metrics = values.metrics;
  batch.params = values.params;
  batch.tags = values.tags;
  MLFLOWHA_FAULT_POINT("values: before sending");
  Result<void> result = client_.log_batch(batch, options);
  MLFLOWHA_FAULT_POINT("values: answered");
  if (result) return note_confirmed(run.id, values);
  Error error = std::move(result).error();
  const bool nans = std::any_of(values.metrics.begin(), values.metrics.end(),
                                [](const Metric& metric) { return std::isnan(metric.value); });
  const bool clash = nans && is_key_clash(error);
  const Verdict verdict = judge(error);
  if (verdict == Verdict::run_gone) {
    sent.run_gone = true;
    sent.stop = std::move(error);
    return;
  }
  if (verdict == Verdict::later || (verdict == Verdict::doubtful && !believe_doubts && !clash)) {
    sent.stop = std::move(error);
    return;
  }
  if (values.size() == 1) {
    if (clash) note_confirmed(run.id, values);  // this very point is there: an earlier sending was applied
    if (clash) return;
    QuarantinedRow row;
    row.run = run.id;
    row.entries = 1;
    row.reason = reason_of(error);
    if (!values.tags.empty()) sent.refused_tags.insert(values.tags.front().key);
    Result<std::string> bytes = encode(std::move(values));
    if (bytes) row.data = std::move(*bytes);
    sent.refused.push_back(std::move(row));
    if (!sent.refusal) sent.refusal = std::move(error);
    return;
  }
  // The server doesn't say which entry it was, and may have applied others: halves find out, and repeat harmlessly.
  RunValues second = split_half(values);
  send_values(run, std::move(values), believe_doubts, options, sent);
  if (!sent.stop) send_values(run, std::move(second), believe_doubts, options, sent);
}

MLFLOWHA_INLINE DeliveryStep Deliverer::finish(Spool& spool, const SpoolRun& run, std::int64_t through,
                                               std::uint64_t entries, Sent sent) {
  if (sent.run_gone) {
    if (Result<void> kept = spool.refuse_run(run.id, reason_of(*sent.stop)); !kept) {
      return not_now(std::move(kept).error());
    }
    DeliveryStep step = moved_on();
    step.refused = 1;
    step.error = std::move(sent.stop);
    return step;
  }
  if (sent.stop) return not_now(std::move(*sent.stop));
  if (Result<void> settled = spool.settle(run.id, through, sent.refused); !settled) {
    return not_now(std::move(settled).error());
  }
  doubts_.erase({spool.path(), through});
  DeliveryStep step = moved_on();
  step.refused = sent.refused.size();
  step.delivered = entries - std::min<std::uint64_t>(entries, step.refused);
  step.error = std::move(sent.refusal);
  return step;
}

MLFLOWHA_INLINE DeliveryStep Deliverer::send_row(Spool& spool, const SpoolRun& run, const StoredRow& row,
                                                 Record& record, const CallOptions& options) {
  Result<void> result;
  MLFLOWHA_FAULT_POINT("other: before sending");
  if (auto* input = std::get_if<DatasetInput>(&record)) {
    LogInputs inputs;
    inputs.run_id = run.server_id;
    inputs.datasets.push_back(std::move(*input));
    result = client_.log_inputs(inputs, options);
  } else if (const auto* end = std::get_if<RunEnd>(&record)) {
    UpdateRun update;
    update.run_id = run.server_id;
    update.status = end->status;
    update.end_time = end->end_time;
    Result<RunInfo> info = client_.update_run(update, options);
    if (!info) {
      result = std::move(info).error();
    } else {
      note_confirmed(run.id, *end);
    }
  } else if (const auto* metric = std::get_if<Metric>(&record)) {
    LogMetric log;
    log.run_id = run.server_id;
    log.key = metric->key;
    log.value = metric->value;
    log.timestamp = metric->timestamp;
    log.step = metric->step;
    log.dataset_name = metric->dataset_name;
    log.dataset_digest = metric->dataset_digest;
    log.model_id = metric->model_id;
    result = client_.log_metric(log, options);
  } else {
    result =
        invalid_argument(fmt::format("a record of kind {} can't be delivered by this version", to_string(row.kind)));
  }
  MLFLOWHA_FAULT_POINT("other: answered");
  Sent sent;
  const auto* point = std::get_if<Metric>(&record);
  if (!result && point != nullptr && std::isnan(point->value) && is_key_clash(result.error())) result = {};
  if (!result) {
    Error error = std::move(result).error();
    const Verdict verdict = judge(error);
    if (verdict == Verdict::refused || (verdict == Verdict::doubtful && believe(spool, row.seq))) {
      sent.refused.push_back({run.id, row.kind, row.entries, row.data, reason_of(error)});
      sent.refusal = std::move(error);
    } else {
      if (verdict == Verdict::later) forget_doubt(spool, row.seq, error);
      sent.run_gone = verdict == Verdict::run_gone;
      sent.stop = std::move(error);
    }
  }
  return finish(spool, run, row.seq, 1, std::move(sent));
}

MLFLOWHA_INLINE DeliveryStep Deliverer::step(Spool& spool, std::int64_t id, const CallOptions& options, Duration left) {
  Result<SpoolRun> run = spool.run(id);
  if (!run) return not_now(std::move(run).error());
  if (!run->refused.empty()) return {};
  if (run->server_id.empty()) return create_run(spool, *run, options);
  // Small rows are put together into one request; a first look tells whether they are small.
  Result<std::vector<StoredRow>> rows = spool.head(id, 4);
  if (rows && rows->size() == 4 && rows->front().kind == RecordKind::values &&
      rows->front().entries + rows->back().entries < BatchEncoder::most_entries / 2) {
    rows = spool.head(id, BatchEncoder::most_entries);
  }
  if (!rows) return not_now(std::move(rows).error());
  if (rows->empty()) return {};

  const StoredRow& first = rows->front();
  Result<Record> record = decode_record(first.data);
  if (!record) {  // damaged on the disk, or of a newer version: keep it for people, go on with the rest
    Sent sent;
    sent.refused.push_back({id, first.kind, first.entries, first.data, reason_of(record.error())});
    sent.refusal = std::move(record).error();
    return finish(spool, *run, first.seq, first.entries, std::move(sent));
  }
  auto* values = std::get_if<RunValues>(&*record);
  if (const auto* artifact = std::get_if<RunArtifact>(&*record)) {
    return send_artifact(spool, *run, first, *artifact, options, left);
  }
  if (values == nullptr) return send_row(spool, *run, first, *record, options);

  std::int64_t through = first.seq;
  std::unordered_set<std::string> keys;
  const auto admit = [&](const RunValues& more) {
    // A request must not name a param twice, and keeps to the limits.
    std::unordered_set<std::string> fresh = keys;
    std::size_t metric_keys = 0;
    bool good = true;
    for (const Metric& m : more.metrics) fresh.insert('m' + m.key);
    for (const Param& p : more.params) good = fresh.insert('p' + p.key).second && good;
    for (const std::string& key : fresh) metric_keys += key.front() == 'm' ? 1U : 0U;
    if (!good || metric_keys > BatchEncoder::most_keys) return false;
    keys = std::move(fresh);
    return true;
  };
  static_cast<void>(admit(*values));
  std::size_t entries = values->size();
  // A tag that is set again and again, a progress for instance, would else make a request of each row.
  std::vector<RunTag> superseded;
  for (std::size_t i = 1; i < rows->size() && values->size() < BatchEncoder::most_entries; ++i) {
    const StoredRow& row = (*rows)[i];
    if (row.kind != RecordKind::values || values->size() + row.entries > BatchEncoder::most_entries) break;
    Result<Record> next = decode_record(row.data);
    auto* more = next ? std::get_if<RunValues>(&*next) : nullptr;
    if (more == nullptr || values->params.size() + more->params.size() > BatchEncoder::most_params ||
        values->tags.size() + more->tags.size() > BatchEncoder::most_tags || !admit(*more)) {
      break;
    }
    std::move(more->metrics.begin(), more->metrics.end(), std::back_inserter(values->metrics));
    std::move(more->params.begin(), more->params.end(), std::back_inserter(values->params));
    entries += more->size();
    for (RunTag& tag : more->tags) {
      const auto older =
          std::find_if(values->tags.begin(), values->tags.end(), [&](const RunTag& one) { return one.key == tag.key; });
      if (older != values->tags.end()) {
        superseded.push_back(std::move(*older));
        values->tags.erase(older);
      }
      values->tags.push_back(std::move(tag));
    }
    through = row.seq;
  }
  drop_repeated_nans(values->metrics);
  Sent sent;
  const auto doubt = doubts_.find({spool.path(), first.seq});
  const bool believed = doubt != doubts_.end() && is_believed(doubt->second);
  if (entries != 0) send_values(*run, std::move(*values), believed, options, sent);
  // Where the newest value was refused, the one before it holds.
  std::erase_if(superseded, [&](const RunTag& tag) { return !sent.refused_tags.contains(tag.key); });
  for (RunTag& tag : superseded) {
    RunValues one;
    one.tags.push_back(std::move(tag));
    if (!sent.stop) send_values(*run, std::move(one), believed, options, sent);
  }
  if (sent.stop && judge(*sent.stop) == Verdict::doubtful) static_cast<void>(believe(spool, first.seq));
  if (sent.stop && judge(*sent.stop) == Verdict::later) forget_doubt(spool, first.seq, *sent.stop);
  const DeliveryStep done = finish(spool, *run, through, entries, std::move(sent));
  if (done.what == DeliveryStep::What::progress) doubts_.erase({spool.path(), first.seq});
  return done;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
