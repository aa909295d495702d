#ifndef MLFLOWHA_IMPL_SRC_ENGINE_HPP
#define MLFLOWHA_IMPL_SRC_ENGINE_HPP

// The library's first unit: the way of one call below the typed ones. It is hot and stays together, so that the
// compiler can inline from room to room.

#include <mlflowha/api/impl/error_body.ipp>
#include <mlflowha/api/impl/filter.ipp>
#include <mlflowha/api/impl/json_call.ipp>
#include <mlflowha/api/impl/operation.ipp>
#include <mlflowha/api/impl/pager.ipp>
#include <mlflowha/api/impl/proto_time.ipp>
#include <mlflowha/api/impl/secrets.ipp>
#include <mlflowha/api/impl/trace_location.ipp>
#include <mlflowha/client/impl/classify.ipp>
#include <mlflowha/client/impl/client.ipp>
#include <mlflowha/client/impl/config.ipp>
#include <mlflowha/client/impl/engine.ipp>
#include <mlflowha/client/impl/environment.ipp>
#include <mlflowha/client/impl/health.ipp>
#include <mlflowha/client/impl/identity.ipp>
#include <mlflowha/client/impl/releases.ipp>
#include <mlflowha/client/impl/side_jobs.ipp>
#include <mlflowha/client/impl/twin_watch.ipp>
#include <mlflowha/core/impl/cancellation.ipp>
#include <mlflowha/core/impl/clock.ipp>
#include <mlflowha/core/impl/error.ipp>
#include <mlflowha/core/impl/fork_mutex.ipp>
#include <mlflowha/core/impl/rng.ipp>
#include <mlflowha/core/impl/uri.ipp>
#include <mlflowha/core/impl/user_info.ipp>
#include <mlflowha/http/impl/curl_exchange.ipp>
#include <mlflowha/http/impl/curl_library.ipp>
#include <mlflowha/http/impl/curl_options.ipp>
#include <mlflowha/http/impl/curl_pool.ipp>
#include <mlflowha/http/impl/curl_probes.ipp>
#include <mlflowha/http/impl/curl_rules.ipp>
#include <mlflowha/http/impl/curl_transport.ipp>
#include <mlflowha/http/impl/file_transfer.ipp>
#include <mlflowha/http/impl/message.ipp>
#include <mlflowha/http/impl/sigpipe_guard.ipp>
#include <mlflowha/http/impl/transport.ipp>
#include <mlflowha/observe/impl/observer.ipp>
#include <mlflowha/resilience/impl/backoff.ipp>
#include <mlflowha/resilience/impl/call_plan.ipp>
#include <mlflowha/resilience/impl/circuit_breaker.ipp>
#include <mlflowha/resilience/impl/endpoint_health.ipp>
#include <mlflowha/resilience/impl/endpoint_set.ipp>
#include <mlflowha/resilience/impl/options.ipp>
#include <mlflowha/resilience/impl/retry_budget.ipp>

#endif
