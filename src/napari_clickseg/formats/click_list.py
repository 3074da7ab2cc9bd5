"""Clicks as a table: a row a click, of all images in one file."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from napari_clickseg.formats.annotated import AnnotatedImage

__all__ = ["CLICK_COLUMNS", "write_clicks"]

CLICK_COLUMNS = ("image", "number", "object", "class", "positive", "y", "x")


def write_clicks(
    images: Iterable[AnnotatedImage], path: Path, note: Callable[[str], object]
) -> None:
    """Write the clicks of images into a CSV file.

    `y` and `x` count in pixels from the centre of the first one, as in `clicks/` of a project.

    Parameters
    ----------
    images : iterable of AnnotatedImage
        Each is looked at once.
    path : Path
        Of the file.
    note : callable
        Called with a line on images without clicks.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(CLICK_COLUMNS)
        for image in images:
            rows = image.rows()
            if not image.annotations.clicks:
                note(f"{image.name}: no clicks are known.")
            for number, click in enumerate(image.annotations.clicks, 1):
                row = rows.get(click.object or 0)
                out.writerow(
                    [
                        image.file or image.name,
                        number,
                        click.object or "",
                        row.class_name if row is not None else "",
                        int(click.positive),
                        f"{click.y:.10g}",
                        f"{click.x:.10g}",
                    ]
                )
