"""The table of MLflow's REST surface: reads table/*.table into plain objects and checks them.

The format is described in table/README.md. Standard library only, Python 3.9 or newer.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Optional

# Text of google.protobuf.Timestamp, Duration and FieldMask: a std::string each.
PROTO_TEXTS = ("timestamp", "duration", "mask")
# secret: a text that is never shown. timestamp, duration and mask: PROTO_TEXTS.
SCALARS = ("string", "secret", "int32", "int64", "float", "double", "bool", "json") + PROTO_TEXTS
CLASSES = ("read", "same_again", "once", "create_named", "create_anonymous", "never")
RECIPES = (
    "none",
    "find_run_by_tag",
    "find_experiment_by_name",
    "find_run_inputs",
    "find_run_outputs",
    "find_registered_model_by_name",
    "find_model_version_by_tag",
    "find_logged_model_by_tag",
    "find_logged_model_params",
    "find_trace_by_tag",
    "find_assessment_by_id",
    "find_dataset_by_tag",
    "find_newest_scorer",
    "find_canceled_job",
    "find_label_schema",
    "find_review_queue",
    "find_workspace",
    "find_gateway_secret",
    "find_gateway_model_definition",
    "find_gateway_endpoint",
    "find_attached_model",
    "find_endpoint_binding",
    "find_endpoint_guardrail",
    "find_mcp_server",
    "find_mcp_version",
    "find_changed_mcp_version",
    "find_deleted_mcp_version",
    "find_user_permission",
    "find_role",
    "find_role_permission",
    "find_experiment_permission",
    "find_registered_model_permission",
    "find_renamed_model",
    "find_restored_experiment",
)
LIMITS = ("id", "name", "text", "path", "json_object", "json_list", "time", "count")
FILTERS = ("filter", "filter_string")  # a request's text field of this name has the C++ type Filter
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class TableError(Exception):
    """A fault in the table, with file and line."""


@dataclasses.dataclass
class Limit:
    name: str
    kind: str
    min: Optional[int]
    max: Optional[int]


@dataclasses.dataclass
class Enumerator:
    server_name: str
    number: int
    name: str


@dataclasses.dataclass
class Enum:
    name: str
    group: str
    proto: Optional[str]
    doc: str = ""
    values: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Field:
    name: str  # MLflow's
    cpp: str  # the member's
    kind: str  # "one", "repeated" or "map"
    type: str  # a scalar or the name of an enum or a message
    key: str = ""  # of a map
    default: Optional[str] = None
    required: bool = False
    always: bool = False
    optional: bool = False
    now: bool = False
    in_path: bool = False  # it stands in the path and nowhere else
    body: bool = False  # its bytes are the request's body
    limit: Optional[Limit] = None
    max: Optional[int] = None
    oneof: Optional[str] = None
    alias: Optional[str] = None
    filter: bool = False  # a request's search filter: FILTERS
    doc: str = ""


@dataclasses.dataclass
class Message:
    name: str
    group: str
    proto: Optional[str]
    doc: str = ""
    fields: list = dataclasses.field(default_factory=list)
    some: list = dataclasses.field(default_factory=list)  # lists of field names
    total: list = dataclasses.field(default_factory=list)  # (field names, max)
    id: list = dataclasses.field(default_factory=list)  # paths of the fields that tell it from others of its kind
    is_request: bool = False

    def field(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise TableError(f"message {self.name} has no field {name}")


@dataclasses.dataclass
class Operation:
    name: str
    group: str
    rpc: Optional[str] = None
    verb: str = ""
    path: str = ""
    proto_path: Optional[str] = None
    also: list = dataclasses.field(default_factory=list)  # (verb, path)
    declared: list = dataclasses.field(default_factory=list)  # (verb, path, version): in descriptors before that version
    request: Optional[Message] = None
    returns: str = "nothing"  # nothing, text, bytes, message, member, list, page
    result: str = ""  # type
    result_field: str = ""
    in_text: bool = False  # a page whose list is JSON in a text
    unread: list = dataclasses.field(default_factory=list)  # fields of the answer that are not read
    idempotency: str = ""
    class_if_empty: Optional[tuple] = None  # (field, class)
    done: list = dataclasses.field(default_factory=list)
    recipe: str = "none"
    scope: str = ""
    tag: str = ""
    made_id: str = ""
    since: tuple = (0, 0)
    until: tuple = (0, 0)  # the first release that has it no longer
    doc: str = ""
    why: str = ""

    @property
    def places(self) -> list:
        """Fields in the path."""
        return re.findall(r"\{([\w.]+)[*+]?\}", self.path)

    @property
    def shown_path(self) -> str:
        """The path for people: places without their marks."""
        return re.sub(r"[*+]\}", "}", self.path)

    @property
    def secrets(self) -> list:
        """Names of the request's fields that hold secrets."""
        return [f.name for f in self.request.fields if f.type == "secret"] if self.request else []

    @property
    def raw_body(self) -> Optional[Field]:
        """The field that is the body, where that is no JSON."""
        return next((f for f in self.request.fields if f.body), None) if self.request else None


