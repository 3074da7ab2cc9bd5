"""The table `predictions/review.csv`: what became of each prediction.

Rows are only ever added, and the last one of an image counts: so a process may predict while the
user reviews, without either having to wait for the other.
"""

from __future__ import annotations

import csv
import errno
import io
import math
import os
from dataclasses import astuple, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.paths import read_text, wrong_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path, PurePath

SCHEMA_VERSION = 1
PREDICTIONS, TABLE = "predictions", "predictions/review.csv"
TO_REVIEW, ACCEPTED, REJECTED = STATES = ("to review", "accepted", "rejected")
_FOUND = "found"
_KINDS = (".png", ".tif", ".zarr")
_COLUMNS = ("image", "prediction", "model", "uncertainty", "state", "when", "schema_version")


@dataclass(frozen=True, slots=True)
class Review:
    """What became of a prediction.

    Parameters
    ----------
    image : str
        As in `Record.name`.
    prediction : str
        Path of its labels within the project, with slashes.
    model : str
        SHA-256 of the model's file.
    uncertainty : float
        0 … 1, see `core.uncertainty`.
    state : str
        `TO_REVIEW`, `ACCEPTED` or `REJECTED`.
    when : str
        Date and time of the state, ISO 8601, UTC.
    """

    image: str
    prediction: str
    model: str
    uncertainty: float
    state: str = TO_REVIEW
    when: str = ""


def found_names(prediction: PurePath) -> tuple[str, str]:
    """Return where a project keeps what was found by a prediction that was cleaned up, and how.

    Parameters
    ----------
    prediction : PurePath
        The label map; the other two lie in a folder beside it.
    """
    place = f"{PREDICTIONS}/{_FOUND}"
    return f"{place}/{prediction.name}", f"{place}/{prediction.stem}.json"


def read_reviews(path: Path) -> dict[str, Review]:
    """Return the latest row of each image; see `read_review_table`."""
    return read_review_table(path)[0]


def read_review_table(path: Path) -> tuple[dict[str, Review], tuple[str, ...]]:
    """Return the latest row of each image, and a line on each row that makes no sense.

    Rows that a killed process did not end are passed over.

    Raises
    ------
    ProjectError
        If the table can't be understood at all, or leads out of its folder.
    """
    if path.is_symlink():
        raise ProjectError(f"{path} is a link; put the table itself there, or delete it.")
    try:
        # A row may have been cut within a letter.
        lines = read_text(path, errors="surrogateescape").split("\n")
    except FileNotFoundError:
        return {}, ()
    reviews: dict[str, Review] = {}
    wrong: list[str] = []
    for number, line in enumerate(lines[:-1], 1):
        row = _cells(line)
        if number == 1:
            if row is None or tuple(row) != _COLUMNS:
                raise ProjectError(
                    f"{path} lacks the columns {', '.join(_COLUMNS)}; mend it or delete it."
                )
            continue
        parsed = "" if row is None else _review(row, path)
        if isinstance(parsed, Review):
            reviews[parsed.image] = parsed
        elif parsed is not None:
            wrong.append(f"{path}, line {number}: the row makes no sense, and is left out.")
    return reviews, tuple(wrong)


def _cells(line: str) -> list[str] | None:
    """Return the cells of a row; None where it is none."""
    try:
        return next(csv.reader([line.removesuffix("\r")]), [])
    except csv.Error:
        return None


def append_review(path: Path, review: Review) -> None:
    """Add a row, as a whole or not at all; a line that a killed process began is ended first.

    Raises
    ------
    OSError
        If it can't be written.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ProjectError(f"{path} is a link, or no file; remove it.")
    row = _row(review)
    with path.open("a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(-1, os.SEEK_END)
            row = row if file.read(1) == b"\n" else b"\n" + row
        else:
            row = _line(_COLUMNS) + row
        try:
            if file.write(row) != len(row):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(size)
            raise


def table_with(path: Path, review: Review) -> bytes:
    """Return the table with a row more, for whoever has to replace it as a whole.

    Raises
    ------
    OSError
        If it can't be read.
    """
    there = path.read_bytes() if path.exists() else b""
    ended = there if not there or there.endswith(b"\n") else there + b"\n"
    return (ended or _line(_COLUMNS)) + _row(review)


def review_table_text(reviews: Sequence[Review]) -> bytes:
    """Return a table of these rows alone."""
    return _line(_COLUMNS) + b"".join(map(_row, reviews))


def _row(review: Review) -> bytes:
    return _line((*astuple(review), SCHEMA_VERSION))


def _line(values: Sequence[object]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)
    if out.getvalue().count("\n") > 1:
        raise ProjectError(f"The name {values[0]!r} has a line break; rename the image.")
    return out.getvalue().encode(errors="surrogateescape")


def _review(row: Sequence[str], path: Path) -> Review | str | None:
    """Return what a row says; None where it was not ended, "" where it makes no sense."""
    if len(row) != len(_COLUMNS) or not row[-1].isdecimal():
        return None
    if len(row[-1]) > 9 or int(row[-1]) > SCHEMA_VERSION:
        raise ProjectError(
            f"{path} has version {row[-1][:20]}, this program knows up to {SCHEMA_VERSION}; update "
            "napari-clickseg."
        )
    image, prediction, model, uncertainty, state, when = row[:-1]
    inside = PurePosixPath(prediction)
    ours = inside.parent == PurePosixPath(PREDICTIONS) and inside.suffix in _KINDS
    try:
        value = float(uncertainty)
    except ValueError:
        value = math.nan
    sound = ours and state in STATES and math.isfinite(value) and 0 <= value <= 1
    if not sound or wrong_name(prediction):
        return ""
    return Review(image, prediction, model, value, state, when)
