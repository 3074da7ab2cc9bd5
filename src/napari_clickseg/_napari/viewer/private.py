"""All that is taken from napari's private side, for want of a public way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from napari.layers.base import Layer

__all__ = ["canvas_of", "drawn_once", "window_of"]


def drawn_once(layer: Layer) -> AbstractContextManager[None]:
    """Have several changes of a layer drawn once, at the end."""
    found: AbstractContextManager[None] = layer._block_refresh()
    return found


def window_of(viewer: Any) -> Any:
    """Return the Qt window of a viewer."""
    return viewer.window._qt_window


def canvas_of(viewer: Any) -> Any:
    """Return the Qt widget that a viewer draws on."""
    return viewer.window._qt_viewer.canvas.native
