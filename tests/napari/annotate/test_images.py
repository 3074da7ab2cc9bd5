"""Several images, each with its own layers; and layers that are renamed, deleted, given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("annotation", "prediction", "positive", "negative")


def accept(bench: Any, y: int, x: int) -> None:
    bench.click(y, x)
    bench.do("accept")


# ---- setting up


def test_setting_up_makes_what_is_needed_and_selects_nothing(bench: Any, grey: Any) -> None:
    image = bench.viewer.add_image(grey, name="cells")
    chosen: list[Any] = []
    bench.viewer.layers.selection.events.active.connect(lambda event: chosen.append(event.value))
    bench.controller.set_up()
    state = bench.state
    assert state.image == image and state.tool
    names = [layer.name for layer in bench.viewer.layers]
    assert names == ["cells", "cells annotation", "cells prediction", "cells negative",
                     "cells positive"]  # fmt: skip
    assert bench.viewer.layers.selection.active == image
    assert not chosen, "napari would show the controls of each"
    bench.controller.set_up(image)
    bench.controller.set_up()
    assert len(bench.viewer.layers) == 5 and len(bench.controller.pairings) == 1


def test_the_topmost_image_is_taken_where_none_is_selected(bench: Any, grey: Any) -> None:
    first = bench.viewer.add_image(grey)
    second = bench.viewer.add_image(grey)
    bench.viewer.layers.selection.clear()
    bench.controller.set_up()
    assert bench.state.image == second
    bench.state.probability = True
    bench.viewer.layers.selection.active = bench.pairing.display.probability.layer
    bench.controller.set_up()
    assert bench.state.image == second, "Never one of the layers that show a prediction."
    bench.viewer.layers.selection.active = first
    bench.controller.set_up()
    assert bench.state.image == first


def test_open_layers_are_taken_with_what_is_in_them(bench: Any, grey: Any) -> None:
    image = bench.viewer.add_image(grey)
    labels = bench.viewer.add_labels(np.zeros(grey.shape, int), name="mine")
    positive = bench.viewer.add_points([[60, 80], [20, 30]])
    negative = bench.viewer.add_points([[60, 90]])
    bench.controller.adopt(image, annotation=labels, positive=positive, negative=negative)
    bench.settle()
    state = bench.state
    assert (state.annotation, state.positive, state.negative) == (labels, positive, negative)
    assert (state.n_positive, state.n_negative) == (2, 1)
    assert bench.mask[60, 80] and bench.mask[20, 30] and not bench.mask[60, 90]
    assert len(bench.viewer.layers) == 5
    bench.do("accept")
    assert labels.data[60, 80] == 1 and not len(positive.data)


def test_giving_the_same_layers_again_changes_nothing(bench: Any, grey: Any) -> None:
    """The clicks keep their order, what was answered stays answered, undo still works."""
    image = bench.open(grey)
    accept(bench, 60, 80)
    bench.take_up(60, 80)
    scene, state = bench.pairing.scene, bench.state
    layers = {name: getattr(state, name) for name in ("annotation", "positive", "negative")}
    bench.controller.adopt(image, **layers)
    bench.settle()
    assert bench.pairing.scene == scene and state.can_undo and state.editing
    assert bench.controller.prompt().settled == 1


def refused(bench: Any, image: Any, words: tuple[str, ...], **layers: Any) -> None:
    before = [(layer, layer.data.copy()) for layer in bench.viewer.layers]
    state = {name: getattr(bench.state, name) for name in (*KINDS, "image", "tool")}
    bench.controller.adopt(image, **layers)
    assert all(word in bench.state.message for word in words), bench.state.message
    assert "\n" not in bench.state.message
    assert [layer for layer, _ in before] == list(bench.viewer.layers)
    assert all(np.array_equal(layer.data, data) for layer, data in before)
    for name, value in state.items():
        assert getattr(bench.state, name) == value, name


def test_layers_that_do_not_fit_are_refused_and_nothing_is_changed(bench: Any, grey: Any) -> None:
    image = bench.open(grey)
    accept(bench, 60, 80)
    bench.click(20, 30)
    scene = bench.pairing.scene
    viewer, state = bench.viewer, bench.state
    flat = viewer.add_labels(np.zeros((10, 10), int), name="small")
    deep = viewer.add_points(ndim=3, name="deep")
    fits = viewer.add_labels(np.ones(grey.shape, int), name="fits", translate=(5, 5))
    points = viewer.add_points(ndim=2, name="points")
    refused(bench, image, ("small", "(10, 10)", "choose another"), annotation=flat, positive=points)
    refused(bench, image, ("deep", "3 dimensions"), annotation=fits, positive=deep)
    refused(bench, image, ("layer of their own",), positive=points, negative=points)
    refused(bench, image, ("layer of their own",), annotation=state.prediction)
    assert tuple(fits.translate) == (5, 5)
    assert bench.pairing.scene == scene
    accept(bench, 100, 100)
    assert bench.labels[100, 100] == 2 and bench.labels[20, 30] == 2


def test_layers_that_do_not_fit_the_channels_leave_the_old_ones_working(bench: Any) -> None:
    """A refused layer must not end what was there before."""
    image = bench.open(np.random.default_rng(0).random((2, 60, 70)))
    accept(bench, 30, 40)
    with bench.state.events.channel_axis.blocked():
        bench.state.channel_axis = 0
    old = bench.state.annotation
    bench.controller.adopt(image, annotation=old)
    assert "shape" in bench.state.message
    accept(bench, 10, 10)
    assert old.data[bench.state.plane, 10, 10] == 2
    bench.state.positive.add([0, 50, 60])
    bench.settle()
    assert bench.state.n_positive == 1


def test_another_annotation_begins_its_own_objects(bench: Any, grey: Any) -> None:
    """What was accepted stays in the old layer; undo does not reach into either."""
    image = bench.open(grey)
    accept(bench, 60, 80)
    bench.click(20, 30)
    old = bench.state.annotation
    labels = np.zeros(grey.shape, int)
    labels[100:, 100:] = 6
    new = bench.viewer.add_labels(labels)
    bench.controller.adopt(image, annotation=new)
    bench.settle()
    assert bench.state.annotation == new and bench.state.object_id == 7
    assert bench.state.n_objects == 0 and bench.mask[20, 30]
    for _ in range(5):
        bench.do("undo")
    assert old.data[60, 80] == 1
    bench.do("accept")
    assert new.data[20, 30] == 7 and old.data[20, 30] == 0
    bench.take_up(110, 110)
    assert bench.state.object_id == 6


# ---- several images


def test_every_image_has_its_own_clicks_objects_and_undo(bench: Any, grey: Any) -> None:
    first = bench.open(grey, name="first")
    accept(bench, 60, 80)
    bench.click(20, 30)
    mine = bench.mask
    second = bench.open(grey[:50, :50], name="second")
    assert bench.state.n_positive == 0 and bench.state.object_id == 1
    accept(bench, 10, 10)
    accept(bench, 40, 40)
    bench.viewer.layers.selection.active = first
    bench.settle()
    assert bench.state.image == first and bench.state.object_id == 2
    np.testing.assert_array_equal(bench.mask, mine)
    bench.do("undo")
    bench.do("undo")
    assert not bench.labels.any() and len(bench.controller.pairings) == 2
    bench.viewer.layers.selection.active = bench.controller.pairings[second].positive
    bench.settle()
    assert bench.state.image == second and bench.state.n_objects == 2
    bench.controller.set_up(first)
    assert bench.state.image == first and len(bench.viewer.layers) == 10


def test_going_to_another_image_while_a_click_is_worked_on(
    bench: Any, grey: Any, fake_model: Any
) -> None:
    """The other image gets neither the answer nor the accept."""
    first = bench.open(grey)
    second = bench.open(grey)
    bench.viewer.layers.selection.active = first
    bench.click(60, 80)
    bench.viewer.layers.selection.active = second
    bench.click(20, 30)
    fake_model.gate.clear()
    bench.click(100, 100, wait=False)
    bench.do("accept", wait=False)
    bench.viewer.layers.selection.active = first
    fake_model.gate.set()
    bench.settle()
    assert bench.mask[60, 80] and not bench.mask[20, 30] and not bench.labels.any()
    assert "nothing was accepted" in bench.state.message
    bench.viewer.layers.selection.active = second
    bench.settle()
    assert bench.mask[20, 30] and bench.mask[100, 100] and not bench.labels.any()


def test_classes_and_channels_go_with_the_image(bench: Any, grey: Any) -> None:
    first = bench.viewer.add_image(np.random.default_rng(0).random((2, 60, 70)))
    bench.state.channel_axis = 0
    bench.controller.set_up(first)
    bench.controller.add_class("bud")
    second = bench.viewer.add_image(grey)
    with bench.state.events.channel_axis.blocked():
        bench.state.channel_axis = None
    bench.controller.set_up(second)
    bench.controller.remove_class(1)
    bench.state.scheme = "classes"
    annotations = [bench.controller.pairings[image].annotation for image in (first, second)]
    bench.viewer.layers.selection.active = first
    bench.settle()
    assert bench.state.channel_axis == 0 and bench.state.scheme == "instances"
    assert [c.name for c in bench.state.classes] == ["object", "bud"]
    bench.controller.set_up(first)
    assert bench.state.annotation == annotations[0], "Going back makes no new layers."
    bench.viewer.layers.selection.active = second
    assert bench.state.scheme == "classes" and len(bench.state.classes) == 1
    assert bench.state.annotation == annotations[1]


def test_two_images_may_share_an_annotation(bench: Any, grey: Any) -> None:
    first = bench.open(grey)
    shared = bench.state.annotation
    accept(bench, 60, 80)
    second = bench.viewer.add_image(255 - grey)
    bench.controller.adopt(second, annotation=shared)
    bench.settle()
    bench.viewer.layers.selection.active = shared
    assert bench.state.image == second, "It belongs to the current image as well."
    accept(bench, 20, 30)
    assert shared.data[20, 30] == 2 and shared.data[60, 80] == 1
    bench.viewer.layers.selection.active = first
    assert bench.state.image == first


def test_changing_clicks_of_another_image_is_noted_there(bench: Any, grey: Any) -> None:
    first = bench.open(grey)
    pairing = bench.pairing
    bench.open(np.zeros((3, 50, 50)))
    pairing.positive.add([60, 80])
    bench.settle()
    assert bench.state.n_positive == 0 and pairing.timeline.can_undo
    bench.viewer.layers.selection.active = first
    bench.settle()
    assert bench.mask[60, 80]
    bench.do("undo")
    assert not len(pairing.positive.data)


# ---- renaming and deleting


def test_names_do_not_matter(bench: Any, grey: Any) -> None:
    bench.open(grey)
    for layer in list(bench.viewer.layers):
        layer.name = "same"
    accept(bench, 60, 80)
    assert bench.labels[60, 80] == 1
    bench.do("undo")
    assert bench.mask[60, 80] and len(bench.state.positive.data) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_was_deleted_is_made_again(bench: Any, grey: Any, kind: str) -> None:
    """Nothing is dead meanwhile; 'Annotate this image' heals it, and the clicks are all there."""
    image = bench.open(grey)
    accept(bench, 100, 100)
    bench.click(60, 80)
    bench.click(60, 90, positive=False)
    prompt = bench.controller.prompt()
    gone = getattr(bench.state, kind)
    bench.viewer.layers.remove(gone)
    bench.settle()
    if kind == "prediction":
        assert bench.state.prediction is not None, "It comes back by itself."
    else:
        assert getattr(bench.state, kind) is None
        assert gone.name in bench.state.message and "Annotate this image" in bench.state.message
    bench.click(20, 30)
    bench.do("undo")
    assert bench.mask[60, 80] and not bench.mask[20, 30]
    if kind == "annotation":
        bench.do("accept")
        assert "removed" in bench.state.message and bench.mask[60, 80]
        bench.take_up(100, 100)
        assert "no labels layer" in bench.state.message
    bench.controller.set_up(image)
    bench.settle()
    layer = getattr(bench.state, kind)
    assert layer is not None and layer != gone and layer in bench.viewer.layers
    assert bench.controller.prompt() == prompt
    if kind in ("positive", "negative"):
        assert len(layer.data) == 1
    bench.do("accept")
    assert bench.labels[60, 80] == 2
    gone.data = gone.data  # nobody listens to it any more
    assert bench.state.n_positive == 0


def test_no_labels_are_said_to_be_left_once_all_layers_are_deleted(bench: Any, grey: Any) -> None:
    bench.open(grey)
    accept(bench, 60, 80)
    bench.state.reading, bench.state.readings = 1, 4
    bench.viewer.layers.select_all()
    bench.viewer.layers.remove_selected()
    bench.settle()
    assert (bench.state.reading, bench.state.readings) == (0, 1), "there is none to choose from"
    bench.viewer.add_image(grey, name="another")
    assert "labels" not in bench.state.message


def test_the_image_that_was_deleted_leaves_the_labels(bench: Any, grey: Any) -> None:
    image = bench.open(grey)
    accept(bench, 60, 80)
    bench.click(20, 30)
    labels = bench.state.annotation
    bench.viewer.layers.remove(image)
    bench.settle()
    state = bench.state
    assert state.image is None and not state.tool and not state.busy and not state.can_undo
    assert "labels are still there" in state.message and labels in bench.viewer.layers
    assert labels.data[60, 80] == 1 and state.n_positive == 0
    for action in ("accept", "undo", "skip", "clear", "take_up", "propagate"):
        bench.do(action)
        assert "Choose an image" in state.message
    bench.open(grey)
    assert bench.state.annotation == labels, "its name says whose they are"
    accept(bench, 20, 30)
    assert bench.labels[20, 30] == 2


def test_deleting_everything_at_once_is_no_problem(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.click(60, 80)
    other = bench.viewer.add_points(ndim=2, name="not ours")
    bench.viewer.layers.selection = set(bench.viewer.layers) - {other}
    bench.viewer.layers.remove_selected()
    assert list(bench.viewer.layers) == [other] and bench.state.image is None
    bench.open(grey)
    bench.viewer.layers.clear()
    bench.settle()
    assert bench.state.image is None and not bench.controller.pairings


def test_deleting_another_image_changes_nothing_here(bench: Any, grey: Any) -> None:
    first = bench.open(grey)
    second = bench.open(grey)
    bench.click(60, 80)
    bench.viewer.layers.remove(first)
    bench.settle()
    assert bench.state.image == second and bench.mask[60, 80]
    assert list(bench.controller.pairings) == [second]


def test_other_data_of_another_shape_ends_the_pairing_and_says_so(bench: Any, grey: Any) -> None:
    """Else the next click or accept would fall beyond the layers."""
    image = bench.open(grey)
    accept(bench, 60, 80)
    labels = bench.state.annotation
    bench.click(20, 30)
    image.data = np.zeros((300, 20), np.uint8)
    bench.settle()
    assert bench.state.image is None and "another shape" in bench.state.message
    assert labels.data[60, 80] == 1
    bench.controller.set_up(image)
    accept(bench, 280, 10)
    assert bench.labels.shape == (300, 20) and bench.labels[280, 10] == 1


def test_an_annotation_of_another_shape_is_not_written_to(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.click(100, 140)
    bench.state.annotation.data = np.zeros((30, 30), int)
    bench.do("accept")
    assert "shape" in bench.state.message and bench.mask[100, 140]


# ---- closing


def test_closing_gives_everything_back(
    make_bench: Callable[..., Any], fake_model: Any, grey: Any
) -> None:
    import threading

    bench = make_bench()
    viewer = bench.viewer
    mine = []
    viewer.bind_key("G", mine.append, overwrite=True)  # a key of the user's that is ours now
    bench.controller.close()
    bench = make_bench(viewer)
    keymap = dict(viewer.keymap)
    image = bench.open(grey)
    labels = bench.viewer.add_labels(np.zeros(grey.shape, int))
    viewer.layers.selection.active = labels
    before = (list(viewer.mouse_drag_callbacks), list(viewer.mouse_double_click_callbacks))
    bench.state.tool = False
    labels.mode = "paint"
    bench.state.tool = True
    assert labels.mode == "pan_zoom" and keymap
    accept(bench, 60, 80)
    bench.click(20, 30)
    positive = bench.state.positive
    bench.controller.close()
    bench.controller.close()
    assert bench.controller.runner.join(30)
    assert labels.mode == "paint"
    assert before[0] != viewer.mouse_drag_callbacks
    assert all("ClickTool" not in repr(one) for one in viewer.mouse_drag_callbacks)
    assert [one.__name__ for one in viewer.mouse_double_click_callbacks] == ["double_click_to_zoom"]
    assert all("napari_clickseg" not in (f.__module__ or "") for f in viewer.keymap.values())
    assert fake_model.segmenters[-1]._network is None
    assert not any(thread.name == "napari-clickseg" for thread in threading.enumerate())
    # The layers stay, and nobody listens to them.
    pairing = bench.controller.pairings[image]
    scene = pairing.scene
    layers = list(viewer.layers)
    assert len(layers) == 6
    positive.add([1, 1])
    image.scale = (3, 3)
    assert tuple(positive.scale) == (1, 1)
    viewer.layers.remove(image)
    viewer.dims.ndisplay = 3
    bench.state.threshold = 0.7
    bench.state.object_id = 9
    bench.controller.deliver()
    assert pairing.scene == scene


def test_keys_of_the_user_come_back(make_bench: Callable[..., Any]) -> None:
    from napari.components import ViewerModel
    from napari.utils.key_bindings import coerce_keybinding

    from napari_clickseg._napari.viewer.actions import SHORTCUTS, Action, shortcuts

    viewer, called = ViewerModel(), []
    key = coerce_keybinding(SHORTCUTS[Action.ACCEPT].key)

    @viewer.bind_key(key)
    def theirs(_: Any) -> None:
        called.append(1)

    before = dict(viewer.keymap)
    bench = make_bench(viewer)
    assert len(viewer.keymap) == len(shortcuts("Annotate"))
    assert viewer.keymap[key] is not theirs
    bench.controller.close()
    assert viewer.keymap == before


def test_a_second_controller_takes_the_keys_and_keeps_them(make_bench: Callable[..., Any]) -> None:
    first = make_bench()
    second = make_bench(first.viewer)
    keymap = dict(first.viewer.keymap)
    first.controller.close()
    assert first.viewer.keymap == keymap
    second.controller.close()
    assert not first.viewer.keymap


def test_a_view_that_shows_the_state_is_not_cut_off(make_bench: Callable[..., Any]) -> None:
    """Closing ends our own connections to the state and nobody else's."""
    bench = make_bench()
    seen: list[str] = []
    bench.state.events.message.connect(seen.append)
    bench.controller.close()
    bench.state.message = "still here"
    assert seen == ["still here"]


@pytest.mark.parametrize("loading", [True, False])
def test_closing_while_the_worker_is_busy(
    make_bench: Callable[..., Any], fake_model: Any, grey: Any, loading: bool
) -> None:
    """Nobody waits for it; what it loads or answers then is dropped and freed."""
    if loading:
        fake_model.load_gate.clear()
    bench = make_bench()
    image = bench.viewer.add_image(grey)
    bench.controller.set_up(image)
    if not loading:
        bench.settle()
        fake_model.gate.clear()
    bench.click(60, 80, wait=False)
    bench.controller.close()
    fake_model.gate.set()
    fake_model.load_gate.set()
    assert bench.controller.runner.join(30)
    bench.controller.deliver()
    assert not bench.state.prediction.data.any()
    assert all(one._network is None for one in fake_model.segmenters)
