"""`clickseg import`: what another program annotated becomes a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import add_verb, note, progress, say, say_json

if TYPE_CHECKING:
    import argparse

_FROM = (
    "coco", "yolo", "geojson", "roi", "labelme", "omezarr", "cellpose", "stardist", "nnunet",
    "nifti", "dicomseg", "clicks", "masks",
)  # fmt: skip


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "import",
        run,
        "Make a project of images and what another program annotated in them, or add to one.",
        "Images are found by the names that the file gives, or by the name of the file. What can't "
        "be used is named, and nothing is written; with --skip it is left out. Masks in which "
        "colours stand for classes want a --palette; without one their colours are listed.",
    )
    option = parser.add_argument
    option("source", type=Path, metavar="FILE|FOLDER", help="what the other program wrote")
    option("--images", type=Path, metavar="FOLDER", help="of the images; default beside the file")
    option("--out", type=Path, required=True, metavar="PROJECT", help="the folder of the project")
    option("--from", dest="form", default="", choices=_FROM, metavar="FORMAT",
           help=f"{', '.join(_FROM)}; default is found out")  # fmt: skip
    option("--mask-suffix", default="", metavar="S", help="how names of masks end, e.g. _mask")
    option("--palette", metavar="P", help="'#000000=background,#ff0000=nucleus', or yes")
    option("--group", choices=("folder",), help="images of one folder are a group")
    option("--empty", action="store_true", help="images without an object are really empty")
    option("--skip", action="store_true", help="leave out what can't be used")
    option("--overwrite", action="store_true", help="replace masks that the project has")
    option("--json", action="store_true", help="print what came in as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.formats.importing import ImportChoice, import_into
    from napari_clickseg.formats.mask_files import MaskChoice
    from napari_clickseg.util.text import counted

    choice = ImportChoice(
        args.form,
        args.images,
        MaskChoice(args.mask_suffix, args.palette),
        by_folder=args.group == "folder",
        skip=args.skip,
        empty=args.empty,
        overwrite=args.overwrite,
    )
    with progress(1, "image") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        came = import_into(args.source, args.out, choice, note=note, progress=show)
    if args.json:
        figures = {"images": came.images, "unannotated": came.unannotated, "objects": came.objects}
        say_json(figures)
    else:
        images, objects = counted(came.images, "image"), counted(came.objects, "object")
        say(f"{args.out}: {images} with {objects} came in.")
    return 0
