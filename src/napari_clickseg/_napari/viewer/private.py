"""All that is taken from napari's private side, for want of a public way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from napari.layers import Labels
    from napari.layers.base import Layer

__all__ = [
    "canvas_of",
    "drawn_once",
    "forget_strokes",
    "replay_stroke",
    "strokes_of",
    "window_of",
]


def drawn_once(layer: Layer) -> AbstractContextManager[None]:
    """Have several changes of a layer drawn once, at the end."""
    found: AbstractContextManager[None] = layer._block_refresh()
    return found


def strokes_of(layer: Labels) -> list[list[Any]]:
    """Return napari's notes of what was painted and can be undone, the first one first."""
    return [list(item) for item in layer._undo_history]


def replay_stroke(layer: Labels, item: list[Any], *, undoing: bool) -> None:
    """Take back, or do again, what napari has such a note of."""
    if undoing:
        layer._load_history([item], [], undoing=True)
    else:  # it reads a note from its end
        layer._load_history([item[::-1]], [], undoing=False)


def forget_strokes(layer: Labels) -> None:
    """Have napari forget what could be undone."""
    layer._reset_history()


def window_of(viewer: Any) -> Any:
    """Return the Qt window of a viewer."""
    return viewer.window._qt_window


def canvas_of(viewer: Any) -> Any:
    """Return the Qt widget that a viewer draws on."""
    return viewer.window._qt_viewer.canvas.native
