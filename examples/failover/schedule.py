"""What is done to the servers and to the programs, and when: the demo's own script, and others drawn from a seed.

`make demo` plays the fixed script; `make chaos` draws one for each round. All times are seconds from the start of an act.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

DROP_REPLIES = "when share 5% -> apply_then_drop"
SHORTEST_OUTAGE = 4.0  # seconds: of the first one that is drawn for the second act
BUSIEST = -1  # the server that the program uses most at that moment


@dataclass(frozen=True)
class Step:
    """One fault of the first act. It comes later than `at` if the servers aren't ready for it: a fault of one server
    waits until another one is well, and one of all servers until all are."""

    at: float
    what: str  # kill, stop, kill_all, stop_all or database
    host: int = BUSIEST  # of kill and stop
    seconds: float = 1.0  # down, or stopped, for that long

    @property
    def of_all(self) -> bool:
        return self.what not in ("kill", "stop")


@dataclass(frozen=True)
class Outage:
    """All servers are killed at `at` and started again `seconds` later."""

    at: float
    seconds: float


@dataclass(frozen=True)
class SecondScript:
    """The second act: when the servers die, when the logging process does, and what happens to its replay."""

    outages: tuple[Outage, ...] = (Outage(5.0, 20.0),)
    kill_logger_at: float = 14.0
    replay_after: float = 1.0  # seconds from the logger's death to the start of the replay
    kill_replay_after: tuple[float, ...] = ()  # seconds after each of its first starts
    durability: str = "interval"
    calm: float = 4.0  # seconds from the end of all this until the other logging process is told to end
    longest_call_ms: float = 1000.0  # no log call may take longer: it asks no server
    least_share: float = 0.5  # of the points that the jobs set out to log

    @property
    def killed_in_an_outage(self) -> bool:
        """So that what was logged in the last second at least must be in the spool."""
        return any(o.at + 1 <= self.kill_logger_at <= o.at + o.seconds for o in self.outages)


@dataclass(frozen=True)
class Schedule:
    steps: tuple[Step, ...]
    second: SecondScript
    proxy: str  # the fault script of the proxy in front of each server

    def describe(self, begun: int | None = None) -> dict[str, object]:
        """For the report. `begun`: how many steps of the first act were done before the work was; None: not known yet."""

        def words(number: int, step: Step) -> str:
            where = "" if step.of_all or step.host == BUSIEST else " " + "ABC"[step.host]
            left_out = ", left out" if begun is not None and number >= begun else ""
            return f"{step.at:.1f} s: {step.what}{where}, {step.seconds:.1f} s{left_out}"

        return {
            "proxy": self.proxy.splitlines(),
            "first_act": [words(number, step) for number, step in enumerate(self.steps)],
            "second_act": {
                "outages": [f"{o.at:.1f} s: all dead for {o.seconds:.1f} s" for o in self.second.outages],
                "logger_killed_at_s": round(self.second.kill_logger_at, 1),
                "replay_killed_after_s": [round(s, 1) for s in self.second.kill_replay_after],
                "durability": self.second.durability,
            },
        }


def fixed(postgres: bool) -> Schedule:
    """The demo's."""
    shift = 5.0 if postgres else 0.0
    steps = [
        Step(5, "kill", 0),
        Step(14, "kill", 1),
        Step(23, "kill", 2),
        Step(32, "stop", BUSIEST, 6),
        Step(41, "stop_all", seconds=3),
        *([Step(46, "database", seconds=2)] if postgres else []),
        Step(48 + shift, "kill_all"),
    ]
    return Schedule(tuple(steps), SecondScript(), DROP_REPLIES)


def drawn(seed: int, postgres: bool) -> Schedule:
    """Another one for each seed; the same for the same seed. As harsh as a client with deadlines can stand: no outage of
    all is longer than a call may take."""
    dice = random.Random(seed)
    kinds = ["kill"] * 4 + ["stop"] * 3 + ["stop_all", "kill_all"] + (["database"] * 2 if postgres else [])
    longest = {"kill": 4.0, "stop": 8.0, "stop_all": 4.0, "kill_all": 3.0, "database": 4.0}
    steps: list[Step] = []
    at = dice.uniform(1, 5)
    while at < 50:
        what = dice.choice(kinds)
        host = dice.choice([BUSIEST, 0, 1, 2]) if what in ("kill", "stop") else BUSIEST
        steps.append(Step(at, what, host, dice.uniform(0.2, longest[what])))
        at += dice.uniform(1.5, 9)

    begin = dice.uniform(0.5, 6)
    outages = [Outage(begin, dice.uniform(SHORTEST_OUTAGE, 20))]
    if dice.random() < 0.5:  # and again, while the backlog is being delivered
        outages.append(Outage(outages[0].at + outages[0].seconds + dice.uniform(1, 6), dice.uniform(2, 8)))
    # What is safe only on the disk waits for it, beside servers that boot and replays that are killed; who waits for a
    # server waits for an outage at least.
    second = SecondScript(
        outages=tuple(outages),
        kill_logger_at=dice.uniform(0.3, begin + outages[0].seconds + 8),
        replay_after=dice.uniform(0, 3),
        kill_replay_after=tuple(dice.uniform(0.2, 8) for _ in range(dice.randrange(4))),
        durability=dice.choice(["interval", "each"]),
        calm=dice.uniform(1, 5),
        longest_call_ms=1000 * SHORTEST_OUTAGE,
    )
    if second.durability == "each":
        second = replace(second, least_share=0.1)
    lines = [f"when share {dice.uniform(0, 10):.1f}% -> apply_then_drop"]
    more = ["drop_before", "reset", "status 503", "apply_then_status 504", "delay 300ms", "truncate 10"]
    lines += [f"when share {dice.uniform(0.5, 2):.1f}% -> {what}" for what in dice.sample(more, dice.randrange(4))]
    return Schedule(tuple(steps), second, "\n".join(lines))
