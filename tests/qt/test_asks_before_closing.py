"""Whoever closes napari with something unsaved is asked; code that closes a viewer is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg._qt.parts import folders
from napari_clickseg.data.project import read_project
from tests.qt.conftest import until_gone
from tests.qt.test_focus_and_wheel import ON, Keyboard, settled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., tuple[Any, Any]]

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def open_viewer(
    make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Any]:
    """Open viewers of the test's own, which it may close, without napari's own question."""
    from napari.settings import get_settings

    get_settings().application.confirm_close_window = False
    monkeypatch.setattr("napari._qt.qt_main_window.quit_app_", lambda: None)
    return lambda: make_napari_viewer(show=True)


class User:
    """Accepts an object, closes the window, and answers."""

    def __init__(self, viewer: Any, widget: Any, qtbot: Any) -> None:
        self.viewer, self.widget, self.qtbot = viewer, widget, qtbot
        self.window = viewer.window._qt_window
        # It is hidden, and not deleted: napari's fixture closes it once more.
        self.window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        self.keys = Keyboard(viewer, widget, qtbot)
        self.activate()

    def activate(self) -> None:
        """Give the window the keyboard, which a window manager does when a dialog closes."""
        self.window.activateWindow()
        active = lambda: QApplication.activeWindow() is self.window  # noqa: E731
        self.qtbot.waitUntil(active, timeout=5000)

    def accept(self, at: tuple[int, int] = ON) -> None:
        self.keys.click(at)
        settled(self.widget, self.qtbot)
        self.keys.press(Action.ACCEPT)
        settled(self.widget, self.qtbot)

    def close(self, way: str) -> None:
        if way == "cross":
            send_spontaneous(self.window)
        else:
            self.activate()
            key = Qt.Key.Key_W if way == "Ctrl+W" else Qt.Key.Key_Q
            QTest.keyClick(self.window, key, Qt.KeyboardModifier.ControlModifier)
        self.qtbot.waitUntil(lambda: self.closed or self.question is not None, timeout=20_000)

    @property
    def question(self) -> QMessageBox | None:
        boxes = [box for box in self.window.findChildren(QMessageBox) if box.isVisible()]
        return boxes[0] if boxes else None

    def answer(self, text: str) -> None:
        assert self.question is not None
        (button,) = (one for one in self.question.buttons() if one.text() == text)
        QTest.mouseClick(button, LEFT)
        self.qtbot.waitUntil(lambda: self.closed or self.question is None, timeout=20_000)

    @property
    def closed(self) -> bool:
        return not hasattr(self.viewer.window, "_qt_window") or not _visible(self.window)


def _visible(window: Any) -> bool:
    try:
        return bool(window.isVisible())
    except RuntimeError:  # Qt has deleted it
        return False


def send_spontaneous(window: Any) -> None:
    """Close a window as the window manager does: by an event that Qt did not make."""
    from qtpy.QtGui import QCloseEvent

    class FromOutside(QCloseEvent):
        def spontaneous(self) -> bool:
            return True

    event = FromOutside()
    QCoreApplication.sendEvent(window, event)
    if event.isAccepted():  # as Qt does, once nobody minds
        window.hide()


WAYS = ("cross", "Ctrl+W", "Ctrl+Q")


def test_closing_with_an_accepted_object_asks_and_cancelling_loses_nothing(
    annotating: Open, qtbot: Any
) -> None:
    viewer, widget = annotating()
    user = User(viewer, widget, qtbot)
    user.accept()
    before = np.array(widget.context.state.annotation.data)
    assert before.any()
    for way in WAYS:
        user.close(way)
        assert user.question is not None, way
        assert "1 change is" in user.question.informativeText()
        user.answer("Cancel")
        assert not user.closed and user.question is None
        np.testing.assert_array_equal(widget.context.state.annotation.data, before)
    user.keys.press(Action.UNDO)
    settled(widget, qtbot)
    assert widget.context.state.n_objects == 0, "one goes on as before"
    user.keys.press(Action.REDO)
    settled(widget, qtbot)
    widget.context.state.annotation.paint((4, 4), 9)
    for way in WAYS:
        user.close(way)
        assert "2 changes are" in user.question.informativeText(), way
        user.answer("Cancel" if way != WAYS[-1] else "Close without saving")
    qtbot.waitUntil(lambda: user.closed)


def test_saving_closes_the_window_once_all_is_written(
    annotating: Open, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def folder(*_: Any) -> str:
        asked.append("folder")
        return str(tmp_path / "new")

    monkeypatch.setattr(folders, "choose_or_make_folder", folder)
    viewer, widget = annotating()
    user = User(viewer, widget, qtbot)
    user.accept()
    user.close("Ctrl+Q")
    user.answer("Save to project")
    qtbot.waitUntil(lambda: user.closed, timeout=30_000)
    assert asked == ["folder"]
    (record,) = read_project(tmp_path / "new").records
    assert record.name == "images/spots.png"


def test_giving_up_the_folder_leaves_the_window_open(
    annotating: Open, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "choose_or_make_folder", lambda *_: "")
    viewer, widget = annotating()
    user = User(viewer, widget, qtbot)
    user.accept()
    user.close("cross")
    user.answer("Save to project")
    assert not user.closed and user.question is None
    assert "Nothing is saved" in widget.context.state.message
    user.close("cross")
    assert user.question is not None, "It asks again."
    user.answer("Cancel")


def test_a_stroke_of_the_brush_is_asked_for_also_when_the_widget_was_closed(
    annotating: Open, qtbot: Any
) -> None:
    viewer, widget = annotating()
    user = User(viewer, widget, qtbot)
    labels = widget.context.state.annotation
    labels.paint((40, 40), 3)
    with until_gone(qtbot, widget):
        viewer.window.remove_dock_widget(widget)
    user.close("Ctrl+W")
    assert user.question is not None
    user.answer("Close without saving")
    qtbot.waitUntil(lambda: user.closed)


@pytest.mark.parametrize("way", ["cross", "Ctrl+Q"])
def test_nothing_is_asked_where_nothing_is_unsaved(annotating: Open, way: str, qtbot: Any) -> None:
    viewer, widget = annotating()
    user = User(viewer, widget, qtbot)
    user.keys.click(ON)
    settled(widget, qtbot)
    user.close(way)
    qtbot.waitUntil(lambda: user.closed)


def test_code_that_closes_a_viewer_is_not_asked(annotating: Open, qtbot: Any) -> None:
    viewer, widget = annotating()
    user = User(viewer, widget, qtbot)
    user.accept()
    viewer.close()
    assert user.closed


def test_one_key_saves_and_says_so_while_nothing_moves(
    annotating: Open, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(tmp_path / "new")
    monkeypatch.setattr(folders, "choose_or_make_folder", lambda *_: folder)
    viewer, widget = annotating()
    user = User(viewer, widget, qtbot)
    user.accept()
    place = widget.objects.save.native.geometry()
    user.keys.press(Action.SAVE)
    qtbot.waitUntil(lambda: "1 mask is saved" in widget.message.value, timeout=30_000)
    assert user.keys.is_with_the_image()
    widget.context.state.annotation.paint((4, 4), 9)
    widget.context.state.message = ""
    QTest.mouseClick(widget.objects.save.native, LEFT)
    qtbot.waitUntil(lambda: "1 mask is saved" in widget.message.value, timeout=30_000)
    assert user.keys.is_with_the_image()
    assert widget.objects.save.native.geometry() == place
    assert len(read_project(tmp_path / "new").records) == 1
    user.close("cross")
    qtbot.waitUntil(lambda: user.closed)
