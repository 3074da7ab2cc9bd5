"""labelme's JSON: a file an image; a polygon where it says all, else a small mask (labelme 5.3)."""

from __future__ import annotations

import base64
import io
import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.annotations import ObjectNote
from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.formats.annotated import NAMELESS, FormatError, ObjectRow, nameless
from napari_clickseg.formats.external_objects import (
    ExternalFile,
    ExternalImage,
    ExternalObject,
    checked_rings,
    outlined,
)
from napari_clickseg.formats.shapes.filling import MaskPart, filled, united
from napari_clickseg.formats.texts import (
    points_text,
    read_json,
    said_id,
    said_number,
    said_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.formats.annotated import AnnotatedImage
    from napari_clickseg.formats.problems import Problems
    from napari_clickseg.formats.shapes.outlines import Piece

_VERSION = "5.5.0"  # of labelme, whose masks these are
_FAR = 1e9  # pixels, beyond which no image reaches
_CIRCLE = 64  # corners that a circle is drawn with, at the least


def write_labelme(image: AnnotatedImage, path: Path, note: Callable[[str], object]) -> None:
    """Write a plane into a file; see the module."""
    first = True
    height, width = image.plane
    without = nameless([one.name for one in image.classes.classes] if image.classes else [])
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"version": "{_VERSION}", "flags": {{}}, "shapes": [')
        for row, pieces in image.outlined(note):
            file.write(f"{'' if first else ','}\n{_shape(row, pieces, image.plane, without)}")
            first = False
        name = json.dumps(image.file or f"{image.name}.png")
        file.write(f'\n], "imagePath": {name}, "imageData": null, ')
        file.write(f'"imageHeight": {height}, "imageWidth": {width}')
        if image.classes is not None:
            kept = image.classes.model_dump(exclude={"schema_version"}) | {"without_class": without}
            file.write(f', "clickseg": {json.dumps(kept)}')
        file.write("}\n")


def _shape(row: ObjectRow, pieces: Sequence[Piece], plane: tuple[int, int], without: str) -> str:
    about = {"score": row.score, "clicks": row.clicks, "model": row.model or None}
    said = {key: value for key, value in about.items() if value is not None}
    if len(pieces) == 1 and not pieces[0].holes:
        kind, points, mask = "polygon", points_text(pieces[0].exterior), None
    else:
        part = filled([ring for piece in pieces for ring in piece.rings], plane)
        rows, columns = part.key
        ends = [[columns.start, rows.start], [columns.stop - 1, rows.stop - 1]]
        kind, points, mask = "mask", json.dumps(ends), _png(part.mask)
    return (
        f'{{"label": {json.dumps(row.class_name or without)}, "points": {points}, '
        f'"group_id": {row.id}, "description": {json.dumps(json.dumps(said) if said else "")}, '
        f'"shape_type": "{kind}", "flags": {{}}, "mask": {json.dumps(mask)}}}'
    )


def _png(mask: npt.NDArray[np.bool_]) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(mask).save(file, "png")
    return base64.b64encode(file.getvalue()).decode("ascii")


def is_labelme(value: object) -> bool:
    """Whether JSON looks like labelme's."""
    return isinstance(value, dict) and "shapes" in value and "imagePath" in value


def read_labelme(path: Path, problems: Problems) -> ExternalFile:
    """Read the polygons, rectangles, circles and masks of a file.

    Raises
    ------
    FormatError
        If it is none of labelme's.
    """
    value = read_json(path, "labelme file")
    if not is_labelme(value) or not isinstance(value["shapes"], list):
        raise FormatError(f"{path} is no labelme file: it has no shapes.")
    classes = _classes(value)
    by_name = {one.name: one for one in classes.classes}
    grouped: dict[Any, list[tuple[str, Mapping[str, Any]]]] = {}
    for at, one in enumerate(value["shapes"], 1):
        where = f"{path.name}, shape {at}"
        kind = said_text(one.get("shape_type", "polygon")) if isinstance(one, dict) else ""
        if kind not in _PARTS:
            said = kind or "shape of no kind"
            problems.add(where, f"it is a {said}; only areas become objects")
            continue
        group = one.get("group_id")  # shapes of one group are pieces of one object
        key = (said_text(one.get("label")), group) if isinstance(group, int) else at
        grouped.setdefault(key, []).append((where, one))
    objects = [_object(shapes, by_name, problems) for shapes in grouped.values()]
    height, width = said_number(value.get("imageHeight")), said_number(value.get("imageWidth"))
    shape = (int(height), int(width)) if height and width else None
    file = str(value["imagePath"]).replace("\\", "/")
    known = classes if classes.classes else None
    return ExternalFile((ExternalImage(file, tuple(objects), shape=shape),), known)


def _classes(value: Mapping[str, Any]) -> ProjectClasses:
    """Return the classes that were saved here, and those that labelme's user added since."""
    saved, known = value.get("clickseg"), ProjectClasses()
    if isinstance(saved, dict):
        try:
            known = ProjectClasses.model_validate(saved | {"scheme": "instances"})
        except ValueError:
            pass
    labels = [said_text(one.get("label")) for one in value["shapes"] if isinstance(one, dict)]
    there = {one.name for one in known.classes}
    names = [one for one in dict.fromkeys(labels) if one and one not in there]
    if isinstance(saved, dict):
        names = [one for one in names if one != saved.get("without_class", NAMELESS[0])]
    elif len(names) == 1:  # among others, it is what somebody calls a class
        names = [one for one in names if one not in NAMELESS]
    taken = {one.id for one in known.classes}
    free = (n for n in itertools.count(1) if n not in taken)
    more = tuple(ProjectClass(id=next(free), name=name) for name in names)
    return known.model_copy(update={"classes": (*known.classes, *more)})


def _object(
    shapes: Sequence[tuple[str, Mapping[str, Any]]],
    classes: Mapping[str, ProjectClass],
    problems: Problems,
) -> ExternalObject:
    where, first = shapes[0]
    group = first.get("group_id")

    def part(plane: tuple[int, int]) -> MaskPart:
        parts = []
        for place, one in shapes:
            piece, beyond = _PARTS[one.get("shape_type", "polygon")](one, plane)
            parts.append(piece)
            if beyond:
                problems.note(f"{place}: it reaches beyond the image, and is cut there.")
        return united(parts)

    known = classes.get(said_text(first.get("label")))
    return ExternalObject(
        where, part, said_id(group), None if known is None else known.id, _note(first)
    )


def _note(one: Mapping[str, Any]) -> ObjectNote:
    try:
        return ObjectNote.model_validate(json.loads(str(one.get("description") or "{}")))
    except ValueError:  # somebody's own words
        return ObjectNote()


def _polygon(one: Mapping[str, Any], plane: tuple[int, int]) -> tuple[MaskPart, bool]:
    return outlined(checked_rings([one.get("points")], plane), plane)


def _two_points(one: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    try:
        points = np.asarray(one.get("points"), np.float64)
    except (TypeError, ValueError, OverflowError):
        points = np.zeros(0)
    if points.shape != (2, 2) or not np.isfinite(points).all():
        raise ValueError("it has not two points")
    if np.abs(points).max() > _FAR:
        raise ValueError("it lies outside of the image")
    return points


def _rectangle(one: Mapping[str, Any], plane: tuple[int, int]) -> tuple[MaskPart, bool]:
    (left, top), (right, bottom) = _two_points(one)
    ring = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return outlined([ring], plane)


def _circle(one: Mapping[str, Any], plane: tuple[int, int]) -> tuple[MaskPart, bool]:
    centre, edge = _two_points(one)
    radius = float(np.hypot(*(edge - centre)))
    turn = np.linspace(0, 2 * np.pi, max(_CIRCLE, int(8 * min(radius, 1e5))), endpoint=False)
    ring = centre + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return outlined([ring], plane)


def _mask(one: Mapping[str, Any], plane: tuple[int, int]) -> tuple[MaskPart, bool]:
    from PIL import Image

    (left, top), _ = np.rint(_two_points(one)).astype(int).tolist()
    try:
        data = io.BytesIO(base64.b64decode(str(one.get("mask"))))
        with Image.open(data, formats=["PNG"]) as image:
            if image.width * image.height > plane[0] * plane[1]:
                raise ValueError("its mask is larger than the image")
            mask = np.asarray(image.convert("L")) > 0
    except (OSError, SyntaxError) as error:
        raise ValueError("its mask is no PNG") from error
    up, before = max(0, -top), max(0, -left)
    inside = mask[up : max(0, plane[0] - top), before : max(0, plane[1] - left)]
    if not inside.any():
        raise ValueError("it has no pixel in the image")
    return MaskPart(max(0, top), max(0, left), inside), inside.shape != mask.shape


_PARTS: Mapping[Any, Callable[[Mapping[str, Any], tuple[int, int]], tuple[MaskPart, bool]]] = {
    "polygon": _polygon,
    "rectangle": _rectangle,
    "circle": _circle,
    "mask": _mask,
}
