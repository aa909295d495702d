"""Metrics, params and tags in the many ways that people have them, as plain tuples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._wire import milliseconds, now, shown


def metric_rows(metrics: Any) -> list[tuple[Any, ...]]:
    """(key, value, timestamp, step[, dataset_name, dataset_digest, model_id])"""
    at = now()
    if isinstance(metrics, Mapping):
        return [(str(key), float(value), at, 0) for key, value in metrics.items()]
    rows: list[tuple[Any, ...]] = []
    for i, metric in enumerate(metrics):
        if isinstance(metric, tuple):
            if not 2 <= len(metric) <= 4:
                raise TypeError(f"metrics[{i}]: value is {shown(metric)}, expected (key, value[, timestamp[, step]])")
            stamp = metric[2] if len(metric) > 2 else None
            step = metric[3] if len(metric) > 3 else 0
            rows.append((metric[0], float(metric[1]), _stamp(i, stamp, at), step or 0))
            continue
        key, value = getattr(metric, "key", None), getattr(metric, "value", None)
        if key is None or value is None:
            raise TypeError(f"metrics[{i}]: value is {shown(metric)}, expected a Metric or a tuple")
        stamp, step = getattr(metric, "timestamp", None), getattr(metric, "step", 0)
        extra = tuple(getattr(metric, name, None) or "" for name in ("dataset_name", "dataset_digest", "model_id"))
        rows.append((key, float(value), _stamp(i, stamp, at), step or 0, *extra))
    return rows


def _stamp(i: int, stamp: object, at: int) -> int:
    # 0 is what a Metric has that nobody gave a time
    return milliseconds(f"metrics[{i}].timestamp", stamp) if stamp else at


def pair_rows(what: str, pairs: Any) -> list[tuple[str, str]]:
    """(key, value) as texts."""
    if isinstance(pairs, Mapping):
        return [(str(key), str(value)) for key, value in pairs.items()]
    rows = []
    for i, pair in enumerate(pairs):
        if isinstance(pair, tuple) and len(pair) == 2:
            rows.append((str(pair[0]), str(pair[1])))
        elif hasattr(pair, "key") and hasattr(pair, "value"):
            rows.append((str(pair.key), str(pair.value)))
        else:
            raise TypeError(f"{what}[{i}]: value is {shown(pair)}, expected a pair or an object with key and value")
    return rows
