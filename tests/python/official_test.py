"""Every public method of MLflow's own client is here under its name, or is named below with the reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mlflowha import Client, errors
from mlflowha.testing import FakeServer

ROOT = Path(__file__).resolve().parents[2]
_PROMPT = "a prompt is a registered model with tags, and so are the calls: docs/reference/from-python.md"
_TRACING = "spans are made by a tracing library inside the program; MLflow's goes through the plugin"
_OBJECTS = "made of objects of matplotlib, PIL or pandas"

#: MlflowClient's method -> why Client has none of that name. `make api-check` compares the map with MLflow's.
NOT_BOUND = {
    **dict.fromkeys(("log_figure", "log_image", "log_table", "load_table"), _OBJECTS),
    **dict.fromkeys(("end_trace", "start_span", "end_span"), _TRACING),
    **dict.fromkeys(
        (
            "create_prompt",
            "get_prompt",
            "search_prompts",
            "delete_prompt",
            "set_prompt_tag",
            "delete_prompt_tag",
            "create_prompt_version",
            "register_prompt",
            "get_prompt_version",
            "get_prompt_version_by_alias",
            "load_prompt",
            "search_prompt_versions",
            "delete_prompt_version",
            "set_prompt_version_tag",
            "delete_prompt_version_tag",
            "set_prompt_alias",
            "delete_prompt_alias",
            "link_prompt_versions_to_trace",
            "list_logged_prompts",
            "parse_prompt_uri",
        ),
        _PROMPT,
    ),
    **dict.fromkeys(
        ("link_prompt_version_to_run", "detach_prompt_from_run", "link_prompt_version_to_model"),
        "reads, changes and writes a tag: unsafe beside another writer",
    ),
    "unlink_traces_from_run": "an open-source server has no route for it",
    "get_workspace_store_uri": "a setting of MLflow's process",
    "refresh_mcp_server_version_tools": "asks the MCP server itself between two calls that are here",
}


def official() -> set[str]:
    text = (ROOT / "src/codegen/from_python.map").read_text(encoding="utf-8")
    return set(re.findall(r"^(\w+)(?: = | -- )", text, re.MULTILINE))


def test_every_method_is_bound_or_has_a_reason_not_to_be() -> None:
    methods = official()
    assert len(methods) > 140
    bound = {name for name in methods if hasattr(Client, name)}
    assert methods - bound - set(NOT_BOUND) == set()
    assert set(NOT_BOUND) & bound == set()
    assert set(NOT_BOUND) - methods == set()


def test_the_client_says_where_it_goes(mlflowha_server: FakeServer) -> None:
    client = Client([mlflowha_server.url, "http://127.0.0.1:1"])
    assert client.tracking_uri == f"{mlflowha_server.url},http://127.0.0.1:1"
    assert Client(client.tracking_uri).endpoints == client.endpoints
    assert client.get_model_version_stages("m", 1) == ["None", "Staging", "Production", "Archived"]
    assert mlflowha_server.requests() == 0


def test_a_model_version_is_copied(mlflowha_server: FakeServer) -> None:
    client = Client(mlflowha_server.url)
    client.create_registered_model("m")
    client.create_model_version("m", "s3://b/1")
    source = client.create_model_version("m", "s3://b/2", None, {"k": "v"}, description="good")
    client.set_registered_model_alias("m", "best", "2")
    client.transition_model_version_stage("m", "2", "Staging")
    made = [client.copy_model_version(f"models:/m{at}", "copy") for at in ("/2", "@best", "/Staging", "/LATEST")]
    assert [version.version for version in made] == ["1", "2", "3", "4"]
    for version in made:
        assert (version.name, version.source, version.description) == ("copy", "models:/m/2", "good")
        assert version.tags["k"] == "v"
        # The mark of the create that made the source would make the library take the copy for a twin of it.
        assert version.tags.get("mlflowha.request_id") != source.tags.get("mlflowha.request_id")
    with pytest.raises(errors.NotFoundError):
        client.copy_model_version("models:/m/7", "copy")
    with pytest.raises(errors.NotFoundError, match="there is no version at 'models:/m/Production'"):
        client.copy_model_version("models:/m/Production", "copy")
    sent = mlflowha_server.requests()
    for wrong in ("m", "runs:/m/1", "models:/m", "models:/@best", "models:/m/1/2", "models://host/m/1", ""):
        with pytest.raises(ValueError, match="expected models:/NAME/VERSION"):
            client.copy_model_version(wrong, "copy")
    assert mlflowha_server.requests() == sent
