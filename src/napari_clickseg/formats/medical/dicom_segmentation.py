"""DICOM segmentations of DICOM images, written and read; highdicom is optional."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.annotations import ObjectNote
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.data.reading.dicom import tags_of
from napari_clickseg.data.reading.header import one_line
from napari_clickseg.formats.annotated import FormatError, ObjectRow, ids_of
from napari_clickseg.formats.external_objects import ExternalFile, ExternalImage, ExternalObject
from napari_clickseg.formats.medical.packages import package
from napari_clickseg.formats.shapes.filling import MaskPart
from napari_clickseg.formats.texts import rgb_of, say_colour

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.formats.annotated import AnnotatedImage
    from napari_clickseg.formats.problems import Problems

_CLASS = "1.2.840.10008.5.1.4.1.1.66"  # of segmentations; of label maps as ….66.7
_MAKER = "napari-clickseg"
_HALF = 0.5  # from which a probability counts
_NO_CLASS = "object"  # what the label of a segment begins with where no class is known


def write_dicomseg(image: AnnotatedImage, path: Path, note: Callable[[str], object]) -> None:
    """Write a DICOM segmentation of the DICOM image that was annotated, a segment an object.

    Parameters
    ----------
    image : AnnotatedImage
        Whose image is a DICOM file.

    Raises
    ------
    FormatError
        If the image is no DICOM file, or of another size.
    """
    highdicom, pydicom = package("highdicom"), package("pydicom")
    if image.image is None:
        raise FormatError(
            f"{image.name}: a DICOM segmentation belongs to a DICOM image; give it with --image."
        )
    try:
        source = pydicom.dcmread(image.image)
        frames = int(source.get("NumberOfFrames") or 1)
        shape = (*((frames,) if frames > 1 else ()), int(source.Rows), int(source.Columns))
    except Exception as error:
        raise FormatError(
            f"{image.name}: a DICOM segmentation belongs to a DICOM file, and {image.image.name} "
            "is none; use another format, or clickseg export with the DICOM file."
        ) from error
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
    mask = np.stack([image.labels == one for one in ids], axis=-1)
    mask = mask if frames > 1 else mask[None]
    code = highdicom.sr.CodedConcept("91723000", "SCT", "Anatomical Structure")
    segments = [
        _segment(highdicom, code, at, image, rows.get(one) or ObjectRow(one))
        for at, one in enumerate(ids, 1)
    ]
    try:
        saved = highdicom.seg.Segmentation(
            source_images=[source],
            pixel_array=mask,
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=segments,
            series_instance_uid=highdicom.UID(),
            series_number=100,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer=_MAKER,
            manufacturer_model_name="napari-clickseg",
            software_versions="1",
            device_serial_number="0",
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{image.image} can't carry a segmentation: {one_line(error)}."
        ) from error
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
        segment_label=f"{row.class_name or _NO_CLASS} {row.id}"[:64],
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


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM segmentation; nothing is raised."""
    said = tags_of(path, ["SOPClassUID"])
    return said is not None and str(said.get("SOPClassUID", "")).startswith(_CLASS)


