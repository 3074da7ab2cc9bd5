"""Maps that explain a mask, as layers that lie where they belong on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image
from napari.utils.colormaps import Colormap, ensure_colormap

from napari_clickseg._napari.viewer.layers import companion_transform, corner_shift
from napari_clickseg._napari.viewer.metadata import explaining

if TYPE_CHECKING:
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.explain.maps import PlacedMap


def result_layer(
    image: Image,
    channel_axis: int | None,
    plane: Plane,
    placed: PlacedMap,
    name: str,
    *,
    signed: bool,
) -> Image:
    """Make a layer of a map on a plane of an image.

    Parameters
    ----------
    image : Image
        That the map explains.
    plane : Plane
        On which the map lies.
    placed : PlacedMap
        (Y, X), or (n, Y, X): these get an axis of their own before the image's.
    signed : bool
        Whether 0 is in the middle of the colours.
    """
    transform = companion_transform(image, channel_axis)
    scale = np.array(transform["scale"], float)
    scale[list(plane.axes)] *= placed.scale
    shift = corner_shift(image, plane.axes, plane.position(*placed.translate))
    transform |= {"scale": scale, "translate": np.asarray(transform["translate"]) + shift}
    data = placed.data if placed.data.ndim == 3 else placed.data[None]
    shape = [1] * image.ndim
    shape[plane.axes[0]], shape[plane.axes[1]] = data.shape[1:]
    layer = Image(data[0].reshape(shape), name=name, **transform, **_look(data, signed))
    if placed.data.ndim == 3:
        layer = _stacked(layer, data.reshape(len(data), *shape), _look(data, signed))
    layer.metadata.update(explaining(image.name))
    return layer


def _look(data: npt.NDArray[np.float32], signed: bool) -> dict[str, Any]:
    largest = float(np.quantile(np.abs(data), _BRIGHT)) if data.size else 0.0
    largest = largest or float(np.abs(data).max(initial=0)) or 1.0
    return {
        "colormap": _SPEAKS if signed else _HEAT,
        "contrast_limits": (-largest if signed else 0.0, largest),
        "blending": "translucent_no_depth",
        "interpolation2d": "linear",
    }


def _fading(colours: npt.NDArray[np.float64], name: str) -> Colormap:
    """Return a colormap that leaves what is near 0 as it is, so that the image is seen."""
    strength = np.abs(np.linspace(-1 if name == _SIGNED else 0, 1, len(colours)))
    alpha = _MOST * np.minimum(1, strength * 1.5)
    return Colormap(np.column_stack([colours[:, :3], alpha]), name=name)


_BRIGHT = 0.995  # of the pixels lie within the colours' range
_MOST = 0.75  # of the image is covered
_SIGNED = "against and for"
_HEAT = _fading(ensure_colormap("inferno").map(np.linspace(0.2, 1, 64)), "speaks for")
_SPEAKS = _fading(np.repeat([[0.1, 0.3, 0.9, 1.0], [0.9, 0.1, 0.1, 1.0]], 32, axis=0), _SIGNED)


def _stacked(first: Image, data: npt.NDArray[np.float32], look: dict[str, Any]) -> Image:
    """Return a layer with an axis before those of `first`, which lies where that does."""
    ndim = first.ndim
    origin = np.asarray(first.data_to_world(np.zeros(ndim)), float)
    columns = [np.asarray(first.data_to_world(unit)) - origin for unit in np.eye(ndim)]
    affine = np.eye(ndim + 2)
    affine[1:-1, 1:-1] = np.stack(columns).T
    affine[1:-1, -1] = origin
    return Image(
        data,
        name=first.name,
        affine=affine,
        units=("pixel", *first.units),
        axis_labels=("map", *first.axis_labels),
        **look,
    )
