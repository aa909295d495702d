"""https: the certificates that are believed are those that were named, and nobody else's."""

from __future__ import annotations

import http.server
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflowha import Client

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="no openssl to make a certificate with")


class Experiments(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"experiment": {"experiment_id": "0", "name": "Default"}}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address, and the certificate that it shows, which vouches for itself."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Experiments)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{listener.server_port}", certificate
    listener.shutdown()
    listener.server_close()


def name_of_default(client: Client) -> str:
    return client.get_experiment("0", timeout=10).name


def test_a_certificate_that_was_named_is_believed(server: tuple[str, Path]) -> None:
    assert name_of_default(Client(server[0], tls_ca_file=str(server[1]))) == "Default"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_the_usual_variables_name_it_too(
    server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(server[1]))
    assert name_of_default(Client(server[0])) == "Default"


def test_a_stranger_is_refused(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    client = Client(server[0], retry_max_attempts=1)
    with pytest.raises(ConnectionError, match="certificate"):
        name_of_default(client)
    assert name_of_default(Client(server[0], tls_insecure=True)) == "Default"


def test_where_authorities_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflowha import _authorities

    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_authorities, "USUAL", ("/nowhere/a.pem", __file__, "/nowhere/b.pem"))
    assert _authorities.find() == __file__
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/mine.pem")
    assert _authorities.find() == "/mine.pem"
    monkeypatch.setenv("SSL_CERT_FILE", "/other.pem")
    assert _authorities.find() is None
