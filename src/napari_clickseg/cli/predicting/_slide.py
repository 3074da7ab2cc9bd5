"""`clickseg predict --out X.zarr`: a slide predicted whole, tile by tile, without clicks."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli import _gestures
from napari_clickseg.cli._common import (
    STOPPED,
    UsageError,
    count,
    note,
    progress,
    say,
    say_json,
    shown_on,
)
from napari_clickseg.cli.predicting import _all_objects
from napari_clickseg.runs.conduct import conducted

if TYPE_CHECKING:
    from tqdm import tqdm

    from napari_clickseg.data.images import StoredImage
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.engine.slides.whole_slide import SlideOrder, SlidePrediction
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


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    from napari_clickseg.data.images import open_image
    from napari_clickseg.engine.segmenter import load_segmenter
    from napari_clickseg.models.checkpoint import read_card, sha256
    from napari_clickseg.models.registry import find_model

    _check(args)
    stored = open_image(args.image, scene=args.scene)
    for notice in stored.notices:
        note(f"{args.image.name}: {notice}")
    entry = find_model(args.model)
    card = read_card(entry.path)
    if card.refusal_without_clicks:
        raise UsageError(card.refusal_without_clicks)
    order = _order(args, card, sha256(entry.path))
    segmenter = load_segmenter(args.model, args.device)
    about = _about(args.image, order, segmenter.card)
    whole_stack = bool(stored.stack_axes) and not args.plane
    with conducted(None) as stop, progress(0, "plane" if whole_stack else "tile") as bar:
        how = {"anew": args.overwrite, "stop": stop}
        if whole_stack:
            prediction = _stack(args, stored, segmenter, order, about, how, bar)
        else:
            prediction = _plane(args, stored, segmenter, order, about, how, bar)
    if prediction is None:
        note("stopped; the same command goes on where it was")
        return STOPPED
    planes = math.prod(n for _, n in stored.stack_axes) if whole_stack else 1
    _say(args, segmenter, prediction, planes)
    return 0


def _plane(
    args: argparse.Namespace,
    stored: StoredImage,
    segmenter: Segmenter,
    order: SlideOrder,
    about: AnnotatedImage,
    how: dict[str, Any],
    bar: tqdm[Any],
) -> SlidePrediction | None:
    from napari_clickseg.engine.slides.whole_slide import predict_slide

    plane = stored.plane(args.plane, args.channel)
    return predict_slide(
        segmenter, plane.data, args.out, order, about, rgb=plane.rgb, on_tile=shown_on(bar), **how
    )


def _stack(
    args: argparse.Namespace,
    stored: StoredImage,
    segmenter: Segmenter,
    order: SlideOrder,
    about: AnnotatedImage,
    how: dict[str, Any],
    bar: tqdm[Any],
) -> SlidePrediction | None:
    from napari_clickseg.engine.slides.whole_stack import predict_stack

    return predict_stack(
        segmenter, stored, args.out, order, about,
        channels=args.channel, on_plane=shown_on(bar), **how,
    )  # fmt: skip


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
    from napari_clickseg.engine.finding import named_classes
    from napari_clickseg.formats.annotated import AnnotatedImage

    return AnnotatedImage(
        image.stem,
        np.zeros((1, 1), np.uint8),
        image,
        image.name,
        pixel_size=read_pixel_size(image),
        classes=ProjectClasses(
            scheme="classes" if order.rules is None else "instances",
            classes=named_classes(card),
        ),
    )


def _say(
    args: argparse.Namespace, segmenter: Segmenter, prediction: SlidePrediction, planes: int
) -> None:
    height, width = prediction.shape
    names = dict(enumerate(segmenter.card.classes, 1))
    if args.json:
        said: dict[str, Any] = {
            "image": str(args.image),
            "shape": list(prediction.shape),
            "planes": planes,
            "model": args.model,
            "uncertainty": round(prediction.uncertainty, 6),
            "out": str(args.out),
        }
        if prediction.objects is None:
            said["pixels"] = {names[k]: n for k, n in prediction.pixels.items()}
        else:
            said["objects"] = prediction.objects
        say_json(said)
        return
    if prediction.objects is None:
        parts = [
            f"{names[k]} {n / height / width / planes:.1%}" for k, n in prediction.pixels.items()
        ]
        what = ", ".join(parts)
    else:
        what = f"{prediction.objects} object{'' if prediction.objects == 1 else 's'}"
    size = f"{height} x {width} pixels" if planes == 1 else f"{planes} x {height} x {width} pixels"
    say(f"{args.out}: {size}; {what}")
