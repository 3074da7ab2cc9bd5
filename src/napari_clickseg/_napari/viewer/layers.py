"""Companion layers of an image: same place in the world, one for each purpose.

World coordinates exist in this module (and in the click tool) alone; everything else counts in
data pixels of the image. The way between the two is the one that napari draws, which is not
always ``world_to_data``: the displayed axes and the others are taken apart from each other, and
units are converted to those of the viewer.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari.components import Dims
    from napari.layers import Image, Labels, Points
    from napari.layers.base import Layer

    from napari_clickseg.data.chunked.chunks import ChunkedArray, ChunkStore

TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
# Colours of clicks: green and red, but of a brightness that tells them apart without their hue.
POSITIVE, NEGATIVE = "#2bd62b", "#d00000"
CLICK_EDGE = 0.15  # of their size
_LEAST_CLICK = 2.0  # screen pixels
_LARGE = 8192 * 8192  # pixels of a plane from which on the annotation is kept as a pyramid
_LONG = 1 << 30  # pixels of a stack from which on it is not kept as a plain array
_CHUNK = 1024
_TILE = 512  # pixels of a side of a pyramid's chunks


class CompanionError(ValueError):
    """A layer that cannot go with the image; the message says what to do."""


def full_resolution(layer: Any) -> Any:
    """Return a layer's data, of a pyramid the finest level."""
    return layer.data[0] if layer.multiscale else layer.data


def companion_shape(image: Image, channel_axis: int | None) -> tuple[int, ...]:
    """Return the shape of label data for an image: its own, with one pixel for the channels."""
    finest = full_resolution(image)
    shape = [int(n) for n in finest.shape[: image.ndim]]
    if channel_axis is not None:
        shape[channel_axis] = 1
    return tuple(shape)


def companion_transform(image: Image, channel_axis: int | None) -> dict[str, Any]:
    """Return the transform arguments of a layer that lies on the image pixel by pixel.

    Along the channels the companion has one pixel, which is stretched over all of them, so that
    it is seen whichever channel is displayed.
    """
    values = {name: getattr(image, name) for name in TRANSFORMS}
    if channel_axis is not None:
        finest = full_resolution(image)
        n = int(finest.shape[channel_axis])
        scale, translate = np.array(image.scale), np.array(image.translate)
        middle = np.zeros(image.ndim)
        middle[channel_axis] = (n - 1) / 2
        translate = translate + _before_affine(image, _placement(image)[0] @ middle)
        scale[channel_axis] *= n
        values.update(scale=scale, translate=translate)
    return values


