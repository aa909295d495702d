#ifndef MLFLOWHA_TESTING_IMPL_HTTP_FRONT_IPP
#define MLFLOWHA_TESTING_IMPL_HTTP_FRONT_IPP

// HttpFront: what FakeServer and FaultProxy have in common. It listens on a port of 127.0.0.1, reads requests, asks the
// FaultInjector what shall go wrong, lets somebody else make the answers and sends them, whole or spoiled.

#include <mlflowha/testing/fault_injector.hpp>
#include <mlflowha/testing/impl/event_loop.ipp>
#include <mlflowha/testing/impl/http_wire.ipp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <atomic>
#include <cstring>
#include <optional>
#include <unordered_set>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

struct WireAnswer {
  int status = 200;
  std::string reason;
  std::vector<Header> headers;
  std::string body;
  std::optional<std::uint64_t> head_length;  ///< answering HEAD: the length that the body would have
};

/// The answer that a status action stands for.
MLFLOWHA_INLINE WireAnswer answer_of(const FaultAction& action) {
  WireAnswer answer;
  answer.status = action.status;
  answer.headers = action.headers;
  const auto is_type = [](const Header& header) { return same_name(header.name, "content-type"); };
  const bool typed = std::any_of(answer.headers.begin(), answer.headers.end(), is_type);
  if (action.body) {
    answer.body = *action.body;
  } else {
    answer.body = fmt::format("<html><head><title>{0} {1}</title></head><body><h1>{0} {1}</h1></body></html>\n",
                              action.status, reason_phrase(action.status));
    if (!typed) answer.headers.push_back({"Content-Type", "text/html"});
  }
  return answer;
}

/// Not HTTP at all: what a TLS server says to a plain client, more or less.
inline constexpr std::string_view garbage_bytes = "\x15\x03\x01\x02\x28 this is no HTTP \xff\xfe\r\n\r\n";

struct FrontOptions {
  std::uint16_t port = 0;
  FaultScript faults;
  std::uint64_t seed = 1;
  bool keep_alive = true;
  bool apply_abandoned = false;  ///< a request whose client has gone by the time it is read is handled all the same
};

class HttpFront {
 public:
  /// Takes the answer, or nothing when there is none and the client shall see a dead connection.
  using Deliver = std::function<void(std::optional<WireAnswer>)>;
  using Abandon = std::function<void()>;
  /// Makes the answer, now or later, on the loop's thread. May return something to call when nobody waits for it any
  /// more.
  using Handler = std::function<Abandon(const WireMessage& request, Deliver deliver)>;

  HttpFront(FrontOptions options, Handler handler)
      : options_(std::move(options)),
        injector_(std::move(options_.faults), options_.seed, EventLoop::now()),
        handler_(std::move(handler)) {
    reserve_port();
  }
  ~HttpFront() { shut(false); }

  EventLoop& loop() noexcept { return loop_; }
  FaultInjector& injector() noexcept { return injector_; }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  void start() {
    run([this] {
      if (running_) return;
      running_ = true;
      paused_ = false;
      update_listener();
    });
  }
  /// Closes everything; with `hard` as a killed process does it (RST).
  void shut(bool hard) {
    run([this, hard] {
      running_ = false;
      ++epoch_;
      close_listener();
      drop_all(hard);
      deferred_.clear();
    });
  }
  /// Nothing is accepted, read, handled or sent until resume; the kernel goes on taking connections.
  void pause() {
    run([this] {
      paused_ = true;
      if (listener_) loop_.set_events(listener_.get(), 0);
      for (const auto& connection : connections_) loop_.set_events(connection->fd.get(), 0);
    });
  }
  void resume() {
    run([this] {
      if (!std::exchange(paused_, false)) return;
      update_listener();
      for (const auto& action : std::exchange(deferred_, {})) action();
    });
  }
  [[nodiscard]] bool running() {
    bool value = false;
    run([&] { value = running_; });
    return value;
  }
  void set_faults(FaultScript script) {
    run([&] {
      injector_.replace(std::move(script), EventLoop::now());
      if (running_ && !paused_) update_listener();
    });
  }
  /// Actions at a later time: not while paused, and never after the server was shut.
  void later(Duration delay, EventLoop::Action action) {
    loop_.at(Deadline::after(EventLoop::now(), delay).at(),
             [this, epoch = epoch_, action = std::move(action)]() mutable {
               if (epoch != epoch_) return;
               if (paused_) {
                 deferred_.push_back(std::move(action));
               } else {
                 action();
               }
             });
  }

 private:
  struct Connection {
    Fd fd;
    std::uint64_t number = 0;
    WireReader reader{WireReader::Kind::request};
    std::string out;
    double bytes_per_second = 0;  // of `out`; 0 = as fast as it goes
    bool dripping = false;        // a timer will send the next bytes
    bool busy = false;            // a request is being dealt with
    bool silent = false;          // nothing will be sent any more
    bool close_after_send = false;
    bool peer_gone = false;
    Abandon abandon;
  };
  using ConnectionPtr = std::shared_ptr<Connection>;

