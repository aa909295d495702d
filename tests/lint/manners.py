#!/usr/bin/env python3
"""A library is a guest: it doesn't print, end the process, touch signals or start a process of its own. And it compiles
without a warning wherever it is built.

Reads the sources without comments and strings, so that a name inside an error message is no fault. The command-line
tool, the examples and the tests may do all of this and aren't read.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from cxx import ROOT, code_only, report

# (pattern, what it does). A name after `.` or `->` or another namespace is somebody else's.
_CALL = r"(?<![\w.:>])(?:std::|::)?"
FORBIDDEN: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"\bstd::(?:cout|cerr|clog|wcout|wcerr|wclog)\b"), "writes to the host's stdout or stderr"),
    (re.compile(_CALL + r"(?:printf|vprintf|puts|putchar|perror)\s*\("), "writes to the host's stdout or stderr"),
    (re.compile(r"\b(?:stdout|stderr)\b"), "touches the host's stdout or stderr"),
    (re.compile(r"\bfmt::(?:print|println)\s*\("), "writes to the host's stdout"),
    (re.compile(_CALL + r"(?:abort|exit|_exit|_Exit|quick_exit|terminate)\s*\("), "ends the host's process"),
    (re.compile(_CALL + r"(?:signal|sigaction|sigprocmask|pthread_sigmask)\s*\("), "touches the host's signals"),
    (re.compile(_CALL + r"(?:system|popen|fork|vfork|execvp?e?|posix_spawnp?)\s*\("), "starts a process"),
    (re.compile(_CALL + r"(?:setenv|putenv|unsetenv|setlocale)\s*\("), "changes the host's environment"),
    (re.compile(r"\bcurl_global_cleanup\s*\("), "breaks libcurl for the rest of the host"),
    (re.compile(r"[.>]detach\s*\(\s*\)"), "leaves a thread behind"),
    # libstdc++ makes them with std::get_temporary_buffer, which is deprecated: clang warns of it in the user's unit.
    (re.compile(r"\bstd::(?:ranges::)?(?:stable_sort|stable_partition|inplace_merge)\s*\("), "warns under clang"),
    (re.compile(_CALL + r"(?:rand|srand|gethostbyname|strtok|localtime|gmtime)\s*\("), "isn't safe with threads"),
]

# (file, name): the one place where each is right.
ALLOWED = {
    # Without exceptions there is no other way to refuse to hand out a value that isn't there.
    ("include/mlflowha/core/impl/error.ipp", "std::terminate("),
    # Blocks SIGPIPE for the calling thread during a call and puts the mask back: so that TLS can't raise it.
    ("include/mlflowha/http/impl/sigpipe_guard.ipp", "pthread_sigmask("),
}


def check_text(name: str, source: str) -> list[str]:
    """The violations in one file, one line each."""
    faults = []
    code = code_only(source)
    for pattern, why in FORBIDDEN:
        for match in pattern.finditer(code):
            if (name, match.group(0)) in ALLOWED:
                continue
            line = code.count("\n", 0, match.start()) + 1
            faults.append(f"{name}:{line}: {match.group(0).strip()}: {why}")
    return sorted(faults)


def check(root: Path) -> list[str]:
    """The violations in the library's own sources below `root`."""
    files = sorted((root / "include").rglob("*.?pp")) + sorted((root / "src").glob("*.cpp"))
    files = [f for f in files if f.is_file()]
    if not files:
        return [f"{root}: no sources found"]
    return [fault for f in files for fault in check_text(f.relative_to(root).as_posix(), f.read_text("utf-8"))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT)
    return report("manners", check(parser.parse_args().root))


if __name__ == "__main__":
    sys.exit(main())
