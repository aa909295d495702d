#!/usr/bin/env python3
"""What may not be in the tree: paths and hosts of somebody's machine, files that outgrew one idea, left-over markers."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from cxx import ROOT, report, tracked

MAX_LINES = 600
SOURCES = {".hpp", ".ipp", ".cpp", ".py", ".sh"}
GENERATED = re.compile(r"\bgenerated (?:by|from)\b", re.IGNORECASE)

# Written so that this file doesn't match itself.
PATHS = re.compile(r"(?<![\w.~$}])/(?:roo[t]|hom[e]/\w+|wor[k]|far[m]|Users/\w+|tm[p]/(?:bg|wt))/")
HOSTS = re.compile(r"https?://(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d[\d.]*[:/]|index-url\s*=|deb\.debian\.org")
MARKERS = re.compile(r"\b(?:TOD[O]|FIXM[E]|XX[X])\b")
TEST_CASE = re.compile(r"^\s*(?:TEMPLATE_)?(?:TEST_CASE|SCENARIO)\w*\(", re.MULTILINE)


def check_text(name: str, text: str) -> list[str]:
    """The violations in one file, one line each."""
    faults = []
    suffix = Path(name).suffix
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, why in (
            (PATHS, "an absolute path of one machine"),
            (HOSTS, "a host of one network"),
            (MARKERS, "a left-over marker: do it, or write an issue"),
        ):
            match = pattern.search(line)
            if match:
                faults.append(f"{name}:{number}: '{match.group(0)}': {why}")
    lines = text.count("\n")
    if suffix in SOURCES and lines > MAX_LINES and not GENERATED.search(text[:1500]):
        faults.append(f"{name}:{lines}: more than {MAX_LINES} lines: split it")
    if name.startswith("tests/") and suffix == ".cpp" and not name.endswith("_test.cpp") and TEST_CASE.search(text):
        faults.append(f"{name}:1: test cases in a file that isn't named *_test.cpp are never run by ctest")
    if suffix in {".hpp", ".ipp"} and name.startswith("include/"):
        faults += check_opening(name, text)
    return faults


def check_opening(name: str, text: str) -> list[str]:
    """A header opens with its include guard and a paragraph that says what it is."""
    guard = re.sub(r"[^A-Za-z0-9]", "_", name.removeprefix("include/")).upper()
    lines = text.splitlines()
    if lines[:2] != [f"#ifndef {guard}", f"#define {guard}"]:
        return [f"{name}:1: starts with '#ifndef {guard}' and its #define"]
    body = [line for line in lines[2:8] if line.strip()]
    if name.endswith(".hpp") and not (body and body[0].startswith("//")):
        return [f"{name}:3: a header opens with a paragraph: what this is and who uses it"]
    return []


def check(root: Path) -> list[str]:
    """The violations in the files of the tree at `root`."""
    files = tracked(root)
    faults = [] if files else [f"{root}: no files found"]
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image or a fuzz corpus entry
        name = path.relative_to(root).as_posix()
        if not name.startswith("tests/fuzz/corpus/"):
            faults += check_text(name, text)
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT)
    return report("tree", check(parser.parse_args().root))


if __name__ == "__main__":
    sys.exit(main())
