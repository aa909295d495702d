# The extension module, checked against it by stubtest.
from collections.abc import Callable, Sequence
from datetime import timedelta
from os import PathLike
from typing import Any

__version__: str

class Cancel:
    def __init__(self) -> None: ...
    def cancel(self) -> None: ...
    @property
    def cancelled(self) -> bool: ...

class Client:
    def __init__(self, settings: dict[str, Any] = {}, environment: dict[str, str] | None = None) -> None: ...
    @staticmethod
    def from_env(uri: str | None = None) -> Client: ...
    def call(
        self,
        operation: str,
        body: str = "{}",
        timeout: float | timedelta | None = None,
        cancel: Cancel | None = None,
        request_tag: str = "",
    ) -> str: ...
    def call_bytes(
        self,
        operation: str,
        body: str = "{}",
        timeout: float | timedelta | None = None,
        cancel: Cancel | None = None,
    ) -> bytes: ...
    def call_custom(
        self,
        method: str,
        path: str,
        body: str = "{}",
        *,
        idempotency: str | None = None,
        already_done: Sequence[str] = [],
        since: str = "",
        answer: str = "json",
        timeout: float | timedelta | None = None,
        cancel: Cancel | None = None,
    ) -> Any: ...
    def upload_artifact(
        self,
        path: str,
        content: bytes,
        timeout: float | timedelta | None = None,
        cancel: Cancel | None = None,
    ) -> None: ...
    def log_artifact(
        self,
        run_id: str,
        local_path: str | bytes,
        artifact_path: str = "",
        timeout: float | timedelta | None = None,
        cancel: Cancel | None = None,
    ) -> None: ...
    def log_artifacts(
        self,
        run_id: str,
        local_dir: str | bytes,
        artifact_path: str = "",
        timeout: float | timedelta | None = None,
        cancel: Cancel | None = None,
    ) -> None: ...
    def put_artifact(
        self,
        root_uri: str,
        path: str,
        local_file: str | bytes,
        timeout: float | timedelta | None = None,
        cancel: Cancel | None = None,
    ) -> None: ...
    def fetch_artifact(
        self,
        root_uri: str,
        path: str,
        local_file: str | bytes,
        timeout: float | timedelta | None = None,
        cancel: Cancel | None = None,
    ) -> None: ...
    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[tuple[Any, ...]] = [],
        params: Sequence[tuple[str, str]] = [],
        tags: Sequence[tuple[str, str]] = [],
        timeout: float | timedelta | None = None,
        cancel: Cancel | None = None,
    ) -> None: ...
    def reconcile(self, timeout: float | timedelta | None = None, cancel: Cancel | None = None) -> dict[str, Any]: ...
    def replay(
        self,
        directory: str | bytes | PathLike[str],
        dry_run: bool = False,
        patience: float | timedelta = 120.0,
        timeout: float | timedelta | None = None,
        cancel: Cancel | None = None,
    ) -> str: ...
    def health(self) -> str: ...
    def reset_circuit_breaker(self, endpoint: str = "") -> None: ...
    def force_open(self, endpoint: str = "") -> None: ...
    def set_breaker_override(self, order: str, endpoint: str = "") -> None: ...
    def settings(self) -> list[tuple[str, str, str]]: ...
    @property
    def endpoints(self) -> list[str]: ...
    @property
    def warnings(self) -> list[str]: ...
    @property
    def ca_file(self) -> str: ...

class RunLogger:
    def __init__(
        self,
        client: Client,
        settings: dict[str, Any] = {},
        on_degraded: Callable[[Any], object] | None = None,
        on_recovered: Callable[[Any], object] | None = None,
    ) -> None: ...
    @property
    def log_metric(self) -> Any: ...
    def log_metrics(
        self, metrics: Sequence[tuple[str, float]], step: int = 0, timestamp: int | None = None
    ) -> None: ...
    def log_points(self, points: Sequence[tuple[str, float, int, int, str, str, str]]) -> None: ...
    def log_params(self, params: Sequence[tuple[str, str]]) -> None: ...
    def set_tags(self, tags: Sequence[tuple[str, str]]) -> None: ...
    def log_input(self, dataset: dict[str, str], tags: Sequence[tuple[str, str]] = []) -> None: ...
    def log_artifact(self, local_path: str | bytes, artifact_path: str = "") -> None: ...
    def log_artifacts(self, local_dir: str | bytes, artifact_path: str = "") -> None: ...
    def end(
        self, status: str = "FINISHED", end_time: int | None = None, timeout: float | timedelta | None = None
    ) -> None: ...
    def mute(self) -> None: ...
    def commit(self) -> None: ...
    def flush(self, timeout: float | timedelta) -> dict[str, Any]: ...
    def close(self, timeout: float | timedelta, status: str = "FINISHED") -> dict[str, Any]: ...
    def status(self) -> dict[str, Any]: ...
    @property
    def closed(self) -> bool: ...
    @property
    def local_id(self) -> str: ...

def build_info() -> dict[str, str]: ...
def surroundings(names: tuple[str, ...]) -> tuple[Any, ...]: ...
def curl_info() -> str: ...
def list_spools(directory: str | bytes | PathLike[str]) -> list[tuple[str, bool]]: ...
