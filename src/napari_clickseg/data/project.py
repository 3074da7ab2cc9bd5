"""A project: images, masks and clicks that belong together.

In a project folder `index.csv` says with the columns image, mask, group and split which belong
together; where there is none, a mask in `masks/` belongs to the image of the same name in
`images/`. docs/project-folder.md describes the format.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from napari_clickseg.data.classes import ProjectClasses, read_classes
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.images import KINDS, is_image_file
from napari_clickseg.data.index import (
    INDEX,
    PIXEL_SIZE,
    Row,
    Table,
    read_table,
    said_complete,
)
from napari_clickseg.data.names import image_stem
from napari_clickseg.data.paths import clicks_path, listing, located
from napari_clickseg.data.pixel_size import PixelSize
from napari_clickseg.data.reading.dicom import patient_group
from napari_clickseg.data.reading.header import beginning
from napari_clickseg.data.staging import mend, tidy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

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

FOLDERS = ("images", "masks", "clicks", "predictions", "predictions/found")  # that are written to
_SHOWN = 3
_LITTER = ("thumbs.db", "desktop.ini")  # left by file managers


@dataclass(frozen=True, slots=True)
class Record:
    """An image with its mask.

    Parameters
    ----------
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
    pixel_size : PixelSize, optional
        As the table says it; None where only the image's file may say it.
    complete : bool, optional
        Whether all objects of the image are labelled; None where nobody said. What is not labelled
        in an image that is not complete is unknown to who learns objects; see `object_masks`.
    """

    image: Path
    mask: Path
    group: str
    name: str
    split: str = ""
    clicks: Path | None = None
    unknown: int | None = None
    pixel_size: PixelSize | None = None
    complete: bool | None = None


@dataclass(frozen=True, slots=True)
class Unannotated:
    """An image that has no mask yet; the fields are those of `Record`."""

    image: Path
    group: str
    name: str
    split: str = ""
    pixel_size: PixelSize | None = None
    complete: bool | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """What a project folder, or a table, says; nothing of the images has been read.

    Parameters
    ----------
    records : tuple of Record
        The annotated images, in the project's order. A mask without any labelled pixel says that
        there is really nothing in the image.
    classes : ProjectClasses, optional
        None where there is no `classes.json`.
    ungrouped : frozenset of str
        Names of the images for which no group is given, so that each counts as its own.
    left_out : tuple of str
        What is in the folder or its table and can't be used, one line each.
    """

    folder: Path
    records: tuple[Record, ...]
    unannotated: tuple[Unannotated, ...] = ()
    classes: ProjectClasses | None = None
    ungrouped: frozenset[str] = frozenset()
    left_out: tuple[str, ...] = ()


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
    index = read_table(source) if table else read_folder(source)
    unclear = [
        wrong for row in index.rows for wrong in (_pixel_size(row)[1], said_complete(row)[1])
    ]
    left_out = (*(row.wrong for row in index.wrong), *filter(None, unclear), *index.others)
    if not index.rows:
        more = f" {left_out[0]}" if left_out else ""
        raise ProjectError(f"{source} holds no image.{more}")
    names = listing()
    entries = [entry_of(folder, row, names) for row in index.rows]
    return Project(
        folder,
        tuple(entry for entry in entries if isinstance(entry, Record)),
        tuple(entry for entry in entries if isinstance(entry, Unannotated)),
        read_classes(folder),
        frozenset(row.image for row in index.rows if not row.group),
        left_out,
    )


def read_records(folder: Path) -> list[Record]:
    """List the images with masks of a project folder, or of a pair of folders images/, masks/.

    Raises
    ------
    ProjectError
        If the folder is neither, or holds no image with a mask.
    """
    names = listing()
    entries = [entry_of(folder, row, names) for row in read_folder(folder).rows]
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
        table = read_table(folder / INDEX)
        named = {PurePosixPath(row.mask).name for row in table.rows if row.mask}
        images = {PurePosixPath(row.image).name for row in (*table.rows, *table.wrong)}
        others = (*_without_row(folder, images), *_without_image(folder, named))
        return replace(table, others=others)
    if (folder / "images").is_dir():
        return _from_pair(folder)
    raise ProjectError(
        f"{folder} has neither an index.csv nor the folders images and masks; give the folder of "
        "a project."
    )


def entry_of(
    folder: Path, row: Row, names: Callable[[Path], dict[str, str]] | None = None
) -> Record | Unannotated:
    """Return what a row of the index stands for; `names` is `places.listing()`, for many rows."""
    names = names or listing()
    image, group = located(folder, row.image, names), row.group or row.own
    complete, _ = said_complete(row)
    if not row.mask:
        return Unannotated(image, group, row.image, row.split, _pixel_size(row)[0], complete)
    clicks = clicks_path(folder, row.image)
    there = clicks if clicks.is_file() else None
    mask = located(folder, row.mask, names)
    size, _ = _pixel_size(row)
    return Record(
        image, mask, group, row.image, row.split, there, pixel_size=size, complete=complete
    )


def _pixel_size(row: Row) -> tuple[PixelSize | None, str]:
    """Return what a row says of the size of pixels, and what is wrong with it."""
    text = dict(row.more).get(PIXEL_SIZE, "").strip()
    if not text:
        return None, ""
    try:
        return PixelSize.parse(text), ""
    except ValueError as error:
        return None, f"{INDEX}, line {row.line}: {error}; it counts as not known."


def _from_pair(folder: Path) -> Table:
    """Return what an index would say of the folders images/ and masks/."""
    masks, strange_masks, twin_masks = _by_stem(folder / "masks")
    images, strange, twice = _by_stem(folder / "images")
    others = sorted({text for _, text in twin_masks})
    if strange:
        others.append(
            f"images/ holds {_files(strange)} that {'is' if len(strange) == 1 else 'are'} no image "
            f"of a kind that is read, and left out ({KINDS})."
        )
    lonely = [path.name for stem, path in masks.items() if stem not in images]
    others += _fitting_none([*lonely, *strange_masks])
    rows = (
        Row(
            f"images/{path.name}",
            f"masks/{masks[stem].name}" if stem in masks else "",
            patient_group(path),
            own=stem,
        )
        for stem, path in sorted(images.items())
    )
    wrong = tuple(Row(f"images/{name}", wrong=text) for name, text in twice)
    if twice and not images:
        raise ProjectError(twice[0][1])
    return Table(tuple(rows), wrong=wrong, others=tuple(others))


def _without_row(folder: Path, named: Collection[str]) -> tuple[str, ...]:
    """Return what is said of the images in images/ that an index does not name."""
    composed = {unicodedata.normalize("NFC", name) for name in named}
    by_stem, _, twice = _by_stem(folder / "images")
    names = [*(path.name for path in by_stem.values()), *(name for name, _ in twice)]
    new = [name for name in names if unicodedata.normalize("NFC", name) not in composed]
    if not new:
        return ()
    return (
        f"images/ holds {_files(new)} without a row in {INDEX}, left out; add a row (image, mask) "
        "for each.",
    )


def _without_image(folder: Path, named: Collection[str]) -> tuple[str, ...]:
    """Return what is said of the files in masks/ that an index does not name."""
    composed = {unicodedata.normalize("NFC", name) for name in named}
    masks, strange, _ = _by_stem(folder / "masks")
    names = [*(path.name for path in masks.values()), *strange]
    lonely = [name for name in names if unicodedata.normalize("NFC", name) not in composed]
    return tuple(_fitting_none(lonely))


def _fitting_none(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    one = len(names) == 1
    return [
        f"masks/ holds {_files(names)} that {'fits' if one else 'fit'} no image; a mask is called "
        "like its image (a.tif and a.png), or index.csv says which belong together."
    ]


def _files(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{'a file' if len(names) == 1 else f'{len(names)} files'} ({shown}{more})"


def _by_stem(folder: Path) -> tuple[dict[str, Path], list[str], list[tuple[str, str]]]:
    """Return the images of a folder by stem, the names of other files, and images of one stem.

    Of two images of one stem neither is taken; the last list has each with what to say.
    """
    files: dict[str, Path] = {}
    strange: list[str] = []
    twice: dict[str, str] = {}
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        paths = []
    except OSError as error:
        raise ProjectError(f"{folder} cannot be read: {error.strerror}.") from error
    for path in paths:
        if path.name.startswith(".") or path.name.lower() in _LITTER:
            continue
        if not _is_image(path):
            strange.append(path.name)
            continue
        stem = unicodedata.normalize("NFC", image_stem(path.name))
        if stem in files:
            twice[stem] = f"{folder} has both {files[stem].name} and {path.name}; keep one of them."
        files.setdefault(stem, path)
    for stem in twice:
        del files[stem]
    names = [path.name for path in paths]
    wrong = [
        (name, text)
        for stem, text in twice.items()
        for name in names
        if unicodedata.normalize("NFC", image_stem(name)) == stem and name not in strange
    ]
    return files, strange, wrong


def _is_image(path: Path) -> bool:
    """Whether a file is meant as an image: by its name, and, of .npy, that numbers are in it."""
    if not is_image_file(path):
        return False
    if path.suffix.lower() != ".npy" or not path.is_file():
        return True
    try:
        start = beginning(path, 128)
    except OSError:
        return True
    return start.startswith(b"\x93NUMPY") and b"'|O'" not in start  # as cellpose keeps results
