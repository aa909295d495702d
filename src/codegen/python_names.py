"""How MLflow's Python client spells what the table has: what the generator of the Python package can't know by itself."""

from __future__ import annotations

# Written by hand in bindings/python/mlflowha/client.py, because Python's method isn't the operation.
BY_HAND = {
    "get_experiment_by_name",  # None where there is none
    "get_metric_history",  # a list of all pages
    "log_batch",  # split by the library
    "upload_artifact",  # bytes
    "upload_run_artifact",  # no route for users: needs MLflow's own server-side code
}

# operation -> field -> parameter
RENAMED = {
    "update_run": {"run_name": "name"},
    "get_metric_history": {"metric_key": "key"},
    "list_logged_model_artifacts": {"artifact_directory_path": "path"},
    "get_workspace": {"workspace_name": "name"},
    "update_workspace": {"workspace_name": "name"},
    "delete_workspace": {"workspace_name": "name"},
    "delete_traces": {"request_ids": "trace_ids"},
    "delete_logged_model_tag": {"tag_key": "key"},
    "create_mcp_access_endpoint": {"name": "server_name"},
    "get_mcp_access_endpoint": {"name": "server_name"},
    "update_mcp_access_endpoint": {"name": "server_name"},
    "delete_mcp_access_endpoint": {"name": "server_name"},
}
RENAMED_EVERYWHERE = {"filter": "filter_string"}

# operation -> parameters that may be given by position, as MlflowClient has them. The others: the required ones.
POSITIONAL = {
    "create_experiment": "name artifact_location tags",
    "search_experiments": "view_type max_results filter_string order_by page_token",
    "create_run": "experiment_id start_time tags run_name",
    "search_runs": "experiment_ids filter_string run_view_type max_results order_by page_token",
    "update_run": "run_id status name",
    "log_metric": "run_id key value timestamp step",
    "log_inputs": "run_id datasets models",
    "list_artifacts": "run_id path",
    "create_logged_model": "experiment_id name source_run_id tags params model_type",
    "search_logged_models": "experiment_ids filter_string datasets max_results order_by page_token",
    "list_logged_model_artifacts": "model_id path",
    "create_registered_model": "name tags description",
    "update_registered_model": "name description",
    "search_registered_models": "filter_string max_results order_by page_token",
    "get_latest_versions": "name stages",
    "create_model_version": "name source run_id tags run_link description",
    "update_model_version": "name version description",
    "search_model_versions": "filter_string max_results order_by page_token",
    "transition_model_version_stage": "name version stage archive_existing_versions",
    "create_webhook": "name url events description secret status",
    "update_webhook": "webhook_id name description url events secret status",
    "list_webhooks": "max_results page_token",
    "test_webhook": "webhook_id event",
    "create_workspace": "name description default_artifact_root",
    "update_workspace": "name description default_artifact_root",
    "delete_traces": "experiment_id max_timestamp_millis max_traces trace_ids",
    "create_mcp_access_endpoint": "server_name url transport_type server_version server_alias",
    "update_mcp_access_endpoint": "server_name endpoint_id url transport_type server_version server_alias",
}

# Texts that Python's client makes of whatever is given.
ANY_VALUE = {"value", "version"}
