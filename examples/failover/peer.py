"""The work of the demo with MLflow's own Python client, for comparison. Runs in the MLflow venv; started by demo.py.

Same plan (workload.py), same lines on stdout (README.md); the client doesn't tell about its attempts. It is left at its
defaults: it retries by itself, creates included.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent))
import workload  # noqa: E402
from mlflow.entities import Metric  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

_lock = threading.Lock()
_lines = sys.stdout
sys.stdout = sys.stderr  # the client prints a link for each run that ends; stdout is for our lines


def tell(event: str, **fields: Any) -> None:
    with _lock:
        print(json.dumps({"event": event, "t": time.monotonic(), **fields}), file=_lines, flush=True)


def timed(op: str, action: Callable[[], Any], fields: dict[str, Any]) -> Any | None:
    """Makes one call and reports it; None when it failed. A "run" in `fields` may be filled in by the action."""
    start = time.monotonic()
    try:
        result = action()
    except Exception as error:  # noqa: BLE001 - whatever the client throws is a failed call
        tell("call", op=op, start=start, ok=False, error=f"{type(error).__name__}: {error}"[:300], **fields)
        return None
    if op == "create_run":
        fields["run"] = result.info.run_id
    tell("call", op=op, start=start, ok=True, **fields)
    return result if result is not None else True


class Sweep:
    def __init__(self, experiment: str) -> None:
        self.client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
        self.experiment_id = timed("create_experiment", lambda: self._experiment(experiment), {})
        self.parent = self.create_run(workload.PARENT_TRIAL)
        if self.parent is None:
            raise SystemExit("no parent run")

    def _experiment(self, name: str) -> str:
        return str(self.client.create_experiment(name))

    def create_run(self, trial: int) -> str | None:
        tags = {} if trial == workload.PARENT_TRIAL else {"mlflow.parentRunId": self.parent}
        name = workload.run_name(trial)
        run = timed(
            "create_run",
            lambda: self.client.create_run(self.experiment_id, tags=tags, run_name=name),
            {"trial": trial},
        )
        return None if run is None else str(run.info.run_id)

    def end_run(self, run: str, trial: int) -> None:
        timed("set_terminated", lambda: self.client.set_terminated(run), {"run": run, "trial": trial})

    def log(self, run: str, trial: int, call: workload.Call) -> None:
        client, first, now = self.client, call.first, int(time.time() * 1000)
        text = workload.text_value(trial, first)
        value = workload.point_value(trial, first)

        def batch() -> None:
            steps = range(first, first + call.size)
            client.log_batch(run, [Metric(workload.METRIC, workload.point_value(trial, s), now, s) for s in steps])

        actions: dict[str, Callable[[], Any]] = {
            "log_param": lambda: client.log_param(run, workload.param_key(first), text),
            "set_tag": lambda: client.set_tag(run, workload.tag_key(first), text),
            "log_metric": lambda: client.log_metric(run, workload.METRIC, value, now, first),
            "log_batch": batch,
        }
        fields = {"run": run, "trial": trial, "first": first, "count": call.size}
        timed(call.op, actions[call.op], fields)

    def work(self, args: argparse.Namespace, worker: int, began: float) -> None:
        for trial, calls in workload.schedule(args.trials, args.workers, args.seconds, worker):
            run: str | None = None
            for due, call in calls:
                time.sleep(max(0.0, began + due - time.monotonic()))
                if call.op == "create_run":
                    run = self.create_run(trial)
                elif run is not None and call.op == "set_terminated":
                    self.end_run(run, trial)
                elif run is not None:
                    self.log(run, trial, call)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    args = parser.parse_args()
    sweep = Sweep(args.experiment)
    began = time.monotonic()
    tell("start")
    threads = [threading.Thread(target=sweep.work, args=(args, worker, began)) for worker in range(args.workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sweep.parent is not None
    sweep.end_run(sweep.parent, workload.PARENT_TRIAL)
    tell("done")


if __name__ == "__main__":
    main()
