"""YOLO's folders for segmentation: a line an object, a text file an image, classes in data.yaml.

An object is one polygon there: holes and pieces are joined to it by lines without width.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.classes import ProjectClass, ProjectClasses
from napari_clickseg.formats.annotated import NAMELESS, FormatError, nameless
from napari_clickseg.formats.external_objects import (
    ExternalFile,
    ExternalImage,
    ExternalObject,
    checked_rings,
    outlined,
)
from napari_clickseg.formats.shapes.outlines import joined
from napari_clickseg.formats.texts import said_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.formats.annotated import AnnotatedImage
    from napari_clickseg.formats.problems import Problems
    from napari_clickseg.formats.shapes.filling import MaskPart

_SPLITS = {"training": "train", "validation": "val", "test": "test", "": "train"}
_FOLDERS = {"train": "training", "val": "validation", "valid": "validation", "test": "test"}
_DATA = "data.yaml"


def write_yolo(
    images: Iterable[AnnotatedImage], folder: Path, note: Callable[[str], object]
) -> None:
    """Write images into an empty folder: images/, labels/ and data.yaml."""
    import yaml

    names: list[str | None] = []  # None stands for objects without a class
    used: set[str] = set()
    for image in (plane for each in images for plane in each.planes()):
        split = _SPLITS[image.split]
        used.add(split)
        labels = folder / "labels" / split
        labels.mkdir(parents=True, exist_ok=True)
        with (labels / f"{image.name}.txt").open("w", encoding="utf-8") as file:
            file.writelines(_lines(image, names, note))
        if image.image is not None and image.image.is_file():
            beside = folder / "images" / split
            beside.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image.image, beside / f"{image.name}{image.image.suffix.lower()}")
        else:
            note(f"{image.name}: there is no file of its image to be copied into images/.")
    data: dict[str, Any] = {"path": ".", "train": "images/train", "val": "images/val"}
    if "val" not in used:
        note("No image is for validation; data.yaml says to validate on those of training.")
        data["val"] = data["train"]
    if "test" in used:
        data["test"] = "images/test"
    data["names"] = dict(enumerate(one or nameless(names) for one in names or [None]))
    data["clickseg"] = {"without_class": names.index(None) if None in names else None}
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    (folder / _DATA).write_text(text, encoding="utf-8")


def _lines(
    image: AnnotatedImage, names: list[str | None], note: Callable[[str], object]
) -> Iterator[str]:
    height, width = image.plane
    for one in image.classes.classes if image.classes is not None else ():
        if one.name not in names:
            names.append(one.name)
    for row, pieces in image.outlined(note):
        name = row.class_name or None
        if name not in names:
            names.append(name)
        ring = joined([ring for piece in pieces for ring in piece.rings])
        numbers = (ring / (width, height)).ravel().tolist()
        yield f"{names.index(name)} {' '.join(f'{value:.8g}' for value in numbers)}\n"


def is_yolo(folder: Path) -> bool:
    """Whether a folder looks like YOLO's."""
    return (folder / _DATA).is_file() or (
        (folder / "labels").is_dir() and any((folder / "labels").rglob("*.txt"))
    )


def read_yolo(source: Path, problems: Problems) -> ExternalFile:
    """Read the polygons of a folder, or of the folder of a data.yaml.

    Raises
    ------
    FormatError
        If it holds no labels, or its data.yaml can't be read.
    """
    folder = source if source.is_dir() else source.parent
    classes, without = _classes(folder / _DATA)
    labels = folder / "labels" if (folder / "labels").is_dir() else folder
    files = sorted(path for path in labels.rglob("*.txt") if path.name != "classes.txt")
    if not files:
        raise FormatError(f"{folder} holds no labels (labels/*.txt).")
    images = [_external_image(path, labels, classes, without, problems) for path in files]
    numbers = sorted({n for _, used in images for n in used})
    known = {**{n: ProjectClass(id=n + 1, name=str(n)) for n in numbers}, **classes}
    listed = tuple(known[n] for n in sorted(known) if n != without)
    external = tuple(one for one, _ in images)
    return ExternalFile(external, ProjectClasses(classes=listed) if listed else None)


def _classes(path: Path) -> tuple[dict[int, ProjectClass], int | None]:
    """Return the classes by their numbers, and the number that stands for none of them."""
    import yaml

    if not path.is_file():
        return {}, None
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        names, own = data["names"], data.get("clickseg")
        every: Mapping[int, Any] = names if isinstance(names, dict) else dict(enumerate(names))
        classes = {int(n): ProjectClass(id=int(n) + 1, name=str(v)) for n, v in every.items()}
        if isinstance(own, dict):
            return classes, said_id(own.get("without_class"), 0)
        alone = len(classes) == 1 and next(iter(classes.values())).name in NAMELESS
        return classes, next(iter(classes)) if alone else None
    except (
        OSError, yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError, OverflowError
    ) as error:  # fmt: skip
        raise FormatError(
            f"{path} cannot be read: it lists no names of classes; mend it."
        ) from error


def _external_image(
    path: Path,
    labels: Path,
    classes: Mapping[int, ProjectClass],
    without: int | None,
    problems: Problems,
) -> tuple[ExternalImage, set[int]]:
    """Return what a file says of its image, and the numbers of classes in it."""
    objects: list[ExternalObject] = []
    used: set[int] = set()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} is no text that can be read; mend it.") from error
    for number, line in enumerate(lines, 1):
        where = f"{path.name}, line {number}"
        if not line.strip():
            continue
        try:
            class_number, ring = _line(line)
        except ValueError as error:
            problems.add(where, str(error))
            continue
        if classes and class_number not in classes:
            problems.add(where, f"there is no class {class_number} in {_DATA}")
            continue
        used.add(class_number)
        plain = class_number == without
        part = _part(ring, where, problems)
        objects.append(ExternalObject(where, part, None, None if plain else class_number + 1))
    split = next(
        (_FOLDERS[name] for name in path.relative_to(labels).parts[:-1] if name in _FOLDERS), ""
    )
    return ExternalImage(path.stem, tuple(objects), split=split), used


def _line(line: str) -> tuple[int, npt.NDArray[np.float64]]:
    first, *rest = line.split()
    try:
        number, values = int(float(first)), np.array([float(value) for value in rest])
    except (ValueError, OverflowError):
        raise ValueError("it has words where numbers should be") from None
    if number < 0:
        raise ValueError(f"there is no class {number}")
    if len(values) == 4:
        raise ValueError("it is a box, not an outline; use labels for segmentation")
    if len(values) < 6 or len(values) % 2:
        raise ValueError(f"it has {len(values)} coordinates; pairs of them, three at least, do")
    return number, values.reshape(-1, 2)


def _part(
    ring: npt.NDArray[np.float64], where: str, problems: Problems
) -> Callable[[tuple[int, int]], MaskPart]:
    def part(plane: tuple[int, int]) -> MaskPart:
        rings: Sequence[npt.NDArray[np.float64]] = checked_rings(
            [ring * (plane[1], plane[0])], plane
        )
        pixels, beyond = outlined(rings, plane)
        if beyond:
            problems.note(f"{where}: it reaches beyond the image, and is cut there.")
        return pixels

    return part
