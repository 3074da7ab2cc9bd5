"""`clickseg predict` with a model that tells objects apart: all objects of an image at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_clickseg.cli._common import UsageError, note, positive_count, say, say_json, share

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from napari_clickseg.cli._common import Waiting
    from napari_clickseg.core.instances.separating import SeparationRules
    from napari_clickseg.engine.finding import FoundObjects
    from napari_clickseg.engine.segmenter import Segmenter, Session
    from napari_clickseg.models.card import ModelCard

_MOST_IN_PNG = 255
_SAID = 3  # objects that the model is least sure of, in a line


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what goes with models that tell objects apart."""
    option = parser.add_argument
    option(
        "--seed-height",
        type=share,
        metavar="H",
        help="of models that tell objects apart: how far the land between two peaks must lie "
        "below the lower one, 0 to 1; the lower, the more objects; default: the model's. Has "
        "networks of others, which find a foreground, tell objects apart, too",
    )
    option(
        "--smallest",
        type=positive_count,
        metavar="N",
        help="of models that tell objects apart: pixels of the smallest object; default: the "
        "model's",
    )


def wanted(args: argparse.Namespace, card: ModelCard) -> bool:
    """Whether objects are to be told apart: always by a model that learned it, else where asked."""
    from napari_clickseg.engine.foreground_objects import objects_spec

    asked = args.seed_height is not None or args.smallest is not None
    return card.objects is not None or (asked and objects_spec(card) is not None)


def refuse(args: argparse.Namespace, card: ModelCard) -> None:
    """Refuse what goes with models that tell objects apart alone."""
    given = {"--seed-height": args.seed_height, "--smallest": args.smallest}
    wrong = [name for name, value in given.items() if value is not None]
    if wrong:
        from napari_clickseg.engine.foreground_objects import why_none

        raise UsageError(
            f"{wrong[0]} goes with models that tell objects apart; leave it out. {why_none(card)}"
        )


def rules_of(args: argparse.Namespace, card: ModelCard) -> SeparationRules:
    """Return how objects are told apart: as asked for, else as the model's card says."""
    from napari_clickseg.core.instances.separating import SeparationRules
    from napari_clickseg.engine.finding import card_rules

    own = card_rules(card)
    return SeparationRules(
        own.seed_height if args.seed_height is None else args.seed_height,
        own.smallest if args.smallest is None else args.smallest,
        args.threshold,
    )


def run(args: argparse.Namespace, session: Session, segmenter: Segmenter, waiting: Waiting) -> int:
    """Find all objects of the image, and write them with their scores."""
    from napari_clickseg.data.encode import palette, storable_mask, write_labels
    from napari_clickseg.data.masks import check_mask_path, write_mask
    from napari_clickseg.engine.finding import ObjectFinder
    from napari_clickseg.engine.inference import Estimator
    from napari_clickseg.formats.annotated import sidecar_path
    from napari_clickseg.util.files import write_whole

    card = segmenter.card
    if args.gestures or args.mask is not None or args.reading:
        raise UsageError(
            f"The model '{card.name}' finds all objects by itself; leave out clicks and masks, or "
            "choose another model."
        )
    beside = sidecar_path(args.out)
    if beside.exists() and not args.overwrite:
        raise UsageError(f"{beside} is there already; write elsewhere, or give --overwrite.")
    rules = rules_of(args, card)
    waiting.say("finding objects")
    estimator = Estimator(card, session.source, session.intensity, segmenter.look)
    objects = ObjectFinder(estimator).find(rules, with_probability=args.probability is not None)
    assert objects is not None
    waiting.say("writing")
    check_mask_path(args.out, overwrite=args.overwrite)
    if args.out.suffix.lower() == ".png" and objects.labels.max(initial=0) > _MOST_IN_PNG:
        raise UsageError(
            f"{objects.labels.max()} objects were found, and a .png holds {_MOST_IN_PNG} ids; "
            "write a .tif."
        )
    values = storable_mask(args.out.name, objects.labels, session.shape)
    said = json.dumps(_sidecar(args.image, objects, card), indent=1) + "\n"
    write_whole(args.out, lambda partial: write_labels(partial, values, palette({})))
    write_whole(beside, lambda partial: partial.write_text(said, encoding="utf-8"))
    if objects.probability is not None:
        write_mask(args.probability, objects.probability, overwrite=args.overwrite)
    for notice in session.notices:
        note(notice)
    _say(args, session, card, objects)
    return 0


def _sidecar(image: Path, objects: FoundObjects, card: ModelCard) -> dict[str, Any]:
    """Return what the mask's sidecar says: how sure the model is of each object, and its class."""
    from napari_clickseg.data.classes import ProjectClasses
    from napari_clickseg.engine.finding import named_classes
    from napari_clickseg.formats.annotated import AnnotatedImage

    return AnnotatedImage(
        image.stem,
        objects.labels,
        image,
        image.name,
        classes=ProjectClasses(scheme="instances", classes=named_classes(card)),
        annotations=objects.notes(card.name, dict(enumerate(card.ids_of_classes, 1))),
    ).sidecar()


def _say(
    args: argparse.Namespace, session: Session, card: ModelCard, objects: FoundObjects
) -> None:
    import numpy as np

    order = objects.least_certain
    if not args.json:
        unsure = ", ".join(f"{i} ({objects.scores[i - 1]:.2f})" for i in order[:_SAID])
        text = f"; least certain: {unsure}" if order else ""
        say(f"{args.out}: {len(order)} object{'' if len(order) == 1 else 's'}{text}")
        return
    areas = np.bincount(objects.labels.ravel(), minlength=len(order) + 1)
    say_json(
        {
            "image": str(args.image),
            "shape": list(session.shape),
            "model": args.model,
            "objects": [
                {
                    "id": i,
                    "class": card.classes[int(objects.classes[i - 1]) - 1],
                    "score": round(float(objects.scores[i - 1]), 4),
                    "pixels": int(areas[i]),
                }
                for i in order
            ],
            "out": str(args.out),
        }
    )
