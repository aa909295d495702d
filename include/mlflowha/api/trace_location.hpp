#ifndef MLFLOWHA_API_TRACE_LOCATION_HPP
#define MLFLOWHA_API_TRACE_LOCATION_HPP

// The one place where an open-source server keeps traces, in the words of the tracing API. For whoever stores traces or
// searches them:
//
//   client.search_traces({.locations = {experiment_location("7")}, .filter = "status = 'ERROR'"});

#include <mlflowha/api/traces.hpp>

#include <string_view>
#include <utility>

MLFLOWHA_BEGIN_NAMESPACE

/// The experiment with that id.
[[nodiscard]] inline TraceLocation experiment_location(std::string_view experiment_id) {
  TraceLocation location;
  location.type = TraceLocationType::mlflow_experiment;
  location.mlflow_experiment.emplace().experiment_id = experiment_id;
  return location;
}

MLFLOWHA_END_NAMESPACE

#endif
