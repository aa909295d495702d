"""mlflowha.Client against fake servers: names and types of MlflowClient, checks, pages, failover, exactly once."""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
from datetime import datetime, timedelta, timezone
from importlib import metadata
from types import SimpleNamespace

import mlflowha
import pytest
from mlflowha import Client, aio, entities, errors
from mlflowha.testing import Cluster, FakeServer


@pytest.fixture
def client(mlflowha_server: FakeServer) -> Client:
    return Client(mlflowha_server.url)


def entities_like(**named: object) -> SimpleNamespace:
    """What has the members of MLflow's own Metric."""
    return SimpleNamespace(**{"key": "k", "value": 1.0, "timestamp": 0, "step": 0, **named})


def test_a_run_from_beginning_to_end(client: Client) -> None:
    experiment = client.create_experiment("e", tags={"team": "a", "n": 1})
    run = client.create_run(experiment, tags={"k": "v"}, run_name="first")
    assert isinstance(run, entities.Run)
    run_id = run.info.run_id
    client.log_metric(run_id, "loss", 0.5, 1_700_000_000_000, 3)
    client.log_metric(run_id, "loss", 0.25, step=4)
    client.log_param(run_id, "lr", 0.1)
    client.set_tag(run_id, "kind", 7)
    client.log_batch(run_id, {"a": 1.5}, {"p": 2}, {"t": "u"})
    client.set_terminated(run_id)
    found = client.get_run(run_id)
    assert found.info.status == entities.RunStatus.FINISHED == "FINISHED"
    assert found.info.run_name == "first"
    assert found.data.metrics == {"loss": 0.25, "a": 1.5}
    assert found.data.params == {"lr": "0.1", "p": "2"}
    assert found.data.tags["kind"] == "7" and found.data.tags["t"] == "u" and found.data.tags["k"] == "v"
    assert {point.key: point.step for point in found.data.metric_points} == {"loss": 4, "a": 0}
    assert [(p.value, p.step) for p in client.get_metric_history(run_id, "loss")] == [(0.5, 3), (0.25, 4)]
    assert client.get_experiment(experiment).tags["team"] == "a"
    assert client.get_experiment_by_name("nobody") is None
    by_name = client.get_experiment_by_name("e")
    assert by_name is not None and by_name.experiment_id == experiment


def test_times_may_be_datetimes_and_timedeltas(client: Client) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc)
    run_id = client.create_run("0", at).info.run_id
    client.log_metric(run_id, "m", 1, at, timeout=timedelta(seconds=5))
    client.set_terminated(run_id, "FAILED", at)
    run = client.get_run(run_id)
    assert run.info.start_time == run.info.end_time == 1_767_323_045_678
    assert run.data.metric_points[0].timestamp == 1_767_323_045_678


def test_values_are_immutable_comparable_and_can_be_pickled(client: Client) -> None:
    run = client.create_run("0", tags={"k": "v"})
    with pytest.raises(AttributeError):
        run.info.run_id = "x"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(run)) == run
    assert entities.Metric("m", 1.0, 2, 3) == entities.Metric("m", 1.0, 2, 3)
    assert "run_name=" in repr(run.info)


def test_numbers_that_json_does_not_know(client: Client) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "nan", math.nan)
    client.log_metric(run_id, "inf", math.inf)
    client.log_batch(run_id, [("nan2", math.nan, None, 1)])
    metrics = client.get_run(run_id).data.metrics
    assert math.isnan(metrics["nan"]) and math.isnan(metrics["nan2"])
    assert metrics["inf"] >= 1e308


class Array:
    """One entry, as numpy's arrays and tensors have it."""

    def item(self) -> float:
        return 2.5


def test_arrays_of_one_entry_are_numbers(client: Client) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "alone", Array())
    client.log_batch(run_id, {"mapped": Array()})
    client.log_batch(run_id, [("listed", Array())])
    assert client.get_run(run_id).data.metrics == {"alone": 2.5, "mapped": 2.5, "listed": 2.5}


def test_a_block_raises_its_own_error() -> None:
    with FakeServer() as server:

        async def work() -> None:
            async with aio.Client(server.url, retry_max_attempts=2, retry_backoff_base=0.01) as client:
                await client.create_run("0")
                assert client.sync.health()["twins_watched"] == 1
                server.stop()
                raise KeyError("own")

        server.set_faults("when path /runs/create nth 1 -> apply_late 30s")
        with pytest.raises(KeyError, match="own"), Client(server.url, retry_max_attempts=2) as client:
            client.create_run("0")
            assert client.health()["twins_watched"] == 1
            server.stop()
            raise KeyError("own")
        server.start()
        server.set_faults("when path /runs/create nth 1 -> apply_late 30s")
        with pytest.raises(KeyError, match="own"):
            asyncio.run(work())


