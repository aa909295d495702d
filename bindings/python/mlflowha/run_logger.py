"""mlflowha.RunLogger: logs one run without ever waiting for a server; and what became of it.

What is logged goes into a spool on this machine's disk first and from there to the servers, in the background. With
every server down it stays there, and replay() delivers it later.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import sys
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _core
from .client import Client
from .errors import CancelledError, MlflowhaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from ._base import Seconds, Time

__all__ = ["CloseReport", "FlushReport", "LoggerStatus", "RunLogger", "Spool", "VerifyReport", "replay"]


@dataclass(frozen=True, slots=True)
class FlushReport:
    """What flush() came to."""

    drained: bool  #: everything that was logged before is on a server
    waiting: int  #: entries of this run that are not
    run_id: str  #: the server's; "" when the run isn't there yet
    refused: str  #: why the server won't have the run; "" usually


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What close() found when it read the run back."""

    done: bool  #: False: `error` says why
    checked: int  #: keys, artifacts and the end
    resent: int  #: what the server had lost of them, sent again
    different: int  #: what is still not as it was sent
    foreign: int  #: tags and the end that somebody else has set since; left as they are
    unchecked: int  #: what was too much to remember, or can't be listed
    notes: list[str]  #: lines that name them, the first ones
    error: MlflowhaError | None


@dataclass(frozen=True, slots=True)
class CloseReport:
    """What close() came to."""

    drained: bool
    waiting: int
    quarantined: int  #: refused for good, of all runs in this spool; kept there
    run_id: str
    refused: str
    spool: str  #: the file that is left; "" when nothing is
    replay: str  #: the command that delivers it; "" when nothing is left
    verified: VerifyReport | None  #: None where it isn't wanted, and when not all is on a server
    last_error: MlflowhaError | None


@dataclass(frozen=True, slots=True)
class LoggerStatus:
    """How the logging is going."""

    state: str  #: "online", "degraded" (servers or disk take nothing at the moment) or "closed"
    run_id: str  #: the server's; "" until the run was created there
    waiting: int  #: entries in the spool, of all runs of this process and directory
    lag: float  #: age of the oldest of them in seconds
    delivered: int
    refused: int
    last_error: MlflowhaError | None  #: why the last delivery or writing failed; kept after recovery


