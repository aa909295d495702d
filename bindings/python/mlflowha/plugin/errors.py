"""What MLflow's code and its users get to see of a failed call: MlflowException, with the codes that they expect.

Where a server has answered, it is MLflow's own RestException, made of what the server said. Where none has, the
exception is an MlflowException and one of mlflowha's at the same time, so that `except mlflowha.TimeoutError` works as
well as `except MlflowException`, and its text is the whole story.
"""

from __future__ import annotations

import json
from typing import Any

import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos import databricks_pb2

from mlflowha.errors import MlflowhaError
from mlflowha.plugin.transfer import is_busy

_CODES = {
    "timeout": databricks_pb2.DEADLINE_EXCEEDED,
    "cancelled": databricks_pb2.CANCELLED,
    "invalid_argument": databricks_pb2.INVALID_PARAMETER_VALUE,
    "unavailable": databricks_pb2.TEMPORARILY_UNAVAILABLE,
    "circuit_open": databricks_pb2.TEMPORARILY_UNAVAILABLE,
    "no_endpoint": databricks_pb2.TEMPORARILY_UNAVAILABLE,
    "rate_limited": databricks_pb2.REQUEST_LIMIT_EXCEEDED,
    "unauthenticated": databricks_pb2.UNAUTHENTICATED,
    "permission_denied": databricks_pb2.PERMISSION_DENIED,
    "not_implemented": databricks_pb2.ENDPOINT_NOT_FOUND,
}

_STATUS_CODES = {
    401: databricks_pb2.UNAUTHENTICATED,
    403: databricks_pb2.PERMISSION_DENIED,
    404: databricks_pb2.ENDPOINT_NOT_FOUND,
}

#: Kinds of errors that mean: nobody could serve the call, later it may work.
OUTAGE_KINDS = frozenset({"unavailable", "timeout", "circuit_open", "no_endpoint", "rate_limited"})


_classes: dict[type[MlflowhaError], Any] = {}


def _both(ours: type[MlflowhaError]) -> Any:
    """A class that is MlflowException and `ours`."""
    made = _classes.get(ours)
    if made is None:

        def reduce(self: Any) -> Any:
            return _rebuild, (ours, self.__dict__.copy(), str(self))

        body = {"__module__": __name__, "__doc__": ours.__doc__, "__reduce__": reduce}
        made = _classes[ours] = type(ours.__name__, (MlflowException, ours), body)
    return made


def _rebuild(ours: type[MlflowhaError], state: dict[str, Any], text: str) -> Any:
    both = _both(ours)
    error = both.__new__(both, text)
    error.__dict__.update(state)
    return error


def status_and_body(error: MlflowhaError) -> tuple[int, str] | None:
    """The answer that an error stands for, as far as MLflow looks at it; nothing when no server has answered."""
    if error.code == "unsupported_by_server":
        return 404, json.dumps({"error_code": "ENDPOINT_NOT_FOUND", "message": error.message})
    if error.http_status < 300 or (is_outage(error) and error.code != "server_error"):
        return None
    if not error.error_code:
        return error.http_status, error.message
    return error.http_status, json.dumps({"error_code": error.error_code, "message": error.message})


def is_outage(error: MlflowhaError) -> bool:
    """Whether nobody could serve the call, so that it is worth keeping."""
    return error.kind in OUTAGE_KINDS and error.code != "unsupported_by_server"


def to_mlflow(error: MlflowhaError) -> MlflowException:
    """The exception that MLflow's callers get for `error`."""
    if isinstance(error, MlflowException):  # a client that could not be made has said so already
        return error
    answer = status_and_body(error)
    made: Any
    # Without MLflow's error_code the text is whatever stood between us and a server: it may only look like JSON.
    if answer is not None and (error.error_code or error.code == "unsupported_by_server"):
        made = RestException(json.loads(answer[1]))
    else:
        code = _STATUS_CODES.get(error.http_status) or _CODES.get(error.kind, databricks_pb2.INTERNAL_ERROR)
        both = _both(type(error))
        made = both.__new__(both, str(error))
        made.__dict__.update(error.__dict__)
        MlflowException.__init__(made, str(error), error_code=code)
    made.mlflowha_error = error
    return made


def cause_of(exception: BaseException | None) -> BaseException | None:
    """The outage that an exception of a call stands for; nothing when it stands for something else."""
    for _ in range(5):  # MLflow wraps what its transport raises
        if exception is None:
            return None
        ours = exception if isinstance(exception, MlflowhaError) else getattr(exception, "mlflowha_error", None)
        if ours is not None:
            return ours if is_outage(ours) else None
        if isinstance(exception, (requests.exceptions.ConnectionError, requests.exceptions.Timeout)):
            return exception
        if isinstance(exception, requests.exceptions.HTTPError) and is_busy(exception.response):
            return exception
        exception = exception.__cause__ or exception.__context__
    return None
