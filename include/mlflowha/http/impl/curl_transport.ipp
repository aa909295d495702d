#ifndef MLFLOWHA_HTTP_IMPL_CURL_TRANSPORT_IPP
#define MLFLOWHA_HTTP_IMPL_CURL_TRANSPORT_IPP

#include <mlflowha/http/curl_transport.hpp>
#include <mlflowha/http/impl/curl_exchange.ipp>
#include <mlflowha/http/impl/curl_library.ipp>
#include <mlflowha/http/impl/curl_options.ipp>
#include <mlflowha/http/impl/curl_pool.ipp>
#include <mlflowha/http/impl/curl_probes.ipp>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE WaitHook::~WaitHook() = default;

namespace detail {

/// Everything of a transport that belongs to one process.
struct CurlProcessState {
  explicit CurlProcessState(const CurlSetup& setup) : pid(::getpid()), pool(setup), probes(setup) {}
  const pid_t pid;
  CurlSlotPool pool;
  CurlProbes probes;
};

class CurlTransport final : public Transport {
 public:
  explicit CurlTransport(CurlSetup setup) : setup_(std::move(setup)) {}
  CurlTransport(const CurlTransport&) = delete;
  CurlTransport& operator=(const CurlTransport&) = delete;
  ~CurlTransport() override {
    CurlProcessState* state = state_.load(std::memory_order_acquire);
    if (state != nullptr && state->pid == ::getpid()) delete state;
  }

  [[nodiscard]] TransportResult perform(const Uri& endpoint, const Request& request, const AttemptTimeouts& timeouts,
                                        const CancellationToken& cancel) noexcept override {
    TransportResult result;
    bool begun = false;
    const bool done = without_throwing([&] {
      CurlProcessState& mine = state();
      mine.probes.advance();
      auto slot = mine.pool.take();
      begun = true;
      result = slot->carry(endpoint, request, timeouts, cancel, mine.probes);
      mine.pool.give_back(std::move(slot));
      mine.probes.advance();
    });
    if (!done) {
      result = TransportFailure{TransportFault::bad_request, begun ? Progress::sent : Progress::not_sent, {}, 0};
    }
    return result;
  }

  [[nodiscard]] bool start_probe(const ProbeOwner& owner, std::uint64_t id, const Uri& endpoint, const Request& request,
                                 const AttemptTimeouts& timeouts) noexcept override {
    bool started = false;
    (void)without_throwing([&] { started = state().probes.start(owner, id, endpoint, request, timeouts); });
    return started;
  }

  [[nodiscard]] std::vector<ProbeResult> poll_probes(const ProbeOwner& owner) noexcept override {
    CurlProcessState* state = state_.load(std::memory_order_acquire);
    if (state == nullptr || !state->probes.any() || state->pid != ::getpid()) return {};
    return state->probes.collect(owner);
  }

 private:
  /// This process's state. A forked child finds its parent's and puts its own in its place. The parent's is left as it
  /// is, for ever: a thread that doesn't exist here may have held its lock, and closing its connections would write TLS
  /// alerts into the parent's sessions.
  CurlProcessState& state() {
    const pid_t pid = ::getpid();
    CurlProcessState* current = state_.load(std::memory_order_acquire);
    if (current != nullptr && current->pid == pid) return *current;
    auto fresh = std::make_unique<CurlProcessState>(setup_);
    if (state_.compare_exchange_strong(current, fresh.get(), std::memory_order_acq_rel)) return *fresh.release();
    return *current;  // another thread of this process was faster
  }

  const CurlSetup setup_;
  std::atomic<CurlProcessState*> state_{nullptr};
};

MLFLOWHA_INLINE CurlSetup make_curl_setup(CurlTransportOptions options) {
  CurlSetup setup;
  const curl_version_info_data* info = curl_version_info(CURLVERSION_NOW);
  setup.can_decode = (info->features & CURL_VERSION_LIBZ) != 0;
  std::string_view built_in_file;
  std::string_view built_in_path;
#if LIBCURL_VERSION_NUM >= 0x075400
  if (info->age >= CURLVERSION_TENTH) {
    if (info->cainfo != nullptr) built_in_file = info->cainfo;
    if (info->capath != nullptr) built_in_path = info->capath;
  }
#endif
  setup.ca = choose_ca(
      options.tls, built_in_file, built_in_path, [](const char* name) -> const char* { return std::getenv(name); },
      &path_exists);
  setup.authorization = authorization(options.auth);
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    const char* proxy = options.use_environment_proxy ? std::getenv(name) : nullptr;
    setup.may_use_proxy = setup.may_use_proxy || (proxy != nullptr && *proxy != '\0');
  }
  setup.options = std::move(options);
  return setup;
}

}  // namespace detail

MLFLOWHA_INLINE Result<std::shared_ptr<Transport>> make_curl_transport(CurlTransportOptions options) {
  Error error;
  error.code = Errc::invalid_config;
  if (const auto found = faults(options); !found.empty()) {
    error.message = fmt::format("{}", fmt::join(found, "; "));
    return error;
  }
  if (!detail::init_curl()) {
    error.code = Errc::internal;
    error.message = "libcurl could not be initialised";
    return error;
  }
  return std::shared_ptr<Transport>(
      std::make_shared<detail::CurlTransport>(detail::make_curl_setup(std::move(options))));
}

MLFLOWHA_END_NAMESPACE

#endif
