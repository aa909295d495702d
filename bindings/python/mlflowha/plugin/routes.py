"""Which operation of mlflowha's table a request of MLflow's client is."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from mlflowha.plugin._routes import EXACT, TEMPLATES


class Route(NamedTuple):
    """An operation, its class, and what its path says: ("assessment.trace_id", "tr-1")."""

    operation: str
    kind: str
    members: tuple[tuple[str, str], ...] = ()


_EXACT = {key: Route(*row) for key, row in EXACT.items()}


def _compile(template: str) -> tuple[re.Pattern[str], list[str]]:
    places: list[str] = []

    def place(found: re.Match[str]) -> str:
        name = found.group(1)
        places.append(name.rstrip("*+"))
        return "(.+)" if name.endswith(("*", "+")) else "([^/]+)"

    pattern = "".join(
        re.sub(r"\{([\w.]+[*+]?)\}", place, part) if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{[\w.]+[*+]?\})", template)
    )
    return re.compile(pattern, re.DOTALL), places


def _fixed_parts(template: str) -> int:
    return sum(not part.startswith("{") for part in template.split("/"))


# Of two that fit a path a server takes the one with fewer places.
_TEMPLATES = [
    (verb, *_compile(path), name, kind)
    for verb, path, name, kind in sorted(TEMPLATES, key=lambda row: -_fixed_parts(row[1]))
]


def find(method: str, path: str) -> Route | None:
    """The route of a request, e.g. ("GET", "/api/3.0/mlflow/traces/tr-1"); nothing when the table has no such."""
    return _EXACT.get((method, path)) or _find_templated(method, path)


@lru_cache(maxsize=512)
def _find_templated(method: str, path: str) -> Route | None:
    decoded = unquote(path)  # first, as servers do it: an encoded slash is one for them
    for verb, pattern, places, name, kind in _TEMPLATES:
        if verb != method:
            continue
        found = pattern.fullmatch(decoded)
        if found:
            return Route(name, kind, tuple(zip(places, found.groups(), strict=True)))
    return None


#: The status of a success where it isn't 200: MLflow's client takes any other for an error.
_SUCCESS = {"create_workspace": 201, "delete_workspace": 204}


def success(method: str, path: str) -> int:
    """What a server's status is when it has done what was asked for."""
    route = find(method, path)
    return 200 if route is None else _SUCCESS.get(route.operation, 200)


def put_members(body: dict[str, Any], members: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Adds to a request what only its path says. What is there stays."""
    for name, value in members:
        *outer, last = name.split(".")
        inside = body
        for step in outer:
            if not isinstance(inside.get(step), dict):
                inside[step] = {}
            inside = inside[step]
        inside.setdefault(last, value)
    return body


def safe_class(method: str) -> str:
    """What may be done with a request that the table doesn't know, after an attempt with an unknown fate."""
    return "read" if method == "GET" else "same_again" if method in ("PUT", "DELETE") else "never"
