"""Labels cleaned up without a model: edges smoothed, holes filled, small pieces dropped.

What becomes of a pixel depends on its surroundings alone, as far as `CleanUp.margin`. So a slide
can be cleaned part by part, and comes out as if it had been cleaned as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.window import Box

Labels = npt.NDArray[Any]
WIDEST, LARGEST = 10, 4096  # pixels


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What is done with labels, in this order; 0 does nothing.

    Parameters
    ----------
    smooth : int
        Radius in pixels, at most 10: a pixel takes the label that most pixels of the disk around it
        have, where one has more than half of them.
    fill_holes : int
        Background that one label encloses is filled with it, where it is smaller than so many
        pixels, at most 4096.
    smallest : int
        Pieces of a label (8 neighbours) of fewer pixels become background; at most 4096.

    Raises
    ------
    ValueError
        If a number is below 0, or too large.
    """

    smooth: int = 0
    fill_holes: int = 0
    smallest: int = 0

    def __post_init__(self) -> None:
        limits = {"smooth": WIDEST, "fill_holes": LARGEST, "smallest": LARGEST}
        for name, most in limits.items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} goes from 0 to {most}, not {getattr(self, name)}.")

    def __bool__(self) -> bool:
        return bool(self.smooth or self.fill_holes or self.smallest)

    @property
    def margin(self) -> int:
        """Pixels around a part that decide what becomes of it."""
        return self.smooth + self.fill_holes + self.smallest


def cleaned(
    labels: Labels,
    rules: CleanUp,
    box: Box | None = None,
    shape: tuple[int, int] | None = None,
) -> Labels:
    """Clean labels up.

    Parameters
    ----------
    labels : int (Y, X)
        Ids of classes or objects; 0 is background.
    rules : CleanUp
        What is done.
    box : Box, optional
        Which part of an image they are; all of it by default. Where the part ends within the
        image, a margin of `rules.margin` does not come out right.
    shape : (int, int), optional
        The image's height and width, where they are a part.

    Returns
    -------
    int (Y, X)
        In the same dtype.
    """
    if rules.smooth:
        labels = _smoothed(labels, rules.smooth)
    if rules.fill_holes:
        labels = _filled(labels, rules.fill_holes, _open_sides(labels, box, shape))
    if rules.smallest > 1:
        labels = _without_small_pieces(labels, rules.smallest)
    return labels


def _smoothed(labels: Labels, radius: int) -> Labels:
    """Give each pixel the label of more than half of the disk around it, if there is one."""
    reach = range(-radius, radius + 1)
    disk = [(y, x) for y in reach for x in reach if y * y + x * x <= radius * radius]
    wide = np.pad(labels, radius, mode="edge")
    height, width = labels.shape

    def shifted(y: int, x: int) -> Labels:
        return wide[radius + y : radius + y + height, radius + x : radius + x + width]

    # Boyer and Moore's majority vote finds the only label that may have more than half ...
    chosen, votes = labels.copy(), np.zeros(labels.shape, np.int16)
    for place in disk:
        seen = shifted(*place)
        fresh = votes == 0
        chosen[fresh] = seen[fresh]
        votes += np.where(seen == chosen, 1, -1).astype(np.int16)
    have = np.zeros(labels.shape, np.int16)  # ... and here it is counted
    for place in disk:
        have += shifted(*place) == chosen
    return np.where(2 * have > len(disk), chosen, labels)


def _open_sides(
    labels: Labels, box: Box | None, shape: tuple[int, int] | None
) -> npt.NDArray[np.bool_]:
    """Return the pixels at which the image ends: background there is no hole."""
    whole = Box(0, 0, *(labels.shape if shape is None else shape))
    part = whole if box is None else box
    out = np.zeros(labels.shape, bool)
    out[:1] |= part.top <= 0
    out[-1:] |= part.bottom >= whole.bottom
    out[:, :1] |= part.left <= 0
    out[:, -1:] |= part.right >= whole.right
    return out


def _filled(labels: Labels, most: int, ends: npt.NDArray[np.bool_]) -> Labels:
    """Fill background (4 neighbours) of fewer than `most` pixels that one label encloses."""
    from scipy import ndimage

    holes, count = ndimage.label(labels == 0)
    low = np.full(count + 1, np.iinfo(np.int64).max)
    high = np.zeros(count + 1, np.int64)
    for axis in (0, 1):
        first, second = _neighbours(holes, axis), _neighbours(labels, axis)
        for here, there in ((0, 1), (1, 0)):
            beside = (first[here] > 0) & (second[there] > 0)
            ids, around = first[here][beside], second[there][beside].astype(np.int64)
            np.minimum.at(low, ids, around)
            np.maximum.at(high, ids, around)
    fits = (low == high) & (np.bincount(holes.ravel(), minlength=count + 1) < most)
    fits[np.unique(holes[ends])] = False
    fits[0] = False
    return np.where(fits[holes], high[holes], labels).astype(labels.dtype)


def _neighbours(values: Labels, axis: int) -> tuple[Labels, Labels]:
    """Return each pixel but the last along an axis, and the one that follows it."""
    if axis == 0:
        return values[:-1], values[1:]
    return values[:, :-1], values[:, 1:]


def _without_small_pieces(labels: Labels, smallest: int) -> Labels:
    from skimage.measure import label

    pieces = label(labels, connectivity=2)
    kept = np.bincount(pieces.ravel()) >= smallest
    kept[0] = False
    return np.where(kept[pieces], labels, 0).astype(labels.dtype)
