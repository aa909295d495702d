"""What MLflow loads from this package's entry points when it is imported: builders, and nothing behind them.

A package of its own, without a single import, because MLflow loads every plugin that is installed: until a store of
ours is asked for, neither mlflowha nor its C++ library is imported, and for an ordinary http URI MLflow's own builder
makes MLflow's own store.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_TRUE = ("true", "1")


def ours(uri: str | None) -> bool:
    """Whether the servers behind a tracking, registry or artifact URI are reached through mlflowha."""
    scheme = (uri or "").partition("://")[0].lower()
    if scheme in ("mlflowha+http", "mlflowha+https"):
        return True
    if scheme not in ("http", "https"):
        return False
    return bool(os.environ.get("MLFLOWHA_ENDPOINTS")) or os.environ.get("MLFLOW_ENABLE_RETRY", "").lower() in _TRUE


def _alike(builder: Callable[..., Any], mlflows: str) -> Callable[..., Any]:
    """Looks like MLflow's own builder to MLflow, which tells by the module who made a scheme."""
    builder.__module__ = mlflows
    return builder


def _tracking_store(store_uri: str, artifact_uri: str | None = None, **more: Any) -> Any:
    if not ours(store_uri):
        from mlflow.tracking._tracking_service.utils import _get_rest_store

        return _get_rest_store(store_uri, artifact_uri=artifact_uri, **more)
    from mlflowha.plugin.stores import tracking_store

    return tracking_store(store_uri)


def _registry_store(store_uri: str, tracking_uri: str | None = None, **more: Any) -> Any:
    if not ours(store_uri):
        from mlflow.tracking._model_registry.utils import _get_rest_store

        return _get_rest_store(store_uri, tracking_uri=tracking_uri, **more)
    from mlflowha.plugin.stores import registry_store

    return registry_store(store_uri)


def _workspace_store(workspace_uri: str) -> Any:
    if not ours(workspace_uri):
        from mlflow.tracking._workspace.registry import _get_rest_workspace_store

        return _get_rest_workspace_store(workspace_uri)
    from mlflowha.plugin.stores import workspace_store

    return workspace_store(workspace_uri)


def _scorer_store(tracking_uri: str | None = None) -> Any:
    from mlflow.genai.scorers.registry import MlflowTrackingStore

    return MlflowTrackingStore(tracking_uri)


def _tracking_uri_of(given: dict[str, Any]) -> str:
    from mlflow.tracking._tracking_service.utils import get_tracking_uri

    return str(given.get("tracking_uri") or get_tracking_uri())


def MlflowArtifactsRepository(artifact_uri: str, **given: Any) -> Any:
    """For mlflow-artifacts: URIs. MLflow names things after it, hence the spelling."""
    if not ours(_tracking_uri_of(given)):
        from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository as Theirs

        return Theirs(artifact_uri, **given)
    from mlflowha.plugin.artifacts import proxied_repository

    return proxied_repository(artifact_uri, **given)


def HttpArtifactRepository(artifact_uri: str, **given: Any) -> Any:
    """For http: and https: URIs of artifacts."""
    tracking_uri = _tracking_uri_of(given)
    if ours(tracking_uri):
        from mlflowha.plugin.artifacts import http_repository

        return http_repository(artifact_uri, **given)
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository as Theirs

    return Theirs(artifact_uri, **given)


tracking_store = _tracking_store
registry_store = _registry_store
workspace_store = _workspace_store
scorer_store = _scorer_store
http_tracking_store = _alike(lambda **given: _tracking_store(**given), "mlflow.tracking._tracking_service.utils")
http_registry_store = _alike(lambda **given: _registry_store(**given), "mlflow.tracking._model_registry.utils")
http_workspace_store = _alike(lambda **given: _workspace_store(**given), "mlflow.tracking._workspace.registry")
