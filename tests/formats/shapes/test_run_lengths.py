from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from pycocotools import mask as coco_masks

from napari_clickseg.formats.shapes.filling import MaskPart, filled, united
from napari_clickseg.formats.shapes.run_lengths import packed, part_of, runs_of, unpacked
from tests.formats.label_maps import full, label_maps


@given(label_maps)
def test_runs_are_those_of_pycocotools_and_come_back_as_the_mask(labels):
    mask = labels > 1
    text = packed(runs_of(MaskPart(0, 0, mask), mask.shape))
    theirs = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert text == theirs["counts"].decode()
    assert (full(part_of(unpacked(text), mask.shape), mask.shape) == mask).all()


@pytest.mark.parametrize("text", ["", "å", "0P", "\n", "oooooooooooooooooo0"])
def test_a_text_that_holds_no_runs_is_refused(text):
    with pytest.raises(ValueError, match=r"runs"):
        unpacked(text)


@pytest.mark.parametrize("counts", [[5], [3, -1, 10], [6, 7]])
def test_runs_of_another_image_are_refused(counts):
    with pytest.raises(ValueError, match="not those of an image"):
        part_of(np.array(counts), (3, 4))


def test_a_pixel_is_inside_where_its_centre_is():
    ring = np.array([[0.6, 0.6], [3.4, 0.6], [3.4, 2.6], [0.6, 2.6]])
    part = filled([ring], (5, 5))
    assert (part.top, part.left, part.mask.shape) == (1, 1, (2, 2))
    assert part.mask.all()


def test_what_reaches_beyond_the_image_is_cut_there():
    ring = np.array([[-5.0, -5.0], [50.0, -5.0], [50.0, 2.0], [-5.0, 2.0]])
    assert (full(filled([ring], (4, 6)), (4, 6)) == [[True] * 6] * 2 + [[False] * 6] * 2).all()


def test_parts_are_united_wherever_they_lie():
    parts = [MaskPart(1, 1, np.ones((2, 2), bool)), MaskPart(0, 3, np.ones((1, 2), bool))]
    assert full(united(parts), (4, 6)).sum() == 6
    assert united([]).mask.size == 0
