"""Run by `test_scaled`, in a process whose screen is scaled: every text can be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QApplication, QWidget

from tests.qt.fitting import assert_nothing_is_cut_off
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
    assert screen.devicePixelRatio() == 1.25
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
    for name, widget in (("annotate", annotate), ("train", train), ("review", review)):
        dock = _dock(widget)
        dock.show()
        dock.raise_()
        qtbot.wait(500)
        viewer.screenshot(str(PICTURES / f"scaled-{name}.png"), canvas_only=False, flash=False)
        assert window.width() <= screen.geometry().width(), "the window fits on the screen"
        assert window.height() <= screen.geometry().height()
        corner = widget.mapTo(window, QPoint(widget.width(), widget.height()))
        assert corner.x() <= window.width() and corner.y() <= window.height(), name
        assert_nothing_is_cut_off(widget)


def _dock(widget: QWidget) -> Any:
    from napari_clickseg._qt.parts.dock import dock_of

    return dock_of(widget)
