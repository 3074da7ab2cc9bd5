from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_clickseg.core.clicks import Click
from napari_clickseg.core.regions import (
    ClickSpec,
    RegionClick,
    RegionError,
    clicks_in,
    find_regions,
    place_clicks,
)

SHAPE = (12, 15)
MASKS = hnp.arrays(bool, SHAPE)
EAGER = ClickSpec(first=0.01, anchors=True, good=1.0)  # even tiny regions get clicks


def block(*places: tuple[int, int, int, int], side: int = 64) -> np.ndarray:
    """True in rectangles of rows [top, bottom) and columns [left, right)."""
    mask = np.zeros((side, side), bool)
    for top, bottom, left, right in places:
        mask[top:bottom, left:right] = True
    return mask


def kinds(clicks: tuple[RegionClick, ...]) -> dict[str, int]:
    return {kind: sum(click.kind == kind for click in clicks) for kind in ("tp", "fp", "fn")}


@given(MASKS, MASKS, st.one_of(st.none(), MASKS))
def test_every_pixel_that_counts_is_in_one_region_of_its_kind(
    prediction: np.ndarray, truth: np.ndarray, ignore: np.ndarray | None
) -> None:
    counts = np.ones(SHAPE, bool) if ignore is None else ~ignore
    seen = dict.fromkeys(("tp", "fp", "fn"), np.zeros(SHAPE, int))
    for number, region in enumerate(find_regions(prediction, truth, ignore=ignore), 1):
        assert region.number == number
        assert region.area == region.patch.mask.sum()
        whole = np.zeros(SHAPE, int)
        whole[region.patch.box.slices] = region.patch.mask
        seen[region.kind] = seen[region.kind] + whole
    assert (seen["tp"] == (prediction & truth & counts)).all()
    assert (seen["fp"] == (prediction & ~truth & counts)).all()
    assert (seen["fn"] == (truth & ~prediction & counts)).all()


def test_regions_touch_at_corners_and_come_largest_first() -> None:
    truth = block((0, 2, 0, 2), (2, 4, 2, 4), (20, 30, 20, 30), (50, 51, 50, 51))
    prediction = block((50, 51, 50, 51))
    regions = find_regions(prediction, truth)
    assert [(region.kind, region.area) for region in regions] == [("tp", 1), ("fn", 100), ("fn", 8)]


@given(MASKS, MASKS, st.one_of(st.none(), MASKS), st.integers(0, 2))
def test_a_click_lies_in_its_region_and_has_its_polarity(
    prediction: np.ndarray, truth: np.ndarray, ignore: np.ndarray | None, seed: int
) -> None:
    regions = {r.number: r for r in find_regions(prediction, truth, ignore=ignore)}
    clicks = place_clicks(prediction, truth, ignore=ignore, spec=EAGER, seed=seed)
    assert clicks == place_clicks(prediction, truth, ignore=ignore, spec=EAGER, seed=seed)
    assert len({click.click.pixel for click in clicks}) == len(clicks)
    for click in clicks:
        region, (row, column) = regions[click.region], click.click.pixel
        assert region.kind == click.kind
        assert region.patch.mask[row - region.patch.box.top, column - region.patch.box.left]
        assert click.positive == truth[row, column]
        assert ignore is None or not ignore[row, column]
    assert max(kinds(clicks).values()) <= EAGER.most_of_kind


@pytest.mark.parametrize(
    ("pixels", "clicks"),
    [
        (0, 0),
        (1, 0),
        (999, 0),
        (1000, 1),
        (3162, 1),
        (3163, 2),
        (10_000, 3),
        (31_623, 4),
        (100_000, 5),
        (262_144, 5),
    ],
)
@pytest.mark.parametrize("scale", [0.25, 1, 3.7])
def test_the_number_of_clicks_is_the_published_rules_at_any_size(
    pixels: int, clicks: int, scale: float
) -> None:
    image = (512 * scale) ** 2
    assert ClickSpec().count(pixels * scale**2 / image) == clicks


