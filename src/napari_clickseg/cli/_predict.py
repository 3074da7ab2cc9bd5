"""`clickseg predict`: segment an object of an image by clicks and more, or a whole project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli import _gestures
from napari_clickseg.cli._common import (
    UsageError,
    Waiting,
    add_model_options,
    add_verb,
    count,
    integers,
    note,
    say,
    say_json,
    share,
)
from napari_clickseg.cli.predicting import _all_objects, _rest, _slide

if TYPE_CHECKING:
    import argparse

    import numpy.typing as npt

    from napari_clickseg.engine.segmenter import Prediction, Segmenter, Session


def add(verbs: Any) -> None:
    parser = add_verb(
        verbs,
        "predict",
        run,
        "Segment an object of an image by clicks, boxes, scribbles and lassos, all objects of an "
        "image at once, or all images of a project that have no mask.",
        "Positions are pixels, row first; the first pixel's centre is 0,0. What is said of the "
        "object counts in the order in which it is given. A model that tells objects apart "
        "(task=instances) finds all of them, each with an id of its own; how sure it is of "
        "each stands in F.clickseg.json beside the mask. With --rest a model that needs no "
        "click predicts the images of a project that are not annotated; what it finds waits in "
        "PROJECT/predictions to be reviewed. With --out X.zarr a slide of any size is predicted "
        "whole, at the model's own zoom. Started again, both go on where they were stopped.",
    )
    option = parser.add_argument
    option(
        "image",
        type=Path,
        metavar="IMAGE",
        help="TIFF, PNG, JPEG, .npy, .zarr folder, or of a microscope or scanner (CZI, ND2, LIF, "
        "OIB, DICOM, NIfTI); with --rest the folder of a project",
    )
    add_prompt_options(parser)
    option(
        "--out",
        type=Path,
        metavar="F",
        help="the mask, .tif or indexed .png; .zarr predicts an image of any size, or a stack, "
        "whole, without clicks",
    )
    option("--probability", type=Path, metavar="F", help="the probability as well, .tif")
    option("--threshold", type=share, default=0.5, metavar="T", help="default 0.5")
    option("--overwrite", action="store_true", help="replace files that are there")
    option("--json", action="store_true", help="print what was found as JSON")
    _all_objects.add_options(parser)
    _rest.add_options(parser)
    _slide.add_options(parser)
    add_model_options(parser)


def add_prompt_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which plane of an image is meant, and what object on it."""
    _gestures.add_options(parser)
    option = parser.add_argument
    option("--mask", type=Path, metavar="F", help="start from this mask: all that is not 0")
    option("--plane", type=integers, default=(), metavar="N", help="of a stack, e.g. 3 or 0,3")
    option("--channel", type=integers, default=(), metavar="N", help="channels, e.g. 0 or 0,2")
    option("--scene", type=count, metavar="N", help="of a file that holds several images, from 0")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    if args.rest:
        return _rest.run(args)
    from napari_clickseg.core.masks import Refinement
    from napari_clickseg.data.masks import write_mask

    if args.out is None:
        raise UsageError("Say where the mask goes: --out F; see clickseg predict --help.")
    if _rest.given(args):
        raise UsageError(
            "--limit, --workers, --shard, --scheduler and --events go with --rest; see clickseg "
            "predict --help."
        )
    if _slide.wanted(args):
        return _slide.run(args)
    if args.region is not None:
        raise UsageError("--region goes with --out X.zarr; see clickseg predict --help.")
    _check_outputs(args)
    with Waiting("loading the model and the image") as waiting:
        session, segmenter = begun_session(args)
        if _all_objects.wanted(args, segmenter.card):
            return _all_objects.run(args, session, segmenter, waiting)
        _all_objects.refuse(args, segmenter.card)
        session.refinement = Refinement(threshold=args.threshold)
        waiting.say("predicting")
        prediction = session.predict()
        waiting.say("writing")
        _write(args.out, prediction)
        if args.probability is not None:
            write_mask(args.probability, prediction.probability, overwrite=args.overwrite)
    for notice in (*session.notices, *session.zoom_notices):
        note(notice)
    _report(args, session, prediction)
    return 0


def _write(path: Path, prediction: Prediction) -> None:
    """Write the ids; a PNG is indexed, so that any viewer shows the object."""
    from napari_clickseg.data.encode import palette, write_labels
    from napari_clickseg.util.files import write_whole

    write_whole(path, lambda partial: write_labels(partial, prediction.labels, palette({})))


def _check_outputs(args: argparse.Namespace) -> None:
    """See that nothing the user made would be lost, before any work is done."""
    from napari_clickseg.core.source import ImageError
    from napari_clickseg.data.masks import check_mask_path

    taken = [path.resolve() for path in (args.image, args.mask) if path is not None]
    for path, probability in ((args.out, False), (args.probability, True)):
        if path is None:
            continue
        if path.resolve() in taken:
            raise ImageError(f"{path} is given twice; write to another file.")
        taken.append(path.resolve())
        check_mask_path(path, overwrite=args.overwrite, probability=probability)


def begun_session(args: argparse.Namespace) -> tuple[Session, Segmenter]:
    """Read the image, load the model and click."""
    from napari_clickseg.core.clicks import PromptError
    from napari_clickseg.data.images import read_plane

    plane = read_plane(args.image, args.plane, args.channel, scene=args.scene)
    for notice in plane.notices:
        note(f"{args.image.name}: {notice}")
    start = None if args.mask is None else _start(args)
    from napari_clickseg.engine.segmenter import load_segmenter  # torch, only once all was found

    segmenter = load_segmenter(args.model, args.device)
    session = segmenter.start(plane.data, start, rgb=plane.rgb)
    _gestures.make(session, args.gestures)
    if args.reading:
        session.reading(args.reading)
    prompt = session.history.present
    if not (prompt.has_positive or prompt.start or segmenter.card.automatic):
        raise PromptError(
            "There is nothing to go by; give a --positive click, a --box, a --scribble, a --lasso, "
            "or a --mask."
        )
    return session, segmenter


def _start(args: argparse.Namespace) -> npt.NDArray[Any]:
    """Read the mask to start from: of a stack, the plane that is chosen of the image."""
    from napari_clickseg.data.images import open_image
    from napari_clickseg.data.masks import read_mask

    several = open_image(args.mask, ids=True).stack_axes
    mask = read_mask(args.mask, args.plane if several else ())
    for notice in mask.notices:
        note(f"{args.mask.name}: {notice}")
    return mask.labels


def _report(args: argparse.Namespace, session: Session, prediction: Prediction) -> None:
    patch = prediction.patch
    pixels, box = int(patch.mask.sum()), patch.box
    if not args.json:
        say(f"{args.out}: {pixels} of {session.shape[0]} x {session.shape[1]} pixels")
        return
    say_json(
        {
            "image": str(args.image),
            "shape": list(session.shape),
            "model": args.model,
            "clicks": [[click.y, click.x, click.positive] for click in session.clicks],
            "gestures": _gestures.as_json(args.gestures),
            "readings": session.readings,
            "pixels": pixels,
            "box": {"top": box.top, "left": box.left, "height": box.height, "width": box.width},
            "out": str(args.out),
        }
    )
