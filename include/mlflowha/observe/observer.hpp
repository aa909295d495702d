#ifndef MLFLOWHA_OBSERVE_OBSERVER_HPP
#define MLFLOWHA_OBSERVE_OBSERVER_HPP

// Observer: what the library tells whoever wants to know. Each attempt, each change of an endpoint's state, each call
// that ended and each duplicate that was found and removed. The library itself never logs and never prints.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/core/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

/// State of one circuit breaker. The first three are what the breaker finds out, the others what an operator ordered.
enum class BreakerState : std::uint8_t { closed, half_open, open, forced_open, disabled, metrics_only };
[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(BreakerState state) noexcept;

/// What an endpoint is worth at the moment; the pool picks the best. See resilience/endpoint_set.hpp.
enum class EndpointHealth : std::uint8_t {
  healthy,     ///< answers
  recovering,  ///< answers again, but not for long enough to get its place back
  suspect,     ///< failed last time; not tried by calls while a better one exists
  ejected,     ///< breaker open
  refused,     ///< fronts another database, or is no MLflow server
};
[[nodiscard]] MLFLOWHA_EXPORT std::string_view to_string(EndpointHealth health) noexcept;

struct AttemptEvent {
  std::string_view operation;  ///< e.g. "create_run"
  std::string_view call_id;
  int number = 0;  ///< 1 for a call's first attempt
  const AttemptRecord& record;
};

struct EndpointEvent {
  std::string_view endpoint;
  EndpointHealth health_before{};
  EndpointHealth health_after{};
  BreakerState breaker_before{};
  BreakerState breaker_after{};
  std::string_view reason;  ///< e.g. "5 consecutive failures", "probe succeeded"
  TimePoint at;
};

struct CallEvent {
  std::string_view operation;
  std::string_view call_id;
  int attempts = 0;
  Duration duration{};
  const Error* error = nullptr;  ///< null when the call succeeded; otherwise this is the give-up with its whole story
};

/// A second object that a late or repeated create left behind.
struct TwinEvent {
  std::string_view operation;
  std::string_view kept_id;
  std::string_view twin_id;
  /// False: found, and not removed (yet): it is in use, must not be removed, or the removal failed. Told once for each
  /// twin; a removal that succeeds later is told of, too.
  bool removed = false;
};

/// Override what you need. Called on the thread that made the call, never under a lock of the library, possibly from
/// many threads at once. Must not throw. The views are valid during the call only.
class MLFLOWHA_EXPORT Observer {
 public:
  virtual ~Observer();
  virtual void on_attempt(const AttemptEvent& event) noexcept;
  virtual void on_endpoint(const EndpointEvent& event) noexcept;
  virtual void on_call(const CallEvent& event) noexcept;
  virtual void on_twin(const TwinEvent& event) noexcept;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/observe/impl/observer.ipp>
#endif

#endif
