"""The colours of accepted objects, and napari's brush beside the clicks."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_clickseg._napari.annotate.state import ClassSpec
from napari_clickseg._napari.viewer.colours import shade
from napari_clickseg._napari.viewer.metadata import saved_classes

CELL, BUD = ClassSpec(1, "cell", "#56B4E9"), ClassSpec(2, "bud", "#E69F00")


def colour(bench: Any, y: int, x: int) -> np.ndarray:
    """Return how a pixel of the annotation is drawn."""
    layer = bench.state.annotation
    return np.asarray(layer.colormap.map(int(layer.data[y, x])))


def accept(bench: Any, y: int, x: int) -> None:
    bench.click(y, x)
    bench.do("accept")


def test_an_accepted_object_has_a_shade_of_its_class(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.state.classes = (CELL, BUD)
    accept(bench, 20, 20)
    bench.state.class_index = 1
    accept(bench, 60, 80)
    assert np.allclose(colour(bench, 20, 20), shade(CELL.colour, 1))
    assert np.allclose(colour(bench, 60, 80), shade(BUD.colour, 2))
    bench.state.classes = (CELL, ClassSpec(2, "bud", "#009E73"))
    assert np.allclose(colour(bench, 60, 80), shade("#009E73", 2)), "the class has another colour"


def test_where_ids_are_classes_they_have_their_colours(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.state.classes, bench.state.scheme = (CELL, BUD), "classes"
    bench.state.class_index = 1
    accept(bench, 20, 20)
    assert np.allclose(colour(bench, 20, 20), shade(BUD.colour, 1))


def test_labels_of_no_class_stay_as_they_look(bench: Any, grey: Any) -> None:
    labels = np.zeros(grey.shape, int)
    labels[100:110, 100:110] = 5
    layer = bench.viewer.add_labels(labels, name="mine")
    before = np.array(layer.colormap.map(5))
    bench.open(grey)
    accept(bench, 20, 20)
    assert bench.state.annotation == layer
    assert np.allclose(colour(bench, 105, 105), before)


def test_the_brush_paints_the_object_that_is_being_made(bench: Any, grey: Any) -> None:
    bench.open(grey)
    layer = bench.state.annotation
    assert layer.selected_label == 1
    accept(bench, 20, 20)
    assert layer.selected_label == bench.state.object_id == 2
    layer.paint((60, 80), layer.selected_label)
    layer.paint((70, 90), layer.selected_label)
    assert layer.selected_label == bench.state.object_id == 2, "all strokes are of one object"
    assert bench.labels[60, 80] == bench.labels[70, 90] == 2
    bench.state.object_id = 9
    assert layer.selected_label == 9


def test_what_is_painted_has_the_class_that_is_chosen(bench: Any, grey: Any) -> None:
    """At the first stroke already, so that it has one even where nobody accepts it."""
    bench.open(grey)
    bench.state.classes, bench.state.class_index = (CELL, BUD), 1
    layer = bench.state.annotation
    layer.paint((60, 80), layer.selected_label)
    assert saved_classes(layer)[1].of_ids == {1: 2}
    assert np.allclose(colour(bench, 60, 80), shade(BUD.colour, 1))
    bench.state.class_index = 0
    assert saved_classes(layer)[1].of_ids == {1: 1}, "it is being made still"
    bench.do("accept")
    bench.state.class_index = 1
    assert saved_classes(layer)[1].of_ids == {1: 1}
    (made,) = bench.pairing.scene.objects
    assert (made.value, made.class_id) == (1, 1)
    assert made.patch.mask.sum() == (bench.labels == 1).sum()
    bench.do("undo")
    assert not bench.pairing.scene.objects and bench.labels[60, 80] == 1


def test_an_object_that_is_painted_on_keeps_its_class(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.state.classes = (CELL, BUD)
    accept(bench, 20, 20)
    bench.state.class_index = 1
    bench.state.object_id = 1
    bench.state.annotation.paint((60, 80), 1)
    bench.do("accept")
    assert saved_classes(bench.state.annotation)[1].of_ids == {1: 1}


def test_what_was_painted_is_accepted_as_an_object(bench: Any, grey: Any) -> None:
    bench.open(grey)
    layer = bench.state.annotation
    layer.paint((60, 80), 1)
    assert bench.state.begun
    bench.do("accept")
    assert bench.state.object_id == layer.selected_label == 2 and not bench.state.begun
    assert "what you painted" in bench.state.message
    accept(bench, 20, 20)
    assert bench.labels[60, 80] == 1 and bench.labels[20, 20] == 2
    bench.do("undo")
    bench.do("undo")
    bench.do("undo")
    assert bench.state.object_id == 1


def test_undo_beyond_a_stroke_gives_objects_the_ids_that_they_had(bench: Any, grey: Any) -> None:
    bench.open(grey)
    accept(bench, 20, 20)
    accept(bench, 60, 80)
    layer = bench.state.annotation
    layer.paint((100, 20), 3)
    layer.paint((104, 20), 3)
    assert bench.state.object_id == 3
    bench.do("undo")
    bench.do("undo")
    assert bench.state.object_id == layer.selected_label == 3 and not bench.state.begun
    bench.do("undo")  # the second object is open again, with its click
    assert bench.state.object_id == layer.selected_label == 2
    bench.do("accept")
    assert bench.labels[60, 80] == 2 and bench.state.object_id == 3


def test_the_brush_adds_to_what_clicks_made(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.click(20, 20)
    bench.state.annotation.paint((60, 80), 1)
    bench.do("accept")
    assert bench.labels[20, 20] == bench.labels[60, 80] == 1
    assert bench.state.object_id == 2


def test_a_corrected_object_is_what_the_brush_paints(bench: Any, grey: Any) -> None:
    bench.open(grey)
    accept(bench, 20, 20)
    accept(bench, 60, 80)
    bench.take_up(20, 20)
    assert bench.state.annotation.selected_label == bench.state.object_id == 1


def test_where_ids_are_classes_the_brush_paints_the_class(bench: Any, grey: Any) -> None:
    bench.open(grey)
    bench.state.classes, bench.state.scheme = (CELL, BUD), "classes"
    bench.state.class_index = 1
    assert bench.state.annotation.selected_label == 2
