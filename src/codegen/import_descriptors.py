#!/usr/bin/env python3
"""Compares the table with the descriptors of an installed MLflow, or writes rows for what is missing.

Run it with the interpreter of a venv that has MLflow:

    PYTHON import_descriptors.py            report: what our groups lack, and what they have that MLflow doesn't
    PYTHON import_descriptors.py --seed P   rows for all that lies below path prefix P, e.g. /mlflow/logged-models
    PYTHON import_descriptors.py --uncovered   also list the rpcs that no group covers yet

The report's exit status is 0 when nothing is missing or unknown within the groups (their `covers` prefixes). A row or
field that is newer than this MLflow is not unknown to it as long as `since` says so. What a seeded row can't know
(class, recipe, limits, why) is written as `?`, which the table's reader refuses: somebody has to think.
"""

from __future__ import annotations

import argparse
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from table import Field, Message, Operation, Table, load

FOLDER = pathlib.Path(__file__).resolve().parent / "table"
MODULES = ("service", "model_registry", "mlflow_artifacts", "webhooks")
JSON_TYPES = {"google.protobuf.Value", "google.protobuf.Struct", "google.protobuf.ListValue",
              "opentelemetry.proto.trace.v1.Span"}
PROTO_TEXTS = {"google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration",
               "google.protobuf.FieldMask": "mask"}
SCALARS = {1: "double", 2: "float", 3: "int64", 4: "int64", 5: "int32", 8: "bool", 9: "string"}


class Binding:
    def __init__(self, rpc, verb: str, path: str, version: str, request) -> None:
        self.rpc, self.verb, self.path, self.version, self.request = rpc, verb, path, version, request

    @property
    def full_path(self) -> str:
        return f"/api/{self.version}{self.path}"


def bindings() -> list:
    """Every (rpc, verb, path) that the open-source server's descriptors declare."""
    import importlib.util

    from mlflow.protos import databricks_pb2

    found = []
    for module in MODULES:
        name = f"mlflow.protos.{module}_pb2"
        if importlib.util.find_spec(name) is None:  # 2.x has no webhooks
            continue
        descriptor = importlib.import_module(name).DESCRIPTOR
        for service in descriptor.services_by_name.values():
            for method in service.methods:
                for end in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                    found.append(Binding(method.name, end.method, end.path, f"{end.since.major}.0", method.input_type))
    return found


def is_required(field) -> bool:
    from mlflow.protos import databricks_pb2

    return field.GetOptions().Extensions[databricks_pb2.validate_required]


def is_repeated(field) -> bool:
    many = getattr(field, "is_repeated", None)
    return field.label == field.LABEL_REPEATED if many is None else many


def is_map(field) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def type_name(field, names: dict) -> str:
    """The table's name of a field's type; `names` maps proto names to the table's."""
    if field.message_type is not None:
        full = field.message_type.full_name
        return "json" if full in JSON_TYPES else PROTO_TEXTS.get(full) or names.get(full, full)
    if field.enum_type is not None:
        return names.get(field.enum_type.full_name, field.enum_type.full_name)
    return SCALARS.get(field.type, f"proto type {field.type}")


def shape(field, names: dict) -> str:
    """A field's type as the table writes it."""
    if is_map(field):
        key, value = (field.message_type.fields_by_name[n] for n in ("key", "value"))
        return f"map<{type_name(key, names)}, {type_name(value, names)}>"
    return ("repeated " if is_repeated(field) else "") + type_name(field, names)


def table_shape(field: Field) -> str:
    """As shape(); a secret is a string of MLflow's."""
    kind = "string" if field.type == "secret" else field.type
    if field.kind == "map":
        return f"map<{field.key}, {kind}>"
    return ("repeated " if field.kind == "repeated" else "") + kind


class Report:
    def __init__(self) -> None:
        self.counts = {"missing rows": 0, "unknown rows": 0, "missing fields": 0, "unknown fields": 0, "differences": 0}

    def add(self, what: str, text: str) -> None:
        self.counts[what] += 1
        print(f"  {what[:-1] if what.endswith('s') else what}: {text}")


