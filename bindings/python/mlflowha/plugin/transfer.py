"""Transfer: one request with failover, sent by MLflow's own transfer code.

For what isn't JSON in and JSON out: files, protobuf, answers as plain text; and for requests that need what the C++
client doesn't have: headers of plugins, signatures. It tries the endpoints in their order, the ones that failed lately
last, and sends a request again only where that can't do it twice.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from requests.exceptions import ChunkedEncodingError, ConnectTimeout, ReadTimeout
from requests.exceptions import ConnectionError as RequestsConnectionError

from mlflowha.plugin.uris import shown

#: Answers that another endpoint, or the same a little later, may not give.
_BUSY = frozenset({408, 429, 502, 503, 504})
_CONNECT = 2.0  # seconds, as TimeoutOptions::connect
PATIENCE = 30.0  # seconds after which no other attempt is begun, as TimeoutOptions::call
_WAIT_BASE, _WAIT_CAP = 0.05, 5.0  # seconds; full jitter below base * 2^n, as BackoffOptions
_AVOID = 5.0  # seconds for which an endpoint that failed comes last

Send = Callable[..., requests.Response]


class Transfer:
    """Thread-safe; keeps no connection of its own."""

    def __init__(self, endpoints: list[str]) -> None:
        self._endpoints = endpoints
        self._avoid: dict[str, float] = {}
        self._lock = threading.RLock()

    def renew_after_fork(self) -> None:
        self._lock = threading.RLock()

    def send(
        self,
        send: Send,
        method: str,
        path: str,
        *,
        again: bool,
        timeout: float | None,
        patience: float = PATIENCE,
        once: bool = False,
        options: Mapping[str, Any],
    ) -> requests.Response:
        """The first useful answer.

        `again`: whether a request that may have been carried out may be sent again. `patience`: seconds after which
        no other attempt is begun. `once`: no waiting, one round.
        """
        data: Any = options.get("data")
        start = data.tell() if hasattr(data, "seek") and hasattr(data, "tell") else None
        rewindable = start is not None or not hasattr(data, "read")
        begun = time.monotonic()
        story: list[str] = []
        last: requests.Response | None = None
        error: Exception | None = None
        turn = 0
        while True:
            for endpoint in self._order():
                if (story or last is not None) and start is not None:
                    data.seek(start)
                try:
                    response = send(method, endpoint + path, timeout=(_CONNECT, timeout), **options)
                except (RequestsConnectionError, ReadTimeout, ChunkedEncodingError) as e:
                    self._failed(endpoint)
                    error = e
                    story.append(f"{shown(endpoint)}: {e}")
                    if _was_sent(e) and not (again and rewindable):
                        raise type(e)(_told(method, path, story) + "; it may have been carried out") from e
                    continue
                if not is_busy(response):
                    self._worked(endpoint)
                    return response
                story.append(f"{shown(endpoint)}: {response.status_code}")
                last = response
                if response.status_code != 429:
                    self._failed(endpoint)
                if not (again and rewindable):
                    return response
            wait = random.uniform(0, min(_WAIT_CAP, _WAIT_BASE * 2**turn))
            turn += 1
            if once or not rewindable or time.monotonic() - begun + wait > patience:
                break
            time.sleep(wait)
        if last is not None:
            return last
        assert error is not None
        raise type(error)(_told(method, path, story)) from error

    def _order(self) -> list[str]:
        now = time.monotonic()
        with self._lock:
            bad = {endpoint for endpoint, until in self._avoid.items() if until > now}
        return [e for e in self._endpoints if e not in bad] + [e for e in self._endpoints if e in bad]

    def _failed(self, endpoint: str) -> None:
        with self._lock:
            self._avoid[endpoint] = time.monotonic() + _AVOID

    def _worked(self, endpoint: str) -> None:
        with self._lock:
            self._avoid.pop(endpoint, None)


def _told(method: str, path: str, story: list[str]) -> str:
    told = story if len(story) <= 8 else [*story[:4], f"... {len(story) - 8} more ...", *story[-4:]]
    return f"{method} {path}: no endpoint answered: " + "; ".join(told)


def _was_sent(error: Exception) -> bool:
    """Whether the request may have reached a server."""
    if isinstance(error, ConnectTimeout):
        return False
    reason = getattr(error.args[0], "reason", None) if error.args else None
    names = {type(reason).__name__, type(error.args[0]).__name__ if error.args else ""}
    return not names & {"NewConnectionError", "ConnectTimeoutError", "NameResolutionError"}


def is_busy(response: requests.Response | None) -> bool:
    """Whether an answer says no more than: not here, or not now."""
    return response is not None and response.status_code in _BUSY and not _is_configuration(response)


def _is_configuration(response: requests.Response) -> bool:
    """503 of a server that was started without what was asked for: the same anywhere and later."""
    return (
        response.status_code == 503
        and response.headers.get("Content-Type", "").startswith("text/plain")
        and ("--serve-artifacts" in response.text or "--artifacts-only" in response.text)
    )
