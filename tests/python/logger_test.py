"""RunLogger, Spool and replay."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from mlflowha import Client, RunLogger, Spool, errors, replay
from mlflowha.testing import FakeServer


def test_everything_that_is_logged_arrives(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    client = Client(mlflowha_server.url)
    with RunLogger(client, experiment="e", run_name="r", tags={"n": 1}, directory=str(tmp_path)) as logger:
        for i in range(2000):
            logger.log_metric("loss", i / 10, i)
        logger.log_metric(key="loss", value=-1, step=2000, timestamp=5)
        logger.log_metric("nan", math.nan)
        logger.log_metrics({"a": 1, "b": 2.5}, step=3)
        logger.log_param("lr", 0.1)
        logger.log_params({"x": 1, "y": None})
        logger.set_tag("t", 5)
        logger.log_input("d", "abc", source_type="local", source="/data", tags={"mlflow.data.context": "training"})
        flushed = logger.flush(30)
        assert flushed.drained and flushed.waiting == 0
        run_id = logger.run_id
        assert run_id == flushed.run_id and logger.local_id
        status = logger.status()
        assert status.state == "online" and status.waiting == 0 and status.last_error is None
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == "r" and run.data.tags["n"] == "1"
    assert run.data.params == {"lr": "0.1", "x": "1", "y": "None"} and run.data.metrics["b"] == 2.5
    assert math.isnan(run.data.metrics["nan"])
    assert run.inputs.dataset_inputs[0].dataset.name == "d"
    points = mlflowha_server.backend.points(run_id, "loss")
    assert len(points) == 2001 and points[0] == (5, 2000, -1.0)
    assert Spool(str(tmp_path)).files() == []


def test_an_outage_loses_nothing_and_replay_delivers(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    mlflowha_server.stop()
    client = Client(mlflowha_server.url)
    logger = RunLogger(client, directory=str(tmp_path))
    for i in range(100):
        logger.log_metric("m", i, i)
    report = logger.close(0.3)
    assert not report.drained and report.waiting and report.spool and "mlflowha replay" in report.replay
    assert report.last_error is None or isinstance(report.last_error, errors.MlflowhaError)
    assert [path for path, _ in Spool(str(tmp_path)).files()] == [report.spool]
    with pytest.raises(errors.MlflowhaError):
        logger.log_metric("m", 1)
    assert replay(str(tmp_path), client, dry_run=True)["delivered"] == 0
    mlflowha_server.start()
    client.reset_circuit_breaker()
    assert Spool(str(tmp_path)).replay(client)["waiting"] == 0
    (run_id,) = mlflowha_server.backend.runs()
    assert [step for _, step, _ in mlflowha_server.backend.points(run_id, "m")] == list(range(100))
    assert client.get_run(run_id).info.status == "FINISHED"


def test_a_replay_of_a_directory_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from mlflowha.__main__ import main

    monkeypatch.setenv("MLFLOWHA_ENDPOINTS", "http://127.0.0.1:9")
    for wrong in (str(tmp_path / "mistyped"), __file__):
        monkeypatch.setattr("sys.argv", ["mlflowha", "replay", wrong])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert f"directory: value is '{wrong}', expected a directory that exists" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["mlflowha", "replay", str(tmp_path)])
    assert main() == 0


def test_closing_again_says_the_same(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    with RunLogger(Client(mlflowha_server.url), directory=str(tmp_path)) as logger:
        logger.log_metric("m", 1)
        report = logger.close(30)
        assert report.drained
        assert logger.close() is report
    assert logger.close() is report


def test_a_directory_may_be_a_path(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    mlflowha_server.stop()
    client = Client(mlflowha_server.url)
    logger = RunLogger(client, directory=tmp_path)
    logger.log_metric("m", 1)
    spool = logger.close(0.1).spool
    assert Path(spool).parent == tmp_path
    assert [path for path, _ in Spool(tmp_path).files()] == [spool]
    assert replay(tmp_path, client, dry_run=True)["delivered"] == 0


def test_an_exception_fails_the_run(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    client = Client(mlflowha_server.url)
    with pytest.raises(ZeroDivisionError), RunLogger(client, directory=str(tmp_path)) as logger:
        logger.log_metric("m", 1)
        logger.flush(30)
        1 / 0  # noqa: B018
    (run_id,) = mlflowha_server.backend.runs()
    assert client.get_run(run_id).info.status == "FAILED"


def test_logging_into_a_run_that_exists(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    client = Client(mlflowha_server.url)
    run_id = client.create_run("0").info.run_id
    with RunLogger(client, run_id=run_id, directory=str(tmp_path), durability="each") as logger:
        logger.log_metric("m", 2.0, 1)
    assert client.get_run(run_id).data.metrics == {"m": 2.0}


@pytest.mark.parametrize(
    ("kind", "text", "call"),
    [
        (TypeError, "key: value is 5", lambda x: x.log_metric(5, 1.0)),
        (TypeError, "value: value is 'x', expected a number", lambda x: x.log_metric("k", "x")),
        (TypeError, "value: value is [1.0], expected a number", lambda x: x.log_metric("k", [1.0])),
        (errors.InvalidArgumentError, "expected a number that a double", lambda x: x.log_metric("k", 10**400)),
        (TypeError, "needs key and value", lambda x: x.log_metric("k")),
        (TypeError, "unexpected argument 'steps'", lambda x: x.log_metric("k", 1.0, steps=1)),
        (TypeError, "twice the argument 'key'", lambda x: x.log_metric("k", 1.0, key="k")),
        (TypeError, "at most 4", lambda x: x.log_metric("k", 1.0, 1, 1, 1)),
        (TypeError, "step: value is 1.5, expected a whole number", lambda x: x.log_metric("k", 1.0, 1.5)),
        (TypeError, "step: value is True, expected a whole number", lambda x: x.log_metric("k", 1.0, True)),
        (errors.InvalidArgumentError, "step: value is 1180", lambda x: x.log_metric("k", 1.0, 1 << 70)),
        (errors.InvalidArgumentError, "timestamp: value is -1, exp", lambda x: x.log_metric("k", 1.0, 1, -1)),
        (errors.InvalidArgumentError, "timestamp: value is 1180", lambda x: x.log_metric("k", 1.0, 1, 1 << 70)),
        (TypeError, "timestamp: value is 'now'", lambda x: x.log_metric("k", 1.0, 1, "now")),
        (errors.InvalidArgumentError, "key: value is '\\ud800'", lambda x: x.log_metric("\ud800", 1.0)),
        (ValueError, "key", lambda x: x.log_metric("", 1.0)),
        (ValueError, "key", lambda x: x.log_metric("../k", 1.0)),
        (ValueError, "status", lambda x: x.end("GONE")),
        (TypeError, "metrics: key: value is 5", lambda x: x.log_metrics({5: 1.0})),
        (TypeError, "metrics['k']: value is None", lambda x: x.log_metrics({"k": None})),
        (TypeError, "step: value is 1.5", lambda x: x.log_metrics({"k": 1.0}, 1.5)),
        (ValueError, "timestamp: value is -1", lambda x: x.log_metrics({"k": 1.0}, 1, -1)),
        (ValueError, "params['p']: value is", lambda x: x.log_param("p", "\ud800")),
        (ValueError, "tags: key: value is", lambda x: x.set_tags({"\ud800": 1})),
        (TypeError, "digest: value is 5", lambda x: x.log_input("n", 5, source_type="a", source="b")),
        (TypeError, "schema: value is 5", lambda x: x.log_input("n", "d", source_type="a", source="b", schema=5)),
        (ValueError, "there is no setting wrong", lambda x: RunLogger(x.client, wrong=1)),
        (TypeError, "max_spool_bytes: value is True, expected a", lambda x: RunLogger(x.client, max_spool_bytes=True)),
        (TypeError, "linger: value is True, expected seconds", lambda x: RunLogger(x.client, linger=True)),
        (ValueError, "expected none, interval or each", lambda x: RunLogger(x.client, durability="some")),
        (ValueError, "expected spill, block or reject", lambda x: RunLogger(x.client, when_full="wait")),
        (errors.InvalidArgumentError, "start_time: value is -5, exp", lambda x: RunLogger(x.client, start_time=-5)),
        (errors.InvalidArgumentError, "start_time: value is -1, exp", lambda x: RunLogger(x.client, start_time=-1)),
        (TypeError, "start_time: value is 'now', expected", lambda x: RunLogger(x.client, start_time="now")),
        (TypeError, "on_degraded: value is 5, expected a", lambda x: RunLogger(x.client, on_degraded=5)),
    ],
)
def test_bad_input_is_refused_at_once(mlflowha_server: FakeServer, tmp_path: Path, kind, text, call) -> None:
    logger = RunLogger(Client(mlflowha_server.url), directory=str(tmp_path))
    with pytest.raises(kind) as caught:
        call(logger)
    assert text in str(caught.value)
    logger.close(20)


def test_numbers_and_times_of_every_kind(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    class Whole:
        def __index__(self) -> int:
            return 3

    class Array:  # of one entry, which numpy doesn't take for a number
        def __float__(self) -> float:
            raise TypeError("only 0-dimensional arrays can be converted to Python scalars")

        def item(self) -> float:
            return 4.0

    day = datetime(2026, 1, 2, tzinfo=timezone.utc)
    client = Client(mlflowha_server.url)
    with RunLogger(client, directory=str(tmp_path), start_time=day) as logger:
        logger.log_metric("m", Decimal(1), 1, 0)
        logger.log_metric("m", "2", Whole(), day)
        logger.log_metric("m", Array(), None, 5.0)
        run_id = logger.flush(20).run_id
    found = [(point.value, point.step, point.timestamp) for point in client.get_metric_history(run_id, "m")]
    assert sorted(found) == [(1.0, 1, 0), (2.0, 3, 1767312000000), (4.0, 0, 5)]
    assert client.get_run(run_id).info.start_time == 1767312000000


def test_a_subclass_may_change_log_metric(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    class Doubling(RunLogger):
        def log_metric(self, key: str, value: float, step: int | None = 0, timestamp: int | None = None) -> None:
            super().log_metric(key, 2 * value, step, timestamp)

    client = Client(mlflowha_server.url)
    with Doubling(client, directory=str(tmp_path)) as logger:
        logger.log_metric("m", 2.0)
    (run_id,) = mlflowha_server.backend.runs()
    assert client.get_run(run_id).data.metrics == {"m": 4.0}


#: A spool that is full at once while no server answers, and the smallest memory for what waits for it.
SMALL = {"max_spool_bytes": 20_000, "max_buffer_bytes": 65_536}


def test_a_full_logger_rejects_where_that_is_wanted(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    mlflowha_server.stop()
    client = Client(mlflowha_server.url)
    logger = RunLogger(client, directory=tmp_path, when_full="reject", **SMALL)
    taken = 0
    with pytest.raises(errors.StorageError, match="max_buffer_bytes") as caught:
        while taken < 100_000:
            logger.log_metric("m", taken, taken)
            taken += 1
    assert isinstance(caught.value, OSError) and caught.value.code == "storage_full"
    assert taken > 100
    mlflowha_server.start()
    client.reset_circuit_breaker()
    report = logger.close(30)
    assert report.drained
    points = mlflowha_server.backend.points(report.run_id, "m")
    assert [step for _, step, _ in points] == list(range(taken))  # all that it took, and nothing that it refused


def test_a_full_logger_blocks_where_that_is_wanted(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    mlflowha_server.stop()
    client = Client(mlflowha_server.url)
    logger = RunLogger(client, directory=tmp_path, when_full="block", **SMALL)
    wanted, taken = 20_000, 0

    def log() -> None:
        nonlocal taken
        for step in range(wanted):
            logger.log_metric("m", step, step)
            taken += 1

    thread = threading.Thread(target=log)
    thread.start()
    before = -1
    while taken != before:  # this thread runs on while the other waits
        before = taken
        time.sleep(0.3)
    assert thread.is_alive() and 100 < taken < wanted
    mlflowha_server.start()
    client.reset_circuit_breaker()
    thread.join(60)
    assert not thread.is_alive() and taken == wanted
    report = logger.close(30)
    assert report.drained
    points = mlflowha_server.backend.points(report.run_id, "m")
    assert [step for _, step, _ in points] == list(range(wanted))


def test_close_has_an_end_where_log_calls_have_none(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    mlflowha_server.stop()
    client = Client(mlflowha_server.url)
    logger = RunLogger(client, directory=tmp_path, when_full="block", durability="each", **SMALL)

    taken = 0

    def fill() -> None:
        nonlocal taken
        with contextlib.suppress(errors.CancelledError):  # closed
            while True:
                logger.set_tag("t", "")  # less than the end of a run
                taken += 1

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    before = -1
    while taken != before:
        before = taken
        time.sleep(0.3)
    began = time.monotonic()
    with pytest.raises(errors.StorageError):
        logger.close(1)
    assert time.monotonic() - began < 10
    mlflowha_server.start()
    client.reset_circuit_breaker()
    assert logger.close(30).drained
    thread.join(10)


def test_a_run_that_failed_has_failed_also_where_there_is_no_room(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    mlflowha_server.stop()
    client = Client(mlflowha_server.url)

    def come_back() -> None:
        mlflowha_server.start()
        client.reset_circuit_breaker()

    with (
        pytest.raises(errors.StorageError, match="no room"),
        RunLogger(client, directory=tmp_path, durability="each", **SMALL) as logger,
    ):
        threading.Timer(1, come_back).start()
        while True:
            logger.log_metric("m", 1.0)
    report = logger.close()
    assert report.drained and client.get_run(report.run_id).info.status == "FAILED"


def test_threads_that_close_a_logger_are_told_the_same(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    mlflowha_server.set_faults("when path /runs/update -> delay 300ms")
    logger = RunLogger(Client(mlflowha_server.url), directory=tmp_path)
    logger.log_metric("m", 1.0)
    with ThreadPoolExecutor(4) as threads:
        reports = list(threads.map(lambda _: logger.close(20), range(4)))
    assert reports[0].drained and reports == [reports[0]] * 4


def test_files_go_along_and_close_says_what_it_compared(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"one")
    (folder / "deep" / "b.txt").write_bytes(b"two")
    client = Client(mlflowha_server.url)
    logger = RunLogger(client, directory=str(tmp_path / "spool"), durability="each", keep_artifacts="copy")
    logger.log_artifact(folder / "a.txt", "top")
    (folder / "a.txt").write_bytes(b"written over")
    logger.log_artifacts(str(folder / "deep"))
    logger.log_metric("m", 1.5)
    report = logger.close(30)
    assert report.drained
    assert report.verified is not None and report.verified.done, report.verified
    assert report.verified.checked >= 4 and report.verified.different == 0 and report.verified.error is None
    found = client.list_artifacts(run_id=report.run_id, path="top")
    assert [(file.path, file.file_size) for file in found.files] == [("top/a.txt", 3)]
    unverified = RunLogger(client, directory=str(tmp_path / "spool"), verify_on_close=False).close(30)
    assert unverified.drained and unverified.verified is None


def test_files_that_are_refused(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 100)
    with RunLogger(Client(mlflowha_server.url), directory=str(tmp_path / "spool"), max_artifact_bytes=99) as logger:
        with pytest.raises(errors.StorageError, match="100"):
            logger.log_artifact(large)
        with pytest.raises(errors.StorageError, match="nothing-here"):
            logger.log_artifact(tmp_path / "nothing-here")
    with pytest.raises(ValueError, match=r"keep_artifacts.*copy or link"):
        RunLogger(Client(mlflowha_server.url), keep_artifacts="move")


def test_a_place_whose_name_is_no_text(
    mlflowha_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a program that is started in such a directory, and of paths as os.fsdecode() has them."""
    place = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(place)
    monkeypatch.chdir(place)
    client = Client(mlflowha_server.url, timeouts_call=2)
    mlflowha_server.stop()
    for directory in (None, os.path.abspath("a"), os.fsencode(os.path.abspath("b")), Path("c").resolve()):
        logger = RunLogger(client, directory=directory)
        logger.log_metric("m", 1.0)
        report = logger.close(0.1)
        assert report == logger.close() and not report.drained
        assert os.path.exists(report.spool) and os.fsencode(report.spool).startswith(place)
        folder = os.path.dirname(report.spool)
        assert Spool(folder).files() == [(report.spool, False)]
    mlflowha_server.start()
    client.reset_circuit_breaker()
    found = replay(folder, client, patience=20)
    assert found["complete"] and found["delivered"] > 0
    with pytest.raises(ValueError, match="cert"):
        Client("https://127.0.0.1:1", tls_client_cert=os.path.abspath("cert"))
    authorities = Path(os.path.abspath("ca"))
    authorities.write_text("")
    given = {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(authorities)}
    there = Client(mlflowha_server.url, environment={**given, "OTHER": "caf\udce9"})
    assert ("tls.ca_file", "MLFLOW_TRACKING_SERVER_CERT_PATH", str(authorities)) in there.settings()


def test_folders_whose_names_are_no_text(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"one")
    client = Client(mlflowha_server.url)
    logger = RunLogger(client, directory=str(tmp_path / "spool"))
    logger.log_artifact(folder / "a.txt", "file")
    logger.log_artifacts(folder, "folder")
    run_id = logger.close(30).run_id
    assert [file.path for file in client.list_artifacts(run_id, "file").files] == ["file/a.txt"]
    assert [file.path for file in client.list_artifacts(run_id, "folder").files] == ["folder/a.txt"]
