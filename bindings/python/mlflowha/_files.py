"""Files to and from the artifacts of runs and logged models: what Client and aio.Client do for it in several requests.

The bytes go between disk and network in C++. Here is what MLflow's client does around that: directories, files made of
what is in memory, and a place for what is downloaded. Names of files that a server lists are foreign: none leads out of
the folder that the user gave.

`import mlflowha` brings this along: what it needs of the standard library that is slow to import waits for its use.
"""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._base import next_token
from .errors import ProtocolError, found_here, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    from ._core import Cancel
    from .client import Client
    from .entities import FileInfo

    Path = str | os.PathLike[str]

#: Seconds that a call is given when its time is up: enough for the library to say so, with the story of the call.
_NO_TIME = 0.001


def _text(where: str, value: object) -> str:
    from ._wire import text  # slow to import

    return text(where, value)


def log_artifact(
    client: Client, run_id: str, local_path: Path, artifact_path: str | None, timeout: Any, cancel: Cancel | None
) -> None:
    """A file; or a directory, which goes below its own name, as in MLflow."""
    run_id, directory = _text("run_id", run_id), _text("artifact_path", artifact_path or "")
    if os.path.isdir(local_path):
        name = os.path.basename(os.path.normpath(local_path))
        path = posixpath.join(directory, name)
        client._core.log_artifacts(run_id, os.fsencode(local_path), path, timeout, cancel)
        return
    client._core.log_artifact(run_id, os.fsencode(local_path), directory, timeout, cancel)


def log_artifacts(
    client: Client, run_id: str, local_dir: Path, artifact_path: str | None, timeout: Any, cancel: Cancel | None
) -> None:
    directory = _text("artifact_path", artifact_path or "")
    client._core.log_artifacts(_text("run_id", run_id), os.fsencode(local_dir), directory, timeout, cancel)


# --- what is in memory


def log_text(client: Client, run_id: str, text: str, artifact_file: str, timeout: Any, cancel: Cancel | None) -> None:
    if not isinstance(text, str):
        raise TypeError(f"text: value is of type {type(text).__name__}, expected a str")
    content = text.encode()
    _log_made(client, run_id, artifact_file, lambda file: file.write(content), timeout, cancel)


def log_dict(
    client: Client, run_id: str, dictionary: Mapping[str, Any], artifact_file: str, timeout: Any, cancel: Cancel | None
) -> None:
    """YAML for the endings .yml and .yaml, JSON for others."""
    if os.path.splitext(artifact_file)[1] in (".yml", ".yaml"):
        text = import_module("yaml").dump(dictionary, indent=2, default_flow_style=False)
    else:
        text = json.dumps(dictionary, indent=2, default=str)
    log_text(client, run_id, text, artifact_file, timeout, cancel)


def log_stream(
    client: Client, run_id: str, stream: IO[bytes], artifact_file: str, timeout: Any, cancel: Cancel | None
) -> None:
    import shutil

    _log_made(client, run_id, artifact_file, lambda file: shutil.copyfileobj(stream, file), timeout, cancel)


def _log_made(
    client: Client,
    run_id: str,
    artifact_file: str,
    write: Callable[[IO[bytes]], object],
    timeout: Any,
    cancel: Cancel | None,
) -> None:
    """Through a file, so that it can be sent again however long it is."""
    import tempfile

    run_id, artifact_file = _text("run_id", run_id), _text("artifact_file", artifact_file)
    directory, name = posixpath.split(posixpath.normpath(artifact_file))
    if name in ("", ".", ".."):
        raise invalid(f"artifact_file: value is {artifact_file!r}, expected the path of a file")
    with tempfile.TemporaryDirectory(prefix="mlflowha-") as folder:
        local = os.path.join(folder, name)
        with open(local, "wb") as file:
            write(file)
        client._core.log_artifact(run_id, os.fsencode(local), directory, timeout, cancel)


# --- logged models, and roots


def put_artifact(
    client: Client, root_uri: str, path: str, local_file: Path, timeout: Any, cancel: Cancel | None
) -> None:
    root_uri, path = _text("root_uri", root_uri), _text("path", path)
    client._core.put_artifact(root_uri, path, os.fsencode(local_file), timeout, cancel)


def fetch_artifact(
    client: Client, root_uri: str, path: str, local_file: Path, timeout: Any, cancel: Cancel | None
) -> None:
    root_uri, path = _text("root_uri", root_uri), _text("path", path)
    client._core.fetch_artifact(root_uri, path, os.fsencode(local_file), timeout, cancel)


def log_model_artifact(
    client: Client, model_id: str, local_path: Path, artifact_path: str | None, timeout: Any, cancel: Cancel | None
) -> None:
    _log_to_model(
        client, model_id, [(os.fspath(local_path), os.path.basename(local_path))], artifact_path, timeout, cancel
    )


