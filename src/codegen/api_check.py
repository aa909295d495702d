#!/usr/bin/env python3
"""Compares the table with what MLflow's releases declare: the descriptors, the routes that are in none, the Python client.

    api_check.py           with each MLflow that tools/setup.sh has installed (mlflow-3, mlflow-2)

Fails when a row or a field is missing or unknown; 77 when no MLflow is installed. What `make api-check` and the test
api.check run.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys

CODEGEN = pathlib.Path(__file__).resolve().parent
VENVS = CODEGEN.parents[1] / "build" / "venv"


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    runs = []
    for release in ("3", "2"):
        python = VENVS / f"mlflow-{release}" / "bin" / "python"
        if not python.exists():
            print(f"MLflow {release} isn't installed: tools/setup.sh mlflow-{release}")
            continue
        runs += [[python, "-W", "ignore", CODEGEN / f"import_{source}.py"] for source in ("descriptors", "openapi")]
        if release == "3":  # the map names the newest client's methods
            runs.append([python, CODEGEN / "from_python.py"])
    if not runs:
        return 77
    runs.insert(0, [sys.executable, "-B", CODEGEN / "generate.py", "--check"])
    # All of them, so that one run tells all that a new release brings.
    failed = [run for run in runs if subprocess.run([str(word) for word in run], check=False).returncode != 0]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
