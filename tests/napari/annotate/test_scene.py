"""What the user made, as values; and that points layers always show it, through any undo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from napari.components import ViewerModel

from napari_clickseg._napari.annotate.controller import AnnotateController
from napari_clickseg._napari.annotate.timeline import Entry, Timeline
from napari_clickseg.core.patch import Patch
from napari_clickseg.core.plane import Plane
from napari_clickseg.journal.scene import Accepted, Draft, Mark, Scene, changed_marks

HERE = Plane((1, 2), (3, 0, 0), (20, 30))
THERE = HERE.stepped(0, 1)


def mark(key: int, y: float, x: float, *, plane: int = 3, positive: bool = True) -> Mark:
    return Mark(key, (float(plane), float(y), float(x)), positive)


def patch() -> Patch:
    return Patch.of(np.ones((2, 2), bool))


def test_clicks_come_in_their_order_and_from_their_plane() -> None:
    scene = Scene().with_marks([mark(3, 5, 5), mark(1, 2, 2), mark(2, 9, 9, plane=4)])
    assert [(c.y, c.x) for c in scene.prompt(HERE).clicks] == [(2, 2), (5, 5)]
    assert [(c.y, c.x) for c in scene.prompt(THERE).clicks] == [(9, 9)]


def test_clicks_outside_are_not_asked_about() -> None:
    scene = Scene().with_marks([mark(1, -3, 2), mark(2, 5, 5), mark(3, 5, 30)])
    assert len(scene.prompt(HERE).clicks) == 1 and len(scene.on(HERE)) == 3


def test_settled_clicks_outside_the_image_do_not_swallow_new_ones() -> None:
    """An object taken up again with a stray click still answers the next click."""
    old = (mark(1, -3, 2), mark(2, 5, 5))
    draft = Draft(patch(), old)
    scene = Scene().with_draft(HERE, draft, old)
    assert scene.prompt(HERE).settled == 1
    assert scene.with_marks([*old, mark(3, 6, 6)]).prompt(HERE).settled == 1


def test_an_answered_click_that_was_moved_is_answered_anew() -> None:
    old = (mark(1, 4, 4), mark(2, 5, 5))
    scene = Scene().with_draft(HERE, Draft(patch(), old), old)
    assert scene.prompt(HERE).settled == 2
    moved = [replace(old[0], position=(3.0, 8.0, 8.0)), old[1]]
    assert scene.with_marks(moved).prompt(HERE).settled == 0


def test_an_object_gets_the_id_that_was_decided_first() -> None:
    scene = Scene(object_id=7, next_id=7)
    assert scene.value(HERE) == 7
    assert scene.with_draft(HERE, Draft(value=4)).value(HERE) == 4
    editing = Accepted(HERE, 2, (), patch())
    scene = scene.with_draft(HERE, Draft(editing=editing, value=4))
    assert scene.value(HERE) == 2 and scene.value(THERE) == 7


def test_ids_that_turn_out_to_be_taken_are_left_out() -> None:
    assert Scene().numbered_from(9) == Scene(object_id=9, next_id=9)
    assert Scene(object_id=3, next_id=1).numbered_from(9) == Scene(object_id=3, next_id=9)
    assert Scene(object_id=12, next_id=12).numbered_from(9) == Scene(object_id=12, next_id=12)


def test_the_next_id_is_beyond_all_that_were_used() -> None:
    assert Scene(object_id=3, next_id=5).used(3) == Scene(object_id=5, next_id=5)
    assert Scene(object_id=50, next_id=5).used(50) == Scene(object_id=51, next_id=51)


def test_what_comes_to_light_later_is_true_after_undo_as_well() -> None:
    """Ids found while the first clicks were made already: undo does not bring taken ones back."""
    timeline = Timeline()
    clicked = Scene().with_marks([mark(1, 2, 2)])
    timeline.add(Entry(Scene(), clicked, HERE))
    timeline.revise(lambda scene: scene.numbered_from(9))
    entry = timeline.undo()
    assert entry is not None and entry.before.object_id == entry.after.object_id == 9


def test_the_object_under_a_pixel_is_the_latest_that_covers_it() -> None:
    covers = Accepted(HERE, 2, (), Patch.of(np.ones((2, 2), bool), offset=(4, 4)))
    later = Accepted(HERE, 2, (), Patch.of(np.ones((2, 2), bool), offset=(9, 9)))
    scene = Scene(objects=(covers, later))
    assert scene.object_at(HERE, 2, (5, 5)) is covers
    assert scene.object_at(HERE, 2, (9, 9)) is later
    assert scene.object_at(HERE, 3, (5, 5)) is None
    assert scene.object_at(THERE, 2, (5, 5)) is None


def test_a_point_that_was_moved_keeps_its_turn() -> None:
    old = [mark(1, 1, 1), mark(5, 2, 2), mark(9, 3, 3)]
    new = changed_marks(old, [(3.0, 1.0, 1.0), (3.0, 8.0, 8.0), (3.0, 3.0, 3.0)], True, 20)
    assert [m.key for m in new] == [1, 5, 9] and new[1].position == (3.0, 8.0, 8.0)


def test_points_that_were_added_and_removed_leave_the_others_alone() -> None:
    old = [mark(1, 1, 1), mark(5, 2, 2), mark(9, 3, 3)]
    left = changed_marks(old, [(3.0, 1.0, 1.0), (3.0, 3.0, 3.0)], True, 20)
    assert left == [old[0], old[2]]
    more = changed_marks(old, [m.position for m in old] + [(3.0, 7.0, 7.0)] * 2, True, 20)
    assert more[:3] == old and [m.key for m in more[3:]] == [20, 21]


# ---- in a viewer, with napari's own tools

rows, columns, planes = st.integers(-2, 21), st.integers(-2, 31), st.integers(0, 2)


def never(*_: object) -> Any:
    raise ValueError("There is no model.")


class Editing(RuleBasedStateMachine):
    """A user who clicks and uses napari's tools on the points layers of a stack."""

    @initialize()
    def begin(self) -> None:
        self.viewer = ViewerModel()
        self.image = self.viewer.add_image(np.zeros((3, 20, 30)), scale=(2, 1, 0.5))
        self.controller = AnnotateController(self.viewer, load=never)
        self.controller.set_up(self.image)
        assert self.controller.pairing is not None
        self.pairing = self.controller.pairing
        self.beginning = self.pairing.scene
        self.history = [self.pairing.scene]
        self.now = 0

    def teardown(self) -> None:
        if hasattr(self, "controller"):
            self.controller.close()

    def points(self, positive: bool) -> Any:
        return self.pairing.positive if positive else self.pairing.negative

    def note(self) -> None:
        if self.pairing.scene != self.history[self.now]:
            del self.history[self.now + 1 :]
            self.history.append(self.pairing.scene)
            self.now += 1

    @rule(plane=planes)
    def step(self, plane: int) -> None:
        self.viewer.dims.set_point(0, 2 * plane)

    @rule(y=rows, x=columns, left=st.booleans())
    def click(self, y: int, x: int, left: bool) -> None:
        plane = self.controller.displayed()
        assert plane is not None
        self.controller._clicked(tuple(self.image.data_to_world(plane.position(y, x))), left)
        self.note()

    @rule(plane=planes, y=rows, x=columns, positive=st.booleans())
    def add(self, plane: int, y: int, x: int, positive: bool) -> None:
        self.points(positive).add([plane, y, x])
        self.note()

    @rule(data=st.data(), positive=st.booleans())
    def remove(self, data: Any, positive: bool) -> None:
        points = self.points(positive)
        if len(points.data):
            chosen = data.draw(st.sets(st.integers(0, len(points.data) - 1), min_size=1))
            points.selected_data = chosen
            points.remove_selected()
            self.note()

    @rule(data=st.data(), positive=st.booleans(), y=rows, x=columns)
    def drag(self, data: Any, positive: bool, y: int, x: int) -> None:
        """napari moves points in place, silently, and says so at the end."""
        points = self.points(positive)
        if len(points.data):
            from napari.layers.base import ActionType

            index = data.draw(st.integers(0, len(points.data) - 1))
            points.selected_data = {index}
            points.events.data(value=points.data, action=ActionType.CHANGING,
                               data_indices=(index,), vertex_indices=((),))  # fmt: skip
            with points.events.data.blocker():
                points._move({index}, [0, 1, 1])
                points._move({index}, [0, y, x])
            points._move({index}, [0, y, x])
            points._drag_start = None
            self.note()

    @rule(data=st.data(), positive=st.booleans(), onto=st.booleans())
    def paste(self, data: Any, positive: bool, onto: bool) -> None:
        """napari tells nobody that points were pasted."""
        points = self.points(positive)
        if len(points.data):
            points.selected_data = data.draw(
                st.sets(st.integers(0, len(points.data) - 1), min_size=1)
            )
            points._copy_data()
            other = self.points(positive != onto)
            other._clipboard = points._clipboard
            try:
                other._paste_data()
            except TypeError:
                return  # napari 0.9.2 can't paste into a stack
            self.note()

    @rule(positive=st.booleans(), given=st.lists(st.tuples(planes, rows, columns), max_size=3))
    def assign(self, positive: bool, given: list[tuple[int, ...]]) -> None:
        self.points(positive).data = np.array(given, float).reshape(-1, 3)
        self.note()

    @rule()
    def clear(self) -> None:
        from napari_clickseg._napari.viewer.actions import Action

        self.controller.do(Action.CLEAR)
        self.note()

    @rule(times=st.integers(1, 4))
    def undo(self, times: int) -> None:
        from napari_clickseg._napari.viewer.actions import Action

        for _ in range(times):
            self.controller.do(Action.UNDO)
            self.now = max(0, self.now - 1)
            assert self.pairing.scene == self.history[self.now]

    @rule(times=st.integers(1, 4))
    def redo(self, times: int) -> None:
        from napari_clickseg._napari.viewer.actions import Action

        for _ in range(times):
            self.controller.do(Action.REDO)
            self.now = min(len(self.history) - 1, self.now + 1)
            assert self.pairing.scene == self.history[self.now]

    @rule()
    def there_and_back(self) -> None:
        """Undo of everything gives the beginning, redo of everything the same end."""
        from napari_clickseg._napari.viewer.actions import Action

        end, at = self.pairing.scene, self.now
        while self.controller.state.can_undo:
            self.controller.do(Action.UNDO)
        assert self.pairing.scene == self.beginning
        assert not len(self.points(True).data) and not len(self.points(False).data)
        for _ in range(at):
            self.controller.do(Action.REDO)
        assert self.pairing.scene == end

    @invariant()
    def the_layers_show_the_scene(self) -> None:
        if not hasattr(self, "pairing"):
            return
        for positive in (True, False):
            wanted = [m.position for m in self.pairing.scene.marks if m.positive == positive]
            assert [tuple(row) for row in self.points(positive).data] == wanted
        keys = [m.key for m in self.pairing.scene.marks]
        assert keys == sorted(set(keys)), "Every click has a turn of its own."

    @invariant()
    def clicks_belong_to_their_plane(self) -> None:
        if not hasattr(self, "pairing"):
            return
        per_plane = []
        for index in range(3):
            plane = Plane((1, 2), (index, 0, 0), (20, 30))
            marks = self.pairing.scene.on(plane)
            assert all(round(m.position[0]) == index for m in marks)
            clicks = self.pairing.scene.prompt(plane).clicks
            assert all(0 <= c.pixel[0] < 20 and 0 <= c.pixel[1] < 30 for c in clicks)
            per_plane += marks
        assert len(per_plane) == len(self.pairing.scene.marks)

    @invariant()
    def the_state_counts_what_is_there(self) -> None:
        if hasattr(self, "pairing"):
            clicks = self.controller.prompt().clicks
            state = self.controller.state
            assert state.n_positive + state.n_negative == len(clicks)
            assert state.can_undo == (self.now > 0)
            assert state.can_redo == (self.now < len(self.history) - 1)


TestEditing = Editing.TestCase
TestEditing.settings = settings(
    max_examples=3, stateful_step_count=12, deadline=None, derandomize=True
)


@pytest.mark.slow
class TestEditingForLong(Editing.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=15, stateful_step_count=30, deadline=None, derandomize=True)
