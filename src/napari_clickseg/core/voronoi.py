"""Several clicks in one region, spread as evenly as its shape allows.

A pixel's energy is one over its distance to the nearest point, so every point rules the pixels
that are nearest to it, its Voronoi cell. The sum over the region's pixels is maximised; then
each point is in the middle of its own cell, whatever the region's shape, its arms and its holes.

After Florin Andrei, *Train image segmentation models to accept user feedback via Voronoi tiling*
(2023), who finds the points by simulated annealing: here that is ``method="anneal"``.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_clickseg.core import tiling
from napari_clickseg.core.window import Box

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

__all__ = ["Annealing", "Method", "VoronoiError", "energy", "place_points"]

Method = Literal["lloyd", "anneal"]


class VoronoiError(ValueError):
    """Points that cannot be placed as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Annealing:
    """The schedule of the simulated annealing; the defaults are the published ones.

    Parameters
    ----------
    hot, cold : float
        First and last temperature, in units of the energy; it falls exponentially.
    steps : int
        How often all points are drawn anew, each within a box around where it was. The box
        begins as large as the region and shrinks as (1 - x) / (1 + x) while x goes from 0 to 1.
    """

    hot: float = 2000.0
    cold: float = 0.1
    steps: int = 100


def place_points(
    region: npt.NDArray[Any],
    n: int,
    *,
    seed: int = 0,
    method: Method = "lloyd",
    annealing: Annealing | None = None,
) -> npt.NDArray[np.float64]:
    """Place points in a region so that its energy is as great as can be found; see `energy`.

    A region that is shifted, turned by quarters or mirrored gets the same points, moved with it
    (where it is symmetric in itself: points as good).

    Parameters
    ----------
    region : bool (Y, X)
        Of any shape: holes, arms and separate parts are fine.
    n : int
        Number of points.
    seed : int
        Decides what is drawn at random; the same seed gives the same points.
    method : {"lloyd", "anneal"}
        Lloyd's relaxation on blocks of the region's pixels from several starts, then exchanges
        of single points, then a descent on pixels; or simulated annealing, the reference.
    annealing : Annealing, optional
        Its schedule.

    Returns
    -------
    float64 (n, 2)
        y, x: centres of pixels of the region, all different; fewer than `n` where the region
        has fewer pixels.

    Raises
    ------
    VoronoiError
        If the region has not two axes, `n` is negative, or the method is not known.
    """
    place = _placer(method, annealing or Annealing())
    region = _checked(region)
    if n < 0:
        raise VoronoiError(f"{n} points cannot be placed; give 0 or more.")
    box = Box.of_mask(region)
    if n == 0 or not box:
        return np.zeros((0, 2))
    cut, back = _upright(region, box)
    if n >= np.count_nonzero(cut):
        points = np.argwhere(cut)
    else:
        points = tiling.made_distinct(cut, place(cut, n, np.random.default_rng(seed)), n)
    return back(points)


def energy(region: npt.NDArray[Any], points: npt.ArrayLike) -> float:
    """Sum up, over a region's pixels, one over the distance to the nearest point.

    Parameters
    ----------
    region : bool (Y, X)
        Of any shape.
    points : float (n, 2)
        y, x in pixels.

    Returns
    -------
    float
        In 1/pixel; a pixel that a point lies on counts as 1. 0 where there are no points.

    Raises
    ------
    VoronoiError
        If the region has not two axes, or the points are not rows of y, x.
    """
    places = np.asarray(points, float)
    if places.size == 0:
        return 0.0
    if places.ndim != 2 or places.shape[1] != 2:
        raise VoronoiError(f"Points are rows of y, x, not an array of shape {places.shape}.")
    return tiling.energy(np.argwhere(_checked(region)), places)


def _checked(region: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    region = np.asarray(region)
    if region.ndim != 2:
        raise VoronoiError(f"A region has two axes (Y, X), not {region.ndim}.")
    return region.astype(bool, copy=False)


def _placer(
    method: str, annealing: Annealing
) -> Callable[[npt.NDArray[np.bool_], int, np.random.Generator], npt.NDArray[np.intp]]:
    """Return what chooses n of a region's pixels."""
    if method == "lloyd":
        return tiling.relaxed
    if method == "anneal":
        return lambda region, n, rng: _annealed(region, n, rng, annealing)
    raise VoronoiError(f"The method is lloyd or anneal, not {method!r}.")


def _upright(
    region: npt.NDArray[np.bool_], box: Box
) -> tuple[npt.NDArray[np.bool_], Callable[[npt.NDArray[np.intp]], npt.NDArray[np.float64]]]:
    """Cut a region out, turned and mirrored to the one of its eight ways that is first in order.

    So the search sees the same region however it lies in the image. Returned with the way back.
    """
    cut, corner = region[box.slices], (box.top, box.left)
    ways = list(itertools.product((1, -1), (1, -1), (False, True)))
    profiles = _profiles(cut, ways)
    first = min(profiles)
    tied = [way for way, profile in zip(ways, profiles, strict=True) if profile == first]
    if len(tied) > 1:  # seldom, so that regions are seldom compared pixel by pixel
        tied.sort(key=lambda way: _turned(cut, *way).tobytes())
    down, right, swap = tied[0]
    last = np.array(cut.shape) - 1

    def back(pixels: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        places = (pixels[:, ::-1] if swap else pixels).astype(float)
        return np.where((down < 0, right < 0), last - places, places) + corner

    return np.ascontiguousarray(_turned(cut, down, right, swap)), back


def _profiles(
    cut: npt.NDArray[np.bool_], ways: list[tuple[int, int, bool]]
) -> list[tuple[list[int], list[int]]]:
    """Return the pixels in each row and in each column of the region, turned in all ways."""
    rows = np.count_nonzero(cut, axis=1).tolist()
    columns = np.count_nonzero(cut, axis=0).tolist()
    pairs = [(rows[::down], columns[::right], swap) for down, right, swap in ways]
    return [(second, first) if swap else (first, second) for first, second, swap in pairs]


def _turned(cut: npt.NDArray[np.bool_], down: int, right: int, swap: bool) -> npt.NDArray[np.bool_]:
    mirrored = cut[::down, ::right]
    return mirrored.T if swap else mirrored


def _annealed(
    region: npt.NDArray[np.bool_], n: int, rng: np.random.Generator, spec: Annealing
) -> npt.NDArray[np.intp]:
    """Choose n pixels by simulated annealing, all drawn anew at every step."""
    pixels = np.argwhere(region)
    reach = np.ptp(pixels, axis=0)
    state = best = pixels[rng.integers(len(pixels), size=n)]
    level = highest = tiling.energy(pixels, state)
    for step in range(1, spec.steps + 1):
        x = step / spec.steps
        half = np.maximum(1, np.round(reach * (1 - x) / (1 + x)))
        moved = np.array([_drawn(pixels, point, half, rng) for point in state])
        reached = tiling.energy(pixels, moved)
        temperature = spec.hot * (spec.cold / spec.hot) ** x
        if reached >= level or rng.random() < math.exp((reached - level) / temperature):
            state, level = moved, reached
        if level > highest:
            best, highest = state, level
    return best


def _drawn(
    pixels: npt.NDArray[np.intp],
    centre: npt.NDArray[np.intp],
    half: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> npt.NDArray[np.intp]:
    near = np.flatnonzero((np.abs(pixels - centre) <= half).all(axis=1))
    return np.asarray(pixels[rng.choice(near)])
