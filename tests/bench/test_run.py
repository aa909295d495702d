"""The frame of the benchmarks: what one group does must not cost the others' figures, nor leave old ones in the report."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
import run  # noqa: E402
from figures import Bench, BenchError, Figure, Side  # noqa: E402


def raises(error: BaseException) -> Callable[[Bench], list[Figure]]:
    def group(_bench: Bench) -> list[Figure]:
        raise error

    return group


class Frame(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.report = self.folder / "report.json"
        self.bench = Bench(self.folder, self.folder, "g++", self.folder / "demo.json")

    def measure(self, **groups: Callable[[Bench], list[Figure]]) -> tuple[list[Figure], list[str]]:
        with contextlib.redirect_stdout(io.StringIO()):
            return run.measure(self.bench, groups, self.report, {"cpu": "x"})

    def written(self) -> dict[str, Any]:
        return dict(json.loads(self.report.read_text(encoding="utf-8")))

    def test_a_group_that_fails_costs_its_own_figures_only(self) -> None:
        good = Figure("good", "", 1, "ms", 2)
        for error, said in (
            (BenchError("no program"), "bad: no program"),
            (subprocess.CalledProcessError(3, ["x"], stderr="Traceback\nwhat it was"), "what it was"),
            (subprocess.TimeoutExpired(["x"], 5, stderr=b"half"), "half"),
            (BrokenPipeError("gone"), "bad: BrokenPipeError: gone"),
            (SystemExit("no such thing"), "bad: SystemExit: no such thing"),
            (KeyError("value"), "bad: KeyError: 'value'"),
        ):
            figures, broken = self.measure(first=lambda _: [good], bad=raises(error), last=lambda _: [good])
            self.assertEqual((len(figures), len(broken)), (2, 1), error)
            self.assertIn(said, broken[0])
            self.assertTrue(broken[0].startswith("bad: "))
            self.assertEqual((len(self.written()["figures"]), self.written()["broken"]), (2, broken))

    def test_the_report_is_written_after_each_group(self) -> None:
        seen = []

        def look(_bench: Bench) -> list[Figure]:
            seen.append([figure["id"] for figure in self.written()["figures"]])
            return []

        self.measure(first=lambda _: [Figure("a", "", 1, "", 2)], second=look)
        self.assertEqual(seen, [["a"]])

    def test_who_interrupts_is_heard(self) -> None:
        with self.assertRaises(KeyboardInterrupt):
            self.measure(first=raises(KeyboardInterrupt()))


class OfTheDemo(unittest.TestCase):
    """Its figures come from the report of `make demo`, which may be an old one."""

    REPORT = {
        "commit": "1a2b3c4", "date": "2026-01-01T00:00:00+00:00", "backend": "sqlite", "lost": 0, "duplicated": 0,
        "failed_calls": 0, "runs_asked": 101, "runs_stored": 101, "longest_call_ms_with_a_healthy_server": 2100.0,
        "attempt_timeout_ms": 2000.0,
        "second_act": {"lost": 0, "duplicated": 0, "out_of_order": 0, "invented": 0, "runs_asked": 6, "runs_stored": 6},
    }  # fmt: skip

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.report = Path(folder.name) / "report.json"
        self.bench = Bench(Path(folder.name), Path(folder.name), "g++", self.report)

    def figures(self, report: str | None, here: str) -> list[Figure]:
        if report is not None:
            self.report.write_text(report, encoding="utf-8")
        with mock.patch.object(run.source_state, "commit", return_value=here):
            return run.group_demo(self.bench)

    def test_the_report_of_this_commit_counts(self) -> None:
        figures = self.figures(json.dumps(self.REPORT), "1a2b3c4")
        self.assertEqual([figure.holds for figure in figures], [True] * 8)
        self.assertEqual(figures[0].detail["backend"], "sqlite")
        lost = {**self.REPORT, "second_act": {**self.REPORT["second_act"], "lost": 1}}  # type: ignore[dict-item]
        holds = {figure.id: figure.holds for figure in self.figures(json.dumps(lost), "1a2b3c4")}
        self.assertIs(holds["demo_spool_lost"], False)

    def test_any_other_is_not_measured(self) -> None:
        dirty = {**self.REPORT, "commit": "1a2b3c4-dirty"}
        for report, here, why in (
            (None, "1a2b3c4", "no "),
            ("half a rep", "1a2b3c4", "can't be read"),
            (json.dumps(self.REPORT), "5d6e7f8", "is of 1a2b3c4, not of 5d6e7f8"),
            (json.dumps(self.REPORT), "1a2b3c4-dirty", "is of 1a2b3c4"),
            (json.dumps(dirty), "1a2b3c4-dirty", "may have been anything"),
            (json.dumps({**self.REPORT, "commit": ""}), "", "may have been anything"),
            (json.dumps({"lost": 0}), "1a2b3c4", "an unknown commit"),
        ):
            figures = self.figures(report, here)
            self.assertEqual([figure.holds for figure in figures], [None] * 8, why)
            self.assertIn(why, figures[0].note)

    def test_the_demo_is_run_where_there_is_none(self) -> None:
        self.bench.with_demo = True

        def make(command: list[str], **more: object) -> None:
            self.assertEqual((command, more["check"]), (["make", "demo"], True))
            self.report.write_text(json.dumps({**self.REPORT, "commit": "1a2b3c4-dirty"}), encoding="utf-8")

        with mock.patch.object(run.subprocess, "run", make):
            self.assertEqual([figure.holds for figure in self.figures(None, "1a2b3c4-dirty")], [True] * 8)
        with mock.patch.object(run.subprocess, "run", side_effect=AssertionError("not again")):
            self.assertEqual(len(self.figures(json.dumps(self.REPORT), "1a2b3c4")), 8)


class Sides(unittest.TestCase):
    def side(self, script: str) -> Side:
        side = Side([sys.executable, "-c", script])
        self.addCleanup(lambda: (side.close(), [f.close() for f in (side.process.stdin, side.process.stdout) if f]))
        return side

    def test_a_side_answers(self) -> None:
        self.assertEqual(self.side("input(); print('{\"a\": 1}')").block("x", 2), {"a": 1})

    def test_a_side_that_says_nothing_is_given_up(self) -> None:
        before = time.monotonic()
        with self.assertRaisesRegex(BenchError, "didn't answer within 0.3 s"):
            self.side("import time; time.sleep(60)").read(0.3)
        self.assertLess(time.monotonic() - before, 20)

    def test_a_side_that_has_ended_is_named(self) -> None:
        side = self.side("raise SystemExit(3)")
        side.process.wait()
        with self.assertRaisesRegex(BenchError, "ended early with 3"):
            side.block("x" * 100000)


if __name__ == "__main__":
    unittest.main()
