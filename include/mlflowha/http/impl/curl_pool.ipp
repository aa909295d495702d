#ifndef MLFLOWHA_HTTP_IMPL_CURL_POOL_IPP
#define MLFLOWHA_HTTP_IMPL_CURL_POOL_IPP

// CurlSlot: an exchange with a private multi, which holds the kept-alive connections. One thread drives it for one
// call. CurlSlotPool: the slots that nobody uses at the moment.

#include <mlflowha/core/stop_token.hpp>
#include <mlflowha/http/impl/curl_exchange.ipp>
#include <mlflowha/http/impl/curl_probes.ipp>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

class CurlSlot {
 public:
  explicit CurlSlot(const CurlSetup& setup)
      : max_idle_age_(setup.options.max_idle_age),
        hook_(setup.options.wait_hook.get()),
        writes_tls_(setup.may_use_proxy),
        exchange_(setup) {}
  CurlSlot(const CurlSlot&) = delete;
  CurlSlot& operator=(const CurlSlot&) = delete;
  ~CurlSlot() {
    const SigpipeGuard guard(multi_ != nullptr);  // closing a TLS connection writes
    multi_.reset();
  }

  /// May it be used for another call?
  [[nodiscard]] bool ok() const noexcept { return exchange_.ok(); }

  [[nodiscard]] TransportResult carry(const Uri& endpoint, const Request& request, const AttemptTimeouts& timeouts,
                                      const CancellationToken& cancel, CurlProbes& probes);

 private:
  /// Wakes the thread that polls. curl_multi_wakeup() is the one call that another thread may make.
  struct Wake {
    CURLM* multi;
    void operator()() const noexcept { (void)curl_multi_wakeup(multi); }
  };
  /// The easy handle leaves the multi on every way out.
  struct Added {
    CURLM* multi;
    CURL* easy;
    ~Added() { (void)curl_multi_remove_handle(multi, easy); }
  };

  [[nodiscard]] bool refresh_connections() noexcept;
  [[nodiscard]] CURLcode result_of_transfer() noexcept;

  const Duration max_idle_age_;
  WaitHook* const hook_;
  bool writes_tls_;  // perhaps: a proxy may be spoken to by TLS, and a connection to an https endpoint may be kept
  TimePoint last_use_{};
  CurlMulti multi_;
  CurlExchange exchange_;
};

/// All connections of a slot that has rested for too long are too old: drop them. Also makes the multi at first use.
MLFLOWHA_INLINE bool CurlSlot::refresh_connections() noexcept {
  if (multi_ != nullptr && std::chrono::steady_clock::now() - last_use_ <= max_idle_age_) return true;
  multi_.reset(curl_multi_init());
  if (multi_ == nullptr) return false;
  (void)curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, 8L);  // one for each endpoint of a usual list
  return true;
}

MLFLOWHA_INLINE CURLcode CurlSlot::result_of_transfer() noexcept {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg == CURLMSG_DONE) return message->data.result;
  }
  return CURLE_FAILED_INIT;
}

MLFLOWHA_INLINE TransportResult CurlSlot::carry(const Uri& endpoint, const Request& request,
                                                const AttemptTimeouts& timeouts, const CancellationToken& cancel,
                                                CurlProbes& probes) {
  // A probe needs somebody to push it while this thread waits; without probes libcurl's own timers are enough.
  constexpr int with_probes_ms = 20;
  const int alone_ms = hook_ != nullptr ? 40 : 1000;

  writes_tls_ = writes_tls_ || endpoint.scheme == "https";
  const SigpipeGuard guard(writes_tls_);
  if (!refresh_connections()) {
    TransportFailure failure{TransportFault::bad_request, Progress::not_sent, "out of memory", 0};
    return failure;
  }
  if (auto refused = exchange_.prepare(endpoint, request, timeouts)) return std::move(*refused);
  if (cancel.stop_requested()) return exchange_.finish_cancelled();

  CURLM* const multi = multi_.get();
  std::optional<std::stop_callback<Wake>> wake;
  if (cancel.stop_possible()) wake.emplace(to_stop_token(cancel), Wake{multi});

  CURLMcode trouble = curl_multi_add_handle(multi, exchange_.handle());
  TransportResult result;
  if (trouble == CURLM_OK) {
    const Added added{multi, exchange_.handle()};
    for (;;) {
      int running = 0;
      trouble = curl_multi_perform(multi, &running);
      if (trouble != CURLM_OK) break;
      if (running == 0) {
        result = exchange_.finish(result_of_transfer());
        break;
      }
      if (cancel.stop_requested()) {
        result = exchange_.finish_cancelled();
        break;
      }
      int wait_ms = probes.any() ? with_probes_ms : alone_ms;
      if (const TimePoint stall = exchange_.stall_deadline(); stall != TimePoint::max()) {
        const Duration left = stall - std::chrono::steady_clock::now();
        if (left <= Duration::zero()) {
          result = exchange_.finish_stalled();
          break;
        }
        if (left < std::chrono::milliseconds(wait_ms)) wait_ms = static_cast<int>(to_curl_ms(left));
      }
      trouble = curl_multi_poll(multi, nullptr, 0, wait_ms, nullptr);
      if (trouble != CURLM_OK) break;
      if (hook_ != nullptr) hook_->waiting();
      probes.advance();
    }
  }
  if (trouble != CURLM_OK) {
    result = exchange_.finish(CURLE_OUT_OF_MEMORY);
    if (auto* failure = std::get_if<TransportFailure>(&result)) {
      failure->fault =
          failure->progress == Progress::sent ? TransportFault::connection_lost : TransportFault::bad_request;
      failure->detail = curl_multi_strerror(trouble);
    }
    wake.reset();
    multi_.reset();  // nothing on it can be trusted
  }
  last_use_ = std::chrono::steady_clock::now();
  return result;
}

class CurlSlotPool {
 public:
  explicit CurlSlotPool(const CurlSetup& setup) : setup_(setup) { idle_.reserve(setup.options.max_idle_slots); }

  /// The slot that was used last (its connections are the warmest), or a new one.
  [[nodiscard]] std::unique_ptr<CurlSlot> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<CurlSlot> slot = std::move(idle_.back());
        idle_.pop_back();
        return slot;
      }
    }
    return std::make_unique<CurlSlot>(setup_);
  }

  void give_back(std::unique_ptr<CurlSlot> slot) noexcept {
    if (!slot->ok()) return;
    const std::lock_guard lock(mutex_);
    // The surplus slot is destroyed by its owner, the argument, which outlives the lock.
    if (idle_.size() < setup_.options.max_idle_slots) idle_.push_back(std::move(slot));
  }

 private:
  const CurlSetup& setup_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<CurlSlot>> idle_;
};

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
