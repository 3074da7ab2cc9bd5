"""What became of each pixel, and how good a prediction is."""

from __future__ import annotations

import numpy as np
import pytest

from napari_clickseg.pictures.drawn_image import Canvas, contoured
from napari_clickseg.pictures.outcomes import COLOURS, PixelOutcome, figures_of, outcomes

TRUTH = np.array([[0, 1, 1, 2, 2, 9]])
FOUND = np.array([[3, 3, 0, 3, 1, 1]])
IGNORE = TRUTH == 9


def test_ids_of_objects_need_not_be_the_same_and_those_of_classes_must() -> None:
    objects = outcomes(FOUND, np.where(IGNORE, 0, TRUTH), IGNORE)
    assert objects.tolist() == [[2, 1, 3, 1, 1, 0]]
    classes = outcomes(FOUND, np.where(IGNORE, 0, TRUTH), IGNORE, by_class=True)
    assert classes.tolist() == [[2, 4, 3, 4, 4, 0]]


def test_without_a_truth_nothing_is_right_or_wrong() -> None:
    assert set(np.unique(outcomes(FOUND, None))) == {PixelOutcome.NOTHING, PixelOutcome.UNJUDGED}


def test_figures_leave_out_what_is_ignored() -> None:
    figures = figures_of(FOUND, np.where(IGNORE, 0, TRUTH), IGNORE)
    assert figures == {"IoU": pytest.approx(3 / 5), "Dice": pytest.approx(6 / 8)}


def test_touching_objects_are_told_apart_and_what_is_right_is_no_more_than_a_contour() -> None:
    objects = np.repeat([[1, 2]], 40, axis=0).repeat(20, axis=1)
    black = np.zeros((40, 40, 3), np.uint8)
    drawn = contoured(black, outcomes(objects, objects > 0), objects)
    blue = [int(COLOURS[PixelOutcome.TRUE_POSITIVE][k : k + 2], 16) for k in (1, 3, 5)]
    assert drawn[20, 19].tolist() == drawn[20, 20].tolist() == blue
    assert not drawn[20, 10].any()


@pytest.mark.parametrize(("shape", "drawn"), [((10, 20), (380, 760)), ((3000, 700), (1000, 234))])
def test_small_images_are_drawn_larger_and_large_ones_smaller(shape, drawn) -> None:
    assert Canvas(shape, 1200).drawn(np.zeros(shape)).shape == drawn
