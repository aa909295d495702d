"""mlflowha: an MLflow client that survives server failures.

>>> import mlflowha
>>> client = mlflowha.Client("http://a:5000,http://b:5000,http://c:5000")
>>> run = client.create_run("0", run_name="first")
>>> client.log_metric(run.info.run_id, "loss", 0.5, step=1)
>>> client.set_terminated(run.info.run_id)
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from . import errors

if sys.version_info < (3, 12):
    # There loading _core in a subinterpreter waits for the GIL for ever; later Pythons say by themselves what can't be.
    try:
        _sub = import_module("_xxsubinterpreters")
    except ImportError:  # a Python without them
        pass
    else:
        if _sub.get_current() != _sub.get_main():
            raise ImportError("mlflowha can't be used in a subinterpreter of a Python before 3.12")

from ._core import Cancel, __version__
from .client import Client, Page
from .errors import MlflowhaError

if TYPE_CHECKING:
    from . import aio, entities
    from .run_logger import CloseReport, FlushReport, LoggerStatus, RunLogger, Spool, VerifyReport, replay

__all__ = [
    "Cancel",
    "Client",
    "CloseReport",
    "FlushReport",
    "LoggerStatus",
    "MlflowhaError",
    "Page",
    "RunLogger",
    "Spool",
    "VerifyReport",
    "__version__",
    "aio",
    "entities",
    "errors",
    "replay",
]

#: What is loaded when it is first used, so that importing mlflowha costs little.
_LATER = {
    "CloseReport": "run_logger",
    "FlushReport": "run_logger",
    "LoggerStatus": "run_logger",
    "RunLogger": "run_logger",
    "Spool": "run_logger",
    "VerifyReport": "run_logger",
    "replay": "run_logger",
}


def __getattr__(name: str) -> object:
    if name in ("aio", "entities"):
        return import_module("." + name, __name__)
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module("." + module, __name__), name)
    globals()[name] = value
    return value
