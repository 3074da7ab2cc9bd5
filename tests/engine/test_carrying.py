"""An object is found again on the next plane, or it is said that it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_clickseg._napari.project import samples
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box
from napari_clickseg.engine.carrying import carry, innermost, pointed_at
from napari_clickseg.engine.segmenter import load_segmenter


def square(top: int, left: int, side: int = 20) -> Patch:
    return Patch(Box(top, left, side, side), np.ones((side, side), bool))


def test_each_large_piece_of_an_object_is_pointed_at() -> None:
    mask = np.zeros((100, 100), bool)
    mask[10:30, 10:30] = mask[50:65, 50:65] = mask[90, 90] = True
    prompt = pointed_at(Patch.of(mask))
    assert prompt.start == Patch.of(mask)
    assert len(prompt.clicks) == 2, "A speck is no piece."
    for click, (low, high) in zip(prompt.clicks, [(10, 30), (50, 65)], strict=True):
        assert low <= click.y < high and low <= click.x < high


def test_a_large_mask_is_pointed_at_without_looking_at_each_pixel() -> None:
    patch = Patch.of(np.ones((900, 900), bool))
    (click,) = pointed_at(patch).clicks
    assert (click.y, click.x) == innermost(patch)


def test_what_moved_is_followed(bright_segmenter: Any) -> None:
    image = np.zeros((80, 80))
    image[30:50, 34:54] = 1
    carried = carry(bright_segmenter().start(image), square(30, 30))
    assert carried.sure
    np.testing.assert_array_equal(carried.prediction.mask, image > 0)


def test_the_answer_is_what_its_prompt_gives(bright_segmenter: Any) -> None:
    image = np.zeros((80, 80))
    image[30:50, 34:54] = 1
    session = bright_segmenter().start(image)
    carried = carry(session, square(30, 30))
    again = session.evaluate(carried.prompt)
    np.testing.assert_array_equal(again.mask, carried.prediction.mask)


def test_what_is_gone_is_not_sure(bright_segmenter: Any) -> None:
    image = np.zeros((80, 80))
    image[0, 0] = 1
    assert not carry(bright_segmenter().start(image), square(30, 30)).sure


def over_time(cell: int, *, carried: bool) -> list[float]:
    """Find a generated cell on seven planes, and return the IoU of all but the first.

    It is carried on from one click on the first plane, or clicked on in its middle on each.
    """
    planes = samples.time_lapse()[0][0]
    segmenter = load_segmenter()
    ious, patch = [], None
    for t in range(7):
        one = samples._cells(256, phase=t / 12)[cell]
        truth = one > 0.5 * one.max()
        session = segmenter.start(planes[t])
        if carried and patch is not None:
            again = carry(session, patch)
            assert again.sure
            prediction = again.prediction
        else:
            session.click(*innermost(Patch.of(truth)))
            prediction = session.predict()
        patch = prediction.patch
        ious.append((prediction.mask & truth).sum() / (prediction.mask | truth).sum())
    return ious[1:]


@pytest.mark.slow
@pytest.mark.parametrize("cell", [4, 9, 11])
def test_a_cell_over_time_is_kept(cell: int) -> None:
    """From one click on the first plane, IoU 0.95 on each of the next six at the least."""
    ious = over_time(cell, carried=True)
    assert min(ious) >= 0.95, np.round(ious, 3)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [0, 6])
def test_a_cell_that_is_hard_to_outline_is_carried_as_well_as_it_is_clicked_on(cell: int) -> None:
    """The mask of the plane before doesn't drag, over six planes."""
    carried, clicked = over_time(cell, carried=True), over_time(cell, carried=False)
    assert np.mean(carried) > np.mean(clicked) - 0.005
    assert min(carried) > min(clicked) - 0.01 and min(carried) >= 0.91
