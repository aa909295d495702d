"""Files of runs and logged models: to a server, back, and what a server may not do to the folder they come to."""

from __future__ import annotations

import asyncio
import http.server
import io
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from mlflowha import Client, aio, errors
from mlflowha._files import rest_of
from mlflowha.testing import Cluster, FakeServer


@pytest.fixture
def client(mlflowha_server: FakeServer) -> Client:
    return Client(mlflowha_server.url)


@pytest.fixture
def run_id(client: Client) -> str:
    return client.create_run("0").info.run_id


@pytest.mark.parametrize("timeout", [5, 5.0, Decimal(5), Fraction(5), timedelta(seconds=5)])
def test_a_timeout_of_any_kind_is_for_all_files_together(timeout: Any) -> None:
    rest = rest_of(timeout)
    first = rest()
    time.sleep(0.002)
    assert 4 < rest() < first <= 5


@pytest.mark.parametrize("timeout", [None, True, "5", 0, -1, float("nan"), pytest.param(10**400, id="huge")])
def test_a_timeout_that_is_none_is_left_to_the_library(timeout: Any) -> None:
    assert rest_of(timeout)() is timeout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some files."""
    made = tmp_path / "out"
    for name, content in (("a.txt", b"a"), ("deep/b.bin", bytes(range(256)) * 1000), ("deep/er/ä b+&.txt", b"")):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(content)
    return made


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_there_and_back(client: Client, run_id: str, folder: Path, tmp_path: Path) -> None:
    client.log_artifact(run_id, folder / "a.txt")
    client.log_artifact(run_id, str(folder / "a.txt"), "some/where")
    client.log_artifacts(run_id, folder, "all")
    client.log_artifact(run_id, folder, "named")  # a directory goes below its name, as in MLflow
    back = tmp_path / "back"
    back.mkdir()
    assert client.download_artifacts(run_id, "some/where/a.txt", back) == str(back / "some/where/a.txt")
    assert (back / "some/where/a.txt").read_bytes() == b"a"
    assert client.download_artifacts(run_id, "all/", str(back)) == str(back / "all")
    assert files_below(back / "all") == files_below(folder)
    everything = Path(client.download_artifacts(run_id, ""))
    assert set(files_below(everything)) == {
        "a.txt",
        "some/where/a.txt",
        *(f"{top}/{name}" for top in ("all", "named/out") for name in files_below(folder)),
    }
    assert Path(client.download_artifacts(run_id, "all/deep/b.bin")).read_bytes() == bytes(range(256)) * 1000


def test_what_is_in_memory(client: Client, run_id: str, tmp_path: Path) -> None:
    client.log_text(run_id, "größer", "notes/a.txt")
    client.log_dict(run_id, {"k": [1, 2], "path": tmp_path}, "./d.json")
    client.log_stream(run_id, io.BytesIO(b"x" * 100_000), "s.bin")
    found = files_below(Path(client.download_artifacts(run_id, "")))
    assert found["notes/a.txt"].decode() == "größer" and found["s.bin"] == b"x" * 100_000
    assert json.loads(found["d.json"]) == {"k": [1, 2], "path": str(tmp_path)}
    yaml = pytest.importorskip("yaml")
    client.log_dict(run_id, {"k": 1}, "d.yaml")
    assert yaml.safe_load(Path(client.download_artifacts(run_id, "d.yaml")).read_text()) == {"k": 1}


def test_files_of_logged_models(client: Client, folder: Path, tmp_path: Path) -> None:
    model = client.create_logged_model("0", "m")
    client.log_model_artifact(model.info.model_id, folder / "a.txt", "top")
    client.log_model_artifacts(model.info.model_id, folder)
    root = model.info.artifact_uri
    client.put_artifact(root, "put/c.txt", folder / "a.txt")
    for name, content in {"top/a.txt": b"a", "put/c.txt": b"a", **files_below(folder)}.items():
        client.fetch_artifact(root, name, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == content


@pytest.mark.parametrize(
    ("kind", "text", "call"),
    [
        (OSError, "no-such", lambda c, at: c.log_artifact("r", at / "no-such")),
        (OSError, "no-such", lambda c, at: c.log_artifacts("r", at / "no-such")),
        (ValueError, "artifact path is", lambda c, at: c.log_artifact("r", __file__, "../up")),
        (ValueError, "artifact path is", lambda c, at: c.log_text("r", "x", "/etc/x")),
        (ValueError, "artifact_file: value is 'a/../..', expected", lambda c, at: c.log_text("r", "x", "a/../..")),
        (ValueError, "artifact_file: value is '', expected", lambda c, at: c.log_stream("r", io.BytesIO(), "")),
        (TypeError, "text: value is of type bytes", lambda c, at: c.log_text("r", b"x", "a.txt")),
        (ValueError, "path: value is '../x', expected a relative", lambda c, at: c.download_artifacts("r", "../x", at)),
        (ValueError, "path: value is '/x', expected a relative", lambda c, at: c.download_artifacts("r", "/x", at)),
        (ValueError, "dst_path: value is", lambda c, at: c.download_artifacts("r", "x", at / "no-such")),
        (ValueError, "run_id: value is ''", lambda c, at: c.download_artifacts("", "x", at)),
        (ValueError, "has the scheme", lambda c, at: c.put_artifact("s3://b", "x", __file__)),
        (TypeError, "timeout", lambda c, at: c.log_artifact("r", __file__, timeout="soon")),
        (TypeError, "timeout", lambda c, at: c.download_artifacts("r", "x", at, timeout="soon")),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    client: Client, mlflowha_server: FakeServer, tmp_path: Path, kind: Any, text: str, call: Any
) -> None:
    with pytest.raises(kind) as caught:
        call(client, tmp_path)
    assert text in str(caught.value)
    assert mlflowha_server.requests() == 0


def test_what_is_not_there(client: Client, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(errors.NotFoundError, match="none/such"):
        client.download_artifacts(run_id, "none/such")
    assert list(tmp_path.iterdir()) == []  # nor the folder that was made for it
    assert list(Path(client.download_artifacts(run_id, "")).iterdir()) == []


def test_servers_die_under_a_directory(mlflowha_cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    client = Client(mlflowha_cluster.endpoints, settings={"timeouts.call": 20})
    run_id = client.create_run("0").info.run_id
    for i in range(6):
        (folder / f"{i}.bin").write_bytes(b"%d" % i * 50_000)
    mlflowha_cluster[0].set_faults("when path /mlflow-artifacts/artifacts/ nth 3 -> drop_before")
    client.log_artifacts(run_id, folder)
    mlflowha_cluster[0].set_faults("when path /mlflow-artifacts/artifacts/ nth 4 -> truncate 3")
    threading.Timer(0.05, mlflowha_cluster[0].kill).start()
    found = Path(client.download_artifacts(run_id, "", tmp_path))
    assert files_below(folder).items() <= files_below(found).items()


def test_one_timeout_is_for_all_of_it(client: Client, run_id: str, folder: Path, mlflowha_server: FakeServer) -> None:
    client.log_artifacts(run_id, folder)
    mlflowha_server.set_faults("when path /artifacts -> delay 150ms")
    began = time.monotonic()
    with pytest.raises(errors.DeadlineExceededError):
        client.download_artifacts(run_id, "", timeout=0.4)
    assert time.monotonic() - began < 2


def test_for_asyncio(mlflowha_server: FakeServer, folder: Path, tmp_path: Path) -> None:
    async def work() -> None:
        async with aio.Client(mlflowha_server.url, threads=2) as client:
            run_id = (await client.create_run("0")).info.run_id
            await asyncio.gather(client.log_artifacts(run_id, folder, "d"), client.log_text(run_id, "t", "t.txt"))
            await client.log_artifact(run_id, folder / "a.txt")
            await client.log_dict(run_id, {}, "d.json")
            await client.log_stream(run_id, io.BytesIO(b"s"), "s")
            assert await client.download_artifacts(run_id, "", tmp_path) == str(tmp_path)
            assert files_below(tmp_path / "d") == files_below(folder)
            model = await client.create_logged_model("0", "m")
            await client.log_model_artifact(model.info.model_id, folder / "a.txt")
            await client.log_model_artifacts(model.info.model_id, folder)
            await client.put_artifact(model.info.artifact_uri, "x", folder / "a.txt")
            await client.fetch_artifact(model.info.artifact_uri, "x", tmp_path / "x")
            # A task that is cancelled ends its transfer: the only thread is free again.
            mlflowha_server.pause()
            tasks = [asyncio.create_task(client.download_artifacts(run_id, "", tmp_path)) for _ in range(2)]
            await asyncio.sleep(0.2)
            for task in tasks:
                task.cancel()
            mlflowha_server.resume()
            began = time.monotonic()
            await client.get_run(run_id)
            assert time.monotonic() - began < 5

    asyncio.run(work())


# --- a server that means ill


@pytest.fixture
def listing() -> Iterator[Callable[[str], str]]:
    """Makes a server that lists one entry of that path, a file if it is asked for, and one experiment, with page tokens
    that follow each other in a ring if there are any; its address."""
    servers = []

    def serve(path: str, is_dir: bool = False, tokens: tuple[str, ...] = ()) -> str:
        ring = itertools.cycle(tokens or ("",))

        class Lies(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                if "/artifacts/list" in self.path:
                    entry = {"path": path, "is_dir": is_dir, "file_size": "1"}
                    listed = {"root_uri": "mlflow-artifacts:/0/r/artifacts", "files": [entry]}
                    listed["next_page_token"] = next(ring)
                    body = json.dumps(listed).encode()
                elif "/experiments/search" in self.path:
                    found = {"experiments": [{"experiment_id": "1", "name": "e"}], "next_page_token": next(ring)}
                    body = json.dumps(found).encode()
                elif self.path.startswith("/version"):
                    body = b"3.17.2"
                else:
                    body = b"x"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *arguments: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lies)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "path",
    ["../evil", "/etc/evil", "model/../../evil", "..", "model/..", "model//x", "other/x", "model/x/y", "model/\0", "",
     "model/\ud800", ".", "//x", "/model/x"],
)  # fmt: skip
@pytest.mark.parametrize("is_dir", [False, True])
def test_a_listed_name_leads_nowhere_else(listing: Any, tmp_path: Path, path: str, is_dir: bool) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(errors.ProtocolError, match="expected the path of a file there"):
        Client(listing(path, is_dir)).download_artifacts("r", "model", inner)
    assert [str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if one.name != "model"] == ["inner"]


@pytest.mark.parametrize("tokens", [("a",), ("a", "b"), ("a", "b", "c")])
def test_pages_that_never_end_are_no_listing(listing: Any, tmp_path: Path, tokens: tuple[str, ...]) -> None:
    client = Client(listing("model/x", tokens=tokens))
    with pytest.raises(errors.ProtocolError, match="same page token again"):
        client.download_artifacts("r", "model", tmp_path, timeout=10)
    assert not any(tmp_path.iterdir())
    with pytest.raises(errors.ProtocolError, match="same page token again"):
        list(client.search_experiments_all(timeout=10))

    async def all_of_it() -> None:
        async with aio.Client(listing("x", tokens=tokens)) as by_turns:
            async for _ in by_turns.search_experiments_all(timeout=10):
                pass

    with pytest.raises(errors.ProtocolError, match="same page token again"):
        asyncio.run(all_of_it())
