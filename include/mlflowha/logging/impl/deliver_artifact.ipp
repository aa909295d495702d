#ifndef MLFLOWHA_LOGGING_IMPL_DELIVER_ARTIFACT_IPP
#define MLFLOWHA_LOGGING_IMPL_DELIVER_ARTIFACT_IPP

#include <mlflowha/logging/impl/deliver.ipp>
#include <mlflowha/logging/impl/fault_point.hpp>
#include <mlflowha/logging/impl/sha256.hpp>

#include <errno.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// What speaks against sending the file: gone, or another one than was logged. Errc::storage_corrupt for what will not
/// change by itself, anything else for what may.
MLFLOWHA_INLINE Result<void> check_artifact(const RunArtifact& artifact, const std::string& file) {
  Error error;
  error.code = Errc::storage_corrupt;
  if (::access(file.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
    error.message = fmt::format("the file of the artifact \"{}\" is gone: {}", sanitize(artifact.path, 200), file);
    return error;
  }
  const Result<FileDigest> found = digest_file(file);
  if (!found) return found.error();
  if (found->size == artifact.size && found->sha256 == artifact.sha256) return {};
  error.message = fmt::format(
      "the file of the artifact \"{}\" is not what was logged: it has {} bytes with the SHA-256 {}, expected {} bytes "
      "with {}; was it overwritten in place? ({})",
      sanitize(artifact.path, 200), found->size, found->sha256, artifact.size, sanitize(artifact.sha256, 64), file);
  return error;
}

MLFLOWHA_INLINE Result<std::string> Deliverer::artifact_root(const SpoolRun& run, const CallOptions& options) {
  constexpr std::size_t most = 256;
  const auto known = roots_.find(run.server_id);
  if (known != roots_.end()) return known->second;
  GetRun get;
  get.run_id = run.server_id;
  Result<Run> found = client_.get_run(get, options);
  if (!found) return std::move(found).error();
  if (roots_.size() == most) roots_.clear();
  return roots_[run.server_id] = std::move(found->info.artifact_uri);
}

MLFLOWHA_INLINE DeliveryStep Deliverer::send_artifact(Spool& spool, const SpoolRun& run, const StoredRow& row,
                                                      const RunArtifact& artifact, CallOptions options, Duration left) {
  Sent sent;
  const auto refuse = [&](Error error) {
    sent.refused.push_back({run.id, row.kind, row.entries, row.data, reason_of(error)});
    sent.refusal = std::move(error);
    return finish(spool, run, row.seq, 1, std::move(sent));
  };
  const Result<std::string> file = spool.artifact_file(artifact);
  if (!file) return refuse(file.error());
  // Before anything is sent: what is on a server has no undo. The bytes are read twice for it.
  if (Result<void> good = check_artifact(artifact, *file); !good) {
    if (good.error().code == Errc::storage_corrupt) return refuse(std::move(good).error());
    return not_now(std::move(good).error());
  }
  Result<std::string> root = artifact_root(run, options);
  if (!root) {
    sent.run_gone = judge(root.error()) == Verdict::run_gone;
    sent.stop = std::move(root).error();
    return finish(spool, run, row.seq, 1, std::move(sent));
  }
  if (!options.timeout && left != Duration::max()) {
    options.timeout = std::min(left, client_.config().options().timeouts.call_with(artifact.size));
  }
  MLFLOWHA_FAULT_POINT("artifact: before sending");
  Result<void> stored = client_.put_artifact(*root, artifact.path, *file, options, artifact.size);
  MLFLOWHA_FAULT_POINT("artifact: answered");
  if (!stored) {
    Error error = std::move(stored).error();
    Verdict verdict = judge(error);
    // A 404 here is not about the run, which was there a moment ago: a route that somebody's proxy doesn't pass on.
    if (verdict == Verdict::run_gone) verdict = Verdict::doubtful;
    if (verdict == Verdict::refused || (verdict == Verdict::doubtful && believe(spool, row.seq))) {
      return refuse(std::move(error));
    }
    if (verdict == Verdict::later) forget_doubt(spool, row.seq, error);
    sent.stop = std::move(error);
  } else {
    note_confirmed(run.id, artifact);
  }
  return finish(spool, run, row.seq, 1, std::move(sent));
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
