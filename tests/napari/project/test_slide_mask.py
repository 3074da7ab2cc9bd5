"""Labels of a slide become a mask of a project part by part, and are gone on with from there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.layers._source import layer_source

from napari_clickseg._napari.project import slide_mask
from napari_clickseg._napari.project.gather import gather
from napari_clickseg._napari.project.pairs import pairs_of, snapshot
from napari_clickseg._napari.project.reader import open_project
from napari_clickseg._napari.review.reading import Reader
from napari_clickseg._napari.viewer import layers
from napari_clickseg._napari.viewer.layers import make_annotation
from napari_clickseg._napari.viewer.metadata import ObjectClasses, with_classes
from napari_clickseg._napari.viewer.writes import LabelWrite, write_box
from napari_clickseg.core.plane import Plane
from napari_clickseg.core.window import Box
from napari_clickseg.data.chunked.chunks import ChunkedArray
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.images import open_image
from napari_clickseg.data.inspection.findings import inspect_project
from napari_clickseg.data.masks import file_digest, read_labels
from napari_clickseg.data.project import Record, read_project
from napari_clickseg.data.sets.dataset import read_sample
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.formats.omezarr import saved_in
from napari_clickseg.util.files import PARTIAL

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (1100, 900)
PLANE = Plane((0, 1), (0, 0), SHAPE)
FIRST, FAR, NEXT = Box(20, 30, 60, 40), Box(900, 700, 90, 80), Box(500, 500, 30, 30)
CELLS = ProjectClasses(scheme="instances", classes=(ProjectClass(id=1, name="cell"),))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all that begins with slides begin with small images."""
    monkeypatch.setattr(slide_mask, "_SLIDE", 500 * 500)
    monkeypatch.setattr(slide_mask, "_SIDE", 256)
    monkeypatch.setattr(layers, "_LARGE", 500 * 500)
    monkeypatch.setattr(layers, "_TILE", 512)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "scans" / "slide 1.tif"
    path.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256))
    return path


def opened(slide: Path, *boxes: Box) -> ViewerModel:
    """Open a slide from its file, with an annotation layer in which there are boxes."""
    viewer = ViewerModel()
    with layer_source(path=str(slide)):
        image = viewer.add_image(tifffile.imread(slide), name="slide 1", rgb=True)
    labels = make_annotation(image, None)
    labels.metadata.update(with_classes(CELLS, ObjectClasses({1: 1, 2: 1})))
    viewer.layers.append(labels)
    draw(labels, *boxes)
    return viewer


def draw(labels: Any, *boxes: Box, first: int = 1) -> None:
    for value, box in enumerate(boxes, first):
        write_box(labels, PLANE, box, np.full(box.shape, value))


def mask_with(*boxes: Box) -> np.ndarray:
    out = np.zeros(SHAPE, np.uint16)
    for value, box in enumerate(boxes, 1):
        out[box.slices] = value
    return out


def again(folder: Path) -> tuple[ViewerModel, Labels]:
    """Open the project anew; return its viewer and its labels."""
    viewer = ViewerModel()
    for data, meta, kind in open_project(read_project(folder)):
        viewer.add_layer(Layer.create(data, meta, kind))
    (labels,) = (layer for layer in viewer.layers if isinstance(layer, Labels))
    return viewer, labels


def record(folder: Path) -> Record:
    (only,) = read_project(folder).records
    return only


def test_a_slide_s_labels_are_saved_beside_others_and_read_as_any_mask(
    slide: Path, tmp_path: Path
) -> None:
    folder, ticks = tmp_path / "project", list[tuple[int, int]]()
    done = gather(
        snapshot(pairs_of(opened(slide, FIRST, FAR))), folder, progress=lambda *n: ticks.append(n)
    )
    one = record(folder)
    assert done.annotated == (one.name,) == (str(slide),), "its image stays where it is"
    assert one.image == slide and one.mask == folder / "masks" / "slide 1.zarr"
    np.testing.assert_array_equal(read_labels(one.mask), mask_with(FIRST, FAR))
    levels = open_image(one.mask, ids=True).levels
    assert [level.shape for level in levels] == [(1100, 900), (550, 450), (275, 225)]
    said = saved_in(one.mask)
    assert said is not None
    assert [each["class"] for each in said["objects"]] == [1, 1]
    assert (20, 20) in ticks, "it is said how far it is"
    np.testing.assert_array_equal(read_sample(one).labels, mask_with(FIRST, FAR))
    problems = inspect_project(read_project(folder)).problems
    assert {each.kind for each in problems} == {"one_image"}, "one is too few to train on, no more"
    reader = Reader(tmp_path / "home")
    shown = reader.open(folder, one.name)
    shown.file.release()
    np.testing.assert_array_equal(shown.shown.labels, mask_with(FIRST, FAR))
    assert shown.base == file_digest(one.mask) != ""


