"""The programs under test as child processes: their lines go to whoever reads them and into a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from process_group import Guard, signal_group  # noqa: E402


def find_program(build: Path, name: str) -> Path | None:
    """The newest file of that name below a build directory."""
    found = [path for path in build.glob(f"**/{name}") if path.is_file() and os.access(path, os.X_OK)]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


class Program:
    """Started by the constructor; cannot outlive us."""

    def __init__(self, command: Sequence[str], env: dict[str, str], log: Path, on_line: Callable[[str], None]) -> None:
        """Keeps the lines in `log`, and what goes to stderr beside it."""
        self._on_line = on_line
        self._log = log
        self._errors = log.with_suffix(".errors")
        with open(self._errors, "wb") as stderr:
            self._popen = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=env,
                start_new_session=True,
            )
        Guard.get().add_group(self._popen.pid, signal.SIGKILL)
        self._reader = threading.Thread(target=self._read, name="reader", daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """None while it runs; -N when it died of signal N."""
        return self._popen.poll()

    def errors(self) -> str:
        """The last that it wrote to stderr."""
        return self._errors.read_text(errors="replace").strip()[-2000:]

    def signal(self, signum: int) -> None:
        signal_group(self._popen.pid, signum)

    def finish_reading(self) -> None:
        """After its end: returns when its last line has been read."""
        self._popen.wait()
        self._reader.join(10)

    def close(self) -> None:
        self.signal(signal.SIGKILL)
        self._popen.wait()
        Guard.get().remove_group(self._popen.pid)

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as lines, open(self._log, "wb") as log:
            for line in lines:
                log.write(line)
                self._on_line(line.decode(errors="replace"))
