"""MLflow's stores, with their requests sent through a link.

They are MLflow's own REST stores: the same methods, arguments, entities and checks. Only what sends a request is
replaced, and for the hot logging calls also what writes it.
"""

from __future__ import annotations

import json
import math
from typing import Any

from mlflow.store.model_registry import rest_store as registry_module
from mlflow.store.tracking import rest_store as tracking_module
from mlflow.utils import rest_utils
from mlflow.utils.proto_json_utils import parse_dict

from mlflowha.errors import MlflowhaError
from mlflowha.plugin.errors import is_outage, to_mlflow
from mlflowha.plugin.headers import header_plugins, workspace
from mlflowha.plugin.link import Link, link_to
from mlflowha.plugin.outage import keeper_of, keeps_going
from mlflowha.plugin.transport import creds, install


def tracking_store(store_uri: str) -> TrackingStore:
    install()
    return TrackingStore(link_to(store_uri))


def registry_store(store_uri: str) -> RegistryStore:
    install()
    return RegistryStore(link_to(store_uri))


def workspace_store(workspace_uri: str) -> Any:
    from mlflow.store.workspace.rest_store import RestWorkspaceStore

    install()
    link = link_to(workspace_uri)
    return RestWorkspaceStore(lambda: creds(link))


class _Linked:
    """What both stores have."""

    link: Link

    def _start(self, link: Link) -> None:
        self.link = link
        self._plain = not header_plugins()

    def _direct(self) -> bool:
        """Whether a request may go past MLflow's `http_request`."""
        # A workspace is named in a header that only MLflow's own way adds.
        return self._plain and self.link.native() and not workspace()

    def _send(self, method: str, path: str, body: str | None, answer: Any, timeout: float | None = None) -> Any:
        parse_dict(js_dict=json.loads(self.link.request(method, path, body, timeout)), message=answer)
        return answer


class TrackingStore(_Linked, tracking_module.RestStore):
    """The tracking store. Logging calls are taken care of in an outage: see `outage`."""

    def __init__(self, link: Link) -> None:
        super().__init__(lambda: creds(link))
        self._start(link)
        self.keeper = keeper_of(link)

    def __reduce__(self) -> Any:
        return tracking_store, (self.link.uri,)

    def _call_endpoint(
        self, api: Any, json_body: Any = None, endpoint: str | None = None, *more: Any, **options: Any
    ) -> Any:
        json_body, endpoint = self.keeper.with_server_ids(json_body, endpoint)
        found = self._rpc(api)
        if found is None or not self._direct() or more:
            return super()._call_endpoint(api, json_body, endpoint, *more, **options)
        path, method = found
        answer = options.get("response_proto")
        answer = api.Response() if answer is None else answer
        return self._send(method, endpoint or path, json_body, answer, self.keeper.timeout)

    def _rpc(self, api: Any) -> tuple[str, str] | None:
        if api in getattr(self, "_V3_APIS", ()):
            return self._V3_METHOD_TO_INFO.get(api)
        table = getattr(self, "_METHOD_TO_INFO", None) or getattr(tracking_module, "_METHOD_TO_INFO", {})
        return table.get(api)

    def _log(self, operation: str, request: dict[str, Any]) -> None:
        self.link.call(operation, json.dumps(request), self.keeper.timeout)

    # --- logging: written here, because MLflow's way through protobuf takes longer than the server

    def log_metric(self, run_id: str, metric: Any) -> None:
        # The call that is made most. After the milliseconds in which a server worked every Python function costs
        # microseconds of cold caches, so this goes past the keeper as long as the keeper has nothing to do.
        keeper = self.keeper
        cause: MlflowhaError | None = None
        if self._plain and keeper.stands_aside(run_id) and not workspace():
            client = self.link.native_client()
            body = _metric_json(run_id, metric)
            if client is not None and body is not None:
                try:
                    client.call("log_metric", body, keeper.limit)
                    return None
                except MlflowhaError as error:
                    if not keeper.spools or not is_outage(error):
                        raise to_mlflow(error) from error
                    cause = error
        if not keeper.spools:
            return self._log_metric(run_id, metric)
        keeper.log("log_metric", self._log_metric, run_id, (metric,), {}, cause)
        return None

    def _log_metric(self, run_id: str, metric: Any) -> None:
        body = _metric_json(run_id, metric) if self._direct() else None
        if body is None:
            return super().log_metric(run_id, metric)
        self.link.call("log_metric", body, self.keeper.timeout)
        return None

    @keeps_going
    def log_param(self, run_id: str, param: Any) -> None:
        if not _are_texts(run_id, param.key, param.value) or not self._direct():
            return super().log_param(run_id, param)
        request = {"run_id": run_id, "key": param.key, "value": param.value}
        self._log("log_param", request)
        return None

    @keeps_going
    def set_tag(self, run_id: str, tag: Any) -> None:
        if not _are_texts(run_id, tag.key, tag.value) or not self._direct():
            return super().set_tag(run_id, tag)
        self._log("set_tag", {"run_id": run_id, "key": tag.key, "value": tag.value})
        return None

    @keeps_going
    def log_batch(self, run_id: str, metrics: Any, params: Any, tags: Any) -> None:
        return super().log_batch(run_id, metrics, params, tags)

    @keeps_going
    def log_inputs(self, run_id: str, datasets: Any = None, *more: Any, **options: Any) -> None:
        return super().log_inputs(run_id, datasets, *more, **options)

    @keeps_going
    def update_run_info(self, run_id: str, run_status: Any, end_time: Any, run_name: Any) -> Any:
        return super().update_run_info(run_id, run_status, end_time, run_name)

    # --- what must go on without a server

    def create_run(self, experiment_id: Any, user_id: Any, start_time: Any, tags: Any, run_name: Any) -> Any:
        return self.keeper.create_run(super().create_run, experiment_id, user_id, start_time, tags, run_name)

    def get_run(self, run_id: str) -> Any:
        return self.keeper.get_run(super().get_run, run_id)

    def get_experiment_by_name(self, experiment_name: str) -> Any:
        return self.keeper.get_experiment_by_name(super().get_experiment_by_name, experiment_name)

    def get_experiment(self, experiment_id: Any) -> Any:
        return self.keeper.get_experiment(super().get_experiment, experiment_id)

    @staticmethod
    def _get_server_version(host_creds: Any) -> Any:
        # MLflow remembers for ever that nobody answered; then spans are never sent again.
        ask = tracking_module.RestStore._get_server_version
        version = ask(host_creds)
        if version is None:
            ask.cache_clear()
        return version


