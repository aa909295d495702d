#ifndef MLFLOWHA_LOGGING_IMPL_SPOOL_ARTIFACTS_IPP
#define MLFLOWHA_LOGGING_IMPL_SPOOL_ARTIFACTS_IPP

// The files beside the spool: taking them in, finding them again, and removing those that no row knows. A file is
// complete and fsynced under its name before a row with it is committed, and goes after the row is gone: a crash in
// between leaves a file too many, never a row without its file.

#include <mlflowha/logging/impl/fault_point.hpp>
#include <mlflowha/logging/impl/sha256.hpp>
#include <mlflowha/logging/impl/spool_file.ipp>
#include <mlflowha/logging/spool.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

/// Names are read from a file on a disk: nothing may lead out of the directory.
MLFLOWHA_INLINE bool is_plain_name(std::string_view name) noexcept {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

/// A hard link to what `from` is or points to, synced; false when the file system can't.
MLFLOWHA_INLINE bool link_file(const std::string& from, const std::string& to) noexcept {
  if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) != 0) return false;
  // Its owner may have written it a moment ago.
  const int fd = ::open(to.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  if (!synced) ::unlink(to.c_str());
  return synced;
}

}  // namespace detail

/// Under the lock.
MLFLOWHA_INLINE Result<std::string> Spool::make_files_directory() {
  if (options_.durability == Durability::none) {
    if (memory_files_.empty()) {
      std::error_code failed;
      std::string name = (std::filesystem::temp_directory_path(failed) / "mlflowha-XXXXXX").string();
      if (failed || ::mkdtemp(name.data()) == nullptr) return detail::file_error(name, "can't be made", errno);
      memory_files_ = name;
    }
    return memory_files_;
  }
  std::string directory = files_directory();
  if (::mkdir(directory.c_str(), 0700) != 0) {
    if (errno != EEXIST) return detail::file_error(directory, "can't be made", errno);
    return directory;
  }
  if (Result<void> synced = detail::sync_directory(options_.directory); !synced) return std::move(synced).error();
  return directory;
}

MLFLOWHA_INLINE Result<RunArtifact> Spool::take_artifact(const std::string& local_path, std::string_view path,
                                                         ArtifactKeep keep, std::uint64_t max_bytes) {
  const Result<std::uint64_t> size = detail::file_size(local_path);
  if (!size) return size.error();
  const auto too_large = [&](std::uint64_t bytes) {
    Error error;
    error.code = Errc::storage_full;
    error.message =
        fmt::format("the file \"{}\" has {} bytes; expected at most {} (RunLoggerOptions::max_artifact_bytes)",
                    sanitize(local_path, 300), bytes, max_bytes);
    return error;
  };
  if (*size > max_bytes) return too_large(*size);
  RunArtifact artifact;
  artifact.path = path;
  artifact.size = *size;
  std::string target;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!database_) return detail::closed_spool(path_);
    // What servers have refused counts here alone: it fills the disk, but keeps no other record out.
    if (Result<void> room = check_room(*size, kept_); !room) return std::move(room).error();
    Result<std::string> directory = make_files_directory();
    if (!directory) return std::move(directory).error();
    artifact.file = std::to_string(next_file_++);
    target = *directory + '/' + artifact.file;
    held_ += *size;
  }
  const auto settle_size = [&](std::uint64_t now) {
    const std::lock_guard<std::mutex> lock(mutex_);
    held_ += now;
    held_ -= artifact.size < held_ ? artifact.size : held_;
    artifact.size = now;
  };
  const auto fail = [&](Error error) {
    settle_size(0);
    ::unlink(target.c_str());
    return error;
  };
  Result<std::string> digest = std::string();
  if (keep == ArtifactKeep::link && detail::link_file(local_path, target)) {
    Result<detail::FileDigest> found = detail::digest_file(target);
    if (!found) return fail(std::move(found).error());
    if (found->size > max_bytes) return fail(too_large(found->size));
    if (Result<void> synced = detail::sync_directory(detail::directory_of(target)); !synced)
      return fail(std::move(synced).error());
    settle_size(found->size);
    digest = std::move(found->sha256);
  } else {
    detail::Sha256 sha;
    Result<std::uint64_t> copied = detail::copy_file(local_path, target, 0600, &sha);
    if (!copied) return fail(std::move(copied).error());
    settle_size(*copied);
    digest = sha.digest();
  }
  if (!digest) return fail(std::move(digest).error());
  artifact.sha256 = std::move(*digest);
  MLFLOWHA_FAULT_POINT("artifact: taken");
  return artifact;
}

MLFLOWHA_INLINE void Spool::drop_artifact(const RunArtifact& artifact) {
  const std::lock_guard<std::mutex> lock(mutex_);
  held_ -= artifact.size < held_ ? artifact.size : held_;
  remove_artifacts({artifact.file});
}

MLFLOWHA_INLINE Result<std::string> Spool::artifact_file(const RunArtifact& artifact) const {
  if (!detail::is_plain_name(artifact.file)) {
    return detail::corrupt(fmt::format("an artifact's file is \"{}\"; expected a name in the spool's folder",
                                       sanitize(artifact.file, 100)));
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  return files_directory() + '/' + artifact.file;
}

/// Under the lock. What can't be removed now is an orphan for the next one who adopts the spool.
MLFLOWHA_INLINE void Spool::remove_artifacts(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    if (detail::is_plain_name(file)) ::unlink((files_directory() + '/' + file).c_str());
    MLFLOWHA_FAULT_POINT("artifact: removed");
  }
}

/// Removes files that no row knows: their process died between taking one and writing its row, or between deleting a
/// row and its file. A row that can't be read may know any of them.
MLFLOWHA_INLINE Result<void> Spool::remove_orphans() {
  auto select = database_->prepare(
      "SELECT data FROM records WHERE kind = 3 UNION ALL SELECT data FROM quarantine WHERE kind = 3");
  if (!select) return std::move(select).error();
  std::set<std::string> known;
  for (;;) {
    Result<bool> row = select->step();
    if (!row) return std::move(row).error();
    if (!*row) break;
    RunArtifact artifact = detail::artifact_of(RecordKind::artifact, select->bytes(0));
    if (artifact.file.empty()) return {};
    known.insert(std::move(artifact.file));
  }
  DIR* listing = detail::open_own_directory(files_directory());
  if (listing == nullptr) return {};
  while (const dirent* entry = ::readdir(listing)) {
    if (!known.contains(entry->d_name)) ::unlinkat(::dirfd(listing), entry->d_name, 0);  // not "." and ".."
  }
  ::closedir(listing);
  return {};
}

MLFLOWHA_END_NAMESPACE

#endif
