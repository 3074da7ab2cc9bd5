"""How well a mask fits the truth: IoU and Dice.

Over several images a figure is either **image-wise** (the mean of each image's figure, so that
every image counts the same; where both mask and truth are empty it is 1) or **pooled** (all
pixels of all images counted together, so that large objects weigh more). Which one is always
part of its name here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixels that a mask and the truth have, and have in common; overlaps can be added.

    Parameters
    ----------
    both, predicted, actual : int
        Pixels in both, in the mask, in the truth.
    """

    both: int = 0
    predicted: int = 0
    actual: int = 0

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(
            self.both + other.both, self.predicted + other.predicted, self.actual + other.actual
        )

    @property
    def iou(self) -> float:
        """Intersection over union; 1 where both are empty."""
        union = self.predicted + self.actual - self.both
        return self.both / union if union else 1.0

    @property
    def dice(self) -> float:
        """Twice the intersection over the sum of both areas; 1 where both are empty."""
        total = self.predicted + self.actual
        return 2 * self.both / total if total else 1.0


def overlap(mask: BoolArray, truth: BoolArray, ignore: BoolArray | None = None) -> Overlap:
    """Count the pixels of a mask, of the truth and of both.

    Parameters
    ----------
    mask, truth : bool (Y, X)
        What is measured, and what it is measured against.
    ignore : bool (Y, X), optional
        Pixels that count neither way.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if mask.shape != truth.shape:
        raise ValueError(f"The mask's shape {mask.shape} is not the truth's {truth.shape}.")
    if ignore is not None:
        mask, truth = mask & ~ignore, truth & ~ignore
    both = int(np.count_nonzero(mask & truth))
    return Overlap(both, int(np.count_nonzero(mask)), int(np.count_nonzero(truth)))


def iou(mask: BoolArray, truth: BoolArray, ignore: BoolArray | None = None) -> float:
    """Return the intersection over union of two masks (Y, X); see `overlap`."""
    return overlap(mask, truth, ignore).iou


def class_overlaps(
    labels: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    classes: Iterable[int],
    ignore: BoolArray | None = None,
) -> dict[int, Overlap]:
    """Count the overlap of each class in two label maps.

    Parameters
    ----------
    labels, truth : int (Y, X)
        Class ids; 0 is background.
    classes : iterable of int
        The ids to count.
    ignore : bool (Y, X), optional
        Pixels that count neither way.
    """
    return {int(c): overlap(labels == c, truth == c, ignore) for c in classes}


def summary(overlaps: Sequence[Overlap]) -> dict[str, float]:
    """Sum up the overlaps of several images.

    Returns
    -------
    dict
        `iou_imagewise`, `dice_imagewise`, `iou_pooled`, `dice_pooled`; NaN without any image.
    """
    if not overlaps:
        names = ("iou_imagewise", "dice_imagewise", "iou_pooled", "dice_pooled")
        return dict.fromkeys(names, float("nan"))
    pooled = sum(overlaps, Overlap())
    return {
        "iou_imagewise": float(np.mean([o.iou for o in overlaps])),
        "dice_imagewise": float(np.mean([o.dice for o in overlaps])),
        "iou_pooled": pooled.iou,
        "dice_pooled": pooled.dice,
    }


def macro(images: Sequence[Mapping[int, Overlap]]) -> dict[str, float]:
    """Average the figures of `summary` over the foreground classes, each counting the same.

    Parameters
    ----------
    images : sequence of mappings
        For each image, class id → overlap, as `class_overlaps` returns it.
    """
    classes = sorted({c for image in images for c in image if c != 0})
    figures = [summary([image[c] for image in images if c in image]) for c in classes]
    names = summary([]).keys()
    return {
        name: float(np.mean([f[name] for f in figures])) if figures else float("nan")
        for name in names
    }
