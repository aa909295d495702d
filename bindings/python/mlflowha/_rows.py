"""Metrics, params and tags in the many ways that people have them, as plain tuples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._wire import moment, now, real, shown, text, whole


def metric_rows(metrics: Any) -> list[tuple[Any, ...]]:
    """(key, value, timestamp, step[, dataset_name, dataset_digest, model_id])"""
    at = now()
    if isinstance(metrics, Mapping):
        return [(text("metrics: key", str(k)), real(f"metrics[{k!r}]", value), at, 0) for k, value in metrics.items()]
    rows: list[tuple[Any, ...]] = []
    for i, metric in enumerate(metrics):
        if isinstance(metric, tuple):
            if not 2 <= len(metric) <= 4:
                raise TypeError(f"metrics[{i}]: value is {shown(metric)}, expected (key, value[, timestamp[, step]])")
            stamp = metric[2] if len(metric) > 2 else None
            step = metric[3] if len(metric) > 3 else 0
            rows.append(_row(i, metric[0], metric[1], at if stamp is None else stamp, step))
            continue
        key, value = getattr(metric, "key", None), getattr(metric, "value", None)
        if key is None or value is None:
            raise TypeError(f"metrics[{i}]: value is {shown(metric)}, expected a Metric or a tuple")
        stamp = getattr(metric, "timestamp", None)
        # 0 is what a Metric of this package has that nobody gave a time
        if stamp is None or (stamp == 0 and type(metric).__module__.startswith("mlflowha.")):
            stamp = at
        row = _row(i, key, value, stamp, getattr(metric, "step", 0))
        rows.append(row + tuple(_link(i, name, getattr(metric, name, None)) for name in _OF_DATASETS))
    return rows


def _link(i: int, name: str, value: object) -> str:
    return text(f"metrics[{i}].{name}", value) if value else ""


_OF_DATASETS = ("dataset_name", "dataset_digest", "model_id")


def _row(i: int, key: object, value: object, stamp: object, step: object) -> tuple[Any, ...]:
    where = f"metrics[{i}]"
    return (
        text(where + ".key", key),
        real(where + ".value", value),
        moment(where + ".timestamp", stamp),
        whole(where + ".step", 0 if step is None else step),
    )


def pair_rows(what: str, pairs: Any) -> list[tuple[str, str]]:
    """(key, value) as texts."""
    if isinstance(pairs, Mapping):
        return [_pair(what, key, value) for key, value in pairs.items()]
    rows = []
    for i, pair in enumerate(pairs):
        if isinstance(pair, tuple) and len(pair) == 2:
            rows.append(_pair(what, *pair))
        elif hasattr(pair, "key") and hasattr(pair, "value"):
            rows.append(_pair(what, pair.key, pair.value))
        else:
            raise TypeError(f"{what}[{i}]: value is {shown(pair)}, expected a pair or an object with key and value")
    return rows


def _pair(what: str, key: object, value: object) -> tuple[str, str]:
    return text(f"{what}: key", str(key)), text(f"{what}[{key!r}]", str(value))