@dataclasses.dataclass
class Group:
    name: str
    title: str = ""
    apart: bool = False  # its types are not in the header of the calls: include <prefix>/<name>.hpp to use them
    covers: list = dataclasses.field(default_factory=list)
    includes: list = dataclasses.field(default_factory=list)
    enums: list = dataclasses.field(default_factory=list)
    messages: list = dataclasses.field(default_factory=list)
    operations: list = dataclasses.field(default_factory=list)


class Table:
    def __init__(self) -> None:
        self.groups: dict = {}
        self.limits: dict = {}
        self.enums: dict = {}
        self.messages: dict = {}
        self.operations: dict = {}

    def is_enum(self, name: str) -> bool:
        return name in self.enums

    def is_message(self, name: str) -> bool:
        return name in self.messages


def _blocks(path: pathlib.Path):
    """Yields (line number, head line, [(line number, line)]) with continuation lines joined."""
    head, lines = None, []
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if "\t" in raw:
            raise TableError(f"{path.name}:{number}: a tab; indent with blanks")
        line = raw.rstrip()
        if not line or line.lstrip().startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            if head:
                yield head[0], head[1], lines
            head, lines = (number, line), []
        elif head is None:
            raise TableError(f"{path.name}:{number}: indented, but nothing is open")
        elif indent == 2:
            lines.append((number, line.strip()))
        elif indent >= 4 and lines:
            lines[-1] = (lines[-1][0], lines[-1][1] + " " + line.strip())
        else:
            raise TableError(f"{path.name}:{number}: indent by 2, or by 4 and more to continue a line")
    if head:
        yield head[0], head[1], lines


