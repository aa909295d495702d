#!/usr/bin/env python3
"""Checks the manual: links lead somewhere, quoted code is what the example says, generated pages are fresh.

Reads README.md, CHANGELOG.md, CONTRIBUTING.md, docs/ and the README files of the examples. A code block that quotes a
file follows a comment that names it, and must stand in that file word for word (indentation of the block aside):

    <!-- quote: examples/quickstart/quickstart.cpp -->
    ```cpp
    ...
    ```

Writes the findings to --report (JSON); exits 1 when there are faults.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_FENCE = re.compile(r"^( *)(```+|~~~+)[^\n]*\n(.*?)^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
_QUOTE = re.compile(r"<!--\s*quote:\s*(\S+)\s*-->\s*\n( *)(```+)[^\n]*\n(.*?)^\2\3[ \t]*$", re.MULTILINE | re.DOTALL)
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


def normal(code: str) -> str:
    return "\n".join(line.rstrip() for line in textwrap.dedent(code).strip("\n").split("\n"))


def is_quoted(block: str, source: str) -> bool:
    """Whether `block` is a run of whole lines of `source`, at any indentation."""
    wanted = normal(block).split("\n")
    lines = source.split("\n")
    return any(
        lines[start].strip() == wanted[0].strip() and normal("\n".join(lines[start : start + len(wanted)])) == normal(block)
        for start in range(len(lines) - len(wanted) + 1)
    )


def check_quotes(root: Path, page: Path, text: str) -> tuple[int, list[str]]:
    """(number of quotes, faults)."""
    faults = []
    quotes = list(_QUOTE.finditer(text))
    for match in quotes:
        where = f"{page.relative_to(root)}:{text.count(chr(10), 0, match.start()) + 1}: quote of {match.group(1)}"
        source = root / match.group(1)
        if not source.is_file():
            faults.append(f"{where}: there is no such file")
        elif not is_quoted(match.group(4), source.read_text(encoding="utf-8")):
            faults.append(f"{where}: the file says something else")
    announced = len(re.findall(r"<!--\s*quote:", _FENCE.sub("", text)))
    if announced > len(quotes):
        faults.append(f"{page.relative_to(root)}: a quote comment without a code block right below it")
    return len(quotes), faults


def check(root: Path) -> dict[str, object]:
    """The report over the manual at `root`."""
    faults: list[str] = []
    links = quotes = 0
    read = pages(root)
    for page in read:
        text = page.read_text(encoding="utf-8")
        for counted, (count, found) in (
            ("links", check_links(root, page, text)),
            ("quotes", check_quotes(root, page, text)),
        ):
            links += count if counted == "links" else 0
            quotes += count if counted == "quotes" else 0
            faults += found
    if not read:
        faults.append("there are no pages")
    generator = root / "src/codegen/generate.py"
    if generator.is_file():
        done = subprocess.run([sys.executable, "-B", str(generator), "--check"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            faults.append(f"generated pages are stale: {(done.stdout + done.stderr).strip()}")
    return {"pages": len(read), "links": links, "quotes": quotes, "faults": faults}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    report = check(ROOT)
    for fault in report["faults"]:  # type: ignore[attr-defined]
        print(fault)
    print("{pages} pages, {links} links, {quotes} quotes: {bad} fault(s)".format(bad=len(report["faults"]), **report))  # type: ignore[arg-type]
    if arguments.report:
        arguments.report.parent.mkdir(parents=True, exist_ok=True)
        arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
