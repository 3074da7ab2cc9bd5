"""NIfTI and DICOM segmentations, with where the image lies in the patient; optional packages."""

from __future__ import annotations

import gzip
import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.formats.annotated import FormatError, ObjectRow, ids_of
from napari_clickseg.formats.found import FoundFile, FoundImage
from napari_clickseg.formats.texts import rgb_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.data.pixel_size import PixelSize
    from napari_clickseg.formats.annotated import AnnotatedImage
    from napari_clickseg.formats.problems import Problems

__all__ = ["read_nifti", "write_dicomseg", "write_nifti"]

_MORE_THAN_NIFTI = "colours, scores and the like are in a JSON file beside it"


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise FormatError(
            f"This needs the package {name}: pip install 'napari-clickseg[formats]'."
        ) from error


def write_nifti(image: AnnotatedImage, path: Path, note: Callable[[str], object]) -> None:
    """Write the ids of a plane or of a stack of planes as NIfTI; axes are X, Y, Z there.

    Where the image is NIfTI itself, its affine is kept; else voxels lie along the axes.

    Parameters
    ----------
    image : AnnotatedImage
        Of up to three axes.
    path : Path
        Of the file.
    note : callable
        Called with a line on what could not be kept.
    """
    nibabel = _package("nibabel")
    if image.labels.ndim > 3:
        raise FormatError(f"{image.name} has {image.labels.ndim} axes; NIfTI labels have three.")
    high = int(image.labels.max(initial=0))
    kind = np.uint8 if high < 256 else np.uint16 if high < 1 << 16 else np.uint32
    values = image.labels.astype(kind).T
    values = values[..., None] if values.ndim == 2 else values
    affine = _affine(nibabel, image)
    saved = nibabel.Nifti1Image(values, affine)
    saved.header.set_xyzt_units("mm")
    saved.header["descrip"] = b"ids of objects, napari-clickseg"
    packed = saved.to_bytes()
    path.write_bytes(gzip.compress(packed, 6) if path.suffix == ".gz" else packed)
    if image.classes is not None or image.annotations:
        note(f"{image.name}: NIfTI keeps ids and sizes; classes and clicks are not kept.")


def _affine(nibabel: Any, image: AnnotatedImage) -> npt.NDArray[np.float64]:
    if image.image is not None and image.image.name.lower().endswith((".nii", ".nii.gz")):
        return np.asarray(nibabel.load(image.image).affine, np.float64)
    if image.pixel_size is None:
        return np.eye(4)
    size = image.pixel_size.within("mm")
    return np.diag([size.x, size.y, size.z or 1.0, 1.0])


def read_nifti(path: Path, problems: Problems) -> FoundFile:
    """Read the ids of a NIfTI file of one plane.

    Raises
    ------
    FormatError
        If it can't be read, holds no ids, or several planes.
    """
    nibabel = _package("nibabel")
    try:
        stored = nibabel.load(path)
        values = np.asarray(stored.dataobj)
    except Exception as error:
        raise FormatError(f"{path} cannot be read as NIfTI: {error}.") from error
    plane = np.squeeze(values)
    if plane.ndim != 2:
        raise FormatError(
            f"{path} holds {values.shape[2] if values.ndim > 2 else 0} planes; a project has an "
            "image for each plane."
        )
    broken = plane.dtype.kind == "f" and not (plane == np.rint(plane)).all()
    if broken or plane.min() < 0:
        raise FormatError(f"{path} holds no ids.")
    labels = np.ascontiguousarray(plane.T).astype(np.uint32)
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    found = FoundImage(stem, mask=lambda: labels, pixel_size=_size(stored))
    return FoundFile((found,))


def _size(stored: Any) -> PixelSize | None:
    from napari_clickseg.data.pixel_size import PixelSize

    unit = stored.header.get_xyzt_units()[0]
    known = {"mm": "mm", "meter": "m", "micron": "µm"}.get(unit)
    zooms = [float(size) for size in stored.header.get_zooms()[:3]]
    if known is None or not all(size > 0 for size in zooms):
        return None
    return PixelSize(zooms[1], zooms[0], known)


def write_dicomseg(image: AnnotatedImage, path: Path, note: Callable[[str], object]) -> None:
    """Write a DICOM segmentation of the DICOM image that was annotated, a segment an object.

    Parameters
    ----------
    image : AnnotatedImage
        Whose image is a DICOM file.
    path : Path
        Of the file.
    note : callable
        Called with a line on what could not be kept.

    Raises
    ------
    FormatError
        If the image is no DICOM file, or of another size.
    """
    highdicom, pydicom = _package("highdicom"), _package("pydicom")
    if image.image is None:
        raise FormatError(
            f"{image.name}: a DICOM segmentation belongs to a DICOM image; give it with --image."
        )
    try:
        source = pydicom.dcmread(image.image)
        shape = (int(source.Rows), int(source.Columns))
    except Exception as error:
        raise FormatError(f"{image.image} is no DICOM image: {error}.") from error
    if image.labels.shape != shape:
        raise FormatError(
            f"{image.name} is of the size {image.labels.shape}, its DICOM image of {shape}."
        )
    ids = [one for one in ids_of(image.labels).tolist() if one != image.ignore]
    if not ids:
        raise FormatError(f"{image.name} has no object; DICOM knows no empty segmentation.")
    if len(ids) > 65535:
        raise FormatError(f"{image.name} has {len(ids):,} objects; DICOM holds 65,535 segments.")
    rows = image.rows()
    mask = np.stack([image.labels == one for one in ids], axis=-1)[None]
    code = highdicom.sr.CodedConcept("91723000", "SCT", "Anatomical Structure")
    segments = [
        _segment(highdicom, code, at, image, rows.get(one) or ObjectRow(one))
        for at, one in enumerate(ids, 1)
    ]
    saved = highdicom.seg.Segmentation(
        source_images=[source],
        pixel_array=mask,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=highdicom.UID(),
        series_number=100,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="napari-clickseg",
        manufacturer_model_name="napari-clickseg",
        software_versions="1",
        device_serial_number="0",
    )
    saved.save_as(path)


def _segment(highdicom: Any, code: Any, at: int, image: AnnotatedImage, row: ObjectRow) -> Any:
    by_model = bool(row.model)
    kinds = highdicom.seg.SegmentAlgorithmTypeValues
    model = None
    if by_model:
        family = highdicom.sr.CodedConcept("123110", "DCM", "Artificial Intelligence")
        named = highdicom.AlgorithmIdentificationSequence
        model = named(name=row.model[:64], version="1", family=family)
    described = highdicom.seg.SegmentDescription(
        segment_number=at,
        segment_label=f"{row.class_name or 'object'} {row.id}"[:64],
        segmented_property_category=code,
        segmented_property_type=code,
        algorithm_type=kinds.SEMIAUTOMATIC if by_model else kinds.MANUAL,
        algorithm_identification=model,
        tracking_uid=highdicom.UID(),
        tracking_id=str(row.id),
    )
    colour = highdicom.color.CIELabColor.from_rgb(*rgb_of(image.colour_of(row.class_id)))
    described.RecommendedDisplayCIELabValue = list(colour.value)
    return described
