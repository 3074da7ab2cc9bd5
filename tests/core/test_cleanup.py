"""Labels cleaned up: what each rule does, and that parts come out as the whole does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_clickseg.core.cleanup import CleanUp, cleaned
from napari_clickseg.core.instances.joining import blocks


def speckled(seed: int, shape: tuple[int, int] = (70, 90)) -> np.ndarray:
    """Blobs of three labels with holes and specks of all sizes."""
    noise = np.random.default_rng(seed).random((3, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 1.5, 1.5)).argmax(axis=0) + 1
    return np.where(ndimage.gaussian_filter(noise[0], 2) > 0.5, smooth, 0).astype(np.uint8)


def test_pieces_are_dropped_by_their_size_where_corners_touch() -> None:
    labels = np.zeros((9, 9), np.uint8)
    labels[0, 0] = labels[1, 1] = labels[2, 2] = 3  # one piece of three pixels
    labels[5:7, 5] = 3
    after = cleaned(labels, CleanUp(smallest=3))
    assert (after > 0).sum() == 3
    assert not after[5:7, 5].any()


def test_holes_are_filled_with_what_encloses_them_where_that_is_one_label_alone() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[2:9, 2:9], labels[2:9, 9:16] = 4, 5
    labels[4:6, 4:6] = 0  # four pixels within 4
    labels[5, 8:10] = 0  # between 4 and 5
    labels[12:20, 2:9] = 6
    labels[19, 4] = 0  # at the border of the image
    after = cleaned(labels, CleanUp(fill_holes=5))
    assert (after[4:6, 4:6] == 4).all()
    assert not after[5, 8:10].any()
    assert after[19, 4] == 0
    assert (cleaned(labels, CleanUp(fill_holes=4))[4:6, 4:6] == 0).all(), "fewer pixels than that"
    assert ((after != labels).sum()) == 4


def test_smoothing_takes_spikes_off_and_leaves_straight_edges() -> None:
    labels = np.zeros((30, 30), np.uint8)
    labels[:15] = 7
    straight = labels.copy()
    labels[15:20, 10] = 7
    labels[14, 20] = 0
    after = cleaned(labels, CleanUp(smooth=2))
    assert after[15, 10] == 7, "seven of the thirteen pixels around its foot"
    after[15, 10] = 0
    np.testing.assert_array_equal(after, straight)


@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 1000),
    rules=st.builds(CleanUp, st.integers(0, 3), st.integers(0, 9), st.integers(0, 9)),
)
def test_parts_with_their_margin_come_out_as_the_whole_does(seed: int, rules: CleanUp) -> None:
    labels = speckled(seed)
    whole = cleaned(labels, rules)
    joined = np.full_like(whole, 99)
    for part in blocks(labels.shape, 25, rules.margin):
        within = part.core.shift(-part.outer.top, -part.outer.left).slices
        here = cleaned(labels[part.outer.slices], rules, part.outer, labels.shape)
        joined[part.core.slices] = here[within]
    np.testing.assert_array_equal(joined, whole)


def test_numbers_that_make_no_sense_are_refused_with_what_is_possible() -> None:
    with pytest.raises(ValueError, match="smooth goes from 0 to 10, not 11"):
        CleanUp(smooth=11)
