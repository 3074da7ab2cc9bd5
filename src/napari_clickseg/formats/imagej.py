"""Regions of interest as ImageJ and Fiji keep them: a ZIP an image, a region an object."""

from __future__ import annotations

import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.annotations import ObjectNote
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.formats.annotated import FormatError, ObjectRow
from napari_clickseg.formats.external_objects import (
    ExternalFile,
    ExternalImage,
    ExternalObject,
    checked_rings,
    outlined,
)
from napari_clickseg.formats.texts import rgb_of, said_id, said_number, said_text, say_colour

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from roifile import ImagejRoi

    from napari_clickseg.formats.annotated import AnnotatedImage
    from napari_clickseg.formats.problems import Problems
    from napari_clickseg.formats.shapes.filling import MaskPart
    from napari_clickseg.formats.shapes.outlines import Piece

_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0  # of a path, as Java has them
_LARGEST = 1 << 28  # bytes of a region
_MOST = 5_000_000  # regions
_ELLIPSE = 64  # corners that an ellipse is drawn with, at the least
# Texts that a line keeps: words with one space between them, none of them a number.
_PLAIN = re.compile(r"(?!(?:nan|inf|infinity|true|false)$)[^\W\d_]\S*(?: \S+)*", re.IGNORECASE)
_SHORT = 32767  # the largest coordinate of two bytes


