"""The test stand itself: one real server, started, hurt and ended; and nothing left behind. Takes about 15 s.

[MLFLOW_VENV=DIR] python3 tests/stack/test_mlflow_stack.py
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import cast

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
from mlflow_stack import Postgres, Stack, answers, venv_for  # noqa: E402
from process_group import ManagedProcess, ProcessError, free_port, group_members, process_start_ticks  # noqa: E402

VENV = Path(os.environ.get("MLFLOW_VENV") or venv_for("3"))


def eventually(condition, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


class ProcessGroups(unittest.TestCase):
    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.log = Path(self.directory.name) / "log"

    def test_kill_reaches_grandchildren(self) -> None:
        process = ManagedProcess("shell", ["sh", "-c", "sleep 100 & sleep 100 & wait"], self.log)
        process.start()
        self.assertTrue(eventually(lambda: len(group_members(process.pid)) == 3))
        pgid = process.pid
        process.kill()
        self.assertEqual(group_members(pgid), [])

    def test_terminate_ends_a_stopped_process_that_ignores_sigterm(self) -> None:
        process = ManagedProcess("shell", ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], self.log)
        process.start()
        pgid = process.pid
        time.sleep(0.1)
        process.send_signal(signal.SIGSTOP)
        process.terminate(timeout=0.3)
        self.assertEqual(group_members(pgid), [])

    def test_children_and_directories_go_with_a_killed_parent(self) -> None:
        code = (
            f"import sys, time; sys.path.insert(0, {str(TOOLS)!r})\n"
            "from pathlib import Path\n"
            "from process_group import Guard, ManagedProcess\n"
            f"child = ManagedProcess('shell', ['sh', '-c', 'sleep 100 & wait'], Path({str(self.log)!r}))\n"
            f"directory = Path({self.directory.name!r}) / 'private'; directory.mkdir()\n"
            "Guard.get().add_directory(directory)\n"
            "child.start(); print(child.pid, flush=True); time.sleep(100)\n"
        )
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert parent.stdout is not None
        with parent.stdout:
            pgid = int(parent.stdout.readline())
        self.assertTrue(eventually(lambda: len(group_members(pgid)) == 2))
        parent.kill()
        parent.wait()
        self.assertTrue(eventually(lambda: not group_members(pgid)), "the child outlived its parent")
        self.assertTrue(eventually(lambda: not (Path(self.directory.name) / "private").exists()))

    def test_ports_are_outside_the_range_of_outgoing_connections(self) -> None:
        low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
        taken: set[int] = set()
        for _ in range(50):
            port = free_port(taken)
            self.assertFalse(low <= port <= high, port)
        self.assertEqual(len(taken), 50)


@unittest.skipUnless(list(Path("/usr/lib/postgresql").glob("*/bin/initdb")), "no PostgreSQL here")
class SqliteLocks(unittest.TestCase):
    def test_a_reader_keeps_others_from_writing_too(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            database = Path(folder) / "mlflow.db"
            stack = cast(Stack, SimpleNamespace(database=database))
            with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as somebody:
                somebody.executescript("CREATE TABLE t(x); INSERT INTO t VALUES (1), (2)")
                self.assertFalse(Stack.sqlite_is_locked(stack, 0.01))
                rows = somebody.execute("SELECT x FROM t")
                rows.fetchone()
                self.assertTrue(Stack.sqlite_is_locked(stack, 0.01))
                rows.close()
                somebody.execute("BEGIN IMMEDIATE")
                self.assertTrue(Stack.sqlite_is_locked(stack, 0.01))


class PostgresServer(unittest.TestCase):
    def test_what_is_committed_survives_an_immediate_stop(self) -> None:
        postgres = Postgres().start()
        self.addCleanup(postgres.stop)
        postgres.query("CREATE TABLE t (n int)")
        postgres.query("INSERT INTO t VALUES (7)")
        postgres.stop()
        with self.assertRaises(ProcessError):
            postgres.query("SELECT 1")
        postgres.start()
        self.assertEqual(postgres.query("SELECT n FROM t"), [["7"]])


@unittest.skipUnless(VENV.exists(), f"no MLflow in {VENV}")
class CommandLine(unittest.TestCase):
    def test_up_signals_and_down(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            state_file = Path(directory) / "state.json"

            def stack(command: str, *rest: str) -> int:
                program = [sys.executable, str(TOOLS / "mlflow_stack.py"), command, f"--state={state_file}", *rest]
                return subprocess.run(program, stdout=subprocess.DEVNULL, timeout=100).returncode

            try:
                self.assertEqual(stack("up", f"--venv={VENV}", f"--watch-pid={os.getpid()}"), 0)
                state = json.loads(state_file.read_text())
                url, pid = state["urls"][0], state["servers"][0]["pid"]
                self.assertTrue(answers(url))
                self.assertEqual(stack("signal", "--server=0", "STOP"), 0)
                self.assertFalse(answers(url, timeout=0.3))
                self.assertEqual(stack("signal", "--server=0", "CONT"), 0)
                self.assertTrue(answers(url))
            finally:
                self.assertEqual(stack("down"), 0)
            self.assertEqual(group_members(pid), [])
            self.assertIsNone(process_start_ticks(state["keeper"]["pid"]))
            self.assertFalse(Path(state["directory"]).exists())
            self.assertFalse(state_file.exists())
            self.assertEqual(stack("down"), 0, "nothing to do is fine")


if __name__ == "__main__":
    unittest.main()
