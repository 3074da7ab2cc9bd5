"""What lies in the middle of napari's window, and the OpenGL context that it is drawn with."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from qtpy.QtWidgets import QMainWindow, QWidget


class CurrentContext:
    """Has a layer's drawing taken down in the context that it was put up in.

    When a layer is removed, napari deletes what it was drawn with at once, in whichever context is
    current; often that is the one in which Qt puts the window together. If the layer's data were
    changed in the same turn, Mesa's software renderer then crashes at one of the next frames.
    """

    def __init__(self, viewer: Any) -> None:
        self._view: QWidget | None = None
        self._removing = viewer.layers.events.removing
        self._removing.connect(self._layer_removing)

    def end(self) -> None:
        """Let go of the viewer."""
        self._removing.disconnect(self._layer_removing)

    def find(self, widget: QWidget) -> None:
        """Find out what is drawn in, by a widget that is docked beside it."""
        self._view = middle(widget) or self._view

    def _layer_removing(self) -> None:
        with suppress(RuntimeError):  # Qt is gone already: the window was closed
            for canvas in _canvases(self._view) if self._view is not None else ():
                canvas.makeCurrent()


def middle(widget: QWidget) -> QWidget | None:
    """Return what lies in the middle of the window that a widget is docked in; None if it isn't."""
    window: QWidget | None = widget
    while window is not None and not isinstance(window, QMainWindow):
        window = window.parentWidget()
    return None if window is None else window.centralWidget()


def canvas_beside(widget: QWidget) -> QWidget | None:
    """Return what the image is drawn on, in the window that a widget is docked in."""
    view = middle(widget)
    return None if view is None else next(iter(_canvases(view)), view)


def _canvases(view: QWidget) -> list[Any]:
    # Which qtpy has for some bindings only.
    return [one for one in view.findChildren(QWidget) if one.inherits("QOpenGLWidget")]
