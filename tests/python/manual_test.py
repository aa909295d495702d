"""The manual's Python is run as it stands: its servers' names are made those of a fake cluster."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mlflowha.testing import Cluster

ROOT = Path(__file__).resolve().parents[2]
MARKED = re.compile(r"<!-- run: tests/python/manual_test.py -->\n```python\n(.*?)```", re.DOTALL)


def blocks() -> list[object]:
    found = []
    for page in (ROOT / "docs/python.md", ROOT / "README.md"):
        text = page.read_text(encoding="utf-8")
        assert text.count("```python") == len(MARKED.findall(text)), f"{page.name}: Python that nobody runs"
        found += [pytest.param(code, id=f"{page.name}-{i}") for i, code in enumerate(MARKED.findall(text))]
    return found


@pytest.mark.parametrize("code", blocks())
def test_the_manual(code: str, mlflowha_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, url in zip("abc", mlflowha_cluster.urls, strict=True):
        code = code.replace(f"http://{name}:5000", url)
    exec(compile(code, "manual", "exec"), {"__name__": "manual"})
