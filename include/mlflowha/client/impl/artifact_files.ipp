#ifndef MLFLOWHA_CLIENT_IMPL_ARTIFACT_FILES_IPP
#define MLFLOWHA_CLIENT_IMPL_ARTIFACT_FILES_IPP

#include <mlflowha/client/impl/artifact_files.hpp>
#include <mlflowha/core/impl/user_info.hpp>
#include <mlflowha/core/impl/utf8.ipp>

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

MLFLOWHA_INLINE Error local_error(const std::string& path, std::string_view what, int system) {
  Error error;
  error.code = system == ENOSPC || system == EDQUOT || system == EFBIG ? Errc::storage_full : Errc::storage_failed;
  error.message =
      fmt::format("the file \"{}\" {}: {}", sanitize(path, 300), what, std::system_category().message(system));
  return error;
}

// --- where artifacts are

/// "%20" is a blank; anything else after a '%' stays as it is.
MLFLOWHA_INLINE std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      decoded += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

/// The scheme in lower case, "" for a plain path. RFC 3986 section 3.1.
MLFLOWHA_INLINE std::string scheme_of(std::string_view uri) {
  const std::size_t colon = uri.find(':');
  std::string scheme;
  if (colon == std::string_view::npos) return scheme;
  for (const char c : uri.substr(0, colon)) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
    if (!letter && (!other || scheme.empty())) return {};
    scheme += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return scheme;
}

/// Takes "//authority" off the beginning of `rest`.
MLFLOWHA_INLINE std::string_view take_authority(std::string_view& rest) noexcept {
  if (rest.substr(0, 2) != "//") return {};
  const std::size_t end = std::min(rest.find('/', 2), rest.size());
  const std::string_view authority = rest.substr(2, end - 2);
  rest.remove_prefix(end);
  return authority;
}

MLFLOWHA_INLINE bool is_listed(std::string_view authority, const std::vector<Uri>& endpoints) {
  return std::any_of(endpoints.begin(), endpoints.end(), [&](const Uri& endpoint) {
    const std::string origin = endpoint.origin();
    const std::string_view with_port = std::string_view(origin).substr(origin.find("//") + 2);
    return authority == with_port || authority == with_port.substr(0, with_port.rfind(':'));
  });
}

MLFLOWHA_INLINE Result<ArtifactRoot> parse_artifact_root(std::string_view uri, const std::vector<Uri>& endpoints) {
  const std::string without_user = hide_user_info(uri);
  const std::string shown = sanitize(without_user.substr(0, without_user.find_first_of("?#")), 200);
  const std::string scheme = scheme_of(uri);
  std::string_view rest = scheme.empty() ? uri : uri.substr(scheme.size() + 1);
  ArtifactRoot root;
  if (scheme == "mlflow-artifacts") {
    const std::string_view authority = take_authority(rest);
    if (!authority.empty() && !is_listed(authority, endpoints)) {
      // Credentials go along with every request: only to servers that the user has named.
      return invalid_argument(fmt::format(
          "the artifact root \"{}\" names a server that is not in the endpoint list; expected one of the list or none",
          shown));
    }
    while (!rest.empty() && rest.front() == '/') rest.remove_prefix(1);
    while (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
    if (rest.empty() || rest.find_first_of("?#") != std::string_view::npos) {
      return invalid_argument(
          fmt::format("the artifact root is \"{}\"; expected mlflow-artifacts:/ and a path, without a query", shown));
    }
    root.proxied = true;
    root.path = rest;
    return root;
  }
  if (scheme == "file") {
    const std::string_view authority = take_authority(rest);
    rest = rest.substr(0, rest.find_first_of("?#"));
    if ((!authority.empty() && authority != "localhost") || rest.empty() || rest.front() != '/') {
      return invalid_argument(
          fmt::format("the artifact root is \"{}\"; expected file:// and an absolute path on this machine", shown));
    }
  } else if (!scheme.empty() || uri.empty()) {
    return invalid_argument(
        fmt::format("the artifact root \"{}\" has the scheme \"{}\"; expected mlflow-artifacts (the servers' proxy), "
                    "file or a path: "
                    "other stores are not supported",
                    shown, shown.compare(0, scheme.size(), uri.substr(0, scheme.size())) == 0 ? scheme : "..."));
  }
  // MLflow's own client decodes a plain path, too: its files and ours must meet.
  root.path = percent_decoded(rest);
  if (root.path.find('\0') != std::string::npos) {
    return invalid_argument(fmt::format("the artifact root is \"{}\"; expected a path without a zero byte", shown));
  }
  return root;
}

MLFLOWHA_INLINE std::string artifact_path_fault(std::string_view path) {
  const auto fault = [&](std::string_view expected) {
    return fmt::format("the artifact path is \"{}\"; expected {}", sanitize(path, 200), expected);
  };
  if (path.empty()) return fault("the path of a file");
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    const std::string_view part = path.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") {
      return fault("a relative path: no '/' at an end, no empty, '.' or '..' part");
    }
    start = end + 1;
  }
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
  for (std::size_t i = 0; i < path.size();) {
    const std::size_t length = utf8_sequence(reinterpret_cast<const unsigned char*>(path.data()) + i, path.size() - i);
    if (length == 0) return fault("UTF-8, because MLflow's servers can't list anything else");
    i += length;
  }
  for (std::size_t i = 0; i < path.size(); ++i) {
    const auto byte = static_cast<unsigned char>(path[i]);
    if (byte < 0x20 || byte == 0x7F) return fault("no control character");
    if (path[i] == '#') return fault("no '#', which MLflow's servers refuse");
    // MLflow takes a path for a URL and decodes it until nothing changes any more (mlflow/utils/uri.py).
    if (path[i] == '%' && i + 2 < path.size() && hex(path[i + 1]) && hex(path[i + 2])) {
      return fault("no '%' with two hexadecimal digits, which MLflow's servers would decode");
    }
  }
  if (path.back() == '?' || path.back() == ';' || path.find(";?") != std::string_view::npos) {
    return fault("no '?' or ';' at its end, nor \";?\", which MLflow's servers would drop");
  }
  return {};
}

