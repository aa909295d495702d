"""mlflow.log_metric with every server down: calls per second as one line of JSON. Runs in an environment with mlflow and
mlflowha. Usage: plugin_spool.py DIRECTORY
"""

import json
import os
import sys
import time

WARM = 100
CALLS = 20000

os.environ.update(
    MLFLOW_TRACKING_URI="mlflowha+http://127.0.0.1:1",  # nobody listens there
    MLFLOWHA_SPOOL_DIR=sys.argv[1],
    MLFLOWHA_SPOOL_AFTER="0.1",
    MLFLOWHA_EXIT_WAIT="0",
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
)

import mlflow  # noqa: E402


def main() -> None:
    with mlflow.start_run():
        for step in range(WARM):
            mlflow.log_metric("warm", 1.0, step=step)
        start = time.perf_counter()
        for step in range(CALLS):
            mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        took = time.perf_counter() - start
    print(json.dumps({"calls_per_s": CALLS / took, "calls": CALLS, "points": CALLS + WARM}), flush=True)


if __name__ == "__main__":
    main()
