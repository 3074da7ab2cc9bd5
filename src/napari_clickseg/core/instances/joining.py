"""Objects of a large image, found block by block and joined.

A block is looked at with a margin around it, and writes what lies in it alone; so each pixel is
written once. Two objects that reach into each other's block are one if they agree where both
blocks look. Objects that are not larger than half the margin come out as if the image had been
looked at as a whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Block:
    """A part of an image.

    Parameters
    ----------
    core : Box
        What it writes; the cores of all blocks cover the image, and none overlap.
    outer : Box
        What it looks at: the core with a margin.
    """

    core: Box
    outer: Box


@dataclass(frozen=True, eq=False, slots=True)
class Joined:
    """The objects of an image.

    Parameters
    ----------
    labels : int32 (Y, X)
        Ids, with gaps; 0 is background.
    ids : int (n,)
        The id of each object that a block found, in the order of the blocks and of their ids: so
        what was measured in blocks can be summed up.
    """

    labels: IntArray
    ids: IntArray


def blocks(shape: tuple[int, int], side: int, margin: int) -> list[Block]:
    """Cut an image into blocks, row by row.

    Parameters
    ----------
    shape : (int, int)
        The image's height and width.
    side : int
        Of a core, at the most, in pixels.
    margin : int
        Pixels that are looked at around it.
    """
    rows, columns = (_edges(length, side) for length in shape)
    image = Box(0, 0, *shape)
    out = []
    for top, bottom in rows:
        for left, right in columns:
            around = (top - margin, left - margin, bottom + margin, right + margin)
            core = Box.from_edges(top, left, bottom, right)
            out.append(Block(core, Box.from_edges(*around).intersection(image)))
    return out


def join_blocks(
    shape: tuple[int, int],
    parts: Sequence[Block],
    look: Callable[[Block], IntArray],
) -> Joined:
    """Find the objects of an image block by block.

    Parameters
    ----------
    shape : (int, int)
        The image's height and width.
    parts : sequence of Block
        As `blocks` gives them.
    look : callable
        Returns the objects in a block's outer box, int32; ids are the block's own, from 1 on.
    """
    out = np.zeros(shape, np.int32)
    earlier: list[tuple[Block, IntArray]] = []
    pairs: list[npt.NDArray[np.int64]] = []
    count = 0
    for block in parts:
        labels = look(block)
        there = int(labels.max(initial=0))
        labels = np.where(labels > 0, labels + count, 0).astype(np.int32)
        count += there
        out[block.core.slices] = labels[_within(block.core, block.outer)]
        # Of rows of blocks further up nothing is seen any more.
        earlier = [one for one in earlier if one[0].outer.bottom > block.outer.top]
        pairs += [_agreeing(*one, block, labels) for one in earlier]
        earlier.append((block, labels))
    ids = _united(pairs, count)
    return Joined(np.asarray(ids[out], np.int32), ids[1:])


def _agreeing(one: Block, ones: IntArray, other: Block, others: IntArray) -> npt.NDArray[np.int64]:
    """Return the pairs of ids, int64 (n, 2), by which two blocks call the same object."""
    shared = one.outer.intersection(other.outer)
    cores = [block.core.intersection(shared) for block in (one, other)]
    none = np.zeros((0, 2), np.int64)
    if not all(cores):
        return none
    a, b = ones[_within(shared, one.outer)], others[_within(shared, other.outer)]
    here, beyond = (_within(core, shared) for core in cores)
    # Only what reaches into the other's core can go on there.
    crossing = [np.intersect1d(labels[here], labels[beyond]).astype(np.int64) for labels in (a, b)]
    wanted = [ids[ids > 0] for ids in crossing]
    if not all(len(ids) for ids in wanted):
        return none
    both = np.isin(a, wanted[0]) & np.isin(b, wanted[1])
    seen, common = np.unique(np.stack([a[both], b[both]], 1), axis=0, return_counts=True)
    if not len(seen):
        return none
    sizes = [np.bincount(labels.ravel()) for labels in (a, b)]
    union = sizes[0][seen[:, 0]] + sizes[1][seen[:, 1]] - common
    return seen[2 * common > union].astype(np.int64)


def _united(pairs: Sequence[npt.NDArray[np.int64]], count: int) -> IntArray:
    """Return one id for all ids of one object, int32 (count + 1,); the background stays 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    every = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
    graph = coo_array((np.ones(len(every)), (every[:, 0], every[:, 1])), (count + 1, count + 1))
    # Components are numbered as they come, so the background, which nothing is joined with, is 0.
    return np.asarray(connected_components(graph, directed=False)[1], np.int32)


def _edges(length: int, side: int) -> list[tuple[int, int]]:
    n = max(1, math.ceil(length / side))
    cuts = [round(i * length / n) for i in range(n + 1)]
    return list(pairwise(cuts))


def _within(box: Box, outer: Box) -> tuple[slice, slice]:
    return box.shift(-outer.top, -outer.left).slices
