"""A model is added as a whole or not at all, wherever it comes from."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from napari_clickseg.models.checkpoint import ModelFileError, save_model, sha256
from napari_clickseg.models.network import build_network
from napari_clickseg.models.registry import BUNDLED, find_model, list_models
from napari_clickseg.models.sharing import adding, fetching
from napari_clickseg.models.sharing.adding import add_model, remove_model
from napari_clickseg.models.sharing.origins import origins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_clickseg.models.card import ModelCard

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def model(make_card: Callable[..., ModelCard], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "cells.safetensors"
    card = make_card(description="Cells.")
    save_model(path, build_network(card).state_dict(), card)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLICKSEG_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


class Server(ThreadingHTTPServer):
    """Answers with files; some paths are a redirect, cut short, endless, or what the hub says."""

    def __init__(self, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.data = data
        self.hub: dict[str, Any] = {}
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        """Be quiet."""

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, *, body: bool = True) -> None:
        data, path = self.server.data, self.path.partition("?")[0]
        headers: dict[str, str] = {}
        if path.startswith("/to/"):
            return self._answer(302, {"Location": self.path.removeprefix("/to/")})
        if path.startswith("/api/models/"):
            repo = path.removeprefix("/api/models/").partition("/revision/")[0]
            if repo not in self.server.hub:
                return self._answer(404, {"X-Error-Code": "RepoNotFound"})
            data = json.dumps(self.server.hub[repo]).encode()
            headers["Content-Type"] = "application/json"
        elif "/resolve/" in path:
            headers |= {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        elif not path.endswith(".safetensors"):
            return self._answer(404, {})
        length = len(data) + 100 * path.startswith("/cut/")
        if not path.startswith("/unsaid/"):
            headers["Content-Length"] = str(length)
        return self._answer(200, headers, data if body else b"")

    def _answer(self, status: int, headers: dict[str, str], data: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} if not data else {} | headers).items():
            if name not in headers:
                self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server(model: Path) -> Iterator[Server]:
    with Server(model.read_bytes()) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def mine() -> list[str]:
    return [entry.name for entry in list_models() if not entry.bundled]


def test_a_file_is_added_by_its_name_and_removed_again(model: Path, folder: Path) -> None:
    added = add_model(str(model))
    assert find_model("cells") == added.entry
    assert added.entry.path.read_bytes() == model.read_bytes()
    assert added.card.description == "Cells."
    assert origins()["cells"]["sha256"] == sha256(model) == added.sha256
    with pytest.raises(ModelFileError, match="a model 'cells' already; choose another name"):
        add_model(str(model))
    assert add_model(str(model), name="other cells").entry.name == "other-cells"
    add_model(str(model), overwrite=True)
    assert mine() == ["cells", "other-cells"]
    remove_model("cells")
    assert mine() == ["other-cells"]
    assert list(origins()) == ["other-cells"]


def test_what_came_with_the_program_is_neither_replaced_nor_removed(
    model: Path, folder: Path
) -> None:
    with pytest.raises(ModelFileError, match="came with the program"):
        add_model(str(model), name="default", overwrite=True)
    for name in ("default", "none", str(model)):
        with pytest.raises(ModelFileError, match=r"with the program|no model|none of your"):
            remove_model(name)
    assert (BUNDLED / "default.safetensors").exists()
    assert model.exists()


def test_an_address_is_downloaded_and_its_sum_is_checked(
    server: Server, model: Path, folder: Path
) -> None:
    told: list[tuple[int, int]] = []
    added = add_model(
        f"{server.address}/a/yeast%20v2.safetensors?token=secret",
        expected_sha256=sha256(model).upper(),
        progress=lambda done, total: told.append((done, total)),
    )
    assert mine() == [added.entry.name] == ["yeast-v2"]
    assert told[-1] == (model.stat().st_size,) * 2
    assert "secret" not in (folder / "origins.json").read_text()
    again = add_model(f"{server.address}/to/{server.address}/unsaid/b.safetensors")
    assert again.sha256 == added.sha256
    with pytest.raises(ModelFileError, match=r"not the file it should be: its SHA-256 is"):
        add_model(f"{server.address}/c.safetensors", expected_sha256="0" * 64)
    with pytest.raises(ModelFileError, match="A SHA-256 has 64 digits"):
        add_model(f"{server.address}/c.safetensors", expected_sha256="123")
    assert mine() == ["b", "yeast-v2"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("{0}/none.zip", "answers 404"),
        ("{0}/cut/a.safetensors", "cut short"),
        ("{0}/to/http://example.org/a.safetensors", "example.org/a.safetensors is not https"),
        ("{0}/to/file:///etc/passwd", "answers 302|not https"),
        ("http://example.org/a.safetensors", "is not https, so what comes could be anybody's"),
        ("file:///etc/passwd", "is not https"),
        ("ftp://example.org/a.safetensors", "is not https"),
        ("http://127.0.0.1:1/a.safetensors", "can't be reached"),
        ("https://nowhere.invalid/a.safetensors", "can't be reached"),
        ("hf:nobody", "write hf:USER/REPO"),
        ("hf:../../x", "write hf:USER/REPO"),
        ("none.safetensors", "There is no model file"),
        ("none.onnx", "add it by 'clickseg models import"),
    ],
)
def test_what_cant_be_had_is_one_line_and_nothing_is_added(
    server: Server, folder: Path, address: str, message: str
) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        add_model(address.format(server.address))
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_what_is_no_model_is_refused_after_it_came_and_nothing_is_added(
    server: Server, folder: Path
) -> None:
    whole = server.data
    for data in (whole[:-1], whole[:1000], b"\x80\x04.", b"PK\x03\x04", b"<html>", b""):
        server.data = data
        with pytest.raises(ModelFileError, match=r"broken or cut short|pickle") as caught:
            add_model(f"{server.address}/a.safetensors")
        assert ".partial" not in str(caught.value)
        assert list(folder.iterdir()) == []


def test_what_is_too_large_is_not_even_fetched(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "LARGEST", 1000)
    for part in ("", "unsaid/"):  # a server need not say how long its answer is
        with pytest.raises(ModelFileError, match="so it is no model that is used here"):
            add_model(f"{server.address}/{part}a.safetensors")
    assert list(folder.iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(
    model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(adding.shutil, "copyfile", full)
    with pytest.raises(ModelFileError, match="no room left"):
        add_model(str(model))
    monkeypatch.undo()
    monkeypatch.setenv("CLICKSEG_MODELS", str(folder))
    monkeypatch.setattr(adding, "note_origin", full)
    with pytest.raises(ModelFileError, match="no room left"):
        add_model(str(model))
    assert list(folder.iterdir()) == []


@pytest.fixture
def hub(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that answers huggingface_hub's own client."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)  # new in 0.30

    def repo(*names: str) -> dict[str, Any]:
        files = [{"rfilename": name, "size": len(server.data)} for name in names]
        return {"id": "me/cells", "sha": COMMIT, "siblings": files}

    server.hub = {
        "me/cells": repo("README.md", "model.safetensors"),
        "me/many": repo("a.safetensors", "b.safetensors"),
        "me/none": repo("model.bin"),
    }
    return server


def test_a_repository_of_hugging_face_gives_its_model_and_is_kept_for_without_network(
    hub: Server, model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = add_model("hf:me/cells", endpoint=hub.address)
    assert (added.entry.name, added.sha256) == ("cells", sha256(model))
    assert added.origin == f"hf:me/cells/model.safetensors@{COMMIT}"
    named = add_model("hf:me/many/b.safetensors@v1", endpoint=hub.address)
    assert named.entry.name == "b"
    # Nobody answers now: the cache does.
    again = add_model(f"hf:me/cells@{COMMIT}", name="again", endpoint="http://127.0.0.1:1")
    assert again.sha256 == added.sha256
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert add_model(f"hf:me/cells@{COMMIT}", name="offline").sha256 == added.sha256
    with pytest.raises(ModelFileError, match="HF_HUB_OFFLINE is set, and it is not in"):
        add_model("hf:me/other")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf:me/many", r"several models \(a.safetensors, b.safetensors\); say which"),
        ("hf:me/many/c.safetensors", r"has no c\.safetensors"),
        ("hf:me/none", "has no .safetensors file"),
        ("hf:me/unknown", "There is no model me/unknown on Hugging Face"),
    ],
)
def test_what_a_repository_lacks_is_said(
    hub: Server, folder: Path, source: str, message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        add_model(source, endpoint=hub.address)
    assert list(folder.iterdir()) == []


def test_without_any_network_it_says_so(hub: Server, folder: Path) -> None:
    with pytest.raises(ModelFileError, match=r"can't be had: .*not in Hugging Face's cache"):
        add_model("hf:me/cells", endpoint="http://127.0.0.1:1")
    assert list(folder.iterdir()) == []
