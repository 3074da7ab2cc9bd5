"""DICOM and NIfTI are read as viewers show them.

The files come with pydicom and nibabel, and are real ones: scanners wrote most of them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_color_lut, apply_voi_lut

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.images import open_image, read_layout, read_plane, read_single_plane
from napari_clickseg.data.pixel_size import PixelSize, read_pixel_size
from napari_clickseg.data.project import read_project

NIFTI = Path(nibabel.__file__).parent / "tests" / "data"


def dicom(name: str) -> Path:
    file = get_testdata_file(name)
    assert isinstance(file, str)
    return Path(file)


def changed(folder: Path, name: str, **tags: Any) -> Path:
    """Write a file of pydicom's with other entries; None takes one away."""
    about = pydicom.dcmread(dicom(name))
    for key, value in tags.items():
        if value is None:
            delattr(about, key)
        else:
            setattr(about, key, value)
    about.save_as(folder / name)
    return folder / name


def agree(path: Path) -> np.ndarray:
    """Read an image, and see that its layout says what its pixels are."""
    plane, layout = read_single_plane(path), read_layout(path)
    assert (plane.shape, plane.dtype, plane.rgb) == (layout.shape, layout.dtype, layout.rgb)
    return plane.read_all()


def test_a_ct_is_read_in_hounsfield_units() -> None:
    values = agree(dicom("CT_small.dcm"))
    stored = pydicom.dcmread(dicom("CT_small.dcm")).pixel_array
    assert np.array_equal(values, stored.astype(np.float32) - 1024)
    assert read_pixel_size(dicom("CT_small.dcm")) == PixelSize(0.661468, 0.661468, "mm")


@pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm"])
def test_a_window_cuts_values_off_as_viewers_do_but_not_for_measurements(name: str) -> None:
    about = pydicom.dcmread(dicom(name))
    shown = apply_voi_lut(about.pixel_array, about)
    values = agree(dicom(name))
    # Viewers stretch the window to the range of the screen: up to that they agree.
    low, high = 600 - 0.5 - 1599 / 2, 600 - 0.5 + 1599 / 2
    stretched = (values - low) / (high - low)
    assert np.allclose(stretched, (shown - shown.min()) / np.ptp(shown), atol=1e-5) or np.allclose(
        stretched, (shown + 32768) / 65535, atol=1e-5
    )
    assert any(
        "window (centre 600, width 1600)" in text for text in open_image(dicom(name)).notices
    )
    measured = open_image(dicom(name), as_shown=False).plane().read_all()
    assert np.array_equal(measured, about.pixel_array)


