"""The rows of a list of images, which every widget shows that goes through images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image, as a list shows it.

    Parameters
    ----------
    image : str
        As in `Record.name`.
    state : str
        What became of it.
    unsure : float, optional
        How unsure a model is of it, 0 … 1.
    """

    image: str
    state: str
    unsure: float | None = None

    @property
    def name(self) -> str:
        """What the list shows: the name of its file without folder and ending."""
        return PurePosixPath(self.image).stem


def matching_rows(rows: Iterable[ImageRow], search: str) -> tuple[ImageRow, ...]:
    """Return the rows whose names have all words of a search in them, whatever their case."""
    words = search.casefold().split()
    if not words:
        return tuple(rows)
    return tuple(row for row in rows if all(word in row.name.casefold() for word in words))


def neighbour(
    rows: Sequence[ImageRow], listed: Sequence[ImageRow], current: str, step: int
) -> ImageRow | None:
    """Return the listed row that comes next, or before; None where there is none.

    Parameters
    ----------
    rows, listed : sequence of ImageRow
        All, and those that are listed, in the same order.
    current : str
        The image that is open. It need not be listed: what is worked on may have become something
        else than what is listed.
    step : int
        1 or -1.
    """
    at = {row.image: n for n, row in enumerate(rows)}
    here = at.get(current, -1 if step > 0 else len(rows))
    ordered = listed if step > 0 else reversed(listed)
    return next((row for row in ordered if (at[row.image] - here) * step > 0), None)
