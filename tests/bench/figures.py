"""What all benchmark groups share: the figures of the report, the benchmark programs, and clients that take turns."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(REPOSITORY / "tools"))
import mlflow_stack  # noqa: E402

MIB = 1024.0 * 1024.0


class BenchError(RuntimeError):
    """A benchmark could not be run. The message says which and why."""


@dataclass
class Figure:
    """One entry of the report."""

    id: str
    what: str
    value: Optional[float]
    unit: str
    bar: float
    op: str = "<="
    holds: Optional[bool] = None
    runs: int = 0
    detail: Dict[str, Any] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        if self.value is None:
            return
        self.value = float(f"{self.value:.4g}")
        if self.holds is None:
            self.holds = {"<=": self.value <= self.bar, ">=": self.value >= self.bar, "==": self.value == self.bar}[self.op]


def missing(id: str, what: str, unit: str, bar: float, op: str, note: str) -> Figure:
    return Figure(id, what, None, unit, bar, op, note=note)


def clean_environment() -> Dict[str, str]:
    """Ours without what would send loopback traffic elsewhere or configure a client behind our back."""
    return mlflow_stack.server_environment()


@dataclass
class Bench:
    """What the groups below need: the programs, and the ports of the fast server."""

    build: Path
    venv: Path
    cxx: str
    demo_report: Path
    outage_minutes: float = 0.75
    with_demo: bool = False  # runs it where its report isn't of this commit
    ports: Dict[str, int] = field(default_factory=dict)

    def program(self, name: str) -> Path:
        path = self.build / "tests" / "bench" / f"mlflowha_bench_{name}"
        if not path.exists():
            raise BenchError(f"{path} is not there: build the `bench` preset first")
        return path

    def run(self, name: str, *arguments: object, timeout: float = 300) -> Dict[str, Any]:
        """One benchmark program and the JSON that it prints."""
        command = [str(self.program(name)), *map(str, arguments)]
        try:
            done = subprocess.run(
                command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"{name} did not end within {timeout:.0f} s") from None
        if done.returncode != 0:
            raise BenchError(f"{name} exited with {done.returncode}: {done.stderr.strip()[-500:]}")
        return json.loads(done.stdout)

    def url(self, port: str) -> str:
        return f"http://127.0.0.1:{self.ports[port]}"


@contextlib.contextmanager
def fast_server(bench: Bench) -> Iterator[None]:
    process = subprocess.Popen([str(bench.program("fast_server"))], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        bench.ports = json.loads(process.stdout.readline())
        yield
    finally:
        process.kill()
        process.wait()


class Side:
    """One of two clients that take turns on a real server."""

    def __init__(self, command: List[str]) -> None:
        self.process = subprocess.Popen(
            command, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def read(self, limit: float = 420) -> Dict[str, Any]:
        """Its next line; it is killed when that takes more than `limit` seconds (one that flushes may need 300)."""
        assert self.process.stdout is not None
        overdue = threading.Event()

        def give_up() -> None:
            overdue.set()
            self.process.kill()

        alarm = threading.Timer(limit, give_up)
        alarm.start()
        try:
            line = self.process.stdout.readline()
        finally:
            alarm.cancel()
        if not line:
            name, code = self.process.args[0], self.process.wait()  # type: ignore[index]
            raise BenchError(f"{name} didn't answer within {limit:g} s" if overdue.is_set() else f"{name} ended early with {code}")
        return json.loads(line)

    def block(self, *words: object) -> Dict[str, Any]:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, and read() says how
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
        return self.read()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
