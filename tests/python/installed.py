#!/usr/bin/env python3
"""Tests the wheels below a folder, each installed into a clean environment of its Python; the types once.

    installed.py build/wheel
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import python_wheel as wheels  # noqa: E402

NEEDS = ROOT / "tools/needs/wheel-test.txt"


def environment_for(python: str, wheel: Path, folder: Path) -> Path:
    """A venv with this very wheel in it."""
    key = hashlib.sha256(wheel.read_bytes() + NEEDS.read_bytes() + python.encode()).hexdigest()
    stamp = folder / ".key"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != key:
        shutil.rmtree(folder, ignore_errors=True)
        wheels.run([python, "-m", "venv", folder])
        pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        wheels.run([*pip, "--no-deps", wheel])  # it needs nothing else
        wheels.run([folder / "bin/python", "-c", "import mlflowha, mlflowha.testing, mlflowha.aio"], cwd="/")
        wheels.run([*pip, "-r", NEEDS])
        stamp.write_text(key, encoding="utf-8")
    return folder / "bin/python"


def plain_environment() -> dict[str, str]:
    """Without what would change a client's settings, or where Python looks for packages."""
    proxies = ("http_proxy", "https_proxy", "all_proxy")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "PYTHON")) and name.lower() not in proxies
    }


def types_agree(python: Path) -> bool:
    """The stubs are what the extension modules are, and the package passes mypy and ruff."""
    site = next((python.parent.parent / "lib").glob("python*/site-packages"))
    package = ROOT / "bindings/python"
    allowed = ["--allowlist", str(Path(__file__).with_name("stubtest.allow"))]
    modules = ["mlflowha._core", "mlflowha._testing"]
    settings = ["--no-cache", "--quiet", "--config", str(package / "pyproject.toml")]
    good = True
    with tempfile.TemporaryDirectory() as folder:
        cache = ["--cache-dir", folder]
        for command, where in (
            (["-m", "mypy.stubtest", *modules, "--ignore-disjoint-bases", *allowed], folder),
            (["-m", "mypy", *cache, "--config-file", str(package / "pyproject.toml")], str(package)),
            (["-m", "ruff", "check", *settings, str(package), str(ROOT / "tests/python")], folder),
        ):
            environment = {**plain_environment(), "PYTHONPATH": str(site)} if where == folder else plain_environment()
            done = subprocess.run([str(wheels.BUILDER), *command], cwd=where, env=environment, check=False)
            good = good and done.returncode == 0
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    found = {re.sub(r".*-cp(\d)(\d+)-.*", r"\1.\2", one.name): one for one in sorted((folder / "dist").glob("*.whl"))}
    if not found:
        print(f"no wheels in {folder}/dist")
        return 77
    failed = []
    for version, python in wheels.pythons().items():
        if version not in found:
            continue
        print(f"== {found[version].name}", flush=True)
        installed = environment_for(python, found[version], folder / f"test-{version}")
        with tempfile.TemporaryDirectory() as elsewhere:
            command = [str(installed), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib",
                       "-o", "faulthandler_timeout=120",  # says where it hangs
                       "--rootdir", elsewhere, str(ROOT / "tests/python")]
            environment = {**plain_environment(), "PYTHONDONTWRITEBYTECODE": "1"}
            done = subprocess.run(command, cwd=elsewhere, env=environment, check=False)
        if done.returncode != 0:
            failed.append(f"Python {version}")
        # stubtest loads the modules, so it must be of their Python: the default one.
        if version == next(iter(wheels.pythons())) and not types_agree(installed):
            failed.append("types")
    print(f"failed: {', '.join(failed)}" if failed else "all wheels passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
