"""COCO's instances as JSON: one annotation an object, of all images in one file.

An object in one piece without a hole is a polygon, any other one is kept as runs (RLE).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
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
from napari_clickseg.formats.shapes.filling import MaskPart, filled, united
from napari_clickseg.formats.shapes.outlines import area, joined
from napari_clickseg.formats.shapes.run_lengths import packed, part_of, runs_of, unpacked
from napari_clickseg.formats.texts import (
    read_json,
    rgb_of,
    said_id,
    said_list,
    said_number,
    said_text,
    say_colour,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_clickseg.formats.annotated import AnnotatedImage
    from napari_clickseg.formats.problems import Problems
    from napari_clickseg.formats.shapes.outlines import Piece

_NO_CLASS = "object"  # the category of objects without a class
# What files call the parts that a dataset is split into.
_SPLITS = {
    "": "", "training": "training", "train": "training", "validation": "validation",
    "valid": "validation", "val": "validation", "test": "test",
}  # fmt: skip


def write_coco(
    images: Iterable[AnnotatedImage],
    path: Path,
    note: Callable[[str], object],
    *,
    polygons: bool = False,
) -> None:
    """Write images into a file; see the module.

    Parameters
    ----------
    polygons : bool
        All objects become polygons; holes are joined to the outside.
    """
    about: list[dict[str, Any]] = []
    categories = _Categories()
    number = 1
    with path.open("w", encoding="utf-8") as file:
        file.write('{"info": {"description": "napari-clickseg"}, "annotations": [')
        for image in (plane for each in images for plane in each.planes()):
            about.append(_about(image, len(about) + 1))
            own = categories.of(image, note)
            for each in _annotations(image, own, len(about), polygons, note):
                file.write(f"{',' if number > 1 else ''}\n{_line(number, each)}")
                number += 1
        file.write(f'],\n"images": {json.dumps(about)},\n')
        file.write(f'"categories": {json.dumps(categories.listed())}}}\n')


def _about(image: AnnotatedImage, number: int) -> dict[str, Any]:
    height, width = image.plane
    said: dict[str, Any] = {
        "id": number,
        "file_name": image.file or f"{image.name}.png",
        "height": height,
        "width": width,
    }
    if image.pixel_size is not None:
        said["pixel_size"] = image.pixel_size.as_json()
    return said | {key: v for key in ("group", "split") if (v := getattr(image, key))}


class _Categories:
    """The classes of all images, each once."""

    def __init__(self) -> None:
        self._every: dict[int, tuple[str, str]] = {}
        self._without = 0

    def of(
        self, image: AnnotatedImage, note: Callable[[str], object]
    ) -> Callable[[int | None], int]:
        """Add the classes of an image; return what gives each its number."""
        own: dict[int, int] = {}
        for one in image.classes.classes if image.classes is not None else ():
            about, number = (one.name, one.colour), one.id
            if self._every.get(number, about)[0] != one.name:
                number = next(
                    (n for n, known in self._every.items() if known[0] == one.name),
                    max(self._every) + 1,
                )
                note(f"{image.name}: the class '{one.name}' is number {number} in the file.")
            self._every.setdefault(number, about)
            own[one.id] = number

        def number_of(class_id: int | None) -> int:
            if class_id is None:
                self._without = self._without or -1
            return own[class_id] if class_id is not None else 0

        return number_of

    def listed(self) -> list[dict[str, Any]]:
        """Return what the file says of them."""
        categories: list[dict[str, Any]] = [
            {"id": number, "name": name, "supercategory": "", "color": rgb_of(colour)}
            for number, (name, colour) in sorted(self._every.items())
        ]
        if self._without or not categories:
            categories.append(
                {"id": 0, "name": _NO_CLASS, "supercategory": "", "unclassified": True}
            )
        return categories


@dataclass(slots=True)
class _Annotation:
    image: int
    category: int
    row: ObjectRow
    segmentation: str
    area: int
    box: tuple[int, int, int, int]


def _annotations(
    image: AnnotatedImage,
    number_of: Callable[[int | None], int],
    number: int,
    polygons: bool,
    note: Callable[[str], object],
) -> Iterator[_Annotation]:
    for row, pieces in image.outlined(note):
        corners = np.concatenate([piece.exterior for piece in pieces])
        (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        size = int(sum(area(ring) for piece in pieces for ring in piece.rings))
        plain = len(pieces) == 1 and not pieces[0].holes
        text = _polygons(pieces) if plain or polygons else _runs(pieces, image.plane)
        box = (left, top, right - left, bottom - top)
        yield _Annotation(number, number_of(row.class_id), row, text, size, box)


def _polygons(pieces: Sequence[Piece]) -> str:
    return json.dumps([joined(piece.rings).ravel().tolist() for piece in pieces])


def _runs(pieces: Sequence[Piece], shape: tuple[int, int]) -> str:
    part = filled([ring for piece in pieces for ring in piece.rings], shape)
    return json.dumps({"size": list(shape), "counts": packed(runs_of(part, shape))})


def _line(number: int, one: _Annotation) -> str:
    more = {"score": one.row.score, "clicks": one.row.clicks, "model": one.row.model or None}
    said = {key: value for key, value in more.items() if value is not None}
    head = f'"id": {number}, "image_id": {one.image}, "category_id": {one.category}'
    rest = f'"area": {one.area}, "bbox": {list(one.box)}, "iscrowd": 0, "object": {one.row.id}'
    text = "".join(f", {json.dumps(key)}: {json.dumps(value)}" for key, value in said.items())
    return f'{{{head}, "segmentation": {one.segmentation}, {rest}{text}}}'


def is_coco(value: object) -> bool:
    """Whether JSON looks like COCO's instances."""
    return isinstance(value, dict) and "images" in value and "annotations" in value