def read_dicomseg(path: Path, problems: Problems) -> ExternalFile:
    """Read a DICOM segmentation: for each image that it refers to, its segments.

    A segment of ours is an object, with its class; of other programs' a segment is an object of a
    class of its name.

    Raises
    ------
    FormatError
        If it can't be read, or does not say which images it belongs to.
    """
    highdicom = package("highdicom")
    try:
        seg = highdicom.seg.segread(path)
        numbers = [int(number) for number in seg.segment_numbers]
        uids = [str(uid) for _, _, uid in seg.get_source_image_uids()]
    except Exception as error:
        raise FormatError(
            f"{path} cannot be read as a DICOM segmentation: {one_line(error)}."
        ) from error
    if not uids:
        raise FormatError(f"{path} does not say which images it belongs to; export it anew.")
    segments = {number: _segment_of(highdicom, seg, number) for number in numbers}
    names = list(dict.fromkeys(one.class_name for one in segments.values() if one.class_name))
    colours = {one.class_name: one.colour for one in reversed(segments.values())}
    if str(seg.get("SegmentationType", "")) == "FRACTIONAL":
        problems.note(f"{path.name}: its segments are probabilities; those from a half on count.")
    frames = _frames_by_image(seg)
    images = []
    for uid in uids:
        for frame in frames.get(uid, [None]):
            pixels = lru_cache(maxsize=1)(partial(_pixels, seg, uid, frame))
            objects = tuple(
                ExternalObject(
                    f"segment {number}",
                    partial(_part, pixels, at),
                    one.id,
                    names.index(one.class_name) + 1 if one.class_name else None,
                    ObjectNote(model=one.model),
                )
                for at, (number, one) in enumerate(segments.items())
            )
            plane = () if frame is None else (frame - 1,)
            images.append(ExternalImage(path.stem, objects, instance=uid, plane=plane, sparse=True))
    classes = ProjectClasses(
        classes=tuple(
            ProjectClass(id=at, name=name, **({"colour": colours[name]} if colours[name] else {}))
            for at, name in enumerate(names, 1)
        )
    )
    return ExternalFile(tuple(images), classes if names else None)


@dataclass(frozen=True, slots=True)
class _Segment:
    """What a segmentation says of a segment."""

    id: int | None
    class_name: str
    colour: str
    model: str


def _segment_of(highdicom: Any, seg: Any, number: int) -> _Segment:
    about = seg.get_segment_description(number)
    label, tracked = str(about.get("SegmentLabel") or ""), str(about.get("TrackingID") or "")
    ours = str(seg.get("Manufacturer", "")) == _MAKER
    name = label.removesuffix(f" {tracked}") if tracked else label
    by_model = str(about.get("SegmentAlgorithmType", "")) != "MANUAL"
    return _Segment(
        int(tracked) if tracked.isdecimal() and int(tracked) > 0 else None,
        "" if ours and name == _NO_CLASS else name.strip(),
        _colour_of(highdicom, about.get("RecommendedDisplayCIELabValue")),
        str(about.get("SegmentAlgorithmName") or "") if by_model else "",
    )


def _colour_of(highdicom: Any, value: Any) -> str:
    """Return #rrggbb, "" where no colour is said."""
    try:
        lab = highdicom.color.CIELabColor.from_dicom_value(list(value))
        return say_colour([round(part) for part in lab.to_rgb(clip=True)]) or ""
    except (TypeError, ValueError):
        return ""


def _frames_by_image(seg: Any) -> dict[str, list[int]]:
    """Return which frames of images with several frames are referred to, by the images."""
    frames: dict[str, set[int]] = {}
    for group in seg.get("PerFrameFunctionalGroupsSequence") or ():
        for derived in group.get("DerivationImageSequence") or ():
            for source in derived.get("SourceImageSequence") or ():
                numbers = source.get("ReferencedFrameNumber")
                if numbers is not None:
                    every = numbers if isinstance(numbers, Sequence) else [numbers]
                    frames.setdefault(str(source.ReferencedSOPInstanceUID), set()).update(
                        int(number) for number in every
                    )
    return {uid: sorted(numbers) for uid, numbers in frames.items()}


def _pixels(seg: Any, uid: str, frame: int | None) -> npt.NDArray[Any]:
    """Return the segments of an image, (Y, X, N)."""
    options = {"ignore_spatial_locations": True, "assert_missing_frames_are_empty": True}
    if frame is None:
        pixels = seg.get_pixels_by_source_instance([uid], **options)
    else:
        pixels = seg.get_pixels_by_source_frame(uid, [frame], **options)
    return np.asarray(pixels[0])


def _part(pixels: Callable[[], npt.NDArray[Any]], at: int, shape: tuple[int, int]) -> MaskPart:
    mask = pixels()[..., at] >= _HALF
    if mask.shape != shape:
        raise ValueError(f"it is of the size {mask.shape}, not {shape}")
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return MaskPart(0, 0, np.zeros((0, 0), bool))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return MaskPart(int(rows[0]), int(columns[0]), mask[box])
