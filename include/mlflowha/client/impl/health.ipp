#ifndef MLFLOWHA_CLIENT_IMPL_HEALTH_IPP
#define MLFLOWHA_CLIENT_IMPL_HEALTH_IPP

#include <mlflowha/client/health.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

MLFLOWHA_BEGIN_NAMESPACE

namespace detail {

MLFLOWHA_INLINE nlohmann::ordered_json iso_time(const std::optional<WallTime>& time) {
  if (!time) return nullptr;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(*time);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(*time - seconds).count();
  const std::time_t calendar =
      std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::system_clock::duration>(seconds));
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(calendar), ms);
}

MLFLOWHA_INLINE nlohmann::ordered_json endpoint_json(const EndpointStatus& endpoint) {
  return {{"url", endpoint.url},
          {"health", std::string(to_string(endpoint.health))},
          {"state", std::string(to_string(endpoint.breaker))},
          {"failure_count", endpoint.failure_count},
          {"success_count", endpoint.success_count},
          {"last_error",
           endpoint.last_error.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(endpoint.last_error)},
          {"last_error_time", iso_time(endpoint.last_error_time)},
          {"last_success_time", iso_time(endpoint.last_success_time)},
          {"next_probe_time", iso_time(endpoint.next_probe_time)},
          {"latency_ms", endpoint.latency_ms},
          {"in_flight", endpoint.in_flight},
          {"identified", endpoint.identified},
          {"version",
           endpoint.version.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(endpoint.version)}};
}

}  // namespace detail

MLFLOWHA_INLINE std::string to_json(const HealthSnapshot& snapshot) {
  bool all_well = true;
  for (const EndpointStatus& endpoint : snapshot.endpoints) {
    all_well = all_well && endpoint.health == EndpointHealth::healthy;
  }
  const bool usable = snapshot.state == BreakerState::closed || snapshot.state == BreakerState::disabled ||
                      snapshot.state == BreakerState::metrics_only;
  nlohmann::ordered_json endpoints = nlohmann::ordered_json::array();
  for (const EndpointStatus& endpoint : snapshot.endpoints) endpoints.push_back(detail::endpoint_json(endpoint));
  const nlohmann::ordered_json page = {{"status", !usable    ? "unavailable"
                                                  : all_well ? "ok"
                                                             : "degraded"},
                                       {"circuit_breaker",
                                        {{"state", std::string(to_string(snapshot.state))},
                                         {"failure_count", snapshot.failure_count},
                                         {"success_count", snapshot.success_count},
                                         {"last_failure_time", detail::iso_time(snapshot.last_failure_time)}}},
                                       {"endpoints", std::move(endpoints)},
                                       {"retry_budget", snapshot.retry_budget},
                                       {"twins_watched", snapshot.twins_watched},
                                       {"taken_at", detail::iso_time(snapshot.taken_at)}};
  // last_error holds foreign text: broken UTF-8 is replaced and can't make the page fail.
  return page.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

MLFLOWHA_END_NAMESPACE

#endif
