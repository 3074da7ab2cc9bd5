"""Clicks, boxes, scribbles and lassos as `clickseg predict` is given them."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_clickseg.cli._common import UsageError, count, position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.engine.segmenter import Session

_AXES = ("axis-0", "axis-1")  # of napari's own files of shapes


class Given(NamedTuple):
    """A gesture of the command line: what it is, its positions, and whether it is positive."""

    kind: str
    points: tuple[tuple[float, float], ...]
    positive: bool


class _Add(argparse.Action):
    """Keeps gestures of all kinds in the order in which they are given."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        _, negative, kind = self.dest.rpartition("negative_")
        given = []
        for value in values:
            match kind:
                case "positive" | "negative":
                    given.append(Given("click", (value,), kind == "positive"))
                case "box":
                    given.append(Given("box", (value[:2], value[2:]), True))
                case _:
                    given += [Given(kind, points, not negative) for points in value]
        namespace.gestures = [*namespace.gestures, *given]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says where the object is."""

    def option(name: str, of: Any, metavar: str, text: str) -> None:
        parser.add_argument(
            f"--{name}", type=of, action=_Add, nargs="+", metavar=metavar, help=text, default=None
        )

    option("positive", position, "Y,X", "clicks on the object")
    option("negative", position, "Y,X", "clicks on what is not of it")
    option("box", _box, "T,L,B,R", "a box around the object: its top, left, bottom, right edge")
    line = "Y,X;Y,X;...|FILE"
    option("scribble", _lines, line, "a stroke along the object; FILE is a CSV with a line for y,x")
    option("negative-scribble", _lines, line, "a stroke along what is not of it")
    option("lasso", _lines, line, "a line around the object")
    option("negative-lasso", _lines, line, "a line around what is not of it")
    parser.add_argument(
        "--reading",
        type=count,
        default=0,
        metavar="N",
        help="which of the objects that the first click may mean, from 0, the most plausible",
    )
    parser.set_defaults(gestures=[])


def make(session: Session, gestures: Sequence[Given]) -> None:
    """Make the gestures in their order."""
    for one in gestures:
        match one.kind:
            case "click":
                session.click(*one.points[0], one.positive)
            case "box":
                session.box(*one.points[0], *one.points[1])
            case "scribble":
                session.scribble(one.points, one.positive)
            case _:
                session.lasso(one.points, one.positive)


def as_json(gestures: Sequence[Given]) -> list[dict[str, Any]]:
    """Return the gestures as they are printed."""
    return [
        {"kind": one.kind, "points": [list(at) for at in one.points], "positive": one.positive}
        for one in gestures
    ]


def _box(text: str) -> tuple[float, ...]:
    try:
        edges = tuple(float(part) for part in text.split(","))
    except ValueError:
        edges = ()
    if len(edges) != 4:
        raise argparse.ArgumentTypeError(f"'{text}' is not T,L,B,R such as 10,20,110.5,90")
    return edges


def _lines(text: str) -> list[tuple[tuple[float, float], ...]]:
    """Read Y,X;Y,X;... or the lines in a file."""
    try:
        return [tuple(position(part) for part in text.split(";") if part.strip())]
    except argparse.ArgumentTypeError:
        if ";" in text:
            raise
    try:
        with Path(text).open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
        return _read(rows)
    except (OSError, UnicodeError, csv.Error, ValueError, IndexError) as error:
        raise argparse.ArgumentTypeError(
            f"{text} can't be read as positions; give a CSV with y,x in each line"
        ) from error


def _read(rows: list[list[str]]) -> list[tuple[tuple[float, float], ...]]:
    """Return the lines in the rows of a file: napari's own, or y,x in each row."""
    header = rows[0]
    if set(_AXES) <= set(header):
        axes = [header.index(name) for name in header if name.startswith("axis-")][-2:]
        shape = header.index("index") if "index" in header else None
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in rows[1:]:
            key = "" if shape is None else row[shape]
            lines.setdefault(key, []).append((float(row[axes[0]]), float(row[axes[1]])))
        return [tuple(line) for line in lines.values()]
    body = rows[1:] if not _is_number(header[0]) else rows
    return [tuple((float(y), float(x)) for y, x in body)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def refuse(gestures: Sequence[Given], why: str) -> None:
    """Raise `UsageError`, which says why, where gestures are given that go with nothing."""
    if gestures:
        name = {"click": "positive or --negative"}.get(gestures[0].kind, gestures[0].kind)
        raise UsageError(f"{why}; leave --{name} out.")
