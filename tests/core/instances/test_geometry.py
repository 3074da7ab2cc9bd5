"""Distances in objects, objects of distances, and objects joined across blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label as pieces

from default_model.crowds import crowd
from napari_clickseg.core.instances.distances import object_distances, object_parts
from napari_clickseg.core.instances.joining import Block, Joining, blocks
from napari_clickseg.core.instances.separating import (
    SeparationRules,
    numbered,
    separate,
    without_small,
)
from napari_clickseg.core.window import Box
from napari_clickseg.evaluation.matching import match

if TYPE_CHECKING:
    from collections.abc import Callable

Labels = npt.NDArray[Any]
maps = arrays(np.uint8, (9, 12), elements=st.integers(0, 3))
EIGHT = np.ones((3, 3))


def in_one_look(labels: Labels, rules: SeparationRules) -> Labels:
    return separate((labels > 0).astype(np.float32), object_distances(labels), rules)


@given(maps)
def test_distances_are_shares_that_each_piece_reaches_and_the_background_has_none(
    labels: Labels,
) -> None:
    distances, parts = object_distances(labels), object_parts(labels)
    assert distances.dtype == np.float32 and (distances[:, labels == 0] == 0).all()
    assert (distances >= 0).all() and (distances <= 1).all()
    for number in range(1, parts.max() + 1):
        assert distances[0][parts == number].max() == distances[1][parts == number].max() == 1


@given(maps, st.integers(1, 200))
def test_what_an_object_is_called_changes_no_distance(labels: Labels, far: int) -> None:
    renamed = np.where(labels > 0, labels.astype(np.int64) + far, 0)
    assert np.array_equal(object_distances(labels), object_distances(renamed))


@pytest.mark.parametrize("factor", [2, 5])
def test_distances_are_the_same_at_any_size(factor: int) -> None:
    y, x = np.mgrid[-30:31, -30:31]
    small = (np.hypot(y, x) < 20).astype(int)
    large = small.repeat(factor, 0).repeat(factor, 1)
    means = object_distances(large).reshape(2, 61, factor, 61, factor).mean(axis=(2, 4))
    assert np.abs(means - object_distances(small)).max() < 0.06


def test_the_border_of_the_image_is_no_edge() -> None:
    labels = np.zeros((11, 40), int)
    labels[:, :10] = 1
    edge = object_distances(labels)[0]
    assert (np.diff(edge[5, :10]) < 0).all() and edge[0, 0] == 1


def test_an_image_that_one_object_fills_has_its_middle_in_the_middle() -> None:
    edge, middle = object_distances(np.ones((9, 9), int))
    assert edge.argmax() == middle.argmax() == 40 and edge[0, 0] < edge[4, 4]


@pytest.mark.parametrize("seed", range(3))
def test_touching_objects_come_back_from_their_distances(seed: int) -> None:
    labels = crowd(seed, count=200)
    assert pieces(labels > 0, EIGHT)[1] < 0.6 * len(np.unique(labels))
    separated = in_one_look(labels, SeparationRules(0.1))
    assert match(separated, labels).pq > 0.95


@given(arrays(np.uint8, (2, 8, 9)), arrays(np.uint8, (8, 9)), st.floats(0, 1))
def test_all_of_the_foreground_is_some_object_and_none_leaves_its_connected_part(
    distances: Labels, foreground: Labels, height: float
) -> None:
    probability = foreground.astype(np.float32) / 255
    labels = separate(probability, distances.astype(np.float32) / 255, SeparationRules(height))
    assert np.array_equal(labels > 0, probability > 0.5)
    parts, count = pieces(probability > 0.5, EIGHT)
    assert len(np.unique(labels[labels > 0])) >= count
    for number in np.unique(labels[labels > 0]):
        assert len(np.unique(parts[labels == number])) == 1
        assert pieces(labels == number, EIGHT)[1] == 1


@given(arrays(np.uint8, (2, 8, 9)), st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_the_lower_seeds_may_be_the_more_objects_there_are(
    distances: Labels, heights: list[float]
) -> None:
    whole, low = np.ones((8, 9), np.float32), distances.astype(np.float32) / 255
    few, many = (separate(whole, low, SeparationRules(h)).max() for h in sorted(heights)[::-1])
    assert few <= many


@given(maps, st.integers(1, 12))
def test_small_objects_go_and_the_others_stay_in_reading_order(labels: Labels, least: int) -> None:
    large = without_small(labels, least)
    kept = [one for one in np.unique(labels) if one and (labels == one).sum() >= least]
    assert np.array_equal(large > 0, np.isin(labels, kept))
    first = [int(np.flatnonzero(large == n)[0]) for n in range(1, large.max() + 1)]
    assert first == sorted(first) and len(first) == len(kept)


def block_by_block(
    shape: tuple[int, int], parts: list[Block], look: Callable[[Block], Labels]
) -> Labels:
    out, joining = np.zeros(shape, np.int32), Joining(parts)
    for block in parts:
        labels = joining.add(block, look(block))
        here = block.core.shift(-block.outer.top, -block.outer.left)
        out[block.core.slices] = labels[here.slices]
    return joining.ids()[out]


@settings(max_examples=4)
@given(st.integers(0, 1000), st.integers(40, 90))
def test_objects_found_block_by_block_are_those_of_one_look(seed: int, side: int) -> None:
    labels = crowd(seed, 200, 300)
    rules, probability = SeparationRules(0.1), (labels > 0).astype(np.float32)
    distances = object_distances(labels)

    def look(block: Block) -> Labels:
        at = block.outer.slices
        return separate(probability[at], distances[:, *at], rules)

    joined = block_by_block(labels.shape, blocks(labels.shape, side, 52), look)
    assert np.array_equal(numbered(joined), numbered(separate(probability, distances, rules)))


def test_an_object_longer_than_any_margin_is_joined_and_its_neighbours_are_not() -> None:
    labels = np.zeros((60, 300), np.int32)
    labels[20:30], labels[30:40, :140], labels[30:40, 140:] = 1, 2, 3

    def look(block: Block) -> Labels:
        return numbered(labels[block.outer.slices])

    joined = block_by_block(labels.shape, blocks(labels.shape, 37, 8), look)
    assert np.array_equal(numbered(joined), numbered(labels))


@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), st.integers(1, 50), st.integers(0, 9))
def test_blocks_cover_each_pixel_once(shape: tuple[int, int], side: int, margin: int) -> None:
    count = np.zeros(shape, int)
    for block in blocks(shape, side, margin):
        count[block.core.slices] += 1
        assert max(block.core.shape) <= side and Box(0, 0, *shape).contains(block.outer)
    assert (count == 1).all()
