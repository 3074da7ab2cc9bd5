"""Carrying a mask through a stack: one plane, a range, stopped, undone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_clickseg.core.patch import Patch
from napari_clickseg.core.window import Box
from napari_clickseg.engine.carrying import innermost


def set_off(bench: Any, fake_model: Any) -> None:
    """Begin a run over five planes, and wait until it has done two."""
    fake_model.delay = 0.01
    bench.controller.propagate(5)
    bench.wait(lambda: bench.state.progress[0] >= 2)


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(0).random((6, 60, 70))


def areas(labels: Any, value: int = 1) -> list[int]:
    return [int((plane == value).sum()) for plane in np.asarray(labels)]


def go(bench: Any, last: int) -> None:
    bench.controller.propagate(last)
    bench.settle()


def at(bench: Any, plane: int) -> None:
    bench.viewer.dims.set_point(0, plane)
    bench.settle()


# ---- where the click is put


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (300, 2), (700, 900)])
def test_the_click_is_put_well_inside_the_mask(size: tuple[int, int]) -> None:
    mask = np.ones(size, bool)
    row, column = innermost(Patch.of(mask, offset=(10, 20)))
    assert abs(row - 10 - size[0] / 2) <= 3 + size[0] / 2 - min(size) / 2
    assert 0 <= row - 10 < size[0] and 0 <= column - 20 < size[1]


def test_the_click_is_on_the_mask_however_thin_it_is() -> None:
    mask = np.zeros((900, 900), bool)
    mask[np.arange(1, 900), np.arange(899)] = True
    patch = Patch.of(mask)
    row, column = innermost(patch)
    assert patch.mask[row - patch.box.top, column - patch.box.left]


# ---- one plane


def test_the_next_plane_begins_with_the_mask(bench: Any, stack: np.ndarray) -> None:
    bench.open(stack, scale=(3, 1, 1), translate=(10, 0, 0))
    bench.viewer.dims.set_point(0, 10)
    bench.click(30, 30)
    mask = bench.mask
    bench.do("propagate")
    assert bench.state.plane == 1 and bench.state.n_positive == 1
    np.testing.assert_array_equal(bench.labels[0] == 1, mask)
    assert not bench.labels[1:].any() and (bench.mask & mask).sum() > 0.9 * mask.sum()
    assert bench.state.object_id == 1, "It is the same object."
    bench.click(30, 55)
    bench.do("accept")
    assert bench.labels[1, 30, 55] == 1 and bench.state.object_id == 2


def test_going_on_is_one_step(bench: Any, stack: np.ndarray) -> None:
    bench.open(stack)
    at(bench, 2)
    bench.click(30, 30)
    bench.do("propagate")
    assert bench.state.plane == 3
    bench.do("undo")
    assert bench.state.plane == 2 and not bench.labels.any() and bench.mask[30, 30]
    bench.do("redo")
    assert bench.state.plane == 3 and bench.labels[2].any() and bench.mask[30, 30]


def test_a_plane_that_is_left_alone_gets_an_id_of_its_own(bench: Any, stack: np.ndarray) -> None:
    bench.open(stack)
    at(bench, 0)
    bench.click(30, 30)
    bench.do("propagate")
    bench.do("skip")
    assert bench.state.object_id == 2
    bench.click(30, 30)
    bench.do("accept")
    assert areas(bench.labels)[1] == 0 and areas(bench.labels, 2)[1] > 0


def test_a_class_that_is_chosen_on_the_next_plane_is_what_is_written_there(
    bench: Any, stack: np.ndarray
) -> None:
    bench.state.scheme = "classes"
    bench.open(stack)
    at(bench, 0)
    bench.click(30, 30)
    bench.do("propagate")
    bench.controller.add_class("another")
    assert bench.state.current_class.identifier == 2
    bench.do("accept")
    assert set(np.unique(bench.labels[0])) == {0, 1}
    assert set(np.unique(bench.labels[1])) == {0, 2}


def test_going_on_waits_for_the_answer(bench: Any, stack: np.ndarray, fake_model: Any) -> None:
    bench.open(stack)
    at(bench, 0)
    fake_model.gate.clear()
    bench.click(30, 30, wait=False)
    bench.do("propagate", wait=False)
    assert bench.state.plane == 0
    fake_model.gate.set()
    bench.settle()
    assert bench.state.plane == 1 and bench.labels[0].any()


def test_who_goes_on_twice_need_not_wait(bench: Any, stack: np.ndarray, fake_model: Any) -> None:
    bench.open(stack)
    at(bench, 0)
    fake_model.gate.clear()
    bench.click(30, 30, wait=False)
    for action in ("propagate", "propagate", "accept"):
        bench.do(action, wait=False)
    fake_model.gate.set()
    bench.settle()
    assert bench.state.plane == 2, bench.state.message
    assert [bool(plane.any()) for plane in bench.labels] == [True] * 3 + [False] * 3
    assert [one.plane.index[0] for one in bench.pairing.scene.objects] == [0, 1, 2]


def test_who_goes_elsewhere_himself_accepts_nothing_there(
    bench: Any, stack: np.ndarray, fake_model: Any
) -> None:
    bench.open(stack)
    at(bench, 0)
    fake_model.gate.clear()
    bench.click(30, 30, wait=False)
    bench.do("propagate", wait=False)
    bench.do("accept", wait=False)
    bench.viewer.dims.set_point(0, 4)
    fake_model.gate.set()
    bench.settle()
    assert not bench.labels.any() and "elsewhere" in bench.state.message


def test_at_the_end_and_on_flat_images_there_is_nothing_to_go_on_to(
    bench: Any, stack: np.ndarray
) -> None:
    bench.open(stack)
    at(bench, 5)
    bench.click(30, 30)
    bench.do("propagate")
    assert "last plane" in bench.state.message and not bench.labels.any()
    bench.open(stack[0])
    bench.click(30, 30)
    bench.do("propagate")
    assert "not a stack" in bench.state.message
    go(bench, 3)
    assert "one plane" in bench.state.message and not bench.labels.any()


# ---- a range


@pytest.mark.parametrize(("first", "last"), [(0, 5), (1, 3), (4, 1), (2, 2), (3, 99), (3, -9)])
def test_a_range_is_gone_through_and_is_one_step(
    bench: Any, stack: np.ndarray, first: int, last: int
) -> None:
    bench.open(stack)
    at(bench, first)
    bench.click(30, 30)
    seen: list[tuple[int, int]] = []
    bench.state.events.progress.connect(seen.append)
    go(bench, last)
    end = min(5, max(0, last))
    done = range(min(first, end), max(first, end) + 1)
    assert [area > 0 for area in areas(bench.labels)] == [plane in done for plane in range(6)]
    assert seen == [(i + 1, len(done)) for i in range(len(done))] + [(0, 0)]
    state = bench.state
    assert state.n_objects == len(done) and state.object_id == 2
    assert ("by plane" in state.message) == (len(done) > 1)
    assert state.plane == first and bench.mask is None
    after = bench.labels.copy()
    bench.do("undo")
    assert not bench.labels.any() and bench.mask[30, 30] and state.object_id == 1
    bench.do("redo")
    np.testing.assert_array_equal(bench.labels, after)
    at(bench, end)
    bench.take_up(30, 30)
    assert state.editing and state.object_id == 1 and state.n_positive == 1


def test_a_run_can_be_stopped_and_is_one_step_then_too(
    bench: Any, stack: np.ndarray, fake_model: Any
) -> None:
    bench.open(stack)
    at(bench, 0)
    bench.click(30, 30)
    set_off(bench, fake_model)
    bench.controller.cancel()
    done = sum(area > 0 for area in areas(bench.labels))
    bench.settle()
    assert sum(area > 0 for area in areas(bench.labels)) == done < 6
    state = bench.state
    assert state.progress == (0, 0) and "Stopped" in state.message and state.n_objects == done
    bench.do("undo")
    assert not bench.labels.any() and bench.mask[30, 30]
    bench.do("redo")
    assert sum(area > 0 for area in areas(bench.labels)) == done
    at(bench, done)
    assert bench.mask[30, 30] and state.object_id == 1, "The next plane is ready to be corrected."
    bench.controller.cancel()


@pytest.mark.parametrize("what", ["click", "add", "remove", "undo", "image", "model", "annotation"])
def test_whatever_the_user_does_meanwhile_ends_the_run_and_nothing_is_lost(
    bench: Any, stack: np.ndarray, fake_model: Any, what: str
) -> None:
    """The run becomes a step before that; undo leads through both, to the very beginning."""
    other = bench.open(stack[0])
    image = bench.open(stack)
    at(bench, 0)
    beginning = bench.pairing.scene
    bench.click(30, 30)
    clicked = bench.pairing.scene
    set_off(bench, fake_model)
    pairing = bench.pairing
    if what == "click":
        bench.click(50, 60, wait=False)
    elif what == "add":
        pairing.positive.add([0, 50, 60])
    elif what == "remove":
        pairing.positive.selected_data = {0}
        pairing.positive.remove_selected()
    elif what == "image":
        bench.viewer.layers.selection.active = other
        bench.viewer.layers.selection.active = image
    elif what == "model":
        bench.controller.load_model()
    elif what == "annotation":
        bench.viewer.layers.remove(bench.state.annotation)
    else:
        bench.do(what, wait=False)
    assert bench.state.progress == (0, 0)
    bench.settle()
    for points, positive in ((pairing.positive, True), (pairing.negative, False)):
        wanted = [m.position for m in pairing.scene.marks if m.positive == positive]
        assert [tuple(row) for row in points.data] == wanted
    if what in ("click", "add"):
        assert (0.0, 50.0, 60.0) in [m.position for m in pairing.scene.marks]
        bench.do("undo")
    if what == "remove":
        assert not len(pairing.positive.data)
        bench.do("undo")
    if what == "annotation":
        assert not bench.state.can_undo
        return
    if what != "undo":
        assert bench.labels.any()
        bench.do("undo")
    assert pairing.scene == clicked and not bench.labels.any()
    bench.do("undo")
    assert pairing.scene == beginning


def test_a_run_stops_where_the_object_ends(
    make_bench: Any, bright_segmenter: Any, stack: np.ndarray
) -> None:
    data = np.zeros((5, 60, 70))
    data[:, 0, 0] = 1  # the range of intensities is that of the plane
    data[:3, 20:40, 20:40] = 1
    bench = make_bench(model=None, load=lambda *_: bright_segmenter())
    bench.open(data)
    bench.state.keep_clicked = True
    at(bench, 0)
    bench.click(30, 30)
    go(bench, 4)
    assert [area > 0 for area in areas(bench.labels)] == [True, True, True, False, False]
    assert "plane 3" in bench.state.message and bench.state.plane == 3


def test_a_run_that_fails_keeps_what_it_did(
    bench: Any, stack: np.ndarray, fake_model: Any, notifications: list[str]
) -> None:
    bench.open(stack)
    at(bench, 0)
    bench.click(30, 30)
    set_off(bench, fake_model)
    fake_model.error = RuntimeError("boom")
    bench.settle()
    done = sum(area > 0 for area in areas(bench.labels))
    assert 2 <= done < 6 and len(notifications) == 1 and bench.state.progress == (0, 0)
    assert not bench.state.busy
    fake_model.error = None
    bench.do("undo")
    assert not bench.labels.any()


def test_a_plane_without_room_stops_the_run(bench: Any, stack: np.ndarray) -> None:
    bench.open(stack)
    bench.labels[2] = 9
    at(bench, 0)
    bench.click(30, 30)
    go(bench, 5)
    assert "overwrite" in bench.state.message and bench.state.progress == (0, 0)
    assert [area > 0 for area in areas(bench.labels)] == [True, True] + 4 * [False]


def test_choosing_another_id_or_class_meanwhile_does_not_touch_the_run(
    bench: Any, stack: np.ndarray, fake_model: Any
) -> None:
    bench.open(stack)
    at(bench, 0)
    bench.click(30, 30)
    set_off(bench, fake_model)
    bench.state.scheme = "classes"
    bench.controller.add_class("bud")
    at(bench, 4)
    bench.settle()
    assert all(areas(bench.labels)) and set(np.unique(bench.labels)) == {0, 1}


def test_going_through_again_replaces_the_object_on_every_plane(
    bench: Any, stack: np.ndarray
) -> None:
    bench.open(stack)
    at(bench, 0)
    bench.click(30, 30)
    go(bench, 5)
    before = bench.labels.copy()
    bench.take_up(30, 30)
    bench.click(30, 60)
    go(bench, 5)
    assert bench.state.n_objects == 6 and not np.array_equal(bench.labels, before)
    for one in bench.pairing.scene.objects:
        there = bench.labels[one.plane.index[0]] == 1
        np.testing.assert_array_equal(there, one.patch.cut(Box(0, 0, 60, 70)))
    bench.do("undo")
    np.testing.assert_array_equal(bench.labels, before)


def test_the_last_stepped_axis_is_the_one_that_is_walked(bench: Any) -> None:
    """(T, Z, Y, X): through Z, at the displayed time; channels are left out."""
    bench.open(np.random.default_rng(0).random((3, 4, 60, 70)))
    bench.viewer.dims.set_point(0, 1)
    bench.viewer.dims.set_point(1, 0)
    bench.settle()
    assert bench.state.planes == 4
    bench.click(30, 30)
    go(bench, 3)
    assert bench.labels[1].any(axis=(1, 2)).all() and not bench.labels[[0, 2]].any()


def test_a_turned_view_is_walked_along_its_own_axis(bench: Any) -> None:
    bench.open(np.random.default_rng(0).random((60, 5, 70)))
    bench.viewer.dims.order = (1, 0, 2)
    bench.viewer.dims.set_point(1, 0)
    bench.settle()
    assert bench.state.planes == 5
    bench.click(30, 30)
    go(bench, 4)
    assert bench.labels.any(axis=(0, 2)).all()
