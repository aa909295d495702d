"""What the lint scripts share: finding sources and reading C++ without its comments and strings."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_TOKEN = re.compile(
    r"""//[^\n]*                              # line comment
      | /\*.*?\*/                             # block comment
      | R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)"   # raw string
      | "(?:\\.|[^"\\\n])*"                   # string
      | (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'   # character (not a digit separator)
    """,
    re.DOTALL | re.VERBOSE,
)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def code_only(source: str) -> str:
    """`source` with comments and the inside of literals blanked out; line numbers stay."""

    def blank(match: re.Match[str]) -> str:
        return "".join(c if c == "\n" else " " for c in match.group(0))

    return _TOKEN.sub(blank, source)


def includes(source: str) -> list[tuple[int, str, str]]:
    """(line, '<' or '"', name) of each #include that isn't commented out."""
    found = []
    blanked = re.sub(
        r"//[^\n]*|/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)), source, flags=re.DOTALL
    )
    for match in _INCLUDE.finditer(blanked):
        found.append((blanked.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)))
    return found


def tracked(root: Path, *suffixes: str) -> list[Path]:
    """Files under `root` that belong to the project: what git tracks or would track, or all files outside git."""
    listing = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        files = [root / name.decode() for name in listing.stdout.split(b"\0") if name]
    else:
        skip = {".git", "build", "__pycache__"}
        files = [p for p in root.rglob("*") if not skip & set(p.relative_to(root).parts)]
    return sorted(p for p in files if p.is_file() and (not suffixes or p.suffix in suffixes))


def report(name: str, faults: list[str]) -> int:
    """Prints the faults and returns the exit code."""
    for fault in faults:
        print(fault)
    print(f"{name}: {len(faults)} fault(s)" if faults else f"{name}: clean")
    return 1 if faults else 0
