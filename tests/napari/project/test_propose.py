"""Labels that another tool made go into a review plane by plane, and nothing else is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_clickseg._napari.project.gather import propose
from napari_clickseg._napari.project.pairs import pair_under, snapshot
from napari_clickseg._napari.viewer.layers import CompanionError
from napari_clickseg._napari.viewer.metadata import Origin, under_review
from napari_clickseg.data.classes import ProjectClass, ProjectClasses, read_classes
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import read_project
from napari_clickseg.data.review import ReviewQueue
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from pathlib import Path


def cells(n: int) -> np.ndarray:
    labels = np.zeros((30, 40), np.int32)
    for k in range(n):
        labels[5 : 5 + 6, 3 + 9 * k : 10 + 9 * k] = 70_000 + k
    return labels


def put(viewer: ViewerModel, name: str, folder: Path) -> object:
    pair = pair_under(viewer, viewer.layers[name])
    return propose(snapshot([pair], viewer.dims), folder)


def test_each_plane_of_a_stack_is_a_prediction_of_its_own(tmp_path: Path) -> None:
    viewer = ViewerModel()
    stack = np.random.default_rng(0).integers(0, 255, (4, 30, 40)).astype(np.uint8)
    viewer.add_image(stack, name="field")
    labels = np.stack([cells(1), cells(2), cells(0), cells(3)])
    viewer.add_labels(labels, name="field_cp_masks")
    made = put(viewer, "field_cp_masks", tmp_path)
    assert made.images == tuple(f"images/field_{n}.png" for n in (0, 1, 3))
    assert (made.annotated, made.empty) == (0, 1)
    queue = ReviewQueue(tmp_path)
    waiting = queue.waiting()
    assert [one.image for one in waiting] == list(made.images)
    assert {(one.model, one.uncertainty) for one in waiting} == {("field_cp_masks", 0.5)}
    for one, n in zip(waiting, (0, 1, 3), strict=True):
        assert np.array_equal(read_labels(queue.path(one)), labels[n]), "ids beyond 65,535, too"
    assert read_classes(tmp_path).scheme == "instances"
    queue.accept(made.images[1])
    labels[1] = cells(4)
    again = put(viewer, "field_cp_masks", tmp_path)
    assert again.images == (made.images[0], made.images[2]) and again.annotated == 1
    (record,) = read_project(tmp_path).records
    assert np.array_equal(read_labels(record.mask), cells(2)), "a mask that is there stays"


def test_objects_keep_their_scores_and_the_uncertain_image_comes_first(tmp_path: Path) -> None:
    viewer = ViewerModel()
    for name, scores in (("sure", [0.9, 0.8]), ("unsure", [0.2, 0.3])):
        viewer.add_image(np.full((30, 40), len(name), np.uint8), name=name)
        features = {"index": [0, 70_000, 70_001], "score": [np.nan, *scores]}
        viewer.add_labels(cells(2), name=f"{name} stardist", features=features)
        put(viewer, f"{name} stardist", tmp_path)
    queue = ReviewQueue(tmp_path)
    assert [one.image for one in queue.waiting()] == ["images/unsure.png", "images/sure.png"]
    assert queue.waiting()[0].uncertainty == pytest.approx(0.75)
    assert queue.notes(queue.waiting()[0]).objects[70_000].score == pytest.approx(0.2)


def test_an_image_of_a_project_gets_its_prediction_under_its_name(tmp_path: Path) -> None:
    writer = ProjectWriter(tmp_path)
    pixels = np.random.default_rng(1).integers(0, 255, (3, 30, 40)).astype(np.uint8)
    writer.add("a", np.moveaxis(pixels, 0, -1), None, group="mouse")
    viewer = ViewerModel()
    origin = Origin(str(tmp_path), ["a"], ["mouse"], [""], False, channel_axis=0)
    viewer.add_image(pixels, name="a", metadata=origin.as_metadata())
    viewer.add_labels(cells(2), name="a masks")  # without the axis of channels
    made = put(viewer, "a masks", tmp_path)
    assert len(made.images) == 1 and len(ReviewQueue(tmp_path).waiting()) == 1


def test_what_is_not_clear_is_asked_and_what_does_not_fit_is_said(tmp_path: Path) -> None:
    viewer = ViewerModel()
    viewer.add_labels(cells(2), name="masks")
    with pytest.raises(CompanionError, match="lies on no open image"):
        pair_under(viewer, viewer.layers["masks"])
    for name in ("one", "two"):
        viewer.add_image(np.zeros((30, 40), np.uint8), name=name)
    viewer.layers.selection = {viewer.layers["masks"]}
    with pytest.raises(CompanionError, match="'one' or 'two'"):
        pair_under(viewer, viewer.layers["masks"])
    viewer.layers.selection = {viewer.layers["masks"], viewer.layers["two"]}
    assert pair_under(viewer, viewer.layers["masks"]).image.name == "two"
    kinds = (ProjectClass(id=1, name="cell"),)
    ProjectWriter(tmp_path).set_classes(ProjectClasses(scheme="classes", classes=kinds))
    with pytest.raises(ProjectError, match="has the id 70001, which is none of them"):
        put(viewer, "masks", tmp_path)
    viewer.layers["masks"].data = cells(0)
    with pytest.raises(ProjectError, match="nothing in these labels"):
        put(viewer, "masks", tmp_path)
    viewer.layers["masks"].metadata.update(under_review())
    with pytest.raises(CompanionError, match="under review already"):
        pair_under(viewer, viewer.layers["masks"])
