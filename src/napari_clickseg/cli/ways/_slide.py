"""`clickseg predict --out X.zarr`: a slide predicted whole, tile by tile, without clicks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli import _gestures
from napari_clickseg.cli._common import STOPPED, UsageError, count, note, progress, say, say_json
from napari_clickseg.cli.ways import _all_objects
from napari_clickseg.runs.conduct import conducted

if TYPE_CHECKING:
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.engine.slides.whole_slide import SlideFound, SlideOrder
    from napari_clickseg.formats.annotated import AnnotatedImage
    from napari_clickseg.formats.shapes.drawn_regions import Outline
    from napari_clickseg.models.card import ModelCard


Region = tuple[int, int, int, int] | Path
_WHY = "A .zarr gets what a model finds without clicks"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what goes with slides."""
    parser.add_argument(
        "--region",
        type=region,
        metavar="T,L,B,R|F",
        help="with --out X.zarr: only this part of the image is predicted: first row and column, "
        "and those just behind the last; or the areas of a Shapes layer, saved in napari as .csv",
    )


def region(text: str) -> Region:
    """Read the edges of a part of an image, or where its outlines are."""
    if text.lower().endswith(".csv"):
        return Path(text)
    parts = [count(part) for part in text.split(",")]
    if len(parts) != 4 or parts[0] >= parts[2] or parts[1] >= parts[3]:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no T,L,B,R such as 0,0,5000,8000 (top, left, bottom, right), and no .csv"
        )
    return parts[0], parts[1], parts[2], parts[3]


def wanted(args: argparse.Namespace) -> bool:
    """Whether the answer is to be written as OME-Zarr."""
    return args.out is not None and args.out.suffix.lower() == ".zarr"


def say_lowered(image: Path, shape: tuple[int, int], card: ModelCard) -> None:
    """Say so where an image is seen from further away than the model would have it."""
    from napari_clickseg.core.mosaic import LARGEST

    zoom = card.window.zoom
    if zoom is not None and max(shape) * zoom > LARGEST:
        note(
            f"{image.name}: so large an image is predicted at zoom {LARGEST / max(shape):.2g}, and "
            f"the model learned at {zoom:.2g}; write to a .zarr (--out X.zarr), which keeps it."
        )


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.data.images import read_plane
    from napari_clickseg.engine.segmenter import load_segmenter
    from napari_clickseg.engine.slides.whole_slide import predict_slide
    from napari_clickseg.models.checkpoint import read_card, sha256
    from napari_clickseg.models.registry import find_model

    _check(args)
    plane = read_plane(args.image, args.plane, args.channel, scene=args.scene)
    for notice in plane.notices:
        note(f"{args.image.name}: {notice}")
    entry = find_model(args.model)
    card = read_card(entry.path)
    if card.refusal_without_clicks:
        raise UsageError(card.refusal_without_clicks)
    order = _order(args, card, sha256(entry.path))
    segmenter = load_segmenter(args.model, args.device)
    with conducted(None) as stop, progress(0, "tile") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = predict_slide(
            segmenter,
            plane.data,
            args.out,
            order,
            _about(args.image, order, segmenter.card),
            rgb=plane.rgb,
            anew=args.overwrite,
            stop=stop,
            on_tile=show,
        )
    if found is None:
        note("stopped; the same command goes on where it was")
        return STOPPED
    _say(args, segmenter, found)
    return 0


def _check(args: argparse.Namespace) -> None:
    _gestures.refuse(args.gestures, _WHY)
    useless = {
        "--mask": args.mask is not None,
        "--reading": args.reading,
        "--probability": args.probability is not None,
    }
    wrong = [name for name, value in useless.items() if value]
    if wrong:
        raise UsageError(f"{_WHY}; leave {wrong[0]} out.")
    check_place(args.out, args.image, overwrite=args.overwrite)


def check_place(out: Path, image: Path, *, overwrite: bool) -> None:
    """See that nothing the user made would be lost."""
    from napari_clickseg.core.source import ImageError
    from napari_clickseg.formats.omezarr import saved_in

    if out.resolve() == image.resolve():
        raise ImageError(f"{out} is given twice; write to another folder.")
    if not out.absolute().parent.is_dir():
        raise ImageError(f"There is no folder {out.absolute().parent}; make it first.")
    if out.exists() and not overwrite:
        raise ImageError(f"{out} is there already; choose another name, or add --overwrite.")
    if out.exists() and (not out.is_dir() or saved_in(out) is None):
        raise ImageError(f"{out} holds no labels that were written here; choose another name.")


def _order(args: argparse.Namespace, card: ModelCard, model: str) -> SlideOrder:
    from napari_clickseg.core.window import Box
    from napari_clickseg.engine.slides.whole_slide import SlideOrder
    from napari_clickseg.formats.shapes.drawn_regions import box_around, read_regions

    rules = None
    if _all_objects.wanted(args, card):
        rules = _all_objects.rules_of(args, card)
    else:
        _all_objects.refuse(args, card)
    edges: Region | None = args.region
    outlines: tuple[Outline, ...] = ()
    if isinstance(edges, Path):
        outlines = read_regions(edges)
        edges = box_around(outlines)
    part = None if edges is None else Box.from_edges(*edges)
    return SlideOrder(model, card.ids_of_classes, part, outlines, args.threshold, rules)


def _about(image: Path, order: SlideOrder, card: ModelCard) -> AnnotatedImage:
    """Return what is known of the image, and what its ids mean."""
    import numpy as np

    from napari_clickseg.data.classes import ProjectClasses
    from napari_clickseg.data.pixel_size import read_pixel_size
    from napari_clickseg.formats.annotated import AnnotatedImage

    return AnnotatedImage(
        image.stem,
        np.zeros((1, 1), np.uint8),
        image,
        image.name,
        pixel_size=read_pixel_size(image),
        classes=ProjectClasses(
            scheme="classes" if order.rules is None else "instances",
            classes=_all_objects.named_classes(card),
        ),
    )


def _say(args: argparse.Namespace, segmenter: Segmenter, found: SlideFound) -> None:
    height, width = found.shape
    names = dict(enumerate(segmenter.card.classes, 1))
    if args.json:
        said: dict[str, Any] = {
            "image": str(args.image),
            "shape": list(found.shape),
            "model": args.model,
            "uncertainty": round(found.uncertainty, 6),
            "out": str(args.out),
        }
        if found.objects is None:
            said["pixels"] = {names[k]: n for k, n in found.pixels.items()}
        else:
            said["objects"] = found.objects
        say_json(said)
        return
    if found.objects is None:
        parts = [f"{names[k]} {n / height / width:.1%}" for k, n in found.pixels.items()]
        what = ", ".join(parts)
    else:
        what = f"{found.objects} object{'' if found.objects == 1 else 's'}"
    say(f"{args.out}: {height} x {width} pixels; {what}")
