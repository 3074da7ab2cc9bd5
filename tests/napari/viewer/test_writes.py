"""Writing objects into labels of every kind, and taking them back without losing paint."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Labels

from napari_clickseg._napari.viewer.layers import empty_pyramid
from napari_clickseg._napari.viewer.writes import (
    AnnotationError,
    LabelWrite,
    check_writable,
    read_labels,
)
from napari_clickseg.core.masks import plan_commit
from napari_clickseg.core.plane import Plane
from napari_clickseg.core.window import Box

PLANE = Plane((0, 1), (0, 0), (20, 30))


def write_of(layer: Labels, plane: Plane, box: Box, mask: np.ndarray, value: int) -> LabelWrite:
    labels = read_labels(layer, plane, box)
    changed, values = plan_commit(labels, mask, value, "overwrite")
    return LabelWrite.of(plane, box, labels, changed, values)


def disc(size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.asarray(y**2 + x**2 <= size**2 / 4)


@pytest.mark.parametrize("kind", [np.asarray, zarr.array])
def test_what_is_written_can_be_taken_back(kind: Any) -> None:
    data = np.zeros((20, 30), np.uint16)
    data[:6, :6] = 7
    layer = Labels(kind(data.copy()))
    write = write_of(layer, PLANE, Box(2, 3, 9, 9), disc(9), 2)
    write.apply(layer)
    expected = data.copy()
    expected[2:11, 3:12][disc(9)] = 2
    np.testing.assert_array_equal(layer.data, expected)
    write.revert(layer)
    np.testing.assert_array_equal(layer.data, data)
    write.apply(layer)
    np.testing.assert_array_equal(layer.data, expected)


def test_a_write_is_one_step_of_naparis_own_undo() -> None:
    layer = Labels(np.zeros((20, 30), np.uint16))
    write = write_of(layer, PLANE, Box(2, 3, 9, 9), disc(9), 2)
    write.apply(layer)
    assert layer.data.any()
    layer.undo()
    assert not layer.data.any()
    layer.redo()
    assert (layer.data == 2).sum() == disc(9).sum()


def test_what_was_painted_since_is_kept_by_undo_and_by_redo() -> None:
    layer = Labels(np.zeros((20, 30), np.uint16))
    write = write_of(layer, PLANE, Box(0, 0, 9, 9), np.ones((9, 9), bool), 2)
    write.apply(layer)
    layer.data[4, :] = 5  # painted over it
    write.revert(layer)
    assert set(np.unique(layer.data)) == {0, 5} and (layer.data[4] == 5).all()
    layer.data[7, :] = 6
    write.apply(layer)
    assert (layer.data[4] == 5).all() and (layer.data[7] == 6).all()
    assert (layer.data[0, :9] == 2).all()


def test_only_its_plane_is_written() -> None:
    layer = Labels(np.zeros((3, 4, 20, 30), np.uint16))
    plane = Plane((1, 3), (2, 0, 5, 0), (4, 30))
    write_of(layer, plane, Box(1, 2, 2, 3), np.ones((2, 3), bool), 9).apply(layer)
    expected = np.zeros((3, 4, 20, 30), int)
    expected[2, 1:3, 5, 2:5] = 9
    np.testing.assert_array_equal(layer.data, expected)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
@pytest.mark.parametrize("contour", [0, 2])
def test_what_is_drawn_of_a_pyramid_is_what_napari_would_load(
    order: tuple[int, ...], contour: int
) -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(empty_pyramid((3, 5000, 4097), (1, 2)), multiscale=True)
    viewer.dims.order, layer.contour = order, contour
    viewer.dims.set_current_step(0, 1)
    drawn: list[Any] = []
    layer.events.labels_update.connect(lambda event: drawn.append(event.data.shape))
    random = np.random.default_rng(0)
    for zoom, corner in ((1.0, 1000), (0.5, 700), (0.02, 0)):
        seen = np.array([[corner, corner], [corner + 800 / zoom, corner + 600 / zoom]])
        layer._update_draw(1 / zoom, seen, (600, 800))
        for at, index in ((990, 1), (1200, 1), (3000, 1), (1200, 2)):
            plane = Plane((1, 2), (index, 0, 0), (5000, 4097))
            mask = random.random((210, 180)) < 0.9
            write_of(layer, plane, Box(at, at, 210, 180), mask, index + 2).apply(layer)
            raw, view = layer._slice.image.raw.copy(), layer._slice.image.view.copy()
            layer.refresh()
            np.testing.assert_array_equal(raw, layer._slice.image.raw)
            np.testing.assert_array_equal(view, layer._slice.image.view)
    assert drawn and max(np.prod(shape) for shape in drawn) < 300 * 300, "more was drawn"


def test_objects_far_from_each_other_are_written_without_what_lies_between() -> None:
    layer = Labels(empty_pyramid((100_000, 100_000), (0, 1)), multiscale=True)
    plane = Plane((0, 1), (0, 0), (100_000, 100_000))
    rows, columns = np.array([5, 5, 99_990]), np.array([7, 99_999, 3])
    write = LabelWrite.at(plane, rows, columns, np.zeros(3, int), np.array([1, 2, 3]))
    write.apply(layer)
    assert [int(layer.data[0][y, x]) for y, x in zip(rows, columns, strict=True)] == [1, 2, 3]
    assert layer.data[0].store.nbytes < 64 << 20
    write.revert(layer)
    assert not any(layer.data[0][y, x] for y, x in zip(rows, columns, strict=True))


@given(st.integers(0, 2**32), st.integers(1, 90))
def test_a_write_holds_what_changed_pixel_by_pixel_and_so_do_its_parts(
    seed: int, most: int
) -> None:
    random = np.random.default_rng(seed)
    box = Box(*map(int, random.integers(0, 9, 2)), *map(int, random.integers(1, 11, 2)))
    labels, values = random.integers(0, 3, (2, *box.shape))
    changed = random.random(box.shape) < random.random()
    write = LabelWrite.of(PLANE, box, labels, changed, values)
    rows, columns = np.nonzero(changed)
    order = random.permutation(rows.size)
    at = (rows[order] + box.top, columns[order] + box.left)
    other = LabelWrite.at(PLANE, *at, labels[changed][order], values[changed][order])
    for one in ([write], [other], list(write.parts(most))):
        assert all(part.runs.size <= most for part in one) or one in ([write], [other])
        pixels = [part.pixels for part in one]
        np.testing.assert_array_equal(np.concatenate([p[0] for p in pixels]), rows + box.top)
        np.testing.assert_array_equal(np.concatenate([p[1] for p in pixels]), columns + box.left)
        np.testing.assert_array_equal(np.concatenate([p.old for p in one]), labels[changed])
        np.testing.assert_array_equal(np.concatenate([p.new for p in one]), values[changed])
    if rows.size:
        assert write.box == Box.of_mask(changed).shift(box.top, box.left)
    assert write.largest == values[changed].max(initial=0)


@pytest.mark.parametrize("plane", [
    Plane((0, 1), (0, 0), (5000, 4097)),
    Plane((1, 2), (2, 0, 0), (5000, 4097)),
    Plane((0, 2), (0, 1, 0), (5000, 4097)),
])  # fmt: skip
def test_all_levels_of_a_pyramid_are_written_and_taken_back(plane: Plane) -> None:
    """Every level shows what the finest one has at the nearest pixel, on that plane alone."""
    shape = [3] * len(plane.index)
    for axis, n in zip(plane.axes, plane.shape, strict=True):
        shape[axis] = n
    layer = Labels(empty_pyramid(tuple(shape), plane.axes), multiscale=True)
    assert len(layer.data) == 5
    random = np.random.default_rng(0)
    for top, left, height, width in ((0, 0, 1, 1), (4000, 4000, 997, 97), (17, 33, 200, 301)):
        write = write_of(layer, plane, Box(top, left, height, width),
                         random.random((height, width)) < 0.9, 3)  # fmt: skip
        write.apply(layer)
        fine = np.asarray(layer.data[0][plane.key(slice(None), slice(None))])
        assert fine.any()
        for level in layer.data[1:]:
            rows, columns = (
                np.floor((np.arange(n) + 0.5) * full / n).astype(int)
                for n, full in zip(
                    (level.shape[axis] for axis in plane.axes), plane.shape, strict=True
                )
            )
            there = np.asarray(level[plane.key(slice(None), slice(None))])
            np.testing.assert_array_equal(there, fine[np.ix_(rows, columns)])
            assert np.count_nonzero(level[:]) == np.count_nonzero(there), "another plane"
        write.revert(layer)
        assert not any(level[:].any() for level in layer.data)


def read_only() -> Labels:
    data = np.zeros((20, 30), np.uint16)
    data.setflags(write=False)
    return Labels(data, name="mine")


def not_editable() -> Labels:
    layer = Labels(np.zeros((20, 30), np.uint16), name="mine")
    layer.editable = False
    return layer


def read_only_zarr() -> Labels:
    group = zarr.create_array({}, shape=(20, 30), dtype="uint16")
    return Labels(zarr.open_array(group.store, mode="r"), name="mine")


@pytest.mark.parametrize(
    ("layer", "value", "words"),
    [
        (read_only, 1, ("mine", "read-only", "make a new one")),
        (not_editable, 1, ("mine", "locked against editing", "editable")),
        (read_only_zarr, 1, ("mine", "read-only", "make a new one")),
        (lambda: Labels(da.zeros((20, 30), dtype=int), name="mine"), 1, ("mine", "read-only")),
        (lambda: Labels(np.zeros((20, 30), np.uint8), name="mine"), 256,
         ("256", "mine", "uint8", "255", "convert")),
        (lambda: Labels(np.zeros((20, 30), np.int8), name="mine"), 128, ("128", "int8", "127")),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_in_one_line(
    layer: Any, value: int, words: tuple[str, ...]
) -> None:
    with pytest.raises(AnnotationError) as caught:
        check_writable(layer(), value)
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)


def test_what_can_be_written_is_not_refused() -> None:
    check_writable(Labels(np.zeros((20, 30), np.uint8)), 255)
    check_writable(Labels(zarr.zeros((20, 30), dtype="uint16")), 255)
    check_writable(Labels(empty_pyramid((5000, 3000), (0, 1)), multiscale=True), 65535)
