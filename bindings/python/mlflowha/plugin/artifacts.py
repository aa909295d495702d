"""Artifacts that MLflow's servers keep: MLflow's own repositories, with addresses that lead through a link.

A run's artifact URI may name a host for ever ("mlflow-artifacts://a:5000/0/..."). Where that host is one of the list it
stands for the whole list; another host is asked itself.
"""

from __future__ import annotations

import inspect
import time
from typing import Any
from urllib.parse import urlparse

import requests
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.tracking._tracking_service.utils import get_tracking_uri

from mlflowha.plugin.link import Link, link_to
from mlflowha.plugin.outage import keeper_of
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
        foreign = bool(parsed.netloc) and not self.link.has(f"{scheme}://{parsed.netloc}")
        if foreign:
            return MlflowArtifactsRepository.resolve_uri(artifact_uri, f"{scheme}://{parsed.netloc}")
        path = MlflowArtifactsRepository.resolve_uri(f"mlflow-artifacts:{parsed.path or '/'}", "http://h")
        return base + path.removeprefix("http://h")


class LinkedHttpArtifacts(_Downloads, HttpArtifactRepository):
    """For http: and https: URIs on one of the listed hosts."""


def proxied_repository(artifact_uri: str, **given: Any) -> Any:
    link = _link(given)
    real = keeper_of(link).artifact_uri(artifact_uri)
    if not real.startswith("mlflow-artifacts:"):  # found out only now where its artifacts are
        return get_artifact_repository(real, **given)
    return LinkedArtifacts(real, link, given)


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


def _link(given: dict[str, Any]) -> Link:
    return link_to(given.get("tracking_uri") or get_tracking_uri())


def _base(link: Link) -> str:
    """What the transport knows our requests by; without the transport, a server's real address."""
    return link.uri if install() else link.preferred


def _taken_by(theirs: type, given: dict[str, Any]) -> dict[str, Any]:
    """MLflow 2's repositories take the artifact URI alone."""
    names = inspect.signature(theirs).parameters
    return {name: value for name, value in given.items() if name in names}
