#ifndef MLFLOWHA_HTTP_IMPL_CURL_PROBES_IPP
#define MLFLOWHA_HTTP_IMPL_CURL_PROBES_IPP

// CurlProbes: the side probes of one transport, on a multi of their own. Nobody waits for them: whoever makes a call or
// polls pushes them a little further. Thread-safe; a thread that finds another one at it goes on with its own work.

#include <mlflowha/http/impl/curl_exchange.ipp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

class CurlProbes {
 public:
  explicit CurlProbes(const CurlSetup& setup) noexcept : setup_(setup) {}
  CurlProbes(const CurlProbes&) = delete;
  CurlProbes& operator=(const CurlProbes&) = delete;
  ~CurlProbes() {
    const SigpipeGuard guard(true);
    for (const auto& probe : active_) (void)curl_multi_remove_handle(multi_.get(), probe->exchange.handle());
    active_.clear();
    multi_.reset();
  }

  [[nodiscard]] bool start(std::uint64_t id, const Uri& endpoint, const Request& request,
                           const AttemptTimeouts& timeouts) noexcept {
    bool started = false;
    (void)without_throwing([&] {
      const std::lock_guard lock(mutex_);
      if (active_.size() + ended_.size() >= setup_.options.max_probes) return;
      if (multi_ == nullptr) multi_.reset(curl_multi_init());
      if (multi_ == nullptr) return;
      auto probe = std::make_unique<Probe>(id, endpoint, request, setup_);
      active_.reserve(active_.size() + 1);
      ended_.reserve(ended_.size() + active_.size() + 1);  // so that step() allocates nothing
      if (!probe->exchange.ok() || probe->exchange.prepare(probe->endpoint, probe->request, timeouts)) return;
      const SigpipeGuard guard(true);
      if (curl_multi_add_handle(multi_.get(), probe->exchange.handle()) != CURLM_OK) return;
      active_.push_back(std::move(probe));
      pending_.fetch_add(1, std::memory_order_relaxed);
      started = true;
      step();
    });
    return started;
  }

  /// Are there any, under way or not yet collected? One relaxed load.
  [[nodiscard]] bool any() const noexcept { return pending_.load(std::memory_order_relaxed) != 0; }

  /// Pushes them further without waiting, neither for the network nor for another thread.
  void advance() noexcept {
    if (!any()) return;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock() || active_.empty()) return;
    const SigpipeGuard guard(true);
    step();
  }

  /// advance(), and those that have ended.
  [[nodiscard]] std::vector<ProbeResult> collect() noexcept {
    std::vector<ProbeResult> taken;
    if (!any()) return taken;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return taken;
    const SigpipeGuard guard(true);
    if (!active_.empty()) step();
    taken.swap(ended_);
    pending_.fetch_sub(taken.size(), std::memory_order_relaxed);
    // If memory runs out here, results wait in step() until there is room again.
    (void)without_throwing([&] { ended_.reserve(active_.size()); });
    return taken;
  }

 private:
  struct Probe {
    Probe(std::uint64_t probe_id, const Uri& probe_endpoint, const Request& probe_request, const CurlSetup& setup)
        : id(probe_id), endpoint(probe_endpoint), request(probe_request), exchange(setup) {}
    std::uint64_t id;
    Uri endpoint;
    Request request;
    CurlExchange exchange;
  };

  /// Under the lock.
  void step() noexcept {
    int running = 0;
    (void)curl_multi_perform(multi_.get(), &running);
    int left = 0;
    while (ended_.capacity() > ended_.size()) {
      const CURLMsg* message = curl_multi_info_read(multi_.get(), &left);
      if (message == nullptr) break;
      if (message->msg != CURLMSG_DONE) continue;
      CURL* const handle = message->easy_handle;
      const CURLcode code = message->data.result;  // the message dies with the next call into the multi
      (void)curl_multi_remove_handle(multi_.get(), handle);
      const auto at = std::find_if(active_.begin(), active_.end(),
                                   [&](const auto& probe) { return probe->exchange.handle() == handle; });
      if (at == active_.end()) continue;
      ProbeResult result{(*at)->id, TransportFailure{}};
      (void)without_throwing([&] { result.result = (*at)->exchange.finish(code); });
      ended_.push_back(std::move(result));
      active_.erase(at);
    }
  }

  const CurlSetup& setup_;
  std::mutex mutex_;
  std::atomic<std::size_t> pending_{0};
  CurlMulti multi_;
  std::vector<std::unique_ptr<Probe>> active_;
  std::vector<ProbeResult> ended_;
};

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
