"""The servers of the demo, what is done to them and when, and when at least one of them was well."""

from __future__ import annotations

import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from mlflow_stack import MlflowServer, Stack, answers, wait_for_port  # noqa: E402
from process_group import ManagedProcess, ProcessError  # noqa: E402

DROP_REPLIES = "5% apply_then_drop"  # the fault script of every proxy
CALM_BEFORE_FAULT = 2.5  # seconds from the end of one fault to the next
FIRST_FAULT = 5.0
DOWN_FOR = 1.0  # a killed server stays down for that long before it is started again
STOPPED_FOR = 6.0
ALL_STOPPED_FOR = 3.0
DATABASE_DOWN_FOR = 2.0


class FaultProxy:
    """mlflowha-fault-proxy in front of one port: passes on, and drops some of the replies."""

    def __init__(self, program: Path, port: int, upstream: int, seed: int, log: Path) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        arguments = ["--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{upstream}"]
        arguments += ["--script", DROP_REPLIES, "--seed", str(seed)]
        self.process = ManagedProcess(f"fault proxy on port {port}", [str(program), *arguments], log)

    def start(self) -> None:
        self.process.start()
        wait_for_port(self.port, self.process, 10)


def wait_until_answers(server: MlflowServer, timeout: float = 30) -> None:
    """Returns when a server that runs already answers a call that reads the database."""
    deadline = time.monotonic() + timeout
    while not answers(server.url):
        if time.monotonic() > deadline:
            raise ProcessError(f"{server.process.name} does not answer after {timeout:g} s")
        time.sleep(0.02)


class Host:
    """One machine of the demo: an MLflow server and, where the replies are dropped there, the proxy in front of it.
    They die together, so that a dead host refuses connections as a dead machine's port does."""

    def __init__(self, name: str, server: MlflowServer, proxy: Optional[FaultProxy]) -> None:
        self.name = name
        self.server = server
        self.proxy = proxy
        self.state = "up"  # up, booting, down or stopped
        self.well: List[List[float]] = []  # [from, until] in monotonic time; the last one open-ended while it is well

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return self.server.url if self.proxy is None else self.proxy.url

    def mark_well(self) -> None:
        self.state = "up"
        self.well.append([time.monotonic(), float("inf")])

    def mark_ill(self, state: str) -> None:
        self.state = state
        if self.well and self.well[-1][1] == float("inf"):
            self.well[-1][1] = time.monotonic()

    def kill(self) -> None:
        self.mark_ill("down")
        if self.proxy is not None:
            self.proxy.process.send_signal(signal.SIGKILL)
        self.server.kill()
        if self.proxy is not None:
            self.proxy.process.kill()

    def boot(self) -> None:
        """Starts without waiting."""
        self.state = "booting"
        self.server.start()

    def wait_ready(self) -> None:
        if self.proxy is not None:
            wait_for_port(self.server.port, self.server.process, 90)
            self.proxy.start()
        self.server.wait_ready()
        self.mark_well()

    def stop(self) -> None:
        self.mark_ill("stopped")
        self.server.stop()

    def wake(self) -> None:
        self.server.cont()
        wait_until_answers(self.server)
        self.mark_well()


def covered(hosts: Sequence[Host], start: float, end: float) -> bool:
    """Whether at each moment of [start, end] at least one host was well."""
    now = start
    while now < end:
        until = max((t for host in hosts for f, t in host.well if f <= now < t), default=now)
        if until <= now:
            return False
        now = until
    return True


@dataclass
class Fault:
    """Something done to the servers: from the first harm until all are well again. Monotonic time."""

    title: str
    start: float
    end: float = float("inf")


