"""RunLogger's on_degraded and on_recovered: when they are called, and that nothing which they do can hurt."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflowha import Client, RunLogger, errors, replay
from mlflowha.testing import FakeServer


def client_of(server: FakeServer) -> Client:
    """One that soon gives up."""
    return Client(server.url, retry_max_attempts=2, retry_backoff_base=0.01)


def until(true: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_outage_is_told_and_its_end(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    told: list[Any] = []
    threads: list[int] = []

    def note(what: Any) -> None:
        threads.append(threading.get_ident())
        told.append(what)

    with RunLogger(client_of(mlflowha_server), directory=tmp_path, on_degraded=note, on_recovered=note) as logger:
        logger.log_metric("m", 0)
        assert logger.flush(20).drained and told == []
        mlflowha_server.stop()
        logger.log_metric("m", 1, 1)
        until(lambda: told)
        assert logger.status().state == "degraded"
        time.sleep(0.5)
        mlflowha_server.start()
        until(lambda: len(told) == 2)
    why, after = told
    assert isinstance(why, errors.MlflowhaError) and isinstance(why, ConnectionError)
    assert isinstance(after, float) and 0.4 < after < 60
    assert threading.get_ident() not in threads and len(set(threads)) == 1


def test_one_of_them_is_enough(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    mlflowha_server.stop()
    told: list[float] = []
    with RunLogger(client_of(mlflowha_server), directory=tmp_path, on_recovered=told.append) as logger:
        logger.log_metric("m", 0)
        until(lambda: logger.status().state == "degraded")
        mlflowha_server.start()
        until(lambda: told)


def test_what_a_callback_raises_is_swallowed(
    mlflowha_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: unraisable.append((told.exc_type, repr(told.object))))

    def fail(what: object) -> None:
        raise SystemExit if isinstance(what, float) else ZeroDivisionError

    mlflowha_server.stop()
    logger = RunLogger(client_of(mlflowha_server), directory=tmp_path, on_degraded=fail, on_recovered=fail)
    logger.log_metric("m", 1)
    until(lambda: len(unraisable) == 1)
    mlflowha_server.start()
    until(lambda: len(unraisable) == 2)
    assert logger.close(20).drained
    assert [kind for kind, _ in unraisable] == [ZeroDivisionError, SystemExit]
    assert "RunLogger.on_degraded" in unraisable[0][1] and "RunLogger.on_recovered" in unraisable[1][1]


def test_a_callback_may_log_and_is_refused_what_would_wait_for_itself(
    mlflowha_server: FakeServer, tmp_path: Path
) -> None:
    caught: list[str] = []
    done = threading.Event()

    def react(why: object) -> None:
        logger.set_tag("degraded", True)
        logger.log_metric("seen", 1)
        logger.commit()
        caught.append(logger.status().state)
        for call in (logger.flush, logger.close):
            try:
                call(0.1)
            except RuntimeError as error:
                caught.append(str(error))
        done.set()

    mlflowha_server.stop()
    logger = RunLogger(client_of(mlflowha_server), directory=tmp_path, on_degraded=react)
    logger.log_metric("m", 1)
    assert done.wait(20)
    mlflowha_server.start()
    run_id = logger.close(20).run_id
    assert caught[0] == "degraded" and [text.split("(")[0] for text in caught[1:]] == ["flush", "close"]
    assert len(mlflowha_server.backend.points(run_id, "seen")) == 1


def test_close_waits_for_a_callback_with_the_gil_free(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    begun = threading.Event()

    def slow(why: object) -> None:
        begun.set()
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            pass

    mlflowha_server.stop()
    logger = RunLogger(client_of(mlflowha_server), directory=tmp_path, on_degraded=slow)
    logger.log_metric("m", 1)
    assert begun.wait(20)
    began = time.monotonic()
    assert not logger.close(0.1).drained
    assert time.monotonic() - began < 5


def test_the_last_reference_may_go_in_a_callback(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    mlflowha_server.stop()
    client = client_of(mlflowha_server)
    box: list[RunLogger] = []

    def drop(why: object) -> None:
        box[0].log_metric("m", 1, 1)
        box.clear()

    logger = RunLogger(client, directory=tmp_path, on_degraded=drop)
    box.append(logger)
    gone = weakref.ref(logger)
    logger.log_metric("m", 0)
    del logger
    until(lambda: gone() is None)
    until(lambda: not any(in_use for _, in_use in client_spools(tmp_path)))
    mlflowha_server.start()
    client.reset_circuit_breaker()
    assert replay(tmp_path, client)["waiting"] == 0
    (run_id,) = mlflowha_server.backend.runs()
    assert [step for _, step, _ in mlflowha_server.backend.points(run_id, "m")] == [0, 1]


def client_spools(directory: Path) -> list[tuple[str, bool]]:
    from mlflowha import Spool

    return Spool(directory).files()


def test_a_callback_that_refers_to_its_logger_keeps_nothing_alive(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    class Job:
        def __init__(self) -> None:
            self.logger = RunLogger(client_of(mlflowha_server), directory=tmp_path, on_degraded=self.note)

        def note(self, why: object) -> None: ...

    job = Job()
    job.logger.log_metric("m", 1)
    gone = weakref.ref(job.logger)
    del job
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("work", ["time.sleep(60)", "while True: pass", "logger.log_metric('m', 2, 2)", ""])
def test_a_program_ends_whatever_a_callback_does(mlflowha_server: FakeServer, tmp_path: Path, work: str) -> None:
    # The last one waits for ever outside of the program's own module, which can then be taken down with the logger.
    callback = "note" if work else "queue.SimpleQueue().get"
    mlflowha_server.stop()
    began = time.monotonic()
    script = f"""
        import queue, sys, time, mlflowha

        def note(why):
            {work or "pass"}

        client = mlflowha.Client(sys.argv[1], retry_max_attempts=1)
        logger = mlflowha.RunLogger(client, directory=sys.argv[2], on_degraded={callback})
        logger.log_metric("m", 1, 1)
        while logger.status().state != "degraded":
            time.sleep(0.01)
        time.sleep(0.3)
        logger.log_metric("late", 1)
        """
    command = [sys.executable, "-c", textwrap.dedent(script), mlflowha_server.url, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 30
    mlflowha_server.start()
    assert replay(tmp_path, client_of(mlflowha_server))["waiting"] == 0
    (run_id,) = mlflowha_server.backend.runs()
    assert len(mlflowha_server.backend.points(run_id, "late")) == 1


def test_a_fork_in_the_middle_of_a_callback(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    parent = os.getpid()
    begun, go_on = threading.Event(), threading.Event()
    in_child: list[object] = []

    def note(why: object) -> None:
        if os.getpid() != parent:
            in_child.append(why)
            return
        begun.set()
        go_on.wait(20)

    logger = RunLogger(client_of(mlflowha_server), directory=tmp_path, on_degraded=note)
    logger.log_metric("m", 0)
    assert logger.flush(20).drained and logger.run_id
    mlflowha_server.stop()
    logger.log_metric("m", 1, 1)
    assert begun.wait(20)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            logger.log_metric("m", 2, 2)
            until(lambda: in_child)
            began = time.monotonic()
            logger._core.mute()  # nothing is under way here, whatever is at the parent's
            assert time.monotonic() - began < 0.9
            assert not logger.close(0.1).drained
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    go_on.set()
    mlflowha_server.start()
    report = logger.close(30)
    assert report.drained
    assert replay(tmp_path, client_of(mlflowha_server))["waiting"] == 0
    assert sorted(step for _, step, _ in mlflowha_server.backend.points(report.run_id, "m")) == [0, 1, 2]
