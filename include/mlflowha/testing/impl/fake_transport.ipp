#ifndef MLFLOWHA_TESTING_IMPL_FAKE_TRANSPORT_IPP
#define MLFLOWHA_TESTING_IMPL_FAKE_TRANSPORT_IPP

#include <mlflowha/core/rng.hpp>
#include <mlflowha/testing/fake_transport.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

namespace detail {

MLFLOWHA_INLINE TransportFailure transport_failure(TransportFault fault, Progress progress, std::string text) {
  TransportFailure failure;
  failure.fault = fault;
  failure.progress = progress;
  failure.detail = std::move(text);
  return failure;
}

/// The response that a status action stands for, header names in lower case as a Transport delivers them.
MLFLOWHA_INLINE Response response_of(const FaultAction& action) {
  Response response;
  response.status = action.status;
  bool typed = false;
  for (Header header : action.headers) {
    for (char& c : header.name) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    typed = typed || header.name == "content-type";
    response.headers.push_back(std::move(header));
  }
  response.body = action.body.value_or(fmt::format("<html><body><h1>{}</h1></body></html>\n", action.status));
  if (!action.body && !typed) response.headers.push_back({"content-type", "text/html"});
  return response;
}

class FakeTransportState : public std::enable_shared_from_this<FakeTransportState> {
 public:
  FakeTransportState(FakeClock& clock, FakeTransportOptions options)
      : clock_(clock), options_(options), rng_(options.seed) {}

  struct Reply {
    Method method;
    std::string target;
    TransportResult result;
    std::uint64_t times;
    std::uint64_t used = 0;
  };
  struct Endpoint {
    Endpoint(std::uint64_t seed, TimePoint start) : injector({}, seed, start) {}
    FakeTransport::Handler handler;  // set before use
    FaultInjector injector;
    std::vector<Reply> replies;
    std::uint64_t count = 0;
  };
  struct Attempt {
    TransportResult result;
    Duration duration{0};
    FaultKind fault = FaultKind::none;
    bool applied = false;
  };

  /// The endpoint with that address; made when it isn't there.
  Endpoint& endpoint(std::string_view address) {
    const Uri uri = parse_uri(address).value();
    std::unique_ptr<Endpoint>& place = endpoints_[uri.base()];
    if (!place) place = std::make_unique<Endpoint>(options_.seed + endpoints_.size(), clock_.now());
    return *place;
  }
  Endpoint* find(const std::string& base) {
    const auto found = endpoints_.find(base);
    return found == endpoints_.end() ? nullptr : found->second.get();
  }

  Attempt attempt(const Uri& uri, const Request& request, const AttemptTimeouts& timeouts) {
    std::optional<Request> whole;  // with the bytes of the file, which a real transport would stream
    Attempt attempt;
    if (request.file) {
      whole = request;
      if (std::string fault = take_file_along(*whole); !fault.empty()) {
        attempt.result = transport_failure(TransportFault::bad_file, Progress::not_sent, std::move(fault));
        return attempt;
      }
    }
    attempt = travel(uri, whole ? *whole : request, timeouts);
    if (attempt.duration > timeouts.total) {
      attempt.duration = timeouts.total;
      attempt.result = transport_failure(TransportFault::timeout, Progress::sent, "no complete answer in time");
    }
    auto* response = std::get_if<Response>(&attempt.result);
    if (response != nullptr && response->status / 100 == 2 && !request.save_to.empty()) {
      std::ofstream out(request.save_to, std::ios::binary | std::ios::trunc);
      out << response->body;
      out.close();
      response->body.clear();
      if (!out) {
        attempt.result = transport_failure(TransportFault::bad_file, Progress::sent,
                                           fmt::format("the file \"{}\" can't be written", request.save_to));
      }
    }
    return attempt;
  }

  void record(const Uri& uri, const Request& request, const Attempt& attempt, TimePoint started, bool probe) {
    if (!options_.record) return;
    const std::lock_guard<std::mutex> lock(mutex);
    exchanges.push_back(
        {uri.base(), request, attempt.result, started, attempt.duration, attempt.fault, attempt.applied, probe});
  }

  FakeClock& clock() noexcept { return clock_; }

  /// By a call that waited: what ended in it was seen at its end.
  void probes_were_moved() {
    const std::lock_guard<std::mutex> lock(mutex);
    const TimePoint now = clock_.now();
    for (Probe& probe : probes) {
      if (probe.done <= now && !probe.seen) probe.seen = now;
    }
  }

