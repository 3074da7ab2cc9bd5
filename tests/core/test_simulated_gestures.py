from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_clickseg.core.simulated_gestures import draw_box, draw_lasso, draw_scribble


def blob(seed: int, size: int = 96) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(size, size)), rng.uniform(3, 12))
    mask = noise > np.quantile(noise, rng.uniform(0.6, 0.97))
    return mask if mask.any() else ~mask


@given(st.integers(0, 10_000))
def test_a_box_is_off_by_a_tenth_of_a_side_at_the_most(seed: int) -> None:
    mask = np.zeros((90, 90), bool)
    mask[20:60, 30:50] = True
    box = draw_box(mask, np.random.default_rng(seed)) > 0
    rows, columns = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
    assert box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    for there, low, high in ((rows, 20, 60), (columns, 30, 50)):
        slack = 0.1 * (high - low) + 1
        assert abs(there[0] - low) <= slack
        assert abs(there[-1] + 1 - high) <= slack


@given(st.integers(0, 10_000))
def test_a_lasso_goes_around_the_object_and_not_far_from_it(seed: int) -> None:
    y, x = np.mgrid[:120, :120]
    mask = np.hypot(y - 60, x - 60) < 30
    lasso = draw_lasso(mask, np.random.default_rng(seed)) > 0
    assert (lasso & mask).sum() >= 0.9 * mask.sum()
    assert lasso.sum() <= 2.2 * mask.sum()


@given(st.integers(0, 10_000))
def test_a_scribble_lies_on_the_object_but_for_a_hand_s_waver(seed: int) -> None:
    mask = blob(seed % 50)
    points = draw_scribble(mask, np.random.default_rng(seed))
    assert points.ndim == 2
    assert len(points) >= 1
    assert points.min() >= 0
    assert points.max() <= 95
    away = ndimage.distance_transform_edt(~mask)
    # Four standard deviations of the widest waver, and what rounding adds.
    assert away[tuple(points.round().astype(int).T)].max() <= 11


def test_a_scribble_follows_a_thin_thing() -> None:
    mask = np.zeros((96, 96), bool)
    for column in range(5, 90):
        row = int(48 + 20 * np.sin(column / 12))
        mask[row : row + 2, column] = True
    mask = ndimage.binary_dilation(mask)
    lengths = []
    for seed in range(20):
        points = draw_scribble(mask, np.random.default_rng(seed))
        lengths.append(np.ptp(points[:, 1]))
        away = ndimage.distance_transform_edt(~mask)
        assert away[tuple(points.round().astype(int).T)].mean() < 1.5
    assert np.median(lengths) > 50


@pytest.mark.parametrize("draw", [draw_box, draw_lasso, draw_scribble])
def test_a_gesture_is_decided_by_its_seed(draw: object) -> None:
    one, again, other = (draw(blob(3), np.random.default_rng(s)) for s in (1, 1, 2))  # type: ignore[operator]
    assert np.array_equal(one, again)
    assert one.shape != other.shape or not np.array_equal(one, other)


@pytest.mark.parametrize("draw", [draw_box, draw_lasso, draw_scribble])
def test_a_single_pixel_is_enough(draw: object) -> None:
    mask = np.zeros((32, 32), bool)
    mask[0, 31] = True
    for seed in range(10):
        drawn = draw(mask, np.random.default_rng(seed))  # type: ignore[operator]
        assert np.isfinite(drawn).all()
        assert len(drawn)
