"""One real MLflow server for all tests of the plugin, and a door in front of it that can be shut.

The server runs with the MLflow of the interpreter that runs the tests.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from mlflowha.plugin.outage import _keepers  # noqa: E402
from mlflow_stack import Stack  # noqa: E402
from process_group import free_port  # noqa: E402

#: The environment with the servers' MLflow: of the same release as ours.
SERVERS = Path(os.environ.get("MLFLOWHA_TEST_MLFLOW", sys.prefix))
MLFLOW_3 = int(mlflow.__version__.split(".")[0]) >= 3
VERSION = "3" if MLFLOW_3 else "2"


class Door:
    """A TCP port in front of a server. Open: passes on. Shut: refuses, and cuts what is under way. Deaf: passes
    requests on and cuts the connection when the answer comes: what was asked for is done and nobody is told."""

    def __init__(self, upstream: int, tls: ssl.SSLContext | None = None) -> None:
        self.upstream = upstream
        self.requests = bytearray()  # what has come in
        self._tls = tls
        self._held = self._hold(free_port())  # nobody else gets it; not listened to, it refuses
        self.port: int = self._held.getsockname()[1]
        self.deaf = False
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def open(self) -> None:
        self.deaf = False
        self._set_patience(10)  # a server that is slow for a second is no outage here
        if self._listener is None:
            self._listener = self._held
            self._listener.listen(64)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    @staticmethod
    def _set_patience(seconds: float) -> None:
        """Of tests with short deadlines: see quick."""
        if "MLFLOWHA_SPOOL_AFTER" not in os.environ:
            return
        os.environ["MLFLOWHA_SPOOL_AFTER"] = str(seconds)
        for keeper in list(_keepers.values()):
            keeper._patience = seconds
            keeper.limit = None if keeper.limit is None else seconds

    def shut(self) -> None:
        self._set_patience(1)
        with self._lock:
            listener, self._listener = self._listener, None
            everything = [*self._open, *([listener] if listener else [])]
            self._open.clear()
        for one in everything:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        if listener is not None:
            self._held = self._hold(self.port)

    @staticmethod
    def _hold(port: int) -> socket.socket:
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        return held

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                if self._tls:
                    client = self._tls.wrap_socket(client, server_side=True)
                server = socket.create_connection(("127.0.0.1", self.upstream))
            except OSError:
                client.close()
                continue
            with self._lock:
                shut = self._listener is not listener
                if not shut:
                    self._open |= {client, server}
            if shut:
                client.close()
                server.close()
                return
            for source, target, answers in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, target, answers), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if answers and self.deaf:
                    break
                if not answers and len(self.requests) < 1 << 20:
                    self.requests += data
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack(1, VERSION, venv=SERVERS) as stack:
        yield stack


@pytest.fixture
def door(stack: Stack) -> Iterator[Door]:
    door = Door(stack.servers[0].port)
    yield door
    door.shut()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Short deadlines, and a spool of the test's own."""
    for name, value in {
        "MLFLOWHA_CALL_TIMEOUT": "4",
        "MLFLOWHA_ATTEMPT_TIMEOUT": "2",
        "MLFLOWHA_CONNECT_TIMEOUT": "0.5",
        "MLFLOWHA_SPOOL_AFTER": "1",
        "MLFLOWHA_EXIT_WAIT": "1",
        "MLFLOWHA_SPOOL_DIR": str(tmp_path / "spool"),
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("MLFLOWHA_ENDPOINTS", "MLFLOW_ENABLE_RETRY", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def _fresh_fluent_state() -> Iterator[None]:
    """Nothing of a test's MLflow is left for the next one."""
    from mlflow.tracking import fluent

    kept = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID")}
    yield
    fluent._active_experiment_id = None
    mlflow.set_tracking_uri(None)
    for name, value in kept.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
