"""A project folder opens as layers, and what was opened can be gathered back into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from npe2 import PluginManager

from napari_clickseg._napari.project import reader
from napari_clickseg._napari.project.gather import gather
from napari_clickseg._napari.project.pairs import pairs_of, snapshot
from napari_clickseg._napari.project.reader import get_reader
from napari_clickseg._napari.project.saving import homeless
from napari_clickseg._napari.viewer.layers import companion_transform
from napari_clickseg._napari.viewer.metadata import empty_planes, saved_classes
from napari_clickseg.data.annotations import ProjectClick, read_clicks
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import ProjectError, Record, read_project
from napari_clickseg.data.writer import ProjectWriter

H, W = 20, 30
CLASSES = ProjectClasses(
    scheme="classes",
    classes=(
        ProjectClass(id=1, name="cell", colour="#ff0000"),
        ProjectClass(id=2, name="bud", colour="#00ff00"),
    ),
    ignore=200,
)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


LABELS = np.zeros((H, W), np.uint8)
LABELS[2:9, 3:9] = 1
LABELS[12:18, 12:19] = 2


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(reader, "show_warning", told.append)
    return told


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Three images of one kind: annotated, not annotated, really empty."""
    folder = tmp_path / "yeast"
    writer = ProjectWriter(folder)
    clicks = (ProjectClick(y=4, x=5, object=1), ProjectClick(y=1.5, x=2, positive=False))
    options: Any = {"clicks": clicks, "split": "test", "classes": CLASSES}
    writer.add("a", noise(H, W), LABELS, group="x", **options)
    writer.add("b", noise(H, W, seed=1), group="y")
    writer.add("c", noise(H, W, seed=2), really_empty=True)
    return folder


def opened(folder: Path, viewer: Any = None) -> ViewerModel:
    viewer = viewer or ViewerModel()
    read = get_reader(str(folder))
    assert read is not None
    for data, meta, kind in read(str(folder)):
        getattr(viewer, f"add_{kind}")(data, **meta)
    return viewer


def test_images_of_one_kind_become_a_stack_with_labels_and_clicks(project: Path) -> None:
    viewer = opened(project)
    image, labels, clicks = viewer.layers
    assert (image.name, labels.name, clicks.name) == ("yeast", "yeast annotation", "yeast clicks")
    assert image.data.shape == labels.data.shape == (3, H, W)
    assert image.axis_labels == ("image", "y", "x")
    for i in range(3):
        assert np.array_equal(np.asarray(image.data[i]), noise(H, W, seed=i))
    assert np.array_equal(labels.data[0], LABELS)
    assert not labels.data[1:].any()
    assert labels.editable
    assert empty_planes(labels) == {(2, 0, 0)}
    assert saved_classes(labels)[0] == CLASSES.model_copy(update={"ignore": None})
    assert np.allclose(labels.get_color(1), (1, 0, 0, 1))
    assert np.allclose(labels.get_color(2), (0, 1, 0, 1))
    assert labels.get_color(7)[3] > 0, "ids without a class are seen, too"
    assert np.array_equal(clicks.data, [[0, 4, 5], [0, 1.5, 2]])
    assert clicks.features["positive"].tolist() == [True, False]
    assert clicks.features["object"].tolist() == [1, 0]


