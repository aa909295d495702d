"""mlflowha.compat: retry, breaker and client, without a server and without waiting; runs in a database of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import Mock, call

import mlflow
import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException

from mlflowha import compat
from mlflowha.compat import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    CircuitState,
    ResilientMlflowClient,
    RetryConfig,
    create_resilient_client_from_env,
    retry_with_backoff,
)


class Time:
    """Stands for the module `time`: sleeping takes none."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    fake = Time()
    monkeypatch.setattr(compat, "time", fake)
    return fake


@pytest.fixture
def fluent(monkeypatch: pytest.MonkeyPatch) -> Mock:
    fake = Mock()
    monkeypatch.setattr(compat, "mlflow", fake)
    return fake


def fail(error: BaseException) -> Any:
    def function() -> None:
        raise error

    return function


def refused() -> RestException:
    return RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"})


def opened(**config: Any) -> CircuitBreaker:
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1, **config))
    with pytest.raises(ConnectionError):
        breaker.call(fail(ConnectionError()))
    return breaker


# --- breaker


def test_opens_after_failures_in_a_row() -> None:
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=3))
    for _ in range(2):
        with pytest.raises(ConnectionError):
            breaker.call(fail(ConnectionError()))
    breaker.call(lambda: None)
    for expected in (CircuitState.CLOSED, CircuitState.CLOSED, CircuitState.OPEN):
        with pytest.raises(RuntimeError):
            breaker.call(fail(RuntimeError()))
        assert breaker.state is expected


def test_an_open_breaker_calls_nothing() -> None:
    breaker = opened(timeout=60)
    with pytest.raises(MlflowException, match="Circuit breaker is OPEN") as caught:
        breaker.call(fail(AssertionError("called")))
    assert caught.value.error_code == "TEMPORARILY_UNAVAILABLE"


def test_what_the_server_answers_shows_that_it_works() -> None:
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2))
    for _ in range(5):
        with pytest.raises(ConnectionError):
            breaker.call(fail(ConnectionError()))
        with pytest.raises(RestException):
            breaker.call(fail(refused()))
    assert breaker.state is CircuitState.CLOSED


def test_a_mistake_of_the_caller_counts_neither_way() -> None:
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2))
    with pytest.raises(ConnectionError):
        breaker.call(fail(ConnectionError()))
    with pytest.raises(ValueError):
        breaker.call(fail(ValueError()))
    assert breaker.failure_count == 1


def test_half_open_lets_one_call_through_at_a_time(clock: Time) -> None:
    breaker = opened(timeout=10)
    clock.now += 10
    inside: list[CircuitState] = []

    def probe() -> None:
        inside.append(breaker.state)
        with pytest.raises(CircuitOpenError):
            breaker.call(fail(AssertionError("called")))

    breaker.call(probe)
    assert inside == [CircuitState.HALF_OPEN]
    assert breaker.get_state()["success_count"] == 1
    breaker.call(lambda: None)
    assert breaker.state is CircuitState.CLOSED


def test_a_failed_probe_opens_it_again(clock: Time) -> None:
    breaker = opened(timeout=10)
    clock.now += 10
    with pytest.raises(ConnectionError):
        breaker.call(fail(ConnectionError()))
    assert breaker.state is CircuitState.OPEN
    clock.now += 9
    with pytest.raises(CircuitOpenError):
        breaker.call(lambda: None)


def test_a_call_from_before_it_opened_says_nothing_when_it_ends(clock: Time) -> None:
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1, success_threshold=2, timeout=10))

    def probe() -> None:
        for late in (lambda: None, fail(ConnectionError())):
            with suppress(ConnectionError):
                breaker_of_before(late)
            assert breaker.state is CircuitState.HALF_OPEN
            with pytest.raises(CircuitOpenError):
                breaker.call(fail(AssertionError("called beside the probe")))

    def breaker_of_before(late: Any) -> None:
        """Ends a call that was let through while the breaker was closed."""
        try:
            late()
        except ConnectionError:
            breaker._on_failure(entered)
        else:
            breaker._on_success(entered)

    entered = breaker._enter()
    with pytest.raises(ConnectionError):
        breaker.call(fail(ConnectionError()))
    clock.now += 10
    breaker.call(probe)
    assert breaker.success_count == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError()])
