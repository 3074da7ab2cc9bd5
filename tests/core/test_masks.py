from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.masks import OverlapRule, Refinement, plan_commit, refine, region_of
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box

SHAPES = st.tuples(st.integers(0, 9), st.integers(0, 9))
MASKS = hnp.arrays(bool, SHAPES)
PROBABILITIES = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32))
)
REFINEMENTS = st.builds(
    Refinement,
    threshold=st.floats(0, 1),
    smooth=st.sampled_from([0.0, 0.7, 3.0]),
    fill_holes=st.booleans(),
    keep_clicked=st.booleans(),
)
RULES: tuple[OverlapRule, ...] = ("overwrite", "keep", "background")


# Patches


@given(MASKS, st.integers(-3, 3), st.integers(-3, 3))
def test_a_patch_is_its_mask(mask: np.ndarray, dy: int, dx: int) -> None:
    patch = Patch.of(mask, offset=(dy, dx))
    whole = Box(dy, dx, *mask.shape)
    np.testing.assert_array_equal(patch.cut(whole), mask)
    assert bool(patch) == mask.any()
    assert patch.mask.sum() == mask.sum()
    if patch:
        assert patch.mask[[0, -1]].any(1).all()
        assert patch.mask[:, [0, -1]].any(0).all()


@given(MASKS, st.integers(-12, 12), st.integers(-12, 12), SHAPES)
def test_a_cut_is_the_mask_inside_and_false_outside(
    mask: np.ndarray, top: int, left: int, shape: tuple[int, int]
) -> None:
    plane = np.zeros((60, 60), bool)
    plane[20 : 20 + mask.shape[0], 20 : 20 + mask.shape[1]] = mask
    box = Box(20 + top, 20 + left, *shape)
    np.testing.assert_array_equal(Patch.of(mask, offset=(20, 20)).cut(box), plane[box.slices])


@given(MASKS, MASKS)
def test_patches_are_equal_where_their_pixels_are(a: np.ndarray, b: np.ndarray) -> None:
    one, other = Patch.of(a), Patch.of(b)
    same = set(zip(*np.nonzero(a), strict=True)) == set(zip(*np.nonzero(b), strict=True))
    assert (one == other) == same
    if same:
        assert hash(one) == hash(other)
    assert one == Patch.of(np.pad(a, 2), offset=(-2, -2))
    assert not a.any() or one != Patch.of(a, offset=(0, 1))
    assert one != "a patch"


def test_a_patch_cannot_be_changed() -> None:
    """Neither from within nor through the array that it was made of."""
    mask = np.ones((3, 3), bool)
    patch = Patch(Box(0, 0, 3, 3), mask)
    mask[:] = False
    assert patch.mask.all()
    with pytest.raises(ValueError, match="read-only"):
        patch.mask[0, 0] = False


def test_a_patch_is_made_of_a_plane() -> None:
    with pytest.raises(ValueError, match="two axes"):
        Patch.of(np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="is not the box's"):
        Patch(Box(0, 0, 2, 2), np.ones((3, 3), bool))


def test_in_a_mask_of_numbers_all_but_zero_and_nan_count() -> None:
    mask = np.array([[0, 2.5, np.nan], [-1, 0, np.inf]])
    expected = [[False, True, False], [True, False, True]]
    np.testing.assert_array_equal(Patch.of(mask).cut(Box(0, 0, 2, 3)), expected)


# Refining


@given(PROBABILITIES, REFINEMENTS, st.integers(-5, 5), st.integers(-5, 5), st.data())
def test_a_positive_clicks_pixel_is_in_the_mask_and_a_negatives_is_not(
    probability: np.ndarray, refinement: Refinement, top: int, left: int, data: st.DataObject
) -> None:
    """Whatever the probability and the settings; of two clicks on a pixel the later counts."""
    box = Box(top, left, *probability.shape)
    clicks = data.draw(
        st.lists(st.builds(Click, st.integers(-6, 17), st.integers(-6, 17), st.booleans()))
    )
    mask = refine(probability, box, clicks, refinement)
    assert mask.shape == box.shape
    assert mask.dtype == bool
    last = {click.pixel: click.positive for click in clicks}
    for (row, column), positive in last.items():
        if box.contains(Box(row, column, 1, 1)):
            assert mask[row - top, column - left] == positive


@given(PROBABILITIES, st.floats(0, 1))
def test_as_it_is_the_mask_is_the_probability_above_the_threshold(
    probability: np.ndarray, threshold: float
) -> None:
    box = Box(3, 4, *probability.shape)
    mask = refine(probability, box, [], Refinement(threshold=threshold))
    np.testing.assert_array_equal(mask, probability > threshold)


def ring_with_island() -> np.ndarray:
    """A ring, in its hole an island, and apart from it a bar."""
    mask = np.zeros((15, 22), np.float32)
    mask[1:14, 1:14] = 1
    mask[3:12, 3:12] = 0
    mask[6:9, 6:9] = 1
    mask[2:12, 18:20] = 1
    return mask


def refined(*clicks: Click, **settings: object) -> np.ndarray:
    mask = ring_with_island()
    return refine(mask, Box(0, 0, *mask.shape), clicks, Refinement(**settings))  # type: ignore[arg-type]


def test_holes_are_filled_but_for_those_with_a_negative_click() -> None:
    expected = ring_with_island() > 0
    np.testing.assert_array_equal(refined(Click(4, 4, False), fill_holes=True), expected)
    expected[1:14, 1:14] = True
    np.testing.assert_array_equal(refined(fill_holes=True), expected)
    # A negative click on the mask makes a hole of one pixel, which stays.
    expected[2, 2] = False
    np.testing.assert_array_equal(refined(Click(2, 2, False), fill_holes=True), expected)


