#ifndef MLFLOWHA_TESTING_FAKE_TRANSPORT_HPP
#define MLFLOWHA_TESTING_FAKE_TRANSPORT_HPP

// FakeTransport: a Transport without a network. Endpoints are in-memory servers or prepared answers, faults come from a
// FaultScript per endpoint, and time is a FakeClock's: a timeout of a minute takes no time at all. With one thread and
// one seed everything repeats exactly, so whole clients can be simulated thousands of times. A body that is a file is
// read as a whole, at once; what a handler gets has it in `body`.
//
//   auto clock = std::make_shared<FakeClock>();
//   auto mlflow = std::make_shared<FakeBackend>();
//   auto transport = std::make_shared<FakeTransport>(clock);
//   transport->add("http://a:5000", mlflow, {when().nth(3).apply_then_drop()});
//   transport->add("http://b:5000", mlflow);

#include <mlflowha/http/transport.hpp>
#include <mlflowha/testing/fake_backend.hpp>
#include <mlflowha/testing/fake_clock.hpp>
#include <mlflowha/testing/fault_injector.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {

namespace detail {
class FakeTransportState;
}

struct FakeTransportOptions {
  std::uint64_t seed = 1;  ///< of latencies and of the faults' shares
  /// How long an answer takes: uniformly between the two, before what the faults add.
  Duration min_latency = std::chrono::microseconds(500);
  Duration max_latency = std::chrono::milliseconds(2);
  /// Whether exchanges are recorded. A simulation of millions of calls may do without.
  bool record = true;
};

/// One attempt that a FakeTransport has carried, or a probe.
struct Exchange {
  std::string endpoint;  ///< base address as in Uri::base()
  Request request;
  TransportResult result;
  TimePoint started;
  Duration duration{0};  ///< until the result was there (as cut short by the timeout, not by a cancellation)
  FaultKind fault = FaultKind::none;
  bool applied = false;  ///< the server carried the request out (an apply_late counts from the start)
  bool probe = false;
};

/// Thread-safe. Single-threaded use is deterministic.
class MLFLOWHA_EXPORT FakeTransport final : public Transport {
 public:
  /// What it throws, of whatever type, doesn't leave the transport: the attempt fails with TransportFault::bad_request
  /// and, for a std::exception, its words; a probe isn't started.
  using Handler = std::function<Response(const Request& request, WallTime now)>;

  explicit FakeTransport(std::shared_ptr<FakeClock> clock, FakeTransportOptions options = {});
  ~FakeTransport() override;

  // --- what there is. `endpoint` is an address as in an endpoint list; \throws Exception when it can't be parsed.

  /// An in-memory MLflow. Endpoints that share a backend are a cluster on one database.
  void add(std::string_view endpoint, std::shared_ptr<FakeBackend> backend, FaultScript faults = {});
  /// The same with a server of that release, whatever the backend's own is.
  void add(std::string_view endpoint, std::shared_ptr<FakeBackend> backend, ServerVersion version,
           FaultScript faults = {});
  /// Anything that answers.
  void add(std::string_view endpoint, Handler handler, FaultScript faults = {});
  /// Prepares an answer (or a failure) for requests with this method whose target begins with `target`. Prepared
  /// answers come before the endpoint's backend, in the order in which they were prepared, each `times` times (0:
  /// always).
  void reply(std::string_view endpoint, Method method, std::string_view target, TransportResult result,
             std::uint64_t times = 1);
  /// Replaces the faults of an endpoint; their clock starts now.
  void set_faults(std::string_view endpoint, FaultScript faults);

  // --- what happened

  [[nodiscard]] std::vector<Exchange> exchanges() const;
  [[nodiscard]] std::vector<Exchange> exchanges(std::string_view endpoint) const;
  /// Attempts and probes that reached for the endpoint, recorded or not.
  [[nodiscard]] std::uint64_t count(std::string_view endpoint) const;
  void clear_exchanges();
  [[nodiscard]] std::vector<FaultCount> fault_counts(std::string_view endpoint) const;
  /// Prepared answers that have not been asked for as often as they were prepared for, one line each.
  [[nodiscard]] std::vector<std::string> unused_replies() const;
  /// Requests that nothing was there for: each failed with bad_request and a list of what comes near to it.
  [[nodiscard]] std::vector<std::string> unmatched_requests() const;

  // --- Transport

  [[nodiscard]] TransportResult perform(const Uri& endpoint, const Request& request, const AttemptTimeouts& timeouts,
                                        const CancellationToken& cancel) noexcept override;
  [[nodiscard]] bool start_probe(const ProbeOwner& owner, std::uint64_t id, const Uri& endpoint, const Request& request,
                                 const AttemptTimeouts& timeouts) noexcept override;
  [[nodiscard]] std::vector<ProbeResult> poll_probes(const ProbeOwner& owner) noexcept override;

 private:
  // What is scheduled on the clock shares the state, so the state must not own the clock.
  std::shared_ptr<FakeClock> clock_;
  std::shared_ptr<detail::FakeTransportState> state_;
};

}  // namespace testing
MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/testing/impl/fake_transport.ipp>
#endif

#endif
