"""Which images a folder holds, and in which project what is made of them goes. Worker threads."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.folder.state import BEGUN, DONE, UNTOUCHED
from napari_clickseg._napari.project.image_rows import ImageRow
from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.images import KINDS, is_image_file
from napari_clickseg.data.index import INDEX, said_complete
from napari_clickseg.data.paths import name_from
from napari_clickseg.data.project import is_project, read_folder
from napari_clickseg.data.reading.dicom import patient_group
from napari_clickseg.data.writer import ProjectWriter
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_clickseg.data.index import Row

_MOST = 200  # folders of which it is remembered where their masks go
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class FolderListing:
    """What a folder holds.

    Parameters
    ----------
    folder : Path
        As the user named it.
    project : Path, optional
        Where masks are saved; None while the user has yet to say it.
    images : tuple of Path
        Of a folder without a project.
    """

    folder: Path
    project: Path | None
    rows: tuple[ImageRow, ...] = ()
    images: tuple[Path, ...] = ()


def look_at(home: Path, folder: Path) -> FolderListing:
    """Find out what a folder holds.

    A project is one with an `index.csv`, or with images/ and masks/. Any other folder of images
    gets a project elsewhere, which the user names once; nothing is written into the folder.

    Raises
    ------
    ProjectError
        If it holds no image, or a project that can't be understood.
    """
    project = _project(folder)
    if project is not None:
        return FolderListing(folder, project, rows_of(project))
    images = _images(folder)
    known = _remembered(home).get(_key(folder))
    if known is None or not (Path(known) / INDEX).is_file():
        return FolderListing(folder, None, images=images)
    return placed(home, folder, images, Path(known))


def placed(home: Path, folder: Path, images: tuple[Path, ...], project: Path) -> FolderListing:
    """Have the masks of a folder's images go into a project, and remember that.

    Raises
    ------
    ProjectError
        If the project can't be written to, or the place holds other things.
    OSError
        If it can't be remembered.
    """
    if project.resolve() == folder.resolve():
        raise ProjectError(
            f"{project} is the folder of the images itself; choose another one for the masks."
        )
    try:
        _refer(ProjectWriter(project), images)
    except OSError as error:
        raise ProjectError(f"{project} can't be written to: {error.strerror or error}.") from error
    _remember(home, folder, project)
    order = {name_from(project, path): at for at, path in enumerate(images)}
    rows = [row for row in rows_of(project) if row.image in order]
    return FolderListing(folder, project, tuple(sorted(rows, key=lambda row: order[row.image])))


def rows_of(project: Path) -> tuple[ImageRow, ...]:
    """Return the images of a project, in its order.

    Raises
    ------
    ProjectError
        If it can't be understood.
    """
    return tuple(ImageRow(row.image, state_of(row)) for row in read_folder(project).rows)


def state_of(row: Row) -> str:
    """Return what became of an image: a mask says that it is done, unless some objects lack."""
    begun = said_complete(row)[0] is False
    return BEGUN if begun else DONE if row.mask else UNTOUCHED


def _refer(writer: ProjectWriter, images: Iterable[Path]) -> None:
    """Have a project name images; those that it names already are not looked into again."""
    there: set[str] = set()
    if is_project(writer.folder):
        there = {row.image for row in read_folder(writer.folder).rows}
    new = [path for path in images if name_from(writer.folder, path) not in there]
    writer.refer([(path, patient_group(path)) for path in new])


def _project(folder: Path) -> Path | None:
    if not folder.is_dir():
        raise ProjectError(f"There is no folder {folder}.")
    within = folder.parent if folder.name == "images" else folder
    for one in (folder, within):
        both = (one / "images").is_dir() and (one / "masks").is_dir()
        if both or (one / INDEX).is_file():
            return one
    return None


def _images(folder: Path) -> tuple[Path, ...]:
    inner = folder / "images"
    try:
        paths = [path for path in folder.iterdir() if _is_shown(path)]
        if not paths and inner.is_dir():
            paths = [path for path in inner.iterdir() if _is_shown(path)]
    except OSError as error:
        raise ProjectError(f"{folder} cannot be read: {error.strerror or error}.") from error
    if not paths:
        raise ProjectError(f"{folder} holds no image of a kind that is read ({KINDS}).")
    return tuple(sorted(paths, key=lambda path: _natural(path.name)))


def _is_shown(path: Path) -> bool:
    return not path.name.startswith(".") and is_image_file(path)


def _natural(name: str) -> tuple[Any, ...]:
    """Return what sorts names as people do: 2 before 10."""
    parts = _NUMBERS.split(name.casefold())
    return (*((int(part), "") if part.isdigit() else (-1, part) for part in parts), name)


def _key(folder: Path) -> str:
    return str(folder.resolve())


def _remember(home: Path, folder: Path, project: Path) -> None:
    known = _remembered(home)
    new = {_key(folder): str(project.resolve())}
    if known.get(_key(folder)) == new[_key(folder)]:
        return
    rest = [(one, where) for one, where in known.items() if one not in new]
    _write(home, [*rest[-_MOST + 1 :], *new.items()])


def _write(home: Path, known: Iterable[tuple[str, str]]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"projects of folders": dict(known)}, indent=2)
    write_whole(_memory(home), lambda path: path.write_text(text, encoding="utf-8"))


def _remembered(home: Path) -> dict[str, str]:
    """Return in which projects what is made of folders' images goes."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        known: Any = json.loads(_memory(home).read_text(encoding="utf-8"))
        return {str(one): str(where) for one, where in dict(known["projects of folders"]).items()}
    return {}


def _memory(home: Path) -> Path:
    return home / "folders.json"
