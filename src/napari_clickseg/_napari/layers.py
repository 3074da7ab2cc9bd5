"""Companion layers of an image: same place in the world, one for each purpose.

World coordinates exist in this module (and in the click tool) alone; everything else counts in
data pixels of the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image, Labels, Points
    from napari.layers.base import Layer

__all__ = [
    "TRANSFORMS",
    "check_companion",
    "companion_shape",
    "companion_transform",
    "follow_transform",
    "linear_part",
    "make_annotation",
    "make_points",
]

TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
_LARGE = 8192 * 8192  # pixels of a plane from which on the annotation is kept as a pyramid
_CHUNK = 1024


class CompanionError(ValueError):
    """A layer that cannot go with the image; the message says what to do."""


def companion_shape(image: Image, channel_axis: int | None) -> tuple[int, ...]:
    """Return the shape of label data for an image: its own, with one pixel for the channels."""
    finest = image.data[0] if image.multiscale else image.data
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
        finest = image.data[0] if image.multiscale else image.data
        n = int(finest.shape[channel_axis])
        scale, translate = np.array(image.scale), np.array(image.translate)
        middle = np.zeros(image.ndim)
        middle[channel_axis] = (n - 1) / 2
        translate = translate + linear_part(image) @ middle
        scale[channel_axis] *= n
        values.update(scale=scale, translate=translate)
    return values


def linear_part(layer: Layer) -> npt.NDArray[np.float64]:
    """Return the matrix (ndim, ndim) from data pixels to where `translate` is added."""
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))
    columns = [np.asarray(layer.data_to_world(unit)) - origin for unit in np.eye(layer.ndim)]
    world = np.stack(columns, axis=1)
    affine = np.asarray(layer.affine.linear_matrix)
    size = affine.shape[0]
    full = np.eye(layer.ndim)
    full[-size:, -size:] = affine
    return np.asarray(np.linalg.solve(full, world))


def follow_transform(layer: Layer, image: Image, channel_axis: int | None) -> None:
    """Put a companion where the image is now."""
    for name, value in companion_transform(image, channel_axis).items():
        setattr(layer, name, value)


def make_annotation(image: Image, channel_axis: int | None) -> Labels:
    """Make the labels layer that accepted objects go to.

    On very large planes it is a pyramid of zarr arrays in memory, which napari draws quickly
    and which takes no memory where nothing is labelled.
    """
    from napari.layers import Labels

    shape = companion_shape(image, channel_axis)
    common = {"name": f"{image.name} annotation", **companion_transform(image, channel_axis)}
    if sorted(shape)[-1] * sorted(shape)[-2] < _LARGE:
        return Labels(np.zeros(shape, np.uint16), **common)
    return Labels(_pyramid(shape), multiscale=True, **common)


def _pyramid(shape: tuple[int, ...]) -> list[Any]:
    import zarr

    levels = []
    while True:
        chunks = tuple(min(n, _CHUNK) if n > 64 else 1 for n in shape)
        levels.append(
            zarr.create_array({}, shape=shape, chunks=chunks, dtype="uint16", fill_value=0)
        )
        if max(shape) <= 2 * _CHUNK:
            return levels
        shape = tuple(-(-n // 2) if n > 64 else n for n in shape)


def make_points(image: Image, channel_axis: int | None, *, positive: bool, size: float) -> Points:
    """Make the points layer of one polarity; `size` is in screen pixels."""
    from napari.layers import Points

    span = max(companion_shape(image, channel_axis))
    layer = Points(
        ndim=image.ndim,
        name=f"{image.name} {'positive' if positive else 'negative'}",
        face_color="#2ca02c" if positive else "#d62728",
        border_color="white",
        border_width=0.15,
        symbol="disc" if positive else "cross",
        size=max(1.0, span / 100),
        canvas_size_limits=(size, size * 1.5),
        **companion_transform(image, channel_axis),
    )
    layer.current_size = max(1.0, span / 100)
    return layer


def check_companion(layer: Layer, image: Image, channel_axis: int | None) -> None:
    """Raise CompanionError if a labels or points layer cannot go with the image."""
    if layer.ndim != image.ndim:
        raise CompanionError(
            f"The layer '{layer.name}' has {layer.ndim} dimensions, the image '{image.name}' "
            f"{image.ndim}; choose another layer or have a new one made."
        )
    if getattr(layer, "_type_string", "") != "labels":
        return
    data: Any = layer.data
    have = tuple((data[0] if getattr(layer, "multiscale", False) else data).shape)
    if have != companion_shape(image, channel_axis):
        raise CompanionError(
            f"The labels layer '{layer.name}' has the shape {have}, the image "
            f"{companion_shape(image, channel_axis)}; choose another layer or have a new one "
            "made."
        )


def same_place(first: Layer, second: Layer) -> bool:
    """Whether two layers of as many dimensions put the same pixel at the same place."""
    corners = [np.zeros(first.ndim), *np.eye(first.ndim)]
    return all(
        np.allclose(first.data_to_world(corner), second.data_to_world(corner)) for corner in corners
    )


def as_positions(data: Sequence[Sequence[float]] | npt.NDArray[Any]) -> list[tuple[float, ...]]:
    """Return the rows of a points layer's data as tuples."""
    return [tuple(float(v) for v in row) for row in data]
