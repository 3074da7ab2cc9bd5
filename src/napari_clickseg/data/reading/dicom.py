"""DICOM, as a viewer shows it: rescaled, within the window that the file states."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.core.source import ImageError
from napari_clickseg.data.reading.extras import needed
from napari_clickseg.data.reading.header import Header, beginning, chosen_scene
from napari_clickseg.data.reading.lazy import Framed, Stored

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.data.reading.header import Spacing

_EXTRA = "formats"
_MAGIC = 132  # bytes, after which a file of the standard's form begins
_LOSSY = (
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.93", "1.2.840.10008.1.2.4.203",
)  # fmt: skip
# What an enhanced, multi-frame file says of each frame, or once for all of them.
_OF_FRAMES = ("PixelMeasuresSequence", "PixelValueTransformationSequence", "FrameVOILUTSequence")


def read_dicom(
    path: Path, *, ids: bool = False, scene: int | None = None, as_shown: bool = True
) -> Header:
    """Read what a DICOM file says of its image.

    Grey values are rescaled (as to Hounsfield units); as they are shown, they are also cut off at
    the ends of the first window that the file states, and run from black to white.

    Parameters
    ----------
    path : Path
        Of a file with pixels.
    ids : bool
        The values that are stored count.
    scene : int, optional
        0, if anything.
    as_shown : bool
        Whether the window counts, and `MONOCHROME1` is turned over.
    """
    chosen_scene(path, [""], scene)
    about = _about(path)
    if not {"Rows", "Columns", "BitsAllocated", "PhotometricInterpretation"} <= set(about.dir()):
        kind = about.get("Modality") or "a document"
        raise ImageError(f"{path} is DICOM without pixels ({kind}); give an image.")
    rows, columns, frames = int(about.Rows), int(about.Columns), _frames(about)
    meaning = str(about.PhotometricInterpretation)
    grey = meaning in ("MONOCHROME1", "MONOCHROME2")
    colours = int(about.get("SamplesPerPixel", 1)) == 3 or (meaning == "PALETTE COLOR" and not ids)
    stored = _stored_dtype(path, about)
    changed = grey and not ids and _is_changed(_of_frame(about, 0), as_shown=as_shown)
    dtype = np.dtype(np.float32) if changed else stored
    if meaning == "PALETTE COLOR" and not ids:
        bits = int(about.RedPaletteColorLookupTableDescriptor[2])
        dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
    shape = (*((frames,) if frames > 1 else ()), rows, columns, *((3,) if colours else ()))
    axes = "Q" * (frames > 1) + "YX" + "S" * colours

    def frame(at: tuple[int, ...]) -> npt.NDArray[Any]:
        values = _frame(path, about, at[0] if at else 0)
        if meaning == "PALETTE COLOR" and not ids:
            values = _pydicom(path, ".pixels").apply_color_lut(values, about)
        elif changed:
            values = _shown(path, values, _of_frame(about, at[0] if at else 0), as_shown=as_shown)
        return np.asarray(values, dtype).reshape(shape[1:] if frames > 1 else shape)

    array = Framed(shape, dtype, int(frames > 1), frame)
    syntax = str(getattr(getattr(about, "file_meta", None), "TransferSyntaxUID", ""))
    notices = _notices(_of_frame(about, 0)) if changed and as_shown else ()
    return Header(
        "DICOM", shape, dtype, axes, lambda: [Stored(path, array, axes)], notices,
        lossy=syntax in _LOSSY, spacing=_spacing(about),
    )  # fmt: skip


def patient_group(path: Path) -> str:
    """Return a group for the images of a patient; "" of a file that is no DICOM, or says none.

    The id itself does not leave the file: groups go into tables that are passed on.
    """
    tags = tags_of(path, ["PatientID", "IssuerOfPatientID"])
    if not (tags and str(tags.get("PatientID") or "").strip()):
        return ""
    text = f"{tags.get('IssuerOfPatientID') or ''}|{str(tags.PatientID).strip()}"
    return f"patient-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def instance_of(path: Path) -> str:
    """Return the identifier of a DICOM image, by which others refer to it; "" of other files."""
    tags = tags_of(path, ["SOPInstanceUID"])
    return str(tags.get("SOPInstanceUID") or "") if tags else ""


def tags_of(path: Path, names: list[str]) -> Any:
    """Return a few entries of a DICOM file, None if it is none, or can't be read."""
    try:
        if beginning(path, _MAGIC)[128:] != b"DICM":
            return None
        read = _pydicom(path).dcmread
        return read(path, stop_before_pixels=True, specific_tags=names)
    except Exception:  # noqa: BLE001  (a broken file raises anything, and says nothing)
        return None


