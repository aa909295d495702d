#!/usr/bin/env python3
"""Fails unless the contract suite has called every operation of the table on a real MLflow 3: once for success and once for
an error of the server's.

    coverage.py CALLS...     what the suite's programs wrote to MLFLOWHA_CONTRACT_CALLS: "operation success" or "... error"

What can't be called stands in not_called.txt beside this file, with the reason; an entry that has become untrue fails too.
Exit status 77 (skipped) when a part of the suite has not been run.
"""

from __future__ import annotations

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "src" / "codegen"))

from table import load  # noqa: E402


def main() -> int:
    calls: set[str] = set()
    for path in map(pathlib.Path, sys.argv[1:]):
        if not path.exists():
            print(f"skipped: no {path.name}, that part of the suite was not run")
            return 77
        calls.update(path.read_text(encoding="utf-8").splitlines())
    excused: set[str] = set()
    for line in (HERE / "not_called.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            operation, what, reason = (line.split(None, 2) + ["", ""])[:3]
            if what not in ("success", "error") or not reason:
                print(f"not_called.txt: expected `operation success|error reason`, found {line!r}")
                return 1
            excused.add(f"{operation} {what}")
    operations = load(HERE.parents[1] / "src" / "codegen" / "table").operations
    wanted = {f"{name} {what}" for name in operations for what in ("success", "error")}
    faults = [f"never called: {line}" for line in sorted(wanted - calls - excused)]
    faults += [f"not_called.txt excuses what was called: {line}" for line in sorted(excused & calls)]
    faults += [f"not_called.txt names no operation: {line}" for line in sorted(excused - wanted)]
    print("\n".join(faults) or f"{len(operations)} operations, {len(excused)} excuses")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
