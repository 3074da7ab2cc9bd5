"""Annotated layers become a project: each annotated plane is a record."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.components import ViewerModel

from napari_clickseg._napari.project.gather import gather
from napari_clickseg._napari.project.pairs import pairs_of, possible_pairs, snapshot
from napari_clickseg._napari.viewer.layers import CompanionError
from napari_clickseg._napari.viewer.metadata import mark_empty
from napari_clickseg.data.annotations import read_clicks
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import ProjectError, read_project
from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.napari.conftest import Bench

H, W = 20, 30


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


def annotated(shape: tuple[int, ...], *planes: tuple[int, ...]) -> np.ndarray:
    """Labels with an object on the planes of these positions."""
    out = np.zeros(shape, np.uint16)
    for i, plane in enumerate(planes, 1):
        out[plane][3:9, 5 : 15 + i] = i
    return out


def with_metadata(layer: Any, scheme: str = "instances", **names: str) -> Any:
    classes = [
        {"id": int(key[1:]), "name": name, "colour": "#0000ff"} for key, name in names.items()
    ]
    layer.metadata["napari-clickseg"] = {"scheme": scheme, "classes": classes, "objects": {"1": 2}}
    return layer


def test_a_plane_becomes_a_record_of_its_layer_s_name(viewer: ViewerModel, tmp_path: Path) -> None:
    image = viewer.add_image(noise(H, W), name="left eye: 1/2")
    labels = viewer.add_labels(annotated((H, W), ()))
    done = gather(snapshot([(image, labels)]), tmp_path)
    (record,) = read_project(tmp_path).records
    assert done.annotated == (record.name,) == ("images/left eye_ 1_2.png",)
    assert (record.group, done.left_out, done.folder) == ("left eye: 1/2", 0, tmp_path)
    assert np.array_equal(read_plane(record.image).data, image.data)
    assert np.array_equal(read_labels(record.mask), labels.data)
    assert read_project(tmp_path).classes is None


def test_of_a_stack_the_annotated_planes_are_taken(viewer: ViewerModel, tmp_path: Path) -> None:
    image = viewer.add_image(noise(2, 11, H, W).astype(np.uint16) * 9, name="stack")
    labels = viewer.add_labels(annotated((2, 11, H, W), (0, 3), (1, 10)))
    calls: list[tuple[int, int]] = []
    done = gather(snapshot([(image, labels)]), tmp_path, progress=lambda *at: calls.append(at))
    assert done.annotated == ("images/stack_0_03.tif", "images/stack_1_10.tif")
    assert done.left_out == 20
    assert calls == [(i, 22) for i in range(1, 23)]
    first, second = read_project(tmp_path).records
    assert first.group == second.group == "stack"
    assert np.array_equal(read_plane(second.image).data, image.data[1, 10])
    assert np.array_equal(read_labels(first.mask), labels.data[0, 3])


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 2, 1)])
def test_planes_are_those_that_are_shown(
    viewer: ViewerModel, tmp_path: Path, order: tuple[int, ...]
) -> None:
    """Rows and columns keep the order of the data, however they are drawn."""
    image = viewer.add_image(noise(12, H, W), name="a", rgb=False)
    labels = viewer.add_labels(np.zeros((12, H, W), np.uint8))
    viewer.dims.order = order
    at = [4, 4, 4]
    shown = sorted(order[1:])
    at[shown[0]], at[shown[1]] = slice(2, 9), slice(3, 8)
    labels.data[tuple(at)] = 7
    gather(snapshot(pairs_of(viewer), viewer.dims), tmp_path)
    (record,) = read_project(tmp_path).records
    assert np.array_equal(read_plane(record.image).data, image.data.take(4, order[0]))
    assert np.array_equal(read_labels(record.mask), labels.data.take(4, order[0]))


@pytest.mark.parametrize("kind", ["rgb", "rgb stack", "float", "multiscale", "dask", "zarr"])
def test_any_image_is_taken_as_it_is(viewer: ViewerModel, tmp_path: Path, kind: str) -> None:
    shape: tuple[int, ...] = (3, H, W) if kind in ("rgb stack", "dask", "zarr") else (H, W)
    pixels: Any = noise(*shape, 3) if "rgb" in kind else noise(*shape)
    ids: Any = annotated(shape, (1,) if len(shape) == 3 else ())
    if kind == "float":
        pixels = pixels / 3
    given: Any = pixels
    options: dict[str, Any] = {"rgb": "rgb" in kind}
    if kind == "multiscale":
        given, ids_given = [pixels, pixels[::2, ::2]], [ids, ids[::2, ::2]]
        image = viewer.add_image(given, multiscale=True)
        labels = viewer.add_labels(ids_given, multiscale=True)
    else:
        if kind == "dask":
            given = da.from_array(pixels, chunks=(1, H, W))
        if kind == "zarr":
            ids_zarr = zarr.create_array({}, shape=shape, chunks=(1, H, W), dtype="uint16")
            ids_zarr[:] = ids
        image = viewer.add_image(given, **options)
        labels = viewer.add_labels(ids_zarr if kind == "zarr" else ids)
    gather(snapshot([(image, labels)]), tmp_path)
    (record,) = read_project(tmp_path).records
    plane = read_plane(record.image)
    at = 1 if len(shape) == 3 else ...
    assert np.array_equal(plane.data, pixels[at])
    assert plane.data.dtype == pixels.dtype
    assert plane.rgb == ("rgb" in kind)
    assert np.array_equal(read_labels(record.mask), ids[at])


def test_channels_of_an_annotated_image_stay_together(make_bench: Any, tmp_path: Path) -> None:
    bench = make_bench()
    bench.state.channel_axis = 1
    pixels = noise(3, 2, 120, 160)
    bench.open(pixels, name="two channels")
    bench.click(40, 40)
    bench.do("accept")
    (pair,) = pairs_of(bench.viewer)
    assert pair.channel_axis == 1
    gather(snapshot([pair], bench.viewer.dims), tmp_path)
    (record,) = read_project(tmp_path).records
    at = int(bench.viewer.dims.current_step[0])
    assert record.name == f"images/two channels_{at}.tif"
    assert np.array_equal(read_plane(record.image).data, np.moveaxis(pixels[at], 0, -1))
    assert np.array_equal(read_labels(record.mask), bench.labels[at, 0])


def test_clicks_and_classes_of_accepted_objects_are_kept(bench: Bench, tmp_path: Path) -> None:
    image = bench.open(noise(3, 120, 160), name="a")
    bench.controller.add_class("bud", "#00ff00")
    bench.click(30, 40)
    bench.click(50.5, 90, positive=False)
    bench.do("accept")
    bench.click(80, 100)
    bench.do("accept")
    (pair,) = pairs_of(bench.viewer)
    assert (pair.image, pair.labels) == (image, bench.pairing.annotation)
    gather(snapshot([pair]), tmp_path)
    project = read_project(tmp_path)
    (record,) = project.records
    assert project.classes is not None
    assert [(c.id, c.name, c.colour) for c in project.classes.classes][1] == (2, "bud", "#00ff00")
    assert project.classes.scheme == "instances"
    assert record.clicks is not None
    notes = read_clicks(record.clicks)
    assert [(c.y, c.x, c.positive, c.object) for c in notes.clicks] == [
        (30, 40, True, 1),
        (50.5, 90, False, 1),
        (80, 100, True, 2),
    ]
    assert notes.classes == {1: 2, 2: 2}


def test_an_id_may_have_another_class_on_each_plane(bench: Bench, tmp_path: Path) -> None:
    """Also after the planes' layers were let go of, when only their metadata say it."""
    bench.open(noise(2, 60, 80), name="stack")
    bench.controller.add_class("bud")
    for plane in (0, 1):
        bench.viewer.dims.set_point(0, plane)
        bench.state.object_id, bench.state.class_index = 1, plane
        bench.click(30, 40)
        bench.do("accept")
    for folder in (tmp_path / "open", tmp_path / "closed"):
        gather(snapshot(pairs_of(bench.viewer)), folder)
        records = read_project(folder).records
        classes = [read_clicks(r.clicks).classes for r in records if r.clicks is not None]
        assert classes == [{1: 1}, {1: 2}]
        bench.controller.close()


