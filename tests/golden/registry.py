"""What record.py asks about the model registry, logged models, webhooks and artifacts, and what the official client sends
of it. MLflow 2.22 has no logged models and no webhooks: its answers to those are recorded, too."""


MLFLOW = "/api/2.0/mlflow"

OFFICIAL = r"""
do("create_registered_model", lambda: client.create_registered_model("official", {"team": "a"}, "first"))
do("get_registered_model", lambda: client.get_registered_model("official"))
do("update_registered_model", lambda: client.update_registered_model("official", "second"))
do("search_registered_models", lambda: client.search_registered_models("name = 'official'", 5, ["name DESC"]))
do("set_registered_model_tag", lambda: client.set_registered_model_tag("official", "k", "v"))
do("delete_registered_model_tag", lambda: client.delete_registered_model_tag("official", "k"))
do("create_model_version", lambda: client.create_model_version("official", "s3://bucket/x", tags={"a": "b"}, description="d"))
do("get_model_version", lambda: client.get_model_version("official", "1"))
do("update_model_version", lambda: client.update_model_version("official", "1", "new"))
do("get_model_version_download_uri", lambda: client.get_model_version_download_uri("official", "1"))
do("search_model_versions", lambda: client.search_model_versions("name = 'official'", 5, ["version_number DESC"]))
do("set_model_version_tag", lambda: client.set_model_version_tag("official", "1", "k", "v"))
do("delete_model_version_tag", lambda: client.delete_model_version_tag("official", "1", "k"))
do("transition_model_version_stage", lambda: client.transition_model_version_stage("official", "1", "Staging", True))
do("get_latest_versions", lambda: client.get_latest_versions("official", ["Staging"]))
do("set_registered_model_alias", lambda: client.set_registered_model_alias("official", "champion", "1"))
do("get_model_version_by_alias", lambda: client.get_model_version_by_alias("official", "champion"))
do("delete_registered_model_alias", lambda: client.delete_registered_model_alias("official", "champion"))
do("delete_model_version", lambda: client.delete_model_version("official", "1"))
do("rename_registered_model", lambda: client.rename_registered_model("official", "renamed"))
do("delete_registered_model", lambda: client.delete_registered_model("renamed"))
ids = {}
if hasattr(client, "create_logged_model"):
    m = do("create_logged_model", lambda: client.create_logged_model("0", "official", tags={"a": "b"}, params={"p": "1"}))
    ids["model_id"] = m.model_id
    do("get_logged_model", lambda: client.get_logged_model(m.model_id))
    do("finalize_logged_model", lambda: client.finalize_logged_model(m.model_id, "READY"))
    do("set_logged_model_tags", lambda: client.set_logged_model_tags(m.model_id, {"k": "v"}))
    do("delete_logged_model_tag", lambda: client.delete_logged_model_tag(m.model_id, "k"))
    do("log_model_params", lambda: client.log_model_params(m.model_id, {"q": "2"}))
    do("search_logged_models", lambda: client.search_logged_models(["0"], "name = 'official'", max_results=5))
    do("delete_logged_model", lambda: client.delete_logged_model(m.model_id))
if hasattr(client, "create_webhook"):
    from mlflow.entities.webhook import WebhookEvent
    w = do("create_webhook", lambda: client.create_webhook("official", "https://127.0.0.1:9/h",
                                                            [WebhookEvent.from_str("model_version.created")], "d", "s", "DISABLED"))
    ids["webhook_id"] = w.webhook_id
    do("list_webhooks", lambda: client.list_webhooks(5))
    do("get_webhook", lambda: client.get_webhook(w.webhook_id))
    do("update_webhook", lambda: client.update_webhook(w.webhook_id, name="new"))
    do("test_webhook", lambda: client.test_webhook(w.webhook_id))
    do("delete_webhook", lambda: client.delete_webhook(w.webhook_id))
"""


