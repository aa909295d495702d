"""What happens to logging calls while no server answers: they go into the durable spool, and the program goes on.

The Keeper of a link notices the first logging call that fails because nobody could serve it, and hands that run over to
a RunLogger: the call that failed goes in first, all later ones of that run behind it, in their order and with their
timestamps. What a server may have taken already arrives as the same bytes, and a create is looked for by its request
tag before it is sent again. When everything of a run has been delivered its calls go to the servers directly again.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import functools
import json
import logging
import os
import re
import shlex
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from mlflow.entities import Experiment, LifecycleStage, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from mlflowha import _core
from mlflowha.errors import MlflowhaError
from mlflowha.plugin.errors import cause_of, to_mlflow
from mlflowha.plugin.headers import workspace
from mlflowha.plugin.link import creating
from mlflowha.plugin.memory import ASSUMED_ROOT, LOCAL_ID, Memory
from mlflowha.plugin.spooled_run import SpooledRun, run_view

if TYPE_CHECKING:
    from mlflowha.plugin.link import Link

_logger = logging.getLogger("mlflowha")

_REQUEST_TAG = "mlflowha.request_id"
_NAMED_ID = re.compile(r"mlflowha-name-[A-Za-z0-9_-]+")
_LOOK_EVERY = 0.2  # seconds between looks at whether the servers are back
_SETTLE = 2.0  # seconds that a reading call waits for what is still in the spool


def keeps_going(method: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a logging method of the store, whose first argument is the run's id, survive an outage."""
    name = method.__name__

    @functools.wraps(method)
    def kept(self: Any, run_id: str, *given: Any, **named: Any) -> Any:
        if not self.keeper.spools:
            return method(self, run_id, *given, **named)
        return self.keeper.log(name, functools.partial(method, self), run_id, given, named)

    return kept


