#!/usr/bin/env python3
"""clang-format over every C++ file of the project: checks, or rewrites with --fix. Exits 77 without the right version."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cxx import ROOT, report, tracked

VERSION = "19"  # the layout differs between major versions, so one is pinned
SKIPPED = 77


def find_tool() -> str | None:
    """clang-format of the pinned version, or None."""
    for name in (f"clang-format-{VERSION}", "clang-format"):
        tool = shutil.which(name)
        if tool:
            shown = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout
            found = re.search(r"version (\d+)", shown)
            if found and found.group(1) == VERSION:
                return tool
    return None


def check(root: Path, tool: str, files: list[Path]) -> list[str]:
    """The files that clang-format would change, with the first place in each."""
    run = subprocess.run(
        [tool, "--dry-run", "--Werror", "--style=file", *map(str, files)], capture_output=True, text=True, check=False
    )
    first: dict[str, str] = {}
    for match in re.finditer(r"^(.+?):(\d+):\d+: error: code should be clang-formatted", run.stderr, re.MULTILINE):
        name = Path(match.group(1)).relative_to(root).as_posix()
        first.setdefault(name, f"{name}:{match.group(2)}: not formatted: `make format`")
    if run.returncode != 0 and not first:
        return [f"{tool} failed: {run.stderr.strip()[:500]}"]
    return list(first.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--fix", action="store_true", help="rewrite the files")
    arguments = parser.parse_args()
    tool = find_tool()
    if tool is None:
        print(f"clang-format {VERSION} is not installed: the layout is not checked")
        return SKIPPED
    files = tracked(arguments.root, ".hpp", ".ipp", ".cpp")
    if arguments.fix:
        return subprocess.run([tool, "-i", "--style=file", *map(str, files)], check=False).returncode
    return report("format", check(arguments.root, tool, files))


if __name__ == "__main__":
    sys.exit(main())
