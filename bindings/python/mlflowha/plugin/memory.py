"""What a process remembers of the runs and experiments that it has seen, for when no server can be asked."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from typing import Any

from mlflow.entities import Experiment, Run, RunData, RunTag

LOCAL_ID = re.compile(r"local-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Where the artifacts of a run are of which only the id is known (run_view()).
ASSUMED_ROOT = re.compile(rf"mlflow-artifacts:/(?://)?({LOCAL_ID.pattern}|[0-9a-f]{{32}})/artifacts(?:/(.*))?")
_MOST = 1000  # of each


class Memory:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._views: OrderedDict[str, Run] = OrderedDict()
        self._roots: OrderedDict[str, str] = OrderedDict()  # runs by their artifact URIs
        self._experiments: OrderedDict[str, Experiment] = OrderedDict()

    def renew_after_fork(self) -> None:
        self._lock = threading.RLock()

    def view(self, run_id: str) -> Run | None:
        """What is known of a run: its info and tags."""
        return self._views.get(run_id)

    def keep_view(self, run_id: str, view: Run) -> None:
        self._keep(self._views, run_id, view)

    def experiment(self, name: str) -> Experiment | None:
        return self._experiments.get(name)

    def keep_experiment(self, name: str, experiment: Experiment) -> None:
        self._keep(self._experiments, name, experiment)

    def remember(self, run: Any) -> Any:
        """A run as a server has told it; `run`."""
        tags = [RunTag(key, value) for key, value in run.data.tags.items()]
        self._keep(self._views, run.info.run_id, Run(run.info, RunData(tags=tags)))
        if run.info.artifact_uri:
            self._keep(self._roots, run.info.artifact_uri.rstrip("/"), run.info.run_id)
        return run

    def run_of(self, artifact_uri: str) -> tuple[str, str] | None:
        """The run whose artifacts `artifact_uri` stands for, and the directory among them."""
        assumed = ASSUMED_ROOT.fullmatch(artifact_uri)
        if assumed:
            return assumed[1], assumed[2] or ""
        root, below = artifact_uri.rstrip("/"), ""
        while root:
            run_id = self._roots.get(root)
            if run_id:
                return run_id, below
            root, _, last = root.rpartition("/")
            below = f"{last}/{below}" if below else last
        return None

    def _keep(self, memory: OrderedDict[str, Any], key: str, value: Any) -> None:
        with self._lock:
            memory[key] = value
            memory.move_to_end(key)
            while len(memory) > _MOST:
                memory.popitem(last=False)
