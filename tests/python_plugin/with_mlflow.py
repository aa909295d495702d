#!/usr/bin/env python3
"""Tests the MLflow plugin of a built wheel with one release of MLflow, in an environment that has both.

    with_mlflow.py build/wheel 3 [pytest's arguments]

MLFLOWHA_TEST_FRAMEWORKS="keras jax" installs what is too large for every day, so that its tests aren't skipped.
77, which ctest takes for "skipped", where the wheel or the MLflow isn't there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from mlflow_stack import venv_for  # noqa: E402

NEEDS = ROOT / "tools/needs/plugin-test.txt"


def environment_for(mlflow: Path, wheels: Path, folder: Path) -> Path | None:
    """An environment over MLflow's own, with the wheel for its Python and what the tests need."""
    python = mlflow / "bin/python"
    if not python.exists():
        print(f"no MLflow in {mlflow}: tools/setup.sh")
        return None
    tag = subprocess.run(
        [python, "-c", "import sys; print('cp%d%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True
    ).stdout.strip()
    wheel = next(iter(sorted(wheels.glob(f"*-{tag}-*.whl"))), None)
    if wheel is None:
        print(f"no wheel for {tag} in {wheels}")
        return None
    more = os.environ.get("MLFLOWHA_TEST_FRAMEWORKS", "").split()
    key = hashlib.sha256(wheel.read_bytes() + NEEDS.read_bytes() + f"{mlflow} {more}".encode()).hexdigest()
    stamp = folder / ".key"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != key:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", folder], check=True)
        (site,) = (folder / "lib").glob("python*/site-packages")
        (theirs,) = (mlflow / "lib").glob("python*/site-packages")
        pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", wheel], check=True)
        (site / "mlflow.pth").write_text(f"{theirs}\n", encoding="utf-8")
        subprocess.run([*pip, "-r", NEEDS, *more], check=True)
        stamp.write_text(key, encoding="utf-8")
    return folder / "bin/python"


def main() -> int:
    folder, version, *arguments = sys.argv[1:]
    wheels = Path(folder).resolve()
    mlflow = venv_for(version)
    python = environment_for(mlflow, wheels / "dist", wheels / f"plugin-{version}")
    if python is None:
        return 77
    proxies = ("http_proxy", "https_proxy", "all_proxy")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW", "PYTHON")) and name.lower() not in proxies
    }
    environment.update(MLFLOWHA_TEST_MLFLOW=str(mlflow), PYTHONDONTWRITEBYTECODE="1")
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", "--durations=12",
               "-o", "faulthandler_timeout=120", *arguments]  # fmt: skip
    return subprocess.run(command, cwd=HERE, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
