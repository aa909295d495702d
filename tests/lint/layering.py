#!/usr/bin/env python3
"""Keeps the house in order: a room includes only the rooms below it, and public headers only the standard library."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cxx import ROOT, includes, report

# room -> the rooms that its headers and .ipp files may include (itself always).
ROOMS: dict[str, set[str]] = {
    "core": set(),
    "observe": {"core"},
    "resilience": {"core", "observe"},
    "http": {"core", "observe"},
    "api": {"core", "http"},
    "client": {"core", "observe", "resilience", "http", "api"},
    "logging": {"core", "observe", "resilience", "http", "api", "client"},
    "artifacts": {"core", "observe", "resilience", "http", "api", "client"},
    "models": {"core", "observe", "resilience", "http", "api", "client", "artifacts"},
    "async": {"core", "observe", "resilience", "http", "api", "client"},
    "testing": {"core", "observe", "resilience", "http", "api", "client", "logging"},
}

# Headers at the top, outside of any room: what they may include. None: anything.
TOP: dict[str, set[str] | None] = {
    "version.hpp": set(),
    "config.hpp": {"version.hpp"},
    "fwd.hpp": {"config.hpp"},
    "mlflowha.hpp": None,  # the umbrella
    "logging.hpp": None,  # that of durable logging, which needs SQLite
    "impl/src.hpp": None,  # the compiled library, and its units
    "impl/src_engine.hpp": None,
    "impl/src_evaluation.hpp": None,
    "impl/src_models.hpp": None,
    "impl/src_recipes.hpp": None,
    "impl/src_tracking.hpp": None,
}
# Small enough to be everybody's.
FREE = {"config.hpp", "version.hpp", "fwd.hpp"}

# Opt-in adapters: one header each, may include a third party, nobody includes them.
LEAVES = {"json.hpp", "prometheus.hpp", "spdlog.hpp", "otel.hpp"}

# Third parties a room's .ipp files may include, by first path segment. Public headers: none (async/: Boost.Asio).
THIRD_PARTY_IPP: dict[str, set[str]] = {
    "core": {"fmt"},
    "observe": {"fmt"},
    "resilience": {"fmt"},
    "http": {"fmt", "curl"},
    "api": {"fmt", "nlohmann"},
    "client": {"fmt", "nlohmann"},
    "logging": {"fmt", "nlohmann", "openssl", "sqlite3.h"},
    "artifacts": {"fmt", "nlohmann", "curl"},
    "models": {"fmt", "nlohmann"},
    "async": {"fmt", "curl", "boost"},
    "testing": {"fmt", "nlohmann", "curl", "boost"},
}
THIRD_PARTY_HPP: dict[str, set[str]] = {"async": {"boost"}}

POSIX = {
    "arpa/inet.h", "dirent.h", "errno.h", "fcntl.h", "netdb.h", "netinet/in.h", "netinet/tcp.h", "poll.h", "pthread.h", "pwd.h",
    "signal.h", "sys/file.h", "sys/random.h", "sys/resource.h", "sys/socket.h", "sys/stat.h", "sys/types.h", "sys/uio.h",
    "sys/un.h", "sys/wait.h", "time.h", "unistd.h",
}  # fmt: skip

# Standard headers that cost every user compile time; a public header finds a way without them.
HEAVY = {"algorithm", "regex", "iostream", "ranges", "sstream", "fstream", "iomanip", "random", "filesystem"}

STANDARD = {
    "algorithm", "any", "array", "atomic", "barrier", "bit", "bitset", "cassert", "cctype", "cerrno", "cfenv",
    "cfloat", "charconv", "chrono", "cinttypes", "climits", "clocale", "cmath", "compare", "complex", "concepts",
    "condition_variable", "coroutine", "csetjmp", "csignal", "cstdarg", "cstddef", "cstdint", "cstdio", "cstdlib",
    "cstring", "ctime", "cuchar", "cwchar", "deque", "exception", "execution", "filesystem", "forward_list",
    "fstream", "functional", "future", "initializer_list", "iomanip", "ios", "iosfwd", "iostream", "istream",
    "iterator", "latch", "limits", "list", "locale", "map", "memory", "memory_resource", "mutex", "new", "numbers",
    "numeric", "optional", "ostream", "queue", "random", "ranges", "ratio", "regex", "scoped_allocator", "semaphore",
    "set", "shared_mutex", "source_location", "span", "sstream", "stack", "stdexcept", "stop_token", "streambuf",
    "string", "string_view", "system_error", "thread", "tuple", "type_traits", "typeindex", "typeinfo",
    "unordered_map", "unordered_set", "utility", "valarray", "variant", "vector", "version",
}  # fmt: skip


def check_own(name: str, target: str) -> str | None:
    """Why the file `name` may not include <mlflowha/target>; None when it may. Names are relative to mlflowha/."""
    room = name.split("/", 1)[0] if "/" in name else None
    other = target.split("/", 1)[0] if "/" in target else None
    if name in TOP:
        allowed = TOP[name]
        return None if allowed is None or target in allowed else "is not one of the few it may include"
    if target in LEAVES:
        return "an adapter is included by nobody"
    if name in LEAVES:
        return None
    if target in FREE:
        return None
    if target in TOP:
        return "the umbrella and impl/ are never included by the library's own code"
    if room not in ROOMS:
        return f"'{room}' is not a room (the table is in tests/lint/layering.py)"
    if other not in ROOMS:
        return f"'{other}' is not a room (the table is in tests/lint/layering.py)"
    if other != room and other not in ROOMS[room]:
        return f"room {room} may include {', '.join(sorted(ROOMS[room])) or 'no other room'}; {other} is not below it"
    if name.endswith(".hpp") and target.endswith(".ipp") and other != room:
        return "definitions are pulled in by their own room only"
    return None


def check_foreign(name: str, target: str) -> str | None:
    """Why the file `name` may not include the header <target>, which isn't ours; None when it may."""
    if name in LEAVES:
        return None
    public = name.endswith(".hpp")
    room = name.split("/", 1)[0] if "/" in name else ""
    if target in STANDARD:
        if public and target in HEAVY:
            return "too heavy for a public header: it belongs into the .ipp"
        return None
    if target in POSIX:
        return "a public header includes the standard library only" if public else None
    first = target.split("/", 1)[0]
    if first in (THIRD_PARTY_HPP if public else THIRD_PARTY_IPP).get(room, set()):
        return None
    if public:
        return "a public header includes the standard library only"
    return f"not among the libraries that {room or 'this file'} may use"


