"""Gate: an HTTP server in front of a fake MLflow server that looks at every request's papers, and sometimes fails.

Any request without them gets a 401, as from a proxy that knows users; all are kept, also those that were failed.
"""

from __future__ import annotations

import http.client
import http.server
import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Seen:
    """One request, its header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Gate:
    def __init__(self, upstream: str, admits: Callable[[Seen], bool]) -> None:
        self.upstream = urlsplit(upstream)
        self.admits = admits
        self.seen: list[Seen] = []
        self.refused: list[Seen] = []
        self.down = False  # every request gets a 503
        #: Of a hundred requests each tenth gets a 503, and of each tenth the connection is cut before an answer.
        self.fails = False
        self._count = itertools.count(1)
        gate = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                gate.handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Gate:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def handle(self, request: Any) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        seen = Seen(request.command, request.path, {k.lower(): v for k, v in request.headers.items()}, body)
        self.seen.append(seen)
        if not self.admits(seen):
            self.refused.append(seen)
            return self._answer(request, 401, {}, b"who are you?")
        number = next(self._count)
        if self.down or (self.fails and number % 10 == 3):
            return self._answer(request, 503, {}, b"busy")
        if self.fails and number % 10 == 7:
            request.close_connection = True
            return None
        upstream = http.client.HTTPConnection(self.upstream.hostname or "", self.upstream.port, timeout=30)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "connection")}
        upstream.request(request.command, request.path, body=body, headers=headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        return self._answer(request, answer.status, dict(answer.getheaders()), content)

    @staticmethod
    def _answer(request: Any, status: int, headers: Mapping[str, str], body: bytes) -> None:
        request.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
