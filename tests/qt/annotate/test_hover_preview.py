"""The pointer rests, and the outline that a click would give is seen; it goes with any move."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.gui
GREEN = (43, 214, 43)
NONE = Qt.KeyboardModifier.NoModifier


class Hand:
    """A hand that moves the mouse over the image of a viewer with the widget."""

    def __init__(self, viewer: Any, widget: Any, qtbot: Any) -> None:
        self.viewer, self.widget, self.qtbot = viewer, widget, qtbot
        self.state, self.controller = widget.context.state, widget.context.controller
        self.qt_viewer = getattr(viewer, "__wrapped__", viewer).window._qt_viewer
        self.canvas = self.qt_viewer.canvas.native

    def at(self, y: float, x: float) -> QPoint:
        node = self.qt_viewer.canvas.layer_to_visual[self.controller.pairing.image].node
        at = node.get_transform("visual", "canvas").map([x + 0.5, y + 0.5])
        return QPoint(round(at[0] / at[3]), round(at[1] / at[3]))

    def move(self, y: float, x: float) -> None:
        # napari notes it when a pointer comes; the real one may be elsewhere.
        self.viewer.mouse_over_canvas = True
        # A move that is no step is none, and vispy drops one that comes within 10 ms of another.
        for _ in range(100):
            for there in (self.at(y, x) + QPoint(8, 0), self.at(y, x)):
                QTest.mouseMove(self.canvas, there)
                self.qtbot.wait(15)
            if self._is_at(there):
                return
        pytest.fail("the pointer does not come there")

    def _is_at(self, there: QPoint) -> bool:
        """Whether napari, too, has the pointer there."""
        away = self.at(*self.viewer.cursor.position[-2:]) - there
        return abs(away.x()) <= 2 and abs(away.y()) <= 2

    def rest(self, y: float, x: float) -> None:
        self.move(y, x)
        self.qtbot.waitUntil(lambda: self.state.preview is not None, timeout=30_000)
        self.qtbot.wait(50)

    def green(self) -> int:
        """How many pixels of the canvas have the colour of a positive line."""
        picture = self.viewer.screenshot(canvas_only=True, flash=False)
        away = np.abs(picture[..., :3].astype(int) - GREEN).max(-1)
        return int((away < 60).sum())


@pytest.fixture
def hand(open_annotate: Callable[..., Any], spots: np.ndarray, qtbot: Any) -> Hand:
    viewer, widget = open_annotate()
    widget.context.controller.set_up(viewer.add_image(np.stack([spots] * 5)))
    widget.context.state.previews = True
    viewer.reset_view()
    qtbot.wait(100)
    return Hand(viewer, widget, qtbot)


def test_where_the_pointer_rests_the_outline_is_seen_until_it_moves(hand: Hand) -> None:
    assert hand.green() == 0
    layers = len(hand.viewer.layers)
    hand.rest(26, 32)
    thin = hand.green()
    assert thin > 50 and len(hand.viewer.layers) == layers
    hand.move(70, 96)
    assert hand.state.preview is None and hand.green() == 0
    hand.rest(70, 96)
    assert hand.green() > 50


def test_a_click_there_shows_its_mask(hand: Hand, spots: np.ndarray) -> None:
    hand.rest(26, 32)
    QTest.mouseClick(hand.canvas, Qt.MouseButton.LeftButton, NONE, hand.at(26, 32))
    hand.qtbot.waitUntil(lambda: hand.controller.pairing.display.prediction is not None)
    mask = hand.controller.pairing.display.prediction.mask
    np.testing.assert_array_equal(mask, spots > 0)
    assert hand.state.preview is None


def test_while_the_pointer_moves_or_a_slider_plays_nothing_is_looked_at(hand: Hand) -> None:
    looks: list[float] = []
    moved: list[float] = []

    def hovered() -> None:
        moved.append(time.monotonic())

    hand.controller.tool.hovered.connect(hovered)
    hand.controller.preview.look = lambda: looks.append(time.monotonic() - moved[-1])
    for x in range(20, 60, 2):
        hand.move(26, x)
        hand.qtbot.wait(10)
    assert len(moved) >= 20
    hand.qtbot.waitUntil(lambda: bool(looks))
    assert min(looks) > 0.05, "60 ms after the last move, but for what timers are off by"
    looks.clear()
    dims = hand.qt_viewer.dims
    dims.play(0, fps=10)
    hand.qtbot.waitUntil(lambda: dims.is_playing)
    hand.move(26, 32)
    hand.qtbot.wait(150)
    dims.stop()
    assert not looks
    hand.qtbot.waitUntil(lambda: not dims.is_playing)


def test_a_pointer_that_rests_while_something_else_is_done_has_its_outline_after_it(
    hand: Hand,
) -> None:
    """Whatever is done meanwhile; nobody has to move the mouse again."""
    runner, gate = hand.controller.runner, threading.Event()
    runner.submit("something", lambda _: gate.wait(30), lambda _: None, lambda _: None)
    hand.move(26, 32)
    hand.qtbot.wait(300)
    assert hand.state.preview is None
    gate.set()
    hand.qtbot.waitUntil(lambda: hand.state.preview is not None, timeout=30_000)


def test_the_choice_is_remembered(hand: Hand, open_annotate: Callable[..., Any]) -> None:
    from napari_clickseg._napari.annotate.settings import new_state

    before = new_state().previews
    form = next(w for w in hand.widget.findChildren(object) if _text(w).startswith("Preview"))
    hand.state.previews = before
    form.click()
    assert hand.state.previews is not before
    hand.viewer.window.remove_dock_widget(hand.widget)
    hand.qtbot.waitUntil(lambda: new_state().previews is not before)


def test_a_widget_that_is_closed_when_qt_is_gone_closes_all_the_same(hand: Hand) -> None:
    """As where napari is quit by a script: its timers are deleted first."""
    hand.rest(26, 32)
    shared = hand.widget._lease._shared
    shared._rest.deleteLater()
    hand.qtbot.wait(50)
    hand.viewer.window.remove_dock_widget(hand.widget)
    hand.qtbot.wait(100)
    assert hand.controller.runner.join(30)


def _text(widget: Any) -> str:
    return str(widget.text()) if hasattr(widget, "isChecked") and hasattr(widget, "text") else ""
