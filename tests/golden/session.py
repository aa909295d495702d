"""The recorded session: reads tests/golden/cases and puts requests into bytes as the table says.

This is a second encoder beside the generated C++, made of the same table by other means: golden_test.cpp holds the two
against each other, and a real server against both. Standard library only.

A cases file is one session with one group of operations, in order, with variables of its own. Its lines:

    NAME [= OPERATION] {REQUEST} [-> VARIABLE = PATH.IN.ANSWER [, ...]]
    raw NAME VERB TARGET [[HEADER: VALUE]] [BODY]
    server EXTRA...          what the session's server must have beside the usual; record.py knows the words

NAME is the recording's, `-` for none; without `= OPERATION` it is the operation's too. REQUEST is JSON by MLflow's field
names; `$VARIABLE` in it, and in raw lines, is replaced. Four blanks continue the line above, `#` begins a comment. Times
and request tags are given, so that the bytes are always the same.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import sys
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "src" / "codegen"))

from cpp_headers import is_optional  # noqa: E402
from table import Field, Message, Operation, Table, load  # noqa: E402


@dataclasses.dataclass
class Case:
    where: str
    name: str  # "" where the answer isn't kept
    operation: str  # "" of a raw line
    text: str  # the request's JSON, or "VERB TARGET [[HEADER: VALUE]] [BODY]" of a raw line
    keep: list  # (variable, path)


@dataclasses.dataclass
class Session:
    extras: tuple  # of its server
    cases: list


class CaseError(Exception):
    """A fault in a cases file, with file and line."""


def read(path: pathlib.Path, table: Table) -> Session:
    lines: list = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if raw.startswith("    ") and lines:
            lines[-1] = (lines[-1][0], lines[-1][1] + " " + raw.strip())
        elif raw.strip() and not raw.startswith("#"):
            lines.append((number, raw.rstrip()))
    cases: list = []
    extras: tuple = ()
    for number, line in lines:
        where = f"{path.name}:{number}"
        match = re.fullmatch(r"server((?: \w+)+)", line)
        if match:
            extras = tuple(sorted(match[1].split()))
            continue
        match = re.fullmatch(r"raw (\w+|-) ([A-Z]+ /\S*(?: .+)?)", line)
        if match:
            cases.append(Case(where, match[1].strip("-"), "", match[2], []))
            continue
        match = re.fullmatch(r"(\w+|-)(?: = (\w+))? (\{.*?\})(?: -> ([^{}\"]+))?", line)
        if not match:
            raise CaseError(f"{where}: expected `NAME [= OPERATION] {{REQUEST}} [-> VARIABLE = PATH, ...]`")
        operation = match[2] or match[1]
        if operation not in table.operations:
            raise CaseError(f"{where}: no operation {operation}")
        keep = [tuple(part.strip() for part in one.split("=")) for one in (match[4] or "").split(",") if one.strip()]
        cases.append(Case(where, "" if match[1] == "-" else match[1], operation, match[3], keep))
    return Session(extras, cases)


def raw(text: str) -> tuple:
    """(method, target, headers, body) of a raw line's text."""
    match = re.fullmatch(r"([A-Z]+) (\S+)(?: \[([\w-]+): ([^\]]*)\])?(?: (.*))?", text)
    assert match, text
    return match[1], match[2], {match[3]: match[4]} if match[3] else {}, match[5] or ""


def replaced(text: str, variables: dict) -> str:
    def value(match: re.Match) -> str:
        if match[1] not in variables:
            raise CaseError(f"no variable {match[1]} in {text!r}")
        return str(variables[match[1]])

    return re.sub(r"\$(\w+)", value, text)


def pick(answer: object, path: str) -> object:
    for part in path.split("."):
        answer = answer[int(part)] if isinstance(answer, list) else answer[part]  # type: ignore[index]
    return answer


# --- bytes, as the C++ makes them ------------------------------------------------------------------------------------


def _empty(value: object) -> bool:
    return value in (None, "", 0, 0.0, False) or value == [] or value == {}