def test_clients_can_be_pickled_and_copied(mlflowha_server: FakeServer) -> None:
    client = Client(mlflowha_server.url, timeouts_call=7, environment={"MLFLOW_RETRY_MAX_ATTEMPTS": "3"})
    for other in (pickle.loads(pickle.dumps(client)), copy.deepcopy(client), copy.copy(client)):
        assert other.get_experiment("0").name == "Default"
        assert other.settings() == client.settings()
        other.force_open()
    assert client.get_experiment("0").name == "Default"


def test_pages_and_pagers(client: Client) -> None:
    made = [client.create_run("0", run_name=f"r{i}").info.run_id for i in range(7)]
    page = client.search_runs(["0"], max_results=3)
    assert len(page) == 3 and page.token
    rest = client.search_runs(["0"], max_results=3, page_token=page.token)
    assert {run.info.run_id for run in page}.isdisjoint(run.info.run_id for run in rest)
    found = [run.info.run_id for run in client.search_runs_all(["0"], max_results=3)]
    assert sorted(found) == sorted(made)


def test_the_registry(client: Client) -> None:
    model = client.create_registered_model("m", {"k": "v"}, "a model")
    assert model.tags["k"] == "v" and model.description == "a model"
    version = client.create_model_version("m", "s3://b/x")
    assert version.version == "1"
    client.set_registered_model_alias("m", "champion", 1)
    assert client.get_model_version_by_alias("m", "champion").version == "1"
    assert [one.name for one in client.search_registered_models()] == ["m"]
    client.transition_model_version_stage("m", "1", "Staging")
    assert client.get_model_version("m", "1").current_stage == "Staging"


@pytest.mark.parametrize(
    ("kind", "text", "call"),
    [
        (TypeError, "experiment_ids: value is '0', expected a list", lambda c: c.search_runs("0")),
        (ValueError, "run_id: value is '', expected a value", lambda c: c.get_run("")),
        (ValueError, "run_id: value is 'a b', expected letters", lambda c: c.get_run("a b")),
        (ValueError, "expected at most 250", lambda c: c.log_metric("r", "k" * 251, 1)),
        (TypeError, "value: value is 'x', expected a number", lambda c: c.log_metric("r", "k", "x")),
        (TypeError, "step: value is 1.5, expected a whole number", lambda c: c.log_metric("r", "k", 1, step=1.5)),
        (ValueError, "step: value is 9223372036854775808, exp", lambda c: c.log_metric("r", "k", 1, step=1 << 63)),
        (errors.InvalidArgumentError, "expected a number that a double", lambda c: c.log_metric("r", "k", 10**400)),
        (ValueError, "timestamp: value is datetime", lambda c: c.log_metric("r", "k", 1, datetime.min)),
        (errors.InvalidArgumentError, "expected a text that UTF-8", lambda c: c.log_param("r", "k", "\ud800")),
        (TypeError, "metrics[0].key: value is b'k', expected a text", lambda c: c.log_batch("r", [(b"k", 1)])),
        (TypeError, "metrics[0].value: value is None", lambda c: c.log_batch("r", [("k", None)])),
        (TypeError, "metrics['k']: value is 'x', expected a number", lambda c: c.log_batch("r", {"k": "x"})),
        (TypeError, "metrics[0].step: value is 1.5", lambda c: c.log_batch("r", [("k", 1, 1, 1.5)])),
        (ValueError, "metrics[0].step: value is 9223", lambda c: c.log_batch("r", [("k", 1, 1, 1 << 63)])),
        (ValueError, "metrics[0].timestamp: value is -1", lambda c: c.log_batch("r", [("k", 1, -1)])),
        (ValueError, "params['p']: value is '\\ud800'", lambda c: c.log_batch("r", (), {"p": "\ud800"})),
        (TypeError, "run_id: value is 5, expected a text", lambda c: c.log_batch(5, [("k", 1)])),
        (TypeError, "run_id: value is b'r', expected a text", lambda c: c.log_batch(b"r", [("k", 1)])),
        (TypeError, "run_id: value is None, expected a text", lambda c: c.log_artifact(None, __file__)),
        (ValueError, "artifact_path: value is '\\ud800'", lambda c: c.log_artifact("r", __file__, "\ud800")),
        (TypeError, "run_id: value is 5, expected a text", lambda c: c.log_artifacts(5, ".")),
        (TypeError, "root_uri: value is 5, expected a text", lambda c: c.put_artifact(5, "p", __file__)),
        (TypeError, "path: value is 5, expected a text", lambda c: c.fetch_artifact("mlflow-artifacts:/", 5, "f")),
        (TypeError, "artifact_path: value is 5, expected a text", lambda c: c.upload_artifact(5, b"x")),
        (TypeError, "content: value is of type str, expected bytes", lambda c: c.upload_artifact("a", "x")),
        (TypeError, "metrics[0].model_id: value is 5", lambda c: c.log_batch("r", [entities_like(model_id=5)])),
        (TypeError, "timeout: value is True, expected seconds", lambda c: c.get_run("r", timeout=True)),
        (TypeError, "retry.max_attempts: value is True, exp", lambda c: Client(c.endpoints, retry_max_attempts=True)),
        (ValueError, "max_results: value is 0, expected a number", lambda c: c.search_runs(["0"], max_results=0)),
        (ValueError, "status: value is 'GONE', expected one of RUNNING", lambda c: c.set_terminated("r", "GONE")),
        (ValueError, "start_time: value is -1, expected milliseconds", lambda c: c.create_run("0", -1)),
        (ValueError, "key: value is '../x', expected a name", lambda c: c.set_tag("r", "../x", 1)),
        (ValueError, "there is no setting wrong", lambda c: Client(c.endpoints, wrong=1)),
        (TypeError, "timeouts.call: value is 'soon'", lambda c: Client(c.endpoints, timeouts_call="soon")),
        (ValueError, "pool.selection: value is 'x'", lambda c: Client(c.endpoints, settings={"pool.selection": "x"})),
        (ValueError, "retry.backoff.factor", lambda c: Client(c.endpoints, retry_backoff_factor=0.5)),
        (ValueError, "the list is empty", lambda c: Client(environment={})),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(client, mlflowha_server, kind, text, call) -> None:
    with pytest.raises(kind) as caught:
        call(client)
    assert text in str(caught.value)
    assert mlflowha_server.requests() == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda c: Client(c.endpoints, auth_password=567890),
        lambda c: Client(c.endpoints, auth_bearer_token=567890),
        lambda c: Client(c.endpoints, auth_username=["user:567890"]),
        lambda c: Client(c.endpoints, tls_client_key_password=567890),
        lambda c: Client([*c.endpoints, 5, "http://user:567890@host"]),
        lambda c: Client(c.endpoints, environment={"MLFLOW_TRACKING_PASSWORD": 567890}),
        lambda c: Client(environment={"MLFLOW_TRACKING_URI": ["http://user:567890@host"]}),
    ],
)
def test_a_secret_of_the_wrong_type_is_not_shown(client: Client, call) -> None:
    with pytest.raises(TypeError, match=r"^(auth\.|tls\.|endpoints: |environment: MLFLOW_T).* of type ") as caught:
        call(client)
    assert "567890" not in str(caught.value)


