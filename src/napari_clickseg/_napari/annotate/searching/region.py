"""The box in which objects are looked for: what the user selected of a Shapes layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_clickseg._napari.annotate.pointing.from_shapes import shapes_layer
from napari_clickseg._napari.viewer.layers import carried_over
from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg.core.plane import Plane


class SearchBoxError(ValueError):
    """There is no box to look in; the message says how to draw one."""


def selected_box(viewer: ViewerModel, pairing: Pairing, plane: Plane) -> Box:
    """Return the pixels within the selected shapes, of the layer that is selected or the only one.

    Raises
    ------
    SearchBoxError
        If there is none, or it lies beside the image.
    """
    layer = shapes_layer(viewer)
    if layer is None or not layer.nshapes:
        raise SearchBoxError(
            "Draw a rectangle around what is to be searched, in a Shapes layer, or search the "
            "whole plane."
        )
    chosen = sorted(layer.selected_data) or ([0] if layer.nshapes == 1 else [])
    if not chosen:
        raise SearchBoxError(f"Select the rectangle of '{layer.name}' that is to be searched.")
    corners = np.concatenate([np.asarray(layer.data[n], float) for n in chosen])
    points = carried_over(corners, layer, pairing.image, viewer.dims, plane.index)
    drawn = points[:, list(plane.axes)]
    top, left = np.floor(drawn.min(axis=0) + 0.5).astype(int)
    bottom, right = np.ceil(drawn.max(axis=0) + 0.5).astype(int)
    box = Box.from_edges(int(top), int(left), int(bottom), int(right))
    box = box.intersection(Box(0, 0, *plane.shape))
    if not box:
        raise SearchBoxError(f"The rectangle of '{layer.name}' lies beside the image.")
    return box
