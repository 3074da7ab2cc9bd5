"""Keyboard focus and mouse wheel: controls beside an image leave both to it.

Keys are for the image: a control has the keyboard only while the user types into it, or went to it
by Tab; Escape gives it back. The wheel is for scrolling: it changes a value only where that control
has the keyboard.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QGraphicsOpacityEffect,
    QLineEdit,
    QPlainTextEdit,
    QScrollBar,
    QWidget,
)

from napari_clickseg._qt.parts.canvas import canvas_beside

if TYPE_CHECKING:
    from typing import TypeGuard

_TURNED = (QAbstractSlider, QAbstractSpinBox, QComboBox)  # by the wheel
_TYPED = (QAbstractSpinBox, QLineEdit, QPlainTextEdit)
_FADED = 0.4
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
# Properties of controls: what a line said when typing began; that a view is watched.
_BEFORE, _WATCHED = "clickseg-before", "clickseg-watched"


def leave_to_image(root: QWidget) -> None:
    """Have a control, and every control within it, leave keyboard and wheel to the image."""
    for control in (root, *root.findChildren(QWidget)):
        no_control = control.focusPolicy() == Qt.FocusPolicy.NoFocus  # a header, a corner
        if isinstance(control, QScrollBar) or no_control:
            continue
        if isinstance(control, QAbstractSpinBox):
            # Else superqt's takes the keyboard at every change, whoever makes it.
            control.setKeyboardTracking(False)
            control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        elif isinstance(control, (QAbstractButton, QComboBox, QAbstractSlider)):
            control.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        if isinstance(control, (*_TURNED, *_TYPED, QAbstractButton, QAbstractItemView)):
            control.removeEventFilter(_filter())
            control.installEventFilter(_filter())
        if isinstance(control, QAbstractSlider):
            _fade(control)
        if isinstance(control, QAbstractItemView):
            _give_back_after_editing(control)


def give_keyboard_back(control: QWidget) -> None:
    """Let keys go to the image again, where a control of a dock has them."""
    image = canvas_beside(control)
    window = control.window()
    holder = window.focusWidget() if window is not None else None
    if image is not None and holder is not None:
        if holder is control or control.isAncestorOf(holder):
            image.setFocus(Qt.FocusReason.OtherFocusReason)


class _Filter(QObject):
    """Looks at what controls are sent, before they do."""

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:
        """Pass the wheel on, and give the keyboard back after typing."""
        if a1 is None or not isinstance(a0, QWidget):
            return False
        kind = a1.type()
        if kind == QEvent.Type.Wheel and isinstance(a0, _TURNED):
            if not a0.hasFocus():
                a1.ignore()  # so that what is around scrolls
                return True
        elif kind == QEvent.Type.EnabledChange and isinstance(a0, QAbstractSlider):
            _fade(a0)
        elif kind == QEvent.Type.FocusIn and isinstance(a0, QLineEdit):
            a0.setProperty(_BEFORE, a0.text())
        elif kind == QEvent.Type.KeyPress and isinstance(a1, QKeyEvent):
            return _typed(a0, a1)
        elif kind == QEvent.Type.MouseButtonRelease and isinstance(a0, QAbstractSpinBox):
            _soon(a0)  # an arrow was pressed; clicks into the text go to its line
        return False


def _fade(slider: QAbstractSlider) -> None:
    """Have a slider look disabled where it is: napari's themes draw it as if it were not.

    The number beside it, which magicgui leaves as it is, can't be changed then, either.
    """
    around = slider.parentWidget()
    for number in around.findChildren(QAbstractSpinBox) if around is not None else ():
        if number.parentWidget() is around:
            number.setEnabled(slider.isEnabled())
    faded = slider.graphicsEffect()
    if not slider.isEnabled() and faded is None:
        faded = QGraphicsOpacityEffect(slider)
        faded.setOpacity(_FADED)
        slider.setGraphicsEffect(faded)
    elif slider.isEnabled() and faded is not None:
        slider.setGraphicsEffect(None)


def _typed(control: QWidget, event: QKeyEvent) -> bool:
    """Give the keyboard back after Enter and Escape; after Escape nothing is changed."""
    if not _types(control):
        if event.key() == Qt.Key.Key_Escape:
            give_keyboard_back(control)
            return True
        return False
    if event.key() in _ENTER and not isinstance(control, QPlainTextEdit):
        _soon(control)
    elif event.key() == Qt.Key.Key_Escape:
        _restore(control)
        give_keyboard_back(control)
        return True
    return False


def _types(control: QWidget) -> TypeGuard[QAbstractSpinBox | QLineEdit | QPlainTextEdit]:
    return isinstance(control, _TYPED)


def _restore(control: QAbstractSpinBox | QLineEdit | QPlainTextEdit) -> None:
    if isinstance(control, QAbstractSpinBox):
        line, value = control.lineEdit(), getattr(control, "value", None)
        if line is not None and value is not None:
            line.setText(f"{control.property('prefix') or ''}{value()}")
    elif isinstance(control, QLineEdit):
        before = control.property(_BEFORE)
        if before is not None:
            control.setText(str(before))


def _soon(control: QWidget) -> None:
    """Give the keyboard back once the control has seen the event, too."""

    def back() -> None:
        with suppress(RuntimeError):  # the widget is gone
            give_keyboard_back(control)

    QTimer.singleShot(0, back)


def _give_back_after_editing(view: QAbstractItemView) -> None:
    view.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    delegate = view.itemDelegate()
    if delegate is not None and not view.property(_WATCHED):
        view.setProperty(_WATCHED, True)
        delegate.closeEditor.connect(lambda *_: _soon(view))


@cache
def _filter() -> _Filter:
    """Return the one filter; it has no state."""
    return _Filter()
