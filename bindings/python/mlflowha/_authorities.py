"""Where this machine keeps the certificates of authorities.

libcurl inside a wheel knows the place of the machine that built it. The library looks at SSL_CERT_FILE, CURL_CA_BUNDLE
and the usual places by itself; this adds REQUESTS_CA_BUNDLE, which MLflow's own client honours, and certifi.
"""

from __future__ import annotations

import os

USUAL = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL, Alma
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine
)


def find() -> str | None:
    """A bundle or directory that the library wouldn't find itself; None when it should look."""
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("CURL_CA_BUNDLE"):
        return None
    named = os.environ.get("REQUESTS_CA_BUNDLE")
    if named:
        return named
    for path in USUAL:
        if os.path.exists(path):
            return path
    try:
        import certifi  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    return str(certifi.where())
