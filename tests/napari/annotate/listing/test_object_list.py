"""The list says what is on the displayed plane, and what is done to several objects is one step."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

A, B, C, FAR = (20, 20), (20, 60), (60, 40), (90, 130)


@pytest.fixture
def listing(bench: Any, grey: np.ndarray) -> Any:
    """A bench with three objects: two that were clicked, one that was painted before."""
    labels = np.zeros(grey.shape, np.int32)
    labels[50:70, 30:50] = 70_000
    bench.viewer.add_labels(labels, name="mine")
    image = bench.viewer.add_image(grey)
    bench.controller.adopt(image, annotation=bench.viewer.layers["mine"])
    bench.settle()
    bench.controller.add_class("nucleus")
    bench.state.class_index = 0
    for at in (A, B):
        bench.click(*at)
        bench.do("accept")
    bench.state.listing = True
    settle(bench)
    return bench


def settle(bench: Any) -> None:
    bench.wait(lambda: bench.controller.runner.idle and bench.controller.listing.idle)


def listed(bench: Any) -> dict[int, tuple[int, int, float]]:
    """Return area, class and clicks of each object."""
    settle(bench)
    table = bench.state.objects
    rows = zip(table.regions.ids, table.regions.areas, table.classes, table.clicks, strict=True)
    return {int(i): (int(a), int(c), -1 if np.isnan(n) else int(n)) for i, a, c, n in rows}


def counted(bench: Any) -> dict[int, int]:
    ids, areas = np.unique(bench.labels, return_counts=True)
    return {int(i): int(a) for i, a in zip(ids, areas, strict=True) if i}


def ids(bench: Any) -> list[int]:
    return sorted(counted(bench))


def test_the_list_is_what_the_labels_hold_whatever_changes_them(listing: Any) -> None:
    bench, layer = listing, listing.state.annotation
    painted, first, second = 70_000, *[one.value for one in bench.pairing.scene.objects]
    rows = listed(bench)
    assert {i: a for i, (a, *_) in rows.items()} == counted(bench)
    assert rows[painted][1:] == (0, -1) and rows[first][1:] == (1, 1)
    bench.click(90, 90)
    bench.do("accept")
    layer.mode, layer.selected_label, layer.brush_size = "paint", second, 9
    layer.paint(C, second)  # over the painted one
    assert {i: a for i, (a, *_) in listed(bench).items()} == counted(bench)
    for action in ("undo", "undo", "undo", "redo"):
        bench.do(action)
        assert {i: a for i, (a, *_) in listed(bench).items()} == counted(bench)
    layer.data = np.zeros_like(layer.data)
    assert listed(bench) == {}
    layer.data = np.full_like(layer.data, 3)
    assert set(listed(bench)) == {3}
    bench.viewer.layers.remove(layer)
    assert listed(bench) == {}


def test_nothing_is_counted_while_nobody_looks(listing: Any) -> None:
    listing.state.listing = False
    assert listed(listing) == {}
    listing.click(90, 90)
    listing.do("accept")
    assert listed(listing) == {}
    listing.state.listing = True
    assert set(listed(listing)) == set(counted(listing))


def test_another_class_for_several_is_one_step_also_for_what_was_painted(listing: Any) -> None:
    bench = listing
    before, labels = listed(bench), np.array(bench.labels)
    bench.controller.listing.pick(ids(bench))
    bench.controller.listing.give_class(1)
    after = listed(bench)
    assert {one for _, one, _ in after.values()} == {2}
    assert "3 objects are of class “nucleus” now" in bench.state.message
    assert bench.state.annotation.metadata["napari-clickseg"]["objects"]["70000"] == 2
    assert np.array_equal(bench.labels, labels)
    bench.do("undo")
    assert listed(bench) == before
    bench.do("redo")
    assert listed(bench) == after


def test_what_is_corrected_keeps_the_class_that_it_is_given_in_the_list(listing: Any) -> None:
    bench = listing
    for place, value in ((A, bench.pairing.scene.objects[0].value), ((60, 40), 70_000)):
        bench.take_up(*place)
        bench.controller.listing.pick([value])
        bench.controller.listing.give_class(1)
        assert listed(bench)[value][1] == 2
        bench.click(place[0] + 4, place[1])
        bench.do("accept")
        assert listed(bench)[value][1] == 2
        same = [one for one in bench.pairing.scene.objects if one.value == value]
        assert len(same) == 1, "an object is noted once"


def test_several_are_deleted_in_one_step_and_come_back_with_all_that_is_known(
    listing: Any,
) -> None:
    bench = listing
    before, labels = listed(bench), np.array(bench.labels)
    bench.take_up(*A)
    bench.controller.listing.pick(ids(bench))
    bench.controller.listing.delete()
    assert listed(bench) == {} and not np.any(bench.labels)
    assert not bench.state.editing and bench.state.picked == ()
    bench.do("undo")
    assert listed(bench) == before and np.array_equal(bench.labels, labels)


def test_merging_gives_the_lowest_id_the_class_of_the_largest_and_no_score(listing: Any) -> None:
    bench, labels = listing, np.array(listing.labels)
    lowest, *others = ids(bench)
    largest = max(counted(bench).items(), key=lambda one: one[1])[0]
    assert largest != lowest
    bench.controller.listing.pick([largest])
    bench.controller.listing.give_class(1)
    settle(bench)
    bench.controller.listing.pick([lowest, *others])
    bench.controller.listing.merge()
    assert listed(bench) == {lowest: (int((labels > 0).sum()), 2, 2)}
    assert "Its class is “nucleus”" in bench.state.message, "said, as there were two classes"
    assert np.isnan(bench.state.objects.scores[0])
    bench.do("undo")
    assert np.array_equal(bench.labels, labels)
    bench.controller.listing.pick([lowest])
    bench.controller.listing.merge()
    assert "two objects or more" in bench.state.message
    assert np.array_equal(bench.labels, labels)


def test_going_to_an_object_centres_it_and_outlines_it(listing: Any) -> None:
    bench = listing
    bench.controller.listing.pick([70_000])
    settle(bench)
    assert np.allclose(bench.viewer.scene.camera.center[1:], (59.5, 39.5))
    assert len(bench.state.picked_edges.ends) == 80
    bench.controller.listing.pick([])
    settle(bench)
    assert not len(bench.state.picked_edges.ends)


def test_where_ids_are_classes_pieces_are_listed_and_changed(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.state.scheme = "classes"
    bench.controller.add_class("nucleus")
    bench.state.class_index = 0
    for at in (A, FAR):
        bench.click(*at)
        bench.do("accept")
    bench.state.listing = True
    settle(bench)
    labels, keys = np.array(bench.labels), bench.state.objects.regions.keys.tolist()
    assert len(keys) == 2 and set(np.unique(labels)) == {0, 1}
    assert bench.state.objects.clicks.tolist() == [1, 1]
    bench.controller.listing.pick(keys[:1])
    bench.controller.listing.give_class(1)
    settle(bench)
    assert bench.labels[A] == 2 and bench.labels[FAR] == 1
    bench.controller.listing.pick(keys)
    bench.controller.listing.merge()
    assert "Ids are classes here" in bench.state.message
    bench.controller.listing.delete()
    settle(bench)
    assert not np.any(bench.labels) and len(bench.state.objects) == 0
    bench.do("undo")
    bench.do("undo")
    assert np.array_equal(bench.labels, labels)


def test_a_stack_lists_the_plane_that_is_displayed(bench: Any, grey: Any) -> None:
    bench.open(np.stack([grey, grey, grey]))
    bench.state.listing = True
    bench.viewer.dims.set_current_step(0, 1)
    bench.click(*A)
    bench.do("accept")
    assert set(listed(bench)) == {1}
    bench.controller.listing.pick([1])
    bench.viewer.dims.set_current_step(0, 2)
    assert listed(bench) == {} and bench.state.picked == ()
    bench.controller.listing.delete()
    assert "Choose objects" in bench.state.message
    bench.do("undo")
    assert bench.viewer.dims.current_step[0] == 1
    assert listed(bench) == {}
    bench.viewer.dims.ndisplay = 3
    assert listed(bench) == {}


def test_labels_that_cannot_be_written_stay_and_it_is_said(listing: Any) -> None:
    bench = listing
    bench.labels.flags.writeable = False
    bench.controller.listing.pick(ids(bench))
    bench.controller.listing.delete()
    settle(bench)
    assert "read-only" in bench.state.message and len(listed(bench)) == 3


def test_journals_hold_what_was_done_to_several(listing: Any) -> None:
    """A step of the list is a step like any other: what its writes say makes the labels again."""
    bench = listing
    bench.controller.listing.pick(ids(bench)[:2])
    bench.controller.listing.merge()
    settle(bench)
    entry = bench.pairing.timeline.steps[-1]
    again = np.zeros(bench.labels.size, np.int64)
    for write in entry.writes:
        for part in write.relabellings(bench.labels.shape):
            again[part.runs.positions()] = part.new
    where = again > 0
    assert np.array_equal(np.ravel(bench.labels)[where], again[where])
    assert [one.value for one in entry.after.objects] == [ids(bench)[1], ids(bench)[0]]


def many(bench: Any, side: int = 10) -> Any:
    """Open an image with ten thousand labelled squares, half as wide as the steps between them."""
    image = np.zeros((100 * side + 100, 100 * side + 100), np.uint8)
    labels = np.zeros(image.shape, np.int32)
    squares = np.kron(1 + np.arange(10_000).reshape(100, 100), np.ones((side // 2,) * 2, int))
    at = np.arange(100 * side).reshape(100, side)[:, : side // 2].ravel() + 3
    labels[np.ix_(at, at)] = squares
    bench.viewer.add_labels(labels, name="mine")
    layer = bench.viewer.add_image(image)
    bench.controller.adopt(layer, annotation=bench.viewer.layers["mine"])
    bench.state.listing = True
    settle(bench)
    assert len(bench.state.objects) == 10_000
    return bench


def test_a_change_that_is_written_in_parts_is_whole_for_whoever_reads_it_or_takes_it_back(
    bench: Any,
) -> None:
    from napari_clickseg._napari.annotate.pairing import finish_writing

    labels = np.zeros((800, 800), np.int32)
    labels[:390, :390], labels[:390, 410:], labels[410:, :390], labels[410:, 410:] = 1, 2, 3, 4
    annotation = bench.viewer.add_labels(labels.copy(), name="mine")
    image = bench.viewer.add_image(np.zeros(labels.shape, np.uint8))
    bench.controller.adopt(image, annotation=annotation)
    bench.state.listing = True
    settle(bench)

    def begin_to_delete() -> None:
        bench.controller.listing.pick([1, 2, 3, 4])
        bench.controller.listing.delete()
        bench.wait(lambda: bench.pairing.is_writing)
        assert bench.labels.any(), "there is something left to be written"

    begin_to_delete()
    finish_writing(annotation)
    assert not bench.labels.any() and not bench.pairing.is_writing
    bench.do("undo", wait=False)
    assert bench.pairing.is_writing
    bench.do("redo", wait=False)
    bench.do("undo", wait=False)
    settle(bench)
    assert np.array_equal(bench.labels, labels) and len(bench.state.objects) == 4
    begin_to_delete()
    bench.do("undo", wait=False)
    settle(bench)
    assert np.array_equal(bench.labels, labels) and len(bench.state.objects) == 4
    begin_to_delete()
    bench.viewer.layers.remove(annotation)
    assert not annotation.data.any(), "and where the layer is taken away"


@pytest.mark.slow
def test_what_is_done_to_ten_thousand_objects_at_once_holds_the_window_in_no_slot(
    bench: Any, longest_slot: Callable[[Any], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another class, one object of many, none at all; and undo and redo of each."""
    import time

    from napari_clickseg._napari.viewer.runner import Runner

    many(bench, 16)
    bound, slots, hand_over = longest_slot(bench.viewer), [], Runner._hand_over

    def timed(act: Callable[..., object], *args: Any) -> None:
        start = time.thread_time()
        act(*args)
        slots.append(time.thread_time() - start)

    monkeypatch.setattr(Runner, "_hand_over", lambda self, one: timed(hand_over, self, one))
    listing, every = bench.controller.listing, bench.state.objects.regions.keys.tolist()
    bench.controller.add_class("other")
    settle(bench)
    labels = np.array(bench.labels)
    for change, left in (
        (lambda: listing.give_class(1), 10_000),
        (listing.merge, 1),
        (listing.delete, 0),
    ):
        listing.pick(every)
        settle(bench)
        held: dict[str, list[float]] = {"do": [], "undo": [], "redo": []}
        for _ in range(2):  # what holds the window by itself does so each time
            for name in ("do", "undo", "redo", "undo"):
                slots.clear()
                timed(change) if name == "do" else timed(partial(bench.do, name, wait=False))
                settle(bench)
                held[name].append(max(slots))
                wanted = 10_000 if name == "undo" else left
                assert len(bench.state.objects) == wanted == len(np.unique(bench.labels)) - 1
            listing.pick(every)
            settle(bench)
        assert np.array_equal(bench.labels, labels)
        longest = max(min(some) for some in held.values())
        assert longest < bound, f"{1000 * longest:.1f} ms of {1000 * bound:.1f}: {held}"


def test_of_ten_thousand_objects_no_step_holds_the_window(
    bench: Any, longest_slot: Callable[[Any], float]
) -> None:
    import time

    many(bench)
    bound, slots = longest_slot(bench.viewer), []

    def timed(act: Callable[[], object]) -> None:
        best = []
        for _ in range(3):
            start = time.thread_time()
            act()
            best.append(time.thread_time() - start)
            settle(bench)
        slots.append(min(best))

    before = bench.state.objects
    bench.click(1060, 1060)
    for column in ("id", "class", "area", "score", "clicks"):
        timed(lambda column=column: before.order(column, falling=True))
    timed(bench.controller.listing.refresh)
    timed(lambda: bench.controller.listing.pick(before.regions.keys[5:6].tolist()))
    timed(lambda: bench.controller.listing.pick(before.regions.keys.tolist()))
    assert max(slots) < bound, f"{1000 * max(slots):.1f} ms of {1000 * bound:.1f}"
