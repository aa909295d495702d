#!/usr/bin/env python3
"""Fails unless the contract suite has called every operation of the table on real MLflow servers, for each release that has
it: once for success and once for an error of the server's. What isn't simply the same again when it is sent twice must have
lost its answer there as well, once to a proxy ("dropped") and once to the death of the server ("killed").

    coverage.py RELEASE CALLS... [-- RELEASE CALLS...]
        RELEASE, e.g. 3.17, and what the suite's programs wrote to MLFLOWHA_CONTRACT_CALLS: "operation success", "... error",
        "... dropped", "... killed"

What can't be had stands in not_called.txt beside this file, for 2.x in not_called_2.txt, with the reason; an entry that has
become untrue fails too. Exit status 77 (skipped) when a part of the suite has not been run.
"""

from __future__ import annotations

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "src" / "codegen"))

from table import load  # noqa: E402

WHAT = ("success", "error", "dropped", "killed")
REPEATABLE = ("read", "same_again")  # the classes whose second sending changes nothing and gets the same answer


def wanted_of(operations, release: tuple[int, ...]) -> set[str]:
    """What is to be seen of a release. Of 3.x also the operations that it has no longer: they are asked for and refused."""
    wanted = set()
    for name, row in operations.items():
        if row.since > release or (release < (3,) and row.until != (0, 0) and row.until <= release):
            continue
        gone = row.until != (0, 0) and row.until <= release
        needs_both = row.idempotency not in REPEATABLE and not gone
        wanted |= {f"{name} {what}" for what in (WHAT if needs_both else WHAT[:2])}
    return wanted


def check(operations, release_text: str, paths: list[str]) -> list[str]:
    release = tuple(map(int, release_text.split(".")))
    calls = {line for path in paths for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines()}
    excuses = "not_called.txt" if release >= (3,) else "not_called_2.txt"
    excused: set[str] = set()
    for line in (HERE / excuses).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            operation, what, reason = (line.split(None, 2) + ["", ""])[:3]
            if what not in WHAT or not reason:
                return [f"{excuses}: expected `operation {'|'.join(WHAT)} reason`, found {line!r}"]
            excused.add(f"{operation} {what}")
    wanted = wanted_of(operations, release)
    faults = [f"never on {release_text}: {line}" for line in sorted(wanted - calls - excused)]
    faults += [f"{excuses} excuses what was seen: {line}" for line in sorted(excused & calls)]
    faults += [f"{excuses} excuses what nobody asks for: {line}" for line in sorted(excused - wanted)]
    if not faults:
        print(f"{release_text}: {len(wanted)} things to see, {len(excused)} excuses")
    return faults


def main() -> int:
    parts: list[list[str]] = [[]]
    for argument in sys.argv[1:]:
        if argument == "--":
            parts.append([])
        else:
            parts[-1].append(argument)
    for path in (pathlib.Path(one) for part in parts for one in part[1:]):
        if not path.exists():
            print(f"skipped: no {path.name}, that part of the suite was not run")
            return 77
    operations = load(HERE.parents[1] / "src" / "codegen" / "table").operations
    faults = [fault for part in parts for fault in check(operations, part[0], part[1:])]
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
