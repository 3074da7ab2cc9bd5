"""A project folder: images and masks that belong together.

`index.csv` says with the columns image, mask and group which belong together; where there is
none, a mask in `masks/` belongs to the image of the same name in `images/`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ProjectError", "Record", "read_records"]


class ProjectError(ValueError):
    """A folder that is no project; the message says what is missing."""


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
    """

    image: Path
    mask: Path
    group: str
    name: str


def read_records(folder: Path) -> list[Record]:
    """List the images with masks of a project folder, or of a pair of folders images/, masks/.

    Raises
    ------
    ProjectError
        If the folder is neither, or holds no image with a mask.
    """
    if not folder.is_dir():
        raise ProjectError(f"There is no folder {folder}.")
    if (folder / "index.csv").is_file():
        records = _from_index(folder)
    elif (folder / "images").is_dir() and (folder / "masks").is_dir():
        records = _from_pair(folder)
    else:
        raise ProjectError(
            f"{folder} has neither an index.csv nor the folders images and masks; give the "
            "folder of a project."
        )
    if not records:
        raise ProjectError(f"{folder} holds no image with a mask.")
    return records


def _from_index(folder: Path) -> list[Record]:
    with (folder / "index.csv").open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = {"image", "mask"} - set(reader.fieldnames or ())
        if missing:
            raise ProjectError(
                f"{folder / 'index.csv'} lacks the column {' and '.join(sorted(missing))}."
            )
        return [
            Record(
                folder / row["image"],
                folder / row["mask"],
                row.get("group") or row["image"],
                row["image"],
            )
            for row in reader
            if row["image"] and row["mask"]
        ]


def _from_pair(folder: Path) -> list[Record]:
    masks = _by_stem(folder / "masks")
    return [
        Record(path, masks[stem], stem, f"images/{path.name}")
        for stem, path in sorted(_by_stem(folder / "images").items())
        if stem in masks
    ]


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.stem in found:
            raise ProjectError(
                f"{folder} has both {found[path.stem].name} and {path.name}; keep one of them."
            )
        found[path.stem] = path
    return found
