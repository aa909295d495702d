"""Checks signatures of AWS's version 4, by the published description: written for the tests, beside the signer's code.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlsplit

_FORM = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8}/[^/]+/[^/]+/aws4_request), ?SignedHeaders=([\w;-]+), ?"
                   r"Signature=([0-9a-f]{64})")  # fmt: skip


def is_signed(method: str, target: str, headers: Mapping[str, str], body: bytes, key_id: str, secret: str) -> bool:
    """Whether `Authorization` is this very request's signature. Header names in lower case."""
    found = _FORM.fullmatch(headers.get("authorization", ""))
    if not found or found[1] != key_id:
        return False
    scope, signed = found[2], found[3].split(";")
    if "host" not in signed or "x-amz-date" not in signed or not set(signed) <= set(headers):
        return False
    digest = hashlib.sha256(body).hexdigest()
    if headers.get("x-amz-content-sha256", digest) != digest:
        return False
    parts = urlsplit(target)
    query = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in parse_qsl(parts.query, True))
    request = "\n".join(
        [
            method,
            parts.path or "/",
            "&".join(f"{k}={v}" for k, v in query),
            *(f"{name}:{' '.join(headers[name].split())}" for name in signed),
            "",
            found[3],
            digest,
        ]
    )
    text = "\n".join(
        ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(request.encode()).hexdigest()]
    )
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), found[4])
