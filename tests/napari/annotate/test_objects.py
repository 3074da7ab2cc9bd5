"""Accepting objects, taking them back, and taking them up again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_clickseg._napari.annotate.state import ClassSpec

if TYPE_CHECKING:
    from collections.abc import Callable

A, B, C = (30, 40), (80, 110), (30, 110)


def ids(labels: Any) -> set[int]:
    return set(np.unique(np.asarray(labels)).tolist()) - {0}


def make(bench: Any, *places: tuple[int, int]) -> None:
    """Click on each place and accept it."""
    for place in places:
        bench.click(*place)
        bench.do("accept")


# ---- accepting


def accept_early(bench: Any, grey: np.ndarray, fake_model: Any) -> None:
    """Click and accept before there is an answer; none comes until the gate is opened."""
    bench.open(grey)
    fake_model.gate.clear()
    bench.click(*A, wait=False)
    bench.do("accept", wait=False)


def test_the_class_is_the_one_that_was_chosen_when_accept_was_pressed(
    bench: Any, grey: Any, fake_model: Any
) -> None:
    """Whoever chooses the next object's class before the answer is there means the next one."""
    accept_early(bench, grey, fake_model)
    bench.controller.add_class("bud")
    bench.click(*B, wait=False)
    bench.do("accept", wait=False)
    fake_model.gate.set()
    bench.settle()
    assert [one.class_id for one in bench.pairing.scene.objects] == [1, 2]


def test_ids_that_are_classes_are_those_chosen_when_accept_was_pressed(
    bench: Any, grey: Any, fake_model: Any
) -> None:
    bench.state.scheme = "classes"
    accept_early(bench, grey, fake_model)
    bench.controller.add_class("bud")
    fake_model.gate.set()
    bench.settle()
    assert bench.labels[A] == 1


def test_a_corrected_object_keeps_its_class_however_early_it_is_accepted(
    bench: Any, grey: Any, fake_model: Any
) -> None:
    """Taking it up chooses its class; that may come after the key was pressed."""
    bench.open(grey)
    bench.click(*A)
    bench.do("accept")
    bench.controller.add_class("bud")
    fake_model.gate.clear()
    bench.controller.objects.take_up_at(
        bench.pairing, bench.controller.displayed(), bench.world(*A)
    )
    bench.do("accept", wait=False)
    fake_model.gate.set()
    bench.settle()
    assert [one.class_id for one in bench.pairing.scene.objects] == [1]


