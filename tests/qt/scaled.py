"""Run by `test_scaled`, in a process whose screen is scaled: every text can be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QApplication, QWidget

from napari_clickseg._napari.viewer.layers import unwrapped
from napari_clickseg._napari.viewer.private import open_widget
from napari_clickseg._qt.parts.picture import Picture
from tests.qt.layout import until_nothing_is_cut_off
from tests.qt.review.test_widget import show_everything as show_all_of_review
from tests.qt.train.test_widget import annotate as annotate_layers
from tests.qt.train.test_widget import show_everything as show_all_of_train

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[..., tuple[Any, Any]]

pytestmark = pytest.mark.gui
PICTURES = Path(__file__).parents[1] / "screenshots"
LONG = "This says at length what went wrong and what to do about it next. " * 3


def show_all_of_annotate(widget: Any) -> None:
    widget.context.controller.add_class("bud")
    widget.context.state.message = LONG
    widget.context.state.model_text = "No model: /a/long/path/to/some/folder/of/models.safetensors"
    for fold in widget.folds.values():
        fold.expand(animate=False)


def test_no_text_is_cut_on_a_scaled_screen(
    annotating: Open, open_train: Open, open_review: Open, project: Path, qtbot: Any
) -> None:
    screen = QApplication.primaryScreen()
    assert screen is not None
    assert screen.devicePixelRatio() == float(os.environ["QT_SCALE_FACTOR"]) > 1
    PICTURES.mkdir(exist_ok=True)
    viewer, annotate = annotating()
    window = viewer.window._qt_window
    window.setGeometry(screen.geometry())
    annotate_layers(viewer, "an image")
    _, train = open_train(viewer)
    _, review = open_review(viewer, project)
    show_all_of_annotate(annotate)
    show_all_of_train(train, qtbot)
    show_all_of_review(review, qtbot)
    others = {name: open_widget(unwrapped(viewer), name) for name in ("Files", "Explain")}
    qtbot.wait(1000)  # they become tabs, and come to the front
    for fold in others["Files"].folds.values():
        fold.expand(animate=False)
    for other in others.values():
        other.state.message = LONG
    picture = Picture(np.zeros((900, 900, 3), np.uint8), "Samples", window)
    room = screen.availableGeometry()
    assert 300 < picture.height() <= 0.9 * room.height() and picture.width() <= 0.9 * room.width()
    picture.close()
    ours = {"annotate": annotate, "train": train, "review": review, **others}
    for name, widget in ours.items():
        dock = _dock(widget)
        dock.show()
        dock.raise_()
        settle(widget, qtbot)
        picture = f"scaled-{name.lower()}-{100 * screen.devicePixelRatio():.0f}.png"
        viewer.screenshot(str(PICTURES / picture), canvas_only=False, flash=False)
        assert window.width() <= screen.geometry().width(), "the window fits on the screen"
        assert window.height() <= screen.geometry().height()
        corner = widget.mapTo(window, QPoint(widget.width(), widget.height()))
        assert corner.x() <= window.width() and corner.y() <= window.height(), name
        until_nothing_is_cut_off(qtbot, widget)


def settle(widget: QWidget, qtbot: Any) -> None:
    """Wait until the widget is in front and has the size that it keeps."""
    qtbot.waitUntil(lambda: not widget.visibleRegion().isEmpty(), timeout=60_000)
    before = None
    while before != widget.geometry():
        before = widget.geometry()
        qtbot.wait(500)


def _dock(widget: QWidget) -> Any:
    from napari_clickseg._qt.parts.dock import dock_of

    return dock_of(widget)