def test_what_is_refused_is_not_told_whole(client: Client) -> None:
    for call in (
        lambda: client.log_batch(None, [("k", i) for i in range(5000)], {"secret": "s" * 5000}),
        lambda: client.upload_artifact(None, b"x" * 50000),
        lambda: client.upload_artifact("a", "x" * 50000),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert len(str(caught.value)) < 200


def test_a_time_of_zero_is_a_time(client: Client) -> None:
    """As in MLflow; only Metrics of this package have it where nobody gave one."""
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "a", 1.0, 0)
    client.log_batch(run_id, [("b", 1.0, 0), ("c", 1.0, 0, 1), entities_like(key="d"), ("e", 1.0, None, 1)])
    client.log_batch(run_id, [entities.Metric("f", 1.0)])
    stamps = {key: client.get_metric_history(run_id, key)[0].timestamp for key in "abcdef"}
    now = stamps.pop("e"), stamps.pop("f")
    assert min(now) > 0 and set(stamps.values()) == {0}


def test_errors_are_builtins_too_and_tell_their_story(client: Client, mlflowha_server: FakeServer) -> None:
    with pytest.raises(LookupError) as missing:
        client.get_run("0" * 32)
    error = missing.value
    assert isinstance(error, errors.NotFoundError) and error.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert error.http_status == 404 and error.code == "not_found" and error.stop_reason == "permanent"
    assert len(error.attempts) == 1 and error.attempts[0].endpoint == mlflowha_server.url
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and again.attempts == error.attempts and str(again) == str(error)
    with pytest.raises(errors.AlreadyExistsError):
        client.create_registered_model("m")
        client.create_registered_model("m")
    mlflowha_server.stop()
    with pytest.raises(ConnectionError):
        Client(mlflowha_server.url, settings={"retry.max_attempts": 2}).get_run("0" * 32)
    mlflowha_server.start()
    mlflowha_server.pause()
    with pytest.raises(TimeoutError) as late:
        client.get_run("0" * 32, timeout=0.2)
    assert late.value.kind == "timeout" and late.value.is_transient


