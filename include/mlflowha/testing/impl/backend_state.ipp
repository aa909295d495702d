#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_STATE_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_STATE_IPP

// The handlers of FakeBackend, one for each operation that it has.

#include <mlflowha/api/artifacts.hpp>
#include <mlflowha/api/logged_models.hpp>
#include <mlflowha/testing/impl/backend_filter.ipp>
#include <mlflowha/testing/impl/backend_routes.ipp>

#include <mutex>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

/// All members are called with the mutex held.
class BackendState {
 public:
  explicit BackendState(const BackendOptions& options) : store(options), version_(options.version) {}

  Response answer(const Request& request, WallTime now, ServerVersion version);

  std::mutex mutex;
  Store store;

 private:
  /// What answers an operation of the table: with JSON, or, where requests or answers aren't, with a whole response.
  struct Handler {
    const api::Operation* operation;
    Json (BackendState::*json)(ParsedRequest&);
    Response (BackendState::*whole)(ParsedRequest&);  ///< gets the query, and has body_
    const MessageType* message;
  };
  // backend_dispatch.ipp
  static const std::vector<Handler>& handlers();
  [[nodiscard]] static const Handler* handler_of(const api::Operation& operation);
  [[nodiscard]] bool is_served(const api::Operation& operation) const;
  /// The most specific route for a path, and `places` of it; `known`: some method has the path.
  [[nodiscard]] const Route* route_of(Method method, std::string_view path, std::vector<std::string>& places,
                                      bool& known) const;
  Response dispatch(const Request& request, std::string_view path, std::string_view query);
  [[nodiscard]] static Response plain_answer(std::string type, std::string body);
  [[nodiscard]] static Response json_answer(const Json& json);
  Response get_health(ParsedRequest& query);
  Response get_server_version(ParsedRequest& query);
  Response get_server_info(ParsedRequest& query);

  // backend_experiments.ipp
  Json create_experiment(ParsedRequest& request);
  Json get_experiment(ParsedRequest& request);
  Json get_experiment_by_name(ParsedRequest& request);
  Json search_experiments(ParsedRequest& request);
  Json delete_experiment(ParsedRequest& request);
  Json restore_experiment(ParsedRequest& request);
  Json update_experiment(ParsedRequest& request);
  Json set_experiment_tag(ParsedRequest& request);
  Json delete_experiment_tag(ParsedRequest& request);
  // backend_runs.ipp
  Json create_run(ParsedRequest& request);
  Json update_run(ParsedRequest& request);
  Json delete_run(ParsedRequest& request);
  Json restore_run(ParsedRequest& request);
  Json get_run(ParsedRequest& request);
  Json search_runs(ParsedRequest& request);
  // backend_logging.ipp
  Json log_metric(ParsedRequest& request);
  Json log_param(ParsedRequest& request);
  Json set_tag(ParsedRequest& request);
  Json delete_tag(ParsedRequest& request);
  Json log_batch(ParsedRequest& request);
  Json get_metric_history(ParsedRequest& request);

