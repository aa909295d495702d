#!/usr/bin/env python3
"""tools/docs.py sees a dead link and a missing heading, and leaves good pages alone."""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path

from cxx import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import docs  # noqa: E402


class Docs(unittest.TestCase):
    def check(self, readme: str, **files: str) -> dict[str, object]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            for name, text in {"README_md": readme, **files}.items():
                path = root / name.replace("__", "/").replace("_md", ".md")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return docs.check(root)

    def fault(self, readme: str, **files: str) -> str:
        faults = self.check(readme, **files)["faults"]
        assert isinstance(faults, list)
        self.assertEqual(len(faults), 1, faults)
        return str(faults[0])

    def test_good_pages_have_no_fault(self) -> None:
        readme = "# A `b` c\n\n## Twice\n## Twice\n[x](docs/a.md#one-more) [y](#a-b-c) [z](#twice-1) [w](https://e.org)\n"
        report = self.check(readme, docs__a_md="## One, more!\n`[no](link)`\n```\n[no](link)\n```\n")
        self.assertEqual(report, {"pages": 2, "links": 3, "faults": []})

    def test_dead_links_are_seen(self) -> None:
        self.assertIn("README.md:2: link to 'gone.md': there is no such file", self.fault("\n[x](gone.md)\n"))
        self.assertIn("no such heading", self.fault("[x](docs/a.md#two)\n", docs__a_md="# One\n"))
        self.assertIn("leaves the repository", self.fault("[x](..)\n"))

    def test_no_pages_is_a_fault(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(docs.check(Path(folder))["faults"], ["there are no pages"])


if __name__ == "__main__":
    unittest.main()
