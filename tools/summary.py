#!/usr/bin/env python3
"""Sums up test results: the last line is `N passed, N failed`, with `, N skipped` where there were any.

Reads the JUnit files that `ctest --output-junit` writes. An entry that runs a Catch2 program, a unittest file or pytest
counts with as many tests as it reports; any other entry counts as one. A Catch2 test case that warns "skipped: ..." and
returns counts as skipped: Catch2 2 has no other way to say so. An entry that ctest calls failed counts at least one
failure, whatever it printed. `--step NAME=CODE` adds a step that isn't a ctest by its exit code.
Exits 1 when something failed, when a file is missing or when nothing was run.
"""

from __future__ import annotations

import argparse
import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

# How ctest words a test that didn't run by intent; anything else that didn't run is a failure.
_INTENDED = ("SKIP_RETURN_CODE", "SKIP_REGULAR_EXPRESSION", "Disabled")

_ALL_PASSED = re.compile(r"^All tests passed \(.*\bin (\d+) test cases?\)", re.MULTILINE)
_TEST_CASES = re.compile(r"^test cases:\s*\d+((?:\s*\|\s*\d+\s+[a-z ]+)+)", re.MULTILINE)
_UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n\n(?:OK|FAILED)(?: \((.*)\))?", re.MULTILINE)
_PYTEST = re.compile(r"^(?:=+ )?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s(?: \([\d:]+\))?(?: =+)?$", re.MULTILINE)
_PYTEST_WORDS = {"passed": 0, "xfailed": 0, "xpassed": 0, "failed": 1, "error": 1, "errors": 1, "skipped": 2}
_WARNED_SKIP = re.compile(r"^(\S+:\d+): warning:\n\s*skipped\b", re.MULTILINE)


@dataclass
class Totals:
    """Counted tests."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    names: list[str] = field(default_factory=list)  # of the entries that failed

    def line(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def count_output(output: str) -> tuple[int, int, int]:
    """(passed, failed, skipped) as the program itself reports them; zeros when it doesn't."""
    passed = failed = skipped = 0
    for match in _ALL_PASSED.finditer(output):
        passed += int(match.group(1))
    for match in _TEST_CASES.finditer(output):
        for number, word in re.findall(r"(\d+)\s+([a-z ]+?)\s*(?=\||$)", match.group(1)):
            if word == "passed":
                passed += int(number)
            elif word.startswith("failed"):  # "failed", "failed as expected"
                failed += int(number) if word == "failed" else 0
                passed += int(number) if word != "failed" else 0
            elif word == "skipped":
                skipped += int(number)
    for match in _UNITTEST.finditer(output):
        words = dict(re.findall(r"(\w+)=(\d+)", match.group(2) or ""))
        bad = int(words.get("failures", 0)) + int(words.get("errors", 0))
        skips = int(words.get("skipped", 0))
        passed += int(match.group(1)) - bad - skips
        failed += bad
        skipped += skips
    for match in _PYTEST.finditer(output):
        counts = [0, 0, 0]
        for number, word in re.findall(r"(\d+) ([a-z]+)", match.group(1)):
            if word in _PYTEST_WORDS:  # warnings and what was deselected are no results
                counts[_PYTEST_WORDS[word]] += int(number)
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    warned = min(passed, len(set(_WARNED_SKIP.findall(output))))  # by place: one test case may run several times
    passed, skipped = passed - warned, skipped + warned
    return passed, failed, skipped


def was_skipped(case: ElementTree.Element) -> bool:
    """Whether the entry itself, or its settings, asked for it not to run."""
    skipped = case.find("skipped")
    return skipped is not None and any(word in skipped.get("message", "") for word in _INTENDED)


def add_file(totals: Totals, path: Path) -> None:
    """Adds the entries of one JUnit file; a missing or broken file is a failure."""
    try:
        suite = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        print(f"summary: no results in {path}: {error}")
        totals.failed += 1
        totals.names.append(str(path))
        return
    for case in suite.iter("testcase"):
        status = case.get("status", "")
        passed, failed, skipped = count_output(case.findtext("system-out") or "")
        if status == "run":
            totals.passed += passed if passed + skipped else 1
            totals.skipped += skipped
        elif status == "disabled" or was_skipped(case):
            totals.skipped += 1
        else:
            totals.passed += passed
            totals.skipped += skipped
            totals.failed += max(failed, 1)
            totals.names.append(f"{case.get('name')} ({path})")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="JUnit files")
    parser.add_argument("--step", action="append", default=[], metavar="NAME=CODE")
    arguments = parser.parse_args()
    totals = Totals()
    for path in arguments.files:
        add_file(totals, path)
    for step in arguments.step:
        name, _, code = step.rpartition("=")
        if code == "0":
            totals.passed += 1
        elif code == "77":
            totals.skipped += 1
        else:
            totals.failed += 1
            totals.names.append(name)
    for name in totals.names:
        print(f"failed: {name}")
    print(totals.line())
    return 1 if totals.failed or not totals.passed else 0


if __name__ == "__main__":
    sys.exit(main())
