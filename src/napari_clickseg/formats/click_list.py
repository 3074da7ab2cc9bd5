"""Clicks as a table: a row a click, of all images in one file; and back into a project."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_clickseg.core.clicks import PromptError
from napari_clickseg.data.annotations import Annotations, ProjectClick, read_clicks
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.masks import file_digest, read_labels
from napari_clickseg.data.names import record_name
from napari_clickseg.data.paths import read_text
from napari_clickseg.data.project import is_project, read_project
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.formats.annotated import FormatError, ids_of
from napari_clickseg.formats.image_lookup import stem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from napari_clickseg.data.classes import ProjectClasses
    from napari_clickseg.data.project import Record
    from napari_clickseg.formats.annotated import AnnotatedImage
    from napari_clickseg.formats.problems import Problems

CLICK_COLUMNS = (
    "image", "number", "object", "class", "positive", "y", "x", "drawn", "points",
)  # fmt: skip
_NEEDED = ("image", "positive", "y", "x")
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")


def write_clicks(
    images: Iterable[AnnotatedImage], path: Path, note: Callable[[str], object]
) -> None:
    """Write the clicks of images into a CSV file.

    `y` and `x` count in pixels from the centre of the first one, as in `clicks/` of a project.
    What was drawn has its points as "y x;y x".
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(CLICK_COLUMNS)
        for image in images:
            rows = image.rows()
            if not image.annotations.clicks:
                note(f"{image.name}: no clicks are known.")
            for number, click in enumerate(image.annotations.clicks, 1):
                row = rows.get(click.object or 0)
                out.writerow(
                    [
                        image.file or image.name,
                        number,
                        click.object or "",
                        row.class_name if row is not None else "",
                        int(click.positive),
                        _number(click.y),
                        _number(click.x),
                        click.drawn or "",
                        ";".join(f"{_number(y)} {_number(x)}" for y, x in click.points or ()),
                    ]
                )


def _number(value: float) -> str:
    """Return the shortest text that is read as the same number."""
    return repr(float(value)).removesuffix(".0")


def checked_table(path: Path) -> str:
    """Return "clicks" for a table of clicks.

    Raises
    ------
    FormatError
        If it is another table.
    """
    _rows(path)
    return "clicks"


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a table with their lines."""
    try:
        lines = read_text(path).splitlines(keepends=True)
    except (OSError, ProjectError) as error:
        raise FormatError(f"{path} cannot be read as a table of clicks: {error}.") from error
    reader = csv.DictReader(lines)
    missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise FormatError(
            f"{path} is no table of clicks: it lacks the column {missing[0]}; {', '.join(_NEEDED)} "
            "are needed."
        )
    try:
        return [
            (reader.line_num, {k: v.strip() for k, v in row.items() if isinstance(v, str)})
            for row in reader
        ]
    except csv.Error as error:
        raise FormatError(f"{path}, line {reader.line_num}: {error}; mend it.") from error


@dataclass(frozen=True, slots=True)
class ClicksOf:
    """The clicks of an annotated image of a project, and its objects' classes as they are then."""

    record: Record
    notes: Annotations


def clicks_in(
    path: Path, folder: Path, problems: Problems, *, overwrite: bool = False
) -> list[ClicksOf]:
    """Read a table of clicks on annotated images of a project.

    Parameters
    ----------
    problems : Problems
        Is told of clicks that can't be used.
    overwrite : bool
        Clicks that the project has may be replaced.

    Raises
    ------
    FormatError
        If it is no such table, or there is no project.
    """
    if not is_project(folder):
        raise FormatError(
            f"There is no project {folder}; clicks belong to masks: bring those in first."
        )
    project = read_project(folder)
    records = {record_name(one.name).lower(): one for one in project.records}
    by_image: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for line, row in _rows(path):
        by_image.setdefault(row["image"], []).append((line, row))
    clicks = []
    for image, rows in by_image.items():
        record = records.get(stem_of(image).lower()) or records.get(image.lower())
        if record is None:
            problems.add(image, f"no image of that name has a mask in {folder}")
            continue
        before = read_clicks(record.clicks) if record.clicks is not None else Annotations()
        if before.clicks and not overwrite:
            problems.add(image, "it has clicks in the project, which are kept; see --overwrite")
            continue
        clicks.append(ClicksOf(record, _noted(rows, record, before, project.classes, problems)))
    return clicks


def _noted(
    rows: Iterable[tuple[int, dict[str, str]]],
    record: Record,
    before: Annotations,
    known: ProjectClasses | None,
    problems: Problems,
) -> Annotations:
    """Return what is known of an image's objects, with the clicks that the rows tell of."""
    labels = read_labels(record.mask)
    ids = set(ids_of(labels).tolist())
    by_name = {one.name: one.id for one in known.classes} if known is not None else {}
    clicks, classes = [], dict(before.classes)
    for line, row in rows:
        where = f"{row['image']}, line {line}"
        try:
            click = _click(row)
        except (ValueError, PromptError) as error:
            problems.add(where, _reason(error))
            continue
        height, width = labels.shape
        if not (-0.5 <= click.y <= height - 0.5 and -0.5 <= click.x <= width - 0.5):
            problems.add(where, f"it lies outside of the image of {height} × {width} pixels")
        elif click.object is not None and click.object not in ids:
            problems.add(where, f"its object {click.object} is not in the mask")
        else:
            clicks.append(click)
            number = by_name.get(row.get("class", ""))
            if number is not None and click.object is not None:
                classes.setdefault(click.object, number)
    return before.model_copy(update={"clicks": tuple(clicks), "classes": classes})


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)


def _click(row: dict[str, str]) -> ProjectClick:
    positive = row["positive"].lower()
    if positive not in (*_YES, *_NO):
        raise ValueError(f"positive is '{row['positive'][:60]}'; write 1 or 0")
    said: dict[str, Any] = {"y": row["y"], "x": row["x"], "positive": positive in _YES}
    if row.get("object"):
        said["object"] = row["object"]
    if row.get("drawn"):
        said["drawn"] = row["drawn"]
        said["points"] = [point.split() for point in row.get("points", "").split(";")]
    return ProjectClick.model_validate(said)


def write_into(folder: Path, told: Iterable[ClicksOf]) -> int:
    """Write clicks into a project, whose masks stay as they are; returns how many objects have one.

    Raises
    ------
    ProjectError
        If a mask has changed meanwhile, or the project can't be written to.
    """
    objects = 0
    with ProjectWriter.opened(folder) as writer:
        for one in told:
            digest = file_digest(one.record.mask)
            writer.annotate(
                one.record.name,
                read_labels(one.record.mask),
                clicks=one.notes.clicks,
                object_classes=one.notes.classes,
                objects=one.notes.objects,
                replacing=digest,
            )
            objects += len({c.object for c in one.notes.clicks if c.object is not None})
    return objects
