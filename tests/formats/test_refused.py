"""What can't be used is named, and refused or left out by choice; never dropped silently."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.project import read_project
from napari_clickseg.formats.annotated import FormatError
from napari_clickseg.formats.exporting import export, sources_of
from napari_clickseg.formats.importing import ImportChoice, import_into
from napari_clickseg.formats.mask_files import MaskChoice

if TYPE_CHECKING:
    from pathlib import Path

SQUARE = [2, 2, 8, 2, 8, 8, 2, 8]
BOWTIE = [2, 2, 12, 12, 12, 2, 2, 12]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder with two images of 20 × 30 pixels."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((20, 30), np.uint8)).save(folder / name)
    return folder


def _coco(folder: Path, **changes: Any) -> Path:
    one = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [SQUARE], "iscrowd": 0}
    value = {
        "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}],
        "annotations": [one],
        "categories": [{"id": 1, "name": "cell"}],
    }
    for key, change in changes.items():
        value[key] = [*value[key], *change]
    path = folder.parent / "coco.json"
    path.write_text(json.dumps(value))
    return path


def _more(**fields: Any) -> dict[str, Any]:
    return {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [SQUARE], **fields}


def _import(source: Path, images: Path | None, **choice: Any) -> tuple[Path, list[str]]:
    out, notes = source.parent / "project", []
    import_into(source, out, ImportChoice(images=images, **choice), note=notes.append)
    return out, notes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"annotations": [_more(segmentation=[BOWTIE])]}, "crosses itself"),
        ({"annotations": [_more(segmentation=[[40, 2, 50, 2, 50, 9]])]}, "outside of the image"),
        ({"annotations": [_more(segmentation=[[1, 2, 3, 4]])]}, "three are needed"),
        ({"annotations": [_more(segmentation=[[1, 2, 3, "x", 3, 4]])]}, "no list of points"),
        ({"annotations": [_more(segmentation={"size": [9, 9], "counts": [81]})]}, "of the size"),
        ({"annotations": [_more(segmentation={"size": [20, 30], "counts": "??"})]}, "runs"),
        ({"annotations": [_more(segmentation=[])]}, "no segmentation"),
        ({"annotations": [_more(id=1), _more(id=3)]}, "the same id"),
        ({"annotations": [_more(image_id=77)]}, "no image 77"),
        ({"annotations": [_more(category_id=9)]}, "no category 9"),
        ({"images": [{"id": 1, "file_name": "b.png"}]}, "the same id"),
        ({"images": [{"id": 2, "file_name": "c.png"}]}, "no such image"),
        ({"images": [{"id": 2, "file_name": "a.png"}]}, "in two places"),
        ({"annotations": [_more(image_id="1")]}, "no image '1'"),
        ({"images": [{"id": 2, "file_name": "b.png", "height": 9, "width": 9}]}, "of the size"),
    ],
)
def test_what_coco_says_wrongly_is_named_and_refused_or_left_out(images, changes, said):
    source = _coco(images, **changes)
    with pytest.raises(FormatError, match=said) as error:
        _import(source, images)
    assert "\n" not in str(error.value)
    assert not (source.parent / "project" / "index.csv").exists(), "something was written"
    out, notes = _import(source, images, skip=True)
    assert any(said in note for note in notes)
    assert len(read_project(out).records) <= 1


def test_a_crowd_becomes_pixels_that_count_neither_way(images):
    crowd = _more(iscrowd=1, segmentation={"size": [20, 30], "counts": [0, 60, 540]})
    out, _ = _import(_coco(images, annotations=[crowd]), images)
    project = read_project(out)
    assert project.classes is not None
    labels = read_labels(project.records[0].mask)
    assert project.classes.ignore == 255
    assert (labels == 255).sum() == 60 - 6
    assert (labels == 1).sum() == 36


def test_a_smaller_object_is_not_hidden_by_a_larger_one_that_comes_later(images):
    large = _more(segmentation=[[0, 0, 30, 0, 30, 20, 0, 20]])
    out, notes = _import(_coco(images, annotations=[large]), images)
    labels = read_labels(read_project(out).records[0].mask)
    assert (np.unique(labels, return_counts=True)[1] == [36, 564]).all()
    assert any("overlap in 36 pixels" in note for note in notes)


def test_an_object_that_others_cover_is_named(images):
    with pytest.raises(FormatError, match="others cover all of it"):
        _import(_coco(images, annotations=[_more()]), images)


def test_images_without_an_object_are_not_annotated_unless_the_user_says_so(images):
    more = {"images": [{"id": 2, "file_name": "b.png"}]}
    out, notes = _import(_coco(images, **more), images)
    assert [one.name for one in read_project(out).unannotated] == ["images/b.png"]
    assert any("not annotated" in note for note in notes)


def test_a_mask_in_the_project_is_kept_unless_the_user_says_so(images):
    source = _coco(images)
    out, _ = _import(source, images)
    with pytest.raises(FormatError, match="which is kept"):
        _import(source, images)
    _import(source, images, overwrite=True)
    assert len(read_project(out).records) == 1


def test_regions_that_are_no_areas_are_named(images):
    import roifile

    line = roifile.ImagejRoi.frompoints(np.array([[1, 1], [5, 5], [9, 1]]))
    line.roitype = roifile.ROI_TYPE.POLYLINE
    area = roifile.ImagejRoi.frompoints(np.array([[1, 1], [5, 1], [5, 5], [1, 5]]))
    roifile.roiwrite(images.parent / "a.zip", [line, area])
    with pytest.raises(FormatError, match="it is a POLYLINE"):
        _import(images.parent / "a.zip", images)
    out, _ = _import(images.parent / "a.zip", images, skip=True)
    assert (read_labels(read_project(out).records[0].mask) > 0).sum() == 16


def test_rectangles_and_ellipses_of_imagej_are_areas(images):
    import roifile

    rois = []
    for kind, left in ((roifile.ROI_TYPE.RECT, 0), (roifile.ROI_TYPE.OVAL, 15)):
        roi = roifile.ImagejRoi()
        roi.roitype, roi.name = kind, kind.name
        roi.left, roi.top, roi.right, roi.bottom = left, 4, left + 10, 14
        rois.append(roi)
    roifile.roiwrite(images.parent / "a.zip", rois)
    out, _ = _import(images.parent / "a.zip", images)
    labels = read_labels(read_project(out).records[0].mask)
    assert (labels == 1).sum() == 100
    assert (labels == 2).sum() == pytest.approx(np.pi * 25, abs=4)


def test_positions_with_a_height_are_drawn_where_they_lie(images):
    ring = [[2, 2, 7], [8, 2, 7], [8, 8, 7], [2, 8, 7], [2, 2, 7]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (images.parent / "a.geojson").write_text(json.dumps([feature]))
    out, _ = _import(images.parent / "a.geojson", images)
    labels = read_labels(read_project(out).records[0].mask)
    assert (labels[2:8, 2:8] == 1).all()
    assert (labels > 0).sum() == 36


def test_classes_that_somebody_adds_in_labelme_come_in(images):
    square = {"shape_type": "polygon", "points": [[2, 2], [8, 2], [8, 8], [2, 8]]}
    shapes = [{"label": "new", **square}]
    value = {
        "shapes": shapes, "imagePath": "a.png", "imageHeight": 20, "imageWidth": 30,
        "clickseg": {"classes": [{"id": 1, "name": "old"}]},
    }  # fmt: skip
    (images.parent / "a.json").write_text(json.dumps(value))
    out, _ = _import(images.parent / "a.json", images)
    project = read_project(out)
    assert project.classes is not None
    assert [(one.id, one.name) for one in project.classes.classes] == [(1, "old"), (2, "new")]


def test_points_in_geojson_are_named(images):
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}}
    (images.parent / "a.geojson").write_text(json.dumps([point]))
    with pytest.raises(FormatError, match="its geometry is Point"):
        _import(images.parent / "a.geojson", images)


def test_boxes_of_yolo_are_named(images):
    labels = images.parent / "labels"
    labels.mkdir()
    (labels / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(FormatError, match="it is a box"):
        _import(images.parent, images, form="yolo")


def test_results_of_cellpose_are_read_without_running_anything(images):
    labels = np.zeros((20, 30), np.uint16)
    labels[3:9, 4:9], labels[12:14, 20:] = 1, 7
    results = {
        "masks": labels, "outlines": labels * 0, "diameter": np.float64(30.5), "flows": [labels],
        "filename": "a.png", "chan_choose": [0, 0], "manual_changes": [],
    }  # fmt: skip
    np.save(images / "a_seg.npy", results, allow_pickle=True)
    for source in (images / "a_seg.npy", images):
        choice: dict[str, Any] = {"masks": MaskChoice("_seg")} if source == images else {}
        out, _ = _import(source, images, overwrite=True, **choice)
        (record,) = read_project(out).records
        assert (read_labels(record.mask) == labels).all()


class _Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (open, (str(self.marker), "w"))


@pytest.mark.parametrize("masks", ["evil", 1, np.zeros((2, 3, 4), np.uint8), np.full((9, 9), 0.5)])
def test_a_pickle_that_is_no_result_of_cellpose_is_refused_and_not_run(images, masks):
    marker = images.parent / "was-run"
    value = {"masks": _Evil(marker) if isinstance(masks, str) else masks}
    np.save(images / "a_seg.npy", np.array(value, dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match=r"can be read safely|not ids of a plane") as error:
        _import(images / "a_seg.npy", images)
    assert "\n" not in str(error.value)
    assert not marker.exists()


def test_masks_of_0_and_255_beside_their_images_come_in_by_patients(tmp_path):
    for patient in ("p1", "p2"):
        (tmp_path / "set" / patient).mkdir(parents=True)
        for name in ("s1", "s2"):
            mask = np.zeros((20, 30), np.uint8)
            mask[3:6, 4:9] = 255
            Image.fromarray(np.ones((20, 30), np.uint8)).save(
                tmp_path / "set" / patient / f"{name}.png"
            )
            Image.fromarray(mask).save(tmp_path / "set" / patient / f"{name}_mask.png")
    out, _ = _import(tmp_path / "set", None, masks=MaskChoice("_mask"), by_folder=True)
    records = read_project(out).records
    assert sorted(one.group for one in records) == ["p1", "p1", "p2", "p2"]
    for one in records:
        assert np.unique(read_labels(one.mask)).tolist() == [0, 1]


def test_colours_are_classes_only_once_the_user_has_named_them(images):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[5:10], pixels[12:14] = (255, 0, 0), (0, 0, 255)
    (images.parent / "masks").mkdir()
    Image.fromarray(pixels).save(images.parent / "masks" / "a.png")
    source = images.parent / "masks"
    with pytest.raises(FormatError, match=r"#000000 \(65 %\), #ff0000 \(25 %\), #0000ff"):
        _import(source, images, form="masks")
    with pytest.raises(FormatError, match="does not say what the colour #0000ff"):
        _import(source, images, form="masks", masks=MaskChoice("", "#000000=background,#ff0000=x"))
    named = "#000000=background,#ff0000=tumour,#0000ff=vessel"
    out, _ = _import(source, images, form="masks", masks=MaskChoice("", named))
    project = read_project(out)
    assert project.classes is not None
    assert [(one.id, one.name) for one in project.classes.classes] == [(1, "tumour"), (2, "vessel")]
    labels = read_labels(project.records[0].mask)
    assert np.unique(labels, return_counts=True)[1].tolist() == [390, 150, 60]


def test_a_photograph_is_no_mask_of_colours(images):
    noise = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(noise).save(images.parent / "m.png")
    with pytest.raises(FormatError, match="too many to stand for classes"):
        _import(images.parent / "m.png", images)


@pytest.mark.parametrize("text", ["{", "[1", "", "\x00", '{"images": 3}', '"a"'])
def test_a_file_that_is_none_of_them_is_an_error_of_one_line(images, text):
    path = images.parent / "x.json"
    path.write_text(text)
    with pytest.raises(FormatError) as error:
        _import(path, images)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("to", ["coco", "geojson", "cellpose", "omezarr"])
def test_nothing_is_written_over_unless_the_user_says_so(tmp_path, images, to):
    from napari_clickseg.data.writer import ProjectWriter

    writer = ProjectWriter(tmp_path / "project")
    writer.add("a", np.zeros((20, 30), np.uint8), np.ones((20, 30), np.uint8))
    sources = sources_of([writer.folder], note=print)
    out = tmp_path / {"coco": "x.json", "omezarr": "x.zarr"}.get(to, "x")
    export(sources, to, out)
    if out.is_dir() and to != "omezarr":
        (out / "mine.txt").write_text("mine")
    with pytest.raises(FormatError, match="--overwrite"):
        export(sources, to, out)
    export(sources, to, out, overwrite=True)
    if out.is_dir() and to != "omezarr":
        assert (out / "mine.txt").read_text() == "mine"
    assert not [path for path in tmp_path.rglob(".partial-*") if path.parent != writer.folder]


def test_an_export_that_is_stopped_leaves_nothing(tmp_path, images):
    from napari_clickseg.data.writer import ProjectWriter

    writer = ProjectWriter(tmp_path / "project")
    for name in "ab":
        writer.add(name, np.zeros((20, 30), np.uint8), np.ones((20, 30), np.uint8))

    def stop(done: int, _: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    before = sorted(tmp_path.iterdir())
    for to in ("coco", "yolo", "geojson"):
        with pytest.raises(KeyboardInterrupt):
            export(sources_of([writer.folder], note=print), to, tmp_path / "out", progress=stop)
    assert sorted(tmp_path.iterdir()) == before


def test_a_mask_larger_than_two_gigabytes_of_json_is_refused_unread(images, monkeypatch):
    from napari_clickseg.formats import texts

    monkeypatch.setattr(texts, "_LARGEST", 100)
    with pytest.raises(FormatError, match="split it"):
        _import(_coco(images), images)


def _labelme(folder: Path, *shapes: dict[str, Any], size: tuple[int, int] = (20, 30)) -> Path:
    value = {
        "shapes": list(shapes),
        "imagePath": "a.png",
        "imageHeight": size[0],
        "imageWidth": size[1],
    }
    (folder / "a.json").write_text(json.dumps(value))
    return folder / "a.json"


def _geojson(folder: Path, kind: str, coordinates: Any) -> Path:
    feature = {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}}
    (folder / "a.geojson").write_text(json.dumps([feature]))
    return folder / "a.geojson"


def _yolo(folder: Path, line: str) -> Path:
    (folder / "labels").mkdir()
    (folder / "labels" / "a.txt").write_text(f"{line}\n0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n")
    return folder


def _roi(folder: Path, kind: str, points: Any) -> Path:
    import roifile

    roi = roifile.ImagejRoi.frompoints(np.array(points, float))
    roi.roitype = roifile.ROI_TYPE[kind]
    roifile.roiwrite(folder / "a.zip", [roi])
    return folder / "a.zip"


_BOW, _FAR = [[2, 2], [12, 12], [12, 2], [2, 12]], [[40, 2], [50, 2], [50, 9]]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda f: _labelme(f, {"shape_type": "polygon", "points": _BOW}), "crosses itself"),
        (lambda f: _labelme(f, {"shape_type": "polygon", "points": _FAR}), "outside of the image"),
        (lambda f: _labelme(f, {"shape_type": "line", "points": _BOW[:2]}), "it is a line"),
        (lambda f: _labelme(f, {"shape_type": "points", "points": _BOW}), "it is a points"),
        (
            lambda f: _labelme(f, {"shape_type": "polygon", "points": _BOW}, size=(9, 9)),
            "of the size",
        ),
        (lambda f: _geojson(f, "Polygon", [[*_BOW, _BOW[0]]]), "crosses itself"),
        (lambda f: _geojson(f, "Polygon", [[*_FAR, _FAR[0]]]), "outside of the image"),
        (lambda f: _geojson(f, "LineString", _BOW), "its geometry is LineString"),
        (lambda f: _geojson(f, "GeometryCollection", []), "its geometry is GeometryCollection"),
        (lambda f: _yolo(f, "0 0.1 0.1 0.6 0.6 0.6 0.1 0.1 0.6"), "crosses itself"),
        (lambda f: _yolo(f, "0 1.5 0.1 1.6 0.1 1.6 0.2"), "outside of the image"),
        (lambda f: _yolo(f, "0 0.1 0.1 0.6 0.6 0.6"), "5 coordinates"),
        (lambda f: _yolo(f, "zero 0.1 0.1 0.6 0.6 0.6 0.1"), "words where numbers should be"),
        (lambda f: _roi(f, "POINT", _BOW), "it is a POINT"),
        (lambda f: _roi(f, "FREELINE", _BOW), "it is a FREELINE"),
        (lambda f: _roi(f, "ANGLE", _BOW[:3]), "it is a ANGLE"),
        (lambda f: _roi(f, "POLYGON", _FAR), "outside of the image"),
        (lambda f: _roi(f, "POLYGON", _BOW), "crosses itself"),
    ],
)
def test_what_is_no_area_of_the_image_is_named_whatever_the_format(images, made, said):
    """Refused, and nothing written; or left out by choice, and named then, too."""
    source = made(images.parent)
    with pytest.raises(FormatError, match=said) as error:
        _import(source, images)
    assert "\n" not in str(error.value)
    assert not (images.parent / "project" / "index.csv").exists(), "something was written"
    notes: list[str] = []
    choice = ImportChoice(images=images, skip=True)
    try:
        import_into(source, images.parent / "project", choice, note=notes.append)
    except FormatError as nothing_left:
        assert "holds no image that can be used" in str(nothing_left)
    assert any(said in note for note in notes)


def test_what_reaches_beyond_the_image_is_cut_there_and_said(images):
    over = [[20, 5], [40, 5], [40, 10], [20, 10]]
    out, notes = _import(_geojson(images.parent, "Polygon", [[*over, over[0]]]), images)
    labels = read_labels(read_project(out).records[0].mask)
    assert (labels > 0).sum() == 5 * 10
    assert any("reaches beyond the image" in note for note in notes)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"not a zip at all"])
def test_a_broken_zip_of_regions_is_an_error_of_one_line(images, content):
    (images.parent / "a.zip").write_bytes(content)
    with pytest.raises(FormatError) as error:
        _import(images.parent / "a.zip", images)
    assert "\n" not in str(error.value)


def test_a_file_of_two_gigabytes_is_not_begun(images, monkeypatch):
    """Its size is looked at first: nothing of it gets into memory."""
    path = images.parent / "huge.json"
    with path.open("wb") as file:
        file.truncate(2 * 1024**3 + 1)  # a hole, which takes no room
    from pathlib import Path as AnyPath

    monkeypatch.setattr(AnyPath, "read_bytes", lambda _: pytest.fail("it was read"))
    with pytest.raises(FormatError, match=r"2\.0 GiB, more than the 2 GiB"):
        _import(path, images)