def test_only_the_clicked_parts_are_kept() -> None:
    whole = ring_with_island() > 0
    parts, _ = ndimage.label(whole)
    np.testing.assert_array_equal(refined(keep_clicked=True), whole)
    np.testing.assert_array_equal(refined(Click(5, 19), keep_clicked=True), parts == parts[5, 19])
    two = refined(Click(5, 19), Click(7, 7), keep_clicked=True)
    np.testing.assert_array_equal(two, (parts == parts[5, 19]) | (parts == parts[7, 7]))
    negative = refined(Click(0, 0, False), keep_clicked=True)
    np.testing.assert_array_equal(negative, whole)


def test_parts_that_touch_at_a_corner_are_one() -> None:
    diagonal = np.eye(5, dtype=np.float32)
    mask = refine(diagonal, Box(0, 0, 5, 5), [Click(0, 0)], Refinement(keep_clicked=True))
    np.testing.assert_array_equal(mask, diagonal > 0)


def test_smoothing_takes_specks_away_and_leaves_the_object() -> None:
    probability = np.zeros((30, 30), np.float32)
    probability[8:22, 8:22] = 1
    probability[3, 3] = 1
    mask = refine(probability, Box(0, 0, 30, 30), [], Refinement(smooth=1.5))
    assert not mask[3, 3]
    assert mask[10:20, 10:20].all()
    assert abs(int(mask.sum()) - 14 * 14) < 15


@pytest.mark.parametrize("fill_holes", [True, False])
def test_nothing_is_refined_to_nothing(fill_holes: bool) -> None:
    settings = Refinement(smooth=2.0, fill_holes=fill_holes, keep_clicked=True)
    nothing = np.zeros((0, 0), np.float32)
    assert refine(nothing, Box(0, 0, 0, 0), [Click(0, 0)], settings).shape == (0, 0)


# Writing among labels


@given(
    hnp.arrays(np.uint8, (6, 6), elements=st.integers(0, 3)),
    hnp.arrays(bool, (6, 6)),
    st.one_of(st.none(), hnp.arrays(bool, (6, 6))),
    st.integers(1, 3),
    st.sampled_from(RULES),
)
def test_each_pixel_is_written_by_the_rule(
    labels: np.ndarray,
    mask: np.ndarray,
    earlier: np.ndarray | None,
    value: int,
    rule: OverlapRule,
) -> None:
    before = labels.copy()
    changed, values = plan_commit(labels, mask, value, rule, earlier=earlier)
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(changed, values != labels)
    assert values.dtype == labels.dtype
    was = np.zeros((6, 6), bool) if earlier is None else earlier
    for pixel in np.ndindex(6, 6):
        old, new = labels[pixel], values[pixel]
        if mask[pixel]:
            free = {"overwrite": True, "keep": old in (0, value), "background": old == 0}[rule]
            assert new == (value if free else old)
        elif was[pixel] and old == value and rule != "background":
            assert new == 0, "what the object no longer covers is background again"
        else:
            assert new == old


def test_an_unknown_rule_is_an_error() -> None:
    labels, mask = np.zeros((2, 2), int), np.ones((2, 2), bool)
    with pytest.raises(ValueError, match="overwrite, keep or background, not 'merge'"):
        plan_commit(labels, mask, 1, "merge")  # type: ignore[arg-type]


@pytest.mark.parametrize(("dtype", "largest"), [("uint8", 255), ("int16", 32_767)])
def test_an_id_beyond_the_labels_dtype_is_an_error_and_changes_nothing(
    dtype: str, largest: int
) -> None:
    labels, mask = np.zeros((2, 2), dtype), np.ones((2, 2), bool)
    _, values = plan_commit(labels, mask, largest, "overwrite")
    assert (values == largest).all()
    for value in (largest + 1, -1):
        with pytest.raises(ValueError, match=f"does not fit .* up to {largest}, or convert"):
            plan_commit(labels, mask, value, "overwrite")
    assert (labels == 0).all()


# Regions


@given(
    hnp.arrays(np.uint16, (7, 8), elements=st.integers(0, 2)),
    st.integers(-2, 9),
    st.integers(-2, 9),
    st.booleans(),
)
def test_a_region_is_its_id_or_the_connected_part_of_it(
    labels: np.ndarray, row: int, column: int, connected: bool
) -> None:
    patch = region_of(labels, (row, column), connected=connected)
    if not (0 <= row < 7 and 0 <= column < 8) or labels[row, column] == 0:
        assert patch is None
        return
    assert patch is not None
    same = labels == labels[row, column]
    if connected:
        part = np.zeros_like(same)
        part[row, column] = True
        same = ndimage.binary_propagation(part, np.ones((3, 3)), same)
    np.testing.assert_array_equal(patch.cut(Box(0, 0, 7, 8)), same)


@pytest.mark.parametrize("rule", ["keep", "background", "overwrite"])
def test_what_is_below_0_is_background(rule: OverlapRule) -> None:
    labels = np.full((8, 8), -1, np.int32)
    mask = np.zeros((8, 8), bool)
    mask[2:5, 2:5] = True
    changed, values = plan_commit(labels, mask, 1, rule)
    assert np.array_equal(changed, mask)
    assert np.array_equal(values, np.where(mask, 1, -1))
    assert region_of(labels, (0, 0)) is None
