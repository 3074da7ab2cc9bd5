from __future__ import annotations

import time

import numpy as np
import pytest
import shapely
from hypothesis import given

from napari_clickseg.formats.shapes.filling import filled
from napari_clickseg.formats.shapes.outlines import area, joined, outlines
from tests.formats.label_maps import full, hard_labels, label_maps


@given(label_maps)
def test_outlines_enclose_exactly_the_pixels_of_their_object(labels):
    by_id = dict(outlines(labels))
    assert list(by_id) == [int(one) for one in np.unique(labels) if one]
    for identifier, pieces in by_id.items():
        rings = [ring for piece in pieces for ring in piece.rings]
        mask = labels == identifier
        assert (full(filled(rings, labels.shape), labels.shape) == mask).all()
        assert (full(filled([joined(rings)], labels.shape), labels.shape) == mask).all()


@given(label_maps)
def test_shapely_takes_each_object_for_a_valid_area_of_as_many_pixels(labels):
    for identifier, pieces in outlines(labels):
        shape = shapely.MultiPolygon([(p.exterior, list(p.holes)) for p in pieces])
        assert shapely.is_valid(shape), shapely.is_valid_reason(shape)
        assert shape.area == (labels == identifier).sum()


@given(label_maps)
def test_exteriors_run_clockwise_and_holes_the_other_way(labels):
    for _, pieces in outlines(labels):
        assert all(area(piece.exterior) > 0 for piece in pieces)
        assert all(area(hole) < 0 for piece in pieces for hole in piece.holes)


def test_a_corner_is_where_an_outline_turns_and_nowhere_else():
    (one,) = dict(outlines(np.ones((50, 70), np.uint8)))[1]
    assert one.exterior.tolist() == [[0, 0], [70, 0], [70, 50], [0, 50]]


def test_pieces_in_holes_of_other_pieces_keep_their_own_holes():
    labels = np.zeros((30, 30), np.uint8)
    for margin, value in ((1, 5), (4, 0), (7, 5), (10, 0), (13, 5)):
        labels[margin : 30 - margin, margin : 30 - margin] = value
    labels[2, 2] = 0
    pieces = dict(outlines(labels))[5]
    assert sorted(len(piece.holes) for piece in pieces) == [0, 1, 2]


def test_an_image_is_traced_the_same_in_strips(monkeypatch):
    from napari_clickseg.formats.shapes import outlines as module

    def traced():
        return [
            (i, [[ring.tolist() for ring in piece.rings] for piece in pieces])
            for i, pieces in outlines(hard_labels())
        ]

    whole = traced()
    monkeypatch.setattr(module, "_STRIP", 200)
    monkeypatch.setattr(module, "_BATCH", 9)
    assert traced() == whole


def test_no_label_gives_no_outline():
    assert not list(outlines(np.zeros((7, 5), np.uint8)))


@pytest.mark.slow
def test_a_hundred_thousand_objects_are_traced_within_half_a_minute():
    labels = np.zeros((4096, 4096), np.uint32)
    at = np.arange(316)
    rows, columns = np.meshgrid(at * 12 + 2, at * 12 + 2, indexing="ij")
    ids = np.arange(316 * 316, dtype=np.uint32).reshape(316, 316) * 3 + 1
    for dy in range(9):
        for dx in range(9):
            labels[rows + dy, columns + dx] = ids
    begin = time.monotonic()
    assert sum(len(pieces) for _, pieces in outlines(labels)) == 316 * 316
    assert time.monotonic() - begin < 30
