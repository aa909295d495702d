"""What RunLogger.log_metric costs its caller; nobody listens, so everything stays in the spool. Usage: python_logging.py DIR"""

import json
import platform
import sys
import time

import mlflowha

BATCH = 50  # calls between two looks at the clock, which costs a tenth of a call


def main() -> None:
    client = mlflowha.Client("http://127.0.0.1:9")
    logger = mlflowha.RunLogger(client, directory=sys.argv[1])
    log_metric = logger.log_metric
    took = []
    for turn in range(4000):
        start = time.perf_counter_ns()
        for step in range(BATCH):
            log_metric("loss", 0.5, step)
        took.append((time.perf_counter_ns() - start) / BATCH / 1000)
        if turn % 200 == 199:
            logger.commit()  # what is measured is the call, not a full buffer
    logger.close(0)
    took.sort()
    result = {"p50_us": took[len(took) // 2], "p99_us": took[len(took) * 99 // 100], "calls": len(took) * BATCH,
              "python": platform.python_version()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
