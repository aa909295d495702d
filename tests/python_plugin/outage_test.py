"""What a training job sees of an outage, and what the server has afterwards."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from conftest import MLFLOW_3, Door
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

import mlflowha
from mlflowha.plugin.link import link_to
from mlflowha.plugin.outage import id_for, keeper_of, name_of
from mlflowha.plugin.spooled_run import SpooledRun, run_view


def until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.02)


def drained(uri: str) -> bool:
    keeper = keeper_of(link_to(uri))
    keeper._looked = 0.0
    keeper._look()
    return not keeper._runs


def truth(door: Door) -> MlflowClient:
    """Past the door and past us."""
    return MlflowClient(f"http://127.0.0.1:{door.upstream}")


def only_run(client: MlflowClient, experiment: str) -> Any:
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id])
    assert len(runs) == 1
    return runs[0]


def test_a_job_that_starts_with_every_server_down(door: Door, quick: Path, caplog: pytest.LogCaptureFixture) -> None:
    uri = f"mlflowha+{door.url}"
    mlflow.set_tracking_uri(uri)
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING, "mlflowha"):
        mlflow.set_experiment("offline")
        with mlflow.start_run(run_name="outer", tags={"t": "1"}) as outer:
            mlflow.log_params({"a": 1, "b": "x"})
            for i in range(100):
                mlflow.log_metric("m", i / 10, step=i, timestamp=1_700_000_000_000 + i)
            mlflow.log_metric("nan", float("nan"))
            mlflow.set_tag("k", "v")
            with mlflow.start_run(run_name="inner", nested=True) as inner:
                mlflow.log_metrics({"x": 1.0, "y": 2.0}, step=3)
    assert time.monotonic() - begin < 15
    assert len([r for r in caplog.records if r.name == "mlflowha"]) == 1
    local = outer.info.run_id
    assert local.startswith("local-")
    with pytest.raises(MlflowException, match="isn't on a server yet") as caught:
        MlflowClient().list_artifacts(local)
    assert caught.value.error_code == "TEMPORARILY_UNAVAILABLE"
    assert mlflow.get_run(local).info.status == "FINISHED"

    door.open()
    until(lambda: drained(uri))
    client = truth(door)
    experiment = client.get_experiment_by_name("offline").experiment_id
    stored = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert sorted(stored) == ["inner", "outer"]
    run = stored["outer"]
    assert run.info.status == "FINISHED"
    assert run.data.params == {"a": "1", "b": "x"}
    assert run.data.tags["k"] == "v" and run.data.tags["t"] == "1"
    history = client.get_metric_history(run.info.run_id, "m")
    assert sorted((p.step, p.value, p.timestamp - 1_700_000_000_000) for p in history) == [
        (i, i / 10, i) for i in range(100)
    ]
    assert stored["inner"].data.tags["mlflow.parentRunId"] == run.info.run_id
    assert stored["inner"].data.metrics == {"x": 1.0, "y": 2.0}

    # What the program calls the run goes on to work.
    assert mlflow.get_run(local).info.run_id == run.info.run_id
    MlflowClient().log_metric(local, "late", 1.0)
    assert client.get_run(run.info.run_id).data.metrics["late"] == 1.0
    assert mlflow.get_run(inner.info.run_id).info.run_id == stored["inner"].info.run_id
    MlflowClient().log_text(local, "text", "a.txt")
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["a.txt"]


def test_an_outage_in_the_middle_of_a_run(door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    door.open()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("middle")
    with mlflow.start_run() as run:
        rid = run.info.run_id
        assert not rid.startswith("local-")
        mlflow.log_metric("m", 0.0, step=0)
        door.shut()
        mlflow.log_metric("m", 1.0, step=1)
        mlflow.set_tag("k", "first")
        mlflow.set_tag("k", "second")
        client = MlflowClient()
        client.log_batch(rid, [Metric("m", 2.0, 5, 2)], [Param("p", "1")], [RunTag("b", "2")])
        client.log_inputs(rid, [DatasetInput(Dataset("d", "x", "local", "{}"), [])])
        door.open()
        until(lambda: drained(uri))
        mlflow.log_metric("m", 3.0, step=3)
        assert mlflow.get_run(rid).data.metrics["m"] == 3.0
    stored = only_run(truth(door), "middle")
    assert sorted(p.value for p in truth(door).get_metric_history(rid, "m")) == [0.0, 1.0, 2.0, 3.0]
    assert stored.data.tags["k"] == "second" and stored.data.tags["b"] == "2"
    assert stored.data.params == {"p": "1"}
    assert [d.dataset.name for d in stored.inputs.dataset_inputs] == ["d"]
    assert stored.info.status == "FINISHED"


def test_reading_sees_what_was_logged_before(door: Door, quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflowha.plugin.outage._SETTLE", 20.0)  # however slow the server is
    uri = f"mlflowha+{door.url}"
    door.open()
    mlflow.set_tracking_uri(uri)
    experiment = mlflow.set_experiment("reading").experiment_id
    with mlflow.start_run() as run:
        door.shut()
        for i in range(2000):
            mlflow.log_metric("m", float(i), step=i)
        door.open()
        until(lambda: not keeper_of(link_to(uri)).down())
        found = MlflowClient().search_runs([experiment], "metrics.m = 1999")
        assert [r.info.run_id for r in found] == [run.info.run_id]


def test_a_create_whose_answer_is_lost_is_no_second_run(door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    door.open()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("deaf")
    door.deaf = True
    with mlflow.start_run(run_name="once"):
        mlflow.log_metric("m", 1.0)
        door.open()
    until(lambda: drained(uri))
    stored = only_run(truth(door), "deaf")
    assert stored.data.metrics == {"m": 1.0}
    assert stored.info.status == "FINISHED"


def test_what_must_answer_fails_in_time_and_tells_why(door: Door, quick: Path) -> None:
    mlflow.set_tracking_uri(f"mlflowha+{door.url}")
    begin = time.monotonic()
    with pytest.raises(MlflowException) as caught:
        MlflowClient().search_runs(["0"])
    assert time.monotonic() - begin < 6
    assert isinstance(caught.value, mlflowha.MlflowhaError)
    assert caught.value.error_code in ("TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert door.url in str(caught.value)
    assert caught.value.attempts
    with pytest.raises(MlflowException):
        MlflowClient().get_registered_model("m")
    with pytest.raises(MlflowException):
        MlflowClient().get_run("0" * 32)


def test_raise_mode(door: Door, quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWHA_ON_OUTAGE", "raise")
    mlflow.set_tracking_uri(f"mlflowha+{door.url}")
    with pytest.raises(MlflowException):
        mlflow.set_experiment("x")
    with pytest.raises(MlflowException):
        MlflowClient().log_metric("0" * 32, "m", 1.0)
    assert not (quick / "spool").exists()


def test_a_wrong_mode_is_named(door: Door, quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWHA_ON_OUTAGE", "perhaps")
    mlflow.set_tracking_uri(f"mlflowha+{door.url}")
    with pytest.raises(MlflowException, match="MLFLOWHA_ON_OUTAGE: value is 'perhaps'"):
        MlflowClient().search_experiments()


def test_what_a_server_refuses_is_raised_as_ever(door: Door, quick: Path) -> None:
    door.open()
    mlflow.set_tracking_uri(f"mlflowha+{door.url}")
    with pytest.raises(MlflowException) as caught:
        MlflowClient().log_metric("0" * 32, "m", 1.0)
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_every_outage_is_noted_under_the_lock(door: Door, quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"mlflowha+{door.url}"
    keeper = keeper_of(link_to(uri))
    held: list[bool] = []
    noted = keeper._note_outage

    def note(cause: Any) -> None:
        held.append(keeper._lock._is_owned())
        noted(cause)

    monkeypatch.setattr(keeper, "_note_outage", note)
    client = MlflowClient(uri)
    for trouble in (
        lambda: client.get_experiment_by_name("x"),
        lambda: client.create_run("0"),
        lambda: client.log_metric("0" * 32, "m", 1.0),
    ):
        keeper._outage = False
        trouble()
    assert held == [True] * 3
    keeper._runs.clear()


def test_what_is_told_of_an_outage_may_be_logged(door: Door, quick: Path) -> None:
    """A handler of logging's that starts a run, or a signal's, comes in the middle of what the plugin does."""
    door.open()
    client = MlflowClient(f"mlflowha+{door.url}")
    first, second = (client.create_run("0").info.run_id for _ in range(2))
    door.shut()
    logged: list[str] = []

    class Logging(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            client.set_tag(second, "warning", "yes")
            logged.append(client.create_run("0", tags={"warning": record.getMessage()[:100]}).info.run_id)

    handler = Logging()
    logging.getLogger("mlflowha").addHandler(handler)
    try:
        thread = threading.Thread(target=client.log_metric, args=(first, "m", 1.0), daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
    finally:
        logging.getLogger("mlflowha").removeHandler(handler)
    assert len(logged) == 1 and logged[0].startswith("local-")
    door.open()
    until(lambda: drained(f"mlflowha+{door.url}"))
    assert truth(door).get_run(second).data.tags["warning"] == "yes"
    assert truth(door).get_run(first).data.metrics == {"m": 1.0}


def test_a_working_directory_whose_name_is_no_text(
    door: Door, quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = os.path.join(os.fsencode(quick), b"caf\xe9")
    os.mkdir(place)
    monkeypatch.chdir(place)
    monkeypatch.delenv("MLFLOWHA_SPOOL_DIR")
    uri = f"mlflowha+{door.url}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("no-text")
    with mlflow.start_run():
        mlflow.log_metric("m", 1.0)
    assert os.listdir(os.path.join(place, b"mlflowha-spool"))
    door.open()
    until(lambda: drained(uri))
    assert only_run(truth(door), "no-text").data.metrics == {"m": 1.0}


def test_a_run_that_this_process_has_never_asked_for(door: Door, quick: Path) -> None:
    door.open()
    uri = f"mlflowha+{door.url}"
    run_id = truth(door).create_run("0").info.run_id
    client = MlflowClient(uri)
    door.shut()
    client.log_metric(run_id, "m", 1.0, step=1)
    client.log_param(run_id, "p", "x")
    assert client.get_run(run_id).info.run_id == run_id
    door.open()
    until(lambda: drained(uri))
    client.log_metric(run_id, "m", 2.0, step=2)
    stored = truth(door).get_run(run_id).data
    assert (stored.metrics, stored.params) == ({"m": 2.0}, {"p": "x"})
    assert len(truth(door).get_metric_history(run_id, "m")) == 2


def test_a_run_that_is_let_go_meanwhile_tells_no_progress(door: Door, quick: Path) -> None:
    keeper = keeper_of(link_to(f"mlflowha+{door.url}"))
    keeper._runs["x"] = SpooledRun(None, run_view("x"))
    try:
        assert keeper._progress() == (True, 0, 0)
    finally:
        del keeper._runs["x"]


@pytest.mark.skipif(not MLFLOW_3, reason="MLflow 2 has no models of metrics")
def test_a_metric_of_a_model_keeps_its_model(door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    door.open()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("models")
    with mlflow.start_run() as run:
        from mlflow.entities import LoggedModelInput

        model = mlflow.initialize_logged_model(name="x", source_run_id=run.info.run_id)
        door.shut()
        MlflowClient().log_metric(run.info.run_id, "m", 1.0, model_id=model.model_id)
        with pytest.raises(MlflowException):  # what the spool has no room for isn't dropped on the way
            MlflowClient().log_inputs(run.info.run_id, models=[LoggedModelInput(model.model_id)])
        door.open()
        until(lambda: drained(uri))
    metrics = truth(door).get_logged_model(model.model_id).metrics
    assert [(m.key, m.value) for m in metrics] == [("m", 1.0)]


def _in_child(run_id: str) -> None:
    client = MlflowClient()
    for i in range(10):
        client.log_metric(run_id, "child", float(i), step=i)
    os._exit(0)


def test_a_forked_child_logs_into_its_parents_run(door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    door.open()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("fork")
    with mlflow.start_run() as run:
        door.shut()
        mlflow.log_metric("parent", 1.0)
        child = multiprocessing.get_context("fork").Process(target=_in_child, args=(run.info.run_id,))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        mlflow.log_metric("parent", 2.0, step=1)
        door.open()
    until(lambda: drained(uri))
    # What the child could not deliver is in a spool of its own, for whoever comes by.
    link_to(uri).client().replay(os.environ["MLFLOWHA_SPOOL_DIR"], patience=5)
    stored = only_run(truth(door), "fork")
    assert stored.data.metrics == {"parent": 2.0, "child": 9.0}
    assert len(truth(door).get_metric_history(run.info.run_id, "child")) == 10


_SCRIPT = """
import mlflow
mlflow.set_experiment("exit")
mlflow.start_run(run_name="left")
mlflow.log_metric("m", 1.0)
"""


def test_the_end_of_a_process_in_an_outage(door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=environment, cwd=quick, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("MLflow can't be reached") == 1
    command = ["-m", "mlflowha", "replay", os.environ["MLFLOWHA_SPOOL_DIR"]]
    assert f"python {shlex.join(command)}" in done.stderr
    environment["MLFLOWHA_ENDPOINTS"] = door.url
    replay = [sys.executable, *command, "--patience", "2"]
    assert subprocess.run(replay, env=environment, capture_output=True, timeout=60).returncode == 5
    door.open()
    assert subprocess.run(replay, env=environment, capture_output=True, timeout=60).returncode == 0
    stored = only_run(truth(door), "exit")
    assert (stored.info.run_name, stored.info.status, stored.data.metrics) == ("left", "FINISHED", {"m": 1.0})
    assert not list(Path(os.environ["MLFLOWHA_SPOOL_DIR"]).glob("*.spool"))


def test_names_in_ids() -> None:
    for name in ("x", "a/b é 漢", "n" * 200):
        assert name_of(id_for(name)) == name
    assert name_of("12") is None
    assert name_of("mlflowha-name-\x00") is None
