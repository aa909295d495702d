"""A web service under gunicorn --preload: all that logs is made before the workers are forked, who then log."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import mlflow
from mlflow import MlflowClient

import mlflowha

mlflow.set_experiment("gunicorn")
_run = mlflow.start_run().info.run_id
mlflow.log_metric("plugin", -1.0, step=-1)
_client = mlflowha.Client(os.environ["DIRECT"])
_client.log_metric(_run, "client", -1.0, step=-1)
# "each": a worker may be killed in the moment after its answer.
_logger = mlflowha.RunLogger(
    _client, run_id=_run, directory=os.environ["MLFLOWHA_SPOOL_DIR"] + "-logger", durability="each"
)
_logger.log_metric("logger", -1.0, step=-1)
assert _logger.flush(20).drained


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """/STEP logs in all three ways, /up/STEP only where it needs a server."""
    *up, step = environ["PATH_INFO"].strip("/").split("/")
    number = int(step)
    MlflowClient().log_metric(_run, "plugin", number, step=number)
    MlflowClient().log_text(_run, step, f"{step}.txt")
    _logger.log_metric("logger", number, step=number)
    if up:
        _client.log_metric(_run, "client", number, step=number)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {_run}".encode()]
