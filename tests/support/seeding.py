"""What the scripts with seeded bugs share: putting bugs into a copy of the library's text, and asking a suite about each.

A test that can't fail proves nothing. Each bug changes a line of the library so that it breaks a promise; the changes go
into a copy, all of them at once, each behind a number that a variable of the environment chooses when the program starts,
so that one build serves all. The suite must be green with number 0 and red with every other one.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]

CHOICE = """#ifndef MLFLOWHA_SEEDED_BUGS
#define MLFLOWHA_SEEDED_BUGS
#include <cstdlib>
inline int seeded_bug() {
  static const int number = std::getenv("SEEDED_BUG") != nullptr ? std::atoi(std::getenv("SEEDED_BUG")) : 0;
  return number;
}
#endif
"""


class Bug(NamedTuple):
    what: str  # it breaks
    file: str
    old: str  # must be in the file once
    new: str  # takes its place; BUG is true in it when the bug is chosen
    test: str = ""  # the test case that must find it, where a suite asks one for each
    hangs: bool = False  # the test case finds it by never ending, so that its time limit is the answer


class Answer(NamedTuple):
    green: bool
    said: str  # the first complaint
    ended: bool = True  # False: it was stopped at its time limit, and may only have been slow
    skipped: str = ""  # why the test case could not run on this machine


def verdict(bug: Bug, answer: Answer) -> str:
    """What is wrong with the answer to a bug; "" when the bug was caught, or can't be asked about."""
    if not answer.ended:
        return "" if bug.hangs else f"NO ANSWER within the time limit: {answer.said[:120]}"
    return "NOT CAUGHT" if answer.green and not answer.skipped else ""


def plant(copy: pathlib.Path, bugs: Sequence[Bug]) -> list[str]:
    """Puts all bugs into the copy; returns what is wrong with the list."""
    faults = unknown_tests(bugs)
    for number, bug in enumerate(bugs, 1):
        path = copy / bug.file
        text = path.read_text(encoding="utf-8")
        if text.count(bug.old) != 1:
            times = text.count(bug.old)
            faults.append(f"bug {number} ({bug.what}): its text is {times} times in {bug.file}, expected once")
            continue
        new = re.sub(r"\bBUG\b", f"(::seeded_bug() == {number})", bug.new)
        path.write_text(text.replace(bug.old, new), encoding="utf-8")
    return faults


def compile_all(
    copy: pathlib.Path,
    sources: Sequence[pathlib.Path],
    flags: Sequence[str],
    program: str,
    archives: Sequence[pathlib.Path] = (),
) -> pathlib.Path:
    """Compiles the sources, as many at once as there are processors, and links them. CXX and LDFLAGS are heeded. `flags`
    come before the include directories."""
    (copy / "seeded_bug.hpp").write_text(CHOICE, encoding="utf-8")
    ldflags = os.environ.get("LDFLAGS", "").split()
    compiler = [*os.environ.get("CXX", "g++").split(), "-std=c++20", "-O1", "-include", str(copy / "seeded_bug.hpp")]
    compiler += [*flags, "-I", str(copy / "include"), "-I", str(ROOT / "tests")]
    objects = [copy / (str(source.relative_to(ROOT)).replace("/", "-") + ".o") for source in sources]

    def compile_one(source: pathlib.Path, out: pathlib.Path) -> None:
        subprocess.run([*compiler, "-c", str(source), "-o", str(out)], check=True)

    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(compile_one, sources, objects))  # raises what one of them has raised
    libraries = [*map(str, archives), *catch_library([*compiler, *ldflags], copy), "-lsqlite3", "-lcrypto", "-lcurl", "-lfmt", "-lz", "-lpthread"]
    out = copy / program
    subprocess.run(
        [*compiler, *map(str, objects), "-o", str(out), *ldflags, *libraries], check=True
    )
    return out


def catch_library(compiler: Sequence[str], scratch: pathlib.Path) -> list[str]:
    """What to link for Catch2: 3 has a library, 2 is a header."""
    source = scratch / "has_catch.cpp"
    source.write_text('#if !__has_include(<catch2/catch_all.hpp>)\n#error "no Catch2 3"\n#endif\n', encoding="utf-8")
    done = subprocess.run([*compiler, "-fsyntax-only", str(source)], capture_output=True, check=False)
    return ["-lCatch2"] if done.returncode == 0 else []


def unknown_tests(bugs: Sequence[Bug]) -> list[str]:
    """Bugs whose test case isn't there. A filter that finds nothing is an error for Catch2 3: "caught", without a test."""
    known: set[str] = set()
    for path in (ROOT / "tests").rglob("*_test.cpp"):
        for words in re.findall(r'\bTEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', path.read_text(encoding="utf-8")):
            known.add("".join(re.findall(r'"((?:[^"\\]|\\.)*)"', words)))
    return [
        f"bug {number} ({bug.what}): there is no test case {bug.test!r}"
        for number, bug in enumerate(bugs, 1)
        if bug.test and bug.test not in known
    ]


def main(
    bugs: Sequence[Bug],
    build: Callable[[pathlib.Path, pathlib.Path | None], pathlib.Path],
    run: Callable[[pathlib.Path, int], Answer],
) -> int:
    """The command line of such a script. `build` makes the program in the copy, perhaps with
    libraries from a build tree; `run` asks it about one bug, or about
    none (0)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="numbers of bugs (from 1)")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="work in DIR and leave it")
    parser.add_argument("--check", action="store_true", help="build nothing: only whether each bug can be put in")
    parser.add_argument("--build", type=pathlib.Path, metavar="DIR", help="a build tree with what has no bugs in it")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="seeded-bugs-") as scratch:
        copy = arguments.keep or pathlib.Path(scratch)
        shutil.copytree(ROOT / "include", copy / "include", dirs_exist_ok=True)
        faults = plant(copy, bugs)
        if faults:
            print("\n".join(faults), file=sys.stderr)
            return 2
        if arguments.check:
            return 0
        began = time.monotonic()
        program = build(copy, arguments.build)
        print(f"built in {time.monotonic() - began:.0f} s", flush=True)
        clean = run(program, 0)
        if not clean.green:
            print(f"red without any bug: {clean.said}")
            return 1
        missed = skipped = 0
        for number in arguments.only or range(1, len(bugs) + 1):
            bug = bugs[number - 1]
            answer = run(program, number)
            wrong = verdict(bug, answer)
            missed += bool(wrong)
            said = answer.said[:160]
            if answer.green and answer.skipped:
                skipped += 1
                said = f"can't be asked here: {answer.skipped}"
            print(f"| {number} | {bug.what} | {wrong or said} |", flush=True)
        print((f"{missed} not caught" if missed else "each caught") + (f", {skipped} can't be asked here" if skipped else ""))
        return 1 if missed else 0
