"""IoU and Dice: what they are of, and how they are averaged."""

import math

import numpy as np
import pytest

from napari_clickseg.evaluation.metrics import (
    Overlap,
    class_overlaps,
    iou,
    macro,
    overlap,
    summary,
)


def row(text):
    return np.array([[c == "1" for c in text]])


def test_iou_and_dice_of_a_half_overlap():
    assert iou(row("1100"), row("0110")) == pytest.approx(1 / 3)
    assert overlap(row("1100"), row("0110")).dice == pytest.approx(1 / 2)


def test_empty_mask_of_an_empty_truth_is_right():
    assert iou(row("0000"), row("0000")) == 1.0
    assert overlap(row("0000"), row("0000")).dice == 1.0


def test_anything_in_an_empty_truth_is_wrong():
    assert iou(row("0100"), row("0000")) == 0.0


def test_ignored_pixels_count_neither_way():
    assert iou(row("1111"), row("1100"), ignore=row("0011")) == 1.0
    assert overlap(row("1111"), row("1100"), row("1001")) == Overlap(1, 2, 1)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shape"):
        iou(row("11"), row("111"))


def test_imagewise_counts_images_and_pooled_counts_pixels():
    small, large = Overlap(0, 1, 1), Overlap(98, 98, 98)
    figures = summary([small, large])
    assert figures["iou_imagewise"] == pytest.approx(0.5)
    assert figures["iou_pooled"] == pytest.approx(98 / 100)
    assert figures["dice_imagewise"] == pytest.approx(0.5)
    assert figures["dice_pooled"] == pytest.approx(2 * 98 / 198)


def test_no_image_has_no_figure():
    assert all(math.isnan(value) for value in summary([]).values())
    assert all(math.isnan(value) for value in macro([]).values())


def test_macro_weighs_every_foreground_class_alike_and_leaves_background_out():
    labels = np.array([[0, 1, 1, 1, 2]])
    truth = np.array([[0, 1, 1, 1, 0]])
    counted = class_overlaps(labels, truth, (0, 1, 2))
    assert counted[1].iou == 1.0 and counted[2].iou == 0.0
    assert macro([counted])["iou_imagewise"] == pytest.approx(0.5)
