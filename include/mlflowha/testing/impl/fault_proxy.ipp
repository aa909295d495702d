#ifndef MLFLOWHA_TESTING_IMPL_FAULT_PROXY_IPP
#define MLFLOWHA_TESTING_IMPL_FAULT_PROXY_IPP

#include <mlflowha/testing/fault_proxy.hpp>
#include <mlflowha/testing/impl/http_front.ipp>

#include <netdb.h>

#include <atomic>
#include <unordered_set>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

namespace detail {

/// The exchange of one request with the server behind the proxy, on the loop's thread.
class UpstreamCall {
 public:
  using Done = std::function<void(std::optional<WireAnswer>)>;

  UpstreamCall(EventLoop& loop, std::string bytes, bool is_head, Done done)
      : loop_(loop), out_(std::move(bytes)), is_head_(is_head), done_(std::move(done)) {
    if (is_head) reader_.expect_no_body();
  }
  UpstreamCall(const UpstreamCall&) = delete;
  UpstreamCall& operator=(const UpstreamCall&) = delete;
  ~UpstreamCall() { close(); }

  void start(const sockaddr_storage& address, socklen_t length) {
    fd_ = Fd(::socket(address.ss_family, SOCK_STREAM, 0));
    if (!fd_) return finish(std::nullopt);
    make_nonblocking(fd_.get());
    const int on = 1;
    ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 && errno != EINPROGRESS) {
      return finish(std::nullopt);
    }
    loop_.watch(fd_.get(), POLLIN | POLLOUT, [this](short events) { on_events(events); });
  }
  void close() {
    if (fd_) loop_.unwatch(fd_.get());
    fd_.reset();
  }

 private:
  void finish(std::optional<WireAnswer> answer) {
    close();
    const Done done = std::exchange(done_, nullptr);
    if (done) done(std::move(answer));  // may destroy *this
  }

  void on_events(short events) {
    if ((events & POLLOUT) != 0 && !out_.empty()) {
      const ssize_t count = ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
      if (count > 0) out_.erase(0, static_cast<std::size_t>(count));
      if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return finish(std::nullopt);
      if (out_.empty()) loop_.set_events(fd_.get(), POLLIN);
    }
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) read();
  }

  void read() {
    char bytes[64 * 1024];
    bool ended = false;
    for (;;) {
      const ssize_t count = ::recv(fd_.get(), bytes, sizeof bytes, 0);
      if (count > 0) {
        reader_.add({bytes, static_cast<std::size_t>(count)});
        continue;
      }
      if (count < 0 && errno == EINTR) continue;
      ended = count == 0;
      if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return finish(std::nullopt);
      break;
    }
    switch (reader_.advance(ended)) {
      case WireReader::State::complete: {
        WireMessage message = reader_.take();
        WireAnswer answer;
        if (is_head_) {
          const std::string_view length = message.header("content-length");
          std::uint64_t value = 0;
          std::from_chars(length.data(), length.data() + length.size(), value);
          answer.head_length = value;
        }
        answer.status = message.status;
        answer.reason = std::move(message.reason);
        answer.headers = std::move(message.headers);
        answer.body = std::move(message.body);
        return finish(std::move(answer));
      }
      case WireReader::State::broken:
        return finish(std::nullopt);
      case WireReader::State::incomplete:
        if (ended) return finish(std::nullopt);
    }
  }

  EventLoop& loop_;
  Fd fd_;
  std::string out_;
  const bool is_head_;
  WireReader reader_{WireReader::Kind::answer};
  Done done_;
};

class FaultProxyState {
 public:
  FaultProxyState(const Uri& upstream, FaultProxyOptions options) : prefix_(upstream.prefix) {
    resolve(upstream);
    FrontOptions front_options;
    front_options.port = options.port;
    front_options.faults = std::move(options.faults);
    front_options.seed = options.seed;
    front_options.apply_abandoned = true;  // whether to apply it is for the server behind to decide
    front_ = std::make_unique<HttpFront>(std::move(front_options),
                                         [this](const WireMessage& request, HttpFront::Deliver deliver) {
                                           return forward(request, std::move(deliver));
                                         });
    front_->start();
  }
  ~FaultProxyState() { shut(false); }
  FaultProxyState(const FaultProxyState&) = delete;
  FaultProxyState& operator=(const FaultProxyState&) = delete;

