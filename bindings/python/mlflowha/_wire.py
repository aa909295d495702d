"""Puts the arguments of a call into MLflow's JSON, as _specs.py describes the request, and checks them on the way.

A wrong type is a TypeError, a value that MLflow refuses an InvalidArgumentError; both name the field, the value and
what was expected, and nothing has been sent then.
"""

from __future__ import annotations

import json
import math
import operator
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ._specs import ENUMS, MESSAGES
from .errors import invalid

_ID_FIRST = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ID = _ID_FIRST | frozenset("_-")
_NAME = _ID | frozenset("/. :")
#: Texts that MLflow's own client makes of whatever it is given.
_ANY_VALUE = frozenset({"value", "version"})
_INT32 = 2**31 - 1
_INT64 = 2**63 - 1


def shown(value: object) -> str:
    """A value for a message: short."""
    found = repr(value)
    return found if len(found) <= 80 else found[:77] + "..."


def _wrong_type(where: str, value: object, expected: str) -> TypeError:
    return TypeError(f"{where}: value is {shown(value)}, expected {expected}")


def _refused(where: str, value: object, expected: str) -> Exception:
    return invalid(f"{where}: value is {shown(value)}, expected {expected}")


def _clean_path(text: str) -> bool:
    return all(part not in ("", ".", "..") for part in text.split("/"))


def _check_text(where: str, text: str, limit: tuple[str, int | None, int | None]) -> None:
    kind, _, most = limit
    if kind == "id" and not (text[0] in _ID_FIRST and _ID.issuperset(text)):
        raise _refused(where, text, "letters, digits, '_' and '-', with a letter or digit first")
    if kind == "name":
        if not _NAME.issuperset(text) and any(c not in _NAME and ord(c) < 128 for c in text):
            raise _refused(where, text, 'letters, digits and any of "/_.-: "')
        if not _clean_path(text):
            raise _refused(where, text, "a name that is no path elsewhere: no '/' at an end, no empty, '.', '..' part")
    if kind == "path" and (not _clean_path(text) or "#" in text):
        raise _refused(where, text, "a relative path: no '/' at an end, no empty, '.' or '..' part, no '#'")
    if most is not None and len(text) > most:
        raise invalid(f"{where}: value has {len(text)} characters, expected at most {most}: {shown(text)}")


def milliseconds(where: str, value: object) -> int:
    """Milliseconds since the epoch, of a whole number or of a datetime (one without a zone is local time)."""
    if type(value) is int:
        return value
    stamp = getattr(value, "timestamp", None)
    if stamp is not None:
        try:
            # round(), because a float second may lie a hair below its millisecond
            return round(float(stamp()) * 1000)
        except (ValueError, OverflowError, OSError):  # no time at all (pandas' NaT), or one that no clock has shown
            raise _refused(where, value, "a time that milliseconds since the epoch can say") from None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        if isinstance(value, float) and value.is_integer():
            return int(value)
    raise _wrong_type(where, value, "milliseconds since the epoch or a datetime")


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def moment(where: str, value: object) -> int:
    """milliseconds() that MLflow can keep."""
    number = milliseconds(where, value)
    if not 0 <= number <= _INT64:
        raise _refused(where, value, "milliseconds since the epoch, not negative")
    return number


