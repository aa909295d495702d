"""What record.py makes the official client call of the model registry, logged models and webhooks. MLflow 2.22 has no
logged models and no webhooks."""

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
