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

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "ACCEPTED",
    "PREDICTIONS",
    "REJECTED",
    "SCHEMA_VERSION",
    "TABLE",
    "TO_REVIEW",
    "Review",
    "append_review",
    "read_reviews",
]

SCHEMA_VERSION = 1
PREDICTIONS, TABLE = "predictions", "predictions/review.csv"
TO_REVIEW, ACCEPTED, REJECTED = STATES = ("to review", "accepted", "rejected")
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


def read_reviews(path: Path) -> dict[str, Review]:
    """Return the latest row of each image, but for those that a killed process did not end.

    Raises
    ------
    ProjectError
        If the table can't be understood.
    """
    try:
        # A row may have been cut within a letter.
        lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").split("\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ProjectError(f"{path} cannot be read; mend it or delete it.") from error
    rows = [next(csv.reader([line]), []) for line in lines[:-1]]
    if rows and tuple(rows[0]) != _COLUMNS:
        raise ProjectError(f"{path} lacks the columns {', '.join(_COLUMNS)}; mend it or delete it.")
    found = (_review(row, path) for row in rows[1:])
    return {review.image: review for review in found if review is not None}


def append_review(path: Path, review: Review) -> None:
    """Add a row, as a whole or not at all; a line that a killed process began is ended first.

    Raises
    ------
    OSError
        If it can't be written.
    """
    row = _line((*astuple(review), SCHEMA_VERSION))
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


def _line(values: Sequence[object]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)
    if out.getvalue().count("\n") > 1:
        raise ProjectError(f"The name {values[0]!r} has a line break; rename the image.")
    return out.getvalue().encode(errors="surrogateescape")


def _review(row: Sequence[str], path: Path) -> Review | None:
    if len(row) != len(_COLUMNS) or not row[-1].isdecimal():
        return None
    if int(row[-1]) > SCHEMA_VERSION:
        raise ProjectError(
            f"{path} has version {row[-1]}, this program knows up to {SCHEMA_VERSION}; update "
            "napari-clickseg."
        )
    image, prediction, model, uncertainty, state, when = row[:-1]
    inside = PurePosixPath(prediction)
    ours = inside.parent == PurePosixPath(PREDICTIONS) and inside.suffix in (".png", ".tif")
    try:
        value = float(uncertainty)
    except ValueError:
        value = math.nan
    if not ours or state not in STATES or not math.isfinite(value):
        raise ProjectError(f"{path}: the row of '{image}' makes no sense; mend it or delete it.")
    return Review(image, prediction, model, value, state, when)
