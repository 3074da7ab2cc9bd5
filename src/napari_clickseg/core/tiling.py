"""The search behind `core.voronoi`: which pixels of a region are the best centres of its cells.

It works on blocks of the region's pixels, some hundreds whatever the region's size, with the
kernel (one over the distance) from every block's seat to every block in one matrix: a product
with it judges all seats at once. What is found is then moved pixel by pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    BoolArray = npt.NDArray[np.bool_]
    Pixels = npt.NDArray[np.intp]
    Floats = npt.NDArray[np.float32]

BLOCKS = 400  # seats to choose from; a region of no more pixels is searched pixel by pixel
SOURCES = 2500  # blocks that the descent on pixels measures by
ROUNDS = 10  # of relaxation, from each start
SWEEPS = 4  # of exchanges, over all points
PATIENCE = 30  # moves of all points by pixels, at most
DRAWN = 3  # starts that are drawn at random, beside two that are not
KEPT = 2  # of the ends of relaxation, in which points are exchanged
SMALL = 150  # blocks up to which four times as many are drawn and kept
SPREAD = 3.53  # one over the distance to its centre, averaged over a square of side 1
BETTER = 1 + 2e-6  # less is rounding
AROUND = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x])


def energy(pixels: Pixels, points: npt.NDArray[np.float64] | Pixels) -> float:
    """Sum up one over the distance to the nearest point; see `core.voronoi.energy`."""
    nearest = np.full(len(pixels), np.inf)
    rows, columns = np.ascontiguousarray(pixels.T, float)
    for y, x in points:
        np.minimum(nearest, (rows - y) ** 2 + (columns - x) ** 2, out=nearest)
    nearest[nearest == 0] = 1.0
    return float((1 / np.sqrt(nearest)).sum())


def relaxed(region: BoolArray, n: int, rng: np.random.Generator) -> Pixels:
    """Choose n of a region's pixels, some of which may coincide.

    Parameters
    ----------
    region : bool (Y, X)
        Cut to its bounding box, with more than `n` pixels.
    n : int
        Number of points.
    rng : numpy.random.Generator
        Draws some of the starts.

    Returns
    -------
    intp (n, 2)
        Rows and columns.
    """
    blocks = Blocks.of(region, BLOCKS)
    if blocks.side > 1 and 2 * n > len(blocks.weights):
        return _many(region, n)
    seats = _seats(region, blocks)
    kernel = _kernel(seats, blocks)
    points = seats[_searched(kernel, blocks.weights, n, rng)]
    return points if blocks.side == 1 else _descended(region, points, blocks.side)


def made_distinct(region: BoolArray, points: Pixels, n: int) -> Pixels:
    """Replace points that coincide by the pixels farthest from all others; intp (n, 2)."""
    kept = np.array(list(dict.fromkeys(map(tuple, points.tolist()))), np.intp)
    return kept if len(kept) == n else _farthest(np.argwhere(region), kept, n)


@dataclass(frozen=True, eq=False)
class Blocks:
    """A region's pixels by square blocks.

    Parameters
    ----------
    side : int
        Of a block, in pixels.
    centres : float32 (B, 2)
        Of mass, of each block's pixels.
    weights : float32 (B,)
        Number of pixels.
    """

    side: int
    centres: Floats
    weights: Floats

    @classmethod
    def of(cls, region: BoolArray, limit: int) -> Blocks:
        """Divide a region into about `limit` blocks at most, the smaller the better."""
        rows, columns = np.nonzero(region)
        side, block, filled = _divided(rows, columns, limit)
        blocks = np.flatnonzero(filled)
        weights = filled[blocks]
        sums = [np.bincount(block, axis)[blocks] for axis in (rows, columns)]
        centres = np.stack(sums, axis=1) / weights[:, None]
        return cls(side, centres.astype(np.float32), weights.astype(np.float32))


def _divided(rows: Pixels, columns: Pixels, limit: int) -> tuple[int, Pixels, Pixels]:
    """Return the blocks' side, the block of each pixel, and the pixels of each block."""
    side = max(1, math.ceil(math.sqrt(len(rows) / limit)))
    while True:
        block = rows // side * (int(columns.max()) // side + 1) + columns // side
        filled = np.bincount(block)
        if side == 1 or np.count_nonzero(filled) <= 1.25 * limit:
            return side, block, filled
        side = math.ceil(1.15 * side)  # thin regions fill few pixels of each block


