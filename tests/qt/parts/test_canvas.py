"""Removing layers does no harm to what is drawn afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtGui import QOpenGLContext
from qtpy.QtWidgets import QWidget

from napari_clickseg._qt.parts.canvas import middle
from tests.qt.conftest import until_gone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.gui

REMOVED_IN_THE_SAME_TURN = """
import faulthandler
import napari, numpy as np
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel
faulthandler.enable()
viewer = napari.Viewer(show=True)
_, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Train")
viewer.add_image(np.zeros((64, 64)))
for height in (100, 200, 100):
    points = viewer.add_points(np.full((9, 2), 20.0))
    QTest.qWait(200)
    points.add([[3.0, 3.0]])
    viewer.layers.remove(points)
    label = QLabel("The view gets lower, which has it drawn anew.")
    label.setMinimumHeight(height)
    viewer.window.add_dock_widget(label, area="bottom")
    QTest.qWait(200)
    viewer.window.remove_dock_widget(label)
    QTest.qWait(200)
print("still there")
viewer.close()
"""


def test_removing_points_that_were_just_changed_crashes_nothing(tmp_path: Path) -> None:
    """With Mesa's software renderer napari alone does crash there."""
    done = subprocess.run(
        [sys.executable, "-c", REMOVED_IN_THE_SAME_TURN],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "NAPARI_CONFIG": str(tmp_path / "settings.yaml")},
    )
    assert "still there" in done.stdout, done.stderr
    assert done.returncode == 0


def test_layers_are_taken_down_in_the_context_that_draws_them(
    make_napari_viewer: Callable[..., Any], bright_model: None, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", "Annotate")
    view = middle(widget)
    assert view is not None
    (canvas,) = (one for one in view.findChildren(QWidget) if one.inherits("QOpenGLWidget"))
    qtbot.waitUntil(canvas.isValid)
    current: list[bool] = []
    viewer.layers.events.removed.connect(
        lambda: current.append(QOpenGLContext.currentContext() == canvas.context())
    )

    def close_the_widget() -> None:
        widget.at_end(lambda: viewer.layers.remove(viewer.layers[-1]))
        with until_gone(qtbot, widget):
            viewer.window.remove_dock_widget(widget)

    ways = (lambda: viewer.layers.remove(viewer.layers[-1]), viewer.layers.clear, close_the_widget)
    for n, take_down in enumerate(ways, 1):
        viewer.add_points(np.zeros((2, 2)))
        qtbot.wait(50)
        canvas.doneCurrent()
        take_down()
        assert current == [True] * n


def test_a_widget_that_is_not_docked_has_no_view_beside_it(qtbot: Any) -> None:
    widget = QWidget()
    qtbot.addWidget(widget)
    assert middle(widget) is None
