"""The releases of MLflow that this plugin knows."""

from __future__ import annotations

import re
import warnings

import mlflow

#: (first, last) of each series that the tests cover; the last ones are what they run with.
KNOWN = (((2, 22, 0), (2, 22, 5)), ((3, 0, 0), (3, 17, 2)))

_warned = False


def parse(version: str) -> tuple[int, int, int]:
    numbers = [int(part) for part in re.findall(r"\d+", version)[:3]]
    numbers += [0] * (3 - len(numbers))
    return numbers[0], numbers[1], numbers[2]


def known(version: str) -> bool:
    return any(first <= parse(version) <= last for first, last in KNOWN)


def warn_if_unknown() -> None:
    """Warns once a process when this MLflow is none of those."""
    global _warned
    if _warned or known(mlflow.__version__):
        return
    _warned = True
    spans = " and ".join(f"{'.'.join(map(str, a))} to {'.'.join(map(str, b))}" for a, b in KNOWN)
    warnings.warn(
        f"mlflowha's plugin is tested with MLflow {spans}; this is {mlflow.__version__}. It will most likely work; if "
        "it doesn't, unset MLFLOWHA_ENDPOINTS and use a plain http URI.",
        RuntimeWarning,
        stacklevel=2,
    )