// --- files

MLFLOWHA_INLINE std::string join_path(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  path += name;
  return path;
}
MLFLOWHA_INLINE std::string_view base_name(std::string_view path) noexcept {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

MLFLOWHA_INLINE Error no_regular_file(const std::string& path, const struct ::stat& about) {
  Error error;
  error.code = Errc::storage_failed;
  error.message = fmt::format("\"{}\" is {}; expected a regular file", sanitize(path, 300),
                              S_ISDIR(about.st_mode) ? "a directory" : "no file");
  return error;
}

MLFLOWHA_INLINE Result<std::uint64_t> file_size(const std::string& path) {
  struct ::stat about{};
  if (::stat(path.c_str(), &about) != 0) return local_error(path, "can't be read", errno);
  if (!S_ISREG(about.st_mode)) return no_regular_file(path, about);
  return static_cast<std::uint64_t>(about.st_size);
}

MLFLOWHA_INLINE Result<std::vector<LocalFile>> files_below(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code failed;
  std::vector<LocalFile> files;
  const std::string base = directory.empty() ? "." : directory;
  fs::recursive_directory_iterator at(base, failed);
  for (const fs::recursive_directory_iterator end; !failed && at != end; at.increment(failed)) {
    std::error_code unknown;
    const fs::file_status status = at->status(unknown);  // of what a link points to
    if (fs::is_directory(status)) continue;
    const std::string path = at->path().string();
    if (!fs::is_regular_file(status)) {
      Error error;
      error.code = Errc::storage_failed;
      error.message = fmt::format("\"{}\" is neither a file nor a directory", sanitize(path, 300));
      return error;
    }
    files.push_back({path, path.substr(base.size() + (base.back() == '/' ? 0 : 1))});
  }
  if (failed) return local_error(base, "can't be read as a directory", failed.value());
  std::sort(files.begin(), files.end(), [](const LocalFile& a, const LocalFile& b) { return a.relative < b.relative; });
  return files;
}

MLFLOWHA_INLINE CopyWatcher::~CopyWatcher() = default;

MLFLOWHA_INLINE Result<PartialFile> make_partial(const std::string& path, unsigned mode, Rng& rng) {
  // A rename puts a file into the place of whatever is there: of a pipe, and for root of /dev/null.
  struct ::stat about{};
  if (::stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode)) return no_regular_file(path, about);
  // A name may have 255 bytes, and so may that of the file itself.
  constexpr std::size_t most = 200;
  const std::size_t name = path.size() - base_name(path).size();
  PartialFile partial;
  // The process's number is no help: it repeats in containers, and they may share the directory.
  do {
    partial.path = fmt::format("{}.{:016x}.part", path.substr(0, name + most), rng.next());
    partial.fd = ::open(partial.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, static_cast<mode_t>(mode));
  } while (partial.fd < 0 && errno == EEXIST);
  if (partial.fd < 0) return local_error(path, "can't be made", errno);
  return partial;
}

