"""Segmentations of scans come back onto their images; clicks onto the masks of a project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file

from napari_clickseg.core.gestures import DrawnBox, Lasso, Scribble
from napari_clickseg.data.annotations import Annotations, ObjectNote, ProjectClick
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.images import read_single_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.data.names import record_name
from napari_clickseg.data.pixel_size import PixelSize
from napari_clickseg.data.project import read_project
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.formats.annotated import AnnotatedImage, FormatError, annotated_record
from napari_clickseg.formats.click_list import CLICK_COLUMNS
from napari_clickseg.formats.exporting import export, sources_of
from napari_clickseg.formats.external_objects import drawn
from napari_clickseg.formats.importing import ImportChoice, import_into
from napari_clickseg.formats.medical.dicom_segmentation import read_dicomseg
from napari_clickseg.formats.problems import Problems
from tests.formats.label_maps import hard_labels

STACK: Any = {"metadata": {"axes": "ZYX"}, "photometric": "minisblack"}  # of tifffile
CLASSES = ProjectClasses(classes=(ProjectClass(id=4, name="Zelle, groß", colour="#00ff80"),))
CLICKS = (
    ProjectClick(y=10, x=6.5, object=3),
    ProjectClick(y=11, x=7, positive=False, object=3),
    ProjectClick(y=1 / 3, x=9),
    ProjectClick.of(DrawnBox(2, 3, 30.5, 40), 3),
    ProjectClick.of(Scribble(((9, 8.25), (10, 9), (11, 12)), False), 3),
    ProjectClick.of(Lasso(((20, 5), (25, 5), (25, 12.1)), True), 12),
)
NOTES = {3: ObjectNote(score=0.75, model="default"), 41: ObjectNote(clicks=5)}


def _project(folder: Path, clicks: Any = CLICKS) -> Path:
    writer = ProjectWriter(folder)
    pixels = np.zeros((60, 81), np.uint8)
    told = {3: 4, 12: 4} if clicks else {12: 4}
    writer.add(
        "dish 1", pixels, hard_labels(), clicks=clicks, object_classes=told, objects=NOTES,
        classes=CLASSES,
    )  # fmt: skip
    return folder


def test_clicks_and_what_was_drawn_come_back_into_a_project_with_the_masks(tmp_path: Path) -> None:
    out = tmp_path / "clicks.csv"
    export(sources_of([_project(tmp_path / "p")], note=print), "clicks", out)
    bare = _project(tmp_path / "bare", ())
    came = import_into(out, bare, ImportChoice())
    assert (came.images, came.objects) == (1, 2)
    (record,) = read_project(bare).records
    image = annotated_record(record, read_project(bare))
    assert image.annotations.clicks == CLICKS
    assert image.annotations.classes == {3: 4, 12: 4}, "the class of 3 is known by its name"
    assert image.annotations.objects == NOTES
    assert (image.labels == hard_labels()).all()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("dish 1.png,1,77,,1,3,4,,", "line 2: its object 77 is not in the mask"),
        ("dish 1.png,1,3,,1,60,4,,", "line 2: it lies outside of the image of 60 × 81 pixels"),
        ("dish 1.png,1,3,,maybe,3,4,,", "positive is 'maybe'; write 1 or 0"),
        ("dish 1.png,1,3,,1,three,4,,", "line 2: y: Input should be a valid number"),
        ("dish 1.png,1,3,,1,nan,4,,", "line 2: y: Input should be a finite number"),
        ("dish 1.png,1,3,,1,3,4,box,1 2", "A box has two corners, not 1"),
        ("dish 1.png,1,3,,1,3,4,cloud,1 2", "line 2: drawn: Input should be 'box'"),
        ("dish 2.png,1,3,,1,3,4,,", "dish 2.png: no image of that name has a mask"),
    ],
)
def test_clicks_that_make_no_sense_are_named_and_refused_or_left_out(
    tmp_path: Path, row: str, said: str
) -> None:
    folder, path = _project(tmp_path / "p", ()), tmp_path / "c.csv"
    head = ",".join(CLICK_COLUMNS)
    path.write_text(f"{head}\n{row}\ndish 1.png,2,3,,1,9,9,,\n", encoding="utf-8")
    before = {one: one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    with pytest.raises(FormatError, match=said) as error:
        import_into(path, folder, ImportChoice())
    assert "\n" not in str(error.value)
    assert before == {one: one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    notes: list[str] = []
    import_into(path, folder, ImportChoice(skip=True), note=notes.append)
    assert any(said in note for note in notes)
    (record,) = read_project(folder).records
    clicks = annotated_record(record, read_project(folder)).annotations.clicks
    assert clicks == (ProjectClick(y=9, x=9, object=3),)


def test_clicks_of_a_project_are_kept_unless_the_user_says_so(tmp_path: Path) -> None:
    folder, path = _project(tmp_path / "p"), tmp_path / "c.csv"
    path.write_text("image,positive,y,x\ndish 1,1,9,9\n", encoding="utf-8")
    with pytest.raises(FormatError, match="which are kept; see --overwrite"):
        import_into(path, folder, ImportChoice())
    import_into(path, folder, ImportChoice(overwrite=True))
    (record,) = read_project(folder).records
    assert annotated_record(record, read_project(folder)).annotations.clicks == (
        ProjectClick(y=9, x=9),
    )


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "image,mask\na,b\n", "image,positive,y\n"])
def test_another_table_is_no_table_of_clicks(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(FormatError, match="it lacks the column"):
        import_into(tmp_path / "c.csv", _project(tmp_path / "p"), ImportChoice())


def test_clicks_want_a_project_with_masks(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("image,positive,y,x\na,1,9,9\n")
    with pytest.raises(FormatError, match="clicks belong to masks: bring those in first"):
        import_into(tmp_path / "c.csv", tmp_path / "none", ImportChoice())


def _ct(path: Path, instance: str) -> Path:
    """Write pydicom's slice of a CT under another identifier."""
    about = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    about.SOPInstanceUID = about.file_meta.MediaStorageSOPInstanceUID = instance
    about.save_as(path)
    return path


