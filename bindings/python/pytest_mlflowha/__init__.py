"""Fixtures for pytest, found through the entry point: a fake MLflow server, and three on one database.

A package of its own, so that a pytest which doesn't use them doesn't load mlflowha. Both leave the environment alone:
give `.url` to mlflowha.Client or to mlflow.set_tracking_uri().
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mlflowha.testing import Cluster, FakeServer


@pytest.fixture
def mlflowha_server() -> Iterator[FakeServer]:
    """A fake MLflow 3 server."""
    # Here, not above: pytest loads every plugin at its start, also for those who don't use it.
    from mlflowha.testing import FakeServer

    with FakeServer() as server:
        yield server


@pytest.fixture
def mlflowha_cluster() -> Iterator[Cluster]:
    """Three fake MLflow 3 servers on one database."""
    from mlflowha.testing import Cluster

    with Cluster() as cluster:
        yield cluster
