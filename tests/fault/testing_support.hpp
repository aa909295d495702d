#ifndef MLFLOWHA_TESTS_FAULT_TESTING_SUPPORT_HPP
#define MLFLOWHA_TESTS_FAULT_TESTING_SUPPORT_HPP

// Clients for the tests of FakeServer and FaultProxy: CurlTransport, and a bare socket that shows every byte.

#include <mlflowha/http/curl_transport.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "support/catch.hpp"

namespace mlflowha_tests {

inline mlflowha::Request create_run_request() {
  mlflowha::Request request;
  request.method = mlflowha::Method::post;
  request.target = "/api/2.0/mlflow/runs/create";
  request.body = R"({"experiment_id": "0", "run_name": "r"})";
  return request;
}

/// One attempt over libcurl.
inline mlflowha::TransportResult attempt(const mlflowha::Uri& endpoint, const mlflowha::Request& request,
                                         mlflowha::Duration total = std::chrono::seconds(10)) {
  static const auto transport = mlflowha::make_curl_transport({}).value();
  return transport->perform(endpoint, request, {total, total}, {});
}

/// A connection to 127.0.0.1 without any comfort.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) error_ = errno;
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { close(); }

  [[nodiscard]] int error() const noexcept { return error_; }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count < 0 && error_ == 0) error_ = errno;  // a reset is reported once only
      if (count <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  /// What arrives until `text` is there, the connection ends or the patience does.
  std::string read_until(std::string_view text, std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    std::string seen;
    const auto end = std::chrono::steady_clock::now() + patience;
    while (text.empty() || seen.find(text) == std::string::npos) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      if (left.count() <= 0) break;
      pollfd poll_fd{fd_, POLLIN, 0};
      if (::poll(&poll_fd, 1, static_cast<int>(left.count())) <= 0) break;
      char bytes[4096];
      const ssize_t count = ::recv(fd_, bytes, sizeof bytes, 0);
      if (count < 0) error_ = errno;
      if (count <= 0) {
        closed_ = true;
        break;
      }
      seen.append(bytes, static_cast<std::size_t>(count));
    }
    return seen;
  }
  std::string read_all() { return read_until(""); }
  /// The other side has closed (after a read); error() is ECONNRESET when it did so with a reset.
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
  int error_ = 0;
  bool closed_ = false;
};

inline std::string raw_create_run() {
  const mlflowha::Request request = create_run_request();
  return "POST " + request.target + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(request.body.size()) + "\r\n\r\n" + request.body;
}

/// Waits until `condition` holds; a test that gives up after ten seconds fails by what it checks next.
template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace mlflowha_tests

#endif
