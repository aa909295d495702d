#ifndef MLFLOWHA_CLIENT_HEALTH_HPP
#define MLFLOWHA_CLIENT_HEALTH_HPP

// HealthSnapshot: what a client knows about its servers at one moment, for health pages and for people. Made by
// Client::health(); no request is sent for it. As JSON it has the keys that the high-availability runbook reads
// (`.circuit_breaker.state`, `failure_count`, `success_count`, `last_failure_time`), with the endpoints beside them.

#include <mlflowha/core/clock.hpp>
#include <mlflowha/observe/observer.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

struct EndpointStatus {
  std::string url;  ///< without credentials
  EndpointHealth health = EndpointHealth::healthy;
  BreakerState breaker = BreakerState::closed;
  std::int64_t failure_count = 0;  ///< hard failures in a row
  std::int64_t success_count = 0;  ///< since start or reset
  std::string last_error;          ///< "" when none
  std::optional<WallTime> last_error_time;
  std::optional<WallTime> last_success_time;
  std::optional<WallTime> next_probe_time;  ///< of an open breaker
  double latency_ms = 0;                    ///< moving average
  std::int32_t in_flight = 0;
  bool identified = false;  ///< known to front the same database as the others
  /// MLflow's release, e.g. "3.17.2"; "" while no call has needed to know it, and when the server doesn't tell.
  std::string version;
};

struct HealthSnapshot {
  /// The cluster as one breaker: closed while an endpoint is usable, open when none is.
  BreakerState state = BreakerState::closed;
  std::int64_t failure_count = 0;  ///< sum over the endpoints
  std::int64_t success_count = 0;
  std::optional<WallTime> last_failure_time;
  std::vector<EndpointStatus> endpoints;  ///< in list order
  std::int32_t retry_budget = 0;          ///< tokens left
  std::size_t twins_watched = 0;          ///< creates that may still have a late twin
  WallTime taken_at{};
};

/// {"status": "ok"|"degraded"|"unavailable", "circuit_breaker": {...}, "endpoints": [...], ...}. Times are ISO 8601
/// UTC.
[[nodiscard]] MLFLOWHA_EXPORT std::string to_json(const HealthSnapshot& snapshot);

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/health.ipp>
#endif

#endif
