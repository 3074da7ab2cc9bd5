"""napari's own undo of an annotation layer, led to ours.

Two histories of one layer can't both be right: napari's would take an object back that ours still
counts, and ours would bring it back later. So strokes of napari's brush, eraser and bucket become
steps of ours, and napari's undo and redo walk along ours, whoever calls them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.viewer.layers import unwrapped
from napari_clickseg._napari.viewer.private import forget_strokes, strokes_of
from napari_clickseg._napari.viewer.writes import PaintStroke

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels


class OneHistory:
    """Leads undo and redo of a labels layer elsewhere, until it is given back.

    Parameters
    ----------
    walk : callable
        Called with whether forwards, in place of napari's undo and redo.
    """

    def __init__(self, layer: Labels, walk: Callable[[bool], object]) -> None:
        self._layer: Any = unwrapped(layer)
        # On this one layer: napari's keys and whoever else calls them meet these.
        self._layer.undo = lambda: walk(False)
        self._layer.redo = lambda: walk(True)

    def earlier(self) -> list[PaintStroke]:
        """Return what napari could have undone so far."""
        return [PaintStroke.of(self._layer, item) for item in strokes_of(self._layer)]

    def taken_over(self, item: list[Any]) -> PaintStroke:
        """Return what napari has just noted of a stroke; it need not keep it in memory itself."""
        forget_strokes(self._layer)
        return PaintStroke.of(self._layer, item)

    def give_back(self) -> None:
        """Let napari undo again, but not what happened meanwhile, of which it knows a part."""
        for name in ("undo", "redo"):
            vars(self._layer).pop(name, None)
        forget_strokes(self._layer)
