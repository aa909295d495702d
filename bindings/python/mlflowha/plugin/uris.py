"""The endpoints behind a tracking, registry or artifact URI."""

from __future__ import annotations

import os
import re

PREFIX = "mlflowha+"


def lower_scheme(uri: str) -> str:
    """`uri` with its scheme in lower case: MLflow finds the builder of HTTP://a under http."""
    scheme, mark, rest = uri.partition("://")
    return f"{scheme.lower()}{mark}{rest}" if mark else uri


def endpoints_of(uri: str) -> list[str]:
    """`mlflowha+http://a:5000,b:5000` -> ["http://a:5000", "http://b:5000"].

    For a URI without our prefix MLFLOWHA_ENDPOINTS is the list, if it is set and the URI is no list itself.
    """
    if uri.startswith(PREFIX):
        return split_list(uri[len(PREFIX) :])
    listed = os.environ.get("MLFLOWHA_ENDPOINTS")
    if listed and "," not in uri:
        return split_list(listed)
    return split_list(uri)


def split_list(text: str) -> list[str]:
    """Items of a comma-separated list; the first one's scheme counts for those without one, "http" if it has none."""
    items = [item.strip().rstrip("/") for item in text.split(",")]
    items = [item.removeprefix(PREFIX) for item in items if item]
    if not items:
        raise ValueError(f"endpoints: value is {shown(text)!r}, expected http://HOST:PORT, more after commas")
    scheme = items[0].partition("://")[0] if "://" in items[0] else "http"
    return [item if "://" in item else f"{scheme}://{item}" for item in items]


def shown(uri: str) -> str:
    """`uri` as an error may show it: "..." for the user and password that may stand before its last "@"."""
    before, at, rest = uri.rpartition("@")
    scheme = re.match(r"[A-Za-z0-9+.-]+://", before)
    return f"{scheme.group() if scheme else ''}...@{rest}" if at else uri


def base_of(url: str) -> str:
    """Scheme, host and port: "http://a:5000" of "http://a:5000/api/2.0/x"; default ports are named."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2].lower()
    if not host.rpartition("]")[2].count(":"):
        host += ":443" if scheme.lower() == "https" else ":80"
    return f"{scheme.lower()}://{host}"
