#!/usr/bin/env python3
"""`make chaos`: both acts of the demo with faults drawn from a seed, SQLite and PostgreSQL in turn, for some minutes.

Each round starts its own servers and database, draws what is done to them and when (examples/failover/schedule.py),
counts every record afterwards, and takes about two minutes. Rounds have the seeds SEED, SEED + 1, ...; an odd one means
SQLite, an even one PostgreSQL. The first round that fails ends it: its seed and the command that repeats it are printed
last. Exits 1 unless every round ended well.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SUMS = ("acknowledged", "stored", "lost", "duplicated", "runs_asked", "runs_stored", "faults_begun", "faults_left_out",
        "failed_calls", "failovers")  # fmt: skip
SECOND_SUMS = ("acknowledged", "stored", "lost", "duplicated", "invented", "out_of_order", "refused", "replays")


class Round(NamedTuple):
    seed: int
    backend: str
    exit: int
    seconds: float
    figures: dict[str, object]

    @property
    def held(self) -> bool:
        return self.exit == 0 and bool(self.figures)


def backend_of(seed: int) -> str:
    """Part of what a seed fixes, so that a seed is all it takes to repeat a round."""
    return "sqlite" if seed % 2 else "postgres"


def play(seed: int, arguments: argparse.Namespace) -> Round:
    backend = backend_of(seed)
    folder = arguments.report.parent / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    print(f"\n== seed {seed}, {backend}", flush=True)
    command = [sys.executable, str(ROOT / "examples/failover/demo.py"), "--build", str(arguments.build), "--drawn"]
    command += ["--seed", str(seed), "--backend", backend, "--patience", "180", "--report", str(report)]
    if arguments.venv is not None:
        command += ["--venv", str(arguments.venv)]
    began = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    try:
        figures = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        figures = {}
    return Round(seed, backend, code, round(time.monotonic() - began, 1), figures)


def total(rounds: list[Round]) -> dict[str, object]:
    """The report over all rounds: sums, and whether every round held."""

    def sums(keys: tuple[str, ...], figures: list[dict[str, object]]) -> dict[str, int]:
        return {key: sum(int(str(f.get(key) or 0)) for f in figures) for key in keys}

    first = [r.figures for r in rounds]
    second = [f["second_act"] for f in first if isinstance(f.get("second_act"), dict)]
    return {
        "holds": bool(rounds) and all(r.held for r in rounds),
        "first_act": sums(SUMS, first),
        "second_act": sums(SECOND_SUMS, second),  # type: ignore[arg-type]
        "rounds": [r._asdict() for r in rounds],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True, help="where the examples were built")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10, help="no round begins later; there is at least one")
    parser.add_argument("--seed", type=int, help="of the first round; default: a new one each time")
    parser.add_argument("--venv", type=Path, help="where MLflow is installed; default: build/venv/mlflow-3")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1, 1_000_000)
    arguments.report = arguments.report.resolve()
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    rounds: list[Round] = []
    until = time.monotonic() + 60 * arguments.minutes
    while not rounds or (time.monotonic() < until and rounds[-1].held):
        rounds.append(play(seed + len(rounds), arguments))
        report = total(rounds)
        arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        if rounds[-1].exit == 130:  # interrupted
            break
    for title in ("first_act", "second_act"):
        figures = report[title]
        assert isinstance(figures, dict)
        print(f"{title.replace('_', ' ')}: " + ", ".join(f"{key} {value:,}" for key, value in figures.items()))
    seconds = sum(r.seconds for r in rounds)
    print(f"{len(rounds)} round(s) in {seconds / 60:.1f} minutes, seeds {seed} to {seed + len(rounds) - 1}")
    if rounds[-1].held:
        print(f"Every round held. Report: {arguments.report}")
        return 0
    print(f"FAILED: seed {rounds[-1].seed}. Again: make chaos SEED={rounds[-1].seed} MINUTES=0")
    return 1


if __name__ == "__main__":
    sys.exit(main())
