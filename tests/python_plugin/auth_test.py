"""Every way in which MLflow's users show who they are: on every request, on every attempt, at every server.

Tokens and passwords are sent by the C++ client; headers of plugins, requests' auth objects and signatures are made by
MLflow's own code, for each attempt anew. Each way is tried by an unchanged program whose plugins are installed, against
two servers that fail now and then and admit nobody without papers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MLFLOW_3
from gate import Gate, Seen
from sigv4 import is_signed

from mlflowha import Client, replay
from mlflowha.testing import FakeBackend, FakeServer

PLUGIN = '''
import hashlib, hmac
from mlflow.tracking.request_auth.abstract_request_auth_provider import RequestAuthProvider
from mlflow.tracking.request_header.abstract_request_header_provider import RequestHeaderProvider


class Header(RequestHeaderProvider):
    def in_context(self):
        return True

    def request_headers(self):
        return {"X-Papers": "in order"}


class Token(RequestHeaderProvider):
    """As identity-aware proxies want it."""

    def in_context(self):
        return True

    def request_headers(self):
        return {"Authorization": "Bearer of-a-plugin"}


def sign(request):
    text = f"{request.method} {request.path_url}"
    request.headers["Authorization"] = "Probe " + hmac.new(b"secret", text.encode(), hashlib.sha256).hexdigest()
    return request


class Auth(RequestAuthProvider):
    def get_name(self):
        return "probe"

    def get_auth(self):
        return sign
'''

WORK = """
import sys
import mlflow
from mlflow import MlflowClient

uri, files = sys.argv[1], sys.argv[2] == "files"
mlflow.set_tracking_uri(uri)
mlflow.set_experiment("papers")
with mlflow.start_run(run_name="first") as run:
    for step in range(8):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_params({"a": 1, "b": "x y"})
    mlflow.set_tags({"t": "1"})
    mlflow.log_metrics({"acc": 0.5, "f1": 0.25})
    if files:
        mlflow.log_text("text", "a.txt")
client = MlflowClient()
if files:
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/a.txt") == "text"
client.create_registered_model("m")
client.set_registered_model_tag("m", "k", "v")
client.delete_registered_model("m")
assert [r.info.run_id for r in client.search_runs(["0", run.info.experiment_id])] == [run.info.run_id]
found = client.get_run(run.info.run_id)
assert found.info.status == "FINISHED" and found.data.params == {"a": "1", "b": "x y"}, found
assert len(client.get_metric_history(run.info.run_id, "loss")) == 8
print("done", run.info.run_id)
"""

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a/secret", "AWS_DEFAULT_REGION": "eu-west-1"}


def by_header(name: str, value: str) -> Callable[[Seen], bool]:
    return lambda seen: seen.headers.get(name) == value


def by_probe(seen: Seen) -> bool:
    signature = hmac.new(b"secret", f"{seen.method} {seen.target}".encode(), hashlib.sha256).hexdigest()
    return seen.headers.get("authorization") == f"Probe {signature}"


def by_signature(seen: Seen) -> bool:
    keys = KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"]
    return is_signed(seen.method, seen.target, seen.headers, seen.body, *keys)


BASIC = "Basic " + base64.b64encode(b"somebody:a long password").decode()
#: name -> (entry point, variables, whether a request is admitted)
WAYS: dict[str, tuple[str, dict[str, str], Callable[[Seen], bool]]] = {
    "token": ("", {"MLFLOW_TRACKING_TOKEN": "t"}, by_header("authorization", "Bearer t")),
    "password": (
        "",
        {"MLFLOW_TRACKING_USERNAME": "somebody", "MLFLOW_TRACKING_PASSWORD": "a long password"},
        by_header("authorization", BASIC),
    ),
    "header": ("request_header_provider Header", {}, by_header("x-papers", "in order")),
    "token of a plugin": ("request_header_provider Token", {}, by_header("authorization", "Bearer of-a-plugin")),
    "auth of a plugin": ("request_auth_provider Auth", {"MLFLOW_TRACKING_AUTH": "probe"}, by_probe),
    "signature": ("", {"MLFLOW_TRACKING_AWS_SIGV4": "true", **KEYS}, by_signature),
}
SIGNED = ("auth of a plugin", "signature")


def environment(entry: str, variables: dict[str, str], folder: Path) -> dict[str, str]:
    """Of a program for which the plugin is installed."""
    site = folder / "site"
    about = site / "papers-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "papers.py").write_text(PLUGIN, encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: papers\nVersion: 1.0\n", encoding="utf-8")
    if entry:
        group, name = entry.split()
        (about / "entry_points.txt").write_text(f"[mlflow.{group}]\nprobe = papers:{name}\n", encoding="utf-8")
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MLFLOW"))},
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": str(site),
        **variables,
    }


def run(code: str, arguments: list[str], variables: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    return subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def needs(way: str) -> None:
    if way == "signature" and importlib.util.find_spec("requests_auth_aws_sigv4") is None:
        pytest.skip("no requests-auth-aws-sigv4")


@pytest.mark.parametrize("way", WAYS)
def test_papers_are_shown_on_every_attempt(way: str, tmp_path: Path) -> None:
    needs(way)
    entry, variables, admits = WAYS[way]
    backend = FakeBackend(mlflow=3 if MLFLOW_3 else 2)
    with FakeServer(backend=backend) as server, Gate(server.url, admits) as a, Gate(server.url, admits) as b:
        a.fails = b.fails = True
        # The signer of MLflow reads a body that is a file as text: with signatures no file can be uploaded, with or
        # without us.
        files = "none" if way == "signature" else "files"
        done = run(WORK, [f"mlflowha+{a.url},{b.url}", files], environment(entry, variables, tmp_path), tmp_path)
    assert done.returncode == 0 and "done" in done.stdout, done.stderr
    assert a.refused == b.refused == []
    assert len(a.seen) > 10 and len(b.seen) > 1  # there was failover
    (run_id,) = backend.runs()
    assert [point[1] for point in backend.points(run_id, "loss")] == list(range(8))
    assert backend.duplicates() == []


def test_without_papers_nobody_is_admitted(tmp_path: Path) -> None:
    with FakeServer() as server, Gate(server.url, WAYS["header"][2]) as gate:
        done = run(WORK, [f"mlflowha+{gate.url}", "files"], environment("", {}, tmp_path), tmp_path)
    assert done.returncode != 0 and "401" in done.stderr and gate.refused


LOG_THROUGH_AN_OUTAGE = """
import sys
import mlflow

mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run() as run:
    for step in range(8):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
print("done", run.info.run_id)
"""


def outage_after_three(gate: list[Gate], way: str) -> Callable[[Seen], bool]:
    """Admits as the way does; after the third metric the gate is down for good."""
    metrics = itertools.count(1)

    def admits(seen: Seen) -> bool:
        if seen.target.endswith("/log-metric") and next(metrics) > 3:
            gate[0].down = True
        return WAYS[way][2](seen)

    return admits


#: MLflow's own way has half a minute of patience.
IMPATIENT = "import mlflowha.plugin.transport as t; t.PATIENCE = 1.0"
QUICK = {"MLFLOWHA_SPOOL_AFTER": "0.5", "MLFLOWHA_CALL_TIMEOUT": "2", "MLFLOWHA_EXIT_WAIT": "1"}


def test_what_is_spooled_without_papers_is_kept(tmp_path: Path) -> None:
    """The spool's delivery knows no plugins: until somebody else delivers it, it stays."""
    entry, variables, _ = WAYS["header"]
    gates: list[Gate] = []
    with FakeServer() as server, Gate(server.url, outage_after_three(gates, "header")) as gate:
        gates.append(gate)
        variables = environment(entry, {**variables, **QUICK}, tmp_path)
        done = run(f"{IMPATIENT}\n{LOG_THROUGH_AN_OUTAGE}", [f"mlflowha+{gate.url}"], variables, tmp_path)
        assert done.returncode == 0 and "done" in done.stdout, done.stderr
        assert "python -m mlflowha replay" in done.stderr
        # The gate is up again, and refuses what has no papers.
        gate.down = False
        gate.admits = WAYS["header"][2]
        report = replay(str(tmp_path / "mlflowha-spool"), Client(gate.url), patience=1.0)
        assert not report["complete"] and gate.refused
        # Past the gate all of it arrives.
        report = replay(str(tmp_path / "mlflowha-spool"), Client(server.url))
        assert report["complete"], report
        (run_id,) = server.backend.runs()
        assert [point[1] for point in server.backend.points(run_id, "loss")] == list(range(8))


@pytest.mark.parametrize("way", SIGNED)
def test_what_must_be_signed_is_not_spooled(way: str, tmp_path: Path) -> None:
    needs(way)
    entry, variables, _ = WAYS[way]
    gates: list[Gate] = []
    with FakeServer() as server, Gate(server.url, outage_after_three(gates, way)) as gate:
        gates.append(gate)
        variables = environment(entry, {**variables, **QUICK}, tmp_path)
        done = run(f"{IMPATIENT}\n{LOG_THROUGH_AN_OUTAGE}", [f"mlflowha+{gate.url}"], variables, tmp_path)
        assert done.returncode == 1 and "503" in done.stderr, done.stderr
        assert done.stderr.count("in an outage logging calls fail") == 1
        assert "INVALID_PARAMETER_VALUE" not in done.stderr and not (tmp_path / "mlflowha-spool").exists()
        assert gate.refused == []


def test_the_verifier_knows_signatures() -> None:
    """AWS's published example `get-vanilla`, and what is wrong with it when anything is changed."""
    headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
    headers["authorization"] = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )
    keys = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    assert is_signed("GET", "/", headers, b"", *keys)
    assert not is_signed("GET", "/other", headers, b"", *keys)
    assert not is_signed("POST", "/", headers, b"", *keys)
    assert not is_signed("GET", "/", headers, b"body", *keys)
    assert not is_signed("GET", "/", {**headers, "host": "elsewhere"}, b"", *keys)
    assert not is_signed("GET", "/", headers, b"", "AKIDEXAMPLE", "another")
    assert not is_signed("GET", "/", {}, b"", *keys)
