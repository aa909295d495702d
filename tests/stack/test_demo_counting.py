"""What the failover demo counts must be able to come out bad: each fault planted in a small database is found."""

from __future__ import annotations

import importlib.util
import json
import math
import sqlite3
import sys
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "failover"))
import counting  # noqa: E402
import demo  # noqa: E402
import durable_counting  # noqa: E402
import faults  # noqa: E402
import schedule as schedules  # noqa: E402
import screen  # noqa: E402
import second_act  # noqa: E402
import story as stories  # noqa: E402
import workload  # noqa: E402
from faults import covered  # noqa: E402

_chaos = importlib.util.spec_from_file_location("chaos", ROOT / "tests/chaos/run.py")
assert _chaos is not None and _chaos.loader is not None
chaos = importlib.util.module_from_spec(_chaos)
_chaos.loader.exec_module(chaos)

SCHEMA = """
CREATE TABLE experiments (experiment_id INTEGER, name TEXT);
CREATE TABLE runs (run_uuid TEXT, experiment_id INTEGER, status TEXT, lifecycle_stage TEXT);
CREATE TABLE metrics (run_uuid TEXT, key TEXT, value FLOAT, timestamp INTEGER, step INTEGER);
CREATE TABLE params (run_uuid TEXT, key TEXT, value TEXT);
CREATE TABLE tags (run_uuid TEXT, key TEXT, value TEXT);
INSERT INTO experiments VALUES (1, 'sweep'), (2, 'another');
"""


class Counting(unittest.TestCase):
    def setUp(self) -> None:
        self.database = sqlite3.connect(":memory:")
        self.addCleanup(self.database.close)
        self.database.executescript(SCHEMA)
        self.acknowledged = counting.Acknowledged()
        for run, trial in (("parent", workload.PARENT_TRIAL), ("a", 0), ("b", 1)):
            self.insert("runs", run, 1, "FINISHED", "active")
            self.acknowledged.add("create_run", run, trial, 0, 0)
            self.acknowledged.add("set_terminated", run, trial, 0, 0)
            for step in range(20 if trial >= 0 else 0):
                self.insert("metrics", run, workload.METRIC, workload.point_value(trial, step), 1000, step)
                self.acknowledged.add("log_metric", run, trial, step, 1)
            for number in range(workload.PARAMS if trial >= 0 else 0):
                self.insert("params", run, workload.param_key(number), workload.text_value(trial, number))
                self.insert("tags", run, workload.tag_key(number), workload.text_value(trial, number))
                self.acknowledged.add("log_param", run, trial, number, 1)
                self.acknowledged.add("set_tag", run, trial, number, 1)
        self.insert("runs", "elsewhere", 2, "RUNNING", "active")

    def insert(self, table: str, *values: object) -> None:
        self.database.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(values))})", values)

    def count(self) -> counting.Counts:
        def query(sql: str) -> list[list[str]]:
            return [[str(value) for value in row] for row in self.database.execute(sql)]

        return counting.count(query, "sweep", self.acknowledged, 3)

    def test_all_is_well(self) -> None:
        counts = self.count()
        self.assertEqual((counts.acknowledged, counts.stored), (63, 63))
        self.assertEqual((counts.lost, counts.duplicated, counts.runs_stored, counts.runs_deleted), (0, 0, 3, 0))

    def test_what_is_missing_is_lost(self) -> None:
        for sql in (
            "DELETE FROM metrics WHERE run_uuid = 'a' AND step = 7",
            "DELETE FROM params WHERE run_uuid = 'a' AND key = 'param0'",
            "DELETE FROM tags WHERE run_uuid = 'b' AND key = 'tag4'",
            "UPDATE runs SET status = 'RUNNING' WHERE run_uuid = 'b'",
        ):
            before = self.count()
            self.database.execute(sql)
            after = self.count()
            self.assertEqual((after.lost, after.stored), (before.lost + 1, before.stored - 1), sql)

    def test_a_wrong_value_is_lost(self) -> None:
        self.database.execute("UPDATE metrics SET value = value + 1 WHERE run_uuid = 'a' AND step = 7")
        self.database.execute("UPDATE tags SET value = 'x' WHERE run_uuid = 'a' AND key = 'tag0'")
        self.assertEqual(self.count().lost, 2)

    def test_a_deleted_run_takes_its_records_with_it(self) -> None:
        self.database.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = 'b'")
        counts = self.count()
        self.assertEqual(counts.lost, 20 + 5 + 5 + 1 + 1)
        self.assertEqual(counts.runs_stored, 2)

    def test_a_second_row_is_a_duplicate(self) -> None:
        self.insert("metrics", "a", workload.METRIC, workload.point_value(0, 7), 1001, 7)
        self.assertEqual((self.count().duplicated, self.count().lost), (1, 0))

    def test_a_twin_counts_until_it_is_removed(self) -> None:
        self.insert("runs", "twin", 1, "RUNNING", "active")
        self.assertEqual(self.count().runs_stored, 4)
        self.database.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = 'twin'")
        self.assertEqual((self.count().runs_stored, self.count().runs_deleted), (3, 1))


