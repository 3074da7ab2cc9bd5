"""Planes between two that are annotated are filled in by shape; ids go on through the stack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


@pytest.fixture
def stack(bench: Any) -> Any:
    """A stack of nine planes that is set up."""
    bench.open(np.random.default_rng(0).integers(0, 255, (9, 90, 100)).astype(np.uint8))
    return bench


def at(bench: Any, plane: int) -> None:
    bench.viewer.dims.set_point(0, plane)
    bench.settle()


def accept(bench: Any, plane: int, *places: tuple[int, int]) -> None:
    at(bench, plane)
    for place in places:
        bench.click(*place)
        bench.do("accept")


def areas(bench: Any, value: int) -> list[int]:
    return [int((plane == value).sum()) for plane in np.asarray(bench.labels)]


def test_gaps_are_filled_with_the_id_of_the_plane_before_as_one_step(stack: Any) -> None:
    accept(stack, 1, (40, 40))
    accept(stack, 6, (44, 46))
    before = np.array(stack.labels)
    assert set(np.unique(before)) == {0, 1, 2}
    stack.do("fill_in")
    assert "1 object filled in on planes 2 to 5" in stack.state.message
    assert "1 object got the id of the plane before" in stack.state.message
    filled = areas(stack, 1)
    assert [n > 0 for n in filled] == [False, *[True] * 6, False, False]
    assert set(np.unique(stack.labels)) == {0, 1}
    assert [one.value for one in stack.pairing.scene.objects] == [1] * 6
    middles = [np.argwhere(plane).mean(axis=0) for plane in np.asarray(stack.labels)[1:7]]
    steps = np.diff(middles, axis=0)
    assert np.abs(steps - steps.mean(axis=0)).max() < 1.0
    after = np.array(stack.labels)
    stack.do("undo")
    np.testing.assert_array_equal(stack.labels, before)
    assert [one.value for one in stack.pairing.scene.objects] == [1, 2]
    stack.do("redo")
    np.testing.assert_array_equal(stack.labels, after)


def test_both_sides_of_a_plane_are_filled_and_later_planes_are_renamed_with_it(stack: Any) -> None:
    for plane in (8, 4, 0):  # whichever way it was gone through
        accept(stack, plane, (40, 40))
    at(stack, 4)
    stack.do("fill_in")
    assert areas(stack, 3) == [areas(stack, 3)[0]] * 9
    assert set(np.unique(stack.labels)) == {0, 3}


def test_each_object_has_gaps_of_its_own_and_labels_stay(stack: Any) -> None:
    accept(stack, 0, (30, 30))
    accept(stack, 6, (30, 30))
    stack.do("fill_in")
    stack.pairing.annotation.paint((5, 40, 70), 9)
    accept(stack, 2, (60, 75))
    accept(stack, 7, (62, 75))
    before = np.array(stack.labels)
    stack.do("fill_in")
    after = np.array(stack.labels)
    assert (after[before == 1] == 1).all() and (after[before == 9] == 9).all()
    value = int(after[2, 60, 75])
    assert [n > 0 for n in areas(stack, value)] == [False, False, *[True] * 6, False]


def test_an_object_that_overlaps_nothing_is_another_one(stack: Any) -> None:
    accept(stack, 1, (20, 20))
    accept(stack, 6, (70, 80))
    before = np.array(stack.labels)
    stack.do("fill_in")
    np.testing.assert_array_equal(stack.labels, before)
    assert "There is no gap to fill" in stack.state.message
    stack.do("undo")
    assert not stack.labels[6].any(), "nothing was a step"


def test_an_id_that_a_later_plane_has_for_something_else_is_not_given_twice(stack: Any) -> None:
    accept(stack, 0, (40, 40))
    accept(stack, 4, (40, 40))
    stack.pairing.annotation.paint((7, 80, 90), 1)
    accept(stack, 7, (40, 40))
    at(stack, 4)
    stack.do("fill_in")
    assert stack.labels[4, 40, 40] == 2
    assert stack.labels[7, 80, 90] == 1


def test_pieces_of_a_class_are_filled_in_one_by_one(stack: Any) -> None:
    stack.controller.add_class("cell")
    stack.state.scheme = "classes"
    for plane in (0, 5):
        accept(stack, plane, (25, 25 + plane), (60, 70))
    stack.do("fill_in")
    labels = np.asarray(stack.labels)
    assert set(np.unique(labels)) == {0, 2}
    assert all(labels[k, 25, 25 + k] == labels[k, 60, 70] == 2 for k in range(6))


def test_a_flat_image_has_nothing_to_fill_in(bench: Any, grey: np.ndarray) -> None:
    bench.open(grey)
    bench.do("fill_in")
    assert "not a stack" in bench.state.message
