"""What the plugin's dock widgets have in common: they scroll, and end with their dock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_clickseg._qt.parts.canvas import CurrentContext
from napari_clickseg._qt.parts.controls import align_labels
from napari_clickseg._qt.parts.manners import teach

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtGui import QShowEvent

__all__ = ["Dock"]


class Dock(QWidget):
    """A column of forms that scrolls, and that lets go of everything when it is closed.

    Parameters
    ----------
    viewer : Viewer
    """

    least: ClassVar[tuple[int, int]] = (300, 500)  # width and height that are asked for

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._scroll = QScrollArea()
        # Else it takes the keyboard at every click on something that does not want it.
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._context = CurrentContext(viewer)
        self._ends: list[Callable[[], object]] = []
        ends, context = self._ends, self._context

        def end() -> None:
            while ends:
                ends.pop(0)()
            context.end()  # the last: what ends before may remove layers

        self._end = end  # which must not hold the widget: that is half gone by then
        self.destroyed.connect(end)

    def fill(self, *parts: QWidget, stretching: QWidget | None = None) -> None:
        """Put parts below one another; one of them may take all the room that is left."""
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
        layout.addWidget(self._scroll)

    def at_end(self, *acts: Callable[[], object]) -> None:
        """Have functions called, once and in order, when the widget ends, whichever way."""
        self._ends += acts

    def fit(self) -> None:
        """Line up all labels, leave room for what can't be narrower, and teach all manners."""
        teach(self)
        align_labels(self)
        content, bar = self._scroll.widget(), self._scroll.verticalScrollBar()
        assert content is not None and bar is not None
        self._scroll.setMinimumWidth(content.minimumSizeHint().width() + bar.sizeHint().width())

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

    def sizeHint(self) -> QSize:
        """Return a size that shows the form without scrolling, its groups folded."""
        content = self._scroll.widget()
        assert content is not None
        return content.sizeHint().expandedTo(QSize(*self.least))

    def _look_if_taken_out(self) -> None:
        if self.parent() is None:
            self.taken_out()