def test_a_probe_that_says_nothing_gives_its_place_back(clock: Time, error: BaseException) -> None:
    breaker = opened(timeout=10)
    clock.now += 10
    with pytest.raises(type(error)):
        breaker.call(fail(error))
    breaker.call(lambda: None)
    assert breaker.success_count == 1


def test_a_late_failure_does_not_keep_it_open_longer(clock: Time) -> None:
    breaker = opened(timeout=10)
    clock.now += 9
    breaker._on_failure()
    clock.now += 1
    breaker.call(lambda: None)


def test_counts_are_right_with_many_threads() -> None:
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=10**6))
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        for _ in range(200):
            with pytest.raises(ConnectionError):
                breaker.call(fail(ConnectionError()))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.failure_count == 1600


def test_reset_and_state() -> None:
    breaker = opened()
    state = breaker.get_state()
    assert (state["state"], state["failure_count"], state["success_count"]) == ("open", 1, 0)
    assert state["last_failure_time"].startswith("20")
    breaker.reset()
    assert breaker.get_state() == {
        "state": "closed",
        "failure_count": 0,
        "success_count": 0,
        "last_failure_time": None,
    }


# --- retry


def test_retries_what_is_transient(clock: Time) -> None:
    function = Mock(side_effect=[MlflowException("1"), ConnectionError(), TimeoutError(), "done"])
    assert retry_with_backoff(RetryConfig(max_attempts=4))(lambda: function())() == "done"
    for slept, plain in zip(clock.slept, (1, 2, 4), strict=True):
        assert plain <= slept <= 1.25 * plain


@pytest.mark.parametrize("error", [refused(), ValueError(), KeyError()])
def test_does_not_retry_what_will_not_change(clock: Time, error: Exception) -> None:
    function = Mock(side_effect=error)
    with pytest.raises(type(error)):
        retry_with_backoff(RetryConfig())(lambda: function())()
    assert function.call_count == 1
    assert clock.slept == []


def test_what_requests_raises_is_transient_where_it_may_be_retried() -> None:
    config = RetryConfig(retryable_exceptions=(requests.exceptions.RequestException,))
    for error in (requests.exceptions.ConnectionError(), requests.exceptions.ReadTimeout()):
        function = Mock(side_effect=[error, "done"])
        assert retry_with_backoff(config)(lambda f=function: f())() == "done"
    function = Mock(side_effect=requests.exceptions.InvalidURL())
    with pytest.raises(requests.exceptions.InvalidURL):
        retry_with_backoff(config)(lambda: function())()
    assert function.call_count == 1


def test_a_database_error_in_disguise_is_retried() -> None:
    wrapped = RestException({"error_code": "BAD_REQUEST", "message": "(psycopg2.errors.ReadOnlySqlTransaction) ..."})
    assert compat.is_transient(wrapped)
    assert not compat.is_transient(RestException({"error_code": "BAD_REQUEST", "message": "no"}))


def test_a_create_of_unknown_fate_is_not_repeated() -> None:
    error = MlflowException("lost")
    error.mlflowha_error = Mock(stop_reason="non_idempotent")  # type: ignore[attr-defined]
    assert not compat.is_transient(error)
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))
    with pytest.raises(MlflowException):
        breaker.call(fail(error))
    assert breaker.state is CircuitState.OPEN


def test_delays_grow_spread_and_stay_below_the_cap() -> None:
    config = RetryConfig(initial_delay=1, backoff_factor=10, max_delay=5)
    first = [config.delay(1) for _ in range(200)]
    assert min(first) >= 1 and max(first) <= 1.25 and len(set(first)) > 100
    capped = [config.delay(3) for _ in range(200)]
    assert max(capped) <= 5 and min(capped) >= 3.75 and len(set(capped)) > 100


