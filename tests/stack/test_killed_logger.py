"""Logging processes that die by SIGKILL beside real MLflow servers, counted in the database. About 45 s.

    MLFLOWHA_BUILD_DIR=build/dev [SEED=2] python3 tests/stack/test_killed_logger.py

Twenty jobs of examples/failover/logger_demo log into one directory of spools and are killed one after the other: right
after their start, in the middle, while they close; with two servers up, with one of them killed and started again, with
both stopped, both dead, both booting. `mlflowha replay` delivers what they leave, and is killed, too. One more job lives
through all of it. In the end the database is held against what the jobs were told, as in Jepsen's total queue: what was
acknowledged is stored, nothing is invented, nothing is there twice, each run is there once and in order, and no file is
left.

A seed fixes what is drawn: which job dies when, of which kind it is, which replays die. On failure the seed is printed, and
everything that was written is left in <build>/killed_logger.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
import unittest
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "failover"))
import durable_counting  # noqa: E402
from faults import wait_until_answers  # noqa: E402  (with it comes tools/)
from mlflow_stack import Stack, ending_on_signals, server_environment, venv_for  # noqa: E402
from process_group import ProcessError  # noqa: E402
from program import Program  # noqa: E402
from second_act import SETTLE, Replay, Story  # noqa: E402

BUILD = Path(os.environ["MLFLOWHA_BUILD_DIR"])
VENV = Path(os.environ.get("MLFLOW_VENV") or venv_for("3"))
SEED = int(os.environ.get("SEED") or 1)
EXPERIMENT = "killed"
PATIENCE = 60.0  # seconds: for what takes parts of one on a quiet machine
LAST = 99  # the job that lives

# What the servers go through, and how many jobs die meanwhile.
WEATHER = {"up": 6, "one dead": 4, "stopped": 4, "dead": 4, "booting": 2}


@dataclass(frozen=True)
class Death:
    """One job and its end."""

    job: int
    weather: str
    moment: str  # start, middle or close
    bursts: int  # of one run, acknowledged before the moment is there; not at the start
    after: float  # seconds from the moment to the kill
    runs: int
    rate: int
    durability: str
    replay_kills: tuple[float, ...]  # replays that follow it are killed so many seconds after their start


def drawn(seed: int) -> list[Death]:
    """Another plan for each seed, in which each moment has its turn in each weather."""
    dice = random.Random(seed)
    plan: list[Death] = []
    for weather, count in WEATHER.items():
        moments = (["start", "close", "middle"] * count)[: count - 1]
        dice.shuffle(moments)
        for moment in ["middle", *moments]:  # the weather changes under the first, which must be there
            # A few points wait a second for company before they are sent (RunLoggerOptions::linger).
            sending = moment == "middle" and (weather == "up" or not plan or plan[-1].weather != weather)
            plan.append(
                Death(
                    job=len(plan) + 1,
                    weather=weather,
                    moment=moment,
                    bursts=dice.randint(18, 28) if sending else dice.randint(1, 12),
                    after=dice.uniform(0, {"start": 0.08, "middle": 0.2, "close": 0.12}[moment]),
                    runs=dice.randint(1, 3),
                    rate=dice.choice([60, 500, 1500]),
                    durability=dice.choice(["interval", "each"]),
                    replay_kills=tuple(dice.uniform(0.01, 0.15) for _ in range(dice.choice([0, 0, 1, 2]))),
                )
            )
    return plan


class Job:
    """One logging process and what it has told."""

    def __init__(self, number: int, runs: int, rate: int, durability: str, stage: Stage) -> None:
        self.story = Story()
        self.asked_to_end = False
        command = [str(stage.logger), f"--experiment={EXPERIMENT}", f"--job={number}", f"--runs={runs}", f"--rate={rate}"]
        command += ["--stagger=0.05", f"--directory={stage.spools}", f"--durability={durability}"]
        self.program = Program(command, stage.env, stage.out / f"job-{number}.jsonl", self.story.add_line)

    def wait_for_bursts(self, bursts: int) -> None:
        def done() -> bool:
            return any(run.note >= bursts for run in list(self.story.runs.values()))

        wait(done, f"{bursts} bursts", self.program)

    def end(self) -> None:
        self.asked_to_end = True
        self.program.signal(signal.SIGTERM)

    def kill(self) -> bool:
        """Whether it was alive."""
        self.program.close()
        self.program.finish_reading()
        return self.program.returncode == -signal.SIGKILL


def wait(condition: Callable[[], bool], what: str, program: Program | None = None) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if program is not None and not program.running:
            raise ProcessError(f"waiting for {what}: the program ended with {program.returncode}\n{program.errors()}")
        if time.monotonic() > deadline:
            raise ProcessError(f"waited {PATIENCE:g} s for {what}")
        time.sleep(0.005)


class Stage:
    """Servers, spools and jobs, and what is done to them."""

    def __init__(self, stack: Stack, seed: int, out: Path) -> None:
        self.logger, self._cli = BUILD / "examples" / "logger_demo", BUILD / "mlflowha"
        self.out = out
        self.spools = stack.directory / "spools"
        self.spools.mkdir()
        self.env = {**server_environment(), "MLFLOW_TRACKING_URI": ",".join(stack.urls)}
        self._stack = stack
        self._dice = random.Random(seed + 1_000_000)
        self.jobs: dict[int, Job] = {}
        self.kills: Counter[str] = Counter()  # of living jobs: by weather, by moment
        self.replays_killed = 0
        self.replayed = 0

    def play(self, plan: list[Death]) -> None:
        with ExitStack() as cleanup:
            cleanup.callback(self._end_jobs)
            survivor = self.jobs[LAST] = Job(LAST, 1, 60, "interval", self)
            for before, death in zip([None, *plan], plan):
                changes = before is None or before.weather != death.weather
                if changes and before is not None:
                    self._clear(before.weather)
                self._die(death, changes)
                if death.weather in ("up", "one dead"):
                    self._replay(death.replay_kills)
                else:
                    self._replay_in_vain(death.replay_kills)
                if before is not None and before.weather == death.weather == "one dead":
                    self._boot()  # ready or not, for the next
            self._clear(plan[-1].weather)
            self._replay((0.05,))
            survivor.end()
            wait(lambda: not survivor.program.running, "the end of the job that lives")
            survivor.program.finish_reading()
            if survivor.program.returncode != 0 or not survivor.story.finished:
                raise ProcessError(f"the job that lives ended with {survivor.program.returncode}\n{survivor.program.errors()}")
        time.sleep(SETTLE)

    def _end_jobs(self) -> None:
        for job in self.jobs.values():
            job.program.close()

    def _die(self, death: Death, changes: bool) -> None:
        job = self.jobs[death.job] = Job(death.job, death.runs, death.rate, death.durability, self)
        if death.moment != "start":
            job.wait_for_bursts(death.bursts)
        if changes:
            self._bring(death.weather)
        if death.moment == "close":
            job.end()
        time.sleep(death.after)
        if job.kill():
            self.kills.update((death.weather, death.moment))
            self.kills["delivered in part"] += job.story.acknowledged() > job.story.waiting > 0

    def _bring(self, weather: str) -> None:
        """Changes what the servers are in; all are up before, but those that are to boot are dead."""
        if weather == "one dead":
            self._dice.choice(self._stack.servers).kill()
        for server in self._stack.servers:
            if weather == "stopped":
                server.stop()
            elif weather == "dead":
                server.kill()
        if weather == "booting":
            self._boot()

    def _boot(self) -> None:
        """Starts what is dead, without waiting."""
        self._stack.revive()

    def _clear(self, weather: str) -> None:
        """All up again, but for the dead, which boot under the next job."""
        if weather == "stopped":
            for server in self._stack.servers:
                server.cont()
            for server in self._stack.servers:
                wait_until_answers(server, PATIENCE)
            # They carry out what the dead have asked for. What a server does for the dead after a replay has come through
            # another is nothing that a replay could know of (docs/adr/0005).
            time.sleep(SETTLE)
            self._replay(())
        elif weather in ("one dead", "booting"):
            self._boot()
            for server in self._stack.servers:
                server.wait_ready()

    def _command(self) -> list[str]:
        return [str(self._cli), "replay", str(self.spools), "--json", f"--patience={PATIENCE:g}"]

    def _replay(self, kills: tuple[float, ...]) -> None:
        """Delivers all that dead jobs left."""
        replay = Replay(self._command(), self.env, self.out, kills)
        try:
            wait(replay.poll, "a replay")
            self.replayed += int(str(replay.report()["delivered"]))
            self.replays_killed += replay.starts - 1
        finally:
            replay.close()

    def _replay_in_vain(self, kills: tuple[float, ...]) -> None:
        for seconds in kills:
            replay = Program(self._command(), self.env, self.out / "in-vain.json", lambda _: None)
            time.sleep(seconds)
            replay.close()
            self.replays_killed += replay.returncode == -signal.SIGKILL

    # ---- the judge ----

    def judge(self) -> tuple[durable_counting.Counts, list[str]]:
        """The figures, and what is wrong."""
        told = {name: run for job in self.jobs.values() for name, run in job.story.runs.items()}
        counts = durable_counting.count(self._stack.query, EXPERIMENT, told, rows_are_in_order=True)
        none = ("lost", "duplicated", "invented", "out_of_order")
        wrong = [f"{key} is {getattr(counts, key)}" for key in none if getattr(counts, key)]
        if counts.runs_stored != counts.runs_asked:
            wrong.append(f"{counts.runs_stored} runs are stored, {counts.runs_asked} were started")
        may_end = {name for job in self.jobs.values() if job.asked_to_end for name in job.story.runs}
        ended = self._stack.query("SELECT name FROM runs WHERE status <> 'RUNNING' AND lifecycle_stage = 'active'")
        wrong += [f"{name} has ended, and nobody ended it" for (name,) in ended if name not in may_end]
        wrong += [f"{name} is left in the directory of spools" for name in self._left()]
        for number, job in self.jobs.items():
            wrong += [f"job {number}: {failure}" for failure in job.story.failures]
            # The last line of a killed process may be half a line.
            strange = job.story.strange_lines[: None if job.story.finished else -1]
            wrong += [f"job {number} wrote what nobody knows: {line}" for line in strange]
        return counts, wrong + self._too_little(counts)

    def _left(self) -> set[str]:
        return {path.name for path in self.spools.iterdir()}

    def _too_little(self, counts: durable_counting.Counts) -> list[str]:
        """Nothing lost is no merit where nothing was at stake."""
        wrong = [f"no job was killed: {what}" for what in (*WEATHER, "start", "middle", "close") if not self.kills[what]]
        deaths = sum(self.kills[weather] for weather in WEATHER)
        for what, figure, least in (("jobs killed", deaths, 16), ("with a part delivered", self.kills["delivered in part"], 2),
                                    ("replays killed", self.replays_killed, 5),
                                    ("entries acknowledged", counts.acknowledged, 1000),
                                    ("entries replayed", self.replayed, 300)):  # fmt: skip
            if figure < least:
                wrong.append(f"{what}: {figure}, expected at least {least}")
        return wrong

    def keep(self) -> None:
        """For whoever looks into a failure."""
        if self._stack.database is not None:
            shutil.copy(self._stack.database, self.out)
        shutil.copytree(self.spools, self.out / "spools", dirs_exist_ok=True)


class Plan(unittest.TestCase):
    def test_each_moment_has_its_turn_in_each_weather(self) -> None:
        for seed in range(1, 100):
            plan = drawn(seed)
            self.assertEqual(Counter(death.weather for death in plan), Counter(WEATHER))
            for weather, count in WEATHER.items():
                moments = {death.moment for death in plan if death.weather == weather}
                self.assertEqual(len(moments), min(3, count), weather)
        self.assertEqual(drawn(7), drawn(7))


@unittest.skipUnless(VENV.exists(), f"no MLflow in {VENV}")
class KilledLoggers(unittest.TestCase):
    def test_what_was_acknowledged_is_stored_once_and_in_order(self) -> None:
        began = time.monotonic()
        out = BUILD / "killed_logger"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        plan = drawn(SEED)
        with ending_on_signals(), Stack(2, venv=VENV) as stack:
            stage = Stage(stack, SEED, out)
            try:
                stage.play(plan)
                counts, wrong = stage.judge()
                self.assertFalse(wrong, "\n  ".join([str(counts), *wrong[:20]]))
            except BaseException:
                print(f"seed {SEED}; again: SEED={SEED} {sys.argv[0]}; what was written: {out}")
                print("".join(f"  {death}\n" for death in plan), flush=True)
                stage.keep()
                raise
        shutil.rmtree(out)
        print(
            f"seed {SEED}: {dict(stage.kills)} jobs killed, {stage.replays_killed} replays killed, "
            f"{stage.replayed} entries replayed; {counts} in {time.monotonic() - began:.1f} s"
        )


if __name__ == "__main__":
    unittest.main()