def _pydicom(path: Path, part: str = "") -> Any:
    return needed(path, f"pydicom{part}", _EXTRA)


def _about(path: Path) -> Any:
    """Read all that a file says, but for its pixels."""
    bare = beginning(path, _MAGIC)[128:] != b"DICM"
    return _pydicom(path).dcmread(path, stop_before_pixels=True, force=bare)


def _frames(about: Any) -> int:
    try:
        return max(1, int(about.get("NumberOfFrames") or 1))
    except (TypeError, ValueError):
        return 1


def _stored_dtype(path: Path, about: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(_pydicom(path, ".pixels.utils").pixel_dtype(about))
    return dtype.newbyteorder("=")


def _of_frame(about: Any, at: int) -> Any:
    """Return what is said of one frame, in a place of its own if need be."""
    shared = about.get("SharedFunctionalGroupsSequence") or [None]
    each = about.get("PerFrameFunctionalGroupsSequence") or []
    groups = [shared[0], each[at] if at < len(each) else None]
    items = [
        group[name][0]
        for group in groups
        for name in _OF_FRAMES
        if group is not None and group.get(name)
    ]
    if not items:
        return about
    from pydicom import Dataset

    merged = Dataset()
    for name in (
        "PhotometricInterpretation", "BitsStored", "PixelRepresentation", "SamplesPerPixel",
        "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "PixelSpacing",
    ):  # fmt: skip
        if name in about:
            merged[name] = about[name]
    for item in items:
        merged.update(item)
    return merged


def _frame(path: Path, about: Any, at: int) -> npt.NDArray[Any]:
    """Read a frame; luma and chroma come out as colours."""
    if beginning(path, _MAGIC)[128:] == b"DICM":
        values = _pydicom(path, ".pixels").pixel_array(path, index=at)
    else:  # which says neither its transfer syntax nor that it is DICOM
        whole = _pydicom(path).dcmread(path, force=True).pixel_array
        values = whole[at] if _frames(about) > 1 else whole
    return np.asarray(values)


def _window(said: Any) -> tuple[float, float] | None:
    """Return centre and width of the first window that makes sense."""
    try:
        centre, width = (
            float(value[0] if getattr(said[name], "VM", 1) > 1 else value)
            for name in ("WindowCenter", "WindowWidth")
            for value in [said[name].value]
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    return (centre, width) if np.isfinite(centre) and width > 1 else None


def _is_changed(said: Any, *, as_shown: bool) -> bool:
    """Whether values that are read differ from those that are stored."""
    rescaled = said.get("ModalityLUTSequence") or (
        said.get("RescaleSlope") is not None
        and (float(said.RescaleSlope), float(said.get("RescaleIntercept") or 0)) != (1.0, 0.0)
    )
    turned = str(said.PhotometricInterpretation) == "MONOCHROME1"
    return bool(rescaled) or (
        as_shown and (turned or bool(said.get("VOILUTSequence")) or _window(said) is not None)
    )


def _shown(path: Path, values: npt.NDArray[Any], said: Any, *, as_shown: bool) -> npt.NDArray[Any]:
    """Return grey values in their unit, and, as they are shown, within the window."""
    pixels = _pydicom(path, ".pixels")
    values = np.asarray(pixels.apply_modality_lut(values, said))
    if not as_shown:
        return values
    function = str(said.get("VOILUTFunction") or "LINEAR").upper()
    if said.get("VOILUTSequence"):
        values = np.asarray(pixels.apply_voi(values, said))
    elif (window := _window(said)) is not None:
        if function == "SIGMOID":
            values = np.asarray(pixels.apply_windowing(values, said))
        else:  # in the values' own unit, unlike in pydicom
            centre, width = window
            exact = function == "LINEAR_EXACT"
            centre, half = (centre, width / 2) if exact else (centre - 0.5, (width - 1) / 2)
            values = np.clip(values, centre - half, centre + half)
    return -values if str(said.PhotometricInterpretation) == "MONOCHROME1" else values


def _notices(said: Any) -> tuple[str, ...]:
    window = None if said.get("VOILUTSequence") else _window(said)
    if window is None:
        return ()
    return (
        f"it is cut off at its window (centre {window[0]:g}, width {window[1]:g}), as viewers show "
        "it.",
    )


def _spacing(about: Any) -> Spacing | None:
    """Return the size of pixels: height and width in millimetres."""
    said = _of_frame(about, 0)
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        value = said.get(name)
        try:
            height, width = (float(size) for size in value)
        except (TypeError, ValueError):
            continue
        depth = said.get("SpacingBetweenSlices") if _frames(about) > 1 else None
        return depth, height, width, "mm"
    return None
