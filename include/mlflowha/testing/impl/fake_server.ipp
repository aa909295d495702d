#ifndef MLFLOWHA_TESTING_IMPL_FAKE_SERVER_IPP
#define MLFLOWHA_TESTING_IMPL_FAKE_SERVER_IPP

#include <mlflowha/testing/fake_server.hpp>
#include <mlflowha/testing/impl/backend_names.ipp>
#include <mlflowha/testing/impl/http_front.ipp>

#include <atomic>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

namespace detail {

class FakeServerState {
 public:
  FakeServerState(std::shared_ptr<FakeBackend> backend, const FakeServerOptions& options)
      : backend_(std::move(backend)),
        latency_(options.latency),
        version_(options.version.value_or(backend_->version())) {
    const bool basic = !options.username.empty();
    if (basic == options.password.empty() || (basic && !options.bearer.empty())) {
      mlflowha::detail::throw_exception(
          invalid_argument("FakeServerOptions: expected username and password, or bearer, or none of them"));
    }
    if (basic) {
      authorization_ = "Basic " + base64_of(options.username + ":" + options.password);
      challenge_ = "Basic realm=\"mlflow\"";
    } else if (!options.bearer.empty()) {
      authorization_ = "Bearer " + options.bearer;
      challenge_ = "Bearer";
    }
    const bool old = version_ == ServerVersion::v2;
    FrontOptions front_options;
    front_options.port = options.port;
    front_options.faults = options.faults;
    front_options.seed = options.seed;
    front_options.keep_alive = options.keep_alive.value_or(!old);
    front_options.apply_abandoned = options.apply_abandoned.value_or(old);
    front_ = std::make_unique<HttpFront>(
        std::move(front_options),
        [this](const WireMessage& request, const HttpFront::Deliver& deliver) { return handle(request, deliver); });
    front_->start();
  }

  [[nodiscard]] const std::shared_ptr<FakeBackend>& backend() const noexcept { return backend_; }

  [[nodiscard]] HttpFront& front() noexcept { return *front_; }
  void set_version(ServerVersion version) noexcept { version_ = version; }

 private:
  HttpFront::Abandon handle(const WireMessage& request, const HttpFront::Deliver& deliver) {
    WireAnswer answer = answer_to(request);
    if (latency_ <= Duration::zero()) {
      deliver(std::move(answer));
    } else {
      front_->later(latency_, [deliver, answer = std::move(answer)] { deliver(answer); });
    }
    return nullptr;
  }

  WireAnswer answer_to(const WireMessage& wire) {
    WireAnswer answer;
    if (!authorization_.empty() && wire.target != "/health" && wire.header("authorization") != authorization_) {
      answer.status = 401;
      answer.headers = {{"Content-Type", "text/html; charset=utf-8"}, {"WWW-Authenticate", challenge_}};
      answer.body = "You are not authenticated.";
      return answer;
    }
    Request request;
    const std::pair<std::string_view, Method> methods[] = {{"GET", Method::get},     {"HEAD", Method::get},
                                                           {"POST", Method::post},   {"PUT", Method::put},
                                                           {"PATCH", Method::patch}, {"DELETE", Method::del}};
    bool known = false;
    for (const auto& [name, method] : methods) {
      if (wire.method != name) continue;
      request.method = method;
      known = true;
    }
    if (!known) {
      FaultAction refused;
      refused.status = 405;
      return answer_of(refused);
    }
    request.target = wire.target;
    request.headers = wire.headers;
    request.body = wire.body;
    request.content_type = wire.header("content-type");
    Response response = backend_->handle(request, system_clock()->wall_now(), version_);
    answer.status = response.status;
    answer.headers = std::move(response.headers);
    answer.body = std::move(response.body);
    return answer;
  }

  const std::shared_ptr<FakeBackend> backend_;
  const Duration latency_;
  std::atomic<ServerVersion> version_;
  std::string authorization_;
  std::string challenge_;
  std::unique_ptr<HttpFront> front_;  // last: its thread uses all of the above until it is gone
};

}  // namespace detail

MLFLOWHA_INLINE FakeServer::FakeServer(std::shared_ptr<FakeBackend> backend, const FakeServerOptions& options)
    : state_(std::make_unique<detail::FakeServerState>(std::move(backend), options)) {}

MLFLOWHA_INLINE FakeServer::~FakeServer() = default;

MLFLOWHA_INLINE std::uint16_t FakeServer::port() const noexcept { return state_->front().port(); }

MLFLOWHA_INLINE Uri FakeServer::endpoint() const {
  Uri uri;
  uri.scheme = "http";
  uri.host = "127.0.0.1";
  uri.port = port();
  return uri;
}

MLFLOWHA_INLINE std::string FakeServer::url() const { return endpoint().base(); }

MLFLOWHA_INLINE const std::shared_ptr<FakeBackend>& FakeServer::backend() const noexcept { return state_->backend(); }

MLFLOWHA_INLINE void FakeServer::stop() { state_->front().shut(false); }
MLFLOWHA_INLINE void FakeServer::kill() { state_->front().shut(true); }
MLFLOWHA_INLINE void FakeServer::start() { state_->front().start(); }
MLFLOWHA_INLINE void FakeServer::pause() { state_->front().pause(); }
MLFLOWHA_INLINE void FakeServer::resume() { state_->front().resume(); }
MLFLOWHA_INLINE bool FakeServer::running() const { return state_->front().running(); }

MLFLOWHA_INLINE void FakeServer::set_version(ServerVersion version) { state_->set_version(version); }
MLFLOWHA_INLINE void FakeServer::set_faults(FaultScript script) { state_->front().set_faults(std::move(script)); }
MLFLOWHA_INLINE std::vector<FaultCount> FakeServer::fault_counts() const { return state_->front().injector().counts(); }
MLFLOWHA_INLINE std::uint64_t FakeServer::requests() const { return state_->front().injector().requests(); }
MLFLOWHA_INLINE std::uint64_t FakeServer::connections() const { return state_->front().injector().connections(); }

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
