"""The whole way from the mouse and the keyboard to the labels, in a real window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit

from napari_clickseg._napari.viewer.actions import SHORTCUTS, Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._qt.annotate.widget import AnnotateWidget

    Open = Callable[..., tuple[Any, AnnotateWidget]]

pytestmark = pytest.mark.gui

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
SELECTED = ("image", "annotation", "positive", "prediction", None)
ON, OTHER, OFF = (26, 32), (70, 96), (5, 5)  # pixels of two spots and of the background


class Hand:
    """Moves the mouse over the image, and types."""

    def __init__(self, viewer: Any, qtbot: Any) -> None:
        self.viewer, self.qtbot = viewer, qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native
        qtbot.wait(100)

    def at(self, pixel: tuple[int, int]) -> QPoint:
        camera = self.viewer.scene.camera
        middle = np.array([self.canvas.height(), self.canvas.width()]) / 2
        row, column = middle + (np.array(pixel) - camera.center[-2:]) * camera.zoom
        return QPoint(round(column), round(row))

    def click(
        self,
        pixel: tuple[int, int],
        button: Any = LEFT,
        held: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
    ) -> None:
        QTest.mouseMove(self.canvas, self.at(pixel))
        QTest.mouseClick(self.canvas, button, held, self.at(pixel))
        self.qtbot.wait(20)

    def double_click(self, pixel: tuple[int, int]) -> None:
        self.click(pixel)
        QTest.mouseDClick(self.canvas, LEFT, pos=self.at(pixel))
        self.qtbot.wait(20)

    def press(self, action: Action) -> None:
        *held, key = SHORTCUTS[action].key.split("-")
        modifier = Qt.KeyboardModifier.NoModifier
        for each in held:
            modifier |= getattr(Qt.KeyboardModifier, f"{each}Modifier")
        QTest.keyClick(self.canvas, key, modifier)
        self.qtbot.wait(20)


@pytest.fixture
def at_work(annotating: Open, qtbot: Any) -> Callable[..., tuple[Any, Any, Hand]]:
    def make(**options: Any) -> tuple[Any, Any, Hand]:
        viewer, widget = annotating(**options)
        viewer.reset_view()
        return viewer, widget.context.state, Hand(viewer, qtbot)

    return make


def test_left_is_positive_right_is_negative_and_nothing_moves(at_work: Any, qtbot: Any) -> None:
    viewer, state, hand = at_work()
    before = (viewer.scene.camera.zoom, viewer.scene.camera.center)
    hand.click(ON)
    qtbot.waitUntil(lambda: np.asarray(state.prediction.data)[ON] == 1)
    hand.click(OFF, RIGHT)
    qtbot.waitUntil(lambda: (state.n_positive, state.n_negative) == (1, 1))
    assert np.round(state.positive.data).tolist() == [list(ON)]
    assert np.round(state.negative.data).tolist() == [list(OFF)]
    assert (viewer.scene.camera.zoom, viewer.scene.camera.center) == before


def test_a_double_click_is_one_click_and_zooms_nothing(at_work: Any) -> None:
    viewer, state, hand = at_work()
    before = (viewer.scene.camera.zoom, viewer.scene.camera.center)
    hand.double_click(ON)
    assert state.n_positive == 1
    assert (viewer.scene.camera.zoom, viewer.scene.camera.center) == before


def test_clicks_work_whichever_layer_is_selected(at_work: Any) -> None:
    viewer, state, hand = at_work()
    for active in SELECTED:
        layer = None if active is None else getattr(state, active)
        viewer.layers.selection.active = layer
        if active == "annotation":
            layer.mode = "pan_zoom"
        hand.click(ON)
        assert state.n_positive == 1, active
        assert not np.asarray(state.annotation.data).any(), "nothing was painted"
        hand.press(Action.CLEAR)
        assert state.n_positive == 0


def test_keys_work_whichever_layer_is_selected(at_work: Any, qtbot: Any) -> None:
    viewer, state, hand = at_work()
    shown = state.shown
    for active in SELECTED:
        viewer.layers.selection.active = None if active is None else getattr(state, active)
        press_each(state, hand, qtbot)
        # As at the beginning, for the next one.
        hand.press(Action.TOOL)
        hand.press(Action.SWAP)
        while state.shown != shown:
            hand.press(Action.SHOW)
        while state.n_objects or state.n_positive or state.n_negative:
            hand.press(Action.UNDO)
        assert state.tool and state.object_id == 1, active


def press_each(state: Any, hand: Hand, qtbot: Any) -> None:
    """Press the keys one after the other; each does what it says."""
    hand.click(ON)
    qtbot.waitUntil(lambda: np.asarray(state.prediction.data).any())
    hand.press(Action.ACCEPT)
    qtbot.waitUntil(lambda: np.asarray(state.annotation.data)[ON] == 1)
    assert (state.object_id, state.n_positive) == (2, 0)
    hand.press(Action.UNDO)
    assert not np.asarray(state.annotation.data).any()
    assert state.n_positive == 1
    hand.press(Action.REDO)
    assert np.asarray(state.annotation.data)[ON] == 1
    hand.press(Action.SWAP)
    hand.click(OFF)
    assert state.n_negative == 1
    hand.press(Action.CLEAR)
    assert state.n_negative == 0
    hand.press(Action.SHOW)
    assert state.shown == "contour"
    hand.press(Action.TOOL)
    assert not state.tool


def test_an_accepted_object_comes_back_with_its_clicks(at_work: Any, qtbot: Any) -> None:
    _, state, hand = at_work()
    for place in (ON, OTHER):
        hand.click(place)
        qtbot.waitUntil(lambda place=place: np.asarray(state.prediction.data)[place] == 1)
        hand.press(Action.ACCEPT)
        qtbot.waitUntil(lambda place=place: np.asarray(state.annotation.data)[place] > 0)
    hand.click(ON, held=Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: state.editing)
    assert (state.object_id, state.n_positive) == (1, 1)
    assert np.round(state.positive.data).tolist() == [list(ON)]


def test_keys_go_on_working_after_a_press_on_a_button_of_the_dock(
    annotating: Open, qtbot: Any
) -> None:
    """A combo box or a button that kept the keyboard would swallow the next key."""
    viewer, widget = annotating()
    hand = Hand(viewer, qtbot)
    QTest.mouseClick(widget.objects.swap.native, LEFT)
    assert widget.context.state.swapped
    assert not widget.objects.swap.native.hasFocus()
    hand.press(Action.SWAP)
    assert not widget.context.state.swapped


def test_typing_a_class_name_is_not_taken_for_keys(annotating: Open, qtbot: Any) -> None:
    _, widget = annotating(show=True)
    widget.folds["Classes"].expand(animate=False)
    qtbot.wait(50)
    edit = widget.classes.rows[0].name.native
    assert isinstance(edit, QLineEdit)
    edit.setFocus()
    edit.selectAll()
    QTest.keyClicks(edit, "wing k")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    state = widget.context.state
    assert state.classes[0].name == "wing k"
    assert (state.tool, state.n_objects, state.shown) == (True, 0, "fill")


def test_no_key_is_one_of_the_menus(make_napari_viewer: Callable[..., Any]) -> None:
    from napari._app_model import get_app_model
    from napari.utils.key_bindings import coerce_keybinding

    make_napari_viewer()
    taken = {str(rule.keybinding) for rule in get_app_model().keybindings}
    assert str(coerce_keybinding("Ctrl-Q")) in taken
    ours = {str(coerce_keybinding(shortcut.key)) for shortcut in SHORTCUTS.values()}
    assert not ours & taken
