"""The list by hand: rows are clicked on, sorted, and leave the keyboard to the image."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_clickseg._napari.annotate.object_table import COLUMNS, ObjectTable
from napari_clickseg.core.instances.counting import objects_of
from tests.qt.layout import until_still

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.gui


def listing(open_annotate: Callable[..., Any], spots: np.ndarray, qtbot: Any) -> tuple[Any, Any]:
    """Open the list on an image with three labelled objects, of which two have a class."""
    viewer, widget = open_annotate()
    labels = np.zeros(spots.shape, np.uint16)
    labels[16:36, 20:44], labels[60:80, 20:30], labels[60:64, 84:108] = 1, 2, 300
    image = viewer.add_image(spots, name="spots")
    widget.context.controller.adopt(image, annotation=viewer.add_labels(labels, name="mine"))
    fold = widget.folds["Object list"]
    fold.header.click()
    qtbot.waitUntil(lambda: widget.listed.model.rowCount() == 3, timeout=60_000)
    until_still(qtbot, lambda: (fold.height(), widget.listed.view.height()))  # it unfolds
    scroll = widget._scroll
    scroll.ensureWidgetVisible(widget.listed.view)
    return viewer, widget


def click_row(widget: Any, row: int, keys: Any = Qt.KeyboardModifier.NoModifier) -> None:
    view = widget.listed.view
    place = view.visualRect(widget.listed.model.index(row, 0)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, keys, place)


def texts(widget: Any, column: int) -> list[str]:
    model = widget.listed.model
    return [model.data(model.index(n, column)) for n in range(model.rowCount())]


def test_rows_are_gone_to_chosen_sorted_and_changed_while_keys_stay_with_the_image(
    open_annotate: Callable[..., Any], spots: np.ndarray, qtbot: Any
) -> None:
    viewer, widget = listing(open_annotate, spots, qtbot)
    form, state = widget.listed, widget.context.state
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    assert texts(widget, 0) == ["1", "2", "300"] and texts(widget, 2) == ["480", "200", "96"]
    assert texts(widget, 3) == ["-"] * 3
    click_row(widget, 2)
    assert state.picked == (300,)
    assert np.allclose(viewer.scene.camera.center[1:], (61.5, 95.5))
    qtbot.waitUntil(lambda: len(state.picked_edges.ends) > 0, timeout=60_000)
    head = form.view.horizontalHeader()
    place = head.sectionViewportPosition(2) + head.sectionSize(2) // 3
    for order in (["96", "200", "480"], ["480", "200", "96"]):
        middle = head.rect().center()
        middle.setX(place)
        QTest.mouseClick(
            head.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle
        )
        assert texts(widget, 2) == order
        assert state.picked == (300,) and form._chosen_keys() == [300]
    click_row(widget, 1, Qt.KeyboardModifier.ControlModifier)
    assert state.picked == (2, 300)
    assert "2 chosen" in form.counts.value
    widget.context.controller.add_class("nucleus")
    form.kind.value = 1
    form.give.native.click()
    qtbot.waitUntil(lambda: "2 nucleus" in form.counts.value, timeout=60_000)
    assert state.picked == (2, 300)
    assert sorted(texts(widget, 1)) == ["-", "nucleus", "nucleus"]
    needed = form.view.sizeHintForColumn(1)
    assert head.sectionSize(1) >= needed, "the class can be read"
    form.delete.native.click()
    qtbot.waitUntil(lambda: widget.listed.model.rowCount() == 1, timeout=60_000)
    assert not form.delete.enabled and not form.merge.enabled
    holder = viewer.window._qt_window.focusWidget()
    assert not widget.isAncestorOf(holder), "keys go on to the image"
    widget.objects.undo.native.click()
    qtbot.waitUntil(lambda: widget.listed.model.rowCount() == 3, timeout=60_000)
    widget.folds["Object list"].header.click()
    qtbot.waitUntil(lambda: not state.listing, timeout=60_000)
    assert not len(state.objects) and not len(state.picked_edges.ends)


def test_ten_thousand_rows_do_not_hold_the_window(
    open_annotate: Callable[..., Any],
    spots: np.ndarray,
    qtbot: Any,
    longest_slot: Callable[[Any], float],
) -> None:
    viewer, widget = listing(open_annotate, spots, qtbot)
    bound, form, model = longest_slot(viewer), widget.listed, widget.listed.model
    rng = np.random.default_rng(0)

    def many(n: int) -> ObjectTable:
        regions = objects_of(np.arange(1, n + 1).reshape(1, -1))
        scores = np.where(rng.random(n) < 0.1, np.nan, rng.random(n))
        return ObjectTable(regions, rng.integers(0, 3, n), scores, rng.integers(0, 9, n) / 1.0)

    longest: dict[str, float] = {}

    def timed(name: str, act: Callable[[], object]) -> None:
        start = time.thread_time()
        act()
        form.view.viewport().repaint()
        took = time.thread_time() - start
        longest[name] = min(longest.get(name, np.inf), took)

    state = widget.context.state
    for n in range(3):
        table = many(10_000 + n)
        timed("a new table", lambda table=table: setattr(state, "objects", table))
        for column in range(len(COLUMNS)):
            for order in (Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder):
                timed(f"sort {column}", lambda c=column, o=order: form.view.sortByColumn(c, o))
        timed("all rows", form.view.selectAll)
        assert len(state.picked) == len(table)
        timed("sort all", lambda: form.view.sortByColumn(2, Qt.SortOrder.DescendingOrder))
        timed("scroll", form.view.scrollToBottom)
        timed("none", form.view.clearSelection)
        form.view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    assert model.rowCount() > 10_000
    late = {name: f"{1000 * took:.1f} ms" for name, took in longest.items() if took > bound}
    assert not late, f"{1000 * bound:.1f} ms are allowed"
