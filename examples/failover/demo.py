#!/usr/bin/env python3
"""`make demo`: a program logs a sweep of runs while three real MLflow servers are killed, stopped and restarted.

Starts three `mlflow server` processes on one database, puts a proxy in front of each that drops 5 % of the replies
after the server has applied the request, runs failover_demo (C++) against the three addresses for about a minute,
does a script of faults to the servers meanwhile, and then counts what the database holds. In a second act RunLoggers log
while all servers are dead for 20 s, one of their processes is killed in the middle of it, and `mlflowha replay` delivers
what it left. Ends with 1 unless every acknowledged record is there once.

    BACKEND=postgres   Debian's PostgreSQL instead of SQLite, and a restart of the database in the script
    PEER=1             afterwards the same with MLflow's own Python client behind HAProxy, side by side

Results: build/demo/report.json (figures) and build/demo/timeline.json. README.md beside this file has the details.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(HERE), str(REPOSITORY / "tools")]

import counting  # noqa: E402
import schedule as schedules  # noqa: E402
import screen  # noqa: E402
import second_act  # noqa: E402
import source_state  # noqa: E402
import story as stories  # noqa: E402
import workload  # noqa: E402
from faults import FaultProxy, FaultScript, Host, expected_seconds, names_by_url  # noqa: E402
from mlflow_stack import HAProxy, Stack, ending_on_signals, server_environment  # noqa: E402
from process_group import ProcessError, free_port  # noqa: E402
from program import Program, find_program  # noqa: E402

OURS, PEER = "mlflowha", "MLflow's client + HAProxy"
SETTLE = 1.0  # seconds between the program's end and the count: a request still in a server would be a late twin
BEYOND_AN_ATTEMPT = 200  # ms; with one healthy server no call takes longer than one attempt and this


class Result(NamedTuple):
    report: dict[str, Any]
    timeline: list[dict[str, object]]
    faults_missed: list[str]  # the program had ended before their turn


class Demo:
    def __init__(
        self, args: argparse.Namespace, stack: Stack, schedule: schedules.Schedule, boot_seconds: float
    ) -> None:
        self._args = args
        self._stack = stack
        self._schedule = schedule
        self._seconds: float = args.seconds or max(60.0, expected_seconds(schedule.steps, boot_seconds))
        self._deadline = max(30.0, 4 * boot_seconds)  # of a call: longer than three servers need to boot together

    def ours(self) -> Result:
        """failover_demo against the three addresses."""
        with ExitStack() as cleanup:
            hosts = self._hosts(cleanup)
            env = {**server_environment(), "MLFLOW_TRACKING_URI": ",".join(host.url for host in hosts)}
            command = [str(self._args.logger), f"--deadline={self._deadline:g}"]
            return self._run(OURS, "failover-demo", command, env, hosts)

    def peer(self) -> Result:
        """The official client. It takes one address only: HAProxy's, with a fault proxy in front."""
        with ExitStack() as cleanup:
            hosts = [Host("ABC"[number], server, None) for number, server in enumerate(self._stack.servers)]
            haproxy = HAProxy([server.port for server in self._stack.servers], self._stack.directory)
            cleanup.callback(haproxy.kill)
            haproxy.start()
            proxy = self._fault_proxy(cleanup, haproxy.port, 0)
            env = {**server_environment(), "MLFLOW_TRACKING_URI": proxy.url}
            python = str(self._stack.venv / "bin" / "python")
            return self._run(PEER, "failover-peer", [python, str(HERE / "peer.py")], env, hosts)

    def second_act(self) -> dict[str, object]:
        """Durable logging, with the same servers."""
        script = self._schedule.second
        dead = ", then ".join(f"{outage.seconds:.2g} s" for outage in script.outages)
        print(f"\nSecond act: two jobs log into a spool, all servers are dead for {dead}, and job 1 is killed")
        with ExitStack() as cleanup:
            hosts = self._hosts(cleanup)
            for host in hosts:
                host.mark_well()
            programs = second_act.Programs(self._args.durable_logger, self._args.cli)
            act = second_act.SecondAct(self._stack, hosts, programs, script, self._args.out, 120 + self._args.patience)
            return act.run()

    def _hosts(self, cleanup: ExitStack) -> list[Host]:
        """The servers, each with a fault proxy in front."""
        hosts = []
        for number, server in enumerate(self._stack.servers):
            proxy = self._fault_proxy(cleanup, server.port, number)
            hosts.append(Host("ABC"[number], server, proxy))
        return hosts

    def _fault_proxy(self, cleanup: ExitStack, upstream: int, number: int) -> FaultProxy:
        log = self._args.out / f"fault-proxy-{number}.log"
        faults = self._schedule.proxy
        proxy = FaultProxy(self._args.fault_proxy, free_port(), upstream, faults, self._args.seed + number, log)
        cleanup.callback(proxy.process.kill)
        proxy.start()
        return proxy

    def _run(
        self, title: str, experiment: str, program_command: list[str], env: dict[str, str], hosts: list[Host]
    ) -> Result:
        args = self._args
        command = [
            *program_command,
            f"--experiment={experiment}",
            f"--trials={args.trials}",
            f"--workers={args.workers}",
            f"--seconds={self._seconds:g}",
        ]
        calls = args.trials * len(workload.calls_of_a_trial())
        records = args.trials * (workload.POINTS + workload.PARAMS + workload.TAGS + 1) + 1
        points = args.trials * workload.POINTS
        print(f"\n{title}: {points:,} points in {calls:,} calls and {args.trials} child runs in {self._seconds:.0f} s")
        for host in hosts:
            host.mark_well()
        story = stories.Story()
        script = FaultScript(self._stack, hosts, self._schedule.steps, story.busiest)
        live = screen.LiveLine(hosts, story, script, records)
        program = Program(command, env, args.out / f"{experiment}.jsonl", story.add_line)
        deadline = time.monotonic() + self._seconds + args.patience
        try:
            while program.running:
                if story.started is not None and not script.started:
                    script.start()
                if script.error is not None:
                    raise ProcessError(f"the script of faults broke down: {script.error}")
                if time.monotonic() > deadline:
                    raise ProcessError(f"{title} is not done {args.patience:g} s after its time")
                live.draw()
                time.sleep(0.05)
            ended = time.monotonic()
            live.close()
            check(program, story)
            # All servers must be up for the count: what waits in one may be a twin.
            left_out = script.finish(args.patience)
            missed = [fault.title for fault in script.faults if fault.start > ended]
            missed += [f"{step.what} at {step.at:.0f} s" for step in left_out]
            if script.error is not None:
                raise ProcessError(f"the script of faults broke down: {script.error}")
        finally:
            script.cancel()
            program.close()
        time.sleep(SETTLE)
        counts = counting.count(self._stack.query, experiment, story.acknowledged, args.trials + 1)
        timeline = screen.timeline(story, script, names_by_url(hosts), ended)
        print(screen.timeline_text(timeline))
        if counts.runs_deleted:
            print(f"  {counts.runs_deleted} twin run(s) found and removed by the client")
        errors = sorted({call.error for call in story.calls if not call.ok})
        print("".join(f"  failed: {error}\n" for error in errors[:5]), end="")
        return Result(report_of(story, counts, records, script, len(left_out), hosts), timeline, missed)


