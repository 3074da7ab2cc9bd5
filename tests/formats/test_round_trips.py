"""Each row of the table in docs/formats.md: what goes out comes back, and others read it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from napari_clickseg.data.annotations import Annotations, ObjectNote, ProjectClick
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.pixel_size import PixelSize
from napari_clickseg.data.project import read_project
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.formats.annotated import AnnotatedImage, annotated_record
from napari_clickseg.formats.exporting import FORMATS, ExportSource, export, sources_of
from napari_clickseg.formats.external_objects import drawn
from napari_clickseg.formats.importing import ImportChoice, import_into, read_annotations
from napari_clickseg.formats.problems import Problems
from tests.formats.label_maps import full, hard_labels, label_maps

CLASSES = ProjectClasses(
    classes=(
        ProjectClass(id=1, name="nucleus", colour="#ff0000"),
        ProjectClass(id=4, name="Zelle, groß", colour="#00ff80"),
    )
)
SIZE = PixelSize(0.5, 0.25, "µm")
CLICKS = (
    ProjectClick(y=10, x=6.5, object=3),
    ProjectClick(y=11, x=7, positive=False, object=3),
    ProjectClick(y=22, x=9, object=12),
)
NOTES = {3: ObjectNote(score=0.75, model="default"), 41: ObjectNote(clicks=5)}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project of two images, one without any object."""
    writer = ProjectWriter(tmp_path / "project")
    pixels = np.random.default_rng(0).integers(0, 255, (60, 81)).astype(np.uint8)
    writer.add(
        "dish 1",
        pixels,
        hard_labels(),
        group="mouse 7",
        split="validation",
        clicks=CLICKS,
        object_classes={3: 1, 12: 4, 300: 4},
        objects=NOTES,
        classes=CLASSES,
        pixel_size=SIZE,
    )
    writer.add("leer", pixels[:40], np.zeros((40, 81), np.uint8), really_empty=True)
    return writer.folder


def _out(folder: Path, to: str) -> Path:
    return folder / {"coco": "out.json", "clicks": "out.csv"}.get(to, "out")


def _exported(project: Path, to: str, tmp_path: Path, **options: Any) -> Path:
    out = _out(tmp_path, to)
    assert export(sources_of([project], note=print), to, out, **options) == 2
    return out


def _back(out: Path, to: str, project: Path, tmp_path: Path) -> AnnotatedImage:
    """Bring what went out in again, and return its first image."""
    choice = ImportChoice(to, project / "images", empty=True)
    import_into(out, tmp_path / "back", choice)
    back = read_project(tmp_path / "back")
    assert not back.left_out
    first, second = sorted(back.records, key=lambda one: one.name)
    assert [Path(one.name).stem for one in (first, second)] == ["dish 1", "leer"]
    assert not read_labels(second.mask).any()
    return annotated_record(first, back)


# What comes back: ids, classes with their ids, names and colours, scores and the like, pixel size.
KEPT = {
    "coco": {"ids", "classes", "notes", "size", "place"},
    "geojson": {"ids", "classes", "notes"},
    "roi": {"ids", "classes", "notes"},
    "labelme": {"ids", "classes", "notes"},
    "omezarr": {"ids", "classes", "notes", "size", "clicks"},
    "cellpose": {"ids", "classes", "notes", "size", "clicks"},
    "stardist": {"ids", "classes", "notes", "size", "clicks"},
    "nifti": {"ids", "size"},
    "yolo": {"class names", "split"},
}


