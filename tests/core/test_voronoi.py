from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_clickseg.core import tiling
from napari_clickseg.core.voronoi import Annealing, VoronoiError, energy, place_points

METHODS = ["lloyd", "anneal"]
REGIONS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14))
QUICK = Annealing(steps=10)


def blob(seed: int, side: int, smooth: float) -> np.ndarray:
    """The largest part of smoothed noise: arms, and often holes."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), smooth)
    labels, _ = ndimage.label(noise > 0, np.ones((3, 3)))
    return np.asarray(labels == np.bincount(labels.ravel())[1:].argmax() + 1)


def disk(radius: int, hole: float = -1.0) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    apart = np.hypot(y, x)
    return np.asarray((apart <= radius) & (apart > hole))


def slow_energy(region: np.ndarray, points: np.ndarray) -> float:
    total = 0.0
    for row, column in np.argwhere(region):
        nearest = min(np.hypot(row - y, column - x) for y, x in points)
        total += 1 / nearest if nearest > 0 else 1
    return total


def assert_placed(region: np.ndarray, points: np.ndarray, n: int) -> None:
    """Every point on a pixel of the region, all different, as many as there can be."""
    assert points.dtype == np.float64
    assert points.shape == (min(n, np.count_nonzero(region)), 2)
    pixels = points.astype(int)
    assert (pixels == points).all()
    assert region[tuple(pixels.T)].all()
    assert len(np.unique(pixels, axis=0)) == len(pixels)


@pytest.mark.parametrize("method", METHODS)
@given(region=REGIONS, n=st.integers(0, 9), seed=st.integers(0, 3))
def test_points_are_different_pixels_of_the_region(
    method: str, region: np.ndarray, n: int, seed: int
) -> None:
    place = {"seed": seed, "method": method, "annealing": QUICK}
    points = place_points(region, n, **place)
    assert_placed(region, points, n)
    assert (place_points(region, n, **place) == points).all()


@given(REGIONS, st.lists(st.tuples(st.integers(-3, 16), st.integers(-3, 16)), min_size=1))
def test_energy_is_one_over_the_distance_to_the_nearest_point(
    region: np.ndarray, points: list[tuple[int, int]]
) -> None:
    assert energy(region, points) == pytest.approx(slow_energy(region, np.array(points)))


@given(REGIONS)
def test_without_points_there_is_no_energy(region: np.ndarray) -> None:
    assert energy(region, np.zeros((0, 2))) == energy(region, []) == 0


@settings(max_examples=60)
@given(st.integers(0, 500), st.integers(1, 3))
def test_small_regions_are_solved_as_well_as_by_trying_everything(seed: int, n: int) -> None:
    region = blob(seed, 9, 1.2)
    pixels = np.argwhere(region)
    apart = np.hypot(*(pixels[:, None] - pixels).transpose(2, 0, 1))
    kernel = 1 / np.where(apart == 0, 1, apart)
    every = itertools.combinations(range(len(pixels)), min(n, len(pixels)))
    best = max(kernel[list(some)].max(axis=0).sum() for some in every)
    assert energy(region, place_points(region, n)) >= 0.999 * best


@pytest.mark.parametrize("n", range(1, 6))
def test_it_is_never_worse_than_annealing_on_average(n: int) -> None:
    regions = [blob(seed, side, side / 10) for seed in range(6) for side in (24, 60, 160)]
    ours = np.array([energy(region, place_points(region, n)) for region in regions])
    reference = [energy(region, place_points(region, n, method="anneal")) for region in regions]
    ratios = ours / reference
    assert ratios.mean() >= 1
    assert ratios.min() > 0.995


@settings(max_examples=40)
@given(
    st.integers(0, 500),
    st.sampled_from([12, 40, 90]),
    st.integers(1, 5),
    st.integers(0, 3),
    st.booleans(),
    st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_a_moved_region_gets_points_as_good(
    seed: int, side: int, n: int, quarters: int, mirror: bool, shift: tuple[int, int]
) -> None:
    region = blob(seed, side, side / 8)
    moved = np.rot90(region, quarters)
    moved = np.pad(moved[::-1] if mirror else moved, [(d, 9 - d) for d in shift])
    here, there = place_points(region, n), place_points(moved, n)
    assert energy(moved, there) == pytest.approx(energy(region, here), rel=1e-9)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4))
def test_points_move_with_the_region(down: int, right: int, n: int) -> None:
    region = blob(3, 30, 3)
    moved = np.pad(region, [(down, 0), (right, 0)])
    assert (place_points(moved, n) - place_points(region, n) == (down, right)).all()


def test_one_point_goes_to_the_middle() -> None:
    assert (place_points(disk(8), 1) == [[8, 8]]).all()
    assert np.abs(place_points(disk(60), 1) - 60).max() <= 1  # its search goes by blocks
    assert (place_points(np.ones((1, 9), bool), 1) == [[0, 4]]).all()


@pytest.mark.parametrize(("radius", "hole"), [(6, 4), (40, 28), (150, 149)])
def test_points_in_a_ring_lie_on_it_apart_from_each_other(radius: int, hole: int) -> None:
    ring = disk(radius, hole)
    points = place_points(ring, 4)
    assert_placed(ring, points, 4)
    angles = np.sort(np.arctan2(*(points - radius).T))
    gaps = np.diff(angles, append=angles[0] + 2 * np.pi)
    assert gaps.min() > 1  # π/2 each where they are spread evenly


def test_every_arm_gets_a_point() -> None:
    cross = np.zeros((61, 61), bool)
    cross[28:33] = cross[:, 28:33] = True
    points = place_points(cross, 5)
    assert energy(cross, points) >= energy(
        cross, [(30, 30), (10, 30), (50, 30), (30, 10), (30, 50)]
    )
    distances = [
        np.hypot(*(points - arm).T).min() for arm in [(8, 30), (52, 30), (30, 8), (30, 52)]
    ]
    assert max(distances) < 12


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("region", "n"),
    [
        (np.zeros((0, 0), bool), 3),
        (np.zeros((5, 7), bool), 3),
        (np.ones((1, 1), bool), 3),
        (np.ones((1, 200), bool), 4),
        (np.eye(90, dtype=bool), 5),
        (np.eye(2, dtype=bool).repeat(1, 0), 2),
        (np.indices((20, 20)).sum(0) % 2 == 0, 5),
        (np.ones((2, 2), bool), 9),
        (np.ones((30, 30), bool), 40),
    ],
    ids=["0 px", "empty", "1 px", "line", "diagonal", "dots", "checkerboard", "few px", "many"],
)
def test_degenerate_regions(region: np.ndarray, n: int, method: str) -> None:
    assert_placed(region, place_points(region, n, method=method, annealing=QUICK), n)


def test_two_dots_get_a_point_each() -> None:
    dots = np.zeros((40, 80), bool)
    dots[:3, :3] = dots[37:, 77:] = True
    assert (np.sort(place_points(dots, 2)[:, 0]) == [1, 38]).all()


def test_hundreds_of_points_are_spread_evenly() -> None:
    region = disk(40)
    points = place_points(region, 400)
    assert_placed(region, points, 400)
    apart = np.hypot(*(points[:, None] - points).transpose(2, 0, 1)) + 99 * np.eye(400)
    assert np.median(apart.min(axis=1)) > 2.5  # 3.5 px on a square grid
    drawn = np.random.default_rng(0).permutation(np.argwhere(region))[:400]
    assert energy(region, points) > 1.1 * energy(region, drawn)


def test_a_row_and_column_0_are_pixels_like_others() -> None:
    region = np.zeros((9, 9), bool)
    region[0] = region[:, 0] = True
    points = place_points(region, 3)
    assert_placed(region, points, 3)
    assert (points.min(axis=1) == 0).all()


def test_the_descent_measures_a_square_near_it_as_a_square() -> None:
    """Blocks near a point must not count as points, or it would be drawn to their corners."""
    inner = (np.arange(400) + 0.5) / 400 - 0.5
    for y, x in [(0.0, 0.0), (0.5, 0.5), (0.2, -0.4), (1.3, 0.0)]:
        mean = (1 / np.hypot(inner[:, None] - y, inner - x)).mean()
        apart = np.array([[y, x]], np.float32) * 7
        assert tiling._mean_over_square(apart, 7)[0] == pytest.approx(mean / 7, rel=0.01)


@pytest.mark.parametrize(
    ("region", "n", "method", "message"),
    [
        (np.ones(4, bool), 1, "lloyd", r"A region has two axes \(Y, X\), not 1"),
        (np.ones((4, 4), bool), -1, "lloyd", "-1 points cannot be placed; give 0 or more"),
        (np.ones((4, 4), bool), 1, "guess", "The method is lloyd or anneal, not 'guess'"),
    ],
)
def test_what_cannot_be_placed_is_said(
    region: np.ndarray, n: int, method: str, message: str
) -> None:
    with pytest.raises(VoronoiError, match=message):
        place_points(region, n, method=method)


def test_points_are_rows_of_two() -> None:
    with pytest.raises(VoronoiError, match=r"rows of y, x, not an array of shape \(3,\)"):
        energy(np.ones((4, 4), bool), [1, 2, 3])


def test_the_public_interface_has_it() -> None:
    script = (
        "import sys, napari_clickseg as clickseg\n"
        "before = 'napari_clickseg.core.voronoi' in sys.modules\n"
        "place = clickseg.core.voronoi.place_points\n"
        "print(before, 'torch' in sys.modules, place([[True]], 1).tolist())\n"
        "hasattr(clickseg.core, 'nothing') and print('there is nothing')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False False [[0.0, 0.0]]"