def test_it_is_opened_lazily_gone_on_with_and_saved_again(slide: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    gather(snapshot(pairs_of(opened(slide, FIRST, FAR))), folder)
    before = record(folder).mask
    viewer, labels = again(folder)
    image = viewer.layers[0]
    assert isinstance(image, Image) and not isinstance(image.data, np.ndarray)
    assert isinstance(labels.data[0], ChunkedArray)
    np.testing.assert_array_equal(np.asarray(labels.data[0]), mask_with(FIRST, FAR))
    np.testing.assert_array_equal(np.asarray(labels.data[2]), level_of(before, 2))
    draw(labels, NEXT, first=3)
    write_box(labels, PLANE, FIRST, np.zeros(FIRST.shape, int))  # a chunk that is empty from now on
    wanted = mask_with(FIRST, FAR, NEXT)
    wanted[FIRST.slices] = 0
    gather(snapshot(pairs_of(viewer)), folder)
    after = record(folder)
    assert after.mask != before and not before.exists() and after.image == slide
    np.testing.assert_array_equal(read_labels(after.mask), wanted)
    np.testing.assert_array_equal(np.asarray(labels.data[0]), wanted)
    np.testing.assert_array_equal(np.asarray(again(folder)[1].data[0]), wanted)
    gather(snapshot(pairs_of(viewer)), folder)  # and once more from the same layers
    np.testing.assert_array_equal(read_labels(record(folder).mask), wanted)
    assert len(list((folder / "masks").iterdir())) == 1


def level_of(folder: Path, level: int) -> np.ndarray:
    return np.asarray(open_image(folder, ids=True).levels[level][:, :])


def test_labels_that_are_gone_are_said_to_be_and_never_taken_for_empty(
    slide: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    gather(snapshot(pairs_of(opened(slide, FIRST, FAR))), folder)
    here, mine = again(folder)
    there, theirs = again(folder)  # in another window
    draw(theirs, NEXT, first=3)
    gather(snapshot(pairs_of(there)), folder)
    with pytest.raises(OSError, match="somebody saved other labels in its place"):
        gather(snapshot(pairs_of(here)), folder)
    np.testing.assert_array_equal(read_labels(record(folder).mask), mask_with(FIRST, FAR, NEXT))
    del mine


def test_what_fails_changes_nothing_and_what_is_erased_goes(slide: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    gather(snapshot(pairs_of(opened(slide, FIRST))), folder)
    mask, table = record(folder).mask, (folder / "index.csv").read_text()
    viewer, labels = again(folder)
    draw(labels, NEXT, first=3)

    def stop(part: int, _: int) -> None:
        if part == 7:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        gather(snapshot(pairs_of(viewer)), folder, progress=stop)
    assert (folder / "index.csv").read_text() == table
    assert list((folder / "masks").iterdir()) == [mask]
    np.testing.assert_array_equal(read_labels(mask), mask_with(FIRST))
    left = folder / "masks" / f"{PARTIAL}gone-1-1-x.zarr"
    left.mkdir()
    write = LabelWrite.of(
        PLANE,
        FIRST,
        np.ones(FIRST.shape, int),
        np.ones(FIRST.shape, bool),
        np.zeros(FIRST.shape, int),
    )
    write.apply(labels)
    draw(labels, NEXT, first=0)
    (pair,) = snapshot(pairs_of(viewer))
    done = gather([replace(pair, erasable=(write,))], folder)
    assert done.cleared == (str(slide),) and not mask.exists()
    assert read_project(folder).records == ()


def test_a_mask_of_chunks_gives_way_to_an_ordinary_one(slide: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    gather(snapshot(pairs_of(opened(slide, FIRST))), folder)
    one = record(folder)
    ProjectWriter(folder).annotate(one.name, mask_with(FAR), replacing=file_digest(one.mask))
    assert not one.mask.exists()
    np.testing.assert_array_equal(read_labels(record(folder).mask), mask_with(FAR))
    _, labels = again(folder)
    np.testing.assert_array_equal(np.asarray(labels.data), mask_with(FAR))
