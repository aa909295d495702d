"""Against a real MLflow server: `make test` starts two and says where; without that these tests are skipped."""

from __future__ import annotations

import asyncio
import json
import math
import os
import ssl
import subprocess
import uuid
from pathlib import Path

import pytest
from mlflowha import Client, RunLogger, aio, errors
from mlflowha.testing import FakeServer, FaultProxy

STATE = os.environ.get("MLFLOWHA_CONTRACT_SERVER", "")


@pytest.fixture(scope="module")
def urls() -> list[str]:
    if not os.path.isfile(STATE):
        pytest.skip("no real MLflow server")
    found: list[str] = json.loads(Path(STATE).read_text(encoding="utf-8"))["urls"]
    return found


@pytest.fixture
def experiment(urls: list[str]) -> str:
    return Client(urls).create_experiment(f"python-{uuid.uuid4()}")


def test_what_is_logged_can_be_read(urls: list[str], experiment: str, tmp_path: Path) -> None:
    client = Client(urls)
    run = client.create_run(experiment, run_name="r", tags={"k": "v"})
    client.log_batch(run.info.run_id, {"a": 1.5, "nan": math.nan}, {"lr": 0.1}, {"t": 1})
    client.log_metric(run.info.run_id, "b", 2, step=7)
    client.set_terminated(run.info.run_id)
    with RunLogger(client, run_id=run.info.run_id, directory=str(tmp_path)) as logger:
        logger.log_metric("c", 3.0, 1)
    (found,) = client.search_runs([experiment], "metrics.a > 1", order_by=["metrics.a DESC"])
    assert found.info.run_id == run.info.run_id and found.info.status == "FINISHED"
    assert found.data.metrics["b"] == 2.0 and found.data.metrics["c"] == 3.0 and math.isnan(found.data.metrics["nan"])
    assert found.data.params == {"lr": "0.1"} and found.data.tags["k"] == "v"
    assert [point.step for point in client.get_metric_history(run.info.run_id, "b")] == [7]
    with pytest.raises(errors.NotFoundError):
        client.get_run("0" * 32)


def test_records_of_a_dataset_over_many_pages(urls: list[str], experiment: str) -> None:
    client = Client(urls)
    dataset_id = client.create_dataset(f"python-{uuid.uuid4()}", experiment_ids=[experiment]).dataset_id
    records = [{"inputs": {"q": i}, "expectations": {"a": f'"{i}" é'}, "tags": {"t": "u"}} for i in range(11)]
    client.upsert_dataset_records(dataset_id, json.dumps(records))
    page = client.get_dataset_records(dataset_id, max_results=4)
    assert len(page) == 4 and page.token and page[0].dataset_id == dataset_id
    found = list(client.get_dataset_records_all(dataset_id, max_results=4))
    assert sorted(record.inputs["q"] for record in found) == list(range(11))
    assert all(record.expectations == {"a": f'"{record.inputs["q"]}" é'} for record in found)
    assert {record.tags["t"] for record in found} == {"u"} and len({record.dataset_record_id for record in found}) == 11

    async def by_turns() -> list[int]:
        async with aio.Client(urls) as turns:
            return [record.inputs["q"] async for record in turns.get_dataset_records_all(dataset_id, max_results=4)]

    assert sorted(asyncio.run(by_turns())) == list(range(11))
    assert list(client.get_dataset_records_all("d-none")) == []


def test_lost_answers_make_nothing_twice(urls: list[str], experiment: str) -> None:
    with FaultProxy(urls[0], faults="when path /runs/create share 30% -> apply_then_drop") as proxy:
        client = Client([proxy.url, urls[1]])
        made = [client.create_run(experiment, run_name=f"r{i}").info.run_id for i in range(20)]
        client.close()
    assert sorted(run.info.run_id for run in Client(urls).search_runs_all([experiment])) == sorted(made)


def test_files_arrive_whole_while_a_server_fails(urls: list[str], experiment: str, tmp_path: Path) -> None:
    folder, back = tmp_path / "out", tmp_path / "back"
    back.mkdir()
    for i in range(6):
        (folder / f"d{i % 2}").mkdir(parents=True, exist_ok=True)
        (folder / f"d{i % 2}" / f"{i} ä+&.bin").write_bytes(os.urandom(1_000_000 * (i % 3)))
    with FaultProxy(urls[0]) as proxy:

        def failing(rule: str) -> Client:
            proxy.set_faults(rule)
            return Client([proxy.url, urls[1]])

        def fired() -> bool:
            return proxy.fault_counts()[0]["fired"] == 1

        run_id = failing("").create_run(experiment).info.run_id
        failing("when method PUT nth 2 -> drop_before").log_artifacts(run_id, folder, "all")
        assert fired()
        failing("when method PUT nth 1 -> apply_then_drop").log_text(run_id, "größer", "notes/a.txt")
        assert fired()
        client = failing("when path /mlflow-artifacts/artifacts/ nth 3 -> truncate 1000")
        assert client.download_artifacts(run_id, "all", back) == str(back / "all")
        assert fired()
        client = failing("")
        client.get_run(run_id)
        proxy.kill()
        assert Path(client.download_artifacts(run_id, "notes/a.txt", back)).read_text(encoding="utf-8") == "größer"
        with pytest.raises(errors.NotFoundError):
            client.download_artifacts(run_id, "none", back)
    sent = {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.bin")}
    assert {file.relative_to(back / "all"): file.read_bytes() for file in (back / "all").rglob("*.bin")} == sent
    model = client.create_logged_model(experiment, "files")
    client.log_model_artifacts(model.info.model_id, folder, "x")
    assert {Path(file.path).name for file in client.list_logged_model_artifacts(model.info.model_id, "x").files} == {
        "d0",
        "d1",
    }


def test_the_registry_and_asyncio(urls: list[str]) -> None:
    name = f"python-{uuid.uuid4()}"

    async def work() -> None:
        async with aio.Client(urls) as client:
            await client.create_registered_model(name, {"k": "v"})
            version = await client.create_model_version(name, "s3://bucket/model")
            await client.set_registered_model_alias(name, "champion", version.version)
            assert (await client.get_model_version_by_alias(name, "champion")).version == version.version
            assert [m.name async for m in client.search_registered_models_all(f"name = '{name}'")] == [name]
            await client.delete_registered_model(name)

    asyncio.run(work())


OFFICIAL = Path(__file__).resolve().parents[2] / "build/venv/mlflow-3/bin/python"


@pytest.mark.skipif(not OFFICIAL.is_file(), reason="no MLflow beside")
def test_mlflows_own_client_can_use_the_doubles(mlflowha_server: FakeServer) -> None:
    script = """
import mlflow, sys
mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run(run_name="theirs") as run:
    mlflow.log_metric("m", 1.5, step=3)
    mlflow.log_params({"p": 1})
print(run.info.run_id)
"""
    done = subprocess.run(
        [str(OFFICIAL), "-W", "ignore", "-c", script, mlflowha_server.url],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    (run_id,) = mlflowha_server.backend.runs()
    assert run_id in done.stdout and mlflowha_server.backend.points(run_id, "m")[0][1:] == (3, 1.5)
    assert Client(mlflowha_server.url).get_run(run_id).info.status == "FINISHED"


def test_authorities_of_this_machine() -> None:
    from mlflowha import _authorities

    found = _authorities.find()
    assert found is None or ssl.create_default_context(cafile=found)
