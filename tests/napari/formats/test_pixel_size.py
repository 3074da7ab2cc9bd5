"""The size of pixels goes from a layer to a project, and back; so does how objects came about."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_clickseg._napari.project.gather import gather
from napari_clickseg._napari.project.pairs import snapshot
from napari_clickseg._napari.project.reader import open_project
from napari_clickseg._napari.viewer.features import features_of, saved_notes
from napari_clickseg._napari.viewer.pixels import pixel_size_of
from napari_clickseg.data.annotations import ObjectNote, read_clicks
from napari_clickseg.data.pixel_size import PixelSize
from napari_clickseg.data.project import read_project

NOTES = {1: ObjectNote(score=0.5, clicks=2, model="default")}


def _layers(shape: tuple[int, ...], **place: Any) -> tuple[Image, Labels]:
    labels = np.zeros(shape, np.uint16)
    labels[..., 2:6, 2:6] = 1
    return Image(np.zeros(shape, np.uint8), name="dish", **place), Labels(labels, **place)


@pytest.mark.parametrize(
    ("scale", "units", "size"),
    [
        ((0.5, 0.25), ("µm", "µm"), PixelSize(0.5, 0.25, "µm")),
        ((3, 3), ("nanometer", "nanometer"), PixelSize(3, 3, "nm")),
        ((0.5, 0.25), ("pixel", "pixel"), None),
        ((1, 1), ("s", "µm"), None),
    ],
)
def test_only_units_of_length_say_how_large_pixels_are(scale, units, size):
    assert pixel_size_of(Image(np.zeros((9, 9)), scale=scale, units=units)) == size


def test_planes_that_are_gathered_keep_their_size(tmp_path):
    place = {"scale": (2, 0.5, 0.25), "units": ("µm", "µm", "µm")}
    gather(snapshot([_layers((2, 20, 30), **place)]), tmp_path)
    sizes = [record.pixel_size for record in read_project(tmp_path).records]
    assert sizes == [PixelSize(0.5, 0.25, "µm")] * 2


@pytest.mark.parametrize("shape", [(20, 30), (2, 20, 30)])
def test_layers_of_a_project_lie_as_large_as_they_are(tmp_path, shape):
    place = {"scale": (*(1,) * (len(shape) - 2), 0.5, 0.25)}
    place["units"] = (*("pixel",) * (len(shape) - 2), "µm", "µm")
    gather(snapshot([_layers(shape, **place)]), tmp_path)
    made = open_project(read_project(tmp_path))
    for _, meta, _ in made:
        assert list(meta["scale"]) == [*(1,) * (len(shape) - 2), 0.5, 0.25]
        assert meta["units"][-2:] == ("µm", "µm")
    image, labels = (
        kind(data, **meta) for kind, (data, meta, _) in zip((Image, Labels), made, strict=False)
    )
    assert pixel_size_of(image) == pixel_size_of(labels)
    gather(snapshot([(image, labels)]), tmp_path)
    assert {str(one.pixel_size) for one in read_project(tmp_path).records} == {"0.5 0.25 µm"}


def test_images_with_pixels_of_other_sizes_are_stacks_of_their_own(tmp_path):
    for n, size in enumerate((0.5, 0.25)):
        image, labels = _layers((20, 30), scale=(size, size), units=("µm", "µm"))
        image.name, image.data = f"dish {n}", image.data + n
        gather(snapshot([(image, labels)]), tmp_path)
    kinds = [kind for _, _, kind in open_project(read_project(tmp_path))]
    assert kinds.count("image") == 2


def test_how_objects_came_about_goes_to_the_project_and_back(tmp_path):
    image, labels = _layers((20, 30))
    labels.features = features_of(None, {}, {**NOTES, 77: ObjectNote(score=1)})
    gather(snapshot([(image, labels)]), tmp_path)
    (record,) = read_project(tmp_path).records
    assert record.clicks is not None
    assert read_clicks(record.clicks).objects == NOTES
    _, (data, meta, _) = open_project(read_project(tmp_path))
    back = Labels(data, **meta)
    assert saved_notes(back.metadata) == NOTES
    assert back.features.to_dict("records") == [
        {"index": 1, "class": "", "score": 0.5, "clicks": 2, "model": "default"}
    ]
