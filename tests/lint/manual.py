#!/usr/bin/env python3
"""The manual says what is true: its C++ stands word for word in a program that is compiled (`<!-- snippet: FILE -->` above
each fence), every error code is explained under its number, every environment variable that is read is listed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cxx import ROOT, report

sys.path.insert(0, str(ROOT / "tools"))
import docs  # noqa: E402

FENCE = re.compile(r"(?:<!-- snippet: (?P<file>\S+) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.M | re.S)


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def check_page(name: str, text: str, root: Path) -> list[str]:
    """The violations in one page."""
    faults = []
    for match in FENCE.finditer(text):
        if match["language"] not in {"cpp", "c++"}:
            continue
        line = text.count("\n", 0, match.start()) + 1
        if not match["file"]:
            faults.append(f"{name}:{line}: C++ without `<!-- snippet: FILE -->` above it")
            continue
        source = root / match["file"]
        if not source.is_file():
            faults.append(f"{name}:{line}: {match['file']} does not exist")
            continue
        code, program = lines_of(match["code"]), lines_of(source.read_text(encoding="utf-8"))
        if not any(program[i : i + len(code)] == code for i in range(len(program) - len(code) + 1)):
            faults.append(f"{name}:{line}: not found in {match['file']}")
    return faults


ERRC = re.compile(r"^  (\w+) = (\d+),", re.M)
VARIABLE = re.compile(r'"(MLFLOW(?:HA)?_[A-Z0-9_]+)"')


def check_errors(header: str, page: str) -> list[str]:
    """Error codes without their line in docs/errors.md."""
    enum = header[header.index("enum class Errc") : header.index("};", header.index("enum class Errc"))]
    codes = ERRC.findall(enum)
    faults = [] if codes else ["error.hpp: no codes found"]
    return faults + [
        f"docs/errors.md: no line for {number} {name}" for name, number in codes if f"| {number} | `{name}` |" not in page
    ]


def check_variables(source: str, page: str) -> list[str]:
    """Environment variables that are read but not listed in docs/options.md."""
    names = sorted(set(VARIABLE.findall(source)))
    faults = [] if names else ["environment.ipp: no variables found"]
    return faults + [f"docs/options.md: {name} is read but not listed" for name in names if f"`{name}`" not in page]


def main() -> int:
    faults = []
    for page in docs.pages(ROOT):
        faults += check_page(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8"), ROOT)
    def text(name: str) -> str:
        return (ROOT / name).read_text(encoding="utf-8")

    faults += check_errors(text("include/mlflowha/core/error.hpp"), text("docs/errors.md"))
    faults += check_variables(text("include/mlflowha/client/impl/environment.ipp"), text("docs/options.md"))
    return report("manual", faults)


if __name__ == "__main__":
    sys.exit(main())
