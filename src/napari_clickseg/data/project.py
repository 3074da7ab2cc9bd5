"""A project: images, masks and clicks that belong together.

In a project folder `index.csv` says with the columns image, mask, group and split which belong
together; where there is none, a mask in `masks/` belongs to the image of the same name in
`images/`. docs/project-folder.md describes the format.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from napari_clickseg.data.classes import ProjectClasses, read_classes
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.index import INDEX, Row, Table, read_table
from napari_clickseg.data.staging import mend, tidy

__all__ = [
    "FOLDERS",
    "Project",
    "ProjectError",
    "Record",
    "Unannotated",
    "clicks_path",
    "entry_of",
    "is_project",
    "read_folder",
    "read_project",
    "read_records",
]

FOLDERS = ("images", "masks", "clicks", "predictions")  # in a project, that are written to
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
    unknown : int, optional
        Of the mask's objects the classes are asked for, not their ids, and this stands for
        objects without one; see `object_classes.read_mask`. None: ids are read as they are.
    """

    image: Path
    mask: Path
    group: str
    name: str
    split: str = ""
    clicks: Path | None = None
    unknown: int | None = None


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
    if not table:
        tidy(folder, *FOLDERS)
    rows = (read_table(source) if table else read_folder(source)).rows
    if not rows:
        raise ProjectError(f"{source} holds no image.")
    entries = [entry_of(folder, row) for row in rows]
    return Project(
        folder,
        tuple(entry for entry in entries if isinstance(entry, Record)),
        tuple(entry for entry in entries if isinstance(entry, Unannotated)),
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
    entries = [entry_of(folder, row) for row in read_folder(folder).rows]
    records = [entry for entry in entries if isinstance(entry, Record)]
    if not records:
        raise ProjectError(f"{folder} holds no image with a mask.")
    return records


def is_project(folder: Path) -> bool:
    """Whether a folder looks like a project; nothing in it is read."""
    return (folder / INDEX).is_file() or (folder / "images").is_dir()


def read_folder(folder: Path) -> Table:
    """Return what a project folder's `index.csv` says, or would say if there were one.

    Raises
    ------
    ProjectError
        If the folder is no project, or its index can't be understood.
    """
    if not folder.is_dir():
        raise ProjectError(f"There is no folder {folder}.")
    mend(folder)
    if (folder / INDEX).is_file():
        return read_table(folder / INDEX)
    if (folder / "images").is_dir():
        return Table(_from_pair(folder))
    raise ProjectError(
        f"{folder} has neither an index.csv nor the folders images and masks; give the folder of "
        "a project."
    )


def clicks_path(folder: Path, image: str) -> Path:
    """Return where the clicks of an image lie, if there are any: under its name in `clicks/`.

    Of an image in another project, which a table names by ``../``, they lie in that one.
    """
    inside = PurePosixPath(image)
    if inside.is_absolute():
        return Path(inside.with_suffix(".json"))
    if inside.parts[0] == ".." and "images" in inside.parts:
        at = len(inside.parts) - 1 - inside.parts[::-1].index("images")
        other, rest = inside.parts[:at], inside.parts[at + 1 :]
        return folder.joinpath(*other, "clicks", *rest).with_suffix(".json")
    if inside.parts[0] == "images":
        inside = inside.relative_to("images")
    return folder / "clicks" / inside.with_suffix(".json")


def entry_of(folder: Path, row: Row) -> Record | Unannotated:
    """Return what a row of the index stands for."""
    image, group = folder / row.image, row.group or row.own
    if not row.mask:
        return Unannotated(image, group, row.image, row.split)
    clicks = clicks_path(folder, row.image)
    there = clicks if clicks.is_file() else None
    return Record(image, folder / row.mask, group, row.image, row.split, there)


def _from_pair(folder: Path) -> tuple[Row, ...]:
    masks = _by_stem(folder / "masks") if (folder / "masks").is_dir() else {}
    return tuple(
        Row(f"images/{path.name}", f"masks/{masks[stem].name}" if stem in masks else "", own=stem)
        for stem, path in sorted(_by_stem(folder / "images").items())
    )


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise ProjectError(f"{folder} cannot be read: {error.strerror}.") from error
    for path in paths:
        if path.name.startswith(".") or path.name.lower() in _LITTER:
            continue
        if path.stem in found:
            raise ProjectError(
                f"{folder} has both {found[path.stem].name} and {path.name}; keep one of them."
            )
        found[path.stem] = path
    return found
