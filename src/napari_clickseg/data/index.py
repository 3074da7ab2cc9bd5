"""The table of a project: `index.csv`, or any table with its columns."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from napari_clickseg.data.errors import ProjectError
from napari_clickseg.data.paths import read_text, wrong_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

INDEX = "index.csv"
COLUMNS = ("image", "mask", "group", "split")
PIXEL_SIZE, COMPLETE = "pixel_size", "complete"  # columns that a table may have besides
SPLITS = ("", "training", "validation", "test")
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")
_ALIASES = {"train": "training", "val": "validation", "valid": "validation"}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: paths with slashes, relative to the folder; "" where there is none.

    `own` is the group of an image that has none, `line` where the row stands in the table, and
    `more` holds the user's own columns. `wrong` says in a line why the row can't be used; it is
    left out then, but stays in the table as the user wrote it.
    """

    image: str
    mask: str = ""
    group: str = ""
    split: str = ""
    own: str = ""
    line: int = 0
    more: tuple[tuple[str, str], ...] = ()
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """All rows of a project, the user's own columns, and what separates columns.

    `wrong` are rows that can't be used, and `others` lines on files that belong to no image.
    """

    rows: tuple[Row, ...]
    more: tuple[str, ...] = ()
    separator: str = ","
    wrong: tuple[Row, ...] = ()
    others: tuple[str, ...] = ()

    def with_row(self, row: Row) -> Table:
        """Return a table in which `row` stands at the end."""
        return replace(self, rows=(*self.rows, row), more=self._names(row))

    def exchanged(self, old: Row, new: Row) -> Table:
        """Return a table in which `new` stands where `old` stood."""
        new = replace(new, more=tuple({**dict(old.more), **dict(new.more)}.items()))
        rows = tuple(new if row is old else row for row in self.rows)
        return replace(self, rows=rows, more=self._names(new))

    def _names(self, row: Row) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.more, *(name for name, _ in row.more))))

    def text(self) -> str:
        """Return the table as text."""
        rows = (_line(row, self.more, self.separator) for row in (*self.rows, *self.wrong))
        return _joined([*COLUMNS, *self.more], self.separator) + "".join(rows)


def said_complete(row: Row) -> tuple[bool | None, str]:
    """Return whether a row says that all objects of its image are labelled, and what is wrong.

    It is None where the row does not say it.
    """
    text = dict(row.more).get(COMPLETE, "").strip().lower()
    if text not in ("", *_YES, *_NO):
        what = f"{COMPLETE} is '{text[:60]}'; write yes, no or nothing"
        return None, f"{INDEX}, line {row.line}: {what}. It counts as not said."
    return (text in _YES if text else None), ""


@lru_cache(maxsize=1 << 16)  # a project is written row by row, each time as a whole
def _line(row: Row, names: tuple[str, ...], separator: str) -> str:
    more = dict(row.more)
    own = [more.get(name, "") for name in names]
    return _joined([row.image, row.mask, row.group, row.split, *own], separator)


def _joined(cells: Sequence[str], separator: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerow(cells)
    return out.getvalue()


def read_table(path: Path) -> Table:
    """Read a table; commas, semicolons or tabs separate its columns.

    Rows that name an image twice, a file that can't be, or a split that is none are `Table.wrong`.

    Raises
    ------
    ProjectError
        If it lacks a column, or is no text.
    """
    lines = _lines(path)
    head = lines[0] if lines else ""
    separator = max(",;\t", key=head.count)
    reader = csv.reader(lines, delimiter=separator)
    names = [name.strip() for name in next(reader, [])]
    keys = [name.lower() if name.lower() in COLUMNS else name for name in names]
    missing = [name for name in COLUMNS[:2] if name not in keys]
    if missing:
        raise ProjectError(f"{path} lacks the column {' and '.join(missing)}.")
    rows = []
    try:
        for values in reader:
            cells = dict(zip(keys, (value.strip() for value in values), strict=False))
            if cells.get("image"):
                rows.append(_row(cells, reader.line_num))
    except csv.Error as error:
        raise ProjectError(f"{path}, line {reader.line_num}: {error}; mend it.") from error
    rows = _checked(rows, path)
    return Table(
        tuple(row for row in rows if not row.wrong),
        tuple(key for key in keys if key not in COLUMNS),
        separator,
        tuple(row for row in rows if row.wrong),
    )


def _lines(path: Path) -> Sequence[str]:
    try:
        return read_text(path).splitlines(keepends=True)
    except FileNotFoundError:
        raise ProjectError(f"There is no file {path}.") from None


def _row(cells: Mapping[str, str], line: int) -> Row:
    image, mask = (cells.get(name, "").replace("\\", "/") for name in COLUMNS[:2])
    text = cells.get("split", "")
    split = _ALIASES.get(text.lower(), text.lower())
    more = tuple((key, value) for key, value in cells.items() if key not in COLUMNS)
    wrong = wrong_name(image) or (wrong_name(mask) if mask else "")
    if split not in SPLITS:
        split = text
        wrong = wrong or (
            f"the split is '{text[:60]}'; write training, validation, test or nothing"
        )
    return Row(image, mask, cells.get("group", ""), split, image, line, more, wrong)


def _checked(rows: Sequence[Row], path: Path) -> list[Row]:
    """Mark rows that name an image a second time, and say where the wrong ones are."""
    seen: set[str] = set()
    checked = []
    for row in rows:
        wrong = row.wrong
        if not wrong and row.image in seen:
            wrong = f"{row.image} is named twice; keep one row of it"
        seen.add(row.image)
        where = f"{path.name}, line {row.line}: {wrong}." if wrong else ""
        checked.append(replace(row, wrong=where))
    return checked
