"""Makes an MLflow server kill itself between the commit of requests and their replies; on PYTHONPATH of servers that
mlflow_stack.py starts `--with kill-switch`. Does nothing elsewhere.

A test writes lines "METHOD END-OF-PATH" into the file that MLFLOWHA_KILL_SWITCH names. The server that is about to answer
one of these requests with a 2xx takes the file, and holds the answer back until each line has had such a request: what they
asked for is in the database by then, and no client has heard of it. Then the whole process group dies by SIGKILL. One death
so serves as many requests as there are lines. When they don't all come within HOLD seconds it dies all the same, and
leaves the lines that it has missed in a file with the ending ".missed".

Of gunicorn's workers (MLflow 2) only those with threads can hold several answers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

HOLD = 20.0


class KillSwitch:
    def __init__(self, path: str) -> None:
        self.path = path
        self.waiting: list[str] | None = None  # lines without a request so far; None: not taken
        self.until = 0.0

    def is_due(self, method: str, path: str, status: int) -> bool:
        """Whether the answer to this request must be held. Called before its first byte goes out."""
        if not 200 <= status < 300:
            return False
        waiting = self.waiting
        if waiting is None:
            try:
                with open(self.path, encoding="utf-8") as file:
                    waiting = file.read().splitlines()
            except FileNotFoundError:
                return False
        line = next((x for x in waiting if x.split(" ", 1)[0] == method and path.endswith(x.split(" ", 1)[1])), None)
        if line is None:
            return False
        if self.waiting is None:
            try:
                os.unlink(self.path)
            except FileNotFoundError:  # another server was faster
                return False
            self.waiting = waiting
            self.until = time.monotonic() + HOLD
        waiting.remove(line)
        return True

    def pull(self) -> None:
        """Dies when it is time."""
        if self.waiting and time.monotonic() < self.until:
            return
        if self.waiting:
            with open(self.path + ".missed", "w", encoding="utf-8") as file:
                file.write("\n".join(self.waiting) + "\n")
        os.killpg(os.getpgrp(), signal.SIGKILL)


def watch_uvicorn(switch: KillSwitch) -> None:
    import asyncio
    import importlib

    for name in ("h11_impl", "httptools_impl"):
        try:
            cycle = importlib.import_module(f"uvicorn.protocols.http.{name}").RequestResponseCycle
        except ImportError:
            continue

        async def send(self, message, original=cycle.send):  # type: ignore[no-untyped-def]
            if message["type"] == "http.response.start" and switch.is_due(
                self.scope["method"], self.scope["path"], message["status"]
            ):
                while True:
                    switch.pull()
                    await asyncio.sleep(0.01)
            await original(self, message)

        cycle.send = send


def watch_gunicorn(switch: KillSwitch) -> None:
    from gunicorn.http import wsgi

    original = wsgi.Response.send_headers

    def send_headers(self) -> None:  # type: ignore[no-untyped-def]
        if not self.headers_sent and switch.is_due(self.req.method, self.req.path, self.status_code):
            while True:
                switch.pull()
                time.sleep(0.01)
        original(self)

    wsgi.Response.send_headers = send_headers


if os.environ.get("MLFLOWHA_KILL_SWITCH"):
    # A venv has one of the two, or both; what it lacks can't serve.
    for watch in (watch_uvicorn, watch_gunicorn):
        with contextlib.suppress(ImportError):
            watch(KillSwitch(os.environ["MLFLOWHA_KILL_SWITCH"]))
