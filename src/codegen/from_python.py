#!/usr/bin/env python3
"""Compares from_python.map with an installed MLflow: which method of its Python client is which of ours.

    PYTHON from_python.py    PYTHON: interpreter of a venv with MLflow 3 in it; `make api-check` does it

Fails on a public method of MlflowClient that the map doesn't have, on a method of the map that MLflow doesn't have, and
on a call that the map spells and neither the table nor Client's headers know. generate.py makes
docs/reference/from-python.md of the map.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from reference_pages import NOTE, cell, slug
from table import Table, TableError, load

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAP = pathlib.Path(__file__).resolve().parent / "from_python.map"
CALL = re.compile(r"\b([a-z]\w*)\(")


@dataclasses.dataclass
class Line:
    method: str
    spelling: str  # "" where there is none
    note: str
    section: str

    @property
    def calls(self) -> list:
        return CALL.findall(self.spelling)


def read(text: str) -> list:
    """The lines of the map, in their order. A line of another form is a TableError."""
    lines, section, seen = [], "", set()
    for number, raw in enumerate(text.splitlines(), 1):
        if raw.startswith("## "):
            section = raw[3:].strip()
            continue
        if not raw.strip() or raw.startswith("#"):
            continue
        match = re.fullmatch(r"(\w+)(?: = (.+?))?(?: -- (.+))?", raw.rstrip())
        if not match or not (match[2] or match[3]) or not section:
            raise TableError(f"from_python.map:{number}: expected `method = spelling [-- note]` or `method -- reason`")
        if match[1] in seen:
            raise TableError(f"from_python.map:{number}: {match[1]} is there twice")
        seen.add(match[1])
        lines.append(Line(match[1], match[2] or "", match[3] or "", section))
    return lines


def known_calls(table: Table, headers: pathlib.Path) -> set:
    """What a Client can be asked: operations, their pagers, and what its headers declare besides."""
    known = set(table.operations)
    known |= {f"{op.name}_all" for op in table.operations.values() if op.returns == "page"}
    for header in headers.glob("*.hpp"):
        code = re.sub(r"//[^\n]*", "", header.read_text(encoding="utf-8"))
        known |= set(re.findall(r"^  (?:\[\[nodiscard\]\] )?[\w:<>&* ]+[ &*](\w+)\(", code, re.MULTILINE))
    return known


def faults(lines: list, methods: set, known: set) -> list:
    mapped = {line.method for line in lines}
    found = [f"not in from_python.map: MlflowClient.{name}" for name in sorted(methods - mapped)]
    found += [f"MlflowClient has no {name}, from_python.map has" for name in sorted(mapped - methods)]
    return found + unknown_calls(lines, known)


def unknown_calls(lines: list, known: set) -> list:
    return [f"from_python.map: {line.method}: there is no {call}()" for line in lines for call in line.calls if call not in known]


def unknown_members(lines: list, table: Table) -> list:
    """Members that a spelled request doesn't have."""
    found = []
    for line in lines:
        for name, inside in re.findall(r"\b(\w+)\(\{([^}]*)\}", line.spelling):
            op = table.operations.get(re.sub("_all$", "", name))
            members = {f.cpp for f in op.request.fields} if op and op.request else set()
            found += [f"from_python.map: {line.method}: {name} has no member {member}"
                      for member in re.findall(r"\.([a-z_]\w*)", inside) if op and member not in members]
    return found


def page(table: Table) -> str:
    lines = ["# From MLflow's Python client", "", NOTE.replace("src/codegen/table", "src/codegen/from_python.map").replace(
        "the table", "the map"), "",
        "Every public method of `mlflow.MlflowClient` 3.17 and what it is here. `{.name}` stands for the request's members, as",
        "in `client.create_run({.experiment_id = \"0\"})`; all calls take `CallOptions` besides and give a `Result`.", ""]
    section = ""
    for line in read(MAP.read_text(encoding="utf-8")):
        if line.section != section:
            section = line.section
            lines += ([""] if lines[-1] else []) + [f"## {section}", "", "| MlflowClient | here | |", "|---|---|---|"]
        linked = []
        for part in re.split(r", (?=\w+\()", line.spelling) if line.spelling else []:
            name = part.split("(")[0]
            op = table.operations.get(name) or table.operations.get(re.sub("_all$", "", name))
            text = f"`{part}`"
            linked.append(f"[{text}]({op.group}.md#{slug(op.name)})" if op else text)
        lines.append(f"| `{line.method}` | {cell(', '.join(linked)) or '–'} | {cell(line.note)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    import mlflow
    from mlflow import MlflowClient

    methods = {name for name in dir(MlflowClient) if not name.startswith("_")}
    lines = read(MAP.read_text(encoding="utf-8"))
    table = load(ROOT / "src/codegen/table")
    found = faults(lines, methods, known_calls(table, ROOT / "include/mlflowha/client")) + unknown_members(lines, table)
    print(f"MlflowClient {mlflow.__version__}: {len(methods)} methods, {len(lines)} in the map, {len(found)} faults")
    for fault in found:
        print(f"  {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
