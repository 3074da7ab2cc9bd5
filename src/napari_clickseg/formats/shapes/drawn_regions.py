"""Regions of an image that were drawn as a Shapes layer, read from the table that napari saves."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.paths import read_text
from napari_clickseg.formats.shapes.filling import filled, united

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.core.window import Box

Outline = tuple[tuple[float, float], ...]
_KNOWN = ("rectangle", "polygon", "ellipse")
_CORNERS = 96  # of what stands for an ellipse


class DrawnRegionError(ValueError):
    """A table that holds no areas; the message says what to do."""


def read_regions(path: Path) -> tuple[Outline, ...]:
    """Read the areas of a Shapes layer that napari saved as .csv.

    Returns
    -------
    tuple of tuple of (float, float)
        The corners of each, y and x in pixels of the image; (0, 0) is the first pixel's centre.

    Raises
    ------
    DrawnRegionError
        If it is no such table, or holds no area.
    OSError
        If it can't be read.
    """
    shapes: dict[str, tuple[str, list[tuple[float, float]]]] = {}
    try:
        for row in csv.DictReader(read_text(path).splitlines()):
            axes = sorted(
                (name for name in row if name.startswith("axis-")), key=lambda name: int(name[5:])
            )
            y, x = (float(row[name]) for name in axes[-2:])
            shapes.setdefault(row["index"], (row["shape-type"], []))[1].append((y, x))
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise DrawnRegionError(
            f"{path} is no Shapes layer; save one in napari as .csv (File, Save Selected Layer)."
        ) from error
    areas = [_area(kind, corners) for kind, corners in shapes.values() if kind in _KNOWN]
    if not areas:
        raise DrawnRegionError(
            f"{path} holds no area; draw a {', a '.join(_KNOWN[:2])} or an ellipse."
        )
    return tuple(areas)


def _area(kind: str, corners: list[tuple[float, float]]) -> Outline:
    if kind != "ellipse" or len(corners) != 4:  # of an ellipse napari keeps the box around it
        return tuple(corners)
    box = np.array(corners)
    middle, down, across = box.mean(axis=0), (box[3] - box[0]) / 2, (box[1] - box[0]) / 2
    turns = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
    points = middle + np.sin(turns) * down + np.cos(turns) * across
    return tuple((float(y), float(x)) for y, x in points)


def inside_outlines(outlines: Sequence[Outline], box: Box) -> npt.NDArray[Any]:
    """Return which pixels of a box have their centre in any of the outlines, bool (h, w)."""
    out = np.zeros(box.shape, bool)
    corner = np.array([box.left - 0.5, box.top - 0.5])
    parts = [filled([np.array(one)[:, ::-1] - corner], box.shape) for one in outlines]
    part = united(parts)
    out[part.key] = part.mask
    return out


def box_around(outlines: Sequence[Outline]) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of the pixels that outlines may hold."""
    points = np.concatenate([np.array(one) for one in outlines])
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0)) + 1
    top, left = (max(0, int(n)) for n in low)
    bottom, right = (max(0, int(n)) for n in high)
    return top, left, bottom, right
