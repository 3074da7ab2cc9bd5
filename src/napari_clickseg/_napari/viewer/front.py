"""Which image is in front: what the user clicks on has to be what the user sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_clickseg._napari.viewer.layers import data_under, full_resolution

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from napari.components import ViewerModel
    from napari.layers.base import Layer

_COVERING = ("opaque", "translucent", "translucent_no_depth")  # the others add to what is below
_FILLED = 0.95  # of the canvas, along the longer side
_SPECK = 0.5  # of the canvas, along both sides
_SOLID = 0.5  # opacity above which what is below can't be made out


class Front:
    """Brings an image with its layers to the front, and knows which one is."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._hidden: list[Layer] = []  # by us

    def bring(self, own: Collection[Layer], others: Collection[Layer]) -> None:
        """Show an image and its layers, hide those of other images until they are brought.

        Layers that the user hid stay hidden, unless the image is: it came with them, hidden, as
        all images of a project but the first.

        Images of nobody that cover the image go below it. Where nothing of the image is in view,
        or it is a speck, because what was looked at is much larger, the camera goes there.

        Parameters
        ----------
        own : collection of Layer
            An image and what goes with it, the image first.
        others : collection of Layer
            What goes with other images, and these.
        """
        for layer in others:
            if layer.visible and layer not in own and layer in self._viewer.layers:
                layer.visible = False
                self._hidden.append(layer)
        self._show([layer for layer in self._hidden if layer in own])
        image = next(iter(own))
        if not image.visible:
            self._show(list(own))
        if image in self._viewer.layers:
            self._lower_what_covers(image, own)
            if not _in_view(self._viewer, image):
                bring_into_view(self._viewer, [image])

    def restore(self, layers: Collection[Layer] | None = None) -> None:
        """Show layers that were hidden here; all of them by default."""
        hidden = self._hidden if layers is None else [x for x in self._hidden if x in layers]
        self._show(list(hidden))

    def seen_at(self, position: Sequence[float], own: Collection[Layer]) -> Image | None:
        """Return the image that is seen at a world position, unless it is one of one's own."""
        for layer in reversed(list(self._viewer.layers)):
            if layer in own and isinstance(layer, Image) and self._covers(layer, position):
                return None
            if isinstance(layer, Image) and _solid(layer) and self._covers(layer, position):
                return layer
        return None

    def _show(self, layers: Sequence[Layer]) -> None:
        self._hidden = [layer for layer in self._hidden if layer not in layers]
        for layer in layers:
            if layer in self._viewer.layers:
                layer.visible = True

    def _lower_what_covers(self, image: Layer, own: Collection[Layer]) -> None:
        layers = self._viewer.layers
        above = list(layers)[layers.index(image) + 1 :]
        for layer in above:
            if isinstance(layer, Image) and layer not in own and _solid(layer):
                layers.move(layers.index(layer), layers.index(image))

    def _covers(self, layer: Image, position: Sequence[float]) -> bool:
        at = np.round(data_under(layer, self._viewer.dims, position))
        data: Any = full_resolution(layer)
        return bool(((at >= 0) & (at < np.asarray(data.shape[: layer.ndim]))).all())


def bring_into_view(viewer: ViewerModel, layers: Sequence[Layer]) -> None:
    """Have some layers fill the canvas.

    napari's own function fails where they have fewer axes than another layer that is open.

    Parameters
    ----------
    layers : sequence of Layer
        At least one.
    """
    world = viewer.layers.get_extent(layers).world
    missing = viewer.dims.ndim - world.shape[1]
    axes = [axis - missing for axis in viewer.dims.displayed]
    if viewer.dims.ndisplay != 2 or min(axes) < 0:
        viewer.fit_to_view()  # all that is open, them among it
        return
    low, high = world[:, axes]
    size = np.maximum(high - low, np.finfo(np.float32).eps)
    camera = viewer.scene.camera
    camera.center = tuple(float(v) for v in (low + high) / 2)
    camera.zoom = _FILLED * float((viewer.canvas.viewbox_size(viewer.layers) / size).min())


def _in_view(viewer: ViewerModel, layer: Layer) -> bool:
    """Whether enough of a layer to work on is within the canvas, as far as the camera goes."""
    axes = [axis - viewer.dims.ndim + layer.ndim for axis in viewer.dims.displayed]
    if viewer.dims.ndisplay != 2 or min(axes) < 0:
        return True  # it is not for the camera to change that
    low, high = viewer.layers.get_extent([layer]).world[:, axes]
    middle, zoom = np.array(viewer.scene.camera.center[-2:]), viewer.scene.camera.zoom
    half = np.array(viewer.canvas.viewbox_size(viewer.layers)) / zoom / 2
    there = ((low < middle + half) & (high > middle - half)).all()
    return bool(there and ((high - low) > _SPECK * 2 * half).any())


def take_units(viewer: ViewerModel, layer: Layer) -> None:
    """Give a layer that is not added yet the units of what is open.

    napari warns of layers whose units differ, and then goes by none.
    """
    units = viewer.layers.extent.units if len(viewer.layers) else None
    if units is not None and len(units) >= layer.ndim:
        layer.units = units[-layer.ndim :]


def _solid(layer: Image) -> bool:
    return bool(layer.visible and layer.opacity > _SOLID and str(layer.blending) in _COVERING)