def check(program: Program, story: stories.Story) -> None:
    """After the end: raises unless all went as it should."""
    program.finish_reading()
    if program.returncode != 0 or not story.finished:
        raise ProcessError(f"the program ended with {program.returncode} before it was done\n{program.errors()}")
    if story.strange_lines:
        raise ProcessError(f"the program wrote what README.md doesn't know: {story.strange_lines[0]}")


def report_of(
    story: stories.Story,
    counts: counting.Counts,
    records: int,
    script: FaultScript,
    left_out: int,
    hosts: list[Host],
) -> dict[str, Any]:
    """The figures of one program."""
    calm, faults = stories.split_by_faults(story.calls, script.windows())
    report: dict[str, Any] = {
        "asked": records,
        "acknowledged": counts.acknowledged,
        "stored": counts.stored,
        "lost": counts.lost,
        "duplicated": counts.duplicated,
        "runs_asked": counts.runs_asked,
        "runs_stored": counts.runs_stored,
        "faults_begun": script.begun,
        "faults_left_out": left_out,
        "failed_calls": story.failed,
        "failovers": story.failovers(),
        "longest_call_ms_with_a_healthy_server": round(stories.longest_with_a_healthy_server(story.calls, hosts), 1),
        "longest_call_ms": round(stories.longest(story.calls), 1),
        "attempt_timeout_ms": story.attempt_timeout_ms,
    }
    for name, calls in (("calm", calm), ("faults", faults)):
        figures = asdict(stories.latency(calls))
        report[name] = {key: None if value is None else round(value, 2) for key, value in figures.items()}
    return report


