"""How many points a second MLflow's own client gets stored, with log_metric, sync or async.

Runs in MLflow's own venv; a point counts when the server has confirmed it. Reads "sync N" and "async N" lines and answers
each with points a second, until its input ends. Usage: official_rate.py URL
"""

import json
import sys
import time

from mlflow import MlflowClient


def main() -> None:
    client = MlflowClient(tracking_uri=sys.argv[1])
    run_id = client.create_run("0").info.run_id
    print(json.dumps({"run_id": run_id}), flush=True)
    step = 0
    for line in sys.stdin:
        mode, count = line.split()
        began = time.perf_counter()
        waiting = []
        for step in range(step, step + int(count)):
            done = client.log_metric(run_id, "m", float(step), step=step, synchronous=mode == "sync")
            if done is not None:
                waiting.append(done)
        for operation in waiting:
            operation.wait()
        step += 1
        print(json.dumps({"rate": int(count) / (time.perf_counter() - began)}), flush=True)


if __name__ == "__main__":
    main()
