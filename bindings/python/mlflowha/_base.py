"""What the generated calls stand on: a request in, a value out."""

from __future__ import annotations

import contextlib
import json
import logging  # noqa: F401  before register_at_fork: at a fork its lock is taken after what _finish_imports() waits for
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import ProtocolError, found_here

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ._core import Cancel
    from ._core import Client as CoreClient

    #: Milliseconds since the epoch, or a datetime (one without a zone is local time).
    Time = int | datetime
    #: A time span: seconds or a timedelta.
    Seconds = float | timedelta

T = TypeVar("T")


def _finish_imports() -> None:
    """What a first call imports may be half done in another thread at a fork, and the child, which has no such thread,
    would wait for it for ever: to import it once more is to wait here."""
    for name in tuple(sys.modules):
        if name.startswith("mlflowha."):
            with contextlib.suppress(Exception):  # the one that imports it is told
                import_module(name)


os.register_at_fork(before=_finish_imports)


class Page(list[T]):
    """Some entries of a search, and where the next ones are."""

    #: Give it as `page_token` to get the next page; "" on the last one.
    token: str = ""


def next_token(token: str | None, seen: set[str]) -> str:
    """The token of a listing's next page; "" after the last. `seen`: those before, to which it is added. One that comes
    again is a ProtocolError: the listing would never end, or what is there would pass for all of it."""
    if not token:
        return ""
    if token in seen:
        raise found_here(ProtocolError, "bad_response", 400, "the server gave the same page token again")
    seen.add(token)
    return token


def decode(answer: str, spec: tuple[Any, ...]) -> Any:
    """The value in an answer, as the operation's row of _specs.py says."""
    _, returns, field, group, kind, _ = spec
    if returns == "nothing":
        return None
    if returns == "text":
        return answer
    got = json.loads(answer) if answer else {}
    read = getattr(import_module(f"mlflowha.entities.{group}"), kind).from_dict if group else None
    if returns == "message":
        return read(got) if read else got
    inner = got.get(field)
    if returns == "member":
        if read:
            return read(inner or {})
        return _plain(kind, inner)
    if returns == "page_in_text":
        inner = json.loads(inner) if inner else ()
    entries = [read(entry) if read else _plain(kind, entry) for entry in inner or ()]
    if returns == "list":
        return entries
    page: Page[Any] = Page(entries)
    page.token = got.get("next_page_token") or ""
    return page


def _plain(kind: str, value: Any) -> Any:
    if kind in ("int32", "int64"):
        return int(value or 0)
    if kind in ("float", "double"):
        return float(value or 0)
    if kind == "bool":
        return bool(value)
    return value if kind == "json" or value is not None else ""


def identity(entry: Any, paths: tuple[str, ...]) -> tuple[Any, ...]:
    """What tells an entity from the others of its kind."""
    found = []
    for path in paths:
        value = entry
        for name in path.split("."):
            value = getattr(value, name)
        found.append(value)
    return tuple(found)


class Base:
    """Carries the calls out, on the thread that calls."""

    _core: CoreClient

    def _call(self, operation: str, values: tuple[object, ...], timeout: Any, cancel: Cancel | None = None) -> Any:
        # Loaded with the first call: they are half of what an import would cost.
        from ._specs import OPERATIONS
        from ._wire import encode

        spec = OPERATIONS[operation]
        body = encode(operation, spec[0], values)
        if spec[1] == "bytes":
            return self._core.call_bytes(operation, body, timeout, cancel)
        return decode(self._core.call(operation, body, timeout, cancel), spec)

    def _pages(self, operation: str, values: tuple[object, ...], timeout: Any) -> Iterator[Any]:
        from ._specs import OPERATIONS

        fields, *_, paths = OPERATIONS[operation]
        at = [field[0] for field in fields].index("page_token")
        seen: set[tuple[Any, ...]] = set()
        tokens: set[str] = set()
        token = ""
        while True:
            page = self._call(operation, (*values[:at], token or None, *values[at + 1 :]), timeout)
            for entry in page:
                # Entries move between pages while somebody writes; each is given once.
                if paths:
                    key = identity(entry, paths)
                    if key in seen:
                        continue
                    seen.add(key)
                yield entry
            token = next_token(page.token, tokens)
            if not token:
                return