@pytest.mark.parametrize("to", sorted(KEPT))
def test_what_the_table_says_is_kept_comes_back(project, tmp_path, to):
    out = _exported(project, to, tmp_path)
    back = _back(out, to, project, tmp_path)
    kept, labels = KEPT[to], hard_labels()
    if "ids" in kept:
        assert (back.labels == labels).all()
    else:
        assert _partition(back.labels) == _partition(labels)
    if "classes" in kept:
        assert back.annotations.classes == {3: 1, 12: 4, 300: 4}
        assert back.classes == CLASSES
    if "class names" in kept:
        assert back.classes is not None
        assert [one.name for one in back.classes.classes][:2] == ["nucleus", "Zelle, groß"]
    if "notes" in kept:
        rows = back.rows()
        assert (rows[3].score, rows[3].clicks, rows[3].model) == (0.75, 2, "default")
        assert (rows[41].score, rows[41].clicks, rows[41].model) == (None, 5, "")
    if "size" in kept:
        assert back.pixel_size is not None
        size = back.pixel_size.within("µm")
        assert (size.y, size.x) == pytest.approx((SIZE.y, SIZE.x))
    if "clicks" in kept:
        assert back.annotations.clicks == CLICKS
    if "place" in kept:
        assert (back.group, back.split) == ("mouse 7", "validation")
    if "split" in kept:
        assert back.split == "validation"


def _partition(labels: Any) -> set[frozenset[int]]:
    flat = labels.ravel()
    return {frozenset(np.flatnonzero(flat == one).tolist()) for one in np.unique(flat) if one}


def _image(labels: Any) -> AnnotatedImage:
    return AnnotatedImage("a", labels, file="a.png", classes=CLASSES)


_IN_ONE_FILE = ("geojson", "roi", "labelme")


@settings(max_examples=25)
@given(label_maps)
@pytest.mark.parametrize("to", [*_IN_ONE_FILE, "coco", "yolo"])
def test_any_label_map_comes_back_pixel_by_pixel(tmp_path_factory, to, labels):
    from napari_clickseg.formats import coco, geojson, imagej, labelme, yolo

    folder = tmp_path_factory.mktemp("any")
    path = folder / f"a{FORMATS[to].suffix}"
    if to == "coco":
        coco.write_coco(iter([_image(labels)]), path, print)
    elif to == "yolo":
        yolo.write_yolo(iter([_image(labels)]), folder, lambda _: None)
    else:
        FORMATS[to].write(_image(labels), path, print)
    readers: Any = {
        "coco": coco.read_coco,
        "geojson": geojson.read_geojson,
        "roi": imagej.read_rois,
        "labelme": labelme.read_labelme,
        "yolo": yolo.read_yolo,
    }
    problems = Problems(skip=False, note=print)
    (image,) = readers[to](folder if to == "yolo" else path, problems).images
    back, _ = drawn(image, labels.shape, None, problems)
    problems.check()
    if to == "yolo":
        assert _partition(back) == _partition(labels)
    else:
        assert (back == labels).all()


NAMES = (
    "a, b; c", "\"quoted\" 'x'", "line\nbreak", "tab\there", "  spaced  ", "background", "ignore",
    "object", "no class", "0", "1e5", "nan", "true", "a: b", "# -", "{x}", "\u2028", "ünï/日本\\",
)  # fmt: skip


@pytest.mark.parametrize("to", [*_IN_ONE_FILE, "coco", "yolo", "cellpose"])
def test_any_name_of_a_class_comes_back_and_no_class_stays_none(tmp_path, to):
    labels = np.zeros((8, 2 * len(NAMES) + 4), np.uint16)
    labels[2:5, 1 : 2 * len(NAMES) + 3 : 2] = np.arange(1, len(NAMES) + 2)
    classes = tuple(ProjectClass(id=i, name=name) for i, name in enumerate(NAMES, 1))
    image = AnnotatedImage(
        "a",
        labels,
        file="a.png",
        classes=ProjectClasses(classes=classes),
        annotations=Annotations(classes={i: i for i in range(1, len(NAMES) + 1)}),
    )
    out = tmp_path / f"a{FORMATS[to].suffix}"
    export([ExportSource("a", lambda: image)], to, out)
    problems = Problems(skip=False, note=print)
    file = read_annotations(out, ImportChoice(to), problems)
    (one,) = file.images
    if one.mask is not None:
        back, known = one.mask(), one.notes
    else:
        back, known = drawn(one, labels.shape, None, problems)
    problems.check()
    assert file.classes is not None
    names = {each.id: each.name for each in file.classes.classes}
    called = [
        names.get(known.classes.get(int(back[3, 2 * i + 1]), 0)) for i in range(len(NAMES) + 1)
    ]
    assert called == [*NAMES, None]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@settings(max_examples=40)
