"""Artifacts that MLflow's servers keep: MLflow's own repositories, with addresses that lead through a link.

A run's artifact URI may name a host for ever ("mlflow-artifacts://a:5000/0/..."). Where that host is one of the list it
stands for the whole list; another host is asked itself.
"""

from __future__ import annotations

import inspect
import posixpath
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import requests
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.tracking._tracking_service.utils import get_tracking_uri

from mlflowha.plugin.link import Link, link_to
from mlflowha.plugin.outage import Keeper, keeper_of
from mlflowha.plugin.transfer import is_busy
from mlflowha.plugin.transport import install

_DOWNLOADS = 4  # attempts of one file whose body breaks off
_PAUSE = 0.05  # seconds before the second, doubled each time


class _Downloads:
    """An answer that breaks off in its body comes too late for the transfer's failover: the file is fetched anew."""

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        for turn in range(_DOWNLOADS):
            try:
                super()._download_file(remote_file_path, local_path)  # type: ignore[misc]
                return
            except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError):
                if turn == _DOWNLOADS - 1:
                    raise
                time.sleep(_PAUSE * 2**turn)


class LinkedArtifacts(_Downloads, MlflowArtifactsRepository):
    """For mlflow-artifacts: URIs."""

    def __init__(self, artifact_uri: str, link: Link, given: dict[str, Any]) -> None:
        self.link = link
        super().__init__(artifact_uri, **_taken_by(MlflowArtifactsRepository, {**given, "tracking_uri": link.uri}))

    def resolve_uri(self, artifact_uri: str, tracking_uri: str) -> str:
        """MLflow's, for a list of hosts. MLflow's constructor calls it."""
        parsed = urlparse(artifact_uri)
        scheme, base = urlparse(self.link.preferred).scheme, _base(self.link)
        if _is_foreign(artifact_uri, self.link):
            return MlflowArtifactsRepository.resolve_uri(artifact_uri, f"{scheme}://{parsed.netloc}")
        path = MlflowArtifactsRepository.resolve_uri(f"mlflow-artifacts:{parsed.path or '/'}", "http://h")
        return base + path.removeprefix("http://h")


class LinkedHttpArtifacts(_Downloads, HttpArtifactRepository):
    """For http: and https: URIs on one of the listed hosts."""


class RunArtifacts(ArtifactRepository):
    """The artifacts of a run of this process, or a directory of them: uploads survive an outage (see `outage`), all
    else is done by the repository `real`. For a run that was started offline that one is made when it is needed."""

    def __init__(
        self, artifact_uri: str, keeper: Keeper, run: tuple[str, str], make: Callable[[], Any], given: dict[str, Any]
    ) -> None:
        super().__init__(artifact_uri, **_taken_by(ArtifactRepository, given))
        self._keeper = keeper
        self._run_id, self._below = run
        self._make = make
        self._made: Any = None

    def real(self) -> Any:
        if self._made is None:
            self._made = self._make()
        return self._made

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        self._log("log_artifact", local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        self._log("log_artifacts", local_dir, artifact_path)

    def _log(self, name: str, local: str, artifact_path: str | None) -> None:
        if self._made is not None and not isinstance(self._made, LinkedArtifacts):  # nothing that the spool delivers
            getattr(self._made, name)(local, artifact_path)
            return

        def live(_: str, local: str, place: str | None) -> None:
            try:
                getattr(self.real(), name)(local, artifact_path)
            except requests.exceptions.HTTPError as error:
                if not is_busy(error.response):
                    raise
                raise MlflowException(str(error), databricks_pb2.TEMPORARILY_UNAVAILABLE) from error

        place = posixpath.join(self._below, artifact_path or "").rstrip("/") or None
        self._keeper.log(name, live, self._run_id, (local, place), {})

    def list_artifacts(self, *given: Any, **named: Any) -> Any:
        return self._settled().list_artifacts(*given, **named)

    def download_artifacts(self, *given: Any, **named: Any) -> Any:
        return self._settled().download_artifacts(*given, **named)

    def delete_artifacts(self, *given: Any, **named: Any) -> Any:
        return self._settled().delete_artifacts(*given, **named)

    def _download_file(self, *given: Any, **named: Any) -> Any:
        return self._settled()._download_file(*given, **named)

    def _settled(self) -> Any:
        self._keeper.settle_files(self._run_id)
        return self.real()


def proxied_repository(artifact_uri: str, **given: Any) -> Any:
    link = _link(given)
    keeper = keeper_of(link)

    def make() -> Any:
        real = keeper.artifact_uri(artifact_uri)
        if not real.startswith("mlflow-artifacts:"):  # found out only now where its artifacts are
            return get_artifact_repository(real, **given)
        return LinkedArtifacts(real, link, given)

    run = keeper.memory.run_of(artifact_uri) if keeper.spools and not _is_foreign(artifact_uri, link) else None
    return RunArtifacts(artifact_uri, keeper, run, make, given) if run else make()


def http_repository(artifact_uri: str, **given: Any) -> Any:
    link = _link(given)
    taken = _taken_by(HttpArtifactRepository, given)
    if not link.has(artifact_uri):
        return HttpArtifactRepository(artifact_uri, **taken)
    for endpoint in link.endpoints:
        if artifact_uri.startswith(endpoint):
            artifact_uri = _base(link) + artifact_uri[len(endpoint) :]
            break
    return LinkedHttpArtifacts(artifact_uri, **taken)


def _is_foreign(artifact_uri: str, link: Link) -> bool:
    """Whether an mlflow-artifacts: URI names a host that isn't one of the list."""
    host = urlparse(artifact_uri).netloc
    return bool(host) and not link.has(f"{urlparse(link.preferred).scheme}://{host}")


def _link(given: dict[str, Any]) -> Link:
    return link_to(given.get("tracking_uri") or get_tracking_uri())


def _base(link: Link) -> str:
    """What the transport knows our requests by; without the transport, a server's real address."""
    return link.uri if install() else link.preferred


def _taken_by(theirs: type, given: dict[str, Any]) -> dict[str, Any]:
    """MLflow 2's repositories take the artifact URI alone."""
    names = inspect.signature(theirs).parameters
    return {name: value for name, value in given.items() if name in names}