def verdict(report: dict[str, Any]) -> list[str]:
    """What is wrong with our result; empty when all is well."""
    wrong = [f"{key} is {report[key]}, expected 0" for key in ("lost", "duplicated", "failed_calls") if report[key]]
    if report["runs_stored"] != report["runs_asked"]:
        wrong.append(f"{report['runs_stored']} runs are stored, {report['runs_asked']} were asked for")
    if report["acknowledged"] != report["asked"]:
        wrong.append(f"{report['acknowledged']} records were acknowledged, {report['asked']} were asked for")
    if not report["faults_begun"]:
        wrong.append("no fault had begun when the work was done")
    if report["attempt_timeout_ms"] is None:
        wrong.append("the program didn't tell its attempt timeout")
    return wrong


def slow_calls(report: dict[str, Any]) -> list[str]:
    """What took longer than promised. Told, and judged by `make bench`, but no failure: a busy machine does it, too."""
    longest, attempt = report["longest_call_ms_with_a_healthy_server"], report["attempt_timeout_ms"]
    if attempt is None or longest <= attempt + BEYOND_AN_ATTEMPT:
        return []
    return [
        f"with one healthy server a call took {longest} ms, expected its attempt timeout of {attempt:g} ms "
        f"and {BEYOND_AN_ATTEMPT} ms at most"
    ]


def too_slow(result: Result) -> list[str]:
    """Faults of the demo's own script that this machine had no time for."""
    return [
        f'this machine is too slow: "{title}" came after the work was done; try a larger --seconds'
        for title in result.faults_missed
    ]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=REPOSITORY / "build", help="where the two programs were built")
    parser.add_argument("--logger", type=Path, help="the program under test; default: failover_demo below --build")
    parser.add_argument("--fault-proxy", type=Path, help="default: mlflowha-fault-proxy below --build")
    parser.add_argument("--venv", type=Path, help="where MLflow is installed; default: build/venv/mlflow-3")
    parser.add_argument("--backend", default=os.environ.get("BACKEND") or "sqlite", help="sqlite or postgres")
    parser.add_argument("--peer", action="store_true", default=os.environ.get("PEER", "") not in ("", "0"))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, help="length of the work; default: 60, more on slow machines")
    parser.add_argument("--patience", type=float, default=60, help="seconds after which an overdue program is given up")
    parser.add_argument("--seed", type=int, default=1, help="of the dropped replies, and of what --drawn draws")
    parser.add_argument("--drawn", action="store_true", help="other faults at other times, drawn from the seed")
    parser.add_argument("--acts", type=int, nargs="+", choices=(1, 2), default=(1, 2), help="default: both")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "build" / "demo" / "report.json")
    args = parser.parse_args()
    args.logger = args.logger or find_program(args.build, "failover_demo")
    args.fault_proxy = args.fault_proxy or find_program(args.build, "mlflowha-fault-proxy")
    args.durable_logger = find_program(args.build, "logger_demo")
    args.cli = find_program(args.build, "mlflowha")
    args.out = args.report.resolve().parent
    if None in (args.logger, args.fault_proxy) or (2 in args.acts and None in (args.durable_logger, args.cli)):
        names = "failover_demo, logger_demo, mlflowha or mlflowha-fault-proxy"
        parser.error(f"{names} is not built in {args.build}: run `make demo`")
    if args.backend not in ("sqlite", "postgres"):
        parser.error(f"the backend is {args.backend!r}, expected sqlite or postgres")
    return args


