"""An S3 store on this machine for the tests: versitygw, which tools/setup.sh builds. Standard library only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from process_group import ManagedProcess, ProcessError, free_port, wait_for_port

PROGRAM = Path(__file__).resolve().parent.parent / "build" / "tools" / "versitygw"


class ObjectStore:
    """One versitygw with one bucket, which is a folder of `directory`. Its keys are made up."""

    BUCKET = "mlflow"

    def __init__(self, directory: Path, program: Path | None = None) -> None:
        self.program = program or Path(os.environ.get("MLFLOWHA_VERSITYGW") or PROGRAM)
        if not os.access(self.program, os.X_OK):
            raise ProcessError(f"no {self.program}: run tools/setup.sh versitygw")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._key, self._secret = secrets.token_hex(8), secrets.token_hex(16)
        root, metadata = directory / "s3", directory / "metadata"
        (root / self.BUCKET).mkdir(parents=True)
        metadata.mkdir()
        self.process = ManagedProcess(
            "versitygw",
            # The sidecar keeps metadata where the file system has no extended attributes.
            [str(self.program), "--quiet", "--port", f"127.0.0.1:{self.port}", "posix", "--sidecar", str(metadata), str(root)],
            directory / "s3.log",
            env={"PATH": os.environ.get("PATH", ""), "ROOT_ACCESS_KEY": self._key, "ROOT_SECRET_KEY": self._secret},
        )

    @property
    def environment(self) -> dict[str, str]:
        """For an MLflow server that keeps artifacts here."""
        return {
            "MLFLOW_S3_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self._key,
            "AWS_SECRET_ACCESS_KEY": self._secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @property
    def root(self) -> str:
        """Where in the bucket a server keeps artifacts."""
        return f"s3://{self.BUCKET}/proxied"

    def start(self) -> ObjectStore:
        self.process.start()
        wait_for_port(self.port, self.process, 20)
        return self

    def close(self) -> None:
        self.process.kill()
