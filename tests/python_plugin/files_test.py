"""What becomes of files that are logged in an outage."""

from __future__ import annotations

import http.server
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import mlflow
import pytest
from conftest import Door
from mlflow import MlflowClient
from mlflow.entities import Run, RunData
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from outage_test import drained, only_run, truth, until

from mlflowha.plugin.link import link_to
from mlflowha.plugin.outage import keeper_of
from mlflowha.plugin.spooled_run import run_info


def text(door: Door, run_id: str, path: str) -> str:
    mlflow.set_tracking_uri(f"http://127.0.0.1:{door.upstream}")
    return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{path}"))


def files(door: Door, run_id: str, folder: str | None = None) -> set[str]:
    found: set[str] = set()
    for file in truth(door).list_artifacts(run_id, folder):
        found |= files(door, run_id, file.path) if file.is_dir else {file.path}
    return found


def test_an_outage_while_files_are_logged(door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    door.open()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("files")
    (quick / "out/sub").mkdir(parents=True)
    (quick / "out/a.bin").write_bytes(bytes(range(256)) * 5000)
    (quick / "out/sub/empty").touch()
    latest = quick / "latest.txt"
    with mlflow.start_run() as run:
        mlflow.log_text("live", "again.txt")
        door.shut()
        latest.write_text("first")
        begin = time.monotonic()
        mlflow.log_artifact(str(latest), "checkpoints")
        latest.write_text("overwritten")
        mlflow.log_metric("m", 1.0)
        mlflow.log_artifacts(str(quick / "out"), "all")
        mlflow.log_artifact(str(quick / "out"))  # a directory, in its own name
        mlflow.log_artifacts(str(quick / "not there"))
        mlflow.log_dict({"a": 1}, "d.json")
        mlflow.log_text("in the outage", "again.txt")
        mlflow.log_text("in the end", "again.txt")
        assert time.monotonic() - begin < 7, "each upload tried anew"
        door.open()
        until(lambda: drained(uri))
        door.requests.clear()
        mlflow.log_text("direct", "after.txt")
        assert b"PUT" in door.requests and b"after.txt" in door.requests
    rid = run.info.run_id
    assert only_run(truth(door), "files").data.metrics == {"m": 1.0}
    assert files(door, rid) == {
        "again.txt", "checkpoints/latest.txt", "all/a.bin", "all/sub/empty", "out/a.bin", "out/sub/empty", "d.json",
        "after.txt",
    }  # fmt: skip
    assert text(door, rid, "checkpoints/latest.txt") == "first"
    assert text(door, rid, "again.txt") == "in the end"
    assert Path(mlflow.artifacts.download_artifacts(f"runs:/{rid}/all/a.bin")).read_bytes() == bytes(range(256)) * 5000


def test_files_of_a_run_that_starts_with_every_server_down(door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("offline files")
    with mlflow.start_run() as run:
        mlflow.log_text("text", "a.txt")
        (quick / "b.txt").write_text("b")
        get_artifact_repository(mlflow.get_artifact_uri("sub/dir")).log_artifact(str(quick / "b.txt"), "more")
        # What is only in the spool can't be read: not even as "no such table", which would be written anew.
        for read in (
            lambda: MlflowClient().list_artifacts(run.info.run_id),
            lambda: mlflow.log_table({"x": [1]}, "table.json"),
        ):
            with pytest.raises(MlflowException, match="aren't on a server yet") as caught:
                read()
            assert caught.value.error_code == "TEMPORARILY_UNAVAILABLE"
        with pytest.raises(MlflowException):
            mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/a.txt")
    door.open()
    until(lambda: drained(uri))
    local = run.info.run_id
    assert mlflow.artifacts.load_text(f"runs:/{local}/a.txt") == "text"
    MlflowClient().log_text(local, "late", "late.txt")
    get_artifact_repository(f"{run.info.artifact_uri}/sub").log_artifact(str(quick / "b.txt"))
    stored = only_run(truth(door), "offline files")
    assert stored.info.status == "FINISHED"
    assert files(door, stored.info.run_id) == {"a.txt", "sub/dir/more/b.txt", "late.txt", "sub/b.txt"}
    door.shut()  # and once more, with the repository that MLflow remembers
    MlflowClient().log_text(local, "later", "late.txt")
    door.open()
    until(lambda: drained(uri))
    assert text(door, stored.info.run_id, "late.txt") == "later"


def test_a_run_of_which_only_the_id_is_known(door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    real = truth(door)
    run_id = real.create_run(real.create_experiment("only the id")).info.run_id
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    client.log_metric(run_id, "m", 1.0)
    client.log_text(run_id, "text", "a.txt")
    door.open()
    until(lambda: drained(uri))
    client.log_text(run_id, "text", "b.txt")
    assert real.get_run(run_id).data.metrics == {"m": 1.0}
    assert files(door, run_id) == {"a.txt", "b.txt"}


_SCRIPT = """
import mlflow
mlflow.set_experiment("files at exit")
mlflow.start_run()
mlflow.log_text("left", "left.txt")
"""


def test_files_that_a_process_leaves(door: Door, quick: Path) -> None:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"mlflowha+{door.url}", "MLFLOWHA_ENDPOINTS": door.url}
    options = {"env": environment, "cwd": quick, "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run([sys.executable, "-c", _SCRIPT], **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    door.open()
    replay = [sys.executable, "-m", "mlflowha", "replay", os.environ["MLFLOWHA_SPOOL_DIR"]]
    assert subprocess.run(replay, **options).returncode == 0  # type: ignore[call-overload]
    stored = only_run(truth(door), "files at exit")
    assert stored.info.status == "FINISHED"
    assert text(door, stored.info.run_id, "left.txt") == "left"
    assert not list(Path(os.environ["MLFLOWHA_SPOOL_DIR"]).glob("*.spool"))


def test_faults_of_the_caller_are_raised_as_ever(door: Door, quick: Path) -> None:
    mlflow.set_tracking_uri(f"mlflowha+{door.url}")
    mlflow.set_experiment("faults")
    (quick / "a").touch()
    with mlflow.start_run():
        with pytest.raises(FileNotFoundError):
            mlflow.log_artifact(str(quick / "not there"))
        with pytest.raises(MlflowException, match="Invalid artifact path"):
            mlflow.log_artifact(str(quick / "a"), "../up")
    door.open()
    until(lambda: drained(f"mlflowha+{door.url}"))


def test_raise_mode(door: Door, quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWHA_ON_OUTAGE", "raise")
    monkeypatch.setattr("mlflowha.plugin.transport.PATIENCE", 0.5)
    door.open()
    mlflow.set_tracking_uri(f"mlflowha+{door.url}")
    mlflow.set_experiment("raise files")
    run = MlflowClient().create_run(mlflow.get_experiment_by_name("raise files").experiment_id)
    door.shut()
    with pytest.raises(MlflowException):
        MlflowClient().log_text(run.info.run_id, "x", "a.txt")
    (quick / "a.txt").touch()
    with pytest.raises(MlflowException):  # a URI whose run would be assumed
        get_artifact_repository(f"mlflow-artifacts:/{run.info.run_id}/artifacts").log_artifact(str(quick / "a.txt"))
    assert not (quick / "spool").exists()


class _Busy(http.server.BaseHTTPRequestHandler):
    """A load balancer that has lost all its servers."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_error(503)

    do_GET = do_POST = do_PUT

    def log_message(self, *_: object) -> None:
        pass


def test_a_balancer_without_servers(door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    door.open()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("busy")
    real = door.upstream
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Busy) as busy, mlflow.start_run() as run:
        threading.Thread(target=busy.serve_forever, daemon=True).start()
        door.upstream = busy.server_port
        door.shut()
        door.open()
        mlflow.log_text("text", "a.txt")
        assert not drained(uri)
        door.upstream = real
        busy.shutdown()
        door.shut()
        door.open()
        until(lambda: drained(uri))
    assert text(door, run.info.run_id, "a.txt") == "text"


def test_a_server_that_hangs(door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    door.open()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("hangs")
    real = door.upstream
    with socket.create_server(("127.0.0.1", 0)) as silent, mlflow.start_run() as run:
        door.upstream = silent.getsockname()[1]
        door.shut()
        door.open()
        keeper_of(link_to(uri))._patience = 1
        begin = time.monotonic()
        mlflow.log_text("text", "a.txt")
        assert time.monotonic() - begin < 5
        keeper_of(link_to(uri))._patience = 10
        door.upstream = real
        door.shut()
        door.open()
        until(lambda: drained(uri))
    assert text(door, run.info.run_id, "a.txt") == "text"


class _Model(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]
    def predict(self, context: object, model_input: list[str], params: object = None) -> list[str]:
        return model_input


def test_a_model_is_logged_as_a_whole_or_not_at_all(door: Door, quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWHA_CALL_TIMEOUT", "1")
    uri = f"mlflowha+{door.url}"
    door.open()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("whole models")
    with mlflow.start_run() as run:
        door.shut()
        for _ in range(2):  # the first notices the outage, the second knows of it
            with pytest.raises(MlflowException):
                mlflow.pyfunc.log_model("model", python_model=_Model(), pip_requirements=[])
            mlflow.log_metric("m", 1.0)
        mlflow.pyfunc.save_model(quick / "saved", python_model=_Model(), pip_requirements=[])
        mlflow.log_artifacts(str(quick / "saved"), "saved")  # files as any others
        door.open()
        until(lambda: drained(uri))
    assert {path.split("/")[0] for path in files(door, run.info.run_id)} == {"saved"}
    assert "saved/MLmodel" in files(door, run.info.run_id)
    assert only_run(truth(door), "whole models").data.metrics == {"m": 1.0}


def test_a_store_that_nobody_here_can_reach(door: Door, quick: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run that was started offline turns out to keep its files elsewhere: they are kept, and somebody says so."""
    uri = f"mlflowha+{door.url}"
    truth(door).create_experiment("elsewhere", artifact_location="s3://bucket/x")
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("elsewhere")
    with mlflow.start_run():
        mlflow.log_text("text", "a.txt")
        mlflow.log_metric("m", 1.0)
    door.open()
    with caplog.at_level(logging.WARNING, "mlflowha"):
        until(lambda: drained(uri))
    assert only_run(truth(door), "elsewhere").data.metrics == {"m": 1.0}
    (told,) = [r.getMessage() for r in caplog.records if "have refused" in r.getMessage()]
    assert "s3" in told and str(quick / "spool") in told
    kept = [path for path in (quick / "spool").rglob("*") if path.is_file() and path.read_bytes() == b"text"]
    assert len(kept) == 1


def test_a_directory_as_the_store(door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    store = quick / "store"
    truth(door).create_experiment("directory", artifact_location=store.as_uri())
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("directory")
    with mlflow.start_run() as run:
        mlflow.log_text("text", "a.txt")
    door.open()
    until(lambda: drained(uri))
    folder = store / only_run(truth(door), "directory").info.run_id / "artifacts"
    assert (folder / "a.txt").read_text() == "text"
    MlflowClient().log_text(run.info.run_id, "text", "b.txt")
    door.shut()  # which is no outage for what needs no server
    MlflowClient().log_metric(run.info.run_id, "m", 1.0)
    MlflowClient().log_text(run.info.run_id, "text", "c.txt")
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "b.txt", "c.txt"]
    door.open()
    until(lambda: drained(uri))


def test_what_only_looks_like_the_files_of_a_run(door: Door, quick: Path) -> None:
    uri = f"mlflowha+{door.url}"
    door.open()
    mlflow.set_tracking_uri(uri)
    (quick / "a.txt").write_text("text")
    repository = get_artifact_repository(f"mlflow-artifacts:/{'0' * 32}/artifacts/sub")
    repository.log_artifact(str(quick / "a.txt"))
    assert [file.path for file in repository.list_artifacts()] == ["a.txt"]
    assert mlflow.artifacts.load_text(f"mlflow-artifacts:/{'0' * 32}/artifacts/sub/a.txt") == "text"

    strange = get_artifact_repository("mlflow-artifacts:/local-00000000-0000-0000-0000-000000000000/artifacts")
    for use in (strange.list_artifacts, lambda: strange.log_artifact(str(quick / "a.txt"))):
        with pytest.raises(MlflowException, match="by another process") as caught:
            use()
        assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"

    # The spool sends to no host that the user hasn't named.
    for host, kind in (("elsewhere:1", "LinkedArtifacts"), (f"127.0.0.1:{door.port}", "RunArtifacts")):
        root = f"mlflow-artifacts://{host}/1/{kind}/artifacts"
        keeper_of(link_to(uri)).memory.remember(Run(run_info(kind, "1", "", 0, "", "RUNNING", None, root), RunData()))
        assert type(get_artifact_repository(f"{root}/sub")).__name__ == kind