def test_servers_die_and_nothing_is_lost_or_doubled(mlflowha_cluster: Cluster) -> None:
    client = Client(mlflowha_cluster.endpoints, settings={"timeouts.call": 20})
    mlflowha_cluster[0].set_faults("when path /runs/create nth 1 -> apply_then_drop")
    run_id = client.create_run("0").info.run_id
    for step in range(30):
        if step == 10:
            mlflowha_cluster[0].kill()
        if step == 20:
            mlflowha_cluster[1].kill()
        client.log_metric(run_id, "loss", step, step=step)
    backend = mlflowha_cluster.backend
    assert backend.counts()["runs"] == 1
    assert [point[1] for point in backend.points(run_id, "loss")] == list(range(30))
    assert backend.duplicates() == []


def test_health_and_breakers(client: Client, mlflowha_server: FakeServer) -> None:
    client.search_experiments()
    health = client.health()
    assert health["status"] == "ok" and health["circuit_breaker"]["state"] == "closed"
    client.force_open()
    with pytest.raises(errors.MlflowhaError):
        client.search_experiments(timeout=0.3)
    client.reset_circuit_breaker(mlflowha_server.url)
    client.search_experiments()
    with pytest.raises(ValueError, match="is not in the list"):
        client.force_open("http://elsewhere:1")
    with pytest.raises(ValueError, match="expected one of none"):
        client.set_breaker_override("ajar")


def test_settings_come_from_code_then_from_the_environment(mlflowha_server: FakeServer) -> None:
    environment = {"MLFLOW_TRACKING_URI": mlflowha_server.url, "MLFLOW_RETRY_MAX_ATTEMPTS": "4"}
    with Client(environment=environment, timeouts_call=timedelta(seconds=7)) as client:
        settings = {name: (source, value) for name, source, value in client.settings()}
        assert settings["retry.max_attempts"] == ("MLFLOW_RETRY_MAX_ATTEMPTS", "4")
        assert settings["timeouts.call"][0] == "code"
        assert client.endpoints == [mlflowha_server.url]
    # An address that this library can't use is no fault when the code brings its own.
    Client(mlflowha_server.url, environment={"MLFLOW_TRACKING_URI": "sqlite:///x.db"})
    assert Client("mlflowha+" + mlflowha_server.url).endpoints == [mlflowha_server.url]


def test_calls_past_the_typed_ones(client: Client) -> None:
    assert client.call("get_experiment", {"experiment_id": "0"})["experiment"]["name"] == "Default"
    with pytest.raises(ValueError, match="perhaps get_experiment"):
        client.call("get_experimet", {})
    core = client._core
    assert '"Default"' in core.call_custom("GET", "/api/2.0/mlflow/experiments/get", '{"experiment_id": "0"}')
    assert core.call_custom("GET", "/health", answer="text") == "OK"
    with pytest.raises(ValueError, match="expected one of GET"):
        core.call_custom("FETCH", "/health")
    with pytest.raises(ValueError, match="idempotency"):
        core.call_custom("POST", "/x", idempotency="perhaps")


def test_objects_of_mlflow_can_be_logged_as_they_are(client: Client) -> None:
    class Metric:
        def __init__(self, key: str, value: float, timestamp: int, step: int) -> None:
            self.key, self.value, self.timestamp, self.step = key, value, timestamp, step

    class Param:
        def __init__(self, key: str, value: str) -> None:
            self.key, self.value = key, value

    run_id = client.create_run("0").info.run_id
    metrics = [Metric(f"m{i}", i, 5, i) for i in range(1500)]
    client.log_batch(run_id, metrics, [Param("p", "1")], {"t": 1})
    found = client.get_run(run_id).data
    assert len(found.metrics) == 1500 and found.params == {"p": "1"}
    with pytest.raises(TypeError, match=r"metrics\[0\]"):
        client.log_batch(run_id, ["x"])


def test_the_package_and_the_library_have_one_version() -> None:
    assert mlflowha.__version__ == metadata.version("mlflowha") == mlflowha._core.build_info()["version"]


def test_every_name_of_the_package_is_there() -> None:
    for name in mlflowha.__all__:
        assert getattr(mlflowha, name) is not None
    for name in entities.__all__:
        value = getattr(entities, name)
        if hasattr(value, "from_dict"):
            assert value.from_dict({}) == value()
    with pytest.raises(AttributeError):
        mlflowha.nothing  # noqa: B018
