"""What the demo shows: the live line, the table of figures and the timeline."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence

from faults import FaultScript, Host
from story import Story, happenings_between, longest


class Line:
    """One line of text, redrawn in place on a terminal; a line a second on a pipe."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._drawn_at = 0.0

    def is_due(self) -> bool:
        return time.monotonic() - self._drawn_at >= (0.1 if self._terminal else 1.0)

    def draw(self, text: str) -> None:
        self._drawn_at = time.monotonic()
        if self._terminal:
            width = shutil.get_terminal_size().columns
            print("\r" + text[: width - 1] + "\x1b[K", end="", flush=True)
        else:
            print(text, flush=True)

    def close(self) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", flush=True)


class LiveLine:
    """The first act's line."""

    def __init__(self, hosts: Sequence[Host], story: Story, script: FaultScript, records: int) -> None:
        self._hosts = hosts
        self._story = story
        self._script = script
        self._records = records
        self._line = Line()
        self._history: list[list[float]] = []  # [time, acknowledged] of the last seconds, for the rate

    def draw(self) -> None:
        """Call as often as you like."""
        if self._line.is_due() and self._story.started is not None:
            self._line.draw(self._text(time.monotonic(), self._story.started))

    def close(self) -> None:
        self._line.close()

    def _text(self, now: float, started: float) -> str:
        records, runs, failed, failovers, twins = self._story.progress()
        self._history = [entry for entry in self._history if now - entry[0] < 2.0] + [[now, records]]
        since, before = self._history[0]
        rate = (records - before) / (now - since) if now > since else 0.0
        servers = "  ".join(f"{host.name} {host.state}{self._breaker(host.url)}" for host in self._hosts)
        line = (
            f"{now - started:5.1f} s | {servers} | {rate:4.0f}/s | {records}/{self._records} acknowledged, {runs} runs"
        )
        if self._story.tells_attempts:
            line += f" | failovers {failovers}, twins {twins}"
        line += f" | failed {failed}" if failed else ""
        current = self._script.current()
        return line + (f" | {current}" if current else "")

    def _breaker(self, url: str) -> str:
        state = self._story.breakers.get(url)
        return "" if state is None else f"/{state}"


ROWS = (
    ("asked", "records to be logged"),
    ("acknowledged", "records acknowledged"),
    ("stored", "records in the database"),
    ("lost", "lost"),
    ("duplicated", "duplicated"),
    ("runs_asked", "runs asked for"),
    ("runs_stored", "runs in the database"),
    ("faults_begun", "faults"),
    ("faults_left_out", "faults that came too late, and were left out"),
    ("failed_calls", "calls that failed"),
    ("failovers", "failovers within a call"),
    ("longest_call_ms_with_a_healthy_server", "longest call with a healthy server, ms"),
    ("longest_call_ms", "longest call, ms"),
    ("calm.p50_ms", "p50 in calm, ms"),
    ("calm.p99_ms", "p99 in calm, ms"),
    ("faults.p50_ms", "p50 during faults, ms"),
    ("faults.p99_ms", "p99 during faults, ms"),
)


SECOND_ROWS = (
    ("asked", "points to be logged"),
    ("acknowledged", "entries acknowledged"),
    ("stored", "entries in the database"),
    ("lost", "lost"),
    ("duplicated", "duplicated"),
    ("invented", "never logged"),
    ("out_of_order", "out of order"),
    ("runs_asked", "runs started"),
    ("runs_stored", "runs in the database"),
    ("refused", "log calls or entries that were refused"),
    ("waited_at_the_kill", "entries that the killed process left in its spool"),
    ("replayed", "of them delivered by the replay that ended"),
    ("longest_log_call_ms", "longest log call, ms"),
    ("replayed_after_s", "replay done after the servers were back, s"),
    ("closed_after_s", "the living process: end of the job to all delivered, s"),
    ("files_left", "files left in the spool's directory"),
)


def second_table(report: dict[str, object]) -> str:
    """The second act's figures."""
    width = max(len(label) for _, label in ROWS + SECOND_ROWS)
    return "\n".join(f"{label:<{width}}  {_cell(report, key):>12}" for key, label in SECOND_ROWS)


def table(columns: dict[str, dict[str, object]]) -> str:
    """The reports side by side, one column for each program."""
    label_width = max(len(label) for _, label in ROWS + SECOND_ROWS)
    widths = {title: max(12, len(title)) for title in columns}
    lines = [" " * label_width + "".join(f"  {title:>{widths[title]}}" for title in columns)]
    for key, label in ROWS:
        cells = "".join(f"  {_cell(report, key):>{widths[title]}}" for title, report in columns.items())
        lines.append(f"{label:<{label_width}}{cells}")
    return "\n".join(lines)


def _cell(report: dict[str, object], key: str) -> str:
    value: object = report
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else None
    if value is None:
        return "-"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def timeline(story: Story, script: FaultScript, names: dict[str, str], ended: float) -> list[dict[str, object]]:
    """One entry for each fault, up to the next one, and one for the calm before: what was done, what the client did."""
    assert story.started is not None
    began = story.started
    starts = [began] + [fault.start for fault in script.faults] + [ended]
    entries: list[dict[str, object]] = []
    for number, (since, until) in enumerate(zip(starts, starts[1:])):
        fault = script.faults[number - 1] if number else None
        calls = [call for call in story.calls if since <= call.start < until]
        entries.append(
            {
                "at_s": round(since - began, 1),
                "fault": fault.title if fault else None,
                "well_again_after_s": round(fault.end - fault.start, 1) if fault and fault.end != float("inf") else None,
                "did": happenings_between(story, since, until, names),
                "calls": len(calls),
                "failed_calls": sum(not call.ok for call in calls),
                "longest_call_ms": round(longest(calls), 1),
            }
        )
    return entries


def timeline_text(entries: Sequence[dict[str, object]]) -> str:
    lines = ["what was done to the servers, and what the client did until the next fault"]
    for entry in entries:
        fault, well = entry["fault"], entry["well_again_after_s"]
        again = "never well again" if well is None else f"all well again after {well} s"
        what = f"{fault}; {again}" if fault else "all well"
        failed = f", {entry['failed_calls']} FAILED" if entry["failed_calls"] else ""
        lines.append(f"{entry['at_s']:6.1f} s  {what}")
        lines.append(f"{'':10}{entry['calls']} calls, the longest {entry['longest_call_ms']} ms{failed}")
        did = entry["did"]
        assert isinstance(did, list)
        lines.extend(f"{'':10}{text}" for text in did)
    return "\n".join(lines)