def check(include_dir: Path) -> list[str]:
    """Every violation under `include_dir` (the directory that holds mlflowha/), one line each."""
    faults = []
    base = include_dir / "mlflowha"
    files = sorted(p for p in base.rglob("*") if p.suffix in {".hpp", ".ipp", ".h"})
    if not files:
        faults.append(f"{base}: no headers found")
    for path in files:
        name = path.relative_to(base).as_posix()
        if "/" not in name and name not in TOP and name not in LEAVES:
            faults.append(f"mlflowha/{name}:1: a header outside of the rooms that tests/lint/layering.py doesn't know")
            continue
        for line, style, target in includes(path.read_text(encoding="utf-8")):
            where = f"mlflowha/{name}:{line}: #include <{target}>"
            if style == '"':
                faults.append(f"{where}: spelled with quotes; all includes are <...>")
            elif target.startswith("mlflowha/"):
                reason = check_own(name, target.removeprefix("mlflowha/"))
                if reason:
                    faults.append(f"{where}: {reason}")
                elif not (include_dir / target).is_file():
                    faults.append(f"{where}: no such file")
            else:
                reason = check_foreign(name, target)
                if reason:
                    faults.append(f"{where}: {reason}")
    return faults


def reachable(include_dir: Path, starts: list[str]) -> set[str]:
    """The files that including `starts` pulls in, as "mlflowha/..."; conditions are taken as true."""
    seen: set[str] = set()
    pending = list(starts)
    while pending:
        name = pending.pop()
        path = include_dir / name
        if name not in seen and path.is_file():
            seen.add(name)
            pending += [t for _, _, t in includes(path.read_text(encoding="utf-8")) if t.startswith("mlflowha/")]
    return seen


def check_complete(include_dir: Path) -> list[str]:
    """Definitions that one of the two targets would miss, which only a user's linker would tell."""
    base = include_dir / "mlflowha"
    names = [p.relative_to(include_dir).as_posix() for p in sorted(base.rglob("*")) if p.suffix in {".hpp", ".ipp"}]
    definitions = {name for name in names if name.endswith(".ipp")}
    public = [name for name in names if name.endswith(".hpp") and "/impl/" not in name]
    units = [name for name in names if name.endswith("impl/src.hpp")]
    return [
        f"{name}:1: no public header leads to it: missing in mlflowha::header_only"
        for name in sorted(definitions - reachable(include_dir, public))
    ] + [
        f"{name}:1: no impl/src.hpp leads to it: missing in the compiled library"
        for name in sorted(definitions - reachable(include_dir, units))
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--include", type=Path, default=ROOT / "include")
    include = parser.parse_args().include
    return report("layering", check(include) + check_complete(include))


if __name__ == "__main__":
    sys.exit(main())