def _frames(path: Path, pixels: np.ndarray) -> Path:
    """Write an enhanced MR of several frames, 3 mm apart."""
    about = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    for name in ("WindowCenter", "WindowWidth", "SmallestImagePixelValue"):
        if name in about:
            delattr(about, name)
    about.NumberOfFrames, about.Rows, about.Columns = pixels.shape
    about.PixelRepresentation = 0
    about.SOPClassUID = about.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    about.PixelData = pixels.tobytes()
    shared, measures, lie = (pydicom.Dataset() for _ in range(3))
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.25], 3
    lie.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [lie]
    about.SharedFunctionalGroupsSequence, about.PerFrameFunctionalGroupsSequence = [shared], []
    for at in range(len(pixels)):
        own, place = pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient = [0, 0, 3 * at]
        own.PlanePositionSequence = [place]
        about.PerFrameFunctionalGroupsSequence.append(own)
    about.save_as(path)
    return path


def test_a_dicom_segmentation_comes_back_onto_the_image_that_it_names(tmp_path: Path) -> None:
    folder = tmp_path / "ct"
    folder.mkdir()
    image = _ct(folder / "slice", "1.2.3.4")
    _ct(folder / "other", "1.2.3.5")
    labels = np.zeros((128, 128), np.uint16)
    labels[10:40, 10:40], labels[60:70, 60:90], labels[15:20, 15:20] = 5, 300, 0
    notes = Annotations(classes={5: 4}, objects={5: ObjectNote(model="default")})
    tifffile.imwrite(tmp_path / "m.tif", labels)
    saved = AnnotatedImage("m", labels, classes=CLASSES, annotations=notes).sidecar()
    (tmp_path / "m.clickseg.json").write_text(json.dumps(saved))
    source = sources_of([tmp_path / "m.tif"], image=image, note=print)
    export(source, "dicomseg", tmp_path / "seg.dcm")
    import_into(tmp_path / "seg.dcm", tmp_path / "p", ImportChoice(images=folder))
    back = read_project(tmp_path / "p")
    (record,) = back.records
    annotated = annotated_record(record, back)
    assert annotated.name == "slice"
    assert (annotated.labels == labels).all()
    assert annotated.group.startswith("patient-")
    assert annotated.pixel_size == PixelSize(0.661468, 0.661468, "mm")
    rows = annotated.rows()
    assert (rows[5].class_name, rows[5].model) == ("Zelle, groß", "default")
    assert annotated.annotations.classes.keys() == {5}
    assert back.classes is not None
    (known,) = back.classes.classes
    colour = [int(known.colour[at : at + 2], 16) for at in (1, 3, 5)]
    assert np.abs(np.array(colour) - (0, 255, 128)).max() <= 2


