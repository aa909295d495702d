"""The endpoints behind a URI, and the operations behind requests."""

from __future__ import annotations

import pytest
import requests

from mlflowha.plugin import routes
from mlflowha.plugin._routes import EXACT, TEMPLATES
from mlflowha.plugin.transfer import Transfer
from mlflowha.plugin.uris import base_of, endpoints_of, shown, split_list


@pytest.fixture(autouse=True)
def _no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOWHA_ENDPOINTS", raising=False)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("mlflowha+http://a:5000", ["http://a:5000"]),
        ("mlflowha+http://a:5000,b:5000", ["http://a:5000", "http://b:5000"]),
        ("mlflowha+https://a, b/x/ ,", ["https://a", "https://b/x"]),
        ("mlflowha+http://a:1,https://b:2", ["http://a:1", "https://b:2"]),
        ("mlflowha+http://a:1,mlflowha+http://b:2", ["http://a:1", "http://b:2"]),
        ("http://a:1,http://b:2", ["http://a:1", "http://b:2"]),
        ("http://a:1/", ["http://a:1"]),
    ],
)
def test_endpoints(uri: str, expected: list[str]) -> None:
    assert endpoints_of(uri) == expected


def test_the_environments_list_counts_for_plain_addresses_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWHA_ENDPOINTS", "x:1,y:2")
    assert endpoints_of("http://a:1") == ["http://x:1", "http://y:2"]
    assert endpoints_of("http://a:1,http://b:1") == ["http://a:1", "http://b:1"]
    assert endpoints_of("mlflowha+http://a:1") == ["http://a:1"]


def test_an_empty_list_is_named() -> None:
    with pytest.raises(ValueError, match="endpoints: value is ' , '"):
        split_list(" , ")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://a:5000/x", "http://a:5000/x"),
        ("http://user:hunter2@a:5000/x", "http://...@a:5000/x"),
        ("mlflowha+http://user:hun@ter/2@a", "mlflowha+http://...@a"),
        ("user:hunter2@a", "...@a"),
        ("user:hunter2://x@a", "...@a"),
        ("://hunter2@a", "...@a"),
    ],
)
def test_passwords_are_not_shown(uri: str, expected: str) -> None:
    assert shown(uri) == expected


def test_a_transfer_that_fails_shows_no_password() -> None:
    def send(method: str, url: str, **options: object) -> requests.Response:
        raise requests.exceptions.ConnectTimeout("no answer")

    transfer = Transfer(["http://user:hunter2@a:5000", "http://user:hunter2@b:5000"])
    with pytest.raises(requests.exceptions.ConnectTimeout) as failed:
        transfer.send(send, "GET", "/x", again=True, timeout=1, once=True, options={})
    assert "hunter2" not in str(failed.value)
    assert "http://...@a:5000: no answer; http://...@b:5000: no answer" in str(failed.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://A:5000/api/2.0", "http://a:5000"),
        ("https://user:secret@a/x", "https://a:443"),
        ("http://[::1]/x", "http://[::1]:80"),
        ("http://[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_base(url: str, expected: str) -> None:
    assert base_of(url) == expected


def test_every_route_is_found_and_none_shadows_another() -> None:
    for (verb, path), (name, kind) in EXACT.items():
        assert routes.find(verb, path) == routes.Route(name, kind)
    for verb, path, name, kind in TEMPLATES:
        concrete = path.replace("{", "v-").replace("*}", "/deep").replace("+}", "/deep").replace("}", "")
        found = routes.find(verb, concrete)
        assert found is not None and (found.operation, found.kind) == (name, kind)


def test_members_of_a_path() -> None:
    found = routes.find("DELETE", "/api/2.0/mlflow/logged-models/m-1/tags/a%20b")
    assert found is not None
    assert found.members == (("model_id", "m-1"), ("tag_key", "a b"))
    assert routes.find("GET", "/api/2.0/mlflow/nothing") is None
    assert routes.find("POST", "/api/2.0/mlflow/runs/get") is None


def test_a_slash_in_a_name() -> None:
    found = routes.find("DELETE", "/api/3.0/mlflow/mcp-servers/com.example%2Fweather/tags/team%2Fa")
    assert found is not None and found.operation == "delete_mcp_server_tag"
    assert found.members == (("name", "com.example/weather"), ("key", "team/a"))
    # As a server takes it, which decodes a path first.
    found = routes.find("DELETE", "/api/3.0/mlflow/mcp-servers/com.example%2Fweather%2Fversions%2F1.0.0")
    assert found is not None and found.operation == "delete_mcp_server_version"


def test_members_go_where_the_table_has_them() -> None:
    assert routes.put_members({"a": 1}, (("b", "x"), ("c.d", "y"))) == {"a": 1, "b": "x", "c": {"d": "y"}}
    assert routes.put_members({"b": "mine", "c": {"e": 1}}, (("b", "x"), ("c.d", "y"))) == {
        "b": "mine",
        "c": {"e": 1, "d": "y"},
    }


def test_what_the_table_does_not_know_is_sent_again_only_where_http_says_so() -> None:
    assert [routes.safe_class(verb) for verb in ("GET", "PUT", "DELETE", "POST", "PATCH")] == [
        "read",
        "same_again",
        "same_again",
        "never",
        "never",
    ]
