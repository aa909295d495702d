"""What MlflowClient does in the model registry with several requests, for Client and aio.Client."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ._files import rest_of
from .errors import AlreadyExistsError, NotFoundError, found_here, invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core import Cancel
    from .client import Client
    from .entities import ModelVersion


def copy_model_version(
    client: Client, src_model_uri: str, dst_name: str, timeout: Any, cancel: Cancel | None
) -> ModelVersion:
    """The version at `models:/NAME/VERSION`, `/STAGE`, `/latest` or `models:/NAME@ALIAS` as the next of `dst_name`."""
    rest = rest_of(timeout)
    source = _version_at(client, src_model_uri, rest, cancel)
    with contextlib.suppress(AlreadyExistsError):
        client._call("create_registered_model", (dst_name, None, None, None), rest(), cancel)
    made: ModelVersion = client._call(
        "create_model_version",
        (
            dst_name,
            f"models:/{source.name}/{source.version}",
            source.run_id or None,
            source.tags,
            source.run_link or None,
            source.description or None,
            source.model_id or None,
        ),
        rest(),
        cancel,
    )
    return made


def _version_at(client: Client, uri: str, rest: Callable[[], float | None], cancel: Cancel | None) -> ModelVersion:
    def call(operation: str, *values: object) -> Any:
        return client._call(operation, values, rest(), cancel)

    from urllib.parse import urlsplit  # slow to import, and `import mlflowha` brings this module along

    parts = urlsplit(uri)
    name, _, word = parts.path.removeprefix("/").partition("/")
    bare, _, alias = name.rpartition("@")
    if parts.scheme == "models" and not parts.netloc and name and word and "/" not in word:
        if word.isdecimal():
            found: ModelVersion = call("get_model_version", name, word)
            return found
        newest: list[ModelVersion] = call("get_latest_versions", name, None if word.lower() == "latest" else [word])
        if not newest:
            raise found_here(NotFoundError, "not_found", 300, f"src_model_uri: there is no version at {uri!r}")
        return max(newest, key=lambda version: int(version.version))
    if parts.scheme == "models" and not parts.netloc and bare and alias and not word:
        aliased: ModelVersion = call("get_model_version_by_alias", bare, alias)
        return aliased
    raise invalid(
        f"src_model_uri: value is {uri!r}, expected models:/NAME/VERSION, /STAGE, /latest or models:/NAME@ALIAS"
    )
