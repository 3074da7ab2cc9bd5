"""Which plane is displayed, and reading it without reading the rest."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_clickseg._napari.viewer.planes import (
    PlaneData,
    displayed_plane,
    plane_data,
    walking_axis,
)
from napari_clickseg.core.plane import Plane

STACK = np.arange(3 * 4 * 5 * 6).reshape(3, 4, 5, 6)


def shown(data: Any, channel_axis: int | None = None, **options: Any) -> tuple[Any, Any]:
    viewer = ViewerModel()
    return viewer, viewer.add_image(data, **options)


def test_a_flat_image_has_one_plane() -> None:
    viewer, image = shown(np.zeros((5, 6)))
    assert displayed_plane(viewer.dims, image) == Plane((0, 1), (0, 0), (5, 6))
    assert walking_axis(viewer.dims, image, None) is None


def test_the_slider_chooses_the_plane_of_a_stack() -> None:
    viewer, image = shown(np.zeros((7, 5, 6)))
    viewer.dims.set_point(0, 3)
    assert displayed_plane(viewer.dims, image) == Plane((1, 2), (3, 0, 0), (5, 6))
    assert walking_axis(viewer.dims, image, None) == 0


def test_channels_are_no_part_of_a_plane() -> None:
    viewer, image = shown(STACK)
    for step in range(4):
        viewer.dims.set_point(1, step)
        viewer.dims.set_point(0, 2)
        assert displayed_plane(viewer.dims, image, 1) == Plane((2, 3), (2, 0, 0, 0), (5, 6))
    assert walking_axis(viewer.dims, image, 1) == 0
    assert walking_axis(viewer.dims, image, None) == 1


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 1, 3, 2), (2, 0, 1, 3), (3, 2, 1, 0)])
def test_axes_are_those_of_the_data_however_they_are_turned(order: tuple[int, ...]) -> None:
    """A transposed view shows the same plane: y and x stay in the order of the data."""
    viewer, image = shown(STACK)
    viewer.dims.order = order
    for axis, step in enumerate((1, 2, 3, 4)):
        viewer.dims.set_point(axis, step)
    plane = displayed_plane(viewer.dims, image)
    axes = tuple(sorted(order[-2:]))
    index = tuple(0 if axis in axes else axis + 1 for axis in range(4))
    assert plane == Plane(axes, index, (STACK.shape[axes[0]], STACK.shape[axes[1]]))
    expected = STACK[tuple(slice(None) if a in axes else index[a] for a in range(4))]
    np.testing.assert_array_equal(plane_data(image, plane, None)[0][:], expected)


def test_a_layer_with_fewer_axes_than_the_viewer_is_there_on_every_plane() -> None:
    viewer, image = shown(np.zeros((5, 6)))
    viewer.add_image(np.zeros((9, 5, 6)))
    for step in (0, 4, 8):
        viewer.dims.set_point(0, step)
        assert displayed_plane(viewer.dims, image) == Plane((0, 1), (0, 0), (5, 6))
    viewer.dims.order = (1, 0, 2)  # the flat image is not what is displayed now
    assert displayed_plane(viewer.dims, image) is None


@pytest.mark.parametrize(("scale", "translate"), [(0.3, 0), (2.5, -7), (4, 1e3), (1e-3, 5)])
def test_the_stepped_axis_may_be_scaled_and_moved(scale: float, translate: float) -> None:
    viewer, image = shown(np.zeros((7, 5, 6)), scale=(scale, 1, 1), translate=(translate, 0, 0))
    for step in range(7):
        viewer.dims.set_point(0, translate + scale * step)
        plane = displayed_plane(viewer.dims, image)
        assert plane is not None and plane.index == (step, 0, 0)


def test_beyond_the_ends_nothing_is_displayed() -> None:
    viewer, image = shown(np.zeros((3, 5, 6)))
    viewer.add_image(np.zeros((9, 5, 6)))
    viewer.dims.set_point(0, 2)
    assert displayed_plane(viewer.dims, image) is not None
    viewer.dims.set_point(0, 3)
    assert displayed_plane(viewer.dims, image) is None


def test_in_3d_no_plane_is_displayed() -> None:
    viewer, image = shown(np.zeros((3, 5, 6)))
    viewer.dims.ndisplay = 3
    assert displayed_plane(viewer.dims, image) is None


def test_displayed_channels_are_no_plane() -> None:
    viewer, image = shown(np.zeros((3, 5, 6)))
    assert displayed_plane(viewer.dims, image, 2) is None


def test_a_plane_knows_which_positions_lie_on_it() -> None:
    plane = Plane((1, 2), (3, 0, 0), (5, 6))
    assert plane.position(1.5, 2) == (3.0, 1.5, 2.0)
    assert plane.locate((3.4, 1.5, 2)) == (1.5, 2.0)
    assert plane.locate((4, 1.5, 2)) is None
    assert plane.locate((3, np.nan, 2)) is None
    assert plane.stepped(0, -1).index == (2, 0, 0)


def test_the_step_is_seen_the_way_napari_sees_it_in_other_units() -> None:
    """napari converts units: a stack in µm beside one in nm is stepped through in nm."""
    viewer, image = shown(np.zeros((7, 5, 6)), scale=(2, 1, 1), units=("um", "um", "um"))
    viewer.add_image(np.zeros((7, 5, 6)), scale=(50, 9, 9), units=("nm", "nm", "nm"))
    viewer.dims.set_point(0, 4000)
    plane = displayed_plane(viewer.dims, image)
    assert plane is not None and plane.index == (2, 0, 0)


class Reads:
    """An array that notes how many pixels were read."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype, self.ndim = data, data.shape, data.dtype, data.ndim
        self.read = 0

    def __getitem__(self, key: Any) -> np.ndarray:
        out = np.asarray(self.data[key])
        self.read += out.size
        return out


