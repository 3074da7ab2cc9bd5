"""Models come and go in the viewer: dropped, added, exported, removed; projects packed."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from qtpy.QtCore import QEvent, QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent, QKeyEvent
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_clickseg._qt.formats import share_form
from napari_clickseg._qt.formats.model_dialog import ModelDialog
from napari_clickseg._qt.parts.files_widget import open_files
from napari_clickseg.data.project import read_project
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.models.checkpoint import save_model
from napari_clickseg.models.network import build_network
from napari_clickseg.models.registry import find_model, list_models
from napari_clickseg.models.sharing.bioimage_package import read_bioimage

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._qt.formats.widget import FilesWidget
    from napari_clickseg.models.card import ModelCard

pytestmark = pytest.mark.gui


@pytest.fixture
def model(training_home: Path, tmp_path: Path) -> Path:
    """A model's file of somebody else."""
    return Path(shutil.copy(find_model("default").path, tmp_path / "cells.safetensors"))


def mine() -> list[str]:
    return [entry.name for entry in list_models() if not entry.bundled]


def drop(viewer: Any, path: Path, qtbot: Any) -> ModelDialog | None:
    """Drop a file on the viewer as a hand does; return what asks."""
    window = viewer.window._qt_window
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(window.rect().center()), Qt.DropAction.CopyAction, data,
        Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    window._qt_viewer.dropEvent(event)
    return next(
        (w for w in QApplication.topLevelWidgets() if isinstance(w, ModelDialog) and w.isVisible()),
        None,
    )


def _press_at_the_edge() -> QKeyEvent:
    """A key that opens no list, but says that somebody is about to choose."""
    return QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Shift, Qt.KeyboardModifier.NoModifier)


def files_of(viewer: Any) -> FilesWidget:
    return open_files(viewer, "Share")


def test_a_dropped_model_is_asked_about_added_listed_and_removed(
    make_napari_viewer: Callable[..., Any], model: Path, qtbot: Any, monkeypatch: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    _, annotate = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
    dialog = drop(viewer, model, qtbot)
    assert dialog is not None
    assert "outlines what is clicked on" in dialog.facts.text()
    assert "BSD-3-Clause" in dialog.facts.text()
    assert not mine()
    dialog.name.setText("default")
    assert not dialog.yes.isEnabled()
    dialog.name.setText("mine")
    qtbot.mouseClick(dialog.yes, Qt.MouseButton.LeftButton)
    files = files_of(viewer)
    qtbot.waitUntil(lambda: not files.state.busy and bool(files.state.message), timeout=240_000)
    assert mine() == ["mine"], files.state.message
    assert not viewer.layers
    assert "mine" in files.share.model.choices
    assert "mine" not in annotate.models.model.choices
    QApplication.sendEvent(annotate.models.model.native, _press_at_the_edge())
    assert "mine" in annotate.models.model.choices

    files.share.model.value = "mine"
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    files.share.ask_remove()
    qtbot.waitUntil(lambda: not files.state.busy, timeout=240_000)
    assert not mine()
    assert "mine" not in files.share.model.choices
    files.share.model.value = "default"
    files.share.ask_remove()
    qtbot.waitUntil(lambda: not files.state.busy, timeout=240_000)
    assert "came with the program" in files.state.message


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cut.safetensors", b"\x10\0\0\0\0\0\0\0{}", "broken or cut short"),
        ("pickled.safetensors", b"\x80\x02}q\0.", "is a pickle"),
        ("empty.safetensors", b"", "broken or cut short"),
    ],
)
def test_what_is_no_model_is_said_in_one_line_and_nothing_is_added(
    make_napari_viewer: Callable[..., Any],
    training_home: Path,
    tmp_path: Path,
    qtbot: Any,
    monkeypatch: Any,
    name: str,
    content: bytes,
    said: str,
) -> None:
    told: list[str] = []
    monkeypatch.setattr("napari_clickseg._qt.formats.dropped_model.show_error", told.append)
    viewer = make_napari_viewer(show=True)
    (tmp_path / name).write_bytes(content)
    assert drop(viewer, tmp_path / name, qtbot) is None
    assert len(told) == 1
    assert said in told[0]
    assert "\n" not in told[0]
    assert not viewer.layers
    assert not mine()


