#ifndef MLFLOWHA_TESTING_IMPL_BACKEND_DISPATCH_IPP
#define MLFLOWHA_TESTING_IMPL_BACKEND_DISPATCH_IPP

// From a request to the handler of its operation. Routes are generated from the table of operations; here stands which
// of them have a handler. The others are answered with 501, what has no route with the web framework's pages.

#include <mlflowha/api/impl/route_match.ipp>
#include <mlflowha/testing/impl/backend_artifacts.ipp>
#include <mlflowha/testing/impl/backend_issues.ipp>
#include <mlflowha/testing/impl/backend_logging.ipp>
#include <mlflowha/testing/impl/backend_scorers.ipp>
#include <mlflowha/testing/impl/backend_traces.ipp>
#include <mlflowha/testing/impl/backend_webhooks.ipp>

MLFLOWHA_BEGIN_NAMESPACE
namespace testing {
namespace detail {

MLFLOWHA_INLINE const MessageType& nothing_request() {
  static const MessageType type{};
  return type;
}

MLFLOWHA_INLINE const std::vector<BackendState::Handler>& BackendState::handlers() {
  namespace ops = api::ops;
  using S = BackendState;
  static const std::vector<Handler> table = {
      {&ops::create_experiment, &S::create_experiment, nullptr, &experiment_request()},
      {&ops::get_experiment, &S::get_experiment, nullptr, &experiment_request()},
      {&ops::get_experiment_by_name, &S::get_experiment_by_name, nullptr, &experiment_request()},
      {&ops::search_experiments, &S::search_experiments, nullptr, &experiment_request()},
      {&ops::delete_experiment, &S::delete_experiment, nullptr, &experiment_request()},
      {&ops::restore_experiment, &S::restore_experiment, nullptr, &experiment_request()},
      {&ops::update_experiment, &S::update_experiment, nullptr, &experiment_request()},
      {&ops::set_experiment_tag, &S::set_experiment_tag, nullptr, &experiment_request()},
      {&ops::delete_experiment_tag, &S::delete_experiment_tag, nullptr, &experiment_request()},
      {&ops::create_run, &S::create_run, nullptr, &run_request()},
      {&ops::update_run, &S::update_run, nullptr, &run_request()},
      {&ops::delete_run, &S::delete_run, nullptr, &run_request()},
      {&ops::restore_run, &S::restore_run, nullptr, &run_request()},
      {&ops::get_run, &S::get_run, nullptr, &run_request()},
      {&ops::search_runs, &S::search_runs, nullptr, &search_runs_request()},
      {&ops::log_metric, &S::log_metric, nullptr, &log_metric_request()},
      {&ops::log_param, &S::log_param, nullptr, &log_text_request()},
      {&ops::set_tag, &S::set_tag, nullptr, &log_text_request()},
      {&ops::delete_tag, &S::delete_tag, nullptr, &log_text_request()},
      {&ops::log_batch, &S::log_batch, nullptr, &log_batch_request()},
      {&ops::get_metric_history, &S::get_metric_history, nullptr, &history_request()},
      {&ops::create_registered_model, &S::create_registered_model, nullptr, &registry_request()},
      {&ops::rename_registered_model, &S::rename_registered_model, nullptr, &registry_request()},
      {&ops::update_registered_model, &S::update_registered_model, nullptr, &registry_request()},
      {&ops::delete_registered_model, &S::delete_registered_model, nullptr, &registry_request()},
      {&ops::get_registered_model, &S::get_registered_model, nullptr, &registry_request()},
      {&ops::search_registered_models, &S::search_registered_models, nullptr, &registry_request()},
      {&ops::get_latest_versions, &S::get_latest_versions, nullptr, &registry_request()},
      {&ops::set_registered_model_tag, &S::set_registered_model_tag, nullptr, &registry_request()},
      {&ops::delete_registered_model_tag, &S::delete_registered_model_tag, nullptr, &registry_request()},
      {&ops::set_registered_model_alias, &S::set_registered_model_alias, nullptr, &registry_request()},
      {&ops::delete_registered_model_alias, &S::delete_registered_model_alias, nullptr, &registry_request()},
      {&ops::get_model_version_by_alias, &S::get_model_version_by_alias, nullptr, &registry_request()},
      {&ops::create_model_version, &S::create_model_version, nullptr, &registry_request()},
      {&ops::update_model_version, &S::update_model_version, nullptr, &registry_request()},
      {&ops::transition_model_version_stage, &S::transition_model_version_stage, nullptr, &registry_request()},
      {&ops::delete_model_version, &S::delete_model_version, nullptr, &registry_request()},
      {&ops::get_model_version, &S::get_model_version, nullptr, &registry_request()},
      {&ops::search_model_versions, &S::search_model_versions, nullptr, &registry_request()},
      {&ops::get_model_version_download_uri, &S::get_model_version_download_uri, nullptr, &registry_request()},
      {&ops::set_model_version_tag, &S::set_model_version_tag, nullptr, &registry_request()},
      {&ops::delete_model_version_tag, &S::delete_model_version_tag, nullptr, &registry_request()},
      {&ops::create_logged_model, &S::create_logged_model, nullptr, &logged_model_request()},
      {&ops::search_logged_models, &S::search_logged_models, nullptr, &logged_model_request()},
      {&ops::finalize_logged_model, &S::finalize_logged_model, nullptr, &logged_model_request()},
      {&ops::get_logged_model, &S::get_logged_model, nullptr, &logged_model_request()},
      {&ops::delete_logged_model, &S::delete_logged_model, nullptr, &logged_model_request()},
      {&ops::set_logged_model_tags, &S::set_logged_model_tags, nullptr, &logged_model_request()},
      {&ops::delete_logged_model_tag, &S::delete_logged_model_tag, nullptr, &logged_model_request()},
      {&ops::list_logged_model_artifacts, &S::list_logged_model_artifacts, nullptr, &logged_model_request()},
      {&ops::log_logged_model_params, &S::log_logged_model_params, nullptr, &logged_model_request()},
      {&ops::log_model, &S::log_model, nullptr, &run_links_request()},
      {&ops::log_inputs, &S::log_inputs, nullptr, &run_links_request()},
      {&ops::log_outputs, &S::log_outputs, nullptr, &run_links_request()},
      {&ops::search_datasets, &S::search_datasets, nullptr, &logged_model_request()},
      {&ops::create_webhook, &S::create_webhook, nullptr, &webhook_request()},
      {&ops::list_webhooks, &S::list_webhooks, nullptr, &webhook_request()},
      {&ops::get_webhook, &S::get_webhook, nullptr, &webhook_request()},
      {&ops::update_webhook, &S::update_webhook, nullptr, &webhook_request()},
      {&ops::delete_webhook, &S::delete_webhook, nullptr, &webhook_request()},
      {&ops::test_webhook, &S::test_webhook, nullptr, &webhook_request()},
      {&ops::list_artifacts, &S::list_artifacts, nullptr, &artifact_request()},
      {&ops::create_presigned_upload_url, &S::create_presigned_upload_url, nullptr, &artifact_request()},
      {&ops::create_presigned_download_url, &S::create_presigned_download_url, nullptr, &artifact_request()},
      {&ops::start_trace, &S::start_trace, nullptr, &start_trace_request()},
      {&ops::get_trace_info, &S::get_trace_info, nullptr, &trace_request()},
      {&ops::get_trace, &S::get_trace, nullptr, &trace_request()},
      {&ops::batch_get_traces, &S::batch_get_traces, nullptr, &trace_request()},
      {&ops::batch_get_trace_infos, &S::batch_get_trace_infos, nullptr, &trace_request()},
      {&ops::search_traces, &S::search_traces, nullptr, &trace_request()},
      {&ops::delete_traces, &S::delete_traces, nullptr, &trace_request()},
      {&ops::set_trace_tag, &S::set_trace_tag, nullptr, &trace_request()},
      {&ops::delete_trace_tag, &S::delete_trace_tag, nullptr, &trace_request()},
      {&ops::link_traces_to_run, &S::link_traces_to_run, nullptr, &trace_request()},
      {&ops::link_prompts_to_trace, &S::link_prompts_to_trace, nullptr, &trace_request()},
      {&ops::calculate_trace_filter_correlation, &S::calculate_trace_filter_correlation, nullptr, &trace_request()},
      {&ops::start_trace_v2, &S::start_trace_v2, nullptr, &trace_request()},
      {&ops::end_trace_v2, &S::end_trace_v2, nullptr, &trace_request()},
      {&ops::get_trace_info_v2, &S::get_trace_info_v2, nullptr, &trace_request()},
      {&ops::search_traces_v2, &S::search_traces_v2, nullptr, &trace_request()},
      {&ops::delete_traces_v2, &S::delete_traces, nullptr, &trace_request()},
      {&ops::set_trace_tag_v2, &S::set_trace_tag, nullptr, &trace_request()},
      {&ops::delete_trace_tag_v2, &S::delete_trace_tag, nullptr, &trace_request()},
      {&ops::create_assessment, &S::create_assessment, nullptr, &assessment_request()},
      {&ops::get_assessment, &S::get_assessment, nullptr, &assessment_request()},
      {&ops::update_assessment, &S::update_assessment, nullptr, &assessment_request()},
      {&ops::delete_assessment, &S::delete_assessment, nullptr, &assessment_request()},
      {&ops::create_dataset, &S::create_dataset, nullptr, &evaluation_dataset_request()},
      {&ops::get_dataset, &S::get_dataset, nullptr, &evaluation_dataset_request()},
      {&ops::delete_dataset, &S::delete_dataset, nullptr, &evaluation_dataset_request()},
      {&ops::search_evaluation_datasets, &S::search_evaluation_datasets, nullptr, &evaluation_dataset_request()},
      {&ops::set_dataset_tags, &S::set_dataset_tags, nullptr, &evaluation_dataset_request()},
      {&ops::delete_dataset_tag, &S::delete_dataset_tag, nullptr, &evaluation_dataset_request()},
      {&ops::upsert_dataset_records, &S::upsert_dataset_records, nullptr, &evaluation_dataset_request()},
      {&ops::get_dataset_experiment_ids, &S::get_dataset_experiment_ids, nullptr, &evaluation_dataset_request()},
      {&ops::get_dataset_records, &S::get_dataset_records, nullptr, &evaluation_dataset_request()},
      {&ops::delete_dataset_records, &S::delete_dataset_records, nullptr, &evaluation_dataset_request()},
      {&ops::add_dataset_to_experiments, &S::add_dataset_to_experiments, nullptr, &evaluation_dataset_request()},
      {&ops::remove_dataset_from_experiments, &S::remove_dataset_from_experiments, nullptr,
       &evaluation_dataset_request()},
      {&ops::register_scorer, &S::register_scorer, nullptr, &scorer_request()},
      {&ops::list_scorers, &S::list_scorers, nullptr, &scorer_request()},
      {&ops::list_scorer_versions, &S::list_scorer_versions, nullptr, &scorer_request()},
      {&ops::get_scorer, &S::get_scorer, nullptr, &scorer_request()},
      {&ops::delete_scorer, &S::delete_scorer, nullptr, &scorer_request()},
      {&ops::get_online_scoring_configs, &S::get_online_scoring_configs, nullptr, &scorer_request()},
      {&ops::upsert_online_scoring_config, &S::upsert_online_scoring_config, nullptr, &scorer_request()},
      {&ops::create_issue, &S::create_issue, nullptr, &issue_request()},
      {&ops::update_issue, &S::update_issue, nullptr, &issue_request()},
      {&ops::get_issue, &S::get_issue, nullptr, &issue_request()},
      {&ops::search_issues, &S::search_issues, nullptr, &issue_request()},
      {&ops::get_metric_history_bulk, nullptr, &S::get_metric_history_bulk, &history_bulk_request()},
      {&ops::list_proxied_artifacts, nullptr, &S::list_proxied_artifacts, &artifact_request()},
      {&ops::download_artifact, nullptr, &S::download_artifact, &artifact_request()},
      {&ops::upload_artifact, nullptr, &S::upload_artifact, &artifact_request()},
      {&ops::delete_artifact, nullptr, &S::delete_artifact, &artifact_request()},
      {&ops::create_multipart_upload, nullptr, &S::refuse_multipart_upload, &artifact_request()},
      {&ops::complete_multipart_upload, nullptr, &S::refuse_multipart_upload, &artifact_request()},
      {&ops::abort_multipart_upload, nullptr, &S::refuse_multipart_upload, &artifact_request()},
      {&ops::get_presigned_download_url, nullptr, &S::refuse_multipart_download, &artifact_request()},
      {&ops::get_artifact, nullptr, &S::get_artifact, &artifact_request()},
      {&ops::get_model_version_artifact, nullptr, &S::get_model_version_artifact, &artifact_request()},
      {&ops::get_logged_model_artifact, nullptr, &S::get_logged_model_artifact, &artifact_request()},
      {&ops::upload_run_artifact, nullptr, &S::upload_run_artifact, &artifact_request()},
      {&ops::search_unified_traces, nullptr, &S::not_open_source, &nothing_request()},
      {&ops::get_online_trace_details, nullptr, &S::not_open_source, &nothing_request()},
      {&ops::get_health, nullptr, &S::get_health, &nothing_request()},
      {&ops::get_server_version, nullptr, &S::get_server_version, &nothing_request()},
      {&ops::get_server_info, nullptr, &S::get_server_info, &nothing_request()},
  };
  return table;
}

MLFLOWHA_INLINE const BackendState::Handler* BackendState::handler_of(const api::Operation& operation) {
  static const auto index = [] {
    std::unordered_map<const api::Operation*, const Handler*> found;
    for (const Handler& handler : handlers()) found.emplace(handler.operation, &handler);
    return found;
  }();
  const auto found = index.find(&operation);
  return found == index.end() ? nullptr : found->second;
}

/// True when the release that answers has the operation.
MLFLOWHA_INLINE bool BackendState::is_served(const api::Operation& operation) const {
  const mlflowha::ServerVersion release = v3() ? mlflowha::ServerVersion{3, 17, 2} : mlflowha::ServerVersion{2, 22, 5};
  return operation.since <= release && (operation.until == mlflowha::ServerVersion{} || release < operation.until);
}

MLFLOWHA_INLINE const Route* BackendState::route_of(Method method, std::string_view path,
                                                    std::vector<std::string>& places, bool& known) const {
  const Route* best = nullptr;
  for (const Route& route : routes) {
    // Most routes differ before their first place: the quick look.
    const std::string_view fixed = route.path.substr(0, route.path.find('{'));
    if (path.substr(0, fixed.size()) != fixed || !is_served(*route.operation)) continue;
    std::vector<std::string_view> found;
    if (!mlflowha::detail::match_route(route.path, path, found)) continue;
    known = true;
    if (route.method != method ||
        (best != nullptr && mlflowha::detail::fixed_parts(route.path) <= mlflowha::detail::fixed_parts(best->path)))
      continue;
    best = &route;
    places.assign(found.begin(), found.end());
  }
  return best;
}

MLFLOWHA_INLINE Response BackendState::html_page(int status, std::string_view title) {
  std::string_view text;
  if (status == 404) {
    text =
        "The requested URL was not found on the server. If you entered the URL manually please check your spelling and "
        "try again.";
  } else if (status == 405) {
    text = "The method is not allowed for the requested URL.";
  } else {
    text =
        "The server encountered an internal error and was unable to complete your request. Either the server is "
        "overloaded or there is an error in the application.";
  }
  Response response;
  response.status = status;
  response.headers.push_back({"content-type", "text/html; charset=utf-8"});
  response.body = fmt::format("<!doctype html>\n<html lang=en>\n<title>{0} {1}</title>\n<h1>{1}</h1>\n<p>{2}</p>\n",
                              status, title, text);
  return response;
}

MLFLOWHA_INLINE Response BackendState::plain_answer(std::string type, std::string body) {
  Response response;
  response.status = 200;
  response.headers.push_back({"content-type", std::move(type)});
  response.body = std::move(body);
  return response;
}

MLFLOWHA_INLINE Response BackendState::json_answer(const Json& json) {
  return plain_answer("application/json", json.dump(2, ' ', true, Json::error_handler_t::replace));
}

MLFLOWHA_INLINE Response BackendState::get_health(ParsedRequest&) {
  return plain_answer(v3() ? "text/plain; charset=utf-8" : "text/html; charset=utf-8", "OK");
}

MLFLOWHA_INLINE Response BackendState::get_server_version(ParsedRequest&) {
  return plain_answer("text/html; charset=utf-8", v3() ? "3.17.2" : "2.22.5");
}

MLFLOWHA_INLINE Response BackendState::get_server_info(ParsedRequest&) {
  return plain_answer("application/json",
                      "{\"store_type\":\"SqlStore\",\"workspaces_enabled\":false,\"trace_archival_enabled\":false,"
                      "\"multipart_uploads_enabled\":false,\"multipart_downloads_enabled\":false,"
                      "\"presigned_upload_run_id_supported\":true,\"presigned_upload_model_id_supported\":true,"
                      "\"features_enabled\":{\"gateway\":true}}");
}

/// 2.22 takes experiment ids as numbers, too, and a text for the list of its characters.
MLFLOWHA_INLINE void accept_numeric_ids(Json& raw) {
  const auto as_text = [](Json& id) {
    if (id.is_number_integer()) id = id.dump();
  };
  if (const auto found = raw.find("experiment_id"); found != raw.end()) as_text(*found);
  if (const auto found = raw.find("experiment_ids"); found != raw.end()) {
    if (found->is_array()) {
      for (Json& id : *found) as_text(id);
    } else if (found->is_string()) {
      const auto text = found->get<std::string>();
      *found = Json::array();
      for (const char c : text) found->push_back(std::string(1, c));
    }
  }
}

MLFLOWHA_INLINE Response BackendState::dispatch(const Request& request, std::string_view path, std::string_view query) {
  places_.clear();
  body_ = request.body;
  compact_ = false;
  bool known = false;
  const std::string decoded = percent_decode(path, false);  // first, as servers do it: an encoded slash is one for them
  const Route* route = route_of(request.method, decoded, places_, known);
  constexpr std::string_view ajax = "/ajax-api/";  // where the web interface has each of them once more
  if (route == nullptr && std::string_view(decoded).substr(0, ajax.size()) == ajax) {
    route = route_of(request.method, "/api/" + decoded.substr(ajax.size()), places_, known);
  }
  if (!known) return html_page(404, "Not Found");
  if (route == nullptr) return html_page(405, "Method Not Allowed");
  const api::Operation& operation = *route->operation;
  const Handler* handler = handler_of(operation);
  if (handler == nullptr) {
    refuse(
        fmt::format("The fake server of mlflowha::testing doesn't have {} ({} {}); docs/fake-server.md lists what it "
                    "has. Test this against a real MLflow server.",
                    operation.name, to_string(route->method), route->path),
        "NOT_IMPLEMENTED");
  }
  if (handler->whole != nullptr) {
    ParsedRequest asked(query_json(query, *handler->message), *handler->message);
    return (this->*handler->whole)(asked);
  }

  Json raw = Json::object();
  if (request.method == Method::get) {
    raw = query_json(query, *handler->message);
  } else {
    const std::string_view type = std::string_view(request.content_type).substr(0, request.content_type.find(';'));
    const bool looked_at = request.method == Method::post || request.method == Method::put;
    if (looked_at && type.empty()) refuse("Bad Request. Content-Type header is missing.");
    if (looked_at && type != "application/json")
      refuse("Bad Request. Content-Type must be one of ['application/json'].");
    auto parsed = parse_python_json(request.body);
    if (!parsed && &operation == &api::ops::log_batch) throw Crash{};  // its handler looks at the body before it checks
    if (parsed && parsed->is_string()) parsed = parse_python_json(parsed->get_ref<const std::string&>());
    if (parsed && !parsed->is_null()) raw = std::move(*parsed);
    if (!v3() && raw.is_object()) accept_numeric_ids(raw);
  }
  ParsedRequest message(std::move(raw), *handler->message);
  const Json answer = (this->*handler->json)(message);
  if (!compact_) return json_answer(answer);
  return plain_answer("application/json", answer.dump(-1, ' ', true, Json::error_handler_t::replace));
}

}  // namespace detail
}  // namespace testing
MLFLOWHA_END_NAMESPACE

#endif
