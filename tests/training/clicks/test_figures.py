from __future__ import annotations

import numpy as np
import pytest

from napari_clickseg.models.metrics import Counts
from napari_clickseg.training.clicks.figures import Clicked, counted, figures, row


def counts(tp: int, fp: int, fn: int) -> Counts:
    return Counts(*(np.array([n], np.int64) for n in (tp, fp, fn, 100)))


def course(*each: tuple[int, int, int]) -> tuple[Counts, ...]:
    return tuple(counts(*one) for one in each)


MISSED, HALF, RIGHT = (0, 0, 10), (5, 0, 5), (10, 0, 0)
LARGE = (900, 50, 50)  # IoU 0.9
SLOW = course(MISSED, HALF, HALF, HALF, HALF, HALF)
QUICK = course(MISSED, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT)
BIG = course(LARGE, LARGE, LARGE, LARGE, LARGE, LARGE)


def test_objects_images_and_pixels_are_each_counted_for_themselves() -> None:
    measured = figures([Clicked("a", (SLOW, QUICK)), Clicked("b", (BIG,))], automatic=False)
    assert measured["iou_1"] == pytest.approx((0.5 + 1 + 0.9) / 3)
    assert measured["iou_imagewise_1"] == pytest.approx((0.75 + 0.9) / 2)
    assert measured["iou_micro_1"] == pytest.approx(915 / (915 + 50 + 55))
    assert measured["dice_1"] == pytest.approx((2 / 3 + 1 + 1.8 / 1.9) / 3)
    assert measured["dice_micro_1"] == pytest.approx(2 * 915 / (2 * 915 + 105))
    assert measured["precision_1"] == pytest.approx(915 / 965)
    assert measured["recall_1"] == pytest.approx(915 / 970)


def test_there_are_figures_after_one_three_and_five_clicks_and_of_their_course() -> None:
    rising = course(MISSED, HALF, HALF, RIGHT, RIGHT, RIGHT)
    measured = figures([Clicked("a", (rising,))], automatic=False)
    assert [measured[f"iou_{n}"] for n in (1, 3, 5)] == [0.5, 1, 1]
    assert measured["iou_clicks"] == pytest.approx((0.5 + 0.5 + 1 + 1 + 1) / 5)
    assert not [name for name in measured if name.endswith("_0")], "it answers no click"


def test_without_a_click_empty_images_count_and_after_clicks_they_do_not() -> None:
    """A false pixel in an empty image costs; nobody clicks on what is not there."""
    quiet, wrong = Clicked("b", (course((0, 0, 0)),)), Clicked("c", (course((0, 10, 0)),))
    alone = [Clicked("a", (course(RIGHT, RIGHT),))]
    for empty, iou, precision in ((quiet, 1.0, 1.0), (wrong, 0.5, 0.5)):
        measured = figures([*alone, empty], automatic=True)
        assert measured["iou_0"] == measured["iou_imagewise_0"] == iou
        assert measured["precision_0"] == precision
        assert measured["iou_1"] == measured["precision_1"] == 1


def test_models_that_are_never_clicked_on_are_measured_without_a_click() -> None:
    measured = figures([Clicked("a", (course(HALF),))], automatic=True)
    assert measured["iou_clicks"] == measured["iou_0"] == 0.5
    assert "iou_1" not in measured


def test_nothing_that_was_clicked_on_gives_no_figures() -> None:
    assert figures([], automatic=False) == {}


def test_a_row_has_the_figures_of_its_image() -> None:
    measured = row(Clicked("a", (SLOW, QUICK)), automatic=False)
    assert (measured["image"], measured["objects"]) == ("a", 2)
    assert [measured[f"iou_{n}"] for n in range(6)] == [0, *[0.75] * 5]
    assert measured["dice_3"] == pytest.approx((2 / 3 + 1) / 2)
    assert measured["recall_3"] == pytest.approx(15 / 20)
    assert measured["iou_clicks"] == 0.75
    assert row(Clicked("a", (SLOW, QUICK)), automatic=True)["iou_clicks"] == 0.75 * 5 / 6
    assert row(Clicked("b", (course((0, 9, 0)),)), automatic=True)["iou_clicks"] == 0


def test_what_is_not_known_counts_neither_way() -> None:
    mask, truth = np.array([[True, True, False]]), np.array([[True, False, True]])
    counts = counted(mask, truth, np.array([[False, True, False]]))
    assert [int(n[0]) for n in (counts.tp, counts.fp, counts.fn, counts.tn)] == [1, 0, 1, 0]