def test_a_project_is_packed_unpacked_and_drawn_from_the_widget(
    make_napari_viewer: Callable[..., Any],
    training_home: Path,
    tmp_path: Path,
    qtbot: Any,
    monkeypatch: Any,
) -> None:
    viewer = make_napari_viewer(show=True)
    writer = ProjectWriter(tmp_path / "project")
    writer.add("a", np.zeros((30, 40), np.uint8), np.eye(30, 40, dtype=np.uint8))
    files = files_of(viewer)
    files.turn_to("Share", str(writer.folder))

    def press(button: Any) -> str:
        qtbot.waitUntil(lambda: button.native.isVisible() and button.native.height() > 10)
        qtbot.mouseClick(button.native, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not files.state.busy, timeout=240_000)
        return files.state.message

    bundle = str(tmp_path / "b.zip")
    dialogs = share_form.QFileDialog
    monkeypatch.setattr(dialogs, "getSaveFileName", lambda *_: (bundle, ""))
    monkeypatch.setattr(dialogs, "getOpenFileName", lambda *_: (bundle, ""))
    chosen = [str(tmp_path / "again"), str(tmp_path / "drawn"), str(writer.folder)]
    monkeypatch.setattr(share_form.folders, "choose_or_make_folder", lambda *_: chosen.pop(0))
    assert "1 image, 1 mask" in press(files.share.pack)
    assert "1 image, 1 mask" in press(files.share.unpack)
    assert len(read_project(tmp_path / "again").records) == 1
    assert len(viewer.layers) == 2
    assert "has no predictions" in press(files.share.pictures)
    assert not (tmp_path / "drawn").exists()
    assert "is there already" in press(files.share.unpack)


def test_a_model_is_written_as_a_package_of_bioimage_io_with_what_is_annotated(
    open_annotate: Callable[..., Any],
    spots: np.ndarray,
    training_home: Path,
    make_card: Callable[..., ModelCard],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    card = make_card(name="small", encoder="tu-test_resnet", encoding="channels")
    (training_home / "models").mkdir(parents=True)
    weights = build_network(card).state_dict()
    save_model(training_home / "models" / "small.safetensors", weights, card)
    viewer, annotate = open_annotate()
    files = open_files(getattr(viewer, "__wrapped__", viewer), "Share")
    out = tmp_path / "small.zip"
    chosen = (str(out.with_suffix("")), "Package of bioimage.io (*.zip)")
    monkeypatch.setattr(share_form.QFileDialog, "getSaveFileName", lambda *_: chosen)
    monkeypatch.setattr(share_form.QInputDialog, "getText", lambda *_: ("A. Person", True))
    files.share.model.value = "small"
    files.share.export.native.click()
    assert "press “Annotate this image”" in files.message.value
    annotate.context.controller.set_up(viewer.add_image(spots, name="spots"))
    files.share.export.native.click()
    assert "click on an object" in files.message.value and not out.exists()
    annotate.context.controller._clicked((26.0, 32.0), True)
    files.share.export.native.click()
    qtbot.waitUntil(lambda: "written" in files.message.value, timeout=400_000)
    with zipfile.ZipFile(out) as package:
        described = yaml.safe_load(package.read("rdf.yaml"))
        assert {"model.onnx", "cover.png", "README.md"} <= set(package.namelist())
    asked: list[str] = []
    no = QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "question", lambda *said: asked.append(said[2]) or no)
    before = out.read_bytes()
    files.share.export.native.click()
    assert str(out) in asked[0] and out.read_bytes() == before, "the dialog asked for another name"
    assert described["authors"][0]["name"] == "A. Person" and described["type"] == "model"
    assert read_bioimage(out).licence == described["license"]
