"""Label maps as they come: objects that touch, with holes, in pieces, with ids that leave gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

IDS = (0, 0, 0, 1, 2, 7, 40_000)

label_maps: st.SearchStrategy[npt.NDArray[np.uint16]] = hnp.array_shapes(
    min_dims=2, max_dims=2, min_side=1, max_side=11
).flatmap(lambda shape: hnp.arrays(np.uint16, shape, elements=st.sampled_from(IDS)))


def full(part: Any, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return the pixels of a part in an image of a shape."""
    mask = np.zeros(shape, bool)
    mask[part.key] = part.mask
    return mask


def hard_labels() -> npt.NDArray[np.uint16]:
    """Return objects with a hole, in pieces, touching one another and the border."""
    labels = np.zeros((60, 81), np.uint16)
    labels[5:20, 5:20] = 3
    labels[8:12, 8:12] = 0
    labels[9:11, 9:11] = 7  # within the hole
    labels[20:30, 5:20] = 12  # touches 3
    labels[40:50, 40:50] = labels[50:55, 50:60] = 300  # in pieces that touch at a corner
    labels[59, 80] = labels[0, 80] = 40_000  # at the border, in pieces of a pixel
    labels[30, 30:60] = 41
    return labels
