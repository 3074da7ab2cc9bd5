"""Asking before what was annotated and not saved is lost with napari's window."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_clickseg._napari.viewer.private import ask_before_closing
from napari_clickseg.data.inspection.summary import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_clickseg._napari.project.saver import Saver

_guards: WeakSet[ClosingGuard] = WeakSet()


class ClosingGuard(QObject):
    """Asks the user who closes a window whether to save, for as long as that window is there.

    The window's cross, keys and menus ask; code that closes a viewer does not.
    """

    def __init__(self, window: Any, saver: Saver) -> None:
        super().__init__(window)
        self._saver = saver
        self._box: QMessageBox | None = None
        window.installEventFilter(self)
        ask_before_closing(window, self.puts_off)
        _guards.add(self)

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:
        """Look at what closes the window from outside, as its cross does."""
        if a1 is None or a1.type() != QEvent.Type.Close or not a1.spontaneous():
            return False
        window: Any = a0
        if not self.puts_off(lambda: window.close()):
            return False
        a1.ignore()
        return True

    def puts_off(self, go_on: Callable[[], object], everything: bool = False) -> bool:
        """Ask if something is not saved, and return whether closing has to wait for the answer.

        Parameters
        ----------
        go_on : callable
            Called when everything is saved or given up; not when the user cancels.
        everything : bool
            All windows are to be closed.
        """
        others = [one for one in _guards if one is not self and one.watches()]
        guards = [self, *others] if everything else [self]
        if not any(guard._saver.unsaved for guard in guards):
            return False
        _ask_in_turn(guards, go_on)
        return True

    def watches(self) -> bool:
        """Whether the window is still open."""
        with suppress(RuntimeError):  # Qt has deleted it
            window = self.parent()
            return isinstance(window, QWidget) and window.isVisible()
        return False

    def ask(self, go_on: Callable[[], object], again: Callable[[], object]) -> None:
        """Ask, and then go on, or save and look again, or leave all as it is."""
        if self._box is not None:
            self._box.raise_()
            return
        window: Any = self.parent()
        self._box = box = QMessageBox(window)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle("Save what you annotated?")
        box.setText("Save what you annotated?")
        box.setInformativeText(_text(self._saver.unsaved))
        save = box.addButton("Save to project", QMessageBox.ButtonRole.AcceptRole)
        drop = box.addButton("Close without saving", QMessageBox.ButtonRole.DestructiveRole)
        cancel = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(save)
        box.setEscapeButton(cancel)

        def answered() -> None:
            chosen = box.clickedButton()
            self._box = None
            box.deleteLater()
            if chosen is save:
                self._saver.save(then=again)
            elif chosen is drop:
                go_on()

        box.finished.connect(lambda _: answered())
        box.open()


def _ask_in_turn(guards: Sequence[ClosingGuard], go_on: Callable[[], object]) -> None:
    """Ask for one window after the other in which something is not saved, then go on."""
    left = [guard for guard in guards if guard._saver.unsaved]
    if not left:
        go_on()
        return
    left[0].ask(lambda: _ask_in_turn(left[1:], go_on), lambda: _ask_in_turn(left, go_on))


def _text(unsaved: dict[str, int]) -> str:
    count = sum(unsaved.values())
    names = ", ".join(f"'{name}'" for name in unsaved)
    return (
        f"{number(count, 'change is', 'changes are')} not saved in a project yet: objects that you "
        f"accepted or deleted, or strokes of the brush, in {names}. What you close without saving "
        "is offered again when its image is annotated the next time."
    )