class Comparison:
    def __init__(self, table: Table, report: Report, version: tuple) -> None:
        self.table, self.report, self.version = table, report, version
        self.newest = version[0] >= 3
        self.names = {e.proto: n for kind in (table.enums, table.messages) for n, e in kind.items() if e.proto}
        self.seen: set = set()

    def field(self, where: str, ours: Field, theirs) -> None:
        if table_shape(ours) != shape(theirs, self.names):
            self.report.add("differences", f"{where} is {table_shape(ours)}; MLflow has {shape(theirs, self.names)}")
        if is_required(theirs) and not (ours.required or ours.always or ours.now):
            self.report.add("differences", f"{where} must be required or always: MLflow demands it")
        group = theirs.containing_oneof
        name = group.name if group and len(group.fields) > 1 else None
        if ours.oneof != name:
            self.report.add("differences", f"{where} is of oneof {ours.oneof}; MLflow has {name}")
        if theirs.enum_type is not None and ours.type in self.table.enums:
            self.enum(ours.type, theirs.enum_type)
        message = theirs.message_type
        if message is not None and is_map(theirs):
            message = message.fields_by_name["value"].message_type
        if message is not None and ours.type in self.table.messages:
            self.message(self.table.messages[ours.type], message)

    def message(self, ours: Message, theirs) -> None:
        if ours.name in self.seen:
            return
        self.seen.add(ours.name)
        if ours.proto != theirs.full_name:
            self.report.add("differences", f"message {ours.name} is {ours.proto}; MLflow has {theirs.full_name}")
        fields = {f.name: f for f in ours.fields}
        for field in theirs.fields:
            if field.name in fields:
                self.field(f"{ours.name}.{field.name}", fields[field.name], field)
            else:
                self.report.add("missing fields", f"{ours.name}.{field.name}: {shape(field, self.names)}")
        if self.newest:  # an older MLflow need not have them all
            ours_alone = {f.name for f in ours.fields if f.in_path or f.body}
            for name in sorted(set(fields) - ours_alone - {f.name for f in theirs.fields}):
                self.report.add("unknown fields", f"{ours.name}.{name}")

    def enum(self, name: str, theirs) -> None:
        if name in self.seen:
            return
        self.seen.add(name)
        known = {v.server_name: v.number for v in self.table.enums[name].values}
        for value in theirs.values:
            if known.get(value.name) != value.number:
                self.report.add("missing fields", f"enum {name}.{value.name} = {value.number}")
        if self.newest:
            for extra in sorted(set(known) - {v.name for v in theirs.values}):
                self.report.add("unknown fields", f"enum {name}.{extra}")

    def answer(self, op: Operation, response) -> None:
        where = f"answer of {op.name}"
        fields = {f.name: f for f in response.fields}
        expected = {
            "nothing": set(),
            "text": set(),
            "bytes": set(),
            "member": {op.result_field},
            "list": {op.result_field},
            "page": {op.result_field, "next_page_token"},
        }.get(op.returns)
        if expected is None:
            self.message(self.table.messages[op.result], response)
            return
        for name in sorted(set(fields) - expected - set(op.unread)):
            self.report.add("missing fields", f"{where}: {name}")
        for name in sorted(expected - set(fields)):
            # an older server answers with fewer fields
            if self.newest or name == op.result_field:
                self.report.add("unknown fields", f"{where}: {name}")
        if op.result_field in fields:
            kind, held = ("one" if op.returns == "member" else "repeated", op.result) if not op.in_text else ("one", "string")
            self.field(f"{where}: {op.result_field}", Field(op.result_field, op.result_field, kind, held),
                       fields[op.result_field])

    def operation(self, op: Operation, binding: Binding) -> None:
        if op.request is not None:
            self.message(op.request, binding.request)
        elif binding.request.fields:
            self.report.add("missing fields", f"{op.name}: a request {binding.request.name}")
        self.answer(op, binding.request.nested_types_by_name["Response"])


def key_of(verb: str, path: str) -> tuple:
    return verb, re.sub(r"\{[^}]*\}|<[^>]*>", "{}", path)


def rows_of(table: Table, of_release: tuple = (99, 0)) -> dict:
    """(verb, descriptor path) -> operation, in the descriptors of that release."""
    rows = {}
    for op in table.operations.values():
        if op.rpc is None:
            continue
        version = re.match(r"/(?:ajax-)?api/(\d\.\d)", op.path)
        path = f"/api/{version[1] if version else '?'}{op.proto_path}" if op.proto_path else op.path
        rows[key_of(op.verb, path)] = op
        for verb, other in op.also:
            rows[key_of(verb, other)] = op
        for verb, other, before in op.declared:
            if of_release < before:
                rows[key_of(verb, other)] = op
    return rows


def covers(prefixes: list, path: str) -> bool:
    return any(("/" + path.lstrip("/")).startswith(prefix) for prefix in prefixes)


def compare(table: Table, version: tuple, list_uncovered: bool) -> int:
    report = Report()
    comparison = Comparison(table, report, version)
    rows, everything = rows_of(table, version), bindings()
    there = {key_of(b.verb, b.full_path) for b in everything}
    prefixes = [p for g in table.groups.values() for p in g.covers]
    covered = [b for b in everything if covers(prefixes, b.path)]
    uncovered = [b for b in everything if not covers(prefixes, b.path)]
    for binding in covered:
        op = rows.get(key_of(binding.verb, binding.full_path))
        if op is None:
            report.add("missing rows", f"{binding.rpc}: {binding.verb} {binding.full_path}")
            continue
        if op.rpc != binding.rpc:
            report.add("differences", f"{op.name} is {op.rpc}; MLflow has {binding.rpc}")
        if any((verb, path) == (binding.verb, binding.full_path) for verb, path, _ in op.declared):
            continue  # no server of that age answers it, so its fields don't matter
        if op.since > version:
            report.add("differences", f"{op.name} says since {op.since}, but {version} has it")
        comparison.operation(op, binding)
    for key, op in rows.items():
        if key not in there and op.since <= version:
            report.add("unknown rows", f"{op.name}: {key[0]} {key[1]}")
    if list_uncovered:
        for binding in uncovered:
            print(f"  not covered yet: {binding.rpc}: {binding.verb} {binding.full_path}")
    print(f"  {len(covered)} bindings in our groups, {len(uncovered)} outside them")
    print("  " + ", ".join(f"{count} {what}" for what, count in report.counts.items()))
    return 1 if any(report.counts.values()) else 0


