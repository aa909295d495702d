#ifndef MLFLOWHA_OBSERVE_IMPL_OBSERVER_IPP
#define MLFLOWHA_OBSERVE_IMPL_OBSERVER_IPP

#include <mlflowha/observe/observer.hpp>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE std::string_view to_string(BreakerState state) noexcept {
  switch (state) {
    case BreakerState::closed:
      return "closed";
    case BreakerState::half_open:
      return "half_open";
    case BreakerState::open:
      return "open";
    case BreakerState::forced_open:
      return "forced_open";
    case BreakerState::disabled:
      return "disabled";
    case BreakerState::metrics_only:
      return "metrics_only";
  }
  return "unknown";
}

MLFLOWHA_INLINE std::string_view to_string(EndpointHealth health) noexcept {
  switch (health) {
    case EndpointHealth::healthy:
      return "healthy";
    case EndpointHealth::recovering:
      return "recovering";
    case EndpointHealth::suspect:
      return "suspect";
    case EndpointHealth::ejected:
      return "ejected";
    case EndpointHealth::refused:
      return "refused";
  }
  return "unknown";
}

MLFLOWHA_INLINE Observer::~Observer() = default;
MLFLOWHA_INLINE void Observer::on_attempt(const AttemptEvent&) noexcept {}
MLFLOWHA_INLINE void Observer::on_endpoint(const EndpointEvent&) noexcept {}
MLFLOWHA_INLINE void Observer::on_call(const CallEvent&) noexcept {}
MLFLOWHA_INLINE void Observer::on_twin(const TwinEvent&) noexcept {}

MLFLOWHA_END_NAMESPACE

#endif