def read_coco(path: Path, problems: Problems) -> ExternalFile:
    """Read COCO's instances: polygons, runs, packed runs; crowds become pixels that are unknown.

    Raises
    ------
    FormatError
        If it is no such file.
    """
    value = read_json(path, "COCO file")
    if not is_coco(value):
        raise FormatError(f"{path} is no COCO file: it has no images and annotations.")
    images = _images(said_list(value["images"], path, "images"), problems)
    categories = said_list(value.get("categories"), path, "categories")
    classes, unclassified = _classes(categories, problems)
    by_image: dict[Any, list[ExternalObject]] = {}
    annotations = said_list(value["annotations"], path, "annotations")
    ids = Counter(_key(one, "id") for one in annotations)
    for at, one in enumerate(annotations):
        own, image, category = (_key(one, key) for key in ("id", "image_id", "category_id"))
        where = f"annotation {own if own is not None else f'no. {at + 1}'}"
        if not isinstance(one, dict):
            problems.add(where, "it is no annotation")
        elif ids[own] > 1 and own is not None:
            problems.add(where, "another annotation has the same id")
        elif image not in images:
            problems.add(where, f"there is no image {_shown(image)} in the file")
        elif category not in classes and category not in unclassified:
            problems.add(where, f"there is no category {_shown(category)} in the file")
        else:
            file = _file_name(images[image])
            parsed = _object(one, where, classes.get(category), file, problems)
            by_image.setdefault(image, []).append(parsed)
    known = ProjectClasses(classes=tuple(classes.values())) if classes else None
    external = (
        _external_image(image, by_image.get(key, ()), problems) for key, image in images.items()
    )
    return ExternalFile(tuple(external), known)


def _key(one: object, name: str) -> int | str | None:
    """Return an id, which is a number or a text; 3.0 is 3, as programs with tables write it."""
    value = one.get(name) if isinstance(one, dict) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | str) else None


def _shown(key: int | str | None) -> str:
    """Return an id as messages call it: a text in quotes, as '1' is not 1."""
    return "without an id" if key is None else repr(key)


