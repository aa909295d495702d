"""Definitions of one group (.ipp): codecs, checks, requests, answers and typed calls; and the class of the calls."""

from __future__ import annotations

from cpp_headers import (
    CPP,
    Target,
    comment,
    file,
    has_request,
    is_optional,
    namespace,
    needs_now,
    prepare_parameters,
    result_type,
    takes_value,
)
from table import PROTO_TEXTS, Field, Group, Message, Operation, Table


def must_be_there(table: Table, value: Message, field: Field) -> bool:
    """Whether a required field can be missing; numbers can't, and messages have rules of their own."""
    text = field.type in ("string", "secret", "json") or field.type in PROTO_TEXTS or table.is_enum(field.type)
    return field.required and (field.kind == "repeated" or text or is_optional(field, value.is_request))


def needs_check(table: Table, value: Message) -> bool:
    return bool(value.some or value.total) or any(
        must_be_there(table, value, f)
        or f.limit
        or f.type in ("timestamp", "duration")
        or f.max
        or f.oneof
        or f.filter
        or (table.is_message(f.type) and f.kind != "map" and needs_check(table, table.messages[f.type]))
        for f in value.fields
        if not f.alias
    )


def reachable(table: Table) -> set:
    """Names of the messages that a request may hold."""
    found: set = set()

    def visit(message: Message) -> None:
        if message.name not in found:
            found.add(message.name)
            for field in message.fields:
                if table.is_message(field.type):
                    visit(table.messages[field.type])

    for op in table.operations.values():
        if op.request:
            visit(op.request)
    return found


def encoder(target: Target, value: Message) -> list:
    lines = [f"MLFLOWHA_INLINE void encode(JsonWriter& out, const {target.entity(value.name)}& value) {{", "  out.begin_object();"]
    for field in value.fields:
        if field.alias or field.in_path or field.body:
            continue
        sure = (field.required or field.always or field.default not in (None, "0", "False")) and not (
            field.oneof or field.optional
        )
        how = "time" if field.now else "member" if sure else "member_unless_empty"
        lines.append(f'  out.{how}("{field.name}", value.{field.cpp});')
    return lines + ["  out.unknown(value.unknown_fields);", "  out.end_object();", "}", ""]


def decoder(target: Target, value: Message) -> list:
    lines = [f"MLFLOWHA_INLINE void decode(JsonReader& in, {target.entity(value.name)}& value) {{"]
    aliases = [f for f in value.fields if f.alias]
    lines += [f"  {CPP[f.type]} {f.cpp}{{}};  // older spelling of {f.alias}" for f in aliases]
    lines += ["  if (!in.begin_object()) return;", "  for (std::string_view name; in.next_member(name);) {"]
    word = ""
    for field in value.fields:
        goal = field.cpp if field.alias else f"value.{field.cpp}"
        lines.append(f'    {word}if (name == "{field.name}") in.read({goal});')
        word = "else "
    lines += [f"    {word}in.keep(name, value.unknown_fields);", "  }"]
    lines += [f"  if (value.{f.alias}.empty()) value.{f.alias} = std::move({f.cpp});" for f in aliases]
    return lines + ["}", ""]


def limit_call(field: Field, name: str, value: str, checker: str) -> str:
    limit = field.limit
    if limit.kind == "time":
        return f'{checker}.time({name}, {value});'
    if limit.kind == "count":
        high = limit.max if limit.max is not None else (2**31 - 1 if field.type == "int32" else 2**63 - 1)
        return f"{checker}.count({name}, {value}, {limit.min or 0}, {high});"
    if limit.kind == "path":
        return f"{checker}.path({name}, {value});"
    if limit.kind in ("json_object", "json_list"):
        return f"{checker}.{limit.kind}({name}, {value});"
    return f"{checker}.{limit.kind}({name}, {value}, {limit.max});"


