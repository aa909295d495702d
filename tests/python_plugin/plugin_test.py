"""When the plugin takes part and when not, and what it says about itself."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import MLFLOW_3, Door
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.rest_store import RestStore

_WHAT_IS_THERE = """
import json, os, sys
import mlflow
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking._model_registry.utils import _get_store as _get_registry_store
from mlflow.tracking._tracking_service.utils import _get_store, _tracking_store_registry
from mlflow.utils import rest_utils
for uri, variables in json.loads(sys.argv[1]):
    os.environ.update(variables)
    mlflow.set_tracking_uri(uri)
    host = "http://127.0.0.1:" + uri.rpartition(":")[2]
    found = [_get_store(), _get_registry_store(), get_artifact_repository("mlflow-artifacts:/x"),
             get_artifact_repository(host + "/api/2.0/mlflow-artifacts/artifacts/x")]
    print(json.dumps({
        "types": [f"{type(o).__module__}.{type(o).__name__}" for o in found],
        "builder": _tracking_store_registry.get_store_builder(uri).__module__,
        "ours": sorted(m for m in sys.modules if m.startswith("mlflowha")),
        "transport": rest_utils._get_http_response_with_retries.__module__,
    }))
    for name in variables:
        del os.environ[name]
"""

_THEIRS = [
    "mlflow.store.tracking.rest_store.RestStore",
    "mlflow.store.model_registry.rest_store.RestStore",
    "mlflow.store.artifact.mlflow_artifacts_repo.MlflowArtifactsRepository",
    "mlflow.store.artifact.http_artifact_repo.HttpArtifactRepository",
]
_OURS = [
    "mlflowha.plugin.stores.TrackingStore",
    "mlflowha.plugin.stores.RegistryStore",
    "mlflowha.plugin.artifacts.LinkedArtifacts",
    "mlflowha.plugin.artifacts.LinkedHttpArtifacts",
]


def in_one_process(cases: list[tuple[str, dict[str, str]]], folder: Path) -> list[dict[str, Any]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOWHA_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-c", _WHAT_IS_THERE, json.dumps(cases)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_plain_address_is_left_to_mlflow_and_the_others_are_ours(tmp_path: Path) -> None:
    plain: list[tuple[str, dict[str, str]]] = [
        ("http://127.0.0.1:1", {}),
        ("http://127.0.0.1:2", {"MLFLOW_ENABLE_RETRY": "false"}),
    ]
    asked: list[tuple[str, dict[str, str]]] = [
        ("mlflowha+http://127.0.0.1:3,127.0.0.1:4", {}),
        ("http://127.0.0.1:5", {"MLFLOW_ENABLE_RETRY": "true"}),
        ("http://127.0.0.1:6,http://127.0.0.1:7", {"MLFLOW_ENABLE_RETRY": "1"}),
        ("http://127.0.0.1:8", {"MLFLOWHA_ENDPOINTS": "http://127.0.0.1:9,http://127.0.0.1:8"}),
        ("MLFLOWHA+HTTP://127.0.0.1:11", {}),
        ("HTTP://127.0.0.1:12", {"MLFLOWHA_ENDPOINTS": "http://127.0.0.1:12"}),
    ]
    found = in_one_process([*plain, *asked, ("http://127.0.0.1:10", {})], tmp_path)
    for one in found[:2]:
        assert one == {
            "types": _THEIRS,
            "builder": "mlflow.tracking._tracking_service.utils",
            "ours": ["mlflowha_mlflow"],
            "transport": "mlflow.utils.request_utils",
        }
    for one in found[2:-1]:
        assert one["types"] == _OURS
        assert one["transport"] == "mlflowha.plugin.transport"
    assert found[-1]["types"] == _THEIRS


def test_mlflows_own_transport_serves_mlflows_own_stores(door: Door, quick: Path) -> None:
    """Also when a store of ours is in the same process."""
    door.open()
    ours = MlflowClient(f"mlflowha+{door.url}")
    theirs = MlflowClient(f"http://127.0.0.1:{door.upstream}")
    assert type(theirs._tracking_client.store) is RestStore
    name = ours.get_experiment("0").name
    door.shut()
    assert theirs.get_experiment("0").name == name


@pytest.mark.parametrize(
    "method, path, options",
    [
        ("GET", "get", {"params": "experiment_id=0"}),
        ("GET", "get", {"params": b"experiment_id=0"}),
        ("GET", "get", {"params": [("experiment_id", "0")]}),
        ("GET", "get", {"params": {}, "json": {"experiment_id": "0"}}),
        ("POST", "search", {"json": {"max_results": 1}, "params": {"who": "asks"}}),
        ("POST", "search", {"json": [1, 2]}),
    ],
)
def test_a_request_of_any_form_arrives_as_it_is(
    door: Door, quick: Path, method: str, path: str, options: dict[str, Any]
) -> None:
    from mlflow.utils.rest_utils import http_request

    door.open()
    store = MlflowClient(f"mlflowha+{door.url}")._tracking_client.store
    plain = MlflowClient(f"http://127.0.0.1:{door.upstream}")._tracking_client.store
    endpoint = f"/api/2.0/mlflow/experiments/{path}"
    ours, theirs = (http_request(one.get_host_creds(), endpoint, method, **options) for one in (store, plain))
    assert ours.status_code == theirs.status_code
    assert ours.json().get("experiment", {}).get("name") == theirs.json().get("experiment", {}).get("name")
    assert ours.json().get("message") == theirs.json().get("message")
    if path == "search" and "params" in options:
        assert b"/search?who=asks " in door.requests


def test_a_second_server_answers_when_the_first_does_not(door: Door, quick: Path) -> None:
    closed = Door(0)
    mlflow.set_tracking_uri(f"mlflowha+{closed.url},{door.url}")
    door.open()
    client = MlflowClient()
    mlflow.set_experiment("second")
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1.0)
        mlflow.log_text("text", "dir/a.txt")
    assert [f.path for f in client.list_artifacts(run.info.run_id, "dir")] == ["dir/a.txt"]
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/dir/a.txt") == "text"
    client.create_registered_model("second")
    assert client.get_registered_model("second").name == "second"
    client.delete_registered_model("second")
    if MLFLOW_3:
        store = client._tracking_client.store  # what MLflow sends past its stores: spans depend on it
        assert str(store._get_server_version(store.get_host_creds())) == mlflow.__version__
        with mlflow.start_span("s") as span:
            span.set_inputs({"x": 1})
        mlflow.flush_trace_async_logging()
        trace = client.get_trace(span.trace_id)
        assert [s.name for s in trace.data.spans] == ["s"]


def test_an_artifact_address_with_one_of_our_hosts_stands_for_all(door: Door, quick: Path) -> None:
    closed = Door(0)
    door.open()
    mlflow.set_tracking_uri(f"mlflowha+{closed.url},{door.url}")
    with mlflow.start_run() as run:
        mlflow.log_text("text", "a.txt")
    path = run.info.artifact_uri.removeprefix("mlflow-artifacts:")
    for uri in (
        f"mlflow-artifacts://127.0.0.1:{closed.port}{path}/a.txt",
        f"{closed.url}/api/2.0/mlflow-artifacts/artifacts{path}/a.txt",
    ):
        assert mlflow.artifacts.load_text(uri) == "text"


def test_a_list_that_no_client_can_be_made_of(quick: Path) -> None:
    mlflow.set_tracking_uri("mlflowha+http://127.0.0.1:1,127.0.0.1:1")
    with pytest.raises(MlflowException, match=r"item 2: http://127.0.0.1:1 is listed twice") as refused:
        MlflowClient().search_experiments()
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    with pytest.raises(MlflowException, match="is listed twice"):
        mlflow.start_run()


def test_locks_that_other_threads_hold_at_a_fork_are_free_in_the_child(quick: Path) -> None:
    from mlflowha.plugin import link, outage, transport

    one = link.link_to("mlflowha+http://127.0.0.1:1")
    keeper = outage.keeper_of(one)

    def locks() -> list[Any]:
        made = [one._lock, one.transfer._lock, keeper._lock, keeper.memory._lock]
        return [*made, link._links_lock, outage._keepers_lock, transport._lock]

    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.ExitStack() as stack:
            for lock in locks():
                stack.enter_context(lock)
            held.set()
            forked.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        os._exit(sum(1 << i for i, lock in enumerate(locks()) if not lock.acquire(blocking=False)))
    forked.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_stores_can_be_pickled(door: Door, quick: Path) -> None:
    door.open()
    client = MlflowClient(f"mlflowha+{door.url}")
    for store in (client._tracking_client.store, client._get_registry_client().store):
        copy = pickle.loads(pickle.dumps(store))
        assert copy.link is store.link


def test_errors_can_be_pickled(quick: Path) -> None:
    with pytest.raises(mlflow.MlflowException) as caught:
        MlflowClient("mlflowha+http://127.0.0.1:9").search_experiments()
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.error_code, copy.kind) == (str(caught.value), caught.value.error_code, caught.value.kind)


def test_credentials_may_change_while_the_program_runs(
    door: Door, quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflowha.plugin.link import link_to

    link = link_to(f"mlflowha+{door.url}")
    first = link.client()
    assert link.client() is first
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "new")
    link._looked = 0.0
    second = link.client()
    assert second is not first
    link._looked = 0.0
    assert link.client() is second
    monkeypatch.setenv("HOME", str(quick))
    for password in ("a", "b"):  # a file that appears, and one that changes
        file = quick / ".mlflow" / "credentials"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"[mlflow]\nmlflow_tracking_username = u\nmlflow_tracking_password = {password}\n")
        link._looked = 0.0
        assert link.client() is not second
        second = link.client()


@pytest.mark.parametrize("name, value", [("MLFLOW_TRACKING_AUTH", "a plugin"), ("MLFLOW_TRACKING_AWS_SIGV4", "TRUE")])
def test_what_only_mlflow_can_sign_is_sent_by_mlflow(
    door: Door, quick: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    from mlflowha.plugin.link import link_to

    link = link_to(f"mlflowha+{door.url}")
    assert link.native() and link.native_client() is link.client()
    monkeypatch.setenv(name, value)
    link._looked = 0.0
    assert link.native_client() is None and not link.native()
    monkeypatch.delenv(name)
    link._looked = 0.0
    assert link.native_client() is link.client()


@pytest.mark.skipif(not MLFLOW_3, reason="MLflow 2 has no workspaces")
def test_a_metric_of_a_workspace_names_it(door: Door, quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door.open()
    client = MlflowClient(f"mlflowha+{door.url}")
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "m", 1.0)
    assert b"X-MLFLOW-WORKSPACE: here" not in door.requests
    monkeypatch.setenv("MLFLOW_WORKSPACE", "here")
    with contextlib.suppress(mlflow.MlflowException):  # this server has none
        client.log_metric(run_id, "m", 2.0)
    assert b"X-MLFLOW-WORKSPACE: here" in door.requests


@pytest.mark.parametrize("given", [{"step": 1 << 63}, {"step": -(1 << 63) - 1}, {"timestamp": 1 << 63}])
def test_a_number_that_no_server_can_keep_is_refused(door: Door, quick: Path, given: dict[str, int]) -> None:
    """MLflow's server stores 0 for it."""
    door.open()
    client = MlflowClient(f"mlflowha+{door.url}")
    run_id = client.create_run("0").info.run_id
    with pytest.raises(ValueError, match="out of range"):
        client.log_metric(run_id, "m", 1.0, **given)
    assert client.get_metric_history(run_id, "m") == []


