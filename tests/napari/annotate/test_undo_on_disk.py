"""Undo leads to the very same states wherever its arrays lie, and as far back as there is room."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_clickseg._napari.annotate import timeline as timelines
from napari_clickseg._napari.annotate.controller import AnnotateController
from napari_clickseg._napari.annotate.timeline import Entry, Timeline
from napari_clickseg._napari.viewer.actions import Action
from napari_clickseg._napari.viewer.writes import LabelWrite
from napari_clickseg.core.masks import plan_commit
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.plane import Plane
from napari_clickseg.core.window import Box
from napari_clickseg.journal.scene import Accepted, Draft, Scene
from napari_clickseg.util.spilling import MemoryBudget

SHAPE = (3, 24, 32)
boxes = st.builds(Box, st.integers(0, 18), st.integers(0, 26), st.integers(1, 6), st.integers(1, 6))
STEPS = st.lists(
    st.tuples(st.just("accept"), boxes, st.integers(0, 2))
    | st.tuples(st.just("paint"), boxes, st.integers(0, 4))
    | st.tuples(st.sampled_from(["undo", "undo", "redo"]), st.none(), st.none()),
    min_size=3,
    max_size=14,
)


def never(*_: object) -> Any:
    raise ValueError("There is no model.")


class Hand:
    """Accepts, paints, undoes and redoes on a stack, and notes what there is after each step."""

    def __init__(self) -> None:
        self.viewer = ViewerModel()
        image = self.viewer.add_image(np.zeros(SHAPE))
        self.controller = AnnotateController(self.viewer, load=never)
        self.controller.set_up(image)
        assert self.controller.pairing is not None
        self.pairing = self.controller.pairing
        self.seen: list[tuple[np.ndarray, Scene]] = []

    def do(self, what: str, box: Box | None, number: int | None) -> None:
        layer = self.pairing.annotation
        assert layer is not None
        if box is not None and number is not None:
            if what == "accept":
                self.accept(box, number)
            else:
                layer.brush_size = box.height
                layer.paint((number % 3, box.top, box.left), number)
        else:
            self.controller.do(Action(what))
        self.pairing.finish_writing()
        self.seen.append((np.array(layer.data), self.pairing.scene))

    def accept(self, box: Box, at: int) -> None:
        pairing, plane = self.pairing, Plane((1, 2), (at, 0, 0), SHAPE[1:])
        assert pairing.annotation is not None
        value = pairing.scene.next_id
        labels = np.array(pairing.annotation.data[plane.key(*box.slices)])
        changed, values = plan_commit(labels, np.ones(box.shape, bool), value, "overwrite")
        write = LabelWrite.of(plane, box, labels, changed, values)
        pairing.write(write)
        new = Accepted(plane, value, (), Patch(box, np.ones(box.shape, bool)))
        start = Draft(Patch(box, values == value))
        after = pairing.scene.with_object(new, None).used(value).with_draft(plane, start)
        pairing.step(after, plane, (write,))


def leads_to_the_same_states(steps: list[Any]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        tiny = MemoryBudget(lambda: Path(folder), 0)
        plenty = MemoryBudget(lambda: Path(folder) / "nothing", 1 << 30)
        far = len(steps) + 1  # past the first step, and past the last one
        hands = []
        for budget in (tiny, plenty):
            patch.setattr(timelines, "undo_memory", lambda budget=budget: budget)
            hand = Hand()
            for one in [*steps, *[("undo", None, None)] * far, *[("redo", None, None)] * far]:
                hand.do(*one)
                settle(budget)
            hands.append(hand)
        for (labels, scene), (others, other) in zip(hands[0].seen, hands[1].seen, strict=True):
            assert np.array_equal(labels, others) and scene == other
        assert tiny.nbytes == 0 and not (Path(folder) / "nothing").exists()
        for hand in hands:
            hand.controller.close()


# Of few examples in `make test`, since each one makes two viewers.
test_undo_and_redo_lead_to_the_same_states_where_nothing_stays_in_memory = settings(
    max_examples=10
)(given(STEPS)(leads_to_the_same_states))
test_undo_and_redo_lead_to_the_same_states_for_many_steps = pytest.mark.slow(
    settings(max_examples=100)(given(STEPS)(leads_to_the_same_states))
)


def settle(budget: MemoryBudget) -> None:
    """Wait until all that is to lie on the disk does."""
    end = time.monotonic() + 60
    while 0 < budget.nbytes < 1 << 20 and budget._most == 0 and time.monotonic() < end:
        budget.room.wait()


def write(plane: Plane, value: int) -> LabelWrite:
    labels = np.zeros((10, 10), np.uint16)
    changed = labels == 0
    return LabelWrite.of(plane, Box(0, 0, 10, 10), labels, changed, np.full_like(labels, value))


def test_the_oldest_steps_are_forgotten_beyond_a_bound_but_not_that_something_was_written(
    tmp_path: Path,
) -> None:
    plane = Plane((0, 1), (0, 0), (10, 10))
    size = write(plane, 1).kept.nbytes
    timeline = Timeline(MemoryBudget(lambda: tmp_path, 0), most=3 * size)
    writes = [write(plane, value) for value in range(1, 7)]
    for one in writes:
        timeline.add(Entry(Scene(), Scene(), plane, (one,)))
    assert [entry.writes for entry in timeline.steps] == [(one,) for one in writes[3:]]
    assert timeline.writes == tuple(writes), "which of them are saved is still known"
    assert all(one.touches(plane) for one in timeline.writes)
    for _ in range(3):
        assert timeline.undo() is not None
    assert timeline.undo() is None and not timeline.can_undo and not timeline.is_empty
    timeline.add(Entry(Scene(), Scene(), plane, (writes[0],)))
    assert len(timeline.steps) == 1 and not timeline.can_redo
    timeline.add(Entry(Scene(), Scene(), plane, tuple(write(plane, 9) for _ in range(5))))
    assert len(timeline.steps) == 1, "the last step can always be undone, however large"