class Keeper:
    """One a link. Thread-safe."""

    def __init__(self, link: Link) -> None:
        self._link = link
        mode = os.environ.get("MLFLOWHA_ON_OUTAGE") or "spool"
        if mode not in ("spool", "raise"):
            raise MlflowException.invalid_parameter_value(
                f"MLFLOWHA_ON_OUTAGE: value is {mode!r}, expected spool or raise"
            )
        self._wanted = mode == "spool"
        self._told = False
        self._patience = seconds_of("MLFLOWHA_SPOOL_AFTER", 5.0)
        #: Of a logging call that log() can go on with; nothing: the client's own.
        self.limit = self._patience if self._wanted else None
        self._exit_wait = seconds_of("MLFLOWHA_EXIT_WAIT", 10.0)
        self._directory = os.path.abspath(os.environ.get("MLFLOWHA_SPOOL_DIR") or "mlflowha-spool")
        self._local = threading.local()
        self.memory = Memory()
        self._lock = threading.RLock()  # guards what follows; after a run's own lock
        self._runs: dict[str, SpooledRun] = {}
        self._server_ids: dict[str, str] = {}  # of runs that had a local id
        self._outage = False
        self._warned = False
        self._delivered = 0
        self._refused = 0
        self._looked = 0.0
        self._noted = 0.0
        self._pid = os.getpid()
        self._at_exit = False
        self._exiting = False

    @property
    def spools(self) -> bool:
        """Whether logging calls go to the spool in an outage: not where only MLflow's code can make the requests."""
        if not self._wanted:
            return False
        if not self._link.native():
            why = "MLFLOW_TRACKING_AUTH and MLFLOW_TRACKING_AWS_SIGV4 sign each request as it is sent, which the spool"
        elif workspace():
            why = "Requests name a workspace of the servers (MLFLOW_WORKSPACE), which the spool"
        else:
            return True
        if not self._told:
            self._told = True
            _logger.warning("%s can't: in an outage logging calls fail (MLFLOWHA_ON_OUTAGE=raise).", why)
        return False

    @property
    def timeout(self) -> float | None:
        """Of the call that this thread is making; nothing: the client's own."""
        return getattr(self._local, "timeout", None)

    @contextlib.contextmanager
    def _quickly(self) -> Iterator[None]:
        """A call that has something to fall back on doesn't wait for the client's whole deadline."""
        self._local.timeout = self._patience
        try:
            yield
        finally:
            self._local.timeout = None

    # --- logging calls

    def stands_aside(self, run_id: str) -> bool:
        """Whether a logging call of that run needs nothing of log() as long as it doesn't fail."""
        return not self._outage and run_id not in self._runs and run_id not in self._server_ids

    def log(
        self,
        name: str,
        live: Callable[..., Any],
        run_id: str,
        given: Any,
        named: Any,
        cause: BaseException | None = None,
    ) -> Any:
        """One logging call: `live(run_id, ...)`, or the spooled run's method `name`.

        `cause`: the outage that an attempt made already has ended with.
        """
        while True:
            run_id = self._server_ids.get(run_id, run_id)  # anew each time: a run may have been delivered meanwhile
            run = self._runs.get(run_id)
            if run is None and cause is None and not self.down():
                self._local.timeout = self._patience
                try:
                    return live(run_id, *given, **named)
                except MlflowException as error:
                    cause = cause_of(error)
                    if cause is None or not SpooledRun.takes(name, given, named):
                        raise
                finally:
                    self._local.timeout = None
            elif run is not None:
                self._look()
            if cause is None and not SpooledRun.takes(name, given, named):
                return live(run_id, *given, **named)
            run = run or self._take_over(run_id, cause)
            with run.lock:
                if run.released:  # delivered meanwhile
                    cause = None
                    continue
                try:
                    result = getattr(run, name)(*given, **named)
                    if self._exiting or os.getpid() != self._pid:
                        run.logger.commit()  # nobody may be there to do it in a moment
                except MlflowhaError as error:
                    raise to_mlflow(error) from error
                return result

    def _take_over(self, run_id: str, cause: BaseException | None) -> SpooledRun:
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                view = self.memory.view(run_id) or run_view(run_id)
                run = SpooledRun(self._logger_for({"run_id": run_id}), view)
                self._runs[run_id] = run
                self._note_outage(cause)
            return run

    def _logger_for(self, settings: dict[str, Any]) -> Any:
        try:
            return _core.RunLogger(self._link.client(), {"directory": self._directory, **settings})
        except MlflowhaError as error:
            raise to_mlflow(error) from error

    def create_run(
        self, live: Callable[..., Any], experiment_id: Any, user_id: Any, start_time: Any, tags: Any, run_name: Any
    ) -> Any:
        if not self.spools:
            return live(experiment_id, user_id, start_time, tags, run_name)
        cause: BaseException | None = None
        request_tag = str(uuid.uuid4())
        tags = [tag for tag in tags if tag.key != _REQUEST_TAG]  # of another run, whose tags these were
        if not self.down():
            try:
                with self._quickly(), creating(request_tag):
                    # Among the tags, too, for requests that go by MLflow's own code.
                    tagged = [*tags, RunTag(_REQUEST_TAG, request_tag)]
                    run = live(experiment_id, user_id, start_time, tagged, run_name)
                    self._note_answer()
                    return self.memory.remember(run)
            except MlflowException as error:
                cause = cause_of(error)
                if cause is None:
                    raise
        from mlflow.utils.name_utils import _generate_random_name

        named = next((tag.value for tag in tags if tag.key == MLFLOW_RUN_NAME), None)
        run_name = run_name or named or _generate_random_name()
        name = name_of(str(experiment_id))
        where = {"experiment": name} if name else {"experiment_id": str(experiment_id)}
        logger = self._logger_for(
            {
                **where,
                "run_name": run_name,
                "user_id": str(user_id or ""),
                "tags": {tag.key: self._server_ids.get(tag.value, tag.value) for tag in tags},
                "start_time": int(start_time),
                "request_tag": request_tag,
            }
        )
        view = run_view(logger.local_id, str(experiment_id), str(user_id or ""), int(start_time), run_name, tags)
        with self._lock:
            self._runs[logger.local_id] = SpooledRun(logger, view)
            self._note_outage(cause)
        return view

    # --- calls that read

    def with_server_ids(self, body: Any, endpoint: str | None) -> tuple[Any, str | None]:
        """A request with the ids that servers know, once what it may ask for has been delivered if that is possible."""
        if self._runs and self.timeout is None and not self.down():
            self._settle(_SETTLE)
        if isinstance(body, str):
            if "mlflowha-name-" in body:
                body = _NAMED_ID.sub(self._experiment_id, body)
            if "local-" in body:
                body = LOCAL_ID.sub(lambda found: self._server_id(found.group()), body)
        if endpoint and "local-" in endpoint:
            endpoint = LOCAL_ID.sub(lambda found: self._server_id(found.group()), endpoint)
        return body, endpoint

    def _server_id(self, local: str) -> str:
        run = self._runs.get(local)
        server = self._server_ids.get(local) or (run.server_id(self._patience) if run else "")
        if run is not None and not server:
            server = self._server_ids.get(local, "")  # let go meanwhile
            if not server:
                raise MlflowException(
                    f"run {local} was started while no server answered and isn't on a server yet; what is logged into "
                    f"it is kept in {self._directory}",
                    databricks_pb2.TEMPORARILY_UNAVAILABLE,
                )
        return server or local

    # --- files

    def artifact_uri(self, uri: str) -> str:
        """Where the artifacts of a run are whose URI had to be assumed (run_view()); others as they are."""
        assumed = ASSUMED_ROOT.fullmatch(uri)
        if assumed is None:
            return uri
        server = self._server_id(assumed[1]) if LOCAL_ID.fullmatch(assumed[1]) else assumed[1]
        if LOCAL_ID.fullmatch(server):
            raise MlflowException(
                f"run {server} was started by another process while no server answered: only that process knows it",
                databricks_pb2.RESOURCE_DOES_NOT_EXIST,
            )
        try:
            run = json.loads(self._link.call("get_run", json.dumps({"run_id": server}), self.timeout))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return uri  # a directory that is only called like a run
        root = str(run["run"]["info"]["artifact_uri"])
        return f"{root.rstrip('/')}/{assumed[2]}" if assumed[2] else root

    def settle_files(self, run_id: str) -> None:
        """Before the artifacts of a run are read: raises when files of it that were logged aren't on a server yet."""
        run = self._runs.get(self._server_ids.get(run_id, run_id))
        if run is None or not run.has_files:
            return
        if not self.down():
            self._settle(_SETTLE)
        if not run.released:
            raise MlflowException(
                f"files that were logged into the run {run_id} aren't on a server yet; they are kept in "
                f"{self._directory}",
                databricks_pb2.TEMPORARILY_UNAVAILABLE,
            )

    # --- experiments and runs

    def _experiment_id(self, found: re.Match[str]) -> str:
        name = name_of(found.group())
        if name is None:
            return found.group()
        known = self.memory.experiment(name)
        if known is None or name_of(known.experiment_id):
            known = self._find_or_create(name)
        return str(known.experiment_id)

    def _find_or_create(self, name: str) -> Experiment:
        from mlflow.tracking._tracking_service.utils import _get_store

        store = _get_store(self._link.uri)
        for _ in range(2):
            experiment = store.get_experiment_by_name(name)
            if experiment is not None:
                return experiment
            try:
                store.create_experiment(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        raise MlflowException(f"experiment {name!r} was created and isn't found")

    def get_run(self, live: Callable[..., Any], run_id: str) -> Any:
        if not self.spools:
            return live(run_id)
        run_id = self._server_ids.get(run_id, run_id)
        run = self._runs.get(run_id)
        view = run.view if run else self.memory.view(run_id)
        if view is None:
            return self.memory.remember(live(run_id))
        if self.down():
            return view
        if run is not None:
            self._settle(_SETTLE)
            run_id = self._server_ids.get(run_id, run_id)
            run = self._runs.get(run_id)
            if run is not None and not run.server_id():
                return view
        try:
            with self._quickly():
                return self.memory.remember(live(run_id))
        except MlflowException as error:
            if cause_of(error) is None:
                raise
            return view

    def get_experiment_by_name(self, live: Callable[..., Any], name: str) -> Any:
        if not self.spools:
            return live(name)
        known = self.memory.experiment(name)
        if not self.down():
            try:
                with self._quickly():
                    experiment = live(name)
                self._note_answer()
                if experiment is not None:
                    self.memory.keep_experiment(name, experiment)
                return experiment
            except MlflowException as error:
                cause = cause_of(error)
                if cause is None:
                    raise
                with self._lock:
                    self._note_outage(cause)
        if known is None:
            known = Experiment(id_for(name), name, "", LifecycleStage.ACTIVE)
            self.memory.keep_experiment(name, known)
        return known

    def get_experiment(self, live: Callable[..., Any], experiment_id: Any) -> Any:
        name = name_of(str(experiment_id))
        if name is None or not self.spools:
            return live(experiment_id)
        return self.get_experiment_by_name(lambda _: live(experiment_id), name)  # with_server_ids() puts the real id in

    # --- the outage

    def _note_outage(self, cause: BaseException | None) -> None:
        """With the lock held."""
        self._watch_exit()
        self._looked = self._noted = time.monotonic()
        if self._outage:
            return
        self._outage = True
        self._delivered = self._progress()[1]
        if self._warned:
            return
        self._warned = True
        why = str(cause).splitlines()[0] if cause is not None else "no server answers"
        _logger.warning(
            "MLflow can't be reached (%s). What is logged is kept in %s and delivered when a server answers again.",
            why,
            self._directory,
        )

    def _note_answer(self) -> None:
        """A server has answered: the next outage is another one."""
        if self._warned and not self._own_runs():
            with self._lock:
                self._outage = self._warned = False

    def _progress(self) -> tuple[bool, int, int]:
        """Whether delivery works, and entries delivered and waiting. Runs share a spool, but for those that were begun
        with other credentials: the newest tells whether those of now are good."""
        for run in reversed(self._own_runs()):
            logger = run.logger
            if logger is None:  # let go meanwhile
                continue
            status = logger.status()
            if status["state"] == "closed":  # begun by the process that has forked us, without an id that we could use
                run.elsewhere = True
                continue
            return status["state"] == "online", status["delivered"], status["waiting"]
        return True, 0, 0

    def _own_runs(self) -> list[SpooledRun]:
        """Those that this process can deliver."""
        return [run for run in list(self._runs.values()) if not run.elsewhere]

    def down(self) -> bool:
        """Whether calls had better not try. Always false without a spooled run, whose delivery finds it out."""
        if not self._outage:
            return False
        self._look()
        return self._outage

    def _look(self) -> None:
        """Notices, every now and then, that the servers are back."""
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY:
            return
        self._looked = now
        if not self._own_runs():  # nobody who would notice
            with self._lock:
                self._outage = self._outage and now - self._noted < self._patience
            return
        online, delivered, waiting = self._progress()
        if not online or (delivered <= self._delivered if waiting else not self._release(0.0)):
            return
        with self._lock:
            over = self._outage and self._noted <= now  # else a call has failed since we looked
            if over:
                self._outage = self._warned = False
        if over:
            _logger.info("MLflow answers again; %d entries are still being delivered.", waiting)

    def _release(self, wait: float) -> int:
        """Lets go of the runs that have been delivered: their calls go to the servers again. Returns how many."""
        deadline = time.monotonic() + wait
        released = 0
        for run_id, run in list(self._runs.items()):
            with run.lock:
                if run.released or run.elsewhere:
                    continue
                try:
                    report = run.logger.flush(max(0.0, deadline - time.monotonic()))
                except MlflowhaError:  # a full disk: nothing is lost, and whoever logs or ends will be told
                    continue
                if not report["drained"] or not report["run_id"]:
                    continue
                self._note_refused(run.logger.status())
                run.released = True
                if run_id != report["run_id"]:
                    self._server_ids[run_id] = report["run_id"]
                    self.memory.keep_view(report["run_id"], run.view)
                with self._lock:
                    self._runs.pop(run_id, None)
                run.logger = None  # ends its threads, not the run
                released += 1
        return released

    def _note_refused(self, status: dict[str, Any]) -> None:
        refused = status["refused"]  # of all runs since the spool was opened
        if refused > self._refused:
            _logger.warning(
                "The servers have refused %d of the spooled entries (%s). They are kept in %s.",
                refused - self._refused,
                status["last_error"],
                self._directory,
            )
        self._refused = refused

    def _settle(self, wait: float) -> None:
        if not self._outage:
            self._release(wait)

    # --- the end of the process

    def _watch_exit(self) -> None:
        if not self._at_exit:
            self._at_exit = True
            atexit.register(self._finish)

    def _finish(self) -> None:
        """At exit: MLflow's own end of the active run first, then as much delivery as there is time for."""
        from mlflow.tracking import fluent

        if os.getpid() != self._pid:
            return
        if self._runs and hasattr(fluent, "_safe_end_run"):
            fluent._safe_end_run()
            atexit.unregister(fluent._safe_end_run)
        self._exiting = True
        self._release(self._exit_wait)
        left = sum(1 for _ in self._runs)
        for run in list(self._runs.values()):
            with contextlib.suppress(MlflowhaError):
                run.logger.commit()
        if left:
            _logger.warning(
                "%d run%s not yet on an MLflow server: what was logged is kept. Deliver it with: "
                "python -m mlflowha replay %s",
                left,
                " is" if left == 1 else "s are",
                shlex.quote(self._directory),
            )

    def renew_after_fork(self) -> None:
        self._lock = threading.RLock()
        self.memory.renew_after_fork()
        for run in self._runs.values():
            run.lock = threading.RLock()


_keepers: dict[int, Keeper] = {}
_keepers_lock = threading.RLock()


def keeper_of(link: Link) -> Keeper:
    """The one keeper of a link."""
    with _keepers_lock:
        keeper = _keepers.get(id(link))
        if keeper is None:
            keeper = _keepers[id(link)] = Keeper(link)
        return keeper


def _renew_after_fork() -> None:
    global _keepers_lock
    _keepers_lock = threading.RLock()
    for keeper in _keepers.values():
        keeper.renew_after_fork()


os.register_at_fork(after_in_child=_renew_after_fork)


def seconds_of(name: str, default: float) -> float:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86400:
        raise MlflowException.invalid_parameter_value(f"{name}: value is {text!r}, expected 0 to 86400 seconds")
    return value


def id_for(name: str) -> str:
    """What an experiment is called until a server has told its id: its name, spelt for any process to read."""
    return "mlflowha-name-" + base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def name_of(experiment_id: str) -> str | None:
    """The name that id_for() has put into an id; nothing for a server's."""
    if not _NAMED_ID.fullmatch(experiment_id):
        return None
    coded = experiment_id.removeprefix("mlflowha-name-")
    try:
        return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
    except ValueError:
        return None
