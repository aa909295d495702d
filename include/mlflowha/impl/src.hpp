#ifndef MLFLOWHA_IMPL_SRC_HPP
#define MLFLOWHA_IMPL_SRC_HPP

// Every definition of the library, room by room. Included by src/mlflowha.cpp and by nothing else.

#include <mlflowha/core/impl/clock.ipp>
#include <mlflowha/core/impl/error.ipp>
#include <mlflowha/core/impl/rng.ipp>
#include <mlflowha/core/impl/uri.ipp>
#include <mlflowha/observe/impl/observer.ipp>
#include <mlflowha/resilience/impl/backoff.ipp>
#include <mlflowha/resilience/impl/call_plan.ipp>
#include <mlflowha/resilience/impl/circuit_breaker.ipp>
#include <mlflowha/resilience/impl/endpoint_health.ipp>
#include <mlflowha/resilience/impl/endpoint_set.ipp>
#include <mlflowha/resilience/impl/retry_budget.ipp>

#endif
