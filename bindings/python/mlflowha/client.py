"""mlflowha.Client: MLflow's REST API over a list of servers, under the names of MLflow's own Python client."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import _core, _files, _registry
from ._base import Page
from ._calls import Calls
from .errors import MlflowhaError, NotFoundError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import IO

    from ._base import Seconds, Time
    from .entities import Experiment, McpServerVersion, Metric, ModelVersion, Run

__all__ = ["Client", "Page"]


class Client(Calls):
    """A handle on a list of MLflow servers. May be used by many threads at a time; no request is sent before the first
    call, and a forked child may go on using it.

    ``Client("http://a:5000,http://b:5000")``, or ``Client()`` with the servers of ``MLFLOWHA_ENDPOINTS`` or
    ``MLFLOW_TRACKING_URI``. Settings have the names of docs/options.md, as keywords with ``_`` for ``.``
    (``timeouts_call=10``) or in ``settings`` as they are (``{"timeouts.call": 10}``); times are seconds or timedeltas.
    What isn't set comes from the environment.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] | None = None,
        *,
        settings: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        **named: object,
    ) -> None:
        merged = dict(settings or {})
        for name, value in named.items():
            merged[_setting(name)] = value
        if endpoints is not None:
            merged["endpoints"] = endpoints if isinstance(endpoints, str) else list(endpoints)
        self._made_of = (merged, None if environment is None else dict(environment))
        self._core = _core.Client(*self._made_of)

    # A copy, and what a pickle becomes, is another client with the same settings, as MlflowClient's are; what isn't set
    # comes from the environment where it is made.

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_core"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._core = _core.Client(*self._made_of)

    @property
    def endpoints(self) -> list[str]:
        """The servers, the preferred one first."""
        return self._core.endpoints

    @property
    def tracking_uri(self) -> str:
        """The servers as one text, which another Client can be made from."""
        return ",".join(self.endpoints)

    @property
    def warnings(self) -> list[str]:
        """Settings that were understood but probably not meant."""
        return self._core.warnings

    def settings(self) -> list[tuple[str, str, str]]:
        """(name, who set it, value) of every setting; no secrets."""
        return self._core.settings()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif not issubclass(kind, KeyboardInterrupt):  # who pressed Ctrl-C doesn't want to wait
            with suppress(MlflowhaError):  # what the block raised is what is to be told
                self.close()

    def close(self) -> None:
        """Looks for what a create with a lost answer may have left twice; connections go with the object."""
        self._close(None)

    def _close(self, cancel: _core.Cancel | None) -> None:
        if json.loads(self._core.health()).get("twins_watched", 0):
            self._core.reconcile(5.0, cancel)

    def __repr__(self) -> str:
        return f"Client({', '.join(self.endpoints)})"

    # --- past the typed calls

    def call(
        self, operation: str, request: Mapping[str, object] | None = None, *, timeout: Seconds | None = None
    ) -> dict[str, Any]:
        """An operation by its name in docs/reference/, with its request and answer as MLflow's JSON has them. For what
        a newer server knows and the typed call doesn't."""
        answer = self._core.call(operation, json.dumps(dict(request or {})), timeout)
        result: dict[str, Any] = json.loads(answer) if answer else {}
        return result

    # --- experiments and runs

    def get_experiment_by_name(self, name: str, *, timeout: Seconds | None = None) -> Experiment | None:
        """The experiment of that name; None when there is none."""
        try:
            found: Experiment = self._call("get_experiment_by_name", (name,), timeout)
        except NotFoundError:
            return None
        return found

    def rename_experiment(self, experiment_id: str, new_name: str, *, timeout: Seconds | None = None) -> None:
        """Gives an experiment another name."""
        self.update_experiment(experiment_id, new_name, timeout=timeout)

    def set_terminated(
        self,
        run_id: str,
        status: str | int | None = None,
        end_time: Time | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> None:
        """Ends a run: status (FINISHED) and end time (now)."""
        from ._wire import now

        self.update_run(run_id, status or "FINISHED", end_time=now() if end_time is None else end_time, timeout=timeout)

    def get_parent_run(self, run_id: str, *, timeout: Seconds | None = None) -> Run | None:
        """The run under which this one was started; None when there is none."""
        parent = self.get_run(run_id, timeout=timeout).data.tags.get("mlflow.parentRunId")
        return self.get_run(parent, timeout=timeout) if parent else None

    def get_metric_history(self, run_id: str, key: str, *, timeout: Seconds | None = None) -> list[Metric]:
        """All points of a metric; `timeout` is for each request of 25,000."""
        return list(self.get_metric_history_all(run_id, key, timeout=timeout))

    def log_batch(
        self,
        run_id: str,
        metrics: Iterable[Metric | tuple[Any, ...]] | Mapping[str, float] = (),
        params: Mapping[str, object] | Iterable[Any] = (),
        tags: Mapping[str, object] | Iterable[Any] = (),
        *,
        timeout: Seconds | None = None,
    ) -> None:
        """Any number of metrics, params and tags, split over the server's limits. Metrics: a dict, Metrics (also
        MLflow's own) or tuples (key, value[, timestamp[, step]]); params and tags: a dict, or objects with key and
        value. Sending the same batch again is safe."""
        self._log_batch(run_id, metrics, params, tags, timeout, None)

    def _log_batch(
        self, run_id: str, metrics: Any, params: Any, tags: Any, timeout: Any, cancel: _core.Cancel | None
    ) -> None:
        from ._rows import metric_rows, pair_rows
        from ._wire import text

        self._core.log_batch(
            text("run_id", run_id),
            metric_rows(metrics),
            pair_rows("params", params),
            pair_rows("tags", tags),
            timeout,
            cancel,
        )

    def log_model_params(self, model_id: str, params: Mapping[str, object], *, timeout: Seconds | None = None) -> None:
        """Params of a logged model."""
        self.log_logged_model_params(model_id, params, timeout=timeout)

    # --- the registry

    def copy_model_version(self, src_model_uri: str, dst_name: str, *, timeout: Seconds | None = None) -> ModelVersion:
        """The version at models:/NAME/VERSION (also /STAGE, /latest, models:/NAME@ALIAS) as the next one of `dst_name`,
        a registered model that is made if it isn't there."""
        return _registry.copy_model_version(self, src_model_uri, dst_name, timeout, None)

    def get_model_version_stages(self, name: str, version: str | int) -> list[str]:
        """The stages that MLflow knows, the same for every version; no request is sent."""
        return ["None", "Staging", "Production", "Archived"]

    def get_latest_mcp_server_version(self, name: str, *, timeout: Seconds | None = None) -> McpServerVersion:
        """The version that a server's alias `latest` points to."""
        return self.get_mcp_server_version_by_alias(name, "latest", timeout=timeout)

    # --- files of runs and logged models: streamed, with time in proportion to their size unless `timeout` is given

    def log_artifact(
        self,
        run_id: str,
        local_path: str | os.PathLike[str],
        artifact_path: str | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> None:
        """A file, into the directory `artifact_path` of the run's artifacts. A directory goes below its own name."""
        _files.log_artifact(self, run_id, local_path, artifact_path, timeout, None)

    def log_artifacts(
        self,
        run_id: str,
        local_dir: str | os.PathLike[str],
        artifact_path: str | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> None:
        """All files below a directory, with their paths below it. Safe to repeat."""
        _files.log_artifacts(self, run_id, local_dir, artifact_path, timeout, None)

    def log_text(self, run_id: str, text: str, artifact_file: str, *, timeout: Seconds | None = None) -> None:
        """A text, as a file in UTF-8."""
        _files.log_text(self, run_id, text, artifact_file, timeout, None)

    def log_dict(
        self, run_id: str, dictionary: Mapping[str, Any], artifact_file: str, *, timeout: Seconds | None = None
    ) -> None:
        """A dict, as YAML where the name ends in .yml or .yaml (needs PyYAML), as JSON elsewhere."""
        _files.log_dict(self, run_id, dictionary, artifact_file, timeout, None)

    def log_stream(self, run_id: str, stream: IO[bytes], artifact_file: str, *, timeout: Seconds | None = None) -> None:
        """What is left to read in a binary stream, through a temporary file."""
        _files.log_stream(self, run_id, stream, artifact_file, timeout, None)

    def download_artifacts(
        self,
        run_id: str,
        path: str,
        dst_path: str | os.PathLike[str] | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> str:
        """A file or a directory of the run's artifacts ("" for all of them), into the directory `dst_path` (a temporary
        one) below which it keeps its path; where it is now. A file appears when all of it is there."""
        return _files.download_artifacts(self, run_id, path, dst_path, timeout, None)

    def log_model_artifact(
        self,
        model_id: str,
        local_path: str | os.PathLike[str],
        artifact_path: str | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> None:
        """A file, into the directory `artifact_path` of a logged model's artifacts."""
        _files.log_model_artifact(self, model_id, local_path, artifact_path, timeout, None)

    def log_model_artifacts(
        self,
        model_id: str,
        local_dir: str | os.PathLike[str],
        artifact_path: str | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> None:
        """All files below a directory, with their paths below it."""
        _files.log_model_artifacts(self, model_id, local_dir, artifact_path, timeout, None)

    def put_artifact(
        self, root_uri: str, path: str, local_file: str | os.PathLike[str], *, timeout: Seconds | None = None
    ) -> None:
        """A file, to `path` below a root: the artifact_uri of a run or of a logged model."""
        _files.put_artifact(self, root_uri, path, local_file, timeout, None)

    def fetch_artifact(
        self, root_uri: str, path: str, local_file: str | os.PathLike[str], *, timeout: Seconds | None = None
    ) -> None:
        """The artifact at `path` below a root into the file `local_file`."""
        _files.fetch_artifact(self, root_uri, path, local_file, timeout, None)

    # --- files through the server's artifact proxy

    def upload_artifact(self, artifact_path: str, content: bytes, *, timeout: Seconds | None = None) -> None:
        """Puts a file below the root of the server's artifact store (a server with --serve-artifacts)."""
        self._upload_artifact(artifact_path, content, timeout, None)

    def _upload_artifact(self, artifact_path: str, content: bytes, timeout: Any, cancel: _core.Cancel | None) -> None:
        from ._wire import text

        if not isinstance(content, bytes):
            raise TypeError(f"content: value is of type {type(content).__name__}, expected bytes")
        self._core.upload_artifact(text("artifact_path", artifact_path), content, timeout, cancel)

    # --- health and control

    def health(self) -> dict[str, Any]:
        """What is known about the servers now; no request is sent. Keys: docs/python.md."""
        snapshot: dict[str, Any] = json.loads(self._core.health())
        return snapshot

    def reset_circuit_breaker(self, endpoint: str = "") -> None:
        """Closes breakers and forgets failures and refusals: of all servers or of one."""
        self._core.reset_circuit_breaker(endpoint)

    def force_open(self, endpoint: str = "") -> None:
        """Takes all servers or one out of use until reset_circuit_breaker()."""
        self._core.force_open(endpoint)

    def set_breaker_override(self, order: str, endpoint: str = "") -> None:
        """`order`: "none", "forced_open", "disabled" or "metrics_only"."""
        self._core.set_breaker_override(order, endpoint)

    def reconcile(self, *, timeout: Seconds | None = None) -> dict[str, Any]:
        """Looks for late twins of creates whose answer was lost, and removes them (docs/idempotency.md)."""
        return self._core.reconcile(timeout)


# "timeouts_call" -> "timeouts.call": the words that a setting's groups begin with, longest first.
_GROUPS = ("retry_backoff_", "retry_budget_", "timeouts_", "retry_", "breaker_", "pool_", "exactly_once_", "tls_",
           "auth_", "http_")  # fmt: skip


def _setting(name: str) -> str:
    for group in _GROUPS:
        if name.startswith(group):
            parts = group.rstrip("_")
            dotted = parts if parts == "exactly_once" else parts.replace("_", ".")
            return dotted + "." + name[len(group) :]
    return name