  void run(const EventLoop::Action& action) { loop_.run_and_wait(action); }

  // --- listening
  // -------------------------------------------------------------------------------------------------------

  [[nodiscard]] static Fd make_socket() {
    Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
    if (!fd) throw_system_error("socket", errno);
    make_nonblocking(fd.get());
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return fd;
  }
  [[nodiscard]] static sockaddr_in local_address(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  static int bind_to(const Fd& fd, std::uint16_t port) {
    const sockaddr_in address = local_address(port);
    return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
  }

  /// A socket that is bound but never listens keeps the port ours while the server is down.
  void reserve_port() {
    holder_ = make_socket();
    if (const int code = bind_to(holder_, options_.port); code != 0) {
      throw_system_error(fmt::format("can't bind 127.0.0.1:{}", options_.port), code);
    }
    sockaddr_in address{};
    socklen_t length = sizeof address;
    ::getsockname(holder_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }

  void close_listener() {
    if (listener_) loop_.unwatch(listener_.get());
    listener_.reset();
    fillers_.clear();
  }

  void open_listener() {
    if (listener_) return;
    Fd fd = make_socket();
    // Connections that were made before the listener closed may stand in the way for a moment.
    if (bind_to(fd, port_) != 0 || ::listen(fd.get(), SOMAXCONN) != 0) {
      later(std::chrono::milliseconds(10), [this] { update_listener(); });
      return;
    }
    listener_ = std::move(fd);
    loop_.watch(listener_.get(), POLLIN, [this](short) { accept_all(); });
  }

  /// Follows the rules that close or freeze the listener as a whole.
  void update_listener() {
    if (!running_ || paused_) return;
    const FaultInjector::ListenerState state = injector_.listener(EventLoop::now());
    frozen_ = state.kind == FaultKind::connect_hang;
    if (state.kind == FaultKind::refuse) {
      close_listener();
      drop_all(false);  // who refuses connections doesn't serve those that it had
    } else if (frozen_) {
      open_listener();
      hang_listener();
    } else {
      fillers_.clear();
      open_listener();
      if (listener_) {
        ::listen(listener_.get(), SOMAXCONN);
        loop_.set_events(listener_.get(), POLLIN);
      }
    }
    for (const auto& connection : connections_) update_events(*connection);
    const std::uint64_t turn = ++listener_turn_;
    if (state.next_change != TimePoint::max()) {
      later(state.next_change - EventLoop::now(), [this, turn] {
        if (turn == listener_turn_) update_listener();
      });
    }
  }

  /// Nobody accepts and the queue of the kernel is full: it drops further SYNs, and who connects hears nothing.
  void hang_listener() {
    if (!listener_) return;
    loop_.set_events(listener_.get(), 0);
    ::listen(listener_.get(), 0);
    constexpr std::size_t enough_for_a_backlog_of_0 = 4;
    while (fillers_.size() < enough_for_a_backlog_of_0) {
      Fd filler = make_socket();
      const sockaddr_in address = local_address(port_);
      static_cast<void>(::connect(filler.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
      fillers_.push_back(std::move(filler));
    }
  }

  void accept_all() {
    while (listener_ && !paused_) {
      Fd fd(::accept(listener_.get(), nullptr, nullptr));
      if (!fd) return;
      make_nonblocking(fd.get());
      const int on = 1;
      ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const auto connection = std::make_shared<Connection>();
      connection->fd = std::move(fd);
      const FaultPlan plan = injector_.on_connection(EventLoop::now());
      connection->number = injector_.connections();
      if (plan.action.kind == FaultKind::refuse) {
        finish(*connection, true);
        continue;
      }
      connection->silent = plan.action.kind == FaultKind::connect_hang;
      connections_.insert(connection);
      loop_.watch(connection->fd.get(), POLLIN, [this, weak = std::weak_ptr(connection)](short events) {
        if (const ConnectionPtr strong = weak.lock()) on_events(strong, events);
      });
    }
  }

  // --- connections
  // -----------------------------------------------------------------------------------------------------

  void finish(Connection& connection, bool hard) {
    if (!connection.fd) return;
    loop_.unwatch(connection.fd.get());
    if (hard) {
      const linger at_once{1, 0};
      ::setsockopt(connection.fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    connection.fd.reset();
    if (connection.abandon) std::exchange(connection.abandon, nullptr)();
  }
  void drop(const ConnectionPtr& connection, bool hard = false) {
    connections_.erase(connection);
    finish(*connection, hard);
  }

  void drop_all(bool hard) {
    const auto connections = std::exchange(connections_, {});
    for (const auto& connection : connections) finish(*connection, hard);
  }
  /// No byte comes in or goes out: the process is paused, or the network between is gone.
  [[nodiscard]] bool held() const noexcept { return paused_ || frozen_; }

  void update_events(Connection& connection) {
    if (!connection.fd) return;
    short events = 0;
    if (!connection.peer_gone) events |= POLLIN;
    if (!connection.out.empty() && !connection.dripping) events |= POLLOUT;
    loop_.set_events(connection.fd.get(), held() ? short{0} : events);
  }

  void on_events(const ConnectionPtr& connection, short events) {
    if (held()) return;  // since after the events were found
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && !read_all(connection)) return;
    if ((events & POLLOUT) != 0) send_some(connection);
  }

  /// False when the connection is over.
  bool read_all(const ConnectionPtr& connection) {
    char bytes[64 * 1024];
    bool ended = false;
    for (;;) {
      const ssize_t count = ::recv(connection->fd.get(), bytes, sizeof bytes, 0);
      if (count > 0) {
        connection->reader.add({bytes, static_cast<std::size_t>(count)});
        continue;
      }
      if (count < 0 && errno == EINTR) continue;
      ended = count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
      break;
    }
    if (ended) connection->peer_gone = true;
    if (ended && (connection->busy || connection->silent)) {
      drop(connection);
      return false;
    }
    if (!connection->busy && !connection->silent) read_request(connection);
    if (ended && connection->fd && !connection->busy) drop(connection);
    if (connection->fd) update_events(*connection);
    return static_cast<bool>(connection->fd);
  }

  void read_request(const ConnectionPtr& connection) {
    const WireReader::State state = connection->reader.advance();
    if (connection->reader.take_continue() && state == WireReader::State::incomplete) {
      connection->out += "HTTP/1.1 100 Continue\r\n\r\n";
      send_some(connection);
      return;
    }
    if (state == WireReader::State::broken) {
      FaultAction bad;
      bad.status = 400;
      connection->close_after_send = true;
      connection->busy = true;
      return send(connection, answer_of(bad), FaultPlan{}, WireMessage{});
    }
    if (state != WireReader::State::complete) return;
    WireMessage request = connection->reader.take();
    if (connection->peer_gone && !options_.apply_abandoned) return;
    connection->busy = true;
    if (request.wants_close() || !options_.keep_alive) connection->close_after_send = true;
    serve(connection, std::move(request));
  }

  // --- one request
  // -----------------------------------------------------------------------------------------------------

  void serve(const ConnectionPtr& connection, WireMessage request) {
    const FaultPlan plan = injector_.on_request(request.method, request.target, connection->number, EventLoop::now());
    const auto after_delay = [this, &plan](EventLoop::Action action) {
      if (plan.delay > Duration::zero()) {
        later(plan.delay, std::move(action));
      } else {
        action();
      }
    };
    switch (plan.action.kind) {
      case FaultKind::black_hole:
        connection->silent = true;
        return;
      case FaultKind::reset:
      case FaultKind::drop_before:
        return after_delay([this, connection, hard = plan.action.kind == FaultKind::reset] { drop(connection, hard); });
      case FaultKind::status:
        return after_delay([this, connection, plan, request = std::move(request)] {
          send(connection, answer_of(plan.action), plan, request);
        });
      case FaultKind::apply_late:
        later(mlflowha::detail::saturating_sum(plan.delay, plan.action.time), [this, request = std::move(request)] {
          static_cast<void>(handler_(request, [](const std::optional<WireAnswer>&) {}));
        });
        if (plan.action.silent) {
          connection->silent = true;
        } else {
          drop(connection);
        }
        return;
      default:
        return handle(connection, plan, std::move(request));
    }
  }

  void handle(const ConnectionPtr& connection, const FaultPlan& plan, WireMessage request) {
    const auto shared_request = std::make_shared<const WireMessage>(std::move(request));
    const std::weak_ptr<Connection> weak = connection;
    auto deliver = [this, weak, plan, shared_request](std::optional<WireAnswer> answer) {
      const ConnectionPtr strong = weak.lock();
      if (!strong || !strong->fd) return;
      strong->abandon = nullptr;
      EventLoop::Action finish_it = [this, weak, plan, shared_request, answer = std::move(answer)]() mutable {
        const ConnectionPtr still = weak.lock();
        if (!still || !still->fd) return;
        if (!answer) return drop(still, true);
        send(still, std::move(*answer), plan, *shared_request);
      };
      if (plan.delay > Duration::zero()) {
        later(plan.delay, std::move(finish_it));
      } else if (paused_) {
        deferred_.push_back(std::move(finish_it));
      } else {
        finish_it();
      }
    };
    Abandon abandon = handler_(*shared_request, std::move(deliver));
    // What is applied on purpose goes through even if the client does not wait.
    const bool must_apply =
        plan.action.kind == FaultKind::apply_then_drop || plan.action.kind == FaultKind::apply_then_status;
    if (connection->fd && connection->busy && !must_apply) connection->abandon = std::move(abandon);
  }

  void send(const ConnectionPtr& connection, WireAnswer answer, const FaultPlan& plan, const WireMessage& request) {
    if (!connection->fd) return;
    if (plan.action.kind == FaultKind::apply_then_drop) return drop(connection);
    if (plan.action.kind == FaultKind::apply_then_status) answer = answer_of(plan.action);
    connection->bytes_per_second = plan.bytes_per_second;
    if (plan.action.kind == FaultKind::garbage) {
      connection->close_after_send = true;
      connection->out += garbage_bytes;
      return send_some(connection);
    }
    const bool by_status = answer.status == 204 || answer.status == 304;
    std::uint64_t announced = answer.body.size();
    if (request.method == "HEAD") {
      announced = answer.head_length.value_or(answer.body.size());
      answer.body.clear();
    }
    if (plan.action.kind == FaultKind::truncate) {
      const auto limit = static_cast<std::uint64_t>(plan.action.bytes);
      if (limit < answer.body.size()) {
        answer.body.resize(limit);
        connection->close_after_send = true;
      }
    }
    if (plan.action.kind == FaultKind::wrong_length) {
      const std::int64_t wrong = static_cast<std::int64_t>(announced) + plan.action.bytes;
      announced = wrong < 0 ? 0 : static_cast<std::uint64_t>(wrong);
      // Announcing too much means that the client waits for the rest.
      if (plan.action.bytes > 0) connection->silent = true;
    }
    const std::string_view reason = answer.reason.empty() ? reason_phrase(answer.status) : answer.reason;
    connection->out += fmt::format("HTTP/1.1 {} {}\r\n", answer.status, reason);
    connection->out += wire_headers(answer.headers, by_status ? std::nullopt : std::optional(announced),
                                    connection->close_after_send && plan.action.kind != FaultKind::truncate);
    connection->out += answer.body;
    send_some(connection);
  }

  void send_some(const ConnectionPtr& connection) {
    if (held()) return;  // update_events will ask for POLLOUT
    while (!connection->out.empty()) {
      if (connection->dripping) return;
      std::size_t portion = connection->out.size();
      if (connection->bytes_per_second > 0) portion = std::min(portion, drip_portion(*connection));
      const ssize_t count = ::send(connection->fd.get(), connection->out.data(), portion, MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      if (count < 0) return drop(connection);
      connection->out.erase(0, static_cast<std::size_t>(count));
      if (connection->bytes_per_second > 0 && !connection->out.empty())
        drip_next(connection, static_cast<double>(count));
    }
    if (connection->out.empty() && connection->busy && !connection->silent) return end_request(connection);
    update_events(*connection);
  }

  /// At most a hundred portions a second.
  static std::size_t drip_portion(const Connection& connection) {
    constexpr double portions_per_second = 100;
    return static_cast<std::size_t>(std::max(1.0, connection.bytes_per_second / portions_per_second));
  }
  void drip_next(const ConnectionPtr& connection, double sent) {
    connection->dripping = true;
    constexpr double a_year = 365.0 * 24 * 3600;
    const std::chrono::duration<double> pause(std::min(sent / connection->bytes_per_second, a_year));
    later(std::chrono::duration_cast<Duration>(pause), [this, weak = std::weak_ptr(connection)] {
      const ConnectionPtr strong = weak.lock();
      if (!strong || !strong->fd) return;
      strong->dripping = false;
      send_some(strong);
    });
  }

  void end_request(const ConnectionPtr& connection) {
    connection->busy = false;
    connection->bytes_per_second = 0;
    if (connection->close_after_send || connection->peer_gone) return drop(connection);
    update_events(*connection);
    if (connection->reader.empty()) return;
    // The next one has arrived already. Later, not from here: a thousand of them must not nest.
    later(Duration::zero(), [this, weak = std::weak_ptr(connection)] {
      const ConnectionPtr strong = weak.lock();
      if (strong && strong->fd && !strong->busy) read_request(strong);
    });
  }

  FrontOptions options_;
  FaultInjector injector_;
  const Handler handler_;
  std::uint16_t port_ = 0;
  // All of this belongs to the loop's thread.
  Fd holder_;
  Fd listener_;
  std::vector<Fd> fillers_;
  std::unordered_set<ConnectionPtr> connections_;
  std::vector<EventLoop::Action> deferred_;
  bool running_ = false;
  bool paused_ = false;
  bool frozen_ = false;
  std::uint64_t epoch_ = 0;
  std::uint64_t listener_turn_ = 0;
  EventLoop loop_;  // last: its thread ends before the rest goes
};

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
