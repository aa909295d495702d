"""The work that both programs of the demo do: a sweep of short training runs, at a steady rate.

One parent run, and below it `trials` child runs. Trial k starts at k * seconds / trials; `workers` trials are under way
at any time. Each trial makes 40 calls, evenly spread over its time: it creates its run, logs 5 params and 5 tags,
logs 100 points (20 by log_metric, 80 in 8 log_batch calls of 10) and ends the run. Who is late catches up.

failover_demo.cpp follows the same plan; what is checked in the database afterwards is derived from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

METRIC = "loss"
PARAMS = 5
TAGS = 5
POINTS = 100
BATCH = 10
PARENT_TRIAL = -1  # the trial number that calls for the parent run carry


class Call(NamedTuple):
    """One call of a trial. Points are the `size` steps from `first` on; of a param or tag `first` is the number."""

    op: str
    first: int = 0
    size: int = 0


def calls_of_a_trial() -> list[Call]:
    """The calls of one trial, in order. The same for all."""
    return list(_calls())


def _calls() -> Iterator[Call]:
    yield Call("create_run")
    for number in range(max(PARAMS, TAGS)):
        if number < PARAMS:
            yield Call("log_param", number, 1)
        if number < TAGS:
            yield Call("set_tag", number, 1)
    step = 0
    turn = 0
    while step < POINTS:
        batch = turn % 7 in (2, 5)  # 8 of 28 calls
        count = BATCH if batch else 1
        yield Call("log_batch" if batch else "log_metric", step, count)
        step += count
        turn += 1
    yield Call("set_terminated")


def point_value(trial: int, step: int) -> float:
    """The value of a point. A whole number, so that it comes back exactly from any database."""
    return trial * 1000.0 + step


def text_value(trial: int, number: int) -> str:
    """The value of a param or tag."""
    return f"{trial}-{number}"


def param_key(number: int) -> str:
    return f"param{number}"


def tag_key(number: int) -> str:
    return f"tag{number}"


def run_name(trial: int) -> str:
    return "sweep" if trial == PARENT_TRIAL else f"trial-{trial}"


def schedule(trials: int, workers: int, seconds: float, worker: int) -> Iterator[tuple[int, list[tuple[float, Call]]]]:
    """One worker's trials; for each its number and its calls with the time they are due, in seconds from the start."""
    gap = seconds / trials
    calls = calls_of_a_trial()
    for trial in range(worker, trials, workers):
        yield trial, [(trial * gap + i * workers * gap / len(calls), call) for i, call in enumerate(calls)]
