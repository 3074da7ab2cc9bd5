"""Whoever does not see the window, or has no mouse: names are said, and Tab goes along."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QScrollBar, QWidget

from napari_clickseg._napari.viewer.private import open_widget
from napari_clickseg._qt.formats.model_dialog import ModelDialog
from napari_clickseg._qt.parts.accessible import controls_of, said_name
from napari_clickseg.models.registry import find_model
from napari_clickseg.models.sharing.offered import offered_model

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[..., tuple[Any, Any]]

pytestmark = pytest.mark.gui
DOCKS = ("Annotate", "Train", "Review", "Files", "Explain")
NO = Qt.FocusPolicy.NoFocus


@pytest.fixture
def docks(annotating: Open, training_home: Any, qtbot: Any) -> dict[str, Any]:
    """All five widgets in one window, each fold open."""
    viewer, annotate = annotating()
    annotate.context.controller.add_class("bud")
    docks = {"Annotate": annotate}
    for name in DOCKS[1:]:
        docks[name] = open_widget(getattr(viewer, "__wrapped__", viewer), name)
    for widget in docks.values():
        for fold in getattr(widget, "folds", {}).values():
            fold.expand(animate=False)
        for form in getattr(widget, "specs", {}).values():
            form.make()
            qtbot.waitUntil(lambda form=form: not form._waiting, timeout=60_000)
    return docks


def reached(root: QWidget) -> list[QWidget]:
    """All that can have the keyboard, found without the code that puts it in order."""
    every = [one for one in root.findChildren(QWidget) if one.focusPolicy() != NO]
    outer = [one for one in every if one.focusProxy() is None and not isinstance(one, QScrollBar)]
    return [one for one in outer if one.window() is root.window()]  # no popups


def place(control: QWidget, root: QWidget) -> QRect:
    return QRect(control.mapTo(root, QPoint(0, 0)), control.size())


def comes_before(first: QRect, second: QRect) -> bool:
    """Whether one reads a control before another: above it, or left of it in its line."""
    beside = first.top() < second.bottom() and second.top() < first.bottom()
    return first.left() <= second.left() if beside else first.top() < second.top()


def test_controls_are_named_tab_reaches_all_as_one_reads_and_escape_leads_back_to_the_image(
    docks: dict[str, Any], qtbot: Any
) -> None:
    tab_goes_as_one_reads(docks, qtbot)
    tab_reaches_all_and_escape_leads_back(docks["Annotate"], qtbot)


def tab_goes_as_one_reads(docks: dict[str, Any], qtbot: Any) -> None:
    wrong: list[Any] = []
    for name, widget in docks.items():
        dock = widget.parentWidget()
        dock.show()
        dock.raise_()
        qtbot.waitUntil(lambda widget=widget: not widget.visibleRegion().isEmpty(), timeout=20_000)
        widget.focusNextPrevChild(True)  # what was made since it was shown is known, too
        controls, by_tab = reached(widget), in_tab_order(widget)
        assert len(controls) >= (5 if name == "Explain" else 15), name
        wrong += [(name, "nameless", one) for one in controls if not said_name(one)]
        wrong += [(name, "not by Tab", said_name(one)) for one in controls if one not in by_tab]
        seen = [one for one in by_tab if one.isVisible()]
        assert len(seen) > 4, name
        for pair in pairwise(seen):
            if not comes_before(*(place(one, widget) for one in pair)):
                wrong.append((name, "order", *map(said_name, pair)))
    assert wrong == []


def in_tab_order(root: QWidget) -> list[QWidget]:
    """What Qt goes through from the first control on, as long as it stays within."""
    first = next(one for one in controls_of(root) if one.focusPolicy() & Qt.FocusPolicy.TabFocus)
    order, one = [first], first.nextInFocusChain()
    while one is not first:
        tab = one.focusPolicy() & Qt.FocusPolicy.TabFocus
        if root.isAncestorOf(one) and tab and one.focusProxy() is None:
            order.append(one)
        one = one.nextInFocusChain()
    return order


def tab_reaches_all_and_escape_leads_back(widget: Any, qtbot: Any) -> None:
    """By real keys: numbers, lists and choices, too."""
    widget.parentWidget().raise_()
    window = widget.window()
    window.activateWindow()
    QApplication.processEvents()
    offered = [one for one in reached(widget) if one.isVisible() and one.isEnabled()]
    start = next(one for one in in_tab_order(widget) if one in offered)
    start.setFocus(Qt.FocusReason.TabFocusReason)
    visited = [start]
    for _ in range(3 * len(offered)):
        QTest.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
        if not widget.isAncestorOf(window.focusWidget()):
            break
        visited.append(window.focusWidget())
    missed = [said_name(one) for one in offered if one not in visited]
    assert missed == []
    for control in offered:
        control.setFocus(Qt.FocusReason.TabFocusReason)
        QTest.keyClick(control, Qt.Key.Key_Escape)
        qtbot.waitUntil(lambda: not widget.isAncestorOf(window.focusWidget()))


def test_a_dialog_names_what_is_asked_and_tab_goes_through_it_as_one_reads(qtbot: Any) -> None:
    dialog = ModelDialog(None, offered_model(find_model("default").path), lambda *_: None)
    qtbot.addWidget(dialog)
    dialog.show()
    controls = reached(dialog)
    assert [said_name(one) for one in controls if not said_name(one)] == []
    assert said_name(dialog.name) == "Name"
    seen = [place(one, dialog) for one in in_tab_order(dialog)]
    assert all(comes_before(a, b) for a, b in pairwise(seen))
