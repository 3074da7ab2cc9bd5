from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clickseg.models.metrics import confusion, count, figures, higher_is_better


def masks(seed: int, classes: int = 2, share: float = 0.4) -> np.ndarray:
    return np.random.default_rng(seed).random((classes, 9, 7)) < share


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), share=st.floats(0, 1))
def test_counts_add_up_and_figures_lie_between_0_and_1(seed: int, share: float) -> None:
    counts = count(masks(seed, share=share), masks(seed + 1))
    assert (counts.tp + counts.fp + counts.fn + counts.tn == 63).all()
    values = figures([counts], ["a", "b"])
    assert all(0 <= value <= 1 for value in values.values())
    assert values["iou_a"] == pytest.approx(counts.iou()[0])
    assert values["dice_b"] == pytest.approx(counts.dice()[1])


def test_an_empty_image_that_is_predicted_empty_is_right() -> None:
    empty, some = np.zeros((1, 4, 4), bool), np.ones((1, 4, 4), bool)
    values = figures([count(empty, empty), count(some, some)], ["tumour"])
    assert values["iou_imagewise"] == values["iou_macro"] == 1
    values = figures([count(empty, empty), count(empty, some)], ["tumour"])
    assert values["iou_imagewise"] == 0.5, "one right, one wrong"
    assert values["iou_macro"] == 0, "over all pixels nothing was found"


def test_a_class_that_is_nowhere_and_not_predicted_is_right() -> None:
    empty, some = np.zeros((1, 4, 4), bool), np.ones((1, 4, 4), bool)
    nothing = figures([count(empty, empty)], ["bud"])
    assert nothing == dict.fromkeys(nothing, 1.0)
    both = np.concatenate([some, empty])
    assert figures([count(both, both)], ["mother", "bud"])["dice_bud"] == 1
    missed = figures([count(empty, some)], ["bud"])
    assert missed["dice_micro"] == missed["iou_bud"] == 0


def test_micro_counts_pixels_and_macro_counts_classes() -> None:
    truth = np.zeros((2, 10, 10), bool)
    truth[0, :9] = True  # a large class, found; a small one, missed
    truth[1, 9:, :5] = True
    predicted = truth.copy()
    predicted[1] = False
    values = figures([count(predicted, truth)], ["large", "small"])
    assert values["iou_macro"] == pytest.approx(0.5)
    assert values["iou_micro"] == pytest.approx(90 / 95)
    assert values["recall"] == pytest.approx(0.5)
    assert figures([], ["large"]) == {}


def test_ignored_pixels_count_neither_way() -> None:
    truth, predicted = masks(0), masks(1)
    ignored = np.zeros((9, 7), bool)
    ignored[:, :3] = True
    part = count(predicted[:, :, 3:], truth[:, :, 3:])
    whole = count(predicted, truth, ignored)
    assert (whole.tp == part.tp).all()
    assert (whole.tn == part.tn).all()
    everything = count(predicted, truth, np.ones((9, 7), bool))
    assert everything.tp.sum() + everything.tn.sum() == 0


def test_a_confusion_says_what_was_taken_for_what() -> None:
    truth, predicted = np.array([0, 1, 1, 2, 2, 2]), np.array([0, 1, 2, 2, 2, 0])
    np.testing.assert_array_equal(confusion(predicted, truth, 3), [[1, 0, 0], [0, 1, 1], [1, 0, 2]])


def test_losses_are_to_be_low_and_all_else_high() -> None:
    assert higher_is_better("dice_macro")
    assert not higher_is_better("validation_loss")
