#!/usr/bin/env python3
"""tests/support/seeding.py says whether a suite finds bugs: each way an answer can mislead is told apart."""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path

from cxx import ROOT

sys.path.insert(0, str(ROOT / "tests/support"))
import seeding  # noqa: E402
from seeding import Answer, Bug  # noqa: E402

THERE = "nothing acknowledged is lost and nothing happens twice, wherever a process is killed"


def bug(test: str = "", hangs: bool = False) -> Bug:
    return Bug("it breaks", "include/x.hpp", "a", "b", test, hangs)


class Verdicts(unittest.TestCase):
    def test_red_is_caught_and_green_is_not(self) -> None:
        self.assertEqual(seeding.verdict(bug(), Answer(False, "CHECK( lost == 0 )")), "")
        self.assertEqual(seeding.verdict(bug(), Answer(True, "")), "NOT CAUGHT")

    def test_a_skipped_test_can_not_be_asked(self) -> None:
        self.assertEqual(seeding.verdict(bug(), Answer(True, "", skipped="no disk")), "")

    def test_no_answer_counts_only_where_it_is_the_answer(self) -> None:
        self.assertIn("NO ANSWER", seeding.verdict(bug(), Answer(False, "never ends", ended=False)))
        self.assertEqual(seeding.verdict(bug(hangs=True), Answer(False, "never ends", ended=False)), "")


class Lists(unittest.TestCase):
    def test_a_test_case_that_is_not_there_is_named(self) -> None:
        self.assertEqual(seeding.unknown_tests([bug(THERE), bug()]), [])
        (fault,) = seeding.unknown_tests([bug(THERE), bug("nothing acknowledged is lost")])
        self.assertIn("bug 2", fault)

    def test_catch_3_is_linked_where_it_is_found(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            compiler = ["g++", "-nostdinc", "-I", folder]
            self.assertEqual(seeding.catch_library(compiler, Path(folder)), [])
            (Path(folder) / "catch2").mkdir()
            (Path(folder) / "catch2/catch_all.hpp").write_text("", encoding="utf-8")
            self.assertEqual(seeding.catch_library(compiler, Path(folder)), ["-lCatch2"])


if __name__ == "__main__":
    unittest.main()
