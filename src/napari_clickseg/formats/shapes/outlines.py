"""Outlines of the objects in a label map, along the edges of their pixels.

All objects are traced at once: a corner is a point at which the outline of an object turns. Along
each row, and along each column, the corners of an object belong together two by two, since an
outline that is entered has to be left; so edges are found by sorting, and a ring by walking
along them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IntArray = npt.NDArray[np.int64]
_STRIP = 1 << 20  # pixels looked at together, which bounds the memory
_BATCH = 1 << 18  # corners linked together
_CORNER = np.array([bits.bit_count() in (1, 3) or bits in (6, 9) for bits in range(16)])
_ACROSS, _DOWN, _BELOW = 6, 9, 8  # pixels at a corner: 1 and 2 above it, 4 and 8 below it


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """A piece of an object whose pixels hang together by their sides.

    Parameters
    ----------
    exterior : int (N, 2)
        x and y of the corners, clockwise as they are seen; the first is not repeated at the end.
    holes : tuple of int (N, 2)
        Likewise, the other way round.
    """

    exterior: IntArray
    holes: tuple[IntArray, ...] = ()

    @property
    def rings(self) -> tuple[IntArray, ...]:
        """The exterior, then the holes."""
        return (self.exterior, *self.holes)


def area(ring: npt.NDArray[Any]) -> float:
    """Return the area of a ring, which is negative where it runs anticlockwise as seen."""
    x, y = ring[:, 0], ring[:, 1]
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def outlines(labels: npt.NDArray[Any]) -> Iterator[tuple[int, tuple[Piece, ...]]]:
    """Yield each id of a label map with its pieces, by rising ids.

    Parameters
    ----------
    labels : int (Y, X)
        0 is the background. May be lazy; it is read in strips.

    Yields
    ------
    int, tuple of Piece
        Filling the rings by the even-odd rule gives the object's pixels exactly.
    """
    ids, y, x, bits = _corners(labels)
    order = np.lexsort((x, y, ids))
    ids, y, x, bits = ids[order], y[order], x[order], bits[order]
    start = 0
    while start < len(ids):
        end = min(len(ids), start + _BATCH)
        end = int(np.searchsorted(ids, ids[end - 1], "right"))  # objects are not cut
        part = slice(start, end)
        yield from _traced(ids[part], _Nodes.of(ids[part], y[part], x[part], bits[part]))
        start = end


def joined(rings: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return rings as one, joined by lines that are walked both ways and so cover nothing.

    For formats in which an object is one polygon: filled by the even-odd rule it gives the same
    pixels.
    """
    first = rings[0]
    path = [first, first[:1]]
    for ring in rings[1:]:
        path += [ring, ring[:1], first[:1]]
    return first if len(rings) == 1 else np.concatenate(path)


