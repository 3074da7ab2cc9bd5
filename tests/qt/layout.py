"""How dock widgets are laid out: waiting for it, and whether all can be read in little room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from qtpy.QtWidgets import QAbstractButton, QComboBox, QLabel, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Seen = TypeVar("Seen")


def until_still(qtbot: Any, look: Callable[[], Seen]) -> Seen:
    """Wait until what is looked at stays as it is, however busy the machine is; return it."""
    seen, same = look(), 0
    while same < 3:
        qtbot.wait(30)
        before, seen = seen, look()
        same = same + 1 if seen == before else 0
    return seen


def assert_nothing_is_cut_off(widget: QWidget, parts: Iterable[QWidget] = ()) -> None:
    """Look at what is visible in some parts of a widget, or in all of it."""
    edge = widget.width()
    inside = [one for part in (tuple(parts) or (widget,)) for one in part.findChildren(QWidget)]
    for control in inside:
        if not control.isVisible():
            continue
        if isinstance(control, QAbstractButton):
            assert control.width() >= control.minimumSizeHint().width(), control.text()
        if isinstance(control, QLabel):
            assert control.height() >= control.heightForWidth(control.width()), control.text()
            if control.text() and not control.wordWrap():
                assert control.width() >= control.sizeHint().width(), control.text()
        if isinstance(control, (QAbstractButton, QLabel, QComboBox)):
            right = control.mapTo(widget, control.rect().topRight()).x()
            assert right <= edge, control


def until_nothing_is_cut_off(qtbot: Any, widget: QWidget, parts: Iterable[QWidget] = ()) -> None:
    """Wait until the layout has followed what changed, however busy the machine is."""
    shown = tuple(parts)
    qtbot.waitUntil(lambda: assert_nothing_is_cut_off(widget, shown), timeout=20_000)


def tip(control: QWidget) -> str:
    """Return what is said where the mouse rests on a control."""
    parent = control.parentWidget()
    return control.toolTip() or (tip(parent) if parent is not None else "")
