"""`clickseg measure`: a table of the objects in masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import add_verb, note, progress, say
from napari_clickseg.cli._export import pixel_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from napari_clickseg.formats.exporting import ExportSource
    from napari_clickseg.formats.measuring import Measured


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "measure",
        run,
        "Measure the objects of a project, or of masks: a row an object, in pixels and in physical "
        "units.",
        "Intensities are measured in the images of a project, or in --image, for each channel. "
        "docs/formats.md says what the columns are.",
    )
    option = parser.add_argument
    option("source", type=Path, nargs="+", metavar="PROJECT|MASK", help="a project, or masks")
    option("--image", type=Path, metavar="I", help="the image of the mask")
    option("--out", type=Path, required=True, metavar="F", help="the table, .csv or .parquet")
    option("--by", choices=("plane", "object"), default="plane",
           help="of a stack: each plane by itself, or each object as a whole")  # fmt: skip
    option("--pixel-size", type=pixel_size, metavar="S",
           help="in place of what files say, e.g. '0.5 0.5 µm'")  # fmt: skip
    option("--overwrite", action="store_true", help="replace a file that is there")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.data.masks import check_free
    from napari_clickseg.formats.exporting import sources_of
    from napari_clickseg.formats.measuring import check_table_path, write_table
    from napari_clickseg.util.files import write_whole

    check_table_path(args.out)
    check_free(args.out, overwrite=args.overwrite)
    sources = sources_of(args.source, image=args.image, pixel_size=args.pixel_size, note=note)
    rows = list(_rows(sources, whole=args.by == "object"))
    write_whole(args.out, lambda path: write_table(rows, path))
    images = f"{len(sources):,} image{'' if len(sources) == 1 else 's'}"
    say(f"{args.out}: {len(rows):,} rows of {images}.")
    return 0


def _rows(sources: list[ExportSource], *, whole: bool) -> Iterator[Measured]:
    from napari_clickseg.formats.measuring import measured, pixels_of

    with progress(len(sources), "image") as bar:
        for source in sources:
            image = source.read()
            pixels = None if image.image is None else pixels_of(image.image)
            yield from measured(image, pixels, whole=whole)
            bar.update()
