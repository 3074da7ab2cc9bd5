"""Objects are split by clicks on their parts and merged, as one step that loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

LEFT, RIGHT, OTHER = (40, 34), (40, 70), (100, 130)


def opened(bench: Any, dtype: Any = np.uint16, value: int = 5) -> Any:
    """Open an image with an object of two halves that touch, and another one."""
    rng = np.random.default_rng(0)
    labels = np.zeros((120, 160), dtype)
    labels[20:60, 20:52], labels[22:60, 52:90] = value, value
    labels[90:110, 120:140] = 9
    image = bench.viewer.add_image(rng.integers(0, 255, labels.shape).astype(np.uint8))
    bench.controller.adopt(image, annotation=bench.viewer.add_labels(labels))
    bench.settle()
    bench.controller.add_class("nucleus")
    bench.settle()
    return bench


def areas(bench: Any) -> dict[int, int]:
    ids, counts = np.unique(bench.labels, return_counts=True)
    return dict(zip(ids[1:].tolist(), counts[1:].tolist(), strict=True))


def test_an_object_is_split_by_a_click_on_each_of_its_parts_and_undone_in_one_step(
    bench: Any,
) -> None:
    opened(bench)
    before = np.array(bench.labels)
    bench.take_up(*LEFT)
    bench.click(*LEFT)
    bench.click(*RIGHT)
    clicked = bench.pairing.scene
    bench.do("split")
    assert "Object 5 is 2 objects now" in bench.state.message
    after = np.array(bench.labels)
    assert np.array_equal(after > 0, before > 0) and (after[before == 9] == 9).all()
    parts = {int(after[LEFT]), int(after[RIGHT])}
    assert parts == {5, 10} and set(areas(bench)) == {5, 9, 10}
    assert areas(bench)[5] >= areas(bench)[10], "the largest part keeps the id"
    made = {one.value: one for one in bench.pairing.scene.objects}
    assert {one.class_id for one in made.values()} == {2}
    for one in made.values():
        assert [mark.positive for mark in one.marks].count(True) == 1
        assert one.note.clicks == 2 and 0 <= one.note.score <= 1 and one.note.model == "tiny"
    assert not bench.state.begun and bench.state.object_id == 11
    bench.do("undo")
    assert np.array_equal(bench.labels, before) and bench.pairing.scene == clicked
    bench.do("redo")
    assert np.array_equal(bench.labels, after)
    bench.take_up(*RIGHT)
    assert bench.state.n_positive == 1 and bench.state.n_negative == 1, "with its clicks"


def test_clicks_on_an_object_that_was_not_taken_up_split_it_as_well(bench: Any) -> None:
    opened(bench)
    for at in (LEFT, RIGHT, (56, 86)):
        bench.click(*at)
    bench.do("split")
    assert set(areas(bench)) == {5, 9, 10, 11}
    parts = [int(bench.labels[at]) for at in (LEFT, RIGHT, (56, 86))]
    assert len(set(parts)) == 3 and not bench.state.begun


def test_with_one_new_click_the_click_that_it_was_made_with_stands_for_the_other_part(
    bench: Any,
) -> None:
    bench.open(np.zeros((120, 160), np.uint8))
    for at in (LEFT, (40, 50), RIGHT):
        bench.click(*at)
    bench.do("accept")
    (made,) = bench.pairing.scene.objects
    bench.take_up(*LEFT)
    bench.click(42, 74)
    bench.do("split")
    ids = [int(bench.labels[at]) for at in (LEFT, (42, 74))]
    assert len(set(ids)) == 2 and set(areas(bench)) == set(ids)
    marks = [m.key for one in bench.pairing.scene.objects for m in one.marks]
    assert {m.key for m in made.marks} <= set(marks), "no click of the object is lost"
    bench.do("undo")
    bench.do("undo")
    bench.do("split")  # by the three that it was made with
    assert len(areas(bench)) == 3


@pytest.mark.parametrize(
    ("clicks", "said"),
    [
        ([], "Shift + click on it and click on each of its parts"),
        ([LEFT], "Shift + click on it and click on each of its parts"),
        ([LEFT, OTHER], "have to lie on one object"),
        ([LEFT, (5, 5)], "have to lie on one object"),
    ],
)
def test_clicks_that_split_nothing_change_nothing_and_it_is_said(
    bench: Any, clicks: list[tuple[int, int]], said: str
) -> None:
    opened(bench)
    before = np.array(bench.labels)
    for at in clicks:
        bench.click(*at)
    scene = bench.pairing.scene
    bench.do("split")
    assert said in bench.state.message
    assert np.array_equal(bench.labels, before) and bench.pairing.scene == scene


def test_what_has_no_room_for_another_id_stays_whole(bench: Any) -> None:
    opened(bench, np.uint8, 255)
    before = np.array(bench.labels)
    for at in (LEFT, RIGHT):
        bench.click(*at)
    bench.do("split")
    assert "too large for the labels layer" in bench.state.message
    assert np.array_equal(bench.labels, before) and bench.state.n_positive == 2


def test_an_object_in_two_pieces_is_split_by_clicks_in_one_of_them(bench: Any) -> None:
    opened(bench)
    bench.labels[90:110, 120:140] = 5
    for at in (LEFT, RIGHT):
        bench.click(*at)
    before = np.array(bench.labels)
    bench.do("split")
    assert np.array_equal(np.array(bench.labels) > 0, before > 0)
    assert set(areas(bench)) == {5, 10}, "the other piece goes to the nearest part"


def test_two_objects_that_are_taken_up_are_merged_in_one_step(bench: Any) -> None:
    opened(bench)
    before = np.array(bench.labels)
    bench.take_up(*OTHER)
    assert bench.state.also is None
    bench.do("merge")
    assert "Take up two objects" in bench.state.message
    bench.state.class_index = 0
    bench.take_up(*LEFT)
    assert bench.state.also.value == 9
    assert "Objects 9 and 5 are taken up" in bench.state.message
    bench.do("merge")
    assert areas(bench) == {5: int((before > 0).sum())}
    (one,) = bench.pairing.scene.objects
    assert one.class_id == 1 and "of class “object”" in bench.state.message
    assert one.note.score is None and one.note.clicks == 0
    assert not bench.state.begun and bench.state.also is None
    bench.do("undo")
    assert np.array_equal(bench.labels, before)
    assert bench.state.also.value == 9, "both are taken up again"
    bench.do("redo")
    assert set(areas(bench)) == {5}


def test_what_was_done_in_between_means_that_no_two_are_taken_up(bench: Any) -> None:
    opened(bench)
    before = np.array(bench.labels)
    bench.take_up(*OTHER)
    bench.do("undo")
    bench.take_up(*LEFT)
    assert bench.state.also is None
    bench.take_up(*OTHER)
    bench.click(*OTHER)
    assert bench.state.also is None
    bench.take_up(*OTHER)  # the same once more
    assert bench.state.also is None
    bench.do("merge")
    assert np.array_equal(bench.labels, before)


def test_ids_that_are_classes_are_neither_split_nor_merged(bench: Any) -> None:
    opened(bench)
    before = np.array(bench.labels)
    bench.state.scheme = "classes"
    for action in ("split", "merge"):
        bench.click(*LEFT)
        bench.click(*RIGHT)
        bench.do(action)
        assert "Ids are classes here" in bench.state.message
    assert np.array_equal(bench.labels, before)


def test_a_model_without_clicks_says_that_it_splits_nothing(
    make_bench: Callable[..., Any], random_segmenter: Callable[..., Any]
) -> None:
    blind = random_segmenter(encoding="image", automatic=True)
    bench = opened(make_bench(model=None, load=lambda *_: blind))
    for at in (LEFT, RIGHT):
        bench.click(*at)
    bench.do("split")
    assert "a model that takes clicks" in bench.state.message


def test_undo_while_an_object_is_split_gives_it_up(bench: Any, fake_model: Any) -> None:
    opened(bench)
    before = np.array(bench.labels)
    bench.click(*LEFT)
    bench.click(*RIGHT)
    fake_model.gate.clear()
    bench.do("split", wait=False)
    bench.do("undo", wait=False)
    fake_model.gate.set()
    bench.settle()
    assert np.array_equal(bench.labels, before) and bench.state.n_positive == 2


def test_in_a_stack_the_object_of_the_displayed_plane_is_split(bench: Any) -> None:
    labels = np.zeros((3, 120, 160), np.uint16)
    labels[:, 20:60, 20:90] = 5
    image = bench.viewer.add_image(np.zeros(labels.shape, np.uint8))
    bench.controller.adopt(image, annotation=bench.viewer.add_labels(labels))
    bench.settle()
    bench.viewer.dims.set_current_step(0, 1)
    bench.settle()
    for at in (LEFT, RIGHT):
        bench.click(*at)
    bench.do("split", wait=False)
    bench.viewer.dims.set_current_step(0, 2)
    bench.settle()
    assert [len(np.unique(plane)) for plane in bench.labels] == [2, 3, 2]
    bench.do("undo")
    assert np.array_equal(bench.labels, labels) and bench.viewer.dims.current_step[0] == 1


def test_an_object_that_was_not_touched_keeps_its_colour(bench: Any) -> None:
    """Also one without a class, with an id far beyond those of the objects that have one."""
    opened(bench)
    bench.labels[2:4, 2:150] = 100 + np.arange(148)
    bench.state.annotation.data = bench.labels  # its ids are looked through anew
    bench.settle()
    layer, others = bench.state.annotation, [9, *range(100, 248)]

    def colours() -> np.ndarray:
        return np.array([layer.get_color(one) for one in others])

    before = colours()
    bench.take_up(100, 130)
    bench.do("clear")
    bench.do("skip")
    bench.take_up(*LEFT)
    bench.click(*LEFT)
    bench.click(*RIGHT)
    bench.do("split")
    assert "is 2 objects now" in bench.state.message
    assert np.array_equal(colours(), before)
    bench.take_up(*LEFT)
    bench.take_up(*RIGHT)
    bench.do("merge")
    assert "are one now" in bench.state.message
    assert np.array_equal(colours(), before)
    for _ in range(len(bench.pairing.timeline.steps)):
        bench.do("undo")
        assert np.array_equal(colours(), before)