def rules(table: Table, target: Target, value: Message) -> list:
    lines = [f"MLFLOWHA_INLINE void check(Checker& at, const {target.entity(value.name)}& value) {{"]
    for field in value.fields:
        if field.alias:
            continue
        member, name = f"value.{field.cpp}", f'"{field.name}"'
        if must_be_there(table, value, field):
            lines.append(f"  at.required({name}, {member});")
        if field.filter:
            lines.append(f"  at.filter({name}, {member});")
        if field.max:
            lines.append(f"  at.at_most({name}, {member}, {field.max});")
        if field.limit and field.kind == "repeated":
            call = limit_call(field, '""', "entry", "entries")
            lines.append(f"  at.each({name}, {member}, [](Checker& entries, const {CPP[field.type]}& entry) {{")
            lines += ['    entries.required("", entry);'] if field.type == "string" else []
            lines += [f"    {call}", "  });"]
        elif field.limit:
            guard = f"if ({member} != now_at_call) " if field.now else ""
            lines.append(f"  {guard}{limit_call(field, name, member, 'at')}")
        if field.type in ("timestamp", "duration"):
            lines.append(f"  at.{field.type}({name}, {member});")
        if table.is_message(field.type) and needs_check(table, table.messages[field.type]) and field.kind != "map":
            lines.append(f"  at.{'each' if field.kind == 'repeated' else 'inside'}({name}, {member}, Rules{{}});")
    for names in value.some:
        sizes = " + ".join(f"value.{value.field(n).cpp}.size()" for n in names)
        lines.append(f'  at.some("{", ".join(names)}", {sizes});')
    for names, most in value.total:
        sizes = " + ".join(f"value.{value.field(n).cpp}.size()" for n in names)
        lines.append(f'  at.total("{", ".join(names)}", {sizes}, {most});')
    groups: dict = {}
    for field in value.fields:
        if field.oneof:
            groups.setdefault(field.oneof, []).append(field)
    for members in groups.values():
        there = ", ".join(f"value.{f.cpp}.has_value()" for f in members)
        lines.append(f'  at.only_one("{", ".join(f.name for f in members)}", {{{there}}});')
    return lines + ["}", ""]


def prepare(table: Table, target: Target, op: Operation) -> list:
    lines = [f"MLFLOWHA_INLINE Result<api::PreparedRequest> prepare_{op.name}({prepare_parameters(table, op)}) {{"]
    request = has_request(op)
    now = request and needs_now(table, op.request)
    if op.tag:
        if op.made_id:
            lines.append(f"  detail::stamp_id(request.{op.made_id}, request_tag);")
        lines.append(f"  detail::stamp(request.{op.tag}, request_tag);")
    lines.append(f"  return detail::RequestBuilder(ops::{op.name}{', now' if now else ''})")
    if request and needs_check(table, op.request):
        lines.append("      .checked(request)")
    if op.class_if_empty:
        field, other = op.class_if_empty
        empty = f"!request.{field}.has_value()" if is_optional(op.request.field(field), True) else f"request.{field}.empty()"
        lines.append(f"      .idempotency({empty} ? Idempotency::{other} : Idempotency::{op.idempotency})")
    if op.recipe != "none":
        lines.append(f"      .recipe({'std::move(request_tag)' if op.tag else '{}'}, request.{op.scope})")
    for place in op.places:
        how = "place_path" if f"{{{place}*}}" in op.path else "place"
        lines.append(f'      .{how}("{place}", request.{place})')
    raw = op.raw_body
    if raw:
        for field in op.request.fields:
            if field is not raw and field.name not in op.places:
                lines.append(f'      .query("{field.name}", request.{field.cpp})')
        lines += ["      .query(request.unknown_fields)", f"      .raw_body(std::move(request.{raw.cpp}))"]
    elif op.verb != "GET":
        lines += ["      .body(request)"] if request else []
    elif request:
        for field in op.request.fields:
            if not field.alias and field.name not in op.places:
                lines.append(f'      .query("{field.name}", request.{field.cpp})')
        lines.append("      .query(request.unknown_fields)")
    return lines + ["      .finish();", "}", ""]


