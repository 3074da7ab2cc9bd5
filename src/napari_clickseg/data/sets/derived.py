"""A project that is a table of another one's images, with a split of its own."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg.data.classes import CLASSES_FILE
from napari_clickseg.data.index import COMPLETE, INDEX, Row, Table
from napari_clickseg.data.staging import held, staging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.data.project import Project, Record


def write_derived(
    folder: Path, project: Project, records: Sequence[Record], splits: Sequence[str]
) -> None:
    """Write a project's table of some images of another one, and its classes.

    Parameters
    ----------
    folder : Path
        Where it goes; images and masks stay where they are.
    splits : sequence of str
        "training", "validation" or "test", for each of them.

    Raises
    ------
    ProjectError
        If it can't be written; then nothing is changed.
    """
    rows = [_row(record, folder, split) for record, split in zip(records, splits, strict=True)]
    more = tuple(dict.fromkeys(name for row in rows for name, _ in row.more))
    text = Table(tuple(rows), more).text()
    with held(folder), staging(folder) as staged:
        if (project.folder / CLASSES_FILE).exists():
            staged.put(CLASSES_FILE, partial(shutil.copyfile, project.folder / CLASSES_FILE))
        staged.put(INDEX, lambda path: path.write_text(text, encoding="utf-8"))


def relative(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder, with slashes; whole where there is no such way."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive
        return path.resolve().as_posix()


def _row(record: Record, folder: Path, split: str) -> Row:
    image, mask = (relative(path, folder) for path in (record.image, record.mask))
    said = record.complete  # clicks are found by way of the image, what the table says is not
    more = () if said is None else ((COMPLETE, "yes" if said else "no"),)
    return Row(image, mask, record.group, split, more=more)
