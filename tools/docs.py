#!/usr/bin/env python3
"""Checks the manual: links lead somewhere, C++ is what the examples say, generated pages are fresh.

Links of README.md, CHANGELOG.md, CONTRIBUTING.md, docs/ and the examples' pages are followed here (--links: only that);
the rest is asked of tests/lint/manual.py and of the generator. Writes what was found to --report (JSON); exits 1 when
there are faults.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_FENCE = re.compile(r"^( *)(```+|~~~+)[^\n]*\n(.*?)^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)


def pages(root: Path) -> list[Path]:
    """The Markdown files that users read."""
    found = [root / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    found += sorted((root / "docs").rglob("*.md")) + sorted((root / "examples").rglob("*.md"))
    return [page for page in found if page.is_file()]


def without_code(text: str) -> str:
    """`text` with code blanked out, so that nothing in it counts as link or heading; line numbers stay."""
    text = _FENCE.sub(lambda match: "\n" * match.group(0).count("\n"), text)
    return re.sub(r"(`+)(?!`)([^\n]*?[^`\n])\1(?!`)", lambda match: " " * len(match.group(0)), text)


def anchors(text: str) -> set[str]:
    """The fragments that a page's headings can be linked by, as GitHub makes them."""
    seen: dict[str, int] = {}
    found = set(re.findall(r"<a\s+(?:id|name)=\"([^\"]+)\"", text))
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        found.add(slug if count == 0 else f"{slug}-{count}")
    return found


def check_links(root: Path, page: Path, text: str) -> tuple[int, list[str]]:
    """(number of links within the repository, faults)."""
    faults = []
    count = 0
    readable = without_code(text)
    for match in _LINK.finditer(readable):
        link = match.group(1)
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue  # another site
        count += 1
        where = f"{page.relative_to(root)}:{readable.count(chr(10), 0, match.start()) + 1}: link to '{link}'"
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            faults.append(f"{where}: there is no such file")
        elif not target.is_relative_to(root):
            faults.append(f"{where}: leaves the repository")
        elif fragment and target.suffix == ".md" and fragment not in anchors(target.read_text(encoding="utf-8")):
            faults.append(f"{where}: the page has no such heading")
    return count, faults


def run(script: Path, *arguments: str) -> list[str]:
    """The lines that a checking script prints when it fails; nothing when it is content."""
    done = subprocess.run([sys.executable, "-B", str(script), *arguments], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines() if done.returncode else []


def check(root: Path) -> dict[str, object]:
    """The report over the links of the manual at `root`."""
    faults: list[str] = []
    links = 0
    read = pages(root)
    for page in read:
        count, found = check_links(root, page, page.read_text(encoding="utf-8"))
        links += count
        faults += found
    if not read:
        faults.append("there are no pages")
    return {"pages": len(read), "links": links, "faults": faults}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--links", action="store_true", help="follow links only")
    arguments = parser.parse_args()
    report = check(ROOT)
    faults: list[str] = report["faults"]  # type: ignore[assignment]
    if not arguments.links:
        faults += run(ROOT / "tests/lint/manual.py") + run(ROOT / "src/codegen/generate.py", "--check")
    for fault in faults:
        print(fault)
    print(f"{report['pages']} pages, {report['links']} links: {len(faults)} fault(s)")
    if arguments.report:
        arguments.report.parent.mkdir(parents=True, exist_ok=True)
        arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
