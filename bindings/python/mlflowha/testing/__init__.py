"""Servers that fail on request, for tests of what talks to MLflow: mlflowha, MLflow's own client, anything over HTTP.

>>> from mlflowha.testing import FakeServer
>>> with FakeServer(faults="when path /runs/create nth 1 -> apply_then_drop") as server:
...     client = mlflowha.Client(server.url)
...     client.create_run("0")              # found by its tag, not made twice
...     assert server.backend.counts()["runs"] == 1

FakeServer is an MLflow server in memory on a port of this machine; several with one ``backend`` are a cluster on one
database. FaultProxy stands in front of any server. The language of faults is in docs/testing.md. With pytest come the
fixtures ``mlflowha_server`` and ``mlflowha_cluster``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .. import _testing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["Cluster", "FakeBackend", "FakeServer", "FaultProxy"]


class FakeBackend:
    """What the servers of a cluster share: the database, in memory. Thread-safe."""

    def __init__(self, *, mlflow: int = 3, seed: int = 1) -> None:
        self._core = _testing.Backend(mlflow, seed)

    def set_database(self, state: str) -> None:
        """`state`: "up", "down" (every call is answered with 503) or "read_only" (writes are refused)."""
        self._core.set_database(state)

    def counts(self) -> dict[str, Any]:
        """What arrived: requests, experiments, runs, points, repeated_points, model_versions, logged_models,
        by_path."""
        return self._core.counts()

    def runs(self) -> list[str]:
        """Ids of all runs in the order in which they were made."""
        return self._core.runs()

    def points(self, run_id: str, key: str) -> list[tuple[int, int, float]]:
        """(timestamp, step, value) of each stored point of a metric."""
        return self._core.points(run_id, key)

    def duplicates(self, tag: str = "mlflowha.request_id") -> list[list[str]]:
        """Groups of active runs that share a value of this tag: what was made twice."""
        return self._core.runs_sharing_tag(tag)


class _Listener:
    """What servers and proxies have in common: they can be stopped, killed, paused, and started on the same port; by
    the process that made them, for a forked child has none of their threads."""

    _core: _testing.Server | _testing.Proxy

    def __init__(self) -> None:
        self._home = os.getpid()

    def _at_home(self) -> Any:
        if self._home != os.getpid():
            raise RuntimeError(f"{self!r} belongs to the process {self._home}, which this one was forked from")
        return self._core

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, the same through stop and start."""
        return self._core.url

    @property
    def port(self) -> int:
        """The port."""
        return self._core.port

    def stop(self) -> None:
        """Closes the port and every connection. Does nothing in a forked child."""
        if self._home == os.getpid():
            self._core.stop()

    def kill(self) -> None:
        """As stop, but connections are reset, as those of a killed process."""
        self._at_home().kill()

    def start(self) -> None:
        """Opens the port again."""
        self._at_home().start()

    def pause(self) -> None:
        """Takes connections and answers nothing, as a process that got SIGSTOP."""
        self._at_home().pause()

    def resume(self) -> None:
        """Goes on with what has arrived meanwhile."""
        self._at_home().resume()

    def set_faults(self, faults: str) -> None:
        """Replaces the faults; "" for none. A ValueError names the line that can't be read."""
        self._core.set_faults(faults)

    def fault_counts(self) -> list[dict[str, Any]]:
        """How often each rule of the faults matched and fired."""
        return self._core.fault_counts()

    def requests(self) -> int:
        """Requests read."""
        return self._core.requests()

    def connections(self) -> int:
        """Connections accepted."""
        return self._core.connections()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class FakeServer(_Listener):
    """An MLflow tracking server in memory, over real HTTP. `mlflow`: the release that is imitated, 2 or 3 (the one of
    the backend, when one is given). `latency`: seconds before each answer."""

    _core: _testing.Server

    def __init__(
        self,
        backend: FakeBackend | None = None,
        *,
        mlflow: int = 3,
        port: int = 0,
        faults: str = "",
        seed: int = 1,
        latency: float = 0.0,
        username: str = "",
        password: str = "",
        bearer: str = "",
    ) -> None:
        super().__init__()
        self.backend = FakeBackend(mlflow=mlflow) if backend is None else backend
        self._core = _testing.Server(
            self.backend._core,
            port=port,
            faults=faults,
            seed=seed,
            latency=latency,
            username=username,
            password=password,
            bearer=bearer,
        )

    @property
    def running(self) -> bool:
        """Whether the port is open."""
        return self._core.running

    def __enter__(self) -> FakeServer:
        return self

    def __repr__(self) -> str:
        return f"FakeServer({self.url})"


class FaultProxy(_Listener):
    """Stands in front of an HTTP server and lets go wrong what `faults` say."""

    _core: _testing.Proxy

    def __init__(self, upstream: str, *, port: int = 0, faults: str = "", seed: int = 1) -> None:
        super().__init__()
        self._core = _testing.Proxy(upstream, port=port, faults=faults, seed=seed)

    def forwarded(self) -> int:
        """Requests that the server behind answered completely, whatever the client saw."""
        return self._core.forwarded()

    def __enter__(self) -> FaultProxy:
        return self

    def __repr__(self) -> str:
        return f"FaultProxy({self.url})"


class Cluster:
    """Several FakeServers on one database."""

    def __init__(self, count: int = 3, *, mlflow: int = 3) -> None:
        self.backend = FakeBackend(mlflow=mlflow)
        self.servers = [FakeServer(self.backend) for _ in range(count)]

    @property
    def urls(self) -> list[str]:
        """The servers' addresses."""
        return [server.url for server in self.servers]

    @property
    def endpoints(self) -> str:
        """The addresses as MLFLOWHA_ENDPOINTS and mlflowha.Client take them."""
        return ",".join(self.urls)

    def __getitem__(self, index: int) -> FakeServer:
        return self.servers[index]

    def __iter__(self) -> Iterator[FakeServer]:
        return iter(self.servers)

    def __len__(self) -> int:
        return len(self.servers)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.stop()
