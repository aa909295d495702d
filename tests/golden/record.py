#!/usr/bin/env python3
"""Records what a real MLflow server answers and what the official client sends, for tests that need no server.

    record.py PYTHON     PYTHON: interpreter of a venv with MLflow in it (2.x needs sqlalchemy<2.1)

Starts `mlflow server` on a free port of 127.0.0.1 with an empty SQLite database, plays tests/golden/cases (session.py says
what is in them; sessions that need more of a server get one of their own) and writes
    tests/golden/VERSION/NAME.STATUS.json     the answer's body, as it came but for the server's folder
    tests/golden/VERSION/session.json         [{"name", "operation", "request", "method", "target", "body", "status"}]
    tests/golden/VERSION/sent.json            [{"call", "method", "target", "body"}] of the official client
    tests/golden/VERSION/sent_registry.json   the same, of what registry.py makes it call
A new operation needs a line in cases, and both versions recorded again; it prints what has none, and golden_test.cpp
refuses it. Standard library only; MLflow itself is used inside the venv alone.
"""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import registry
import session

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from server_settings import auth_environment, write_auth_config  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent

RECORDING = r"""
import json, sys, requests
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
sent, call = [], [""]
send = requests.Session.send
def recording(self, request, **kwargs):
    if "/mlflow/" in request.path_url:
        body = request.body
        body = body.decode() if isinstance(body, bytes) else body
        sent.append({"call": call[0], "method": request.method, "target": request.path_url, "body": body or ""})
    return send(self, request, **kwargs)
requests.Session.send = recording
client = MlflowClient(sys.argv[1])
def do(name, function):
    call[0] = name
    return function()
"""
TRACKING = r"""
e = do("create_experiment", lambda: client.create_experiment("official", tags={"team": "a"}))
do("get_experiment", lambda: client.get_experiment(e))
do("get_experiment_by_name", lambda: client.get_experiment_by_name("official"))
do("search_experiments", lambda: client.search_experiments(view_type=ViewType.ALL, max_results=5))
do("set_experiment_tag", lambda: client.set_experiment_tag(e, "k", "v"))
do("rename_experiment", lambda: client.rename_experiment(e, "official renamed"))
r = do("create_run", lambda: client.create_run(e, start_time=1700000000000, run_name="first", tags={"a": "b"})).info.run_id
do("log_metric", lambda: client.log_metric(r, "loss", 0.1, timestamp=1700000000001, step=3))
do("log_metric_nan", lambda: client.log_metric(r, "bad", float("nan"), timestamp=1700000000001, step=3))
do("log_param", lambda: client.log_param(r, "lr", "0.01"))
do("set_tag", lambda: client.set_tag(r, "t", "\u00e4\"\n"))
do("delete_tag", lambda: client.delete_tag(r, "t"))
do("log_batch", lambda: client.log_batch(r, [Metric("m", 1.5, 1700000000002, 1)], [Param("p", "1")], [RunTag("t", "2")]))
do("log_inputs", lambda: client.log_inputs(r, [DatasetInput(Dataset("d", "1", "local", "s"), [InputTag("k", "v")])]))
do("get_run", lambda: client.get_run(r))
do("search_runs", lambda: client.search_runs([e], "metrics.m > 1", ViewType.ALL, 7, ["metrics.m DESC"]))
do("get_metric_history", lambda: client.get_metric_history(r, "m"))
do("update_run", lambda: client.update_run(r, name="second"))
do("set_terminated", lambda: client.set_terminated(r, "FINISHED", 1700000000009))
do("delete_run", lambda: client.delete_run(r))
do("restore_run", lambda: client.restore_run(r))
do("delete_experiment", lambda: client.delete_experiment(e))
do("restore_experiment", lambda: client.restore_experiment(e))
ids = {"experiment_id": e, "run_id": r}
"""
KEEP = r"""
json.dump(dict(ids, sent=sent), open(sys.argv[2], "w"), indent=1, ensure_ascii=True)
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Recorder:
    """Plays sessions to a server and keeps its answers."""

    def __init__(self, folder: pathlib.Path, table: session.Table) -> None:
        self.folder, self.table = folder, table
        self.requests: list = []

    def record(self, case: session.Case, server: "Server", variables: dict) -> None:
        text = session.replaced(case.text, variables)
        values = json.loads(text) if case.operation else None
        headers: dict = {}
        if case.operation:
            operation = self.table.operations[case.operation]
            method, target, body = session.request(self.table, operation, values)
            as_bytes = operation.raw_body is not None
        else:
            method, target, headers, body = session.raw(text)
            as_bytes = False
        status, data = server.ask(method, target, body.encode() if as_bytes else body, headers)
        data = data.replace(str(server.work).encode(), b"/server")  # a folder of one machine, in messages of errors
        if case.name:
            (self.folder / f"{case.name}.{status}.json").write_bytes(data)
        for variable, path in case.keep:
            try:
                variables[variable] = session.pick(json.loads(data), path)
            except (ValueError, LookupError, TypeError):
                variables[variable] = "none"  # a release without this operation: what follows is refused, too
        if case.operation:
            self.requests.append({"name": case.name, "operation": case.operation, "request": values, "method": method,
                                  "target": target, "body": body, "status": status})

    def play(self, cases: list, server: "Server") -> None:
        variables: dict = {}
        for case in cases:
            try:
                self.record(case, server, variables)
            except (session.CaseError, ValueError) as error:
                raise session.CaseError(f"{case.where}: {error}") from None

    def write(self) -> None:
        lines = [json.dumps(one, ensure_ascii=False) for one in self.requests]
        (self.folder / "session.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
        named = {one["operation"] for one in self.requests if one["name"]}
        without = [name for name in self.table.operations if name not in named]
        if without:
            print(f"operations without a case: {', '.join(without)}", file=sys.stderr)


class Server:
    """`mlflow server` with a database of its own, in a `with` block. `extras`: words of a cases file's `server` line."""

    def __init__(self, python: pathlib.Path, extras: tuple) -> None:
        unknown = set(extras) - {"auth", "jobs", "workspaces"}
        if unknown:
            raise session.CaseError(f"no such extra of a server: {', '.join(unknown)}")
        self.python, self.extras, self.port = python, extras, free_port()
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="mlflowha-golden-"))
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "_MLFLOW"))}
        self.environment.update(
            PATH=f"{python.parent}:{os.environ['PATH']}",
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="true" if "jobs" in extras else "false",
            MLFLOW_DISABLE_TELEMETRY="true",
            MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
            MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES="0",
        )
        self.login = None
        if "auth" in extras:
            config, self.login = write_auth_config(self.work)
            self.environment.update(auth_environment(config))

    def __enter__(self) -> "Server":
        with open(self.work / "log", "wb") as log:
            self.process = subprocess.Popen(
                [self.python.parent / "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
                 "--backend-store-uri", f"sqlite:///{self.work}/db.sqlite",
                 "--artifacts-destination", f"{self.work}/artifacts"]
                + (["--enable-workspaces"] if "workspaces" in self.extras else [])
                + (["--app-name=basic-auth"] if self.login else []),
                env=self.environment, cwd=self.work, start_new_session=True, stdout=log, stderr=subprocess.STDOUT)
        for _ in range(1200):
            try:
                if self.ask("GET", "/health")[1] == b"OK":
                    return self
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        said = (self.work / "log").read_text(errors="replace")
        self.__exit__()
        raise RuntimeError(f"mlflow server does not answer:\n{said}")

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    def ask(self, method: str, target: str, body: "str | bytes" = b"", headers: "dict | None" = None) -> tuple:
        """(status, body). Text is sent as JSON, bytes as they are."""
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        raw = body.encode() if isinstance(body, str) else body
        headers = {**(headers or {}), **({"Authorization": self.login.header} if self.login else {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, target, raw or None, {**({"Content-Type": kind} if raw else {}), **headers})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def official(self, calls: str, file: pathlib.Path) -> None:
        """Has the official client make these calls and keeps what it sends."""
        subprocess.run([self.python, "-c", RECORDING + calls + KEEP, f"http://127.0.0.1:{self.port}", file],
                       check=True, env=self.environment, cwd=self.work)


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    python = pathlib.Path(sys.argv[1]).absolute()
    version = subprocess.run([python, "-c", "import mlflow; print(mlflow.__version__)"], check=True, text=True,
                             capture_output=True).stdout.strip()
    table = session.the_table()
    servers: dict = {}
    for cases in session.sessions(table).values():
        # Of the extras MLflow 2 has only logins: it refuses the other options, and answers what needs them like any unknown
        # route.
        extras = tuple(e for e in cases.extras if e == "auth" or not version.startswith("2."))
        servers.setdefault(extras, []).append(cases.cases)
    with tempfile.TemporaryDirectory(prefix="mlflowha-golden-") as fresh:
        recorder = Recorder(pathlib.Path(fresh) / version, table)
        recorder.folder.mkdir()
        for extras, sessions in servers.items():
            with Server(python, extras) as server:
                for cases in sessions:
                    recorder.play(cases, server)
                if not extras:
                    server.official(TRACKING, recorder.folder / "sent.json")
                    server.official(registry.OFFICIAL, recorder.folder / "sent_registry.json")
        recorder.write()
        folder = HERE / version
        shutil.rmtree(folder, ignore_errors=True)  # only now: a session that failed leaves the old recordings alone
        shutil.copytree(recorder.folder, folder)
    print(f"{len(list(folder.iterdir()))} files in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