def test_opening_does_not_read_the_images(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise AssertionError("An image was read.")

    monkeypatch.setattr(reader, "read_plane", fail)
    read = get_reader(str(project))
    assert read is not None
    assert len(read(str(project))) == 3


def test_what_was_opened_goes_back_to_where_it_was(project: Path) -> None:
    """The image that was not annotated gets its mask; names, groups, splits and clicks stay."""
    before = read_project(project)
    viewer = opened(project)
    viewer.layers[1].data[1, 3:5, 3:5] = 2
    (pair,) = pairs_of(viewer)
    gather(snapshot([pair], viewer.dims), project)
    after = read_project(project)
    first, second, third = after.records
    assert before.records == (first, third)
    assert (second.name, second.group) == ("images/b.png", "y")
    assert np.array_equal(read_labels(second.mask), viewer.layers[1].data[1])
    assert after.classes == CLASSES
    assert after.unannotated == ()
    assert after.ungrouped == {"images/c.png"}
    assert len(list((project / "images").iterdir())) == 3


@pytest.mark.parametrize("count", [1, 2])
def test_channels_are_an_axis_that_the_labels_are_stretched_over(
    tmp_path: Path, count: int
) -> None:
    writer = ProjectWriter(tmp_path)
    images = [noise(H, W, 5, seed=i).astype(np.uint16) for i in range(count)]
    for i, image in enumerate(images):
        writer.add(f"i{i}", image, LABELS * (i == 0), group="g")
    viewer = opened(tmp_path)
    image, labels = viewer.layers
    lead = (2,) if count == 2 else ()
    assert image.data.shape == (*lead, 5, H, W)
    assert labels.data.shape == (*lead, 1, H, W)
    there = companion_transform(image, len(lead))
    assert np.allclose(labels.scale, there["scale"])
    assert np.allclose(labels.translate, there["translate"])
    labels.data[..., 0, 0] = 2
    (pair,) = pairs_of(viewer)
    gather(snapshot([pair], viewer.dims), tmp_path)
    records = read_project(tmp_path).records
    assert [record.name for record in records] == [f"images/i{i}.tif" for i in range(count)]
    for at, record in enumerate(records):
        assert np.array_equal(tifffile.imread(record.image), images[at])
        assert read_labels(record.mask)[0, 0] == 2


def test_colour_stays_colour(tmp_path: Path) -> None:
    writer = ProjectWriter(tmp_path)
    for i in range(2):
        writer.add(str(i), noise(H, W, 3 + i), LABELS)
    viewer = opened(tmp_path)
    assert [layer.data.shape for layer in viewer.layers] == [
        *((H, W, 3), (H, W), (H, W, 4), (H, W)),
    ]
    assert viewer.layers[0].rgb and viewer.layers[2].rgb
    assert [layer.visible for layer in viewer.layers] == [True, True, False, False]
    done = gather(snapshot(pairs_of(viewer)), tmp_path)
    assert done.annotated == ("images/0.png", "images/1.png")


def test_of_many_kinds_the_first_are_opened_and_it_is_said(
    tmp_path: Path, warnings: list[str]
) -> None:
    writer = ProjectWriter(tmp_path)
    for i in range(15):
        writer.add(f"{i:02}", noise(H + i, W), np.ones((H + i, W), int))
    viewer = opened(tmp_path)
    assert len(viewer.layers) == 24
    assert warnings == [
        "The images are of 15 different sizes or kinds; the first 12 are opened, 3 images are "
        "not. Put fewer into a folder of their own to see them."
    ]
    done = gather(snapshot(pairs_of(viewer)), tmp_path)
    assert len(done.annotated) == 12
    assert len(read_project(tmp_path).records) == 15


def test_what_cannot_be_read_is_said_and_the_rest_opened(
    project: Path, warnings: list[str]
) -> None:
    writer = ProjectWriter(project)
    for name in ("d", "e", "f"):
        writer.add(name, noise(H, W, seed=ord(name)), LABELS, clicks=(ProjectClick(y=1, x=1),))
    (project / "images/d.png").write_bytes(b"no image")
    iio.imwrite(project / "masks/e.png", LABELS[1:])
    (project / "masks/f.png").unlink()
    (project / "clicks/f.json").write_text("[")
    viewer = opened(project)
    assert viewer.layers[0].data.shape == (5, H, W)
    assert not viewer.layers[1].data[3:].any()
    assert warnings[0] == "images/d.png cannot be read."
    assert "f.json cannot be read as clicks" in warnings[1]
    assert warnings[2] == (
        "The masks of images/e.png, images/f.png cannot be used; nothing is shown there."
    )
    assert not {(3, 0, 0), (4, 0, 0)} & empty_planes(viewer.layers[1])


def test_a_project_without_images_that_can_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("image,mask\na.png,b.png\n")
    with pytest.raises(ProjectError, match="No image of"):
        opened(tmp_path)


def test_ids_beyond_16_bits_are_kept(tmp_path: Path) -> None:
    ProjectWriter(tmp_path).add("a", noise(H, W), LABELS.astype(int) * 70_000)
    labels = opened(tmp_path).layers[1]
    assert labels.data.max() == 140_000
    assert labels.editable


@pytest.fixture
def two_meanings(tmp_path: Path) -> Path:
    """A project in which the id 2 is another class in each image, and 3 of none in the second."""
    writer = ProjectWriter(tmp_path / "project")
    classes = CLASSES.model_copy(update={"scheme": "instances"})
    masks = [LABELS.copy(), LABELS.copy()]
    for mask in masks:
        mask[-2:, -2:] = 3
    writer.add("a", noise(H, W), masks[0], object_classes={1: 1, 2: 2, 3: 1}, classes=classes)
    writer.add("b", noise(H, W, seed=1), masks[1], object_classes={1: 1, 2: 1})
    return tmp_path / "project"


def test_each_image_keeps_the_classes_of_its_objects(two_meanings: Path) -> None:
    viewer = opened(two_meanings)
    classes = saved_classes(viewer.layers[1])[1]
    assert classes.on((0, 0, 0)) == {1: 1, 2: 2, 3: 1}
    assert classes.on((1, 0, 0)) == {1: 1, 2: 1}, "nobody said what 3 is"
    assert classes.of_ids == {1: 1, 3: 1}
    before = read_project(two_meanings)
    texts = [r.clicks.read_text() for r in before.records if r.clicks is not None]
    gather(snapshot(pairs_of(viewer)), two_meanings)
    assert [r.clicks.read_text() for r in before.records if r.clicks is not None] == texts
    assert len(texts) == 2


@pytest.mark.parametrize("annotate", [False, True])
def test_what_is_learned_from_has_the_classes_of_each_image(
    make_bench: Any, two_meanings: Path, tmp_path: Path, annotate: bool
) -> None:
    """The copy that Train makes of open layers says what the project says, and what was added."""
    bench = make_bench(opened(two_meanings))
    if annotate:
        bench.viewer.dims.set_point(0, 1)
        bench.controller.set_up(bench.viewer.layers[0])
        bench.settle()
        bench.take_up(H - 1, W - 1)
        bench.state.class_index = [c.identifier for c in bench.state.classes].index(2)
        bench.do("accept")
        bench.controller.close()  # what was said stays with the layers
    gather(snapshot(pairs_of(bench.viewer)), tmp_path / "copy", only=True)
    classes = [read_clicks(r.clicks).classes for r in read_project(tmp_path / "copy").records
             if r.clicks is not None]  # fmt: skip
    assert classes == [{1: 1, 2: 2, 3: 1}, {1: 1, 2: 1} | ({3: 2} if annotate else {})]


def test_an_object_is_taken_up_with_the_class_that_it_has_in_its_image(
    make_bench: Any, two_meanings: Path
) -> None:
    bench = make_bench(opened(two_meanings))
    y, x = (int(at[0]) for at in np.nonzero(LABELS == 2))
    chosen = []
    for image in (0, 1):
        bench.viewer.dims.set_point(0, image)
        bench.controller.set_up(bench.viewer.layers[0])
        bench.settle()
        bench.take_up(y, x)
        chosen.append(bench.state.current_class.identifier)
    assert chosen == [2, 1]


@pytest.mark.parametrize("what", ["file", "other table", "list", "nothing"])
def test_what_is_no_project_is_left_to_others(tmp_path: Path, what: str) -> None:
    (tmp_path / "index.csv").write_text("index,axis-0,axis-1\n0,1,2\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.csv").touch()
    paths: dict[str, Any] = {
        "file": str(tmp_path / "images/a.csv"),
        "other table": str(tmp_path / "index.csv"),
        "list": [str(tmp_path)],
        "nothing": str(tmp_path / "none"),
    }
    assert get_reader(paths[what]) is None


@pytest.mark.parametrize("name", ["empty", "empty/images", "image.zarr"])
def test_a_folder_without_images_is_refused_in_a_line(
    tmp_path: Path, warnings: list[str], name: str
) -> None:
    """As napari opens it, where Click segmentation is chosen among the readers."""
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "notes.txt").touch()
    PluginManager.instance().discover()  # again, whatever windows were open before
    viewer = ViewerModel()
    assert viewer.open(str(tmp_path / name), plugin="napari-clickseg") == []
    (said,) = warnings
    assert len(viewer.layers) == 0 and "\n" not in said and Path(name).name in said


