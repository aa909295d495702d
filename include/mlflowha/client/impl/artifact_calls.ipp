#ifndef MLFLOWHA_CLIENT_IMPL_ARTIFACT_CALLS_IPP
#define MLFLOWHA_CLIENT_IMPL_ARTIFACT_CALLS_IPP

#include <mlflowha/api/artifacts_codec.hpp>
#include <mlflowha/api/operations.hpp>
#include <mlflowha/client/artifact_calls.hpp>
#include <mlflowha/client/impl/artifact_files.hpp>

#include <errno.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

MLFLOWHA_INLINE std::shared_ptr<Clock> clock_of(const Config& config) {
  return config.options().clock ? config.options().clock : system_clock();
}

/// The time that is left of all that a call may take; without a limit each part has its own.
MLFLOWHA_INLINE CallOptions rest_of(const CallOptions& options, Deadline deadline, const Clock& clock) {
  CallOptions rest = options;
  if (options.timeout) rest.timeout = deadline.remaining(clock.now());
  return rest;
}
MLFLOWHA_INLINE Deadline deadline_of(const CallOptions& options, const Clock& clock) {
  return options.timeout ? Deadline::after(clock.now(), *options.timeout) : Deadline::never();
}

MLFLOWHA_INLINE Error no_such_artifact(std::string_view path, bool directory) {
  Error error;
  error.code = directory ? Errc::invalid_argument : Errc::not_found;
  error.message = fmt::format("the artifact \"{}\" {}", sanitize(path, 200),
                              directory ? "is a directory; expected a file" : "doesn't exist");
  return error;
}

}  // namespace detail

MLFLOWHA_INLINE Result<std::string> ArtifactCalls::artifact_root(std::string_view run_id,
                                                                 const CallOptions& options) const {
  Result<Run> run = get_run(run_id, options);
  if (!run) return std::move(run).error();
  return std::move(run->info.artifact_uri);
}

MLFLOWHA_INLINE Result<void> ArtifactCalls::put_artifact(std::string_view root_uri, std::string_view path,
                                                         const std::string& local_file, const CallOptions& options,
                                                         std::optional<std::uint64_t> expected_size) const {
  if (std::string fault = detail::artifact_path_fault(path); !fault.empty()) return invalid_argument(std::move(fault));
  Result<detail::ArtifactRoot> root = detail::parse_artifact_root(root_uri, config().endpoints());
  if (!root) return std::move(root).error();
  Result<std::uint64_t> size = detail::file_size(local_file);
  if (!size) return std::move(size).error();
  if (expected_size && *size != *expected_size) {
    Error error;
    error.code = Errc::storage_failed;
    error.message =
        fmt::format("the file \"{}\" has {} bytes; expected {}", sanitize(local_file, 300), *size, *expected_size);
    return error;
  }
  const std::string place = detail::join_path(root->path, path);
  if (!root->proxied) {
    if (std::string fault = detail::place_fault(place); !fault.empty()) return invalid_argument(std::move(fault));
    if (Result<void> made = detail::make_parents(place); !made) return made;
    Result<std::uint64_t> copied = detail::copy_file(local_file, place, 0666);
    if (!copied) return std::move(copied).error();
    return {};
  }
  const auto clock = detail::clock_of(config());
  const TimePoint start = clock->now();
  CallOptions rest = options;
  for (bool in_doubt = false;;) {
    UploadArtifact upload;
    upload.artifact_path = place;
    Result<api::PreparedRequest> prepared = api::prepare_upload_artifact(std::move(upload));
    if (!prepared) return std::move(prepared).error();
    prepared->http.file = FileBody{local_file, 0, *size, true};
    prepared->transfer = *size;
    Result<Response> response = execute(api::ops::upload_artifact, std::move(*prepared), rest);
    if (response) return {};  // a 2xx with MLflow's JSON is all that there is to know
    Error error = std::move(response).error();
    in_doubt = in_doubt || error.effect != Effect::none;
    if (in_doubt && error.effect == Effect::none) error.effect = Effect::unknown;
    // A checkpoint that was replaced while the call waited for a server goes as it is now, not as its first bytes.
    const Result<std::uint64_t> now = detail::file_size(local_file);
    if (error.code != Errc::storage_failed || expected_size || !now || *now == *size) return error;
    size = now;
    const Duration most = options.timeout.value_or(config().options().timeouts.call_with(*size));
    rest.timeout = Deadline::after(start, most).remaining(clock->now());
  }
}

MLFLOWHA_INLINE Result<void> ArtifactCalls::log_artifact(std::string_view run_id, const std::string& local_path,
                                                         std::string_view artifact_path,
                                                         const CallOptions& options) const {
  const auto clock = detail::clock_of(config());
  const Deadline deadline = detail::deadline_of(options, *clock);
  const std::string path = detail::join_path(artifact_path, detail::base_name(local_path));
  if (std::string fault = detail::artifact_path_fault(path); !fault.empty()) return invalid_argument(std::move(fault));
  if (Result<std::uint64_t> size = detail::file_size(local_path); !size) return std::move(size).error();
  Result<std::string> root = artifact_root(run_id, options);
  if (!root) return std::move(root).error();
  return put_artifact(*root, path, local_path, detail::rest_of(options, deadline, *clock));
}

