"""A drop-in for hand-written resilience wrappers around MLflow: the names that services have in their own
`resilient_mlflow.py`, over mlflowha.

    from mlflowha.compat import ResilientMlflowClient, create_resilient_client_from_env

Retry and circuit breaker here are the outer layer that such services are written against, and can be read from their
health pages. Below it every request goes through mlflowha's endpoint list, failover and exactly-once creates, so that a
`start_run` whose answer was lost is not started twice. New code needs none of this: an MLflow tracking URI that begins
with `mlflowha+http` is enough.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any, ParamSpec, TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from requests import exceptions as requests_exceptions

logger = logging.getLogger("mlflowha")

T = TypeVar("T")
P = ParamSpec("P")

_JITTER = 0.25  # a delay is longer by up to this part of it; at the cap, shorter

#: MLflow's error codes that a later attempt may not meet. INTERNAL_ERROR is what MLflow calls a failed connection.
_TRANSIENT_CODES = frozenset(
    {
        "INTERNAL_ERROR",
        "TEMPORARILY_UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "REQUEST_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "ABORTED",
    }
)
#: A database error that isn't "operational" comes as BAD_REQUEST; these words tell it from a caller's mistake.
_DATABASE_WORDS = ("(psycopg2.", "(psycopg.", "(sqlite3.", "(pymysql.", "(pyodbc.", "QueuePool limit")
#: What requests raises is neither of the builtins.
_NO_ANSWER = (ConnectionError, TimeoutError, requests_exceptions.ConnectionError, requests_exceptions.Timeout)
_CALLERS_FAULT = (ValueError, TypeError, LookupError, AttributeError, AssertionError, NotImplementedError)


class CircuitState(Enum):
    """What a breaker lets through."""

    CLOSED = "closed"  # everything
    OPEN = "open"  # nothing
    HALF_OPEN = "half_open"  # one call at a time, to see whether it works again


@dataclass
class CircuitBreakerConfig:
    """failure_threshold: failures in a row that open it. success_threshold: successes in a row that close it again.
    timeout: seconds that it stays open before a call is let through to see."""

    failure_threshold: int = 5
    success_threshold: int = 2
    timeout: float = 60


@dataclass
class RetryConfig:
    """max_attempts: calls in all. The n-th wait is initial_delay * backoff_factor ** (n - 1) seconds and up to a
    quarter more, at most max_delay. retryable_exceptions: what may be retried; of these, only what is transient is."""

    max_attempts: int = 5
    backoff_factor: float = 2.0
    initial_delay: float = 1.0
    max_delay: float = 30.0
    retryable_exceptions: tuple[type[BaseException], ...] = (MlflowException, ConnectionError, TimeoutError)

    def delay(self, attempt: int) -> float:
        """Seconds to wait after attempt number `attempt`, the first being 1."""
        plain = self.initial_delay * self.backoff_factor ** (attempt - 1)
        if plain >= self.max_delay:
            return self.max_delay * random.uniform(1 - _JITTER, 1)
        return min(self.max_delay, plain * random.uniform(1, 1 + _JITTER))


class CircuitOpenError(MlflowException):
    """A call that an open breaker didn't let through."""


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later, and may be made again without doing its work twice."""
    if isinstance(error, CircuitOpenError):
        return False
    ours = getattr(error, "mlflowha_error", error)
    if getattr(ours, "stop_reason", None) == "non_idempotent":
        return False
    if isinstance(error, MlflowException):
        if error.error_code == "BAD_REQUEST":
            return any(word in str(error) for word in _DATABASE_WORDS)
        return error.error_code in _TRANSIENT_CODES
    return isinstance(error, _NO_ANSWER)


class CircuitBreaker:
    """Stops calling a server that doesn't answer. Thread-safe."""

    def __init__(self, config: CircuitBreakerConfig) -> None:
        self.config = config
        self.failure_count = 0
        self.success_count = 0
        self.last_failure_time: datetime | None = None
        self._state = CircuitState.CLOSED
        self._opened = 0.0
        self._probing = False
        self._lock = threading.RLock()

    @property
    def state(self) -> CircuitState:
        return self._state

    def call(self, func: Callable[[], T]) -> T:
        """func(), unless the breaker is open: then CircuitOpenError at once.

        A failure that tells about the server counts; an answer that refuses the request shows that the server works;
        a mistake of the caller's (ValueError and the like) counts neither way.
        """
        probe = self._enter()
        try:
            result = func()
        except MlflowException as error:
            if is_transient(error) or (getattr(error, "mlflowha_error", None) is not None and _unsure(error)):
                self._on_failure(probe)
            else:
                self._on_success(probe)
            raise
        except _CALLERS_FAULT as error:
            if isinstance(error, _NO_ANSWER):
                self._on_failure(probe)
            else:
                self._leave(probe)
            raise
        except Exception:
            self._on_failure(probe)
            raise
        except BaseException:  # Ctrl-C says nothing about the server
            self._leave(probe)
            raise
        self._on_success(probe)
        return result

    def reset(self) -> None:
        """Closes it and forgets everything."""
        with self._lock:
            self._state = CircuitState.CLOSED
            self.failure_count = self.success_count = 0
            self.last_failure_time = None
            self._probing = False

    def get_state(self) -> dict[str, Any]:
        """For a health page: state, failure_count, success_count, last_failure_time (ISO 8601 or null)."""
        with self._lock:
            failed = self.last_failure_time
            return {
                "state": self._state.value,
                "failure_count": self.failure_count,
                "success_count": self.success_count,
                "last_failure_time": failed.isoformat() if failed else None,
            }

    def _enter(self) -> bool:
        """Whether the call that may go on is the one that tries a breaker that was open."""
        with self._lock:
            if self._state is CircuitState.OPEN and time.monotonic() - self._opened >= self.config.timeout:
                self._state = CircuitState.HALF_OPEN
                self.success_count = 0
                self._probing = False
            if self._state is CircuitState.CLOSED:
                return False
            if self._state is CircuitState.HALF_OPEN and not self._probing:
                self._probing = True
                return True
            raise CircuitOpenError(
                f"Circuit breaker is OPEN. MLflow is unavailable. Last failure: {self.last_failure_time}",
                TEMPORARILY_UNAVAILABLE,
            )

    # A call that began before the breaker opened may end while another one tries it: it says nothing about now.

    def _leave(self, probe: bool = False) -> None:
        with self._lock:
            if probe:
                self._probing = False

    def _on_success(self, probe: bool = False) -> None:
        with self._lock:
            if probe:
                self._probing = False
            if self._state is CircuitState.CLOSED:
                self.failure_count = 0
            elif self._state is CircuitState.HALF_OPEN and probe:
                self.success_count += 1
                if self.success_count >= self.config.success_threshold:
                    self._state = CircuitState.CLOSED
                    self.failure_count = self.success_count = 0
                    logger.info("MLflow's circuit breaker is closed again")

    def _on_failure(self, probe: bool = False) -> None:
        with self._lock:
            if probe:
                self._probing = False
            self.failure_count += 1
            self.last_failure_time = datetime.now(timezone.utc)
            if self._state is not CircuitState.CLOSED and not probe:
                return
            if self._state is CircuitState.HALF_OPEN or self.failure_count >= self.config.failure_threshold:
                self._state = CircuitState.OPEN
                self._opened = time.monotonic()
                self.success_count = 0
                logger.warning("MLflow's circuit breaker is open after %d failures", self.failure_count)


