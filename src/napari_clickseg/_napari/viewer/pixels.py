"""How large the pixels of a layer are: its scale, where its unit is one of length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.pixel_size import PixelSize, unit_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers.base import Layer


def pixel_size_of(layer: Layer, axes: tuple[int, int] | None = None) -> PixelSize | None:
    """Return how large the pixels of a layer's planes are; None where no unit of length says it.

    Parameters
    ----------
    layer : Layer
        Whose units are napari's; pixels say nothing.
    axes : (int, int), optional
        The data axes of y and x, by default the last two.
    """
    ndim = int(layer.ndim)
    return stated_size(
        [float(size) for size in layer.scale],
        [str(unit) for unit in layer.units],
        axes or (ndim - 2, ndim - 1),
        depth=ndim - 3 if axes is None and ndim == 3 else None,
    )


def stated_size(
    scale: Sequence[float], units: Sequence[str], axes: tuple[int, int], depth: int | None = None
) -> PixelSize | None:
    """Return the same, of a layer's scale and the names of its units."""
    y, x = axes
    unit = unit_name(units[y])
    if unit is None or unit_name(units[x]) != unit:
        return None
    z = None
    if depth is not None and unit_name(units[depth]) == unit:
        z = abs(scale[depth])
    try:
        return PixelSize(abs(scale[y]), abs(scale[x]), unit, z)
    except ValueError:
        return None


def placed(size: PixelSize | None, axes: str) -> dict[str, Any]:
    """Return the scale and units of a layer, given a letter for each of its axes.

    The distance of planes goes to Z or, if none is called so, to the axis before y and x.
    """
    if size is None:
        return {}
    lead = len(axes) - 2
    before = [1.0] * lead
    units = ["pixel"] * lead
    deep = axes.find("Z") if "Z" in axes else lead - 1
    if size.z is not None and lead:
        before[deep], units[deep] = size.z, size.unit
    return {
        "scale": np.array([*before, size.y, size.x]),
        "units": (*units, size.unit, size.unit),
    }
