#ifndef MLFLOWHA_HTTP_IMPL_FILE_TRANSFER_IPP
#define MLFLOWHA_HTTP_IMPL_FILE_TRANSFER_IPP

// The files of one attempt: where a request's body comes from, where an answer's goes. Used by CurlExchange, inside of
// libcurl's callbacks: reading and writing allocate nothing and only remember what went wrong; fault() puts it in
// words.

#include <mlflowha/core/error.hpp>
#include <mlflowha/http/message.hpp>

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace detail {

/// A descriptor of its own. Not copied.
class TransferFile {
 public:
  TransferFile() noexcept = default;
  TransferFile(const TransferFile&) = delete;
  TransferFile& operator=(const TransferFile&) = delete;
  ~TransferFile() { close(); }

  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  /// errno of a close that failed: on some file systems that is where a write shows its fault.
  int close() noexcept {
    if (fd_ < 0) return 0;
    return ::close(std::exchange(fd_, -1)) != 0 ? errno : 0;
  }

 protected:
  int fd_ = -1;
};

[[nodiscard]] inline std::string words_of(int system) { return std::system_category().message(system); }

/// Reads a FileBody from its beginning to its end.
class FileSource : public TransferFile {
 public:
  /// Why the body can't be had, or "".
  [[nodiscard]] std::string open(const FileBody& body) {
    close();
    sent_ = 0;
    error_ = 0;
    shrunk_ = false;
    // Non-blocking, or a FIFO by that name would be waited for; it means nothing to a regular file.
    fd_ = ::open(body.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0) return fmt::format("the file \"{}\" can't be opened: {}", sanitize(body.path, 200), words_of(errno));
    struct ::stat about{};
    std::string fault;
    if (::fstat(fd_, &about) != 0) {
      fault = fmt::format("the file \"{}\" can't be read: {}", sanitize(body.path, 200), words_of(errno));
    } else if (!S_ISREG(about.st_mode)) {
      fault = fmt::format("\"{}\" is no regular file", sanitize(body.path, 200));
    } else {
      const auto there = static_cast<std::uint64_t>(about.st_size);
      if (body.offset > there || body.size > there - body.offset) {
        fault = fmt::format("the file \"{}\" has {} bytes; expected at least {} from byte {} on",
                            sanitize(body.path, 200), there, body.size, body.offset);
      } else if (body.whole && body.size < there - body.offset) {
        fault = fmt::format("the file \"{}\" has {} bytes; expected {}: it has changed since the call began",
                            sanitize(body.path, 200), there, body.offset + body.size);
      }
    }
    if (!fault.empty()) close();
    return fault;
  }

  /// Up to `size` bytes of what is left; 0 at the end, or when they can't be had: see failed().
  [[nodiscard]] std::size_t read(const FileBody& body, char* buffer, std::size_t size) noexcept {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(size, body.size - sent_));
    if (part == 0) return 0;
    ssize_t count = 0;
    do {
      count = ::pread(fd_, buffer, part, static_cast<off_t>(body.offset + sent_));
    } while (count < 0 && errno == EINTR);
    if (count < 0) error_ = errno;
    if (count == 0) shrunk_ = true;
    if (count <= 0) return 0;
    sent_ += static_cast<std::uint64_t>(count);
    return static_cast<std::size_t>(count);
  }

  [[nodiscard]] bool failed() const noexcept { return error_ != 0 || shrunk_; }
  [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }
  [[nodiscard]] std::string fault(const FileBody& body) const {
    const std::string path = sanitize(body.path, 200);
    if (error_ != 0) return fmt::format("the file \"{}\" can't be read at byte {}: {}", path, sent_, words_of(error_));
    return fmt::format(
        "the file \"{}\" has shrunk while it was sent: it ends {} bytes before the {} that were announced", path,
        body.size - sent_, body.size);
  }

 private:
  std::uint64_t sent_ = 0;
  int error_ = 0;
  bool shrunk_ = false;
};

/// Writes the body of an answer.
class FileSink : public TransferFile {
 public:
  void reset() noexcept {
    close();
    error_ = 0;
  }
  /// False when it can't be made: see failed().
  [[nodiscard]] bool open(const std::string& path) noexcept {
    reset();
    fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd_ < 0) error_ = errno;
    return fd_ >= 0;
  }
  [[nodiscard]] bool write(const char* data, std::size_t size) noexcept {
    while (size > 0) {
      const ssize_t count = ::write(fd_, data, size);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        error_ = errno;
        return false;
      }
      data += count;
      size -= static_cast<std::size_t>(count);
    }
    return true;
  }
  /// False when something written before has not arrived.
  [[nodiscard]] bool finish() noexcept {
    if (const int failed = close(); failed != 0 && error_ == 0) error_ = failed;
    return error_ == 0;
  }

  [[nodiscard]] bool failed() const noexcept { return error_ != 0; }
  [[nodiscard]] std::string fault(const std::string& path) const {
    return fmt::format("the file \"{}\" can't be written: {}", sanitize(path, 200), words_of(error_));
  }

 private:
  int error_ = 0;
};

}  // namespace detail
MLFLOWHA_END_NAMESPACE

#endif
