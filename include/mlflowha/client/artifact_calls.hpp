#ifndef MLFLOWHA_CLIENT_ARTIFACT_CALLS_HPP
#define MLFLOWHA_CLIENT_ARTIFACT_CALLS_HPP

// ArtifactCalls: files to and from the artifacts of a run, under the names of MLflow's Python client. A base of Client.
// Where a run keeps its artifacts is in its artifact_uri. Understood are `mlflow-artifacts:` (through the servers, with
// failover, streamed from disk in bounded memory) and `file:` or a plain path (copied on this machine); any other
// scheme is an Errc::invalid_argument that names it. All of it may be repeated: a file is replaced as a whole.

#include <mlflowha/client/options.hpp>
#include <mlflowha/client/registry_calls.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

/// Thread-safe as Client is. `options.timeout` is for all that a call does; without one there is time in proportion to
/// each file's size (TimeoutOptions::slowest_transfer). A file that can't be read or written is Errc::storage_failed.
class MLFLOWHA_EXPORT ArtifactCalls : public RegistryCalls {
 public:
  /// Stores the file `local_path` in the directory `artifact_path` of the run's artifacts (empty: at their root), under
  /// its own name. Two requests: the run, for its artifact_uri, and the upload. While and after an upload that breaks
  /// off, the server may show a part of the file, or what was there before, until it is repeated. A file whose size
  /// changes while the call waits for a server is sent as it is then.
  [[nodiscard]] Result<void> log_artifact(std::string_view run_id, const std::string& local_path,
                                          std::string_view artifact_path = {}, const CallOptions& options = {}) const;
  /// Stores all files below the directory `local_dir`, with their paths below it. Links to files are followed, links to
  /// directories aren't. On failure the error names the file and says how many had been stored.
  [[nodiscard]] Result<void> log_artifacts(std::string_view run_id, const std::string& local_dir,
                                           std::string_view artifact_path = {}, const CallOptions& options = {}) const;
  using api::Calls::download_artifact;
  /// Writes the artifact at `path` below the run's root into the file `local_file`, which appears, or is replaced, when
  /// all of it is there: its length is compared with what the server lists. Errc::not_found when there is none.
  [[nodiscard]] Result<void> download_artifact(std::string_view run_id, std::string_view path,
                                               const std::string& local_file, const CallOptions& options = {}) const;

  // The same for those who know the root: the artifact_uri of a run or of a logged model. `path` is the whole path
  // below it, the name of the file included.
  /// `expected_size`, in bytes: a file that has another, now or when it is sent, is Errc::storage_failed.
  [[nodiscard]] Result<void> put_artifact(std::string_view root_uri, std::string_view path,
                                          const std::string& local_file, const CallOptions& options = {},
                                          std::optional<std::uint64_t> expected_size = {}) const;
  [[nodiscard]] Result<void> fetch_artifact(std::string_view root_uri, std::string_view path,
                                            const std::string& local_file, const CallOptions& options = {}) const;

  /// The validated configuration.
  [[nodiscard]] virtual const Config& config() const noexcept = 0;

 private:
  [[nodiscard]] Result<std::string> artifact_root(std::string_view run_id, const CallOptions& options) const;
  [[nodiscard]] Result<void> download(const std::string& path, const std::string& local_file, const std::string& part,
                                      Deadline deadline, const CallOptions& options) const;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/artifact_calls.ipp>
#endif

#endif
