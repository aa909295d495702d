"""The demo's second act: durable logging while every server is dead, and the logging process killed in the middle of it.

Two jobs log through RunLoggers (logger_demo.cpp) into one spool directory. All servers are killed; some runs begin only
then. The first job is killed with SIGKILL while nobody is there, and a new process, `mlflowha replay`, delivers what it
left as soon as the servers are back; the second job lives and delivers its own. Then the database is asked.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import durable_counting
import screen
from faults import Host
from mlflow_stack import Stack, server_environment
from process_group import ProcessError
from program import Program
from schedule import SecondScript

EXPERIMENT = "durable-demo"
RUNS = 3  # of each job
RATE = 250  # points a second, of each run
STAGGER = 4.0  # seconds from one run's start to the next one's
SETTLE = 1.0  # as in the first act: seconds between the last delivery and the count


@dataclass(frozen=True)
class Programs:
    logger: Path
    cli: Path


class Story:
    """What a job has told of its runs. Thread-safe enough: one reader thread writes, figures are read at the end."""

    def __init__(self) -> None:
        self.runs: dict[str, durable_counting.Told] = {}
        self.waiting = 0
        self.state = "online"
        self.longest_ms = 0.0
        self.refused = 0
        self.failures: list[str] = []
        self.finished = False
        self.strange_lines: list[str] = []

    def add_line(self, line: str) -> None:
        """One line of the program; README.md has the keys."""
        try:
            event = json.loads(line)
            kind = event["event"]
            self.longest_ms = max(self.longest_ms, float(event.get("longest_ms", 0)))
            if kind == "starting":
                self.runs[event["run"]] = durable_counting.Told(int(event["number"]))
            elif kind == "started":
                self.runs[event["run"]].started = True
            elif kind == "params":
                self.runs[event["run"]].params = int(event["count"])
            elif kind == "trying":
                self.runs[event["run"]].trying(int(event["points"]), int(event["note"]))
            elif kind == "logged":
                self.runs[event["run"]].logged(int(event["points"]), int(event["note"]))
                self.waiting, self.state = int(event["waiting"]), str(event["state"])
            elif kind == "ended":
                self.runs[event["run"]].ended = True
            elif kind == "closed":
                if event["drained"] is not True:
                    self.failures.append(f"{event['run']} was closed with {event['waiting']} entries undelivered")
            elif kind == "refused":
                self.refused += int(event["entries"])
                self.failures.append(f"{event['entries']} refused: {event['why']}")
            elif kind == "failed":
                self.refused += 1
                self.failures.append(str(event["why"]))
            elif kind == "done":
                self.finished = True
            elif kind not in ("start", "degraded", "recovered"):
                raise KeyError(kind)
        except (ValueError, KeyError, TypeError) as error:
            self.strange_lines.append(f"{line.strip()[:200]} ({type(error).__name__}: {error})")

    def acknowledged(self) -> int:
        return sum(run.entries() for run in list(self.runs.values()))


class Replay:
    """`mlflowha replay`, again when it was killed, until one of them ends by itself."""

    def __init__(self, command: Sequence[str], env: dict[str, str], out: Path, kills: Sequence[float]) -> None:
        self._command, self._env, self._out = command, env, out
        self._kills = list(kills)
        self._lines: list[str] = []
        self.starts = 0
        self._program = self._start()

    def _start(self) -> Program:
        self.starts += 1
        self._began = time.monotonic()
        self._lines.clear()
        return Program(self._command, self._env, self._out / f"replay-{self.starts}.json", self._lines.append)

    def poll(self) -> bool:
        """True when it has ended by itself."""
        if self._program.running:
            if self._kills and time.monotonic() - self._began > self._kills[0]:
                self._kills.pop(0)
                self._program.close()
                self._program = self._start()
            return False
        return True

    def report(self) -> dict[str, object]:
        """What it printed; raises unless it delivered all that it could have."""
        self._program.finish_reading()
        if self._program.returncode != 0:
            said = "".join(self._lines)[-1500:]
            raise ProcessError(f"mlflowha replay ended with {self._program.returncode}\n{said}\n{self._program.errors()}")
        return dict(json.loads("".join(self._lines)))

    def close(self) -> None:
        self._program.close()


class SecondAct:
    """One performance."""

    def __init__(
        self, stack: Stack, hosts: list[Host], programs: Programs, script: SecondScript, out: Path, patience: float
    ) -> None:
        self._stack = stack
        self._hosts = hosts
        self._programs = programs
        self._script = script
        self._out = out
        self._patience = patience
        self._spools = stack.directory / "spools"
        self._spools.mkdir()
        self._env = {**server_environment(), "MLFLOW_TRACKING_URI": ",".join(host.url for host in hosts)}
        self._cancelled = threading.Event()
        self._error: BaseException | None = None
        self._doing = "all well"
        self._replay: Replay | None = None
        self._began = 0.0
        self._killed_at = 0.0  # job 1
        self._back_at = 0.0  # monotonic: when the servers were well for good
        self._replayed_at = 0.0
        self._asked_at = 0.0  # when job 2 was asked to end
        self._ended_at = 0.0

    def run(self) -> dict[str, object]:
        """The report."""
        stories = [Story(), Story()]
        line = screen.Line()
        with ExitStack() as cleanup:
            jobs = []
            for number, story in enumerate(stories, 1):
                job = Program(self._command(number), self._env, self._out / f"logger-demo-{number}.jsonl", story.add_line)
                cleanup.callback(job.close)
                jobs.append(job)
            cleanup.callback(lambda: self._replay.close() if self._replay else None)
            cleanup.callback(self._cancelled.set)
            self._began = time.monotonic()
            servers = threading.Thread(target=self._guarded, name="outages", daemon=True)
            servers.start()
            left = self._play(jobs, stories, servers, line)
            line.close()
            assert self._replay is not None
            replayed = self._replay.report()
        time.sleep(SETTLE)
        told = {name: run for story in stories for name, run in story.runs.items()}
        counts = durable_counting.count(self._stack.query, EXPERIMENT, told, self._stack.postgres is None)
        failures = [failure for story in stories for failure in story.failures]
        for failure in failures[:5]:
            print(f"  failed: {failure}")
        return {
            **asdict(counts),
            "asked": asked_for(self._killed_at - self._began) + asked_for(self._asked_at - self._began),
            "refused": sum(story.refused for story in stories),
            "failures": failures,
            "waited_at_the_kill": left,
            "replayed": replayed["delivered"],
            "replays": self._replay.starts,
            "longest_log_call_ms": round(max(story.longest_ms for story in stories), 2),
            "replayed_after_s": round(max(0.0, self._replayed_at - self._back_at), 1),
            "closed_after_s": round(self._ended_at - self._asked_at, 1),
            "files_left": len(list(self._spools.iterdir())),
        }

    def _command(self, job: int) -> list[str]:
        return [
            str(self._programs.logger),
            f"--experiment={EXPERIMENT}",
            f"--job={job}",
            f"--runs={RUNS}",
            f"--rate={RATE}",
            f"--stagger={STAGGER:g}",
            f"--directory={self._spools}",
            f"--durability={self._script.durability}",
        ]

    def _play(
        self, jobs: list[Program], stories: list[Story], servers: threading.Thread, line: screen.Line
    ) -> int:
        """Until all is over. How many entries the killed job had in its spool."""
        script = self._script
        left = 0
        while True:
            now = time.monotonic()
            if self._error is not None:
                raise ProcessError(f"the servers broke down: {self._error}")
            for number, job in enumerate(jobs, 1):
                if not job.running and not (number == 1 and self._killed_at) and not (number == 2 and self._asked_at):
                    raise ProcessError(f"job {number} ended with {job.returncode} too early\n{job.errors()}")
            if not self._killed_at and now - self._began >= script.kill_logger_at:
                left = stories[0].waiting
                jobs[0].signal(signal.SIGKILL)
                jobs[0].finish_reading()
                self._killed_at = now
                self._doing += ", job 1 killed"
            if self._killed_at and self._replay is None and now - self._killed_at >= script.replay_after:
                command = [str(self._programs.cli), "replay", str(self._spools), "--json", "--patience=120"]
                self._replay = Replay(command, self._env, self._out, script.kill_replay_after)
            replayed = self._replay is not None and self._replay.poll()
            if self._back_at and replayed and not self._asked_at and now - self._back_at >= script.calm:
                jobs[1].signal(signal.SIGTERM)  # the end of the job: it drains and closes
                self._asked_at = now
            if replayed and not self._replayed_at:
                self._replayed_at = now
            if self._asked_at and not jobs[1].running:
                self._ended_at = now
                break
            if now - self._began > self._patience + sum(o.at + o.seconds for o in script.outages) + script.kill_logger_at:
                raise ProcessError(f"the second act is not done {self._patience:g} s after its time")
            if line.is_due():
                line.draw(self._text(now, stories, replayed))
            time.sleep(0.02)
        servers.join()
        jobs[1].finish_reading()
        if jobs[1].returncode != 0 or not stories[1].finished:
            raise ProcessError(f"job 2 ended with {jobs[1].returncode} before it was done\n{jobs[1].errors()}")
        for story in stories:
            # The last line of a killed process may be half a line.
            if story.strange_lines[: None if story.finished else -1]:
                raise ProcessError(f"a job wrote what README.md doesn't know: {story.strange_lines[0]}")
        return left

    def _text(self, now: float, stories: list[Story], replayed: bool) -> str:
        servers = " ".join(f"{host.name} {host.state}" for host in self._hosts)
        parts = [f"{now - self._began:5.1f} s | {servers}"]
        for number, story in enumerate(stories, 1):
            parts.append(
                f"job {number}: {len(story.runs)} runs, {story.acknowledged():,} acknowledged, "
                f"{story.waiting:,} waiting, {story.state}"
            )
        if self._replay is not None:
            parts.append("replay: " + ("done" if replayed else f"at work (start {self._replay.starts})"))
        return " | ".join([*parts, self._doing])

    def _guarded(self) -> None:
        try:
            self._outages()
        except _Cancelled:
            pass
        except BaseException as error:  # noqa: BLE001 - the main thread reports it
            self._error = error

    def _outages(self) -> None:
        for outage in self._script.outages:
            self._pause(max(0.0, self._began + outage.at - time.monotonic()))
            self._doing = f"all servers dead for {outage.seconds:.2g} s"
            for host in self._hosts:
                host.kill()
            self._pause(outage.seconds)
            self._doing = "all booting"
            for host in self._hosts:
                host.boot()
            for host in self._hosts:
                host.wait_ready()
            self._doing = "all well again"
        self._back_at = time.monotonic()

    def _pause(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise _Cancelled


class _Cancelled(Exception):
    pass


def asked_for(seconds: float) -> int:
    """How many points the runs of a job set out to log in its first seconds."""
    return round(RATE * sum(max(0.0, seconds - run * STAGGER) for run in range(RUNS)))


def verdict(report: dict[str, Any], script: SecondScript) -> list[str]:
    """What is wrong with the second act; empty when all is well. Nothing lost is no merit of a job that logged nothing, or
    that waited until the servers were back."""
    wanted = {"lost": 0, "duplicated": 0, "invented": 0, "out_of_order": 0, "refused": 0, "files_left": 0}
    wrong = [f"second act: {key} is {report[key]}, expected {value}" for key, value in wanted.items() if report[key] != value]
    if report["runs_stored"] != report["runs_asked"]:
        wrong.append(f"second act: {report['runs_stored']} runs are stored, {report['runs_asked']} were started")
    if report["failures"]:
        wrong.append(f"second act: {report['failures'][0]}")
    floor = round(script.least_share * report["asked"])
    if report["acknowledged"] < max(1, floor):
        wrong.append(f"second act: {report['acknowledged']} entries were acknowledged, expected at least {floor}")
    if report["longest_log_call_ms"] > script.longest_call_ms:
        wrong.append(
            f"second act: a log call took {report['longest_log_call_ms']} ms, expected {script.longest_call_ms:g} at most"
        )
    if script.killed_in_an_outage and report["waited_at_the_kill"] == 0:
        wrong.append("second act: nothing was in the spool when job 1 was killed, and no server was there to deliver to")
    if script.killed_in_an_outage and not script.kill_replay_after and report["replayed"] == 0:
        wrong.append("second act: the replay delivered nothing")
    return wrong
