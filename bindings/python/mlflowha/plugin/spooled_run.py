"""SpooledRun: a run whose logging goes through the spool for a while, with the store's logging methods."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import Any

from mlflow.entities import LifecycleStage, Run, RunData, RunInfo, RunStatus
from mlflow.store.artifact.artifact_repo import verify_artifact_path
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from mlflowha.errors import MlflowhaError

_ENDED = (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)


class SpooledRun:
    """Hold `lock` while you use it; it doesn't count any more once it is `released`."""

    def __init__(self, logger: Any, view: Run) -> None:
        self.logger = logger
        self.view = view
        self.lock = threading.RLock()
        self.released = False
        self.has_files = False  # among what was spooled
        self.elsewhere = False  # the process that has forked us delivers it

    @staticmethod
    def takes(name: str, given: tuple[Any, ...], named: dict[str, Any]) -> bool:
        """Whether the spool can hold this call: not the models of log_inputs, nor those of log_model()."""
        if name == "log_artifacts":
            return not _is_model_of_a_run(given[0])
        return name != "log_inputs" or not (named.get("models") or (len(given) > 1 and given[1]))

    def server_id(self, wait: float = 0.0) -> str:
        """The server's id of the run, "" as long as there is none; waits for it up to `wait` seconds."""
        logger = self.logger
        if logger is None:
            return ""
        known: str = logger.status()["run_id"]
        if known or not wait:
            return known
        with contextlib.suppress(MlflowhaError):  # it is said where something can be done about it
            known = logger.flush(wait)["run_id"]
        return known

    def log_metric(self, metric: Any) -> None:
        links = [getattr(metric, name, None) or "" for name in ("dataset_name", "dataset_digest", "model_id")]
        if any(links):
            self.logger.log_points([(metric.key, metric.value, metric.timestamp, metric.step, *links)])
        else:
            self.logger.log_metric(metric.key, metric.value, metric.step, metric.timestamp)

    def log_param(self, param: Any) -> None:
        self.logger.log_params([(param.key, str(param.value))])

    def set_tag(self, tag: Any) -> None:
        self.logger.set_tags([(tag.key, str(tag.value))])

    def log_batch(self, metrics: Any, params: Any, tags: Any) -> None:
        # In the order in which a server applies a batch.
        if params:
            self.logger.log_params([(param.key, str(param.value)) for param in params])
        for metric in metrics or ():
            self.log_metric(metric)
        if tags:
            self.logger.set_tags([(tag.key, str(tag.value)) for tag in tags])

    def log_inputs(self, datasets: Any = None, models: Any = None) -> None:
        for entry in datasets or ():
            dataset = entry.dataset
            fields = ("name", "digest", "source_type", "source", "schema", "profile")
            texts = {name: getattr(dataset, name) for name in fields if getattr(dataset, name)}
            self.logger.log_input(texts, [(tag.key, tag.value) for tag in entry.tags or ()])

    def log_artifact(self, local_file: str, artifact_path: str | None) -> None:
        verify_artifact_path(artifact_path)
        with open(local_file, "rb"):  # what MLflow's own upload raises when it can't be read
            pass
        self.has_files = True
        self.logger.log_artifact(os.fsencode(local_file), artifact_path or "")

    def log_artifacts(self, local_dir: str, artifact_path: str | None) -> None:
        verify_artifact_path(artifact_path)
        if os.path.isdir(local_dir):  # MLflow takes what isn't there for empty
            self.has_files = True
            self.logger.log_artifacts(os.fsencode(os.path.abspath(local_dir)), artifact_path or "")

    def update_run_info(self, run_status: Any, end_time: Any, run_name: Any) -> RunInfo:
        if run_name:
            self.logger.set_tags([(MLFLOW_RUN_NAME, run_name)])
        if run_status in _ENDED:
            self.logger.end(RunStatus.to_string(run_status), end_time)
        info = self.view.info
        changed = run_info(
            info.run_id,
            info.experiment_id,
            info.user_id,
            info.start_time,
            run_name or info.run_name,
            RunStatus.to_string(run_status) if run_status else info.status,
            end_time if run_status in _ENDED else info.end_time,
            info.artifact_uri,
        )
        self.view = Run(changed, self.view.data)
        return changed


def _is_model_of_a_run(local_dir: str) -> bool:
    """Whether MLflow is about to log a model: its files name the run's server id, and a call that must have an answer
    follows. Without that it would be half logged."""
    try:
        with open(os.path.join(local_dir, "MLmodel"), encoding="utf-8") as file:
            return any(line.startswith("run_id:") for line in file)
    except (OSError, UnicodeDecodeError):
        return False


def run_info(
    run_id: str,
    experiment_id: str,
    user_id: str,
    start_time: int | None,
    run_name: str | None,
    status: str,
    end_time: int | None = None,
    artifact_uri: str | None = None,
) -> RunInfo:
    given = {
        "run_id": run_id,
        "experiment_id": experiment_id,
        "user_id": user_id,
        "status": status,
        "start_time": start_time,
        "end_time": end_time,
        "lifecycle_stage": LifecycleStage.ACTIVE,
        "artifact_uri": artifact_uri,
        "run_name": run_name,
    }
    try:
        return RunInfo(**given)
    except TypeError:  # MLflow 2
        return RunInfo(run_uuid=run_id, **given)


def run_view(
    run_id: str,
    experiment_id: str = "",
    user_id: str = "",
    start_time: int | None = None,
    run_name: str | None = None,
    tags: Any = (),
) -> Run:
    """What this process knows of a run that no server can be asked about; one without a known start starts now."""
    if start_time is None:  # MLflow 3 has no runs without one
        start_time = int(time.time() * 1000)
    data = RunData(tags=list(tags))
    status = RunStatus.to_string(RunStatus.RUNNING)
    # Keeper.artifact_uri() puts the real one in its place when there is one.
    artifacts = f"mlflow-artifacts:/{run_id}/artifacts"
    return Run(run_info(run_id, experiment_id, user_id, start_time, run_name, status, None, artifacts), data)