def answer(target: Target, op: Operation) -> list:
    kind = result_type(target, op, target.functions != target.entities)
    inner = CPP.get(op.result) or (target.entity(op.result) if target.functions != target.entities else op.result)
    call = {
        "nothing": f'detail::read_nothing("{op.name}", body)',
        "text": f'detail::read_text("{op.name}", body)',
        "bytes": "std::string(body)",
        "message": f'detail::read_message<{inner}>("{op.name}", body)',
        "member": f'detail::read_member<{inner}>("{op.name}", body, "{op.result_field}")',
        "list": f'detail::read_list<{inner}>("{op.name}", body, "{op.result_field}")',
        "page": f'detail::read_page{"_in_text" if op.in_text else ""}<{inner}>("{op.name}", body, "{op.result_field}")',
    }[op.returns]
    return [f"MLFLOWHA_INLINE Result<{kind}> decode_{op.name}(std::string_view body) {{", f"  return {call};", "}", ""]


def codec(table: Table, target: Target, group: Group) -> str:
    """encode, decode, to_json, from_json; checks, requests and answers are in a file of their own."""
    body = [f"#include <{target.prefix}/impl/{name}_codec.ipp>" for name in group.includes
            if table.groups[name].messages]
    body += ["#include <mlflowha/api/impl/answer.ipp>", "#include <mlflowha/api/impl/json_reader.ipp>",
             "#include <mlflowha/api/impl/json_writer.ipp>", f"#include <{target.prefix}/{group.name}_codec.hpp>"]
    body += ["", "#include <string>", "#include <string_view>", "#include <utility>", ""]
    body += ["MLFLOWHA_BEGIN_NAMESPACE", ""]
    inner = []
    for value in group.messages:
        inner.append(f"MLFLOWHA_INLINE void encode(JsonWriter& out, const {target.entity(value.name)}& value);")
        inner.append(f"MLFLOWHA_INLINE void decode(JsonReader& in, {target.entity(value.name)}& value);")
    inner.append("")
    for value in group.messages:
        inner += encoder(target, value) + decoder(target, value)
    body += namespace("detail", inner[:-1]) + [""]
    inner = []
    for value in group.messages:
        name = target.entity(value.name)
        hide = "in.hide_values(); " if any(f.type == "secret" for f in value.fields) else ""
        inner += [f"MLFLOWHA_INLINE Result<std::string> to_json(const {name}& value) {{",
                  f'  return detail::write_all("{value.name}", value);', "}",
                  "template <>", f"MLFLOWHA_INLINE Result<{name}> from_json<{name}>(std::string_view json) {{",
                  f'  return detail::read_all<{name}>("{value.name}", json, [](detail::JsonReader& in, {name}& value) {{ {hide}'
                  "detail::decode(in, value); });", "}", ""]
    body += namespace("api", inner[:-1]) + ["", "MLFLOWHA_END_NAMESPACE"]
    if group.operations:
        body += ["", f"#include <{target.prefix}/impl/{group.name}_requests.ipp>"]
    about = f"{group.title}: values to JSON and back."
    return file(target, f"impl/{group.name}_codec.ipp", f"{group.name}.table", about, body)


def requests(table: Table, target: Target, group: Group) -> str:
    body = ["#include <mlflowha/api/impl/answer.ipp>", "#include <mlflowha/api/impl/checker.ipp>",
            "#include <mlflowha/api/impl/request_builder.ipp>"]
    body += [f"#include <{target.prefix}/impl/{group.name}_codec.ipp>", f"#include <{target.prefix}/operations.hpp>",
             "", "#include <string>", "#include <string_view>", "#include <utility>", "", "MLFLOWHA_BEGIN_NAMESPACE", ""]
    sent = reachable(table)
    checked = [m for m in group.messages if m.name in sent and needs_check(table, m)]
    inner = [f"MLFLOWHA_INLINE void check(Checker& at, const {target.entity(m.name)}& value);" for m in checked] + [""]
    for value in checked:
        inner += rules(table, target, value)
    body += namespace("detail", inner[:-1]) + [""] if checked else []
    inner = []
    for op in group.operations:
        inner += prepare(table, target, op) + answer(target, op)
    body += namespace(target.functions, inner[:-1]) + ["", "MLFLOWHA_END_NAMESPACE"]
    about = f"{group.title}: MLflow's rules for each request, requests to bytes, answers to results."
    return file(target, f"impl/{group.name}_requests.ipp", f"{group.name}.table", about, body)


