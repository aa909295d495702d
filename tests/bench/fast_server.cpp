#include "fast_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <system_error>

namespace bench {

namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

std::string reply(std::string_view status, std::string_view body, std::string_view extra = {}) {
  // The header lines that MLflow 3 sends, so that the client has as much to read.
  std::string text = "HTTP/1.1 ";
  text += status;
  text +=
      "\r\ndate: Sat, 21 Nov 2026 12:00:00 GMT\r\nserver: uvicorn\r\ncontent-type: application/json\r\n"
      "x-content-type-options: nosniff\r\nx-frame-options: SAMEORIGIN\r\n";
  text += extra;
  text += "content-length: " + std::to_string(body.size()) + "\r\n\r\n";
  text += body;
  return text;
}

std::string_view header_value(std::string_view head, std::string_view lower_case_name) {
  for (std::size_t line = head.find("\r\n"); line != std::string_view::npos; line = head.find("\r\n", line + 2)) {
    const std::string_view rest = head.substr(line + 2);
    if (rest.size() <= lower_case_name.size() || rest[lower_case_name.size()] != ':') continue;
    bool same = true;
    for (std::size_t i = 0; same && i < lower_case_name.size(); ++i) {
      const char c = rest[i];
      same = (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) == lower_case_name[i];
    }
    if (!same) continue;
    std::string_view value = rest.substr(lower_case_name.size() + 1);
    value = value.substr(0, value.find("\r\n"));
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    return value;
  }
  return {};
}

const std::string& empty_object() {
  static const std::string text = reply("200 OK", "{}");
  return text;
}

const std::string& experiments() {
  static const std::string text = reply(
      "200 OK", R"({"experiments":[{"experiment_id":"0","name":"Default","artifact_location":"mlflow-artifacts:/0",)"
                R"("lifecycle_stage":"active","last_update_time":1700000000000,"creation_time":1700000000000}]})");
  return text;
}

}  // namespace

FastServer::FastServer(std::uint32_t fault_every) : fault_every_(fault_every) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (epoll_ < 0 || wake_ < 0) fail("epoll");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = wake_;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) != 0) fail("epoll_ctl");
}

FastServer::~FastServer() {
  for (const auto& entry : connections_) ::close(entry.first);
  for (const auto& entry : listeners_) ::close(entry.first);
  ::close(wake_);
  ::close(epoll_);
}

std::uint16_t FastServer::listen(Behaviour behaviour) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  listeners_.emplace(fd, behaviour);
  const int on = 1;
  (void)::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0) fail("bind");
  if (::listen(fd, 512) != 0) fail("listen");
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
  return ntohs(address.sin_port);
}

void FastServer::stop() noexcept {
  const std::uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);
}

void FastServer::run() {
  std::array<epoll_event, 128> events{};
  for (;;) {
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == wake_) return;
      if (const auto listener = listeners_.find(fd); listener != listeners_.end()) {
        accept_all(fd, listener->second);
      } else if (const auto found = connections_.find(fd); found != connections_.end()) {
        if (on_readable(*found->second) == After::close) drop(fd);
      }
    }
  }
}

void FastServer::accept_all(int listener, Behaviour behaviour) {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
    connections_.emplace(fd, std::make_unique<Connection>(Connection{fd, behaviour, {}, {}}));
  }
}

FastServer::After FastServer::on_readable(Connection& connection) {
  std::array<char, 16384> buffer;
  const ssize_t got = ::recv(connection.fd, buffer.data(), buffer.size(), 0);
  if (got == 0) return After::close;
  if (got < 0) return errno == EAGAIN || errno == EINTR ? After::keep : After::close;
  if (connection.behaviour == Behaviour::mute) return After::keep;
  connection.in.append(buffer.data(), static_cast<std::size_t>(got));
  return serve(connection);
}

FastServer::After FastServer::serve(Connection& connection) {
  for (;;) {
    const std::string_view in = connection.in;
    const std::size_t end = in.find("\r\n\r\n");
    if (end == std::string_view::npos) return After::keep;
    const std::string_view head = in.substr(0, end + 2);
    const std::string_view length_text = header_value(head, "content-length");
    std::size_t length = 0;
    (void)std::from_chars(length_text.data(), length_text.data() + length_text.size(), length);
    const std::size_t whole = end + 4 + length;
    if (in.size() < whole) return After::keep;

    const std::string_view line = head.substr(0, head.find("\r\n"));
    After after = After::keep;
    if (line.find("/mlflow/runs/log-metric ") != std::string_view::npos) {
      last_log_metric_.assign(in.substr(0, whole));
      const bool bad = connection.behaviour == Behaviour::faulty && ++faulty_requests_ % fault_every_ == 0;
      connection.in.erase(0, whole);
      after = bad ? answer_badly(connection) : answer(connection, empty_object());
    } else if (line.find("/mlflow/experiments/search") != std::string_view::npos) {
      connection.in.erase(0, whole);
      after = answer(connection, experiments());
    } else if (line.find(" /bench/last-log-metric ") != std::string_view::npos) {
      connection.in.erase(0, whole);
      after = answer(connection, reply("200 OK", last_log_metric_));
    } else {
      connection.in.erase(0, whole);
      after = answer(connection, reply("404 Not Found", R"({"error_code":"ENDPOINT_NOT_FOUND","message":"bench"})"));
    }
    if (after == After::close) return After::close;
  }
}

FastServer::After FastServer::answer(Connection& connection, const std::string& head_and_body) {
  connection.out = head_and_body;
  return flush(connection);
}

FastServer::After FastServer::answer_badly(Connection& connection) {
  switch (faults_++ % 6) {
    case 0:
      return After::close;  // applied, the reply lost
    case 1:
      (void)answer(connection, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 200\r\n\r\n{");
      return After::close;
    case 2:
      return answer(connection, reply("503 Service Unavailable",
                                      R"({"error_code":"TEMPORARILY_UNAVAILABLE","message":"database is locked"})"));
    case 3:
      return answer(connection, reply("502 Bad Gateway", "<html><h1>502 Bad Gateway</h1></html>"));
    case 4:
      return answer(connection,
                    reply("429 Too Many Requests", R"({"error_code":"REQUEST_LIMIT_EXCEEDED","message":"slow"})"));
    default:
      return answer(connection, "SMTP is not spoken here\r\n\r\n");
  }
}

FastServer::After FastServer::flush(Connection& connection) {
  // Answers are smaller than any socket buffer and the client reads each before it asks again, so this never blocks.
  const ssize_t sent = ::send(connection.fd, connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(connection.out.size()) ? After::keep : After::close;
}

void FastServer::drop(int fd) {
  connections_.erase(fd);
  ::close(fd);
}

}  // namespace bench
