#!/usr/bin/env python3
"""Real MLflow servers on one database, for the demo, the tests and the bench.

As a module: MlflowServer (one server), Stack (several on one database, SQLite or PostgreSQL), Postgres, HAProxy.
As a program, for ctest fixtures and for people:

    mlflow_stack.py up --version 3 --count 3 --state FILE     # returns when all servers answer
    mlflow_stack.py down --state FILE

`up` leaves a keeper process behind that writes FILE (JSON: urls, pids, database) and ends the servers when `down` is
called, when the ctest that called `up` ends, or when nobody has been connected for --idle-minutes.

What real servers taught us, and what this file therefore does:
  * `mlflow server` 3.x starts nine helper processes unless told otherwise: job execution and telemetry are off.
  * On an empty database two servers that start together both migrate it, and one dies: the first starts alone.
  * /health and /version answer 200 with the database down: a server is ready when a call that reads the database is.
  * SIGKILL and SIGSTOP of the `mlflow` process miss the web server below it: signals go to the process group.

Standard library only. Nothing that is started here outlives this process (see process_group.py).
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from haproxy import HAProxy  # noqa: E402, F401  (a part of the stand)
from object_store import ObjectStore  # noqa: E402
from process_group import (  # noqa: E402
    Guard,
    ManagedProcess,
    ProcessError,
    established_connections,
    free_port,
    parent_pid,
    process_start_ticks,
    signal_group,
    unprivileged_user,
    wait_for_port,
)
from server_settings import (  # noqa: E402
    Login,
    auth_environment,
    is_mlflow_2,
    kill_switch_environment,
    server_environment,
    write_auth_config,
)

REPOSITORY = Path(__file__).resolve().parent.parent
BOOT_TIMEOUT = 90.0  # seconds; 6 s on two idle cores, but CI machines are neither idle nor fast


def venv_for(version: str) -> Path:
    """Where tools/setup.sh puts MLflow "3" or "2"."""
    return REPOSITORY / "build" / "venv" / f"mlflow-{version}"


def private_directory(prefix: str, user: str | None = None) -> Path:
    """A new directory that only `user` (or we) can enter, removed when we end. Directly under /tmp, because the path of
    a unix socket must fit in 107 bytes and because an unprivileged user must be able to get there."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    Guard.get().add_directory(path)
    if user is not None:
        shutil.chown(path, user)
    return path


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str, timeout: float = 2, login: Login | None = None) -> bool:
    """Whether the MLflow server at `url` answers a call that reads its database."""
    request = urllib.request.Request(
        url + "/api/2.0/mlflow/experiments/search",
        data=b'{"max_results": 1}',
        headers={"Content-Type": "application/json"} | ({"Authorization": login.header} if login else {}),
    )
    try:
        with _direct.open(request, timeout=timeout) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


