#!/usr/bin/env python3
"""Builds the Python package: the sdist, and from it a wheel for each Python, repaired for other machines.

    python_wheel.py build [--all | --python NAME]... [--library BUILD] [--out build/wheel]
    python_wheel.py pythons                    the Pythons that wheels can be built for, the default one first
    python_wheel.py alone [--out build/wheel]  installs the sdist as a user would, far from here: takes minutes

The C++ library is compiled once, from the sdist's own copy, and every wheel only adds its thin module to it: pybind11
has no stable ABI, but nearly all of the compile time isn't the binding's. With --library the library of a build tree is
taken instead (`make test` has just made one). What the wheels say about the machines that they run on is what
auditwheel found in them: built on Debian 12 that is a glibc of about its age.

Needs build/venv/wheel (tools/setup.sh build extension wheel). Standard library only.
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import wheel_licenses

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "bindings" / "python"
BUILDER = ROOT / "build" / "venv" / "wheel" / "bin" / "python"
NEWEST = 19  # 3.19: there is none yet
OLDEST = 10


def say(text: str) -> None:
    print(f"wheel: {text}", flush=True)


def run(command: Sequence[str | Path], **options: object) -> None:
    """Runs a command; its output is shown when it fails."""
    words = [str(part) for part in command]
    done = subprocess.run(  # type: ignore[call-overload]
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    if done.returncode != 0:
        sys.stdout.write(done.stdout)
        sys.exit(f"wheel: failed with {done.returncode}: {' '.join(words)}")


def usable(python: str) -> tuple[str, str] | None:
    """(version, real path) of a Python that can make venvs and compile extensions."""
    probe = (
        "import os, sys, sysconfig, venv, ensurepip; "
        "there = os.path.exists(os.path.join(sysconfig.get_paths()['include'], 'Python.h')); "
        "print('%d.%d' % sys.version_info[:2], os.path.realpath(sys.executable)) if there else None"
    )
    try:
        done = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=False)
    except OSError:
        return None
    words = done.stdout.split()
    if done.returncode != 0 or len(words) != 2 or int(words[0].split(".")[1]) < OLDEST:
        return None
    return words[0], words[1]


def pythons() -> dict[str, str]:
    """version -> interpreter; the default Python first, then the newest, then the others downwards."""
    found: dict[str, str] = {}
    names = ["python3", *(f"python3.{minor}" for minor in range(NEWEST, OLDEST - 1, -1)), "/usr/bin/python3"]
    for name in names:
        # pyenv's shims stand for versions that may not be switched on: look where it keeps them, too.
        kept = Path.home().glob(f".pyenv/versions/*/bin/{name}") if "." in name else ()
        places = [name, *sorted(map(str, kept))]
        for place in places:
            got = usable(place)
            if got:
                found.setdefault(*got)
    return found


def requirements() -> list[str]:
    """What a wheel's own build needs, of tools/needs/wheel.txt."""
    lines = (ROOT / "tools/needs/wheel.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith(("scikit-build-core", "pybind11"))]


def builder_for(python: str, version: str, out: Path) -> Path:
    """A venv of that Python with what builds a wheel; kept."""
    folder = out / f"builder-{version}"
    key = hashlib.sha256("\n".join([python, *requirements()]).encode()).hexdigest()
    stamp = folder / ".key"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != key:
        shutil.rmtree(folder, ignore_errors=True)
        run([python, "-m", "venv", folder])
        run([folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements()])
        stamp.write_text(key, encoding="utf-8")
    return folder / "bin/python"


def unpack_sdist(out: Path) -> Path:
    """Makes the sdist and unpacks it: what is built is what is published."""
    dist = out / "dist"
    dist.mkdir(parents=True, exist_ok=True)
    for old in dist.glob("*.tar.gz"):
        old.unlink()
    run([BUILDER, "-m", "build", "--sdist", "--no-isolation", "--outdir", dist, PACKAGE])
    (sdist,) = dist.glob("*.tar.gz")
    source, before = out / "src", out / "src-before"
    shutil.rmtree(before, ignore_errors=True)
    if source.is_dir():
        source.rename(before)
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(source, filter="data")
        else:
            archive.extractall(source)
    date_by_change(source, before)
    shutil.rmtree(before, ignore_errors=True)
    (folder,) = source.iterdir()
    return folder


def date_by_change(source: Path, before: Path) -> None:
    """An sdist gives all of its files one old date, by which no build tool would see that one has changed: who differs from
    the last time is of now, the others keep the date that they had."""
    for file in source.rglob("*"):
        if not file.is_file():
            continue
        previous = before / file.relative_to(source)
        if previous.is_file() and filecmp.cmp(previous, file, shallow=False):
            shutil.copystat(previous, file)
        else:
            os.utime(file)


def install_library(source: Path, out: Path, library: Path | None) -> Path:
    """The compiled library under out/prefix; its CMake package's folder."""
    prefix = out / "prefix"
    shutil.rmtree(prefix, ignore_errors=True)
    if library is None:
        library = out / "library"
        launcher = shutil.which("ccache")
        environment = {**os.environ, "CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1",
                       "CCACHE_SLOPPINESS": "time_macros,include_file_mtime,include_file_ctime"}
        run(["cmake", "-S", source / "vendor", "-B", library, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
             "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG -ffunction-sections -fdata-sections",
             "-DMLFLOWHA_BUILD_CLI=OFF", "-DMLFLOWHA_BUILD_TESTS=OFF", "-DMLFLOWHA_BUILD_EXAMPLES=OFF",
             "-DMLFLOWHA_BUILD_FUZZ=OFF",
             *([f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher}"] if launcher else [])])
        say("compiling the library")
        run(["cmake", "--build", library], env=environment)
    run(["cmake", "--install", library, "--prefix", prefix])
    (package,) = prefix.glob("lib*/**/cmake/mlflowha")
    return package


def build_wheel(source: Path, package: Path, out: Path, version: str, python: str) -> Path:
    """One repaired wheel."""
    began = time.monotonic()
    raw = out / "raw" / version
    shutil.rmtree(raw, ignore_errors=True)
    builder = builder_for(python, version, out)
    run([builder, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation",
         "--wheel-dir", raw, "--config-settings", f"cmake.define.mlflowha_DIR={package}",
         "--config-settings", f"build-dir={out / 'build'}/{{wheel_tag}}", source])
    (wheel,) = raw.glob("*.whl")
    tag = "cp" + version.replace(".", "")
    dist = out / "dist"
    for old in dist.glob(f"*-{tag}-*.whl"):
        old.unlink()
    with zipfile.ZipFile(wheel) as archive:
        (module,) = (name for name in archive.namelist() if name.startswith("mlflowha/_core.") and name.endswith(".so"))
        archive.extract(module, raw)
    stand_ins = raw / "unused"
    run([BUILDER, ROOT / "tools/unused_protocols.py", raw / module, stand_ins])
    tools = {
        **os.environ,
        "PATH": f"{BUILDER.parent}{os.pathsep}{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{stand_ins}{os.pathsep}{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(os.pathsep),
    }
    run([BUILDER, "-m", "auditwheel", "repair", "--strip", "--wheel-dir", dist, wheel], env=tools)
    (repaired,) = dist.glob(f"*-{tag}-*.whl")
    headers = next(builder.parent.parent.glob("lib/python*/site-packages/pybind11-*.dist-info/licenses/LICENSE"), raw)
    notices = {"pybind11": headers, "nlohmann-json": Path("/usr/share/doc/nlohmann-json3-dev/copyright")}
    wheel_licenses.add(repaired, raw / module, stand_ins, notices)
    say(f"{repaired.name}: {repaired.stat().st_size / 1e6:.1f} MB after {time.monotonic() - began:.0f} s")
    return repaired


#: What an installed package must be able to do: find its modules, serve, and be served.
CHECK = """
import pathlib, mlflowha
from mlflowha.testing import FakeServer
assert "site-packages" in pathlib.Path(mlflowha.__file__).parts, mlflowha.__file__
with FakeServer() as server, mlflowha.Client(server.url) as client:
    run_id = client.create_run("0").info.run_id
    client.log_text(run_id, "text", "a.txt")
    assert pathlib.Path(client.download_artifacts(run_id, "a.txt")).read_text() == "text"
"""


def install_alone(out: Path, python: str) -> None:
    """The sdist into a clean environment outside the repository, with what pip finds and the machine's libraries."""
    found = sorted((out / "dist").glob("*.tar.gz"))
    if not found:
        sys.exit(f"wheel: no sdist in {out / 'dist'}: build it first")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mlflowha-alone-") as folder:
        run([python, "-m", "venv", Path(folder) / "venv"])
        installed = Path(folder) / "venv/bin/python"
        sdist = shutil.copy(found[-1], folder)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW"))}
        run([installed, "-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir", sdist],
            cwd=folder, env=environment)
        run([installed, "-c", CHECK], cwd=folder, env=environment)
    say(f"{found[-1].name} compiled alone, installed and used after {time.monotonic() - began:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("pythons")
    build = commands.add_parser("build")
    build.add_argument("--all", action="store_true", help="for every Python of this machine")
    build.add_argument("--two", action="store_true", help="for the default Python and the newest other one")
    build.add_argument("--library", type=Path, help="a build tree with the compiled library")
    alone = commands.add_parser("alone")
    for command in (build, alone):
        command.add_argument("--out", type=Path, default=ROOT / "build" / "wheel")
    arguments = parser.parse_args()
    found = pythons()
    if arguments.command == "pythons":
        for version, python in found.items():
            print(version, python)
        return 0
    if arguments.command == "alone":
        install_alone(arguments.out.resolve(), next(iter(found.values())))
        return 0
    if not BUILDER.is_file():
        say("build/venv/wheel is not there: tools/setup.sh build extension wheel")
        return 77
    if not found:
        sys.exit("wheel: no Python >= 3.10 here has venv and its headers (packages python3-venv, python3-dev)")
    count = len(found) if arguments.all else 2 if arguments.two else 1
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    source = unpack_sdist(out)
    library = arguments.library.resolve() if arguments.library else None
    package = install_library(source, out, library)
    for version, python in list(found.items())[:count]:
        build_wheel(source, package, out, version, python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
