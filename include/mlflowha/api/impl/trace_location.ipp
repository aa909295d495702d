#ifndef MLFLOWHA_API_IMPL_TRACE_LOCATION_IPP
#define MLFLOWHA_API_IMPL_TRACE_LOCATION_IPP

#include <mlflowha/api/trace_location.hpp>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE TraceLocation experiment_location(std::string_view experiment_id) {
  TraceLocation location;
  location.type = TraceLocationType::mlflow_experiment;
  location.mlflow_experiment.emplace().experiment_id = experiment_id;
  return location;
}

MLFLOWHA_END_NAMESPACE

#endif
