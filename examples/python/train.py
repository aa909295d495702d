"""A training job as anybody writes it: nothing but mlflow and scikit-learn.

    MLFLOW_TRACKING_URI=mlflowha+http://a:5000,b:5000,c:5000 python train.py [--epochs 40] [--pause 0.1]

With `pip install mlflowha` that address is all that changes. What the job believes to have logged it prints as its last
line, so that survive.py can compare.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between epochs")
    arguments = parser.parse_args()

    logged = {"points": 0, "runs": 0, "errors": [], "slowest": 0.0}

    def timed(call, *args, **kwargs):  # a job that isn't to die of its tracking server has to wrap every call
        begin = time.monotonic()
        try:
            return call(*args, **kwargs)
        except Exception as error:
            logged["errors"].append(f"{call.__name__}: {type(error).__name__}: {str(error).splitlines()[0][:120]}")
            return None
        finally:
            logged["slowest"] = max(logged["slowest"], time.monotonic() - begin)

    timed(mlflow.set_experiment, "survive")
    mlflow.sklearn.autolog(log_models=False, silent=True)
    x, y = load_iris(return_X_y=True)

    if timed(mlflow.start_run, run_name="training"):
        logged["runs"] += 1
    for epoch in range(arguments.epochs):
        timed(mlflow.log_metric, "loss", 1.0 / (epoch + 1), step=epoch)
        logged["points"] += 1
        if epoch % 5 == 0 and timed(mlflow.start_run, run_name=f"fold-{epoch}", nested=True):
            logged["runs"] += 1
            LogisticRegression(C=1.0 + epoch, max_iter=200).fit(x, y)  # autolog: params, metrics
            timed(mlflow.log_metric, "fold", float(epoch))
            logged["points"] += 1
            timed(mlflow.end_run)
        time.sleep(arguments.pause)
    timed(mlflow.end_run)
    print(json.dumps(logged), file=sys.stdout, flush=True)


if __name__ == "__main__":
    main()
