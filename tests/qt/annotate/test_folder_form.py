"""A folder gone through by mouse and keys in a real window."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from skimage.io import imsave

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.gui

LEFT = Qt.MouseButton.LeftButton
DOWN, UP = Qt.Key.Key_PageDown, Qt.Key.Key_PageUp


def make(folder: Path, n: int, side: int) -> Path:
    folder.mkdir()
    for i in range(n):
        image = np.random.default_rng(i).integers(0, 40, (side, side)).astype(np.uint8)
        image[side // 4 : side // 2, side // 4 : side // 2] = 220
        imsave(folder / f"img{i}.png", image, check_contrast=False)
    return folder


class Hand:
    """Opens a folder, presses keys over the image, and waits until all is done."""

    def __init__(self, viewer: Any, widget: Any, qtbot: Any) -> None:
        self.widget, self.qtbot = widget, qtbot
        self.folder = widget._lease.folder
        self.state = self.folder.state
        self.canvas = viewer.window._qt_viewer.canvas.native

    def open(self, folder: Path, monkeypatch: pytest.MonkeyPatch, where: Path) -> None:
        from qtpy.QtWidgets import QFileDialog

        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(folder))
        name = "napari_clickseg._qt.parts.folders.choose_or_make_folder"
        monkeypatch.setattr(name, lambda *_: str(where))
        self.widget.folds["Folder"].expand(animate=False)
        self.widget.folder.choose.native.click()

        def opened() -> None:
            assert self.state.current, self.state

        self.qtbot.waitUntil(opened, timeout=120_000)
        self.settle()

    def press(self, key: Any) -> None:
        QTest.keyClick(self.canvas, key)

    def settle(self) -> None:
        controller = self.folder._annotate
        self.qtbot.waitUntil(
            lambda: self.folder.runner.idle and controller.runner.idle, timeout=120_000
        )


def test_a_folder_is_gone_through_by_keys_and_in_the_list(
    open_annotate: Callable[..., Any],
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    viewer, widget = open_annotate()
    hand = Hand(viewer, widget, qtbot)
    hand.open(make(tmp_path / "raw", 4, 96), monkeypatch, tmp_path / "masks")
    listed, state = widget.folder.list, hand.state
    assert [row.name for row in listed.model.rows] == ["img0", "img1", "img2", "img3"]
    assert not widget.images.widget.native.isVisible()  # there is nothing else to choose
    layer = hand.folder.image_layers.labels
    layer.data_setitem((np.array([5, 5]), np.array([5, 6])), 1)  # as napari's brush does
    hand.press(DOWN)
    hand.settle()
    assert state.current.endswith("img1.png")
    assert listed.model.rows[0].state == "begun"
    assert listed.view.currentIndex().row() == 1
    assert "Image 2 of 4: 0 done, 1 begun" in widget.folder.text.value
    line = listed.search.native
    QTest.mouseClick(line, LEFT)
    QTest.keyClicks(line, "g3")
    assert [row.name for row in listed.model.rows] == ["img3"]
    QTest.keyClick(line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not line.hasFocus())  # keys are the image's again
    hand.press(DOWN)
    hand.settle()
    assert state.current.endswith("img3.png")
    listed.search.value = ""
    first = listed.view.visualRect(listed.model.index(0, 0)).center()
    QTest.mouseClick(listed.view.viewport(), LEFT, pos=first)
    hand.settle()
    assert state.current.endswith("img0.png")
    assert hand.folder.image_layers.labels.data[5, 5] == 1
    hand.press(UP)
    assert "no image before" in widget.folder.text.value


@pytest.mark.slow
def test_next_at_2048_pixels_is_quicker_than_napari_shows_a_new_one(
    open_annotate: Callable[..., Any],
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    viewer, widget = open_annotate()
    hand = Hand(viewer, widget, qtbot)
    hand.open(make(tmp_path / "raw", 6, 2048), monkeypatch, tmp_path / "masks")
    taken = []
    for n in range(1, 6):
        hand.folder.image_layers.labels.data_setitem((np.array([5]), np.array([5])), 1)
        qtbot.wait(1500)  # somebody looks at the image; the next one is read
        begun = perf_counter()
        hand.press(DOWN)
        wanted = f"img{n}.png"
        qtbot.waitUntil(lambda wanted=wanted: hand.state.current.endswith(wanted), timeout=60_000)
        taken.append(perf_counter() - begun)
        hand.settle()
    begun = perf_counter()
    viewer.add_image(np.zeros((2048, 2048), np.uint16))
    viewer.add_labels(np.zeros((2048, 2048), np.int32))
    viewer.window._qt_window.repaint()
    own = perf_counter() - begun
    assert np.median(taken) < own, (taken, own)
