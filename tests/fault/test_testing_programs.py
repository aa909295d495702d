#!/usr/bin/env python3
"""mlflowha-fake-server and mlflowha-fault-proxy as other languages use them: processes, JSON lines, signals."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

BUILD = Path(os.environ["MLFLOWHA_BUILD_DIR"])
CREATE = ("POST", "/api/2.0/mlflow/runs/create", json.dumps({"experiment_id": "0"}), {"Content-Type": "application/json"})


class Program:
    """A running program; ends with the `with` block."""

    def __init__(self, name: str, *flags: str) -> None:
        self.process = subprocess.Popen(
            [BUILD / f"mlflowha-{name}", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.ready = self.line()

    def line(self) -> dict:
        return json.loads(self.process.stdout.readline())

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> dict:
        """SIGTERM; the counts."""
        self.tell(signal.SIGTERM)
        counts = self.line()
        self.process.wait(10)
        return counts

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def ask(port: int, method: str, target: str, body: str | None = None, headers: dict | None = None) -> int | None:
    """The status, or None when the connection ended without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, target, body, headers or {})
        return connection.getresponse().status
    except (http.client.RemoteDisconnected, ConnectionError):
        return None
    finally:
        connection.close()


def failure(name: str, *flags: str) -> str:
    """stderr of a program that doesn't start."""
    done = subprocess.run([BUILD / f"mlflowha-{name}", *flags], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 2, done
    assert done.stdout == "", done
    return done.stderr


class Programs(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.script = Path(folder.name) / "faults.txt"

    def test_fake_server_is_a_cluster(self) -> None:
        with Program("fake-server", "--servers", "2") as server:
            first, second = server.ready["ports"]
            self.assertEqual(server.ready["port"], first)
            self.assertEqual(ask(first, *CREATE), 200)
            self.assertEqual(ask(second, *CREATE), 200)
            server.tell(signal.SIGUSR1)
            self.assertEqual(server.line()["runs"], 2)
            counts = server.end()
            self.assertEqual(counts["runs"], 2)
            self.assertEqual([one["requests"] for one in counts["servers"]], [1, 1])
            self.assertEqual(server.process.returncode, 0)

    def test_versions_and_credentials(self) -> None:
        with Program("fake-server", "--mlflow=2", "--bearer=secret") as server:
            port = server.ready["port"]
            self.assertEqual(ask(port, "GET", "/version"), 401)
            self.assertEqual(ask(port, "GET", "/version", headers={"Authorization": "Bearer secret"}), 200)
            self.assertEqual(ask(port, "GET", "/health"), 200)
            target = "/api/3.0/mlflow/server-info"
            self.assertEqual(ask(port, "GET", target, headers={"Authorization": "Bearer secret"}), 404)

    def test_proxy_applies_and_drops(self) -> None:
        self.script.write_text("when method POST nth 2 -> apply_then_drop\nwhen nth 9 -> reset\n")
        with Program("fake-server") as server:
            upstream = f"127.0.0.1:{server.ready['port']}"
            with Program("fault-proxy", "--upstream", upstream, "--script", str(self.script), "--seed", "3") as proxy:
                port = proxy.ready["port"]
                self.assertEqual(proxy.ready["upstream"], f"http://{upstream}")
                self.assertEqual([ask(port, *CREATE) for _ in range(3)], [200, None, 200])
                counts = proxy.end()
            self.assertEqual(counts["requests"], 3)
            self.assertEqual(counts["forwarded"], 3)
            self.assertEqual([rule["fired"] for rule in counts["rules"]], [1, 0])
            self.assertEqual(counts["rules"][0]["line"], 1)
            self.assertEqual(server.end()["runs"], 3)

    def test_script_is_read_again(self) -> None:
        self.script.write_text("status 503\n")
        with Program("fake-server", "--script", str(self.script)) as server:
            port = server.ready["port"]
            self.assertEqual(ask(port, "GET", "/health"), 503)
            self.script.write_text("status 502\n")
            server.tell(signal.SIGHUP)
            server.tell(signal.SIGUSR1)  # answered after the reload
            server.line()
            self.assertEqual(ask(port, "GET", "/health"), 502)
            self.script.write_text("explode\n")
            server.tell(signal.SIGHUP)
            self.assertIn('line 1, word 1 "explode"', server.process.stderr.readline())
            self.assertEqual(ask(port, "GET", "/health"), 502)

    def test_bad_flags(self) -> None:
        self.script.write_text("delay\n")
        self.assertIn("line 1, at the end of the rule: expected a duration", failure("fake-server", "--script", str(self.script)))
        self.assertIn("can't read", failure("fake-server", "--script", "/no/such/file"))
        self.assertIn('unknown flag "--nonsense"', failure("fake-server", "--nonsense"))
        self.assertIn("--port needs a value", failure("fake-server", "--port"))
        self.assertIn('--port is "70000", expected 0..65535', failure("fake-server", "--port", "70000"))
        self.assertIn("expected 2 or 3", failure("fake-server", "--mlflow", "1"))
        self.assertIn("--upstream HOST:PORT is missing", failure("fault-proxy"))
        self.assertIn("expected 127.0.0.1:PORT", failure("fault-proxy", "--upstream", "a:1", "--listen", "0.0.0.0:1"))
        self.assertIn("port", failure("fault-proxy", "--upstream", "a:99999"))

    def test_help(self) -> None:
        for name in ("fake-server", "fault-proxy"):
            done = subprocess.run([BUILD / f"mlflowha-{name}", "--help"], capture_output=True, text=True, timeout=10, check=True)
            self.assertIn("--script FILE", done.stdout)


if __name__ == "__main__":
    unittest.main()