def _corners(labels: npt.NDArray[Any]) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return id, y, x and which pixels around belong to it, for each corner of each object."""
    height, width = (int(n) for n in labels.shape)
    rows = max(1, _STRIP // (width + 1))
    corners: list[tuple[npt.NDArray[Any], ...]] = []
    for top in range(0, height + 1, rows):
        bottom = min(height + 1, top + rows)
        block = np.zeros((bottom - top + 1, width + 2), labels.dtype)
        above, below = max(0, top - 1), min(height, bottom)
        block[above - top + 1 : below - top + 1, 1:-1] = labels[above:below]
        corners += _corners_of_strip(block, top)
    if not corners:
        none = np.zeros(0, np.int64)
        return none, none, none, none
    ids, y, x, bits = (np.concatenate(part) for part in zip(*corners, strict=True))
    return ids, y, x, bits


def _corners_of_strip(
    block: npt.NDArray[Any], top: int
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]]:
    a, b, c, d = block[:-1, :-1], block[:-1, 1:], block[1:, :-1], block[1:, 1:]
    straight = ((a == b) & (c == d)) | ((a == c) & (b == d))
    y, x = np.nonzero(~straight)
    around = [part[y, x] for part in (a, b, c, d)]
    y, x = (y + top).astype(np.int32), x.astype(np.int32)
    for k, value in enumerate(around):
        new = value != 0
        for earlier in around[:k]:
            new &= value != earlier
        same = [(other == value).astype(np.uint8) << j for j, other in enumerate(around)]
        bits = same[0] | same[1] | same[2] | same[3]
        new &= _CORNER[bits]
        yield value[new], y[new], x[new], bits[new]


class _Nodes(NamedTuple):
    """Corners in the order of rows; those where an object touches itself are there twice.

    `across` and `down` say which corner each is joined with, along its row and along its column.
    """

    y: IntArray
    x: IntArray
    bits: IntArray
    object: IntArray
    across: IntArray
    down: IntArray

    @classmethod
    def of(
        cls,
        ids: npt.NDArray[Any],
        y: npt.NDArray[Any],
        x: npt.NDArray[Any],
        bits: npt.NDArray[Any],
    ) -> _Nodes:
        """Link the corners of whole objects, sorted by id, y and x."""
        twice = (bits == _ACROSS) | (bits == _DOWN)
        at = np.repeat(np.arange(len(ids)), 1 + twice)
        second = np.zeros(len(at), np.int8)
        second[1:] = at[1:] == at[:-1]
        ids, y, x, bits = ids[at], y[at], x[at], bits[at]
        # Pixels that touch at a corner only are walked around one by one.
        rank = np.where(bits == _ACROSS, 1 - second, second)
        order = np.lexsort((rank, y, x, ids))
        down = np.empty(len(at), np.int64)
        down[order[0::2]], down[order[1::2]] = order[1::2], order[0::2]
        return cls(y, x, bits, ids, np.arange(len(at)) ^ 1, down)


@dataclass(slots=True)
class _Ring:
    """The nodes of a ring, beginning with its first one, and what it is."""

    nodes: list[int]
    outer: bool
    piece: int = -1  # number of the exterior that it belongs to


def _traced(ids: npt.NDArray[Any], nodes: _Nodes) -> Iterator[tuple[int, tuple[Piece, ...]]]:
    """Walk along the outlines of objects, and yield each object."""
    across, down = nodes.across.tolist(), nodes.down.tolist()
    bits, owner = nodes.bits.tolist(), nodes.object.tolist()
    done = bytearray(len(across))
    rings: list[list[_Ring]] = []
    current: int | None = None
    for begin in range(len(across)):
        if owner[begin] != current:
            if current is not None:
                yield current, _pieces(rings, nodes)
            current, rings = owner[begin], []
        if done[begin]:
            continue
        walked: list[int] = []
        node = begin
        touching = False
        while not done[node]:
            other = across[node]
            done[node] = done[other] = 1
            walked += (node, other)
            touching = touching or bits[node] in (6, 9) or bits[other] in (6, 9)
            node = down[other]
        if touching:
            rings.append([_ring(part, nodes, bits) for part in _simple(walked, nodes)])
        else:
            rings.append([_Ring(walked, bool(bits[begin] & _BELOW))])
    if current is not None:
        yield current, _pieces(rings, nodes)


def _simple(walked: list[int], nodes: _Nodes) -> Iterator[list[int]]:
    """Cut a ring wherever it passes a point a second time: a hole touches the outside there."""
    places = list(zip(nodes.y[walked].tolist(), nodes.x[walked].tolist(), strict=True))
    path: list[int] = []
    seen: dict[tuple[int, int], int] = {}
    for at, place in enumerate(places):
        if place in seen:
            begin = seen[place]
            yield [walked[i] for i in path[begin:]]
            for i in path[begin + 1 :]:
                del seen[places[i]]
            del path[begin + 1 :]
        else:
            seen[place] = len(path)
            path.append(at)
    yield [walked[i] for i in path]


def _ring(part: list[int], nodes: _Nodes, bits: list[int]) -> _Ring:
    """Return a ring that begins at its first corner and goes to the right from there."""
    first = part.index(min(part, key=lambda i: (nodes.y[i], nodes.x[i])))
    part = part[first:] + part[:first]
    if nodes.y[part[1]] != nodes.y[part[0]]:
        part = [part[0], *part[:0:-1]]
    return _Ring(part, bool(bits[part[0]] & _BELOW))


def _pieces(rings: list[list[_Ring]], nodes: _Nodes) -> tuple[Piece, ...]:
    """Return the pieces of an object: exteriors with the holes that lie in them."""
    outer: list[_Ring] = []
    loose: list[_Ring] = []
    every: list[_Ring] = []
    for walk in rings:
        own = next((ring for ring in walk if ring.outer), None)
        if own is not None:
            outer.append(own)
        for ring in walk:
            ring.piece = len(outer) - 1 if own is not None else -1
            if own is None:
                loose.append(ring)
        every += walk
    if len(outer) == 1:
        for ring in loose:
            ring.piece = 0
    elif loose:
        _find_homes(loose, every, nodes)
    holes: list[list[IntArray]] = [[] for _ in outer]
    for ring in every:
        if not ring.outer:
            holes[ring.piece].append(_points(ring.nodes, nodes)[::-1])
    return tuple(Piece(_points(ring.nodes, nodes), tuple(holes[i])) for i, ring in enumerate(outer))


def _points(ring: list[int], nodes: _Nodes) -> IntArray:
    return np.stack([nodes.x[ring], nodes.y[ring]], axis=1).astype(np.int64)


def _find_homes(loose: list[_Ring], every: list[_Ring], nodes: _Nodes) -> None:
    """Find the exterior around each hole: that of the next edge to the left of the pixel above it.

    From that pixel to the edge all pixels are the object's, so they are of one piece.
    """
    x, top, bottom, owner = [], [], [], []
    for number, ring in enumerate(every):
        begin = np.array(ring.nodes)
        end = np.roll(begin, -1)
        upright = nodes.x[begin] == nodes.x[end]
        begin, end = begin[upright], end[upright]
        x.append(nodes.x[begin])
        top.append(np.minimum(nodes.y[begin], nodes.y[end]))
        bottom.append(np.maximum(nodes.y[begin], nodes.y[end]))
        owner.append(np.full(len(begin), number))
    xs, tops, bottoms = np.concatenate(x), np.concatenate(top), np.concatenate(bottom)
    owners = np.concatenate(owner)
    for ring in sorted(loose, key=lambda one: (nodes.y[one.nodes[0]], nodes.x[one.nodes[0]])):
        at_y, at_x = nodes.y[ring.nodes[0]], nodes.x[ring.nodes[0]]
        crossed = np.flatnonzero((tops < at_y) & (bottoms >= at_y) & (xs <= at_x))
        ring.piece = every[owners[crossed[np.argmax(xs[crossed])]]].piece