  std::mutex mutex;  // guards what is public, endpoints_ and the endpoints but not their injectors
  std::vector<Exchange> exchanges;
  std::vector<std::string> unmatched;
  struct Probe {
    std::weak_ptr<const void> owner;
    std::uint64_t id;
    TimePoint done;
    std::optional<TimePoint> seen;  // when somebody noticed that it is done
    TransportResult result;
  };
  std::vector<Probe> probes;  // by `done`
  [[nodiscard]] const std::map<std::string, std::unique_ptr<Endpoint>>& endpoints() const noexcept {
    return endpoints_;
  }

 private:
  /// Puts the bytes of the request's file into its body; says why it can't.
  static std::string take_file_along(Request& request) {
    const FileBody file = *std::exchange(request.file, std::nullopt);
    std::ifstream in(file.path, std::ios::binary);
    in.seekg(static_cast<std::streamoff>(file.offset));
    request.body.resize(static_cast<std::size_t>(file.size));
    in.read(request.body.data(), static_cast<std::streamsize>(file.size));
    if (!in) return fmt::format("the file \"{}\" hasn't {} bytes from byte {} on", file.path, file.size, file.offset);
    if (!file.whole || in.peek() == std::ifstream::traits_type::eof()) return {};
    return fmt::format("the file \"{}\" has more than {} bytes", file.path, file.offset + file.size);
  }

  Duration latency() {
    const auto span = static_cast<std::uint64_t>((options_.max_latency - options_.min_latency).count());
    return options_.min_latency + Duration(span == 0 ? 0 : static_cast<std::int64_t>(below(rng_, span + 1)));
  }

  /// The way to the server and back, as if there were no timeout but while connecting.
  Attempt travel(const Uri& uri, const Request& request, const AttemptTimeouts& timeouts) {
    Attempt attempt;
    Endpoint* server = nullptr;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      server = find(uri.base());
      if (server != nullptr) ++server->count;
    }
    if (server == nullptr) {
      attempt.result = unmatched_request(uri.base(), request, TransportFault::resolve);
      return attempt;
    }
    const TimePoint now = clock_.now();
    if (timeouts.total <= Duration::zero()) {
      attempt.result =
          transport_failure(TransportFault::connect_timeout, Progress::not_sent, "no time left to connect");
      return attempt;
    }
    const FaultPlan connection = server->injector.on_connection(now);
    attempt.fault = connection.action.kind;
    if (attempt.fault == FaultKind::refuse) {
      attempt.duration = std::min(options_.min_latency / 2, timeouts.total);
      attempt.result =
          transport_failure(TransportFault::connect_refused, Progress::not_sent, "connection refused by fault script");
      return attempt;
    }
    if (attempt.fault == FaultKind::connect_hang) {
      attempt.duration = std::min(timeouts.connect, timeouts.total);
      attempt.result = transport_failure(TransportFault::connect_timeout, Progress::not_sent, "no connection in time");
      return attempt;
    }
    const FaultPlan plan =
        server->injector.on_request(to_string(request.method), request.target, server->injector.connections(), now);
    attempt.fault = plan.action.kind;
    attempt.duration = mlflowha::detail::saturating_sum(latency(), plan.delay);
    answer(*server, uri, request, plan, attempt);
    finish_response(request, plan, attempt);
    return attempt;
  }

