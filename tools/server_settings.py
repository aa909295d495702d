"""How the servers of mlflow_stack.py are set up: their environment, and the login of those that want one.

Standard library only.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Login(NamedTuple):
    """The administrator of a server with the authentication application."""

    username: str
    password: str

    @property
    def header(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def write_auth_config(directory: Path) -> tuple[Path, Login]:
    """The settings of the authentication application, with a password of their own."""
    login = Login("admin", secrets.token_urlsafe(16))
    path = directory / "basic_auth.ini"
    path.write_text(
        "[mlflow]\n"
        "default_permission = READ\n"
        f"database_uri = sqlite:///{directory / 'auth.db'}\n"
        f"admin_username = {login.username}\n"
        f"admin_password = {login.password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    return path, login


def auth_environment(config: Path) -> dict[str, str]:
    """What a server with the authentication application needs besides."""
    return {"MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16)}


def kill_switch_environment(switch: Path) -> dict[str, str]:
    """For a server that kills itself when a file says so: kill_switch/sitecustomize.py."""
    folder = Path(__file__).resolve().parent / "kill_switch"
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "MLFLOWHA_KILL_SWITCH": str(switch)}


def is_mlflow_2(venv: Path) -> bool:
    """Whether a venv has MLflow 2, which gunicorn serves; newer ones have uvicorn."""
    return any(venv.glob("lib/python3*/site-packages/mlflow-2.*.dist-info"))


def server_environment(extras: Sequence[str] = ()) -> dict[str, str]:
    """Our environment without the caller's MLflow and proxy settings, and with what keeps a server small. `extras` may
    hold "jobs": then it can run jobs, and is not small."""
    proxies = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "_MLFLOW")) and k.lower() not in proxies}
    env.update(
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="true" if "jobs" in extras else "false",
        MLFLOW_DISABLE_TELEMETRY="true",
        # Webhooks of tests point at this machine, where nobody answers.
        MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
        MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES="0",
        PYTHONUNBUFFERED="1",
    )
    return env
