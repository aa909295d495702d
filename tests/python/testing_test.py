"""mlflowha.testing: servers and proxies that fail on request, and the fixtures."""

from __future__ import annotations

import os
import signal
import time
import urllib.error
import urllib.request

import pytest
from mlflowha import Client
from mlflowha.testing import Cluster, FakeBackend, FakeServer, FaultProxy


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_faults_are_played_and_counted(mlflowha_server: FakeServer) -> None:
    mlflowha_server.set_faults("when path /health nth 1 -> status 503")
    assert [status_of(mlflowha_server.url + "/health") for _ in range(2)] == [503, 200]
    (rule,) = mlflowha_server.fault_counts()
    assert rule["fired"] == 1 and rule["matched"] == 2
    assert mlflowha_server.requests() == 2 and mlflowha_server.connections() >= 1
    with pytest.raises(ValueError, match="line 1"):
        mlflowha_server.set_faults("when moon full -> howl")


def test_a_proxy_loses_answers_of_any_server(mlflowha_server: FakeServer) -> None:
    with FaultProxy(mlflowha_server.url, faults="when path /runs/create nth 1 -> apply_then_drop") as proxy:
        run = Client(proxy.url).create_run("0")
        assert proxy.forwarded() >= 2 and proxy.requests() >= 2
    assert mlflowha_server.backend.runs() == [run.info.run_id]
    assert mlflowha_server.backend.duplicates() == []


def test_a_cluster_shares_its_database(mlflowha_cluster: Cluster) -> None:
    run_id = Client(mlflowha_cluster.urls[0]).create_run("0").info.run_id
    assert Client(mlflowha_cluster.urls[2]).get_run(run_id).info.run_id == run_id
    assert len(mlflowha_cluster) == 3 and mlflowha_cluster[1].url in mlflowha_cluster.endpoints
    mlflowha_cluster.backend.set_database("down")
    assert status_of(mlflowha_cluster.urls[0] + "/api/2.0/mlflow/experiments/get?experiment_id=0") == 503
    with pytest.raises(ValueError, match="expected up"):
        mlflowha_cluster.backend.set_database("sideways")


def test_what_a_server_can_be() -> None:
    with FakeServer(FakeBackend(mlflow=2, seed=7), username="u", password="p") as server:
        url = server.url
        assert status_of(url + "/api/2.0/mlflow/experiments/get?experiment_id=0") == 401
        client = Client(url, auth_username="u", auth_password="p")
        assert client.get_experiment("0").name == "Default"
        server.stop()
        assert not server.running
        server.start()
        assert server.url == url and server.running
    with pytest.raises(ValueError, match="expected 2 or 3"):
        FakeServer(mlflow=1)


def test_without_the_fixtures_the_plugin_loads_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import sys\ndef test(): assert 'mlflowha' not in sys.modules")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_forked_child_leaves_servers_and_proxies_to_its_parent() -> None:
    pid = 0
    with FakeServer() as server, FaultProxy(server.url) as proxy:
        pid = os.fork()
        if pid == 0:
            try:
                with pytest.raises(RuntimeError, match="belongs to the process"):
                    server.pause()
                proxy.stop()
                del server._core, proxy._core  # as the end of the child's interpreter would
                os._exit(0)
            finally:
                os._exit(1)
        until = time.monotonic() + 10
        while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0 and time.monotonic() < until:
            time.sleep(0.01)
        if ended[0] == 0:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        assert ended == (pid, 0)
        assert Client(proxy.url).get_experiment("0").name == "Default"


@pytest.mark.parametrize("latency", [-1.0, float("nan"), float("inf"), 1e300])
def test_a_latency_that_is_none_is_refused(latency: float) -> None:
    with pytest.raises(ValueError, match=r"latency: value is .*, expected 0\.\.86400 seconds"):
        FakeServer(latency=latency)
