"""What the database holds after the second act, against what the logging processes were told is safe.

A killed process has acknowledged some entries and was about to log some more: the former must all be stored, the latter
may be, and nothing else. As in counting.py the tables themselves are read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Callable

Query = Callable[[str], list[list[str]]]

METRIC = "loss"
NOTE = "seq"  # a tag that is set again and again, to the number of the burst


@dataclass
class Told:
    """One run, as its process told."""

    number: int
    started: bool = False  # acknowledged; else it may be there
    params: int = 0
    points: int = 0  # acknowledged: steps below this
    points_tried: int = 0
    note: int = 0
    note_tried: int = 0
    ended: bool = False

    def trying(self, points: int, note: int) -> None:
        self.points_tried, self.note_tried = points, note

    def logged(self, points: int, note: int) -> None:
        self.points, self.note = points, note

    def entries(self) -> int:
        """Acknowledged points and params, the tag, and the end."""
        return self.points + self.params + (1 if self.note else 0) + (1 if self.ended else 0)


@dataclass(frozen=True)
class Counts:
    acknowledged: int
    stored: int  # entries that somebody logged, with the right value
    lost: int  # acknowledged, but not there
    duplicated: int  # points beyond the first for one step
    invented: int  # nobody logged them, or not with this value
    out_of_order: int  # a tag with an older value than the last; with SQLite also points stored after a later one
    runs_asked: int
    runs_stored: int


def point_value(number: int, step: int) -> float:
    return number * 1e7 + step


def count(query: Query, experiment: str, told: dict[str, Told], rows_are_in_order: bool) -> Counts:
    """`told` by run name. `rows_are_in_order`: the database has a number for each row that grows with each insert."""
    of_experiment = (
        "JOIN runs r ON r.run_uuid = x.run_uuid JOIN experiments e ON e.experiment_id = r.experiment_id "
        f"WHERE e.name = '{experiment}' AND r.lifecycle_stage = 'active'"
    )
    runs = query(
        "SELECT r.name, r.status FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id "
        f"WHERE e.name = '{experiment}' AND r.lifecycle_stage = 'active'"
    )
    order = " ORDER BY x.rowid" if rows_are_in_order else ""
    points: dict[str, list[int]] = defaultdict(list)
    invented = 0
    for name, key, step, value in query(f"SELECT r.name, x.key, x.step, x.value FROM metrics x {of_experiment}{order}"):
        run = told.get(name)
        known = run is not None and key == METRIC and 0 <= int(step) < run.points_tried
        if run is None or not known or float(value) != point_value(run.number, int(step)):
            invented += 1
        else:
            points[name].append(int(step))
    params: Counter[str] = Counter()
    for name, key, value in query(f"SELECT r.name, x.key, x.value FROM params x {of_experiment}"):
        if name in told and value == f"{name}-{key.removeprefix('param')}":
            params[name] += 1
        else:
            invented += 1
    notes = {
        name: int(value)
        for name, value in query(f"SELECT r.name, x.value FROM tags x {of_experiment} AND x.key = '{NOTE}'")
    }
    ends = {name for name, status in runs if status == "FINISHED"}
    lost = stored = duplicated = out_of_order = 0
    for name, run in told.items():
        steps = set(points[name])
        lost += sum(step not in steps for step in range(run.points)) + max(0, run.params - params[name])
        lost += (1 if run.note and name not in notes else 0) + (1 if run.ended and name not in ends else 0)
        stored += len(steps) + params[name] + (1 if name in notes else 0) + (1 if name in ends else 0)
        duplicated += len(points[name]) - len(steps)
        if name in notes:
            out_of_order += notes[name] < run.note
            invented += notes[name] > run.note_tried
        if rows_are_in_order:
            out_of_order += sum(later < earlier for earlier, later in zip(points[name], points[name][1:]))
    names = Counter(name for name, _ in runs)
    asked = [name for name, run in told.items() if run.started]
    return Counts(
        acknowledged=sum(run.entries() for run in told.values()),
        stored=stored,
        lost=lost + sum(name not in names for name in asked),
        duplicated=duplicated + sum(times - 1 for times in names.values()),
        invented=invented + sum(name not in told for name in names),
        out_of_order=out_of_order,
        runs_asked=len(asked),
        runs_stored=sum(times for name, times in names.items() if name not in told or told[name].started),
    )
