#!/usr/bin/env python3
"""`mlflowha replay`: a run is logged with no server there, replayed in vain, looked at, and delivered to a FakeServer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

BUILD = Path(os.environ["MLFLOWHA_BUILD_DIR"])
NOBODY = "http://127.0.0.1:9"


class Replay(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.left = Path(folder.name)
        cls.logged = cls.run_in(cls.left, "examples/training")

    def left_behind(self) -> None:
        shutil.copytree(self.left / "mlflowha-spool", self.folder / "mlflowha-spool")

    def run_program(self, *command: str, servers: str = NOBODY) -> "subprocess.CompletedProcess[str]":
        return self.run_in(self.folder, *command, servers=servers)

    @staticmethod
    def run_in(folder: Path, *command: str, servers: str = NOBODY) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "MLFLOW_TRACKING_URI": servers, "MLFLOWHA_CALL_TIMEOUT": "10"}
        environment.pop("MLFLOWHA_ENDPOINTS", None)
        environment.pop("MLFLOWHA_SPOOL_DIR", None)
        return subprocess.run(
            [str(BUILD / command[0]), *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )

    def replay_to_a_server(self, *options: str) -> "subprocess.CompletedProcess[str]":
        server = subprocess.Popen([str(BUILD / "mlflowha-fake-server")], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}"
            return self.run_program("mlflowha", "replay", "mlflowha-spool", *options, servers=url)
        finally:
            server.terminate()
            server.communicate()

    def test_offline_run_is_delivered_later(self) -> None:
        self.assertEqual(self.logged.returncode, 3, self.logged.stdout + self.logged.stderr)
        self.assertRegex(self.logged.stdout, "mlflowha replay '/.*/mlflowha-spool'")
        self.left_behind()

        vain = self.run_program("mlflowha", "replay", "mlflowha-spool", "--patience", "1")
        self.assertEqual(vain.returncode, 5, vain.stdout + vain.stderr)

        seen = self.run_program("mlflowha", "replay", "mlflowha-spool", "--dry-run", "--json")
        self.assertEqual(seen.returncode, 0, seen.stderr)
        self.assertEqual(json.loads(seen.stdout)["waiting"], 10_004)
        self.assertEqual(json.loads(seen.stdout)["spools"][0]["artifacts_waiting"], 1)
        self.assertEqual(json.loads(seen.stdout)["spools"][0]["artifact_bytes_waiting"], len("the model"))
        self.assertIn("artifacts waiting: 1", self.run_program("mlflowha", "replay", "mlflowha-spool", "--dry-run").stdout)

        done = self.replay_to_a_server("--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = json.loads(done.stdout)
        self.assertTrue(report["complete"])
        self.assertEqual(report["delivered"], 10_004)
        self.assertEqual(list((self.folder / "mlflowha-spool").iterdir()), [])

    def test_what_is_refused_is_named(self) -> None:
        self.left_behind()
        (model,) = (path for path in (self.folder / "mlflowha-spool").rglob("*") if path.is_file() and path.read_bytes() == b"the model")
        model.write_bytes(b"the m0del")
        done = self.replay_to_a_server()
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r'\n  refused: artifact "[^"]+" of run [0-9a-f]{32}: .*SHA-256')
        self.assertNotIn("more", done.stdout)

    def test_a_damaged_spool_is_named(self) -> None:
        (self.folder / "x.spool").write_bytes(b"x" * 5000)
        (self.folder / "x.lock").touch()
        look = self.run_program("mlflowha", "replay", ".", "--dry-run")
        self.assertEqual(look.returncode, 3, look.stdout)
        self.assertTrue((self.folder / "x.spool").exists())
        done = self.run_program("mlflowha", "replay", ".")
        self.assertEqual(done.returncode, 3, done.stdout)
        self.assertIn(".corrupt", done.stdout)

    def test_wrong_usage(self) -> None:
        self.assertEqual(self.run_program("mlflowha").returncode, 2)
        for options in ((), ("--dry-run",)):  # not "nothing to deliver"
            mistyped = self.run_program("mlflowha", "replay", "nowhere", *options)
            self.assertEqual(mistyped.returncode, 2)
            self.assertIn("Directory does not exist: nowhere", mistyped.stderr)
        self.assertEqual(self.run_program("mlflowha", "replay", ".", servers="").returncode, 2)
        for patience in ("nan", "-nan", "-1", "inf", "soon", ""):
            mistyped = self.run_program("mlflowha", "replay", ".", "--dry-run", f"--patience={patience}")
            self.assertEqual(mistyped.returncode, 2, patience)
            self.assertIn("--patience", mistyped.stderr)

    def test_a_report_that_is_lost_is_no_success(self) -> None:
        for form in ((), ("--json",)):
            with open("/dev/full", "w") as full:
                done = subprocess.run(
                    [str(BUILD / "mlflowha"), "replay", ".", "--dry-run", *form],
                    cwd=self.folder, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
                )
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("can't be written", done.stderr)


if __name__ == "__main__":
    unittest.main()
