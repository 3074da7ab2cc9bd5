"""What the user clicks on is what the user sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def topmost(viewer: Any) -> Any:
    from napari.layers import Image

    return [layer for layer in viewer.layers if isinstance(layer, Image) and layer.visible][-1]


def annotation_of(bench: Any, image: Any) -> Any:
    return bench.controller.pairings[image].annotation


def test_the_image_that_is_chosen_comes_to_the_front_with_its_layers(bench: Any, grey: Any) -> None:
    a = bench.open(grey, name="a")
    b = bench.open(grey.copy(), name="b")
    c = bench.viewer.add_image(grey.copy(), name="c")
    assert topmost(bench.viewer) == c
    bench.controller.choose(a)
    assert bench.state.image == a and topmost(bench.viewer) == a
    assert annotation_of(bench, a).visible and not annotation_of(bench, b).visible
    bench.controller.choose(b)
    assert bench.state.image == b and topmost(bench.viewer) == b
    assert annotation_of(bench, b).visible and not annotation_of(bench, a).visible
    bench.click(60, 80)
    assert len(bench.state.positive.data) == 1 and bench.mask[60, 80]


def test_napari_s_own_tools_never_act_on_an_image_that_is_hidden(bench: Any, grey: Any) -> None:
    """As a project opens, the last layer that was added is selected: one of another image."""
    image = bench.viewer.add_image(grey, name="shown")
    other = bench.viewer.add_labels(np.zeros((9, 9), int), name="of another", visible=False)
    assert bench.viewer.layers.selection.active == other
    bench.controller.set_up(image)
    assert bench.viewer.layers.selection.active == image
    bench.viewer.layers.selection.active = bench.state.annotation
    bench.controller.set_up(image)
    assert bench.viewer.layers.selection.active == bench.state.annotation, "the brush is in hand"


def test_what_the_user_hid_stays_hidden(bench: Any, grey: Any) -> None:
    a = bench.open(grey, name="a")
    annotation_of(bench, a).visible = False
    b = bench.open(grey.copy(), name="b")
    bench.controller.choose(a)
    assert not annotation_of(bench, a).visible and a.visible and not b.visible


def test_an_image_that_came_hidden_is_seen_when_it_is_chosen(bench: Any, grey: Any) -> None:
    """As all images of a project but the first, with their labels."""
    bench.open(grey, name="a")
    b = bench.viewer.add_image(grey.copy(), name="b", visible=False)
    labels = np.zeros((*grey.shape,), int)
    mine = bench.viewer.add_labels(labels, name="b annotation", visible=False)
    bench.controller.choose(b)
    assert b.visible and topmost(bench.viewer) == b
    bench.controller.set_up(b)
    assert bench.state.annotation == mine and mine.visible
    mine.visible = b.visible = False
    bench.controller.choose(bench.viewer.layers["a"])
    bench.controller.choose(b)
    assert mine.visible and b.visible


def test_clicks_go_nowhere_until_the_chosen_image_is_set_up(bench: Any, grey: Any) -> None:
    bench.open(grey, name="a")
    first = bench.pairing
    b = bench.viewer.add_image(grey.copy(), name="b")
    bench.controller.choose(b)
    assert bench.state.image is None and "'b'" in bench.state.message
    bench.controller._clicked((60.0, 80.0), True)
    assert not len(first.positive.data) and "Annotate this image" in bench.state.message
    bench.controller.set_up(b)
    bench.settle()
    bench.click(60, 80)
    assert bench.state.image == b and not len(first.positive.data)


def test_what_was_begun_is_there_when_its_image_is_chosen_again(bench: Any, grey: Any) -> None:
    a = bench.open(grey, name="a")
    bench.click(60, 80)
    bench.controller.choose(bench.viewer.add_image(grey.copy(), name="b"))
    assert bench.state.n_positive == 0
    bench.controller.choose(a)
    bench.settle()
    assert bench.state.n_positive == 1 and bench.mask[60, 80]


@pytest.mark.parametrize("where", ["above", "beside"])
def test_a_click_on_another_image_says_so_and_is_none(bench: Any, grey: Any, where: str) -> None:
    bench.open(grey, name="a")
    beside = (0, 200) if where == "beside" else (0, 0)
    bench.viewer.add_image(grey.copy(), name="b", translate=beside)
    bench.controller._clicked((60.0, 80.0 + beside[1]), True)
    assert bench.state.n_positive == 0
    assert "That is 'b', but 'a' is being annotated" in bench.state.message


def test_no_object_is_taken_up_or_deleted_under_another_image(bench: Any, grey: Any) -> None:
    bench.open(grey, name="a")
    bench.click(60, 80)
    bench.do("accept")
    bench.viewer.add_image(grey.copy(), name="b")
    bench.viewer.add_labels(bench.labels.copy(), name="its own")
    bench.take_up(60, 80)
    assert "That is 'b'" in bench.state.message and not bench.state.editing
    bench.state.message = ""
    bench.viewer.cursor.position = bench.world(60, 80)
    bench.do("delete")
    assert "That is 'b'" in bench.state.message and bench.labels[60, 80] == 1


@pytest.mark.parametrize("shown", [{"blending": "additive"}, {"opacity": 0.3}, {"visible": False}])
def test_an_image_that_lets_the_annotated_one_through_is_in_nobodys_way(
    bench: Any, grey: Any, shown: Any
) -> None:
    bench.open(grey, name="a")
    bench.viewer.add_image(grey.copy(), name="b", **shown)
    bench.click(60, 80)
    assert bench.state.n_positive == 1


def test_what_the_model_sees_may_be_clicked_on(bench: Any, grey: Any) -> None:
    bench.open(grey, name="a")
    bench.controller.show_seen()
    bench.settle()
    bench.click(60, 80)
    assert bench.state.n_positive == 1


def test_closing_shows_what_was_hidden(make_bench: Any, grey: Any) -> None:
    bench = make_bench()
    a = bench.open(grey, name="a")
    first = annotation_of(bench, a)
    bench.open(grey.copy(), name="b")
    assert not first.visible
    bench.controller.close()
    assert first.visible and a.visible


# ---- labels that are there already


def test_labels_that_belong_to_the_image_are_gone_on_with(bench: Any, grey: Any) -> None:
    labels = np.zeros(grey.shape, np.uint16)
    labels[10:20, 10:20] = 41
    layer = bench.viewer.add_labels(labels, name="coins masks")
    bench.open(grey, name="coins")
    assert bench.state.annotation == layer and bench.state.object_id == 42
    assert "'coins masks'" in bench.state.message


def test_after_closing_the_widget_everything_is_taken_up_again(make_bench: Any, grey: Any) -> None:
    first = make_bench()
    image = first.open(grey, name="a")
    first.state.classes = (*first.state.classes, type(first.state.classes[0])(2, "bud", "#E69F00"))
    first.click(60, 80)
    first.do("accept")
    first.click(20, 30)
    before = [layer.name for layer in first.viewer.layers if layer != first.state.prediction]
    annotation = first.state.annotation
    first.controller.close()
    again = make_bench(first.viewer)
    again.controller.set_up(image)
    again.settle()
    assert again.state.annotation == annotation and again.state.object_id == 2
    assert [spec.name for spec in again.state.classes] == ["object", "bud"]
    assert again.state.n_positive == 1 and again.mask[20, 30]
    assert [x.name for x in again.viewer.layers if x != again.state.prediction] == before


def test_where_it_is_not_clear_which_labels_belong_the_user_is_asked(bench: Any, grey: Any) -> None:
    image = bench.viewer.add_image(grey, name="a")
    for name in ("one", "two"):
        bench.viewer.add_labels(np.zeros(grey.shape, int), name=name)
    bench.controller.set_up(image)
    assert bench.state.image is None
    assert "'one' or 'two', or new ones?" in bench.state.message
    bench.controller.adopt(image, annotation=bench.viewer.layers["two"])
    assert bench.state.annotation == bench.viewer.layers["two"]


def test_a_new_layer_can_be_had_at_any_time(bench: Any, grey: Any) -> None:
    image = bench.open(grey, name="a")
    before = bench.state.annotation
    bench.controller.adopt(image, afresh=True)
    assert bench.state.annotation not in (None, before) and before in bench.viewer.layers


# ---- regions of other layers


def test_a_region_is_taken_up_from_whichever_layer_that_is_seen_has_one(
    bench: Any, grey: Any
) -> None:
    bench.open(grey, name="a")
    for name, rows, visible in (("below", 10, True), ("above", 40, True), ("hidden", 70, False)):
        labels = np.zeros(grey.shape, int)
        labels[rows : rows + 20, 50:90] = rows
        bench.viewer.add_labels(labels, name=name, visible=visible)
    bench.take_up(15, 60)
    assert bench.mask[12, 55] and "region 10 of 'below'" in bench.state.message
    bench.do("skip")
    bench.take_up(45, 60)
    assert "region 40 of 'above'" in bench.state.message
    bench.do("accept")
    bench.take_up(45, 60)
    assert bench.state.editing, "the annotation comes first"
    bench.do("skip")
    bench.take_up(75, 60)
    assert "no region" in bench.state.message


def test_the_image_that_is_asked_for_is_the_one_that_was_chosen_last(bench: Any, grey: Any) -> None:
    bench.open(grey)
    for name in ("b", "c"):
        bench.controller.choose(bench.viewer.add_image(grey.copy(), name=name))
        assert f"to annotate '{name}'" in bench.state.message
    bench.state.message = "Something else."
    bench.controller.choose(bench.viewer.layers["b"])
    assert bench.state.message == "Something else."
