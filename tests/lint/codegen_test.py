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

from table import TableError, load  # noqa: E402

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
            for part in ("src/codegen", "include/mlflowha/api", "tests/unit/api/zoo", "docs"):
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
            self.assertIn("no longer generated: include/mlflowha/api/impl/gone_codec.ipp", stale.stderr)
            subprocess.run(check, capture_output=True, check=True)
            self.assertEqual(checked().returncode, 0)
            self.assertFalse(orphan.exists())


if __name__ == "__main__":
    unittest.main()
