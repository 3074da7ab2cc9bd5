"""What is made is kept as it is made, and is offered again after the program has gone."""

from __future__ import annotations

import threading
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_clickseg._napari.viewer import changes
from napari_clickseg.journal.recording import read_journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Benches = Callable[..., Any]


def kept(home: Path) -> list[Path]:
    return sorted((home / "journals").glob("*.jsonl"))


def crash(bench: Any) -> None:
    """End as a killed program does: nothing is closed, but its locks are the system's."""
    autosave = bench.controller.autosave
    assert autosave.flush()
    for recorder in autosave._recorders.values():
        if recorder._place is not None:
            recorder._place.release()


def crashed_after_an_object(make_bench: Benches, grey: np.ndarray, home: Path) -> Any:
    bench = make_bench(home=home)
    bench.open(grey)
    bench.click(30, 40)
    bench.do("accept")
    crash(bench)
    return bench


def open_again(make_bench: Benches, grey: np.ndarray, home: Path, **options: Any) -> Any:
    bench = make_bench(home=home)
    bench.open(grey, **options)
    assert bench.controller.autosave.flush()
    bench.controller.deliver()
    return bench


def annotate(bench: Any) -> None:
    """Accept two objects, paint on one, undo a third one, and begin another one."""
    bench.click(30, 40)
    bench.do("accept")
    bench.click(80, 100)
    bench.click(84, 120, positive=False)
    bench.do("accept")
    layer = bench.pairing.annotation
    layer.selected_label, layer.brush_size = 2, 9
    layer.mode = "paint"
    layer.paint((90, 130), 2)
    bench.click(20, 140)
    bench.do("accept")
    bench.do("undo")
    bench.do("undo")  # the click of the third object, too
    bench.click(60, 20)