def _images(listed: Sequence[object], problems: Problems) -> dict[Any, Mapping[str, Any]]:
    images: dict[Any, Mapping[str, Any]] = {}
    for one in listed:
        key = _key(one, "id")
        if not isinstance(one, dict) or key is None or not said_text(one.get("file_name")):
            problems.add("an image", "it has no id or no file_name")
        elif key in images:
            problems.add(f"image {key}", "another image has the same id")
        else:
            images[key] = one
    return images


def _file_name(image: Mapping[str, Any]) -> str:
    return said_text(image["file_name"]).replace("\\", "/")


def _external_image(
    image: Mapping[str, Any], objects: Sequence[ExternalObject], problems: Problems
) -> ExternalImage:
    from napari_clickseg.data.pixel_size import stated_pixel_size

    split = said_text(image.get("split"))
    if split.lower() not in _SPLITS:
        problems.note(f"{_file_name(image)}: its split '{split}' is none of ours, and is not kept.")
    height, width = said_number(image.get("height")), said_number(image.get("width"))
    return ExternalImage(
        _file_name(image),
        tuple(objects),
        shape=(int(height), int(width)) if height and width else None,
        pixel_size=stated_pixel_size(image.get("pixel_size")),
        group=said_text(image.get("group")),
        split=_SPLITS.get(split.lower(), ""),
    )


def _classes(
    listed: Sequence[object], problems: Problems
) -> tuple[dict[Any, ProjectClass], set[Any]]:
    """Return the classes by the file's number, and the numbers that stand for none."""
    classes: dict[Any, ProjectClass] = {}
    unclassified: set[Any] = set()
    every = []
    for at, one in enumerate(listed, 1):
        key = _key(one, "id")
        if not isinstance(one, dict) or key is None:
            problems.add(f"category no. {at}", "it has no id")
        elif one.get("unclassified"):
            unclassified.add(key)
        else:
            every.append((key, one))
    keep = all(said_id(key) is not None for key, _ in every)
    for at, (key, one) in enumerate(every, 1):
        if key in classes:
            problems.add(f"category {key}", "another category has the same id")
            continue
        colour = say_colour(one.get("color"))
        name = said_text(one.get("name")) or said_text(key) or str(at)
        fields: dict[str, Any] = {"id": key if keep else at, "name": name}
        classes[key] = ProjectClass(**fields, **({} if colour is None else {"colour": colour}))
    return classes, unclassified


def _object(
    one: Mapping[str, Any],
    where: str,
    known: ProjectClass | None,
    file: str,
    problems: Problems,
) -> ExternalObject:
    note = ObjectNote(
        score=said_number(one.get("score")),
        clicks=said_id(one.get("clicks"), 0),
        model=said_text(one.get("model")),
    )
    said = one.get("segmentation")

    def part(shape: tuple[int, int]) -> MaskPart:
        pixels, beyond = _part(said, shape)
        if beyond:
            problems.note(f"{file}, {where}: it reaches beyond the image, and is cut there.")
        return pixels

    return ExternalObject(
        where,
        part,
        said_id(one.get("object")),
        None if known is None else known.id,
        note,
        one.get("iscrowd") not in (None, 0, False, "", "0"),
    )


def _part(said: object, shape: tuple[int, int]) -> tuple[MaskPart, bool]:
    """Return the pixels of a segmentation, and whether it leaves the image."""
    if isinstance(said, dict):
        counts, size = said.get("counts"), said.get("size")
        if not isinstance(size, list) or size != list(shape):
            raise ValueError(f"its runs are of an image of the size {size}")
        if isinstance(counts, str):
            runs = unpacked(counts)
        else:
            try:
                runs = np.asarray(counts, np.int64).reshape(-1)
            except (TypeError, ValueError, OverflowError):
                raise ValueError("its runs are no numbers") from None
        part = part_of(runs, shape)
        if not part.mask.any():
            raise ValueError("it has no pixel")
        return part, False
    if not isinstance(said, list) or not said:
        raise ValueError("it has no segmentation")
    parts, beyond = [], False
    for ring in checked_rings(said, shape):
        one, leaves = outlined([ring], shape)
        parts.append(one)
        beyond = beyond or leaves
    return united(parts), beyond