def test_stops_at_once_when_the_breaker_opens(clock: Time) -> None:
    function = Mock(side_effect=ConnectionError())
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=2))
    with pytest.raises(CircuitOpenError):
        retry_with_backoff(RetryConfig(max_attempts=10), breaker)(lambda: function())()
    assert function.call_count == 2
    assert len(clock.slept) == 2


# --- client


METHODS: list[tuple[str, tuple[Any, ...], str]] = [
    ("set_experiment", ("e",), "fluent"),
    ("log_param", ("k", 1), "fluent"),
    ("log_params", ({"k": 1},), "fluent"),
    ("log_metric", ("k", 1.0), "fluent"),
    ("log_metrics", ({"k": 1.0},), "fluent"),
    ("log_artifact", ("file",), "fluent"),
    ("get_model_version", ("m", "1"), "client"),
    ("get_latest_versions", ("m",), "client"),
    ("search_runs", (["0"],), "client"),
    ("get_run", ("r",), "client"),
]


def test_no_method_is_missing_from_these_tests() -> None:
    guarded = {name for name, member in vars(ResilientMlflowClient).items() if hasattr(member, "__wrapped__")}
    tested = {name for name, _, _ in METHODS} | {"start_run", "log_model", "download_artifacts"}
    assert {name.lstrip("_") for name in guarded} <= tested


@pytest.mark.parametrize(("name", "arguments", "where"), METHODS)
def test_every_method_retries_and_is_under_the_breaker(
    fluent: Mock, name: str, arguments: tuple[Any, ...], where: str
) -> None:
    client = ResilientMlflowClient(None, RetryConfig(max_attempts=3), CircuitBreakerConfig(failure_threshold=3))
    client._client = Mock()
    target = getattr(fluent if where == "fluent" else client._client, name)
    target.side_effect = [ConnectionError(), Mock(__iter__=lambda _: iter(()))]
    getattr(client, name)(*arguments)
    assert target.call_count == 2
    target.side_effect = ConnectionError()
    with pytest.raises(ConnectionError):
        getattr(client, name)(*arguments)
    calls = target.call_count
    with pytest.raises(CircuitOpenError):
        getattr(client, name)(*arguments)
    assert target.call_count == calls


def test_a_repeated_point_is_the_same_point(fluent: Mock, clock: Time) -> None:
    client = ResilientMlflowClient(retry_config=RetryConfig(max_attempts=2))
    fluent.log_metric.side_effect = [ConnectionError(), None]
    client.log_metric("loss", 0.5, step=3)
    first, second = fluent.log_metric.call_args_list
    assert clock.slept and first == second
    assert first.kwargs == {"step": 3, "timestamp": 1_000_000}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('runs')}/mlflow.db"


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, database: str) -> Iterator[Mock]:
    """MLflow's fluent API with its stack of runs; whoever ends a run goes through this."""
    was = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(database)
    fake = Mock(side_effect=lambda run_id, status: None)
    monkeypatch.setattr(MlflowClient, "set_terminated", lambda _, run_id, status=None: fake(run_id, status))
    yield fake
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(was)


def test_a_run_ends_as_it_went(ended: Mock) -> None:
    client = ResilientMlflowClient(retry_config=RetryConfig(max_attempts=2))
    with client.start_run(run_name="x") as run:
        assert mlflow.active_run() is run
    ended.assert_called_once_with(run.info.run_id, "FINISHED")
    with pytest.raises(ZeroDivisionError), client.start_run() as run:
        1 / 0  # noqa: B018
    ended.assert_called_with(run.info.run_id, "FAILED")
    ended.side_effect = ConnectionError()
    with client.start_run():
        pass  # that it can't be ended is no reason to lose the block's work
    assert mlflow.active_run() is None