  // backend_registry.ipp
  Json create_registered_model(ParsedRequest& request);
  Json rename_registered_model(ParsedRequest& request);
  Json update_registered_model(ParsedRequest& request);
  Json delete_registered_model(ParsedRequest& request);
  Json get_registered_model(ParsedRequest& request);
  Json search_registered_models(ParsedRequest& request);
  Json get_latest_versions(ParsedRequest& request);
  Json set_registered_model_tag(ParsedRequest& request);
  Json delete_registered_model_tag(ParsedRequest& request);
  Json set_registered_model_alias(ParsedRequest& request);
  Json delete_registered_model_alias(ParsedRequest& request);
  Json get_model_version_by_alias(ParsedRequest& request);
  // backend_versions.ipp
  Json create_model_version(ParsedRequest& request);
  Json update_model_version(ParsedRequest& request);
  Json transition_model_version_stage(ParsedRequest& request);
  Json delete_model_version(ParsedRequest& request);
  Json get_model_version(ParsedRequest& request);
  Json search_model_versions(ParsedRequest& request);
  Json get_model_version_download_uri(ParsedRequest& request);
  Json set_model_version_tag(ParsedRequest& request);
  Json delete_model_version_tag(ParsedRequest& request);
  // backend_logged_models.ipp
  Json create_logged_model(ParsedRequest& request);
  Json finalize_logged_model(ParsedRequest& request);
  Json get_logged_model(ParsedRequest& request);
  Json delete_logged_model(ParsedRequest& request);
  Json search_logged_models(ParsedRequest& request);
  Json set_logged_model_tags(ParsedRequest& request);
  Json delete_logged_model_tag(ParsedRequest& request);
  Json list_logged_model_artifacts(ParsedRequest& request);
  Json log_logged_model_params(ParsedRequest& request);
  Json log_model(ParsedRequest& request);
  Json log_inputs(ParsedRequest& request);
  Json log_outputs(ParsedRequest& request);
  Json search_datasets(ParsedRequest& request);
  // backend_webhooks.ipp
  Json create_webhook(ParsedRequest& request);
  Json list_webhooks(ParsedRequest& request);
  Json get_webhook(ParsedRequest& request);
  Json update_webhook(ParsedRequest& request);
  Json delete_webhook(ParsedRequest& request);
  Json test_webhook(ParsedRequest& request);
  // backend_traces.ipp
  Json start_trace(ParsedRequest& request);
  Json get_trace_info(ParsedRequest& request);
  Json get_trace(ParsedRequest& request);
  Json batch_get_traces(ParsedRequest& request);
  Json batch_get_trace_infos(ParsedRequest& request);
  Json search_traces(ParsedRequest& request);
  Json delete_traces(ParsedRequest& request);
  Json set_trace_tag(ParsedRequest& request);
  Json delete_trace_tag(ParsedRequest& request);
  Json link_traces_to_run(ParsedRequest& request);
  Json link_prompts_to_trace(ParsedRequest& request);
  Json start_trace_v2(ParsedRequest& request);
  Json end_trace_v2(ParsedRequest& request);
  Json get_trace_info_v2(ParsedRequest& request);
  Json search_traces_v2(ParsedRequest& request);
  Response not_open_source(ParsedRequest& query);
  // backend_trace_search.ipp
  Json calculate_trace_filter_correlation(ParsedRequest& request);
  // backend_assessments.ipp
  Json create_assessment(ParsedRequest& request);
  Json get_assessment(ParsedRequest& request);
  Json update_assessment(ParsedRequest& request);
  Json delete_assessment(ParsedRequest& request);
  // backend_datasets.ipp
  Json create_dataset(ParsedRequest& request);
  Json get_dataset(ParsedRequest& request);
  Json delete_dataset(ParsedRequest& request);
  Json search_evaluation_datasets(ParsedRequest& request);
  Json set_dataset_tags(ParsedRequest& request);
  Json delete_dataset_tag(ParsedRequest& request);
  Json upsert_dataset_records(ParsedRequest& request);
  Json get_dataset_experiment_ids(ParsedRequest& request);
  Json get_dataset_records(ParsedRequest& request);
  Json delete_dataset_records(ParsedRequest& request);
  Json add_dataset_to_experiments(ParsedRequest& request);
  Json remove_dataset_from_experiments(ParsedRequest& request);
  // backend_scorers.ipp
  Json register_scorer(ParsedRequest& request);
  Json list_scorers(ParsedRequest& request);
  Json list_scorer_versions(ParsedRequest& request);
  Json get_scorer(ParsedRequest& request);
  Json delete_scorer(ParsedRequest& request);
  Json get_online_scoring_configs(ParsedRequest& request);
  Json upsert_online_scoring_config(ParsedRequest& request);
  // backend_issues.ipp
  Json create_issue(ParsedRequest& request);
  Json update_issue(ParsedRequest& request);
  Json get_issue(ParsedRequest& request);
  Json search_issues(ParsedRequest& request);
  // backend_artifacts.ipp
  Json list_artifacts(ParsedRequest& request);
  Json create_presigned_upload_url(ParsedRequest& request);
  Json create_presigned_download_url(ParsedRequest& request);
  Response list_proxied_artifacts(ParsedRequest& query);
  Response download_artifact(ParsedRequest& query);
  Response upload_artifact(ParsedRequest& query);
  Response delete_artifact(ParsedRequest& query);
  Response refuse_multipart(std::string_view what);
  Response refuse_multipart_upload(ParsedRequest& query);
  Response refuse_multipart_download(ParsedRequest& query);
  Response get_artifact(ParsedRequest& query);
  Response get_model_version_artifact(ParsedRequest& query);
  Response get_logged_model_artifact(ParsedRequest& query);
  Response upload_run_artifact(ParsedRequest& query);
  [[nodiscard]] Response file_answer(const std::string& place) const;