@given(label_maps)
@pytest.mark.parametrize("polygons", [False, True])
def test_pycocotools_reads_the_same_masks(tmp_path_factory, polygons, labels):
    from pycocotools.coco import COCO

    from napari_clickseg.formats.coco import write_coco

    path = tmp_path_factory.mktemp("coco") / "a.json"
    write_coco(iter([_image(labels)]), path, print, polygons=polygons)
    theirs = COCO(str(path))
    every = theirs.loadAnns(theirs.getAnnIds())
    assert {one["object"] for one in every} == {int(one) for one in np.unique(labels) if one}
    for one in every:
        mask = labels == one["object"]
        assert (theirs.annToMask(one) == mask).all()
        assert one["area"] == mask.sum()
        rows, columns = np.nonzero(mask)
        assert one["bbox"] == [
            columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1,
        ]  # fmt: skip


def test_coco_keeps_plain_objects_as_polygons_and_others_as_runs(project, tmp_path):
    said = json.loads(_exported(project, "coco", tmp_path).read_text(encoding="utf-8"))
    kinds = {one["object"]: type(one["segmentation"]) for one in said["annotations"]}
    assert kinds == {3: dict, 7: list, 12: list, 41: list, 300: dict, 40_000: dict}


def test_qupath_finds_classes_with_their_colours_and_areas_of_pixels(project, tmp_path):
    import shapely

    out = _exported(project, "geojson", tmp_path) / "dish 1.geojson"
    features = json.loads(out.read_text(encoding="utf-8"))["features"]
    assert [one["geometry"]["type"] for one in features].count("MultiPolygon") == 2
    for one in features:
        shape = shapely.geometry.shape(one["geometry"])
        count = int((hard_labels() == int(one["properties"]["name"])).sum())
        assert shapely.is_valid(shape)
        assert shape.area == count == one["properties"]["measurements"]["Area px^2"]
        measured = one["properties"]["measurements"]["Area µm^2"]
        assert measured == pytest.approx(count * 0.125)
    first = features[0]["properties"]
    assert first["classification"] == {"name": "nucleus", "color": [255, 0, 0]}
    assert first["objectType"] == "annotation"


def test_roifile_reads_the_same_outlines(project, tmp_path):
    import roifile

    from napari_clickseg.formats.shapes.filling import filled

    out = _exported(project, "roi", tmp_path) / "dish 1.zip"
    labels = hard_labels()
    rois = roifile.roiread(out)
    assert [int(one.name) for one in rois] == [3, 7, 12, 41, 300, 40_000]
    for one in rois:
        rings = one.coordinates(multi=True)
        mask = labels == int(one.name)
        assert (full(filled(rings, labels.shape), labels.shape) == mask).all()
        rows, columns = np.nonzero(mask)
        box = (one.top, one.left, one.bottom, one.right)
        assert box == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert rois[0].stroke_color == b"\xff\xff\x00\x00"


def test_coordinates_beyond_two_bytes_are_kept_in_regions(tmp_path):
    from napari_clickseg.formats.imagej import read_rois, write_rois

    labels = np.zeros((2, 40_000), np.uint8)
    labels[0, 39_990:] = 1
    labels[:, 35_000:36_000] = 2
    labels[1, 35_100:35_200] = 0
    write_rois(_image(labels), tmp_path / "a.zip", print)
    problems = Problems(skip=False, note=print)
    (image,) = read_rois(tmp_path / "a.zip", problems).images
    assert (drawn(image, labels.shape, None, problems)[0] == labels).all()


def _ome(group: Path) -> Any:
    return json.loads((group / "zarr.json").read_text(encoding="utf-8"))["attributes"]["ome"]


