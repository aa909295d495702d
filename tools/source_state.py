"""Which state of the source a figure is of: reports carry it, so that an old one isn't taken for today's."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

DIRTY = "-dirty"  # ends what `commit()` says of a tree with changes that aren't committed


def commit() -> str:
    """"1a2b3c4", "1a2b3c4-dirty", or "" where that can't be known: an archive of the source, no git."""
    command = ["git", "describe", "--always", f"--dirty={DIRTY}", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def now() -> str:
    """For reports: the time in UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
