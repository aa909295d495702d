#!/usr/bin/env python3
"""Records what a real MLflow server answers and what the official client sends, for tests that need no server.

    record.py PYTHON [PART...]     PYTHON: interpreter of a venv with MLflow in it (2.x needs sqlalchemy<2.1)
                                   PART: tracking, registry; all of them when none is named

Starts `mlflow server` on a free port of 127.0.0.1 with an empty SQLite database, plays tests/golden/cases (session.py says
what is in them) and writes
    tests/golden/VERSION/NAME.STATUS.json     the answer's body, as it came
    tests/golden/VERSION/session.json         [{"name", "operation", "request", "method", "target", "body", "status"}]
    tests/golden/VERSION/sent.json            [{"call", "method", "target", "body"}] of the official client
    tests/golden/VERSION/sent_registry.json   the same, of the part that registry.py plays
A new operation needs a line in cases, and both versions recorded again; it prints what has none. Standard library only;
MLflow itself is used inside the venv alone.
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
    def __init__(self, port: int, folder: pathlib.Path, table) -> None:
        self.port, self.folder, self.table = port, folder, table
        self.requests: list = []

    def ask(self, method: str, target: str, body=b"") -> tuple:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        raw = body.encode() if isinstance(body, str) else body
        connection.request(method, target, raw or None, {"Content-Type": kind} if raw else {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def keep(self, name: str, method: str, target: str, body=b"") -> bytes:
        """Asks, and stores the answer under that name. A body that is neither text nor bytes is sent as JSON."""
        status, data = self.ask(method, target, body if isinstance(body, (str, bytes)) else json.dumps(body))
        if name:
            (self.folder / f"{name}.{status}.json").write_bytes(data)
        return data

    def record(self, case: session.Case, variables: dict) -> None:
        text = session.replaced(case.text, variables)
        if case.operation:
            values = json.loads(text)
            method, target, body = session.request(self.table, self.table.operations[case.operation], values)
        else:
            values = None
            method, target, body = (text.split(" ", 2) + [""])[:3]
        status, data = self.ask(method, target, body)
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

    def everything(self) -> None:
        for cases in session.sessions(self.table).values():
            variables: dict = {}
            for case in cases:
                try:
                    self.record(case, variables)
                except session.CaseError as error:
                    raise session.CaseError(f"{case.where}: {error}") from None
        lines = [json.dumps(one, ensure_ascii=False) for one in self.requests]
        (self.folder / "session.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
        named = {one["operation"] for one in self.requests if one["name"]}
        without = [name for name in self.table.operations if name not in named]
        if without:
            print(f"operations without a case: {', '.join(without)}", file=sys.stderr)


def main() -> int:
    parts = sys.argv[2:] or ["tracking", "registry"]
    if len(sys.argv) < 2 or set(parts) - {"tracking", "registry"}:
        print(__doc__, file=sys.stderr)
        return 2
    python = pathlib.Path(sys.argv[1]).absolute()
    version = subprocess.run([python, "-c", "import mlflow; print(mlflow.__version__)"], check=True, text=True,
                             capture_output=True).stdout.strip()
    folder = HERE / version
    if not sys.argv[2:]:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="mlflowha-golden-"))
    port = free_port()
    environment = dict(os.environ, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_DISABLE_TELEMETRY="true",
                       MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true", MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES="0")
    environment["PATH"] = f"{python.parent}:{environment['PATH']}"
    server = subprocess.Popen(
        [python.parent / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
         "--backend-store-uri", f"sqlite:///{work}/db.sqlite", "--artifacts-destination", f"{work}/artifacts"],
        env=environment, cwd=work, start_new_session=True, stdout=open(work / "log", "w"), stderr=subprocess.STDOUT)
    try:
        recorder = Recorder(port, folder, session.the_table())
        for _ in range(600):
            try:
                if recorder.ask("GET", "/health")[1] == b"OK":
                    break
            except OSError:
                pass
            if server.poll() is not None:
                print((work / "log").read_text(), file=sys.stderr)
                return 1
            time.sleep(0.1)
        for part, record, calls, file in (
            ("tracking", recorder.everything, TRACKING, "sent.json"),
            ("registry", lambda: registry.record(recorder.keep), registry.OFFICIAL, "sent_registry.json"),
        ):
            if part in parts:
                record()
                subprocess.run([python, "-c", RECORDING + calls + KEEP, f"http://127.0.0.1:{port}", folder / file],
                               check=True, env=environment, cwd=work)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        shutil.rmtree(work, ignore_errors=True)
    print(f"{len(list(folder.iterdir()))} files in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
