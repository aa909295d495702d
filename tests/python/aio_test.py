"""mlflowha.aio.Client."""

from __future__ import annotations

import asyncio
import inspect
import os
import time

import pytest
from mlflowha import Client, aio, errors
from mlflowha.testing import FakeServer


def test_the_same_calls_for_asyncio(mlflowha_server: FakeServer) -> None:
    async def work() -> None:
        async with aio.Client(mlflowha_server.url, threads=4) as client:
            run = await client.create_run("0", run_name="r")
            run_id = run.info.run_id
            await asyncio.gather(*(client.log_metric(run_id, "m", i, step=i) for i in range(20)))
            await client.log_batch(run_id, {"a": 1}, {"p": 1}, {"t": 1})
            assert len(await client.get_metric_history(run_id, "m")) == 20
            assert [r.info.run_id async for r in client.search_runs_all(["0"])] == [run_id]
            await client.set_terminated(run_id)
            assert (await client.get_run(run_id)).info.status == "FINISHED"
            assert await client.get_experiment_by_name("nobody") is None
            assert (await client.call("get_experiment", {"experiment_id": "0"}))["experiment"]
            with pytest.raises(errors.NotFoundError):
                await client.get_run("0" * 32)
            assert client.sync.health()["status"] == "ok"

    asyncio.run(work())


def test_cancelling_a_task_ends_its_call(mlflowha_server: FakeServer) -> None:
    async def work() -> None:
        async with aio.Client(mlflowha_server.url, threads=1) as client:
            mlflowha_server.pause()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.get_experiment("0", timeout=30), 0.2)
            mlflowha_server.resume()
            # The only thread is free again at once.
            began = time.monotonic()
            await client.get_experiment("0")
            assert time.monotonic() - began < 5

    asyncio.run(work())


def test_closing_twice_does_nothing(mlflowha_server: FakeServer) -> None:
    async def work() -> None:
        async with aio.Client(mlflowha_server.url) as client:
            await client.get_experiment("0")
            await client.close()
        with pytest.raises(RuntimeError):
            await client.get_experiment("0")

    asyncio.run(work())


def test_a_forked_child_has_threads_of_its_own(mlflowha_server: FakeServer) -> None:
    client = aio.Client(mlflowha_server.url, threads=1)

    async def work() -> str:
        return (await asyncio.wait_for(client.get_experiment("0"), 10)).name

    assert asyncio.run(work()) == "Default"
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if asyncio.run(work()) == "Default" else 1)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0) == (pid, 0)
    asyncio.run(client.close())


def test_both_clients_have_the_same_calls() -> None:
    def calls(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    blocking, asynchronous = calls(Client), calls(aio.Client)
    control = {"health", "force_open", "reset_circuit_breaker", "set_breaker_override", "reconcile", "settings"}
    both = set(blocking) - control - {"get_model_version_stages"}  # which asks nobody
    assert both <= set(asynchronous)
    assert {name: blocking[name] for name in both} == {name: asynchronous[name] for name in both}