def _unsure(error: BaseException) -> bool:
    return getattr(getattr(error, "mlflowha_error", None), "stop_reason", None) == "non_idempotent"


def retry_with_backoff(
    retry_config: RetryConfig, circuit_breaker: CircuitBreaker | None = None
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorator: calls again what failed transiently, and fails fast while the breaker is open."""

    def decorator(func: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(func)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            return _retry(retry_config, circuit_breaker, lambda: func(*args, **kwargs))

        return wrapper

    return decorator


def _retry(config: RetryConfig, breaker: CircuitBreaker | None, func: Callable[[], T]) -> T:
    attempt = 1
    while True:
        try:
            return breaker.call(func) if breaker else func()
        except config.retryable_exceptions as error:
            if attempt >= config.max_attempts or not is_transient(error):
                raise
            delay = config.delay(attempt)
            logger.debug("attempt %d of %d failed, next in %.2f s: %s", attempt, config.max_attempts, delay, error)
        time.sleep(delay)
        attempt += 1


def _guarded(method: Callable[P, T]) -> Callable[P, T]:
    """A method under its object's retry configuration and breaker."""

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        client: Any = args[0]
        return _retry(client.retry_config, client.circuit_breaker, lambda: method(*args, **kwargs))

    return wrapper


class ResilientMlflowClient:
    """MLflow's fluent calls and the client's reading ones, each under retry and breaker. Thread-safe."""

    def __init__(
        self,
        tracking_uri: str | None = None,
        retry_config: RetryConfig | None = None,
        circuit_breaker_config: CircuitBreakerConfig | None = None,
    ) -> None:
        self.tracking_uri = tracking_uri
        self.retry_config = retry_config or RetryConfig()
        self.circuit_breaker = CircuitBreaker(circuit_breaker_config or CircuitBreakerConfig())
        self._client: Any = None
        if tracking_uri:
            mlflow.set_tracking_uri(_through_mlflowha(tracking_uri))

    @property
    def client(self) -> Any:
        """The MlflowClient underneath."""
        if self._client is None:
            self._client = MlflowClient(tracking_uri=_through_mlflowha(self.tracking_uri))
        return self._client

    def set_tracking_uri(self, uri: str) -> None:
        mlflow.set_tracking_uri(_through_mlflowha(uri))
        self.tracking_uri = uri
        self._client = None

    @_guarded
    def set_experiment(self, experiment_name: str) -> Any:
        return mlflow.set_experiment(experiment_name)

    @contextmanager
    def start_run(self, **kwargs: Any) -> Iterator[Any]:
        """As mlflow.start_run(); the run ends as FAILED when the block raises. Ending it never raises."""
        run = _retry(self.retry_config, self.circuit_breaker, lambda: mlflow.start_run(**kwargs))
        kind: type[BaseException] | None = None
        try:
            yield run
        except BaseException as error:
            kind = type(error)
            raise
        finally:
            self._end(run, kind)

    def _end(self, run: Any, kind: type[BaseException] | None) -> None:
        left = False

        def end() -> None:
            nonlocal left
            if left:
                self.client.set_terminated(run.info.run_id, "FINISHED" if kind is None else "FAILED")
                return
            # MLflow takes the run off its stack before it asks the server: a second time it would end the parent.
            left = True
            run.__exit__(kind, None, None)

        try:
            _retry(self.retry_config, self.circuit_breaker, end)
        except Exception as error:
            logger.warning("the run could not be ended: %s", error)
        if not left:  # the breaker is open; yet a run that stayed on the stack would be in the next one's way
            with suppress(Exception):
                end()

    @_guarded
    def log_param(self, key: str, value: Any) -> None:
        mlflow.log_param(key, value)

    @_guarded
    def log_params(self, params: dict[str, Any]) -> None:
        mlflow.log_params(params)

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        # The time is that of this call, not of the attempt that works: a repeated point must be the same point.
        self._log_metric(key, value, step, _now())

    @_guarded
    def _log_metric(self, key: str, value: float, step: int | None, timestamp: int) -> None:
        mlflow.log_metric(key, value, step=step, timestamp=timestamp)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._log_metrics(metrics, step, _now())

    @_guarded
    def _log_metrics(self, metrics: dict[str, float], step: int | None, timestamp: int) -> None:
        mlflow.log_metrics(metrics, step=step, timestamp=timestamp)

    @_guarded
    def log_artifact(self, local_path: str, artifact_path: str | None = None) -> None:
        mlflow.log_artifact(local_path, artifact_path)

    @_guarded
    def log_model(self, model: Any, artifact_path: str, **kwargs: Any) -> Any:
        """Logs with the flavor that the model's class belongs to, or that an `sk_model=`-like keyword names."""
        flavor, keyword = _flavor_of(model, kwargs)
        log = importlib.import_module(f"mlflow.{flavor}").log_model
        where = "name" if "name" in inspect.signature(log).parameters else "artifact_path"
        return log(**{keyword: model, where: artifact_path, **kwargs})

    @_guarded
    def get_model_version(self, name: str, version: str) -> Any:
        return self.client.get_model_version(name, version)

    @_guarded
    def get_latest_versions(self, name: str, stages: list[str] | None = None) -> list[Any]:
        return list(self.client.get_latest_versions(name, stages=stages))

    @_guarded
    def download_artifacts(self, artifact_uri: str, dst_path: str) -> str:
        return str(mlflow.artifacts.download_artifacts(artifact_uri=artifact_uri, dst_path=dst_path))

    @_guarded
    def search_runs(self, experiment_ids: list[str], **kwargs: Any) -> Any:
        return self.client.search_runs(experiment_ids, **kwargs)

    @_guarded
    def get_run(self, run_id: str) -> Any:
        return self.client.get_run(run_id)

    def get_circuit_breaker_state(self) -> dict[str, Any]:
        return self.circuit_breaker.get_state()

    def reset_circuit_breaker(self) -> None:
        self.circuit_breaker.reset()

    def health_check(self) -> dict[str, Any]:
        """{"status": "healthy", "server_version", "circuit_breaker"} or {"status": "unhealthy", "error", "error_type",
        "circuit_breaker"}. One question to the server, past the breaker; never raises."""
        try:
            version = self._server_version()
        except Exception as error:
            return {
                "status": "unhealthy",
                "error": str(error),
                "error_type": type(error).__name__,
                "circuit_breaker": self.get_circuit_breaker_state(),
            }
        return {
            "status": "healthy",
            "server_version": version,
            "circuit_breaker": self.get_circuit_breaker_state(),
        }

    def _server_version(self) -> str:
        ask = getattr(self.client, "get_server_version", None)  # no release of MLflow has it so far
        if ask is not None:
            return str(ask())
        from mlflow.utils.rest_utils import http_request

        store = self.client._tracking_client.store
        if not hasattr(store, "get_host_creds"):
            return str(mlflow.__version__)  # no server: a local file or database
        # The page with the version doesn't need the database, so a call that does comes first.
        store.search_experiments(max_results=1)
        answer = http_request(store.get_host_creds(), "/version", "GET", timeout=3, max_retries=0)
        if answer.status_code != 200:
            raise MlflowException(f"GET /version: {answer.status_code}", TEMPORARILY_UNAVAILABLE)
        return str(answer.text).strip()


def create_resilient_client_from_env() -> ResilientMlflowClient:
    """Configured by MLFLOW_TRACKING_URI, MLFLOW_RETRY_MAX_ATTEMPTS, MLFLOW_RETRY_BACKOFF_FACTOR,
    MLFLOW_CIRCUIT_BREAKER_THRESHOLD and MLFLOW_CIRCUIT_BREAKER_TIMEOUT."""
    return ResilientMlflowClient(
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or None,
        retry_config=RetryConfig(
            max_attempts=int(_number("MLFLOW_RETRY_MAX_ATTEMPTS", 5, 1, 100)),
            backoff_factor=_number("MLFLOW_RETRY_BACKOFF_FACTOR", 2.0, 1, 120),
        ),
        circuit_breaker_config=CircuitBreakerConfig(
            failure_threshold=int(_number("MLFLOW_CIRCUIT_BREAKER_THRESHOLD", 5, 1, 1000)),
            timeout=_number("MLFLOW_CIRCUIT_BREAKER_TIMEOUT", 60, 0.001, 86400),
        ),
    )


def _number(name: str, default: float, least: float, most: float) -> float:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise ValueError(f"{name}: value is {text!r}, expected a number from {least:g} to {most:g}")
    return value


def _through_mlflowha(uri: str | None) -> str | None:
    return f"mlflowha+{uri}" if uri and uri.startswith(("http://", "https://")) else uri


def _now() -> int:
    return int(time.time() * 1000)


#: Top-level package of a model's class -> MLflow's flavor and the name of its model argument.
_FLAVORS = {
    "sklearn": ("sklearn", "sk_model"),
    "xgboost": ("xgboost", "xgb_model"),
    "lightgbm": ("lightgbm", "lgb_model"),
    "catboost": ("catboost", "cb_model"),
    "onnx": ("onnx", "onnx_model"),
    "torch": ("pytorch", "pytorch_model"),
    "keras": ("tensorflow", "model"),
    "tensorflow": ("tensorflow", "model"),
    "statsmodels": ("statsmodels", "statsmodels_model"),
    "prophet": ("prophet", "pr_model"),
    "spacy": ("spacy", "spacy_model"),
}


def _flavor_of(model: Any, kwargs: dict[str, Any]) -> tuple[str, str]:
    for flavor, keyword in _FLAVORS.values():
        if keyword != "model" and kwargs.pop(keyword, None) is not None:
            return flavor, keyword
    for cls in type(model).__mro__:
        found = _FLAVORS.get(cls.__module__.partition(".")[0])
        if found:
            return found
    from mlflow.pyfunc import PythonModel

    if isinstance(model, PythonModel) or callable(model):
        return "pyfunc", "python_model"
    raise MlflowException.invalid_parameter_value(
        f"model: a {type(model).__module__}.{type(model).__name__}, expected one of: {', '.join(sorted(_FLAVORS))}"
    )
