"""The crosshair that keys move, over the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_clickseg._napari.viewer.connections import Connections
from napari_clickseg._napari.viewer.layers import unwrapped
from napari_clickseg._napari.viewer.private import canvas_of

if TYPE_CHECKING:
    from napari_clickseg._napari.annotate.state import AnnotateState

_ARM, _FREE = 18, 4  # screen pixels: from the middle, and of them those that show what is there
_EDGE, _LINE = 4.0, 1.6  # widths of the lines, dark below bright


class CrosshairMark:
    """Shows the crosshair of a state while there is one."""

    def __init__(self, viewer: Any, state: AnnotateState) -> None:
        self._viewer, self._state = viewer, state
        self.mark: QWidget | None = None
        self._connections = Connections()
        self._connections.connect(state.events.crosshair_at, self._show)

    def end(self) -> None:
        """Take it away; safe to call again."""
        self._connections.close()
        mark, self.mark = self.mark, None
        if mark is not None and isalive(mark):  # type: ignore[no-untyped-call]
            mark.hide()
            mark.deleteLater()

    def _show(self) -> None:
        at = self._state.crosshair_at
        if at is None:
            if self.mark is not None:
                self.mark.hide()
            return
        if self.mark is None:
            self.mark = _Mark(canvas_of(unwrapped(self._viewer)))
        self.mark.move(round(at[0]) - _ARM, round(at[1]) - _ARM)
        self.mark.show()
        self.mark.raise_()


class _Mark(QWidget):
    """Four arms, with nothing where they would meet."""

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFixedSize(2 * _ARM + 1, 2 * _ARM + 1)

    def paintEvent(self, a0: QPaintEvent | None) -> None:
        """Draw it, bright on dark: it is seen on any image."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for colour, width in ((QColor(0, 0, 0, 170), _EDGE), (QColor(255, 255, 255), _LINE)):
            painter.setPen(QPen(colour, width))
            for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                middle, way = QPoint(_ARM, _ARM), QPoint(x, y)
                painter.drawLine(middle + way * _FREE, middle + way * (_ARM - 1))
        painter.end()