class _Reader:
    def __init__(self, table: Table, path: pathlib.Path) -> None:
        self.table, self.path, self.group = table, path, None

    def fail(self, number: int, text: str) -> TableError:
        return TableError(f"{self.path.name}:{number}: {text}")

    def read(self) -> None:
        for number, head, lines in _blocks(self.path):
            word, _, rest = head.partition(" ")
            rest = rest.strip()
            if word != "group" and self.group is None:
                raise self.fail(number, "a table begins with its group")
            handler = getattr(self, "read_" + word, None)
            if handler is None:
                raise self.fail(number, f"unknown block {word!r}; expected group, limit, enum, message or operation")
            handler(number, rest, lines)

    def unique(self, number: int, where: dict, name: str, value) -> None:
        if name in where:
            raise self.fail(number, f"{name} is there twice")
        where[name] = value

    def read_group(self, number: int, name: str, lines: list) -> None:
        if self.group:
            raise self.fail(number, "one group a file")
        self.group = Group(name)
        self.unique(number, self.table.groups, name, self.group)
        for at, line in lines:
            word, _, rest = line.partition(" ")
            if word == "title":
                self.group.title = rest
            elif line == "apart":
                self.group.apart = True
            elif word in ("covers", "includes"):
                getattr(self.group, word).extend(rest.split())
            else:
                raise self.fail(at, f"unknown line {word!r} of a group")

    def read_limit(self, number: int, rest: str, lines: list) -> None:
        match = re.fullmatch(r"(\w+): (\w+)(?: min (\d+))?(?: max (\d+))?", rest)
        if not match or match[2] not in LIMITS or lines:
            raise self.fail(number, f"expected `limit NAME: KIND [min N] [max N]`, KIND one of {', '.join(LIMITS)}")
        small, large = (int(v) if v else None for v in (match[3], match[4]))
        self.unique(number, self.table.limits, match[1], Limit(match[1], match[2], small, large))

    def read_enum(self, number: int, name: str, lines: list) -> None:
        enum = Enum(name, self.group.name, "mlflow." + name)
        for at, line in lines:
            match = re.fullmatch(r"([A-Z][A-Z0-9_]*) = (\d+)(?: (\w+))?", line)
            if match:
                enum.values.append(Enumerator(match[1], int(match[2]), match[3] or match[1].lower()))
            elif line.startswith("doc "):
                enum.doc = line[4:]
            elif line.startswith("proto "):
                enum.proto = None if line[6:] == "-" else line[6:]
            else:
                raise self.fail(at, f"expected `SERVER_NAME = NUMBER [cpp_name]`, found {line!r}")
        if not enum.doc:
            raise self.fail(number, f"enum {name} has no doc")
        self.group.enums.append(enum)
        self.unique(number, self.table.enums, name, enum)

    def read_message(self, number: int, name: str, lines: list) -> None:
        message = Message(name, self.group.name, "mlflow." + name)
        for at, line in lines:
            word, _, rest = line.partition(" ")
            if word == "doc":
                message.doc = rest
            elif word == "proto":
                message.proto = None if rest == "-" else rest
            elif word == "id":
                message.id = rest.split()
            elif word == "some":
                message.some.append(rest.split())
            elif word == "total":
                match = re.fullmatch(r"([\w ]+) max (\d+)", rest)
                if not match:
                    raise self.fail(at, "expected `total FIELDS max N`")
                message.total.append((match[1].split(), int(match[2])))
            elif word.endswith(":"):
                message.fields.append(self.read_field(at, line))
            else:
                raise self.fail(at, f"expected `NAME: TYPE`, doc, proto, id, some or total, found {line!r}")
        if not message.doc:
            raise self.fail(number, f"message {name} has no doc")
        self.group.messages.append(message)
        self.unique(number, self.table.messages, name, message)

    def read_field(self, number: int, line: str) -> Field:
        text, _, doc = line.partition(" -- ")
        match = re.fullmatch(
            r"(\w+): (?:(repeated) )?(map<(\w+), (\w+)>|\w+)(?: = ([^,]+))?((?:, [^,]+)*)", text
        )
        if not match:
            raise self.fail(number, f"expected `NAME: TYPE [= DEFAULT] [, FLAG]... [-- text]`, found {line!r}")
        name, repeated, kind, key, value, default, flags = match.groups()
        field = Field(name, name, "repeated" if repeated else "map" if key else "one", value or kind)
        field.key, field.default, field.doc = key or "", default, doc
        if key and key not in ("string", "int64"):
            raise self.fail(number, f"map key {key!r}; expected string or int64")
        for flag in filter(None, (f.strip() for f in flags.split(","))):
            word, _, rest = flag.partition(" ")
            if word in ("required", "always", "optional", "now", "in_path", "body") and not rest:
                setattr(field, word, True)
            elif word == "limit" and rest in self.table.limits:
                field.limit = self.table.limits[rest]
            elif word == "max" and rest.isdigit():
                field.max = int(rest)
            elif word in ("oneof", "alias", "cpp") and rest:
                setattr(field, word, rest)
            else:
                raise self.fail(number, f"unknown flag {flag!r}")
        if field.now and field.type != "int64":
            raise self.fail(number, "only an int64 can be now")
        return field

    def read_operation(self, number: int, name: str, lines: list) -> None:
        op = Operation(name, self.group.name)
        for at, line in lines:
            word, _, rest = line.partition(" ")
            if word in VERBS:
                op.verb, op.path = word, rest
            elif word == "rpc":
                op.rpc = None if rest == "-" else rest
            elif word == "also":
                op.also.append(tuple(rest.split()))
            elif word == "declared":
                match = re.fullmatch(r"([A-Z]+) (/\S+) before (\d+)\.(\d+)", rest)
                if not match:
                    raise self.fail(at, "expected `declared VERB /path before X.Y`")
                op.declared.append((match[1], match[2], (int(match[3]), int(match[4]))))
            elif word == "unread":
                op.unread = rest.split()
            elif word == "request":
                if rest != "nothing" and rest not in self.table.messages:
                    raise self.fail(at, f"no message {rest}")
                op.request = None if rest == "nothing" else self.table.messages[rest]
                if op.request:
                    op.request.is_request = True
            elif word == "returns":
                self.read_returns(at, op, rest)
            elif word == "class":
                op.idempotency = rest
            elif word == "class_if_empty":
                op.class_if_empty = tuple(rest.split())
            elif word == "unread":
                op.unread = rest.split()
            elif word == "done":
                op.done = rest.split()
            elif word == "recipe":
                match = re.fullmatch(r"(\w+) scope ([\w.]+)(?: tag ([\w.]+))?(?: id ([\w.]+))?", rest)
                if not match or match[1] not in RECIPES:
                    raise self.fail(
                        at, "expected `recipe NAME scope FIELD [tag FIELD] [id FIELD]`, NAME one of " + ", ".join(RECIPES))
                op.recipe, op.scope, op.tag, op.made_id = match[1], match[2], match[3] or "", match[4] or ""
            elif word in ("since", "until"):
                setattr(op, word, tuple(int(part) for part in rest.split(".")))
            elif word in ("doc", "why", "proto_path"):
                setattr(op, word, rest)
            else:
                raise self.fail(at, f"unknown line {word!r} of an operation")
        classes = [op.idempotency] + ([op.class_if_empty[1]] if op.class_if_empty else [])
        for problem, wrong in (
            ("a verb and a path", not op.path.startswith("/")),
            ("a class of " + ", ".join(CLASSES), any(c not in CLASSES for c in classes)),
            ("doc and why", not op.doc or not op.why),
            ("at most two done codes", len(op.done) > 2),
            ("an id together with a tag", bool(op.made_id) and not op.tag),
            ("done codes for class once and create_named", (op.idempotency in ("once", "create_named")) != bool(op.done)),
            ("a recipe for a create and for nothing else", op.idempotency.startswith("create_") != (op.recipe != "none")),
            ("class read for GET", op.verb == "GET" and op.idempotency != "read"),
            ("since X.Y and until X.Y", len(op.since) != 2 or len(op.until) != 2),
            ("a body for a secret", op.verb == "GET" and bool(op.secrets)),
            ("at most two secrets", len(op.secrets) > 2),
        ):
            if wrong:
                raise self.fail(number, f"operation {name}: expected {problem}")
        self.group.operations.append(op)
        self.unique(number, self.table.operations, name, op)

    def read_returns(self, number: int, op: Operation, text: str) -> None:
        match = re.fullmatch(r"(?:(nothing|text|bytes)|(message) (\w+)|(?:(list|page) )?(\w+) in (text )?(\w+))", text)
        if not match or (match[6] and match[4] != "page"):
            raise self.fail(number, f"returns what? {text!r}; see README.md")
        op.returns = match[1] or match[2] or match[4] or "member"
        op.result, op.result_field = match[3] or match[5] or "", match[7] or ""
        op.in_text = bool(match[6])