def test_only_what_is_asked_for_is_read() -> None:
    data = Reads(STACK)
    plane = PlaneData(data, Plane((1, 3), (2, 0, 3, 0), (4, 6)), (2, 0, 3, 0), None)
    part = plane[1:3, 2:5]
    np.testing.assert_array_equal(part, STACK[2, 1:3, 3, 2:5])
    assert data.read == part.size


@st.composite
def _planes(draw: st.DrawFn) -> tuple[tuple[int, ...], Plane, int | None]:
    ndim = draw(st.integers(2, 4))
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=ndim, max_size=ndim)))
    axes = sorted(draw(st.permutations(range(ndim)))[:2])
    others = [axis for axis in range(ndim) if axis not in axes]
    channel = draw(st.sampled_from([None, *others]))
    index = tuple(
        draw(st.integers(0, n - 1)) if axis in others and axis != channel else 0
        for axis, n in enumerate(shape)
    )
    return shape, Plane((axes[0], axes[1]), index, (shape[axes[0]], shape[axes[1]])), channel


@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr"])
@given(case=_planes(), cut=st.tuples(*[st.integers(0, 6)] * 4), step=st.integers(1, 3))
def test_a_plane_reads_like_numpy(kind: str, case: Any, cut: Any, step: int) -> None:
    """Whatever the axes and wherever the channels are: (Y, X) or (Y, X, C) of that plane."""
    shape, plane, channel = case
    data = np.arange(np.prod(shape)).reshape(shape)
    lazy = {"numpy": np.asarray, "dask": da.from_array, "zarr": zarr.array}[kind](data)
    rows, columns = slice(cut[0], cut[0] + cut[1], step), slice(cut[2], cut[2] + cut[3], step)
    key: list[Any] = list(plane.index)
    key[plane.axes[0]] = key[plane.axes[1]] = slice(None)
    order = list(plane.axes)
    if channel is not None:
        key[channel] = slice(None)
        order.append(channel)
    kept = sorted(order)
    expected = data[tuple(key)].transpose([kept.index(axis) for axis in order])
    shown = PlaneData(lazy, plane, plane.index, channel)
    assert shown.shape == expected.shape and shown.dtype == data.dtype
    np.testing.assert_array_equal(shown[rows, columns], expected[rows, columns])
    np.testing.assert_array_equal(shown[rows], expected[rows])


def test_colours_come_as_channels() -> None:
    data = np.arange(3 * 5 * 6 * 4, dtype=np.uint8).reshape(3, 5, 6, 4)
    viewer, image = shown(data, rgb=True)
    viewer.dims.set_point(0, 1)
    plane = displayed_plane(viewer.dims, image)
    assert plane == Plane((1, 2), (1, 0, 0), (5, 6))
    np.testing.assert_array_equal(plane_data(image, plane, None)[0][1:3, :], data[1, 1:3])


def test_every_level_of_a_pyramid_is_read_at_its_own_step() -> None:
    """Where a pyramid is coarser along the stack as well, the step is the nearest one there."""
    fine = np.arange(4 * 8 * 8).reshape(4, 8, 8)
    viewer, image = shown([fine, fine[::2, ::2, ::2]], multiscale=True)
    viewer.dims.set_point(0, 3)
    plane = displayed_plane(viewer.dims, image)
    assert plane is not None and plane.shape == (8, 8)
    levels = plane_data(image, plane, None)
    np.testing.assert_array_equal(levels[0][:], fine[3])
    np.testing.assert_array_equal(levels[1][:], fine[2, ::2, ::2])
    assert [level.shape for level in levels] == [(8, 8), (4, 4)]