def test_clicks_of_another_day_stay_with_their_objects(bench: Bench, tmp_path: Path) -> None:
    image = bench.open(noise(120, 160), name="a")
    bench.click(30, 40)
    bench.do("accept")
    gather(snapshot(pairs_of(bench.viewer)), tmp_path)
    (record,) = read_project(tmp_path).records
    assert record.clicks is not None
    before = read_clicks(record.clicks)
    viewer = ViewerModel()
    again = viewer.add_image(image.data, name="a")
    labels = viewer.add_labels(bench.labels.copy())
    labels.data[100:110, 100:120] = 2
    gather(snapshot([(again, labels)]), tmp_path)
    assert read_clicks(record.clicks) == before
    labels.data[labels.data == 1] = 0
    gather(snapshot([(again, labels)]), tmp_path)
    assert read_project(tmp_path).records[0].clicks is None


def test_really_empty_planes_are_kept_where_that_is_said(
    viewer: ViewerModel, tmp_path: Path
) -> None:
    image = viewer.add_image(noise(4, H, W), name="a")
    labels = viewer.add_labels(annotated((4, H, W), (1,)))
    mark_empty(labels, (2, 0, 0))
    mark_empty(labels, (3, 0, 0))
    mark_empty(labels, (3, 0, 0), False)
    gather(snapshot([(image, labels)]), tmp_path / "marked")
    names = [record.name for record in read_project(tmp_path / "marked").records]
    assert names == ["images/a_1.png", "images/a_2.png"]
    gather(snapshot([(image, labels)]), tmp_path / "all", really_empty=True)
    assert len(read_project(tmp_path / "all").records) == 4
    gather(snapshot([(image, labels)]), tmp_path / "rest", rest=True)
    project = read_project(tmp_path / "rest")
    assert (len(project.records), len(project.unannotated)) == (2, 2)
    labels.data[1] = 0
    gather(snapshot([(image, labels)]), tmp_path / "rest", rest=True)
    assert len(read_project(tmp_path / "rest").records) == 2, "what was annotated stays"


