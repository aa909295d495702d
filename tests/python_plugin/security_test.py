"""Passwords, tokens and certificates, both through the C++ client and through MLflow's own transfer code."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from conftest import SERVERS, VERSION, Door
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client
from mlflow_stack import Stack

from mlflowha import Client, RunLogger
from mlflowha.errors import UnauthenticatedError


def use_everything(uri: str) -> None:
    """Something of each kind."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("secure")
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1.0)
        mlflow.log_text("text", "a.txt")
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/a.txt") == "text"
    client = MlflowClient()
    client.create_registered_model("secure")
    client.delete_registered_model("secure")
    assert client.get_run(run.info.run_id).info.status == "FINISHED"


def use_our_client(url: str, folder: Path) -> None:
    """The same server through mlflowha.Client and its logger, which know MLflow's variables too."""
    with Client(url) as client:
        run_id = client.create_run(client.create_experiment("ours")).info.run_id
        client.log_text(run_id, "text", "a.txt")
        assert Path(client.download_artifacts(run_id, "a.txt", folder)).read_text() == "text"
        with RunLogger(client, run_id=run_id, directory=str(folder / "logger")) as logger:
            logger.log_metric("m", 2.0)
        assert client.get_run(run_id).data.metrics == {"m": 2.0}


def test_basic_auth(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOWHA_CALL_TIMEOUT", "30")
    monkeypatch.setenv("MLFLOWHA_SPOOL_AFTER", "30")  # hashing a password takes a busy server its time
    monkeypatch.setenv("MLFLOWHA_ATTEMPT_TIMEOUT", "20")
    with Stack(1, VERSION, venv=SERVERS, extras=["auth"]) as stack:
        uri = f"mlflowha+{stack.urls[0]}"
        assert stack.login is not None
        with pytest.raises(MlflowException) as caught:
            MlflowClient(uri).search_experiments()
        assert caught.value.error_code == "UNAUTHENTICATED"
        user, password = stack.login
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        MlflowClient(uri)._tracking_client.store.link._looked = 0.0
        use_everything(uri)
        users = get_app_client("basic-auth", uri)
        users.create_user("somebody", "a long password")
        assert users.get_user("somebody").username == "somebody"
        use_our_client(stack.urls[0], quick)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
        with pytest.raises(UnauthenticatedError), Client(stack.urls[0]) as client:
            client.search_experiments()


@pytest.fixture
def tls_door(stack: Stack, tmp_path: Path) -> Iterator[tuple[Door, Path]]:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 "
        f"-keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    door = Door(stack.servers[0].port, context)
    door.open()
    yield door, certificate
    door.shut()


def test_tls_and_token(tls_door: tuple[Door, Path], quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door, certificate = tls_door
    uri = f"mlflowha+{door.url}"
    with pytest.raises(MlflowException):
        MlflowClient(uri).search_experiments()
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "the-token")
    MlflowClient(uri)._tracking_client.store.link._looked = 0.0
    use_everything(uri)
    use_our_client(door.url, quick)
    heads = [head for head in bytes(door.requests).lower().split(b"\r\n\r\n") if b" http/1.1\r\n" in head]
    assert len(heads) > 5
    for head in heads:
        assert b"authorization: bearer the-token" in head, head
