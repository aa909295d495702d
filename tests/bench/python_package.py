"""The figures of the Python package; part of run.py. They are those of a wheel that is installed in an environment of its
own: `make bench` builds it as `make wheel` does."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(REPOSITORY / "tools"), str(REPOSITORY / "tests" / "python")]
MIB = 1024.0 * 1024.0


def wheel_of(build: Path) -> Optional[Path]:
    """The wheel that was built of that build tree's library; None when there is none."""
    import python_wheel

    default = next(iter(python_wheel.pythons()), "")
    found = sorted((build / "wheel" / "dist").glob(f"*-cp{default.replace('.', '')}-*.whl"))
    return found[0] if found else None


def python_of(build: Path) -> Optional[Path]:
    """A Python that has this wheel."""
    import installed
    import python_wheel

    built = wheel_of(build)
    if built is None:
        return None
    version, python = next(iter(python_wheel.pythons().items()))
    return installed.environment_for(python, built, build / "wheel" / f"test-{version}")


def child(python: Path, *arguments: str) -> Dict[str, Any]:
    done = subprocess.run([str(python), *arguments], capture_output=True, text=True, check=True, timeout=300, cwd="/")
    result: Dict[str, Any] = json.loads(done.stdout)
    return result


def measure(build: Path, directory: str) -> Dict[str, Any]:
    """import_ms, wheel_mib and the nanoseconds of RunLogger.log_metric."""
    python, built = python_of(build), wheel_of(build)
    assert python is not None and built is not None
    script = (
        "import time; t, c = time.perf_counter(), time.process_time(); import mlflowha; "
        "print('{\"ms\": %f, \"cpu_ms\": %f}' % ((time.perf_counter() - t) * 1e3, (time.process_time() - c) * 1e3))"
    )
    imports = [child(python, "-c", script) for _ in range(21)][1:]  # the first reads the disk
    return {
        "import_ms": statistics.median(one["ms"] for one in imports),
        "import_cpu_ms": statistics.median(one["cpu_ms"] for one in imports),
        "imports": len(imports),
        "wheel_mib": built.stat().st_size / MIB,
        "logging": child(python, str(Path(__file__).with_name("python_logging.py")), directory),
    }


def figures(figure: Any, build: Path, directory: str) -> List[Any]:
    """The rows of the report; `figure` is run.py's Figure."""
    r = measure(build, directory)
    logging = r["logging"]
    return [
        figure("python_log_call_p50_us", "mlflowha.RunLogger.log_metric from Python, 1 thread", logging["p50_us"], "us", 1,
               runs=logging["calls"], detail={"p99": logging["p99_us"], "python": logging["python"]}),
        figure("python_import_ms", "import mlflowha, without mlflow", r["import_ms"], "ms", 50, runs=r["imports"],
               detail={"cpu": round(r["import_cpu_ms"], 1)}),
        figure("python_wheel_mib", "size of the wheel, with libcurl and its TLS", r["wheel_mib"], "MiB", 8, runs=1),
    ]  # fmt: skip
