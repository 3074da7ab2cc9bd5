"""Nothing moves under the pointer: a second click hits what the first one did."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QDockWidget,
    QMainWindow,
    QPushButton,
    QWidget,
)

from napari_clickseg._napari.viewer.actions import Action
from tests.qt.layout import until_still
from tests.qt.review.test_widget import Hand as ReviewHand
from tests.qt.test_focus_and_wheel import Keyboard, settled
from tests.qt.train.test_widget import BUSY_RUN
from tests.qt.train.test_widget import CHANGES as TRAINED
from tests.qt.train.test_widget import annotate as annotate_layers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg._qt.parts.folds import Fold

    Open = Callable[..., tuple[Any, Any]]

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton
LONG = "This says at length what went wrong and what to do about it next. " * 4


class Watch:
    """Notes where every button is, and says what has moved since."""

    def __init__(self, viewer: Any, widget: Any, qtbot: Any) -> None:
        self.window, self.widget, self.qtbot = viewer.window._qt_window, widget, qtbot
        self.window.resize(1280, 800)
        self.places = until_still(qtbot, self.look)
        assert len(self.places) > 5

    def look(self) -> dict[QWidget, tuple[int, int, int, int]]:
        return {
            one: (*_xy(one.mapTo(self.widget, QPoint())), one.width(), one.height())
            for one in self.widget.findChildren(QWidget)
            if isinstance(one, (QAbstractButton, QComboBox)) and one.isVisible()
        }

    def check(self, what: str) -> None:
        now = until_still(self.qtbot, self.look)
        moved = {
            _name(one): (self.places[one], now[one])
            for one in now
            if one in self.places and now[one] != self.places[one]
        }
        assert not moved, f"after {what}"
        self.places |= now


def _xy(at: QPoint) -> tuple[int, int]:
    return at.x(), at.y()


def _name(one: QWidget) -> str:
    return one.text() if isinstance(one, QAbstractButton) else one.toolTip()[:30]


def test_no_button_of_annotate_moves_over_a_session(
    annotating: Open, spots: np.ndarray, qtbot: Any
) -> None:
    viewer, widget = annotating(show=True)
    state, keys = widget.context.state, Keyboard(viewer, widget, qtbot)
    watch = Watch(viewer, widget, qtbot)
    for what, do in (
        ("a click", lambda: keys.click((26, 32))),
        ("accepting", lambda: keys.press(Action.ACCEPT)),
        ("taking up", lambda: keys.click((26, 32), held="Shift")),
        ("undo", lambda: keys.press(Action.UNDO)),
        ("skipping", lambda: keys.press(Action.SKIP)),
        ("a message", lambda: setattr(state, "message", LONG)),
        ("no message", lambda: setattr(state, "message", "")),
        ("a model", lambda: setattr(state, "model_text", f"Loading {'long-name-' * 6} …")),
        ("many clicks", lambda: setattr(state, "n_negative", 1000)),
        ("progress", lambda: setattr(state, "progress", (2, 5))),
        ("its end", lambda: setattr(state, "progress", (0, 0))),
    ):
        do()
        settled(widget, qtbot)
        watch.check(what)
    viewer.add_image(np.stack([spots] * 3), name="other", axis_labels=("c", "y", "x"))
    qtbot.waitUntil(lambda: widget.images.image.layer.name == "other")
    watch.check("opening another image")
    viewer.layers.clear()
    watch.check("removing all layers")
    assert "Open an image" in widget.message.value


def test_unfolding_a_group_moves_only_what_it_needs_to_be_seen_and_is_done_at_once(
    annotating: Open, qtbot: Any
) -> None:
    viewer, widget = annotating(show=True)
    Watch(viewer, widget, qtbot)
    bar, scrolled = widget._scroll.verticalScrollBar(), 0
    for fold in widget.folds.values():
        if fold.isHidden():
            continue
        for _ in range(2):
            header, before = fold.header.mapTo(widget, QPoint()), bar.value()
            QTest.mouseClick(fold.header, LEFT)
            for _ in range(5):  # layouts ask one another; no time passes
                QApplication.processEvents()
            wanted = fold.content().sizeHint().height() if fold.isExpanded() else 0
            assert fold.content().height() >= wanted, fold.header.text()
            assert bar.value() == place_of(widget, fold, before), fold.header.text()
            moved = QPoint(0, bar.value() - before)
            assert fold.header.mapTo(widget, QPoint()) == header - moved, fold.header.text()
            scrolled += moved.y() > 0
    assert scrolled


def place_of(widget: Any, fold: Fold, before: int) -> int:
    """Return how far a form has to be scrolled to show what a group needs, and no further."""
    if not fold.isExpanded():
        return min(before, widget._scroll.verticalScrollBar().maximum())
    below = fold.y() + fold.height() - widget._scroll.viewport().height()
    return min(fold.y(), max(before, below))


def test_no_button_of_review_moves_over_a_session(
    open_review: Open, project: Path, qtbot: Any
) -> None:
    """A second click on Next must not be one on Accept."""
    viewer, widget = open_review(project=project)
    hand = ReviewHand(viewer, widget, qtbot)
    watch = Watch(viewer, widget, qtbot)
    state = widget.context.state
    QTest.mouseClick(widget.next.native, LEFT)
    hand.settle()
    watch.check("the first Next")
    for action in (Action.NEXT_IMAGE, Action.ACCEPT_IMAGE, Action.TAKE_BACK, Action.REJECT_IMAGE):
        hand.press(action)
        watch.check(action.value)
    hand.click((26, 32))
    watch.check("a click")
    widget._looking.stop()
    running = replace(state.predicting, status="running", done=3, total=9, seconds_left=99.0)
    for field, value in (("message", LONG), ("predicting", running), ("message", "")):
        setattr(state, field, value)
        watch.check(field)


def test_no_button_of_train_moves_over_a_session(open_train: Open, qtbot: Any) -> None:
    viewer, widget = open_train(show=True)
    annotate_layers(viewer, "0", "1")
    qtbot.waitUntil(lambda: len(widget.context.state.offers) == 2)
    state = widget.context.state
    state.runs = TRAINED.get("runs", state.runs)
    watch = Watch(viewer, widget, qtbot)
    for field, value in (
        ("busy", "Looking through the images …"),
        ("steps", (3, 9)),
        ("busy", ""),
        ("check", TRAINED["check"]),
        ("message", LONG),
        ("run", BUSY_RUN),
        ("run", replace(BUSY_RUN, waiting=0.15, training=120, validation=30)),
        ("run", replace(BUSY_RUN, status="finished", epoch=200)),
        ("message", ""),
    ):
        setattr(state, field, value)
        watch.check(field)


def test_unfolding_a_group_of_train_shows_its_fields_at_once_and_in_their_places(
    open_train: Open, qtbot: Any
) -> None:
    """They are made one after the other, and the widest label may be any of them."""
    viewer, widget = open_train(show=True)
    watch = Watch(viewer, widget, qtbot)
    headers = {one.header for one in widget.folds.values()}
    bar = widget._scroll.verticalScrollBar()
    for name, spec in widget.specs.items():
        if widget.folds[name].isHidden():
            continue
        above, before = widget.folds[name].header.mapTo(widget, QPoint()).y(), bar.value()
        QTest.mouseClick(widget.folds[name].header, LEFT)
        seen: dict[QWidget, tuple[int, int]] = {}
        for _ in range(40):
            QApplication.processEvents()
            shown = [one.widget.native for one in spec.fields.values()]
            now = {o: (o.mapTo(widget, QPoint()).x(), o.width()) for o in shown if o.isVisible()}
            assert all(now[one] == seen[one] for one in seen), "a field is shifted"
            assert not seen or now.keys() == seen.keys(), "a field comes by itself"
            seen = now
        qtbot.waitUntil(lambda spec=spec: all(f.widget.visible for f in spec.fields.values()))
        assert bar.value() == place_of(widget, widget.folds[name], before), name
        moved = bar.value() - before
        now = {o: (x, y + moved, *size) for o, (x, y, *size) in watch.look().items()}
        stays = [o for o in watch.places if o not in headers and watch.places[o][1] < above]
        assert len(stays) > 3
        assert not {_name(o) for o in stays if now.get(o) != watch.places[o]}, name
        QTest.mouseClick(widget.folds[name].header, LEFT)
        watch.check(f"folding {name} again")


def test_a_button_is_as_large_while_it_is_disabled(annotating: Open, qtbot: Any) -> None:
    """Else what is below is shifted when Qt happens to look."""
    _, widget = annotating(show=True)
    sizes: dict[QPushButton, set[tuple[int, int]]] = {}
    for button in widget.findChildren(QPushButton):
        if button.isHidden():
            continue  # those of groups, which have a title of their own
        for enabled in (True, False):
            button.setEnabled(enabled)
            button.setIcon(button.icon())  # has Qt forget what it remembers
            hint = button.sizeHint()
            sizes.setdefault(button, set()).add((hint.width(), hint.height()))
    assert len(sizes) > 10
    assert not {button.text(): found for button, found in sizes.items() if len(found) > 1}


# ---- taking back, and tabs


def test_what_was_accepted_is_taken_back_after_the_next_image_is_open(
    open_review: Open, project: Path, qtbot: Any
) -> None:
    viewer, widget = open_review(project=project)
    hand, state = ReviewHand(viewer, widget, qtbot), widget.context.state
    hand.press(Action.TAKE_BACK)
    assert "Nothing was accepted" in state.message
    hand.press(Action.NEXT_IMAGE)
    first = state.current
    hand.click((70, 32))
    hand.press(Action.ACCEPT)
    made = hand.labels.copy()
    hand.press(Action.ACCEPT_IMAGE)
    assert state.current != first and state.row(first).state == "accepted"
    hand.press(Action.TAKE_BACK)
    hand.settle()
    assert state.current == first and state.row(first).state == "to review"
    assert (hand.labels == made).all(), "what was made of it is not lost"
    assert not list((project / "masks").glob("first*"))
    hand.press(Action.REJECT_IMAGE)
    hand.press(Action.TAKE_BACK)
    hand.settle()
    assert state.current == first and state.row(first).state == "to review"


def test_the_widgets_are_tabs_of_one_another_and_the_last_one_is_in_front(
    annotating: Open, open_train: Open, open_review: Open, qtbot: Any
) -> None:
    viewer, first = annotating(show=True)
    window = viewer.window._qt_window
    assert isinstance(window, QMainWindow)
    widgets = [first, open_train(viewer)[1], open_review(viewer)[1]]
    docks = [_dock(one) for one in widgets]
    qtbot.waitUntil(lambda: len(window.tabifiedDockWidgets(docks[0])) == 2)
    qtbot.waitUntil(lambda: not widgets[2].visibleRegion().isEmpty())
    assert all(one.visibleRegion().isEmpty() for one in widgets[:2])
    high = 0.7 * window.centralWidget().height()  # they share no room
    qtbot.waitUntil(lambda: widgets[2].height() > high)


def _dock(widget: QWidget) -> QDockWidget:
    from napari_clickseg._qt.parts.dock import dock_of

    dock = dock_of(widget)
    assert dock is not None
    return dock