def test_where_0_is_white_it_is_read_as_white(tmp_path: Path) -> None:
    plain = agree(dicom("MR_small.dcm"))
    other = agree(changed(tmp_path, "MR_small.dcm", PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(other, -plain)


@pytest.mark.parametrize("width", [0, -3, 1])
def test_a_window_that_makes_no_sense_counts_as_none(tmp_path: Path, width: int) -> None:
    path = changed(tmp_path, "MR_small.dcm", WindowWidth=width)
    assert np.array_equal(agree(path), pydicom.dcmread(path).pixel_array)


@pytest.mark.parametrize(
    "name", ["examples_rgb_color.dcm", "SC_rgb_rle.dcm", "SC_rgb_jpeg_dcmtk.dcm"]
)
def test_colours_are_red_green_blue_however_they_are_kept(name: str) -> None:
    values = agree(dicom(name))
    assert read_single_plane(dicom(name)).rgb
    assert values.shape[2:] == (3,)
    if name != "examples_rgb_color.dcm":  # whose test files show stripes, the first of them red
        assert values[5, 50, 0] > 250 > 9 > values[5, 50, 1:].max()


def test_indices_of_colours_are_colours_but_in_a_mask_ids() -> None:
    path = dicom("examples_palette.dcm")
    about = pydicom.dcmread(path)
    assert np.array_equal(agree(path), apply_color_lut(about.pixel_array, about))
    ids = open_image(path, ids=True).plane().read_all()
    assert np.array_equal(ids, about.pixel_array)


@pytest.mark.parametrize("name", ["rtdose.dcm", "examples_ybr_color.dcm"])
def test_frames_are_planes_of_a_stack(name: str) -> None:
    path = dicom(name)
    expected = pydicom.dcmread(path).pixel_array
    assert open_image(path).stack_axes == [("Q", len(expected))]
    plane = read_plane(path, (3,))
    frame = plane.read_all()
    assert frame.shape == expected[3].shape
    assert plane.rgb == (frame.ndim == 3)
    if name == "rtdose.dcm":
        assert np.array_equal(frame, expected[3])
    with pytest.raises(ImageError, match=r"a stack \(Q 0 to .*gather it"):
        read_single_plane(path)


def test_each_frame_has_its_own_window_and_slope(tmp_path: Path) -> None:
    about = pydicom.dcmread(dicom("rtdose.dcm"))
    del about.DoseGridScaling
    values = np.arange(2 * 9 * 8, dtype=np.uint16).reshape(2, 9, 8)
    about.NumberOfFrames, about.Rows, about.Columns = 2, 9, 8
    about.BitsAllocated, about.BitsStored, about.HighBit = 16, 16, 15
    about.PixelData = values.tobytes()
    groups = []
    for at in range(2):
        group, change, measures = (pydicom.Dataset() for _ in range(3))
        change.RescaleSlope, change.RescaleIntercept = at + 2, -at
        measures.PixelSpacing, measures.SpacingBetweenSlices = [0.5, 0.25], 3
        group.PixelValueTransformationSequence = [change]
        group.PixelMeasuresSequence = [measures]
        groups.append(group)
    about.PerFrameFunctionalGroupsSequence = groups
    about.save_as(tmp_path / "a.dcm")
    for at in range(2):
        expected = values[at] * (at + 2.0) - at
        assert np.array_equal(read_plane(tmp_path / "a.dcm", (at,)).read_all(), expected)


def test_dicom_is_known_without_a_name_that_says_so(tmp_path: Path) -> None:
    assert agree(dicom("MR_small.dcm")).shape == (64, 64)
    (tmp_path / "images").mkdir()
    for name in ("IM0001", "1.2.840.99"):
        (tmp_path / "images" / name).write_bytes(dicom("CT_small.dcm").read_bytes())
    (tmp_path / "images" / "README").write_text("none")
    project = read_project(tmp_path)
    assert sorted(one.image.name for one in project.unannotated) == ["1.2.840.99", "IM0001"]


def test_images_of_a_patient_are_a_group_that_does_not_name_him(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for at, patient in enumerate(("4711", "4711", "0815", "")):
        name = f"s{at}.dcm"
        about = pydicom.dcmread(dicom("CT_small.dcm"))
        about.PatientID = patient
        about.save_as(tmp_path / "images" / name)
    project = read_project(tmp_path)
    groups = [one.group for one in sorted(project.unannotated, key=lambda one: one.name)]
    assert groups[0] == groups[1] != groups[2]
    assert groups[3] == "s3"
    assert project.ungrouped == {"images/s3.dcm"}
    assert not any("4711" in group or "0815" in group for group in groups)


@pytest.mark.parametrize("name", ["waveform_ecg.dcm", "reportsi.dcm"])
def test_dicom_that_is_no_image_is_refused_in_a_line(name: str) -> None:
    with pytest.raises(ImageError, match="is DICOM without pixels"):
        open_image(dicom(name))


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_file_that_is_cut_short_is_an_error_of_one_line(tmp_path: Path) -> None:
    content = dicom("CT_small.dcm").read_bytes()
    for share in (0.02, 0.05, 0.5, 0.9):
        (tmp_path / "a.dcm").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ImageError) as error:
            read_plane(tmp_path / "a.dcm").read_all()
        assert "\n" not in str(error.value)


def test_planes_of_a_nifti_are_read_in_the_order_of_its_voxels() -> None:
    path = NIFTI / "example4d.nii.gz"
    stored = nibabel.load(path)
    values = np.asarray(stored.dataobj)
    assert open_image(path).stack_axes == [("T", values.shape[3]), ("Z", values.shape[2])]
    assert np.array_equal(read_plane(path, (1, 5)).read_all(), values[:, :, 5, 1].T)
    x, y, z = (float(size) for size in stored.header.get_zooms()[:3])
    assert read_pixel_size(path) == PixelSize(y, x, "mm", z)
    window = read_plane(path, (0, 5)).data[3:20:2, ::-1]
    assert np.array_equal(window, values[:, :, 5, 0].T[3:20:2, ::-1])


@pytest.mark.parametrize("name", ["anatomical.nii", "functional.nii", "example_nifti2.nii.gz"])
def test_every_nifti_of_nibabel_is_read_as_nibabel_reads_it(name: str) -> None:
    values = np.asarray(nibabel.load(NIFTI / name).dataobj)
    stack = open_image(NIFTI / name).stack_axes
    last = tuple(n - 1 for _, n in stack)
    expected = values[(slice(None), slice(None), *last[::-1])].T
    plane = read_plane(NIFTI / name, last).read_all()
    assert np.allclose(plane, expected.reshape(plane.shape), rtol=1e-6)


def test_colours_in_a_nifti_are_colours(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (9, 7, 3), np.uint8)
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    records = np.ascontiguousarray(rgb.transpose(1, 0, 2)).view(kind)[..., 0][..., None]
    nibabel.save(nibabel.Nifti1Image(records, np.eye(4)), tmp_path / "a.nii")
    assert np.array_equal(agree(tmp_path / "a.nii"), rgb)
    assert read_single_plane(tmp_path / "a.nii").rgb


@pytest.mark.parametrize(("package", "name"), [("pydicom", "a.dcm"), ("nibabel", "a.nii")])
def test_a_package_that_lacks_is_named_in_one_line(
    tmp_path: Path, package: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = NIFTI / "anatomical.nii" if name == "a.nii" else dicom("CT_small.dcm")
    (tmp_path / name).write_bytes(source.read_bytes())
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"needs the package {package}: pip install 'napari-clickseg\[formats\]'"
    with pytest.raises(ImageError, match=message) as error:
        open_image(tmp_path / name)
    assert "\n" not in str(error.value)


def test_measurements_of_intensity_are_not_cut_off_at_the_window() -> None:
    from napari_clickseg.formats.measuring import pixels_of

    values = pixels_of(dicom("MR_small.dcm"))
    assert values.max() > 600 + 1600 / 2
