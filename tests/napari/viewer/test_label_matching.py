from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_clickseg._napari.viewer.label_matching import (
    LabelMatch,
    clicks_of,
    match_labels,
    note_image,
)
from napari_clickseg._napari.viewer.metadata import Origin, under_review

PIXELS = np.zeros((60, 80), np.uint8)


def match_of(
    viewer: ViewerModel, image: Any, axis: int | None = None, **options: Any
) -> LabelMatch:
    return match_labels(image, axis, viewer.layers, **options)


def opened(*names: str, labels: tuple[str, ...] = ()) -> tuple[ViewerModel, list[Any], list[Any]]:
    viewer = ViewerModel()
    images = [viewer.add_image(PIXELS.copy(), name=name) for name in names]
    return viewer, images, [viewer.add_labels(PIXELS.copy(), name=name) for name in labels]


def test_labels_go_on_with_the_image_they_were_made_on_whatever_they_are_called() -> None:
    viewer, (a, b), (first, second) = opened("a", "b", labels=("b labels", "x"))
    note_image(first, a)
    assert match_of(viewer, a) == LabelMatch(first)
    assert match_of(viewer, b).labels is not first
    assert second in (match_of(viewer, b).labels, *match_of(viewer, b).possible)


def test_labels_of_a_project_belong_to_the_image_of_the_same_records() -> None:
    viewer, (a, b), (labels,) = opened("one", "two", labels=("whatever",))
    for layer, name in ((a, "1"), (b, "2"), (labels, "2")):
        layer.metadata.update(Origin("/p", [name], [""], [""], False).as_metadata())
    assert match_of(viewer, b) == LabelMatch(labels)
    assert match_of(viewer, a) == LabelMatch(), "they are another image's"


@pytest.mark.parametrize("name", ["m03 annotation", "m03_mask", "M03", "m03.tif labels", "m03 [1]"])
def test_labels_belong_to_the_image_that_they_are_named_after(name: str) -> None:
    viewer, (a, b), (labels,) = opened("m03", "m0", labels=(name,))
    assert match_of(viewer, a) == LabelMatch(labels)
    assert match_of(viewer, b) == LabelMatch()


def test_the_longest_name_wins() -> None:
    viewer, (a, b), (labels,) = opened("cell", "cell 2", labels=("cell 2 annotation",))
    assert match_of(viewer, b) == LabelMatch(labels)
    assert match_of(viewer, a) == LabelMatch()


def test_the_only_labels_belong_to_the_only_image_of_their_shape() -> None:
    viewer, (a,), (labels,) = opened("coins", labels=("rough segmentation",))
    viewer.add_image(np.zeros((5, 5)), name="of another shape")
    assert match_of(viewer, a) == LabelMatch(labels)


def test_what_is_not_clear_is_asked() -> None:
    """Labels of one image must not become those of another one of the same size."""
    viewer, (a, b), labels = opened("a", "b", labels=("x", "y"))
    for image in (a, b):
        assert match_of(viewer, image) == LabelMatch(None, tuple(labels))
    viewer, (a, b), (only,) = opened("a", "b", labels=("x",))
    assert match_of(viewer, a) == LabelMatch(None, (only,)), "it may be b's"
    viewer, (a, b), labels = opened("a", "b", labels=("a nuclei", "a cells"))
    assert match_of(viewer, a) == LabelMatch(None, tuple(labels))
    assert match_of(viewer, b) == LabelMatch(), "b has no labels at all"


def test_what_does_not_fit_or_is_no_annotation_is_not_offered() -> None:
    viewer, (a,), (prediction, taken) = opened("a", labels=("a review", "a taken"))
    viewer.add_labels(np.zeros((5, 5), int), name="a of another shape")
    prediction.metadata.update(under_review())
    assert match_of(viewer, a, taken=[taken]) == LabelMatch()


def test_along_channels_labels_have_one_pixel() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, 60, 80)), name="a")
    labels = viewer.add_labels(np.zeros((1, 60, 80), int), name="a labels")
    assert match_of(viewer, image, 0) == LabelMatch(labels)
    assert match_of(viewer, image) == LabelMatch()


def test_clicks_are_found_again_by_their_polarity() -> None:
    viewer, (a, b), _ = opened("a", "b")
    layers = {p: viewer.add_points(ndim=2) for p in (True, False)}
    for positive, layer in layers.items():
        note_image(layer, a, positive=positive)
        assert clicks_of(a, viewer.layers, positive=positive) == layer
        assert clicks_of(b, viewer.layers, positive=positive) is None
