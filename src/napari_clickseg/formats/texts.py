"""JSON and other texts: read whole with a limit, written piece by piece."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_clickseg.formats.annotated import FormatError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["points_text", "read_json", "rgb_of", "say_colour"]

_LARGEST = 2 * 1024**3  # bytes; it takes about six times as much memory


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
    except (TypeError, ValueError):
        return None
    inside = all(0 <= value <= 255 for value in (red, green, blue))
    return f"#{red:02x}{green:02x}{blue:02x}" if inside else None


def points_text(points: Any) -> str:
    """Return points (N, 2) of whole numbers as JSON, [[x,y],…]; quicker than by way of lists."""
    return f"[{','.join(f'[{x},{y}]' for x, y in points.tolist())}]"
