#ifndef MLFLOWHA_CLIENT_RUN_CONVENIENCES_HPP
#define MLFLOWHA_CLIENT_RUN_CONVENIENCES_HPP

// RunConveniences: short ways to say the common calls about experiments and runs, under the names that MLflow's Python
// client has for them (docs/reference/from-python.md). A base class of Client; each is one request unless it says more.
// What isn't here is said as well with the request itself: client.create_run({.experiment_id = "0"}).

#include <mlflowha/api/calls.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

MLFLOWHA_BEGIN_NAMESPACE

/// What may be said about a metric point besides its value.
struct MetricOptions {
  std::int64_t step = 0;
  std::int64_t timestamp = now_at_call;  ///< milliseconds since the epoch
  CallOptions call{};
};

/// What may be said about the end of a run.
struct TerminateOptions {
  std::int64_t end_time = now_at_call;  ///< milliseconds since the epoch
  CallOptions call{};
};

/// As thread-safe as the class that implements execute().
class MLFLOWHA_EXPORT RunConveniences : public api::Calls {
 public:
  // --- runs ---------------------------------------------------------------------------------------------------------

  using api::Calls::get_run;
  [[nodiscard]] Result<Run> get_run(std::string_view run_id, const CallOptions& options = {}) const;
  /// The run under which this one was started (its tag `mlflow.parentRunId`); nothing when there is none. Two requests.
  [[nodiscard]] Result<std::optional<Run>> get_parent_run(std::string_view run_id,
                                                          const CallOptions& options = {}) const;
  /// Ends a run: status and end time.
  [[nodiscard]] Result<void> set_terminated(std::string_view run_id, RunStatus status = RunStatus::finished,
                                            const TerminateOptions& options = {}) const;
  using api::Calls::delete_run;
  [[nodiscard]] Result<void> delete_run(std::string_view run_id, const CallOptions& options = {}) const;
  using api::Calls::restore_run;
  [[nodiscard]] Result<void> restore_run(std::string_view run_id, const CallOptions& options = {}) const;

  // --- what a run holds ---------------------------------------------------------------------------------------------

  using api::Calls::log_metric;
  [[nodiscard]] Result<void> log_metric(std::string_view run_id, std::string_view key, double value,
                                        const MetricOptions& options = {}) const;
  using api::Calls::log_param;
  /// The same value again is fine; another value for a param that has one is an error (params can't change).
  [[nodiscard]] Result<void> log_param(std::string_view run_id, std::string_view key, std::string_view value,
                                       const CallOptions& options = {}) const;
  using api::Calls::set_tag;
  [[nodiscard]] Result<void> set_tag(std::string_view run_id, std::string_view key, std::string_view value,
                                     const CallOptions& options = {}) const;
  using api::Calls::delete_tag;
  [[nodiscard]] Result<void> delete_tag(std::string_view run_id, std::string_view key,
                                        const CallOptions& options = {}) const;
  using api::Calls::log_inputs;
  [[nodiscard]] Result<void> log_inputs(std::string_view run_id, std::vector<DatasetInput> datasets,
                                        std::vector<ModelInput> models = {}, const CallOptions& options = {}) const;
  using api::Calls::log_outputs;
  [[nodiscard]] Result<void> log_outputs(std::string_view run_id, std::vector<ModelOutput> models,
                                         const CallOptions& options = {}) const;
  using api::Calls::get_metric_history;
  /// All points of a metric, 25,000 a request; `options` hold for each. To walk them, get_metric_history_all.
  [[nodiscard]] Result<std::vector<Metric>> get_metric_history(std::string_view run_id, std::string_view key,
                                                               const CallOptions& options = {}) const;

  // --- experiments --------------------------------------------------------------------------------------------------

  using api::Calls::get_experiment;
  [[nodiscard]] Result<Experiment> get_experiment(std::string_view experiment_id,
                                                  const CallOptions& options = {}) const;
  /// get_experiment_by_name, with nothing instead of an error when no experiment has that name.
  [[nodiscard]] Result<std::optional<Experiment>> find_experiment_by_name(std::string_view name,
                                                                          const CallOptions& options = {}) const;
  [[nodiscard]] Result<void> rename_experiment(std::string_view experiment_id, std::string_view new_name,
                                               const CallOptions& options = {}) const;
  using api::Calls::delete_experiment;
  [[nodiscard]] Result<void> delete_experiment(std::string_view experiment_id, const CallOptions& options = {}) const;
  using api::Calls::restore_experiment;
  [[nodiscard]] Result<void> restore_experiment(std::string_view experiment_id, const CallOptions& options = {}) const;
  using api::Calls::set_experiment_tag;
  [[nodiscard]] Result<void> set_experiment_tag(std::string_view experiment_id, std::string_view key,
                                                std::string_view value, const CallOptions& options = {}) const;
  using api::Calls::delete_experiment_tag;
  /// Needs MLflow 3.2.
  [[nodiscard]] Result<void> delete_experiment_tag(std::string_view experiment_id, std::string_view key,
                                                   const CallOptions& options = {}) const;

 protected:
  RunConveniences() = default;
};

MLFLOWHA_END_NAMESPACE

#if defined(MLFLOWHA_HEADER_ONLY)
#include <mlflowha/client/impl/run_conveniences.ipp>
#endif

#endif
