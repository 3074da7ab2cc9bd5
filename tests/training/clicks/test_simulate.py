from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from napari_clickseg.core.guidance import likeness
from napari_clickseg.training.clicks.simulate import (
    ClickMaps,
    depth,
    likeness_maps,
    next_clicks,
    perturbed,
    surroundings,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(seed: int, batch: int = 3, size: int = 32) -> Tensor:
    """Random blobs as errors: false negatives, then false positives, apart from each other."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(batch, size, size)), (0, 2, 2))
    level = np.quantile(np.abs(noise), rng.uniform(0.3, 0.99))
    return torch.from_numpy(np.stack([noise > level, noise < -level], 1).astype(np.float32))


@given(st.integers(0, 500), st.floats(0, 1))
def test_every_click_falls_on_an_error_of_its_sign(seed: int, exact: float) -> None:
    error = blobs(seed)
    rows, columns, positive, valid = next_clicks(error, generator(seed), exact=exact)
    for i in range(len(error)):
        assert bool(valid[i]) == bool(error[i].any())
        if valid[i]:
            assert error[i, 0 if positive[i] else 1, rows[i], columns[i]] == 1


def square(size: int, *, at: tuple[int, int], side: int) -> Tensor:
    mask = torch.zeros(size, size)
    mask[at[0] : at[0] + side, at[1] : at[1] + side] = 1
    return mask


@pytest.mark.parametrize("missed_is_larger", [True, False])
def test_the_larger_error_is_clicked_in_its_middle(missed_is_larger: bool) -> None:
    large, small = square(64, at=(6, 8), side=21), square(64, at=(40, 44), side=9)
    error = torch.stack([large, small] if missed_is_larger else [small, large])[None]
    for seed in range(10):
        rows, columns, positive, valid = next_clicks(error, generator(seed), exact=1.0)
        assert valid.all()
        assert bool(positive[0]) == missed_is_larger
        assert abs(int(rows[0]) - 16) <= 2
        assert abs(int(columns[0]) - 18) <= 2


def test_half_of_the_clicks_are_off_the_middle_but_well_inside() -> None:
    error = torch.stack([square(64, at=(10, 10), side=41), torch.zeros(64, 64)])[None]
    error = error.expand(200, 2, 64, 64)
    rows, columns, _, _ = next_clicks(error, generator(), exact=0.5)
    off = torch.maximum((rows - 30).abs(), (columns - 30).abs())
    assert 0.35 < (off <= 2).float().mean() < 0.75
    assert off.max() > 8


def test_where_nothing_is_wrong_no_click_is_valid() -> None:
    rows, columns, _, valid = next_clicks(torch.zeros(2, 2, 32, 32), generator())
    assert not valid.any()
    assert ((rows >= 0) & (rows < 32) & (columns >= 0) & (columns < 32)).all()


def test_clicks_are_decided_by_the_seed() -> None:
    error = blobs(1)
    first, again = (next_clicks(error, generator(5)) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)


@given(st.integers(0, 200), st.integers(1, 30))
def test_depth_is_the_chessboard_distance_to_the_edge(seed: int, steps: int) -> None:
    mask = blobs(seed)[:, :1]
    expected = [
        ndimage.distance_transform_cdt(np.pad(m[0], 1), "chessboard")[1:-1, 1:-1]
        for m in mask.numpy()
    ]
    counted = depth(mask, steps)[:, 0].numpy()
    np.testing.assert_array_equal(counted, np.minimum(expected, steps + 1))


def test_disks_are_drawn_where_valid_on_the_plane_of_their_sign() -> None:
    maps = ClickMaps.empty(3, 16, 2.0, torch.device("cpu"))
    maps.add(
        torch.tensor([0, 8, 8]),
        torch.tensor([15, 4, 4]),
        torch.tensor([True, False, True]),
        torch.tensor([True, True, False]),
    )
    y, x = np.mgrid[:16, :16]
    disks = [np.hypot(y, x - 15) <= 2, np.hypot(y - 8, x - 4) <= 2]
    np.testing.assert_array_equal(maps.positive[0, 0], disks[0])
    np.testing.assert_array_equal(maps.negative[1, 0], disks[1])
    assert maps.positive[1:].sum() == maps.negative[0].sum() == maps.negative[2].sum() == 0


def test_maps_that_are_taken_are_copies_until_they_are_put_back() -> None:
    maps = ClickMaps.empty(3, 8, 0.0, torch.device("cpu"))
    chosen = torch.tensor([2, 0])
    part = maps.take(chosen)
    yes = torch.tensor([True, True])
    part.add(torch.tensor([1, 5]), torch.tensor([2, 6]), torch.tensor([True, False]), yes)
    assert maps.positive.sum() == maps.negative.sum() == 0
    maps.put(chosen, part)
    assert maps.positive[2, 0, 1, 2] == maps.negative[0, 0, 5, 6] == 1
    assert maps.positive.sum() == maps.negative.sum() == 1


def test_a_perturbed_mask_is_wrong_but_plausible() -> None:
    target = square(64, at=(16, 16), side=32)[None, None].expand(64, 1, 64, 64)
    wrong = perturbed(target, generator(3))
    assert wrong.shape == target.shape
    assert ((wrong >= 0) & (wrong <= 1)).all()
    mask = wrong > 0.5
    overlap = (mask & (target > 0)).sum((1, 2, 3)) / (mask | (target > 0)).sum((1, 2, 3))
    assert 0.5 < overlap.mean() < 0.99
    assert overlap.std() > 0.01
    assert torch.equal(wrong, perturbed(target, generator(3)))


@given(st.integers(0, 100))
def test_surroundings_hold_the_object_and_what_looks_like_its_own_surroundings(seed: int) -> None:
    object_, host = square(96, at=(40, 40), side=14), square(96, at=(24, 24), side=48)
    image = (0.1 + 0.6 * host + 0.2 * object_).expand(3, 96, 96)
    mistaken = surroundings(image, object_[None], generator(seed))
    assert mistaken.shape == (1, 96, 96)
    assert 0 < float(mistaken.min()) < 0.05 < 0.9 < float(mistaken.max()) < 1
    mask = mistaken[0] > 0.5
    assert mask[object_ > 0].all()
    assert mask.sum() > 1.5 * object_.sum()
    assert not mask[host == 0][:200].any()  # far away, and of another colour


place = st.floats(-3, 34, allow_nan=False)


@given(
    st.integers(0, 100),
    st.lists(st.lists(st.tuples(place, place, st.booleans()), max_size=5), min_size=2, max_size=2),
)
def test_training_sees_the_likeness_that_a_click_in_napari_gives(
    seed: int, clicks: list[list[tuple[float, float, bool]]]
) -> None:
    image = torch.rand(2, 3, 32, 32, generator=generator(seed))
    maps = likeness_maps(image, clicks).numpy()
    for i, some in enumerate(clicks):
        for first, kind in ((0, True), (2, False)):
            there = [(y, x) for y, x, positive in some if positive == kind]
            np.testing.assert_allclose(
                maps[i, first : first + 2], likeness(image[i].numpy(), there), atol=1e-4
            )
