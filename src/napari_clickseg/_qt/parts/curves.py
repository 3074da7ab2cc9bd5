"""A small plot of curves, drawn with Qt alone: importing matplotlib would hold the window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QMouseEvent

# Okabe & Ito's colours, brighter on dark and darker on light ground.
_ON_DARK = ("#56B4E9", "#E69F00", "#2BC593", "#E29AC2", "#F0E442", "#F2895B")
_ON_LIGHT = ("#0072B2", "#C25400", "#00795A", "#A8477F", "#7A6F00", "#8A3B12")
# And each curve has dashes of its own, in widths of the line: colours alone don't tell all apart.
_DASHES = ((), (5, 2), (1, 2), (6, 2, 1, 2), (9, 3), (3, 1, 1, 1))
_WIDTH = 1.8  # pixels
_SIZE = QSize(260, 130)
_GAP = 4  # pixels


@dataclass(frozen=True, slots=True)
class Line:
    """A curve.

    Parameters
    ----------
    name : str
        For the legend; without one it stands behind the others, pale.
    points : tuple of (float, float)
        In the order of their x.
    """

    name: str
    points: tuple[tuple[float, float], ...]


class CurvePlot(QWidget):
    """Curves over epochs, with a legend; the values are told where the mouse is.

    Parameters
    ----------
    span : (float, float), optional
        Of the vertical axis; without it, that of the curves.
    """

    def __init__(
        self,
        title: str,
        tip: str,
        *,
        span: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self._title, self._span = title, span
        self.lines: tuple[Line, ...] = ()
        self.mark: float | None = None
        self.spread: tuple[float, float] | None = None
        self.setToolTip(tip)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_lines(
        self,
        lines: Sequence[Line],
        mark: float | None = None,
        spread: tuple[float, float] | None = None,
    ) -> None:
        """Draw other curves.

        Parameters
        ----------
        lines : sequence of Line
            Those with a name are in the legend.
        mark : float, optional
            Where a dotted vertical line stands: at the epoch that is kept.
        spread : (float, float), optional
            Of the horizontal axis; without it, that of the curves.
        """
        wanted = tuple(lines), mark, spread
        if wanted != (self.lines, self.mark, self.spread):
            self.lines, self.mark, self.spread = wanted
            self.update()

    def sizeHint(self) -> QSize:
        return _SIZE

    def minimumSizeHint(self) -> QSize:
        return QSize(160, _SIZE.height())

    def read(self, x: float) -> str:
        """Return the values of the named curves nearest to an x, a line for each."""
        said = []
        for line in self._named():
            at, value = min(line.points, key=lambda point: abs(point[0] - x))
            said.append(f"{line.name}: {value:.4g} (epoch {at:g})")
        return "\n".join(said)

    def mouseMoveEvent(self, a0: QMouseEvent | None) -> None:
        """Tell the values under the mouse."""
        area, (x0, x1), _ = self._frame()
        if a0 is not None and self._named() and area.contains(a0.position()):
            x = x0 + (a0.position().x() - area.left()) / area.width() * (x1 - x0)
            QToolTip.showText(a0.globalPosition().toPoint(), self.read(x), self)
        super().mouseMoveEvent(a0)

    def paintEvent(self, a0: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        self._draw_title(painter, ink)
        area, spread, span = self._frame()
        painter.setPen(QPen(_faded(ink, 0.45), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        if not any(line.points for line in self.lines):
            painter.setPen(_faded(ink, 0.6))
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "nothing yet")
        else:
            self._draw_axes(painter, ink, area, spread, span)
            self._draw_lines(painter, ink, area, spread, span)
        painter.end()

    def _named(self) -> list[Line]:
        return [line for line in self.lines if line.name and line.points]

    def _colours(self) -> tuple[str, ...]:
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        return _ON_DARK if ink.lightnessF() > 0.5 else _ON_LIGHT

    def _pens(self) -> list[QPen]:
        """Return what the curves of the legend are drawn with, in their order."""
        return [
            _dashed(QColor(one), dashes)
            for one, dashes in zip(self._colours(), _DASHES, strict=True)
        ]

    def _frame(self) -> tuple[QRectF, tuple[float, float], tuple[float, float]]:
        """Return where curves are drawn, and the ranges of x and y."""
        metrics = self.fontMetrics()
        every = [point for line in self.lines for point in line.points]
        xs, ys = [x for x, _ in every] or [0.0], [y for _, y in every] or [0.0]
        span = self._span or _roomy(min(ys), max(ys))
        rows = 1 + max((row for row, *_ in self._legend()), default=0)
        left = max(metrics.horizontalAdvance(f"{tick:g}") for tick in ticks(*span)) + 2 * _GAP
        high = metrics.height()
        top = rows * high + max(_GAP, metrics.ascent() / 2)  # half of the topmost number
        area = QRectF(left, top, self.width() - left - 2 * _GAP, self.height() - top - high - _GAP)
        start, end = self.spread or (min(xs), max(xs))
        return area, (start, max(end, start + 1)), span

    def _draw_title(self, painter: QPainter, ink: QColor) -> None:
        metrics = self.fontMetrics()
        painter.setPen(ink)
        painter.drawText(QPointF(_GAP, metrics.ascent()), self._title)
        for (row, x, wide), line, pen in zip(
            self._legend(), self._named(), self._pens(), strict=False
        ):
            y = metrics.ascent() + row * metrics.height()
            painter.setPen(pen)
            painter.drawText(QPointF(x, y), line.name)
            below = y + 0.8 * metrics.descent()
            painter.drawLine(QPointF(x, below), QPointF(x + wide, below))

    def _legend(self) -> list[tuple[int, float, int]]:
        """Return the row, the left end and the width of each name; rows are as wide as the plot."""
        metrics = self.fontMetrics()
        left, right = metrics.horizontalAdvance(self._title) + 3.5 * _GAP, self.width() - _GAP
        rows: list[list[int]] = [[]]
        for line in self._named():
            wide = metrics.horizontalAdvance(line.name)
            taken = left + sum(rows[-1]) + 2.5 * _GAP * len(rows[-1])
            if taken + wide > right:
                rows.append([])
                left = _GAP
            rows[-1].append(wide)
        made = []
        for number, widths in enumerate(rows):
            x = right - sum(widths) - 2.5 * _GAP * (len(widths) - 1)
            for wide in widths:
                made.append((number, x, wide))
                x += wide + 2.5 * _GAP
        return made

    def _draw_axes(
        self,
        painter: QPainter,
        ink: QColor,
        area: QRectF,
        spread: tuple[float, float],
        span: tuple[float, float],
    ) -> None:
        metrics = self.fontMetrics()
        for value in ticks(*span):
            y = _place(value, span, area.bottom(), area.top())
            painter.setPen(QPen(_faded(ink, 0.15), 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(_faded(ink, 0.75))
            text = f"{value:g}"
            x = area.left() - _GAP - metrics.horizontalAdvance(text)
            painter.drawText(QPointF(x, y + metrics.ascent() / 2 - 1), text)
        for value in ticks(*spread, most=5):
            if value != int(value):
                continue  # there are no halves of an epoch
            x = _place(value, spread, area.left(), area.right())
            text = f"{value:g}"
            half = metrics.horizontalAdvance(text) / 2
            x = min(x, self.width() - 2 * half)
            painter.drawText(QPointF(x - half, self.height() - metrics.descent()), text)

    def _draw_lines(
        self,
        painter: QPainter,
        ink: QColor,
        area: QRectF,
        spread: tuple[float, float],
        span: tuple[float, float],
    ) -> None:
        if self.mark is not None:
            x = _place(self.mark, spread, area.left(), area.right())
            painter.setPen(QPen(_faded(ink, 0.6), 1, Qt.PenStyle.DotLine))
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.setClipRect(area.adjusted(-2, -2, 2, 2))
        pens = iter(self._pens())
        for line in self.lines:
            pen = QPen(_faded(ink, 0.3), 1.0)
            if line.name and line.points:
                pen = next(pens, QPen(QColor(_ON_DARK[0]), _WIDTH))
            places = [
                QPointF(
                    _place(x, spread, area.left(), area.right()),
                    _place(y, span, area.bottom(), area.top()),
                )
                for x, y in line.points
            ]
            painter.setPen(pen)
            painter.drawPolyline(QPolygonF(places))
            if line.name and len(places) < 2:
                painter.setBrush(pen.color())
                for place in places:
                    painter.drawEllipse(place, 2.5, 2.5)


def ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Return round numbers within a range.

    Parameters
    ----------
    low, high : float
        Its ends.
    most : int
        About so many.

    Returns
    -------
    list of float
        In rising order, at least one.
    """
    width = high - low
    if not width > 0:
        return [low]
    rough = width / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(n * step, digits) for n in range(first, last + 1)] or [low]


def _roomy(low: float, high: float) -> tuple[float, float]:
    """Return a range with a margin; losses begin at zero where that is near."""
    if high <= low:
        return low - 0.5, low + 0.5
    room = 0.06 * (high - low)
    return (0.0 if 0 <= low < high - low else low - room), high + room


def _place(value: float, span: tuple[float, float], start: float, end: float) -> float:
    return start + (value - span[0]) / (span[1] - span[0]) * (end - start)


def _dashed(colour: QColor, dashes: tuple[int, ...]) -> QPen:
    pen = QPen(colour, _WIDTH)
    if dashes:
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        pen.setDashPattern([float(one) for one in dashes])
    return pen


def _faded(colour: QColor, alpha: float) -> QColor:
    faded = QColor(colour)
    faded.setAlphaF(alpha)
    return faded
