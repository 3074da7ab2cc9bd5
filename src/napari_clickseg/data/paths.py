"""Where the names that a project's files give lead to: a place in the project, or a refusal.

A project may come from a stranger. What its tables name is read where it is; written and removed
is only what lies inside the project's folder, links counted.
"""

from __future__ import annotations

import hashlib
import stat
import unicodedata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from napari_clickseg.data.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Callable

_FOLDERS = (["images"], ["masks"], ["clicks"], ["predictions"])  # of a project
_OF_PROJECTS = ("index.csv", "masks", "clicks")  # beside images/
_LONGEST = 255  # bytes of a name of a file
_LONGEST_PATH = 3000
_LARGEST = 256 * 1024**2  # bytes of a text
_SHOWN = 60


def wrong_name(name: str) -> str:
    """Return what is wrong with a name that a table gives a file; empty if nothing is.

    A name that begins with `..`, or is absolute, leads out of the project on purpose. One that
    only ends up outside does not.
    """
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return f"'{plain_name(name)}' has a character that no name of a file has"
    inner = PurePosixPath(name)
    parts = [part for part in inner.parts if part != "/"]
    while parts and parts[0] == "..":
        parts.pop(0)
    ends_as_folder = name.endswith("/") and inner.suffix.lower() != ".zarr"
    if not parts or ends_as_folder or parts in _FOLDERS:
        return f"'{plain_name(name)}' is a folder, not a file"
    if ".." in parts:
        return f"'{plain_name(name)}' leads out of its folder"
    if any(len(part.encode("utf-8", "replace")) > _LONGEST for part in parts):
        return f"'{plain_name(name)}' is longer than a name of a file can be"
    if len(name) > _LONGEST_PATH:
        return f"'{plain_name(name)}' is longer than a path can be"
    return ""


def plain_name(name: str) -> str:
    """Return a stranger's name of a file as a message can say it."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in name)
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"


def is_outside(name: str) -> bool:
    """Whether a name leads out of the project on purpose: such files are read, never written."""
    inner = PurePosixPath(name)
    return inner.is_absolute() or ".." in inner.parts or Path(name).is_absolute()


def name_from(folder: Path, path: Path) -> str:
    """Return how a project's table names a file: from its folder; in full one that lies outside."""
    path, folder = path.absolute(), folder.absolute()
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def leads_out(folder: Path, name: str) -> bool:
    """Whether a file would be written or removed outside of a folder, links counted."""
    if is_outside(name):
        return True
    try:
        home = folder.resolve()
        return not (folder / name).parent.resolve().is_relative_to(home)
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
        return True


def inside(folder: Path, name: str) -> Path:
    """Return the place of a file that is to be written.

    Raises
    ------
    ProjectError
        If that is outside of the folder, as where a folder in it is a link.
    """
    if leads_out(folder, name):
        raise ProjectError(
            f"{folder}: {PurePosixPath(name).parent} leads out of the project, so nothing is "
            "written there; make it a folder of the project."
        )
    return folder / name


def clicks_path(folder: Path, image: str) -> Path:
    """Return where the clicks of an image lie, if there are any: under its name in `clicks/`.

    Of an image in another project they lie in that one, and are only read; those of any other
    image that lies elsewhere have a name made of its whole path. A folder that is only called
    `images`, without masks or a table beside it, is no project.
    """
    inner = PurePosixPath(image)
    if is_outside(image) and "images" in inner.parts[:-1]:
        at = len(inner.parts) - 1 - inner.parts[::-1].index("images")
        other, rest = folder.joinpath(*inner.parts[:at]), inner.parts[at + 1 :]
        if any((other / name).exists() for name in _OF_PROJECTS):
            return other.joinpath("clicks", *rest).with_suffix(".json")
    if is_outside(image):
        digest = hashlib.sha256(image.encode("utf-8", "replace")).hexdigest()[:8]
        return folder / "clicks" / f"{inner.stem}-{digest}.json"
    if inner.parts[0] == "images" and len(inner.parts) > 1:
        inner = inner.relative_to("images")
    return folder / "clicks" / inner.with_suffix(".json")


def listing() -> Callable[[Path], dict[str, str]]:
    """Return a function that lists folders, each once: names by their composed form."""
    known: dict[Path, dict[str, str]] = {}

    def names(folder: Path) -> dict[str, str]:
        if folder not in known:
            try:
                there = [path.name for path in folder.iterdir()]
                known[folder] = {unicodedata.normalize("NFC", name): name for name in there}
            except OSError:
                known[folder] = {}
        return known[folder]

    return names


def located(folder: Path, name: str, names: Callable[[Path], dict[str, str]]) -> Path:
    """Return the path of a file, whichever way its accents are written.

    Systems differ in whether an "ä" is one letter or an "a" with two dots, and copying changes it.
    """
    path = folder / name
    try:
        if path.name.isascii() or path.exists():
            return path
        real = names(path.parent).get(unicodedata.normalize("NFC", path.name))
    except (OSError, ValueError):
        return path
    return path.with_name(real) if real is not None else path


def read_text(path: Path, *, errors: str = "strict") -> str:
    """Read a text of a project.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ProjectError
        If it is no file, too long, no UTF-8 text, or can't be read.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ProjectError(f"{path} is not a file; remove it.")
        if about.st_size > _LARGEST:
            raise ProjectError(f"{path} is longer than {_LARGEST >> 20} MiB; mend or delete it.")
        return path.read_bytes().decode("utf-8-sig", errors)
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise ProjectError(f"{path} is not UTF-8 text; save it as CSV UTF-8, or UTF-8.") from error
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror or error}.") from error
