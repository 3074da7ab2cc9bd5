from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import QPoint
from qtpy.QtGui import QColor, QImage, QPalette
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QToolTip

from napari_clickseg._qt.parts.curves import CurvePlot, Line, ticks

pytestmark = pytest.mark.gui

FALLING = Line("training", tuple((float(i), 1 / i) for i in range(1, 21)))


def pixels(plot: CurvePlot) -> np.ndarray:
    image = plot.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    bits = image.constBits()  # PyQt's are a pointer, PySide's a view
    data = bits if isinstance(bits, memoryview) else bits.asstring(image.sizeInBytes())
    rows = np.frombuffer(data, np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width() * 3].copy()


@pytest.fixture
def plot(qtbot: Any) -> CurvePlot:
    made = CurvePlot("Loss", "What this is.")
    qtbot.addWidget(made)
    made.resize(280, 130)
    return made


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_are_round_rise_and_are_within_the_range(low: float, width: float, most: int) -> None:
    at = ticks(low, low + width, most)
    assert 1 <= len(at) <= 2 * most + 1
    assert at == sorted(set(at))
    assert all(low - 1e-6 * width <= one <= low + width * (1 + 1e-6) for one in at[1:])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.5, 1]), (0, 100, [0, 50, 100]), (3, 3, [3]), (1, 5, [1, 2, 3, 4, 5])],
)
def test_ticks_of_usual_ranges(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_without_curves_the_plot_says_so(plot: CurvePlot) -> None:
    empty = pixels(plot)
    plot.show_lines([FALLING])
    assert (pixels(plot) != empty).any()


@pytest.mark.parametrize("ink", ["#ffffff", "#000000"])
def test_curves_can_be_told_from_the_ground_and_from_each_other(plot: CurvePlot, ink: str) -> None:
    ground = QColor("#000000" if ink == "#ffffff" else "#ffffff")
    palette = QPalette(plot.palette())
    palette.setColor(QPalette.ColorRole.WindowText, QColor(ink))
    palette.setColor(QPalette.ColorRole.Window, ground)
    plot.setPalette(palette)
    plot.setAutoFillBackground(True)
    colours = [QColor(colour) for colour in plot._colours()]
    for colour in colours:
        assert abs(colour.lightnessF() - ground.lightnessF()) > 0.3
    dashes = {tuple(pen.dashPattern()) for pen in plot._pens()}
    assert len(dashes) == len(colours), "nobody needs colours to tell them apart"
    plot.show_lines([FALLING, Line("validation", ((1.0, 0.5), (20.0, 0.4)))], mark=4)
    seen = pixels(plot).reshape(-1, 3)
    for colour in colours[:2]:
        rgb = np.array([colour.red(), colour.green(), colour.blue()])
        assert (np.abs(seen.astype(int) - rgb).max(axis=1) < 30).sum() > 20


@pytest.mark.parametrize(
    "points", [(), ((1.0, 0.5),), ((1.0, 0.5), (2.0, 0.5)), ((1.0, -1e9), (1e4, 1e9))]
)
def test_any_curve_can_be_drawn(plot: CurvePlot, points: Any) -> None:
    plot.show_lines([Line("", points), Line("training", points)], mark=3, spread=(0, 5))
    plot.resize(60, 40)
    pixels(plot)


@pytest.mark.parametrize("width", [160, 220, 300])
def test_no_name_of_the_legend_lies_on_another_or_on_the_title(plot: CurvePlot, width: int) -> None:
    plot.resize(width, 130)
    plot.show_lines([Line(n, ((1.0, 0.5),)) for n in ("IoU", "IoU of object", "IoU of a bud")])
    title = plot.fontMetrics().horizontalAdvance(plot._title)
    ends = {0: 4.0 + title}
    for row, x, wide in plot._legend():
        assert x > ends.get(row, 0.0)
        ends[row] = x + wide
        assert ends[row] <= width
    area, _, _ = plot._frame()
    assert area.top() >= len(ends) * plot.fontMetrics().height()


def test_values_are_told_where_the_mouse_is(plot: CurvePlot, qtbot: Any) -> None:
    assert plot.read(3) == ""
    plot.show_lines([FALLING, Line("", ((1.0, 9.0),))])
    assert plot.read(4.2) == "training: 0.25 (epoch 4)"
    plot.show()
    qtbot.waitExposed(plot)
    QTest.mouseMove(plot, QPoint(150, 60))
    qtbot.waitUntil(lambda: "training: " in QToolTip.text(), timeout=3000)
    QToolTip.hideText()
