"""Boxes, scribbles and lassos: what can't be used is refused in a line, the rest is cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.draw import polygon2mask

from napari_clickseg.core.clicks import Click, ClickError, PromptError
from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble, enclosed
from napari_clickseg.core.window import Box

SHAPE = (40, 60)
NUMBERS = st.floats(-80, 120)
SIDES = st.floats(0.001, 200)
POINTS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=12).map(tuple)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_positions_are_numbers(bad: float) -> None:
    for make in (
        lambda: DrawnBox(0, bad, 5, 5),
        lambda: Scribble(((0, 0), (bad, 1))),
        lambda: Lasso(((0, 0), (bad, 1), (3, 3))),
    ):
        with pytest.raises(PromptError, match="number") as caught:
            make()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("edges", [(5, 5, 5, 9), (5, 5, 9, 5), (5, 9, 9, 5), (9, 5, 5, 9)])
def test_a_box_has_an_area(edges: tuple[int, ...]) -> None:
    with pytest.raises(PromptError, match="has no area"):
        DrawnBox(*edges)


@pytest.mark.parametrize(
    "points", [((0, 0), (5, 5), (9, 9)), ((2, 2),) * 4, ((0, 1), (0, 5), (0, 3))]
)
def test_a_lasso_goes_around_an_area(points: Any) -> None:
    with pytest.raises(PromptError, match="goes around nothing"):
        Lasso(points)


@pytest.mark.parametrize(
    ("make", "points"), [(Scribble, ()), (Lasso, ((0, 0), (1, 1))), (Scribble, (1, 2)), (Lasso, 3)]
)
def test_too_few_points_are_refused(make: Any, points: Any) -> None:
    with pytest.raises(PromptError):
        make(points)


@given(NUMBERS, NUMBERS, SIDES, SIDES)
def test_a_box_is_cut_to_the_image_or_refused(
    top: float, left: float, height: float, width: float
) -> None:
    bottom, right = top + height, left + width
    try:
        cut = DrawnBox(top, left, bottom, right).cut(SHAPE)
    except PromptError as error:
        assert "outside the image" in str(error)
        assert bottom <= -0.5 or right <= -0.5 or top >= 39.5 or left >= 59.5
        return
    assert isinstance(cut, DrawnBox)
    assert cut.top >= max(top, -0.5)
    assert cut.bottom <= min(bottom, 39.5)
    assert cut.cut(SHAPE) == cut


@given(POINTS)
def test_a_scribble_is_cut_to_the_image_or_refused(points: tuple[tuple[float, float], ...]) -> None:
    inside = [point for point in points if Click(*point).inside(SHAPE)]
    if not inside:
        with pytest.raises(PromptError, match="outside the image"):
            Scribble(points).cut(SHAPE)
        return
    cut = Scribble(points, False).cut(SHAPE)
    assert isinstance(cut, Scribble)
    assert list(cut.points) == inside
    assert not cut.positive
    assert Box(0, 0, *SHAPE).contains(cut.reach)


def test_what_lies_outside_is_refused() -> None:
    with pytest.raises(ClickError, match="outside the image"):
        Click(50, 0).cut(SHAPE)
    with pytest.raises(PromptError, match="The lasso is outside the image"):
        Lasso(((50, 0), (50, 9), (59, 9))).cut(SHAPE)
    around_all = Lasso(((-9, -9), (-9, 80), (80, 80), (80, -9)))
    assert around_all.cut(SHAPE) is around_all


@given(st.lists(st.tuples(st.integers(-9, 49), st.integers(-9, 69)), min_size=3, max_size=9))
def test_what_a_simple_line_goes_around_is_its_polygon(points: list[tuple[int, int]]) -> None:
    """Of the hull's corners, so that it does not cross itself; never through a pixel's centre."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        corners = np.array(points)[ConvexHull(points).vertices] + (0.25, 2**0.5 - 1)
    except QhullError:
        assume(False)
    polygon = enclosed(corners, SHAPE)
    np.testing.assert_array_equal(polygon, polygon2mask(SHAPE, corners))
    np.testing.assert_array_equal(enclosed(corners[::-1], SHAPE), polygon)


def test_a_line_that_crosses_itself_goes_around_both_of_its_loops() -> None:
    eight = np.array([(5, 5), (25, 45), (5, 45), (25, 5)]) + 0.25
    polygon = enclosed(eight, SHAPE)
    assert polygon[15, 8]
    assert polygon[15, 42]
    assert not polygon[7, 25]
    twice = np.concatenate([square := np.array([(5, 5), (5, 20), (20, 20), (20, 5)]), square])
    assert enclosed(twice + 0.25, SHAPE).sum() == 15 * 15
    assert ndimage.label(polygon)[1] >= 1


def test_a_line_may_lie_outside() -> None:
    around_all = np.array([(-9, -9), (-9, 80), (80, 80), (80, -9)])
    assert enclosed(around_all, SHAPE).all()
    assert not enclosed(around_all + 200, SHAPE).any()
