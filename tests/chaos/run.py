#!/usr/bin/env python3
"""The failover demo, again and again: other dropped replies each time, SQLite and PostgreSQL in turn, one report.

Each round starts its own servers and database, hurts them by the demo's script and counts every record afterwards.
Exits 1 unless every round ended well. About 90 s a round.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUMS = ("acknowledged", "stored", "lost", "duplicated", "runs_asked", "runs_stored", "failed_calls", "failovers")


def run_round(number: int, build: Path, folder: Path) -> dict[str, object]:
    """One round; its seed is its number."""
    backend = "sqlite" if number % 2 else "postgres"
    report = folder / f"round-{number}.json"
    report.unlink(missing_ok=True)
    print(f"== round {number}: {backend}, seed {number}", flush=True)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/failover/demo.py"), "--build", str(build), "--backend", backend]
        + ["--seed", str(number), "--report", str(report)],
        check=False,
    )
    try:
        figures = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        figures = {}
    return {
        "round": number,
        "backend": backend,
        "seed": number,
        "exit": done.returncode,
        "seconds": round(time.monotonic() - started, 1),
        "figures": figures,
    }


def total(rounds: list[dict[str, object]]) -> dict[str, object]:
    """The report over all rounds: sums, and whether every round held."""
    figures = [r["figures"] for r in rounds]
    sums = {key: sum(f.get(key) or 0 for f in figures) for key in SUMS}  # type: ignore[attr-defined]
    holds = bool(rounds) and all(r["exit"] == 0 and r["figures"] for r in rounds)
    return {"holds": holds, **sums, "rounds": rounds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True, help="where the examples were built")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    rounds: list[dict[str, object]] = []
    for number in range(1, arguments.rounds + 1):
        rounds.append(run_round(number, arguments.build, arguments.report.parent))
        report = total(rounds)
        arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(
        f"{len(rounds)} round(s): {report['acknowledged']} acknowledged, {report['lost']} lost, "
        f"{report['duplicated']} duplicated, {report['failed_calls']} failed calls: "
        f"{'held' if report['holds'] else 'BROKEN'}"
    )
    return 0 if report["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