def text(where: str, value: object) -> str:
    """A text that can be sent."""
    if not isinstance(value, str):
        raise _wrong_type(where, value, "a text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a pair of surrogates: JSON can spell it, no database keeps it
            raise _refused(where, value, "a text that UTF-8 can say") from None
    return value


def whole(where: str, value: object, most: int = _INT64) -> int:
    """A whole number of at most 64 bits."""
    if type(value) is int:
        number = value
    elif isinstance(value, bool):
        raise _wrong_type(where, value, "a whole number")
    else:
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise _wrong_type(where, value, "a whole number") from None
    if not -most - 1 <= number <= most:
        raise _refused(where, value, f"a whole number from {-most - 1} to {most}")
    return number


def real(where: str, value: object) -> float:
    """A float of whatever is a number, also of an array or tensor with one entry."""
    if type(value) is float:
        return value
    try:
        try:
            return float(value)  # type: ignore[arg-type]
        except TypeError:
            return float(value.item())  # type: ignore[attr-defined]
    except OverflowError:
        raise _refused(where, value, "a number that a double can hold") from None
    except (AttributeError, TypeError, ValueError, RuntimeError):
        raise _wrong_type(where, value, "a number") from None


def _text(where: str, value: object, field: tuple[Any, ...]) -> str:
    value = text(where, str(value) if field[0] in _ANY_VALUE else value)
    if not value:
        if field[3]:
            raise _refused(where, value, "a value")
    elif field[5] is not None:
        _check_text(where, value, field[5])
    return value


def _whole(where: str, value: object, field: tuple[Any, ...]) -> int:
    limit = field[5]
    if limit is not None and limit[0] == "time":
        return moment(where, value)
    number = whole(where, value, _INT32 if field[2] == "int32" else _INT64)
    if limit is not None and limit[0] == "count":
        low, high = limit[1], limit[2]
        if number < low or (high is not None and number > high):
            raise _refused(where, value, f"a number from {low} to {high}" if high is not None else f"{low} or more")
    return number


def _real(where: str, value: object, field: tuple[Any, ...]) -> float | str:
    number = real(where, value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _flag(where: str, value: object, field: tuple[Any, ...]) -> bool:
    if isinstance(value, bool):
        return value
    raise _wrong_type(where, value, "True or False")


def _any(where: str, value: object, field: tuple[Any, ...]) -> object:
    return value


def _timestamp(where: str, value: object, field: tuple[Any, ...]) -> str:
    if isinstance(value, str):
        return value
    from datetime import datetime, timezone

    if not isinstance(value, datetime):
        raise _wrong_type(where, value, 'a datetime or a text such as "2026-01-02T03:04:05.678Z"')
    return value.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _duration(where: str, value: object, field: tuple[Any, ...]) -> str:
    if isinstance(value, str):
        return value
    seconds = getattr(value, "total_seconds", None)
    if seconds is None:
        raise _wrong_type(where, value, 'a timedelta or a text such as "1.5s"')
    return f"{seconds():.6f}".rstrip("0").rstrip(".") + "s"


_READERS: dict[str, Callable[[str, object, tuple[Any, ...]], object]] = {
    "string": _text,
    "secret": _text,
    "int32": _whole,
    "int64": _whole,
    "float": _real,
    "double": _real,
    "bool": _flag,
    "json": _any,
    "timestamp": _timestamp,
    "duration": _duration,
    "mask": _text,
}


def _enum(where: str, value: object, name: str) -> str:
    known = ENUMS[name]
    if isinstance(value, int) and not isinstance(value, bool):
        if value in known:
            return known[value]
    else:
        # also the members of MLflow's own enumerations
        word = getattr(value, "value", value)
        if isinstance(word, int) and word in known:
            return known[word]
        if not isinstance(word, str):
            raise _wrong_type(where, value, "one of " + ", ".join(known.values()))
        if word.upper() in known.values():
            return word.upper()
    raise _refused(where, value, "one of " + ", ".join(known.values()))


def _message(where: str, value: object, name: str) -> dict[str, Any]:
    fields = MESSAGES[name]
    if isinstance(value, Mapping):
        known = {field[0] for field in fields}
        body = {k: v for k, v in value.items() if k not in known}  # what a newer server may know
        get: Callable[[str], object] = value.get
    else:
        body = {}
        source = value
        if not any(hasattr(value, field[0]) for field in fields):
            raise _wrong_type(where, value, f"a {name} or a dict")

        def get(key: str) -> object:
            return getattr(source, key, None)

    # A value object has every field; what is at rest isn't sent, as if it had been left out.
    spare = not isinstance(value, Mapping)
    for field in fields:
        got = get(field[0])
        if spare and not field[3] and field[4] is None and field[2] not in ("float", "double") and not got:
            continue
        if spare and field[4] == "now" and not got:
            got = None
        put(body, where + "." + field[0], got, field)
    return body


def _one(where: str, value: object, field: tuple[Any, ...]) -> object:
    reader = _READERS.get(field[2])
    if reader is not None:
        return reader(where, value, field)
    if field[2] in ENUMS:
        return _enum(where, value, field[2])
    return _message(where, value, field[2])


def _pairs(where: str, value: object, field: tuple[Any, ...]) -> list[object]:
    if isinstance(value, Mapping):
        inner = MESSAGES[field[2]]
        return [
            {
                "key": _text(f"{where}: key", key, inner[0]),
                "value": _text(f"{where}[{key!r}]", str(entry), inner[1]),
            }
            for key, entry in value.items()
        ]
    return _many(where, value, field)


def _many(where: str, value: object, field: tuple[Any, ...]) -> list[object]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise _wrong_type(where, value, "a list")
    return [_one(f"{where}[{i}]", entry, field) for i, entry in enumerate(value)]


def put(body: dict[str, Any], where: str, value: object, field: tuple[Any, ...]) -> None:
    """Checks `value` and adds it to `body` under the field's name."""
    name, kind, _, required, when_none, _, most = field
    if value is None:
        if required:
            raise invalid(f"{where}: is missing, expected a value")
        if when_none == "now":
            body[name] = now()
        elif when_none is not None:
            body[name] = when_none
        return
    if kind == "one":
        body[name] = _one(where, value, field)
        return
    if kind == "map":
        if not isinstance(value, Mapping):
            raise _wrong_type(where, value, "a dict")
        body[name] = {str(key): _one(f"{where}[{key!r}]", entry, field) for key, entry in value.items()}
        return
    entries = _pairs(where, value, field) if kind == "pairs" else _many(where, value, field)
    if required and not entries:
        raise invalid(f"{where}: is empty, expected at least one entry")
    if most is not None and len(entries) > most:
        raise invalid(f"{where}: has {len(entries)} entries, expected at most {most}")
    if entries:
        body[name] = entries


def encode(operation: str, fields: tuple[tuple[Any, ...], ...], values: tuple[object, ...]) -> str:
    """The request's JSON."""
    body: dict[str, Any] = {}
    for field, value in zip(fields, values, strict=True):
        put(body, f"{operation}: {field[0]}", value, field)
    try:
        return json.dumps(body, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise invalid(f"{operation}: {error}") from None
