"""The official client's side of the comparison on a real MLflow server; speaks the same lines as real_server.cpp.

Runs in MLflow's own venv. First prints the id of a run that it has made; both sides log to it. Usage: official_client.py URL
"""

import json
import statistics
import sys
import time

from mlflow import MlflowClient


def main() -> None:
    client = MlflowClient(tracking_uri=sys.argv[1])
    print(json.dumps({"run_id": client.create_run("0").info.run_id}), flush=True)
    for line in sys.stdin:
        run_id, first, calls = line.split()
        took = []
        cpu = time.process_time()
        for step in range(int(first), int(first) + int(calls)):
            start = time.perf_counter()
            client.log_metric(run_id, "loss", 0.125 + 1.0 / (step + 1), step=step)
            took.append((time.perf_counter() - start) * 1e3)
        used = (time.process_time() - cpu) * 1e3 / int(calls)
        print(json.dumps({"cpu_ms": used, "p50_ms": statistics.median(took), "wall_ms": statistics.mean(took)}), flush=True)


if __name__ == "__main__":
    main()
