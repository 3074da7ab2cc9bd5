"""What lies between two planes: objects that are the same, and shapes on the way."""

from __future__ import annotations

import numpy as np
import pytest

from napari_clickseg.core.instances.shape_interpolation import interpolated, overlapping_most
from napari_clickseg.core.patch import Patch


def disk(y: float, x: float, radius: float) -> Patch:
    rows, columns = np.indices((120, 120))
    return Patch.of((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


def whole(patch: Patch) -> np.ndarray:
    out = np.zeros((120, 120), bool)
    out[patch.box.slices] = patch.mask
    return out


SHAPES = (disk(30, 40, 9), disk(80, 70, 21), Patch.of(np.eye(7), offset=(20, 30)))


@pytest.mark.parametrize("first", SHAPES)
@pytest.mark.parametrize("last", SHAPES)
def test_at_its_ends_it_is_what_is_there(first: Patch, last: Patch) -> None:
    assert interpolated(first, last, 0) == first
    assert interpolated(first, last, 1) == last


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_between_disks_lies_a_disk_whose_middle_and_radius_are_on_the_way(share: float) -> None:
    first, last = disk(30, 40, 8), disk(80, 70, 20)  # which do not even touch
    between = interpolated(first, last, share)
    expected = disk(30 + share * 50, 40 + share * 30, 8 + share * 12)
    common = (whole(between) & whole(expected)).sum()
    assert common / (whole(between) | whole(expected)).sum() > 0.9


def test_between_a_shape_and_itself_it_stays() -> None:
    assert all(interpolated(one, one, share) == one for one in SHAPES for share in (0.3, 0.5))


def test_objects_that_overlap_most_are_one_and_each_is_paired_once() -> None:
    first, last = np.zeros((30, 40), int), np.zeros((30, 40), int)
    first[5:15, 5:15], first[5:15, 15:25], first[20:25, 30:35] = 4, 2, 9
    last[5:15, 8:18], last[6:16, 18:27], last[0:3, 0:3] = 7, 5, 1
    assert overlapping_most(first, last) == [(2, 5), (4, 7)]
    assert overlapping_most(first, np.zeros_like(last)) == []
    assert overlapping_most(first, last, least=0.6) == []
