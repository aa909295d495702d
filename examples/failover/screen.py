"""What the demo shows: the live line, the table of figures and the timeline."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Dict, List, Optional, Sequence

from faults import FaultScript, Host
from story import Story, happenings_between, longest


class LiveLine:
    """Redrawn in place on a terminal; a line a second on a pipe."""

    def __init__(self, hosts: Sequence[Host], story: Story, script: FaultScript, records: int) -> None:
        self._hosts = hosts
        self._story = story
        self._script = script
        self._records = records
        self._terminal = sys.stdout.isatty()
        self._drawn_at = 0.0
        self._history: List[List[float]] = []  # [time, acknowledged] of the last seconds, for the rate

    def draw(self) -> None:
        """Call as often as you like."""
        now = time.monotonic()
        if now - self._drawn_at < (0.1 if self._terminal else 1.0) or self._story.started is None:
            return
        self._drawn_at = now
        text = self._text(now, self._story.started)
        if self._terminal:
            width = shutil.get_terminal_size().columns
            print("\r" + text[: width - 1] + "\x1b[K", end="", flush=True)
        else:
            print(text, flush=True)

    def close(self) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", flush=True)

    def _text(self, now: float, started: float) -> str:
        records, runs, failed, failovers, twins = self._story.progress()
        self._history = [entry for entry in self._history if now - entry[0] < 2.0] + [[now, records]]
        since, before = self._history[0]
        rate = (records - before) / (now - since) if now > since else 0.0
        servers = "  ".join(f"{host.name} {host.state}{self._breaker(host.url)}" for host in self._hosts)
        line = f"{now - started:5.1f} s | {servers} | {rate:4.0f}/s | {records}/{self._records} acknowledged, {runs} runs"
        if self._story.tells_attempts:
            line += f" | failovers {failovers}, twins {twins}"
        line += f" | failed {failed}" if failed else ""
        return line + (f" | {self._script.current}" if self._script.current else "")

    def _breaker(self, url: str) -> str:
        state = self._story.breakers.get(url)
        return "" if state is None else f"/{state}"


ROWS = (
    ("acknowledged", "records acknowledged"),
    ("stored", "records in the database"),
    ("lost", "lost"),
    ("duplicated", "duplicated"),
    ("runs_asked", "runs asked for"),
    ("runs_stored", "runs in the database"),
    ("failed_calls", "calls that failed"),
    ("failovers", "failovers within a call"),
    ("longest_call_ms_with_a_healthy_server", "longest call with a healthy server, ms"),
    ("longest_call_ms", "longest call, ms"),
    ("calm.p50_ms", "p50 in calm, ms"),
    ("calm.p99_ms", "p99 in calm, ms"),
    ("faults.p50_ms", "p50 during faults, ms"),
    ("faults.p99_ms", "p99 during faults, ms"),
)


def table(columns: Dict[str, Dict[str, object]]) -> str:
    """The reports side by side, one column for each program."""
    label_width = max(len(label) for _, label in ROWS)
    widths = {title: max(12, len(title)) for title in columns}
    lines = [" " * label_width + "".join(f"  {title:>{widths[title]}}" for title in columns)]
    for key, label in ROWS:
        cells = "".join(f"  {_cell(report, key):>{widths[title]}}" for title, report in columns.items())
        lines.append(f"{label:<{label_width}}{cells}")
    return "\n".join(lines)


def _cell(report: Dict[str, object], key: str) -> str:
    value: object = report
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else None
    if value is None:
        return "-"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def timeline(story: Story, script: FaultScript, names: Dict[str, str], ended: float) -> List[Dict[str, object]]:
    """One entry for each fault, and one for the calm before, between and after: when, what, what the program did."""
    assert story.started is not None
    entries: List[Dict[str, object]] = []
    now = story.started

    def add(title: Optional[str], since: float, until: float) -> None:
        calls = [call for call in story.calls if since <= call.start < until]
        entries.append(
            {
                "from_s": round(since - (story.started or 0), 2),
                "until_s": round(until - (story.started or 0), 2),
                "fault": title,
                "did": happenings_between(story, since, until, names),
                "calls": len(calls),
                "failed_calls": sum(not call.ok for call in calls),
                "longest_call_ms": round(longest(calls), 1),
            }
        )

    for fault in script.faults:
        add(None, now, fault.start)
        add(fault.title, fault.start, min(fault.end, ended))
        now = min(fault.end, ended)
    add(None, now, ended)
    return entries


def timeline_text(entries: Sequence[Dict[str, object]]) -> str:
    lines = ["    from    until  what was done to the servers, and what the client did about it"]
    for entry in entries:
        fault = entry["fault"] or "(all servers up)"
        slow = f"{entry['calls']} calls, longest {entry['longest_call_ms']} ms"
        failed = f", {entry['failed_calls']} FAILED" if entry["failed_calls"] else ""
        lines.append(f"  {entry['from_s']:6.1f} s {entry['until_s']:6.1f} s  {fault}: {slow}{failed}")
        did = entry["did"]
        assert isinstance(did, list)
        lines.extend(f"{'':20}{text}" for text in did)
    return "\n".join(lines)
