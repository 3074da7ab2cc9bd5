"""What is written for programs without a library to ask, read by the rules that they document.

The rules are written out here anew, from labelme's `utils/shape.py` and Ultralytics'
`data/utils.py` and `utils/ops.py`; none of our own readers is used.
"""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from PIL import Image, ImageDraw
from scipy import ndimage

from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.formats.annotated import AnnotatedImage
from napari_clickseg.formats.labelme import write_labelme
from napari_clickseg.formats.yolo import write_yolo
from tests.formats.label_maps import hard_labels, label_maps

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ProjectClasses(classes=(ProjectClass(id=1, name="nucleus"),))


def _image(labels: Any) -> AnnotatedImage:
    return AnnotatedImage("a", labels, file="a.png", classes=CLASSES)


def _by_labelme(path: Path) -> dict[int, tuple[str, np.ndarray]]:
    """Return the kind and the mask of each shape, by group, as labelme draws them."""
    said = json.loads(path.read_text(encoding="utf-8"))
    shape = (said["imageHeight"], said["imageWidth"])
    masks = {}
    for one in said["shapes"]:
        assert isinstance(one["label"], str)
        assert isinstance(one["flags"], dict)
        if one["shape_type"] == "mask":
            packed = Image.open(io.BytesIO(base64.b64decode(one["mask"])))
            mask = np.zeros(shape, bool)
            (left, top), (right, bottom) = np.asarray(one["points"]).astype(int)
            mask[top : bottom + 1, left : right + 1] = np.asarray(packed).astype(bool)
        else:
            assert one["shape_type"] == "polygon"
            corners = [tuple(point) for point in one["points"]]
            assert len(corners) > 2, "labelme asks for more than two"
            drawn = Image.fromarray(np.zeros(shape, np.uint8))
            ImageDraw.Draw(drawn).polygon(xy=corners, outline=1, fill=1)
            mask = np.array(drawn, dtype=bool)
        assert one["group_id"] not in masks, "an object is one shape"
        masks[one["group_id"]] = one["shape_type"], mask
    return masks


def _agrees_up_to_the_edge(mask: np.ndarray, truth: np.ndarray) -> bool:
    """Whether all of an object is there, and nothing that does not touch it."""
    around = ndimage.binary_dilation(truth, np.ones((3, 3)))
    return bool((mask >= truth).all() and (mask <= around).all())


@settings(max_examples=40)
@given(label_maps)
def test_labelme_draws_masks_exactly_and_polygons_up_to_their_edge(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("labelme") / "a.json"
    write_labelme(_image(labels), path, print)
    masks = _by_labelme(path)
    assert masks.keys() == {int(one) for one in np.unique(labels) if one}
    for number, (kind, mask) in masks.items():
        truth = labels == number
        assert (mask == truth).all() if kind == "mask" else _agrees_up_to_the_edge(mask, truth)


def test_labelme_gets_masks_where_polygons_would_lose_holes_or_pieces(tmp_path):
    write_labelme(_image(hard_labels()), tmp_path / "a.json", print)
    kinds = {number: kind for number, (kind, _) in _by_labelme(tmp_path / "a.json").items()}
    assert kinds == {
        3: "mask", 7: "polygon", 12: "polygon", 41: "polygon", 300: "mask", 40_000: "mask",
    }  # fmt: skip


def _by_ultralytics(path: Path, names: int, shape: tuple[int, int]) -> list[tuple[Any, np.ndarray]]:
    """Return box (x, y, width, height; shares) and mask of each line, as Ultralytics takes them."""
    import cv2

    lines = [line.split() for line in path.read_text(encoding="utf-8").strip().splitlines()]
    assert all(len(line) > 6 for line in lines), "shorter lines make all of them boxes"
    numbers = np.array([line[0] for line in lines], np.float32)
    segments = [np.array(line[1:], np.float32).reshape(-1, 2) for line in lines]
    boxes = []
    for points in segments:
        (left, top), (right, bottom) = points.min(0), points.max(0)
        boxes.append([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])
    rows = np.concatenate([numbers[:, None], np.array(boxes, np.float32).reshape(-1, 4)], axis=1)
    assert rows[:, 1:].max() <= 1, "coordinates are shares of the image"
    assert rows.min() >= 0
    assert numbers.max() < names, "of a class that data.yaml does not name"
    masks = []
    for row, points in zip(rows, segments, strict=True):
        mask = np.zeros(shape, np.uint8)
        corners = np.asarray(points * (shape[1], shape[0]) + 1e-3, np.int32)  # floats fall short
        cv2.fillPoly(mask, [corners], color=1)
        masks.append((row[1:], mask.astype(bool)))
    return masks


def test_ultralytics_finds_every_object_whole_with_its_box(tmp_path):
    labels = hard_labels()
    write_yolo(iter([_image(labels)]), tmp_path, lambda _: None)
    data = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    assert sorted(data["names"]) == list(range(len(data["names"])))
    masks = _by_ultralytics(tmp_path / "labels/train/a.txt", len(data["names"]), labels.shape)
    ids = [int(one) for one in np.unique(labels) if one]
    assert len(masks) == len(ids)
    height, width = labels.shape
    for number, (box, mask) in zip(ids, masks, strict=True):
        truth = labels == number
        rows, columns = np.nonzero(truth)
        left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        expected = [
            (left + right) / 2 / width, (top + bottom) / 2 / height,
            (right - left) / width, (bottom - top) / height,
        ]  # fmt: skip
        assert box == pytest.approx(expected, abs=1e-6)
        assert (mask >= truth).all(), "pixels of an object are lost"
        if number in (7, 12, 41):
            assert _agrees_up_to_the_edge(mask, truth)
    hole = labels[8:12, 8:12]
    assert not masks[0][1][9:11, 9:11].any(), "a hole stays one"
    assert hole[1, 1] == 7


@settings(max_examples=40)
@given(label_maps)
def test_ultralytics_loses_no_pixel_of_any_object(tmp_path_factory, labels):
    folder = tmp_path_factory.mktemp("yolo")
    write_yolo(iter([_image(labels)]), folder, lambda _: None)
    ids = [int(one) for one in np.unique(labels) if one]
    path = folder / "labels/train/a.txt"
    if not ids:
        assert path.read_text() == ""
        return
    masks = _by_ultralytics(path, 2, labels.shape)
    assert len(masks) == len(ids)
    for number, (_, mask) in zip(ids, masks, strict=True):
        assert (mask >= (labels == number)).all()
