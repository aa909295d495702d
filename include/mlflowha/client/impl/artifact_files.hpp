#ifndef MLFLOWHA_CLIENT_IMPL_ARTIFACT_FILES_HPP
#define MLFLOWHA_CLIENT_IMPL_ARTIFACT_FILES_HPP

// What ArtifactCalls and durable logging know about artifacts on this machine: where an artifact_uri points, which
// paths an artifact may have, the files of a directory, and copying one so that it appears as a whole. Not part of the
// public API.

#include <mlflowha/core/result.hpp>
#include <mlflowha/core/rng.hpp>
#include <mlflowha/core/uri.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// Where an artifact_uri points.
struct ArtifactRoot {
  bool proxied = false;  ///< behind the servers' proxy; else on this machine
  std::string path;      ///< below the proxy's root, without slashes at its ends; or of a directory
};
/// Errc::invalid_argument for a scheme that isn't supported, and for the proxy of a server that isn't in the list.
[[nodiscard]] MLFLOWHA_EXPORT Result<ArtifactRoot> parse_artifact_root(std::string_view uri,
                                                                       const std::vector<Uri>& endpoints);

/// Why no artifact can have that path below its root, or "". Besides what isn't a clean relative path, that is what
/// MLflow's servers would store under another name.
[[nodiscard]] MLFLOWHA_EXPORT std::string artifact_path_fault(std::string_view path);

/// "dir/name", or "name" when there is no directory.
[[nodiscard]] MLFLOWHA_EXPORT std::string join_path(std::string_view directory, std::string_view name);
/// What follows the last slash.
[[nodiscard]] MLFLOWHA_EXPORT std::string_view base_name(std::string_view path) noexcept;

/// The size of a regular file; Errc::storage_failed when it is none or can't be reached.
[[nodiscard]] MLFLOWHA_EXPORT Result<std::uint64_t> file_size(const std::string& path);

struct LocalFile {
  std::string path;      ///< as it can be opened
  std::string relative;  ///< below the directory, with '/'
};
/// The files below a directory, in the order of their paths.
[[nodiscard]] MLFLOWHA_EXPORT Result<std::vector<LocalFile>> files_below(const std::string& directory);

/// What is read from the source while it is copied.
class MLFLOWHA_EXPORT CopyWatcher {
 public:
  virtual ~CopyWatcher();
  virtual void on_bytes(const char* data, std::size_t size) noexcept = 0;
};

struct PartialFile {
  std::string path;
  int fd = -1;  ///< open for writing; whoever gets it closes it
};
/// A new file beside `path`, empty, for what isn't complete yet: nobody else, on whatever machine, gets the same.
/// `mode` as for open(2). Errc::storage_full or storage_failed.
[[nodiscard]] MLFLOWHA_EXPORT Result<PartialFile> make_partial(const std::string& path, unsigned mode, Rng& rng);
/// Copies `from`, as long as it is now, into `to`, which appears, or is replaced, when all of it is on the disk. `mode`
/// as for open(2). Gives the number of bytes. Errc::storage_full or storage_failed; nothing is left behind then.
[[nodiscard]] MLFLOWHA_EXPORT Result<std::uint64_t> copy_file(const std::string& from, const std::string& to,
                                                              unsigned mode, CopyWatcher* watcher = nullptr);
/// Shows all bytes of a file to `watcher`; gives their number.
[[nodiscard]] MLFLOWHA_EXPORT Result<std::uint64_t> read_file(const std::string& path, CopyWatcher& watcher);
/// Puts the complete file `partial`, fsynced, into the place of `to`; removes it when that fails.
[[nodiscard]] MLFLOWHA_EXPORT Result<void> put_in_place(const std::string& partial, const std::string& to);
/// Why no file can ever be at `path`, whoever tries, or "": a directory is there, a file in the place of a directory on
/// the way, a name that is too long.
[[nodiscard]] MLFLOWHA_EXPORT std::string place_fault(const std::string& path);
/// Makes the directory that `path` is in, with all that leads to it.
[[nodiscard]] MLFLOWHA_EXPORT Result<void> make_parents(const std::string& path);

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/artifact_files.ipp>
#endif

#endif