def data_under(layer: Layer, dims: Dims, position: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return what of a layer is drawn at a world position, in data pixels along every axis."""
    hidden, shown = _axes(layer, dims)
    matrix, origin = _placement(layer, _unit_factors(layer, dims))
    inverse = np.linalg.inv(matrix)
    world = np.asarray(position, float)[-layer.ndim :]
    out = np.empty(layer.ndim)
    out[hidden] = inverse[np.ix_(hidden, hidden)] @ world[hidden] - (inverse @ origin)[hidden]
    out[shown] = np.linalg.pinv(matrix[np.ix_(shown, shown)]) @ (world[shown] - origin[shown])
    return out


def carried_over(
    points: npt.NDArray[np.float64],
    layer: Layer,
    image: Image,
    dims: Dims,
    index: Sequence[int],
) -> npt.NDArray[np.float64]:
    """Return where positions in a layer lie in an image, in data pixels along every axis.

    Parameters
    ----------
    points : float64 (n, layer.ndim)
        In data pixels of the layer.
    index : sequence of int
        Position along the image's axes; where the layer has fewer axes, it lies there.

    Returns
    -------
    float64 (n, image.ndim)
    """
    matrix, origin = _placement(layer, _unit_factors(layer, dims))
    there = points @ matrix.T + origin
    matrix, origin = _placement(image, _unit_factors(image, dims))
    world = np.tile(matrix @ np.asarray(index, float) + origin, (len(points), 1))
    n = min(there.shape[1], world.shape[1])
    world[:, -n:] = there[:, -n:]
    return np.asarray((world - origin) @ np.linalg.inv(matrix).T)


def step_to(layer: Layer, dims: Dims, index: Sequence[int]) -> dict[int, float]:
    """Return where the viewer's sliders have to be for a plane of a layer to be displayed.

    Returns
    -------
    dict of int to float
        World position for each of the viewer's axes that the layer has and that isn't displayed.
    """
    hidden, _ = _axes(layer, dims)
    matrix, origin = _placement(layer, _unit_factors(layer, dims))
    inverse = np.linalg.inv(matrix)
    wanted = np.asarray(index, float)[hidden] + (inverse @ origin)[hidden]
    world = np.linalg.pinv(inverse[np.ix_(hidden, hidden)]) @ wanted
    offset = dims.ndim - layer.ndim
    return {axis + offset: float(value) for axis, value in zip(hidden, world, strict=True)}


def drawn_alike(first: Layer, second: Layer, dims: Dims) -> bool:
    """Whether the displayed pixels of two layers lie on one another."""
    matrices, origins = [], []
    for layer in (first, second):
        _, shown = _axes(layer, dims)
        matrix, origin = _placement(layer, _unit_factors(layer, dims))
        matrices.append(matrix[np.ix_(shown, shown)])
        origins.append(origin[shown])
    back = np.linalg.pinv(matrices[0])
    return np.allclose(back @ matrices[1], np.eye(len(back)), atol=1e-5) and np.allclose(
        back @ (origins[1] - origins[0]), 0, atol=1e-2
    )


def corner_shift(
    image: Image, axes: tuple[int, int], corner: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Return what a layer's `translate` has more for its first pixel to lie at `corner`.

    `axes` are the displayed data axes; `corner` is in data pixels of the image, along every axis.
    """
    matrix, _ = _placement(image)
    inverse = np.linalg.inv(matrix)
    shown = list(axes)
    hidden = [axis for axis in range(image.ndim) if axis not in axes]
    at, world = np.asarray(corner, float), np.zeros(image.ndim)
    world[shown] = matrix[np.ix_(shown, shown)] @ at[shown]
    rest = at[hidden] - inverse[np.ix_(hidden, shown)] @ world[shown]
    world[hidden] = np.linalg.pinv(inverse[np.ix_(hidden, hidden)]) @ rest
    return _before_affine(image, world)


def _axes(layer: Layer, dims: Dims) -> tuple[list[int], list[int]]:
    """Return a layer's data axes that are hidden, and those that are displayed, both rising."""
    offset = dims.ndim - layer.ndim
    shown = sorted(axis - offset for axis in dims.displayed if axis >= offset)
    return [axis for axis in range(layer.ndim) if axis not in shown], shown


def _placement(
    layer: Layer, factors: npt.NDArray[np.float64] | float = 1.0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the matrix (ndim, ndim) and origin (ndim,) that take data pixels to the world."""
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)), float)
    columns = [np.asarray(layer.data_to_world(unit)) - origin for unit in np.eye(layer.ndim)]
    return (np.stack(columns) * factors).T, origin * factors


def _unit_factors(layer: Layer, dims: Dims) -> npt.NDArray[np.float64]:
    """Return, for each axis, how many of the viewer's units one of the layer's is."""
    world = dims.units
    if world is None or len(world) < layer.ndim:
        return np.ones(layer.ndim)
    pairs = zip(layer.units, world[-layer.ndim :], strict=True)
    return np.array([1.0 if a == b else float((1 * a).to(b).magnitude) for a, b in pairs])


def _before_affine(layer: Layer, shift: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a shift in the world as a change of `translate`, which `affine` comes after."""
    affine = np.asarray(layer.affine.linear_matrix)
    full = np.eye(layer.ndim)
    full[-affine.shape[0] :, -affine.shape[0] :] = affine
    return np.asarray(np.linalg.solve(full, shift))


def follow_transform(layer: Layer, image: Image, channel_axis: int | None) -> None:
    """Put a companion where the image is now."""
    set_transform(layer, companion_transform(image, channel_axis))


def set_transform(layer: Layer, transform: dict[str, Any]) -> None:
    """Set those transforms of a layer that differ."""
    for name, value in transform.items():
        if not _equal(getattr(layer, name), value):
            setattr(layer, name, value)


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, tuple):  # units, names
        return first == tuple(second)
    first, second = (getattr(value, "affine_matrix", value) for value in (first, second))
    return np.array_equal(first, second)


def make_annotation(
    image: Image, channel_axis: int | None, axes: tuple[int, int] | None = None
) -> Labels:
    """Make the labels layer that accepted objects go to.

    On very large planes it is a pyramid of chunks, which napari draws quickly, and of which those
    that are not used lie on the disk; a long stack is one zarr array. `axes` are the displayed
    data axes, the last two by default.
    """
    from napari.layers import Labels

    shape = companion_shape(image, channel_axis)
    common = {"name": f"{image.name} annotation", **companion_transform(image, channel_axis)}
    axes = axes or (len(shape) - 2, len(shape) - 1)
    if shape[axes[0]] * shape[axes[1]] >= _LARGE:
        return Labels(empty_pyramid(shape, axes), multiscale=True, **common)
    if math.prod(shape) >= _LONG:
        return Labels(_sparse(shape, axes), **common)
    return Labels(np.zeros(shape, np.uint16), **common)


def _sparse(shape: tuple[int, ...], axes: tuple[int, int]) -> Any:
    import zarr

    chunks = tuple(min(n, _CHUNK) if axis in axes else 1 for axis, n in enumerate(shape))
    return zarr.create_array({}, shape=shape, chunks=chunks, dtype="uint16", fill_value=0)


def _chunk_store() -> ChunkStore:
    from napari_clickseg.data.chunked.chunks import ChunkStore
    from napari_clickseg.data.chunked.scratch import Scratch
    from napari_clickseg.runs.home import default_home

    store = ChunkStore(lambda: Scratch(default_home(), store).folder)
    return store


def begun_pyramid(folder: Path) -> list[ChunkedArray]:
    """Return the levels of OME-Zarr labels (Y, X) to be gone on with; the folder stays as it is."""
    return _chunk_store().begin(folder, (_TILE, _TILE))


def empty_pyramid(shape: tuple[int, ...], axes: tuple[int, int]) -> list[ChunkedArray]:
    """Return the levels of labels in which there is nothing; `axes` are the planes'."""
    store = _chunk_store()
    chunks = tuple(_TILE if axis in axes else 1 for axis in range(len(shape)))
    levels = [store.array(shape, chunks)]
    while max(shape[axis] for axis in axes) > _TILE:  # napari loads all of the last one each time
        shape = tuple(-(-n // 2) if axis in axes else n for axis, n in enumerate(shape))
        levels.append(store.array(shape, chunks))
    return levels


def make_points(image: Image, channel_axis: int | None, *, positive: bool, size: float) -> Points:
    """Make the points layer of one polarity; `size` is in screen pixels."""
    from napari.layers import Points

    broad = click_breadth(max(companion_shape(image, channel_axis)))
    layer = Points(
        ndim=image.ndim,
        name=f"{image.name} {'positive' if positive else 'negative'}",
        # Told apart by shape as well as by colour.
        face_color=POSITIVE if positive else NEGATIVE,
        border_color="white",
        border_width=CLICK_EDGE,
        symbol="disc" if positive else "square",
        size=broad,
        canvas_size_limits=click_limits(size),
        **companion_transform(image, channel_axis),
    )
    layer.current_size = broad
    return layer


def click_breadth(span: float) -> float:
    """Return how broad clicks are on an image of a length, in data pixels.

    That is more than they are shown with unless one zooms far out: see `click_limits`.
    """
    return max(3.0, span / 40)


def click_limits(size: float) -> tuple[float, float]:
    """Return a points layer's `canvas_size_limits` for clicks that are `size` screen pixels broad.

    The lower limit is not `size`: napari makes the edges of points at least half as wide as it.
    """
    return min(_LEAST_CLICK, size), size


def check_companion(layer: Layer, image: Image, channel_axis: int | None) -> None:
    """Raise CompanionError if a labels or points layer cannot go with the image."""
    if layer.ndim != image.ndim:
        raise CompanionError(
            f"The layer '{layer.name}' has {layer.ndim} dimensions, the image '{image.name}' "
            f"{image.ndim}; choose another layer or have a new one made."
        )
    if getattr(unwrapped(layer), "_type_string", "") != "labels":
        return
    data: Any = layer.data
    have = tuple((data[0] if getattr(layer, "multiscale", False) else data).shape)
    if have != companion_shape(image, channel_axis):
        raise CompanionError(
            f"The labels layer '{layer.name}' has the shape {have}, the image "
            f"{companion_shape(image, channel_axis)}; choose another layer or have a new one "
            "made."
        )


def unwrapped(thing: Any) -> Any:
    """Return what is behind the proxy that napari gives to plugins."""
    return getattr(thing, "__wrapped__", thing)


def remove_layers(viewer: Any, gone: Iterable[Layer]) -> None:
    """Take layers out of a viewer, those that are in it.

    napari collects garbage and waits for the graphics each time that layers go, a third of a second
    in a usual session: so they go at once, where its version knows how.
    """
    layers = unwrapped(viewer).layers
    at_once = getattr(layers, "batched_update", nullcontext)
    there = [layer for layer in map(unwrapped, gone) if layer in layers]
    if there:
        with at_once():
            for layer in there:
                if layer in layers:  # what goes may take others along
                    layers.remove(layer)


def as_positions(data: Sequence[Sequence[float]] | npt.NDArray[Any]) -> list[tuple[float, ...]]:
    """Return the rows of a points layer's data as tuples."""
    return [tuple(float(v) for v in row) for row in data]
