"""What a prediction got right and wrong, pixel by pixel, and how good that is."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.evaluation.matching import match
from napari_clickseg.evaluation.metrics import class_overlaps, macro, overlap

if TYPE_CHECKING:
    from collections.abc import Mapping

BoolArray = npt.NDArray[np.bool_]
OutcomeArray = npt.NDArray[np.uint8]


class PixelOutcome(IntEnum):
    """What became of a pixel."""

    NOTHING = 0
    TRUE_POSITIVE = 1
    FALSE_POSITIVE = 2
    FALSE_NEGATIVE = 3
    OTHER_CLASS = 4  # an object's, but of another class than was found
    UNJUDGED = 5  # found where nobody has said what is there


# Okabe & Ito's, told apart by the colour-blind; white is no judgement.
COLOURS: Mapping[PixelOutcome, str] = {
    PixelOutcome.TRUE_POSITIVE: "#56B4E9",
    PixelOutcome.FALSE_POSITIVE: "#D55E00",
    PixelOutcome.FALSE_NEGATIVE: "#F0E442",
    PixelOutcome.OTHER_CLASS: "#CC79A7",
    PixelOutcome.UNJUDGED: "#FFFFFF",
}
WORDS: Mapping[PixelOutcome, str] = {
    PixelOutcome.TRUE_POSITIVE: "right",
    PixelOutcome.FALSE_POSITIVE: "found, not there",
    PixelOutcome.FALSE_NEGATIVE: "there, not found",
    PixelOutcome.OTHER_CLASS: "other class",
    PixelOutcome.UNJUDGED: "found",
}


def outcomes(
    prediction: npt.NDArray[Any],
    truth: npt.NDArray[Any] | None,
    ignore: BoolArray | None = None,
    *,
    by_class: bool = False,
) -> OutcomeArray:
    """Say of each pixel what became of it.

    Parameters
    ----------
    prediction, truth : int (Y, X)
        Ids, 0 is background; without a truth nothing is right or wrong.
    ignore : bool (Y, X), optional
        Pixels that count neither way.
    by_class : bool
        Ids are classes, and have to be the same; else any object will do.

    Returns
    -------
    uint8 (Y, X)
        Values of `PixelOutcome`.
    """
    predicted = prediction > 0
    out = np.where(predicted, np.uint8(PixelOutcome.UNJUDGED), np.uint8(0))
    if truth is None:
        return out
    there = truth > 0
    out = np.zeros(predicted.shape, np.uint8)
    out[predicted & there] = PixelOutcome.TRUE_POSITIVE
    out[predicted & ~there] = PixelOutcome.FALSE_POSITIVE
    out[there & ~predicted] = PixelOutcome.FALSE_NEGATIVE
    if by_class:
        out[predicted & there & (prediction != truth)] = PixelOutcome.OTHER_CLASS
    if ignore is not None:
        out[ignore] = PixelOutcome.NOTHING
    return out


def figures_of(
    prediction: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    ignore: BoolArray | None = None,
    *,
    by_class: bool = False,
    by_object: bool = False,
) -> dict[str, float]:
    """Measure a prediction (Y, X) against the truth (Y, X).

    Returns
    -------
    dict
        "IoU" and "Dice": of the foreground, or where ids are classes the mean over those that are
        there or were found; with objects of their own "F1", at an IoU of a half.
    """
    if by_class:
        ids = np.union1d(np.unique(truth), np.unique(prediction))
        ids = ids[ids > 0] if ignore is None else ids[(ids > 0) & ~np.isin(ids, truth[ignore])]
        means = macro([class_overlaps(prediction, truth, ids.tolist(), ignore)])
        known = {"IoU": means["iou_imagewise"], "Dice": means["dice_imagewise"]}
        return known if len(ids) else {"IoU": 1.0, "Dice": 1.0}
    both = overlap(prediction > 0, truth > 0, ignore)
    values = {"IoU": both.iou, "Dice": both.dice}
    if by_object:
        values["F1"] = match(prediction, truth, ignore).f1()
    return values
