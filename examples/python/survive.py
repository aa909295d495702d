#!/usr/bin/env python3
"""Runs train.py while three real MLflow servers are killed in turn, once through mlflowha and once with MLflow's own
client. Prints what each of the two lost and doubled.

    survive.py --python PYTHON [--official-python PYTHON] [--version 3] [--short]

PYTHON: an interpreter that has mlflow and mlflowha. The official client gets HAProxy in front of the three servers
where that is installed, else the first server alone. --short: a quarter of the points, and the servers die a second after
each other, so that for some seconds none is there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from mlflow_stack import HAProxy, Stack  # noqa: E402
from process_group import ProcessError  # noqa: E402


def faults(stack: Stack, stop: threading.Event, told: list[str], short: bool) -> None:
    """From the job's first point on: each server is killed and started again in its turn; then all of them are down for
    some seconds."""
    while not stop.wait(0.1) and not stack.query("SELECT 1 FROM metrics LIMIT 1"):
        pass
    begin = time.monotonic()

    def tell(what: str) -> None:
        told.append(f"{time.monotonic() - begin:5.1f} s  {what}")

    if short:
        for number, server in enumerate(stack.servers, 1):
            stop.wait(1)
            server.kill()
            tell(f"server {number} killed")
        stop.wait(2)
        for server in stack.servers:
            server.start()
        for server in stack.servers:
            server.wait_ready()
        tell("all answer again")
        return
    for number, server in enumerate(stack.servers, 1):
        if stop.wait(2):
            break
        tell(f"server {number} killed")
        server.kill()
        stop.wait(2)
        server.start().wait_ready()
        tell(f"server {number} answers again")
    stop.wait(1)
    tell("all killed")
    for server in stack.servers:
        server.kill()
    stop.wait(6)
    for server in stack.servers:
        server.start()
    for server in stack.servers:
        server.wait_ready()
    tell("all answer again")


def job(python: str, uri: str, folder: Path, arguments: list[str], official: bool) -> dict[str, Any]:
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOWHA_SPOOL_DIR": str(folder / "spool"),
        "MLFLOWHA_EXIT_WAIT": "60",  # three servers that start at once are slow
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    if official:
        # Its own default can take 20 minutes for one call: eight attempts of 120 s, with waits up to 64 s between them.
        environment.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    done = subprocess.run(
        [python, str(Path(__file__).with_name("train.py")), *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode != 0:
        return {"died": done.stderr.strip().splitlines()[-1:] or ["?"]}
    return {**json.loads(done.stdout.strip().splitlines()[-1]), "stderr": done.stderr}


def stored(stack: Stack) -> tuple[list[str], list[tuple[str, ...]]]:
    """Names of the runs, and all points that the job logged itself."""
    runs = [row[0] for row in stack.query("SELECT name FROM runs")]
    points = [
        tuple(row)
        for row in stack.query(
            "SELECT r.name, m.key, m.step, m.value FROM metrics m JOIN runs r ON r.run_uuid = m.run_uuid "
            "WHERE m.key IN ('loss', 'fold')"
        )
    ]
    return runs, points


def measure(
    stack: Stack, python: str, uri: str, arguments: list[str], short: bool, official: bool
) -> dict[str, Any]:
    stop, told = threading.Event(), []  # type: threading.Event, list[str]
    chaos = threading.Thread(target=faults, args=(stack, stop, told, short))
    chaos.start()
    begin = time.monotonic()
    try:
        result = job(python, uri, stack.directory, arguments, official)
    finally:
        stop.set()
        chaos.join()
    result["took"] = time.monotonic() - begin
    result["faults"] = told
    runs, points = stored(stack)
    result["stored_runs"], result["twice_runs"] = len(runs), len(runs) - len(set(runs))
    result["stored_points"], result["twice_points"] = len(set(points)), len(points) - len(set(points))
    unfinished = stack.query("SELECT COUNT(*) FROM runs WHERE status = 'RUNNING'")
    result["unfinished"] = int(unfinished[0][0])
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # Absolute: the job runs in a directory of its own.
    parser.add_argument("--python", required=True, type=os.path.abspath)
    parser.add_argument("--official-python", type=os.path.abspath)
    parser.add_argument("--version", default="3", choices=("2", "3"))
    parser.add_argument("--venv", type=Path, help="of the servers; the default is what tools/setup.sh made")
    parser.add_argument("--epochs", type=int, help="the default is 200, with --short 50")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", choices=("mlflowha", "official"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    epochs = options.epochs or (50 if options.short else 200)
    arguments = ["--epochs", str(epochs), "--pause", "0.1"]
    want_points = epochs + (epochs + 4) // 5
    want_runs = 1 + (epochs + 4) // 5
    results: dict[str, dict[str, Any]] = {}
    for name in ("mlflowha", "official"):
        if options.only not in (None, name):
            continue
        with Stack(3, options.version, venv=options.venv) as stack:
            if name == "mlflowha":
                uri = "mlflowha+" + ",".join(stack.urls)
                results[name] = measure(stack, options.python, uri, arguments, options.short, False)
                continue
            proxy = None
            try:
                proxy = HAProxy([server.port for server in stack.servers], stack.directory).start()
            except ProcessError:
                print("no haproxy here: the official client gets the first server", file=sys.stderr)
            uri = proxy.url if proxy else stack.urls[0]
            try:
                python = options.official_python or options.python
                results[name] = measure(stack, python, uri, arguments, options.short, True)
            finally:
                if proxy:
                    proxy.kill()
    if options.json:
        print(json.dumps({"wanted": {"runs": want_runs, "points": want_points}, **results}))
    else:
        for name, result in results.items():
            print(f"{name}:")
            for line in result["faults"]:
                print(f"    {line}")
            if "died" in result:
                print(f"    the job died: {result['died']}")
                continue
            print(f"    runs    {result['stored_runs']} of {want_runs} stored, {result['twice_runs']} twice")
            print(f"    points  {result['stored_points']} of {want_points} stored, {result['twice_points']} twice")
            print(f"    {len(result['errors'])} calls failed, the slowest took {result['slowest']:.1f} s")
            print(f"    {result['unfinished']} runs are unfinished")
    ours = results.get("mlflowha")
    if ours is None:
        return 0
    exact = (
        "died" not in ours
        and (ours["stored_runs"], ours["stored_points"]) == (want_runs, want_points)
        and not (ours["twice_runs"] or ours["twice_points"] or ours["errors"] or ours["unfinished"])
    )
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