def call_parameters(op: Operation) -> list:
    parts = []
    if has_request(op):
        parts.append(f"{op.request.name} request" if takes_value(op) else f"const {op.request.name}& request")
    return parts


def call(table: Table, target: Target, op: Operation) -> list:
    kind = result_type(target, op)
    parameters = ", ".join(call_parameters(op) + ["const CallOptions& options"])
    arguments = []
    if has_request(op):
        arguments.append("std::move(request)" if takes_value(op) else "request")
        if needs_now(table, op.request):
            arguments.append("wall_now()")
    if op.tag:
        arguments.append("options.request_tag.empty() ? new_request_tag() : options.request_tag")
    lines = [
        f"MLFLOWHA_INLINE Result<{kind}> {target.calls}::{op.name}({parameters}) const {{",
        f"  auto prepared = prepare_{op.name}({', '.join(arguments)});",
        "  if (!prepared) return std::move(prepared).error();",
        f"  auto response = execute(ops::{op.name}, *std::move(prepared), options);",
        "  if (!response) return std::move(response).error();",
    ]
    if op.returns == "bytes":
        return lines + ["  return std::move(response->body);", "}", ""]
    lines += [
        f"  auto answer = decode_{op.name}(response->body);",
        f"  if (!answer) return detail::unreadable(ops::{op.name}, *response, std::move(answer).error());",
        "  return answer;",
        "}",
        "",
    ]
    if op.returns == "page":
        lines += [
            f"MLFLOWHA_INLINE {pager_type(target, op)} {target.calls}::{op.name}_all({op.request.name} request, "
            "CallOptions options) const {",
            f"  return {{share(), &{target.calls}::{op.name}, std::move(request), std::move(options)}};",
            "}",
            "",
        ]
    return lines


def pager_type(target: Target, op: Operation) -> str:
    return f"Pager<{target.calls}, {op.request.name}, {CPP.get(op.result) or op.result}>"


def calls_source(table: Table, target: Target, group: Group) -> str:
    body = [f"#include <{target.prefix}/calls.hpp>", f"#include <{target.prefix}/impl/{group.name}_requests.ipp>", "",
            "#include <string>", "#include <utility>", "#include <vector>", "", "MLFLOWHA_BEGIN_NAMESPACE", ""]
    inner = []
    for op in group.operations:
        inner += call(table, target, op)
    body += namespace(target.functions, inner[:-1]) + ["", "MLFLOWHA_END_NAMESPACE"]
    about = f"{group.title}: the typed calls. Each is the same three steps: encode, let the client carry it, decode."
    return file(target, f"impl/{group.name}_calls.ipp", f"{group.name}.table", about, body)


def declared_apart(table: Table) -> list:
    """Names of the messages that the calls of groups apart take and give."""
    names = set()
    for group in table.groups.values():
        for op in group.operations if group.apart else []:
            names |= {op.request.name} if op.request else set()
            names |= {op.result} if op.result and table.is_message(op.result) else set()
    return sorted(name for name in names if table.groups[table.messages[name].group].apart)


def all_header(table: Table, target: Target) -> str:
    body = [f"#include <{target.prefix}/{g.name}.hpp>" for g in table.groups.values() if g.messages or g.enums]
    return file(target, "all.hpp", "*.table", "Requests and entities of every group, also of those that calls.hpp only declares.", body)


