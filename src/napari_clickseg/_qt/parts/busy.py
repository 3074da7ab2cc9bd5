"""A small mark that says that the model is at work."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_clickseg._qt.parts.controls import timer

_SIDE = 16
_PATIENCE = 150  # milliseconds of work before the mark appears: most clicks need less
_LINGER = 250  # and it stays as long after the work, so that it does not flicker between two
_FRAME = 80
_STEP = 30  # degrees


class BusyMark(QWidget):
    """A turning arc that appears only when work lasts; its place is always kept."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setFixedSize(_SIDE, _SIDE)
        self.setToolTip("Turns while the model is loading or answers a click.")
        self._angle = 0
        self._patience = timer(self, self._appear, _PATIENCE, once=True)
        self._linger = timer(self, self._vanish, _LINGER, once=True)
        self._turning = timer(self, self._turn, _FRAME, once=False)

    @property
    def turning(self) -> bool:
        """Whether the mark is seen."""
        return self._turning.isActive()

    def set_busy(self, busy: bool) -> None:
        """Say whether work is going on."""
        if busy:
            self._linger.stop()
            if not self.turning and not self._patience.isActive():
                self._patience.start()
        else:
            self._patience.stop()
            if self.turning and not self._linger.isActive():
                self._linger.start()

    def sizeHint(self) -> QSize:
        return QSize(_SIDE, _SIDE)

    def paintEvent(self, a0: QPaintEvent | None) -> None:
        """Draw the arc in the theme's colour of text, or nothing."""
        if not self.turning:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(self.palette().color(QPalette.ColorRole.WindowText), 2.2)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        rect = QRectF(2, 2, _SIDE - 4, _SIDE - 4)
        painter.drawArc(rect, -self._angle * 16, 270 * 16)
        painter.end()

    def _appear(self) -> None:
        self._turning.start()
        self.update()

    def _vanish(self) -> None:
        self._turning.stop()
        self.update()

    def _turn(self) -> None:
        self._angle = (self._angle + _STEP) % 360
        self.update()