class DurableCounting(unittest.TestCase):
    """Two runs: "a" was ended, "b" was killed within its second burst of ten points."""

    def setUp(self) -> None:
        self.database = sqlite3.connect(":memory:")
        self.addCleanup(self.database.close)
        self.database.executescript(SCHEMA + "ALTER TABLE runs ADD COLUMN name TEXT;")
        self.told = {name: durable_counting.Told(number) for number, name in enumerate("ab", 1)}
        for name, run in self.told.items():
            run.started, run.params = True, 2
            run.trying(20, 2)
            run.logged(20 if name == "a" else 10, 2 if name == "a" else 1)
            run.ended = name == "a"
            self.insert("runs", f"id-{name}", 1, "FINISHED" if run.ended else "RUNNING", "active", name)
            for step in range(15):  # of "b" more than was acknowledged
                self.point(name, step)
            for number in range(2):
                self.insert("params", f"id-{name}", f"param{number}", f"{name}-{number}")
            self.insert("tags", f"id-{name}", durable_counting.NOTE, str(run.note))
        for step in range(15, 20):
            self.point("a", step)
        self.insert("runs", "elsewhere", 2, "RUNNING", "active", "elsewhere")

    def insert(self, table: str, *values: object) -> None:
        self.database.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(values))})", values)

    def point(self, name: str, step: int, at: int = 1000) -> None:
        value = durable_counting.point_value(self.told[name].number, step)
        self.insert("metrics", f"id-{name}", durable_counting.METRIC, value, at, step)

    def count(self) -> durable_counting.Counts:
        def query(sql: str) -> list[list[str]]:
            return [[str(value) for value in row] for row in self.database.execute(sql)]

        return durable_counting.count(query, "sweep", self.told, True)

    def changed(self, sql: str) -> dict[str, int]:
        """What a change of the database does to the figures."""
        before = self.count()
        self.database.execute("SAVEPOINT well")
        self.database.execute(sql)
        after = self.count()
        self.database.execute("ROLLBACK TO well")
        pairs = ((key, getattr(before, key), getattr(after, key)) for key in before.__dataclass_fields__)
        return {key: new - old for key, old, new in pairs if new != old}

    def test_all_is_well(self) -> None:
        counts = self.count()
        self.assertEqual((counts.acknowledged, counts.stored), (24 + 13, 24 + 18))
        self.assertEqual((counts.lost, counts.duplicated, counts.invented, counts.out_of_order), (0, 0, 0, 0))
        self.assertEqual((counts.runs_asked, counts.runs_stored), (2, 2))

    def test_what_is_missing_is_lost_if_it_was_acknowledged(self) -> None:
        for sql in (
            "DELETE FROM metrics WHERE run_uuid = 'id-b' AND step = 9",
            "DELETE FROM params WHERE run_uuid = 'id-b' AND key = 'param0'",
            "DELETE FROM tags WHERE run_uuid = 'id-b'",
            "UPDATE runs SET status = 'RUNNING' WHERE name = 'a'",
        ):
            self.assertEqual(self.changed(sql), {"stored": -1, "lost": 1}, sql)
        self.assertEqual(self.changed("DELETE FROM metrics WHERE run_uuid = 'id-b' AND step = 10"), {"stored": -1})
        gone = self.changed("UPDATE runs SET lifecycle_stage = 'deleted' WHERE name = 'b'")
        self.assertEqual(gone, {"stored": -18, "lost": 14, "runs_stored": -1})

    def test_what_nobody_logged_is_invented(self) -> None:
        for sql in (
            "INSERT INTO metrics SELECT 'id-b', 'another', value, 1, step FROM metrics WHERE run_uuid = 'id-b' AND step = 0",
            "INSERT INTO metrics VALUES ('id-b', 'loss', 20000020, 1, 20)",
            "INSERT INTO params VALUES ('id-b', 'param2', 'a-2')",
            "UPDATE tags SET value = '3' WHERE run_uuid = 'id-b'",
        ):
            self.assertEqual(self.changed(sql), {"invented": 1}, sql)
        self.assertEqual(self.changed("UPDATE metrics SET value = 1 WHERE run_uuid = 'id-b' AND step = 3"),
                         {"stored": -1, "lost": 1, "invented": 1})  # fmt: skip
        run = "INSERT INTO runs VALUES ('x', 1, 'RUNNING', 'active', 'x')"
        self.assertEqual(self.changed(run), {"invented": 1, "runs_stored": 1})

    def test_what_is_there_twice_is_a_duplicate(self) -> None:
        again = "INSERT INTO metrics SELECT run_uuid, key, value, 2, step FROM metrics WHERE run_uuid = 'id-a' AND step = 19"
        self.assertEqual(self.changed(again), {"duplicated": 1})
        twin = "INSERT INTO runs VALUES ('twin', 1, 'RUNNING', 'active', 'b')"
        self.assertEqual(self.changed(twin), {"duplicated": 1, "runs_stored": 1})

    def test_older_after_newer_is_out_of_order(self) -> None:
        self.assertEqual(self.changed("UPDATE tags SET value = '1' WHERE run_uuid = 'id-a'"), {"out_of_order": 1})
        swapped = "UPDATE metrics SET rowid = 1000 WHERE run_uuid = 'id-a' AND step = 4"
        self.assertEqual(self.changed(swapped), {"out_of_order": 1})