def test_again_updates_what_is_there_and_nothing_else(viewer: ViewerModel, tmp_path: Path) -> None:
    image = viewer.add_image(noise(2, H, W), name="a")
    labels = viewer.add_labels(annotated((2, H, W), (0,), (1,)))
    gather(snapshot([(image, labels)]), tmp_path)
    labels.data[0, 10:12] = 9
    labels.data[1] = 0
    done = gather(snapshot([(image, labels)]), tmp_path)
    assert (done.annotated, done.left_out) == (("images/a_0.png",), 1)
    first, second = read_project(tmp_path).records
    assert 9 in read_labels(first.mask)
    assert np.array_equal(read_labels(second.mask), annotated((2, H, W), (0,), (1,))[1])
    gather(snapshot([(image, labels)]), tmp_path, only=True)
    assert [record.name for record in read_project(tmp_path).records] == ["images/a_0.png"]
    assert sorted(p.name for p in tmp_path.rglob("*.png")) == ["a_0.png", "a_0.png"]


def test_images_that_share_a_name_stay_apart(viewer: ViewerModel, tmp_path: Path) -> None:
    """Another image of the same name never takes the place of annotated work."""
    for seed, name in ((0, "a/1"), (1, "a:1"), (2, "A_1")):
        viewer.add_image(noise(H, W, seed=seed), name=name)
        viewer.add_labels(annotated((H, W), ()), name=f"{name} labels")
    for _ in range(2):
        done = gather(snapshot(pairs_of(viewer)), tmp_path)
        assert done.annotated == ("images/a_1.png", "images/a_1 2.png", "images/A_1 3.png")
    other = ViewerModel()
    other.add_image(noise(H, W, seed=9), name="a/1")
    other.add_labels(annotated((H, W), ()))
    assert gather(snapshot(pairs_of(other)), tmp_path).annotated == ("images/a_1 4.png",)
    for seed, record in enumerate(read_project(tmp_path).records):
        assert np.array_equal(read_plane(record.image).data, noise(H, W, seed=(0, 1, 2, 9)[seed]))


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        ("layer", ["a", "a"]),
        ("image", ["images/a_0.png", "images/a_2.png"]),
        (lambda pair, plane: f"{pair.name} week {plane.index[0] // 2}", ["a week 0", "a week 1"]),
    ],
)
def test_groups_are_as_the_user_says(
    viewer: ViewerModel, tmp_path: Path, group_by: Any, groups: list[str]
) -> None:
    image = viewer.add_image(noise(3, H, W), name="a")
    labels = viewer.add_labels(annotated((3, H, W), (0,), (2,)))
    gather(snapshot([(image, labels)]), tmp_path, group_by=group_by)
    assert [record.group for record in read_project(tmp_path).records] == groups


