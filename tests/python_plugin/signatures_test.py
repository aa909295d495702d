"""mlflowha.Client beside MlflowClient: the same names of arguments, by position in the same order."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from conftest import MLFLOW_3
from mlflow import MlflowClient

from mlflowha import Client

pytestmark = pytest.mark.skipif(not MLFLOW_3, reason="the names are those of MLflow 3")

#: Arguments of MlflowClient that Client doesn't have, and why.
LEFT_OUT = {
    "synchronous": "RunLogger is for logging that doesn't wait",
    "await_creation_for": "a version is ready at once",
    "flush": "there is nothing in a queue",
    "display": "nothing is shown",
    "stage": "deprecated; get_latest_versions knows the version",
    "mode": "in no description of the server's API",
    "experiment_id": "deprecated beside experiment_ids",
}
#: Methods with arguments of their own.
DIFFERENT = {
    "create_mcp_server_version": "the name is an argument, where MLflow takes it out of server_json",
    "search_datasets": "lists the datasets that runs used; evaluation datasets are search_evaluation_datasets",
    "search_mcp_access_endpoints": "those of one server are search_mcp_server_access_endpoints",
    "search_traces": "places are `locations`, and the answer is the server's, without spans",
    "start_trace": "records a whole trace",
}


def arguments(method: Callable[..., Any]) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(method).parameters.values() if p.name != "self"]


def both() -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    theirs = inspect.getmembers(MlflowClient, inspect.isfunction)
    return {
        name: (getattr(Client, name), method)
        for name, method in theirs
        if not name.startswith("_") and hasattr(Client, name) and name not in DIFFERENT
    }


def test_there_is_enough_to_compare() -> None:
    assert len(both()) > 90
    for name in DIFFERENT:
        assert hasattr(Client, name) and hasattr(MlflowClient, name), name


@pytest.mark.parametrize("name", sorted(both()))
def test_arguments(name: str) -> None:
    ours, theirs = map(arguments, both()[name])
    names = [parameter.name for parameter in theirs]
    mine = {parameter.name: parameter for parameter in ours}
    assert [n for n in names if n not in mine and n not in LEFT_OUT] == []
    assert [n for n, parameter in mine.items() if parameter.default is parameter.empty and n not in names] == []
    by_position = [n for n, parameter in mine.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    assert by_position == names[: len(by_position)]
