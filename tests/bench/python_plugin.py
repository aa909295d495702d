"""The figures of the MLflow plugin; part of run.py. The same Python, the same MLflow and the same script, once with an
address that MLflow serves and once with one that the plugin serves."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(REPOSITORY / "tools"), str(REPOSITORY / "tests" / "python_plugin")]
PAIRS, BLOCK = 9, 60
ROWS = (
    ("plugin_log_wall_ratio", "MlflowClient.log_metric through the plugin / official client, wall", "ratio", 0.92, "<="),
    ("plugin_log_cpu_ratio", "client CPU per log_metric, the same pair", "ratio", 0.15, "<="),
    ("plugin_spool_ratio", "mlflow.log_metric a second with every server down / official sync", "x", 30, ">="),
)


def python_of(build: Path, venv: Path) -> Optional[Path]:
    """A Python with MLflow and the wheel of that build tree; None when there is none."""
    import with_mlflow

    if not (build / "wheel" / "dist").is_dir():
        return None
    return with_mlflow.environment_for(venv, build / "wheel" / "dist", build / "wheel" / "plugin-3")


def points_in_spool(directory: Path) -> int:
    """What was logged while nobody was there must be on the disk: a fast call that keeps nothing is none. Each record holds
    so many entries; the test logs nothing else that could stand in one."""
    points = 0
    for path in directory.rglob("*.spool"):
        with contextlib.closing(sqlite3.connect(path)) as database:
            points += int(database.execute("SELECT total(entries) FROM records WHERE kind = 0").fetchone()[0])
    return points


def figures(figure: Any, side: Any, build: Path, venv: Path) -> List[Any]:
    """The rows of the report; `figure` and `side` are run.py's Figure and Side."""
    import mlflow_stack

    python = python_of(build, venv)
    if python is None:
        note = "no wheel or no MLflow: `make bench` makes them"
        return [figure(id, what, None, unit, bar, op, note=note) for id, what, unit, bar, op in ROWS]
    blocks: Dict[str, List[Dict[str, Any]]] = {"ours": [], "official": []}
    script = str(Path(__file__).with_name("official_client.py"))
    with contextlib.ExitStack() as stack:
        stack.enter_context(mlflow_stack.ending_on_signals())
        url = stack.enter_context(mlflow_stack.Stack(1, version="3", venv=venv)).urls[0]
        sides = {"official": side([str(python), script, url]), "ours": side([str(python), script, f"mlflowha+{url}"])}
        for one in sides.values():
            stack.callback(one.close)
        run_id = [one.read()["run_id"] for one in sides.values()][0]
        step = 0
        for pair in range(PAIRS + 1):
            for name in list(blocks)[:: 1 if pair % 2 == 0 else -1]:
                result = sides[name].block(run_id, step, BLOCK)
                step += BLOCK
                if pair > 0:  # the first is the warm-up
                    blocks[name].append(result)
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        spool = [str(python), str(Path(__file__).with_name("plugin_spool.py")), directory]
        done = subprocess.run(spool, capture_output=True, text=True, check=True, timeout=600, cwd=directory)
        spooled = json.loads(done.stdout.splitlines()[-1])
        kept = points_in_spool(Path(directory))
    if kept != spooled["points"]:
        raise RuntimeError(f"the spool holds {kept} of {spooled['points']} logged points: {done.stderr.strip()[-500:]}")

    def median(name: str, key: str) -> float:
        return statistics.median(result[key] for result in blocks[name])

    values = {
        key: statistics.median(a[key] / b[key] for a, b in zip(blocks["ours"], blocks["official"]))
        for key in ("wall_ms", "cpu_ms")
    }
    detail = {
        f"{key}{suffix}": round(median(name, key), 4)
        for key in ("wall_ms", "p50_ms", "cpu_ms")
        for name, suffix in (("ours", ""), ("official", "_official"))
    }
    speed = spooled["calls_per_s"] * median("official", "wall_ms") / 1e3
    results = (values["wall_ms"], values["cpu_ms"], speed)
    details = (detail, detail, {"calls_per_s": round(spooled["calls_per_s"])})
    runs = (PAIRS, PAIRS, spooled["calls"])
    return [
        figure(id, what, value, unit, bar, op, runs=count, detail=more)
        for (id, what, unit, bar, op), value, more, count in zip(ROWS, results, details, runs)
    ]
