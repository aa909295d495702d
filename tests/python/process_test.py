"""What a library owes its process: Ctrl-C, fork, threads, a quick import, no surprise at its end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from mlflowha import Client, RunLogger, replay
from mlflowha.testing import FakeServer


def interrupted_after(seconds: float, what: int = signal.SIGINT) -> threading.Timer:
    timer = threading.Timer(seconds, lambda: os.kill(os.getpid(), what))
    timer.start()
    return timer


def time_to_interrupt(call) -> float:
    """Seconds from Ctrl-C to its exception."""
    began = time.monotonic()
    interrupted_after(0.3)
    with pytest.raises(KeyboardInterrupt):
        call()
    return time.monotonic() - began - 0.3


def test_ctrl_c_ends_a_call_that_waits_for_an_answer(mlflowha_server: FakeServer) -> None:
    client = Client(mlflowha_server.url)
    mlflowha_server.pause()
    best = min(time_to_interrupt(lambda: client.get_experiment("0", timeout=20)) for _ in range(3))
    assert best < 0.1


def test_ctrl_c_ends_a_wait_between_attempts(mlflowha_server: FakeServer) -> None:
    mlflowha_server.stop()
    client = Client(mlflowha_server.url, settings={"retry.backoff.base": 20, "retry.backoff.cap": 20})
    best = min(time_to_interrupt(lambda: client.get_experiment("0", timeout=20)) for _ in range(3))
    assert best < 0.1


def test_ctrl_c_ends_the_reading_back_of_a_run(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    def interrupted_close() -> float:
        mlflowha_server.set_faults("")
        client = Client(mlflowha_server.url)
        with RunLogger(client, directory=tmp_path, durability="each") as logger:
            logger.log_metric("m", 1.0)
            assert logger.flush(10).drained
            mlflowha_server.set_faults("when path /runs/get -> delay 20s")
            took = time_to_interrupt(lambda: logger.close(20))
        report = logger.close()
        assert report.drained
        assert report.verified is not None and not report.verified.done
        return took

    assert min(interrupted_close() for _ in range(3)) < 0.1
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_a_transfer(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    client = Client(mlflowha_server.url)
    run_id = client.create_run("0").info.run_id
    (tmp_path / "large").write_bytes(b"x" * 20_000_000)
    client.log_artifact(run_id, tmp_path / "large")
    (tmp_path / "back").mkdir()
    # Slow enough to be on its way when Ctrl-C comes.
    mlflowha_server.set_faults("when path /mlflow-artifacts/artifacts/ -> delay 20s")
    best = min(time_to_interrupt(lambda: client.log_artifact(run_id, tmp_path / "large")) for _ in range(3))
    assert best < 0.1
    best = min(time_to_interrupt(lambda: client.download_artifacts(run_id, "", tmp_path / "back")) for _ in range(3))
    assert best < 0.1
    assert list((tmp_path / "back").iterdir()) == []  # no part of a file is left


def test_ctrl_c_ends_a_flush(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    mlflowha_server.stop()
    logger = RunLogger(Client(mlflowha_server.url), directory=str(tmp_path))
    logger.log_metric("m", 1.0)
    assert min(time_to_interrupt(lambda: logger.flush(20)) for _ in range(3)) < 0.15


@pytest.mark.parametrize("durability", ["interval", "each"])
def test_ctrl_c_ends_a_wait_for_room(mlflowha_server: FakeServer, tmp_path: Path, durability: str) -> None:
    mlflowha_server.stop()
    client = Client(mlflowha_server.url)
    small = {"max_spool_bytes": 20_000, "max_buffer_bytes": 65_536}
    logger = RunLogger(client, directory=tmp_path, when_full="block", durability=durability, **small)
    taken = 0

    def fill() -> None:
        nonlocal taken
        while True:
            logger.log_metric("m", taken, taken)
            taken += 1

    def fill_with_tags() -> None:
        while True:
            logger.set_tag("t", "")

    assert min(time_to_interrupt(fill) for _ in range(3)) < 0.15
    assert min(time_to_interrupt(fill_with_tags) for _ in range(3)) < 0.15
    mlflowha_server.start()
    client.reset_circuit_breaker()
    report = logger.close(30)
    assert report.drained
    points = mlflowha_server.backend.points(report.run_id, "m")
    assert {step for _, step, _ in points}.issuperset(range(taken))


def test_a_handler_that_does_not_raise_lets_the_call_go_on(mlflowha_server: FakeServer) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        client = Client(mlflowha_server.url)
        mlflowha_server.pause()
        interrupted_after(0.1, signal.SIGUSR1)
        threading.Timer(0.4, mlflowha_server.resume).start()
        assert client.get_experiment("0").name == "Default"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1]


def test_other_threads_run_while_a_call_waits(mlflowha_server: FakeServer) -> None:
    client = Client(mlflowha_server.url)
    mlflowha_server.pause()

    def wait() -> None:
        with pytest.raises(TimeoutError):
            client.get_experiment("0", timeout=1)

    thread = threading.Thread(target=wait)
    thread.start()
    began = time.monotonic()
    while time.monotonic() - began < 0.2:
        pass
    assert thread.is_alive()
    thread.join()


def test_a_call_of_another_thread_can_be_cancelled(mlflowha_server: FakeServer) -> None:
    from mlflowha import Cancel, errors

    client = Client(mlflowha_server.url)
    mlflowha_server.pause()
    cancel = Cancel()
    threading.Timer(0.1, cancel.cancel).start()
    began = time.monotonic()
    with pytest.raises(errors.CancelledError):
        client._core.call("get_experiment", '{"experiment_id": "0"}', 20, cancel)
    assert time.monotonic() - began < 5 and cancel.cancelled


def log_in_child(client: Client, logger: RunLogger, run_id: str, index: int) -> None:
    client.log_metric(run_id, "direct", index, step=index)
    logger.log_metric("logged", index, step=index)
    logger.flush(20)


def test_children_of_a_fork_go_on_using_what_their_parent_had(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    client = Client(mlflowha_server.url)
    logger = RunLogger(client, directory=str(tmp_path))
    logger.log_metric("logged", 0, step=0)
    assert logger.flush(20).drained
    run_id = logger.run_id
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=log_in_child, args=(client, logger, run_id, i)) for i in (1, 2, 3)]
    for child in children:
        child.start()
    client.log_metric(run_id, "direct", 0, step=0)
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    report = logger.close(20)
    assert report.drained
    for key in ("direct", "logged"):
        assert sorted(point[1] for point in mlflowha_server.backend.points(run_id, key)) == [0, 1, 2, 3]
    assert client.get_run(run_id).info.status == "FINISHED"


def log_and_end(logger: RunLogger) -> None:
    for step in range(500):
        logger.log_metric("late", step, step)


def test_a_child_that_just_ends_leaves_nothing_in_memory(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    client = Client(mlflowha_server.url)
    logger = RunLogger(client, directory=str(tmp_path))
    logger.log_metric("first", 0)
    assert logger.flush(20).drained
    child = multiprocessing.get_context("fork").Process(target=log_and_end, args=(logger,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    run_id = logger.close(20).run_id
    assert replay(str(tmp_path), client)["waiting"] == 0
    assert len(mlflowha_server.backend.points(run_id, "late")) == 500


def test_a_fork_waits_for_what_another_thread_imports(tmp_path: Path) -> None:
    # As a first call does, only for longer.
    (tmp_path / "rare.py").write_text("import time\ntime.sleep(0.5)\n")
    run_script(
        """
        import os, signal, sys, threading, time, mlflowha

        def load():
            import mlflowha.rare

        mlflowha.__path__.append(sys.argv[1])
        thread = threading.Thread(target=load)
        thread.start()
        time.sleep(0.2)
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)
            load()
            os._exit(0)
        thread.join()
        assert os.waitpid(pid, 0)[1] == 0
        """,
        str(tmp_path),
    )


def test_ctrl_c_works_in_a_child_of_a_fork(mlflowha_server: FakeServer) -> None:
    client = Client(mlflowha_server.url)
    client.get_experiment("0")
    mlflowha_server.pause()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            client.get_experiment("0", timeout=20)
        except KeyboardInterrupt:
            os._exit(42)
        os._exit(1)
    time.sleep(0.3)
    os.kill(pid, signal.SIGINT)
    began = time.monotonic()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    assert time.monotonic() - began < 2


def run_script(text: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_handler_that_closes_a_logger_in_its_close(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    logger = RunLogger(Client(mlflowha_server.url), directory=tmp_path)
    logger.log_metric("m", 1.0)
    mlflowha_server.stop()
    inner = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: inner.append(logger.close(0)))
    try:
        interrupted_after(0.3, signal.SIGUSR1)
        report = logger.close(20)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert inner == [report] and not report.drained


def test_what_was_logged_survives_a_program_that_just_ends(mlflowha_server: FakeServer, tmp_path: Path) -> None:
    mlflowha_server.stop()
    run_script(
        """
        import sys, mlflowha
        logger = mlflowha.RunLogger(mlflowha.Client(sys.argv[1]), directory=sys.argv[2])
        for i in range(1000):
            logger.log_metric("m", i, i)
        logger.self = logger  # a cycle: nobody destroys it in time
        """,
        mlflowha_server.url,
        str(tmp_path),
    )
    mlflowha_server.start()
    report = replay(str(tmp_path), Client(mlflowha_server.url))
    assert report["waiting"] == 0
    run_id = mlflowha_server.backend.runs()[0]
    assert len(mlflowha_server.backend.points(run_id, "m")) == 1000


def test_an_import_is_quick_and_loads_nothing_rare() -> None:
    out = run_script(
        """
        import sys, time
        began = time.perf_counter()
        import mlflowha
        took = time.perf_counter() - began
        heavy = {"asyncio", "concurrent.futures", "dataclasses", "mlflowha._specs", "mlflowha._testing", "mlflow"}
        print(took, sorted(heavy & set(sys.modules)))
        """
    )
    took, heavy = out.split(" ", 1)
    assert heavy.strip() == "[]"
    assert float(took) < 1.0  # a busy machine; tests/bench has the figure


def test_the_report_for_bugs(mlflowha_server: FakeServer) -> None:
    out = run_script(
        "import runpy; runpy.run_module('mlflowha.info', run_name='__main__')",
        MLFLOW_TRACKING_URI=mlflowha_server.url,
        MLFLOW_TRACKING_TOKEN="hush",
    )
    assert "libcurl" in out and f"endpoints: {mlflowha_server.url}  (MLFLOW_TRACKING_URI)" in out
    assert "hush" not in out


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="newer Pythons can, or say themselves that they can't")
def test_a_subinterpreter_is_told_that_it_cannot() -> None:
    out = run_script(
        """
        import signal, _xxsubinterpreters as sub

        signal.alarm(20)
        one = sub.create(isolated=False)
        try:
            sub.run_string(one, "import mlflowha")
        except sub.RunFailedError as error:
            print(error)
        """
    )
    assert "ImportError" in out and "subinterpreter" in out


def test_daemon_threads_in_calls_do_not_abort_a_program_that_ends() -> None:
    run_script(
        """
        import contextlib, threading, time, mlflowha

        client = mlflowha.Client("http://127.0.0.1:9")

        def work():
            while True:
                with contextlib.suppress(mlflowha.MlflowhaError):
                    client.get_experiment("0", timeout=0.01)

        class Last:
            def __del__(self):
                time.sleep(0.3)  # the threads' calls end while the interpreter does

        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        last = Last()
        time.sleep(0.2)
        """
    )
