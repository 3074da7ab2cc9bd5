"""GeoJSON as QuPath reads and writes it: a feature an object, a file an image.

Corners are those of pixels at full resolution, so an outline encloses exactly the object's pixels.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
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
from napari_clickseg.formats.shapes.filling import MaskPart, united
from napari_clickseg.formats.shapes.outlines import area
from napari_clickseg.formats.texts import (
    points_text,
    read_json,
    rgb_of,
    said_id,
    said_number,
    said_text,
    say_colour,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from napari_clickseg.formats.annotated import AnnotatedImage
    from napari_clickseg.formats.problems import Problems
    from napari_clickseg.formats.shapes.outlines import Piece

_AREAS = ("Polygon", "MultiPolygon")


def write_geojson(image: AnnotatedImage, path: Path, note: Callable[[str], object]) -> None:
    """Write a plane into a file; see the module."""
    first = True
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for row, pieces in image.outlined(note):
            file.write(f"{'' if first else ','}\n{_feature(image, row, pieces)}")
            first = False
        file.write("\n]}\n")


def _feature(image: AnnotatedImage, row: ObjectRow, pieces: Sequence[Piece]) -> str:
    shapes = [f"[{','.join(_ring(ring) for ring in piece.rings)}]" for piece in pieces]
    several = len(shapes) > 1
    kind = "MultiPolygon" if several else "Polygon"
    coordinates = f"[{','.join(shapes)}]" if several else shapes[0]
    own = uuid.uuid5(uuid.NAMESPACE_OID, f"{image.name}/{row.id}")
    return (
        f'{{"type": "Feature", "id": "{own}", '
        f'"geometry": {{"type": "{kind}", "coordinates": {coordinates}}}, '
        f'"properties": {json.dumps(_properties(image, row, pieces))}}}'
    )


def _ring(ring: Any) -> str:
    return points_text(np.concatenate([ring, ring[:1]]))


def _properties(image: AnnotatedImage, row: ObjectRow, pieces: Sequence[Piece]) -> dict[str, Any]:
    size = sum(area(ring) for piece in pieces for ring in piece.rings)
    measurements: dict[str, float] = {"Area px^2": size}
    if image.pixel_size is not None:
        pixel = image.pixel_size.within("µm")
        measurements["Area µm^2"] = size * pixel.y * pixel.x
    if row.score is not None:
        measurements["Score"] = row.score
    if row.clicks is not None:
        measurements["Clicks"] = row.clicks
    said: dict[str, Any] = {
        "objectType": "annotation",
        "name": str(row.id),
        "measurements": measurements,
    }
    if row.class_id is not None:
        colour = rgb_of(image.colour_of(row.class_id))
        said["classification"] = {"name": row.class_name, "color": list(colour)}
    own = {"id": row.id, "class": row.class_id, "model": row.model or None}
    said["metadata"] = {f"clickseg {k}": str(v) for k, v in own.items() if v is not None}
    return said


def read_geojson(path: Path, problems: Problems) -> ExternalFile:
    """Read the areas of a file, as annotations or cells of QuPath are; named like its image.

    Raises
    ------
    FormatError
        If it is no GeoJSON.
    """
    value = read_json(path, "GeoJSON")
    features = value.get("features") if isinstance(value, dict) else value
    if isinstance(value, dict) and value.get("type") == "Feature":
        features = [value]
    if not isinstance(features, list):
        raise FormatError(f"{path} is no GeoJSON: it has no features.")
    classes = _Classes(features)
    objects = []
    twice = Counter(_own_id(one) for one in features)
    for at, one in enumerate(features, 1):
        where = f"{path.name}, feature {at}"
        shape = one.get("geometry") if isinstance(one, dict) else None
        kind = shape.get("type") if isinstance(shape, dict) else None
        if kind not in _AREAS or not isinstance(shape, dict):
            problems.add(where, f"its geometry is {kind or 'missing'}; only areas become objects")
            continue
        own = _own_id(one)
        if own is not None and twice[own] > 1:
            problems.add(where, f"another feature has the same id {own}")
            continue
        objects.append(_object(one, shape, where, own, classes, problems))
    stem = path.name[: -len(path.suffix)] if path.suffix else path.name
    return ExternalFile((ExternalImage(stem, tuple(objects)),), classes.known)


def _text(one: object, name: str) -> Any:
    properties = one.get("properties") if isinstance(one, dict) else None
    return properties.get(name) if isinstance(properties, dict) else None


def _own_id(one: object) -> int | None:
    return _number(_metadata(one).get("clickseg id"))


def _metadata(one: object) -> Mapping[str, Any]:
    metadata = _text(one, "metadata")
    return metadata if isinstance(metadata, dict) else {}


def _number(text: object) -> int | None:
    plain = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 11
    return said_id(int(text)) if plain and isinstance(text, str) else None


class _Classes:
    """The classifications in a file: by name, numbered as they say or as they come."""

    def __init__(self, features: Sequence[object]) -> None:
        said: dict[str, tuple[int | None, str | None]] = {}
        for one in features:
            name, colour = _classification(one)
            if name and name not in said:
                said[name] = _number(_metadata(one).get("clickseg class")), colour
        numbers = [number for number, _ in said.values()]
        keep = None not in numbers and len(set(numbers)) == len(numbers)
        self.by_name: dict[str, ProjectClass] = {}
        for at, (name, (number, colour)) in enumerate(said.items(), 1):
            fields: dict[str, Any] = {"id": number if keep else at, "name": name}
            self.by_name[name] = ProjectClass(**fields, **({"colour": colour} if colour else {}))

    @property
    def known(self) -> ProjectClasses | None:
        """What the project is told of them."""
        every = sorted(self.by_name.values(), key=lambda one: one.id)
        return ProjectClasses(classes=tuple(every)) if every else None


def _classification(one: object) -> tuple[str, str | None]:
    """Return name and colour of a feature's classification, as any version of QuPath writes it."""
    said = _text(one, "classification")
    if not isinstance(said, dict):
        return "", None
    several = said.get("names")
    parts = [said_text(part) for part in several] if isinstance(several, list) else []
    name = said_text(said.get("name")) or said_text(": ".join(parts))
    packed = said.get("colorRGB")
    if isinstance(packed, int):
        colour = say_colour(((packed >> 16) & 255, (packed >> 8) & 255, packed & 255))
    else:
        colour = say_colour(said.get("color"))
    return name, colour


