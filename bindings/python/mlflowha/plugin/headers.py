"""Which headers of a request the C++ client would send itself, and which only MLflow's own code can: those that plugins
of the user's give (entry points `mlflow.request_header_provider`)."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow.tracking.request_header.default_request_header_provider import DefaultRequestHeaderProvider
from mlflow.tracking.request_header.registry import _request_header_provider_registry as _providers

#: Headers that the C++ client sends itself, or that say nothing.
_USUAL = frozenset({"user-agent", "authorization", "content-type", "x-mlflow-client-version"})
_AGENT = DefaultRequestHeaderProvider().request_headers().get("User-Agent")


try:
    from mlflow.utils.workspace_context import get_request_workspace
except ImportError:  # MLflow 2

    def get_request_workspace() -> str | None:
        return None


#: The workspace that requests name in a header: only MLflow's own code does that.
workspace = get_request_workspace


def header_plugins() -> bool:
    """Whether plugins of the user's add headers: MLflow's own two providers have nothing to say to our servers."""
    return any(type(provider).__module__.partition(".")[0] != "mlflow" for provider in _providers)


def are_usual(headers: Mapping[str, str]) -> bool:
    """Whether nothing is lost of these headers when the C++ client makes its own."""
    found = {name.lower(): value for name, value in headers.items()}
    if not _USUAL.issuperset(found):
        return False
    # A plugin may also give what is usual: then it isn't the C++ client's, which knows MLflow's variables only.
    return not header_plugins() or ("authorization" not in found and found.get("user-agent", _AGENT) == _AGENT)
