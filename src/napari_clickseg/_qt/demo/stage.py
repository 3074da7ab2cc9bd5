"""A real napari window in which the program moves the mouse: for the demo and for pictures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_clickseg._napari.viewer.private import canvas_of, open_widget, window_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qtpy.QtWidgets import QWidget

    from napari_clickseg._napari.annotate.state import AnnotateState
    from napari_clickseg._qt.annotate.widget import AnnotateWidget

_PLUGIN = "napari-clickseg"
_BLINK = 20  # milliseconds
_hand: Any = QTest  # its functions are typed as if they were methods


class Stage:
    """A napari window with a sample and the Annotate widget, set up for annotating.

    Parameters
    ----------
    sample : str
        Key of one of the plugin's samples.
    size : (int, int), optional
        Width and height of the window in pixels.
    """

    def __init__(self, sample: str, size: tuple[int, int] | None = None) -> None:
        self.viewer: Any = napari.Viewer()
        self.window: QWidget = window_of(self.viewer)
        if size is not None:
            self.window.resize(*size)
        widget = open_widget(self.viewer, "Annotate")
        self.widget: AnnotateWidget = widget
        self.viewer.open_sample(_PLUGIN, sample)
        self.wait(lambda: widget.images.start.enabled)
        self.press(widget.images.start)
        self.rest(100)
        self.viewer.reset_view()

    @property
    def state(self) -> AnnotateState:
        """What the widget shows."""
        return self.widget.context.state

    def wait(self, until: Callable[[], bool], seconds: float = 60.0) -> bool:
        """Let the window live until something is true; return whether it is."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                return False
            self.rest(_BLINK)
        return True

    def rest(self, milliseconds: int) -> None:
        """Let the window live for a moment."""
        _hand.qWait(milliseconds)

    def wait_for_the_model(self) -> bool:
        """Wait until the model is loaded; return whether it is."""
        self.wait(lambda: self.state.model_status not in ("none", "loading"), 180)
        return self.state.model_status == "ready"

    def press(self, button: Any) -> None:
        """Press a button of the widget with the mouse."""
        _hand.mouseClick(button.native, Qt.MouseButton.LeftButton)

    def place(self, y: float, x: float) -> QPoint:
        """Return where on the canvas a pixel of the displayed plane is drawn."""
        canvas = canvas_of(self.viewer)
        camera = self.viewer.scene.camera
        image: Any = self.state.image
        position = np.array(image.world_to_data(self.viewer.dims.point[-image.ndim :]))
        position[-2:] = y, x
        world = np.array(image.data_to_world(position))[-2:]
        middle = np.array([canvas.height(), canvas.width()]) / 2
        row, column = middle + (world - camera.center[-2:]) * camera.zoom
        return QPoint(round(column), round(row))

    def click(self, y: float, x: float, *, positive: bool = True) -> None:
        """Click on a pixel of the displayed plane with the mouse, and wait for the answer."""
        canvas, place = canvas_of(self.viewer), self.place(y, x)
        _hand.mouseMove(canvas, place)
        button = Qt.MouseButton.LeftButton if positive else Qt.MouseButton.RightButton
        _hand.mouseClick(canvas, button, Qt.KeyboardModifier.NoModifier, place)
        self._answered()

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw a box from one pixel (y, x) to another with the mouse, and wait for the answer."""
        canvas, left = canvas_of(self.viewer), Qt.MouseButton.LeftButton
        first, last = self.place(*start), self.place(*end)
        _hand.mousePress(canvas, left, Qt.KeyboardModifier.NoModifier, first)
        _hand.mouseMove(canvas, (first + last) / 2)
        _hand.mouseMove(canvas, last)
        _hand.mouseRelease(canvas, left, Qt.KeyboardModifier.NoModifier, last)
        self._answered()

    def _answered(self) -> None:
        self.rest(_BLINK)
        self.wait(lambda: not self.state.busy)
        self.rest(_BLINK)

    def picture(self, path: Path) -> None:
        """Save a picture of the whole window."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rest(300)
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)

    def close(self) -> None:
        """Close the window."""
        self.viewer.close()
        self.rest(100)