def write_results(args: argparse.Namespace, report: dict[str, object], timelines: dict[str, object]) -> None:
    for path, content in ((args.report, report), (args.out / "timeline.json", timelines)):
        path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def run(args: argparse.Namespace) -> int:
    args.out.mkdir(parents=True, exist_ok=True)
    for old in (
        args.report,
        args.out / "timeline.json",
    ):  # a run that breaks down must not leave an older one's figures
        with suppress(FileNotFoundError):
            old.unlink()
    print(f"Starting three MLflow servers on one {args.backend} database ...", flush=True)
    before = time.monotonic()
    with Stack(3, backend=args.backend, venv=args.venv) as stack:
        boot_seconds = (time.monotonic() - before) / 2  # the first alone, then two together
        print(f"up after {time.monotonic() - before:.1f} s: {' '.join(stack.urls)}", flush=True)
        postgres = stack.postgres is not None
        schedule = schedules.drawn(args.seed, postgres) if args.drawn else schedules.fixed(postgres)
        demo = Demo(args, stack, schedule, boot_seconds)
        report: dict[str, object] = {
            "commit": source_state.commit(), "date": source_state.now(), "backend": args.backend,
        }  # fmt: skip
        if args.drawn:
            report["schedule"] = schedule.describe()
            print(json.dumps(report["schedule"], indent=2))
        columns: dict[str, dict[str, object]] = {}
        timelines: dict[str, object] = {}
        wrong: list[str] = []
        missed: list[str] = []
        if 1 in args.acts:
            ours = demo.ours()
            columns[OURS] = ours.report
            report.update(ours.report)
            if args.drawn:
                report["schedule"] = schedule.describe(ours.report["faults_begun"])
            timelines["mlflowha"] = ours.timeline
            wrong += verdict(ours.report) + ([] if args.drawn else too_slow(ours))
            # Not where faults are drawn: proxies may then hold answers back for longer.
            missed += [] if args.drawn else slow_calls(ours.report)
            write_results(args, report, timelines)
        if 2 in args.acts:
            report["second_act"] = second = demo.second_act()
            wrong += second_act.verdict(second, schedule.second)
            write_results(args, report, timelines)
        if args.peer:
            args.patience += 240  # a single call of the official client may take minutes
            peer = demo.peer()
            columns[PEER] = report["peer"] = peer.report
            timelines["peer"] = peer.timeline
            write_results(args, report, timelines)
    if columns:
        print("\n" + screen.table(columns))
    if 2 in args.acts:
        print("\nsecond act\n" + screen.second_table(second))
    print()
    for line in wrong:
        print(f"FAILED: {line}")
    for line in missed:
        print(f"TOO SLOW: {line}")
    if not wrong:
        print("Every acknowledged record is stored once, every run once, no call failed.")
    print(f"Report: {args.report}")
    return 1 if wrong else 0


def main() -> int:
    args = parse_arguments()
    try:
        with ending_on_signals():
            return run(args)
    except KeyboardInterrupt:
        print("\nstopped; all servers are down", file=sys.stderr)
        return 130
    except ProcessError as error:
        print(f"\ndemo.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
