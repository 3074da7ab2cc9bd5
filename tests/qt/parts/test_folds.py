from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QCursor
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_clickseg._qt.parts.folds import Fold

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def folds(qtbot: Any) -> tuple[QScrollArea, list[Fold], list[int]]:
    """Three groups of buttons in little room, and what was pressed."""
    area, form, pressed = QScrollArea(), QWidget(), []
    qtbot.addWidget(area)
    column, made = QVBoxLayout(form), []
    for number, buttons in enumerate((1, 20, 3)):
        inside = QWidget()
        rows = QVBoxLayout(inside)
        for _ in range(buttons):
            button = QPushButton(f"{number}")
            button.clicked.connect(lambda _=False, number=number: pressed.append(number))
            rows.addWidget(button)
        made.append(Fold(f"Group {number}", inside, "A group."))
        column.addWidget(made[-1])
    column.addStretch(1)
    area.setWidgetResizable(True)
    area.setWidget(form)
    area.resize(240, 160)
    area.show()
    qtbot.waitExposed(area)
    return area, made, pressed


def top_and_bottom(area: QScrollArea, fold: Fold) -> tuple[int, int]:
    top = fold.mapTo(area.viewport(), QPoint()).y()
    return top, top + fold.height()


def test_a_group_is_seen_whole_or_from_its_title_on_when_it_is_unfolded(folds: Any) -> None:
    area, (small, large, last), _ = folds
    QTest.mouseClick(small.header, LEFT)
    assert area.verticalScrollBar().value() == 0, "it is seen whole where it is"
    QTest.mouseClick(small.header, LEFT)
    QTest.mouseClick(last.header, LEFT)
    assert area.verticalScrollBar().value() > 0
    assert top_and_bottom(area, last)[1] == area.viewport().height(), "no more than needed"
    QTest.mouseClick(last.header, LEFT)
    QTest.mouseClick(large.header, LEFT)
    assert top_and_bottom(area, large)[0] == 0, "a larger one begins at the top"


def test_a_double_click_on_a_title_presses_nothing_that_came_under_the_pointer(
    folds: Any, qtbot: Any
) -> None:
    area, (_, large, _), pressed = folds
    at = large.header.mapToGlobal(large.header.rect().center())
    QCursor.setPos(at)
    qtbot.waitUntil(lambda: QCursor.pos() == at)
    QTest.mouseClick(large.header, LEFT)
    here = area.widget().childAt(area.widget().mapFromGlobal(at))
    assert isinstance(here, QPushButton)
    QTest.mouseDClick(here, LEFT)
    assert not pressed
    other = large.content().findChildren(QPushButton)[2]
    assert other is not here
    QTest.mouseClick(other, LEFT)
    assert pressed == [1], "what is elsewhere can be pressed at once"
    pressed.clear()

    def again() -> None:
        QTest.mouseClick(here, LEFT)
        assert pressed

    qtbot.waitUntil(again)