  void answer(Endpoint& server, const Uri& uri, const Request& request, const FaultPlan& plan, Attempt& attempt) {
    const auto never = [&attempt] {
      attempt.duration = Duration::max();
      attempt.result = transport_failure(TransportFault::timeout, Progress::sent, "no answer, ever");
    };
    const auto lost = [&attempt](const char* text) {
      attempt.result = transport_failure(TransportFault::connection_lost, Progress::sent, text);
    };
    switch (plan.action.kind) {
      case FaultKind::black_hole:
        return never();
      case FaultKind::reset:
        return lost("connection reset by peer");
      case FaultKind::drop_before:
        return lost("the server closed the connection without an answer");
      case FaultKind::status:
        attempt.result = response_of(plan.action);
        return;
      case FaultKind::apply_late:
        attempt.applied = true;
        clock_.schedule(
            Deadline::after(clock_.now(), mlflowha::detail::saturating_sum(plan.delay, plan.action.time)).at(),
            [self = shared_from_this(), base = uri.base(), &server, request] {
              static_cast<void>(self->respond(server, base, request));
            });
        return plan.action.silent ? never() : lost("the server closed the connection without an answer");
      default:
        break;
    }
    attempt.result = respond(server, uri.base(), request);
    auto* response = std::get_if<Response>(&attempt.result);
    if (response == nullptr) return;
    attempt.applied = true;
    const auto size = static_cast<std::int64_t>(response->body.size());
    switch (plan.action.kind) {
      case FaultKind::apply_then_drop:
        return lost("the server closed the connection without an answer");
      case FaultKind::apply_then_status:
        attempt.result = response_of(plan.action);
        return;
      case FaultKind::garbage:
        attempt.result = transport_failure(TransportFault::bad_http, Progress::sent, "the answer is not HTTP");
        return;
      case FaultKind::truncate:
        if (plan.action.bytes < size) lost("the connection closed in the middle of the body");
        return;
      case FaultKind::wrong_length:
        if (plan.action.bytes > 0) return never();
        response->body.resize(static_cast<std::size_t>(std::max<std::int64_t>(0, size + plan.action.bytes)));
        return;
      default:
        return;
    }
  }

  /// What a transport makes of a response that has arrived.
  static void finish_response(const Request& request, const FaultPlan& plan, Attempt& attempt) {
    const auto* response = std::get_if<Response>(&attempt.result);
    if (response == nullptr || attempt.duration == Duration::max()) return;
    if (plan.bytes_per_second > 0) {
      constexpr double bytes_of_a_head = 150;
      const double seconds = (bytes_of_a_head + static_cast<double>(response->body.size())) / plan.bytes_per_second;
      constexpr double a_year = 365.0 * 24 * 3600;
      const auto dripping =
          std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::min(seconds, a_year)));
      attempt.duration = mlflowha::detail::saturating_sum(attempt.duration, dripping);
    }
    if (response->status >= 300 && response->status <= 399 && response->status != 304 &&
        !response->header("location").empty()) {
      attempt.result =
          transport_failure(TransportFault::redirect_refused, Progress::answered,
                            fmt::format("redirect to \"{}\"", sanitize(response->header("location"), 200)));
    } else if (request.max_response_bytes != 0 && request.save_to.empty() &&
               response->body.size() > request.max_response_bytes) {
      attempt.result =
          transport_failure(TransportFault::too_large, Progress::sent,
                            fmt::format("the body of the answer is larger than {} bytes", request.max_response_bytes));
    }
  }

  TransportResult respond(Endpoint& server, const std::string& base, const Request& request) {
    FakeTransport::Handler handler;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      for (Reply& reply : server.replies) {
        if (reply.method != request.method || request.target.compare(0, reply.target.size(), reply.target) != 0)
          continue;
        if (reply.times != 0 && reply.used >= reply.times) continue;
        ++reply.used;
        return reply.result;
      }
      handler = server.handler;
    }
    if (handler) return handler(request, clock_.wall_now());
    return unmatched_request(base, request, TransportFault::bad_request);
  }

  /// The failure of a request that nothing is there for, with what comes near to it, nearest first.
  TransportFailure unmatched_request(const std::string& base, const Request& request, TransportFault fault) {
    const std::lock_guard<std::mutex> lock(mutex);
    std::multimap<std::size_t, std::string> misses;  // by distance
    for (const auto& [address, server] : endpoints_) {
      if (fault == TransportFault::resolve) misses.emplace(1, fmt::format("there is an endpoint {}", address));
      for (const Reply& reply : server->replies) {
        const bool same_target = request.target.compare(0, reply.target.size(), reply.target) == 0;
        const auto common = static_cast<std::size_t>(
            std::mismatch(reply.target.begin(),
                          reply.target.begin() +
                              static_cast<std::ptrdiff_t>(std::min(reply.target.size(), request.target.size())),
                          request.target.begin())
                .first -
            reply.target.begin());
        std::string why;
        std::size_t distance = 0;
        const auto differs = [&](std::string_view what, std::size_t weight) {
          why += why.empty() ? "" : ", ";
          why += what;
          distance += weight;
        };
        if (address != base) differs("another endpoint", 100);
        if (reply.method != request.method) differs("another method", 100);
        if (!same_target) differs("another target", 1000 + reply.target.size() - common);
        if (reply.times != 0 && reply.used >= reply.times) differs(fmt::format("used up ({} times)", reply.times), 10);
        misses.emplace(distance, fmt::format("{} {}{} ({})", to_string(reply.method), address, reply.target, why));
      }
    }
    std::string text =
        fmt::format("FakeTransport has nothing for {} {}{}", to_string(request.method), base, request.target);
    int left = 5;
    const char* separator = "; near misses: ";
    for (const auto& [distance, miss] : misses) {
      if (left-- == 0) break;
      text += separator + miss;
      separator = "; ";
    }
    if (misses.empty()) text += "; it has no endpoint and no prepared answer at all";
    unmatched.push_back(text);
    return transport_failure(fault, Progress::not_sent, std::move(text));
  }

  FakeClock& clock_;
  const FakeTransportOptions options_;
  SplitMixRng rng_;
  std::map<std::string, std::unique_ptr<Endpoint>> endpoints_;  // never shrinks: addresses are stable
};

}  // namespace detail

