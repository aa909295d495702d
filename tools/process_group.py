"""Child processes that cannot outlive their parent, and loopback ports that nobody takes in between.

Used by mlflow_stack.py and by the failover demo. Each child leads a session of its own, so that a signal reaches it
together with whatever it has started: SIGKILL of `mlflow server` alone leaves its web server running, and SIGSTOP alone
leaves it serving. A small guard process holds the list of our groups and the read end of a pipe; when this process
ends, however it ends, the pipe closes and the guard ends the groups and removes the directories that it was told of.
PR_SET_PDEATHSIG would not do: it is not inherited by grandchildren and it fires when the *thread* that forked ends.

Standard library only, Linux only, thread-safe.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO


class ProcessError(RuntimeError):
    """A process did not start, did not get ready or did not end. The message says which, and shows its last words."""


def free_port(taken: set[int] | None = None) -> int:
    """A TCP port on 127.0.0.1 that is free now and not in `taken`.

    Taken from below the range that the kernel uses for outgoing connections. From within that range, a port whose
    server is down could be given to a client in the meantime, or a client that knocks there could even be connected to
    itself; both would spoil a test that kills servers and restarts them on the same port.
    """
    try:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        low = 32768
    first, last = (10240, low - 1) if low > 12000 else (61000, 65535)
    for _ in range(2000):
        port = random.SystemRandom().randint(first, last)
        if taken is not None and port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if taken is not None:
            taken.add(port)
        return port
    raise ProcessError(f"no free TCP port on 127.0.0.1 between {first} and {last}")


def process_start_ticks(pid: int) -> str | None:
    """When the process started, in clock ticks since boot; None when it is gone. With the pid it names one process for
    good, while a pid alone may be given to another one."""
    fields = _stat_fields(pid)
    return None if fields is None or fields[0] in "ZX" else fields[19]


def _stat_fields(pid: int) -> list[str] | None:
    """/proc/PID/stat from the state on: [state, ppid, pgrp, session, ...]."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None


def group_members(pgid: int) -> list[int]:
    """Pids of the living (not zombie) members of a process group."""
    members = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat_fields(int(entry))
            if fields is not None and fields[0] not in "ZX" and int(fields[2]) == pgid:
                members.append(int(entry))
    return members


def parent_pid(pid: int) -> int:
    """Parent of a process, 0 when there is none or the process is gone."""
    fields = _stat_fields(pid)
    return 0 if fields is None else int(fields[1])


def signal_group(pgid: int, signum: int) -> bool:
    """Sends a signal to a process group; False when nobody is left in it."""
    try:
        os.killpg(pgid, signum)
    except ProcessLookupError:
        return False
    return True


class Guard:
    """Our end of the guard process. One for each process that starts children; made at the first child."""

    _instance: Guard | None = None
    _instance_lock = threading.Lock()

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.abspath(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C on a terminal goes to our group: the guard must not die of it
        )
        atexit.register(self._close)

    @classmethod
    def get(cls) -> Guard:
        with cls._instance_lock:
            if cls._instance is None or cls._instance._owner != os.getpid():
                cls._instance = cls()
            return cls._instance

    def add_group(self, pgid: int, signum: int) -> None:
        self._tell(f"add {pgid} {int(signum)}")

    def remove_group(self, pgid: int) -> None:
        self._tell(f"remove {pgid}")

    def add_directory(self, path: Path) -> None:
        self._tell(f"directory {path}")

    def _tell(self, line: str) -> None:
        with self._lock:
            assert self._process.stdin is not None
            try:
                self._process.stdin.write((line + "\n").encode())
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError):
                pass  # the guard was closed at exit, and has already done its work

    def _close(self) -> None:
        if self._owner != os.getpid():
            return
        with self._lock:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)


