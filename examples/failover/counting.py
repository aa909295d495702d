"""What the database holds at the end, against what the program under test was told had been stored.

Reads the tables themselves (sqlite3 module or psql): neither our client nor MLflow has a say in the result.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Callable

import workload

Query = Callable[[str], list[list[str]]]


@dataclass
class Acknowledged:
    """What the program reported as stored, by run id."""

    runs: dict[str, int] = field(default_factory=dict)  # run id -> trial
    points: set[tuple[str, int]] = field(default_factory=set)  # run id, step
    params: set[tuple[str, int]] = field(default_factory=set)  # run id, number
    tags: set[tuple[str, int]] = field(default_factory=set)
    ends: set[str] = field(default_factory=set)

    def add(self, op: str, run: str, trial: int, first: int, count: int) -> None:
        """One call that succeeded."""
        if op == "create_run":
            self.runs[run] = trial
        elif op in ("log_metric", "log_batch"):
            self.points.update((run, step) for step in range(first, first + count))
        elif op == "log_param":
            self.params.add((run, first))
        elif op == "set_tag":
            self.tags.add((run, first))
        elif op == "set_terminated":
            self.ends.add(run)

    def records(self) -> int:
        """Points, params, tags and run ends; runs are counted apart."""
        return len(self.points) + len(self.params) + len(self.tags) + len(self.ends)


@dataclass(frozen=True)
class Counts:
    acknowledged: int
    stored: int  # distinct records with the right value, in runs that are not deleted
    lost: int  # acknowledged, but not there or with another value
    duplicated: int  # rows beyond the first for one record
    runs_asked: int
    runs_stored: int  # runs that are not deleted, twins included
    runs_deleted: int  # twins that the program has found and removed itself


def count(query: Query, experiment: str, acknowledged: Acknowledged, runs_asked: int) -> Counts:
    """Counts one experiment. `runs_asked`: how many runs the program set out to create, the parent included."""
    of_experiment = (
        "JOIN runs r ON r.run_uuid = x.run_uuid JOIN experiments e ON e.experiment_id = r.experiment_id "
        f"WHERE e.name = '{experiment}' AND r.lifecycle_stage = 'active'"
    )
    runs = query(
        "SELECT r.run_uuid, r.status, r.lifecycle_stage FROM runs r "
        f"JOIN experiments e ON e.experiment_id = r.experiment_id WHERE e.name = '{experiment}'"
    )
    point_rows = query(
        f"SELECT x.run_uuid, x.step, x.value FROM metrics x {of_experiment} AND x.key = '{workload.METRIC}'"
    )
    param_rows = query(f"SELECT x.run_uuid, x.key, x.value FROM params x {of_experiment}")
    tag_rows = query(f"SELECT x.run_uuid, x.key, x.value FROM tags x {of_experiment}")

    def is_right(run: str, value: float, step: int) -> bool:
        return run in acknowledged.runs and value == workload.point_value(acknowledged.runs[run], step)

    points = {(run, int(step)) for run, step, value in point_rows if is_right(run, float(value), int(step))}
    params = _texts(param_rows, {workload.param_key(n): n for n in range(workload.PARAMS)}, acknowledged.runs)
    tags = _texts(tag_rows, {workload.tag_key(n): n for n in range(workload.TAGS)}, acknowledged.runs)
    ends = {run for run, status, stage in runs if status == "FINISHED" and stage == "active"}

    lost = (
        len(acknowledged.points - points)
        + len(acknowledged.params - params)
        + len(acknowledged.tags - tags)
        + len(acknowledged.ends - ends)
    )
    active = [run for run, _, stage in runs if stage == "active"]
    repeated = Counter((run, step) for run, step, _ in point_rows)
    return Counts(
        acknowledged=acknowledged.records(),
        stored=len(points) + len(params) + len(tags) + len(ends),
        lost=lost + len(set(acknowledged.runs) - set(active)),
        duplicated=sum(times - 1 for times in repeated.values()),
        runs_asked=runs_asked,
        runs_stored=len(active),
        runs_deleted=len(runs) - len(active),
    )


def _texts(rows: list[list[str]], numbers: dict[str, int], runs: dict[str, int]) -> set[tuple[str, int]]:
    """(run id, number) of the params or tags of the workload that hold the right value."""
    found = set()
    for run, key, value in rows:
        number = numbers.get(key)
        if number is not None and run in runs and value == workload.text_value(runs[run], number):
            found.add((run, number))
    return found
