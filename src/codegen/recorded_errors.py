"""Which errors real servers gave to each operation: read from the recordings in tests/golden, for the reference pages."""

from __future__ import annotations

import json
import pathlib
import sys

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden"
sys.path.insert(0, str(GOLDEN))

from session import read  # noqa: E402
from table import Table  # noqa: E402


def recordings(table: Table) -> dict:
    """Operation -> {release: {(status, error code)}}; a release that doesn't know the operation isn't there."""
    found: dict = {}
    cases = [case for path in sorted((GOLDEN / "cases").glob("*.cases")) for case in read(path, table).cases]
    for folder in sorted(path for path in GOLDEN.iterdir() if (path / "session.json").is_file()):
        answers = {path.name.split(".")[0]: path for path in folder.iterdir() if path.name.count(".") == 2}
        for case in cases:
            if not case.operation or case.name not in answers:
                continue
            path = answers[case.name]
            status = int(path.name.split(".")[1])
            if status < 400:
                found.setdefault(case.operation, {}).setdefault(folder.name, set())
                continue
            try:
                code = json.loads(path.read_bytes())["error_code"]
            except (ValueError, KeyError, TypeError):
                continue  # a page of the server's framework: it has no such route
            found.setdefault(case.operation, {}).setdefault(folder.name, set()).add((status, code))
    return found


def sentence(releases: dict) -> str:
    """What the page of an operation says of its errors; "" when none was recorded."""
    errors = sorted({error for seen in releases.values() for error in seen})
    parts = []
    for status, code in errors:
        having = sorted(release for release, seen in releases.items() if (status, code) in seen)
        only = f", {having[0]} only" if len(having) == 1 and len(releases) > 1 else ""
        parts.append(f"`{code}` ({status}{only})")
    return f"Errors that servers gave when asked: {', '.join(parts)}." if parts else ""
