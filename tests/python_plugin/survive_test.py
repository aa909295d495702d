"""examples/python/survive.py, in its short form: an unchanged training script while its servers die loses nothing and
doubles nothing. What MLflow's own client loses meanwhile isn't measured here."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from conftest import ROOT, SERVERS, VERSION


def test_an_unchanged_script_loses_and_doubles_nothing() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOWHA_", "MLFLOW_"))}
    command = [sys.executable, str(ROOT / "examples/python/survive.py"), "--python", sys.executable, "--short"]
    command += ["--version", VERSION, "--venv", str(SERVERS), "--only", "mlflowha", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    ours = told["mlflowha"]
    assert "died" not in ours, ours
    faults = [line.partition(" s  ")[2] for line in ours["faults"]]
    assert faults == ["server 1 killed", "server 2 killed", "server 3 killed", "all answer again"]
    assert told["wanted"] == {"runs": 11, "points": 60}
    assert (ours["runs"], ours["points"], ours["errors"]) == (11, 60, [])  # what the script believes
    assert (ours["stored_runs"], ours["stored_points"]) == (11, 60)
    assert (ours["twice_runs"], ours["twice_points"], ours["unfinished"]) == (0, 0, 0)
    assert done.returncode == 0, done.stderr