  // backend_logging.ipp
  Response get_metric_history_bulk(ParsedRequest& query);

  // What handlers share.
  [[nodiscard]] bool v3() const noexcept { return version_ == ServerVersion::v3; }
  void use_database(bool write) const;
  [[nodiscard]] Response error_response(const Refusal& refusal) const;
  [[nodiscard]] static Response html_page(int status, std::string_view title);
  ExperimentRow& experiment(const std::string& id, bool active, bool deleted);
  const ExperimentRow& active_experiment(const std::string& id);
  RunRow& run(const std::string& id);
  RunRow& active_run(const std::string& id);
  void check_experiment_tag(const std::string& key, const std::string& value) const;
  [[nodiscard]] Json experiment_json(const ExperimentRow& row) const;
  [[nodiscard]] static Json run_info_json(const RunRow& row);
  [[nodiscard]] Json run_json(const RunRow& row, bool fresh) const;
  [[nodiscard]] static Json metric_json(const std::string& key, const StoredPoint& point);
  [[nodiscard]] Cell run_cell(const RunRow& row, Entity entity, const std::string& key) const;
  void store_metrics(RunRow& row, const Json& metrics);
  void store_tag(RunRow& row, const std::string& key, const std::string& value);

  RegisteredModelRow& model(const std::string& name);
  ModelVersionRow& model_version(RegisteredModelRow& row, const std::string& version) const;
  ModelVersionRow& model_version(const ParsedRequest& request);
  void check_registry_tag(const std::string& key, const std::string& value) const;
  void check_model_name(const std::string& name) const;
  LoggedModelRow& logged_model(const std::string& id);
  WebhookRow& webhook(const std::string& id);
  TraceRow& trace(const std::string& id);
  EvaluationDatasetRow& evaluation_dataset(std::string_view before, std::string_view after);
  bool put_record(EvaluationDatasetRow& dataset, const Json& record);
  IssueRow& issue(const std::string& id);
  [[nodiscard]] std::int64_t traces_with_issue(const std::string& id) const;
  ScorerRow& scorer(const ParsedRequest& request, bool versions);
  std::vector<const TraceRow*> traces_of(ParsedRequest& request);
  [[nodiscard]] std::vector<Comparison> trace_filter(const std::string& text) const;
  [[nodiscard]] std::vector<const TraceRow*> traces_where(const Json& experiments,
                                                          const std::vector<Comparison>& comparisons) const;
  Json trace_page(ParsedRequest& request, const Json& experiments, Json (*to_json)(const TraceRow&));
  AssessmentRow new_assessment(const Json& assessment);
  AssessmentRow& assessment(TraceRow& owner, const std::string& id);
  TraceRow& assessed_trace();
  [[nodiscard]] Json files_below(const std::string& root, const std::string& folder, bool full_path) const;

  // Of the request in hand.
  std::vector<std::string> places_;  // of the path, in its order
  std::string_view body_;
  bool compact_ = false;  // the answer's JSON is written without blanks
  // Of the server that answers the request in hand.
  ServerVersion version_;
  std::int64_t now_ms_ = 0;
};

// --- messages, as far as the fields matter
// ----------------------------------------------------------------------------