def test_yaozarrs_validates_what_is_written_as_ome_zarr(project, tmp_path):
    import yaozarrs

    out = _exported(project, "omezarr", tmp_path)
    for name in ("dish 1", "leer"):
        yaozarrs.validate_zarr_store(out / f"{name}.ome.zarr")
        yaozarrs.validate_zarr_store(out / f"{name}.ome.zarr/labels/annotation")
    attributes = _ome(out / "dish 1.ome.zarr/labels/annotation")
    coloured = {one["label-value"]: one["rgba"] for one in attributes["image-label"]["colors"]}
    assert coloured == {3: [255, 0, 0, 255], 12: [0, 255, 128, 255], 300: [0, 255, 128, 255]}
    scale = attributes["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]
    assert scale == {"type": "scale", "scale": [0.5, 0.25]}
    assert attributes["multiscales"][0]["axes"][0]["unit"] == "micrometer"


def test_a_large_mask_becomes_a_pyramid_of_its_own_ids(tmp_path):
    import zarr

    from napari_clickseg.formats.omezarr import write_omezarr

    labels = np.kron(hard_labels(), np.ones((20, 20), np.uint16))
    write_omezarr(AnnotatedImage("a", labels), tmp_path / "a.zarr", print)
    levels: Any = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
    assert (levels["0"][:] == labels).all()
    assert levels["2"].shape == (300, 405)
    assert (levels["2"][:] == labels[::4, ::4]).all()


def test_a_stack_keeps_its_axes_in_ome_zarr_and_nifti(tmp_path):
    import nibabel
    import tifffile

    stack = np.stack([hard_labels(), hard_labels()[::-1]])
    tifffile.imwrite(tmp_path / "s.tif", stack, metadata={"axes": "ZYX"})
    source = sources_of([tmp_path / "s.tif"], pixel_size=PixelSize(0.5, 0.25, "µm", 2), note=print)
    export(source, "nifti", tmp_path / "s.nii.gz")
    saved: Any = nibabel.load(tmp_path / "s.nii.gz")
    assert (np.asarray(saved.dataobj).T == stack).all()
    assert saved.header.get_zooms() == pytest.approx((0.00025, 0.0005, 0.002))
    export(source, "omezarr", tmp_path / "s.zarr")
    axes = _ome(tmp_path / "s.zarr")["multiscales"][0]
    assert [one["name"] for one in axes["axes"]] == ["z", "y", "x"]
    assert axes["datasets"][0]["coordinateTransformations"][0]["scale"] == [2, 0.5, 0.25]
    export(source, "geojson", tmp_path / "planes")
    assert sorted(p.name for p in (tmp_path / "planes").iterdir()) == [
        "s_z0.geojson", "s_z1.geojson",
    ]  # fmt: skip


def test_cellpose_finds_a_mask_beside_each_image(project, tmp_path):
    import tifffile

    out = _exported(project, "cellpose", tmp_path)
    names = sorted(path.name for path in out.iterdir())
    assert names == ["dish 1.png", "dish 1_masks.tif", "leer.png", "leer_masks.tif"]
    assert (tifffile.imread(out / "dish 1_masks.tif") == hard_labels()).all()


def test_nnunet_finds_what_its_documentation_asks_for(project, tmp_path):
    import tifffile

    out = _exported(project, "nnunet", tmp_path)
    about = json.loads((out / "dataset.json").read_text(encoding="utf-8"))
    assert about["labels"] == {"background": 0, "nucleus": 1, "Zelle, groß": 2, "object": 3}
    assert (about["numTraining"], about["file_ending"]) == (2, ".tif")
    assert (out / "imagesTr/dish 1_0000.tif").is_file()
    labels = tifffile.imread(out / "labelsTr/dish 1.tif")
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert ((labels == 2) == np.isin(hard_labels(), (12, 300))).all()
    back = _back(out, "nnunet", project, tmp_path)
    assert back.classes is not None
    assert back.classes.scheme == "classes"
    assert (back.labels == labels).all()


def test_yolo_lines_are_as_ultralytics_documents_them(project, tmp_path):
    import yaml

    out = _exported(project, "yolo", tmp_path)
    data = yaml.safe_load((out / "data.yaml").read_text(encoding="utf-8"))
    assert data["names"] == {0: "nucleus", 1: "Zelle, groß", 2: "object"}
    assert (data["train"], data["val"]) == ("images/train", "images/val")
    lines = (out / "labels/val/dish 1.txt").read_text().splitlines()
    assert len(lines) == 6
    for line in lines:
        number, *values = line.split()
        assert int(number) in data["names"]
        points = np.array(values, float)
        assert len(points) >= 6
        assert len(points) % 2 == 0
        assert ((points >= 0) & (points <= 1)).all()
    assert (out / "images/val/dish 1.png").is_file()


def test_labelme_finds_the_fields_that_it_reads(project, tmp_path):
    out = _exported(project, "labelme", tmp_path) / "dish 1.json"
    said = json.loads(out.read_text(encoding="utf-8"))
    assert (said["imagePath"], said["imageHeight"], said["imageWidth"]) == ("dish 1.png", 60, 81)
    for one in said["shapes"]:
        assert one["shape_type"] in ("polygon", "mask")
        assert (one["mask"] is None) == (one["shape_type"] == "polygon")
        assert len(one["points"]) == 2 if one["shape_type"] == "mask" else len(one["points"]) > 3


def test_clicks_are_a_table_with_their_objects_and_classes(project, tmp_path):
    lines = _exported(project, "clicks", tmp_path).read_text(encoding="utf-8").splitlines()
    assert lines == [
        "image,number,object,class,positive,y,x,drawn,points",
        "dish 1.png,1,3,nucleus,1,10,6.5,,",
        "dish 1.png,2,3,nucleus,0,11,7,,",
        'dish 1.png,3,12,"Zelle, groß",1,22,9,,',
    ]


def test_a_dicom_segmentation_lies_on_its_image(tmp_path):
    import pydicom
    from pydicom.data import get_testdata_file

    highdicom = pytest.importorskip("highdicom")
    image = Path(get_testdata_file("CT_small.dcm"))
    labels = np.zeros((128, 128), np.uint16)
    labels[10:40, 10:40], labels[60:70, 60:90] = 5, 9
    from napari_clickseg.formats.medical.dicom_segmentation import write_dicomseg

    notes = Annotations(classes={5: 1}, objects={5: ObjectNote(model="default")})
    write_dicomseg(
        AnnotatedImage("a", labels, image, classes=CLASSES, annotations=notes),
        tmp_path / "a.dcm",
        print,
    )
    seg = highdicom.seg.segread(tmp_path / "a.dcm")
    source = pydicom.dcmread(image)
    assert seg.FrameOfReferenceUID == source.FrameOfReferenceUID
    read = seg.get_volume(combine_segments=True).array.squeeze()
    assert ((read == 1) == (labels == 5)).all()
    assert ((read == 2) == (labels == 9)).all()
    named = [one.segment_label for one in seg.segment_descriptions] if hasattr(
        seg, "segment_descriptions"
    ) else [str(one.SegmentLabel) for one in seg.SegmentSequence]  # fmt: skip
    assert named == ["nucleus 5", "object 9"]


def test_ids_that_are_classes_go_out_as_one_object_each(tmp_path):
    writer = ProjectWriter(tmp_path / "project")
    classes = CLASSES.model_copy(update={"scheme": "classes", "ignore": 255})
    labels = np.zeros((20, 30), np.uint8)
    labels[2:5, 2:5] = labels[9:12, 2:5] = 4
    labels[15:] = 255
    writer.add("a", np.zeros((20, 30), np.uint8), labels, classes=classes)
    notes: list[str] = []
    out = tmp_path / "a.json"
    export(sources_of([writer.folder], note=print), "coco", out, note=notes.append)
    (one,) = json.loads(out.read_text(encoding="utf-8"))["annotations"]
    assert (one["category_id"], one["area"]) == (4, 18)
    assert notes == ["a: pixels marked as unknown (255) are left out."]


def test_a_zip_of_regions_has_a_name_for_each(project, tmp_path):
    with zipfile.ZipFile(_exported(project, "roi", tmp_path) / "dish 1.zip") as file:
        assert file.namelist()[:2] == ["3.roi", "7.roi"]
