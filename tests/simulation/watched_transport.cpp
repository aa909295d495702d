#include "simulation/watched_transport.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace std::chrono_literals;

namespace mlflowha_tests {
namespace {

bool asks_for_identity(const Request& request) {
  return request.target.find("/experiments/search") != std::string::npos;
}

bool asks_for_release(const Request& request) { return request.target == "/version"; }

/// The look for an object of a create; a call that searches for itself counts its own requests too low, no harm.
bool looks(const Request& request) {
  return request.target.find("/runs/search") != std::string::npos ||
         request.target.find("/experiments/get-by-name") != std::string::npos;
}

/// A failure that says that the endpoint is broken, whatever was asked.
bool breaks(const TransportResult& result) {
  if (const auto* response = std::get_if<Response>(&result)) return response->status == 502 || response->status == 504;
  switch (std::get<TransportFailure>(result).fault) {
    case TransportFault::redirect_refused:
    case TransportFault::cancelled:
    case TransportFault::too_large:
    case TransportFault::bad_request:
    case TransportFault::bad_file:
      return false;
    default:
      return true;
  }
}

std::string outcome_of(const TransportResult& result) {
  if (const auto* response = std::get_if<Response>(&result)) return fmt::format("{}", response->status);
  const auto& failure = std::get<TransportFailure>(result);
  return fmt::format("{}, {}", to_string(failure.fault), to_string(failure.progress));
}

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

WatchedTransport::WatchedTransport(const World& world, std::shared_ptr<FakeClock> clock,
                                   std::shared_ptr<FakeTransport> inner, bool tell)
    : world_(world), clock_(std::move(clock)), inner_(std::move(inner)), tell_(tell), began_(clock_->now()) {
  for (const Place& place : world.places) seen_[place.url].stranger = place.stranger;
  // Nobody compares the only endpoint with anything.
  if (world.places.size() == 1) home_ = Home::ours;
}

void WatchedTransport::begin_call(TimePoint deadline, bool needs_new) {
  deadline_ = deadline;
  needs_new_ = needs_new;
  attempts_ = 0;
  sendings_ = 0;
  for (auto& [url, seen] : seen_) seen.reached = false;
}

void WatchedTransport::end_call() { deadline_.reset(); }

std::size_t WatchedTransport::reached() const noexcept {
  std::size_t count = 0;
  for (const auto& [url, seen] : seen_) count += seen.reached ? 1U : 0U;
  return count;
}

int WatchedTransport::probes_under_way(const std::string& url) const { return seen_.at(url).under_way; }

void WatchedTransport::watch_target(const Seen& seen, const Uri& endpoint, const Request& request) {
  if (asks_for_identity(request)) return;
  const Home target = seen.stranger ? Home::strangers : Home::ours;
  if (home_ == target) return;
  faults.push_back(fmt::format("{} {} went to {}, which {}", to_string(request.method), request.target, endpoint.base(),
                               home_ == Home::undecided ? "nobody had identified" : "fronts another database"));
}

void WatchedTransport::settle_home(const Seen& seen, const TransportResult& result) {
  if (home_ != Home::undecided) return;
  const auto* response = std::get_if<Response>(&result);
  if (response == nullptr || response->status != 200) return;
  const auto page = nlohmann::json::parse(response->body, nullptr, false);
  if (page.is_object() && page.contains("experiments")) home_ = seen.stranger ? Home::strangers : Home::ours;
}

void WatchedTransport::note(const char* what, const Uri& endpoint, const Request& request,
                            const TransportResult& result, TimePoint started) {
  const auto* response = std::get_if<Response>(&result);
  const std::uint64_t code = response != nullptr
                                 ? static_cast<std::uint64_t>(response->status)
                                 : 1000 + static_cast<std::uint64_t>(std::get<TransportFailure>(result).fault);
  for (const std::uint64_t word :
       {static_cast<std::uint64_t>(clock_->now().time_since_epoch().count()),
        static_cast<std::uint64_t>(endpoint.base().back()), code, static_cast<std::uint64_t>(request.body.size())}) {
    fingerprint = (fingerprint ^ word) * 0x100000001b3U;
  }
  if (!tell_) return;
  std::string_view target = request.target;
  if (const auto at = target.find("mlflow/"); at != std::string_view::npos) target.remove_prefix(at + 7);
  story.push_back(fmt::format("{:10.4f}     {} {} {} -> {} after {:.4f} s", seconds(started - began_), what,
                              endpoint.base(), target.substr(0, 60), outcome_of(result),
                              seconds(clock_->now() - started)));
}

TransportResult WatchedTransport::perform(const Uri& endpoint, const Request& request, const AttemptTimeouts& timeouts,
                                          const CancellationToken& cancel) noexcept {
  Seen& seen = seen_.at(endpoint.base());
  const TimePoint started = clock_->now();
  ++attempts_;
  if (asks_for_release(request)) {
    ++asked_releases;
  } else if (!asks_for_identity(request) && !looks(request)) {
    ++sendings_;
  }
  ++requests;
  seen.reached = true;
  watch_target(seen, endpoint, request);
  if (!deadline_) {
    faults.push_back("a request outside of any call");
  } else if (started + timeouts.total > *deadline_) {
    faults.push_back(fmt::format("an attempt at {} may take {:.4f} s, {:.4f} s past the deadline", endpoint.base(),
                                 seconds(timeouts.total), seconds(started + timeouts.total - *deadline_)));
  }
  if (timeouts.connect >= timeouts.total) {
    faults.push_back("the connect may last as long as the attempt: sent or not, nobody would know");
  }
  // A dead endpoint is paid for once: with a sound server in the list, only a probe may go to it before it is back.
  const bool sound = std::any_of(world_.places.begin(), world_.places.end(), [&](const Place& place) {
    return place.sound && (!needs_new_ || place.version == testing::ServerVersion::v3);
  });
  if (sound && home_ == Home::ours && seen.broken_since && !seen.stranger) {
    faults.push_back(fmt::format("a call tries {}, broken since {:.4f} s, while another server is sound",
                                 endpoint.base(), seconds(*seen.broken_since - began_)));
  }
  TransportResult result = inner_->perform(endpoint, request, timeouts, cancel);
  if (breaks(result)) seen.broken_since = clock_->now();
  if (asks_for_identity(request)) settle_home(seen, result);
  note("attempt", endpoint, request, result, started);
  return result;
}

bool WatchedTransport::start_probe(const ProbeOwner& owner, std::uint64_t id, const Uri& endpoint,
                                   const Request& request, const AttemptTimeouts& timeouts) noexcept {
  Seen& seen = seen_.at(endpoint.base());
  watch_target(seen, endpoint, request);
  if (!inner_->start_probe(owner, id, endpoint, request, timeouts)) return false;
  ++probes;
  ++seen.under_way;
  if (!probes_.insert({id, {endpoint.base(), clock_->now(), asks_for_identity(request)}}).second) {
    faults.push_back(fmt::format("probe {} was started twice", id));
  }
  return true;
}

std::vector<ProbeResult> WatchedTransport::poll_probes(const ProbeOwner& owner) noexcept {
  std::vector<ProbeResult> results = inner_->poll_probes(owner);
  for (const ProbeResult& ended : results) {
    const auto at = probes_.find(ended.id);
    if (at == probes_.end()) continue;
    Seen& seen = seen_.at(at->second.url);
    --seen.under_way;
    if (at->second.identity) settle_home(seen, ended.result);
    const bool answered = std::holds_alternative<Response>(ended.result) && !breaks(ended.result);
    if (answered && seen.broken_since && at->second.started >= *seen.broken_since) seen.broken_since.reset();
    if (tell_) {
      story.push_back(fmt::format("{:10.4f}     probe {} -> {}, begun at {:.4f} s", seconds(clock_->now() - began_),
                                  at->second.url, outcome_of(ended.result), seconds(at->second.started - began_)));
    }
    probes_.erase(at);
  }
  return results;
}

}  // namespace mlflowha_tests