def load(folder: pathlib.Path) -> Table:
    """Reads every table in `folder`, `common` first, then by name; a group may use those it includes."""
    table = Table()
    paths = sorted(folder.glob("*.table"), key=lambda p: (p.stem != "common", p.stem))
    pending = list(paths)
    while pending:
        ready = [p for p in pending if _includes(p) <= set(table.groups)]
        if not ready:
            raise TableError(f"includes that can't be met: {', '.join(p.name for p in pending)}")
        for path in ready:
            _Reader(table, path).read()
            pending.remove(path)
    _check(table)
    return table


def _includes(path: pathlib.Path) -> set:
    for _, head, lines in _blocks(path):
        if head.startswith("group "):
            return {name for _, line in lines if line.startswith("includes ") for name in line.split()[1:]}
    return set()


def _field_of(table: Table, op: Operation, path: str) -> Field:
    """The field of the operation's request at a path like `assessment.trace_id`."""
    message = op.request
    *outer, last = path.split(".")
    for part in outer:
        message = table.messages[message.field(part).type]
    return message.field(last)


def members(table: Table, message: Message, path: str) -> list:
    """The fields along a path such as `info.run_id`."""
    found = []
    for name in path.split("."):
        if found:
            if not table.is_message(found[-1].type) or found[-1].kind != "one":
                raise TableError(f"{message.name}: {path} leads nowhere")
            message = table.messages[found[-1].type]
        found.append(message.field(name))
    return found