MLFLOWHA_INLINE Result<void> ArtifactCalls::log_artifacts(std::string_view run_id, const std::string& local_dir,
                                                          std::string_view artifact_path,
                                                          const CallOptions& options) const {
  const auto clock = detail::clock_of(config());
  const Deadline deadline = detail::deadline_of(options, *clock);
  Result<std::vector<detail::LocalFile>> files = detail::files_below(local_dir);
  if (!files) return std::move(files).error();
  for (const detail::LocalFile& file : *files) {
    std::string fault = detail::artifact_path_fault(detail::join_path(artifact_path, file.relative));
    if (!fault.empty()) return invalid_argument(std::move(fault));
  }
  Result<std::string> root = artifact_root(run_id, options);
  if (!root) return std::move(root).error();
  for (std::size_t i = 0; i < files->size(); ++i) {
    const detail::LocalFile& file = (*files)[i];
    Result<void> stored = put_artifact(*root, detail::join_path(artifact_path, file.relative), file.path,
                                       detail::rest_of(options, deadline, *clock));
    if (stored) continue;
    Error error = std::move(stored).error();
    error.message =
        fmt::format("{} of {} files stored; {}: {}", i, files->size(), sanitize(file.relative, 200), error.message);
    if (i > 0 && error.effect == Effect::none) error.effect = Effect::unknown;  // of the directory as a whole
    return error;
  }
  return {};
}

// --- down

/// One try: into `part`, complete.
MLFLOWHA_INLINE Result<void> ArtifactCalls::download(const std::string& path, const std::string& local_file,
                                                     const std::string& part, Deadline deadline,
                                                     const CallOptions& options) const {
  const auto clock = detail::clock_of(config());
  ListProxiedArtifacts list;
  list.path = path.substr(0, path.size() - detail::base_name(path).size());
  if (!list.path.empty()) list.path.pop_back();
  Result<std::vector<ProxiedFile>> files = list_proxied_artifacts(list, detail::rest_of(options, deadline, *clock));
  if (!files) return std::move(files).error();
  const ProxiedFile* found = nullptr;
  for (const ProxiedFile& file : *files) {
    if (file.path == detail::base_name(path)) found = &file;
  }
  if (found == nullptr || found->is_dir) return detail::no_such_artifact(path, found != nullptr);
  const auto size = static_cast<std::uint64_t>(found->file_size < 0 ? 0 : found->file_size);
  DownloadArtifact get;
  get.artifact_path = path;
  Result<api::PreparedRequest> prepared = api::prepare_download_artifact(get);
  if (!prepared) return std::move(prepared).error();
  prepared->http.save_to = part;
  prepared->transfer = size;
  Result<Response> response =
      execute(api::ops::download_artifact, std::move(*prepared), detail::rest_of(options, deadline, *clock));
  if (!response) return std::move(response).error();
  Result<std::uint64_t> arrived = detail::file_size(part);
  if (!arrived) return std::move(arrived).error();
  if (*arrived == size) return detail::put_in_place(part, local_file);
  // MLflow sends no Content-Length: behind a proxy that closes connections a part looks like the whole.
  Error error;
  error.code = Errc::bad_response;
  error.message = fmt::format("the artifact \"{}\" came with {} bytes; expected the {} that the server lists",
                              sanitize(path, 200), *arrived, size);
  return error;
}

MLFLOWHA_INLINE Result<void> ArtifactCalls::fetch_artifact(std::string_view root_uri, std::string_view path,
                                                           const std::string& local_file,
                                                           const CallOptions& options) const {
  const auto clock = detail::clock_of(config());
  const Deadline deadline = detail::deadline_of(options, *clock);
  if (std::string fault = detail::artifact_path_fault(path); !fault.empty()) return invalid_argument(std::move(fault));
  Result<detail::ArtifactRoot> root = detail::parse_artifact_root(root_uri, config().endpoints());
  if (!root) return std::move(root).error();
  const std::string place = detail::join_path(root->path, path);
  if (!root->proxied) {
    // As the servers' proxy says it: who asks needn't know where a run is kept.
    struct ::stat about{};
    const bool there = ::stat(place.c_str(), &about) == 0;
    if (!there && (errno == ENOENT || errno == ENOTDIR)) return detail::no_such_artifact(path, false);
    if (there && S_ISDIR(about.st_mode)) return detail::no_such_artifact(path, true);
    Result<std::uint64_t> copied = detail::copy_file(place, local_file, 0600);
    if (!copied) return std::move(copied).error();
    return {};
  }
  // All tries write to this one file, which is nobody else's: another's bytes in it would pass for ours by their
  // number.
  Result<detail::PartialFile> made = detail::make_partial(local_file, 0600, *process_rng());
  if (!made) return std::move(made).error();
  ::close(made->fd);
  const std::string& part = made->path;
  Result<void> done;
  for (int turn = 0; turn < 3; ++turn) {  // a cut is looked at again, and so is a file that was just replaced
    done = download(place, local_file, part, deadline, options);
    if (done || done.error().code != Errc::bad_response) break;
  }
  if (!done) ::unlink(part.c_str());
  return done;
}

MLFLOWHA_INLINE Result<void> ArtifactCalls::download_artifact(std::string_view run_id, std::string_view path,
                                                              const std::string& local_file,
                                                              const CallOptions& options) const {
  const auto clock = detail::clock_of(config());
  const Deadline deadline = detail::deadline_of(options, *clock);
  Result<std::string> root = artifact_root(run_id, options);
  if (!root) return std::move(root).error();
  return fetch_artifact(*root, path, local_file, detail::rest_of(options, deadline, *clock));
}

MLFLOWHA_END_NAMESPACE

#endif
