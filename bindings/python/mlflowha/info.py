"""`python -m mlflowha.info`: what is installed and what it would use, for bug reports."""

from __future__ import annotations

import platform
import sys

from . import _authorities, _core
from .client import Client
from .errors import MlflowhaError


def report() -> dict[str, str]:
    """Name and value of each line."""
    build = _core.build_info()
    lines = {
        "mlflowha": build["version"],
        "built with": f"{build['compiler']}, pybind11 {build['pybind11']}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "library": _core.curl_info(),
        "authorities": _authorities.find() or "as the environment or libcurl says",
    }
    mlflow = sys.modules.get("mlflow")
    if mlflow is not None:
        lines["mlflow"] = str(mlflow.__version__)
    try:
        client = Client()
    except MlflowhaError as error:
        lines["settings"] = str(error)
        return lines
    for name, source, value in client.settings():
        if source != "default":
            lines[name] = f"{value}  ({source})"
    for warning in client.warnings:
        lines.setdefault("warning", warning)
    return lines


def main() -> int:
    """Prints the report."""
    for name, value in report().items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
