"""What the plugin's dock widgets have in common: they scroll, and end with their dock."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QDockWidget,
    QFrame,
    QMainWindow,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_clickseg._qt.parts.accessible import name_controls, set_tab_order
from napari_clickseg._qt.parts.canvas import CurrentContext
from napari_clickseg._qt.parts.controls import align_labels, reserve_lines
from napari_clickseg._qt.parts.focus_and_wheel import leave_to_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtGui import QShowEvent


# napari's themes draw a line around a disabled button, which makes it higher: what is below moves.
_AS_HIGH = "QPushButton:disabled { padding: 3px; }"


class _Scroll(QScrollArea):
    """Keeps the room of its bar free: what is beside it stays where it is when it comes."""

    def __init__(self) -> None:
        super().__init__()
        bar = self.verticalScrollBar()
        assert bar is not None
        bar.rangeChanged.connect(lambda *_: self.keep_room())

    def keep_room(self) -> None:
        """Leave as much room as the bar takes, while it is not there."""
        bar = self.verticalScrollBar()
        assert bar is not None
        there = bar.maximum() > bar.minimum()
        self.setViewportMargins(0, 0, 0 if there else bar.sizeHint().width(), 0)
        # Within a turn of Qt's own layout the form would stay as wide as it was before.
        self.setWidgetResizable(True)


class Dock(QWidget):
    """A column of forms that scrolls, and that lets go of everything when it is closed."""

    least: ClassVar[tuple[int, int]] = (300, 500)  # width and height that are asked for

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.setStyleSheet(_AS_HIGH)
        self._scroll = _Scroll()
        # Else it takes the keyboard at every click on something that does not want it.
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._context = CurrentContext(viewer)
        self._joined = False
        self.labels_to_come: tuple[str, ...] = ()  # of fields that are made later
        self._ends: list[Callable[[], object]] = []
        ends, context = self._ends, self._context

        def end() -> None:
            while ends:
                ends.pop(0)()
            context.end()  # the last: what ends before may remove layers

        self._end = end  # which must not hold the widget: that is half gone by then
        self.destroyed.connect(end)

    def fill(
        self,
        *parts: QWidget,
        stretching: QWidget | None = None,
        foot: QWidget | None = None,
    ) -> None:
        """Put parts below one another.

        Parameters
        ----------
        *parts : QWidget
            They scroll.
        stretching : QWidget, optional
            The one of them that takes all the room that is left.
        foot : QWidget, optional
            Stays in sight at the bottom. It may grow and shrink, as the last message does: that
            moves nothing above it.
        """
        content = QWidget()
        column = QVBoxLayout(content)
        column.setSpacing(8)
        for part in parts:
            column.addWidget(part, int(part is stretching))
        if stretching is None:
            column.addStretch(1)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._scroll, 1)
        if foot is not None:
            layout.addLayout(self._footer(foot, column))

    def _footer(self, foot: QWidget, column: QVBoxLayout) -> QVBoxLayout:
        around = column.contentsMargins()
        made = QVBoxLayout()
        made.setContentsMargins(around.left(), 4, around.right(), around.bottom())
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        made.addWidget(line)
        made.addWidget(foot)
        return made

    def at_end(self, *acts: Callable[[], object]) -> None:
        """Have functions called, once and in order, when the widget ends, whichever way."""
        self._ends += acts

    def fit(self) -> None:
        """Line up labels, leave room for what can't be narrower, and leave keys to the image."""
        leave_to_image(self)
        name_controls(self)
        set_tab_order(self)
        align_labels(self, self.labels_to_come)
        reserve_lines(self)
        content, bar = self._scroll.widget(), self._scroll.verticalScrollBar()
        assert content is not None and bar is not None
        self._scroll.setMinimumWidth(content.minimumSizeHint().width() + bar.sizeHint().width())
        self._scroll.keep_room()

    def taken_out(self) -> None:
        """End, as napari has taken the widget out of its dock."""
        self._end()
        self.deleteLater()

    def event(self, a0: QEvent | None) -> bool:
        """Notice when napari takes the widget out of its dock: there is no close event."""
        if a0 is not None and a0.type() == QEvent.Type.ParentChange and self.parent() is None:
            QTimer.singleShot(0, self._look_if_taken_out)
        return super().event(a0)

    def showEvent(self, a0: QShowEvent | None) -> None:
        """Fit to what could not be measured before the theme was known."""
        super().showEvent(a0)
        self._context.find(self)
        self.fit()
        if not self._joined:
            self._joined = True
            QTimer.singleShot(0, self._join)

    def focusNextPrevChild(self, next: bool) -> bool:
        """Go on by Tab, also through what was made since the widget was shown."""
        name_controls(self)
        set_tab_order(self)
        return super().focusNextPrevChild(next)

    def sizeHint(self) -> QSize:
        """Return a size that shows the form without scrolling, its groups folded."""
        content = self._scroll.widget()
        assert content is not None
        foot = self.layout()
        more = foot.sizeHint().height() - self._scroll.sizeHint().height() if foot else 0
        wanted = content.sizeHint() + QSize(0, max(0, more))
        return wanted.expandedTo(QSize(*self.least))

    def _join(self) -> None:
        """Become a tab of the plugin's other widgets, where they are docked in the same place."""
        with suppress(RuntimeError):  # the widget is gone already
            dock = dock_of(self)
            window = dock.parentWidget() if dock is not None else None
            if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
                return
            area = window.dockWidgetArea(dock)
            for other in window.findChildren(QDockWidget):
                there = window.dockWidgetArea(other) == area and not other.isFloating()
                if other is not dock and there and other.findChild(Dock) is not None:
                    window.tabifyDockWidget(other, dock)
                    dock.raise_()
                    return

    def _look_if_taken_out(self) -> None:
        if self.parent() is None:
            self.taken_out()


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Return what a widget is docked in, if it is."""
    around: QWidget | None = widget
    while around is not None and not isinstance(around, QDockWidget):
        around = around.parentWidget()
    return around
