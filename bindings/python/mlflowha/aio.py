"""mlflowha.aio.Client: the same calls for asyncio.

Each call runs on one of at most ``threads`` threads (8), since the library drives a connection with the thread that
calls; more calls wait for a free one. Cancelling the task ends its call within milliseconds.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import _files, _registry
from ._aio_calls import AsyncCalls
from .client import Client as SyncClient
from .errors import MlflowhaError, NotFoundError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import IO

    from ._base import Seconds, Time
    from .entities import Experiment, McpServerVersion, Metric, ModelVersion, Run

__all__ = ["Client"]


class Client(AsyncCalls):
    """As mlflowha.Client, with the same arguments; ``sync`` gives or takes the blocking one behind it."""

    def __init__(
        self,
        endpoints: str | Sequence[str] | None = None,
        *,
        threads: int = 8,
        sync: SyncClient | None = None,
        **named: Any,
    ) -> None:
        self._sync = SyncClient(endpoints, **named) if sync is None else sync
        super().__init__(threads)

    @property
    def sync(self) -> SyncClient:
        """The blocking client behind this one: health, breakers, settings."""
        return self._sync

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.close()
        elif issubclass(kind, (asyncio.CancelledError, KeyboardInterrupt)):  # nobody wants to wait
            self._end_threads()
        else:
            with suppress(MlflowhaError):  # what the block raised is what is to be told
                await self.close()

    async def close(self) -> None:
        """As Client.close(), and ends the threads. A second time it does nothing."""
        if self._closed:
            return
        try:
            await self._run(self._sync._close)
        finally:
            self._end_threads()

    async def call(
        self, operation: str, request: Mapping[str, object] | None = None, *, timeout: Seconds | None = None
    ) -> dict[str, Any]:
        """An operation by its name, with MLflow's JSON."""
        body = json.dumps(dict(request or {}))
        answer = await self._run(lambda cancel: self._sync._core.call(operation, body, timeout, cancel))
        result: dict[str, Any] = json.loads(answer) if answer else {}
        return result

    async def get_experiment_by_name(self, name: str, *, timeout: Seconds | None = None) -> Experiment | None:
        """The experiment of that name; None when there is none."""
        try:
            found: Experiment = await self._call("get_experiment_by_name", (name,), timeout)
        except NotFoundError:
            return None
        return found

    async def rename_experiment(self, experiment_id: str, new_name: str, *, timeout: Seconds | None = None) -> None:
        """Gives an experiment another name."""
        await self.update_experiment(experiment_id, new_name, timeout=timeout)

    async def set_terminated(
        self,
        run_id: str,
        status: str | int | None = None,
        end_time: Time | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> None:
        """Ends a run: status (FINISHED) and end time (now)."""
        from ._wire import now

        ended = now() if end_time is None else end_time
        await self.update_run(run_id, status or "FINISHED", end_time=ended, timeout=timeout)

    async def get_parent_run(self, run_id: str, *, timeout: Seconds | None = None) -> Run | None:
        """The run under which this one was started; None when there is none."""
        parent = (await self.get_run(run_id, timeout=timeout)).data.tags.get("mlflow.parentRunId")
        return await self.get_run(parent, timeout=timeout) if parent else None

    async def get_metric_history(self, run_id: str, key: str, *, timeout: Seconds | None = None) -> list[Metric]:
        """All points of a metric."""
        return [point async for point in self.get_metric_history_all(run_id, key, timeout=timeout)]

    async def log_batch(
        self,
        run_id: str,
        metrics: Iterable[Metric | tuple[Any, ...]] | Mapping[str, float] = (),
        params: Mapping[str, object] | Iterable[Any] = (),
        tags: Mapping[str, object] | Iterable[Any] = (),
        *,
        timeout: Seconds | None = None,
    ) -> None:
        """As Client.log_batch()."""
        await self._run(lambda cancel: self._sync._log_batch(run_id, metrics, params, tags, timeout, cancel))

    async def log_model_params(
        self, model_id: str, params: Mapping[str, object], *, timeout: Seconds | None = None
    ) -> None:
        """Params of a logged model."""
        await self.log_logged_model_params(model_id, params, timeout=timeout)

    async def copy_model_version(
        self, src_model_uri: str, dst_name: str, *, timeout: Seconds | None = None
    ) -> ModelVersion:
        """As Client.copy_model_version()."""
        return await self._run(
            lambda cancel: _registry.copy_model_version(self._sync, src_model_uri, dst_name, timeout, cancel)
        )

    async def get_latest_mcp_server_version(self, name: str, *, timeout: Seconds | None = None) -> McpServerVersion:
        """The version that a server's alias `latest` points to."""
        return await self.get_mcp_server_version_by_alias(name, "latest", timeout=timeout)

    async def log_artifact(
        self,
        run_id: str,
        local_path: str | os.PathLike[str],
        artifact_path: str | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> None:
        """As Client.log_artifact()."""
        await self._run(
            lambda cancel: _files.log_artifact(self._sync, run_id, local_path, artifact_path, timeout, cancel)
        )

    async def log_artifacts(
        self,
        run_id: str,
        local_dir: str | os.PathLike[str],
        artifact_path: str | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> None:
        """As Client.log_artifacts()."""
        await self._run(
            lambda cancel: _files.log_artifacts(self._sync, run_id, local_dir, artifact_path, timeout, cancel)
        )

    async def log_text(self, run_id: str, text: str, artifact_file: str, *, timeout: Seconds | None = None) -> None:
        """As Client.log_text()."""
        await self._run(lambda cancel: _files.log_text(self._sync, run_id, text, artifact_file, timeout, cancel))

    async def log_dict(
        self, run_id: str, dictionary: Mapping[str, Any], artifact_file: str, *, timeout: Seconds | None = None
    ) -> None:
        """As Client.log_dict()."""
        await self._run(lambda cancel: _files.log_dict(self._sync, run_id, dictionary, artifact_file, timeout, cancel))

    async def log_stream(
        self, run_id: str, stream: IO[bytes], artifact_file: str, *, timeout: Seconds | None = None
    ) -> None:
        """As Client.log_stream()."""
        await self._run(lambda cancel: _files.log_stream(self._sync, run_id, stream, artifact_file, timeout, cancel))

    async def download_artifacts(
        self,
        run_id: str,
        path: str,
        dst_path: str | os.PathLike[str] | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> str:
        """As Client.download_artifacts()."""
        return await self._run(
            lambda cancel: _files.download_artifacts(self._sync, run_id, path, dst_path, timeout, cancel)
        )

    async def log_model_artifact(
        self,
        model_id: str,
        local_path: str | os.PathLike[str],
        artifact_path: str | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> None:
        """As Client.log_model_artifact()."""
        await self._run(
            lambda cancel: _files.log_model_artifact(self._sync, model_id, local_path, artifact_path, timeout, cancel)
        )

    async def log_model_artifacts(
        self,
        model_id: str,
        local_dir: str | os.PathLike[str],
        artifact_path: str | None = None,
        *,
        timeout: Seconds | None = None,
    ) -> None:
        """As Client.log_model_artifacts()."""
        await self._run(
            lambda cancel: _files.log_model_artifacts(self._sync, model_id, local_dir, artifact_path, timeout, cancel)
        )

    async def put_artifact(
        self, root_uri: str, path: str, local_file: str | os.PathLike[str], *, timeout: Seconds | None = None
    ) -> None:
        """As Client.put_artifact()."""
        await self._run(lambda cancel: _files.put_artifact(self._sync, root_uri, path, local_file, timeout, cancel))

    async def fetch_artifact(
        self, root_uri: str, path: str, local_file: str | os.PathLike[str], *, timeout: Seconds | None = None
    ) -> None:
        """As Client.fetch_artifact()."""
        await self._run(lambda cancel: _files.fetch_artifact(self._sync, root_uri, path, local_file, timeout, cancel))

    async def upload_artifact(self, artifact_path: str, content: bytes, *, timeout: Seconds | None = None) -> None:
        """As Client.upload_artifact()."""
        await self._run(lambda cancel: self._sync._upload_artifact(artifact_path, content, timeout, cancel))
