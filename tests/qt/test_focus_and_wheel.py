"""Keys are for the image and the wheel is for scrolling, in all three widgets."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, QRect, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QScrollBar,
    QWidget,
)

from napari_clickseg._napari.viewer.actions import SHORTCUTS, Action, KeysOf, shortcuts
from napari_clickseg._qt.parts import folders
from tests.qt.annotate.test_widget import CHOICES
from tests.qt.layout import until_still
from tests.qt.review.test_widget import CHANGES as REVIEWED
from tests.qt.train.test_widget import CHANGES as TRAINED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., tuple[Any, Any]]

pytestmark = pytest.mark.gui

LEFT = Qt.MouseButton.LeftButton
ON, OTHER = (26, 32), (70, 96)  # pixels of two spots


class Keyboard:
    """Types, as a user does: keys go to whatever has the keyboard, not to where they should."""

    def __init__(self, viewer: Any, widget: QWidget, qtbot: Any) -> None:
        self.viewer, self.widget, self.qtbot = viewer, widget, qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native
        self.window = viewer.window._qt_window
        viewer.reset_view()
        qtbot.wait(100)
        self.canvas.setFocus()

    @property
    def holder(self) -> QWidget:
        holder = self.window.focusWidget()
        assert holder is not None
        return holder

    def is_with_the_image(self) -> bool:
        return not (self.holder is self.widget or self.widget.isAncestorOf(self.holder))

    def press(self, action: Action) -> None:
        *held, key = SHORTCUTS[action].key.split("-")
        modifier = Qt.KeyboardModifier.NoModifier
        for each in held:
            modifier |= getattr(Qt.KeyboardModifier, f"{each}Modifier")
        named = {"PageDown": Qt.Key.Key_PageDown, "PageUp": Qt.Key.Key_PageUp}
        QTest.keyClick(self.holder, named.get(key, key), modifier)
        self.qtbot.wait(20)

    def click(self, pixel: tuple[int, int], held: str = "No") -> None:
        camera = self.viewer.scene.camera
        middle = np.array([self.canvas.height(), self.canvas.width()]) / 2
        row, column = middle + (np.array(pixel) - camera.center[-2:]) * camera.zoom
        at = QPoint(round(column), round(row))
        QTest.mouseMove(self.canvas, at)
        QTest.mouseClick(self.canvas, LEFT, getattr(Qt.KeyboardModifier, f"{held}Modifier"), at)
        self.qtbot.wait(20)


def settled(widget: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: widget.context.controller.runner.idle, timeout=60_000)
    qtbot.wait(20)


# ---- the keyboard


def test_keys_go_to_the_image_after_whatever_was_done_in_annotate(
    annotating: Open, qtbot: Any
) -> None:
    viewer, widget = annotating()
    state, keys = widget.context.state, Keyboard(viewer, widget, qtbot)
    doings: list[Callable[[], object]] = [
        lambda: keys.click(ON),
        lambda: keys.press(Action.ACCEPT),
        lambda: keys.click(OTHER),
        lambda: keys.press(Action.SKIP),
        lambda: keys.press(Action.UNDO),
        lambda: keys.press(Action.REDO),
        lambda: keys.click(ON, held="Shift"),
        lambda: keys.press(Action.DELETE),
        lambda: keys.press(Action.UNDO),
        lambda: setattr(state, "object_id", 37),
    ]
    for n, do in enumerate(doings):
        do()
        settled(widget, qtbot)
        assert keys.is_with_the_image(), n
    assert (state.object_id, state.n_objects) == (1, 1), "it is corrected, and keeps its id"
    keys.press(Action.SKIP)
    keys.press(Action.SHOW)
    assert state.shown == "contour", "the keys still do what they say"


def test_every_button_of_annotate_leaves_the_keys_to_the_image(
    annotating: Open, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = lambda *_: str(tmp_path / "saved")  # noqa: E731
    monkeypatch.setattr(folders, "choose_or_make_folder", chosen)
    viewer, widget = annotating(np.stack([_spots()] * 3))
    widget.context.controller.add_class("bud")
    keys = Keyboard(viewer, widget, qtbot)
    pressed = 0
    for button in widget.findChildren(QAbstractButton):
        if button.isVisible() and button.isEnabled() and "colour" not in button.toolTip():
            keys.click(ON)
            QTest.mouseClick(button, LEFT)
            settled(widget, qtbot)
            assert keys.is_with_the_image(), button.text()
            pressed += 1
    assert pressed > 10


def test_keys_go_to_the_image_after_whatever_was_done_in_review(
    open_review: Open, project: Path, qtbot: Any
) -> None:
    viewer, widget = open_review(project=project)
    keys = Keyboard(viewer, widget, qtbot)
    for action in (
        *(Action.NEXT_IMAGE, Action.NEXT_IMAGE, Action.PREVIOUS_IMAGE, Action.ACCEPT_IMAGE),
        *(Action.PREVIOUS_IMAGE, Action.NEXT_IMAGE, Action.REJECT_IMAGE, Action.PREVIOUS_IMAGE),
    ):
        keys.press(action)
        settled(widget, qtbot)
        assert keys.is_with_the_image(), action
    assert [row.state for row in widget.context.state.queue] != ["to review"] * 2, "keys did work"
    view = widget.queue.view
    widget.queue.listed.value = "reviewed"
    QTest.mouseClick(view.viewport(), LEFT, pos=view.visualRect(view.model().index(0, 0)).center())
    settled(widget, qtbot)
    assert keys.is_with_the_image()


def test_no_change_of_the_state_takes_the_keyboard(
    annotating: Open, open_train: Open, open_review: Open, qtbot: Any
) -> None:
    viewer, annotate = annotating()
    _no_change_takes_the_keyboard(viewer, annotate, CHOICES, qtbot)
    _, train = open_train(viewer)
    _no_change_takes_the_keyboard(viewer, train, TRAINED, qtbot)
    _, review = open_review(viewer)
    review._looking.stop()
    review.context.state.projects = ("/some/where",)
    _no_change_takes_the_keyboard(viewer, review, REVIEWED, qtbot)


def _no_change_takes_the_keyboard(
    viewer: Any, widget: Any, changes: dict[str, Any], qtbot: Any
) -> None:
    _unfold(widget, qtbot)
    keys, state = Keyboard(viewer, widget, qtbot), widget.context.state
    for field, value in changes.items():
        before = getattr(state, field)
        for each in (value, before):
            setattr(state, field, each)
            qtbot.wait(1)
            assert keys.is_with_the_image(), field


def test_after_typing_the_keyboard_goes_back_to_the_image(annotating: Open, qtbot: Any) -> None:
    """Escape leaves everything as it was, Enter takes what was typed."""
    viewer, widget = annotating()
    state, keys = widget.context.state, Keyboard(viewer, widget, qtbot)
    _unfold(widget, qtbot)
    for key, taken in ((Qt.Key.Key_Escape, (1, "object")), (Qt.Key.Key_Return, (37, "wing"))):
        number, name = widget.objects.number.native, widget.classes.rows[0].name.native
        for control, text in ((number, "37"), (name, "wing")):
            QTest.mouseClick(control, LEFT, pos=control.rect().center())
            control.setFocus()
            with suppress(AttributeError):
                control.selectAll()
            QTest.keyClicks(keys.holder, text)
            QTest.keyClick(keys.holder, key)
            qtbot.waitUntil(keys.is_with_the_image)
        assert (state.object_id, state.classes[0].name) == taken
        shown = state.shown
        keys.press(Action.SHOW)
        assert state.shown != shown


def test_pressing_an_arrow_of_a_number_is_not_typing(annotating: Open, qtbot: Any) -> None:
    viewer, widget = annotating()
    keys, number = Keyboard(viewer, widget, qtbot), widget.objects.number.native
    edge = QPoint(number.width() - 5, number.height() // 2)
    QTest.mouseClick(number, LEFT, pos=edge)
    qtbot.waitUntil(keys.is_with_the_image)
    assert widget.context.state.object_id == 2


# ---- the wheel


def test_the_wheel_over_a_control_scrolls_and_changes_nothing(
    annotating: Open, open_train: Open, open_review: Open, qtbot: Any
) -> None:
    viewer, annotate = annotating()
    assert _turned_in_vain(viewer, annotate, qtbot) >= 9
    for open_it, least in ((open_train, 9), (open_review, 3)):
        _, widget = open_it(viewer)
        assert _turned_in_vain(viewer, widget, qtbot) >= least


def _turned_in_vain(viewer: Any, widget: Any, qtbot: Any) -> int:
    """Turn the wheel over each control that can be seen and used; return over how many."""
    _unfold(widget, qtbot)
    viewer.window._qt_window.resize(1200, 500)
    bar, turned = widget._scroll.verticalScrollBar(), 0
    until_still(qtbot, lambda: (widget.height(), bar.maximum()))
    for control in widget.findChildren(QWidget):
        if not isinstance(control, (QAbstractSlider, QAbstractSpinBox, QComboBox)):
            continue
        if isinstance(control, QScrollBar) or not (control.isVisible() and control.isEnabled()):
            continue
        widget._scroll.ensureWidgetVisible(control)
        at, before = bar.value(), _value(control)
        down = at < bar.maximum()
        turn(control, -120 if down else 120)
        assert _value(control) == before, control
        assert bar.maximum() == 0 or (bar.value() > at if down else bar.value() < at), control
        turned += 1
    return turned


def test_a_slider_that_cannot_be_moved_looks_like_it(annotating: Open, qtbot: Any) -> None:
    """napari's themes draw both alike."""
    _, widget = annotating()
    _unfold(widget, qtbot)
    height = widget.all_objects.height
    slider = height.native  # the number beside it included
    around = widget.all_objects.widget.native
    assert not height.enabled

    def contrast() -> float:
        qtbot.wait(60)
        place = QRect(slider.mapTo(around, QPoint()), slider.size())
        picture = around.grab(place).toImage()
        at = [(x, y) for x in range(picture.width()) for y in range(picture.height())]
        return float(np.std([picture.pixelColor(*one).lightness() for one in at]))

    off = contrast()
    height.enabled = True
    on = contrast()
    assert off < 0.6 * on
    height.enabled = False
    assert contrast() == pytest.approx(off, rel=0.1)
    (number,) = height.native.findChildren(QAbstractSpinBox)
    assert not number.isEnabled(), "nor can the number be typed"