def test_a_second_attempt_ends_the_same_run(ended: Mock) -> None:
    client = ResilientMlflowClient(retry_config=RetryConfig(max_attempts=2))
    with client.start_run() as parent:
        ended.side_effect = [ConnectionError(), None]
        with client.start_run(nested=True) as child:
            pass
        assert ended.call_args_list == [call(child.info.run_id, "FINISHED")] * 2
        assert mlflow.active_run() is parent
        ended.side_effect = None
        with client.start_run(nested=True):
            mlflow.end_run()  # by the block itself: nothing is left to end
        assert mlflow.active_run() is parent


def test_an_open_breaker_leaves_no_run_in_the_next_ones_way(ended: Mock) -> None:
    client = ResilientMlflowClient(circuit_breaker_config=CircuitBreakerConfig(failure_threshold=1))
    with client.start_run(), pytest.raises(ConnectionError):
        client.circuit_breaker.call(fail(ConnectionError()))
    assert mlflow.active_run() is None
    client.reset_circuit_breaker()
    with client.start_run():
        pass


def test_the_fitting_flavor_logs_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    made = type("Booster", (), {"__module__": "xgboost.core"})()
    assert compat._flavor_of(made, {}) == ("xgboost", "xgb_model")
    kwargs = {"sk_model": object(), "signature": 1}
    assert compat._flavor_of(made, kwargs) == ("sklearn", "sk_model")
    assert kwargs == {"signature": 1}
    with pytest.raises(MlflowException, match=r"model: a builtins\.int"):
        compat._flavor_of(1, {})
    module = Mock()
    module.log_model = lambda xgb_model, artifact_path=None, signature=None: (xgb_model, artifact_path, signature)
    monkeypatch.setattr(compat.importlib, "import_module", Mock(return_value=module))
    assert ResilientMlflowClient().log_model(made, "model", signature=2) == (made, "model", 2)


def test_http_addresses_go_through_mlflowha(fluent: Mock) -> None:
    client = ResilientMlflowClient("http://a:5000,http://b:5000")
    assert client.tracking_uri == "http://a:5000,http://b:5000"
    fluent.set_tracking_uri.assert_called_once_with("mlflowha+http://a:5000,http://b:5000")
    client.set_tracking_uri("sqlite:///x.db")
    fluent.set_tracking_uri.assert_called_with("sqlite:///x.db")


def test_health(fluent: Mock) -> None:
    client = ResilientMlflowClient()
    client._client = Mock()
    client._client.get_server_version.return_value = "3.17.2"
    assert client.health_check() == {
        "status": "healthy",
        "server_version": "3.17.2",
        "circuit_breaker": client.get_circuit_breaker_state(),
    }
    client._client.get_server_version.side_effect = ConnectionError("refused")
    health = client.health_check()
    assert (health["status"], health["error"], health["error_type"]) == ("unhealthy", "refused", "ConnectionError")
    assert set(health) == {"status", "error", "error_type", "circuit_breaker"}


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch, fluent: Mock) -> None:
    for name, value in {
        "MLFLOW_TRACKING_URI": "http://test:5000",
        "MLFLOW_RETRY_MAX_ATTEMPTS": "10",
        "MLFLOW_RETRY_BACKOFF_FACTOR": "3.0",
        "MLFLOW_CIRCUIT_BREAKER_THRESHOLD": "15",
        "MLFLOW_CIRCUIT_BREAKER_TIMEOUT": "120",
    }.items():
        monkeypatch.setenv(name, value)
    client = create_resilient_client_from_env()
    assert client.tracking_uri == "http://test:5000"
    assert (client.retry_config.max_attempts, client.retry_config.backoff_factor) == (10, 3.0)
    assert client.circuit_breaker.config == CircuitBreakerConfig(failure_threshold=15, timeout=120)
    monkeypatch.setenv("MLFLOW_RETRY_MAX_ATTEMPTS", "many")
    with pytest.raises(ValueError, match="MLFLOW_RETRY_MAX_ATTEMPTS: value is 'many'"):
        create_resilient_client_from_env()
