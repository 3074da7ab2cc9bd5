"""What waits, what is undone and redone: nothing is dropped, and there is one history."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

A, B = (30, 30), (80, 90)


@pytest.fixture
def opened(bench: Any, grey: Any) -> Any:
    bench.open(grey)
    return bench


def accept(bench: Any, *places: tuple[float, float]) -> None:
    for place in places:
        bench.click(*place)
        bench.do("accept")


def walk(bench: Any) -> np.ndarray:
    """Undo all, and redo as much; return the labels after it."""
    steps = 0
    while bench.state.can_undo:
        bench.do("undo")
        steps += 1
    for _ in range(steps):
        bench.do("redo")
    return np.array(bench.labels)


# ---- an action that changes nothing cancels nothing


@pytest.mark.parametrize("action", ["redo", "show"])
def test_what_changes_nothing_leaves_an_accept_that_waits_alone(
    opened: Any, fake_model: Any, action: str
) -> None:
    fake_model.gate.clear()
    opened.click(*A, wait=False)
    opened.do("accept", wait=False)
    opened.do(action, wait=False)
    fake_model.gate.set()
    opened.settle()
    assert opened.state.n_objects == 1 and opened.labels[A] == 1
    assert not opened.state.busy


def test_redo_with_nothing_to_redo_leaves_the_answer_alone(opened: Any, fake_model: Any) -> None:
    fake_model.gate.clear()
    opened.click(*A, wait=False)
    opened.do("redo", wait=False)
    fake_model.gate.set()
    opened.settle()
    assert opened.mask[A] and not opened.state.busy


def test_undo_beyond_the_beginning_does_not_stay_busy(opened: Any, fake_model: Any) -> None:
    opened.click(*A)
    opened.viewer.layers.remove(opened.pairing.annotation)
    opened.settle()
    opened.do("undo")
    opened.controller.set_up(opened.pairing.image)
    opened.settle()
    fake_model.gate.clear()
    opened.click(44, 30, wait=False)
    for _ in range(3):
        opened.do("undo", wait=False)
    fake_model.gate.set()
    opened.settle()
    assert not opened.state.busy


def test_undo_takes_back_what_is_being_begun_and_nothing_else(opened: Any) -> None:
    accept(opened, A)
    opened.controller._take_up_at(opened.world(*A))
    opened.do("undo")
    assert opened.state.n_objects == 1 and not opened.state.editing
    assert opened.labels[A] == 1


def test_what_follows_a_deletion_is_not_dropped(opened: Any) -> None:
    accept(opened, A)
    opened.viewer.cursor.position = opened.world(*A)
    opened.do("delete", wait=False)
    opened.click(*B, wait=False)
    opened.do("accept", wait=False)
    opened.settle()
    assert opened.labels[A] == 0 and opened.labels[B] > 0


# ---- napari's own undo, and strokes


def test_naparis_undo_takes_the_step_back_that_ours_would(opened: Any) -> None:
    accept(opened, A, B)
    opened.pairing.annotation.undo()
    opened.settle()
    now = np.array(opened.labels)
    assert now[A] and not now[B]
    assert opened.state.n_objects == 1
    np.testing.assert_array_equal(walk(opened), now)
    opened.pairing.annotation.redo()
    opened.settle()
    assert opened.state.n_objects == 2 and opened.labels[B]


def test_strokes_and_objects_are_undone_in_the_order_in_which_they_came(opened: Any) -> None:
    layer = opened.pairing.annotation
    seen = [np.array(opened.labels)]
    layer.paint((100, 20), 7)
    seen.append(np.array(opened.labels))
    accept(opened, A)
    seen.append(np.array(opened.labels))
    with layer.block_history():  # one stroke of the brush, over the object and beside it
        for column in range(20, 40, 4):
            layer.paint((A[0], column), 9)
    seen.append(np.array(opened.labels))
    layer.fill((B[0], B[1]), 3)
    seen.append(np.array(opened.labels))
    assert opened.state.can_undo
    for expected in (seen[3], seen[2]):
        opened.do("undo")
        np.testing.assert_array_equal(opened.labels, expected)
    for _ in range(2):
        layer.undo()  # the accept, and its click
    np.testing.assert_array_equal(opened.labels, seen[1])
    assert opened.state.n_objects == 0
    opened.do("undo")
    np.testing.assert_array_equal(opened.labels, seen[0])
    assert not opened.state.can_undo
    for expected in (seen[1], seen[1], seen[2], seen[3], seen[4]):
        opened.do("redo")
        np.testing.assert_array_equal(opened.labels, expected)
    np.testing.assert_array_equal(walk(opened), seen[4])
    assert opened.state.n_objects == 1


def test_what_was_painted_before_an_image_was_set_up_can_be_undone(bench: Any, grey: Any) -> None:
    image = bench.viewer.add_image(grey)
    layer = bench.viewer.add_labels(np.zeros(grey.shape, int))
    layer.paint((100, 20), 7)
    bench.controller.adopt(image, annotation=layer)
    bench.settle()
    accept(bench, A)
    for _ in range(3):
        layer.undo()
    bench.settle()
    assert not bench.labels.any() and bench.state.n_objects == 0


def test_a_stroke_is_not_taken_back_from_labels_that_came_in_its_place(opened: Any) -> None:
    layer = opened.pairing.annotation
    layer.paint((100, 20), 7)
    other = np.full(opened.labels.shape, 2)
    layer.data = other
    opened.settle()
    opened.do("undo")
    assert (opened.labels == 2).all()


def test_naparis_undo_is_its_own_again_when_the_widget_is_closed(opened: Any) -> None:
    layer = opened.pairing.annotation
    accept(opened, A)
    after = np.array(opened.labels)
    opened.controller.close()
    layer.undo()  # what was done by clicks is nothing that napari could undo rightly
    np.testing.assert_array_equal(layer.data, after)
    layer.paint((100, 20), 7)
    layer.undo()
    np.testing.assert_array_equal(layer.data, after)
