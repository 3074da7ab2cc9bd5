"""Objects of two planes of a stack: which are the same, and what they look like in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST = 0.2  # IoU of masks on two planes that may be of one object


def overlapping_most(
    first: npt.NDArray[Any], last: npt.NDArray[Any], least: float = _LEAST
) -> list[tuple[int, int]]:
    """Pair objects of two planes that overlap, those with the highest IoU first, each once.

    Parameters
    ----------
    first, last : int (Y, X)
        Ids; 0 is background.
    least : float
        The lowest IoU.

    Returns
    -------
    list of (int, int)
        Ids in the first and in the last plane, by rising id in the first.
    """
    areas = [
        dict(zip(*(part.tolist() for part in np.unique(each, return_counts=True)), strict=True))
        for each in (first, last)
    ]
    both = (first > 0) & (last > 0)
    pairs, counts = np.unique(
        np.stack([first[both], last[both]], 1).astype(np.int64), axis=0, return_counts=True
    )
    overlaps = []
    for (a, b), common in zip(pairs.tolist(), counts.tolist(), strict=True):
        iou = common / (areas[0][a] + areas[1][b] - common)
        if iou >= least:
            overlaps.append((-iou, a, b))
    taken: tuple[set[int], set[int]] = set(), set()
    out = []
    for _, a, b in sorted(overlaps):
        if a not in taken[0] and b not in taken[1]:
            taken[0].add(a)
            taken[1].add(b)
            out.append((a, b))
    return sorted(out)


def interpolated(first: Patch, last: Patch, share: float) -> Patch:
    """Return the shape between two: that of their mean distance to the edge, on its way.

    Each mask is moved so that the middle goes straight from one to the other; then the distances to
    the edges, negative outside, are averaged (Herman et al. 1992, shape-based interpolation).

    Parameters
    ----------
    first, last : Patch
        Not empty.
    share : float
        0 gives the first, 1 the last.

    Returns
    -------
    Patch
        It may reach beyond the image; empty where shapes have nothing in common.
    """
    middles = [_middle(one) for one in (first, last)]
    middle = middles[0] + share * (middles[1] - middles[0])
    moves = [middle - each for each in middles]
    box = _around([first, last], moves)
    depth = (1 - share) * _depth(first, box, moves[0]) + share * _depth(last, box, moves[1])
    return Patch.of(depth > 0, offset=(box.top, box.left))


def _middle(patch: Patch) -> npt.NDArray[np.float64]:
    inside = np.argwhere(patch.mask).mean(axis=0)
    middle: npt.NDArray[np.float64] = inside + np.array([patch.box.top, patch.box.left])
    return middle


def _around(patches: Sequence[Patch], moves: Sequence[npt.NDArray[np.float64]]) -> Box:
    """Return a box with room for masks where they are and where they go, and to come from."""
    edges = np.array([[o.box.top, o.box.left, o.box.bottom, o.box.right] for o in patches], float)
    every = np.concatenate([edges, edges + np.array([np.tile(move, 2) for move in moves])])
    room = np.ceil(np.abs(moves).max(axis=0)) + 2
    top, left = (np.floor(every[:, :2].min(axis=0)) - room).astype(int).tolist()
    bottom, right = (np.ceil(every[:, 2:].max(axis=0)) + room).astype(int).tolist()
    return Box.from_edges(top, left, bottom, right)


def _depth(patch: Patch, box: Box, move: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how deep in a moved mask each pixel lies; outside, how far, below 0."""
    from scipy import ndimage  # slow to import: not when the widget opens

    mask = patch.cut(box)
    depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    if not np.any(move):
        return np.asarray(depth)
    return np.asarray(ndimage.shift(depth, move, order=1, mode="nearest"))
