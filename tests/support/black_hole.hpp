#ifndef MLFLOWHA_TESTS_SUPPORT_BLACK_HOLE_HPP
#define MLFLOWHA_TESTS_SUPPORT_BLACK_HOLE_HPP

// BlackHole: an address on this machine where a connect neither succeeds nor fails, as with a firewall that drops
// packets or a host that is gone. A listener whose queue is full and that never accepts.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <mlflowha/core/uri.hpp>
#include <stdexcept>
#include <vector>

namespace mlflowha_tests {

class BlackHole {
 public:
  BlackHole() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (listener_ < 0 || ::bind(listener_, generic, size) != 0 || ::listen(listener_, 0) != 0 ||
        ::getsockname(listener_, generic, &size) != 0) {
      throw std::runtime_error("BlackHole: no socket");
    }
    port_ = ntohs(address.sin_port);
    // Fill the queue: the first connects succeed at once, then one hangs.
    for (int i = 0; i < 64; ++i) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      fill_.push_back(fd);
      if (::connect(fd, generic, size) == 0) continue;
      pollfd watched{fd, POLLOUT, 0};
      if (::poll(&watched, 1, 100) == 0) return;
    }
    throw std::runtime_error("BlackHole: the queue never filled");
  }
  BlackHole(const BlackHole&) = delete;
  BlackHole& operator=(const BlackHole&) = delete;
  ~BlackHole() {
    for (const int fd : fill_) ::close(fd);
    ::close(listener_);
  }

  [[nodiscard]] mlflowha::Uri uri() const { return {"http", "127.0.0.1", port_, ""}; }

 private:
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::vector<int> fill_;
};

/// An address where nobody listens.
inline mlflowha::Uri refused_uri() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const bool bound = fd >= 0 && ::bind(fd, generic, size) == 0 && ::getsockname(fd, generic, &size) == 0;
  ::close(fd);
  if (!bound) throw std::runtime_error("refused_uri: no socket");
  return {"http", "127.0.0.1", ntohs(address.sin_port), ""};
}

}  // namespace mlflowha_tests

#endif