def test_classes_of_all_layers_come_together(viewer: ViewerModel, tmp_path: Path) -> None:
    for i, names in enumerate(({"c1": "cell"}, {"c1": "cell", "c2": "bud"})):
        viewer.add_image(noise(H, W, seed=i), name=f"image {i}")
        labels = viewer.add_labels(annotated((H, W), ()), name=f"image {i} labels")
        with_metadata(labels, "classes", **names)
    gather(snapshot(pairs_of(viewer)), tmp_path)
    classes = read_project(tmp_path).classes
    assert classes is not None and classes.scheme == "classes"
    assert [one.name for one in classes.classes] == ["cell", "bud"]


@pytest.mark.parametrize(
    ("scheme", "names", "message"),
    [
        ("instances", {"c1": "cell"}, "ids are objects, each with its own, in the labels layer"),
        ("classes", {"c1": "bud"}, "The class 1 is 'bud' in the labels layer"),
    ],
)
def test_classes_that_contradict_each_other_are_refused(
    viewer: ViewerModel, tmp_path: Path, scheme: str, names: dict[str, str], message: str
) -> None:
    for i, (kind, classes) in enumerate((("classes", {"c1": "cell"}), (scheme, names))):
        viewer.add_image(noise(H, W, seed=i), name=f"image {i}")
        labels = viewer.add_labels(annotated((H, W), ()), name=f"image {i} labels")
        with_metadata(labels, kind, **classes)
    with pytest.raises(ProjectError, match=message):
        gather(snapshot(pairs_of(viewer)), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("saved", [{}, {"scheme": "x", "classes": []}, {"scheme": "classes"}, 3])
def test_metadata_of_others_is_not_trusted(
    viewer: ViewerModel, tmp_path: Path, saved: object
) -> None:
    image = viewer.add_image(noise(H, W), metadata={"napari-clickseg project": {"folder": 3}})
    labels = viewer.add_labels(annotated((H, W), ()))
    labels.metadata |= {"napari-clickseg": saved, "napari-clickseg empty": [["x"]]}
    gather(snapshot([(image, labels)]), tmp_path)
    assert read_project(tmp_path).classes is None


def test_layers_that_do_not_fit_are_refused(viewer: ViewerModel) -> None:
    image = viewer.add_image(noise(H, W), name="a")
    labels = viewer.add_labels(annotated((H, W + 1), ()), name="b")
    with pytest.raises(CompanionError, match=r"labels layer 'b' has the shape \(20, 31\)"):
        snapshot([(image, labels)])
    assert pairs_of(viewer) == ()


def test_nothing_annotated_is_said_and_leaves_nothing(viewer: ViewerModel, tmp_path: Path) -> None:
    image = viewer.add_image(noise(H, W))
    labels = with_metadata(viewer.add_labels(np.zeros((H, W), int)), c1="cell")
    with pytest.raises(ProjectError, match="Nothing is annotated"):
        gather(snapshot([(image, labels)]), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_image_that_cannot_be_read_is_named(viewer: ViewerModel, tmp_path: Path) -> None:
    def fail(block: Any) -> Any:
        raise OSError("the server is gone")

    lazy = da.from_array(noise(H, W)).map_blocks(fail, dtype=np.uint8, meta=np.zeros((0, 0), "u1"))
    image = viewer.add_image(noise(H, W), name="far away")
    (data,) = snapshot([(image, viewer.add_labels(annotated((H, W), ())))])
    object.__setattr__(data, "image", lazy)
    with pytest.raises(ProjectError, match="'far away' cannot be read: the server is gone"):
        gather([data], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_gathering_ends_where_it_is_told_to(viewer: ViewerModel, tmp_path: Path) -> None:
    image = viewer.add_image(noise(5, H, W))
    labels = viewer.add_labels(annotated((5, H, W), *((i,) for i in range(5))))

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        gather(snapshot([(image, labels)]), tmp_path, progress=stop)
    assert len(read_project(tmp_path).records) == 2


def test_a_thread_may_gather_while_layers_go_away(viewer: ViewerModel, tmp_path: Path) -> None:
    image = viewer.add_image(noise(3, H, W), name="a")
    viewer.add_labels(annotated((3, H, W), (0,), (2,)))
    data = snapshot(pairs_of(viewer))
    viewer.layers.clear()
    image.name = "other"
    thread = threading.Thread(target=gather, args=(data, tmp_path))
    thread.start()
    thread.join()
    assert [record.group for record in read_project(tmp_path).records] == ["a", "a"]


def names(viewer: ViewerModel) -> list[tuple[str, str]]:
    return [(pair.image.name, pair.labels.name) for pair in pairs_of(viewer)]


def unclear(viewer: ViewerModel) -> set[tuple[str, str]]:
    return {(pair.image.name, pair.labels.name) for pair in possible_pairs(viewer)}


def test_the_only_layers_of_a_shape_belong_together(viewer: ViewerModel) -> None:
    viewer.add_image(noise(H, W), name="a")
    viewer.add_labels(annotated((H, W), ()), name="near a")
    viewer.add_image(noise(3, H, W), name="stack", rgb=False)
    viewer.add_labels(annotated((3, H, W), (0,)), name="of the stack")
    viewer.add_labels(annotated((9, W), ()), name="of nothing")
    assert names(viewer) == [("a", "near a"), ("stack", "of the stack")]
    viewer.add_image(noise(H, W, 3), name="colour", rgb=True)
    assert names(viewer) == [("stack", "of the stack")]
    assert unclear(viewer) == {("a", "near a"), ("colour", "near a")}


def test_names_decide_where_shapes_do_not(viewer: ViewerModel) -> None:
    for name in ("cell", "cell 2"):
        viewer.add_image(noise(H, W), name=name)
    for name in ("prediction", "cell 2 mask", "mine"):
        viewer.add_labels(annotated((H, W), ()), name=name)
    assert names(viewer) == [("cell 2", "cell 2 mask")]
    assert unclear(viewer) == {("cell", "prediction"), ("cell", "mine")}


def test_labels_of_one_image_are_never_taken_for_those_of_another(viewer: ViewerModel) -> None:
    for name in ("a", "b"):
        viewer.add_image(noise(H, W), name=name)
    for name in ("a nuclei", "a cells"):
        viewer.add_labels(annotated((H, W), ()), name=name)
    assert names(viewer) == []
    assert unclear(viewer) == {("a", "a nuclei"), ("a", "a cells")}


def test_what_is_annotated_together_belongs_together(bench: Bench) -> None:
    """Labels that were there are gone on with; the prediction that is shown is no annotation."""
    bench.viewer.add_labels(np.zeros((120, 160), int), name="a by another program")
    image = bench.open(noise(120, 160), name="a")
    bench.click(30, 40)
    assert names(bench.viewer) == [("a", "a by another program")]
    bench.viewer.add_labels(np.zeros((120, 160), int), name="a again")
    assert names(bench.viewer) == [("a", "a by another program")]
    bench.viewer.layers.remove(bench.pairing.annotation)
    assert names(bench.viewer) == [("a", "a again")]
    bench.viewer.layers.remove(image)
    assert names(bench.viewer) == []


def test_other_projects_are_not_touched(viewer: ViewerModel, tmp_path: Path) -> None:
    ProjectWriter(tmp_path).add("old", noise(H, W), annotated((H, W), ()))
    image = viewer.add_image(noise(H, W), name="new")
    gather(snapshot([(image, viewer.add_labels(annotated((H, W), ())))]), tmp_path)
    assert [r.name for r in read_project(tmp_path).records] == ["images/old.png", "images/new.png"]


def test_what_was_drawn_comes_back_from_a_project_as_it_was(bench: Any, tmp_path: Path) -> None:
    from napari_clickseg.core.gestures import DrawnBox, Scribble

    bench.open(np.random.default_rng(0).integers(0, 255, (120, 160), np.uint8), name="cells")
    tool = bench.controller.tool
    for kind, points in (("box", ((10, 20), (70, 90))), ("scribble", ((30, 30), (32, 40)))):
        tool.begun.emit(kind, bench.world(*points[0]), True)
        tool.moved.emit(bench.world(*points[1]))
        tool.released.emit()
        bench.settle()
    bench.click(40, 50)
    made = bench.controller.prompt().gestures
    bench.do("accept")
    gather(snapshot(pairs_of(bench.viewer), bench.viewer.dims), tmp_path / "project")
    noted = read_clicks(tmp_path / "project" / "clicks" / "cells.json").clicks
    assert tuple(click.gesture for click in noted) == made
    assert [type(click.gesture) for click in noted][:2] == [DrawnBox, Scribble]
    from napari_clickseg._napari.project.reader import get_reader

    layers = get_reader(str(tmp_path / "project"))(str(tmp_path / "project"))
    kinds = {kind: (data, options) for data, options, kind in layers}
    assert len(kinds["points"][0]) == 1 and len(kinds["shapes"][0]) == 2
    from napari.layers import Shapes

    shapes = Shapes(kinds["shapes"][0], **kinds["shapes"][1])
    np.testing.assert_allclose(shapes.data[1][:, -2:], [(30, 30), (32, 40)])