@pytest.mark.parametrize("what", ["plain", "folder of images", "images"])
def test_images_without_masks_open_as_a_project_without_masks(tmp_path: Path, what: str) -> None:
    folder = tmp_path if what == "plain" else tmp_path / "images"
    folder.mkdir(exist_ok=True)
    for name in ("a", "b"):
        iio.imwrite(folder / f"{name}.png", noise(H, W))
    (folder / "notes.txt").touch()
    viewer = opened(folder if what == "images" else tmp_path)
    image, labels = viewer.layers[0], viewer.layers[1]
    assert image.data.shape == labels.data.shape == (2, H, W) and not labels.data.any()
    ((pair),) = pairs_of(viewer)
    known = homeless([pair])
    assert bool(known) == (what == "plain"), "Of a plain folder the user says where masks go."


def test_the_index_opens_its_project(project: Path) -> None:
    read = get_reader(str(project / "index.csv"))
    assert read is not None
    assert len(read(str(project / "index.csv"))) == 3


def test_napari_finds_the_reader(project: Path) -> None:
    PluginManager.instance().discover()  # again, whatever windows were open before
    viewer = ViewerModel()
    viewer.open(str(project), plugin="napari-clickseg")
    assert [layer.name for layer in viewer.layers][:2] == ["yeast", "yeast annotation"]


def test_an_opened_project_is_annotated_further(bench: Any, project: Path) -> None:
    """The Annotate widget takes the labels over, with classes and scheme."""
    opened(project, bench.viewer)
    image, labels = bench.viewer.layers[:2]
    bench.controller.adopt(image, annotation=labels)
    bench.settle()
    assert bench.state.scheme == "classes"
    assert [one.name for one in bench.state.classes] == ["cell", "bud"]
    bench.viewer.dims.set_current_step(0, 1)
    bench.click(8, 20)
    bench.do("accept")
    (pair,) = pairs_of(bench.viewer)
    gather(snapshot([pair], bench.viewer.dims), project)
    entry = ProjectWriter(project).find("b")
    assert isinstance(entry, Record)
    assert entry.clicks is not None
    assert np.array_equal(read_labels(entry.mask), labels.data[1])
    assert labels.data[1].any()
