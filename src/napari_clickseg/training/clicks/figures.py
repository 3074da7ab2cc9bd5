"""Figures of objects that were clicked on: after how many clicks, and how well they were found.

Of objects the mean over all objects, *image-wise* the mean over the images, each of which is the
mean over its objects, and *pooled* (micro), which counts the pixels of all objects together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.models import metrics
from napari_clickseg.models.metrics import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence

AFTER = (0, 1, 3, 5)  # clicks after which figures are given
_POOLED = ("iou_micro", "dice_micro", "precision", "recall")

Bool = npt.NDArray[np.bool_]
Course = tuple[Counts, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Clicked:
    """An image whose objects were clicked on.

    Parameters
    ----------
    objects : tuple of tuples of Counts
        Of each object the pixels, of one class, before the first click and after each. Where
        there is nothing, what was found is the only object, without a click.
    """

    image: str
    objects: tuple[Course, ...]


def counted(mask: Bool, truth: Bool, unknown: Bool) -> Counts:
    """Count the pixels of a mask; what is not known counts neither way."""
    known = ~unknown
    right, false = mask & truth & known, mask & ~truth & known
    missed = truth & ~mask & known
    tp, fp, fn = (int(np.count_nonzero(part)) for part in (right, false, missed))
    tn = int(np.count_nonzero(known)) - tp - fp - fn
    return Counts(*(np.array([n], np.int64) for n in (tp, fp, fn, tn)))


def figures(images: Sequence[Clicked], *, automatic: bool) -> dict[str, float]:
    """Sum up what was found in several images.

    Parameters
    ----------
    images : sequence of Clicked
        All that were looked at.
    automatic : bool
        The model answers without a click, which counts then.

    Returns
    -------
    dict
        `iou_clicks`, the mean over the clicks, and for each number of clicks in `AFTER` (0 where
        no click is needed): iou and dice of objects (`iou_1`), image-wise (`iou_imagewise_1`) and
        pooled (`iou_micro_1`), precision and recall pooled (`precision_1`).
    """
    first = 0 if automatic else 1
    longest = max((len(one) for image in images for one in image.objects), default=0)
    at = {n: _at(images, n) for n in range(first, longest)}
    if not at:
        return {}
    values = {f"{name}_{n}": v for n in AFTER if n in at for name, v in _summed(at[n]).items()}
    curve = [_mean([_iou(one) for some in at[n] for one in some]) for n in at]
    ordered = sorted(values, key=lambda name: name.rpartition("_")[0] != "iou")
    return {"iou_clicks": _mean(curve)} | {name: values[name] for name in ordered}


def row(image: Clicked, *, automatic: bool) -> dict[str, Any]:
    """Return the figures of one image: iou and dice the mean of its objects, the others pooled."""
    out: dict[str, Any] = {"image": image.image, "objects": len(image.objects)}
    longest = max(len(one) for one in image.objects)
    at = {n: [one[n] for one in image.objects if n < len(one)] for n in range(longest)}
    out |= {f"iou_{n}": _mean([_iou(one) for one in some]) for n, some in at.items()}
    for name in ("dice", "precision", "recall"):
        out |= {f"{name}_{n}": _summed([at[n]])[name] for n in AFTER if n in at}
    return out | {"iou_clicks": _mean([out[f"iou_{n}"] for n in at if n or automatic])}


def _at(images: Sequence[Clicked], n: int) -> list[list[Counts]]:
    """Return of each image what its objects were after a number of clicks, if that many."""
    counts = [[one[n] for one in image.objects if n < len(one)] for image in images]
    return [some for some in counts if some]


def _summed(images: Sequence[Sequence[Counts]]) -> dict[str, float]:
    every = [one for some in images for one in some]
    pooled = metrics.figures(every, ())
    return {
        "iou": _mean([_iou(one) for one in every]),
        "dice": _mean([_dice(one) for one in every]),
        "iou_imagewise": _mean([_mean([_iou(one) for one in some]) for some in images]),
        "dice_imagewise": _mean([_mean([_dice(one) for one in some]) for some in images]),
        **{name: pooled[name] for name in _POOLED},
    }


def _iou(one: Counts) -> float:
    return float(one.iou()[0])


def _dice(one: Counts) -> float:
    return float(one.dice()[0])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
