"""The one function of MLflow through which its requests go, and what we put in its place for requests of ours.

`mlflow.utils.rest_utils.http_request` hands every request to `_get_http_response_with_retries`. Stores override what is
hot (`stores`); all else, such as spans, proxied artifacts, capability probes, the registry of MCP servers, arrives
here. A request is ours when the credentials that it was made with are `LinkedCreds`; MLflow's own go where they
always went. docs/adr/ says why this is replaced and what else was looked at.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
from typing import Any
from urllib.parse import urlencode

import requests
from mlflow.utils import rest_utils
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import MlflowHostCreds

from mlflowha.errors import MlflowhaError
from mlflowha.plugin import routes
from mlflowha.plugin.errors import status_and_body
from mlflowha.plugin.headers import are_usual
from mlflowha.plugin.link import Link, link_of_url
from mlflowha.plugin.outage import keeper_of
from mlflowha.plugin.transfer import PATIENCE, is_busy

_NAME = "_get_http_response_with_retries"
_SLOWEST = 1 << 20  # bytes a second, as TimeoutOptions::slowest_transfer
_mlflows: Any = None
_lock = threading.RLock()


class Busy(requests.exceptions.RetryError, requests.exceptions.ConnectionError):
    """Every server has answered that it can't now: what MLflow's own retries end with, and an outage."""


class _Marked(str):
    """What `verify` is for requests: a path or nothing; and the link that the request belongs to."""

    link: Link
    value: Any


class LinkedCreds(MlflowHostCreds):
    """MLflow's credentials of this moment for `host`, and the link that requests with them go through."""

    link: Link

    @property
    def verify(self) -> Any:
        value = super().verify
        if not install():
            return value
        marked = _Marked(value if isinstance(value, str) else "")
        marked.link = self.link
        marked.value = value
        return marked


def creds(link: Link, host: str | None = None) -> LinkedCreds:
    plain = get_default_host_creds(host or link.preferred)
    made = LinkedCreds.__new__(LinkedCreds)
    made.__dict__.update(plain.__dict__, link=link)
    return made


def install() -> bool:
    """Puts our function in the place of MLflow's, once. False when this MLflow has no such place: then what doesn't
    go through the stores goes to the preferred endpoint alone."""
    global _mlflows
    if _mlflows is not None:
        return True
    with _lock:
        if _mlflows is None and hasattr(rest_utils, _NAME):
            _mlflows = getattr(rest_utils, _NAME)
            setattr(rest_utils, _NAME, _send)
    return _mlflows is not None


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


def _send(method: str, url: str, *positional: Any, **options: Any) -> requests.Response:
    verify = options.get("verify")
    if isinstance(verify, _Marked):
        link, path = verify.link, _path_of(url).removeprefix(_path_of(verify.link.preferred).rstrip("/"))
        options["verify"] = verify.value
    else:
        found = link_of_url(url)
        if found is None:
            return _mlflows(method, url, *positional, **options)
        link, path = found
    names = ("max_retries", "backoff_factor", "backoff_jitter", "retry_codes", "raise_on_status", "allow_redirects")
    options = {**dict(zip(names, positional, strict=False)), **options}
    once = options.get("max_retries") == 0
    timeout = options.pop("timeout", None)
    answer = _natively(link, method, path, options, timeout if once else None)
    if answer is not None:
        query = options.get("params")
        answer.url = f"{url}?{urlencode(query, doseq=True)}" if query else url
        return answer
    return _by_transfer(link, method, path, options, timeout, once)


def _natively(
    link: Link, method: str, path: str, options: dict[str, Any], timeout: float | None
) -> requests.Response | None:
    """By the C++ client; nothing when it can't do it."""
    if any(options.get(name) is not None for name in ("data", "files", "auth")) or options.get("stream"):
        return None
    if not path.startswith(("/api/", "/ajax-api/")) or "?" in path or not link.native():
        return None
    if not are_usual(options.get("headers") or {}):
        return None
    body, other = options.get("params"), options.get("json")
    if method != "GET":
        body, other = other, body
    if other:  # a query beside JSON: the C++ client sends one of both
        return None
    if method == "GET" and isinstance(body, list):
        gathered: dict[str, Any] = {}
        for key, value in body:
            gathered.setdefault(key, []).append(value)
        body = gathered
    if body is not None and not isinstance(body, dict):
        return None
    try:
        text = link.request_raw(method, path, None if body is None else json.dumps(body), timeout)
        return _response(routes.success(method, path), text)
    except MlflowhaError as error:
        answer = status_and_body(error)
        if answer is None:
            raise
        return _response(*answer)


def _by_transfer(
    link: Link, method: str, path: str, options: dict[str, Any], timeout: float | None, once: bool
) -> requests.Response:
    route = routes.find(method, path.partition("?")[0])
    kind = route.kind if route else routes.safe_class(method)
    if path.startswith("/api/2.0/mlflow-artifacts/artifacts/") or path == "/v1/traces":
        kind = "same_again"  # whole files, and spans with ids of their own
    raises = options.get("raise_on_status", True)
    options.update(max_retries=0, backoff_factor=0, backoff_jitter=0, retry_codes=(), raise_on_status=False)
    patience = PATIENCE
    keeper = keeper_of(link)
    if method != "GET" and keeper.down():
        patience = 0.0  # what is known to fail had better fail at once
    elif keeper.timeout is not None:  # there is something to fall back on
        patience = keeper.timeout
        enough = keeper.timeout + _size_of(options.get("data")) / _SLOWEST
        timeout = enough if timeout is None else min(timeout, enough)
    answer = link.transfer.send(
        _mlflows,
        method,
        path,
        again=kind in ("read", "same_again", "once"),
        timeout=timeout,
        patience=patience,
        once=once,
        options=options,
    )
    if raises and is_busy(answer):
        told = f"{answer.status_code} {answer.text[:200]}"
        raise Busy(f"{method} {path}: no endpoint could serve it: {told}", response=answer)
    return answer


def _size_of(data: Any) -> int:
    try:
        return os.fstat(data.fileno()).st_size
    except (AttributeError, OSError, ValueError):
        return 0


def _response(status: int, text: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = text.encode()
    response.reason = http.client.responses.get(status, "")
    response.encoding = "utf-8"
    response.headers["Content-Type"] = "application/json"
    return response


def _path_of(url: str) -> str:
    rest = url.partition("://")[2]
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"