def test_keys_and_ids_of_other_types_are_mlflows_own_business(door: Door, quick: Path) -> None:
    door.open()
    client = MlflowClient(f"mlflowha+{door.url}")
    run_id = client.create_run("0").info.run_id
    given: Any = b"m", run_id.encode()  # both of which protobuf takes for text
    for i, (key, run) in enumerate([(given[0], run_id), ("m", given[1]), given]):
        client.log_metric(run, key, float(i), step=i)
    client.log_param(given[1], "p", "x")
    client.set_tag(given[1], "t", "y")
    data = client.get_run(run_id).data
    assert (data.metrics, data.params["p"], data.tags["t"]) == ({"m": 2.0}, "x", "y")
    for wrong in (5, None):
        with pytest.raises((TypeError, MlflowException)) as ours:
            client.log_metric(run_id, wrong, 1.0)
        with pytest.raises((TypeError, MlflowException)) as theirs:
            MlflowClient(f"http://127.0.0.1:{door.upstream}").log_metric(run_id, wrong, 1.0)
        assert (type(ours.value), str(ours.value)) == (type(theirs.value), str(theirs.value))


def test_releases_that_are_known() -> None:
    from mlflowha.plugin import versions

    for version, expected in {
        "2.22.5": True,
        "2.22.0": True,
        "3.0.0": True,
        "3.17.2": True,
        "3.17.3": False,
        "2.21.0": False,
        "4.0.0": False,
        "3.9.1.dev0": True,
    }.items():
        assert versions.known(version) is expected
    assert versions.known(mlflow.__version__)


def test_an_unknown_release_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflowha.plugin import versions

    monkeypatch.setattr(versions, "_warned", False)
    monkeypatch.setattr(versions.mlflow, "__version__", "9.0.0")
    with pytest.warns(
        RuntimeWarning, match=r"tested with MLflow 2\.22\.0 to 2\.22\.5 and 3\.0\.0 to .*this is 9\.0\.0"
    ):
        versions.warn_if_unknown()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        versions.warn_if_unknown()
