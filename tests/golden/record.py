#!/usr/bin/env python3
"""Records what a real MLflow server answers and what the official client sends, for tests that need no server.

    record.py PYTHON [PART...]     PYTHON: interpreter of a venv with MLflow in it (2.x needs sqlalchemy<2.1)
                                   PART: tracking, registry; all of them when none is named

Starts `mlflow server` on a free port of 127.0.0.1 with an empty SQLite database, asks it for everything below and writes
    tests/golden/VERSION/NAME.STATUS.json     the answer's body, as it came
    tests/golden/VERSION/sent.json            [{"call", "method", "target", "body"}] of the official client
    tests/golden/VERSION/sent_PART.json       the same, of the other parts
Standard library only; MLflow itself is used inside the venv alone.
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

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import registry  # noqa: E402

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
    def __init__(self, port: int, folder: pathlib.Path) -> None:
        self.port, self.folder = port, folder

    def ask(self, name: str, method: str, target: str, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        raw = body if isinstance(body, (str, bytes, type(None))) else json.dumps(body)
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        connection.request(method, target, raw, {"Content-Type": kind} if raw is not None else {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if name:
            (self.folder / f"{name}.{answer.status}.json").write_bytes(data)
        try:
            return json.loads(data)
        except ValueError:
            return data

    def everything(self) -> None:
        mlflow, runs, experiments = "/api/2.0/mlflow", "/api/2.0/mlflow/runs", "/api/2.0/mlflow/experiments"
        ask, t = self.ask, 1700000000000
        ask("get_health", "GET", "/health")
        ask("get_server_version", "GET", "/version")
        ask("get_server_info", "GET", "/api/3.0/mlflow/server-info")
        ask("not_a_route", "GET", mlflow + "/no/such/route")
        e = ask("create_experiment", "POST", experiments + "/create",
                {"name": "golden \u00e4\u20ac\U0001f600", "tags": [{"key": "team", "value": "a\nb"}]})["experiment_id"]
        ask("create_experiment_again", "POST", experiments + "/create", {"name": "golden \u00e4\u20ac\U0001f600"})
        ask("get_experiment", "GET", f"{experiments}/get?experiment_id={e}")
        ask("get_experiment_missing", "GET", f"{experiments}/get?experiment_id=987654321")
        ask("get_experiment_by_name", "GET", f"{experiments}/get-by-name?experiment_name=golden%20%C3%A4%E2%82%AC%F0%9F%98%80")
        ask("search_experiments", "POST", experiments + "/search", {"max_results": 1, "view_type": "ALL"})
        ask("search_experiments_bad_filter", "POST", experiments + "/search", {"max_results": 1, "filter": "no such"})
        ask("set_experiment_tag", "POST", experiments + "/set-experiment-tag", {"experiment_id": e, "key": "k", "value": "v"})
        ask("delete_experiment_tag", "POST", experiments + "/delete-experiment-tag", {"experiment_id": e, "key": "k"})
        ask("delete_experiment_tag_again", "POST", experiments + "/delete-experiment-tag", {"experiment_id": e, "key": "k"})
        rename = {"experiment_id": e, "new_name": "renamed"}
        ask("update_experiment", "POST", experiments + "/update", rename)
        ask("update_experiment_again", "POST", experiments + "/update", rename)
        create = {"experiment_id": e, "run_name": "first", "start_time": t, "tags": [{"key": "a", "value": "b"}]}
        r = ask("create_run", "POST", runs + "/create", create)["run"]["info"]["run_id"]
        point = {"run_id": r, "key": "loss", "value": 0.1, "timestamp": t + 1, "step": -7}
        ask("log_metric", "POST", runs + "/log-metric", point)
        ask("log_metric_again", "POST", runs + "/log-metric", point)
        for key, value in (("nan", "NaN"), ("plus", "Infinity"), ("minus", "-Infinity"), ("tiny", 5e-324), ("big", 1.7e308)):
            ask("", "POST", runs + "/log-metric", {"run_id": r, "key": key, "value": value, "timestamp": t, "step": 2**53 + 1})
        ask("log_metric_bad", "POST", runs + "/log-metric", {"run_id": r, "key": "loss", "value": "x", "timestamp": t})
        ask("log_param", "POST", runs + "/log-parameter", {"run_id": r, "key": "lr", "value": ""})
        ask("log_param_again", "POST", runs + "/log-parameter", {"run_id": r, "key": "lr", "value": ""})
        ask("log_param_other_value", "POST", runs + "/log-parameter", {"run_id": r, "key": "lr", "value": "2"})
        ask("set_tag", "POST", runs + "/set-tag", {"run_id": r, "key": "t", "value": "\u00e4\"\\\n"})
        ask("delete_tag", "POST", runs + "/delete-tag", {"run_id": r, "key": "a"})
        ask("delete_tag_again", "POST", runs + "/delete-tag", {"run_id": r, "key": "a"})
        ask("log_batch", "POST", runs + "/log-batch", {
            "run_id": r, "metrics": [{"key": "loss", "value": 0.05, "timestamp": t + 2, "step": 1}],
            "params": [{"key": "p", "value": "1"}], "tags": [{"key": "x", "value": "y"}]})
        dataset = {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}
        ask("log_inputs", "POST", runs + "/log-inputs", {"run_id": r, "datasets": [
            {"dataset": dataset, "tags": [{"key": "mlflow.data.context", "value": "training"}]}]})
        ask("search_datasets", "POST", "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": [e]})
        model = {"artifact_path": "m", "flavors": {}, "utc_time_created": "2026-01-01 00:00:00", "run_id": r}
        ask("log_model", "POST", runs + "/log-model", {"run_id": r, "model_json": json.dumps(model)})
        ask("log_outputs", "POST", runs + "/outputs", {"run_id": r, "models": [{"model_id": "m-" + "0" * 32, "step": 0}]})
        ask("get_run", "GET", f"{runs}/get?run_id={r}")
        ask("get_run_missing", "GET", f"{runs}/get?run_id={'0' * 32}")
        ask("search_runs", "POST", runs + "/search", {"experiment_ids": [e], "max_results": 1})
        ask("", "POST", runs + "/create", dict(create, run_name="second"))
        ask("search_runs_page", "POST", runs + "/search", {"experiment_ids": [e], "max_results": 1})
        ask("search_runs_empty", "POST", runs + "/search", {"experiment_ids": [e], "filter": "params.none = 'x'"})
        ask("get_metric_history", "GET", f"{mlflow}/metrics/get-history?run_id={r}&metric_key=loss&max_results=25000")
        ask("get_metric_history_page", "GET", f"{mlflow}/metrics/get-history?run_id={r}&metric_key=loss&max_results=1")
        ask("get_metric_history_bulk_interval", "GET",
            f"{mlflow}/metrics/get-history-bulk-interval?run_ids={r}&metric_key=loss&max_results=10")
        update = {"run_id": r, "status": "FINISHED", "end_time": t + 9}
        ask("update_run", "POST", runs + "/update", update)
        ask("update_run_again", "POST", runs + "/update", update)
        for name in ("delete_run", "delete_run_again"):
            ask(name, "POST", runs + "/delete", {"run_id": r})
        for name in ("restore_run", "restore_run_again"):
            ask(name, "POST", runs + "/restore", {"run_id": r})
        for name in ("delete_experiment", "delete_experiment_again"):
            ask(name, "POST", experiments + "/delete", {"experiment_id": e})
        for name in ("restore_experiment", "restore_experiment_again"):
            ask(name, "POST", experiments + "/restore", {"experiment_id": e})
        ask("not_json", "POST", runs + "/search", "{not json")


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
        recorder = Recorder(port, folder)
        for _ in range(600):
            try:
                if recorder.ask("", "GET", "/health") == b"OK":
                    break
            except OSError:
                pass
            if server.poll() is not None:
                print((work / "log").read_text(), file=sys.stderr)
                return 1
            time.sleep(0.1)
        for part, record, calls, file in (
            ("tracking", recorder.everything, TRACKING, "sent.json"),
            ("registry", lambda: registry.record(recorder.ask), registry.OFFICIAL, "sent_registry.json"),
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