MLFLOWHA_INLINE const MessageType& key_value_message() {
  static const MessageType type{{{"key", "key", FieldType::text}, {"value", "value", FieldType::text}}};
  return type;
}

MLFLOWHA_INLINE const MessageType& metric_message() {
  static const MessageType type{{{"key", "key", FieldType::text},
                                 {"value", "value", FieldType::real},
                                 {"timestamp", "timestamp", FieldType::integer},
                                 {"step", "step", FieldType::integer}}};
  return type;
}

/// Experiment operations: the union of their fields.
MLFLOWHA_INLINE const MessageType& experiment_request() {
  static const MessageType type{{{"experiment_id", "experimentId", FieldType::text},
                                 {"experiment_name", "experimentName", FieldType::text},
                                 {"name", "name", FieldType::text},
                                 {"new_name", "newName", FieldType::text},
                                 {"artifact_location", "artifactLocation", FieldType::text},
                                 {"key", "key", FieldType::text},
                                 {"value", "value", FieldType::text},
                                 {"tags", "tags", FieldType::message, true, &key_value_message()},
                                 {"max_results", "maxResults", FieldType::integer},
                                 {"page_token", "pageToken", FieldType::text},
                                 {"filter", "filter", FieldType::text},
                                 {"order_by", "orderBy", FieldType::text, true},
                                 {"view_type", "viewType", FieldType::view_type}}};
  return type;
}

/// Operations on one run and what is logged to it.
MLFLOWHA_INLINE const MessageType& run_request() {
  static const MessageType type{{{"run_id", "runId", FieldType::text},
                                 {"run_uuid", "runUuid", FieldType::text},
                                 {"experiment_id", "experimentId", FieldType::text},
                                 {"user_id", "userId", FieldType::text},
                                 {"run_name", "runName", FieldType::text},
                                 {"status", "status", FieldType::run_status},
                                 {"start_time", "startTime", FieldType::integer},
                                 {"end_time", "endTime", FieldType::integer},
                                 {"tags", "tags", FieldType::message, true, &key_value_message()}}};
  return type;
}

MLFLOWHA_INLINE const MessageType& log_metric_request() {
  static const MessageType type{{{"run_id", "runId", FieldType::text},
                                 {"run_uuid", "runUuid", FieldType::text},
                                 {"key", "key", FieldType::text},
                                 {"value", "value", FieldType::real},
                                 {"timestamp", "timestamp", FieldType::integer},
                                 {"step", "step", FieldType::integer}}};
  return type;
}

MLFLOWHA_INLINE const MessageType& log_text_request() {
  static const MessageType type{{{"run_id", "runId", FieldType::text},
                                 {"run_uuid", "runUuid", FieldType::text},
                                 {"key", "key", FieldType::text},
                                 {"value", "value", FieldType::text}}};
  return type;
}

MLFLOWHA_INLINE const MessageType& log_batch_request() {
  static const MessageType type{{{"run_id", "runId", FieldType::text},
                                 {"metrics", "metrics", FieldType::message, true, &metric_message()},
                                 {"params", "params", FieldType::message, true, &key_value_message()},
                                 {"tags", "tags", FieldType::message, true, &key_value_message()}}};
  return type;
}

MLFLOWHA_INLINE const MessageType& search_runs_request() {
  static const MessageType type{{{"experiment_ids", "experimentIds", FieldType::text, true},
                                 {"filter", "filter", FieldType::text},
                                 {"run_view_type", "runViewType", FieldType::view_type},
                                 {"max_results", "maxResults", FieldType::integer},
                                 {"order_by", "orderBy", FieldType::text, true},
                                 {"page_token", "pageToken", FieldType::text}}};
  return type;
}

MLFLOWHA_INLINE const MessageType& history_request() {
  static const MessageType type{{{"run_id", "runId", FieldType::text},
                                 {"run_uuid", "runUuid", FieldType::text},
                                 {"metric_key", "metricKey", FieldType::text},
                                 {"page_token", "pageToken", FieldType::text},
                                 {"max_results", "maxResults", FieldType::integer}}};
  return type;
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
