"""`clickseg export`: annotated images in the form that another program reads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import UsageError, add_verb, note, progress, say

if TYPE_CHECKING:
    from napari_clickseg.data.pixel_size import PixelSize

_TO = (
    "coco", "yolo", "geojson", "roi", "labelme", "omezarr", "cellpose", "stardist", "nnunet",
    "nifti", "dicomseg", "clicks",
)  # fmt: skip


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "export",
        run,
        "Write masks, classes and clicks in the form that another program reads.",
        "coco and clicks are one file for all images; yolo, cellpose, stardist and nnunet a "
        "folder; the others a file for each image: F is a folder then, or a file where there is "
        "one image. What each keeps stands in docs/formats.md. All is written, or nothing.",
    )
    option = parser.add_argument
    option("source", type=Path, nargs="+", metavar="PROJECT|MASK", help="a project, or masks")
    option("--to", required=True, choices=_TO, metavar="FORMAT", help=", ".join(_TO))
    option("--out", type=Path, required=True, metavar="F", help="the file or folder to write")
    option("--image", type=Path, metavar="I", help="the image of the mask")
    option("--polygons", action="store_true", help="coco: polygons also where there are holes")
    option(
        "--pixel-size",
        type=pixel_size,
        metavar="S",
        help="in place of what files say, e.g. '0.5 0.5 µm' (height, width, unit)",
    )
    option("--overwrite", action="store_true", help="replace files that are there")


def pixel_size(text: str) -> PixelSize:
    """Read the size of a pixel."""
    from napari_clickseg.data.pixel_size import PixelSize

    try:
        return PixelSize.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.formats.exporting import FORMATS, export, sources_of

    if args.polygons and args.to != "coco":
        raise UsageError("--polygons goes with --to coco.")
    options = {"polygons": True} if args.polygons else {}
    sources = sources_of(args.source, image=args.image, pixel_size=args.pixel_size, note=note)
    with progress(len(sources), "image") as bar:

        def show(done: int, _: int) -> None:
            bar.update(done - bar.n)

        count = export(
            sources,
            args.to,
            args.out,
            overwrite=args.overwrite,
            note=note,
            progress=show,
            **options,
        )
    images = "1 image" if count == 1 else f"{count:,} images"
    say(f"{args.out}: {images} as {FORMATS[args.to].title}.")
    return 0
