from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from default_model.composed import compose


def images(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a smooth ground, a rough image of another size and an L-shaped object of it."""
    ground = ndimage.gaussian_filter(rng.normal(0, 1, (3, 90, 120)), (0, 8, 8))
    ground = (120 + 400 * ground).clip(0, 255).astype(np.uint8)
    other = rng.integers(0, 255, (3, 70, 60), np.uint8)
    mask = np.zeros((70, 60), bool)
    mask[10:50, 10:20] = mask[40:50, 10:50] = True
    return ground, other, mask


@pytest.mark.parametrize("seed", range(40))
def test_objects_are_where_the_image_changed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ground, other, mask = images(rng)
    before = ground.copy(), other.copy(), mask.copy()
    image, labels = compose(ground, other, mask, rng)
    for now, then in zip((ground, other, mask), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert (image.shape, image.dtype) == (ground.shape, np.uint8)
    assert (labels.shape, labels.dtype) == ((90, 120), np.int32)
    changed = np.abs(image.astype(int) - ground).max(0)
    for identifier in np.unique(labels)[1:]:
        assert changed[labels == identifier].mean() >= 10
    if (labels > 0).any():
        far = ndimage.distance_transform_edt(labels == 0) > 12
        within = changed[labels > 0].mean()
        # Objects that can't be seen are left out of the labels, and the whole may be blurred.
        assert not far.any() or np.median(changed[far]) < within


def test_the_same_seed_makes_the_same_image() -> None:
    ground, other, mask = images(np.random.default_rng(0))
    one, two = (compose(ground, other, mask, np.random.default_rng(7)) for _ in range(2))
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)


def test_outlines_come_from_objects_and_from_drawings() -> None:
    """The L fills its box by 0.44, whatever its size and turn; drawn shapes hardly ever do."""
    filled = []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        _, labels = compose(*images(rng), rng)
        for identifier, box in enumerate(ndimage.find_objects(labels), 1):
            if box is None:
                continue
            rows, columns = box
            at_edge = 0 in (rows.start, columns.start) or rows.stop == 90 or columns.stop == 120
            if not at_edge and (labels[box] == identifier).sum() > 80:
                filled.append((labels[box] == identifier).mean())
    like_the_object = np.abs(np.array(filled) - 0.4375) < 0.06
    assert 10 < like_the_object.sum() < len(filled) - 10


@pytest.mark.parametrize("shape", [(8, 300), (300, 8), (4, 4)])
def test_any_shape_of_ground_will_do(shape: tuple[int, int]) -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        _, other, mask = images(rng)
        ground = rng.integers(0, 255, (3, *shape), np.uint8)
        image, labels = compose(ground, other, mask, rng)
        assert image.shape == ground.shape
        assert labels.shape == shape
