"""Planes of images: which 2D plane is displayed, and reading it without reading the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg._napari.viewer.layers import data_under
from napari_clickseg.core.plane import Plane

if TYPE_CHECKING:
    from napari.components import Dims
    from napari.layers import Image
    from napari.layers.base import Layer


class PlaneData:
    """A plane of an array, as an array (Y, X) or (Y, X, C) that reads what is asked for.

    Parameters
    ----------
    data : array
        n-dimensional; numpy, dask, zarr.
    index : tuple of int
        Position along each axis of `data` (of a coarser level it is smaller).
    channel_axis : int, optional
        The axis of channels.
    """

    def __init__(
        self, data: Any, plane: Plane, index: tuple[int, ...], channel_axis: int | None
    ) -> None:
        self._data, self._plane, self._index = data, plane, index
        self._channel_axis = channel_axis
        height, width = (int(data.shape[axis]) for axis in plane.axes)
        channels = () if channel_axis is None else (int(data.shape[channel_axis]),)
        self.shape: tuple[int, ...] = (height, width, *channels)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(data.dtype)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        parts = key if isinstance(key, tuple) else (key,)
        parts = (*parts, slice(None), slice(None))[:2]
        full: list[Any] = list(self._index)
        full[self._plane.axes[0]], full[self._plane.axes[1]] = parts
        if self._channel_axis is not None:
            full[self._channel_axis] = slice(None)
        out = np.asarray(self._data[tuple(full)])
        if self._channel_axis is not None:
            kept = sorted((*self._plane.axes, self._channel_axis))
            out = np.moveaxis(out, kept.index(self._channel_axis), -1)
        return out


def displayed_plane(dims: Dims, layer: Layer, channel_axis: int | None = None) -> Plane | None:
    """Return the plane of a layer that the viewer shows.

    Parameters
    ----------
    layer : Layer
        Of any dimensionality.
    channel_axis : int, optional
        A data axis that holds channels and is no part of a plane's position.

    Returns
    -------
    Plane or None
        None in 3D, where the displayed axes are not the layer's, or beyond its ends.
    """
    if dims.ndisplay != 2:
        return None
    offset = dims.ndim - layer.ndim
    axes = sorted(axis - offset for axis in dims.displayed)
    if axes[0] < 0 or channel_axis in axes:
        return None
    shape = _layer_shape(layer)
    point = np.round(data_under(layer, dims, dims.point)).astype(int)
    index = []
    for axis, length in enumerate(shape):
        inside = axis not in axes and axis != channel_axis
        value = int(point[axis]) if inside else 0
        if not 0 <= value < length:
            return None
        index.append(value)
    return Plane((axes[0], axes[1]), tuple(index), (shape[axes[0]], shape[axes[1]]))


def walking_axis(dims: Dims, layer: Layer, channel_axis: int | None) -> int | None:
    """Return the data axis of a stack that is stepped through: the last one not displayed."""
    offset = dims.ndim - layer.ndim
    displayed = {axis - offset for axis in dims.displayed}
    shape = _layer_shape(layer)
    for axis in reversed(range(layer.ndim)):
        if axis not in displayed and axis != channel_axis and shape[axis] > 1:
            return axis
    return None


def plane_data(image: Image, plane: Plane, channel_axis: int | None) -> list[PlaneData]:
    """Return the plane of an image layer as a pyramid, finest level first."""
    levels = list(image.data) if image.multiscale else [image.data]
    finest = levels[0].shape
    out = []
    for level in levels:
        index = plane.on_level(level.shape, finest).index
        if image.rgb:
            out.append(PlaneData(level, plane, (*index, 0), level.ndim - 1))
        else:
            out.append(PlaneData(level, plane, index, channel_axis))
    return out


def lies_in(plane: Plane, layer: Layer) -> bool:
    """Whether a layer has a plane: as many axes, and pixels wherever the plane has some."""
    shape = _layer_shape(layer)
    return (
        len(shape) == len(plane.index)
        and tuple(shape[axis] for axis in plane.axes) == plane.shape
        and all(i < n for i, n in zip(plane.index, shape, strict=True))
    )


def _layer_shape(layer: Layer) -> tuple[int, ...]:
    data: Any = layer.data
    finest = data[0] if getattr(layer, "multiscale", False) else data
    return tuple(int(n) for n in finest.shape[: layer.ndim])