class RegistryStore(_Linked, registry_module.RestStore):
    """The store of registered models."""

    def __init__(self, link: Link) -> None:
        super().__init__(lambda: creds(link))
        self._start(link)

    def __reduce__(self) -> Any:
        return registry_store, (self.link.uri,)

    def _call_endpoint(
        self, api: Any, json_body: Any = None, call_all_endpoints: bool = False, extra_headers: Any = None
    ) -> Any:
        if extra_headers or not self._direct():
            return super()._call_endpoint(api, json_body, call_all_endpoints, extra_headers)
        ways = self._get_all_endpoints_from_method(api) if call_all_endpoints else [self._get_endpoint_from_method(api)]
        answer = self._get_response_from_method(api)
        for left, (path, method) in zip(range(len(ways) - 1, -1, -1), ways, strict=True):
            try:
                return self._send(method, path, json_body, answer)
            except rest_utils.RestException as error:
                if error.error_code != "ENDPOINT_NOT_FOUND" or not left:
                    raise
        raise AssertionError("no way to call")


def _are_texts(*values: object) -> bool:
    """Whether JSON says of them what protobuf would, which takes bytes, too."""
    return all(type(value) is str for value in values)


#: How protobuf's JSON spells what is no number.
_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_text = json.encoder.encode_basestring_ascii
_LEAST, _MOST = -(2**63), 2**63 - 1


def _metric_json(run_id: str, metric: Any) -> str | None:
    """The request of log_metric; nothing for what MLflow's own way shall look at: values of other types, and numbers
    that protobuf refuses, for which a server would store 0."""
    key, value, timestamp, step = metric.key, metric.value, metric.timestamp, metric.step
    if type(value) not in (int, float) or type(timestamp) is not int or type(step) is not int:
        return None
    if type(key) is not str or type(run_id) is not str:
        return None
    if not (_LEAST <= step <= _MOST and _LEAST <= timestamp <= _MOST):
        return None
    number = repr(float(value)) if math.isfinite(value) else f'"{_WORDS[str(value)]}"'
    links = ""
    for name in ("model_id", "dataset_name", "dataset_digest"):
        more = getattr(metric, name, None)
        if more is not None:
            links += f', "{name}": {_text(more)}'
    return (
        f'{{"run_id": {_text(run_id)}, "key": {_text(key)}, "value": {number}, "timestamp": {timestamp}, '
        f'"step": {step}{links}}}'
    )
