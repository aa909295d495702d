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