class Plan(unittest.TestCase):
    def test_a_trial_is_what_the_readme_says(self) -> None:
        calls = workload.calls_of_a_trial()
        self.assertEqual(len(calls), 40)
        steps = [s for c in calls if c.op in ("log_metric", "log_batch") for s in range(c.first, c.first + c.size)]
        self.assertEqual(steps, list(range(workload.POINTS)))
        self.assertEqual(sum(call.op == "log_batch" for call in calls), 8)


class FakeHost:
    def __init__(self, *well: list[float]) -> None:
        self.well = list(well)


class Figures(unittest.TestCase):
    def test_a_healthy_server_may_be_another_one_later(self) -> None:
        hosts = [FakeHost([0, 5], [9, math.inf]), FakeHost([4, 8])]
        self.assertTrue(covered(hosts, 1, 7))  # type: ignore[arg-type]
        self.assertFalse(covered(hosts, 7, 10))  # type: ignore[arg-type]
        self.assertTrue(covered(hosts, 9, 1e9))  # type: ignore[arg-type]

    def test_failovers_are_counted_within_a_call_only(self) -> None:
        story = stories.Story()
        for call, endpoint, purpose in (
            ("1", "a", "call"),
            ("2", "b", "call"),
            ("2", "c", "probe"),
            ("2", "b", "verify"),
            ("2", "c", "call"),
        ):
            story.add_line(
                f'{{"event": "attempt", "t": 1, "call": "{call}", "op": "x", "number": 1, "purpose": "{purpose}",'
                f' "endpoint": "{endpoint}", "outcome": "ok", "ms": 1}}'
            )
        self.assertEqual(story.failovers(), 1)
        self.assertEqual(story.strange_lines, [])

    def test_what_is_no_line_of_the_protocol_is_reported(self) -> None:
        story = stories.Story()
        story.add_line("hello")
        story.add_line('{"event": "surprise"}')
        self.assertEqual(len(story.strange_lines), 2)

    def test_the_longest_call_is_looked_for_in_every_line_of_a_job(self) -> None:
        story = second_act.Story()
        story.add_line('{"event": "starting", "run": "r", "number": 1}')
        story.add_line('{"event": "started", "run": "r", "longest_ms": 1500}')
        story.add_line(
            '{"event": "logged", "run": "r", "points": 5, "note": 1, "waiting": 3, "state": "degraded", "longest_ms": 2}'
        )
        self.assertEqual((story.longest_ms, story.strange_lines), (1500, []))


