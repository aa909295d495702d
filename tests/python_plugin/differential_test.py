"""The same script through MLflow's own client and through ours, each on a server of its own: answers, exceptions and
databases are the same."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import MLFLOW_3, SERVERS, VERSION, Door
from mlflow_stack import Stack

SCRIPT = Path(__file__).with_name("differential_script.py")

#: Columns that differ from run to run.
_MASKED = re.compile(
    r"time|timestamp|uuid|_id$|^id$|artifact_uri|artifact_location|source|storage_location|location$|user"
)


def transcript(uri: str, folder: Path, spool: Path, *parts: str) -> list[dict[str, Any]]:
    folder.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOWHA_", "MLFLOW_"))}
    environment.update(
        MLFLOW_TRACKING_URI=uri,
        MLFLOWHA_SPOOL_DIR=str(spool),
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="1",  # MLflow takes some minutes for seven after an error of the server
        GIT_PYTHON_REFRESH="quiet",
        PYTHONHASHSEED="0",  # MLflow makes JSON of sets
    )
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), *parts],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"call"')]


def database(stack: Stack) -> dict[str, list[str]]:
    """Every table's rows, as far as they can be the same."""
    assert stack.database is not None
    tables: dict[str, list[str]] = {}
    with closing(sqlite3.connect(stack.database)) as connection:
        connection.row_factory = sqlite3.Row
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            if name.startswith(("alembic", "sqlite")):
                continue
            rows = []
            for row in connection.execute(f'SELECT * FROM "{name}"'):
                values = {k: row[k] for k in row.keys() if not _MASKED.search(k)}  # noqa: SIM118
                if "mlflowha.request_id" in values.values():
                    continue
                text = re.sub(
                    r"[0-9a-f]{32}|127\.0\.0\.1:\d+|1[789]\d{11}(\.\d+)?|\d{4}-\d\d-\d\d[T ][\d:.]+", "*", repr(values)
                )
                rows.append(text)
            tables[name] = sorted(rows)
    return tables


def comparable(line: dict[str, Any]) -> dict[str, Any]:
    """Without what ours may say differently: our classes come on top of MLflow's, and the values of a failed SQL
    statement that a server quotes are not passed on."""
    line = dict(line)
    if "raised" in line:
        kinds = [kind for kind in line["raised"] if kind in ("RestException", "MlflowException", "Exception")]
        line["raised"] = kinds or line["raised"]
        line["message"] = re.sub(r" Error: \(.*", "", line["message"].replace("\\x0A", "\n"), flags=re.DOTALL)
        line["message"] = re.sub(r'<server>/\S+?\?path=\S+|, "sqlstate".*?"error_class": "\w+"', "", line["message"])
        line["message"] = re.sub(r"\{[^{}]*\}", lambda found: "".join(sorted(found.group())), line["message"])
        line["message"] = line["message"].lower()  # "Bad Request" or "BAD REQUEST", as the server likes it
    return line


def alike(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """MLflow gives up on an error 500 or 503 without saying what it was; ours says it, under the same code or the
    server's."""
    if not re.search("too many 50[03] error responses", theirs.get("message", "")):
        return False
    return ours.get("status") == theirs["status"] and ours.get("error_code") in (theirs["error_code"], "INVALID_STATE")


def compare(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    assert [line["call"] for line in ours] == [line["call"] for line in theirs]
    different = [
        (mine, official)
        for mine, official in zip(map(comparable, ours), map(comparable, theirs), strict=True)
        if mine != official and not alike(mine, official)
    ]
    assert not different, "\n".join(f"ours   {m}\ntheirs {t}\n" for m, t in different[:20])


def compare_databases(ours: Stack, theirs: Stack) -> None:
    mine, official = database(ours), database(theirs)
    assert sorted(mine) == sorted(official)
    for name in official:
        assert mine[name] == official[name], name


def test_same_answers_same_exceptions_same_database(tmp_path: Path) -> None:
    with Stack(1, VERSION, venv=SERVERS) as other, Stack(1, VERSION, venv=SERVERS) as third:
        theirs = transcript(other.urls[0], tmp_path / "theirs", tmp_path / "spool")
        ours = transcript(f"mlflowha+{third.urls[0]}", tmp_path / "ours", tmp_path / "spool")
        assert len(theirs) > 100
        compare(ours, theirs)
        compare_databases(third, other)
    assert not (tmp_path / "spool").exists()


@pytest.mark.skipif(not MLFLOW_3, reason="MLflow 2 has no workspaces")
def test_workspaces_and_what_is_in_them_with_the_first_server_dead(tmp_path: Path) -> None:
    """The plugin's workspace provider and, in a workspace, its scorer store: what they do over a list of which only the
    second server answers is what MLflow's own do."""
    closed = Door(0)
    extras = ("workspaces",)
    with Stack(1, VERSION, venv=SERVERS, extras=extras) as other, Stack(1, VERSION, venv=SERVERS, extras=extras) as third:
        theirs = transcript(other.urls[0], tmp_path / "theirs", tmp_path / "spool", "workspaces")
        ours = transcript(f"mlflowha+{closed.url},{third.urls[0]}", tmp_path / "ours", tmp_path / "spool", "workspaces")
        done = {line["call"] for line in theirs if "result" in line}
        assert {"create workspace", "workspaces", "experiment in it", "register", "list scorers", "get scorer"} <= done
        compare(ours, theirs)
        compare_databases(third, other)
    assert not (tmp_path / "spool").exists()