# --- seeding ---------------------------------------------------------------------------------------------------------


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Seeder:
    def __init__(self, table: Table) -> None:
        self.table = table
        self.names = {e.proto: n for kind in (table.enums, table.messages) for n, e in kind.items() if e.proto}
        self.lines: list = []

    def new_name(self, descriptor) -> str:
        name = descriptor.name
        if descriptor.containing_type is not None:
            name = descriptor.containing_type.name + name
        taken = set(self.names.values())
        return name if name not in taken else name + "2"  # for the reviewer to improve

    def enum(self, descriptor) -> None:
        if descriptor.full_name in self.names:
            return
        name = self.names[descriptor.full_name] = self.new_name(descriptor)
        self.lines += [f"enum {name}"] + self.proto(name, descriptor) + ["  doc ?"]
        shared = descriptor.values[0].name.rsplit("UNSPECIFIED", 1)[0] if "UNSPECIFIED" in descriptor.values[0].name else ""
        for value in descriptor.values:
            short = value.name[len(shared):].lower() if shared and value.name.startswith(shared) else ""
            self.lines.append(f"  {value.name} = {value.number}" + (f" {short}" if short and value.number else ""))
        self.lines.append("")

    def proto(self, name: str, descriptor) -> list:
        return [] if descriptor.full_name == f"mlflow.{name}" else [f"  proto {descriptor.full_name}"]

    def message(self, descriptor) -> None:
        if descriptor.full_name in self.names or descriptor.full_name in JSON_TYPES or descriptor.full_name in PROTO_TEXTS:
            return
        for field in descriptor.fields:
            inner = field
            if is_map(field):
                inner = field.message_type.fields_by_name["value"]
            if inner.enum_type is not None:
                self.enum(inner.enum_type)
            elif inner.message_type is not None and inner.message_type.full_name != descriptor.full_name:
                self.message(inner.message_type)
        name = self.names[descriptor.full_name] = self.new_name(descriptor)
        self.lines += [f"message {name}"] + self.proto(name, descriptor) + ["  doc ?"]
        for field in descriptor.fields:
            line = f"  {field.name}: {shape(field, self.names)}"
            if field.has_default_value and field.default_value not in (0, "", False):
                value = field.default_value
                if field.enum_type is not None:
                    value = field.enum_type.values_by_number[value].name
                line += f" = {value}"
            if is_required(field):
                line += ", required"
            if field.containing_oneof and len(field.containing_oneof.fields) > 1:
                line += f", oneof {field.containing_oneof.name}"
            self.lines.append(line)
        self.lines.append("")

    def operation(self, binding: Binding) -> None:
        request = binding.request
        if request.fields:
            self.message(request)
        response = request.nested_types_by_name["Response"]
        fields = list(response.fields)
        for field in fields:
            for kind in (field.message_type, field.enum_type):
                if kind is not None and not is_map(field):
                    (self.message if kind is field.message_type else self.enum)(kind)
        page = {f.name for f in fields} >= {"next_page_token"} and len(fields) == 2
        items = [f for f in fields if f.name != "next_page_token"]
        if not fields:
            returns = "nothing"
        elif (len(fields) == 1 or page) and len(items) == 1 and not is_map(items[0]):
            kind = ("page " if page else "list ") if is_repeated(items[0]) else ""
            returns = f"{kind}{type_name(items[0], self.names)} in {items[0].name}"
        else:
            self.message(response)
            returns = f"message {self.names[response.full_name]}"
        self.lines += [f"operation {snake(binding.rpc)}", f"  rpc {binding.rpc}",
                       f"  {binding.verb} {binding.full_path.replace('<path:', '{').replace('>', '*}')}",
                       f"  request {self.names[request.full_name] if request.fields else 'nothing'}",
                       f"  returns {returns}", f"  class {'read' if binding.verb == 'GET' else '?'}", "  doc ?", "  why ?", ""]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", metavar="PREFIX", help="print rows for what lies below this path and has no row")
    parser.add_argument("--uncovered", action="store_true", help="list the rpcs outside our groups")
    arguments = parser.parse_args()
    import mlflow

    table = load(FOLDER)
    version = tuple(int(part) for part in mlflow.__version__.split(".")[:2])
    if arguments.seed:
        seeder, rows = Seeder(table), rows_of(table)
        for binding in bindings():
            if covers([arguments.seed], binding.path) and key_of(binding.verb, binding.full_path) not in rows:
                seeder.operation(binding)
        print("\n".join(seeder.lines))
        return 0
    print(f"MLflow {mlflow.__version__} against {FOLDER.name}/")
    return compare(table, version, arguments.uncovered)


if __name__ == "__main__":
    sys.exit(main())