class FaultScript:
    """Does the faults one after the other, in a thread of its own. `error` holds what went wrong, if anything did."""

    def __init__(self, stack: Stack, hosts: List[Host], busiest: Callable[[], Optional[str]]) -> None:
        """`busiest`: the url that the program under test has used most of late, None when that isn't known."""
        self.faults: List[Fault] = []
        self.error: Optional[BaseException] = None
        self.current = ""
        self._stack = stack
        self._hosts = hosts
        self._busiest = busiest
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)

    @staticmethod
    def expected_seconds(boot: float, postgres: bool) -> float:
        """How long the whole script takes with some calm after it, when a server boots in `boot` seconds on a quiet
        machine. Boots are slower here: under load, and three at a time."""
        kill = DOWN_FOR + 1.4 * boot
        kill_all = DOWN_FOR + 2.2 * boot
        stops = STOPPED_FOR + ALL_STOPPED_FOR + 1
        faults = 3 * kill + kill_all + stops + ((DATABASE_DOWN_FOR + 1) if postgres else 0)
        return FIRST_FAULT + faults + CALM_BEFORE_FAULT * (6 if postgres else 5) + 4

    @property
    def started(self) -> bool:
        return self._thread.ident is not None

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Waits for the end of the script, for `timeout` seconds at most. Fine before the start."""
        if self.started:
            self._thread.join(timeout)

    def cancel(self) -> None:
        """Ends the script at its next pause, however the servers are then."""
        self._cancelled.set()

    def _run(self) -> None:
        try:
            self._pause(FIRST_FAULT)
            for host in self._hosts:
                self._during(f"SIGKILL of {host.name}, started again", self._kill, [host])
            self._during_stop()
            self._during(f"all stopped for {ALL_STOPPED_FOR:g} s", self._stop, self._hosts, ALL_STOPPED_FOR)
            if self._stack.postgres is not None:
                self._during(f"database down for {DATABASE_DOWN_FOR:g} s", self._restart_database)
            self._during("SIGKILL of all, started again", self._kill, self._hosts)
        except _Cancelled:
            pass
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            self.error = error

    def windows(self) -> List[Tuple[float, float]]:
        return [(fault.start, fault.end) for fault in self.faults]

    def _during(self, title: str, action: Callable[..., None], *args: object) -> None:
        fault = Fault(title, time.monotonic())
        self.faults.append(fault)
        self.current = title
        action(*args)
        fault.end = time.monotonic()
        self.current = ""
        self._pause(CALM_BEFORE_FAULT)

    def _during_stop(self) -> None:
        url = self._busiest()
        host = next((h for h in self._hosts if h.url == url), self._hosts[0])
        self._during(f"SIGSTOP of {host.name} for {STOPPED_FOR:g} s, then woken", self._stop, [host], STOPPED_FOR)

    def _kill(self, hosts: Sequence[Host]) -> None:
        for host in hosts:
            host.kill()
        self._pause(DOWN_FOR)
        for host in hosts:
            host.boot()
        for host in hosts:
            host.wait_ready()

    def _stop(self, hosts: Sequence[Host], seconds: float) -> None:
        for host in hosts:
            self._stop_between_transactions(host, alone=len(hosts) == 1)
        try:
            self._pause(seconds)
        finally:
            for host in hosts:
                host.wake()

    def _stop_between_transactions(self, host: Host, alone: bool) -> None:
        """A server that is stopped in the middle of a transaction takes the database's locks with it, and with SQLite
        that stops the other servers too: a database outage, which is another fault than the one meant here."""
        host.stop()
        for _ in range(200 if alone else 0):
            if not self._holds_locks():
                return
            host.server.cont()
            self._pause(0.005)
            host.server.stop()

    def _holds_locks(self) -> bool:
        if self._stack.postgres is not None:
            self._pause(0.1)
            sql = (
                "SELECT 1 FROM pg_stat_activity WHERE datname = 'mlflow' AND state LIKE 'idle in transaction%' "
                "AND now() - state_change > interval '80 milliseconds'"
            )
            return bool(self._stack.query(sql))
        return self._stack.sqlite_is_locked(0.15)

    def _restart_database(self) -> None:
        assert self._stack.postgres is not None
        for host in self._hosts:
            host.mark_ill(host.state)
        self._stack.postgres.stop()
        self._pause(DATABASE_DOWN_FOR)
        self._stack.postgres.start()
        for host in self._hosts:
            wait_until_answers(host.server)
            host.mark_well()

    def _pause(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise _Cancelled


class _Cancelled(Exception):
    pass


def names_by_url(hosts: Sequence[Host]) -> Dict[str, str]:
    return {host.url: host.name for host in hosts}