  void shut(bool hard) {
    front_->shut(hard);
    front_->loop().run_and_wait([this] { calls_.clear(); });
  }

  [[nodiscard]] HttpFront& front() noexcept { return *front_; }

  std::atomic<std::uint64_t> forwarded{0};

 private:
  void resolve(const Uri& upstream) {
    const auto fail = [&](const std::string& why) {
      Error error;
      error.code = Errc::invalid_endpoint;
      error.message = fmt::format("fault proxy: server {}: {}", upstream.base(), why);
      mlflowha::detail::throw_exception(std::move(error));
    };
    if (upstream.scheme != "http") fail("only http can be proxied");
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int code = ::getaddrinfo(upstream.host.c_str(), fmt::format("{}", upstream.port).c_str(), &hints, &found);
    if (code != 0 || found == nullptr) fail(::gai_strerror(code));
    std::memcpy(&address_, found->ai_addr, found->ai_addrlen);
    address_length_ = found->ai_addrlen;
    ::freeaddrinfo(found);
  }

  HttpFront::Abandon forward(const WireMessage& request, HttpFront::Deliver deliver) {
    std::string bytes = fmt::format("{} {}{} HTTP/1.1\r\n", request.method, prefix_, request.target);
    const bool has_body = !request.body.empty() || !request.header("content-length").empty() ||
                          !request.header("transfer-encoding").empty();
    bytes += wire_headers(request.headers, has_body ? std::optional<std::uint64_t>(request.body.size()) : std::nullopt,
                          true);
    bytes += request.body;
    const std::uint64_t id = ++last_call_;
    auto call =
        std::make_shared<UpstreamCall>(front_->loop(), std::move(bytes), request.method == "HEAD",
                                       [this, id, deliver = std::move(deliver)](std::optional<WireAnswer> answer) {
                                         const auto keep = calls_.extract(id);  // alive until the end of this function
                                         if (answer) ++forwarded;
                                         deliver(std::move(answer));
                                       });
    calls_.emplace(id, call);
    call->start(address_, address_length_);
    return [this, id] { calls_.erase(id); };
  }

  const std::string prefix_;
  sockaddr_storage address_{};
  socklen_t address_length_ = 0;
  std::map<std::uint64_t, std::shared_ptr<UpstreamCall>> calls_;  // on the loop's thread
  std::uint64_t last_call_ = 0;
  std::unique_ptr<HttpFront> front_;  // last: its thread uses all of the above until it is gone
};

}  // namespace detail

MLFLOWHA_INLINE FaultProxy::FaultProxy(const Uri& upstream, FaultProxyOptions options)
    : state_(std::make_unique<detail::FaultProxyState>(upstream, std::move(options))) {}

MLFLOWHA_INLINE FaultProxy::~FaultProxy() = default;

MLFLOWHA_INLINE std::uint16_t FaultProxy::port() const noexcept { return state_->front().port(); }

MLFLOWHA_INLINE Uri FaultProxy::endpoint() const {
  Uri uri;
  uri.scheme = "http";
  uri.host = "127.0.0.1";
  uri.port = port();
  return uri;
}

MLFLOWHA_INLINE std::string FaultProxy::url() const { return endpoint().base(); }

MLFLOWHA_INLINE void FaultProxy::stop() { state_->shut(false); }
MLFLOWHA_INLINE void FaultProxy::kill() { state_->shut(true); }
MLFLOWHA_INLINE void FaultProxy::start() { state_->front().start(); }
MLFLOWHA_INLINE void FaultProxy::pause() { state_->front().pause(); }
MLFLOWHA_INLINE void FaultProxy::resume() { state_->front().resume(); }

MLFLOWHA_INLINE void FaultProxy::set_faults(FaultScript script) { state_->front().set_faults(std::move(script)); }
MLFLOWHA_INLINE std::vector<FaultCount> FaultProxy::fault_counts() const { return state_->front().injector().counts(); }
MLFLOWHA_INLINE std::uint64_t FaultProxy::requests() const { return state_->front().injector().requests(); }
MLFLOWHA_INLINE std::uint64_t FaultProxy::connections() const { return state_->front().injector().connections(); }
MLFLOWHA_INLINE std::uint64_t FaultProxy::forwarded() const noexcept { return state_->forwarded.load(); }

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