def identity(table: Table, message: Message) -> list:
    """Paths of the fields that are an entity's id: those of its `id` line, or a first field that is plainly named as one,
    in the entity (`experiment_id` of Experiment) or in its info (`info.run_id` of Run)."""
    if message.id:
        return [] if message.id == ["none"] else message.id

    def plain(name: str, value: Message) -> list:
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.sub(r"(Info)?(V\d)?$", "", name)).lower().split("_")
        names = {"_".join(words[i:]) + "_id" for i in range(len(words))}
        first = next((f for f in value.fields if not f.alias), None)
        return [first.name] if first and first.type == "string" and first.kind == "one" and first.name in names else []

    found = plain(message.name, message)
    first = message.fields[0] if message.fields else None
    if not found and first and first.kind == "one" and first.name.endswith("info") and table.is_message(first.type):
        found = [f"{first.name}.{name}" for name in plain(message.name, table.messages[first.type])]
    return found


def _check(table: Table) -> None:
    known = set(SCALARS) | set(table.enums) | set(table.messages)
    for message in table.messages.values():
        seen = set()
        for field in message.fields:
            where = f"{message.name}.{field.name}"
            if field.type not in known:
                raise TableError(f"{where}: unknown type {field.type}")
            if field.cpp in seen:
                raise TableError(f"{where} is there twice")
            seen.add(field.cpp)
            if field.alias:
                message.field(field.alias)
            if field.type == "secret" and (
                field.kind == "repeated" or field.limit or field.default or field.in_path or field.body or not message.is_request
            ):
                raise TableError(f"{where}: a secret is one text, or a map of them, of a request, without limit and default, "
                                 "in the body alone")
            if table.is_enum(field.type) and field.default is not None:
                if field.default not in [v.server_name for v in table.enums[field.type].values]:
                    raise TableError(f"{where}: {field.type} has no {field.default}")
        for field in message.fields:
            if field.body and (field.type != "string" or field.kind != "one"):
                raise TableError(f"{message.name}.{field.name}: only a string can be the body")
            if message.is_request and field.name in FILTERS and field.kind == "one" and field.type == "string":
                if field.required or field.optional or field.limit or field.oneof:
                    raise TableError(f"{where}: a filter has no flags")
                field.filter = True
        for path in message.id if message.id != ["none"] else []:
            last = members(table, message, path)[-1]
            if last.kind != "one" or last.type not in ("string", "int32", "int64") or last.optional or last.oneof:
                raise TableError(f"{message.name}: {path} can't be an id; expected plain text or a whole number")
        for names in message.some + [names for names, _ in message.total]:
            for name in names:
                if message.field(name).kind == "one":
                    raise TableError(f"{message.name}.{name} is no list")
    for op in table.operations.values():
        if op.result and op.result not in known:
            raise TableError(f"operation {op.name}: unknown type {op.result}")
        for path in filter(None, (op.scope, op.tag, op.made_id)):
            _field_of(table, op, path)
        if op.returns == "page":
            token = op.request.field("page_token") if op.request else None
            if token is None or token.type != "string" or token.kind != "one" or token.optional:
                raise TableError(f"operation {op.name} gives pages, so its request needs `page_token: string`")
        for place in op.places:
            if f"{{{place}*}}" in op.path and (_field_of(table, op, place).limit or Limit("", "", None, None)).kind != "path":
                raise TableError(f"operation {op.name}: {place} keeps its slashes and must have a limit of kind path")
            # A field inside a message may be optional elsewhere; RequestBuilder refuses an empty place in any case.
            if not _field_of(table, op, place).required and "." not in place:
                raise TableError(f"operation {op.name}: {place} is in the path and must be required")
