"""Boxes, scribbles and lassos of a simulated hand: the truth, with a hand's imprecision."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

_OFF = 0.1  # of a side, by which a box's edge is off at the most
_LARGER = (0.05, 0.15)  # by which a lasso is too large, over the square root of its area
_CORNERS = 0.12  # over the square root of the area: how far a lasso's corners are cut
_ALONG = 0.65  # of scribbles go along the middle line; all in thin masks do
_EIGHT = np.ones((3, 3), bool)


def box_edges(mask: Mask, rng: np.random.Generator) -> tuple[slice, slice]:
    """Return the rows and columns of a box around a mask; each edge off by up to a tenth.

    Parameters
    ----------
    mask : bool (Y, X)
        Not empty.
    rng : numpy.random.Generator
        Decides everything.

    Returns
    -------
    slice, slice
        At least one pixel each; they may reach out of the array.
    """
    spans = []
    for axis in (1, 0):
        there = np.flatnonzero(mask.any(axis))
        low, high = float(there[0]), float(there[-1] + 1)
        off = rng.uniform(-_OFF, _OFF, 2) * (high - low) * rng.random()
        first = math.floor(low + off[0] + 0.5)
        last = max(first + 1, math.floor(high + off[1] + 0.5))
        spans.append(slice(first, last))
    return spans[0], spans[1]


def draw_box(mask: Mask, rng: np.random.Generator) -> Floats:
    """Return a box around a mask, see `box_edges`: 1 inside, 0 outside.

    Parameters
    ----------
    mask : bool (N, N)
        Not empty.
    rng : numpy.random.Generator
        Decides everything.

    Returns
    -------
    float32 (N, N)
    """
    out = np.zeros(mask.shape, np.float32)
    rows, columns = (slice(max(0, s.start), max(0, s.stop)) for s in box_edges(mask, rng))
    out[rows, columns] = 1
    return out


def draw_lasso(mask: Mask, rng: np.random.Generator) -> Floats:
    """Return a lasso around a mask: 1 inside; too large, and cutting corners.

    Parameters
    ----------
    mask : bool (N, N)
        Not empty.
    rng : numpy.random.Generator
        Decides everything.

    Returns
    -------
    float32 (N, N)
    """
    side = math.sqrt(float(mask.sum()))
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), max(1.0, _CORNERS * side))
    near = blurred > 0.5 * blurred.max()
    away = ndimage.distance_transform_edt(~(near | mask))
    wander = ndimage.zoom(rng.normal(0, 1, (5, 5)), [n / 5 for n in mask.shape], order=1)
    reach = side * (rng.uniform(*_LARGER) + 0.04 * wander)
    return np.asarray(away <= np.maximum(reach, 1.0), np.float32)


def draw_scribble(mask: Mask, rng: np.random.Generator) -> Points:
    """Return a scribble on a mask: along its middle line, or across it, wavering.

    Parameters
    ----------
    mask : bool (N, N)
        Not empty.
    rng : numpy.random.Generator
        Decides everything.

    Returns
    -------
    float64 (n, 2)
        y, x in pixels; n at least 1.
    """
    part = _one_piece(mask, rng)
    depth = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
    thin = float(depth.max()) < 4
    points = _middle_line(part, rng) if thin or rng.random() < _ALONG else _across(part, rng)
    if len(points) < 3:
        return points
    start = rng.uniform(0, 0.25) * rng.integers(2)
    end = 1 - rng.uniform(0, 0.25) * rng.integers(2)
    n = len(points)
    points = points[int(start * n) : max(int(start * n) + 2, int(end * n))]
    knots = max(2, len(points) // 8)
    waver = rng.normal(0, min(2.5, 0.6 + 0.15 * float(depth.max())), (knots, 2))
    at = np.linspace(0, knots - 1, len(points))
    off = np.stack([np.interp(at, np.arange(knots), waver[:, k]) for k in (0, 1)], 1)
    keep = max(2, len(points) // 4)  # a hand is recorded at some places only
    chosen = np.unique(np.linspace(0, len(points) - 1, keep).round().astype(int))
    moved = points + off
    return np.asarray(np.clip(moved[chosen], 0, np.array(mask.shape) - 1.0))


def _one_piece(mask: Mask, rng: np.random.Generator) -> Mask:
    """Return one of a mask's pieces, the larger the likelier."""
    parts, count = ndimage.label(mask, _EIGHT)
    if count == 1:
        return mask
    sizes = np.bincount(parts.ravel())[1:].astype(np.float64)
    return np.asarray(parts == 1 + rng.choice(count, p=sizes / sizes.sum()))


def _middle_line(part: Mask, rng: np.random.Generator) -> Points:
    """Return a way along the skeleton of a piece, from one end to the farthest, or to a far one."""
    from skimage.graph import MCP_Geometric
    from skimage.morphology import skeletonize

    places = np.argwhere(skeletonize(part))
    if len(places) < 2:
        return places.astype(np.float64) if len(places) else _deepest(part)
    costs = np.full(part.shape, np.inf)
    costs[tuple(places.T)] = 1.0
    begin = places[int(rng.integers(len(places)))]
    first = _farthest(costs, begin, places)
    graph = MCP_Geometric(costs)
    far, _ = graph.find_costs([tuple(first)])
    reached = far[tuple(places.T)]
    reached = np.where(np.isfinite(reached), reached, -1)
    goal = int(reached.argmax())
    if rng.random() < 0.3:  # of a branching object, not always the longest way
        goal = int(rng.choice(np.flatnonzero(reached >= 0.5 * reached.max())))
    return np.array(graph.traceback(tuple(places[goal])), np.float64)


def _farthest(
    costs: npt.NDArray[np.float64], begin: npt.NDArray[np.intp], places: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    from skimage.graph import MCP_Geometric

    far, _ = MCP_Geometric(costs).find_costs([tuple(begin)])
    reached = far[tuple(places.T)]
    return np.asarray(places[np.where(np.isfinite(reached), reached, -1).argmax()])


def _across(part: Mask, rng: np.random.Generator) -> Points:
    """Return a stroke between two places of a piece, as far as it stays on it."""
    places = np.argwhere(part)
    ends = places[rng.integers(len(places), size=8)]
    pairs = ends.reshape(4, 2, 2).astype(np.float64)
    lengths = np.hypot(*(pairs[:, 0] - pairs[:, 1]).T)
    first, last = pairs[int(lengths.argmax())]
    line = first + np.linspace(0, 1, max(2, int(lengths.max()) + 1))[:, None] * (last - first)
    inside = part[tuple(line.round().astype(int).T)]
    out = np.flatnonzero(~inside)
    return np.asarray(line[: out[0]] if out.size and out[0] > 0 else line[inside])


def _deepest(part: Mask) -> Points:
    depth = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
    return np.array([np.unravel_index(int(depth.argmax()), part.shape)], np.float64)
