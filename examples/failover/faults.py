"""The servers of the demo, what is done to them and when, and when at least one of them was well."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from mlflow_stack import MlflowServer, Stack, answers  # noqa: E402
from process_group import ManagedProcess, ProcessError, wait_for_port  # noqa: E402

from schedule import BUSIEST, Step  # noqa: E402

CALM_AT_THE_END = 4.0  # seconds
CALM_BETWEEN = 2.0  # at least, where the machine is too slow for the times of the script


class FaultProxy:
    """mlflowha-fault-proxy in front of one port: passes on, and drops some of the replies."""

    def __init__(self, program: Path, port: int, upstream: int, faults: str, seed: int, log: Path) -> None:
        """`faults`: the script that it plays."""
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        script = log.with_suffix(".faults")
        script.write_text(faults + "\n")
        arguments = ["--listen", f"127.0.0.1:{port}", "--upstream", f"127.0.0.1:{upstream}"]
        arguments += ["--script", str(script), "--seed", str(seed)]
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

    def __init__(self, name: str, server: MlflowServer, proxy: FaultProxy | None) -> None:
        self.name = name
        self.server = server
        self.proxy = proxy
        self.state = "up"  # up, booting, down or stopped
        self.well: list[list[float]] = []  # [from, until] in monotonic time; the last one open-ended while it is well

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
    """Something done to the servers: from the first harm until the servers concerned are well again. Monotonic time."""

    title: str
    start: float
    end: float = float("inf")


def expected_seconds(steps: Sequence[Step], boot: float) -> float:
    """How long the faults take with some calm after them, when a server boots in `boot` seconds on a quiet machine.
    When all boot at once, under load, each takes longer."""
    boots = {"kill": 1.2, "kill_all": 2.2}
    return max(step.at + step.seconds + boots.get(step.what, 0.0) * boot for step in steps) + CALM_AT_THE_END


class FaultScript:
    """Does the faults at their times, in threads of its own. `error` holds what went wrong, if anything did.

    A killed server boots in the background, so the next fault may come before it is back; but each fault of a single
    server waits until another one is well, and those of all servers until all are.
    """

    def __init__(
        self, stack: Stack, hosts: list[Host], steps: Sequence[Step], busiest: Callable[[], str | None]
    ) -> None:
        """`busiest`: the url that the program under test has used most of late, None when that isn't known."""
        self.faults: list[Fault] = []
        self.error: BaseException | None = None
        self.begun = 0  # steps
        self._stack = stack
        self._hosts = hosts
        self._steps = steps
        self._busiest = busiest
        self._began = 0.0
        self._no_more = False
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._guarded, args=(self._run,), name="faults", daemon=True)
        self._boots: list[threading.Thread] = []

    @property
    def started(self) -> bool:
        return self._thread.ident is not None

    def start(self) -> None:
        self._began = time.monotonic()
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Waits for the end of the script, for `timeout` seconds at most. Fine before the start."""
        if self.started:
            self._thread.join(timeout)

    def finish(self, timeout: float) -> list[Step]:
        """Begins no further fault and returns when the servers are well again. What was left out. Raises ProcessError
        when they aren't after `timeout` seconds."""
        self._no_more = True
        self.join(timeout)
        if self._thread.is_alive():
            what = self.current() or "no fault"
            raise ProcessError(f"the servers aren't well again {timeout:g} s after the work was done: {what}")
        return list(self._steps[self.begun :])

    def cancel(self) -> None:
        """Ends the script at its next pause, however the servers are then."""
        self._cancelled.set()

    def current(self) -> str:
        """The faults of this moment."""
        return ", ".join(fault.title for fault in self.faults if fault.end == float("inf"))

    def windows(self) -> list[tuple[float, float]]:
        return [(fault.start, fault.end) for fault in self.faults]

    def _guarded(self, action: Callable[..., None], *args: object) -> None:
        try:
            action(*args)
        except _Cancelled:
            pass
        except BaseException as error:  # noqa: BLE001 - the main thread reports it
            self.error = error

    def _run(self) -> None:
        for step in self._steps:
            self._wait_for(step.at, lambda s=step: self._no_more or self._may_begin(s))  # type: ignore[misc]
            if self._no_more:
                break
            self.begun += 1
            if step.what == "database":
                self._restart_database(step.seconds)
                continue
            hosts = self._hosts if step.of_all else [self._victim(step)]
            if step.what in ("stop", "stop_all"):
                self._stop(hosts, step.seconds)
            else:
                self._kill(hosts, step.seconds)
        for boot in self._boots:
            boot.join()

    def _wait_for(self, at: float, condition: Callable[[], bool]) -> None:
        """Until `at`, and further until the condition holds. Who is late still gets some calm between two faults, as
        the times foresee it; without it, two outages of all servers would become one."""
        while time.monotonic() < self._began + at and not self._no_more:
            self._pause(min(0.2, max(0.0, self._began + at - time.monotonic())))
        late = time.monotonic() - self._began - at > 0.5
        while not condition():
            late = True
            self._pause(0.05)
        if late and not self._no_more:
            self._pause(CALM_BETWEEN)

    def _may_begin(self, step: Step) -> bool:
        well = [host for host in self._hosts if host.state == "up"]
        if step.of_all:
            return len(well) == len(self._hosts)
        return len(well) >= 2 and (step.host == BUSIEST or self._hosts[step.host] in well)

    def _victim(self, step: Step) -> Host:
        if step.host != BUSIEST:
            return self._hosts[step.host]
        url = self._busiest()
        well = [host for host in self._hosts if host.state == "up"]
        return next((host for host in well if host.url == url), well[0])

    def _begin(self, title: str) -> Fault:
        fault = Fault(title, time.monotonic())
        self.faults.append(fault)
        return fault

    def _kill(self, hosts: Sequence[Host], seconds: float) -> None:
        fault = self._begin(f"SIGKILL of {hosts[0].name if len(hosts) == 1 else 'all'}, started again")
        for host in hosts:
            host.kill()
        self._pause(seconds)
        for host in hosts:
            host.boot()
        boot = threading.Thread(target=self._guarded, args=(self._wait_ready, fault, hosts), name="boot", daemon=True)
        self._boots.append(boot)
        boot.start()

    @staticmethod
    def _wait_ready(fault: Fault, hosts: Sequence[Host]) -> None:
        for host in hosts:
            host.wait_ready()
        fault.end = time.monotonic()

    def _stop(self, hosts: Sequence[Host], seconds: float) -> None:
        alone = len(hosts) == 1
        what = (
            f"SIGSTOP of {hosts[0].name} for {seconds:.2g} s, then woken" if alone else f"all stopped for {seconds:.2g} s"
        )
        fault = self._begin(what)
        for host in hosts:
            self._stop_between_transactions(host, alone)
        try:
            self._pause(seconds)
        finally:
            for host in hosts:
                host.server.cont()  # all at once: one of them may hold the lock that the others wait for
        for host in hosts:
            wait_until_answers(host.server)
            host.mark_well()
        fault.end = time.monotonic()

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

    def _restart_database(self, seconds: float) -> None:
        assert self._stack.postgres is not None
        fault = self._begin(f"database down for {seconds:.2g} s")
        for host in self._hosts:
            host.mark_ill(host.state)
        self._stack.postgres.stop()
        self._pause(seconds)
        self._stack.postgres.start()
        for host in self._hosts:
            wait_until_answers(host.server)
            host.mark_well()
        fault.end = time.monotonic()

    def _pause(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise _Cancelled


class _Cancelled(Exception):
    pass


def names_by_url(hosts: Sequence[Host]) -> dict[str, str]:
    return {host.url: host.name for host in hosts}
