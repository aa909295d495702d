"""A broad use of MLflow's client. Prints what every call gave, a JSON line each, for a comparison with and without us.

    MLFLOW_TRACKING_URI=... python differential_script.py DIRECTORY [workspaces]

What differs from run to run by its nature is masked: ids by the order in which they appear, times, host and port.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

MLFLOW_3 = int(mlflow.__version__.split(".")[0]) >= 3
FOLDER = Path(sys.argv[1])
_ids: dict[str, str] = {}
_ID = re.compile(r"\b(?:m-|tr-|a-)?[0-9a-f]{32}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b1[789]\d{11}\b")
_ADDRESS = re.compile(r"(?:mlflowha\+)?http://127\.0\.0\.1:\d+(?:,(?:http://)?127\.0\.0\.1:\d+)*")


def masked(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = text.replace(str(FOLDER), "<folder>")
    text = _ADDRESS.sub("<server>", text)
    text = _ID.sub(lambda found: _ids.setdefault(found.group(), f"<id {len(_ids)}>"), text)
    text = _TIME.sub("<time>", text)
    return re.sub(r"0x[0-9a-f]+", "<address>", text)


def plain(value: Any, depth: int = 0) -> Any:
    """An entity as far as it can be compared: its type and its public properties."""
    if depth > 6:
        return "..."
    if value is None or isinstance(value, (bool, int, float)):
        return masked(value)
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        pairs = {masked(str(k)): plain(v, depth + 1) for k, v in value.items() if k != "mlflowha.request_id"}
        return dict(sorted(pairs.items()))
    if isinstance(value, (list, tuple, set)):
        entries = [v for v in value if getattr(v, "key", "") != "mlflowha.request_id"]
        return [type(value).__name__, *[plain(v, depth + 1) for v in entries]]
    if isinstance(value, (bytes, Path)):
        return masked(repr(value))
    names = [name for name in dir(type(value)) if isinstance(getattr(type(value), name, None), property)]
    names += list(getattr(value, "__dataclass_fields__", {}))
    made = {"": type(value).__name__}
    for name in sorted({n for n in names if not n.startswith("_")}):
        try:
            made[name] = plain(getattr(value, name), depth + 1)
        except Exception as error:
            made[name] = type(error).__name__
    return made


def step(name: str, call: Callable[[], Any]) -> Any:
    try:
        result = call()
        line = {"call": name, "result": plain(result)}
    except Exception as error:
        kinds = [k.__name__ for k in type(error).__mro__ if k.__module__.startswith(("mlflow.", "builtins"))]
        result = None
        line = {
            "call": name,
            "raised": [k for k in kinds if k not in ("object", "BaseException")],
            "error_code": getattr(error, "error_code", None),
            "status": error.get_http_status_code() if isinstance(error, MlflowException) else None,
            "message": masked(str(error)),
        }
    print(json.dumps(line, sort_keys=True), flush=True)
    return result


def experiments(client: MlflowClient) -> str:
    made = step("create_experiment", lambda: client.create_experiment("first", tags={"a": "b"}))
    step("create_experiment twice", lambda: client.create_experiment("first"))
    step("create_experiment without a name", lambda: client.create_experiment(""))
    step("get_experiment", lambda: client.get_experiment(made))
    step("get_experiment missing", lambda: client.get_experiment("12345"))
    step("by name", lambda: client.get_experiment_by_name("first"))
    step("by name missing", lambda: client.get_experiment_by_name("none"))
    step("rename", lambda: client.rename_experiment(made, "renamed"))
    step("set tag", lambda: client.set_experiment_tag(made, "k", "v é 漢"))
    step("search", lambda: client.search_experiments(filter_string="name LIKE 'ren%'", order_by=["name"]))
    step("search badly", lambda: client.search_experiments(filter_string="nonsense = 1"))
    other = step("another", lambda: client.create_experiment("second"))
    step("delete", lambda: client.delete_experiment(other))
    step("delete twice", lambda: client.delete_experiment(other))
    step("search deleted", lambda: client.search_experiments(view_type=ViewType.DELETED_ONLY))
    step("restore", lambda: client.restore_experiment(other))
    return str(made)


def runs(client: MlflowClient, experiment: str) -> None:
    run = step("create_run", lambda: client.create_run(experiment, start_time=123, tags={"t": "1"}, run_name="r"))
    step("create_run nowhere", lambda: client.create_run("98765"))
    rid = run.info.run_id
    log = client.log_metric
    step("metric", lambda: log(rid, "m", 0.5, timestamp=1000, step=1))
    step("metric again", lambda: log(rid, "m", 0.5, timestamp=1000, step=1))
    step("metric nan", lambda: log(rid, "n", float("nan"), timestamp=1000))
    step("metric inf", lambda: log(rid, "i", float("-inf"), timestamp=1000))
    step("metric int", lambda: log(rid, "int", 3, timestamp=1000))
    step("metric numpy", lambda: log(rid, "np", np.float32(0.1), timestamp=1000, step=np.int64(2)))
    step("metric text", lambda: log(rid, "m", "x", timestamp=1000))
    step("metric float time", lambda: log(rid, "m", 1.0, timestamp=1.5))
    step("metric bad key", lambda: log(rid, "a:\n", 1.0, timestamp=1))
    step("metric no run", lambda: log("0" * 32, "m", 1.0, timestamp=1))
    step("metric now", lambda: log(rid, "now", 1.0))
    step("param", lambda: client.log_param(rid, "p", 1))
    step("param again", lambda: client.log_param(rid, "p", 1))
    step("param changed", lambda: client.log_param(rid, "p", 2))
    step("param long", lambda: client.log_param(rid, "long", "x" * 7000))
    step("tag", lambda: client.set_tag(rid, "k", {"a": 1}))
    step("tag empty key", lambda: client.set_tag(rid, "", "v"))
    step("delete_tag", lambda: client.delete_tag(rid, "k"))
    step("delete_tag twice", lambda: client.delete_tag(rid, "k"))
    batch = [Metric("b", float(i), 1000 + i, i) for i in range(30)]
    step("batch", lambda: client.log_batch(rid, batch, [Param("bp", "1")], [RunTag("bt", "2")]))
    step("batch too large", lambda: client.log_batch(rid, batch * 40))
    step("batch changed param", lambda: client.log_batch(rid, params=[Param("bp", "9")]))
    dataset = Dataset("d", "abc", "local", "{}", schema=None, profile="{}")
    step("inputs", lambda: client.log_inputs(rid, [DatasetInput(dataset, [])]))
    step("get_run", lambda: client.get_run(rid))
    step("get_run missing", lambda: client.get_run("0" * 32))
    step("history", lambda: client.get_metric_history(rid, "b"))
    step("history missing", lambda: client.get_metric_history(rid, "none"))
    step("search_runs", lambda: client.search_runs([experiment], "metrics.m < 1", order_by=["metrics.m DESC"]))
    step("search_runs badly", lambda: client.search_runs([experiment], "metrics.m <"))
    step("update_run", lambda: client.update_run(rid, status="FAILED", name="renamed"))
    step("set_terminated", lambda: client.set_terminated(rid, "KILLED", 456))
    step("after", lambda: client.get_run(rid).info)
    step("delete_run", lambda: client.delete_run(rid))
    step("log into a deleted one", lambda: log(rid, "m", 1.0, timestamp=5))
    step("deleted", lambda: client.get_run(rid).info.lifecycle_stage)
    step("restore_run", lambda: client.restore_run(rid))
    for i in range(5):
        step(
            f"page run {i}",
            lambda i=i: client.create_run(experiment, start_time=1000 + i, run_name=f"p{i}").info.status,
        )
    first = step("page 1", lambda: client.search_runs([experiment], max_results=3, order_by=["start_time"]))
    step(
        "page 2",
        lambda: client.search_runs([experiment], max_results=3, order_by=["start_time"], page_token=first.token),
    )
    step("bad token", lambda: client.search_runs([experiment], page_token="nonsense"))


def artifacts(client: MlflowClient, experiment: str) -> None:
    run = step("artifact run", lambda: client.create_run(experiment, run_name="a"))
    rid = run.info.run_id
    file = FOLDER / "file é #1.txt"
    file.write_text("hello\n" * 1000)
    step("log_artifact", lambda: client.log_artifact(rid, str(file)))
    step("log_artifact below", lambda: client.log_artifact(rid, str(file), "a/b"))
    step("log_text", lambda: client.log_text(rid, "text", "dir/text.txt"))
    step("log_dict", lambda: client.log_dict(rid, {"a": 1}, "dir/x.json"))
    step("log_artifact missing", lambda: client.log_artifact(rid, str(FOLDER / "none")))
    step("list", lambda: client.list_artifacts(rid))
    step("list below", lambda: client.list_artifacts(rid, "dir"))
    step("list file", lambda: client.list_artifacts(rid, "dir/text.txt"))
    step("list missing", lambda: client.list_artifacts(rid, "none"))
    step("list outside", lambda: client.list_artifacts(rid, "../x"))
    target = FOLDER / "down"
    target.mkdir(exist_ok=True)
    step("download", lambda: client.download_artifacts(rid, "dir", str(target)))
    step("content", lambda: sorted((p.name, p.read_text()) for p in (target / "dir").iterdir()))
    step("download missing", lambda: client.download_artifacts(rid, "none", str(target)) and None)
    step("by uri", lambda: Path(mlflow.artifacts.download_artifacts(f"runs:/{rid}/dir/text.txt")).read_text())
    step("load_text", lambda: mlflow.artifacts.load_text(f"{run.info.artifact_uri}/dir/text.txt"))


def registry(client: MlflowClient) -> None:
    step("create model", lambda: client.create_registered_model("m", {"a": "b"}, "described"))
    step("create model twice", lambda: client.create_registered_model("m"))
    step("get model", lambda: client.get_registered_model("m"))
    step("get model missing", lambda: client.get_registered_model("none"))
    run = client.create_run("0", run_name="m")
    source = run.info.artifact_uri + "/model"
    step("version", lambda: client.create_model_version("m", source, run.info.run_id, {"x": "y"}))
    step("version 2", lambda: client.create_model_version("m", source, run.info.run_id))
    step("version nowhere", lambda: client.create_model_version("none", source))
    step("get version", lambda: client.get_model_version("m", "1"))
    step("get version missing", lambda: client.get_model_version("m", "77"))
    step("alias", lambda: client.set_registered_model_alias("m", "champion", "1"))
    step("by alias", lambda: client.get_model_version_by_alias("m", "champion"))
    step("by alias missing", lambda: client.get_model_version_by_alias("m", "none"))
    step("delete alias", lambda: client.delete_registered_model_alias("m", "champion"))
    step("latest", lambda: client.get_latest_versions("m"))
    step("latest staged", lambda: client.get_latest_versions("m", ["Production"]))
    step("stage", lambda: client.transition_model_version_stage("m", "2", "Production"))
    step("stage badly", lambda: client.transition_model_version_stage("m", "2", "Nowhere"))
    step("tags", lambda: client.set_model_version_tag("m", "1", "k", "v"))
    step("tags by key", lambda: client.set_registered_model_tag("m", "k", "v"))
    step("delete tag", lambda: client.delete_registered_model_tag("m", "k"))
    step("uri", lambda: client.get_model_version_download_uri("m", "1"))
    step("search models", lambda: client.search_registered_models("name LIKE 'm%'"))
    step("search versions", lambda: client.search_model_versions("name='m'"))
    step("search versions badly", lambda: client.search_model_versions("nonsense"))
    step("update", lambda: client.update_model_version("m", "1", "text"))
    step("rename", lambda: client.rename_registered_model("m", "n"))
    step("delete version", lambda: client.delete_model_version("n", "2"))
    step("delete version twice", lambda: client.delete_model_version("n", "2"))
    step("delete model", lambda: client.delete_registered_model("n"))


class Doubler(mlflow.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: list[str], params: Any = None) -> list[str]:
        return [text * 2 for text in model_input]


def fluent(client: MlflowClient) -> None:
    step("set_experiment", lambda: mlflow.set_experiment("fluent"))
    step("set_experiment again", lambda: mlflow.set_experiment("fluent"))
    with mlflow.start_run(run_name="outer") as outer:
        step("log_params", lambda: mlflow.log_params({"a": 1, "b": None}))
        step("log_metrics", lambda: mlflow.log_metrics({"x": 1.0, "y": 2.0}, step=3, timestamp=5))
        step("log_metric", lambda: mlflow.log_metric("x", 1.5, step=4, timestamp=6))
        step("log_metric later", lambda: mlflow.log_metric("z", 1.5, timestamp=7, synchronous=False).wait())
        step("set_tags", lambda: mlflow.set_tags({"a": 1}))
        with mlflow.start_run(nested=True, run_name="inner") as inner:
            step("nested", lambda: mlflow.log_param("c", "d"))
        where = {"name": "model"} if MLFLOW_3 else {"artifact_path": "model"}
        logged = step_quietly(
            lambda: mlflow.pyfunc.log_model(python_model=Doubler(), registered_model_name="d", **where)
        )
    step("finished", lambda: client.get_run(outer.info.run_id).info.status)
    step("parent", lambda: client.get_run(inner.info.run_id).data.tags["mlflow.parentRunId"] == outer.info.run_id)
    step("data", lambda: client.get_run(outer.info.run_id).data.metrics)
    step("frame", lambda: list(mlflow.search_runs(search_all_experiments=True, order_by=["start_time"])["status"]))
    step("load", lambda: mlflow.pyfunc.load_model("models:/d/1").predict(["ab"]))
    step("load by uri", lambda: mlflow.pyfunc.load_model(logged.model_uri).predict(["ab"]))
    step("load missing", lambda: mlflow.pyfunc.load_model("models:/none/1"))
    step("resume", lambda: mlflow.start_run(run_id=outer.info.run_id).info.status)
    step("end", lambda: mlflow.end_run("FAILED"))
    step("failed", lambda: client.get_run(outer.info.run_id).info.status)
    if MLFLOW_3:
        step("logged model", lambda: client.get_logged_model(logged.model_id).status)
        step("logged models", lambda: len(client.search_logged_models([outer.info.experiment_id])))
        step("model tags", lambda: client.set_logged_model_tags(logged.model_id, {"k": "v"}))
        step("model tag", lambda: client.delete_logged_model_tag(logged.model_id, "k"))
        step("model tag twice", lambda: client.delete_logged_model_tag(logged.model_id, "k"))
        step("model missing", lambda: client.get_logged_model("m-" + "0" * 32))


def step_quietly(call: Callable[[], Any]) -> Any:
    """A call whose result has too much of this machine in it."""
    made: list[Any] = []
    step("log_model", lambda: made.append(call()))
    return made[0]


def traces(client: MlflowClient) -> None:
    @mlflow.trace
    def work(x: int) -> int:
        with mlflow.start_span("inner") as span:
            span.set_inputs({"x": x})
        return x + 1

    mlflow.set_experiment("traces")
    work(1)
    mlflow.flush_trace_async_logging()
    experiment = mlflow.get_experiment_by_name("traces").experiment_id
    found = client.search_traces(locations=[experiment])
    step("traces", lambda: [len(found), [s.name for s in found[0].data.spans]])
    tid = found[0].info.trace_id
    step("trace tag", lambda: client.set_trace_tag(tid, "k", "v"))
    step("trace", lambda: client.get_trace(tid).info.tags.get("k"))
    step("trace tag away", lambda: client.delete_trace_tag(tid, "k"))
    step("trace tag twice", lambda: client.delete_trace_tag(tid, "k"))
    step("trace missing", lambda: client.get_trace("tr-" + "0" * 32))
    step("feedback", lambda: mlflow.log_feedback(trace_id=tid, name="f", value=True).name)
    step("assessments", lambda: [a.name for a in client.get_trace(tid).info.assessments])
    step("traces gone", lambda: client.delete_traces(experiment, trace_ids=[tid]))


def scorers(client: MlflowClient) -> None:
    from mlflow.genai import scorers as genai
    from mlflow.genai.judges import make_judge
    from mlflow.genai.scorers.registry import list_scorer_versions

    @genai.scorer
    def short(outputs: Any) -> bool:
        return len(outputs) < 10

    def shown(scorer: Any) -> list[Any]:
        return [type(scorer).__name__, scorer.name, scorer._registered_backend, scorer.model_dump()]

    experiment = client.create_experiment("scorers")
    where = {"experiment_id": experiment}
    polite = genai.Guidelines(name="polite", guidelines="Be polite.")
    brief = make_judge(name="brief", instructions="Is {{ outputs }} brief?", model="openai:/gpt-4", feedback_value_type=bool)
    step("register", lambda: shown(polite.register(**where)))
    step("register again", lambda: shown(polite.register(**where)))
    step("register judge", lambda: shown(brief.register(**where)))
    step("register renamed", lambda: shown(polite.register(name="kind", **where)))
    # Without it MLflow's client itself refuses to register a function, unless the tracking URI begins with "http".
    os.environ["MLFLOW_SERVER_ENABLE_CUSTOM_SCORERS"] = "true"
    step("register a function", lambda: shown(short.register(**where)))
    step("register nowhere", lambda: shown(polite.register(experiment_id="98765")))
    step("list scorers", lambda: [shown(s) for s in genai.list_scorers(**where)])
    step("list scorers nowhere", lambda: genai.list_scorers(experiment_id="98765"))
    step("get scorer", lambda: shown(genai.get_scorer(name="polite", **where)))
    step("get scorer version", lambda: shown(genai.get_scorer(name="polite", version=1, **where)))
    step("get scorer missing", lambda: genai.get_scorer(name="none", **where))
    step("get scorer version missing", lambda: genai.get_scorer(name="polite", version=9, **where))
    step("versions", lambda: [[shown(s), v] for s, v in list_scorer_versions(name="polite", **where)])
    step("versions missing", lambda: list_scorer_versions(name="none", **where))
    half = genai.ScorerSamplingConfig(sample_rate=0.5)
    step("start", lambda: shown(genai.get_scorer(name="brief", **where).start(sampling_config=half)))
    step("start without a model", lambda: shown(genai.get_scorer(name="polite", **where).start(sampling_config=half)))
    step("delete scorer without a version", lambda: genai.delete_scorer(name="polite", **where))
    step("delete scorer version", lambda: genai.delete_scorer(name="polite", version=1, **where))
    step("delete scorer version twice", lambda: genai.delete_scorer(name="polite", version=1, **where))
    step("delete scorer", lambda: genai.delete_scorer(name="polite", version="all", **where))
    step("delete scorer twice", lambda: genai.delete_scorer(name="polite", version="all", **where))
    step("scorers left", lambda: sorted(s.name for s in genai.list_scorers(**where)))


def workspaces(client: MlflowClient) -> None:
    step("workspaces", mlflow.list_workspaces)
    step("create workspace", lambda: mlflow.create_workspace("team-a", description="ours é"))
    step("create workspace twice", lambda: mlflow.create_workspace("team-a"))
    step("create workspace by client", lambda: client.create_workspace("team-b"))
    step("create workspace badly", lambda: mlflow.create_workspace("Team A"))
    step("get workspace", lambda: mlflow.get_workspace("team-a"))
    step("get workspace missing", lambda: mlflow.get_workspace("none"))
    step("update workspace", lambda: mlflow.update_workspace("team-a", description="theirs"))
    step("update workspace missing", lambda: mlflow.update_workspace("none", description="theirs"))
    step("workspaces made", lambda: [w.name for w in mlflow.list_workspaces()])
    step("use workspace", lambda: mlflow.set_workspace("team-a"))
    made = step("experiment in it", lambda: client.create_experiment("inside"))
    run = client.create_run(made, start_time=123, run_name="r")
    step("metric in it", lambda: client.log_metric(run.info.run_id, "m", 0.5, timestamp=1000, step=1))
    step("batch in it", lambda: client.log_batch(run.info.run_id, params=[Param("p", "1")], tags=[RunTag("t", "2")]))
    step("run in it", lambda: client.get_run(run.info.run_id).data)
    step("artifact in it", lambda: client.log_text(run.info.run_id, "text", "dir/a.txt"))
    step("artifact of it", lambda: mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/dir/a.txt"))
    step("model in it", lambda: client.create_registered_model("m"))
    scorers(client)
    step("delete workspace in use", lambda: mlflow.delete_workspace("team-a"))
    step("use another", lambda: mlflow.set_workspace("team-b"))
    step("not in the other", lambda: client.get_experiment_by_name("inside"))
    step("run not in the other", lambda: client.get_run(run.info.run_id))
    step("metric not in the other", lambda: client.log_metric(run.info.run_id, "m", 1.0, timestamp=1))
    step("model not in the other", lambda: client.get_registered_model("m"))
    step("use one that isn't there", lambda: mlflow.set_workspace("none"))
    step("experiment in none", lambda: client.create_experiment("nowhere"))
    step("use the default", lambda: mlflow.set_workspace(None))
    step("not in the default", lambda: [e.name for e in client.search_experiments()])
    step("delete workspace badly", lambda: mlflow.delete_workspace("team-b", mode="NONSENSE"))
    step("delete workspace", lambda: mlflow.delete_workspace("team-b"))
    step("delete workspace twice", lambda: mlflow.delete_workspace("team-b"))
    step("delete workspace and all", lambda: mlflow.delete_workspace("team-a", mode="CASCADE"))
    step("delete default", lambda: mlflow.delete_workspace("default"))
    step("workspaces left", lambda: [w.name for w in mlflow.list_workspaces()])


def main() -> None:
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    client = MlflowClient()
    if sys.argv[2:] == ["workspaces"]:
        workspaces(client)
        return
    experiment = experiments(client)
    runs(client, experiment)
    artifacts(client, experiment)
    registry(client)
    fluent(client)
    if MLFLOW_3:  # 2.22.5 itself doesn't find the data of a trace that it has just stored
        traces(client)
        scorers(client)
        step("no workspaces", mlflow.list_workspaces)  # this server has none
        step("no workspace", lambda: mlflow.create_workspace("team-a"))


if __name__ == "__main__":
    main()
