from __future__ import annotations

from pathlib import Path

import pytest

from napari_clickseg.models import registry
from napari_clickseg.models.checkpoint import ModelFileError, load_network, sha256
from napari_clickseg.models.registry import ModelEntry, find_model, list_models, user_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLICKSEG_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_the_variable_moves_the_users_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert user_folder() == folder
    monkeypatch.delenv("CLICKSEG_MODELS")
    assert user_folder().parts[-2:] == ("napari-clickseg", "models")


def test_the_default_model_is_bundled_and_its_sum_is_known(folder: Path) -> None:
    entry = find_model("default")
    assert entry in list_models()
    assert entry.bundled
    assert entry.sha256 == sha256(entry.path)
    assert entry.path.stat().st_size <= 16e6
    network, card = load_network(entry.path, expected_sha256=entry.sha256)
    assert not network.training
    assert (card.name, card.image_channels, card.classes) == ("default", 3, ("object",))
    assert not card.automatic


def test_the_users_models_come_after_the_bundled_ones(folder: Path) -> None:
    bundled = list_models()
    folder.mkdir()
    for name in ("yeast", "cells v1.2", "default"):
        (folder / f"{name}.safetensors").touch()
    (folder / "notes.txt").touch()
    (folder / ".partial-x.safetensors").touch()  # is being written
    mine = [ModelEntry(name, folder / f"{name}.safetensors") for name in ("cells v1.2", "yeast")]
    assert list_models() == [*bundled, *mine]
    assert find_model("cells v1.2") == mine[0]
    assert find_model("default").bundled


def test_a_model_is_found_by_its_path(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    assert find_model(path) == find_model(str(path)) == ModelEntry("mine", path)
    assert find_model("~/mine.safetensors").path == Path.home() / "mine.safetensors"


def test_an_unknown_name_is_answered_with_the_known_ones(folder: Path) -> None:
    folder.mkdir()
    (folder / "yeast.safetensors").touch()
    with pytest.raises(ModelFileError, match=r"no model 'yest'; choose one of .*yeast"):
        find_model("yest")


def test_without_any_bundled_model_paths_still_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "BUNDLED", tmp_path / "nothing")
    assert list_models() == []
    with pytest.raises(ModelFileError, match="choose one of none, or give the path"):
        find_model("default")
    assert find_model("a.safetensors").path == Path("a.safetensors")
