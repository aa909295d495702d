"""Link: what stands behind one tracking or registry URI: its endpoints and the client that calls them.

One link a URI and process, shared by all stores and repositories of that URI, so that they share breakers, retry budget
and what is known about each endpoint. The client is made anew when the variables that it was made from change:
MLflow reads credentials at every request; here it takes a tenth of a second until new ones are noticed.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import mlflow

import mlflowha
from mlflowha import _core
from mlflowha.errors import MlflowhaError
from mlflowha.plugin import routes
from mlflowha.plugin.errors import to_mlflow
from mlflowha.plugin.transfer import Transfer
from mlflowha.plugin.uris import base_of, endpoints_of, lower_scheme

#: What a client is made from and what people change while a program runs; the first two have jobs in this file.
_WATCHED = (
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
)
_LOOK_EVERY = 0.1  # seconds

_request_tag: ContextVar[str] = ContextVar("mlflowha request tag", default="")


@contextlib.contextmanager
def creating(tag: str) -> Iterator[None]:
    """What is created within gets the request tag `tag`: for who must find it again if the answer is lost."""
    before = _request_tag.set(tag)
    try:
        yield
    finally:
        _request_tag.reset(before)


class Link:
    """Thread-safe. After a fork the child goes on with it.

    This lock and the plugin's others may be taken twice by a thread: a handler of signals or of logging may call MLflow
    in the middle of what they guard.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.endpoints = endpoints_of(uri)
        self.transfer = Transfer(self.endpoints)
        self._bases = {base_of(endpoint) for endpoint in self.endpoints}
        self._lock = threading.RLock()
        self._client: _core.Client | None = None
        self._made_from: tuple[Any, ...] | None = None
        self._looked = 0.0
        self._native = True
        _check_version()

    @property
    def preferred(self) -> str:
        """The first endpoint: what people are shown as the server's address."""
        return self.endpoints[0]

    def has(self, url: str) -> bool:
        """Whether the host of `url` is one of ours."""
        return base_of(url) in self._bases

    # --- the client

    def client(self) -> _core.Client:
        """The client for the environment as it is, looked at every now and then."""
        if time.monotonic() - self._looked > _LOOK_EVERY:
            self._look()
        client = self._client
        if client is None:
            with self._lock:
                client = self._client
                if client is None:
                    client = self._client = self._make_client()
        return client

    def native(self) -> bool:
        """Whether the C++ client can send this user's requests: it can't sign them as plugins of MLflow do."""
        if time.monotonic() - self._looked > _LOOK_EVERY:
            self._look()
        return self._native

    def native_client(self) -> _core.Client | None:
        """client(); nothing when not native()."""
        client = self._client
        if client is not None and self._native and time.monotonic() - self._looked <= _LOOK_EVERY:
            return client
        return self.client() if self.native() else None

    def _look(self) -> None:
        now = _core.surroundings(_WATCHED)
        _, auth, signed, *_ = now
        with self._lock:
            if now != self._made_from:
                self._native = not auth and (signed or "").lower() not in ("true", "1")
                self._client = None
                self._made_from = now
            self._looked = time.monotonic()

    def _make_client(self) -> _core.Client:
        try:
            return _core.Client(
                {
                    "endpoints": self.endpoints,
                    "http.user_agent": f"mlflow-python-client/{mlflow.__version__} mlflowha/{mlflowha.__version__}",
                }
            )
        except MlflowhaError as error:
            raise to_mlflow(error) from error

    # --- calls

    def call(self, operation: str, body: str, timeout: float | None = None) -> str:
        """An operation of the table; the answer's body. Raises MlflowException."""
        try:
            return self.client().call(operation, body, timeout)
        except MlflowhaError as error:
            raise to_mlflow(error) from error

    def request(self, method: str, path: str, body: str | None, timeout: float | None = None) -> str:
        """request_raw(), but raises MlflowException."""
        try:
            return self.request_raw(method, path, body, timeout)
        except MlflowhaError as error:
            raise to_mlflow(error) from error

    def request_raw(self, method: str, path: str, body: str | None, timeout: float | None = None) -> str:
        """A request of MLflow's client with JSON in its body or, for a GET, in its query. Raises MlflowhaError."""
        route = routes.find(method, path)
        if route is None:
            kind = routes.safe_class(method)
            return self.client().call_custom(method, path, body or "{}", idempotency=kind, timeout=timeout)
        if route.members:
            body = json.dumps(routes.put_members(json.loads(body) if body else {}, route.members))
        return self.client().call(route.operation, body or "{}", timeout, request_tag=_request_tag.get())


# --- the links of this process

_links: dict[str, Link] = {}
_links_lock = threading.RLock()


def link_to(uri: str) -> Link:
    """The one link to a URI."""
    uri = lower_scheme(uri).rstrip("/")
    key = uri if uri.startswith("mlflowha+") else f"{uri} {os.environ.get('MLFLOWHA_ENDPOINTS', '')}"
    with _links_lock:
        link = _links.get(key)
        if link is None:
            link = _links[key] = Link(uri)
        return link


def link_of_url(url: str) -> tuple[Link, str] | None:
    """The link whose URI `url` starts with, and the rest of `url`: for callers who glue URI and path together."""
    url = lower_scheme(url)
    with _links_lock:
        links = list(_links.values())
    for link in links:
        rest = url[len(link.uri) :]
        if url.startswith(link.uri) and (not rest or rest[0] in "/?"):
            return link, rest
    return None


def _renew_lock() -> None:
    global _links_lock
    _links_lock = threading.RLock()
    for link in _links.values():
        link._lock = threading.RLock()
        link.transfer.renew_after_fork()


os.register_at_fork(after_in_child=_renew_lock)


def _check_version() -> None:
    from mlflowha.plugin.versions import warn_if_unknown

    warn_if_unknown()
