"""What a crash left is offered at the foot of the widget, and nothing moves for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton

from napari_clickseg.core.patch import Patch
from napari_clickseg.core.plane import Plane
from napari_clickseg.journal.events import Began, Scribe, Stepped
from napari_clickseg.journal.relabelling import Relabelling
from napari_clickseg.journal.scene import Accepted, Scene
from napari_clickseg.journal.store import JournalStore, image_digest
from napari_clickseg.journal.writing import JournalFile
from napari_clickseg.runs.home import default_home
from tests.qt.layout import until_still

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.gui


def leave_behind(image: np.ndarray) -> Path:
    """Leave what a killed program would: one of the squares, accepted."""
    place = JournalStore(default_home()).begin(image_digest(image))
    mask = np.zeros(image.shape, bool)
    mask[16:36, 20:44] = True
    at = np.flatnonzero(mask)
    write = Relabelling.of(at, np.zeros(at.size), np.ones(at.size))
    plane = Plane((0, 1), (0, 0), (image.shape[0], image.shape[1]))
    made = Scene().with_object(Accepted(plane, 1, (), Patch.of(mask)), None).used(1)
    shape = tuple(image.shape)
    digest = image_digest(image)
    began = Began(shape=shape, dtype=str(image.dtype), digest=digest, labels=shape)
    step = Stepped(Scene(), made, plane, None, lambda: (write,))
    JournalFile(place.path, Scribe()).write([began, step])
    place.release()
    return place.path


@pytest.fixture
def offered(open_annotate: Callable[..., Any], spots: np.ndarray, qtbot: Any) -> Any:
    """The widget after "Annotate this image" was pressed, and where its buttons were before."""
    leave_behind(spots)
    viewer, widget = open_annotate()
    viewer.add_image(spots, name="spots")
    qtbot.waitUntil(lambda: widget.images.start.enabled, timeout=5000)
    state = widget.context.state
    assert state.unsaved_work == "" and not widget.unsaved_work.isVisible()
    before = until_still(qtbot, lambda: places(widget))
    widget.images.start.native.click()
    qtbot.waitUntil(lambda: bool(state.unsaved_work), timeout=30_000)
    until_still(qtbot, lambda: places(widget))
    return viewer, widget, before


def places(widget: Any) -> dict[str, tuple[int, int]]:
    """Where the buttons above the foot are, of those that are seen."""
    places = {}
    for button in widget.findChildren(QPushButton):
        if button.isVisible() and not widget.unsaved_work.isAncestorOf(button):
            at = button.mapToGlobal(QPoint(0, 0))
            places[button.text()] = at.x(), at.y()
    return places


def press(button: Any) -> None:
    native = button.native
    none = Qt.KeyboardModifier.NoModifier
    QTest.mouseClick(native, Qt.MouseButton.LeftButton, none, native.rect().center())


def test_it_is_offered_below_all_that_can_be_pressed_and_taken_up_by_a_press(
    offered: Any, spots: np.ndarray, qtbot: Any
) -> None:
    _, widget, before = offered
    state = widget.context.state
    assert "1 object" in state.unsaved_work and widget.unsaved_work.isVisible()
    assert str(default_home()) in widget.unsaved_work.text.native.toolTip()
    after = places(widget)
    assert {name: after[name] for name in before if name in after} == before
    assert not state.annotation.data.any()
    press(widget.unsaved_work.take_up)
    assert (state.annotation.data > 0).sum() == 20 * 24
    assert not widget.unsaved_work.isVisible()
    assert "Undo" in state.message
    widget.objects.undo.native.click()
    assert not state.annotation.data.any()


def test_it_is_forgotten_by_a_press(offered: Any, qtbot: Any) -> None:
    _, widget, _ = offered
    press(widget.unsaved_work.forget)
    assert not widget.unsaved_work.isVisible()
    folder = default_home() / "journals"
    qtbot.waitUntil(lambda: not list(folder.glob("*.jsonl")), timeout=30_000)
    assert len(list(folder.glob("*.forgotten"))) == 1


def test_the_folder_is_said_where_somebody_asks_for_it(offered: Any) -> None:
    _, widget, _ = offered
    (kept,) = [
        one for one in widget.findChildren(QPushButton) if one.text().startswith("Where unsaved")
    ]
    kept.click()
    assert str(default_home() / "journals") in widget.context.state.message