def write_rois(image: AnnotatedImage, path: Path, note: Callable[[str], object]) -> None:
    """Write a plane into a ZIP that the ROI manager opens."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for row, pieces in image.outlined(note):
            roi = _roi(image, row, pieces)
            file.writestr(f"{row.id}.roi", roi.tobytes())


def _roi(image: AnnotatedImage, row: ObjectRow, pieces: Sequence[Piece]) -> ImagejRoi:
    import roifile

    rings = [ring for piece in pieces for ring in piece.rings]
    points = rings[0] if len(rings) == 1 else np.concatenate(rings)
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    if len(rings) == 1:
        large = max(right, bottom) > _SHORT
        roi = roifile.ImagejRoi.frompoints(points.astype(np.float32) if large else points)
        roi.roitype = roifile.ROI_TYPE.TRACED
    else:
        roi = roifile.ImagejRoi()
        roi.roitype = roifile.ROI_TYPE.RECT
        roi.multi_coordinates = np.concatenate([_path(ring) for ring in rings])
        roi.shape_roi_size = len(roi.multi_coordinates)
    # Coordinates beyond two bytes wrap around, as ImageJ's own do; it goes by the floats then.
    roi.left, roi.top, roi.right, roi.bottom = left, top, right, bottom
    roi.name = str(row.id)
    if row.class_id is not None:
        red, green, blue = rgb_of(image.colour_of(row.class_id))
        roi.stroke_color = bytes([255, red, green, blue])
    own = {
        "id": row.id,
        "class": row.class_id,
        "class name": row.class_name or None,
        "score": row.score,
        "clicks": row.clicks,
        "model": row.model or None,
    }
    roi.properties = {f"clickseg {k}": _as_property(v) for k, v in own.items() if v is not None}
    return roi


def _as_property(value: float | str) -> str:
    """Return a value as a line; a text that would not come back as it is stands in quotes."""
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return json.dumps(value)
    return str(value)


def _of_property(value: Any) -> Any:
    if isinstance(value, str) and value.startswith('"'):
        try:
            return json.loads(value)
        except ValueError:
            pass
    return value


def _path(ring: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    path = np.empty(3 * len(ring) + 1, np.float32)
    path[:-1:3], path[1:-1:3], path[2:-1:3] = _LINE, ring[:, 0], ring[:, 1]
    path[0], path[-1] = _MOVE, _CLOSE
    return path


def read_rois(path: Path, problems: Problems) -> ExternalFile:
    """Read the areas of a ZIP of regions, or of one .roi file; named like their image.

    Raises
    ------
    FormatError
        If it is no such file.
    """
    objects: list[ExternalObject] = []
    classes: dict[str, ProjectClass] = {}
    rois = _rois(path, problems)
    planes = {_plane(roi) for _, roi in rois} - {(0, 0, 0)}
    for where, roi in rois:
        if len(planes) > 1 and _plane(roi) != (0, 0, 0):
            z = "/".join(str(n) for n in _plane(roi))
            problems.add(where, f"it is of plane {z} (C/Z/T) of a stack; give a file a plane")
            continue
        try:
            rings = _rings(roi)
        except ValueError as error:
            problems.add(where, str(error))
            continue
        objects.append(_object(where, roi, rings, classes, problems))
    stem = path.name.removesuffix(path.suffix).removesuffix("_rois").removesuffix("-rois")
    every = sorted(classes.values(), key=lambda one: one.id)
    known = ProjectClasses(classes=tuple(every)) if every else None
    return ExternalFile((ExternalImage(stem, tuple(objects)),), known)


def _rois(path: Path, problems: Problems) -> list[tuple[str, ImagejRoi]]:
    import roifile

    def read(name: str, data: bytes) -> None:
        try:
            rois.append((f"{path.name}, {name}", roifile.ImagejRoi.frombytes(data)))
        except Exception as error:  # noqa: BLE001 - whatever it raises at a broken file
            problems.add(f"{path.name}, {name}", f"it cannot be read: {error}")

    rois: list[tuple[str, ImagejRoi]] = []
    try:
        if path.suffix.lower() == ".roi":
            read(path.name, path.read_bytes())
            return rois
        with zipfile.ZipFile(path) as file:
            names = [one for one in file.infolist() if one.filename.lower().endswith(".roi")]
            if not names and file.namelist():
                raise FormatError(f"{path} holds no region (.roi).")
            if len(names) > _MOST or any(one.file_size > _LARGEST for one in names):
                raise FormatError(f"{path} is larger than a file of regions can be.")
            for one in names:
                read(one.filename, file.read(one))
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise FormatError(f"{path} cannot be read as a ZIP of regions: {error}.") from error
    return rois


def _plane(roi: ImagejRoi) -> tuple[int, int, int]:
    """Return the plane of a stack that a region is on, 0 where that is not said."""
    place = int(roi.c_position), int(roi.z_position), int(roi.t_position)
    return place if any(place) else (0, int(roi.position), 0)


def _rings(roi: ImagejRoi) -> list[npt.NDArray[Any]]:
    """Return the outlines of a region; raises ValueError if it is no area that is read."""
    from roifile import ROI_SUBTYPE, ROI_TYPE

    kind = roi.roitype
    if roi.subtype not in (ROI_SUBTYPE.UNDEFINED,):
        raise ValueError(f"it is a region of the kind {roi.subtype.name}, which is not read")
    if kind == ROI_TYPE.RECT and roi.multi_coordinates is not None and roi.shape_roi_size:
        try:
            return [np.asarray(ring, float) for ring in roi.coordinates(multi=True)]
        except (NotImplementedError, RuntimeError, IndexError) as error:
            raise ValueError("its path has curves, or is broken; they are not read") from error
    box = np.array([[roi.left, roi.top], [roi.right, roi.bottom]], float)
    if kind == ROI_TYPE.RECT:
        (left, top), (right, bottom) = box
        return [np.array([[left, top], [right, top], [right, bottom], [left, bottom]])]
    if kind == ROI_TYPE.OVAL:
        middle, radius = box.mean(axis=0), (box[1] - box[0]) / 2
        count = max(_ELLIPSE, 8 * int(radius.max()))
        turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
        return [middle + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)]
    if kind in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        return [np.asarray(roi.coordinates(), float)]
    raise ValueError(f"it is a {kind.name}; only areas become objects")


def _object(
    where: str,
    roi: ImagejRoi,
    rings: Sequence[npt.NDArray[Any]],
    classes: dict[str, ProjectClass],
    problems: Problems,
) -> ExternalObject:
    own: Mapping[str, Any] = _properties(roi)
    name, number = said_text(own.get("class name")), said_id(own.get("class"))
    if name and name not in classes:
        taken = {one.id for one in classes.values()}
        free = next(n for n in range(1, len(taken) + 2) if n not in taken)
        identifier = free if number is None or number in taken else number
        red, green, blue = bytes(roi.stroke_color)[1:4]
        colour = say_colour((red, green, blue)) or "#56B4E9"
        classes[name] = ProjectClass(id=identifier, name=name, colour=colour)
    note = ObjectNote(
        score=said_number(own.get("score")),
        clicks=said_id(own.get("clicks"), 0),
        model=said_text(own.get("model")),
    )

    def part(plane: tuple[int, int]) -> MaskPart:
        pixels, beyond = outlined(checked_rings(rings, plane), plane)
        if beyond:
            problems.note(f"{where}: it reaches beyond the image, and is cut there.")
        return pixels

    return ExternalObject(
        where,
        part,
        said_id(own.get("id")),
        classes[name].id if name else None,
        note,
    )


def _properties(roi: ImagejRoi) -> dict[str, Any]:
    mark = "clickseg "
    try:
        said = roi.properties
    except ValueError:
        return {}
    return {
        key.removeprefix(mark): _of_property(v) for key, v in said.items() if key.startswith(mark)
    }
