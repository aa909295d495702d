#ifndef MLFLOWHA_HTTP_IMPL_CURL_PROBES_IPP
#define MLFLOWHA_HTTP_IMPL_CURL_PROBES_IPP

// CurlProbes: the side probes of one transport, each on a multi of its own, so that it can be told which of them
// something waits for. Nobody waits for them: whoever makes a call or polls pushes them a little further. Thread-safe;
// a thread that finds another one at it goes on with its own work.
//
// Between two pushes there may be a minute, and what the endpoint sent meanwhile lies in the socket. A probe's time is
// therefore not simply the time since its start: a pause at whose end something waits was ours and doesn't count; one
// at whose end nothing waits was the endpoint's.

#include <mlflowha/http/impl/curl_exchange.ipp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
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
    active_.clear();
  }

  [[nodiscard]] bool start(const ProbeOwner& owner, std::uint64_t id, const Uri& endpoint, const Request& request,
                           const AttemptTimeouts& timeouts) noexcept {
    bool started = false;
    (void)without_throwing([&] {
      const std::lock_guard lock(mutex_);
      const SigpipeGuard guard(true);
      drop_orphans();
      if (active_.size() + ended_.size() >= setup_.options.max_probes) return;
      auto probe = std::make_unique<Probe>(owner, id, endpoint, request, timeouts, setup_);
      active_.reserve(active_.size() + 1);
      ended_.reserve(ended_.size() + active_.size() + 1);  // so that step() allocates nothing
      if (!probe->begin()) return;
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

  /// advance(), and those of `owner` that have ended.
  [[nodiscard]] std::vector<ProbeResult> collect(const ProbeOwner& owner) noexcept {
    std::vector<ProbeResult> taken;
    if (!any()) return taken;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return taken;
    const SigpipeGuard guard(true);
    drop_orphans();
    if (!active_.empty()) step();
    (void)without_throwing([&] {  // no memory: they are handed over next time
      const TimePoint now = std::chrono::steady_clock::now();
      const auto is_owners = [&](const Ended& ended) { return same_owner(ended.owner, owner); };
      taken.reserve(static_cast<std::size_t>(std::count_if(ended_.begin(), ended_.end(), is_owners)));
      for (Ended& ended : ended_) {
        if (!is_owners(ended)) continue;
        ended.result.unattended += now - ended.at;
        taken.push_back(std::move(ended.result));
      }
      std::erase_if(ended_, is_owners);
    });
    pending_.fetch_sub(taken.size(), std::memory_order_relaxed);
    return taken;
  }

 private:
  using WeakOwner = std::weak_ptr<const void>;
  struct Ended {
    WeakOwner owner;
    TimePoint at;
    ProbeResult result;
  };
  [[nodiscard]] static bool same_owner(const WeakOwner& one, const ProbeOwner& other) noexcept {
    return !one.owner_before(other) && !other.owner_before(one);
  }

  class Probe {
   public:
    Probe(const ProbeOwner& probe_owner, std::uint64_t probe_id, const Uri& endpoint, const Request& request,
          const AttemptTimeouts& timeouts, const CurlSetup& setup)
        : owner(probe_owner),
          id(probe_id),
          endpoint_(endpoint),
          request_(request),
          timeouts_(timeouts),
          exchange_(setup) {}
    Probe(const Probe&) = delete;
    Probe& operator=(const Probe&) = delete;
    ~Probe() {
      if (added_) (void)curl_multi_remove_handle(multi_.get(), exchange_.handle());
    }

    /// False when it can't be sent.
    [[nodiscard]] bool begin() {
      if (!exchange_.ok() || exchange_.prepare(endpoint_, request_, timeouts_)) return false;
      multi_.reset(curl_multi_init());
      added_ = multi_ != nullptr && curl_multi_add_handle(multi_.get(), exchange_.handle()) == CURLM_OK;
      started_ = pushed_ = std::chrono::steady_clock::now();
      return added_;
    }

    /// As far as it goes without waiting; the code when it has ended.
    [[nodiscard]] std::optional<CURLcode> push() noexcept {
      account();
      int running = 0;
      (void)curl_multi_perform(multi_.get(), &running);
      int left = 0;
      while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
        if (message->msg == CURLMSG_DONE) return message->data.result;
      }
      return std::nullopt;
    }

    [[nodiscard]] ProbeResult finish(CURLcode code) noexcept {
      ProbeResult ended{id, TransportFailure{}, unattended_};
      (void)without_throwing([&] {
        TransportResult result = exchange_.finish(code);
        if (paused_ && may_be_the_pauses_fault(result, code)) {
          TransportFailure failure{TransportFault::cancelled, Progress::sent, {}, static_cast<int>(code)};
          failure.detail = "the connection didn't outlive a pause of the caller's";
          result = std::move(failure);
        }
        ended.result = std::move(result);
      });
      return ended;
    }

    const WeakOwner owner;
    const std::uint64_t id;

   private:
    /// Moves the limits behind the time that the endpoint can't be blamed for. libcurl looks at the clock before it
    /// looks at the socket: without this it throws away an answer that came in time and is read late.
    void account() noexcept {
      const TimePoint now = std::chrono::steady_clock::now();
      const Duration gap = now - std::exchange(pushed_, now);
      const bool pause = gap > timeouts_.total / 10;
      paused_ = paused_ || pause;
      if (!pause && now - started_ - unattended_ < std::min(timeouts_.connect, timeouts_.total)) return;
      int ready = 0;
      (void)curl_multi_wait(multi_.get(), nullptr, 0, 0, &ready);
      // Whatever waits came after the last push. Small gaps are lent only for this one, or an endpoint that sends a
      // byte now and then would never be at its limit.
      exchange_.extend(ready > 0 ? unattended_ + gap : unattended_);
      if (ready > 0 && pause) unattended_ += gap;
    }

    /// Servers and proxies close a connection that brings no (complete) request for some seconds, in the middle of the
    /// TLS handshake too, or answer 408.
    [[nodiscard]] static bool may_be_the_pauses_fault(const TransportResult& result, CURLcode code) noexcept {
      if (const auto* answer = std::get_if<Response>(&result)) return answer->status == 408;
      const auto* failure = std::get_if<TransportFailure>(&result);
      return code == CURLE_SSL_CONNECT_ERROR ||
             (failure != nullptr && failure->fault == TransportFault::connection_lost);
    }

    Uri endpoint_;
    Request request_;
    const AttemptTimeouts timeouts_;
    CurlExchange exchange_;
    CurlMulti multi_;
    bool added_ = false;
    TimePoint started_{};
    TimePoint pushed_{};
    Duration unattended_{};
    bool paused_ = false;
  };

  /// Under the lock. Nobody will ask for them, so nobody may have to wait for the room they take.
  void drop_orphans() noexcept {
    const std::size_t before = active_.size() + ended_.size();
    std::erase_if(active_, [](const std::unique_ptr<Probe>& probe) { return probe->owner.expired(); });
    std::erase_if(ended_, [](const Ended& ended) { return ended.owner.expired(); });
    pending_.fetch_sub(before - active_.size() - ended_.size(), std::memory_order_relaxed);
  }

  /// Under the lock.
  void step() noexcept {
    for (std::size_t i = 0; i < active_.size() && ended_.capacity() > ended_.size();) {
      const std::optional<CURLcode> code = active_[i]->push();
      if (!code) {
        ++i;
        continue;
      }
      ended_.push_back({active_[i]->owner, std::chrono::steady_clock::now(), active_[i]->finish(*code)});
      active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  const CurlSetup& setup_;
  std::mutex mutex_;
  std::atomic<std::size_t> pending_{0};
  std::vector<std::unique_ptr<Probe>> active_;
  std::vector<Ended> ended_;  // with room for all of active_
};

}  // namespace detail

MLFLOWHA_END_NAMESPACE

#endif