def test_segments_of_other_programs_are_objects_of_a_class_of_their_name(tmp_path: Path) -> None:
    problems = Problems(skip=False, note=print)
    path = Path(str(get_testdata_file("liver_1frame.dcm")))  # written by 3D Slicer
    file = read_dicomseg(path, problems)
    assert file.classes is not None
    assert [(one.name, one.colour) for one in file.classes.classes] == [("Liver", "#dd8265")]
    labels = [drawn(one, (512, 512), None, problems)[0] for one in file.images]
    there = pydicom.dcmread(path).pixel_array.sum()
    assert sorted(int(one.sum()) for one in labels) == [0, 0, there]
    with pytest.raises(FormatError, match=r"its DICOM image 1\.2\.392.* is not in"):
        import_into(path, tmp_path / "p", ImportChoice(images=tmp_path))


@pytest.mark.parametrize("image", ["volume.nii.gz", "volume.tif", "frames.dcm"])
def test_masks_of_a_volume_come_in_plane_by_plane(tmp_path: Path, image: str) -> None:
    stack = np.stack([hard_labels(), hard_labels()[::-1], np.zeros_like(hard_labels())])
    pixels = np.random.default_rng(0).integers(0, 900, stack.shape).astype(np.uint16)
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(tmp_path / "m.tif", stack, **STACK)
    source, to, out = sources_of([tmp_path / "m.tif"], note=print), "nifti", "volume.nii.gz"
    if image == "volume.tif":
        tifffile.imwrite(folder / image, pixels, **STACK)
    elif image == "volume.nii.gz":
        affine = np.diag([0.5, 0.25, 2, 1])
        nibabel.save(nibabel.Nifti1Image(pixels.T, affine), folder / image)
    else:
        _frames(folder / image, pixels)
        source = sources_of([tmp_path / "m.tif"], image=folder / image, note=print)
        to, out = "dicomseg", "seg.dcm"
    export(source, to, tmp_path / out)
    import_into(tmp_path / out, tmp_path / "p", ImportChoice(images=folder, empty=True))
    records = sorted(read_project(tmp_path / "p").records, key=lambda one: one.name)
    assert len(records) == (2 if to == "dicomseg" else 3), "DICOM names no frame without a segment"
    for at, record in enumerate(records):
        assert record_name(record.name).endswith(f"{at}")
        assert (read_labels(record.mask) == stack[at]).all()
        assert (read_single_plane(record.image).read_all() == pixels[at]).all()
    assert len({record.group for record in records}) == 1, "planes of a volume belong together"


def test_frames_without_a_place_in_the_patient_are_refused_in_a_line(tmp_path: Path) -> None:
    image = _frames(tmp_path / "frames.dcm", np.zeros((3, 9, 8), np.uint16))
    about = pydicom.dcmread(image)
    del about.SharedFunctionalGroupsSequence, about.PerFrameFunctionalGroupsSequence
    about.save_as(image)
    tifffile.imwrite(tmp_path / "m.tif", np.ones((3, 9, 8), np.uint8), **STACK)
    source = sources_of([tmp_path / "m.tif"], image=image, note=print)
    with pytest.raises(FormatError, match="can't carry a segmentation") as error:
        export(source, "dicomseg", tmp_path / "seg.dcm")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "seg.dcm").exists()


def test_a_volume_and_a_mask_of_other_planes_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 9, 8), np.uint8), **STACK)
    mask = nibabel.Nifti1Image(np.ones((8, 9, 3), np.uint8), np.eye(4))
    nibabel.save(mask, tmp_path / "a.nii.gz")
    with pytest.raises(FormatError, match=r"planes \(3,\), its image \(4,\)"):
        import_into(tmp_path / "a.nii.gz", tmp_path / "p", ImportChoice(images=tmp_path))
    nibabel.save(nibabel.Nifti1Image(np.ones((8, 9, 1), np.uint8), np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "a.nii.gz").unlink()
    with pytest.raises(FormatError, match="its image is a stack of planes"):
        import_into(tmp_path / "a.nii", tmp_path / "p", ImportChoice(images=tmp_path))


def test_a_nifti_mask_beside_a_picture_of_its_name_is_not_taken_for_the_image(
    tmp_path: Path,
) -> None:
    labels = np.zeros((9, 8), np.uint8)
    labels[2:5, 3:6] = 7
    folder = tmp_path / "set"
    folder.mkdir()
    Image.fromarray(labels * 9).save(folder / "a.png")
    nibabel.save(nibabel.Nifti1Image(labels.T[..., None], np.eye(4)), folder / "a.nii.gz")
    for source in (folder / "a.nii.gz", folder):
        import_into(source, tmp_path / "p", ImportChoice(overwrite=True))
        (record,) = read_project(tmp_path / "p").records
        assert (read_labels(record.mask) == labels).all()