def _seats(region: BoolArray, blocks: Blocks) -> Pixels:
    """Find the pixel of each block that is nearest to the block's centre."""
    seats = np.rint(blocks.centres).astype(np.intp)
    for block in np.flatnonzero(~region[tuple(seats.T)]):
        centre = blocks.centres[block]
        top, left = corner = (centre // blocks.side * blocks.side).astype(np.intp)
        inside = region[top : top + blocks.side, left : left + blocks.side]
        pixels = np.argwhere(inside) + corner
        seats[block] = pixels[((pixels - centre) ** 2).sum(axis=1).argmin()]
    return seats


def _kernel(seats: Pixels, blocks: Blocks) -> Floats:
    """One over the distance from every block's seat (row) to every block; float32 (B, B)."""
    squares = _squares(seats.astype(np.float32), blocks.centres)
    # A block is no point: its pixels are as far from its seat as those of a square.
    np.fill_diagonal(squares, np.maximum(blocks.weights / SPREAD**2, 1))
    return _inverse_root(squares)


def _squares(places: Floats, others: Floats) -> Floats:
    """Squared distances; (P, 2) and (Q, 2) give (P, Q)."""
    squares = np.subtract.outer(places[:, 0], others[:, 0])
    squares *= squares
    across = np.subtract.outer(places[:, 1], others[:, 1])
    across *= across
    squares += across
    return squares


def _inverse_root(squares: Floats) -> Floats:
    np.sqrt(squares, out=squares)
    return np.reciprocal(squares, out=squares)


def _searched(kernel: Floats, weights: Floats, n: int, rng: np.random.Generator) -> Pixels:
    """Relax from several starts, all at once, exchange in the best ends, return the best."""
    middle = int(np.argmax(kernel @ weights))
    if n == 1:
        return np.array([middle])
    drawn, kept = (DRAWN, KEPT) if len(weights) > SMALL else (4 * DRAWN, 4 * KEPT)
    odds = weights / weights.sum(dtype=float)
    starts = [_greedy(kernel, weights, middle, n), _spread(kernel, middle, n)]
    starts += [rng.choice(len(weights), n, replace=False, p=odds).tolist() for _ in range(drawn)]
    chosen = np.array(starts)
    for _ in range(ROUNDS):
        moved = _relaxed_once(kernel, weights, chosen)
        if (moved == chosen).all():
            break
        chosen = moved
    ends = np.unique(np.sort(chosen, axis=1), axis=0)
    best = np.argsort(-(kernel[ends].max(axis=1) @ weights), kind="stable")[:kept]
    exchanged = [_exchanged(kernel, weights, end) for end in ends[best]]
    return max(exchanged, key=lambda end: float(kernel[end].max(axis=0) @ weights))


def _relaxed_once(kernel: Floats, weights: Floats, chosen: Pixels) -> Pixels:
    """Move every point to the best seat for its own cell; (starts, n) seats."""
    owner = kernel[chosen].argmax(axis=1)
    cells = owner[:, None, :] == np.arange(chosen.shape[1])[:, None]
    shares = (cells * weights).reshape(-1, len(weights))
    best: Pixels = np.argmax(shares @ kernel.T, axis=1)
    return best.reshape(chosen.shape)


def _greedy(kernel: Floats, weights: Floats, first: int, n: int) -> list[int]:
    """Add the seat that gains most, again and again."""
    chosen = [first]
    covered = kernel[first]
    while len(chosen) < n:
        gains = np.maximum(kernel, covered) @ weights
        gains[chosen] = -1
        chosen.append(int(np.argmax(gains)))
        covered = np.maximum(covered, kernel[chosen[-1]])
    return chosen


def _spread(kernel: Floats, first: int, n: int) -> list[int]:
    """Add the seat farthest from all others, again and again."""
    chosen = [first]
    near = kernel[first].copy()
    while len(chosen) < n:
        near[chosen] = np.inf
        chosen.append(int(np.argmin(near)))
        near = np.maximum(near, kernel[chosen[-1]])
    return chosen


def _exchanged(kernel: Floats, weights: Floats, chosen: Pixels) -> Pixels:
    """Exchange single points for the best seat anywhere until no exchange is worth it."""
    chosen = chosen.copy()
    level = float(kernel[chosen].max(axis=0) @ weights)
    covered = np.empty_like(kernel)
    idle = 0
    for turn in range(SWEEPS * len(chosen) if len(chosen) > 1 else 0):
        which = turn % len(chosen)
        others = np.delete(chosen, which)
        reached = np.maximum(kernel, kernel[others].max(axis=0), out=covered) @ weights
        seat = int(np.argmax(reached))
        idle += 1
        if reached[seat] > level * BETTER:
            chosen[which], level, idle = seat, float(reached[seat]), 0
        if idle == len(chosen):
            break
    return chosen


def _descended(region: BoolArray, points: Pixels, side: int) -> Pixels:
    """Move points on the grid of pixels, by ever smaller steps, while that gains."""
    sources = Blocks.of(region, SOURCES)
    points = points.copy()
    kernel = _kernel_at(points, sources)
    step = max(1, side // 2)
    for _ in range(PATIENCE):
        gained = False
        for which in range(len(points)):
            rest = np.delete(kernel, which, axis=0).max(axis=0, initial=0)
            near = _around(region, points[which], step)
            rows = _kernel_at(near, sources)
            reached = np.maximum(rows, rest) @ sources.weights
            best = int(np.argmax(reached))
            if reached[best] > reached[0] * BETTER:  # the first one is where it is now
                points[which], kernel[which], gained = near[best], rows[best], True
        if not gained and step == 1:
            break
        step = step if gained else step // 2
    return points


def _around(region: BoolArray, pixel: Pixels, step: int) -> Pixels:
    """Return a pixel and those of the region around it, `step` apart."""
    near = pixel + step * AROUND
    near = near[((near >= 0) & (near < region.shape)).all(axis=1)]
    return np.concatenate([pixel[None], near[region[tuple(near.T)]]])


def _kernel_at(points: Pixels, sources: Blocks) -> Floats:
    places = points.astype(np.float32)
    squares = _squares(places, sources.centres)
    np.maximum(squares, 1, out=squares)
    if sources.side == 1:
        return _inverse_root(squares)
    close = np.flatnonzero(squares < (2 * sources.side) ** 2)
    point, block = np.divmod(close, squares.shape[1])
    kernel = _inverse_root(squares)
    kernel.flat[close] = _mean_over_square(places[point] - sources.centres[block], sources.side)
    return kernel


def _mean_over_square(apart: Floats, side: int) -> Floats:
    """Average one over the distance to a point over a square; `apart` (P, 2) is from its centre."""
    below, above = apart - side / 2 + 1e-4, apart + side / 2 + 1e-4  # not 0, to divide by it
    whole = np.zeros(len(apart), np.float32)
    for y, x, sign in (
        (above[:, 0], above[:, 1], 1),
        (below[:, 0], above[:, 1], -1),
        (above[:, 0], below[:, 1], -1),
        (below[:, 0], below[:, 1], 1),
    ):
        whole += sign * (y * np.arcsinh(x / np.abs(y)) + x * np.arcsinh(y / np.abs(x)))
    return np.asarray(whole / side**2, np.float32)


def _many(region: BoolArray, n: int) -> Pixels:
    """Spread hundreds of points: for them the mean of each cell is good enough."""
    from scipy.spatial import cKDTree

    pixels = np.argwhere(region)
    tree = cKDTree(pixels)
    points = _farthest(pixels, pixels[:1], n)
    for _ in range(ROUNDS):
        owner = cKDTree(points).query(pixels)[1]
        count = np.maximum(np.bincount(owner, minlength=n), 1)
        means = np.stack([np.bincount(owner, axis, n) / count for axis in pixels.T], axis=1)
        points = pixels[tree.query(means)[1]]
    return points


def _farthest(pixels: Pixels, points: Pixels, n: int) -> Pixels:
    """Add the pixel farthest from all others until there are n."""
    nearest = np.full(len(pixels), np.inf)
    chosen = list(points)
    for point in chosen:
        np.minimum(nearest, ((pixels - point) ** 2).sum(axis=1), out=nearest)
    while len(chosen) < n:
        chosen.append(pixels[np.argmax(nearest)])
        np.minimum(nearest, ((pixels - chosen[-1]) ** 2).sum(axis=1), out=nearest)
    return np.array(chosen)