class MlflowServer:
    """One `mlflow server` on 127.0.0.1. Keeps its port over restarts. Not thread-safe."""

    def __init__(
        self,
        venv: Path,
        backend_uri: str,
        artifacts: Path,
        log: Path,
        port: int | None = None,
        extras: Sequence[str] = (),
        auth: tuple[Path, Login] | None = None,
        kill_switch: Path | None = None,
        store: ObjectStore | None = None,
    ) -> None:
        """`artifacts` is not used where there is an object store."""
        self.login = auth[1] if auth else None
        env = server_environment(extras)
        if kill_switch:
            env.update(kill_switch_environment(kill_switch))
        if store:
            env.update(store.environment)
        if auth:
            env.update(auth_environment(auth[0]))
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = ManagedProcess(
            f"mlflow server on port {self.port}",
            [
                str(venv / "bin" / "mlflow"),
                "server",
                "--host=127.0.0.1",
                f"--port={self.port}",
                f"--backend-store-uri={backend_uri}",
                f"--artifacts-destination={store.root if store else artifacts}",
                "--serve-artifacts",
                "--workers=1",
            ]
            + (["--enable-workspaces"] if "workspaces" in extras else [])
            + (["--app-name=basic-auth"] if auth else [])
            # Of MLflow 2: only a worker with threads can hold several answers back.
            + (["--gunicorn-opts=--threads=32"] if kill_switch and is_mlflow_2(venv) else []),
            log,
            env=env,
        )
        if not os.access(self.process.command[0], os.X_OK):
            raise ProcessError(f"no MLflow in {venv}: run tools/setup.sh, or name another one with --venv")

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> MlflowServer:
        """Starts without waiting: see wait_ready."""
        self.process.start()
        return self

    def wait_ready(self, timeout: float = BOOT_TIMEOUT) -> MlflowServer:
        """Returns when the server answers a call that reads the database."""
        deadline = time.monotonic() + timeout
        wait_for_port(self.port, self.process, timeout)
        while not answers(self.url, login=self.login):
            if not self.process.running:
                raise ProcessError(f"{self.process.name} ended at start:\n{self.process.log_tail()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.process.name} does not answer:\n{self.process.log_tail()}")
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        """SIGKILL: connections are reset, the port refuses."""
        self.process.kill()

    def stop(self) -> None:
        """SIGSTOP: the kernel still accepts connections, nobody answers."""
        self.process.send_signal(signal.SIGSTOP)

    def cont(self) -> None:
        """SIGCONT: takes up what has come in meanwhile."""
        self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM, and SIGKILL for what is left after 5 s."""
        self.process.terminate()

    def restart(self, timeout: float = BOOT_TIMEOUT) -> MlflowServer:
        """Killed if running, then started on the same port and waited for."""
        self.kill()
        return self.start().wait_ready(timeout)


class Postgres:
    """Debian's PostgreSQL on a private unix socket, without TCP, in a directory of its own."""

    USER = "mlflow"
    DATABASE = "mlflow"

    def __init__(self) -> None:
        candidates = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        if not candidates:
            raise ProcessError("no PostgreSQL in /usr/lib/postgresql/*/bin: install the package postgresql")
        self.bin = Path(candidates[-1])
        user = unprivileged_user()  # initdb and postgres refuse root
        self.directory = private_directory("mlflowha-pg-", user)
        self._data = self.directory / "data"
        initdb = ManagedProcess(
            "initdb",
            [
                str(self.bin / "initdb"),
                f"--pgdata={self._data}",
                f"--username={self.USER}",
                "--auth=trust",  # the socket's directory is ours alone
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
            self.directory / "initdb.log",
            user=user,
        )
        initdb.start()
        deadline = time.monotonic() + 60
        while initdb.running and time.monotonic() < deadline:
            time.sleep(0.02)
        if not (self._data / "PG_VERSION").exists() or initdb.running:
            raise ProcessError(f"initdb failed:\n{initdb.log_tail()}")
        initdb.kill()
        self.process = ManagedProcess(
            "postgres",
            [
                str(self.bin / "postgres"),
                *("-D", str(self._data), "-k", str(self.directory)),
                *("-c", "listen_addresses="),
                # The operating system outlives every fault that is tried here, so commits needn't wait for the disk;
                # a killed postgres still loses nothing.
                *("-c", "fsync=off"),
            ],
            self.directory / "postgres.log",
            user=user,
            death_signal=signal.SIGQUIT,  # the postmaster ends its children; they lead sessions of their own
        )

    @property
    def uri(self) -> str:
        """For SQLAlchemy. With the driver's name: bare "postgresql://" means psycopg 3 since SQLAlchemy 2.1."""
        return f"postgresql+psycopg2://{self.USER}@/{self.DATABASE}?host={self.directory}"

    def start(self) -> Postgres:
        """Starts, waits until it takes queries, and creates the database if there is none."""
        self.process.start()
        deadline = time.monotonic() + 30
        while True:
            try:
                if not self.query("SELECT 1 FROM pg_database WHERE datname = 'mlflow'", database="postgres"):
                    self.query(f"CREATE DATABASE {self.DATABASE}", database="postgres")
                return self
            except ProcessError:
                if not self.process.running or time.monotonic() > deadline:
                    raise ProcessError(f"postgres does not start:\n{self.process.log_tail()}") from None
                time.sleep(0.05)

    def stop(self) -> None:
        """As `pg_ctl stop -m immediate`: no shutdown, the next start recovers from the log."""
        self.process.terminate(signal.SIGQUIT, timeout=10)

    def restart(self) -> Postgres:
        self.stop()
        return self.start()

    def query(self, sql: str, database: str = DATABASE) -> list[list[str]]:
        """Rows of a statement as text, through psql."""
        separator = "\x1f"
        done = subprocess.run(
            [str(self.bin / "psql"), "-XqAt", f"-F{separator}", "-vON_ERROR_STOP=1", f"-h{self.directory}"]
            + [f"-U{self.USER}", f"-d{database}", "-c", sql],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise ProcessError(f"psql: {done.stderr.decode(errors='replace').strip()}")
        return [line.split(separator) for line in done.stdout.decode().splitlines()]


class Stack:
    """`count` MLflow servers on one database. A context manager: ready inside, gone afterwards."""

    def __init__(
        self,
        count: int,
        version: str = "3",
        backend: str = "sqlite",
        venv: Path | None = None,
        extras: Sequence[str] = (),
    ) -> None:
        if count < 1 or backend not in ("sqlite", "postgres"):
            raise ValueError(f"expected count >= 1 and backend sqlite or postgres, got {count} and {backend!r}")
        self.version = version
        self.backend = backend
        self.venv = venv_for(version) if venv is None else venv
        self.directory = private_directory("mlflowha-stack-")
        self.postgres: Postgres | None = Postgres() if backend == "postgres" else None
        self.database: Path | None = None if self.postgres else self.directory / "mlflow.db"
        self.backend_uri = self.postgres.uri if self.postgres else f"sqlite:///{self.database}"
        auth = write_auth_config(self.directory) if "auth" in extras else None
        self.login = auth[1] if auth else None
        self.kill_switch = self.directory / "kill-switch" if "kill-switch" in extras else None
        self.store = ObjectStore(self.directory) if "s3" in extras else None
        taken: set[int] = set()
        self.servers = [
            MlflowServer(
                self.venv,
                self.backend_uri,
                self.directory / "artifacts",
                self.directory / f"server-{number}.log",
                free_port(taken),
                extras,
                auth,
                self.kill_switch,
                self.store,
            )
            for number in range(1, count + 1)
        ]

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    def start(self) -> Stack:
        """The first server alone (it creates the tables), then the others together."""
        if self.postgres is not None:
            self.postgres.start()
        if self.store is not None:
            self.store.start()
        self.servers[0].start().wait_ready()
        for server in self.servers[1:]:
            server.start()
        for server in self.servers[1:]:
            server.wait_ready()
        return self

    def close(self) -> None:
        """Ends everything at once (nothing here is worth an orderly end) and removes the files."""
        for server in self.servers:
            server.process.send_signal(signal.SIGKILL)
        for server in self.servers:
            server.kill()
        if self.postgres is not None:
            self.postgres.stop()
            shutil.rmtree(self.postgres.directory, ignore_errors=True)
        if self.store is not None:
            self.store.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def revive(self) -> bool:
        """Starts servers that have died, without waiting; whether there were any."""
        dead = [server for server in self.servers if not server.process.running]
        for server in dead:
            server.kill()  # what is left of its group
            server.start()
        return bool(dead)

    def query(self, sql: str) -> list[list[str]]:
        """Rows of a statement as text, straight from the database."""
        if self.postgres is not None:
            return self.postgres.query(sql)
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as connection:
            return [["" if v is None else str(v) for v in row] for row in connection.execute(sql)]

    def sqlite_is_locked(self, patience: float) -> bool:
        """Whether somebody keeps others from writing for longer than `patience` seconds: with SQLite's write lock, or
        with a read lock, under which nobody can commit."""
        with contextlib.closing(
            sqlite3.connect(str(self.database), timeout=patience, isolation_level=None)
        ) as connection:
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                return True
            connection.execute("ROLLBACK")
            return False

    def __enter__(self) -> Stack:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the program as Ctrl-C does: by an exception, so that every `finally` runs."""

    def raise_exit(signum: int, _frame: object) -> None:
        raise SystemExit(128 + signum)

    before = {signum: signal.signal(signum, raise_exit) for signum in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


# ---- the program ----------------------------------------------------------------------------------------------------


def ctest_above(pid: int) -> int:
    """The ctest among the ancestors of a process; 0 when there is none."""
    while pid > 1:
        pid = parent_pid(pid)
        try:
            if pid and Path(f"/proc/{pid}/comm").read_text().strip() == "ctest":
                return pid
        except OSError:
            return 0
    return 0


def read_state(path: Path) -> dict[str, object] | None:
    """The state that a living keeper wrote; None when there is no such keeper."""
    try:
        state = json.loads(path.read_text())
        keeper = state["keeper"]
        alive = process_start_ticks(int(keeper["pid"])) == keeper["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state if alive else None


def command_up(args: argparse.Namespace) -> int:
    command_down(args)
    watched = ctest_above(os.getpid()) if args.watch_pid is None else args.watch_pid
    args.state.parent.mkdir(parents=True, exist_ok=True)
    log = Path(f"{args.state}.log")
    with open(log, "wb") as out:
        keeper = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "keep", f"--version={args.version}", f"--count={args.count}"]
            + [f"--backend={args.backend}", f"--state={args.state.resolve()}", f"--idle-minutes={args.idle_minutes:g}"]
            + [f"--watch-pid={watched}"]
            + ([f"--venv={args.venv.resolve()}"] if args.venv else [])
            + [f"--with={extra}" for extra in args.extras],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        while keeper.poll() is None:
            state = read_state(args.state)
            if state is not None:
                print(f"{args.count} MLflow server(s) up: {' '.join(state['urls'])}")  # type: ignore[arg-type]
                return 0
            time.sleep(0.05)
    except BaseException:
        keeper.terminate()
        raise
    print(f"mlflow_stack.py up failed:\n{log.read_text(errors='replace')}", file=sys.stderr)
    return 1


def write_state(args: argparse.Namespace, stack: Stack) -> None:
    """What `up` and the tests want to know of the servers."""
    state = {
        "keeper": {"pid": os.getpid(), "started": process_start_ticks(os.getpid())},
        "version": args.version,
        "backend": args.backend,
        "backend_store_uri": stack.backend_uri,
        "database": str(stack.database) if stack.database else None,
        "directory": str(stack.directory),
        "urls": stack.urls,
        "login": list(stack.login) if stack.login else None,
        "bucket": f"s3://{stack.store.BUCKET}" if stack.store else None,
        "kill_switch": str(stack.kill_switch) if stack.kill_switch else None,
        "servers": [{"url": s.url, "port": s.port, "pid": s.pid} for s in stack.servers],
    }
    temporary = args.state.with_name(args.state.name + ".new")
    temporary.write_text(json.dumps(state, indent=2) + "\n")
    temporary.replace(args.state)


def command_keep(args: argparse.Namespace) -> int:
    """The keeper: owns the servers, never returns to a terminal."""
    watched_start = process_start_ticks(args.watch_pid) if args.watch_pid else None
    if args.watch_pid and watched_start is None:
        return 0  # whoever wanted the servers is gone already
    with ending_on_signals(), Stack(
        args.count, args.version, args.backend, args.venv, args.extras
    ) as stack:
        write_state(args, stack)
        try:
            ports = {server.port for server in stack.servers}
            idle_since = time.monotonic()
            while time.monotonic() - idle_since < args.idle_minutes * 60:
                if args.watch_pid and process_start_ticks(args.watch_pid) != watched_start:
                    break
                if established_connections(ports):
                    idle_since = time.monotonic()
                if stack.kill_switch and stack.revive():
                    write_state(args, stack)
                time.sleep(0.25)
        finally:
            with contextlib.suppress(FileNotFoundError):
                args.state.unlink()
    return 0


def command_down(args: argparse.Namespace) -> int:
    state = read_state(args.state)
    if state is None:
        return 0
    keeper: dict[str, object] = state["keeper"]  # type: ignore[assignment]
    pid = int(str(keeper["pid"]))
    for signum, patience in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if process_start_ticks(pid) != keeper["started"]:
                with contextlib.suppress(FileNotFoundError):
                    args.state.unlink()
                return 0
            time.sleep(0.02)
    print(f"the keeper (pid {pid}) does not end", file=sys.stderr)
    return 1


def command_signal(args: argparse.Namespace) -> int:
    state = read_state(args.state)
    if state is None:
        print(f"no stack is up for {args.state}", file=sys.stderr)
        return 1
    servers: list[dict[str, object]] = state["servers"]  # type: ignore[assignment]
    if not 0 <= args.server < len(servers):
        print(f"--server {args.server}: expected 0 to {len(servers) - 1}", file=sys.stderr)
        return 2
    return 0 if signal_group(int(str(servers[args.server]["pid"])), args.signal) else 1


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Real MLflow servers on one database.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, handler, text in (
        ("up", command_up, "start the servers and return when they answer"),
        ("keep", command_keep, "what `up` leaves behind; not for people"),
    ):
        sub = commands.add_parser(name, help=text)
        sub.set_defaults(handler=handler)
        sub.add_argument("--version", choices=("2", "3"), default="3", help="MLflow's major version")
        sub.add_argument("--count", type=int, default=1, help="number of servers")
        sub.add_argument("--backend", choices=("sqlite", "postgres"), default="sqlite")
        sub.add_argument("--venv", type=Path, help="default: build/venv/mlflow-VERSION")
        sub.add_argument(
            "--with",
            dest="extras",
            action="append",
            default=[],
            choices=("workspaces", "jobs", "auth", "kill-switch", "s3"),
            help="what a server does only when told to (of 2.x not workspaces and jobs); tools/kill_switch; artifacts in S3",
        )
        sub.add_argument("--idle-minutes", type=float, default=20, help="end when nobody is connected for that long")
        sub.add_argument(
            "--watch-pid", type=int, help="end with this process; default: the ctest above, if any; 0: none"
        )
        sub.add_argument("--state", type=Path, required=True)
    sub = commands.add_parser("down", help="end the servers of a state file; nothing to do is fine")
    sub.set_defaults(handler=command_down)
    sub.add_argument("--state", type=Path, required=True)
    sub = commands.add_parser("signal", help="send a signal to one server's process group")
    sub.set_defaults(handler=command_signal)
    sub.add_argument("--state", type=Path, required=True)
    sub.add_argument("--server", type=int, required=True, help="0 for the first")
    sub.add_argument("signal", type=lambda name: signal.Signals[f"SIG{name}"], help="KILL, STOP, CONT, TERM, ...")
    return parser.parse_args(argv)


def main() -> int:
    args = parse_arguments()
    try:
        return int(args.handler(args))
    except ProcessError as error:
        print(f"mlflow_stack.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
