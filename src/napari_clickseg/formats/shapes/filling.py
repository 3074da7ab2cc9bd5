"""Polygons become pixels: those whose centres lie inside, by the even-odd rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


class MaskPart(NamedTuple):
    """Pixels of an object: a mask, and the row and column of its first pixel in the image."""

    top: int
    left: int
    mask: npt.NDArray[np.bool_]

    @property
    def key(self) -> tuple[slice, slice]:
        """Where the mask lies in the image."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def filled(rings: Sequence[npt.NDArray[Any]], shape: tuple[int, int]) -> MaskPart:
    """Return the pixels within rings, where they lie in the image.

    Parameters
    ----------
    rings : sequence of float (N, 2)
        x and y of corners; what lies in two of them is outside, as a hole is.
    shape : (int, int)
        Of the image.
    """
    crossed = _crossed(rings, shape)
    inside = np.cumsum(crossed.counts(signed=False), axis=1)[:, :-1] & 1
    return MaskPart(crossed.top, crossed.left, inside.astype(bool))


def windings(ring: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return how often a ring goes around each pixel of its box, in the image; signed."""
    crossed = _crossed([ring], shape)
    return np.asarray(np.cumsum(crossed.counts(signed=True), axis=1)[:, :-1], np.int64)


class _Crossed(NamedTuple):
    """Where the rows of pixels cross rings, and which way the rings run there."""

    top: int
    left: int
    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    upward: npt.NDArray[np.bool_]

    def counts(self, *, signed: bool) -> npt.NDArray[np.int64]:
        """Count the crossings before each pixel, and after the last one."""
        if not len(self.row):
            return np.zeros((0, 1), np.int64)
        height = int(self.row.max()) + 1 - self.top
        width = int(self.column.max()) + 1 - self.left
        at = (self.row - self.top) * width + self.column - self.left
        count = np.bincount(at, minlength=height * width)
        if signed:
            count = count - 2 * np.bincount(at[self.upward], minlength=height * width)
        return np.asarray(count.reshape(height, width), np.int64)


def _crossed(rings: Sequence[npt.NDArray[Any]], shape: tuple[int, int]) -> _Crossed:
    begin = np.concatenate([np.asarray(ring, np.float64) for ring in rings])
    end = np.concatenate([np.roll(np.asarray(ring, np.float64), -1, axis=0) for ring in rings])
    upward = begin[:, 1] > end[:, 1]
    begin[upward], end[upward] = end[upward], begin[upward].copy()
    first, last = (_pixels(each[:, 1], shape[0]) for each in (begin, end))
    crossed = last > first
    begin, end, first, last = begin[crossed], end[crossed], first[crossed], last[crossed]
    counts = last - first
    edge = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    slope = (end[:, 0] - begin[:, 0]) / (end[:, 1] - begin[:, 1])
    column = _pixels(begin[edge, 0] + (row + 0.5 - begin[edge, 1]) * slope[edge], shape[1])
    top, left = (int(each.min(initial=max(shape))) if len(each) else 0 for each in (row, column))
    return _Crossed(top, left, row, column, upward[crossed][edge])


def united(parts: Sequence[MaskPart]) -> MaskPart:
    """Return the pixels of several parts together."""
    parts = [part for part in parts if part.mask.size]
    if len(parts) <= 1:
        return parts[0] if parts else MaskPart(0, 0, np.zeros((0, 0), bool))
    top, left = min(part.top for part in parts), min(part.left for part in parts)
    bottom = max(part.key[0].stop for part in parts)
    right = max(part.key[1].stop for part in parts)
    mask = np.zeros((bottom - top, right - left), bool)
    for part in parts:
        height, width = part.mask.shape
        y, x = part.top - top, part.left - left
        mask[y : y + height, x : x + width] |= part.mask
    return MaskPart(top, left, mask)


def _pixels(at: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.int64]:
    """Return the first pixel whose centre does not lie before a position."""
    return np.clip(np.ceil(at - 0.5), 0, length).astype(np.int64)
