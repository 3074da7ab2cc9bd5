"""Objects are counted as a look at each id would count them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_clickseg.core.instances.counting import ObjectRegions, objects_of, pieces_of


def slowly(labels: np.ndarray, ids: list[int]) -> list[tuple[int, ...]]:
    regions = []
    for one in ids:
        rows, columns = np.nonzero(labels == one)
        box = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        regions.append((one, len(rows), *map(int, box)))
    return regions


def rows(regions: ObjectRegions) -> list[tuple[int, ...]]:
    return [
        (int(i), int(a), *map(int, b))
        for i, a, b in zip(regions.ids, regions.areas, regions.boxes, strict=True)
    ]


@pytest.mark.parametrize("largest", [9, 70_000, 2**40])
def test_every_id_is_an_object_with_its_pixels_and_its_box(largest: int) -> None:
    rng = np.random.default_rng(largest)
    labels = rng.choice([0, 0, 1, 5, largest], (40, 30)).astype(np.int64)
    objects = objects_of(labels)
    assert rows(objects) == slowly(labels, [1, 5, largest])
    assert np.array_equal(objects.keys, objects.ids)
    some = objects_of(labels[10:], corner=(10, 0), ids=[5, 77])
    assert rows(some) == slowly(np.where(np.arange(40)[:, None] < 10, 0, labels), [5])


@pytest.mark.parametrize("labels", [np.zeros((4, 5), np.uint8), np.zeros((0, 3), int)])
def test_where_nothing_is_there_is_no_object(labels: np.ndarray) -> None:
    assert len(objects_of(labels)) == len(pieces_of(labels)) == 0
    assert not len(objects_of(np.full((2, 2), -1)))


def test_pieces_are_neighbours_of_one_id_known_by_their_first_pixel() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((30, 30)) < 0.4) * rng.choice([1, 2], (30, 30))
    pieces = pieces_of(labels)
    n = sum(ndimage.label(labels == one, np.ones((3, 3)))[1] for one in (1, 2))
    assert len(pieces) == n and pieces.areas.sum() == (labels > 0).sum()
    assert np.array_equal(labels.ravel()[pieces.keys], pieces.ids)
    full = pieces_of(np.full((3, 4), 70_001))
    assert rows(full) == [(70_001, 12, 0, 0, 3, 4)] and full.keys.tolist() == [0]


def test_counting_some_anew_gives_what_counting_everything_does() -> None:
    rng = np.random.default_rng(1)
    labels = ndimage.zoom(rng.integers(0, 30, (8, 8)), 5, order=0)
    before = objects_of(labels)
    after = labels.copy()
    after[3:9, 3:9] = 99
    ids = [*np.unique(labels[3:9, 3:9]), 99]
    assert rows(before.instead(ids, objects_of(after, ids=ids))) == rows(objects_of(after))
