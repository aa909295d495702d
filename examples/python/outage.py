"""A run is logged while its servers die one after the other, and come back; then it is counted what arrived.

    pip install mlflowha && python outage.py

The servers are fakes in this process: nothing else is needed. With real ones: set MLFLOWHA_ENDPOINTS and kill them
yourself.
"""

from __future__ import annotations

import os
import tempfile
import time

from mlflowha import Client, RunLogger
from mlflowha.testing import Cluster

STEPS = 3000


def main() -> None:
    cluster = None if os.environ.get("MLFLOWHA_ENDPOINTS") else Cluster(3)
    client = Client(cluster.endpoints if cluster else None)
    with tempfile.TemporaryDirectory() as spool:
        logger = RunLogger(client, experiment="outage", directory=spool)
        for step in range(STEPS):
            if cluster and step in (500, 1000, 1500):
                cluster[step // 500 - 1].kill()
                print(f"step {step}: server {step // 500} is dead")
            if cluster and step == 2500:
                for server in cluster:
                    server.start()
                print(f"step {step}: all servers are back; {logger.status().waiting} entries wait in the spool")
            logger.log_metric("loss", 1 / (step + 1), step)
            time.sleep(0.0005)
        report = logger.close(30)
    points = client.get_metric_history(report.run_id, "loss")
    print(f"logged {STEPS}, arrived {len({point.step for point in points})}, twice {len(points) - STEPS}")
    print(f"drained: {report.drained}")


if __name__ == "__main__":
    main()
