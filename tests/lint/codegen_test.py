#!/usr/bin/env python3
"""The table's reader and the generator: what they must refuse, and that their output depends on the table alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODEGEN = ROOT / "src" / "codegen"
sys.path.insert(0, str(CODEGEN))

import from_python  # noqa: E402
from table import TableError, identity, load  # noqa: E402

GOOD = """group g
  title G
limit id: id max 8
enum Kind
  doc D.
  A = 1
message Ask
  doc D.
  id: string, required, limit id
  kinds: repeated Kind
  tags: repeated Tag
message Tag
  doc D.
  key: string
  value: string
operation get_it
  rpc getIt
  GET /api/2.0/it/{id}
  request Ask
  returns nothing
  class read
  doc D.
  why W.
"""


def read(text: str):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "g.table").write_text(text, encoding="utf-8")
        return load(Path(folder))


class TableTest(unittest.TestCase):
    def test_a_good_table_is_read(self) -> None:
        table = read(GOOD)
        self.assertEqual(table.operations["get_it"].places, ["id"])
        self.assertEqual(table.messages["Ask"].field("id").limit.max, 8)

    def test_a_line_is_continued(self) -> None:
        self.assertEqual(read(GOOD.replace("why W.", "why W\n    and X.")).operations["get_it"].why, "W and X.")

    def test_a_recipe_may_do_without_a_tag(self) -> None:
        post = GOOD.replace("GET /api/2.0/it/{id}", "POST /api/2.0/it")
        op = read(post.replace("class read", "class create_anonymous\n  recipe find_run_outputs scope id")).operations["get_it"]
        self.assertEqual((op.scope, op.tag), ("id", ""))

    def test_faults_are_refused(self) -> None:
        post = GOOD.replace("GET /api/2.0/it/{id}", "POST /api/2.0/it")
        for old, new, text in (
            ("class read", "class ?", "a class of"),
            ("why W.", "", "doc and why"),
            ("  doc D.\n  why", "  why", "doc and why"),
            ("class read", "class once", "done codes for class once"),
            ("class read", "class read\n  done GONE", "done codes for class once"),
            ("class read", "class create_anonymous", "a recipe for a create"),
            ("class read", "class same_again", "class read for GET"),
            ("class read", "class read\n  recipe guess scope id tag tags", "NAME one of"),
            ("class read", "class read\n  declared GET /api/old", "expected `declared VERB /path before X.Y`"),
            ("class read", "class create_named\n  done X\n  recipe find_workspace scope id id id", "an id together with a tag"),
            ("kinds: repeated Kind", "word: secret", "a body for a secret"),
            ("  key: string", "  key: secret, limit id", "a secret is one text"),
            ("  key: string", "  key: repeated secret", "a secret is one text"),
            ("class read", "class read\n  until 3", "since X.Y and until X.Y"),
            ("id: string, required", "id: string", "must be required"),
            ("it/{id}", "it/{other}", "has no field other"),
            ("id: string, required", "id: text, required", "unknown type text"),
            ("limit id\n", "limit none\n", "unknown flag 'limit none'"),
            ("id: string, required", "id: string, requird", "unknown flag 'requird'"),
            ("request Ask", "request Askk", "no message Askk"),
            ("A = 1", "a = 1", "expected `SERVER_NAME"),
            ("message Tag\n  doc D.", "message Tag", "has no doc"),
            ("  key: string", "\tkey: string", "a tab"),
            ("  key: string", " key: string", "indent by 2"),
            ("  value: string", "  key: string", "is there twice"),
            ("returns nothing", "returns Thing in it", "unknown type Thing"),
            ("returns nothing", "returns a Thing", "returns what?"),
            ("returns nothing", "returns list Tag in text tags", "returns what?"),
            ("group g", "group g\n  covers /a\n  colour red", "unknown line 'colour'"),
            ("  title G", "  title G\n  includes nowhere", "includes that can't be met"),
            ("operation get_it", "operatio get_it", "unknown block"),
            ("it/{id}", "it/{id*}", "must have a limit of kind path"),
            ("kinds: repeated Kind", "kinds: repeated Kind, body", "only a string can be the body"),
            ("class read", "class never\n  recipe find_run_by_tag scope id", "a recipe for a create"),
        ):
            with self.subTest(new=new):
                self.assertIn(old, GOOD)
                with self.assertRaisesRegex(TableError, text.replace("?", r"\?")):
                    read(GOOD.replace(old, new))
        self.assertEqual(read(post.replace("class read", "class never")).operations["get_it"].idempotency, "never")
        paged = GOOD.replace("returns nothing", "returns page Tag in tags")
        for text, fault in (
            (paged, "has no field page_token"),
            (paged.replace("id: string, required", "page_token: int64\n  id: string, required"), "needs `page_token: string`"),
            (GOOD.replace("  key: string", "  id name\n  key: string"), "has no field name"),
            (GOOD.replace("  key: string", "  id key.part\n  key: string"), "key.part leads nowhere"),
            (GOOD.replace("  key: string", "  id keys\n  keys: repeated string"), "keys can't be an id"),
            (GOOD.replace("id: string, required", "filter: string, required\n  id: string, required"), "a filter has no flags"),
        ):
            with self.subTest(fault=fault), self.assertRaisesRegex(TableError, fault):
                read(text)

    def test_what_tells_the_entities_of_a_page_apart(self) -> None:
        def of(fields: str, name: str = "Tag", more: str = "") -> list:
            text = GOOD.replace("message Tag\n  doc D.\n  key: string", f"{more}message {name}\n  doc D.\n{fields}").replace(
                "repeated Tag", f"repeated {name}")
            table = read(text)
            return identity(table, table.messages[name])

        self.assertEqual(of("  key: string"), [])
        self.assertEqual(of("  tag_id: string"), ["tag_id"])
        self.assertEqual(of("  tag_id: int64"), [])
        self.assertEqual(of("  key: string\n  tag_id: string"), [])  # only the first field is plainly the id
        self.assertEqual(of("  id key value\n  key: string"), ["key", "value"])
        self.assertEqual(of("  id none\n  tag_id: string"), [])
        self.assertEqual(of("  dataset_id: string", "EvaluationDataset"), ["dataset_id"])
        self.assertEqual(of("  queue_id: string", "ReviewQueueItem"), [])  # the id of something else
        self.assertEqual(of("  trace_id: string", "TraceInfoV3"), ["trace_id"])
        info = "message TagInfo\n  doc D.\n  tag_id: string\n"
        self.assertEqual(of("  info: TagInfo", more=info), ["info.tag_id"])
        self.assertEqual(of("  other: TagInfo", more=info), [])


class FromPythonTest(unittest.TestCase):
    def test_every_line_has_a_spelling_or_a_reason(self) -> None:
        lines = from_python.read("# no line\n## Runs\nget_run = get_run(run_id)\nlog_figure -- no\nlog_x = a(), b_all(x) -- why\n")
        self.assertEqual([line.calls for line in lines], [["get_run"], [], ["a", "b_all"]])
        self.assertEqual((lines[2].note, lines[2].section), ("why", "Runs"))
        for text in ("get_run = get_run()", "## R\nget_run", "## R\nget_run =", "## R\nx -- a\nx -- b", "## R\nno method -- a"):
            with self.subTest(text=text), self.assertRaises(TableError):
                from_python.read(text)

    def test_what_is_missing_vanished_or_unknown_is_seen(self) -> None:
        lines = from_python.read("## R\nget_run = get_run(run_id)\nget_it = get_it(), get_it_all()\n")
        self.assertEqual(from_python.faults(lines, {"get_run", "get_it"}, {"get_run", "get_it", "get_it_all"}), [])
        self.assertEqual(from_python.faults(lines, {"get_run", "fresh"}, {"get_run", "get_it"}), [
            "not in from_python.map: MlflowClient.fresh", "MlflowClient has no get_it, from_python.map has",
            "from_python.map: get_it: there is no get_it_all()"])

    def test_members_of_requests_are_looked_up(self) -> None:
        lines = from_python.read("## R\na = get_it({.id, .kinds}), get_it({...})\nb = get_it({.id, .gone}), other({.x})\n")
        self.assertEqual(from_python.unknown_members(lines, read(GOOD)), ["from_python.map: b: get_it has no member gone"])

    def test_calls_are_known_from_the_table_and_the_headers(self) -> None:
        known = from_python.known_calls(load(CODEGEN / "table"), ROOT / "include/mlflowha/client")
        self.assertLessEqual({"create_run", "search_runs_all", "get_parent_run", "rename_experiment", "config"}, known)
        self.assertNotIn("create_run_all", known)
        self.assertNotIn("no_such_call", known)


class GeneratorTest(unittest.TestCase):
    def test_the_output_is_a_function_of_the_table(self) -> None:
        script = (
            "import sys, hashlib; sys.path.insert(0, sys.argv[1]); import generate\n"
            "print(hashlib.sha256(repr(sorted(generate.everything().items())).encode()).hexdigest())"
        )
        seen = set()
        for seed in ("0", "1", "77"):
            environment = dict(os.environ, PYTHONHASHSEED=seed, PYTHONDONTWRITEBYTECODE="1")
            run = subprocess.run([sys.executable, "-c", script, str(CODEGEN)], capture_output=True, text=True, check=True,
                                 env=environment, cwd=tempfile.gettempdir())
            seen.add(run.stdout)
        self.assertEqual(len(seen), 1)

    def test_the_check_sees_a_stale_and_an_orphaned_file(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder)
            for part in ("src/codegen", "include/mlflowha/api", "include/mlflowha/testing", "tests/unit/api", "tests/golden", "docs",
                         "bindings/python/mlflowha"):
                (copy / part).parent.mkdir(parents=True, exist_ok=True)
                subprocess.run(["cp", "-r", str(ROOT / part), str(copy / part)], check=True)
            check = [sys.executable, "-B", str(copy / "src/codegen/generate.py")]

            def checked():
                return subprocess.run([*check, "--check"], capture_output=True, text=True, check=False)

            self.assertEqual(checked().returncode, 0, checked().stderr)
            table = copy / "src/codegen/table/runs.table"
            table.write_text(table.read_text().replace("POST /api/2.0/mlflow/runs/create", "POST /api/9.9/mlflow/runs/create"))
            orphan = copy / "include/mlflowha/api/impl/gone_codec.ipp"
            orphan.write_text("// Generated by src/codegen/generate.py from nothing\n")
            stale = checked()
            self.assertEqual(stale.returncode, 1)
            self.assertIn("stale: include/mlflowha/api/operations.hpp", stale.stderr)
            self.assertIn("stale: docs/idempotency.md", stale.stderr)
            self.assertIn("stale: include/mlflowha/testing/impl/backend_routes.ipp", stale.stderr)
            self.assertIn("no longer generated: include/mlflowha/api/impl/gone_codec.ipp", stale.stderr)
            subprocess.run(check, capture_output=True, check=True)
            self.assertEqual(checked().returncode, 0)
            self.assertFalse(orphan.exists())
            left_out = copy / "src/codegen/not_in_fake.txt"
            before = left_out.read_text()
            for line, said in (("  create_rum\n", "no operation create_rum"), ("  get_role\n", "get_role is there twice"),
                               ("because\n", "expected `REASON:`")):
                left_out.write_text(before + line)
                self.assertIn(said, checked().stderr)


if __name__ == "__main__":
    unittest.main()