def guard_main(lines: TextIO) -> None:
    """The guard process: remembers until the pipe closes, then ends and removes what is still on the list."""
    groups: dict[int, int] = {}
    directories: list[str] = []
    for line in lines:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "add":
            pgid, signum = rest.split()
            groups[int(pgid)] = int(signum)
        elif word == "remove":
            groups.pop(int(rest), None)
        elif word == "directory":
            directories.append(rest)
    for group, death_signal in groups.items():
        signal_group(group, death_signal)
        signal_group(group, signal.SIGCONT)
    deadline = time.monotonic() + 3
    while any(group_members(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(0.02)
    for group in groups:
        signal_group(group, signal.SIGKILL)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


class ManagedProcess:
    """One child process with its group: start, signal, end, start again. The log file is appended to."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        death_signal: int = signal.SIGKILL,
    ) -> None:
        """`user`: run as this user (only root can). `death_signal`: what the guard sends when we die."""
        self.name = name
        self.command = list(command)
        self.log = log
        self._env = env
        self._user = user
        self._death_signal = death_signal
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_offset = 0

    @property
    def pid(self) -> int:
        """Pid and process group of the latest start; 0 before the first."""
        return 0 if self._popen is None else self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        if self.running:
            raise ProcessError(f"{self.name} is running already (pid {self.pid})")
        identity: dict[str, Any] = {}
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        with open(self.log, "ab") as log:
            self._log_offset = log.tell()
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if self._env is None else dict(self._env),
                cwd="/" if self._user is not None else None,
                start_new_session=True,
                **identity,
            )
        Guard.get().add_group(self.pid, self._death_signal)

    def send_signal(self, signum: int) -> None:
        """Sends a signal to the whole group."""
        if self.pid:
            signal_group(self.pid, signum)

    def kill(self) -> None:
        """SIGKILL to the group; returns when nobody of it lives any more."""
        self._end(signal.SIGKILL, 0)

    def terminate(self, signum: int = signal.SIGTERM, timeout: float = 5) -> None:
        """Asks the group to end, and kills what has not ended after `timeout` seconds."""
        self._end(signum, timeout)

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that the latest start has written."""
        try:
            with open(self.log, "rb") as log:
                log.seek(self._log_offset)
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _end(self, signum: int, timeout: float) -> None:
        if self._popen is None:
            return
        pgid = self._popen.pid
        if signum != signal.SIGKILL:
            signal_group(pgid, signum)
            signal_group(pgid, signal.SIGCONT)
            self._wait_gone(pgid, timeout)
        signal_group(pgid, signal.SIGKILL)
        if not self._wait_gone(pgid, 10):
            raise ProcessError(f"{self.name} (pid {pgid}) does not die of SIGKILL")
        Guard.get().remove_group(pgid)
        self._popen = None

    def _wait_gone(self, pgid: int, timeout: float) -> bool:
        """True when the leader has been reaped and no member is left."""
        assert self._popen is not None
        deadline = time.monotonic() + timeout
        while True:
            if self._popen.poll() is not None and not group_members(pgid):
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)


def wait_for_port(port: int, process: ManagedProcess, timeout: float) -> None:
    """Returns when something accepts on 127.0.0.1:port; raises when the process ends or the time is up."""
    deadline = time.monotonic() + timeout
    while True:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if not process.running:
            raise ProcessError(f"{process.name} ended before it listened on port {port}:\n{process.log_tail()}")
        if time.monotonic() > deadline:
            raise ProcessError(
                f"{process.name} does not listen on port {port} after {timeout:g} s:\n{process.log_tail()}"
            )
        time.sleep(0.02)


def established_connections(ports: set[int]) -> int:
    """How many TCP connections (IPv4) to these local ports are established, as the kernel's table says."""
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields: tuple[str, ...] = tuple(line.split())
        if len(fields) > 3 and fields[3] == "01" and int(fields[1].rpartition(":")[2], 16) in ports:
            count += 1
    return count


def unprivileged_user() -> str | None:
    """None unless we are root; then a user to run a program as that refuses root ("postgres" or "nobody")."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise ProcessError(os.strerror(errno.EPERM) + ": we are root and there is neither a user postgres nor nobody")


if __name__ == "__main__":
    guard_main(sys.stdin)
