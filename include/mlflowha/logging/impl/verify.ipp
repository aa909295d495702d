#ifndef MLFLOWHA_LOGGING_IMPL_VERIFY_IPP
#define MLFLOWHA_LOGGING_IMPL_VERIFY_IPP

#include <mlflowha/api/artifacts.hpp>
#include <mlflowha/client/impl/artifact_files.hpp>
#include <mlflowha/logging/impl/log_hub.ipp>
#include <mlflowha/logging/impl/sent_book.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// Rows that hold these values, within the limits of a request.
MLFLOWHA_INLINE std::vector<SpoolRow> rows_of(std::int64_t run, const RunValues& values) {
  std::vector<SpoolRow> rows;
  BatchEncoder encoder;
  const auto close_batch = [&] {
    const auto entries = static_cast<std::uint32_t>(encoder.size());
    if (entries != 0) rows.push_back({run, RecordKind::values, entries, encoder.take()});
  };
  for (const Metric& m : values.metrics) {
    while (!encoder.add_metric(m.key, m.value, m.timestamp, m.step)) close_batch();
  }
  for (const Param& p : values.params) {
    while (!encoder.add_param(p.key, p.value)) close_batch();
  }
  for (const RunTag& t : values.tags) {
    while (!encoder.add_tag(t.key, t.value)) close_batch();
  }
  close_batch();
  return rows;
}

/// Are the artifacts there, with their sizes? One request a directory.
MLFLOWHA_INLINE Result<void> LogHub::check_artifacts(const SentBook& book, const Run& run, Deadline deadline,
                                                     const CancellationToken& cancel, VerifyReport& report) {
  constexpr std::size_t most_directories = 100;
  constexpr std::size_t most_notes = 40;
  const Result<ArtifactRoot> root = parse_artifact_root(run.info.artifact_uri, client_.config().endpoints());
  if (!root || !root->proxied) {  // in the reach of this machine, not of the servers
    report.unchecked += book.artifacts().size();
    return {};
  }
  std::map<std::string, std::map<std::string, std::uint64_t>> directories;
  for (const auto& [path, size] : book.artifacts()) {
    const std::size_t slash = path.rfind('/');
    directories[slash == std::string::npos ? "" : path.substr(0, slash)].emplace(path, size);
  }
  std::size_t asked = 0;
  for (const auto& [directory, files] : directories) {
    if (asked++ == most_directories) {
      report.unchecked += files.size();
      --asked;
      continue;
    }
    ListArtifacts list;
    list.run_id = run.info.run_id;
    list.path = directory;
    Result<ArtifactList> found = client_.list_artifacts(list, call_within(deadline, cancel));
    if (!found) return std::move(found).error();
    std::map<std::string, const FileInfo*> there;
    for (const FileInfo& file : found->files) there.emplace(file.path, &file);
    for (const auto& [path, size] : files) {
      const auto file = there.find(path);
      ++report.checked;
      if (file != there.end() && !file->second->is_dir && static_cast<std::uint64_t>(file->second->file_size) == size) {
        continue;
      }
      ++report.different;
      if (report.notes.size() == most_notes) continue;
      report.notes.push_back(file == there.end() ? fmt::format("artifact \"{}\" isn't there", sanitize(path, 100))
                                                 : fmt::format("artifact \"{}\" has {} bytes instead of {}",
                                                               sanitize(path, 100), file->second->file_size, size));
    }
  }
  return {};
}

MLFLOWHA_INLINE CallOptions LogHub::call_within(Deadline deadline, const CancellationToken& cancel) const {
  CallOptions call;
  call.cancel = cancel.stop_possible() ? cancel : stop_source_.get_token();
  const Duration left = deadline.remaining(clock->now());
  if (left < client_.config().options().timeouts.call) call.timeout = left;
  return call;
}

MLFLOWHA_INLINE VerifyReport LogHub::verify(std::int64_t run, const std::string& run_id, Deadline deadline,
                                            const CancellationToken& cancel) {
  VerifyReport report;
  SentBook book = deliverer_.take_book(run);
  const auto compare = [&]() -> std::optional<SentBook::Comparison> {
    GetRun get;
    get.run_id = run_id;
    Result<Run> found = client_.get_run(get, call_within(deadline, cancel));
    if (!found) {
      report.error = std::move(found).error();
      return std::nullopt;
    }
    SentBook::Comparison result = book.compare(*found);
    if (report.resent == 0) {  // the second look is only for what was sent again
      report.checked = result.checked;
      report.unchecked = book.unchecked();
      report.notes = result.notes;
      if (Result<void> done = check_artifacts(book, *found, deadline, cancel, report); !done) {
        report.error = std::move(done).error();
        return std::nullopt;
      }
    }
    return result;
  };
  std::optional<SentBook::Comparison> seen = compare();
  if (!seen) return report;
  const std::uint64_t artifacts = report.different;
  report.resent = seen->resend.size() + (seen->end ? 1U : 0U);
  if (report.resent != 0) {
    // Through the spool, as everything: what is lost a second time is still there.
    std::vector<SpoolRow> rows = rows_of(run, seen->resend);
    if (seen->end) {
      if (Result<std::string> bytes = encode(*seen->end); bytes)
        rows.push_back({run, RecordKind::end, 1, std::move(*bytes)});
    }
    Result<void> written = append(rows);
    Result<FlushReport> flushed = written ? flush(run, deadline) : Result<FlushReport>(std::move(written).error());
    if (!flushed) {
      report.error = std::move(flushed).error();
      return report;
    }
    static_cast<void>(deliverer_.take_book(run));
    if (flushed->drained) seen = compare();
    if (!seen) return report;
  }
  report.done = true;
  report.foreign = seen->foreign;
  report.different = artifacts + seen->conflicts + seen->resend.size() + (seen->end ? 1U : 0U);
  return report;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