MLFLOWHA_INLINE std::string place_fault(const std::string& path) {
  constexpr std::size_t longest = 255;  // NAME_MAX of all common file systems
  for (std::size_t start = 0; start < path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    if (end - start > longest) {
      return fmt::format("the name \"{}\" has {} bytes; expected at most {}",
                         sanitize(std::string_view(path).substr(start, end - start), 300), end - start, longest);
    }
    const std::string so_far = path.substr(0, end);
    struct ::stat about{};
    if (end != start && ::stat(so_far.c_str(), &about) == 0 && S_ISDIR(about.st_mode) != (end < path.size())) {
      return fmt::format("\"{}\" is {}; expected {}", sanitize(so_far, 300),
                         end < path.size() ? "a file" : "a directory", end < path.size() ? "a directory" : "a file");
    }
    start = end + 1;
  }
  return {};
}

MLFLOWHA_INLINE Result<void> make_parents(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) return {};
  std::error_code failed;
  std::filesystem::create_directories(path.substr(0, slash), failed);
  if (failed) return local_error(path.substr(0, slash), "can't be made as a directory", failed.value());
  return {};
}

MLFLOWHA_INLINE Result<void> put_in_place(const std::string& partial, const std::string& to) {
  const auto fail = [&](const char* what) {
    Error error = local_error(to, what, errno);
    ::unlink(partial.c_str());
    return error;
  };
  // The bytes first: after a crash of the machine a name without them would look complete.
  const int fd = ::open(partial.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail("can't be written");
  const bool synced = ::fsync(fd) == 0;
  const int why = errno;
  ::close(fd);
  errno = why;
  if (!synced) return fail("can't be synced");
  if (std::rename(partial.c_str(), to.c_str()) != 0) return fail("can't be put in place");
  const std::size_t slash = to.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : to.substr(0, slash);
  const int place = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (place < 0) return {};
  const int failed = ::fsync(place) != 0 ? errno : 0;
  ::close(place);
  if (failed != 0 && failed != EINVAL) return local_error(directory, "can't be synced", failed);
  return {};
}

/// Hands the first `size` bytes of `from` to `take` in portions, until it fails.
template <class Take>
Result<std::uint64_t> for_each_portion(const std::string& from, std::uint64_t size, const Take& take) {
  constexpr std::size_t portion = std::size_t{256} << 10U;
  const int source = ::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (source < 0) return local_error(from, "can't be opened", errno);
  const std::unique_ptr<char[]> buffer(new char[portion]);
  std::uint64_t done = 0;
  Result<void> taken;
  while (taken && done < size) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(portion, size - done));
    const ssize_t count = ::read(source, buffer.get(), wanted);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) taken = local_error(from, "can't be read", errno);
    if (count <= 0) break;
    taken = take(buffer.get(), static_cast<std::size_t>(count));
    done += static_cast<std::uint64_t>(count);
  }
  ::close(source);
  if (!taken) return std::move(taken).error();
  return done;
}

MLFLOWHA_INLINE Result<std::uint64_t> read_file(const std::string& path, CopyWatcher& watcher) {
  if (Result<std::uint64_t> size = file_size(path); !size) return size;
  return for_each_portion(path, ~std::uint64_t{0}, [&](const char* data, std::size_t size) {
    watcher.on_bytes(data, size);
    return Result<void>();
  });
}

MLFLOWHA_INLINE Result<std::uint64_t> copy_file(const std::string& from, const std::string& to, unsigned mode,
                                                CopyWatcher* watcher) {
  Result<std::uint64_t> size = file_size(from);
  if (!size) return size;
  Result<PartialFile> made = make_partial(to, mode, *process_rng());
  if (!made) return std::move(made).error();
  const std::string& partial = made->path;
  const int target = made->fd;
  Result<std::uint64_t> copied = for_each_portion(from, *size, [&](const char* data, std::size_t count) {
    if (watcher != nullptr) watcher->on_bytes(data, count);
    while (count > 0) {
      const ssize_t written = ::write(target, data, count);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return Result<void>(local_error(to, "can't be written", errno));
      data += written;
      count -= static_cast<std::size_t>(written);
    }
    return Result<void>();
  });
  if (copied && *copied < *size) {  // half of a file that is written anew in its place
    Error error;
    error.code = Errc::storage_failed;
    error.message = fmt::format("the file \"{}\" has shrunk while it was copied: it ends {} bytes before its {}",
                                sanitize(from, 300), *size - *copied, *size);
    copied = std::move(error);
  }
  if (::close(target) != 0 && copied) copied = local_error(to, "can't be written", errno);
  if (!copied) {
    ::unlink(partial.c_str());
    return copied;
  }
  if (Result<void> placed = put_in_place(partial, to); !placed) return std::move(placed).error();
  return copied;
}

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
