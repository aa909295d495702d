#ifndef MLFLOWHA_API_TRACE_LOCATION_HPP
#define MLFLOWHA_API_TRACE_LOCATION_HPP

// The one place where an open-source server keeps traces, in the words of the tracing API. For whoever stores traces or
// searches them:
//
//   client.search_traces({.locations = {experiment_location("7")}, .filter = "status = 'ERROR'"});

#include <mlflowha/api/traces.hpp>

#include <string_view>

MLFLOWHA_BEGIN_NAMESPACE

/// The experiment with that id.
[[nodiscard]] MLFLOWHA_EXPORT TraceLocation experiment_location(std::string_view experiment_id);

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/api/impl/trace_location.ipp>
#endif

#endif
