#ifndef MLFLOWHA_TESTS_SUPPORT_RAW_SERVER_HPP
#define MLFLOWHA_TESTS_SUPPORT_RAW_SERVER_HPP

// RawServer: a TCP server that does to its clients whatever a script says, byte by byte. An HTTP library would be too
// well-behaved for the fault suite. The script runs once per connection, on a thread of that connection:
//
//   RawServer server([](RawConnection& peer) {
//     while (peer.read_request()) peer.send(ok_answer("hello"));
//   });
//   transport->perform(server.uri(), ...);
//   CHECK(server.requests().size() == 1);
//
// The destructor breaks every connection and joins every thread, so a script needs no way out of its own.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <mlflowha/core/uri.hpp>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace mlflowha_tests {

/// The bytes of one connection; TLS servers wrap them.
class Channel {
 public:
  explicit Channel(int fd) : fd_(fd) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  virtual ~Channel() = default;
  /// Bytes read; 0 or less = the end.
  virtual long read(char* buffer, std::size_t size) { return static_cast<long>(::recv(fd_, buffer, size, 0)); }
  virtual long write(const char* data, std::size_t size) {
    return static_cast<long>(::send(fd_, data, size, MSG_NOSIGNAL));
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

struct RawRequest {
  std::string head;  ///< request line and header lines, without the empty line
  std::string body;
  int connection = 0;  ///< which connection it came on, from 0
};

inline std::string answer(int status, std::string_view headers, std::string_view body) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + std::string(headers) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}
inline std::string ok_answer(std::string_view body = "{}") {
  return answer(200, "Content-Type: application/json\r\n", body);
}

class RawServer;

/// One accepted connection, in the hands of the script.
class RawConnection {
 public:
  RawConnection(RawServer& server, std::unique_ptr<Channel> channel, int index)
      : server_(server), channel_(std::move(channel)), index_(index) {}

  [[nodiscard]] int index() const { return index_; }
  /// The next request with its whole body (by Content-Length), recorded in the server; nothing when the peer is gone.
  std::optional<RawRequest> read_request();
  /// False when the peer is gone.
  bool send(std::string_view text) {
    while (!text.empty()) {
      const long written = channel_->write(text.data(), text.size());
      if (written <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }
  /// Reads `count` bytes, whatever they are, and throws them away; false when the peer is gone before. For scripts that
  /// give up in the middle of a request, or that must not keep it.
  bool skip(std::size_t count) {
    std::array<char, 65536> part{};
    while (count > 0) {
      const long got = channel_->read(part.data(), std::min(part.size(), count));
      if (got <= 0) return false;
      count -= static_cast<std::size_t>(got);
    }
    return true;
  }
  /// Waits until the peer has closed; what it still sends is thrown away.
  void wait_closed() {
    std::array<char, 4096> rest{};
    while (channel_->read(rest.data(), rest.size()) > 0) {
    }
  }
  /// Waits until the peer has closed, but no longer than `limit`: true when it has. For scripts that keep a pace.
  bool closed_within(std::chrono::milliseconds limit) {
    pollfd watched{channel_->fd(), POLLRDHUP, 0};
    return ::poll(&watched, 1, static_cast<int>(limit.count())) > 0;
  }
  /// Makes the close at the end of the script a reset.
  void reset_on_close() {
    const linger now{1, 0};
    (void)::setsockopt(channel_->fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }

 private:
  RawServer& server_;
  std::unique_ptr<Channel> channel_;
  int index_;
  std::string buffer_;
};

class RawServer {
 public:
  using Script = std::function<void(RawConnection&)>;
  /// Makes the channel of an accepted socket; null = the handshake failed.
  using Wrap = std::function<std::unique_ptr<Channel>(int fd)>;

  explicit RawServer(Script script, Wrap wrap = {}, const char* scheme = "http")
      : script_(std::move(script)), wrap_(std::move(wrap)), scheme_(scheme) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (listener_ < 0 || ::bind(listener_, generic, size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, generic, &size) != 0 || ::pipe(stop_.data()) != 0) {
      throw std::runtime_error("RawServer: no socket");
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;
  ~RawServer() { stop(); }

  /// Ends all connections and frees the port. Further connects are refused.
  void stop() {
    if (listener_ < 0) return;
    (void)!::write(stop_[1], "x", 1);
    acceptor_.join();
    ::close(listener_);
    listener_ = -1;
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) (void)::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    ::close(stop_[0]);
    ::close(stop_[1]);
  }

  [[nodiscard]] mlflowha::Uri uri(std::string prefix = "") const {
    return {scheme_, "127.0.0.1", port_, std::move(prefix)};
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

  [[nodiscard]] std::vector<RawRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  [[nodiscard]] int connections() const {
    const std::lock_guard lock(mutex_);
    return accepted_;
  }
  /// Waits until `count` requests were read completely; false after `limit`.
  [[nodiscard]] bool wait_for_requests(std::size_t count, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return requests_.size() >= count; });
  }
  /// Waits until `count` scripts have ended.
  [[nodiscard]] bool wait_for_ended(int count, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return ended_ >= count; });
  }

 private:
  friend class RawConnection;

  void record(const RawRequest& request) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    changed_.notify_all();
  }

  void accept_all() {
    for (;;) {
      std::array<pollfd, 2> watched{{{listener_, POLLIN, 0}, {stop_[0], POLLIN, 0}}};
      if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) return;
      if (watched[1].revents != 0) return;
      if (watched[0].revents == 0) continue;
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      const int index = accepted_++;
      changed_.notify_all();
      threads_.emplace_back([this, fd, index] { serve(fd, index); });
    }
  }

  void serve(int fd, int index) {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, nullptr);  // OpenSSL writes without MSG_NOSIGNAL
    {
      std::unique_ptr<Channel> channel = wrap_ ? wrap_(fd) : std::make_unique<Channel>(fd);
      if (channel != nullptr) {
        RawConnection connection(*this, std::move(channel), index);
        script_(connection);
      }
    }
    const std::lock_guard lock(mutex_);
    std::erase(open_, fd);
    ::close(fd);
    ++ended_;
    changed_.notify_all();
  }

  const Script script_;
  const Wrap wrap_;
  const char* scheme_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::array<int, 2> stop_{};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int> open_;
  std::vector<RawRequest> requests_;
  int accepted_ = 0;
  int ended_ = 0;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

inline std::optional<RawRequest> RawConnection::read_request() {
  std::array<char, 16384> part{};
  const auto more = [&] {
    const long count = channel_->read(part.data(), part.size());
    if (count <= 0) return false;
    buffer_.append(part.data(), static_cast<std::size_t>(count));
    return true;
  };
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!more()) return std::nullopt;
  }
  RawRequest request;
  request.connection = index_;
  request.head = buffer_.substr(0, end);
  std::size_t length = 0;
  const std::size_t field = request.head.find("\r\nContent-Length: ");
  if (field != std::string::npos) length = std::stoul(request.head.substr(field + 18));
  while (buffer_.size() < end + 4 + length) {
    if (!more()) return std::nullopt;
  }
  request.body = buffer_.substr(end + 4, length);
  buffer_.erase(0, end + 4 + length);
  server_.record(request);
  return request;
}

}  // namespace mlflowha_tests

#endif