def log_model_artifacts(
    client: Client, model_id: str, local_dir: Path, artifact_path: str | None, timeout: Any, cancel: Cancel | None
) -> None:
    files = []
    for folder, _, names in os.walk(local_dir, onerror=_raise):
        below = os.path.relpath(folder, local_dir)
        files += [(os.path.join(folder, name), os.path.normpath(os.path.join(below, name))) for name in names]
    _log_to_model(client, model_id, sorted(files), artifact_path, timeout, cancel)


def _raise(error: OSError) -> None:
    raise error


def _log_to_model(
    client: Client,
    model_id: str,
    files: list[tuple[str, str]],
    artifact_path: str | None,
    timeout: Any,
    cancel: Cancel | None,
) -> None:
    rest = rest_of(timeout)
    root = client._call("get_logged_model", (model_id,), rest(), cancel).info.artifact_uri
    for local, name in files:
        path = posixpath.join(artifact_path or "", name)
        client._core.put_artifact(root, path, os.fsencode(local), rest(), cancel)


# --- down


def download_artifacts(
    client: Client, run_id: str, path: str | None, dst_path: Path | None, timeout: Any, cancel: Cancel | None
) -> str:
    """A file or a directory of a run's artifacts, or all of them, below `dst_path`; where it is now."""
    path = "" if path in (None, "", ".") else str(path).rstrip("/")
    if path:
        _check_path(path)
    folder = _folder(dst_path)
    try:
        _download(client, run_id, path, folder, rest_of(timeout), cancel)
    except BaseException:
        if dst_path is None:
            import shutil

            shutil.rmtree(folder, ignore_errors=True)
        raise
    return os.path.join(folder, path) if path else folder


def _download(
    client: Client, run_id: str, path: str, folder: str, rest: Callable[[], float | None], cancel: Cancel | None
) -> None:
    def fetch(root: str, file: str) -> None:
        client._core.fetch_artifact(root, file, os.fsencode(os.path.join(folder, file)), rest(), cancel)

    root, files = _list(client, run_id, path, rest, cancel)
    if path and not files:  # no directory, or an empty one, which no store can tell from one that isn't there
        os.makedirs(os.path.join(folder, os.path.dirname(path)), exist_ok=True)
        fetch(root, path)
        return
    directories = [path]
    while directories:
        at = directories.pop()
        os.makedirs(os.path.join(folder, at), exist_ok=True)
        for file in files if at == path else _list(client, run_id, at, rest, cancel)[1]:
            if file.is_dir:
                directories.append(file.path)
            else:
                fetch(root, file.path)


def _list(
    client: Client, run_id: str, path: str, rest: Callable[[], float | None], cancel: Cancel | None
) -> tuple[str, list[FileInfo]]:
    """The run's root, and the entries of a directory: of each the name is one that a file in it can have."""
    files: list[FileInfo] = []
    token = None
    tokens: set[str] = set()
    while True:
        page = client._call("list_artifacts", (run_id, path or None, token), rest(), cancel)
        files += page.files
        token = next_token(page.next_page_token, tokens)
        if not token:
            break
    # Some stores list a file as the one entry of itself.
    files = [file for file in files if file.path != path]
    for file in files:
        directory, _, name = file.path.rpartition("/")
        if directory != path or file.path[:1] == "/" or not _is_name(name):
            raise _foreign(file.path, path)
    return page.root_uri, files


def _is_name(name: str) -> bool:
    if name in ("", ".", "..") or "\0" in name:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates, which JSON can spell
        return False
    return True


def _foreign(path: str, directory: str) -> ProtocolError:
    where = f"the directory {directory!r}" if directory else "the run's root"
    return found_here(
        ProtocolError,
        "bad_response",
        400,
        f"the server lists {path[:200]!a} in {where}; expected the path of a file there",
    )


def _check_path(path: str) -> None:
    if any(not _is_name(part) for part in path.split("/")):
        raise invalid(f"path: value is {path!a}, expected a relative path: no empty, '.' or '..' part")


def _folder(given: Path | None) -> str:
    if given is None:
        import tempfile

        return tempfile.mkdtemp(prefix="mlflowha-")
    folder = os.path.abspath(given)
    if not os.path.isdir(folder):
        raise invalid(f"dst_path: value is {folder!r}, expected a directory that exists")
    return folder


def rest_of(timeout: Any) -> Callable[[], float | None]:
    """What is left, at each call, of the seconds that all of the requests may take."""
    seconds = 0.0
    if timeout is not None and not isinstance(timeout, (bool, str, bytes)):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            seconds = float(getattr(timeout, "total_seconds", lambda: timeout)())
    if not seconds > 0:
        return lambda: timeout  # none, or nonsense, which the library refuses
    end = time.monotonic() + seconds
    return lambda: max(end - time.monotonic(), _NO_TIME)