def test_the_wheel_changes_what_has_the_keyboard(annotating: Open, qtbot: Any) -> None:
    viewer, widget = annotating()
    number = widget.objects.number.native
    viewer.window._qt_window.activateWindow()
    number.setFocus()
    qtbot.waitUntil(number.hasFocus)
    turn(number, 120)
    assert widget.context.state.object_id == 2


def turn(control: QWidget, angle: int) -> None:
    """Turn the wheel over a control: what does not take it passes it on to what is around."""
    middle = control.rect().center()
    everywhere = QPointF(control.mapToGlobal(middle))
    under: QWidget | None = control.childAt(middle) or control
    while under is not None:
        event = QWheelEvent(
            *(QPointF(under.mapFromGlobal(everywhere)), everywhere, QPoint(), QPoint(0, angle)),
            *(Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier),
            *(Qt.ScrollPhase.NoScrollPhase, False),
        )
        if QApplication.sendEvent(under, event) and event.isAccepted():
            return
        under = under.parentWidget()


def _value(control: Any) -> Any:
    return control.currentIndex() if isinstance(control, QComboBox) else control.value()


def _unfold(widget: Any, qtbot: Any) -> None:
    """Open all groups, and wait for the fields that are made when they are looked at."""
    for fold in getattr(widget, "folds", {}).values():
        fold.expand(animate=False)
    for form in getattr(widget, "specs", {}).values():
        form.make()
        qtbot.waitUntil(lambda form=form: not form._waiting, timeout=20_000)
    qtbot.wait(50)


def _spots() -> np.ndarray:
    image = np.zeros((96, 128), np.uint8)
    image[16:36, 20:44] = image[60:80, 84:108] = 220
    return image


def test_all_actions_have_a_key() -> None:
    bound = [each.action for name in get_args(KeysOf) for each in shortcuts(name)]
    assert set(bound) == set(Action) and len(bound) == len(set(bound))
