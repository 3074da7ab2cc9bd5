"""The table of a project: `index.csv`, or any table with its columns."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_clickseg.data.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["COLUMNS", "INDEX", "SPLITS", "Row", "Table", "read_table"]

INDEX = "index.csv"
COLUMNS = ("image", "mask", "group", "split")
SPLITS = ("", "training", "validation", "test")
_ALIASES = {"train": "training", "val": "validation", "valid": "validation"}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: paths with slashes, relative to the folder; "" where there is none.

    `own` is the group of an image that has none, `line` where the row stands in the table, and
    `more` holds the user's own columns.
    """

    image: str
    mask: str = ""
    group: str = ""
    split: str = ""
    own: str = ""
    line: int = 0
    more: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """All rows of a project, the user's own columns, and what separates columns."""

    rows: tuple[Row, ...]
    more: tuple[str, ...] = ()
    separator: str = ","

    def with_row(self, row: Row) -> Table:
        """Return a table in which `row` stands at the end."""
        return replace(self, rows=(*self.rows, row))

    def exchanged(self, old: Row, new: Row) -> Table:
        """Return a table in which `new` stands where `old` stood."""
        new = replace(new, more=old.more)
        return replace(self, rows=tuple(new if row is old else row for row in self.rows))

    def text(self) -> str:
        """Return the table as text."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.separator, lineterminator="\n")
        writer.writerow([*COLUMNS, *self.more])
        for row in self.rows:
            more = dict(row.more)
            own = [more.get(name, "") for name in self.more]
            writer.writerow([row.image, row.mask, row.group, row.split, *own])
        return out.getvalue()


def read_table(path: Path) -> Table:
    """Read a table; commas, semicolons or tabs separate its columns.

    Raises
    ------
    ProjectError
        If it lacks a column, is no text, names an image twice, or has a split that is none.
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
    for values in reader:
        cells = dict(zip(keys, (value.strip() for value in values), strict=False))
        if cells.get("image"):
            rows.append(_row(cells, path, reader.line_num))
    _check(rows, path)
    return Table(tuple(rows), tuple(key for key in keys if key not in COLUMNS), separator)


def _lines(path: Path) -> Sequence[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    except FileNotFoundError:
        raise ProjectError(f"There is no file {path}.") from None
    except UnicodeDecodeError as error:
        raise ProjectError(f"{path} is not UTF-8 text; save it as CSV UTF-8.") from error
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror}.") from error


def _row(cells: Mapping[str, str], path: Path, line: int) -> Row:
    image, mask = (cells.get(name, "").replace("\\", "/") for name in COLUMNS[:2])
    text = cells.get("split", "")
    split = _ALIASES.get(text.lower(), text.lower())
    if split not in SPLITS:
        raise ProjectError(
            f"{path}, line {line}: the split is '{text}'; write training, validation, test or "
            "nothing."
        )
    more = tuple((key, value) for key, value in cells.items() if key not in COLUMNS)
    return Row(image, mask, cells.get("group", ""), split, image, line, more)


def _check(rows: Sequence[Row], path: Path) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.image in seen:
            raise ProjectError(
                f"{path} names {row.image} twice (again in line {row.line}); keep one row of it."
            )
        seen.add(row.image)
