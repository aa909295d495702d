"""Real process models: gunicorn's workers, forked from an application that logs already, and the workers of a loader of
training data, forked and spawned, which read and log while their parent does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import mlflow
import pytest
from conftest import MLFLOW_3, Door
from mlflow import MlflowClient
from outage_test import drained, only_run, truth, until
from process_group import free_port

import mlflowha

pytestmark = pytest.mark.skipif(not MLFLOW_3, reason="forks are the same with all releases of MLflow; seen with 2, too")


def ask(port: int, path: str) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=30) as answer:
        return str(answer.read().decode()).split()


def answers(port: int) -> bool:
    try:
        ask(port, "up/0")
    except OSError:
        return False
    return True


def test_gunicorn_that_loads_the_application_before_it_forks(door: Door, quick: Path) -> None:
    pytest.importorskip("gunicorn")
    door.open()
    port = free_port()
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"mlflowha+{door.url}", "DIRECT": door.url}
    command = ["-m", "gunicorn", "--preload", "--workers=2", "--threads=2", f"--bind=127.0.0.1:{port}", "workers_app"]
    with open(quick / "log", "wb") as log:
        master = subprocess.Popen(
            [sys.executable, *command], cwd=Path(__file__).parent, env=environment, stdout=log, stderr=log
        )
    try:
        until(lambda: master.poll() is not None or answers(port), 60)
        assert master.poll() is None, (quick / "log").read_text()
        pids = {ask(port, f"up/{i}")[0] for i in range(1, 40)}
        run_id = ask(port, "up/40")[1]
        assert len(pids) == 2 and str(master.pid) not in pids
        door.shut()
        for i in range(41, 60):
            ask(port, str(i))
        os.kill(int(pids.pop()), signal.SIGKILL)  # gunicorn starts another, from what the master has
        for i in range(60, 80):
            ask(port, str(i))
        door.open()
    finally:
        master.terminate()
        assert master.wait(60) == 0
    for directory in (os.environ["MLFLOWHA_SPOOL_DIR"], os.environ["MLFLOWHA_SPOOL_DIR"] + "-logger"):
        assert mlflowha.replay(directory, mlflowha.Client(door.url), patience=10)["waiting"] == 0
    client = truth(door)
    mlflow.set_tracking_uri(client.tracking_uri)  # MLflow 2 asks where this says for files
    for key, last in (("plugin", 80), ("logger", 80), ("client", 41)):
        steps = {point.step for point in client.get_metric_history(run_id, key)}
        assert steps == {-1, *range(last)}, key
    assert {file.path for file in client.list_artifacts(run_id)} == {f"{i}.txt" for i in range(80)}
    assert client.get_run(run_id).info.status == "FINISHED"


def load(run_id: str, worker: int, go: object, url: str) -> None:
    """What a worker of a loader does: it asks for the run, and logs how long it took; with a RunLogger too."""
    client = MlflowClient()
    logger = mlflowha.RunLogger(mlflowha.Client(url), run_id=run_id)
    assert client.get_run(run_id).data.params["p"] == "1"
    for step in range(20):
        client.log_metric(run_id, f"worker {worker}", step, step=step)
    go.wait(60)  # type: ignore[attr-defined]
    for step in range(20, 40):
        client.log_metric(run_id, f"worker {worker}", step, step=step)
        logger.log_metric(f"logger {worker}", step, step)
    client.log_text(run_id, "text", f"worker {worker}.txt")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_that_load_data(method: str, door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    door.open()
    mlflow.set_tracking_uri(uri)
    os.environ["MLFLOW_TRACKING_URI"] = uri  # set_tracking_uri() tells it only to children that are forked
    mlflow.set_experiment(f"loader {method}")
    context = multiprocessing.get_context(method)
    go = context.Event()
    with mlflow.start_run() as run:
        mlflow.log_param("p", 1)
        workers = [context.Process(target=load, args=(run.info.run_id, i, go, door.url)) for i in range(2)]
        for worker in workers:
            worker.start()
        for step in range(100):
            mlflow.log_metric("parent", step, step=step)
        client = truth(door)
        until(lambda: all(client.get_metric_history(run.info.run_id, f"worker {i}")[19:] for i in range(2)), 60)
        door.shut()
        mlflow.log_metric("parent", 100, step=100)
        go.set()
        for step in range(101, 200):
            mlflow.log_metric("parent", step, step=step)
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0, 0]
        door.open()
    until(lambda: drained(uri))
    report = mlflowha.replay(os.environ["MLFLOWHA_SPOOL_DIR"], mlflowha.Client(door.url), patience=10)
    assert report["waiting"] == 0
    stored = only_run(client, f"loader {method}")
    mlflow.set_tracking_uri(client.tracking_uri)
    for key, steps in (
        ("parent", range(200)),
        ("worker 0", range(40)),
        ("worker 1", range(40)),
        ("logger 0", range(20, 40)),
        ("logger 1", range(20, 40)),
    ):
        assert sorted(point.step for point in client.get_metric_history(run.info.run_id, key)) == list(steps), key
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"worker 0.txt", "worker 1.txt"}
    assert stored.info.status == "FINISHED"