class Verdicts(unittest.TestCase):
    FIRST = {
        "faults_begun": 6, "asked": 63, "acknowledged": 63, "lost": 0, "duplicated": 0, "failed_calls": 0, "runs_asked": 3, "runs_stored": 3,
        "longest_call_ms_with_a_healthy_server": 2199.0, "attempt_timeout_ms": 2000.0,
    }  # fmt: skip
    SECOND = {
        "acknowledged": 20000, "asked": 30000, "lost": 0, "duplicated": 0, "invented": 0, "out_of_order": 0, "refused": 0,
        "files_left": 0, "runs_asked": 6, "runs_stored": 6, "failures": [], "waited_at_the_kill": 900, "replayed": 900,
        "longest_log_call_ms": 80.0,
    }  # fmt: skip

    def first(self, **changes: object) -> int:
        return len(demo.verdict({**self.FIRST, **changes}))

    def second(self, script: schedules.SecondScript = schedules.SecondScript(), **changes: object) -> int:
        return len(second_act.verdict({**self.SECOND, **changes}, script))

    def test_all_is_well(self) -> None:
        self.assertEqual((self.first(), self.second()), (0, 0))

    def test_the_first_act_must_have_logged_all(self) -> None:
        for key, bad in (("lost", 1), ("duplicated", 1), ("failed_calls", 1), ("runs_stored", 2), ("acknowledged", 0),
                         ("faults_begun", 0)):  # fmt: skip
            self.assertEqual(self.first(**{key: bad}), 1, key)

    def test_a_healthy_server_answers_in_time(self) -> None:
        self.assertEqual(demo.slow_calls(self.FIRST), [])
        self.assertEqual(len(demo.slow_calls({**self.FIRST, "longest_call_ms_with_a_healthy_server": 2201.0})), 1)
        self.assertEqual(self.first(attempt_timeout_ms=None), 1)

    def test_the_second_act_must_have_logged_while_nobody_was_there(self) -> None:
        for key, bad in (("waited_at_the_kill", 0), ("replayed", 0), ("longest_log_call_ms", 1001), ("acknowledged", 14999)):
            self.assertEqual(self.second(**{key: bad}), 1, key)
        for key in ("lost", "duplicated", "invented", "out_of_order", "refused", "files_left"):
            self.assertEqual(self.second(**{key: 1}), 1, key)
        self.assertEqual(self.second(runs_stored=5), 1)
        self.assertEqual(self.second(failures=["x"]), 1)
        self.assertEqual(self.second(asked=0, acknowledged=0), 1)

    def test_drawn_faults_ask_for_what_they_allow(self) -> None:
        early = schedules.SecondScript(kill_logger_at=5.5)  # perhaps all was delivered
        self.assertEqual(self.second(early, waited_at_the_kill=0, replayed=0), 0)
        twice = schedules.SecondScript(kill_replay_after=(2.0,))  # perhaps the first replay delivered all
        self.assertEqual(self.second(twice, replayed=0), 0)
        self.assertEqual(self.second(twice, waited_at_the_kill=0), 1)
        for seed in range(200):
            script = schedules.drawn(seed, False).second
            self.assertLessEqual(script.longest_call_ms, 1000 * script.outages[0].seconds)

    def test_points_are_asked_for_as_the_runs_begin(self) -> None:
        stagger, rate = second_act.STAGGER, second_act.RATE
        self.assertEqual(second_act.asked_for(stagger - 1), round(rate * (stagger - 1)))
        self.assertEqual(second_act.asked_for(stagger + 1), round(rate * (stagger + 2)))


class Faults(unittest.TestCase):
    """A script of faults on servers that are only thought of."""

    def script(self, *steps: schedules.Step) -> faults.FaultScript:
        host = faults.Host("A", None, None)  # type: ignore[arg-type]
        host.mark_well()
        return faults.FaultScript(None, [host], steps, lambda: None)  # type: ignore[arg-type]

    def test_what_was_left_out_is_told(self) -> None:
        script = self.script(schedules.Step(60, "kill", 0), schedules.Step(70, "stop", 0))
        script.start()
        self.assertEqual(([step.at for step in script.finish(10)], script.begun), ([60, 70], 0))

    def test_servers_that_do_not_get_well_are_an_error(self) -> None:
        script = self.script(schedules.Step(0, "stop_all"))
        stuck = threading.Event()
        self.addCleanup(stuck.set)
        with mock.patch.object(script, "_stop", lambda *_: (script._begin("all stopped"), stuck.wait(20))):
            script.start()
            while not script.faults:
                time.sleep(0.01)
            with self.assertRaisesRegex(demo.ProcessError, "aren't well again .*all stopped"):
                script.finish(0.1)

    def test_the_report_says_what_was_done(self) -> None:
        steps = (schedules.Step(5, "kill", 0), schedules.Step(9, "stop_all", seconds=2))
        schedule = schedules.Schedule(steps, schedules.SecondScript(), "")
        self.assertEqual(schedule.describe(1)["first_act"], ["5.0 s: kill A, 1.0 s", "9.0 s: stop_all, 2.0 s, left out"])
        self.assertEqual(schedule.describe()["first_act"][1], "9.0 s: stop_all, 2.0 s")  # type: ignore[index]

    def test_a_fault_without_an_end_has_no_figure(self) -> None:
        story, script = stories.Story(), self.script()
        story.started = 1.0
        script.faults = [faults.Fault("all stopped", 2.0)]
        entries = screen.timeline(story, script, {}, 9.0)
        self.assertIsNone(entries[1]["well_again_after_s"])
        json.dumps(entries, allow_nan=False)
        self.assertIn("all stopped; never well again", screen.timeline_text(entries))

    def test_rounds_add_up_their_faults(self) -> None:
        rounds = [chaos.Round(n, "sqlite", 0, 1.0, {"faults_begun": 5, "faults_left_out": n}) for n in (1, 2)]
        sums = chaos.total(rounds)["first_act"]
        self.assertEqual((sums["faults_begun"], sums["faults_left_out"]), (10, 3))  # type: ignore[index]


if __name__ == "__main__":
    unittest.main()
