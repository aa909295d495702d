#!/usr/bin/env python3
"""Compares the table with those routes of an installed MLflow that are in no descriptor.

    PYTHON import_openapi.py    PYTHON: interpreter of a venv with MLflow in it; `make api-check` does it

The registry of MCP servers describes itself in OpenAPI: operations, places, queries, bodies and answers are compared. The
authentication application's routes are in its source only: method and path are compared. Exit status 0 when nothing is
missing or unknown. What import_descriptors.py does for the rest, with the same words.
"""

from __future__ import annotations

import ast
import importlib.util
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from import_descriptors import Report, key_of, table_shape
from table import Field, Message, Operation, Table, load

FOLDER = pathlib.Path(__file__).resolve().parent / "table"
MCP = "/api/3.0/mlflow/mcp-servers"
SCALARS = {"string": ("string",), "integer": ("int32", "int64"), "boolean": ("bool",), "number": ("float", "double")}
# Forms of the web page.
PAGES = {"SIGNUP", "CREATE_USER_UI"}


class OpenApi:
    def __init__(self, table: Table, report: Report, description: dict) -> None:
        self.table, self.report, self.schemas = table, report, description["components"]["schemas"]
        self.seen: dict = {}  # message -> names of the members that some schema of it has
        self.opaque: set = set()  # messages that a schema calls just an object
        self.under_way: set = set()

    def resolve(self, schema: dict) -> dict:
        """The schema itself, without references and without "or null"."""
        while "$ref" in schema or "anyOf" in schema:
            if "$ref" in schema:
                schema = self.schemas[schema["$ref"].rsplit("/", 1)[-1]]
            else:
                (schema,) = [s for s in schema["anyOf"] if s.get("type") != "null"]
        return schema

    def value(self, where: str, kind: str, schema: dict) -> None:
        """One value of the table's type `kind`."""
        schema = self.resolve(schema)
        if kind == "json":
            return
        if kind in self.table.messages:
            if "properties" in schema:
                self.message(self.table.messages[kind], schema)
            elif schema.get("type") == "object":
                self.opaque.add(kind)
            else:
                self.report.add("differences", f"{where} is {kind}; MLflow has {schema}")
        elif kind not in SCALARS.get(schema.get("type", ""), ()):
            self.report.add("differences", f"{where} is {kind}; MLflow has {schema.get('type', 'anything')}")

    def field(self, where: str, ours: Field, schema: dict) -> None:
        schema = self.resolve(schema)
        if ours.kind == "repeated" and schema.get("type") == "array":
            self.value(where, ours.type, schema["items"])
        elif ours.kind == "map" and isinstance(schema.get("additionalProperties"), dict):
            self.value(where, ours.type, schema["additionalProperties"])
        elif ours.kind == "one":
            self.value(where, ours.type, schema)
        else:
            self.report.add("differences", f"{where} is {table_shape(ours)}; MLflow has {schema.get('type')}")
        if ours.max and schema.get("maxItems") not in (None, ours.max):
            self.report.add("differences", f"{where} takes {ours.max} entries; MLflow takes {schema['maxItems']}")

    def member(self, ours: Message, name: str, schema: dict, required: bool) -> None:
        self.seen.setdefault(ours.name, set()).add(name)
        field = next((f for f in ours.fields if f.name == name), None)
        if field is None:
            self.report.add("missing fields", f"{ours.name}.{name}")
            return
        if required and ours.is_request and not (field.required or field.always):
            self.report.add("differences", f"{ours.name}.{name} must be required or always: MLflow demands it")
        self.field(f"{ours.name}.{name}", field, schema)

    def message(self, ours: Message, schema: dict) -> None:
        key = (ours.name, schema.get("title"))
        if key in self.under_way:
            return
        self.under_way.add(key)
        self.seen.setdefault(ours.name, set())
        for name, inner in schema.get("properties", {}).items():
            self.member(ours, name, inner, name in schema.get("required", []))

    def operation(self, op: Operation, description: dict) -> None:
        places = [p["name"] for p in description.get("parameters", []) if p["in"] == "path"]
        if places != op.places:
            self.report.add("differences", f"{op.name} has the places {op.places}; MLflow has {places}")
        if op.request is not None:
            self.seen.setdefault(op.request.name, set())
            for parameter in description.get("parameters", []):
                self.member(op.request, parameter["name"], parameter["schema"], parameter.get("required", False))
            for content in description.get("requestBody", {}).get("content", {}).values():
                self.message(op.request, self.resolve(content["schema"]))
        schema = self.resolve(description["responses"]["200"]["content"]["application/json"]["schema"])
        properties = dict(schema.get("properties", {}))
        if op.returns == "message":
            self.message(self.table.messages[op.result], schema)
            return
        expected = {"page": [op.result_field, "next_page_token"], "nothing": []}[op.returns]
        for name in sorted(set(properties) ^ set(expected)):
            what = "missing fields" if name in properties else "unknown fields"
            self.report.add(what, f"answer of {op.name}: {name}")
        if op.result_field in properties:
            self.field(f"answer of {op.name}", Field(op.result_field, "", "repeated", op.result),
                       properties[op.result_field])

    def unknown_fields(self) -> None:
        for name, seen in self.seen.items():
            ours = {f.name for f in self.table.messages[name].fields}
            for field in sorted(ours - seen) if name not in self.opaque else ():
                self.report.add("unknown fields", f"{name}.{field}")