def test_the_same_picture_gets_as_many_clicks_at_any_size() -> None:
    truth, prediction = block((5, 45, 5, 30)), block((5, 20, 5, 60))
    small = place_clicks(prediction, truth)
    large = place_clicks(prediction.repeat(4, 0).repeat(4, 1), truth.repeat(4, 0).repeat(4, 1))
    assert kinds(small) == kinds(large)
    assert kinds(small)["fp"] > 1


def test_small_errors_count_where_they_are_a_twentieth_of_what_was_found() -> None:
    truth = block((10, 20, 10, 30), (40, 41, 40, 49))
    prediction = block((10, 20, 10, 30), (50, 52, 50, 55))
    clicks = place_clicks(prediction, truth)  # 200 px found; 10 px surplus, 9 px missed
    assert clicks == (RegionClick(clicks[0].y, clicks[0].x, False, "fp", 2),)


def test_where_nothing_was_found_specks_do_not_count_beside_a_large_error() -> None:
    truth = block((10, 20, 10, 30), (40, 41, 40, 49))
    assert {click.region for click in place_clicks(block(), truth)} == {1}
    alone = block((40, 41, 40, 49))
    assert [click.click for click in place_clicks(block(), alone)] == [Click(40, 44)]


def test_a_good_prediction_gets_no_clicks() -> None:
    truth = block((0, 40, 0, 50))
    prediction = block((0, 39, 0, 50))
    assert place_clicks(prediction, truth, spec=ClickSpec(small=0.01)) == ()  # IoU 0.975
    assert place_clicks(prediction, truth, spec=ClickSpec(small=0.01, good=0.98))
    assert place_clicks(truth, truth) == place_clicks(block(), block()) == ()


def test_there_is_a_limit_to_the_clicks_of_a_kind() -> None:
    truth = block(
        *((row, row + 6, column, column + 6) for row in (0, 20) for column in range(0, 64, 8))
    )
    assert kinds(place_clicks(block(), truth)) == {"tp": 0, "fp": 0, "fn": 10}
    assert kinds(place_clicks(truth, block())) == {"tp": 0, "fp": 10, "fn": 0}
    few = ClickSpec(first=1e-4, most_in_region=3, most_of_kind=4)
    assert kinds(place_clicks(block((0, 30, 0, 60), (33, 60, 0, 60)), block(), spec=few))["fp"] == 4


def test_what_was_found_is_clicked_on_only_where_asked_and_where_something_is_wrong() -> None:
    truth, prediction = block((0, 40, 0, 40)), block((0, 40, 0, 64))
    anchored = ClickSpec(anchors=True)
    assert kinds(place_clicks(prediction, truth))["tp"] == 0
    clicks = place_clicks(prediction, truth, spec=anchored)
    assert kinds(clicks)["tp"] == ClickSpec().count(40 * 40 / 64**2)
    assert all(click.positive for click in clicks if click.kind == "tp")
    specks = block((0, 40, 0, 40), *((y, y + 1, 50, 51) for y in range(0, 64, 2)))
    strict = ClickSpec(anchors=True, good=1.0)
    assert place_clicks(specks, truth, spec=strict) == ()  # no error is worth a click


def test_a_click_in_the_first_row_and_column_is_kept() -> None:
    truth = block((0, 1, 0, 1))
    assert [click.click for click in place_clicks(block(), truth)] == [Click(0, 0)]


def test_annealing_can_place_them_too() -> None:
    truth, prediction = block((0, 40, 0, 40)), block((0, 40, 20, 64))
    clicks = place_clicks(prediction, truth, spec=ClickSpec(method="anneal"))
    assert kinds(clicks) == kinds(place_clicks(prediction, truth))


def test_clicks_can_be_placed_in_regions_that_are_known() -> None:
    truth, prediction = block((0, 40, 0, 40)), block((0, 40, 20, 64))
    regions = find_regions(prediction, truth)
    assert clicks_in(regions, truth.shape) == place_clicks(prediction, truth)


@pytest.mark.parametrize("shape", [(64, 63), (64,), (64, 64, 1)])
def test_masks_of_different_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RegionError, match=r"give masks \(Y, X\) of one image"):
        place_clicks(np.ones(shape, bool), block())