def test_accepting_writes_the_mask_and_begins_the_next_object(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.click(*A)
    mask = bench.mask
    bench.do("accept")
    np.testing.assert_array_equal(bench.labels, np.where(mask, 1, 0))
    state = bench.state
    assert (state.object_id, state.n_objects, state.n_positive) == (2, 1, 0)
    assert bench.mask is None and not state.prediction.data.any() and not len(state.positive.data)


def test_accepting_is_one_step_of_naparis_undo_and_one_of_ours(bench: Any, grey: Any) -> None:
    bench.open(grey)
    make(bench, A)
    after = bench.labels.copy()
    bench.state.annotation.undo()
    assert not bench.labels.any()
    bench.state.annotation.redo()
    np.testing.assert_array_equal(bench.labels, after)
    bench.do("undo")
    assert not bench.labels.any() and bench.mask[A] and bench.state.object_id == 1
    bench.do("undo")
    assert bench.mask is None and not bench.state.can_undo
    bench.do("redo")
    bench.do("redo")
    np.testing.assert_array_equal(bench.labels, after)
    assert bench.state.object_id == 2 and not bench.state.can_redo


def test_the_table_says_how_each_object_came_about_through_undo_and_redo(
    bench: Any, grey: Any
) -> None:
    bench.open(grey)
    layer = bench.state.annotation
    make(bench, A)
    bench.click(*B)
    bench.click(B[0] + 2, B[1])
    bench.do("accept")
    made = layer.features
    assert list(made.columns) == ["index", "class", "score", "clicks", "model"]
    assert made["index"].tolist() == [1, 2]
    assert made["clicks"].tolist() == [1, 2]
    assert (made["score"] > 0.9).all()
    assert made["model"].tolist() == [bench.controller.context.segmenter.card.name] * 2
    layer.features = made.assign(mine=[7, 8])
    bench.do("undo")
    assert layer.features["clicks"].tolist()[0] == 1
    assert layer.features["clicks"].isna().tolist() == [False, True]
    bench.do("redo")
    assert layer.features.drop(columns="mine").equals(made)
    assert layer.features["mine"].tolist() == [7, 8]


def test_undo_and_redo_go_through_many_objects_without_limit(bench: Any, grey: Any) -> None:
    bench.open(grey)
    random = np.random.default_rng(1)
    states = [bench.labels.copy()]
    for _ in range(12):
        make(bench, (int(random.integers(120)), int(random.integers(160))))
        states.append(bench.labels.copy())
    for wanted in reversed(states[:-1]):
        bench.do("undo")
        np.testing.assert_array_equal(bench.labels, wanted)
        bench.do("undo")
    assert not bench.state.can_undo
    for wanted in states[1:]:
        bench.do("redo")
        bench.do("redo")
        np.testing.assert_array_equal(bench.labels, wanted)


def test_accepting_waits_for_the_answer_to_all_clicks(
    bench: Any, grey: Any, fake_model: Any
) -> None:
    accept_early(bench, grey, fake_model)
    assert not bench.labels.any()
    fake_model.gate.set()
    bench.settle()
    assert bench.labels[A] == 1 and bench.state.n_objects == 1
    bench.click(*B)
    fake_model.gate.clear()
    bench.click(*C, wait=False)
    bench.do("accept", wait=False)
    fake_model.gate.set()
    bench.settle()
    assert bench.labels[B] == bench.labels[C] == 2


def test_a_quick_user_makes_the_same_objects_as_a_patient_one(
    make_bench: Callable[..., Any], grey: Any, fake_model: Any
) -> None:
    """Click, accept, click, accept … while the first click is still worked on."""
    results = []
    for quick in (False, True):
        bench = make_bench()
        bench.open(grey)
        fake_model.delay = 0.02 if quick else 0
        for place in (A, B, C):
            bench.click(*place, wait=not quick)
            bench.click(place[0] + 5, place[1] + 9, wait=not quick)
            bench.do("accept", wait=not quick)
        bench.settle()
        assert bench.state.n_objects == 3 and bench.state.n_positive == 0
        results.append(np.array(bench.labels))
    np.testing.assert_array_equal(*results)


def test_undo_takes_back_what_still_waits_first(bench: Any, grey: Any, fake_model: Any) -> None:
    accept_early(bench, grey, fake_model)
    bench.click(*B, wait=False)
    bench.do("undo", wait=False)  # the click on B
    bench.do("undo", wait=False)  # the accept
    fake_model.gate.set()
    bench.settle()
    assert not bench.labels.any() and bench.mask[A] and not bench.mask[B]


def test_nothing_is_accepted_elsewhere_than_asked_for(bench: Any, fake_model: Any) -> None:
    """Whoever goes on before the answer is there is told that nothing was accepted."""
    bench.open(np.random.default_rng(0).random((3, 60, 60)))
    bench.viewer.dims.set_point(0, 1)
    bench.click(30, 30)
    bench.viewer.dims.set_point(0, 0)
    bench.settle()
    fake_model.gate.clear()
    bench.click(20, 20, wait=False)
    bench.do("accept", wait=False)
    bench.viewer.dims.set_point(0, 1)
    fake_model.gate.set()
    bench.settle()
    assert not bench.labels.any() and "nothing was accepted" in bench.state.message
    assert bench.mask[30, 30]


def test_a_failing_model_accepts_nothing_but_keeps_the_clicks_after_it(
    bench: Any, grey: Any, fake_model: Any, notifications: list[str]
) -> None:
    accept_early(bench, grey, fake_model)
    bench.click(*B, wait=False)
    fake_model.error = RuntimeError("boom")
    fake_model.gate.set()
    bench.settle()
    assert not bench.labels.any() and bench.state.n_positive == 2 and len(notifications) == 1
    fake_model.error = None
    bench.click(*C)
    bench.do("accept")
    assert bench.labels[A] == bench.labels[B] == bench.labels[C] == 1


def test_without_a_mask_nothing_is_accepted(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.do("accept")
    assert "no mask to accept" in bench.state.message
    bench.click(*A, positive=False)
    bench.do("accept")
    assert "no mask to accept" in bench.state.message and not bench.state.n_objects


# ---- where there are labels already


@pytest.mark.parametrize("rule", ["overwrite", "keep", "background"])
def test_the_rules_for_overlap(bench: Any, grey: Any, rule: str) -> None:
    bench.open(grey)
    bench.labels[:, 40:] = 9
    bench.labels[:, :35] = 1  # the same id as the object's
    bench.state.annotation.refresh()
    before = bench.labels.copy()
    bench.state.rule = rule
    bench.state.object_id = 1
    bench.click(*A)
    mask = bench.mask
    bench.do("accept")
    taken = {"overwrite": mask, "keep": mask & (before != 9), "background": mask & (before == 0)}
    np.testing.assert_array_equal(bench.labels, np.where(taken[rule], 1, before))
    bench.do("undo")
    np.testing.assert_array_equal(bench.labels, before)


def test_a_mask_without_room_is_not_accepted_and_not_lost(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.labels[:] = 9
    bench.click(*A)
    bench.do("accept")
    assert "overwrite" in bench.state.message and bench.mask[A] and not bench.state.n_objects
    bench.state.rule = "overwrite"
    bench.do("accept")
    assert bench.labels[A] == 1


# ---- ids


def test_ids_go_on_after_those_in_the_layer(bench: Any, grey: Any) -> None:
    image = bench.viewer.add_image(grey)
    labels = np.zeros(grey.shape, int)
    labels[100:, 100:] = 41
    bench.controller.adopt(image, annotation=bench.viewer.add_labels(labels))
    bench.settle()
    assert bench.state.object_id == 42
    make(bench, A)
    assert ids(bench.labels) == {41, 42}


def test_small_objects_of_a_large_layer_are_found(bench: Any, monkeypatch: Any) -> None:
    """Every pixel is looked at, piece by piece; the largest id may be a single one."""
    from napari_clickseg._napari.annotate import classes

    monkeypatch.setattr(classes, "_BLOCK", 1000)
    image = bench.viewer.add_image(np.zeros((3, 2, 70, 60)))
    labels = np.zeros((3, 2, 70, 60), int)
    labels[2, 1, 69, 59] = 77
    bench.controller.adopt(image, annotation=bench.viewer.add_labels(labels))
    bench.settle()
    assert bench.state.object_id == 78


@pytest.mark.parametrize("shape", [(7,), (70, 60), (1, 70, 60), (3, 2, 70, 60), (2, 1, 5000)])
def test_the_blocks_cover_every_pixel_once(shape: Any, monkeypatch: Any) -> None:
    from napari_clickseg._napari.annotate import classes

    monkeypatch.setattr(classes, "_BLOCK", 1000)
    seen = np.zeros(shape, int)
    for key in classes._blocks(shape):
        seen[key] += 1
        assert seen[key].size <= 1000
    assert (seen == 1).all()


def test_an_accept_waits_until_free_ids_are_known(
    make_bench: Callable[..., Any], grey: Any, fake_model: Any
) -> None:
    """Also after undo of clicks that were made before that."""
    bench = make_bench()
    image = bench.viewer.add_image(grey)
    labels = np.zeros(grey.shape, int)
    labels[100:, 100:] = 1
    fake_model.load_gate.clear()  # the worker is busy with it
    bench.controller.adopt(image, annotation=bench.viewer.add_labels(labels))
    bench.click(*A, wait=False)
    bench.click(*B, wait=False)
    bench.do("accept", wait=False)
    fake_model.load_gate.set()
    bench.settle()
    assert bench.labels[A] == 2 and ids(bench.labels) == {1, 2}
    for _ in range(3):
        bench.do("undo")
    assert bench.state.object_id == 2 and not bench.state.can_undo


def test_an_accept_waits_until_all_of_a_large_layer_was_looked_through(
    bench: Any, grey: Any, monkeypatch: Any
) -> None:
    from napari_clickseg._napari.annotate import classes

    monkeypatch.setattr(classes, "_BLOCK", 200)  # clicks are answered between
    image = bench.viewer.add_image(grey)
    labels = np.zeros(grey.shape, int)
    labels[-1, -1] = 1
    bench.settle()
    bench.controller.adopt(image, annotation=bench.viewer.add_labels(labels))
    bench.click(*A, wait=False)
    bench.do("accept", wait=False)
    bench.settle()
    assert bench.labels[-1, -1] == 1 and bench.labels[A] == 2


def test_ids_that_were_painted_are_left_out(bench: Any, grey: Any) -> None:
    bench.open(grey)
    make(bench, A)
    layer = bench.state.annotation
    layer.selected_label = 5
    layer.paint((100, 20), 5)
    assert bench.state.object_id == 6
    make(bench, B)
    assert ids(bench.labels) == {1, 5, 6}
    layer.data = np.where(bench.labels == 5, 50, bench.labels)
    bench.settle()
    make(bench, C)
    assert ids(bench.labels) == {1, 6, 50, 51}


def test_the_user_may_choose_an_id(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.state.object_id = 30
    make(bench, A, B)
    assert (bench.labels[A], bench.labels[B]) == (30, 31)
    bench.state.object_id = 30
    make(bench, C)
    assert (bench.labels[C], bench.state.object_id) == (30, 32)
    bench.state.object_id = 0
    assert bench.state.object_id == 1


def test_an_id_beyond_the_dtype_is_refused_and_the_mask_stays(bench: Any, grey: Any) -> None:
    image = bench.viewer.add_image(grey)
    labels = np.zeros(grey.shape, np.uint8)
    labels[100:, 100:] = 255
    bench.controller.adopt(image, annotation=bench.viewer.add_labels(labels))
    bench.click(*A)
    bench.do("accept")
    for word in ("256", "uint8", "255", "convert"):
        assert word in bench.state.message
    assert bench.mask[A] and ids(bench.labels) == {255}
    bench.state.object_id = 7
    bench.do("accept")
    assert bench.labels[A] == 7


# ---- classes


def test_objects_of_a_class_share_its_id(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.state.scheme = "classes"
    bench.controller.add_class("bud")
    assert bench.state.class_index == 1 and bench.state.classes[1].identifier == 2
    make(bench, A, B)
    bench.do("next_class")
    make(bench, C)
    assert (bench.labels[A], bench.labels[B], bench.labels[C]) == (2, 2, 1)
    bench.state.scheme = "instances"
    make(bench, (100, 20))
    assert bench.labels[100, 20] == 3, "No class's id is taken for an object."


def test_classes_can_be_changed_but_not_run_out(bench: Any, grey: Any) -> None:
    bench.open(grey)
    controller, state = bench.controller, bench.state
    controller.add_class("bud")
    controller.add_class("vacuole")
    state.class_index = 1
    controller.remove_class(0)
    assert [c.name for c in state.classes] == ["bud", "vacuole"]
    assert state.classes[state.class_index].name == "bud", "The chosen one stays chosen."
    controller.rename_class(0, "daughter", "#123456")
    assert state.classes[0] == ClassSpec(2, "daughter", "#123456")
    controller.remove_class(0)
    controller.remove_class(0)
    assert [c.name for c in state.classes] == ["vacuole"] and "rename" in state.message
    controller.add_class("more")
    assert state.classes[1].identifier == 4


def test_classes_are_saved_with_the_layer_and_come_back(
    make_bench: Callable[..., Any], grey: Any
) -> None:
    """Also those of objects that were accepted in an earlier sitting."""
    bench = make_bench()
    bench.open(grey)
    bench.controller.add_class("bud", "#112233")
    make(bench, A)
    bench.state.class_index = 0
    make(bench, B)
    saved = bench.state.annotation.metadata["napari-clickseg"]
    assert saved["objects"] == {"1": 2, "2": 1} and saved["scheme"] == "instances"
    bench.do("undo")
    assert bench.state.annotation.metadata["napari-clickseg"]["objects"] == {"1": 2}
    bench.do("redo")

    other = make_bench()
    image = other.viewer.add_image(grey)
    layer = other.viewer.add_labels(
        bench.labels.copy(), metadata=dict(bench.state.annotation.metadata)
    )
    other.controller.adopt(image, annotation=layer)
    other.settle()
    assert [c.name for c in other.state.classes] == ["object", "bud"]
    assert other.state.object_id == 3
    make(other, C)
    assert layer.metadata["napari-clickseg"]["objects"] == {"1": 2, "2": 1, "3": 1}
    other.take_up(*A)
    assert other.state.class_index == 1, "The class of the object that is corrected."


@pytest.mark.parametrize(
    "saved",
    [
        3,
        {},
        {"classes": 1, "scheme": "x"},
        {"classes": [{}]},
        {"classes": [], "scheme": "classes", "objects": {}},
    ],
)
def test_broken_metadata_is_no_reason_to_stop(bench: Any, grey: Any, saved: Any) -> None:
    image = bench.viewer.add_image(grey)
    layer = bench.viewer.add_labels(
        np.zeros(grey.shape, int), metadata={"napari-clickseg": saved, "mine": 1}
    )
    bench.controller.adopt(image, annotation=layer)
    make(bench, A)
    assert layer.data[A] == 1 and layer.metadata["mine"] == 1


# ---- skipping, clearing


def test_skipping_leaves_everything_and_can_be_undone(bench: Any, grey: Any) -> None:
    bench.open(grey)
    make(bench, A)
    bench.click(*B)
    bench.do("skip")
    assert bench.mask is None and ids(bench.labels) == {1} and bench.state.object_id == 2
    bench.do("undo")
    assert bench.mask[B]


def test_clearing_begins_the_object_anew(bench: Any, grey: Any) -> None:
    bench.open(grey)
    make(bench, A)
    bench.take_up(*A)
    bench.click(*B)
    bench.do("clear")
    state = bench.state
    assert state.editing and state.object_id == 1 and state.n_positive == 0 and bench.mask is None
    assert bench.labels[A] == 1
    make(bench, C)
    assert bench.labels[C] == 1 and bench.labels[A] == 0 and state.n_objects == 1


def test_clearing_forgets_an_answer_that_is_on_its_way(
    bench: Any, grey: Any, fake_model: Any
) -> None:
    accept_early(bench, grey, fake_model)
    bench.do("clear", wait=False)
    fake_model.gate.set()
    bench.settle()
    assert bench.mask is None and not bench.labels.any() and not bench.state.busy


# ---- what was painted


def test_paint_is_never_lost_by_undo_or_redo(bench: Any, grey: Any) -> None:
    bench.open(grey)
    make(bench, A)
    bench.labels[A[0], :] = 7
    bench.do("undo")
    assert (bench.labels[A[0]] == 7).all() and ids(bench.labels) == {7}
    bench.labels[A[0] + 1, :] = 8
    bench.do("redo")
    assert (bench.labels[A[0]] == 7).all() and (bench.labels[A[0] + 1] == 8).all()
    assert ids(bench.labels) == {1, 7, 8}


# ---- taking up


def test_an_accepted_object_comes_back_with_its_clicks(
    bench: Any, grey: Any, fake_model: Any
) -> None:
    bench.open(grey)
    bench.click(*A)
    bench.click(A[0], A[1] + 8)
    bench.click(A[0], A[1] - 6, positive=False)
    mask = bench.mask
    bench.do("accept")
    make(bench, B)
    forwards = fake_model.forwards
    bench.take_up(*A)
    state = bench.state
    assert (state.editing, state.object_id, state.n_positive, state.n_negative) == (True, 1, 2, 1)
    np.testing.assert_array_equal(bench.mask, mask)
    assert fake_model.forwards == forwards, "The mask that is there is the answer."
    assert "Correct object 1" in state.message


@pytest.mark.parametrize("positive", [True, False])
def test_correcting_changes_the_object_and_keeps_its_id(
    bench: Any, grey: Any, positive: bool
) -> None:
    bench.open(grey)
    make(bench, A, B)
    before = bench.labels.copy()
    bench.take_up(*A)
    bench.click(A[0], A[1] + (30 if positive else 4), positive)
    mask = bench.mask
    assert mask.sum() != (before == 1).sum()
    bench.do("accept")
    np.testing.assert_array_equal(bench.labels == 1, mask)
    np.testing.assert_array_equal(bench.labels == 2, before == 2)
    assert (bench.state.object_id, bench.state.n_objects, bench.state.editing) == (3, 2, False)
    bench.do("undo")
    np.testing.assert_array_equal(bench.labels, before)
    assert bench.state.editing and bench.state.object_id == 1
    for _ in range(2):
        bench.do("undo")
    assert not bench.state.editing and bench.state.object_id == 3


def test_an_object_keeps_its_id_while_another_is_taken_up_elsewhere(bench: Any) -> None:
    bench.open(np.random.default_rng(0).random((2, 60, 60)))
    for plane in (0, 1):
        bench.viewer.dims.set_point(0, plane)
        make(bench, (30, 30))
    for plane in (0, 1):
        bench.viewer.dims.set_point(0, plane)
        bench.take_up(30, 30)
    bench.viewer.dims.set_point(0, 0)
    bench.settle()
    assert bench.state.object_id == 1 and bench.state.editing
    bench.click(30, 56)
    bench.do("accept")
    assert bench.labels[0, 30, 56] == 1
    bench.state.object_id = 3
    bench.viewer.dims.set_point(0, 1)
    bench.settle()
    bench.state.object_id = 9
    assert bench.state.object_id == 2 and "keeps its id" in bench.state.message


def test_an_object_that_was_painted_on_comes_back_as_it_is_now(bench: Any, grey: Any) -> None:
    bench.open(grey)
    make(bench, A)
    bench.labels[100:110, 20:30] = 1
    now = bench.labels == 1
    bench.take_up(*A)
    np.testing.assert_array_equal(bench.mask, now)
    bench.click(A[0], A[1] + 30)
    bench.do("accept")
    assert bench.state.n_objects == 1 and bench.labels[A[0], A[1] + 30] == 1


def test_a_click_that_was_painted_over_is_none_of_the_object_any_more(
    bench: Any, grey: Any
) -> None:
    """What was painted stays, and a positive click is never outside the mask."""
    bench.open(grey)
    bench.click(*A)
    bench.click(A[0], A[1] + 6)
    bench.do("accept")
    bench.labels[A[0] - 1 : A[0] + 2, A[1] - 1 : A[1] + 2] = 0
    now = bench.labels == 1
    bench.take_up(A[0], A[1] + 6)
    np.testing.assert_array_equal(bench.mask, now)
    assert [click.pixel for click in bench.controller.prompt().clicks] == [(A[0], A[1] + 6)]
    assert (bench.state.n_positive, bench.state.n_objects) == (1, 1)
    bench.do("skip")
    np.testing.assert_array_equal(bench.labels == 1, now)


def test_a_brushed_shape_can_be_the_start(bench: Any, grey: Any) -> None:
    bench.open(grey)
    layer = bench.state.annotation
    layer.selected_label, layer.brush_size = 4, 9
    layer.paint((60, 60), 4)
    brushed = layer.data == 4
    bench.take_up(60, 60)
    assert bench.state.editing and bench.state.object_id == 4
    np.testing.assert_array_equal(bench.mask, brushed)
    bench.click(60, 75)
    bench.do("accept")
    assert (bench.labels[60, 75], bench.labels[60, 60], bench.state.object_id) == (4, 4, 5)


@pytest.mark.parametrize("flat", [True, False])
def test_a_region_of_another_layer_can_be_the_start(bench: Any, flat: bool) -> None:
    """As Cellpose makes it, with fewer axes too; it becomes a new object, the source stays."""
    bench.open(np.random.default_rng(0).random((2, 60, 70)), scale=(9, 2, 2), translate=(0, 5, 5))
    other = np.zeros((60, 70) if flat else (2, 60, 70), int)
    other[..., 10:20, 10:30] = 12
    place: dict[str, Any] = {"scale": (9, 2, 2), "translate": (0, 5, 5)}
    if flat:
        place = {name: value[1:] for name, value in place.items()}
    source = bench.viewer.add_labels(other.copy(), **place)
    bench.state.region_source = source
    bench.viewer.dims.set_point(0, 9)
    bench.take_up(15, 15)
    assert not bench.state.editing and bench.mask.sum() == 200
    bench.do("accept")
    assert ids(bench.labels[1]) == {1} and not bench.labels[0].any()
    np.testing.assert_array_equal(source.data, other)
    bench.viewer.layers.remove(source)
    assert bench.state.region_source is None


@pytest.mark.parametrize(
    ("shape", "place"),
    [((60, 71), {}), ((60, 70), {"translate": (0, 1)}), ((60, 70), {"scale": (1, 1.5)}),
     ((60, 70), {"rotate": 5})],
)  # fmt: skip
def test_a_layer_that_lies_elsewhere_is_refused(bench: Any, shape: Any, place: Any) -> None:
    bench.open(np.zeros((60, 70)))
    bench.state.region_source = bench.viewer.add_labels(np.ones(shape, int), name="theirs", **place)
    bench.take_up(15, 15)
    assert bench.mask is None
    assert "theirs" in bench.state.message and "same size and place" in bench.state.message


def test_where_nothing_is_nothing_is_taken_up(bench: Any, grey: Any) -> None:
    bench.open(grey)
    make(bench, A)
    bench.click(*B)
    bench.take_up(100, 20)
    assert "no region under the pointer" in bench.state.message and bench.mask[B]
    bench.take_up(500, 20)
    assert "outside" in bench.state.message and bench.mask[B]


def test_only_the_part_pointed_at_is_taken_up_where_classes_share_an_id(
    bench: Any, grey: Any
) -> None:
    bench.open(grey)
    bench.state.scheme = "classes"
    bench.controller.add_class("bud")
    make(bench, A, B)
    bench.state.class_index = 0
    bench.labels[100:110, 20:30] = 2
    bench.take_up(*A)
    assert bench.mask[A] and not bench.mask[B] and bench.state.class_index == 1
    bench.click(A[0], A[1] + 30)
    bench.do("accept")
    assert bench.labels[A[0], A[1] + 30] == 2 and bench.labels[B] == 2
    bench.take_up(105, 25)
    assert bench.mask.sum() == 100


def test_a_click_right_after_taking_up_is_a_correction(
    bench: Any, grey: Any, fake_model: Any
) -> None:
    """The region is fetched in the background; the click must not be swallowed by it."""
    bench.open(grey)
    make(bench, A)
    bench.controller._take_up_at(bench.world(*A))
    bench.click(A[0], A[1] + 30, wait=False)
    bench.do("accept", wait=False)
    bench.settle()
    assert bench.labels[A[0], A[1] + 30] == bench.labels[A] == 1 and bench.state.n_objects == 1


def test_a_region_is_taken_up_after_what_waits_before_it(
    bench: Any, grey: Any, fake_model: Any
) -> None:
    bench.open(grey)
    make(bench, A)
    fake_model.gate.clear()
    bench.click(*B, wait=False)
    bench.do("accept", wait=False)
    bench.controller._take_up_at(bench.world(*A))
    fake_model.gate.set()
    bench.settle()
    assert bench.labels[B] == 2 and bench.state.editing and bench.state.object_id == 1


@pytest.mark.parametrize("large", [2**31 + 5, 2**40, 2**62])
def test_objects_among_huge_and_negative_ids_are_made_corrected_and_deleted(
    bench: Any, grey: Any, large: int
) -> None:
    image = bench.viewer.add_image(grey)
    labels = np.full(grey.shape, -1, np.int64)
    labels[100:110, 100:110] = large
    labels[0:5, 0:5] = -7
    bench.controller.adopt(image, annotation=bench.viewer.add_labels(labels))
    bench.settle()
    bench.take_up(2, 2)
    assert "no region" in bench.state.message
    bench.take_up(105, 105)
    assert bench.state.editing and bench.state.object_id == large
    bench.do("accept")
    assert (bench.labels == large).sum() == 100
    make(bench, A)
    assert bench.labels[A] == large + 1
    bench.take_up(105, 105)
    bench.do("delete")
    assert not (bench.labels == large).any() and bench.labels[A] == large + 1
    bench.do("undo")
    assert (bench.labels == large).sum() == 100
    assert (bench.labels[0:5, 0:5] == -7).all()


def test_labels_that_are_hidden_take_what_is_accepted_and_undone_whatever_is_displayed(
    bench: Any,
) -> None:
    """napari does not follow the sliders with what is hidden, but writes by what it shows."""
    bench.open(np.zeros((5, 60, 70), np.uint8))
    layer = bench.pairing.annotation
    layer.paint((0, 50, 60), 7)
    layer.visible = False
    bench.viewer.dims.roll()  # now planes of 5 x 60 pixels are looked at
    bench.viewer.dims.set_point(2, 69)
    bench.settle()
    bench.click(3, 55)
    bench.do("accept")
    plane = bench.controller.displayed()
    assert plane is not None and layer.data[plane.key(3, 55)] > 0, bench.state.message
    accepted = layer.data.copy()
    for _ in range(3):
        bench.do("undo")
    assert not layer.data.any()
    for _ in range(3):
        bench.do("redo")
    np.testing.assert_array_equal(layer.data, accepted)
    layer.visible = True
    np.testing.assert_array_equal(layer._slice.image.raw, layer.data[plane.key(*2 * [slice(None)])])
