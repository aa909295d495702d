#!/usr/bin/env python3
"""tools/summary.py decides what the gate says: each way a test can end is counted right."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from xml.sax.saxutils import escape

from cxx import ROOT


def case(name: str, status: str, output: str = "", inside: str = "") -> str:
    text = f"<system-out>{escape(output)}</system-out>"
    return f'<testcase name="{name}" classname="{name}" time="0" status="{status}">{inside}{text}</testcase>'


class Summary(unittest.TestCase):
    def summarise(self, *cases: str, steps: tuple[str, ...] = ()) -> tuple[int, str]:
        """(exit code, last line) of tools/summary.py over one file with these cases."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "junit.xml"
            path.write_text(f"<testsuite>{''.join(cases)}</testsuite>", encoding="utf-8")
            return self.call(str(path), *(word for step in steps for word in ("--step", step)))

    def call(self, *arguments: str) -> tuple[int, str]:
        command = [sys.executable, str(ROOT / "tools/summary.py"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.rstrip("\n").rsplit("\n", 1)[-1]

    def test_catch_cases_are_counted_one_by_one(self) -> None:
        two = "All tests passed (10 assertions in 1 test case)\n"
        three = "===\ntest cases:  7 |  5 passed | 2 failed\nassertions: 50 | 48 passed | 2 failed\n"
        self.assertEqual(self.summarise(case("a", "run", two), case("b", "fail", three)), (1, "6 passed, 2 failed"))

    def test_catch_3_skips_are_counted(self) -> None:
        output = "test cases: 5 | 4 passed | 1 skipped\nassertions: 9 | 9 passed\n"
        self.assertEqual(self.summarise(case("a", "run", output)), (0, "4 passed, 0 failed, 1 skipped"))

    def test_unittest_files_are_counted_one_by_one(self) -> None:
        output = "..F\n----\nRan 9 tests in 0.1s\n\nFAILED (failures=1, errors=1, skipped=2)\n"
        self.assertEqual(self.summarise(case("a", "fail", output)), (1, "5 passed, 2 failed, 2 skipped"))
        output = "----\nRan 9 tests in 0.1s\n\nOK\n"
        self.assertEqual(self.summarise(case("a", "run", output)), (0, "9 passed, 0 failed"))

    def test_pytest_is_counted_one_by_one(self) -> None:
        for words, wanted in (
            ("10 passed, 4 skipped in 12.34s", (0, "10 passed, 0 failed, 4 skipped")),
            ("6 skipped in 0.1s", (0, "3 passed, 0 failed, 6 skipped")),
            ("10 passed, 2 xfailed, 1 xpassed, 7 warnings in 301.20s (0:05:01)", (0, "13 passed, 0 failed")),
            ("==== 8 passed, 1 deselected in 0.50s ====", (0, "8 passed, 0 failed")),
        ):
            more = [case("b", "run", "3 passed in 0.2s\n")] if words.startswith("6") else []
            self.assertEqual(self.summarise(case("a", "run", f"....\n{words}\nall wheels passed\n"), *more), wanted)
        bad = "2 failed, 5 passed, 1 skipped, 1 error in 3.00s\n"
        self.assertEqual(self.summarise(case("a", "fail", bad)), (1, "5 passed, 3 failed, 1 skipped"))
        two = "5 passed, 1 skipped in 1.00s\n== another wheel\n6 passed in 1.00s\n"
        self.assertEqual(self.summarise(case("a", "run", two)), (0, "11 passed, 0 failed, 1 skipped"))

    def test_what_only_looks_like_pytest_counts_once(self) -> None:
        output = "waited for 3 servers in 2.5s\nthen 4 passed in 1.0s\n"
        self.assertEqual(self.summarise(case("a", "run", output)), (0, "1 passed, 0 failed"))

    def test_a_warning_says_that_a_catch_case_was_skipped(self) -> None:
        warning = "----\n../tests/disk_test.cpp:112: warning:\n  skipped: no disk here\n\n"
        end = "All tests passed (10 assertions in 4 test cases)\n"
        self.assertEqual(self.summarise(case("a", "run", warning + warning + end)), (0, "3 passed, 0 failed, 1 skipped"))
        other = warning.replace("112", "151")
        self.assertEqual(self.summarise(case("a", "run", warning + other + end)), (0, "2 passed, 0 failed, 2 skipped"))
        loud = "../tests/disk_test.cpp:112: warning:\n  a long story\n\n"
        self.assertEqual(self.summarise(case("a", "run", loud + end)), (0, "4 passed, 0 failed"))

    def test_a_crash_after_good_words_is_a_failure(self) -> None:
        output = "All tests passed (10 assertions in 4 test cases)\nSegmentation fault\n"
        self.assertEqual(self.summarise(case("a", "fail", output)), (1, "4 passed, 1 failed"))

    def test_what_could_not_run_is_a_failure_and_what_should_not_is_skipped(self) -> None:
        gone = case("a", "notrun", inside='<skipped message="Unable to find executable"/>')
        self.assertEqual(self.summarise(gone, case("b", "run")), (1, "1 passed, 1 failed"))
        meant = case("a", "notrun", inside='<skipped message="SKIP_RETURN_CODE=77"/>')
        self.assertEqual(self.summarise(meant, case("b", "run")), (0, "1 passed, 0 failed, 1 skipped"))
        off = case("a", "disabled", "Disabled")
        self.assertEqual(self.summarise(off, case("b", "run")), (0, "1 passed, 0 failed, 1 skipped"))

    def test_steps_count_by_exit_code(self) -> None:
        steps = ("tidy=0", "compilers=2", "other=77")
        self.assertEqual(self.summarise(case("a", "run"), steps=steps), (1, "2 passed, 1 failed, 1 skipped"))

    def test_nothing_run_is_no_success(self) -> None:
        self.assertEqual(self.summarise(), (1, "0 passed, 0 failed"))
        self.assertEqual(self.call("nonexistent.xml"), (1, "0 passed, 1 failed"))


if __name__ == "__main__":
    unittest.main()