MLFLOWHA_INLINE FakeTransport::FakeTransport(std::shared_ptr<FakeClock> clock, FakeTransportOptions options)
    : clock_(std::move(clock)) {
  if (!clock_)
    mlflowha::detail::throw_exception(invalid_argument("FakeTransport: clock is null, expected a FakeClock"));
  if (options.min_latency < Duration::zero() || options.min_latency > options.max_latency) {
    using Milliseconds = std::chrono::duration<double, std::milli>;
    mlflowha::detail::throw_exception(invalid_argument(
        fmt::format("FakeTransportOptions::min_latency is {} ms, expected 0 .. max_latency, which is {} ms",
                    Milliseconds(options.min_latency).count(), Milliseconds(options.max_latency).count())));
  }
  state_ = std::make_shared<detail::FakeTransportState>(*clock_, options);
}

MLFLOWHA_INLINE FakeTransport::~FakeTransport() = default;

MLFLOWHA_INLINE void FakeTransport::add(std::string_view endpoint, std::shared_ptr<FakeBackend> backend,
                                        FaultScript faults) {
  add(
      endpoint,
      [backend = std::move(backend)](const Request& request, WallTime now) { return backend->handle(request, now); },
      std::move(faults));
}

MLFLOWHA_INLINE void FakeTransport::add(std::string_view endpoint, std::shared_ptr<FakeBackend> backend,
                                        ServerVersion version, FaultScript faults) {
  add(
      endpoint,
      [backend = std::move(backend), version](const Request& request, WallTime now) {
        return backend->handle(request, now, version);
      },
      std::move(faults));
}

MLFLOWHA_INLINE void FakeTransport::add(std::string_view endpoint, Handler handler, FaultScript faults) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  auto& place = state_->endpoint(endpoint);
  place.handler = std::move(handler);
  place.injector.replace(std::move(faults), state_->clock().now());
}

MLFLOWHA_INLINE void FakeTransport::reply(std::string_view endpoint, Method method, std::string_view target,
                                          TransportResult result, std::uint64_t times) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->endpoint(endpoint).replies.push_back({method, std::string(target), std::move(result), times});
}

MLFLOWHA_INLINE void FakeTransport::set_faults(std::string_view endpoint, FaultScript faults) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->endpoint(endpoint).injector.replace(std::move(faults), state_->clock().now());
}

MLFLOWHA_INLINE std::vector<Exchange> FakeTransport::exchanges() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->exchanges;
}

MLFLOWHA_INLINE std::vector<Exchange> FakeTransport::exchanges(std::string_view endpoint) const {
  const std::string base = parse_uri(endpoint).value().base();
  const std::lock_guard<std::mutex> lock(state_->mutex);
  std::vector<Exchange> chosen;
  for (const Exchange& exchange : state_->exchanges) {
    if (exchange.endpoint == base) chosen.push_back(exchange);
  }
  return chosen;
}

MLFLOWHA_INLINE std::uint64_t FakeTransport::count(std::string_view endpoint) const {
  const std::string base = parse_uri(endpoint).value().base();
  const std::lock_guard<std::mutex> lock(state_->mutex);
  const auto* place = state_->find(base);
  return place == nullptr ? 0 : place->count;
}

MLFLOWHA_INLINE void FakeTransport::clear_exchanges() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->exchanges.clear();
}