class RunLogger:
    """Logs one run. Thread-safe; a forked child may go on logging (it gets a spool of its own, and its close() leaves
    the run to the parent).

    ``experiment`` is a name, made when there is none; without it ``experiment_id``, without both the default
    experiment. ``run_id``: a run that exists already. ``directory``: where spools are kept (``$MLFLOWHA_SPOOL_DIR``,
    else ``./mlflowha-spool``). ``durability``: "interval" (what was logged is in the file within milliseconds and
    fsynced once a second), "each" (fsynced before a call returns) or "none" (in memory). ``on_degraded`` is called
    with a MlflowhaError when nothing can be delivered for now, ``on_recovered`` with the seconds that it took when
    deliveries go on: both on a thread of the logger's own, which delivers nothing until they return. What they raise
    goes to sys.unraisablehook. Other settings: docs/python.md.
    """

    def __init__(
        self,
        client: Client | None = None,
        *,
        experiment: str | None = None,
        experiment_id: str | None = None,
        run_name: str | None = None,
        run_id: str | None = None,
        tags: Mapping[str, object] | None = None,
        directory: str | os.PathLike[str] | None = None,
        durability: str = "interval",
        close_timeout: Seconds = 30.0,
        on_degraded: Callable[[MlflowhaError], object] | None = None,
        on_recovered: Callable[[float], object] | None = None,
        **settings: object,
    ) -> None:
        named: dict[str, object] = {
            "experiment": experiment,
            "experiment_id": experiment_id,
            "run_name": run_name,
            "run_id": run_id,
            "directory": None if directory is None else os.fspath(directory),
            "tags": None if tags is None else {str(key): str(value) for key, value in tags.items()},
        }
        given = {name: value for name, value in named.items() if value is not None}
        if settings.get("start_time") is not None:
            settings["start_time"] = _stamp(settings["start_time"], "start_time")
        self.client = Client() if client is None else client
        self._close_timeout = close_timeout
        self._report: CloseReport | None = None
        self._closing = threading.RLock()
        self._callbacks = _Callbacks({"on_degraded": on_degraded, "on_recovered": on_recovered})
        self._core = _core.RunLogger(
            self.client._core,
            {**given, "durability": durability, **settings},
            _teller(self._callbacks, "on_degraded"),
            _teller(self._callbacks, "on_recovered"),
        )
        if type(self).log_metric is RunLogger.log_metric:
            # The C function itself: going through a method of this class would double what a call costs.
            self.__dict__["log_metric"] = self._core.log_metric
        _open.add(self)

    def log_metric(self, key: str, value: float, step: int | None = 0, timestamp: Time | None = None) -> None:
        """One point of a metric: under a microsecond. `timestamp`: milliseconds since the epoch, or a datetime; now."""
        self._core.log_metric(key, value, step, timestamp)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = 0, timestamp: Time | None = None) -> None:
        """Several metrics, all or none."""
        from ._wire import real, text, whole

        rows = [(text("metrics: key", key), real(f"metrics[{key!r}]", value)) for key, value in metrics.items()]
        self._core.log_metrics(rows, 0 if step is None else whole("step", step), _stamp(timestamp))

    def log_param(self, key: str, value: object) -> None:
        """A param; it can't be changed once it is set."""
        self._core.log_params(_pairs("params", {key: value}))

    def log_params(self, params: Mapping[str, object]) -> None:
        """Several params, all or none."""
        self._core.log_params(_pairs("params", params))

    def set_tag(self, key: str, value: object) -> None:
        """A tag of the run."""
        self._core.set_tags(_pairs("tags", {key: value}))

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Several tags, all or none."""
        self._core.set_tags(_pairs("tags", tags))

    def log_input(
        self,
        name: str,
        digest: str,
        *,
        source_type: str,
        source: str,
        schema: str = "",
        profile: str = "",
        tags: Mapping[str, object] | None = None,
    ) -> None:
        """A dataset that the run uses."""
        from ._wire import text

        dataset = {
            "name": name,
            "digest": digest,
            "source_type": source_type,
            "source": source,
            "schema": schema,
            "profile": profile,
        }
        self._core.log_input({key: text(key, value) for key, value in dataset.items()}, _pairs("tags", tags or {}))

    def log_artifact(self, local_path: str | os.PathLike[str], artifact_path: str = "") -> None:
        """A file, into the directory `artifact_path` of the run's artifacts.

        It is in the spool when this returns, which takes as long as copying it. The setting keep_artifacts="link" is
        for files that are never written again."""
        self._core.log_artifact(os.fsencode(local_path), artifact_path)

    def log_artifacts(self, local_dir: str | os.PathLike[str], artifact_path: str = "") -> None:
        """All files below a directory, with their paths below it."""
        self._core.log_artifacts(os.fsencode(local_dir), artifact_path)

    def end(self, status: str = "FINISHED", end_time: Time | None = None) -> None:
        """Ends the run once all that was logged before has been delivered."""
        self._core.end(status.upper(), _stamp(end_time, "end_time"))

    def commit(self) -> None:
        """Returns when all that was logged before is in the spool."""
        self._core.commit()

    def flush(self, timeout: Seconds = 30.0) -> FlushReport:
        """commit(), and waits for the servers to confirm, for at most `timeout`."""
        return FlushReport(**self._core.flush(timeout))

    def close(self, timeout: Seconds | None = None) -> CloseReport:
        """Ends the run, flushes, stops. What a server hasn't confirmed by then stays in the spool. Once it has been
        done, close() only says again what it came to."""
        return self._close(self._close_timeout if timeout is None else timeout, "FINISHED")

    def _close(self, timeout: Seconds, status: str) -> CloseReport:
        # A second thread waits for what the first one's came to; a signal's handler may close in the middle of it.
        with self._closing:
            if self._report is not None:
                return self._report
            try:
                told = self._core.close(timeout, status)
            except CancelledError:
                if self._report is None:
                    raise
                return self._report
            verified = told.pop("verified")
            self._report = CloseReport(verified=None if verified is None else VerifyReport(**verified), **told)
            _open.discard(self)
            return self._report

    def status(self) -> LoggerStatus:
        """How it is going; no request is sent."""
        return LoggerStatus(**self._core.status())

    @property
    def run_id(self) -> str:
        """The server's id of the run; "" until it was created there."""
        return self.status().run_id

    @property
    def local_id(self) -> str:
        """The id by which this program may call the run before a server has given it one."""
        return self._core.local_id

    def __enter__(self) -> RunLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._core.closed:
            return
        if kind is None:
            self.close()
            return
        interrupted = issubclass(kind, KeyboardInterrupt)
        status = "KILLED" if interrupted else "FAILED"
        with contextlib.suppress(MlflowhaError):  # no room for it: close() tries again
            self._core.end(status, None, 0.0)
        # After Ctrl-C nobody wants to wait for servers; the spool has it all.
        self._close(0.0 if interrupted else self._close_timeout, status)


