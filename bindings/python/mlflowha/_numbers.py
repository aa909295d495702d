"""Numbers as MLflow's JSON has them: 64-bit ones may be texts, and so are those that JSON doesn't know."""

from __future__ import annotations


def _float(value: object) -> float:
    if type(value) is float:
        return value
    return float(value)  # type: ignore[arg-type]


def _int(value: object) -> int:
    if type(value) is int:
        return value
    return int(value)  # type: ignore[call-overload, no-any-return]
