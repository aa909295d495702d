"""HAProxy for the tests and the demo. Standard library only; for mlflow_stack.py."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from process_group import ManagedProcess, ProcessError, free_port, wait_for_port


class HAProxy:
    """HAProxy on one address in front of several MLflow servers, with a health check each second."""

    CONFIG = """\
global
    maxconn 1024
defaults
    mode http
    timeout connect 1s
    timeout client 120s
    timeout server 120s
    timeout check 1s
    retries 3
    option redispatch
frontend mlflow
    bind 127.0.0.1:{port}
    default_backend servers
backend servers
    balance roundrobin
    option httpchk
    http-check send meth GET uri /health ver HTTP/1.1 hdr Host localhost
    http-check expect status 200
    default-server inter 1s fall 2 rise 1
{servers}
"""

    def __init__(self, ports: Sequence[int], directory: Path, port: int | None = None) -> None:
        program = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            raise ProcessError("no haproxy on this machine: install the package haproxy")
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        servers = "\n".join(f"    server s{i} 127.0.0.1:{p} check" for i, p in enumerate(ports, 1))
        config = directory / "haproxy.cfg"
        config.write_text(self.CONFIG.format(port=self.port, servers=servers))
        self.process = ManagedProcess("haproxy", [program, "-db", "-f", str(config)], directory / "haproxy.log")

    def start(self) -> HAProxy:
        self.process.start()
        wait_for_port(self.port, self.process, 10)
        return self

    def kill(self) -> None:
        self.process.kill()