def test_all_that_was_made_is_taken_up_again_with_undo(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    first = make_bench(home=tmp_path)
    first.open(grey)
    annotate(first)
    labels, scene, mask = first.labels.copy(), first.pairing.scene, first.mask
    crash(first)

    second = open_again(make_bench, grey, tmp_path)
    assert not second.labels.any()  # never unasked
    assert "2 objects and 1 click" in second.state.unsaved_work
    second.controller.autosave.take_up()
    second.settle()
    assert np.array_equal(second.labels, labels)
    assert second.pairing.scene == scene
    assert np.array_equal(second.mask, mask)
    assert second.state.unsaved_work == ""
    steps = 0
    while second.state.can_undo:
        for bench in (first, second):
            bench.do("undo")
        steps += 1
        assert np.array_equal(second.labels, first.labels)
        assert second.pairing.scene == first.pairing.scene
    assert steps == 7
    assert not second.labels.any()
    for _ in range(steps):
        second.do("redo")
    assert np.array_equal(second.labels, labels)


def test_who_goes_on_after_that_loses_nothing_either(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    first = make_bench(home=tmp_path)
    first.open(grey)
    annotate(first)
    crash(first)
    second = open_again(make_bench, grey, tmp_path)
    second.controller.autosave.take_up()
    second.settle()
    second.do("accept")
    second.click(100, 60)
    second.do("accept")
    labels = second.labels.copy()
    assert labels.max() == 4
    crash(second)
    third = open_again(make_bench, grey, tmp_path)
    third.controller.autosave.take_up()
    third.settle()
    assert np.array_equal(third.labels, labels)
    assert len(kept(tmp_path)) == 1


def test_what_is_forgotten_is_offered_no_more(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    first = make_bench(home=tmp_path)
    first.open(grey)
    annotate(first)
    crash(first)
    second = open_again(make_bench, grey, tmp_path)
    second.controller.autosave.forget()
    assert second.state.unsaved_work == ""
    assert second.controller.autosave.flush()
    third = open_again(make_bench, grey, tmp_path)
    assert third.state.unsaved_work == "" and not kept(tmp_path)


def test_who_has_begun_something_else_is_told_and_loses_neither(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    first = make_bench(home=tmp_path)
    first.open(grey)
    annotate(first)
    labels = first.labels.copy()
    crash(first)
    second = open_again(make_bench, grey, tmp_path)
    second.click(50, 50)
    second.controller.autosave.take_up()
    assert "begun something else" in second.state.message
    assert not second.labels.any() and second.state.unsaved_work
    second.do("accept")
    other = second.labels.copy()
    crash(second)
    second.controller.close()
    assert len(kept(tmp_path)) == 2
    left = [read_journal(path).labels() for path in kept(tmp_path)]
    assert any(np.array_equal(one, labels) for one in left)
    assert any(np.array_equal(one, other) for one in left)


def test_what_came_to_nothing_does_not_hide_what_was_left_before(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    first = make_bench(home=tmp_path)
    first.open(grey)
    first.click(30, 40)
    first.do("accept")
    labels = first.labels.copy()
    crash(first)
    second = open_again(make_bench, grey, tmp_path)
    assert "1 object" in second.state.unsaved_work
    second.click(80, 100)  # something else
    second.do("accept")
    second.take_up(80, 100)
    second.do("delete")
    assert not second.labels.any()
    second.controller.close()
    assert second.controller.autosave.thread.close()
    assert len(kept(tmp_path)) == 2
    third = open_again(make_bench, grey, tmp_path)
    assert "1 object" in third.state.unsaved_work
    third.controller.autosave.take_up()
    third.settle()
    assert np.array_equal(third.labels, labels)


def test_that_all_labels_were_deleted_is_offered_where_they_are_still_there(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    labels = np.zeros(grey.shape, np.uint16)
    labels[30:60, 40:70] = 1

    def opened() -> Any:
        bench = make_bench(home=tmp_path)
        layer = bench.viewer.add_labels(labels.copy(), name="theirs")
        image = bench.viewer.add_image(grey)
        bench.controller.adopt(image, annotation=layer)
        bench.settle()
        assert bench.controller.autosave.flush()
        bench.controller.deliver()
        return bench

    first = opened()
    first.take_up(45, 55)
    first.do("delete")
    assert not first.labels.any()
    crash(first)
    second = opened()
    assert second.state.unsaved_work
    second.controller.autosave.take_up()
    second.settle()
    assert not second.labels.any()


def test_an_image_nobody_touched_leaves_no_file(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    bench = open_again(make_bench, grey, tmp_path)
    bench.controller.close()
    assert not kept(tmp_path)


def test_what_was_saved_is_offered_no_more_and_what_came_after_is(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    from napari_clickseg._napari.viewer.changes import note_saved

    first = make_bench(home=tmp_path)
    first.open(grey)
    first.click(30, 40)
    first.do("accept")
    note_saved(first.pairing.annotation, (), first.pairing.timeline.writes)
    saved = first.labels.copy()
    assert first.controller.autosave.flush()
    assert not read_journal(kept(tmp_path)[0]).unsaved
    first.click(80, 100)
    first.do("accept")
    labels = first.labels.copy()
    crash(first)
    # As where the saved labels are opened with the image.
    second = make_bench(home=tmp_path)
    image = second.viewer.add_image(grey)
    second.controller.adopt(image, annotation=second.viewer.add_labels(saved))
    second.settle()
    assert second.controller.autosave.flush()
    second.controller.deliver()
    assert second.state.unsaved_work
    second.controller.autosave.take_up()
    second.settle()
    assert np.array_equal(second.labels, labels)


def test_an_image_closed_at_once_and_opened_again_is_offered_what_was_left(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    crashed_after_an_object(make_bench, grey, tmp_path)

    second = make_bench(home=tmp_path)
    controller, layers = second.controller, second.viewer.layers
    autosave, gate = controller.autosave, threading.Event()
    controller.set_up(second.viewer.add_image(grey))
    assert autosave.flush()  # it has found the journal, and nobody was told
    autosave.thread.do(gate.wait)
    layers.clear()
    controller.set_up(second.viewer.add_image(grey))
    controller.deliver()  # the first one is told, and is not there any more
    gate.set()
    for _ in range(3):
        assert autosave.flush()
        second.settle()
    assert second.state.unsaved_work
    autosave.take_up()
    second.settle()
    assert second.labels.any()


@pytest.mark.parametrize(
    ("afterwards", "said"),
    [
        (lambda bench: bench.click(80, 100), "1 click on the next object."),
        (lambda bench: (bench.click(80, 100), bench.do("accept")), "1 object."),
        (lambda bench: (bench.take_up(30, 40), bench.do("delete")), "changes of saved objects."),
    ],
)
def test_what_was_saved_is_not_counted_in_what_was_left(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path, afterwards: Any, said: str
) -> None:
    from napari_clickseg._napari.viewer.changes import note_saved

    first = make_bench(home=tmp_path)
    first.open(grey)
    first.click(30, 40)
    first.do("accept")
    first.click(30, 130)
    first.do("accept")
    note_saved(first.pairing.annotation, (), first.pairing.timeline.writes)
    afterwards(first)
    crash(first)
    second = open_again(make_bench, grey, tmp_path)
    assert second.state.unsaved_work.endswith(f": {said}")


def test_what_was_said_of_completeness_comes_back_also_where_nothing_else_was_done(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    first = make_bench(home=tmp_path)
    first.open(np.stack([grey, grey]))
    first.controller.mark_complete(True)
    first.viewer.dims.set_current_step(0, 1)
    first.controller.mark_complete(True)
    first.controller.mark_complete(False)
    crash(first)

    second = open_again(make_bench, np.stack([grey, grey]), tmp_path)
    assert "whether all objects are labelled" in second.state.unsaved_work
    assert second.state.complete is None
    second.viewer.dims.set_current_step(0, 0)
    second.controller.autosave.take_up()
    second.settle()
    assert second.state.complete is True and second.state.unsaved_work == ""
    second.viewer.dims.set_current_step(0, 1)
    assert second.state.complete is False
    layer = second.pairing.annotation
    changes.note_saved(layer, (), second.pairing.timeline.writes)
    crash(second)

    third = open_again(make_bench, np.stack([grey, grey]), tmp_path)
    assert third.state.unsaved_work == "", "it is saved elsewhere by now"


def test_labels_that_were_there_before_and_saved_nowhere_come_back_too(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    first = make_bench(home=tmp_path)
    image = first.viewer.add_image(grey)
    mine = np.zeros(grey.shape, np.uint16)
    mine[5:20, 100:150] = 7
    first.controller.adopt(image, annotation=first.viewer.add_labels(mine))
    first.settle()
    first.click(60, 40)
    first.do("accept")
    assert first.labels.max() == 8
    crash(first)
    second = open_again(make_bench, grey, tmp_path)
    second.controller.autosave.take_up()
    second.settle()
    assert np.array_equal(second.labels, first.labels)
    second.click(100, 100)
    second.do("accept")
    assert second.labels.max() == 9  # an id that nothing had


@pytest.mark.parametrize("clicked", [True, False])
def test_labels_that_were_there_before_come_back_also_where_nothing_was_accepted(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path, clicked: bool
) -> None:
    first = make_bench(home=tmp_path)
    image = first.viewer.add_image(grey)
    mine = np.zeros(grey.shape, np.uint16)
    mine[5:20, 100:150] = 7
    first.controller.adopt(image, annotation=first.viewer.add_labels(mine.copy()))
    first.settle()
    if clicked:
        first.click(60, 40)
    else:
        first.controller.mark_complete(True)
    crash(first)
    second = open_again(make_bench, grey, tmp_path)
    assert not second.labels.any()
    said = "1 click on the next object, and other labels" if clicked else "labels, and whether"
    assert said in second.state.unsaved_work
    second.controller.autosave.take_up()
    second.settle()
    assert np.array_equal(second.labels, mine)
    assert len(second.pairing.scene.marks) == clicked
    assert second.state.complete is (None if clicked else True)
    second.do("accept")
    assert second.labels.max() == (8 if clicked else 7)
    crash(second)
    third = open_again(make_bench, grey, tmp_path)
    third.controller.autosave.take_up()
    third.settle()
    assert np.array_equal(third.labels, second.labels)


@pytest.mark.parametrize("rolled", [False, True])
def test_labels_on_planes_that_nothing_was_written_on_come_back_too(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path, rolled: bool
) -> None:
    stack = np.stack([grey] * 5)
    first = make_bench(home=tmp_path)
    image = first.viewer.add_image(stack)
    mine = np.zeros(stack.shape, np.uint16)
    mine[:, 5:20, 100:150] = 7
    first.controller.adopt(image, annotation=first.viewer.add_labels(mine))
    if rolled:
        first.viewer.dims.roll()
    first.settle()
    first.click(3, 40)
    first.do("accept")
    crash(first)
    second = open_again(make_bench, stack, tmp_path)
    second.controller.autosave.take_up()
    second.settle()
    assert np.array_equal(second.labels, first.labels)


def test_other_data_of_the_annotation_layer_are_noted(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    first = make_bench(home=tmp_path)
    first.open(grey)
    first.click(30, 40)
    first.do("accept")
    other = np.roll(first.labels, 20, axis=0) * 3
    first.pairing.annotation.data = other
    first.click(90, 100)
    first.do("accept")
    labels = first.labels.copy()
    crash(first)
    assert np.array_equal(read_journal(kept(tmp_path)[0]).labels(), labels)


def test_planes_of_a_stack_come_back_each_where_it_was(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    stack = np.stack([grey, grey[::-1], grey[:, ::-1]])
    first = make_bench(home=tmp_path)
    first.open(stack)
    for plane in (2, 0):
        first.viewer.dims.set_point(0, plane)
        first.click(30 + 20 * plane, 40)
        first.do("accept")
    labels = first.labels.copy()
    assert labels[0].any() and labels[2].any() and not labels[1].any()
    crash(first)
    second = open_again(make_bench, stack, tmp_path)
    second.controller.autosave.take_up()
    second.settle()
    assert np.array_equal(second.labels, labels)
    second.do("undo")
    assert not second.labels[0].any() and second.labels[2].any()


def test_classes_come_back_with_the_objects_that_have_them(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    first = make_bench(home=tmp_path)
    first.open(grey)
    first.controller.add_class("nucleus", "#00ff00")
    first.click(30, 40)
    first.do("accept")
    crash(first)
    second = open_again(make_bench, grey, tmp_path)
    second.controller.autosave.take_up()
    second.settle()
    assert [one.name for one in second.state.classes] == ["object", "nucleus"]
    (made,) = second.pairing.scene.objects
    assert made.class_id == 2


def test_layers_that_stayed_open_are_not_offered_to_who_opens_the_widget_again(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    first = make_bench(home=tmp_path)
    image = first.open(grey)
    first.click(30, 40)
    first.do("accept")
    labels, viewer = first.labels, first.viewer
    first.controller.close()
    assert first.controller.autosave.thread.close()
    second = make_bench(viewer, home=tmp_path)
    second.controller.set_up(image)
    second.settle()
    assert second.labels is labels
    assert second.controller.autosave.flush()
    second.controller.deliver()
    assert second.controller.autosave.flush()
    assert second.state.unsaved_work == ""
    second.click(90, 100)
    second.do("accept")
    assert second.controller.autosave.flush()
    (path,) = kept(tmp_path)
    assert np.array_equal(read_journal(path).labels(), labels)


def test_a_full_disk_is_said_and_nothing_else_suffers(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    bench = make_bench(home=tmp_path)
    bench.open(grey)
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", full)
    bench.click(30, 40)
    bench.do("accept")
    assert bench.labels.any()
    bench.wait(lambda: "can't be kept" in bench.state.message)
    monkeypatch.setattr(os, "fsync", sync)
    end = time.monotonic() + 30
    while not bench.controller.autosave.flush():
        assert time.monotonic() < end
    assert np.array_equal(read_journal(kept(tmp_path)[0]).labels(), bench.labels)


def test_which_model_answered_and_how_it_saw_the_image_is_noted(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    bench = make_bench(home=tmp_path)
    image = bench.open(grey)
    assert bench.controller.autosave.flush()
    bench.state.smooth = 2.0
    bench.state.contrast_from_layer = True
    bench.click(30, 40)
    bench.do("accept")
    assert bench.controller.autosave.flush()
    recording = read_journal(kept(tmp_path)[0])
    assert recording.models[-1].name == bench.controller.segmenter.card.name
    assert len(recording.models[-1].sha256) == 64
    assert recording.seen.smooth == 2.0
    assert recording.seen.contrast == tuple(image.contrast_limits)
    assert str(tmp_path / "journals") == bench.state.kept_in


def test_nothing_in_a_journal_names_the_image(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    bench = make_bench(home=tmp_path)
    bench.open(grey, name="Doe, Jane", metadata={"patient": "Doe, Jane"})
    annotate(bench)
    assert bench.controller.autosave.flush()
    (path,) = kept(tmp_path)
    assert b"Doe" not in path.read_bytes() and "Doe" not in path.name


def test_what_was_left_is_offered_also_where_labels_are_made_twice_in_quick_succession(
    make_bench: Benches, grey: np.ndarray, tmp_path: Path
) -> None:
    """What was found for the first ones must not keep it from the others."""
    first = crashed_after_an_object(make_bench, grey, tmp_path)
    second = make_bench(home=tmp_path)
    image = second.viewer.add_image(grey)
    second.controller.set_up(image)
    assert second.controller.autosave.flush(), "It was found, but nobody has been told yet."
    second.viewer.layers.remove(second.pairing.annotation)
    second.controller.set_up(image)
    assert second.controller.autosave.flush()
    second.wait(lambda: "1 object" in second.state.unsaved_work)
    second.controller.autosave.take_up()
    second.settle()
    assert np.array_equal(second.labels, first.labels)


def test_objects_far_apart_on_a_slide_come_back_in_little_memory(
    make_bench: Benches, tmp_path: Path
) -> None:
    side = 30_000  # labels of that take 1.8 GB

    def opened() -> Any:
        bench = make_bench(home=tmp_path)
        levels = [zarr.zeros((side // n, side // n), chunks=512, dtype="u1") for n in (1, 8, 64)]
        bench.open(levels, multiscale=True, contrast_limits=(0, 255))
        assert bench.controller.autosave.flush()
        bench.controller.deliver()
        return bench

    first = opened()
    for at in (100, side - 100):
        first.click(at, at)
        first.do("accept")
    crash(first)
    tracemalloc.start()
    try:
        second = opened()
        second.controller.autosave.take_up()
        second.settle()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    for at in (100, side - 100):
        box = (slice(at - 90, at + 90),) * 2
        there = np.asarray(second.labels[0][box])
        assert there.any() and np.array_equal(there, np.asarray(first.labels[0][box]))
    assert most < 300 << 20
