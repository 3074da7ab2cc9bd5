"""A project: images, masks and clicks that belong together.

In a project folder `index.csv` says with the columns image, mask, group and split which belong
together; where there is none, a mask in `masks/` belongs to the image of the same name in
`images/`. docs/project-folder.md describes the format.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from napari_clickseg.data.classes import ProjectClasses, read_classes
from napari_clickseg.data.errors import ProjectError

__all__ = [
    "INDEX",
    "SPLITS",
    "Project",
    "ProjectError",
    "Record",
    "Row",
    "Unannotated",
    "clicks_path",
    "read_project",
    "read_records",
    "read_rows",
]

INDEX = "index.csv"
SPLITS = ("", "training", "validation", "test")
_ALIASES = {"train": "training", "val": "validation", "valid": "validation"}
_LITTER = ("thumbs.db", "desktop.ini")  # left by file managers


@dataclass(frozen=True, slots=True)
class Record:
    """An image with its mask.

    Parameters
    ----------
    image, mask : Path
    group : str
        Images of one group (such as a patient's) must not be split; by default each is its own.
    name : str
        The image's path within the project, with slashes.
    split : str
        "training", "validation", "test", or "" where that is left to the program.
    clicks : Path, optional
        The clicks that the mask was made with, see `annotations.read_clicks`.
    """

    image: Path
    mask: Path
    group: str
    name: str
    split: str = ""
    clicks: Path | None = None


@dataclass(frozen=True, slots=True)
class Unannotated:
    """An image that has no mask yet; the fields are those of `Record`."""

    image: Path
    group: str
    name: str
    split: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """What a project folder, or a table, says; nothing of the images has been read.

    Parameters
    ----------
    folder : Path
    records : tuple of Record
        The annotated images, in the project's order. A mask without any labelled pixel says that
        there is really nothing in the image.
    unannotated : tuple of Unannotated
    classes : ProjectClasses, optional
        None where there is no `classes.json`.
    ungrouped : frozenset of str
        Names of the images for which no group is given, so that each counts as its own.
    """

    folder: Path
    records: tuple[Record, ...]
    unannotated: tuple[Unannotated, ...] = ()
    classes: ProjectClasses | None = None
    ungrouped: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `index.csv`: paths with slashes, relative to the folder; "" where there is none.

    `own` is the group of an image that has none; `line` is where the row stands in the table.
    """

    image: str
    mask: str = ""
    group: str = ""
    split: str = ""
    own: str = ""
    line: int = 0


def read_project(source: Path | str) -> Project:
    """Read a project folder, a pair of folders images/ and masks/, or a table.

    Parameters
    ----------
    source : Path or str
        A folder, or a CSV file with the columns image, mask, group and split (the first two
        are needed), whose paths are relative to it.

    Raises
    ------
    ProjectError
        If it is none of these, holds no image, or says something that can't be understood.
    """
    source = Path(source)
    table = source.suffix.lower() in (".csv", ".tsv", ".txt") and not source.is_dir()
    folder = source.parent if table else source
    rows = _from_table(source) if table else read_rows(source)
    if not rows:
        raise ProjectError(f"{source} holds no image.")
    _check_rows(rows, source)
    return Project(
        folder,
        tuple(_record(folder, row) for row in rows if row.mask),
        tuple(_unannotated(folder, row) for row in rows if not row.mask),
        read_classes(folder),
        frozenset(row.image for row in rows if not row.group),
    )


def read_records(folder: Path) -> list[Record]:
    """List the images with masks of a project folder, or of a pair of folders images/, masks/.

    Raises
    ------
    ProjectError
        If the folder is neither, or holds no image with a mask.
    """
    records = [_record(folder, row) for row in read_rows(folder) if row.mask]
    if not records:
        raise ProjectError(f"{folder} holds no image with a mask.")
    return records


def read_rows(folder: Path) -> list[Row]:
    """List what a project folder's `index.csv` says, or would say if there were one.

    Raises
    ------
    ProjectError
        If the folder is no project, or its index can't be understood.
    """
    if not folder.is_dir():
        raise ProjectError(f"There is no folder {folder}.")
    if (folder / INDEX).is_file():
        return _from_table(folder / INDEX)
    if (folder / "images").is_dir():
        return _from_pair(folder)
    raise ProjectError(
        f"{folder} has neither an index.csv nor the folders images and masks; give the folder of "
        "a project."
    )


def clicks_path(folder: Path, image: str) -> Path:
    """Return where the clicks of an image lie, if there are any: under its name in `clicks/`."""
    inside = PurePosixPath(image)
    if inside.is_absolute():
        return Path(inside.with_suffix(".json"))
    if inside.parts[0] == "images":
        inside = inside.relative_to("images")
    return folder / "clicks" / inside.with_suffix(".json")


def _record(folder: Path, row: Row) -> Record:
    clicks = clicks_path(folder, row.image)
    return Record(
        folder / row.image,
        folder / row.mask,
        row.group or row.own,
        row.image,
        row.split,
        clicks if clicks.is_file() else None,
    )


def _unannotated(folder: Path, row: Row) -> Unannotated:
    return Unannotated(folder / row.image, row.group or row.own, row.image, row.split)


def _from_table(path: Path) -> list[Row]:
    lines = _lines(path)
    head = lines[0] if lines else ""
    reader = csv.reader(lines, delimiter=max(",;\t", key=head.count))
    columns = [name.strip().lower() for name in next(reader, [])]
    missing = {"image", "mask"} - set(columns)
    if missing:
        raise ProjectError(f"{path} lacks the column {' and '.join(sorted(missing))}.")
    rows = []
    for values in reader:
        cells = dict(zip(columns, (value.strip() for value in values), strict=False))
        image = cells["image"].replace("\\", "/")
        if not image:
            continue
        mask = cells.get("mask", "").replace("\\", "/")
        split = _split(cells.get("split", ""), path, reader.line_num)
        rows.append(Row(image, mask, cells.get("group", ""), split, image, reader.line_num))
    return rows


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise ProjectError(f"There is no file {path}.") from None
    except UnicodeDecodeError as error:
        raise ProjectError(f"{path} is not UTF-8 text; save it as CSV UTF-8.") from error
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror}.") from error


def _split(text: str, path: Path, line: int) -> str:
    split = _ALIASES.get(text.lower(), text.lower())
    if split not in SPLITS:
        raise ProjectError(
            f"{path}, line {line}: the split is '{text}'; write training, validation, test or "
            "nothing."
        )
    return split


def _check_rows(rows: list[Row], source: Path) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.image in seen:
            raise ProjectError(
                f"{source} names {row.image} twice (again in line {row.line}); keep one row of it."
            )
        seen.add(row.image)


def _from_pair(folder: Path) -> list[Row]:
    masks = _by_stem(folder / "masks") if (folder / "masks").is_dir() else {}
    return [
        Row(
            f"images/{path.name}",
            f"masks/{masks[stem].name}" if stem in masks else "",
            own=stem,
        )
        for stem, path in sorted(_by_stem(folder / "images").items())
    ]


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower() in _LITTER:
            continue
        if path.stem in found:
            raise ProjectError(
                f"{folder} has both {found[path.stem].name} and {path.name}; keep one of them."
            )
        found[path.stem] = path
    return found