def record(ask) -> None:
    models, versions, name = MLFLOW + "/registered-models", MLFLOW + "/model-versions", {"name": "golden \u00e4"}
    create = dict(name, tags=[{"key": "team", "value": "a\nb"}], description="first")
    ask("create_registered_model", "POST", models + "/create", create)
    ask("create_registered_model_again", "POST", models + "/create", create)
    source = {"source": "s3://bucket/x", "tags": [{"key": "a", "value": "b"}]}
    for again in ("", "_again"):
        ask("create_model_version" + again, "POST", versions + "/create", dict(name, **source))
    one = dict(name, version="1")
    for again in ("", "_again"):
        ask("update_registered_model" + again, "PATCH", models + "/update", dict(name, description="second"))
        ask("set_registered_model_tag" + again, "POST", models + "/set-tag", dict(name, key="k", value="v"))
        ask("delete_registered_model_tag" + again, "DELETE", models + "/delete-tag", dict(name, key="k"))
        ask("set_registered_model_alias" + again, "POST", models + "/alias", dict(one, alias="champion"))
        ask("update_model_version" + again, "PATCH", versions + "/update", dict(one, description="new"))
        ask("set_model_version_tag" + again, "POST", versions + "/set-tag", dict(one, key="k", value="v"))
        ask("delete_model_version_tag" + again, "DELETE", versions + "/delete-tag", dict(one, key="k"))
        ask("transition_model_version_stage" + again, "POST", versions + "/transition-stage",
            dict(one, stage="Staging", archive_existing_versions=True))
    ask("get_registered_model", "GET", models + "/get?name=golden%20%C3%A4")
    ask("get_registered_model_missing", "GET", models + "/get?name=nobody")
    ask("search_registered_models", "GET", models + "/search?max_results=1")
    ask("get_latest_versions", "POST", models + "/get-latest-versions", name)
    ask("get_model_version", "GET", versions + "/get?name=golden%20%C3%A4&version=1")
    ask("get_model_version_missing", "GET", versions + "/get?name=golden%20%C3%A4&version=9")
    ask("get_model_version_by_alias", "GET", models + "/alias?name=golden%20%C3%A4&alias=champion")
    ask("get_model_version_by_alias_missing", "GET", models + "/alias?name=golden%20%C3%A4&alias=nobody")
    ask("get_model_version_download_uri", "GET", versions + "/get-download-uri?name=golden%20%C3%A4&version=1")
    ask("search_model_versions", "GET", versions + "/search?max_results=1")
    for again in ("", "_again"):
        ask("delete_registered_model_alias" + again, "DELETE", models + "/alias", dict(name, alias="champion"))
        ask("delete_model_version" + again, "DELETE", versions + "/delete", dict(name, version="2"))
    for again in ("", "_again"):
        ask("rename_registered_model" + again, "POST", models + "/rename", dict(name, new_name="golden"))
    for again in ("", "_again"):
        ask("delete_registered_model" + again, "DELETE", models + "/delete", {"name": "golden"})

    logged = MLFLOW + "/logged-models"
    made = ask("create_logged_model", "POST", logged, {
        "experiment_id": "0", "name": "golden", "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "v"}]})
    model_id = made["model"]["info"]["model_id"] if isinstance(made, dict) and "model" in made else "m-" + "0" * 32
    this = {"model_id": model_id}
    for again in ("", "_again"):
        ask("finalize_logged_model" + again, "PATCH", f"{logged}/{model_id}", dict(this, status="LOGGED_MODEL_READY"))
        ask("set_logged_model_tags" + again, "PATCH", f"{logged}/{model_id}/tags", dict(this, tags=[{"key": "k", "value": "v"}]))
        ask("log_logged_model_params" + again, "POST", f"{logged}/{model_id}/params",
            dict(this, params=[{"key": "q", "value": "1"}]))
    for again in ("", "_again"):
        ask("delete_logged_model_tag" + again, "DELETE", f"{logged}/{model_id}/tags/k", {})
    ask("get_logged_model", "GET", f"{logged}/{model_id}")
    ask("search_logged_models", "POST", logged + "/search", {"experiment_ids": ["0"], "max_results": 1})
    ask("list_logged_model_artifacts", "GET", f"{logged}/{model_id}/artifacts/directories")
    run = ask("", "POST", MLFLOW + "/runs/create", {"experiment_id": "0"})["run"]["info"]
    for again in ("", "_again"):
        ask("log_outputs_of_model" + again, "POST", MLFLOW + "/runs/outputs",
            {"run_id": run["run_id"], "models": [dict(this, step=0)]})
        ask("log_inputs_of_model" + again, "POST", MLFLOW + "/runs/log-inputs", {"run_id": run["run_id"], "models": [this]})
    for again in ("", "_again"):
        ask("delete_logged_model" + again, "DELETE", f"{logged}/{model_id}", this)

    hooks = MLFLOW + "/webhooks"
    made = ask("create_webhook", "POST", hooks, {
        "name": "golden", "url": "https://127.0.0.1:9/h", "status": "DISABLED",
        "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}]})
    hook = made["webhook"]["webhook_id"] if isinstance(made, dict) and "webhook" in made else "none"
    ask("list_webhooks", "GET", hooks + "?max_results=1")
    ask("get_webhook", "GET", f"{hooks}/{hook}")
    ask("update_webhook", "PATCH", f"{hooks}/{hook}", {"webhook_id": hook, "name": "new"})
    ask("test_webhook", "POST", f"{hooks}/{hook}/test", {"webhook_id": hook})
    for again in ("", "_again"):
        ask("delete_webhook" + again, "DELETE", f"{hooks}/{hook}", {"webhook_id": hook})

    ask("upload_run_artifact", "POST", f"/ajax-api{MLFLOW[4:]}/upload-artifact?run_uuid={run['run_id']}&path=d/a.txt", b"hello")
    ask("list_artifacts", "GET", f"{MLFLOW}/artifacts/list?run_id={run['run_id']}&path=d")
    proxy = "/api/2.0/mlflow-artifacts"
    for again in ("", "_again"):
        ask("upload_artifact" + again, "PUT", proxy + "/artifacts/golden/a.txt", b"hello")
    ask("list_proxied_artifacts", "GET", proxy + "/artifacts?path=golden")
    for again in ("", "_again"):
        ask("delete_artifact" + again, "DELETE", proxy + "/artifacts/golden/a.txt", {})
    ask("create_multipart_upload", "POST", proxy + "/mpu/create/golden", {"path": "big", "num_parts": 2})
    ask("", "POST", MLFLOW + "/runs/log-metric", {"run_id": run["run_id"], "key": "m", "value": "NaN", "timestamp": 5, "step": 1})
    ask("get_metric_history_bulk", "GET",
        f"/ajax-api{MLFLOW[4:]}/metrics/get-history-bulk?run_id={run['run_id']}&metric_key=m&max_results=10")