def calls_header(table: Table, target: Target) -> str:
    groups = list(table.groups.values())
    body = ["#include <mlflowha/api/call_options.hpp>"]
    body += [f"#include <{target.prefix}/{g.name}.hpp>" for g in groups if (g.messages or g.enums) and not g.apart]
    body += ["#include <mlflowha/api/pager.hpp>", "#include <mlflowha/core/clock.hpp>", "#include <mlflowha/core/result.hpp>",
             "", "#include <memory>", "#include <string>", "#include <vector>", "", "MLFLOWHA_BEGIN_NAMESPACE", ""]
    body += ["struct Response;", "namespace api {", "struct Operation;", "struct PreparedRequest;", "}  // namespace api", ""]
    declared = declared_apart(table)
    if declared:
        body += comment("Of groups that few programs use. Include their header to use their calls, e.g. "
                        f"<{target.prefix}/{next(g.name for g in groups if g.apart)}.hpp>, or all of them: "
                        f"<{target.prefix}/all.hpp>.")
        body += [f"struct {target.entity(name)};" for name in declared] + [""]
    inner = comment("One method for each operation, named as MLflow's Python client names it. A call checks its request, puts it "
                    "into bytes, has them carried by execute() and reads the answer. As thread-safe as the class that "
                    "implements execute(); every method may throw only what running out of memory throws.")
    inner += [f"class MLFLOWHA_EXPORT {target.calls} {{", " public:", f"  virtual ~{target.calls}() = default;", ""]
    for group in groups:
        if group.operations:
            inner += [f"  // {group.title}", ""]
        for op in group.operations:
            text = op.doc + (f" Include <{target.prefix}/{group.name}.hpp>." if group.apart and (op.request or op.result) else "")
            text += (f" Needs MLflow {op.since[0]}.{op.since[1]}." if op.since != (0, 0) else "")
            text += f" Gone from MLflow {op.until[0]}.{op.until[1]} on." if op.until != (0, 0) else ""
            text += f" Class {op.idempotency}."
            inner += comment(text, "  ")
            parameters = ", ".join(call_parameters(op) + ["const CallOptions& options = {}"])
            inner.append(f"  [[nodiscard]] Result<{result_type(target, op)}> {op.name}({parameters}) const;")
            if op.returns == "page":
                inner += comment(f"Everything that {op.name} finds, fetched a page at a time while it is walked.", "  ")
                inner.append(f"  [[nodiscard]] {pager_type(target, op)} {op.name}_all({op.request.name} request, "
                             "CallOptions options = {}) const;")
            inner.append("")
    inner += [" protected:", f"  {target.calls}() = default;", f"  {target.calls}(const {target.calls}&) = default;",
              f"  {target.calls}({target.calls}&&) = default;", f"  {target.calls}& operator=(const {target.calls}&) = default;",
              f"  {target.calls}& operator=({target.calls}&&) = default;", ""]
    inner += comment("Carries one prepared request to an answer: attempts, waits, verification and failover. Gives a 2xx answer "
                     "or an Error; an error status of the server is an Error (api::decode_error). A create that was found by "
                     "its request tag gives the answer that the create itself would have had.", "  ")
    inner += ["  virtual Result<Response> execute(const api::Operation& operation, api::PreparedRequest&& request,",
              "                                   const CallOptions& options) const = 0;"]
    inner += comment("A fresh value for the request tag of a create, unique in the world.", "  ")
    inner += ["  virtual std::string new_request_tag() const = 0;"]
    inner += comment("Calendar time for timestamps that the caller left at now_at_call.", "  ")
    inner += ["  virtual WallTime wall_now() const = 0;"]
    inner += comment("What a Pager keeps while it is walked: this object, which must then live as long, or something that "
                     "shares its state.", "  ")
    inner += [f"  virtual std::shared_ptr<const {target.calls}> share() const {{ return {{std::shared_ptr<void>(), this}}; }}",
              "};"]
    body += namespace(target.functions, inner) + ["", "MLFLOWHA_END_NAMESPACE", "", "#if defined(MLFLOWHA_HEADER_ONLY)"]
    body += [f"#include <{target.prefix}/impl/calls.ipp>", "#endif"]
    about = "The typed calls: base class of Client. Sync, generated, one way to spell each operation."
    return file(target, "calls.hpp", "*.table", about, body)


def calls_of_all_groups(table: Table, target: Target) -> str:
    body = [f"#include <{target.prefix}/impl/{g.name}_calls.ipp>" for g in table.groups.values() if g.operations]
    return file(target, "impl/calls.ipp", "*.table", "The typed calls of every group, and with them every generated definition.", body)