class _Callbacks(dict[str, Any]):
    """A logger's callbacks, by name."""


def _teller(callbacks: _Callbacks, name: str) -> Callable[[Any], object] | None:
    """What the C++ side keeps of a callback: nothing that the garbage collector would have to see there, as a callback
    often refers to its logger."""
    callback = callbacks[name]
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"{name}: value is {callback!r}, expected a callable")
    found = weakref.ref(callbacks)

    def tell(what: Any) -> None:
        there = found()
        if there is not None:
            there[name](what)

    tell.__qualname__ = f"RunLogger.{name}"
    return tell


def _stamp(timestamp: object, name: str = "timestamp") -> int | None:
    if timestamp is None:
        return None
    from ._wire import moment

    return moment(name, timestamp)


def _pairs(what: str, pairs: Mapping[str, object]) -> list[tuple[str, str]]:
    from ._rows import pair_rows

    return pair_rows(what, dict(pairs.items()))  # also of what isn't a Mapping and has items, as pandas' Series


_open: weakref.WeakSet[RunLogger] = weakref.WeakSet()


def _at_exit() -> None:
    """Nothing that was logged may stay in memory; servers aren't waited for."""
    for logger in list(_open):
        logger._core.mute()
        try:
            logger.commit()
        except MlflowhaError:
            continue  # closed, or a forked child that hasn't logged


def _before_fork() -> None:
    """Children of multiprocessing end without atexit: there it is one of their finalizers that commits."""
    global _knows_multiprocessing
    util = sys.modules.get("multiprocessing.util")
    if util is None or _knows_multiprocessing:
        return
    _knows_multiprocessing = True
    util.register_after_fork(RunLogger, lambda _: util.Finalize(None, _at_exit, exitpriority=10))


def _after_fork() -> None:
    """Another thread of the parent may have been closing a logger."""
    for logger in list(_open):
        logger._closing = threading.RLock()


_knows_multiprocessing = False
atexit.register(_at_exit)
os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


class Spool:
    """A directory of spools: what processes that logged have left there."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = os.fspath(directory)

    def files(self) -> list[tuple[str, bool]]:
        """(path, whether its owner lives) of each spool file."""
        return _core.list_spools(self.directory)

    def replay(self, client: Client | None = None, **options: Any) -> dict[str, Any]:
        """As replay(directory, client)."""
        return replay(self.directory, client, **options)


def replay(
    directory: str | os.PathLike[str],
    client: Client | None = None,
    *,
    dry_run: bool = False,
    patience: Seconds = 120.0,
    timeout: Seconds | None = None,
    cancel: _core.Cancel | None = None,
) -> dict[str, Any]:
    """Delivers what dead processes left in a directory of spools; may be interrupted and repeated at will. Ends after
    `patience` seconds without a delivery. The report's keys: docs/python.md."""
    core = (Client() if client is None else client)._core
    report: dict[str, Any] = json.loads(core.replay(os.fspath(directory), dry_run, patience, timeout, cancel))
    return report