def _one(table: Table, kind: str, value: object) -> str:
    if kind in table.messages:
        return encode(table, table.messages[kind], value)  # type: ignore[arg-type]
    if isinstance(value, float) and repr(value).endswith(".0"):
        return repr(value)[:-2]
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _value(table: Table, field: Field, value: object) -> str:
    if field.kind == "repeated":
        return "[" + ",".join(_one(table, field.type, one) for one in value) + "]"  # type: ignore[attr-defined]
    if field.kind == "map":
        ordered = sorted(value.items(), key=lambda item: int(item[0]) if field.key == "int64" else item[0].encode())  # type: ignore[attr-defined]
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{_one(table, field.type, v)}" for k, v in ordered) + "}"
    return _one(table, field.type, value)


def _default(table: Table, field: Field, in_request: bool) -> object:
    if field.kind != "one":
        return {} if field.kind == "map" else []
    if field.now:
        raise CaseError(f"{field.name} is the moment of the call; give it")
    if is_optional(field, in_request):
        return None
    if field.type in table.messages:
        return {}
    if field.type in ("string", "secret", "json") or table.is_enum(field.type):
        return field.default or ""
    if field.type == "bool":
        return field.default == "True"
    return json.loads(field.default) if field.default else 0


def encode(table: Table, message: Message, values: dict) -> str:
    """The JSON text of a message: the fields in the table's order, without those that may be left out."""
    unknown = set(values) - {f.name for f in message.fields}
    if unknown:
        raise CaseError(f"{message.name} has no {', '.join(sorted(unknown))}")
    members = []
    for field in message.fields:
        if field.alias or field.in_path or field.body:
            continue
        sure = (field.required or field.always or field.default not in (None, "0", "False")) and not (
            field.oneof or field.optional
        )
        if field.name in values:
            value = values[field.name]
            given = is_optional(field, message.is_request)
        else:
            value, given = _default(table, field, message.is_request), False
        text = _value(table, field, value) if value is not None else "null"
        # A message is left out when nothing was said in it; any JSON that was given says something.
        empty = not values.get(field.name) if field.type in table.messages else _empty(value)
        if field.type == "json" and field.kind == "one":
            empty = field.name not in values
        if sure or given or not empty:
            members.append(f'"{field.name}":{text}')
    return "{" + ",".join(members) + "}"


def _quote(text: str) -> str:
    return urllib.parse.quote(text, safe="-._~")


def request(table: Table, op: Operation, values: dict) -> tuple:
    """(method, target, body) of an operation."""
    target = op.path
    for place in op.places:
        value = str(pick(values, place))
        target = target.replace("{" + place + "}", _quote(value))
        target = target.replace("{" + place + "*}", "/".join(map(_quote, value.split("/"))))
    if op.request is None or not op.request.fields:
        return op.verb, target, ""
    raw_body = op.raw_body
    if op.verb != "GET" and not raw_body:
        return op.verb, target, encode(table, op.request, values)
    query = []
    for field in op.request.fields:
        if field.alias or field.body or field.name in op.places:
            continue
        value = values.get(field.name)
        if value is None:
            value = _default(table, field, True)
        for one in value if isinstance(value, list) else [value]:
            if one is None or one == "":
                continue
            text = ("true" if one else "false") if isinstance(one, bool) else str(one)
            query.append(f"{field.name}={_quote(text)}")
    body = values.get(raw_body.name, "") if raw_body else ""
    return op.verb, target + ("?" + "&".join(query) if query else ""), body


def sessions(table: Table) -> dict:
    """File name -> Session; each recording's name is there once."""
    found, names = {}, {}
    for path in sorted((HERE / "cases").glob("*.cases")):
        found[path.name] = read(path, table)
        for case in found[path.name].cases:
            if case.name and case.name in names:
                raise CaseError(f"{case.where}: {case.name} is there already, at {names[case.name]}")
            names[case.name] = case.where
    return found


def the_table() -> Table:
    return load(HERE.parents[1] / "src" / "codegen" / "table")
