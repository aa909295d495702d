"""What a program sees when the servers come back while it runs, and in a process that it has forked meanwhile."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import MLFLOW_3, Door
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from outage_test import drained, only_run, truth, until

import mlflowha
from mlflowha.plugin.errors import to_mlflow
from mlflowha.plugin.link import link_to
from mlflowha.plugin.outage import keeper_of
from mlflowha.plugin.spooled_run import SpooledRun, run_view


@pytest.mark.parametrize("kind", ["metric", "param", "tag", "batch"])
def test_a_run_that_was_started_offline_goes_on_when_the_servers_are_back(door: Door, quick: Path, kind: str) -> None:
    uri = f"mlflowha+{door.url}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(f"goes-on-{kind}")
    log: dict[str, Any] = {
        "metric": lambda i: mlflow.log_metric("m", float(i), step=i),
        "param": lambda i: mlflow.log_param(f"p{i}", i),
        "tag": lambda i: mlflow.set_tag(f"t{i}", i),
        "batch": lambda i: mlflow.log_metrics({"m": float(i)}, step=i),
    }
    keeper = keeper_of(link_to(uri))
    with mlflow.start_run() as run:
        assert run.info.run_id.startswith("local-")
        log[kind](0)
        door.open()
        (spooled,) = keeper._runs.values()
        until(lambda: spooled.server_id() and keeper._progress()[2] == 0)
        time.sleep(0.3)  # so that the next call looks
        log[kind](1)  # nothing else notices that the run has been delivered
        assert not keeper._runs
        log[kind](2)
    client = truth(door)
    stored = only_run(client, f"goes-on-{kind}")
    assert stored.info.status == "FINISHED"
    if kind in ("metric", "batch"):
        assert [p.step for p in client.get_metric_history(stored.info.run_id, "m")] == [0, 1, 2]
    elif kind == "param":
        assert stored.data.params == {f"p{i}": str(i) for i in range(3)}
    else:
        assert sum(name.startswith("t") for name in stored.data.tags) == 3


def test_a_second_outage_is_told_as_well(door: Door, quick: Path, caplog: pytest.LogCaptureFixture) -> None:
    uri = f"mlflowha+{door.url}"
    mlflow.set_tracking_uri(uri)
    keeper = keeper_of(link_to(uri))
    with caplog.at_level(logging.WARNING, "mlflowha"):
        mlflow.set_experiment("told")
        mlflow.set_experiment("told")
        assert len(caplog.records) == 1
        door.open()
        keeper._patience = 0.1  # an outage without a run lasts that long
        until(lambda: not keeper.down())
        keeper._patience = 10
        mlflow.set_experiment("told")
        with mlflow.start_run():
            door.shut()
            mlflow.log_metric("m", 1.0)
            assert [record.name for record in caplog.records] == ["mlflowha", "mlflowha"]
            door.open()


def _own_run_in_child() -> None:
    keeper = keeper_of(link_to(mlflow.get_tracking_uri()))
    parents = next(iter(keeper._runs))
    with pytest.raises(MlflowException, match="forked"):
        MlflowClient().log_metric(parents, "m", 1.0)
    keeper._patience = 0.1
    until(lambda: not keeper.down())
    keeper._patience = 10
    run = MlflowClient().create_run("0")
    assert not run.info.run_id.startswith("local-")
    assert MlflowClient().get_run(run.info.run_id).info.run_id == run.info.run_id
    os._exit(0)


def test_a_child_that_was_forked_in_an_outage_notices_its_end(door: Door, quick: Path) -> None:
    mlflow.set_tracking_uri(f"mlflowha+{door.url}")
    mlflow.set_experiment("forked")
    with mlflow.start_run():
        child = multiprocessing.get_context("fork").Process(target=_own_run_in_child)
        child.start()
        door.open()
        child.join(60)
        assert child.exitcode == 0


@pytest.mark.skipif(not MLFLOW_3, reason="MLflow 2 has no workspaces")
def test_a_workspace_is_never_left_in_an_outage(
    door: Door, quick: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The spool doesn't know workspaces: it would deliver into the servers' default one."""
    door.open()
    client = MlflowClient(f"mlflowha+{door.url}")
    run_id = client.create_run("0").info.run_id
    door.shut()
    monkeypatch.setenv("MLFLOW_WORKSPACE", "here")
    with caplog.at_level(logging.WARNING, "mlflowha"):
        for _ in range(2):
            with pytest.raises(MlflowException):
                client.log_metric(run_id, "m", 1.0)
            with pytest.raises(MlflowException):
                client.create_run("0")
    assert [record.getMessage().count("MLFLOW_WORKSPACE") for record in caplog.records] == [1]
    assert not list(Path(os.environ["MLFLOWHA_SPOOL_DIR"]).glob("*.spool"))


def test_tags_of_another_run_are_no_name_for_this_one(door: Door, quick: Path) -> None:
    door.open()
    uri = f"mlflowha+{door.url}"
    client = MlflowClient(uri)
    experiment = client.create_experiment("copied-tags")
    first = client.create_run(experiment, tags={"a": "1"})
    tags = truth(door).get_run(first.info.run_id).data.tags
    assert "mlflowha.request_id" in tags
    client.create_run(experiment, tags=tags)
    door.shut()
    offline = client.create_run(experiment, tags=tags)
    assert offline.info.run_id.startswith("local-")
    door.open()
    until(lambda: drained(uri))
    runs = truth(door).search_runs([experiment])
    assert len(runs) == 3
    assert len({run.data.tags["mlflowha.request_id"] for run in runs}) == 3
    assert {run.data.tags["a"] for run in runs} == {"1"}


class _Logger:
    """What a keeper asks of a RunLogger."""

    def __init__(self, state: str, delivered: int = 0) -> None:
        numbers = {"delivered": delivered, "waiting": 1, "refused": 0}
        self.answer = {"state": state, "run_id": "", "last_error": "", **numbers}

    def status(self) -> dict[str, Any]:
        return self.answer

    def flush(self, timeout: float) -> dict[str, Any]:
        raise mlflowha.errors.StorageError("the disk is full")


def test_the_newest_run_tells_whether_delivery_works(quick: Path) -> None:
    """One that was begun with a token that has expired meanwhile stays as it is."""
    keeper = keeper_of(link_to("mlflowha+http://127.0.0.1:1"))
    keeper._runs = {
        name: SpooledRun(_Logger(state, delivered), run_view(name))
        for name, state, delivered in (("a", "degraded", 1), ("b", "online", 2), ("c", "closed", 3))
    }
    assert keeper._progress() == (True, 2, 1)
    assert [run.elsewhere for run in keeper._runs.values()] == [False, False, True]
    keeper._runs.clear()


def test_a_full_disk_is_no_exception_of_a_call_that_only_looks(quick: Path) -> None:
    keeper = keeper_of(link_to("mlflowha+http://127.0.0.1:1"))
    keeper._runs = {"a": SpooledRun(_Logger("online"), run_view("a"))}
    assert keeper._release(0.0) == 0
    keeper._runs.clear()


def test_an_answer_that_only_looks_like_mlflows() -> None:
    ours = mlflowha.errors.PermissionDeniedError()
    ours.http_status = 403
    ours.message = '{\\x0A  "code": 403,\\x0A  "status": "DENIED"\\x0A}'
    error = to_mlflow(ours)
    assert isinstance(error, MlflowException) and error.error_code == "PERMISSION_DENIED"
