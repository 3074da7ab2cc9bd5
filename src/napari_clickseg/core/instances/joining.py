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
    from collections.abc import Sequence

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


class Joining:
    """Joins the objects of blocks that come one after the other; keeps their borders alone.

    Parameters
    ----------
    parts : sequence of Block
        All blocks, as `blocks` gives them; they come in this order.
    """

    def __init__(self, parts: Sequence[Block]) -> None:
        self.count = 0
        self._below = {one.core.top: one.outer.top for one in parts}  # what a row looks at
        self._earlier: list[_SeenBlock] = []
        self._pairs: list[npt.NDArray[np.int64]] = []

    def add(self, block: Block, labels: IntArray) -> IntArray:
        """Take the objects of the next block.

        Parameters
        ----------
        block : Block
            The next of all.
        labels : int32
            Those in its outer box; ids are the block's own, from 1 on.

        Returns
        -------
        int32
            The same with ids that no other block has: its first is `count` before, plus 1.
        """
        there = int(labels.max(initial=0))
        labels = np.where(labels > 0, labels + self.count, 0).astype(np.int32)
        self.count += there
        # Of rows of blocks further up nothing is seen any more.
        self._earlier = [one for one in self._earlier if one.box.bottom > block.outer.top]
        seen = _SeenBlock(block, block.outer, labels)
        self._pairs += [_agreeing(one, seen) for one in self._earlier]
        if self._earlier:  # only the block that comes next looks at its side
            self._earlier[-1] = self._border(self._earlier[-1])
        self._earlier.append(seen)
        return labels

    def ids(self) -> IntArray:
        """Return one id for all ids of one object, int32 (count + 1,); the background stays 0."""
        return _united(self._pairs, self.count)

    def _border(self, seen: _SeenBlock) -> _SeenBlock:
        """Return what the next row of blocks sees of a block."""
        block = seen.block
        top = max(seen.box.top, self._below.get(block.core.bottom, block.outer.bottom))
        box = Box.from_edges(top, block.outer.left, block.outer.bottom, block.outer.right)
        return _SeenBlock(block, box, seen.labels[_within(box, seen.box)].copy())


@dataclass(frozen=True, eq=False, slots=True)
class _SeenBlock:
    """What is known of a block: the labels in a box of it."""

    block: Block
    box: Box
    labels: IntArray


def _agreeing(one: _SeenBlock, other: _SeenBlock) -> npt.NDArray[np.int64]:
    """Return the pairs of ids, int64 (n, 2), by which two blocks call the same object."""
    shared = one.box.intersection(other.box)
    cores = [seen.block.core.intersection(shared) for seen in (one, other)]
    none = np.zeros((0, 2), np.int64)
    if not all(cores):
        return none
    a, b = (seen.labels[_within(shared, seen.box)] for seen in (one, other))
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
