#ifndef MLFLOWHA_CLIENT_IMPL_RUN_CONVENIENCES_IPP
#define MLFLOWHA_CLIENT_IMPL_RUN_CONVENIENCES_IPP

#include <mlflowha/client/run_conveniences.hpp>

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

MLFLOWHA_INLINE Result<void> RunConveniences::log_metric(std::string_view run_id, std::string_view key, double value,
                                                         const MetricOptions& options) const {
  LogMetric request;
  request.run_id = run_id;
  request.key = key;
  request.value = value;
  request.step = options.step;
  request.timestamp = options.timestamp;
  return log_metric(request, options.call);
}

MLFLOWHA_INLINE Result<void> RunConveniences::log_param(std::string_view run_id, std::string_view key,
                                                        std::string_view value, const CallOptions& options) const {
  LogParam request;
  request.run_id = run_id;
  request.key = key;
  request.value = value;
  return log_param(request, options);
}

MLFLOWHA_INLINE Result<void> RunConveniences::set_tag(std::string_view run_id, std::string_view key,
                                                      std::string_view value, const CallOptions& options) const {
  SetTag request;
  request.run_id = run_id;
  request.key = key;
  request.value = value;
  return set_tag(request, options);
}

MLFLOWHA_INLINE Result<Run> RunConveniences::get_run(std::string_view run_id, const CallOptions& options) const {
  GetRun request;
  request.run_id = run_id;
  return get_run(request, options);
}

MLFLOWHA_INLINE Result<void> RunConveniences::set_terminated(std::string_view run_id, RunStatus status,
                                                             const TerminateOptions& options) const {
  UpdateRun request;
  request.run_id = run_id;
  request.status = std::move(status);
  request.end_time = options.end_time != now_at_call ? options.end_time : wall_now().time_since_epoch().count();
  Result<RunInfo> info = update_run(request, options.call);
  if (!info) return std::move(info).error();
  return {};
}

MLFLOWHA_INLINE Result<std::optional<Experiment>> RunConveniences::find_experiment_by_name(
    std::string_view name, const CallOptions& options) const {
  GetExperimentByName request;
  request.experiment_name = name;
  Result<Experiment> experiment = get_experiment_by_name(request, options);
  if (experiment) return std::optional<Experiment>(std::move(*experiment));
  if (is_not_found(experiment.error())) return std::optional<Experiment>();
  return std::move(experiment).error();
}

MLFLOWHA_INLINE Result<void> RunConveniences::delete_run(std::string_view run_id, const CallOptions& options) const {
  DeleteRun request;
  request.run_id = run_id;
  return delete_run(request, options);
}

MLFLOWHA_INLINE Result<void> RunConveniences::restore_run(std::string_view run_id, const CallOptions& options) const {
  RestoreRun request;
  request.run_id = run_id;
  return restore_run(request, options);
}

MLFLOWHA_INLINE Result<void> RunConveniences::delete_tag(std::string_view run_id, std::string_view key,
                                                         const CallOptions& options) const {
  DeleteTag request;
  request.run_id = run_id;
  request.key = key;
  return delete_tag(request, options);
}

MLFLOWHA_INLINE Result<Experiment> RunConveniences::get_experiment(std::string_view experiment_id,
                                                                   const CallOptions& options) const {
  GetExperiment request;
  request.experiment_id = experiment_id;
  return get_experiment(request, options);
}

MLFLOWHA_INLINE Result<void> RunConveniences::delete_experiment(std::string_view experiment_id,
                                                                const CallOptions& options) const {
  DeleteExperiment request;
  request.experiment_id = experiment_id;
  return delete_experiment(request, options);
}

MLFLOWHA_INLINE Result<void> RunConveniences::restore_experiment(std::string_view experiment_id,
                                                                 const CallOptions& options) const {
  RestoreExperiment request;
  request.experiment_id = experiment_id;
  return restore_experiment(request, options);
}

MLFLOWHA_INLINE Result<void> RunConveniences::set_experiment_tag(std::string_view experiment_id, std::string_view key,
                                                                 std::string_view value,
                                                                 const CallOptions& options) const {
  SetExperimentTag request;
  request.experiment_id = experiment_id;
  request.key = key;
  request.value = value;
  return set_experiment_tag(request, options);
}

MLFLOWHA_INLINE Result<void> RunConveniences::delete_experiment_tag(std::string_view experiment_id,
                                                                    std::string_view key,
                                                                    const CallOptions& options) const {
  DeleteExperimentTag request;
  request.experiment_id = experiment_id;
  request.key = key;
  return delete_experiment_tag(request, options);
}

MLFLOWHA_INLINE Result<void> RunConveniences::rename_experiment(std::string_view experiment_id,
                                                                std::string_view new_name,
                                                                const CallOptions& options) const {
  UpdateExperiment request;
  request.experiment_id = experiment_id;
  request.new_name = new_name;
  return update_experiment(request, options);
}

MLFLOWHA_INLINE Result<void> RunConveniences::log_inputs(std::string_view run_id, std::vector<DatasetInput> datasets,
                                                         std::vector<ModelInput> models,
                                                         const CallOptions& options) const {
  LogInputs request;
  request.run_id = run_id;
  request.datasets = std::move(datasets);
  request.models = std::move(models);
  return log_inputs(request, options);
}

MLFLOWHA_INLINE Result<void> RunConveniences::log_outputs(std::string_view run_id, std::vector<ModelOutput> models,
                                                          const CallOptions& options) const {
  LogOutputs request;
  request.run_id = run_id;
  request.models = std::move(models);
  return log_outputs(request, options);
}

MLFLOWHA_INLINE Result<std::vector<Metric>> RunConveniences::get_metric_history(std::string_view run_id,
                                                                                std::string_view key,
                                                                                const CallOptions& options) const {
  GetMetricHistory request;
  request.run_id = run_id;
  request.metric_key = key;
  return get_metric_history_all(std::move(request), options).all();
}

MLFLOWHA_INLINE Result<std::optional<Run>> RunConveniences::get_parent_run(std::string_view run_id,
                                                                           const CallOptions& options) const {
  const Result<Run> child = get_run(run_id, options);
  if (!child) return child.error();
  for (const RunTag& tag : child->data.tags) {
    if (tag.key != "mlflow.parentRunId") continue;
    Result<Run> parent = get_run(tag.value, options);
    if (!parent) return std::move(parent).error();
    return std::optional<Run>(std::move(*parent));
  }
  return std::optional<Run>();
}

MLFLOWHA_END_NAMESPACE

#endif