def _object(
    one: Any,
    shape: Mapping[str, Any],
    where: str,
    own: int | None,
    classes: _Classes,
    problems: Problems,
) -> ExternalObject:
    name, _ = _classification(one)
    measured = _text(one, "measurements")
    figures: Mapping[str, Any] = measured if isinstance(measured, dict) else {}
    note = ObjectNote(
        score=said_number(figures.get("Score")),
        clicks=said_id(figures.get("Clicks"), 0),
        model=said_text(_metadata(one).get("clickseg model")),
    )

    def part(plane: tuple[int, int]) -> MaskPart:
        said = shape.get("coordinates")
        polygons = [said] if shape["type"] == "Polygon" else said
        if not isinstance(polygons, list) or not polygons:
            raise ValueError("it has no coordinates")
        parts, beyond = [], False
        for polygon in polygons:
            if not isinstance(polygon, list) or not polygon:
                raise ValueError("it has no coordinates")
            piece, leaves = outlined(checked_rings(polygon, plane), plane)
            parts.append(piece)
            beyond = beyond or leaves
        if beyond:
            problems.note(f"{where}: it reaches beyond the image, and is cut there.")
        return united(parts)

    known = classes.by_name.get(name)
    return ExternalObject(where, part, own, None if known is None else known.id, note)