MLFLOWHA_INLINE std::vector<FaultCount> FakeTransport::fault_counts(std::string_view endpoint) const {
  const std::string base = parse_uri(endpoint).value().base();
  const std::lock_guard<std::mutex> lock(state_->mutex);
  const auto* place = state_->find(base);
  return place == nullptr ? std::vector<FaultCount>{} : place->injector.counts();
}

MLFLOWHA_INLINE std::vector<std::string> FakeTransport::unused_replies() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  std::vector<std::string> lines;
  for (const auto& [address, place] : state_->endpoints()) {
    for (const auto& reply : place->replies) {
      const std::uint64_t wanted = std::max<std::uint64_t>(reply.times, 1);
      if (reply.used >= wanted) continue;
      lines.push_back(fmt::format("{} {}{}: asked for {} of {} times", to_string(reply.method), address, reply.target,
                                  reply.used, wanted));
    }
  }
  return lines;
}

MLFLOWHA_INLINE std::vector<std::string> FakeTransport::unmatched_requests() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->unmatched;
}

MLFLOWHA_INLINE TransportResult FakeTransport::perform(const Uri& endpoint, const Request& request,
                                                       const AttemptTimeouts& timeouts,
                                                       const CancellationToken& cancel) noexcept {
  try {
    if (cancel.stop_requested()) {
      return detail::transport_failure(TransportFault::cancelled, Progress::not_sent, "cancelled by the caller");
    }
    const TimePoint started = state_->clock().now();
    auto attempt = state_->attempt(endpoint, request, timeouts);
    state_->clock().pass_until(Deadline::after(started, attempt.duration).at(), cancel);
    if (cancel.stop_requested() && state_->clock().now() - started < attempt.duration) {
      const auto* failure = std::get_if<TransportFailure>(&attempt.result);
      const bool sent = failure == nullptr || failure->progress != Progress::not_sent;
      attempt.result = detail::transport_failure(TransportFault::cancelled, sent ? Progress::sent : Progress::not_sent,
                                                 "cancelled by the caller");
    }
    state_->probes_were_moved();  // as a call that waits does
    state_->record(endpoint, request, attempt, started, false);
    return std::move(attempt.result);
  } catch (const std::exception& error) {
    return detail::transport_failure(TransportFault::bad_request, Progress::not_sent, error.what());
  } catch (...) {  // what a handler throws, as an assertion of the test that it belongs to
    return detail::transport_failure(TransportFault::bad_request, Progress::not_sent,
                                     "the handler threw what is no std::exception");
  }
}

MLFLOWHA_INLINE bool FakeTransport::start_probe(const ProbeOwner& owner, std::uint64_t id, const Uri& endpoint,
                                                const Request& request, const AttemptTimeouts& timeouts) noexcept {
  try {
    const TimePoint started = state_->clock().now();
    auto attempt = state_->attempt(endpoint, request, timeouts);
    state_->record(endpoint, request, attempt, started, true);
    const std::lock_guard<std::mutex> lock(state_->mutex);
    const TimePoint done = Deadline::after(started, attempt.duration).at();
    auto& probes = state_->probes;
    const auto place = std::upper_bound(probes.begin(), probes.end(), done,
                                        [](TimePoint at, const auto& probe) { return at < probe.done; });
    probes.insert(place, {owner, id, done, std::nullopt, std::move(attempt.result)});
    return true;
  } catch (...) {
    return false;
  }
}

MLFLOWHA_INLINE std::vector<ProbeResult> FakeTransport::poll_probes(const ProbeOwner& owner) noexcept {
  std::vector<ProbeResult> results;
  try {
    const TimePoint now = state_->clock().now();
    const std::lock_guard<std::mutex> lock(state_->mutex);
    auto& probes = state_->probes;
    std::erase_if(probes, [](const auto& probe) { return probe.owner.expired(); });
    const auto ready = [&](const auto& probe) {
      return probe.done <= now && !probe.owner.owner_before(owner) && !owner.owner_before(probe.owner);
    };
    results.reserve(static_cast<std::size_t>(std::count_if(probes.begin(), probes.end(), ready)));
    for (auto& probe : probes) {
      if (probe.done <= now && !probe.seen) probe.seen = probe.done;  // it lay there since, and that was a pause
      if (!ready(probe)) continue;
      results.push_back({probe.id, std::move(probe.result), std::max(now - *probe.seen, Duration::zero())});
    }
    std::erase_if(probes, ready);
  } catch (const std::exception&) {  // no memory: they are handed over next time
  }
  return results;
}

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
