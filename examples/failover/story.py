"""What a program under test tells about its work, line by line, and the figures that follow from it."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from counting import Acknowledged
from faults import Host, covered

ATTEMPTS_OF_A_CALL = ("call", "verify")  # purposes; the others (identify, probe) never make a failover


@dataclass(frozen=True)
class CallRecord:
    """One call of the workload. Monotonic time, in seconds."""

    op: str
    start: float
    end: float
    ok: bool
    error: str

    @property
    def ms(self) -> float:
        return (self.end - self.start) * 1000


@dataclass(frozen=True)
class Happening:
    """Something that the program did about a fault."""

    at: float
    kind: str  # failover, breaker, twin
    text: str


class Story:
    """Thread-safe while lines come in; read the figures when the program has ended."""

    def __init__(self) -> None:
        self.acknowledged = Acknowledged()
        self.calls: list[CallRecord] = []
        self.happenings: list[Happening] = []
        self.breakers: dict[str, str] = {}  # endpoint -> state of its breaker, as far as the program has told
        self.started: float | None = None  # when the workload began; monotonic
        self.attempt_timeout_ms: float | None = None  # of the client, where it has such a thing
        self.finished = False
        self.failed = 0
        self.tells_attempts = False
        self.strange_lines: list[str] = []
        self._last_endpoint: dict[str, str] = {}  # call id -> endpoint of its latest attempt
        self._recent: deque[tuple[float, str]] = deque(maxlen=200)  # time, endpoint of attempts that succeeded
        self._lock = threading.Lock()

    def add_line(self, line: str) -> None:
        """One line of the program's output; see README.md for the format."""
        try:
            event = json.loads(line)
            handler = {
                "start": self._on_start,
                "attempt": self._on_attempt,
                "endpoint": self._on_endpoint,
                "twin": self._on_twin,
                "call": self._on_call,
                "done": self._on_done,
            }[event["event"]]
            with self._lock:
                handler(event)
        except (ValueError, KeyError, TypeError) as error:
            self.strange_lines.append(f"{line.strip()[:200]} ({type(error).__name__}: {error})")

    def busiest(self) -> str | None:
        """The endpoint that answered most of the latest attempts."""
        with self._lock:
            counted = Counter(endpoint for _, endpoint in list(self._recent)[-50:])
        return counted.most_common(1)[0][0] if counted else None

    def progress(self) -> tuple[int, int, int, int, int]:
        """Records acknowledged, runs created, failed calls, failovers, twins."""
        with self._lock:
            kinds = Counter(happening.kind for happening in self.happenings)
            records, runs = self.acknowledged.records(), len(self.acknowledged.runs)
            return records, runs, self.failed, kinds["failover"], kinds["twin"]

    def failovers(self) -> int | None:
        """None when the program can't tell."""
        return sum(h.kind == "failover" for h in self.happenings) if self.tells_attempts else None

    def _on_start(self, event: dict[str, object]) -> None:
        self.started = float(str(event["t"]))
        if "attempt_timeout_ms" in event:
            self.attempt_timeout_ms = float(str(event["attempt_timeout_ms"]))

    def _on_attempt(self, event: dict[str, object]) -> None:
        self.tells_attempts = True
        endpoint, at, outcome = str(event["endpoint"]), float(str(event["t"])), str(event["outcome"])
        if outcome == "ok":
            self._recent.append((at, endpoint))
        if event["purpose"] not in ATTEMPTS_OF_A_CALL:
            return
        call = str(event["call"])
        before = self._last_endpoint.get(call)
        self._last_endpoint[call] = endpoint
        if before is not None and before != endpoint:
            self.happenings.append(Happening(at, "failover", f"{before} {endpoint}"))

    def _on_endpoint(self, event: dict[str, object]) -> None:
        endpoint, before, after = str(event["endpoint"]), str(event["breaker_before"]), str(event["breaker"])
        self.breakers[endpoint] = after
        if before != after:
            self.happenings.append(Happening(float(str(event["t"])), "breaker", f"{endpoint} {before} {after}"))

    def _on_twin(self, event: dict[str, object]) -> None:
        word = "removed" if event["removed"] else "found"
        self.happenings.append(Happening(float(str(event["t"])), "twin", word))

    def _on_call(self, event: dict[str, object]) -> None:
        ok = event["ok"] is True
        start, end = float(str(event["start"])), float(str(event["t"]))
        call = CallRecord(str(event["op"]), start, end, ok, str(event.get("error", "")))
        if ok:
            first, count = int(str(event.get("first", 0))), int(str(event.get("count", 0)))
            self.acknowledged.add(call.op, str(event.get("run", "")), int(str(event.get("trial", -1))), first, count)
        else:
            self.failed += 1
        self.calls.append(call)

    def _on_done(self, _event: dict[str, object]) -> None:
        self.finished = True


@dataclass(frozen=True)
class Latency:
    p50_ms: float | None
    p99_ms: float | None


def percentile(values: Sequence[float], share: float) -> float | None:
    """Nearest rank; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def latency(calls: Iterable[CallRecord]) -> Latency:
    values = [call.ms for call in calls]
    return Latency(percentile(values, 0.50), percentile(values, 0.99))


def split_by_faults(
    calls: Iterable[CallRecord], windows: Sequence[tuple[float, float]]
) -> tuple[list[CallRecord], list[CallRecord]]:
    """(calm, faults): a call belongs to the faults when a part of it falls into one."""
    calm: list[CallRecord] = []
    faults: list[CallRecord] = []
    for call in calls:
        meets = any(call.start < until and call.end > since for since, until in windows)
        (faults if meets else calm).append(call)
    return calm, faults


def longest(calls: Iterable[CallRecord]) -> float:
    return max((call.ms for call in calls), default=0.0)


def longest_with_a_healthy_server(calls: Iterable[CallRecord], hosts: Sequence[Host]) -> float:
    """Of the calls during all of which at least one server was well."""
    for call in sorted(calls, key=lambda c: c.ms, reverse=True):
        if covered(hosts, call.start, call.end):
            return call.ms
    return 0.0


def happenings_between(story: Story, since: float, until: float, names: dict[str, str]) -> list[str]:
    """What the program did in a stretch of time, in words, in order of first appearance: "2 x failover A -> B"."""
    said: dict[str, int] = defaultdict(int)
    for happening in sorted(story.happenings, key=lambda h: h.at):
        if not since <= happening.at < until:
            continue
        words = [names.get(word, word) for word in happening.text.split()]
        if happening.kind == "failover":
            said[f"failover {words[0]} -> {words[1]}"] += 1
        elif happening.kind == "breaker":
            said[f"breaker {words[0]}: {words[1]} -> {words[2]}"] += 1
        else:
            said[f"twin {words[0]}"] += 1
    return [text if times == 1 else f"{times} x {text}" for text, times in said.items()]