def rows_below(table: Table, group: str, version: tuple) -> dict:
    """(verb, path) -> operation, of what a server of that release has."""
    return {key_of(op.verb, op.path): op for op in table.groups[group].operations
            if op.since <= version and (op.until == (0, 0) or version < op.until)}


def compare_rows(report: Report, ours: dict, theirs: dict, every: list) -> list:
    """The operations that both have, as (operation, what `theirs` says of it); reports the others."""
    for key in sorted(set(theirs) - set(ours)):
        late = [op.name for op in every if key_of(op.verb, op.path) == key]
        report.add("missing rows", f"{key[0]} {key[1]}" + (f": {late[0]} says that this release hasn't got it" if late else ""))
    for key in sorted(set(ours) - set(theirs)):
        report.add("unknown rows", f"{ours[key].name}: {key[0]} {key[1]}")
    return [(ours[key], theirs[key]) for key in theirs if key in ours]


def compare_mcp(table: Table, report: Report, version: tuple) -> int:
    ours = rows_below(table, "mcp_servers", version)
    theirs, description = {}, {"components": {"schemas": {}}}
    if importlib.util.find_spec("mlflow.server.mcp_server_api") is not None:
        from mlflow.server.fastapi_app import app

        description = app.openapi()
        theirs = {key_of(verb.upper(), path): what for path, verbs in description["paths"].items()
                  if path == MCP or path.startswith(MCP + "/") for verb, what in verbs.items()}
    check = OpenApi(table, report, description)
    both = compare_rows(report, ours, theirs, table.groups["mcp_servers"].operations)
    for op, what in both:
        check.operation(op, what)
    check.unknown_fields()
    return len(both)


def auth_routes(version: tuple) -> dict:
    """(verb, path) -> name of the route, read from the source: the application itself can't be imported everywhere."""
    folder = pathlib.Path(importlib.util.find_spec("mlflow").origin).parent / "server" / "auth"
    routes = (folder / "routes.py").read_text(encoding="utf-8")
    paths = {}
    for name, path, rest in re.findall(r'^(\w+) = _get_rest_path\("([^"]+)"(.*)\)', routes, re.MULTILINE):
        paths[name] = f"/api/{'3.0' if 'version=3' in rest else '2.0'}{path}"
    found = {}

    def add(verb: str, name: str) -> None:
        if name in paths and name not in PAGES:
            found[key_of(verb, paths[name])] = name

    def names(node: ast.AST) -> list:
        return [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]

    def registered(call: ast.Call, rules: list) -> None:
        given = {k.arg: k.value for k in call.keywords}
        for verb in ast.literal_eval(given["methods"]):
            for name in rules or names(given["rule"]):
                add(verb, name)

    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and isinstance(node.iter, ast.List):
            for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
                if getattr(call.func, "attr", "") == "add_url_rule":
                    registered(call, names(node.iter))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_url_rule":
            if any(k.arg == "rule" and isinstance(k.value, ast.Name) and k.value.id.isupper() for k in node.keywords):
                registered(node, [])
        elif isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "_RBAC_ROUTES":
            for row in node.value.elts:
                add(row.elts[1].value, row.elts[2].id)
    return found


def main() -> int:
    import mlflow

    version = tuple(int(part) for part in mlflow.__version__.split(".")[:2])
    table, report = load(FOLDER), Report()
    print(f"MLflow {mlflow.__version__}: routes that are in no descriptor")
    mcp = compare_mcp(table, report, version)
    auth = compare_rows(report, rows_below(table, "auth", version), auth_routes(version), table.groups["auth"].operations)
    print(f"  {mcp} operations of the registry of MCP servers, {len(auth)} of the authentication application")
    print("  " + ", ".join(f"{count} {what}" for what, count in report.counts.items()))
    return 1 if any(report.counts.values()) or not auth else 0


if __name__ == "__main__":
    sys.exit(main())
