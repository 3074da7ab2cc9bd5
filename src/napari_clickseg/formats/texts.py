"""JSON and other texts: read whole with a limit, written piece by piece.

What stands in a file of somebody else may be anything, so each value is looked at before it counts.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from napari_clickseg.formats.annotated import FormatError

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 2 * 1024**3  # bytes; it takes about six times as much memory
_LARGEST_ID = 2**32 - 1
_LONGEST = 1000  # letters of a name


def said_number(value: object) -> float | None:
    """Return a number that a file says, or None where it says none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def said_id(value: object, least: int = 1) -> int | None:
    """Return an id, or a count, that a file says; None where it is none of 32 bits.

    A whole number with a decimal point counts, as programs that keep tables write it.
    """
    number = said_number(value)
    if number is None or not number.is_integer() or not least <= number <= _LARGEST_ID:
        return None
    return int(number)


def said_text(value: object) -> str:
    """Return a name that a file says; "" where it says none."""
    text = str(value) if isinstance(value, str | int | float) else ""
    return text.encode("utf-8", "replace").decode("utf-8")[:_LONGEST]


def said_list(value: object, path: Path, name: str) -> list[Any]:
    """Return a list that a file says, none where it says nothing.

    Raises
    ------
    FormatError
        If it is something else.
    """
    if value is not None and not isinstance(value, list):
        raise FormatError(f"{path} cannot be read: its {name} are no list.")
    return value or []


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file; `what` says what it should be.

    Raises
    ------
    FormatError
        If it is too long, no JSON, or can't be read.
    """
    try:
        if (size := path.stat().st_size) > _LARGEST:
            raise FormatError(
                f"{path} has {size / 1024**3:.1f} GiB, more than the {_LARGEST >> 30} GiB that are "
                "read at once; split it."
            )
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path} is no {what}: it is no JSON.") from error
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}.") from error


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Return red, green, blue of #rrggbb."""
    red, green, blue = bytes.fromhex(colour.lstrip("#"))
    return red, green, blue


def say_colour(rgb: object) -> str | None:
    """Return #rrggbb of what a file gives as a colour; None where it is none."""
    try:
        red, green, blue = (int(value) for value in rgb)  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError):
        return None
    inside = all(0 <= value <= 255 for value in (red, green, blue))
    return f"#{red:02x}{green:02x}{blue:02x}" if inside else None


def points_text(points: Any) -> str:
    """Return points (N, 2) of whole numbers as JSON, [[x,y],…]; quicker than by way of lists."""
    return f"[{','.join(f'[{x},{y}]' for x, y in points.tolist())}]"
