"""Controls that can be used without seeing them, and without a mouse: their names, their order."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QScrollArea,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_WHOLE = (QAbstractItemView, QAbstractSpinBox, QComboBox)  # what is in them is no control by itself


def controls_of(root: QWidget) -> list[QWidget]:
    """Return what can have the keyboard within a widget, in the order in which it is laid out."""
    return [one for one in _in_order(root) if one.focusPolicy() != Qt.FocusPolicy.NoFocus]


def said_name(control: QWidget) -> str:
    """Return what a screen reader calls a control; "" where it has nothing to say."""
    if control.accessibleName():
        return control.accessibleName()
    text = control.text() if isinstance(control, (QAbstractButton, QLabel)) else ""
    return text if any(letter.isalpha() for letter in text) else ""


def name_controls(root: QWidget) -> None:
    """Give all controls a name: the label beside them, or else what is said of them.

    Those keep theirs that have one, such as buttons, which are called what stands on them.
    """
    for control in controls_of(root):
        if not said_name(control):
            control.setAccessibleName(_label(control, root) or _tip(control, root))


def set_tab_order(root: QWidget) -> None:
    """Have Tab go through controls as they are laid out, not in the order they were made in."""
    reached = [one for one in controls_of(root) if one.focusPolicy() & Qt.FocusPolicy.TabFocus]
    for first, second in pairwise(reached):
        QWidget.setTabOrder(first, second)


def _in_order(widget: QWidget) -> Iterator[QWidget]:
    yield widget
    if isinstance(widget, _WHOLE):
        return
    layout = widget.layout()
    laid = list(_laid_out(layout)) if layout is not None else []
    inner = widget.widget() if isinstance(widget, QScrollArea) else None
    for child in laid if inner is None else [inner]:
        yield from _in_order(child)


def _laid_out(layout: QLayout) -> Iterator[QWidget]:
    for at in range(layout.count()):
        item = layout.itemAt(at)
        within = None if item is None else item.layout()
        widget = None if item is None else item.widget()
        if within is not None:
            yield from _laid_out(within)
        elif widget is not None:
            yield widget


def _around(control: QWidget, root: QWidget) -> Iterator[QWidget]:
    widget: QWidget | None = control
    while widget is not None:
        yield widget
        widget = None if widget is root else widget.parentWidget()


def _label(control: QWidget, root: QWidget) -> str:
    """Return the text of the label on the left of a control, or of what it is part of."""
    for widget in _around(control, root):
        around = widget.parentWidget()
        layout = None if around is None else around.layout()
        for each in () if layout is None else _nested(layout):
            label = _beside(each, widget)
            if isinstance(label, QLabel) and label is not widget and label.text().strip():
                return label.text().strip()
    return ""


def _beside(layout: QLayout, widget: QWidget) -> QWidget | None:
    """Return what is on the left of a widget in a layout: in a form, or in a line of two."""
    if isinstance(layout, QFormLayout):
        return layout.labelForField(widget)
    if isinstance(layout, QHBoxLayout) and layout.count() == 2 and layout.indexOf(widget) == 1:
        item = layout.itemAt(0)
        return None if item is None else item.widget()
    return None


def _nested(layout: QLayout) -> Iterator[QLayout]:
    yield layout
    for at in range(layout.count()):
        item = layout.itemAt(at)
        within = None if item is None else item.layout()
        if within is not None:
            yield from _nested(within)


def _tip(control: QWidget, root: QWidget) -> str:
    """Return the first line that is said where the mouse rests on a control."""
    for widget in _around(control, root):
        if widget.toolTip():
            return widget.toolTip().partition("\n")[0]
    return ""
